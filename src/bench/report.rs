//! What was measured, as a table and for programs.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{Job, Measured, Synthetic, Work, measure::Kept, work::three_digits};
use crate::backend::{Clock, Stage, gpu::Gpu};

/// A bench's outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Version of cubeclean.
    pub version: &'static str,
    /// What was run.
    pub job: Job,
    /// Runs that medians are of.
    pub repeat: usize,
    /// Passes of the operator: terms of the w-expansion.
    pub passes: usize,
    /// Support of the convolution function, cells.
    pub kernel_support: usize,
    /// Padded uv grid, cells along u and v.
    pub padded: [usize; 2],
    /// Columns of the half uv grid that hold data.
    pub columns: usize,
    /// Each backend's.
    pub backends: Vec<BackendReport>,
    /// Time of the first backend over that of the second, for each stage, where there are two.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ratios: BTreeMap<&'static str, f64>,
    /// How far the second backend's planes are from the first's, where there are two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<Differences>,
}

/// One backend's times.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendReport {
    /// cpu or gpu.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Name and version of the GPU's driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Threads of the host.
    pub threads: usize,
    /// What the times of stages are.
    pub clock: Clock,
    /// By the names of stages.
    pub stages: BTreeMap<&'static str, StageReport>,
    /// Wall time a channel of each step (psf, dirty, minor, cycle), seconds.
    pub steps_s: BTreeMap<&'static str, f64>,
    /// Wall time a channel of PSF, dirty image and minor cycle, seconds.
    pub psf_dirty_minor_s: f64,
    /// Hogbom iterations of all channels together.
    pub iterations: usize,
    /// Hogbom iterations a second over the batch, by wall time: what the host does between the
    /// device's turns counts too.
    pub iterations_per_second: f64,
    /// Time of the stage `fft` over the time that its memory floor would take at the rate at which
    /// `normalise` streams planes; on devices only, see [`Work`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fft_over_floor: Option<f64>,
}

/// One stage of one backend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageReport {
    /// Time a channel, seconds.
    pub seconds: f64,
    /// Work a channel, in [`StageReport::unit`]: see [`Work`].
    pub work: u64,
    /// visibilities, bytes, iterations.
    pub unit: &'static str,
    /// Work a second; none where no time was seen.
    pub per_second: Option<f64>,
    #[serde(skip)]
    rate: String,
}

/// How far two backends' products are apart, over the channels compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Differences {
    /// Channels compared.
    pub channels: usize,
    /// Largest difference of PSFs; their peak is 1.
    pub psf: f64,
    /// Largest difference of dirty images over their peak.
    pub dirty: f64,
    /// Largest difference of the residuals after the major cycle over the dirty image's peak. Where
    /// component lists differ it is not only the operators'.
    pub residual: f64,
    /// Components of each backend.
    pub components: [usize; 2],
    /// Iteration at which the lists' pixels first differ, of the channel where it is earliest.
    pub first_difference: Option<usize>,
}

impl Report {
    pub(super) fn new(synthetic: &Synthetic, repeat: usize) -> Self {
        let plan = &synthetic.plan;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            job: synthetic.job.clone(),
            repeat,
            passes: plan.passes.len(),
            kernel_support: plan.kernel.support(),
            padded: [plan.grid.nu, plan.grid.nv],
            columns: plan.grid.columns,
            backends: Vec::new(),
            ratios: BTreeMap::new(),
            differences: None,
        }
    }

    pub(super) fn add_cpu(&mut self, synthetic: &Synthetic, measured: &Measured) {
        self.add(BackendReport::new("cpu", synthetic, measured, None));
    }

    pub(super) fn add_gpu(&mut self, synthetic: &Synthetic, gpu: &Gpu, measured: &Measured) {
        self.add(BackendReport::new("gpu", synthetic, measured, Some(gpu.driver())));
    }

    fn add(&mut self, backend: BackendReport) {
        self.backends.push(backend);
        let [first, second] = &self.backends[..] else { return };
        for (name, stage) in &first.stages {
            let other = second.stages[name].seconds;
            if other > 0.0 {
                self.ratios.insert(name, stage.seconds / other);
            }
        }
    }

    /// The table of stages.
    pub fn table(&self) -> String {
        let mut text = self.heading();
        let _ = write!(text, "\n{:<10}", "stage");
        for backend in &self.backends {
            let _ = write!(text, " {:>14} {:>16}", format!("{} ms/chan", backend.kind), "rate");
        }
        if let [first, second] = &self.backends[..] {
            let _ = write!(text, " {:>9}", format!("{}/{}", first.kind, second.kind));
        }
        text.push('\n');
        for stage in Stage::ALL.map(Stage::name) {
            let _ = write!(text, "{stage:<10}");
            for StageReport { seconds, rate, .. } in self.backends.iter().map(|b| &b.stages[stage])
            {
                let _ = write!(text, " {:>14} {rate:>16}", three_digits(seconds * 1e3));
            }
            if let Some(ratio) = self.ratios.get(stage) {
                let _ = write!(text, " {:>9}", three_digits(*ratio));
            }
            text.push('\n');
        }
        text.push('\n');
        for backend in &self.backends {
            text.push_str(&backend.summary(self.job.iterations));
        }
        if let Some(differences) = &self.differences {
            text.push_str(&differences.text());
        }
        text
    }

    fn heading(&self) -> String {
        let Job { pixels, channels, rows, mask_fraction, iterations, accuracy, wterm, .. } =
            &self.job;
        let mut text = format!(
            "{pixels} x {pixels} pixels, {channels} channels, {rows} rows; accuracy {accuracy:e}, \
             w-term {}: {} passes, kernel {}, padded {} x {}, {} columns\n\
             {iterations} iterations in a mask of {} of the image; medians of {} runs after one to \
             warm up\n",
            format!("{wterm:?}").to_lowercase(),
            self.passes,
            self.kernel_support,
            self.padded[0],
            self.padded[1],
            self.columns,
            mask_fraction,
            self.repeat,
        );
        for backend in &self.backends {
            let driver = backend.driver.as_ref().map(|d| format!(", driver {d}"));
            let _ = writeln!(
                text,
                "{}{}, {} host threads; stages: {}",
                backend.name,
                driver.unwrap_or_default(),
                backend.threads,
                match backend.clock {
                    Clock::Wall => "wall time",
                    Clock::Device => "time on the device (samples: wall time)",
                    Clock::Recording => "wall time, waiting for each (no timestamps here)",
                },
            );
        }
        text
    }
}

impl BackendReport {
    fn new(
        kind: &'static str,
        synthetic: &Synthetic,
        measured: &Measured,
        driver: Option<String>,
    ) -> Self {
        let channels = synthetic.job.channels;
        let a_channel = |time: Duration| time.as_secs_f64() / channels as f64;
        let iterations = measured.iterations.div_ceil(channels) as u64;
        let stages: BTreeMap<_, _> = Stage::ALL
            .into_iter()
            .map(|stage| {
                let work = Work::of(stage, synthetic, iterations);
                let seconds = a_channel(measured.stages.of(stage));
                (stage.name(), StageReport::new(work, seconds))
            })
            .collect();
        let steps = &measured.steps;
        let floor_s = |stream: &StageReport, fft: &StageReport| {
            stream.per_second.map(|rate| fft.work as f64 / rate).filter(|&s| s > 0.0)
        };
        let (fft, stream) = (&stages["fft"], &stages["normalise"]);
        Self {
            kind,
            name: measured.name.clone(),
            driver,
            threads: rayon::current_num_threads(),
            clock: measured.clock,
            fft_over_floor: floor_s(stream, fft)
                .filter(|_| kind != "cpu")
                .map(|floor| fft.seconds / floor),
            steps_s: [
                ("psf", steps.psf),
                ("dirty", steps.dirty),
                ("minor", steps.minor),
                ("cycle", steps.cycle),
            ]
            .map(|(name, time)| (name, a_channel(time)))
            .into(),
            psf_dirty_minor_s: a_channel(steps.psf + steps.dirty + steps.minor),
            iterations: measured.iterations,
            iterations_per_second: measured.iterations as f64
                / steps.minor.as_secs_f64().max(f64::MIN_POSITIVE),
            stages,
        }
    }

    /// What the table has no column for.
    fn summary(&self, iterations: usize) -> String {
        let ms = |name| three_digits(self.steps_s[name] * 1e3);
        let mut text = format!(
            "{}: wall time PSF + dirty + {iterations} iterations {} ms a channel (PSF {}, dirty {}, \
             minor {}; major cycle {}); {:.0} iterations a second over the batch\n",
            self.kind,
            three_digits(self.psf_dirty_minor_s * 1e3),
            ms("psf"),
            ms("dirty"),
            ms("minor"),
            ms("cycle"),
            self.iterations_per_second,
        );
        if self.kind == "cpu" {
            text += "cpu: the transforms of the image's rows are done, and timed, in correct\n";
        }
        if let Some(over) = self.fft_over_floor {
            let _ = writeln!(
                text,
                "{}: fft takes {} times what its memory floor takes at normalise's rate",
                self.kind,
                three_digits(over)
            );
        }
        text
    }
}

impl StageReport {
    fn new(work: Work, seconds: f64) -> Self {
        let amount = work.amount();
        let per_second = (seconds > 0.0).then(|| amount as f64 / seconds);
        let rate = per_second.map_or_else(|| "-".to_owned(), |rate| work.rate_text(rate));
        Self { seconds, work: amount, unit: work.unit(), per_second, rate }
    }
}

impl Differences {
    /// Of the channels that both kept.
    pub(super) fn between(one: &Measured, other: &Measured) -> Self {
        let mut sum = Self::default();
        for (a, b) in one.kept.iter().zip(&other.kept) {
            sum.add(a, b);
        }
        sum
    }

    fn add(&mut self, a: &Kept, b: &Kept) {
        let peak = |plane: &[f32]| plane.iter().fold(0.0, |max: f32, v| max.max(v.abs()));
        let scale = f64::from(peak(&a.dirty)).max(f64::MIN_POSITIVE);
        let largest = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, worse)
        };
        self.channels += 1;
        self.psf = worse(self.psf, largest(&a.psf, &b.psf));
        self.dirty = worse(self.dirty, largest(&a.dirty, &b.dirty) / scale);
        self.residual = worse(self.residual, largest(&a.residual, &b.residual) / scale);
        self.components[0] += a.components.len();
        self.components[1] += b.components.len();
        let first = a.components.iter().zip(&b.components).position(|(a, b)| a.0 != b.0);
        let first = first.or_else(|| {
            let (a, b) = (a.components.len(), b.components.len());
            (a != b).then_some(a.min(b))
        });
        self.first_difference = match (self.first_difference, first) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }

    fn text(&self) -> String {
        let components = match self.first_difference {
            None => format!("components: all {} at the same pixels", self.components[0]),
            Some(i) => format!(
                "components: {} and {}, the first {i} of each channel at the same pixels",
                self.components[0], self.components[1]
            ),
        };
        format!(
            "largest difference over the dirty peak, {} channels: PSF {:.1e}, dirty {:.1e}, residual \
             after the major cycle {:.1e}\n{components}\n",
            self.channels, self.psf, self.dirty, self.residual
        )
    }
}

/// The larger; NaN if there is one, which `max` would pass over.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(values: [f32; 3], pixels: &[u32]) -> Kept {
        Kept {
            psf: vec![1.0, 0.5],
            dirty: vec![4.0, values[0]],
            residual: values[1..].to_vec(),
            components: pixels.iter().map(|&p| (p, 0.1)).collect(),
        }
    }

    #[test]
    fn differences_are_relative_to_the_dirty_peak() {
        let mut sum = Differences::default();
        sum.add(&kept([1.0, 0.0, 0.0], &[3, 4, 5]), &kept([2.0, 0.0, 1.0], &[3, 4, 5]));
        assert_eq!((sum.psf, sum.dirty, sum.residual), (0.0, 0.25, 0.25));
        assert_eq!((sum.components, sum.first_difference), ([3, 3], None));
        sum.add(&kept([1.0, 0.0, 0.0], &[3, 4, 5]), &kept([1.0, f32::NAN, 0.0], &[3, 4]));
        assert!(sum.residual.is_nan() && sum.dirty == 0.25);
        assert_eq!((sum.components, sum.first_difference), ([6, 5], Some(2)));
        sum.add(&kept([1.0, 0.0, 0.0], &[7]), &kept([1.0, 0.0, 0.0], &[8]));
        assert!(sum.residual.is_nan());
        assert_eq!((sum.channels, sum.first_difference), (3, Some(0)));
    }
}
