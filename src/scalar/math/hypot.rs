//! The length of a vector of two numbers, the magnitude of a complex number: squares as exact pairs, their sum, one root.

use super::lane::{Lane, product, scale};

/// `sqrt(x^2 + y^2)` with C's special values: infinite if either is infinite, whatever the other one is.
#[inline(always)]
pub fn hypot<T: Lane>(x: T, y: T) -> T {
    let (x, y) = (x.abs(), y.abs());
    let below = x.lt(y);
    let (large, small) = (y.if_else(below, x), x.if_else(below, y));
    let (scale, back) = scale(large);
    let (large, small) = (large * scale, small * scale);
    let (square, other) = (product(large, large), product(small, small));
    let root = (other.low + square.low + other.high + square.high).sqrt();
    let infinity = x.lit(f64::INFINITY);
    infinity.if_else(infinity.eq(x) | infinity.eq(y), back * root)
}
