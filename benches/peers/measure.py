"""Runs a command and measures all of its processes."""

import os
import subprocess
import tempfile
import time

PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(root):
    """The process ids of a process and of all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue += children.get(pid, [])
    return found


def sample(pids):
    """Resident bytes, bytes read and bytes written of processes, as of now."""
    rss = read = written = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/statm") as statm:
                rss += int(statm.read().split()[1]) * PAGE
            with open(f"/proc/{pid}/io") as io:
                counters = dict(line.split(": ") for line in io.read().splitlines())
        except (OSError, IndexError, ValueError):
            continue  # it has just ended; its parent counts what it did
        read += int(counters["rchar"])
        written += int(counters["wchar"])
    return rss, read, written


def watched(command, cwd, env=None):
    """Runs a command to its end.

    wall, cpu (s; all processes), rss (bytes: the largest sum over the processes at one time, seen every
    20 ms, or the largest process by the kernel's own account), read, written (bytes asked of the kernel,
    rchar and wchar of /proc/PID/io over the tree: the page cache makes no difference), failed, text.
    """
    start = time.time()
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        process = subprocess.Popen(command, cwd=cwd, stdout=out, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(env or {})})
        most, pids, looked = (0, 0, 0), [], 0.0
        while True:
            # Looking for new processes reads all of /proc: too dear to be done each time.
            if time.time() - looked > 0.25:
                pids, looked = tree(process.pid), time.time()
            most = tuple(map(max, most, sample(pids)))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)
        wall = time.time() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read()
    rss, read, written = most
    return dict(wall=wall, cpu=usage.ru_utime + usage.ru_stime, rss=max(rss, usage.ru_maxrss * 1024),
                read=read, written=written, failed=process.returncode != 0, text=text)
