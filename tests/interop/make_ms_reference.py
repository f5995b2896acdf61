"""Writes what python-casacore and numpy find in MeasurementSets: the judge of tests/measurement_sets.rs.

    python tests/interop/make_ms_reference.py DIRECTORY OUT.json

DIRECTORY holds the unpacked sets (target/test-data after any test run). Visibilities are reduced by
CASA's rules (autocorrelations and FLAG_ROW left out; both correlations unflagged; I = (XX+YY)/2 in
single precision; weights added) and kept as the CRC-32 of the little-endian float32 block
[channel][row], so the test demands the same bits.
"""

import json
import sys
import zlib
from pathlib import Path

import numpy as np
from casacore.measures import measures
from casacore.tables import table

STOKES = {"RR": 5, "LL": 8, "XX": 9, "YY": 12}

# set, column, spw, stokes, field ids (None: all), channels
CASES = [
    ("small", "CORRECTED_DATA", 0, "I", None, (0, 32)),
    ("small", "DATA", 0, "XX", None, (3, 17)),
    ("small_ws", "CORRECTED_DATA", 0, "I", None, (0, 32)),
    ("small_ws", "CORRECTED_DATA", 0, "YY", None, (30, 31)),
    ("ngc5921_contsub", "DATA", 0, "I", None, (0, 63)),
    ("ngc5921_contsub", "DATA", 0, "LL", None, (5, 6)),
    ("alma_b3_mssel", "DATA", 1, "I", None, (0, 64)),
    ("alma_b3_mssel", "DATA", 1, "YY", [1], (10, 30)),
    ("alma_b3_mssel", "DATA", 2, "I", [1], (0, 1)),
    ("alma_b3_2ant", "DATA", 0, "I", None, (0, 11)),
    ("vla_l_simple", "DATA", 0, "I", None, (0, 2)),
    ("vla_l_simple", "DATA", 1, "RR", None, (1, 4)),
    ("lofar_generic", "DATA", 0, "I", None, (0, 8)),
    ("lofar_generic", "CORRECTED_DATA", 0, "YY", None, (2, 5)),
]


def utc(times, column_keywords):
    frame = column_keywords.get("MEASINFO", {}).get("Ref", "UTC")
    if frame == "UTC":
        return [float(t) for t in times]
    dm = measures()
    out = []
    for t in times:
        epoch = dm.epoch(frame, {"value": float(t) / 86400, "unit": "d"})
        out.append(dm.measure(epoch, "UTC")["m0"]["value"] * 86400)
    return out


def frame_of(t, column, row):
    info = t.getcolkeywords(column).get("MEASINFO", {})
    if "VarRefCol" not in info:
        return info.get("Ref", "")
    code = t.getcell(info["VarRefCol"], row)
    return dict(zip(info["TabRefCodes"], info["TabRefTypes"]))[code]


def metadata(path):
    sub = {n: table(f"{path}/{n}", ack=False) for n in
           ("ANTENNA", "FIELD", "SPECTRAL_WINDOW", "POLARIZATION", "DATA_DESCRIPTION", "OBSERVATION")}
    a, f, s, p = (sub[n] for n in ("ANTENNA", "FIELD", "SPECTRAL_WINDOW", "POLARIZATION"))
    d, o = sub["DATA_DESCRIPTION"], sub["OBSERVATION"]
    rest = []
    if Path(f"{path}/SOURCE/table.dat").exists():
        src = table(f"{path}/SOURCE", ack=False)
        for r in range(src.nrows()):
            lines = src.getcell("REST_FREQUENCY", r).tolist() \
                if src.iscelldefined("REST_FREQUENCY", r) else []
            rest.append([src.getcell("SOURCE_ID", r), src.getcell("SPECTRAL_WINDOW_ID", r), lines])
    return {
        "rows": table(path, ack=False).nrows(),
        "antennas": [[a.getcell("NAME", r), a.getcell("POSITION", r).tolist(),
                      a.getcell("DISH_DIAMETER", r)] for r in range(a.nrows())],
        "fields": [[f.getcell("NAME", r), f.getcell("PHASE_DIR", r)[0].tolist(),
                    frame_of(f, "PHASE_DIR", r)] for r in range(f.nrows())],
        "spws": [[s.getcell("NAME", r), s.getcell("CHAN_FREQ", r).tolist(),
                  np.abs(s.getcell("CHAN_WIDTH", r)).tolist(), frame_of(s, "CHAN_FREQ", r)]
                 for r in range(s.nrows())],
        "polarizations": [p.getcell("CORR_TYPE", r).tolist() for r in range(p.nrows())],
        "descriptions": [[d.getcell("SPECTRAL_WINDOW_ID", r), d.getcell("POLARIZATION_ID", r)]
                         for r in range(d.nrows())],
        "observations": [[o.getcell("TELESCOPE_NAME", r), o.getcell("OBSERVER", r),
                          utc(o.getcell("TIME_RANGE", r), o.getcolkeywords("TIME_RANGE"))]
                         for r in range(o.nrows())],
        "sources": rest,
    }


def block(path, column, spw, stokes, fields, channels):
    t = table(path, ack=False)
    d = table(f"{path}/DATA_DESCRIPTION", ack=False)
    p = table(f"{path}/POLARIZATION", ack=False)
    dd = [r for r in range(d.nrows()) if d.getcell("SPECTRAL_WINDOW_ID", r) == spw]
    ok = np.isin(t.getcol("DATA_DESC_ID"), dd) & (t.getcol("ANTENNA1") != t.getcol("ANTENNA2"))
    ok &= ~t.getcol("FLAG_ROW")
    if fields is not None:
        ok &= np.isin(t.getcol("FIELD_ID"), fields)
    rows = np.flatnonzero(ok)
    types = list(p.getcell("CORR_TYPE", d.getcell("POLARIZATION_ID", dd[0])))
    if stokes == "I":
        pair = (9, 12) if 9 in types else (5, 8)
    else:
        pair = (STOKES[stokes],) * 2
    i, j = (types.index(c) for c in pair)
    lo, hi = channels
    spectrum = "WEIGHT_SPECTRUM" in t.colnames() and t.iscelldefined("WEIGHT_SPECTRUM", int(rows[0]))
    data = np.stack([t.getcell(column, int(r))[lo:hi] for r in rows])
    flag = np.stack([t.getcell("FLAG", int(r))[lo:hi] for r in rows])
    if spectrum:
        weight = np.stack([t.getcell("WEIGHT_SPECTRUM", int(r))[lo:hi] for r in rows])
    else:
        weight = np.stack([t.getcell("WEIGHT", int(r)) for r in rows])[:, None, :]
        weight = np.broadcast_to(weight, flag.shape)
    flagged = flag[..., i] | flag[..., j]
    with np.errstate(all="ignore"):
        v = ((data[..., i] + data[..., j]) * np.float32(0.5)).astype(np.complex64)
        w = (weight[..., i] + weight[..., j]).astype(np.float32)
    if stokes != "I":
        v, w = data[..., i], weight[..., i]
    bad_weight = ~flagged & ~((weight[..., i] >= 0) & (weight[..., j] >= 0) & np.isfinite(w))
    non_finite = ~flagged & ~bad_weight & ~(np.isfinite(v.real) & np.isfinite(v.imag))
    good = ~flagged & ~bad_weight & ~non_finite & (w > 0)
    v = np.where(good, v, np.complex64(0))
    w = np.where(good, w, np.float32(0))
    times = t.getcol("TIME")[rows]
    first = [int(k) for k in np.sort(np.unique(
        np.stack([times, t.getcol("FIELD_ID")[rows]]), axis=1, return_index=True)[1])]
    return {
        "rows": len(rows),
        "samples": int(flagged.size),
        "flagged": int(flagged.sum()),
        "bad_weight": int(bad_weight.sum()),
        "non_finite": int(non_finite.sum()),
        "vis_crc": zlib.crc32(np.ascontiguousarray(v.T).astype("<c8").tobytes()),
        "weight_crc": zlib.crc32(np.ascontiguousarray(w.T).astype("<f4").tobytes()),
        "sumwt": float(w.sum(dtype=np.float64)),
        "uvw_crc": zlib.crc32(t.getcol("UVW")[rows].astype("<f8").tobytes()),
        "antennas_crc": zlib.crc32(np.stack(
            [t.getcol("ANTENNA1")[rows], t.getcol("ANTENNA2")[rows]], axis=1).astype("<u4").tobytes()),
        "slot_times": utc(times[first[:3]], t.getcolkeywords("TIME")),
        "slots": len(first),
    }


def main():
    directory, out = Path(sys.argv[1]), sys.argv[2]
    sets = {}
    for name, column, spw, stokes, fields, channels in CASES:
        path = directory / f"{name}.ms"
        if not path.exists():
            continue
        entry = sets.setdefault(name, {"metadata": metadata(str(path)), "blocks": []})
        case = {"column": column, "spw": spw, "stokes": stokes, "fields": fields,
                "channels": channels}
        entry["blocks"].append(
            case | block(str(path), column, spw, stokes, fields, channels))
    with open(out, "w") as f:
        json.dump(sets, f, default=lambda x: x.item())


main()
