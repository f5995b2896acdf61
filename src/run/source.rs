//! Where batches get their visibilities from: blocks of channels that are read in one pass each and stay
//! in memory while batches draw from them.
//!
//! Tiles of a MeasurementSet span many channels, so that batches which read their channels alone would
//! read the same bytes again and again. Where the visibilities of the whole cube fit the memory beside the
//! batches, as they mostly do, there is one block, and every byte is read once, also where weights or beams
//! need a pass over the cube before its channels are imaged. Where only blocks fit that are much narrower than
//! tiles, a copy in the order of channels is made first.

use std::{
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use super::{plan::Plan, pool::Pool, timers::Timers};
use crate::{
    error::Result,
    ms::{RawBlock, ReadStats, SortedCopy},
};

/// How visibilities are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    /// Image channels of each block; every batch lies in one.
    pub channels: Vec<Range<usize>>,
    /// Where batches find them.
    pub from: From,
}

impl Blocks {
    /// Bytes that going through all blocks brings from the disk, and to it, about.
    pub fn traffic(&self, plan: &Plan, passes: u64) -> u64 {
        let (selected, needed) = (&plan.selected, |block| plan.sampling.needed(block));
        let nchan = plan.nchan();
        let touched = |block: &Range<usize>| selected.bytes_touched(&needed(block.clone()));
        match self.from {
            From::Memory if self.channels.len() == 1 => selected.bytes_of(&needed(0..nchan)),
            From::Memory | From::Data => passes * self.channels.iter().map(touched).sum::<u64>(),
            From::SortedCopy { .. } => {
                selected.bytes_of(&needed(0..nchan)) + (1 + passes) * bytes(plan, 0..nchan)
            }
        }
    }
}

/// Where batches find the visibilities of their channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// In memory, where those of their block stay until its batches are done.
    Memory,
    /// In the MeasurementSet, each for itself.
    Data,
    /// In a copy on disk, in which those of a channel lie together.
    SortedCopy {
        /// Bytes of memory that may be taken to make it.
        memory: u64,
    },
}

/// Visibilities, read when they are first asked for.
pub(super) struct Source<'a> {
    plan: &'a Plan,
    blocks: &'a Blocks,
    timers: &'a Timers,
    held: Mutex<Option<Held>>,
    copy: Mutex<Option<Arc<SortedCopy>>>,
    /// For a copy: its directory, the channels that are going to be asked for, and what says whether to go on.
    directory: PathBuf,
    channels: Range<usize>,
    check: &'a (dyn Fn() -> Result<()> + Sync),
    readers: Pool,
}

struct Held {
    block: usize,
    raws: Arc<Vec<RawBlock>>,
}

impl<'a> Source<'a> {
    /// Holds nothing yet. As many threads as the caller's pool has are started to read. `channels` are those that are going to be asked for; a copy goes to `directory`, unless
    /// `check` ends it.
    pub fn new(
        plan: &'a Plan,
        blocks: &'a Blocks,
        channels: Range<usize>,
        directory: PathBuf,
        timers: &'a Timers,
        check: &'a (dyn Fn() -> Result<()> + Sync),
    ) -> Result<Self> {
        let (held, copy) = (Mutex::default(), Mutex::default());
        let readers = Pool::new("reader")?;
        Ok(Self { plan, blocks, timers, held, copy, directory, channels, check, readers })
    }

    /// Visibilities of image channels of one batch, and perhaps of more.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn raws(&self, channels: &Range<usize>) -> Result<Arc<Vec<RawBlock>>> {
        let holds =
            |block: &Range<usize>| block.start <= channels.start && channels.end <= block.end;
        let block = match self.blocks.from {
            From::Memory => self.blocks.channels.iter().position(holds),
            From::Data => None,
            From::SortedCopy { memory } => return self.read_copy(channels, memory),
        };
        let Some(block) = block else { return self.read(channels) };
        // What other processes image is not for this one to read.
        let of_block = &self.blocks.channels[block];
        let wanted = of_block.start.max(self.channels.start)..of_block.end.min(self.channels.end);
        if !holds(&wanted) {
            return self.read(channels);
        }
        // Others wait, as they want the same block.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.as_ref().filter(|held| held.block == block) {
            return Ok(Arc::clone(&held.raws));
        }
        // Not both at a time.
        *held = None;
        let raws = self.read(&wanted)?;
        *held = Some(Held { block, raws: Arc::clone(&raws) });
        Ok(raws)
    }

    fn read_copy(&self, channels: &Range<usize>, memory: u64) -> Result<Arc<Vec<RawBlock>>> {
        let copy = {
            let mut copy = self.copy.lock().unwrap_or_else(PoisonError::into_inner);
            match &*copy {
                Some(copy) => Arc::clone(copy),
                None => Arc::clone(copy.insert(Arc::new(self.sort(memory)?))),
            }
        };
        self.collect(channels, |spw, range| copy.read(spw, range))
    }

    fn sort(&self, memory: u64) -> Result<SortedCopy> {
        let (plan, directory) = (self.plan, &self.directory);
        let needed = plan.sampling.needed(self.channels.clone());
        self.timers.time("sort", || {
            let (copy, stats) = self
                .readers
                .run(|| SortedCopy::new(&plan.selected, &needed, directory, memory, self.check))?;
            self.timers.add_read(&stats);
            self.timers.add_sorted(SortedCopy::bytes(&plan.selected, &needed));
            Ok(copy)
        })
    }

    fn read(&self, channels: &Range<usize>) -> Result<Arc<Vec<RawBlock>>> {
        self.collect(channels, |spw, range| self.plan.selected.read(spw, range))
    }

    /// What the channels need of each spectral window, by whichever way it is read.
    fn collect(
        &self,
        channels: &Range<usize>,
        read: impl Fn(usize, Range<usize>) -> Result<(RawBlock, ReadStats)> + Sync,
    ) -> Result<Arc<Vec<RawBlock>>> {
        let read = |(spw, range)| {
            let (raw, stats) = read(spw, range)?;
            self.timers.add_read(&stats);
            Ok(raw)
        };
        let needed = self.plan.sampling.needed(channels.clone());
        self.timers.time("read", || {
            self.readers.run(|| needed.into_iter().map(read).collect::<Result<_>>().map(Arc::new))
        })
    }
}

/// Bytes of memory that the visibilities of image channels take as they are read.
pub(super) fn bytes(plan: &Plan, channels: Range<usize>) -> u64 {
    SortedCopy::bytes(&plan.selected, &plan.sampling.needed(channels))
}
