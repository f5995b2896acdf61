//! Times the GPU backend's stage `fft`, by our own transform and, where it is built in, by VkFFT:
//!
//! `VKFFT_ROOT=... cargo bench --features vkfft --bench fft -- DEVICE [PIXELS]...`
//!
//! DEVICE is a part of an adapter's name or its index (`0`, the default). Times are ms a channel, the
//! best of some runs over a batch of channels; GB/s counts the columns that hold data and the image
//! once each, the least that any transform moves.

use std::{sync::Arc, time::Instant};

use cubeclean::{
    Result, SPEED_OF_LIGHT,
    backend::{
        Transform,
        gpu::{FftLibrary, Gpu, GpuGrids, GpuOptions},
    },
    geometry::{Direction, DirectionFrame, ImageGrid},
    gridding::{OperatorOptions, OperatorPlan, Pointing, WTermMode},
    ms::{Rows, Slot},
};

const FREQ_HZ: f64 = 230e9;
/// Longest baseline, cycles per pixel: about 4.5 pixels across the beam.
const LONGEST: f64 = 0.22;
/// Channels transformed between two waits.
const CHANNELS: usize = 4;
/// Runs are repeated for about this long, and twice at least.
const SECONDS: f64 = 3.0;

const LIBRARIES: &[FftLibrary] = &[
    FftLibrary::Own,
    #[cfg(feature = "vkfft")]
    FftLibrary::VkFft,
];

type Direct = fn(&Gpu, &OperatorPlan, &mut GpuGrids, usize) -> Result<()>;
const DIRECTIONS: [(&str, Direct); 2] =
    [("adjoint", <Gpu as Transform>::fft_adjoint), ("forward", <Gpu as Transform>::fft_forward)];

fn plan(pixels: usize) -> Result<OperatorPlan> {
    let cell = 0.1 / 206_264.806 * 1024.0 / pixels as f64;
    let phase_center = Direction { ra: 0.0, dec: -0.5, frame: DirectionFrame::Icrs };
    let image = ImageGrid { nx: pixels, ny: pixels, cell_x: cell, cell_y: cell, phase_center };
    let rows = Rows {
        uvw_m: vec![[LONGEST / cell * SPEED_OF_LIGHT / FREQ_HZ, 0.0, 0.0]],
        slot: vec![0],
        slots: vec![Slot { time: 0.0, spw: 0, field: 0 }],
        ..Rows::default()
    };
    let options = OperatorOptions { accuracy: 1e-5, wterm: WTermMode::None };
    let pointings = [Pointing { direction: phase_center }];
    OperatorPlan::new(&image, &Arc::new(rows), (FREQ_HZ, FREQ_HZ), &pointings, options)
}

fn main() -> Result<()> {
    // cargo's own arguments begin with dashes.
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let device = words.next().unwrap_or_else(|| "0".into());
    let mut sizes: Vec<usize> = words.filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![256, 1024, 2048];
    }
    if !cfg!(feature = "vkfft") {
        println!("built without the feature vkfft: our own transform alone");
    }
    for pixels in sizes {
        let plan = plan(pixels)?;
        let grid = &plan.grid;
        let bytes = 8 * grid.columns * grid.nv + 4 * plan.image.npix();
        println!(
            "\n{pixels}² pixels, padded {}x{}, {} columns, {CHANNELS} channels",
            grid.nu, grid.nv, grid.columns
        );
        for &fft in LIBRARIES {
            let gpu =
                Gpu::open(&GpuOptions { device: Some(device.clone()), fft, ..Default::default() })?;
            let mut grids = gpu.grids(&plan, CHANNELS)?;
            let begin = Instant::now();
            for (_, transform) in DIRECTIONS {
                transform(&gpu, &plan, &mut grids, 0)?;
            }
            gpu.finish()?;
            println!(
                "  {fft:?} on {gpu:?}: {:.0} ms to set up",
                1e3 * begin.elapsed().as_secs_f64()
            );
            for (name, transform) in DIRECTIONS {
                // What drivers put off until a program first runs is no part of a run.
                transform(&gpu, &plan, &mut grids, CHANNELS)?;
                gpu.finish()?;
                let (start, mut best, mut runs) = (Instant::now(), f64::INFINITY, 0);
                while runs < 2 || start.elapsed().as_secs_f64() < SECONDS {
                    let begin = Instant::now();
                    transform(&gpu, &plan, &mut grids, CHANNELS)?;
                    gpu.finish()?;
                    best = best.min(begin.elapsed().as_secs_f64() / CHANNELS as f64);
                    runs += 1;
                }
                println!(
                    "    {name}: {:.2} ms, {:.2} GB/s ({runs} runs)",
                    1e3 * best,
                    1e-9 * bytes as f64 / best
                );
            }
        }
    }
    Ok(())
}
