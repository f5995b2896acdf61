//! uv grids in host memory.

use std::sync::Arc;

use num_complex::Complex;
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
///
/// Two rows of an image, which are real, are transformed as the real and the imaginary part of one: what a
/// real transform of odd factors costs is nearly what a complex one of that length does.
pub struct GridStack<T: Real> {
    /// One per channel.
    pub(super) channels: Vec<Grid<T>>,
    /// Length nv, sign −: uv → image.
    pub(super) columns_to_image: Arc<dyn Fft<T>>,
    /// Length nv, sign +: image → uv.
    pub(super) columns_to_uv: Arc<dyn Fft<T>>,
    /// Length nu, sign +: uv → image.
    pub(super) rows_to_image: Arc<dyn Fft<T>>,
    /// Length nu, sign −: image → uv.
    pub(super) rows_to_uv: Arc<dyn Fft<T>>,
}

/// One channel.
pub struct Grid<T> {
    /// `[stored column][row of the band]`, see [`crate::gridding::UvGrid`].
    pub(super) uv: Vec<Complex<T>>,
    /// Columns transformed along v, or to be, at the rows of the image alone: `[block of columns][image row
    /// y][column of the block]` on the way to the image, `[image row y][column u]` on the way to the grid.
    pub(super) rows: Vec<Complex<T>>,
}

/// Columns of a block: what is read of one row of a block, and of the row after it, shares a cache line.
pub(super) const COLUMNS: usize = 4;

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
        2 * real * (uv_cells(plan) + row_cells(plan))
    }
}

/// Cells that are stored of a channel's grid.
fn uv_cells(plan: &OperatorPlan) -> usize {
    plan.grid.stored_columns() * plan.grid.band
}

/// Cells of a channel between the transforms of columns and of rows.
fn row_cells(plan: &OperatorPlan) -> usize {
    plan.image.ny * plan.grid.columns.next_multiple_of(COLUMNS)
}

impl<T: Real> GridStack<T> {
    fn new(plan: &OperatorPlan, n: usize) -> Self {
        let mut planner = FftPlanner::new();
        let channel =
            |_| Grid { uv: vec![zero(); uv_cells(plan)], rows: vec![zero(); row_cells(plan)] };
        Self {
            channels: (0..n).map(channel).collect(),
            columns_to_image: planner.plan_fft_forward(plan.grid.nv),
            columns_to_uv: planner.plan_fft_inverse(plan.grid.nv),
            rows_to_image: planner.plan_fft_inverse(plan.grid.nu),
            rows_to_uv: planner.plan_fft_forward(plan.grid.nu),
        }
    }
}
