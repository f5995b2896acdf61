//! Fluxes of `small` against the sky that it was simulated with, beside tclean's.

use std::f64::consts::{LN_2, PI};

use ndarray::Array2;

use super::{
    Made,
    common::{Truth, small_truth},
    table::Table,
};

/// Pixel size of the images of `small`, arcsec.
const CELL: f64 = 0.1;

/// Radius within which the disk and the ring of continuum lie, arcsec: beyond it are only points.
const DISK: f64 = 5.2;

/// A beam: half-power widths in arcsec, position angle in rad.
#[derive(Clone, Copy)]
struct Gaussian {
    major: f64,
    minor: f64,
    pa: f64,
}

impl Gaussian {
    fn at(&self, l: f64, m: f64) -> f64 {
        let (sin, cos) = self.pa.sin_cos();
        let (along, across) = (l * sin + m * cos, l * cos - m * sin);
        (-4.0 * LN_2 * ((along / self.major).powi(2) + (across / self.minor).powi(2))).exp()
    }

    /// Solid angle in pixels.
    fn pixels(&self) -> f64 {
        PI / (4.0 * LN_2) * self.major * self.minor / (CELL * CELL)
    }
}

/// (l, m) of an image pixel, arcsec.
fn position(image: &Array2<f32>, (y, x): (usize, usize)) -> (f64, f64) {
    let (ny, nx) = image.dim();
    ((nx / 2) as f64 * CELL - x as f64 * CELL, (y as f64 - (ny / 2) as f64) * CELL)
}

/// Flux of a point: the beam at its position, fitted to the image within one half-power width.
fn point(image: &Array2<f32>, beam: &Gaussian, [l0, m0, _]: [f64; 3]) -> f64 {
    let (mut product, mut square) = (0.0, 0.0);
    for (index, &value) in image.indexed_iter() {
        let (l, m) = position(image, index);
        if (l - l0).hypot(m - m0) <= beam.major {
            let shape = beam.at(l - l0, m - m0);
            product += f64::from(value) * shape;
            square += shape * shape;
        }
    }
    product / square
}

/// Flux within [`DISK`] of the centre.
fn disk(image: &Array2<f32>, beam: &Gaussian) -> f64 {
    let inside = image.indexed_iter().filter(|(index, _)| {
        let (l, m) = position(image, *index);
        l.hypot(m) <= DISK
    });
    inside.map(|(_, &value)| f64::from(value)).sum::<f64>() / beam.pixels()
}

fn true_disk(truth: &Truth, channel: usize) -> f64 {
    let index = truth.channels.iter().position(|&c| c == channel).expect("a channel with a truth");
    truth.cube.index_axis(ndarray::Axis(0), index).iter().map(|&v| f64::from(v)).sum()
}

/// Channel of `small` that the first channel of a run is.
fn first_channel(made: &Made) -> Option<usize> {
    let start = &made.casa.args["start"];
    let start = start.as_u64().or_else(|| start.as_str()?.parse().ok());
    (made.name != "ngc5921").then(|| start.unwrap_or(0) as usize)
}

pub fn print(runs: &[Made]) {
    let truth = small_truth();
    let mut table = Table::new(
        "Flux of `small`, mJy: truth, and the deviations of ours / CASA",
        &["run", "channel", "point 1", "point 2", "point 3", "point 4", "disk and ring"],
    );
    for made in runs {
        let Some(first) = first_channel(made) else { continue };
        for &channel in made.casa.channels("image") {
            if truth.channels.contains(&(first + channel)) {
                table.row(row(made, channel, first + channel, &truth));
            }
        }
    }
    table.print();
}

fn row(made: &Made, channel: usize, of_set: usize, truth: &Truth) -> Vec<String> {
    let own = made.summary.channels[channel].restoring_beam.expect("a restored image");
    let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
    let own = Gaussian { major: arcsec(own.major), minor: arcsec(own.minor), pa: own.pa };
    let beams = &made.casa.beams;
    let [major, minor, pa] = beams[if beams.len() > channel { channel } else { 0 }];
    let casa = Gaussian { major, minor, pa: pa.to_radians() };
    let (ours, theirs) = (made.plane("image", channel), made.casa.plane("image", channel));
    let cell = |truth: f64, ours: f64, casa: f64| {
        let (ours, casa) = (1e3 * (ours - truth), 1e3 * (casa - truth));
        format!("{:.1}: {ours:+.2} / {casa:+.2}", 1e3 * truth)
    };
    let mut cells = vec![made.name.to_owned(), of_set.to_string()];
    for &source in &truth.points {
        cells.push(cell(source[2], point(&ours, &own, source), point(&theirs, &casa, source)));
    }
    cells.push(cell(true_disk(truth, of_set), disk(&ours, &own), disk(&theirs, &casa)));
    cells
}
