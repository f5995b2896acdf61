//! The order of a round. A convergence test before the mask exists would see an empty mask with a peak
//! of 0, and end everything with nothing cleaned: the seed system's first defect.

use std::sync::{Arc, Mutex};

use super::{
    tests::{BRIGHT, FAINT, Late, N, Synthetic, params},
    *,
};
use crate::mask::auto::{AutoMasks, AutoMultithresh};

/// What was done, in order.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// With the pixels of the mask afterwards.
    Mask(usize),
    /// Within this many pixels.
    Peak(usize),
    Minor,
    Major,
}

type Log = Arc<Mutex<Vec<Step>>>;

/// Synthetic channels that write down what is asked of them.
struct Recorder {
    inner: Synthetic,
    log: Log,
}

impl Recorder {
    fn note(&self, step: Step) {
        self.log.lock().unwrap().push(step);
    }
}

impl Cycles for Recorder {
    fn sumwt(&self) -> &[f64] {
        self.inner.sumwt()
    }

    fn residual_view(&self, channel: usize) -> Result<Cow<'_, [f32]>> {
        self.inner.residual_view(channel)
    }

    fn peak(&self, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        self.note(Step::Peak(channels[0].1.count()));
        self.inner.peak(channels)
    }

    fn minor_cycle(
        &mut self,
        deconvolver: &Deconvolver,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        // Nobody left to clean is no minor cycle.
        if !controls.is_empty() {
            self.note(Step::Minor);
        }
        self.inner.minor_cycle(deconvolver, controls)
    }

    fn make_residual(&mut self, channels: &[usize]) -> Result<()> {
        self.note(Step::Major);
        self.inner.make_residual(channels)
    }

    fn starting_model(&self, channel: usize) -> Result<Option<Vec<f32>>> {
        self.inner.starting_model(channel)
    }

    fn set_model(&mut self, channel: usize, values: &[f32]) -> Result<()> {
        self.inner.set_model(channel, values)
    }
}

/// Any masks, written down when they are updated.
struct Watched<'a>(&'a dyn MaskPolicy, Log);

struct WatchedChannel(Box<dyn ChannelMask>, Log);

impl MaskPolicy for Watched<'_> {
    fn channel(&self, channel: usize) -> Result<Box<dyn ChannelMask>> {
        Ok(Box::new(WatchedChannel(self.0.channel(channel)?, self.1.clone())))
    }
}

impl ChannelMask for WatchedChannel {
    fn update(&mut self, input: &MaskInput<'_>) -> Result<()> {
        self.0.update(input)?;
        self.1.lock().unwrap().push(Step::Mask(self.0.mask().count()));
        Ok(())
    }

    fn mask(&self) -> &Mask {
        self.0.mask()
    }

    fn needs_residual(&self) -> bool {
        self.0.needs_residual()
    }

    fn boxed(&self) -> Box<dyn ChannelMask> {
        Box::new(Self(self.0.boxed(), self.1.clone()))
    }
}

/// tclean's automatic masks, with the thresholds of ALMA's pipeline.
fn auto_masks() -> AutoMasks {
    let parameters = AutoMultithresh {
        sidelobethreshold: 2.0,
        noisethreshold: 4.25,
        minbeamfrac: 0.3,
        growiterations: 50,
        ..AutoMultithresh::default()
    };
    AutoMasks::new(parameters, N, N, [1e-6, 1e-6]).unwrap()
}

fn steps(policy: &dyn MaskPolicy) -> (Vec<Step>, ChannelClean) {
    let log = Log::default();
    let mut batch = Recorder { inner: Synthetic::new(&[BRIGHT]), log: log.clone() };
    let psfs = [batch.inner.fit(0, &params())];
    let valid = [Mask::new(N, N, true)];
    let watched = Watched(policy, log.clone());
    let results =
        clean(&mut batch, &super::tests::grid(), 0..1, &params(), &watched, &psfs, &valid).unwrap();
    let steps = log.lock().unwrap().clone();
    (steps, results.into_iter().next().unwrap())
}

#[test]
fn a_round_is_mask_peak_test_minor_major() {
    for policy in [&Late as &dyn MaskPolicy, &auto_masks()] {
        let (steps, result) = steps(policy);
        let rounds = result.minor.len();
        assert!(rounds > 1 && result.iterations > 0, "{steps:?}");
        // The last round finds that it has converged, and does nothing.
        let (last, full) = (&steps[5 * rounds..], steps[..5 * rounds].chunks(5));
        for (round, record) in full.zip(&result.minor) {
            let masksum = record.masksum;
            assert!(masksum > 0);
            let expected = [
                Step::Mask(masksum),
                Step::Peak(masksum),
                Step::Peak(N * N),
                Step::Minor,
                Step::Major,
            ];
            assert_eq!(round, expected, "{steps:?}");
        }
        assert!(
            matches!(last, [Step::Mask(a), Step::Peak(b), Step::Peak(_)] if a == b),
            "{last:?}"
        );
    }
}

#[test]
fn the_mask_is_made_before_convergence_is_tested() {
    for policy in [&Late as &dyn MaskPolicy, &auto_masks()] {
        for scope in [Scope::Channel, Scope::Cube] {
            let params = CleanParams { scope, ..params() };
            for result in Synthetic::new(&[BRIGHT, FAINT]).clean(&params, policy) {
                assert!(result.iterations > 0);
                assert_eq!(result.stop, StopCode::Threshold);
                assert!(result.minor.windows(2).all(|w| w[1].masksum >= w[0].masksum));
                assert_eq!(result.mask.count(), result.minor.last().unwrap().masksum);
            }
        }
    }
}

#[test]
fn a_channel_of_noise_ends_at_once() {
    let mut batch = Synthetic::new(&[BRIGHT, FAINT]);
    let mut state = 7u64;
    let mut gaussian = || {
        // The sum of twelve uniform numbers, less 6, is one of σ = 1 to all purposes.
        (0..12)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1u64 << 24) as f32
            })
            .sum::<f32>()
            - 6.0
    };
    let noise: Vec<f32> = (0..N * N).map(|_| 0.01 * gaussian()).collect();
    batch.set_dirty(1, &noise);
    let parameters = AutoMultithresh { noisethreshold: 5.0, ..AutoMultithresh::default() };
    let masks = AutoMasks::new(parameters, N, N, [1e-6, 1e-6]).unwrap();
    let results = batch.clean(&params(), &masks);
    assert!(results[0].iterations > 0);
    assert_eq!((results[1].stop, results[1].iterations), (StopCode::ZeroMask, 0));
    assert_eq!(results[1].majors, 0);
    assert!(results[1].mask.is_empty());
    assert!(batch.model(1).iter().all(|&v| v == 0.0));
    assert_eq!(batch.residual(1), noise);
}
