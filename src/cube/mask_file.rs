//! Clean masks from images: `--mask some.mask` or `--mask some.fits`.

use std::path::Path;

use crate::{
    error::{Error, Result},
    geometry::ImageGrid,
    mask::Mask,
    spectral::ChannelGrid,
};

use super::{CubeReader, Sky, SkyAxes, SpectralAxis};

/// How far a pixel of the mask may lie from the image's pixel of the same number, in pixels or
/// channels, anywhere in the cube.
const MAX_OFFSET: f64 = 0.5;

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
    /// [`Error::Data`] if its shape is not the cube's, or its header says that its pixels or channels
    /// lie elsewhere; and as [`CubeReader::open`].
    pub fn open(path: impl AsRef<Path>, grid: &ImageGrid, channels: &ChannelGrid) -> Result<Self> {
        let cube = CubeReader::open(path)?;
        let refuse = |what: &str, problem: String| {
            Err(Error::data(
                cube.path(),
                what,
                problem,
                "regrid it to the image with CASA's imregrid",
            ))
        };
        let [nx, ny, nstokes, nchan] = cube.shape();
        if (nx, ny, nstokes) != (grid.nx, grid.ny, 1) || (nchan != channels.nchan && nchan != 1) {
            let ours = format!("{} x {} pixels, {} channels", grid.nx, grid.ny, channels.nchan);
            let its = format!("{nx} x {ny} pixels, {nstokes} Stokes, {nchan} channels");
            return refuse("mask", format!("has {its}; the image has {ours}"));
        }
        match &cube.world().sky {
            Sky::Unknown => {}
            Sky::Other(frame) => {
                return refuse("mask's direction axes", format!("are {frame}, not J2000 or ICRS"));
            }
            Sky::Equatorial(sky) => {
                let offset = sky_offset(sky, grid);
                if offset.is_none_or(|offset| offset > MAX_OFFSET) {
                    let offset = offset.map_or("far".into(), |o| format!("{o:.2} pixels"));
                    return refuse(
                        "mask's direction axes",
                        format!("lie {offset} off the image's"),
                    );
                }
            }
        }
        if let Some(spectral) = cube.world().spectral.filter(|_| nchan > 1) {
            let offset = channel_offset(&spectral, channels);
            if offset > MAX_OFFSET {
                let problem = format!("lies {offset:.2} channels off the image's");
                return refuse("mask's frequency axis", problem);
            }
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

/// The largest distance, in pixels, between equally numbered pixels of two grids: that at the reference
/// pixel and what the increments make of it towards the edges. Nothing if the mask's reference lies on
/// the other half of the sky.
fn sky_offset(sky: &SkyAxes, grid: &ImageGrid) -> Option<f64> {
    let (x, y) = grid.sky_to_pixel(&sky.reference)?;
    let along = |at: f64, pixel: f64, increment: f64, cell: f64, n: usize| {
        let reach = pixel.abs().max((n as f64 - 1.0 - pixel).abs());
        (at - pixel).abs() + reach * (increment / cell - 1.0).abs()
    };
    let dx = along(x, sky.pixel[0], sky.increment[0], -grid.cell_x, grid.nx);
    let dy = along(y, sky.pixel[1], sky.increment[1], grid.cell_y, grid.ny);
    Some(dx.max(dy))
}

/// The largest distance, in channels, between equally numbered channels.
fn channel_offset(mask: &SpectralAxis, channels: &ChannelGrid) -> f64 {
    let offset = |channel: usize| {
        let hz = mask.start_hz + mask.width_hz * channel as f64;
        ((hz - channels.freq_hz(channel)) / channels.width_hz).abs()
    };
    offset(0).max(offset(channels.nchan - 1))
}
