//! The transform of our own.
//!
//! Nothing is transposed or reordered in memory: where nv exceeds one workgroup the columns are
//! transformed in two passes (four-step method: nv = n1·n2, row n2·i1 + i2), which leave row k1 + n1·k2
//! at k1·n2 + k2, and the rows' transform looks there.

use std::{f64::consts::PI, sync::Arc};

#[cfg(test)]
use super::Workgroup;
use super::{
    Shape, firsts,
    generate::{Finish, Sign, transform},
};
use crate::{
    Error, Result,
    backend::gpu::{
        GpuGrids, batch,
        device::Allocation,
        gpu::Gpu,
        program::Program,
        shader::{Variant, shared_struct},
    },
};

shared_struct! {
    /// One pass along v; see `shaders/fft_columns.wgsl`.
    ColumnsParams {
        nv: u32,
        ny: u32,
        first_column: u32,
        line_stride: u32,
        element_stride: u32,
        line_row: u32,
        element_row: u32,
        cropped: u32,
        turned: u32,
        root_step: u32,
    }
}

shared_struct! {
    /// The transform along u; see `shaders/shared/fft_rows.wgsl`.
    RowsParams {
        nx: u32,
        ny: u32,
        nu: u32,
        nv: u32,
        columns: u32,
        first_column: u32,
        n1: u32,
        n2: u32,
    }
}

/// Text of the transform that `source` of the rows needs, or the columns' of the adjoint direction.
#[cfg(test)]
pub(in crate::backend::gpu) fn transform_text(
    source: &str,
    length: usize,
    workgroup: Workgroup,
) -> Option<String> {
    let finish = if source == "fft_rows_forward" { Finish::Pairs } else { Finish::Store };
    let sign = if source == "fft_rows_adjoint" { Sign::Plus } else { Sign::Minus };
    transform(length, sign, finish, workgroup)
}

/// One pass along v: `lines` transforms in each column.
struct ColumnsPass {
    program: Arc<Program>,
    lines: usize,
    params: ColumnsParams,
}

/// Programs and tables of both directions.
pub(super) struct Transforms {
    shape: Shape,
    columns_adjoint: Vec<ColumnsPass>,
    columns_forward: Vec<ColumnsPass>,
    rows_adjoint: Arc<Program>,
    rows_forward: Arc<Program>,
    rows: RowsParams,
    roots_u: Allocation,
    roots_v: Allocation,
}

/// Cosine and sine of 2πi/n, i = 0..n, rounded from f64.
pub(super) fn roots(n: usize) -> Vec<[f32; 2]> {
    let angle = |i: usize| 2.0 * PI * i as f64 / n as f64;
    (0..n).map(|i| [angle(i).cos() as f32, angle(i).sin() as f32]).collect()
}

/// nv as n1·n2: n1 = 1 if one workgroup can do it, else the two factors nearest to each other.
fn factors(nv: usize, longest: usize) -> Option<(usize, usize)> {
    if nv <= longest {
        return Some((1, nv));
    }
    let n1 = (1..=nv.isqrt()).rev().find(|n| nv.is_multiple_of(*n))?;
    (nv / n1 <= longest).then_some((n1, nv / n1))
}

impl Transforms {
    pub(super) fn new(gpu: &Gpu, shape: Shape) -> Result<Self> {
        let Shape { nx, ny, nu, nv, columns, halo, .. } = shape;
        let longest = gpu.workgroup.longest();
        let too_long = |n: usize, most: usize| Error::Resources {
            resource: format!("workgroup memory for a transform on {}", gpu.device.info.name),
            needed: format!("{n} grid cells"),
            available: format!("{most}"),
            remedy: "image fewer pixels, choose another --device, or --backend cpu".into(),
        };
        let (n1, n2) = factors(nv, longest).ok_or_else(|| too_long(nv, longest * longest))?;
        let text = |length, sign, finish| {
            transform(length, sign, finish, gpu.workgroup)
                .ok_or_else(|| too_long(2 * length, 2 * longest))
        };

        let rows_program = |source, sign, finish| {
            let variant = Variant::new(source)
                .split("grids", shape.grids)
                .split("images", shape.images)
                .insert("transform", text(nu / 2, sign, finish)?);
            gpu.program(&variant)
        };
        let columns_program = |length, sign| {
            let variant = Variant::new("fft_columns")
                .split("grids", shape.grids)
                .insert("transform", text(length, sign, Finish::Store)?);
            gpu.program(&variant)
        };
        let base = ColumnsParams {
            nv: nv as u32,
            ny: ny as u32,
            first_column: halo as u32,
            line_stride: 0,
            element_stride: 1,
            line_row: 0,
            element_row: 1,
            cropped: 0,
            turned: 0,
            root_step: 1,
        };
        // Across lines of n2: element i1 of line i2 at i1·n2 + i2; along lines: k2 of line k1.
        let (a, b) = (n1 as u32, n2 as u32);
        let across = ColumnsParams { line_stride: 1, element_stride: b, root_step: b, ..base };
        let along =
            ColumnsParams { line_stride: b, line_row: 1, element_row: a, root_step: a, ..base };
        let pass = |length, sign, lines, params| {
            Ok(ColumnsPass { program: columns_program(length, sign)?, lines, params })
        };
        let (columns_adjoint, columns_forward) = if n1 == 1 {
            let forward = ColumnsParams { cropped: 1, ..base };
            (vec![pass(nv, Sign::Minus, 1, base)?], vec![pass(nv, Sign::Plus, 1, forward)?])
        } else {
            let first_adjoint = ColumnsParams { turned: 1, ..across };
            let first_forward = ColumnsParams { turned: 1, cropped: 1, ..along };
            (
                vec![pass(n1, Sign::Minus, n2, first_adjoint)?, pass(n2, Sign::Minus, n1, along)?],
                vec![pass(n2, Sign::Plus, n1, first_forward)?, pass(n1, Sign::Plus, n2, across)?],
            )
        };
        Ok(Self {
            columns_adjoint,
            columns_forward,
            rows_adjoint: rows_program("fft_rows_adjoint", Sign::Plus, Finish::Store)?,
            rows_forward: rows_program("fft_rows_forward", Sign::Minus, Finish::Pairs)?,
            rows: RowsParams {
                nx: nx as u32,
                ny: ny as u32,
                nu: nu as u32,
                nv: nv as u32,
                columns: columns as u32,
                first_column: halo as u32,
                n1: a,
                n2: b,
            },
            roots_u: gpu.table("roots", &roots(nu))?,
            roots_v: gpu.table("roots", &roots(nv))?,
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
        let passes = if adjoint { &self.columns_adjoint } else { &self.columns_forward };
        let traffic = 2 * self.shape.column_bytes();
        for pass in passes {
            let params = gpu.uniform(&pass.params)?;
            for batch in firsts(gpu, grids, n, traffic)? {
                let table = gpu.table("items", &batch.items)?;
                let mut buffers = vec![&params.buffer, &self.roots_v.buffer];
                buffers.extend(grids.uv.slab(batch.slab));
                buffers.push(&table.buffer);
                let groups =
                    [self.shape.columns as u32, pass.lines as u32, batch.items.len() as u32];
                gpu.dispatch(&pass.program, &buffers, groups, traffic * batch.items.len() as u64)?;
            }
        }
        Ok(())
    }

    /// Rows of the images from or to the columns; `adjoint` goes from grids to images.
    pub(super) fn rows(&self, gpu: &Gpu, grids: &GpuGrids, n: usize, adjoint: bool) -> Result<()> {
        let (nx, ny) = (self.shape.nx, self.shape.ny);
        let traffic = self.shape.column_bytes() + 4 * (nx * ny) as u64;
        let (from, to, program) = if adjoint {
            (&grids.uv, &grids.images, &self.rows_adjoint)
        } else {
            (&grids.images, &grids.uv, &self.rows_forward)
        };
        let params = gpu.uniform(&self.rows)?;
        let indices = (0..n).map(|i| (i, i));
        for batch in batch::pairs(&gpu.device, from, to, indices, traffic)? {
            let table = gpu.table("pairs", &batch.pairs)?;
            let mut buffers = vec![&params.buffer, &self.roots_u.buffer];
            buffers.extend(from.slab(batch.from_slab));
            buffers.extend(to.slab(batch.to_slab));
            buffers.push(&table.buffer);
            let groups = [ny as u32, 1, batch.pairs.len() as u32];
            gpu.dispatch(program, &buffers, groups, traffic * batch.pairs.len() as u64)?;
        }
        Ok(())
    }
}
