//! Stages `grid` and `degrid`: samples to half uv grids and back.
//!
//! Gridding: a workgroup sums the samples of a tile in its own memory and adds the sum to the grid.
//! Tiles whose surroundings overlap are in different dispatches ([`Phase`]), overfull tiles are summed
//! in parts first; so every cell's sum has an order that depends on the plan alone, without atomics.
//! Degridding: a thread gathers the footprint of a sample.

use super::{
    GpuGrids, GpuSamples,
    factor::GridParams,
    gpu::Gpu,
    program::Program,
    samples::{LayerPlace, LayerTarget, Sort},
    shader::Variant,
    uv_tiles::{Phase, TileList, fold},
};
use crate::{Result, backend::Source, gridding::OperatorPlan};

/// Bytes of traffic that a dispatch may cause: what one submission should carry at most.
const DISPATCH_TRAFFIC: usize = 128 << 20;

/// Layers of one round and sort whose data share slabs: one dispatch can serve them all.
struct Group<'a> {
    sort: &'a Sort,
    samples_slab: usize,
    predicted_slab: usize,
    grid_slab: usize,
    targets: Vec<LayerTarget>,
}

/// The layers of `channels` (of the batch; `grids[i]` belongs to `channels[i]`) in groups. The second
/// layers of channels come after all first ones, as they add to the same grids.
fn groups<'a>(
    gpu: &Gpu,
    plan: &OperatorPlan,
    samples: &'a GpuSamples,
    channels: &[usize],
    grids: &GpuGrids,
    most_layers: usize,
) -> Result<Vec<Group<'a>>> {
    let layers: Vec<&[LayerPlace]> =
        channels.iter().map(|&c| samples.layers(c)).collect::<Result<_>>()?;
    let rounds = layers.iter().map(|l| l.len()).max().unwrap_or(0);
    let partial_len: Vec<usize> =
        samples.sorts.iter().map(|s| s.tiled.partial_len(&plan.grid)).collect();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for round in 0..rounds {
        let first_of_round = groups.len();
        for (i, layer) in layers.iter().enumerate().filter_map(|(i, l)| Some((i, l.get(round)?))) {
            grids.uv.check_index(&gpu.device, i)?;
            let (samples_slab, first_sample) = samples.samples.locate(layer.item);
            let (predicted_slab, first_predicted) = samples.predicted.locate(layer.item);
            let (grid_slab, first_cell) = grids.uv.locate(i);
            let sort = &samples.sorts[layer.sort];
            let found = groups[first_of_round..].iter_mut().find(|g| {
                std::ptr::eq(g.sort, sort)
                    && (g.samples_slab, g.predicted_slab, g.grid_slab)
                        == (samples_slab, predicted_slab, grid_slab)
                    && g.targets.len() < most_layers
            });
            let mut target = LayerTarget {
                samples: first_sample,
                predicted: first_predicted,
                grid: first_cell,
                partials: 0,
            };
            match found {
                Some(group) => {
                    target.partials = (group.targets.len() * partial_len[layer.sort]) as u32;
                    group.targets.push(target);
                }
                None => groups.push(Group {
                    sort,
                    samples_slab,
                    predicted_slab,
                    grid_slab,
                    targets: vec![target],
                }),
            }
        }
    }
    Ok(groups)
}

/// Layers that one dispatch may work on.
fn most_layers(plan: &OperatorPlan) -> usize {
    (DISPATCH_TRAFFIC / (plan.rows().uvw_m.len() * sample_traffic(plan)).max(1)).max(1)
}

/// Bytes that a sample moves, its share of workgroup memory counted as if it were device memory.
fn sample_traffic(plan: &OperatorPlan) -> usize {
    64 + 4 * plan.kernel.support().pow(2)
}

/// Programs of stage `grid`.
struct GridPrograms {
    tiles: std::sync::Arc<Program>,
    partials: std::sync::Arc<Program>,
    reduce: std::sync::Arc<Program>,
}

impl GridPrograms {
    fn new(gpu: &Gpu, samples: &GpuSamples, grids: &GpuGrids) -> Result<Self> {
        let variant = |source| {
            gpu.program(
                &Variant::new(source)
                    .split("samples", samples.samples.split())
                    .split("predicted", samples.predicted.split())
                    .split("grids", grids.uv.split())
                    .insert("kernel", samples.text.kernel.clone())
                    .insert("store_taps", samples.text.store_taps.clone()),
            )
        };
        Ok(Self {
            tiles: variant("grid_tiles")?,
            partials: variant("grid_partials")?,
            reduce: variant("grid_reduce")?,
        })
    }
}

/// Fills `grids[i]` from the layers of batch channel `channels[i]`.
pub(super) fn grid(
    gpu: &Gpu,
    plan: &OperatorPlan,
    pass: usize,
    samples: &GpuSamples,
    source: Source,
    channels: &[usize],
    grids: &mut GpuGrids,
) -> Result<()> {
    for i in 0..channels.len() {
        grids.uv.check_index(&gpu.device, i)?;
        grids.uv.clear(&gpu.device, &gpu.recorder, i)?;
    }
    let programs = GridPrograms::new(gpu, samples, grids)?;
    let params = gpu.uniform(&GridParams::new(plan, pass, source))?;
    let most = most_layers(plan).min(samples.partial_layers);
    for group in groups(gpu, plan, samples, channels, grids, most)? {
        let targets = gpu.table("targets", &group.targets)?;
        let recording =
            Recording { gpu, plan, samples, grids, group: &group, params: &params.buffer };
        let tiled = &group.sort.tiled;
        recording.sums(&programs.partials, &tiled.parts, &targets.buffer, false)?;
        for Phase { whole, split } in &tiled.phases {
            recording.sums(&programs.tiles, whole, &targets.buffer, true)?;
            recording.reduce(&programs.reduce, split, &targets.buffer)?;
        }
    }
    Ok(())
}

/// What the dispatches of one group have in common.
struct Recording<'a> {
    gpu: &'a Gpu,
    plan: &'a OperatorPlan,
    samples: &'a GpuSamples,
    grids: &'a GpuGrids,
    group: &'a Group<'a>,
    params: &'a wgpu::Buffer,
}

impl Recording<'_> {
    /// Bytes of the cells of `tiles` tiles, read and written.
    fn cell_traffic(&self, tiles: usize) -> usize {
        16 * tiles * (2 * self.plan.grid.tile).pow(2)
    }

    /// Sums tiles, to the grids or as partial sums.
    fn sums(
        &self,
        program: &Program,
        tiles: &TileList,
        targets: &wgpu::Buffer,
        to_grids: bool,
    ) -> Result<()> {
        if tiles.len == 0 {
            return Ok(());
        }
        let Self { samples, grids, group, .. } = self;
        let mut buffers = vec![self.params, &group.sort.tiled.rows.buffer];
        buffers.extend(samples.samples.slab(group.samples_slab));
        buffers.extend(samples.predicted.slab(group.predicted_slab));
        buffers.extend([&tiles.buffer.buffer, targets]);
        if to_grids {
            buffers.extend(grids.uv.slab(group.grid_slab));
        } else {
            buffers.extend(samples.partials.iter().map(|p| &p.buffer));
        }
        let layers = group.targets.len();
        let traffic =
            layers * (tiles.sum * sample_traffic(self.plan) + self.cell_traffic(tiles.len));
        self.gpu.dispatch(program, &buffers, tiles.workgroups(layers), traffic as u64)
    }

    /// Adds the parts of overfull tiles.
    fn reduce(&self, program: &Program, tiles: &TileList, targets: &wgpu::Buffer) -> Result<()> {
        let Some(partials) = self.samples.partials.as_ref().filter(|_| tiles.len > 0) else {
            return Ok(());
        };
        let mut buffers = vec![self.params, &partials.buffer, &tiles.buffer.buffer, targets];
        buffers.extend(self.grids.uv.slab(self.group.grid_slab));
        let layers = self.group.targets.len();
        let traffic = layers * self.cell_traffic(tiles.len + tiles.sum);
        self.gpu.dispatch(program, &buffers, tiles.workgroups(layers), traffic as u64)
    }
}

/// Adds this pass's part of `grids[i]` to the predicted visibilities of batch channel `channels[i]`.
pub(super) fn degrid(
    gpu: &Gpu,
    plan: &OperatorPlan,
    pass: usize,
    grids: &GpuGrids,
    channels: &[usize],
    samples: &GpuSamples,
) -> Result<()> {
    let rows = plan.rows().uvw_m.len();
    if rows == 0 {
        return Ok(());
    }
    let variant = Variant::new("degrid")
        .split("samples", samples.samples.split())
        .split("predicted", samples.predicted.split())
        .split("grids", grids.uv.split())
        .insert("kernel", samples.text.kernel.clone())
        .insert("gather", samples.text.gather.clone());
    let program = gpu.program(&variant)?;
    let params = gpu.uniform(&GridParams::new(plan, pass, Source::Data))?;
    for group in groups(gpu, plan, samples, channels, grids, most_layers(plan))? {
        let targets = gpu.table("targets", &group.targets)?;
        let mut buffers = vec![&params.buffer, &group.sort.tiled.rows.buffer];
        buffers.extend(samples.samples.slab(group.samples_slab));
        buffers.extend(samples.predicted.slab(group.predicted_slab));
        buffers.extend(grids.uv.slab(group.grid_slab));
        buffers.push(&targets.buffer);
        let layers = group.targets.len();
        let groups = fold(rows.div_ceil(64), layers);
        let traffic = layers * rows * sample_traffic(plan);
        gpu.dispatch(&program, &buffers, groups, traffic as u64)?;
    }
    Ok(())
}
