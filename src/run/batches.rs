//! How the cube's channels go through the backend: in batches that fit the memory of the host and of
//! the devices.

use std::ops::Range;

use super::{
    plan::Plan,
    source::{self, Blocks, From},
};
use crate::{
    backend::{Backend, Batch, Memory},
    error::{Error, Result},
};

/// Channels of a batch that have a uv grid at a time on a device, if memory allows: enough to keep it
/// busy with one dispatch, and no more, as grids are larger than planes.
const DEVICE_GRIDS: usize = 8;

/// Channels of a batch for each thread of the host, and on a device, at most. More would gain little; a run
/// that is killed loses the batch in hand, and nothing is written before its first batch is done.
const CHANNELS_A_THREAD: usize = 4;
const DEVICE_CHANNELS: usize = 64;

/// How the cube's channels go through the backend.
#[derive(Debug)]
pub(super) struct Batches {
    /// Image channels of each batch.
    pub channels: Vec<Range<usize>>,
    shape: Shape,
    /// What is read in one pass each.
    pub blocks: Blocks,
    /// Channels of a batch that have a uv grid at a time.
    pub grid_count: usize,
    /// Estimate of the host memory that all batches in work take.
    pub host: HostMemory,
    /// Estimate of the memory that a batch takes on its device, bytes.
    pub device_bytes: Option<u64>,
}

/// What the host's memory is taken by, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HostMemory {
    /// Baselines, their order on the uv plane, the program itself.
    pub fixed: u64,
    /// Visibilities that are kept while batches draw from them.
    pub visibilities: u64,
    /// Channels in work: visibilities as they are gridded, planes.
    pub channels: u64,
    /// What threads need for the channel they are at: uv grids, planes being restored and written.
    pub threads: u64,
    /// Memory of devices that have none of their own.
    pub devices: u64,
}

impl HostMemory {
    /// All together.
    pub fn total(&self) -> u64 {
        self.fixed + self.visibilities + self.channels + self.threads + self.devices
    }
}

/// What there is.
pub(super) struct Limits {
    /// Bytes of host memory.
    pub host: u64,
    /// All channels are needed at once.
    pub whole_cube: bool,
    /// Bytes of host memory that cleaning takes of a channel to be able to roll back.
    pub to_go_back: usize,
    /// Planes of host memory that a thread takes to mask or clean a channel.
    pub clean_planes: usize,
    /// Planes of host memory that a thread takes to restore a channel.
    pub restore_planes: usize,
    /// Times that the cube's visibilities are asked for.
    pub passes: u64,
    /// Bytes of disk that a sorted copy of the visibilities may take.
    pub disk: u64,
}

impl Batches {
    /// Splits the cube into batches of channels that fit the memory of `devices`, one batch on each at
    /// a time, and of the host together with their planes on the way out.
    ///
    /// # Errors
    /// [`Error::Resources`] if not even one channel fits, or not all where all are needed at once.
    pub fn new<B: Backend>(plan: &Plan, devices: &[B], limits: &Limits) -> Result<Self> {
        // One control over the cube is one batch, and a batch is on one device.
        let devices = if limits.whole_cube { &devices[..1] } else { devices };
        let costs = Costs::new(plan, devices, limits);
        costs.fits(1, 1, 0, limits).map_err(|e| e.error(1))?;
        let (blocks, most) = match limits.whole_cube {
            true => costs.whole_cube(plan, limits)?,
            false => costs.blocks(plan, limits),
        };
        let held = costs.held(plan, &blocks);
        let shape = Shape {
            most,
            devices: devices.len(),
            // Devices want large batches.
            few: if costs.device.is_none() { costs.workers } else { 0 },
        };
        let all: Vec<usize> = (0..plan.nchan()).collect();
        let channels = shape.split(&all, &blocks);
        let size = channels.iter().map(Range::len).max().unwrap_or(1);
        let fits = |&g: &usize| costs.fits(size, g, held, limits).is_ok();
        let grid_count = (1..=costs.grids(size)).rev().find(fits).unwrap_or(1);
        Ok(Self {
            channels,
            shape,
            blocks,
            grid_count,
            host: costs.host(size, grid_count, held),
            device_bytes: costs.device.as_ref().map(|d| d.bytes(size, grid_count)),
        })
    }

    /// Batches of these channels (ascending), without others, like those of all. No result depends on the batch that
    /// a channel is in.
    pub fn of(&self, channels: &[usize]) -> Vec<Range<usize>> {
        self.shape.split(channels, &self.blocks)
    }
}

/// What batches are like.
#[derive(Debug)]
struct Shape {
    /// Channels, at most.
    most: usize,
    /// Devices that take one at a time each.
    devices: usize,
    /// Channels of the first and of the last of several; 0 for as many as of the others. Until the first is imaged
    /// nothing can be written, and while the last is written there is nothing else to do.
    few: usize,
}

impl Shape {
    /// Splits channels (ascending) into batches, none of which spans two blocks.
    fn split(&self, channels: &[usize], blocks: &Blocks) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for &channel in channels {
            let begins = blocks.channels.iter().any(|block| block.start == channel);
            match runs.last_mut() {
                Some(run) if run.end == channel && !begins => run.end += 1,
                _ => runs.push(channel..channel + 1),
            }
        }
        let mut batches: Vec<Range<usize>> =
            runs.into_iter().flat_map(|run| self.equal(run)).collect();
        self.shorten_ends(&mut batches);
        batches
    }

    /// Batches of equal size: a short last one would leave cores idle. And as many for each device.
    fn equal(&self, run: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<> {
        let count = run.len().div_ceil(self.most).next_multiple_of(self.devices).min(run.len());
        let size = run.len().div_ceil(count);
        run.clone().step_by(size).map(move |first| first..(first + size).min(run.end))
    }

    /// Makes a few channels of the first and of the last batch batches of their own.
    fn shorten_ends(&self, batches: &mut Vec<Range<usize>>) {
        let [first, .., last] = &mut batches[..] else { return };
        // In what is left of them no thread is to be idle.
        if self.few == 0 || first.len().min(last.len()) < 2 * self.few {
            return;
        }
        let (start, end) = (first.start, last.end);
        first.start += self.few;
        last.end -= self.few;
        batches.insert(0, start..start + self.few);
        batches.push(end - self.few..end);
    }
}

/// What channels cost.
struct Costs<'a> {
    workers: usize,
    /// Batches in work at a time.
    at_a_time: usize,
    /// Host memory, bytes: baselines, and bins with their order and cells.
    fixed: usize,
    per_channel: usize,
    per_worker: usize,
    device: Option<DeviceCosts<'a>>,
}

/// The same on a device.
struct DeviceCosts<'a> {
    bytes_of: Box<dyn Fn(usize, usize) -> usize + 'a>,
    /// The least that any of the devices has.
    limit: Option<u64>,
    /// Devices whose memory is the host's.
    sharing: u64,
}

impl DeviceCosts<'_> {
    fn bytes(&self, channels: usize, grids: usize) -> u64 {
        (self.bytes_of)(channels, grids) as u64
    }
}

/// What does not fit: its needs and what there is.
struct TooLarge {
    on_device: bool,
    needed: u64,
    available: u64,
}

impl TooLarge {
    fn error(self, channels: usize) -> Error {
        let place = if self.on_device { "device memory" } else { "host memory" };
        let (resource, remedy) = match (channels, self.on_device) {
            (1, false) => (
                place.to_owned(),
                "make imsize smaller, or raise --memory-limit if the machine has more",
            ),
            (1, true) => (
                format!("{place} for one channel"),
                "make imsize smaller, raise --device-memory if the device has more, choose another \
                 --device, or use --backend cpu",
            ),
            _ => (
                format!("{place} for --cyclecontrol cube, which needs all channels at once"),
                "use --cyclecontrol channel, or image fewer channels",
            ),
        };
        Error::Resources {
            resource,
            needed: readable(self.needed),
            available: readable(self.available),
            remedy: remedy.into(),
        }
    }
}

impl<'a> Costs<'a> {
    fn new<B: Backend>(plan: &'a Plan, devices: &'a [B], limits: &Limits) -> Self {
        let (backend, operator) = (&devices[0], &plan.operator);
        let layers = (0..plan.nchan()).map(|c| plan.sampling.layers(c).len()).max().unwrap_or(1);
        let (rows, plane) = (plan.rows.uvw_m.len(), plan.grid.npix() * size_of::<f32>());
        // A visibility and its weight; twice: sorted, or the data channels that a block is made of.
        let layer = 2 * rows * (size_of::<num_complex::Complex32>() + size_of::<f32>());
        let extra_planes = plan.deconvolver.extra_planes();
        // The planes of the batch before are being written: psf, residual and model.
        let mut per_channel = layers * layer + 3 * plane + limits.to_go_back;
        // Cleaning and restoring are done by threads of their own; a plane for what passes by, such as an
        // earlier run's or a mask on disk.
        let mut per_worker = (limits.clean_planes + limits.restore_planes + 1) * plane
            + plan.deconvolver.host_bytes(plan.grid.nx, plan.grid.ny);
        let memories: Vec<_> = devices.iter().map(Backend::memory).collect();
        let sharing =
            memories.iter().filter(|m| matches!(m, Memory::Device { shared: true, .. })).count();
        let of_device = |memory: &Memory| match memory {
            Memory::Device { bytes, .. } => *bytes,
            Memory::Host => None,
        };
        let device = (memories[0] != Memory::Host).then(|| DeviceCosts {
            bytes_of: Box::new(move |channels, grids| {
                Batch::bytes(backend, operator, channels, layers, grids)
                    + backend.overhead(operator, channels, layers)
                    + channels * extra_planes * plane
                    + backend.minor_bytes(operator, &plan.deconvolver, channels)
            }),
            limit: memories.iter().filter_map(of_device).min(),
            sharing: sharing as u64,
        });
        if device.is_none() {
            per_channel += Batch::bytes(backend, operator, 1, layers, 0) + extra_planes * plane;
            per_worker += backend.grid_bytes(operator);
        } else {
            // Layers are sorted on their way to the device, and planes come back from it while those of the batch
            // before are still being written.
            per_worker += layer;
            per_channel += 3 * plane;
        }
        Self {
            workers: rayon::current_num_threads(),
            at_a_time: devices.len(),
            fixed: rows * 200 + (64 << 20),
            per_channel,
            per_worker,
            device,
        }
    }

    /// Channels of `n` that should have a grid at a time.
    fn grids(&self, n: usize) -> usize {
        if self.device.is_some() { DEVICE_GRIDS.min(n) } else { self.workers.min(n) }
    }

    /// All channels in one batch. Their visibilities need not be kept, as they are asked for once; where they
    /// fit, a pass before it reads nothing twice.
    fn whole_cube(&self, plan: &Plan, limits: &Limits) -> Result<(Blocks, usize)> {
        let nchan = plan.nchan();
        let fits = |held| {
            let grids = self.grids(nchan).max(1);
            (1..=grids).rev().any(|g| self.fits(nchan, g, held, limits).is_ok())
        };
        if !fits(0) {
            self.fits(nchan, 1, 0, limits).map_err(|e| e.error(nchan))?;
        }
        let from = match fits(source::bytes(plan, 0..nchan)) {
            true => From::Memory,
            false => From::Data,
        };
        #[expect(clippy::single_range_in_vec_init, reason = "one block")]
        let channels = vec![0..nchan];
        Ok((Blocks { channels, from }, nchan))
    }

    /// How the visibilities are read with the least traffic on the disk, and the channels of a batch, at most.
    fn blocks(&self, plan: &Plan, limits: &Limits) -> (Blocks, usize) {
        let nchan = plan.nchan();
        let (blocks, most) = self.blocks_of_data(plan, limits);
        // What batches take later is free for making a copy.
        let memory = limits.host.saturating_sub(self.fixed as u64) / 2;
        let alone = self.most(nchan, 0, limits).unwrap_or(1);
        let channels = blocks_of(nchan, alone, 1).collect();
        let copy = Blocks { channels, from: From::SortedCopy { memory } };
        let traffic = |blocks: &Blocks| blocks.traffic(plan, limits.passes);
        let is_better = blocks.channels.len() > 1
            && source::bytes(plan, 0..nchan) <= limits.disk
            && traffic(&copy) < traffic(&blocks);
        if is_better { (copy, alone) } else { (blocks, most) }
    }

    /// The largest blocks whose visibilities fit beside batches that keep all threads at work, and the
    /// channels of a batch, at most. Where there are none, batches read their channels themselves.
    fn blocks_of_data(&self, plan: &Plan, limits: &Limits) -> (Blocks, usize) {
        let nchan = plan.nchan();
        let alone = self.most(nchan, 0, limits).unwrap_or(1);
        let enough = alone.min(self.workers);
        // More blocks in steps of a quarter: whether one could be some channels larger matters little.
        let counts =
            std::iter::successors(Some(1), |&count: &usize| Some(count + count.div_ceil(4)));
        for size in counts.map(|count| nchan.div_ceil(count)) {
            if size < enough {
                break;
            }
            let channels: Vec<_> = blocks_of(nchan, size, plan.selected.tile_channels()).collect();
            let blocks = Blocks { channels, from: From::Memory };
            let most = self.most(size, self.held(plan, &blocks), limits);
            if let Some(most) = most.filter(|&most| most >= enough) {
                return (blocks, most);
            }
            if size == 1 {
                break;
            }
        }
        (Blocks { channels: blocks_of(nchan, alone, 1).collect(), from: From::Data }, alone)
    }

    /// Channels of a batch, up to `n`, that fit beside held visibilities.
    fn most(&self, n: usize, held: u64, limits: &Limits) -> Option<usize> {
        let most = match self.device {
            Some(_) => DEVICE_CHANNELS,
            None => CHANNELS_A_THREAD * self.workers,
        };
        let fits = |&n: &usize| self.fits(n, self.grids(n), held, limits).is_ok();
        (1..=n.min(most)).rev().find(fits)
    }

    /// Bytes of visibilities that stay in memory.
    fn held(&self, plan: &Plan, blocks: &Blocks) -> u64 {
        let bytes = |block: &Range<usize>| source::bytes(plan, block.clone());
        let most = blocks.channels.iter().map(bytes).max().unwrap_or(0);
        if blocks.from == From::Memory { most } else { 0 }
    }

    /// Host memory that batches of `n` channels take beside held visibilities.
    fn host(&self, n: usize, grids: usize, held: u64) -> HostMemory {
        let workers = self.workers.min(self.at_a_time * n);
        HostMemory {
            fixed: self.fixed as u64,
            visibilities: held,
            channels: (self.at_a_time * n * self.per_channel) as u64,
            threads: (workers * self.per_worker) as u64,
            devices: self.device.as_ref().map_or(0, |d| d.sharing * d.bytes(n, grids)),
        }
    }

    fn fits(&self, n: usize, grids: usize, held: u64, limits: &Limits) -> Result<(), TooLarge> {
        if let Some(device) = &self.device {
            let needed = device.bytes(n, grids);
            if let Some(available) = device.limit.filter(|&limit| needed > limit) {
                return Err(TooLarge { on_device: true, needed, available });
            }
        }
        let needed = self.host(n, grids, held).total();
        match needed <= limits.host {
            true => Ok(()),
            false => Err(TooLarge { on_device: false, needed, available: limits.host }),
        }
    }
}

/// Blocks of about `size` channels that end where tiles of the data end, if that leaves any of them: an
/// image channel is mostly a data channel.
fn blocks_of(nchan: usize, size: usize, tile: usize) -> impl Iterator<Item = Range<usize>> {
    let size = match size - size % tile {
        0 => size,
        aligned => aligned,
    };
    (0..nchan).step_by(size).map(move |first| first..(first + size).min(nchan))
}

/// Bytes for a reader, in the decimal units that `--memory-limit` is given in.
pub(crate) fn readable(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.2} GB", b / 1e9),
        b => format!("{:.1} MB", b / 1e6),
    }
}
