//! Where samples fall on the grid, and their factors in a pass.
//!
//! For some samples at a time: a phase or a kernel's polynomial is a chain of operations that each wait for the
//! one before, while those of different samples wait for nothing and share vector instructions.

use std::ops::Range;

use num_complex::Complex64;

use super::{real::Real, taps::Taps};
use crate::gridding::{OperatorPlan, SortedLayer};

/// Samples at a time: four vectors of f64, enough to hide that an operation takes four cycles.
pub(super) const GROUP: usize = 16;

/// What all samples of a layer share in a pass.
pub(super) struct InPass<'a, T, const W: usize> {
    pub plan: &'a OperatorPlan,
    /// Index in the plan's passes.
    pub index: usize,
    pub taps: &'a Taps<T, W>,
    pub sorted: &'a SortedLayer,
    /// The least and the largest |w| of samples with a part.
    concerned: (f64, f64),
}

impl<'a, T, const W: usize> InPass<'a, T, W> {
    /// Of a layer in pass `index` of the plan's.
    pub fn new(
        plan: &'a OperatorPlan,
        index: usize,
        taps: &'a Taps<T, W>,
        sorted: &'a SortedLayer,
    ) -> Self {
        Self { plan, index, taps, sorted, concerned: plan.concerned(index) }
    }
}

/// Some samples; only the first `count` of each array are any.
pub(super) struct Group<T, const W: usize> {
    pub count: usize,
    /// Indices of the samples, as sorted.
    pub samples: [usize; GROUP],
    /// Their factors in the pass, not zero.
    pub factors: [Complex64; GROUP],
    /// The first columns touched, of the stored ones.
    pub columns: [i32; GROUP],
    /// The first rows touched, of the band. Those of all nv rows wrap around at ±nv/2.
    pub rows: [i32; GROUP],
    /// The kernel along u, and along v.
    pub taps: [[[T; W]; 2]; GROUP],
    /// Baselines in wavelengths; w is of the samples before those without a part were taken out.
    uvw: [[f64; GROUP]; 3],
}

impl<T: Real, const W: usize> Group<T, W> {
    /// None yet.
    pub fn new() -> Self {
        Self {
            count: 0,
            samples: [0; GROUP],
            factors: [Complex64::new(0.0, 0.0); GROUP],
            columns: [0; GROUP],
            rows: [0; GROUP],
            taps: [[[T::zero(); W]; 2]; GROUP],
            uvw: [[0.0; GROUP]; 3],
        }
    }

    /// The next ones of `samples` that have a weight and a part in the pass, which may be none; they are taken off
    /// `samples`.
    #[inline(always)] // and without closures: for the caller's vector instructions, see `Vectorised`
    pub fn fill(&mut self, pass: &InPass<'_, T, W>, samples: &mut Range<usize>) {
        let bins = &*pass.sorted.bins;
        let (least_w, largest_w) = pass.concerned;
        let mut count = 0;
        while count < GROUP {
            let Some(sample) = samples.next() else { break };
            if pass.sorted.weight[sample] == 0.0 {
                continue;
            }
            let scale = pass.sorted.inverse_wavelength[bins.slot[sample] as usize];
            let [u, v, w] = bins.uvw_m[sample];
            let w = w * scale;
            // What follows costs as much for a sample that has no part.
            if w.abs() < least_w || w.abs() > largest_w {
                continue;
            }
            self.samples[count] = sample;
            self.uvw[0][count] = u * scale;
            self.uvw[1][count] = v * scale;
            self.uvw[2][count] = w;
            count += 1;
        }
        self.factors = pass.plan.factors(pass.index, &self.uvw[2]);
        self.count = self.without_zeros(count);
        self.place(pass);
    }

    /// Moves the first `count` samples together that have a part in the pass, and tells how many they are.
    #[inline(always)]
    fn without_zeros(&mut self, count: usize) -> usize {
        let mut left = 0;
        for n in 0..count {
            let factor = self.factors[n];
            self.samples[left] = self.samples[n];
            self.factors[left] = factor;
            self.uvw[0][left] = self.uvw[0][n];
            self.uvw[1][left] = self.uvw[1][n];
            left += usize::from(factor.re != 0.0 || factor.im != 0.0);
        }
        left
    }

    /// Cells and taps, from [`Self::uvw`]; as [`Kernel::first_cell`](crate::gridding::Kernel::first_cell).
    #[inline(always)]
    fn place(&mut self, pass: &InPass<'_, T, W>) {
        let grid = &pass.plan.grid;
        let to_column = grid.halo() as f64;
        let to_row = grid.nv as f64 / 2.0 - grid.first_row as f64;
        let mut y = [[T::zero(); 2]; GROUP];
        for (n, y) in y.iter_mut().enumerate() {
            let left_u = self.uvw[0][n] * grid.scale_u - 0.5 * W as f64;
            let left_v = self.uvw[1][n] * grid.scale_v - 0.5 * W as f64;
            let (u, v) = (left_u.ceil(), left_v.ceil());
            self.columns[n] = whole(u + to_column);
            self.rows[n] = whole(v + to_row);
            *y = [T::of(2.0 * (u - left_u) - 1.0), T::of(2.0 * (v - left_v) - 1.0)];
        }
        for (taps, &y) in self.taps[..self.count].iter_mut().zip(&y) {
            *taps = pass.taps.at(y);
        }
    }
}

/// A whole number that an i32 holds as an integer. A conversion asks for values out of range, one number at a time;
/// this is one addition for a vector of them: what it adds leaves the number in the lowest bits.
#[inline(always)]
fn whole(value: f64) -> i32 {
    const HALF_OF_ALL: f64 = 1.5 * (1u64 << 52) as f64;
    // Samples off the grid have no weight.
    debug_assert!(value.abs() <= 2f64.powi(31));
    (value + HALF_OF_ALL).to_bits() as i32
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use num_complex::Complex32;

    use super::{super::taps::with_support, *};
    use crate::{
        SPEED_OF_LIGHT,
        geometry::{Direction, DirectionFrame, ImageGrid},
        gridding::{OperatorOptions, Pointing, WTermMode},
        ms::{Layer, Rows, Slot},
    };

    #[test]
    fn whole_numbers_are_kept() {
        for value in [0, 1, -1, 12_345, -70_000, i32::MAX, i32::MIN] {
            assert_eq!(super::whole(f64::from(value)), value);
        }
    }

    /// So many baselines of up to 9000 wavelengths, every third of them without a weight.
    fn layer(n: usize) -> (Rows, Layer) {
        let part = |i: usize, step: f64| (i as f64 * step).fract() - 0.5;
        let uvw = |i: usize| [part(i, 0.618), part(i, 0.414), part(i, 0.732)].map(|x| 18_000.0 * x);
        let rows = Rows {
            uvw_m: (0..n).map(uvw).collect(),
            slot: vec![0; n],
            slots: vec![Slot { time: 0.0, spw: 0, field: 0 }],
            ..Rows::default()
        };
        let layer = Layer {
            channel: 0,
            freq_hz: vec![SPEED_OF_LIGHT],
            vis: vec![Complex32::new(1.0, 0.0); n],
            weight: (0..n).map(|i| if i % 3 == 1 { 0.0 } else { 1.0 }).collect(),
        };
        (rows, layer)
    }

    /// Samples, their factors, cells and taps as one sample at a time has them; those with a part, each once, in order.
    fn holds<T: Real, const W: usize>(plan: &OperatorPlan, sorted: &SortedLayer, index: usize) {
        let taps = Taps::<T, W>::new(&plan.kernel);
        let pass = InPass::new(plan, index, &taps, sorted);
        let weighed = (0..sorted.weight.len()).filter(|&sample| sorted.weight[sample] != 0.0);
        let factor = |sample: usize| plan.factors(index, &[sorted.bins.uvw_m[sample][2]])[0];
        let mut expected = weighed.filter(|&sample| factor(sample).norm() > 0.0);
        let mut samples = 0..sorted.weight.len();
        let mut group = Group::<T, W>::new();
        let mut exact = [0.0; 12];
        while !samples.is_empty() {
            group.fill(&pass, &mut samples);
            for n in 0..group.count {
                let sample = group.samples[n];
                assert_eq!(Some(sample), expected.next());
                assert!((group.factors[n] - factor(sample)).norm() < 1e-14);
                let [u, v, _] = sorted.bins.uvw_m[sample];
                let [column, row] = [u * plan.grid.scale_u, v * plan.grid.scale_v];
                for (axis, position) in [column, row].into_iter().enumerate() {
                    let (first, y) = plan.kernel.first_cell(position);
                    plan.kernel.taps(y, &mut exact);
                    for (tap, exact) in group.taps[n][axis].iter().zip(&exact) {
                        assert!((tap.f64() - exact).abs() < 1e-12, "{tap:?} {exact}");
                    }
                    let found = match axis {
                        0 => i64::from(group.columns[n]) - plan.grid.halo() as i64,
                        _ => {
                            i64::from(group.rows[n]) + plan.grid.first_row as i64
                                - (plan.grid.nv / 2) as i64
                        }
                    };
                    assert_eq!(found, first);
                }
            }
        }
        assert_eq!(expected.next(), None);
    }

    #[test]
    fn groups_hold_the_samples_that_count() {
        for (n, accuracy, cell) in [
            (0, 1e-5, 1e-5),
            (1, 1e-5, 1e-5),
            (15, 1e-2, 1e-5),
            (16, 1e-3, 1e-5),
            (17, 1e-5, 1e-5),
            (100, 1e-6, 1e-5),
            // Stacked: no sample has a part in all passes.
            (1000, 1e-5, 4e-5),
        ] {
            let phase_center = Direction { ra: 0.0, dec: 0.0, frame: DirectionFrame::Icrs };
            let size = if n == 1000 { 2500 } else { 100 };
            let image = ImageGrid { nx: size, ny: size, cell_x: cell, cell_y: cell, phase_center };
            let (rows, layer) = layer(n);
            let options = OperatorOptions { accuracy, wterm: WTermMode::Exact };
            let pointing = Pointing { direction: image.phase_center };
            let freq_hz = (SPEED_OF_LIGHT, SPEED_OF_LIGHT);
            let plan = OperatorPlan::new(&image, &Arc::new(rows), freq_hz, &[pointing], options);
            let plan = plan.unwrap();
            let sorted = SortedLayer::new(&plan, &layer).unwrap();
            assert_eq!(n == 1000, plan.concerned(0).1.is_finite());
            for index in 0..plan.passes.len() {
                with_support!(plan.kernel.support(), holds::<f64>(&plan, &sorted, index));
            }
        }
    }
}
