//! The StandardStMan: rows in buckets, each column in a part of its own of a bucket.
//!
//! Rows stream to the file bucket by bucket; what does not lie in the rows (texts and arrays of any
//! shape) is kept in memory until the end. The buckets of texts follow those of rows, and the last
//! one holds the index.

use std::{
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    aips::{AipsStream, Order},
    column::{Cell, Column, Kind, Shape},
    dat::{Manager, write_file},
};
use crate::error::{Error, Result};

/// Bytes of a text's slot: bucket, offset, length, or up to 8 characters in place.
const TEXT_SLOT: usize = 12;
/// Bytes before the data in a bucket of texts.
const TEXT_HEADER: usize = 16;
/// Bytes of the file header.
const FILE_HEADER: usize = 512;
/// Bytes of the header of the file of arrays.
const ARRAY_HEADER: usize = 16;
/// Most rows of a bucket: so many that the index, of 8 bytes a bucket, fits into one bucket itself.
const MOST_ROWS: usize = 16_384;

/// How a column's cells lie in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storage {
    Bit,
    /// So many bytes in place: numbers, or a text of limited length.
    Bytes(usize),
    Text,
    Texts,
    /// Where the cell is in the file of arrays.
    Array,
}

impl Storage {
    fn of(column: &Column) -> Self {
        match (column.kind, column.shape) {
            (Kind::Bool, Shape::Scalar) => Self::Bit,
            (Kind::Text, Shape::Scalar) if column.max_length > 0 => {
                Self::Bytes(column.max_length as usize)
            }
            (Kind::Text, Shape::Scalar) => Self::Text,
            (Kind::Text, _) => Self::Texts,
            (kind, Shape::Scalar) => Self::Bytes(kind.bits() / 8),
            (kind, Shape::Fixed(shape)) => {
                Self::Bytes(kind.bits() * shape.iter().product::<usize>() / 8)
            }
            (_, Shape::Any(_)) => Self::Array,
        }
    }

    /// Bytes of so many rows.
    fn bytes(self, rows: usize) -> usize {
        match self {
            Self::Bit => rows.div_ceil(8),
            Self::Bytes(n) => n * rows,
            Self::Text | Self::Texts => TEXT_SLOT * rows,
            Self::Array => 8 * rows,
        }
    }
}

/// Where the columns lie in a bucket.
#[derive(Debug)]
pub(crate) struct Layout {
    storage: Vec<Storage>,
    offsets: Vec<u32>,
    /// Rows of the table, and those that a bucket has room for.
    nrow: usize,
    rows: usize,
    bucket_bytes: usize,
}

impl Layout {
    /// Of a table of `nrow` rows; `columns` are those that the manager keeps.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = &'a Column>, nrow: usize) -> Self {
        let storage: Vec<_> = columns.into_iter().map(Storage::of).collect();
        let rows = nrow.clamp(8, MOST_ROWS);
        let mut end = 0;
        let mut offsets = Vec::with_capacity(storage.len());
        for storage in &storage {
            offsets.push(end as u32);
            end += storage.bytes(rows);
        }
        Self { storage, offsets, nrow, rows, bucket_bytes: end.max(1024) }
    }

    /// Buckets of rows.
    fn data_buckets(&self) -> usize {
        self.nrow.div_ceil(self.rows)
    }

    /// The manager's entry in `table.dat`.
    pub(crate) fn manager(&self) -> Manager {
        let mut blob = AipsStream::new(Order::Big);
        blob.object("SSM", 2, |s| {
            s.str("SSM");
            s.block(&self.offsets);
            s.block(&vec![0; self.offsets.len()]); // every column is in index 0
        });
        Manager::with_blob("StandardStMan", blob.into_bytes())
    }

    /// The header, of a file whose last bucket is `index_bucket`.
    fn header(&self, index_bucket: usize, index_bytes: usize) -> Vec<u8> {
        let texts = index_bucket > self.data_buckets();
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
            s.i32(if texts { index_bucket as i32 - 1 } else { -1 }); // last bucket of texts
            s.u32(index_bytes as u32);
            s.u32(1); // indices
        });
        let mut header = s.into_bytes();
        header.resize(FILE_HEADER, 0);
        header
    }

    /// Which rows lie in which bucket.
    fn index(&self) -> Vec<u8> {
        let buckets = 0..self.data_buckets();
        let last = |bucket: usize| ((bucket + 1) * self.rows).min(self.nrow) as u32 - 1;
        let mut s = AipsStream::new(Order::Little);
        s.object("SSMIndex", 1, |s| {
            s.u32(buckets.len() as u32);
            s.u32(self.rows as u32);
            s.i32(self.storage.len() as i32);
            s.object("SimpleOrderedMap", 1, |s| {
                s.i32(0); // default
                s.u32(0); // entries: no free space inside the bucket
                s.u32(1); // increment
            });
            s.block(&buckets.clone().map(last).collect::<Vec<_>>());
            s.block(&buckets.map(|bucket| bucket as u32).collect::<Vec<_>>());
        });
        s.into_bytes()
    }
}

/// Writes `table.f<number>`, and `table.f<number>i` where there are arrays of any shape.
pub(crate) struct StandardWriter {
    path: PathBuf,
    file: BufWriter<File>,
    layout: Layout,
    bucket: Vec<u8>,
    /// Rows so far.
    done: usize,
    texts: Texts,
    /// The file of arrays, but for its header.
    arrays: Vec<u8>,
}

impl StandardWriter {
    /// Makes the file of manager `number` of the table `directory`.
    pub(crate) fn create(directory: &Path, number: usize, layout: Layout) -> Result<Self> {
        let path = directory.join(format!("table.f{number}"));
        let create = || {
            let mut file = BufWriter::new(File::create(&path)?);
            file.write_all(&[0; FILE_HEADER])?;
            Ok(file)
        };
        let file = create().map_err(|e| Error::io("create", &path, e))?;
        let texts = Texts {
            first_bucket: layout.data_buckets(),
            capacity: layout.bucket_bytes - TEXT_HEADER,
            data: Vec::new(),
        };
        let bucket = vec![0; layout.bucket_bytes];
        Ok(Self { path, file, layout, bucket, done: 0, texts, arrays: Vec::new() })
    }

    /// Appends a row: a cell of each column, in their order.
    pub(crate) fn push(&mut self, cells: &[Cell]) -> Result<()> {
        debug_assert_eq!(cells.len(), self.layout.storage.len(), "{}", self.path.display());
        let row = self.done % self.layout.rows;
        for (column, cell) in cells.iter().enumerate() {
            let storage = self.layout.storage[column];
            let begin = self.layout.offsets[column] as usize;
            if storage == Storage::Bit {
                self.bucket[begin + row / 8] |= u8::from(*cell == Cell::Bool(true)) << (row % 8);
                continue;
            }
            let width = storage.bytes(1);
            let bytes = match (storage, cell) {
                (Storage::Text, Cell::Text(text)) => self.texts.slot(text).to_vec(),
                (Storage::Bytes(_), Cell::Text(text)) => text.as_bytes().to_vec(),
                (Storage::Texts, Cell::Texts(texts)) => self.texts.array_slot(texts).to_vec(),
                (Storage::Array, cell) => self.array(cell).to_le_bytes().to_vec(),
                (_, cell) => cell.numbers(),
            };
            let used = bytes.len().min(width);
            self.bucket[begin + width * row..][..used].copy_from_slice(&bytes[..used]);
        }
        self.done += 1;
        if self.done.is_multiple_of(self.layout.rows) { self.flush() } else { Ok(()) }
    }

    /// Keeps an array, and gives its place in the file; 0 where there is none.
    fn array(&mut self, cell: &Cell) -> i64 {
        if *cell == Cell::Undefined {
            return 0;
        }
        self.arrays.resize(self.arrays.len().next_multiple_of(8), 0);
        let place = (ARRAY_HEADER + self.arrays.len()) as i64;
        let shape = cell.shape();
        self.arrays.extend((shape.len() as u32).to_le_bytes());
        self.arrays.extend(shape.iter().flat_map(|&n| (n as i32).to_le_bytes()));
        self.arrays.extend(cell.numbers());
        place
    }

    fn flush(&mut self) -> Result<()> {
        self.file.write_all(&self.bucket).map_err(|e| Error::io("write", &self.path, e))?;
        self.bucket.fill(0);
        Ok(())
    }

    /// Writes what is left, texts, index, header and arrays, and syncs them.
    pub(crate) fn finish(mut self) -> Result<()> {
        debug_assert_eq!(self.done, self.layout.nrow, "{}", self.path.display());
        if !self.done.is_multiple_of(self.layout.rows) {
            self.flush()?;
        }
        let Self { path, mut file, layout, texts, arrays, .. } = self;
        let texts = texts.into_bytes();
        let index = layout.index();
        let index_bucket = layout.data_buckets() + texts.len() / layout.bucket_bytes;
        let mut last = vec![0xff; 8]; // no further bucket of the index
        last.extend(&index);
        last.resize(layout.bucket_bytes, 0);
        let mut write = || {
            file.write_all(&texts)?;
            file.write_all(&last)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&layout.header(index_bucket, index.len()))?;
            file.flush()?;
            file.get_ref().sync_all()
        };
        write().map_err(|e| Error::io("write", &path, e))?;
        if !layout.storage.contains(&Storage::Array) {
            return Ok(());
        }
        let mut bytes = 0u32.to_le_bytes().to_vec(); // version
        bytes.extend(((ARRAY_HEADER + arrays.len()) as i64).to_le_bytes());
        bytes.resize(ARRAY_HEADER, 0);
        bytes.extend(arrays);
        let mut name = path.into_os_string();
        name.push("i");
        write_file(Path::new(&name), &bytes)
    }
}

/// The texts that do not fit into their slots: one run of bytes, cut into buckets.
struct Texts {
    first_bucket: usize,
    /// Bytes of texts that a bucket holds.
    capacity: usize,
    data: Vec<u8>,
}

impl Texts {
    /// Keeps a text and returns its slot. Texts of up to 8 bytes live in the slot itself.
    fn slot(&mut self, text: &str) -> [u8; TEXT_SLOT] {
        if text.len() > 8 {
            return self.place(text.as_bytes());
        }
        let mut slot = [0; TEXT_SLOT];
        slot[..text.len()].copy_from_slice(text.as_bytes());
        slot[8..].copy_from_slice(&(text.len() as i32).to_le_bytes());
        slot
    }

    /// Keeps an array of texts, whose lengths and shape are big-endian whatever the table's order.
    fn array_slot(&mut self, texts: &[String]) -> [u8; TEXT_SLOT] {
        let mut bytes = Vec::new();
        for word in [1, texts.len() as i32, 1] {
            bytes.extend(word.to_be_bytes()); // axes, shape, "strings follow"
        }
        for text in texts {
            bytes.extend((text.len() as u32).to_be_bytes());
            bytes.extend(text.as_bytes());
        }
        self.place(&bytes)
    }

    fn place(&mut self, bytes: &[u8]) -> [u8; TEXT_SLOT] {
        let bucket = self.first_bucket + self.data.len() / self.capacity;
        let offset = self.data.len() % self.capacity;
        self.data.extend(bytes);
        let mut slot = [0; TEXT_SLOT];
        for (word, value) in slot.chunks_exact_mut(4).zip([bucket, offset, bytes.len()]) {
            word.copy_from_slice(&(value as i32).to_le_bytes());
        }
        slot
    }

    /// The buckets, each behind its header: 0, bytes used, bytes free, next bucket (big-endian).
    fn into_bytes(self) -> Vec<u8> {
        let count = self.data.len().div_ceil(self.capacity);
        let mut bytes = Vec::with_capacity(count * (self.capacity + TEXT_HEADER));
        for (i, part) in self.data.chunks(self.capacity).enumerate() {
            let next = if i + 1 < count { (self.first_bucket + i + 1) as i32 } else { -1 };
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
