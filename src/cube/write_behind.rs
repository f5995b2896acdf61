//! Keeps the disk at work while there is work to do, and long writes from filling the page cache, where files are
//! not written past it ([`super::direct`]).
//!
//! Left to itself, a system keeps what is written until there is a tenth of its memory of it: a run would image its
//! channels first and wait for the disk afterwards. What is written is handed to the disk at once.
//!
//! A cube larger than memory would push out everything else (the seed's machine went from 122 GB of
//! cache to 15), and nobody reads its first planes before its last are written. Of long files, what is on disk is
//! dropped; the writer waits for the disk no more than it would when the system's limit of unwritten data is
//! reached.

use std::{
    collections::VecDeque,
    fs::File,
    sync::{Mutex, PoisonError},
};

/// Files shorter than this are written when the run ends, in one go: it takes no time, and many small pieces would.
const AT_ONCE_FROM: u64 = 16 << 20;

/// Files shorter than this stay in the cache, if they are written through it: users open them when the run ends.
const DROPPED_FROM: u64 = 1 << 30;

/// Bytes of a file that are handed to the disk at a time: small planes one by one would be many small writes.
const PIECE: u64 = 4 << 20;

/// Bytes of a file on their way to the disk, before the writer waits for the oldest of them.
const WINDOW: u64 = 64 << 20;

/// What of a file is on its way to the disk.
pub(super) struct WriteBehind {
    /// What is not yet, (offset, length).
    pending: Mutex<Vec<(u64, u64)>>,
    /// Of a file that is to leave the cache, oldest first.
    to_drop: Option<Window>,
}

struct Window {
    bytes: u64,
    on_the_way: Mutex<VecDeque<(u64, u64)>>,
}

impl WriteBehind {
    /// For a file of so many bytes; none if it is to be written at the end.
    pub(super) fn for_length(bytes: u64) -> Option<Self> {
        (bytes >= AT_ONCE_FROM).then(|| Self::new((bytes >= DROPPED_FROM).then_some(WINDOW)))
    }

    fn new(window: Option<u64>) -> Self {
        let to_drop = window.map(|bytes| Window { bytes, on_the_way: Mutex::default() });
        Self { pending: Mutex::default(), to_drop }
    }

    /// To be called after each write.
    pub(super) fn wrote(&self, file: &File, offset: u64, length: u64) {
        let Some(ranges) = self.due(offset, length) else { return };
        for &(offset, length) in &ranges {
            start_writing(file, offset, length);
        }
        let Some(window) = &self.to_drop else { return };
        for (offset, length) in window.oldest(&ranges) {
            drop_written(file, offset, length);
        }
    }

    /// Ranges that are to be handed to the disk now that this one was written.
    fn due(&self, offset: u64, length: u64) -> Option<Vec<(u64, u64)>> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        match pending.last_mut().filter(|(first, n)| first + n == offset) {
            Some((_, n)) => *n += length,
            None => pending.push((offset, length)),
        }
        let bytes: u64 = pending.iter().map(|(_, n)| n).sum();
        (bytes >= PIECE).then(|| std::mem::take(&mut *pending))
    }
}

impl Window {
    /// Takes ranges in; gives those that are too many.
    fn oldest(&self, ranges: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let mut queue = self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner);
        queue.extend(ranges);
        let mut bytes: u64 = queue.iter().map(|(_, n)| n).sum();
        let mut oldest = Vec::new();
        while bytes > self.bytes {
            let Some(range) = queue.pop_front() else { break };
            bytes -= range.1;
            oldest.push(range);
        }
        oldest
    }
}

/// Has the system begin to write a range, without waiting. An error comes again with the sync at the
/// end, which is where it counts.
#[cfg(target_os = "linux")]
fn start_writing(file: &File, offset: u64, length: u64) {
    sync_range(file, offset, length, libc::SYNC_FILE_RANGE_WRITE);
}

/// Waits until a range is on the disk and drops it from the cache.
#[cfg(target_os = "linux")]
fn drop_written(file: &File, offset: u64, length: u64) {
    let wait = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    sync_range(file, offset, length, wait);
    let length = std::num::NonZeroU64::new(length);
    let _ = rustix::fs::fadvise(file, offset, length, rustix::fs::Advice::DontNeed);
}

#[cfg(target_os = "linux")]
fn sync_range(file: &File, offset: u64, length: u64, flags: libc::c_uint) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open as long as `file` is borrowed; the call touches no memory of ours.
    unsafe {
        libc::sync_file_range(
            file.as_raw_fd(),
            offset as libc::off64_t,
            length as libc::off64_t,
            flags,
        )
    };
}

/// Other systems have no such call; their caches are left to themselves.
#[cfg(not(target_os = "linux"))]
fn start_writing(_: &File, _: u64, _: u64) {}

#[cfg(not(target_os = "linux"))]
fn drop_written(_: &File, _: u64, _: u64) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs::OpenOptions, os::unix::fs::FileExt};

    use super::*;

    /// Pages of the file's first `bytes` that are in the cache, by `mincore`.
    fn cached_pages(file: &File, bytes: usize) -> usize {
        // SAFETY: nobody else changes the file of this test.
        let map = unsafe { memmap2::MmapOptions::new().len(bytes).map(file) }.unwrap();
        let mut pages = vec![0u8; bytes.div_ceil(4096)];
        // SAFETY: the map covers `bytes`, and there is one byte of result for each of its pages.
        let rc = unsafe { libc::mincore(map.as_ptr() as *mut _, bytes, pages.as_mut_ptr()) };
        assert_eq!(rc, 0);
        pages.iter().filter(|&&page| page & 1 == 1).count()
    }

    #[test]
    fn what_is_on_disk_leaves_the_cache() {
        // Not in /tmp, which may be memory itself.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("pixels");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path).unwrap();
        let piece = vec![1u8; 1 << 20];
        let behind = WriteBehind::new(Some(4 << 20));
        for i in 0..32u64 {
            file.write_all_at(&piece, i << 20).unwrap();
            behind.wrote(&file, i << 20, 1 << 20);
        }
        // All but the window of 4 MiB; the kernel may keep the page at each edge.
        let cached = cached_pages(&file, 32 << 20);
        assert!(cached <= 1024 + 64, "{cached} pages of 8192 are in the cache");
    }
}
