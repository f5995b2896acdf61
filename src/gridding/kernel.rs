//! The convolution function: an exponential of semicircle, its Fourier transform, and the choice of
//! its support and shape from the accuracy asked for.
//!
//! `K(x) = exp(β·(√(1 − (2x/W)²) − 1))` for |x| ≤ W/2 cells (Barnett, Magland & af Klinteberg 2019,
//! SIAM J. Sci. Comput. 41, C479). It comes close to the optimal (prolate spheroidal) function and
//! is cheap to evaluate. Everything about it is computed numerically here; no fitted constants.

use std::f64::consts::PI;

/// Supports of kernels, cells: whole vectors of f32 or f64 complex numbers, and few enough that
/// backends can compile their inner loops for each.
pub const SUPPORTS: [usize; 5] = [4, 6, 8, 10, 12];

/// Nodes of the Gauss–Legendre rule for the kernel's transform. The integrand is smooth with at most
/// `W/2·σ⁻¹` < 16 oscillations; 80 nodes reach rounding error.
const NODES: usize = 80;

/// A convolution function, the same along u and v.
#[derive(Clone, Debug)]
pub struct Kernel {
    support: usize,
    beta: f64,
    degree: usize,
    /// `[power][tap]`: tap n is a polynomial in y = 2t − 1, see [`Kernel::taps`].
    polynomials: Vec<f64>,
    /// Nodes and weights times the kernel, for the transform: Σ weight·cos(2π f node).
    quadrature: Vec<(f64, f64)>,
}

impl Kernel {
    /// The function of `support` cells and shape parameter `beta`.
    fn new(support: usize, beta: f64) -> Self {
        // W + 4 powers keep the interpolation error below the aliasing error of the same W.
        let degree = support + 4;
        let polynomials = tap_polynomials(support, beta, degree);
        Self { support, beta, degree, polynomials, quadrature: quadrature(support, beta) }
    }

    /// Number of cells along each axis that a sample touches, W.
    pub fn support(&self) -> usize {
        self.support
    }

    /// Shape parameter β.
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// Degree of [`Kernel::polynomials`].
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// Coefficients `[power 0..=degree][tap 0..support]` of the taps as polynomials, see
    /// [`Kernel::taps`].
    pub fn polynomials(&self) -> &[f64] {
        &self.polynomials
    }

    /// K at `x` cells from its centre.
    pub fn value(&self, x: f64) -> f64 {
        es(x, self.support as f64 / 2.0, self.beta)
    }

    /// K's Fourier transform `∫ K(x) cos(2π f x) dx`, f in cycles per cell.
    pub fn transform(&self, f: f64) -> f64 {
        transform(&self.quadrature, f)
    }

    /// First cell that a sample at `position` (cells) touches, and y in [−1, 1) that
    /// [`Kernel::taps`] takes: with t = first − (position − W/2) in [0, 1), y = 2t − 1.
    pub fn first_cell(&self, position: f64) -> (i64, f64) {
        let left = position - 0.5 * self.support as f64;
        let first = left.ceil();
        (first as i64, 2.0 * (first - left) - 1.0)
    }

    /// K at the `support` cells from the first one on.
    pub fn taps(&self, y: f64, out: &mut [f64]) {
        let rows = self.polynomials.chunks_exact(self.support).rev();
        let out = &mut out[..self.support];
        out.fill(0.0);
        for row in rows {
            for (o, c) in out.iter_mut().zip(row) {
                *o = *o * y + c;
            }
        }
    }

    /// The kernel of least support whose error on an image that fills `1/padding` of the padded one
    /// is at most `tolerance`, and that error (one axis, the worst over the image); `None` if the
    /// widest of [`SUPPORTS`] does not reach it.
    pub(super) fn design(padding: f64, tolerance: f64) -> Option<(Self, f64)> {
        // The error of the best possible β is near exp(−πW√(1 − 1/σ)) (Barnett et al. 2019): a
        // support for which that is far above the tolerance need not be tried.
        let hopeless = |support: usize| {
            (-PI * support as f64 * (1.0 - 1.0 / padding).sqrt()).exp() > 10.0 * tolerance
        };
        SUPPORTS.into_iter().filter(|&w| !hopeless(w)).find_map(|support| {
            let (beta, error) = best_beta(support, padding);
            (error <= tolerance).then(|| (Self::new(support, beta), error))
        })
    }
}

/// Nodes and weights times the kernel for its transform.
fn quadrature(support: usize, beta: f64) -> Vec<(f64, f64)> {
    let half = support as f64 / 2.0;
    gauss_legendre().iter().map(|&(x, w)| (half * x, half * w * es(half * x, half, beta))).collect()
}

/// `Σ weight·cos(2π f node)`.
fn transform(quadrature: &[(f64, f64)], f: f64) -> f64 {
    quadrature.iter().map(|&(x, w)| w * (2.0 * PI * f * x).cos()).sum()
}

/// The β of least error for `support` cells and `padding`, and that error.
fn best_beta(support: usize, padding: f64) -> (f64, f64) {
    // β is near π·W·(1 − 1/2σ), where the transform's main lobe ends at the first alias.
    let beta_max = PI * support as f64 * (1.0 - 0.5 / padding);
    let edge = 0.5 / padding;
    (0..24)
        .map(|i| {
            let beta = beta_max * (0.86 + 0.0065 * f64::from(i));
            let error =
                [1.0, 0.85, 0.5, 0.0].map(|part| aliasing_error(support, beta, part * edge));
            (beta, error.into_iter().fold(0.0, f64::max))
        })
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .expect("24 candidates")
}

/// Largest relative error, over sample positions, of one point's wave at `f` cycles per cell after
/// gridding, transform and correction: all aliases are in it.
fn aliasing_error(support: usize, beta: f64, f: f64) -> f64 {
    const POSITIONS: usize = 16;
    let half = support as f64 / 2.0;
    let exact = transform(&quadrature(support, beta), f);
    (0..POSITIONS)
        .map(|i| {
            let t = (i as f64 + 0.5) / POSITIONS as f64;
            let (mut re, mut im) = (0.0, 0.0);
            for n in 0..support {
                let x = t + n as f64 - half;
                let (sin, cos) = (2.0 * PI * f * x).sin_cos();
                re += es(x, half, beta) * cos;
                im += es(x, half, beta) * sin;
            }
            (re / exact - 1.0).hypot(im / exact)
        })
        .fold(0.0, f64::max)
}

/// The exponential of semicircle of half width `half` cells.
fn es(x: f64, half: f64, beta: f64) -> f64 {
    let z = x / half;
    let inside = 1.0 - z * z;
    if inside < 0.0 { 0.0 } else { (beta * (inside.sqrt() - 1.0)).exp() }
}

/// Coefficients `[power][tap]` of polynomials in y = 2t − 1 that give K(t + n − W/2), t in [0, 1),
/// for tap n: interpolation at Chebyshev nodes, then Chebyshev → monomial.
fn tap_polynomials(support: usize, beta: f64, degree: usize) -> Vec<f64> {
    let half = support as f64 / 2.0;
    let n = degree + 1;
    let mut coefficients = vec![0.0; n * support];
    for tap in 0..support {
        let node = |j: usize| (PI * (j as f64 + 0.5) / n as f64).cos();
        let values: Vec<f64> =
            (0..n).map(|j| es(0.5 * (node(j) + 1.0) + tap as f64 - half, half, beta)).collect();
        // T_k and T_{k−1} as monomials, built up by T_{k+1} = 2y·T_k − T_{k−1}.
        let (mut t_before, mut t) = (vec![0.0; n], vec![0.0; n]);
        t[0] = 1.0;
        for k in 0..n {
            let scale = if k == 0 { 1.0 } else { 2.0 } / n as f64;
            let c = scale
                * values
                    .iter()
                    .enumerate()
                    .map(|(j, v)| v * (PI * k as f64 * (j as f64 + 0.5) / n as f64).cos())
                    .sum::<f64>();
            for (power, m) in t.iter().enumerate() {
                coefficients[power * support + tap] += c * m;
            }
            let factor = if k == 0 { 1.0 } else { 2.0 };
            let mut next = vec![0.0; n];
            for power in 0..n {
                let shifted = if power > 0 { factor * t[power - 1] } else { 0.0 };
                next[power] = shifted - if k == 0 { 0.0 } else { t_before[power] };
            }
            t_before = std::mem::replace(&mut t, next);
        }
    }
    coefficients
}

/// Nodes and weights of the Gauss–Legendre rule on [−1, 1], by Newton's method on the Legendre
/// polynomial.
fn gauss_legendre() -> &'static [(f64, f64)] {
    static RULE: std::sync::OnceLock<Vec<(f64, f64)>> = std::sync::OnceLock::new();
    RULE.get_or_init(|| {
        let n = NODES as f64;
        let node = |i: usize| {
            let mut x = (PI * (i as f64 + 0.75) / (n + 0.5)).cos();
            let mut derivative = 1.0;
            for _ in 0..100 {
                let (mut p_before, mut p) = (1.0, x);
                for k in 2..=NODES {
                    let k = k as f64;
                    (p_before, p) = (p, ((2.0 * k - 1.0) * x * p - (k - 1.0) * p_before) / k);
                }
                derivative = n * (x * p - p_before) / (x * x - 1.0);
                let step = p / derivative;
                x -= step;
                if step.abs() < 1e-15 {
                    break;
                }
            }
            (x, 2.0 / ((1.0 - x * x) * derivative * derivative))
        };
        (0..NODES).map(node).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_integrates_polynomials_exactly() {
        let rule = gauss_legendre();
        for power in [0usize, 2, 10, 60] {
            let sum: f64 = rule.iter().map(|(x, w)| w * x.powi(power as i32)).sum();
            assert!((sum - 2.0 / (power as f64 + 1.0)).abs() < 1e-13, "x^{power}: {sum}");
        }
    }

    #[test]
    fn taps_follow_the_function() {
        for support in SUPPORTS {
            let (beta, error) = best_beta(support, 1.5);
            let kernel = Kernel::new(support, beta);
            let mut taps = [0.0; 12];
            for i in 0..100 {
                let position = 20.0 + f64::from(i) / 100.0;
                let (first, y) = kernel.first_cell(position);
                kernel.taps(y, &mut taps);
                for (n, tap) in taps[..support].iter().enumerate() {
                    let exact = kernel.value((first + n as i64) as f64 - position);
                    // The polynomial must not add to the aliasing error.
                    assert!((tap - exact).abs() < 0.5 * error, "W={support} {tap} {exact}");
                }
            }
        }
    }

    #[test]
    fn error_falls_with_support_as_theory_says() {
        // exp(−πW√(1 − 1/σ)), Barnett et al. 2019, up to a factor of order 10.
        for (support, padding) in [(6, 2.0), (8, 1.5), (8, 2.0), (12, 1.75)] {
            let (_, error) = best_beta(support, padding);
            let theory = (-PI * support as f64 * (1.0 - 1.0 / padding).sqrt()).exp();
            assert!(error < 12.0 * theory, "W={support} σ={padding}: {error:e} {theory:e}");
        }
    }
}
