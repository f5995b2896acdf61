//! Continuing from an earlier run: `restart`, `calcres`, `calcpsf`, `startmodel`.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use common::{
    Golden, golden,
    pipeline::{CPU, bits, config, difference, plane, run},
};
use cubeclean::report::{Event, Progress, Silent, Summary};

type Settings<'a> = &'a [(&'a str, &'a str)];

const CIRCLE: Settings = &[("mask", "circle[[128pix,128pix],50pix]")];
/// What a run that starts anew says of what the goldens leave out.
const ANEW: Settings = &[("calcres", "true"), ("calcpsf", "true")];
const CONTINUE: Settings = &[("restart", "true"), ("calcres", "false"), ("calcpsf", "false")];
const AS_ALL: Settings = &[("restart", "true"), ("calcres", "true"), ("calcpsf", "true")];

/// A run of `golden`'s arguments on `small`, changed.
fn small(golden: &Golden, dir: &Path, changes: &[Settings]) -> Summary {
    run(golden, "small", dir, &changes.concat())
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_tree(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// All files below a directory that belong to finished products, with their contents.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy();
        if name.ends_with(".incomplete") || name.ends_with(".journal") {
            continue;
        }
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    found
}

#[track_caller]
fn same_bits(a: &Path, b: &Path, channels: usize) {
    for ((product, a), (_, b)) in bits(a, channels).iter().zip(&bits(b, channels)) {
        assert!(a == b, "{product} differs");
    }
}

/// The pipelines' way: a dirty cube, from which cleaning then continues, under the same name or under
/// another one with copies. It is the same as one run, in every bit.
fn check_dirty_then_clean(case: Settings, channels: usize) {
    let casa = golden("restart_10");
    let clean = [("niter", "400")];
    let (once, twice, copied) = (temporary(), temporary(), temporary());
    let whole = small(&casa, once.path(), &[ANEW, case, &clean]);
    assert!(
        whole.iterdone() >= 400 && whole.channels[0].minor.len() > 1,
        "the test means to clean"
    );
    small(&casa, twice.path(), &[ANEW, case, &[("niter", "0")]]);
    for product in ["psf", "residual", "model"] {
        let name = format!("im.{product}");
        copy_tree(&twice.path().join(&name), &copied.path().join(&name));
    }
    for dir in [twice.path(), copied.path()] {
        let continued = small(&casa, dir, &[case, CONTINUE, &clean]);
        same_bits(once.path(), dir, channels);
        for (a, b) in whole.channels.iter().zip(&continued.channels) {
            assert_eq!(format!("{:?}", a.minor), format!("{:?}", b.minor));
            // The first residual is not counted: it was not made.
            assert_eq!(a.nmajordone, b.nmajordone + 1);
        }
    }
}

#[test]
fn a_dirty_run_and_a_restart_are_one_run() {
    check_dirty_then_clean(&[CPU, CIRCLE, &[("nchan", "3"), ("start", "9")]].concat(), 3);
}

/// The dirty run's own mask, which is that of `usemask=user` here, does not enter an automatic one.
#[test]
fn a_dirty_run_and_a_restart_are_one_run_with_automatic_masks() {
    let auto = [("usemask", "auto-multithresh"), ("sidelobethreshold", "2.5")];
    check_dirty_then_clean(&[CPU, &auto[..]].concat(), 1);
    let casa = golden("restart_10");
    let (once, twice) = (temporary(), temporary());
    let clean = [("niter", "300")];
    small(&casa, once.path(), &[ANEW, CPU, &auto, &clean]);
    small(&casa, twice.path(), &[ANEW, CPU, &[("niter", "0")]]);
    small(&casa, twice.path(), &[CONTINUE, CPU, &auto, &clean]);
    same_bits(once.path(), twice.path(), 1);
}

#[test]
fn a_dirty_run_and_a_restart_are_one_run_on_a_gpu() {
    let device = std::env::var("CUBECLEAN_TEST_DEVICE").unwrap_or_else(|_| "0".into());
    let case = [
        ("backend", "gpu"),
        ("device", &*device),
        ("imsize", "64"),
        ("cell", "0.4arcsec"),
        ("nchan", "2"),
        ("mask", "circle[[32pix,32pix],12pix]"),
    ];
    check_dirty_then_clean(&case, 2);
}

/// tclean's record of the one channel, last run.
fn record(golden: &Golden, field: &str) -> Vec<f64> {
    let values = golden.ret["summaryminor"]["0"]["0"]["0"][field].as_array().expect("a list");
    values.iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// 300 components, then 200 more. The mask goes on without being given, iterations count anew, the flux of the
/// model does not; and whatever is computed again comes out as it was. Tolerances: CASA's planes are 1e-3
/// of the dirty peak (0.56 Jy/beam) off an exact transform at most, 1.4e-4 of it rms.
#[test]
fn more_components_are_placed_as_tclean_places_them() {
    let casa = golden("restart_10");
    let (first, dir) = (temporary(), temporary());
    small(&casa, first.path(), &[ANEW, CPU, CIRCLE, &[("niter", "300")]]);
    let all_anew = temporary();
    copy_tree(first.path(), dir.path());
    copy_tree(first.path(), all_anew.path());
    let summary = small(&casa, dir.path(), &[CPU, CONTINUE]);
    let channel = &summary.channels[0];
    assert_eq!(channel.minor.len(), record(&casa, "iterDone").len());
    let minor = &channel.minor[0];
    for (field, ours, tolerance) in [
        ("iterDone", minor.iter_done as f64, 0.0),
        ("startIterDone", minor.start_iter_done as f64, 0.0),
        ("masksum", minor.masksum as f64, 0.0),
        ("startPeakRes", minor.start_peak_res, 3e-4),
        ("peakRes", minor.peak_res, 3e-4),
        ("startPeakResNM", minor.start_peak_res_nm, 3e-4),
        ("cycleThresh", minor.cycle_thresh, 3e-5),
        ("startModelFlux", minor.start_model_flux, 5e-3),
        ("modelFlux", minor.model_flux, 5e-3),
    ] {
        let theirs = record(&casa, field)[0];
        println!("restart_10 {field}: {ours} CASA {theirs}");
        assert!((ours - theirs).abs() <= tolerance, "{field}: {ours}, CASA {theirs}");
    }
    let image = plane(dir.path(), "image", 0);
    let (max, rms) = difference(&image, &casa.plane("image", 0));
    println!(
        "restart_10: image max {:.3}, rms {:.4} of the noise",
        max / channel.rms,
        rms / channel.rms
    );
    assert!(max <= channel.rms && rms <= 0.1 * channel.rms);
    assert_eq!(Some(u64::from(channel.stopcode)), casa.ret["stopcode"].as_u64());
    assert_eq!(Some(summary.nmajordone() as u64), casa.ret["nmajordone"].as_u64());

    small(&casa, all_anew.path(), &[CPU, AS_ALL]);
    same_bits(dir.path(), all_anew.path(), 1);
}

/// Automatic masks begin with the earlier one, which is not grown in the first round: 4378 pixels in tclean,
/// 4147 without it.
#[test]
fn automatic_masks_go_on_as_in_tclean() {
    let casa = golden("restart_auto_10");
    let dir = temporary();
    small(&casa, dir.path(), &[ANEW, CPU]);
    let summary = small(&casa, dir.path(), &[CPU, CONTINUE]);
    let (ours, theirs) = (summary.channels[0].minor[0].masksum as f64, record(&casa, "masksum")[0]);
    println!("restart_auto_10: mask {ours}, CASA {theirs}");
    assert!((ours / theirs - 1.0).abs() <= 0.01, "{ours} pixels, CASA {theirs}");
    let (mask, casa_mask) = (plane(dir.path(), "mask", 0), casa.mask(0));
    let both = mask.iter().zip(&casa_mask).filter(|(o, t)| **o > 0.0 && **t).count() as f64;
    assert!(both / casa_mask.iter().filter(|t| **t).count() as f64 >= 0.99);
}

/// A model to start from gives the residual of the run that made it, from a CASA image and from FITS.
#[test]
fn a_startmodel_is_subtracted() {
    let casa = golden("restart_10");
    let first = temporary();
    let both = [("niter", "300"), ("format", "casa,fits")];
    let cleaned = small(&casa, first.path(), &[ANEW, CPU, CIRCLE, &both]);
    for name in ["im.model", "im.model.fits"] {
        let model = first.path().join(name);
        let start = [("niter", "0"), ("startmodel", model.to_str().unwrap())];
        let dir = temporary();
        let summary = small(&casa, dir.path(), &[ANEW, CPU, &start]);
        let residual = plane(dir.path(), "residual", 0);
        assert!(residual == plane(first.path(), "residual", 0), "{name}: the residual differs");
        assert_eq!(plane(dir.path(), "model", 0), plane(first.path(), "model", 0), "{name}");
        let (ours, before) =
            (&summary.channels[0].minor[0], cleaned.channels[0].minor.last().unwrap());
        assert!((ours.start_model_flux / before.model_flux - 1.0).abs() < 1e-6);
        assert_eq!((ours.model_flux, ours.iter_done), (ours.start_model_flux, 0));
    }

    // tclean's own model, started from in both: the same peak and flux.
    let casa = golden("startmodel_10");
    let dir = temporary();
    small(&casa, dir.path(), &[ANEW, CPU, &[("niter", "0"), ("startmodel", "")]]);
    put_model(&dir.path().join("im.model"), &casa);
    let summary = small(&casa, dir.path(), &[CPU, AS_ALL, &[("startmodel", "")]]);
    let ours = &summary.channels[0].minor[0];
    let (flux, peak) = (record(&casa, "startModelFlux")[0], record(&casa, "startPeakResNM")[0]);
    println!(
        "startmodel_10: flux {} CASA {flux}; peak {} CASA {peak}",
        ours.model_flux, ours.peak_res_nm
    );
    assert!((ours.model_flux / flux - 1.0).abs() < 1e-6);
    assert!((ours.start_peak_res_nm - peak).abs() < 3e-4);
}

/// Writes a golden's model into the pixels of a CASA image of ours: one plane, tiles of 128 × 128.
fn put_model(image: &Path, casa: &Golden) {
    const TILE: usize = 128;
    let model = casa.plane("model", 0);
    let mut bytes = fs::read(image.join("table.f0_TSM0")).unwrap();
    let tiles = model.dim().1 / TILE;
    for ((y, x), value) in model.indexed_iter() {
        let at = (y / TILE * tiles + x / TILE) * TILE * TILE + y % TILE * TILE + x % TILE;
        bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
    }
    fs::write(image.join("table.f0_TSM0"), bytes).unwrap();
    assert_eq!(plane(image.parent().unwrap(), "model", 0), model, "the place of the pixels");
}

/// niter=0 with everything taken over only restores: here with another beam.
#[test]
fn products_can_be_restored_anew() {
    let casa = golden("restart_10");
    let (once, twice) = (temporary(), temporary());
    let (clean, beam) = ([("niter", "300")], [("restoringbeam", "2arcsec")]);
    small(&casa, once.path(), &[ANEW, CPU, CIRCLE, &clean, &beam]);
    small(&casa, twice.path(), &[ANEW, CPU, CIRCLE, &clean]);
    assert!(plane(once.path(), "image", 0) != plane(twice.path(), "image", 0));
    small(&casa, twice.path(), &[CPU, CONTINUE, &[("niter", "0")], &beam]);
    same_bits(once.path(), twice.path(), 1);
}

/// FITS files have all that is needed where nothing is blanked.
#[test]
fn fits_products_are_continued_from() {
    let casa = golden("restart_10");
    let fits = [("format", "fits"), ("pblimit", "-0.2")];
    let (once, twice) = (temporary(), temporary());
    small(&casa, once.path(), &[ANEW, CPU, CIRCLE, &fits, &[("niter", "100"), ("format", "casa")]]);
    small(&casa, twice.path(), &[ANEW, CPU, CIRCLE, &fits, &[("niter", "0")]]);
    let both = [("niter", "100"), ("format", "casa,fits"), ("pblimit", "-0.2")];
    small(&casa, twice.path(), &[CPU, CIRCLE, CONTINUE, &both]);
    same_bits(once.path(), twice.path(), 1);
}

/// With `restart` said, a first run starts from nothing; without it, existing products are an error that
/// names both ways on.
#[test]
fn whether_to_continue_is_said() {
    let casa = golden("restart_10");
    let dir = temporary();
    let dirty = [("niter", "0"), ("imsize", "64"), ("cell", "0.4arcsec")];
    small(&casa, dir.path(), &[CPU, AS_ALL, &dirty]);
    let before = files(dir.path());
    for said in [&[][..], &[("restart", "false")]] {
        let changes = [ANEW, CPU, &dirty, said].concat();
        let config = config(&casa, "small", dir.path(), &changes).unwrap();
        let message = cubeclean::run::image(&config, &Silent).unwrap_err().to_string();
        assert!(message.contains("--overwrite") && message.contains("--restart"), "{message}");
        assert!(files(dir.path()) == before);
    }
}

/// Every refusal names what does not fit, both values and the way out, and leaves all products as they are.
#[test]
fn what_does_not_fit_is_refused_and_nothing_changes() {
    let casa = golden("restart_10");
    let dir = temporary();
    let least =
        [("imsize", "64"), ("cell", "0.4arcsec"), ("pblimit", "0.5"), ("format", "casa,fits")];
    let base = [CPU, &least[..]].concat();
    small(&casa, dir.path(), &[ANEW, &base, &[("niter", "20"), ("mask", "")]]);
    let model = dir.path().join("im.model");
    let image = dir.path().join("im.image");
    let elsewhere = dir.path().join("other/im");
    let (model, image, elsewhere) =
        (model.to_str().unwrap(), image.to_str().unwrap(), elsewhere.to_str().unwrap());
    let before = files(dir.path());
    for (changes, words) in [
        (&[("imsize", "50")][..], &["im.psf", "64 x 64", "50 x 50", "--overwrite"][..]),
        (&[("cell", "0.5arcsec")], &["0.400000", "0.500000", "pixels off"]),
        (&[("phasecenter", "J2000 15h22m 5d04m")], &["direction axes", "off the image's"]),
        (&[("start", "12")], &["frequency axis", "channels off", "GHz"]),
        (&[("nchan", "2")], &["1 channels", "2 channels"]),
        (&[("weighting", "natural")], &["im.sumwt", "channel 0", "weighting"]),
        (&[("format", "fits")], &["im.residual.fits", "below 0.5", "calcres"]),
        (&[("imagename", elsewhere)], &["im.psf", "does not exist", "calcpsf=false", "niter 0"]),
        (
            &[("imagename", elsewhere), ("calcpsf", "true")],
            &["other/im.residual", "does not exist", "calcres=false"],
        ),
        (&[("startmodel", model)], &["startmodel=", "calcres"]),
        (&[("startmodel", model), ("calcres", "true")], &["startmodel=", "im.model", "move"]),
        (&[("overwrite", "true")], &["overwrite=true", "calcpsf=false"]),
        (&[("restart", "false")], &["restart=false", "calcpsf=false", "leave"]),
        (&[("products", "image,image.pbcor,model")], &["products=", "residual"]),
        (
            &[
                ("imagename", elsewhere),
                ("calcres", "true"),
                ("calcpsf", "true"),
                ("startmodel", image),
            ],
            &["im.image", "Jy/beam", "Jy/pixel"],
        ),
        (
            &[
                ("imagename", elsewhere),
                ("calcres", "true"),
                ("calcpsf", "true"),
                ("startmodel", "nosuch.model"),
            ],
            &["nosuch.model"],
        ),
    ] {
        let changes = [&base[..], CONTINUE, changes].concat();
        let message = config(&casa, "small", dir.path(), &changes)
            .and_then(|config| cubeclean::run::image(&config, &Silent))
            .expect_err("an error")
            .to_string();
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
        assert!(files(dir.path()) == before, "products have changed: {message}");
    }
}

/// Asks a run to stop when it looks for the `last`-th time.
struct Stopper {
    count: AtomicUsize,
    last: usize,
}

impl Progress for Stopper {
    fn event(&self, event: Event) {
        Silent.event(event);
    }

    fn stop_requested(&self) -> Option<String> {
        (self.count.fetch_add(1, Ordering::Relaxed) + 1 >= self.last).then(|| "SIGTERM".into())
    }
}

/// A run that continues and is stopped leaves the earlier products as they were, and can be started again.
#[test]
fn a_stopped_restart_leaves_the_earlier_products() {
    let casa = golden("restart_10");
    let (dir, once) = (temporary(), temporary());
    let case =
        [CPU, &[("imsize", "64"), ("cell", "0.4arcsec"), ("mask", ""), ("niter", "50")]].concat();
    small(&casa, once.path(), &[ANEW, &case]);
    small(&casa, dir.path(), &[ANEW, &case, &[("niter", "0")]]);
    let before = files(dir.path());
    for last in 1..=3 {
        let changes = [&case[..], CONTINUE, &[("resume", "true")]].concat();
        let config = config(&casa, "small", dir.path(), &changes).unwrap();
        let stopper = Stopper { count: AtomicUsize::new(0), last };
        let error = cubeclean::run::image(&config, &stopper).expect_err("it was stopped");
        assert_eq!(error.exit_code(), 3, "{error}");
        assert!(files(dir.path()) == before, "products have changed");
    }
    // Without a word about the one that was stopped, another one does not begin.
    let changes = [&case[..], CONTINUE].concat();
    let config = config(&casa, "small", dir.path(), &changes).unwrap();
    let error = cubeclean::run::image(&config, &Silent).expect_err("one was stopped");
    assert!(error.to_string().contains("--resume"), "{error}");
    small(&casa, dir.path(), &[&case, CONTINUE, &[("resume", "true")]]);
    same_bits(once.path(), dir.path(), 1);
}
