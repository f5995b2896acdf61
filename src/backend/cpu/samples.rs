//! Visibilities of a batch in host memory, in gridding order.

use num_complex::Complex32;
use rayon::prelude::*;

use crate::{
    error::Result,
    gridding::{OperatorPlan, SortedLayer, batch_channel, of_channel},
    ms::VisBlock,
};

/// Samples of a batch of channels.
pub struct CpuSamples {
    /// Layers of each batch channel.
    pub(super) channels: Vec<Vec<LayerSamples>>,
}

/// One layer with its predicted visibilities.
pub struct LayerSamples {
    pub(super) sorted: SortedLayer,
    /// As sorted; 0 where the weight is 0.
    pub(super) predicted: Vec<Complex32>,
}

impl CpuSamples {
    /// Sorts a block.
    pub(super) fn new(plan: &OperatorPlan, block: &VisBlock) -> Result<Self> {
        let mut channels: Vec<Vec<LayerSamples>> =
            block.channels.clone().map(|_| Vec::new()).collect();
        let sorted: Vec<Result<SortedLayer>> =
            block.layers.par_iter().map(|layer| SortedLayer::new(plan, layer)).collect();
        for (layer, sorted) in block.layers.iter().zip(sorted) {
            let sorted = sorted?;
            let predicted = vec![Complex32::new(0.0, 0.0); sorted.vis.len()];
            channels[batch_channel(block, layer)?].push(LayerSamples { sorted, predicted });
        }
        Ok(Self { channels })
    }

    /// The layers of a batch channel.
    pub(super) fn layers(&self, channel: usize) -> Result<&[LayerSamples]> {
        Ok(of_channel(&self.channels, channel)?)
    }

    /// Bytes of one layer.
    pub(super) fn bytes_per_layer(plan: &OperatorPlan) -> usize {
        // vis, weight, predicted; the frequencies of slots
        plan.rows().uvw_m.len() * (8 + 4 + 8) + plan.rows().slots.len() * 8
    }
}
