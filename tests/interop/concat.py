"""Opens concatenated images with python-casacore and compares them with the whole one; or changes an image.

Usage: concat.py whole other...
       concat.py edit:projection|edit:rotation|edit:nan|edit:axes image
"""
import sys

import numpy as np
from casacore.images import image
from casacore.tables import table



def edit(change, name):
    """Changes the coordinates in an image's keywords."""
    with table(name, readonly=False, ack=False) as t:
        coords = t.getkeyword("coords")
        direction = coords["direction0"]
        if change == "projection":
            direction["projection"] = "TAN"
        elif change == "rotation":
            direction["pc"] = np.array([[0.8, -0.6], [0.6, 0.8]])
        elif change == "nan":
            direction["crpix"] = np.array([float("nan"), 20.0])
        else:
            coords["pixelmap1"], coords["pixelmap2"] = coords["pixelmap2"], coords["pixelmap1"]
        t.putkeyword("coords", coords)


if sys.argv[1].startswith("edit:"):
    edit(sys.argv[1][5:], sys.argv[2])
    sys.exit()

whole = image(sys.argv[1])


def beams(im):
    """Beam of each (channel, stokes); one for all where the image has one."""
    info = im.imageinfo()
    nchan, nstokes = im.shape()[:2]
    if "perplanebeams" not in info:
        return [info.get("restoringbeam")] * (nchan * nstokes)
    return [info["perplanebeams"]["*%d" % k] for k in range(nchan * nstokes)]


for name in sys.argv[2:]:
    other = image(name)
    assert other.shape() == whole.shape(), (name, other.shape())
    np.testing.assert_array_equal(other.getdata(), whole.getdata(), err_msg=name)
    np.testing.assert_array_equal(other.getmask(), whole.getmask(), err_msg=name)
    for pixel in ([0, 0, 0, 0], [n - 1 for n in whole.shape()], [n // 2 for n in whole.shape()]):
        world = [im.coordinates() and im.toworld(pixel) for im in (whole, other)]
        np.testing.assert_allclose(world[0], world[1], rtol=1e-13, err_msg=name)
    assert other.unit() == whole.unit(), name
    if "virtual" not in name:
        assert beams(other) == beams(whole), name
        assert other.imageinfo()["objectname"] == whole.imageinfo()["objectname"]
