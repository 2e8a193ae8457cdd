//! The length of a vector of two numbers, the magnitude of a complex number: squares as exact pairs, their sum, one root.

use super::lane::{Lane, product};

/// `sqrt(x^2 + y^2)` with C's special values: infinite if either is infinite, whatever the other one is.
#[inline(always)]
pub fn hypot<T: Lane>(x: T, y: T) -> T {
    let (x, y) = (x.abs(), y.abs());
    let below = x.lt(y);
    let (large, small) = (y.if_else(below, x), x.if_else(below, y));
    // A power of two keeps the squares in range, and enough below for what is left of them to be exact.
    let (one, up, down) = (x.lit(1.0), x.lit(UP), x.lit(DOWN));
    let is_huge = x.lit(HUGE).lt(large);
    let is_tiny = large.lt(x.lit(TINY));
    let scale = down.if_else(is_huge, up.if_else(is_tiny, one));
    let back = up.if_else(is_huge, down.if_else(is_tiny, one));
    let (large, small) = (large * scale, small * scale);
    let (square, other) = (product(large, large), product(small, small));
    let root = (other.low + square.low + other.high + square.high).sqrt();
    let infinity = x.lit(f64::INFINITY);
    infinity.if_else(infinity.eq(x) | infinity.eq(y), back * root)
}

/// `2^700`.
const UP: f64 = f64::from_bits((1023 + 700) << 52);
/// `2^-700`.
const DOWN: f64 = f64::from_bits((1023 - 700) << 52);
/// `2^500`.
const HUGE: f64 = f64::from_bits((1023 + 500) << 52);
/// `2^-450`.
const TINY: f64 = f64::from_bits((1023 - 450) << 52);
