//! Stage `fft`: half uv grid ↔ real image, only the columns that hold data and the rows that the
//! image needs.

use num_complex::Complex;
use rayon::prelude::*;

use super::{
    grids::{Grid, GridStack, row_len},
    real::{Real, zero},
};
use crate::gridding::{OperatorPlan, UvGrid};

/// Image rows that are gathered from the columns at a time: a cache line of a column serves all.
const ROWS: usize = 8;

/// Columns that one task transforms.
const COLUMNS: usize = 8;

/// Grid row that holds image row `y` after the transform along v.
fn grid_row(plan: &OperatorPlan, y: usize) -> usize {
    (y + plan.grid.nv - plan.image.ny / 2) % plan.grid.nv
}

/// uv grids 0..n to images.
pub(super) fn adjoint<T: Real>(plan: &OperatorPlan, stack: &mut GridStack<T>, n: usize) {
    let GridStack { channels, columns_to_image, rows_to_image, .. } = stack;
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

    let (nx, nu, row_len) = (plan.image.nx, grid.nu, row_len(plan));
    let room = || {
        (
            rows_to_image.make_input_vec(),
            rows_to_image.make_output_vec(),
            rows_to_image.make_scratch_vec(),
            vec![zero(); ROWS * grid.columns],
        )
    };
    channels.par_iter_mut().for_each(|Grid { uv, image }| {
        let columns = &*used_columns(grid, uv);
        image.par_chunks_mut(ROWS * row_len).enumerate().for_each_init(
            room,
            |(spectrum, row, scratch, block), (chunk, image_rows)| {
                let y0 = chunk * ROWS;
                let count = image_rows.len() / row_len;
                gather(plan, columns, y0, count, block);
                for (image_row, part) in
                    image_rows.chunks_exact_mut(row_len).zip(block.chunks_exact(grid.columns))
                {
                    spectrum[..grid.columns].copy_from_slice(part);
                    spectrum[grid.columns..].fill(zero());
                    // A real image has real values here; gridding sums only the half plane.
                    spectrum[0].im = T::zero();
                    spectrum[nu / 2].im = T::zero();
                    rows_to_image
                        .process_with_scratch(spectrum, row, scratch)
                        .expect("buffers made for this transform");
                    // Pixel offsets −nx/2.. lie at the end of the padded row.
                    let (west, east) = image_row[..nx].split_at_mut(nx / 2);
                    west.copy_from_slice(&row[nu - nx / 2..]);
                    east.copy_from_slice(&row[..nx - nx / 2]);
                }
            },
        );
    });
}

/// Spectra of image rows `y0..y0+count` from the transformed columns, to `block[row][column]`.
///
/// The real transform takes each column but those of u = 0 and u = nu/2 for itself and its
/// conjugate; the grid holds every sample once, hence the halves.
fn gather<T: Real>(
    plan: &OperatorPlan,
    columns: &[Complex<T>],
    y0: usize,
    count: usize,
    block: &mut [Complex<T>],
) {
    let (grid, half) = (&plan.grid, T::of(0.5));
    let rows: [usize; ROWS] = std::array::from_fn(|i| grid_row(plan, y0 + i.min(count - 1)));
    for (c, column) in columns.chunks_exact(grid.nv).enumerate() {
        let factor = if c == 0 || c == grid.nu / 2 { T::one() } else { half };
        for (i, &row) in rows.iter().enumerate().take(count) {
            block[i * grid.columns + c] = column[row] * factor;
        }
    }
}

/// Images 0..n to uv grids, halos filled for degridding.
pub(super) fn forward<T: Real>(plan: &OperatorPlan, stack: &mut GridStack<T>, n: usize) {
    let GridStack { channels, columns_to_uv, rows_to_uv, .. } = stack;
    let grid = &plan.grid;
    let channels = &mut channels[..n];
    let (nx, nu, row_len) = (plan.image.nx, grid.nu, row_len(plan));

    let room = || {
        (rows_to_uv.make_input_vec(), rows_to_uv.make_output_vec(), rows_to_uv.make_scratch_vec())
    };
    channels.par_iter_mut().for_each(|g| {
        g.image.par_chunks_mut(row_len).for_each_init(room, |(row, spectrum, scratch), pixels| {
            row[nx - nx / 2..nu - nx / 2].fill(T::zero());
            row[nu - nx / 2..].copy_from_slice(&pixels[..nx / 2]);
            row[..nx - nx / 2].copy_from_slice(&pixels[nx / 2..nx]);
            rows_to_uv
                .process_with_scratch(row, spectrum, scratch)
                .expect("buffers made for this transform");
            // The spectrum takes the place of the row.
            let room: &mut [Complex<T>] = as_complex(&mut pixels[..2 * grid.columns]);
            room.copy_from_slice(&spectrum[..grid.columns]);
        });
    });

    let scratch = || vec![zero(); columns_to_uv.get_inplace_scratch_len()];
    channels.par_iter_mut().for_each(|Grid { uv, image }| {
        let image = &*image;
        used_columns(grid, uv).par_chunks_mut(COLUMNS * grid.nv).enumerate().for_each_init(
            scratch,
            |scratch, (chunk, columns)| {
                columns.fill(zero());
                let first = chunk * COLUMNS;
                for (y, pixels) in image.chunks_exact(row_len).enumerate() {
                    let row = grid_row(plan, y);
                    for (c, column) in columns.chunks_exact_mut(grid.nv).enumerate() {
                        let at = 2 * (first + c);
                        column[row] = Complex::new(pixels[at], pixels[at + 1]);
                    }
                }
                columns_to_uv.process_with_scratch(columns, scratch);
            },
        );
        fill_halos(grid, uv);
    });
}

/// Pairs of reals as complex numbers.
fn as_complex<T: Real>(reals: &mut [T]) -> &mut [Complex<T>] {
    bytemuck::cast_slice_mut(reals)
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
