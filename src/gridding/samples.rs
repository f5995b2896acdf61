//! The samples of one layer in gridding order.

use std::sync::Arc;

use num_complex::Complex32;

use super::{Bins, OperatorPlan};
use crate::{
    SPEED_OF_LIGHT,
    error::{Error, Result},
    ms::{Layer, VisBlock},
};

/// One layer's samples sorted as its bins, conjugated onto u ≥ 0.
#[derive(Clone, Debug)]
pub struct SortedLayer {
    /// The order, and the baselines in it.
    pub bins: Arc<Bins>,
    /// ν/c of the samples, 1/m, one per slot; 0 where the slot has no sample.
    pub inverse_wavelength: Vec<f64>,
    /// Visibilities, Jy.
    pub vis: Vec<Complex32>,
    /// Imaging weights; 0 for samples that are missing, flagged, or off the grid.
    pub weight: Vec<f32>,
}

/// Position in its batch of the channel that a block's layer belongs to.
///
/// # Errors
/// A layer of a channel that the block does not cover.
pub fn batch_channel(block: &VisBlock, layer: &Layer) -> Result<usize> {
    let index = layer.channel.checked_sub(block.channels.start);
    index.filter(|&i| i < block.channels.len()).ok_or_else(|| {
        Error::parameter(
            "layer",
            format!("channel {}", layer.channel),
            format!("is not one of the block's {:?}", block.channels),
            "give blocks only layers of their own channels",
        )
    })
}

/// What belongs to a channel of a batch.
///
/// # Errors
/// A position beyond the batch.
pub fn of_channel<T>(channels: &[T], channel: usize) -> Result<&T> {
    channels.get(channel).ok_or_else(|| {
        Error::parameter(
            "channel",
            channel.to_string(),
            format!("is not one of the batch's {}", channels.len()),
            "give positions in the batch",
        )
    })
}

impl SortedLayer {
    /// Sorts the samples of `layer`.
    ///
    /// # Errors
    /// A layer of other rows or frequencies than the plan's.
    pub fn new(plan: &OperatorPlan, layer: &Layer) -> Result<Self> {
        let (rows, slots) = (plan.rows().uvw_m.len(), plan.rows().slots.len());
        let found = (layer.vis.len(), layer.weight.len(), layer.freq_hz.len());
        if found != (rows, rows, slots) {
            return Err(Error::parameter(
                "layer",
                format!("{found:?} visibilities, weights, frequencies"),
                format!("does not belong to the plan's {rows} rows and {slots} slots"),
                "plan the operator for the rows of the block",
            ));
        }
        let bins = plan.bins(&layer.freq_hz)?;
        let inverse_wavelength: Vec<f64> = layer
            .freq_hz
            .iter()
            .map(|f| if f.is_finite() { f / SPEED_OF_LIGHT } else { 0.0 })
            .collect();
        let sorted = |i: usize| {
            let row = bins.order[i] as usize;
            let scale = inverse_wavelength[bins.slot[i] as usize];
            let on_grid = plan.grid.holds_row(bins.uvw_m[i], scale);
            if layer.weight[row] == 0.0 || scale == 0.0 || !on_grid {
                return (Complex32::new(0.0, 0.0), 0.0);
            }
            let vis = layer.vis[row];
            (if bins.conjugated[i] { vis.conj() } else { vis }, layer.weight[row])
        };
        let (vis, weight) = (0..rows).map(sorted).unzip();
        Ok(Self { bins, inverse_wavelength, vis, weight })
    }

    /// Sum of the weights, in f64.
    pub fn sumwt(&self) -> f64 {
        self.weight.iter().map(|&w| f64::from(w)).sum()
    }
}
