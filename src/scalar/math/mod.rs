//! Math functions: one definition each, the same bits on every machine and every engine.
//!
//! Everything here is plain IEEE arithmetic in a fixed order, without fused operations or the system's math
//! library, so an engine that repeats the operations (or calls these functions) repeats the bits. Functions are
//! defined in `float64`; the `float32` ones compute in `float64` and round, which is correctly rounded but for
//! rare ties. Where this module delegates, it is to the `libm` crate, a pure-Rust library whose functions are
//! equally free of machine dependence.
//!
//! # Accuracy
//!
//! Worst errors found by `tests/math_accuracy.rs`, in units in the last place (0.5 is the best possible):
//!
//! | function | error | | function | error |
//! |---|---|---|---|---|
//! | exp, exp2, expm1 | 0.53 (subnormal results 0.75) | | asin, acos | 0.57 |
//! | log, log2, log10, log1p | 0.63 | | sin, cos | 0.68 |
//! | sinh, cosh, tanh | 0.63 | | tan | 0.72 |
//! | asinh | 0.65 | | acosh, atanh | 0.79 |
//! | pow | 0.60 | | cbrt | 0.50 |
//! | hypot | 0.89 | | atan, atan2 | 0.68 |
//!
//! `sqrt`, `fma`, `fmod` and everything that rounds to integers are exact or correctly rounded. `erf`, `erfc` and the gamma
//! functions are `libm`'s and were not measured here.

pub mod exp;
pub mod hyperbolic;
pub mod hypot;
pub mod inverse;
pub mod lane;
pub mod log;
pub mod power;
pub mod recipe;
pub mod trig;

use super::code::Func;

/// The function of one `float64` behind a [`Func`] of one real operand and a result of the same type.
pub fn unary_f64(func: Func) -> Option<fn(f64) -> f64> {
    Some(match func {
        Func::Abs => abs,
        Func::Sqrt => sqrt,
        Func::Rsqrt => rsqrt,
        Func::Cbrt => cbrt,
        Func::Exp => exp,
        Func::Exp2 => exp2,
        Func::Expm1 => expm1,
        Func::Log => log,
        Func::Log2 => log2,
        Func::Log10 => log10,
        Func::Log1p => log1p,
        Func::Sin => sin,
        Func::Cos => cos,
        Func::Tan => tan,
        Func::Asin => asin,
        Func::Acos => acos,
        Func::Atan => atan,
        Func::Sinh => sinh,
        Func::Cosh => cosh,
        Func::Tanh => tanh,
        Func::Asinh => asinh,
        Func::Acosh => acosh,
        Func::Atanh => atanh,
        Func::Erf => erf,
        Func::Erfc => erfc,
        Func::Gamma => gamma,
        Func::LogGamma => lgamma,
        Func::Floor => f64::floor,
        Func::Ceil => f64::ceil,
        Func::Trunc => f64::trunc,
        Func::Round => round,
        Func::RoundEven => rint,
        Func::Sign => sign,
        Func::Identity | Func::Conj | Func::Real => identity,
        _ => return None,
    })
}

/// The function of two `float64` behind a [`Func`] of two real operands and a result of the same type.
pub fn binary_f64(func: Func) -> Option<fn(f64, f64) -> f64> {
    Some(match func {
        Func::Pow => pow,
        Func::Atan2 => atan2,
        Func::Hypot => hypot,
        Func::CopySign => f64::copysign,
        Func::NextAfter => nextafter,
        Func::Fmod => fmod,
        Func::Fmin => fmin,
        Func::Fmax => fmax,
        _ => return None,
    })
}

fn identity(x: f64) -> f64 {
    x
}

/// Magnitude.
pub fn abs(x: f64) -> f64 {
    x.abs()
}

/// Square root, correctly rounded.
pub fn sqrt(x: f64) -> f64 {
    x.sqrt()
}

/// `1 / sqrt(x)`: two correctly rounded operations.
pub fn rsqrt(x: f64) -> f64 {
    1.0 / x.sqrt()
}

/// Half away from zero.
pub fn round(x: f64) -> f64 {
    x.round()
}

/// Half to even.
pub fn rint(x: f64) -> f64 {
    x.round_ties_even()
}

/// `-1`, `0` or `1`; NaN gives NaN, a zero itself.
pub fn sign(x: f64) -> f64 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// C `fmod`: exact, with the sign of the dividend.
pub fn fmod(x: f64, y: f64) -> f64 {
    libm::fmod(x, y)
}

/// C `fmodf`.
pub fn fmod_f32(x: f32, y: f32) -> f32 {
    libm::fmodf(x, y)
}

/// C `fmin`: a NaN loses; of two zeros the negative one.
pub fn fmin(x: f64, y: f64) -> f64 {
    if x.is_nan() {
        y
    } else if y.is_nan() || x < y || (x == y && x.is_sign_negative()) {
        x
    } else {
        y
    }
}

/// C `fmax`: a NaN loses; of two zeros the positive one.
pub fn fmax(x: f64, y: f64) -> f64 {
    if x.is_nan() {
        y
    } else if y.is_nan() || x > y || (x == y && x.is_sign_positive()) {
        x
    } else {
        y
    }
}

/// The next representable number after `x` towards `y`.
pub fn nextafter(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == y {
        y
    } else if x < y {
        x.next_up()
    } else {
        x.next_down()
    }
}

/// `x * 2^exponent`, rounded once.
pub fn ldexp(x: f64, exponent: i32) -> f64 {
    libm::ldexp(x, exponent)
}

/// `x * y + z` with one rounding.
pub fn fma(x: f64, y: f64, z: f64) -> f64 {
    libm::fma(x, y, z)
}

/// `x * y + z` with one rounding, in single precision.
pub fn fma_f32(x: f32, y: f32, z: f32) -> f32 {
    libm::fmaf(x, y, z)
}

/// `x` to an integer power by repeated multiplication in binary order: the squares `x, x^2, x^4, ...` that the
/// exponent names are multiplied, the lowest first; a negative exponent divides one by the result.
pub fn powi(x: f64, exponent: i32) -> f64 {
    let mut result = 1.0;
    let mut square = x;
    let mut left = exponent.unsigned_abs();
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    if exponent < 0 { 1.0 / result } else { result }
}

/// [`powi`] in single precision.
pub fn powi_f32(x: f32, exponent: i32) -> f32 {
    let mut result = 1.0;
    let mut square = x;
    let mut left = exponent.unsigned_abs();
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    if exponent < 0 { 1.0 / result } else { result }
}

macro_rules! delegated {
    ($($(#[$doc:meta])* $name:ident => $libm:path;)*) => {
        $($(#[$doc])* pub fn $name(x: f64) -> f64 { $libm(x) })*
    };
}

delegated! {
    /// Cube root.
    cbrt => inverse::cbrt;
    /// `e^x`.
    exp => exp::exp;
    /// `2^x`.
    exp2 => exp::exp2;
    /// `e^x - 1`.
    expm1 => exp::expm1;
    /// Natural logarithm.
    log => log::log;
    /// Logarithm to base 2.
    log2 => log::log2;
    /// Logarithm to base 10.
    log10 => log::log10;
    /// `log(1 + x)`.
    log1p => log::log1p;
    /// Inverse sine.
    asin => inverse::asin;
    /// Inverse cosine.
    acos => inverse::acos;
    /// Inverse tangent.
    atan => inverse::atan;
    /// Hyperbolic sine.
    sinh => hyperbolic::sinh;
    /// Hyperbolic cosine.
    cosh => hyperbolic::cosh;
    /// Hyperbolic tangent.
    tanh => hyperbolic::tanh;
    /// Inverse hyperbolic sine.
    asinh => hyperbolic::asinh;
    /// Inverse hyperbolic cosine.
    acosh => hyperbolic::acosh;
    /// Inverse hyperbolic tangent.
    atanh => hyperbolic::atanh;
    /// Error function.
    erf => libm::erf;
    /// Complementary error function.
    erfc => libm::erfc;
    /// Gamma function.
    gamma => libm::tgamma;
    /// Logarithm of the magnitude of the gamma function.
    lgamma => libm::lgamma;
}

/// Sine.
pub fn sin(x: f64) -> f64 {
    if x.abs() <= trig::LIMIT { trig::sin(x) } else { libm::sin(x) }
}

/// Cosine.
pub fn cos(x: f64) -> f64 {
    if x.abs() <= trig::LIMIT { trig::cos(x) } else { libm::cos(x) }
}

/// Tangent.
pub fn tan(x: f64) -> f64 {
    if x.abs() <= trig::LIMIT { trig::tan(x) } else { libm::tan(x) }
}

/// `x^y`.
pub fn pow(x: f64, y: f64) -> f64 {
    power::pow(x, y)
}

/// Phase of `(x, y)`, operands in C's order: `atan2(y, x)`.
pub fn atan2(y: f64, x: f64) -> f64 {
    inverse::atan2(y, x)
}

/// `sqrt(x^2 + y^2)` without spurious overflow.
pub fn hypot(x: f64, y: f64) -> f64 {
    hypot::hypot(x, y)
}
