//! Times are attributed to the stages that recorded the work, whatever the submissions.

use std::time::{Duration, Instant};

use super::MARKS;
use crate::{
    Result,
    backend::{
        Clock, PlaneStore, Stage, StageTimes, Transform,
        gpu::{Gpu, GpuOptions, tests::gpu},
    },
    bench::{Job, Synthetic},
    gridding::{OperatorPlan, WTermMode},
};

fn plan(pixels: usize) -> OperatorPlan {
    let job = Job { pixels, channels: 1, rows: 780, wterm: WTermMode::None, ..Job::default() };
    Synthetic::new(&job).unwrap().plan
}

/// Runs what `work` records as a stage.
fn stage(gpu: &Gpu, stage: Stage, work: impl FnOnce() -> Result<()>) {
    gpu.enter(Some(stage));
    work().unwrap();
    gpu.enter(None);
}

/// The stages that took time.
fn seen(times: &StageTimes) -> Vec<&'static str> {
    times.stages().into_iter().filter(|(_, t)| *t > Duration::ZERO).map(|(name, _)| name).collect()
}

/// fft, correct and normalise of two channels.
fn transform(gpu: &Gpu, plan: &OperatorPlan) -> StageTimes {
    let mut grids = gpu.grids(plan, 2).unwrap();
    let mut planes = gpu.zeros(2, plan.image.ny, plan.image.nx).unwrap();
    gpu.finish().unwrap();
    gpu.take_stage_times();
    let start = Instant::now();
    gpu.clear(&mut planes, &[0, 1]).unwrap();
    stage(gpu, Stage::Fft, || gpu.fft_adjoint(plan, &mut grids, 2));
    stage(gpu, Stage::Correct, || gpu.correct_adjoint(plan, 0, &grids, &[0, 1], &mut planes));
    stage(gpu, Stage::Normalise, || gpu.normalise(&mut planes, &[0, 1], &[0.5, 2.0]));
    gpu.finish().unwrap();
    let elapsed = start.elapsed();
    let times = gpu.take_stage_times();
    assert!(times.total() <= elapsed, "{times:?} in {elapsed:?}");
    times
}

#[test]
fn each_stage_has_the_time_of_its_own_work() {
    let gpu = gpu();
    if gpu.clock() != Clock::Device {
        assert_eq!(gpu.clock(), Clock::Recording);
        assert_eq!(seen(&transform(&gpu, &plan(64))), [""; 0]);
        return;
    }
    for pixels in [64, 500] {
        let times = transform(&gpu, &plan(pixels));
        assert_eq!(seen(&times), ["fft", "correct", "normalise"], "{times:?}");
    }
    // Three transforms of 500² are much more than a factor for each pixel, on any device.
    let times = transform(&gpu, &plan(500));
    println!("{gpu:?}: {times:?}");
    assert!(times.of(Stage::Fft) > times.of(Stage::Normalise), "{times:?}");
    // What was taken is gone, and nothing was recorded since.
    assert_eq!(seen(&gpu.take_stage_times()), [""; 0]);
}

#[test]
fn times_come_in_without_waiting_and_none_is_lost() {
    let gpu = gpu();
    let mut planes = gpu.zeros(1, 700, 700).unwrap();
    // More changes of stage than one set of marks holds, in many submissions.
    let mut sum = StageTimes::default();
    for round in 0..2 * MARKS {
        stage(&gpu, Stage::Normalise, || gpu.normalise(&mut planes, &[0], &[1.0]));
        stage(&gpu, Stage::Correct, || gpu.normalise(&mut planes, &[0], &[1.0]));
        if round % 7 == 0 {
            sum.add(&gpu.take_stage_times());
        }
    }
    gpu.finish().unwrap();
    sum.add(&gpu.take_stage_times());
    if gpu.clock() == Clock::Device {
        assert_eq!(seen(&sum), ["correct", "normalise"]);
        // Both did the same.
        let [a, b] = [Stage::Correct, Stage::Normalise].map(|s| sum.of(s).as_secs_f64());
        assert!(a < 5.0 * b && b < 5.0 * a, "{a} s, {b} s");
    }
    assert!(gpu.recorder.sets_of_marks() <= 8);
}

#[test]
fn what_another_thread_records_meanwhile_is_not_the_stages() {
    let gpu = gpu();
    let mut planes = gpu.zeros(1, 64, 64).unwrap();
    let mut others = gpu.zeros(1, 64, 64).unwrap();
    gpu.enter(Some(Stage::Correct));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            gpu.normalise(&mut others, &[0], &[1.0]).unwrap();
            stage(&gpu, Stage::Normalise, || gpu.normalise(&mut others, &[0], &[1.0]));
        });
    });
    gpu.finish().unwrap();
    let expected: &[&str] = if gpu.clock() == Clock::Device { &["normalise"] } else { &[] };
    assert_eq!(seen(&gpu.take_stage_times()), expected);
    gpu.normalise(&mut planes, &[0], &[1.0]).unwrap();
    gpu.finish().unwrap();
    let expected: &[&str] = if gpu.clock() == Clock::Device { &["correct"] } else { &[] };
    assert_eq!(seen(&gpu.take_stage_times()), expected);
}

#[test]
fn a_tight_memory_budget_does_not_count_marks() {
    let memory_bytes = Some(4 * 64 * 64 + (4 << 10));
    let gpu =
        crate::backend::gpu::tests::gpu_with(GpuOptions { memory_bytes, ..GpuOptions::default() });
    let mut planes = gpu.zeros(1, 64, 64).unwrap();
    stage(&gpu, Stage::Normalise, || gpu.normalise(&mut planes, &[0], &[1.0]));
    gpu.finish().unwrap();
}

#[test]
fn a_lost_device_keeps_no_time_and_is_no_panic() {
    let gpu = gpu();
    let mut planes = gpu.zeros(1, 64, 64).unwrap();
    stage(&gpu, Stage::Normalise, || gpu.normalise(&mut planes, &[0], &[1.0]));
    gpu.device.raw.destroy();
    gpu.enter(Some(Stage::Normalise));
    let _ = gpu.normalise(&mut planes, &[0], &[1.0]);
    gpu.take_stage_times();
    assert!(gpu.finish().is_err());
    gpu.take_stage_times();
}
