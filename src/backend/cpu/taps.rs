//! The convolution function's values at the cells that a sample touches, in registers.

use super::real::Real;
use crate::gridding::Kernel;

/// Polynomials of a kernel of W cells, for one precision.
pub struct Taps<T, const W: usize> {
    /// Highest power first.
    powers: Vec<[T; W]>,
}

impl<T: Real, const W: usize> Taps<T, W> {
    /// The polynomials of `kernel`, whose support must be W.
    pub fn new(kernel: &Kernel) -> Self {
        let row = |c: &[f64]| std::array::from_fn(|n| T::of(c[n]));
        Self { powers: kernel.polynomials().chunks_exact(W).rev().map(row).collect() }
    }

    /// First cell touched by a sample at `position` cells, and the kernel there and at the W − 1
    /// cells after it.
    #[inline(always)]
    pub fn at(&self, position: f64) -> (isize, [T; W]) {
        let left = position - 0.5 * W as f64;
        let first = left.ceil();
        let y = T::of(2.0 * (first - left) - 1.0);
        let mut values = [T::zero(); W];
        for row in &self.powers {
            for (value, &c) in values.iter_mut().zip(row) {
                *value = value.times_plus(y, c);
            }
        }
        (first as isize, values)
    }
}

/// Calls `$function::<$T, W>` with W the kernel's support, one of [`crate::gridding::SUPPORTS`].
macro_rules! with_support {
    ($support:expr, $function:ident::<$real:ty>($($argument:expr),* $(,)?)) => {
        match $support {
            4 => $function::<$real, 4>($($argument),*),
            6 => $function::<$real, 6>($($argument),*),
            8 => $function::<$real, 8>($($argument),*),
            10 => $function::<$real, 10>($($argument),*),
            12 => $function::<$real, 12>($($argument),*),
            support => unreachable!("a kernel of {support} cells is never designed"),
        }
    };
}
pub(super) use with_support;
