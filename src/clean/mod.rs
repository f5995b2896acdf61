//! Major and minor cycles of one batch of channels: iteration control and stop codes.
//!
//! A round goes: mask update → peak within the mask → convergence test → minor cycle → major cycle.
//! The mask comes before the test, because before it exists the peak within it would be 0. Where the
//! test finds that the peak has grown, the model goes back to its best (`rollback`).

mod control;
mod group;
mod history;
mod record;
mod rollback;

use std::{borrow::Cow, ops::Range};

use rayon::prelude::*;

pub use crate::mask::auto::statistics::Noise;
pub use control::{CleanParams, MinorStop, Scope, StopCode};
pub use record::{ChannelClean, MinorRecord};
pub use rollback::Rollback;

use group::Group;
use history::History;
use rollback::roll_back;

use crate::{
    backend::{Batch, Deconvolver, Gridder, Minor, MinorControl, MinorResult, Peak},
    beam::{Beam, NoBeam, common_beam, fit_psf, sidelobe_level},
    error::Result,
    geometry::ImageGrid,
    mask::{ChannelMask, Mask, MaskInput, MaskPolicy},
};

/// What cleaning drives: a batch of channels with PSFs and first residuals made. Channels are named
/// by their position in the batch.
///
/// # Errors
/// Its methods fail where a backend does; see [`PlaneStore`](crate::backend::PlaneStore).
pub trait Cycles {
    /// Sum of weights of each channel; a channel of 0 is left alone.
    fn sumwt(&self) -> &[f64];
    /// Flux of the model that a channel starts with, Jy.
    fn model_flux(&self, _channel: usize) -> f64 {
        0.0
    }
    /// A channel's residual, `ny·nx` values, to look at.
    fn residual_view(&self, channel: usize) -> Result<Cow<'_, [f32]>>;
    /// The residuals' peaks within masks.
    fn peak(&self, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>>;
    /// The minor cycle.
    fn minor_cycle(
        &mut self,
        deconvolver: &Deconvolver,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>>;
    /// The major cycle: residuals of `channels` from their models.
    fn make_residual(&mut self, channels: &[usize]) -> Result<()>;
    /// A channel's model, `ny·nx` values; `None` where it is zero. Asked for before the first round.
    fn starting_model(&self, channel: usize) -> Result<Option<Vec<f32>>>;
    /// Replaces a channel's model, `ny·nx` values.
    fn set_model(&mut self, channel: usize, values: &[f32]) -> Result<()>;
}

impl<B: Gridder + Minor> Cycles for Batch<'_, B> {
    fn sumwt(&self) -> &[f64] {
        Batch::sumwt(self)
    }

    fn model_flux(&self, channel: usize) -> f64 {
        Batch::model_flux(self, channel)
    }

    fn residual_view(&self, channel: usize) -> Result<Cow<'_, [f32]>> {
        Batch::residual_view(self, channel)
    }

    fn peak(&self, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        Batch::peak(self, channels)
    }

    fn minor_cycle(
        &mut self,
        deconvolver: &Deconvolver,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        Batch::minor_cycle(self, deconvolver, controls)
    }

    fn make_residual(&mut self, channels: &[usize]) -> Result<()> {
        Batch::make_residual(self, channels)
    }

    fn starting_model(&self, channel: usize) -> Result<Option<Vec<f32>>> {
        self.has_model(channel).then(|| self.model_plane(channel)).transpose()
    }

    fn set_model(&mut self, channel: usize, values: &[f32]) -> Result<()> {
        Batch::set_model(self, channel, values)
    }
}

/// What cleaning has to know of a channel's PSF.
#[derive(Clone, Copy, Debug)]
pub struct PsfFit {
    /// Its beam, or why there is none.
    pub beam: Result<Beam, NoBeam>,
    /// Its sidelobe level; 1 where there is no beam.
    pub sidelobe_level: f64,
}

impl PsfFit {
    /// Of a PSF, `ny·nx` values, whose main lobe is fitted above `psfcutoff`.
    pub fn new(psf: &[f32], grid: &ImageGrid, psfcutoff: f64) -> Self {
        let beam = fit_psf(psf, grid, psfcutoff);
        let sidelobe_level = match &beam {
            Ok(beam) => sidelobe_level(psf, beam, grid),
            // A PSF without a main lobe is all sidelobe: clean it as cautiously as can be.
            Err(_) => 1.0,
        };
        Self { beam, sidelobe_level }
    }

    /// Of a channel without data.
    pub fn without_data() -> Self {
        Self { beam: Err(NoBeam::NoPeak), sidelobe_level: 1.0 }
    }

    /// What stands for the PSFs of all channels under one control: their common beam and the highest
    /// sidelobe level, as in tclean (its log has one prune size and one level for all channels).
    fn of_cube(psfs: impl Iterator<Item = PsfFit> + Clone) -> Self {
        let beam = common_beam(psfs.clone().filter_map(|psf| psf.beam.ok()));
        let sidelobe_level = psfs.map(|psf| psf.sidelobe_level).fold(0.0, f64::max);
        Self { beam: beam.ok_or(NoBeam::NoPeak), sidelobe_level }
    }
}

/// Bytes of host memory that a channel takes, at most, so that its model can go back to its best.
pub fn bytes_to_go_back(params: &CleanParams, grid: &ImageGrid) -> usize {
    if params.niter == 0 || params.divergence_retries.is_none() {
        return 0;
    }
    // The masks of this round and of the best.
    let masks = 2 * grid.ny * grid.nx.div_ceil(64) * size_of::<u64>();
    masks + History::bytes(grid.npix(), params.niter)
}

/// Cleans a batch: the image channels `channels` of the cube, in the batch's order. `psfs` and `valid`
/// have an entry for each channel; `valid` are the pixels inside the primary beam's limit, which bound
/// the noise of n-sigma, but not the components.
///
/// # Errors
/// Those of the backend, and of a mask that cannot be read.
pub fn clean(
    batch: &mut impl Cycles,
    grid: &ImageGrid,
    channels: Range<usize>,
    params: &CleanParams,
    policy: &dyn MaskPolicy,
    psfs: &[PsfFit],
    valid: &[Mask],
) -> Result<Vec<ChannelClean>> {
    let mut states = Vec::with_capacity(channels.len());
    let with_data = (0..psfs.len()).filter(|&i| batch.sumwt()[i] > 0.0).map(|i| psfs[i]);
    let of_cube = (params.scope == Scope::Cube).then(|| PsfFit::of_cube(with_data));
    for (index, channel) in channels.enumerate() {
        let has_data = batch.sumwt()[index] > 0.0;
        let may_go_back = has_data && params.niter > 0 && params.divergence_retries.is_some();
        let shape = (grid.nx, grid.ny);
        let history = may_go_back
            .then(|| Ok(History::new(&params.deconvolver, shape, batch.starting_model(index)?)))
            .transpose()?;
        states.push(ChannelState {
            index,
            mask: policy.channel(channel)?,
            mask_psf: of_cube.unwrap_or(psfs[index]),
            valid: &valid[index],
            has_data,
            history,
            rounds: 0,
            overflowed: false,
            masksum: 0,
            peak: 0.0,
            peak_anywhere: 0.0,
            nsigma_threshold: 0.0,
            cyclethreshold: 0.0,
            result: ChannelClean::new(channel, &psfs[index], grid, batch.model_flux(index)),
        });
    }
    let members: Vec<Vec<usize>> = match params.scope {
        Scope::Channel => (0..states.len()).map(|i| vec![i]).collect(),
        Scope::Cube => vec![(0..states.len()).collect()],
    };
    let mut groups: Vec<Group> =
        members.into_iter().map(|channels| Group::new(channels, params, &states)).collect();
    let everywhere = Mask::new(grid.nx, grid.ny, true);
    while groups.iter().any(|group| !group.channels.is_empty()) {
        round(batch, params, &mut groups, &mut states, &everywhere)?;
    }
    Ok(states.into_iter().map(|s| s.result).collect())
}

/// One round of all groups that have not ended.
fn round(
    batch: &mut impl Cycles,
    params: &CleanParams,
    groups: &mut [Group],
    states: &mut [ChannelState<'_>],
    everywhere: &Mask,
) -> Result<()> {
    let active: Vec<usize> = groups.iter().flat_map(|g| g.channels.iter().copied()).collect();
    for group in groups.iter_mut() {
        group.begin_round(states);
    }
    survey(batch, params, states, &active, everywhere)?;
    for group in groups.iter_mut() {
        group.judge(params, states);
    }
    let mut changed = roll_back(batch, params, groups, states)?;
    changed.extend(minor_cycle(batch, params, groups, states)?);
    if !changed.is_empty() {
        changed.sort_unstable();
        batch.make_residual(&changed)?;
    }
    for group in groups.iter_mut().filter(|g| !g.channels.is_empty()) {
        group.end_round(states);
    }
    Ok(())
}

/// Where a minor cycle comes to a peak as high, Jy/beam, a major cycle that sums it over many visibilities
/// leaves the range of `f32`, and what a device makes of that (NaN, infinity, zero) is no residual.
const OVERFLOW: f32 = 1e30;

/// A channel's state through the rounds.
struct ChannelState<'a> {
    index: usize,
    mask: Box<dyn ChannelMask>,
    /// The PSF that its mask goes by: its own, or what stands for the cube's.
    mask_psf: PsfFit,
    valid: &'a Mask,
    has_data: bool,
    /// Of its model, where it may have to go back; `None` once it has ended.
    history: Option<History>,
    rounds: usize,
    /// Whether the last minor cycle went beyond what numbers can hold.
    overflowed: bool,
    /// Of the residual at the beginning of the round.
    masksum: usize,
    peak: f32,
    peak_anywhere: f32,
    nsigma_threshold: f32,
    cyclethreshold: f32,
    result: ChannelClean,
}

impl ChannelState<'_> {
    /// Updates the mask and the n-sigma threshold from the residual.
    fn prepare(&mut self, params: &CleanParams, residual: &[f32]) -> Result<()> {
        self.mask.update(&MaskInput {
            round: self.rounds,
            residual,
            valid: self.valid,
            beam: self.mask_psf.beam.as_ref().ok(),
            sidelobe_level: self.mask_psf.sidelobe_level,
            threshold: params.threshold,
            cyclethreshold: self.cyclethreshold,
        })?;
        self.masksum = self.mask.mask().count();
        if params.nsigma > 0.0 {
            let noise = Noise::of(residual, self.valid);
            let median = if self.mask.nsigma_adds_median() { noise.median } else { 0.0 };
            self.nsigma_threshold = (f64::from(params.nsigma) * noise.sigma + median) as f32;
        }
        Ok(())
    }
}

/// Brings masks up to date and takes the statistics of the residuals.
fn survey(
    batch: &impl Cycles,
    params: &CleanParams,
    states: &mut [ChannelState<'_>],
    active: &[usize],
    everywhere: &Mask,
) -> Result<()> {
    if params.niter > 0 {
        let mut waiting: Vec<&mut ChannelState<'_>> =
            states.iter_mut().filter(|s| s.has_data && s.result.is_open()).collect();
        // As many planes are on the host at a time as there are threads to look at them.
        for states in waiting.chunks_mut(rayon::current_num_threads()) {
            let planes: Vec<Cow<'_, [f32]>> = states
                .iter()
                .map(|state| match state.mask.needs_residual() || params.nsigma > 0.0 {
                    true => batch.residual_view(state.index),
                    false => Ok(Cow::Borrowed(&[][..])),
                })
                .collect::<Result<_>>()?;
            states
                .par_iter_mut()
                .zip(planes)
                .try_for_each(|(state, residual)| state.prepare(params, &residual))?;
        }
    }
    let wanted: Vec<(usize, &Mask)> =
        active.iter().map(|&i| (states[i].index, states[i].mask.mask())).collect();
    let within = batch.peak(&wanted)?;
    let wanted: Vec<(usize, &Mask)> =
        active.iter().map(|&i| (states[i].index, everywhere)).collect();
    let anywhere = batch.peak(&wanted)?;
    for ((&i, within), anywhere) in active.iter().zip(within).zip(anywhere) {
        let state = &mut states[i];
        // A mask whose pixels are all NaN has no peak, but is not clean.
        let none = if state.masksum > 0 { f32::NAN } else { 0.0 };
        state.peak = match state.overflowed {
            true => f32::INFINITY,
            false => within.map_or(none, |p| p.value.abs()),
        };
        state.peak_anywhere = anywhere.map_or(f32::NAN, |p| p.value.abs());
        state.result.note_peak_anywhere(state.peak_anywhere);
    }
    Ok(())
}

/// Runs the minor cycle of all groups' channels, records it, and gives the channels whose models changed.
fn minor_cycle(
    batch: &mut impl Cycles,
    params: &CleanParams,
    groups: &mut [Group],
    states: &mut [ChannelState<'_>],
) -> Result<Vec<usize>> {
    let mut controls = Vec::new();
    for group in groups.iter().filter(|g| !g.is_going_back()) {
        for state in group.channels.iter().map(|&i| &states[i]).filter(|s| s.has_data) {
            controls.push(MinorControl {
                channel: state.index,
                mask: state.mask.mask(),
                gain: group.pace.gain,
                threshold: group.cyclethreshold.max(state.nsigma_threshold),
                max_iter: group.control.cycleniter(params),
                // A major cycle follows where there are components.
                keep_residual: false,
            });
        }
    }
    let mut results = batch.minor_cycle(&params.deconvolver, &controls)?.into_iter();
    let mut cleaned = Vec::new();
    for group in groups.iter_mut().filter(|g| !g.is_going_back()) {
        for &i in &group.channels {
            let state = &mut states[i];
            let Some(result) = state.has_data.then(|| results.next()).flatten() else { continue };
            let iterations = result.components.len();
            state.overflowed = result.peak.is_nan() || result.peak >= OVERFLOW;
            state.result.record(
                &result.components,
                state.mask.mask(),
                MinorRecord {
                    start_iter_done: group.control.iterations,
                    cycle_start_iter: group.round_start,
                    iter_done: iterations,
                    start_peak_res: state.peak,
                    peak_res: result.peak,
                    start_peak_res_nm: state.peak_anywhere,
                    peak_res_nm: state.peak_anywhere,
                    cycle_thresh: group.cyclethreshold,
                    masksum: state.masksum,
                    stop: Some(MinorStop::of(
                        iterations,
                        result.peak,
                        group.cyclethreshold,
                        state.nsigma_threshold,
                    )),
                    ..MinorRecord::default()
                },
            );
            state.rounds += 1;
            state.cyclethreshold = group.cyclethreshold;
            group.control.iterations += iterations;
            if iterations > 0 {
                cleaned.push(state.index);
            }
            if let Some(history) = &mut state.history {
                history.add(result);
            }
        }
    }
    Ok(cleaned)
}

#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod rollback_tests;
#[cfg(test)]
mod tests;
