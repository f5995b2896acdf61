//! The CPU backend: rayon over channels, tiles and rows.
//!
//! Work runs in the rayon pool of the caller (`ThreadPool::install`); results do not depend on its
//! number of threads.

mod hogbom;
mod planes;

pub use planes::CpuPlanes;

/// The backend that computes on CPU cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuBackend;
