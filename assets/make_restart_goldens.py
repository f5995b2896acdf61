#!/usr/bin/env python3
"""Makes goldens/restart_*: what CASA's tclean does when it continues from products of an earlier run.

    PYTHON_WITH_CASATASKS assets/make_restart_goldens.py SMALL_MS

SMALL_MS is `small.ms`, unpacked from assets/ms. Each golden is of channel 10, in two runs:

* restart_10: 300 components in a circle; then 200 more, with restart=True, calcres=False,
  calcpsf=False and mask='' (the mask of the first run goes on).
* restart_auto_10: the same with auto-multithresh, 600 and 600 components: the mask of the first run is where the
  second run's begins.
* startmodel_10: niter=0 with the model of restart_10's first run as startmodel; no planes but that model.

NAME.json holds the arguments of the second run (`args`), what it returned (`ret`), and both of the
first run (`first_args`, `first_ret`). NAME.npz is as make_goldens.py makes it, of the second run's products.
"""

import json
import pathlib
import shutil
import sys
import tempfile

import casatasks
import casatools
import numpy as np

from make_goldens import HERE, fold

BASE = dict(
    datacolumn="corrected", specmode="cube", gridder="standard", imsize=[256, 256], cell="0.1arcsec",
    stokes="I", nchan=1, start=10, width=1, outframe="TOPO", interpolation="nearest", weighting="briggs",
    robust=0.5, perchanweightdensity=True, deconvolver="hogbom", pblimit=0.2, restfreq="230.538GHz",
    fullsummary=True, parallel=False, gain=0.1, threshold="0Jy", pbcor=True,
)
CIRCLE = dict(usemask="user", mask="circle[[128pix,128pix],50pix]")
AUTO = dict(
    usemask="auto-multithresh", sidelobethreshold=2.5, noisethreshold=5.0, lownoisethreshold=1.5,
    negativethreshold=7.0, minbeamfrac=0.3, growiterations=50,
)
CONTINUE = dict(restart=True, calcres=False, calcpsf=False, mask="")


def plane(path):
    """[channel, y, x]"""
    image = casatools.image()
    image.open(path)
    pixels = image.getchunk()
    image.close()
    return pixels[:, :, 0, :].T.astype(np.float32)


def beams(path):
    image = casatools.image()
    image.open(path)
    beam = image.restoringbeam()
    image.close()
    return np.array([[beam["major"]["value"], beam["minor"]["value"], beam["positionangle"]["value"]]])


def plain(value):
    """numpy's numbers and arrays, and dictionaries with numbers for names, as JSON has them."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def tclean(vis, imagename, **arguments):
    arguments = {**BASE, **arguments}
    returned = casatasks.tclean(vis=vis, imagename=imagename, **arguments)
    return {"vis": "small.ms", "imagename": "im", **arguments}, plain(returned)


def write(name, imagename, runs, keep):
    (first_args, first_ret), (args, ret) = runs
    out = {
        "sumwt": plane(imagename + ".sumwt").reshape(-1).astype(np.float64),
        "beams_arcsec_arcsec_deg": beams(imagename + ".psf"),
    }
    for key in keep:
        planes = plane(f"{imagename}.{key}")
        out[f"{key}.channels"] = np.array([0], np.int64)
        if key == "mask":
            out[key] = np.packbits(planes.astype(bool), axis=-1)
        elif key == "model":
            flat = planes.reshape(-1)
            out["model.index"] = np.flatnonzero(flat).astype(np.int64)
            out["model.value"] = flat[out["model.index"]]
            out["model.shape"] = np.array(planes.shape, np.int64)
        else:
            step = 2e-6 * float(np.abs(planes).max())
            out[f"{key}.step"] = np.array([step])
            out[f"{key}.bytes"] = fold(planes, step)
    path = HERE / "goldens" / f"{name}.npz"
    np.savez_compressed(path, **out)
    record = {"args": args, "ret": ret, "first_args": first_args, "first_ret": first_ret}
    path.with_suffix(".json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    print(f"{name:24} {path.stat().st_size:>9}")


def main():
    vis = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as directory:
        circle, auto, started = (f"{directory}/{n}" for n in ("circle", "auto", "started"))
        first = tclean(vis, circle, niter=300, **CIRCLE)
        model = f"{directory}/first.model"
        shutil.copytree(circle + ".model", model)
        runs = (first, tclean(vis, circle, niter=200, **{**CIRCLE, **CONTINUE}))
        write("restart_10", circle, runs, ["image", "model"])
        first = tclean(vis, auto, niter=600, mask="", **AUTO)
        runs = (first, tclean(vis, auto, niter=600, **{**AUTO, **CONTINUE}))
        write("restart_auto_10", auto, runs, ["mask"])
        run = tclean(vis, started, niter=0, startmodel=model)
        run[0]["startmodel"] = "first.model"
        write("startmodel_10", started, (runs[0], run), ["model"])


if __name__ == "__main__":
    main()
