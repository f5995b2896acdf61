//! Transforms of an image's rows along x, two at a time: real rows a and b as a + ib.
//!
//! With Z the transform of a + ib and A, B those of a and b, whose elements −u are the conjugates of u:
//! `Z(u) = A(u) + i·B(u)`, `Z(−u) = conj A(u) + i·conj B(u)`.

use num_complex::Complex;
use rustfft::Fft;

use super::{
    grids::COLUMNS,
    real::{Real, zero},
    simd::{Vectorised, vectorised},
};

/// A pair of rows, padded to nu, and what their transform needs.
pub(super) struct RowPair<'a, T: Real> {
    transform: &'a dyn Fft<T>,
    /// nu values, and one that is never transformed: where u = 0 would have its opposite.
    values: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<'a, T: Real> RowPair<'a, T> {
    /// For rows as long as `transform`.
    pub fn new(transform: &'a dyn Fft<T>) -> Self {
        Self {
            values: vec![zero(); transform.len() + 1],
            scratch: vec![zero(); transform.get_inplace_scratch_len()],
            transform,
        }
    }

    /// The padded rows `y` as real and imaginary parts, from columns `0..count` of `blocks`, blocks of columns
    /// of `ny` rows each. A half grid has each sample once: in all columns but u = 0 and u = nu/2 it counts
    /// half, and half in the opposite one.
    pub fn image(
        &mut self,
        (blocks, ny, count): (&[Complex<T>], usize, usize),
        y: [usize; 2],
    ) -> &[Complex<T>] {
        let nu = self.transform.len();
        let values = &mut self.values[..];
        if 2 * count <= nu {
            values[count..=nu - count].fill(zero());
        }
        vectorised(Pack { values, blocks, ny, count, y });
        // What is not half of a pair is real.
        let real = |u: usize| {
            let block = &blocks[u / COLUMNS * COLUMNS * ny + u % COLUMNS..];
            Complex::new(block[y[0] * COLUMNS].re, block[y[1] * COLUMNS].re)
        };
        values[0] = real(0);
        if 2 * (count - 1) == nu {
            values[nu / 2] = real(nu / 2);
        }
        self.transform.process_with_scratch(&mut values[..nu], &mut self.scratch);
        &self.values[..nu]
    }

    /// Columns `0..spectrum.len()` of the padded rows that `fill` makes of zeros, the real part's and the
    /// imaginary part's.
    pub fn spectra(
        &mut self,
        fill: impl FnOnce(&mut [Complex<T>]),
        of_real: &mut [Complex<T>],
        of_imaginary: Option<&mut [Complex<T>]>,
    ) {
        let nu = self.transform.len();
        let row = &mut self.values[..nu];
        fill(row);
        self.transform.process_with_scratch(row, &mut self.scratch);
        self.values[nu] = self.values[0];
        let values = &self.values[..];
        vectorised(Unpack::<_, false> { values, out: of_real });
        if let Some(out) = of_imaginary {
            vectorised(Unpack::<_, true> { values, out });
        }
    }
}

/// Spectra of two rows to that of both.
struct Pack<'a, T> {
    values: &'a mut [Complex<T>],
    blocks: &'a [Complex<T>],
    ny: usize,
    count: usize,
    y: [usize; 2],
}

impl<T: Real> Vectorised for Pack<'_, T> {
    type Output = ();

    #[inline(always)] // so that it is compiled for the caller's vector instructions
    fn run(self) {
        let Self { values, blocks, ny, count, y } = self;
        let half = T::of(0.5);
        let last = values.len() - 1;
        for (number, block) in blocks.chunks_exact(COLUMNS * ny).enumerate() {
            let first = number * COLUMNS;
            let of = |y: usize| &block[y * COLUMNS..][..COLUMNS];
            let (a, b) = (of(y[0]), of(y[1]));
            let columns = COLUMNS.min(count - first);
            if columns == COLUMNS {
                let mut mirrored = [zero(); COLUMNS];
                for (c, out) in values[first..first + COLUMNS].iter_mut().enumerate() {
                    let (a, b) = (a[c] * half, b[c] * half);
                    *out = Complex::new(a.re - b.im, a.im + b.re);
                    mirrored[COLUMNS - 1 - c] = Complex::new(a.re + b.im, b.re - a.im);
                }
                values[last - first - (COLUMNS - 1)..=last - first].copy_from_slice(&mirrored);
            } else {
                for c in 0..columns {
                    let (a, b) = (a[c] * half, b[c] * half);
                    values[first + c] = Complex::new(a.re - b.im, a.im + b.re);
                    values[last - first - c] = Complex::new(a.re + b.im, b.re - a.im);
                }
            }
        }
    }
}

/// The spectrum of one of two rows, from that of both.
struct Unpack<'a, T, const IMAGINARY: bool> {
    values: &'a [Complex<T>],
    out: &'a mut [Complex<T>],
}

impl<T: Real, const IMAGINARY: bool> Vectorised for Unpack<'_, T, IMAGINARY> {
    type Output = ();

    #[inline(always)] // so that it is compiled for the caller's vector instructions
    fn run(self) {
        let Self { values, out } = self;
        let half = T::of(0.5);
        for ((out, &z), &opposite) in out.iter_mut().zip(values).zip(values.iter().rev()) {
            let (z, opposite) = (z * half, opposite * half);
            *out = match IMAGINARY {
                false => Complex::new(z.re + opposite.re, z.im - opposite.im),
                true => Complex::new(z.im + opposite.im, opposite.re - z.re),
            };
        }
    }
}
