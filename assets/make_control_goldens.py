"""What tclean's iteration control does, and what it makes of channels with little or no data.

    python make_control_goldens.py SMALL_MS PATCHED_MS > goldens/control.json

with casatasks 6.7. SMALL_MS is `ms/small.ms.tar.xz` unpacked; PATCHED_MS a copy of it that
`tests/interop/patch_ms.py` has been run on. For every run: its arguments, the return value (the members
that bear on control), and per channel sumwt, beam of the PSF, and of each product the least and the
largest value, the number of NaN, and the number of masked pixels.
"""

import json
import os
import sys
import tempfile

from casatasks import casalog, tclean
from casatools import image

casalog.filter("ERROR")
SMALL, PATCHED = (os.path.abspath(p) for p in sys.argv[1:])
COMMON = dict(
    datacolumn="corrected", specmode="cube", gridder="standard", imsize=[256, 256], cell="0.1arcsec",
    outframe="TOPO", interpolation="nearest", weighting="briggs", robust=0.5, pblimit=0.2, restart=False,
    fullsummary=True,
)
CIRCLE = dict(start=10, nchan=4, mask="circle[[128pix,128pix],50pix]")
AUTO = dict(
    usemask="auto-multithresh", sidelobethreshold=2.5, noisethreshold=5.0, lownoisethreshold=1.5,
    negativethreshold=7.0, minbeamfrac=0.3, growiterations=50,
)
RUNS = {
    # Every channel may take cycleniter components a cycle; niter is compared afterwards.
    "niter_low": dict(vis=SMALL, niter=30, **CIRCLE),
    "cycleniter": dict(vis=SMALL, niter=300, cycleniter=40, **CIRCLE),
    "threshold": dict(vis=SMALL, niter=2000, threshold="30mJy", nsigma=0.0, **CIRCLE),
    "nmajor": dict(vis=SMALL, niter=100000, nmajor=1, **CIRCLE),
    "nsigma": dict(vis=SMALL, niter=100000, nsigma=5.0, **CIRCLE),
    # Blank, odd and noisy channels.
    "odd_dirty": dict(vis=PATCHED, start=8, nchan=8, niter=0),
    "odd_common": dict(vis=PATCHED, start=8, nchan=8, niter=0, restoringbeam="common"),
    "noise_alone": dict(vis=PATCHED, start=13, nchan=1, niter=3000, threshold="5mJy", **AUTO),
    "blank_alone": dict(vis=PATCHED, start=9, nchan=1, niter=3000, threshold="5mJy", **AUTO),
}
KEPT = ("iterdone", "nmajordone", "niter", "nsigma", "threshold", "stopcode", "stopDescription",
        "summarymajor", "summaryminor")


def plain(value):
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def products(name):
    """[least, largest, NaN pixels, masked pixels] of each channel of each product."""
    tool, found = image(), {}
    for product in ("psf", "residual", "model", "mask", "image", "pb", "sumwt"):
        if not os.path.isdir(f"{name}.{product}"):
            continue
        tool.open(f"{name}.{product}")
        values, good = tool.getchunk(), tool.getchunk(getmask=True)
        found[product] = [
            [float(values[..., c].min()), float(values[..., c].max()),
             int((values[..., c] != values[..., c]).sum()), int((~good[..., c]).sum())]
            for c in range(values.shape[3])
        ]
        if product in ("psf", "image"):
            beams = tool.restoringbeam()
            one = [beams] if "major" in beams else [b["*0"] for _, b in sorted(beams["beams"].items())]
            found[f"{product}_beams"] = [
                [b["major"]["value"], b["minor"]["value"], b["positionangle"]["value"]] for b in one
            ] if beams else []
        tool.close()
    return found


def main():
    goldens = {}
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        for name, own in RUNS.items():
            args = {**COMMON, **own}
            try:
                ret = tclean(imagename=name, **args)
                ret = {k: plain(ret[k]) for k in KEPT if k in ret}
                found = products(name)
            except Exception as error:  # recorded: what tclean refuses is a fact, too
                ret, found = {"refused": str(error)[:200]}, {}
            args["vis"] = "patched.ms" if args["vis"] == PATCHED else "small.ms"
            goldens[name] = {"args": args, "ret": ret, "channels": found}
    json.dump(goldens, sys.stdout, separators=(",", ":"))
    print()


main()
