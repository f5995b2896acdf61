"""Judges a MeasurementSet that `cubeclean bench --write-ms` wrote, by python-casacore and sums of its own.

    python tests/interop/synthetic.py X.ms PIXELS CHANNELS ROWS

Columns are those that casacore requires, of its types; every cell can be read. (u, v, w) are the antennas'
differences, turned by the hour angle of TIME; visibilities are the sums over the sources that
src/bench/sky.rs describes, but for its noise.
"""

import sys
from pathlib import Path

import numpy as np
from casacore.tables import required_ms_desc, table

C = 299_792_458.0
RA, DEC = 2.557, 0.23180
FIELD = 8000 * 0.0046 / 206_264.806247
NOISE = 0.1


def check_schema(found, wanted, name):
    for column in (c for c in wanted if not c.startswith("_")):
        assert column in found.colnames(), f"{name} has no {column}"
        got, need = found.getcoldesc(column), wanted[column]
        assert got["valueType"] == need["valueType"], f"{name}/{column}: {got}"
        assert ("ndim" in got) == ("ndim" in need), f"{name}/{column}: {got}"
        if need.get("ndim", -1) > 0:
            assert got["ndim"] == need["ndim"], f"{name}/{column}: {got}"
        keywords, needed = got["keywords"], need["keywords"]
        assert list(keywords.get("QuantumUnits", [])) == list(needed.get("QuantumUnits", [])), f"{name}/{column}"
        kind = needed.get("MEASINFO", {}).get("type")
        assert keywords.get("MEASINFO", {}).get("type") == kind, f"{name}/{column}: {keywords}"
    for column in found.colnames():
        for row in range(0, found.nrows(), max(1, found.nrows() // 50)):
            if found.iscelldefined(column, row):
                found.getcell(column, row)
            else:
                assert column == "FLAG_CATEGORY", f"{name}/{column} has no cell {row}"


def sources(pixels):
    """(flux, l, m): along a spiral of the golden angle within 0.9 of a disc of a tenth of the image."""
    radius = 0.9 * FIELD / pixels * pixels * np.sqrt(0.1 / np.pi)
    i = np.arange(24)
    r, angle = radius * np.sqrt((i + 0.5) / 24), 2.399963 * i
    return 1 / (1 + 0.25 * i), r * np.sin(angle), r * np.cos(angle)


def main():
    path = sys.argv[1]
    pixels, channels, rows = map(int, sys.argv[2:])
    main = table(path, ack=False)
    check_schema(main, required_ms_desc(), "main")
    names = sorted(p.parent.name for p in Path(path).glob("*/table.dat"))
    assert set(names) == {k for k, v in main.getkeywords().items() if str(v).startswith("Table: ")}, names
    for name in names:
        wanted = {} if name == "SOURCE" else required_ms_desc(name)
        check_schema(table(f"{path}/{name}", ack=False), wanted, name)
    for name in ("ANTENNA", "DATA_DESCRIPTION", "FEED", "FIELD", "FLAG_CMD", "HISTORY", "OBSERVATION",
                 "POINTING", "POLARIZATION", "PROCESSOR", "SPECTRAL_WINDOW", "STATE", "SOURCE"):
        assert name in names, f"no {name}"
    history = table(f"{path}/HISTORY", ack=False)
    assert history.getcell("MESSAGE", 0).startswith("cubeclean bench --pixels"), history.getcell("MESSAGE", 0)
    assert list(history.getcell("CLI_COMMAND", 0)) == [history.getcell("MESSAGE", 0)]
    antennas = table(f"{path}/ANTENNA", ack=False)
    assert [antennas.getcell("STATION", k) for k in (0, 39)] == ["A001", "A040"]

    assert main.nrows() == rows
    assert not main.getcol("FLAG").any() and not main.getcol("FLAG_ROW").any()
    assert main.getcol("FLAG").shape == main.getcol("DATA").shape == (rows, channels, 2)
    assert (main.getcol("WEIGHT") == np.float32(0.5)).all() and main.getcol("WEIGHT").shape == (rows, 2)
    assert np.allclose(main.getcol("SIGMA"), 2**0.5, rtol=1e-7)
    first, second = main.getcol("ANTENNA1"), main.getcol("ANTENNA2")
    assert (first < second).all()

    # East longitude of the array's centre, and the hour angle: three hours about the transit.
    position = antennas.getcol("POSITION")
    longitude = np.arctan2(-5_440_016.418, 2_225_015.3088)
    x, y, z = (position[first] - position[second]).T
    x, y = np.cos(longitude) * x + np.sin(longitude) * y, np.cos(longitude) * y - np.sin(longitude) * x
    time = main.getcol("TIME")
    assert (np.diff(time) >= 0).all() and abs(time[-1] - time[0] - 10_800) < 1e-3
    hour = 0.393 * (2 * (time - time[0]) / 10_800 - 1)
    u = np.sin(hour) * x + np.cos(hour) * y
    v = -np.sin(DEC) * np.cos(hour) * x + np.sin(DEC) * np.sin(hour) * y + np.cos(DEC) * z
    w = np.cos(DEC) * np.cos(hour) * x - np.cos(DEC) * np.sin(hour) * y + np.sin(DEC) * z
    uvw = main.getcol("UVW")
    # Positions are given to 1e-9 of an Earth's radius.
    off = np.abs(np.stack([u, v, w], axis=1) - uvw).max()
    assert off < 1e-6, f"uvw off by {off} m"
    # Greenwich's mean sidereal time (IAU 1982, linear): the source is in the meridian half-way.
    days = (time[0] + 5_400) / 86_400 + 2_400_000.5 - 2_451_545.0
    sidereal = np.radians(15 * (18.697374558 + 24.06570982441908 * days)) + longitude
    assert abs((sidereal - RA + np.pi) % (2 * np.pi) - np.pi) < 1e-4, "transit"

    freq = table(f"{path}/SPECTRAL_WINDOW", ack=False).getcell("CHAN_FREQ", 0)
    assert np.array_equal(freq, 268.5e9 + 0.244e6 * np.arange(channels))
    longest = np.abs(uvw[:, :2]).max() * freq[-1] / C * FIELD / pixels
    assert abs(longest - 0.175) < 1e-9, f"longest baseline {longest} cycles a pixel"

    flux, l, m = sources(pixels)
    n1 = -(l**2 + m**2) / (1 + np.sqrt(1 - l**2 - m**2))
    noise = []
    for channel in (0, channels // 2, channels - 1):
        data = main.getcolslice("DATA", [channel, 0], [channel, 1])[:, 0]
        assert np.array_equal(data[:, 0], data[:, 1])
        turns = uvw @ np.stack([l, m, n1]) * (freq[channel] / C)
        noise.append(data[:, 0] - np.exp(2j * np.pi * turns) @ flux)
    noise = np.concatenate(noise)
    # Of N numbers: the mean is known to 1/√N of the noise, the standard deviation to 1/√(2N); five times
    # that is never met by chance.
    for part in (noise.real, noise.imag):
        bound = 5 * NOISE / np.sqrt(len(part))
        assert abs(part.mean()) < bound and abs(part.std() - NOISE) < bound, (part.mean(), part.std())
        assert np.abs(part).max() < 6 * NOISE
    assert abs(np.corrcoef(noise[:rows].real, noise[-rows:].real)[0, 1]) < 5 / np.sqrt(rows)


main()
