"""How each program is asked to do the same job. `job` is a dict: pixels, channels, cell_arcsec,
iterations (of a cycle and channel; 0: a dirty cube), cycles, radius (of the mask, pixels), workers, ms."""

import glob
import json
import os
import shlex
import shutil

from measure import watched

# The call alone is timed: importing casatasks takes seconds, and is paid once a session. The
# processor's time includes that of the workers, which have ended by then.
CASA = """
import json, os, sys
if __name__ == "__main__":
    module, name, arguments = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    function = getattr(__import__(module), name)
    import time
    before, start = os.times(), time.time()
    function(**arguments)
    after = os.times()
    print("RESULT", json.dumps([time.time() - start, sum(after[:4]) - sum(before[:4])]))
"""


def casa_arguments(job):
    """tclean's arguments, which pclean and cubeclean share. The data's frequencies are LSRK, so that none of
    them has to convert any."""
    n = job["pixels"]
    arguments = dict(
        vis=job["ms"], datacolumn="data", specmode="cube", imsize=[n, n],
        cell=f"{job['cell_arcsec']:.15g}arcsec", outframe="LSRK", interpolation="nearest",
        gridder="standard", weighting="natural", deconvolver="hogbom", niter=0,
        nchan=job["channels"],
    )
    if job["iterations"]:
        # So many components a cycle and channel, and so many cycles: no threshold ends a cycle.
        arguments.update(
            niter=10**8, cycleniter=job["iterations"], nmajor=job["cycles"], threshold="0Jy",
            cyclefactor=1e-6, minpsffraction=1e-6, gain=0.1,
            mask=f"circle[[{n // 2}pix,{n // 2}pix],{job['radius']:.1f}pix]",
        )
    return arguments


class Program:
    """One way to do a job. `version` says which program it is; `dirty` where the dirty cube is."""

    def __init__(self, name, options):
        self.name, self.options = name, options

    def missing(self):
        """Why it cannot be run, or None."""
        return None

    def image(self, cwd, channel):
        """File, and channel in it, of the dirty image (or residual) of a channel."""
        return os.path.join(cwd, "im.residual"), channel


class Cubeclean(Program):
    def __init__(self, name, options, wterm):
        super().__init__(name, options)
        self.wterm = wterm

    def missing(self):
        return None if os.path.exists(self.options.cubeclean) else f"no {self.options.cubeclean}"

    def run(self, job, cwd):
        words = []
        for name, value in casa_arguments(job).items():
            words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
        if job["iterations"]:
            words[words.index("--niter") + 1] = str(job["iterations"] * job["cycles"])
        command = [self.options.cubeclean, "image", "--imagename", "im", "--backend", "cpu", "--quiet",
                   "--threads", str(job["workers"]), "--wterm", self.wterm, "--summary", "im.json", *words]
        figures = watched(command, cwd)
        if job["iterations"] and not figures["failed"]:
            with open(os.path.join(cwd, "im.json")) as file:
                figures["iterations"] = json.load(file)["iterdone"]
        return figures


class Casa(Program):
    """tclean, or pclean, which drives the same library."""

    def __init__(self, name, options, module, function, more):
        super().__init__(name, options)
        self.module, self.function, self.more = module, function, more
        self.python = os.path.join(options.peers, "casa/bin/python")

    def missing(self):
        return None if os.path.exists(self.python) else f"no {self.python}: run install.sh"

    def run(self, job, cwd):
        arguments = {**casa_arguments(job), **self.more(job), "imagename": "im"}
        script = os.path.join(cwd, "call.py")
        with open(script, "w") as file:
            file.write(CASA)
        env = {"CASASITECONFIG": os.path.join(self.options.peers, "casasite.py")}
        if job["workers"] > 0:
            env["OMP_NUM_THREADS"] = str(job["workers"])
        figures = watched([self.python, script, self.module, self.function, json.dumps(arguments)],
                          cwd, env)
        lines = [l for l in figures["text"].splitlines() if l.startswith("RESULT")]
        if lines:
            figures["wall"], figures["cpu"] = json.loads(lines[-1][len("RESULT"):])
        figures["failed"] = not lines
        return figures


class Wsclean(Program):
    def __init__(self, name, options, more):
        super().__init__(name, options)
        self.more = more

    def missing(self):
        return None if shutil.which("wsclean") else "wsclean is not installed: run install.sh"

    def run(self, job, cwd):
        n, channels = str(job["pixels"]), job["channels"]
        command = ["wsclean", "-name", "im", "-size", n, n, "-scale", f"{job['cell_arcsec']:.15g}asec",
                   "-channels-out", str(channels), "-pol", "I", "-weight", "natural",
                   "-data-column", "DATA", "-no-update-model-required", "-make-psf",
                   "-j", str(job["workers"]), "-quiet", *self.more]
        if job["iterations"]:
            # Each channel alone, as in the others; its cycles end by -mgain, not by a count.
            command += ["-niter", str(job["iterations"] * job["cycles"]), "-gain", "0.1", "-mgain", "0.8",
                        "-nmiter", str(job["cycles"]), "-fits-mask", job["fits_mask"]]
        return watched([*command, job["ms"]], cwd)

    def image(self, cwd, channel):
        names = sorted(glob.glob(os.path.join(cwd, "im-0*-dirty.fits")))
        if not names:
            names = glob.glob(os.path.join(cwd, "im-dirty.fits"))
        return names[channel], 0


class CasaRs(Program):
    """casa-rs, or any other program: a command with {ms}, {imagename}, {pixels}, {cell} (arcsec),
    {channels}, {niter} and {threads} in it, that leaves {imagename}.residual."""

    def run(self, job, cwd):
        niter = job["iterations"] * job["cycles"]
        command = self.options.casa_rs.format(
            ms=job["ms"], imagename="im", pixels=job["pixels"], cell=f"{job['cell_arcsec']:.15g}",
            channels=job["channels"], niter=niter, threads=job["workers"])
        return watched(shlex.split(command), cwd)


def all_programs(options):
    """Those that the options ask for, cubeclean first."""
    found = [
        Cubeclean("cubeclean, exact w-term (default)", options, "exact"),
        Cubeclean("cubeclean --wterm none", options, "none"),
        # By default it makes a smaller image and enlarges it, which errs by 3e-3 at the edges.
        Wsclean("WSClean -use-wgridder -no-small-inversion", options, ["-use-wgridder", "-no-small-inversion"]),
        Wsclean("WSClean -use-wgridder", options, ["-use-wgridder"]),
        Casa("tclean", options, "casatasks", "tclean", lambda job: dict(restart=False, parallel=False)),
        Casa("pclean, a worker per core", options, "pclean", "pclean",
             lambda job: dict(parallel=True, nworkers=job["workers"])),
    ]
    if options.casa_rs:
        found.append(CasaRs("casa-rs", options))
    wanted = options.programs.split(",") if options.programs else None
    return [p for p in found if wanted is None or any(p.name.startswith(w) for w in wanted)]
