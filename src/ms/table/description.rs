//! `table.dat`: a table's keywords, its columns, and which storage manager holds each.

use std::path::Path;

use super::{
    aipsio::Stream,
    element::DataType,
    file::DataFile,
    record::{Record, read_scalar},
};
use crate::error::{Error, Result};

/// A `table.dat` of more bytes is not believed (real ones have some kB).
const MAX_TABLE_DAT: u64 = 256 << 20;

/// What `table.dat` says.
#[derive(Debug)]
pub(super) struct Description {
    /// Rows; stale where rows were only appended (see `lock_rows`).
    pub(super) rows: u64,
    /// Byte order of the data files.
    pub(super) big_endian: bool,
    pub(super) keywords: Record,
    /// Keywords of the storage managers: the order of columns in hypercolumns.
    pub(super) private_keywords: Record,
    pub(super) columns: Vec<Column>,
    pub(super) managers: Vec<ManagerEntry>,
}

/// A column, as it is described.
#[derive(Clone, Debug)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// The type of its elements.
    pub data_type: DataType,
    /// Whether its cells are arrays.
    pub is_array: bool,
    /// The column's keywords: units, reference frames.
    pub keywords: Record,
    /// Whether array cells stand in the rows themselves, not behind a pointer.
    pub(super) direct: bool,
    /// The shape of all cells, where it is fixed.
    pub(super) fixed_shape: Option<Vec<usize>>,
    /// Strings of a fixed number of bytes; 0: of any length.
    pub(super) max_length: usize,
    /// Index in [`Description::managers`].
    pub(super) manager: usize,
    /// Position among the columns of its manager.
    pub(super) position: usize,
}

/// A storage manager of a table.
#[derive(Debug)]
pub(super) struct ManagerEntry {
    /// Its class, such as `StandardStMan`.
    pub(super) kind: String,
    /// The number in its files' names.
    pub(super) number: u32,
    /// What it keeps in `table.dat`.
    pub(super) blob: Vec<u8>,
}

impl Description {
    /// Reads `table.dat` of the table `dir`.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("table.dat");
        if !path.is_file() {
            return Err(not_a_table(dir));
        }
        let file = DataFile::open(path.clone())?;
        if file.len() > MAX_TABLE_DAT {
            return Err(file.bad("size", format!("{} bytes", file.len())));
        }
        let bytes = file.read(0, file.len())?;
        let mut stream = Stream::new(&bytes, true, &path);
        let table = stream.outermost_object("Table")?;
        let rows = match table.version {
            3.. => stream.u64()?,
            _ => u64::from(stream.u32()?),
        };
        let big_endian = stream.u32()? == 0;
        let kind = stream.string()?;
        if kind != "PlainTable" {
            return Err(virtual_table(dir, &kind));
        }
        if table.version < 2 {
            return Err(stream.bad("a table format from before 1999"));
        }
        let (keywords, private_keywords, columns) = read_table_desc(&mut stream)?;
        let (columns, managers) = read_column_set(&mut stream, columns)?;
        Ok(Self { rows, big_endian, keywords, private_keywords, columns, managers })
    }
}

fn not_a_table(dir: &Path) -> Error {
    let problem = match dir.is_dir() {
        true => "this directory is not a casacore table (no table.dat in it)",
        false if dir.exists() => "this is a file, not the directory of a casacore table",
        false => "there is no such directory",
    };
    Error::data(dir, "table", problem, "give the path of a MeasurementSet's directory")
}

/// What to do with tables that only refer to the rows of others.
fn virtual_table(dir: &Path, kind: &str) -> Error {
    let (problem, remedy) = match kind {
        "RefTable" => (
            "it only refers to rows of another table (a RefTable)",
            "make a full copy: casatasks mstransform or split, or python-casacore's \
             table.copy(name, deep=True)",
        ),
        "ConcatTable" => (
            "it is a virtual concatenation of tables (a multi-MS)",
            "join it with casatasks mstransform(createmms=False), or image its parts in SUBMSS",
        ),
        _ => ("its kind of table is not known", "copy it to a plain table with casatasks"),
    };
    Error::data(dir, format!("table type {kind:?}"), problem, remedy)
}

type TableDesc = (Record, Record, Vec<Column>);

fn read_table_desc(stream: &mut Stream) -> Result<TableDesc> {
    let object = stream.object("TableDesc")?;
    for _name_version_comment in 0..3 {
        stream.string()?;
    }
    let keywords = Record::read(stream)?;
    let private = if object.version > 1 { Record::read(stream)? } else { Record::default() };
    let n = stream.count(16)?;
    let columns = (0..n).map(|_| read_column(stream)).collect::<Result<_>>()?;
    stream.close(object)?;
    Ok((keywords, private, columns))
}

fn read_column(stream: &mut Stream) -> Result<Column> {
    stream.u32()?;
    let class = stream.string()?;
    let is_array = class.starts_with("ArrayColumnDesc");
    if !is_array && !class.starts_with("ScalarColumnDesc") && class != "ScalarRecordColumnDesc" {
        return Err(stream.bad(format!("unknown column class {class:?}")));
    }
    stream.u32()?;
    let name = stream.string()?;
    for _comment_and_default_manager in 0..3 {
        stream.string()?;
    }
    let code = stream.i32()?;
    let data_type = DataType::from_code(code)
        .ok_or_else(|| stream.bad(format!("column {name} has unknown type code {code}")))?;
    let options = stream.i32()?;
    stream.i32()?; // number of dimensions
    let shape = if is_array { stream.iposition()? } else { Vec::new() };
    let max_length = stream.u32()? as usize;
    let keywords = Record::read(stream)?;
    stream.u32()?;
    if is_array {
        stream.u8()?;
    } else if class != "ScalarRecordColumnDesc" {
        read_scalar(stream, data_type)?; // the default value
    }
    let fixed_shape = fixed_shape(stream, &shape)?;
    Ok(Column {
        name,
        data_type,
        is_array,
        keywords,
        direct: options & 1 != 0,
        fixed_shape,
        max_length,
        manager: 0,
        position: 0,
    })
}

/// The shape of all cells, unless it is empty: then each has its own.
fn fixed_shape(stream: &Stream, shape: &[i64]) -> Result<Option<Vec<usize>>> {
    if shape.is_empty() {
        return Ok(None);
    }
    let bad = || stream.bad(format!("impossible cell shape {shape:?}"));
    shape.iter().map(|&n| usize::try_from(n).map_err(|_| bad())).collect::<Result<_>>().map(Some)
}

fn read_column_set(
    stream: &mut Stream,
    mut columns: Vec<Column>,
) -> Result<(Vec<Column>, Vec<ManagerEntry>)> {
    let version = stream.i32()?;
    match version {
        -2 => {
            stream.u32()?;
        }
        -3 => {
            stream.u64()?;
            let storage = stream.i32()?;
            stream.i32()?;
            if storage == 0 || storage == 1 {
                return Err(Error::data(
                    stream.path(),
                    "storage option",
                    "all columns are packed into one table.mf or table.mfh5",
                    "copy the MeasurementSet with casatasks split, which writes separate files",
                ));
            }
        }
        _ => return Err(stream.bad(format!("unknown column set version {}", -version))),
    }
    stream.u32()?; // the next free manager number
    let n = stream.count(8)?;
    let mut managers = Vec::with_capacity(n);
    for _ in 0..n {
        let kind = stream.string()?;
        managers.push(ManagerEntry { kind, number: stream.u32()?, blob: Vec::new() });
    }
    let mut bound = vec![0; n];
    for column in &mut columns {
        stream.u32()?;
        stream.string()?;
        stream.u32()?;
        let number = stream.u32()?;
        column.manager = managers.iter().position(|m| m.number == number).ok_or_else(|| {
            stream.bad(format!("column {} names a missing manager {number}", column.name))
        })?;
        column.position = bound[column.manager];
        bound[column.manager] += 1;
        if column.is_array && stream.bool()? {
            let shape = stream.iposition()?;
            column.fixed_shape = fixed_shape(stream, &shape)?;
        }
    }
    for manager in &mut managers {
        let n = stream.count(1)?;
        manager.blob = stream.bytes(n)?.to_vec();
    }
    Ok((columns, managers))
}

/// The live number of rows, from `table.lock`: appending rows changes it there only.
pub(super) fn lock_rows(dir: &Path) -> Result<Option<u64>> {
    const INFO: usize = 264;
    let path = dir.join("table.lock");
    if !path.is_file() {
        return Ok(None);
    }
    let file = DataFile::open(path.clone())?;
    if file.len() <= INFO as u64 {
        return Ok(None);
    }
    let bytes = file.read(0, file.len().min(1 << 20))?;
    let mut stream = Stream::new(&bytes, true, &path);
    stream.bytes(INFO - 4)?;
    if stream.u32()? == 0 {
        return Ok(None);
    }
    let sync = stream.outermost_object("sync")?;
    let rows = if sync.version > 1 { stream.u64()? } else { u64::from(stream.u32()?) };
    Ok((rows > 0).then_some(rows))
}
