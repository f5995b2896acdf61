//! The MeasurementSet of `cubeclean bench --write-ms`: judged by python-casacore, by our own reader, and by an
//! image of its sources.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use cubeclean::{
    bench::{self, FIELD_RAD, Job, MsLayout, Synthetic},
    config::{Config, Parameters},
    cube::CubeReader,
    error::Error,
    ms::{DataColumn, MeasurementSet, Selection, SortedCopy},
    report::Silent,
    run,
};

fn write(job: &Job, path: &Path) {
    bench::write_ms(job, path, MsLayout::default()).unwrap_or_else(|e| panic!("{e}"));
}

/// Two tiles along the channels, and two of rows, the last ones not full.
#[test]
fn python_casacore_finds_what_was_written() {
    let job = Job { pixels: 200, channels: 70, rows: 2500, ..Job::default() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ms");
    write(&job, &path);
    let python = std::env::var_os("CUBECLEAN_TEST_PYTHON").expect(
        "CUBECLEAN_TEST_PYTHON is not set: it names a python with numpy, astropy and \
         python-casacore; tests/run.sh makes one",
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/synthetic.py");
    let numbers = [job.pixels, job.channels, job.rows].map(|n| n.to_string());
    let output = Command::new(python).arg(script).arg(&path).args(numbers).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// Small pieces, of channels and rows that do not come out even, and channels that were not all asked for.
#[test]
fn a_sorted_copy_holds_what_the_data_hold() {
    let job = Job { pixels: 64, channels: 23, rows: 1700, ..Job::default() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ms");
    let layout = MsLayout { tile_channels: 7, ..MsLayout::default() };
    bench::write_ms(&job, &path, layout).unwrap();
    let ms = Arc::new(MeasurementSet::open(&path).unwrap());
    let selection = Selection { datacolumn: DataColumn::Data, ..Selection::default() };
    let selected = ms.select(&selection).unwrap();
    let needed = [(0, 2..21)];
    let go_on = || Ok(());
    // 19 channels of 12 bytes: 131 rows at a time.
    let (copy, stats) = SortedCopy::new(&selected, &needed, dir.path(), 30_000, go_on).unwrap();
    assert_eq!(SortedCopy::bytes(&selected, &needed), 19 * 1700 * 12);
    let (_, whole) = selected.read(0, 2..21).unwrap();
    assert_eq!(stats.samples, whole.samples);
    // Each byte once; flags are bits, of which the first and last of a piece share bytes with its neighbours.
    assert!(stats.bytes_read.abs_diff(whole.bytes_read) < whole.bytes_read / 100, "{stats:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the copy has no name");
    for channels in [2..21, 2..3, 5..16, 20..21, 9..9] {
        let (expected, _) = selected.read(0, channels.clone()).unwrap();
        let (found, stats) = copy.read(0, channels.clone()).unwrap();
        assert_eq!((found.channels, found.rows), (expected.channels, expected.rows));
        assert!(found.vis == expected.vis && found.weight == expected.weight, "{channels:?}");
        assert_eq!(stats.bytes_read, 12 * 1700 * channels.len() as u64);
    }
    assert!(copy.read(0, 1..3).is_err());
    let stop = || Err(Error::Stopped { signal: "SIGTERM".into(), remedy: String::new() });
    assert!(SortedCopy::new(&selected, &needed, dir.path(), 30_000, stop).is_err());
    let nowhere = dir.path().join("nowhere");
    let error = SortedCopy::new(&selected, &needed, &nowhere, 30_000, go_on).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

/// More rows than a bucket of the StandardStMan, and than a tile, holds.
#[test]
fn our_reader_gives_the_numbers_of_the_job_to_the_last_bit() {
    let job = Job { pixels: 64, channels: 3, rows: 17_000, ..Job::default() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ms");
    write(&job, &path);
    let made = Synthetic::new(&job).unwrap();
    let ms = Arc::new(MeasurementSet::open(&path).unwrap());
    let selected =
        ms.select(&Selection { datacolumn: DataColumn::Data, ..Selection::default() }).unwrap();
    assert_eq!(selected.rows().uvw_m, made.block.rows.uvw_m);
    assert_eq!(selected.rows().slot, made.block.rows.slot);
    let (read, _) = selected.read(0, 0..3).unwrap();
    let window = &ms.spectral_windows()[0];
    for (channel, layer) in made.block.layers.iter().enumerate() {
        let of_channel = channel * job.rows..(channel + 1) * job.rows;
        assert!(read.vis[of_channel.clone()] == layer.vis, "channel {channel}");
        assert!(read.weight[of_channel] == layer.weight, "channel {channel}");
        assert_eq!(window.chan_freq_hz[channel], layer.freq_hz[0]);
    }
    let times = |slots: &[cubeclean::ms::Slot]| slots.iter().map(|s| s.time).collect::<Vec<_>>();
    let (theirs, ours) = (times(&selected.rows().slots), times(&made.block.rows.slots));
    for (a, b) in theirs.iter().zip(&ours) {
        // Seconds of MJD are resolved to 1e-6.
        assert!((a - theirs[0] - (b - ours[0])).abs() < 2e-6, "{a} {b}");
    }
    let center = ms.phase_center(0).unwrap();
    assert_eq!(
        (center.ra, center.dec),
        (made.plan.image.phase_center.ra, made.plan.image.phase_center.dec)
    );
    assert_eq!(ms.rest_freq_hz(0, 0), Some(window.chan_freq_hz[1]));
    assert_eq!((ms.telescope(), ms.antennas().len()), ("ALMA", bench::ANTENNAS));
}

/// The sources come out where they are, with their fluxes: positions from the formula, not from the code.
#[test]
fn an_image_has_the_sources_at_their_places() {
    let job = Job { pixels: 256, channels: 2, rows: 15_600, ..Job::default() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ms");
    write(&job, &path);
    let cell = FIELD_RAD / job.pixels as f64;
    let mut parameters = Parameters::default();
    for (name, value) in [
        ("vis", path.to_str().unwrap()),
        ("imagename", dir.path().join("im").to_str().unwrap()),
        ("datacolumn", "data"),
        ("specmode", "cube"),
        ("imsize", "256,256"),
        ("cell", &format!("{:.15}arcsec", cell.to_degrees() * 3600.0)),
        ("outframe", "LSRK"),
        ("interpolation", "nearest"),
        ("weighting", "natural"),
        ("niter", "4000"),
        ("threshold", "5mJy"),
        ("mask", "circle[[128pix,128pix],46pix]"),
        ("backend", "cpu"),
    ] {
        parameters.set(name, value).unwrap();
    }
    run::image(&Config::new(&parameters).unwrap(), &Silent).unwrap();
    let model = CubeReader::open(dir.path().join("im.model")).unwrap();
    // Radius of the disc that sources lie in: 0.9 of one with a tenth of the image's area.
    let radius = 0.9 * 256.0 * (0.1 / std::f64::consts::PI).sqrt();
    for channel in 0..2 {
        let plane = model.read_plane(0, channel).unwrap().values;
        for i in 0..24 {
            let r = radius * ((f64::from(i) + 0.5) / 24.0).sqrt();
            let (sin, cos) = (2.399_963 * f64::from(i)).sin_cos();
            // East is to the left.
            let (x, y) = (128.0 - r * sin, 128.0 + r * cos);
            let near =
                |p: &(usize, &f32)| ((p.0 % 256) as f64 - x).hypot((p.0 / 256) as f64 - y) < 4.0;
            let found: Vec<_> = plane.iter().enumerate().filter(near).collect();
            let sum: f64 = found.iter().map(|(_, v)| f64::from(**v)).sum();
            let [fx, fy] = [|p: usize| p % 256, |p: usize| p / 256].map(|axis| {
                found.iter().map(|(p, v)| axis(*p) as f64 * f64::from(**v)).sum::<f64>() / sum
            });
            let flux = 1.0 / (1.0 + 0.25 * f64::from(i));
            // The noise of the image is 0.1 Jy/√15600 = 0.8 mJy, and cleaning ends at 5 mJy.
            assert!(
                (sum - flux).abs() < 0.01,
                "channel {channel}, source {i}: {sum}, not {flux} Jy"
            );
            assert!((fx - x).hypot(fy - y) < 0.1, "source {i} at ({fx}, {fy}), not ({x}, {y})");
        }
    }
}

fn cubeclean(line: &str, dir: &Path) -> Output {
    let words = line.split(' ');
    Command::new(env!("CARGO_BIN_EXE_cubeclean"))
        .args(["bench", "--pixels", "64", "--channels", "1", "--rows", "100"])
        .args(words)
        .current_dir(dir)
        .output()
        .expect("the program starts")
}

#[test]
fn what_is_there_is_kept_unless_told_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let status = |line: &str| {
        let output = cubeclean(line, dir.path());
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(status("--write-ms a.ms"), (Some(0), String::new()));
    let (code, said) = status("--write-ms a.ms");
    assert_eq!(code, Some(1));
    assert!(said.contains("a.ms: exists already; give --overwrite"), "{said}");
    let old = dir.path().join("a.ms/old");
    fs::write(&old, "").unwrap();
    assert_eq!(status("--write-ms a.ms/ --overwrite").0, Some(0));
    assert!(!old.exists() && dir.path().join("a.ms/table.dat").exists());

    // Not a MeasurementSet: a file, a directory of other things.
    fs::write(dir.path().join("file"), "mine").unwrap();
    fs::create_dir(dir.path().join("thesis")).unwrap();
    for name in ["file", "thesis"] {
        let (code, said) = status(&format!("--write-ms {name} --overwrite"));
        assert_eq!(code, Some(1));
        assert!(said.contains("no MeasurementSet") && said.contains(name), "{said}");
    }
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "mine");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");

    for wrong in ["--write-ms b.ms --json x", "--overwrite"] {
        assert_eq!(status(wrong).0, Some(2));
    }
    let (code, said) = status("--write-ms no/where/b.ms --mask-fraction 2");
    assert_eq!(code, Some(2));
    assert!(said.contains("mask-fraction=2"), "{said}");
}
