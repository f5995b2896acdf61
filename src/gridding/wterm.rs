//! The w-term: `exp(−2πi·w·(n−1))` as a sum of (factor per sample) × (real screen per pixel), so
//! that each term is one real-image transform.
//!
//! With s = (n−1−c)/h in [−1, 1] over the image (c the middle of n−1's range, h half of it) and
//! θ = 2π·w·h the term is `exp(−2πi·w·c) · exp(−iθs)`. Small θ: the Jacobi–Anger expansion
//! `exp(−iθs) = Σ_t (2−δ_t0)·(−i)^t·J_t(θ)·T_t(s)`, which converges faster than any power once
//! t > |θ|. Large θ: w-stacking with the convolution function of the gridding in w (Ye et al. 2022,
//! MNRAS 510, 4110), each pair of planes ±w_j as one cosine and one sine screen.

use std::f64::consts::PI;

use num_complex::Complex64;

use super::Kernel;
use crate::geometry::ImageGrid;

/// One grid → FFT → correct sequence: `dirty += screen · image of grid(factor(w) · sample)`.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Index in the plan's pointings.
    pub pointing: usize,
    /// The term of the w-expansion.
    pub term: Term,
}

/// One term of the w-expansion.
#[derive(Clone, Debug, PartialEq)]
pub enum Term {
    /// No w-term: factor 1, screen 1.
    Flat,
    /// Factor `exp(−2πi·w·c)·(2−δ)(−i)^t·J_t(θ)`, screen T_t(s).
    Chebyshev {
        /// t.
        order: usize,
        /// `(2−δ)·J_t(θ) = θ^t · Σ_k series[k]·θ^(2k)`.
        series: Vec<f64>,
    },
    /// w-planes ±w: factor `exp(−2πi·w_s·c)·(K(w_s−w) + K(w_s+w))`, screen cos(2πw(n−1−c))/K̂.
    StackCosine {
        /// w of the plane, wavelengths.
        w: f64,
    },
    /// w-planes ±w: factor `−i·exp(−2πi·w_s·c)·(K(w_s−w) − K(w_s+w))`, screen sin(2πw(n−1−c))/K̂.
    StackSine {
        /// w of the plane, wavelengths.
        w: f64,
    },
}

/// What the w-term's passes have in common.
#[derive(Clone, Debug)]
pub struct WTerm {
    /// Middle c of the range of n−1 over the image.
    pub centre: f64,
    /// Half the range of n−1 over the image, h; 0 where the w-term is left out.
    pub half_range: f64,
    /// Largest |w| of any sample of the cube, wavelengths.
    pub max_w: f64,
    /// Distance of the planes of w-stacking, wavelengths; 0 in the other modes.
    pub plane_distance: f64,
    /// w-stacking: 1/K̂(s·h·[`Self::plane_distance`]) = Σ_k inverse[k]·T_k(2s² − 1) for s in [−1, 1].
    inverse: Vec<f64>,
}

/// `n − 1` of direction cosines with l² + m² = `r2`; `None` beyond the horizon.
pub fn n_minus_1(r2: f64) -> Option<f64> {
    (r2 <= 1.0).then(|| above_horizon(r2))
}

/// `n − 1` where `r2` ≤ 1, and no branch; any finite number beyond.
#[inline(always)] // so that it is compiled for the caller's vector instructions
fn above_horizon(r2: f64) -> f64 {
    // −r²/(1+n) keeps full precision near the phase centre, where √(1−r²) − 1 would cancel.
    -r2 / (1.0 + (1.0 - r2).max(0.0).sqrt())
}

impl WTerm {
    /// No w-term, and its one pass.
    pub(super) fn flat(max_w: f64) -> (Self, Vec<Term>) {
        let wterm =
            Self { centre: 0.0, half_range: 0.0, max_w, plane_distance: 0.0, inverse: Vec::new() };
        (wterm, vec![Term::Flat])
    }

    /// The expansion that errs by less than `tolerance` (relative to a sample's amplitude) for the
    /// pixels of `image` and |w| up to `max_w` wavelengths, in the mode that costs least.
    pub(super) fn exact(
        image: &ImageGrid,
        max_w: f64,
        tolerance: f64,
        kernel: &Kernel,
        kernel_edge: f64,
        sample_cost: f64,
    ) -> (Self, Vec<Term>) {
        let l = image.l(0).abs().max(image.l(image.nx - 1).abs());
        let m = image.m(0).abs().max(image.m(image.ny - 1).abs());
        let lowest = n_minus_1((l * l + m * m).min(1.0)).unwrap_or(-1.0);
        let half_range = -0.5 * lowest;
        let (flat, _) = Self::flat(max_w);
        let mut wterm = Self { centre: 0.5 * lowest, half_range, ..flat };
        let theta = 2.0 * PI * max_w * half_range;
        let terms = chebyshev_terms(theta, tolerance);

        // Planes at ±(j+½)·Δ for all j that a sample's kernel can reach.
        let distance = kernel_edge / half_range;
        let support = kernel.support() as f64;
        let planes = (max_w / distance + 0.5 * support + 0.5).floor();
        // A pass costs a transform for all, gridding for the samples it concerns; a sample concerns
        // every Chebyshev term, but only W pairs of stacked planes.
        let cost_expansion = terms as f64 * (1.0 + sample_cost);
        let cost_stacking = 2.0 * planes + 2.0 * support * sample_cost;
        if terms <= MAX_CHEBYSHEV && cost_expansion <= cost_stacking {
            let terms = (0..terms)
                .map(|order| Term::Chebyshev { order, series: bessel_series(order, theta) })
                .collect();
            return (wterm, terms);
        }
        wterm.plane_distance = distance;
        wterm.inverse = inverse_series(kernel, kernel_edge);
        let terms = (0..planes as usize)
            .flat_map(|j| {
                let w = (j as f64 + 0.5) * distance;
                [Term::StackCosine { w }, Term::StackSine { w }]
            })
            .collect();
        (wterm, terms)
    }

    /// The factors of samples with w wavelengths, adjoint direction; their conjugates are the factors of
    /// the forward direction. Zero where a sample has no part in the pass.
    ///
    /// Several at a time, as each is a chain of dependent operations.
    #[inline(always)] // so that it is compiled for the caller's vector instructions
    pub fn factors<const N: usize>(
        &self,
        term: &Term,
        kernel: &Kernel,
        w: &[f64; N],
    ) -> [Complex64; N] {
        let (amplitudes, quarter_turns) = match term {
            Term::Flat => return [Complex64::new(1.0, 0.0); N],
            Term::Chebyshev { order, series } => (self.bessel(*order, series, w), *order),
            Term::StackCosine { w: plane } => (self.stacked(*plane, 1.0, kernel, w), 0),
            Term::StackSine { w: plane } => (self.stacked(*plane, -1.0, kernel, w), 1),
        };
        let mut turns = *w;
        for turns in &mut turns {
            *turns *= -self.centre;
        }
        // Times (−i)^quarter_turns, exactly.
        let (cos, sin) = turned(&turns, -(quarter_turns as f64));
        let mut factors = [Complex64::new(0.0, 0.0); N];
        for i in 0..N {
            factors[i] = Complex64::new(amplitudes[i] * cos[i], amplitudes[i] * sin[i]);
        }
        factors
    }

    /// `K(w−plane) + sign·K(w+plane)` of each w.
    fn stacked<const N: usize>(
        &self,
        plane: f64,
        sign: f64,
        kernel: &Kernel,
        w: &[f64; N],
    ) -> [f64; N] {
        let at = |distance: f64| kernel.value(distance / self.plane_distance);
        w.map(|w| at(w - plane) + sign * at(w + plane))
    }

    /// `(2−δ)·J_t(θ)` of each w.
    #[inline(always)]
    fn bessel<const N: usize>(&self, order: usize, series: &[f64], w: &[f64; N]) -> [f64; N] {
        let [mut theta, mut theta2, mut value] = [[0.0; N]; 3];
        for i in 0..N {
            theta[i] = 2.0 * PI * w[i] * self.half_range;
            theta2[i] = theta[i] * theta[i];
        }
        for &c in series.iter().rev() {
            for i in 0..N {
                value[i] = value[i] * theta2[i] + c;
            }
        }
        for _ in 0..order {
            for i in 0..N {
                value[i] *= theta[i];
            }
        }
        value
    }

    /// The screen of `term`, in place of `r2` = l² + m² of some pixels; 0 beyond the horizon.
    #[inline(always)] // so that it is compiled for the caller's vector instructions
    pub fn screen(&self, term: &Term, r2: &mut [f64]) {
        let mut blocks = r2.chunks_exact_mut(LANES);
        for block in &mut blocks {
            let block: &mut [f64; LANES] = block.try_into().expect("a whole block");
            *block = self.screen_of(term, block);
        }
        for r2 in blocks.into_remainder() {
            [*r2] = self.screen_of(term, &[*r2]);
        }
    }

    /// The same of a block.
    #[inline(always)]
    fn screen_of<const N: usize>(&self, term: &Term, r2: &[f64; N]) -> [f64; N] {
        match term {
            Term::Flat => [1.0; N],
            Term::Chebyshev { order, .. } => {
                let scale = if self.half_range > 0.0 { 1.0 / self.half_range } else { 0.0 };
                chebyshev(*order, r2, self.centre, scale)
            }
            Term::StackCosine { w } => self.stack_screen(*w, 0.0, r2),
            // sin x = cos(x − π/2).
            Term::StackSine { w } => self.stack_screen(*w, -1.0, r2),
        }
    }

    /// The least and the largest |w|, wavelengths, of samples that can have a part in `term`.
    pub fn concerned(&self, term: &Term, kernel: &Kernel) -> (f64, f64) {
        match term {
            Term::Flat | Term::Chebyshev { .. } => (0.0, f64::INFINITY),
            Term::StackCosine { w } | Term::StackSine { w } => {
                let reach = 0.5 * kernel.support() as f64 * self.plane_distance;
                (w - reach, w + reach)
            }
        }
    }

    /// `cos(2πw(n−1−c) + quarters·π/2)/K̂` for w-stacking; 0 beyond the horizon.
    #[inline(always)]
    fn stack_screen<const N: usize>(&self, w: f64, quarters: f64, r2: &[f64; N]) -> [f64; N] {
        let [mut turns, mut t] = [[0.0; N]; 2];
        for i in 0..N {
            let offset = above_horizon(r2[i]) - self.centre;
            let s = offset / self.half_range;
            turns[i] = w * offset;
            t[i] = 2.0 * s * s - 1.0;
        }
        let (mut wave, _) = turned(&turns, quarters);
        // Clenshaw's sum of the series.
        let [mut sum, mut before] = [[0.0; N]; 2];
        for &c in self.inverse[1..].iter().rev() {
            for i in 0..N {
                let next = 2.0 * t[i] * sum[i] - before[i] + c;
                before[i] = sum[i];
                sum[i] = next;
            }
        }
        for i in 0..N {
            let inverse = t[i] * sum[i] - before[i] + self.inverse[0];
            wave[i] = if r2[i] <= 1.0 { wave[i] * inverse } else { 0.0 };
        }
        wave
    }
}

/// 1/K̂ up to `edge` cycles per cell as Chebyshev's series in 2(f/edge)² − 1, to 1e-13 of its largest term: K̂ itself is
/// a sum of many cosines.
fn inverse_series(kernel: &Kernel, edge: f64) -> Vec<f64> {
    const NODES: usize = 48;
    let angle = |node: usize| PI * (node as f64 + 0.5) / NODES as f64;
    let values: Vec<f64> = (0..NODES)
        .map(|node| 1.0 / kernel.transform(edge * (0.5 * (1.0 + angle(node).cos())).sqrt()))
        .collect();
    let mut series: Vec<f64> = (0..NODES / 2)
        .map(|k| {
            let of = |(node, value): (usize, &f64)| value * (k as f64 * angle(node)).cos();
            let sum: f64 = values.iter().enumerate().map(of).sum();
            sum * if k == 0 { 1.0 } else { 2.0 } / NODES as f64
        })
        .collect();
    let largest = series.iter().fold(0.0, |most: f64, c| most.max(c.abs()));
    let last = series.iter().rposition(|c| c.abs() > 1e-13 * largest).unwrap_or(0);
    series.truncate(last + 1);
    series
}

/// Real and imaginary parts of `exp(2πi·turns)` to 1e-14, turned by so many quarters more, for samples of a
/// pass; free of branches over samples. Taylor's series within an eighth of a turn from the next quarter.
#[inline(always)]
fn turned<const N: usize>(turns: &[f64; N], more: f64) -> ([f64; N], [f64; N]) {
    let [mut quarters, mut x, mut x2] = [[0.0; N]; 3];
    for i in 0..N {
        quarters[i] = (4.0 * turns[i]).round_ties_even();
        x[i] = 2.0 * PI * (turns[i] - 0.25 * quarters[i]);
        x2[i] = x[i] * x[i];
    }
    // (π/4)^k/k!, the first that is left out, is 2e-14 for k = 15 and 1e-15 for 16.
    let (mut sin, mut cos) = ([1.0; N], [1.0; N]);
    for k in (2..=14).rev() {
        let factor = 1.0 / (f64::from(k) * f64::from(k - 1));
        let series = if k % 2 == 0 { &mut cos } else { &mut sin };
        for i in 0..N {
            series[i] = 1.0 - x2[i] * factor * series[i];
        }
    }
    let (mut re, mut im) = ([0.0; N], [0.0; N]);
    for i in 0..N {
        let (cos, sin) = (cos[i], x[i] * sin[i]);
        // 0 to 3; whole turns do not matter. Exact: quarters are a whole number, and a quarter of it less its whole part
        // loses no digit.
        let quarters = quarters[i] + more;
        let quarter = quarters - 4.0 * (0.25 * quarters).floor();
        let odd = quarter == 1.0 || quarter == 3.0;
        let (a, b) = if odd { (sin, cos) } else { (cos, sin) };
        re[i] = if quarter == 1.0 || quarter == 2.0 { -a } else { a };
        im[i] = if quarter >= 2.0 { -b } else { b };
    }
    (re, im)
}

/// Pixels that a screen is computed for at a time: one or more vectors of f64.
const LANES: usize = 8;

/// `T_order((n − 1 − centre)·scale)` for each r2 = l² + m², 0 beyond the horizon; free of branches
/// over pixels, so that it becomes vector instructions.
#[inline(always)]
fn chebyshev<const N: usize>(order: usize, r2: &[f64; N], centre: f64, scale: f64) -> [f64; N] {
    let s = r2.map(|r2| {
        // What this rounds, 1e-16, moves the phase by 2πw·1e-16: 1e-8 at 20 million wavelengths.
        ((1.0 - r2).max(0.0).sqrt() - 1.0 - centre) * scale
    });
    let (mut before, mut t) = ([1.0; N], s);
    if order == 0 {
        t = before;
    }
    for _ in 1..order {
        let next: [f64; N] = std::array::from_fn(|i| 2.0 * s[i] * t[i] - before[i]);
        before = std::mem::replace(&mut t, next);
    }
    std::array::from_fn(|i| if r2[i] <= 1.0 { t[i] } else { 0.0 })
}

/// Most terms of the Jacobi–Anger expansion: beyond θ ≈ 12 the power series of J_t would lose more
/// than a few of f64's digits.
const MAX_CHEBYSHEV: usize = 28;

/// Number of terms after which the rest, Σ 2|J_t(θ)|, stays below `tolerance`.
fn chebyshev_terms(theta: f64, tolerance: f64) -> usize {
    // |J_t(θ)| ≤ (θ/2)^t/t!; the sum of the rest is bounded by the geometric series.
    let half = 0.5 * theta;
    let mut bound = 2.0;
    for terms in 1..=2 * MAX_CHEBYSHEV {
        bound *= half / terms as f64;
        let ratio = half / (terms as f64 + 1.0);
        if ratio < 1.0 && bound / (1.0 - ratio) <= tolerance {
            return terms;
        }
    }
    usize::MAX
}

/// Coefficients of `(2−δ_t0)·J_t(θ)/θ^t` in powers of θ², as many as |θ| ≤ `theta_max` needs for
/// 1e-14.
fn bessel_series(order: usize, theta_max: f64) -> Vec<f64> {
    let mut c = if order == 0 { 1.0 } else { 2.0 };
    for t in 1..=order {
        c *= 0.5 / t as f64;
    }
    let mut series = vec![c];
    let mut size = c * theta_max.powi(order as i32);
    for k in 1..100 {
        let ratio = -0.25 / (k as f64 * (k + order) as f64);
        c *= ratio;
        size *= ratio.abs() * theta_max * theta_max;
        if size.abs() < 1e-14 {
            break;
        }
        series.push(c);
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Direction, DirectionFrame};

    fn image(n: usize, cell: f64) -> ImageGrid {
        let phase_center = Direction { ra: 0.0, dec: 0.0, frame: DirectionFrame::Icrs };
        ImageGrid { nx: n, ny: n, cell_x: cell, cell_y: cell, phase_center }
    }

    /// Σ factor·screen against the exact phase.
    fn worst(image: &ImageGrid, max_w: f64, tolerance: f64, sample_cost: f64) -> (f64, Vec<Term>) {
        let (kernel, _) = Kernel::design(1.75, 1e-8).unwrap();
        let (wterm, terms) =
            WTerm::exact(image, max_w, tolerance, &kernel, 0.5 / 1.75, sample_cost);
        let mut worst: f64 = 0.0;
        for iw in -20..=20 {
            let w = max_w * f64::from(iw) / 20.0;
            for x in 0..=image.nx / 2 {
                let r2 = 2.0 * image.l(x).powi(2);
                let n1 = n_minus_1(r2).unwrap();
                let exact = Complex64::from_polar(1.0, -2.0 * PI * w * n1);
                // The real-image transforms are linear in Re and Im of the factor; for one sample
                // of complex amplitude a the sum must give Re(exact·a) for a = 1 and a = −i.
                let sum: Complex64 = terms
                    .iter()
                    .map(|t| {
                        let mut screen = [r2];
                        wterm.screen(t, &mut screen);
                        wterm.factors(t, &kernel, &[w])[0] * screen[0]
                    })
                    .sum();
                worst = worst.max((sum - exact).norm());
            }
        }
        (worst, terms)
    }

    #[test]
    fn turns_are_those_of_the_standard_library() {
        for i in -40_000..=40_000 {
            let turns = f64::from(i) * 1.234_5e-4;
            let ([re], [im]) = turned(&[turns], 0.0);
            let exact = Complex64::from_polar(1.0, 2.0 * PI * turns);
            let error = (Complex64::new(re, im) - exact).norm();
            // The series, and what its argument and ours round.
            assert!(error < 3e-14 + 4e-16 * 2.0 * PI * turns.abs(), "{turns}: {error:e}");
        }
        for (turns, exact) in [(0.0, (1.0, 0.0)), (-0.25, (0.0, -1.0)), (1e6 + 0.5, (-1.0, 0.0))] {
            assert_eq!(turned(&[turns], 0.0), ([exact.0], [exact.1]));
        }
        for more in -9..=9i32 {
            assert_eq!(
                turned(&[0.3], f64::from(more)),
                turned(&[0.3], f64::from(more.rem_euclid(4)))
            );
            assert_eq!(turned(&[0.0], f64::from(more)), turned(&[0.25 * f64::from(more)], 0.0));
        }
    }

    /// At every place of the image, for kernels of all supports, the border and rounding included.
    #[test]
    fn the_series_of_the_correction_is_its_definition() {
        for (padding, accuracy) in [(1.25, 1e-4), (1.5, 1e-6), (1.75, 1e-8), (2.0, 1e-10)] {
            let (kernel, _) = Kernel::design(padding, accuracy).unwrap();
            let edge = 0.5 / padding;
            let wterm = WTerm {
                centre: -0.1,
                half_range: 0.1,
                max_w: 0.0,
                plane_distance: edge / 0.1,
                inverse: inverse_series(&kernel, edge),
            };
            let mut worst: f64 = 0.0;
            for i in 0..=1000 {
                let r2: f64 = 0.36 * f64::from(i) / 1000.0;
                let offset = n_minus_1(r2).unwrap() + 0.1;
                let exact = 1.0 / kernel.transform(offset * wterm.plane_distance);
                let [series] = wterm.stack_screen(0.0, 0.0, &[r2]);
                worst = worst.max((series - exact).abs() / exact.abs());
            }
            assert!(
                worst < 1e-11,
                "padding {padding}: {worst:e} with {} terms",
                wterm.inverse.len()
            );
        }
    }

    #[test]
    fn no_sample_outside_the_range_has_a_part() {
        let image = image(64, 3e-3);
        let (kernel, _) = Kernel::design(1.75, 1e-8).unwrap();
        let (wterm, terms) = WTerm::exact(&image, 5e3, 1e-6, &kernel, 0.5 / 1.75, 1.0);
        for term in &terms {
            let (low, high) = wterm.concerned(term, &kernel);
            let mut parts = 0;
            for i in -5000..=5000 {
                let w = f64::from(i);
                let has_part = wterm.factors(term, &kernel, &[w])[0].norm() > 0.0;
                parts += usize::from(has_part);
                assert!(!has_part || (low..=high).contains(&w.abs()), "{term:?} {w}");
            }
            assert!(parts > 0, "{term:?}");
        }
    }

    #[test]
    fn expansion_reaches_its_tolerance() {
        for (max_w, tolerance) in [(1e3, 1e-6), (3e4, 1e-6), (3e4, 1e-9), (4e5, 1e-7)] {
            let (error, terms) = worst(&image(64, 2e-5), max_w, tolerance, 0.01);
            assert!(matches!(terms[0], Term::Chebyshev { .. }), "{terms:?}");
            assert!(error < tolerance, "w {max_w}: {error:e} with {} terms", terms.len());
        }
    }

    #[test]
    fn stacking_reaches_the_kernels_error() {
        let (error, terms) = worst(&image(64, 3e-3), 5e3, 1e-6, 1.0);
        assert!(matches!(terms[0], Term::StackCosine { .. }), "{} terms", terms.len());
        assert!(error < 1e-7, "{error:e} with {} terms", terms.len());
    }
}
