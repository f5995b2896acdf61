//! The trait `Minor`: stages `peak`, `above` and `subtract`.

#[cfg(test)]
mod tests;

use super::{GpuPlanes, batch, clark, gpu::Gpu, hogbom, multiscale, peak};
use crate::{
    Error, Result,
    backend::{Minor, MinorControl, MinorResult, Patch, Peak, Points, Scales},
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
        let channels = controls.iter().map(|c| (c.channel, c.mask));
        check_call(self, residual, &[("psf", psf), ("model", model)], channels)?;
        hogbom::hogbom(self, [residual, psf, model], None, controls)
    }

    fn hogbom_in_patch(
        &self,
        patch: Patch,
        residual: &mut GpuPlanes,
        psf: &GpuPlanes,
        model: &mut GpuPlanes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        let channels = controls.iter().map(|c| (c.channel, c.mask));
        check_call(self, residual, &[("psf", psf), ("model", model)], channels)?;
        hogbom::hogbom(self, [residual, psf, model], Some(patch), controls)
    }

    fn multiscale(
        &self,
        scales: &Scales,
        residual: &mut GpuPlanes,
        psf: &GpuPlanes,
        model: &mut GpuPlanes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        let channels = controls.iter().map(|c| (c.channel, c.mask));
        check_call(self, residual, &[("psf", psf), ("model", model)], channels)?;
        multiscale::multiscale(self, scales, residual, psf, model, controls)
    }

    fn above(&self, planes: &GpuPlanes, channels: &[(usize, &Mask, f32)]) -> Result<Vec<Mask>> {
        for &(channel, mask, _) in channels {
            check_mask(self, planes, channel, mask)?;
        }
        clark::above(self, planes, channels)
    }

    fn subtract(
        &self,
        residual: &mut GpuPlanes,
        psf: &GpuPlanes,
        points: &[Points<'_>],
    ) -> Result<()> {
        let channels = points.iter().map(|p| (p.channel, p.mask));
        check_call(self, residual, &[("psf", psf)], channels)?;
        hogbom::subtract(self, residual, psf, points)
    }
}

/// Checks that the planes and masks of a loop's distinct channels belong together.
fn check_call<'a>(
    gpu: &Gpu,
    residual: &GpuPlanes,
    others: &[(&str, &GpuPlanes)],
    channels: impl Iterator<Item = (usize, &'a Mask)> + Clone,
) -> Result<()> {
    batch::check_distinct(&gpu.device, &channels.clone().map(|c| c.0).collect::<Vec<_>>())?;
    for (channel, mask) in channels {
        check_mask(gpu, residual, channel, mask)?;
        for (name, planes) in others {
            planes.stack.check_index(&gpu.device, channel)?;
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
