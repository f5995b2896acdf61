//! Stage `subtract`: Hogbom's loop, many iterations of many channels in one dispatch.
//!
//! How the loop stays exact while it leaves most tiles alone: `shaders/hogbom.wgsl`. Here is what
//! surrounds it. Channels whose planes share slabs form a [`Group`], and a *round* dispatches the loop
//! for all groups; each workgroup runs one channel until it is done, its components fill their buffer,
//! or its share of time is over. Then the host reads how far each is; of those that are done or full it
//! brings all tiles up to date, reads the components, and goes on with the rest.

mod group;

use wgpu::BufferUsages;

use super::{
    GpuPlanes,
    batch::most_per_dispatch,
    gpu::Gpu,
    minor::{most_words, too_large},
    shader::{Split, Variant, shared_struct},
    tiles::TILE,
};
use crate::{
    Result,
    backend::{MinorControl, MinorResult, Patch, Points},
};
use group::{Draft, Group};

shared_struct! {
    /// What all workgroups of a dispatch know; see `shaders/shared/minor.wgsl`.
    MinorParams {
        nx: u32,
        ny: u32,
        tiles_x: u32,
        tiles_y: u32,
        turns: u32,
        capacity: u32,
        zero: u32,
        first_channel: u32,
        first_tile: u32,
        patch_x: u32,
        patch_y: u32,
        patch_nx: u32,
        patch_ny: u32,
    }
}

shared_struct! {
    /// A channel's planes, tables and limits; see `shaders/shared/minor.wgsl`.
    Channel {
        residual: u32,
        psf: u32,
        model: u32,
        tiles: u32,
        tile_count: u32,
        progress: u32,
        components: u32,
        states: u32,
        windows: u32,
        blocks: u32,
        gain: f32,
        least: u32,
    }
}

/// Components of a channel that the device keeps before the host reads them.
const CAPACITY: usize = 4096;

/// Words of a channel's progress, in the order of the constants in `shaders/hogbom.wgsl`.
const PROGRESS_WORDS: usize = 4;

/// Updates of a pixel by a component that one dispatch of `subtract` may do: some tenths of a second
/// on a slow device.
const DISPATCH_UPDATES: u64 = 1 << 32;

/// Loop turns of `hogbom` in one dispatch, of which the slowest take about a microsecond: half a second
/// on a slow device, and long against the cost of a round on a fast one.
pub(super) const HARDWARE_TURNS: u32 = 1 << 19;

/// The same on llvmpipe, which ends all loops of an invocation after 65,535 turns: the last turn that
/// begins below this may take [`CAPACITY`] more, and twice as many as 256 go into the tiles.
pub(super) const SOFTWARE_TURNS: u32 = 40_000;

/// Bytes that the minor cycle takes of device memory for one channel, besides planes, at most: tables
/// of tiles, here as if no tile were full, and components.
pub(super) fn bytes_per_channel(ny: usize, nx: usize) -> usize {
    let (x, y) = (nx.div_ceil(TILE), ny.div_ceil(TILE));
    let mask = (2 + TILE) * x * y;
    size_of::<u32>() * (mask + group::work_words(nx, ny, x * y)) + size_of::<Channel>()
}

/// The shaders, for the way the planes are cut.
struct Shaders {
    psf_blocks: Variant,
    psf_windows: Variant,
    subtract: Variant,
    hogbom: Variant,
}

impl Shaders {
    fn new(residual: Split, psf: Split, model: Split) -> Self {
        Self {
            psf_blocks: Variant::new("psf_blocks").split("psf", psf),
            psf_windows: Variant::new("psf_windows"),
            subtract: Variant::new("subtract").split("residual", residual).split("psf", psf),
            hogbom: Variant::new("hogbom")
                .split("residual", residual)
                .split("psf", psf)
                .split("model", model),
        }
    }
}

/// A call's planes and shaders.
struct Work<'a> {
    gpu: &'a Gpu,
    shaders: Shaders,
    residual: &'a GpuPlanes,
    psf: &'a GpuPlanes,
    model: &'a GpuPlanes,
    /// What of the PSF is used: first column and number, first row and number.
    patch: [(usize, usize); 2],
}

/// What a workgroup left its channel in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Running,
    /// The components fill their buffer.
    Full,
    Done,
}

/// A channel's progress as the device has it.
#[derive(Clone, Copy, Debug)]
struct Progress {
    status: Status,
    /// Components since they were last read.
    count: usize,
    peak: f32,
}

/// Fails if the device cannot clean planes that are cut as these are.
pub(super) fn check(gpu: &Gpu, planes: &GpuPlanes) -> Result<()> {
    let split = planes.stack.split();
    let Shaders { psf_blocks, psf_windows, subtract, hogbom } = Shaders::new(split, split, split);
    [psf_blocks, psf_windows, subtract, hogbom].iter().try_for_each(|v| gpu.program(v).map(drop))
}

/// Hogbom's loop on the channels of `controls`, which are distinct and fit the planes; the PSF is taken
/// for zero outside a patch.
pub(super) fn hogbom(
    gpu: &Gpu,
    planes: [&GpuPlanes; 3],
    patch: Option<Patch>,
    controls: &[MinorControl<'_>],
) -> Result<Vec<MinorResult>> {
    let work = Work::new(gpu, planes, patch)?;
    let mut groups = work.groups(controls)?;
    for group in &groups {
        group.prepare(&work)?;
    }
    let mut results = vec![MinorResult::default(); controls.len()];
    while !groups.is_empty() {
        round(&work, &mut groups, &mut results)?;
        groups.retain(Group::is_open);
    }
    Ok(results)
}

/// Takes components, at most [`CAPACITY`] of a channel at a time, off the residual within masks.
pub(super) fn subtract(
    gpu: &Gpu,
    residual: &GpuPlanes,
    psf: &GpuPlanes,
    points: &[Points<'_>],
) -> Result<()> {
    // There is no loop, and so no model: its place is any plane's.
    let work = Work::new(gpu, [residual, psf, residual], None)?;
    let controls: Vec<_> = points
        .iter()
        .map(|&Points { channel, mask, .. }| MinorControl {
            channel,
            mask,
            gain: 0.0,
            threshold: 0.0,
            max_iter: 0,
            keep_residual: true,
        })
        .collect();
    for group in work.groups(&controls)? {
        group.take_off(&work, points)?;
    }
    Ok(())
}

impl<'a> Work<'a> {
    /// Residual, PSF and model.
    fn new(
        gpu: &'a Gpu,
        [residual, psf, model]: [&'a GpuPlanes; 3],
        patch: Option<Patch>,
    ) -> Result<Self> {
        let [a, b, c] = [residual, psf, model].map(|planes| planes.stack.split());
        let sides = [residual.nx, residual.ny];
        // Positions travel as two halves of a word.
        if sides.iter().any(|&side| side > usize::from(u16::MAX)) {
            return Err(too_large(gpu, "a side of more than 65535 pixels"));
        }
        let patch = sides.map(|side| patch.map_or((0, side), |patch| patch.along(side)));
        Ok(Self { gpu, shaders: Shaders::new(a, b, c), residual, psf, model, patch })
    }

    /// Channels in groups, in their order; a group's tables fit one binding each.
    fn groups(&self, controls: &[MinorControl<'_>]) -> Result<Vec<Group>> {
        let most = most_words(self.gpu);
        let mut groups = Vec::new();
        let mut draft = Draft::default();
        for (position, control) in controls.iter().enumerate() {
            if draft.add(self, position, control, most) {
                continue;
            }
            if !draft.is_empty() {
                groups.push(std::mem::take(&mut draft).open(self)?);
            }
            if !draft.add(self, position, control, most) {
                return Err(too_large(self.gpu, "the minor cycle's tables"));
            }
        }
        if !draft.is_empty() {
            groups.push(draft.open(self)?);
        }
        Ok(groups)
    }

    /// What dispatches on the channels from `first_channel`, of their tiles those from `first_tile`,
    /// are told.
    fn params(&self, first_channel: usize, first_tile: usize) -> MinorParams {
        let (nx, ny) = (self.residual.nx, self.residual.ny);
        MinorParams {
            nx: nx as u32,
            ny: ny as u32,
            tiles_x: nx.div_ceil(TILE) as u32,
            tiles_y: ny.div_ceil(TILE) as u32,
            turns: self.gpu.loop_turns,
            capacity: CAPACITY as u32,
            zero: 0,
            first_channel: first_channel as u32,
            first_tile: first_tile as u32,
            patch_x: self.patch[0].0 as u32,
            patch_y: self.patch[1].0 as u32,
            patch_nx: self.patch[0].1 as u32,
            patch_ny: self.patch[1].1 as u32,
        }
    }

    /// Planes that a dispatch may read once.
    fn planes_per_dispatch(&self) -> usize {
        most_per_dispatch(&self.gpu.device, 4 * (self.psf.nx * self.psf.ny) as u64)
    }
}

/// One dispatch of the loop for all channels that are not done, and what follows from where they end.
fn round(work: &Work<'_>, groups: &mut [Group], results: &mut [MinorResult]) -> Result<()> {
    let gpu = work.gpu;
    // All dispatches before all copies: groups share no buffer, so that the device may run them side
    // by side.
    for group in groups.iter() {
        group.iterate(work)?;
    }
    let words: usize = groups.iter().map(|g| g.len() * PROGRESS_WORDS).sum();
    let read = Readback::new(gpu, words)?;
    let mut at = 0;
    for group in groups.iter() {
        read.copy(gpu, group.work(), 0, at, group.len() * PROGRESS_WORDS)?;
        at += group.len() * PROGRESS_WORDS;
    }
    let progress = read.finish(gpu, "components")?;

    let mut at = 0;
    let mut due = Vec::new();
    for group in groups.iter_mut() {
        due.push(group.note(&progress[at..at + group.len() * PROGRESS_WORDS]));
        at += group.len() * PROGRESS_WORDS;
    }
    let words: usize = due.iter().flatten().map(|(_, progress)| 2 * progress.count).sum();
    for (group, due) in groups.iter().zip(&due) {
        group.subtract(work, due)?;
    }
    let read = Readback::new(gpu, words)?;
    let mut at = 0;
    for (group, due) in groups.iter().zip(&due) {
        for &(member, Progress { count, .. }) in due {
            read.copy(gpu, group.work(), group.components(member), at, 2 * count)?;
            at += 2 * count;
        }
    }
    if words == 0 {
        // Final peaks without components need no reading, but what is recorded must run.
        gpu.recorder.flush(&gpu.device)?;
    }
    let mut components = &read.finish(gpu, "components")?[..];
    let nx = work.residual.nx;
    for (group, due) in groups.iter().zip(&due) {
        for &(member, Progress { count, peak, .. }) in due {
            let (own, rest) = components.split_at(2 * count);
            components = rest;
            let result = &mut results[group.position(member)];
            let of = |c: &[u32]| {
                let (x, y) = ((c[0] & 0xffff) as usize, (c[0] >> 16) as usize);
                ((y * nx + x) as u32, f32::from_bits(c[1]))
            };
            result.components.extend(own.chunks(2).map(of));
            result.peak = peak;
        }
    }
    Ok(())
}

/// Words on their way from the device.
pub(super) struct Readback {
    staging: super::device::Allocation,
    words: usize,
}

impl Readback {
    pub(super) fn new(gpu: &Gpu, words: usize) -> Result<Self> {
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        let staging = gpu.device.allocate("read back", 4 * words as u64, usage, false)?;
        Ok(Self { staging, words })
    }

    /// Records the copy of `words` words of a buffer from word `from` to word `to`.
    pub(super) fn copy(
        &self,
        gpu: &Gpu,
        source: &wgpu::Buffer,
        from: usize,
        to: usize,
        words: usize,
    ) -> Result<()> {
        let [from, to, bytes] = [from, to, words].map(|w| 4 * w as u64);
        gpu.recorder.record(&gpu.device, bytes, Vec::new(), |encoder| {
            encoder.copy_buffer_to_buffer(source, from, &self.staging.buffer, to, bytes);
        })
    }

    /// Runs everything recorded so far and reads the words, which are what `label` says; nothing if there
    /// are none.
    pub(super) fn finish(self, gpu: &Gpu, label: &str) -> Result<Vec<u32>> {
        let mut words = vec![0u32; self.words];
        if self.words > 0 {
            gpu.read(label, &self.staging, &mut words)?;
        }
        Ok(words)
    }
}

/// Bits of the smallest magnitude above a threshold, as `|value| > threshold` has it: none exceeds NaN.
pub(super) fn least_above(threshold: f32) -> u32 {
    if threshold.is_nan() {
        u32::MAX
    } else if threshold < 0.0 {
        0
    } else {
        threshold.abs().to_bits() + 1
    }
}
