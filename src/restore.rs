//! Restoring: the model convolved with the clean beam, plus the residual.
//!
//! `image = model ⊗ G + residual`, with G the target beam's Gaussian of peak 1 (Jy/pixel to
//! Jy/beam). Where the target is wider than the PSF's own beam, the residual is brought to its
//! resolution too: convolved with the Gaussian between the two and scaled by the ratio of their solid
//! angles, since Jy/beam then refers to a larger beam. As in tclean (measured) the residual is left as
//! it is where that Gaussian is narrower than √2 pixels along its minor axis, and where none exists.

use std::f64::consts::LN_2;

use rayon::prelude::*;

use crate::{
    beam::Beam,
    error::{Error, Result},
    fourier::Transform2d,
    geometry::ImageGrid,
    gridding::good_size,
};

/// A Gaussian is cut off where it falls below this fraction of its peak, less than `f32` resolves.
const NEGLIGIBLE: f64 = 1e-9;

/// Convolving an image of n pixels by transforms takes about as long as adding `TRANSFORM_COST·n·log₂ n`
/// pixels of components one by one (`benches/restore.rs`).
const TRANSFORM_COST: usize = 4;

/// What becomes of a residual whose PSF has one beam when the image gets another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResidualMatch {
    /// Nothing: the beams differ by less than √2 pixels.
    AsIs,
    /// It is convolved with this Gaussian.
    Convolve(Beam),
    /// Nothing, because the target is narrower than the PSF's beam: components get a resolution that
    /// the residual does not have. A user should be told.
    TooNarrow,
}

impl ResidualMatch {
    /// For a PSF's beam `own` and the restored image's beam `target`.
    pub fn new(own: &Beam, target: &Beam, grid: &ImageGrid) -> Self {
        // Squared widths of the Gaussian between them, in pixels.
        let (own_shape, target_shape) = (own.shape(), target.shape());
        let ll = target_shape.ll - own_shape.ll;
        let lm = target_shape.lm - own_shape.lm;
        let mm = target_shape.mm - own_shape.mm;
        let minor2 = 0.5 * (ll + mm) - (0.5 * (ll - mm)).hypot(lm);
        let limit = 2.0 * grid.cell_x * grid.cell_y;
        match target.deconvolve(own) {
            Some(kernel) if minor2 >= limit => Self::Convolve(kernel),
            _ if minor2 <= -limit => Self::TooNarrow,
            _ => Self::AsIs,
        }
    }
}

/// The restored plane (`ny·nx` values, Jy/beam of `target`) of a model (Jy/pixel) and a residual
/// (Jy/beam) whose PSF has the beam `own`, in place of the residual. Without an own beam the residual is left as
/// it is.
///
/// # Errors
/// A beam far larger than the image.
pub fn restore(
    grid: &ImageGrid,
    model: &[f32],
    residual: Vec<f32>,
    own: Option<&Beam>,
    target: &Beam,
) -> Result<Vec<f32>> {
    let image = match own.map(|own| (own, ResidualMatch::new(own, target, grid))) {
        Some((own, ResidualMatch::Convolve(kernel))) => {
            let patch = Patch::new(&kernel, grid)?;
            let sum: f64 = patch.values.iter().map(|&v| f64::from(v)).sum();
            let scale = target.solid_angle() / own.solid_angle() / sum;
            convolve(grid, &residual, &patch, scale as f32)
        }
        _ => residual,
    };
    add_model(grid, model, target, image)
}

/// `image + model ⊗ Gaussian`, in the cheaper of two ways.
fn add_model(
    grid: &ImageGrid,
    model: &[f32],
    target: &Beam,
    mut image: Vec<f32>,
) -> Result<Vec<f32>> {
    let pixels = model.iter().filter(|&&flux| flux != 0.0).count();
    if pixels == 0 {
        return Ok(image);
    }
    let patch = Patch::new(target, grid)?;
    if pixels * patch.values.len() <= TRANSFORM_COST * grid.npix() * grid.npix().ilog2() as usize {
        add_components(grid, model, &patch, &mut image);
    } else {
        let restored = convolve(grid, model, &patch, 1.0);
        image.iter_mut().zip(restored).for_each(|(value, model)| *value += model);
    }
    Ok(image)
}

/// A Gaussian of peak 1 sampled on the pixels around its peak, as far as it matters.
struct Patch {
    /// Pixels on either side of the centre.
    x_reach: usize,
    y_reach: usize,
    values: Vec<f32>,
}

impl Patch {
    fn new(beam: &Beam, grid: &ImageGrid) -> Result<Self> {
        let shape = beam.shape();
        let widths = -NEGLIGIBLE.ln() / (4.0 * LN_2);
        // The ellipse's extent along each axis, in pixels; more than the image is never needed.
        let reach = |width2: f64, cell: f64| (widths * width2).sqrt() / cell;
        let (x_reach, y_reach) = (reach(shape.ll, grid.cell_x), reach(shape.mm, grid.cell_y));
        if !(x_reach < 64.0 * grid.nx as f64 && y_reach < 64.0 * grid.ny as f64) {
            let arcsec = beam.major.to_degrees() * 3600.0;
            return Err(Error::parameter(
                "restoringbeam",
                format!("{arcsec}arcsec"),
                "is far larger than the image",
                "give a beam that fits into the image",
            ));
        }
        let x_reach = (x_reach.ceil() as usize).min(grid.nx);
        let y_reach = (y_reach.ceil() as usize).min(grid.ny);
        let inverse = shape.inverse();
        let mut values = Vec::with_capacity((2 * x_reach + 1) * (2 * y_reach + 1));
        for y in 0..=2 * y_reach {
            let m = (y as f64 - y_reach as f64) * grid.cell_y;
            for x in 0..=2 * x_reach {
                let l = -(x as f64 - x_reach as f64) * grid.cell_x;
                values.push((-4.0 * LN_2 * inverse.at(l, m)).exp() as f32);
            }
        }
        Ok(Self { x_reach, y_reach, values })
    }

    fn row(&self, y: usize) -> &[f32] {
        let width = 2 * self.x_reach + 1;
        &self.values[y * width..(y + 1) * width]
    }
}

/// `image += model ⊗ patch`, component by component. Points are few, so this takes less than transforms.
/// Models of wide components are not.
fn add_components(grid: &ImageGrid, model: &[f32], patch: &Patch, image: &mut [f32]) {
    let (nx, ny) = (grid.nx, grid.ny);
    for (pixel, &flux) in model.iter().enumerate().filter(|(_, flux)| **flux != 0.0) {
        let (cx, cy) = (pixel % nx, pixel / nx);
        let x0 = cx.saturating_sub(patch.x_reach);
        let x1 = (cx + patch.x_reach + 1).min(nx);
        for y in cy.saturating_sub(patch.y_reach)..(cy + patch.y_reach + 1).min(ny) {
            let gaussian = &patch.row(y + patch.y_reach - cy)[x0 + patch.x_reach - cx..];
            for (value, g) in image[y * nx + x0..y * nx + x1].iter_mut().zip(gaussian) {
                *value += flux * g;
            }
        }
    }
}

/// `scale · plane ⊗ patch` by Fourier transform, padded so that nothing wraps around.
fn convolve(grid: &ImageGrid, plane: &[f32], patch: &Patch, scale: f32) -> Vec<f32> {
    let (nx, ny) = (grid.nx, grid.ny);
    let fft = Transform2d::new(good_size(nx + patch.x_reach), good_size(ny + patch.y_reach));
    let mut padded = vec![0.0; fft.nx * fft.ny];
    for (y, row) in plane.chunks_exact(nx).enumerate() {
        padded[y * fft.nx..y * fft.nx + nx].copy_from_slice(row);
    }
    let mut spectrum = fft.forward(&mut padded);

    padded.fill(0.0);
    let fold = |i: usize, reach: usize, n: usize| (i + n - reach % n) % n;
    for y in 0..=2 * patch.y_reach {
        let row = fold(y, patch.y_reach, fft.ny) * fft.nx;
        for (x, &value) in patch.row(y).iter().enumerate() {
            padded[row + fold(x, patch.x_reach, fft.nx)] += value;
        }
    }
    let kernel = fft.forward(&mut padded);
    let norm = scale / (fft.nx * fft.ny) as f32;
    spectrum.par_iter_mut().zip(&kernel).for_each(|(value, k)| *value *= k * norm);
    drop(kernel);
    fft.inverse(&mut spectrum, &mut padded);
    padded.chunks_exact(fft.nx).take(ny).flat_map(|row| &row[..nx]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::{Direction, DirectionFrame};

    fn grid(nx: usize, ny: usize) -> ImageGrid {
        let phase_center = Direction::new(0.0, 0.0, DirectionFrame::Icrs);
        ImageGrid { nx, ny, cell_x: 1.0, cell_y: 1.0, phase_center }
    }

    fn beam(major: f64, minor: f64, pa_deg: f64) -> Beam {
        Beam::new(major, minor, pa_deg.to_radians()).unwrap()
    }

    /// Reproducible values in (−1, 1).
    fn noise(n: usize) -> Vec<f32> {
        let mut state = 9u64;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect()
    }

    /// `plane ⊗ Gaussian` of peak 1, summed in f64 over all pairs of pixels.
    fn brute_force(grid: &ImageGrid, plane: &[f32], beam: &Beam) -> Vec<f64> {
        let (sin, cos) = beam.pa.sin_cos();
        (0..grid.npix())
            .map(|i| {
                let mut sum = 0.0;
                for (j, &v) in plane.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                    let dl = -((i % grid.nx) as f64 - (j % grid.nx) as f64);
                    let dm = (i / grid.nx) as f64 - (j / grid.nx) as f64;
                    let along = (dl * sin + dm * cos) / beam.major;
                    let across = (dl * cos - dm * sin) / beam.minor;
                    sum += f64::from(v) * (-4.0 * LN_2 * (along * along + across * across)).exp();
                }
                sum
            })
            .collect()
    }

    #[test]
    fn components_become_gaussians() {
        for (nx, ny) in [(40, 32), (31, 45)] {
            let grid = grid(nx, ny);
            let residual = noise(nx * ny);
            let mut model = vec![0.0; nx * ny];
            // In the middle, in corners and at edges.
            for (x, y, flux) in
                [(20, 15, 1.0), (0, 0, 2.0), (nx - 1, ny - 1, -0.5), (nx - 1, 7, 0.3)]
            {
                model[y * nx + x] = flux;
            }
            for target in [beam(6.0, 3.0, 35.0), beam(1.2, 0.8, -60.0), beam(50.0, 40.0, 10.0)] {
                let image = restore(&grid, &model, residual.clone(), None, &target).unwrap();
                let exact = brute_force(&grid, &model, &target);
                for i in 0..nx * ny {
                    let expected = exact[i] + f64::from(residual[i]);
                    assert!((f64::from(image[i]) - expected).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn dense_models_are_transformed() {
        let (nx, ny) = (60, 45);
        let grid = grid(nx, ny);
        let residual = noise(nx * ny);
        // A disk, up to the edge of the image, in which every pixel has flux.
        let inside = |i: usize| (i % nx).abs_diff(50).pow(2) + (i / nx).abs_diff(20).pow(2) < 300;
        let flux = |i: usize| if inside(i) { 0.01 + 1e-4 * (i % 7) as f32 } else { 0.0 };
        let model: Vec<f32> = (0..nx * ny).map(flux).collect();
        let target = beam(20.0, 15.0, 35.0);
        let patch = Patch::new(&target, &grid).unwrap();
        let count = (0..nx * ny).filter(|&i| inside(i)).count();
        assert!(count * patch.values.len() > TRANSFORM_COST * grid.npix() * 11, "not dense enough");
        let image = restore(&grid, &model, residual.clone(), None, &target).unwrap();
        let exact = brute_force(&grid, &model, &target);
        let peak = exact.iter().fold(0.0, |peak: f64, v| peak.max(*v));
        for i in 0..nx * ny {
            let expected = exact[i] + f64::from(residual[i]);
            // Rounding of f32 transforms.
            assert!((f64::from(image[i]) - expected).abs() < 1e-6 * peak.max(1.0));
        }
    }

    #[test]
    fn a_wider_beam_takes_the_residual_along() {
        let grid = grid(48, 37);
        let residual = noise(grid.npix());
        let (own, target) = (beam(4.0, 3.0, 20.0), beam(8.0, 6.0, -40.0));
        let kernel = target.deconvolve(&own).unwrap();
        assert_eq!(ResidualMatch::new(&own, &target, &grid), ResidualMatch::Convolve(kernel));
        let model = vec![0.0; grid.npix()];
        let image = restore(&grid, &model, residual.clone(), Some(&own), &target).unwrap();
        // Flux per solid angle is kept: ∫k = solid angle of the kernel.
        let scale = target.solid_angle() / own.solid_angle() / kernel.solid_angle();
        for (ours, exact) in image.iter().zip(brute_force(&grid, &residual, &kernel)) {
            assert!((f64::from(*ours) - scale * exact).abs() < 2e-6);
        }
        // A source of the own beam's shape keeps its flux in Jy: its peak stays, in Jy/beam.
        let big = ImageGrid { nx: 128, ny: 128, ..grid };
        let mut point = vec![0.0; big.npix()];
        point[64 * 128 + 64] = 1.0;
        let source = restore(&big, &point, vec![0.0; big.npix()], None, &own).unwrap();
        let image = restore(&big, &vec![0.0; big.npix()], source, Some(&own), &target).unwrap();
        assert!((image[64 * 128 + 64] - 1.0).abs() < 1e-5);
    }

    #[test]
    fn beams_that_hardly_differ_leave_the_residual() {
        let grid = grid(16, 16);
        let own = beam(7.0, 5.0, 0.0);
        // tclean: a kernel of 1.38 pixels is not applied, one of 1.44 is.
        let wider = |kernel: f64| own.convolve(&beam(kernel, kernel, 0.0));
        assert_eq!(ResidualMatch::new(&own, &wider(1.38), &grid), ResidualMatch::AsIs);
        assert!(matches!(
            ResidualMatch::new(&own, &wider(1.44), &grid),
            ResidualMatch::Convolve(_)
        ));
        assert_eq!(ResidualMatch::new(&own, &own, &grid), ResidualMatch::AsIs);
        let thin = own.convolve(&beam(4.0, 1.2, 20.0));
        assert_eq!(ResidualMatch::new(&own, &thin, &grid), ResidualMatch::AsIs);
        assert_eq!(ResidualMatch::new(&own, &beam(4.0, 4.0, 0.0), &grid), ResidualMatch::TooNarrow);
        let residual = noise(256);
        let image = restore(&grid, &[0.0; 256], residual.clone(), Some(&own), &beam(4.0, 4.0, 0.0))
            .unwrap();
        assert_eq!(image, residual);
    }

    #[test]
    fn threads_change_no_bit() {
        let grid = grid(60, 50);
        let residual = noise(grid.npix());
        let model = vec![0.0; grid.npix()];
        let (own, target) = (beam(4.0, 3.0, 20.0), beam(8.0, 6.0, -40.0));
        let of = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| restore(&grid, &model, residual.clone(), Some(&own), &target).unwrap())
        };
        assert_eq!(of(1), of(4));
    }

    #[test]
    fn an_absurd_beam_is_refused() {
        let grid = grid(8, 8);
        let model = vec![1.0; 64];
        assert!(restore(&grid, &model, model.clone(), None, &beam(1e9, 1e9, 0.0)).is_err());
    }
}
