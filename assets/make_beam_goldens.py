#!/usr/bin/env python3
"""Records the beams that CASA fits to PSFs of known shape.

    python assets/make_beam_goldens.py SMALL_MS     (with casatasks and casatools 6.7, and numpy)

Writes goldens/psf_fits.json: rows of [a, b, pa, major, minor, position angle], the shape of a PSF
(see `psf`; pixels, pixels, deg) and the beam that tclean's own fit makes of it (the same units). The
PSF takes the place of that of a dirty image, before the tool `synthesisnormalizer` normalises and
fits it. The PSFs are not quite Gaussian, so that the fit depends on which samples it uses: the beams
of 2.5 to 60 pixels tell how finely CASA interpolates, and how far it follows the main lobe.
"""

import json
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np
from casatasks import tclean
from casatools import image, synthesisnormalizer

N = 256
CELL_ARCSEC = 0.1
SHAPES = [(a, 0.8 * a, pa) for a in (2.5, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28)
          for pa in (0, 90)]
SHAPES += [(a, 0.4 * a, pa) for a in (4, 6, 8, 10, 12, 15, 18, 21, 24, 27, 30, 34, 40, 60)
           for pa in (0, 37, 90)]


def psf(a, b, pa):
    """Peak 1 at pixel N/2: a Gaussian of full widths a, b less up to 5 % of itself."""
    y, x = np.mgrid[:N, :N]
    l, m = N / 2 - x, y - N / 2
    sin, cos = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    u, v = (l * sin + m * cos) / a, (l * cos - m * sin) / b
    gaussian = np.exp(-4 * np.log(2) * (u**2 + v**2))
    return (gaussian * (1 - 0.05 * np.sin(4 * u) ** 2 * (1 + 0.3 * np.cos(3 * v)))).astype("f4")


def fit(dirty, work, pixels):
    """CASA's beam for a PSF, in pixels, pixels, deg."""
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(dirty, work)
    ia = image()
    ia.open(f"{work}/im.sumwt")
    sumwt = ia.getchunk().ravel()[0]
    ia.close()
    ia.open(f"{work}/im.psf")
    ia.putchunk((pixels * sumwt).T.reshape(ia.shape()))
    ia.setrestoringbeam(remove=True)
    ia.close()
    tool = synthesisnormalizer()
    tool.setupnormalizer(dict(imagename=f"{work}/im", pblimit=0.2, nterms=1, facets=1, workdir="",
                              normtype="flatnoise", deconvolver="hogbom", restoringbeam=[],
                              psfcutoff=0.35))
    tool.gatherpsfweight()
    tool.dividepsfbyweight()
    tool.done()
    ia.open(f"{work}/im.psf")
    beam = ia.restoringbeam()
    ia.close()
    return [beam["major"]["value"] / CELL_ARCSEC, beam["minor"]["value"] / CELL_ARCSEC,
            beam["positionangle"]["value"]]


def main():
    ms = os.path.abspath(sys.argv[1])
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        os.makedirs("dirty")
        tclean(vis=ms, imagename="dirty/im", datacolumn="corrected", specmode="cube",
               gridder="standard", imsize=[N, N], cell=f"{CELL_ARCSEC}arcsec", nchan=1, start=10,
               width=1, outframe="TOPO", interpolation="nearest", weighting="natural", niter=0,
               restoration=False, restart=False, parallel=False)
        for shape in SHAPES:
            rows.append([*shape, *(round(v, 7) for v in fit("dirty", "work", psf(*shape)))])
        os.chdir("/")
    path = pathlib.Path(__file__).resolve().parent / "goldens" / "psf_fits.json"
    path.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
