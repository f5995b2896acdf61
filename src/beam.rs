//! Elliptical Gaussian beams: fitting a PSF's main lobe, sidelobe level, the common beam of a cube.

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
