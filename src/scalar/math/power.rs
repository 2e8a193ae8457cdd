//! Powers: `e^(y log x)` with the logarithm and the product in pairs.

use super::exp::exp_of_pair;
use super::lane::{Lane, Pair, fast_sum, product};
use super::log::precise_log;

/// `x^y`, with C's special values.
#[inline(always)]
pub fn pow<T: Lane>(x: T, y: T) -> T {
    let (zero, one, infinity) = (x.lit(0.0), x.lit(1.0), x.lit(f64::INFINITY));
    let size = x.abs();
    let log = precise_log(size);
    // More than this makes zero or infinity of anything but one, and keeps the splitting in range.
    let exponent = y.clamped(-3e19, 3e19);
    let leading = product(exponent, log.high);
    let argument = fast_sum(leading.high, leading.low + exponent * log.low);
    // Far out of range the low part means nothing.
    let low = argument.low.if_else(argument.high.abs().lt(x.lit(800.0)), zero);
    let result = exp_of_pair(Pair { high: argument.high, low });

    let falls = y.lt(zero);
    let at_zero = infinity.if_else(falls, zero);
    let result = at_zero.if_else(size.eq(zero), result);
    let at_infinity = zero.if_else(falls, infinity);
    let result = at_infinity.if_else(size.eq(infinity), result);

    let is_integer = y.floor().eq(y);
    let half = y * y.lit(0.5);
    let is_odd = is_integer & !half.floor().eq(half);
    let is_negative = x.is_negative();
    let result = (-result).if_else(is_odd & is_negative, result);
    // A negative number to a power that is no integer; zero and infinity have one sign only.
    let no_result = x.lt(zero) & !is_integer & size.lt(infinity);
    let result = x.lit(f64::NAN).if_else(no_result, result);

    let undefined = !x.eq(x) | !y.eq(y);
    let result = x.lit(f64::NAN).if_else(undefined, result);
    one.if_else(y.eq(zero) | x.eq(one), result)
}
