#!/usr/bin/env python3
"""Kills runs at random moments, resumes each to its end, and compares the products with an undisturbed run's.

    python3 benches/kills.py [--program target/release/cubeclean] [--kills 100] [--seed 1] [--vis MS] [--small-disk DIR]

A run of 64 channels (of the MeasurementSet given, or one that `cubeclean bench --write-ms` makes) is
killed again and again, by SIGKILL and SIGTERM in turn, until it ends; then another one begins, until so
many kills have hit. With --small-disk, a directory on a file system of its own of some hundred MB (mount -t tmpfs), the products
are there, and every third time the disk becomes full in place of a kill. Every file of the products must be the undisturbed run's, bit by bit (but the
logs' times), and nothing may be left over.
"""
import argparse
import contextlib
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

import provenance

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


@contextlib.contextmanager
def ballast(directory):
    """Fills the disk, and frees it in the end."""
    path = directory / "ballast"
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 20))
        except OSError:
            pass
    yield
    path.unlink()


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--program", default="target/release/cubeclean")
    arguments.add_argument("--kills", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--vis", help="a MeasurementSet of at least 64 channels")
    arguments.add_argument("--job", nargs=argparse.REMAINDER, help="other arguments of `cubeclean image`")
    arguments.add_argument("--small-disk", help="where the products go, and what is filled now and then")
    options = arguments.parse_args()
    print(provenance.line())
    random.seed(options.seed)
    work = pathlib.Path(tempfile.mkdtemp(prefix="kills-", dir="target"))
    vis = options.vis
    if vis is None:
        vis = work / "synthetic.ms"
        subprocess.run([options.program, "bench", "--write-ms", vis, "--pixels", "256", "--channels", "64",
                        "--rows", "7800"], check=True, stdout=subprocess.DEVNULL)

    def command(directory, *more):
        # Of the same length everywhere, as the products' headers hold it.
        name = pathlib.Path(directory) / "im"
        return [options.program, "image", "--vis", str(vis), "--imagename", str(name), *(options.job or JOB), *more]

    out = pathlib.Path(tempfile.mkdtemp(prefix="kills-", dir=options.small_disk)) / "out" if options.small_disk \
        else work / "out"
    out.mkdir()
    began = time.time()
    subprocess.run(command(out), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole = time.time() - began
    expected = digest(out)
    kilobytes = sum(f.stat().st_size for f in out.rglob("*") if f.is_file()) // 1000
    print(f"undisturbed: {whole:.2f} s, {len(expected)} files, {kilobytes} kB; seed {options.seed}")
    kinds = ["SIGKILL", "SIGTERM"] + ["full disk"] * bool(options.small_disk)
    kills = dict.fromkeys(kinds, 0)
    runs = differing = 0
    while sum(kills.values()) < options.kills:
        shutil.rmtree(out)
        out.mkdir()
        attempt = hit = 0
        while True:
            process = subprocess.Popen(command(out, "--resume"), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE)
            kind = kinds[(hit + runs) % len(kinds)]
            # The longer it takes, the later the kill, so that every run has an end.
            time.sleep(random.uniform(0.0, whole) * (1 + 0.05 * attempt))
            attempt += 1
            if kind == "full disk":
                with ballast(out.parent):
                    message = process.communicate()[1].decode(errors="replace")
            else:
                process.send_signal(signal.Signals[kind])
                message = process.communicate()[1].decode(errors="replace")
            if process.returncode == 0:
                break
            if process.returncode == 1 and "no interrupted run" in message:
                break  # it was killed after its end
            full = kind == "full disk" and process.returncode == 1 and ("No space" in message or "disk space" in message)
            if not full and process.returncode not in (-signal.SIGKILL, 3, -signal.SIGTERM):
                sys.exit(f"status {process.returncode}: {message}")
            hit += 1
            kills[kind] += 1
        runs += 1
        found = digest(out)
        if found != expected:
            differing += 1
            names = [n for n in sorted(set(found) | set(expected)) if found.get(n) != expected.get(n)]
            print(f"run {runs}, {hit} kills: differs in {names}")
    print(f"{sum(kills.values())} kills ({', '.join(f'{n} {kind}' for kind, n in kills.items())}) of {runs} runs: "
          f"{runs - differing} ended with the bits of the undisturbed run and nothing left over, {differing} did not")
    shutil.rmtree(work)
    if options.small_disk:
        shutil.rmtree(out.parent)
    sys.exit(differing > 0)


if __name__ == "__main__":
    main()
