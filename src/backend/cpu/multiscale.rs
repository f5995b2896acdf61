//! The multiscale minor cycle on the CPU: the strips of Hogbom's, one for each scale.
//!
//! A component of scale α may only be placed within that scale's mask, so of its residual nothing
//! outside it is needed; the plain residual is kept up to date within the clean mask.

use rayon::prelude::*;

use super::{
    CpuPlanes,
    hogbom::{Strip, check_call},
};
use crate::{
    backend::{
        MinorControl, MinorResult, Peak, Scales,
        multiscale::{DIVERGENCE, Prepared, Tracked, UNBOUNDED},
    },
    error::Result,
    mask::Mask,
};

pub(super) fn multiscale(
    scales: &Scales,
    residual: &mut CpuPlanes,
    psf: &CpuPlanes,
    model: &mut CpuPlanes,
    controls: &[MinorControl<'_>],
) -> Result<Vec<MinorResult>> {
    let (ny, nx) = (residual.ny(), residual.nx());
    check_call(residual, psf, model, controls)?;
    let tracked = Tracked::new(scales, nx, ny);
    let channels: Vec<usize> = controls.iter().map(|c| c.channel).collect();
    let mut work: Vec<_> = controls
        .iter()
        .zip(residual.select_mut(&channels)?)
        .zip(model.select_mut(&channels)?)
        .collect();
    // As many channels' convolutions are in memory at a time as there are threads.
    let mut results = Vec::with_capacity(controls.len());
    for work in work.chunks_mut(rayon::current_num_threads()) {
        let some = work.par_iter_mut().map(|((control, residual), model)| {
            clean_channel(&tracked, residual, psf.plane(control.channel), model, control)
        });
        results.extend(some.collect::<Vec<_>>());
    }
    Ok(results)
}

fn clean_channel(
    tracked: &Tracked,
    residual: &mut [f32],
    psf: &[f32],
    model: &mut [f32],
    control: &MinorControl<'_>,
) -> MinorResult {
    let nx = control.mask.nx();
    let prepared = tracked.prepare(residual, psf);
    let masks = tracked.masks(control.mask);
    let nowhere = Mask::new(nx, control.mask.ny(), false);
    let mut strips = vec![Strip::gather(residual, control.mask)];
    for (s, (plane, mask)) in prepared.residuals.iter().zip(&masks).enumerate() {
        let usable = prepared.responses[s + 1].inverse > 0.0;
        strips.push(Strip::gather(plane, if usable { mask } else { &nowhere }));
    }
    let mut peaks: Vec<Option<Peak>> = strips.iter().map(Strip::peak).collect();
    let mut result = MinorResult::default();
    let mut least = UNBOUNDED;
    while let Some(Best { shape, pixel, strength, score }) = best(tracked, &prepared, &peaks) {
        // Written so that a NaN threshold stops rather than runs on.
        let above = strength.abs() > control.threshold;
        if result.components.len() >= control.max_iter || !above || score > DIVERGENCE * least {
            break;
        }
        let flux = control.gain * strength;
        if !flux.is_finite() {
            break;
        }
        least = least.min(score);
        tracked.shapes[shape].add_to(model, nx, pixel, flux);
        result.components.push((pixel as u32, flux));
        result.scales.push((shape - tracked.first) as u8);
        for (s, (strip, peak)) in strips.iter_mut().zip(&mut peaks).enumerate() {
            let cross = match tracked.pair(shape, s) {
                0 => psf,
                pair => &prepared.crosses[pair - 1],
            };
            *peak = strip.subtract(cross, pixel, flux);
        }
    }
    result.peak = peaks[0].map_or(0.0, |p| p.value.abs());
    strips[0].scatter(residual);
    result
}

/// The next component.
struct Best {
    shape: usize,
    pixel: usize,
    /// Flux that would explain the residual there.
    strength: f32,
    /// What scales are compared by.
    score: f32,
}

/// The best of the scales' peaks; of equals the smallest scale.
fn best(tracked: &Tracked, prepared: &Prepared, peaks: &[Option<Peak>]) -> Option<Best> {
    let mut best: Option<Best> = None;
    for (shape, peak) in peaks.iter().enumerate().skip(tracked.first) {
        let Some(Peak { pixel, value }) = *peak else { continue };
        let response = &prepared.responses[shape];
        let score = value.abs() * response.weight;
        if !score.is_nan() && best.as_ref().is_none_or(|best| score > best.score) {
            best = Some(Best { shape, pixel, strength: value * response.inverse, score });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use crate::backend::{cpu::CpuBackend, multiscale_tests::multiscale_tests};

    multiscale_tests!(CpuBackend);
}
