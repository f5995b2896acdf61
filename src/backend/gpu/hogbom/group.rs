//! Channels that one dispatch serves: their tables on the device, and the dispatches on them.

use wgpu::BufferUsages;

use super::{
    CAPACITY, Channel, DISPATCH_UPDATES, MinorParams, PROGRESS_WORDS, Progress, Status, Work,
};
use crate::{
    Result,
    backend::{
        MinorControl,
        gpu::{
            device::Allocation,
            shader::Variant,
            tiles::{TILE, TileTable},
        },
    },
};

/// Channels of a group at most: as many as `shaders/shared/minor.wgsl` has room for.
const MOST_CHANNELS: usize = 64;

/// Words of a channel in `work`: progress, components, states of tiles, windows and blocks of the PSF.
pub(super) fn work_words(nx: usize, ny: usize, tile_count: usize) -> usize {
    let (x, y) = (nx.div_ceil(TILE), ny.div_ceil(TILE));
    PROGRESS_WORDS + 2 * CAPACITY + 4 * tile_count + (x + 1) * (y + 1) + x * y
}

/// A group that is being put together.
#[derive(Default)]
pub(super) struct Draft<'a> {
    slabs: [usize; 3],
    members: Vec<Member>,
    table: TileTable<'a>,
    work_words: usize,
}

/// A channel in a group.
struct Member {
    /// In the call's controls.
    position: usize,
    tile_count: usize,
    remaining: u32,
    done: bool,
    /// Its entry, but for the places in `work`.
    channel: Channel,
}

impl<'a> Draft<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Adds a channel, unless it must go into another group.
    pub(super) fn add(
        &mut self,
        work: &Work<'_>,
        position: usize,
        control: &MinorControl<'a>,
        most_words: usize,
    ) -> bool {
        let planes = [work.residual, work.psf, work.model];
        let places = planes.map(|p| p.stack.locate(control.channel));
        let slabs = places.map(|(slab, _)| slab);
        if !self.is_empty() && (slabs != self.slabs || self.members.len() == MOST_CHANNELS) {
            return false;
        }
        let Some(list) = self.table.list(control.mask, most_words) else { return false };
        let tile_count = list.count as usize;
        let words = work_words(work.residual.nx, work.residual.ny, tile_count);
        if self.work_words + words > most_words {
            return false;
        }
        self.slabs = slabs;
        self.work_words += words;
        let [residual, psf, model] = places.map(|(_, first)| first);
        self.members.push(Member {
            position,
            tile_count,
            remaining: u32::try_from(control.max_iter).unwrap_or(u32::MAX),
            done: false,
            channel: Channel {
                residual,
                psf,
                model,
                tiles: list.first,
                tile_count: list.count,
                progress: 0,
                components: 0,
                states: 0,
                windows: 0,
                blocks: 0,
                gain: control.gain,
                least: least_above(control.threshold),
            },
        });
        true
    }

    /// Brings the tables to the device.
    pub(super) fn open(mut self, work: &Work<'_>) -> Result<Group> {
        let gpu = work.gpu;
        let (nx, ny) = (work.residual.nx, work.residual.ny);
        let (tiles_x, tiles_y) = (nx.div_ceil(TILE), ny.div_ceil(TILE));
        let count = self.members.len();
        // All progress comes first, so that one copy reads it.
        let mut progress = vec![0u32; count * PROGRESS_WORDS];
        let mut at = progress.len();
        let mut place = |words: usize| {
            at += words;
            (at - words) as u32
        };
        for (i, member) in self.members.iter_mut().enumerate() {
            let channel = &mut member.channel;
            channel.progress = (i * PROGRESS_WORDS) as u32;
            channel.components = place(2 * CAPACITY);
            channel.states = place(4 * member.tile_count);
            channel.windows = place((tiles_x + 1) * (tiles_y + 1));
            channel.blocks = place(tiles_x * tiles_y);
            progress[i * PROGRESS_WORDS + 2] = member.remaining;
        }
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let bytes = 4 * self.work_words as u64;
        let buffer = gpu.device.allocate("minor cycle", bytes, usage, false)?;
        let progress = bytemuck::cast_slice(&progress);
        let start = gpu.device.upload("staging", BufferUsages::COPY_SRC, progress)?;
        let source = start.buffer.clone();
        gpu.recorder.record(&gpu.device, 0, vec![start], |encoder| {
            let bytes = progress.len() as u64;
            encoder.copy_buffer_to_buffer(&source, 0, &buffer.buffer, 0, bytes);
        })?;
        let mut entries = [bytemuck::Zeroable::zeroed(); MOST_CHANNELS];
        for (entry, member) in entries.iter_mut().zip(&self.members) {
            *entry = member.channel;
        }
        let entries: &[Channel] = &entries;
        let entries = bytemuck::cast_slice(entries);
        Ok(Group {
            slabs: self.slabs,
            channels: gpu.device.upload("channels", BufferUsages::UNIFORM, entries)?,
            tiles: gpu.table("masks", &self.table.words)?,
            work: buffer,
            members: self.members,
        })
    }
}

/// Channels whose planes share slabs.
pub(super) struct Group {
    /// Of residual, PSF and model.
    slabs: [usize; 3],
    members: Vec<Member>,
    channels: Allocation,
    tiles: Allocation,
    work: Allocation,
}

impl Group {
    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether a channel is not done.
    pub(super) fn is_open(&self) -> bool {
        self.members.iter().any(|m| !m.done)
    }

    /// A channel's position among the call's controls.
    pub(super) fn position(&self, member: usize) -> usize {
        self.members[member].position
    }

    pub(super) fn work(&self) -> &wgpu::Buffer {
        &self.work.buffer
    }

    /// Where a channel's components are in `work`.
    pub(super) fn components(&self, member: usize) -> usize {
        self.members[member].channel.components as usize
    }

    /// The windows of the PSFs, and the first winners of all tiles.
    pub(super) fn prepare(&self, work: &Work<'_>) -> Result<()> {
        let params = work.params(0, 0);
        let pixels = (work.psf.nx * work.psf.ny) as u64;
        let step = work.planes_per_dispatch();
        for first in (0..self.len()).step_by(step) {
            let count = step.min(self.len() - first);
            let groups = [params.nx.div_ceil(256), params.tiles_y, count as u32];
            let traffic = 4 * pixels * count as u64;
            let (variant, params) = (&work.shaders.psf_blocks, work.params(first, 0));
            self.dispatch(work, variant, &params, &[Place::Psf], groups, traffic)?;
        }
        let [x, y] = [params.tiles_x, params.tiles_y].map(|n| (n + 1).div_ceil(16));
        let groups = [x, y, self.len() as u32];
        self.dispatch(work, &work.shaders.psf_windows, &params, &[], groups, 0)?;
        self.subtract_range(work, 0, self.len(), 0)
    }

    /// Records the loop for all channels; those that are done leave at once.
    pub(super) fn iterate(&self, work: &Work<'_>) -> Result<()> {
        let places = [Place::Tiles, Place::Residual, Place::Psf, Place::Model];
        let groups = [self.len() as u32, 1, 1];
        self.dispatch(work, &work.shaders.hogbom, &work.params(0, 0), &places, groups, 0)
    }

    /// Takes note of the progress that was read; gives the channels that are full or newly done.
    pub(super) fn note(&mut self, words: &[u32]) -> Vec<(usize, Progress)> {
        let mut due = Vec::new();
        for (i, (member, words)) in
            self.members.iter_mut().zip(words.chunks(PROGRESS_WORDS)).enumerate()
        {
            let status = match words[0] {
                0 => Status::Running,
                1 => Status::Full,
                _ => Status::Done,
            };
            let count = (words[1] as usize).min(CAPACITY);
            let progress = Progress { status, count, peak: f32::from_bits(words[3]) };
            if !member.done && progress.status != Status::Running {
                member.done = progress.status == Status::Done;
                due.push((i, progress));
            }
        }
        due
    }

    /// Records stage `subtract` for channels, ascending: all tiles up to date.
    pub(super) fn subtract(&self, work: &Work<'_>, due: &[(usize, Progress)]) -> Result<()> {
        for neighbours in due.chunk_by(|a, b| a.0 + 1 == b.0) {
            let most = neighbours.iter().map(|(_, p)| p.count).max().unwrap_or(0);
            self.subtract_range(work, neighbours[0].0, neighbours.len(), most)?;
        }
        Ok(())
    }

    /// Stage `subtract` for neighbouring channels with at most `pending` components each.
    fn subtract_range(
        &self,
        work: &Work<'_>,
        first: usize,
        count: usize,
        pending: usize,
    ) -> Result<()> {
        let members = &self.members[first..first + count];
        let tiles = members.iter().map(|m| m.tile_count).max().unwrap_or(0);
        let per_tile = (TILE * TILE * (pending + 1) * count) as u64;
        let most = work.gpu.device.limits.max_compute_workgroups_per_dimension;
        let step = (DISPATCH_UPDATES / per_tile).clamp(1, most.into()) as usize;
        for first_tile in (0..tiles).step_by(step) {
            let some = step.min(tiles - first_tile);
            let params = work.params(first, first_tile);
            let places = [Place::Tiles, Place::Residual, Place::Psf];
            // As much as the recorder submits at once counts as DISPATCH_UPDATES.
            let traffic = some as u64 * per_tile / 16;
            let groups = [some as u32, count as u32, 1];
            self.dispatch(work, &work.shaders.subtract, &params, &places, groups, traffic)?;
        }
        Ok(())
    }

    /// Records a dispatch on the group's tables and the given buffers.
    fn dispatch(
        &self,
        work: &Work<'_>,
        variant: &Variant,
        params: &MinorParams,
        places: &[Place],
        groups: [u32; 3],
        traffic: u64,
    ) -> Result<()> {
        let program = work.gpu.program(variant)?;
        let params = work.gpu.uniform(params)?;
        let mut buffers = vec![&params.buffer, &self.channels.buffer, &self.work.buffer];
        for place in places {
            match place {
                Place::Tiles => buffers.push(&self.tiles.buffer),
                Place::Residual => buffers.extend(work.residual.stack.slab(self.slabs[0])),
                Place::Psf => buffers.extend(work.psf.stack.slab(self.slabs[1])),
                Place::Model => buffers.extend(work.model.stack.slab(self.slabs[2])),
            }
        }
        work.gpu.dispatch(&program, &buffers, groups, traffic)
    }
}

/// Buffers that only some shaders bind.
enum Place {
    Tiles,
    Residual,
    Psf,
    Model,
}

/// Bits of the smallest magnitude above a threshold, as `|value| > threshold` has it: none exceeds NaN.
pub(in crate::backend::gpu) fn least_above(threshold: f32) -> u32 {
    if threshold.is_nan() {
        u32::MAX
    } else if threshold < 0.0 {
        0
    } else {
        threshold.abs().to_bits() + 1
    }
}
