//! Residuals, PSFs and masks of the scales, convolved on the host.

use num_complex::Complex32;
use rayon::prelude::*;

use super::Shape;
use crate::{backend::Scales, fourier::Transform2d, gridding::good_size, mask::Mask};

/// A component may be placed where the mask, convolved with its shape, exceeds this, as in tclean (its
/// log says so): nearly all of its flux lies inside the mask then.
const LEVEL: f32 = 0.9;

/// Components lie at least this many widths from the image's edges, as in tclean (measured).
const BORDER: f32 = 1.5;

/// Least response of the PSF to a scale, relative to that to a point, for the scale to be used: below
/// it the data do not constrain it.
const LEAST_RESPONSE: f32 = 1e-6;

/// The shapes that a cycle keeps residuals for: the point first, as its residual is the plain one, which
/// is tracked whether or not points are among the scales.
pub(crate) struct Tracked {
    pub(crate) shapes: Vec<Shape>,
    /// Which of them components may have: 0, or 1 if points are not among the scales.
    pub(crate) first: usize,
    /// 1 − smallscalebias·α/α_max.
    biases: Vec<f64>,
    /// Outermost pixels that each shape's components keep away from.
    borders: Vec<usize>,
    nx: usize,
    ny: usize,
    fft: Transform2d,
    /// Real parts of the spectra of all shapes but the point; the imaginary parts are zero, as shapes are
    /// symmetric.
    spectra: Vec<Vec<f32>>,
}

/// How the PSF answers a shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Response {
    /// 1/p_αα(0): residual to strength; 0 for a shape that cannot be used.
    pub(crate) inverse: f32,
    /// √(bias/p_αα(0)): |residual| to the value that scales are compared by.
    pub(crate) weight: f32,
}

/// A channel's planes for one cycle, each of `ny·nx` values.
pub(crate) struct Prepared {
    /// Residuals of all shapes but the point, whose is the plain residual.
    pub(crate) residuals: Vec<Vec<f32>>,
    /// `p_αβ` of all pairs α ≤ β but that of the point with itself, which is the PSF; in the order of
    /// [`Tracked::pair`].
    pub(crate) crosses: Vec<Vec<f32>>,
    /// For each shape.
    pub(crate) responses: Vec<Response>,
}

/// Pairs α ≤ β of `n` shapes.
pub(crate) fn pair_count(n: usize) -> usize {
    n * (n + 1) / 2
}

/// Lengths of transforms: nothing wraps around into the image.
fn padded(scales: &Scales, nx: usize, ny: usize) -> (usize, usize) {
    let widest = scales.pixels.iter().fold(0.0f32, |a, &b| a.max(b));
    // A pair of shapes reaches twice as far as one.
    let reach = 2 * widest.ceil() as usize;
    (good_size(nx + reach), good_size(ny + reach))
}

/// Bytes of host memory that a channel's preparation takes, and what it makes.
pub(crate) fn host_bytes(scales: &Scales, nx: usize, ny: usize) -> usize {
    let n = scales.pixels.len() + 1;
    let (width, height) = padded(scales, nx, ny);
    // Planes, residuals twice (as strips of their masks); and padded ones: shapes' spectra (half a plane each), and of a convolution the plane, two
    // spectra and a transpose.
    4 * nx * ny * (2 * n + pair_count(n) + 2) + width * height * (2 * n + 20)
}

impl Tracked {
    /// For planes of `ny·nx` pixels.
    pub(crate) fn new(scales: &Scales, nx: usize, ny: usize) -> Self {
        let first = usize::from(scales.pixels.first() != Some(&0.0));
        let widths: Vec<f32> =
            std::iter::repeat_n(0.0, first).chain(scales.pixels.iter().copied()).collect();
        let widest = f64::from(widths.last().copied().unwrap_or(0.0));
        let bias = |&width: &f32| match widest > 0.0 {
            true => 1.0 - f64::from(scales.smallscalebias) * f64::from(width) / widest,
            false => 1.0,
        };
        let shapes: Vec<Shape> = widths.iter().map(|&w| Shape::new(w)).collect();
        let (width, height) = padded(scales, nx, ny);
        let fft = Transform2d::new(width, height);
        let spectra = shapes[1..].iter().map(|shape| spectrum(&fft, shape)).collect();
        Self {
            first,
            biases: widths.iter().map(bias).collect(),
            borders: widths.iter().map(|&w| border(w)).collect(),
            shapes,
            nx,
            ny,
            fft,
            spectra,
        }
    }

    /// Number of shapes.
    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// The place of a pair of shapes, in either order, among all pairs.
    pub(crate) fn pair(&self, a: usize, b: usize) -> usize {
        let (low, high) = (a.min(b), a.max(b));
        low * (2 * self.len() - low + 1) / 2 + high - low
    }

    /// Where components of each shape but the point may lie, given where points may.
    pub(crate) fn masks(&self, mask: &Mask) -> Vec<Mask> {
        let mut plane = vec![0.0f32; self.nx * self.ny];
        for pixel in mask.pixels() {
            plane[pixel] = 1.0;
        }
        let spectrum = self.forward(&plane);
        (1..self.len())
            .map(|s| {
                let smooth = self.convolved(&spectrum, &[s]);
                let (nx, ny, border) = (self.nx, self.ny, self.borders[s]);
                let off = |i: usize, n: usize| i.min(n - 1 - i) <= border;
                Mask::from_fn(nx, ny, |x, y| {
                    !off(x, nx) && !off(y, ny) && smooth[y * nx + x] > LEVEL
                })
            })
            .collect()
    }

    /// Convolves a channel's residual and PSF.
    pub(crate) fn prepare(&self, residual: &[f32], psf: &[f32]) -> Prepared {
        let n = self.len();
        let spectrum = self.forward(residual);
        let residuals = (1..n).map(|s| self.convolved(&spectrum, &[s])).collect();
        let spectrum = self.forward(psf);
        let mut crosses = Vec::with_capacity(pair_count(n) - 1);
        for a in 0..n {
            for b in a.max(1)..n {
                crosses.push(match a {
                    0 => self.convolved(&spectrum, &[b]),
                    _ => self.convolved(&spectrum, &[a, b]),
                });
            }
        }
        let centre = self.ny / 2 * self.nx + self.nx / 2;
        let response = |s: usize| {
            // The PSF's own peak is 1.
            let own = if s == 0 { 1.0 } else { crosses[self.pair(s, s) - 1][centre] };
            if own >= LEAST_RESPONSE {
                let own = f64::from(own);
                let weight = (self.biases[s] / own).sqrt() as f32;
                Response { inverse: (1.0 / own) as f32, weight }
            } else {
                Response { inverse: 0.0, weight: 0.0 }
            }
        };
        let responses = (0..n).map(response).collect();
        Prepared { residuals, crosses, responses }
    }

    fn forward(&self, plane: &[f32]) -> Vec<Complex32> {
        let mut padded = vec![0.0; self.fft.nx * self.fft.ny];
        for (row, to) in plane.chunks_exact(self.nx).zip(padded.chunks_exact_mut(self.fft.nx)) {
            to[..self.nx].copy_from_slice(row);
        }
        self.fft.forward(&mut padded)
    }

    /// The plane of a spectrum times those of shapes.
    fn convolved(&self, spectrum: &[Complex32], shapes: &[usize]) -> Vec<f32> {
        let norm = 1.0 / (self.fft.nx * self.fft.ny) as f32;
        let mut product: Vec<Complex32> = spectrum
            .par_iter()
            .enumerate()
            .map(|(i, &value)| {
                value * shapes.iter().fold(norm, |all, &s| all * self.spectra[s - 1][i])
            })
            .collect();
        let mut padded = vec![0.0; self.fft.nx * self.fft.ny];
        self.fft.inverse(&mut product, &mut padded);
        let rows = padded.chunks_exact(self.fft.nx).take(self.ny);
        rows.flat_map(|row| &row[..self.nx]).copied().collect()
    }
}

/// Whether an image has room for components of a width.
pub(crate) fn has_room(width: f32, nx: usize, ny: usize) -> bool {
    nx.min(ny) > 2 * border(width) + 2
}

/// Outermost pixels on either side that components of a width keep away from: none for points.
fn border(width: f32) -> usize {
    (BORDER * width).floor() as usize
}

fn spectrum(fft: &Transform2d, shape: &Shape) -> Vec<f32> {
    let mut plane = vec![0.0; fft.nx * fft.ny];
    let fold = |i: usize, n: usize| (i + n - shape.reach) % n;
    for y in 0..=2 * shape.reach {
        for (x, &value) in shape.row(y).iter().enumerate() {
            plane[fold(y, fft.ny) * fft.nx + fold(x, fft.nx)] = value;
        }
    }
    fft.forward(&mut plane).iter().map(|value| value.re).collect()
}
