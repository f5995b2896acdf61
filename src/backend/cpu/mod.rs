//! The CPU backend: rayon over channels, tiles and rows.
//!
//! Work runs in the rayon pool of the caller (`ThreadPool::install`); results do not depend on its
//! number of threads.

mod clark;
mod correct;
mod degrid;
mod fft;
mod footprints;
mod grid;
mod grids;
mod hogbom;
mod multiscale;
mod operators;
mod planes;
mod real;
mod rows;
mod samples;
mod simd;
mod taps;

pub use grids::CpuGrids;
pub use planes::CpuPlanes;
pub use samples::CpuSamples;

/// The backend that computes on CPU cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuBackend;
