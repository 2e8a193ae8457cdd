//! C's conversions between element types, and the names types go by in code.

use super::super::types::DType;

/// Integral promotion, and narrow floats to `float32`.
pub fn promoted(dtype: DType) -> DType {
    match dtype {
        DType::Bool | DType::I8 | DType::I16 | DType::U8 | DType::U16 => DType::I32,
        DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2 => DType::F32,
        other => other,
    }
}

/// The usual arithmetic conversion: where two operands meet. A complex type wins over every real one (with
/// DaCe's operators a `complex64` stays one beside a `float64`).
pub fn common(left: DType, right: DType) -> DType {
    let (left, right) = (promoted(left), promoted(right));
    if left == right {
        return left;
    }
    for complex in [DType::C128, DType::C64, DType::F64, DType::F32] {
        if left == complex || right == complex {
            return complex;
        }
    }
    match left.bytes().cmp(&right.bytes()) {
        std::cmp::Ordering::Less => right,
        std::cmp::Ordering::Greater => left,
        std::cmp::Ordering::Equal if left.is_unsigned() => left,
        std::cmp::Ordering::Equal => right,
    }
}

/// Like [`common`], but two operands of one type keep it (C++'s `common_type`, which templates use).
pub fn common_unpromoted(left: DType, right: DType) -> DType {
    if left == right { left } else { common(left, right) }
}

/// The element type that a name means in code: DaCe's, NumPy's and C's names.
pub fn named(name: &str) -> Option<DType> {
    let name = name.rsplit('.').next().unwrap_or(name);
    if let Some(dtype) = DType::from_name(name) {
        return Some(dtype);
    }
    Some(match name {
        "int" | "int32_t" | "intc" | "signed" => DType::I32,
        "unsigned" | "unsigned int" | "uint" | "uint32_t" => DType::U32,
        "long" | "long long" | "int64_t" | "ssize_t" | "ptrdiff_t" | "long int" | "long long int" => {
            DType::I64
        }
        "unsigned long" | "unsigned long long" | "uint64_t" | "size_t" => DType::U64,
        "short" | "int16_t" | "short int" => DType::I16,
        "unsigned short" | "uint16_t" => DType::U16,
        "char" | "int8_t" | "signed char" => DType::I8,
        "unsigned char" | "uint8_t" => DType::U8,
        "float" => DType::F32,
        "double" => DType::F64,
        "half" => DType::F16,
        "complex" => DType::C128,
        "complex<float>" => DType::C64,
        "complex<double>" => DType::C128,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_meet_as_in_c() {
        assert_eq!(common(DType::U8, DType::U8), DType::I32);
        assert_eq!(common(DType::I32, DType::U32), DType::U32);
        assert_eq!(common(DType::I64, DType::U32), DType::I64);
        assert_eq!(common(DType::I64, DType::U64), DType::U64);
        assert_eq!(common(DType::Bool, DType::I16), DType::I32);
    }

    #[test]
    fn floats_and_complex_win() {
        assert_eq!(common(DType::F16, DType::F16), DType::F32);
        assert_eq!(common(DType::I64, DType::F32), DType::F32);
        assert_eq!(common(DType::C64, DType::F64), DType::C64);
        assert_eq!(common(DType::C64, DType::C128), DType::C128);
    }

    #[test]
    fn names_of_three_languages() {
        assert_eq!(named("dace.float64"), Some(DType::F64));
        assert_eq!(named("float"), Some(DType::F32));
        assert_eq!(named("numpy.bool_"), Some(DType::Bool));
        assert_eq!(named("exp"), None);
    }
}
