//! The performance report of a run, from what was watched and counted.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    admission::{Admission, existing_directory},
    batches::readable,
    machine,
    plan::Plan,
    sampler::{Counters, Observed},
    timers::Timers,
};
use crate::{
    backend::{Clock, Deconvolver},
    config::{Config, MaskChoice},
    cube::direct::{Direct, PageBuffer, write_around},
    error::{Error, Result},
    positioned::write_all_at,
    report::{
        ChannelPerformance, DiskFloor, Floors, Io, Outcome, Performance, Resources, Summary,
        performance_stages,
    },
    weighting::WeightingScheme,
};

/// Bytes of the file that the disk is measured with.
const PROBE_BYTES: usize = 128 << 20;

/// Bytes of it written at a time.
const BLOCK_BYTES: usize = 1 << 20;

/// What the report is made of beside the summary.
pub(super) struct Measured<'a> {
    pub config: &'a Config,
    pub plan: &'a Plan,
    pub admission: &'a Admission,
    pub timers: &'a Timers,
    pub observed: Observed,
    /// The kernel's counters at the beginning.
    pub before: Option<Counters>,
    pub resumed_channels: usize,
    pub devices: usize,
}

/// Finds out before the run, and not after it, that a report cannot be written: a directory may be on a file system
/// that is read-only, or someone else's, which only trying tells.
pub(super) fn check(config: &Config) -> Result<()> {
    check_free(config)?;
    let Some(directory) = &config.report else { return Ok(()) };
    fs::create_dir_all(directory).map_err(|e| Error::io("create", directory, e))?;
    let probe = directory.join(format!(".cubeclean-probe-{}", std::process::id()));
    fs::File::create(&probe).map_err(|e| Error::io("write in", directory, e))?;
    match fs::remove_file(&probe) {
        // Another process, of the same number in another container, was here as well.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|e| Error::io("write in", directory, e)),
    }
}

/// Refuses to replace a report unasked.
pub(super) fn check_free(config: &Config) -> Result<()> {
    let Some(directory) = &config.report else { return Ok(()) };
    let paths = paths(config, directory);
    paths.iter().try_for_each(|path| config.check_free(path, "directory as --report"))
}

/// The report's two files. Several processes at one cube may have one directory.
fn paths(config: &Config, directory: &Path) -> [PathBuf; 2] {
    let part = match &config.channel_range {
        Some(range) => format!(".{}-{}", range.start, range.end - 1),
        None => String::new(),
    };
    ["md", "json"].map(|ending| directory.join(format!("report{part}.{ending}")))
}

/// Writes the report where it is asked for.
pub(super) fn write(config: &Config, performance: &Performance) -> Result<()> {
    let Some(directory) = &config.report else { return Ok(()) };
    let [markdown, json] = paths(config, directory);
    fs::write(&markdown, performance.markdown()).map_err(|e| Error::io("write", &markdown, e))?;
    let text = serde_json::to_string_pretty(performance)
        .map_err(|e| Error::io("write", &json, std::io::Error::other(e)))?;
    fs::write(&json, text + "\n").map_err(|e| Error::io("write", &json, e))
}

impl Measured<'_> {
    /// The report; the disk is measured now, if a report is to be written.
    pub fn performance(self, summary: &Summary) -> Performance {
        let Self { config, plan, timers, .. } = self;
        let r = &summary.resources;
        let seconds = channel_seconds(timers);
        let channel = |c: &crate::report::ChannelSummary| ChannelPerformance {
            summary: c.clone(),
            iterations: c.minor.iter().map(|m| m.iter_done).sum(),
            seconds: seconds.get(&c.channel).copied(),
        };
        let now = Counters::now();
        let since = |of: fn(&Counters) -> u64| Some(of(&now?) - of(&self.before?));
        let cpu_s = (|| Some(now?.cpu_s - self.before?.cpu_s))();
        let io = Io {
            needed_bytes: plan.selected.bytes_of(&plan.sampling.needed(0..plan.nchan())),
            reader_bytes: r.bytes_read,
            sorted_copy_bytes: timers.sorted(),
            writer_bytes: r.bytes_written,
            kernel_read_bytes: since(|c| c.read),
            kernel_written_bytes: since(|c| c.written),
            disk_read_bytes: since(|c| c.disk_read),
            disk_written_bytes: since(|c| c.disk_written),
            output_bytes: r.bytes_on_disk,
            apparent_bytes: machine::apparent_bytes(&summary.products),
            ..Io::default()
        };
        let stages = performance_stages(&r.stages);
        let floors = config.report.as_ref().map(|_| {
            Floors {
                disk: disk_floor(&existing_directory(&config.imagename), r),
                processor_s: cpu_s.map(|s| s / rayon::current_num_threads() as f64),
                device_s: (r.clock == Clock::Device)
                    .then(|| timers.backend_s() / self.devices as f64),
                distance: None,
            }
            .with_distance(r.seconds)
        });
        Performance {
            configuration: self.configuration(summary),
            result: self.outcome(summary, cpu_s),
            phases: self.observed.phases,
            stages,
            io: io.with_ratios(),
            floors,
            channels: summary.channels.iter().map(channel).collect(),
            memory_timeline: self.observed.timeline,
            sampling_cpu_s: self.observed.own_cpu_s,
        }
    }

    fn outcome(&self, summary: &Summary, cpu_s: Option<f64>) -> Outcome {
        let r = &summary.resources;
        let mut codes: BTreeMap<u8, usize> = BTreeMap::new();
        for channel in summary.channels.iter().filter(|c| c.sumwt > 0.0) {
            *codes.entry(channel.stopcode).or_default() += 1;
        }
        Outcome {
            completed: summary.unfinished.is_none(),
            resumed_channels: self.resumed_channels,
            channels: summary.channels.len(),
            channels_without_data: summary.channels_without_data().len(),
            iterations: summary.iterdone(),
            stop_codes: codes.into_iter().collect(),
            wall_s: r.seconds,
            cpu_s,
            peak_rss_bytes: r.peak_rss,
            peak_device_bytes: r.peak_device,
            output_bytes: r.bytes_on_disk,
        }
    }

    fn configuration(&self, summary: &Summary) -> Vec<(String, String)> {
        let (config, admission) = (self.config, self.admission);
        let cell = config.cell.map(|rad| rad.to_degrees() * 3600.0);
        let mut rows = vec![
            ("program", format!("cubeclean {}", env!("CARGO_PKG_VERSION"))),
            ("command", summary.command.clone()),
            ("data", config.vis.display().to_string()),
            ("image", admission.image.clone()),
            ("cell", format!("{:.6} × {:.6} arcsec", cell[0], cell[1])),
            ("weighting", weighting_text(config.weighting)),
            ("deconvolver", deconvolver_text(config)),
            ("threshold", format!("{} mJy, nsigma={}", 1e3 * config.threshold, config.nsigma)),
            ("mask", mask_text(&config.mask)),
            ("backend", summary.resources.backend.clone()),
            ("threads", rayon::current_num_threads().to_string()),
            ("batches", format!("{} of up to {}", admission.batches, admission.channels_a_batch)),
            ("visibilities", admission.reading.to_string()),
            ("memory planned", readable(admission.host.total())),
            ("memory limit", readable(admission.host_limit)),
        ];
        rows.extend(machine::describe());
        if let Some(file_system) = machine::file_system(&admission.directory) {
            rows.push(("file system of the output", file_system));
        }
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn weighting_text(scheme: WeightingScheme) -> String {
    match scheme {
        WeightingScheme::Natural => "natural".into(),
        WeightingScheme::Uniform => "uniform".into(),
        WeightingScheme::Briggs { robust } => format!("briggs, robust={robust}"),
        WeightingScheme::BriggsBwTaper { robust } => format!("briggsbwtaper, robust={robust}"),
    }
}

fn deconvolver_text(config: &Config) -> String {
    let name = match &config.deconvolver {
        Deconvolver::Hogbom => "hogbom".into(),
        Deconvolver::Clark => "clark".into(),
        Deconvolver::Multiscale(scales) => format!("multiscale, scales={:?}", scales.pixels),
    };
    format!("{name}, niter={}", config.niter)
}

fn mask_text(mask: &MaskChoice) -> String {
    match mask {
        MaskChoice::Everywhere => "none: the whole image".into(),
        MaskChoice::User(mask) => mask.clone(),
        MaskChoice::PrimaryBeam(level) => format!("pb, pbmask={level}"),
        MaskChoice::Auto(_) => "auto-multithresh".into(),
    }
}

/// Seconds of imaging of each channel that this process imaged: its batch's, shared equally.
fn channel_seconds(timers: &Timers) -> BTreeMap<usize, f64> {
    let mut seconds = BTreeMap::new();
    for (channels, time) in timers.batches() {
        let each = time / channels.len().max(1) as f64;
        seconds.extend(channels.map(|channel| (channel, each)));
    }
    seconds
}

/// What a run read and wrote, at the rates of the disk that its products are on.
fn disk_floor(directory: &Path, resources: &Resources) -> Option<DiskFloor> {
    let (write_rate, read_rate) = disk_rates(directory)?;
    let seconds =
        resources.bytes_written as f64 / write_rate + resources.bytes_read as f64 / read_rate;
    Some(DiskFloor { write_rate, read_rate, seconds })
}

/// Rates of a sequential write, past the page cache as products are, with a sync at its end, and of reading it back;
/// `None` where the disk has no room for it. The file has no name that a crash could leave behind for long: it is removed at once.
pub(super) fn disk_rates(directory: &Path) -> Option<(f64, f64)> {
    let stamp = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos();
    let path = directory.join(format!(".cubeclean-probe-{}-{stamp}", std::process::id()));
    let mut file =
        fs::OpenOptions::new().read(true).write(true).create_new(true).open(&path).ok()?;
    let direct = Direct::open(&path, &file);
    fs::remove_file(&path).ok()?;
    measure(&mut file, direct.as_ref()).ok()
}

fn measure(file: &mut fs::File, direct: Option<&Direct>) -> std::io::Result<(f64, f64)> {
    // No two blocks alike, for disks that store such once.
    let mut buffer = PageBuffer::new(BLOCK_BYTES);
    let block = buffer.at(0, BLOCK_BYTES);
    for (i, word) in (0u32..).zip(block.chunks_exact_mut(4)) {
        word.copy_from_slice(&(i.wrapping_mul(2_654_435_761) ^ i.rotate_left(13)).to_le_bytes());
    }
    // Holes are filled, as with products.
    file.set_len(PROBE_BYTES as u64)?;
    let start = Instant::now();
    for offset in (0..PROBE_BYTES as u64).step_by(BLOCK_BYTES) {
        block[..8].copy_from_slice(&offset.to_le_bytes());
        write_around(direct, block, offset, |part, at| write_all_at(file, at, part))?;
    }
    file.sync_all()?;
    let write_rate = PROBE_BYTES as f64 / start.elapsed().as_secs_f64();
    machine::drop_cached(file);
    let start = Instant::now();
    while file.read(block)? > 0 {}
    Ok((write_rate, PROBE_BYTES as f64 / start.elapsed().as_secs_f64()))
}
