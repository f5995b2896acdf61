//! Bulk reading: visibilities, flags and weights of blocks of channels, by all threads at once,
//! reduced to one Stokes parameter on the way.
//!
//! A block is cut into jobs of some rows and channels, each small enough for a processor's cache. A
//! job reads its parts of DATA (or CORRECTED_DATA), FLAG and WEIGHT or WEIGHT_SPECTRUM and writes its
//! own part of the block, so neither the number of threads nor their order changes a bit. Beside the
//! block itself, memory holds one job's input per thread.

use std::ops::Range;

use num_complex::Complex32;
use rayon::prelude::*;

use super::{
    RawBlock,
    selection::{Layout, Selected, SelectedSpw},
    table::{Column, MAX_GAP, Table},
};
use crate::error::{Error, Result};

/// Bytes of visibilities that a job reads.
const JOB_BYTES: usize = 1 << 20;
/// Rows that a job has at least: shorter pieces of an output channel are written inefficiently.
const JOB_ROWS: usize = 64;

/// What was read, and what was dropped of it. A sample is a Stokes visibility of a selected channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ReadStats {
    /// Samples of selected rows and channels.
    pub samples: u64,
    /// Samples flagged in one of their correlations.
    pub flagged: u64,
    /// Unflagged samples dropped because the visibility is not finite.
    pub non_finite: u64,
    /// Unflagged samples dropped because a weight is negative or not finite.
    pub bad_weight: u64,
    /// Bytes read from disk (or from the system's cache).
    pub bytes_read: u64,
}

impl std::ops::AddAssign for ReadStats {
    fn add_assign(&mut self, other: Self) {
        self.samples += other.samples;
        self.flagged += other.flagged;
        self.non_finite += other.non_finite;
        self.bad_weight += other.bad_weight;
        self.bytes_read += other.bytes_read;
    }
}

/// The columns that are read.
struct Columns<'a> {
    table: &'a Table,
    data: &'a Column,
    flag: &'a Column,
    weight: &'a Column,
    weight_spectrum: Option<&'a Column>,
}

/// Some rows and channels of a block, and where they go: one slice per channel.
struct Job<'a> {
    /// Rows of the main table.
    rows: Vec<u64>,
    layout: Layout,
    /// Channels of the spectral window.
    channels: Range<usize>,
    vis: Vec<&'a mut [Complex32]>,
    weight: Vec<&'a mut [f32]>,
}

/// A thread's working memory.
#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    data: Vec<Complex32>,
    flag: Vec<bool>,
    /// Per row and correlation.
    weight: Vec<f32>,
    /// Per row, channel and correlation.
    spectrum: Vec<f32>,
}

impl Selected {
    /// Reads channels of a spectral window.
    ///
    /// Channels in the range that are not selected come with zero weights. The block takes 12 bytes
    /// per row and channel; beside it, some MB per thread are used.
    ///
    /// # Errors
    /// If the spectral window is not selected, the range is not in it, or a column is missing,
    /// damaged, or contradicts the metadata.
    pub fn read(&self, spw: usize, channels: Range<usize>) -> Result<(RawBlock, ReadStats)> {
        let rows = 0..self.window(spw, &channels)?.rows.len();
        self.read_rows(spw, channels, rows)
    }

    /// [Reads](Selected::read) some of a spectral window's selected rows.
    pub(super) fn read_rows(
        &self,
        spw: usize,
        channels: Range<usize>,
        rows: Range<usize>,
    ) -> Result<(RawBlock, ReadStats)> {
        let selected = self.window(spw, &channels)?;
        let size = rows.len() * channels.len();
        let mut vis = vec![Complex32::default(); size];
        let mut weight = vec![0.0; size];
        let rows = &selected.rows[rows];
        let jobs = self.jobs(rows, &channels, &mut vis, &mut weight);
        let columns = self.columns()?;
        let window = &selected.channels;
        let stats = jobs
            .into_par_iter()
            .map_init(Scratch::default, |scratch, job| columns.run(job, window, scratch))
            .try_reduce(ReadStats::default, |mut a, b| {
                a += b;
                Ok(a)
            })?;
        Ok((RawBlock { spw, channels, rows: rows.to_vec(), vis, weight }, stats))
    }

    /// The spectral window that has these channels.
    pub(super) fn window(&self, spw: usize, channels: &Range<usize>) -> Result<&SelectedSpw> {
        let selected = self.spws().iter().find(|s| s.id == spw);
        selected
            .filter(|s| channels.start <= channels.end && channels.end <= s.channels.len())
            .ok_or_else(|| {
                Error::data(
                    self.ms.path(),
                    format!("channels {channels:?} of spectral window {spw}"),
                    "not selected",
                    "this is a defect of the program: please report it",
                )
            })
    }

    /// Bytes of the data channels of spectral windows, in all columns that imaging needs and each byte once:
    /// visibilities, flags and weights of the selected rows, and the rows' geometry (48 bytes each).
    pub fn bytes_of(&self, channels: &[(usize, Range<usize>)]) -> u64 {
        self.sum_bytes(channels, |bytes_a_channel, range| range.len() as f64 * bytes_a_channel)
    }

    /// Bytes that reading these channels alone brings from the disk, about: where a range leaves out a part of a
    /// tile, gaps are read over, or pages are read of which it needs little.
    pub fn bytes_touched(&self, channels: &[(usize, Range<usize>)]) -> u64 {
        const PAGE: f64 = 4096.0;
        let tile = self.tile_channels();
        self.sum_bytes(channels, |bytes_a_channel, range| {
            let of_tile = |first: usize| {
                let end = (first + tile).min(range.end);
                let needed = (end - first.max(range.start)) as f64 * bytes_a_channel;
                let all = tile as f64 * bytes_a_channel;
                match all - needed <= MAX_GAP as f64 {
                    true => all,
                    false => all.min(needed + PAGE),
                }
            };
            (range.start - range.start % tile..range.end).step_by(tile).map(of_tile).sum()
        })
    }

    /// The sum over columns of what `bytes` makes of a row's bytes a channel and the channels.
    fn sum_bytes(
        &self,
        channels: &[(usize, Range<usize>)],
        bytes: impl Fn(f64, &Range<usize>) -> f64,
    ) -> u64 {
        const GEOMETRY: f64 = 24.0 + 8.0 + 4.0 * 4.0;
        let table = self.ms.table();
        let spectrum = table.find("WEIGHT_SPECTRUM");
        let of = |(spw, range): &(usize, Range<usize>)| {
            let Some(selected) = self.spws().iter().find(|s| s.id == *spw) else { return 0 };
            let Some(&first) = selected.rows.first() else { return 0 };
            let layout = self.layouts[usize::from(self.layout_of[first as usize])];
            let correlations = layout.correlations as f64;
            let row = self.table_rows[first as usize];
            // What is wrong with the column is found out when it is read.
            let filled = spectrum.is_some_and(|c| table.is_defined(c, row).unwrap_or(false));
            let weights = match filled {
                true => bytes(4.0 * correlations, range),
                false => 4.0 * correlations,
            };
            let (vis, flags) = (bytes(8.0 * correlations, range), bytes(correlations / 8.0, range));
            (selected.rows.len() as f64 * (vis + flags + weights + GEOMETRY)) as u64
        };
        channels.iter().map(of).sum()
    }

    /// Channels that a tile of the visibilities holds, by the first row's; 1 where that is not known.
    pub fn tile_channels(&self) -> usize {
        let table = self.ms.table();
        let tile = table.column(self.column).and_then(|column| match self.table_rows.first() {
            Some(&row) => table.tile_shape(column, row),
            None => Ok(None),
        });
        // What is wrong with the table is found out when it is read.
        let channels = tile.ok().flatten().and_then(|tile| tile.get(1).copied());
        channels.map_or(1, |n| n.max(1) as usize)
    }

    fn columns(&self) -> Result<Columns<'_>> {
        let table = self.ms.table();
        Ok(Columns {
            table,
            data: table.column(self.column)?,
            flag: table.column("FLAG")?,
            weight: table.column("WEIGHT")?,
            weight_spectrum: table.find("WEIGHT_SPECTRUM"),
        })
    }

    /// Cuts a block into jobs.
    fn jobs<'a>(
        &self,
        of_block: &[u32],
        channels: &Range<usize>,
        vis: &'a mut [Complex32],
        weight: &'a mut [f32],
    ) -> Vec<Job<'a>> {
        let (rows, count) = (of_block.len(), channels.len());
        if rows == 0 || count == 0 {
            return Vec::new();
        }
        let correlations = self.layouts.iter().map(|l| l.correlations).max().unwrap_or(1);
        let sample = size_of::<Complex32>() * correlations.max(1);
        let width = (JOB_BYTES / (sample * JOB_ROWS)).clamp(1, count);
        let height = (JOB_BYTES / (sample * width)).max(JOB_ROWS);
        // Rows of one layout that follow each other.
        let layout_of = |k: usize| self.layout_of[of_block[k] as usize];
        let mut cuts = vec![0];
        while let Some(&start) = cuts.last().filter(|&&start| start < rows) {
            let most = (start + height).min(rows);
            let same = (start..most).take_while(|&k| layout_of(k) == layout_of(start)).count();
            cuts.push(start + same);
        }
        let mut jobs: Vec<Job> = Vec::new();
        let mut vis = vis.chunks_exact_mut(rows);
        let mut weight = weight.chunks_exact_mut(rows);
        for start in (0..count).step_by(width) {
            let part = start..(start + width).min(count);
            let first = jobs.len();
            for cut in cuts.windows(2) {
                let of = &of_block[cut[0]..cut[1]];
                jobs.push(Job {
                    rows: of.iter().map(|&r| self.table_rows[r as usize]).collect(),
                    layout: self.layouts[usize::from(layout_of(cut[0]))],
                    channels: channels.start + part.start..channels.start + part.end,
                    vis: Vec::with_capacity(part.len()),
                    weight: Vec::with_capacity(part.len()),
                });
            }
            for (mut vis, mut weight) in (&mut vis).zip(&mut weight).take(part.len()) {
                for job in &mut jobs[first..] {
                    let (here, rest) = vis.split_at_mut(job.rows.len());
                    job.vis.push(here);
                    vis = rest;
                    let (here, rest) = weight.split_at_mut(job.rows.len());
                    job.weight.push(here);
                    weight = rest;
                }
            }
        }
        jobs
    }
}

impl Columns<'_> {
    fn run(&self, mut job: Job, selected: &[bool], scratch: &mut Scratch) -> Result<ReadStats> {
        let Layout { correlations, .. } = job.layout;
        let shape = [correlations, selected.len()];
        let samples = job.rows.len() * job.channels.len() * correlations;
        let Scratch { bytes, data, flag, weight, spectrum } = scratch;
        let mut bytes_read = 0;

        data.resize(samples, Complex32::default());
        let part = job.channels.clone();
        bytes_read +=
            self.table.read_cells(self.data, &job.rows, &shape, part.clone(), data, bytes)?;
        flag.resize(samples, false);
        bytes_read +=
            self.table.read_cells(self.flag, &job.rows, &shape, part.clone(), flag, bytes)?;

        // Rows whose WEIGHT_SPECTRUM is undefined have their WEIGHT for all channels.
        let mut filled = vec![false; job.rows.len()];
        if let Some(column) = self.weight_spectrum {
            for (filled, &row) in filled.iter_mut().zip(&job.rows) {
                *filled = self.table.is_defined(column, row)?;
            }
        }
        spectrum.resize(samples, 0.0);
        weight.resize(job.rows.len() * correlations, 0.0);
        let per_row = job.channels.len() * correlations;
        for (range, has_spectrum) in runs(&filled) {
            let rows = &job.rows[range.clone()];
            match self.weight_spectrum.filter(|_| has_spectrum) {
                Some(column) => {
                    let out = &mut spectrum[range.start * per_row..range.end * per_row];
                    bytes_read +=
                        self.table.read_cells(column, rows, &shape, part.clone(), out, bytes)?;
                }
                None => {
                    let out = &mut weight[range.start * correlations..range.end * correlations];
                    let (shape, all) = ([correlations], 0..correlations);
                    bytes_read +=
                        self.table.read_cells(self.weight, rows, &shape, all, out, bytes)?;
                }
            }
        }
        let mut stats = ReadStats { bytes_read, ..ReadStats::default() };
        for (range, has_spectrum) in runs(&filled) {
            job.reduce(range, has_spectrum, selected, scratch, &mut stats);
        }
        Ok(stats)
    }
}

/// Ranges of equal values.
fn runs(values: &[bool]) -> impl Iterator<Item = (Range<usize>, bool)> {
    let mut start = 0;
    values.chunk_by(|a, b| a == b).map(move |run| {
        let range = start..start + run.len();
        start = range.end;
        (range, run[0])
    })
}

impl Job<'_> {
    /// Makes Stokes visibilities and weights of some of the job's rows, as CASA does:
    /// I = (XX + YY)/2 with weight w_XX + w_YY, where both are unflagged.
    fn reduce(
        &mut self,
        rows: Range<usize>,
        has_spectrum: bool,
        selected: &[bool],
        scratch: &Scratch,
        stats: &mut ReadStats,
    ) {
        let Layout { correlations, wanted: (first, second) } = self.layout;
        let second = second.unwrap_or(first);
        // A single correlation goes through the same arithmetic as its own partner: (V + V)/2 = V
        // and (w + w)/2 = w, both exactly.
        let scale = if second == first { 0.5 } else { 1.0 };
        let count = self.channels.len();
        for (c, channel) in self.channels.clone().enumerate() {
            if !selected[channel] {
                continue;
            }
            stats.samples += rows.len() as u64;
            let (vis, weight) = (&mut *self.vis[c], &mut *self.weight[c]);
            for row in rows.clone() {
                let cell = (row * count + c) * correlations;
                let (a, b) = (cell + first, cell + second);
                if scratch.flag[a] | scratch.flag[b] {
                    stats.flagged += 1;
                    continue;
                }
                let (w1, w2) = match has_spectrum {
                    true => (scratch.spectrum[a], scratch.spectrum[b]),
                    false => {
                        let row = row * correlations;
                        (scratch.weight[row + first], scratch.weight[row + second])
                    }
                };
                let w = (w1 + w2) * scale;
                if !(w1 >= 0.0 && w2 >= 0.0 && w.is_finite()) {
                    stats.bad_weight += 1;
                    continue;
                }
                let v = (scratch.data[a] + scratch.data[b]) * 0.5;
                if !(v.re.is_finite() && v.im.is_finite()) {
                    stats.non_finite += 1;
                    continue;
                }
                if w > 0.0 {
                    vis[row] = v;
                    weight[row] = w;
                }
            }
        }
    }
}
