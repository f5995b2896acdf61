//! The primary beam of an antenna, as tclean's standard gridder has it.
//!
//! Power pattern of a uniformly lit dish of diameter D with a central blockage of diameter b, at
//! x = π·D·ν/c·sin θ (measured on tclean's `.pb` for the VLA, ALMA's 12 m and 7 m dishes and others;
//! it agrees within 5·10⁻⁴ everywhere):
//!
//! `P(θ) = [(q²·A(x) − A(q·x)) / (q² − 1)]²`, with `A(x) = 2·J₁(x)/x`, `q = D/b`.
//!
//! A physical blockage would scale its term's argument by 1/q, not q; tclean's form is kept, because
//! what a primary-beam correction must agree with is other people's images. Beyond the first
//! null the beam is 0, as in tclean.

use crate::{
    SPEED_OF_LIGHT,
    error::{Error, Result},
    geometry::{Direction, ImageGrid},
    mask::Mask,
};

/// Blockage relative to the diameter where tclean scales its default dish: 2.36 m of 25 m.
const DEFAULT_BLOCKAGE: f64 = 2.36 / 25.0;

/// Intervals of the radial table. Linear interpolation in x² then errs by less than 1e-6.
const TABLE_INTERVALS: usize = 1 << 14;

/// The primary beam of one kind of antenna.
#[derive(Clone, Debug)]
pub struct PrimaryBeam {
    /// Effective diameter of the dish, m.
    diameter_m: f64,
    /// Power over x², from 0 to the square of the first null.
    table: Vec<f32>,
    null_squared: f64,
}

impl PrimaryBeam {
    /// The beam of a telescope (OBSERVATION.TELESCOPE_NAME) with dishes of a diameter
    /// (ANTENNA.DISH_DIAMETER, m).
    ///
    /// ALMA's 12 m dishes count as 10.7 m and its 7 m dishes as 6.25 m, with 0.75 m blocked. Every
    /// other dish has its own diameter and the blockage of tclean's default. tclean knows measured beams of a few
    /// more telescopes (EVLA, SMA); those differ from this by up to 6 % of the peak.
    ///
    /// # Errors
    /// A diameter that is not a positive number.
    pub fn for_telescope(telescope: &str, dish_diameter_m: f64) -> Result<Self> {
        if !(dish_diameter_m > 0.0 && dish_diameter_m.is_finite()) {
            return Err(Error::data(
                "ANTENNA",
                "DISH_DIAMETER",
                format!("{dish_diameter_m} m is no diameter, so the primary beam is unknown"),
                "correct the column, or leave out products that need the primary beam",
            ));
        }
        let is = |diameter: f64| (dish_diameter_m - diameter).abs() < 0.1;
        let alma = telescope.to_ascii_uppercase().starts_with("ALMA")
            || telescope.eq_ignore_ascii_case("ACA");
        Ok(match alma {
            true if is(12.0) => Self::airy(10.7, 0.75),
            true if is(7.0) => Self::airy(6.25, 0.75),
            _ => Self::airy(dish_diameter_m, DEFAULT_BLOCKAGE * dish_diameter_m),
        })
    }

    fn airy(diameter_m: f64, blockage_m: f64) -> Self {
        let q = diameter_m / blockage_m;
        let voltage = |x: f64| (q * q * jinc(x) - jinc(q * x)) / (q * q - 1.0);
        // The null lies near J₁'s first zero, 3.83; the pattern falls monotonically from 3 to there.
        let (mut low, mut high) = (3.0, 4.5);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if voltage(middle) > 0.0 { low = middle } else { high = middle }
        }
        let null_squared = low * low;
        let table = (0..=TABLE_INTERVALS)
            .map(|i| {
                voltage((null_squared * i as f64 / TABLE_INTERVALS as f64).sqrt()).powi(2) as f32
            })
            .collect();
        Self { diameter_m, table, null_squared }
    }

    /// Power at `sin²θ` from the pointing, relative to its peak; 0 beyond the first null.
    pub fn power(&self, freq_hz: f64, sin2_theta: f64) -> f32 {
        self.at(self.table_scale(freq_hz) * sin2_theta)
    }

    /// Intervals of the table per `sin²θ`.
    fn table_scale(&self, freq_hz: f64) -> f64 {
        let scale = std::f64::consts::PI * self.diameter_m * freq_hz / SPEED_OF_LIGHT;
        scale * scale / self.null_squared * TABLE_INTERVALS as f64
    }

    /// Power at a position in the table.
    fn at(&self, position: f64) -> f32 {
        let index = position as usize;
        match self.table.get(index..index + 2) {
            Some(&[a, b]) => a + (b - a) * (position - index as f64) as f32,
            _ => 0.0,
        }
    }

    /// Position in the table beyond which the power, which falls all the way, is below `limit`.
    fn reach(&self, limit: f32) -> f64 {
        self.table.partition_point(|&power| power >= limit) as f64
    }

    /// The `.pb` plane of an image channel: `ny·nx` values, 0 where they are below |pblimit|.
    /// tclean evaluates it at the channel's own frequency.
    ///
    /// # Errors
    /// A pointing on the other side of the sky.
    pub fn plane(
        &self,
        grid: &ImageGrid,
        pointing: &Direction,
        freq_hz: f64,
        pblimit: f64,
    ) -> Result<Vec<f32>> {
        let mut plane = vec![0.0; grid.npix()];
        self.plane_into(&mut plane, grid, pointing, freq_hz, pblimit)?;
        Ok(plane)
    }

    /// The same, in place of what `plane` holds.
    ///
    /// # Errors
    /// As [`Self::plane`].
    pub fn plane_into(
        &self,
        plane: &mut Vec<f32>,
        grid: &ImageGrid,
        pointing: &Direction,
        freq_hz: f64,
        pblimit: f64,
    ) -> Result<()> {
        let rows = Rows::new(self, grid, pointing, freq_hz, pblimit)?;
        plane.resize(grid.npix(), 0.0);
        let mut positions = vec![0.0; rows.columns()];
        for y in rows.computed() {
            let row = &mut plane[y * grid.nx..][..grid.nx];
            rows.powers(y, &mut positions, row);
            if let Some(mirror) = rows.mirror(y) {
                plane.copy_within(y * grid.nx..(y + 1) * grid.nx, mirror * grid.nx);
            }
        }
        Ok(())
    }

    /// Where the `.pb` plane is not 0, as [`pb_mask`] of it.
    ///
    /// # Errors
    /// As [`Self::plane`].
    pub fn mask(
        &self,
        grid: &ImageGrid,
        pointing: &Direction,
        freq_hz: f64,
        pblimit: f64,
    ) -> Result<Mask> {
        let rows = Rows::new(self, grid, pointing, freq_hz, pblimit)?;
        let mut mask = Mask::new(grid.nx, grid.ny, false);
        let mut positions = vec![0.0; rows.columns()];
        let mut row = vec![0.0; grid.nx];
        for y in rows.computed() {
            if rows.mirrored {
                let columns = rows.not_zero(y);
                for y in [Some(y), rows.mirror(y)].into_iter().flatten() {
                    mask.fill_row(y, columns.clone());
                }
            } else {
                rows.powers(y, &mut positions, &mut row);
                mask.set_row(y, &row, |power| power > 0.0);
            }
        }
        Ok(mask)
    }
}

/// The rows of a `.pb` plane.
struct Rows<'a> {
    beam: &'a PrimaryBeam,
    grid: &'a ImageGrid,
    /// Direction cosines of the pointing, and its n − 1.
    centre: [f64; 3],
    /// Intervals of the table per `sin²θ`.
    scale: f64,
    limit: f32,
    /// Position in the table beyond which the power is below the limit.
    reach: f64,
    /// Around its middle the plane is its own mirror image: a quarter of it is computed. On it, the power rises
    /// along a row up to the middle.
    mirrored: bool,
}

impl<'a> Rows<'a> {
    fn new(
        beam: &'a PrimaryBeam,
        grid: &'a ImageGrid,
        pointing: &Direction,
        freq_hz: f64,
        pblimit: f64,
    ) -> Result<Self> {
        let Some((x0, y0)) = grid.sky_to_pixel(pointing) else {
            return Err(Error::parameter(
                "phasecenter",
                format!("{:?}", grid.phase_center),
                "lies more than 90° from where the antennas pointed",
                "choose a phase centre near the field",
            ));
        };
        let offset = [x0 - (grid.nx / 2) as f64, y0 - (grid.ny / 2) as f64];
        // A millionth of a pixel is rounding.
        let offset = offset.map(|d| if d.abs() < 1e-6 { 0.0 } else { d });
        let (l0, m0) = (-offset[0] * grid.cell_x, offset[1] * grid.cell_y);
        let limit = pblimit.abs() as f32;
        Ok(Self {
            beam,
            grid,
            centre: [l0, m0, n_minus_1(l0 * l0 + m0 * m0)],
            scale: beam.table_scale(freq_hz),
            limit,
            reach: beam.reach(limit),
            mirrored: offset == [0.0; 2],
        })
    }

    /// Columns to compute, from the first on.
    fn columns(&self) -> usize {
        if self.mirrored { self.grid.nx / 2 + 1 } else { self.grid.nx }
    }

    /// Rows to compute.
    fn computed(&self) -> std::ops::Range<usize> {
        0..if self.mirrored { self.grid.ny / 2 + 1 } else { self.grid.ny }
    }

    /// The row that has the values of row `y`, if it is not computed.
    fn mirror(&self, y: usize) -> Option<usize> {
        let middle = self.grid.ny / 2;
        let has_one = self.mirrored && y < middle && 2 * middle - y < self.grid.ny;
        has_one.then(|| 2 * middle - y)
    }

    /// Position in the table at a column of a row whose m and (m − m0)² are given; infinite beyond the horizon.
    fn position(&self, x: usize, m: f64, dm2: f64) -> f64 {
        let l = self.grid.l(x);
        let [l0, _, n0] = self.centre;
        // The chord between the two directions; NaN beyond the horizon.
        let chord2 = (l - l0).powi(2) + dm2 + (n_minus_1(l * l + m * m) - n0).powi(2);
        let sin2 = chord2 * (1.0 - 0.25 * chord2);
        if chord2 < 2.0 { self.scale * sin2 } else { f64::INFINITY }
    }

    fn m(&self, y: usize) -> (f64, f64) {
        let m = self.grid.m(y);
        (m, (m - self.centre[1]).powi(2))
    }

    /// Power at a position in the table, 0 where it is below the limit.
    fn power(&self, position: f64) -> f32 {
        let power = if position <= self.reach { self.beam.at(position) } else { 0.0 };
        if power >= self.limit { power } else { 0.0 }
    }

    /// The columns of row `y` of a mirrored plane that are not 0.
    fn not_zero(&self, y: usize) -> std::ops::Range<usize> {
        let (m, dm2) = self.m(y);
        let (mut low, mut high) = (0, self.columns());
        while low < high {
            let x = (low + high) / 2;
            let is_zero = self.power(self.position(x, m, dm2)) == 0.0;
            if is_zero { low = x + 1 } else { high = x }
        }
        let middle = self.grid.nx / 2;
        low..if low > middle { low } else { (2 * middle - low + 1).min(self.grid.nx) }
    }

    /// The values of row `y`; `positions`: room for those of the columns to compute.
    fn powers(&self, y: usize, positions: &mut [f64], row: &mut [f32]) {
        let (m, dm2) = self.m(y);
        let columns = if self.mirrored { self.not_zero(y) } else { 0..self.grid.nx };
        row[..columns.start].fill(0.0);
        row[columns.end..].fill(0.0);
        let computed = columns.start..columns.end.min(self.columns());
        // Apart from the look-up, so that it becomes vector instructions.
        for (x, position) in computed.clone().zip(&mut *positions) {
            *position = self.position(x, m, dm2);
        }
        for (value, &position) in row[computed.clone()].iter_mut().zip(&*positions) {
            *value = self.power(position);
        }
        for x in computed.end..columns.end {
            row[x] = row[2 * (self.grid.nx / 2) - x];
        }
    }
}

/// n − 1 of l² + m². Rounds at 1e-16, and is squared.
fn n_minus_1(l2_m2: f64) -> f64 {
    (1.0 - l2_m2).sqrt() - 1.0
}

/// 2·J₁(x)/x.
fn jinc(x: f64) -> f64 {
    if x.abs() < 1e-4 { 1.0 - x * x / 8.0 } else { 2.0 * libm::j1(x) / x }
}

/// Pixels where a `.pb` plane is not 0: those at or above |pblimit|. They are the good pixels of
/// `.image`, `.residual` and `.pb` when pblimit is positive, and always of `.image.pbcor`.
pub fn pb_mask(pb: &[f32], grid: &ImageGrid) -> Mask {
    Mask::from_values(grid.nx, grid.ny, pb, |value| value > 0.0)
}

/// `image / pb` where the beam is above |pblimit|, 0 elsewhere, in place of the image.
pub fn pbcor(image: &mut [f32], pb: &[f32]) {
    for (value, &power) in image.iter_mut().zip(pb) {
        *value = if power > 0.0 { *value / power } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::DirectionFrame;

    const ARCSEC: f64 = std::f64::consts::PI / 648_000.0;

    fn grid(n: usize, cell: f64) -> ImageGrid {
        let phase_center = Direction::new(1.0, -0.5, DirectionFrame::Icrs);
        ImageGrid { nx: n, ny: n, cell_x: cell * ARCSEC, cell_y: cell * ARCSEC, phase_center }
    }

    #[test]
    fn half_power_width_of_alma_and_the_vla() {
        // ALMA's handbook gives 1.13 λ/D for its 12 m dishes; measured on tclean's VLA .pb: half
        // power 21.48 arcmin·GHz from the centre.
        let half = |beam: &PrimaryBeam, freq: f64| {
            let (mut low, mut high) = (0.0, 0.02);
            for _ in 0..50 {
                let middle: f64 = 0.5 * (low + high);
                if beam.power(freq, middle.sin().powi(2)) > 0.5 {
                    low = middle
                } else {
                    high = middle
                }
            }
            low
        };
        let alma = PrimaryBeam::for_telescope("ALMA", 12.0).unwrap();
        let freq = 230.538e9;
        let ratio = 2.0 * half(&alma, freq) / (SPEED_OF_LIGHT / freq / 12.0);
        assert!((ratio - 1.17).abs() < 0.02, "{ratio}");
        let vla = PrimaryBeam::for_telescope("VLA", 25.0).unwrap();
        let arcmin_ghz = half(&vla, 1.4e9).to_degrees() * 60.0 * 1.4;
        assert!((arcmin_ghz / 21.48 - 1.0).abs() < 1e-3, "{arcmin_ghz}");
    }

    #[test]
    fn the_beam_follows_the_pointing() {
        let grid = grid(256, 0.5);
        let beam = PrimaryBeam::for_telescope("ALMA", 12.0).unwrap();
        let pointing = grid.pixel_to_sky(100.0, 150.0).unwrap();
        let plane = beam.plane(&grid, &pointing, 230e9, 0.1).unwrap();
        assert!((plane[150 * 256 + 100] - 1.0).abs() < 1e-6);
        assert!((plane[150 * 256 + 110] - plane[160 * 256 + 100]).abs() < 1e-5);
        let mask = pb_mask(&plane, &grid);
        assert!(mask.count() > 1000);
        assert!(mask.pixels().all(|i| plane[i] >= 0.1));
        let mut flat = plane.clone();
        pbcor(&mut flat, &plane);
        assert!(flat.iter().zip(&plane).all(|(&f, &p)| f == if p > 0.0 { 1.0 } else { 0.0 }));
    }

    /// An even and an odd side, limits from nothing blanked to nearly all; the pixels from their own powers.
    #[test]
    fn a_mirrored_plane_and_its_mask_are_those_of_every_pixel_alone() {
        let grid = ImageGrid { ny: 75, ..grid(64, 0.7) };
        let beam = PrimaryBeam::for_telescope("ALMA", 12.0).unwrap();
        for limit in [0.0, 0.2, 0.5, 0.999, 1.0] {
            let plane = beam.plane(&grid, &grid.phase_center, 230e9, limit).unwrap();
            for (i, &value) in plane.iter().enumerate() {
                let (l, m) = (grid.l(i % 64), grid.m(i / 64));
                let power = beam.power(230e9, l * l + m * m);
                // sin²θ = l² + m², which the chord's square rounds: 1e-16 of 1, where θ² is 1e-8.
                let expected = if f64::from(power) >= limit { power } else { 0.0 };
                assert!((value - expected).abs() < 1e-6, "{limit}: pixel {i} {value} {expected}");
            }
            let mask = beam.mask(&grid, &grid.phase_center, 230e9, limit).unwrap();
            assert!(mask == pb_mask(&plane, &grid), "{limit}");
        }
    }

    #[test]
    fn the_table_is_the_formula() {
        let beam = PrimaryBeam::airy(10.7, 0.75);
        let q = 10.7 / 0.75;
        for i in 1..3800 {
            let x = i as f64 * 1e-3;
            let sin = x / (std::f64::consts::PI * 10.7 * 1e11 / SPEED_OF_LIGHT);
            let exact = ((q * q * jinc(x) - jinc(q * x)) / (q * q - 1.0)).powi(2);
            assert!((f64::from(beam.power(1e11, sin * sin)) - exact).abs() < 1e-6);
        }
        assert_eq!(beam.power(1e11, 1.0), 0.0);
    }

    #[test]
    fn an_unknown_dish_is_an_error() {
        assert!(PrimaryBeam::for_telescope("ALMA", 0.0).is_err());
        assert!(PrimaryBeam::for_telescope("ALMA", f64::NAN).is_err());
    }
}
