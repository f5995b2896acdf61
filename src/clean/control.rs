//! Iteration control: the arithmetic of cycle thresholds and the test that ends cleaning.
//!
//! The rules and their order were measured on tclean (casatasks 6.7). Where tclean computes in
//! single precision, so does this.

use crate::backend::Deconvolver;

/// What a user asks of cleaning.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanParams {
    /// The algorithm of the minor cycle.
    pub deconvolver: Deconvolver,
    /// Largest number of components; 0: none, the dirty cube is restored.
    pub niter: usize,
    /// Loop gain.
    pub gain: f32,
    /// Stop level, Jy/beam.
    pub threshold: f32,
    /// Stop level in units of the residual's robust noise; 0: not used.
    pub nsigma: f32,
    /// Largest number of components of a channel in one minor cycle; `None`: niter alone.
    pub cycleniter: Option<usize>,
    /// Factor of the sidelobe level in the cycle threshold.
    pub cyclefactor: f32,
    /// Least fraction of the peak at which a minor cycle stops.
    pub minpsffraction: f32,
    /// Largest such fraction.
    pub maxpsffraction: f32,
    /// Largest number of major cycles after the first residual; `None`: no limit.
    pub nmajor: Option<usize>,
    /// Level of the PSF above which its main lobe is fitted.
    pub psfcutoff: f64,
    /// What one control governs.
    pub scope: Scope,
    /// Times that a control whose peak has grown goes on from its best model with more care, before it
    /// ends with that; `None`: it ends with the grown model, as in tclean.
    pub divergence_retries: Option<usize>,
}

impl Default for CleanParams {
    /// tclean's defaults, controlled per channel, with two retries of what diverges.
    fn default() -> Self {
        Self {
            deconvolver: Deconvolver::Hogbom,
            niter: 0,
            gain: 0.1,
            threshold: 0.0,
            nsigma: 0.0,
            cycleniter: None,
            cyclefactor: 1.0,
            minpsffraction: 0.05,
            maxpsffraction: 0.8,
            nmajor: None,
            psfcutoff: crate::beam::PSF_CUTOFF,
            scope: Scope::Channel,
            divergence_retries: Some(2),
        }
    }
}

/// What one control governs (`--cyclecontrol`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Each channel for itself: its result depends on no other channel.
    #[default]
    Channel,
    /// All channels of the batch together, as one tclean does it: peak, sidelobe level and n-sigma
    /// threshold are the largest of any channel; every channel may take `cycleniter` components a
    /// cycle, and niter is compared with their sum only after the cycle, so it can be exceeded.
    Cube,
}

/// Why cleaning ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCode {
    /// niter components were placed.
    IterationLimit,
    /// The peak is at the threshold.
    Threshold,
    /// niter = 0: tclean gives this the code of a forced stop.
    NoIterations,
    /// A cycle changed nothing.
    NoChange,
    /// The peak grew more than threefold over the previous cycle's, or is not a number.
    GrewSincePrevious,
    /// The peak grew more than threefold over the least there has been.
    GrewSinceMinimum,
    /// There is no pixel in the mask.
    ZeroMask,
    /// The peak is at the n-sigma threshold.
    Nsigma,
    /// nmajor major cycles were done.
    MajorLimit,
}

impl StopCode {
    /// Whether the peak has grown.
    pub fn is_divergence(self) -> bool {
        matches!(self, Self::GrewSincePrevious | Self::GrewSinceMinimum)
    }

    /// tclean's number.
    pub fn code(self) -> u8 {
        match self {
            Self::IterationLimit => 1,
            Self::Threshold => 2,
            Self::NoIterations => 3,
            Self::NoChange => 4,
            Self::GrewSincePrevious => 5,
            Self::GrewSinceMinimum => 6,
            Self::ZeroMask => 7,
            Self::Nsigma => 8,
            Self::MajorLimit => 9,
        }
    }
}

/// Why a channel's minor cycle ended, with tclean's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinorStop {
    /// cycleniter components were placed.
    CycleIterations,
    /// The peak is at the cycle threshold.
    CycleThreshold,
    /// The peak was at the n-sigma threshold from the first.
    NoIterations,
    /// The peak is at the n-sigma threshold.
    Nsigma,
}

impl MinorStop {
    /// tclean's number.
    pub fn code(self) -> u8 {
        match self {
            Self::CycleIterations => 1,
            Self::CycleThreshold => 2,
            Self::NoIterations => 3,
            Self::Nsigma => 6,
        }
    }

    /// What ended a cycle that went down to `max(cyclethreshold, nsigma_threshold)`. When several
    /// reasons hold at once, a threshold counts before the iteration limit.
    pub(super) fn of(iterations: usize, peak: f32, cyclethreshold: f32, nsigma: f32) -> Self {
        match () {
            () if iterations == 0 && peak <= cyclethreshold => Self::CycleThreshold,
            () if iterations == 0 => Self::NoIterations,
            () if nsigma > cyclethreshold && peak <= nsigma => Self::Nsigma,
            () if peak <= cyclethreshold => Self::CycleThreshold,
            () => Self::CycleIterations,
        }
    }
}

/// The residual of what a control governs, within the masks, at the beginning of a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// Pixels in the masks.
    pub masksum: usize,
    /// Largest |residual|; NaN if no pixel has a number.
    pub peak: f32,
    /// Largest n-sigma threshold; 0 if not used.
    pub nsigma_threshold: f32,
}

/// State of one control from round to round.
#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    /// Components so far.
    pub iterations: usize,
    /// Major cycles after the first residual.
    pub majors: usize,
    previous_peak: Option<f32>,
    least_peak: Option<f32>,
}

/// A threshold counts as reached when the peak is less than this fraction above it.
const TOLERANCE: f32 = 0.01;

/// Growth of the peak, relative to an earlier one, that ends cleaning: new/old − 1.
const DIVERGENCE: f32 = 3.0;

fn reached(peak: f32, threshold: f32) -> bool {
    peak <= threshold || (peak - threshold) / threshold < TOLERANCE
}

/// Whether a peak has grown so much over an earlier one that it diverges, or is no number.
pub(super) fn grew(peak: f32, old: f32) -> bool {
    !peak.is_finite() || (peak - old) / old > DIVERGENCE
}

impl Control {
    /// Whether to end here, and why. Notes the peak for the next round.
    pub fn test(&mut self, params: &CleanParams, level: &Level) -> Option<StopCode> {
        if params.niter == 0 {
            return Some(StopCode::NoIterations);
        }
        if level.masksum == 0 {
            return Some(StopCode::ZeroMask);
        }
        let peak = level.peak;
        let (previous, least) = (self.previous_peak, self.least_peak);
        self.previous_peak = Some(peak);
        self.least_peak = Some(least.map_or(peak, |l| l.min(peak)));
        let grew = |since: Option<f32>| since.is_some_and(|old| grew(peak, old));

        match () {
            () if reached(peak, params.threshold) => Some(StopCode::Threshold),
            () if params.nsigma > 0.0 && reached(peak, level.nsigma_threshold) => {
                Some(StopCode::Nsigma)
            }
            () if self.iterations >= params.niter => Some(StopCode::IterationLimit),
            () if !peak.is_finite() || grew(previous) => Some(StopCode::GrewSincePrevious),
            () if grew(least) => Some(StopCode::GrewSinceMinimum),
            () if previous == Some(peak) => Some(StopCode::NoChange),
            () if params.nmajor.is_some_and(|n| self.majors >= n) => Some(StopCode::MajorLimit),
            () => None,
        }
    }

    /// Components that a channel may place in the next minor cycle.
    pub fn cycleniter(&self, params: &CleanParams) -> usize {
        let left = params.niter.saturating_sub(self.iterations);
        params.cycleniter.map_or(left, |n| n.min(left))
    }
}

/// `max(threshold, clamp(cyclefactor · sidelobe level, minpsffraction, maxpsffraction) · peak)`.
pub(super) fn cyclethreshold(
    params: &CleanParams,
    cyclefactor: f32,
    sidelobe_level: f64,
    peak: f32,
) -> f32 {
    let fraction =
        (cyclefactor * sidelobe_level as f32).max(params.minpsffraction).min(params.maxpsffraction);
    (fraction * peak).max(params.threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> CleanParams {
        CleanParams { niter: 100, threshold: 0.1, ..CleanParams::default() }
    }

    fn level(peak: f32) -> Level {
        Level { masksum: 9, peak, nsigma_threshold: 0.0 }
    }

    #[test]
    fn cyclethreshold_as_tclean_logged_it() {
        // one_10 and mpc_16: sidelobe level, peak and cycle threshold from tclean's summaries, f32.
        for (sidelobe, peak, threshold, expected) in [
            (0.09760087, 0.56147707, 0.005, 0.05480065),
            (0.09760087, 0.07829124, 0.005, 0.0076412926),
            (0.09760087, 0.01861366, 0.005, 0.005),
            (0.0967724, 0.46428657, 0.0, 0.044930127),
            (0.0967724, 0.017696006, 0.0, 0.001712485),
        ] {
            let params = CleanParams { threshold, ..CleanParams::default() };
            let ours = f64::from(cyclethreshold(&params, 1.0, sidelobe, peak));
            assert!((ours / expected - 1.0).abs() < 2e-7, "{ours} {expected}");
        }
        assert_eq!(cyclethreshold(&CleanParams::default(), 20.0, 0.1, 1.0), 0.8);
        assert_eq!(cyclethreshold(&CleanParams::default(), 0.1, 0.1, 1.0), 0.05);
    }

    #[test]
    fn thresholds_have_a_tolerance_of_one_per_cent() {
        // tclean went on at 1.0102 of the threshold, and stopped at 1.0098.
        assert_eq!(Control::default().test(&params(), &level(0.10098)), Some(StopCode::Threshold));
        assert_eq!(Control::default().test(&params(), &level(0.10102)), None);
        let none = CleanParams { threshold: 0.0, ..params() };
        assert_eq!(Control::default().test(&none, &level(1e-30)), None);
        assert_eq!(Control::default().test(&none, &level(0.0)), Some(StopCode::Threshold));
    }

    #[test]
    fn nsigma_counts_only_if_asked_for() {
        let level = Level { nsigma_threshold: 0.5, ..level(0.4) };
        assert_eq!(Control::default().test(&params(), &level), None);
        let with = CleanParams { nsigma: 3.0, ..params() };
        assert_eq!(Control::default().test(&with, &level), Some(StopCode::Nsigma));
    }

    #[test]
    fn limits_and_their_precedence() {
        let done = || Control { iterations: 100, ..Control::default() };
        assert_eq!(done().test(&params(), &level(1.0)), Some(StopCode::IterationLimit));
        // tclean calls it a threshold when both are reached.
        assert_eq!(done().test(&params(), &level(0.1)), Some(StopCode::Threshold));
        let empty = Level { masksum: 0, ..level(0.0) };
        assert_eq!(Control::default().test(&params(), &empty), Some(StopCode::ZeroMask));
        let dirty = CleanParams { niter: 0, ..params() };
        assert_eq!(Control::default().test(&dirty, &level(1.0)), Some(StopCode::NoIterations));
        let majors = CleanParams { nmajor: Some(0), ..params() };
        assert_eq!(Control::default().test(&majors, &level(1.0)), Some(StopCode::MajorLimit));
    }

    #[test]
    fn divergence_as_tclean_judged_it() {
        // Peaks of tclean runs with a PSF scaled down: each ended at the last of them.
        let run = |peaks: &[f32]| {
            let mut control = Control::default();
            peaks.iter().map(|&p| control.test(&params(), &level(p))).collect::<Vec<_>>()
        };
        assert_eq!(run(&[0.5615, 2.3249]), [None, Some(StopCode::GrewSincePrevious)]);
        assert_eq!(run(&[0.5615, 2.1072, 7.9072]), [None, None, Some(StopCode::GrewSinceMinimum)]);
        assert_eq!(run(&[0.5615, 1.4928, 3.9663]), [None, None, Some(StopCode::GrewSinceMinimum)]);
        assert_eq!(run(&[0.5615, f32::NAN]), [None, Some(StopCode::GrewSincePrevious)]);
        assert_eq!(run(&[0.5, 0.5]), [None, Some(StopCode::NoChange)]);
    }

    #[test]
    fn cycleniter_is_what_is_left() {
        let mut control = Control::default();
        assert_eq!(control.cycleniter(&params()), 100);
        control.iterations = 90;
        let cycle = CleanParams { cycleniter: Some(30), ..params() };
        assert_eq!(control.cycleniter(&cycle), 10);
        control.iterations = 120;
        assert_eq!(control.cycleniter(&cycle), 0);
    }
}
