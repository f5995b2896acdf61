//! Stage `above`: the pixels of masks that exceed a level, as masks.

use wgpu::BufferUsages;

use super::{
    GpuPlanes, batch,
    buffer::Stack,
    gpu::Gpu,
    hogbom::{Readback, least_above},
    minor::{most_words, too_large},
    shader::{Variant, shared_struct},
    tiles::{TILE, TileList, TileTable},
};
use crate::{Result, mask::Mask};

shared_struct! {
    /// What all workgroups of a dispatch know; see `shaders/clark_above.wgsl`.
    AboveParams {
        nx: u32,
        ny: u32,
        first_tile: u32,
    }
}

shared_struct! {
    /// A channel's plane, mask and level.
    AboveChannel {
        plane: u32,
        tiles: u32,
        tile_count: u32,
        marks: u32,
        least: u32,
    }
}

/// Fails if the device cannot look at planes that are cut as these are.
pub(super) fn check(gpu: &Gpu, planes: &GpuPlanes) -> Result<()> {
    gpu.program(&shader(&planes.stack)).map(drop)
}

fn shader(planes: &Stack) -> Variant {
    Variant::new("clark_above").split("planes", planes.split())
}

/// The mask's pixels above the level, of each (channel, mask, level).
pub(super) fn above(
    gpu: &Gpu,
    planes: &GpuPlanes,
    channels: &[(usize, &Mask, f32)],
) -> Result<Vec<Mask>> {
    let mut found = Vec::with_capacity(channels.len());
    while let rest @ [_, ..] = &channels[found.len()..] {
        let mut table = TileTable::default();
        let mut marks = 0;
        let lists: Vec<_> = rest
            .iter()
            .map_while(|(_, mask, _)| {
                let list = table.list(mask, most_words(gpu))?;
                let first = marks;
                marks += TILE * list.count as usize;
                (marks <= most_words(gpu)).then_some((list, first))
            })
            .collect();
        if lists.is_empty() {
            return Err(too_large(gpu, "the mask"));
        }
        let some = &rest[..lists.len()];
        let words = mark(gpu, planes, some, &lists, &table.words)?;
        found.extend(some.iter().zip(&lists).map(|((_, mask, _), (list, first))| {
            let entries = &table.words[list.first as usize..][..2 * list.count as usize];
            gather(mask, entries, &words[*first..])
        }));
    }
    Ok(found)
}

/// The words of tiles' rows for channels whose tables fit bindings.
fn mark(
    gpu: &Gpu,
    planes: &GpuPlanes,
    channels: &[(usize, &Mask, f32)],
    lists: &[(TileList, usize)],
    table: &[u32],
) -> Result<Vec<u32>> {
    let total = lists.last().map_or(0, |(list, first)| first + TILE * list.count as usize);
    if total == 0 {
        return Ok(Vec::new());
    }
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC;
    let marks = gpu.device.allocate("marks", 4 * total as u64, usage, false)?;
    let tiles = gpu.table("masks", table)?;
    let program = gpu.program(&shader(&planes.stack))?;
    let most = lists.iter().map(|(list, _)| list.count).max().unwrap_or(0);
    // Every masked pixel is read once.
    let traffic = 4 * (TILE * TILE) as u64 * u64::from(most);
    let describe = |plane, i: usize| {
        let (list, first) = lists[i];
        AboveChannel {
            plane,
            tiles: list.first,
            tile_count: list.count,
            marks: first as u32,
            least: least_above(channels[i].2),
        }
    };
    let indices = channels.iter().map(|c| c.0);
    for items in batch::items(&gpu.device, &planes.stack, indices, traffic, describe)? {
        let entries = gpu.table("channels", &items.items)?;
        let step = gpu.device.limits.max_compute_workgroups_per_dimension;
        for first_tile in (0..most).step_by(step as usize) {
            let (nx, ny) = (planes.nx as u32, planes.ny as u32);
            let params = gpu.uniform(&AboveParams { nx, ny, first_tile })?;
            let mut buffers = vec![&tiles.buffer, &params.buffer, &entries.buffer, &marks.buffer];
            buffers.extend(planes.stack.slab(items.slab));
            let count = items.items.len() as u32;
            let groups = [step.min(most - first_tile), 1, count];
            gpu.dispatch(&program, &buffers, groups, traffic * u64::from(count))?;
        }
    }
    let read = Readback::new(gpu, total)?;
    read.copy(gpu, &marks.buffer, 0, 0, total)?;
    read.finish(gpu, "masks")
}

/// The mask that the words of a mask's tiles make.
fn gather(mask: &Mask, entries: &[u32], words: &[u32]) -> Mask {
    let mut found = Mask::new(mask.nx(), mask.ny(), false);
    for (entry, rows) in entries.chunks(2).zip(words.chunks(TILE)) {
        let (tile_x, tile_y) = ((entry[0] & 0xffff) as usize, (entry[0] >> 16) as usize);
        for (y, &row) in (tile_y * TILE..mask.ny()).zip(rows) {
            found.row_mut(y)[tile_x / 2] |= u64::from(row) << (tile_x % 2 * TILE);
        }
    }
    found
}
