//! Sine, cosine, tangent.
//!
//! `x = n pi/2 + y` with `|y| <= pi/4`, by three exact steps of 33 bits of `pi/2` and a fourth that rounds; then
//! polynomials in `y^2` (minimax, errors `2^-58`). That holds up to [`LIMIT`]; beyond it the functions are `libm`'s, which
//! reduces with as many bits as it takes.

use super::lane::{Lane, Pair, fast_sum, polynomial, product, sum};

/// Up to this magnitude the reduction here is exact.
pub const LIMIT: f64 = 1_048_576.0;

const TWO_OVER_PI: f64 = std::f64::consts::FRAC_2_PI;
const HALF_PI: [f64; 4] = [
    f64::from_bits(0x3ff9_21fb_5440_0000),
    f64::from_bits(0x3dd0_b461_1a60_0000),
    f64::from_bits(0x3ba3_198a_2e00_0000),
    f64::from_bits(0x397b_839a_2520_49c1),
];

/// `(sin y - y) / y^3`, in powers of `y^2`.
const SINE: [f64; 6] = [
    -0.166_666_666_666_666_32,
    0.008_333_333_333_322_384,
    -0.000_198_412_698_297_803_42,
    2.755_731_368_136_953e-6,
    -2.505_075_633_190_204e-8,
    1.589_668_569_947_398e-10,
];

/// `(cos y - 1 + y^2/2) / y^4`, in powers of `y^2`.
const COSINE: [f64; 6] = [
    0.041_666_666_666_666_6,
    -0.001_388_888_888_887_418_3,
    2.480_158_728_950_776e-5,
    -2.755_731_435_715_466e-7,
    2.087_572_365_068_081_3e-9,
    -1.135_965_546_527_331_1e-11,
];

/// `n` modulo 4, and `y`.
#[inline(always)]
fn reduced<T: Lane>(x: T) -> (T, Pair<T>) {
    let n = (x * x.lit(TWO_OVER_PI)).nearest();
    let first = x - n * n.lit(HALF_PI[0]);
    let second = sum(first, -(n * n.lit(HALF_PI[1])));
    let third = sum(second.high, -(n * n.lit(HALF_PI[2])));
    let low = third.low + (second.low - n * n.lit(HALF_PI[3]));
    let quarter = n - (n * n.lit(0.25)).floor() * n.lit(4.0);
    (quarter, fast_sum(third.high, low))
}

#[inline(always)]
fn sine_of<T: Lane>(y: Pair<T>, z: T) -> T {
    let one = z.lit(1.0);
    y.high + (y.high * z * polynomial(z, &SINE) + y.low * (one - z * z.lit(0.5)))
}

#[inline(always)]
fn cosine_of<T: Lane>(y: Pair<T>, z: T) -> T {
    let one = z.lit(1.0);
    let half = z * z.lit(0.5);
    let leading = one - half;
    leading + (((one - leading) - half) + (z * z * polynomial(z, &COSINE) - y.high * y.low))
}

/// Sine or cosine: the sine of `quarters` quarter turns more.
#[inline(always)]
fn turned<T: Lane>(x: T, quarters: f64) -> T {
    let (quarter, y) = reduced(x);
    let quarter = quarter + x.lit(quarters);
    let z = y.high * y.high;
    let (one, two, three) = (x.lit(1.0), x.lit(2.0), x.lit(3.0));
    let takes_cosine = quarter.eq(one) | quarter.eq(three);
    let value = cosine_of(y, z).if_else(takes_cosine, sine_of(y, z));
    let negative = quarter.eq(two) | quarter.eq(three);
    (-value).if_else(negative, value)
}

/// Sine, for magnitudes up to [`LIMIT`].
#[inline(always)]
pub fn sin<T: Lane>(x: T) -> T {
    // Tiny arguments, zeros with their sign among them, are their own sine.
    x.if_else(x.abs().lt(x.lit(1e-9)), turned(x, 0.0))
}

/// Cosine, for magnitudes up to [`LIMIT`].
#[inline(always)]
pub fn cos<T: Lane>(x: T) -> T {
    turned(x, 1.0)
}

/// Tangent, for magnitudes up to [`LIMIT`]: the quotient of a sine and a cosine that carry what they rounded.
#[inline(always)]
pub fn tan<T: Lane>(x: T) -> T {
    let (quarter, y) = reduced(x);
    let (one, half) = (x.lit(1.0), x.lit(0.5));
    let square = product(y.high, y.high);
    let z = square.high;
    let sine = fast_sum(y.high, y.high * z * polynomial(z, &SINE) + y.low * (one - z * half));
    let leading = fast_sum(one, -(z * half));
    let rest = z * z * polynomial(z, &COSINE) - (y.high * y.low + square.low * half);
    let cosine = fast_sum(leading.high, leading.low + rest);
    let odd = quarter.eq(one) | quarter.eq(x.lit(3.0));
    let above =
        Pair { high: (-cosine.high).if_else(odd, sine.high), low: (-cosine.low).if_else(odd, sine.low) };
    let below = Pair { high: sine.high.if_else(odd, cosine.high), low: sine.low.if_else(odd, cosine.low) };
    x.if_else(x.abs().lt(x.lit(1e-9)), above.quotient(below))
}
