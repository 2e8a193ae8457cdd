//! Hyperbolic functions and their inverses, from exponentials and logarithms that carry what they rounded.

use super::exp::{exp_pair, expm1_pair, half_exp};
use super::lane::{Lane, Pair, fast_sum, product, quotient_pair, root_pair, sum};
use super::log::{log_of_twice, log1p_of_pair};

/// Hyperbolic tangent: `t / (t + 2)` with `t = e^(2|x|) - 1`.
#[inline(always)]
pub fn tanh<T: Lane>(x: T) -> T {
    let size = x.abs().clamped(0.0, 20.0);
    let t = expm1_pair(size + size);
    let below = sum(x.lit(2.0), t.high);
    let result = t.quotient(Pair { high: below.high, low: below.low + t.low });
    x.if_else(x.abs().lt(x.lit(1e-9)), result.with_sign_of(x))
}

/// Hyperbolic sine: `(t + t / (t + 1)) / 2` with `t = e^|x| - 1`.
#[inline(always)]
pub fn sinh<T: Lane>(x: T) -> T {
    let size = x.abs().clamped(0.0, 22.0);
    let t = expm1_pair(size);
    let one = sum(x.lit(1.0), t.high);
    let one = Pair { high: one.high, low: one.low + t.low };
    let back = quotient_pair(t, one);
    let total = sum(t.high, back.high);
    let small = (total.high + (total.low + (t.low + back.low))) * x.lit(0.5);
    let result = half_exp(x).if_else(x.lit(22.0).lt(x.abs()), small);
    x.if_else(x.abs().lt(x.lit(1e-9)), result.with_sign_of(x))
}

/// Hyperbolic cosine: `(e^|x| + e^-|x|) / 2`.
#[inline(always)]
pub fn cosh<T: Lane>(x: T) -> T {
    let size = x.abs().clamped(0.0, 22.0);
    let e = exp_pair(size);
    let inverse = x.lit(1.0) / e.high;
    let total = fast_sum(e.high, inverse);
    let small = (total.high + (total.low + e.low)) * x.lit(0.5);
    half_exp(x).if_else(x.lit(22.0).lt(x.abs()), small)
}

/// Inverse hyperbolic sine: `log1p(|x| + x^2 / (1 + sqrt(x^2 + 1)))`, `log(2|x|)` where that is the same.
#[inline(always)]
pub fn asinh<T: Lane>(x: T) -> T {
    let size = x.abs().clamped(0.0, 1e8);
    let square = product(size, size);
    let root = root_pair(plus(square, x.lit(1.0)));
    let share = quotient_pair(square, plus(root, x.lit(1.0)));
    let total = sum(size, share.high);
    let near = log1p_of_pair(Pair { high: total.high, low: total.low + share.low });
    let result = log_of_twice(x.abs()).if_else(x.lit(1e8).lt(x.abs()), near);
    x.if_else(x.abs().lt(x.lit(1e-9)), result.with_sign_of(x))
}

/// Inverse hyperbolic cosine: `log1p(t + sqrt(2 t + t^2))` with `t = x - 1`, `log(2 x)` where that is the same.
#[inline(always)]
pub fn acosh<T: Lane>(x: T) -> T {
    let one = x.lit(1.0);
    let t = x.clamped(1.0, 1e8) - one;
    let square = product(t, t);
    let root = root_pair(plus(square, t + t));
    let total = sum(t, root.high);
    let near = log1p_of_pair(Pair { high: total.high, low: total.low + root.low });
    let result = log_of_twice(x).if_else(x.lit(1e8).lt(x), near);
    x.lit(f64::NAN).if_else(x.lt(one), result)
}

/// Inverse hyperbolic tangent: `log1p(2 |x| / (1 - |x|)) / 2`.
#[inline(always)]
pub fn atanh<T: Lane>(x: T) -> T {
    let one = x.lit(1.0);
    let size = x.abs();
    let inside = size.clamped(0.0, 1.0 - f64::EPSILON / 2.0);
    let below = sum(one, -inside);
    let ratio = quotient_pair(Pair { high: inside + inside, low: x.lit(0.0) }, below);
    let result = log1p_of_pair(ratio) * x.lit(0.5);
    let result = x.lit(f64::INFINITY).if_else(size.eq(one), result);
    let result = x.lit(f64::NAN).if_else(one.lt(size), result);
    x.if_else(size.lt(x.lit(1e-9)), result.with_sign_of(x))
}

/// The sum with one more number.
#[inline(always)]
fn plus<T: Lane>(a: Pair<T>, b: T) -> Pair<T> {
    let total = sum(a.high, b);
    fast_sum(total.high, total.low + a.low)
}
