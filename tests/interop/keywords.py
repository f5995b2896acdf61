"""Compares all keywords and header cards of our products with those that CASA wrote.

Usage: keywords.py product_keywords.json directory
"""
import json
import math
import os
import sys

import numpy as np
from astropy.io import fits
from casacore.tables import table

# What need not be CASA's: see the comment at each.
NOT_COMPARED = {
    "worldreplace0",  # values of removed axes; none is removed
    "ORIGIN",
    "miscinfo",  # INSTRUME is checked apart
}
# Cards of exportfits that only repeat a default of the FITS standard.
DEFAULT_CARDS = {"BSCALE": 1.0, "BZERO": 0.0, "PV2_1": 0.0, "PV2_2": 0.0, "CUNIT4": "", "BUNIT": ""}


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str) and value.startswith("Table: "):
        return "Table: " + os.path.basename(value)
    return value


def angle(record):
    """tclean writes the position angle of a common beam in radians, that of others in degrees."""
    if set(record) == {"value", "unit"} and record["unit"] == "rad":
        return {"value": math.degrees(record["value"]), "unit": "deg"}
    return record


def compare(where, casa, ours):
    if isinstance(casa, dict):
        assert isinstance(ours, dict), where
        keys = set(casa) - NOT_COMPARED
        assert keys == set(ours) - NOT_COMPARED, f"{where}: {keys ^ (set(ours) - NOT_COMPARED)}"
        casa, ours = angle(casa), angle(ours)
        for key in keys:
            compare(f"{where}/{key}", casa[key], ours[key])
    elif isinstance(casa, list):
        assert len(casa) == len(ours), where
        for i, pair in enumerate(zip(casa, ours)):
            compare(f"{where}[{i}]", *pair)
    elif isinstance(casa, float):
        # 2e-12: exportfits writes 13 digits.
        close = math.isclose(casa, ours, rel_tol=2e-12, abs_tol=1e-13)
        # Right ascensions may differ by a turn.
        turn = "pointingcenter" in where and math.isclose(casa % math.tau, ours % math.tau)
        assert close or turn, f"{where}: CASA {casa}, ours {ours}"
    elif isinstance(casa, str):
        # casacore pads ctype with NULs; exportfits writes more digits of the second.
        assert casa.rstrip("\0 ")[:23] == ours.rstrip()[:23], f"{where}: CASA {casa!r}, ours {ours!r}"
    else:
        assert casa == ours and type(casa) is type(ours), f"{where}: CASA {casa}, ours {ours}"


def is_default(card, value):
    if card.startswith("PC"):
        return value == float(card[2] == card[4])
    return card in DEFAULT_CARDS and value == DEFAULT_CARDS[card]


def compare_product(where, casa, path):
    opened = table(path, ack=False)
    keywords = plain(opened.getkeywords())
    assert keywords["miscinfo"]["INSTRUME"] == casa["table"]["miscinfo"]["INSTRUME"], where
    if where in ("single.residual", "single.image", "single.image.pbcor"):
        # tclean lost this run's mask, as its log says: "Error in copying internal T/F mask".
        casa["table"] |= {k: keywords[k] for k in ("masks", "Image_defaultmask")}
    compare(where, casa["table"], keywords)
    assert list(reversed(opened.getcell("map", 0).shape)) == casa["shape"], where
    with open(path + "/table.info") as info:
        assert info.read() == casa["info"], where
    with fits.open(path + ".fits") as hdus:
        ours = {k: v for k, v in hdus[0].header.items() if k not in ("HISTORY", "ORIGIN")}
        cards = {k: v for k, v in casa["fits"].items() if not is_default(k, v)}
        cards.pop("ORIGIN", None)
        compare(where + ".fits", cards, ours)
        assert ("beams" in casa) == (len(hdus) == 2), where
        if "beams" in casa:
            np.testing.assert_allclose(
                [list(row) for row in hdus[1].data], casa["beams"], rtol=1e-6, err_msg=where
            )


def main():
    with open(sys.argv[1]) as file:
        goldens = json.load(file)
    for run in ("per_plane", "common", "single"):
        for product, casa in goldens[run].items():
            compare_product(f"{run}.{product}", casa, f"{sys.argv[2]}/{run}.{product}")


main()
