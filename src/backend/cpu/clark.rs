//! What Clark's minor cycle needs on the CPU beside Hogbom's: the loop with a patch of the PSF, the
//! bright pixels of a mask, and the subtraction of many components at once.

use std::ops::Range;

use rayon::prelude::*;

use super::hogbom::{NOTHING, Shift, Strip, find_components, larger, max_abs, subtract_run};
use crate::{
    backend::{MinorControl, MinorResult, Patch, Peak, Points},
    mask::{Mask, Run},
};

/// Pixels that one task takes all components off: 16 kB, which stay in a core's cache meanwhile.
const CHUNK_PIXELS: usize = 1 << 12;

/// The mask's pixels whose |value| exceeds the level.
pub(super) fn above(plane: &[f32], mask: &Mask, level: f32) -> Mask {
    let (nx, ny) = (mask.nx(), mask.ny());
    let mut found = Mask::new(nx, ny, false);
    for y in 0..ny {
        let values = &plane[y * nx..(y + 1) * nx];
        for (word, (&inside, into)) in mask.row(y).iter().zip(found.row_mut(y)).enumerate() {
            let mut rest = inside;
            while rest != 0 {
                let bit = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                *into |= u64::from(values[word * 64 + bit].abs() > level) << bit;
            }
        }
    }
    found
}

/// Takes components off the residual within a mask, with the whole PSF.
pub(super) fn subtract(residual: &mut [f32], psf: &[f32], points: &Points<'_>) {
    let (nx, ny) = (points.mask.nx(), points.mask.ny());
    let mut strip = Strip::gather_in_chunks(residual, points.mask, CHUNK_PIXELS);
    let shifts: Vec<_> =
        points.components.iter().map(|&(p, flux)| Shift::new(nx, ny, p as usize, flux)).collect();
    strip.chunks.par_iter_mut().for_each(|chunk| {
        for shift in &shifts {
            chunk.subtract(psf, shift);
        }
    });
    strip.scatter(residual);
}

/// Hogbom's loop for one channel, with a PSF that is zero outside a patch.
pub(super) fn clean_channel(
    patch: Patch,
    residual: &mut [f32],
    psf: &[f32],
    model: &mut [f32],
    control: &MinorControl<'_>,
) -> MinorResult {
    let mut rows = Rows::gather(residual, control.mask);
    let peak = rows.peak();
    let result = find_components(peak, model, control, |pixel, flux| {
        rows.subtract(psf, patch, pixel, flux);
        rows.peak()
    });
    rows.scatter(residual);
    result
}

/// The residual of a mask's pixels, with the largest magnitude of each row: a component changes few
/// rows, and the others need not be looked at again.
struct Rows {
    nx: usize,
    runs: Vec<Run>,
    values: Vec<f32>,
    /// Of each row of the plane, its runs, and its values.
    rows: Vec<(Range<usize>, Range<usize>)>,
    largest: Vec<f32>,
}

impl Rows {
    fn gather(plane: &[f32], mask: &Mask) -> Self {
        let nx = mask.nx();
        let (mut runs, mut values) = (Vec::new(), Vec::new());
        let (mut rows, mut largest) = (Vec::new(), Vec::new());
        let mut all = mask.runs().peekable();
        for y in 0..mask.ny() {
            let (first_run, first_value) = (runs.len(), values.len());
            while let Some(run) = all.next_if(|run| run.y == y) {
                let start = y * nx + run.x;
                values.extend_from_slice(&plane[start..start + run.len]);
                runs.push(run);
            }
            largest.push(max_abs(&values[first_value..]));
            rows.push((first_run..runs.len(), first_value..values.len()));
        }
        Self { nx, runs, values, rows, largest }
    }

    fn scatter(&self, plane: &mut [f32]) {
        let mut values = &self.values[..];
        for run in &self.runs {
            let (own, rest) = values.split_at(run.len);
            let start = run.y * self.nx + run.x;
            plane[start..start + run.len].copy_from_slice(own);
            values = rest;
        }
    }

    /// The first pixel of largest magnitude; `None` if no pixel has a number.
    fn peak(&self) -> Option<Peak> {
        let magnitude = self.largest.iter().copied().fold(NOTHING, larger);
        let y = self.largest.iter().position(|&largest| largest == magnitude)?;
        let (runs, values) = &self.rows[y];
        let mut at = values.start;
        for run in &self.runs[runs.clone()] {
            let own = &self.values[at..at + run.len];
            if let Some(x) = own.iter().position(|v| v.abs() == magnitude) {
                return Some(Peak { pixel: y * self.nx + run.x + x, value: own[x] });
            }
            at += run.len;
        }
        None
    }

    /// `r(x, y) −= flux·psf(x − px + nx/2, y − py + ny/2)` within the patch around pixel (px, py).
    fn subtract(&mut self, psf: &[f32], patch: Patch, pixel: usize, flux: f32) {
        let (nx, ny) = (self.nx, self.rows.len());
        let shift = Shift::new(nx, ny, pixel, flux);
        let (px, py) = (pixel % nx, pixel / nx);
        let (left, right) = (px.saturating_sub(patch.half), px + patch.half + 1);
        for y in py.saturating_sub(patch.half)..ny.min(py + patch.half + 1) {
            let (runs, values) = self.rows[y].clone();
            let mut at = values.start;
            let mut changed = false;
            for run in &self.runs[runs] {
                let (x, end) = (run.x.max(left), (run.x + run.len).min(right));
                let under = (x < end).then(|| shift.overlap(&Run { y, x, len: end - x })).flatten();
                if let Some((first, count, from)) = under {
                    let first = at + x - run.x + first;
                    subtract_run(
                        &mut self.values[first..first + count],
                        &psf[from..from + count],
                        shift.flux,
                    );
                    changed = true;
                }
                at += run.len;
            }
            if changed {
                self.largest[y] = max_abs(&self.values[values]);
            }
        }
    }
}
