//! The image's geometry: pixel grid, SIN projection, directions, and the rotation of baselines to
//! a phase centre.

use std::fmt;

use sofars::{
    pnp::bp00,
    vm::{a2af, a2tf, anp, c2s, s2c},
};

use crate::{
    error::{Error, Result},
    units,
};

/// A celestial reference frame a direction is given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum DirectionFrame {
    /// FK5, equinox and epoch J2000.
    J2000,
    /// International Celestial Reference System.
    Icrs,
}

impl fmt::Display for DirectionFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::J2000 => "J2000",
            Self::Icrs => "ICRS",
        })
    }
}

/// A direction on the sky.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Direction {
    /// Right ascension, rad.
    pub ra: f64,
    /// Declination, rad.
    pub dec: f64,
    /// The frame of both.
    pub frame: DirectionFrame,
}

type Vector = [f64; 3];
type Matrix = [[f64; 3]; 3];

fn dot(a: &Vector, b: &Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn times(m: &Matrix, v: &Vector) -> Vector {
    [dot(&m[0], v), dot(&m[1], v), dot(&m[2], v)]
}

fn transpose(m: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| m[j][i]))
}

/// Matrix that turns a vector in one frame to the other. Between ICRS and J2000 lies the frame
/// bias of IAU 2000 (23 mas), SOFA's `rb`.
fn frame_rotation(from: DirectionFrame, to: DirectionFrame) -> Matrix {
    use DirectionFrame::{Icrs, J2000};
    const J2000_EPOCH: f64 = 2_451_545.0;
    let bias = || bp00(J2000_EPOCH, 0.0).0;
    match (from, to) {
        (Icrs, J2000) => bias(),
        (J2000, Icrs) => transpose(&bias()),
        _ => [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    }
}

impl Direction {
    /// A direction from right ascension and declination in rad.
    pub fn new(ra: f64, dec: f64, frame: DirectionFrame) -> Self {
        Self { ra, dec, frame }
    }

    /// Unit vector towards it, in its own frame.
    pub fn unit_vector(&self) -> [f64; 3] {
        s2c(self.ra, self.dec)
    }

    /// The direction of a vector given in `frame`; right ascension in [0, 2π).
    pub fn from_vector(vector: &[f64; 3], frame: DirectionFrame) -> Self {
        let (ra, dec) = c2s(vector);
        Self { ra: anp(ra), dec, frame }
    }

    /// The same direction in another frame.
    pub fn to_frame(&self, frame: DirectionFrame) -> Self {
        if frame == self.frame {
            return *self;
        }
        Self::from_vector(&times(&frame_rotation(self.frame, frame), &self.unit_vector()), frame)
    }

    /// Angular separation, rad.
    pub fn separation(&self, other: &Self) -> f64 {
        let (a, b) = (self.unit_vector(), other.to_frame(self.frame).unit_vector());
        let cross =
            [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
        dot(&cross, &cross).sqrt().atan2(dot(&a, &b))
    }

    /// Reads a direction as tclean's `phasecenter` has it: an optional frame (J2000 where left out,
    /// or ICRS), right ascension and declination: "J2000 18h00m00.0s -30d00m00.0s",
    /// "ICRS 18:00:00 -30.00.00", "270.0deg -30deg".
    ///
    /// # Errors
    /// [`Error::Parameter`] for another frame, a coordinate that cannot be read, or one out of range.
    pub fn parse(parameter: &str, text: &str) -> Result<Self> {
        const EXAMPLE: &str = "write it like \"ICRS 18h00m00.0s -30d00m00.0s\"";
        let wrong =
            |problem: String, remedy: &str| Error::parameter(parameter, text, problem, remedy);
        let mut words: Vec<&str> =
            text.split([' ', '\t', ',']).filter(|word| !word.is_empty()).collect();
        let named = words.first().is_some_and(|w| w.starts_with(|c: char| c.is_ascii_alphabetic()));
        let frame = if named {
            match words.remove(0) {
                w if w.eq_ignore_ascii_case("J2000") => DirectionFrame::J2000,
                w if w.eq_ignore_ascii_case("ICRS") => DirectionFrame::Icrs,
                w => {
                    let problem = format!("direction frame {w} is not supported");
                    return Err(wrong(problem, "convert the direction to ICRS or J2000"));
                }
            }
        } else {
            DirectionFrame::J2000
        };
        let [ra_text, dec_text] = words[..] else {
            return Err(wrong("is not a right ascension and a declination".into(), EXAMPLE));
        };
        if dec_text.contains(':') {
            let problem = "a declination with colons means hours in CASA".into();
            return Err(wrong(
                problem,
                "write degrees with dots or letters: -30.00.00 or -30d00m00s",
            ));
        }
        let reread = |e: Error| match e {
            Error::Parameter { value, problem, .. } => {
                wrong(format!("{value}: {problem}"), EXAMPLE)
            }
            other => other,
        };
        let ra = units::angle(parameter, ra_text).map_err(reread)?;
        let dec = units::angle(parameter, dec_text).map_err(reread)?;
        if dec.abs() > std::f64::consts::FRAC_PI_2 * (1.0 + 1e-15) {
            let problem = format!("declination {:.3} deg is beyond a pole", dec.to_degrees());
            return Err(wrong(problem, EXAMPLE));
        }
        Ok(Self { ra: anp(ra), dec, frame })
    }
}

/// Frame and sexagesimal coordinates to 1e-8 s and 1e-7", which [`Direction::parse`] reads back.
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, [h, m, s, frac]) = a2tf(8, anp(self.ra));
        write!(f, "{} {h:02}h{m:02}m{s:02}.{frac:08}s ", self.frame)?;
        let (sign, [d, m, s, frac]) = a2af(7, self.dec);
        write!(f, "{sign}{d:02}d{m:02}m{s:02}.{frac:07}s")
    }
}

/// Axes (u, v, w) of baselines referred to `center`, as rows of a matrix in its frame: u points to
/// the east, v to the north, w to the centre.
fn uvw_axes(center: &Direction) -> Matrix {
    let (sin_ra, cos_ra) = center.ra.sin_cos();
    let (sin_dec, cos_dec) = center.dec.sin_cos();
    [
        [-sin_ra, cos_ra, 0.0],
        [-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec],
        [cos_dec * cos_ra, cos_dec * sin_ra, sin_dec],
    ]
}

/// Takes baselines from one phase centre to another.
///
/// With the baseline vector **b** = u·û + v·v̂ + w·ŝ₀, the measurement equation reads
/// `V = Σ I(s) exp(2πi·b·(s − ŝ₀)/λ)`. Referring it to ŝ₁ multiplies V by
/// `exp(2πi·b·(ŝ₀ − ŝ₁)/λ) = exp(−2πi·(w₁ − w₀)/λ)`, so the path difference is `w₁ − w₀`, and the new
/// (u, v, w) are the components of **b** along the axes of ŝ₁.
#[derive(Clone, Copy, Debug)]
pub struct PhaseCenterShift {
    rotation: Matrix,
    /// w-axis of the new centre minus that of the old one, in the old (u, v, w) axes. Kept as a
    /// difference: for centres close together it is much smaller than either.
    path: Vector,
}

impl PhaseCenterShift {
    /// The shift of baselines referred to `from` to the centre `to`; the frames may differ. `None`
    /// if both are the same direction in the same frame.
    pub fn new(from: &Direction, to: &Direction) -> Option<Self> {
        if from == to {
            return None;
        }
        let old = uvw_axes(from);
        let to_old_frame = frame_rotation(to.frame, from.frame);
        // Rows: the new axes in the frame of the old centre, then in the old (u, v, w) axes.
        let rotation = uvw_axes(to).map(|axis| times(&old, &times(&to_old_frame, &axis)));
        let [l, m, n] = rotation[2];
        // n − 1 = −(l² + m²)/(1 + n) keeps its digits where the two centres are close.
        let n_minus_1 = if n > 0.0 { -(l * l + m * m) / (1.0 + n) } else { n - 1.0 };
        Some(Self { rotation, path: [l, m, n_minus_1] })
    }

    /// The baseline referred to the new centre, and its path difference `w₁ − w₀`, both metres.
    pub fn apply(&self, uvw_m: &[f64; 3]) -> ([f64; 3], f64) {
        (times(&self.rotation, uvw_m), dot(&self.path, uvw_m))
    }
}

/// The pixel grid of every plane of a cube: orthographic (SIN) projection about the phase centre,
/// centre pixel `(nx/2, ny/2)` 0-based (integer division), RA decreasing with x.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ImageGrid {
    /// Pixels along x (right ascension).
    pub nx: usize,
    /// Pixels along y (declination).
    pub ny: usize,
    /// Pixel size along x, rad, positive.
    pub cell_x: f64,
    /// Pixel size along y, rad, positive.
    pub cell_y: f64,
    /// Direction of the centre pixel.
    pub phase_center: Direction,
}

impl ImageGrid {
    /// Pixels in a plane.
    pub fn npix(&self) -> usize {
        self.nx * self.ny
    }

    /// Direction cosine l (growing east) of pixel column `x`.
    pub fn l(&self, x: usize) -> f64 {
        -(x as f64 - (self.nx / 2) as f64) * self.cell_x
    }

    /// Direction cosine m (growing north) of pixel row `y`.
    pub fn m(&self, y: usize) -> f64 {
        (y as f64 - (self.ny / 2) as f64) * self.cell_y
    }

    /// Direction of the fractional pixel (x, y), 0-based, whole numbers at pixel centres, in the
    /// phase centre's frame. `None` where the plane's corner lies beyond the visible hemisphere.
    pub fn pixel_to_sky(&self, x: f64, y: f64) -> Option<Direction> {
        let l = -(x - (self.nx / 2) as f64) * self.cell_x;
        let m = (y - (self.ny / 2) as f64) * self.cell_y;
        let n = (1.0 - l * l - m * m).sqrt();
        if n.is_nan() {
            return None;
        }
        let axes = transpose(&uvw_axes(&self.phase_center));
        Some(Direction::from_vector(&times(&axes, &[l, m, n]), self.phase_center.frame))
    }

    /// Fractional pixel (x, y), 0-based, of a direction in any frame. `None` for a direction more
    /// than 90° from the phase centre.
    pub fn sky_to_pixel(&self, direction: &Direction) -> Option<(f64, f64)> {
        let vector = direction.to_frame(self.phase_center.frame).unit_vector();
        let [l, m, n] = times(&uvw_axes(&self.phase_center), &vector);
        let x = (self.nx / 2) as f64 - l / self.cell_x;
        let y = (self.ny / 2) as f64 + m / self.cell_y;
        (n > 0.0).then_some((x, y))
    }
}

#[cfg(test)]
mod tests;
