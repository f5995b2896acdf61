//! Stage `fft`: half uv grids ↔ images, only the columns that hold data and the rows that the image
//! needs.
//!
//! The adjoint direction folds the halo columns, transforms the columns along v in place, and then
//! takes each image row from across the columns, cropped on the way. The forward direction is the
//! same backwards. Columns and rows are transformed by our own shaders (`own`, `generate`) or by VkFFT
//! (`vkfft`), as [`FftLibrary`] says.

mod generate;
mod own;
#[cfg(feature = "vkfft")]
mod vkfft;

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

pub(super) use generate::Workgroup;
#[cfg(test)]
pub(super) use own::{ColumnsParams, RowsParams, transform_text};
#[cfg(all(test, feature = "vkfft"))]
pub(super) use vkfft::BandParams;

use super::{
    GpuGrids,
    batch::{self, Items},
    device::Device,
    gpu::Gpu,
    program::Program,
    shader::{Split, Variant, shared_struct},
};
use crate::{
    Error, Result,
    gridding::{OperatorPlan, UvGrid},
};

shared_struct! {
    /// The columns beyond those that are transformed; see `shaders/shared/halo.wgsl`.
    HaloParams {
        nu: u32,
        nv: u32,
        columns: u32,
        stored: u32,
        halo: u32,
    }
}

/// Whose Fourier transforms the GPU backend uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FftLibrary {
    /// Our own, on every device.
    #[default]
    Own,
    /// VkFFT, on Vulkan devices, where cubeclean was built with the feature `vkfft`.
    VkFft,
}

impl FftLibrary {
    /// Fails unless this library can be used on the device.
    pub(super) fn check(self, device: &Device) -> Result<()> {
        if self == Self::Own {
            return Ok(());
        }
        let problem = if !cfg!(feature = "vkfft") {
            "this cubeclean was built without the feature vkfft".to_owned()
        } else if device.info.backend != wgpu::Backend::Vulkan {
            format!("VkFFT runs on Vulkan devices, and this is one of {}", device.info.backend)
        } else {
            return Ok(());
        };
        Err(Error::Device {
            device: device.info.name.clone(),
            problem,
            remedy: "use the transform of cubeclean's own (FftLibrary::Own)".into(),
        })
    }
}

/// What the programs of a transform depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shape {
    nx: usize,
    ny: usize,
    nu: usize,
    nv: usize,
    columns: usize,
    stored: usize,
    halo: usize,
    grids: Split,
    images: Split,
}

impl Shape {
    fn new(plan: &OperatorPlan, grids: &GpuGrids) -> Self {
        let grid: &UvGrid = &plan.grid;
        Self {
            nx: plan.image.nx,
            ny: plan.image.ny,
            nu: grid.nu,
            nv: grid.nv,
            columns: grid.columns,
            stored: grid.stored_columns(),
            halo: grid.halo(),
            grids: grids.uv.split(),
            images: grids.images.split(),
        }
    }

    /// Bytes of the transformed columns of one grid.
    fn column_bytes(&self) -> u64 {
        8 * (self.columns * self.nv) as u64
    }
}

/// Transforms of both directions, and what comes before and after them.
pub(super) struct FftPlan {
    shape: Shape,
    fold: Arc<Program>,
    fill: Arc<Program>,
    transforms: Transforms,
}

enum Transforms {
    Own(own::Transforms),
    #[cfg(feature = "vkfft")]
    VkFft(vkfft::Transforms),
}

/// Plans made so far.
pub(super) struct FftPlans {
    library: FftLibrary,
    made: Mutex<HashMap<Shape, Arc<FftPlan>>>,
}

impl FftPlans {
    pub(super) fn new(library: FftLibrary) -> Self {
        Self { library, made: Mutex::default() }
    }

    /// Most bytes of device memory that a plan takes besides its tables.
    pub(super) fn overhead(&self) -> usize {
        match self.library {
            #[cfg(feature = "vkfft")]
            FftLibrary::VkFft => vkfft::MOST_BYTES,
            _ => 0,
        }
    }

    fn get(&self, gpu: &Gpu, shape: Shape) -> Result<Arc<FftPlan>> {
        let mut plans = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&shape) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(FftPlan::new(gpu, shape.clone(), self.library)?);
        plans.insert(shape, Arc::clone(&plan));
        Ok(plan)
    }
}

impl FftPlan {
    fn new(gpu: &Gpu, shape: Shape, library: FftLibrary) -> Result<Self> {
        let halo_program = |source| gpu.program(&Variant::new(source).split("grids", shape.grids));
        let transforms = match library {
            #[cfg(feature = "vkfft")]
            FftLibrary::VkFft => Transforms::VkFft(vkfft::Transforms::new(gpu, shape.clone())?),
            // Without the feature no device is opened for VkFFT.
            _ => Transforms::Own(own::Transforms::new(gpu, shape.clone())?),
        };
        Ok(Self {
            fold: halo_program("fft_fold")?,
            fill: halo_program("fft_fill")?,
            shape,
            transforms,
        })
    }

    /// Folds or fills halos: `rows` of threads along y for each of the grids.
    fn halos(
        &self,
        gpu: &Gpu,
        grids: &GpuGrids,
        n: usize,
        program: &Program,
        y: usize,
    ) -> Result<()> {
        let Shape { nu, nv, columns, stored, halo, .. } = self.shape;
        let params = gpu.uniform(&HaloParams {
            nu: nu as u32,
            nv: nv as u32,
            columns: columns as u32,
            stored: stored as u32,
            halo: halo as u32,
        })?;
        // Most columns have no mirror; the halos are read and their mirrors read and written.
        let traffic = 3 * 8 * (2 * halo * nv) as u64;
        for batch in firsts(gpu, grids, n, traffic)? {
            let table = gpu.table("items", &batch.items)?;
            let mut buffers = vec![&params.buffer];
            buffers.extend(grids.uv.slab(batch.slab));
            buffers.push(&table.buffer);
            let groups = [nv.div_ceil(256) as u32, y as u32, batch.items.len() as u32];
            gpu.dispatch(program, &buffers, groups, traffic * batch.items.len() as u64)?;
        }
        Ok(())
    }

    /// The columns along v, in place.
    fn columns(&self, gpu: &Gpu, grids: &GpuGrids, n: usize, adjoint: bool) -> Result<()> {
        match &self.transforms {
            Transforms::Own(own) => own.columns(gpu, grids, n, adjoint),
            #[cfg(feature = "vkfft")]
            Transforms::VkFft(vkfft) => vkfft.columns(gpu, grids, n, adjoint),
        }
    }

    /// Rows of the images from or to the columns; `adjoint` goes from grids to images.
    fn rows(&self, gpu: &Gpu, grids: &GpuGrids, n: usize, adjoint: bool) -> Result<()> {
        match &self.transforms {
            Transforms::Own(own) => own.rows(gpu, grids, n, adjoint),
            #[cfg(feature = "vkfft")]
            Transforms::VkFft(vkfft) => vkfft.rows(gpu, grids, n, adjoint),
        }
    }
}

/// First elements of grids 0..n, in dispatches.
fn firsts(gpu: &Gpu, grids: &GpuGrids, n: usize, traffic: u64) -> Result<Vec<Items<u32>>> {
    batch::items(&gpu.device, &grids.uv, 0..n, traffic, |first, _| first)
}

/// uv grids 0..n to images.
pub(super) fn adjoint(gpu: &Gpu, plan: &OperatorPlan, grids: &GpuGrids, n: usize) -> Result<()> {
    let fft = gpu.ffts.get(gpu, Shape::new(plan, grids))?;
    fft.halos(gpu, grids, n, &fft.fold, fft.shape.columns)?;
    fft.columns(gpu, grids, n, true)?;
    fft.rows(gpu, grids, n, true)
}

/// Images 0..n to uv grids, halos filled for degridding.
pub(super) fn forward(gpu: &Gpu, plan: &OperatorPlan, grids: &GpuGrids, n: usize) -> Result<()> {
    let fft = gpu.ffts.get(gpu, Shape::new(plan, grids))?;
    fft.rows(gpu, grids, n, false)?;
    fft.columns(gpu, grids, n, false)?;
    fft.halos(gpu, grids, n, &fft.fill, fft.shape.stored)
}
