//! The element types of columns, and their decoding from files of either byte order.

use num_complex::{Complex32, Complex64};

/// A column's element type, with casacore's codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    /// One bit in data files.
    Bool,
    /// Signed byte.
    Char,
    /// Unsigned byte.
    UChar,
    /// 16-bit signed.
    Short,
    /// 16-bit unsigned.
    UShort,
    /// 32-bit signed.
    Int,
    /// 32-bit unsigned.
    UInt,
    /// 32-bit floating point.
    Float,
    /// 64-bit floating point.
    Double,
    /// Two 32-bit floats.
    Complex,
    /// Two 64-bit floats.
    DComplex,
    /// Characters.
    String,
    /// A record in every cell.
    Record,
    /// 64-bit signed.
    Int64,
}

impl DataType {
    /// The type of a code for scalars (array codes are the scalar's + 13).
    pub(super) fn from_code(code: i32) -> Option<Self> {
        Some(match code {
            0 => Self::Bool,
            1 => Self::Char,
            2 => Self::UChar,
            3 => Self::Short,
            4 => Self::UShort,
            5 => Self::Int,
            6 => Self::UInt,
            7 => Self::Float,
            8 => Self::Double,
            9 => Self::Complex,
            10 => Self::DComplex,
            11 => Self::String,
            25 => Self::Record,
            29 => Self::Int64,
            _ => return None,
        })
    }

    /// Bits of one element in a data file; none for strings and records.
    pub(super) fn bits(self) -> Option<u64> {
        Some(match self {
            Self::Bool => 1,
            Self::Char | Self::UChar => 8,
            Self::Short | Self::UShort => 16,
            Self::Int | Self::UInt | Self::Float => 32,
            Self::Double | Self::Complex | Self::Int64 => 64,
            Self::DComplex => 128,
            Self::String | Self::Record => return None,
        })
    }
}

/// A type that columns hold as bits of fixed number.
pub trait Element: Copy + Default + Send + Sync + 'static {
    /// The column type that is read as `Self`.
    const TYPE: DataType;
    /// Bits of one element in a file.
    const BITS: u64;

    /// Decodes `out.len()` elements that begin `bit` bits (a multiple of [`Self::BITS`]) into `src`.
    /// `src` holds them all.
    fn decode(src: &[u8], bit: u64, big_endian: bool, out: &mut [Self]);

    /// The memory of `out`, where a file's bytes may be put straight into it and be mended by
    /// [`Self::reorder`]; none for Bool, whose elements are bits.
    fn memory(out: &mut [Self]) -> Option<&mut [u8]>;

    /// Brings elements from a file's byte order to the machine's.
    fn reorder(out: &mut [Self], big_endian: bool);
}

/// Whether a file's byte order differs from the machine's.
fn foreign(big_endian: bool) -> bool {
    big_endian != cfg!(target_endian = "big")
}

macro_rules! element {
    ($type:ty, $code:ident, $word:ty) => {
        impl Element for $type {
            const TYPE: DataType = DataType::$code;
            const BITS: u64 = 8 * size_of::<$type>() as u64;

            fn decode(src: &[u8], bit: u64, big_endian: bool, out: &mut [Self]) {
                let start = (bit / 8) as usize;
                let memory = bytemuck::cast_slice_mut::<Self, u8>(out);
                memory.copy_from_slice(&src[start..start + memory.len()]);
                Self::reorder(out, big_endian);
            }

            fn memory(out: &mut [Self]) -> Option<&mut [u8]> {
                Some(bytemuck::cast_slice_mut(out))
            }

            fn reorder(out: &mut [Self], big_endian: bool) {
                if foreign(big_endian) {
                    for word in bytemuck::cast_slice_mut::<Self, $word>(out) {
                        *word = word.swap_bytes();
                    }
                }
            }
        }
    };
}
element!(u8, UChar, u8);
element!(i8, Char, u8);
element!(i16, Short, u16);
element!(u16, UShort, u16);
element!(i32, Int, u32);
element!(u32, UInt, u32);
element!(i64, Int64, u64);
element!(f32, Float, u32);
element!(f64, Double, u64);
element!(Complex32, Complex, u32);
element!(Complex64, DComplex, u64);

impl Element for bool {
    const TYPE: DataType = DataType::Bool;
    const BITS: u64 = 1;

    fn decode(src: &[u8], bit: u64, _big_endian: bool, out: &mut [Self]) {
        let single = |i: u64| src[(i / 8) as usize] >> (i % 8) & 1 == 1;
        let (head, rest) = out.split_at_mut(((8 - bit % 8) % 8).min(out.len() as u64) as usize);
        for (i, flag) in (bit..).zip(head.iter_mut()) {
            *flag = single(i);
        }
        let aligned = bit + head.len() as u64;
        let whole = rest.len() / 8 * 8;
        let (body, tail) = rest.split_at_mut(whole);
        for (eight, byte) in body.chunks_exact_mut(8).zip(&src[(aligned / 8) as usize..]) {
            for (k, flag) in eight.iter_mut().enumerate() {
                *flag = byte >> k & 1 == 1;
            }
        }
        for (i, flag) in (aligned + whole as u64..).zip(tail) {
            *flag = single(i);
        }
    }

    fn memory(_out: &mut [Self]) -> Option<&mut [u8]> {
        None
    }

    fn reorder(_out: &mut [Self], _big_endian: bool) {}
}
