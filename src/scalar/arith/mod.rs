//! Operations on run-time values: the one place that says what `add`, `div` or `cast` give.
//!
//! - **Integers** wrap; division and remainder by zero trap; `MIN / -1` wraps to `MIN`, its remainder is zero.
//!   Shift counts are taken modulo the width.
//! - **`float32`, `float64`** follow IEEE 754, one rounding per operation.
//! - **`float16`, `bfloat16`, `float8`** compute in `float32` and round the result once more.
//! - **Complex** multiplication is `(ac - bd, ad + bc)`, division is Smith's algorithm; see [`complex`].
//! - **Conversions** are Rust's `as`, which is C where C defines the result: integers wrap, float to integer
//!   truncates and saturates, NaN gives zero. To a narrow float the value goes through `float32`; to `bool` it is
//!   "not zero"; a complex number gives its real part to a real type.
//! - **`min(a, b)`** is `a < b ? a : b` and **`max(a, b)`** is `a > b ? a : b`: with a NaN, or two zeros, the
//!   second operand.
//!
//! Operands that do not fit an operation (which [`verify`](super::Code::verify) refuses) give [`Trap::Type`].

pub mod complex;
mod convert;
mod functions;
mod numbers;
mod values;

pub use convert::cast;
pub use functions::call;
pub use values::{binary_value, call_value, cast_value, select_value, unary_value};

use super::code::{BinaryOp, UnaryOp};
use super::types::DType;
use super::value::Scalar;

/// Why a program stopped: a fault of the program, not of the engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Trap {
    /// An integer division or remainder by zero.
    #[error("integer division by zero")]
    DivisionByZero,
    /// An access outside its container.
    #[error("index out of range")]
    IndexOutOfRange,
    /// A pop from a stream that holds nothing.
    #[error("pop from an empty stream")]
    EmptyStream,
    /// The step limit was reached.
    #[error("out of fuel: the program ran longer than its limit")]
    Fuel,
    /// An unassigned value was needed.
    #[error("a value that was never assigned is used")]
    Undefined,
    /// Operands that do not fit the operation; never from verified code.
    #[error("operands do not fit the operation")]
    Type,
}

/// The result type of a binary operation on two values of type `dtype`.
pub const fn binary_type(op: BinaryOp, dtype: DType) -> DType {
    if op.is_comparison() { DType::Bool } else { dtype }
}

/// Applies an operation to one number. `not` gives a bool for any operand; `bitnot` of a float gives it back.
#[inline]
pub fn unary(op: UnaryOp, value: Scalar) -> Scalar {
    match (op, value) {
        (UnaryOp::Neg, Scalar::F64(x)) => Scalar::F64(-x),
        (UnaryOp::Not, x) => Scalar::Bool(!x.is_true()),
        (UnaryOp::Neg, x) => negate(x),
        (UnaryOp::BitNot, x) => complement(x),
    }
}

/// Applies an operation to two numbers of one type (the count of a shift may have any integer type).
#[inline]
pub fn binary(op: BinaryOp, left: Scalar, right: Scalar) -> Result<Scalar, Trap> {
    match (left, right) {
        (Scalar::F64(a), Scalar::F64(b)) => numbers::f64_binary(op, a, b),
        (Scalar::F32(a), Scalar::F32(b)) => numbers::f32_binary(op, a, b),
        (Scalar::I32(a), Scalar::I32(b)) => numbers::i32_binary(op, a, b),
        (Scalar::I64(a), Scalar::I64(b)) => numbers::i64_binary(op, a, b),
        (Scalar::Bool(a), Scalar::Bool(b)) => numbers::bool_binary(op, a, b),
        _ => binary_rare(op, left, right),
    }
}

fn binary_rare(op: BinaryOp, left: Scalar, right: Scalar) -> Result<Scalar, Trap> {
    if matches!(op, BinaryOp::Shl | BinaryOp::Shr) && left.dtype() != right.dtype() {
        if !left.dtype().is_integral() || !right.dtype().is_integral() {
            return Err(Trap::Type);
        }
        return binary(op, left, cast(left.dtype(), right));
    }
    match (left, right) {
        (Scalar::I8(a), Scalar::I8(b)) => numbers::i8_binary(op, a, b),
        (Scalar::I16(a), Scalar::I16(b)) => numbers::i16_binary(op, a, b),
        (Scalar::U8(a), Scalar::U8(b)) => numbers::u8_binary(op, a, b),
        (Scalar::U16(a), Scalar::U16(b)) => numbers::u16_binary(op, a, b),
        (Scalar::U32(a), Scalar::U32(b)) => numbers::u32_binary(op, a, b),
        (Scalar::U64(a), Scalar::U64(b)) => numbers::u64_binary(op, a, b),
        (Scalar::C64(a), Scalar::C64(b)) => numbers::c64_binary(op, a, b),
        (Scalar::C128(a), Scalar::C128(b)) => numbers::c128_binary(op, a, b),
        (Scalar::F16(a), Scalar::F16(b)) => narrow_binary(op, DType::F16, a.to_f32(), b.to_f32()),
        (Scalar::BF16(a), Scalar::BF16(b)) => narrow_binary(op, DType::BF16, a.to_f32(), b.to_f32()),
        (Scalar::F8E4M3(_), Scalar::F8E4M3(_)) | (Scalar::F8E5M2(_), Scalar::F8E5M2(_)) => {
            narrow_binary(op, left.dtype(), left.as_f64() as f32, right.as_f64() as f32)
        }
        _ => Err(Trap::Type),
    }
}

fn narrow_binary(op: BinaryOp, dtype: DType, a: f32, b: f32) -> Result<Scalar, Trap> {
    let result = numbers::f32_binary(op, a, b)?;
    Ok(if op.is_comparison() { result } else { cast(dtype, result) })
}

fn negate(value: Scalar) -> Scalar {
    match value {
        Scalar::Bool(x) => Scalar::Bool(x),
        Scalar::I8(x) => Scalar::I8(x.wrapping_neg()),
        Scalar::I16(x) => Scalar::I16(x.wrapping_neg()),
        Scalar::I32(x) => Scalar::I32(x.wrapping_neg()),
        Scalar::I64(x) => Scalar::I64(x.wrapping_neg()),
        Scalar::U8(x) => Scalar::U8(x.wrapping_neg()),
        Scalar::U16(x) => Scalar::U16(x.wrapping_neg()),
        Scalar::U32(x) => Scalar::U32(x.wrapping_neg()),
        Scalar::U64(x) => Scalar::U64(x.wrapping_neg()),
        Scalar::F16(x) => Scalar::F16(-x),
        Scalar::BF16(x) => Scalar::BF16(-x),
        Scalar::F8E4M3(x) => Scalar::F8E4M3(x ^ 0x80),
        Scalar::F8E5M2(x) => Scalar::F8E5M2(x ^ 0x80),
        Scalar::F32(x) => Scalar::F32(-x),
        Scalar::F64(x) => Scalar::F64(-x),
        Scalar::C64(x) => Scalar::C64(-x),
        Scalar::C128(x) => Scalar::C128(-x),
    }
}

fn complement(value: Scalar) -> Scalar {
    match value {
        Scalar::Bool(x) => Scalar::Bool(!x),
        Scalar::I8(x) => Scalar::I8(!x),
        Scalar::I16(x) => Scalar::I16(!x),
        Scalar::I32(x) => Scalar::I32(!x),
        Scalar::I64(x) => Scalar::I64(!x),
        Scalar::U8(x) => Scalar::U8(!x),
        Scalar::U16(x) => Scalar::U16(!x),
        Scalar::U32(x) => Scalar::U32(!x),
        Scalar::U64(x) => Scalar::U64(!x),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(op: BinaryOp, a: impl Into<Scalar>, b: impl Into<Scalar>) -> Scalar {
        binary(op, a.into(), b.into()).unwrap()
    }

    impl From<i32> for Scalar {
        fn from(x: i32) -> Self {
            Scalar::I32(x)
        }
    }
    impl From<f64> for Scalar {
        fn from(x: f64) -> Self {
            Scalar::F64(x)
        }
    }

    proptest! {
        #[test]
        fn integers_follow_rust(a: i32, b: i32) {
            prop_assert_eq!(number(BinaryOp::Add, a, b), Scalar::I32(a.wrapping_add(b)));
            prop_assert_eq!(number(BinaryOp::Sub, a, b), Scalar::I32(a.wrapping_sub(b)));
            prop_assert_eq!(number(BinaryOp::Mul, a, b), Scalar::I32(a.wrapping_mul(b)));
            prop_assert_eq!(number(BinaryOp::Lt, a, b), Scalar::Bool(a < b));
            prop_assert_eq!(number(BinaryOp::BitXor, a, b), Scalar::I32(a ^ b));
            if b != 0 {
                let (wide_a, wide_b) = (i64::from(a), i64::from(b));
                prop_assert_eq!(number(BinaryOp::Div, a, b), Scalar::I32((wide_a / wide_b) as i32));
                prop_assert_eq!(number(BinaryOp::Rem, a, b), Scalar::I32((wide_a % wide_b) as i32));
                let floor = (wide_a as f64 / wide_b as f64).floor() as i64;
                prop_assert_eq!(number(BinaryOp::FloorDiv, a, b), Scalar::I32(floor as i32));
                prop_assert_eq!(number(BinaryOp::Mod, a, b), Scalar::I32((wide_a - floor * wide_b) as i32));
            }
        }

        #[test]
        fn floats_follow_rust(a: f64, b: f64) {
            prop_assert!(number(BinaryOp::Add, a, b).same_bits(Scalar::F64(a + b)));
            prop_assert!(number(BinaryOp::Div, a, b).same_bits(Scalar::F64(a / b)));
            prop_assert!(number(BinaryOp::Rem, a, b).same_bits(Scalar::F64(a % b)) || (a % b).is_nan());
            prop_assert_eq!(number(BinaryOp::Ge, a, b), Scalar::Bool(a >= b));
        }

        #[test]
        fn small_integers_agree_with_wide_ones(a: u8, b: u8, c: i8, d: i8) {
            for op in [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::BitAnd, BinaryOp::Min] {
                let narrow = binary(op, Scalar::U8(a), Scalar::U8(b)).unwrap();
                let wide = binary(op, Scalar::I64(a.into()), Scalar::I64(b.into())).unwrap();
                prop_assert_eq!(narrow, cast(DType::U8, wide));
                let narrow = binary(op, Scalar::I8(c), Scalar::I8(d)).unwrap();
                let wide = binary(op, Scalar::I64(c.into()), Scalar::I64(d.into())).unwrap();
                prop_assert_eq!(narrow, cast(DType::I8, wide));
            }
        }

        #[test]
        fn narrow_floats_round_the_single_precision_result(a: u16, b: u16) {
            let (a, b) = (half::f16::from_bits(a), half::f16::from_bits(b));
            let sum = binary(BinaryOp::Mul, Scalar::F16(a), Scalar::F16(b)).unwrap();
            let expected = half::f16::from_f32(a.to_f32() * b.to_f32());
            prop_assert!(sum.same_bits(Scalar::F16(expected)) || expected.is_nan());
        }
    }

    #[test]
    fn the_edges_of_integer_division() {
        assert_eq!(binary(BinaryOp::Div, 1.into(), 0.into()), Err(Trap::DivisionByZero));
        assert_eq!(binary(BinaryOp::Mod, Scalar::U8(1), Scalar::U8(0)), Err(Trap::DivisionByZero));
        assert_eq!(number(BinaryOp::Div, i32::MIN, -1), Scalar::I32(i32::MIN));
        assert_eq!(number(BinaryOp::Rem, i32::MIN, -1), Scalar::I32(0));
    }

    #[test]
    fn min_and_max_give_the_second_operand_when_unordered() {
        let nan = f64::NAN;
        assert_eq!(number(BinaryOp::Min, nan, 1.0), Scalar::F64(1.0));
        assert_eq!(number(BinaryOp::Max, nan, 1.0), Scalar::F64(1.0));
        assert!(number(BinaryOp::Min, 1.0, nan).as_f64().is_nan());
        assert!(number(BinaryOp::Max, 0.0, -0.0).same_bits(Scalar::F64(-0.0)));
        assert!(number(BinaryOp::Min, -0.0, 0.0).same_bits(Scalar::F64(0.0)));
    }

    #[test]
    fn floored_remainder_has_the_sign_of_the_divisor() {
        assert_eq!(number(BinaryOp::Mod, -7.5, 2.0), Scalar::F64(0.5));
        assert_eq!(number(BinaryOp::Mod, 7.5, -2.0), Scalar::F64(-0.5));
        assert_eq!(number(BinaryOp::Rem, -7.5, 2.0), Scalar::F64(-1.5));
        assert!(number(BinaryOp::Mod, -4.0, 2.0).same_bits(Scalar::F64(0.0)));
        assert!(number(BinaryOp::Mod, -1.0, 0.0).as_f64().is_nan());
        assert_eq!(number(BinaryOp::Mod, 1.0, f64::INFINITY), Scalar::F64(1.0));
        assert_eq!(number(BinaryOp::Mod, -1.0, f64::INFINITY), Scalar::F64(f64::INFINITY));
    }

    #[test]
    fn shift_counts_wrap_and_may_have_another_type() {
        assert_eq!(number(BinaryOp::Shl, 1, 33), Scalar::I32(2));
        assert_eq!(number(BinaryOp::Shr, -8, 1), Scalar::I32(-4));
        assert_eq!(binary(BinaryOp::Shl, Scalar::I64(1), Scalar::I32(40)), Ok(Scalar::I64(1 << 40)));
        assert_eq!(binary(BinaryOp::Shl, 1.0.into(), 1.0.into()), Err(Trap::Type));
    }

    #[test]
    fn operands_of_different_types_are_refused() {
        assert_eq!(binary(BinaryOp::Add, 1.into(), 1.0.into()), Err(Trap::Type));
    }
}
