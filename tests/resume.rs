//! Runs that are killed, stopped or out of disk, and several processes at one cube: whatever happens, the
//! products end up as those of an undisturbed run, bit by bit, and nothing is left over.

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// 32 channels, some seconds of work in small batches.
const JOB: &str = "--specmode cube --imsize 128 --cell 0.2arcsec --outframe TOPO --interpolation nearest \
                   --backend cpu --weighting briggs --niter 300 --threshold 20mJy --usemask pb \
                   --pbmask 0.3 --pbcor --format casa,fits --threads 2 --memory-limit 160MB";

/// `cubeclean image` of the job, with further arguments.
fn command(imagename: &Path, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cubeclean"));
    command
        .arg("image")
        .arg("--vis")
        .arg(common::ms("small"))
        .arg("--imagename")
        .arg(imagename)
        .args(arguments(more))
        .stdin(Stdio::null());
    command
}

/// The job's arguments, of which those that `more` gives too are left out.
fn arguments(more: &str) -> Vec<String> {
    let mut all: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    let words = JOB.split_whitespace().chain(more.split_whitespace()).collect::<Vec<_>>();
    let mut words = words.into_iter().peekable();
    while let Some(name) = words.next() {
        all.insert(name, words.next_if(|word| !word.starts_with("--")));
    }
    all.into_iter()
        .flat_map(|(name, value)| std::iter::once(name).chain(value))
        .map(String::from)
        .collect()
}

fn run(imagename: &Path, more: &str) -> Output {
    command(imagename, more).output().expect("the program starts")
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn fails(output: &Output, status: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

/// Every file in a directory but the images' logs, which hold the command and the time.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn visit(path: &Path, root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                visit(&entry.unwrap().path(), root, files);
            }
        } else if path.parent().unwrap().ends_with("logtable") {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), Vec::new());
        } else {
            let mut bytes = fs::read(path).unwrap();
            if path.extension() == Some("fits".as_ref()) {
                without_history(&mut bytes);
            }
            files.insert(path.strip_prefix(root).unwrap().to_owned(), bytes);
        }
    }
    let mut found = BTreeMap::new();
    visit(directory, directory, &mut found);
    found
}

/// Blanks the cards of a FITS header that hold the command.
fn without_history(bytes: &mut [u8]) {
    for card in bytes.chunks_exact_mut(80).take_while(|card| &card[..3] != b"END") {
        if &card[..7] == b"HISTORY" {
            card.fill(b' ');
        }
    }
}

#[track_caller]
fn assert_same(expected: &BTreeMap<PathBuf, Vec<u8>>, found: &BTreeMap<PathBuf, Vec<u8>>) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    let differ: Vec<_> = expected.iter().filter(|(name, bytes)| found[*name] != **bytes).collect();
    assert!(differ.is_empty(), "{:?}", differ.iter().map(|(name, _)| name).collect::<Vec<_>>());
}

/// Reproducible numbers.
struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % below
    }
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the child has not been waited for, so that its number is still its own.
    unsafe { libc::kill(child.id() as i32, signal) };
}

/// The products of an undisturbed run, and how long it takes.
fn undisturbed() -> (BTreeMap<PathBuf, Vec<u8>>, Duration) {
    let dir = tempfile::tempdir().unwrap();
    let start = Instant::now();
    succeeds(&run(&dir.path().join("im"), ""));
    (files(dir.path()), start.elapsed())
}

/// Sends a signal after a while; gives the output.
fn disturbed(mut child: Child, wait: Duration, number: i32) -> Option<i32> {
    thread::sleep(wait);
    signal(&child, number);
    child.wait().unwrap().code()
}

fn quiet(mut command: Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_with_the_same_bits() {
    let (expected, whole) = undisturbed();
    let mut random = Random(20_261_127);
    // Each kill costs the run the batch in hand, so that it needs a few moments between two.
    for (round, number) in [libc::SIGKILL, libc::SIGTERM, libc::SIGKILL].into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("im");
        let mut kills = 0;
        for attempt in 0.. {
            assert!(attempt < 60, "round {round}: no end");
            let part = 100 + random.next(900) as u32;
            let wait = whole * part / 1000 + Duration::from_millis(attempt * 10);
            match disturbed(quiet(command(&name, "--resume")), wait, number) {
                Some(0) => break,
                Some(3) | None => kills += 1,
                Some(code) => {
                    // Killed after its end, before the shell could know: complete.
                    assert_eq!(code, 1);
                    fails(&run(&name, "--resume"), 1, &["no interrupted run", "--overwrite"]);
                    break;
                }
            }
        }
        eprintln!("round {round}: {kills} kills");
        assert_same(&expected, &files(dir.path()));
    }
}

#[test]
fn processes_share_a_cube_and_one_that_dies_is_replaced() {
    let (expected, whole) = undisturbed();
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let first = quiet(command(&name, "--channel-range 0~14"));
    let second = quiet(command(&name, "--channel-range 15~31"));
    assert_eq!(disturbed(second, whole / 4, libc::SIGKILL), None);
    assert_eq!({ first }.wait().unwrap().code(), Some(0));
    // The first has ended, and says what is missing; nothing looks like a product.
    assert!(dir.path().join("im.journal").exists());
    assert!(!dir.path().join("im.image").exists());
    // Its channels are not begun twice.
    fails(&run(&name, "--channel-range 0~14"), 1, &["begun before", "--resume"]);
    let output = run(&name, "--channel-range 15~31 --resume");
    succeeds(&output);
    assert_same(&expected, &files(dir.path()));

    // Three at a time, with a beam in common: each needs all channels' beams.
    let common = "--restoringbeam common";
    let alone = tempfile::tempdir().unwrap();
    succeeds(&run(&alone.path().join("im"), common));
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let parts = ["0~4", "5~20", "21~31"]
        .map(|range| quiet(command(&name, &format!("{common} --channel-range {range}"))));
    for mut part in parts {
        assert_eq!(part.wait().unwrap().code(), Some(0));
    }
    assert_same(&files(alone.path()), &files(dir.path()));
}

#[test]
fn a_changed_job_is_refused_and_the_difference_told() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let child = quiet(command(&name, "--nchan 8"));
    thread::sleep(Duration::from_millis(700));
    signal(&child, libc::SIGKILL);
    { child }.wait().unwrap();
    fails(&run(&name, "--nchan 8"), 1, &["im.journal", "--resume", "--overwrite"]);
    let output = run(&name, "--nchan 8 --resume --gain 0.2 --niter 500");
    fails(&output, 1, &["gain: 0.1 before, 0.2 now", "niter: 300 before, 500 now"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!message.contains("nchan:") && !message.contains("memory-limit"), "{message}");
    // What changes no bit may change.
    succeeds(&run(&name, "--nchan 8 --resume --threads 1 --memory-limit 1GB"));
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 16, "eight products in two formats");
    fails(&run(&name, "--channel-range 5~32"), 1, &[]);
}

#[test]
fn planes_that_are_lost_are_made_again() {
    let (expected, _) = undisturbed();
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    succeeds(&run(&name, "--channel-range 0~20"));
    // As a power failure might: planes that never came to the disk, and one that came in part.
    let psf = dir.path().join("im.psf.incomplete/table.f0_TSM0");
    let mut bytes = fs::read(&psf).unwrap();
    let plane = bytes.len() / 32;
    bytes[7 * plane..9 * plane].fill(0);
    bytes[12 * plane + 17] ^= 1;
    fs::write(&psf, bytes).unwrap();
    // Before one resumes, nobody knows.
    let output = run(&name, "--resume");
    succeeds(&output);
    assert_same(&expected, &files(dir.path()));
}

/// Also where no one says `--resume`: a process that takes channels which a dead one recorded looks at
/// them first.
#[test]
fn channels_of_a_dead_process_are_looked_at_before_they_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let summary = dir.path().join("summary.json");
    let small = format!("--nchan 6 --summary {}", summary.display());
    succeeds(&run(&name, &format!("{small} --channel-range 0~3")));
    // A part's summary would stand in the way of the whole one's.
    assert!(!summary.exists());
    let residual = dir.path().join("im.residual.incomplete/table.f0_TSM0");
    let mut bytes = fs::read(&residual).unwrap();
    let plane = bytes.len() / 6;
    bytes[2 * plane + 100] ^= 0x40;
    fs::write(&residual, bytes).unwrap();
    succeeds(&run(&name, &format!("{small} --channel-range 2~5")));
    let text = fs::read_to_string(&summary).unwrap();
    fs::remove_file(&summary).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["channels"].as_array().unwrap().len(), 6);
    // With a command of the same length, which decides where pixels begin in FITS files.
    let alone = tempfile::tempdir().unwrap();
    let summary = alone.path().join("summary.json");
    let more = format!("--nchan 6 --summary {}", summary.display());
    succeeds(&run(&alone.path().join("im"), &more));
    fs::remove_file(&summary).unwrap();
    assert_same(&files(alone.path()), &files(dir.path()));
}

/// A dirty cube has no mask, and that of the cube it replaces would be taken for its own; the process that completes it
/// need not be the one that was told to replace the older.
#[test]
fn the_mask_of_a_cube_that_is_replaced_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let masks = || ["im.mask", "im.mask.fits"].map(|mask| dir.path().join(mask).exists());
    succeeds(&run(&name, "--nchan 4"));
    succeeds(&run(&name, "--nchan 4 --niter 0 --overwrite --channel-range 0~1"));
    assert_eq!(masks(), [true, true]);
    succeeds(&run(&name, "--nchan 4 --niter 0 --channel-range 2~3"));
    assert_eq!(masks(), [false, false]);

    // But not one that somebody gives, nor one that is there alone.
    succeeds(&run(&name, "--nchan 4 --overwrite"));
    let given = format!("--usemask user --mask {}.mask", name.display());
    succeeds(&run(&name, &format!("--nchan 4 --niter 0 --overwrite {given}")));
    assert_eq!(masks(), [true, false]);
    for product in fs::read_dir(dir.path()).unwrap() {
        let path = product.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("im.mask") => (),
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    succeeds(&run(&name, "--nchan 4 --niter 0"));
    assert_eq!(masks(), [true, false]);
}

#[test]
fn what_cannot_be_resumed_is_told_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    // Part of a cube, whose journal is lost.
    succeeds(&run(&name, "--nchan 2 --channel-range 0"));
    fs::remove_dir_all(dir.path().join("im.journal")).unwrap();
    let words = ["im.psf.incomplete", "not its journal", "--overwrite"];
    fails(&run(&name, "--nchan 2 --resume"), 1, &words);
    succeeds(&run(&name, "--nchan 2 --resume --overwrite"));
    // Killed at the very last, while its journal was being removed.
    fs::create_dir(dir.path().join("im.journal.served")).unwrap();
    fails(&run(&name, "--nchan 2 --resume"), 1, &["no interrupted run"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 16, "eight products in two formats");
}

#[test]
fn a_full_disk_is_foreseen_or_named_and_the_run_goes_on_when_there_is_room() {
    let (expected, _) = undisturbed();
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // A small file system of its own, in a mount namespace that ends with the shell; as root, or as the
    // root of a user namespace.
    // SAFETY: the call has no arguments and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let namespace: &[&str] =
        if root { &["--mount"] } else { &["--mount", "--user", "--map-root-user"] };
    let job = |more: &str| {
        let command = command(&disk.join("im"), more);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let quoted = words.map(|word| format!("'{}'", word.to_str().unwrap()));
        quoted.collect::<Vec<_>>().join(" ")
    };
    let script = format!(
        "set -e
         mount -t tmpfs -o size=12m tmpfs '{disk}'
         status=0; {job} 2> '{dir}/refused' || status=$?
         echo $status > '{dir}/statuses'
         ls '{disk}' >> '{dir}/refused'
         mount -o remount,size=60m '{disk}'
         {job} 2> '{dir}/message' & pid=$!
         while ! grep -q Channel '{disk}'/im.journal/*.log 2> '{dir}/wait'; do sleep 0.02; done
         dd if=/dev/zero of='{disk}/filler' bs=64k 2> '{dir}/wait' || true
         status=0; wait $pid || status=$?
         echo $status >> '{dir}/statuses'
         rm '{disk}/filler'
         {again}
         cp -a '{disk}' '{dir}/saved'",
        disk = disk.display(),
        dir = dir.path().display(),
        job = job(""),
        again = job("--resume"),
    );
    let output = Command::new("unshare").args(namespace).args(["sh", "-c", &script]).output();
    let output = output.expect("unshare, of util-linux");
    succeeds(&output);
    let said = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(said("statuses").split_whitespace().collect::<Vec<_>>(), ["1", "1"]);
    // Too small from the beginning: refused, and nothing written.
    for word in ["disk space at", "MB needed", "MB available", "larger disk"] {
        assert!(said("refused").contains(word), "{word:?} is not in: {}", said("refused"));
    }
    assert!(!said("refused").contains("im."), "{}", said("refused"));
    for word in ["disk/im.", "No space left", "--resume"] {
        assert!(said("message").contains(word), "{word:?} is not in: {}", said("message"));
    }
    assert_same(&expected, &files(&dir.path().join("saved")));
}
