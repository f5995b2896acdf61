//! Products on disk, judged by programs that are not ours: python-casacore and astropy open what is
//! written here, and compare it with what CASA's tclean and exportfits wrote.

use std::{
    f64::consts::PI,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cubeclean::{
    beam::Beam,
    cube::{self, Beams, CubeReader, CubeSpec, Format, MaskFile, Plane, Product, Start},
    error::Error,
    geometry::{Direction, DirectionFrame, ImageGrid},
    mask::Mask,
    ms::Stokes,
    spectral::{ChannelGrid, FreqFrame},
};
use serde_json::{Value, json};

const NEW: Start = Start::New { overwrite: false };
const FORMATS: [Format; 2] = [Format::Casa, Format::Fits];

/// Runs `tests/interop/<script> <arguments>` and passes on its complaints.
fn python(script: &str, arguments: &[&Path]) {
    let python = std::env::var_os("CUBECLEAN_TEST_PYTHON").expect(
        "CUBECLEAN_TEST_PYTHON is not set: it names a python with numpy, astropy and \
         python-casacore; tests/run.sh makes one",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script);
    let output = Command::new(&python)
        .arg(&script)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("cannot run {}: {e}", python.display()));
    assert!(
        output.status.success(),
        "{}:\n{}{}",
        script.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Pixels that differ everywhere, computed the same way in tests/interop/planes.py.
fn pixel(x: usize, y: usize, stokes: usize, channel: usize) -> f32 {
    ((x * 31 + y * 17 + channel * 101 + stokes * 1009) % 977) as f32 / 7.0 - 50.0
}

/// Valid pixels, computed the same way in tests/interop/planes.py.
fn valid(x: usize, y: usize, stokes: usize, channel: usize) -> bool {
    !(x + 2 * y + channel + 3 * stokes).is_multiple_of(5)
}

fn spec(nx: usize, ny: usize, nchan: usize, stokes: &[Stokes]) -> CubeSpec {
    let arcsec = PI / 180.0 / 3600.0;
    CubeSpec {
        grid: ImageGrid {
            nx,
            ny,
            cell_x: 0.3 * arcsec,
            cell_y: 0.2 * arcsec,
            phase_center: Direction { ra: 4.3, dec: -0.4, frame: DirectionFrame::J2000 },
        },
        channels: ChannelGrid {
            frame: FreqFrame::Lsrk,
            start_hz: 230.5e9,
            width_hz: -488_281.25,
            nchan,
            restfreq_hz: 230.538e9,
        },
        stokes: stokes.to_vec(),
        telescope: "ALMA".into(),
        observer: "O'Brien".into(),
        object: "disk".into(),
        obsdate_mjd: 59745.16726851852,
        telescope_position_m: [2225142.180269, -5440307.370349, -2481029.851874],
        history: history(),
    }
}

/// Lines shorter than a string slot, longer than a card, longer than a bucket.
fn history() -> Vec<String> {
    let mut lines: Vec<String> =
        (0..40).map(|i| format!("parameter_{i:02} = {}", "x".repeat(i * 5))).collect();
    lines.extend(["short".into(), "12345678".into(), String::new(), "0123456789".repeat(1000)]);
    lines
}

fn plane(nx: usize, ny: usize, stokes: usize, channel: usize) -> (Vec<f32>, Mask) {
    let values = (0..nx * ny).map(|i| pixel(i % nx, i / nx, stokes, channel)).collect();
    (values, Mask::from_fn(nx, ny, |x, y| valid(x, y, stokes, channel)))
}

fn beam_of(channel: usize) -> Beam {
    let arcsec = PI / 180.0 / 3600.0;
    let c = channel as f64;
    Beam {
        major: (0.7 + 0.001 * c) * arcsec,
        minor: (0.5 - 0.001 * c) * arcsec,
        pa: (-80.0 + c).to_radians(),
    }
}

/// Writes a product in both formats, its channels in reverse and from two threads.
fn write(name: &Path, product: Product, spec: &CubeSpec, beams: &Beams) {
    let (nx, ny) = if product == Product::Sumwt { (1, 1) } else { (spec.grid.nx, spec.grid.ny) };
    for format in FORMATS {
        let writer = cube::create(name, product, format, spec, NEW).unwrap();
        std::thread::scope(|scope| {
            for first in 0..2 {
                let writer = &writer;
                scope.spawn(move || {
                    for channel in (first..spec.channels.nchan).step_by(2).rev() {
                        for stokes in 0..spec.stokes.len() {
                            let (values, valid) = plane(nx, ny, stokes, channel);
                            writer.write_plane(stokes, channel, &values, Some(&valid)).unwrap();
                        }
                    }
                });
            }
        });
        assert_eq!(writer.finish(beams).unwrap(), format.path(name, product));
    }
}

/// Pixels, masks, beams, coordinates and history of cubes of many shapes: one pixel, one channel,
/// smaller than a tile, exactly one, a pixel more, several, and several Stokes planes.
#[test]
fn cubes_of_any_shape_open_in_casacore_and_astropy() {
    let directory = tempfile::tempdir().unwrap();
    let shapes: [(usize, usize, usize, &[Stokes]); 7] = [
        (1, 1, 1, &[Stokes::I]),
        (7, 5, 1, &[Stokes::I]),
        (5, 130, 70, &[Stokes::I]),
        (128, 128, 2, &[Stokes::I]),
        (129, 127, 3, &[Stokes::XX, Stokes::YY]),
        (300, 135, 4, &[Stokes::I]),
        (514, 600, 1, &[Stokes::RR]),
    ];
    let mut manifest = Vec::new();
    for (i, (nx, ny, nchan, stokes)) in shapes.into_iter().enumerate() {
        let name = directory.path().join(format!("cube{i}"));
        let spec = spec(nx, ny, nchan, stokes);
        let beams = match i {
            0 => Beams::Common(beam_of(0)),
            // A channel without data: it takes the largest beam, channel 69's.
            2 => Beams::PerPlane((0..nchan).map(|c| (c != 3).then(|| beam_of(c))).collect()),
            _ => Beams::PerPlane((0..nchan).map(|c| Some(beam_of(c))).collect()),
        };
        for product in [Product::Image, Product::ImagePbcor, Product::Psf, Product::Sumwt] {
            write(&name, product, &spec, &beams);
        }
        let stokes: Vec<_> = stokes.iter().map(|s| format!("{s:?}")).collect();
        manifest
            .push(json!({ "name": name, "shape": [nx, ny, stokes.len(), nchan], "stokes": stokes,
            "without_beam": if i == 2 { vec![3] } else { vec![] }, "history": history() }));
    }
    let manifest_file = directory.path().join("manifest.json");
    fs::write(&manifest_file, serde_json::to_string(&manifest).unwrap()).unwrap();
    python("planes.py", &[&manifest_file]);
}

/// Every product of a run, key by key against what CASA wrote for the same run.
#[test]
fn keywords_are_those_of_tclean_and_exportfits() {
    let goldens =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/goldens/product_keywords.json");
    let casa: Value = serde_json::from_slice(&fs::read(&goldens).unwrap()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (run, frame, direction) in [
        ("per_plane", FreqFrame::Lsrk, DirectionFrame::J2000),
        ("common", FreqFrame::Topo, DirectionFrame::Icrs),
        ("single", FreqFrame::Topo, DirectionFrame::J2000),
    ] {
        let spec = spec_of_casa(&casa[run]["image"], frame, direction);
        for product in Product::ALL {
            let beams = beams_of_casa(&casa[run][product.suffix()]);
            write(&directory.path().join(run), product, &spec, &beams);
        }
    }
    python("keywords.py", &[&goldens, directory.path()]);
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is not a number"))
}

/// The cube that a golden image shows.
fn spec_of_casa(image: &Value, frame: FreqFrame, direction: DirectionFrame) -> CubeSpec {
    let (coords, cards) = (&image["table"]["coords"], &image["fits"]);
    let (sky, spectral) = (&coords["direction0"], &coords["spectral2"]);
    let size = |axis: usize| image["shape"][axis].as_u64().unwrap() as usize;
    CubeSpec {
        grid: ImageGrid {
            nx: size(0),
            ny: size(1),
            cell_x: -number(&sky["cdelt"][0]),
            cell_y: number(&sky["cdelt"][1]),
            phase_center: Direction {
                ra: number(&sky["crval"][0]),
                dec: number(&sky["crval"][1]),
                frame: direction,
            },
        },
        channels: ChannelGrid {
            frame,
            start_hz: number(&spectral["wcs"]["crval"]),
            width_hz: number(&spectral["wcs"]["cdelt"]),
            nchan: size(3),
            restfreq_hz: number(&spectral["restfreq"]),
        },
        stokes: vec![Stokes::I],
        telescope: "ALMA".into(),
        observer: "CASA simulator".into(),
        object: "disk".into(),
        obsdate_mjd: number(&coords["obsdate"]["m0"]["value"]),
        telescope_position_m: ["OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z"].map(|k| number(&cards[k])),
        history: vec!["vis = small.ms".into()],
    }
}

/// The beams of a golden image.
fn beams_of_casa(image: &Value) -> Beams {
    let info = &image["table"]["imageinfo"];
    let beam = |b: &Value| {
        let arcsec = |v: &Value| number(&v["value"]) / 3600.0 * PI / 180.0;
        let angle = &b["positionangle"];
        let pa = match angle["unit"].as_str() {
            Some("deg") => number(&angle["value"]).to_radians(),
            _ => number(&angle["value"]),
        };
        Beam { major: arcsec(&b["major"]), minor: arcsec(&b["minor"]), pa }
    };
    if let Some(common) = info.get("restoringbeam") {
        return Beams::Common(beam(common));
    }
    let Some(set) = info.get("perplanebeams") else { return Beams::None };
    let nchan = set["nChannels"].as_u64().unwrap();
    Beams::PerPlane((0..nchan).map(|k| Some(beam(&set[format!("*{k}")]))).collect())
}

/// Files beyond 2 GiB have other entries in the tiled table's header; only the planes written take
/// space on disk, and of these only what is not all zero.
#[test]
fn cubes_beyond_2_gib_open_and_are_sparse() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("big");
    let spec = spec(1000, 1001, 600, &[Stokes::I]);
    for format in FORMATS {
        let writer = cube::create(&name, Product::Psf, format, &spec, NEW).unwrap();
        for channel in [0, 300, 599] {
            let (mut values, _) = plane(1000, 1001, 0, channel);
            if channel == 300 {
                let outside = |i: usize| (i % 1000) / 10 != 40 || (i / 1000) / 10 != 50;
                (0..values.len()).filter(|&i| outside(i)).for_each(|i| values[i] = 0.0);
            }
            writer.write_plane(0, channel, &values, None).unwrap();
        }
        let path = writer.finish(&Beams::None).unwrap();
        let data = if format == Format::Casa { path.join("table.f0_TSM0") } else { path };
        let (length, on_disk) = length_and_disk_usage(&data);
        assert!(length > 1000 * 1001 * 600 * 4, "{length}");
        // Two planes of 4 MB (8 x 8 tiles of 125 x 126 pixels), and of the third the tiles that hold its box.
        assert!(on_disk < 9 << 20, "{on_disk} bytes of {length} on disk");
    }
    python("big.py", &[&name]);
}

fn length_and_disk_usage(path: &Path) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path).unwrap();
    (metadata.len(), metadata.blocks() * 512)
}

/// Bytes of every file under a path, to see that nothing changed.
fn snapshot(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if path.is_file() {
        return vec![(path.to_owned(), fs::read(path).unwrap())];
    }
    let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    entries.iter().flat_map(|e| snapshot(e)).collect()
}

fn write_constant(
    name: &Path,
    format: Format,
    value: f32,
    overwrite: bool,
) -> cubeclean::Result<PathBuf> {
    let spec = spec(20, 10, 2, &[Stokes::I]);
    let writer = cube::create(name, Product::Image, format, &spec, Start::New { overwrite })?;
    for channel in 0..2 {
        writer.write_plane(0, channel, &vec![value; 200], None)?;
    }
    writer.finish(&Beams::None)
}

#[test]
fn products_are_replaced_only_when_asked_and_only_at_the_end() {
    for format in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("sub/im");
        let path = write_constant(&name, format, 1.0, false).unwrap();
        let before = snapshot(&path);

        let error = write_constant(&name, format, 2.0, false).unwrap_err();
        assert!(matches!(&error, Error::Exists { path: p, .. } if *p == path), "{error}");
        assert!(error.to_string().contains("--overwrite"), "{error}");
        let error = cube::check_absent(&name, &Product::ALL, &FORMATS).unwrap_err();
        assert!(matches!(&error, Error::Exists { path: p, .. } if *p == path), "{error}");
        cube::check_absent(&name, &[Product::Psf], &FORMATS).unwrap();

        // A run that asked to overwrite and died harms nothing, and leaves no product.
        let spec = spec(20, 10, 2, &[Stokes::I]);
        let writer =
            cube::create(&name, Product::Image, format, &spec, Start::New { overwrite: true })
                .unwrap();
        writer.write_plane(0, 0, &[3.0; 200], None).unwrap();
        drop(writer);
        assert_eq!(snapshot(&path), before);
        let mut left: Vec<_> = fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let file = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(left, [file.to_owned(), format!("{file}.incomplete")]);

        // The next one succeeds, and leaves the new product alone.
        assert_eq!(write_constant(&name, format, 4.0, true).unwrap(), path);
        assert_ne!(snapshot(&path), before);
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}

#[test]
fn what_an_interrupted_run_left_is_not_overwritten_unasked() {
    for format in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("im");
        let spec = spec(20, 10, 2, &[Stokes::I]);
        drop(cube::create(&name, Product::Image, format, &spec, NEW).unwrap());
        let error = cube::check_absent(&name, &[Product::Image], &FORMATS).unwrap_err();
        assert!(error.to_string().contains("interrupted"), "{error}");
        let error = write_constant(&name, format, 1.0, false).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        write_constant(&name, format, 1.0, true).unwrap();
    }
}

#[test]
fn a_run_that_is_alive_is_not_overwritten() {
    for format in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("im");
        let spec = spec(20, 10, 2, &[Stokes::I]);
        let writer = cube::create(&name, Product::Image, format, &spec, NEW).unwrap();
        let error = write_constant(&name, format, 1.0, true).unwrap_err();
        assert!(error.to_string().contains("another run is writing it"), "{error}");
        writer.finish(&Beams::None).unwrap();
    }
}

/// `--overwrite` replaces products; it does not delete a directory that happens to have the name.
#[test]
fn overwriting_spares_what_is_not_a_product() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("im");
    for format in FORMATS {
        let path = format.path(&name, Product::Image);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("thesis.tex"), "years of work").unwrap();
        let error = write_constant(&name, format, 1.0, true).unwrap_err();
        assert!(matches!(error, Error::Exists { .. }), "{error}");
        assert!(path.join("thesis.tex").exists());
    }
}

#[test]
fn errors_name_the_path_and_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["", "out/", ".."] {
        let error = write_constant(Path::new(name), Format::Fits, 1.0, false).unwrap_err();
        assert!(matches!(error, Error::Parameter { .. }), "{name}: {error}");
    }
    fs::write(directory.path().join("file"), "").unwrap();
    let below_a_file = directory.path().join("file/im");
    let error = write_constant(&below_a_file, Format::Casa, 1.0, false).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");

    let spec = spec(20, 10, 2, &[Stokes::I]);
    for format in FORMATS {
        let name = directory.path().join("im");
        let writer = cube::create(&name, Product::Image, format, &spec, NEW).unwrap();
        assert!(writer.write_plane(0, 2, &[0.0; 200], None).is_err());
        assert!(writer.write_plane(1, 0, &[0.0; 200], None).is_err());
        assert!(writer.write_plane(0, 0, &[0.0; 199], None).is_err());
        let mask = Mask::new(10, 20, true);
        assert!(writer.write_plane(0, 0, &[0.0; 200], Some(&mask)).is_err());
        assert!(writer.finish(&Beams::PerPlane(vec![None])).is_err());
    }
}

/// Compares a plane with `expected(x, y)`, `None` where the pixel is not valid.
fn assert_plane(plane: &Plane, nx: usize, expected: impl Fn(usize, usize) -> Option<f32>) {
    for (i, &value) in plane.values.iter().enumerate() {
        let (x, y) = (i % nx, i / nx);
        match expected(x, y) {
            Some(expected) => assert_eq!((value, plane.valid.get(x, y)), (expected, true)),
            None => assert!(!plane.valid.get(x, y), "({x}, {y})"),
        }
    }
}

/// Images that python-casacore and astropy made: tiles that span channels, both byte orders, axes in
/// another order, all pixel types, scaled and blank integers.
#[test]
fn images_of_casacore_and_astropy_are_read() {
    let directory = tempfile::tempdir().unwrap();
    python("make_images.py", &[directory.path()]);
    let open = |name: &str| CubeReader::open(directory.path().join(name)).unwrap();
    let masked = |x, y, s, c| valid(x, y, s, c).then(|| pixel(x, y, s, c));

    for name in ["little.image", "big.image"] {
        let image = open(name);
        assert_eq!(image.shape(), [70, 150, 3, 2], "{name}");
        for (stokes, channel) in [(0, 0), (2, 0), (1, 1), (2, 1)] {
            let plane = image.read_plane(stokes, channel).unwrap();
            // The script numbers planes by axis; here axis 2 is Stokes.
            assert_plane(&plane, 70, |x, y| masked(x, y, channel, stokes));
        }
        assert!(image.read_plane(3, 0).is_err());
    }
    for name in ["f32.fits", "f64.fits"] {
        let image = open(name);
        assert_eq!(image.shape(), [70, 150, 2, 3], "{name}");
        for (stokes, channel) in [(0, 0), (1, 0), (0, 2), (1, 1)] {
            let plane = image.read_plane(stokes, channel).unwrap();
            assert_plane(&plane, 70, |x, y| masked(x, y, stokes, channel));
        }
    }
    for name in ["u8.fits", "i16.fits", "i32.fits", "i64.fits"] {
        let plane = open(name).read_plane(1, 2).unwrap();
        assert_plane(&plane, 70, |x, y| {
            let number = ((pixel(x, y, 1, 2) - 3.0) * 2.0).round_ties_even().abs() % 250.0;
            valid(x, y, 1, 2).then_some(0.5 * number + 3.0)
        });
    }
    let image = open("plane.fits");
    assert_eq!(image.shape(), [70, 150, 1, 1]);
    assert_plane(&image.read_plane(0, 0).unwrap(), 70, |x, y| Some(pixel(x, y, 0, 0)));
}

#[test]
fn our_own_products_are_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("im");
    let spec = spec(130, 40, 3, &[Stokes::XX, Stokes::YY]);
    write(&name, Product::Image, &spec, &Beams::None);
    for format in FORMATS {
        let image = CubeReader::open(format.path(&name, Product::Image)).unwrap();
        assert_eq!(image.shape(), [130, 40, 2, 3]);
        assert_eq!(image.world().unit.as_deref(), Some("Jy/beam"));
        let spectral = image.world().spectral.unwrap();
        assert!((spectral.start_hz - 230.5e9).abs() < 1e-3);
        assert!((spectral.width_hz + 488_281.25).abs() < 1e-6);
        let cube::Sky::Equatorial(sky) = &image.world().sky else { panic!("no sky") };
        assert!(sky.reference.separation(&spec.grid.phase_center) < 1e-13);
        assert_eq!(sky.pixel, [65.0, 20.0]);
        assert!((sky.increment[0] / spec.grid.cell_x + 1.0).abs() < 1e-13);
        for (stokes, channel) in [(0, 0), (1, 0), (0, 2), (1, 1)] {
            let plane = image.read_plane(stokes, channel).unwrap();
            assert_plane(&plane, 130, |x, y| {
                valid(x, y, stokes, channel).then(|| pixel(x, y, stokes, channel))
            });
        }
    }
}

/// Writes a mask of `nchan` channels whose pixels are in where `valid` says so.
fn write_mask(name: &Path, format: Format, spec: &CubeSpec) -> PathBuf {
    let writer =
        cube::create(name, Product::Mask, format, spec, Start::New { overwrite: true }).unwrap();
    for channel in 0..spec.channels.nchan {
        let values: Vec<f32> = (0..spec.grid.npix())
            .map(|i| u8::from(valid(i % spec.grid.nx, i / spec.grid.nx, 0, channel)).into())
            .collect();
        writer.write_plane(0, channel, &values, None).unwrap();
    }
    writer.finish(&Beams::None).unwrap()
}

#[test]
fn masks_come_from_images_of_the_same_grid() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("user");
    let cube = spec(60, 50, 4, &[Stokes::I]);
    let one = spec(60, 50, 1, &[Stokes::I]);
    for format in FORMATS {
        let path = write_mask(&name, format, &cube);
        let mask = MaskFile::open(&path, &cube.grid, &cube.channels).unwrap();
        assert!(!mask.is_one_plane());
        let expected = |c| Mask::from_fn(60, 50, |x, y| valid(x, y, 0, c));
        assert_eq!(mask.plane(3).unwrap(), expected(3));

        let path = write_mask(&name, format, &one);
        let mask = MaskFile::open(&path, &cube.grid, &cube.channels).unwrap();
        assert!(mask.is_one_plane());
        assert_eq!(mask.plane(3).unwrap(), expected(0));
    }
}

#[test]
fn masks_of_another_grid_are_refused_with_both_shapes() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("user");
    let cube = spec(60, 50, 4, &[Stokes::I]);
    let refusal = |change: &dyn Fn(&mut CubeSpec)| {
        let mut other = cube.clone();
        change(&mut other);
        let path = write_mask(&name, Format::Casa, &other);
        MaskFile::open(&path, &cube.grid, &cube.channels).unwrap_err().to_string()
    };
    let error = refusal(&|s| s.grid.nx = 61);
    assert!(error.contains("61 x 50") && error.contains("60 x 50"), "{error}");
    let error = refusal(&|s| s.channels.nchan = 3);
    assert!(error.contains("3 channels") && error.contains("4 channels"), "{error}");
    let error = refusal(&|s| s.grid.phase_center.dec += 2.0 * s.grid.cell_y);
    assert!(error.contains("2.00 pixels"), "{error}");
    let error = refusal(&|s| s.grid.cell_x *= 1.1);
    assert!(error.contains("3.00 pixels"), "{error}");
    let error = refusal(&|s| s.channels.start_hz += s.channels.width_hz);
    assert!(error.contains("1.00 channels"), "{error}");
    let error = refusal(&|s| s.channels.width_hz *= -1.0);
    assert!(error.contains("6.00 channels"), "{error}");
}

/// Files that are cut off, or no images at all, are errors that name them.
#[test]
fn damaged_images_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("im");
    let spec = spec(60, 50, 4, &[Stokes::I]);
    write(&name, Product::Image, &spec, &Beams::None);
    let fits = Format::Fits.path(&name, Product::Image);
    let bytes = fs::read(&fits).unwrap();
    let cut = directory.path().join("cut.fits");
    for length in (0..40_000).step_by(720) {
        fs::write(&cut, &bytes[..length]).unwrap();
        let error = CubeReader::open(&cut).unwrap_err().to_string();
        assert!(error.contains("cut.fits"), "{error}");
    }
    let casa = Format::Casa.path(&name, Product::Image);
    for file in ["table.dat", "table.f0", "table.f0_TSM0", "mask0/table.f0_TSM0", "mask0/table.dat"]
    {
        let whole = fs::read(casa.join(file)).unwrap();
        for part in 0..20 {
            fs::write(casa.join(file), &whole[..whole.len() * part / 20]).unwrap();
            let read = CubeReader::open(&casa).and_then(|image| image.read_plane(0, 3));
            assert!(read.is_err(), "{file} cut to {part}/20");
        }
        fs::write(casa.join(file), whole).unwrap();
    }
    CubeReader::open(&casa).and_then(|image| image.read_plane(0, 3)).unwrap();
    assert!(CubeReader::open(directory.path()).is_err());
    assert!(CubeReader::open(directory.path().join("missing")).is_err());
    assert!(CubeReader::open(casa.join("logtable")).is_err());
}
