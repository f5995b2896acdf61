//! Concatenated images, judged by python-casacore and by our own reader against the cube written whole; and what is
//! refused.

use std::{
    f64::consts::PI,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cubeclean::{
    beam::Beam,
    cube::{self, Beams, CubeReader, CubeSpec, Format, Product, Start},
    geometry::{Direction, DirectionFrame, ImageGrid},
    mask::Mask,
    ms::Stokes,
    spectral::{ChannelGrid, FreqFrame},
};

const ARCSEC: f64 = PI / 648_000.0;
const NX: usize = 150;
const NY: usize = 40;
const NCHAN: usize = 9;

/// The channels from `first` on, as many as `n`, of a cube that runs down in frequency.
fn spec(first: usize, n: usize) -> CubeSpec {
    let width_hz = -488_281.25;
    CubeSpec {
        grid: ImageGrid {
            nx: NX,
            ny: NY,
            cell_x: 0.3 * ARCSEC,
            cell_y: 0.2 * ARCSEC,
            phase_center: Direction { ra: 4.3, dec: -0.4, frame: DirectionFrame::J2000 },
        },
        channels: ChannelGrid {
            frame: FreqFrame::Lsrk,
            start_hz: 230.5e9 + first as f64 * width_hz,
            width_hz,
            nchan: n,
            restfreq_hz: 230.538e9,
        },
        stokes: vec![Stokes::I],
        telescope: "ALMA".into(),
        observer: "O'Brien".into(),
        object: "disk".into(),
        obsdate_mjd: 59745.16726851852,
        telescope_position_m: [2225142.180269, -5440307.370349, -2481029.851874],
        history: vec![format!("channels from {first}")],
    }
}

fn plane(channel: usize) -> (Vec<f32>, Mask) {
    let value = |i: usize| ((i * 31 + channel * 101) % 977) as f32 / 7.0 - 50.0;
    let mut values: Vec<f32> = (0..NX * NY).map(value).collect();
    values[5] = f32::NAN;
    values[7] = 0.0;
    (values, Mask::from_fn(NX, NY, |x, y| !(x + 2 * y + channel).is_multiple_of(5)))
}

fn beam(channel: usize) -> Beam {
    let c = channel as f64;
    Beam { major: (0.7 + 0.001 * c) * ARCSEC, minor: 0.5 * ARCSEC, pa: (c - 30.0).to_radians() }
}

/// Writes channels of the cube as an image of their own.
fn write(name: &Path, product: Product, first: usize, n: usize, one_beam: bool) -> PathBuf {
    write_of(name, product, &spec(first, n), first, one_beam)
}

fn write_of(
    name: &Path,
    product: Product,
    spec: &CubeSpec,
    first: usize,
    one_beam: bool,
) -> PathBuf {
    let start = Start::New { overwrite: false };
    let writer = cube::create(name, product, Format::Casa, spec, start).unwrap();
    for channel in 0..spec.channels.nchan {
        let (values, valid) = plane(first + channel);
        writer.write_plane(0, channel, &values, Some(&valid)).unwrap();
    }
    let beams = match one_beam {
        true => Beams::Common(beam(0)),
        false => Beams::PerPlane((0..spec.channels.nchan).map(|c| Some(beam(first + c))).collect()),
    };
    writer.finish(&beams).unwrap()
}

/// `cubeclean concat` with the mode, result and images given.
fn concat(mode: &str, out: &Path, inputs: &[PathBuf]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cubeclean"))
        .args(["concat", "--mode", mode])
        .arg(out)
        .args(inputs)
        .output()
        .expect("the program starts")
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn python(arguments: &[&Path]) {
    let python = std::env::var_os("CUBECLEAN_TEST_PYTHON").expect(
        "CUBECLEAN_TEST_PYTHON is not set: it names a python with numpy and python-casacore; \
         tests/run.sh makes one",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/concat.py");
    let output = Command::new(&python).arg(script).args(arguments).output().unwrap();
    succeeds(&output);
}

/// Parts of 3, 1 and 5 channels.
fn parts(dir: &Path, product: Product, one_beam: bool) -> Vec<PathBuf> {
    [(0, 3), (3, 1), (4, 5)]
        .map(|(first, n)| write(&dir.join(format!("part{first}")), product, first, n, one_beam))
        .into()
}

#[test]
fn all_modes_make_the_cube_that_is_written_whole() {
    for (product, one_beam) in
        [(Product::Image, false), (Product::Image, true), (Product::Model, true)]
    {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let whole = write(&at("whole"), product, 0, NCHAN, one_beam);
        let mut inputs = parts(dir.path(), product, one_beam);
        inputs.swap(0, 2);
        let outs = ["paged.image", "virtual.image", "movevirtual.image"].map(at);
        for (mode, out) in ["paged", "virtual"].iter().zip(&outs) {
            succeeds(&concat(mode, out, &inputs));
        }
        python(&[&whole, &outs[0], &outs[1]]);
        // The references are to the images' places, so that they are gone when these move.
        succeeds(&concat("movevirtual", &outs[2], &inputs));
        assert!(inputs.iter().all(|input| !input.exists()));
        python(&[&whole, &outs[0], &outs[2]]);
        let bits = |plane: &cube::Plane| -> Vec<u32> {
            plane.values.iter().map(|value| value.to_bits()).collect()
        };
        let expected = CubeReader::open(&whole).unwrap();
        for out in [&outs[0], &outs[2]] {
            let found = CubeReader::open(out).unwrap();
            assert_eq!(found.shape(), expected.shape());
            assert_eq!(found.world(), expected.world());
            for channel in 0..NCHAN {
                let (a, b) = (found.read_plane(0, channel), expected.read_plane(0, channel));
                let (a, b) = (a.unwrap(), b.unwrap());
                assert_eq!((bits(&a), a.valid), (bits(&b), b.valid), "{} {channel}", out.display());
            }
        }
        // It is moved as one.
        fs::rename(&outs[2], at("elsewhere.image")).unwrap();
        python(&[&whole, &at("elsewhere.image")]);
        let names = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name());
        let left: Vec<_> = names.filter(|n| n.to_string_lossy().contains("incomplete")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_history_goes_along() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = parts(dir.path(), Product::Image, true);
    let out = dir.path().join("out.image");
    succeeds(&concat("paged", &out, &inputs));
    let log = cubeclean::ms::table::Table::open(out.join("logtable")).unwrap();
    let lines = log.strings("MESSAGE").unwrap();
    assert_eq!(lines[0], "channels from 0");
    assert!(lines[1].starts_with("cubeclean concat --mode paged"), "{lines:?}");
}

#[test]
fn a_move_that_was_interrupted_is_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let whole = write(&dir.path().join("whole"), Product::Image, 0, NCHAN, false);
    let inputs = parts(dir.path(), Product::Image, false);
    let out = dir.path().join("out.image");
    // As a kill after the second of three renames leaves it.
    let temporary = dir.path().join("out.image.incomplete");
    fs::create_dir(&temporary).unwrap();
    fs::write(temporary.join("imageconcat.json"), "{").unwrap();
    for input in &inputs[..2] {
        fs::rename(input, temporary.join(input.file_name().unwrap())).unwrap();
    }
    // Nobody takes what was moved for something to be overwritten.
    let overwriting = Command::new(env!("CARGO_BIN_EXE_cubeclean"))
        .args(["concat", "--overwrite"])
        .args([&out, &inputs[2]])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&overwriting.stderr).contains("has moved images into it"));
    succeeds(&concat("movevirtual", &out, &inputs));
    python(&[&whole, &out]);
    assert!(!temporary.exists());
}

/// A kill when the new image has the name, and before the old one is removed: the old one must not come back.
#[test]
fn an_image_that_was_replaced_stays_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.image");
    let temporary = dir.path().join("out.image.incomplete");
    let inputs = parts(dir.path(), Product::Image, false);
    succeeds(&concat("movevirtual", &out, &inputs));
    fs::rename(&out, &temporary).unwrap();
    let newer = parts(dir.path(), Product::Image, true);
    succeeds(&concat("movevirtual", &dir.path().join("new.image"), &newer));
    fs::rename(dir.path().join("new.image"), &out).unwrap();
    fs::write(out.join("cubeclean.new"), "").unwrap();
    succeeds(&concat("movevirtual", &out, &inputs));
    let info = cubeclean::ms::table::Table::open(out.join("part0.image")).unwrap();
    let info = info.keywords().record("imageinfo").cloned().unwrap();
    assert!(info.record("restoringbeam").is_some(), "the old image, of a beam a plane, is back");
    assert!(!temporary.exists() && !out.join("cubeclean.new").exists());
}

/// What is refused: the message names the image, what is wrong, and nothing is made or moved.
#[test]
fn images_that_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let [a, b, c] = <[PathBuf; 3]>::try_from(parts(dir.path(), Product::Image, false)).unwrap();
    let other = |name: &str, change: &dyn Fn(&mut CubeSpec)| {
        let mut changed = spec(3, 1);
        change(&mut changed);
        write_of(&at(name), Product::Image, &changed, 3, false)
    };
    let cell = other("cell", &|s| s.grid.cell_x *= 1.01);
    let center = other("center", &|s| s.grid.phase_center.dec += 1e-6);
    let size = {
        let mut changed = spec(3, 1);
        changed.grid.nx = NX / 2;
        let start = Start::New { overwrite: false };
        let writer =
            cube::create(at("size"), Product::Image, Format::Casa, &changed, start).unwrap();
        writer.write_plane(0, 0, &vec![0.0; NX / 2 * NY], None).unwrap();
        writer.finish(&Beams::Common(beam(3))).unwrap()
    };
    let width = other("width", &|s| s.channels.width_hz *= 1.001);
    let frame = other("frame", &|s| s.channels.frame = FreqFrame::Topo);
    let rest = other("rest", &|s| s.channels.restfreq_hz += 1e6);
    let shifted = other("shifted", &|s| s.channels.start_hz += 2e4);
    let stokes = other("stokes", &|s| s.stokes = vec![Stokes::XX]);
    let model = write(&at("model"), Product::Model, 3, 1, false);
    let truncated = write(&at("truncated"), Product::Image, 3, 1, false);
    let tiles = truncated.join("table.f0_TSM0");
    let bytes = fs::read(&tiles).unwrap();
    fs::write(&tiles, &bytes[..bytes.len() / 2]).unwrap();
    let no_table = write(&at("no_table"), Product::Image, 3, 1, false);
    fs::remove_file(no_table.join("table.dat")).unwrap();
    let file = at("file.fits");
    fs::write(&file, "SIMPLE  =").unwrap();
    fs::create_dir(at("empty")).unwrap();

    let cases: [(&str, &[&PathBuf], &[&str]); 16] = [
        ("paged", &[&a, &c], &["part4.image", "1.000 channels off", "a gap"]),
        ("paged", &[&a, &b, &c, &write(&at("again"), Product::Image, 3, 1, false)], &["overlap"]),
        ("paged", &[&a, &a], &["part0.image", "named twice"]),
        ("paged", &[&a, &cell], &["cell.image", "direction axes", "part0.image"]),
        ("virtual", &[&a, &center], &["center.image", "direction axes"]),
        ("paged", &[&a, &size], &["size.image", "pixels: is 75 x 40"]),
        ("paged", &[&a, &width], &["width.image", "channel width", "kHz"]),
        ("movevirtual", &[&a, &frame], &["frame.image", "frequency frame: is TOPO", "LSRK"]),
        ("paged", &[&a, &rest], &["rest.image", "rest frequency"]),
        ("paged", &[&a, &shifted], &["shifted.image", "channels off"]),
        ("paged", &[&a, &stokes], &["stokes.image", "Stokes planes", "XX"]),
        ("paged", &[&a, &model], &["model.model", "unit: is Jy/pixel"]),
        ("paged", &[&a, &truncated], &["truncated.image", "truncated"]),
        ("paged", &[&a, &no_table], &["no_table.image"]),
        ("virtual", &[&a, &file], &["file.fits", "not a CASA image", "importfits"]),
        ("movevirtual", &[&a, &at("empty")], &["empty"]),
    ];
    let snapshot = || {
        let names = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let before = snapshot();
    for (mode, inputs, words) in cases {
        let inputs: Vec<PathBuf> = inputs.iter().map(|path| (*path).clone()).collect();
        let output = concat(mode, &at("out.image"), &inputs);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{inputs:?}: {message}");
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
        assert_eq!(snapshot(), before, "{inputs:?}");
    }
    // OUT among the images, or there already.
    let output = concat("paged", &a, &[a.clone(), b.clone()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("among the images"));
    let output = concat("virtual", &c, &[a.clone(), b.clone()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("exists already"));
    assert_eq!(snapshot(), before);
}

/// What must not happen to images: the result, or what an interrupted move left, is in a place from which something
/// would be lost.
#[test]
fn no_image_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let whole = write(&at("whole"), Product::Image, 0, NCHAN, false);
    let inputs = parts(dir.path(), Product::Image, false);
    let run = |arguments: &[&str], out: &Path, inputs: &[PathBuf]| {
        Command::new(env!("CARGO_BIN_EXE_cubeclean"))
            .arg("concat")
            .args(arguments)
            .arg(out)
            .args(inputs)
            .output()
            .expect("the program starts")
    };
    let refused = |output: &Output, words: &str| {
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains(words), "{words:?} is not in: {message}");
    };
    // Within an image.
    refused(&concat("paged", &inputs[0].join("out"), &inputs), "lies within");
    // A link leads nowhere from another place.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("part0.image", at("link.image")).unwrap();
        let linked = [at("link.image"), inputs[1].clone(), inputs[2].clone()];
        refused(&concat("movevirtual", &at("out.image"), &linked), "is a link");
        assert!(!at("out.image.incomplete").exists());
        succeeds(&concat("virtual", &at("linked.image"), &linked));
        python(&[&whole, &at("linked.image")]);
        fs::remove_dir_all(at("linked.image")).unwrap();
    }
    // An interrupted move, and then fewer images than it has moved.
    let (out, temporary) = (at("out.image"), at("out.image.incomplete"));
    fs::create_dir(&temporary).unwrap();
    fs::write(temporary.join("imageconcat.json"), "{").unwrap();
    fs::rename(&inputs[2], temporary.join("part4.image")).unwrap();
    refused(&concat("movevirtual", &out, &inputs[..2]), "an interrupted run left it");
    let moved = "has moved images into it";
    refused(&run(&["--mode", "movevirtual", "--overwrite"], &out, &inputs[..2]), moved);
    // One that cannot be moved: those of before stay where they are, and are found again.
    fs::rename(&inputs[1], at("elsewhere")).unwrap();
    refused(&concat("movevirtual", &out, &inputs), "part3.image");
    assert!(temporary.join("part4.image").exists());
    fs::rename(at("elsewhere"), &inputs[1]).unwrap();
    succeeds(&concat("movevirtual", &out, &inputs));
    // Again, as after a kill at the very end.
    succeeds(&concat("movevirtual", &out, &inputs));
    python(&[&whole, &out]);
    // From where they are now, the result can be copied in its own place, but not referred to.
    let within: Vec<PathBuf> =
        inputs.iter().map(|input| out.join(input.file_name().unwrap())).collect();
    refused(&run(&["--mode", "virtual", "--overwrite"], &out, &within), "would be replaced");
    refused(&run(&["--mode", "paged"], &out, &within), "give --overwrite to replace it");
    succeeds(&run(&["--mode", "paged", "--overwrite"], &out, &within));
    python(&[&whole, &out]);
}

/// Images that CASA would not take for parts of one either: another projection, a rotated sky, other axes.
#[test]
fn images_of_another_sky_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let a = write(&dir.path().join("a"), Product::Image, 0, 3, false);
    let edit = |change: &str, image: &Path| python(&[Path::new(change), image]);
    let out = dir.path().join("out.image");
    for (change, words) in [
        ("edit:projection", "projection: is TAN"),
        ("edit:rotation", "projection's numbers: is pc"),
        ("edit:nan", "direction axes"),
    ] {
        let (name, product) = (dir.path().join(&change[5..]), Product::Image);
        let other = write(&name, product, 3, 1, false);
        edit(change, &other);
        let output = concat("virtual", &out, &[a.clone(), other]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{change}: {message}");
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
    // Frequency before Stokes: what is written here has another order, and would have the wrong keywords.
    edit("edit:axes", &a);
    let output = concat("paged", &out, std::slice::from_ref(&a));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("are not right ascension, declination, Stokes"), "{message}");
    assert!(!out.exists());
}

/// More images than files that may be open.
#[cfg(unix)]
#[test]
fn few_files_are_open_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let n = 80;
    let part = |c: usize| write(&dir.path().join(format!("p{c}")), Product::Image, c, 1, true);
    let inputs: Vec<PathBuf> = (0..n).map(part).collect();
    let whole = write(&dir.path().join("whole"), Product::Image, 0, n, true);
    for mode in ["paged", "virtual", "movevirtual"] {
        let out = dir.path().join(mode);
        let output = Command::new("sh")
            .args(["-c", "ulimit -n 40 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_cubeclean")])
            .args(["concat", "--mode", mode])
            .arg(&out)
            .args(&inputs)
            .output()
            .unwrap();
        succeeds(&output);
        python(&[&whole, &out]);
        let cube = CubeReader::open(&out).unwrap();
        let values = |channel| cube.read_plane(0, channel).unwrap().values[9];
        assert!((0..n).all(|c| values(c) == plane(c).0[9]), "{mode}");
    }
}
