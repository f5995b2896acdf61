//! The `logtable` of a CASA image: its history, one row per line, kept by a StandardStMan.
//!
//! casacore refuses an image without this table. All rows share one data bucket, sized to hold them;
//! the buckets after it hold the strings, and the last one the index.

use std::{fs, path::Path};

use crate::error::{Error, Result};

use super::{
    aips::{AipsStream, Order, Record},
    tables::{bind, column_set, lock, plain_table, table_desc, write_file},
};

/// `PRIORITY` is a string column of at most 9 characters, stored in place.
const PRIORITY_BYTES: usize = 9;
/// Bytes of a variable string's slot: bucket, offset, length, or up to 8 characters in place.
const STRING_SLOT: usize = 12;
/// Bytes before the data in a bucket of strings.
const STRING_HEADER: usize = 16;
/// Bytes of the file header.
const FILE_HEADER: usize = 512;
/// Each row's `LOCATION`.
const LOCATION: &str = "cubeclean";

/// Type of a logtable column.
enum Column {
    Double,
    String { max_length: u32 },
}

/// Name, comment and type of the columns, in the order in which they are stored.
const COLUMNS: [(&str, &str, Column); 5] = [
    ("TIME", "MJD in seconds", Column::Double),
    ("PRIORITY", "", Column::String { max_length: PRIORITY_BYTES as u32 }),
    ("MESSAGE", "", Column::String { max_length: 0 }),
    ("LOCATION", "", Column::String { max_length: 0 }),
    ("OBJECT_ID", "", Column::String { max_length: 0 }),
];

/// Writes the table `directory/logtable` with one row per line; `time` is in MJD seconds, UTC.
pub(super) fn write(directory: &Path, lines: &[String], time: f64) -> Result<()> {
    let directory = directory.join("logtable");
    fs::create_dir_all(&directory).map_err(|e| Error::io("create", &directory, e))?;
    let layout = Layout::new(lines.len());
    let info =
        "Type = Log message\nSubType = \n\nRepository for software-generated logging messages\n";
    write_file(&directory.join("table.info"), info.as_bytes())?;
    write_file(&directory.join("table.f0"), &layout.file(lines, time))?;
    let nrow = lines.len() as u32;
    write_file(&directory.join("table.lock"), &lock(nrow, COLUMNS.len() as i32))?;
    write_file(&directory.join("table.dat"), &layout.description(nrow))
}

/// Where the columns lie in the data bucket.
struct Layout {
    /// Rows that the data bucket has room for.
    rows: usize,
    /// Byte offset of each column in it.
    offsets: [u32; 5],
    bucket_bytes: usize,
}

impl Layout {
    fn new(nrow: usize) -> Self {
        let rows = nrow.max(8);
        let widths = [8, PRIORITY_BYTES, STRING_SLOT, STRING_SLOT, STRING_SLOT];
        let mut offsets = [0; 5];
        let mut end = 0;
        for (offset, width) in offsets.iter_mut().zip(widths) {
            *offset = (end * rows) as u32;
            end += width;
        }
        Self { rows, offsets, bucket_bytes: (end * rows).max(1024) }
    }

    /// `table.f0`.
    fn file(&self, lines: &[String], time: f64) -> Vec<u8> {
        let mut strings =
            StringBuckets { capacity: self.bucket_bytes - STRING_HEADER, data: vec![] };
        let mut buckets = Vec::new();
        if !lines.is_empty() {
            buckets = self.data_bucket(lines, time, &mut strings);
            buckets.extend(strings.into_bytes());
        }
        let index_bucket = buckets.len() / self.bucket_bytes;
        let index = self.index(lines.len());
        buckets.extend([0xff; 8]); // no further index bucket
        buckets.extend(&index);
        buckets.resize((index_bucket + 1) * self.bucket_bytes, 0);
        let mut file = self.header(index_bucket, index.len());
        file.resize(FILE_HEADER, 0);
        file.extend(buckets);
        file
    }

    fn header(&self, index_bucket: usize, index_bytes: usize) -> Vec<u8> {
        let last_string_bucket = if index_bucket > 1 { index_bucket as i32 - 1 } else { -1 };
        let mut s = AipsStream::new(Order::Little);
        s.object("StandardStMan", 3, |s| {
            s.bool(false); // little-endian
            s.u32(self.bucket_bytes as u32);
            s.u32(index_bucket as u32 + 1); // number of buckets
            s.u32(2); // cache size
            s.u32(0); // free buckets
            s.i32(-1);
            s.u32(1); // index buckets
            s.i32(index_bucket as i32);
            s.u32(8); // offset of the index in its bucket
            s.i32(last_string_bucket);
            s.u32(index_bytes as u32);
            s.u32(1); // indices
        });
        s.into_bytes()
    }

    /// Which rows lie in which bucket: all of them in bucket 0.
    fn index(&self, nrow: usize) -> Vec<u8> {
        let entries = usize::from(nrow > 0);
        let mut s = AipsStream::new(Order::Little);
        s.object("SSMIndex", 1, |s| {
            s.u32(entries as u32);
            s.u32(self.rows as u32);
            s.i32(COLUMNS.len() as i32);
            s.object("SimpleOrderedMap", 1, |s| {
                s.i32(0); // default
                s.u32(0); // entries: no free space inside the bucket
                s.u32(1); // increment
            });
            s.block(&[nrow.saturating_sub(1) as u32][..entries]);
            s.block(&[0][..entries]);
        });
        s.into_bytes()
    }

    fn data_bucket(&self, lines: &[String], time: f64, strings: &mut StringBuckets) -> Vec<u8> {
        let mut bucket = vec![0; self.bucket_bytes];
        let mut put = |column: usize, width: usize, row: usize, bytes: &[u8]| {
            let at = self.offsets[column] as usize + width * row;
            bucket[at..at + bytes.len()].copy_from_slice(bytes);
        };
        for (row, line) in lines.iter().enumerate() {
            put(0, 8, row, &time.to_le_bytes());
            put(1, PRIORITY_BYTES, row, b"INFO");
            put(2, STRING_SLOT, row, &strings.slot(line));
            put(3, STRING_SLOT, row, &strings.slot(LOCATION));
        }
        bucket
    }

    /// `table.dat`.
    fn description(&self, nrow: u32) -> Vec<u8> {
        let none = Record::default();
        let mut blob = AipsStream::new(Order::Big);
        blob.object("SSM", 2, |s| {
            s.str("SSM");
            s.block(&self.offsets);
            s.block(&[0; 5]); // every column is in index 0
        });
        plain_table(nrow, |s| {
            table_desc(s, "Log message table", &none, &none, |s| {
                s.u32(COLUMNS.len() as u32);
                for (name, comment, column) in &COLUMNS {
                    column_desc(s, name, comment, column);
                }
            });
            column_set(s, nrow, "StandardStMan", &blob.into_bytes(), |s| {
                COLUMNS.iter().for_each(|(name, ..)| bind(s, name));
            });
        })
    }
}

fn column_desc(s: &mut AipsStream, name: &str, comment: &str, column: &Column) {
    let (class, code, max_length, keywords) = match column {
        Column::Double => ("ScalarColumnDesc<double  ", 8, 0, time_keywords()),
        Column::String { max_length } => {
            ("ScalarColumnDesc<String  ", 11, *max_length, Record::default())
        }
    };
    s.u32(1);
    s.str(class);
    s.u32(1);
    s.str(name);
    s.str(comment);
    s.str("StandardStMan");
    s.str("StandardStMan");
    s.i32(code);
    s.i32(0); // options
    s.i32(0); // dimensions
    s.u32(max_length);
    s.record("TableRecord", &keywords);
    s.u32(1);
    match column {
        Column::Double => s.f64(0.0), // default value
        Column::String { .. } => s.str(""),
    }
}

fn time_keywords() -> Record {
    Record::default()
        .with("UNIT", "s")
        .with("MEASURE_TYPE", "EPOCH")
        .with("MEASURE_REFERENCE", "UTC")
}

/// The strings that do not fit into their slots: one run of bytes, cut into buckets 1, 2, ....
struct StringBuckets {
    /// Bytes of strings that a bucket holds.
    capacity: usize,
    data: Vec<u8>,
}

impl StringBuckets {
    /// Stores a string and returns its slot. Strings of up to 8 bytes live in the slot itself.
    fn slot(&mut self, text: &str) -> [u8; STRING_SLOT] {
        let mut slot = [0; STRING_SLOT];
        if text.len() <= 8 {
            slot[..text.len()].copy_from_slice(text.as_bytes());
        } else {
            let bucket = 1 + self.data.len() / self.capacity;
            let offset = self.data.len() % self.capacity;
            slot[..4].copy_from_slice(&(bucket as i32).to_le_bytes());
            slot[4..8].copy_from_slice(&(offset as i32).to_le_bytes());
            self.data.extend(text.as_bytes());
        }
        slot[8..].copy_from_slice(&(text.len() as i32).to_le_bytes());
        slot
    }

    /// The buckets, each behind its header: 0, bytes used, bytes free, next bucket (big-endian).
    fn into_bytes(self) -> Vec<u8> {
        let count = self.data.len().div_ceil(self.capacity);
        let mut bytes = Vec::with_capacity(count * (self.capacity + STRING_HEADER));
        for (i, part) in self.data.chunks(self.capacity).enumerate() {
            let next = if i + 1 < count { i as i32 + 2 } else { -1 };
            let free = self.capacity - part.len();
            for word in [0, part.len() as i32, free as i32, next] {
                bytes.extend(word.to_be_bytes());
            }
            bytes.extend(part);
            bytes.resize(bytes.len() + free, 0);
        }
        bytes
    }
}
