//! How long a job is going to take: a few of its channels are imaged, as it would image them, and the rate of the
//! disk is measured.
//!
//! Channels cost what their sources make them cost, so they are taken at three places of the cube. What they
//! take grows with the channels: imaging them, or the processors' work for all that is done with them, as a batch is
//! written while the next is imaged; the disk, which works at the same time, takes what the products' bytes take. The
//! longest one counts.

use std::{fmt, ops::Range, path::Path};

use super::{
    Admission,
    admission::{self, Purpose},
    image,
    performance::disk_rates,
};
use crate::{
    config::{Config, CycleControl, RestoringBeam},
    error::{Error, Result},
    report::{Event, Performance, Progress, Summary},
};

/// Channels for each thread that are imaged at a time, at most: so many that what is done but once, as memory is
/// used first, takes little of their time.
const CHANNELS_A_THREAD: usize = 4;

/// A forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Wall time of the job, s.
    pub seconds: f64,
    /// Of which processors, or devices, would need so many, s.
    pub working_s: f64,
    /// And the disk so many, s; `None` where its rate could not be measured.
    pub disk_s: Option<f64>,
    /// Channels that were imaged to know.
    pub channels: usize,
}

/// Does work as a job would, but says nothing.
struct Trial<'a>(&'a dyn Progress);

impl Progress for Trial<'_> {
    fn event(&self, _: Event) {}

    fn stop_requested(&self) -> Option<String> {
        self.0.stop_requested()
    }
}

/// Estimates a job that is admitted. Products of a few channels are made in a directory beside the job's, and
/// removed. `None` where that is not possible: for a job that continues from products, or whose channels
/// are cleaned by one control.
///
/// # Errors
/// As [`image`].
pub fn estimate(
    config: &Config,
    admission: &Admission,
    progress: &dyn Progress,
) -> Result<Option<Estimate>> {
    if config.restart.continues || config.resume || config.cyclecontrol == CycleControl::Cube {
        return Ok(None);
    }
    progress.event(Event::Stage { name: "imaging a few channels to estimate the time".into() });
    let directory = &admission.directory;
    let all = config.channel_range.clone().unwrap_or(0..admission.channels);
    let at_a_time =
        admission.channels_a_batch.min(CHANNELS_A_THREAD * rayon::current_num_threads());
    let mut sums = Sums::default();
    for range in places(&all, at_a_time) {
        sums.add(range.len(), &trial(config, range, directory, progress)?);
    }
    let working_s = sums.a_channel() * all.len() as f64 + sums.passes(config, admission.channels);
    // What is sparse is taken for empty.
    let share = all.len() as f64 / admission.channels.max(1) as f64;
    let bytes = admission.disk_bytes().0 as f64 * share;
    let disk_s = disk_rates(directory).map(|(write_rate, _)| bytes / write_rate);
    let once = sums.once / sums.trials.max(1) as f64;
    let seconds = once + working_s.max(disk_s.unwrap_or(0.0));
    Ok(Some(Estimate { seconds, working_s, disk_s, channels: sums.channels }))
}

/// Up to `n` channels at the beginning, in the middle and at the end; in the middle alone, if they are many for this
/// cube.
fn places(all: &Range<usize>, n: usize) -> Vec<Range<usize>> {
    let n = n.clamp(1, all.len().max(1));
    let spare = all.len().saturating_sub(n);
    let starts = if all.len() >= 6 * n { vec![0, spare / 2, spare] } else { vec![spare / 2] };
    starts.into_iter().map(|first| all.start + first..all.start + first + n).collect()
}

/// Images some channels beside the products.
fn trial(
    config: &Config,
    channels: Range<usize>,
    directory: &Path,
    progress: &dyn Progress,
) -> Result<Summary> {
    let place = tempfile::Builder::new()
        .prefix(".cubeclean-trial-")
        .tempdir_in(directory)
        .map_err(|e| Error::io("create a directory in", directory, e))?;
    let mut trial = config.clone();
    trial.imagename = place.path().join("trial");
    trial.channel_range = Some(channels);
    (trial.overwrite, trial.report, trial.summary, trial.subcubes) = (false, None, None, None);
    // What needs a pass over the cube of its own is added afterwards.
    trial.perchanweightdensity = true;
    if trial.restoringbeam == RestoringBeam::Common {
        trial.restoringbeam = RestoringBeam::PerChannel;
    }
    image(&trial, &Trial(progress))
}

/// What trials took, s.
#[derive(Default)]
struct Sums {
    trials: usize,
    channels: usize,
    /// While channels were imaged.
    imaging: f64,
    /// Of the processors, over the threads, while they were imaged and written.
    processors: f64,
    /// Before and after that, and while channels were written that nothing was imaged beside.
    once: f64,
    /// To read visibilities and bring them to the image's channels, and to make one image of them.
    reading: f64,
    one_image: f64,
}

impl Sums {
    fn add(&mut self, channels: usize, summary: &Summary) {
        let Performance { phases, .. } = &summary.performance;
        let whole: f64 = phases.iter().map(|p| p.duration_s).sum();
        let phase = phases.iter().find(|p| p.name == "imaging");
        let (wall, cpu) =
            phase.map_or((0.0, 0.0), |p| (p.duration_s, p.duration_s * p.mean_cpu.unwrap_or(0.0)));
        // Of several devices, which work at the same time, each has its own seconds.
        let seconds: f64 = summary.performance.channels.iter().filter_map(|c| c.seconds).sum();
        let imaging = seconds.min(wall);
        self.trials += 1;
        self.channels += channels;
        self.imaging += imaging;
        self.processors += cpu / rayon::current_num_threads() as f64;
        self.once += whole - imaging;
        let stages = &summary.resources.stages;
        let stage = |names: &[&str]| {
            let named = stages.iter().filter(|(name, _)| names.contains(&&**name));
            named.map(|(_, seconds)| seconds).sum::<f64>()
        };
        self.reading += stage(&["read", "resample", "weight"]);
        let cycles = summary.channels.iter().map(|c| c.nmajordone).sum::<usize>() as f64;
        // A PSF, a dirty image, and two transforms in each later cycle.
        let images = 2.0 * cycles.max(channels as f64);
        let transforms = stage(&["samples", "grid", "fft", "correct", "normalise", "degrid"]);
        self.one_image += transforms / images * channels as f64;
    }

    fn a_channel(&self) -> f64 {
        self.imaging.max(self.processors) / self.channels.max(1) as f64
    }

    /// Passes over the cube before it is imaged. Densities need its visibilities, beams its PSFs too.
    fn passes(&self, config: &Config, channels: usize) -> f64 {
        let each = |purpose: Purpose| match purpose {
            Purpose::Densities => self.reading,
            Purpose::Beams => self.reading + self.one_image,
            Purpose::Images => 0.0,
        };
        let trials: f64 = admission::purposes(config).into_iter().map(each).sum();
        trials * channels as f64 / self.channels.max(1) as f64
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  time: about {} (as {} channels took that were imaged now: {} of work",
            readable(self.seconds),
            self.channels,
            readable(self.working_s)
        )?;
        match self.disk_s {
            Some(disk_s) => write!(f, "; the disk would need {})", readable(disk_s)),
            None => write!(f, ")"),
        }
    }
}

/// Seconds for a reader.
fn readable(seconds: f64) -> String {
    match seconds {
        s if s < 120.0 => format!("{s:.1} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_in_the_cube() {
        let is =
            |all: Range<usize>, n, expected: &[Range<usize>]| assert_eq!(places(&all, n), expected);
        is(0..1000, 4, &[0..4, 498..502, 996..1000]);
        is(100..148, 8, &[100..108, 120..128, 140..148]);
        let whole = |all: Range<usize>| is(all.clone(), 4, &[all]);
        whole(0..3);
        whole(7..8);
        assert_eq!(places(&(0..32), 8).first(), Some(&(12..20)));
    }
}
