//! Times both directions of the CPU operators at several accuracies on the synthetic job of
//! `cubeclean bench`, beside ducc0's gridder on the same rows where a Python with ducc0 is named:
//!
//! `DUCC_PYTHON=python3 cargo bench --bench operators -- [pixels] [channels] [rows]`

use std::{process::Command, time::Duration};

use cubeclean::{
    backend::{Batch, StageTimes, cpu::CpuBackend},
    bench::{FIELD_RAD, FREQ_HZ, Job, Synthetic},
    gridding::WTermMode,
    ms::Rows,
};

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

/// Times of imaging and of prediction, of the fastest of three runs each.
fn best(made: &Synthetic) -> [StageTimes; 2] {
    let all: Vec<usize> = (0..made.job.channels).collect();
    let mut batch = Batch::new(&CpuBackend, &made.plan, &made.block, 2).expect("a batch");
    let mut model = vec![0f32; made.plan.image.npix()];
    model[made.plan.image.npix() / 3] = 1.0;
    all.iter().for_each(|&c| batch.set_model(c, &model).expect("a model"));
    let runs: Vec<[StageTimes; 2]> = (0..3)
        .map(|_| {
            batch.reset_times();
            batch.make_psf().expect("PSF");
            let adjoint = batch.times();
            batch.reset_times();
            batch.predict(&all).expect("prediction");
            [adjoint, batch.times()]
        })
        .collect();
    [0, 1].map(|i| {
        let times = runs.iter().map(|run| run[i]);
        times.min_by_key(StageTimes::total).expect("three runs")
    })
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse::<usize>().ok());
    let mut next = |default| numbers.next().unwrap_or(default);
    let size = Job { pixels: next(1024), channels: next(8), rows: next(87_000), ..Job::default() };
    println!(
        "{0}x{0} pixels, {1} rows, {2} channels, {3} threads; ms a channel",
        size.pixels,
        size.rows,
        size.channels,
        rayon::current_num_threads()
    );
    let python = std::env::var("DUCC_PYTHON").ok();
    for accuracy in [1e-4, 1e-5, 1e-6] {
        let mut peer = None;
        for (mode, wterm) in [WTermMode::None, WTermMode::Exact].into_iter().enumerate() {
            let job = Job { accuracy, wterm, ..size.clone() };
            let made = Synthetic::new(&job).expect("a job");
            if let Some(python) = python.as_ref().filter(|_| mode == 0) {
                let cell = FIELD_RAD / job.pixels as f64;
                peer = ducc(python, made.plan.rows(), job.pixels, cell, accuracy);
            }
            let plan = &made.plan;
            println!(
                "\naccuracy {accuracy:e}, {wterm:?}: {} passes, W {}, padded {}x{}, {} columns, {:?}",
                plan.passes.len(),
                plan.kernel.support(),
                plan.grid.nu,
                plan.grid.nv,
                plan.grid.columns,
                plan.precision,
            );
            let ms = |time: Duration| time.as_secs_f64() * 1e3 / job.channels as f64;
            let best = best(&made);
            for (direction, times) in ["adjoint", "forward"].into_iter().zip(&best) {
                let stages = times.stages().into_iter().filter(|(_, time)| !time.is_zero());
                let parts: Vec<_> = stages.map(|(n, t)| format!("{n} {:.2}", ms(t))).collect();
                println!("  {direction} {:7.2}  ({})", ms(times.total()), parts.join(", "));
            }
            if let Some(seconds) = peer {
                let theirs = 1e3 * seconds[mode];
                let ratio = theirs / ms(best[0].total());
                println!("  ducc0 {theirs:9.2}  ratio ducc0/ours {ratio:.2}");
            }
        }
    }
}
