//! Logarithms.
//!
//! `x = 2^k m` with `m` between `sqrt(1/2)` and `sqrt(2)`; with `f = m - 1` and `s = f / (2 + f)`,
//! `log m = f - f^2/2 + s (f^2/2 + s^2 P(s^2))`, `P` of degree 6 (minimax, error `2^-58`). The first two terms are summed
//! exactly, so only the last addition rounds visibly.

use super::exp::{LN2_HIGH, LN2_LOW};
use super::lane::{Lane, Pair, fast_sum, polynomial, product, sum};

/// `(log((1 + s) / (1 - s)) - 2 s) / s^3`, in powers of `s^2`.
const SERIES: [f64; 7] = [
    0.666_666_666_666_673_4,
    0.399_999_999_994_133_5,
    0.285_714_287_428_353_5,
    0.222_221_985_147_551_5,
    0.181_835_679_153_725_34,
    0.153_139_462_118_389_2,
    0.147_971_072_565_002_94,
];

const INVERSE_LN2: Pair<f64> = Pair { high: std::f64::consts::LOG2_E, low: 2.035_527_374_093_103_3e-17 };
const INVERSE_LN10: Pair<f64> = Pair { high: std::f64::consts::LOG10_E, low: 1.098_319_650_216_765e-17 };
/// Leading 42 bits of `log10 2`.
const LOG10_2_HIGH: f64 = f64::from_bits(0x3fd3_4413_509f_7800);
/// The rest.
const LOG10_2_LOW: f64 = 2.836_339_455_104_496_4e-14;

/// `k` and `m` of a positive number.
#[inline(always)]
pub(super) fn decomposed<T: Lane>(x: T) -> (T, T) {
    let smallest = x.lit(f64::MIN_POSITIVE);
    let is_subnormal = x.lt(smallest);
    let normal = (x * x.lit(18_014_398_509_481_984.0)).if_else(is_subnormal, x);
    // Counted from sqrt(1/2), the exponent field steps where m does.
    let shifted = normal.add_bits(ONE_BITS - ROOT_HALF_BITS);
    let exponent =
        shifted.shift_right(52).or_bits(0x4330_0000_0000_0000) - x.lit(4_503_599_627_370_496.0 + 1023.0);
    let k = (exponent - x.lit(54.0)).if_else(is_subnormal, exponent);
    let m = shifted.and_bits((1 << 52) - 1).add_bits(ROOT_HALF_BITS);
    (k, m)
}

const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
/// Just below `sqrt(1/2)`.
const ROOT_HALF_BITS: u64 = 0x3fe6_a09e_0000_0000;

/// `log(1 + f.high + f.low)` as a pair, for `f` between -0.3 and 0.42.
#[inline(always)]
fn log_of_one_plus<T: Lane>(f: Pair<T>) -> Pair<T> {
    let one = f.high.lit(1.0);
    let s = f.high / (f.high.lit(2.0) + f.high);
    let z = s * s;
    let half_square = f.high * f.high * f.high.lit(0.5);
    let series = s * (half_square + z * polynomial(z, &SERIES));
    let leading = fast_sum(f.high, -half_square);
    Pair { high: leading.high, low: leading.low + (series + f.low * (one - f.high)) }
}

/// `k` and `log m`.
#[inline(always)]
fn parts<T: Lane>(x: T) -> (T, Pair<T>) {
    let (k, m) = decomposed(x);
    (k, log_of_one_plus(Pair { high: m - x.lit(1.0), low: x.lit(0.0) }))
}

/// What the formula cannot know: zeros, negative numbers, infinity and NaN.
#[inline(always)]
fn with_special_values<T: Lane>(x: T, result: T) -> T {
    let zero = x.lit(0.0);
    let result = x.lit(f64::NEG_INFINITY).if_else(x.eq(zero), result);
    let result = x.lit(f64::NAN).if_else(x.lt(zero), result);
    // Infinity gives itself, NaN too.
    result.if_else(x.lt(x.lit(f64::INFINITY)), x)
}

/// Natural logarithm.
#[inline(always)]
pub fn log<T: Lane>(x: T) -> T {
    let (k, log) = parts(x);
    let leading = fast_sum(k * k.lit(LN2_HIGH), log.high);
    with_special_values(x, leading.high + (leading.low + (log.low + k * k.lit(LN2_LOW))))
}

/// Logarithm to base 2.
#[inline(always)]
pub fn log2<T: Lane>(x: T) -> T {
    let (k, log) = parts(x);
    let scaled = product(log.high, x.lit(INVERSE_LN2.high));
    let low = scaled.low + (log.high * x.lit(INVERSE_LN2.low) + log.low * x.lit(INVERSE_LN2.high));
    let leading = fast_sum(k, scaled.high);
    with_special_values(x, leading.high + (leading.low + low))
}

/// Logarithm to base 10.
#[inline(always)]
pub fn log10<T: Lane>(x: T) -> T {
    let (k, log) = parts(x);
    let scaled = product(log.high, x.lit(INVERSE_LN10.high));
    let low = scaled.low + (log.high * x.lit(INVERSE_LN10.low) + log.low * x.lit(INVERSE_LN10.high));
    let leading = fast_sum(k * k.lit(LOG10_2_HIGH), scaled.high);
    with_special_values(x, leading.high + (leading.low + (low + k * k.lit(LOG10_2_LOW))))
}

/// `log(1 + x)`.
#[inline(always)]
pub fn log1p<T: Lane>(x: T) -> T {
    let result = log1p_of_pair(Pair { high: x, low: x.lit(0.0) });
    let result = x.lit(f64::NEG_INFINITY).if_else(x.eq(x.lit(-1.0)), result);
    let result = x.lit(f64::NAN).if_else(x.lt(x.lit(-1.0)), result);
    let result = result.if_else(x.lt(x.lit(f64::INFINITY)), x);
    x.if_else(x.abs().lt(x.lit(1e-17)), result)
}

/// `log(1 + x.high + x.low)`, for finite `x` above -1.
#[inline(always)]
pub(super) fn log1p_of_pair<T: Lane>(x: Pair<T>) -> T {
    let one = x.high.lit(1.0);
    let whole = sum(one, x.high);
    let (k, m) = decomposed(whole.high);
    // What rounding 1 + x lost, in the scale of m.
    let lost = (whole.low + x.low) * (-k).clamped(-1022.0, 1022.0).power_of_two();
    let log = log_of_one_plus(Pair { high: m - one, low: lost });
    let leading = fast_sum(k * k.lit(LN2_HIGH), log.high);
    leading.high + (leading.low + (log.low + k * k.lit(LN2_LOW)))
}

/// `log(2 x)`, which must not overflow.
#[inline(always)]
pub(super) fn log_of_twice<T: Lane>(x: T) -> T {
    let (k, log) = parts(x);
    let k = k + x.lit(1.0);
    let leading = fast_sum(k * k.lit(LN2_HIGH), log.high);
    with_special_values(x, leading.high + (leading.low + (log.low + k * k.lit(LN2_LOW))))
}

/// `log x` of a positive finite number to about `2^-68`, for powers.
#[inline(always)]
pub(super) fn precise_log<T: Lane>(x: T) -> Pair<T> {
    let (k, m) = decomposed(x);
    let f = m - x.lit(1.0);
    let two = x.lit(2.0);
    // s = f / (2 + f)
    let below = fast_sum(two, f);
    let high = f / below.high;
    let back = product(high, below.high);
    let s = fast_sum(high, (((f - back.high) - back.low) - high * below.low) / below.high);
    // z = s^2
    let square = product(s.high, s.high);
    let z = fast_sum(square.high, square.low + two * s.high * s.low);
    // (2/3 + z (2/5 + z P(z))) in pairs
    let inner = fast_sum(
        x.lit(TWO_FIFTHS.high),
        z.high * polynomial(z.high, &PRECISE_SERIES) + x.lit(TWO_FIFTHS.low),
    );
    let inner = times(z, inner);
    let outer = fast_sum(x.lit(TWO_THIRDS.high), inner.high);
    let outer = fast_sum(outer.high, outer.low + (inner.low + x.lit(TWO_THIRDS.low)));
    let cubic = times(times(s, z), outer);
    let doubled = Pair { high: s.high * two, low: s.low * two };
    let log = fast_sum(doubled.high, cubic.high);
    let log = fast_sum(log.high, log.low + (cubic.low + doubled.low));
    let leading = fast_sum(k * k.lit(LN2_HIGH), log.high);
    let low_product = product(k, k.lit(LN2_LOW));
    let next = sum(leading.low, low_product.high);
    fast_sum(leading.high, next.high + (next.low + (log.low + low_product.low)))
}

const TWO_THIRDS: Pair<f64> = Pair { high: 2.0 / 3.0, low: 3.700_743_415_417_188e-17 };
const TWO_FIFTHS: Pair<f64> = Pair { high: 0.4, low: -2.220_446_049_250_313_2e-17 };

/// What follows `2/3 + 2/5 z` in the series, divided by `z^2`.
const PRECISE_SERIES: [f64; 7] = [
    0.285_714_285_714_286,
    0.222_222_222_221_393_84,
    0.181_818_182_266_130_14,
    0.153_846_063_081_799_9,
    0.133_342_075_900_470_34,
    0.117_216_373_944_072_64,
    0.115_684_197_025_187_9,
];

#[inline(always)]
pub(super) fn times<T: Lane>(a: Pair<T>, b: Pair<T>) -> Pair<T> {
    let leading = product(a.high, b.high);
    fast_sum(leading.high, leading.low + (a.high * b.low + a.low * b.high))
}
