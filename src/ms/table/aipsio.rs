//! AipsIO streams: the tagged, nested objects that casacore keeps descriptions and headers in.

use std::path::Path;

use super::file::COPY_AGAIN;
use crate::error::{Error, Result};

/// Marks the beginning of an outermost object.
const MAGIC: u32 = 0xBEBE_BEBE;
/// Dimensions an array may have; casacore's own files have at most 5 or so.
const MAX_NDIM: u32 = 32;

/// A position in the bytes of an AipsIO stream. Every count is checked against the bytes that are
/// left before anything of that size is allocated.
pub(super) struct Stream<'a> {
    data: &'a [u8],
    pos: usize,
    big_endian: bool,
    path: &'a Path,
}

/// An open object: its version, and where it ends.
pub(super) struct Object {
    pub(super) version: u32,
    end: usize,
}

macro_rules! number {
    ($($name:ident: $type:ty),*) => {$(
        pub(super) fn $name(&mut self) -> Result<$type> {
            let mut bytes = [0; size_of::<$type>()];
            bytes.copy_from_slice(self.bytes(size_of::<$type>())?);
            Ok(if self.big_endian {
                <$type>::from_be_bytes(bytes)
            } else {
                <$type>::from_le_bytes(bytes)
            })
        }
    )*};
}

impl<'a> Stream<'a> {
    /// Reads `data`, which stands in the file `path`.
    pub(super) fn new(data: &'a [u8], big_endian: bool, path: &'a Path) -> Self {
        Self { data, pos: 0, big_endian, path }
    }

    /// The file.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// An error at this position.
    pub(super) fn bad(&self, problem: impl Into<String>) -> Error {
        Error::data(self.path, format!("byte {}", self.pos), problem, COPY_AGAIN)
    }

    fn left(&self) -> usize {
        self.data.len() - self.pos
    }

    pub(super) fn bytes(&mut self, n: usize) -> Result<&'a [u8]> {
        if n > self.left() {
            return Err(self.bad(format!("{n} bytes expected, {} left", self.left())));
        }
        let bytes = &self.data[self.pos..self.pos + n];
        self.pos += n;
        Ok(bytes)
    }

    number!(u8: u8, i16: i16, u16: u16, u32: u32, i32: i32, u64: u64, i64: i64, f32: f32, f64: f64);

    pub(super) fn bool(&mut self) -> Result<bool> {
        Ok(self.u8()? != 0)
    }

    pub(super) fn string(&mut self) -> Result<String> {
        let n = self.u32()?;
        Ok(String::from_utf8_lossy(self.bytes(n as usize)?).into_owned())
    }

    /// A 32-bit count of things that take at least `size` bytes each.
    pub(super) fn count(&mut self, size: usize) -> Result<usize> {
        let n = self.u32()?;
        self.checked_count(u64::from(n), size)
    }

    /// `n` as a count of things that take at least `size` bytes each of what is left.
    pub(super) fn checked_count(&self, n: u64, size: usize) -> Result<usize> {
        match usize::try_from(n).ok().and_then(|n| n.checked_mul(size)) {
            Some(bytes) if bytes <= self.left() => Ok(n as usize),
            _ => Err(self.bad(format!("a count of {n}, but only {} bytes left", self.left()))),
        }
    }

    /// Opens an outermost object of any type; gives its type too.
    pub(super) fn outermost(&mut self) -> Result<(String, Object)> {
        match self.u32()? {
            MAGIC => self.any(),
            other => Err(self.bad(format!("{other:#010x} where an object should begin"))),
        }
    }

    /// Opens an object of any type; gives its type too.
    pub(super) fn any(&mut self) -> Result<(String, Object)> {
        let start = self.pos;
        let length = self.u32()?;
        let name = self.string()?;
        let version = self.u32()?;
        let end = start.saturating_add(length as usize);
        if end < self.pos || end > self.data.len() {
            return Err(self.bad(format!("object {name} has an impossible length {length}")));
        }
        Ok((name, Object { version, end }))
    }

    /// Opens an object of the given type.
    pub(super) fn object(&mut self, expected: &str) -> Result<Object> {
        let (name, object) = self.any()?;
        self.expect(expected, &name)?;
        Ok(object)
    }

    /// Opens an outermost object of the given type.
    pub(super) fn outermost_object(&mut self, expected: &str) -> Result<Object> {
        let (name, object) = self.outermost()?;
        self.expect(expected, &name)?;
        Ok(object)
    }

    fn expect(&self, expected: &str, name: &str) -> Result<()> {
        match name == expected {
            true => Ok(()),
            false => Err(self.bad(format!("object {expected} expected, found {name:?}"))),
        }
    }

    /// Leaves an object, over what its reader did not read.
    pub(super) fn close(&mut self, object: Object) -> Result<()> {
        if self.pos > object.end {
            return Err(self.bad("an object is longer than its length says"));
        }
        self.pos = object.end;
        Ok(())
    }

    /// A shape or position.
    pub(super) fn iposition(&mut self) -> Result<Vec<i64>> {
        let object = self.object("IPosition")?;
        let n = self.count(4)?;
        if n > MAX_NDIM as usize {
            return Err(self.bad(format!("{n} dimensions")));
        }
        let wide = object.version > 1;
        let values =
            (0..n).map(|_| if wide { self.i64() } else { self.i32().map(i64::from) }).collect();
        self.close(object)?;
        values
    }

    /// A shape, all of whose lengths are known.
    pub(super) fn shape(&mut self) -> Result<Vec<u64>> {
        let values = self.iposition()?;
        values
            .iter()
            .map(|&n| u64::try_from(n).map_err(|_| self.bad(format!("a negative length {n}"))))
            .collect()
    }

    /// A block of 32-bit numbers.
    pub(super) fn block_u32(&mut self) -> Result<Vec<u32>> {
        let object = self.object("Block")?;
        let n = self.count(4)?;
        let values = (0..n).map(|_| self.u32()).collect();
        self.close(object)?;
        values
    }

    /// A block of row numbers: 64-bit where `wide`, otherwise 32-bit.
    pub(super) fn block_rows(&mut self, wide: bool) -> Result<Vec<u64>> {
        if !wide {
            return Ok(self.block_u32()?.into_iter().map(u64::from).collect());
        }
        let object = self.object("Block")?;
        let n = self.count(8)?;
        let values = (0..n).map(|_| self.u64()).collect();
        self.close(object)?;
        values
    }

    /// Shape and number of elements of an `Array` object's header; elements follow.
    pub(super) fn array(&mut self) -> Result<(Object, Vec<usize>, usize)> {
        let (name, object) = self.any()?;
        if !name.starts_with("Array") {
            return Err(self.bad(format!("object Array expected, found {name:?}")));
        }
        let ndim = self.u32()?;
        if ndim > MAX_NDIM {
            return Err(self.bad(format!("{ndim} dimensions")));
        }
        if object.version < 3 {
            self.bytes(4 * ndim as usize)?; // the origin of old arrays, always zero
        }
        let shape = (0..ndim).map(|_| self.u32().map(|n| n as usize)).collect::<Result<_>>()?;
        let n = self.u32()? as usize;
        Ok((object, shape, n))
    }
}
