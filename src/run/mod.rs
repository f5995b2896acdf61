//! The whole job, from top to bottom: plan, admit, then batch by batch read, weight, image, clean,
//! restore and write.

mod admission;
mod batch;
mod batches;
mod choice;
mod earlier;
mod estimate;
mod journal;
mod machine;
mod masks;
mod part;
mod performance;
mod plan;
mod pool;
mod products;
mod sampler;
mod share;
mod source;
mod stoppable;
mod summary;
#[cfg(test)]
mod tests;
mod timers;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use batch::{Job, RestoringBeams};
pub(crate) use machine::free_memory;

use batches::{Batches, Limits};
use choice::Processor;
use earlier::Earlier;
use part::{End, Part};
use plan::Plan;
use pool::Pool;
use products::Products;
use sampler::{Counters, Sampler};
use share::share;
use source::Source;
use timers::Timers;

pub use admission::{Admission, ProductSize, Purpose, Reading};
pub use batches::HostMemory;
pub(crate) use batches::readable;
pub use estimate::{Estimate, estimate};

use crate::{
    backend::{Backend, Memory, Traffic, cpu::CpuBackend},
    beam::{Beam, beam_outliers, common_beam},
    clean::{self, CleanParams, Scope},
    config::{CommonBeamOutliers, Config, CycleControl, MaskChoice, Restart, RestoringBeam},
    error::Result,
    report::{Bus, Event, Performance, Progress, Resources, Summary},
    weighting::Weighting,
};

/// Images a MeasurementSet as `config` says, and writes the products.
///
/// Work runs in the rayon pool of the caller; products do not depend on its number of threads, nor
/// on the memory limits, nor on how many devices of a kind share the work.
///
/// # Errors
/// Whatever stands in the way, before anything is written where possible;
/// [`Error::Stopped`](crate::Error::Stopped) after a signal.
pub fn image(config: &Config, progress: &dyn Progress) -> Result<Summary> {
    let watch = Watch::new();
    part::check_free(config)?;
    performance::check(config)?;
    let planned = plan(config, progress)?;
    match &planned.processor {
        Processor::Cpu => run(&planned, &[CpuBackend], progress, watch),
        Processor::Gpus(gpus) => run(&planned, gpus, progress, watch),
    }
}

/// What imaging a MeasurementSet as `config` says would take of the machine; nothing is written.
///
/// # Errors
/// Those of [`image`] that are known before it begins.
pub fn admit(config: &Config, progress: &dyn Progress) -> Result<Admission> {
    part::check_free(config)?;
    performance::check_free(config)?;
    let planned = plan(config, progress)?;
    let admission = match &planned.processor {
        Processor::Cpu => planned.batches(&[CpuBackend], progress)?.1,
        Processor::Gpus(gpus) => planned.batches(gpus, progress)?.1,
    };
    Ok(admission)
}

/// Reads metadata and chooses what computes.
fn plan<'a>(config: &'a Config, progress: &dyn Progress) -> Result<Planned<'a>> {
    progress.event(Event::Stage { name: "reading metadata".into() });
    let plan = Plan::new(config)?;
    for message in &plan.warnings {
        progress.event(Event::Warning { message: message.clone() });
    }
    let earlier = Earlier::open(config, &plan)?;
    if let Some(name) = earlier.describe() {
        progress.event(Event::Stage { name });
    }
    let limits = Limits {
        host: config.memory_limit.unwrap_or_else(free_memory),
        whole_cube: config.cyclecontrol == CycleControl::Cube,
        to_go_back: clean::bytes_to_go_back(&clean_params(config), &plan.grid),
        clean_planes: clean_planes(config),
        restore_planes: restore_planes(config),
        passes: admission::purposes(config).len() as u64,
        disk: admission::disk_to_spare(config, &plan)?,
    };
    let (processor, reason) = choice::choose(config, &plan, &limits)?;
    Ok(Planned { config, plan, earlier, limits, processor, reason })
}

/// Planes that a thread takes to clean a channel: the residual within the mask; to find a mask, the smoothed
/// residual, regions, and values to take statistics of.
fn clean_planes(config: &Config) -> usize {
    match config.mask {
        _ if config.niter == 0 => 0,
        MaskChoice::Auto(_) => 4,
        _ => 1,
    }
}

/// Planes that a thread takes to restore a channel, where there may be something to convolve: two spectra, one of
/// them in two orders while it is made, and the padded plane that it is made of.
fn restore_planes(config: &Config) -> usize {
    let Restart { continues, startmodel, .. } = &config.restart;
    let has_model = config.niter > 0 || *continues || startmodel.is_some();
    let keeps_beams = config.restoringbeam == RestoringBeam::PerChannel;
    if config.restoration && (has_model || !keeps_beams) { 5 } else { 0 }
}

/// What is measured from a run's first moment on.
struct Watch {
    started: Instant,
    before: Option<Counters>,
    sampler: Sampler,
}

impl Watch {
    fn new() -> Self {
        let before = Counters::now();
        Self { started: Instant::now(), before, sampler: Sampler::start("planning") }
    }
}

/// A job that is planned but for its batches.
struct Planned<'a> {
    config: &'a Config,
    plan: Plan,
    earlier: Earlier,
    limits: Limits,
    processor: Processor,
    /// Why it runs on this one.
    reason: String,
}

impl Planned<'_> {
    /// The batches for devices of one kind, which share them, and what all that takes; refused if it is not
    /// there.
    fn batches<B: Backend>(
        &self,
        devices: &[B],
        progress: &dyn Progress,
    ) -> Result<(Batches, Admission)> {
        let names: Vec<String> = devices.iter().map(Backend::name).collect();
        let name = names.join(" + ");
        progress.event(Event::Backend { name: name.clone(), reason: self.reason.clone() });
        let warn = |message: String| progress.event(Event::Warning { message });
        if self.limits.whole_cube && devices.len() > 1 {
            warn(format!("--cyclecontrol cube needs all channels on one device: {}", names[0]));
        }
        if names.iter().any(|name| *name != names[0]) {
            warn(
                "the devices are of different kinds and may round differently: run again, a channel may be \
                 done by another one"
                    .into(),
            );
        }
        let batches = Batches::new(&self.plan, devices, &self.limits)?;
        let admission = Admission::new(self.config, &self.plan, &batches, &self.limits, &name)?;
        if let Some(message) = admission.check()? {
            warn(message);
        }
        let channels = self.plan.nchan();
        progress.event(Event::Planned { channels, message: admission.to_string() });
        Ok((batches, admission))
    }
}

/// Runs a plan on devices of one kind, which share the batches.
fn run<B: Backend>(
    planned: &Planned<'_>,
    devices: &[B],
    progress: &dyn Progress,
    watch: Watch,
) -> Result<Summary> {
    let Planned { config, plan, earlier, .. } = planned;
    let (batches, admission) = planned.batches(devices, progress)?;
    let masks = masks::policy(config, plan, earlier)?;
    // The CPU's bits depend neither on its kind nor on the number of threads.
    let name = devices[0].name();
    let device = if devices[0].memory() == Memory::Host { "cpu" } else { &name };
    let part = Part::open(config, plan, device, progress)?;
    let timers = Timers::default();
    let check = || stoppable::check_stop(config, progress);
    // Passes that prepare the cube are about all of its channels.
    let channels = match planned.limits.passes {
        1 => part.channels.clone(),
        _ => 0..plan.nchan(),
    };
    let directory = admission.directory.clone();
    let mut job = Job {
        config,
        plan,
        earlier,
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
        journal: Arc::clone(&part.journal),
        progress,
        channels: part.channels.len(),
        channels_done: AtomicUsize::new(0),
        writers: Pool::new("writer")?,
        source: Source::new(plan, &batches.blocks, channels, directory, &timers, &check)?,
        sampler: &watch.sampler,
        timers: &timers,
    };
    let resumed_channels = part.before.done.range(part.channels.clone()).count();
    let end = match part.before.completed {
        true => part.publish_rest()?,
        false => image_part(&mut job, part, devices)?,
    };
    report_bad_data(&job);
    conclude(planned, devices, &admission, &job, (end, resumed_channels), &watch)
}

/// Sums a run up, writes its summary and report, and forgets its journal if the cube is complete.
fn conclude<B: Backend>(
    planned: &Planned<'_>,
    devices: &[B],
    admission: &Admission,
    job: &Job<'_>,
    (end, resumed_channels): (End, usize),
    watch: &Watch,
) -> Result<Summary> {
    let Planned { config, plan, reason, .. } = planned;
    let (paths, channels, unfinished, claim) = match end {
        End::Complete { paths, channels, claim } => (paths, channels, None, Some(claim)),
        End::Unfinished { channels, missing } => (Vec::new(), channels, Some(missing), None),
    };
    let mut summary = Summary {
        command: config.command.clone(),
        control: summary::control(config),
        channels,
        unfinished,
        resources: Resources {
            backend: admission.backend.clone(),
            backend_reason: reason.clone(),
            bus: bus(devices, job),
            seconds: watch.started.elapsed().as_secs_f64(),
            stages: job.timers.stages(),
            clock: devices.first().map(B::clock).unwrap_or_default(),
            bytes_read: job.timers.read().bytes_read,
            bytes_written: job.timers.written(),
            bytes_on_disk: machine::bytes_on_disk(&paths),
            peak_rss: machine::peak_rss(),
            peak_device: devices.iter().filter_map(Backend::peak_memory).max(),
        },
        products: paths,
        performance: Performance::default(),
    };
    summary.performance = performance::Measured {
        config,
        plan,
        admission,
        timers: job.timers,
        observed: watch.sampler.stop(),
        before: watch.before,
        resumed_channels,
        devices: devices.len(),
    }
    .performance(&summary);
    performance::write(config, &summary.performance)?;
    if let Some(claim) = claim {
        summary::write(config, &summary)?;
        // Last of all: a run that is killed before this can still be resumed.
        job.journal.remove(claim)?;
    }
    for message in summary.notes() {
        job.progress.event(Event::Warning { message });
    }
    job.progress.event(Event::Finished { seconds: summary.resources.seconds });
    Ok(summary)
}

/// Images the channels of a part that are not done yet, and completes the cube if they are its last.
fn image_part<B: Backend>(job: &mut Job<'_>, mut part: Part<'_>, devices: &[B]) -> Result<End> {
    let prepared = prepare(job, &part, devices);
    let known = match prepared {
        Ok(known) => known,
        Err(error) => {
            part.give_up(&error);
            return Err(error);
        }
    };
    let products = part.products(job.plan)?;
    let to_do = job.batches.of(&part.to_do());
    job.channels_done.store(part.finished_before(), Ordering::Relaxed);
    job.sampler.phase("imaging");
    let imaged = image_batches(job, devices, &to_do, known.as_deref(), &products);
    job.timers.add_written(products.bytes_written());
    if let Err(error) = imaged {
        part.keep_or_give_up(products, &error);
        return Err(error);
    }
    job.progress.event(Event::Stage { name: "completing the products".into() });
    job.sampler.phase("completing");
    let start = Instant::now();
    let end = part.finish(products);
    job.timers.add("complete", start.elapsed());
    end
}

/// What has to be known of the whole cube before its first channel is imaged: densities, beams.
fn prepare<B: Backend>(
    job: &mut Job<'_>,
    part: &Part<'_>,
    devices: &[B],
) -> Result<Option<Vec<Option<Beam>>>> {
    job.sampler.phase("preparing");
    job.density = cube_density(job)?;
    let whole = job.batches.channels.len() == 1 && part.to_do().len() == job.plan.nchan();
    if whole || part.before.beams.is_some() {
        return Ok(part.before.beams.clone().filter(|_| !whole));
    }
    let known = beams_in_advance(job, devices)?;
    if let Some(beams) = &known {
        job.journal.beams(beams)?;
    }
    Ok(known)
}

/// Images batches and writes the planes of their channels.
fn image_batches<B: Backend>(
    job: &Job<'_>,
    devices: &[B],
    batches: &[Range<usize>],
    known: Option<&[Option<Beam>]>,
    products: &Products,
) -> Result<()> {
    share(
        devices,
        batches.len(),
        &job.writers,
        |device, batch| {
            let begun = Instant::now();
            let channels = batches[batch].clone();
            let cleaned = job.clean_batch(device, channels.clone())?;
            let restoring = restoring_beams(job.config, known, &cleaned.results);
            let planes = job.leave(cleaned, products)?;
            job.timers.add_batch(channels, begun);
            // The device goes on with the next batch while the host restores and writes.
            Ok((planes, restoring))
        },
        |(planes, restoring)| job.write_finished(planes, &restoring, products),
    )
    .map(drop)
}

/// What crossed between host and devices, if there are any.
fn bus<B: Backend>(devices: &[B], job: &Job<'_>) -> Option<Bus> {
    let mut total: Option<Traffic> = None;
    for traffic in devices.iter().filter_map(Backend::traffic) {
        total.get_or_insert_default().add(&traffic);
    }
    total.map(|total| Bus { total, clean: job.timers.clean_traffic() })
}

/// The density of the whole cube, where weights need it: a pass over the data of its own.
fn cube_density(job: &Job<'_>) -> Result<Option<crate::weighting::CubeDensity>> {
    let highest = job.plan.operator.freq_range_hz.1;
    let Some(mut density) = job.weighting.cube_density(&job.plan.rows, highest) else {
        return Ok(None);
    };
    job.progress.event(Event::Stage { name: "weight density of the cube".into() });
    job.sampler.phase("density pass");
    for range in &job.batches.channels {
        job.check_stop()?;
        density.add(&job.load(range.clone())?);
    }
    Ok(Some(density))
}

/// The fitted beams of all channels, where the first batch can only be restored once they are known: for a
/// common beam, where the batch is not the whole cube.
fn beams_in_advance<B: Backend>(job: &Job<'_>, devices: &[B]) -> Result<Option<Vec<Option<Beam>>>> {
    let common = job.config.restoration && job.config.restoringbeam == RestoringBeam::Common;
    if !common {
        return Ok(None);
    }
    job.progress.event(Event::Stage { name: "PSFs for the common beam".into() });
    job.sampler.phase("PSF pass");
    let batches = &job.batches.channels;
    let fit = |device: &B, batch: usize| job.fit_beams(device, batches[batch].clone());
    let beams = share(devices, batches.len(), &job.writers, fit, Ok)?;
    Ok(Some(beams.concat()))
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
        RestoringBeam::Explicit(beam) => RestoringBeams::Same { beam, without: Vec::new() },
        RestoringBeam::Common => {
            let of_batch: Vec<Option<Beam>>;
            let beams = match known {
                Some(beams) => beams,
                None => {
                    of_batch = batch.iter().map(|c| c.beam.as_ref().ok().copied()).collect();
                    &of_batch
                }
            };
            common_of(beams, config.common_beam_outliers)
        }
    }
}

/// The common beam of the whole cube's channels, without its outliers unless they are to be included.
fn common_of(beams: &[Option<Beam>], outliers: CommonBeamOutliers) -> RestoringBeams {
    let without = match outliers {
        CommonBeamOutliers::Exclude => beam_outliers(beams),
        CommonBeamOutliers::Include => Vec::new(),
    };
    let counts = |(i, _): &(usize, &Option<Beam>)| without.binary_search(i).is_err();
    let common = common_beam(beams.iter().enumerate().filter(counts).filter_map(|(_, b)| *b));
    common.map_or(RestoringBeams::PerChannel, |beam| RestoringBeams::Same { beam, without })
}

fn clean_params(config: &Config) -> CleanParams {
    CleanParams {
        deconvolver: config.deconvolver.clone(),
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
        divergence_retries: config.divergence_retries,
    }
}

/// Says what was left out of the images because it could not be right.
fn report_bad_data(job: &Job<'_>) {
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
}
