//! Kernels to machine code through Cranelift.
//!
//! A kernel becomes one function `fn(*mut Frame) -> i64` that returns 0 or 1 + the number of the trap
//! that stopped it. There are no relocations: run-time routines are called through absolute addresses.
//!
//! Strict mode gives the interpreter's bits: each operation of the kernel becomes the same IEEE operation,
//! nothing is contracted or reordered within an element, and math functions are
//! [`scalar::math`](crate::scalar::math)'s.

pub mod call;
pub mod emit;
pub mod isa;
pub mod memory;
pub mod runtime;
