//! Times the stages of the CPU operators for each channel of a 1024² cube of 87,000 rows, beside
//! ducc0's gridder on the same samples where a Python with ducc0 is named:
//!
//! `DUCC_PYTHON=python3 cargo bench --bench operators -- [pixels] [channels]`

use std::{process::Command, sync::Arc, time::Instant};

use cubeclean::{
    SPEED_OF_LIGHT,
    backend::{Batch, cpu::CpuBackend},
    geometry::{Direction, DirectionFrame, ImageGrid},
    gridding::{OperatorOptions, OperatorPlan, Pointing, WTermMode},
    ms::{Layer, Rows, Slot, VisBlock},
};
use num_complex::Complex32;

const FREQ_HZ: f64 = 230e9;
const INTEGRATIONS: usize = 96;
const ANTENNAS: usize = 43;
/// Longest baseline, cycles per pixel: about 4.5 pixels across the beam.
const LONGEST: f64 = 0.22;

/// Earth-rotation tracks of a centrally condensed random array at declination −30°.
fn rows(cell: f64) -> Rows {
    let mut state = 1u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let longest_m = LONGEST / cell * SPEED_OF_LIGHT / FREQ_HZ;
    let antennas: Vec<(f64, f64)> = (0..ANTENNAS)
        .map(|_| {
            let (radius, angle) = (0.5 * longest_m * uniform(), std::f64::consts::TAU * uniform());
            (radius * angle.cos(), radius * angle.sin())
        })
        .collect();
    let (sin_lat, cos_lat) = (-23.0f64).to_radians().sin_cos();
    let (sin_dec, cos_dec) = (-30.0f64).to_radians().sin_cos();
    let mut rows = Rows::default();
    for t in 0..INTEGRATIONS {
        let (sin_h, cos_h) = (0.6 * (t as f64 / INTEGRATIONS as f64 - 0.5)).sin_cos();
        rows.slots.push(Slot { time: 30.0 * t as f64, spw: 0, field: 0 });
        for (i, a) in antennas.iter().enumerate() {
            for b in &antennas[..i] {
                let (east, north) = (a.0 - b.0, a.1 - b.1);
                let (x, y, z) = (-sin_lat * north, east, cos_lat * north);
                rows.uvw_m.push([
                    sin_h * x + cos_h * y,
                    -sin_dec * cos_h * x + sin_dec * sin_h * y + cos_dec * z,
                    cos_dec * cos_h * x - cos_dec * sin_h * y + sin_dec * z,
                ]);
                rows.slot.push(t as u32);
            }
        }
    }
    rows
}

/// Seconds a channel of ducc0 (best of three): [2-D, with w].
fn ducc(python: &str, rows: &Rows, pixels: usize, cell: f64, epsilon: f64) -> Option<[f64; 2]> {
    let path = std::env::temp_dir().join(format!("cubeclean-bench-{}.uvw", std::process::id()));
    std::fs::write(&path, bytemuck::cast_slice(&rows.uvw_m)).ok()?;
    let script = format!(
        r"
import ducc0, numpy, time
uvw = numpy.fromfile('{path}').reshape(-1, 3)
vis = numpy.ones((len(uvw), 1), numpy.complex64)
wgt = numpy.ones((len(uvw), 1), numpy.float32)
for w in (False, True):
    best = 1e9
    for _ in range(3):
        t = time.time()
        ducc0.wgridder.vis2dirty(uvw=uvw, freq=numpy.array([float({FREQ_HZ})]), vis=vis, wgt=wgt,
            npix_x={pixels}, npix_y={pixels}, pixsize_x={cell}, pixsize_y={cell},
            epsilon={epsilon}, do_wgridding=w, nthreads={threads}, divide_by_n=False)
        best = min(best, time.time() - t)
    print(best)
",
        path = path.display(),
        threads = rayon::current_num_threads(),
    );
    let output = Command::new(python).args(["-c", &script]).output().ok()?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(&path).ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut seconds = text.lines().filter_map(|line| line.trim().parse().ok());
    Some([seconds.next()?, seconds.next()?])
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse::<usize>().ok());
    let pixels = numbers.next().unwrap_or(1024);
    let channels = numbers.next().unwrap_or(8);
    let cell = 0.1 / 206_264.806 * 1024.0 / pixels as f64;
    let rows = Arc::new(rows(cell));
    let n = rows.uvw_m.len();
    println!(
        "{pixels}² pixels, {n} rows, {channels} channels, {} threads; ms a channel",
        rayon::current_num_threads()
    );

    let phase_center = Direction { ra: 0.0, dec: -0.5, frame: DirectionFrame::Icrs };
    let image = ImageGrid { nx: pixels, ny: pixels, cell_x: cell, cell_y: cell, phase_center };
    let freq = |channel: usize| FREQ_HZ * (1.0 - 1e-6 * channel as f64);
    let layers = (0..channels).map(|channel| Layer {
        channel,
        freq_hz: vec![freq(channel); INTEGRATIONS],
        vis: vec![Complex32::new(1.0, 0.1); n],
        weight: vec![1.0; n],
    });
    let block =
        VisBlock { rows: Arc::clone(&rows), channels: 0..channels, layers: layers.collect() };
    let range = (freq(channels), freq(0));
    let all: Vec<usize> = (0..channels).collect();
    let python = std::env::var("DUCC_PYTHON").ok();

    for accuracy in [1e-4, 1e-5, 1e-6] {
        let peer = python.as_ref().and_then(|p| ducc(p, &rows, pixels, cell, accuracy));
        for (mode, wterm) in [WTermMode::None, WTermMode::Exact].into_iter().enumerate() {
            let options = OperatorOptions { accuracy, wterm };
            let start = Instant::now();
            let plan = OperatorPlan::new(
                &image,
                &rows,
                range,
                &[Pointing { direction: phase_center }],
                options,
            )
            .expect("a plan");
            let planned = start.elapsed();
            let mut batch = Batch::new(&CpuBackend, &plan, &block, 2).expect("a batch");
            let sorted = start.elapsed() - planned;
            println!(
                "\naccuracy {accuracy:e}, {:?}: {} passes, W {}, padded {}x{}, {} columns, {:?}; plan {planned:.1?}, sort {:.1?}",
                wterm,
                plan.passes.len(),
                plan.kernel.support(),
                plan.grid.nu,
                plan.grid.nv,
                plan.grid.columns,
                plan.precision,
                sorted / channels as u32
            );
            let mut model = vec![0f32; image.npix()];
            model[image.npix() / 3] = 1.0;
            let mut best = [f64::INFINITY; 2];
            for _ in 0..3 {
                batch.times = Default::default();
                batch.make_psf().expect("PSF");
                let dirty = batch.times;
                batch.times = Default::default();
                all.iter().for_each(|&c| batch.set_model(c, &model).expect("a model"));
                batch.predict(&all).expect("prediction");
                for (i, times) in [dirty, batch.times].iter().enumerate() {
                    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3 / channels as f64;
                    let total: f64 = times.stages().iter().map(|s| ms(s.1)).sum();
                    if total < best[i] {
                        best[i] = total;
                        let direction = ["adjoint", "forward"][i];
                        let parts: Vec<String> = times
                            .stages()
                            .iter()
                            .map(|(n, d)| format!("{n} {:.2}", ms(*d)))
                            .collect();
                        println!("  {direction} {total:7.2}  ({})", parts.join(", "));
                    }
                }
            }
            if let Some(seconds) = peer {
                println!(
                    "  ducc0 {:9.2}  ratio ducc0/ours {:.2}",
                    1e3 * seconds[mode],
                    1e3 * seconds[mode] / best[0]
                );
            }
        }
    }
}
