//! IncrementalStMan: a value is stored only where it changes, and holds until the next one.

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{
    Array, Column, aipsio::Stream, element::Element, file::DataFile, indirect::IndirectFile,
};
use crate::error::Result;

/// Bytes before the first bucket.
const HEADER: u64 = 512;

/// An IncrementalStMan of a table.
#[derive(Debug)]
pub(super) struct Incremental {
    file: DataFile,
    indirect: OnceLock<IndirectFile>,
    big_endian: bool,
    bucket_size: u64,
    /// First row of each bucket, and the number of rows at the end.
    rows: Vec<u64>,
    /// Number of each bucket.
    buckets: Vec<u32>,
    /// The bucket read last: rows are mostly read in order.
    last: Mutex<Option<(u32, Arc<[u8]>)>>,
}

/// One column's entries in a bucket.
struct Entries<'a> {
    count: usize,
    wide: bool,
    rows: &'a [u8],
    offsets: &'a [u8],
    big_endian: bool,
}

impl Entries<'_> {
    /// The row, relative to the bucket's first, from which entry `k` holds.
    fn row(&self, k: usize) -> u64 {
        if self.wide {
            let mut row = [0i64];
            i64::decode(self.rows, 64 * k as u64, self.big_endian, &mut row);
            row[0] as u64
        } else {
            let mut row = [0u32];
            u32::decode(self.rows, 32 * k as u64, self.big_endian, &mut row);
            row[0].into()
        }
    }

    /// Where entry `k`'s value begins in the bucket.
    fn position(&self, k: usize) -> usize {
        let mut offset = [0u32];
        u32::decode(self.offsets, 32 * k as u64, self.big_endian, &mut offset);
        4 + offset[0] as usize
    }

    /// The entry that holds for a row.
    fn find(&self, row: u64) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = (low + high) / 2;
            if self.row(middle) <= row { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1)
    }
}

impl Incremental {
    /// Opens `table.f<number>` of the table `dir`.
    pub(super) fn open(dir: &Path, number: u32, big_endian: bool) -> Result<Self> {
        let file = DataFile::open(dir.join(format!("table.f{number}")))?;
        let header = file.read(0, HEADER.min(file.len()))?;
        let mut stream = Stream::new(&header, big_endian, file.path());
        let object = stream.outermost_object("IncrementalStMan")?;
        if object.version > 4 {
            stream.bool()?;
        }
        let bucket_size = u64::from(stream.u32()?);
        let count = u64::from(stream.u32()?);
        let buckets_end = HEADER.saturating_add(bucket_size.saturating_mul(count));
        file.check(buckets_end, 0)?;
        let index = file.read(buckets_end, file.len() - buckets_end)?;
        let mut stream = Stream::new(&index, big_endian, file.path());
        let object = stream.outermost_object("ISMIndex")?;
        let used = stream.u32()? as usize;
        let mut rows = stream.block_rows(object.version > 1)?;
        let mut buckets = stream.block_u32()?;
        rows.truncate(used.saturating_add(1));
        buckets.truncate(used);
        if rows.len() != buckets.len() + 1 || !rows.is_sorted() {
            return Err(stream.bad("an index whose rows do not ascend"));
        }
        if let Some(wrong) = buckets.iter().find(|&&b| u64::from(b) >= count) {
            return Err(stream.bad(format!("bucket {wrong} of {count}")));
        }
        let (indirect, last) = (OnceLock::new(), Mutex::new(None));
        Ok(Self { file, indirect, big_endian, bucket_size, rows, buckets, last })
    }

    /// The bytes of a bucket.
    fn bucket(&self, number: u32) -> Result<Arc<[u8]>> {
        {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((held, bytes)) = &*last
                && *held == number
            {
                return Ok(bytes.clone());
            }
        }
        let start = HEADER + u64::from(number) * self.bucket_size;
        let bytes: Arc<[u8]> = self.file.read(start, self.bucket_size)?.into();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, bytes.clone()));
        Ok(bytes)
    }

    /// A column's entries in a bucket.
    fn entries<'a>(&'a self, bucket: &'a [u8], column: &Column) -> Result<Entries<'a>> {
        let mut stream = Stream::new(bucket, self.big_endian, self.file.path());
        let word = stream.u32()?;
        let wide = word >> 31 == 1;
        let row_size = if wide { 8 } else { 4 };
        let start = ((word & 0x0FFF_FFFF) as usize).checked_sub(4);
        stream.bytes(start.ok_or_else(|| stream.bad("no index in the bucket"))?)?;
        for _earlier in 0..column.position {
            let n = stream.count(row_size + 4)?;
            stream.bytes(n * (row_size + 4))?;
        }
        let count = stream.count(row_size + 4)?;
        let rows = stream.bytes(count * row_size)?;
        let offsets = stream.bytes(count * 4)?;
        Ok(Entries { count, wide, rows, offsets, big_endian: self.big_endian })
    }

    /// Calls `each(rows, bytes from the value on)` for every value of the first `rows` rows.
    fn values(
        &self,
        column: &Column,
        rows: u64,
        mut each: impl FnMut(u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut done = 0;
        for (k, &number) in self.buckets.iter().enumerate() {
            let (first, end) = (self.rows[k], self.rows[k + 1].min(rows));
            if end <= first {
                continue;
            }
            let bucket = self.bucket(number)?;
            let entries = self.entries(&bucket, column)?;
            for i in 0..entries.count {
                let last = i + 1 == entries.count;
                let stop = if last { end - first } else { entries.row(i + 1) };
                let stop = first.saturating_add(stop).min(end);
                if stop > done {
                    each(stop - done, self.value(&bucket, entries.position(i))?)?;
                    done = stop;
                }
            }
        }
        match done < rows {
            true => Err(self.no_row(column, done)),
            false => Ok(()),
        }
    }

    fn no_row(&self, column: &Column, row: u64) -> crate::Error {
        self.file.bad(column.name.as_str(), format!("row {row} is in no bucket"))
    }

    fn value<'a>(&self, bucket: &'a [u8], position: usize) -> Result<&'a [u8]> {
        bucket.get(position..).ok_or_else(|| self.file.bad("bucket", "a value beyond its end"))
    }

    /// Calls `read` with the bytes that begin with a row's value.
    fn at<R>(&self, column: &Column, row: u64, read: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        let k = self.rows.partition_point(|&first| first <= row);
        let missing = || self.no_row(column, row);
        let number = k.checked_sub(1).and_then(|k| self.buckets.get(k)).ok_or_else(missing)?;
        let bucket = self.bucket(*number)?;
        let entries = self.entries(&bucket, column)?;
        let entry = entries.find(row - self.rows[k - 1]).ok_or_else(missing)?;
        read(self.value(&bucket, entries.position(entry))?)
    }

    fn decode<T: Element>(&self, bytes: &[u8], out: &mut [T]) -> Result<()> {
        match (out.len() as u64).saturating_mul(T::BITS).div_ceil(8) <= bytes.len() as u64 {
            true => {
                T::decode(bytes, 0, self.big_endian, out);
                Ok(())
            }
            false => Err(self.file.bad("bucket", "a value beyond its end")),
        }
    }

    /// The values of a scalar column's first `rows` rows.
    pub(super) fn scalars<T: Element>(&self, column: &Column, rows: u64) -> Result<Vec<T>> {
        let mut all = Vec::new();
        self.values(column, rows, |n, bytes| {
            let mut value = [T::default()];
            self.decode(bytes, &mut value)?;
            all.resize(all.len() + n as usize, value[0]);
            Ok(())
        })?;
        Ok(all)
    }

    /// The strings of a scalar column's first `rows` rows.
    pub(super) fn strings(&self, column: &Column, rows: u64) -> Result<Vec<String>> {
        let mut all = Vec::new();
        self.values(column, rows, |n, bytes| {
            let string = self.string(bytes)?;
            all.resize(all.len() + n as usize, string);
            Ok(())
        })?;
        Ok(all)
    }

    /// A string behind its length, which counts the length's own four bytes.
    fn string(&self, bytes: &[u8]) -> Result<String> {
        let mut length = [0u32];
        self.decode(bytes, &mut length)?;
        let text = bytes.get(4..length[0] as usize);
        let text = text.ok_or_else(|| self.file.bad("bucket", "a string beyond its end"))?;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    /// An array cell; none where it is undefined.
    pub(super) fn array<T: Element>(&self, column: &Column, row: u64) -> Result<Option<Array<T>>> {
        if let (true, Some(shape)) = (column.direct, &column.fixed_shape) {
            let count = super::elements(shape).unwrap_or(usize::MAX);
            if (count as u64).saturating_mul(T::BITS) / 8 > self.bucket_size {
                return Err(self.file.bad(column.name.as_str(), "cells larger than a bucket"));
            }
            return self.at(column, row, |bytes| {
                let mut data = vec![T::default(); count];
                self.decode(bytes, &mut data)?;
                Ok(Some(Array { shape: shape.clone(), data }))
            });
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

    fn pointer(&self, column: &Column, row: u64) -> Result<i64> {
        self.at(column, row, |bytes| {
            let mut pointer = [0i64];
            self.decode(bytes, &mut pointer)?;
            Ok(pointer[0])
        })
    }

    /// A cell that is an array of strings; none where it is undefined.
    pub(super) fn string_array(&self, column: &Column, row: u64) -> Result<Option<Array<String>>> {
        let Some(shape) = column.fixed_shape.as_ref().filter(|_| column.direct) else {
            return match self.pointer(column, row)? {
                0 => Ok(None),
                offset => self.indirect()?.strings(offset).map(Some),
            };
        };
        let count = super::elements(shape).unwrap_or(usize::MAX);
        self.at(column, row, |bytes| {
            if count == 1 {
                return Ok(Some(Array { shape: shape.clone(), data: vec![self.string(bytes)?] }));
            }
            let mut stream = Stream::new(bytes, self.big_endian, self.file.path());
            stream.u32()?;
            stream.checked_count(count as u64, 4)?;
            let data = (0..count).map(|_| stream.string()).collect::<Result<_>>()?;
            Ok(Some(Array { shape: shape.clone(), data }))
        })
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
}
