//! What the machine has, and what this process took of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Fraction of the free memory that a run plans with; the rest is the system's, for its cache of what
/// we read and write.
const SHARE: f64 = 0.8;

/// Memory that a run without `--memory-limit` may take, bytes.
pub(crate) fn free_memory() -> u64 {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    let free = system.available_memory();
    let free = system.cgroup_limits().map_or(free, |limits| free.min(limits.free_memory));
    (free as f64 * SHARE) as u64
}

/// Largest resident set size of this process so far, bytes; 0 where the system does not say.
pub(super) fn peak_rss() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Bytes that are free, to us, on the file system of a directory.
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) fn free_disk(directory: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(directory).ok()?;
    Some(found.f_bavail * found.f_frsize)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn free_disk(_: &Path) -> Option<u64> {
    None
}

/// Files that this process has open; `None` where the system does not say.
pub(super) fn open_files() -> Option<u64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64)
}

/// Raises the limit of open files to so many, if it is lower and may be raised; gives the limit. `None`
/// where there is none.
#[cfg(any(target_os = "linux", target_os = "macos"))]
pub(super) fn allow_files(wanted: u64) -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let now = limit.current?;
    if now >= wanted {
        return Some(now);
    }
    let most = limit.maximum.unwrap_or(wanted).min(wanted);
    let raised = Rlimit { current: Some(most), maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(most),
        Err(_) => Some(now),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
pub(super) fn allow_files(_: u64) -> Option<u64> {
    None
}

/// Has the system forget a file's cached pages, where it can be asked to.
#[cfg(target_os = "linux")]
pub(super) fn drop_cached(file: &fs::File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn drop_cached(_: &fs::File) {}

/// The processor and the memory of this machine, in words.
pub(super) fn describe() -> Vec<(&'static str, String)> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    system.refresh_cpu_all();
    let model = system.cpus().first().map_or("unknown", |cpu| cpu.brand()).trim().to_owned();
    let memory = super::batches::readable(system.total_memory());
    vec![("processor", format!("{model}, {} cores", system.cpus().len())), ("memory", memory)]
}

/// Type and device of a directory's file system.
pub(super) fn file_system(directory: &Path) -> Option<String> {
    let path = fs::canonicalize(directory).ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    // device, mount point, type, ...; spaces in names are written as \\040.
    let fields = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.next()?.replace("\\040", " "), words.next()?))
    });
    let (device, _, kind) = fields
        .filter(|(_, at, _)| path.starts_with(at))
        .max_by_key(|(_, at, _)| Path::new(at).components().count())?;
    Some(format!("{kind} on {device}"))
}

/// Bytes that files, and all files below directories, take on disk.
pub(super) fn bytes_on_disk(paths: &[PathBuf]) -> u64 {
    paths.iter().map(|path| bytes_of(path)).sum()
}

#[cfg(unix)]
fn bytes_of(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    let own = metadata.blocks() * 512;
    match fs::read_dir(path) {
        Ok(entries) => own + entries.flatten().map(|e| bytes_of(&e.path())).sum::<u64>(),
        Err(_) => own,
    }
}

#[cfg(not(unix))]
fn bytes_of(path: &Path) -> u64 {
    match fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|e| bytes_of(&e.path())).sum(),
        Err(_) => fs::metadata(path).map_or(0, |m| m.len()),
    }
}

/// Bytes that files, and all files below directories, hold: holes count in full.
pub(super) fn apparent_bytes(paths: &[PathBuf]) -> u64 {
    let bytes = |path: &PathBuf| match fs::read_dir(path) {
        Ok(entries) => apparent_bytes(&entries.flatten().map(|e| e.path()).collect::<Vec<_>>()),
        Err(_) => fs::symlink_metadata(path).map_or(0, |m| m.len()),
    };
    paths.iter().map(bytes).sum()
}
