//! Metadata files of the tables that make up a CASA image: `table.dat`, `.info`, `.lock`, `.f0`.

use std::path::Path;

use crate::{
    error::Result,
    tables::{
        aips::{AipsStream, Order, Record},
        dat::{Manager, bind, column_set, file_entry, lock, plain_table, table_desc, write_file},
    },
};

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
        write_file(&directory.join("table.lock"), &lock(1, 1, 1))?;
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
            column_set(s, 1, &[Manager::new("TiledCellStMan")], |s| {
                bind(s, self.column, 0);
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
                file_entry(s, 0, self.data_bytes);
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
}
