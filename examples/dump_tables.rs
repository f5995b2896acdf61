//! Prints a digest of every column of a MeasurementSet, for comparison with python-casacore
//! (see tests/interop/tables.py, which says what the digests are of).

use std::path::Path;

use cubeclean::{
    Result,
    ms::table::{Array, Column, DataType, Element, Table},
};
use num_complex::{Complex32, Complex64};

const SUBTABLES: [&str; 10] = [
    "ANTENNA",
    "DATA_DESCRIPTION",
    "FEED",
    "FIELD",
    "OBSERVATION",
    "POINTING",
    "POLARIZATION",
    "SOURCE",
    "SPECTRAL_WINDOW",
    "STATE",
];

/// CRC-32 as zlib has it.
struct Crc(u32);

impl Crc {
    fn add(&mut self, bytes: &[u8]) {
        let mut crc = !self.0;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1));
            }
        }
        self.0 = !crc;
    }
}

fn shape_bytes(shape: &[usize]) -> Vec<u8> {
    shape.iter().flat_map(|&n| (n as i32).to_le_bytes()).collect()
}

/// The elements' bytes, little-endian; a Bool is one byte.
fn element_bytes<T: Element>(mut values: Vec<T>) -> Vec<u8> {
    let any: &dyn std::any::Any = &values;
    if let Some(flags) = any.downcast_ref::<Vec<bool>>() {
        return flags.iter().map(|&flag| u8::from(flag)).collect();
    }
    T::reorder(&mut values, false);
    T::memory(&mut values).unwrap_or_default().to_vec()
}

/// Digests a column of numbers: defined cells, CRC.
fn numbers<T: Element>(table: &Table, column: &Column) -> Result<(u64, u32)> {
    let mut crc = Crc(0);
    if !column.is_array {
        crc.add(&element_bytes(table.scalars::<T>(&column.name)?));
        return Ok((table.rows(), crc.0));
    }
    let mut defined = 0;
    for row in 0..table.rows() {
        let Some(Array { shape, data }) = table.array::<T>(&column.name, row)? else {
            crc.add(b"U");
            continue;
        };
        defined += 1;
        crc.add(&shape_bytes(&shape));
        crc.add(&element_bytes(data));
    }
    Ok((defined, crc.0))
}

fn strings(table: &Table, column: &Column) -> Result<(u64, u32)> {
    let mut crc = Crc(0);
    if !column.is_array {
        for string in table.strings(&column.name)? {
            crc.add(format!("{string}\n").as_bytes());
        }
        return Ok((table.rows(), crc.0));
    }
    let mut defined = 0;
    for row in 0..table.rows() {
        let Some(Array { shape, data }) = table.string_array(&column.name, row)? else {
            crc.add(b"U");
            continue;
        };
        defined += 1;
        crc.add(&shape_bytes(&shape));
        data.iter().for_each(|string| crc.add(format!("{string}\n").as_bytes()));
    }
    Ok((defined, crc.0))
}

fn digest(table: &Table, column: &Column) -> Result<(u64, u32)> {
    match column.data_type {
        DataType::Bool => numbers::<bool>(table, column),
        DataType::Char => numbers::<i8>(table, column),
        DataType::UChar => numbers::<u8>(table, column),
        DataType::Short => numbers::<i16>(table, column),
        DataType::UShort => numbers::<u16>(table, column),
        DataType::Int => numbers::<i32>(table, column),
        DataType::UInt => numbers::<u32>(table, column),
        DataType::Float => numbers::<f32>(table, column),
        DataType::Double => numbers::<f64>(table, column),
        DataType::Complex => numbers::<Complex32>(table, column),
        DataType::DComplex => numbers::<Complex64>(table, column),
        DataType::Int64 => numbers::<i64>(table, column),
        DataType::String => strings(table, column),
        DataType::Record => Ok((0, 0)),
    }
}

fn dump(name: &str, path: &Path) -> Result<()> {
    let table = Table::open(path)?;
    for column in table.columns() {
        match digest(&table, column) {
            Ok((defined, crc)) => {
                println!("{name}\t{}\t{}\t{defined}\t{crc:08x}", column.name, table.rows());
            }
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let path = std::env::args_os().nth(1).unwrap_or_default();
    let path = Path::new(&path);
    dump("MAIN", path)?;
    for name in SUBTABLES {
        let subtable = path.join(name);
        if subtable.join("table.dat").exists() {
            dump(name, &subtable)?;
        }
    }
    Ok(())
}
