//! The multiscale minor cycle: residuals and PSFs of the scales are convolved on the host, brought to
//! the device, and stay there while it iterates.
//!
//! An iteration is two dispatches for all channels at hand (`shaders/shared/multiscale.wgsl`), and a
//! *round* records many of them before the host reads how far each channel is. Channels are worked on in
//! turns of a few, as their planes take much memory.

mod rounds;
#[cfg(test)]
mod tests;

use rayon::prelude::*;

use super::{
    GpuPlanes,
    buffer::{MOST_STAGED_BYTES, Stack, share_slab},
    gpu::Gpu,
    peak,
    tiles::TILE,
};
use crate::{
    Result,
    backend::{
        MinorControl, MinorResult, PlaneStore, Scales,
        multiscale::{Prepared, Response, Tracked, pair_count},
    },
    mask::Mask,
};
#[cfg(test)]
pub(super) use rounds::{MultiscaleChannel, MultiscaleParams, MultiscaleShape};
use rounds::{Rounds, check_programs};

/// Pixels of channels that are worked on at a time: enough to fill a device.
const PIXELS: usize = 1 << 23;

/// Channels that are worked on at a time at most.
const CHANNELS: usize = 8;

/// Channels that are worked on at a time, as far as bindings reach.
fn at_a_time(npix: usize) -> usize {
    (PIXELS / npix.max(1)).clamp(1, CHANNELS)
}

/// Bytes of device memory that the cycle takes for a call of `channels`.
pub(super) fn bytes(scales: &Scales, nx: usize, ny: usize, channels: usize) -> usize {
    // Points may have to be added to the scales.
    let shapes = scales.pixels.len() + 1;
    let tiles = nx.div_ceil(TILE) * ny.div_ceil(TILE);
    let planes = 4 * nx * ny * (shapes + pair_count(shapes));
    // A tile's entry, mask and winner.
    let tables = 4 * shapes * tiles * (2 + TILE + 3) + rounds::fixed_bytes(shapes);
    let staged = MOST_STAGED_BYTES.min(planes);
    at_a_time(nx * ny).min(channels) * (planes + tables) + staged
}

/// Fails if the device cannot work on planes of this shape.
pub(super) fn check(gpu: &Gpu, scales: &Scales, nx: usize, ny: usize) -> Result<()> {
    let shapes = scales.pixels.len() + usize::from(scales.pixels.first() != Some(&0.0));
    let scratch = Scratch::new(gpu, shapes, nx * ny, 0)?;
    check_programs(gpu, &scratch)
}

/// Planes of the channels at hand, an item a channel.
struct Scratch {
    /// Residuals of all shapes, the plain one first.
    residuals: Stack,
    /// PSFs of all pairs of shapes, the plain one first.
    psfs: Stack,
}

impl Scratch {
    fn new(gpu: &Gpu, shapes: usize, npix: usize, channels: usize) -> Result<Self> {
        let stack = |planes: usize| {
            Stack::new(&gpu.device, "planes of scales", channels, planes * npix, size_of::<f32>())
        };
        Ok(Self { residuals: stack(shapes)?, psfs: stack(pair_count(shapes))? })
    }

    /// Channels that one dispatch reaches.
    fn most_channels(gpu: &Gpu, shapes: usize, npix: usize) -> usize {
        let share = |planes: usize| share_slab(&gpu.device, planes * npix, size_of::<f32>());
        share(shapes).min(share(pair_count(shapes)))
    }
}

/// The loop on the channels of `controls`, which are distinct and fit the planes.
pub(super) fn multiscale(
    gpu: &Gpu,
    scales: &Scales,
    residual: &mut GpuPlanes,
    psf: &GpuPlanes,
    model: &mut GpuPlanes,
    controls: &[MinorControl<'_>],
) -> Result<Vec<MinorResult>> {
    let (nx, ny) = (residual.nx, residual.ny);
    let tracked = Tracked::new(scales, nx, ny);
    let most = Scratch::most_channels(gpu, tracked.len(), nx * ny);
    let count = at_a_time(nx * ny).min(most).min(controls.len());
    let mut scratch = Scratch::new(gpu, tracked.len(), nx * ny, count)?;
    let mut results = Vec::with_capacity(controls.len());
    for some in controls.chunks(count.max(1)) {
        let channels = bring(gpu, &tracked, &mut scratch, (residual, psf), some)?;
        let mut cleaned = Rounds::new(gpu, &tracked, &scratch, some, &channels)?.run()?;
        let bytes = 4 * nx * ny;
        for (c, (control, result)) in some.iter().zip(&cleaned).enumerate() {
            let to = (&residual.stack, control.channel);
            scratch.residuals.copy_item(&gpu.device, &gpu.recorder, c, bytes, to)?;
            if !result.components.is_empty() {
                add_to_model(gpu, &tracked, model, control.channel, result)?;
            }
        }
        results.append(&mut cleaned);
    }
    let masks: Vec<(usize, &Mask)> = controls.iter().map(|c| (c.channel, c.mask)).collect();
    for (result, peak) in results.iter_mut().zip(peak::peak(gpu, residual, &masks)?) {
        result.peak = peak.map_or(0.0, |p| p.value.abs());
    }
    Ok(results)
}

/// What the host keeps of a channel that it prepared.
struct Channel {
    responses: Vec<Response>,
    /// Of all shapes but the point.
    masks: Vec<Mask>,
}

/// Convolves the planes of channels, as many at a time as there are threads, and brings them to the
/// device.
fn bring(
    gpu: &Gpu,
    tracked: &Tracked,
    scratch: &mut Scratch,
    planes: (&GpuPlanes, &GpuPlanes),
    controls: &[MinorControl<'_>],
) -> Result<Vec<Channel>> {
    let prepare = |control: &MinorControl<'_>| -> Result<(Prepared, Vec<Mask>)> {
        let residual = gpu.get(planes.0, control.channel)?;
        let psf = gpu.get(planes.1, control.channel)?;
        Ok((tracked.prepare(&residual, &psf), tracked.masks(control.mask)))
    };
    let mut channels: Vec<Channel> = Vec::with_capacity(controls.len());
    for some in controls.chunks(rayon::current_num_threads()) {
        let prepared = some.par_iter().map(prepare).collect::<Result<Vec<_>>>()?;
        for (control, (prepared, masks)) in some.iter().zip(prepared) {
            fill(gpu, scratch, channels.len(), planes, control.channel, &prepared)?;
            channels.push(Channel { responses: prepared.responses, masks });
        }
    }
    Ok(channels)
}

/// Fills item `item` with the planes of a channel; the plain ones are on the device.
fn fill(
    gpu: &Gpu,
    scratch: &mut Scratch,
    item: usize,
    (residual, psf): (&GpuPlanes, &GpuPlanes),
    channel: usize,
    prepared: &Prepared,
) -> Result<()> {
    let (device, recorder) = (&gpu.device, &gpu.recorder);
    let bytes = 4 * residual.nx * residual.ny;
    for (plain, stack, planes) in [
        (residual, &mut scratch.residuals, &prepared.residuals),
        (psf, &mut scratch.psfs, &prepared.crosses),
    ] {
        plain.stack.copy_item(device, recorder, channel, bytes, (stack, item))?;
        for (i, plane) in planes.iter().enumerate() {
            let values = bytemuck::cast_slice(plane);
            stack.put_at(device, recorder, item, (i + 1) * bytes, values)?;
        }
    }
    Ok(())
}

/// Adds a cycle's components to a channel's model, in their order as the CPU does.
fn add_to_model(
    gpu: &Gpu,
    tracked: &Tracked,
    model: &mut GpuPlanes,
    channel: usize,
    result: &MinorResult,
) -> Result<()> {
    let mut plane = gpu.get(model, channel)?;
    for (&(pixel, flux), &scale) in result.components.iter().zip(&result.scales) {
        let shape = &tracked.shapes[tracked.first + usize::from(scale)];
        shape.add_to(&mut plane, model.nx, pixel as usize, flux);
    }
    gpu.put(model, channel, &plane)
}
