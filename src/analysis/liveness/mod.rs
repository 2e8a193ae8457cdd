//! When each transient of a program holds something that somebody may still read.
//!
//! The whole program is laid out on one line of moments, in the order in which it runs: a graph's blocks in
//! topological order, a state's nodes in [`State::order`](crate::ir::State::order), the body of a scope where its
//! entry stands, a nested graph where its node stands. Branches of a conditional lie behind each other. A transient
//! lives from the first moment at which it is touched to the last one; see [`timeline`] for what loops do to that.
//! Two transients whose spans do not meet can share bytes.
//!
//! - **Loops** are loop regions, scopes (the points of a map are iterations), and every cycle of blocks joined by
//!   interstate edges. A cycle counts as one loop from its first block to its last one.
//! - **Touched** is every container at either end of an edge next to a node, when the node runs, along the memlet
//!   path through scope borders; what control flow reads, after the block that it leads away from; what the indices,
//!   ranges and sizes of an edge or a scope read. Nothing is said about which elements: a touched container is
//!   touched.
//! - **Views** are other names: who touches a view touches everything that an edge of it leads to.
//! - **References** can point to a container long after the edge that aimed them. What a reference was aimed at lives
//!   all the time.
//! - **Nested graphs** see containers of the graph around under the names of their connectors.
//! - **Memory is taken** where [`Uses`](super::Uses) says: entering a scope, a state or a graph. What is taken inside
//!   a loop starts anew in each iteration.
//! - **`Persistent`, `External`**: content survives the call, so they have memory of their own and no span matters.
//!   **`Global`**: content survives until the end of the call; memory is taken once, in front of all loops.
//!
//! Sizes are known when a call begins if they depend on nothing but the outermost graph's symbols, seen through the
//! symbol mappings of nested graphs. Others (of a map parameter, of a loop variable, of data) are taken while the
//! program runs: [`Class::Dynamic`].

pub mod size;
mod state;
mod symbols;
pub mod timeline;
mod walk;

use hashbrown::HashMap;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{GraphId, Program};

use super::Uses;

pub use size::{ByteCount, SizeError};
pub use timeline::{Moment, Span, Timeline};

/// The transients of a program on its timeline.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    /// In the order in which graphs are entered, and declared within each.
    pub transients: Vec<Transient>,
    /// Symbols that sizes depend on, by slot.
    pub symbols: Vec<Name>,
    /// How many moments there are.
    pub moments: Moment,
    /// States in the order of time: where each begins, and its label with those of the nested graphs around.
    pub states: Vec<(Moment, String)>,
}

/// One transient.
#[derive(Clone, Debug)]
pub struct Transient {
    /// The graph that declares it.
    pub graph: GraphId,
    /// Its name there.
    pub name: Name,
    /// Its name with those of the nested graphs around, outermost first, joined by `/`.
    pub path: String,
    /// Who gives it memory.
    pub class: Class,
    /// When it lives; `None` if nobody touches it.
    pub span: Option<Span>,
    /// How large it is, if that is known when a call begins.
    pub size: Option<ByteCount>,
    /// Slots of the symbols that the size depends on.
    pub symbols: Vec<u32>,
}

/// Who gives a transient its memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// The slab that all threads share.
    Shared,
    /// Each thread for itself: taken in a parallel scope.
    Private,
    /// At most [`SMALL`] bytes whatever the symbols are: a register, or the stack.
    Small,
    /// The program instance; content survives.
    Persistent,
    /// Taken while the program runs, because its size is not known before.
    Dynamic,
    /// Queues and structures, which engines keep in their own way.
    Other,
}

/// Arrays of so few bytes are not worth a place in the slab.
pub const SMALL: u64 = 4096;

impl Class {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Shared => "shared",
            Class::Private => "private",
            Class::Small => "small",
            Class::Persistent => "persistent",
            Class::Dynamic => "dynamic",
            Class::Other => "other",
        }
    }
}

impl Liveness {
    /// Walks the program.
    ///
    /// # Errors
    /// `P0100` for a program without a graph, `P0103` for one that nests too deep, and what
    /// [`ScopeTree::of`](super::ScopeTree::of) reports.
    pub fn of(program: &Program) -> Result<Liveness, Diagnostic> {
        walk::walk(program, HashMap::new())
    }

    /// The same for somebody who knows where the containers of (some) graphs are used.
    ///
    /// # Errors
    /// As [`Liveness::of`].
    pub fn with(program: &Program, uses: HashMap<GraphId, Uses>) -> Result<Liveness, Diagnostic> {
        walk::walk(program, uses)
    }
}
