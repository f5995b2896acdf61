#!/usr/bin/env python3
"""How far tclean's masks move when nothing but rounding changes.

    python assets/automask_sensitivity.py SMALL_MS     (with casatasks and casatools 6.7, and numpy)

Runs the golden fn_10 again with cells larger by 3e-5 and 3e-4 (at the image's edge 0.004 and 0.04
pixels: the same image, but samples fall on other points of the gridder's tables), and with CASA's
own wproject gridder, and prints each run's mask pixels per round, its last mask's overlap with that
of fn_10's own arguments, and the images' difference over the noise. assets/README.md has the result.
"""

import json
import os
import pathlib
import sys
import tempfile

import numpy as np
from casatasks import tclean
from casatools import image

CHANGES = {
    "as it is": {},
    "cell 0.100003arcsec": {"cell": "0.100003arcsec"},
    "cell 0.10003arcsec": {"cell": "0.10003arcsec"},
    "wproject, 1 plane": {"gridder": "wproject", "wprojplanes": 1},
    "wproject, 16 planes": {"gridder": "wproject", "wprojplanes": 16},
}


def read(name):
    ia = image()
    ia.open(name)
    pixels = np.squeeze(ia.getchunk())
    ia.close()
    return pixels


def main():
    ms = os.path.abspath(sys.argv[1])
    golden = pathlib.Path(__file__).resolve().parent / "goldens" / "fn_10.json"
    arguments = json.loads(golden.read_text())["args"]
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        first = None
        for i, (name, change) in enumerate(CHANGES.items()):
            run = f"run{i}"
            result = tclean(**{**arguments, "vis": ms, "imagename": run, "fullsummary": True, **change})
            rounds = result["summaryminor"][0][0][0]["masksum"]
            mask, restored, residual = (read(f"{run}.{p}") for p in ("mask", "image", "residual"))
            first = first or (mask > 0, restored)
            both = ((mask > 0) & first[0]).sum() / max((mask > 0).sum(), first[0].sum())
            sigma = 1.4826 * np.median(np.abs(residual - np.median(residual)))
            apart = (restored - first[1]) / sigma
            print(f"{name:20} {[int(n) for n in rounds]} overlap {both:.3f}, image max "
                  f"{np.abs(apart).max():.2f}, rms {apart.std():.3f} of the noise", flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
