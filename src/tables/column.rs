//! Columns of a table: their types and units, and their cells.

use super::{
    aips::{AipsStream, Record},
    dat::bind,
};

/// Type of a column's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Float,
    Double,
    Complex,
    Text,
}

impl Kind {
    /// casacore's data type code.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Bool => 0,
            Self::Int => 5,
            Self::Float => 7,
            Self::Double => 8,
            Self::Complex => 9,
            Self::Text => 11,
        }
    }

    /// casacore's name, padded as it is in class names.
    fn id(self) -> &'static str {
        match self {
            Self::Bool => "Bool    ",
            Self::Int => "Int     ",
            Self::Float => "float   ",
            Self::Double => "double  ",
            Self::Complex => "Complex ",
            Self::Text => "String  ",
        }
    }

    /// Bits of an element; a text has none of its own.
    pub(crate) fn bits(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Int | Self::Float => 32,
            Self::Double | Self::Complex => 64,
            Self::Text => 0,
        }
    }
}

/// Shape of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar,
    /// The same for all cells, which lie in the rows themselves.
    Fixed(&'static [usize]),
    /// Of so many axes; −1: any.
    Any(i32),
}

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) comment: &'static str,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    /// Longest text; 0: any.
    pub(crate) max_length: u32,
    /// Units and reference frame.
    pub(crate) keywords: Record,
}

impl Column {
    /// One without comment and keywords.
    pub(crate) fn new(name: &'static str, kind: Kind, shape: Shape) -> Self {
        Self { name, comment: "", kind, shape, max_length: 0, keywords: Record::default() }
    }

    /// With keywords.
    pub(crate) fn with(self, keywords: Record) -> Self {
        Self { keywords, ..self }
    }

    /// Writes its description.
    pub(crate) fn describe(&self, s: &mut AipsStream) {
        let array = self.shape != Shape::Scalar;
        let class = if array { "ArrayColumnDesc<" } else { "ScalarColumnDesc<" };
        s.u32(1);
        s.str(&format!("{class}{}", self.kind.id()));
        s.u32(1);
        s.str(self.name);
        s.str(self.comment);
        s.str("StandardStMan"); // informative only
        s.str("StandardStMan");
        s.i32(self.kind.code());
        match self.shape {
            Shape::Scalar => {
                s.i32(0); // options
                s.i32(0); // dimensions
            }
            Shape::Fixed(shape) => {
                s.i32(5); // direct, and of fixed shape
                s.i32(shape.len() as i32);
                s.shape(shape);
            }
            Shape::Any(axes) => {
                s.i32(0);
                s.i32(axes);
                s.shape(&[]);
            }
        }
        s.u32(self.max_length);
        s.record("TableRecord", &self.keywords);
        s.u32(1);
        // The default value.
        match self.kind {
            _ if array => s.bool(false),
            Kind::Bool => s.bool(false),
            Kind::Int => s.i32(0),
            Kind::Float => s.f32(0.0),
            Kind::Double => s.f64(0.0),
            Kind::Complex => s.u64(0),
            Kind::Text => s.str(""),
        }
    }

    /// Writes its binding to a data manager.
    pub(crate) fn bind(&self, s: &mut AipsStream, manager: usize) {
        bind(s, self.name, manager);
        match self.shape {
            Shape::Scalar => {}
            Shape::Fixed(shape) => {
                s.bool(true);
                s.shape(shape);
            }
            Shape::Any(_) => s.bool(false),
        }
    }
}

/// A cell of a column that a StandardStMan keeps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Bool(bool),
    Int(i32),
    Double(f64),
    Text(String),
    /// Elements, first axis fastest, and their shape.
    Ints(Vec<usize>, Vec<i32>),
    Doubles(Vec<usize>, Vec<f64>),
    Complexes(Vec<usize>, Vec<[f32; 2]>),
    Texts(Vec<String>),
    /// An array that is not there.
    Undefined,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i32> for Cell {
    fn from(value: i32) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Cell {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<Vec<f64>> for Cell {
    fn from(values: Vec<f64>) -> Self {
        Self::Doubles(vec![values.len()], values)
    }
}

impl Cell {
    /// Shape of an array.
    pub(super) fn shape(&self) -> Vec<usize> {
        match self {
            Self::Ints(shape, _) | Self::Doubles(shape, _) | Self::Complexes(shape, _) => {
                shape.clone()
            }
            Self::Texts(texts) => vec![texts.len()],
            _ => Vec::new(),
        }
    }

    /// The numbers, little-endian.
    pub(super) fn numbers(&self) -> Vec<u8> {
        match self {
            Self::Int(v) => v.to_le_bytes().to_vec(),
            Self::Double(v) => v.to_le_bytes().to_vec(),
            Self::Ints(_, v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Doubles(_, v) => v.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Complexes(_, v) => v.iter().flatten().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Bool(_) | Self::Text(_) | Self::Texts(_) | Self::Undefined => Vec::new(),
        }
    }
}
