//! What a call has to bring: containers and symbols, and the symbols that array shapes already tell.

use indexmap::IndexMap;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::Program;
use crate::memory::Arguments;
use crate::scalar::{DType, Scalar, Type};
use crate::symbolic::ExprId;

/// One argument of a program.
#[derive(Clone, PartialEq, Debug)]
pub struct Required {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: RequiredKind,
}

/// The kinds of arguments.
#[derive(Clone, PartialEq, Debug)]
pub enum RequiredKind {
    /// An array.
    Array {
        /// Element type.
        ty: Type,
        /// Extent per dimension.
        shape: Vec<ExprId>,
        /// Distance per dimension, in elements.
        strides: Vec<ExprId>,
        /// Whether it may be absent.
        optional: bool,
    },
    /// One element of that type.
    Scalar(Type),
    /// A free symbol.
    Symbol(DType),
    /// A structure, stream or container array.
    Other(Type),
}

/// Non-transient containers in stored order, then free symbols in order of name id.
///
/// # Errors
/// `P0100` when the program has no body.
pub fn required_arguments(_program: &Program) -> Result<Vec<Required>, Diagnostic> {
    Err(Diagnostic::error("P0500", "the interpreter is being written"))
}

/// Values of the free symbols: given as scalars, or told by the shapes of the arrays given.
///
/// # Errors
/// `P0401` names a symbol that has no value; `P0402` shapes that contradict each other.
pub fn infer_symbols(
    _program: &Program,
    _args: &Arguments<'_>,
) -> Result<IndexMap<Name, Scalar>, Diagnostic> {
    Err(Diagnostic::error("P0500", "the interpreter is being written"))
}
