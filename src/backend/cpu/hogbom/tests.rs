//! Hogbom against a textbook full-plane loop: positions and bits of all components equal.

use super::*;
use crate::backend::PlaneStore;

/// Hogbom (1974) as the books have it, over the whole plane, pixel by pixel.
fn textbook(
    residual: &mut [f32],
    psf: &[f32],
    (ny, nx): (usize, usize),
    mask: &Mask,
    (gain, threshold, max_iter): (f32, f32, usize),
) -> Vec<(u32, f32)> {
    let mut components = Vec::new();
    while components.len() < max_iter {
        let mut peak = None::<usize>;
        for i in 0..nx * ny {
            if mask.get(i % nx, i / nx)
                && peak.is_none_or(|p| residual[i].abs() > residual[p].abs())
            {
                peak = Some(i);
            }
        }
        let Some(peak) = peak.filter(|&p| residual[p].abs() > threshold) else { break };
        let flux = gain * residual[peak];
        components.push((peak as u32, flux));
        for y in 0..ny {
            for x in 0..nx {
                let psf_x = (x + nx / 2).wrapping_sub(peak % nx);
                let psf_y = (y + ny / 2).wrapping_sub(peak / nx);
                if psf_x < nx && psf_y < ny {
                    residual[y * nx + x] -= flux * psf[psf_y * nx + psf_x];
                }
            }
        }
    }
    components
}

/// Reproducible values in (−1, 1).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A PSF with peak 1 at (nx/2, ny/2), a main lobe and noisy sidelobes that reach the borders.
fn psf(nx: usize, ny: usize, random: &mut Random) -> Vec<f32> {
    let mut psf: Vec<f32> = (0..nx * ny)
        .map(|i| {
            let (x, y) = ((i % nx) as f32 - (nx / 2) as f32, (i / nx) as f32 - (ny / 2) as f32);
            0.9 * (-(x * x + 0.6 * y * y) / 6.0).exp() + 0.08 * random.next()
        })
        .collect();
    psf[ny / 2 * nx + nx / 2] = 1.0;
    psf
}

/// Runs both and compares bits.
fn compare(
    residual: &[f32],
    psf: &[f32],
    (ny, nx): (usize, usize),
    mask: &Mask,
    limits: (f32, f32, usize),
) -> HogbomResult {
    let cpu = CpuBackend;
    let (mut planes, mut psfs, mut model) = (
        cpu.zeros(2, ny, nx).unwrap(),
        cpu.zeros(2, ny, nx).unwrap(),
        cpu.zeros(2, ny, nx).unwrap(),
    );
    cpu.put(&mut planes, 1, residual).unwrap();
    cpu.put(&mut psfs, 1, psf).unwrap();
    let (gain, threshold, max_iter) = limits;
    let control = HogbomControl { channel: 1, mask, gain, threshold, max_iter };
    let result = cpu.hogbom(&mut planes, &psfs, &mut model, &[control]).unwrap().remove(0);

    let mut full_plane = residual.to_vec();
    let components = textbook(&mut full_plane, psf, (ny, nx), mask, limits);
    assert_eq!(result.components.len(), components.len());
    for (i, (ours, books)) in result.components.iter().zip(&components).enumerate() {
        assert_eq!((ours.0, ours.1.to_bits()), (books.0, books.1.to_bits()), "component {i}");
    }
    let mut books_model = vec![0.0f32; nx * ny];
    for &(pixel, flux) in &components {
        books_model[pixel as usize] += flux;
    }
    assert_eq!(model.plane(1), books_model);
    assert!(model.plane(0).iter().all(|&v| v == 0.0));
    for pixel in mask.pixels() {
        assert_eq!(planes.plane(1)[pixel].to_bits(), full_plane[pixel].to_bits());
    }
    let peak = mask.pixels().map(|i| full_plane[i].abs()).fold(0.0, f32::max);
    assert_eq!(result.peak, peak);
    result
}

#[test]
fn components_equal_the_textbook_loop() {
    let mut random = Random(7);
    for (nx, ny) in [(64, 64), (65, 33), (40, 71), (7, 130), (1, 9)] {
        let psf = psf(nx, ny, &mut random);
        let residual: Vec<f32> = (0..nx * ny).map(|_| random.next()).collect();
        let masks = [
            Mask::new(nx, ny, true),
            Mask::from_fn(nx, ny, |x, y| {
                x.abs_diff(nx / 2).pow(2) + y.abs_diff(ny / 2).pow(2) < 90
            }),
            // Edges and corners: only parts of the PSF meet the plane.
            Mask::from_fn(nx, ny, |x, y| x == 0 || y == 0 || x + 1 == nx || y + 1 == ny),
            Mask::from_fn(nx, ny, |x, y| (x < 3 && y < 2) || (x + 2 >= nx && y + 3 >= ny)),
            Mask::from_fn(nx, ny, |x, y| (x + y) % 2 == 0),
            Mask::from_fn(nx, ny, |x, y| (x, y) == (nx - 1, 0)),
        ];
        for mask in &masks {
            for limits in [(0.1, 0.05, 300), (0.7, 0.0, 60), (1.0, 1e-3, 200)] {
                compare(&residual, &psf, (ny, nx), mask, limits);
            }
        }
    }
}

#[test]
fn first_pixel_wins_a_tie() {
    // Few distinct magnitudes of both signs: most iterations choose among many equals.
    let (nx, ny) = (70, 20);
    let mut random = Random(3);
    let residual: Vec<f32> = (0..nx * ny).map(|_| (random.next() * 2.0).round() * 0.5).collect();
    let mut psf = vec![0.0; nx * ny];
    psf[ny / 2 * nx + nx / 2] = 1.0;
    psf[ny / 2 * nx + nx / 2 + 3] = -0.5;
    let mask = Mask::from_fn(nx, ny, |x, y| (x * 7 + y) % 5 != 0);
    let result = compare(&residual, &psf, (ny, nx), &mask, (0.5, 0.1, 500));
    assert!(result.components.len() > 300);
    let first = mask.pixels().find(|&i| residual[i].abs() == 1.0).unwrap();
    assert_eq!(result.components[0], (first as u32, 0.5 * residual[first]));
}

#[test]
fn nothing_is_done_where_there_is_nothing_to_do() {
    let (nx, ny) = (32, 8);
    let mut random = Random(11);
    let psf = psf(nx, ny, &mut random);
    let residual: Vec<f32> = (0..nx * ny).map(|_| random.next()).collect();
    let all = Mask::new(nx, ny, true);
    let empty = Mask::new(nx, ny, false);
    assert_eq!(compare(&residual, &psf, (ny, nx), &empty, (0.1, 0.0, 9)), HogbomResult::default());
    assert!(compare(&residual, &psf, (ny, nx), &all, (0.1, 2.0, 9)).components.is_empty());
    assert!(compare(&residual, &psf, (ny, nx), &all, (0.1, 0.0, 0)).components.is_empty());
    assert!(
        compare(&vec![0.0; nx * ny], &psf, (ny, nx), &all, (0.1, 0.0, 9)).components.is_empty()
    );
}

#[test]
fn chunks_and_threads_change_no_bit() {
    // More masked pixels than one chunk holds, so that several tasks share the plane.
    let (nx, ny) = (640, 512);
    let mut random = Random(5);
    let psf = psf(nx, ny, &mut random);
    let residual: Vec<f32> = (0..nx * ny).map(|_| random.next()).collect();
    let mask = Mask::new(nx, ny, true);
    assert!(mask.count() > 2 * CHUNK_PIXELS);
    let of = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| compare(&residual, &psf, (ny, nx), &mask, (0.2, 0.0, 12)))
    };
    let one = of(1);
    assert_eq!(one, of(2));
    assert_eq!(one, of(4));
}

#[test]
fn peak_finds_the_first_of_the_largest_in_the_mask() {
    let cpu = CpuBackend;
    let mut planes = cpu.zeros(1, 3, 5).unwrap();
    let mut values = [0.0f32; 15];
    (values[2], values[6], values[8], values[14]) = (9.0, -4.0, 4.0, f32::NAN);
    cpu.put(&mut planes, 0, &values).unwrap();
    let mask = Mask::from_fn(5, 3, |_, y| y > 0);
    let empty = Mask::new(5, 3, false);
    let peaks = cpu.peak(&planes, &[(0, &mask), (0, &empty)]).unwrap();
    assert_eq!(peaks, [Some(Peak { pixel: 6, value: -4.0 }), None]);
}

#[test]
fn a_diverging_loop_ends() {
    // A gain above 2 makes Hogbom diverge; the loop must end before values overflow to infinity.
    let (nx, ny) = (8, 8);
    let mut psf = vec![0.0; 64];
    psf[4 * nx + 4] = 1.0;
    let mut residual = vec![0.0; 64];
    residual[9] = 1.0;
    let cpu = CpuBackend;
    let (mut planes, mut psfs, mut model) = (
        cpu.zeros(1, ny, nx).unwrap(),
        cpu.zeros(1, ny, nx).unwrap(),
        cpu.zeros(1, ny, nx).unwrap(),
    );
    cpu.put(&mut planes, 0, &residual).unwrap();
    cpu.put(&mut psfs, 0, &psf).unwrap();
    let mask = Mask::new(nx, ny, true);
    let control =
        HogbomControl { channel: 0, mask: &mask, gain: 4.0, threshold: 0.1, max_iter: 100_000 };
    let result = cpu.hogbom(&mut planes, &psfs, &mut model, &[control]).unwrap().remove(0);
    assert!(result.components.len() < 200);
    assert!(model.plane(0).iter().all(|v| v.is_finite()));
}

#[test]
fn planes_that_do_not_fit_are_refused() {
    let cpu = CpuBackend;
    let (mut planes, psfs, mut model) =
        (cpu.zeros(1, 4, 4).unwrap(), cpu.zeros(1, 4, 5).unwrap(), cpu.zeros(1, 4, 4).unwrap());
    let mask = Mask::new(4, 4, true);
    let control =
        |channel| HogbomControl { channel, mask: &mask, gain: 0.1, threshold: 0.0, max_iter: 1 };
    assert!(cpu.hogbom(&mut planes, &psfs, &mut model, &[control(0)]).is_err());
    let psfs = cpu.zeros(1, 4, 4).unwrap();
    assert!(cpu.hogbom(&mut planes, &psfs, &mut model, &[control(1)]).is_err());
    assert!(cpu.peak(&planes, &[(0, &Mask::new(5, 4, true))]).is_err());
}
