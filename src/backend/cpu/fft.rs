//! Stage `fft`: half uv grid ↔ columns transformed along v, only those that hold data and at the rows that the
//! image has. The rows are transformed in stage `correct`, where each is at hand already: an image as large as the
//! grid would otherwise go to memory and back.

use num_complex::Complex;
use rayon::prelude::*;

use super::{
    grids::{COLUMNS, Grid, GridStack},
    real::{Real, zero},
};
use crate::gridding::{OperatorPlan, UvGrid};

/// uv grids 0..n to their columns at the image's rows.
pub(super) fn adjoint<T: Real>(plan: &OperatorPlan, stack: &mut GridStack<T>, n: usize) {
    let GridStack { channels, columns_to_image, .. } = stack;
    let (grid, nv) = (&plan.grid, plan.grid.nv);
    let channels = &mut channels[..n];
    channels.par_iter_mut().for_each(|g| fold_halos(grid, &mut g.uv));

    let room =
        || (vec![zero(); COLUMNS * nv], vec![zero(); columns_to_image.get_inplace_scratch_len()]);
    channels.par_iter_mut().for_each(|Grid { uv, rows }| {
        let stored = used_columns(grid, uv).par_chunks(COLUMNS * grid.band);
        let blocks = rows.par_chunks_mut(COLUMNS * plan.image.ny);
        stored.zip(blocks).for_each_init(room, |(padded, scratch), (stored, block)| {
            let columns = &mut padded[..stored.len() / grid.band * nv];
            for (column, stored) in columns.chunks_exact_mut(nv).zip(stored.chunks_exact(grid.band))
            {
                let (before, from_band) = column.split_at_mut(grid.first_row);
                let (band, after) = from_band.split_at_mut(grid.band);
                before.fill(zero());
                band.copy_from_slice(stored);
                after.fill(zero());
                columns_to_image.process_with_scratch(column, scratch);
            }
            // South of the image's middle, which lies at grid row 0, and north.
            let (south, north) = block.split_at_mut(plan.image.ny / 2 * COLUMNS);
            interleave(columns, nv, nv - plan.image.ny / 2, south);
            interleave(columns, nv, 0, north);
        });
    });
}

/// Columns at the image's rows of channels 0..n to uv grids, halos filled for degridding.
pub(super) fn forward<T: Real>(plan: &OperatorPlan, stack: &mut GridStack<T>, n: usize) {
    let GridStack { channels, columns_to_uv, .. } = stack;
    let (grid, nv) = (&plan.grid, plan.grid.nv);
    let channels = &mut channels[..n];

    let room =
        || (vec![zero(); COLUMNS * nv], vec![zero(); columns_to_uv.get_inplace_scratch_len()]);
    channels.par_iter_mut().for_each(|Grid { uv, rows }| {
        let spectra = &rows[..plan.image.ny * grid.columns];
        let stored = used_columns(grid, uv).par_chunks_mut(COLUMNS * grid.band).enumerate();
        stored.for_each_init(room, |(padded, scratch), (block, stored)| {
            let columns = &mut padded[..stored.len() / grid.band * nv];
            columns.fill(zero());
            // South of the image's middle, which lies at grid row 0, and north.
            let middle = plan.image.ny / 2;
            let (south, north) = spectra.split_at(middle * grid.columns);
            separate(south, grid.columns, block * COLUMNS, columns, nv, nv - middle);
            separate(north, grid.columns, block * COLUMNS, columns, nv, 0);
            columns_to_uv.process_with_scratch(columns, scratch);
            for (stored, column) in stored.chunks_exact_mut(grid.band).zip(columns.chunks_exact(nv))
            {
                stored.copy_from_slice(&column[grid.first_row..][..grid.band]);
            }
        });
        fill_halos(grid, uv);
    });
}

/// `out[row] = columns at `first` + row`, columns of `nv` values.
fn interleave<T: Real>(columns: &[Complex<T>], nv: usize, first: usize, out: &mut [Complex<T>]) {
    let count = out.len() / COLUMNS;
    if columns.len() < COLUMNS * nv {
        // The last block: what is missing is never read.
        for (c, column) in columns.chunks_exact(nv).enumerate() {
            for (row, &value) in out.chunks_exact_mut(COLUMNS).zip(&column[first..]) {
                row[c] = value;
            }
        }
        return;
    }
    let column = |c: usize| &columns[c * nv + first..][..count];
    let columns: [&[Complex<T>]; COLUMNS] = std::array::from_fn(column);
    for (y, row) in out.chunks_exact_mut(COLUMNS).enumerate() {
        let row: &mut [Complex<T>; COLUMNS] = row.try_into().expect("a whole row");
        *row = std::array::from_fn(|c| columns[c][y]);
    }
}

/// `columns at `to` + row = rows[row][first..]`, rows of `len` values, columns of `nv`.
fn separate<T: Real>(
    rows: &[Complex<T>],
    len: usize,
    first: usize,
    columns: &mut [Complex<T>],
    nv: usize,
    to: usize,
) {
    let count = rows.len() / len;
    let mut parts = columns.chunks_exact_mut(nv).map(|column| &mut column[to..to + count]);
    if let (Some(a), Some(b), Some(c), Some(d)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    {
        for (i, row) in rows.chunks_exact(len).enumerate() {
            let row = &row[first..first + COLUMNS];
            (a[i], b[i], c[i], d[i]) = (row[0], row[1], row[2], row[3]);
        }
        return;
    }
    for (c, column) in columns.chunks_exact_mut(nv).enumerate() {
        for (out, row) in column[to..].iter_mut().zip(rows.chunks_exact(len)) {
            *out = row[first + c];
        }
    }
}

/// The columns of the cells u = 0..columns.
fn used_columns<'a, T>(grid: &UvGrid, uv: &'a mut [Complex<T>]) -> &'a mut [Complex<T>] {
    let first = grid.halo() * grid.band;
    &mut uv[first..first + grid.columns * grid.band]
}

/// The stored column that holds the same cells as stored column `column`, conjugated and with v
/// negated, if `column` is a halo: those of u < 0 and of u > nu/2.
fn mirror(grid: &UvGrid, column: usize) -> Option<usize> {
    let halo = grid.halo();
    if column < halo {
        return Some(2 * halo - column);
    }
    let u = column - halo;
    (u > grid.nu / 2).then(|| grid.nu + halo - u)
}

/// Adds the halo columns to the columns they mirror.
fn fold_halos<T: Real>(grid: &UvGrid, uv: &mut [Complex<T>]) {
    for column in 0..grid.stored_columns() {
        let Some(to) = mirror(grid, column) else { continue };
        if to >= grid.halo() + grid.columns {
            continue; // further out than any sample reaches: zero
        }
        for j in 0..grid.band {
            let value = uv[column * grid.band + j].conj();
            let target = &mut uv[to * grid.band + grid.opposite_row(j)];
            *target = *target + value;
        }
    }
}

/// Fills the halo columns from the columns they mirror.
fn fill_halos<T: Real>(grid: &UvGrid, uv: &mut [Complex<T>]) {
    for column in 0..grid.stored_columns() {
        if let Some(from) = mirror(grid, column) {
            for j in 0..grid.band {
                uv[column * grid.band + j] = uv[from * grid.band + grid.opposite_row(j)].conj();
            }
        }
    }
}
