#!/usr/bin/env python3
"""Open files, memory and time a channel for cubes of many channels, and memory at several limits.

    python3 benches/many_channels.py [--program target/release/cubeclean] [--channels 250 500 1000]

Makes a MeasurementSet of small planes with `cubeclean bench --write-ms`, images 250, 500 and 1000 channels of it, and
then the whole at three memory limits, and below what is possible. What is to be seen: open files and time a channel do
not grow with the cube, memory only by the visibilities and baselines that are kept, and peaks stay below limits.
"""
import argparse
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import provenance

JOB = """--specmode cube --imsize 128 --cell 0.2871arcsec --outframe TOPO --interpolation nearest --datacolumn data
    --niter 100 --threshold 1mJy --backend cpu --format casa,fits --overwrite""".split()


def measure(command):
    """Runs a command; exit status, standard error, wall and CPU seconds, most open files, peak of memory."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.time()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    files = peak = 0
    while process.poll() is None:
        try:
            files = max(files, len(os.listdir(f"/proc/{process.pid}/fd")))
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024)
        except (OSError, TypeError):
            pass  # it has just ended
        time.sleep(0.01)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return process.returncode, process.stderr.read().decode(), time.time() - began, cpu, files, peak


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--program", default="target/release/cubeclean")
    arguments.add_argument("--channels", type=int, nargs="+", default=[250, 500, 1000])
    options = arguments.parse_args()
    print(provenance.line())
    work = pathlib.Path(tempfile.mkdtemp(prefix="many-", dir="target"))
    vis = work / "synthetic.ms"
    subprocess.run([options.program, "bench", "--write-ms", vis, "--pixels", "128", "--channels",
                    str(max(options.channels)), "--rows", "7800"], check=True, stdout=subprocess.DEVNULL)

    def image(*more):
        return measure([options.program, "image", "--vis", vis, "--imagename", work / "im", *JOB, *map(str, more)])

    print("| channels | open files | peak of memory, MB | wall, ms a channel | CPU, ms a channel |\n|---:|---:|---:|---:|---:|")
    for n in options.channels:
        code, message, wall, cpu, files, peak = image("--nchan", n)
        if code:
            sys.exit(message)
        print(f"| {n} | {files} | {peak / 1e6:.0f} | {1e3 * wall / n:.2f} | {1e3 * cpu / n:.2f} |")

    code, message, *_ = image("--memory-limit", "1MB")
    needed = float(re.search(r"host memory: ([\d.]+) MB needed", message)[1])
    print(f"\nleast memory: {needed} MB\n\n| memory limit, MB | peak of memory, MB | wall, s |\n|---:|---:|---:|")
    honoured = True
    for limit in (needed + 1, 1.5 * needed, 3 * needed):
        code, message, wall, cpu, files, peak = image("--memory-limit", f"{limit:.0f}MB")
        if code:
            sys.exit(message)
        honoured &= peak <= limit * 1e6
        print(f"| {limit:.0f} | {peak / 1e6:.0f} | {wall:.2f} |")
    code, message, *_ = image("--memory-limit", f"{needed - 2:.0f}MB")
    print(f"\nbelow it: status {code}, {message.strip().splitlines()[-1]}")
    shutil.rmtree(work)
    sys.exit(0 if honoured and code == 1 else "a limit was not kept")


if __name__ == "__main__":
    main()
