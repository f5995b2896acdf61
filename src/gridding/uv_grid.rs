//! The padded uv grid: its sizes and the layout of the stored half of it.

use super::Kernel;
use crate::geometry::ImageGrid;

/// The half (Hermitian) uv grid of one channel, stored `[column][row]`: columns along u, rows along
/// v fastest.
///
/// A sample at (u, v) wavelengths lies at `u·scale_u`, `v·scale_v` cells. Samples of u < 0 are
/// gridded as their conjugates at (−u, −v, −w). Row j holds the cell v = j − nv/2, so that the
/// footprint of a sample is contiguous unless it crosses the edge ±nv/2, where it wraps around; the
/// transform's resulting sign (−1)^m-pixel is part of the plan's `correction_y`.
///
/// Gridding writes `stored_columns` columns, the first of which is the cell u = −halo. The columns
/// below 0 and above nu/2 are then folded back, `(c, v) → conj → (−c, −v)`, and columns
/// `0..columns` are transformed: `image[q][p] = Re Σ_u Σ_v G[u][v]·exp(2πi(u·p/nu − v·q/nv))`
/// for pixel offsets p, q from the centre pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct UvGrid {
    /// Padded size along u (x of the image); a [`good_size`].
    pub nu: usize,
    /// Padded size along v (y of the image); a [`good_size`].
    pub nv: usize,
    /// Columns transformed, cells u = 0..columns, at most nu/2 + 1: all that hold data.
    pub columns: usize,
    /// The first grid row that samples touch.
    pub first_row: usize,
    /// Rows from there on that samples touch: as many above v = 0 as below, or all nv.
    pub band: usize,
    /// Edge of a tile in cells, even. A row belongs to the tile of its cell; a tile's samples touch
    /// cells at most `tile/2` beyond it.
    pub tile: usize,
    /// Tiles along u: tile t holds the cells u = t·tile .. (t+1)·tile.
    pub tiles_u: usize,
    /// Tiles along v: tile t holds the grid rows t·tile .. (t+1)·tile.
    pub tiles_v: usize,
    /// Cells per wavelength along u.
    pub scale_u: f64,
    /// Cells per wavelength along v.
    pub scale_v: f64,
}

impl UvGrid {
    /// The grid of `image` padded by `padding`, for samples up to `max_u` and `max_v` wavelengths.
    pub(super) fn new(
        image: &ImageGrid,
        kernel: &Kernel,
        padding: f64,
        (max_u, max_v): (f64, f64),
    ) -> Self {
        let reach = kernel.support().div_ceil(2);
        // Half a tile must hold half a footprint and the drift over a group of channels.
        let tile = (2 * (reach + 1 + MIN_DRIFT)).next_multiple_of(8);
        // Two tiles at least, so that a halo never wraps onto itself.
        let padded = |n: usize| good_size(((n as f64 * padding).ceil() as usize).max(2 * tile));
        let (nu, nv) = (padded(image.nx), padded(image.ny));
        let (scale_u, scale_v) = (nu as f64 * image.cell_x, nv as f64 * image.cell_y);
        let last_cell = ((max_u * scale_u).floor() as usize).min(nu / 2);
        let columns = (last_cell + reach + 2).min(nu / 2 + 1);
        let last_row = ((max_v * scale_v).floor() as usize).min(nv / 2) + reach + 2;
        let (first_row, band) =
            if last_row < nv / 2 { (nv / 2 - last_row, 2 * last_row + 1) } else { (0, nv) };
        Self {
            nu,
            nv,
            columns,
            first_row,
            band,
            tile,
            tiles_u: last_cell / tile + 1,
            tiles_v: nv.div_ceil(tile),
            scale_u,
            scale_v,
        }
    }

    /// Columns below u = 0 that gridding writes.
    pub fn halo(&self) -> usize {
        self.tile / 2
    }

    /// Columns that gridding writes: halo, tiles, halo.
    pub fn stored_columns(&self) -> usize {
        (self.tiles_u + 1) * self.tile
    }

    /// The row of the band that holds −v where row `j` of it holds v.
    pub fn opposite_row(&self, j: usize) -> usize {
        match self.band < self.nv {
            true => self.band - 1 - j,
            // Rows count from −nv/2, which is its own opposite.
            false => (self.nv - j) % self.nv,
        }
    }

    /// Cells that a sample may lie away from the cell its row is binned by.
    pub(super) fn drift(&self, kernel: &Kernel) -> f64 {
        (self.tile / 2 - kernel.support().div_ceil(2) - 1) as f64
    }

    /// Whether a row has samples on the grid, if its lowest frequency is ν/c = `inverse_wavelength`.
    pub(super) fn ever_holds(&self, uvw: [f64; 3], inverse_wavelength: f64) -> bool {
        // Less a rounding.
        self.holds_row(uvw, 0.999 * inverse_wavelength)
    }

    /// Whether the sample of a row (metres) at ν/c = `inverse_wavelength` lies on the grid.
    pub(super) fn holds_row(&self, [u, v, _]: [f64; 3], inverse_wavelength: f64) -> bool {
        self.holds(u * inverse_wavelength * self.scale_u, v * inverse_wavelength * self.scale_v)
    }

    /// Whether a sample at (u, v) cells lies on the grid; beyond, the image's cell undersamples it.
    pub fn holds(&self, u: f64, v: f64) -> bool {
        u.abs() < 0.5 * self.nu as f64 && v.abs() < 0.5 * self.nv as f64
    }
}

/// Least drift, cells, that tiles leave room for.
const MIN_DRIFT: usize = 2;

/// A length ≥ `n`, even, of factors 2, 3, 5, 7 only, that transforms well: the smallest, from 128 on the
/// smallest multiple of 8 whose factors 2 and 3 make up more than its factors 5 and 7. Others take up to twice as long
/// per point (1372 = 4·7³: 4.4 ns, 1440: 2.1 ns, rustfft on AVX2).
pub fn good_size(n: usize) -> usize {
    let without = |n: usize, factors: [usize; 2]| {
        factors.into_iter().fold(n, |mut rest, p| {
            while rest.is_multiple_of(p) {
                rest /= p;
            }
            rest
        })
    };
    let good = |&n: &usize| {
        let fives_and_sevens = without(n, [2, 3]);
        let large = n >= 128;
        without(fives_and_sevens, [5, 7]) == 1
            && (!large || n.is_multiple_of(8) && fives_and_sevens * fives_and_sevens <= n)
    };
    (n.max(2).next_multiple_of(2)..).step_by(2).find(good).expect("a power of 2 is one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_sizes() {
        for (n, good) in
            [(0, 2), (17, 18), (22, 24), (1023, 1024), (1025, 1080), (1371, 1440), (12_001, 12_096)]
        {
            assert_eq!(good_size(n), good);
        }
    }
}
