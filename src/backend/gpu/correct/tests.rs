//! Screens, corrections and factors against f64 on the host, and the whole transform against the
//! CPU's, with planes and images split and whole.

use std::sync::Arc;

use crate::{
    backend::{
        PlaneStore, Transform,
        cpu::CpuBackend,
        gpu::{
            Gpu, GpuGrids, GpuOptions,
            buffer::Stack,
            tests::{gpu, gpu_with},
        },
    },
    geometry::{Direction, DirectionFrame, ImageGrid},
    gridding::{OperatorOptions, OperatorPlan, Pointing, Term, WTermMode},
    ms::{Rows, Slot},
};

/// Reproducible values in [−1, 1).
fn noise(n: usize, seed: usize) -> Vec<f32> {
    let mut state = seed as u32 ^ 0x9e37_79b9;
    (0..n)
        .map(|_| {
            // xorshift32 (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / (1u32 << 31) as f32 - 1.0
        })
        .collect()
}

/// A plan of an `nx × ny` image of pixels of `cell` rad for |w| up to `w_over_u` times the longest u. Samples
/// reach all grid rows, as the CPU backend stores none but those that they reach.
fn plan(nx: usize, ny: usize, cell: f64, w_over_u: f64) -> OperatorPlan {
    let phase_center = Direction { ra: 1.0, dec: 0.5, frame: DirectionFrame::J2000 };
    let image = ImageGrid { nx, ny, cell_x: cell, cell_y: cell, phase_center };
    let longest = 0.3 / cell;
    let rows = Rows {
        uvw_m: (0..50)
            .map(|i| [longest * f64::from(i) / 50.0, 0.49 / cell, w_over_u * longest])
            .collect(),
        slot: vec![0; 50],
        slots: vec![Slot { time: 0.0, spw: 0, field: 0 }],
        ..Rows::default()
    };
    let freq = crate::SPEED_OF_LIGHT;
    let wterm = if w_over_u == 0.0 { WTermMode::None } else { WTermMode::Exact };
    let options = OperatorOptions { wterm, ..OperatorOptions::default() };
    let pointing = Pointing { direction: phase_center };
    OperatorPlan::new(&image, &Arc::new(rows), (freq, freq), &[pointing], options).unwrap()
}

/// A plan of each kind of screen.
fn plans() -> [OperatorPlan; 3] {
    let plans = [plan(37, 50, 1e-5, 0.0), plan(64, 33, 2e-4, 0.8), plan(70, 41, 2e-3, 30.0)];
    assert_eq!(plans[0].passes[0].term, Term::Flat);
    assert!(matches!(plans[1].passes[0].term, Term::Chebyshev { .. }));
    assert!(matches!(plans[2].passes[0].term, Term::StackCosine { .. }));
    plans
}

/// Screen times correction of every pixel, in f64.
fn factors(plan: &OperatorPlan, pass: usize) -> Vec<f64> {
    let mut west = vec![0.0; plan.image.nx / 2 + 1];
    (0..plan.image.ny)
        .flat_map(|y| {
            plan.screen_west(pass, y, &mut west);
            let screen = |x: usize| west[x.min((plan.image.nx / 2 * 2).abs_diff(x))];
            let along_x = plan.correction_x.iter().enumerate();
            along_x.map(|(x, cx)| screen(x) * cx * plan.correction_y[y]).collect::<Vec<_>>()
        })
        .collect()
}

/// Largest difference relative to the largest value.
fn error(found: &[f32], exact: &[f64]) -> f64 {
    let scale = exact.iter().fold(0.0, |max: f64, e| max.max(e.abs()));
    let worst = found
        .iter()
        .zip(exact)
        .fold(0.0, |worst: f64, (f, e)| worst.max((f64::from(*f) - e).abs()));
    worst / scale
}

/// Both directions of every pass, the image of one channel going to another plane.
fn check_correct(gpu: &Gpu) {
    for plan in &plans() {
        let npix = plan.image.npix();
        // Images without their uv grids, which this stage does not touch.
        let mut grids = GpuGrids {
            uv: Stack::new(&gpu.device, "uv grids", 2, 1, 8).unwrap(),
            images: Stack::new(&gpu.device, "images", 2, npix, 4).unwrap(),
        };
        for pass in 0..plan.passes.len() {
            let exact = factors(plan, pass);
            let mut planes = gpu.zeros(3, plan.image.ny, plan.image.nx).unwrap();
            let start: Vec<Vec<f32>> = (0..3).map(|i| noise(npix, 7 + i)).collect();
            for (i, values) in start.iter().enumerate() {
                gpu.put(&mut planes, i, values).unwrap();
            }
            let images = [noise(npix, 1), noise(npix, 2)];
            for (i, image) in images.iter().enumerate() {
                let bytes = bytemuck::cast_slice(image);
                grids.images.put(&gpu.device, &gpu.recorder, i, bytes).unwrap();
            }
            gpu.correct_adjoint(plan, pass, &grids, &[2, 0], &mut planes).unwrap();
            for (plane, image) in [(2, Some(&images[0])), (0, Some(&images[1])), (1, None)] {
                let part = |i: usize| image.map_or(0.0, |v| exact[i] * f64::from(v[i]));
                let sum: Vec<_> = (0..npix).map(|i| f64::from(start[plane][i]) + part(i)).collect();
                let e = error(&gpu.get(&planes, plane).unwrap(), &sum);
                // Chebyshev polynomials of order t magnify the rounding of their argument by t².
                assert!(e < 2e-5, "adjoint, {:?}, plane {plane}: {e:e}", plan.passes[pass]);
            }

            gpu.put(&mut planes, 1, &start[1]).unwrap();
            gpu.correct_forward(plan, pass, &planes, &[1, 1], &mut grids).unwrap();
            let product: Vec<_> =
                exact.iter().zip(&start[1]).map(|(e, v)| e * f64::from(*v)).collect();
            for i in 0..2 {
                let mut image = vec![0f32; npix];
                let bytes = bytemuck::cast_slice_mut(&mut image);
                grids.images.get(&gpu.device, &gpu.recorder, &gpu.ring, i, bytes).unwrap();
                let e = error(&image, &product);
                assert!(e < 2e-5, "forward, {:?}: {e:e}", plan.passes[pass]);
            }
        }
    }
}

#[test]
fn screens_and_corrections_equal_the_plans_in_f64() {
    check_correct(&gpu());
    // Planes of up to 11 kB in parts of 4 kB.
    check_correct(&gpu_with(GpuOptions { binding_bytes: Some(4 << 10), ..GpuOptions::default() }));
}

/// Image → uv → image of all passes through a backend's trait.
fn there_and_back<B: Transform>(backend: &B, plan: &OperatorPlan, sky: &[f32]) -> Vec<f32> {
    let (nx, ny) = (plan.image.nx, plan.image.ny);
    let mut planes = backend.zeros(2, ny, nx).unwrap();
    backend.put(&mut planes, 0, sky).unwrap();
    let mut sum = backend.zeros(1, ny, nx).unwrap();
    let mut grids = backend.grids(plan, 1).unwrap();
    for pass in 0..plan.passes.len() {
        backend.correct_forward(plan, pass, &planes, &[0], &mut grids).unwrap();
        backend.fft_forward(plan, &mut grids, 1).unwrap();
        backend.fft_adjoint(plan, &mut grids, 1).unwrap();
        backend.correct_adjoint(plan, pass, &grids, &[0], &mut sum).unwrap();
    }
    backend.normalise(&mut sum, &[0], &[0.5]).unwrap();
    backend.get(&sum, 0).unwrap()
}

#[test]
fn the_transform_agrees_with_the_cpu_backend() {
    let gpu = gpu();
    for plan in &plans() {
        let sky = noise(plan.image.npix(), 3);
        let cpu = there_and_back(&CpuBackend, plan, &sky);
        let exact: Vec<_> = cpu.iter().map(|&v| f64::from(v)).collect();
        let e = error(&there_and_back(&gpu, plan, &sky), &exact);
        // Both are f32; each errs by about 5e-7 of the largest value.
        assert!(e < 2e-6, "{:?}: {e:e}", plan.passes[0].term);
    }
}

#[test]
fn normalise_multiplies_the_planes_named_by_their_factors() {
    let gpu = gpu();
    let (n, ny, nx) = (4, 5, 67);
    let mut planes = gpu.zeros(n, ny, nx).unwrap();
    for i in 0..n {
        gpu.put(&mut planes, i, &noise(ny * nx, i)).unwrap();
    }
    gpu.normalise(&mut planes, &[3, 1], &[0.25, -3.0]).unwrap();
    for (i, factor) in [1.0, -3.0, 1.0, 0.25].into_iter().enumerate() {
        let exact: Vec<f32> = noise(ny * nx, i).iter().map(|v| v * factor).collect();
        assert_eq!(gpu.get(&planes, i).unwrap(), exact, "plane {i}");
    }
    assert!(gpu.normalise(&mut planes, &[1, 1], &[1.0, 1.0]).is_err(), "a plane given twice");
    assert!(gpu.normalise(&mut planes, &[1], &[1.0, 1.0]).is_err(), "factors without planes");
    assert!(gpu.normalise(&mut planes, &[4], &[1.0]).is_err(), "no such plane");
}
