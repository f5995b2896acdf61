//! The trait `Gridder`, stage by stage.

use num_complex::Complex32;

use super::{GpuGrids, GpuSamples, gpu::Gpu, grid};
use crate::{
    Result,
    backend::{Gridder, Source},
    gridding::OperatorPlan,
    ms::VisBlock,
};

impl Gridder for Gpu {
    type Samples = GpuSamples;

    fn samples(&self, plan: &OperatorPlan, block: &VisBlock) -> Result<GpuSamples> {
        GpuSamples::new(self, plan, block)
    }

    fn sample_bytes(&self, plan: &OperatorPlan) -> usize {
        GpuSamples::bytes_per_layer(plan)
    }

    fn sumwt(&self, samples: &GpuSamples) -> Vec<f64> {
        samples.sumwt.clone()
    }

    fn grid(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        samples: &GpuSamples,
        source: Source,
        channels: &[usize],
        grids: &mut GpuGrids,
    ) -> Result<()> {
        grid::grid(self, plan, pass, samples, source, channels, grids)
    }

    fn clear_predicted(&self, samples: &mut GpuSamples, channels: &[usize]) -> Result<()> {
        for &channel in channels {
            for layer in samples.layers(channel)?.to_vec() {
                samples.predicted.clear(&self.device, &self.recorder, layer.item)?;
            }
        }
        Ok(())
    }

    fn degrid(
        &self,
        plan: &OperatorPlan,
        pass: usize,
        grids: &GpuGrids,
        channels: &[usize],
        samples: &mut GpuSamples,
    ) -> Result<()> {
        grid::degrid(self, plan, pass, grids, channels, samples)
    }

    fn predicted(&self, samples: &GpuSamples, channel: usize) -> Result<Vec<Vec<Complex32>>> {
        let read = |layer: &super::samples::LayerPlace| {
            let bins = &samples.sorts[layer.sort].bins;
            let mut sorted = vec![Complex32::new(0.0, 0.0); bins.len()];
            let bytes = bytemuck::cast_slice_mut(&mut sorted);
            samples.predicted.get(&self.device, &self.recorder, &self.ring, layer.item, bytes)?;
            Ok(bins.unsort(&sorted))
        };
        samples.layers(channel)?.iter().map(read).collect()
    }
}
