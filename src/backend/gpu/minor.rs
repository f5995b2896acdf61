//! The trait `Minor`: stages `peak` and `subtract`.

#[cfg(test)]
mod tests;

use super::{GpuPlanes, batch, gpu::Gpu, hogbom, multiscale, peak};
use crate::{
    Error, Result,
    backend::{Minor, MinorControl, MinorResult, Peak, Scales},
    mask::Mask,
};

impl Minor for Gpu {
    fn peak(&self, planes: &GpuPlanes, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        for &(channel, mask) in channels {
            check_mask(self, planes, channel, mask)?;
        }
        peak::peak(self, planes, channels)
    }

    fn hogbom(
        &self,
        residual: &mut GpuPlanes,
        psf: &GpuPlanes,
        model: &mut GpuPlanes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        check_call(self, residual, psf, model, controls)?;
        hogbom::hogbom(self, residual, psf, model, controls)
    }

    fn multiscale(
        &self,
        scales: &Scales,
        residual: &mut GpuPlanes,
        psf: &GpuPlanes,
        model: &mut GpuPlanes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        check_call(self, residual, psf, model, controls)?;
        multiscale::multiscale(self, scales, residual, psf, model, controls)
    }
}

/// Fails, naming the mistake, if what a minor cycle is given does not belong together.
fn check_call(
    gpu: &Gpu,
    residual: &GpuPlanes,
    psf: &GpuPlanes,
    model: &GpuPlanes,
    controls: &[MinorControl<'_>],
) -> Result<()> {
    let channels: Vec<usize> = controls.iter().map(|c| c.channel).collect();
    batch::check_distinct(&gpu.device, &channels)?;
    for control in controls {
        check_mask(gpu, residual, control.channel, control.mask)?;
        for (name, planes) in [("psf", psf), ("model", model)] {
            planes.stack.check_index(&gpu.device, control.channel)?;
            if (planes.ny, planes.nx) != (residual.ny, residual.nx) {
                return Err(gpu.device.bug(format!(
                    "a {name} of {}×{} does not fit a residual of {}×{}",
                    planes.nx, planes.ny, residual.nx, residual.ny
                )));
            }
        }
    }
    Ok(())
}

fn check_mask(gpu: &Gpu, planes: &GpuPlanes, channel: usize, mask: &Mask) -> Result<()> {
    planes.stack.check_index(&gpu.device, channel)?;
    if (mask.nx(), mask.ny()) == (planes.nx, planes.ny) {
        return Ok(());
    }
    Err(gpu.device.bug(format!(
        "a mask of {}×{} does not fit planes of {}×{}",
        mask.nx(),
        mask.ny(),
        planes.nx,
        planes.ny
    )))
}

/// Words that one storage binding may hold.
pub(super) fn most_words(gpu: &Gpu) -> usize {
    let bytes = gpu.device.max_binding_bytes.min(gpu.device.limits.max_buffer_size);
    (bytes / 4).min(u64::from(u32::MAX)) as usize
}

/// The error for tables of one channel that exceed a binding.
pub(super) fn too_large(gpu: &Gpu, what: &str) -> Error {
    Error::Resources {
        resource: format!("{what} of one channel in one storage binding"),
        needed: "more".into(),
        available: format!("{} bytes on {}", 4 * most_words(gpu), gpu.device.info.name),
        remedy: "image fewer pixels, choose another --device, or --backend cpu".into(),
    }
}
