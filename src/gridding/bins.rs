//! Rows in the order in which they are gridded: sorted by tile of the uv grid.

use num_complex::Complex32;

use super::UvGrid;
use crate::ms::Rows;

/// Rows sorted by the tile of their cell at one frequency, conjugated onto u ≥ 0.
///
/// One such sort serves all channels whose samples lie within the drift that tiles leave room for.
#[derive(Clone, Debug)]
pub struct Bins {
    /// Index in [`Rows`] of each sorted row; within a tile the rows keep their order.
    pub order: Vec<u32>,
    /// Baseline of each sorted row, metres, negated where u < 0.
    pub uvw_m: Vec<[f64; 3]>,
    /// Whether a sorted row was negated: its visibilities are conjugated.
    pub conjugated: Vec<bool>,
    /// Slot of each sorted row, index in [`Rows::slots`].
    pub slot: Vec<u32>,
    /// Sorted rows of tile t = tile_u·tiles_v + tile_v are `starts[t]..starts[t+1]`.
    pub starts: Vec<u32>,
    /// Inverse wavelength 1/λ = ν/c, 1/m, that the rows are binned at, one per slot.
    pub inverse_wavelength: Vec<f64>,
}

/// Position of a row on the uv grid at its bins' frequency: an integer cell and the rest, so that
/// f32 arithmetic on a device keeps 1e-7 of a cell. At ν/ν_ref = 1 + δ the position is
/// `cell + (frac + (cell + frac)·δ)`.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Cell {
    /// Nearest cell along u, ≥ 0.
    pub u: i32,
    /// Nearest cell along v (not offset by nv/2).
    pub v: i32,
    /// u minus its cell, in [−½, ½].
    pub frac_u: f32,
    /// v minus its cell, in [−½, ½].
    pub frac_v: f32,
}

impl Bins {
    /// Sorts `rows` by their tile; `inverse_wavelength` is ν/c of each slot, `lowest` that of the lowest frequency of the
    /// cube.
    pub(super) fn new(
        rows: &Rows,
        grid: &UvGrid,
        inverse_wavelength: Vec<f64>,
        lowest: f64,
    ) -> Self {
        let tiles = grid.tiles_u * grid.tiles_v;
        let tile_of = |row: usize| {
            let [u, v, _] = rows.uvw_m[row];
            let scale = inverse_wavelength[rows.slot[row] as usize];
            let sign = if u < 0.0 { -1.0 } else { 1.0 };
            let tile_u = (sign * u * scale * grid.scale_u) as usize / grid.tile;
            let row_v = sign * v * scale * grid.scale_v + (grid.nv / 2) as f64;
            let tile_v = (row_v.max(0.0) as usize) / grid.tile;
            // Rows off the grid hold no sample here; any tile will do.
            tile_u.min(grid.tiles_u - 1) * grid.tiles_v + tile_v.min(grid.tiles_v - 1)
        };
        let tile: Vec<u32> = (0..rows.uvw_m.len()).map(|row| tile_of(row) as u32).collect();
        let mut starts = vec![0u32; tiles + 1];
        for &t in &tile {
            starts[t as usize + 1] += 1;
        }
        for t in 0..tiles {
            starts[t + 1] += starts[t];
        }
        let mut next = starts.clone();
        let mut order = vec![0u32; tile.len()];
        for (row, &t) in tile.iter().enumerate() {
            order[next[t as usize] as usize] = row as u32;
            next[t as usize] += 1;
        }
        let conjugated: Vec<bool> =
            order.iter().map(|&row| rows.uvw_m[row as usize][0] < 0.0).collect();
        let uvw_m = order
            .iter()
            .zip(&conjugated)
            .map(|(&row, &negate)| {
                let [u, v, w] = rows.uvw_m[row as usize];
                // The plan's w-term is not for what is never on the grid; times a weight of 0, it must be finite.
                let w = if grid.ever_holds([u, v, w], lowest) { w } else { 0.0 };
                if negate { [-u, -v, -w] } else { [u, v, w] }
            })
            .collect();
        let slot = order.iter().map(|&row| rows.slot[row as usize]).collect();
        Self { order, uvw_m, conjugated, slot, starts, inverse_wavelength }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The sorted rows of the tiles of one strip, the tiles of equal tile_u.
    pub fn strip(&self, grid: &UvGrid, tile_u: usize) -> std::ops::Range<usize> {
        let first = tile_u * grid.tiles_v;
        self.starts[first] as usize..self.starts[first + grid.tiles_v] as usize
    }

    /// Positions of the sorted rows on the grid at the bins' own frequency.
    pub fn cells(&self, grid: &UvGrid) -> Vec<Cell> {
        let split = |position: f64| (position.round() as i32, (position - position.round()) as f32);
        self.uvw_m
            .iter()
            .zip(&self.slot)
            .map(|([u, v, _], &slot)| {
                let scale = self.inverse_wavelength[slot as usize];
                let (u, frac_u) = split(u * scale * grid.scale_u);
                let (v, frac_v) = split(v * scale * grid.scale_v);
                Cell { u, v, frac_u, frac_v }
            })
            .collect()
    }

    /// Brings values of sorted samples back to the rows' order and orientation.
    pub fn unsort(&self, sorted: &[Complex32]) -> Vec<Complex32> {
        let mut out = vec![Complex32::new(0.0, 0.0); sorted.len()];
        for ((&value, &row), &conjugated) in sorted.iter().zip(&self.order).zip(&self.conjugated) {
            out[row as usize] = if conjugated { value.conj() } else { value };
        }
        out
    }

    /// Host memory, bytes, of bins of `rows` rows on `grid` with `slots` slots.
    pub fn bytes(grid: &UvGrid, rows: usize, slots: usize) -> usize {
        rows * (4 + 24 + 1 + 4) + 4 * (grid.tiles_u * grid.tiles_v + 1) + 8 * slots
    }
}
