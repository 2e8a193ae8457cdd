//! The names GTIR gives a meaning to.

/// Declares the builtin functions with their GTIR names.
macro_rules! builtins {
    ($($(#[$meta:meta])* $variant:ident = $name:literal,)*) => {
        /// A function (or type) that GTIR defines.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        pub enum Builtin {
            $($(#[$meta])* #[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Builtin {
            /// Every builtin, in a fixed order.
            pub const ALL: &'static [Builtin] = &[$(Builtin::$variant,)*];

            /// The name in GTIR.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Builtin::$variant => $name,)*
                }
            }

            /// The builtin with that name.
            pub fn from_name(name: &str) -> Option<Builtin> {
                match name {
                    $($name => Some(Builtin::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

builtins! {
    AsFieldop = "as_fieldop",
    Scan = "scan",
    Deref = "deref",
    CanDeref = "can_deref",
    Shift = "shift",
    Neighbors = "neighbors",
    Reduce = "reduce",
    MapList = "map_list",
    MakeConstList = "make_const_list",
    ListGet = "list_get",
    Lift = "lift",
    MakeTuple = "make_tuple",
    TupleGet = "tuple_get",
    MapTuple = "map_tuple",
    TreeMapTuple = "tree_map_tuple",
    If = "if_",
    ConcatWhere = "concat_where",
    Broadcast = "broadcast",
    Index = "index",
    CartesianDomain = "cartesian_domain",
    UnstructuredDomain = "unstructured_domain",
    NamedRange = "named_range",
    GetDomainRange = "get_domain_range",
    Cast = "cast_",
    Neg = "neg",
    Abs = "abs",
    Plus = "plus",
    Minus = "minus",
    Multiplies = "multiplies",
    Divides = "divides",
    Mod = "mod",
    FloorDiv = "floordiv",
    Minimum = "minimum",
    Maximum = "maximum",
    Fmod = "fmod",
    Power = "power",
    Sin = "sin",
    Cos = "cos",
    Tan = "tan",
    Arcsin = "arcsin",
    Arccos = "arccos",
    Arctan = "arctan",
    Arctan2 = "arctan2",
    Sinh = "sinh",
    Cosh = "cosh",
    Tanh = "tanh",
    Arcsinh = "arcsinh",
    Arccosh = "arccosh",
    Arctanh = "arctanh",
    Sqrt = "sqrt",
    Exp = "exp",
    Log = "log",
    Gamma = "gamma",
    Cbrt = "cbrt",
    Floor = "floor",
    Ceil = "ceil",
    Trunc = "trunc",
    Isfinite = "isfinite",
    Isinf = "isinf",
    Isnan = "isnan",
    Eq = "eq",
    NotEq = "not_eq",
    Less = "less",
    LessEqual = "less_equal",
    Greater = "greater",
    GreaterEqual = "greater_equal",
    And = "and_",
    Or = "or_",
    Xor = "xor_",
    Not = "not_",
    Bool = "bool",
    Int8 = "int8",
    Int16 = "int16",
    Int32 = "int32",
    Int64 = "int64",
    Uint8 = "uint8",
    Uint16 = "uint16",
    Uint32 = "uint32",
    Uint64 = "uint64",
    Float16 = "float16",
    Bfloat16 = "bfloat16",
    Float32 = "float32",
    Float64 = "float64",
}

impl Builtin {
    /// The element type, for the type names (`int32`, `float64`, ...), which are also conversion functions.
    pub fn dtype(self) -> Option<crate::scalar::DType> {
        use crate::scalar::DType;
        Some(match self {
            Builtin::Bool => DType::Bool,
            Builtin::Int8 => DType::I8,
            Builtin::Int16 => DType::I16,
            Builtin::Int32 => DType::I32,
            Builtin::Int64 => DType::I64,
            Builtin::Uint8 => DType::U8,
            Builtin::Uint16 => DType::U16,
            Builtin::Uint32 => DType::U32,
            Builtin::Uint64 => DType::U64,
            Builtin::Float16 => DType::F16,
            Builtin::Bfloat16 => DType::BF16,
            Builtin::Float32 => DType::F32,
            Builtin::Float64 => DType::F64,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_finds_its_builtin() {
        for &builtin in Builtin::ALL {
            assert_eq!(Builtin::from_name(builtin.name()), Some(builtin));
        }
        assert_eq!(Builtin::from_name("testee"), None);
    }
}
