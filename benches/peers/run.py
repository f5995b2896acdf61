#!/usr/bin/env python3
"""Measures cubeclean side by side with tclean, pclean, WSClean and ducc0, on one MeasurementSet that it makes.

    bash benches/peers/install.sh                     installs the others below target/peers
    python3 benches/peers/run.py [--jobs dirty,cleaned,gridding] [--pixels N] [--channels N] [--rows N] ...

Every program does the same job with the settings nearest to each other, several rounds in turn, so that
what else the machine does meets all of them; medians are printed, as Markdown.

dirty: a cube of dirty images with what each program writes beside them (PSFs, primary beams, ...), natural
    weights. The error is the largest difference from the exact sum in double precision, at 377 pixels
    of one channel, the brightest source, corners and edges included, over the peak: against the full measurement equation, and
    against the 2-D one without the w-term, which tclean's and pclean's standard gridder solves.
cleaned: Hogbom in a disc of `--mask-fraction` of the image, `--cycles` cycles of `--iterations` components for each channel
    (WSClean ends its cycles by -mgain 0.8, so its count is its own).
gridding: one channel's dirty image without files, ducc0's vis2dirty against cubeclean's operator, at the
    coarsest epsilon of ducc0's whose measured error is no worse (or its best); the same threads. ducc0 has its arrays in memory and sorts them each time;
    cubeclean has sorted them once for the cube, as it does in a run.

cubeclean's and WSClean's times are those of the process; cubeclean's files are synced to the disk by then, the others'
are not. tclean's and pclean's are those of the call alone, without the seconds that importing takes.
Memory, and bytes read and written, are those of all processes (see measure.py). Ratios are of wall times,
round by round: how many times longer than cubeclean's, exact and without the w-term. casa-rs: give its command with --casa-rs
(see programs.py); a program that is not there is left out, and said so.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import programs
from measure import watched

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.append(os.path.join(ROOT, "benches"))
import provenance  # noqa: E402
FIELD_ARCSEC = 8000 * 0.0046  # of cubeclean bench, whatever the pixels


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", default="dirty,cleaned,gridding")
    parser.add_argument("--programs", help="beginnings of names, separated by commas; default: all")
    parser.add_argument("--pixels", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=87_000)
    parser.add_argument("--channels", type=int, default=128, help="of the dirty cube")
    parser.add_argument("--clean-channels", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=365, help="of a cycle and channel")
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--mask-fraction", type=float, default=0.1, help="area of the disc over the image's")
    parser.add_argument("--gridding", default="1024:87000,8000:449280", help="PIXELS:ROWS, ...")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="threads, or worker processes")
    parser.add_argument("--peers", default=os.path.join(ROOT, "target/peers"), help="where install.sh put them")
    parser.add_argument("--cubeclean", default=os.path.join(ROOT, "target/release/cubeclean"))
    parser.add_argument("--casa-rs", help="command, see programs.py")
    parser.add_argument("--scratch", help="directory for data and products; default: a temporary one")
    parser.add_argument("--json", help="write all figures to this file")
    return parser.parse_args()


def judge(options, *words):
    """What judge.py says."""
    python = os.path.join(options.peers, "ducc/bin/python")
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "judge.py")
    done = subprocess.run([python, here, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"judge.py {' '.join(map(str, words))} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def make_job(options, scratch, name, pixels, channels, rows):
    """Writes the MeasurementSet of a job."""
    ms = os.path.join(scratch, f"{name}.ms")
    done = watched([options.cubeclean, "bench", "--write-ms", ms, "--overwrite", "--pixels", str(pixels),
                    "--channels", str(channels), "--rows", str(rows)], scratch)
    if done["failed"]:
        sys.exit(done["text"])
    return dict(ms=ms, pixels=pixels, channels=channels, rows=rows, workers=options.workers,
                cell_arcsec=FIELD_ARCSEC / pixels, iterations=0, cycles=0,
                radius=pixels * (options.mask_fraction / 3.141592653589793) ** 0.5)


def measure(options, scratch, job, sums):
    """All programs in turn, `--rounds` times: name → list of figures."""
    found = {}
    channel = job["channels"] // 2
    for number in range(options.rounds):
        for program in programs.all_programs(options):
            why = program.missing()
            if why:
                if number == 0:
                    print(f"{program.name}: left out: {why}", file=sys.stderr)
                continue
            cwd = os.path.join(scratch, "products")
            shutil.rmtree(cwd, ignore_errors=True)
            os.mkdir(cwd)
            figures = program.run(job, cwd)
            text = figures.pop("text")
            if figures.pop("failed"):
                print(f"{program.name} failed:\n{text[-2000:]}", file=sys.stderr)
                continue
            if sums and program.name not in found:
                figures["error"] = judge(options, "error", sums, *program.image(cwd, channel))
            print(f"round {number + 1}: {program.name}: {figures}", file=sys.stderr)
            found.setdefault(program.name, []).append(figures)
    shutil.rmtree(os.path.join(scratch, "products"), ignore_errors=True)
    return found


def table(found, columns):
    """Prints medians; the last columns are the ratios of wall times to those of cubeclean's own rows, round by round."""
    own = [name for name in found if name.startswith("cubeclean")]
    heads = ["wall", "CPU", "peak memory", "read", "written", *columns, *(f"wall over {name}'s" for name in own)]
    print(f"\n| | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 1)}")
    for name, rounds in found.items():
        median = {k: statistics.median(r[k] for r in rounds) for k in ("wall", "cpu", "rss", "read", "written")}
        cells = [f"{median['wall']:.2f} s", f"{median['cpu']:.2f} s", f"{median['rss'] / 1e6:.0f} MB",
                 f"{median['read'] / 1e6:.0f} MB", f"{median['written'] / 1e6:.0f} MB"]
        cells += [column(rounds[0]) for column in columns.values()]
        cells += [ratio(rounds, found[base]) for base in own]
        print(f"| {name} | {' | '.join(cells)} |")
    print(flush=True)


def ratio(rounds, base):
    """The median of a ratio, and its least and most."""
    ratios = [r["wall"] / b["wall"] for r, b in zip(rounds, base)]
    span = "" if len(ratios) == 1 else f" ({min(ratios):.1f} to {max(ratios):.1f})"
    return f"{statistics.median(ratios):.1f}{span}"


def dirty(options, scratch):
    job = make_job(options, scratch, "dirty", options.pixels, options.channels, options.rows)
    sums = os.path.join(scratch, "dirty.npz")
    judge(options, "dft", job["ms"], job["pixels"], job["cell_arcsec"], job["channels"] // 2, sums)
    found = measure(options, scratch, job, sums)
    print(f"\nDirty cube, {job['pixels']}² × {job['channels']} channels, {job['rows']} rows:")
    table(found, {"error": lambda r: f"{r['error']['exact']:.1e}",
                  "against the 2-D sum": lambda r: f"{r['error']['flat']:.1e}"})
    return found


def cleaned(options, scratch):
    job = make_job(options, scratch, "cleaned", options.pixels, options.clean_channels, options.rows)
    job.update(iterations=options.iterations, cycles=options.cycles,
               fits_mask=os.path.join(scratch, "mask.fits"))
    judge(options, "mask", job["pixels"], job["radius"], job["fits_mask"])
    found = measure(options, scratch, job, None)
    print(f"\nCleaned, {job['pixels']}² × {job['channels']} channels, {job['rows']} rows, "
          f"{job['cycles']} cycles of {job['iterations']} components a channel:")
    table(found, {"components": lambda r: f"{r['iterations']}" if "iterations" in r else ""})
    return found


def gridding(options, scratch):
    found = {}
    print("\nOne channel's dirty image, without files:\n\n| | cubeclean, wall | error | ducc0, wall | CPU | error, epsilon "
          "| ducc0 over cubeclean, wall |\n|---|---|---|---|---|---|---|")
    for size in options.gridding.split(","):
        pixels, rows = map(int, size.split(":"))
        channels = 8 if pixels < 4000 else 2
        job = make_job(options, scratch, "gridding", pixels, channels, rows)
        sums = os.path.join(scratch, "gridding.npz")
        judge(options, "dft", job["ms"], pixels, job["cell_arcsec"], 0, sums)
        for wterm, equation in (("exact", "exact"), ("none", "flat")):
            worst = error_of(options, scratch, job, wterm, sums)[equation]
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(own_gridding(options, scratch, job, wterm))
                theirs.append(judge(options, "ducc", job["ms"], pixels, job["cell_arcsec"], 0, sums, worst,
                                    options.workers, 3, equation))
            found[f"{size} {wterm}"] = dict(error=worst, cubeclean=ours, ducc0=theirs)
            ratios = [t["seconds"] / o for t, o in zip(theirs, ours)]
            middle = {k: statistics.median(t[k] for t in theirs) for k in ("seconds", "cpu", "error", "epsilon")}
            print(f"| {pixels}², {rows} rows, w-term {wterm} | {1e3 * statistics.median(ours):.1f} ms | {worst:.1e} "
                  f"| {1e3 * middle['seconds']:.1f} ms | {1e3 * middle['cpu']:.1f} ms | {middle['error']:.1e}, "
                  f"{middle['epsilon']:g} | {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) |",
                  flush=True)
    return found


def error_of(options, scratch, job, wterm, sums):
    """The error of the first channel's dirty image by cubeclean."""
    cwd = os.path.join(scratch, "products")
    shutil.rmtree(cwd, ignore_errors=True)
    os.mkdir(cwd)
    program = programs.Cubeclean("", options, wterm)
    done = program.run({**job, "channels": 1}, cwd)
    if done["failed"]:
        sys.exit(done["text"])
    found = judge(options, "error", sums, *program.image(cwd, 0))
    shutil.rmtree(cwd)
    return found


def own_gridding(options, scratch, job, wterm):
    """Seconds that a dirty image of a channel takes cubeclean's operator (which its JSON gives a channel)."""
    done = watched([options.cubeclean, "bench", "--pixels", str(job["pixels"]), "--channels", str(job["channels"]),
                    "--rows", str(job["rows"]), "--iterations", "1", "--repeat", "1", "--backends", "cpu",
                    "--wterm", wterm, "--threads", str(options.workers), "--json", "bench.json"], scratch)
    if done["failed"]:
        sys.exit(done["text"])
    with open(os.path.join(scratch, "bench.json")) as file:
        return json.load(file)["backends"][0]["steps_s"]["dirty"]


def main():
    options = arguments()
    # The programs run in a directory of their own.
    for path in ("peers", "cubeclean", "scratch"):
        if getattr(options, path):
            setattr(options, path, os.path.abspath(getattr(options, path)))
    print(f"{provenance.line()}; {options.workers} threads or workers; medians of {options.rounds} rounds.")
    jobs = dict(dirty=dirty, cleaned=cleaned, gridding=gridding)
    wanted = options.jobs.split(",")
    unknown = [job for job in wanted if job not in jobs]
    if unknown:
        sys.exit(f"--jobs {','.join(unknown)}: there are {', '.join(jobs)}")
    if options.scratch:
        os.makedirs(options.scratch, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        found = {job: jobs[job](options, scratch) for job in wanted}
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
