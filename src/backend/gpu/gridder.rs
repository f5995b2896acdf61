//! The trait `Gridder`, stage by stage.

use num_complex::Complex32;

use super::{GpuGrids, gpu::Gpu};
use crate::{
    Error, Result,
    backend::{Gridder, Source},
    gridding::OperatorPlan,
    ms::VisBlock,
};

/// Visibilities of a batch in device memory, in gridding order.
pub struct GpuSamples {}

fn incomplete() -> Error {
    Error::Device {
        device: "--backend gpu".into(),
        problem: "is not complete in this version".into(),
        remedy: "use --backend cpu".into(),
    }
}

impl Gridder for Gpu {
    type Samples = GpuSamples;

    fn samples(&self, _plan: &OperatorPlan, _block: &VisBlock) -> Result<GpuSamples> {
        Err(incomplete())
    }

    fn sample_bytes(&self, _plan: &OperatorPlan) -> usize {
        0
    }

    fn sumwt(&self, _samples: &GpuSamples) -> Vec<f64> {
        Vec::new()
    }

    fn grid(
        &self,
        _plan: &OperatorPlan,
        _pass: usize,
        _samples: &GpuSamples,
        _source: Source,
        _channels: &[usize],
        _grids: &mut GpuGrids,
    ) -> Result<()> {
        Err(incomplete())
    }

    fn clear_predicted(&self, _samples: &mut GpuSamples, _channels: &[usize]) -> Result<()> {
        Err(incomplete())
    }

    fn degrid(
        &self,
        _plan: &OperatorPlan,
        _pass: usize,
        _grids: &GpuGrids,
        _channels: &[usize],
        _samples: &mut GpuSamples,
    ) -> Result<()> {
        Err(incomplete())
    }

    fn predicted(&self, _samples: &GpuSamples, _channel: usize) -> Result<Vec<Vec<Complex32>>> {
        Err(incomplete())
    }
}
