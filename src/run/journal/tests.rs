//! Journals of several runs and processes: what is remembered, what is refused.

use super::*;
use crate::report::MinorCycle;

const ALL: Range<usize> = 0..6;

fn header(niter: &str) -> Header {
    let identity = [("niter", niter), ("device", "cpu")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    Header::new(identity.into(), vec![format!("niter {niter}")])
}

fn beginning(resume: bool, overwrite: bool, part: Option<Range<usize>>) -> Beginning {
    Beginning { resume, part, overwrite }
}

fn open(name: &Path, channels: Range<usize>, how: &Beginning) -> Result<(Journal, bool)> {
    Journal::open(name, &header("100"), channels, how, || Ok(()))
}

/// A summary whose numbers are hard to write as text.
fn summary(channel: usize) -> ChannelSummary {
    let cycle =
        MinorCycle { peak_res: f64::NAN, start_peak_res: f64::INFINITY, ..MinorCycle::default() };
    ChannelSummary {
        channel,
        freq_hz: 1e11 / 3.0,
        rms: 1.0e-7 / 3.0,
        beam: Some(Beam { major: 1e-6 / 7.0, minor: 1e-6 / 9.0, pa: -0.1 / 3.0 }),
        minor: vec![cycle; 2],
        ..ChannelSummary::default()
    }
}

fn sums(channel: usize) -> Sums {
    vec![
        (Product::ImagePbcor, Format::Casa, channel as u32),
        (Product::Psf, Format::Fits, u32::MAX),
    ]
}

fn done(journal: &Journal) -> Vec<usize> {
    journal.state().unwrap().done.into_keys().collect()
}

#[test]
fn what_was_recorded_is_remembered_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let (journal, joins) = open(&name, ALL, &beginning(false, false, None)).unwrap();
    assert!(!joins);
    journal.channel(&summary(3), sums(3)).unwrap();
    let beams = vec![None, summary(0).beam];
    journal.beams(&beams).unwrap();
    drop(journal);
    let (journal, joins) = open(&name, ALL, &beginning(true, false, None)).unwrap();
    assert!(joins);
    let state = journal.state().unwrap();
    let (found, expected) = (&state.done[&3], summary(3));
    assert_eq!(found.sums, sums(3));
    // NaN is not equal to itself; its text is.
    assert_eq!(format!("{:?}", found.summary), format!("{expected:?}"));
    assert_eq!((state.beams, state.completed), (Some(beams), false));
    journal.completed().unwrap();
    assert!(journal.state().unwrap().completed);
    let claim = journal.claim().unwrap().unwrap();
    journal.remove(claim).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn channels_are_done_until_found_missing_whoever_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let part = |range: Range<usize>| beginning(false, false, Some(range));
    let (a, _) = open(&name, 0..3, &part(0..3)).unwrap();
    let (b, joins) = open(&name, 3..6, &part(3..6)).unwrap();
    assert!(joins);
    a.channel(&summary(1), sums(1)).unwrap();
    b.channel(&summary(5), sums(5)).unwrap();
    assert_eq!(done(&a), [1, 5]);
    drop((a, b));
    let (whole, _) = open(&name, ALL, &beginning(true, false, None)).unwrap();
    whole.void(1).unwrap();
    assert_eq!(done(&whole), [5]);
    whole.channel(&summary(1), sums(1)).unwrap();
    assert_eq!(done(&whole), [1, 5]);
}

/// What a process has not brought to the disk does not complete a cube: its machine may fail.
#[test]
fn channels_count_once_they_are_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let part = |range: Range<usize>| beginning(false, false, Some(range));
    let (a, _) = open(&name, 0..2, &part(0..2)).unwrap();
    let (b, _) = open(&name, 2..4, &part(2..4)).unwrap();
    for (journal, channels) in [(&a, 0..2), (&b, 2..4)] {
        channels.clone().for_each(|c| journal.channel(&summary(c), sums(c)).unwrap());
    }
    b.on_disk(&(2..4)).unwrap();
    assert_eq!(b.state().unwrap().missing(4), [0, 1]);
    a.on_disk(&(0..2)).unwrap();
    assert!(b.state().unwrap().missing(4).is_empty());
    b.void(3).unwrap();
    assert_eq!(a.state().unwrap().missing(4), [3]);
}

/// As where every process of a batch system has the same number, and one was killed while it began.
#[test]
fn a_draft_that_was_left_is_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    drop(open(&name, ALL, &beginning(false, false, None)).unwrap());
    let header = directory_of(&name).join("run.json");
    let draft = directory_of(&name).join(format!("run.json.{}-0", std::process::id()));
    fs::hard_link(&header, draft).unwrap();
    let how = beginning(true, false, None);
    let error = Journal::open(&name, &self::header("200"), ALL, &how, || Ok(())).unwrap_err();
    assert!(error.to_string().contains("niter: 100 before, 200 now"), "{error}");
}

#[test]
fn a_torn_line_swallows_nothing_of_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let (journal, _) = open(&name, ALL, &beginning(false, false, None)).unwrap();
    journal.channel(&summary(0), sums(0)).unwrap();
    journal.channel(&summary(1), sums(1)).unwrap();
    let log = journal.log_path.clone();
    drop(journal);
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() - 30]).unwrap();
    let (journal, _) = open(&name, ALL, &beginning(true, false, None)).unwrap();
    assert_eq!(done(&journal), [0]);
    journal.channel(&summary(2), sums(2)).unwrap();
    assert_eq!(done(&journal), [0, 2]);
}

#[test]
fn another_job_is_refused_with_the_difference() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    drop(open(&name, ALL, &beginning(false, false, None)).unwrap());
    let how = beginning(true, false, None);
    let error = Journal::open(&name, &header("200"), ALL, &how, || Ok(())).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("niter: 100 before, 200 now"), "{message}");
    assert!(!message.contains("device"), "{message}");
    // A header that cannot be read.
    fs::write(directory_of(&name).join("run.json"), "{").unwrap();
    let message = open(&name, ALL, &how).unwrap_err().to_string();
    assert!(message.contains("cannot be read") && message.contains("--overwrite"), "{message}");
}

#[test]
fn an_interrupted_run_is_continued_or_replaced_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let (journal, _) = open(&name, ALL, &beginning(false, false, None)).unwrap();
    journal.channel(&summary(0), sums(0)).unwrap();
    // While it is alive, nobody takes its place or its channels.
    for how in [beginning(true, false, None), beginning(false, true, None)] {
        let message = open(&name, ALL, &how).unwrap_err().to_string();
        assert!(message.contains("another process is at these channels"), "{message}");
    }
    let part = beginning(true, false, Some(2..4));
    assert!(open(&name, 2..4, &part).unwrap_err().to_string().contains("another process"));
    drop(journal);
    let message = open(&name, ALL, &beginning(false, false, None)).unwrap_err().to_string();
    assert!(message.contains("--resume") && message.contains("--overwrite"), "{message}");
    let cleared = std::cell::Cell::new(false);
    let clear = || {
        cleared.set(true);
        Ok(())
    };
    let how = beginning(false, true, None);
    let (journal, joins) = Journal::open(&name, &header("300"), ALL, &how, clear).unwrap();
    assert!(cleared.get() && !joins && done(&journal).is_empty());
}

#[test]
fn one_process_completes_the_cube() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let part = |range: Range<usize>| beginning(false, false, Some(range));
    let (a, _) = open(&name, 0..3, &part(0..3)).unwrap();
    let (b, _) = open(&name, 3..6, &part(3..6)).unwrap();
    let claim = a.claim().unwrap().expect("nobody has it");
    assert!(b.claim().unwrap().is_none());
    // Its holder dies: who resumes may take it over, and nobody else, as there may be no locks to tell.
    drop(claim);
    assert!(b.claim().unwrap().is_none());
    drop(b);
    let (b, _) = open(&name, 3..6, &beginning(true, false, Some(3..6))).unwrap();
    let claim = b.claim().unwrap().expect("free again");
    assert!(!a.has_served());
    b.remove(claim).unwrap();
    // And what comes too late finds that it is done.
    assert!(a.has_served() && a.claim().unwrap().is_none());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
