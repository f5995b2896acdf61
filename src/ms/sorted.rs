//! A copy of visibilities in which those of a channel lie together, in a file that has no name.
//!
//! Where tiles of a MeasurementSet span more channels than fit into memory, whoever reads a few channels at a time
//! reads most bytes again and again. Read once, and written once in the order in which they are needed, they are
//! then read channel by channel in one piece each.

use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
};

use num_complex::Complex32;
use rayon::prelude::*;

use super::{RawBlock, ReadStats, Selected};
use crate::{
    error::{Error, Result},
    positioned::{read_exact_at, write_all_at},
};

/// Bytes of a sample: a visibility and its weight.
const SAMPLE: usize = size_of::<Complex32>() + size_of::<f32>();

/// The copy. It is gone with the process, however that ends.
#[derive(Debug)]
pub struct SortedCopy {
    file: File,
    /// Where it was made, for messages.
    directory: PathBuf,
    windows: Vec<Window>,
}

/// Channels of a spectral window: of each its visibilities, then their weights, row by row.
#[derive(Debug)]
struct Window {
    spw: usize,
    channels: Range<usize>,
    rows: Vec<u32>,
    /// First byte in the file.
    offset: u64,
}

impl Window {
    /// Bytes of a channel.
    fn stride(&self) -> u64 {
        (self.rows.len() * SAMPLE) as u64
    }

    /// Byte of a channel's first visibility, and of its first weight.
    fn place(&self, channel: usize) -> [u64; 2] {
        let vis = self.offset + (channel - self.channels.start) as u64 * self.stride();
        [vis, vis + (self.rows.len() * size_of::<Complex32>()) as u64]
    }
}

impl SortedCopy {
    /// Bytes that the copy of these channels of spectral windows takes.
    pub fn bytes(selected: &Selected, channels: &[(usize, Range<usize>)]) -> u64 {
        let of = |(spw, range): &(usize, Range<usize>)| {
            let window = selected.window(*spw, range);
            window.map_or(0, |window| (window.rows.len() * range.len() * SAMPLE) as u64)
        };
        channels.iter().map(of).sum()
    }

    /// Copies these channels of spectral windows to a file in `directory`. About `memory` bytes are taken;
    /// `check` is asked from time to time whether to go on.
    ///
    /// # Errors
    /// If the data cannot be read, the file cannot be written, or `check` says so.
    pub fn new(
        selected: &Selected,
        channels: &[(usize, Range<usize>)],
        directory: &Path,
        memory: u64,
        check: impl Fn() -> Result<()>,
    ) -> Result<(Self, ReadStats)> {
        let file =
            tempfile::tempfile_in(directory).map_err(|e| Error::io("create", directory, e))?;
        let mut copy = Self { file, directory: directory.to_owned(), windows: Vec::new() };
        let mut stats = ReadStats::default();
        let mut offset = 0;
        for (spw, range) in channels {
            let rows = selected.window(*spw, range)?.rows.clone();
            let window = Window { spw: *spw, channels: range.clone(), rows, offset };
            offset += window.stride() * range.len() as u64;
            let at_a_time = memory as usize / (SAMPLE * range.len().max(1));
            for first in (0..window.rows.len()).step_by(at_a_time.max(1)) {
                check()?;
                let rows = first..(first + at_a_time.max(1)).min(window.rows.len());
                let (block, read) = selected.read_rows(*spw, range.clone(), rows)?;
                stats += read;
                copy.write(&window, first, &block)?;
            }
            copy.windows.push(window);
        }
        Ok((copy, stats))
    }

    /// Reads channels of a spectral window back: what [`Selected::read`] gave. Also the bytes read.
    ///
    /// # Errors
    /// If they are not in the copy, or cannot be read.
    pub fn read(&self, spw: usize, channels: Range<usize>) -> Result<(RawBlock, ReadStats)> {
        let holds = |window: &&Window| {
            window.spw == spw
                && window.channels.start <= channels.start
                && channels.end <= window.channels.end
        };
        let Some(window) = self.windows.iter().find(holds) else {
            return Err(Error::data(
                &self.directory,
                format!("channels {channels:?} of spectral window {spw}"),
                "are not in the sorted copy of the visibilities",
                "this is a defect of the program: please report it",
            ));
        };
        let rows = window.rows.len();
        let mut vis = vec![Complex32::default(); rows * channels.len()];
        let mut weight = vec![0.0f32; rows * channels.len()];
        if rows > 0 {
            let planes = vis.par_chunks_mut(rows).zip(weight.par_chunks_mut(rows));
            planes.zip(channels.clone()).try_for_each(|((vis, weight), channel)| {
                let [of_vis, of_weight] = window.place(channel);
                read_exact_at(&self.file, of_vis, bytemuck::cast_slice_mut(vis))
                    .and_then(|()| {
                        read_exact_at(&self.file, of_weight, bytemuck::cast_slice_mut(weight))
                    })
                    .map_err(|e| Error::io("read the sorted copy in", &self.directory, e))
            })?;
        }
        let bytes_read = (rows * channels.len() * SAMPLE) as u64;
        let rows = window.rows.clone();
        let stats = ReadStats { bytes_read, ..ReadStats::default() };
        Ok((RawBlock { spw, channels, rows, vis, weight }, stats))
    }

    /// Writes rows, from the window's `first` on, to their places.
    fn write(&self, window: &Window, first: usize, block: &RawBlock) -> Result<()> {
        let rows = block.rows.len();
        let planes = block.vis.par_chunks(rows).zip(block.weight.par_chunks(rows));
        planes.zip(window.channels.clone()).try_for_each(|((vis, weight), channel)| {
            let [of_vis, of_weight] = window.place(channel);
            let after = |size: usize| (first * size) as u64;
            let (of_vis, of_weight) =
                (of_vis + after(size_of::<Complex32>()), of_weight + after(size_of::<f32>()));
            write_all_at(&self.file, of_vis, bytemuck::cast_slice(vis))
                .and_then(|()| write_all_at(&self.file, of_weight, bytemuck::cast_slice(weight)))
                .map_err(|e| {
                    Error::io("write a sorted copy of the visibilities in", &self.directory, e)
                })
        })
    }
}
