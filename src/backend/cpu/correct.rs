//! Stages `correct` and `normalise`: the kernel's transform divided out, the w-term's screen.

use rayon::prelude::*;

use super::{
    grids::{GridStack, row_len},
    real::Real,
    simd::vectorised,
};
use crate::gridding::{OperatorPlan, Term};

/// The factor of each pixel of image row `y` in `pass`.
#[inline(always)]
fn factors(plan: &OperatorPlan, pass: usize, y: usize, out: &mut [f64]) {
    if plan.passes[pass].term == Term::Flat {
        out.fill(1.0);
    } else {
        plan.screen_row(pass, y, out);
    }
    for (factor, cx) in out.iter_mut().zip(&plan.correction_x) {
        *factor *= cx * plan.correction_y[y];
    }
}

/// Rows y of all slices in turn: `[y][slice]`.
fn by_row<S, R>(
    slices: impl Iterator<Item = S>,
    rows: impl Fn(S) -> Vec<R>,
    ny: usize,
) -> Vec<Vec<R>> {
    let mut out: Vec<Vec<R>> = (0..ny).map(|_| Vec::new()).collect();
    for slice in slices {
        for (row, y) in rows(slice).into_iter().zip(&mut out) {
            y.push(row);
        }
    }
    out
}

/// `planes[i] += factors · images[i]`.
pub(super) fn adjoint<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    stack: &GridStack<T>,
    planes: Vec<&mut [f32]>,
) {
    let (nx, ny, row_len) = (plan.image.nx, plan.image.ny, row_len(plan));
    // All channels of a row together, as they share its factors.
    by_row(planes.into_iter(), |p| p.chunks_exact_mut(nx).collect(), ny)
        .into_par_iter()
        .enumerate()
        .for_each_init(
            || vec![0.0; nx],
            |row_factors, (y, rows)| {
                vectorised(|| {
                    factors(plan, pass, y, row_factors);
                    for (row, grid) in rows.into_iter().zip(&stack.channels) {
                        let pixels = &grid.image[y * row_len..][..nx];
                        for ((out, value), factor) in row.iter_mut().zip(pixels).zip(&*row_factors)
                        {
                            *out += (value.f64() * factor) as f32;
                        }
                    }
                });
            },
        );
}

/// `images[i] = factors · planes[i]`.
pub(super) fn forward<T: Real>(
    plan: &OperatorPlan,
    pass: usize,
    planes: &[&[f32]],
    stack: &mut GridStack<T>,
) {
    let (nx, ny, row_len) = (plan.image.nx, plan.image.ny, row_len(plan));
    let images = stack.channels.iter_mut().take(planes.len()).map(|g| &mut g.image);
    by_row(images, |image| image.chunks_exact_mut(row_len).collect(), ny)
        .into_par_iter()
        .enumerate()
        .for_each_init(
            || vec![0.0; nx],
            |row_factors, (y, rows)| {
                vectorised(|| {
                    factors(plan, pass, y, row_factors);
                    for (pixels, plane) in rows.into_iter().zip(planes) {
                        let values = &plane[y * nx..][..nx];
                        for ((pixel, &value), factor) in
                            pixels.iter_mut().zip(values).zip(&*row_factors)
                        {
                            *pixel = T::of(f64::from(value) * factor);
                        }
                    }
                });
            },
        );
}

/// `planes[i] *= factors[i]`.
pub(super) fn normalise(planes: Vec<&mut [f32]>, factors: &[f32]) {
    planes.into_par_iter().zip(factors).for_each(|(plane, &factor)| {
        plane.par_chunks_mut(1 << 16).for_each(|part| part.iter_mut().for_each(|p| *p *= factor));
    });
}
