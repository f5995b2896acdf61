//! Channels under one control.

use super::{
    ChannelState, CleanParams, History, MinorRecord, StopCode,
    control::{Control, Level, cyclethreshold},
    rollback::{Pace, Retreat},
};

/// Channels under one control; empty once it has ended.
pub(super) struct Group {
    pub channels: Vec<usize>,
    pub control: Control,
    pub pace: Pace,
    /// The largest of the channels' PSFs.
    pub sidelobe_level: f64,
    pub cyclethreshold: f32,
    /// Components before this round.
    pub round_start: usize,
    /// The way back when it diverges; `None`: it ends as it is.
    pub retreat: Option<Retreat>,
}

impl Group {
    pub fn new(channels: Vec<usize>, params: &CleanParams, states: &[ChannelState<'_>]) -> Self {
        let with_data = channels.iter().map(|&i| &states[i]).filter(|s| s.has_data);
        let sidelobe_level = with_data.map(|s| s.result.sidelobe_level).fold(0.0, f64::max);
        Self {
            channels,
            control: Control::default(),
            pace: Pace::new(params),
            sidelobe_level,
            cyclethreshold: 0.0,
            round_start: 0,
            retreat: params.divergence_retries.map(|_| Retreat::default()),
        }
    }

    /// Before the masks are updated.
    pub fn begin_round(&mut self, states: &[ChannelState<'_>]) {
        if let Some(retreat) = self.retreat.as_mut().filter(|r| !r.is_ordered()) {
            let states: Vec<_> = self.channels.iter().map(|&i| &states[i]).collect();
            retreat.note_start(self.control.clone(), self.round_start, &states);
        }
    }

    /// Ends the group if it has converged, or orders it back if it has diverged; otherwise sets the
    /// level of its next minor cycle.
    pub fn judge(&mut self, params: &CleanParams, states: &mut [ChannelState<'_>]) {
        if let Some(stop) = self.retreat.as_ref().and_then(|r| r.verdict) {
            self.end(stop, states);
        }
        if self.channels.is_empty() || self.is_going_back() {
            return;
        }
        let level = self.level(states);
        if let Some(stop) = self.control.test(params, &level) {
            self.end_or_go_back(stop, level.peak, states);
            return;
        }
        self.cyclethreshold =
            cyclethreshold(params, self.pace.cyclefactor, self.sidelobe_level, level.peak);
        if self.retreat.as_mut().is_some_and(|r| r.note_peak(level.peak)) {
            for &i in &self.channels {
                states[i].history.iter_mut().for_each(History::is_best);
            }
        }
    }

    /// What is left within the masks of its channels.
    fn level(&self, states: &[ChannelState<'_>]) -> Level {
        let mut level = Level { masksum: 0, peak: 0.0, nsigma_threshold: 0.0 };
        for state in self.channels.iter().map(|&i| &states[i]).filter(|s| s.has_data) {
            level.masksum += state.masksum;
            level.nsigma_threshold = level.nsigma_threshold.max(state.nsigma_threshold);
            // A NaN stays, so that the test sees it.
            if !level.peak.is_nan() && (state.peak.is_nan() || state.peak > level.peak) {
                level.peak = state.peak;
            }
        }
        level
    }

    /// Whether its model is about to go back: there is nothing else to do with it in this round.
    pub fn is_going_back(&self) -> bool {
        self.retreat.as_ref().is_some_and(Retreat::is_ordered)
    }

    fn end_or_go_back(&mut self, stop: StopCode, peak: f32, states: &mut [ChannelState<'_>]) {
        if !self.retreat.as_mut().is_some_and(|r| r.is_needed(stop, peak)) {
            self.end(stop, states);
        }
    }

    fn end(&mut self, stop: StopCode, states: &mut [ChannelState<'_>]) {
        for i in self.channels.drain(..) {
            let state = &mut states[i];
            let record = MinorRecord {
                start_peak_res: state.peak,
                peak_res: state.peak,
                start_peak_res_nm: state.peak_anywhere,
                peak_res_nm: state.peak_anywhere,
                masksum: state.masksum,
                stop: None,
                ..MinorRecord::default()
            };
            state.result.end(stop, state.mask.mask(), self.control.majors, record);
            state.history = None;
        }
    }

    /// After the major cycle. A round in which no channel found anything to do would repeat forever.
    pub fn end_round(&mut self, states: &mut [ChannelState<'_>]) {
        if let Some(retreat) = self.retreat.as_mut().filter(|r| r.is_ordered()) {
            retreat.is_back();
        } else if self.control.iterations == self.round_start {
            let peak = self.level(states).peak;
            self.end_or_go_back(StopCode::NoChange, peak, states);
        } else {
            self.control.majors += 1;
            self.round_start = self.control.iterations;
        }
    }
}
