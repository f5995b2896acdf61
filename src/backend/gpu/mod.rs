//! The GPU backend: wgpu (Vulkan, Metal, DX12) and WGSL compute shaders.
//!
//! Reading order: [`adapter`] lists and chooses devices, `device` opens one and turns everything that
//! can go wrong on it into [`Error::Device`](crate::Error::Device), `buffer` lays planes and grids out
//! in memory, `recorder` collects commands and submits them in portions, `timestamps` has the device
//! time them, `readback` brings planes to the host, `shader` and `program` assemble and compile the WGSL
//! of `shaders/`; then the stages, one file each, under the names they have in the trait. `samples`,
//! `uv_tiles`, `kernel` and `factor` are what `grid` needs (visibilities, the rows' places and lists of uv
//! tiles, the convolution function and the w-term as the shaders have them), `tiles` are the masks of
//! `peak`, `hogbom` and `multiscale`, and `clark` is the stage `above`.
//!
//! Planes and grids stay on the device; only what [`PlaneStore::get`](super::PlaneStore::get) asks
//! for comes back. Every stage records its commands and returns; errors of the device surface at the
//! latest when a result is read.

pub mod adapter;

mod batch;
mod buffer;
mod clark;
mod correct;
mod device;
mod factor;
mod fft;
#[allow(clippy::module_inception)] // the type `Gpu` and no more
mod gpu;
mod grid;
mod gridder;
mod grids;
mod hogbom;
mod kernel;
mod memory;
mod minor;
mod multiscale;
mod peak;
mod planes;
mod program;
mod readback;
mod recorder;
mod samples;
mod shader;
mod tiles;
mod timestamps;
mod transform;
mod uv_tiles;

#[cfg(test)]
pub(crate) mod tests;

pub use adapter::{AdapterSummary, adapters};
pub use fft::FftLibrary;
pub use gpu::{Gpu, GpuOptions};
pub use grids::GpuGrids;
pub use memory::Capacity;
pub use planes::GpuPlanes;
pub use samples::GpuSamples;
