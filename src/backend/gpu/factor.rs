//! The factor of a sample in a pass of the w-term, in the form that shaders evaluate; see
//! `shaders/shared/sample.wgsl` and [`WTerm::factors`](crate::gridding::WTerm::factors).

use std::f64::consts::PI;

use super::shader::shared_struct;
use crate::{
    backend::Source,
    gridding::{OperatorPlan, Term},
};

/// Intervals of the table that stands for the amplitude as a function of |w|. Cubics over 512
/// intervals of a Bessel function up to θ = 13 err by 1e-10, far below f32.
const TABLE: usize = 512;

/// Coefficients of the cubics, lowest power first.
type Cubics = [[f32; 4]; TABLE];

shared_struct! {
    /// Parameters of the gridding stages for one pass.
    GridParams {
        nv: u32,
        tile: u32,
        rows: u32,
        source: u32,
        kind: u32,
        quarter_turns: u32,
        plane: i32,
        mirrored: f32,
        turns_per_w: f32,
        table_scale: f32,
        pad_0: u32,
        pad_1: u32,
        table: Cubics,
    }
}

const FLAT: u32 = 0;
const CHEBYSHEV: u32 = 1;
const STACK: u32 = 2;

/// w in units of this many wavelengths⁻¹: plane distances for w-stacking, otherwise radians of the
/// phase at the edge of the image.
pub(super) fn w_scale(plan: &OperatorPlan) -> f64 {
    match plan.wterm.plane_distance {
        0.0 => 2.0 * PI * plan.wterm.half_range,
        distance => 1.0 / distance,
    }
}

/// Turns of the factor's phase per wavelength of w.
pub(super) fn turns_per_wavelength(plan: &OperatorPlan) -> f64 {
    -plan.wterm.centre
}

impl GridParams {
    /// Parameters of `pass` for a source.
    pub(super) fn new(plan: &OperatorPlan, pass: usize, source: Source) -> Self {
        let scale = w_scale(plan);
        let params = Self {
            nv: plan.grid.nv as u32,
            tile: plan.grid.tile as u32,
            rows: plan.rows().uvw_m.len() as u32,
            source: match source {
                Source::Weights => 0,
                Source::Data => 1,
                Source::Residual => 2,
            },
            kind: FLAT,
            quarter_turns: 0,
            plane: 0,
            mirrored: 0.0,
            turns_per_w: if scale > 0.0 {
                (turns_per_wavelength(plan) / scale) as f32
            } else {
                0.0
            },
            table_scale: 1.0,
            pad_0: 0,
            pad_1: 0,
            table: [[0.0; 4]; TABLE],
        };
        match &plan.passes[pass].term {
            Term::Flat => params,
            Term::Chebyshev { order, series } => {
                // A little more than the largest w, for rounding of frequencies; and a power of two, so
                // that the table is the same for a part of the cube as for all of it.
                let theta = (1.001 * plan.wterm.max_w * scale).max(1e-3).log2().ceil().exp2();
                let amplitude = |x: f64| {
                    let sum = series.iter().rev().fold(0.0, |sum, c| sum * (x * x) + c);
                    x.powi(*order as i32) * sum
                };
                Self { kind: CHEBYSHEV, quarter_turns: *order as u32, ..params }
                    .tabulate(theta, amplitude)
            }
            Term::StackCosine { w } => params.stacked(plan, *w, 1.0, 0),
            Term::StackSine { w } => params.stacked(plan, *w, -1.0, 1),
        }
    }

    /// The pair of w-planes at ±`w` wavelengths.
    fn stacked(self, plan: &OperatorPlan, w: f64, mirrored: f32, quarter_turns: u32) -> Self {
        let half_support = 0.5 * plan.kernel.support() as f64;
        let plane = (w * w_scale(plan)).floor() as i32;
        Self { kind: STACK, quarter_turns, plane, mirrored, ..self }
            .tabulate(half_support, |x| plan.kernel.value(x))
    }

    /// Fills the table with `function` on [0, `end`].
    fn tabulate(mut self, end: f64, function: impl Fn(f64) -> f64) -> Self {
        let step = end / TABLE as f64;
        self.table_scale = (1.0 / step) as f32;
        for (i, cubic) in self.table.iter_mut().enumerate() {
            *cubic = interpolate(|t| function((i as f64 + t) * step)).map(|c| c as f32);
        }
        self
    }
}

/// Coefficients of the cubic through a function's values at the Chebyshev nodes of [0, 1].
fn interpolate(function: impl Fn(f64) -> f64) -> [f64; 4] {
    let node = |k: usize| 0.5 - 0.5 * (PI * (k as f64 + 0.5) / 4.0).cos();
    let x: [f64; 4] = std::array::from_fn(node);
    // Newton's divided differences.
    let mut d = x.map(function);
    for order in 1..4 {
        for k in (order..4).rev() {
            d[k] = (d[k] - d[k - 1]) / (x[k] - x[k - order]);
        }
    }
    // d0 + (t − x0)(d1 + (t − x1)(d2 + (t − x2)·d3)), multiplied out from within.
    let mut c = [d[3], 0.0, 0.0, 0.0];
    for k in (0..3).rev() {
        let inner = c;
        c = [d[k] - x[k] * inner[0], 0.0, 0.0, 0.0];
        for power in 1..4 {
            c[power] = inner[power - 1] - x[k] * inner[power];
        }
    }
    c
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubics_are_interpolated_exactly_and_bessel_functions_to_f32() {
        let cubic = interpolate(|t| 1.0 + t * (2.0 + t * (3.0 + t * 4.0)));
        for (c, expected) in cubic.into_iter().zip([1.0, 2.0, 3.0, 4.0]) {
            assert!((c - expected).abs() < 1e-12, "{cubic:?}");
        }
        // J_0 near θ = 12, over an interval of the table.
        let step = 13.0 / TABLE as f64;
        let f = |t: f64| (12.0 + t * step).cos();
        let c = interpolate(f);
        for i in 0..=10 {
            let t = f64::from(i) / 10.0;
            let value = c[0] + t * (c[1] + t * (c[2] + t * c[3]));
            assert!((value - f(t)).abs() < 1e-9);
        }
    }
}
