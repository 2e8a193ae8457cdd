//! Conversion between element types.

use half::{bf16, f16};
use num_complex::{Complex32, Complex64};

use super::super::float8;
use super::super::types::DType;
use super::super::value::Scalar;

/// Converts a number to another type: wraps between integers, truncates and saturates from float to integer,
/// rounds to nearest even to floats, takes "not zero" to `bool` and the real part of a complex number to a real.
#[inline]
pub fn cast(dtype: DType, value: Scalar) -> Scalar {
    if value.dtype() == dtype {
        return value;
    }
    match (dtype, value) {
        (DType::F64, Scalar::F32(x)) => Scalar::F64(f64::from(x)),
        (DType::F64, Scalar::I32(x)) => Scalar::F64(f64::from(x)),
        (DType::F64, Scalar::I64(x)) => Scalar::F64(x as f64),
        (DType::I64, Scalar::I32(x)) => Scalar::I64(i64::from(x)),
        (DType::I32, Scalar::I64(x)) => Scalar::I32(x as i32),
        _ => cast_rare(dtype, value),
    }
}

fn cast_rare(dtype: DType, value: Scalar) -> Scalar {
    macro_rules! to_integer {
        ($ty:ty) => {
            match value {
                Scalar::U64(x) => x as $ty,
                _ if value.dtype().is_integral() => value.as_i64() as $ty,
                _ => value.as_f64() as $ty,
            }
        };
    }
    match dtype {
        DType::Bool => Scalar::Bool(value.is_true()),
        DType::I8 => Scalar::I8(to_integer!(i8)),
        DType::I16 => Scalar::I16(to_integer!(i16)),
        DType::I32 => Scalar::I32(to_integer!(i32)),
        DType::I64 => Scalar::I64(to_integer!(i64)),
        DType::U8 => Scalar::U8(to_integer!(u8)),
        DType::U16 => Scalar::U16(to_integer!(u16)),
        DType::U32 => Scalar::U32(to_integer!(u32)),
        DType::U64 => Scalar::U64(to_integer!(u64)),
        DType::F16 => Scalar::F16(f16::from_f32(as_f32(value))),
        DType::BF16 => Scalar::BF16(bf16::from_f32(as_f32(value))),
        DType::F8E4M3 => Scalar::F8E4M3(float8::f32_to_e4m3(as_f32(value))),
        DType::F8E5M2 => Scalar::F8E5M2(float8::f32_to_e5m2(as_f32(value))),
        DType::F32 => Scalar::F32(as_f32(value)),
        DType::F64 => Scalar::F64(value.as_f64()),
        DType::C64 => {
            let complex = value.as_complex();
            let re = if value.dtype().is_complex() { complex.re as f32 } else { as_f32(value) };
            Scalar::C64(Complex32::new(re, complex.im as f32))
        }
        DType::C128 => {
            let complex = value.as_complex();
            Scalar::C128(Complex64::new(complex.re, complex.im))
        }
    }
}

/// To `f32` with one rounding: wide integers do not go through `f64`.
fn as_f32(value: Scalar) -> f32 {
    match value {
        Scalar::I64(x) => x as f32,
        Scalar::U64(x) => x as f32,
        _ => value.as_f64() as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_wrap() {
        assert_eq!(cast(DType::U8, Scalar::I32(-1)), Scalar::U8(255));
        assert_eq!(cast(DType::I8, Scalar::I64(200)), Scalar::I8(-56));
        assert_eq!(cast(DType::I64, Scalar::U64(u64::MAX)), Scalar::I64(-1));
        assert_eq!(cast(DType::U64, Scalar::I32(-1)), Scalar::U64(u64::MAX));
    }

    #[test]
    fn floats_saturate_and_nan_is_zero() {
        assert_eq!(cast(DType::I32, Scalar::F64(1e30)), Scalar::I32(i32::MAX));
        assert_eq!(cast(DType::U8, Scalar::F32(-3.5)), Scalar::U8(0));
        assert_eq!(cast(DType::U64, Scalar::F64(1e19)), Scalar::U64(10_000_000_000_000_000_000));
        assert_eq!(cast(DType::I64, Scalar::F64(f64::NAN)), Scalar::I64(0));
        assert_eq!(cast(DType::I32, Scalar::F64(-7.9)), Scalar::I32(-7));
    }

    #[test]
    fn wide_integers_round_once() {
        // Through f64 this would round twice and end one step lower.
        let tricky = (1_i64 << 54) + (1_i64 << 30) + 1;
        assert_eq!(cast(DType::F32, Scalar::I64(tricky)), Scalar::F32(tricky as f32));
        assert_ne!(tricky as f32, tricky as f64 as f32);
    }

    #[test]
    fn everything_to_bool_is_not_zero() {
        for dtype in DType::ALL {
            assert_eq!(cast(DType::Bool, Scalar::zero(dtype)), Scalar::Bool(false));
            assert_eq!(cast(DType::Bool, Scalar::one(dtype)), Scalar::Bool(true));
        }
        assert_eq!(cast(DType::Bool, Scalar::F64(0.5)), Scalar::Bool(true));
        assert_eq!(cast(DType::Bool, Scalar::F64(f64::NAN)), Scalar::Bool(true));
    }

    #[test]
    fn one_survives_every_pair() {
        for from in DType::ALL {
            for to in DType::ALL {
                assert_eq!(cast(to, Scalar::one(from)), Scalar::one(to), "{from} to {to}");
            }
        }
    }
}
