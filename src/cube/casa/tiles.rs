//! How the planes of a cube lie in a file of tiles `[tx, ty, 1, 1]`.

use std::iter::Peekable;

use crate::{cube::CubeShape, mask::Run};

/// Largest edge of a tile: 128 × 128 floats are 64 KiB, which keeps both the reading of a plane and
/// that of a spectrum to few and useful bytes.
const MAX_EDGE: usize = 128;

/// The division of a cube's planes into tiles. Edge tiles are stored at full size, padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TileLayout {
    pub(super) shape: CubeShape,
    /// Pixels of a tile along x and y.
    pub(super) tx: usize,
    pub(super) ty: usize,
}

impl TileLayout {
    /// Tiles of nearly equal size, so that little is lost to padding at the edges.
    pub(super) fn new(shape: CubeShape) -> Self {
        let edge = |n: usize| n.div_ceil(n.div_ceil(MAX_EDGE));
        Self { shape, tx: edge(shape.nx), ty: edge(shape.ny) }
    }

    /// Tiles along x.
    fn columns(&self) -> usize {
        self.shape.nx.div_ceil(self.tx)
    }

    /// Rows of tiles in a plane.
    pub(super) fn rows(&self) -> usize {
        self.shape.ny.div_ceil(self.ty)
    }

    /// Bytes of a tile of floats.
    pub(super) fn pixel_tile_bytes(&self) -> usize {
        self.tx * self.ty * 4
    }

    /// Bytes of a row of tiles of floats.
    pub(super) fn pixel_row_bytes(&self) -> usize {
        self.columns() * self.pixel_tile_bytes()
    }

    /// Bytes of a tile of a mask: one bit per pixel.
    pub(super) fn mask_tile_bytes(&self) -> usize {
        (self.tx * self.ty).div_ceil(8)
    }

    /// Bytes of a row of tiles of a mask.
    pub(super) fn mask_row_bytes(&self) -> usize {
        self.columns() * self.mask_tile_bytes()
    }

    /// Number of a plane in the file.
    pub(super) fn plane(&self, stokes: usize, channel: usize) -> usize {
        stokes + self.shape.nstokes * channel
    }

    /// Brings the pixels that tile row `row` covers into the order of the file, little-endian; the padding of tiles at
    /// the edges is 0.
    pub(super) fn pack_pixels(&self, row: usize, values: &[f32], out: &mut [u8]) {
        let nx = self.shape.nx;
        let first = row * self.ty;
        let lines = self.ty.min(self.shape.ny - first);
        for (column, tile) in out.chunks_exact_mut(self.pixel_tile_bytes()).enumerate() {
            let x = column * self.tx;
            let len = self.tx.min(nx - x);
            let (inside, padding) = tile.split_at_mut(4 * self.tx * lines);
            for (y, line) in inside.chunks_exact_mut(4 * self.tx).enumerate() {
                let from = (first + y) * nx + x;
                let (pixels, padding) = line.split_at_mut(4 * len);
                for (slot, value) in pixels.chunks_exact_mut(4).zip(&values[from..from + len]) {
                    slot.copy_from_slice(&value.to_le_bytes());
                }
                padding.fill(0);
            }
            padding.fill(0);
        }
    }

    /// Stores 0 at the pixels of `runs` that tile row `row` covers. `runs` are in plane order; those
    /// that lie in this row of tiles are taken.
    pub(super) fn clear_pixels(
        &self,
        row: usize,
        runs: &mut Peekable<impl Iterator<Item = Run>>,
        out: &mut [u8],
    ) {
        self.each_segment(row, runs, |column, x, y, len| {
            let at = self.element(column, x, y) * 4;
            out[at..at + 4 * len].fill(0);
        });
    }

    /// Sets the bits of the pixels of `runs` that tile row `row` covers, least significant bit first, and no others.
    pub(super) fn pack_mask(
        &self,
        row: usize,
        runs: &mut Peekable<impl Iterator<Item = Run>>,
        out: &mut [u8],
    ) {
        out.fill(0);
        self.each_segment(row, runs, |column, x, y, len| {
            let tile = &mut out[column * self.mask_tile_bytes()..][..self.mask_tile_bytes()];
            set_bits(tile, y * self.tx + x, len);
        });
    }

    /// Index of pixel (x, y) of the tile `column` in a row of tiles.
    fn element(&self, column: usize, x: usize, y: usize) -> usize {
        (column * self.ty + y) * self.tx + x
    }

    /// Calls `act(column, x, y, len)` for the runs in tile row `row`, cut at the edges of tiles; x and y
    /// count from the tile's first pixel.
    fn each_segment(
        &self,
        row: usize,
        runs: &mut Peekable<impl Iterator<Item = Run>>,
        mut act: impl FnMut(usize, usize, usize, usize),
    ) {
        let first = row * self.ty;
        while let Some(run) = runs.next_if(|r| r.y < first + self.ty) {
            let end = run.x + run.len;
            let mut x = run.x;
            while x < end {
                let column = x / self.tx;
                let stop = end.min((column + 1) * self.tx);
                act(column, x - column * self.tx, run.y - first, stop - x);
                x = stop;
            }
        }
    }
}

/// Sets `len` bits from bit `first` on.
fn set_bits(bytes: &mut [u8], first: usize, len: usize) {
    let end = first + len;
    let (head, tail) = (first / 8, end / 8);
    let from = 0xff_u8 << (first % 8);
    let until = !(0xff_u8 << (end % 8));
    if head == tail {
        bytes[head] |= from & until;
        return;
    }
    bytes[head] |= from;
    bytes[head + 1..tail].fill(0xff);
    if until != 0 {
        bytes[tail] |= until;
    }
}
