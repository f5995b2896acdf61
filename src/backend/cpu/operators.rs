//! The traits `Transform` and `Gridder`, stage by stage.

use num_complex::Complex32;
use rayon::prelude::*;

use super::{
    CpuBackend, CpuGrids, CpuPlanes, CpuSamples, correct, degrid, fft, grid, planes::bad_index,
    samples::LayerSamples,
};
use crate::{
    backend::{Backend, Gridder, Memory, Source, Traffic, Transform},
    error::{Error, Result},
    gridding::OperatorPlan,
    ms::VisBlock,
};

/// Runs a stage's generic function in the precision of the grids.
macro_rules! in_precision {
    ($grids:expr, $stack:ident => $call:expr) => {
        match $grids {
            CpuGrids::F32($stack) => $call,
            CpuGrids::F64($stack) => $call,
        }
    };
}

/// Refuses to work on more channels than there are grids.
fn check_grids(grids: &CpuGrids, n: usize) -> Result<()> {
    let count = in_precision!(grids, stack => stack.channels.len());
    if n > count {
        return Err(Error::Device {
            device: "cpu".into(),
            problem: format!("{n} channels do not fit into {count} grids"),
            remedy: "allocate more grids, or work on fewer channels at a time".into(),
        });
    }
    Ok(())
}

impl Transform for CpuBackend {
    type Grids = CpuGrids;

    fn grids(&self, plan: &OperatorPlan, n: usize) -> Result<CpuGrids> {
        Ok(CpuGrids::new(plan, n))
    }

    fn grid_bytes(&self, plan: &OperatorPlan) -> usize {
        CpuGrids::bytes(plan)
    }

    fn fft_adjoint(&self, plan: &OperatorPlan, grids: &mut CpuGrids, n: usize) -> Result<()> {
        check_grids(grids, n)?;
        in_precision!(grids, stack => fft::adjoint(plan, stack, n));
        Ok(())
    }

    fn fft_forward(&self, plan: &OperatorPlan, grids: &mut CpuGrids, n: usize) -> Result<()> {
        check_grids(grids, n)?;
        in_precision!(grids, stack => fft::forward(plan, stack, n));
        Ok(())
    }

    fn correct_adjoint(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        grids: &CpuGrids,
        channels: &[usize],
        planes: &mut CpuPlanes,
    ) -> Result<()> {
        check_grids(grids, channels.len())?;
        let planes = planes.select_mut(channels)?;
        in_precision!(grids, stack => correct::adjoint(plan, pass, stack, planes));
        Ok(())
    }

    fn correct_forward(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        planes: &CpuPlanes,
        channels: &[usize],
        grids: &mut CpuGrids,
    ) -> Result<()> {
        check_grids(grids, channels.len())?;
        if let Some(&bad) = channels.iter().find(|&&c| c >= planes.len()) {
            return Err(bad_index(bad, planes.len()));
        }
        let planes: Vec<&[f32]> = channels.iter().map(|&c| planes.plane(c)).collect();
        in_precision!(grids, stack => correct::forward(plan, pass, &planes, stack));
        Ok(())
    }

    fn normalise(&self, planes: &mut CpuPlanes, channels: &[usize], factors: &[f32]) -> Result<()> {
        correct::normalise(planes.select_mut(channels)?, factors);
        Ok(())
    }
}

impl Gridder for CpuBackend {
    type Samples = CpuSamples;

    fn samples(&self, plan: &OperatorPlan, block: &VisBlock) -> Result<CpuSamples> {
        CpuSamples::new(plan, block)
    }

    fn sample_bytes(&self, plan: &OperatorPlan) -> usize {
        CpuSamples::bytes_per_layer(plan)
    }

    fn sumwt(&self, samples: &CpuSamples) -> Vec<f64> {
        let of = |layers: &Vec<LayerSamples>| layers.iter().map(|l| l.sorted.sumwt()).sum();
        samples.channels.par_iter().map(of).collect()
    }

    fn grid(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        samples: &CpuSamples,
        source: Source,
        channels: &[usize],
        grids: &mut CpuGrids,
    ) -> Result<()> {
        check_grids(grids, channels.len())?;
        let layers: Vec<&[LayerSamples]> =
            channels.iter().map(|&c| samples.layers(c)).collect::<Result<_>>()?;
        in_precision!(grids, stack => grid::grid(plan, pass, source, &layers, stack));
        Ok(())
    }

    fn clear_predicted(&self, samples: &mut CpuSamples, channels: &[usize]) -> Result<()> {
        for &channel in channels {
            samples.layers(channel)?;
            for layer in &mut samples.channels[channel] {
                layer.predicted.fill(Complex32::new(0.0, 0.0));
            }
        }
        Ok(())
    }

    fn degrid(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        grids: &CpuGrids,
        channels: &[usize],
        samples: &mut CpuSamples,
    ) -> Result<()> {
        check_grids(grids, channels.len())?;
        for &channel in channels {
            samples.layers(channel)?;
        }
        in_precision!(grids, stack => degrid::degrid(plan, pass, stack, channels, samples));
        Ok(())
    }

    fn predicted(&self, samples: &CpuSamples, channel: usize) -> Result<Vec<Vec<Complex32>>> {
        let layers = samples.layers(channel)?;
        Ok(layers.iter().map(|l| l.sorted.bins.unsort(&l.predicted)).collect())
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> String {
        format!("cpu, {} threads", rayon::current_num_threads())
    }

    fn check(&self, _plan: &OperatorPlan) -> Result<()> {
        Ok(())
    }

    fn memory(&self) -> Memory {
        Memory::Host
    }

    fn overhead(&self, _plan: &OperatorPlan, _channels: usize, _layers: usize) -> usize {
        0
    }

    fn peak_memory(&self) -> Option<u64> {
        None
    }

    fn traffic(&self) -> Option<Traffic> {
        None
    }
}
