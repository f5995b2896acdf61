"""What a figure was measured with: the line that every bench prints before its tables."""

import datetime
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def line():
    """Date, commit, processors, and what else the machine is doing."""
    def git(*words):
        return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()

    with open("/proc/cpuinfo") as file:
        models = {text.partition(":")[2].strip() for text in file if text.startswith("model name")}
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (f"{datetime.date.today()}, commit {git('rev-parse', '--short', 'HEAD')}{changed}, {os.cpu_count()} cores of "
            f"{', '.join(sorted(models))}, load {os.getloadavg()[0]:.1f} before")
