//! The little typed language inside tasklets.
//!
//! A tasklet arrives as Python text with C meaning, or as C++ text. Both are lowered once, at load
//! time, to a [`Code`]: structured, typed SSA with every conversion explicit. The same form carries
//! write-conflict functions, interstate conditions and interstate assignments.
//!
//! # What an expression means
//!
//! - **Types** are C's. `bool`, `int8`, `int16`, `uint8`, `uint16` are promoted to `int32` before any
//!   arithmetic (integral promotion); two operands of different type meet in the usual arithmetic
//!   conversion; `float16`, `bfloat16` and the two `float8` compute in `float32` and round at each
//!   operation that stores to their type.
//! - **Integers** wrap on overflow. `/` truncates toward zero, `%` takes the sign of the dividend,
//!   `//` is floored. Division of integers by zero is a [`Trap`], never a signal.
//! - **Floats** are IEEE 754: every operation rounds once, nothing is contracted, reassociated or
//!   replaced by a reciprocal.
//! - **Conversions** follow C where C defines them; out of range, float to integer saturates and NaN
//!   gives zero, so that every engine has one answer.
//! - **Math functions** are [`math`]'s: one definition, the same bits on every engine.
//! - `min(a, b)` is `a < b ? a : b` and `max(a, b)` is `a > b ? a : b`: with a NaN or two zeros the second operand
//!   (DaCe's rule, and that of the processors' vector instructions).
//!
//! Invariant: a [`Code`] that [`Code::verify`] accepts can be evaluated on any inputs of the declared
//! types; the only run-time failures are the [`Trap`]s.

pub mod arith;
pub mod code;
pub mod eval;
pub mod float8;
pub mod lower;
pub mod math;
pub mod parse;
pub mod print;
pub mod spell;
pub mod trial;
pub mod types;
mod unused;
pub mod value;
pub mod verify;

pub use arith::Trap;
pub use code::{BinaryOp, Block, Code, Func, Inst, Op, Port, PortId, PortKind, UnaryOp, ValueId};
pub use print::print;
pub use types::{DType, StructDef, StructField, StructId, StructTable, Type};
pub use value::{Scalar, Value};
