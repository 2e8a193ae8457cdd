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
pub mod json_write;
pub mod lower;
pub mod print;
pub mod text;
mod text_lexer;

pub use args::{GtirArg, GtirArgs, table_name};
pub use ast::{
    Connectivity, DimKind, Dimension, Function, OffsetLabel, Param, Program, Stmt, Term, TermId, Type, TypeId,
};
pub use builtins::Builtin;

use crate::diag::{Diagnostic, Result};

/// Reads a program in either form: `gtir-json/1`, compressed or not, or printed text.
///
/// # Errors
/// What the reader of the form says.
pub fn read(bytes: &[u8]) -> Result<Program> {
    if bytes.starts_with(&[0x1f, 0x8b]) || bytes.trim_ascii_start().starts_with(b"{") {
        return json::read(bytes);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Diagnostic::error("P0601", format!("byte {} is not UTF-8", error.valid_up_to()))
            .with_help("GTIR is gtir-json/1, plain or compressed, or printed text")
    })?;
    text::read(text)
}
