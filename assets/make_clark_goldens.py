#!/usr/bin/env python3
"""Makes goldens/clark_10 and clark_16: tclean with deconvolver='clark' on one channel of `small` each.

    python assets/make_clark_goldens.py SMALL_MS     (with casatasks and casatools 6.7, and numpy)

The runs are those of `hog_fixed_usermask` (briggs 0.5, TOPO, nearest, the same circle as mask) with one
channel each, down to 5 mJy. Files are as `make_goldens.py` makes them.
"""

import json
import os
import pathlib
import sys
import tempfile

import numpy as np
from casatasks import tclean
from casatools import image

from make_goldens import HERE, fold, unfold

KEEP = {10: ("image", "residual", "model"), 16: ("image", "model")}


def read(name):
    ia = image()
    ia.open(name)
    pixels, beam = np.squeeze(ia.getchunk()).T, ia.restoringbeam()
    ia.close()
    return pixels, beam


def width(beam, key):
    return beam[key]["value"]


def make(ms, channel):
    args = dict(
        vis=ms, imagename="im", datacolumn="corrected", specmode="cube", gridder="standard",
        imsize=[256, 256], cell="0.1arcsec", phasecenter="", stokes="I", nchan=1, start=channel,
        width=1, outframe="TOPO", interpolation="nearest", weighting="briggs", robust=0.5,
        perchanweightdensity=True, deconvolver="clark", restoringbeam="", pbcor=False,
        usemask="user", mask="circle[[128pix,128pix],50pix]", niter=5000, threshold="5mJy",
        pblimit=0.2, restart=False, fullsummary=True, calcpsf=True, calcres=True,
        restoration=True, parallel=False, veltype="radio", restfreq="230.538GHz",
    )
    ret = tclean(**args)
    planes = {key: read(f"im.{key}")[0][np.newaxis] for key in KEEP[channel]}
    beam = read("im.image")[1]
    assert beam["major"]["unit"] == "arcsec" and beam["positionangle"]["unit"] == "deg"
    out = {
        "sumwt": np.atleast_1d(read("im.sumwt")[0]).astype(np.float64),
        "beams_arcsec_arcsec_deg": np.array(
            [[width(beam, key) for key in ("major", "minor", "positionangle")]]
        ),
    }
    step = 2e-6 * float(np.abs(planes["image"]).max())
    for key, plane in planes.items():
        out[f"{key}.channels"] = np.array([0], np.int64)
        if key == "model":  # sparse: exact
            flat = plane.reshape(-1)
            out["model.index"] = np.flatnonzero(flat).astype(np.int64)
            out["model.value"] = flat[out["model.index"]].astype(np.float32)
            out["model.shape"] = np.array(plane.shape, np.int64)
        else:
            out[f"{key}.step"] = np.array([step])
            out[f"{key}.bytes"] = fold(plane, step)
            assert np.abs(unfold(out[f"{key}.bytes"], step) - plane).max() <= 0.55 * step
    name = HERE / "goldens" / f"clark_{channel}"
    np.savez_compressed(name.with_suffix(".npz"), **out)
    args["vis"] = "small.ms"
    record = {"args": args, "ret": ret}
    text = json.dumps(record, separators=(",", ":"), default=lambda value: value.tolist())
    name.with_suffix(".json").write_text(text + "\n")


def main():
    ms = str(pathlib.Path(sys.argv[1]).resolve())
    for channel in KEEP:
        with tempfile.TemporaryDirectory() as scratch:
            os.chdir(scratch)
            make(ms, channel)
            os.chdir("/")


if __name__ == "__main__":
    main()
