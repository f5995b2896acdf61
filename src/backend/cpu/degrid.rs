//! Stage `degrid`: half uv grids to predicted visibilities, the transposed of `grid`.

use num_complex::{Complex, Complex32};
use rayon::prelude::*;

use super::{
    grids::GridStack,
    real::{Real, zero},
    samples::{CpuSamples, LayerSamples},
    simd::{Vectorised, vectorised},
    taps::{Taps, with_support},
};
use crate::gridding::{OperatorPlan, SortedLayer, Term};

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
        let grid = &plan.grid;
        let (band, bins) = (grid.band, &*sorted.bins);
        let flat = plan.passes[pass].term == Term::Flat;
        for (i, predicted) in (start..).zip(predicted) {
            if sorted.weight[i] == 0.0 {
                continue;
            }
            let [u, v, w] = bins.uvw_m[i];
            let scale = sorted.inverse_wavelength[bins.slot[i] as usize];
            let factor = if flat { Complex::new(1.0, 0.0) } else { plan.factor(pass, w * scale) };
            if factor.re == 0.0 && factor.im == 0.0 {
                continue;
            }
            let (first_u, taps_u) = taps.at(u * scale * grid.scale_u);
            let (first_v, taps_v) = taps.at(v * scale * grid.scale_v);
            let column = (first_u + grid.halo() as isize) as usize;
            let row = first_v + (grid.nv / 2) as isize - grid.first_row as isize;
            let columns = uv[column * band..(column + W) * band].chunks_exact(band);
            let mut sums = [zero::<T>(); W];
            if row >= 0 && row as usize + W <= band {
                let row = row as usize;
                for (column, &tap) in columns.zip(&taps_u) {
                    let cells: &[Complex<T>; W] =
                        (&column[row..row + W]).try_into().expect("W cells");
                    for (sum, cell) in sums.iter_mut().zip(cells) {
                        sum.re += cell.re * tap;
                        sum.im += cell.im * tap;
                    }
                }
            } else {
                // Over the edge ±nv/2: the band is all rows.
                for (column, &tap) in columns.zip(&taps_u) {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        let cell = column[(row + n as isize).rem_euclid(band as isize) as usize];
                        sum.re += cell.re * tap;
                        sum.im += cell.im * tap;
                    }
                }
            }
            let mut value = zero::<T>();
            for (sum, &tap) in sums.iter().zip(&taps_v) {
                value.re += sum.re * tap;
                value.im += sum.im * tap;
            }
            let value = Complex::new(value.re.f64(), value.im.f64()) * factor.conj();
            *predicted += Complex32::new(value.re as f32, value.im as f32);
        }
    }
}
