//! Runs a job on one backend, and times it.

use std::time::{Duration, Instant};

use super::Synthetic;
use crate::{
    backend::{Backend, Batch, Clock, Deconvolver, MinorControl, Stage, StageTimes},
    error::Result,
};

/// Hogbom's loop gain.
const GAIN: f32 = 0.1;

/// Wall times of what a job consists of, from the first call until the device is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Point spread functions.
    pub psf: Duration,
    /// Dirty images.
    pub dirty: Duration,
    /// Minor cycles.
    pub minor: Duration,
    /// Prediction from the model, and residuals.
    pub cycle: Duration,
}

/// What a backend did.
#[derive(Debug)]
pub struct Measured {
    /// The backend's name.
    pub name: String,
    /// What [`Measured::stages`] are.
    pub clock: Clock,
    /// Median over the runs, of each stage; all channels together.
    pub stages: StageTimes,
    /// Median over the runs, of each step; all channels together.
    pub steps: Steps,
    /// Hogbom iterations of all channels together.
    pub iterations: usize,
    /// Planes of the channels that are compared.
    pub(super) kept: Vec<Kept>,
}

/// A channel's products.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) psf: Vec<f32>,
    pub(super) dirty: Vec<f32>,
    pub(super) residual: Vec<f32>,
    pub(super) components: Vec<(u32, f32)>,
}

/// Runs a job `repeat` times after one run to warm up (compilation of shaders, first touch of
/// memory), and takes medians.
///
/// # Errors
/// The backend's.
pub fn measure<B: Backend>(
    backend: &B,
    synthetic: &Synthetic,
    repeat: usize,
    say: &dyn Fn(&str),
) -> Result<Measured> {
    let Synthetic { job, plan, block, .. } = synthetic;
    // The plan sorts rows once, for all backends: not for any of them to pay.
    for layer in &block.layers {
        plan.bins(&layer.freq_hz)?;
    }
    let samples = (0..repeat)
        .map(|_| {
            let start = Instant::now();
            drop(backend.samples(plan, block)?);
            backend.finish()?;
            Ok(start.elapsed())
        })
        .collect::<Result<Vec<_>>>()?;
    let mut batch = Batch::new(backend, plan, block, job.grids)?;
    // Where stages only record, the wait that makes their wall times true is here and nowhere else.
    batch.run_in_turn(backend.clock() == Clock::Recording);

    let mut runs = Vec::new();
    let mut last = None;
    for run in 0..=repeat {
        let name = backend.name();
        say(&match run {
            0 => format!("{name}: warming up"),
            _ => format!("{name}: run {run} of {repeat}"),
        });
        let outcome = once(backend, &mut batch, synthetic, run == repeat)?;
        if run > 0 {
            runs.push((outcome.stages, outcome.steps));
        }
        last = Some(outcome);
    }
    let mut stages = StageTimes::default();
    for stage in Stage::ALL {
        stages.add_to(stage, median(runs.iter().map(|(times, _)| times.of(stage))));
    }
    stages.add_to(Stage::Samples, median(samples));
    let step = |of: fn(&Steps) -> Duration| median(runs.iter().map(|(_, steps)| of(steps)));
    let steps = Steps {
        psf: step(|s| s.psf),
        dirty: step(|s| s.dirty),
        minor: step(|s| s.minor),
        cycle: step(|s| s.cycle),
    };
    let (iterations, kept) = last.map_or((0, Vec::new()), |run| (run.iterations, run.kept));
    let (name, clock) = (backend.name(), backend.clock());
    Ok(Measured { name, clock, stages, steps, iterations, kept })
}

/// One run.
struct Run {
    stages: StageTimes,
    steps: Steps,
    iterations: usize,
    kept: Vec<Kept>,
}

fn once<B: Backend>(
    backend: &B,
    batch: &mut Batch<'_, B>,
    synthetic: &Synthetic,
    keep: bool,
) -> Result<Run> {
    let job = &synthetic.job;
    let all: Vec<usize> = (0..batch.len()).collect();
    let empty = vec![0.0; job.pixels * job.pixels];
    for &channel in &all {
        batch.set_model(channel, &empty)?;
    }
    drop(empty);
    backend.finish()?;
    batch.reset_times();

    let wall = |work: &mut dyn FnMut() -> Result<()>| -> Result<Duration> {
        let start = Instant::now();
        work()?;
        backend.finish()?;
        Ok(start.elapsed())
    };
    let psf = wall(&mut || batch.make_psf())?;
    let dirty = wall(&mut || batch.make_residual(&all))?;
    let kept: Vec<usize> = if keep { job.kept() } else { Vec::new() };
    let dirty_planes = kept.iter().map(|&c| batch.residual_plane(c)).collect::<Result<Vec<_>>>()?;

    let controls: Vec<MinorControl<'_>> = all
        .iter()
        .map(|&channel| MinorControl {
            channel,
            mask: &synthetic.mask,
            gain: GAIN,
            threshold: 0.0,
            max_iter: job.iterations,
            keep_residual: false,
        })
        .collect();
    let mut results = Vec::new();
    let minor = wall(&mut || {
        results = batch.minor_cycle(&Deconvolver::Hogbom, &controls)?;
        Ok(())
    })?;
    let cycle = wall(&mut || batch.make_residual(&all))?;
    let stages = batch.times();

    let iterations = results.iter().map(|r| r.components.len()).sum();
    let kept = kept
        .into_iter()
        .zip(dirty_planes)
        .map(|(c, dirty)| {
            Ok(Kept {
                psf: batch.psf_plane(c)?,
                dirty,
                residual: batch.residual_plane(c)?,
                components: std::mem::take(&mut results[c].components),
            })
        })
        .collect::<Result<_>>()?;
    let steps = Steps { psf, dirty, minor, cycle };
    Ok(Run { stages, steps, iterations, kept })
}

/// The middle one, or the mean of the two; zero of none.
fn median(times: impl IntoIterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.into_iter().collect();
    times.sort_unstable();
    match times.len() {
        0 => Duration::ZERO,
        n if n % 2 == 1 => times[n / 2],
        n => (times[n / 2 - 1] + times[n / 2]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let ms = |values: &[u64]| median(values.iter().map(|&v| Duration::from_millis(v)));
        assert_eq!(ms(&[]), Duration::ZERO);
        assert_eq!(ms(&[9, 1, 3]), Duration::from_millis(3));
        assert_eq!(ms(&[9, 1, 3, 5]), Duration::from_millis(4));
    }
}
