//! The functions that code may call, with their C meaning.

mod arithmetic;

pub(super) use arithmetic::{divmod, frexp, general_power, literal_power, part, real_function, reciprocal};

use arithmetic::{
    absolute, angle, as_float, complex_sign, divisors, extremum, float_power, floored_remainder, heaviside,
    real_function2, sign_as_int,
};

use crate::diag::Diagnostic;
use crate::scalar::{BinaryOp, DType, Func, Scalar, UnaryOp, ValueId};

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
