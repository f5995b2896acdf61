//! The trait `Transform`, stage by stage.

use super::{GpuGrids, GpuPlanes, correct, fft, gpu::Gpu};
use crate::{Result, backend::Transform, gridding::OperatorPlan};

impl Transform for Gpu {
    type Grids = GpuGrids;

    fn grids(&self, plan: &OperatorPlan, n: usize) -> Result<GpuGrids> {
        GpuGrids::new(self, plan, n)
    }

    fn grid_bytes(&self, plan: &OperatorPlan) -> usize {
        GpuGrids::bytes(plan)
    }

    fn fft_adjoint(&self, plan: &OperatorPlan, grids: &mut GpuGrids, n: usize) -> Result<()> {
        fft::adjoint(self, plan, grids, n)
    }

    fn fft_forward(&self, plan: &OperatorPlan, grids: &mut GpuGrids, n: usize) -> Result<()> {
        fft::forward(self, plan, grids, n)
    }

    fn correct_adjoint(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        grids: &GpuGrids,
        channels: &[usize],
        planes: &mut GpuPlanes,
    ) -> Result<()> {
        correct::adjoint(self, plan, pass, grids, channels, planes)
    }

    fn correct_forward(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        planes: &GpuPlanes,
        channels: &[usize],
        grids: &mut GpuGrids,
    ) -> Result<()> {
        correct::forward(self, plan, pass, planes, channels, grids)
    }

    fn normalise(&self, planes: &mut GpuPlanes, channels: &[usize], factors: &[f32]) -> Result<()> {
        correct::normalise(self, planes, channels, factors)
    }
}
