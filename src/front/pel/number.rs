//! Numbers of constants, exactly: shortest decimal text for floats, bits for 8-bit floats.

use half::{bf16, f16};
use num_complex::Complex;

use crate::scalar::float8::{f32_to_e4m3, f32_to_e5m2};
use crate::scalar::{DType, Scalar};

/// The number as text that [`scalar_from_text`] (or [`complex_from_text`]) reads back to the same bits
/// (a NaN keeps being one).
pub(super) fn scalar_text(value: Scalar) -> String {
    match value {
        Scalar::Bool(v) => v.to_string(),
        Scalar::I8(v) => v.to_string(),
        Scalar::I16(v) => v.to_string(),
        Scalar::I32(v) => v.to_string(),
        Scalar::I64(v) => v.to_string(),
        Scalar::U8(v) => v.to_string(),
        Scalar::U16(v) => v.to_string(),
        Scalar::U32(v) => v.to_string(),
        Scalar::U64(v) => v.to_string(),
        Scalar::F16(v) => format!("{:?}", v.to_f32()),
        Scalar::BF16(v) => format!("{:?}", v.to_f32()),
        Scalar::F8E4M3(bits) | Scalar::F8E5M2(bits) => format!("0x{bits:02x}"),
        Scalar::F32(v) => format!("{v:?}"),
        Scalar::F64(v) => format!("{v:?}"),
        Scalar::C64(v) => format!("({:?}, {:?})", v.re, v.im),
        Scalar::C128(v) => format!("({:?}, {:?})", v.re, v.im),
    }
}

/// The number of type `dtype` that `text` spells; `None` if it is none or does not fit.
pub fn scalar_from_text(dtype: DType, text: &str) -> Option<Scalar> {
    let text = text.trim();
    Some(match dtype {
        DType::Bool => Scalar::Bool(match text {
            "true" | "True" | "1" => true,
            "false" | "False" | "0" => false,
            _ => return None,
        }),
        DType::I8 => Scalar::I8(text.parse().ok()?),
        DType::I16 => Scalar::I16(text.parse().ok()?),
        DType::I32 => Scalar::I32(text.parse().ok()?),
        DType::I64 => Scalar::I64(text.parse().ok()?),
        DType::U8 => Scalar::U8(text.parse().ok()?),
        DType::U16 => Scalar::U16(text.parse().ok()?),
        DType::U32 => Scalar::U32(text.parse().ok()?),
        DType::U64 => Scalar::U64(text.parse().ok()?),
        DType::F16 => Scalar::F16(f16::from_f32(text.parse().ok()?)),
        DType::BF16 => Scalar::BF16(bf16::from_f32(text.parse().ok()?)),
        DType::F8E4M3 | DType::F8E5M2 => match (text.strip_prefix("0x"), dtype) {
            (Some(bits), DType::F8E4M3) => Scalar::F8E4M3(u8::from_str_radix(bits, 16).ok()?),
            (Some(bits), _) => Scalar::F8E5M2(u8::from_str_radix(bits, 16).ok()?),
            (None, DType::F8E4M3) => Scalar::F8E4M3(f32_to_e4m3(text.parse().ok()?)),
            (None, _) => Scalar::F8E5M2(f32_to_e5m2(text.parse().ok()?)),
        },
        DType::F32 => Scalar::F32(text.parse().ok()?),
        DType::F64 => Scalar::F64(text.parse().ok()?),
        DType::C64 | DType::C128 => return complex_from_text(dtype, text, "0"),
    })
}

/// The complex number with these parts.
pub(super) fn complex_from_text(dtype: DType, re: &str, im: &str) -> Option<Scalar> {
    let (re, im) = (re.trim(), im.trim());
    match dtype {
        DType::C64 => Some(Scalar::C64(Complex::new(re.parse().ok()?, im.parse().ok()?))),
        DType::C128 => Some(Scalar::C128(Complex::new(re.parse().ok()?, im.parse().ok()?))),
        _ => None,
    }
}
