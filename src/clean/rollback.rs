//! Rolling back what has diverged: to the model of the lowest peak, and on from there with more care.
//!
//! tclean ends where the peak residual has grown (stop codes 5 and 6), and keeps the grown model. Here,
//! and where it has grown as much while niter or nmajor ran out, the model goes back to the round that
//! began with the lowest peak within the mask, and cleaning goes on from it with half the gain, and with minor cycles that stop at twice the fraction of their first peak:
//! what components do outside the reach of the PSF's plane, or where the PSF does not hold, is then
//! seen by a major cycle before it is cleaned too. After `divergence_retries` such attempts the best
//! model stays. Whatever ends a control that was rolled back, its best model stays.
//!
//! After a roll-back everything is as it was when the best round began: components, mask, records, the
//! memory of earlier peaks. So niter and nmajor count what is in the model, and the records of minor
//! cycles say how it came about; what was given up is reported beside them ([`Rollback`]).
//!
//! The model is made again on the host from its components ([`History`](super::history::History)):
//! no plane comes to the host for it, and one goes to the device when it is needed.

use super::{
    ChannelState, CleanParams, Cycles, StopCode,
    control::{Control, grew},
    group::Group,
};
use crate::{error::Result, mask::ChannelMask};

/// Factor of the gain at each retry.
const SLOWER: f32 = 0.5;

/// Factor of the cyclefactor at each retry.
const SHALLOWER: f32 = 2.0;

/// What was given up in a channel, and what was kept.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rollback {
    /// Times that cleaning went on from the best model.
    pub retries: usize,
    /// Loop gain at the end.
    pub gain: f32,
    /// Factor of the sidelobe level at the end.
    pub cyclefactor: f32,
    /// Largest |residual| in the mask that was kept, Jy/beam.
    pub peak: f32,
    /// What it had grown to when a model was last given up, Jy/beam; may be infinite or NaN.
    pub peak_given_up: f32,
    /// Components given up, of all attempts.
    pub iterations_given_up: usize,
}

/// How a control goes about cleaning: at first as the user asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pace {
    pub gain: f32,
    pub cyclefactor: f32,
}

impl Pace {
    pub fn new(params: &CleanParams) -> Self {
        Self { gain: params.gain, cyclefactor: params.cyclefactor }
    }

    /// That of the next attempt. Where minpsffraction is more than the cyclefactor comes to, it is that
    /// which is doubled, or nothing would change; maxpsffraction bounds it as ever.
    pub fn slower(self, params: &CleanParams, sidelobe_level: f64) -> Self {
        let least = match sidelobe_level as f32 {
            level if level > 0.0 => params.minpsffraction / level,
            _ => 0.0,
        };
        Self { gain: SLOWER * self.gain, cyclefactor: SHALLOWER * self.cyclefactor.max(least) }
    }
}

/// A control's way back.
#[derive(Default)]
pub(super) struct Retreat {
    /// This round, as it began.
    now: Option<Start>,
    /// The round of the lowest peak, as it began.
    best: Option<Start>,
    /// That peak, Jy/beam.
    least: f32,
    /// Times that cleaning went on from there.
    retries: usize,
    /// Set when the model has to go back.
    order: Option<Order>,
    /// Set when it is back for good.
    pub verdict: Option<StopCode>,
}

/// Why a model goes back.
#[derive(Clone, Copy)]
struct Order {
    stop: StopCode,
    /// What is left within the masks, Jy/beam.
    peak: f32,
    /// Whether it is to be tried again.
    diverged: bool,
}

/// A control and its channels at the beginning of a round, before the mask is updated.
struct Start {
    control: Control,
    round_start: usize,
    channels: Vec<ChannelStart>,
}

struct ChannelStart {
    mask: Box<dyn ChannelMask>,
    rounds: usize,
    cyclethreshold: f32,
    mark: super::record::Mark,
}

impl Retreat {
    /// Notes how things are at the beginning of a round.
    pub fn note_start(
        &mut self,
        control: Control,
        round_start: usize,
        states: &[&ChannelState<'_>],
    ) {
        let of = |state: &&ChannelState<'_>| ChannelStart {
            mask: state.mask.boxed(),
            rounds: state.rounds,
            cyclethreshold: state.cyclethreshold,
            mark: state.result.mark(),
        };
        self.now = Some(Start { control, round_start, channels: states.iter().map(of).collect() });
    }

    /// Notes the peak within the masks that the round began with. Whether it is the lowest so far.
    pub fn note_peak(&mut self, peak: f32) -> bool {
        let is_best = peak.is_finite() && (self.best.is_none() || peak < self.least);
        if is_best {
            self.best = self.now.take();
            self.least = peak;
        }
        is_best
    }

    /// Whether a control that is to end with this peak has to go back first. The limits of iterations
    /// come before divergence in tclean's test, and a minor cycle that blows up takes all that niter
    /// allows: so what counts is how much the peak has grown, whatever the stop is called.
    pub fn is_needed(&mut self, stop: StopCode, peak: f32) -> bool {
        let diverged = stop.is_divergence() || grew(peak, self.least);
        let worse = peak.is_nan() || peak > self.least;
        let needed = self.best.is_some() && worse && (diverged || self.retries > 0);
        if needed {
            self.order = Some(Order { stop, peak, diverged });
        }
        needed
    }

    /// Whether the model is about to go back, or did so in this round.
    pub fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// It is back: the next round may begin.
    pub fn is_back(&mut self) {
        self.order = None;
    }
}

/// Rolls back the groups that have to, and gives the channels whose models are others now.
pub(super) fn roll_back(
    batch: &mut impl Cycles,
    params: &CleanParams,
    groups: &mut [Group],
    states: &mut [ChannelState<'_>],
) -> Result<Vec<usize>> {
    let mut changed = Vec::new();
    for group in groups {
        let Some(retreat) = &mut group.retreat else { continue };
        let (Some(order), Some(best)) = (retreat.order, &retreat.best) else { continue };
        let Order { stop, peak, diverged } = order;
        let again = diverged && retreat.retries < params.divergence_retries.unwrap_or(0);
        if again {
            retreat.retries += 1;
            group.pace = group.pace.slower(params, group.sidelobe_level);
        } else {
            retreat.verdict = Some(stop);
        }
        let (least, retries, pace) = (retreat.least, retreat.retries, group.pace);
        group.control = best.control.clone();
        group.round_start = best.round_start;
        for (&i, start) in group.channels.iter().zip(&best.channels) {
            let state = &mut states[i];
            let given_up = state.restore(start);
            let earlier = state.result.rollback.map_or(0, |r| r.iterations_given_up);
            state.result.rollback = state.has_data.then_some(Rollback {
                retries,
                gain: pace.gain,
                cyclefactor: pace.cyclefactor,
                peak: least,
                peak_given_up: peak,
                iterations_given_up: earlier + given_up,
            });
            if let Some(history) = &mut state.history {
                batch.set_model(state.index, &history.back())?;
                changed.push(state.index);
            }
            tracing::info!(
                channel = state.result.channel,
                "the peak residual grew from {least:.3e} to {peak:.3e} Jy/beam: back to the model of \
                 {} components, {}",
                state.result.iterations,
                match again {
                    true => format!("on with gain {}, cyclefactor {}", pace.gain, pace.cyclefactor),
                    false => "which is kept".into(),
                }
            );
        }
    }
    Ok(changed)
}

impl ChannelState<'_> {
    /// Makes everything but the model as it was, and says how many components are gone.
    fn restore(&mut self, start: &ChannelStart) -> usize {
        self.mask = start.mask.boxed();
        self.rounds = start.rounds;
        self.overflowed = false;
        self.cyclethreshold = start.cyclethreshold;
        self.result.rewind(&start.mark, self.mask.mask())
    }
}
