//! The GTIR oracle: what a GTIR program means, element by element.
//!
//! It evaluates the raw tree on demand. A field is a function of position; asking for an element of the output
//! asks for the elements it is made of. There is no type inference, no rewriting and no code shared with the lowering,
//! only the tree and its reader, so that the engines have something independent to be compared with.
//!
//! - **Laziness.** `if_` evaluates its condition and one side. A read where a field has no element gives *poison*,
//!   which is an error only when it reaches an output, a domain or the condition of a statement.
//! - **Statements** evaluate everything against the state before the statement, then write.
//! - **Scans** need to know where their columns begin. That is the only thing looked up in advance: the hull of
//!   what the statement reads of each scan, found by tracing the stencils ([`demand`]), unless the program gives a domain.
//! - **Numbers** follow [`crate::scalar::arith`]; see [`numbers`] for the builtins.

mod demand;
mod domain;
mod eval;
mod fields;
mod functions;
mod machine;
mod numbers;
mod scans;
mod statements;
mod stencils;
mod value;

pub use crate::front::gtir::{GtirArg, GtirArgs, table_name};

use crate::diag::{Diagnostic, Result};
use crate::front::gtir::Program;

/// Evaluation recurses on the program; it runs on a stack of its own and stops with a diagnostic before the end.
const STACK_BYTES: usize = 1 << 28;

/// Runs a program on its arguments, in place.
///
/// # Errors
/// A program that is ill-formed, arguments that do not fit it, a domain that exceeds a field, or an output that
/// depends on an element that does not exist. Statements before the failing one have been carried out; the failing
/// one has written nothing.
pub fn run(program: &Program, args: &mut GtirArgs<'_>) -> Result<()> {
    std::thread::scope(|scope| {
        let work = std::thread::Builder::new()
            .name("gtir-oracle".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || machine::Machine::new(program, args)?.run());
        match work.map(|thread| thread.join()) {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => {
                Err(Diagnostic::error("P0619", "no thread could be started").with_note(error.to_string()))
            }
        }
    })
}
