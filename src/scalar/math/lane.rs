//! What a number has to offer so that the math functions can be written once for all engines.
//!
//! The cores of the math functions are straight-line code over a [`Lane`]: no branches, no tables, no fused
//! operations, only what every processor's vector unit has. Run on `f64` they are the functions themselves; run
//! on [`Recorded`](super::recipe::Recorded) lanes they write down the operations, which a compiler repeats on
//! vectors. Both give the same bits because they are the same operations in the same order.

use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// One `float64`, or several that go through the same operations.
pub trait Lane:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// The answer of a comparison.
    type Mask: Copy + BitAnd<Output = Self::Mask> + BitOr<Output = Self::Mask> + Not<Output = Self::Mask>;

    /// A constant, beside this value.
    #[must_use]
    fn lit(self, value: f64) -> Self;
    /// Magnitude.
    #[must_use]
    fn abs(self) -> Self;
    /// Square root.
    #[must_use]
    fn sqrt(self) -> Self;
    /// Largest integer not above.
    #[must_use]
    fn floor(self) -> Self;
    /// Nearest integer, halves to even.
    #[must_use]
    fn nearest(self) -> Self;
    /// `self < other`.
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other`.
    fn le(self, other: Self) -> Self::Mask;
    /// `self == other`.
    fn eq(self, other: Self) -> Self::Mask;
    /// `mask ? self : otherwise`.
    #[must_use]
    fn if_else(self, mask: Self::Mask, otherwise: Self) -> Self;
    /// The bits, shifted left.
    #[must_use]
    fn shift_left(self, count: u32) -> Self;
    /// The bits, shifted right, zeros in.
    #[must_use]
    fn shift_right(self, count: u32) -> Self;
    /// The bits, masked.
    #[must_use]
    fn and_bits(self, bits: u64) -> Self;
    /// The bits, with others set.
    #[must_use]
    fn or_bits(self, bits: u64) -> Self;
    /// The bits as an integer, plus one.
    #[must_use]
    fn add_bits(self, bits: u64) -> Self;
    /// The bits of both.
    #[must_use]
    fn or(self, other: Self) -> Self;

    /// This magnitude with the sign of another value.
    #[must_use]
    fn with_sign_of(self, other: Self) -> Self {
        self.and_bits(!SIGN).or(other.and_bits(SIGN))
    }

    /// Whether the sign is set, of zeros and NaN too.
    fn is_negative(self) -> Self::Mask {
        // What is left of it is plus or minus one.
        self.and_bits(SIGN).or_bits(ONE).lt(self.lit(0.0))
    }

    /// `self`, but at least `low` and at most `high`; NaN stays.
    #[must_use]
    fn clamped(self, low: f64, high: f64) -> Self {
        let (low, high) = (self.lit(low), self.lit(high));
        let value = low.if_else(self.lt(low), self);
        high.if_else(high.lt(value), value)
    }

    /// `2^self` for an integer between -1022 and 1023.
    #[must_use]
    fn power_of_two(self) -> Self {
        // Adding this puts the biased exponent into the lowest bits of the sum.
        (self + self.lit(INTEGER + 1023.0)).shift_left(52)
    }
}

/// The bit of the sign.
pub const SIGN: u64 = 1 << 63;

/// Bits of one.
const ONE: u64 = 0x3ff0_0000_0000_0000;

/// `1.5 * 2^52`: added to a small integer, its bits are those of the integer, counted from those of the constant.
const INTEGER: f64 = 6_755_399_441_055_744.0;

impl Lane for f64 {
    type Mask = bool;

    #[inline(always)]
    fn lit(self, value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn abs(self) -> Self {
        f64::abs(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn floor(self) -> Self {
        f64::floor(self)
    }
    #[inline(always)]
    fn nearest(self) -> Self {
        self.round_ties_even()
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self < other
    }
    #[inline(always)]
    fn le(self, other: Self) -> bool {
        self <= other
    }
    #[inline(always)]
    fn eq(self, other: Self) -> bool {
        self == other
    }
    #[inline(always)]
    fn if_else(self, mask: bool, otherwise: Self) -> Self {
        if mask { self } else { otherwise }
    }
    #[inline(always)]
    fn shift_left(self, count: u32) -> Self {
        f64::from_bits(self.to_bits() << count)
    }
    #[inline(always)]
    fn shift_right(self, count: u32) -> Self {
        f64::from_bits(self.to_bits() >> count)
    }
    #[inline(always)]
    fn and_bits(self, bits: u64) -> Self {
        f64::from_bits(self.to_bits() & bits)
    }
    #[inline(always)]
    fn or_bits(self, bits: u64) -> Self {
        f64::from_bits(self.to_bits() | bits)
    }
    #[inline(always)]
    fn add_bits(self, bits: u64) -> Self {
        f64::from_bits(self.to_bits().wrapping_add(bits))
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        f64::from_bits(self.to_bits() | other.to_bits())
    }
}

/// `c[0] + x * (c[1] + x * (...))`, innermost first.
#[inline(always)]
pub fn polynomial<T: Lane, const N: usize>(x: T, coefficients: &[f64; N]) -> T {
    let mut sum = x.lit(coefficients[N - 1]);
    for &coefficient in coefficients[..N - 1].iter().rev() {
        sum = sum * x + x.lit(coefficient);
    }
    sum
}

/// An unevaluated sum of two numbers, the second much smaller than the first.
#[derive(Clone, Copy, Debug)]
pub struct Pair<T> {
    /// The value, rounded.
    pub high: T,
    /// What is missing.
    pub low: T,
}

/// `a + b` exactly, for `|a| >= |b|`.
#[inline(always)]
pub fn fast_sum<T: Lane>(a: T, b: T) -> Pair<T> {
    let high = a + b;
    Pair { high, low: b - (high - a) }
}

/// `a + b` exactly.
#[inline(always)]
pub fn sum<T: Lane>(a: T, b: T) -> Pair<T> {
    let high = a + b;
    let other = high - a;
    Pair { high, low: (a - (high - other)) + (b - other) }
}

/// `a * b` exactly, by Dekker's splitting, unless an operand exceeds `2^996` or the product is subnormal.
#[inline(always)]
pub fn product<T: Lane>(a: T, b: T) -> Pair<T> {
    let high = a * b;
    let (a, b) = (split(a), split(b));
    let low = ((a.high * b.high - high) + a.high * b.low + a.low * b.high) + a.low * b.low;
    Pair { high, low }
}

/// Upper and lower half of the significand.
#[inline(always)]
fn split<T: Lane>(a: T) -> Pair<T> {
    let scaled = a * a.lit(134_217_729.0);
    let high = scaled - (scaled - a);
    Pair { high, low: a - high }
}

/// A power of two that keeps the square of a positive number in range, and enough below it for what is left of products to be
/// exact; and the one that takes the result back.
#[inline(always)]
pub fn scale<T: Lane>(of: T) -> (T, T) {
    let (one, up, down) = (of.lit(1.0), of.lit(power(700)), of.lit(power(-700)));
    let is_huge = of.lit(power(500)).lt(of);
    let is_tiny = of.lt(of.lit(power(-450)));
    let scale = down.if_else(is_huge, up.if_else(is_tiny, one));
    (scale, up.if_else(is_huge, down.if_else(is_tiny, one)))
}

/// `2^exponent`, a normal number.
pub const fn power(exponent: i64) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The square root, to about `2^-100`; zero for zero.
#[inline(always)]
pub fn root_pair<T: Lane>(a: Pair<T>) -> Pair<T> {
    let high = a.high.sqrt();
    let back = product(high, high);
    let rest = ((a.high - back.high) - back.low) + a.low;
    let zero = high.lit(0.0);
    Pair { high, low: zero.if_else(high.eq(zero), rest / (high + high)) }
}

/// The quotient, to about `2^-100`.
#[inline(always)]
pub fn quotient_pair<T: Lane>(a: Pair<T>, b: Pair<T>) -> Pair<T> {
    let high = a.high / b.high;
    let back = product(high, b.high);
    let rest = ((a.high - back.high) - back.low) + (a.low - high * b.low);
    Pair { high, low: rest / b.high }
}

impl<T: Lane> Pair<T> {
    /// Both, rounded to one number.
    #[inline(always)]
    pub fn rounded(self) -> T {
        self.high + self.low
    }

    /// The quotient, rounded.
    #[inline(always)]
    pub fn quotient(self, by: Pair<T>) -> T {
        quotient_pair(self, by).rounded()
    }
}
