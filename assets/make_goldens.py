#!/usr/bin/env python3
"""Makes what assets/ carries from the full set of test data.

    python3 assets/make_goldens.py SOURCE [goldens|ms|all]

SOURCE holds `ms/*.ms.tar.xz` (MeasurementSets) and `casa/*.npz, *.json` (products of CASA tclean
runs as float32 arrays [channel, y, x], with arguments and return values). assets/README.md says
what each is and where it comes from. Only numpy is needed.

Two things keep the files small, and neither loses what a test looks at:

* Archives are recompressed with literal/position bits that fit 4-byte floats (lc=2, lp=2).
* Noise does not compress, so planes of floats are stored as integers: x = k * step with
  step = 2e-6 of the largest |value| of the run's brightest product, hence |error| <= 1e-6 of that
  peak (the comparisons with CASA are good to 1e-3 of the peak at best). The integers are
  differenced twice along x and along y, which takes out what is smooth over a beam, folded to
  unsigned (zigzag) and split into planes of bytes. `tests/common/mod.rs` undoes this.
"""

import io
import json
import lzma
import pathlib
import sys
import tarfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 2, "lp": 2, "pb": 2}]

# What each golden keeps: key -> channels of the run ("all", or a list), of those in the source.
DIRTY = {"residual": [10, 24], "psf": [24]}
ONE = {"image": "all", "residual": "all", "model": "all", "mask": "all"}
CUBE = {"image": [10, 24], "residual": [10], "model": "all", "mask": "all"}
KEEP = {
    "dirty_nat": {"residual": [10, 24], "psf": [0, 24], "pb": [0, 24]},
    "dirty_uniform_topo": DIRTY,
    "dirty_briggs_topo": {"residual": [0, 10, 24], "psf": [0, 10, 24]},
    "dirty_bwt_topo": DIRTY,
    "dirty_nat_lsrk": {"residual": [10, 24], "psf": [10]},
    "dirty_nat_lsrk_near": {"residual": [10, 24], "psf": [10]},
    "ws_dirty_nat": DIRTY,
    "ws_dirty_briggs": DIRTY,
    "hog_fixed_usermask": {"image": [10, 24], "residual": [10, 24], "model": "all"},
    "one_10": {**ONE, "image_pbcor": "all"},
    "one_16": ONE,
    "one_24": ONE,
    "fn_10": ONE,
    "fn_16": {**ONE, "pb": "all"},
    "mpc_16": ONE,
    "cube_topo_near": CUBE,
    "cube_lsrk_lin_common": {"image": [1, 2, 10, 24], "image_pbcor": [10], "mask": "all"},
    "ngc5921": {"image": "all", "model": "all", "residual": [20], "psf": [20], "pb": [20]},
}
# Pixels outside pb >= 0.2 are set to zero in these (nothing is compared there).
ONLY_INSIDE_PB = {("ngc5921", "image")}
PB_MIN = 0.2
# Rounding of planes, relative to the run's peak. NGC 5921's images are compared to within the noise, which
# is 3e-2 of its peak.
ROUNDING = {"ngc5921": 1e-5}


def fold(planes, step):
    """Integers planes/step, twice differenced along x and y, as bytes [byte, channel, y, x]."""
    k = np.rint(planes.astype(np.float64) / step).astype(np.int64)
    for axis in (-1, -2, -1, -2):
        k = np.diff(k, axis=axis, prepend=0)
    unsigned = ((k << 1) ^ (k >> 63)).astype("<u4")
    return np.moveaxis(unsigned.view(np.uint8).reshape(*k.shape, 4), -1, 0).copy()


def unfold(folded, step):
    """The inverse, to check."""
    unsigned = np.moveaxis(folded, 0, -1).copy().view("<u4")[..., 0].astype(np.int64)
    k = (unsigned >> 1) ^ -(unsigned & 1)
    for axis in (-1, -2, -1, -2):
        k = np.cumsum(k, axis=axis)
    return (k * step).astype(np.float32)


def make_golden(source, name, keep):
    run = np.load(source / "casa" / f"{name}.npz")
    some = [int(c) for c in run["channels"]] if "channels" in run.files else None
    out = {key: run[key] for key in ("sumwt", "beams_arcsec_arcsec_deg")}
    nchan = len(run["sumwt"])
    brightest = max(np.abs(run[k]).max() for k in ("image", "residual") if k in run.files)
    for key, wanted in keep.items():
        planes = run[key]
        have = list(range(nchan)) if len(planes) == nchan else some
        channels = have if wanted == "all" else wanted
        planes = planes[[have.index(c) for c in channels]]
        if not np.isfinite(planes).all():
            raise SystemExit(f"{name} {key}: not finite")
        if (name, key) in ONLY_INSIDE_PB:
            planes = np.where(run["pb"].max(axis=0) >= PB_MIN, planes, 0)
        out[f"{key}.channels"] = np.array(channels, np.int64)
        if key == "mask":
            out[key] = np.packbits(planes.astype(bool), axis=-1)
        elif key == "model":  # sparse: exact
            flat = planes.reshape(-1)
            out["model.index"] = np.flatnonzero(flat).astype(np.int64)
            out["model.value"] = flat[out["model.index"]]
            out["model.shape"] = np.array(planes.shape, np.int64)
        else:
            step = 2 * ROUNDING.get(name, 1e-6) * float(1.0 if key in ("psf", "pb") else brightest)
            out[f"{key}.step"] = np.array([step])
            out[f"{key}.bytes"] = fold(planes, step)
            error = np.abs(unfold(out[f"{key}.bytes"], step) - planes).max()
            assert error <= 0.55 * step, (name, key, error, step)
    path = HERE / "goldens" / f"{name}.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **out)
    record = json.loads((source / "casa" / f"{name}.json").read_text())
    path.with_suffix(".json").write_text(json.dumps(record, separators=(",", ":")) + "\n")
    return path.stat().st_size


def make_truth(source):
    """The sky of `small`: two channels, and the point sources."""
    run = np.load(source / "casa" / "small_truth.npz")
    have = [int(c) for c in run["channels"]]
    keep = [10, 24]
    cube = run["cube"][[have.index(c) for c in keep]]
    step = 2e-6 * float(np.abs(cube).max())
    np.savez_compressed(
        HERE / "goldens" / "small_truth.npz",
        **{k: run[k] for k in ("points", "freq_hz")},
        cell_arcsec=np.atleast_1d(run["cell_arcsec"]),
        **{"cube.bytes": fold(cube, step), "cube.step": np.array([step])},
        channels=np.array(keep, np.int64),
    )


def repack(source, name, only=None):
    """Recompresses ms/NAME.ms.tar.xz; `only` keeps the files for which it holds."""
    out = io.BytesIO()
    with tarfile.open(source / "ms" / f"{name}.ms.tar.xz") as old, tarfile.open(
        fileobj=out, mode="w", format=tarfile.USTAR_FORMAT
    ) as new:
        for member in sorted(old.getmembers(), key=lambda m: m.name):
            inside = member.name.split("/", 1)[1] if "/" in member.name else ""
            if only and not only(member, inside):
                continue
            # One name for archive and directory, no owner: the same bytes whoever makes them.
            member.name = f"{name}.ms/{inside}".rstrip("/")
            member.uid = member.gid = member.mtime = 0
            member.uname = member.gname = ""
            member.mode = 0o755 if member.isdir() else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    packed = lzma.compress(out.getvalue(), format=lzma.FORMAT_XZ, filters=XZ)
    path = HERE / "ms" / f"{name}.ms.tar.xz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(packed)
    return len(packed)


def differing(source, name, base):
    """Which files of NAME are not, byte for byte, in BASE."""
    contents = {}
    with tarfile.open(source / "ms" / f"{base}.ms.tar.xz") as tar:
        for m in tar:
            if m.isfile():
                contents[m.name.split("/", 1)[1]] = tar.extractfile(m).read()
    found = set()
    with tarfile.open(source / "ms" / f"{name}.ms.tar.xz") as tar:
        for m in tar:
            inside = m.name.split("/", 1)[1] if "/" in m.name else ""
            if m.isfile() and contents.pop(inside, None) != tar.extractfile(m).read():
                found.add(inside)
    assert not contents, f"{name} lacks {sorted(contents)}"
    return found


def main():
    source = pathlib.Path(sys.argv[1])
    what = sys.argv[2] if len(sys.argv) > 2 else "all"
    if what in ("goldens", "all"):
        for name, keep in KEEP.items():
            print(f"{name:24} {make_golden(source, name, keep):>9}")
        make_truth(source)
    if what in ("ms", "all"):
        for name in ("ngc5921_contsub", "small", "alma_b3_mssel", "alma_b3_2ant", "vla_l_simple"):
            print(f"{name:24} {repack(source, name):>9}")
        # small_ws is small with one more column: only the files that differ are kept.
        files = differing(source, "small_ws", "small")
        print("small_ws over small:", *sorted(files))
        print(f"{'small_ws':24} {repack(source, 'small_ws', lambda m, inside: inside in files):>9}")


if __name__ == "__main__":
    main()
