//! From text to [`Code`](super::Code): Python with C meaning, and a small part of C++.
//!
//! Both languages are read into one syntax tree ([`tree`]), which [`build`] lowers. What the text means:
//!
//! - **Types are C's.** An integer literal is an `int32` if it fits, a `uint32` if it needs 32 bits, else 64-bit;
//!   a real literal is a `float64`. A local takes the type of its first value; later values convert to it. An
//!   output takes its connector's type. Narrow integers and narrow floats promote before arithmetic.
//! - `/` and `%` are C's (truncated for integers), `//` is floored. A chain of comparisons compares the
//!   previous truth value, as C does.
//! - `x ** n` with a literal integer multiplies in `x`'s own type, a negative one divides one by the product,
//!   `x ** 0.5` is a square root in `x`'s own type; any other power is [`pow`](functions) of floats, or repeated
//!   multiplication when the exponent is an integer.
//! - `and`, `or` and `x if c else y` evaluate only the side that C would, where the other could trap or read.
//! - A function of a `float32` gives a `float32`; of an integer, a `float64` (but `dace::math::f` gives the
//!   operand's type back, whatever it is).
//!
//! Codes of the diagnostics: P0301 syntax, P0302 shape of the text, P0303 too large, P0304 construct without a
//! meaning here, P0305 unknown name, P0306 type, P0307 subscripts, P0308 unknown function, P0309 language.

pub mod build;
pub mod c;
pub mod functions;
pub mod python;
pub mod tree;
pub mod types;

use crate::diag::Diagnostic;

/// A construct that has no place in [`Code`](super::Code).
pub(crate) fn unsupported(what: &str) -> Diagnostic {
    Diagnostic::error("P0304", format!("{what} cannot be lowered"))
}
