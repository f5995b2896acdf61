//! Visibilities of a batch in host memory, in gridding order.

use num_complex::Complex32;
use rayon::prelude::*;

use crate::{
    error::{Error, Result},
    gridding::{OperatorPlan, SortedLayer},
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
            let index = layer.channel.checked_sub(block.channels.start);
            let Some(channel) = index.and_then(|i| channels.get_mut(i)) else {
                return Err(Error::parameter(
                    "layer",
                    format!("channel {}", layer.channel),
                    format!("is not one of the block's {:?}", block.channels),
                    "give blocks only layers of their own channels",
                ));
            };
            let sorted = sorted?;
            let predicted = vec![Complex32::new(0.0, 0.0); sorted.vis.len()];
            channel.push(LayerSamples { sorted, predicted });
        }
        Ok(Self { channels })
    }

    /// The layers of a batch channel.
    pub(super) fn layers(&self, channel: usize) -> Result<&[LayerSamples]> {
        self.channels.get(channel).map(Vec::as_slice).ok_or_else(|| {
            Error::parameter(
                "channel",
                channel.to_string(),
                format!("is not one of the batch's {}", self.channels.len()),
                "give positions in the batch",
            )
        })
    }

    /// Bytes of one layer.
    pub(super) fn bytes_per_layer(plan: &OperatorPlan) -> usize {
        // vis, weight, predicted; the frequencies of slots
        plan.rows().uvw_m.len() * (8 + 4 + 8) + plan.rows().slots.len() * 8
    }
}
