//! Stage `peak`: the largest |value| within masks, in two steps: of some tiles each, then of those.
//!
//! Magnitudes are compared as integers, so that NaN never wins and no driver's handling of infinity or
//! subnormals matters.

use wgpu::BufferUsages;

use super::{
    GpuPlanes,
    batch::{self, Items},
    gpu::Gpu,
    minor::{most_words, too_large},
    shader::{Variant, shared_struct},
    tiles::{TILE, TileTable},
};
use crate::{Result, backend::Peak, mask::Mask};

shared_struct! {
    /// What all workgroups of a dispatch know; see `shaders/shared/peak.wgsl`.
    PeakParams {
        nx: u32,
        ny: u32,
        per_group: u32,
        groups: u32,
        channels: u32,
    }
}

shared_struct! {
    /// A channel's plane and mask.
    PeakChannel {
        plane: u32,
        tiles: u32,
        tile_count: u32,
    }
}

/// Tiles that a workgroup looks at before it reduces: a reduction costs about as much as one of them.
const TILES_PER_GROUP: u32 = 8;

/// Key of no winner.
const NONE: u32 = u32::MAX;

/// The peak of each (channel, mask).
pub(super) fn peak(
    gpu: &Gpu,
    planes: &GpuPlanes,
    channels: &[(usize, &Mask)],
) -> Result<Vec<Option<Peak>>> {
    let bytes = 8 * channels.len() as u64;
    let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
    let staging = gpu.device.allocate("peaks", bytes, usage, false)?;
    let mut rest = channels;
    while !rest.is_empty() {
        let mut table = TileTable::default();
        let lists: Vec<_> =
            rest.iter().map_while(|(_, mask)| table.list(mask, most_words(gpu))).collect();
        if lists.is_empty() {
            return Err(too_large(gpu, "the mask"));
        }
        let tiles = gpu.table("masks", &table.words)?;
        let done = channels.len() - rest.len();
        let most = lists.iter().map(|l| l.count).max().unwrap_or(0);
        // Every masked pixel is read once.
        let traffic = 4 * (TILE * TILE) as u64 * u64::from(most);
        let indices = rest[..lists.len()].iter().map(|c| c.0);
        let describe = |plane, position: usize| PeakChannel {
            plane,
            tiles: lists[position].first,
            tile_count: lists[position].count,
        };
        let mut first = done;
        for items in batch::items(&gpu.device, &planes.stack, indices, traffic, describe)? {
            run(gpu, planes, &items, most, traffic, &tiles.buffer, &staging.buffer, first)?;
            first += items.items.len();
        }
        rest = &rest[lists.len()..];
    }
    let mut words = vec![0u32; 2 * channels.len()];
    gpu.read("peaks", &staging, &mut words)?;
    let peak = |word: &[u32]| {
        let pixel = word[0] as usize - 1;
        (word[0] != NONE).then(|| Peak { pixel, value: f32::from_bits(word[1]) })
    };
    Ok(words.chunks(2).map(peak).collect())
}

/// Records the two dispatches for the channels of one slab, and the copy of their results to `staging`
/// from element `first`.
#[expect(clippy::too_many_arguments, reason = "one caller, which has them at hand")]
fn run(
    gpu: &Gpu,
    planes: &GpuPlanes,
    items: &Items<PeakChannel>,
    most_tiles: u32,
    item_traffic: u64,
    tiles: &wgpu::Buffer,
    staging: &wgpu::Buffer,
    first: usize,
) -> Result<()> {
    let most_groups = gpu.device.limits.max_compute_workgroups_per_dimension;
    let per_group = TILES_PER_GROUP.max(most_tiles.div_ceil(most_groups));
    let groups = most_tiles.div_ceil(per_group);
    let count = items.items.len() as u32;
    let params = PeakParams {
        nx: planes.nx as u32,
        ny: planes.ny as u32,
        per_group,
        groups,
        channels: count,
    };
    let params = gpu.uniform(&params)?;
    let channels = gpu.table("channels", &items.items)?;
    let bytes = 4 * (2 * u64::from(count) + 3 * u64::from(count) * u64::from(groups));
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
    let winners = gpu.device.allocate("winners", bytes, usage, false)?;

    if groups > 0 {
        let split = planes.stack.split();
        let program = gpu.program(&Variant::new("peak_tiles").split("planes", split))?;
        let mut buffers = vec![tiles, &params.buffer, &channels.buffer, &winners.buffer];
        buffers.extend(planes.stack.slab(items.slab));
        let traffic = item_traffic * u64::from(count);
        gpu.dispatch(&program, &buffers, [groups, 1, count], traffic)?;
    }
    let program = gpu.program(&Variant::new("peak_reduce"))?;
    let buffers = [&params.buffer, &channels.buffer, &winners.buffer];
    gpu.dispatch(&program, &buffers, [count, 1, 1], bytes)?;
    let source = winners.buffer.clone();
    gpu.recorder.record(&gpu.device, 0, vec![winners], |encoder| {
        let (to, len) = (8 * first as u64, 8 * u64::from(count));
        encoder.copy_buffer_to_buffer(&source, 0, staging, to, len);
    })
}
