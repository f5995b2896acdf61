//! Stage `grid`: samples to half uv grids.
//!
//! A task owns the columns of one strip of tiles and half a tile to either side. Even strips run
//! first, then odd ones, so that no two tasks of a phase share a column and every cell sums its
//! samples in an order that depends on the plan alone.

use num_complex::Complex;
use rayon::prelude::*;

use super::{
    footprints::{GROUP, Group, InPass},
    grids::GridStack,
    real::{Real, zero},
    samples::LayerSamples,
    simd::{Vectorised, vectorised},
    taps::{Taps, with_support},
};
use crate::{
    backend::Source,
    gridding::{OperatorPlan, UvGrid},
};

/// One strip of one channel.
struct Strip<'a, T> {
    layers: &'a [LayerSamples],
    /// Index of the strip along u; `None` for columns to be zeroed only.
    tile_u: Option<usize>,
    /// Columns from half a tile before the strip to half a tile after it.
    columns: &'a mut [Complex<T>],
}

/// Fills `stack.channels[i]` from the layers `channels[i]`.
pub(super) fn grid<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    source: Source,
    channels: &[&[LayerSamples]],
    stack: &mut GridStack<T>,
) {
    with_support!(plan.kernel.support(), grid_channels::<T>(plan, pass, source, channels, stack));
}

fn grid_channels<T: Real, const W: usize>(
    plan: &OperatorPlan,
    pass: usize,
    source: Source,
    channels: &[&[LayerSamples]],
    stack: &mut GridStack<T>,
) {
    let taps = Taps::<T, W>::new(&plan.kernel);
    for phase in 0..2 {
        let strips: Vec<Strip<'_, T>> = channels
            .iter()
            .zip(&mut stack.channels)
            .flat_map(|(layers, grid)| strips(&plan.grid, phase, layers, &mut grid.uv))
            .collect();
        strips.into_par_iter().with_max_len(1).for_each(|strip| {
            if phase == 0 {
                strip.columns.fill(zero());
            }
            if let Some(tile_u) = strip.tile_u {
                for layer in strip.layers {
                    let (taps, columns) = (&taps, &mut *strip.columns);
                    vectorised(LayerStrip { plan, pass, source, taps, layer, tile_u, columns });
                }
            }
        });
    }
}

/// The strips of one phase.
fn strips<'a, T>(
    grid: &UvGrid,
    phase: usize,
    layers: &'a [LayerSamples],
    uv: &'a mut [Complex<T>],
) -> impl Iterator<Item = Strip<'a, T>> {
    let tiles_u = grid.tiles_u;
    uv[phase * grid.tile * grid.band..].chunks_mut(2 * grid.tile * grid.band).enumerate().map(
        move |(i, columns)| {
            let tile_u = 2 * i + phase;
            Strip { layers, tile_u: (tile_u < tiles_u).then_some(tile_u), columns }
        },
    )
}

/// The samples of one strip of one layer, to be added to the strip's columns.
struct LayerStrip<'a, T, const W: usize> {
    plan: &'a OperatorPlan,
    pass: usize,
    source: Source,
    taps: &'a Taps<T, W>,
    layer: &'a LayerSamples,
    tile_u: usize,
    columns: &'a mut [Complex<T>],
}

impl<T: Real, const W: usize> Vectorised for LayerStrip<'_, T, W> {
    type Output = ();

    #[inline(always)] // so that it is compiled for the caller's vector instructions
    fn run(self) {
        let Self { plan, pass, source, taps, layer, tile_u, columns } = self;
        let LayerSamples { sorted, predicted } = layer;
        let (grid, band) = (&plan.grid, plan.grid.band);
        // The strip's columns begin half a tile before it, as the stored ones do before u = 0.
        let first_column = tile_u * grid.tile;
        let mut samples = sorted.bins.strip(grid, tile_u);
        let pass = InPass::new(plan, pass, taps, sorted);
        let mut group = Group::new();
        while !samples.is_empty() {
            group.fill(&pass, &mut samples);
            let mut values = [zero::<T>(); GROUP];
            for (n, out) in values[..group.count].iter_mut().enumerate() {
                let sample = group.samples[n];
                let value = match source {
                    Source::Weights => Complex::new(1.0, 0.0),
                    Source::Data => sorted.vis[sample],
                    Source::Residual => sorted.vis[sample] - predicted[sample],
                };
                let weight = f64::from(sorted.weight[sample]);
                let value = Complex::new(f64::from(value.re), f64::from(value.im)) * weight;
                let value = value * group.factors[n];
                *out = Complex::new(T::of(value.re), T::of(value.im));
            }
            for (n, &value) in values[..group.count].iter().enumerate() {
                let (column, row) = (group.columns[n] as usize, group.rows[n]);
                let columns = &mut columns[(column - first_column) * band..][..W * band];
                spread(value, &group.taps[n], columns, band, row as isize);
            }
        }
    }
}

/// Adds a value times its taps to the cells of W columns from `row` on.
#[inline(always)]
fn spread<T: Real, const W: usize>(
    value: Complex<T>,
    [taps_u, taps_v]: &[[T; W]; 2],
    columns: &mut [Complex<T>],
    band: usize,
    row: isize,
) {
    let mut footprint = [zero::<T>(); W];
    for (cell, &tap) in footprint.iter_mut().zip(taps_v) {
        *cell = Complex::new(value.re * tap, value.im * tap);
    }
    if row >= 0 && row as usize + W <= band {
        for (n, &tap) in taps_u.iter().enumerate() {
            let cells = &mut columns[n * band + row as usize..][..W];
            for (cell, value) in cells.iter_mut().zip(&footprint) {
                cell.re += value.re * tap;
                cell.im += value.im * tap;
            }
        }
    } else {
        // Over the edge ±nv/2: the band is all rows.
        for (column, &tap) in columns.chunks_exact_mut(band).zip(taps_u) {
            for (n, value) in footprint.iter().enumerate() {
                let cell = &mut column[(row + n as isize).rem_euclid(band as isize) as usize];
                cell.re += value.re * tap;
                cell.im += value.im * tap;
            }
        }
    }
}
