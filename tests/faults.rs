//! What happens when something is wrong: the message names the thing, its value and the way out; the
//! exit status is right; files that were there are untouched.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const CPU: &str = "--backend cpu";

/// `cubeclean image` on a set with the least that is needed, and further arguments.
fn image(ms: &Path, imagename: &Path, more: &str) -> Output {
    // Where no backend is named, what goes wrong must not depend on the machine's GPUs.
    let backend = if more.contains("--backend") || more.contains("--device") { "" } else { CPU };
    let least =
        "--specmode cube --imsize 64 --cell 0.1arcsec --outframe TOPO --interpolation nearest";
    Command::new(env!("CARGO_BIN_EXE_cubeclean"))
        .arg("image")
        .arg("--vis")
        .arg(ms)
        .arg("--imagename")
        .arg(imagename)
        .args(least.split(' '))
        .args(backend.split_whitespace())
        .args(more.split(' ').filter(|word| !word.is_empty()))
        .output()
        .expect("the program starts")
}

/// Asserts the exit status, and that standard error says all of `words`.
#[track_caller]
fn fails(output: &Output, status: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
    assert!(!message.contains("panicked"), "{message}");
}

/// A copy of a set, to be damaged.
fn copy(name: &str, into: &Path) -> PathBuf {
    let target = into.join(format!("{name}.ms"));
    copy_tree(&common::ms(name), &target);
    target
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Names in a directory that belong to products.
fn products(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|n| n.starts_with("im")).collect();
    names.sort();
    names
}

#[test]
fn a_missing_column_is_not_replaced_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let ms = common::ms("ngc5921_contsub"); // DATA only
    let output = image(&ms, &dir.path().join("im"), "--datacolumn corrected");
    fails(&output, 1, &["datacolumn=corrected", "CORRECTED_DATA", "data"]);
    assert!(products(dir.path()).is_empty(), "{:?}", products(dir.path()));
}

#[test]
fn what_is_no_measurement_set_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = dir.path().join("nothing.ms");
    fails(&image(&nothing, &dir.path().join("im"), ""), 1, &["nothing.ms"]);
    fs::create_dir(&nothing).unwrap();
    fails(&image(&nothing, &dir.path().join("im"), ""), 1, &["nothing.ms"]);
    fs::write(nothing.join("table.dat"), b"not a table").unwrap();
    fails(&image(&nothing, &dir.path().join("im"), ""), 1, &["nothing.ms"]);
}

#[test]
fn a_truncated_column_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let ms = copy("small", dir.path());
    // CORRECTED_DATA's tiles, cut to a half.
    let largest = fs::read_dir(&ms)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().ends_with("f18_TSM1"))
        .max_by_key(|p| p.metadata().unwrap().len())
        .unwrap();
    let file = fs::OpenOptions::new().write(true).open(&largest).unwrap();
    file.set_len(largest.metadata().unwrap().len() / 2).unwrap();
    let output = image(&ms, &dir.path().join("im"), "--datacolumn corrected");
    fails(&output, 1, &["small.ms"]);
}

#[test]
fn empty_selections_say_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let (ms, name) = (common::ms("small"), dir.path().join("im"));
    fails(&image(&ms, &name, "--field NOSUCH"), 1, &["field=NOSUCH", "small.ms"]);
    fails(&image(&ms, &name, "--spw 7"), 1, &["spw=7", "small.ms"]);
    fails(&image(&ms, &name, "--spw 0:40~50"), 1, &["spw=0:40~50", "small.ms"]);
    fails(&image(&ms, &name, "--stokes RR"), 1, &["stokes=RR"]);
    assert!(products(dir.path()).is_empty());
}

#[test]
fn bad_values_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    let (ms, name) = (common::ms("small"), dir.path().join("im"));
    for (arguments, words) in [
        ("--restfreq 115parsec", &["restfreq=115parsec", "GHz"][..]),
        ("--threshold 5km/s", &["threshold=5km/s", "mJy"]),
        ("--start 2furlong", &["start=2furlong", "km/s"]),
        ("--weighting brigs", &["weighting=brigs", "briggsbwtaper"]),
        ("--gridder mosaic", &["gridder=mosaic", "standard"]),
        ("--treshold 3", &["--treshold", "--threshold"]),
        ("--niter", &["--niter"]),
    ] {
        fails(&image(&ms, &name, arguments), 2, words);
    }
    assert!(products(dir.path()).is_empty());
}

#[test]
fn existing_products_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (ms, name) = (common::ms("small"), dir.path().join("im"));
    fs::create_dir(dir.path().join("im.psf")).unwrap();
    fs::write(dir.path().join("im.psf/precious"), "data").unwrap();
    fails(&image(&ms, &name, ""), 1, &["im.psf", "--overwrite"]);
    assert_eq!(products(dir.path()), ["im.psf"]);
    assert_eq!(fs::read_to_string(dir.path().join("im.psf/precious")).unwrap(), "data");

    let summary = dir.path().join("im.json");
    fs::write(&summary, "mine").unwrap();
    let other = dir.path().join("im2");
    let output = image(&ms, &other, &format!("--summary {}", summary.display()));
    fails(&output, 1, &["im.json", "--overwrite"]);
    assert_eq!(fs::read_to_string(&summary).unwrap(), "mine");
    assert_eq!(products(dir.path()), ["im.json", "im.psf"]);
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let ms = common::ms("small");
    // A file stands where the directory would have to be. (Permissions do not stop root.)
    fs::write(dir.path().join("file"), "").unwrap();
    fails(&image(&ms, &dir.path().join("file/im"), "--spw 0:0"), 1, &["file"]);
}

#[test]
fn a_mask_that_cannot_be_read_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (ms, name) = (common::ms("small"), dir.path().join("im"));
    for (mask, words) in [("circle[[1pix,2pix]", &["mask="][..]), ("nosuch.crtf", &["nosuch.crtf"])]
    {
        let output = image(&ms, &name, &format!("--niter 10 --mask {mask}"));
        assert!(matches!(output.status.code(), Some(1 | 2)));
        fails(&output, output.status.code().unwrap(), words);
    }
    assert!(products(dir.path()).is_empty(), "{:?}", products(dir.path()));
}

#[test]
fn a_job_that_does_not_fit_is_refused_with_the_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let output = image(&common::ms("small"), &dir.path().join("im"), "--memory-limit 1MB");
    fails(&output, 1, &["host memory", "--memory-limit"]);
    assert!(products(dir.path()).is_empty(), "{:?}", products(dir.path()));
}

/// GPUs that are not there, cannot do the job, or are too small: before anything is written.
#[test]
fn gpus_that_will_not_do_are_refused_with_a_way_out() {
    use cubeclean::backend::gpu::{adapter, adapters};
    let found = adapters();
    assert!(!found.is_empty(), "this test needs a GPU or a software one (lavapipe)");
    let dir = tempfile::tempdir().unwrap();
    let (ms, name) = (common::ms("small"), dir.path().join("im"));
    let unknown = image(&ms, &name, "--backend gpu --device radeon9999");
    fails(&unknown, 1, &["radeon9999", "there are: 0: "]);
    let small = image(&ms, &name, "--device 0 --device-memory 1MB");
    fails(&small, 1, &["device memory for one channel", "1.0 MB available", "--device-memory"]);
    let accurate = image(&ms, &name, "--device 0 --gridding-accuracy 1e-6");
    fails(&accurate, 2, &["gridding-accuracy=", "--backend cpu"]);
    let idle = image(&ms, &name, "--backend cpu --device 0");
    fails(&idle, 2, &["device=0", "--backend gpu"]);
    // Software is not taken unasked; adapter.rs tests the same with lists of adapters.
    if adapter::automatic(&found).is_err() {
        fails(&image(&ms, &name, "--backend gpu"), 1, &[&found[0].name, "--device"]);
    }
    assert!(products(dir.path()).is_empty(), "{:?}", products(dir.path()));
}

/// A sample that is not a number is dropped with its weight, and nothing else changes.
#[test]
fn nan_visibilities_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let ms = copy("small", dir.path());
    let tiles = ms.join("table.f18_TSM1");
    let mut bytes = fs::read(&tiles).unwrap();
    // The first tile begins with the channels and correlations of the first row.
    let good = bytes.clone();
    bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_ne!(good[..4], bytes[..4]);
    fs::write(&tiles, &bytes).unwrap();
    let run = |ms: &Path, name: &str| {
        let summary = dir.path().join(format!("{name}.json"));
        let more = format!("--spw 0:0~1 --summary {}", summary.display());
        let output = image(ms, &dir.path().join(name), &more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(summary).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        (0..2).map(|c| json["channels"][c]["sumwt"].as_f64().unwrap()).collect::<Vec<f64>>()
    };
    let (before, after) = (run(&common::ms("small"), "im_good"), run(&ms, "im_bad"));
    // WEIGHT of the first row is 44.59794 and 49.05773 (read with python-casacore).
    let lost = before[0] - after[0];
    assert!((lost - (44.59794 + 49.05773)).abs() < 1e-3, "{before:?} {after:?}");
    assert_eq!(after[1], before[1]);
}

/// SIGTERM ends a run between two steps of its work, with status 3, and nothing looks finished.
#[cfg(unix)]
#[test]
fn a_signal_stops_the_run() {
    use std::io::{BufRead, BufReader};
    let dir = tempfile::tempdir().unwrap();
    let arguments = "--specmode cube --imsize 512 --cell 0.1arcsec --outframe TOPO --niter 100000 --backend cpu --progress json";
    let mut run = Command::new(env!("CARGO_BIN_EXE_cubeclean"))
        .arg("image")
        .arg("--vis")
        .arg(common::ms("small"))
        .arg("--imagename")
        .arg(dir.path().join("im"))
        .args(arguments.split(' '))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Work has begun once the plan is told.
    let mut events = BufReader::new(run.stdout.take().unwrap()).lines();
    assert!(events.any(|line| line.unwrap().contains("\"planned\"")));
    let kill = Command::new("kill").args(["-TERM", &run.id().to_string()]).status().unwrap();
    assert!(kill.success());
    for _ in events {} // keeps the pipe open until the end
    let output = run.wait_with_output().unwrap();
    fails(&output, 3, &["SIGTERM", "--resume"]);
    let finished = |name: &String| !name.ends_with(".incomplete") && !name.ends_with(".journal");
    assert!(!products(dir.path()).iter().any(finished), "{:?}", products(dir.path()));
}

/// Where the system allows too few files.
#[cfg(unix)]
#[test]
fn too_few_open_files_are_refused_with_the_number() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 30 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_cubeclean")])
        .args(["image", "--specmode", "cube", "--imsize", "64", "--cell", "0.1arcsec"])
        .args(["--outframe", "TOPO", "--interpolation", "nearest", "--backend", "cpu"])
        .arg("--vis")
        .arg(common::ms("small"))
        .arg("--imagename")
        .arg(dir.path().join("im"))
        .output()
        .expect("the program starts");
    fails(&output, 1, &["open files", "30", "ulimit -n"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
