"""Opens cubes of many shapes with python-casacore and astropy: pixels, masks, beams, coordinates.

Usage: planes.py manifest.json
"""
import json
import sys
import warnings

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from casacore.images import image
from casacore.tables import table

warnings.simplefilter("ignore", FITSFixedWarning)
ARCSEC = np.pi / 180 / 3600
STOKES_CODES = {"I": 1, "RR": -1, "LL": -2, "XX": -5, "YY": -6}


def truth(shape):
    """Pixels and validity that tests/cubes.rs writes, both [channel, stokes, y, x]."""
    nx, ny, nstokes, nchan = shape
    c, s, y, x = np.ogrid[:nchan, :nstokes, :ny, :nx]
    numbers = (x * 31 + y * 17 + c * 101 + s * 1009) % 977
    pixels = numbers.astype(np.float32) / np.float32(7) - np.float32(50)
    return pixels, (x + 2 * y + c + 3 * s) % 5 != 0


def beam(channel):
    return 0.7 + 0.001 * channel, 0.5 - 0.001 * channel, -80.0 + channel


def expected_beams(cube):
    beams = [beam(c) for c in range(cube["shape"][3])]
    largest = max(beams, key=lambda b: b[0] * b[1])
    if cube["without_beam"]:
        largest = max(
            (b for c, b in enumerate(beams) if c not in cube["without_beam"]),
            key=lambda b: b[0] * b[1],
        )
    for c in cube["without_beam"]:
        beams[c] = largest
    return beams


def quantity(record):
    assert record["unit"] in ("arcsec", "deg")
    return record["value"]


def casa_beams(info, nchan, nstokes):
    """Beams [stokes][channel] of an image's imageinfo."""
    names = ("major", "minor", "positionangle")
    if "restoringbeam" in info:
        one = tuple(quantity(info["restoringbeam"][n]) for n in names)
        return [[one] * nchan] * nstokes
    per_plane = info["perplanebeams"]
    assert (per_plane["nChannels"], per_plane["nStokes"]) == (nchan, nstokes)
    assert len(per_plane) == 2 + nchan * nstokes
    return [
        [tuple(quantity(per_plane[f"*{c + nchan * s}"][n]) for n in names) for c in range(nchan)]
        for s in range(nstokes)
    ]


def fits_beams(hdus, nchan, nstokes):
    header = hdus[0].header
    if "BMAJ" in header:
        assert len(hdus) == 1 and "CASAMBM" not in header
        one = (header["BMAJ"] * 3600, header["BMIN"] * 3600, header["BPA"])
        return [[one] * nchan] * nstokes
    assert header["CASAMBM"] is True and hdus[1].name == "BEAMS"
    assert (hdus[1].header["NCHAN"], hdus[1].header["NPOL"]) == (nchan, nstokes)
    beams = [[None] * nchan for _ in range(nstokes)]
    for row in hdus[1].data:
        beams[row["POL"]][row["CHAN"]] = (row["BMAJ"], row["BMIN"], row["BPA"])
    return beams


def check_casa(cube, product, pixels, valid):
    path = f"{cube['name']}.{product}"
    opened = image(path)
    values, bad = opened.getdata(), opened.getmask()
    has_mask = product in ("image", "image.pbcor")
    expected = np.where(valid, pixels, 0) if product == "image.pbcor" else pixels
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, expected, path)
    np.testing.assert_array_equal(bad, ~valid if has_mask else np.zeros_like(valid), path)
    info = table(path, ack=False).getkeyword("imageinfo")
    check_beams(path, cube, product, info, casa_beams)
    log = table(path + "/logtable", ack=False)
    assert log.getcol("MESSAGE") == cube["history"], path
    assert set(log.getcol("PRIORITY")) == {"INFO"}
    assert set(log.getcol("LOCATION")) == {"cubeclean"}
    return opened


def check_fits(cube, product, pixels, valid):
    path = f"{cube['name']}.{product}.fits"
    with fits.open(path) as hdus:
        hdus.verify("exception")
        values = hdus[0].data.transpose(1, 0, 2, 3)  # FREQ, STOKES, DEC, RA
        masked = product in ("image", "image.pbcor")
        expected = np.where(valid, pixels, np.nan) if masked else pixels
        np.testing.assert_array_equal(values, expected, path)
        check_beams(path, cube, product, hdus, fits_beams)
        check_history(hdus[0].header, cube["history"])
        assert hdus[0].header["OBSERVER"] == "O'Brien"
        codes = [STOKES_CODES[s] for s in cube["stokes"]]
        header = hdus[0].header
        stokes = header["CRVAL4"] + header["CDELT4"] * np.arange(len(codes))
        assert stokes.tolist() == codes, path
        return WCS(header)


def check_beams(path, cube, product, source, read):
    if product == "sumwt":
        assert not {"restoringbeam", "perplanebeams", "BMAJ", "CASAMBM"} & set(
            source if isinstance(source, dict) else source[0].header
        )
        return
    nchan, nstokes = cube["shape"][3], cube["shape"][2]
    # 1e-6: the BEAMS table holds 32-bit numbers.
    for beams in read(source, nchan, nstokes):
        np.testing.assert_allclose(beams, expected_beams(cube), rtol=1e-6, err_msg=path)


def check_history(header, lines):
    """Cards that go on begin with '>'; trailing blanks of a card cannot be told."""
    found = []
    for card in header["HISTORY"]:
        if card.startswith(">"):
            found[-1] += card[1:]
        else:
            found.append(card)
    assert [f.rstrip() for f in found] == [line.rstrip() for line in lines]


def check_world(cube, opened, wcs):
    """World coordinates of both files, by two libraries, at the cube's corners and centre."""
    nx, ny, nstokes, nchan = cube["shape"]
    assert opened.coordinates().get_coordinate("stokes").get_stokes() == cube["stokes"]
    for x, y, c in [(0, 0, 0), (nx - 1, 0, nchan - 1), (nx // 2, ny // 2, 0), (0, ny - 1, 0)]:
        freq, _, dec, ra = opened.toworld((c, 0, y, x))
        degrees = wcs.all_pix2world([[x, y, c, 0]], 0)[0]
        # casacore gives radians; 1e-9 degrees are 4 micro-arcseconds.
        np.testing.assert_allclose(np.degrees([ra, dec]) % 360, degrees[:2] % 360, atol=1e-9)
        np.testing.assert_allclose([freq, freq], [degrees[2], 230.5e9 - 488281.25 * c], rtol=1e-14)
    centre = opened.toworld((0, 0, ny // 2, nx // 2))
    np.testing.assert_allclose(centre[2:], [-0.4, 4.3], rtol=1e-14)


def main():
    with open(sys.argv[1]) as file:
        cubes = json.load(file)
    for cube in cubes:
        pixels, valid = truth(cube["shape"])
        for product in ("image", "image.pbcor", "psf"):
            opened = check_casa(cube, product, pixels, valid)
            wcs = check_fits(cube, product, pixels, valid)
            check_world(cube, opened, wcs)
        first = np.s_[:, :, :1, :1]
        check_casa(cube, "sumwt", pixels[first], valid[first])
        check_fits(cube, "sumwt", pixels[first], valid[first])


main()
