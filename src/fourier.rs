//! Fourier transforms of real planes on the host, for convolutions with beams and component shapes.

use rayon::prelude::*;
use realfft::{RealFftPlanner, num_complex::Complex32};

/// Real transforms of a plane of `ny·nx` values to `[nx/2 + 1][ny]` (columns contiguous) and back, not
/// normalised.
pub struct Transform2d {
    /// Values of a row.
    pub nx: usize,
    /// Rows.
    pub ny: usize,
}

impl Transform2d {
    /// Of planes of these lengths.
    pub fn new(nx: usize, ny: usize) -> Self {
        Self { nx, ny }
    }

    /// Columns of a spectrum.
    pub fn half(&self) -> usize {
        self.nx / 2 + 1
    }

    /// The spectrum of a plane, which is overwritten.
    pub fn forward(&self, plane: &mut [f32]) -> Vec<Complex32> {
        let rows = RealFftPlanner::<f32>::new().plan_fft_forward(self.nx);
        let mut by_rows = vec![Complex32::default(); self.half() * self.ny];
        plane
            .par_chunks_exact_mut(self.nx)
            .zip(by_rows.par_chunks_exact_mut(self.half()))
            .for_each_init(
                || rows.make_scratch_vec(),
                |scratch, (row, out)| {
                    // Lengths are those of the plan, so this cannot fail.
                    let _ = rows.process_with_scratch(row, out, scratch);
                },
            );
        let mut by_columns = transposed(&by_rows, self.half());
        self.columns(&mut by_columns, rustfft::FftDirection::Forward);
        by_columns
    }

    /// The plane of a spectrum, which is overwritten, times `nx·ny`.
    pub fn inverse(&self, spectrum: &mut [Complex32], plane: &mut [f32]) {
        self.columns(spectrum, rustfft::FftDirection::Inverse);
        let mut by_rows = transposed(spectrum, self.ny);
        let rows = RealFftPlanner::<f32>::new().plan_fft_inverse(self.nx);
        by_rows
            .par_chunks_exact_mut(self.half())
            .zip(plane.par_chunks_exact_mut(self.nx))
            .for_each_init(
                || rows.make_scratch_vec(),
                |scratch, (row, out)| {
                    // A real row's first and (for even lengths) last terms are real; rounding is not.
                    row[0].im = 0.0;
                    if self.nx.is_multiple_of(2) {
                        row[self.nx / 2].im = 0.0;
                    }
                    let _ = rows.process_with_scratch(row, out, scratch);
                },
            );
    }

    fn columns(&self, spectrum: &mut [Complex32], direction: rustfft::FftDirection) {
        let fft = rustfft::FftPlanner::<f32>::new().plan_fft(self.ny, direction);
        spectrum.par_chunks_exact_mut(self.ny).for_each_init(
            || vec![Complex32::default(); fft.get_inplace_scratch_len()],
            |scratch, column| fft.process_with_scratch(column, scratch),
        );
    }
}

/// The transpose of a matrix with `width` values a row.
fn transposed(matrix: &[Complex32], width: usize) -> Vec<Complex32> {
    /// Rows gathered at a time: their values of one column share cache lines.
    const BLOCK: usize = 16;
    let height = matrix.len() / width;
    let mut out = vec![Complex32::default(); matrix.len()];
    out.par_chunks_mut(height * BLOCK).enumerate().for_each(|(block, columns)| {
        for y in 0..height {
            let row = &matrix[y * width + block * BLOCK..];
            for (column, value) in columns.chunks_exact_mut(height).zip(row) {
                column[y] = *value;
            }
        }
    });
    out
}
