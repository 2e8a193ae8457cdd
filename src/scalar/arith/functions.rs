//! [`call`]: math functions on numbers of any type.
//!
//! Real functions compute in `float64` and round once to the operand's type; integers do the same and truncate
//! back (C++ code that calls `dace::math::sqrt` on an `int` sees just that). Lowering inserts casts where the
//! source means a floating-point result.

use num_complex::Complex64;

use super::super::code::Func;
use super::super::math;
use super::super::types::DType;
use super::super::value::Scalar;
use super::{Trap, cast, complex};

/// Applies a math function to its operands.
#[inline]
pub fn call(func: Func, operands: &[Scalar]) -> Result<Scalar, Trap> {
    match *operands {
        [x] => one(func, x),
        [x, y] => two(func, x, y),
        [x, y, z] if func == Func::Fma => three(x, y, z),
        _ => Err(Trap::Type),
    }
}

fn one(func: Func, x: Scalar) -> Result<Scalar, Trap> {
    if let (Scalar::F64(x), Some(f)) = (x, math::unary_f64(func)) {
        return Ok(Scalar::F64(f(x)));
    }
    let dtype = x.dtype();
    match func {
        Func::Identity => return Ok(x),
        Func::IsNan => return Ok(Scalar::Bool(any_part(x, f64::is_nan))),
        Func::IsInf => return Ok(Scalar::Bool(any_part(x, f64::is_infinite))),
        Func::IsFinite => return Ok(Scalar::Bool(!any_part(x, |part| !part.is_finite()))),
        Func::SignBit => return Ok(Scalar::Bool(x.as_f64().is_sign_negative())),
        Func::Real | Func::Imag | Func::Arg => {
            let z = x.as_complex();
            let part = match func {
                Func::Real => z.re,
                Func::Imag => z.im,
                _ => complex::arg(z),
            };
            return Ok(cast(real_type(dtype), Scalar::F64(part)));
        }
        Func::Abs if dtype.is_complex() => {
            return Ok(cast(real_type(dtype), Scalar::F64(complex::abs(x.as_complex()))));
        }
        _ => {}
    }
    if dtype.is_complex() {
        return complex_one(func, x.as_complex()).map(|z| cast(dtype, Scalar::C128(z))).ok_or(Trap::Type);
    }
    if dtype.is_integral() {
        match func {
            Func::Floor | Func::Ceil | Func::Trunc | Func::Round | Func::RoundEven | Func::Conj => {
                return Ok(x);
            }
            Func::Abs if dtype.is_unsigned() => return Ok(x),
            Func::Abs => return Ok(if x.as_i64() < 0 { super::unary(super::UnaryOp::Neg, x) } else { x }),
            Func::Sign if dtype.is_unsigned() => return Ok(cast(dtype, Scalar::Bool(x.is_true()))),
            Func::Sign => return Ok(cast(dtype, Scalar::I64(x.as_i64().signum()))),
            _ => {}
        }
    }
    if func == Func::Conj {
        return Ok(x);
    }
    let f = math::unary_f64(func).ok_or(Trap::Type)?;
    Ok(cast(dtype, Scalar::F64(f(x.as_f64()))))
}

fn two(func: Func, x: Scalar, y: Scalar) -> Result<Scalar, Trap> {
    if let (Scalar::F64(x), Scalar::F64(y), Some(f)) = (x, y, math::binary_f64(func)) {
        return Ok(Scalar::F64(f(x, y)));
    }
    let dtype = x.dtype();
    match func {
        Func::PowI => return power(x, y.as_i64() as i32),
        Func::Ldexp => {
            let exponent = y.as_i64().clamp(-5000, 5000) as i32;
            return Ok(cast(dtype, Scalar::F64(math::ldexp(x.as_f64(), exponent))));
        }
        Func::Complex => {
            let to = if dtype == DType::F64 { DType::C128 } else { DType::C64 };
            return Ok(cast(to, Scalar::C128(Complex64::new(x.as_f64(), y.as_f64()))));
        }
        Func::Pow if dtype.is_complex() => {
            return Ok(cast(dtype, Scalar::C128(complex::pow(x.as_complex(), y.as_complex()))));
        }
        Func::NextAfter => return next_after(x, y),
        _ => {}
    }
    if dtype.is_complex() {
        return Err(Trap::Type);
    }
    let f = math::binary_f64(func).ok_or(Trap::Type)?;
    Ok(cast(dtype, Scalar::F64(f(x.as_f64(), y.as_f64()))))
}

fn three(x: Scalar, y: Scalar, z: Scalar) -> Result<Scalar, Trap> {
    match (x, y, z) {
        (Scalar::F64(x), Scalar::F64(y), Scalar::F64(z)) => Ok(Scalar::F64(math::fma(x, y, z))),
        (Scalar::F32(x), Scalar::F32(y), Scalar::F32(z)) => Ok(Scalar::F32(math::fma_f32(x, y, z))),
        _ if x.dtype().is_complex() => Err(Trap::Type),
        _ => Ok(cast(x.dtype(), Scalar::F64(math::fma(x.as_f64(), y.as_f64(), z.as_f64())))),
    }
}

/// Integer powers multiply in their own type; negative ones divide one by the result.
fn power(x: Scalar, exponent: i32) -> Result<Scalar, Trap> {
    use super::super::code::BinaryOp::{Div, Mul};
    match x {
        Scalar::F64(x) => return Ok(Scalar::F64(math::powi(x, exponent))),
        Scalar::F32(x) => return Ok(Scalar::F32(math::powi_f32(x, exponent))),
        Scalar::C128(z) => return Ok(Scalar::C128(complex::powi(z, exponent))),
        _ => {}
    }
    let one = Scalar::one(x.dtype());
    let mut result = one;
    let mut square = x;
    let mut left = exponent.unsigned_abs();
    while left > 0 {
        if left & 1 == 1 {
            result = super::binary(Mul, result, square)?;
        }
        left >>= 1;
        if left > 0 {
            square = super::binary(Mul, square, square)?;
        }
    }
    if exponent < 0 { super::binary(Div, one, result) } else { Ok(result) }
}

fn next_after(x: Scalar, y: Scalar) -> Result<Scalar, Trap> {
    Ok(match (x, y) {
        (Scalar::F32(x), Scalar::F32(y)) => Scalar::F32(if x.is_nan() || y.is_nan() {
            f32::NAN
        } else if x == y {
            y
        } else if x < y {
            x.next_up()
        } else {
            x.next_down()
        }),
        _ => cast(x.dtype(), Scalar::F64(math::nextafter(x.as_f64(), y.as_f64()))),
    })
}

fn complex_one(func: Func, z: Complex64) -> Option<Complex64> {
    Some(match func {
        Func::Sqrt => complex::sqrt(z),
        Func::Rsqrt => complex::divide(Complex64::new(1.0, 0.0), complex::sqrt(z)),
        Func::Exp => complex::exp(z),
        Func::Exp2 => {
            complex::exp(Complex64::new(z.re * std::f64::consts::LN_2, z.im * std::f64::consts::LN_2))
        }
        Func::Expm1 => complex::exp(z) - 1.0,
        Func::Log => complex::log(z),
        Func::Log2 => Complex64::new(math::log2(complex::abs(z)), complex::arg(z) / std::f64::consts::LN_2),
        Func::Log10 => {
            Complex64::new(math::log10(complex::abs(z)), complex::arg(z) / std::f64::consts::LN_10)
        }
        Func::Log1p => complex::log(z + 1.0),
        Func::Sin => complex::sin(z),
        Func::Cos => complex::cos(z),
        Func::Tan => complex::tan(z),
        Func::Asin => complex::asin(z),
        Func::Acos => complex::acos(z),
        Func::Atan => complex::atan(z),
        Func::Sinh => complex::sinh(z),
        Func::Cosh => complex::cosh(z),
        Func::Tanh => complex::tanh(z),
        Func::Asinh => complex::asinh(z),
        Func::Acosh => complex::acosh(z),
        Func::Atanh => complex::atanh(z),
        Func::Conj => Complex64::new(z.re, -z.im),
        Func::Round => Complex64::new(math::round(z.re), math::round(z.im)),
        Func::RoundEven => Complex64::new(math::rint(z.re), math::rint(z.im)),
        Func::Floor => Complex64::new(z.re.floor(), z.im.floor()),
        Func::Ceil => Complex64::new(z.re.ceil(), z.im.ceil()),
        Func::Trunc => Complex64::new(z.re.trunc(), z.im.trunc()),
        _ => return None,
    })
}

fn any_part(x: Scalar, f: impl Fn(f64) -> bool) -> bool {
    let z = x.as_complex();
    f(z.re) || f(z.im)
}

/// The type of a component: `complex64` has `float32` parts; everything else is its own part.
pub(crate) const fn real_type(dtype: DType) -> DType {
    match dtype {
        DType::C64 => DType::F32,
        DType::C128 => DType::F64,
        other => other,
    }
}
