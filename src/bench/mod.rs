//! Measures the stages of the backends on a synthetic job: that of an ALMA cube of 8000 × 8000 pixels
//! with 449,280 rows at full scale, or of any smaller scale with the same proportions.
//!
//! [`Job`] says how large, [`Synthetic`] is the job with its visibilities, [`measure`] runs it on a
//! backend through the same [`crate::backend::Batch`] that images are made with, [`run`] does all of
//! that for several backends and compares their planes. [`write_ms`] gives the job to other programs.

mod array;
mod job;
mod measure;
mod report;
mod sky;
#[cfg(test)]
mod tests;
mod work;
mod write_ms;

pub use array::{ANTENNAS, COVERAGE, rows};
pub use job::{FIELD_RAD, FREQ_HZ, Job, Synthetic, WIDTH_HZ};
pub use measure::{Measured, Steps, measure};
pub use report::{BackendReport, Differences, Report, StageReport};
pub use work::Work;
pub use write_ms::{MsLayout, write_ms};

use crate::{
    backend::{
        cpu::CpuBackend,
        gpu::{Gpu, GpuOptions, adapters},
    },
    error::{Error, Result},
};

/// A backend to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The CPU's cores.
    Cpu,
    /// A GPU.
    Gpu,
}

/// What is measured, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Backends; empty: the CPU, and a GPU where there is hardware or one is named.
    pub backends: Vec<Kind>,
    /// Which GPU, see [`GpuOptions::device`].
    pub device: Option<String>,
    /// Runs of which the medians are taken, after one to warm up.
    pub repeat: usize,
}

impl Options {
    /// The backends asked for.
    fn kinds(&self) -> Vec<Kind> {
        if !self.backends.is_empty() {
            return self.backends.clone();
        }
        let hardware = || adapters().iter().any(|a| !a.software && a.unfit.is_none());
        let gpu = self.device.is_some() || hardware();
        std::iter::once(Kind::Cpu).chain(gpu.then_some(Kind::Gpu)).collect()
    }
}

/// Measures a job on backends; `say` hears what is being done.
///
/// # Errors
/// A job that cannot be, or does not fit the memory; a GPU that is not there or fails.
pub fn run(job: &Job, options: &Options, say: &dyn Fn(&str)) -> Result<Report> {
    if options.repeat == 0 {
        let remedy = "give 1 or more";
        return Err(Error::parameter("repeat", "0", "leaves nothing to measure", remedy));
    }
    let plan = job.plan()?;
    let kinds = options.kinds();
    if kinds.contains(&Kind::Cpu) {
        job.check_memory(&CpuBackend, &plan)?;
    }
    // Opened first: whether there is one should be known before anything takes time.
    let gpu = kinds.contains(&Kind::Gpu).then(|| {
        let device = options.device.clone();
        Gpu::open(&GpuOptions { device, ..GpuOptions::default() })
    });
    let gpu = gpu.transpose()?;
    say("synthesising visibilities");
    let synthetic = Synthetic::of_plan(job, plan);
    let mut report = Report::new(&synthetic, options.repeat);
    let mut measured = Vec::new();
    if kinds.contains(&Kind::Cpu) {
        let result = measure(&CpuBackend, &synthetic, options.repeat, say)?;
        report.add_cpu(&synthetic, &result);
        measured.push(result);
    }
    if let Some(gpu) = &gpu {
        let result = measure(gpu, &synthetic, options.repeat, say)?;
        report.add_gpu(&synthetic, gpu, &result);
        measured.push(result);
    }
    if let [one, other] = &measured[..] {
        report.differences = Some(Differences::between(one, other));
    }
    Ok(report)
}
