"""Reads planes of cubes beyond 2 GiB.

Usage: big.py name
"""
import sys

import numpy as np
from astropy.io import fits
from casacore.images import image

name = sys.argv[1]
casa = image(name + ".psf")
cube = fits.getdata(name + ".psf.fits", memmap=True)
assert casa.shape() == [600, 1, 1001, 1000] and cube.shape == (1, 600, 1001, 1000)
y, x = np.ogrid[:1001, :1000]
for channel in (0, 1, 300, 598, 599):
    numbers = (x * 31 + y * 17 + channel * 101) % 977
    expected = numbers.astype(np.float32) / np.float32(7) - np.float32(50)
    if channel in (1, 598):
        expected[:] = 0  # never written
    if channel == 300:  # all zero but for a small box: a hole otherwise
        box = (x // 10 == 40) & (y // 10 == 50)
        expected[~box] = 0
    plane = casa.getdata([channel, 0, 0, 0], [channel, 0, 1000, 999])
    np.testing.assert_array_equal(plane.reshape(1001, 1000), expected)
    np.testing.assert_array_equal(cube[0, channel], expected)
