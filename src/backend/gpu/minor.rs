//! The trait `Minor`: stages `peak` and `subtract`.

use super::{GpuPlanes, gpu::Gpu};
use crate::{
    Error, Result,
    backend::{HogbomControl, HogbomResult, Minor, Peak},
    mask::Mask,
};

fn incomplete() -> Error {
    Error::Device {
        device: "--backend gpu".into(),
        problem: "is not complete in this version".into(),
        remedy: "use --backend cpu".into(),
    }
}

impl Minor for Gpu {
    fn peak(&self, _planes: &GpuPlanes, _channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        Err(incomplete())
    }

    fn hogbom(
        &self,
        _residual: &mut GpuPlanes,
        _psf: &GpuPlanes,
        _model: &mut GpuPlanes,
        _controls: &[HogbomControl<'_>],
    ) -> Result<Vec<HogbomResult>> {
        Err(incomplete())
    }
}
