//! Imaging weights: natural, uniform, briggs, briggsbwtaper, and tapers.
//!
//! The formulas are tclean's as measured (assets/spectral/README.md); Briggs's scheme is from
//! D. S. Briggs, PhD thesis, New Mexico Tech 1995. With g the density of weights in a sample's uv
//! cell (conjugates included), and over all cells S = Σg:
//!
//! * natural: w
//! * uniform: w / g
//! * briggs: w / (g·f² + 1), f² = (5·10^−robust)² / (Σg² / S)
//! * briggsbwtaper: w / (g·f²/D + 1), where n = fracBW·|uv| in cells, and D = n + ½, but
//!   (4−n)/(4−2n) where that would be below 3/2
//!
//! A taper multiplies the imaging weights afterwards; the density is not tapered. Samples outside
//! the uv cells of the image have no density and get weight 0 (natural weighting keeps them).

mod density;

use std::f64::consts::{LN_2, PI};

use rayon::prelude::*;

use crate::{
    SPEED_OF_LIGHT,
    geometry::ImageGrid,
    ms::{Layer, Rows, VisBlock},
    spectral::ChannelGrid,
    units::{Dimension, Quantity},
};

pub use density::CubeDensity;
use density::{Cells, Density, Rounding};

/// Weighting scheme.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightingScheme {
    /// Weights as they are.
    Natural,
    /// Weight over density.
    Uniform,
    /// Briggs.
    Briggs {
        /// −2 to 2.
        robust: f64,
    },
    /// Briggs with the bandwidth taper.
    BriggsBwTaper {
        /// −2 to 2.
        robust: f64,
    },
}

/// A Gaussian taper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taper {
    /// Width along the major axis: as an angle, the full width at half maximum of the Gaussian that
    /// the taper convolves the image with; as a baseline length in wavelengths, the half width at
    /// half maximum of the taper itself.
    pub major: Quantity,
    /// Along the minor axis, of the same dimension.
    pub minor: Quantity,
    /// Position angle of the major axis, rad, from north through east.
    pub pa: f64,
}

/// The weighting of a cube.
#[derive(Clone, Debug)]
pub struct Weighting {
    scheme: WeightingScheme,
    per_channel: bool,
    taper: Option<GaussianTaper>,
    cells: Cells,
    fractional_bandwidth: f64,
}

impl Weighting {
    /// Weighting with tclean's parameters `weighting` and `robust`, `perchanweightdensity`, `uvtaper`.
    ///
    /// `channels` is the whole cube's axis, also where a process images a part of it: the bandwidth
    /// taper depends on it.
    pub fn new(
        scheme: WeightingScheme,
        perchanweightdensity: bool,
        uvtaper: Option<&Taper>,
        image: &ImageGrid,
        channels: &ChannelGrid,
    ) -> Self {
        // tclean rounds to cells in these two ways (measured).
        let rounding = if perchanweightdensity { Rounding::Nearest } else { Rounding::Down };
        Self {
            scheme,
            per_channel: perchanweightdensity,
            taper: uvtaper.map(GaussianTaper::new),
            cells: Cells::new(image, rounding),
            fractional_bandwidth: channels.fractional_bandwidth(),
        }
    }

    /// An empty density of the whole cube for these rows and observed frequencies, if the weights
    /// need one (`perchanweightdensity=False`, not natural). All blocks of the cube must be given to
    /// [`CubeDensity::add`] before the first is given to [`Weighting::apply`].
    pub fn cube_density(&self, rows: &Rows, max_freq_hz: f64) -> Option<CubeDensity> {
        let wanted = !self.per_channel && self.scheme != WeightingScheme::Natural;
        wanted.then(|| CubeDensity::new(self.cells, rows, max_freq_hz))
    }

    /// Bytes that [`Weighting::apply`] takes for each channel in work, for planning.
    pub fn scratch_bytes(&self, rows: &Rows, max_freq_hz: f64) -> usize {
        if self.per_channel && self.scheme != WeightingScheme::Natural {
            Density::bytes(&self.cells, longest_uv(rows, max_freq_hz))
        } else {
            0
        }
    }

    /// Turns the natural weights of a block into imaging weights, in place, and returns the sum of
    /// them (f64, in the order of layers and rows) for each of the block's channels.
    ///
    /// `cube` is the density of [`Weighting::cube_density`], complete, where that gave one. Layers
    /// of one channel share its density. Channels are done in parallel, each by one thread, so the
    /// result does not depend on the number of threads.
    ///
    /// # Panics
    /// If the weights need a density of the cube and there is none.
    pub fn apply(&self, block: &mut VisBlock, cube: Option<&CubeDensity>) -> Vec<f64> {
        let first = block.channels.start;
        let mut sums = vec![0.0; block.channels.len()];
        let rows = &*block.rows;
        let channels: Vec<&mut [Layer]> =
            block.layers.chunk_by_mut(|a, b| a.channel == b.channel).collect();
        let done: Vec<(usize, f64)> = channels
            .into_par_iter()
            .map(|layers| (layers[0].channel, self.apply_to_channel(layers, rows, cube)))
            .collect();
        for (channel, sum) in done {
            sums[channel - first] = sum;
        }
        sums
    }

    fn apply_to_channel(
        &self,
        layers: &mut [Layer],
        rows: &Rows,
        cube: Option<&CubeDensity>,
    ) -> f64 {
        let own;
        let density = match self.scheme {
            WeightingScheme::Natural => None,
            _ if self.per_channel => {
                own = Density::of_layers(self.cells, rows, layers);
                Some(&own)
            }
            _ => Some(cube.expect("the density of the cube was accumulated first").density()),
        };
        let briggs = |robust: f64| {
            let mean = density.map_or(0.0, Density::mean_of_samples);
            if mean > 0.0 { (5.0 * 10f64.powf(-robust)).powi(2) / mean } else { 0.0 }
        };
        let f2 = match self.scheme {
            WeightingScheme::Natural | WeightingScheme::Uniform => 0.0,
            WeightingScheme::Briggs { robust } | WeightingScheme::BriggsBwTaper { robust } => {
                briggs(robust)
            }
        };
        let mut sum = 0.0;
        for layer in layers {
            for row in 0..layer.weight.len() {
                let natural = layer.weight[row];
                if natural <= 0.0 {
                    continue;
                }
                let uv = uv_wavelengths(rows, layer, row);
                let g = density.map_or(f64::INFINITY, |density| density.at(&uv));
                let mut weight = f64::from(natural)
                    * match self.scheme {
                        WeightingScheme::Natural => 1.0,
                        _ if g <= 0.0 => 0.0,
                        WeightingScheme::Uniform => 1.0 / g,
                        WeightingScheme::Briggs { .. } => 1.0 / (g * f2 + 1.0),
                        WeightingScheme::BriggsBwTaper { .. } => {
                            1.0 / (g * f2 / self.bandwidth_divisor(&uv) + 1.0)
                        }
                    };
                if let Some(taper) = &self.taper {
                    weight *= taper.at(&uv);
                }
                layer.weight[row] = weight as f32;
                sum += f64::from(layer.weight[row]);
            }
        }
        sum
    }

    /// Number of cells over which a baseline moves with frequency along the cube, as briggsbwtaper
    /// counts it: D above.
    fn bandwidth_divisor(&self, uv: &[f64; 2]) -> f64 {
        let [x, y] = self.cells.position(uv);
        let n = self.fractional_bandwidth * x.hypot(y);
        if n < 1.0 { (4.0 - n) / (4.0 - 2.0 * n) } else { n + 0.5 }
    }
}

/// (u, v) in wavelengths of a row's sample.
fn uv_wavelengths(rows: &Rows, layer: &Layer, row: usize) -> [f64; 2] {
    let per_m = layer.freq_hz[rows.slot[row] as usize] / SPEED_OF_LIGHT;
    let [u, v, _] = rows.uvw_m[row];
    [u * per_m, v * per_m]
}

/// Largest |u| and |v| in wavelengths that rows reach at a frequency.
fn longest_uv(rows: &Rows, freq_hz: f64) -> [f64; 2] {
    let per_m = freq_hz / SPEED_OF_LIGHT;
    let longest = |axis: usize| rows.uvw_m.iter().fold(0.0f64, |a, uvw| a.max(uvw[axis].abs()));
    [longest(0) * per_m, longest(1) * per_m]
}

/// `exp(−(major·p)² − (minor·q)²)`, p and q the components of (u, v) along the taper's axes.
#[derive(Clone, Copy, Debug)]
struct GaussianTaper {
    sin: f64,
    cos: f64,
    major: f64,
    minor: f64,
}

impl GaussianTaper {
    fn new(taper: &Taper) -> Self {
        let scale = |width: &Quantity| match width.dimension() {
            // The transform of a Gaussian of FWHM θ is exp(−π²θ²(u²+v²)/(4 ln 2)).
            Dimension::Angle => PI * width.value() / (2.0 * LN_2.sqrt()),
            // Half its height at the given baseline.
            _ => LN_2.sqrt() / width.value(),
        };
        let (sin, cos) = taper.pa.sin_cos();
        Self { sin, cos, major: scale(&taper.major), minor: scale(&taper.minor) }
    }

    fn at(&self, uv: &[f64; 2]) -> f64 {
        let [u, v] = uv;
        let p = self.major * (u * self.sin + v * self.cos);
        let q = self.minor * (u * self.cos - v * self.sin);
        (-(p * p + q * q)).exp()
    }
}

#[cfg(test)]
mod tests;
