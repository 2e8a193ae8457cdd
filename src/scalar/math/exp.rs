//! Exponentials.
//!
//! `x = k ln 2 + r` with an integer `k` and `|r| <= ln 2 / 2`; `e^r` is `1 + r + r^2/2` and a polynomial of degree 9
//! times `r^3` (minimax, error `2^-61`), summed so that only the last addition rounds visibly.

use super::lane::{Lane, Pair, fast_sum, polynomial, product, sum};

const INVERSE_LN2: f64 = std::f64::consts::LOG2_E;
/// Leading 42 bits of `ln 2`: times any exponent it is exact.
pub(super) const LN2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fefa_3800);
/// The rest.
pub(super) const LN2_LOW: f64 = 5.497_923_018_708_371e-14;
/// `ln 2` in two full numbers.
const LN2: Pair<f64> = Pair { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };

/// `(e^r - 1 - r - r^2/2) / r^3`.
const TAIL: [f64; 10] = [
    0.16666666666666682,
    0.0416666666666667,
    0.00833333333331681,
    0.0013888888888865046,
    0.00019841269896946341,
    2.480158736534486e-05,
    2.7557234307369307e-06,
    2.7557238469218986e-07,
    2.511222581598243e-08,
    2.092574291667832e-09,
];

/// `e^(r.high + r.low) - 1` for small `r`, as a pair whose parts do not overlap much.
#[inline(always)]
fn tail<T: Lane>(r: Pair<T>) -> Pair<T> {
    let square = r.high * r.high;
    let half_square = square * r.high.lit(0.5);
    let rest = r.high * square * polynomial(r.high, &TAIL) + r.low * (r.high + r.high.lit(1.0));
    let leading = fast_sum(r.high, half_square);
    Pair { high: leading.high, low: leading.low + rest }
}

/// `k` and `r` of an argument `x.high + x.low` that is not out of range.
#[inline(always)]
fn reduced<T: Lane>(x: Pair<T>) -> (T, Pair<T>) {
    let k = (x.high * x.high.lit(INVERSE_LN2)).nearest();
    let first = x.high - k * k.lit(LN2_HIGH);
    let second = k * k.lit(LN2_LOW);
    let high = first - second;
    // The low part may be large beside a small remainder.
    (k, fast_sum(high, ((first - high) - second) + x.low))
}

/// `value * 2^k` for integers `k` between -2000 and 2000, rounded once.
#[inline(always)]
fn scaled<T: Lane>(value: T, k: T) -> T {
    let half = (k * k.lit(0.5)).nearest();
    value * half.power_of_two() * (k - half).power_of_two()
}

/// `e^(x.high + x.low)`; 0 and infinity where the result is too small or large.
#[inline(always)]
pub(super) fn exp_of_pair<T: Lane>(x: Pair<T>) -> T {
    let clamped = x.high.clamped(-746.0, 710.0);
    let (k, r) = reduced(Pair { high: clamped, low: x.low });
    let rest = tail(r);
    let one = fast_sum(clamped.lit(1.0), rest.high);
    scaled(one.high + (one.low + rest.low), k)
}

/// `e^x`.
#[inline(always)]
pub fn exp<T: Lane>(x: T) -> T {
    exp_of_pair(Pair { high: x, low: x.lit(0.0) })
}

/// `2^x`.
#[inline(always)]
pub fn exp2<T: Lane>(x: T) -> T {
    let x = x.clamped(-1076.0, 1024.5);
    let k = x.nearest();
    let fraction = x - k;
    let r = product(fraction, x.lit(LN2.high));
    let r = fast_sum(r.high, r.low + fraction * x.lit(LN2.low));
    let rest = tail(r);
    let one = fast_sum(x.lit(1.0), rest.high);
    scaled(one.high + (one.low + rest.low), k)
}

/// `e^x - 1` for `|x| < 700`, as a pair.
#[inline(always)]
pub(super) fn expm1_pair<T: Lane>(x: T) -> Pair<T> {
    let (k, r) = reduced(Pair { high: x, low: x.lit(0.0) });
    let rest = tail(r);
    // 2^k (1 + rest) - 1 = (2^k - 1) + 2^k rest
    let scale = (k.clamped(-1000.0, 1010.0)).power_of_two();
    let offset = sum(scale, x.lit(-1.0));
    let leading = sum(offset.high, scale * rest.high);
    fast_sum(leading.high, leading.low + (offset.low + scale * rest.low))
}

/// `e^x - 1`.
#[inline(always)]
pub fn expm1<T: Lane>(x: T) -> T {
    // Beyond 60 the one is lost in rounding; below -60 the exponential is.
    let middle = expm1_pair(x.clamped(-60.0, 60.0)).rounded();
    let large = exp(x);
    let result = large.if_else(x.lit(60.0).lt(x), middle);
    // Tiny arguments, zeros with their sign among them, are their own result.
    x.if_else(x.abs().lt(x.lit(1e-17)), result)
}

/// `e^|x| / 2` for `|x| > 22`.
#[inline(always)]
pub(super) fn half_exp<T: Lane>(x: T) -> T {
    let clamped = x.abs().clamped(0.0, 712.0);
    let (k, r) = reduced(Pair { high: clamped, low: x.lit(0.0) });
    let rest = tail(r);
    let one = fast_sum(clamped.lit(1.0), rest.high);
    scaled(one.high + (one.low + rest.low), k - k.lit(1.0))
}

/// `e^|x|` as a pair, for `|x| < 300`.
#[inline(always)]
pub(super) fn exp_pair<T: Lane>(x: T) -> Pair<T> {
    let (k, r) = reduced(Pair { high: x.abs(), low: x.lit(0.0) });
    let rest = tail(r);
    let one = fast_sum(x.lit(1.0), rest.high);
    let scale = k.clamped(-1000.0, 1010.0).power_of_two();
    fast_sum(one.high * scale, (one.low + rest.low) * scale)
}
