//! uv grids in host memory.

use std::sync::Arc;

use num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::{Fft, FftPlanner};

use super::real::{Real, zero};
use crate::gridding::{OperatorPlan, Precision};

/// A stack of half uv grids, in the precision of the plan.
pub enum CpuGrids {
    /// Single precision.
    F32(GridStack<f32>),
    /// Double precision.
    F64(GridStack<f64>),
}

/// Grids of one precision, and their transforms.
pub struct GridStack<T: Real> {
    /// One per channel.
    pub(super) channels: Vec<Grid<T>>,
    /// Length nv, sign −: uv → image.
    pub(super) columns_to_image: Arc<dyn Fft<T>>,
    /// Length nv, sign +: image → uv.
    pub(super) columns_to_uv: Arc<dyn Fft<T>>,
    /// Length nu.
    pub(super) rows_to_image: Arc<dyn ComplexToReal<T>>,
    /// Length nu.
    pub(super) rows_to_uv: Arc<dyn RealToComplex<T>>,
}

/// One channel.
pub struct Grid<T> {
    /// `[stored column][nv]`, see [`crate::gridding::UvGrid`].
    pub(super) uv: Vec<Complex<T>>,
    /// `[image row y][column u]`: transforms of a model's rows, on their way to the columns.
    pub(super) rows: Vec<Complex<T>>,
}

impl CpuGrids {
    /// Zero grids for `n` channels.
    pub(super) fn new(plan: &OperatorPlan, n: usize) -> Self {
        match plan.precision {
            Precision::F32 => Self::F32(GridStack::new(plan, n)),
            Precision::F64 => Self::F64(GridStack::new(plan, n)),
        }
    }

    /// Bytes per channel.
    pub(super) fn bytes(plan: &OperatorPlan) -> usize {
        let real = match plan.precision {
            Precision::F32 => 4,
            Precision::F64 => 8,
        };
        let uv = plan.grid.stored_columns() * plan.grid.nv;
        2 * real * (uv + plan.image.ny * plan.grid.columns)
    }
}

impl<T: Real> GridStack<T> {
    fn new(plan: &OperatorPlan, n: usize) -> Self {
        let (mut columns, mut rows) = (FftPlanner::new(), RealFftPlanner::new());
        let channel = |_| Grid {
            uv: vec![zero(); plan.grid.stored_columns() * plan.grid.nv],
            rows: vec![zero(); plan.image.ny * plan.grid.columns],
        };
        Self {
            channels: (0..n).map(channel).collect(),
            columns_to_image: columns.plan_fft_forward(plan.grid.nv),
            columns_to_uv: columns.plan_fft_inverse(plan.grid.nv),
            rows_to_image: rows.plan_fft_inverse(plan.grid.nu),
            rows_to_uv: rows.plan_fft_forward(plan.grid.nu),
        }
    }
}
