//! GTIR, the field language that GT4Py's frontend emits, read raw: function definitions, lambdas as lets,
//! `as_fieldop` without domains, types on parameters and literals only.
//!
//! [`ast`] is the tree as a hash-consed DAG; [`json`] reads `gtir-json/1`, [`text`] the printed
//! form, which [`mod@print`] writes.
//! Nothing here recurses on the depth of the input: real programs nest lets thousands deep.

pub mod args;
pub mod ast;
pub mod builtins;
pub mod json;
mod json_convert;
mod json_tree;
pub mod lower;
pub mod print;
pub mod text;
mod text_lexer;

pub use args::{GtirArg, GtirArgs, table_name};
pub use ast::{
    Connectivity, DimKind, Dimension, Function, OffsetLabel, Param, Program, Stmt, Term, TermId, Type, TypeId,
};
pub use builtins::Builtin;
