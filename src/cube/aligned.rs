//! Whether an image's pixels are those of a cube: what its header says, against the cube's grid.

use crate::{
    error::{Error, Result},
    geometry::ImageGrid,
    spectral::ChannelGrid,
};

use super::{CubeReader, Sky, SkyAxes, SpectralAxis};

/// A cube that images are to be on.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its pixels on the sky.
    pub grid: &'a ImageGrid,
    /// Its channels.
    pub channels: &'a ChannelGrid,
}

/// What an image is to the user, and the way out where it does not fit.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// "mask", "model"
    pub what: &'a str,
    /// What the user can do.
    pub remedy: &'a str,
}

impl Named<'_> {
    fn refuse(&self, cube: &CubeReader, part: &str, problem: String) -> Result<()> {
        Err(Error::data(cube.path(), format!("{}{part}", self.what), problem, self.remedy))
    }
}

impl Target<'_> {
    /// Refuses an image of another shape than the cube's.
    ///
    /// # Errors
    /// [`Error::Data`], with both shapes.
    pub fn check_shape(&self, cube: &CubeReader, what: Named<'_>) -> Result<()> {
        let [nx, ny, nstokes, nchan] = cube.shape();
        let (grid, channels) = (self.grid, self.channels.nchan);
        if [nx, ny, nstokes, nchan] == [grid.nx, grid.ny, 1, channels] {
            return Ok(());
        }
        let ours = format!("{} x {} pixels, {channels} channels", grid.nx, grid.ny);
        let its = format!("{nx} x {ny} pixels, {nstokes} Stokes, {nchan} channels");
        what.refuse(cube, "", format!("has {its}; the image has {ours}"))
    }

    /// Refuses an image whose pixels lie elsewhere on the sky than those of the cube with the same numbers:
    /// further than `tolerance` pixels, anywhere. A header that tells nothing is taken to be right.
    ///
    /// # Errors
    /// [`Error::Data`], with both axes.
    pub fn check_sky(&self, cube: &CubeReader, what: Named<'_>, tolerance: f64) -> Result<()> {
        let refuse = |problem| what.refuse(cube, "'s direction axes", problem);
        match &cube.world().sky {
            Sky::Unknown => Ok(()),
            Sky::Other(frame) => refuse(format!("are {frame}, not J2000 or ICRS")),
            Sky::Equatorial(sky) => {
                let offset = sky_offset(sky, self.grid);
                if offset.is_some_and(|offset| offset <= tolerance) {
                    return Ok(());
                }
                let offset = offset.map_or("far".into(), |o| format!("{o:.2} pixels"));
                refuse(format!("lie {offset} off the image's: {}", self.describe_sky(sky)))
            }
        }
    }

    /// The same of the channels.
    ///
    /// # Errors
    /// [`Error::Data`], with both axes.
    pub fn check_channels(&self, cube: &CubeReader, what: Named<'_>, tolerance: f64) -> Result<()> {
        let Some(spectral) = &cube.world().spectral else { return Ok(()) };
        let offset = channel_offset(spectral, self.channels);
        if offset <= tolerance {
            return Ok(());
        }
        let axes = self.describe_channels(spectral);
        let problem = format!("lies {offset:.2} channels off the image's: {axes}");
        what.refuse(cube, "'s frequency axis", problem)
    }

    /// Both sky axes, in words.
    fn describe_sky(&self, sky: &SkyAxes) -> String {
        let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
        let center = self.grid.sky_to_pixel(&sky.reference);
        let at = center.map_or("beyond the image".into(), |(x, y)| format!("at ({x:.2}, {y:.2})"));
        format!(
            "cells of {:.6} x {:.6} arcsec, the image's {:.6} x {:.6}; its pixel ({:.2}, {:.2}) is {at} of \
             the image",
            arcsec(sky.increment[0].abs()),
            arcsec(sky.increment[1].abs()),
            arcsec(self.grid.cell_x),
            arcsec(self.grid.cell_y),
            sky.pixel[0],
            sky.pixel[1],
        )
    }

    /// Both spectral axes, in words.
    fn describe_channels(&self, spectral: &SpectralAxis) -> String {
        format!(
            "from {:.6} GHz by {:.3} kHz, the image's from {:.6} GHz by {:.3} kHz",
            spectral.start_hz / 1e9,
            spectral.width_hz / 1e3,
            self.channels.start_hz / 1e9,
            self.channels.width_hz / 1e3,
        )
    }
}

/// The largest distance, in pixels, between equally numbered pixels of two grids: that at the reference
/// pixel and what the increments make of it towards the edges. Nothing if the image's reference lies on
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
fn channel_offset(axis: &SpectralAxis, channels: &ChannelGrid) -> f64 {
    let offset = |channel: usize| {
        let hz = axis.start_hz + axis.width_hz * channel as f64;
        ((hz - channels.freq_hz(channel)) / channels.width_hz).abs()
    };
    offset(0).max(offset(channels.nchan - 1))
}
