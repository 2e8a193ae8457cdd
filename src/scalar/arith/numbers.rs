//! Binary operations, one function per element type, small enough to be inlined.

use num_complex::{Complex32, Complex64};

use super::super::code::BinaryOp;
use super::super::math;
use super::super::value::Scalar;
use super::{Trap, complex};

macro_rules! integer_binary {
    ($name:ident, $ty:ty, $variant:ident) => {
        #[inline]
        pub(super) fn $name(op: BinaryOp, a: $ty, b: $ty) -> Result<Scalar, Trap> {
            let number = match op {
                BinaryOp::Add => a.wrapping_add(b),
                BinaryOp::Sub => a.wrapping_sub(b),
                BinaryOp::Mul => a.wrapping_mul(b),
                BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod => {
                    if b == 0 {
                        return Err(Trap::DivisionByZero);
                    }
                    let quotient = a.wrapping_div(b);
                    let remainder = a.wrapping_rem(b);
                    #[allow(unused_comparisons, clippy::absurd_extreme_comparisons)]
                    let inexact_down = remainder != 0 && (remainder < 0) != (b < 0);
                    match op {
                        BinaryOp::Div => quotient,
                        BinaryOp::Rem => remainder,
                        BinaryOp::FloorDiv if inexact_down => quotient.wrapping_sub(1),
                        BinaryOp::FloorDiv => quotient,
                        _ if inexact_down => remainder.wrapping_add(b),
                        _ => remainder,
                    }
                }
                BinaryOp::Min => a.min(b),
                BinaryOp::Max => a.max(b),
                BinaryOp::BitAnd => a & b,
                BinaryOp::BitOr => a | b,
                BinaryOp::BitXor => a ^ b,
                BinaryOp::Shl => a.wrapping_shl(b as u32),
                BinaryOp::Shr => a.wrapping_shr(b as u32),
                BinaryOp::Eq => return Ok(Scalar::Bool(a == b)),
                BinaryOp::Ne => return Ok(Scalar::Bool(a != b)),
                BinaryOp::Lt => return Ok(Scalar::Bool(a < b)),
                BinaryOp::Le => return Ok(Scalar::Bool(a <= b)),
                BinaryOp::Gt => return Ok(Scalar::Bool(a > b)),
                BinaryOp::Ge => return Ok(Scalar::Bool(a >= b)),
            };
            Ok(Scalar::$variant(number))
        }
    };
}

integer_binary!(i8_binary, i8, I8);
integer_binary!(i16_binary, i16, I16);
integer_binary!(i32_binary, i32, I32);
integer_binary!(i64_binary, i64, I64);
integer_binary!(u8_binary, u8, U8);
integer_binary!(u16_binary, u16, U16);
integer_binary!(u32_binary, u32, U32);
integer_binary!(u64_binary, u64, U64);

macro_rules! float_binary {
    ($name:ident, $ty:ty, $variant:ident, $fmod:path) => {
        #[inline]
        pub(super) fn $name(op: BinaryOp, a: $ty, b: $ty) -> Result<Scalar, Trap> {
            let number = match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div => a / b,
                BinaryOp::FloorDiv => (a / b).floor(),
                BinaryOp::Rem => $fmod(a, b),
                BinaryOp::Mod => floored_remainder(f64::from($fmod(a, b)), f64::from(b)) as $ty,
                BinaryOp::Min => {
                    if a < b {
                        a
                    } else {
                        b
                    }
                }
                BinaryOp::Max => {
                    if a > b {
                        a
                    } else {
                        b
                    }
                }
                BinaryOp::Eq => return Ok(Scalar::Bool(a == b)),
                BinaryOp::Ne => return Ok(Scalar::Bool(a != b)),
                BinaryOp::Lt => return Ok(Scalar::Bool(a < b)),
                BinaryOp::Le => return Ok(Scalar::Bool(a <= b)),
                BinaryOp::Gt => return Ok(Scalar::Bool(a > b)),
                BinaryOp::Ge => return Ok(Scalar::Bool(a >= b)),
                BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr => {
                    return Err(Trap::Type);
                }
            };
            Ok(Scalar::$variant(number))
        }
    };
}

float_binary!(f32_binary, f32, F32, math::fmod_f32);
float_binary!(f64_binary, f64, F64, math::fmod);

/// Turns C's remainder into the floored one: a zero takes the divisor's sign, as NumPy has it.
fn floored_remainder(remainder: f64, divisor: f64) -> f64 {
    if remainder == 0.0 {
        0.0_f64.copysign(divisor)
    } else if (remainder < 0.0) != (divisor < 0.0) {
        remainder + divisor
    } else {
        remainder
    }
}

#[inline]
pub(super) fn bool_binary(op: BinaryOp, a: bool, b: bool) -> Result<Scalar, Trap> {
    Ok(Scalar::Bool(match op {
        BinaryOp::BitAnd | BinaryOp::Mul | BinaryOp::Min => a & b,
        BinaryOp::BitOr | BinaryOp::Add | BinaryOp::Max => a | b,
        BinaryOp::BitXor | BinaryOp::Ne | BinaryOp::Sub => a ^ b,
        BinaryOp::Eq => a == b,
        BinaryOp::Lt => !a & b,
        BinaryOp::Le => a <= b,
        BinaryOp::Gt => a & !b,
        BinaryOp::Ge => a >= b,
        BinaryOp::Div | BinaryOp::FloorDiv if b => a,
        BinaryOp::Rem | BinaryOp::Mod if b => false,
        BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod => {
            return Err(Trap::DivisionByZero);
        }
        BinaryOp::Shl | BinaryOp::Shr => a,
    }))
}

macro_rules! complex_binary {
    ($name:ident, $ty:ty, $variant:ident, $divide:path) => {
        pub(super) fn $name(op: BinaryOp, a: $ty, b: $ty) -> Result<Scalar, Trap> {
            let less = (a.re, a.im) < (b.re, b.im);
            let greater = (a.re, a.im) > (b.re, b.im);
            let equal = a.re == b.re && a.im == b.im;
            let number = match op {
                BinaryOp::Add => <$ty>::new(a.re + b.re, a.im + b.im),
                BinaryOp::Sub => <$ty>::new(a.re - b.re, a.im - b.im),
                BinaryOp::Mul => <$ty>::new(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re),
                BinaryOp::Div => $divide(a, b),
                BinaryOp::FloorDiv => <$ty>::new($divide(a, b).re.floor(), 0.0),
                BinaryOp::Min => {
                    if less {
                        a
                    } else {
                        b
                    }
                }
                BinaryOp::Max => {
                    if greater {
                        a
                    } else {
                        b
                    }
                }
                BinaryOp::Eq => return Ok(Scalar::Bool(equal)),
                BinaryOp::Ne => return Ok(Scalar::Bool(!equal)),
                BinaryOp::Lt => return Ok(Scalar::Bool(less)),
                BinaryOp::Le => return Ok(Scalar::Bool(less || equal)),
                BinaryOp::Gt => return Ok(Scalar::Bool(greater)),
                BinaryOp::Ge => return Ok(Scalar::Bool(greater || equal)),
                BinaryOp::Rem
                | BinaryOp::Mod
                | BinaryOp::BitAnd
                | BinaryOp::BitOr
                | BinaryOp::BitXor
                | BinaryOp::Shl
                | BinaryOp::Shr => return Err(Trap::Type),
            };
            Ok(Scalar::$variant(number))
        }
    };
}

complex_binary!(c64_binary, Complex32, C64, complex::divide_f32);
complex_binary!(c128_binary, Complex64, C128, complex::divide);
