//! How the cube's channels go through the backend: in batches that fit the memory of the host and of
//! the devices.

use std::ops::Range;

use super::plan::Plan;
use crate::{
    backend::{Backend, Batch, Memory},
    error::{Error, Result},
};

/// Channels of a batch that have a uv grid at a time on a device, if memory allows: enough to keep it
/// busy with one dispatch, and no more, as grids are larger than planes.
const DEVICE_GRIDS: usize = 8;

/// How the cube's channels go through the backend.
#[derive(Debug)]
pub(super) struct Batches {
    /// Image channels of each batch.
    pub channels: Vec<Range<usize>>,
    /// Channels of a batch that have a uv grid at a time.
    pub grid_count: usize,
    /// Estimate of the host memory that all batches in work take, bytes.
    pub bytes: u64,
    /// Estimate of the memory that a batch takes on its device, bytes.
    pub device_bytes: Option<u64>,
}

/// What there is.
pub(super) struct Limits {
    /// Bytes of host memory.
    pub host: u64,
    /// All channels are needed at once.
    pub whole_cube: bool,
    /// Bytes of host memory that cleaning takes of a channel to be able to roll back.
    pub to_go_back: usize,
}

impl Batches {
    /// Splits the cube into batches of channels that fit the memory of `devices`, one batch on each at
    /// a time, and of the host together with their planes on the way out.
    ///
    /// # Errors
    /// [`Error::Resources`] if not even one channel fits, or not all where all are needed at once.
    pub fn new<B: Backend>(plan: &Plan, devices: &[B], limits: &Limits) -> Result<Self> {
        let nchan = plan.nchan();
        // One control over the cube is one batch, and a batch is on one device.
        let devices = if limits.whole_cube { &devices[..1] } else { devices };
        let costs = Costs::new(plan, devices, limits);
        costs.fits(1, 1, limits).map_err(|e| e.error(1))?;
        let most = if limits.whole_cube {
            let grids = |n| costs.grids(n).max(1);
            let fits = (1..=grids(nchan)).rev().any(|g| costs.fits(nchan, g, limits).is_ok());
            if !fits {
                costs.fits(nchan, 1, limits).map_err(|e| e.error(nchan))?;
            }
            nchan
        } else {
            let fits = |&n: &usize| costs.fits(n, costs.grids(n), limits).is_ok();
            (1..=nchan).rev().find(fits).unwrap_or(1)
        };
        // Batches of equal size: a short last one would leave cores idle. And as many for each device.
        let count = nchan.div_ceil(most).next_multiple_of(devices.len()).min(nchan);
        let size = nchan.div_ceil(count);
        let channels = (0..count)
            .map(|i| i * size..((i + 1) * size).min(nchan))
            .filter(|range| !range.is_empty())
            .collect();
        let fits = |&g: &usize| costs.fits(size, g, limits).is_ok();
        let grid_count = (1..=costs.grids(size)).rev().find(fits).unwrap_or(1);
        Ok(Self {
            channels,
            grid_count,
            bytes: costs.host(size, grid_count),
            device_bytes: costs.device.as_ref().map(|d| d.bytes(size, grid_count)),
        })
    }

    /// The batches that hold these channels (ascending), without others. No result depends on the batch that
    /// a channel is in.
    pub fn of(&self, channels: &[usize]) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        for batch in &self.channels {
            let within = channels.iter().copied().filter(|c| batch.contains(c));
            let mut open: Option<Range<usize>> = None;
            for channel in within {
                match &mut open {
                    Some(part) if part.end == channel => part.end += 1,
                    _ => parts.extend(open.replace(channel..channel + 1)),
                }
            }
            parts.extend(open);
        }
        parts
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
        // What a clean and the restoring hold of a channel: a copy of psf, residual and mask; and of
        // the channel that a worker restores and writes: a handful of planes.
        let extra_planes = plan.deconvolver.extra_planes();
        let mut per_channel = layers * layer + 3 * plane + limits.to_go_back;
        let mut per_worker = 6 * plane + plan.deconvolver.host_bytes(plan.grid.nx, plan.grid.ny);
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
            // Layers are sorted on their way to the device. The planes of the batch before are still
            // being written.
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

    /// Host memory, bytes, that batches of `n` channels take; devices' that share it included.
    fn host(&self, n: usize, grids: usize) -> u64 {
        let workers = self.workers.min(self.at_a_time * n);
        let own = self.fixed + self.at_a_time * n * self.per_channel + workers * self.per_worker;
        own as u64 + self.device.as_ref().map_or(0, |d| d.sharing * d.bytes(n, grids))
    }

    fn fits(&self, n: usize, grids: usize, limits: &Limits) -> Result<(), TooLarge> {
        if let Some(device) = &self.device {
            let needed = device.bytes(n, grids);
            if let Some(available) = device.limit.filter(|&limit| needed > limit) {
                return Err(TooLarge { on_device: true, needed, available });
            }
        }
        let needed = self.host(n, grids);
        match needed <= limits.host {
            true => Ok(()),
            false => Err(TooLarge { on_device: false, needed, available: limits.host }),
        }
    }
}

/// Bytes for a reader, in the decimal units that `--memory-limit` is given in.
pub(crate) fn readable(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= 1e9 => format!("{:.2} GB", b / 1e9),
        b => format!("{:.1} MB", b / 1e6),
    }
}
