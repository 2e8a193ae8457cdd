//! The reference interpreter: what a program means.
//!
//! It walks the graph and does what the graph says, one element at a time. It defines the order of
//! execution, of conflict resolution and of reductions, and it is the oracle for every engine.
//!
//! # What runs when
//!
//! - A state runs its nodes in [`State::order`](crate::ir::State::order); a scope runs its body in the same
//!   order once per point of its range, first parameter slowest. Parallel maps run in this order too.
//! - A copy between two access nodes runs when its *source* runs, except when the destination lies in a scope
//!   that does not hold the source: then it runs when the destination does. Out-edges go in stored order.
//! - A tasklet reads its value inputs, runs its body, and then writes its value outputs, in edge order. What
//!   goes through pointers, references and streams happens at the statement.
//! - Conflict resolution replaces the old element by `f(old, new)` at the moment of the write. There is no
//!   identity: the first write meets whatever the element held. Reductions fold one element after another
//!   in row-major order.
//! - A view is an alias, aimed each time a node next to it runs. A reference is aimed by the edge into its
//!   `set` connector.
//! - A nested graph's connectors alias outer containers: the whole container under
//!   [`Contract::Whole`](crate::ir::Contract) when shapes and strides agree, otherwise (and always under
//!   `Contract::Window`) the memlet's subset, seen through the inner shape and strides. A scalar connector is
//!   the first element of the subset.
//! - Transients are allocated when their lifetime begins. What they hold then is undefined: poison in checked
//!   mode; otherwise zeros the first time in a run and the previous bytes later, so that a run is
//!   deterministic in any case.
//!
//! # Failures
//!
//! A fault of the program (division by zero, index out of range, out of fuel; in checked mode also races,
//! undefined values and empty ranges) is [`Outcome::Trap`] with the node and the memlet. An error is a
//! refused program or a wrong argument. Nothing panics.

use indexmap::IndexMap;

use crate::diag::Diagnostic;
use crate::ir::Program;
use crate::memory::Arguments;

mod fault;
mod required;

pub use fault::{Fault, FaultKind};
pub use required::{Required, RequiredKind, infer_symbols, required_arguments};

/// How to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also catch undefined values, races, index overflow, negative sizes and non-positive steps.
    pub checked: bool,
    /// Stop after that many steps (tasklets, states, map points); `None`: no limit.
    pub fuel: Option<u64>,
    /// Record which elements of the arguments hold a defined value after the run ([`Stats::written`]).
    pub track_written: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// To the end.
    Done(Stats),
    /// A fault of the program stopped it. Arguments hold whatever was written until then.
    Trap(Fault),
}

/// What a run says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// Steps taken: tasklets, states, map points.
    pub steps: u64,
    /// Facts worth telling, for instance arguments that had to be copied to the declared layout.
    pub notes: Vec<String>,
    /// With [`Options::track_written`]: for each argument array, row-major, whether the element holds a defined
    /// value. Arguments named `__return*` start undefined, all others defined.
    pub written: IndexMap<String, Vec<bool>>,
}

/// A program ready to run many times: names are slots, expressions are compiled, persistent containers
/// keep their content between calls.
#[derive(Debug)]
pub struct Prepared {}

impl Prepared {
    /// Resolves a program. Everything that can be refused is refused here.
    ///
    /// # Errors
    /// A diagnostic for what the interpreter cannot run: unknown containers and library nodes, code that was
    /// not lowered, callbacks, nesting beyond the limit.
    pub fn new(_program: &Program) -> Result<Prepared, Diagnostic> {
        Err(Diagnostic::error("P0500", "the interpreter is being written"))
    }

    /// Runs the program; results are written to the arguments in place.
    ///
    /// # Errors
    /// `P04xx` for missing or misshaped arguments. Faults of the program are [`Outcome::Trap`].
    pub fn run(&mut self, _args: &mut Arguments<'_>, _options: &Options) -> Result<Outcome, Diagnostic> {
        Err(Diagnostic::error("P0500", "the interpreter is being written"))
    }
}
