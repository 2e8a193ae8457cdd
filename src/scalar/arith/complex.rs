//! Functions of complex numbers, in double precision, on top of [`math`](super::super::math).
//!
//! Products are the textbook `(ac - bd, ad + bc)`. Division is Smith's algorithm (scale by the larger component
//! of the divisor), which neither overflows nor underflows without need. `pow` with a real integer exponent of
//! magnitude below 100 multiplies in binary order, otherwise it is `exp(w log z)`; zero to any other power with a
//! positive real part is zero. `complex64` functions compute here and round.

use num_complex::{Complex32, Complex64};

use super::super::math;

/// `a / b` by Smith's algorithm.
pub fn divide(a: Complex64, b: Complex64) -> Complex64 {
    if b.re.abs() >= b.im.abs() {
        if b.re == 0.0 && b.im == 0.0 {
            return Complex64::new(a.re / b.re.abs(), a.im / b.re.abs());
        }
        let ratio = b.im / b.re;
        let scale = 1.0 / (b.re + b.im * ratio);
        Complex64::new((a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale)
    } else {
        let ratio = b.re / b.im;
        let scale = 1.0 / (b.re * ratio + b.im);
        Complex64::new((a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale)
    }
}

/// `a / b` by Smith's algorithm, in single precision.
pub fn divide_f32(a: Complex32, b: Complex32) -> Complex32 {
    if b.re.abs() >= b.im.abs() {
        if b.re == 0.0 && b.im == 0.0 {
            return Complex32::new(a.re / b.re.abs(), a.im / b.re.abs());
        }
        let ratio = b.im / b.re;
        let scale = 1.0 / (b.re + b.im * ratio);
        Complex32::new((a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale)
    } else {
        let ratio = b.re / b.im;
        let scale = 1.0 / (b.re * ratio + b.im);
        Complex32::new((a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale)
    }
}

/// `a * b`.
pub fn multiply(a: Complex64, b: Complex64) -> Complex64 {
    Complex64::new(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re)
}

/// Magnitude.
pub fn abs(z: Complex64) -> f64 {
    math::hypot(z.re, z.im)
}

/// Phase in `[-pi, pi]`.
pub fn arg(z: Complex64) -> f64 {
    math::atan2(z.im, z.re)
}

/// Exponential.
pub fn exp(z: Complex64) -> Complex64 {
    let size = math::exp(z.re);
    if z.im == 0.0 {
        return Complex64::new(size, z.im);
    }
    if size == 0.0 {
        return Complex64::new(0.0, 0.0);
    }
    if z.re == f64::INFINITY && !z.im.is_finite() {
        return Complex64::new(f64::INFINITY, f64::NAN);
    }
    Complex64::new(size * math::cos(z.im), size * math::sin(z.im))
}

/// Principal logarithm.
pub fn log(z: Complex64) -> Complex64 {
    Complex64::new(math::log(abs(z)), arg(z))
}

/// Principal square root.
pub fn sqrt(z: Complex64) -> Complex64 {
    if z.re == 0.0 && z.im == 0.0 {
        return Complex64::new(0.0, z.im);
    }
    if z.im.is_infinite() {
        return Complex64::new(f64::INFINITY, z.im);
    }
    if z.re.is_infinite() {
        return if z.re > 0.0 {
            Complex64::new(z.re, if z.im.is_nan() { z.im } else { 0.0_f64.copysign(z.im) })
        } else {
            Complex64::new(if z.im.is_nan() { z.im } else { 0.0 }, f64::INFINITY.copysign(z.im))
        };
    }
    // Scaled so that the magnitude can neither overflow nor lose bits.
    let (scale, back) = if z.re.abs().max(z.im.abs()) > 1e300 {
        (0.25, 2.0)
    } else if z.re.abs().max(z.im.abs()) < 1e-290 {
        (2.0_f64.powi(108), 2.0_f64.powi(-54))
    } else {
        (1.0, 1.0)
    };
    let (re, im) = (z.re * scale, z.im * scale);
    let size = ((re.abs() + math::hypot(re, im)) * 0.5).sqrt();
    let other = im / (size * 2.0);
    let root =
        if re >= 0.0 { Complex64::new(size, other) } else { Complex64::new(other.abs(), size.copysign(im)) };
    Complex64::new(root.re * back, root.im * back)
}

/// `a` to the power `b`.
pub fn pow(a: Complex64, b: Complex64) -> Complex64 {
    if b.im == 0.0 && b.re.abs() < 100.0 && b.re == b.re.trunc() {
        return powi(a, b.re as i32);
    }
    if a.re == 0.0 && a.im == 0.0 {
        return if b.re > 0.0 { Complex64::new(0.0, 0.0) } else { Complex64::new(f64::NAN, f64::NAN) };
    }
    exp(multiply(b, log(a)))
}

/// `a` to an integer power, by repeated multiplication in binary order.
pub fn powi(a: Complex64, exponent: i32) -> Complex64 {
    let mut result = Complex64::new(1.0, 0.0);
    let mut square = a;
    let mut left = exponent.unsigned_abs();
    let mut first = true;
    while left > 0 {
        if left & 1 == 1 {
            result = if first { square } else { multiply(result, square) };
            first = false;
        }
        left >>= 1;
        if left > 0 {
            square = multiply(square, square);
        }
    }
    if exponent < 0 { divide(Complex64::new(1.0, 0.0), result) } else { result }
}

/// Sine.
pub fn sin(z: Complex64) -> Complex64 {
    Complex64::new(math::sin(z.re) * math::cosh(z.im), math::cos(z.re) * math::sinh(z.im))
}

/// Cosine.
pub fn cos(z: Complex64) -> Complex64 {
    Complex64::new(math::cos(z.re) * math::cosh(z.im), -(math::sin(z.re) * math::sinh(z.im)))
}

/// Tangent.
pub fn tan(z: Complex64) -> Complex64 {
    turn_back(tanh(turn(z)))
}

/// Hyperbolic sine.
pub fn sinh(z: Complex64) -> Complex64 {
    Complex64::new(math::sinh(z.re) * math::cos(z.im), math::cosh(z.re) * math::sin(z.im))
}

/// Hyperbolic cosine.
pub fn cosh(z: Complex64) -> Complex64 {
    Complex64::new(math::cosh(z.re) * math::cos(z.im), math::sinh(z.re) * math::sin(z.im))
}

/// Hyperbolic tangent.
pub fn tanh(z: Complex64) -> Complex64 {
    if z.re.abs() > 20.0 {
        // cosh overflows long before the result leaves one.
        let decay = math::exp(-2.0 * z.re.abs());
        return Complex64::new(1.0_f64.copysign(z.re), 4.0 * math::sin(z.im) * math::cos(z.im) * decay);
    }
    let (sine, cosine) = (math::sin(z.im), math::cos(z.im));
    let (sinh, cosh) = (math::sinh(z.re), math::cosh(z.re));
    let below = sinh * sinh + cosine * cosine;
    Complex64::new(sinh * cosh / below, sine * cosine / below)
}

/// Principal inverse sine: `-i asinh(iz)`.
pub fn asin(z: Complex64) -> Complex64 {
    turn_back(asinh(turn(z)))
}

/// Principal inverse cosine, after Kahan.
pub fn acos(z: Complex64) -> Complex64 {
    let below = sqrt(Complex64::new(1.0 - z.re, -z.im));
    let above = sqrt(Complex64::new(1.0 + z.re, z.im));
    let conjugate = Complex64::new(above.re, -above.im);
    Complex64::new(2.0 * math::atan2(below.re, above.re), math::asinh(multiply(conjugate, below).im))
}

/// Principal inverse tangent: `-i atanh(iz)`.
pub fn atan(z: Complex64) -> Complex64 {
    turn_back(atanh(turn(z)))
}

/// Principal inverse hyperbolic sine, after Kahan.
pub fn asinh(z: Complex64) -> Complex64 {
    let plus = sqrt(Complex64::new(1.0 + z.im, -z.re));
    let minus = sqrt(Complex64::new(1.0 - z.im, z.re));
    Complex64::new(
        math::asinh(plus.re * minus.im - minus.re * plus.im),
        math::atan2(z.im, plus.re * minus.re - plus.im * minus.im),
    )
}

/// Principal inverse hyperbolic cosine, after Kahan.
pub fn acosh(z: Complex64) -> Complex64 {
    let below = sqrt(Complex64::new(z.re - 1.0, z.im));
    let above = sqrt(Complex64::new(z.re + 1.0, z.im));
    let conjugate = Complex64::new(below.re, -below.im);
    Complex64::new(math::asinh(multiply(conjugate, above).re), 2.0 * math::atan2(below.im, above.re))
}

/// Principal inverse hyperbolic tangent: `(log(1 + z) - log(1 - z)) / 2`, by real and imaginary part.
pub fn atanh(z: Complex64) -> Complex64 {
    let imaginary_square = z.im * z.im;
    let far = (1.0 + z.re) * (1.0 + z.re) + imaginary_square;
    let near = (1.0 - z.re) * (1.0 - z.re) + imaginary_square;
    let re = 0.25 * math::log1p(4.0 * z.re / near);
    let re = if far == 0.0 { f64::NEG_INFINITY } else { re };
    let im = 0.5 * math::atan2(2.0 * z.im, (1.0 - z.re) * (1.0 + z.re) - imaginary_square);
    Complex64::new(re, im)
}

/// `iz`.
fn turn(z: Complex64) -> Complex64 {
    Complex64::new(-z.im, z.re)
}

/// `-iz`.
fn turn_back(z: Complex64) -> Complex64 {
    Complex64::new(z.im, -z.re)
}
