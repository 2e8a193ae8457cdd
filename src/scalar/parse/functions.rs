//! The functions that code may call, with their C meaning.

use crate::diag::Diagnostic;
use crate::scalar::{BinaryOp, DType, Func, Op, Scalar, Type, UnaryOp, ValueId};
use crate::scalar::{Block, Inst};

use super::build::{Builder, type_error};
use super::tree::Binary;
use super::types::{common, common_unpromoted, promoted};

type Lowered = Result<ValueId, Diagnostic>;

/// Lowers a call by name. `dace.math.f` and `math.f` are DaCe's templates, which return their operand's type.
pub(super) fn call(builder: &mut Builder, function: &str, values: Vec<ValueId>) -> Lowered {
    let template = ["dace.math.", "math."].iter().find_map(|prefix| function.strip_prefix(prefix));
    let plain = ["std.", "dace.cmath.", "cmath.", "numpy.", "np.", "dace."]
        .iter()
        .find_map(|prefix| function.strip_prefix(prefix));
    let name = template.or(plain).unwrap_or(function);
    let first = match values.first() {
        Some(&first) => builder.dtype(first)?,
        None => return Err(unknown(function)),
    };
    if name == "pow" && template.is_some() {
        let [base, exponent] = exactly(function, &values)?;
        return general_power(builder, base, exponent);
    }
    let result = dispatch(builder, function, name, first, &values)?;
    // Tests keep their bool, everything else takes the operand's type back.
    let test = matches!(name, "isnan" | "isinf" | "isfinite" | "signbit");
    let part = first.is_complex() && matches!(name, "abs" | "real" | "imag" | "arg");
    if template.is_some() && !test && !part && func1(name).is_some() {
        return Ok(builder.convert(result, first));
    }
    Ok(result)
}

/// Whether a name is a function of one real operand with a real result.
fn func1(name: &str) -> Option<Func> {
    Some(match name {
        "exp" => Func::Exp,
        "exp2" => Func::Exp2,
        "expm1" => Func::Expm1,
        "log" => Func::Log,
        "log2" => Func::Log2,
        "log10" => Func::Log10,
        "log1p" => Func::Log1p,
        "sin" => Func::Sin,
        "cos" => Func::Cos,
        "tan" => Func::Tan,
        "asin" | "arcsin" => Func::Asin,
        "acos" | "arccos" => Func::Acos,
        "atan" | "arctan" => Func::Atan,
        "sinh" => Func::Sinh,
        "cosh" => Func::Cosh,
        "tanh" => Func::Tanh,
        "asinh" | "arcsinh" => Func::Asinh,
        "acosh" | "arccosh" => Func::Acosh,
        "atanh" | "arctanh" => Func::Atanh,
        "sqrt" | "csqrt" => Func::Sqrt,
        "rsqrt" => Func::Rsqrt,
        "cbrt" => Func::Cbrt,
        "erf" => Func::Erf,
        "erfc" => Func::Erfc,
        "gamma" | "tgamma" => Func::Gamma,
        "lgamma" | "loggamma" => Func::LogGamma,
        "floor" => Func::Floor,
        "ceil" => Func::Ceil,
        "trunc" => Func::Trunc,
        "round" | "ROUND" => Func::Round,
        "rint" | "nearbyint" => Func::RoundEven,
        "fabs" => Func::Abs,
        _ => return None,
    })
}

fn func2(name: &str) -> Option<Func> {
    Some(match name {
        "atan2" | "arctan2" => Func::Atan2,
        "hypot" => Func::Hypot,
        "copysign" => Func::CopySign,
        "nextafter" => Func::NextAfter,
        "fmod" => Func::Fmod,
        "fmin" => Func::Fmin,
        "fmax" => Func::Fmax,
        _ => return None,
    })
}

/// The comparison a function stands for.
pub(super) fn comparison_named(function: &str) -> Option<Binary> {
    Some(match function {
        "Eq" | "equal" => Binary::Eq,
        "Ne" | "NotEq" | "not_equal" => Binary::Ne,
        "Lt" | "less" => Binary::Lt,
        "Le" | "LtE" | "less_equal" => Binary::Le,
        "Gt" | "greater" => Binary::Gt,
        "Ge" | "GtE" | "greater_equal" => Binary::Ge,
        _ => return None,
    })
}

fn dispatch(builder: &mut Builder, function: &str, name: &str, first: DType, values: &[ValueId]) -> Lowered {
    if let Some(func) = func1(name) {
        let [value] = exactly(function, values)?;
        if name == "fabs" && first.is_complex() {
            return Err(type_error(format!("`{function}` of {first}")));
        }
        return real_function(builder, func, value);
    }
    if let Some(func) = func2(name) {
        let [a, b] = exactly(function, values)?;
        return real_function2(builder, func, a, b);
    }
    match name {
        "abs" | "Abs" | "absolute" => {
            let [value] = exactly(function, values)?;
            absolute(builder, value)
        }
        "min" | "max" | "Min" | "Max" => {
            let op = if name.eq_ignore_ascii_case("min") { BinaryOp::Min } else { BinaryOp::Max };
            let result = extremum(builder, op, values)?;
            let narrow = matches!(first, DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2);
            // DaCe's `Min` and `Max` return the type of their first operand.
            Ok(if name.starts_with('M') && !narrow { builder.convert(result, first) } else { result })
        }
        "pow" | "power" => {
            let [a, b] = exactly(function, values)?;
            float_power(builder, a, b, None)
        }
        "np_float_pow" | "float_power" => {
            let [a, b] = exactly(function, values)?;
            let complex = first.is_complex() || builder.dtype(b)?.is_complex();
            float_power(builder, a, b, Some(if complex { DType::C128 } else { DType::F64 }))
        }
        "ipow" => {
            let [base, exponent] = exactly(function, values)?;
            let exponent = builder.convert(exponent, DType::I32);
            match builder.known(exponent) {
                Some(number) => literal_power(builder, base, number.as_i64() as i32),
                None => Ok(builder.call(Func::PowI, vec![base, exponent], first)),
            }
        }
        "sgn" => {
            let [value] = exactly(function, values)?;
            sign_as_int(builder, value)
        }
        "sign" | "sign_numpy_2" => {
            let [value] = exactly(function, values)?;
            if first.is_complex() {
                return complex_sign(builder, value, name == "sign_numpy_2");
            }
            let sign = sign_as_int(builder, value)?;
            Ok(builder.convert(sign, first))
        }
        "isnan" | "isinf" | "isfinite" | "signbit" => {
            let [value] = exactly(function, values)?;
            if first.is_integral() && name != "signbit" {
                return Ok(builder.constant(Scalar::Bool(name == "isfinite")));
            }
            let func = match name {
                "isnan" => Func::IsNan,
                "isinf" => Func::IsInf,
                "isfinite" => Func::IsFinite,
                _ => Func::SignBit,
            };
            let value = if first.is_integral() { builder.convert(value, DType::F64) } else { value };
            Ok(builder.call(func, vec![value], DType::Bool))
        }
        "conj" | "conjugate" => {
            let [value] = exactly(function, values)?;
            if !first.is_complex() {
                return Ok(value);
            }
            Ok(builder.call(Func::Conj, vec![value], first))
        }
        "real" | "imag" | "arg" | "angle" => {
            let [value] = exactly(function, values)?;
            let func = match name {
                "real" => Func::Real,
                "imag" => Func::Imag,
                _ => Func::Arg,
            };
            part(builder, func, value)
        }
        "ldexp" | "scalbn" => {
            let [value, exponent] = exactly(function, values)?;
            let value = as_float(builder, value)?;
            let exponent = builder.convert(exponent, DType::I32);
            let dtype = builder.dtype(value)?;
            Ok(builder.call(Func::Ldexp, vec![value, exponent], dtype))
        }
        "frexp" => {
            let [value] = exactly(function, values)?;
            frexp(builder, value).map(|(_, exponent)| exponent)
        }
        "fma" => {
            let [a, b, c] = exactly(function, values)?;
            let dtype = common(common(first, builder.dtype(b)?), builder.dtype(c)?);
            let dtype = if dtype.is_float() { dtype } else { DType::F64 };
            let operands = [a, b, c].map(|value| builder.convert(value, dtype));
            Ok(builder.call(Func::Fma, operands.to_vec(), dtype))
        }
        "fdim" => {
            let [a, b] = exactly(function, values)?;
            let difference = builder.arithmetic(BinaryOp::Sub, a, b)?;
            let zero = builder.constant(Scalar::zero(builder.dtype(difference)?));
            extremum(builder, BinaryOp::Max, &[difference, zero])
        }
        "remainder" => {
            let [a, b] = exactly(function, values)?;
            let (a, b) = (as_float(builder, a)?, as_float(builder, b)?);
            let quotient = builder.arithmetic(BinaryOp::Div, a, b)?;
            let nearest = real_function(builder, Func::RoundEven, quotient)?;
            let product = builder.arithmetic(BinaryOp::Mul, nearest, b)?;
            builder.arithmetic(BinaryOp::Sub, a, product)
        }
        "iround" | "lround" | "llround" => {
            let [value] = exactly(function, values)?;
            let rounded = real_function(builder, Func::Round, value)?;
            Ok(builder.convert(rounded, if name == "iround" { DType::I32 } else { DType::I64 }))
        }
        "ifloor" => {
            let [value] = exactly(function, values)?;
            if first.is_integral() {
                return Ok(value);
            }
            let floor = real_function(builder, Func::Floor, value)?;
            Ok(builder.convert(floor, DType::I32))
        }
        "ceiling" => {
            let [value] = exactly(function, values)?;
            if first.is_integral() {
                return Ok(value);
            }
            real_function(builder, Func::Ceil, value)
        }
        "py_floor" | "int_floor_ni" | "floor_divide" => {
            let [a, b] = exactly(function, values)?;
            builder.arithmetic(BinaryOp::FloorDiv, a, b)
        }
        "int_floor" | "__int_floor" => {
            let [a, b] = exactly(function, values)?;
            let quotient = builder.arithmetic(BinaryOp::Div, a, b)?;
            Ok(builder.convert(quotient, first))
        }
        "int_ceil" => {
            let [a, b] = exactly(function, values)?;
            let one = builder.constant(Scalar::I32(1));
            let sum = builder.arithmetic(BinaryOp::Add, a, b)?;
            let sum = builder.arithmetic(BinaryOp::Sub, sum, one)?;
            let quotient = builder.arithmetic(BinaryOp::Div, sum, b)?;
            Ok(builder.convert(quotient, first))
        }
        "py_mod" | "PyMod" | "Mod" | "ftn_modulo" | "FtnModulo" | "mod" => {
            let [a, b] = exactly(function, values)?;
            floored_remainder(builder, a, b)
        }
        "c_mod" | "CMod" | "ftn_mod" | "FtnMod" => {
            let [a, b] = exactly(function, values)?;
            let result = builder.arithmetic(BinaryOp::Rem, a, b)?;
            let dtype = common_unpromoted(first, builder.dtype(b)?);
            Ok(builder.convert(result, dtype))
        }
        "deg2rad" | "radians" | "rad2deg" | "degrees" => {
            let [value] = exactly(function, values)?;
            angle(builder, matches!(name, "deg2rad" | "radians"), value, first)
        }
        "reciprocal" => {
            let [value] = exactly(function, values)?;
            reciprocal(builder, value)
        }
        "heaviside" => heaviside(builder, function, values, first),
        "bitwise_and" | "bitwise_or" | "bitwise_xor" | "left_shift" | "right_shift" => {
            let [a, b] = exactly(function, values)?;
            let result = match name {
                "bitwise_and" => builder.arithmetic(BinaryOp::BitAnd, a, b)?,
                "bitwise_or" => builder.arithmetic(BinaryOp::BitOr, a, b)?,
                "bitwise_xor" => builder.arithmetic(BinaryOp::BitXor, a, b)?,
                "left_shift" => builder.shift(BinaryOp::Shl, a, b)?,
                _ => builder.shift(BinaryOp::Shr, a, b)?,
            };
            Ok(builder.convert(result, first))
        }
        "bitwise_invert" | "bitwise_not" | "invert" => {
            let [value] = exactly(function, values)?;
            if !first.is_integral() {
                return Err(type_error(format!("a bitwise operation on {first}")));
            }
            let wide = builder.convert(value, promoted(first));
            let inverted = builder.unary(UnaryOp::BitNot, wide);
            Ok(builder.convert(inverted, first))
        }
        "logical_xor" => {
            let [a, b] = exactly(function, values)?;
            let (a, b) = (builder.truth(a)?, builder.truth(b)?);
            Ok(builder.binary(BinaryOp::Ne, a, b))
        }
        "gcd" | "lcm" => {
            let [a, b] = exactly(function, values)?;
            divisors(builder, name == "lcm", a, b)
        }
        "make_complex" => {
            let [re, im] = exactly(function, values)?;
            let single = first == DType::F32 && builder.dtype(im)? == DType::F32;
            let (part, dtype) = if single { (DType::F32, DType::C64) } else { (DType::F64, DType::C128) };
            let (re, im) = (builder.convert(re, part), builder.convert(im, part));
            Ok(builder.call(Func::Complex, vec![re, im], dtype))
        }
        _ => Err(unknown(function)),
    }
}

/// A floating-point function of one operand: integers become `float64`, narrow floats `float32`.
pub(super) fn real_function(builder: &mut Builder, func: Func, value: ValueId) -> Lowered {
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

fn real_function2(builder: &mut Builder, func: Func, a: ValueId, b: ValueId) -> Lowered {
    let dtype = common(builder.dtype(a)?, builder.dtype(b)?);
    if dtype.is_complex() {
        return Err(type_error(format!("this function has no meaning for {dtype}")));
    }
    let dtype = if dtype.is_integral() { DType::F64 } else { dtype };
    let (a, b) = builder.meet_at(dtype, a, b)?;
    Ok(builder.call(func, vec![a, b], dtype))
}

fn as_float(builder: &mut Builder, value: ValueId) -> Lowered {
    let dtype = promoted(builder.dtype(value)?);
    let dtype = if dtype.is_integral() { DType::F64 } else { dtype };
    Ok(builder.convert(value, dtype))
}

fn absolute(builder: &mut Builder, value: ValueId) -> Lowered {
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
fn extremum(builder: &mut Builder, op: BinaryOp, values: &[ValueId]) -> Lowered {
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
pub(super) fn literal_power(builder: &mut Builder, base: ValueId, exponent: i32) -> Lowered {
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
pub(super) fn general_power(builder: &mut Builder, base: ValueId, exponent: ValueId) -> Lowered {
    let (b, e) = (builder.dtype(base)?, builder.dtype(exponent)?);
    if !e.is_integral() {
        return float_power(builder, base, exponent, None);
    }
    let dtype = if b.is_integral() && !e.is_unsigned() { DType::F64 } else { b };
    let base = builder.convert(base, dtype);
    let exponent = builder.convert(exponent, DType::I32);
    Ok(builder.call(Func::PowI, vec![base, exponent], dtype))
}

fn float_power(builder: &mut Builder, base: ValueId, exponent: ValueId, dtype: Option<DType>) -> Lowered {
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
pub(super) fn reciprocal(builder: &mut Builder, value: ValueId) -> Lowered {
    let dtype = builder.dtype(value)?;
    let one = builder.constant(Scalar::one(dtype));
    let quotient = builder.arithmetic(BinaryOp::Div, one, value)?;
    Ok(builder.convert(quotient, dtype))
}

/// `(0 < x) - (x < 0)` as an `int32`.
fn sign_as_int(builder: &mut Builder, value: ValueId) -> Lowered {
    let zero = builder.constant(Scalar::I32(0));
    let positive = builder.arithmetic(BinaryOp::Lt, zero, value)?;
    let negative = builder.arithmetic(BinaryOp::Lt, value, zero)?;
    builder.arithmetic(BinaryOp::Sub, positive, negative)
}

fn complex_sign(builder: &mut Builder, value: ValueId, second_numpy: bool) -> Lowered {
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
pub(super) fn part(builder: &mut Builder, func: Func, value: ValueId) -> Lowered {
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
fn floored_remainder(builder: &mut Builder, a: ValueId, b: ValueId) -> Lowered {
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
pub(super) fn divmod(
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

fn angle(builder: &mut Builder, to_radians: bool, value: ValueId, dtype: DType) -> Lowered {
    let half_turn = builder.constant(Scalar::I32(180));
    let half_turn = builder.convert(half_turn, dtype);
    let pi = builder.constant(Scalar::F64(std::f64::consts::PI));
    let (times, over) = if to_radians { (pi, half_turn) } else { (half_turn, pi) };
    let product = builder.arithmetic(BinaryOp::Mul, value, times)?;
    let quotient = builder.arithmetic(BinaryOp::Div, product, over)?;
    Ok(builder.convert(quotient, dtype))
}

fn heaviside(builder: &mut Builder, function: &str, values: &[ValueId], dtype: DType) -> Lowered {
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
pub(super) fn frexp(builder: &mut Builder, value: ValueId) -> Result<(ValueId, ValueId), Diagnostic> {
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
fn divisors(builder: &mut Builder, multiple: bool, a: ValueId, b: ValueId) -> Lowered {
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

fn exactly<const N: usize>(function: &str, values: &[ValueId]) -> Result<[ValueId; N], Diagnostic> {
    <[ValueId; N]>::try_from(values).map_err(|_| wrong_arguments(function))
}

pub(super) fn wrong_arguments(function: &str) -> Diagnostic {
    Diagnostic::error("P0308", format!("`{function}` is called with the wrong number of arguments"))
}

fn unknown(function: &str) -> Diagnostic {
    Diagnostic::error("P0308", format!("the code calls `{function}`, which is not a function known here"))
        .with_help("callbacks into Python and functions of other libraries cannot be run")
}
