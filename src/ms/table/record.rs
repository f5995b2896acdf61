//! Keyword records.

use num_complex::Complex64;

use super::{aipsio::Stream, element::DataType};
use crate::error::Result;

/// Records within records that a reader follows; more is a damaged file.
const MAX_DEPTH: usize = 32;

/// Named values in order: the keywords of a table or of a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record(Vec<(String, Value)>);

/// A keyword's value; integers and floats of any width come as one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// Any integer.
    Int(i64),
    /// Any floating-point number.
    Real(f64),
    /// Any complex number.
    Complex(Complex64),
    /// Characters.
    Text(String),
    /// The path of a subtable, as it stands in the file.
    Table(String),
    /// A record.
    Record(Record),
    /// Truth values of the given shape.
    Bools(Vec<usize>, Vec<bool>),
    /// Integers of the given shape, first axis fastest.
    Ints(Vec<usize>, Vec<i64>),
    /// Floating-point numbers of the given shape, first axis fastest.
    Reals(Vec<usize>, Vec<f64>),
    /// Complex numbers of the given shape, first axis fastest.
    Complexes(Vec<usize>, Vec<Complex64>),
    /// Strings of the given shape, first axis fastest.
    Texts(Vec<usize>, Vec<String>),
}

impl Record {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// All names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// A value of characters.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A value that is a record.
    pub fn record(&self, name: &str) -> Option<&Record> {
        match self.get(name)? {
            Value::Record(record) => Some(record),
            _ => None,
        }
    }

    /// A number of any kind.
    pub fn real(&self, name: &str) -> Option<f64> {
        match *self.get(name)? {
            Value::Real(x) => Some(x),
            Value::Int(i) => Some(i as f64),
            _ => None,
        }
    }

    /// The elements of an array of numbers of any kind, or of a single number.
    pub fn reals(&self, name: &str) -> Option<Vec<f64>> {
        Some(match self.get(name)? {
            Value::Reals(_, values) => values.clone(),
            Value::Ints(_, values) => values.iter().map(|&i| i as f64).collect(),
            Value::Real(x) => vec![*x],
            Value::Int(i) => vec![*i as f64],
            _ => return None,
        })
    }

    /// The elements of an array of integers.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.get(name)? {
            Value::Ints(_, values) => Some(values),
            _ => None,
        }
    }

    /// The elements of an array of strings.
    pub fn texts(&self, name: &str) -> Option<&[String]> {
        match self.get(name)? {
            Value::Texts(_, values) => Some(values),
            _ => None,
        }
    }

    /// Reads a record of a table's description (object `TableRecord`) or of a tile header (`Record`).
    pub(super) fn read(stream: &mut Stream) -> Result<Self> {
        read_record(stream, 0)
    }
}

/// A field's type, as a record's description tells it.
enum Field {
    Scalar(DataType),
    Array(DataType),
    Table,
    Record(Vec<(String, Field)>),
}

fn read_record(stream: &mut Stream, depth: usize) -> Result<Record> {
    let (name, object) = stream.any()?;
    if name != "TableRecord" && name != "Record" {
        return Err(stream.bad(format!("a keyword record expected, found {name:?}")));
    }
    let fields = read_description(stream, depth)?;
    stream.i32()?; // record type: variable or fixed
    let record = read_fields(stream, fields, depth)?;
    stream.close(object)?;
    Ok(record)
}

fn read_description(stream: &mut Stream, depth: usize) -> Result<Vec<(String, Field)>> {
    if depth > MAX_DEPTH {
        return Err(stream.bad("records nested too deeply"));
    }
    let object = stream.object("RecordDesc")?;
    let n = stream.count(8)?;
    let mut fields = Vec::with_capacity(n);
    for _ in 0..n {
        let name = stream.string()?;
        let code = stream.i32()?;
        let field = match code {
            12 => {
                stream.string()?;
                Field::Table
            }
            25 => Field::Record(read_description(stream, depth + 1)?),
            13..=24 | 30 => {
                stream.iposition()?;
                let scalar = if code == 30 { 29 } else { code - 13 };
                Field::Array(known(stream, scalar)?)
            }
            _ => Field::Scalar(known(stream, code)?),
        };
        if object.version > 1 {
            stream.string()?; // comment
        }
        fields.push((name, field));
    }
    stream.close(object)?;
    Ok(fields)
}

fn known(stream: &Stream, code: i32) -> Result<DataType> {
    DataType::from_code(code).ok_or_else(|| stream.bad(format!("unknown type code {code}")))
}

fn read_fields(stream: &mut Stream, fields: Vec<(String, Field)>, depth: usize) -> Result<Record> {
    let mut record = Record::default();
    for (name, field) in fields {
        let value = match field {
            Field::Table => Value::Table(stream.string()?),
            Field::Record(inner) if inner.is_empty() => {
                if depth > MAX_DEPTH {
                    return Err(stream.bad("records nested too deeply"));
                }
                Value::Record(read_record(stream, depth + 1)?)
            }
            Field::Record(inner) => Value::Record(read_fields(stream, inner, depth + 1)?),
            Field::Scalar(data_type) => read_scalar(stream, data_type)?,
            Field::Array(data_type) => read_array(stream, data_type)?,
        };
        record.0.push((name, value));
    }
    Ok(record)
}

fn read_int(stream: &mut Stream, data_type: DataType) -> Result<i64> {
    use DataType as D;
    Ok(match data_type {
        D::Char => i64::from(stream.u8()? as i8),
        D::UChar => i64::from(stream.u8()?),
        D::Short => i64::from(stream.i16()?),
        D::UShort => i64::from(stream.u16()?),
        D::UInt => i64::from(stream.u32()?),
        D::Int64 => stream.i64()?,
        _ => i64::from(stream.i32()?),
    })
}

fn read_real(stream: &mut Stream, wide: bool) -> Result<f64> {
    if wide { stream.f64() } else { stream.f32().map(f64::from) }
}

fn read_complex(stream: &mut Stream, wide: bool) -> Result<Complex64> {
    Ok(Complex64::new(read_real(stream, wide)?, read_real(stream, wide)?))
}

/// One value, of a keyword or of a column's default.
pub(super) fn read_scalar(stream: &mut Stream, data_type: DataType) -> Result<Value> {
    use DataType as D;
    Ok(match data_type {
        D::Bool => Value::Bool(stream.bool()?),
        D::Float | D::Double => Value::Real(read_real(stream, data_type == D::Double)?),
        D::Complex | D::DComplex => Value::Complex(read_complex(stream, data_type == D::DComplex)?),
        D::String => Value::Text(stream.string()?),
        D::Record => Value::Record(read_record(stream, 0)?),
        _ => Value::Int(read_int(stream, data_type)?),
    })
}

fn read_array(stream: &mut Stream, data_type: DataType) -> Result<Value> {
    use DataType as D;
    let (object, shape, n) = stream.array()?;
    // A string takes four bytes at least.
    let bits = data_type.bits().unwrap_or(32) as usize;
    let n = stream.checked_count((n as u64).div_ceil(8), bits).map(|_| n)?;
    let value = match data_type {
        D::Bool => {
            let packed = stream.bytes(n.div_ceil(8))?;
            Value::Bools(shape, (0..n).map(|i| packed[i / 8] >> (i % 8) & 1 == 1).collect())
        }
        D::Float | D::Double => {
            let wide = data_type == D::Double;
            Value::Reals(shape, (0..n).map(|_| read_real(stream, wide)).collect::<Result<_>>()?)
        }
        D::Complex | D::DComplex => {
            let wide = data_type == D::DComplex;
            let values = (0..n).map(|_| read_complex(stream, wide)).collect::<Result<_>>()?;
            Value::Complexes(shape, values)
        }
        D::String => Value::Texts(shape, (0..n).map(|_| stream.string()).collect::<Result<_>>()?),
        _ => {
            Value::Ints(shape, (0..n).map(|_| read_int(stream, data_type)).collect::<Result<_>>()?)
        }
    };
    stream.close(object)?;
    Ok(value)
}
