//! Library nodes: which operation, on which operands.

use crate::diag::Diagnostic;
use crate::interp::plan::LibraryPlan;
use crate::ir::{Library, NodeId};

use super::Builder;
use super::edges::StateContext;
use super::names::GraphNames;

impl<'p> Builder<'p> {
    pub fn library(
        &mut self,
        _names: &mut GraphNames<'p>,
        _ctx: &mut StateContext<'p, '_>,
        _id: NodeId,
        library: &'p Library,
    ) -> Result<LibraryPlan, Diagnostic> {
        Err(Diagnostic::error("P0113", format!("library node `{}` is not supported", library.classpath)))
    }
}
