//! What is seen: point sources in a disc, and noise.

use std::f64::consts::TAU;

use num_complex::{Complex32, Complex64};
use rayon::prelude::*;

use crate::{SPEED_OF_LIGHT, gridding::n_minus_1, ms::Rows};

/// Sources, so many that components are found all over the mask.
const SOURCES: usize = 24;

/// Noise of a visibility, Jy: about 2e-4 of the brightest source in an image of all rows.
const NOISE: f64 = 0.1;

/// A point source.
struct Source {
    flux: f64,
    l: f64,
    m: f64,
    n_minus_1: f64,
}

/// Sources along a spiral of `radius` (a direction cosine), the brightest of 1 Jy.
fn sources(radius: f64) -> Vec<Source> {
    (0..SOURCES)
        .map(|i| {
            let r = radius * ((i as f64 + 0.5) / SOURCES as f64).sqrt();
            let (sin, cos) = (2.399_963 * i as f64).sin_cos();
            let (l, m) = (r * sin, r * cos);
            // A field is far smaller than the sky.
            let n_minus_1 = n_minus_1(l * l + m * m).unwrap_or(-1.0);
            Source { flux: 1.0 / (1.0 + 0.25 * i as f64), l, m, n_minus_1 }
        })
        .collect()
}

/// The sky and the noise.
pub(super) struct Sky(Vec<Source>);

impl Sky {
    /// Sources within `radius` (a direction cosine) of the phase centre.
    pub(super) fn new(radius: f64) -> Self {
        Self(sources(radius))
    }

    /// A row's visibility at one frequency; `channel` and `row` are the noise's seed.
    pub(super) fn visibility(
        &self,
        [u, v, w]: [f64; 3],
        freq_hz: f64,
        channel: usize,
        row: usize,
    ) -> Complex32 {
        let turns = TAU * freq_hz / SPEED_OF_LIGHT;
        let mut sum = noise(((channel as u64) << 32) | row as u64);
        for s in &self.0 {
            sum += Complex64::from_polar(s.flux, turns * (u * s.l + v * s.m + w * s.n_minus_1));
        }
        Complex32::new(sum.re as f32, sum.im as f32)
    }

    /// Visibilities of all rows at one frequency.
    pub(super) fn visibilities(&self, rows: &Rows, freq_hz: f64, channel: usize) -> Vec<Complex32> {
        let seen = |(row, uvw): (usize, &[f64; 3])| self.visibility(*uvw, freq_hz, channel, row);
        rows.uvw_m.par_iter().enumerate().map(seen).collect()
    }
}

/// Gaussian noise (Box and Muller's), the same for the same seed whatever the threads.
fn noise(seed: u64) -> Complex64 {
    let uniform =
        |n: u64| (splitmix(seed.wrapping_mul(2).wrapping_add(n)) >> 11) as f64 / 2f64.powi(53);
    Complex64::from_polar(NOISE * (-2.0 * (1.0 - uniform(0)).ln()).sqrt(), TAU * uniform(1))
}

/// The output function of splitmix64 (Steele, Lea and Flood 2014).
fn splitmix(seed: u64) -> u64 {
    let z = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
