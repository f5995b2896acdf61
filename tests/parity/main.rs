//! Against products of CASA's tclean on the same data.

#[path = "../common/mod.rs"]
mod common;

mod beams;
mod deconvolution;

use cubeclean::geometry::{Direction, DirectionFrame, ImageGrid};

/// rad
const ARCSEC: f64 = std::f64::consts::PI / 648_000.0;

/// The grid of a golden's images, wherever on the sky.
fn grid(n: usize, cell_arcsec: f64) -> ImageGrid {
    let phase_center = Direction::new(1.0, 0.0, DirectionFrame::Icrs);
    let cell = cell_arcsec * ARCSEC;
    ImageGrid { nx: n, ny: n, cell_x: cell, cell_y: cell, phase_center }
}
