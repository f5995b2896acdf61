//! Hogbom's minor cycle on the CPU: stages `peak` and `subtract`, restricted to the masked pixels.
//!
//! A component may only be placed inside the mask, so the next peak depends on nothing outside it.
//! The residual of the masked pixels is gathered into one dense strip of row segments
//! ([`Strip`]); each iteration subtracts the shifted PSF from that strip alone and finds the next
//! peak in the same pass. Where masks are large and iterations many, components wait instead with tiles of the
//! plane ([`Tiles`]) until a tile may hold the peak. Every masked pixel sees the operations of the textbook full-plane loop, in
//! the same order and in the same `f32` arithmetic, so components are equal bit by bit while the cost
//! of an iteration follows the mask's area, not the image's.

mod tiles;

use rayon::prelude::*;

use tiles::Tiles;

use super::{
    CpuBackend, CpuPlanes, clark, multiscale,
    simd::{Vectorised, vectorised},
};
use crate::{
    backend::{Minor, MinorControl, MinorResult, Patch, Peak, Points, Scales},
    error::{Error, Result},
    mask::{Mask, Run},
};

/// Pixels of a strip that one task updates. An iteration over fewer costs less than handing it to
/// another thread (about 10 µs), so smaller masks stay on one.
const CHUNK_PIXELS: usize = 1 << 17;

impl Minor for CpuBackend {
    fn peak(&self, planes: &CpuPlanes, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        channels
            .par_iter()
            .map(|&(channel, mask)| {
                check_mask(planes, channel, mask)?;
                Ok(peak_in(planes.plane(channel), mask))
            })
            .collect()
    }

    fn hogbom(
        &self,
        residual: &mut CpuPlanes,
        psf: &CpuPlanes,
        model: &mut CpuPlanes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        each_channel(residual, psf, model, controls, clean_channel)
    }

    fn multiscale(
        &self,
        scales: &Scales,
        residual: &mut CpuPlanes,
        psf: &CpuPlanes,
        model: &mut CpuPlanes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        multiscale::multiscale(scales, residual, psf, model, controls)
    }

    fn hogbom_in_patch(
        &self,
        patch: Patch,
        residual: &mut CpuPlanes,
        psf: &CpuPlanes,
        model: &mut CpuPlanes,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        each_channel(residual, psf, model, controls, |residual, psf, model, control| {
            clark::clean_channel(patch, residual, psf, model, control)
        })
    }

    fn above(&self, planes: &CpuPlanes, channels: &[(usize, &Mask, f32)]) -> Result<Vec<Mask>> {
        channels
            .par_iter()
            .map(|&(channel, mask, level)| {
                check_mask(planes, channel, mask)?;
                Ok(clark::above(planes.plane(channel), mask, level))
            })
            .collect()
    }

    fn subtract(
        &self,
        residual: &mut CpuPlanes,
        psf: &CpuPlanes,
        points: &[Points<'_>],
    ) -> Result<()> {
        for p in points {
            check_mask(residual, p.channel, p.mask)?;
            check_shape(residual, ("psf", psf), p.channel)?;
        }
        let channels: Vec<usize> = points.iter().map(|p| p.channel).collect();
        points.par_iter().zip(residual.select_mut(&channels)?).for_each(|(points, residual)| {
            clark::subtract(residual, psf.plane(points.channel), points);
        });
        Ok(())
    }
}

/// Checks that the arguments of a loop belong together, and runs the loop of each channel.
fn each_channel(
    residual: &mut CpuPlanes,
    psf: &CpuPlanes,
    model: &mut CpuPlanes,
    controls: &[MinorControl<'_>],
    clean: impl Fn(&mut [f32], &[f32], &mut [f32], &MinorControl<'_>) -> MinorResult + Sync,
) -> Result<Vec<MinorResult>> {
    check_call(residual, psf, model, controls)?;
    let channels: Vec<usize> = controls.iter().map(|c| c.channel).collect();
    let residuals = residual.select_mut(&channels)?;
    let models = model.select_mut(&channels)?;
    Ok(controls
        .par_iter()
        .zip(residuals)
        .zip(models)
        .map(|((control, residual), model)| {
            clean(residual, psf.plane(control.channel), model, control)
        })
        .collect())
}

/// Hogbom's loop for one channel.
fn clean_channel(
    residual: &mut [f32],
    psf: &[f32],
    model: &mut [f32],
    control: &MinorControl<'_>,
) -> MinorResult {
    // The tiles' bounds take a look at each pixel of the PSF: worth it once a strip has cost as much.
    clean_with_tiles_after(residual.len(), residual, psf, model, control)
}

/// The same, in a strip until `pixels` of strips have been updated, then in tiles.
fn clean_with_tiles_after(
    pixels: usize,
    residual: &mut [f32],
    psf: &[f32],
    model: &mut [f32],
    control: &MinorControl<'_>,
) -> MinorResult {
    let strip = Strip::gather(residual, control.mask);
    let (peak, count) = (strip.peak(), strip.pixels());
    let mut work = Work::Strip(strip);
    let (mut updated, worth_tiles) = (0, count > STRIP_PIXELS || pixels == 0);
    let result = find_components(peak, model, control, |pixel, flux| {
        updated += count;
        if let Work::Strip(strip) = &mut work
            && worth_tiles
            && updated > pixels
        {
            strip.scatter(residual);
            strip.chunks = Vec::new();
            work = Work::Tiles(Tiles::gather(residual, control.mask, psf));
        }
        match &mut work {
            Work::Strip(strip) => strip.subtract(psf, pixel, flux),
            Work::Tiles(tiles) => tiles.subtract(psf, pixel, flux),
        }
    });
    match work {
        _ if !control.keep_residual => {}
        Work::Strip(strip) => strip.scatter(residual),
        Work::Tiles(tiles) => tiles.scatter(residual, psf),
    }
    result
}

/// The masked residual in one of two forms.
enum Work {
    /// Each component is subtracted from all of it at once.
    Strip(Strip),
    /// Components wait.
    Tiles(Tiles),
}

/// Masks of up to this many pixels are updated at once, as fast as tiles are looked through.
const STRIP_PIXELS: usize = 4096;

/// Places components at peaks, from the first one on. `subtract` takes a component off the residual,
/// and gives the peak that is left.
pub(super) fn find_components(
    mut peak: Option<Peak>,
    model: &mut [f32],
    control: &MinorControl<'_>,
    mut subtract: impl FnMut(usize, f32) -> Option<Peak>,
) -> MinorResult {
    let mut result = MinorResult::default();
    while let Some(Peak { pixel, value }) = peak {
        // Written so that a NaN threshold stops rather than runs on.
        let above = value.abs() > control.threshold;
        if result.components.len() >= control.max_iter || !above {
            break;
        }
        let flux = control.gain * value;
        // A gain of 2 or more, or a PSF whose peak is not 1, makes the loop diverge.
        if !(model[pixel] + flux).is_finite() {
            break;
        }
        model[pixel] += flux;
        result.components.push((pixel as u32, flux));
        peak = subtract(pixel, flux);
    }
    result.peak = peak.map_or(0.0, |p| p.value.abs());
    result
}

/// The peak of a plane in a mask, as [`Strip::peak`], without a copy of the pixels.
fn peak_in(plane: &[f32], mask: &Mask) -> Option<Peak> {
    let nx = mask.nx();
    let values = |run: &Run| &plane[run.y * nx + run.x..][..run.len];
    let runs: Vec<Run> = mask.runs().collect();
    let best = |runs: &[Run]| {
        runs.iter().fold((NOTHING, None), |best, run| {
            let magnitude = max_abs(values(run));
            if magnitude > best.0 { (magnitude, Some(*run)) } else { best }
        })
    };
    // In the order of the plane, so that the first of equals is the one of smallest index.
    let parts: Vec<(f32, Option<Run>)> = runs.par_chunks(RUNS).map(best).collect();
    let (magnitude, run) = parts
        .into_iter()
        .fold((NOTHING, None), |best, part| if part.0 > best.0 { part } else { best });
    let run = run?;
    let x = values(&run).iter().position(|v| v.abs() == magnitude)?;
    Some(Peak { pixel: run.y * nx + run.x + x, value: values(&run)[x] })
}

/// Runs of a mask that one task looks at for the peak.
const RUNS: usize = 128;

/// The residual of a mask's pixels: its row segments one after another.
pub(super) struct Strip {
    nx: usize,
    ny: usize,
    pub(super) chunks: Vec<Chunk>,
}

/// Some consecutive segments of a strip, updated by one task.
pub(super) struct Chunk {
    runs: Vec<Run>,
    values: Vec<f32>,
}

/// The winner of a chunk: largest |value|, and the first of its runs that holds it.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    magnitude: f32,
    run: usize,
    /// Where the run's values begin in the chunk.
    offset: usize,
}

impl Strip {
    pub(super) fn gather(plane: &[f32], mask: &Mask) -> Self {
        Self::gather_in_chunks(plane, mask, CHUNK_PIXELS)
    }

    /// In chunks of at least `pixels`, but for the last.
    pub(super) fn gather_in_chunks(plane: &[f32], mask: &Mask, pixels: usize) -> Self {
        let (nx, ny) = (mask.nx(), mask.ny());
        let mut chunks = Vec::new();
        let mut chunk = Chunk { runs: Vec::new(), values: Vec::new() };
        for run in mask.runs() {
            let start = run.y * nx + run.x;
            chunk.runs.push(run);
            chunk.values.extend_from_slice(&plane[start..start + run.len]);
            if chunk.values.len() >= pixels {
                chunks.push(std::mem::replace(
                    &mut chunk,
                    Chunk { runs: Vec::new(), values: Vec::new() },
                ));
            }
        }
        if !chunk.runs.is_empty() {
            chunks.push(chunk);
        }
        Self { nx, ny, chunks }
    }

    /// Number of pixels.
    fn pixels(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.values.len()).sum()
    }

    pub(super) fn scatter(&self, plane: &mut [f32]) {
        for chunk in &self.chunks {
            let mut offset = 0;
            for run in &chunk.runs {
                let start = run.y * self.nx + run.x;
                plane[start..start + run.len]
                    .copy_from_slice(&chunk.values[offset..offset + run.len]);
                offset += run.len;
            }
        }
    }

    /// Stage `peak`.
    pub(super) fn peak(&self) -> Option<Peak> {
        let candidates = self.chunks.iter().map(Chunk::candidate).collect::<Vec<_>>();
        self.winner(&candidates)
    }

    /// Stages `subtract` and `peak` in one pass over the pixels:
    /// `r(x, y) −= flux·psf(x − px + nx/2, y − py + ny/2)` where the shifted PSF has a value.
    pub(super) fn subtract(&mut self, psf: &[f32], pixel: usize, flux: f32) -> Option<Peak> {
        let shift = Shift::new(self.nx, self.ny, pixel, flux);
        let candidates: Vec<_> = if self.chunks.len() == 1 {
            vec![self.chunks[0].subtract(psf, &shift)]
        } else {
            self.chunks.par_iter_mut().map(|chunk| chunk.subtract(psf, &shift)).collect()
        };
        self.winner(&candidates)
    }

    /// The peak among the chunks' candidates; chunks are in plane order, so the first of equals is
    /// the one of smallest index. `None` for an empty mask or one of NaN alone.
    fn winner(&self, candidates: &[Candidate]) -> Option<Peak> {
        let mut best: Option<(usize, Candidate)> = None;
        for (i, candidate) in candidates.iter().enumerate() {
            if best.is_none_or(|(_, b)| candidate.magnitude > b.magnitude) {
                best = Some((i, *candidate));
            }
        }
        let (i, Candidate { magnitude, run, offset }) = best?;
        let chunk = &self.chunks[i];
        let segment = chunk.runs[run];
        let values = &chunk.values[offset..offset + segment.len];
        let x = values.iter().position(|v| v.abs() == magnitude)?;
        Some(Peak { pixel: segment.y * self.nx + segment.x + x, value: values[x] })
    }
}

/// Where a component's PSF lies: plane pixel (x, y) meets PSF pixel (x + dx, y + dy).
pub(super) struct Shift {
    nx: usize,
    ny: usize,
    dx: isize,
    dy: isize,
    pub(super) flux: f32,
}

impl Shift {
    /// Of a component at a plane index, in a plane of nx × ny.
    pub(super) fn new(nx: usize, ny: usize, pixel: usize, flux: f32) -> Self {
        let dx = (nx / 2) as isize - (pixel % nx) as isize;
        let dy = (ny / 2) as isize - (pixel / nx) as isize;
        Self { nx, ny, dx, dy, flux }
    }

    /// Index in the PSF of its value at a plane pixel that it has one for.
    #[inline(always)]
    pub(super) fn index(&self, x: usize, y: usize) -> usize {
        let (x, y) = (x as isize + self.dx, y as isize + self.dy);
        (y * self.nx as isize + x) as usize
    }

    /// The part of a run under the PSF: (first value in the run, number, index in the PSF).
    #[inline(always)]
    pub(super) fn overlap(&self, run: &Run) -> Option<(usize, usize, usize)> {
        let y = usize::try_from(run.y as isize + self.dy).ok().filter(|&y| y < self.ny)?;
        let x = run.x as isize + self.dx;
        let first = x.max(0);
        let end = (x + run.len as isize).min(self.nx as isize);
        let count = usize::try_from(end - first).ok().filter(|&n| n > 0)?;
        Some(((first - x) as usize, count, y * self.nx + first as usize))
    }
}

impl Chunk {
    fn candidate(&self) -> Candidate {
        let mut best = Candidate { magnitude: NOTHING, run: 0, offset: 0 };
        let mut offset = 0;
        for (i, run) in self.runs.iter().enumerate() {
            let magnitude = max_abs(&self.values[offset..offset + run.len]);
            if magnitude > best.magnitude {
                best = Candidate { magnitude, run: i, offset };
            }
            offset += run.len;
        }
        best
    }

    pub(super) fn subtract(&mut self, psf: &[f32], shift: &Shift) -> Candidate {
        let mut best = Candidate { magnitude: NOTHING, run: 0, offset: 0 };
        let mut offset = 0;
        for (i, run) in self.runs.iter().enumerate() {
            let values = &mut self.values[offset..offset + run.len];
            let magnitude = match shift.overlap(run) {
                Some((first, count, at)) if count == values.len() && first == 0 => {
                    subtract_run(values, &psf[at..at + count], shift.flux)
                }
                Some((first, count, at)) => {
                    subtract_run(
                        &mut values[first..first + count],
                        &psf[at..at + count],
                        shift.flux,
                    );
                    max_abs(values)
                }
                None => max_abs(values),
            };
            if magnitude > best.magnitude {
                best = Candidate { magnitude, run: i, offset };
            }
            offset += run.len;
        }
        best
    }
}

/// The magnitude of no value at all: below that of 0, so that a run of NaN loses against one of zeros.
pub(super) const NOTHING: f32 = -1.0;

/// Independent partial maxima, so that the compiler keeps them in vector registers.
const LANES: usize = 16;

/// `values −= flux·psf`, product and difference rounded one by one; returns the largest |value|.
pub(super) fn subtract_run(values: &mut [f32], psf: &[f32], flux: f32) -> f32 {
    vectorised(SubtractRun { values, psf, flux })
}

struct SubtractRun<'a> {
    values: &'a mut [f32],
    psf: &'a [f32],
    flux: f32,
}

impl Vectorised for SubtractRun<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        let Self { values, psf, flux } = self;
        let mut lanes = [NOTHING; LANES];
        let (blocks, rest) = values.as_chunks_mut::<LANES>();
        let (psf_blocks, psf_rest) = psf.as_chunks::<LANES>();
        for (block, psf) in blocks.iter_mut().zip(psf_blocks) {
            for i in 0..LANES {
                block[i] -= flux * psf[i];
                lanes[i] = larger(lanes[i], block[i].abs());
            }
        }
        for (i, (value, psf)) in rest.iter_mut().zip(psf_rest).enumerate() {
            *value -= flux * psf;
            lanes[i] = larger(lanes[i], value.abs());
        }
        lanes.into_iter().fold(NOTHING, larger)
    }
}

/// The largest |value|.
pub(super) fn max_abs(values: &[f32]) -> f32 {
    vectorised(MaxAbs(values))
}

struct MaxAbs<'a>(&'a [f32]);

impl Vectorised for MaxAbs<'_> {
    type Output = f32;

    #[inline(always)]
    fn run(self) -> f32 {
        let mut lanes = [NOTHING; LANES];
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        for block in blocks {
            for i in 0..LANES {
                lanes[i] = larger(lanes[i], block[i].abs());
            }
        }
        for (i, value) in rest.iter().enumerate() {
            lanes[i] = larger(lanes[i], value.abs());
        }
        lanes.into_iter().fold(NOTHING, larger)
    }
}

/// The larger of two magnitudes; a NaN never wins. (`f32::max` compiles to more than one instruction.)
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

fn check_mask(planes: &CpuPlanes, channel: usize, mask: &Mask) -> Result<()> {
    if (mask.nx(), mask.ny()) != (planes.nx(), planes.ny()) || channel >= planes.len() {
        return Err(mismatch(format!(
            "channel {channel} with a mask of {}×{} does not fit {} planes of {}×{}",
            mask.nx(),
            mask.ny(),
            planes.len(),
            planes.nx(),
            planes.ny(),
        )));
    }
    Ok(())
}

/// Refuses planes and masks of a loop's channels that do not belong together.
pub(super) fn check_call(
    residual: &CpuPlanes,
    psf: &CpuPlanes,
    model: &CpuPlanes,
    controls: &[MinorControl<'_>],
) -> Result<()> {
    for control in controls {
        check_mask(residual, control.channel, control.mask)?;
        check_shape(residual, ("psf", psf), control.channel)?;
        check_shape(residual, ("model", model), control.channel)?;
    }
    Ok(())
}

/// Refuses planes that lack a residual's channel, or are of another shape.
fn check_shape(
    residual: &CpuPlanes,
    (name, planes): (&str, &CpuPlanes),
    channel: usize,
) -> Result<()> {
    let (ny, nx) = (residual.ny(), residual.nx());
    if (planes.ny(), planes.nx()) == (ny, nx) && channel < planes.len() {
        return Ok(());
    }
    Err(mismatch(format!(
        "channel {channel} of the {name} ({} planes of {}×{}) does not fit a residual of {nx}×{ny}",
        planes.len(),
        planes.nx(),
        planes.ny(),
    )))
}

/// Planes, masks and channels of a call that do not belong together: an error of the caller.
fn mismatch(problem: String) -> Error {
    Error::Device {
        device: "cpu".into(),
        problem,
        remedy: "give planes and masks of one batch".into(),
    }
}

#[cfg(test)]
mod tests;
