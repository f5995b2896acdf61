//! Stages `correct` and `normalise`: the kernel's transform divided out, the w-term's screen, and
//! factors per plane.

#[cfg(test)]
mod tests;

use std::f64::consts::PI;

use super::{
    GpuGrids, GpuPlanes,
    batch::{self, Batch},
    buffer::Stack,
    gpu::Gpu,
    shader::{Variant, shared_struct},
};
use crate::{
    Error, Result,
    gridding::{Kernel, OperatorPlan, Term, WTerm, n_minus_1},
};

shared_struct! {
    /// What a pass's screen is computed from; see `shaders/shared/screen.wgsl`.
    CorrectParams {
        nx: u32,
        ny: u32,
        kind: u32,
        order: u32,
        centre: f32,
        inverse_half_range: f32,
        plane_w: f32,
        amplitude_terms: u32,
    }
}

shared_struct! {
    /// Size of the planes.
    NormaliseParams {
        nx: u32,
        ny: u32,
    }
}

shared_struct! {
    /// A plane's first element in its slab, and its factor.
    PlaneFactor {
        plane: u32,
        factor: f32,
    }
}

/// Workgroups that cover an image with one thread a pixel; 64 × 4 as the shaders say.
fn pixels(nx: u32, ny: u32, planes: usize) -> [u32; 3] {
    [nx.div_ceil(64), ny.div_ceil(4), planes as u32]
}

/// `planes[channels[i]] += screen · correction · images[i]`.
pub(super) fn adjoint(
    gpu: &Gpu,
    plan: &OperatorPlan,
    pass: usize,
    grids: &GpuGrids,
    channels: &[usize],
    planes: &mut GpuPlanes,
) -> Result<()> {
    batch::check_distinct(&gpu.device, channels)?;
    // Read the image and the plane, write the plane.
    let traffic = 12 * plan.image.npix() as u64;
    let indices = channels.iter().copied().enumerate();
    let batches = batch::pairs(&gpu.device, &grids.images, &planes.stack, indices, traffic)?;
    let variant = Variant::new("correct_adjoint")
        .split("images", grids.images.split())
        .split("planes", planes.stack.split());
    run(gpu, plan, pass, &variant, &grids.images, &planes.stack, &batches, traffic)
}

/// `images[i] = screen · correction · planes[channels[i]]`.
pub(super) fn forward(
    gpu: &Gpu,
    plan: &OperatorPlan,
    pass: usize,
    planes: &GpuPlanes,
    channels: &[usize],
    grids: &mut GpuGrids,
) -> Result<()> {
    let traffic = 8 * plan.image.npix() as u64;
    let indices = channels.iter().enumerate().map(|(i, &channel)| (channel, i));
    let batches = batch::pairs(&gpu.device, &planes.stack, &grids.images, indices, traffic)?;
    let variant = Variant::new("correct_forward")
        .split("images", grids.images.split())
        .split("planes", planes.stack.split());
    run(gpu, plan, pass, &variant, &planes.stack, &grids.images, &batches, traffic)
}

/// Records the dispatches of one direction.
#[expect(clippy::too_many_arguments, reason = "two directions share it, and nobody else")]
fn run(
    gpu: &Gpu,
    plan: &OperatorPlan,
    pass: usize,
    variant: &Variant,
    from: &Stack,
    to: &Stack,
    batches: &[Batch],
    item_traffic: u64,
) -> Result<()> {
    let program = gpu.program(variant)?;
    let screen = Screen::new(plan, pass).ok_or_else(|| too_wide(gpu))?;
    let params = gpu.uniform(&screen.params)?;
    let axes = gpu.table("axes", &screen.axes)?;
    for batch in batches {
        let pairs = gpu.table("pairs", &batch.pairs)?;
        let mut buffers = vec![&params.buffer, &axes.buffer];
        buffers.extend(from.slab(batch.from_slab));
        buffers.extend(to.slab(batch.to_slab));
        buffers.push(&pairs.buffer);
        let groups = pixels(screen.params.nx, screen.params.ny, batch.pairs.len());
        gpu.dispatch(&program, &buffers, groups, item_traffic * batch.pairs.len() as u64)?;
    }
    Ok(())
}

fn too_wide(gpu: &Gpu) -> Error {
    Error::Device {
        device: gpu.device.info.name.clone(),
        problem: "the w-term of this field turns too fast for single precision".into(),
        remedy: "image a smaller field, or use --backend cpu".into(),
    }
}

/// A pass's screen in the form that the shader evaluates.
struct Screen {
    params: CorrectParams,
    axes: Vec<[f32; 4]>,
}

const FLAT: u32 = 0;
const CHEBYSHEV: u32 = 1;
const COSINE: u32 = 2;
const SINE: u32 = 3;

/// Largest part of a w-plane's phase, in turns, that the shader may compute in f32: its rounding,
/// 2⁻²⁴ of it times a few, then stays below 2e-6 rad.
const MOST_TURNS: f64 = 2.0;

impl Screen {
    /// `None` if f32 cannot hold the phase of a w-plane.
    fn new(plan: &OperatorPlan, pass: usize) -> Option<Self> {
        let (image, wterm) = (&plan.image, &plan.wterm);
        let term = &plan.passes[pass].term;
        let (kind, order, plane_w) = match term {
            Term::Flat => (FLAT, 0, 0.0),
            Term::Chebyshev { order, .. } => (CHEBYSHEV, *order as u32, 0.0),
            Term::StackCosine { w } => (COSINE, 0, *w),
            Term::StackSine { w } => (SINE, 0, *w),
        };
        // exp(2πi·w·(n−1−c)) = Π over the axes exp(−πi·w·(l²+c)) · exp(2πi·w·rest)
        let axis = |correction: f64, cosine: f64| {
            let square = cosine * cosine;
            let phase = -PI * plane_w * (square + wterm.centre);
            [correction, square, phase.cos(), phase.sin()].map(|v| v as f32)
        };
        let along_x = (0..image.nx).map(|x| axis(plan.correction_x[x], image.l(x)));
        let along_y = (0..image.ny).map(|y| axis(plan.correction_y[y], image.m(y)));
        let mut axes: Vec<_> = along_x.chain(along_y).collect();

        let stacked = matches!(kind, COSINE | SINE);
        let mut amplitude_terms = 0;
        if stacked {
            let r2 = corner(image.l(0), image.l(image.nx - 1))
                + corner(image.m(0), image.m(image.ny - 1));
            let rest = n_minus_1(r2.min(1.0)).unwrap_or(-1.0) + 0.5 * r2.min(1.0);
            if (plane_w * rest).abs() > MOST_TURNS {
                return None;
            }
            let amplitude = amplitude(wterm, &plan.kernel);
            amplitude_terms = amplitude.len() as u32;
            axes.extend(amplitude.iter().map(|&c| [c as f32, 0.0, 0.0, 0.0]));
        }
        let inverse_half_range =
            if wterm.half_range > 0.0 { (1.0 / wterm.half_range) as f32 } else { 0.0 };
        let params = CorrectParams {
            nx: image.nx as u32,
            ny: image.ny as u32,
            kind,
            order,
            centre: wterm.centre as f32,
            inverse_half_range,
            plane_w: plane_w as f32,
            amplitude_terms,
        };
        Some(Self { params, axes })
    }
}

/// The larger of two squares.
fn corner(a: f64, b: f64) -> f64 {
    (a * a).max(b * b)
}

/// Chebyshev coefficients in s = (n−1−c)/h of 1/K̂, the amplitude of w-stacking's screens, to f32.
fn amplitude(wterm: &WTerm, kernel: &Kernel) -> Vec<f64> {
    const NODES: usize = 48;
    let node = |j: usize| (PI * (j as f64 + 0.5) / NODES as f64).cos();
    let values: Vec<f64> = (0..NODES)
        .map(|j| 1.0 / kernel.transform(node(j) * wterm.half_range * wterm.plane_distance))
        .collect();
    let coefficient = |k: usize| {
        let sum: f64 = values
            .iter()
            .enumerate()
            .map(|(j, v)| v * (PI * k as f64 * (j as f64 + 0.5) / NODES as f64).cos())
            .sum();
        sum * if k == 0 { 1.0 } else { 2.0 } / NODES as f64
    };
    let mut coefficients: Vec<f64> = (0..NODES).map(coefficient).collect();
    let scale = coefficients[0].abs();
    while coefficients.len() > 1 && coefficients.last().is_some_and(|c| c.abs() < 1e-9 * scale) {
        coefficients.pop();
    }
    coefficients
}

/// `planes[channels[i]] *= factors[i]`.
pub(super) fn normalise(
    gpu: &Gpu,
    planes: &mut GpuPlanes,
    channels: &[usize],
    factors: &[f32],
) -> Result<()> {
    batch::check_distinct(&gpu.device, channels)?;
    if factors.len() != channels.len() {
        let (f, c) = (factors.len(), channels.len());
        return Err(gpu.device.bug(format!("{f} factors for {c} planes")));
    }
    let (nx, ny) = (planes.nx as u32, planes.ny as u32);
    let traffic = 8 * (planes.nx * planes.ny) as u64;
    let describe = |plane, i: usize| PlaneFactor { plane, factor: factors[i] };
    let stack = &planes.stack;
    let channels = channels.iter().copied();
    let batches = batch::items(&gpu.device, stack, channels, traffic, describe)?;
    let program = gpu.program(&Variant::new("normalise").split("planes", stack.split()))?;
    for batch in batches {
        let params = gpu.uniform(&NormaliseParams { nx, ny })?;
        let table = gpu.table("factors", &batch.items)?;
        let mut buffers = vec![&params.buffer];
        buffers.extend(stack.slab(batch.slab));
        buffers.push(&table.buffer);
        let groups = pixels(nx, ny, batch.items.len());
        gpu.dispatch(&program, &buffers, groups, traffic * batch.items.len() as u64)?;
    }
    Ok(())
}
