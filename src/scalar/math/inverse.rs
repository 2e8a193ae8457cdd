//! Inverse trigonometric functions and the cube root.
//!
//! An inverse tangent is a multiple of `pi/4` and the inverse tangent of a quotient of at most `tan(pi/8)`, which is carried as a
//! pair; an inverse sine beyond one half is that of `sqrt((1 - x) / 2)`, half as far from a quarter turn. Polynomials are minimax,
//! with errors of `2^-57` of the result.

use super::lane::{Lane, Pair, fast_sum, polynomial, power, product, quotient_pair, root_pair, scale, sum};
use super::log::decomposed;

const TAN_PI_8: f64 = 0.414_213_562_373_095_03;
const TAN_3_PI_8: f64 = 2.414_213_562_373_095;

const PI: Pair<f64> = Pair { high: std::f64::consts::PI, low: 2.0 * HALF_PI.low };
const HALF_PI: Pair<f64> = Pair { high: std::f64::consts::FRAC_PI_2, low: 6.123_233_995_736_766e-17 };
/// Leading 48 bits of `pi/4`, of which small multiples are exact, and the rest.
const QUARTER_PI: Pair<f64> =
    Pair { high: f64::from_bits(0x3fe9_21fb_5444_2d00), low: f64::from_bits(0x3ce8_4698_98cc_5170) };

/// `(atan q - q) / q^3`, in powers of `q^2`.
const ARCTANGENT: [f64; 11] = [
    -0.333_333_333_333_333_3,
    0.199_999_999_999_957_77,
    -0.142_857_142_847_153_6,
    0.111_111_110_188_867_34,
    -0.090_909_047_152_767_07,
    0.076_921_861_678_312_76,
    -0.066_645_507_947_252_37,
    0.058_584_708_427_738_656,
    -0.050_870_416_906_149_81,
    0.039_275_247_672_701_31,
    -0.019_227_617_693_762_38,
];

/// `(asin s - s) / s^3`, in powers of `s^2`.
const ARCSINE: [f64; 13] = [
    0.166_666_666_666_666_69,
    0.074_999_999_999_982_4,
    0.044_642_857_146_724_06,
    0.030_381_944_110_903_607,
    0.022_372_174_011_251_012,
    0.017_352_368_323_572_86,
    0.013_971_565_773_347_31,
    0.011_475_820_222_094_126,
    0.010_344_119_517_495_342,
    0.005_368_224_465_055_698,
    0.017_638_104_725_856_515,
    -0.015_213_919_515_283_968,
    0.028_999_540_443_569_137,
];

/// The cube root between `sqrt(1/2)` and `sqrt(2)`, to `2^-16`.
const ROOT: [f64; 5] = [
    0.452_272_270_644_761_05,
    0.902_383_461_360_368_3,
    -0.532_031_411_228_265_2,
    0.214_619_748_548_704_47,
    -0.037_238_933_562_383_34,
];
const CBRT_2: f64 = 1.259_921_049_894_873_2;
const CBRT_4: f64 = 1.587_401_051_968_199_6;

/// What the inverse tangent of `q` is more than `q.high`, for magnitudes up to `tan(pi/8)`.
#[inline(always)]
fn beyond<T: Lane>(q: Pair<T>) -> T {
    let z = q.high * q.high;
    q.low + q.high * (z * polynomial(z, &ARCTANGENT))
}

/// `base + high + low`, the base at least as large as the rest, or zero.
#[inline(always)]
fn total<T: Lane>(base: Pair<T>, high: T, low: T) -> T {
    let leading = fast_sum(base.high, high);
    leading.high + (leading.low + (base.low + low))
}

/// Inverse tangent.
#[inline(always)]
pub fn atan<T: Lane>(x: T) -> T {
    let (zero, one) = (x.lit(0.0), x.lit(1.0));
    // Beyond the bound the result is that of the bound.
    let size = x.abs().clamped(0.0, 1e20);
    let is_middle = x.lit(TAN_PI_8).lt(size);
    let is_far = x.lit(TAN_3_PI_8).lt(size);
    let pick = |near: T, middle: T, far: T| far.if_else(is_far, middle.if_else(is_middle, near));
    let (less, more) = (sum(size, -one), sum(size, one));
    let above = Pair { high: pick(size, less.high, -one), low: pick(zero, less.low, zero) };
    let below = Pair { high: pick(one, more.high, size), low: pick(zero, more.low, zero) };
    let q = quotient_pair(above, below);
    let base = Pair {
        high: pick(zero, x.lit(HALF_PI.high * 0.5), x.lit(HALF_PI.high)),
        low: pick(zero, x.lit(HALF_PI.low * 0.5), x.lit(HALF_PI.low)),
    };
    let result = total(base, q.high, beyond(q));
    x.if_else(x.abs().lt(x.lit(1e-9)), result.with_sign_of(x))
}

/// Phase of the point `(x, y)`, with C's special values.
#[inline(always)]
pub fn atan2<T: Lane>(y: T, x: T) -> T {
    let (zero, one, two, four) = (x.lit(0.0), x.lit(1.0), x.lit(2.0), x.lit(4.0));
    let infinity = x.lit(f64::INFINITY);
    let (width, height) = (x.abs(), y.abs());
    let is_steep = width.lt(height);
    let (large, small) = (height.if_else(is_steep, width), width.if_else(is_steep, height));
    let is_endless = large.eq(infinity);
    let small = one.if_else(small.eq(infinity), zero.if_else(is_endless, small));
    let large = one.if_else(is_endless | large.eq(zero), large);
    let (scale, _) = scale(large);
    let (long, short) = (large * scale, small * scale);
    let is_diagonal = (long * x.lit(TAN_PI_8)).lt(short);
    let (less, more) = (sum(short, -long), sum(long, short));
    let q = quotient_pair(
        Pair { high: less.high.if_else(is_diagonal, short), low: less.low.if_else(is_diagonal, zero) },
        Pair { high: more.high.if_else(is_diagonal, long), low: more.low.if_else(is_diagonal, zero) },
    );
    // A quotient so small is its own inverse tangent, and rounds once.
    let is_slight = short.lt(long * x.lit(power(-400)));
    let q = Pair { high: (small / large).if_else(is_slight, q.high), low: zero.if_else(is_slight, q.low) };
    // Counted in eighths of a turn from the axis that is nearest, in the direction that leads there.
    let is_left = x.is_negative();
    let eighths = one.if_else(is_diagonal, zero);
    let eighths = (two - eighths).if_else(is_steep, eighths);
    let eighths = (four - eighths).if_else(is_left, eighths);
    let is_backward = (is_steep & !is_left) | (!is_steep & is_left);
    let low = beyond(q);
    let (high, low) = ((-q.high).if_else(is_backward, q.high), (-low).if_else(is_backward, low));
    let base = Pair { high: eighths * x.lit(QUARTER_PI.high), low: eighths * x.lit(QUARTER_PI.low) };
    let result = total(base, high, low).with_sign_of(y);
    x.lit(f64::NAN).if_else(!x.eq(x) | !y.eq(y), result)
}

/// Inverse sine.
#[inline(always)]
pub fn asin<T: Lane>(x: T) -> T {
    let size = x.abs();
    let is_large = x.lit(0.5).lt(size);
    let (root, share) = half_arc(size, is_large);
    let small = size + size * share;
    let rest = root.low + root.high * share;
    let large = total(half_pi(x), -(root.high + root.high), -(rest + rest));
    let result = large.if_else(is_large, small);
    x.if_else(size.lt(x.lit(1e-9)), result.with_sign_of(x))
}

/// Inverse cosine.
#[inline(always)]
pub fn acos<T: Lane>(x: T) -> T {
    let size = x.abs();
    let is_large = x.lit(0.5).lt(size);
    let (root, share) = half_arc(size, is_large);
    let small = total(half_pi(x), -x, -(x * share));
    let rest = root.low + root.high * share;
    let near = root.high + rest;
    let pi = Pair { high: x.lit(PI.high), low: x.lit(PI.low) };
    let far = total(pi, -(root.high + root.high), -(rest + rest));
    let large = far.if_else(x.lt(x.lit(0.0)), near + near);
    large.if_else(is_large, small)
}

/// `sqrt((1 - size) / 2)`, and by how much of itself an inverse sine is more than its argument: of that root where `is_large`, of
/// `size` elsewhere. NaN for a `size` above one.
#[inline(always)]
fn half_arc<T: Lane>(size: T, is_large: T::Mask) -> (Pair<T>, T) {
    let half_rest = (size.lit(1.0) - size) * size.lit(0.5);
    let root = root_pair(Pair { high: half_rest, low: size.lit(0.0) });
    let square = half_rest.if_else(is_large, size * size);
    (root, square * polynomial(square, &ARCSINE))
}

#[inline(always)]
fn half_pi<T: Lane>(x: T) -> Pair<T> {
    Pair { high: x.lit(HALF_PI.high), low: x.lit(HALF_PI.low) }
}

/// Cube root: a polynomial, one of Halley's steps, and one of Newton's with what is left of the cube exactly.
#[inline(always)]
pub fn cbrt<T: Lane>(x: T) -> T {
    let (zero, one, two) = (x.lit(0.0), x.lit(1.0), x.lit(2.0));
    let size = x.abs();
    let (k, m) = decomposed(size);
    let third = ((k + x.lit(0.5)) * x.lit(1.0 / 3.0)).floor();
    let left = k - third * x.lit(3.0);
    let (is_one, is_two) = (left.eq(one), left.eq(two));
    let pick = |none: f64, first: f64, second: f64| {
        x.lit(second).if_else(is_two, x.lit(first).if_else(is_one, x.lit(none)))
    };
    let value = m * pick(1.0, 2.0, 4.0);
    let guess = polynomial(m, &ROOT) * pick(1.0, CBRT_2, CBRT_4);
    let cube = guess * guess * guess;
    let root = guess * ((cube + (value + value)) / (cube + cube + value));
    let square = product(root, root);
    let cube = product(square.high, root);
    let missing = ((value - cube.high) - cube.low) - square.low * root;
    let root = root + missing / (square.high * x.lit(3.0));
    let result = (root * third.clamped(-400.0, 400.0).power_of_two()).with_sign_of(x);
    // Zeros, infinities and NaN are their own roots.
    result.if_else(zero.lt(size) & size.lt(x.lit(f64::INFINITY)), x)
}
