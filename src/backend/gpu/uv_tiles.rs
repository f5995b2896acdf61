//! What the gridding stages need of one sort of the rows: their places on the grid, and lists of
//! tiles to work on, the same for every channel and every pass.

use super::{
    device::Allocation,
    factor::{turns_per_wavelength, w_scale},
    gpu::Gpu,
    shader::shared_struct,
};
use crate::{
    Result,
    gridding::{Bins, OperatorPlan, UvGrid},
};

shared_struct! {
    /// A row's place on the uv grid; see `shaders/shared/sample.wgsl`.
    Row {
        cell_u: i32,
        cell_v: i32,
        frac_u: f32,
        frac_v: f32,
        cell_w: i32,
        frac_w: f32,
        turns: f32,
        pad: u32,
    }
}

shared_struct! {
    /// A tile and its sorted rows, or its partial sums.
    Tile {
        u: u32,
        v: u32,
        first: u32,
        count: u32,
    }
}

/// Rows that one workgroup sums at most. A tile of more is split, so that the dense middle of the uv
/// plane does not keep one workgroup busy while the others wait.
const MOST_ROWS: usize = 1024;

/// Work items of a dispatch are folded over x and y: no device allows fewer than 65,535 along an axis.
pub(super) const FOLD: usize = 32768;

/// Work items in device memory, padded with empty ones to whole folds.
pub(super) struct TileList {
    pub(super) buffer: Allocation,
    /// Number of items.
    pub(super) len: usize,
    /// Rows or partial sums in them.
    pub(super) sum: usize,
}

impl TileList {
    fn new(gpu: &Gpu, mut items: Vec<Tile>) -> Result<Self> {
        let (len, sum) = (items.len(), items.iter().map(|t| t.count as usize).sum());
        if len > FOLD {
            items.resize(len.next_multiple_of(FOLD), Tile { u: 0, v: 0, first: 0, count: 0 });
        }
        Ok(Self { buffer: gpu.table("tiles", &items)?, len, sum })
    }

    /// Workgroups for `layers` layers.
    pub(super) fn workgroups(&self, layers: usize) -> [u32; 3] {
        fold(self.len, layers)
    }
}

/// Workgroups for `len` items of `layers` layers.
pub(super) fn fold(len: usize, layers: usize) -> [u32; 3] {
    [len.min(FOLD) as u32, len.div_ceil(FOLD) as u32, layers as u32]
}

/// Tiles of which no two touch the same cell.
pub(super) struct Phase {
    /// Tiles done by one workgroup each.
    pub(super) whole: TileList,
    /// Tiles whose parts are in [`TiledRows::parts`].
    pub(super) split: TileList,
}

/// One sort of the rows.
pub(super) struct TiledRows {
    pub(super) rows: Allocation,
    /// Parts of the overfull tiles.
    pub(super) parts: TileList,
    pub(super) phases: Vec<Phase>,
}

impl TiledRows {
    pub(super) fn new(gpu: &Gpu, plan: &OperatorPlan, bins: &Bins) -> Result<Self> {
        let grid = &plan.grid;
        let colours = colours(grid, bins);
        let count = colours.iter().copied().max().map_or(0, |c| 2 * (c + 1));
        let mut whole: Vec<Vec<Tile>> = vec![Vec::new(); count];
        let mut split = whole.clone();
        let mut parts = Vec::new();
        for (t, rows) in occupied(bins) {
            let (u, v) = (t / grid.tiles_v, t % grid.tiles_v);
            let phase = 2 * colours[v] + u % 2;
            let tile = |first: usize, count: usize| Tile {
                u: u as u32,
                v: v as u32,
                first: first as u32,
                count: count as u32,
            };
            if rows.len() <= MOST_ROWS {
                whole[phase].push(tile(rows.start, rows.len()));
                continue;
            }
            let number = rows.len().div_ceil(MOST_ROWS);
            split[phase].push(tile(parts.len(), number));
            let bound = |part: usize| rows.start + rows.len() * part / number;
            parts.extend((0..number).map(|i| tile(bound(i), bound(i + 1) - bound(i))));
        }
        let phases = whole.into_iter().zip(split).map(|(whole, split)| {
            Ok(Phase { whole: TileList::new(gpu, whole)?, split: TileList::new(gpu, split)? })
        });
        Ok(Self {
            rows: gpu.table("rows", &rows(plan, bins))?,
            phases: phases.collect::<Result<_>>()?,
            parts: TileList::new(gpu, parts)?,
        })
    }

    /// Elements that partial sums of a layer of `rows` rows can take at most: parts hold more than
    /// half of [`MOST_ROWS`].
    pub(super) fn most_partial_len(grid: &UvGrid, rows: usize) -> usize {
        rows.div_ceil(MOST_ROWS / 2) * (2 * grid.tile).pow(2)
    }

    /// Elements of the partial sums of one layer.
    pub(super) fn partial_len(&self, grid: &UvGrid) -> usize {
        self.parts.len * (2 * grid.tile).pow(2)
    }
}

/// Tiles that hold rows, with their sorted rows.
fn occupied(bins: &Bins) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> + '_ {
    bins.starts
        .windows(2)
        .enumerate()
        .map(|(t, w)| (t, w[0] as usize..w[1] as usize))
        .filter(|(_, rows)| !rows.is_empty())
}

/// A colour for each row of tiles, so that rows of equal colour share no cell. Two would do, did the
/// grid not wrap around along v; rows of tiles without data need none.
fn colours(grid: &UvGrid, bins: &Bins) -> Vec<usize> {
    let mut used = vec![false; grid.tiles_v];
    for (t, _) in occupied(bins) {
        used[t % grid.tiles_v] = true;
    }
    // The regions of two rows of tiles, each 2·tile cells on a circle of nv.
    let meet = |a: usize, b: usize| {
        let distance = a.abs_diff(b) * grid.tile;
        distance < 2 * grid.tile || grid.nv.saturating_sub(distance) < 2 * grid.tile
    };
    let mut colours = vec![0; grid.tiles_v];
    for v in 0..grid.tiles_v {
        if used[v] {
            let taken: Vec<usize> =
                (0..v).filter(|&o| used[o] && meet(o, v)).map(|o| colours[o]).collect();
            colours[v] = (0..).find(|c| !taken.contains(c)).unwrap_or(0);
        }
    }
    colours
}

/// Places of the sorted rows.
fn rows(plan: &OperatorPlan, bins: &Bins) -> Vec<Row> {
    let (w_scale, turns_per_wavelength) = (w_scale(plan), turns_per_wavelength(plan));
    let whole = |x: f64| (x.round() as i32, (x - x.round()) as f32);
    bins.cells(&plan.grid)
        .into_iter()
        .zip(&bins.uvw_m)
        .zip(&bins.slot)
        .map(|((cell, uvw), &slot)| {
            let w = uvw[2] * bins.inverse_wavelength[slot as usize];
            let (cell_w, frac_w) = whole(w * w_scale);
            let (_, turns) = whole(w * turns_per_wavelength);
            Row {
                cell_u: cell.u,
                cell_v: cell.v,
                frac_u: cell.frac_u,
                frac_v: cell.frac_v,
                cell_w,
                frac_w,
                turns,
                pad: 0,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        backend::gpu::tests::gpu,
        geometry::{Direction, DirectionFrame, ImageGrid},
        gridding::{OperatorOptions, Pointing},
        ms::{Rows, Slot},
    };

    /// A plan of some rows, and their bins.
    fn plan(npix: usize, rows: usize) -> (OperatorPlan, Arc<Bins>) {
        let phase_center = Direction { ra: 0.0, dec: 0.0, frame: DirectionFrame::Icrs };
        let image = ImageGrid { nx: npix, ny: npix, cell_x: 1e-5, cell_y: 1e-5, phase_center };
        // A spiral that fills the plane to its edges along v, denser in the middle.
        let radius = 0.499 / 1e-5;
        let uvw_m = (0..rows).map(|i| {
            let part = i as f64 / rows as f64;
            let (sin, cos) = (700.0 * part).sin_cos();
            [radius * part * part * cos, radius * part * part * sin, 0.0]
        });
        let rows = Rows {
            uvw_m: uvw_m.collect(),
            slot: vec![0; rows],
            slots: vec![Slot { time: 0.0, spw: 0, field: 0 }],
            ..Rows::default()
        };
        let pointing = Pointing { direction: phase_center };
        let c = crate::SPEED_OF_LIGHT;
        let options = OperatorOptions::default();
        let plan =
            OperatorPlan::new(&image, &rows.into(), (c, c), &[pointing], options).expect("a plan");
        let bins = plan.bins(&[c]).expect("bins");
        (plan, bins)
    }

    #[test]
    fn tiles_of_a_phase_share_no_cell_and_all_rows_are_in_one_tile() {
        // Whole numbers of tiles along v and others, few and many.
        for (npix, rows) in [(20, 3000), (33, 3000), (70, 5000), (150, 9000)] {
            let (plan, bins) = plan(npix, rows);
            let grid = &plan.grid;
            let colours = colours(grid, &bins);
            let used: Vec<(usize, usize)> =
                occupied(&bins).map(|(t, _)| (t / grid.tiles_v, t % grid.tiles_v)).collect();
            for &(u, v) in &used {
                for &(other_u, other_v) in used.iter().filter(|&&o| o != (u, v)) {
                    let same_phase = (u % 2, colours[v]) == (other_u % 2, colours[other_v]);
                    let columns = |u: usize| u * grid.tile..(u + 2) * grid.tile;
                    let cells =
                        |v: usize| (0..2 * grid.tile).map(move |i| (v * grid.tile + i) % grid.nv);
                    let meet = columns(u).any(|c| columns(other_u).contains(&c))
                        && cells(v).any(|c| cells(other_v).any(|o| o == c));
                    assert!(
                        !(same_phase && meet),
                        "({u}, {v}), ({other_u}, {other_v}) of {grid:?}"
                    );
                }
            }
            let tiled = TiledRows::new(&gpu(), &plan, &bins).unwrap();
            let whole: usize = tiled.phases.iter().map(|p| p.whole.sum).sum();
            assert_eq!(whole + tiled.parts.sum, rows);
            let parts: usize = tiled.phases.iter().map(|p| p.split.sum).sum();
            assert_eq!(parts, tiled.parts.len);
            assert!(tiled.partial_len(grid) <= TiledRows::most_partial_len(grid, rows));
            assert!(npix > 100 || tiled.parts.len > 1, "no tile of {npix} is overfull");
        }
    }
}
