#!/usr/bin/env python3
"""Holds the time that `cubeclean image --dry-run` forecasts against what the job takes.

    python3 benches/estimate.py [--program target/release/cubeclean] [--rounds 3]

Jobs differ in what they are bound by: visibilities, planes, cleaning, masks, a pass over the cube for the common beam.
Each is forecast and run in turn; ratios of forecast to wall time are printed. Fails where a median is off by more than 30 %.
"""
import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import provenance

# name: pixels, channels, rows of the data; arguments
JOBS = {
    "dirty, 512², 128 channels": (512, 128, 40000, ["--niter", "0"]),
    "dirty, 1024², 64 channels": (1024, 64, 87000, ["--niter", "0"]),
    "many rows, 128², 128 channels": (128, 128, 150000, ["--niter", "0"]),
    "cleaned, 512², 64 channels": (512, 64, 40000, ["--niter", "3000", "--usemask", "pb", "--pbmask", "0.3",
                                                  "--cycleniter", "1000"]),
    "automatic masks, 512², 48 channels": (512, 48, 40000, ["--niter", "500", "--threshold", "5mJy", "--usemask",
                                                          "auto-multithresh"]),
    "common beam, 512², 96 channels": (512, 96, 40000, ["--niter", "0", "--restoringbeam", "common"]),
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--program", default="target/release/cubeclean")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--work", default="target", help="a directory on a disk, not in memory")
    options = arguments.parse_args()
    print(provenance.line())
    work = pathlib.Path(tempfile.mkdtemp(prefix="estimate-", dir=options.work))
    far = []
    print("| job | forecast, s | wall, s | ratio: median (all) |\n|---|---:|---:|---:|")
    try:
        for name, (pixels, channels, rows, job) in JOBS.items():
            vis = work / "data.ms"
            subprocess.run([options.program, "bench", "--write-ms", vis, "--overwrite", "--pixels", str(pixels),
                            "--channels", str(channels), "--rows", str(rows)], check=True, stdout=subprocess.DEVNULL)
            measured = [measure(options.program, work, vis, pixels, job) for _ in range(options.rounds)]
            ratios = [forecast / wall for forecast, wall in measured]
            middle = statistics.median(ratios)
            print(f"| {name} | {statistics.median(m[0] for m in measured):.1f} | "
                  f"{statistics.median(m[1] for m in measured):.1f} | {middle:.2f} "
                  f"({', '.join(f'{r:.2f}' for r in ratios)}) |", flush=True)
            if not 0.7 <= middle <= 1.3:
                far.append(name)
    finally:
        shutil.rmtree(work)
    sys.exit(f"off by more than 30 %: {', '.join(far)}" if far else 0)


def measure(program, work, vis, pixels, job):
    """Seconds forecast, and taken."""
    out = work / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    subprocess.run(["sync"], check=True)
    command = [program, "image", "--vis", vis, "--imagename", out / "im", "--specmode", "cube", "--imsize", str(pixels),
               "--cell", f"{8000 * 0.0046 / pixels}arcsec", "--outframe", "TOPO", "--interpolation", "nearest",
               "--datacolumn", "data", "--backend", "cpu", "--progress", "json", *job]
    said = subprocess.run([*command, "--dry-run"], check=True, capture_output=True, text=True).stdout
    events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    forecast = next(e for e in events if e["event"] == "estimated")["seconds"]
    start = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return forecast, time.time() - start


if __name__ == "__main__":
    main()
