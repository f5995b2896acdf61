//! The convolution function's values at the cells that a sample touches, in registers.

use super::real::Real;
use crate::gridding::Kernel;

/// Polynomials of a kernel of W cells, for one precision.
pub struct Taps<T, const W: usize> {
    /// Coefficients of y²ᵏ and of y²ᵏ⁺¹; highest k first.
    powers: Vec<[[T; W]; 2]>,
}

impl<T: Real, const W: usize> Taps<T, W> {
    /// The polynomials of `kernel`, whose support must be W.
    pub fn new(kernel: &Kernel) -> Self {
        let of_power = |power: usize| match kernel.polynomials().chunks_exact(W).nth(power) {
            Some(c) => std::array::from_fn(|n| T::of(c[n])),
            None => [T::zero(); W],
        };
        let pairs = (0..=kernel.degree() / 2).rev();
        Self { powers: pairs.map(|k| [of_power(2 * k), of_power(2 * k + 1)]).collect() }
    }

    /// The kernel at the W cells that a sample touches, along u and along v, at their y; see
    /// [`Kernel::first_cell`].
    ///
    /// Even and odd powers apart, and u and v together: four chains of half as many steps, as each step waits for
    /// the one before.
    #[inline(always)] // and without closures: for the caller's vector instructions, see `Vectorised`
    pub fn at(&self, [y_u, y_v]: [T; 2]) -> [[T; W]; 2] {
        let (y2_u, y2_v) = (y_u * y_u, y_v * y_v);
        let [mut even_u, mut odd_u, mut even_v, mut odd_v] = [[T::zero(); W]; 4];
        for [even, odd] in &self.powers {
            for n in 0..W {
                even_u[n] = even_u[n].times_plus(y2_u, even[n]);
                odd_u[n] = odd_u[n].times_plus(y2_u, odd[n]);
                even_v[n] = even_v[n].times_plus(y2_v, even[n]);
                odd_v[n] = odd_v[n].times_plus(y2_v, odd[n]);
            }
        }
        for n in 0..W {
            even_u[n] += odd_u[n] * y_u;
            even_v[n] += odd_v[n] * y_v;
        }
        [even_u, even_v]
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
