//! A file of pixels in the making: sparse, written in place by many threads, perhaps by several
//! processes.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    error::{Error, Result},
    positioned::{read_exact_at, write_all_at},
};

use super::{
    direct::{Direct, write_around},
    write_behind::WriteBehind,
};

/// Bytes read at a time for a checksum, or to see whether there is anything to be zeroed.
const CHUNK: usize = 1 << 20;

/// Files shorter than this stay in the page cache: it takes no time.
const DIRECT_FROM: u64 = 16 << 20;

/// A file of pixels. Parts that are all zero stay holes, which every reader sees as zeros: a model or
/// a mask of a few sources takes no more disk than these.
pub(super) struct PixelFile {
    path: PathBuf,
    file: fs::File,
    /// It was there before: where it is to be zero, it need not be.
    joined: bool,
    direct: Option<Direct>,
    behind: Option<WriteBehind>,
    written: AtomicU64,
}

impl PixelFile {
    /// Makes the file, sparse, at a length of `bytes`; with `join`, an existing one is continued.
    ///
    /// It is locked as long as it is open, so that no other run takes it for abandoned; the lock is a
    /// shared one, as several processes may write one cube.
    pub(super) fn create(path: &Path, bytes: u64, join: bool) -> Result<Self> {
        let io = |e| Error::io("create", path, e);
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true);
        match join {
            true => options.create(true).truncate(false),
            false => options.create_new(true),
        };
        let file = options.open(path).map_err(io)?;
        // Some network file systems know no locks; there, only `--overwrite` can do harm.
        let _ = file.try_lock_shared();
        let length = file.metadata().map_err(io)?.len();
        // A FITS file that was complete already has its table of beams behind the pixels.
        if length < bytes {
            file.set_len(bytes).map_err(io)?;
        }
        let direct = (bytes >= DIRECT_FROM).then(|| Direct::open(path, &file)).flatten();
        Ok(Self {
            path: path.to_owned(),
            file,
            joined: length > 0,
            direct,
            behind: WriteBehind::for_length(bytes),
            written: AtomicU64::new(0),
        })
    }

    /// Writes `bytes` from `offset` on, but for pieces of `grain` bytes that are all zero: these are
    /// left, or made, holes or zeros.
    pub(super) fn write_sparse(&self, bytes: &[u8], offset: u64, grain: usize) -> Result<()> {
        let mut start = 0;
        let mut at = 0;
        for piece in bytes.chunks(grain.max(1)) {
            if is_zero(piece) {
                self.write_at(&bytes[start..at], offset + start as u64)?;
                self.zero(offset + at as u64, piece.len())?;
                start = at + piece.len();
            }
            at += piece.len();
        }
        self.write_at(&bytes[start..], offset + start as u64)
    }

    /// Writes all of `bytes` from `offset` on, whatever other threads write elsewhere; past the page cache what of it
    /// can be.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        write_around(self.direct.as_ref(), bytes, offset, |part, at| self.write_cached(part, at))
            .map_err(|e| Error::io("write", &self.path, e))?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn write_cached(&self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        write_all_at(&self.file, offset, bytes)?;
        if let Some(behind) = &self.behind {
            behind.wrote(&self.file, offset, bytes.len() as u64);
        }
        Ok(())
    }

    /// Zeroes a part that may hold what an interrupted run wrote there.
    fn zero(&self, offset: u64, length: usize) -> Result<()> {
        if !self.joined {
            return Ok(());
        }
        let mut found = vec![0; length];
        self.read_at(offset, &mut found)?;
        if is_zero(&found) {
            return Ok(());
        }
        found.fill(0);
        self.write_at(&found, offset)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        read_exact_at(&self.file, offset, out).map_err(|e| Error::io("read", &self.path, e))
    }

    /// Adds `length` bytes from `offset` on, as they are on disk now, to a checksum.
    pub(super) fn sum(&self, crc: &mut crc32fast::Hasher, offset: u64, length: u64) -> Result<()> {
        let mut buffer = vec![0; CHUNK.min(length as usize)];
        let mut done = 0;
        while done < length {
            let part = buffer.len().min((length - done) as usize);
            self.read_at(offset + done, &mut buffer[..part])?;
            crc.update(&buffer[..part]);
            done += part as u64;
        }
        Ok(())
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io("sync", &self.path, e))
    }

    /// Bytes handed to the system so far.
    pub(super) fn bytes_written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

/// Whether all bytes are zero. Most data are not, and say so in their first bytes.
fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|part| part.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use super::{super::direct::PageBuffer, *};

    /// CRC-32 of IEEE 802.3, bit by bit, from its polynomial.
    fn crc_by_definition(bytes: &[u8]) -> u32 {
        let mut crc = !0u32;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        !crc
    }

    #[test]
    fn a_plane_is_what_was_written_and_zeros_take_no_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pixels");
        let length = 4 << 20;
        let file = PixelFile::create(&path, length as u64, false).unwrap();
        let mut bytes = vec![0; length];
        bytes[3 << 16] = 7;
        bytes[(40 << 16) + 5] = 9;
        file.write_sparse(&bytes, 0, 1 << 16).unwrap();
        file.sync().unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
        assert_eq!(file.bytes_written(), 2 << 16);
        let mut crc = crc32fast::Hasher::new();
        file.sum(&mut crc, 0, length as u64).unwrap();
        assert_eq!(crc.finalize(), crc_by_definition(&bytes));
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::MetadataExt;
            let blocks = fs::metadata(&path).unwrap().blocks();
            assert!(blocks * 512 < 1 << 18, "{blocks} blocks");
        }
    }

    /// Planes as a FITS file has them, none of which begins with a page of the file.
    #[test]
    fn what_goes_past_the_cache_is_what_was_written() {
        // Not in /tmp, which may be memory itself.
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("pixels");
        let (header, plane, planes) = (2880, (1 << 20) + 12, 20);
        let length = header + plane * planes;
        let expected: Vec<u8> =
            (0..length).map(|i| if i < header { 0 } else { ((i * i) >> 7) as u8 | 1 }).collect();
        let file = PixelFile::create(&path, length as u64, false).unwrap();
        let mut buffer = PageBuffer::new(plane);
        for i in (0..planes).rev() {
            let offset = header + i * plane;
            let bytes = buffer.at(offset as u64, plane);
            bytes.copy_from_slice(&expected[offset..offset + plane]);
            file.write_at(bytes, offset as u64).unwrap();
        }
        // From other memory, which the disk may not take.
        file.write_at(&expected[length - plane + 1..], (length - plane + 1) as u64).unwrap();
        file.sync().unwrap();
        assert!(fs::read(&path).unwrap() == expected);
        assert_eq!(file.bytes_written(), (plane * (planes + 1) - 1) as u64);
    }

    #[test]
    fn what_an_interrupted_run_wrote_does_not_show_through() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pixels");
        let length = 1 << 18;
        let first = PixelFile::create(&path, length as u64, false).unwrap();
        first.write_at(&vec![5; length], 0).unwrap();
        drop(first);
        let again = PixelFile::create(&path, length as u64, true).unwrap();
        let mut bytes = vec![0; length];
        bytes[100] = 1;
        again.write_sparse(&bytes, 0, 1 << 12).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}
