//! Tiled storage managers: the header file, and where a row's cell stands in the hypercubes.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use super::{
    Column,
    aipsio::{Object, Stream},
    element::DataType,
    file::DataFile,
    record::Record,
};
use crate::error::{Error, Result};

/// A TiledColumnStMan, TiledShapeStMan or TiledCellStMan of a table.
#[derive(Debug)]
pub(super) struct Tiled {
    /// `table.f<number>`.
    path: PathBuf,
    pub(super) big_endian: bool,
    pub(super) cubes: Vec<Cube>,
    rows: RowMap,
    /// Bits per element of each column, in the order they have within a tile.
    layout: Vec<(usize, u64)>,
    /// One per file number; opened when first read.
    files: Vec<OnceLock<DataFile>>,
}

/// A hypercube: an array cut into tiles that stand one after the other in a file.
#[derive(Debug)]
pub(super) struct Cube {
    /// Elements along each axis, the first one fastest.
    pub(super) shape: Vec<u64>,
    /// Elements of a tile along each axis.
    pub(super) tile: Vec<u64>,
    file: Option<usize>,
    /// Where the first tile begins in the file.
    pub(super) offset: u64,
}

/// Which cube holds a row, and where on the cube's last axis.
#[derive(Debug)]
enum RowMap {
    /// One cube; its last axis is the row.
    Column,
    /// A cube per row.
    Cell,
    /// Entry `j` covers the rows after `last_row[j-1]` up to `last_row[j]`, which is at `position[j]`
    /// of `cube[j]`; cube 0 stands for undefined cells.
    Shape { last_row: Vec<u32>, cube: Vec<u32>, position: Vec<u32> },
}

/// A row's cell: the cube, and the position on its last axis where that axis runs over rows.
pub(super) type Place = (usize, Option<u64>);

impl Tiled {
    /// Opens `table.f<number>` of the table `dir`; `columns` are those bound to it, in order.
    pub(super) fn open(
        dir: &Path,
        number: u32,
        kind: &str,
        private_keywords: &Record,
        columns: &[&Column],
    ) -> Result<Self> {
        let file = DataFile::open(dir.join(format!("table.f{number}")))?;
        let bytes = file.read(0, file.len())?;
        let mut stream = Stream::new(&bytes, true, file.path());
        stream.outermost_object(kind)?;
        if kind != "TiledShapeStMan" {
            stream.shape()?; // the default tile shape
        }
        let common = stream.object("TiledStMan")?;
        let Header { big_endian, types, name, files, cubes } = read_common(&mut stream, common)?;
        if types != columns.iter().map(|c| c.data_type).collect::<Vec<_>>() {
            return Err(file.bad("column types", "they are not those of table.dat"));
        }
        let rows = match kind {
            "TiledColumnStMan" => RowMap::Column,
            "TiledCellStMan" => RowMap::Cell,
            _ => read_row_map(&mut stream)?,
        };
        let layout = layout(private_keywords, &name, columns, &file)?;
        let files = (0..files).map(|_| OnceLock::new()).collect();
        let path = file.path().to_owned();
        Ok(Self { path, big_endian, cubes, rows, layout, files })
    }

    /// An error about the header file.
    pub(super) fn bad(&self, what: impl Into<String>, problem: impl Into<String>) -> Error {
        Error::data(&self.path, what, problem, super::file::COPY_AGAIN)
    }

    /// Where a row's cell is; none where it is undefined.
    pub(super) fn place(&self, row: u64) -> Result<Option<Place>> {
        let place = match &self.rows {
            RowMap::Column => (0, Some(row)),
            RowMap::Cell => (row as usize, None),
            RowMap::Shape { last_row, cube, position } => {
                let j = last_row.partition_point(|&last| u64::from(last) < row);
                if j == last_row.len() || cube[j] == 0 {
                    return Ok(None);
                }
                let back = u64::from(last_row[j]) - row;
                let position = u64::from(position[j]).checked_sub(back);
                let wrong = || self.bad(format!("row map entry {j}"), "a negative position");
                (cube[j] as usize, Some(position.ok_or_else(wrong)?))
            }
        };
        let missing = || self.bad(format!("row {row}"), "it is in no hypercube");
        let cube = self.cubes.get(place.0).ok_or_else(missing)?;
        match (place.1, cube.shape.last()) {
            (Some(position), Some(&length)) if position < length => Ok(Some(place)),
            (Some(_), _) => Err(missing()),
            (None, shape) => Ok(shape.map(|_| place)),
        }
    }

    /// The shape of the cell at `place`.
    pub(super) fn cell_shape(&self, place: Place) -> &[u64] {
        let shape = &self.cubes[place.0].shape;
        &shape[..shape.len() - usize::from(place.1.is_some())]
    }

    /// Bytes of a tile, and where in it the part of the column at `position` begins.
    pub(super) fn tile_bytes(&self, cube: &Cube, position: usize) -> Option<(u64, u64)> {
        let pixels = cube.tile.iter().try_fold(1u64, |a, &n| a.checked_mul(n))?;
        let (mut total, mut begin) = (0u64, 0);
        for &(column, bits) in &self.layout {
            if column == position {
                begin = total;
            }
            total = total.checked_add(pixels.checked_mul(bits)?.div_ceil(8))?;
        }
        Some((total, begin))
    }

    /// The file that holds a cube's tiles.
    pub(super) fn file(&self, cube: &Cube) -> Result<&DataFile> {
        let slot = cube.file.and_then(|n| Some((n, self.files.get(n)?)));
        let (n, slot) = slot.ok_or_else(|| self.bad("hypercube", "it has no file"))?;
        if let Some(file) = slot.get() {
            return Ok(file);
        }
        let mut path = self.path.as_os_str().to_owned();
        path.push(format!("_TSM{n}"));
        let file = DataFile::open(path.into())?;
        Ok(slot.get_or_init(|| file))
    }
}

struct Header {
    big_endian: bool,
    types: Vec<DataType>,
    name: String,
    files: usize,
    cubes: Vec<Cube>,
}

/// The part of the header that all tiled managers share.
fn read_common(stream: &mut Stream, object: Object) -> Result<Header> {
    let wide = object.version > 2;
    let word = |s: &mut Stream| if wide { s.u64() } else { s.u32().map(u64::from) };
    let big_endian = if object.version > 1 { stream.bool()? } else { true };
    stream.u32()?; // sequence number
    word(stream)?; // rows; the lock file knows better
    let columns = stream.count(4)?;
    let types = (0..columns)
        .map(|_| {
            let code = stream.i32()?;
            DataType::from_code(code).ok_or_else(|| stream.bad(format!("type code {code}")))
        })
        .collect::<Result<_>>()?;
    let name = stream.string()?;
    word(stream)?; // cache size
    stream.u32()?; // dimensions
    let files = word(stream)?;
    let files = stream.checked_count(files, 1)?;
    for _ in 0..files {
        if stream.bool()? {
            let version = stream.u32()?;
            stream.u32()?; // file number: its index
            if version > 1 {
                stream.u64()?;
            } else {
                stream.u32()?;
            }
        }
    }
    let cubes = word(stream)?;
    let cubes = stream.checked_count(cubes, 16)?;
    let cubes = (0..cubes).map(|_| read_cube(stream)).collect::<Result<_>>()?;
    stream.close(object)?;
    Ok(Header { big_endian, types, name, files, cubes })
}

fn read_cube(stream: &mut Stream) -> Result<Cube> {
    let version = stream.u32()?;
    Record::read(stream)?; // values of coordinates: none in any set
    stream.bool()?; // extensible
    stream.u32()?; // dimensions
    let (shape, tile) = (stream.shape()?, stream.shape()?);
    let file = usize::try_from(stream.i32()?).ok();
    let offset = if version > 1 { stream.u64()? } else { u64::from(stream.u32()?) };
    if tile.len() != shape.len() || tile.contains(&0) {
        return Err(stream.bad(format!("a cube of shape {shape:?} in tiles of {tile:?}")));
    }
    Ok(Cube { shape, tile, file, offset })
}

fn read_row_map(stream: &mut Stream) -> Result<RowMap> {
    stream.shape()?; // the default tile shape
    let used = stream.u32()? as usize;
    let mut maps = [stream.block_u32()?, stream.block_u32()?, stream.block_u32()?];
    for map in &mut maps {
        if map.len() < used {
            return Err(stream.bad(format!("a row map of {} entries, not {used}", map.len())));
        }
        map.truncate(used);
    }
    let [last_row, cube, position] = maps;
    if !last_row.is_sorted() {
        return Err(stream.bad("a row map whose rows do not ascend"));
    }
    Ok(RowMap::Shape { last_row, cube, position })
}

/// The columns (by position in the manager) and their bits in the order they have within a tile:
/// by size, the largest first, and equal ones in *reverse* order of the hypercolumn's definition.
fn layout(
    keywords: &Record,
    hypercolumn: &str,
    columns: &[&Column],
    file: &DataFile,
) -> Result<Vec<(usize, u64)>> {
    let definition = keywords.record(&format!("Hypercolumn_{hypercolumn}"));
    let names = definition.and_then(|d| d.texts("data")).filter(|n| n.len() == columns.len());
    let mut order: Vec<usize> = match names {
        Some(names) => {
            names.iter().filter_map(|name| columns.iter().position(|c| c.name == *name)).collect()
        }
        None => (0..columns.len()).collect(),
    };
    if order.len() != columns.len() {
        // The keyword keeps the names from before a column was renamed.
        order = (0..columns.len()).collect();
    }
    let bits = |&k: &usize| columns[k].data_type.bits();
    order.sort_by_key(|k| bits(k).filter(|&b| b >= 8).unwrap_or(0));
    order.reverse();
    order
        .into_iter()
        .map(|k| {
            let bits = bits(&k).ok_or_else(|| file.bad(&*columns[k].name, "strings in tiles"))?;
            Ok((k, bits))
        })
        .collect()
}
