//! The command as a user meets it.

mod common;

use std::process::{Command, Output};

/// Runs the program with the words of a line.
fn cubeclean(line: &str) -> Output {
    let words = line.split(' ').filter(|word| !word.is_empty());
    Command::new(env!("CARGO_BIN_EXE_cubeclean")).args(words).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_names_every_parameter_that_does_something() {
    use cubeclean::config::{PARAMETERS, Support};
    let help = cubeclean("image --help");
    assert_eq!(help.status.code(), Some(0));
    let help = stdout(&help);
    for p in PARAMETERS {
        let listed =
            help.contains(&format!("--{} ", p.name)) || help.contains(&format!("--{}[", p.name));
        assert_eq!(listed, matches!(p.support, Support::Yes | Support::Own), "{}", p.name);
    }
    for heading in ["Data selection:", "Spectral axis:", "Deconvolution:", "Restoring:"] {
        assert!(help.contains(heading), "{heading}");
    }
    assert_eq!(cubeclean("--version").status.code(), Some(0));
}

/// The README's tables say what the program does, parameter by parameter: in the row that begins with it, or has it
/// among others.
#[test]
fn the_readme_says_how_far_each_parameter_goes() {
    use cubeclean::config::{PARAMETERS, Support};
    let readme = include_str!("../README.md");
    let (_, tables) = readme.split_once("## tclean's parameters").unwrap();
    let (tables, _) = tables.split_once("### ").unwrap();
    let rows: Vec<Vec<&str>> = tables.lines().map(|line| line.split('|').collect()).collect();
    for p in PARAMETERS {
        let names = format!("`{}`", p.name);
        let of = rows.iter().filter(|row| row.len() == 5 && row[1..3].join(" ").contains(&names));
        let of: Vec<_> = of.collect();
        assert_eq!(of.len(), 1, "{} is in {} rows", p.name, of.len());
        let said = of[0][3].trim();
        let (default_only, no_effect) =
            (said.starts_with("default only"), said.starts_with("no effect"));
        let expected = match p.support {
            Support::DefaultOnly(_) => (true, false),
            Support::NoEffect(_) => (false, true),
            Support::Yes | Support::Own => (false, false),
        };
        assert_eq!((default_only, no_effect), expected, "{}: {said}", p.name);
    }
}

#[test]
fn wrong_usage_is_status_2_and_suggests() {
    let typo = cubeclean("image --treshold 5mJy");
    assert_eq!(typo.status.code(), Some(2));
    assert!(stderr(&typo).contains("'--threshold'"), "{}", stderr(&typo));
    assert_eq!(cubeclean("").status.code(), Some(2));
    assert_eq!(cubeclean("imag").status.code(), Some(2));
    let mfs = cubeclean("image --vis a.ms --imagename x --cell 1arcsec");
    assert_eq!(mfs.status.code(), Some(2));
    assert!(stderr(&mfs).contains("--specmode cube"), "{}", stderr(&mfs));
    assert_eq!(cubeclean("image --log-level loud").status.code(), Some(2));
}

#[test]
fn the_command_line_overrides_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("job.yaml");
    std::fs::write(
        &file,
        "vis: a.ms\nimagename: x\nspecmode: cube\ncell: 1arcsec\nniter: 5\nimsize: [64, 32]\n",
    )
    .unwrap();
    let given = cubeclean(&format!(
        "image --config {} --niter 7 --start -17.26km/s --dry-run",
        file.display()
    ));
    assert_eq!(
        stdout(&given).trim(),
        "cubeclean image --vis a.ms --imagename x --imsize 64,32 --cell 1arcsec --specmode cube \
         --start -17.26km/s --niter 7"
    );
    std::fs::write(&file, "vis: a.ms\nnitr: 5\n").unwrap();
    let typo = cubeclean(&format!("image --config {}", file.display()));
    assert_eq!(typo.status.code(), Some(2));
    assert!(stderr(&typo).contains("did you mean niter?"), "{}", stderr(&typo));
}

#[test]
fn assets_unpack_and_decode() {
    for name in ["small", "small_ws", "alma_b3_mssel", "alma_b3_2ant", "vla_l_simple"] {
        assert!(common::ms(name).join("table.dat").is_file(), "{name}");
    }
    assert!(common::ms("small_ws").join("table.f24_TSM1").is_file());

    // Facts about the runs that were noted independently of these files.
    let one = common::golden("one_10");
    assert_eq!(one.mask(0).iter().filter(|&&m| m).count(), 4861);
    assert_eq!(one.ret["iterdone"], 190 + 621 + 215);
    let ngc = common::golden("ngc5921");
    let peak = (0..46).flat_map(|c| ngc.plane("image", c)).fold(0f32, f32::max);
    assert!((peak - 54.78e-3).abs() < 0.01e-3, "{peak}");
    let flux: f32 = (0..46).flat_map(|c| ngc.plane("model", c)).sum();
    assert!(flux > 0.0);
    let psf = common::golden("dirty_uniform_topo").plane("psf", 24);
    assert!((psf[[128, 128]] - 1.0).abs() < 2e-6);
    assert!(
        (common::small_truth().cube.iter().fold(0f32, |a, &b| a.max(b)) - 4.5327e-3).abs() < 1e-7
    );
}

/// The picture of CASA's own cube, drawn from the planes that the goldens keep.
#[test]
fn a_quicklook_is_drawn() {
    use cubeclean::{
        beam::Beam,
        geometry::{Direction, DirectionFrame, ImageGrid},
        report::{Quicklook, quicklook},
        spectral::{ChannelGrid, FreqFrame},
    };
    let arcsec = std::f64::consts::PI / 648_000.0;
    let golden = common::golden("ngc5921");
    let [major, minor, pa] = golden.beams[20];
    let grid = ImageGrid {
        nx: 256,
        ny: 256,
        cell_x: 15.0 * arcsec,
        cell_y: 15.0 * arcsec,
        phase_center: Direction {
            ra: -2.260_201_38,
            dec: 0.088_430_02,
            frame: DirectionFrame::J2000,
        },
    };
    let channels = ChannelGrid {
        frame: FreqFrame::Lsrk,
        start_hz: 1_412_787_144.081,
        width_hz: 24_414.062_5,
        nchan: 46,
        restfreq_hz: 1_420_405_752.0,
    };
    let what = Quicklook {
        title: "NGC 5921",
        subtitle: "H I with the VLA, imaged by CASA",
        grid: &grid,
        channels: &channels,
        beam: Some(Beam { major: major * arcsec, minor: minor * arcsec, pa: pa.to_radians() }),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ngc5921.png");
    let planes = |c: usize| Ok(golden.plane("image", c).into_raw_vec_and_offset().0);
    quicklook(&path, &what, &planes).unwrap();
    let png = std::fs::read(&path).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() > 20_000, "{} bytes", png.len());
    if let Some(keep) = std::env::var_os("CUBECLEAN_KEEP_PICTURE") {
        std::fs::copy(&path, keep).unwrap();
    }
}

#[test]
fn a_measurement_set_is_listed() {
    let small = cubeclean(&format!("ms {}", common::ms("small").display()));
    assert_eq!(small.status.code(), Some(0), "{}", stderr(&small));
    for fact in ["ALMA", "TOPO", "cell", "imsize"] {
        assert!(stdout(&small).contains(fact), "{fact}: {}", stdout(&small));
    }
    let nothing = cubeclean("ms nosuch.ms");
    assert_eq!(nothing.status.code(), Some(1));
    assert!(stderr(&nothing).contains("nosuch.ms"));
}

/// A bench of a tiny job tells every stage, as JSON alone on standard output, as a file, as a table.
#[test]
fn a_bench_tells_every_stage() {
    const TINY: &str =
        "bench --pixels 64 --channels 2 --rows 1000 --iterations 20 --repeat 2 --backends cpu";
    const STAGES: [&str; 7] = ["samples", "grid", "fft", "correct", "normalise", "degrid", "minor"];
    let run = cubeclean(&format!("{TINY} --threads 1 --json -"));
    assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
    let json: serde_json::Value = serde_json::from_str(&stdout(&run)).unwrap();
    assert_eq!(json["job"]["rows"], 1000);
    assert_eq!(json["job"]["wterm"], "exact");
    let backends = json["backends"].as_array().unwrap();
    assert_eq!(backends.len(), 1);
    let cpu = &backends[0];
    assert_eq!((&cpu["kind"], &cpu["clock"]), (&"cpu".into(), &"wall".into()));
    assert_eq!((&cpu["threads"], &cpu["iterations"]), (&1.into(), &40.into()));
    for stage in STAGES {
        let stage = &cpu["stages"][stage];
        assert!(stage["seconds"].as_f64().unwrap() > 0.0, "{stage}");
        assert!(stage["per_second"].as_f64().unwrap() > 0.0, "{stage}");
    }
    assert_eq!(cpu["stages"].as_object().unwrap().len(), STAGES.len());
    for step in ["psf", "dirty", "minor", "cycle"] {
        assert!(cpu["steps_s"][step].as_f64().unwrap() > 0.0, "{step}");
    }

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bench.json");
    let run = cubeclean(&format!("{TINY} --wterm none --quiet --json {}", file.display()));
    assert_eq!(stderr(&run), "");
    for word in STAGES.into_iter().chain(["Mvis/s", "GB/s", "iter/s", "w-term none"]) {
        assert!(stdout(&run).contains(word), "{word}:\n{}", stdout(&run));
    }
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(json["passes"], 1);
}

#[test]
fn a_bench_that_cannot_be_says_why() {
    for (line, words) in [
        ("bench --mask-fraction 2", "mask-fraction=2"),
        ("bench --accuracy 1", "gridding-accuracy=1"),
        ("bench --repeat 0", "repeat=0"),
        ("bench --backends gpu --device nosuchdevice --pixels 32 --rows 10", "nosuchdevice"),
        ("bench --pixels 60000 --rows 10 --channels 1000 --backends cpu", "host memory"),
        ("bench --json /nowhere/at/all", "/nowhere/at/all"),
    ] {
        let run = cubeclean(line);
        assert!(matches!(run.status.code(), Some(1 | 2)), "{line}");
        assert!(stderr(&run).contains(words), "{line}: {}", stderr(&run));
    }
}

#[test]
fn devices_are_listed() {
    let listed = cubeclean("devices");
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
    assert!(stdout(&listed).contains("--backend auto takes"), "{}", stdout(&listed));
    assert!(!stderr(&listed).contains("error"), "{}", stderr(&listed));
    let json = cubeclean("devices --json");
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).expect("JSON");
    let devices = json["devices"].as_array().expect("a list");
    // tests/run.sh installs a software driver where there is no other.
    assert!(!devices.is_empty(), "this test needs a GPU or a software one (lavapipe)");
    for device in devices {
        assert!(stdout(&listed).contains(device["name"].as_str().expect("a name")));
        assert!(device["fits"]["largest_square_image"].as_u64() > Some(1000), "{device}");
        assert!(device["fits"]["channels_of_square_images"]["1024"].as_u64() > Some(0));
    }
}

/// `--backend auto` says which processor it took, and why; quietly if so asked.
#[test]
fn auto_says_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str, more: &str| {
        cubeclean(&format!(
            "image --vis {} --imagename {} --specmode cube --cell 0.4arcsec --imsize 64 --spw 0:0 \
             --outframe TOPO --gridding-accuracy 1e-6 {more}",
            common::ms("small").display(),
            dir.path().join(name).display(),
        ))
    };
    // Whatever GPU there is, it has no double precision.
    let told = run("a", "");
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    assert!(stderr(&told).contains("backend: cpu, "), "{}", stderr(&told));
    assert!(stderr(&told).contains("(auto: "), "{}", stderr(&told));
    assert!(stdout(&told).contains(" s on cpu, "), "{}", stdout(&told));
    assert_eq!(stderr(&run("b", "--quiet")), "");
    let json = run("c", "--progress json");
    assert!(stdout(&json).contains("{\"event\":\"backend\",\"name\":\"cpu, "), "{}", stdout(&json));
}
