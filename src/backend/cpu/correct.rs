//! Stages `correct` and `normalise`: the image's rows transformed, the kernel's transform divided out, the
//! w-term's screen.

use num_complex::Complex;
use rayon::prelude::*;
use realfft::ComplexToReal;

use super::{
    fft::{self, ROWS},
    grids::GridStack,
    real::{Real, zero},
    simd::{Vectorised, vectorised},
};
use crate::gridding::{OperatorPlan, Term};

/// The factor of each pixel of image row `y` in `pass`.
#[inline(always)]
fn factors(plan: &OperatorPlan, pass: usize, y: usize, out: &mut [f64]) {
    if plan.passes[pass].term == Term::Flat {
        out.fill(1.0);
    } else {
        plan.screen_row(pass, y, out);
    }
    for (factor, cx) in out.iter_mut().zip(&plan.correction_x) {
        *factor *= cx * plan.correction_y[y];
    }
}

/// A few rows of every channel: `[chunk of ROWS rows][channel]`. They are done together, as they share
/// their factors.
fn by_rows<'a, T>(
    slices: impl Iterator<Item = &'a mut [T]>,
    row_len: usize,
) -> Vec<Vec<&'a mut [T]>> {
    let mut out: Vec<Vec<_>> = Vec::new();
    for slice in slices {
        for (i, rows) in slice.chunks_mut(ROWS * row_len).enumerate() {
            if out.len() == i {
                out.push(Vec::new());
            }
            out[i].push(rows);
        }
    }
    out
}

/// `planes[i] += factors · images[i]`, the images' rows transformed from the spectra in the grids.
pub(super) fn adjoint<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    stack: &GridStack<T>,
    planes: Vec<&mut [f32]>,
) {
    let (nx, grid) = (plan.image.nx, &plan.grid);
    let room = || {
        let block = vec![zero(); ROWS * grid.columns];
        (RowToImage::new(stack), block, vec![0.0; ROWS * nx])
    };
    let chunks = by_rows(planes.into_iter(), nx).into_par_iter().enumerate();
    chunks.for_each_init(room, |(transform, block, factors), (chunk, channels)| {
        let y0 = chunk * ROWS;
        vectorised(RowFactors { plan, pass, y0, out: factors });
        for (rows, channel) in channels.into_iter().zip(&stack.channels) {
            fft::gather(plan, &channel.uv, y0, rows.len() / nx, block);
            let spectra = block.chunks_exact(grid.columns);
            for ((row, spectrum), factors) in
                rows.chunks_exact_mut(nx).zip(spectra).zip(factors.chunks_exact(nx))
            {
                let image = transform.run(spectrum);
                // Pixel offsets −nx/2.. lie at the end of the padded row.
                let (west, east) = row.split_at_mut(nx / 2);
                let (from, middle) = (image.len() - nx / 2, nx / 2);
                vectorised(AddProduct(west, &image[from..], &factors[..middle]));
                vectorised(AddProduct(east, image, &factors[middle..]));
            }
        }
    });
}

/// `out += values · factors`.
struct AddProduct<'a, T>(&'a mut [f32], &'a [T], &'a [f64]);

impl<T: Real> Vectorised for AddProduct<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self(out, values, factors) = self;
        for ((out, value), factor) in out.iter_mut().zip(values).zip(factors) {
            *out += (value.f64() * factor) as f32;
        }
    }
}

/// Factors of the image rows from `y0` on, as many as there are or fit into `out`.
struct RowFactors<'a> {
    plan: &'a OperatorPlan,
    pass: usize,
    y0: usize,
    out: &'a mut [f64],
}

impl Vectorised for RowFactors<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { plan, pass, y0, out } = self;
        for (row, y) in out.chunks_exact_mut(plan.image.nx).zip(y0..plan.image.ny) {
            factors(plan, pass, y, row);
        }
    }
}

/// The transform of a row's spectrum to the padded row, and what it needs.
struct RowToImage<'a, T: Real> {
    transform: &'a dyn ComplexToReal<T>,
    spectrum: Vec<Complex<T>>,
    row: Vec<T>,
    scratch: Vec<Complex<T>>,
}

impl<'a, T: Real> RowToImage<'a, T> {
    fn new(stack: &'a GridStack<T>) -> Self {
        let transform = &*stack.rows_to_image;
        Self {
            spectrum: transform.make_input_vec(),
            row: transform.make_output_vec(),
            scratch: transform.make_scratch_vec(),
            transform,
        }
    }

    /// The padded row of the spectrum that begins with `used`, and is zero beyond.
    fn run(&mut self, used: &[Complex<T>]) -> &[T] {
        self.spectrum[..used.len()].copy_from_slice(used);
        self.spectrum[used.len()..].fill(zero());
        // A real image has real values here; gridding sums only the half plane.
        self.spectrum[0].im = T::zero();
        if self.row.len().is_multiple_of(2) {
            self.spectrum[self.row.len() / 2].im = T::zero();
        }
        self.transform
            .process_with_scratch(&mut self.spectrum, &mut self.row, &mut self.scratch)
            .expect("buffers made for this transform");
        &self.row
    }
}

/// Spectra of the rows of `factors · planes[i]`.
pub(super) fn forward<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    planes: &[&[f32]],
    stack: &mut GridStack<T>,
) {
    let (nx, nu, columns) = (plan.image.nx, plan.grid.nu, plan.grid.columns);
    let GridStack { channels, rows_to_uv, .. } = stack;
    let room = || {
        let transform = (
            rows_to_uv.make_input_vec(),
            rows_to_uv.make_output_vec(),
            rows_to_uv.make_scratch_vec(),
        );
        (transform, vec![0.0; ROWS * nx])
    };
    let spectra = channels.iter_mut().take(planes.len()).map(|grid| &mut *grid.rows);
    let chunks = by_rows(spectra, columns).into_par_iter().enumerate();
    chunks.for_each_init(room, |((row, spectrum, scratch), factors), (chunk, channels)| {
        let y0 = chunk * ROWS;
        vectorised(RowFactors { plan, pass, y0, out: factors });
        for (spectra, plane) in channels.into_iter().zip(planes) {
            let pixels = plane[y0 * nx..].chunks_exact(nx).zip(factors.chunks_exact(nx));
            for (out, (pixels, factors)) in spectra.chunks_exact_mut(columns).zip(pixels) {
                row[nx - nx / 2..nu - nx / 2].fill(T::zero());
                let middle = nx / 2;
                vectorised(Product(&mut row[nu - middle..], &pixels[..middle], factors));
                vectorised(Product(&mut row[..nx - middle], &pixels[middle..], &factors[middle..]));
                rows_to_uv
                    .process_with_scratch(row, spectrum, scratch)
                    .expect("buffers made for this transform");
                out.copy_from_slice(&spectrum[..columns]);
            }
        }
    });
}

/// `out = values · factors`.
struct Product<'a, T>(&'a mut [T], &'a [f32], &'a [f64]);

impl<T: Real> Vectorised for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self(out, values, factors) = self;
        for ((out, &value), factor) in out.iter_mut().zip(values).zip(factors) {
            *out = T::of(f64::from(value) * factor);
        }
    }
}

/// `planes[i] *= factors[i]`.
pub(super) fn normalise(planes: Vec<&mut [f32]>, factors: &[f32]) {
    planes.into_par_iter().zip(factors).for_each(|(plane, &factor)| {
        plane.par_chunks_mut(1 << 16).for_each(|part| part.iter_mut().for_each(|p| *p *= factor));
    });
}
