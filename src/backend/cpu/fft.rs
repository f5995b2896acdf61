//! Stage `fft`: half uv grid ↔ spectra of the image's rows, only the columns that hold data and the rows
//! that the image needs. The rows themselves are transformed in stage `correct`, where each is at hand
//! already: an image as large as the grid would otherwise go to memory and back.

use num_complex::Complex;
use rayon::prelude::*;

use super::{
    grids::{Grid, GridStack},
    real::{Real, zero},
};
use crate::gridding::{OperatorPlan, UvGrid};

/// Image rows that are gathered from the columns at a time: a cache line of a column serves all.
pub(super) const ROWS: usize = 8;

/// Columns that one task transforms.
const COLUMNS: usize = 8;

/// Grid row that holds image row `y` after the transform along v.
fn grid_row(plan: &OperatorPlan, y: usize) -> usize {
    (y + plan.grid.nv - plan.image.ny / 2) % plan.grid.nv
}

/// uv grids 0..n to spectra of image rows, in place.
pub(super) fn adjoint<T: Real>(plan: &OperatorPlan, stack: &mut GridStack<T>, n: usize) {
    let GridStack { channels, columns_to_image, .. } = stack;
    let grid = &plan.grid;
    let channels = &mut channels[..n];
    channels.par_iter_mut().for_each(|g| fold_halos(grid, &mut g.uv));

    let scratch = || vec![zero(); columns_to_image.get_inplace_scratch_len()];
    channels.par_iter_mut().for_each(|g| {
        used_columns(grid, &mut g.uv)
            .par_chunks_mut(COLUMNS * grid.nv)
            .for_each_init(scratch, |scratch, columns| {
                columns_to_image.process_with_scratch(columns, scratch)
            });
    });
}

/// Spectra of image rows `y0..y0+count` from the transformed columns, to `block[row][column]`.
///
/// The real transform takes each column but those of u = 0 and u = nu/2 for itself and its
/// conjugate; the grid holds every sample once, hence the halves.
pub(super) fn gather<T: Real>(
    plan: &OperatorPlan,
    uv: &[Complex<T>],
    y0: usize,
    count: usize,
    block: &mut [Complex<T>],
) {
    let columns = &uv[plan.grid.halo() * plan.grid.nv..][..plan.grid.columns * plan.grid.nv];
    let (grid, half) = (&plan.grid, T::of(0.5));
    let rows: [usize; ROWS] = std::array::from_fn(|i| grid_row(plan, y0 + i.min(count - 1)));
    for (c, column) in columns.chunks_exact(grid.nv).enumerate() {
        let factor = if c == 0 || c == grid.nu / 2 { T::one() } else { half };
        for (i, &row) in rows.iter().enumerate().take(count) {
            block[i * grid.columns + c] = column[row] * factor;
        }
    }
}

/// Spectra of image rows 0..n to uv grids, halos filled for degridding.
pub(super) fn forward<T: Real>(plan: &OperatorPlan, stack: &mut GridStack<T>, n: usize) {
    let GridStack { channels, columns_to_uv, .. } = stack;
    let grid = &plan.grid;
    let channels = &mut channels[..n];

    let scratch = || vec![zero(); columns_to_uv.get_inplace_scratch_len()];
    channels.par_iter_mut().for_each(|Grid { uv, rows }| {
        let rows = &*rows;
        used_columns(grid, uv).par_chunks_mut(COLUMNS * grid.nv).enumerate().for_each_init(
            scratch,
            |scratch, (chunk, columns)| {
                columns.fill(zero());
                let first = chunk * COLUMNS;
                for (y, spectrum) in rows.chunks_exact(grid.columns).enumerate() {
                    let row = grid_row(plan, y);
                    for (column, &value) in
                        columns.chunks_exact_mut(grid.nv).zip(&spectrum[first..])
                    {
                        column[row] = value;
                    }
                }
                columns_to_uv.process_with_scratch(columns, scratch);
            },
        );
        fill_halos(grid, uv);
    });
}

/// The columns of the cells u = 0..columns.
fn used_columns<'a, T>(grid: &UvGrid, uv: &'a mut [Complex<T>]) -> &'a mut [Complex<T>] {
    let first = grid.halo() * grid.nv;
    &mut uv[first..first + grid.columns * grid.nv]
}

/// The stored column that holds the same cells as stored column `column`, conjugated and with v
/// negated, if `column` is a halo: those of u < 0 and of u > nu/2.
fn mirror(grid: &UvGrid, column: usize) -> Option<usize> {
    let halo = grid.halo();
    if column < halo {
        return Some(2 * halo - column);
    }
    let u = column - halo;
    (u > grid.nu / 2).then(|| grid.nu - u + halo)
}

/// The grid row of −v for row j of v.
fn negated_row(grid: &UvGrid, j: usize) -> usize {
    if j == 0 { 0 } else { grid.nv - j }
}

/// Adds the halo columns to the columns they mirror.
fn fold_halos<T: Real>(grid: &UvGrid, uv: &mut [Complex<T>]) {
    for column in 0..grid.stored_columns() {
        let Some(to) = mirror(grid, column) else { continue };
        if to >= grid.halo() + grid.columns {
            continue; // further out than any sample reaches: zero
        }
        for j in 0..grid.nv {
            let value = uv[column * grid.nv + j].conj();
            let target = &mut uv[to * grid.nv + negated_row(grid, j)];
            *target = *target + value;
        }
    }
}

/// Fills the halo columns from the columns they mirror.
fn fill_halos<T: Real>(grid: &UvGrid, uv: &mut [Complex<T>]) {
    for column in 0..grid.stored_columns() {
        if let Some(from) = mirror(grid, column) {
            for j in 0..grid.nv {
                uv[column * grid.nv + j] = uv[from * grid.nv + negated_row(grid, j)].conj();
            }
        }
    }
}
