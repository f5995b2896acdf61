//! Clean masks from images: `--mask some.mask` or `--mask some.fits`.

use std::path::Path;

use crate::{error::Result, geometry::ImageGrid, mask::Mask, spectral::ChannelGrid};

use super::{CubeReader, Named, Target};

/// How far a pixel of the mask may lie from the image's pixel of the same number, in pixels or
/// channels, anywhere in the cube.
const MAX_OFFSET: f64 = 0.5;

const NAMED: Named<'_> =
    Named { what: "mask", remedy: "regrid it to the image with CASA's imregrid" };

/// A clean mask in a CASA image or FITS file: valid pixels above 0 are in. It has one channel, which
/// serves all of the cube's, or as many as the cube.
#[derive(Debug)]
pub struct MaskFile {
    cube: CubeReader,
}

impl MaskFile {
    /// Opens a mask for a cube.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) if its shape is not the cube's, or its header says that its pixels or channels
    /// lie elsewhere; and as [`CubeReader::open`].
    pub fn open(path: impl AsRef<Path>, grid: &ImageGrid, channels: &ChannelGrid) -> Result<Self> {
        let cube = CubeReader::open(path)?;
        let target = Target { grid, channels };
        let [nx, ny, nstokes, nchan] = cube.shape();
        if nchan != 1 || (nx, ny, nstokes) != (grid.nx, grid.ny, 1) {
            target.check_shape(&cube, NAMED)?;
        }
        target.check_sky(&cube, NAMED, MAX_OFFSET)?;
        if nchan > 1 {
            target.check_channels(&cube, NAMED, MAX_OFFSET)?;
        }
        Ok(Self { cube })
    }

    /// The mask of an image channel.
    ///
    /// # Errors
    /// As [`CubeReader::read_plane`].
    pub fn plane(&self, channel: usize) -> Result<Mask> {
        let [nx, ny, _, nchan] = self.cube.shape();
        let plane = self.cube.read_plane(0, if nchan == 1 { 0 } else { channel })?;
        Ok(Mask::from_fn(nx, ny, |x, y| plane.values[y * nx + x] > 0.0 && plane.valid.get(x, y)))
    }

    /// Whether the same mask serves all channels.
    pub fn is_one_plane(&self) -> bool {
        self.cube.shape()[3] == 1
    }
}
