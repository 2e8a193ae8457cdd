//! Element types.

use std::fmt;

use crate::entity::{Arena, Name};
use crate::entity_id;

/// A plain element type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum DType {
    /// One byte, 0 or 1.
    Bool,
    /// Signed 8 bit.
    I8,
    /// Signed 16 bit.
    I16,
    /// Signed 32 bit.
    I32,
    /// Signed 64 bit.
    I64,
    /// Unsigned 8 bit.
    U8,
    /// Unsigned 16 bit.
    U16,
    /// Unsigned 32 bit.
    U32,
    /// Unsigned 64 bit.
    U64,
    /// IEEE binary16.
    F16,
    /// bfloat16.
    BF16,
    /// 8-bit float, 4 exponent bits, finite (`float8_e4m3fn`).
    F8E4M3,
    /// 8-bit float, 5 exponent bits (`float8_e5m2`).
    F8E5M2,
    /// IEEE binary32.
    F32,
    /// IEEE binary64.
    F64,
    /// Pair of binary32.
    C64,
    /// Pair of binary64.
    C128,
}

impl DType {
    /// Every type, in a fixed order.
    pub const ALL: [DType; 17] = [
        DType::Bool,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::U8,
        DType::U16,
        DType::U32,
        DType::U64,
        DType::F16,
        DType::BF16,
        DType::F8E4M3,
        DType::F8E5M2,
        DType::F32,
        DType::F64,
        DType::C64,
        DType::C128,
    ];

    /// DaCe's and NumPy's name (`float64`, `int32`, `bfloat16`, ...).
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::U8 => "uint8",
            DType::U16 => "uint16",
            DType::U32 => "uint32",
            DType::U64 => "uint64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::F8E4M3 => "float8_e4m3fn",
            DType::F8E5M2 => "float8_e5m2",
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::C64 => "complex64",
            DType::C128 => "complex128",
        }
    }

    /// The type with that name; `bool_` is accepted for `bool`.
    pub fn from_name(name: &str) -> Option<DType> {
        match name {
            "bool_" => Some(DType::Bool),
            "float8_e4m3" => Some(DType::F8E4M3),
            _ => DType::ALL.into_iter().find(|t| t.name() == name),
        }
    }

    /// Size of one element in bytes; alignment is the size of one component.
    pub const fn bytes(self) -> usize {
        match self {
            DType::Bool | DType::I8 | DType::U8 | DType::F8E4M3 | DType::F8E5M2 => 1,
            DType::I16 | DType::U16 | DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::U32 | DType::F32 => 4,
            DType::I64 | DType::U64 | DType::F64 | DType::C64 => 8,
            DType::C128 => 16,
        }
    }

    /// Whether it is `bool` or an integer.
    pub const fn is_integral(self) -> bool {
        matches!(
            self,
            DType::Bool
                | DType::I8
                | DType::I16
                | DType::I32
                | DType::I64
                | DType::U8
                | DType::U16
                | DType::U32
                | DType::U64
        )
    }

    /// Whether it is an unsigned integer (`bool` counts).
    pub const fn is_unsigned(self) -> bool {
        matches!(self, DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64)
    }

    /// Whether it is a real floating-point type of any width.
    pub const fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2 | DType::F32 | DType::F64)
    }

    /// Whether it is complex.
    pub const fn is_complex(self) -> bool {
        matches!(self, DType::C64 | DType::C128)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

entity_id! {
    /// A structure type of the program.
    StructId, "struct"
}

/// An element type: what one element of a container, a connector or an SSA value holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// One number.
    Scalar(DType),
    /// `lanes` numbers of one type, element by element.
    Vector(DType, u16),
    /// A record.
    Struct(StructId),
    /// Something Pelton can carry but not compute with: a callback, a Python object, a string.
    Opaque(Name),
}

impl Type {
    /// Shorthand for the commonest types.
    pub const BOOL: Type = Type::Scalar(DType::Bool);
    /// 32-bit integer, DaCe's default.
    pub const I32: Type = Type::Scalar(DType::I32);
    /// 64-bit integer.
    pub const I64: Type = Type::Scalar(DType::I64);
    /// Double precision.
    pub const F64: Type = Type::Scalar(DType::F64);

    /// The plain type, if it is one number.
    pub const fn scalar(self) -> Option<DType> {
        match self {
            Type::Scalar(dtype) => Some(dtype),
            _ => None,
        }
    }

    /// Size in bytes (structs are packed as C packs them: see [`StructDef`]).
    pub fn bytes(self, structs: &StructTable) -> usize {
        match self {
            Type::Scalar(dtype) => dtype.bytes(),
            Type::Vector(dtype, lanes) => dtype.bytes() * lanes as usize,
            Type::Struct(id) => structs[id].bytes,
            Type::Opaque(_) => 8,
        }
    }
}

impl From<DType> for Type {
    fn from(dtype: DType) -> Self {
        Type::Scalar(dtype)
    }
}

/// A record type with C layout.
#[derive(Clone, PartialEq, Debug)]
pub struct StructDef {
    /// The type's name.
    pub name: Name,
    /// Field names, types and byte offsets, in order.
    pub fields: Vec<StructField>,
    /// Size in bytes, trailing padding included.
    pub bytes: usize,
}

/// One field of a record.
#[derive(Clone, PartialEq, Debug)]
pub struct StructField {
    /// The field's name.
    pub name: Name,
    /// Its type.
    pub ty: Type,
    /// Byte offset from the start of the record.
    pub offset: usize,
}

impl StructDef {
    /// A record with C layout: each field aligned to its component size.
    pub fn with_c_layout(name: Name, fields: &[(Name, Type)], structs: &StructTable) -> StructDef {
        let mut offset: usize = 0;
        let mut widest = 1;
        let mut placed = Vec::with_capacity(fields.len());
        for &(name, ty) in fields {
            let align = alignment(ty, structs);
            widest = widest.max(align);
            offset = offset.next_multiple_of(align);
            placed.push(StructField { name, ty, offset });
            offset += ty.bytes(structs);
        }
        StructDef { name, fields: placed, bytes: offset.next_multiple_of(widest) }
    }

    /// Position of a field.
    pub fn field_index(&self, name: Name) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

fn alignment(ty: Type, structs: &StructTable) -> usize {
    match ty {
        Type::Scalar(DType::C64) => 4,
        Type::Scalar(DType::C128) => 8,
        Type::Scalar(dtype) | Type::Vector(dtype, _) => dtype.bytes().min(8),
        Type::Struct(id) => {
            structs[id].fields.iter().map(|field| alignment(field.ty, structs)).max().unwrap_or(1)
        }
        Type::Opaque(_) => 8,
    }
}

/// The record types of one program.
pub type StructTable = Arena<StructId, StructDef>;
