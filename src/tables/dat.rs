//! The files that describe a table: `table.dat`, `table.lock`.

use std::{fs, io::Write, path::Path};

use super::aips::{AipsStream, Order, Record};
use crate::error::{Error, Result};

/// `table.dat` of a table whose description and column set `body` writes.
pub(crate) fn plain_table(nrow: u32, body: impl FnOnce(&mut AipsStream)) -> Vec<u8> {
    let mut s = AipsStream::new(Order::Big);
    s.object("Table", 2, |s| {
        s.u32(nrow);
        s.u32(1); // the data are little-endian
        s.str("PlainTable");
        body(s);
    });
    s.into_bytes()
}

/// A table description; `columns` writes their number and descriptions.
pub(crate) fn table_desc(
    s: &mut AipsStream,
    comment: &str,
    keywords: &Record,
    private_keywords: &Record,
    columns: impl FnOnce(&mut AipsStream),
) {
    s.object("TableDesc", 2, |s| {
        s.str("");
        s.str("");
        s.str(comment);
        s.record("TableRecord", keywords);
        s.record("TableRecord", private_keywords);
        columns(s);
    });
}

/// A data manager of a table; its number is its place in the list.
pub(crate) struct Manager {
    /// Its type: `StandardStMan`, ...
    kind: &'static str,
    /// What it keeps in `table.dat`.
    blob: Vec<u8>,
}

impl Manager {
    /// One that keeps nothing in `table.dat`, as tiled ones do.
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, blob: Vec::new() }
    }

    /// One with an entry of its own in `table.dat`.
    pub(crate) fn with_blob(kind: &'static str, blob: Vec<u8>) -> Self {
        Self { kind, blob }
    }
}

/// The data managers, and the bindings of all columns to them, which `bindings` writes.
pub(crate) fn column_set(
    s: &mut AipsStream,
    nrow: u32,
    managers: &[Manager],
    bindings: impl FnOnce(&mut AipsStream),
) {
    s.i32(-2); // version 2
    s.u32(nrow);
    s.u32(managers.len() as u32); // next free sequence number
    s.u32(managers.len() as u32);
    for (number, manager) in managers.iter().enumerate() {
        s.str(manager.kind);
        s.u32(number as u32);
    }
    bindings(s);
    managers.iter().for_each(|manager| s.blob(&manager.blob));
}

/// The binding of one column to a data manager.
pub(crate) fn bind(s: &mut AipsStream, column: &str, manager: usize) {
    s.u32(2);
    s.str(column);
    s.u32(1);
    s.u32(manager as u32);
}

/// A file of a tiled manager, by its number. Version 2 of the entry has a 64-bit length; casacore
/// uses it from 2 GiB on.
pub(crate) fn file_entry(s: &mut AipsStream, number: u32, bytes: u64) {
    let long = bytes > i32::MAX as u64;
    s.u32(if long { 2 } else { 1 });
    s.u32(number);
    if long { s.u64(bytes) } else { s.u32(bytes as u32) }
}

/// `table.lock`: no lock held, and the live row count.
pub(crate) fn lock(nrow: u32, ncolumn: i32, managers: usize) -> Vec<u8> {
    let mut s = AipsStream::new(Order::Big);
    s.object("sync", 1, |s| {
        s.u32(nrow);
        s.i32(ncolumn);
        s.u32(1); // modify counter
        s.u32(1); // table change counter
        s.block(&vec![1; managers]); // change counters of the data managers
    });
    let sync = s.into_bytes();
    let mut lock = vec![0; 260]; // request slots
    lock.extend((sync.len() as u32).to_be_bytes());
    lock.extend(sync);
    lock
}

/// Writes a small file and syncs it.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| Error::io("write", path, e))
}
