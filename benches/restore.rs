//! Restoring a plane: components added one by one beside convolution by transforms, for models from few
//! points to dense.
//!
//! `cargo bench --bench restore [-- PIXELS]`

use std::{hint::black_box, time::Instant};

use cubeclean::{
    beam::Beam,
    geometry::{Direction, DirectionFrame, ImageGrid},
    restore::restore,
};

fn main() {
    let n = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1024usize);
    let phase_center = Direction::new(0.0, 0.0, DirectionFrame::Icrs);
    let grid = ImageGrid { nx: n, ny: n, cell_x: 1.0, cell_y: 1.0, phase_center };
    let residual = vec![0.0; n * n];
    println!("{n} x {n} pixels, {} threads", rayon::current_num_threads());
    println!("| beam, pixels | model pixels | ms |\n|---:|---:|---:|");
    for width in [5.0, 10.0, 20.0] {
        let beam = Beam::new(width, width, 0.0).expect("a beam");
        for share in [1e-4, 1e-3, 1e-2, 3e-2, 1e-1] {
            let step = (1.0 / share) as usize;
            let model: Vec<f32> =
                (0..n * n).map(|i| if i % step == 0 { 1.0 } else { 0.0 }).collect();
            let mut times: Vec<f64> = (0..3)
                .map(|_| {
                    let start = Instant::now();
                    black_box(
                        restore(&grid, &model, residual.clone(), None, &beam).expect("an image"),
                    );
                    start.elapsed().as_secs_f64() * 1e3
                })
                .collect();
            times.sort_by(f64::total_cmp);
            println!("| {width} | {} | {:.1} |", n * n / step, times[1]);
        }
    }
}
