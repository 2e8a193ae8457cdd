//! Run-time values of [`Type`](super::Type).

use half::{bf16, f16};
use num_complex::{Complex32, Complex64};

use super::types::DType;

/// One number with its type.
#[derive(Clone, Copy, PartialEq, Debug)]
#[expect(missing_docs, reason = "one variant per element type")]
pub enum Scalar {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    U8(u8),
    U16(u16),
    U32(u32),
    U64(u64),
    F16(f16),
    BF16(bf16),
    /// Bits of a `float8_e4m3fn`.
    F8E4M3(u8),
    /// Bits of a `float8_e5m2`.
    F8E5M2(u8),
    F32(f32),
    F64(f64),
    C64(Complex32),
    C128(Complex64),
}

/// A value of any [`Type`](super::Type).
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number.
    Scalar(Scalar),
    /// Lanes of a vector, all of one type.
    Vector(Box<[Scalar]>),
    /// Fields of a record, in order.
    Struct(Box<[Value]>),
}

impl Scalar {
    /// The type of the number.
    pub const fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::I8(_) => DType::I8,
            Scalar::I16(_) => DType::I16,
            Scalar::I32(_) => DType::I32,
            Scalar::I64(_) => DType::I64,
            Scalar::U8(_) => DType::U8,
            Scalar::U16(_) => DType::U16,
            Scalar::U32(_) => DType::U32,
            Scalar::U64(_) => DType::U64,
            Scalar::F16(_) => DType::F16,
            Scalar::BF16(_) => DType::BF16,
            Scalar::F8E4M3(_) => DType::F8E4M3,
            Scalar::F8E5M2(_) => DType::F8E5M2,
            Scalar::F32(_) => DType::F32,
            Scalar::F64(_) => DType::F64,
            Scalar::C64(_) => DType::C64,
            Scalar::C128(_) => DType::C128,
        }
    }
}
