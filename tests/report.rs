//! The performance report of a real run: its numbers agree with the summary's and the kernel's, and its two
//! forms with each other.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use cubeclean::{
    config::{Config, Parameters},
    report::{Event, Progress, Silent},
    run,
};
use serde_json::Value;

/// A job that writes some ten megabytes, in several batches.
const TEN_MEGABYTES: &str = "--imsize 256 --memory-limit 200MB";

/// Runs `cubeclean image`; returns what it says.
fn image(directory: &Path, more: &str) -> (std::process::ExitStatus, String) {
    let job = "--specmode cube --cell 0.1arcsec --outframe TOPO --interpolation nearest --niter 200 \
               --threshold 20mJy --usemask pb --pbmask 0.3 --backend cpu --threads 2 --products psf,residual,image,pb \
               --pblimit -0.1";
    let output = Command::new(env!("CARGO_BIN_EXE_cubeclean"))
        .arg("image")
        .arg("--vis")
        .arg(common::ms("small"))
        .arg("--imagename")
        .arg(directory.join("im"))
        .arg("--report")
        .arg(directory.join("report"))
        .arg("--summary")
        .arg(directory.join("im.json"))
        .args(job.split_whitespace())
        .args(more.split_whitespace())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status, said.into_owned())
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_report_agrees_with_the_summary_and_with_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (status, said) = image(dir.path(), TEN_MEGABYTES);
    assert!(status.success(), "{said}");
    assert!(said.contains("bytes read / needed"), "{said}");
    let report = json(&dir.path().join("report/report.json"));
    let summary = json(&dir.path().join("im.json"));

    let channels = report["channels"].as_array().unwrap();
    assert_eq!(channels.len(), 32);
    let sum: u64 = channels.iter().map(|c| c["iterations"].as_u64().unwrap()).sum();
    assert_eq!(summary["iterdone"].as_u64(), Some(sum));
    assert_eq!(report["result"]["iterations"].as_u64(), Some(sum));
    let resources = &summary["resources"];
    assert_eq!(report["io"]["reader_bytes"], resources["bytes_read"]);
    assert_eq!(report["io"]["writer_bytes"], resources["bytes_written"]);
    let seconds: f64 = channels.iter().map(|c| number(&c["seconds"])).sum();

    // Phases follow each other without gaps, and make up the run.
    let phases = report["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["planning", "preparing", "imaging", "completing"]);
    let (mut end, mut total) = (number(&phases[0]["start_unix_s"]), 0.0);
    for phase in phases {
        let start = number(&phase["start_unix_s"]);
        assert!((start - end).abs() < 0.05, "{phase}");
        total += number(&phase["duration_s"]);
        end = start + number(&phase["duration_s"]);
    }
    let wall = number(&report["result"]["wall_s"]);
    assert!((total / wall - 1.0).abs() < 0.1, "{total} of {wall} s");
    assert!(seconds <= 1.05 * number(&phases[2]["duration_s"]), "{seconds}");
    let shares: f64 =
        report["stages"].as_array().unwrap().iter().map(|s| number(&s["share"])).sum();
    assert!((shares - 1.0).abs() < 1e-9);
    let floors = &report["floors"];
    let disk = &floors["disk"];
    let io = &report["io"];
    let seconds = number(&io["reader_bytes"]) / number(&disk["read_rate"])
        + number(&io["writer_bytes"]) / number(&disk["write_rate"]);
    assert!((number(&disk["seconds"]) - seconds).abs() < 1e-9 * seconds);
    // On two threads; no device was at work.
    let processor = number(&report["result"]["cpu_s"]) / 2.0;
    assert!((number(&floors["processor_s"]) - processor).abs() < 1e-9 * processor);
    assert!(floors["device_s"].is_null());
    let floor = seconds.max(processor);
    assert!((number(&floors["distance"]) - wall / floor).abs() < 1e-9 * wall / floor);
    // Two threads have no more than the wall time each. (The main and the sampling thread do next to nothing.)
    assert!(number(&floors["distance"]) > 0.95, "{floors}");
    // Holes are none of the disk's blocks; directories and the last blocks of files are.
    assert!(number(&io["apparent_bytes"]) < 1.01 * number(&io["output_bytes"]), "{io}");

    // Every table of the Markdown has as many cells in each row.
    let markdown = fs::read_to_string(dir.path().join("report/report.md")).unwrap();
    let mut tables = 0;
    for table in markdown.split("\n\n").filter(|part| part.starts_with('|')) {
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<&str> = table.trim_end().lines().collect();
        assert!(lines.len() > 2 && lines.iter().all(|l| cells(l) == cells(lines[0])), "{table}");
        tables += 1;
    }
    assert_eq!(tables, 8);

    // Where it was, it stays.
    let before = fs::metadata(dir.path().join("report/report.json")).unwrap().modified().unwrap();
    let (status, said) = image(dir.path(), TEN_MEGABYTES);
    assert_eq!(status.code(), Some(1), "{said}");
    let after = fs::metadata(dir.path().join("report/report.json")).unwrap().modified().unwrap();
    assert_eq!(before, after);
}

/// Bytes by the kernel's counters against our own. Everything but visibilities and pixels (tables' metadata, program,
/// /proc, the summary, the journal) is a few hundred kB of some ten MB here.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_counts_what_we_count_and_nothing_is_moved_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (status, said) = image(dir.path(), TEN_MEGABYTES);
    assert!(status.success(), "{said}");
    let io = &json(&dir.path().join("report/report.json"))["io"];
    let of = |name: &str| number(&io[name]);
    let (needed, reader, read) = (of("needed_bytes"), of("reader_bytes"), of("kernel_read_bytes"));
    // Rows' geometry is a twelfth of what this set's 32 channels take, and not the bulk reader's.
    assert!(reader > 0.9 * needed && reader < needed, "{io}");
    assert!(read >= reader && read < 1.05 * needed + 0.5e6, "{io}");
    let (writer, written) = (of("writer_bytes"), of("kernel_written_bytes"));
    let output = of("output_bytes");
    assert!(written >= writer && written < 1.01 * writer + 0.2e6, "{io}");
    // Several major cycles, several batches, one write of every pixel.
    assert!(of("write_amplification") < 1.01, "{io}");
    assert!((writer / output - 1.0).abs() < 0.02, "{io}");
}

/// Passes over the data that come before imaging are phases of their own.
#[test]
fn passes_are_phases() {
    let dir = tempfile::tempdir().unwrap();
    let job = "--imsize 256 --memory-limit 100MB --weighting briggs --perchanweightdensity=false \
               --restoringbeam common";
    let (status, said) = image(dir.path(), job);
    assert!(status.success(), "{said}");
    let report = json(&dir.path().join("report/report.json"));
    let phases = report["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["planning", "preparing", "density pass", "PSF pass", "imaging", "completing"],
        "{said}"
    );
}

#[test]
fn a_report_that_cannot_be_written_is_found_out_first() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("report"), "a file").unwrap();
    let (status, said) = image(dir.path(), TEN_MEGABYTES);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("report"), "{said}");
    assert!(!dir.path().join("im.psf").exists() && !dir.path().join("im.journal").exists());

    fs::remove_file(dir.path().join("report")).unwrap();
    fs::create_dir(dir.path().join("report")).unwrap();
    fs::write(dir.path().join("report/report.md"), "mine").unwrap();
    let (status, said) = image(dir.path(), TEN_MEGABYTES);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("report.md") && said.contains("--overwrite"), "{said}");
    assert_eq!(fs::read_to_string(dir.path().join("report/report.md")).unwrap(), "mine");
}

/// Puts a file in the place of the report's directory when the products are about to be completed.
struct Saboteur {
    report: PathBuf,
    done: AtomicBool,
}

impl Progress for Saboteur {
    fn event(&self, event: Event) {
        if matches!(&event, Event::Stage { name } if name.contains("completing")) {
            fs::remove_dir_all(&self.report).unwrap();
            fs::write(&self.report, "in the way").unwrap();
            self.done.store(true, Ordering::Relaxed);
        }
    }
}

/// The products are there by then: the run fails, and --resume finishes it.
#[test]
fn a_report_that_fails_at_the_end_can_be_made_up_for() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report");
    let config = |resume: &str| {
        let mut parameters = Parameters::default();
        let (vis, name) = (common::ms("small"), dir.path().join("im"));
        for (parameter, value) in [
            ("vis", vis.to_str().unwrap()),
            ("imagename", name.to_str().unwrap()),
            ("specmode", "cube"),
            ("imsize", "64"),
            ("cell", "0.4arcsec"),
            ("outframe", "TOPO"),
            ("interpolation", "nearest"),
            ("backend", "cpu"),
            ("report", report.to_str().unwrap()),
            ("resume", resume),
        ] {
            parameters.set(parameter, value).unwrap();
        }
        Config::new(&parameters).unwrap()
    };
    let saboteur = Saboteur { report: report.clone(), done: AtomicBool::new(false) };
    let error = run::image(&config("false"), &saboteur).unwrap_err();
    assert!(saboteur.done.load(Ordering::Relaxed));
    assert!(error.exit_code() == 1 && error.to_string().contains("report.md"), "{error}");
    let pixels = fs::read(dir.path().join("im.image/table.f0_TSM0")).unwrap();
    fs::remove_file(&report).unwrap();
    run::image(&config("true"), &Silent).unwrap();
    assert!(fs::read(dir.path().join("im.image/table.f0_TSM0")).unwrap() == pixels);
    assert_eq!(json(&report.join("report.json"))["channels"].as_array().unwrap().len(), 32);
    let names = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name());
    let left: Vec<_> = names.filter(|n| n.to_string_lossy().contains("journal")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn processes_at_one_cube_have_reports_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    for range in ["0~15", "16~31"] {
        let (status, said) = image(dir.path(), &format!("{TEN_MEGABYTES} --channel-range {range}"));
        assert!(status.success(), "{said}");
    }
    let channels = |name: &str| {
        let report = json(&dir.path().join("report").join(name));
        let channels = report["channels"].as_array().unwrap();
        (channels[0]["channel"].as_u64(), channels.len())
    };
    assert_eq!(channels("report.0-15.json"), (Some(0), 16));
    // The last one tells of the whole cube.
    assert_eq!(channels("report.16-31.json"), (Some(0), 32));
}

/// A forecast is made of channels that are imaged, of which nothing is left.
#[test]
fn a_dry_run_tells_the_time_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let dry = |more: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_cubeclean"))
            .args([
                "image",
                "--dry-run",
                "--progress",
                "json",
                "--specmode",
                "cube",
                "--imsize",
                "64",
            ])
            .args(["--cell", "0.4arcsec", "--outframe", "TOPO", "--interpolation", "nearest"])
            .args(["--backend", "cpu", "--threads", "2", "--niter", "50"])
            .args(more.split_whitespace())
            .arg("--vis")
            .arg(common::ms("small"))
            .arg("--imagename")
            .arg(dir.path().join("im"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something is left");
        let said = String::from_utf8(output.stdout).unwrap();
        let mut events = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.next_back().unwrap()
    };
    for more in ["", "--channel-range 3~9", "--restoringbeam common", "--concat-mode virtual"] {
        let estimated = dry(more);
        assert_eq!(estimated["event"], "estimated", "{estimated}");
        let seconds = estimated["seconds"].as_f64().unwrap();
        assert!(seconds > 0.0 && seconds < 600.0, "{estimated}");
        assert!(
            estimated["message"].as_str().unwrap().contains("channels took that were imaged"),
            "{estimated}"
        );
    }
    let estimated = dry("--cyclecontrol cube");
    assert!(estimated["seconds"].is_null(), "{estimated}");
}
