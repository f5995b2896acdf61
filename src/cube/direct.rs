//! Writing past the page cache, where the file system can.
//!
//! A cube is written once, and is often larger than memory. In the page cache, each byte costs a fresh page, a copy
//! and the file's lock: of a 1024² channel more than its transforms take. A file that was opened with `O_DIRECT` gives
//! the disk our own memory instead. It takes whole pages only, from memory that lies as they do; the odd ends of what is
//! written go through the cache. The file system keeps the two apart: a direct write first brings to the disk what the cache
//! has of its range, and then drops it there.

use std::{fs, io, ops::Range, path::Path};

#[cfg(target_os = "linux")]
use crate::positioned::write_all_at;

/// Writes `bytes` from `offset` on: those that `direct` takes past the cache, the others with `cached`, which is given
/// what to write and where.
///
/// # Errors
/// What the system says, or `cached`.
pub(crate) fn write_around(
    direct: Option<&Direct>,
    bytes: &[u8],
    offset: u64,
    cached: impl Fn(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    let written = direct.map_or(Ok(0..0), |direct| direct.write(bytes, offset))?;
    for part in [0..written.start, written.end..bytes.len()] {
        if !part.is_empty() {
            cached(&bytes[part.clone()], offset + part.start as u64)?;
        }
    }
    Ok(())
}

/// What offsets, lengths and addresses are multiples of: at least the block of nearly any disk.
const PAGE: usize = 4096;

/// Bytes from which on a write goes past the cache: it waits for the disk, which is not worth it for less.
const LEAST: usize = 256 << 10;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// Memory that [`Direct`] can write.
pub(crate) struct PageBuffer {
    pages: Vec<Page>,
}

impl PageBuffer {
    /// Zeroed memory for up to so many bytes of a file.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { pages: vec![Page([0; PAGE]); bytes.div_ceil(PAGE) + 1] }
    }

    /// `bytes` of it, for what is to be in a file from `offset` on: at the same place in its page as there.
    pub(crate) fn at(&mut self, offset: u64, bytes: usize) -> &mut [u8] {
        let skip = (offset % PAGE as u64) as usize;
        &mut bytemuck::cast_slice_mut(&mut self.pages)[skip..skip + bytes]
    }
}

/// A file that is written past the page cache, by many threads (ext4 lets one at a time fill holes of a file).
pub(crate) struct Direct {
    #[cfg(target_os = "linux")]
    file: fs::File,
}

impl Direct {
    /// Opens an open file once more; `None` where writing it so is not possible, or not known to be good. Network
    /// file systems are not: there, a write that waits for the server keeps the line empty between two.
    #[cfg(target_os = "linux")]
    pub(crate) fn open(path: &Path, open: &fs::File) -> Option<Self> {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        let kind = rustix::fs::fstatfs(open).ok()?.f_type as u64;
        if ![EXT4, XFS].contains(&kind) {
            return None;
        }
        let flag = rustix::fs::OFlags::DIRECT.bits() as i32;
        let file = fs::OpenOptions::new().write(true).custom_flags(flag).open(path).ok()?;
        // The path may be another's by now.
        let id = |file: &fs::File| file.metadata().ok().map(|m| (m.dev(), m.ino()));
        (id(&file)? == id(open)?).then_some(Self { file })
    }

    /// Elsewhere, everything goes through the cache.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn open(_: &Path, _: &fs::File) -> Option<Self> {
        None
    }

    /// Writes those whole pages of `bytes`, which are to be in the file from `offset` on, and says which these were: none
    /// if there are few, if the memory is not from a [`PageBuffer`], or if the disk does not take them.
    ///
    /// # Errors
    /// What the system says, but for that the disk does not take them.
    #[cfg(target_os = "linux")]
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<Range<usize>> {
        let pages = whole_pages(bytes, offset);
        if pages.len() < LEAST {
            return Ok(0..0);
        }
        match write_all_at(&self.file, offset + pages.start as u64, &bytes[pages.clone()]) {
            // A disk with blocks of more than a page.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(0..0),
            done => done.map(|()| pages),
        }
    }

    /// There is none.
    #[cfg(not(target_os = "linux"))]
    fn write(&self, _: &[u8], _: u64) -> io::Result<Range<usize>> {
        Ok(0..0)
    }
}

/// `EXT4_SUPER_MAGIC` and `XFS_SUPER_MAGIC` of linux/magic.h.
#[cfg(target_os = "linux")]
const EXT4: u64 = 0xef53;
#[cfg(target_os = "linux")]
const XFS: u64 = 0x5846_5342;

/// The whole pages of a file among `bytes`, if the memory lies as they do.
#[cfg(target_os = "linux")]
fn whole_pages(bytes: &[u8], offset: u64) -> Range<usize> {
    let skip = (offset % PAGE as u64) as usize;
    if bytes.as_ptr().addr() % PAGE != skip {
        return 0..0;
    }
    let first = (PAGE - skip) % PAGE;
    let end = (skip + bytes.len()) / PAGE * PAGE;
    // Both are of the page's edges; where no edge lies between, there is no page.
    if end < skip + first { 0..0 } else { first..end - skip }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_are_those_of_the_file() {
        let mut buffer = PageBuffer::new(5 * PAGE);
        for (offset, length, expected) in [
            (0, 2 * PAGE, 0..2 * PAGE),
            (0, 2 * PAGE - 1, 0..PAGE),
            (1, 2 * PAGE, PAGE - 1..2 * PAGE - 1),
            (7 * PAGE as u64 - 5, 2 * PAGE, 5..PAGE + 5),
            (10, 100, 0..0),
            (10, PAGE - 10, 0..0),
            (10, 2 * PAGE - 10, PAGE - 10..2 * PAGE - 10),
        ] {
            let found = whole_pages(buffer.at(offset, length), offset);
            assert!(
                found == expected || (found.is_empty() && expected.is_empty()),
                "{offset} {length} {found:?}"
            );
        }
        let elsewhere = &buffer.at(0, PAGE * 3)[8..];
        assert!(whole_pages(elsewhere, 0).is_empty());
    }
}
