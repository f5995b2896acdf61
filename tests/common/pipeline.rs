//! Whole runs and their checks against CASA's products, for any backend.
//!
//! Tolerances are what CASA itself allows: its 2-D gridding errs by up to 1.4e-3 of the peak against an
//! exact DFT near the image's border and 2e-4 in the centre, and its uniform weights depend on
//! which cell a sample on the border of two falls into.

use std::path::Path;

use cubeclean::{
    backend::Cargo,
    beam::Beam,
    config::{Config, Parameters},
    cube::CubeReader,
    report::{ChannelSummary, Silent, Summary},
    units,
};
use ndarray::{Array2, s};

use super::{Golden, golden, ms, small_truth};

/// Which processor a check is about, as parameters.
pub type Processor<'a> = &'a [(&'a str, &'a str)];

/// The CPU, also where `--backend auto` would take a GPU.
pub const CPU: Processor<'static> = &[("backend", "cpu")];

/// Runs a golden's arguments into `dir`; `changes` replace or add to them, and name the backend.
pub fn run(golden: &Golden, set: &str, dir: &Path, changes: &[(&str, &str)]) -> Summary {
    let config = config(golden, set, dir, changes).unwrap_or_else(|e| panic!("{e}"));
    cubeclean::run::image(&config, &Silent).unwrap_or_else(|e| panic!("{e}"))
}

/// The configuration of [`run`].
pub fn config(
    golden: &Golden,
    set: &str,
    dir: &Path,
    changes: &[(&str, &str)],
) -> cubeclean::Result<Config> {
    let mut parameters = Parameters::default();
    let arguments = golden.args.as_object().expect("arguments by name");
    for (name, value) in arguments {
        // What tclean calls by another name, or what only drives tclean itself.
        if matches!(name.as_str(), "vis" | "imagename" | "fullsummary" | "parallel" | "restart") {
            continue;
        }
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(list) => {
                let words = list.iter().map(|v| v.to_string().replace('"', ""));
                words.collect::<Vec<_>>().join(",")
            }
            other => other.to_string(),
        };
        parameters.set(name, text).unwrap_or_else(|e| panic!("{e}"));
    }
    let mut set_to = |name: &str, value: &str| {
        parameters.set(name, value).unwrap_or_else(|e| panic!("{e}"));
    };
    set_to("vis", ms(set).to_str().expect("a path in UTF-8"));
    set_to("imagename", dir.join("im").to_str().expect("a path in UTF-8"));
    for (name, value) in changes {
        set_to(name, value);
    }
    Config::new(&parameters)
}

/// A plane of a product that a run wrote, `[y, x]`.
pub fn plane(dir: &Path, product: &str, channel: usize) -> Array2<f32> {
    let cube =
        CubeReader::open(dir.join(format!("im.{product}"))).unwrap_or_else(|e| panic!("{e}"));
    let [nx, ny, ..] = cube.shape();
    let plane = cube.read_plane(0, channel).unwrap_or_else(|e| panic!("{e}"));
    Array2::from_shape_vec((ny, nx), plane.values).expect("its shape")
}

pub fn max_abs(plane: &Array2<f32>) -> f64 {
    plane.iter().fold(0.0, |max, v| max.max(f64::from(v.abs())))
}

/// The plane within the border of 1/16.
fn centre(plane: &Array2<f32>) -> Array2<f32> {
    let (ny, nx) = plane.dim();
    plane.slice(s![ny / 16..ny - ny / 16, nx / 16..nx - nx / 16]).to_owned()
}

/// Largest |a − b|, and its rms within the border of 1/16.
pub fn difference(a: &Array2<f32>, b: &Array2<f32>) -> (f64, f64) {
    let difference = a - b;
    let centre = centre(&difference);
    let squares: f64 = centre.iter().map(|&d| f64::from(d).powi(2)).sum();
    (max_abs(&difference), (squares / centre.len() as f64).sqrt())
}

/// The demonstration's galaxy, with one control over the cube as tclean has it.
pub fn check_ngc5921(processor: Processor) -> Summary {
    let casa = golden("ngc5921");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let changes = [&[("datacolumn", "data"), ("cyclecontrol", "cube")], processor].concat();
    let summary = run(&casa, "ngc5921_contsub", dir.path(), &changes);
    assert_eq!(summary.channels.len(), 46);
    let (mut worst_rms, mut worst_peak) = (0.0f64, 0.0f64);
    let mut peaks = (0.0f64, 0.0f64);
    for &channel in casa.channels("image") {
        let theirs = casa.plane("image", channel);
        let ours = plane(dir.path(), "image", channel);
        // CASA's image was kept where its primary beam is at least 0.2, and is 0 elsewhere.
        let inside: Vec<(f64, f64)> = theirs
            .iter()
            .zip(&ours)
            .filter(|(t, _)| **t != 0.0)
            .map(|(&t, &o)| (f64::from(t), f64::from(o)))
            .collect();
        let n = inside.len() as f64;
        let rms = (inside.iter().map(|(t, o)| (t - o).powi(2)).sum::<f64>() / n).sqrt();
        let noise = summary.channels[channel].rms;
        worst_rms = worst_rms.max(rms / noise);
        let peak = inside.iter().fold((0.0f64, 0.0f64), |p, &(t, o)| (p.0.max(t), p.1.max(o)));
        peaks = (peaks.0.max(peak.0), peaks.1.max(peak.1));
        worst_peak = worst_peak.max((peak.1 - peak.0).abs() / noise);
    }
    let peak_error = (peaks.1 / peaks.0 - 1.0).abs();
    println!(
        "ngc5921: peak {:.2} mJy, CASA {:.2} mJy ({:.2} %); difference rms at most {worst_rms:.3} of the \
         noise, channel peaks within {worst_peak:.2} of it; {} components, CASA {}",
        peaks.1 * 1e3,
        peaks.0 * 1e3,
        peak_error * 100.0,
        summary.iterdone(),
        casa.ret["iterdone"]
    );
    assert!(peak_error <= 0.02, "peaks differ by {peak_error}");
    assert!(worst_rms <= 0.5, "the difference is {worst_rms} of the noise");
    summary
}

/// One control over the cube, a fixed mask: what CASA shares between channels (niter, the cycle
/// threshold) makes every channel's count depend on all others, so counts are compared in sum and in
/// channel-independent terms: the model's flux, the peak left, and the restored image.
pub fn check_user_mask(processor: Processor) -> Summary {
    let casa = golden("hog_fixed_usermask");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let changes = [&[("cyclecontrol", "cube")], processor].concat();
    let summary = run(&casa, "small", dir.path(), &changes);
    let theirs = casa.ret["iterdone"].as_u64().expect("a count") as f64;
    let ours = summary.iterdone() as f64;
    let (mut flux, mut image_max, mut image_rms) = (0.0f64, 0.0f64, 0.0f64);
    for channel in &summary.channels {
        let index = channel.channel;
        let last = channel.minor.last().expect("a record");
        let record = &casa.ret["summaryminor"]["0"][index.to_string()]["0"];
        let casa_flux = record["modelFlux"].as_array().and_then(|v| v.last()?.as_f64());
        let casa_flux = casa_flux.expect("a flux");
        flux = flux.max((last.model_flux / casa_flux - 1.0).abs());
    }
    for &channel in casa.channels("image") {
        let noise = summary.channels[channel].rms;
        let (max, rms) =
            difference(&plane(dir.path(), "image", channel), &casa.plane("image", channel));
        image_max = image_max.max(max / noise);
        image_rms = image_rms.max(rms / noise);
    }
    println!(
        "hog_fixed_usermask: {ours} components, CASA {theirs}; model fluxes within {flux:.1e}; images \
         differ by {image_rms:.3} of the noise rms, {image_max:.2} at most"
    );
    assert!((ours / theirs - 1.0).abs() <= 0.01, "{ours} components, CASA {theirs}");
    assert!(flux <= 0.01, "model fluxes differ by {flux}");
    assert!(image_rms <= 0.1, "images differ by {image_rms} of the noise");
    assert!(image_max <= 1.0, "images differ by up to {image_max} of the noise");
    summary
}

/// Clark's minor cycle, one channel each. CASA's minor cycles end short of their threshold now and then, as
/// they trust the patch; so ours take fewer, and counts are compared in sum.
pub fn check_clark(processor: Processor) {
    for name in ["clark_10", "clark_16"] {
        let casa = golden(name);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let summary = run(&casa, "small", dir.path(), processor);
        let channel = &summary.channels[0];
        let last = channel.minor.last().expect("a record");
        let record = &casa.ret["summaryminor"]["0"]["0"]["0"];
        let of = |field: &str| -> f64 {
            record[field].as_array().and_then(|v| v.last()?.as_f64()).expect("a number")
        };
        let theirs = casa.ret["iterdone"].as_f64().expect("a count");
        let ours = summary.iterdone() as f64;
        let (max, rms) = difference(&plane(dir.path(), "image", 0), &casa.plane("image", 0));
        let (max, rms) = (max / channel.rms, rms / channel.rms);
        let flux = last.model_flux / of("modelFlux") - 1.0;
        println!(
            "{name}: {ours} components in {} minor cycles, CASA {theirs} in {}; model flux {:.4} Jy, CASA \
             {:.4}; peak {:.3} mJy, CASA {:.3}; images differ by {rms:.3} of the noise rms, {max:.2} at most",
            channel.minor.iter().filter(|m| m.iter_done > 0).count(),
            record["iterDone"].as_array().map_or(0, Vec::len),
            last.model_flux,
            of("modelFlux"),
            last.peak_res * 1e3,
            of("peakRes") * 1e3,
        );
        assert!((ours / theirs - 1.0).abs() <= 0.03, "{ours} components, CASA {theirs}");
        assert!(flux.abs() <= 0.002, "model fluxes differ by {flux}");
        assert!(rms <= 0.1, "images differ by {rms} of the noise");
        assert!(max <= 1.0, "images differ by up to {max} of the noise");
    }
}

/// Single channels with multiscale. tclean ends a minor cycle early where the strength of a component exceeds
/// 1.5 times that of the cycle's first (the middle one of its three here), and counts an iteration more for
/// each cycle: so components are compared in sum, and what they make of the image.
pub fn check_multiscale(processor: Processor) {
    for name in ["ms_10", "ms_16"] {
        let casa = golden(name);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let summary = run(&casa, "small", dir.path(), processor);
        let [channel] = summary.channels.as_slice() else { panic!("{name} has one channel") };
        let record = &casa.ret["summaryminor"]["0"]["0"]["0"];
        let last = |key: &str| {
            let values = record[key].as_array().expect("a list");
            values.last().and_then(serde_json::Value::as_f64).expect("a number")
        };
        let theirs = casa.ret["iterdone"].as_f64().expect("a count");
        let ours = summary.iterdone() as f64;
        let minor = channel.minor.last().expect("a record");
        let (flux, casa_flux) = (minor.model_flux, last("modelFlux"));
        let (max, rms) = difference(&plane(dir.path(), "image", 0), &casa.plane("image", 0));
        let rounds: Vec<_> = channel.minor.iter().map(|m| (m.iter_done, m.peak_res)).collect();
        println!(
            "{name}: {ours} components, CASA {theirs}; model flux {flux:.4}, CASA {casa_flux:.4}; peak {}, \
             CASA {}; image max {:.2}, rms {:.3} of the noise; rounds {rounds:?}",
            minor.peak_res,
            last("peakRes"),
            max / channel.rms,
            rms / channel.rms
        );
        assert_eq!(Some(u64::from(channel.stopcode)), casa.ret["stopcode"].as_u64(), "{name}");
        assert!((ours / theirs - 1.0).abs() <= 0.03, "{name}: {ours} {theirs}");
        assert!((flux / casa_flux - 1.0).abs() <= 0.002, "{name}: {flux} {casa_flux}");
        assert!(minor.peak_res <= 0.005, "{name}: a peak of {}", minor.peak_res);
        assert!(rms <= 0.1 * channel.rms, "{name}: images differ by {rms:e}");
        if name == "ms_10" {
            check_disk_flux(&plane(dir.path(), "model", 0), &casa.plane("model", 0));
        }
    }
}

/// The flux within the mask of 50 pixels, 5 arcsec, in channel 10 of `small`: the disk, the ring and the
/// weakest point, of which multiscale's models have at least as much as tclean's.
fn check_disk_flux(ours: &Array2<f32>, theirs: &Array2<f32>) {
    let truth = super::small_truth();
    let index = truth.channels.iter().position(|&c| c == 10).expect("channel 10");
    let middle = (truth.cube.dim().1 / 2) as f64;
    let place = |i: usize| (i as f64 - middle) * truth.cell_arcsec;
    let plane = truth.cube.index_axis(ndarray::Axis(0), index);
    let inside = plane.indexed_iter().filter(|((l, m), _)| place(*l).hypot(place(*m)) <= 5.0);
    let truth: f64 = inside.map(|(_, &v)| f64::from(v)).sum();
    let sum = |model: &Array2<f32>| model.iter().map(|&v| f64::from(v)).sum::<f64>();
    let (ours, theirs) = (sum(ours), sum(theirs));
    println!("flux within 5 arcsec: {ours:.4} Jy, tclean {theirs:.4} Jy, truth {truth:.4} Jy");
    // A thousandth: what the choice of the last components leaves open.
    assert!((ours - truth).abs() <= (theirs - truth).abs() + 1e-3 * truth);
}

/// Every pixel of every product, in bits.
pub fn bits(dir: &Path, channels: usize) -> Vec<(String, Vec<u32>)> {
    let products = ["psf", "residual", "model", "mask", "image", "image.pbcor", "pb", "sumwt"];
    let pixels = |product: &str| {
        let planes = (0..channels).flat_map(|c| plane(dir, product, c).into_iter());
        planes.map(f32::to_bits).collect()
    };
    products.iter().map(|p| (p.to_string(), pixels(p))).collect()
}

struct Tolerance {
    sumwt: f64,
    /// Of a beam's axes, relative; its angle in deg may differ by 100 times as much.
    beam: f64,
    max: f64,
    centre_rms: f64,
}

const NATURAL: Tolerance = Tolerance { sumwt: 1e-6, beam: 1e-4, max: 1e-3, centre_rms: 1.5e-4 };
const BRIGGS: Tolerance = Tolerance { sumwt: 2e-4, beam: 5e-4, ..NATURAL };
const UNIFORM: Tolerance = Tolerance { sumwt: 2e-3, beam: 2e-3, max: 2e-3, centre_rms: 7e-4 };

/// Sums of weights, beams, PSFs and dirty images of a run with niter=0.
fn check_dirty(processor: Processor, name: &str, set: &str, tolerance: &Tolerance) {
    let casa = golden(name);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let summary = run(&casa, set, dir.path(), processor);
    let mut worst = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for (channel, ours) in summary.channels.iter().enumerate() {
        let theirs = casa.sumwt[channel];
        if theirs == 0.0 {
            assert_eq!(ours.sumwt, 0.0, "{name}: channel {channel} is blank in CASA");
            continue;
        }
        let error = (ours.sumwt / theirs - 1.0).abs();
        worst.0 = worst.0.max(error);
        let beam = ours.beam.expect("a beam");
        let [major, minor, pa] = casa.beams[channel];
        let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
        worst.1 = worst.1.max((arcsec(beam.major) / major - 1.0).abs());
        worst.1 = worst.1.max((arcsec(beam.minor) / minor - 1.0).abs());
        // Position angles are the same after half a turn.
        let turn = (beam.pa.to_degrees() - pa + 90.0).rem_euclid(180.0) - 90.0;
        worst.2 = worst.2.max(turn.abs());
    }
    for product in ["psf", "residual"] {
        for &channel in casa.channels(product) {
            let theirs = casa.plane(product, channel);
            let peak = max_abs(&theirs);
            if peak == 0.0 {
                continue;
            }
            let (max, rms) = difference(&plane(dir.path(), product, channel), &theirs);
            worst.3 = worst.3.max(max / peak);
            worst.4 = worst.4.max(rms / peak);
        }
    }
    println!(
        "{name}: sumwt {:.1e}, beam {:.1e} and {:.2} deg, planes max {:.1e}, centre rms {:.1e}",
        worst.0, worst.1, worst.2, worst.3, worst.4
    );
    assert!(worst.0 <= tolerance.sumwt, "{name}: sums of weights differ by {:e}", worst.0);
    assert!(worst.1 <= tolerance.beam, "{name}: beams differ by {:e}", worst.1);
    assert!(worst.2 <= 100.0 * tolerance.beam, "{name}: position angles differ by {} deg", worst.2);
    assert!(worst.3 <= tolerance.max, "{name}: planes differ by {:e} of the peak", worst.3);
    assert!(worst.4 <= tolerance.centre_rms, "{name}: planes differ by {:e} rms", worst.4);
}

/// The dirty cubes of all weighting schemes, frames and kinds of weights.
pub fn check_dirty_cubes(processor: Processor) {
    for (name, set, tolerance) in [
        ("dirty_nat", "small", NATURAL),
        ("dirty_briggs_topo", "small", BRIGGS),
        ("dirty_bwt_topo", "small", BRIGGS),
        ("dirty_uniform_topo", "small", UNIFORM),
        ("dirty_nat_lsrk", "small", NATURAL),
        ("dirty_nat_lsrk_near", "small", NATURAL),
        ("ws_dirty_nat", "small_ws", NATURAL),
        ("ws_dirty_briggs", "small_ws", BRIGGS),
    ] {
        check_dirty(processor, name, set, &tolerance);
    }
}

/// `[round]` of a channel in tclean's summary.
fn record(casa: &Golden, channel: usize, key: &str) -> Vec<f64> {
    let values = casa.ret["summaryminor"]["0"][channel.to_string()]["0"][key].as_array();
    values.expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Every round of a channel: as many of them, pixels of the mask within 0.5 %, or from the third on
/// within `pixels`, components within 3 %.
fn check_rounds(name: &str, casa: &Golden, channel: usize, ours: &ChannelSummary, pixels: f64) {
    let of = |key: &str| record(casa, channel, key);
    let (masks, iterations) = (of("masksum"), of("iterDone"));
    let rounds: Vec<_> =
        ours.minor.iter().map(|m| (m.masksum as f64, m.iter_done as f64)).collect();
    println!("{name} {channel}: (mask, components) {rounds:?}; CASA {masks:?}, {iterations:?}");
    assert_eq!(rounds.len(), masks.len(), "{name}, channel {channel}: rounds");
    // Components are counted from the beginning: what a round leaves the next one finds.
    let (mut sum, mut casa_sum) = (0.0, 0.0);
    for (round, ((mask, done), (casa_mask, casa_done))) in
        rounds.iter().zip(masks.iter().zip(iterations)).enumerate()
    {
        let at = format!("{name}, channel {channel}, round {round}");
        let allowed = (0.005 * casa_mask).max(if round < 2 { 0.0 } else { pixels });
        assert!((mask - casa_mask).abs() <= allowed, "{at}: {mask} pixels, CASA {casa_mask}");
        (sum, casa_sum) = (sum + done, casa_sum + casa_done);
        assert!((sum - casa_sum).abs() <= (0.03 * casa_sum).max(1.0), "{at}: {sum} {casa_sum}");
    }
}

/// How much of CASA's last mask of a channel ours holds, or of ours CASA's, whichever is less.
fn overlap(dir: &Path, casa: &Golden, channel: usize) -> f64 {
    let (ours, theirs) = (plane(dir, "mask", channel), casa.mask(channel));
    let both = ours.iter().zip(&theirs).filter(|(o, t)| **o > 0.0 && **t).count();
    let larger =
        ours.iter().filter(|o| **o > 0.0).count().max(theirs.iter().filter(|t| **t).count());
    both as f64 / larger.max(1) as f64
}

/// All channels under one control with auto-multithresh: every channel's mask and components in every
/// round, the components of the cube, and the restored images. What the third round's growth, down to 1.5
/// times the noise, adds or leaves out is a piece of about a beam (50 pixels) or nothing, so that a mask of
/// 2000 pixels may differ by half a beam: one channel of 32 does, by 20 pixels.
pub fn check_cube_with_auto_masks(processor: Processor) {
    let name = "cube_topo_near";
    let casa = golden(name);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let changes = [&[("cyclecontrol", "cube")], processor].concat();
    let summary = run(&casa, "small", dir.path(), &changes);
    let (ours, theirs) =
        (summary.iterdone() as f64, casa.ret["iterdone"].as_f64().expect("a count"));
    println!("{name}: {ours} components, CASA {theirs}");
    assert!((ours - theirs).abs() <= 0.03 * theirs, "{name}: {ours} components, CASA {theirs}");
    let mut least = 1.0f64;
    for (i, channel) in summary.channels.iter().enumerate() {
        check_rounds(name, &casa, i, channel, 25.0);
        assert_eq!(Some(u64::from(channel.stopcode)), casa.ret["stopcode"].as_u64(), "{name}");
        let overlap = overlap(dir.path(), &casa, i);
        assert!(overlap >= 0.99, "{name}, channel {i}: masks overlap by {overlap}");
        least = least.min(overlap);
    }
    println!("{name}: masks overlap by {least:.4} or more");
    for &i in casa.channels("image") {
        let (max, rms) = difference(&plane(dir.path(), "image", i), &casa.plane("image", i));
        let noise = summary.channels[i].rms;
        println!("{name} {i}: image max {:.2}, rms {:.3} of the noise", max / noise, rms / noise);
        assert!(rms <= 0.1 * noise && max <= noise, "{name}, channel {i}: {max:e}, rms {rms:e}");
    }
}

/// The flux of the four points of `small` in an image, relative to the truth: the factor that fits the
/// points, as Gaussians of the beam (rad), to the image by least squares where they are above 2 % of
/// the brightest.
fn points_recovered(image: &Array2<f32>, beam: &Beam) -> f64 {
    const CELL_ARCSEC: f64 = 0.1;
    let points = small_truth().points;
    let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
    let (major, minor, (sin, cos)) = (arcsec(beam.major), arcsec(beam.minor), beam.pa.sin_cos());
    let (ny, nx) = image.dim();
    let expected = Array2::from_shape_fn((ny, nx), |(y, x)| {
        let l = (nx as f64 / 2.0 - x as f64) * CELL_ARCSEC;
        let m = (y as f64 - ny as f64 / 2.0) * CELL_ARCSEC;
        let gaussian = |&[l0, m0, flux]: &[f64; 3]| {
            let (l, m) = (l - l0, m - m0);
            let (along, across) = ((l * sin + m * cos) / major, (l * cos - m * sin) / minor);
            flux * (-4.0 * std::f64::consts::LN_2 * (along.powi(2) + across.powi(2))).exp()
        };
        points.iter().map(gaussian).sum::<f64>()
    });
    let least = 0.02 * expected.iter().copied().fold(0.0, f64::max);
    let near = expected.iter().zip(image).filter(|(e, _)| **e > least);
    let (product, square) =
        near.fold((0.0, 0.0), |(p, s), (e, i)| (p + e * f64::from(*i), s + e * e));
    product / square
}

/// A common beam, in LSRK with linear interpolation: the beam, the first masks, and the fluxes of the points.
/// CASA's fluxes are no measure here, since it grids a sample beside a flagged one as zero and keeps its
/// weight: they are judged against the truth, in channels beside the heavily flagged one (1, 2) and in
/// others.
pub fn check_common_beam(processor: Processor) {
    let name = "cube_lsrk_lin_common";
    let casa = golden(name);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let changes = [&[("cyclecontrol", "cube")], processor].concat();
    let summary = run(&casa, "small", dir.path(), &changes);
    // tclean blanks channel 0, which has but one neighbour, and so do we: no weight, no beam.
    let [blank, channels @ ..] = summary.channels.as_slice() else { panic!("no channels") };
    assert_eq!((blank.sumwt, blank.beam), (0.0, None));
    let beam = channels[0].restoring_beam.expect("a beam");
    let in_arcsec = |b: &Beam| {
        let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
        [arcsec(b.major), arcsec(b.minor), b.pa.to_degrees()]
    };
    // A common beam's position angle is kept in rad.
    let [major, minor, pa] = casa.beams[0];
    let theirs = [major, minor, pa.to_degrees()];
    let ours = in_arcsec(&beam);
    println!("{name}: {ours:?}, CASA {theirs:?}");
    // tclean's PSFs of channels 0 to 2 have the weight of samples that it dropped; with 0.7511 and 0.7500
    // arcsec (its log) against our 0.7469 and 0.7465 of channels 1 and 2 they make its common beam larger.
    assert!((0..2).all(|i| (ours[i] / theirs[i] - 1.0).abs() < 8e-3), "{ours:?} {theirs:?}");
    assert!((ours[2] - theirs[2]).abs() < 1.0, "{ours:?} {theirs:?}");
    for channel in channels {
        let own = channel.beam.expect("a beam");
        assert_eq!(channel.restoring_beam, Some(beam));
        assert!(beam.deconvolve(&own).is_some(), "channel {} is not held", channel.channel);
        // The first round sees the dirty images alone; later ones what each made of its samples.
        let (ours, casa) =
            (channel.minor[0].masksum as f64, record(&casa, channel.channel, "masksum")[0]);
        assert!((ours / casa - 1.0).abs() < 0.01, "channel {}: {ours} {casa}", channel.channel);
    }
    let theirs = Beam {
        major: units::angle("bmaj", &format!("{major}arcsec")).expect("an angle"),
        minor: units::angle("bmin", &format!("{minor}arcsec")).expect("an angle"),
        pa,
    };
    for &i in casa.channels("image") {
        let ours = points_recovered(&plane(dir.path(), "image", i), &beam);
        let casa = points_recovered(&casa.plane("image", i), &theirs);
        println!("{name} {i}: the points have {ours:.4} of their flux, CASA {casa:.4}");
        assert!((ours - 1.0).abs() < (casa - 1.0).abs(), "channel {i}: {ours}, CASA {casa}");
        assert!((ours - 1.0).abs() < 0.02, "channel {i}: {ours}");
    }
}

/// Single channels with auto-multithresh, control per channel: the mask, the components and the peak of
/// every round. Masks follow residuals, which differ from CASA's by its gridding error, so their outlines move
/// by a few pixels in thousands.
///
/// fn_10 goes on growing down to 1.5 times the noise for two rounds more, where the mask hangs on tiny
/// differences: tclean itself, with cells of 0.100003 for 0.1 arcsec, makes a mask that overlaps by 0.92 with
/// its own (`assets/automask_sensitivity.py`). And it has components in the corner of the image, which
/// tclean's restoration, a convolution by transforms without padding, repeats at the opposite edges; ours
/// does not, so there the images are compared inside the border.
pub fn check_auto_masks(processor: Processor) {
    for name in ["one_10", "one_16", "one_24", "fn_10", "fn_16", "mpc_16"] {
        let casa = golden(name);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let summary = run(&casa, "small", dir.path(), processor);
        if let Some(bus) = &summary.resources.bus {
            // The mask is made on the host, of the residual, once a round and once to see the end.
            let planes = bus.clean.to_host(Cargo::Planes) / (4 * 256 * 256);
            let rounds = summary.channels[0].minor.len() as u64;
            assert!((1..=rounds + 1).contains(&planes), "{name}: {planes} planes, {rounds} rounds");
        }
        let [channel] = summary.channels.as_slice() else { panic!("{name} has one channel") };
        check_rounds(name, &casa, 0, channel, 0.0);
        assert_eq!(Some(u64::from(channel.stopcode)), casa.ret["stopcode"].as_u64(), "{name}");
        // The mask that the last minor cycle used; outlines of the faintest regions differ most.
        let overlap = overlap(dir.path(), &casa, 0);
        println!("{name}: overlap of the masks {overlap:.4}");
        let least = if name == "fn_10" { 0.95 } else { 0.99 };
        assert!(overlap >= least, "{name}: masks overlap by {overlap}");
        let (max, rms) = difference(&plane(dir.path(), "image", 0), &casa.plane("image", 0));
        let inside = max_abs(&centre(&(&plane(dir.path(), "image", 0) - &casa.plane("image", 0))));
        let [max, inside, rms] = [max, inside, rms].map(|v| v / channel.rms);
        println!(
            "{name}: image max {max:.2}, inside the border {inside:.2}, rms {rms:.3} of the noise"
        );
        let max = if name == "fn_10" { inside } else { max };
        assert!(rms <= 0.1 && max <= 1.0, "{name}: images differ by {max}, rms {rms} of the noise");
    }
}
