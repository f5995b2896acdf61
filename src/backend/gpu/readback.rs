//! The way back from the device: a ring of staging buffers, so that the copies of one piece, the
//! next piece's way over the bus and the host's own copy overlap, and no buffer is made twice.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use wgpu::{BufferUsages, CommandEncoder};

use super::{
    device::{Allocation, Device, Mapping},
    recorder::Recorder,
};
use crate::Result;

/// Bytes of the largest staging buffer.
const PIECE: usize = 16 << 20;

/// Pieces of one transfer under way at a time.
const DEPTH: usize = 2;

/// Most bytes of staging buffers that one reader takes.
pub(super) const READER_BYTES: usize = PIECE * DEPTH;

/// Idle buffers kept: those of two transfers, as one batch is written while the next computes.
const IDLE: usize = 2 * DEPTH;

/// Idle staging buffers.
#[derive(Default)]
pub(super) struct Ring(Mutex<Vec<Allocation>>);

impl Ring {
    /// Copies `out.len()` bytes of what `label` names to the host, piece by piece: `copy(encoder, start, len, staging)`
    /// records the copy of bytes `start..start + len` to the beginning of `staging`. Waits for
    /// everything recorded before, but not for what other threads record afterwards.
    pub(super) fn read(
        &self,
        device: &Device,
        recorder: &Recorder,
        label: &str,
        out: &mut [u8],
        copy: impl Fn(&mut CommandEncoder, usize, usize, &wgpu::Buffer),
    ) -> Result<()> {
        let mut under_way: VecDeque<(Allocation, Mapping, &mut [u8])> = VecDeque::new();
        for (i, piece) in out.chunks_mut(PIECE).enumerate() {
            if under_way.len() == DEPTH {
                self.finish(device, label, under_way.pop_front())?;
            }
            let staging = self.take(device, piece.len())?;
            recorder.record(device, 2 * piece.len() as u64, Vec::new(), |encoder| {
                copy(encoder, i * PIECE, piece.len(), &staging.buffer);
            })?;
            let submission = recorder.flush(device)?;
            let mapping = device.map(&staging, piece.len(), submission);
            under_way.push_back((staging, mapping, piece));
        }
        while !under_way.is_empty() {
            self.finish(device, label, under_way.pop_front())?;
        }
        Ok(())
    }

    fn finish(
        &self,
        device: &Device,
        label: &str,
        piece: Option<(Allocation, Mapping, &mut [u8])>,
    ) -> Result<()> {
        let Some((staging, mapping, out)) = piece else { return Ok(()) };
        device.read(label, &staging, mapping, out)?;
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(staging);
        }
        Ok(())
    }

    /// A buffer of at least `bytes`.
    fn take(&self, device: &Device, bytes: usize) -> Result<Allocation> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |a: &Allocation| a.buffer.size() >= bytes as u64;
        if let Some(i) = idle.iter().position(fits) {
            return Ok(idle.swap_remove(i));
        }
        // All idle ones are too small: planes have grown, and theirs will not come back.
        idle.clear();
        drop(idle);
        let usage = BufferUsages::MAP_READ | BufferUsages::COPY_DST;
        device.allocate("read back", bytes as u64, usage, false)
    }
}
