//! `cubeclean` images CASA MeasurementSets into deconvolved spectral cubes, on any GPU (wgpu) or on
//! CPU cores (rayon), with tclean's parameters.
//!
//! The modules are listed in reading order; each may use those above it, never those below.
//! `run` holds the whole job from top to bottom.
//!
//! # Conventions
//!
//! Measurement equation, as CASA writes its data:
//! `V(u,v,w) = Σ I(l,m) · exp(+2πi·(u·l + v·m + w·(n−1)))`, `l` growing to the east, `m` to the
//! north, `n = √(1−l²−m²)`, uvw in wavelengths `uvw_m·ν/c`.
//!
//! A *plane* is one channel of one Stokes parameter: `ny × nx` values of `f32`, x fastest, x running
//! to the west (RA decreases with x). Angles are radians, frequencies Hz, flux densities Jy, times
//! UTC MJD seconds, unless a name says otherwise.

pub mod error;
#[cfg(target_os = "linux")]
pub mod recycling;
pub mod units;

pub(crate) mod positioned;
pub(crate) mod tables;

pub mod fourier;
pub mod geometry;
pub mod spectral;

pub mod ms;

pub mod gridding;
pub mod weighting;

pub mod beam;
pub mod mask;

pub mod backend;
pub mod pb;

pub mod clean;
pub mod cube;
pub mod restore;

pub mod config;
pub mod report;
pub mod run;

pub mod bench;

pub mod cli;

#[cfg(test)]
mod rooms;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

pub use error::{Error, Result};

/// Speed of light in vacuum, m/s (exact).
pub const SPEED_OF_LIGHT: f64 = 299_792_458.0;
