//! The journal of a run: what is finished of a cube, so that a run that was killed goes on where it
//! stopped, and so that several processes can write one cube.
//!
//! It is a directory, `NAME.journal`, beside the products for as long as the cube is unfinished:
//!
//! - `run.json` holds what decides the bits ([`identity()`]); whoever joins or resumes must agree with it.
//! - `channels-AAAAAA-BBBBBB.log`, one of each process (or of each run, where one continues another's), is
//!   only ever appended to: a line for each channel whose planes are written, with its summary and the
//!   planes' checksums. A line is written after its planes, and nothing relies on either having reached the disk:
//!   a run that resumes another verifies the planes, and does again what a power failure took. At the end of
//!   its channels a process brings the planes to the disk, says so, and only then looks for what the
//!   others have said: on a network file system too, the last one finds all of it.
//! - `finish` is made by the process that completes the products; one that resumes may take it over.
//!
//! Logs are locked by the processes that write them, which tells the living from the dead. Where a file
//! system knows no locks, nothing but this protection is lost.

mod identity;
mod line;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use crate::{
    beam::Beam,
    cube::{Format, Product},
    error::{Error, Result},
    report::ChannelSummary,
};

pub(super) use identity::{Identity, identity};

/// Checksums of a channel's planes.
pub(super) type Sums = Vec<(Product, Format, u32)>;

/// One line of a log.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Record {
    /// All planes of a channel are written.
    Channel(Box<Done>),
    /// A channel that was recorded is not on disk as it was recorded.
    Void {
        /// Index in the cube.
        channel: usize,
    },
    /// The fitted beams of all channels, where they had to be known in advance.
    Beams(Vec<Option<Beam>>),
    /// The planes of these channels are on disk, and not only in some machine's memory.
    OnDisk(Range<usize>),
    /// Every product is complete and on disk, but perhaps without its name.
    Completed,
}

/// A finished channel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub summary: ChannelSummary,
    pub sums: Sums,
}

/// What the logs of all processes say.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Finished channels.
    pub done: BTreeMap<usize, Done>,
    /// Channels whose process has seen to it that they are on disk.
    on_disk: BTreeSet<usize>,
    /// The fitted beams of all channels.
    pub beams: Option<Vec<Option<Beam>>>,
    /// Whether every product is complete.
    pub completed: bool,
}

impl State {
    /// Channels of a cube of `nchan` that have still to be imaged, or verified.
    pub fn missing(&self, nchan: usize) -> Vec<usize> {
        let there = |c: &usize| self.done.contains_key(c) && self.on_disk.contains(c);
        (0..nchan).filter(|c| !there(c)).collect()
    }
}

/// How a run begins where a journal may be.
#[derive(Clone, Debug)]
pub(super) struct Beginning {
    /// Go on with what there is.
    pub resume: bool,
    /// Channels of this process, if it is one of several.
    pub part: Option<Range<usize>>,
    /// Begin anew in place of an interrupted run.
    pub overwrite: bool,
}

/// A journal that this process writes to.
#[derive(Debug)]
pub(super) struct Journal {
    directory: PathBuf,
    /// Whether what a dead process was about to complete may be taken over.
    resumes: bool,
    /// Lines for the products' logs, the same in all processes: they decide where pixels begin in FITS files.
    pub history: Vec<String>,
    log: Mutex<File>,
    log_path: PathBuf,
}

/// The right to complete the products; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    _locked: File,
}

/// `NAME.journal`.
pub(super) fn directory_of(imagename: &Path) -> PathBuf {
    let mut name = imagename.as_os_str().to_owned();
    name.push(".journal");
    name.into()
}

/// Where a journal goes in one step when it has served, before its files are removed.
fn served(directory: &Path) -> PathBuf {
    directory.with_extension("journal.served")
}

/// Removes what a run left that was killed at the very last, while it removed its journal.
///
/// # Errors
/// [`Error::Io`] if the system refuses.
pub(super) fn sweep(imagename: &Path) -> Result<()> {
    remove(&served(&directory_of(imagename)))
}

/// Whether there is an interrupted run of that name.
pub(super) fn exists(imagename: &Path) -> bool {
    directory_of(imagename).join("run.json").exists()
}

/// Refuses to begin where an interrupted run is, unless `beginning` says what is to become of it.
///
/// # Errors
/// [`Error::Exists`].
pub(super) fn check(imagename: &Path, beginning: &Beginning) -> Result<()> {
    let expected = beginning.resume || beginning.overwrite || beginning.part.is_some();
    if expected || !exists(imagename) {
        return Ok(());
    }
    let remedy = "an interrupted run left it: give --resume to go on from it, or --overwrite to start anew (or remove it, \
         and NAME.*.incomplete)";
    Err(Error::Exists { path: directory_of(imagename), remedy: remedy.into() })
}

impl Journal {
    /// Opens the journal of a cube of `nchan` channels, or begins one. `channels` are those of this process.
    ///
    /// The second value tells whether it goes on with, or joins, what is there: products are to be joined
    /// then. Before it begins anew in place of an interrupted run, `clear` is called, which is to remove what
    /// that run left.
    ///
    /// # Errors
    /// A journal of another job; processes that are at the same channels; what the system refuses.
    pub fn open(
        imagename: &Path,
        run: &Header,
        channels: Range<usize>,
        beginning: &Beginning,
        clear: impl FnOnce() -> Result<()>,
    ) -> Result<(Self, bool)> {
        check(imagename, beginning)?;
        let directory = directory_of(imagename);
        sweep(imagename)?;
        let name = format!("channels-{:06}-{:06}.log", channels.start, channels.end - 1);
        let log_path = directory.join(name);
        // One of several processes must not take the place of what others may just have begun.
        let anew = exists(imagename)
            && beginning.overwrite
            && !beginning.resume
            && beginning.part.is_none();
        if anew {
            refuse_if_alive(&directory)?;
            clear()?;
            retire(&directory)?;
        }
        let there = exists(imagename);
        let history = begin(&directory, run)?;
        if there && !beginning.resume && log_path.exists() {
            let remedy = "these channels were begun before: give --resume to go on with them; to start anew, \
                          remove the journal and NAME.*.incomplete";
            return Err(Error::Exists { path: log_path, remedy: remedy.into() });
        }
        refuse_overlap(&directory, &log_path, &channels)?;
        let io = |e| Error::io("open", &log_path, e);
        let mut log = OpenOptions::new().create(true).append(true).open(&log_path).map_err(io)?;
        if !lock(&log) {
            return Err(at_work(&log_path));
        }
        // The line that a crash tore must not swallow the next.
        if log.metadata().map_err(io)?.len() > 0 {
            log.write_all(b"\n").map_err(io)?;
        }
        // One of several may find that another one was faster.
        let joins = there || beginning.part.is_some();
        let resumes = beginning.resume;
        Ok((Self { directory, resumes, history, log: Mutex::new(log), log_path }, joins))
    }

    /// Records a channel whose planes are all written.
    pub fn channel(&self, summary: &ChannelSummary, sums: Sums) -> Result<()> {
        let summary = summary.clone();
        self.append(&Record::Channel(Box::new(Done { summary, sums })))
    }

    /// Records that a finished channel has to be done again.
    pub fn void(&self, channel: usize) -> Result<()> {
        self.append(&Record::Void { channel })
    }

    /// Records the fitted beams of all channels.
    pub fn beams(&self, beams: &[Option<Beam>]) -> Result<()> {
        self.append(&Record::Beams(beams.to_vec()))
    }

    /// Records, on the disk, that the planes of these channels are there.
    pub fn on_disk(&self, channels: &Range<usize>) -> Result<()> {
        self.append(&Record::OnDisk(channels.clone()))?;
        self.sync()
    }

    /// Records, on the disk, that all products are complete.
    pub fn completed(&self) -> Result<()> {
        self.append(&Record::Completed)?;
        self.sync()
    }

    /// Brings the log to the disk.
    pub fn sync(&self) -> Result<()> {
        self.lock().sync_all().map_err(|e| Error::io("sync", &self.log_path, e))
    }

    fn append(&self, record: &Record) -> Result<()> {
        let line = line::encode(record).map_err(|e| Error::io("write", &self.log_path, e))?;
        // One call, so that a line is whole or torn at its end.
        self.lock().write_all(line.as_bytes()).map_err(|e| Error::io("write", &self.log_path, e))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.log.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What all processes have recorded up to now.
    pub fn state(&self) -> Result<State> {
        let mut state = State::default();
        // A channel may be done, found missing and done again, by whatever process.
        let mut times: BTreeMap<usize, i64> = BTreeMap::new();
        for log in logs(&self.directory)? {
            let bytes = fs::read(&log).map_err(|e| Error::io("read", &log, e))?;
            for record in line::decode(&bytes) {
                match record {
                    Record::Channel(done) => {
                        let channel = done.summary.channel;
                        *times.entry(channel).or_default() += 1;
                        state.done.insert(channel, *done);
                    }
                    Record::Void { channel } => *times.entry(channel).or_default() -= 1,
                    Record::Beams(beams) => state.beams = Some(beams),
                    Record::OnDisk(channels) => state.on_disk.extend(channels),
                    Record::Completed => state.completed = true,
                }
            }
        }
        state.done.retain(|channel, _| times.get(channel).is_some_and(|&times| times > 0));
        Ok(state)
    }

    /// Whether another process has completed the products and removed the journal.
    pub fn has_served(&self) -> bool {
        !exists_at(&self.directory)
    }

    /// Takes the right to complete the products, unless another process has it; one that resumes takes it
    /// from the dead. Two that end at the same time are told apart by who made the file, as there may be no
    /// locks.
    pub fn claim(&self) -> Result<Option<Claim>> {
        let path = self.directory.join("finish");
        let mut options = OpenOptions::new();
        let opened = match options.append(true).create_new(true).open(&path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && self.resumes => {
                OpenOptions::new().append(true).open(&path)
            }
            opened => opened,
        };
        let file = match opened {
            Ok(file) => file,
            // Another process is completing them, or has, and removed the journal.
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
                return Ok(None);
            }
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        if !lock(&file) {
            return Ok(None);
        }
        // It may have been removed while this process waited for nothing but its turn to ask.
        Ok((!self.has_served()).then_some(Claim { _locked: file }))
    }

    /// Ends the journal: the products have their names.
    pub fn remove(&self, claim: Claim) -> Result<()> {
        retire(&self.directory)?;
        drop(claim);
        Ok(())
    }
}

fn exists_at(directory: &Path) -> bool {
    directory.join("run.json").exists()
}

/// Removes a journal, in one step as far as others can see.
fn retire(directory: &Path) -> Result<()> {
    let served = served(directory);
    remove(&served)?;
    match fs::rename(directory, &served) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("rename", directory, e)),
        _ => remove(&served),
    }
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", directory, e)),
        _ => Ok(()),
    }
}

/// The logs of a journal, in the order of their channels.
fn logs(directory: &Path) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io("read", directory, e);
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if channels_of(&path).is_some() {
            logs.push(path);
        }
    }
    logs.sort();
    Ok(logs)
}

/// The channels that a log's name tells.
fn channels_of(log: &Path) -> Option<Range<usize>> {
    let name = log.file_name()?.to_str()?;
    let (first, last) = name.strip_prefix("channels-")?.strip_suffix(".log")?.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<usize>().ok()? + 1)
}

/// What `run.json` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Header {
    /// Of the journal.
    version: u32,
    identity: Identity,
    history: Vec<String>,
}

impl Header {
    /// Of a run with these lines in its products' logs.
    pub fn new(identity: Identity, history: Vec<String>) -> Self {
        Self { version: VERSION, identity, history }
    }
}

const VERSION: u32 = 1;

/// Makes the journal's directory and header, or agrees with those that are there; gives the history of the
/// run that began.
fn begin(directory: &Path, header: &Header) -> Result<Vec<String>> {
    fs::create_dir_all(directory).map_err(|e| Error::io("create", directory, e))?;
    let path = directory.join("run.json");
    let text = serde_json::to_string_pretty(&header)
        .map_err(|e| Error::io("write", &path, std::io::Error::other(e)))?;
    // Whole or not at all, also after a power failure, and whoever comes second finds the first one's.
    let draft = write_draft(directory, &text)?;
    let linked = fs::hard_link(&draft, &path);
    let renamed = match linked {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => fs::rename(&draft, &path),
        _ => fs::remove_file(&draft),
    };
    renamed.map_err(|e| Error::io("create", &path, e))?;
    sync_directory(directory)?;
    let text = fs::read_to_string(&path).map_err(|e| Error::io("read", &path, e))?;
    let remedy = "give the parameters of that run, another imagename, or --overwrite to start anew";
    let unreadable = |problem: String| Error::data(&path, "journal", problem, remedy);
    let found: Header =
        serde_json::from_str(&text).map_err(|e| unreadable(format!("cannot be read ({e})")))?;
    if found.version != VERSION {
        return Err(unreadable(format!("is of version {}, not {VERSION}", found.version)));
    }
    let differences = identity::differences(&found.identity, &header.identity);
    if !differences.is_empty() {
        let problem = format!("belongs to another job ({})", differences.join("; "));
        return Err(Error::data(&path, "journal", problem, remedy));
    }
    Ok(found.history)
}

/// Writes the header to a new file, and brings it to the disk.
fn write_draft(directory: &Path, text: &str) -> Result<PathBuf> {
    // The number of a process is not enough: in containers, all may have the same one, and a file that is
    // linked to `run.json` must not be written to again.
    let mut attempt = 0;
    let (draft, opened) = loop {
        let draft = directory.join(format!("run.json.{}-{attempt}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&draft) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => attempt += 1,
            opened => break (draft, opened),
        }
    };
    let write = |mut file: File| file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    opened.and_then(write).map_err(|e| Error::io("write", &draft, e))?;
    Ok(draft)
}

/// Makes the names in a directory survive a power failure.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> Result<()> {
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|e| Error::io("sync", directory, e))
}

/// Windows has no such call, and needs none.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> Result<()> {
    Ok(())
}

fn at_work(log: &Path) -> Error {
    Error::Exists {
        path: log.to_owned(),
        remedy: "another process is at these channels: wait for its end, or give other channels"
            .into(),
    }
}

/// Locks a file, unless a living process has it; where there are no locks, everyone has it.
fn lock(file: &File) -> bool {
    // Others that ask who is alive hold the lock for an instant.
    for _ in 0..20 {
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Ok(()) | Err(fs::TryLockError::Error(_)) => return true,
        }
    }
    false
}

fn is_alive(log: &Path) -> bool {
    let locked = File::open(log).map(|file| file.try_lock_shared());
    matches!(locked, Ok(Err(fs::TryLockError::WouldBlock)))
}

/// Refuses to take the place of a run that is alive.
fn refuse_if_alive(directory: &Path) -> Result<()> {
    match logs(directory)?.iter().find(|log| is_alive(log)) {
        Some(log) => Err(at_work(log)),
        None => Ok(()),
    }
}

/// Refuses channels that a living process is at.
fn refuse_overlap(directory: &Path, own: &Path, channels: &Range<usize>) -> Result<()> {
    for log in logs(directory)? {
        let theirs = channels_of(&log).unwrap_or(0..0);
        let overlaps = theirs.start < channels.end && channels.start < theirs.end;
        if log != own && overlaps && is_alive(&log) {
            return Err(at_work(&log));
        }
    }
    Ok(())
}
