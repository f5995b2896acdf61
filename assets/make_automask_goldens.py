#!/usr/bin/env python3
"""Records what CASA's auto-multithresh makes of given residuals, round by round.

    python assets/make_automask_goldens.py SMALL_MS     (with casatasks and casatools 6.7, and numpy)

Writes goldens/automask/NAME.npz and .json. tclean's own mask maker is driven through the tool
`synthesisdeconvolver`: setupmask() once per round on a residual put in place beforehand, and one
iteration of a minor cycle with a vanishing gain in between, since masks grow only after one. So
gridding plays no part, and a mask depends on nothing but what is recorded:

NAME.npz   residual  int16 [round, y, x], times `step` (f32 product) gives Jy/beam: the very floats
                     that CASA saw; pixels that CASA saw as they are, also outside the region
           mask      uint8, packed along x: CASA's mask after each round
           pb        uint8 [y, x], times 1/250: primary beam, where the case has one
NAME.json  parameters, sidelobe level, beam (arcsec, arcsec, deg), cell, and the rows of CASA's
           verbose table

Real cases are residuals of tclean runs on `small` (256 x 256), taken by stopping it after 0, 1, ...
major cycles; the others are noise and Gaussians (128 x 128) made to separate one rule from another.
"""

import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import numpy as np
from casatasks import casalog, tclean
from casatasks.private.imagerhelpers.input_parameters import ImagerParameters
from casatools import image, synthesisdeconvolver

HERE = pathlib.Path(__file__).resolve().parent / "goldens" / "automask"
STANDARD = dict(sidelobethreshold=2.5, noisethreshold=5.0, lownoisethreshold=1.5,
                negativethreshold=7.0, minbeamfrac=0.3, growiterations=50, fastnoise=True)
NOISE = dict(sidelobethreshold=0.0, noisethreshold=5.0, lownoisethreshold=1.5,
             negativethreshold=0.0, minbeamfrac=0.3, growiterations=50, fastnoise=True)


def read(name):
    ia = image()
    ia.open(name)
    pixels = np.squeeze(ia.getchunk()).T
    beam = ia.restoringbeam()
    ia.close()
    return pixels, beam


def write(name, pixels):
    ia = image()
    ia.open(name)
    old = ia.getchunk()
    ia.putchunk(np.asarray(pixels).T.reshape(old.shape))
    ia.close()


def run_tclean(ms, name, channel, imsize, **more):
    tclean(vis=ms, imagename=name, datacolumn="corrected", specmode="cube", gridder="standard",
           imsize=[imsize] * 2, cell="0.1arcsec", stokes="I", nchan=1, start=channel, width=1,
           outframe="TOPO", interpolation="nearest", weighting="briggs", robust=0.5,
           perchanweightdensity=True, deconvolver="hogbom", restoringbeam="", restart=False,
           parallel=False, veltype="radio", restfreq="230.538GHz", **more)


class Masker:
    """CASA's mask maker on a copy of a dirty run's products."""

    def __init__(self, dirty, work, parameters, pb=None, pblimit=0.2):
        self.work = work
        shutil.copytree(dirty, work)
        if pb is not None:
            write(f"{work}/im.pb", pb)
            for product in ("pb", "residual"):
                ia = image()
                ia.open(f"{work}/im.{product}")
                ia.maskhandler("delete", ia.maskhandler("get"))
                ia.close()
                ia.open(f"{work}/im.{product}")
                ia.calcmask(f'"{work}/im.pb" > {pblimit}', name="mask0", asdefault=True)
                ia.close()
        shutil.copytree(f"{work}/im.residual", f"{work}/blank")
        self.log = f"{work}/casa.log"
        casalog.setlogfile(self.log)
        p = ImagerParameters(imagename=f"{work}/im", specmode="cube", deconvolver="hogbom",
                             usemask="auto-multithresh", verbose=True, niter=1000, **parameters)
        arguments = p.getDecPars()["0"]
        arguments["imagename"] = f"{work}/im"
        self.tool = synthesisdeconvolver()
        self.tool.setupdeconvolution(decpars=arguments)
        self.rounds = 0

    def round(self, residual, at_clean_threshold):
        # A fresh image every time: CASA keeps statistics with it.
        shutil.rmtree(f"{self.work}/im.residual")
        shutil.copytree(f"{self.work}/blank", f"{self.work}/im.residual")
        write(f"{self.work}/im.residual", residual)
        if self.rounds == 0:
            self.tool.initminorcycle()
        self.tool.setupmask()
        summary = self.tool.initminorcycle()
        self.sidelobe = float(summary["maxpsfsidelobe"])
        self.tool.executeminorcycle(iterbotrecord=dict(
            cycleniter=1, cyclethreshold=0.0, loopgain=1e-9, nsigma=0.0,
            thresholdreached=at_clean_threshold))
        self.rounds += 1
        return read(f"{self.work}/im.mask")[0] > 0

    def table(self):
        """Rows of the verbose table."""
        rows = []
        for line in open(self.log):
            if not re.search(r"\[C0\] [TF] ", line):
                continue
            word = re.sub(r"[\[\]]", " ", line.split("[C0]")[1]).split()
            number = lambda w: None if w == "--" else float(w)
            rows.append(dict(masking=word[0] == "T", median=number(word[1]), rms=number(word[2]),
                             peak=float(word[3]), type=word[4], threshold=number(word[5]),
                             regions=int(word[6]), pruned=int(word[7]), grown=int(word[8]),
                             grown_pruned=int(word[9]), negative=int(word[10])))
        return rows


def record(name, dirty, residuals, parameters, pb=None, pblimit=0.2, at_clean_threshold=None,
           step=2e-4):
    """Rounds residuals to integers, has CASA mask them, and writes the golden."""
    step = np.float32(max(step, max(abs(r).max() for r in residuals) / 32000))
    integers = np.array([np.rint(r / step) for r in residuals]).astype(np.int16)
    if pb is not None:
        pb = np.rint(pb * 250).astype(np.uint8)
    reached = at_clean_threshold or [False] * len(residuals)
    with tempfile.TemporaryDirectory() as work:
        beams = pb.astype(np.float32) / np.float32(250) if pb is not None else None
        masker = Masker(dirty, f"{work}/w", parameters, beams, pblimit)
        masks = [masker.round(k.astype(np.float32) * step, r) for k, r in zip(integers, reached)]
        masker.tool.done()
        beam = read(f"{work}/w/im.psf")[1]
        beam = [beam["major"]["value"], beam["minor"]["value"], beam["positionangle"]["value"]]
        info = dict(parameters=parameters, pblimit=pblimit, sidelobe_level=masker.sidelobe,
                    beam_arcsec_arcsec_deg=beam, cell_arcsec=0.1, at_clean_threshold=reached,
                    pixels=[int(m.sum()) for m in masks], table=masker.table())
    HERE.mkdir(parents=True, exist_ok=True)
    arrays = dict(residual=integers, step=np.array([step]), mask=np.packbits(masks, axis=-1))
    if pb is not None:
        arrays["pb"] = pb
    np.savez_compressed(HERE / f"{name}.npz", **arrays)
    (HERE / f"{name}.json").write_text(json.dumps(info, indent=1) + "\n")
    print(f"{name:20}", (HERE / f"{name}.npz").stat().st_size, info["pixels"], flush=True)
    return info["pixels"]


def real_case(ms, scratch, name, channel, rounds, pblimit=0.2, pb=False, reached=None, **more):
    """Residuals of a tclean run stopped after 0, 1, ... major cycles."""
    mask = {**STANDARD, **{k: v for k, v in more.items() if k not in ("cyclefactor", "nsigma")}}
    other = {k: v for k, v in more.items() if k in ("cyclefactor", "nsigma")}
    residuals = []
    for n in range(rounds):
        where = f"{scratch}/{name}{n}"
        os.makedirs(where)
        run_tclean(ms, f"{where}/im", channel, 256, pblimit=pblimit, usemask="auto-multithresh",
                   niter=20000 if n else 0, nmajor=n if n else -1, threshold="5mJy",
                   restoration=False, **mask, **other)
        residuals.append(read(f"{where}/im.residual")[0])
    beam = read(f"{scratch}/{name}0/im.pb")[0] if pb else None
    shutil.rmtree(f"{scratch}/{name}0/im.mask", ignore_errors=True)
    shutil.rmtree(f"{scratch}/{name}0/im.model", ignore_errors=True)
    record(name, f"{scratch}/{name}0", residuals, mask, beam, pblimit, reached, step=0.0)


Y, X = np.mgrid[:128, :128]


def gaussian(x, y, flux, width):
    return flux * np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * width**2))


def sequence(seed, rounds=3, offset=0.0, negative=-0.3):
    """Sources that shrink and spread from round to round, on the noise of a seed."""
    rng = np.random.default_rng(seed)
    sources = [(*rng.uniform(4, 124, 2), rng.uniform(0.05, 0.3), rng.uniform(2, 7))
               for _ in range(5)]
    planes = []
    for i in range(rounds):
        plane = rng.standard_normal((128, 128)) * 0.01 + offset
        for x, y, flux, width in sources:
            plane += gaussian(x, y, flux / (1 + 1.5 * i), width * (1 + 0.3 * i))
        plane += gaussian(90, 100, negative / (1 + i), 5) + gaussian(93, 101, 0.1 * i, 4)
        planes.append(plane)
    return planes


def synthetic_cases(dirty):
    noise = np.clip(np.random.default_rng(1).standard_normal((128, 128)) * 0.01, -0.03, 0.03)
    shapes = noise.copy()  # which pixels make one region, at 14.8 pixels the smallest kept
    shapes[10, 10:25] = 1.0
    shapes[10, 60:74] = 1.0
    for i in range(20):
        shapes[30 + i, 10 + i] = 1.0
    shapes[70:72, 10:14] = shapes[72:74, 14:18] = 1.0
    shapes[70:74, 60:64] = 0.5
    shapes[0:5, 123:128] = shapes[124:128, 0:6] = 1.0
    record("regions", dirty, [shapes], NOISE)
    single = noise.copy()
    single[64, 64] = 1.0
    square = single.copy()
    square[90:110, 20:40] = 1.0
    record("smoothing", dirty, [single, square],
           {**NOISE, "minbeamfrac": 0.0, "smoothfactor": 1.5, "cutthreshold": 0.003})
    record("grow", dirty, sequence(1, 4), {**NOISE, "negativethreshold": 5.0})
    record("grow_steps", dirty, sequence(2),
           {**NOISE, "growiterations": 2, "dogrowprune": False, "minbeamfrac": 0.1})
    record("grow_off", dirty, sequence(3), {**NOISE, "growiterations": 0})
    record("offset", dirty, sequence(4, offset=0.02),
           {**NOISE, "negativethreshold": 5.0, "sidelobethreshold": 2.0})
    record("sidelobes", dirty, sequence(5, offset=-0.003, negative=-1.0),
           {**STANDARD, "sidelobethreshold": 3.0, "lownoisethreshold": 3.0})
    record("outside", dirty, sequence(6, 4), {**NOISE, "fastnoise": False, "negativethreshold": 6.0})
    record("empty", dirty, [noise, sequence(7)[0]], NOISE)
    record("only_absorption", dirty, [noise + gaussian(64, 64, -0.3, 4), sequence(8)[1]],
           {**NOISE, "negativethreshold": 5.0})
    same = sequence(9)[:2]
    jitter = np.random.default_rng(10).standard_normal((128, 128)) * 0.0005
    planes = [same[0], same[1], same[1] + jitter, same[0] + gaussian(20, 110, 0.5, 4)]
    record("minpercentchange", dirty, planes, {**NOISE, "minpercentchange": 5.0},
           at_clean_threshold=[False, True, True, True])
    record("minpercentchange_not", dirty, planes, {**NOISE, "minpercentchange": 5.0},
           at_clean_threshold=[True, False, False, False])
    r = np.hypot(Y - 64, X - 64)
    pb = np.exp(-4 * np.log(2) * (r / 70) ** 2)
    wide = sequence(11)
    for plane in wide:
        plane += gaussian(64 + 53, 64, 0.3, 5) + gaussian(64 - 40, 64, 0.3, 5)
        plane -= gaussian(64, 64 + 53, 0.3, 5)
        plane[pb < 0.1] *= 3
    record("pblimit", dirty, wide, {**NOISE, "negativethreshold": 5.0}, pb=pb)
    record("pbmask", dirty, wide,
           {**NOISE, "negativethreshold": 5.0, "pbmask": 0.5, "fastnoise": False}, pb=pb)


def main():
    ms = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)
        os.makedirs("dirty")
        run_tclean(ms, "dirty/im", 10, 128, niter=0, pblimit=0.2, usemask="user",
                   restoration=False)
        synthetic_cases("dirty")
        real_case(ms, scratch, "one_10", 10, 4)
        real_case(ms, scratch, "fn_10", 10, 4, sidelobethreshold=2.0, noisethreshold=4.25,
                  negativethreshold=0.0, fastnoise=False, minpercentchange=1.0, cyclefactor=1.5,
                  reached=[False, False, True, True])
        real_case(ms, scratch, "fn_16", 16, 4, pblimit=0.4, pb=True, fastnoise=False,
                  minpercentchange=1.0, reached=[False, False, True, True])
        os.chdir("/")


if __name__ == "__main__":
    main()
