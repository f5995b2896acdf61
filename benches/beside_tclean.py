#!/usr/bin/env python3
"""Times cubeclean beside CASA's tclean, on the simulated set in assets/, in one run on one machine.

    python3 benches/beside_tclean.py --casa PYTHON [--cubeclean BINARY] [--runs N] [--threads N]

PYTHON is a Python with casatasks 6.7 (`pip install casatasks casadata`; set CASASITECONFIG if its data lie
elsewhere). BINARY defaults to target/release/cubeclean. Both programs run in turn, N times each; medians
are printed. cubeclean's time is that of the whole process; tclean's is that of the call alone, without the
seconds that importing casatasks takes. Bytes are what each process asked of the kernel (rchar, wchar in
/proc/PID/io), so the page cache makes no difference.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

import provenance

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

COMMON = dict(
    datacolumn="corrected", specmode="cube", imsize=[256, 256], cell="0.1arcsec", outframe="TOPO",
    interpolation="nearest", weighting="briggs", robust=0.5, restfreq="230.538GHz", gridder="standard",
    deconvolver="hogbom", perchanweightdensity=True, pbcor=True,
)
JOBS = {
    "dirty": dict(niter=0),
    "cleaned": dict(niter=20000, threshold="5mJy", mask="circle[[128pix,128pix],50pix]"),
}
# What each program is told besides, so that both do the same.
OURS = ["--cyclecontrol", "cube", "--backend", "cpu", "--quiet"]
THEIRS = dict(restart=False, parallel=False)

TCLEAN = """
import json, sys, time
from casatasks import tclean
arguments = json.loads(sys.argv[1])
start = time.time()
result = tclean(**arguments)
print("RESULT", json.dumps([time.time() - start, int(result.get("iterdone", 0))]))
"""


def watched(command, cwd):
    """Runs a command; wall and CPU seconds, peak RSS, bytes read and written, and what it printed."""
    start = time.time()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=subprocess.STDOUT)
        io = {}
        while True:
            try:
                with open(f"/proc/{process.pid}/io") as counters:
                    io = dict(line.split(": ") for line in counters.read().splitlines())
            except OSError:
                pass
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.002)
        wall = time.time() - start
        out.seek(0)
        text = out.read()
    if status:
        sys.exit(f"{command[0]} failed:\n{text[-3000:]}")
    return dict(
        wall=wall, cpu=usage.ru_utime + usage.ru_stime, rss=usage.ru_maxrss * 1024,
        read=int(io.get("rchar", 0)), written=int(io.get("wchar", 0)), text=text,
    )


def remove(cwd, prefix):
    """Removes the products of a program's earlier run."""
    for name in os.listdir(cwd):
        path = os.path.join(cwd, name)
        if name.startswith(prefix):
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def cubeclean(binary, threads, job, ms, cwd):
    flags = []
    for name, value in {**COMMON, **JOBS[job]}.items():
        words = value if isinstance(value, list) else [value]
        if isinstance(value, bool):
            flags.append(f"--{name}={str(value).lower()}")
        else:
            flags += [f"--{name}", *map(str, words)]
    # Both begin with nothing.
    remove(cwd, "ours")
    summary = os.path.join(cwd, "ours.json")
    command = [binary, "image", "--vis", ms, "--imagename", "ours", "--threads", str(threads),
               "--summary", summary, *OURS, *flags]
    figures = watched(command, cwd)
    with open(summary) as file:
        figures["iterations"] = json.load(file)["iterdone"]
    return figures


def tclean(python, job, ms, cwd):
    remove(cwd, "theirs")
    arguments = {**COMMON, **JOBS[job], **THEIRS, "vis": ms, "imagename": "theirs"}
    figures = watched([python, "-c", TCLEAN, json.dumps(arguments)], cwd)
    line = next(l for l in figures["text"].splitlines() if l.startswith("RESULT"))
    figures["wall"], figures["iterations"] = json.loads(line[len("RESULT"):])
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--casa", required=True)
    parser.add_argument("--cubeclean", default=os.path.join(ROOT, "target/release/cubeclean"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    print(provenance.line())
    print(f"{os.cpu_count()} cores; cubeclean with {options.threads} threads; medians of {options.runs} runs")
    print(f"{'job':8} {'program':10} {'wall/s':>8} {'CPU/s':>8} {'peak RSS/MB':>12} {'read/MB':>9} "
          f"{'written/MB':>11} {'components':>11}")
    with tempfile.TemporaryDirectory() as cwd:
        with tarfile.open(os.path.join(ROOT, "assets/ms/small.ms.tar.xz")) as archive:
            archive.extractall(cwd)
        ms = os.path.join(cwd, "small.ms")
        for job in JOBS:
            runs = {"cubeclean": [], "tclean": []}
            for _ in range(options.runs):
                runs["cubeclean"].append(cubeclean(options.cubeclean, options.threads, job, ms, cwd))
                runs["tclean"].append(tclean(options.casa, job, ms, cwd))
            for program, figures in runs.items():
                m = {k: statistics.median(f[k] for f in figures) for k in figures[0] if k != "text"}
                print(f"{job:8} {program:10} {m['wall']:8.2f} {m['cpu']:8.2f} {m['rss'] / 1e6:12.0f} "
                      f"{m['read'] / 1e6:9.1f} {m['written'] / 1e6:11.1f} {m['iterations']:11.0f}")
            ratios = [t["wall"] / c["wall"] for c, t in zip(runs["cubeclean"], runs["tclean"])]
            print(f"{job:8} tclean / cubeclean, wall: {statistics.median(ratios):.1f} "
                  f"({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
