//! Metadata files of the tables that make up a CASA image: `table.dat`, `.info`, `.lock`, `.f0`.

use std::{fs, io::Write, path::Path};

use crate::error::{Error, Result};

use super::aips::{AipsStream, Order, Record};

/// Element type of a tiled table's one array column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Bool,
}

impl Element {
    /// casacore's data type code.
    fn code(self) -> i32 {
        match self {
            Self::Bool => 0,
            Self::Float => 7,
        }
    }

    /// Name of the column description's class: the type's id padded to 8, with no closing bracket.
    fn class_name(self) -> &'static str {
        match self {
            Self::Bool => "ArrayColumnDesc<Bool    ",
            Self::Float => "ArrayColumnDesc<float   ",
        }
    }
}

/// A table of one row and one column, whose cell is one tiled array: a CASA image or its mask.
pub(super) struct TiledTable<'a> {
    /// `Image`, or `Paged Array` for a mask.
    pub(super) kind: &'static str,
    pub(super) column: &'static str,
    pub(super) element: Element,
    pub(super) shape: [usize; 4],
    pub(super) tile: [usize; 4],
    /// Length of the file of tiles, bytes.
    pub(super) data_bytes: u64,
    pub(super) keywords: &'a Record,
}

impl TiledTable<'_> {
    /// Writes all files of the table but its tiles.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        let info = format!("Type = {}\nSubType = \n\n", self.kind);
        write_file(&directory.join("table.info"), info.as_bytes())?;
        write_file(&directory.join("table.f0"), &self.tiled_header())?;
        write_file(&directory.join("table.lock"), &lock(1, 1))?;
        write_file(&directory.join("table.dat"), &self.description())
    }

    fn description(&self) -> Vec<u8> {
        let hypercolumn = Record::default()
            .with("ndim", 4_u32)
            .with("data", vec![self.column.to_owned()])
            .with("coord", Vec::<String>::new())
            .with("id", Vec::<String>::new());
        let private = Record::default().with(format!("Hypercolumn_{}", self.column), hypercolumn);
        plain_table(1, |s| {
            table_desc(s, "", self.keywords, &private, |s| {
                s.u32(1);
                self.column_desc(s);
            });
            column_set(s, 1, "TiledCellStMan", &[], |s| {
                bind(s, self.column);
                s.bool(false); // the shape is the cell's own
            });
        })
    }

    fn column_desc(&self, s: &mut AipsStream) {
        s.u32(1);
        s.str(self.element.class_name());
        s.u32(1);
        s.str(self.column);
        s.str("version 4.0");
        s.str("TiledShapeStMan"); // informative only; casacore writes this though it binds another
        s.str(self.column);
        s.i32(self.element.code());
        s.i32(0); // options
        s.i32(4); // dimensions
        s.shape(&[]);
        s.u32(0); // maximum string length
        s.record("TableRecord", &Record::default());
        s.u32(1);
        s.bool(false);
    }

    /// `table.f0`: where the tiles are, of one hypercube in one file.
    fn tiled_header(&self) -> Vec<u8> {
        let mut s = AipsStream::new(Order::Big);
        s.object("TiledCellStMan", 1, |s| {
            s.shape(&self.tile);
            s.object("TiledStMan", 2, |s| {
                s.bool(false); // little-endian
                s.u32(0); // sequence number
                s.u32(1); // rows
                s.u32(1); // columns
                s.i32(self.element.code());
                s.str(self.column);
                s.u32(0); // cache size
                s.u32(4); // dimensions
                s.u32(1); // files
                s.bool(true);
                self.file_entry(s);
                s.u32(1); // hypercubes
                s.u32(1); // version of the hypercube entry
                s.record("Record", &Record::default());
                s.bool(false); // not extensible
                s.u32(4);
                s.shape(&self.shape);
                s.shape(&self.tile);
                s.i32(0); // file
                s.u32(0); // offset in the file
            });
        });
        s.into_bytes()
    }

    /// Version 2 of the entry has a 64-bit length; casacore uses it from 2 GiB on.
    fn file_entry(&self, s: &mut AipsStream) {
        let long = self.data_bytes > i32::MAX as u64;
        s.u32(if long { 2 } else { 1 });
        s.u32(0); // file number
        if long { s.u64(self.data_bytes) } else { s.u32(self.data_bytes as u32) }
    }
}

/// `table.dat` of a table whose description and column set `body` writes.
pub(super) fn plain_table(nrow: u32, body: impl FnOnce(&mut AipsStream)) -> Vec<u8> {
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
pub(super) fn table_desc(
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

/// The binding of all columns to one data manager, number 0, and the manager's blob.
pub(super) fn column_set(
    s: &mut AipsStream,
    nrow: u32,
    manager: &str,
    blob: &[u8],
    bindings: impl FnOnce(&mut AipsStream),
) {
    s.i32(-2); // version 2
    s.u32(nrow);
    s.u32(1); // next free sequence number
    s.u32(1); // managers
    s.str(manager);
    s.u32(0);
    bindings(s);
    s.blob(blob);
}

/// The binding of one column to data manager 0.
pub(super) fn bind(s: &mut AipsStream, column: &str) {
    s.u32(2);
    s.str(column);
    s.u32(1);
    s.u32(0);
}

/// `table.lock`: no lock held, and the live row count.
pub(super) fn lock(nrow: u32, ncolumn: i32) -> Vec<u8> {
    let mut s = AipsStream::new(Order::Big);
    s.object("sync", 1, |s| {
        s.u32(nrow);
        s.i32(ncolumn);
        s.u32(1); // modify counter
        s.u32(1); // table change counter
        s.block(&[1]); // change counter of the data manager
    });
    let sync = s.into_bytes();
    let mut lock = vec![0; 260]; // request slots
    lock.extend((sync.len() as u32).to_be_bytes());
    lock.extend(sync);
    lock
}

/// Writes a small file and syncs it.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = fs::File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| Error::io("write", path, e))
}
