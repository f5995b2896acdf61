//! Stage `degrid`: half uv grids to predicted visibilities, the transposed of `grid`.

use num_complex::{Complex, Complex32};
use rayon::prelude::*;

use super::{
    footprints::{Group, InPass},
    grids::GridStack,
    real::{Real, zero},
    samples::{CpuSamples, LayerSamples},
    simd::{Vectorised, vectorised},
    taps::{Taps, with_support},
};
use crate::gridding::{OperatorPlan, SortedLayer};

/// Samples that one task predicts.
const SAMPLES: usize = 2048;

/// Adds this pass's part of the grids to the predicted visibilities of `channels` (of the batch;
/// `stack.channels[i]` belongs to `channels[i]`).
pub(super) fn degrid<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    stack: &GridStack<T>,
    channels: &[usize],
    samples: &mut CpuSamples,
) {
    with_support!(
        plan.kernel.support(),
        degrid_channels::<T>(plan, pass, stack, channels, samples)
    );
}

fn degrid_channels<T: Real, const W: usize>(
    plan: &OperatorPlan,
    pass: usize,
    stack: &GridStack<T>,
    channels: &[usize],
    samples: &mut CpuSamples,
) {
    let taps = Taps::<T, W>::new(&plan.kernel);
    let grid_of = |channel: usize| channels.iter().position(|&c| c == channel);
    samples.channels.par_iter_mut().enumerate().for_each(|(channel, layers)| {
        let Some(index) = grid_of(channel) else { return };
        let uv = &stack.channels[index].uv;
        for LayerSamples { sorted, predicted } in layers {
            predicted.par_chunks_mut(SAMPLES).enumerate().for_each(|(chunk, predicted)| {
                let start = chunk * SAMPLES;
                vectorised(Chunk { plan, pass, taps: &taps, uv, sorted, start, predicted });
            });
        }
    });
}

/// Samples from sorted position `start` on, to be predicted.
struct Chunk<'a, T, const W: usize> {
    plan: &'a OperatorPlan,
    pass: usize,
    taps: &'a Taps<T, W>,
    uv: &'a [Complex<T>],
    sorted: &'a SortedLayer,
    start: usize,
    predicted: &'a mut [Complex32],
}

impl<T: Real, const W: usize> Vectorised for Chunk<'_, T, W> {
    type Output = ();

    #[inline(always)] // so that it is compiled for the caller's vector instructions
    fn run(self) {
        let Self { plan, pass, taps, uv, sorted, start, predicted } = self;
        let band = plan.grid.band;
        let mut samples = start..start + predicted.len();
        let pass = InPass::new(plan, pass, taps, sorted);
        let mut group = Group::new();
        while !samples.is_empty() {
            group.fill(&pass, &mut samples);
            for n in 0..group.count {
                let columns = &uv[group.columns[n] as usize * band..][..W * band];
                let value = gather(&group.taps[n], columns, band, group.rows[n] as isize);
                let factor = group.factors[n].conj();
                let value = Complex::new(value.re.f64(), value.im.f64()) * factor;
                predicted[group.samples[n] - start] +=
                    Complex32::new(value.re as f32, value.im as f32);
            }
        }
    }
}

/// Sum of the cells of W columns from `row` on, times their taps.
#[inline(always)]
fn gather<T: Real, const W: usize>(
    [taps_u, taps_v]: &[[T; W]; 2],
    columns: &[Complex<T>],
    band: usize,
    row: isize,
) -> Complex<T> {
    let mut sums = [zero::<T>(); W];
    if row >= 0 && row as usize + W <= band {
        for (n, &tap) in taps_u.iter().enumerate() {
            let cells = &columns[n * band + row as usize..][..W];
            for (sum, cell) in sums.iter_mut().zip(cells) {
                sum.re += cell.re * tap;
                sum.im += cell.im * tap;
            }
        }
    } else {
        // Over the edge ±nv/2: the band is all rows.
        for (column, &tap) in columns.chunks_exact(band).zip(taps_u) {
            for (n, sum) in sums.iter_mut().enumerate() {
                let cell = column[(row + n as isize).rem_euclid(band as isize) as usize];
                sum.re += cell.re * tap;
                sum.im += cell.im * tap;
            }
        }
    }
    let mut value = zero::<T>();
    for (sum, &tap) in sums.iter().zip(taps_v) {
        value.re += sum.re * tap;
        value.im += sum.im * tap;
    }
    value
}
