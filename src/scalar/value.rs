//! Run-time values of [`Type`](super::Type).

use half::{bf16, f16};
use num_complex::{Complex32, Complex64};

use super::float8;
use super::types::{DType, StructTable, Type};

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

impl Scalar {
    /// Zero of a type (false, for `bool`).
    pub const fn zero(dtype: DType) -> Scalar {
        match dtype {
            DType::Bool => Scalar::Bool(false),
            DType::I8 => Scalar::I8(0),
            DType::I16 => Scalar::I16(0),
            DType::I32 => Scalar::I32(0),
            DType::I64 => Scalar::I64(0),
            DType::U8 => Scalar::U8(0),
            DType::U16 => Scalar::U16(0),
            DType::U32 => Scalar::U32(0),
            DType::U64 => Scalar::U64(0),
            DType::F16 => Scalar::F16(f16::ZERO),
            DType::BF16 => Scalar::BF16(bf16::ZERO),
            DType::F8E4M3 => Scalar::F8E4M3(0),
            DType::F8E5M2 => Scalar::F8E5M2(0),
            DType::F32 => Scalar::F32(0.0),
            DType::F64 => Scalar::F64(0.0),
            DType::C64 => Scalar::C64(Complex32 { re: 0.0, im: 0.0 }),
            DType::C128 => Scalar::C128(Complex64 { re: 0.0, im: 0.0 }),
        }
    }

    /// One of a type.
    pub fn one(dtype: DType) -> Scalar {
        super::arith::cast(dtype, Scalar::Bool(true))
    }

    /// Reads one element from the start of `bytes`; `None` if there are too few.
    #[inline]
    pub fn from_le_bytes(dtype: DType, bytes: &[u8]) -> Option<Scalar> {
        fn take<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
            bytes.first_chunk::<N>().copied()
        }
        Some(match dtype {
            DType::Bool => Scalar::Bool(take::<1>(bytes)?[0] != 0),
            DType::I8 => Scalar::I8(i8::from_le_bytes(take(bytes)?)),
            DType::I16 => Scalar::I16(i16::from_le_bytes(take(bytes)?)),
            DType::I32 => Scalar::I32(i32::from_le_bytes(take(bytes)?)),
            DType::I64 => Scalar::I64(i64::from_le_bytes(take(bytes)?)),
            DType::U8 => Scalar::U8(u8::from_le_bytes(take(bytes)?)),
            DType::U16 => Scalar::U16(u16::from_le_bytes(take(bytes)?)),
            DType::U32 => Scalar::U32(u32::from_le_bytes(take(bytes)?)),
            DType::U64 => Scalar::U64(u64::from_le_bytes(take(bytes)?)),
            DType::F16 => Scalar::F16(f16::from_le_bytes(take(bytes)?)),
            DType::BF16 => Scalar::BF16(bf16::from_le_bytes(take(bytes)?)),
            DType::F8E4M3 => Scalar::F8E4M3(take::<1>(bytes)?[0]),
            DType::F8E5M2 => Scalar::F8E5M2(take::<1>(bytes)?[0]),
            DType::F32 => Scalar::F32(f32::from_le_bytes(take(bytes)?)),
            DType::F64 => Scalar::F64(f64::from_le_bytes(take(bytes)?)),
            DType::C64 => Scalar::C64(Complex32 {
                re: f32::from_le_bytes(take(bytes)?),
                im: f32::from_le_bytes(take(bytes.get(4..)?)?),
            }),
            DType::C128 => Scalar::C128(Complex64 {
                re: f64::from_le_bytes(take(bytes)?),
                im: f64::from_le_bytes(take(bytes.get(8..)?)?),
            }),
        })
    }

    /// Writes the element to the start of `bytes`; false (and nothing written) if it does not fit.
    #[inline]
    pub fn write_le_bytes(self, bytes: &mut [u8]) -> bool {
        fn put<const N: usize>(bytes: &mut [u8], element: [u8; N]) -> bool {
            match bytes.first_chunk_mut::<N>() {
                Some(place) => {
                    *place = element;
                    true
                }
                None => false,
            }
        }
        match self {
            Scalar::Bool(x) => put(bytes, [u8::from(x)]),
            Scalar::I8(x) => put(bytes, x.to_le_bytes()),
            Scalar::I16(x) => put(bytes, x.to_le_bytes()),
            Scalar::I32(x) => put(bytes, x.to_le_bytes()),
            Scalar::I64(x) => put(bytes, x.to_le_bytes()),
            Scalar::U8(x) | Scalar::F8E4M3(x) | Scalar::F8E5M2(x) => put(bytes, [x]),
            Scalar::U16(x) => put(bytes, x.to_le_bytes()),
            Scalar::U32(x) => put(bytes, x.to_le_bytes()),
            Scalar::U64(x) => put(bytes, x.to_le_bytes()),
            Scalar::F16(x) => put(bytes, x.to_le_bytes()),
            Scalar::BF16(x) => put(bytes, x.to_le_bytes()),
            Scalar::F32(x) => put(bytes, x.to_le_bytes()),
            Scalar::F64(x) => put(bytes, x.to_le_bytes()),
            Scalar::C64(x) => put::<8>(bytes, pair(x.re.to_le_bytes(), x.im.to_le_bytes())),
            Scalar::C128(x) => put::<16>(bytes, pair(x.re.to_le_bytes(), x.im.to_le_bytes())),
        }
    }

    /// The number converted to `int64` as [`cast`](super::arith::cast) does.
    #[inline]
    pub fn as_i64(self) -> i64 {
        match self {
            Scalar::I64(x) => x,
            Scalar::I32(x) => i64::from(x),
            Scalar::Bool(x) => i64::from(x),
            Scalar::I8(x) => i64::from(x),
            Scalar::I16(x) => i64::from(x),
            Scalar::U8(x) => i64::from(x),
            Scalar::U16(x) => i64::from(x),
            Scalar::U32(x) => i64::from(x),
            Scalar::U64(x) => x as i64,
            _ => self.as_f64() as i64,
        }
    }

    /// The number converted to `float64`; the real part of a complex one.
    #[inline]
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::F64(x) => x,
            Scalar::F32(x) => f64::from(x),
            Scalar::F16(x) => f64::from(x.to_f32()),
            Scalar::BF16(x) => f64::from(x.to_f32()),
            Scalar::F8E4M3(x) => f64::from(float8::e4m3_to_f32(x)),
            Scalar::F8E5M2(x) => f64::from(float8::e5m2_to_f32(x)),
            Scalar::C64(x) => f64::from(x.re),
            Scalar::C128(x) => x.re,
            Scalar::U64(x) => x as f64,
            _ => self.as_i64() as f64,
        }
    }

    /// The number as a complex one.
    #[inline]
    pub fn as_complex(self) -> Complex64 {
        match self {
            Scalar::C128(x) => x,
            Scalar::C64(x) => Complex64 { re: f64::from(x.re), im: f64::from(x.im) },
            _ => Complex64 { re: self.as_f64(), im: 0.0 },
        }
    }

    /// Whether it counts as true: not zero (NaN is true).
    #[inline]
    pub fn is_true(self) -> bool {
        match self {
            Scalar::Bool(x) => x,
            Scalar::C64(x) => x.re != 0.0 || x.im != 0.0,
            Scalar::C128(x) => x.re != 0.0 || x.im != 0.0,
            _ if self.dtype().is_integral() => self.as_i64() != 0,
            _ => self.as_f64() != 0.0,
        }
    }

    /// Whether two numbers have the same type and the same bits (NaN equals NaN, `0.0` differs from `-0.0`).
    pub fn same_bits(self, other: Scalar) -> bool {
        let (mut left, mut right) = ([0; 16], [0; 16]);
        self.write_le_bytes(&mut left)
            && other.write_le_bytes(&mut right)
            && left == right
            && self.dtype() == other.dtype()
    }
}

fn pair<const N: usize, const TWICE: usize>(re: [u8; N], im: [u8; N]) -> [u8; TWICE] {
    let mut both = [0; TWICE];
    for (place, byte) in both.iter_mut().zip(re.into_iter().chain(im)) {
        *place = byte;
    }
    both
}

impl Value {
    /// Zero of a type; structs are zero in every field, opaque things give `None`.
    pub fn zero(ty: Type, structs: &StructTable) -> Option<Value> {
        match ty {
            Type::Scalar(dtype) => Some(Value::Scalar(Scalar::zero(dtype))),
            Type::Vector(dtype, lanes) => {
                Some(Value::Vector(vec![Scalar::zero(dtype); lanes as usize].into_boxed_slice()))
            }
            Type::Struct(id) => {
                let fields = structs.get(id)?.fields.iter().map(|field| Value::zero(field.ty, structs));
                Some(Value::Struct(fields.collect::<Option<Vec<_>>>()?.into_boxed_slice()))
            }
            Type::Opaque(_) => None,
        }
    }

    /// Reads one element of type `ty` from the start of `bytes`.
    pub fn from_le_bytes(ty: Type, structs: &StructTable, bytes: &[u8]) -> Option<Value> {
        match ty {
            Type::Scalar(dtype) => Scalar::from_le_bytes(dtype, bytes).map(Value::Scalar),
            Type::Vector(dtype, lanes) => {
                let lanes = (0..lanes as usize)
                    .map(|lane| Scalar::from_le_bytes(dtype, bytes.get(lane * dtype.bytes()..)?));
                Some(Value::Vector(lanes.collect::<Option<Vec<_>>>()?.into_boxed_slice()))
            }
            Type::Struct(id) => {
                let fields = structs.get(id)?.fields.iter();
                let fields =
                    fields.map(|field| Value::from_le_bytes(field.ty, structs, bytes.get(field.offset..)?));
                Some(Value::Struct(fields.collect::<Option<Vec<_>>>()?.into_boxed_slice()))
            }
            Type::Opaque(_) => None,
        }
    }

    /// Writes the element to the start of `bytes`, as type `ty`; false if it does not fit or is of another shape.
    pub fn write_le_bytes(&self, ty: Type, structs: &StructTable, bytes: &mut [u8]) -> bool {
        match (self, ty) {
            (Value::Scalar(scalar), Type::Scalar(_)) => scalar.write_le_bytes(bytes),
            (Value::Vector(lanes), Type::Vector(dtype, _)) => {
                lanes.iter().enumerate().all(|(lane, scalar)| {
                    bytes.get_mut(lane * dtype.bytes()..).is_some_and(|place| scalar.write_le_bytes(place))
                })
            }
            (Value::Struct(values), Type::Struct(id)) => structs.get(id).is_some_and(|def| {
                values.len() == def.fields.len()
                    && values.iter().zip(&def.fields).all(|(value, field)| {
                        bytes
                            .get_mut(field.offset..)
                            .is_some_and(|place| value.write_le_bytes(field.ty, structs, place))
                    })
            }),
            _ => false,
        }
    }

    /// The number, if it is one.
    #[inline]
    pub fn as_scalar(&self) -> Option<Scalar> {
        match self {
            Value::Scalar(scalar) => Some(*scalar),
            _ => None,
        }
    }
}

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        Value::Scalar(scalar)
    }
}
