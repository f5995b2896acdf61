//! Tables of casacore: keywords, and columns of any storage manager that MeasurementSets and CASA
//! images use, read from the files' published layout.
//!
//! A [`Table`] is a directory: `table.dat` describes columns and says which *storage manager* keeps
//! each; the managers keep the values in `table.f<N>...`. Supported are StandardStMan,
//! IncrementalStMan, TiledColumnStMan, TiledShapeStMan and TiledCellStMan, of either byte order. A
//! column of another manager (compressed columns, say) is an error when it is read, not before.
//!
//! Files are not trusted: every count is compared with the size of the file it comes from before
//! memory is taken for it.

mod aipsio;
mod description;
mod element;
mod file;
mod incremental;
mod indirect;
mod record;
mod standard;
mod tiled;
mod tiles;

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub use description::Column;
pub use element::{DataType, Element};
pub use record::{Record, Value};

use description::{Description, ManagerEntry, lock_rows};
use incremental::Incremental;
use standard::Standard;
use tiled::Tiled;
pub(super) use tiles::MAX_GAP;

use crate::error::{Error, Result};

/// A table that is open for reading.
#[derive(Debug)]
pub struct Table {
    path: PathBuf,
    description: Description,
    rows: u64,
    /// Opened when one of their columns is first read.
    managers: Vec<OnceLock<Manager>>,
}

/// A storage manager whose header has been read.
#[derive(Debug)]
enum Manager {
    Standard(Standard),
    Incremental(Incremental),
    Tiled(Tiled),
}

/// An array cell, first axis fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<T> {
    /// Elements along each axis.
    pub shape: Vec<usize>,
    /// All elements.
    pub data: Vec<T>,
}

/// Number of elements of a shape.
fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &k| n.checked_mul(k))
}

impl Table {
    /// Opens the table in the directory `path`.
    ///
    /// # Errors
    /// If it is not a table, refers to rows of another table, or its description is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let description = Description::read(&path)?;
        let rows = lock_rows(&path)?.unwrap_or(description.rows);
        check_rows(&path, rows)?;
        let managers = description.managers.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { path, description, rows, managers })
    }

    /// The table's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The table's keywords.
    pub fn keywords(&self) -> &Record {
        &self.description.keywords
    }

    /// All columns.
    pub fn columns(&self) -> &[Column] {
        &self.description.columns
    }

    /// The column of that name, if there is one.
    pub fn find(&self, name: &str) -> Option<&Column> {
        self.columns().iter().find(|c| c.name == name)
    }

    /// The column of that name.
    ///
    /// # Errors
    /// If there is none.
    pub fn column(&self, name: &str) -> Result<&Column> {
        self.find(name).ok_or_else(|| {
            let names: Vec<_> = self.columns().iter().map(|c| c.name.as_str()).collect();
            Error::data(
                &self.path,
                format!("column {name}"),
                "missing",
                format!("the table has only {}", names.join(", ")),
            )
        })
    }

    /// The directory of a subtable that the keyword `name` refers to, if there is one on disk.
    pub fn subtable_path(&self, name: &str) -> Option<PathBuf> {
        let Some(Value::Table(reference)) = self.keywords().get(name) else { return None };
        Some(self.resolve(reference)).filter(|path| path.join("table.dat").is_file())
    }

    /// The directory that a [`Value::Table`] among this table's keywords refers to.
    pub fn resolve(&self, reference: &str) -> PathBuf {
        match reference.strip_prefix("././") {
            Some(inside) => self.path.join(inside),
            None => match reference.strip_prefix("./") {
                Some(beside) => self.path.parent().unwrap_or(Path::new("")).join(beside),
                None => PathBuf::from(reference),
            },
        }
    }

    /// Opens the subtable that the keyword `name` refers to.
    ///
    /// # Errors
    /// If there is no such keyword or directory, or it cannot be read.
    pub fn subtable(&self, name: &str) -> Result<Table> {
        match self.subtable_path(name) {
            Some(path) => Table::open(path),
            None => Err(Error::data(
                &self.path,
                format!("subtable {name}"),
                "missing",
                "copy the whole MeasurementSet, with all its subdirectories",
            )),
        }
    }

    /// All values of a scalar column.
    ///
    /// # Errors
    /// If the column is missing, of another type or an array, or its files cannot be read.
    pub fn scalars<T: Element>(&self, name: &str) -> Result<Vec<T>> {
        let column = self.typed(name, T::TYPE, false)?;
        match self.manager(column)? {
            Manager::Standard(m) => m.scalars(column, self.rows),
            Manager::Incremental(m) => m.scalars(column, self.rows),
            Manager::Tiled(_) => Err(self.unreadable(column, "scalars in a tiled manager")),
        }
    }

    /// All values of a scalar column of strings.
    ///
    /// # Errors
    /// As [`Table::scalars`].
    pub fn strings(&self, name: &str) -> Result<Vec<String>> {
        let column = self.typed(name, DataType::String, false)?;
        match self.manager(column)? {
            Manager::Standard(m) => m.strings(column, self.rows),
            Manager::Incremental(m) => m.strings(column, self.rows),
            Manager::Tiled(_) => Err(self.unreadable(column, "strings in a tiled manager")),
        }
    }

    /// One cell of an array column; none where it is undefined.
    ///
    /// # Errors
    /// As [`Table::scalars`]; also if there is no such row.
    pub fn array<T: Element>(&self, name: &str, row: u64) -> Result<Option<Array<T>>> {
        let column = self.typed(name, T::TYPE, true)?;
        self.check_row(column, row)?;
        match self.manager(column)? {
            Manager::Standard(m) => m.array(column, row),
            Manager::Incremental(m) => m.array(column, row),
            Manager::Tiled(m) => self.tiled_array(m, column, row),
        }
    }

    /// One cell of an array column of strings; none where it is undefined.
    ///
    /// # Errors
    /// As [`Table::array`].
    pub fn string_array(&self, name: &str, row: u64) -> Result<Option<Array<String>>> {
        let column = self.typed(name, DataType::String, true)?;
        self.check_row(column, row)?;
        match self.manager(column)? {
            Manager::Standard(m) => m.string_array(column, row),
            Manager::Incremental(m) => m.string_array(column, row),
            Manager::Tiled(_) => Err(self.unreadable(column, "strings in a tiled manager")),
        }
    }

    /// Whether a cell of an array column holds an array.
    ///
    /// # Errors
    /// If there is no such row, or the column's files cannot be read.
    pub fn is_defined(&self, column: &Column, row: u64) -> Result<bool> {
        self.check_row(column, row)?;
        match self.manager(column)? {
            Manager::Standard(m) => m.is_defined(column, row),
            Manager::Incremental(m) => m.is_defined(column, row),
            Manager::Tiled(m) => Ok(m.place(row)?.is_some()),
        }
    }

    /// Reads the part `last` of the last axis, and all of the others, of the cells of many rows.
    ///
    /// `rows` ascend, every cell has the shape `shape`, and `out` has room for all rows' parts, one
    /// after the other. `scratch` is working memory that calls can share. Gives the number of bytes
    /// read.
    ///
    /// # Errors
    /// If a cell is undefined or has another shape, or the column's files cannot be read.
    pub fn read_cells<T: Element>(
        &self,
        column: &Column,
        rows: &[u64],
        shape: &[usize],
        last: Range<usize>,
        out: &mut [T],
        scratch: &mut Vec<u8>,
    ) -> Result<u64> {
        if column.data_type != T::TYPE || !column.is_array {
            return Err(self.wrong_type(column, T::TYPE, true));
        }
        let outer: usize = shape[..shape.len() - 1].iter().product();
        let size = outer * last.len();
        assert_eq!(out.len(), size * rows.len(), "room for the cells' parts");
        let Manager::Tiled(tiled) = self.manager(column)? else {
            let mut bytes = 0;
            for (&row, out) in rows.iter().zip(out.chunks_exact_mut(size.max(1))) {
                let cell = self.array::<T>(&column.name, row)?;
                let cell = cell.ok_or_else(|| self.undefined(column, row))?;
                if cell.shape != shape {
                    return Err(self.other_shape(column, row, &cell.shape, shape));
                }
                out.copy_from_slice(&cell.data[outer * last.start..outer * last.end]);
                bytes += (cell.data.len() as u64 * T::BITS).div_ceil(8);
            }
            return Ok(bytes);
        };
        let mut bytes = 0;
        let mut positions = Vec::with_capacity(rows.len());
        let mut k = 0;
        while k < rows.len() {
            let place = tiled.place(rows[k])?.ok_or_else(|| self.undefined(column, rows[k]))?;
            let cell: Vec<usize> = tiled.cell_shape(place).iter().map(|&n| n as usize).collect();
            if cell != shape {
                return Err(self.other_shape(column, rows[k], &cell, shape));
            }
            // Rows of the same cube, whose positions on its last axis ascend, are read together.
            positions.clear();
            let mut inner: Vec<_> = cell.iter().map(|&n| 0..n as u64).collect();
            let part = last.start as u64..last.end as u64;
            let begin = k;
            if let Some(position) = place.1 {
                positions.push(position);
                k += 1;
                while k < rows.len() {
                    match tiled.place(rows[k])? {
                        Some((cube, Some(next)))
                            if cube == place.0 && next > positions[positions.len() - 1] =>
                        {
                            positions.push(next);
                        }
                        _ => break,
                    }
                    k += 1;
                }
                inner[cell.len() - 1] = part;
            } else {
                inner.pop();
                positions.extend(part);
                k += 1;
            }
            let cube = &tiled.cubes[place.0];
            let out = &mut out[begin * size..k * size];
            bytes += tiled.read_box(column, cube, &inner, &positions, out, scratch)?;
        }
        Ok(bytes)
    }

    /// Shape of the cell of a tiled array column; none where it is undefined.
    ///
    /// # Errors
    /// If there is no such row, or the column is not kept in tiles or its files cannot be read.
    pub fn tiled_shape(&self, column: &Column, row: u64) -> Result<Option<Vec<usize>>> {
        self.check_row(column, row)?;
        let Manager::Tiled(tiled) = self.manager(column)? else {
            return Err(self.unreadable(column, "a cell outside tiles"));
        };
        let shape = |place| tiled.cell_shape(place).iter().map(|&n| n as usize).collect();
        Ok(tiled.place(row)?.map(shape))
    }

    /// Shape of the tiles that hold the cell of a tiled array column: its axes, and rows where a tile holds
    /// several; none where it is undefined or not kept in tiles.
    ///
    /// # Errors
    /// If there is no such row, or the column's files cannot be read.
    pub fn tile_shape(&self, column: &Column, row: u64) -> Result<Option<Vec<u64>>> {
        self.check_row(column, row)?;
        let Manager::Tiled(tiled) = self.manager(column)? else { return Ok(None) };
        Ok(tiled.place(row)?.map(|(cube, _)| tiled.cubes[cube].tile.clone()))
    }

    /// Reads a box of one cell of a tiled array column: `ranges` along each axis, the first one
    /// fastest. Only the tiles that the box touches are read.
    ///
    /// # Errors
    /// If the box is not in the cell, or as [`Table::tiled_shape`].
    pub fn read_box<T: Element>(
        &self,
        column: &Column,
        row: u64,
        ranges: &[Range<usize>],
    ) -> Result<Vec<T>> {
        if column.data_type != T::TYPE || !column.is_array {
            return Err(self.wrong_type(column, T::TYPE, true));
        }
        self.check_row(column, row)?;
        let Manager::Tiled(tiled) = self.manager(column)? else {
            return Err(self.unreadable(column, "a box outside tiles"));
        };
        let place = tiled.place(row)?.ok_or_else(|| self.undefined(column, row))?;
        let mut inner: Vec<_> = ranges.iter().map(|r| r.start as u64..r.end as u64).collect();
        let positions: Vec<u64> = match place.1 {
            Some(position) => vec![position],
            None => inner.pop().unwrap_or_default().collect(),
        };
        let lengths: Vec<_> = ranges.iter().map(ExactSizeIterator::len).collect();
        let count = elements(&lengths);
        let bytes = count.and_then(|n| (n as u64).checked_mul(T::BITS)).map(|bits| bits / 8);
        let cube = &tiled.cubes[place.0];
        tiled.file(cube)?.check(0, bytes.unwrap_or(u64::MAX))?;
        let mut out = vec![T::default(); count.unwrap_or(0)];
        tiled.read_box(column, cube, &inner, &positions, &mut out, &mut Vec::new())?;
        Ok(out)
    }

    fn tiled_array<T: Element>(
        &self,
        tiled: &Tiled,
        column: &Column,
        row: u64,
    ) -> Result<Option<Array<T>>> {
        let Some(place) = tiled.place(row)? else { return Ok(None) };
        let shape: Vec<usize> = tiled.cell_shape(place).iter().map(|&n| n as usize).collect();
        let count = elements(&shape);
        let bytes = count.and_then(|n| (n as u64).checked_mul(T::BITS)).map(|b| b / 8);
        tiled.file(&tiled.cubes[place.0])?.check(0, bytes.unwrap_or(u64::MAX))?;
        let mut data = vec![T::default(); count.unwrap_or(0)];
        let last = 0..shape.last().copied().unwrap_or(0);
        self.read_cells(column, &[row], &shape, last, &mut data, &mut Vec::new())?;
        Ok(Some(Array { shape, data }))
    }

    /// The manager of a column, opened when first asked for.
    fn manager(&self, column: &Column) -> Result<&Manager> {
        let slot = &self.managers[column.manager];
        if let Some(manager) = slot.get() {
            return Ok(manager);
        }
        let ManagerEntry { kind, number, blob } = &self.description.managers[column.manager];
        let big_endian = self.description.big_endian;
        let manager = match kind.as_str() {
            "StandardStMan" => {
                Manager::Standard(Standard::open(&self.path, *number, blob, big_endian)?)
            }
            "IncrementalStMan" => {
                Manager::Incremental(Incremental::open(&self.path, *number, big_endian)?)
            }
            "TiledColumnStMan" | "TiledShapeStMan" | "TiledCellStMan" => {
                let bound: Vec<_> =
                    self.columns().iter().filter(|c| c.manager == column.manager).collect();
                let private = &self.description.private_keywords;
                Manager::Tiled(Tiled::open(&self.path, *number, kind, private, &bound)?)
            }
            other => return Err(self.unreadable(column, &format!("manager {other} {number}"))),
        };
        Ok(slot.get_or_init(|| manager))
    }

    fn typed(&self, name: &str, data_type: DataType, is_array: bool) -> Result<&Column> {
        let column = self.column(name)?;
        match column.data_type == data_type && column.is_array == is_array {
            true => Ok(column),
            false => Err(self.wrong_type(column, data_type, is_array)),
        }
    }

    fn wrong_type(&self, column: &Column, wanted: DataType, is_array: bool) -> Error {
        let name = |t: DataType, array| format!("{}{t:?}", if array { "array of " } else { "" });
        Error::data(
            &self.path,
            format!("column {}", column.name),
            format!("of type {}", name(column.data_type, column.is_array)),
            format!("it should be {}", name(wanted, is_array)),
        )
    }

    fn unreadable(&self, column: &Column, why: &str) -> Error {
        Error::data(
            &self.path,
            format!("column {}", column.name),
            format!("{why} is not supported"),
            "copy the MeasurementSet with casatasks split, which writes standard storage managers",
        )
    }

    fn undefined(&self, column: &Column, row: u64) -> Error {
        Error::data(
            &self.path,
            format!("column {}", column.name),
            format!("row {row} has no value"),
            "deselect such rows, or fill the column",
        )
    }

    fn other_shape(&self, column: &Column, row: u64, shape: &[usize], expected: &[usize]) -> Error {
        Error::data(
            &self.path,
            format!("column {}", column.name),
            format!("row {row} has shape {shape:?} where the metadata say {expected:?}"),
            "the MeasurementSet contradicts itself: copy it again from its origin",
        )
    }

    fn check_row(&self, column: &Column, row: u64) -> Result<()> {
        match row < self.rows {
            true => Ok(()),
            false => Err(Error::data(
                &self.path,
                format!("column {}", column.name),
                format!("row {row} of {}", self.rows),
                "the MeasurementSet contradicts itself: copy it again from its origin",
            )),
        }
    }
}

/// Refuses a number of rows that the table's files cannot hold, before anything is allocated for
/// them. Rows can take less than a bit each (values that never change, in an IncrementalStMan), so
/// the bound is a generous one.
fn check_rows(path: &Path, rows: u64) -> Result<()> {
    const SMALL: u64 = 1_000_000;
    const PER_BYTE: u64 = 64;
    if rows <= SMALL {
        return Ok(());
    }
    let mut bytes = 0u64;
    for entry in std::fs::read_dir(path).map_err(|e| Error::io("read", path, e))? {
        let entry = entry.map_err(|e| Error::io("read", path, e))?;
        if entry.file_name().to_string_lossy().starts_with("table.f") {
            bytes += entry.metadata().map_err(|e| Error::io("read", path, e))?.len();
        }
    }
    match rows / PER_BYTE <= bytes {
        true => Ok(()),
        false => Err(Error::data(
            path,
            "row count",
            format!("{rows} rows in files of {bytes} bytes"),
            file::COPY_AGAIN,
        )),
    }
}
