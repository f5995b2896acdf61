//! The transform against rustfft in f64, on a device.

use num_complex::{Complex, Complex64};
use rustfft::FftPlanner;

use super::{Shape, roots};
use crate::backend::gpu::{
    buffer::Stack,
    gpu::{Gpu, GpuOptions},
    grids::GpuGrids,
    tests::gpu_with,
};

/// A case: image, padded grid, columns, halo.
#[derive(Clone, Copy, Debug)]
struct Case {
    nx: usize,
    ny: usize,
    nu: usize,
    nv: usize,
    columns: usize,
    halo: usize,
}

impl Case {
    fn stored(self) -> usize {
        self.columns + 2 * self.halo
    }

    fn shape(self, grids: &GpuGrids) -> Shape {
        let Case { nx, ny, nu, nv, columns, halo } = self;
        let (grids, images) = (grids.uv.split(), grids.images.split());
        Shape { nx, ny, nu, nv, columns, stored: self.stored(), halo, grids, images }
    }

    fn grids(self, gpu: &Gpu, n: usize) -> GpuGrids {
        GpuGrids {
            uv: Stack::new(&gpu.device, "uv grids", n, self.stored() * self.nv, 8).unwrap(),
            images: Stack::new(&gpu.device, "images", n, self.nx * self.ny, 4).unwrap(),
        }
    }

    /// `image[y][x] = Re Σ_u Σ_j G[u][j]·exp(2πi(u·p/nu − j·q/nv))` by f64 transforms of rustfft.
    fn image(self, uv: &[Complex<f32>]) -> Vec<f64> {
        let Case { nx, ny, nu, nv, .. } = self;
        let mut full = vec![Complex64::ZERO; nu * nv];
        for u in 0..self.columns {
            for j in 0..nv {
                let g = uv[(self.halo + u) * nv + j];
                full[u * nv + j] = Complex64::new(g.re.into(), g.im.into());
            }
        }
        let mut planner = FftPlanner::new();
        planner.plan_fft_forward(nv).process(&mut full);
        let along_u = planner.plan_fft_inverse(nu);
        let mut image = vec![0.0; nx * ny];
        for y in 0..ny {
            let q = (y + nv - ny / 2) % nv;
            let mut row: Vec<_> = (0..nu).map(|u| full[u * nv + q]).collect();
            along_u.process(&mut row);
            for x in 0..nx {
                image[y * nx + x] = row[(x + nu - nx / 2) % nu].re;
            }
        }
        image
    }

    /// `G[u][j] = Σ image·exp(−2πi(u·p/nu − j·q/nv))`, columns 0..columns.
    fn grid(self, image: &[f32]) -> Vec<Complex64> {
        let Case { nx, ny, nu, nv, .. } = self;
        let mut planner = FftPlanner::new();
        let (along_u, along_v) = (planner.plan_fft_forward(nu), planner.plan_fft_inverse(nv));
        let mut columns = vec![Complex64::ZERO; self.columns * nv];
        for y in 0..ny {
            let mut row = vec![Complex64::ZERO; nu];
            for x in 0..nx {
                row[(x + nu - nx / 2) % nu].re = image[y * nx + x].into();
            }
            along_u.process(&mut row);
            for u in 0..self.columns {
                columns[u * nv + (y + nv - ny / 2) % nv] = row[u];
            }
        }
        along_v.process(&mut columns);
        columns
    }
}

/// Reproducible values in [−1, 1).
fn noise(n: usize, mut seed: u64) -> Vec<f32> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Largest difference relative to the largest value.
fn error(found: impl Iterator<Item = f64>, exact: impl Iterator<Item = f64>) -> f64 {
    let (worst, scale) = found.zip(exact).fold((0.0f64, 0.0f64), |(worst, scale), (f, e)| {
        (worst.max((f - e).abs()), scale.max(e.abs()))
    });
    worst / scale
}

/// f32 transforms err by a few 2⁻²⁴ per stage of at most log₂(8192²) = 26, averaging out; relative to
/// the largest value of noise's transform this stays below:
const TOLERANCE: f64 = 1.5e-6;

/// Both directions of two grids at once, the halo empty, against rustfft.
fn check(gpu: &Gpu, case: Case) {
    let n = 2;
    let mut grids = case.grids(gpu, n);
    let fft = gpu.ffts.get(gpu, case.shape(&grids)).unwrap();
    let uv: Vec<Vec<Complex<f32>>> = (0..n)
        .map(|i| {
            let mut cells = noise(2 * case.stored() * case.nv, i as u64 + 1);
            cells[..2 * case.halo * case.nv].fill(0.0);
            cells[2 * (case.halo + case.columns) * case.nv..].fill(0.0);
            cells.chunks_exact(2).map(|c| Complex::new(c[0], c[1])).collect()
        })
        .collect();
    for (i, cells) in uv.iter().enumerate() {
        grids.uv.put(&gpu.device, &gpu.recorder, i, bytemuck::cast_slice(cells)).unwrap();
    }
    fft.columns(gpu, &grids, n, &fft.columns_adjoint).unwrap();
    fft.rows(gpu, &grids, n, true).unwrap();
    for (i, cells) in uv.iter().enumerate() {
        let mut image = vec![0f32; case.nx * case.ny];
        let bytes = bytemuck::cast_slice_mut(&mut image);
        grids.images.get(&gpu.device, &gpu.recorder, &gpu.ring, i, bytes).unwrap();
        let e = error(image.iter().map(|&v| v.into()), case.image(cells).into_iter());
        assert!(e < TOLERANCE, "adjoint, grid {i}, {case:?}: {e:e}");
    }

    // The grids still hold the adjoint's numbers: the forward direction must not depend on them.
    for i in 0..n {
        let image = noise(case.nx * case.ny, 10 + i as u64);
        grids.images.put(&gpu.device, &gpu.recorder, i, bytemuck::cast_slice(&image)).unwrap();
    }
    fft.rows(gpu, &grids, n, false).unwrap();
    fft.columns(gpu, &grids, n, &fft.columns_forward).unwrap();
    for i in 0..n {
        let mut cells = vec![Complex::new(0f32, 0.0); case.stored() * case.nv];
        let bytes = bytemuck::cast_slice_mut(&mut cells);
        grids.uv.get(&gpu.device, &gpu.recorder, &gpu.ring, i, bytes).unwrap();
        let exact = case.grid(&noise(case.nx * case.ny, 10 + i as u64));
        let found = &cells[case.halo * case.nv..][..exact.len()];
        let parts = |c: &Complex64| [c.re, c.im];
        let e = error(
            found.iter().flat_map(|c| [f64::from(c.re), f64::from(c.im)]),
            exact.iter().flat_map(parts),
        );
        assert!(e < TOLERANCE, "forward, grid {i}, {case:?}: {e:e}");
    }
}

#[test]
fn transforms_agree_with_rustfft_at_many_sizes() {
    let gpu = gpu_with(GpuOptions::default());
    let small = [
        // Factors 2, 3, 5, 7, alone and mixed; odd images; all columns and few.
        Case { nx: 6, ny: 5, nu: 8, nv: 6, columns: 5, halo: 1 },
        Case { nx: 9, ny: 9, nu: 10, nv: 14, columns: 6, halo: 2 },
        Case { nx: 16, ny: 15, nu: 18, nv: 20, columns: 3, halo: 4 },
        Case { nx: 25, ny: 40, nu: 42, nv: 50, columns: 22, halo: 3 },
        Case { nx: 70, ny: 100, nu: 98, nv: 126, columns: 9, halo: 4 },
        Case { nx: 101, ny: 64, nu: 162, nv: 128, columns: 82, halo: 8 },
        Case { nx: 200, ny: 30, nu: 250, nv: 48, columns: 60, halo: 8 },
        Case { nx: 16, ny: 500, nu: 32, nv: 686, columns: 17, halo: 8 },
    ];
    for case in small {
        check(&gpu, case);
    }
}

#[test]
fn long_transforms_agree_with_rustfft() {
    let gpu = gpu_with(GpuOptions::default());
    // One workgroup's full length, real and imaginary parts exchanged in turn, and two passes.
    check(&gpu, Case { nx: 10, ny: 3000, nu: 12, nv: 5040, columns: 3, halo: 1 });
    check(&gpu, Case { nx: 10, ny: 9000, nu: 12, nv: 15_750, columns: 2, halo: 1 });
    check(&gpu, Case { nx: 9000, ny: 4, nu: 10_080, nv: 6, columns: 1200, halo: 1 });
}

#[test]
fn small_workgroups_and_bindings_do_not_change_the_transform() {
    let case = Case { nx: 50, ny: 77, nu: 64, nv: 96, columns: 20, halo: 4 };
    // 256 bytes hold 32 complex values, or 64 in two exchanges: nv goes in two passes of 8 and 12.
    let options = GpuOptions { workgroup_bytes: Some(256), ..GpuOptions::default() };
    check(&gpu_with(options), case);
    // A grid of 28·96 cells, 21.5 kB, in three parts, an image of 15.4 kB in two.
    let options = GpuOptions { binding_bytes: Some(8 << 10), ..GpuOptions::default() };
    check(&gpu_with(options), case);
}

#[test]
fn roots_are_rounded_from_f64() {
    let table = roots(8);
    assert_eq!(table[0], [1.0, 0.0]);
    assert_eq!(table[1], [std::f32::consts::FRAC_1_SQRT_2; 2]);
    assert!(table[2][0].abs() < 1e-16 && table[2][1] == 1.0);
}

#[test]
fn too_long_a_transform_is_refused_with_the_numbers() {
    let options = GpuOptions { workgroup_bytes: Some(256), ..GpuOptions::default() };
    let gpu = gpu_with(options);
    let case = Case { nx: 8, ny: 8, nu: 256, nv: 12, columns: 3, halo: 1 };
    let grids = case.grids(&gpu, 1);
    let message = gpu.ffts.get(&gpu, case.shape(&grids)).err().unwrap().to_string();
    assert!(message.contains("256 grid cells") && message.contains("128"), "{message}");
}
