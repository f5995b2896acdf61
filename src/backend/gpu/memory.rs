//! How much memory a device has, and how much of it a job may take.

use wgpu::{Adapter, DeviceType};

use super::{
    buffer::{MOST_STAGED_BYTES, fits},
    hogbom,
    readback::READER_BYTES,
};
use crate::{Error, Result, backend::Memory};

/// Part of a device's memory that a job takes unless `--device-memory` says otherwise. The rest is for
/// the screen, other programs, and what the driver needs beside our buffers.
const SHARE: f64 = 0.8;

/// What a job takes of a device whose memory the graphics interface does not tell: as much as the
/// smallest cards in use have.
const UNKNOWN_BYTES: u64 = 2 << 30;

/// Size of the largest heap of the device's own memory; `None` where the interface does not say, and
/// for software, which has what the host has, whatever it says (lavapipe: 2 GiB).
pub(super) fn heap_bytes(adapter: &Adapter) -> Option<u64> {
    if adapter.get_info().device_type == DeviceType::Cpu { None } else { vulkan_heap(adapter) }
}

// wgpu has its Vulkan interface on these systems; elsewhere it would have to be asked for.
#[cfg(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn vulkan_heap(adapter: &Adapter) -> Option<u64> {
    /// VK_MEMORY_HEAP_DEVICE_LOCAL_BIT
    const DEVICE_LOCAL: u32 = 1;
    // SAFETY: the guard keeps the adapter alive, nothing is destroyed, and the query reads properties
    // of a physical device of the very instance it is asked of.
    let properties = unsafe {
        let vulkan = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = vulkan.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(vulkan.raw_physical_device())
    };
    let heaps = &properties.memory_heaps[..properties.memory_heap_count as usize];
    heaps.iter().filter(|h| h.flags.as_raw() & DEVICE_LOCAL != 0).map(|h| h.size).max()
}

#[cfg(not(any(windows, target_os = "linux", target_os = "android", target_os = "freebsd")))]
fn vulkan_heap(_adapter: &Adapter) -> Option<u64> {
    None
}

/// What a job takes, unless told otherwise, of a device with a heap of this size.
pub(super) fn share_of(heap: Option<u64>) -> u64 {
    heap.map_or(UNKNOWN_BYTES, |heap| (heap as f64 * SHARE) as u64)
}

/// Whether a device computes in the host's memory.
pub(super) fn is_shared(device_type: DeviceType) -> bool {
    matches!(device_type, DeviceType::Cpu | DeviceType::IntegratedGpu)
}

/// What a job may take of a device with a heap of `heap` bytes, where the user allows `asked`.
///
/// # Errors
/// [`Error::Resources`] if more is asked for than there is: the driver would fail half way.
pub(super) fn of_job(
    name: &str,
    device_type: DeviceType,
    heap: Option<u64>,
    asked: Option<u64>,
) -> Result<Memory> {
    let shared = is_shared(device_type);
    let bytes = match (asked, heap) {
        (Some(asked), Some(heap)) if asked > heap => {
            return Err(Error::Resources {
                resource: format!("device memory ({name})"),
                needed: format!("{asked} bytes (--device-memory)"),
                available: format!("{heap} bytes"),
                remedy: "give a smaller --device-memory, or none".into(),
            });
        }
        (Some(asked), _) => Some(asked),
        // What the host has left is planned with, together with all else that lives there.
        (None, _) if device_type == DeviceType::Cpu => None,
        (None, heap) => Some(share_of(heap)),
    };
    Ok(Memory::Device { bytes, shared })
}

/// What a device holds, for the listing of `cubeclean devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes that the figures are for.
    pub bytes: u64,
    /// Pixels along the side of the largest square image, one channel at a time.
    pub largest_image: usize,
    /// Channels of square images held at once: (pixels along a side, channels).
    pub channels: Vec<(usize, usize)>,
}

/// Sides of the images that [`Capacity::channels`] is given for.
const SIDES: [usize; 3] = [1024, 4096, 8192];

/// Uv grids that are worked on at a time, if there are as many channels; see `Plan::batches`.
const GRIDS: usize = 8;

impl Capacity {
    /// What fits into `bytes` when a storage binding reaches `binding_bytes`. Visibilities are left out
    /// (a channel of 450,000 takes 11 MB), and the uv plane is taken as full.
    pub fn new(bytes: u64, binding_bytes: u64) -> Self {
        let channels = |side: usize| -> usize {
            if !addressable(side, binding_bytes) {
                return 0;
            }
            let (planes, grid) = (plane_bytes(side), grid_bytes(side));
            let left = bytes.saturating_sub(ONCE);
            // All channels have a grid as long as there are few of them.
            let few = left / (planes + grid);
            let many = left.saturating_sub(GRIDS as u64 * grid) / planes;
            if few <= GRIDS as u64 { few as usize } else { many as usize }
        };
        let (mut possible, mut too_large) = (0, 65_536);
        while too_large - possible > 1 {
            let side = (possible + too_large) / 2;
            if channels(side) > 0 { possible = side } else { too_large = side }
        }
        Self {
            bytes,
            largest_image: possible,
            channels: SIDES.iter().map(|&side| (side, channels(side))).collect(),
        }
    }
}

/// Parameters and tables of shaders.
pub(super) const TABLES_BYTES: usize = 8 << 20;

/// What a job takes once: tables, and staging buffers for visibilities and for planes of some threads.
const ONCE: u64 = (TABLES_BYTES + MOST_STAGED_BYTES + 8 * READER_BYTES) as u64;

/// PSF, residual, model, and the minor cycle's tables.
fn plane_bytes(side: usize) -> u64 {
    3 * 4 * (side as u64).pow(2) + hogbom::bytes_per_channel(side, side) as u64
}

/// Half a uv grid padded by one half, and its image.
fn grid_bytes(side: usize) -> u64 {
    uv_elements(side) * 8 + 4 * (side as u64).pow(2)
}

fn uv_elements(side: usize) -> u64 {
    let padded = 3 * side as u64 / 2;
    (padded / 2 + 1) * padded
}

/// Whether planes and grids can be cut into parts that bindings reach.
fn addressable(side: usize, binding_bytes: u64) -> bool {
    fits((side as u64).pow(2), 4, binding_bytes) && fits(uv_elements(side), 8, binding_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_takes_a_share_unless_told_otherwise() {
        let of = |kind, heap, asked| of_job("X", kind, heap, asked);
        let device = |bytes, shared| Memory::Device { bytes, shared };
        use DeviceType::{Cpu, DiscreteGpu, IntegratedGpu};
        assert_eq!(of(DiscreteGpu, Some(10), None).unwrap(), device(Some(8), false));
        assert_eq!(of(DiscreteGpu, Some(10), Some(9)).unwrap(), device(Some(9), false));
        assert_eq!(of(DiscreteGpu, None, None).unwrap(), device(Some(UNKNOWN_BYTES), false));
        assert_eq!(of(IntegratedGpu, Some(10), None).unwrap(), device(Some(8), true));
        assert_eq!(of(Cpu, None, None).unwrap(), device(None, true));
        let message = of(DiscreteGpu, Some(10), Some(11)).unwrap_err().to_string();
        assert!(message.contains("11 bytes") && message.contains("10 bytes"), "{message}");
    }

    #[test]
    fn what_fits_is_bounded_by_memory_and_by_bindings() {
        let h100 = Capacity::new(64 << 30, (1 << 31) - 1);
        // 3 planes and tables: 0.82 GB a channel of 8192²; 8 grids: 7.0 GB.
        assert!((70..80).contains(&h100.channels[2].1), "{h100:?}");
        assert!(h100.channels[0].1 > 3000 && h100.largest_image > 16_000, "{h100:?}");
        // lavapipe's 128 MiB bindings, three to an item.
        let lavapipe = Capacity::new(64 << 30, 128 << 20);
        assert!(lavapipe.largest_image < 8192, "{lavapipe:?}");
        assert_eq!(Capacity::new(1 << 20, 128 << 20).largest_image, 0);
    }
}
