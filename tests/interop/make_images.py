"""Makes images with python-casacore and astropy for our reader. Usage: make_images.py directory

Pixels are those of tests/cubes.rs; pixels that are not valid are masked, or NaN.
"""
import os
import subprocess
import sys

import numpy as np

# Along the axes of the file: x, y, then channel and Stokes in FITS, Stokes and channel in CASA images.
SHAPE = (70, 150, 3, 2)


def truth():
    """Pixels and validity, as tests/cubes.rs computes them, with axis 2 for the channel."""
    nx, ny, n2, n3 = SHAPE
    s, c, y, x = np.ogrid[:n3, :n2, :ny, :nx]
    numbers = (x * 31 + y * 17 + c * 101 + s * 1009) % 977
    pixels = numbers.astype(np.float32) / np.float32(7) - np.float32(50)
    return pixels, (x + 2 * y + c + 3 * s) % 5 != 0


def make_casa(name, tile):
    """An image with a mask, of tiles that span channels. The environment decides its byte order."""
    from casacore.images import image

    pixels, valid = truth()
    opened = image(name, values=pixels, maskname="mask0", tileshape=tile)
    opened.put(np.ma.masked_array(pixels, ~valid))
    opened.unlock()


def make_fits():
    from astropy.io import fits

    pixels, valid = truth()
    kinds = ("RA---SIN", "DEC--SIN", "FREQ", "STOKES")
    for bits, name in ((np.float32, "f32"), (np.float64, "f64")):
        hdu = fits.PrimaryHDU(np.where(valid, pixels, np.nan).astype(bits))
        for i, kind in enumerate(kinds):
            hdu.header[f"CTYPE{i + 1}"] = kind
        hdu.writeto(f"{name}.fits")
    # Integers with scale and zero, blank where not valid: value = 0.5 n + 3.
    numbers = (np.round((pixels - 3) * 2)).astype(np.int64)
    for bits, name in ((np.uint8, "u8"), (np.int16, "i16"), (np.int32, "i32"), (np.int64, "i64")):
        data = np.where(valid, np.abs(numbers) % 250, 251).astype(bits)
        hdu = fits.PrimaryHDU(data)
        for i, kind in enumerate(kinds):
            hdu.header[f"CTYPE{i + 1}"] = kind
        hdu.writeto(f"{name}.fits")
        # Set afterwards, so that astropy writes the integers as they are.
        with open(f"{name}.fits", "r+b") as file:
            cards = file.read(2880)
            extra = [f"{'BSCALE':8}= {0.5:>20}", f"{'BZERO':8}= {3.0:>20}", f"{'BLANK':8}= {251:>20}"]
            end = cards.index(b"END" + b" " * 77)
            text = b"".join(e.ljust(80).encode() for e in extra) + b"END" + b" " * 77
            file.seek(end)
            file.write(text)
    plane = fits.PrimaryHDU(pixels[0, 0])
    plane.writeto("plane.fits")


def main():
    os.chdir(sys.argv[1])
    if len(sys.argv) > 2:
        make_casa(sys.argv[2], [16, 32, 3, 1][::-1])
        return
    make_fits()
    for order in ("little", "big"):
        with open("casarc", "w") as file:
            file.write(f"table.endianformat: {order}\n")
        # casacore reads its settings once per process.
        environment = os.environ | {"CASARCFILES": os.path.abspath("casarc")}
        command = [sys.executable, os.path.abspath(__file__), ".", f"{order}.image"]
        subprocess.run(command, env=environment, check=True)


main()
