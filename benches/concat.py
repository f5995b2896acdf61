#!/usr/bin/env python3
"""Times `cubeclean concat` beside a plain copy of the same bytes, caches cold (as root), syncs included.

    python3 benches/concat.py [--program target/release/cubeclean] [--rounds 3] [--channels 128] [--pixels 1024]

The images are subcubes of 16 channels of a dirty cube, which the program makes from `cubeclean bench --write-ms`.
`cp -r` copies them as they are; paged writes one cube, reads it back and compares checksums.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

import provenance


def timed(command, cold):
    subprocess.run(["sync"], check=True)
    if cold:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
    began = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["sync"], check=True)
    return time.time() - began


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--program", default="target/release/cubeclean")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--channels", type=int, default=128)
    arguments.add_argument("--pixels", type=int, default=1024)
    options = arguments.parse_args()
    print(provenance.line())
    cold = os.access("/proc/sys/vm/drop_caches", os.W_OK)
    work = pathlib.Path(tempfile.mkdtemp(prefix="concat-", dir="target"))
    vis, name = work / "synthetic.ms", work / "im"
    size = ["--pixels", str(options.pixels), "--channels", str(options.channels)]
    subprocess.run([options.program, "bench", "--write-ms", vis, *size, "--rows", "7800"], check=True,
                   stdout=subprocess.DEVNULL)
    cell = 8000 * 0.0046 / options.pixels
    subprocess.run([options.program, "image", "--vis", vis, "--imagename", name, "--specmode", "cube", "--imsize",
                    str(options.pixels), "--cell", f"{cell}arcsec", "--outframe", "LSRK", "--interpolation", "nearest",
                    "--datacolumn", "data", "--products", "image", "--concat-mode", "virtual", "--cube-chunksize", "16",
                    "--backend", "cpu", "-q"], check=True, stdout=subprocess.DEVNULL)
    parts = sorted(work.glob("im.subcube.*.image"))
    megabytes = sum(f.stat().st_blocks for part in parts for f in part.rglob("*")) * 512 / 1e6
    times = {"cp": [], "paged": [], "virtual": []}
    for _ in range(options.rounds):
        out = work / "copy"
        out.mkdir()
        times["cp"].append(timed(["cp", "-r", *parts, out], cold))
        shutil.rmtree(out)
        for mode in ("paged", "virtual"):
            out = work / f"{mode}.image"
            times[mode].append(timed([options.program, "concat", "--mode", mode, out, *parts, "-q"], cold))
            shutil.rmtree(out)
    print(f"{len(parts)} images, {megabytes:.0f} MB, {'cold' if cold else 'warm'} caches, medians of {options.rounds}\n")
    print("| | s | MB/s | beside cp |\n|---|---:|---:|---:|")
    copy = statistics.median(times["cp"])
    for what, seconds in times.items():
        seconds = statistics.median(seconds)
        print(f"| {what} | {seconds:.2f} | {megabytes / seconds:.0f} | {copy / seconds:.2f} |")
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
