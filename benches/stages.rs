//! Times every stage of both backends alone, call by call, by the wall clock: what the trait costs
//! its caller, beside the device's own time where it keeps one. `cubeclean bench` times the stages
//! within the job.
//!
//! `cargo bench --bench stages -- [--device NAME] [--pixels N] [--channels N] [--rows N]
//! [--mask-fraction F]`
//!
//! Without `--device` the CPU alone is measured, and a GPU where there is hardware.

use std::time::{Duration, Instant};

use cubeclean::{
    Result,
    backend::{
        Backend, Clock, MinorControl, MinorResult, Peak, Source, Stage,
        cpu::CpuBackend,
        gpu::{Gpu, GpuOptions, adapters},
    },
    bench::{Job, Synthetic},
};

/// How long a stage is repeated for, at least three times.
const LONG_ENOUGH: Duration = Duration::from_millis(500);

/// What a stage's closure is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    /// To put back what the stage alters, if that matters; not timed.
    Prepare,
    /// To run the stage.
    Run,
}

/// Repeats a call, and prints medians: wall time until the backend is done, and the device's time. Gives
/// the former, ms a channel.
fn report<B: Backend>(
    backend: &B,
    channels: usize,
    (label, stage): (&str, Stage),
    call: &mut dyn FnMut(Ask) -> Result<()>,
) -> Result<f64> {
    backend.enter(None);
    // The first call compiles shaders.
    call(Ask::Prepare)?;
    call(Ask::Run)?;
    backend.finish()?;
    backend.take_stage_times();
    let (mut walls, mut devices) = (Vec::new(), Vec::new());
    let start = Instant::now();
    while walls.len() < 3 || start.elapsed() < LONG_ENOUGH {
        call(Ask::Prepare)?;
        backend.finish()?;
        let begin = Instant::now();
        backend.enter(Some(stage));
        call(Ask::Run)?;
        backend.enter(None);
        backend.finish()?;
        walls.push(begin.elapsed());
        devices.push(backend.take_stage_times().of(stage));
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3 / channels as f64
    };
    let wall = median(&mut walls);
    print!("  {label:<16} {wall:10.3}");
    if backend.clock() == Clock::Device {
        print!("   device {:10.3}", median(&mut devices));
    }
    println!("   ({} calls)", walls.len());
    Ok(wall)
}

/// Every stage of one backend, in the order of the flow.
fn stages<B: Backend>(backend: &B, made: &Synthetic) -> Result<()> {
    let Synthetic { job, plan, block, .. } = made;
    let n = job.channels;
    let all: Vec<usize> = (0..n).collect();
    let planes = || backend.zeros(n, job.pixels, job.pixels);
    println!("\n{}, ms a channel and pass", backend.name());
    let report = |label: &str, stage, call: &mut dyn FnMut(Ask) -> Result<()>| {
        report(backend, n, (label, stage), call).map(drop)
    };
    /// For stages that leave their input alone.
    fn plain(mut call: impl FnMut() -> Result<()>) -> impl FnMut(Ask) -> Result<()> {
        move |ask| if ask == Ask::Run { call() } else { Ok(()) }
    }

    report("samples", Stage::Samples, &mut plain(|| backend.samples(plan, block).map(drop)))?;
    let mut samples = backend.samples(plan, block)?;
    let mut grids = backend.grids(plan, n)?;
    let (mut psf, mut residual, mut model) = (planes()?, planes()?, planes()?);
    let factors: Vec<f32> = backend.sumwt(&samples).iter().map(|w| (1.0 / w) as f32).collect();
    for (source, target) in [(Source::Weights, &mut psf), (Source::Data, &mut residual)] {
        for pass in 0..plan.passes.len() {
            backend.grid(plan, pass, &samples, source, &all, &mut grids)?;
            backend.fft_adjoint(plan, &mut grids, n)?;
            backend.correct_adjoint(plan, pass, &grids, &all, target)?;
        }
        backend.normalise(target, &all, &factors)?;
    }

    report(
        "grid",
        Stage::Grid,
        &mut plain(|| backend.grid(plan, 0, &samples, Source::Residual, &all, &mut grids)),
    )?;
    // Transforms work in place: their own output is no input for them.
    report("fft adjoint", Stage::Fft, &mut |ask| match ask {
        Ask::Prepare => backend.grid(plan, 0, &samples, Source::Residual, &all, &mut grids),
        Ask::Run => backend.fft_adjoint(plan, &mut grids, n),
    })?;
    report(
        "correct adjoint",
        Stage::Correct,
        &mut plain(|| backend.correct_adjoint(plan, 0, &grids, &all, &mut model)),
    )?;
    let ones = vec![1.0; n];
    report(
        "normalise",
        Stage::Normalise,
        &mut plain(|| backend.normalise(&mut model, &all, &ones)),
    )?;
    report(
        "correct forward",
        Stage::Correct,
        &mut plain(|| backend.correct_forward(plan, 0, &residual, &all, &mut grids)),
    )?;
    report("fft forward", Stage::Fft, &mut |ask| match ask {
        Ask::Prepare => backend.correct_forward(plan, 0, &residual, &all, &mut grids),
        Ask::Run => backend.fft_forward(plan, &mut grids, n),
    })?;
    report(
        "degrid",
        Stage::Degrid,
        &mut plain(|| backend.degrid(plan, 0, &grids, &all, &mut samples)),
    )?;
    backend.clear(&mut model, &all)?;
    deep(backend, made, (&mut residual, &psf, &mut model), &all)?;
    minor(backend, made, (&mut residual, &psf, &mut model), &all)
}

/// A minor cycle down to this fraction of the residual's peak.
const DEPTH: f32 = 0.05;

/// Hogbom's and Clark's loops from the same residual down to the same level.
fn deep<B: Backend>(
    backend: &B,
    made: &Synthetic,
    (residual, psf, model): (&mut B::Planes, &B::Planes, &mut B::Planes),
    all: &[usize],
) -> Result<()> {
    let pixels = made.job.pixels;
    let mut start = backend.zeros(all.len(), pixels, pixels)?;
    backend.copy(residual, &mut start, all)?;
    let asked: Vec<_> = all.iter().map(|&channel| (channel, &made.mask)).collect();
    let peaks = backend.peak(residual, &asked)?;
    let control = |(&channel, peak): (&usize, &Option<Peak>)| MinorControl {
        channel,
        mask: &made.mask,
        gain: 0.1,
        threshold: DEPTH * peak.map_or(0.0, |p| p.value.abs()),
        max_iter: 100_000,
        keep_residual: false,
    };
    let controls: Vec<_> = all.iter().zip(&peaks).map(control).collect();
    let mut walls = Vec::new();
    for name in ["hogbom", "clark"] {
        let mut results: Vec<MinorResult> = Vec::new();
        let label = format!("{name} to {} %", 100.0 * DEPTH);
        walls.push(report(backend, all.len(), (&label, Stage::Minor), &mut |ask| match ask {
            Ask::Prepare => {
                backend.copy(&start, residual, all)?;
                backend.clear(model, all)
            }
            Ask::Run => {
                results = match name {
                    "clark" => backend.clark(residual, psf, model, &controls)?,
                    _ => backend.hogbom(residual, psf, model, &controls)?,
                };
                Ok(())
            }
        })?);
        let components: usize = results.iter().map(|r| r.components.len()).sum();
        println!("    {components} components, {} pixels in the mask", made.mask.count());
    }
    println!("    clark / hogbom: {:.2}", walls[1] / walls[0]);
    Ok(())
}

/// The minor cycle.
fn minor<B: Backend>(
    backend: &B,
    made: &Synthetic,
    (residual, psf, model): (&mut B::Planes, &B::Planes, &mut B::Planes),
    all: &[usize],
) -> Result<()> {
    let max_iter = made.job.iterations;
    let control = |&channel: &usize| MinorControl {
        channel,
        mask: &made.mask,
        gain: 0.1,
        threshold: 0.0,
        max_iter,
        keep_residual: false,
    };
    let controls: Vec<_> = all.iter().map(control).collect();
    let label = format!("minor, {max_iter} iter");
    report(backend, all.len(), (&label, Stage::Minor), &mut |ask| match ask {
        Ask::Prepare => Ok(()),
        Ask::Run => backend.hogbom(residual, psf, model, &controls).map(drop),
    })
    .map(drop)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|a| a == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name, default| value(name).and_then(|v| v.parse().ok()).unwrap_or(default);
    let size = Job::default();
    let job = Job {
        pixels: number("--pixels", size.pixels),
        channels: number("--channels", size.channels),
        rows: number("--rows", size.rows),
        mask_fraction: value("--mask-fraction")
            .and_then(|v| v.parse().ok())
            .unwrap_or(size.mask_fraction),
        ..size
    };
    let made = Synthetic::new(&job)?;
    println!(
        "{0} x {0} pixels, {1} channels, {2} rows, {3} passes",
        job.pixels,
        job.channels,
        job.rows,
        made.plan.passes.len()
    );
    stages(&CpuBackend, &made)?;
    let device = value("--device");
    if device.is_some() || adapters().iter().any(|a| !a.software && a.unfit.is_none()) {
        let gpu = Gpu::open(&GpuOptions { device, ..GpuOptions::default() })?;
        stages(&gpu, &made)?;
    }
    Ok(())
}
