//! How the planes of a cube lie in a file of tiles `[tx, ty, 1, 1]`.

use crate::{cube::CubeShape, mask::Mask};

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

    /// Bytes of a row of tiles of floats.
    pub(super) fn pixel_row_bytes(&self) -> usize {
        self.columns() * self.tx * self.ty * 4
    }

    /// Bytes of a tile of a mask: one bit per pixel.
    fn mask_tile_bytes(&self) -> usize {
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

    /// Brings the pixels that tile row `row` covers into the order of the file, little-endian. Where
    /// `keep` is false, 0 is stored.
    pub(super) fn pack_pixels(
        &self,
        row: usize,
        values: &[f32],
        keep: Option<&Mask>,
        out: &mut [u8],
    ) {
        let nx = self.shape.nx;
        for (y, ty) in self.lines(row) {
            for (i, part) in values[y * nx..(y + 1) * nx].chunks(self.tx).enumerate() {
                let at = ((i * self.ty + ty) * self.tx) * 4;
                let slots = out[at..at + 4 * part.len()].chunks_exact_mut(4);
                for (x, (slot, value)) in slots.zip(part).enumerate() {
                    let kept = keep.is_none_or(|m| m.get(i * self.tx + x, y));
                    slot.copy_from_slice(&if kept { *value } else { 0.0 }.to_le_bytes());
                }
            }
        }
    }

    /// Brings the mask bits that tile row `row` covers into the order of the file: 1 is good, least
    /// significant bit first. Without a mask all pixels are good. `out` must be zero.
    pub(super) fn pack_mask(&self, row: usize, valid: Option<&Mask>, out: &mut [u8]) {
        for (y, ty) in self.lines(row) {
            for x in 0..self.shape.nx {
                if valid.is_none_or(|m| m.get(x, y)) {
                    let bit = ty * self.tx + x % self.tx;
                    out[(x / self.tx) * self.mask_tile_bytes() + bit / 8] |= 1 << (bit % 8);
                }
            }
        }
    }

    /// The image lines `y` of a tile row, each with its line inside the tile.
    fn lines(&self, row: usize) -> impl Iterator<Item = (usize, usize)> {
        let first = row * self.ty;
        (first..(first + self.ty).min(self.shape.ny)).map(move |y| (y, y - first))
    }
}
