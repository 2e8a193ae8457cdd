//! Distances between floating-point numbers in units in the last place.

use crate::scalar::{DType, Scalar, arith};

/// How many representable numbers of the type of `actual` lie between it and `expected` (rounded to that
/// type); the larger of the two parts for complex numbers. `None` if one is NaN and the other is not, or the
/// type is not a floating-point type.
pub fn ulp_distance(actual: Scalar, expected: Scalar) -> Option<u64> {
    match actual {
        Scalar::C64(a) => {
            let e = expected.as_complex();
            part_distance(Scalar::F32(a.re), Scalar::F64(e.re))
                .max(part_distance(Scalar::F32(a.im), Scalar::F64(e.im)))
        }
        Scalar::C128(a) => {
            let e = expected.as_complex();
            part_distance(Scalar::F64(a.re), Scalar::F64(e.re))
                .max(part_distance(Scalar::F64(a.im), Scalar::F64(e.im)))
        }
        _ => part_distance(actual, expected),
    }
}

fn part_distance(actual: Scalar, expected: Scalar) -> Option<u64> {
    match (actual.as_f64().is_nan(), expected.as_f64().is_nan()) {
        (true, true) => return Some(0),
        (false, false) => {}
        _ => return None,
    }
    let a = rank(actual)?;
    let e = rank(arith::cast(actual.dtype(), expected))?;
    Some(a.abs_diff(e))
}

/// Position of a float among the floats of its type, with both zeros at zero.
fn rank(scalar: Scalar) -> Option<i64> {
    let (bits, width): (u64, u32) = match scalar {
        Scalar::F64(x) => (x.to_bits(), 64),
        Scalar::F32(x) => (x.to_bits().into(), 32),
        Scalar::F16(x) => (x.to_bits().into(), 16),
        Scalar::BF16(x) => (x.to_bits().into(), 16),
        Scalar::F8E4M3(x) | Scalar::F8E5M2(x) => (x.into(), 8),
        _ => return None,
    };
    let magnitude = (bits & !(1 << (width - 1))).cast_signed();
    Some(if bits >> (width - 1) == 0 { magnitude } else { -magnitude })
}

/// Whether distances in ulp make sense for a type.
pub fn has_ulp(dtype: DType) -> bool {
    dtype.is_float() || dtype.is_complex()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_numbers_in_between() {
        let next = 1.0f64.next_up();
        assert_eq!(ulp_distance(Scalar::F64(1.0), Scalar::F64(next)), Some(1));
        assert_eq!(ulp_distance(Scalar::F64(0.0), Scalar::F64(-0.0)), Some(0));
        assert_eq!(ulp_distance(Scalar::F64(-5e-324), Scalar::F64(5e-324)), Some(2));
        assert_eq!(ulp_distance(Scalar::F32(1.0), Scalar::F64(1.0 + 1e-12)), Some(0));
        assert_eq!(ulp_distance(Scalar::F64(f64::NAN), Scalar::F64(f64::NAN)), Some(0));
        assert_eq!(ulp_distance(Scalar::F64(f64::NAN), Scalar::F64(1.0)), None);
        assert_eq!(ulp_distance(Scalar::I32(1), Scalar::I32(2)), None);
    }
}
