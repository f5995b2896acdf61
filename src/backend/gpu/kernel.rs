//! WGSL of the convolution function: its taps as straight-line polynomials with the coefficients in
//! the text, and the loops over a footprint unrolled, so that all of it stays in registers.

use std::fmt::Write;

use crate::gridding::{Kernel, UvGrid};

/// Text for the `insert`s of the gridding stages.
pub(super) struct KernelText {
    /// `kernel`: the constants `W` (cells of a footprint) and `REGION` (cells of a tile with half a
    /// tile around it), and `taps(y)`, see [`Kernel::taps`].
    pub(super) kernel: String,
    /// `store_taps`: evaluates them into workgroup memory.
    pub(super) store_taps: String,
    /// `gather`: the sum over a footprint.
    pub(super) gather: String,
}

impl KernelText {
    pub(super) fn new(kernel: &Kernel, grid: &UvGrid) -> Self {
        let w = kernel.support();
        Self {
            kernel: format!(
                "const W: u32 = {w}u;\nconst REGION: u32 = {}u;\n{}",
                2 * grid.tile,
                taps(kernel)
            ),
            store_taps: store_taps(w),
            gather: gather(w),
        }
    }
}

/// Horner's rule for each tap, `w` chains side by side.
fn taps(kernel: &Kernel) -> String {
    let w = kernel.support();
    let mut out = format!("fn taps(y: f32) -> array<f32, {w}> {{\n");
    let rows = kernel.polynomials().chunks_exact(w).rev();
    for (power, row) in rows.enumerate() {
        for (tap, &c) in row.iter().enumerate() {
            // The shortest decimal that reads back as the same f32.
            let c = c as f32;
            let _ = match power {
                0 => writeln!(out, "  var k{tap} = {c:?}f;"),
                _ => writeln!(out, "  k{tap} = k{tap} * y + {c:?}f;"),
            };
        }
    }
    let names: Vec<String> = (0..w).map(|tap| format!("k{tap}")).collect();
    let _ = writeln!(out, "  return array<f32, {w}>({});\n}}", names.join(", "));
    out
}

fn store_taps(w: usize) -> String {
    let mut out = "fn store_taps(at: u32, y: f32) {\n  let k = taps(y);\n".to_owned();
    for tap in 0..w {
        let _ = writeln!(out, "  kernels[at + {tap}u] = k[{tap}];");
    }
    out + "}\n"
}

/// Columns from the one that begins at `column`, rows from `row` on.
fn gather(w: usize) -> String {
    let mut out = format!(
        "fn gather(column: u32, row: i32, ku: array<f32, {w}>, kv: array<f32, {w}>) -> vec2<f32> {{\n"
    );
    for n in 0..w {
        let _ = writeln!(out, "  let r{n} = column + wrapped(row + {n});");
    }
    out += "  var sum = vec2(0.0);\n";
    for k in 0..w {
        let _ = writeln!(out, "  {{ let c = {k}u * params.nv; var s = vec2(0.0);");
        for n in 0..w {
            let _ = writeln!(out, "  s += kv[{n}] * grids_load(r{n} + c);");
        }
        let _ = writeln!(out, "  sum += ku[{k}] * s; }}");
    }
    out + "  return sum;\n}\n"
}
