//! What the functions do, in terms of operations.

use crate::diag::Diagnostic;
use crate::scalar::parse::build::{Builder, type_error};
use crate::scalar::parse::types::{common, common_unpromoted, promoted};
use crate::scalar::{BinaryOp, Block, DType, Func, Inst, Op, Scalar, Type, UnaryOp, ValueId};

use super::{Lowered, wrong_arguments};

/// A floating-point function of one operand: integers become `float64`, narrow floats `float32`.
pub(in crate::scalar::parse) fn real_function(builder: &mut Builder, func: Func, value: ValueId) -> Lowered {
    let value = as_float(builder, value)?;
    let dtype = builder.dtype(value)?;
    let real_only = matches!(
        func,
        Func::Erf | Func::Erfc | Func::Gamma | Func::LogGamma | Func::Cbrt | Func::Abs | Func::Sign
    );
    if dtype.is_complex() && real_only {
        return Err(type_error(format!("this function has no meaning for {dtype}")));
    }
    Ok(builder.call(func, vec![value], dtype))
}

pub(super) fn real_function2(builder: &mut Builder, func: Func, a: ValueId, b: ValueId) -> Lowered {
    let dtype = common(builder.dtype(a)?, builder.dtype(b)?);
    if dtype.is_complex() {
        return Err(type_error(format!("this function has no meaning for {dtype}")));
    }
    let dtype = if dtype.is_integral() { DType::F64 } else { dtype };
    let (a, b) = builder.meet_at(dtype, a, b)?;
    Ok(builder.call(func, vec![a, b], dtype))
}

pub(super) fn as_float(builder: &mut Builder, value: ValueId) -> Lowered {
    let dtype = promoted(builder.dtype(value)?);
    let dtype = if dtype.is_integral() { DType::F64 } else { dtype };
    Ok(builder.convert(value, dtype))
}

pub(super) fn absolute(builder: &mut Builder, value: ValueId) -> Lowered {
    let dtype = builder.dtype(value)?;
    match dtype {
        DType::C64 => Ok(builder.call(Func::Abs, vec![value], DType::F32)),
        DType::C128 => Ok(builder.call(Func::Abs, vec![value], DType::F64)),
        _ if dtype.is_unsigned() => Ok(value),
        _ => {
            let wide = builder.convert(value, promoted(dtype));
            Ok(builder.call(Func::Abs, vec![wide], promoted(dtype)))
        }
    }
}

/// `min` or `max` of any number of operands, the last two first, as DaCe nests them.
pub(super) fn extremum(builder: &mut Builder, op: BinaryOp, values: &[ValueId]) -> Lowered {
    let [first, rest @ ..] = values else {
        return Err(wrong_arguments("min"));
    };
    let mut dtype = builder.dtype(*first)?;
    for &value in rest {
        dtype = common_unpromoted(dtype, builder.dtype(value)?);
    }
    let mut result: Option<ValueId> = None;
    for &value in values.iter().rev() {
        result = Some(match result {
            None => value,
            Some(after) => {
                let (value, after) = builder.meet_at(dtype, value, after)?;
                builder.binary(op, value, after)
            }
        });
    }
    match result {
        Some(result) => Ok(builder.convert(result, dtype)),
        None => Err(wrong_arguments("min")),
    }
}

/// `base ** n` with a literal integer: products in binary order, in the base's own type.
pub(in crate::scalar::parse) fn literal_power(
    builder: &mut Builder,
    base: ValueId,
    exponent: i32,
) -> Lowered {
    let dtype = builder.dtype(base)?;
    if exponent == 0 {
        return Ok(builder.constant(Scalar::I32(1)));
    }
    let count = exponent.unsigned_abs();
    let product = if count > 64 {
        let count = builder.constant(Scalar::I32(count as i32));
        builder.call(Func::PowI, vec![base, count], dtype)
    } else {
        let mut result: Option<ValueId> = None;
        let mut square = base;
        let mut left = count;
        while left > 0 {
            if left & 1 == 1 {
                result = Some(match result {
                    None => square,
                    Some(so_far) => builder.binary(BinaryOp::Mul, so_far, square),
                });
            }
            left >>= 1;
            if left > 0 {
                square = builder.binary(BinaryOp::Mul, square, square);
            }
        }
        result.unwrap_or(base)
    };
    if exponent < 0 { reciprocal(builder, product) } else { Ok(product) }
}

/// DaCe's `pow` template, what `**` means with an exponent that is no literal: an integer exponent multiplies
/// (in `float64` for an integer base and a signed exponent), any other is a floating-point power.
pub(in crate::scalar::parse) fn general_power(
    builder: &mut Builder,
    base: ValueId,
    exponent: ValueId,
) -> Lowered {
    let (b, e) = (builder.dtype(base)?, builder.dtype(exponent)?);
    if !e.is_integral() {
        return float_power(builder, base, exponent, None);
    }
    let dtype = if b.is_integral() && !e.is_unsigned() { DType::F64 } else { b };
    let base = builder.convert(base, dtype);
    let exponent = builder.convert(exponent, DType::I32);
    Ok(builder.call(Func::PowI, vec![base, exponent], dtype))
}

pub(super) fn float_power(
    builder: &mut Builder,
    base: ValueId,
    exponent: ValueId,
    dtype: Option<DType>,
) -> Lowered {
    let (b, e) = (builder.dtype(base)?, builder.dtype(exponent)?);
    let dtype = dtype.unwrap_or_else(|| {
        let float = |dtype: DType| if dtype.is_integral() { DType::F64 } else { dtype };
        match (b, e) {
            (DType::C64, DType::F64) | (DType::F64, DType::C64) => DType::C128,
            _ => common(float(b), float(e)),
        }
    });
    let (base, exponent) = builder.meet_at(dtype, base, exponent)?;
    Ok(builder.call(Func::Pow, vec![base, exponent], dtype))
}

/// `1 / x` in the type of `x`.
pub(in crate::scalar::parse) fn reciprocal(builder: &mut Builder, value: ValueId) -> Lowered {
    let dtype = builder.dtype(value)?;
    let one = builder.constant(Scalar::one(dtype));
    let quotient = builder.arithmetic(BinaryOp::Div, one, value)?;
    Ok(builder.convert(quotient, dtype))
}

/// `(0 < x) - (x < 0)` as an `int32`.
pub(super) fn sign_as_int(builder: &mut Builder, value: ValueId) -> Lowered {
    let zero = builder.constant(Scalar::I32(0));
    let positive = builder.arithmetic(BinaryOp::Lt, zero, value)?;
    let negative = builder.arithmetic(BinaryOp::Lt, value, zero)?;
    builder.arithmetic(BinaryOp::Sub, positive, negative)
}

pub(super) fn complex_sign(builder: &mut Builder, value: ValueId, second_numpy: bool) -> Lowered {
    let dtype = builder.dtype(value)?;
    let (re, im) = (part(builder, Func::Real, value)?, part(builder, Func::Imag, value)?);
    let zero = builder.constant(Scalar::I32(0));
    let re_set = builder.arithmetic(BinaryOp::Ne, re, zero)?;
    if second_numpy {
        let im_set = builder.arithmetic(BinaryOp::Ne, im, zero)?;
        let both = builder.binary(BinaryOp::BitAnd, re_set, im_set);
        let size = absolute(builder, value)?;
        let unit = builder.arithmetic(BinaryOp::Div, value, size)?;
        let none = builder.constant(Scalar::zero(dtype));
        return Ok(builder.select(both, unit, none));
    }
    let chosen = builder.select(re_set, re, im);
    let sign = sign_as_int(builder, chosen)?;
    Ok(builder.convert(sign, dtype))
}

/// A real part of a complex number; of a real number itself, zero or its phase.
pub(in crate::scalar::parse) fn part(builder: &mut Builder, func: Func, value: ValueId) -> Lowered {
    match builder.dtype(value)? {
        DType::C64 => Ok(builder.call(func, vec![value], DType::F32)),
        DType::C128 => Ok(builder.call(func, vec![value], DType::F64)),
        _ => {
            let value = as_float(builder, value)?;
            let dtype = builder.dtype(value)?;
            match func {
                Func::Real => Ok(value),
                Func::Imag => Ok(builder.constant(Scalar::zero(dtype))),
                _ => Ok(builder.call(Func::Arg, vec![value], dtype)),
            }
        }
    }
}

/// Python's remainder. For floats DaCe computes `a - floor(a / b) * b`, and so does this.
pub(super) fn floored_remainder(builder: &mut Builder, a: ValueId, b: ValueId) -> Lowered {
    let result_type = common_unpromoted(builder.dtype(a)?, builder.dtype(b)?);
    let (a, b) = builder.meet(a, b)?;
    let result = if builder.dtype(a)?.is_integral() {
        builder.binary(BinaryOp::Mod, a, b)
    } else {
        let quotient = builder.arithmetic(BinaryOp::FloorDiv, a, b)?;
        let product = builder.arithmetic(BinaryOp::Mul, quotient, b)?;
        builder.arithmetic(BinaryOp::Sub, a, product)?
    };
    Ok(builder.convert(result, result_type))
}

/// Quotient and remainder; floored as Python has them, or C's.
pub(in crate::scalar::parse) fn divmod(
    builder: &mut Builder,
    floored: bool,
    a: ValueId,
    b: ValueId,
) -> Result<(ValueId, ValueId), Diagnostic> {
    let (a, b) = builder.meet(a, b)?;
    if !builder.dtype(a)?.is_integral() || floored {
        let quotient = builder.arithmetic(BinaryOp::FloorDiv, a, b)?;
        let remainder = floored_remainder(builder, a, b)?;
        return Ok((quotient, remainder));
    }
    Ok((builder.arithmetic(BinaryOp::Div, a, b)?, builder.arithmetic(BinaryOp::Rem, a, b)?))
}

pub(super) fn angle(builder: &mut Builder, to_radians: bool, value: ValueId, dtype: DType) -> Lowered {
    let half_turn = builder.constant(Scalar::I32(180));
    let half_turn = builder.convert(half_turn, dtype);
    let pi = builder.constant(Scalar::F64(std::f64::consts::PI));
    let (times, over) = if to_radians { (pi, half_turn) } else { (half_turn, pi) };
    let product = builder.arithmetic(BinaryOp::Mul, value, times)?;
    let quotient = builder.arithmetic(BinaryOp::Div, product, over)?;
    Ok(builder.convert(quotient, dtype))
}

pub(super) fn heaviside(builder: &mut Builder, function: &str, values: &[ValueId], dtype: DType) -> Lowered {
    let zero = builder.constant(Scalar::zero(dtype));
    let one = builder.constant(Scalar::one(dtype));
    match *values {
        [x] => {
            let positive = builder.arithmetic(BinaryOp::Gt, x, zero)?;
            Ok(builder.select(positive, one, zero))
        }
        [x, at_zero] => {
            let at_zero = builder.convert(at_zero, dtype);
            let positive = builder.arithmetic(BinaryOp::Gt, x, zero)?;
            let negative = builder.arithmetic(BinaryOp::Lt, x, zero)?;
            let upper = builder.select(positive, one, at_zero);
            Ok(builder.select(negative, zero, upper))
        }
        _ => Err(wrong_arguments(function)),
    }
}

/// Mantissa in `[0.5, 1)` and exponent, exact: the logarithm's guess is corrected by one step either way.
pub(in crate::scalar::parse) fn frexp(
    builder: &mut Builder,
    value: ValueId,
) -> Result<(ValueId, ValueId), Diagnostic> {
    let value = as_float(builder, value)?;
    let dtype = builder.dtype(value)?;
    if dtype.is_complex() {
        return Err(type_error(format!("`frexp` of {dtype}")));
    }
    let size = builder.call(Func::Abs, vec![value], dtype);
    let log = builder.call(Func::Log2, vec![size], dtype);
    let guess = builder.call(Func::Floor, vec![log], dtype);
    let guess = builder.convert(guess, DType::I32);
    let one = builder.constant(Scalar::I32(1));
    let guess = builder.binary(BinaryOp::Add, guess, one);
    let down = builder.unary(UnaryOp::Neg, guess);
    let scaled = builder.call(Func::Ldexp, vec![value, down], dtype);
    let scaled_size = builder.call(Func::Abs, vec![scaled], dtype);
    let half = builder.constant(Scalar::F64(0.5));
    let half = builder.convert(half, dtype);
    let unit = builder.constant(Scalar::one(dtype));
    let large = builder.binary(BinaryOp::Ge, scaled_size, unit);
    let small = builder.binary(BinaryOp::Lt, scaled_size, half);
    let halved = builder.binary(BinaryOp::Mul, scaled, half);
    let doubled = builder.binary(BinaryOp::Add, scaled, scaled);
    let above = builder.binary(BinaryOp::Add, guess, one);
    let below = builder.binary(BinaryOp::Sub, guess, one);
    let mantissa = builder.select(small, doubled, scaled);
    let mantissa = builder.select(large, halved, mantissa);
    let exponent = builder.select(small, below, guess);
    let exponent = builder.select(large, above, exponent);
    let zero = builder.constant(Scalar::zero(dtype));
    let is_zero = builder.binary(BinaryOp::Eq, value, zero);
    let finite = builder.call(Func::IsFinite, vec![value], DType::Bool);
    let infinite = builder.unary(UnaryOp::Not, finite);
    let itself = builder.binary(BinaryOp::BitOr, is_zero, infinite);
    let none = builder.constant(Scalar::I32(0));
    Ok((builder.select(itself, value, mantissa), builder.select(itself, none, exponent)))
}

/// Greatest common divisor by Euclid's algorithm, or least common multiple.
pub(super) fn divisors(builder: &mut Builder, multiple: bool, a: ValueId, b: ValueId) -> Lowered {
    let (a, b) = builder.meet(a, b)?;
    let dtype = builder.dtype(a)?;
    let (Type::Scalar(_), true) = (builder.ty(a), dtype.is_integral()) else {
        return Err(type_error(format!("a common divisor of {dtype}")));
    };
    let (a, b) = (absolute(builder, a)?, absolute(builder, b)?);
    let zero = builder.constant(Scalar::zero(dtype));
    let ty = Type::Scalar(dtype);
    let divisor = builder.counted_loop([a, b], ty, |builder, [x, y]| {
        let more = Inst { op: Op::Binary(BinaryOp::Ne, y, zero), results: vec![builder.define(Type::BOOL)] };
        let rest = Inst { op: Op::Binary(BinaryOp::Rem, x, y), results: vec![builder.define(ty)] };
        let condition = Block { results: more.results.clone(), insts: vec![more] };
        let body = Block { results: vec![y, rest.results[0]], insts: vec![rest] };
        (condition, body)
    });
    if !multiple {
        return Ok(divisor);
    }
    let one = builder.constant(Scalar::one(dtype));
    let is_zero = builder.binary(BinaryOp::Eq, divisor, zero);
    let safe = builder.select(is_zero, one, divisor);
    let share = builder.binary(BinaryOp::Div, a, safe);
    Ok(builder.binary(BinaryOp::Mul, share, b))
}
