//! Stacks of equal arrays (planes, uv grids) in device memory, laid out to fit the device's limits.
//!
//! As many items as one storage binding can hold share a *slab*, so that one dispatch can serve many
//! channels. An item larger than a binding has a slab of its own, cut into parts; shaders reach it
//! through the accessors that [`super::shader`] generates.

use std::ops::Range;

use wgpu::BufferUsages;

use super::{
    device::{Allocation, Device},
    readback::Ring,
    recorder::{IN_FLIGHT, PORTION, Recorder},
    shader::Split,
};
use crate::{Error, Result};

/// Parts that an item may be cut into. Most shaders bind two stacks and a table at most, and eight
/// storage bindings are what every device has to offer; the minor cycle, which binds three stacks and
/// two tables, has room for two parts, and checks for three.
const MAX_PARTS: u64 = 3;

/// Bytes that one staging buffer carries to the device.
const STAGING_BYTES: usize = 32 << 20;

/// Traffic that a byte written through staging is recorded as: [`Recorder`] then submits, and so gives
/// back, staging buffers one by one rather than many at once.
const STAGED_TRAFFIC: u64 = 8;

/// Most bytes of staging buffers that wait to be copied at any time: those under way, and one more.
pub(super) const MOST_STAGED_BYTES: usize = (IN_FLIGHT + 2) * (PORTION / STAGED_TRAFFIC) as usize;

/// `n` arrays of `item_len` elements each.
pub(super) struct Stack {
    label: &'static str,
    n: usize,
    item_len: usize,
    element_bytes: usize,
    per_slab: usize,
    split: Split,
    /// Parts of each slab.
    slabs: Vec<Vec<Allocation>>,
}

/// Layout of a stack: what [`Stack::new`] decides before it allocates.
#[derive(Debug, PartialEq)]
struct Layout {
    per_slab: usize,
    split: Split,
}

fn layout(
    n: usize,
    item_len: usize,
    element_bytes: usize,
    binding_bytes: u64,
) -> Result<Layout, String> {
    let item_bytes = item_len as u64 * element_bytes as u64;
    // Shaders index elements with u32, and the index of a whole slab must fit.
    let capacity = (binding_bytes / element_bytes as u64).min(u64::from(u32::MAX));
    if item_len as u64 <= capacity {
        let per_slab = (capacity as usize / item_len.max(1)).clamp(1, n.max(1));
        return Ok(Layout { per_slab, split: Split::WHOLE });
    }
    let shift = capacity.ilog2();
    let parts = (item_len as u64).div_ceil(1 << shift);
    if parts > MAX_PARTS || item_len as u64 > u64::from(u32::MAX) {
        return Err(format!("{item_bytes} bytes; {}", MAX_PARTS << shift << element_bytes.ilog2()));
    }
    Ok(Layout { per_slab: 1, split: Split { parts: parts as u32, shift } })
}

/// Whether bindings of `binding_bytes` reach all of an item.
pub(super) fn fits(item_len: u64, element_bytes: usize, binding_bytes: u64) -> bool {
    layout(1, item_len as usize, element_bytes, binding_bytes).is_ok()
}

/// Items of so many elements that share a slab, and so one dispatch; at least 1.
pub(super) fn share_slab(device: &Device, item_len: usize, element_bytes: usize) -> usize {
    let binding = device.max_binding_bytes.min(device.limits.max_buffer_size);
    layout(usize::MAX, item_len, element_bytes, binding).map_or(1, |layout| layout.per_slab)
}

impl Stack {
    /// `n` items of `item_len` zeros of `element_bytes` each.
    pub(super) fn new(
        device: &Device,
        label: &'static str,
        n: usize,
        item_len: usize,
        element_bytes: usize,
    ) -> Result<Self> {
        let binding = device.max_binding_bytes.min(device.limits.max_buffer_size);
        let Layout { per_slab, split } =
            layout(n, item_len, element_bytes, binding).map_err(|sizes| {
                let (needed, available) = sizes.split_once("; ").unwrap_or((&sizes, "less"));
                Error::Resources {
                    resource: format!("device memory for one item of {label}"),
                    needed: needed.to_owned(),
                    available: format!("{available} bytes on {}", device.info.name),
                    remedy: "image fewer pixels, choose another --device, or --backend cpu".into(),
                }
            })?;
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let allocate = |elements: usize| {
            device.allocate(label, elements as u64 * element_bytes as u64, usage, false)
        };
        let slabs = (0..n.div_ceil(per_slab)).map(|slab| {
            let elements = per_slab.min(n - slab * per_slab) * item_len;
            if split.parts == 1 {
                return Ok(vec![allocate(elements)?]);
            }
            let part = 1 << split.shift;
            (0..elements).step_by(part).map(|start| allocate(part.min(elements - start))).collect()
        });
        let slabs = slabs.collect::<Result<_>>()?;
        Ok(Self { label, n, item_len, element_bytes, per_slab, split, slabs })
    }

    /// How each slab is cut.
    pub(super) fn split(&self) -> Split {
        self.split
    }

    /// The slab that holds an item, and the item's first element in it.
    pub(super) fn locate(&self, index: usize) -> (usize, u32) {
        (index / self.per_slab, (index % self.per_slab * self.item_len) as u32)
    }

    /// The buffers of a slab, in the order of its parts.
    pub(super) fn slab(&self, slab: usize) -> impl Iterator<Item = &wgpu::Buffer> {
        self.slabs[slab].iter().map(|a| &a.buffer)
    }

    /// The pieces of a range of bytes of an item: part's allocation, offset in it, range in the item.
    fn pieces(&self, index: usize, bytes: Range<usize>) -> Vec<(&Allocation, u64, Range<usize>)> {
        let (slab, first) = self.locate(index);
        let parts = &self.slabs[slab];
        let part_bytes = match parts.len() {
            1 => usize::MAX,
            _ => self.element_bytes << self.split.shift,
        };
        let base = first as usize * self.element_bytes;
        let mut pieces = Vec::new();
        let mut at = bytes.start;
        while at < bytes.end {
            let (part, offset) = ((base + at) / part_bytes, (base + at) % part_bytes);
            let end = bytes.end.min(at + (part_bytes - offset));
            pieces.push((&parts[part], offset as u64, at..end));
            at = end;
        }
        pieces
    }

    /// Writes an item, after everything recorded so far.
    pub(super) fn put(
        &mut self,
        device: &Device,
        recorder: &Recorder,
        index: usize,
        values: &[u8],
    ) -> Result<()> {
        self.put_at(device, recorder, index, 0, values)
    }

    /// Writes an item's bytes from `first` on, after everything recorded so far.
    pub(super) fn put_at(
        &mut self,
        device: &Device,
        recorder: &Recorder,
        index: usize,
        first: usize,
        values: &[u8],
    ) -> Result<()> {
        for (chunk, staged) in values.chunks(STAGING_BYTES).enumerate() {
            let start = first + chunk * STAGING_BYTES;
            let staging = device.upload(self.label, BufferUsages::COPY_SRC, staged)?;
            let source = staging.buffer.clone();
            let pieces = self.pieces(index, start..start + staged.len());
            recorder.record(
                device,
                STAGED_TRAFFIC * staged.len() as u64,
                vec![staging],
                |encoder| {
                    for (part, offset, range) in pieces {
                        let (from, len) = ((range.start - start) as u64, range.len() as u64);
                        encoder.copy_buffer_to_buffer(&source, from, &part.buffer, offset, len);
                    }
                },
            )?;
        }
        Ok(())
    }

    /// Sets an item to zero, after everything recorded so far.
    pub(super) fn clear(
        &mut self,
        device: &Device,
        recorder: &Recorder,
        index: usize,
    ) -> Result<()> {
        self.clear_bytes(device, recorder, index, 0..self.item_len * self.element_bytes)
    }

    /// Sets a range of an item's bytes to zero, after everything recorded so far.
    pub(super) fn clear_bytes(
        &self,
        device: &Device,
        recorder: &Recorder,
        index: usize,
        bytes: Range<usize>,
    ) -> Result<()> {
        recorder.record(device, bytes.len() as u64, Vec::new(), |encoder| {
            for (part, offset, range) in self.pieces(index, bytes) {
                encoder.clear_buffer(&part.buffer, offset, Some(range.len() as u64));
            }
        })
    }

    /// Reads an item: runs everything recorded so far and waits for it.
    pub(super) fn get(
        &self,
        device: &Device,
        recorder: &Recorder,
        ring: &Ring,
        index: usize,
        out: &mut [u8],
    ) -> Result<()> {
        ring.read(device, recorder, self.label, out, |encoder, start, len, staging| {
            for (part, offset, range) in self.pieces(index, start..start + len) {
                let (to, len) = ((range.start - start) as u64, range.len() as u64);
                encoder.copy_buffer_to_buffer(&part.buffer, offset, staging, to, len);
            }
        })
    }

    /// Copies the first `bytes` of an item to the beginning of another stack's item.
    pub(super) fn copy_item(
        &self,
        device: &Device,
        recorder: &Recorder,
        index: usize,
        bytes: usize,
        (to, to_index): (&Self, usize),
    ) -> Result<()> {
        recorder.record(device, 2 * bytes as u64, Vec::new(), |encoder| {
            for (from, from_offset, range) in self.pieces(index, 0..bytes) {
                let start = range.start;
                for (part, offset, range) in to.pieces(to_index, range) {
                    let (skip, len) = ((range.start - start) as u64, range.len() as u64);
                    let (from, to) = (&from.buffer, &part.buffer);
                    encoder.copy_buffer_to_buffer(from, from_offset + skip, to, offset, len);
                }
            }
        })
    }

    /// Copies a range of an item's bytes to the beginning of a buffer.
    #[cfg(feature = "vkfft")]
    pub(super) fn copy_to(
        &self,
        device: &Device,
        recorder: &Recorder,
        index: usize,
        bytes: Range<usize>,
        buffer: &wgpu::Buffer,
    ) -> Result<()> {
        let start = bytes.start;
        recorder.record(device, 2 * bytes.len() as u64, Vec::new(), |encoder| {
            for (part, offset, range) in self.pieces(index, bytes) {
                let (to, len) = ((range.start - start) as u64, range.len() as u64);
                encoder.copy_buffer_to_buffer(&part.buffer, offset, buffer, to, len);
            }
        })
    }

    /// Copies the beginning of a buffer to a range of an item's bytes.
    #[cfg(feature = "vkfft")]
    pub(super) fn copy_from(
        &self,
        device: &Device,
        recorder: &Recorder,
        index: usize,
        bytes: Range<usize>,
        buffer: &wgpu::Buffer,
    ) -> Result<()> {
        let start = bytes.start;
        recorder.record(device, 2 * bytes.len() as u64, Vec::new(), |encoder| {
            for (part, offset, range) in self.pieces(index, bytes) {
                let (from, len) = ((range.start - start) as u64, range.len() as u64);
                encoder.copy_buffer_to_buffer(buffer, from, &part.buffer, offset, len);
            }
        })
    }

    /// Fails, naming the mistake, unless `index` is an item.
    pub(super) fn check_index(&self, device: &Device, index: usize) -> Result<()> {
        if index < self.n {
            return Ok(());
        }
        Err(device.bug(format!("item {index} of a stack of {} ({})", self.n, self.label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_share_slabs_or_are_cut_into_parts() {
        let whole = |per_slab| Layout { per_slab, split: Split::WHOLE };
        // Sixteen 8000² planes on lavapipe (128 MiB) and on hardware (2³¹−1).
        let plane = 8000 * 8000;
        let cut = Layout { per_slab: 1, split: Split { parts: 2, shift: 25 } };
        assert_eq!(layout(16, plane, 4, 128 << 20).unwrap(), cut);
        assert_eq!(layout(16, plane, 4, (1 << 31) - 1).unwrap(), whole(8));
        assert_eq!(layout(5, 100, 4, 1 << 20).unwrap(), whole(5));
        assert_eq!(layout(0, 100, 4, 1 << 20).unwrap(), whole(1));
        assert!(layout(1, 20_000 * 20_000, 4, 128 << 20).unwrap_err().contains("1600000000"));
    }
}
