//! Clark's minor cycle (1980, A&A 89, 377), composed of a backend's stages and written once for all.
//!
//! Hogbom's loop takes every component off every masked pixel. Clark's takes it off only where it
//! matters for what is found next: off the brightest pixels, and there with a central patch of the PSF.
//! A round goes, with F the residual's peak in the mask, s the largest |psf| outside the patch, and t the
//! threshold of the minor cycle:
//!
//! 1. Pixels of the mask with `|r| > max(t, min(MARGIN·s, MOST)·F)` are active. No other can hold the peak
//!    before the peak itself has come down to there, unless sidelobes raise it; and that, and what the patch
//!    leaves out, the round's end puts right.
//! 2. Hogbom's loop on the active pixels of a copy of the residual, with the PSF cut to the patch, until no
//!    active |r| exceeds that level, or as many components are found as would take each active pixel
//!    down to 1/e, or the iterations are used up. (A PSF that was cut can have negative Fourier components:
//!    under wide emission the loop then diverges, but not faster than it takes all its pixels down.)
//! 3. The components, those of a pixel added up, are taken off the residual's masked pixels one after
//!    another in plane order with the whole PSF: a direct sum, rounded alike on every backend. (Clark's
//!    major cycle does this by FFT; ours here is what the minor cycle returns to the peak with.)
//!
//! until F is at t, the iterations are used up, a round finds nothing, or F is twice what it was. The
//! residual within the mask is then what Hogbom's loop would leave with the same components, but for the
//! order of the sums.
//!
//! Clark bounds the number of active pixels by a histogram, as an array processor had to; here they stay
//! where they are, and are not bounded.

use super::{Minor, MinorControl, MinorResult, Points};
use crate::{error::Result, mask::Mask};

/// How far above the highest sidelobe outside the patch a round ends, in multiples of it: those of many
/// components add up. (Clark raises his limit with the number of components instead. On channel 10 of
/// `small`, s = 0.098, down to a hundredth of the peak, a margin of 1 finds 6 % more components than
/// Hogbom's loop and 0.6 % less flux; this one, and Clark's rule, 1 % and 0.1 %.)
const MARGIN: f32 = 5.0;

/// Active pixels reach down at least to this fraction of the peak, however high the PSF's sidelobes
/// are: so that every round finds something.
const MOST: f32 = 0.8;

/// Growth of the peak over the least there has been, that ends the minor cycle.
const DIVERGENCE: f32 = 2.0;

/// The pixels within `half` columns and rows of a PSF's peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Half the width but for the central pixel.
    pub half: usize,
}

impl Default for Patch {
    fn default() -> Self {
        Self { half: 50 }
    }
}

impl Patch {
    /// Columns, and rows, of a PSF of `n` that lie in the patch: the first and the number.
    pub(crate) fn along(self, n: usize) -> (usize, usize) {
        let (first, end) = ((n / 2).saturating_sub(self.half), n.min(n / 2 + self.half + 1));
        (first, end - first)
    }

    /// The pixels of a PSF that are not in the patch.
    fn outside(self, nx: usize, ny: usize) -> Mask {
        let ((x0, width), (y0, height)) = (self.along(nx), self.along(ny));
        Mask::from_fn(nx, ny, |x, y| x.wrapping_sub(x0) >= width || y.wrapping_sub(y0) >= height)
    }
}

/// A channel that is not done.
struct Open<'a> {
    /// In the call's controls.
    position: usize,
    control: &'a MinorControl<'a>,
    /// The largest |psf| outside the patch.
    sidelobe: f32,
    left: usize,
    /// The least peak so far.
    least: f32,
    /// The level that the round goes down to.
    level: f32,
}

/// [`Minor::clark`] with a given patch.
pub(super) fn clark<B: Minor>(
    backend: &B,
    patch: Patch,
    residual: &mut B::Planes,
    psf: &B::Planes,
    model: &mut B::Planes,
    controls: &[MinorControl<'_>],
) -> Result<Vec<MinorResult>> {
    let mut results = vec![MinorResult::default(); controls.len()];
    let Some(first) = controls.first() else { return Ok(results) };
    let (nx, ny) = (first.mask.nx(), first.mask.ny());
    let mut open = begin(backend, psf, controls, &patch.outside(nx, ny))?;
    let planes = controls.iter().map(|c| c.channel + 1).max().unwrap_or(0);
    let mut inner = backend.zeros(planes, ny, nx)?;
    loop {
        judge(backend, residual, &mut open, &mut results)?;
        if open.is_empty() {
            return Ok(results);
        }
        let found = round(backend, patch, (residual, &mut inner), psf, model, &open)?;
        let mut found = found.into_iter();
        open.retain_mut(|channel| {
            let components = found.next().unwrap_or_default();
            let any = !components.is_empty();
            channel.left -= components.len();
            results[channel.position].components.extend(components);
            any
        });
    }
}

/// All channels, with the sidelobes of their PSFs.
fn begin<'a, B: Minor>(
    backend: &B,
    psf: &B::Planes,
    controls: &'a [MinorControl<'a>],
    outside: &Mask,
) -> Result<Vec<Open<'a>>> {
    let asked: Vec<_> = controls.iter().map(|c| (c.channel, outside)).collect();
    let peaks = backend.peak(psf, &asked)?;
    let channels = controls.iter().zip(peaks).enumerate();
    Ok(channels
        .map(|(position, (control, peak))| Open {
            position,
            control,
            sidelobe: peak.map_or(0.0, |p| p.value.abs()),
            left: control.max_iter,
            least: f32::INFINITY,
            level: 0.0,
        })
        .collect())
}

/// Notes the peaks; closes channels that are at their threshold, and sets the level of the others.
fn judge<B: Minor>(
    backend: &B,
    residual: &B::Planes,
    open: &mut Vec<Open<'_>>,
    results: &mut [MinorResult],
) -> Result<()> {
    let asked: Vec<_> = open.iter().map(|c| (c.control.channel, c.control.mask)).collect();
    let mut peaks = backend.peak(residual, &asked)?.into_iter();
    open.retain_mut(|channel| {
        let peak = peaks.next().flatten().map_or(0.0, |p| p.value.abs());
        results[channel.position].peak = peak;
        channel.level =
            ((MARGIN * channel.sidelobe).min(MOST) * peak).max(channel.control.threshold);
        let diverges = peak > DIVERGENCE * channel.least;
        channel.least = channel.least.min(peak);
        // Written so that a NaN threshold stops rather than runs on.
        channel.left > 0 && peak > channel.control.threshold && !diverges
    });
    Ok(())
}

/// Steps 1 to 3 for the open channels; gives each one's components.
fn round<B: Minor>(
    backend: &B,
    patch: Patch,
    (residual, inner): (&mut B::Planes, &mut B::Planes),
    psf: &B::Planes,
    model: &mut B::Planes,
    open: &[Open<'_>],
) -> Result<Vec<Vec<(u32, f32)>>> {
    let asked: Vec<_> = open.iter().map(|c| (c.control.channel, c.control.mask, c.level)).collect();
    let active = backend.above(residual, &asked)?;
    let channels: Vec<usize> = open.iter().map(|c| c.control.channel).collect();
    backend.copy(residual, inner, &channels)?;
    let controls: Vec<_> = open
        .iter()
        .zip(&active)
        .map(|(channel, mask)| MinorControl {
            channel: channel.control.channel,
            mask,
            gain: channel.control.gain,
            threshold: channel.level,
            max_iter: channel.left.min(enough(mask.count(), channel.control.gain)),
            keep_residual: true,
        })
        .collect();
    let found = backend.hogbom_in_patch(patch, inner, psf, model, &controls)?;
    let sums: Vec<_> = found.iter().map(|result| sums(&result.components)).collect();
    let points: Vec<_> = open
        .iter()
        .zip(&sums)
        .map(|(channel, components)| Points {
            channel: channel.control.channel,
            mask: channel.control.mask,
            components,
        })
        .collect();
    backend.subtract(residual, psf, &points)?;
    Ok(found.into_iter().map(|result| result.components).collect())
}

/// Components that take each of some pixels down to 1/e.
fn enough(pixels: usize, gain: f32) -> usize {
    // A gain of NaN finds nothing in any case.
    ((pixels as f64 / f64::from(gain)).ceil() as usize).max(1)
}

/// Components of a pixel added up in the order found; in plane order.
fn sums(components: &[(u32, f32)]) -> Vec<(u32, f32)> {
    let mut sorted = components.to_vec();
    sorted.sort_by_key(|c| c.0);
    sorted
        .chunk_by(|a, b| a.0 == b.0)
        .map(|same| (same[0].0, same.iter().map(|c| c.1).fold(0.0, |a, b| a + b)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_a_pixel_are_added_up() {
        let found = [(9, 1.0), (4, -2.0), (9, 0.5), (0, 3.0), (4, 0.25)];
        assert_eq!(sums(&found), [(0, 3.0), (4, -1.75), (9, 1.5)]);
        assert_eq!(sums(&[]), []);
    }

    #[test]
    fn a_patch_is_cut_at_the_borders() {
        let patch = Patch { half: 2 };
        assert_eq!(patch.along(20), (8, 5));
        assert_eq!(patch.along(4), (0, 4));
        assert_eq!(patch.along(1), (0, 1));
        assert_eq!(patch.outside(20, 4).count(), 15 * 4);
        assert!(patch.outside(5, 4).is_empty());
    }
}
