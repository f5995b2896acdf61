//! What all backends must do, and what only chunks of strips can get wrong.

use super::*;
use crate::backend::minor_tests::{
    Random, channels_do_not_touch_each_other, compare, masks, minor_cycle_tests,
    peaks_equal_a_search_of_the_plane, psf,
};

minor_cycle_tests!(CpuBackend);

/// The loop in tiles from its first component on, whatever it costs.
mod in_tiles {
    use super::*;
    use crate::backend::PlaneStore;

    struct InTiles;

    impl PlaneStore for InTiles {
        type Planes = CpuPlanes;

        fn zeros(&self, n: usize, ny: usize, nx: usize) -> Result<CpuPlanes> {
            CpuBackend.zeros(n, ny, nx)
        }

        fn put(&self, planes: &mut CpuPlanes, index: usize, values: &[f32]) -> Result<()> {
            CpuBackend.put(planes, index, values)
        }

        fn get(&self, planes: &CpuPlanes, index: usize) -> Result<Vec<f32>> {
            CpuBackend.get(planes, index)
        }

        fn clear(&self, planes: &mut CpuPlanes, indices: &[usize]) -> Result<()> {
            CpuBackend.clear(planes, indices)
        }

        fn copy(&self, from: &CpuPlanes, to: &mut CpuPlanes, indices: &[usize]) -> Result<()> {
            CpuBackend.copy(from, to, indices)
        }
    }

    impl Minor for InTiles {
        fn peak(
            &self,
            planes: &CpuPlanes,
            channels: &[(usize, &Mask)],
        ) -> Result<Vec<Option<Peak>>> {
            CpuBackend.peak(planes, channels)
        }

        fn hogbom(
            &self,
            residual: &mut CpuPlanes,
            psf: &CpuPlanes,
            model: &mut CpuPlanes,
            controls: &[MinorControl<'_>],
        ) -> Result<Vec<MinorResult>> {
            each_channel(residual, psf, model, controls, |residual, psf, model, control| {
                clean_with_tiles_after(0, residual, psf, model, control)
            })
        }

        fn hogbom_in_patch(
            &self,
            patch: Patch,
            residual: &mut CpuPlanes,
            psf: &CpuPlanes,
            model: &mut CpuPlanes,
            controls: &[MinorControl<'_>],
        ) -> Result<Vec<MinorResult>> {
            CpuBackend.hogbom_in_patch(patch, residual, psf, model, controls)
        }

        fn above(&self, planes: &CpuPlanes, channels: &[(usize, &Mask, f32)]) -> Result<Vec<Mask>> {
            CpuBackend.above(planes, channels)
        }

        fn subtract(
            &self,
            residual: &mut CpuPlanes,
            psf: &CpuPlanes,
            points: &[Points<'_>],
        ) -> Result<()> {
            CpuBackend.subtract(residual, psf, points)
        }

        fn multiscale(
            &self,
            scales: &Scales,
            residual: &mut CpuPlanes,
            psf: &CpuPlanes,
            model: &mut CpuPlanes,
            controls: &[MinorControl<'_>],
        ) -> Result<Vec<MinorResult>> {
            CpuBackend.multiscale(scales, residual, psf, model, controls)
        }
    }

    minor_cycle_tests!(InTiles);

    #[test]
    fn tiles_far_from_sources_wait_and_lose_no_bit() {
        // A PSF whose sidelobes fall off as 1/r, sources of different flux, weak noise; the last
        // threshold is in the noise, where all tiles take part.
        let shape @ (ny, nx) = (333, 450);
        let mut random = Random(41);
        let psf: Vec<f32> = (0..nx * ny)
            .map(|i| {
                let (x, y) = (i % nx, i / nx);
                let r = (x as f32 - (nx / 2) as f32).hypot(y as f32 - (ny / 2) as f32);
                if r == 0.0 { 1.0 } else { (1.7 * r).sin() / (1.7 * r) + 0.02 * random.next() / r }
            })
            .collect();
        let mut residual: Vec<f32> = random.plane(shape).iter().map(|v| 1e-3 * v).collect();
        for (x, y, flux) in [(200, 100, 1.0f32), (449, 332, -0.5), (0, 150, 0.3), (64, 64, 0.1)] {
            for (i, value) in residual.iter_mut().enumerate() {
                let at = |p: usize, centre: usize, n: usize| (p + n / 2).wrapping_sub(centre);
                let (px, py) = (at(i % nx, x, nx), at(i / nx, y, ny));
                if px < nx && py < ny {
                    *value += flux * psf[py * nx + px];
                }
            }
        }
        // Of a round one, tiles have rows of different lengths.
        let round =
            |x: usize, y: usize| x.abs_diff(225).pow(2) + y.abs_diff(160).pow(2) < 150 * 150;
        let mut masks = masks(shape);
        masks[3] = Mask::from_fn(nx, ny, round);
        for mask in &masks[..4] {
            for limits in [(0.1, 0.02, 200), (0.3, 1e-4, 150), (1.0, 0.0, 150)] {
                compare(&InTiles, &residual, &psf, shape, mask, limits);
            }
        }
        // Through a strip first.
        let result = compare(&CpuBackend, &residual, &psf, shape, &masks[0], (0.1, 1e-4, 250));
        assert_eq!(result.components.len(), 250);
    }
}

#[test]
fn channels_of_a_call_are_their_own() {
    channels_do_not_touch_each_other(&CpuBackend, 9);
}

#[test]
fn peaks_equal_a_search() {
    peaks_equal_a_search_of_the_plane(&CpuBackend, (300, 333));
}

#[test]
fn chunks_and_threads_change_no_bit() {
    // More masked pixels than one chunk holds, so that several tasks share the plane.
    let shape @ (ny, nx) = (512, 640);
    let mut random = Random(5);
    let psf = psf(shape, &mut random);
    let residual = random.plane(shape);
    let mask = Mask::new(nx, ny, true);
    assert!(mask.count() > 2 * CHUNK_PIXELS);
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| compare(&CpuBackend, &residual, &psf, shape, &mask, (0.2, 0.0, 12)))
    };
    let one = of(1);
    assert_eq!(one, of(2));
    assert_eq!(one, of(4));
}
