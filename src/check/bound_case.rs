//! The program of a case with its arguments bound, for who wants to look at it without comparing a run.

use crate::diag::Result;
use crate::exec::bind::bind;
use crate::exec::gtir::GtirProgram;
use crate::exec::load::{load, read_bytes};
use crate::exec::npz;
use crate::front::gtir::json;
use crate::ir::Program;
use crate::memory::Arguments;

use super::case::{Case, CaseKind, CaseProgram};
use super::gtir_case;
use super::run::inputs_of;

/// The graph that a case's program is, and the arguments of its call.
///
/// # Errors
/// What loading, lowering and binding report.
pub fn bound_case(case: &Case, program: &CaseProgram) -> Result<(Program, Arguments<'static>)> {
    match case.kind {
        CaseKind::Sdfg => {
            let graph = load(&program.path)?.program;
            let args = bind(&graph, inputs_of(case)?)?;
            Ok((graph, args))
        }
        CaseKind::Gtir if !program.suffix.is_empty() => super::variant_case::bound(case, &program.path),
        CaseKind::Gtir => {
            let path = program.path.display().to_string();
            let text = json::read(&read_bytes(&program.path)?).map_err(|error| error.inside(path))?;
            let inputs = npz::read(&case.folder.join("inputs.npz"))?;
            let mut args = gtir_case::arguments(&case.description, &inputs)?;
            let lowered = GtirProgram::new(&text, &args)?;
            let bound = lowered.bind(&mut args)?;
            Ok((lowered.program, bound))
        }
    }
}
