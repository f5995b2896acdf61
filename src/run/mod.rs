//! The whole job, from top to bottom: plan, admit, then batch by batch read, weight, image, clean,
//! restore and write.

mod batch;
mod machine;
mod masks;
mod plan;
mod products;
mod summary;
mod timers;

use std::{sync::atomic::AtomicUsize, time::Instant};

use batch::{Job, RestoringBeams};
use plan::Plan;
use products::{ProductBeams, Products};
use timers::Timers;

pub(crate) use machine::free_memory;
pub(crate) use plan::readable;

use crate::{
    backend::{Backend, cpu::CpuBackend},
    beam::{Beam, common_beam},
    clean::{CleanParams, Scope},
    config::{BackendChoice, Config, CycleControl, RestoringBeam},
    cube,
    error::{Error, Result},
    report::{ChannelSummary, Event, Progress, Resources, Summary},
    weighting::Weighting,
};

/// Images a MeasurementSet as `config` says, and writes the products.
///
/// Work runs in the rayon pool of the caller; products do not depend on its number of threads, nor
/// on the memory limit.
///
/// # Errors
/// Whatever stands in the way, before anything is written where possible;
/// [`Error::Stopped`] after a signal.
pub fn image(config: &Config, progress: &dyn Progress) -> Result<Summary> {
    let started = Instant::now();
    if !config.overwrite {
        cube::check_absent(&config.imagename, &config.products, &config.formats)?;
    }
    progress.event(Event::Stage { name: "reading metadata".into() });
    let plan = Plan::new(config)?;
    for message in &plan.warnings {
        progress.event(Event::Warning { message: message.clone() });
    }
    match config.backend {
        BackendChoice::Cpu => run(config, &plan, &CpuBackend, progress, started),
        BackendChoice::Gpu => Err(Error::Device {
            device: "--backend gpu".into(),
            problem: "is not complete in this version".into(),
            remedy: "use --backend cpu".into(),
        }),
    }
}

/// Runs a plan on a backend.
fn run<B: Backend>(
    config: &Config,
    plan: &Plan,
    backend: &B,
    progress: &dyn Progress,
    started: Instant,
) -> Result<Summary> {
    let memory = config.memory_limit.unwrap_or_else(machine::free_memory);
    let batches = plan.batches(backend, memory)?;
    if config.cyclecontrol == CycleControl::Cube && batches.channels.len() > 1 {
        return Err(Error::Resources {
            resource: "host memory for --cyclecontrol cube, which needs all channels at once"
                .into(),
            needed: readable(batches.bytes * batches.channels.len() as u64),
            available: readable(memory),
            remedy: "use --cyclecontrol channel, or image fewer channels".into(),
        });
    }
    progress.event(Event::Planned {
        channels: plan.nchan(),
        message: plan.describe(&batches, backend.name()),
    });
    let masks = masks::policy(config, plan)?;
    let mut job = Job {
        config,
        plan,
        backend,
        batches: &batches,
        weighting: Weighting::new(
            config.weighting,
            config.perchanweightdensity,
            config.uvtaper.as_ref(),
            &plan.grid,
            plan.sampling.grid(),
        ),
        density: None,
        clean: clean_params(config),
        masks: &*masks,
        progress,
        channels_done: AtomicUsize::new(0),
        timers: Timers::default(),
    };
    job.density = cube_density(&job)?;
    let known = beams_in_advance(&job)?;
    let products = Products::create(config, &plan.spec)?;
    let mut channels = Vec::with_capacity(plan.nchan());
    let mut restored = None;
    for range in &batches.channels {
        let cleaned = job.clean_batch(range.clone())?;
        let restoring = restoring_beams(config, known.as_deref(), &cleaned.results);
        if let RestoringBeams::Same(beam) = restoring {
            restored = Some(beam);
        }
        channels.extend(job.write_batch(&cleaned, &restoring, &products)?);
    }
    progress.event(Event::Stage { name: "completing the products".into() });
    let fitted = channels.iter().map(|c| c.beam).collect();
    let paths =
        job.timers.time("complete", || products.finish(&ProductBeams { fitted, restored }))?;
    report_bad_data(&job, &channels);
    let summary = Summary {
        command: config.command.clone(),
        control: summary::control(config),
        channels,
        resources: Resources {
            backend: backend.name(),
            seconds: started.elapsed().as_secs_f64(),
            stages: job.timers.stages(),
            bytes_read: job.timers.read().bytes_read,
            bytes_written: machine::bytes_on_disk(&paths),
            peak_rss: machine::peak_rss(),
        },
        products: paths,
    };
    progress.event(Event::Finished { seconds: summary.resources.seconds });
    Ok(summary)
}

/// The density of the whole cube, where weights need it: a pass over the data of its own.
fn cube_density<B: Backend>(job: &Job<'_, B>) -> Result<Option<crate::weighting::CubeDensity>> {
    let highest = job.plan.operator.freq_range_hz.1;
    let Some(mut density) = job.weighting.cube_density(&job.plan.rows, highest) else {
        return Ok(None);
    };
    job.progress.event(Event::Stage { name: "weight density of the cube".into() });
    for range in &job.batches.channels {
        job.check_stop()?;
        density.add(&job.load(range.clone())?);
    }
    Ok(Some(density))
}

/// The fitted beams of all channels, where the first batch can only be restored once they are known:
/// a common beam, and more than one batch.
fn beams_in_advance<B: Backend>(job: &Job<'_, B>) -> Result<Option<Vec<Option<Beam>>>> {
    let common = job.config.restoration && job.config.restoringbeam == RestoringBeam::Common;
    if !common || job.batches.channels.len() == 1 {
        return Ok(None);
    }
    job.progress.event(Event::Stage { name: "PSFs for the common beam".into() });
    let mut beams = Vec::with_capacity(job.plan.nchan());
    for range in &job.batches.channels {
        job.check_stop()?;
        beams.extend(job.fit_beams(range.clone())?);
    }
    Ok(Some(beams))
}

/// The beams to restore with. `known` are all channels' where there are several batches; `batch` are
/// the results of the batch in hand, which is the whole cube otherwise.
fn restoring_beams(
    config: &Config,
    known: Option<&[Option<Beam>]>,
    batch: &[crate::clean::ChannelClean],
) -> RestoringBeams {
    match config.restoringbeam {
        RestoringBeam::PerChannel => RestoringBeams::PerChannel,
        RestoringBeam::Explicit(beam) => RestoringBeams::Same(beam),
        RestoringBeam::Common => {
            let common = match known {
                Some(beams) => common_beam(beams.iter().copied().flatten()),
                None => common_beam(batch.iter().filter_map(|c| c.beam.as_ref().ok().copied())),
            };
            common.map_or(RestoringBeams::PerChannel, RestoringBeams::Same)
        }
    }
}

fn clean_params(config: &Config) -> CleanParams {
    CleanParams {
        niter: config.niter,
        gain: config.gain as f32,
        threshold: config.threshold as f32,
        nsigma: config.nsigma as f32,
        cycleniter: config.cycleniter,
        cyclefactor: config.cyclefactor as f32,
        minpsffraction: config.minpsffraction as f32,
        maxpsffraction: config.maxpsffraction as f32,
        nmajor: config.nmajor,
        psfcutoff: config.psfcutoff,
        scope: match config.cyclecontrol {
            CycleControl::Channel => Scope::Channel,
            CycleControl::Cube => Scope::Cube,
        },
    }
}

/// Says what was left out of the images because it could not be right.
fn report_bad_data<B: Backend>(job: &Job<'_, B>, channels: &[ChannelSummary]) {
    let read = job.timers.read();
    let warn = |message: String| job.progress.event(Event::Warning { message });
    if read.non_finite > 0 {
        warn(format!("{} unflagged samples are not finite and were left out", read.non_finite));
    }
    if read.bad_weight > 0 {
        warn(format!(
            "{} unflagged samples have a negative or non-finite weight and were left out",
            read.bad_weight
        ));
    }
    let empty: Vec<String> =
        channels.iter().filter(|c| c.sumwt <= 0.0).map(|c| c.channel.to_string()).collect();
    if !empty.is_empty() {
        warn(format!("no data in {} channels: {}", empty.len(), empty.join(", ")));
    }
}
