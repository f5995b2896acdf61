//! Where batches get their visibilities from: blocks of channels that are read in one pass each and stay
//! in memory while batches draw from them.
//!
//! Tiles of a MeasurementSet span many channels, so that batches which read their channels alone would
//! read the same bytes again and again. Where the visibilities of the whole cube fit the memory beside the
//! batches, as they mostly do, there is one block, and every byte is read once, also where weights or beams
//! need a pass over the cube before its channels are imaged.

use std::{
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use super::{plan::Plan, timers::Timers};
use crate::{error::Result, ms::RawBlock};

/// How visibilities are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Image channels of each block; every batch lies in one.
    pub channels: Vec<Range<usize>>,
    /// Whether a block's visibilities stay in memory while its batches are done.
    pub kept: bool,
}

/// Visibilities, read when they are first asked for.
pub(super) struct Source<'a> {
    plan: &'a Plan,
    blocks: &'a Blocks,
    timers: &'a Timers,
    held: Mutex<Option<Held>>,
}

struct Held {
    block: usize,
    raws: Arc<Vec<RawBlock>>,
}

impl<'a> Source<'a> {
    /// Holds nothing yet.
    pub fn new(plan: &'a Plan, blocks: &'a Blocks, timers: &'a Timers) -> Self {
        Self { plan, blocks, timers, held: Mutex::new(None) }
    }

    /// Visibilities of image channels of one batch, and perhaps of more.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn raws(&self, channels: &Range<usize>) -> Result<Arc<Vec<RawBlock>>> {
        let holds =
            |block: &Range<usize>| block.start <= channels.start && channels.end <= block.end;
        let block = self.blocks.channels.iter().position(holds);
        let Some(block) = block.filter(|_| self.blocks.kept) else {
            return self.read(channels.clone());
        };
        // Others wait, as they want the same block.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_ref().filter(|held| held.block == block) {
            return Ok(Arc::clone(&held.raws));
        }
        // Not both at a time.
        *held = None;
        let raws = self.read(self.blocks.channels[block].clone())?;
        *held = Some(Held { block, raws: Arc::clone(&raws) });
        Ok(raws)
    }

    fn read(&self, channels: Range<usize>) -> Result<Arc<Vec<RawBlock>>> {
        let read = |(spw, range)| {
            let (raw, stats) = self.plan.selected.read(spw, range)?;
            self.timers.add_read(&stats);
            Ok(raw)
        };
        self.timers.time("read", || {
            let needed = self.plan.sampling.needed(channels).into_iter();
            needed.map(read).collect::<Result<Vec<_>>>().map(Arc::new)
        })
    }
}

/// Bytes of memory that the visibilities of image channels take as they are read.
pub(super) fn bytes(plan: &Plan, channels: Range<usize>) -> u64 {
    let sample = size_of::<num_complex::Complex32>() + size_of::<f32>();
    let rows = |spw: usize| {
        plan.selected.spws().iter().find(|s| s.id == spw).map_or(0, |selected| selected.rows.len())
    };
    let needed = plan.sampling.needed(channels).into_iter();
    needed.map(|(spw, range)| (rows(spw) * range.len() * sample) as u64).sum()
}
