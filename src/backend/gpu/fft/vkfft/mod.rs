//! The transform by VkFFT.
//!
//! VkFFT transforms batches of adjacent lines in place: columns along v as complex, padded rows along
//! u as real lines. Neither stage works on the stacks themselves. VkFFT's descriptor sets name one
//! buffer, and may not change while commands that use them are recorded or run; so a band of lines
//! that fits a binding is copied into memory of our own, transformed and copied back. Rows are
//! transposed, padded and cropped on these ways.

mod raw;

use std::sync::Arc;

use wgpu::BufferUsages;

use super::Shape;
use crate::{
    Error, Result,
    backend::gpu::{
        GpuGrids,
        buffer::Stack,
        device::Allocation,
        gpu::Gpu,
        program::Program,
        shader::{Variant, shared_struct},
    },
};
use raw::{Application, Lines, Values};

/// Bytes of a band: enough lines to keep a GPU busy, few enough for its caches.
const BAND_BYTES: u64 = 32 << 20;

/// Bytes of a plan: the band, and what VkFFT allocates itself for lines that take it several passes,
/// twice a band in each of two applications.
pub(super) const MOST_BYTES: usize = 5 * BAND_BYTES as usize;

shared_struct! {
    /// A band of image rows; see `shaders/shared/vkfft.wgsl`.
    BandParams {
        nx: u32,
        ny: u32,
        nu: u32,
        nv: u32,
        columns: u32,
        first_column: u32,
        first_row: u32,
        rows: u32,
        all_rows: u32,
        grid: u32,
        image: u32,
    }
}

/// Edge of a tile, and threads along a line, of a workgroup; see the shaders.
const TILE: usize = 16;
const LINE: usize = 256;

/// The sign of the exponent, as VkFFT counts it.
const MINUS: i32 = -1;
const PLUS: i32 = 1;

/// Programs and VkFFT's applications, for both directions.
pub(super) struct Transforms {
    shape: Shape,
    // Applications use `work`, and so must be dropped before it.
    along_v: Application,
    along_u: Application,
    work: Allocation,
    /// Columns and rows in a band.
    band_columns: usize,
    band_rows: usize,
    pack: Arc<Program>,
    crop: Arc<Program>,
    pad: Arc<Program>,
    unpack: Arc<Program>,
}

/// Lines of a band, as equal as can be, if one of `line_bytes` fits at all.
fn band(lines: usize, line_bytes: u64, most_bytes: u64, most_lines: u32) -> Option<usize> {
    let most = (most_bytes / line_bytes).min(most_lines.into()) as usize;
    (most > 0).then(|| lines.div_ceil(lines.div_ceil(most)))
}

impl Transforms {
    pub(super) fn new(gpu: &Gpu, shape: Shape) -> Result<Self> {
        let device = &gpu.device;
        let most_bytes = BAND_BYTES.min(device.max_binding_bytes);
        let most_lines = device.limits.max_compute_workgroups_per_dimension;
        let (column_bytes, row_bytes) = (8 * shape.nv as u64, 8 * (shape.nu / 2 + 1) as u64);
        let lines = |lines, bytes| {
            band(lines, bytes, most_bytes, most_lines).ok_or_else(|| Error::Resources {
                resource: format!("storage for a line of VkFFT on {}", device.info.name),
                needed: format!("{bytes} bytes"),
                available: format!("{most_bytes} bytes"),
                remedy: "image fewer pixels, or use the transform of cubeclean's own".into(),
            })
        };
        let band_columns = lines(shape.columns, column_bytes)?;
        let band_rows = lines(shape.ny, row_bytes)?;
        let bytes = (band_columns as u64 * column_bytes).max(band_rows as u64 * row_bytes);
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        let work = device.allocate("VkFFT", bytes, usage, false)?;
        // wgpu sets to zero what it does not know to be written, and does not know what VkFFT writes.
        gpu.recorder.record(device, bytes, Vec::new(), |encoder| {
            encoder.clear_buffer(&work.buffer, 0, None);
        })?;
        let application = |values, length, count| {
            let lines = Lines { values, length, count };
            Application::new(device, &gpu.recorder, &work.buffer, lines)
        };
        let program = |source| {
            let variant = Variant::new(source).split("grids", shape.grids);
            gpu.program(&variant.split("images", shape.images))
        };
        Ok(Self {
            along_v: application(Values::Complex, shape.nv, band_columns)?,
            along_u: application(Values::Real, shape.nu, band_rows)?,
            band_columns,
            band_rows,
            pack: program("vkfft_pack")?,
            crop: program("vkfft_crop")?,
            pad: program("vkfft_pad")?,
            unpack: program("vkfft_unpack")?,
            work,
            shape,
        })
    }

    /// The columns along v, in place.
    pub(super) fn columns(
        &self,
        gpu: &Gpu,
        grids: &GpuGrids,
        n: usize,
        adjoint: bool,
    ) -> Result<()> {
        let (device, recorder, work) = (&gpu.device, &gpu.recorder, &self.work.buffer);
        let Shape { nv, columns, halo, .. } = self.shape;
        let exponent = if adjoint { MINUS } else { PLUS };
        for i in 0..n {
            grids.uv.check_index(device, i)?;
            for first in (0..columns).step_by(self.band_columns) {
                let end = columns.min(first + self.band_columns);
                let bytes = 8 * (halo + first) * nv..8 * (halo + end) * nv;
                grids.uv.copy_to(device, recorder, i, bytes.clone(), work)?;
                self.along_v.record(device, recorder, exponent)?;
                grids.uv.copy_from(device, recorder, i, bytes, work)?;
            }
        }
        Ok(())
    }

    /// Rows of the images from or to the columns; `adjoint` goes from grids to images.
    pub(super) fn rows(&self, gpu: &Gpu, grids: &GpuGrids, n: usize, adjoint: bool) -> Result<()> {
        let Shape { nx, ny, nu, nv, columns, halo, .. } = self.shape;
        for i in 0..n {
            grids.uv.check_index(&gpu.device, i)?;
            grids.images.check_index(&gpu.device, i)?;
            if !adjoint {
                // Rows off the image are zero.
                let bytes = 8 * halo * nv..8 * (halo + columns) * nv;
                grids.uv.clear_bytes(&gpu.device, &gpu.recorder, i, bytes)?;
            }
            let ((grid_slab, grid), (image_slab, image)) =
                (grids.uv.locate(i), grids.images.locate(i));
            for first in (0..ny).step_by(self.band_rows) {
                let rows = self.band_rows.min(ny - first);
                let params = gpu.uniform(&BandParams {
                    nx: nx as u32,
                    ny: ny as u32,
                    nu: nu as u32,
                    nv: nv as u32,
                    columns: columns as u32,
                    first_column: halo as u32,
                    first_row: first as u32,
                    rows: rows as u32,
                    all_rows: self.band_rows as u32,
                    grid,
                    image,
                })?;
                let dispatch = |program: &Program, stack: &Stack, slab, groups: [usize; 2]| {
                    let mut buffers = vec![&params.buffer, &self.work.buffer];
                    buffers.extend(stack.slab(slab));
                    let traffic = 8 * (rows * (columns + nu / 2)) as u64;
                    gpu.dispatch(
                        program,
                        &buffers,
                        [groups[0] as u32, groups[1] as u32, 1],
                        traffic,
                    )
                };
                let (packed, unpacked) = ((nu / 2 + 1).div_ceil(TILE), columns.div_ceil(TILE));
                let (uv, images) = (&grids.uv, &grids.images);
                if adjoint {
                    dispatch(&self.pack, uv, grid_slab, [packed, self.band_rows.div_ceil(TILE)])?;
                    self.along_u.record(&gpu.device, &gpu.recorder, PLUS)?;
                    dispatch(&self.crop, images, image_slab, [nx.div_ceil(LINE), rows])?;
                } else {
                    dispatch(&self.pad, images, image_slab, [nu.div_ceil(LINE), self.band_rows])?;
                    self.along_u.record(&gpu.device, &gpu.recorder, MINUS)?;
                    dispatch(&self.unpack, uv, grid_slab, [unpacked, rows.div_ceil(TILE)])?;
                }
            }
        }
        Ok(())
    }
}
