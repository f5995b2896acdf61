//! Elliptical Gaussian beams: their algebra, the fit to a PSF's main lobe, the common beam of a cube.

mod common;
mod fit;
mod outliers;

pub use common::common_beam;
pub use fit::{NoBeam, PSF_CUTOFF, fit_psf, sidelobe_level};
pub use outliers::beam_outliers;

use std::f64::consts::{FRAC_PI_2, LN_2, PI};

use crate::{
    error::{Error, Result},
    geometry::ImageGrid,
};

/// An elliptical Gaussian beam.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Beam {
    /// Full width at half maximum along the major axis, rad.
    pub major: f64,
    /// Full width at half maximum along the minor axis, rad.
    pub minor: f64,
    /// Position angle of the major axis, rad, from north through east, in (−π/2, π/2].
    pub pa: f64,
}

impl Beam {
    /// A beam given by a user (`restoringbeam`).
    ///
    /// # Errors
    /// Axes that are not positive, or a minor axis longer than the major one.
    pub fn new(major: f64, minor: f64, pa: f64) -> Result<Self> {
        if !(minor > 0.0 && major >= minor && major.is_finite() && pa.is_finite()) {
            let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
            return Err(Error::parameter(
                "restoringbeam",
                format!("{}arcsec, {}arcsec, {}deg", arcsec(major), arcsec(minor), pa.to_degrees()),
                "a beam needs major axis ≥ minor axis > 0",
                "give bmaj, bmin, bpa, as in '1.2arcsec, 0.9arcsec, 30deg'",
            ));
        }
        Ok(Self { major, minor, pa: normal_angle(pa) })
    }

    /// Solid angle of the beam, sr: `π/(4 ln 2) · major · minor`.
    pub fn solid_angle(&self) -> f64 {
        PI / (4.0 * LN_2) * self.major * self.minor
    }

    /// Solid angle of the beam in pixels of `grid`.
    pub fn pixels(&self, grid: &ImageGrid) -> f64 {
        self.solid_angle() / (grid.cell_x * grid.cell_y)
    }

    /// The beam convolved with another: their squared widths, as quadratic forms, add.
    pub fn convolve(&self, other: &Beam) -> Beam {
        let (a, b) = (self.shape(), other.shape());
        let sum = Shape { ll: a.ll + b.ll, lm: a.lm + b.lm, mm: a.mm + b.mm };
        sum.beam().unwrap_or(*self)
    }

    /// The Gaussian that convolves `other` to this beam; `None` if `other` is nowhere narrower, or
    /// only along one axis: there is no such Gaussian then.
    pub fn deconvolve(&self, other: &Beam) -> Option<Beam> {
        let (a, b) = (self.shape(), other.shape());
        Shape { ll: a.ll - b.ll, lm: a.lm - b.lm, mm: a.mm - b.mm }.beam()
    }

    /// The beam as a quadratic form.
    pub(crate) fn shape(&self) -> Shape {
        let (sin, cos) = self.pa.sin_cos();
        let (major2, minor2) = (self.major * self.major, self.minor * self.minor);
        Shape {
            ll: major2 * sin * sin + minor2 * cos * cos,
            lm: (major2 - minor2) * sin * cos,
            mm: major2 * cos * cos + minor2 * sin * sin,
        }
    }
}

/// A beam as the matrix of its squared widths over (l, m), rad²: the covariance of the Gaussian times
/// 8 ln 2. Under convolution these add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    pub ll: f64,
    pub lm: f64,
    pub mm: f64,
}

impl Shape {
    /// The beam of a positive definite shape.
    pub fn beam(&self) -> Option<Beam> {
        let mean = 0.5 * (self.ll + self.mm);
        let half_difference = 0.5 * (self.mm - self.ll);
        let spread = half_difference.hypot(self.lm);
        let (major2, minor2) = (mean + spread, mean - spread);
        // The major axis points to (sin pa, cos pa) in (l, m).
        let pa = 0.5 * self.lm.atan2(half_difference);
        (minor2 > 0.0 && major2.is_finite()).then(|| Beam {
            major: major2.sqrt(),
            minor: minor2.sqrt(),
            pa: normal_angle(pa),
        })
    }

    /// `l² p_ll + 2 l m p_lm + m² p_mm` with p the inverse: 1 on the ellipse of the half widths doubled.
    pub fn inverse(&self) -> Shape {
        let determinant = self.determinant();
        Shape { ll: self.mm / determinant, lm: -self.lm / determinant, mm: self.ll / determinant }
    }

    pub fn determinant(&self) -> f64 {
        self.ll * self.mm - self.lm * self.lm
    }

    /// The quadratic form at (l, m).
    pub fn at(&self, l: f64, m: f64) -> f64 {
        self.ll * l * l + 2.0 * self.lm * l * m + self.mm * m * m
    }
}

/// A position angle brought to (−π/2, π/2].
fn normal_angle(pa: f64) -> f64 {
    let turned = pa.rem_euclid(PI);
    if turned > FRAC_PI_2 { turned - PI } else { turned }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beam(major: f64, minor: f64, pa_deg: f64) -> Beam {
        Beam::new(major, minor, pa_deg.to_radians()).unwrap()
    }

    #[test]
    fn shape_and_back() {
        for pa in [-89.0, -45.0, 0.0, 30.0, 90.0] {
            let b = beam(3e-6, 1e-6, pa);
            let back = b.shape().beam().unwrap();
            assert!((back.major / b.major - 1.0).abs() < 1e-12);
            assert!((back.minor / b.minor - 1.0).abs() < 1e-12);
            assert!((back.pa - b.pa).abs() < 1e-12, "{pa}");
        }
    }

    #[test]
    fn deconvolution_undoes_convolution() {
        let (a, b) = (beam(2.0, 1.0, 20.0), beam(1.5, 0.5, -70.0));
        let c = a.convolve(&b);
        let back = c.deconvolve(&a).unwrap();
        assert!((back.major - b.major).abs() < 1e-12 && (back.minor - b.minor).abs() < 1e-12);
        assert!((back.pa - b.pa).abs() < 1e-12);
        assert!(a.deconvolve(&c).is_none());
        // Wider along one axis only.
        assert!(beam(3.0, 1.0, 0.0).deconvolve(&beam(2.0, 1.5, 0.0)).is_none());
    }

    #[test]
    fn circles_convolve_by_pythagoras() {
        let c = beam(3.0, 3.0, 0.0).convolve(&beam(4.0, 4.0, 0.0));
        assert!((c.major - 5.0).abs() < 1e-12 && (c.minor - 5.0).abs() < 1e-12);
    }

    #[test]
    fn bad_beams_are_refused() {
        assert!(Beam::new(1.0, 2.0, 0.0).is_err());
        assert!(Beam::new(1.0, 0.0, 0.0).is_err());
        assert!(Beam::new(f64::NAN, 1.0, 0.0).is_err());
        assert_eq!(Beam::new(1.0, 1.0, PI).unwrap().pa, 0.0);
    }
}
