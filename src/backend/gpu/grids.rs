//! Half uv grids and their images in device memory.

use super::{buffer::Stack, gpu::Gpu};
use crate::{
    Error, Result,
    gridding::{OperatorPlan, Precision},
};

/// A stack of half uv grids, each with the image that it transforms to and from.
pub struct GpuGrids {
    /// `[stored column][row]` complex, as [`crate::gridding::UvGrid`] describes.
    pub(super) uv: Stack,
    /// `[y][x]` of the image; the padding around it is never stored.
    pub(super) images: Stack,
}

impl GpuGrids {
    pub(super) fn new(gpu: &Gpu, plan: &OperatorPlan, n: usize) -> Result<Self> {
        if plan.precision != Precision::F32 {
            return Err(Error::parameter(
                "gridding-accuracy",
                plan.options.accuracy.to_string(),
                "needs double precision, which GPU shaders do not have",
                "use 5e-6 or more, or --backend cpu",
            ));
        }
        let cells = plan.grid.stored_columns() * plan.grid.nv;
        let complex = size_of::<[f32; 2]>();
        Ok(Self {
            uv: Stack::new(&gpu.device, "uv grids", n, cells, complex)?,
            images: Stack::new(&gpu.device, "images", n, plan.image.npix(), size_of::<f32>())?,
        })
    }

    /// Bytes per channel.
    pub(super) fn bytes(plan: &OperatorPlan) -> usize {
        8 * plan.grid.stored_columns() * plan.grid.nv + 4 * plan.image.npix()
    }
}
