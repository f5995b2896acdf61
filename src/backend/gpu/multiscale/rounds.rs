//! The dispatches of the loop on some channels, and what the host reads in between.

use wgpu::BufferUsages;

use super::{Channel, Scratch};
use crate::{
    Result,
    backend::{
        MinorControl, MinorResult,
        gpu::{
            device::Allocation,
            gpu::Gpu,
            hogbom::least_above,
            minor::{most_words, too_large},
            program::Program,
            shader::{Variant, shared_struct},
            tiles::{TILE, TileTable},
        },
        multiscale::{Tracked, UNBOUNDED},
    },
};

shared_struct! {
    /// What all workgroups of a dispatch know; see `shaders/shared/multiscale.wgsl`.
    MultiscaleParams {
        nx: u32,
        ny: u32,
        shapes: u32,
        first: u32,
        columns: u32,
        capacity: u32,
        restart: u32,
        zero: u32,
    }
}

shared_struct! {
    /// A channel's planes and limits; see `shaders/shared/multiscale.wgsl`.
    MultiscaleChannel {
        residual: u32,
        psf: u32,
        progress: u32,
        components: u32,
        gain: f32,
        least: u32,
    }
}

shared_struct! {
    /// A shape's tiles in one channel; see `shaders/shared/multiscale.wgsl`.
    MultiscaleShape {
        tiles: u32,
        tile_count: u32,
        winners: u32,
        inverse: f32,
        weight: f32,
    }
}

/// Iterations of the first round, and of later ones at most: components of a channel that the device
/// keeps before the host reads them.
const FIRST_ROUND: usize = 32;
const CAPACITY: usize = 1024;

/// Words of a channel's progress, in the order of the constants in `shaders/shared/multiscale.wgsl`.
const PROGRESS_WORDS: usize = 8;
const STATUS: usize = 0;
const COUNT: usize = 1;
const DONE: u32 = 1;

/// Words of a component: shape, pixel, flux.
const COMPONENT_WORDS: usize = 3;

/// Workgroups along x: within every device's limit.
const COLUMNS: u32 = 1 << 15;

/// Bytes of a channel's tables whose size does not depend on the image's, twice for reading them.
pub(super) fn fixed_bytes(shapes: usize) -> usize {
    2 * 4 * (PROGRESS_WORDS + COMPONENT_WORDS * CAPACITY)
        + size_of::<MultiscaleChannel>()
        + shapes * size_of::<MultiscaleShape>()
}

fn variants(scratch: &Scratch) -> [Variant; 2] {
    let (residual, psf) = (scratch.residuals.split(), scratch.psfs.split());
    [
        Variant::new("multiscale_tiles").split("residual", residual).split("psf", psf),
        Variant::new("multiscale_pick"),
    ]
}

/// Fails if the device cannot run the loop on planes that are cut as these are.
pub(super) fn check_programs(gpu: &Gpu, scratch: &Scratch) -> Result<()> {
    variants(scratch).iter().try_for_each(|variant| gpu.program(variant).map(drop))
}

/// The loop on some channels.
pub(super) struct Rounds<'a> {
    gpu: &'a Gpu,
    scratch: &'a Scratch,
    params: MultiscaleParams,
    /// Most tiles of any shape of any channel.
    most_tiles: usize,
    /// Bytes that an iteration moves.
    traffic: u64,
    most_iterations: usize,
    channels: Allocation,
    shapes: Allocation,
    tiles: Allocation,
    /// Progress of all channels, then their components, then the winners of tiles.
    work: Allocation,
    count: usize,
}

impl<'a> Rounds<'a> {
    /// Brings the tables of channels to the device.
    pub(super) fn new(
        gpu: &'a Gpu,
        tracked: &Tracked,
        scratch: &'a Scratch,
        controls: &[MinorControl<'_>],
        prepared: &[Channel],
    ) -> Result<Self> {
        let (mut table, most) = (TileTable::default(), most_words(gpu));
        let (mut channels, mut shapes, mut progress) = (Vec::new(), Vec::new(), Vec::new());
        let progress_words = controls.len() * PROGRESS_WORDS;
        let mut words = progress_words + controls.len() * COMPONENT_WORDS * CAPACITY;
        for (c, (control, channel)) in controls.iter().zip(prepared).enumerate() {
            let remaining = u32::try_from(control.max_iter).unwrap_or(u32::MAX);
            // Running, no component yet, and none pending.
            progress.extend([0, 0, remaining, UNBOUNDED.to_bits(), 0, 0, 0, 0]);
            channels.push(MultiscaleChannel {
                residual: scratch.residuals.locate(c).1,
                psf: scratch.psfs.locate(c).1,
                progress: (c * PROGRESS_WORDS) as u32,
                components: (progress_words + c * COMPONENT_WORDS * CAPACITY) as u32,
                gain: control.gain,
                least: least_above(control.threshold),
            });
            let masks = std::iter::once(control.mask).chain(&channel.masks);
            for (mask, response) in masks.zip(&channel.responses) {
                let list = table.list(mask, most).ok_or_else(|| too_large(gpu, "the masks"))?;
                let tile_count = if response.inverse > 0.0 { list.count } else { 0 };
                shapes.push(MultiscaleShape {
                    tiles: list.first,
                    tile_count,
                    winners: words as u32,
                    inverse: response.inverse,
                    weight: response.weight,
                });
                words += 3 * tile_count as usize;
            }
        }
        if words > most {
            return Err(too_large(gpu, "the minor cycle's tables"));
        }
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let work = gpu.device.allocate("minor cycle", 4 * words as u64, usage, false)?;
        let progress: &[u8] = bytemuck::cast_slice(&progress);
        let start = gpu.device.upload("staging", BufferUsages::COPY_SRC, progress)?;
        let source = start.buffer.clone();
        gpu.recorder.record(&gpu.device, 0, vec![start], |encoder| {
            let bytes = progress.len() as u64;
            encoder.copy_buffer_to_buffer(&source, 0, &work.buffer, 0, bytes);
        })?;
        let tiles: usize = shapes.iter().map(|s| s.tile_count as usize).sum();
        Ok(Self {
            gpu,
            scratch,
            params: MultiscaleParams {
                nx: controls.first().map_or(0, |c| c.mask.nx() as u32),
                ny: controls.first().map_or(0, |c| c.mask.ny() as u32),
                shapes: tracked.len() as u32,
                first: tracked.first as u32,
                columns: COLUMNS,
                capacity: CAPACITY as u32,
                restart: 0,
                zero: 0,
            },
            most_tiles: shapes.iter().map(|s| s.tile_count as usize).max().unwrap_or(0),
            // A residual read and written, a PSF read.
            traffic: (12 * TILE * TILE * tiles) as u64,
            most_iterations: controls.iter().map(|c| c.max_iter).max().unwrap_or(0),
            channels: gpu.table("channels", &channels)?,
            shapes: gpu.table("scales", &shapes)?,
            tiles: gpu.table("masks", &table.words)?,
            work,
            count: controls.len(),
        })
    }

    /// Iterates until all channels are done.
    pub(super) fn run(&self) -> Result<Vec<MinorResult>> {
        let mut results = vec![MinorResult::default(); self.count];
        let mut iterations = FIRST_ROUND;
        let mut spent = 0;
        loop {
            // One more than components: the last finds that there is nothing left to do.
            let left = (self.most_iterations - spent).saturating_add(1);
            self.iterate(iterations.min(left))?;
            spent = self.most_iterations.min(spent + iterations);
            if self.read(&mut results)? {
                return Ok(results);
            }
            iterations = CAPACITY.min(2 * iterations);
        }
    }

    /// Records iterations.
    fn iterate(&self, iterations: usize) -> Result<()> {
        let gpu = self.gpu;
        let [tiles, pick] = variants(self.scratch);
        let (tiles, pick) = (gpu.program(&tiles)?, gpu.program(&pick)?);
        let params = gpu.uniform(&self.params)?;
        let restart = gpu.uniform(&MultiscaleParams { restart: 1, ..self.params })?;
        let of_tiles = self.bind(&tiles, &params, true);
        let (first, later) = (self.bind(&pick, &restart, false), self.bind(&pick, &params, false));
        let columns = self.most_tiles.min(COLUMNS as usize) as u32;
        let rows = self.most_tiles.div_ceil(COLUMNS as usize) as u32;
        let depth = self.count as u32 * self.params.shapes;
        for i in 0..iterations {
            gpu.recorder.record(&gpu.device, self.traffic, Vec::new(), |encoder| {
                if columns > 0 {
                    tiles.dispatch(encoder, &of_tiles, [columns, rows, depth]);
                }
                let bound = if i == 0 { &first } else { &later };
                pick.dispatch(encoder, bound, [self.count as u32, 1, 1]);
            })?;
        }
        Ok(())
    }

    fn bind(&self, program: &Program, params: &Allocation, planes: bool) -> wgpu::BindGroup {
        let tables = [params, &self.channels, &self.shapes, &self.work];
        let mut buffers = tables.map(|a| &a.buffer).to_vec();
        if planes {
            buffers.push(&self.tiles.buffer);
            buffers.extend(self.scratch.residuals.slab(0));
            buffers.extend(self.scratch.psfs.slab(0));
        }
        program.bind(&self.gpu.device, &buffers)
    }

    /// Reads progress and components; whether all channels are done.
    fn read(&self, results: &mut [MinorResult]) -> Result<bool> {
        let gpu = self.gpu;
        let per_channel = COMPONENT_WORDS * CAPACITY;
        let mut words = vec![0u32; self.count * (PROGRESS_WORDS + per_channel)];
        let bytes = 4 * words.len() as u64;
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let staging = gpu.device.allocate("components", bytes, usage, false)?;
        gpu.recorder.record(&gpu.device, bytes, Vec::new(), |encoder| {
            encoder.copy_buffer_to_buffer(&self.work.buffer, 0, &staging.buffer, 0, bytes);
        })?;
        gpu.read("components", &staging, &mut words)?;
        let (progress, components) = words.split_at(self.count * PROGRESS_WORDS);
        let channels = progress.chunks(PROGRESS_WORDS).zip(components.chunks(per_channel));
        let mut all_done = true;
        for ((progress, components), result) in channels.zip(results) {
            let count = (progress[COUNT] as usize).min(CAPACITY);
            for component in components.chunks(COMPONENT_WORDS).take(count) {
                result.components.push((component[1], f32::from_bits(component[2])));
                result.scales.push((component[0] - self.params.first) as u8);
            }
            all_done &= progress[STATUS] == DONE;
        }
        Ok(all_done)
    }
}
