//! The trait `Minor`: stages `peak` and `subtract`.

#[cfg(test)]
mod tests;

use super::{GpuPlanes, batch, gpu::Gpu, hogbom, peak};
use crate::{
    Error, Result,
    backend::{Minor, MinorControl, MinorResult, Peak},
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
        let channels: Vec<usize> = controls.iter().map(|c| c.channel).collect();
        batch::check_distinct(&self.device, &channels)?;
        for control in controls {
            check_mask(self, residual, control.channel, control.mask)?;
            for (name, planes) in [("psf", psf), ("model", &*model)] {
                planes.stack.check_index(&self.device, control.channel)?;
                if (planes.ny, planes.nx) != (residual.ny, residual.nx) {
                    return Err(self.device.bug(format!(
                        "a {name} of {}×{} does not fit a residual of {}×{}",
                        planes.nx, planes.ny, residual.nx, residual.ny
                    )));
                }
            }
        }
        hogbom::hogbom(self, residual, psf, model, controls)
    }
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
