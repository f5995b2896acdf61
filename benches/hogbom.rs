//! Hogbom's loop on the CPU beside the full-plane loop of the books, for masks of several sizes.
//!
//! `cargo bench --bench hogbom`. Both work on one channel of 1024² pixels in one thread, on the same planes; the
//! components must be the same bit by bit. Sources are all over the mask. Times are those of the loops, medians of five runs (the full
//! plane: of three).

use std::time::Instant;

use cubeclean::{
    backend::{Minor, MinorControl, PlaneStore, cpu::CpuBackend},
    mask::Mask,
};

const N: usize = 1024;
const GAIN: f32 = 0.1;

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    println!("{N} x {N} pixels, gain {GAIN}; microseconds an iteration\n");
    println!(
        "{:>8} {:>10} {:>12} {:>10} {:>8}",
        "mask", "iterations", "full plane", "cubeclean", "ratio"
    );
    for (fraction, iterations) in
        [(0.0025, 200), (0.0025, 2000), (0.02, 2000), (0.1, 2000), (1.0, 2000)]
    {
        let radius2 = fraction * (N * N) as f64 / std::f64::consts::PI;
        let inside = |x: usize, y: usize| {
            let of = |p: usize| (p as f64 - (N / 2) as f64).powi(2);
            fraction == 1.0 || of(x) + of(y) < radius2
        };
        let mask = Mask::from_fn(N, N, inside);
        let (psf, residual) = planes(0.85 * (fraction / std::f64::consts::PI).sqrt() as f32);
        // Its iterations all cost the same: a few tell.
        let few = iterations.min(200);
        let (full, by_the_book) = median(3, || full_plane(&residual, &psf, &mask, few));
        let (ours, components) =
            pool.install(|| median(5, || cubeclean(&residual, &psf, &mask, iterations)));
        assert_eq!(components[..few], by_the_book[..]);
        let (full, ours) = (1e6 * full / few as f64, 1e6 * ours / iterations as f64);
        let percent = format!("{} %", 100.0 * fraction);
        println!("{percent:>8} {iterations:>10} {full:>12.1} {ours:>10.2} {:>8.0}", full / ours);
    }
}

/// A PSF with sidelobes of a tenth, and the image of sources through it, with noise; sources lie up to `reach` of the
/// image's width from its centre.
fn planes(reach: f32) -> (Vec<f32>, Vec<f32>) {
    let mut state = 1u64;
    let mut random = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let centre = (N / 2) as f32;
    let psf: Vec<f32> = (0..N * N)
        .map(|i| {
            let r = ((i % N) as f32 - centre).hypot((i / N) as f32 - centre);
            if r == 0.0 {
                1.0
            } else {
                (1.1 * r).sin() / (1.1 * r) + 0.1 * random() / (1.0 + 0.05 * r)
            }
        })
        .collect();
    let mut residual: Vec<f32> = (0..N * N).map(|_| 0.02 * random()).collect();
    for _ in 0..40 {
        let mut place = || (N as f32 * (0.5 + reach * random())) as usize;
        let (x, y) = (place(), place());
        let flux = 1.0 + 0.5 * random();
        for py in 0..N {
            for px in 0..N {
                let (sx, sy) = (px + x, py + y);
                let (ix, iy) = (sx.wrapping_sub(N / 2), sy.wrapping_sub(N / 2));
                if ix < N && iy < N {
                    residual[iy * N + ix] += flux * psf[py * N + px];
                }
            }
        }
    }
    (psf, residual)
}

/// Hogbom (1974): look for the peak in the whole plane, subtract from the whole plane.
fn full_plane(residual: &[f32], psf: &[f32], mask: &Mask, iterations: usize) -> Timed {
    let mut residual = residual.to_vec();
    let weights: Vec<f32> =
        (0..N * N).map(|i| f32::from(u8::from(mask.get(i % N, i / N)))).collect();
    let mut components = Vec::new();
    let start = Instant::now();
    for _ in 0..iterations {
        let mut peak = 0;
        let mut most = -1.0;
        for (i, (value, weight)) in residual.iter().zip(&weights).enumerate() {
            let magnitude = value.abs() * weight;
            if magnitude > most {
                (peak, most) = (i, magnitude);
            }
        }
        let flux = GAIN * residual[peak];
        components.push((peak as u32, flux));
        let (x, y) = (peak % N, peak / N);
        for (iy, row) in residual.chunks_exact_mut(N).enumerate() {
            let py = (iy + N / 2).wrapping_sub(y);
            if py >= N {
                continue;
            }
            // Plane pixel ix meets PSF pixel ix + N/2 − x.
            let (first, end) = (x.saturating_sub(N / 2), (x + N / 2).min(N));
            let from = py * N + first + N / 2 - x;
            let psf = &psf[from..from + end - first];
            for (value, psf) in row[first..end].iter_mut().zip(psf) {
                *value -= flux * psf;
            }
        }
    }
    (start.elapsed().as_secs_f64(), components)
}

fn cubeclean(residual: &[f32], psf: &[f32], mask: &Mask, iterations: usize) -> Timed {
    let cpu = CpuBackend;
    let put = |values: Option<&[f32]>| {
        let mut planes = cpu.zeros(1, N, N).unwrap();
        values.iter().for_each(|values| cpu.put(&mut planes, 0, values).unwrap());
        planes
    };
    let (mut residual, psf, mut model) = (put(Some(residual)), put(Some(psf)), put(None));
    // As in a run, where a major cycle follows.
    let control = MinorControl {
        channel: 0,
        mask,
        gain: GAIN,
        threshold: 0.0,
        max_iter: iterations,
        keep_residual: false,
    };
    let start = Instant::now();
    let results = cpu.hogbom(&mut residual, &psf, &mut model, &[control]).unwrap();
    (start.elapsed().as_secs_f64(), results.into_iter().next().unwrap().components)
}

/// Seconds and components.
type Timed = (f64, Vec<(u32, f32)>);

/// The run of the median time.
fn median(runs: usize, run: impl Fn() -> Timed) -> Timed {
    let mut all: Vec<Timed> = (0..runs).map(|_| run()).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.swap_remove(runs / 2)
}
