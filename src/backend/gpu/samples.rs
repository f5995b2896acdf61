//! Visibilities of a batch in device memory, in gridding order; taken there once and kept for all
//! major cycles.

use std::sync::Arc;

use num_complex::Complex32;
use rayon::prelude::*;
use wgpu::BufferUsages;

use super::{
    buffer::Stack, device::Allocation, gpu::Gpu, kernel::KernelText, shader::shared_struct,
    uv_tiles::TiledRows,
};
use crate::{
    Result,
    gridding::{Bins, OperatorPlan, SortedLayer, batch_channel, of_channel},
    ms::VisBlock,
};

shared_struct! {
    /// First elements of what belongs to one layer; see `shaders/shared/grid_work.wgsl`.
    LayerTarget {
        samples: u32,
        predicted: u32,
        grid: u32,
        partials: u32,
    }
}

/// Bytes that partial sums of overfull tiles may take; more layers than fit are gridded in turns.
const PARTIAL_BYTES: usize = 256 << 20;

/// Where the samples of one layer are.
#[derive(Clone, Copy)]
pub(super) struct LayerPlace {
    /// Item of the stacks.
    pub(super) item: usize,
    /// Index in [`GpuSamples::sorts`].
    pub(super) sort: usize,
}

/// One sort of the rows, on the host and on the device.
pub(super) struct Sort {
    pub(super) bins: Arc<Bins>,
    pub(super) tiled: TiledRows,
}

/// Visibilities, imaging weights and predicted visibilities of a batch in device memory.
pub struct GpuSamples {
    /// Layers of each batch channel.
    pub(super) channels: Vec<Vec<LayerPlace>>,
    pub(super) sorts: Vec<Sort>,
    /// Sum of weights of each batch channel.
    pub(super) sumwt: Vec<f64>,
    /// An item a layer: (re, im, weight, ν/ν_sort − 1) of each sorted row.
    pub(super) samples: Stack,
    /// An item a layer: predicted visibilities of the sorted rows.
    pub(super) predicted: Stack,
    /// Sums of parts of overfull tiles, for `partial_layers` layers at a time.
    pub(super) partials: Option<Allocation>,
    pub(super) partial_layers: usize,
    pub(super) text: KernelText,
}

impl GpuSamples {
    /// Sorts a block and takes it to the device.
    pub(super) fn new(gpu: &Gpu, plan: &OperatorPlan, block: &VisBlock) -> Result<Self> {
        let (rows, n) = (plan.rows().uvw_m.len(), block.layers.len());
        let mut samples = Stack::new(&gpu.device, "visibilities", n, rows, size_of::<[f32; 4]>())?;
        let predicted =
            Stack::new(&gpu.device, "predicted visibilities", n, rows, size_of::<Complex32>())?;
        let mut channels: Vec<Vec<LayerPlace>> = vec![Vec::new(); block.channels.len()];
        let mut sumwt = vec![0.0; block.channels.len()];
        let mut sorts: Vec<Sort> = Vec::new();

        // As many sorted layers are in host memory at a time as there are threads to sort.
        let mut item = 0;
        for layers in block.layers.chunks(rayon::current_num_threads()) {
            let sorted: Vec<Result<SortedLayer>> =
                layers.par_iter().map(|layer| SortedLayer::new(plan, layer)).collect();
            for (layer, sorted) in layers.iter().zip(sorted) {
                let sorted = sorted?;
                let index = batch_channel(block, layer)?;
                let known = sorts.iter().position(|s| Arc::ptr_eq(&s.bins, &sorted.bins));
                let sort = match known {
                    Some(sort) => sort,
                    None => {
                        let tiled = TiledRows::new(gpu, plan, &sorted.bins)?;
                        sorts.push(Sort { bins: Arc::clone(&sorted.bins), tiled });
                        sorts.len() - 1
                    }
                };
                let packed = pack(&sorted);
                let bytes = bytemuck::cast_slice(&packed);
                samples.put(&gpu.device, &gpu.recorder, item, bytes)?;
                channels[index].push(LayerPlace { item, sort });
                sumwt[index] += sorted.sumwt();
                item += 1;
            }
        }

        let one = sorts.iter().map(|s| s.tiled.partial_len(&plan.grid)).max().unwrap_or(0);
        let one = one * size_of::<Complex32>();
        let most = PARTIAL_BYTES.min(gpu.device.max_binding_bytes as usize);
        let partial_layers = (most / one.max(1)).clamp(1, n.max(1));
        let partials = match one {
            0 => None,
            _ => Some(gpu.device.allocate(
                "partial sums",
                (partial_layers * one) as u64,
                BufferUsages::STORAGE,
                false,
            )?),
        };
        let text = KernelText::new(&plan.kernel, &plan.grid);
        Ok(Self { channels, sorts, sumwt, samples, predicted, partials, partial_layers, text })
    }

    /// Bytes of one layer: its samples and predictions, and its partial sums were all tiles overfull.
    pub(super) fn bytes_per_layer(plan: &OperatorPlan) -> usize {
        let rows = plan.rows().uvw_m.len();
        rows * (size_of::<[f32; 4]>() + size_of::<Complex32>())
            + TiledRows::most_partial_len(&plan.grid, rows) * size_of::<Complex32>()
    }

    /// The layers of a batch channel.
    pub(super) fn layers(&self, channel: usize) -> Result<&[LayerPlace]> {
        Ok(of_channel(&self.channels, channel)?)
    }
}

/// Samples as shaders read them. The frequency's ratio is taken in f64: what is left fits f32.
fn pack(sorted: &SortedLayer) -> Vec<[f32; 4]> {
    let delta: Vec<f32> = sorted
        .inverse_wavelength
        .iter()
        .zip(&sorted.bins.inverse_wavelength)
        .map(|(&own, &sort)| if own > 0.0 { (own / sort - 1.0) as f32 } else { 0.0 })
        .collect();
    let of = |((vis, &weight), &slot): ((&Complex32, &f32), &u32)| {
        [vis.re, vis.im, weight, delta[slot as usize]]
    };
    sorted.vis.iter().zip(&sorted.weight).zip(&sorted.bins.slot).map(of).collect()
}
