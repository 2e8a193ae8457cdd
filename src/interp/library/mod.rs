//! Library nodes: textbook loops in a defined order.

use super::machine::{Fallible, Machine};
use super::plan::LibraryPlan;

/// What a library node computes.
#[derive(Debug)]
pub(super) enum Operation {}

impl<'p> Machine<'p, '_> {
    pub fn library(&mut self, library: &'p LibraryPlan) -> Fallible<()> {
        match library.operation {}
    }
}
