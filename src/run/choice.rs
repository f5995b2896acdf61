//! Which processor computes: `backend`, `device` and `device-memory`.

use super::{
    batches::{Batches, Limits},
    plan::Plan,
};
use crate::{
    backend::{
        Backend,
        gpu::{Gpu, GpuOptions},
    },
    config::{BackendChoice, Config},
    error::{Error, Result},
};

/// What a job runs on.
#[derive(Debug)]
pub(super) enum Processor {
    Cpu,
    /// One or more devices, which share the batches.
    Gpus(Vec<Gpu>),
}

/// The processor that a configuration asks for, and why it is this one.
///
/// # Errors
/// A GPU that is asked for and is not there, or cannot do the job. With `auto` the CPU does it then.
pub(super) fn choose(config: &Config, plan: &Plan, limits: &Limits) -> Result<(Processor, String)> {
    match config.backend {
        BackendChoice::Cpu => Ok((Processor::Cpu, "--backend cpu".into())),
        BackendChoice::Gpu => Ok((Processor::Gpus(gpus(config, plan)?), "--backend gpu".into())),
        BackendChoice::Auto if !config.devices.is_empty() => {
            Ok((Processor::Gpus(gpus(config, plan)?), "--device".into()))
        }
        BackendChoice::Auto => auto(config, plan, limits, &|| gpus(config, plan)),
    }
}

/// The devices that are asked for, able to carry out the plan.
fn gpus(config: &Config, plan: &Plan) -> Result<Vec<Gpu>> {
    open(config, plan, &config.devices)
}

/// The devices of these names, able to carry out the plan.
pub(super) fn open(config: &Config, plan: &Plan, names: &[String]) -> Result<Vec<Gpu>> {
    let options = GpuOptions { memory_bytes: config.device_memory, ..GpuOptions::default() };
    let gpus = Gpu::open_all(names, &options)?;
    for gpu in &gpus {
        gpu.check(&plan.operator)?;
        gpu.check_minor(&plan.operator, &plan.deconvolver)?;
    }
    Ok(gpus)
}

/// The devices that `open` finds able, or the CPU and why.
pub(super) fn auto(
    config: &Config,
    plan: &Plan,
    limits: &Limits,
    open: &dyn Fn() -> Result<Vec<Gpu>>,
) -> Result<(Processor, String)> {
    let usable = open().and_then(|gpus| {
        // A job may also be too large for the device.
        Batches::new(plan, &gpus, limits)?;
        Ok(gpus)
    });
    match usable {
        Ok(gpus) => Ok((Processor::Gpus(gpus), "auto: a hardware GPU that can do the job".into())),
        // Who gives a budget wants to know that it is too small.
        Err(error @ Error::Resources { .. }) if config.device_memory.is_some() => Err(error),
        Err(error) => Ok((Processor::Cpu, format!("auto: {}", what_is_wrong(&error)))),
    }
}

/// An error without its way out, which does not concern those who have taken another.
fn what_is_wrong(error: &Error) -> String {
    match error {
        Error::Device { device, problem, .. } if device == "gpu" => problem.clone(),
        Error::Device { device, problem, .. } => format!("{device}: {problem}"),
        Error::Parameter { parameter, value, problem, .. } => {
            format!("{parameter}={value} {problem}")
        }
        Error::Resources { resource, needed, available, .. } => {
            format!("{resource}: {needed} needed, {available} available")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_leave_the_way_out_away() {
        let error = Error::Device {
            device: "gpu".into(),
            problem: "no hardware GPU".into(),
            remedy: "buy one".into(),
        };
        assert_eq!(what_is_wrong(&error), "no hardware GPU");
        let error = Error::parameter("gridding-accuracy", "1e-6", "needs double precision", "x");
        assert_eq!(what_is_wrong(&error), "gridding-accuracy=1e-6 needs double precision");
    }
}
