#!/usr/bin/env python3
"""Read and write amplification of a dirty and of a cleaned job, caches cold (as root), by two sets of the kernel's
counters beside the program's own.

    python3 benches/amplification.py [--program target/release/cubeclean] [--channels 128] [--pixels 1024]

Makes a MeasurementSet with `cubeclean bench --write-ms` and images it with `--report`, in several batches, the second time
with several major cycles. *system calls* are all bytes that the process read and wrote (rchar and wchar of
/proc/PID/io); *blocks* is what disks moved for it (read_bytes and write_bytes), mapped and read-ahead pages too, where caches
could be dropped. Read: over the selected data, each byte once; written: over what the products take on disk. Fails beyond
1.05 and 1.01.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import provenance

DROP = pathlib.Path("/proc/sys/vm/drop_caches")
JOBS = {
    "dirty": ["--niter", "0"],
    "cleaned": ["--niter", "2000", "--nsigma", "3", "--cycleniter", "400", "--usemask", "pb", "--pbmask", "0.3"],
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("--program", default="target/release/cubeclean")
    arguments.add_argument("--channels", type=int, default=128)
    arguments.add_argument("--pixels", type=int, default=1024)
    arguments.add_argument("--rows", type=int, default=78000)
    arguments.add_argument("--memory-limit", default="600MB")
    arguments.add_argument("--work", default="target", help="a directory on a disk, not in memory")
    options = arguments.parse_args()
    print(provenance.line())
    cold = os.access(DROP, os.W_OK)
    work = pathlib.Path(tempfile.mkdtemp(prefix="amplification-", dir=options.work))
    try:
        failed = measure(options, work, cold)
    finally:
        shutil.rmtree(work)
    sys.exit("more was moved than is allowed" if failed else 0)


def measure(options, work, cold):
    vis = work / "synthetic.ms"
    subprocess.run([options.program, "bench", "--write-ms", vis, "--pixels", str(options.pixels), "--channels",
                    str(options.channels), "--rows", str(options.rows)], check=True, stdout=subprocess.DEVNULL)
    size = ["--imsize", str(options.pixels), "--cell", f"{8000 * 0.0046 / options.pixels}arcsec"]
    failed = False
    print("| job | caches | batches | major cycles | needed, MB | output, MB | read: our reader | system calls | blocks "
          "| written: our writers | system calls | blocks | sampling, % |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, job in JOBS.items():
        subprocess.run(["sync"], check=True)
        if cold:
            DROP.write_text("3\n")
        subprocess.run([options.program, "image", "--vis", vis, "--imagename", work / name, "--specmode", "cube", *size,
                        "--outframe", "LSRK", "--interpolation", "nearest", "--datacolumn", "data", "--backend", "cpu",
                        "--memory-limit", options.memory_limit, "--report", work / f"report-{name}", "-q", *job],
                       check=True, stdout=subprocess.DEVNULL)
        report = json.loads((work / f"report-{name}/report.json").read_text())
        io, result = report["io"], report["result"]
        read = [io[f"{key}_bytes"] / io["needed_bytes"] for key in ("reader", "kernel_read", "disk_read")]
        written = [io[f"{key}_bytes"] / io["output_bytes"] for key in ("writer", "kernel_written", "disk_written")]
        failed |= max(read if cold else read[:2]) > 1.05 or max(written) > 1.01
        majors = max(channel["nmajordone"] for channel in report["channels"])
        row = [name, "cold" if cold else "warm", dict(report["configuration"])["batches"], majors,
               f"{io['needed_bytes'] / 1e6:.0f}", f"{io['output_bytes'] / 1e6:.0f}",
               *(f"{ratio:.4f}" for ratio in read + written), f"{100 * report['sampling_cpu_s'] / result['wall_s']:.2f}"]
        print("|", " | ".join(map(str, row)), "|", flush=True)
        for product in work.glob(f"{name}.*"):
            shutil.rmtree(product)
    return failed


if __name__ == "__main__":
    main()
