//! The plan of an operator: everything that does not depend on the visibilities' values.

use std::sync::{Arc, OnceLock};

use super::{Bins, Kernel, Pass, UvGrid, WTerm};
use crate::{
    SPEED_OF_LIGHT,
    error::{Error, Result},
    geometry::{Direction, ImageGrid},
    ms::Rows,
};

/// How the w-term is treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WTermMode {
    /// Part of the operator, to the accuracy asked for.
    #[default]
    Exact,
    /// Left out, as tclean's 2-D gridding does.
    None,
}

/// What a user chooses of the operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OperatorOptions {
    /// Largest error of a dirty image anywhere in it, relative to its peak, against an exact DFT:
    /// [`OperatorOptions::TIGHTEST`] to 1e-2.
    pub accuracy: f64,
    /// Treatment of the w-term.
    pub wterm: WTermMode,
}

impl OperatorOptions {
    /// The smallest accuracy that can be asked for: planes and visibilities are f32.
    pub const TIGHTEST: f64 = 1e-6;
}

impl Default for OperatorOptions {
    fn default() -> Self {
        Self { accuracy: 1e-5, wterm: WTermMode::Exact }
    }
}

/// A direction that antennas pointed at, and the rows that belong to it. One for now; a mosaic has
/// several, each with its own phase gradient and beam.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointing {
    /// Where the antennas pointed.
    pub direction: Direction,
}

/// Floating-point type of grids and transforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Single.
    F32,
    /// Double.
    F64,
}

/// Kernel, padded grid, bins and w-term passes of one image grid and one set of rows.
///
/// It is made for the whole planned cube (`freq_range_hz`), also where a process images a part of
/// it, so that no result depends on batches.
///
/// With G the grid of `factor(pass, w)·sample` over all samples, folded to u ≥ 0,
/// `dirty(x, y) = Σ_pass screen(pass, x, y) · correction_x[x] · correction_y[y] ·
/// Re Σ_u Σ_j G[u][j]·exp(2πi(u·p/nu − j·q/nv))` with p = x − nx/2, q = y − ny/2 and grid row j.
#[derive(Debug)]
pub struct OperatorPlan {
    /// The image grid.
    pub image: ImageGrid,
    /// What was asked for.
    pub options: OperatorOptions,
    /// Precision that the accuracy needs.
    pub precision: Precision,
    /// The convolution function.
    pub kernel: Kernel,
    /// Estimate of the gridding's error relative to Σ weight·|visibility|, at the image's corners.
    pub kernel_error: f64,
    /// The padded uv grid.
    pub grid: UvGrid,
    /// 1/K̂(p/nu) for each image column x.
    pub correction_x: Vec<f64>,
    /// (−1)^q/K̂(q/nv) for each image row y: the sign belongs to grid rows that start at −nv/2.
    pub correction_y: Vec<f64>,
    /// What the w-term's passes have in common.
    pub wterm: WTerm,
    /// The grid → FFT → correct sequences whose sum is the operator.
    pub passes: Vec<Pass>,
    /// Lowest and highest observed frequency of the planned cube, Hz.
    pub freq_range_hz: (f64, f64),
    /// Rows that lie off the grid at the highest frequency (image cell too large for them); samples
    /// off the grid have no part in the image nor in sumwt.
    pub rows_off_grid: usize,
    rows: Arc<Rows>,
    groups: Groups,
}

/// Bins of the channels of one planned cube: groups of channels over which rows drift by no more
/// than tiles leave room for. They depend on the planned cube only, not on what is imaged of it; and
/// hardly on the cube: groups are counted from 1 Hz in steps of a power of two, so that a channel which
/// is imaged as part of a smaller cube is binned, and rounded, as in the larger one.
#[derive(Debug)]
struct Groups {
    /// ln of the ratio of neighbouring groups' frequencies.
    log_step: f64,
    /// Number, counted from 1 Hz, of the group that holds the lowest frequency.
    first: f64,
    /// Largest |u| or |v| of any sample, in cells.
    max_cell: f64,
    bins: Vec<OnceLock<Arc<Bins>>>,
}

impl OperatorPlan {
    /// Plans the operator for `rows` observed at `freq_range_hz` (lowest and highest observed
    /// frequency of any sample of the whole cube).
    ///
    /// # Errors
    /// An accuracy that cannot be reached, frequencies that are not positive, baselines that are not
    /// finite, more than one pointing.
    pub fn new(
        image: &ImageGrid,
        rows: &Arc<Rows>,
        freq_range_hz: (f64, f64),
        pointings: &[Pointing],
        options: OperatorOptions,
    ) -> Result<Self> {
        check(image, rows, freq_range_hz, pointings, options)?;
        let (lowest, highest) = inverse_wavelengths(freq_range_hz);
        let furthest = |axis: usize| {
            let metres = rows.uvw_m.iter().fold(0.0, |max: f64, uvw| max.max(uvw[axis].abs()));
            metres * highest
        };
        let (max_u, max_v) = (furthest(0), furthest(1));
        let precision =
            if options.accuracy >= F32_ACCURACY { Precision::F32 } else { Precision::F64 };
        let design = Design::cheapest(image, (max_u, max_v), rows.uvw_m.len(), precision, options)?;
        let Design { kernel, error, padding, grid, sample_cost } = design;
        // Rows off the grid have no part in the image, and their w no part in its cost.
        let on_grid = rows.uvw_m.iter().filter(|&&uvw| grid.ever_holds(uvw, lowest));
        let max_w = highest * on_grid.fold(0.0, |max: f64, uvw| max.max(uvw[2].abs()));
        let (wterm, terms) = match options.wterm {
            WTermMode::None => WTerm::flat(max_w),
            WTermMode::Exact => WTerm::exact(
                image,
                max_w,
                KERNEL_SHARE * options.accuracy,
                &kernel,
                0.5 / padding,
                sample_cost,
            ),
        };
        let max_cell = (max_u * grid.scale_u)
            .min(0.5 * grid.nu as f64)
            .max((max_v * grid.scale_v).min(0.5 * grid.nv as f64));
        let off_grid = |&&uvw: &&[f64; 3]| !grid.holds_row(uvw, highest);
        Ok(Self {
            image: image.clone(),
            options,
            precision,
            kernel_error: 2.0 * error,
            correction_x: corrections(&kernel, image.nx, grid.nu, false),
            correction_y: corrections(&kernel, image.ny, grid.nv, true),
            wterm,
            passes: terms.into_iter().map(|term| Pass { pointing: 0, term }).collect(),
            freq_range_hz,
            rows_off_grid: rows.uvw_m.iter().filter(off_grid).count(),
            rows: Arc::clone(rows),
            groups: Groups::new(freq_range_hz, max_cell, grid.drift(&kernel)),
            kernel,
            grid,
        })
    }

    /// The rows that the plan was made for.
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// Factors of samples of w wavelengths (of the rows as sorted, i.e. conjugated onto u ≥ 0) in
    /// `pass`; see [`WTerm::factors`].
    #[inline(always)] // so that it is compiled for the caller's vector instructions
    pub fn factors<const N: usize>(
        &self,
        pass: usize,
        w: &[f64; N],
    ) -> [num_complex::Complex64; N] {
        self.wterm.factors(&self.passes[pass].term, &self.kernel, w)
    }

    /// The least and the largest |w|, wavelengths, of samples that can have a part in `pass`.
    pub fn concerned(&self, pass: usize) -> (f64, f64) {
        self.wterm.concerned(&self.passes[pass].term, &self.kernel)
    }

    /// Screen of `pass` along image row `y` for x = 0..=nx/2; x and nx/2·2 − x are as far from the image's
    /// middle, and have the same.
    #[inline(always)] // so that it is compiled for the caller's vector instructions
    pub fn screen_west(&self, pass: usize, y: usize, out: &mut [f64]) {
        let m2 = self.image.m(y).powi(2);
        for (x, r2) in out.iter_mut().enumerate() {
            *r2 = self.image.l(x).powi(2) + m2;
        }
        self.wterm.screen(&self.passes[pass].term, out);
    }

    /// The bins of a layer whose samples were observed at `freq_hz` (one per slot, NaN where the
    /// slot has none): shared with other layers near in frequency, or the layer's own where its
    /// frequencies differ too much among themselves.
    ///
    /// # Errors
    /// A frequency outside the planned range.
    pub fn bins(&self, freq_hz: &[f64]) -> Result<Arc<Bins>> {
        let (low, high) = self.freq_range_hz;
        let seen = freq_hz.iter().copied().filter(|f| f.is_finite());
        let (least, most) =
            seen.fold((f64::INFINITY, 0.0), |(a, b): (f64, f64), f| (a.min(f), b.max(f)));
        if most > 0.0 && (least < low * (1.0 - FREQ_SLACK) || most > high * (1.0 + FREQ_SLACK)) {
            return Err(Error::parameter(
                "frequency range",
                format!("{low}..{high} Hz"),
                format!("does not hold the samples at {least}..{most} Hz"),
                "plan the operator for all observed frequencies of the cube",
            ));
        }
        let groups = &self.groups;
        let centre = if most > 0.0 { (least * most).sqrt() } else { low };
        let group = groups.of(centre);
        let group_freq = groups.freq_hz(group);
        let (lowest, _) = inverse_wavelengths(self.freq_range_hz);
        let spread = (most / group_freq - 1.0).max(1.0 - least / group_freq);
        if most == 0.0 || spread * groups.max_cell <= self.grid.drift(&self.kernel) {
            let bins = groups.bins[group].get_or_init(|| {
                let inverse_wavelength = group_freq / SPEED_OF_LIGHT;
                let slots = self.rows.slots.len();
                let own = vec![inverse_wavelength; slots];
                Arc::new(Bins::new(&self.rows, &self.grid, own, lowest))
            });
            return Ok(Arc::clone(bins));
        }
        let own = freq_hz
            .iter()
            .map(|&f| if f.is_finite() { f } else { group_freq } / SPEED_OF_LIGHT)
            .collect();
        Ok(Arc::new(Bins::new(&self.rows, &self.grid, own, lowest)))
    }
}

impl Groups {
    /// Groups over each of which no row drifts from its bin by more than `drift` cells.
    fn new((low, high): (f64, f64), max_cell: f64, drift: f64) -> Self {
        // Nine tenths, so that the Doppler shifts within one channel do not cost it its bins.
        let relative = 0.9 * drift / max_cell.max(1.0);
        let log_step = (2.0 * relative.ln_1p()).log2().floor().exp2();
        let first = (low.ln() / log_step).floor();
        let count = (high.ln() / log_step).floor() - first + 1.0;
        let bins = (0..count as usize).map(|_| OnceLock::new()).collect();
        Self { log_step, first, max_cell, bins }
    }

    /// The group of a frequency.
    fn of(&self, freq_hz: f64) -> usize {
        let group = (freq_hz.ln() / self.log_step).floor() - self.first;
        (group.max(0.0) as usize).min(self.bins.len() - 1)
    }

    /// Middle frequency of a group.
    fn freq_hz(&self, group: usize) -> f64 {
        ((self.first + group as f64 + 0.5) * self.log_step).exp()
    }
}

/// ν/c of the lowest and of the highest frequency, 1/m.
fn inverse_wavelengths((low, high): (f64, f64)) -> (f64, f64) {
    (low / SPEED_OF_LIGHT, high / SPEED_OF_LIGHT)
}

/// What the `n` pixels of an axis are multiplied by: 1/K̂, with the signs of a grid that starts in its middle if asked for.
fn corrections(kernel: &Kernel, n: usize, padded: usize, signs: bool) -> Vec<f64> {
    let of = |i: usize| {
        let offset = i as f64 - (n / 2) as f64;
        let odd = (i + n / 2) % 2 == 1;
        let c = 1.0 / kernel.transform(offset / padded as f64);
        if signs && odd { -c } else { c }
    };
    (0..n).map(of).collect()
}

/// Tolerated excess of samples' frequencies over the planned range: rounding of callers' arithmetic.
const FREQ_SLACK: f64 = 1e-9;

/// Accuracies from this on are kept by f32 grids and transforms.
const F32_ACCURACY: f64 = 5e-6;

/// The part of the asked accuracy that the kernel may use per axis, and the w-term's expansion: the
/// dirty peak may be a few times smaller than the sum of amplitudes that errors scale with.
const KERNEL_SHARE: f64 = 0.1;

/// Largest [`F32_ROUNDING`] after correction, at the corners, that leaves prediction the adjoint of
/// imaging to 1e-6 over an image, however loose the accuracy.
const ADJOINT_ROUNDING: f64 = 3e-5;

/// Rounding error of f32 transforms, relative to the image's typical value before correction.
const F32_ROUNDING: f64 = 3e-7;

/// Refuses what cannot be planned.
fn check(
    image: &ImageGrid,
    rows: &Rows,
    (low, high): (f64, f64),
    pointings: &[Pointing],
    options: OperatorOptions,
) -> Result<()> {
    let accuracy = options.accuracy;
    if !(OperatorOptions::TIGHTEST..=1e-2).contains(&accuracy) {
        return Err(Error::parameter(
            "gridding-accuracy",
            accuracy.to_string(),
            "is not between 1e-6 and 1e-2",
            "give a value in that range; the default is 1e-5",
        ));
    }
    if !(low > 0.0 && low <= high && high.is_finite()) {
        return Err(Error::parameter(
            "frequency range",
            format!("{low}..{high} Hz"),
            "is not a range of positive frequencies",
            "check SPECTRAL_WINDOW.CHAN_FREQ and the selected channels",
        ));
    }
    if image.nx == 0 || image.ny == 0 || !(image.cell_x > 0.0 && image.cell_y > 0.0) {
        return Err(Error::parameter(
            "imsize, cell",
            format!("{}x{}, {}x{} rad", image.nx, image.ny, image.cell_x, image.cell_y),
            "is not a grid of pixels",
            "give positive sizes",
        ));
    }
    if pointings.len() > 1 {
        return Err(Error::parameter(
            "gridder",
            format!("{} pointings", pointings.len()),
            "mosaics are not supported yet",
            "select one field",
        ));
    }
    if let Some(row) = rows.uvw_m.iter().position(|uvw| uvw.iter().any(|x| !x.is_finite())) {
        return Err(Error::parameter(
            "UVW",
            format!("{:?}", rows.uvw_m[row]),
            format!("row {row} of the selection has a baseline that is not finite"),
            "flag the row, or repair the column UVW",
        ));
    }
    Ok(())
}

/// A kernel, padding and grid, and what they cost.
struct Design {
    kernel: Kernel,
    /// Error of one axis at the image's edge.
    error: f64,
    padding: f64,
    grid: UvGrid,
    /// Cost of gridding all rows once relative to that of one transform.
    sample_cost: f64,
}

impl Design {
    /// The design that keeps the accuracy at the least cost of a pass.
    fn cheapest(
        image: &ImageGrid,
        longest: (f64, f64),
        rows: usize,
        precision: Precision,
        options: OperatorOptions,
    ) -> Result<Self> {
        let tolerance = KERNEL_SHARE * options.accuracy;
        [1.25, 1.35, 1.5, 1.65, 1.8, 2.0]
            .into_iter()
            .filter_map(|padding| {
                let (kernel, error) = Kernel::design(padding, tolerance)?;
                // The correction lifts the corners, and with them the rounding errors.
                let lift = kernel.transform(0.0) / kernel.transform(0.5 / padding);
                let too_rough = precision == Precision::F32
                    && F32_ROUNDING * lift * lift > options.accuracy.min(ADJOINT_ROUNDING);
                if too_rough && padding < 2.0 {
                    return None;
                }
                let grid = UvGrid::new(image, &kernel, padding, longest);
                // Relative costs, measured on one core: a tap's complex multiply-add, and a complex
                // FFT's per point and power of two.
                let taps = (kernel.support() * kernel.support()) as f64;
                let gridding = rows as f64 * (40.0 + taps);
                let fft = |count: f64, n: usize| 1.2 * count * n as f64 * (n as f64).log2();
                let transform = fft(grid.columns as f64, grid.nv)
                    + fft(0.5 * image.ny as f64, grid.nu)
                    + 2.0 * image.npix() as f64;
                let cost = gridding + transform;
                let sample_cost = gridding / transform;
                Some((cost, Self { kernel, error, padding, grid, sample_cost }))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, design)| design)
            .ok_or_else(|| {
                Error::parameter(
                    "gridding-accuracy",
                    options.accuracy.to_string(),
                    "cannot be reached by any kernel",
                    "give a larger value",
                )
            })
    }
}
