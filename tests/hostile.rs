//! Hostile input: bytes changed and files cut at random in MeasurementSets and images are errors or
//! harmless, never a panic, a hang or a claim to all memory; names that are strange but legal work.

mod common;

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use cubeclean::{
    cube::CubeReader,
    ms::{DataColumn, MeasurementSet, Selection, Stokes},
};

/// Reproducible numbers.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as usize) % below
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy_tree(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// Files below a path, in a fixed order.
fn files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    entries.iter().flat_map(|entry| files(entry)).collect()
}

/// A damaged copy of a file's bytes: cut, or with a few bytes changed. Most changes go to the first
/// kilobytes, where headers are.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    if damaged.is_empty() {
        return vec![0xff];
    }
    if random.next(4) == 0 {
        damaged.truncate(random.next(bytes.len()));
        return damaged;
    }
    for _ in 0..=random.next(4) {
        let reach = if random.next(3) > 0 { bytes.len().min(4096) } else { bytes.len() };
        let interesting = [0x00, 0x01, 0x7f, 0x80, 0xff, random.next(256) as u8];
        damaged[random.next(reach)] = interesting[random.next(interesting.len())];
    }
    damaged
}

/// Damages each of `victims` `times` times, one at a time, and calls `visit`, which may fail but not panic.
fn damage_each(
    victims: &[PathBuf],
    times: usize,
    seed: u64,
    visit: impl Fn() -> Result<(), String>,
) {
    // A claim for more than this ends the process, and so the test.
    let limit = libc::rlimit { rlim_cur: 12 << 30, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the structure is valid for the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    let mut random = Random(seed);
    let (mut refused, mut harmless) = (0, 0);
    visit().expect("undamaged");
    for victim in victims {
        let whole = fs::read(victim).unwrap();
        for round in 0..times {
            fs::write(victim, damage(&whole, &mut random)).unwrap();
            let outcome = catch_unwind(AssertUnwindSafe(&visit));
            match outcome {
                Ok(Ok(())) => harmless += 1,
                Ok(Err(message)) => {
                    refused += 1;
                    assert!(message.len() > 20, "{}: {message}", victim.display());
                }
                Err(_) => panic!("{}, round {round}: a panic", victim.display()),
            }
        }
        fs::write(victim, &whole).unwrap();
    }
    // Damage that nothing notices would be no test.
    assert!(refused > victims.len(), "{refused} refused, {harmless} harmless");
}

#[test]
fn damaged_measurement_sets_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged.ms");
    copy_tree(&common::ms("alma_b3_2ant"), &path);
    let visit = || {
        let read = || {
            let ms = Arc::new(MeasurementSet::open(&path)?);
            cubeclean::ms::describe(&ms)?;
            let selection = Selection {
                field: String::new(),
                spw: String::new(),
                datacolumn: DataColumn::Data,
                stokes: Stokes::I,
            };
            let selected = ms.select(&selection)?;
            let spw = &selected.spws()[0];
            selected.read(spw.id, spw.hull()).map(drop)
        };
        read().map_err(|e: cubeclean::Error| e.to_string())
    };
    let used = [
        "ANTENNA",
        "DATA_DESCRIPTION",
        "FIELD",
        "OBSERVATION",
        "POLARIZATION",
        "SOURCE",
        "SPECTRAL_WINDOW",
    ];
    let victims: Vec<PathBuf> = files(&path)
        .into_iter()
        .filter(|file| {
            let inside = file.strip_prefix(&path).unwrap();
            inside.components().count() == 1 || used.iter().any(|table| inside.starts_with(table))
        })
        .collect();
    damage_each(&victims, 30, 5, visit);
}

/// `cubeclean image` on a small set.
fn image(imagename: &Path, more: &[&str]) -> Output {
    let ms = common::ms("small");
    Command::new(env!("CARGO_BIN_EXE_cubeclean"))
        .args(["image", "--specmode", "cube", "--imsize", "64", "--cell", "0.1arcsec"])
        .args(["--outframe", "TOPO", "--interpolation", "nearest", "--backend", "cpu"])
        .args(["--spw", "0:0~1"])
        .arg("--vis")
        .arg(ms)
        .arg("--imagename")
        .arg(imagename)
        .args(more)
        .output()
        .expect("the program starts")
}

#[track_caller]
fn succeeds(output: &Output) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
}

#[track_caller]
fn fails(output: &Output, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn damaged_images_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    succeeds(&image(&name, &["--format", "casa,fits", "--products", "image"]));
    for path in ["im.image", "im.image.fits"].map(|name| dir.path().join(name)) {
        let read = || {
            let cube = CubeReader::open(&path)?;
            cube.read_plane(0, cube.shape()[3] - 1).map(drop)
        };
        let visit = || read().map_err(|e: cubeclean::Error| e.to_string());
        let victims: Vec<PathBuf> = files(&path)
            .into_iter()
            .filter(|file| !file.to_string_lossy().contains("logtable"))
            .collect();
        damage_each(&victims, 200, 7, visit);
    }
}

#[test]
fn strange_names_work() {
    let dir = tempfile::tempdir().unwrap();
    let strange: [&[u8]; 5] = [
        b"two words",
        "\u{f6}\u{4e2d}\u{1f52d}".as_bytes(),
        b"a\nline",
        b"quote'\"`$HOME",
        b"-dash",
    ];
    for name in strange {
        let name = dir.path().join(std::ffi::OsStr::from_bytes(name));
        succeeds(&image(&name, &["--products", "image"]));
        let mut product = name.into_os_string();
        product.push(".image");
        assert_eq!(CubeReader::open(product).unwrap().shape(), [64, 64, 1, 2]);
    }
}

#[test]
fn strange_places_are_errors_or_spared() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let snapshot = || fs::read_dir(dir.path()).unwrap().count();

    // A name too long for the file system.
    fails(&image(&at(&"x".repeat(250)), &["--products", "image"]), &["xxx", "long"]);
    assert_eq!(snapshot(), 0);

    // A link to nowhere is something that exists: it is not written through.
    std::os::unix::fs::symlink(at("nowhere"), at("link.image")).unwrap();
    fails(&image(&at("link"), &["--products", "image"]), &["link.image", "exists already"]);
    assert!(!at("nowhere").exists());

    // A link to an image: replaced itself, on demand; what it points to stays.
    succeeds(&image(&at("real"), &["--products", "image"]));
    let before = fs::read(at("real.image/table.dat")).unwrap();
    std::os::unix::fs::symlink(at("real.image"), at("alias.image")).unwrap();
    fails(&image(&at("alias"), &["--products", "image"]), &["alias.image", "exists already"]);
    succeeds(&image(&at("alias"), &["--products", "image", "--overwrite"]));
    assert!(!at("alias.image").is_symlink());
    assert_eq!(fs::read(at("real.image/table.dat")).unwrap(), before);

    // The MeasurementSet as the place of a product.
    let ms = at("data.image");
    copy_tree(&common::ms("small"), &ms);
    let before = files(&ms).len();
    let output = image(&at("data"), &["--products", "image"]);
    fails(&output, &["data.image", "exists already"]);
    assert_eq!(files(&ms).len(), before);
    let output = image(&at("data"), &["--products", "image", "--overwrite"]);
    fails(&output, &["data.image", "it is not a CASA image", "move it away"]);
    assert_eq!(files(&ms).len(), before);

    // A text under the name of a FITS file.
    fs::write(at("text.image.fits"), "a letter").unwrap();
    let output = image(&at("text"), &["--format", "fits", "--products", "image", "--overwrite"]);
    fails(&output, &["text.image.fits", "it is not a FITS file"]);
    assert_eq!(fs::read_to_string(at("text.image.fits")).unwrap(), "a letter");
}

#[test]
fn names_that_are_no_text_are_usage_errors() {
    let dir = tempfile::tempdir().unwrap();
    let output = image(&dir.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("UTF-8"));
}
