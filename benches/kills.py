#!/usr/bin/env python3
"""Kills runs at random moments, resumes each to its end, and compares the products with an undisturbed run's.

    python3 benches/kills.py [--program target/release/cubeclean] [--kills 100] [--seed 1] [--vis MS]

A run of 64 channels (of the MeasurementSet given, or one that `cubeclean bench --write-ms` makes) is
killed again and again, by SIGKILL and SIGTERM in turn, until it ends; then another one begins, until so
many kills have hit. Every file of the products must be the undisturbed run's, bit by bit (but the
logs' times), and nothing may be left over.
"""
import argparse
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

JOB = """--specmode cube --imsize 256 --cell 0.02arcsec --outframe TOPO --interpolation nearest --nchan 64
    --weighting briggs --niter 500 --threshold 1mJy --usemask auto-multithresh --pbcor --format casa,fits
    --datacolumn data --backend cpu --memory-limit 250MB""".split()


def digest(directory):
    """Every file's checksum by name; logs only by name, as they hold the time."""
    found = {}
    for path in sorted(pathlib.Path(directory).rglob("*")):
        if path.is_file():
            name = str(path.relative_to(directory))
            log = path.parent.name == "logtable"
            found[name] = "" if log else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--program", default="target/release/cubeclean")
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--vis", help="a MeasurementSet of at least 64 channels")
    arguments.add_argument("--job", nargs=argparse.REMAINDER, help="other arguments of `cubeclean image`")
    options = arguments.parse_args()
    random.seed(options.seed)
    work = pathlib.Path(tempfile.mkdtemp(prefix="kills-", dir="."))
    vis = options.vis
    if vis is None:
        vis = work / "synthetic.ms"
        subprocess.run([options.program, "bench", "--write-ms", vis, "--pixels", "256", "--channels", "64",
                        "--rows", "7800"], check=True, stdout=subprocess.DEVNULL)

    def command(directory, *more):
        # Of the same length everywhere, as the products' headers hold it.
        name = pathlib.Path(directory) / "im"
        return [options.program, "image", "--vis", str(vis), "--imagename", str(name), *(options.job or JOB), *more]

    out = work / "out"
    out.mkdir()
    began = time.time()
    subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole = time.time() - began
    expected = digest(out)
    kilobytes = sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) // 1000
    print(f"undisturbed: {whole:.2f} s, {len(expected)} files, {kilobytes} kB; seed {options.seed}")
    kills = {"SIGKILL": 0, "SIGTERM": 0}
    runs = differing = 0
    while sum(kills.values()) < options.kills:
        shutil.rmtree(out)
        out.mkdir()
        attempt = hit = 0
        while True:
            process = subprocess.Popen(command(out, "--resume"), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
            number = (signal.SIGKILL, signal.SIGTERM)[(hit + runs) % 2]
            # The longer it takes, the later the kill, so that every run has an end.
            time.sleep(random.uniform(0.0, whole) * (1 + 0.05 * attempt))
            attempt += 1
            process.send_signal(number)
            message = process.communicate()[1].decode(errors="replace")
            if process.returncode == 0:
                break
            if process.returncode == 1 and "no interrupted run" in message:
                break  # it was killed after its end
            if process.returncode not in (-signal.SIGKILL, 3, -signal.SIGTERM):
                sys.exit(f"status {process.returncode}: {message}")
            hit += 1
            kills[number.name] += 1
        runs += 1
        found = digest(out)
        if found != expected:
            differing += 1
            names = [n for n in sorted(set(found) | set(expected)) if found.get(n) != expected.get(n)]
            print(f"run {runs}, {hit} kills: differs in {names}")
    print(f"{sum(kills.values())} kills ({kills['SIGKILL']} SIGKILL, {kills['SIGTERM']} SIGTERM) of {runs} runs: "
          f"{runs - differing} ended with the bits of the undisturbed run and nothing left over, {differing} did not")
    shutil.rmtree(work)
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
