//! The exact Fourier sums in f64 that judge the operators: the measurement equation, written plainly.

use cubeclean::{SPEED_OF_LIGHT, geometry::ImageGrid, ms::VisBlock};
use num_complex::Complex64;
use rayon::prelude::*;
use std::f64::consts::PI;

/// One visibility with its baseline in wavelengths.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub u: f64,
    pub v: f64,
    pub w: f64,
    pub vis: Complex64,
    pub weight: f64,
}

/// All samples of an image channel that have weight, layer by layer, row by row.
pub fn samples(block: &VisBlock, channel: usize) -> Vec<Sample> {
    let mut out = Vec::new();
    for layer in block.layers_of(channel) {
        for (row, &weight) in layer.weight.iter().enumerate() {
            if weight > 0.0 {
                let per_metre = layer.freq_hz[block.rows.slot[row] as usize] / SPEED_OF_LIGHT;
                let [u, v, w] = block.rows.uvw_m[row].map(|x| x * per_metre);
                let vis = Complex64::new(layer.vis[row].re.into(), layer.vis[row].im.into());
                out.push(Sample { u, v, w, vis, weight: weight.into() });
            }
        }
    }
    out
}

/// n − 1, without its cancellation near the phase centre.
fn n_minus_1(l: f64, m: f64) -> f64 {
    let r2 = l * l + m * m;
    -r2 / (1.0 + (1.0 - r2).sqrt())
}

/// u·l + v·m + w·(n−1) in turns; without the last term for tclean's two-dimensional gridding.
fn turns(s: &Sample, l: f64, m: f64, wterm: bool) -> f64 {
    s.u * l + s.v * m + if wterm { s.w * n_minus_1(l, m) } else { 0.0 }
}

/// `Σ weight · Re(vis · exp(−2πi(ul + vm + w(n−1)))) / Σ weight` at every pixel, x fastest.
pub fn dirty(image: &ImageGrid, samples: &[Sample], wterm: bool) -> Vec<f64> {
    let sumwt: f64 = samples.iter().map(|s| s.weight).sum();
    (0..image.npix())
        .into_par_iter()
        .map(|pixel| {
            let (l, m) = (image.l(pixel % image.nx), image.m(pixel / image.nx));
            let term = |s: &Sample| {
                let (sin, cos) = (2.0 * PI * turns(s, l, m, wterm)).sin_cos();
                s.weight * (s.vis.re * cos + s.vis.im * sin)
            };
            samples.iter().map(term).sum::<f64>() / sumwt
        })
        .collect()
}

/// The dirty image of visibilities 1.
pub fn psf(image: &ImageGrid, samples: &[Sample], wterm: bool) -> Vec<f64> {
    let one = Complex64::new(1.0, 0.0);
    let unit: Vec<Sample> = samples.iter().map(|s| Sample { vis: one, ..*s }).collect();
    dirty(image, &unit, wterm)
}

/// `Σ model · exp(+2πi(ul + vm + w(n−1)))` of every sample.
pub fn predict(
    image: &ImageGrid,
    model: &[f32],
    samples: &[Sample],
    wterm: bool,
) -> Vec<Complex64> {
    let lit: Vec<(f64, f64, f64)> = (0..image.npix())
        .filter(|&pixel| model[pixel] != 0.0)
        .map(|p| (image.l(p % image.nx), image.m(p / image.nx), f64::from(model[p])))
        .collect();
    samples
        .par_iter()
        .map(|s| {
            let term =
                |&(l, m, flux)| Complex64::from_polar(flux, 2.0 * PI * turns(s, l, m, wterm));
            lit.iter().map(term).sum()
        })
        .collect()
}
