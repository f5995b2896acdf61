//! Times auto-multithresh's update of one channel on one core: a first round, and a round that
//! grows a mask, for a galaxy-like and for a crowded 1024² residual.
//!
//! `cargo bench --bench automask -- [pixels]`

use cubeclean::{
    beam::Beam,
    mask::{
        Mask,
        auto::{AutoMultithresh, ChannelState, Surroundings, statistics},
    },
};

const CELL: f64 = 4.8e-7;
const REPEATS: usize = 9;

/// Noise of a beam's size, of σ ≈ 1, with `sources` Gaussians of `radius` pixels.
fn residual(n: usize, sources: usize, radius: f64, peak: f64) -> Vec<f32> {
    let mut state = 7u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let mut plane: Vec<f32> =
        (0..n * n).map(|_| ((0..12).map(|_| uniform()).sum::<f64>() - 6.0) as f32).collect();
    // Three passes of a box along each axis are nearly a Gaussian beam.
    for _ in 0..3 {
        plane = box_along_x(&plane, n);
        plane = box_along_x(&plane, n);
    }
    let sigma = (plane.iter().map(|v| v * v).sum::<f32>() / (n * n) as f32).sqrt();
    plane.iter_mut().for_each(|v| *v /= sigma);
    for _ in 0..sources {
        let (x0, y0, peak) = (uniform() * n as f64, uniform() * n as f64, peak * (0.3 + uniform()));
        let reach = (4.0 * radius) as usize;
        let rows = (y0 as usize).saturating_sub(reach)..(y0 as usize + reach).min(n);
        for y in rows {
            for x in (x0 as usize).saturating_sub(reach)..(x0 as usize + reach).min(n) {
                let d2 = (x as f64 - x0).powi(2) + (y as f64 - y0).powi(2);
                plane[y * n + x] += (peak * (-d2 / (2.0 * radius * radius)).exp()) as f32;
            }
        }
    }
    plane
}

/// A five-pixel box along x, transposed: twice gives both axes.
fn box_along_x(plane: &[f32], n: usize) -> Vec<f32> {
    let mut out = vec![0.0; n * n];
    for y in 0..n {
        for x in 0..n {
            let row = &plane[y * n..(y + 1) * n];
            out[x * n + y] = row[x.saturating_sub(2)..(x + 3).min(n)].iter().sum();
        }
    }
    out
}

/// CPU time of this thread: an update runs on one, and other programs do not count.
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

fn main() {
    let n: usize = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(1024);
    println!("{n} x {n} pixels, milliseconds of CPU time: median of {REPEATS}");
    let region = Mask::new(n, n, true);
    let standard = AutoMultithresh { negativethreshold: 7.0, ..Default::default() };
    let outside = AutoMultithresh { fastnoise: false, ..standard.clone() };
    let pixels = (n * n) as f64 / 1024f64.powi(2);
    for (what, sources, radius) in [("galaxy", 12.0, 35.0), ("crowded", 600.0, 8.0)] {
        let plane = residual(n, (sources * pixels) as usize, radius, 30.0);
        let time = |stage: &str, work: &dyn Fn() -> usize| {
            let mut times = [0.0; REPEATS];
            for time in &mut times {
                let start = cpu_seconds();
                std::hint::black_box(work());
                *time = 1e3 * (cpu_seconds() - start);
            }
            times.sort_by(f64::total_cmp);
            println!("{what:8} {stage:22} {:8.1}", times[REPEATS / 2]);
        };
        let values = statistics::gather(&plane, &region);
        time("gather", &|| statistics::gather(&plane, &region).len());
        time("median and MAD", &|| statistics::robust(&values).is_some().into());
        time("clipped", &|| statistics::clipped(&values).is_some().into());
        for (noise, parameters) in [("fastnoise", &standard), ("fastnoise=False", &outside)] {
            let around = Surroundings {
                region: &region,
                beam: Beam { major: 7.5 * CELL, minor: 5.8 * CELL, pa: 1.4 },
                cell: [CELL, CELL],
                sidelobe_level: 0.05,
                at_clean_threshold: false,
            };
            let mut channel = ChannelState::new(n, n);
            for round in ["first", "grows"] {
                let mut times = [0.0; REPEATS];
                let mut after = channel.clone();
                for time in &mut times {
                    after = channel.clone();
                    let start = cpu_seconds();
                    parameters.update(&plane, &around, &mut after).expect("an update");
                    *time = 1e3 * (cpu_seconds() - start);
                }
                times.sort_by(f64::total_cmp);
                let (pixels, runs) = (after.mask.count(), after.mask.runs().count());
                println!(
                    "{what:8} {noise:16} {round}: {:6.1}   ({pixels} pixels in {runs} runs)",
                    times[REPEATS / 2]
                );
                channel = after;
            }
        }
    }
}
