"""Compares every column of MeasurementSets, cell by cell, with python-casacore.

    python tests/interop/tables.py DUMP X.ms [Y.ms ...]

DUMP is the command that prints our reader's view of a set (`cargo run --example dump_tables --`).
Each of its lines is `table <TAB> column <TAB> rows <TAB> defined cells <TAB> CRC-32`, where the CRC
runs over all cells in row order: for a defined array cell its shape as little-endian int32 in
casacore's axis order, then its elements (little-endian; Bool one byte each; a string as UTF-8 and a
newline); for a scalar the element alone; for an undefined cell the letter U.
"""

import os
import shlex
import subprocess
import sys
import zlib

import numpy as np
from casacore.tables import table

SUBTABLES = [
    "ANTENNA", "DATA_DESCRIPTION", "FEED", "FIELD", "OBSERVATION", "POINTING", "POLARIZATION",
    "SOURCE", "SPECTRAL_WINDOW", "STATE",
]


def encode(cell):
    if isinstance(cell, dict):  # an array of strings
        shape, values = cell["shape"], cell["array"]
        return (np.array(shape[::-1], "<i4").tobytes()
                + "".join(v + "\n" for v in values).encode())
    if isinstance(cell, str):
        return (cell + "\n").encode()
    if isinstance(cell, list):
        shape = np.shape(cell)
        flat = np.asarray(cell, dtype=object).ravel()
        return np.array(shape[::-1], "<i4").tobytes() + "".join(f"{v}\n" for v in flat).encode()
    if isinstance(cell, bool):
        return bytes([cell])
    if isinstance(cell, np.ndarray):
        data = cell if cell.dtype == bool else cell.astype(cell.dtype.newbyteorder("<"))
        return (np.array(cell.shape[::-1], "<i4").tobytes()
                + np.ascontiguousarray(data).tobytes())
    raise TypeError(type(cell))


SCALARS = {"int": "<i4", "uint": "<u4", "short": "<i2", "double": "<f8", "float": "<f4",
           "int64": "<i8", "uchar": "u1", "complex": "<c8", "dcomplex": "<c16"}


def reference(t, column):
    """(rows, defined cells, CRC) of one column, as casacore reads it."""
    crc, defined = 0, 0
    kind = t.coldatatype(column)
    scalar = t.isscalarcol(column)
    for row in range(t.nrows()):
        if not scalar and not t.iscelldefined(column, row):
            crc = zlib.crc32(b"U", crc)
            continue
        defined += 1
        cell = t.getcell(column, row)
        if kind == "uchar" and not scalar:
            cell = cell.astype("u1")  # python-casacore widens them
        if scalar and kind in SCALARS:
            cell = np.array(cell, SCALARS[kind]).tobytes()
        else:
            cell = encode(cell)
        crc = zlib.crc32(cell, crc)
    return t.nrows(), defined, f"{crc:08x}"


def check(dump, path):
    """Returns (columns compared, list of complaints)."""
    ours = {}
    out = subprocess.run([*dump, path], capture_output=True, text=True, check=False)
    if out.returncode != 0:
        return 0, [f"{path}: {out.stderr.strip()}"]
    for line in out.stdout.splitlines():
        name, column, *rest = line.split("\t")
        ours[name, column] = rest
    complaints, compared = [], 0
    for name in ["MAIN", *SUBTABLES]:
        where = path if name == "MAIN" else os.path.join(path, name)
        if not os.path.exists(os.path.join(where, "table.dat")):
            continue
        t = table(where, ack=False)
        for column in t.colnames():
            if t.coldatatype(column) == "record":
                continue  # SOURCE_MODEL: nothing an imager needs
            rows, defined, crc = reference(t, column)
            compared += 1
            got = ours.get((name, column))
            if got != [str(rows), str(defined), crc]:
                complaints.append(f"{path}/{name}/{column}: casacore {rows, defined, crc}, ours {got}")
    return compared, complaints


def main():
    dump, paths = shlex.split(sys.argv[1]), sys.argv[2:]
    failed = False
    for path in paths:
        compared, complaints = check(dump, path)
        print(f"{path}: {compared} columns compared, {len(complaints)} differ")
        for complaint in complaints:
            failed = True
            print("   ", complaint)
    sys.exit(failed)


main()
