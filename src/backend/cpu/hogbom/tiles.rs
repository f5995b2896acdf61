//! Hogbom's residual in tiles that are brought up to date only when the next peak may lie in them.
//!
//! A component changes a pixel by no more than its flux times the PSF there. So for each tile a bound of its
//! largest |residual| follows from the largest |PSF| over it, which is looked up; components wait with the tile
//! until its bound reaches the peak of those tiles that are up to date. Then they are subtracted in the order
//! they were found in: each pixel sees the operations of the textbook loop, so that components are equal bit by
//! bit. What is far from all sources, where the PSF is small, is hardly ever touched.

use rayon::prelude::*;

use super::{LANES, NOTHING, Shift, Vectorised, larger, max_abs, vectorised};
use crate::{
    backend::Peak,
    mask::{Mask, Run},
};

/// Edge of a tile, pixels: its values fit a core's first cache.
const EDGE: usize = 32;

/// Steps, pixels, in which the largest |PSF| over a tile is known; a divisor of [`EDGE`].
const GRAIN: usize = 16;

/// What rounding to f32 of a product and a difference may add to a bound, relative, each.
const ROUNDED: f64 = 1.0 + f32::EPSILON as f64;

/// What it may add where they are subnormal: 2⁻¹⁴⁹, the least `f32`.
const TINY: f64 = f32::from_bits(1) as f64;

/// Tiles that are brought up to date one by one, the greatest bound first, before all are looked through.
const LIKELIEST: usize = 3;

/// The masked pixels of a residual.
pub(super) struct Tiles {
    nx: usize,
    ny: usize,
    psf: PsfBounds,
    /// Those with masked pixels, in the order of the plane.
    tiles: Vec<Tile>,
    /// For each tile, [`Tile::at`]: kept, as each component is held against each.
    at: Vec<[u32; 2]>,
    /// For each tile, what none of its |values| exceeds.
    bounds: Vec<f64>,
    /// All components so far.
    components: Vec<Shift>,
    /// The tiles that have all of them.
    updated: Vec<usize>,
}

/// The masked pixels of one tile.
struct Tile {
    runs: Vec<Run>,
    /// Of the runs, one after another.
    values: Vec<f32>,
    /// Components that have been subtracted.
    done: usize,
    /// The largest |value| then.
    peak: f32,
}

impl Tiles {
    /// Of a plane's pixels in a mask.
    pub(super) fn gather(plane: &[f32], mask: &Mask, psf: &[f32]) -> Self {
        let (nx, ny) = (mask.nx(), mask.ny());
        let columns = nx.div_ceil(EDGE);
        let bands: Vec<usize> = (0..ny.div_ceil(EDGE)).collect();
        let of_band = |&band: &usize| {
            let mut tiles: Vec<Tile> = (0..columns).map(|_| Tile::new()).collect();
            for run in (band * EDGE..ny.min((band + 1) * EDGE)).flat_map(|y| mask.runs_of(y)) {
                for (column, run) in cut(run) {
                    tiles[column].push(run, &plane[run.y * nx + run.x..][..run.len]);
                }
            }
            tiles.retain(|tile| !tile.runs.is_empty());
            tiles.iter_mut().for_each(|tile| tile.peak = max_abs(&tile.values));
            tiles
        };
        let tiles: Vec<Tile> = bands.par_iter().map(of_band).flatten_iter().collect();
        let at = tiles.iter().map(Tile::at).collect();
        let bounds = tiles.iter().map(|tile| f64::from(tile.peak)).collect();
        let psf = PsfBounds::new(psf, nx, ny);
        Self { nx, ny, psf, tiles, at, bounds, components: Vec::new(), updated: Vec::new() }
    }

    /// Takes a component off, and gives the peak that is left, as the textbook loop finds it.
    pub(super) fn subtract(&mut self, psf: &[f32], pixel: usize, flux: f32) -> Option<Peak> {
        let shift = Shift::new(self.nx, self.ny, pixel, flux);
        self.psf.add_to(&mut self.bounds, &self.at, &shift);
        self.components.push(shift);
        self.updated.clear();
        self.peak(psf)
    }

    /// The largest |value|, and the first of the plane among equals.
    fn peak(&mut self, psf: &[f32]) -> Option<Peak> {
        // The tiles that are likeliest to have it first, so that few others can have more: at first that of the last
        // component, whose peak has become less.
        let mut most = NOTHING;
        for _ in 0..LIKELIEST {
            let i = vectorised(Greatest(&self.bounds))?;
            if self.tiles[i].done == self.components.len() {
                break;
            }
            most = larger(most, self.update(i, psf));
        }
        for i in 0..self.tiles.len() {
            // Equal ones too, as theirs may be the first; and where f32 may have overflown.
            if self.bounds[i] >= f64::from(most) || self.bounds[i] >= f64::from(f32::MAX) {
                most = larger(most, self.update(i, psf));
            }
        }
        self.updated
            .iter()
            .map(|&i| &self.tiles[i])
            .filter(|tile| tile.peak == most)
            .filter_map(|tile| tile.first(self.nx))
            .min_by_key(|p| p.pixel)
    }

    /// Subtracts from a tile what waits for it; its peak.
    fn update(&mut self, i: usize, psf: &[f32]) -> f32 {
        let tile = &mut self.tiles[i];
        if tile.done < self.components.len() {
            tile.subtract((self.nx, self.ny), &self.components[tile.done..], psf);
            tile.done = self.components.len();
            self.updated.push(i);
        }
        self.bounds[i] = f64::from(tile.peak);
        tile.peak
    }

    /// Brings all tiles up to date, and back into the plane.
    pub(super) fn scatter(mut self, plane: &mut [f32], psf: &[f32]) {
        let (size, components) = ((self.nx, self.ny), &self.components);
        let update = |tile: &mut Tile| tile.subtract(size, &components[tile.done..], psf);
        self.tiles.par_iter_mut().for_each(update);
        for tile in &self.tiles {
            let mut values = &tile.values[..];
            for run in &tile.runs {
                let (of_run, rest) = values.split_at(run.len);
                plane[run.y * self.nx + run.x..][..run.len].copy_from_slice(of_run);
                values = rest;
            }
        }
    }
}

impl Tile {
    fn new() -> Self {
        Self { runs: Vec::new(), values: Vec::new(), done: 0, peak: NOTHING }
    }

    /// Column and row among all tiles, of one that has pixels.
    fn at(&self) -> [u32; 2] {
        self.runs.first().map_or([0; 2], |run| [run.x, run.y].map(|i| (i / EDGE) as u32))
    }

    fn push(&mut self, run: Run, values: &[f32]) {
        self.runs.push(run);
        self.values.extend_from_slice(values);
    }

    /// Subtracts components, in their order from each pixel, and finds the peak.
    fn subtract(&mut self, (nx, ny): (usize, usize), components: &[Shift], psf: &[f32]) {
        let (runs, values) = (&self.runs[..], &mut self.values[..]);
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else { return };
        let x = first.x / EDGE * EDGE;
        let (x, y) = ([x, x + EDGE], [first.y, last.y + 1]);
        let reach = |shift: &Shift| Reach::of(shift, (nx, ny), x, y);
        for some in components.chunk_by(|a, b| reach(a) == reach(b)) {
            let reach = some.first().map_or(Reach::None, reach);
            vectorised(Subtract { reach, runs, values, components: some, psf });
        }
        self.peak = max_abs(values);
    }

    /// The first pixel whose |value| is the tile's peak.
    fn first(&self, nx: usize) -> Option<Peak> {
        let at = self.values.iter().position(|v| v.abs() == self.peak)?;
        let mut before = 0;
        let run = self.runs.iter().find(|run| {
            let is_here = at < before + run.len;
            before += if is_here { 0 } else { run.len };
            is_here
        })?;
        Some(Peak { pixel: run.y * nx + run.x + at - before, value: self.values[at] })
    }
}

/// What of a tile has a component's PSF.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    All,
    Some,
    None,
}

impl Reach {
    /// In pixels x\[0\]..x\[1\] and y\[0\]..y\[1\], of planes of nx × ny.
    fn of(shift: &Shift, (nx, ny): (usize, usize), x: [usize; 2], y: [usize; 2]) -> Self {
        let [x, y] = [x.map(|x| x as isize + shift.dx), y.map(|y| y as isize + shift.dy)];
        let (nx, ny) = (nx as isize, ny as isize);
        if x[0] >= 0 && x[1] <= nx && y[0] >= 0 && y[1] <= ny {
            Self::All
        } else if x[1] <= 0 || x[0] >= nx || y[1] <= 0 || y[0] >= ny {
            Self::None
        } else {
            Self::Some
        }
    }
}

/// Components, all of one reach, to be subtracted from a tile's values.
struct Subtract<'a> {
    reach: Reach,
    runs: &'a [Run],
    values: &'a mut [f32],
    components: &'a [Shift],
    psf: &'a [f32],
}

impl Vectorised for Subtract<'_> {
    type Output = ();

    #[inline(always)] // so that it is compiled for the caller's vector instructions
    fn run(self) {
        let Self { reach, runs, mut values, components, psf } = self;
        if reach == Reach::None {
            return;
        }
        for run in runs {
            let (of_run, rest) = values.split_at_mut(run.len);
            match <&mut [f32; EDGE]>::try_from(&mut *of_run) {
                Ok(whole) if reach == Reach::All => subtract_whole(whole, run, components, psf),
                _ => {
                    for shift in components {
                        if let Some((first, count, at)) = shift.overlap(run) {
                            subtract(&mut of_run[first..], &psf[at..at + count], shift.flux);
                        }
                    }
                }
            }
            values = rest;
        }
    }
}

/// The first index of the greatest of some bounds.
struct Greatest<'a>(&'a [f64]);

impl Vectorised for Greatest<'_> {
    type Output = Option<usize>;

    #[inline(always)]
    fn run(self) -> Option<usize> {
        let mut lanes = [f64::NEG_INFINITY; LANES];
        let (blocks, rest) = self.0.as_chunks::<LANES>();
        for block in blocks {
            for (lane, &bound) in lanes.iter_mut().zip(block) {
                *lane = if bound > *lane { bound } else { *lane };
            }
        }
        let most =
            lanes.iter().chain(rest).fold(f64::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        self.0.iter().position(|&bound| bound == most)
    }
}

/// Subtracts components that cover a run as wide as a tile, a part of it after another, which stays in registers.
#[inline(always)]
fn subtract_whole(values: &mut [f32; EDGE], run: &Run, components: &[Shift], psf: &[f32]) {
    const PART: usize = 32;
    for (i, part) in values.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
        let mut kept = *part;
        for shift in components {
            let at = shift.index(run.x + i * PART, run.y);
            let Ok(psf) = <&[f32; PART]>::try_from(&psf[at..at + PART]) else { continue };
            for (value, psf) in kept.iter_mut().zip(psf) {
                *value -= shift.flux * psf;
            }
        }
        *part = kept;
    }
}

/// `values −= flux·psf`, product and difference rounded one by one, as far as there is a PSF.
#[inline(always)]
fn subtract(values: &mut [f32], psf: &[f32], flux: f32) {
    for (value, psf) in values.iter_mut().zip(psf) {
        *value -= flux * psf;
    }
}

/// A run's pieces in columns of tiles.
fn cut(run: Run) -> impl Iterator<Item = (usize, Run)> {
    let end = run.x + run.len;
    (run.x / EDGE..end.div_ceil(EDGE)).map(move |column| {
        let x = run.x.max(column * EDGE);
        (column, Run { y: run.y, x, len: end.min((column + 1) * EDGE) - x })
    })
}

/// Blocks of [`GRAIN`] pixels that reach over a tile from wherever it begins within the first.
const WINDOW: usize = EDGE / GRAIN + 1;

/// The largest |PSF| over a tile for wherever it may lie.
struct PsfBounds {
    /// Windows along x: the last of a window's blocks is its number, or would be.
    columns: usize,
    rows: usize,
    /// `[row][column]`.
    values: Vec<f32>,
}

impl PsfBounds {
    fn new(psf: &[f32], nx: usize, ny: usize) -> Self {
        let of_blocks = |rows: &[f32]| {
            let mut largest = vec![0.0f32; nx.div_ceil(GRAIN)];
            for row in rows.chunks(nx) {
                for (out, block) in largest.iter_mut().zip(row.chunks(GRAIN)) {
                    *out = larger(*out, max_abs(block));
                }
            }
            windows(&largest, 1)
        };
        let by_rows: Vec<Vec<f32>> = psf.par_chunks(GRAIN * nx).map(of_blocks).collect();
        let columns = nx.div_ceil(GRAIN) + WINDOW - 1;
        let values = windows(&by_rows.concat(), columns);
        Self { columns, rows: ny.div_ceil(GRAIN) + WINDOW - 1, values }
    }

    /// Adds to tiles' bounds what a component may.
    fn add_to(&self, bounds: &mut [f64], tiles: &[[u32; 2]], shift: &Shift) {
        let flux = f64::from(shift.flux.abs()) * ROUNDED;
        // The window that begins with the block that the first pixel of tile 0 is in. Tiles are whole blocks.
        let window = |shift: isize| shift.div_euclid(GRAIN as isize) + WINDOW as isize - 1;
        let (x0, y0) = (window(shift.dx), window(shift.dy));
        let step = EDGE / GRAIN;
        for (bound, tile) in bounds.iter_mut().zip(tiles) {
            let x = x0 + (tile[0] as usize * step) as isize;
            let y = y0 + (tile[1] as usize * step) as isize;
            if (0..self.columns as isize).contains(&x) && (0..self.rows as isize).contains(&y) {
                let most = self.values[y as usize * self.columns + x as usize];
                *bound = match most.is_finite() {
                    true => (*bound + flux * f64::from(most) + TINY) * ROUNDED,
                    false => f64::INFINITY,
                };
            }
        }
    }
}

/// For rows of `len` values: the larger of each value and the WINDOW − 1 values before it, one by one, and as
/// many rows more at the end.
fn windows(rows: &[f32], len: usize) -> Vec<f32> {
    let count = rows.len() / len;
    let mut out = vec![0.0f32; (count + WINDOW - 1) * len];
    for (row, values) in rows.chunks_exact(len).enumerate() {
        for out in out[row * len..(row + WINDOW) * len].chunks_exact_mut(len) {
            for (out, &value) in out.iter_mut().zip(values) {
                *out = larger(*out, value);
            }
        }
    }
    out
}
