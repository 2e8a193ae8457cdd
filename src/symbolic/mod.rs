//! Integer expressions of sizes, ranges and subsets.
//!
//! # The canonical form
//!
//! An [`ExprPool`] owns all expressions of a program. Every constructor returns the id of a *canonical* expression, and
//! equal canonical expressions are one node (hash-consing), so equality is a comparison of ids. The form is
//! a **sum of products of atoms**:
//!
//! ```text
//! sum      constant + c1 * m1 + c2 * m2 + ...      monomials ascending by id, each once, no zero coefficient
//! product  b1^p1 * b2^p2 * ...                     bases ascending by id, each once
//! atom     a symbol, a division, a remainder, min, max, a comparison, an element of a container, a call, ...
//! ```
//!
//! Like terms are collected, constants folded, products distributed over sums; `x - x` is `0` and
//! `(i + 1) * N` is `i*N + N`. Two things limit this, so that nothing explodes and nothing wraps: a product of
//! sums with more than a fixed number of terms, and a sum or product whose coefficient does not fit 64 bits, stay
//! [`Node::Unmerged`], an atom like any other.
//!
//! # What an expression means
//!
//! - Values are 64-bit integers; evaluation is checked, so a value is right or an [`EvalError`].
//!   [`ExprPool::eval_value`] also computes with floating-point and complex numbers.
//! - `a / b` is a **rational**, as in SymPy: `(N/2) * 2` is `N`, and terms over one denominator are one term. Where an integer
//!   is needed, a sum of rationals is truncated once, at the end: exact when it divides, else C's division of
//!   non-negative numbers. Sums, products and quotients compute with rationals; everything else needs integers, also
//!   the sides of a conditional, as the C code does that DaCe writes for it.
//! - `int_floor(a, b)` and `//` are **floored**. Generated C code truncates; the two differ only where the
//!   quotient is negative, and SymPy's own folding is floored too. `int_ceil` rounds up.
//! - `%` and `CMod` are C's remainder (sign of the dividend); `Mod` and `PyMod` are floored (sign of the divisor).
//! - `and`, `or` and the conditional only need the operands that decide; they keep their written order.
//! - `?` swallows every operation, like a NaN.
//! - A canonical form never has a value where the original has another one. It may have a value where the original has none:
//!   `N*M/N` is `M` also for `N = 0`, and `0 * A[i]` is `0` whatever `i` is.
//!
//! # Order
//!
//! [`ExprPool::at_most`] and its siblings answer for **all** values of the symbols that the declared assumptions
//! ([`SymbolInfo`]) and the caller's [`Assumptions`] admit. They may always say [`Truth::Unknown`]; they never say yes or no
//! wrongly. Questions about boxes of ranges (cover, intersect, union) are in [`boxes`].
//!
//! # Depth
//!
//! The parser refuses text nested deeper than a fixed limit. Expressions built by substitution may be deeper; no operation
//! here recurses on their depth.

mod affine;
pub mod boxes;
mod build;
mod compiled;
mod divide;
mod eval;
mod info;
mod interval;
mod lex;
mod logic;
pub mod node;
pub mod order;
mod parse;
mod polynomial;
pub mod pool;
mod print;
mod prove;
mod substitute;
#[cfg(test)]
mod tests;
mod value;

pub use compiled::CompiledExpr;
pub use info::SymbolInfo;
pub use interval::Interval;
pub use node::Node;
pub use order::Assumptions;
pub use pool::{ExprId, ExprPool};
pub use prove::Prover;

use crate::entity::Name;
use crate::scalar::Scalar;
use info::SymbolInfos;

/// The textual grammars of symbolic expressions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grammar {
    /// DaCe before 2.0.0a4, and interstate text of every version: bare names.
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

impl Truth {
    /// Whether it holds for all values.
    pub fn is_yes(self) -> bool {
        self == Truth::Yes
    }

    /// Whether it holds for no values.
    pub fn is_no(self) -> bool {
        self == Truth::No
    }
}

impl std::ops::Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            Truth::Unknown => Truth::Unknown,
        }
    }
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
    /// A symbol (or container, or function) nobody gave a value.
    Unknown(Name),
    /// Division by zero.
    DivisionByZero,
    /// The value, or one on the way to it, does not fit 64 bits.
    Overflow,
    /// The value is not an integer, or the function is not known.
    NotAnInteger,
    /// The expression is `?`.
    Undefined,
}

impl std::fmt::Display for EvalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EvalError::Unknown(name) => write!(f, "{name} has no value"),
            EvalError::DivisionByZero => f.write_str("division by zero"),
            EvalError::Overflow => f.write_str("a value does not fit 64 bits"),
            EvalError::NotAnInteger => f.write_str("the value is not an integer"),
            EvalError::Undefined => f.write_str("the expression is undefined"),
        }
    }
}

impl std::error::Error for EvalError {}
