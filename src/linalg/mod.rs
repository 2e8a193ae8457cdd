//! Linear algebra in a defined order, on numbers that lie in plain vectors: what library nodes compute.
//!
//! Like [`scalar::arith`](crate::scalar::arith), this is the meaning of an operation, so the interpreter and the
//! native engine both call it; how operands come out of a program's memory and results go back is each engine's own.
//! Every sum runs over its index upwards, with one accumulator, each step a product and then a sum, each rounded.

mod factor;
mod fourier;
mod number;
mod rows;

pub(crate) use factor::{Square, columns, exchange};
pub(crate) use fourier::fourier;
pub(crate) use number::{Number, meeting_type, with_number};
pub(crate) use rows::{Rows, subtract_product};
