//! What diverges: the loop over synthetic channels where the major cycle sees more of a component than
//! the minor cycle subtracted.

use super::{
    tests::{BRIGHT, Late, N, Synthetic, everywhere, params},
    *,
};
use crate::backend::gpu::{GpuOptions, tests::gpu_with};

/// Right of the middle a component is seen `times` over. With cycles that go down to a fraction f of the
/// peak, a source there comes to 1 − times·(1 − f) of itself after one of them.
macro_rules! seen {
    ($times:expr) => {
        |pixel| if pixel % N >= N / 2 { $times } else { 1.0 }
    };
}

/// A bright source where all is well, and a faint one where it is not.
const MIXED: &[(usize, usize, f32)] = &[(18, 30, 1.0), (50, 40, 0.3)];

fn synthetic(response: fn(usize) -> f32) -> Synthetic {
    let mut batch = Synthetic::new(&[MIXED]);
    batch.response = response;
    batch
}

fn retrying(retries: impl Into<Option<usize>>) -> CleanParams {
    CleanParams { divergence_retries: retries.into(), niter: 10_000, ..params() }
}

fn peak(plane: &[f32]) -> f32 {
    plane.iter().fold(0.0f32, |a, v| a.max(v.abs()))
}

/// The peaks in the mask that rounds began with, the one that no minor cycle followed included.
fn starts(result: &ChannelClean, last: f32) -> Vec<f32> {
    result.minor.iter().map(|m| m.start_peak_res).chain([last]).collect()
}

#[test]
fn without_rollback_the_grown_model_stays() {
    let mut batch = synthetic(seen!(3.0));
    let result = batch.clean(&retrying(None), &everywhere()).remove(0);
    assert_eq!(result.stop, StopCode::GrewSinceMinimum);
    assert_eq!(result.rollback, None);
    let starts = starts(&result, peak(&batch.residual(0)));
    let least = starts.iter().copied().fold(f32::MAX, f32::min);
    assert!(starts.last().unwrap() / least > 4.0, "{starts:?}");
    // Neither the first nor the last is the best: there is something to keep.
    assert!(least < starts[0] / 2.0);
}

#[test]
fn the_best_model_and_its_residual_come_back_in_bits() {
    let mut grown = synthetic(seen!(3.0));
    let bare = grown.clean(&retrying(None), &everywhere()).remove(0);
    let starts = starts(&bare, peak(&grown.residual(0)));
    let best = (0..starts.len()).min_by(|&a, &b| starts[a].total_cmp(&starts[b])).unwrap();

    let mut batch = synthetic(seen!(3.0));
    let result = batch.clean(&retrying(0), &everywhere()).remove(0);
    assert_eq!(result.stop, StopCode::GrewSinceMinimum);
    assert_eq!(result.minor, bare.minor[..best]);
    let kept: usize = bare.minor[..best].iter().map(|m| m.iter_done).sum();
    assert_eq!((result.iterations, result.majors), (kept, best));
    assert_eq!(
        result.rollback.unwrap(),
        Rollback {
            retries: 0,
            gain: 0.1,
            cyclefactor: 1.0,
            peak: starts[best],
            peak_given_up: *starts.last().unwrap(),
            iterations_given_up: bare.iterations - kept,
        }
    );
    // The same as of a run that was told to end there.
    let mut told = synthetic(seen!(3.0));
    let to_best = CleanParams { nmajor: Some(best), ..retrying(None) };
    let expected = told.clean(&to_best, &everywhere()).remove(0);
    assert_eq!(expected.stop, StopCode::MajorLimit);
    assert_eq!(batch.model(0), told.model(0));
    assert_eq!(batch.residual(0), told.residual(0));
    assert_eq!(result.mask, expected.mask);
}

#[test]
fn a_retry_with_more_care_can_converge() {
    let mut batch = synthetic(seen!(3.0));
    let result = batch.clean(&retrying(5), &everywhere()).remove(0);
    assert_eq!(result.stop, StopCode::Threshold, "{:?}", result.rollback);
    let rollback = result.rollback.unwrap();
    assert!((1..=4).contains(&rollback.retries), "{rollback:?}");
    assert_eq!(rollback.gain, 0.1 * 0.5f32.powi(rollback.retries as i32));
    assert_eq!(rollback.cyclefactor, 2f32.powi(rollback.retries as i32));
    assert!(rollback.peak < 0.004 * 1.01 && rollback.peak_given_up > 0.1);
    assert_eq!(rollback.peak, peak(&batch.residual(0)));
    assert_eq!(result.iterations, result.minor.iter().map(|m| m.iter_done).sum::<usize>());
    let flux: f64 = batch.model(0).iter().map(|&v| f64::from(v)).sum();
    assert!((flux - result.minor.last().unwrap().model_flux).abs() < 1e-5);
}

#[test]
fn retries_end_with_the_best() {
    let bare = synthetic(seen!(9.0)).clean(&retrying(None), &everywhere()).remove(0);
    for retries in 0..3 {
        let mut batch = synthetic(seen!(9.0));
        let result = batch.clean(&retrying(retries), &everywhere()).remove(0);
        assert!(result.stop.is_divergence());
        let rollback = result.rollback.unwrap();
        assert_eq!(rollback.retries, retries);
        assert_eq!(rollback.gain, 0.1 * 0.5f32.powi(retries as i32));
        let least = bare.minor.iter().map(|m| m.start_peak_res).fold(f32::MAX, f32::min);
        let kept = peak(&batch.residual(0));
        assert!(kept <= least, "{kept} {least}");
        assert_eq!(rollback.peak, kept);
    }
}

#[test]
fn whatever_ends_a_retry_the_best_stays() {
    // As many rounds as it takes to diverge: a retry is cut off before it has grown as much.
    let bare = synthetic(seen!(6.0)).clean(&retrying(None), &everywhere()).remove(0);
    assert!(bare.stop.is_divergence());
    let least = bare.minor.iter().map(|m| m.start_peak_res).fold(f32::MAX, f32::min);
    let mut batch = synthetic(seen!(6.0));
    let params = CleanParams { nmajor: Some(bare.majors), ..retrying(5) };
    let result = batch.clean(&params, &everywhere()).remove(0);
    assert_eq!(result.stop, StopCode::MajorLimit, "{:?}", result.rollback);
    assert!(result.majors < bare.majors, "it went back: {:?}", result.rollback);
    assert!(peak(&batch.residual(0)) <= least);
    assert_eq!(result.rollback.unwrap().peak, peak(&batch.residual(0)));
}

#[test]
fn the_mask_goes_back_with_the_model() {
    let mut batch = synthetic(seen!(3.0));
    let result = batch.clean(&retrying(0), &Late).remove(0);
    let mut told = synthetic(seen!(3.0));
    let to_best = CleanParams { nmajor: Some(result.majors), ..retrying(None) };
    let expected = told.clean(&to_best, &Late).remove(0);
    assert!(result.stop.is_divergence() && result.majors > 0);
    assert_eq!(result.mask, expected.mask);
    assert_eq!(result.minor, expected.minor);
}

#[test]
fn a_channel_does_not_suffer_from_another_that_diverges() {
    let alone = Synthetic::new(&[BRIGHT]).clean(&retrying(2), &everywhere()).remove(0);
    let left: &[_] = &[(20, 33, 1.0), (10, 20, 0.3)];
    let mut one = Synthetic::new(&[left]);
    one.response = seen!(3.0);
    let alone_left = one.clean(&retrying(2), &everywhere()).remove(0);
    assert_eq!((alone.rollback, alone_left.rollback), (None, None));
    let mut both = Synthetic::new(&[MIXED, left, MIXED]);
    both.response = seen!(3.0);
    let results = both.clean(&retrying(2), &everywhere());
    assert!(results[0].rollback.is_some() && results[2].rollback.is_some());
    assert_eq!(results[0].minor, results[2].minor);
    assert_eq!(results[1].minor, alone_left.minor);
    assert_eq!(results[1].rollback, None);
}

#[test]
fn under_one_control_all_channels_go_back_to_the_same_round() {
    let cube = |retries| CleanParams { scope: Scope::Cube, ..retrying(retries) };
    let run = |retries| {
        let mut batch = Synthetic::new(&[MIXED, BRIGHT, &[]]);
        batch.response = seen!(3.0);
        let results = batch.clean(&cube(retries), &everywhere());
        let peak = peak(&batch.residual(0)).max(peak(&batch.residual(1)));
        (results, peak)
    };
    let (bare, grown) = run(None);
    assert!(bare[0].stop.is_divergence());
    let rounds = |r: &[ChannelClean]| r[0].minor.len().max(r[1].minor.len());
    let group_peak = |r: &[ChannelClean], k: usize| {
        r[0].minor[k].start_peak_res.max(r[1].minor[k].start_peak_res)
    };
    let least = (0..rounds(&bare)).map(|k| group_peak(&bare, k)).fold(f32::MAX, f32::min);
    let (results, kept) = run(Some(0));
    assert!(kept == least && kept < grown, "{kept} {least} {grown}");
    assert_eq!(results[0].minor.len(), results[1].minor.len());
    assert_eq!(results[0].majors, results[1].majors);
    assert!(results[0].rollback.is_some() && results[1].rollback.is_some());
    assert_eq!(results[2].rollback, None, "nothing was given up where there is nothing");
    let (_, retried) = run(Some(4));
    assert!(retried <= least, "{retried} {least}");
}

#[test]
fn what_is_not_finite_goes_back_too() {
    for times in [f32::INFINITY, f32::NAN, 1e38] {
        let response = match times {
            t if t.is_nan() => seen!(f32::NAN),
            t if t.is_infinite() => seen!(f32::INFINITY),
            _ => seen!(1e38),
        };
        let mut batch = synthetic(response);
        let result = batch.clean(&retrying(1), &everywhere()).remove(0);
        assert_eq!(result.stop, StopCode::GrewSincePrevious);
        let kept = peak(&batch.residual(0));
        assert!(batch.residual(0).iter().all(|v| v.is_finite()));
        let rollback = result.rollback.unwrap();
        assert_eq!((rollback.retries, rollback.peak), (1, kept));
        // (A peak of 1e37 is finite, and grown.)
        assert!(rollback.peak_given_up.is_nan() || rollback.peak_given_up >= 1e30, "{rollback:?}");
        assert!(kept < 1.01, "{kept}");
    }
}

#[test]
fn a_minor_cycle_that_blows_up_goes_back() {
    // A PSF with sidelobes far above its peak: every component leaves more than it takes away.
    let mut batch = Synthetic::new(&[BRIGHT]);
    let mut psf = batch.psf(0);
    psf[N / 2 * N + 16] = 5.0;
    psf[N / 2 * N + 48] = 5.0;
    batch.set_psf(0, &psf);
    let before = peak(&batch.residual(0));
    let dirty = batch.residual(0);
    let endless = CleanParams { niter: 1_000_000, maxpsffraction: 0.1, ..retrying(2) };
    let result = batch.clean(&endless, &everywhere()).remove(0);
    assert!(result.stop.is_divergence(), "{:?}", result.stop);
    let rollback = result.rollback.unwrap();
    assert!(rollback.iterations_given_up > 100, "{rollback:?}");
    assert_eq!(rollback.peak, before);
    assert_eq!(batch.residual(0), dirty);
    assert!(batch.model(0).iter().all(|&v| v == 0.0));
}

#[test]
fn a_minor_cycle_that_blows_up_within_niter_goes_back() {
    // It takes all components that are allowed, which tclean calls the iteration limit.
    let run = |retries: Option<usize>| {
        let mut batch = Synthetic::new(&[BRIGHT]);
        let mut psf = batch.psf(0);
        psf[N / 2 * N + 16] = 5.0;
        psf[N / 2 * N + 48] = 5.0;
        batch.set_psf(0, &psf);
        let limited = CleanParams { niter: 200, maxpsffraction: 0.1, ..retrying(retries) };
        let result = batch.clean(&limited, &everywhere()).remove(0);
        (result, peak(&batch.residual(0)))
    };
    let (bare, grown) = run(None);
    assert_eq!((bare.stop, bare.rollback), (StopCode::IterationLimit, None));
    assert!(grown > 10.0, "{grown}");
    let (result, kept) = run(Some(0));
    assert_eq!((result.stop, result.iterations), (StopCode::IterationLimit, 0));
    assert!(kept <= bare.minor[0].start_peak_res);
    assert_eq!(result.rollback.unwrap().peak_given_up, grown);
}

#[test]
fn a_starting_model_is_what_it_goes_back_to() {
    let mut batch = synthetic(seen!(9.0));
    let mut start = vec![0.0; N * N];
    start[30 * N + 18] = 0.9;
    batch.set_model(0, &start).unwrap();
    batch.make_residual(&[0]).unwrap();
    let residual = batch.residual(0);
    // The bad source is the brightest now, so that the first cycle is a step for the worse.
    let result = batch.clean(&retrying(0), &everywhere()).remove(0);
    assert!(result.stop.is_divergence());
    assert_eq!(result.iterations, 0);
    assert_eq!(batch.model(0), start);
    assert_eq!(batch.residual(0), residual);
}

#[test]
fn the_fraction_that_cycles_go_down_to_doubles() {
    // Sidelobes of 1 %: minpsffraction is what counts, so that it is what doubles.
    let quiet = CleanParams { minpsffraction: 0.05, ..retrying(2) };
    let first = rollback::Pace::new(&quiet);
    let second = first.slower(&quiet, 0.01);
    assert_eq!((second.gain, second.cyclefactor), (0.05, 10.0));
    let level = control::cyclethreshold(&quiet, second.cyclefactor, 0.01, 1.0);
    assert!((level - 0.1).abs() < 1e-6, "{level}");
    let third = second.slower(&quiet, 0.01);
    assert_eq!((third.gain, third.cyclefactor), (0.025, 20.0));
    assert_eq!(first.slower(&quiet, 0.2).cyclefactor, 2.0);
}

/// The same planes give the same components on both backends, what is given up and tried again included.
#[test]
fn backends_go_back_to_the_same() {
    let responses: [fn(usize) -> f32; 3] = [seen!(3.0), seen!(9.0), seen!(f32::INFINITY)];
    for response in responses {
        let mut cpu = synthetic(response);
        let mut gpu = Synthetic::on(gpu_with(GpuOptions::default()), &[MIXED]);
        gpu.response = response;
        let ours = cpu.clean(&retrying(2), &everywhere()).remove(0);
        let theirs = gpu.clean(&retrying(2), &everywhere()).remove(0);
        assert!(ours.rollback.is_some());
        assert_eq!(format!("{:?}", ours.rollback), format!("{:?}", theirs.rollback));
        assert_eq!((ours.stop, ours.minor), (theirs.stop, theirs.minor));
        assert_eq!(cpu.model(0), gpu.model(0));
        assert_eq!(cpu.residual(0), gpu.residual(0));
    }
}
