//! Integer expressions of sizes, ranges and subsets.

use crate::entity::Name;
use crate::scalar::Scalar;

pub mod pool;
pub use pool::{ExprId, ExprPool};

/// The textual grammars of symbolic expressions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grammar {
    /// DaCe before 2.0.0a4: bare names.
    Plain,
    /// DaCe from 2.0.0a4: `$name`, `symbol($name, dtype=...)`, typed literals.
    Typed,
}

/// Three-valued answers about order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    /// For all values of the symbols.
    Yes,
    /// For no values of the symbols.
    No,
    /// It depends, or it could not be proven.
    Unknown,
}

/// Where evaluation finds values.
pub trait Env {
    /// The value of a symbol.
    fn symbol(&self, name: Name) -> Option<Scalar>;
    /// An element of a container, for subscripts inside expressions.
    fn element(&self, _container: Name, _indices: &[i64]) -> Option<Scalar> {
        None
    }
}

/// Why an expression has no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EvalError {
    /// A symbol (or container) nobody gave a value.
    Unknown(Name),
    /// Division by zero.
    DivisionByZero,
    /// The value does not fit 64 bits.
    Overflow,
    /// The value is not an integer, or the function is not known.
    NotAnInteger,
}
