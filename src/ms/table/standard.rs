//! StandardStMan: rows in buckets, each column contiguous within a bucket.

use std::{path::Path, sync::OnceLock};

use super::{
    Array, Column, aipsio::Stream, element::Element, file::DataFile, indirect::IndirectFile,
};
use crate::error::Result;

/// Bytes before the first bucket.
const HEADER: u64 = 512;
/// Bytes of a string bucket's own header.
const STRING_HEADER: u64 = 16;

/// A StandardStMan of a table.
#[derive(Debug)]
pub(super) struct Standard {
    file: DataFile,
    indirect: OnceLock<IndirectFile>,
    big_endian: bool,
    bucket_size: u64,
    buckets: u64,
    /// Byte offset of each column in a bucket.
    offsets: Vec<u32>,
    /// Which of `indices` locates the rows of each column.
    index_of: Vec<u32>,
    indices: Vec<Index>,
}

/// Where rows are: entry `k` holds the rows after `last_row[k-1]` up to `last_row[k]`.
#[derive(Debug)]
struct Index {
    last_row: Vec<u64>,
    bucket: Vec<u32>,
}

impl Standard {
    /// Opens `table.f<number>` of the table `dir`.
    pub(super) fn open(dir: &Path, number: u32, blob: &[u8], big_endian: bool) -> Result<Self> {
        let (offsets, index_of) = read_blob(blob, &dir.join("table.dat"))?;
        let file = DataFile::open(dir.join(format!("table.f{number}")))?;
        let header = file.read(0, HEADER.min(file.len()))?;
        let mut stream = Stream::new(&header, big_endian, file.path());
        let object = stream.outermost_object("StandardStMan")?;
        if object.version > 2 {
            stream.bool()?; // big-endian; table.dat said so already
        }
        let bucket_size = u64::from(stream.u32()?);
        let buckets = u64::from(stream.u32()?);
        for _cache_size_free_buckets_first_free in 0..3 {
            stream.u32()?;
        }
        stream.u32()?; // number of index buckets
        let first_index = stream.i32()?;
        let index_offset = if object.version > 1 { u64::from(stream.u32()?) } else { 0 };
        stream.i32()?; // last string bucket
        let index_length = u64::from(stream.u32()?);
        let count = stream.u32()?;
        file.check(HEADER, bucket_size.saturating_mul(buckets))?;
        let mut standard = Self {
            indirect: OnceLock::new(),
            big_endian,
            bucket_size,
            buckets,
            offsets,
            index_of,
            indices: Vec::new(),
            file,
        };
        let bytes = standard.index_bytes(first_index, index_offset, index_length)?;
        let mut stream = Stream::new(&bytes, big_endian, standard.file.path());
        let indices = (0..count).map(|_| read_index(&mut stream)).collect::<Result<_>>()?;
        standard.indices = indices;
        Ok(standard)
    }

    fn bucket_start(&self, bucket: u64) -> Result<u64> {
        match bucket < self.buckets {
            true => Ok(HEADER + bucket * self.bucket_size),
            false => Err(self.file.bad(
                format!("bucket {bucket}"),
                format!("there are only {} buckets", self.buckets),
            )),
        }
    }

    /// The serialised indices: in one bucket at `offset`, or (offset 0) along a chain of buckets.
    fn index_bytes(&self, first: i32, offset: u64, length: u64) -> Result<Vec<u8>> {
        let bucket_of = |n: i32| {
            u64::try_from(n).map_err(|_| self.file.bad("index", "the chain of index buckets ends"))
        };
        if offset > 0 {
            return self.file.read(self.bucket_start(bucket_of(first)?)? + offset, length);
        }
        self.file.check(0, length)?;
        let mut bytes = Vec::with_capacity(length as usize);
        let mut bucket = first;
        let per_bucket = self.bucket_size.saturating_sub(8);
        if per_bucket == 0 && length > 0 {
            return Err(self.file.bad("index", "buckets too small to hold an index"));
        }
        while (bytes.len() as u64) < length {
            let start = self.bucket_start(bucket_of(bucket)?)?;
            let next = self.file.read(start, 4)?;
            let take = per_bucket.min(length - bytes.len() as u64);
            bytes.extend(self.file.read(start + 8, take)?);
            bucket = i32::from_be_bytes([next[0], next[1], next[2], next[3]]);
        }
        Ok(bytes)
    }

    /// The index of a column, and the column's offset in a bucket.
    fn place(&self, column: &Column) -> Result<(&Index, u64)> {
        let of = |list: &[u32]| list.get(column.position).copied();
        let index = of(&self.index_of).and_then(|i| self.indices.get(i as usize));
        match (index, of(&self.offsets)) {
            (Some(index), Some(offset)) => Ok((index, offset.into())),
            _ => Err(self.file.bad(column.name.as_str(), "the column has no index")),
        }
    }

    /// Bytes of `rows` rows (from `skip` rows after the first) of a column in a bucket, each of
    /// `bits` bits; and the bit at which they begin.
    fn area(
        &self,
        bucket: u32,
        offset: u64,
        skip: u64,
        rows: u64,
        bits: u64,
    ) -> Result<(Vec<u8>, u64)> {
        let impossible = || self.file.bad(format!("bucket {bucket}"), "rows beyond its end");
        let first = skip.checked_mul(bits).ok_or_else(impossible)?;
        let last =
            rows.checked_mul(bits).and_then(|n| n.checked_add(first)).ok_or_else(impossible)?;
        let (start, end) = (first / 8, last.div_ceil(8));
        if offset + end > self.bucket_size {
            return Err(impossible());
        }
        let position = self.bucket_start(bucket.into())? + offset + start;
        Ok((self.file.read(position, end - start)?, first % 8))
    }

    /// Calls `each(rows, bytes, bit)` for runs of rows that together are the first `rows` rows.
    fn runs(
        &self,
        column: &Column,
        rows: u64,
        bits: u64,
        mut each: impl FnMut(std::ops::Range<u64>, &[u8], u64) -> Result<()>,
    ) -> Result<()> {
        let (index, offset) = self.place(column)?;
        let mut start = 0;
        for (&last, &bucket) in index.last_row.iter().zip(&index.bucket) {
            let end = last.saturating_add(1).min(rows);
            if end <= start {
                continue;
            }
            let (bytes, bit) = self.area(bucket, offset, 0, end - start, bits)?;
            each(start..end, &bytes, bit)?;
            start = end;
        }
        match start < rows {
            true => Err(self.no_row(column, start)),
            false => Ok(()),
        }
    }

    fn no_row(&self, column: &Column, row: u64) -> crate::Error {
        self.file.bad(column.name.as_str(), format!("row {row} is in no bucket"))
    }

    /// Bytes of one row of a column, and the bit at which they begin.
    fn row(&self, column: &Column, row: u64, bits: u64) -> Result<(Vec<u8>, u64)> {
        let (index, offset) = self.place(column)?;
        let k = index.last_row.partition_point(|&last| last < row);
        let Some(&bucket) = index.bucket.get(k).filter(|_| k < index.last_row.len()) else {
            return Err(self.no_row(column, row));
        };
        let first = if k == 0 { 0 } else { index.last_row[k - 1] + 1 };
        self.area(bucket, offset, row - first, 1, bits)
    }

    /// The values of a scalar column's first `rows` rows.
    pub(super) fn scalars<T: Element>(&self, column: &Column, rows: u64) -> Result<Vec<T>> {
        let mut values = Vec::new();
        self.runs(column, rows, T::BITS, |range, bytes, bit| {
            let start = values.len();
            values.resize(range.end as usize, T::default());
            T::decode(bytes, bit, self.big_endian, &mut values[start..]);
            Ok(())
        })?;
        Ok(values)
    }

    /// An array cell; none where it is undefined.
    pub(super) fn array<T: Element>(&self, column: &Column, row: u64) -> Result<Option<Array<T>>> {
        if let (true, Some(shape)) = (column.direct, &column.fixed_shape) {
            let count = super::elements(shape).unwrap_or(usize::MAX);
            let bits = (count as u64).saturating_mul(T::BITS);
            let (bytes, bit) = self.row(column, row, bits)?;
            let mut data = vec![T::default(); count];
            T::decode(&bytes, bit, self.big_endian, &mut data);
            return Ok(Some(Array { shape: shape.clone(), data }));
        }
        match self.pointer(column, row)? {
            0 => Ok(None),
            offset => self.indirect()?.array(offset).map(Some),
        }
    }

    /// Whether an array cell holds anything.
    pub(super) fn is_defined(&self, column: &Column, row: u64) -> Result<bool> {
        Ok(column.direct || self.pointer(column, row)? != 0)
    }

    /// The position of a cell's array in the array file; 0: none.
    fn pointer(&self, column: &Column, row: u64) -> Result<i64> {
        let (bytes, _) = self.row(column, row, 64)?;
        let mut pointer = [0i64];
        i64::decode(&bytes, 0, self.big_endian, &mut pointer);
        Ok(pointer[0])
    }

    fn indirect(&self) -> Result<&IndirectFile> {
        if let Some(file) = self.indirect.get() {
            return Ok(file);
        }
        let mut path = self.file.path().as_os_str().to_owned();
        path.push("i");
        let file = IndirectFile::open(path.into(), self.big_endian)?;
        Ok(self.indirect.get_or_init(|| file))
    }

    /// The strings of a scalar column's first `rows` rows.
    pub(super) fn strings(&self, column: &Column, rows: u64) -> Result<Vec<String>> {
        let mut strings = Vec::new();
        if column.max_length > 0 {
            self.runs(column, rows, 8 * column.max_length as u64, |_, bytes, _| {
                for slot in bytes.chunks_exact(column.max_length) {
                    let end = slot.iter().position(|&b| b == 0).unwrap_or(slot.len());
                    strings.push(String::from_utf8_lossy(&slot[..end]).into_owned());
                }
                Ok(())
            })?;
            return Ok(strings);
        }
        self.runs(column, rows, 96, |_, bytes, _| {
            for slot in bytes.chunks_exact(12) {
                let bytes = self.string_bytes(slot, true)?;
                strings.push(String::from_utf8_lossy(&bytes).into_owned());
            }
            Ok(())
        })?;
        Ok(strings)
    }

    /// A cell that is an array of strings; none where it is undefined.
    pub(super) fn string_array(&self, column: &Column, row: u64) -> Result<Option<Array<String>>> {
        let (slot, _) = self.row(column, row, 96)?;
        let bytes = self.string_bytes(&slot, false)?;
        // Lengths within string buckets are big-endian whatever the table's byte order.
        let mut stream = Stream::new(&bytes, true, self.file.path());
        let direct = column.fixed_shape.as_ref().filter(|_| column.direct);
        let (shape, filled) = match direct {
            Some(shape) => (shape.clone(), !bytes.is_empty()),
            None if bytes.is_empty() => return Ok(None),
            None => {
                let ndim = stream.count(4)?;
                let shape = (0..ndim)
                    .map(|_| stream.u32().map(|n| n as usize))
                    .collect::<Result<Vec<_>>>()?;
                (shape, stream.i32()? != 0)
            }
        };
        let impossible = || stream.bad(format!("impossible shape {shape:?}"));
        let count = super::elements(&shape).ok_or_else(impossible)?;
        let data = match filled {
            true => {
                stream.checked_count(count as u64, 4)?;
                (0..count).map(|_| stream.string()).collect::<Result<_>>()?
            }
            // No byte of the file stands for these strings, so the file bounds their number.
            false if count as u64 <= self.file.len() => vec![String::new(); count],
            false => return Err(impossible()),
        };
        Ok(Some(Array { shape, data }))
    }

    /// The bytes a slot of three words (bucket, offset, length) stands for. A scalar string of up
    /// to 8 bytes stands in the slot itself.
    fn string_bytes(&self, slot: &[u8], inline: bool) -> Result<Vec<u8>> {
        let mut words = [0i32; 3];
        i32::decode(slot, 0, self.big_endian, &mut words);
        let bad = || self.file.bad(format!("string slot {words:?}"), "impossible numbers");
        let length = usize::try_from(words[2]).map_err(|_| bad())?;
        if length == 0 {
            return Ok(Vec::new());
        }
        if inline && length <= 8 {
            return Ok(slot[..length].to_vec());
        }
        self.file.check(0, length as u64)?;
        let mut bytes = Vec::with_capacity(length);
        let (mut bucket, mut offset) = (words[0], words[1] as u64);
        for _hop in 0..=self.buckets {
            let start = self.bucket_start(u64::try_from(bucket).map_err(|_| bad())?)?;
            let header = self.file.read(start, STRING_HEADER)?;
            let word = |i: usize| {
                i32::from_be_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]])
            };
            let capacity = self.bucket_size.saturating_sub(STRING_HEADER);
            let used = u64::try_from(word(4)).map_err(|_| bad())?.min(capacity);
            let take = used.saturating_sub(offset).min((length - bytes.len()) as u64);
            bytes.extend(self.file.read(start + STRING_HEADER + offset.min(used), take)?);
            if bytes.len() == length {
                return Ok(bytes);
            }
            (bucket, offset) = (word(12), 0);
        }
        Err(bad())
    }
}

/// Each column's offset in a bucket, and the number of its index.
fn read_blob(blob: &[u8], path: &Path) -> Result<(Vec<u32>, Vec<u32>)> {
    let mut stream = Stream::new(blob, true, path);
    stream.outermost_object("SSM")?;
    stream.string()?;
    Ok((stream.block_u32()?, stream.block_u32()?))
}

fn read_index(stream: &mut Stream) -> Result<Index> {
    let object = stream.outermost_object("SSMIndex")?;
    let used = stream.u32()? as usize;
    stream.u32()?; // rows per bucket
    stream.i32()?; // columns
    let map = stream.object("SimpleOrderedMap")?;
    stream.close(map)?;
    let mut last_row = stream.block_rows(object.version > 1)?;
    let mut bucket = stream.block_u32()?;
    last_row.truncate(used);
    bucket.truncate(used);
    if last_row.len() != bucket.len() || !last_row.is_sorted() {
        return Err(stream.bad("an index whose rows do not ascend"));
    }
    stream.close(object)?;
    Ok(Index { last_row, bucket })
}
