//! Reads parts of hypercubes: only the bytes of the cells asked for, in few large reads.

use std::ops::Range;

use super::{
    Column,
    element::Element,
    file::DataFile,
    tiled::{Cube, Tiled},
};
use crate::error::Result;

/// Bytes that one read of several runs may span; bounds the scratch memory.
const MAX_SPAN: u64 = 1 << 20;
/// A gap of fewer bytes between runs is read over: a system call costs more than copying that.
pub(in crate::ms) const MAX_GAP: u64 = 8 << 10;

/// Elements to be read: where they are in a tile and where they go.
#[derive(Clone, Copy)]
struct Run {
    /// First element, counted from the tile's first.
    element: u64,
    /// First element in the output.
    out: usize,
    length: usize,
}

/// One read in the making: runs of one tile, ascending.
struct Batch<'a, T> {
    file: &'a DataFile,
    big_endian: bool,
    /// Byte at which the column's part of the tile begins.
    begin: u64,
    runs: Vec<Run>,
    scratch: &'a mut Vec<u8>,
    out: &'a mut [T],
    bytes_read: u64,
}

impl<T: Element> Batch<'_, T> {
    /// Bytes (from the tile part's beginning) that elements take.
    fn span(first: u64, end: u64) -> Range<u64> {
        first * T::BITS / 8..(end * T::BITS).div_ceil(8)
    }

    fn push(&mut self, run: Run) -> Result<()> {
        if let (Some(first), Some(&last)) = (self.runs.first(), self.runs.last()) {
            let last_end = last.element + last.length as u64;
            if last_end == run.element && last.out + last.length == run.out {
                let n = self.runs.len();
                self.runs[n - 1].length += run.length;
                return Ok(());
            }
            let span = Self::span(first.element, run.element + run.length as u64);
            let gap = Self::span(last_end, run.element.max(last_end));
            if span.end - span.start > MAX_SPAN || gap.end - gap.start > MAX_GAP {
                self.flush()?;
            }
        }
        self.runs.push(run);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let (Some(&first), Some(&last)) = (self.runs.first(), self.runs.last()) else {
            return Ok(());
        };
        let span = Self::span(first.element, last.element + last.length as u64);
        let position = self.begin + span.start;
        let length = (span.end - span.start) as usize;
        self.bytes_read += length as u64;
        let single = self.runs.len() == 1;
        let target = &mut self.out[first.out..first.out + first.length];
        if let (true, Some(memory)) = (single, T::memory(target)) {
            self.file.read_at(position, memory)?;
            T::reorder(target, self.big_endian);
        } else {
            self.file.check(position, length as u64)?;
            if self.scratch.len() < length {
                self.scratch.resize(length, 0);
            }
            self.file.read_at(position, &mut self.scratch[..length])?;
            for run in &self.runs {
                let bit = run.element * T::BITS - 8 * span.start;
                let target = &mut self.out[run.out..run.out + run.length];
                T::decode(&self.scratch[..length], bit, self.big_endian, target);
            }
        }
        self.runs.clear();
        Ok(())
    }
}

impl Tiled {
    /// Reads the box `inner` of all axes but the last, at the given positions of the last axis
    /// (ascending), into `out` (first axis fastest). Gives the number of bytes read.
    ///
    /// # Errors
    /// If the box is not in the cube, or the file is shorter than the cube.
    pub(super) fn read_box<T: Element>(
        &self,
        column: &Column,
        cube: &Cube,
        inner: &[Range<u64>],
        positions: &[u64],
        out: &mut [T],
        scratch: &mut Vec<u8>,
    ) -> Result<u64> {
        let axes = cube.shape.len();
        let row_elements = inner.iter().try_fold(1u64, |n, r| n.checked_mul(r.end - r.start));
        let in_cube = inner.len() + 1 == axes
            && inner.iter().zip(&cube.shape).all(|(r, &n)| r.start <= r.end && r.end <= n)
            && positions.last().is_none_or(|&p| p < cube.shape[axes - 1])
            && positions.is_sorted();
        let size = row_elements.and_then(|n| n.checked_mul(positions.len() as u64));
        if !in_cube || size != Some(out.len() as u64) {
            let what = format!("box {inner:?} at {} positions", positions.len());
            return Err(self.bad(what, format!("not in a cube of shape {:?}", cube.shape)));
        }
        if out.is_empty() {
            return Ok(0);
        }
        let too_large = || self.bad(format!("tiles of {:?}", cube.tile), "impossibly large");
        let (tile_bytes, begin) = self.tile_bytes(cube, column.position).ok_or_else(too_large)?;
        let mut batch = Batch {
            file: self.file(cube)?,
            big_endian: self.big_endian,
            begin: 0,
            runs: Vec::new(),
            scratch,
            out,
            bytes_read: 0,
        };
        let last_tile = cube.tile[axes - 1];
        let mut rest = positions;
        let mut done = 0;
        while let Some(&first) = rest.first() {
            // The positions that fall into one layer of tiles along the last axis.
            let layer = first / last_tile;
            let (here, later) = rest.split_at(rest.partition_point(|p| p / last_tile == layer));
            let mut tile: Vec<u64> =
                inner.iter().zip(&cube.tile).map(|(r, t)| r.start / t).collect();
            loop {
                let index = tile_index(cube, &tile, layer).ok_or_else(too_large)?;
                let start = index.checked_mul(tile_bytes).and_then(|n| n.checked_add(cube.offset));
                let start = start.ok_or_else(too_large)?;
                batch.file.check(start, tile_bytes)?;
                batch.begin = start + begin;
                tile_runs(cube, inner, &tile, here, done, |run| batch.push(run))?;
                batch.flush()?;
                if !advance(&mut tile, inner, &cube.tile) {
                    break;
                }
            }
            done += here.len();
            rest = later;
        }
        Ok(batch.bytes_read)
    }
}

/// A tile's number in the file.
fn tile_index(cube: &Cube, tile: &[u64], layer: u64) -> Option<u64> {
    let mut index = layer;
    for axis in (0..tile.len()).rev() {
        let count = cube.shape[axis].div_ceil(cube.tile[axis]);
        index = index.checked_mul(count)?.checked_add(tile[axis])?;
    }
    Some(index)
}

/// Steps to the next tile of the box, the first axis fastest; false after the last.
fn advance(tile: &mut [u64], inner: &[Range<u64>], shape: &[u64]) -> bool {
    for ((t, range), n) in tile.iter_mut().zip(inner).zip(shape) {
        *t += 1;
        if *t * n < range.end {
            return true;
        }
        *t = range.start / n;
    }
    false
}

/// Calls `push` with the runs of a tile that belong to the box, ascending. `done` positions of the
/// output stand before the first of `positions`.
fn tile_runs(
    cube: &Cube,
    inner: &[Range<u64>],
    tile: &[u64],
    positions: &[u64],
    done: usize,
    mut push: impl FnMut(Run) -> Result<()>,
) -> Result<()> {
    let axes = inner.len();
    // Within the tile: first element and number of elements of the overlap along each axis; and
    // where the overlap begins in the output.
    let mut low = Vec::with_capacity(axes);
    let mut count = Vec::with_capacity(axes);
    let mut out_low = Vec::with_capacity(axes);
    for ((range, &t), &n) in inner.iter().zip(tile).zip(&cube.tile) {
        let (begin, end) = (range.start.max(t * n), range.end.min((t + 1) * n));
        low.push(begin - t * n);
        count.push(end - begin);
        out_low.push(begin - range.start);
    }
    let strides = |lengths: &mut dyn Iterator<Item = u64>| {
        let mut stride = vec![1u64];
        for n in lengths {
            stride.push(stride[stride.len() - 1] * n);
        }
        stride
    };
    let tile_stride = strides(&mut cube.tile[..axes].iter().copied());
    let out_stride = strides(&mut inner.iter().map(|r| r.end - r.start));
    // Leading axes that are contiguous in the tile and in the output make one run.
    let whole = |a: usize| count[a] == cube.tile[a] && count[a] == inner[a].end - inner[a].start;
    let joined = (0..axes).take_while(|&a| whole(a)).count().min(axes.saturating_sub(1)) + 1;
    let joined = joined.min(axes);
    let length: u64 = count[..joined].iter().product();
    let first: u64 = low.iter().zip(&tile_stride).map(|(l, s)| l * s).sum();
    let first_out: u64 = out_low.iter().zip(&out_stride).map(|(l, s)| l * s).sum();
    let layer = cube.tile[axes];
    for (k, position) in positions.iter().enumerate() {
        let mut at = vec![0u64; axes - joined];
        loop {
            let offset = |stride: &[u64]| -> u64 {
                at.iter().zip(&stride[joined..]).map(|(i, s)| i * s).sum()
            };
            push(Run {
                element: position % layer * tile_stride[axes] + first + offset(&tile_stride),
                out: (done + k) * out_stride[axes] as usize
                    + (first_out + offset(&out_stride)) as usize,
                length: length as usize,
            })?;
            let mut axis = 0;
            while axis < at.len() {
                at[axis] += 1;
                if at[axis] < count[joined + axis] {
                    break;
                }
                at[axis] = 0;
                axis += 1;
            }
            if axis == at.len() {
                break;
            }
        }
    }
    Ok(())
}
