//! Files read by position, by many threads at once; every length is checked before memory is taken.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    positioned::read_exact_at,
};

/// What to do about a file that is shorter than its header says, or whose content is senseless.
pub(super) const COPY_AGAIN: &str =
    "the file is truncated or damaged: copy it again from its origin";

/// A file of a table. Positioned reads, not a memory map: a file that shrinks while we read it is
/// then an error, where a map would kill the process (SIGBUS).
#[derive(Debug)]
pub(super) struct DataFile {
    path: PathBuf,
    file: File,
    len: u64,
}

impl DataFile {
    pub(super) fn open(path: PathBuf) -> Result<Self> {
        let io = |e| Error::io("read", &path, e);
        let file = File::open(&path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        Ok(Self { path, file, len })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Says that `len` bytes from `offset` on are in the file, or that it is truncated.
    pub(super) fn check(&self, offset: u64, len: u64) -> Result<()> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(Error::data(
                &self.path,
                format!("bytes {offset} to {offset}+{len}"),
                format!("the file has only {} bytes", self.len),
                COPY_AGAIN,
            )),
        }
    }

    /// Fills `out` from `offset` on.
    pub(super) fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        self.check(offset, out.len() as u64)?;
        read_exact_at(&self.file, offset, out).map_err(|e| Error::io("read", &self.path, e))
    }

    /// `len` bytes from `offset` on.
    pub(super) fn read(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        self.check(offset, len)?;
        let mut bytes = vec![0; len as usize];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// An error about this file's content.
    pub(super) fn bad(&self, what: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::data(&self.path, what, problem, COPY_AGAIN)
    }
}
