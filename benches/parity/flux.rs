//! Fluxes of `small` against the sky that it was simulated with, beside tclean's.

use std::f64::consts::LN_2;

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

/// Channels of `small` with line emission.
const LINE: std::ops::RangeInclusive<usize> = 8..=23;

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

/// Flux of the disk and the ring: their true shape, convolved with the beam, fitted to the image
/// within [`DISK`] of the centre. (A sum over that aperture would be mostly its noise in channels
/// without line.)
fn disk(image: &Array2<f32>, beam: &Gaussian, sky: &[[f64; 3]]) -> f64 {
    let (mut product, mut square) = (0.0, 0.0);
    for (index, &value) in image.indexed_iter() {
        let (l, m) = position(image, index);
        if l.hypot(m) <= DISK {
            let shape: f64 = sky.iter().map(|&[l0, m0, jy]| jy * beam.at(l - l0, m - m0)).sum();
            product += f64::from(value) * shape;
            square += shape * shape;
        }
    }
    product / square * flux(sky)
}

fn flux(sky: &[[f64; 3]]) -> f64 {
    sky.iter().map(|s| s[2]).sum()
}

/// The disk and the ring of a channel of `small`: (l arcsec, m arcsec, Jy) of the pixels that matter.
fn true_disk(truth: &Truth, channel: usize) -> Vec<[f64; 3]> {
    let index = truth.channels.iter().position(|&c| c == channel).expect("a channel with a truth");
    let plane = truth.cube.index_axis(ndarray::Axis(0), index);
    let (nl, nm) = plane.dim();
    let at = |i: usize, n: usize| (i as f64 - (n / 2) as f64) * truth.cell_arcsec;
    let least = plane.iter().fold(0.0f32, |max, &v| max.max(v)) * 1e-4;
    let bright = plane.indexed_iter().filter(|(_, jy)| **jy > least);
    bright.map(|((i, j), &jy)| [at(i, nl), at(j, nm), f64::from(jy)]).collect()
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
        &["run", "channel", "point 1", "point 2", "point 3", "point 4", "disk and ring", "noise"],
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
    // Between the channels of the set there is no truth but for the continuum.
    let sky = true_disk(truth, of_set);
    cells.push(match made.casa.args["outframe"] == "LSRK" && LINE.contains(&of_set) {
        true => "-".into(),
        false => cell(flux(&sky), disk(&ours, &own, &sky), disk(&theirs, &casa, &sky)),
    });
    cells.push(format!("{:.2}", 1e3 * made.summary.channels[channel].rms));
    cells
}
