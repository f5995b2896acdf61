//! The whole pipeline: against CASA's products of the same runs (`assets/goldens`), and against itself
//! with other numbers of threads and channels at a time.

mod common;

use std::{f64::consts::TAU, sync::Arc};

use common::{
    golden, ms,
    pipeline::{
        CPU, bits, check_auto_masks, check_clark, check_common_beam, check_cube_with_auto_masks,
        check_dirty_cubes, check_multiscale, check_ngc5921, check_user_mask, max_abs, plane, run,
    },
};
use cubeclean::{
    SPEED_OF_LIGHT,
    ms::{MeasurementSet, Selection},
    units,
};
use rayon::prelude::*;

#[test]
fn dirty_cubes_agree_with_casa() {
    check_dirty_cubes(CPU);
}

#[test]
fn ngc5921_agrees_with_casa() {
    check_ngc5921(CPU);
}

#[test]
fn a_cube_cleaned_in_a_user_mask_agrees_with_casa() {
    let summary = check_user_mask(CPU);
    assert_eq!(summary.resources.bus, None, "planes live in the host's memory");
}

#[test]
fn clark_agrees_with_casa() {
    check_clark(CPU);
}

#[test]
fn multiscale_cleans_agree_with_casa() {
    check_multiscale(CPU);
}

#[test]
fn automatically_masked_cleans_agree_with_casa_round_by_round() {
    check_auto_masks(CPU);
}

#[test]
fn a_cube_under_one_control_agrees_with_casa_round_by_round() {
    check_cube_with_auto_masks(CPU);
}

#[test]
fn a_common_beam_agrees_with_casa() {
    check_common_beam(CPU);
}

/// Same bits for 1, 2 and 4 threads, and for one channel at a time as for all at once: here with
/// frames, linear interpolation, a bandwidth taper, a common beam and several major cycles.
#[test]
fn bits_depend_on_neither_threads_nor_batches() {
    let casa = golden("hog_fixed_usermask");
    let changes = [
        ("backend", "cpu"),
        ("nchan", "6"),
        ("start", "9"),
        ("outframe", "LSRK"),
        ("interpolation", "linear"),
        ("weighting", "briggsbwtaper"),
        ("restoringbeam", "common"),
        ("pbcor", "true"),
        ("niter", "400"),
    ];
    let run_with = |threads: usize, memory: &str| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let mut changes = changes.to_vec();
        changes.push(("memory-limit", memory));
        let summary = pool.install(|| run(&casa, "small", dir.path(), &changes));
        assert!(summary.iterdone() > 1000, "the test means to clean");
        (bits(dir.path(), 6), summary.resources.bytes_read)
    };
    let (reference, read_once) = run_with(2, "4GB");
    // 92 MB: several batches that draw from what was read once; 77 MB: each reads its channels itself, or from a sorted copy.
    for (threads, memory) in [(1, "4GB"), (4, "4GB"), (2, "92MB"), (2, "77MB")] {
        let (found, read) = run_with(threads, memory);
        assert_eq!(read > read_once, memory == "77MB", "{read} bytes of {read_once} with {memory}");
        for ((product, expected), (_, found)) in reference.iter().zip(&found) {
            assert!(expected == found, "{product} differs with {threads} threads and {memory}");
        }
    }
}

/// The axes (l̂, m̂, ŝ) of a phase centre, in its equatorial frame.
fn axes(ra: f64, dec: f64) -> [[f64; 3]; 3] {
    let ((sa, ca), (sd, cd)) = (ra.sin_cos(), dec.sin_cos());
    [[-sa, ca, 0.0], [-sd * ca, -sd * sa, cd], [cd * ca, cd * sa, sd]]
}

/// Errors of the dirty image and the PSF of one channel of `small`, relative to their peaks, against
/// `Σ w·Re(V·exp(−2πi·b·(s − s₀)/λ))/Σw` in f64 with the data's own baselines: the direction of every
/// pixel that is looked at is worked out here, and nothing is rotated, shifted or expanded.
/// Pixels are those of the border and every `step`-th of every `step`-th row.
fn errors_against_exact_sums(
    changes: &[(&str, &str)],
    center: (f64, f64),
    step: usize,
) -> [f64; 2] {
    const CHANNEL: usize = 11;
    let casa = golden("dirty_nat");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let one = [("nchan", "1"), ("start", "11"), ("products", "psf,residual"), ("pbcor", "false")];
    run(&casa, "small", dir.path(), &[&one, CPU, changes].concat());

    let set = Arc::new(MeasurementSet::open(ms("small")).expect("the set"));
    let field = set.phase_center(0).expect("a phase centre");
    let selected = set.select(&Selection {
        datacolumn: cubeclean::ms::DataColumn::Corrected,
        ..Selection::default()
    });
    let selected = selected.expect("a selection");
    let (raw, _) = selected.read(0, CHANNEL..CHANNEL + 1).expect("visibilities");
    let inverse_wavelength = set.spectral_windows()[0].chan_freq_hz[CHANNEL] / SPEED_OF_LIGHT;
    let [l0, m0, s0] = axes(field.ra, field.dec);
    let [l1, m1, s1] = axes(center.0, center.1);
    let cell = units::angle("cell", "0.1arcsec").expect("an angle");

    let mut errors = [0.0; 2];
    for (error, product) in errors.iter_mut().zip(["residual", "psf"]) {
        let image = plane(dir.path(), product, 0);
        let (ny, nx) = image.dim();
        let border = |x: usize, y: usize| x == 0 || y == 0 || x == nx - 1 || y == ny - 1;
        let pixels: Vec<(usize, usize)> = (0..ny)
            .flat_map(|y| (0..nx).map(move |x| (x, y)))
            .filter(|&(x, y)| border(x, y) || (x % step == 0 && y % step == 0))
            .collect();
        let sums: Vec<f64> = pixels
            .par_iter()
            .map(|&(x, y)| {
                let l = (nx as f64 / 2.0 - x as f64) * cell;
                let m = (y as f64 - ny as f64 / 2.0) * cell;
                let n = (1.0 - l * l - m * m).sqrt();
                let s: Vec<f64> = (0..3).map(|i| l * l1[i] + m * m1[i] + n * s1[i]).collect();
                // The PSF is the response to a source in the image's centre.
                let origin = if product == "psf" { s1 } else { s0 };
                let along =
                    |axis: [f64; 3]| (0..3).map(|i| axis[i] * (s[i] - origin[i])).sum::<f64>();
                let (du, dv, dw) = (along(l0), along(m0), along(s0));
                let (mut sum, mut weights) = (0.0, 0.0);
                for (k, &row) in raw.rows.iter().enumerate() {
                    let weight = f64::from(raw.weight[k]);
                    let [u, v, w] = selected.rows().uvw_m[row as usize];
                    let phase = TAU * (u * du + v * dv + w * dw) * inverse_wavelength;
                    let (sin, cos) = phase.sin_cos();
                    let vis = raw.vis[k];
                    sum += weight
                        * if product == "psf" {
                            cos
                        } else {
                            f64::from(vis.re) * cos + f64::from(vis.im) * sin
                        };
                    weights += weight;
                }
                sum / weights
            })
            .collect();
        let peak = max_abs(&image);
        for (&(x, y), sum) in pixels.iter().zip(&sums) {
            *error = f64::max(*error, (f64::from(image[[y, x]]) - sum).abs() / peak);
        }
    }
    errors
}

/// The accuracy promised: 1e-5 of the peak by default, 1e-6 at the tightest, everywhere in the image;
/// also for an image a third of a degree off the field's centre, where every visibility is shifted by
/// thousands of turns.
#[test]
fn dirty_images_of_real_baselines_equal_exact_sums() {
    let field = Arc::new(MeasurementSet::open(ms("small")).expect("the set"));
    let field = field.phase_center(0).expect("a phase centre");
    let off = (field.ra + 0.004, field.dec + 0.003);
    let off_text = format!("J2000 {}rad {}rad", off.0, off.1);
    for (name, center, phasecenter) in
        [("centre", (field.ra, field.dec), String::new()), ("off-centre", off, off_text)]
    {
        for accuracy in ["1e-5", "1e-6"] {
            let changes = [("gridding-accuracy", accuracy), ("phasecenter", phasecenter.as_str())];
            let [dirty, psf] = errors_against_exact_sums(&changes, center, 16);
            println!("{name}, accuracy {accuracy}: dirty {dirty:.1e}, PSF {psf:.1e}");
            let limit: f64 = accuracy.parse().expect("a number");
            assert!(dirty <= limit && psf <= limit, "{name}: {dirty:e}, {psf:e}");
        }
    }
}
