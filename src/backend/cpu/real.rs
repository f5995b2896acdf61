//! The floating-point types that grids and transforms are computed in.

use num_complex::Complex;
use realfft::FftNum;

/// f32 or f64.
pub trait Real: FftNum + bytemuck::Pod + std::ops::AddAssign + std::ops::MulAssign {
    /// Rounds to this type.
    fn of(value: f64) -> Self;
    /// As f64.
    fn f64(self) -> f64;
    /// As f32.
    fn f32(self) -> f32;
    /// `self·a + b`, rounded twice: the same bits on processors with and without fused operations.
    #[inline(always)]
    fn times_plus(self, a: Self, b: Self) -> Self {
        self * a + b
    }
}

impl Real for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn f32(self) -> f32 {
        self
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn f32(self) -> f32 {
        self as f32
    }
}

/// Complex zero.
pub fn zero<T: Real>() -> Complex<T> {
    Complex::new(T::zero(), T::zero())
}
