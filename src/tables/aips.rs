//! casacore's AipsIO byte streams (nested, length-prefixed objects) and keyword records: writing.

/// First word of every outermost object.
const MAGIC: u32 = 0xbebe_bebe;

/// Byte order of a stream: table metadata is always big-endian, data managers follow the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Big,
    Little,
}

/// A stream being written.
pub(crate) struct AipsStream {
    bytes: Vec<u8>,
    order: Order,
    depth: usize,
}

/// The value of a keyword.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Int(i32),
    UInt(u32),
    Float(f32),
    Double(f64),
    String(String),
    /// A subtable, by the path that is stored.
    Table(&'static str),
    Ints(Vec<i32>),
    UInts(Vec<u32>),
    Floats(Vec<f32>),
    Doubles(Vec<f64>),
    /// A square matrix.
    Matrix(Vec<f64>),
    Strings(Vec<String>),
    Record(Record),
}

/// Keywords in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Record(Vec<(String, Value)>);

impl Record {
    /// Appends a keyword.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// Appends all keywords of another record.
    pub(crate) fn with_all(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident),* $(,)?) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

value_from! {
    bool => Bool, i32 => Int, u32 => UInt, f32 => Float, f64 => Double, &str => String, String => String,
    Vec<i32> => Ints, Vec<u32> => UInts, Vec<f32> => Floats, Vec<f64> => Doubles, Vec<String> => Strings,
    Record => Record,
}

impl Value {
    /// casacore's data type code; an array's is its element's + 13.
    fn type_code(&self) -> i32 {
        match self {
            Self::Bool(_) => 0,
            Self::Int(_) => 5,
            Self::UInt(_) => 6,
            Self::Float(_) => 7,
            Self::Double(_) => 8,
            Self::String(_) => 11,
            Self::Table(_) => 12,
            Self::Ints(_) => 18,
            Self::UInts(_) => 19,
            Self::Floats(_) => 20,
            Self::Doubles(_) | Self::Matrix(_) => 21,
            Self::Strings(_) => 24,
            Self::Record(_) => 25,
        }
    }
}

macro_rules! put_number {
    ($($name:ident: $type:ty),*) => {
        $(pub(crate) fn $name(&mut self, value: $type) {
            match self.order {
                Order::Big => self.bytes.extend(value.to_be_bytes()),
                Order::Little => self.bytes.extend(value.to_le_bytes()),
            }
        })*
    };
}

impl AipsStream {
    pub(crate) fn new(order: Order) -> Self {
        Self { bytes: Vec::new(), order, depth: 0 }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    put_number!(u32: u32, i32: i32, u64: u64, f32: f32, f64: f64);

    pub(crate) fn bool(&mut self, value: bool) {
        self.bytes.push(value.into());
    }

    pub(crate) fn str(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.bytes.extend(text.as_bytes());
    }

    /// Bytes of another stream, behind their length.
    pub(crate) fn blob(&mut self, blob: &[u8]) {
        self.u32(blob.len() as u32);
        self.bytes.extend(blob);
    }

    /// An object: its length (which counts itself), type and version, then what `body` writes.
    pub(crate) fn object(&mut self, kind: &str, version: u32, body: impl FnOnce(&mut Self)) {
        if self.depth == 0 {
            self.u32(MAGIC);
        }
        let start = self.bytes.len();
        self.u32(0);
        self.str(kind);
        self.u32(version);
        self.depth += 1;
        body(self);
        self.depth -= 1;
        let length = (self.bytes.len() - start) as u32;
        let length = match self.order {
            Order::Big => length.to_be_bytes(),
            Order::Little => length.to_le_bytes(),
        };
        self.bytes[start..start + 4].copy_from_slice(&length);
    }

    /// A shape (casacore's `IPosition`).
    pub(crate) fn shape(&mut self, shape: &[usize]) {
        self.object("IPosition", 1, |s| {
            s.u32(shape.len() as u32);
            shape.iter().for_each(|&n| s.i32(n as i32));
        });
    }

    /// A `Block` of unsigned integers.
    pub(crate) fn block(&mut self, values: &[u32]) {
        self.object("Block", 1, |s| {
            s.u32(values.len() as u32);
            values.iter().for_each(|&v| s.u32(v));
        });
    }

    /// A record object: of kind `TableRecord` in keywords, `Record` elsewhere.
    pub(crate) fn record(&mut self, kind: &str, record: &Record) {
        self.object(kind, 1, |s| {
            s.object("RecordDesc", 2, |s| s.record_fields(record));
            s.i32(1); // "variable": fields may be added
            for (_, value) in &record.0 {
                s.value(kind, value);
            }
        });
    }

    fn record_fields(&mut self, record: &Record) {
        self.i32(record.0.len() as i32);
        for (name, value) in &record.0 {
            self.str(name);
            self.i32(value.type_code());
            match value {
                // Nested records describe themselves; casacore leaves their description here empty.
                Value::Record(_) => self.object("RecordDesc", 2, |s| s.i32(0)),
                Value::Table(_) => self.str(""),
                Value::Ints(_)
                | Value::UInts(_)
                | Value::Floats(_)
                | Value::Doubles(_)
                | Value::Matrix(_)
                | Value::Strings(_) => {
                    // The shape [-1] stands for any.
                    self.object("IPosition", 1, |s| {
                        s.u32(1);
                        s.i32(-1);
                    });
                }
                Value::Bool(_)
                | Value::Int(_)
                | Value::UInt(_)
                | Value::Float(_)
                | Value::Double(_)
                | Value::String(_) => {}
            }
            self.str(""); // the field's comment
        }
    }

    fn value(&mut self, record_kind: &str, value: &Value) {
        match value {
            Value::Bool(v) => self.bool(*v),
            Value::Int(v) => self.i32(*v),
            Value::UInt(v) => self.u32(*v),
            Value::Float(v) => self.f32(*v),
            Value::Double(v) => self.f64(*v),
            Value::String(v) => self.str(v),
            Value::Table(v) => self.str(v),
            Value::Ints(v) => self.array("Array<Int>", &[v.len()], v, |s, &x| s.i32(x)),
            Value::UInts(v) => self.array("Array<uInt>", &[v.len()], v, |s, &x| s.u32(x)),
            Value::Floats(v) => self.array("Array<float>", &[v.len()], v, |s, &x| s.f32(x)),
            Value::Doubles(v) => self.array("Array<double>", &[v.len()], v, |s, &x| s.f64(x)),
            Value::Matrix(v) => {
                let n = v.len().isqrt();
                self.array("Array<double>", &[n, n], v, |s, &x| s.f64(x));
            }
            Value::Strings(v) => self.array("Array<String>", &[v.len()], v, |s, x| s.str(x)),
            Value::Record(v) => self.record(record_kind, v),
        }
    }

    fn array<T>(&mut self, kind: &str, shape: &[usize], values: &[T], put: impl Fn(&mut Self, &T)) {
        self.object(kind, 3, |s| {
            s.u32(shape.len() as u32);
            shape.iter().for_each(|&n| s.u32(n as u32));
            s.u32(values.len() as u32);
            values.iter().for_each(|v| put(s, v));
        });
    }
}
