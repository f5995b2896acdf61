//! Runs that write subcubes and make them one: in every mode the same cube as one that is written directly,
//! also when they are killed, or several.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use cubeclean::cube::{CubeReader, Plane};

const JOB: &str = "--specmode cube --imsize 96 --cell 0.2arcsec --outframe TOPO --interpolation nearest --backend cpu \
                   --weighting briggsbwtaper --restoringbeam common --niter 200 --threshold 20mJy --usemask pb \
                   --pbmask 0.3 --pbcor --threads 2 --memory-limit 120MB";

const PRODUCTS: [&str; 8] =
    ["psf", "residual", "model", "mask", "image", "image.pbcor", "pb", "sumwt"];

fn command(imagename: &Path, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cubeclean"));
    command
        .arg("image")
        .arg("--vis")
        .arg(common::ms("small"))
        .arg("--imagename")
        .arg(imagename)
        .args(JOB.split_whitespace())
        .args(more.split_whitespace());
    command
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn run(imagename: &Path, more: &str) -> Output {
    command(imagename, more).output().expect("the program starts")
}

fn bits(plane: &Plane) -> (Vec<u32>, &cubeclean::mask::Mask) {
    (plane.values.iter().map(|value| value.to_bits()).collect(), &plane.valid)
}

/// Asserts that all products are those of the other run, pixel by pixel.
#[track_caller]
fn assert_same(expected: &Path, found: &Path) {
    for product in PRODUCTS {
        let open = |dir: &Path| CubeReader::open(dir.join(format!("im.{product}"))).unwrap();
        let (a, b) = (open(expected), open(found));
        assert_eq!((a.shape(), a.world()), (b.shape(), b.world()), "{product}");
        for channel in 0..32 {
            let (a, b) = (a.read_plane(0, channel).unwrap(), b.read_plane(0, channel).unwrap());
            assert!(bits(&a) == bits(&b), "{product}, channel {channel}");
        }
    }
}

/// Names in a directory.
fn names(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// python-casacore compares the restored images.
fn python(whole: &Path, other: &Path) {
    let python = std::env::var_os("CUBECLEAN_TEST_PYTHON").expect(
        "CUBECLEAN_TEST_PYTHON is not set: it names a python with python-casacore; tests/run.sh makes one",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/concat.py");
    succeeds(&Command::new(python).arg(script).arg(whole).arg(other).output().unwrap());
}

fn direct() -> (tempfile::TempDir, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    succeeds(&run(&dir.path().join("im"), ""));
    (dir, start.elapsed())
}

#[test]
fn every_mode_makes_the_cube_of_a_direct_run() {
    let (expected, _) = direct();
    let products: Vec<String> = {
        let mut names: Vec<_> = PRODUCTS.iter().map(|p| format!("im.{p}")).collect();
        names.sort();
        names
    };
    assert_eq!(names(expected.path()), products);
    for (mode, subcubes_stay) in [
        ("--concat-mode paged", false),
        ("--concat-mode paged --keep-subcubes", true),
        ("--concat-mode virtual", true),
        ("--keep-subcubes", true),
        ("--concat-mode movevirtual", false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        succeeds(&run(&dir.path().join("im"), &format!("{mode} --cube-chunksize 7")));
        assert_same(expected.path(), dir.path());
        let virtual_image = dir.path().join("im.image/imageconcat.json").exists();
        assert_eq!(virtual_image, !mode.contains("paged"), "{mode}");
        let subcubes = names(dir.path()).iter().filter(|n| n.contains("subcube")).count();
        // 32 channels by seven: five subcubes of eight products.
        assert_eq!(subcubes, if subcubes_stay { 40 } else { 0 }, "{mode}");
        assert_eq!(names(dir.path()).len(), subcubes + 8, "{mode}: {:?}", names(dir.path()));
        python(&expected.path().join("im.image"), &dir.path().join("im.image"));
        // Nothing is replaced unasked, and a cube is made anew when asked.
        assert!(!run(&dir.path().join("im"), mode).status.success());
        succeeds(&run(&dir.path().join("im"), &format!("{mode} --cube-chunksize 7 --overwrite")));
        assert_same(expected.path(), dir.path());
    }
}

#[test]
fn killed_runs_and_several_processes_make_the_same() {
    let (expected, whole) = direct();
    let mut state = 7u64;
    for mode in ["paged", "virtual", "movevirtual"] {
        let more = format!("--concat-mode {mode} --cube-chunksize 5");
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("im");
        let mut kills = 0;
        for attempt in 0u32.. {
            assert!(attempt < 40, "{mode}: no end");
            let mut child = command(&name, &format!("{more} --resume"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            thread::sleep(whole * ((state >> 40) % 100) as u32 / 80 + attempt * whole / 20);
            child.kill().unwrap();
            match child.wait().unwrap().code() {
                Some(0) => break,
                Some(code) => {
                    // It was killed when all was done.
                    assert_eq!(code, 1, "{mode}");
                    break;
                }
                None => kills += 1,
            }
        }
        eprintln!("{mode}: {kills} kills");
        assert_same(expected.path(), dir.path());
        let left: Vec<_> = names(dir.path());
        assert!(
            !left.iter().any(|n| n.contains("incomplete") || n.contains("journal")),
            "{left:?}"
        );

        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("im");
        let part = |range: &str| {
            command(&name, &format!("{more} --channel-range {range}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        // Subcube 3 is written by both.
        for mut child in [part("0~17"), part("18~31")] {
            assert_eq!(child.wait().unwrap().code(), Some(0), "{mode}");
        }
        assert_same(expected.path(), dir.path());
    }
}

#[test]
fn what_cannot_be_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let name: PathBuf = dir.path().join("im");
    for (more, words) in [
        ("--concat-mode virtual --format casa,fits", "makes CASA images"),
        ("--concat-mode direct --keep-subcubes", "there are none"),
        ("--cube-chunksize 4", "there are none"),
        ("--concat-mode movevirtual --keep-subcubes", "moves them into the cube"),
        ("--concat-mode nosuch", "concat-mode"),
    ] {
        let output = run(&name, more);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more}: {message}");
        assert!(message.contains(words), "{more}: {message}");
    }
    assert!(names(dir.path()).is_empty());
}
