#!/usr/bin/env python3
"""Runs CASA's tclean with deconvolver='multiscale' on `small` and keeps what the tests compare.

    python assets/make_multiscale_goldens.py SMALL_MS     (with casatasks and casatools 6.7, and numpy)

Writes goldens/NAME.npz and .json in the form of make_goldens.py, which says how planes are packed.
Each run images one channel with briggs weights, TOPO, nearest, within a circle of 50 pixels:

ms_10        channel 10, scales 0, 5, 15 pixels, smallscalebias 0.6, down to 5 mJy
ms_16        channel 16, the same scales, smallscalebias 0
ms_10_cycle  as ms_10, but for one minor cycle (nmajor=1): its model is what one cycle alone makes of
             CASA's psf and residual (those of dirty_briggs_topo, channel 10)
"""

import json
import os
import pathlib
import sys
import tempfile

import numpy as np
from casatasks import tclean
from casatools import image

import make_goldens

COMMON = dict(datacolumn="corrected", specmode="cube", gridder="standard", imsize=[256, 256],
              cell="0.1arcsec", stokes="I", nchan=1, width=1, outframe="TOPO",
              interpolation="nearest", weighting="briggs", robust=0.5, perchanweightdensity=True,
              deconvolver="multiscale", scales=[0, 5, 15], restoringbeam="", pbcor=False,
              usemask="user", mask="circle[[128pix,128pix],50pix]", niter=5000, threshold="5mJy",
              pblimit=0.2, restart=False, fullsummary=True, calcpsf=True, calcres=True,
              restoration=True, parallel=False, veltype="radio", restfreq="230.538GHz")
RUNS = {
    "ms_10": dict(start=10, smallscalebias=0.6),
    "ms_16": dict(start=16, smallscalebias=0.0),
    "ms_10_cycle": dict(start=10, smallscalebias=0.6, nmajor=1),
}
KEEP = {
    "ms_10": {"image": "all", "model": "all"},
    "ms_16": {"image": "all", "model": "all"},
    "ms_10_cycle": {"model": "all"},
}


def planes(name):
    """[channel, y, x] of an image, and its beams in arcsec, arcsec, deg."""
    ia = image()
    ia.open(name)
    pixels = np.atleast_3d(np.squeeze(ia.getchunk()).T)
    pixels = pixels.reshape(1, *pixels.shape[:2]).astype(np.float32)
    beam = ia.restoringbeam()
    ia.close()
    return pixels, beam


def plain(value):
    """tclean's return value as JSON has it."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def main():
    ms = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as work:
        source = pathlib.Path(work)
        (source / "casa").mkdir()
        os.chdir(work)
        for name, more in RUNS.items():
            args = {**COMMON, **more}
            ret = tclean(vis=ms, imagename=name, **args)
            out = {}
            for product in ("image", "residual", "model"):
                out[product], beam = planes(f"{name}.{product}")
                if product == "image":
                    beam = [beam["major"]["value"], beam["minor"]["value"],
                            beam["positionangle"]["value"]]
                    out["beams_arcsec_arcsec_deg"] = np.array([beam])
            out["sumwt"] = planes(f"{name}.sumwt")[0].reshape(-1).astype(np.float64)
            np.savez(source / "casa" / f"{name}.npz", **out)
            record = dict(args=dict(vis="small.ms", imagename="im", **args), ret=plain(ret))
            (source / "casa" / f"{name}.json").write_text(json.dumps(record))
            print(f"{name:12} {make_goldens.make_golden(source, name, KEEP[name]):>9}", flush=True)


if __name__ == "__main__":
    main()
