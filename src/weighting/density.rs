//! The density of weights on uv cells.

use rayon::prelude::*;

use super::{longest_uv, uv_wavelengths};
use crate::{
    geometry::ImageGrid,
    ms::{Layer, Rows, VisBlock},
};

/// How a position in cells becomes a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rounding {
    /// The cell whose centre is nearest: one cell lies about the origin.
    Nearest,
    /// Rounded down: the origin is where four cells meet.
    Down,
}

/// Cells of the image's (unpadded) uv grid: nx × ny of them, 1/(nx·cell_x) by 1/(ny·cell_y)
/// wavelengths each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cells {
    /// Cells per wavelength along u and v.
    per_wavelength: [f64; 2],
    /// Cells reach from −limit to +limit (the row and column without a conjugate is left out).
    limit: [i64; 2],
    rounding: Rounding,
}

impl Cells {
    pub fn new(image: &ImageGrid, rounding: Rounding) -> Self {
        let half = |n: usize| (n.saturating_sub(1) / 2) as i64;
        Self {
            per_wavelength: [image.nx as f64 * image.cell_x, image.ny as f64 * image.cell_y],
            limit: [half(image.nx), half(image.ny)],
            rounding,
        }
    }

    /// (u, v) in units of cells.
    pub fn position(&self, uv: &[f64; 2]) -> [f64; 2] {
        [uv[0] * self.per_wavelength[0], uv[1] * self.per_wavelength[1]]
    }

    /// The cell of (u, v) or that of its conjugate, whichever lies in the half plane v > 0 (or on
    /// its border, with u ≥ 0); `None` outside the grid. A sample and its conjugate have the same
    /// density, so half the plane is all that is kept. The flag says that both lie in this cell.
    fn folded(&self, uv: &[f64; 2]) -> Option<([i64; 2], bool)> {
        let position = self.position(uv);
        // Far outside i64 the cast saturates, and the limit refuses it.
        let (cell, conjugate) = match self.rounding {
            Rounding::Nearest => {
                let cell = position.map(|x| x.round() as i64);
                (cell, cell.map(|k| k.saturating_neg()))
            }
            Rounding::Down => {
                let cell = position.map(|x| x.floor() as i64);
                (cell, cell.map(|k| !k)) // −k−1
            }
        };
        let inside = |cell: &[i64; 2]| (0..2).all(|axis| cell[axis].abs() <= self.limit[axis]);
        if !inside(&cell) || !inside(&conjugate) {
            return None;
        }
        let upper = (cell[1], cell[0]) >= (conjugate[1], conjugate[0]);
        Some((if upper { cell } else { conjugate }, cell == conjugate))
    }
}

/// Sum of weights, conjugates included, in each cell of the upper half of the uv plane, as far as
/// baselines reach.
#[derive(Clone, Debug)]
pub(super) struct Density {
    cells: Cells,
    /// Cells run from −reach to +reach along u, and from 0 to reach along v.
    reach: [i64; 2],
    values: Vec<f64>,
}

impl Density {
    fn new(cells: Cells, longest_uv: [f64; 2]) -> Self {
        let reach = Self::reach(&cells, longest_uv);
        let values = vec![0.0; (2 * reach[0] + 1) as usize * (reach[1] + 1) as usize];
        Self { cells, reach, values }
    }

    fn reach(cells: &Cells, longest_uv: [f64; 2]) -> [i64; 2] {
        let reach = cells.position(&longest_uv);
        // One more for the rounding of either kind.
        std::array::from_fn(|axis| (reach[axis].ceil() as i64 + 1).min(cells.limit[axis]))
    }

    /// Bytes it takes for baselines up to the given length.
    pub fn bytes(cells: &Cells, longest_uv: [f64; 2]) -> usize {
        let reach = Self::reach(cells, longest_uv);
        (2 * reach[0] + 1) as usize * (reach[1] + 1) as usize * size_of::<f64>()
    }

    /// The density of one channel.
    pub fn of_layers(cells: Cells, rows: &Rows, layers: &[Layer]) -> Self {
        let highest = layers
            .iter()
            .flat_map(|layer| &layer.freq_hz)
            .fold(0.0f64, |highest, &hz| highest.max(hz)); // NaN is never the larger
        let mut density = Self::new(cells, longest_uv(rows, highest));
        for layer in layers {
            for row in 0..layer.weight.len() {
                if let Some((cell, weight)) = density.contribution(rows, layer, row) {
                    density.values[cell] += weight;
                }
            }
        }
        density
    }

    /// Index of the value that a sample adds to, and what it adds.
    fn contribution(&self, rows: &Rows, layer: &Layer, row: usize) -> Option<(usize, f64)> {
        let weight = f64::from(layer.weight[row]);
        if weight <= 0.0 {
            return None;
        }
        let (cell, both) = self.cells.folded(&uv_wavelengths(rows, layer, row))?;
        Some((self.index(&cell)?, if both { 2.0 * weight } else { weight }))
    }

    fn index(&self, cell: &[i64; 2]) -> Option<usize> {
        let [x, y] = *cell;
        let [reach_x, reach_y] = self.reach;
        let inside = (-reach_x..=reach_x).contains(&x) && (0..=reach_y).contains(&y);
        inside.then(|| (y * (2 * reach_x + 1) + x + reach_x) as usize)
    }

    /// Density of the cell of (u, v); 0 outside the grid.
    pub fn at(&self, uv: &[f64; 2]) -> f64 {
        let folded = self.cells.folded(uv);
        folded.and_then(|(cell, _)| self.index(&cell)).map_or(0.0, |index| self.values[index])
    }

    /// Σg² / Σg over the whole plane: the density that the mean sample finds in its cell.
    pub fn mean_of_samples(&self) -> f64 {
        // Each value stands for two cells, but for the one about the origin.
        let [reach_x, _] = self.reach;
        let (mut sum, mut squares) = (0.0, 0.0);
        for (index, g) in self.values.iter().enumerate() {
            let alone = self.cells.rounding == Rounding::Nearest && index as i64 == reach_x;
            let cells = if alone { 1.0 } else { 2.0 };
            sum += cells * g;
            squares += cells * g * g;
        }
        if sum > 0.0 { squares / sum } else { 0.0 }
    }
}

/// The density over all channels of a cube (`perchanweightdensity=False`).
#[derive(Clone, Debug)]
pub struct CubeDensity {
    density: Density,
}

impl CubeDensity {
    pub(super) fn new(cells: Cells, rows: &Rows, max_freq_hz: f64) -> Self {
        Self { density: Density::new(cells, longest_uv(rows, max_freq_hz)) }
    }

    pub(super) fn density(&self) -> &Density {
        &self.density
    }

    /// Adds the natural weights of a block. Blocks must come in the order of their channels; then
    /// the sums are taken in one order, whatever the number of threads and the size of the blocks.
    pub fn add(&mut self, block: &VisBlock) {
        // Cells are looked up in parallel, for as many layers at a time as there are threads; what
        // they hold is added in order.
        for layers in block.layers.chunks(rayon::current_num_threads()) {
            let found: Vec<Vec<(usize, f64)>> = layers
                .par_iter()
                .map(|layer| {
                    let samples = 0..layer.weight.len();
                    let find = |row| self.density.contribution(&block.rows, layer, row);
                    samples.filter_map(find).collect()
                })
                .collect();
            for (cell, weight) in found.into_iter().flatten() {
                self.density.values[cell] += weight;
            }
        }
    }
}
