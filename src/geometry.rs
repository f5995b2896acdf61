//! The image's geometry: pixel grid, SIN projection, directions, and the rotation of baselines to
//! a phase centre.

/// A celestial reference frame a direction is given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DirectionFrame {
    /// FK5, equinox and epoch J2000.
    J2000,
    /// International Celestial Reference System.
    Icrs,
}

/// A direction on the sky.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Direction {
    /// Right ascension, rad.
    pub ra: f64,
    /// Declination, rad.
    pub dec: f64,
    /// The frame of both.
    pub frame: DirectionFrame,
}

/// The pixel grid of every plane of a cube: orthographic (SIN) projection about the phase centre,
/// centre pixel `(nx/2, ny/2)` 0-based (integer division), RA decreasing with x.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ImageGrid {
    /// Pixels along x (right ascension).
    pub nx: usize,
    /// Pixels along y (declination).
    pub ny: usize,
    /// Pixel size along x, rad, positive.
    pub cell_x: f64,
    /// Pixel size along y, rad, positive.
    pub cell_y: f64,
    /// Direction of the centre pixel.
    pub phase_center: Direction,
}

impl ImageGrid {
    /// Pixels in a plane.
    pub fn npix(&self) -> usize {
        self.nx * self.ny
    }

    /// Direction cosine l (growing east) of pixel column `x`.
    pub fn l(&self, x: usize) -> f64 {
        -(x as f64 - (self.nx / 2) as f64) * self.cell_x
    }

    /// Direction cosine m (growing north) of pixel row `y`.
    pub fn m(&self, y: usize) -> f64 {
        (y as f64 - (self.ny / 2) as f64) * self.cell_y
    }
}
