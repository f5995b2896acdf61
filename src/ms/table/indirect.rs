//! `table.f<N>i`: arrays that a StandardStMan or IncrementalStMan column points to.

use std::path::PathBuf;

use super::{Array, element::Element, file::DataFile};
use crate::error::Result;

/// Dimensions an array may have.
const MAX_NDIM: u32 = 32;

/// The array file of a storage manager.
#[derive(Debug)]
pub(super) struct IndirectFile {
    file: DataFile,
    big_endian: bool,
    /// Bytes before an array's shape: its reference count, in files of IncrementalStMan.
    prefix: u64,
}

impl IndirectFile {
    pub(super) fn open(path: PathBuf, big_endian: bool) -> Result<Self> {
        let file = DataFile::open(path)?;
        let mut indirect = Self { file, big_endian, prefix: 0 };
        indirect.prefix = if indirect.u32(0)? == 0 { 0 } else { 4 };
        Ok(indirect)
    }

    fn u32(&self, offset: u64) -> Result<u32> {
        let mut value = [0];
        self.elements(offset, &mut value)?;
        Ok(value[0])
    }

    fn elements<T: Element>(&self, offset: u64, out: &mut [T]) -> Result<()> {
        let bytes = (out.len() as u64 * T::BITS).div_ceil(8);
        T::decode(&self.file.read(offset, bytes)?, 0, self.big_endian, out);
        Ok(())
    }

    /// Shape of the array at `offset`, number of its elements of `bits` bits each (which are all
    /// in the file), and where they begin.
    fn header(&self, offset: i64, bits: u64) -> Result<(Vec<usize>, usize, u64)> {
        let what = || format!("array at byte {offset}");
        let start = u64::try_from(offset)
            .ok()
            .and_then(|o| o.checked_add(self.prefix))
            .ok_or_else(|| self.file.bad(what(), "impossible position"))?;
        let ndim = self.u32(start)?;
        if ndim > MAX_NDIM {
            return Err(self.file.bad(what(), format!("{ndim} dimensions")));
        }
        let mut lengths = vec![0i32; ndim as usize];
        self.elements(start + 4, &mut lengths)?;
        let data = start + 4 + 4 * u64::from(ndim);
        let shape: Option<Vec<usize>> = lengths.iter().map(|&n| usize::try_from(n).ok()).collect();
        let count = shape.as_ref().and_then(|s| super::elements(s));
        let (Some(shape), Some(count)) = (shape, count) else {
            return Err(self.file.bad(what(), format!("impossible shape {lengths:?}")));
        };
        // A zero-dimensional array holds nothing.
        let count = if ndim == 0 { 0 } else { count };
        let bytes = (count as u64).checked_mul(bits).map(|b| b.div_ceil(8));
        self.file.check(data, bytes.unwrap_or(u64::MAX))?;
        Ok((shape, count, data))
    }

    /// The array at `offset`.
    pub(super) fn array<T: Element>(&self, offset: i64) -> Result<Array<T>> {
        let (shape, count, start) = self.header(offset, T::BITS)?;
        let mut data = vec![T::default(); count];
        self.elements(start, &mut data)?;
        Ok(Array { shape, data })
    }

    /// The array of strings at `offset`: one position per string, each of which stands elsewhere.
    pub(super) fn strings(&self, offset: i64) -> Result<Array<String>> {
        let (shape, count, start) = self.header(offset, 32)?;
        let mut positions = vec![0u32; count];
        self.elements(start, &mut positions)?;
        let string = |&position: &u32| match position {
            0 => Ok(String::new()),
            _ => {
                let length = self.u32(position.into())?;
                let bytes = self.file.read(u64::from(position) + 4, length.into())?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
        };
        Ok(Array { shape, data: positions.iter().map(string).collect::<Result<_>>()? })
    }
}
