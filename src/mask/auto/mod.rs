//! auto-multithresh: clean masks from the residual, channel by channel, as CASA tclean makes them.
//!
//! The algorithm is that of Kepley, Tsutsumi, Brogan et al. 2020, PASP 132, 024505. Where the paper
//! leaves a choice, tclean's behaviour decides; it was measured by feeding residuals to CASA's own
//! mask maker (`assets/make_automask_goldens.py`), and the comparison is pixel by pixel.
//!
//! One update of a channel with residual r, previous mask M, noise σ and median m:
//!
//! 1. *σ and m* of the pixels in the region where the primary beam counts (`statistics`);
//! 2. *threshold* T = max(sidelobethreshold × sidelobe level × max|r|, noisethreshold × σ) + m;
//! 3. *new emission*: r > T in the region, less regions smaller than minbeamfrac beams
//!    (`regions`), widened by smoothfactor beams (`smooth`);
//! 4. *growth*, from the second round on: M grown within
//!    r > max(sidelobethreshold × …, lownoisethreshold × σ) + m (`grow`), pruned, widened;
//! 5. *absorption*: r < −max(sidelobethreshold × …, negativethreshold × σ) + m, widened;
//! 6. the new mask is M and all of these, in the region.
//!
//! Nothing here knows of other channels: callers update as many channels at once as they have cores.
//! Beam and sidelobe level are the channel's own or, under one control for the cube, its common
//! beam and its highest level, as in tclean; who calls decides.
//!
//! One thing is not as in tclean: where the limit of growth is negative (a median below
//! −lownoisethreshold·σ), tclean's masks grow over nearly everything within reach; ours grow within
//! the limit as always.

mod grow;
mod histogram;
mod policy;
mod regions;
mod smooth;
pub mod statistics;
#[cfg(test)]
mod tests;

use crate::{Error, Result, beam::Beam, mask::Mask};
use grow::grow;
pub use policy::AutoMasks;
use regions::{Pruned, prune};
use smooth::smooth_and_cut;
use statistics::Noise;

/// The parameters of `usemask='auto-multithresh'`, by tclean's names and with its defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoMultithresh {
    /// Threshold over sidelobe level × peak residual.
    pub sidelobethreshold: f64,
    /// Threshold over the noise.
    pub noisethreshold: f64,
    /// Threshold over the noise that a mask grows down to.
    pub lownoisethreshold: f64,
    /// Threshold over the noise for absorption; 0: none is masked.
    pub negativethreshold: f64,
    /// Width of the smoothing Gaussian in beams; 0: no smoothing.
    pub smoothfactor: f64,
    /// Smallest region that is kept, in beam areas; 0: all are.
    pub minbeamfrac: f64,
    /// Fraction of the smoothed mask's peak at which it is cut.
    pub cutthreshold: f64,
    /// Most steps of one growth; 0: masks do not grow.
    pub growiterations: usize,
    /// Whether small regions are dropped after growing, too.
    pub dogrowprune: bool,
    /// A channel whose mask changes by no more than this, in per cent, at its clean threshold is not
    /// updated again; negative: never stop.
    pub minpercentchange: f64,
    /// σ from all pixels of the region; otherwise from those outside the mask.
    pub fastnoise: bool,
}

impl Default for AutoMultithresh {
    fn default() -> Self {
        Self {
            sidelobethreshold: 3.0,
            noisethreshold: 5.0,
            lownoisethreshold: 1.5,
            negativethreshold: 0.0,
            smoothfactor: 1.0,
            minbeamfrac: 0.3,
            cutthreshold: 0.01,
            growiterations: 75,
            dogrowprune: true,
            minpercentchange: -1.0,
            fastnoise: true,
        }
    }
}

/// What a channel's update needs besides its residual and its mask.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Pixels that count in the statistics and that may be masked; see [`region`].
    pub region: &'a Mask,
    /// The beam that sets the smallest region and the smoothing.
    pub beam: Beam,
    /// Pixel size along x and y, rad.
    pub cell: [f64; 2],
    /// Sidelobe level of the PSF, as in the cyclethreshold.
    pub sidelobe_level: f64,
    /// Whether the minor cycle since the last update went down to the clean threshold itself (its
    /// cyclethreshold was no higher): only then may minpercentchange end the updates.
    pub at_clean_threshold: bool,
}

/// One channel's mask and what its history decides.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelState {
    /// The mask as of the last update.
    pub mask: Mask,
    /// Updates so far.
    pub rounds: usize,
    /// Why there are no further updates.
    pub stopped: Option<Stopped>,
}

/// Why a channel's mask is no longer updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// The noise threshold left the mask empty: there is nothing to find.
    NoEmission,
    /// The mask changed by no more than minpercentchange.
    Unchanged,
}

/// Which of the two thresholds was the higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// sidelobethreshold × sidelobe level × peak.
    Sidelobe,
    /// noisethreshold × σ.
    Noise,
}

/// What one update did: a row of the table that tclean prints with `verbose=True`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Update {
    /// Median of the pixels that make the noise, Jy/beam.
    pub median: f64,
    /// Their σ, Jy/beam.
    pub sigma: f64,
    /// Value of largest magnitude in the region, Jy/beam.
    pub peak: f64,
    /// Which threshold applied.
    pub kind: Threshold,
    /// Its value, median included, Jy/beam.
    pub threshold: f64,
    /// Regions above the threshold.
    pub regions: usize,
    /// How many of them were too small.
    pub pruned: usize,
    /// Regions after growing.
    pub grown: usize,
    /// How many of them were too small.
    pub grown_pruned: usize,
    /// Steps of growth that changed something.
    pub growth_steps: usize,
    /// Pixels of the absorption mask.
    pub negative_pixels: usize,
    /// Pixels of the new mask.
    pub pixels: usize,
}

/// Pixels that count: pb > pbmask, or pb > pblimit where pbmask is 0 (a negative pblimit bounds
/// nothing), as tclean takes them. `pb` is a plane of `nx` pixels a row.
pub fn region(pb: &[f32], nx: usize, pblimit: f64, pbmask: f64) -> Mask {
    let level = if pbmask > 0.0 { pbmask } else { pblimit };
    let ny = pb.len() / nx.max(1);
    if level < 0.0 {
        return Mask::new(nx, ny, true);
    }
    where_plane(pb, nx, |v| f64::from(v) > level)
}

impl ChannelState {
    /// No mask yet.
    pub fn new(nx: usize, ny: usize) -> Self {
        Self { mask: Mask::new(nx, ny, false), rounds: 0, stopped: None }
    }
}

/// The three limits of one update, median included, Jy/beam.
struct Limits {
    kind: Threshold,
    emission: f64,
    growth: f64,
    absorption: f64,
}

impl AutoMultithresh {
    /// Refuses values that no mask can be made with.
    pub fn validate(&self) -> Result<()> {
        for (name, value) in [
            ("sidelobethreshold", self.sidelobethreshold),
            ("noisethreshold", self.noisethreshold),
            ("lownoisethreshold", self.lownoisethreshold),
            ("negativethreshold", self.negativethreshold),
            ("smoothfactor", self.smoothfactor),
            ("minbeamfrac", self.minbeamfrac),
        ] {
            if !(value >= 0.0 && value.is_finite()) {
                let problem = "is not a number of 0 or more";
                let remedy = format!("leave {name} out for its default");
                return Err(Error::parameter(name, value.to_string(), problem, remedy));
            }
        }
        if !(self.cutthreshold > 0.0 && self.cutthreshold < 1.0) {
            let value = self.cutthreshold.to_string();
            let problem = "is not a fraction between 0 and 1";
            return Err(Error::parameter("cutthreshold", value, problem, "the default is 0.01"));
        }
        if self.minpercentchange.is_nan() {
            let (problem, remedy) = ("is not a number", "-1 switches it off");
            return Err(Error::parameter("minpercentchange", "NaN", problem, remedy));
        }
        Ok(())
    }

    /// Updates a channel's mask for its residual (`ny × nx`, x fastest). `None`, and the mask as it
    /// was, for a channel that is no longer updated or whose region holds no finite pixel.
    pub fn update(
        &self,
        residual: &[f32],
        around: &Surroundings<'_>,
        channel: &mut ChannelState,
    ) -> Option<Update> {
        if channel.stopped.is_some() {
            return None;
        }
        let values = statistics::gather(residual, around.region);
        let noise = self.noise(residual, &values, around.region, &channel.mask)?;
        let peak = peak(&values);
        let limits = self.limits(noise, f64::from(peak).abs() * around.sidelobe_level);
        let widen = |mask: &Mask| self.widen(mask, around);
        let nx = around.region.nx();

        let mut above = where_plane(residual, nx, |v| v > limits.emission as f32);
        above.and(around.region);
        let (emission, pruned) = self.prune(above, around);
        let mut mask = widen(&emission);

        // Neither growth nor absorption is held to the region before the end: smoothing may carry
        // them into it from outside, as it does in tclean.
        let (mut grown, mut growth_steps) = (Pruned::default(), 0);
        if channel.rounds > 0 && self.growiterations > 0 && !channel.mask.is_empty() {
            let low = where_plane(residual, nx, |v| v > limits.growth as f32 && v <= f32::MAX);
            let (mut growth, steps) = grow(&channel.mask, &low, self.growiterations);
            growth_steps = steps;
            if self.dogrowprune {
                (growth, grown) = self.prune(growth, around);
            }
            mask.or(&widen(&growth));
        }

        let mut negative_pixels = 0;
        if self.negativethreshold > 0.0 {
            let below = |v: f32| v < limits.absorption as f32 && v >= f32::MIN;
            let absorption = widen(&where_plane(residual, nx, below));
            negative_pixels = absorption.count();
            mask.or(&absorption);
        }

        mask.or(&channel.mask);
        mask.and(around.region);
        let pixels = mask.count();
        channel.stopped = self.stop(limits.kind, channel, pixels, around.at_clean_threshold);
        channel.mask = mask;
        channel.rounds += 1;
        Some(Update {
            median: noise.median,
            sigma: noise.sigma,
            peak: f64::from(peak),
            kind: limits.kind,
            threshold: limits.emission,
            regions: pruned.regions,
            pruned: pruned.dropped,
            grown: grown.regions,
            grown_pruned: grown.dropped,
            growth_steps,
            negative_pixels,
            pixels,
        })
    }

    /// `values` are those of the whole region. Once there is a mask, `fastnoise=False` takes the
    /// pixels outside it; until then, or where it leaves none, outliers are clipped instead.
    fn noise(&self, residual: &[f32], values: &[f32], region: &Mask, mask: &Mask) -> Option<Noise> {
        if self.fastnoise {
            return statistics::robust(values);
        }
        if !mask.is_empty() {
            let mut outside = region.clone();
            outside.subtract(mask);
            let noise = statistics::robust(&statistics::gather(residual, &outside));
            if noise.is_some() {
                return noise;
            }
        }
        statistics::clipped(values)
    }

    /// `sidelobe`: sidelobe level × largest |r|.
    fn limits(&self, noise: Noise, sidelobe: f64) -> Limits {
        let sidelobe = self.sidelobethreshold * sidelobe;
        let at = |factor: f64| sidelobe.max(factor * noise.sigma);
        let by_sidelobes = sidelobe > self.noisethreshold * noise.sigma;
        Limits {
            kind: if by_sidelobes { Threshold::Sidelobe } else { Threshold::Noise },
            emission: at(self.noisethreshold) + noise.median,
            growth: at(self.lownoisethreshold) + noise.median,
            absorption: noise.median - at(self.negativethreshold),
        }
    }

    fn prune(&self, mask: Mask, around: &Surroundings<'_>) -> (Mask, Pruned) {
        // Solid angle of the beam, π/(4 ln 2)·major·minor, in pixels.
        let Beam { major, minor, .. } = around.beam;
        let sigmas = std::f64::consts::PI / (4.0 * std::f64::consts::LN_2) * major * minor;
        let pixels = sigmas / (around.cell[0] * around.cell[1]).abs();
        prune(&mask, self.minbeamfrac * pixels)
    }

    fn widen(&self, mask: &Mask, around: &Surroundings<'_>) -> Mask {
        let Beam { major, minor, pa } = around.beam;
        let (major, minor) = (self.smoothfactor * major, self.smoothfactor * minor);
        smooth_and_cut(mask, Beam { major, minor, pa }, around.cell, self.cutthreshold)
    }

    /// Whether this update was the last; `channel` is as before it.
    fn stop(
        &self,
        kind: Threshold,
        channel: &ChannelState,
        pixels: usize,
        at_clean_threshold: bool,
    ) -> Option<Stopped> {
        // A mask that only sidelobes keep small or empty may yet grow as they are cleaned away.
        if kind == Threshold::Sidelobe {
            return None;
        }
        if pixels == 0 {
            return Some(Stopped::NoEmission);
        }
        let before = channel.mask.count();
        let change = 100.0 * pixels.abs_diff(before) as f64 / before.max(1) as f64;
        let unchanged = before > 0 && at_clean_threshold && change <= self.minpercentchange;
        unchanged.then_some(Stopped::Unchanged)
    }
}

/// The value of largest magnitude.
fn peak(values: &[f32]) -> f32 {
    let highest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let lowest = values.iter().copied().fold(f32::INFINITY, f32::min);
    if -lowest >= highest { lowest } else { highest }
}

/// The pixels of a plane for which `inside` holds.
fn where_plane(plane: &[f32], nx: usize, inside: impl Fn(f32) -> bool) -> Mask {
    let mut mask = Mask::new(nx, plane.len() / nx.max(1), false);
    for (y, row) in plane.chunks_exact(nx.max(1)).enumerate() {
        for (word, chunk) in mask.row_mut(y).iter_mut().zip(row.chunks(64)) {
            for (i, &v) in chunk.iter().enumerate() {
                *word |= u64::from(inside(v)) << i;
            }
        }
    }
    mask
}
