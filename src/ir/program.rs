use hashbrown::HashMap;

use crate::entity::{Arena, Names};
use crate::scalar::StructTable;
use crate::symbolic::{ExprId, ExprPool, Grammar};

use super::{Extra, Graph, GraphId};

/// How a connector of a nested graph relates to the outer container.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Contract {
    /// The connector is the start of the memlet's subset; inner subsets are relative to it (DaCe up to 2.0.0a6).
    Window,
    /// The connector is the whole container; inner subsets are the outer, absolute ones (DaCe from 2.0.0b1).
    #[default]
    Whole,
}

/// A whole program: every graph, nested ones included, with the tables they share.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Interned names.
    pub names: Names,
    /// Size and subset expressions.
    pub exprs: ExprPool,
    /// Record types.
    pub structs: StructTable,
    /// All graphs; a nested graph is owned by exactly one node.
    pub graphs: Arena<GraphId, Graph>,
    /// The outermost graph (`graph0` in practice).
    pub root: Option<GraphId>,
    /// How nested graphs receive containers, decided by the version that wrote the file.
    pub contract: Contract,
    /// The `dace_version` the file declared, kept for the way back.
    pub dace_version: Option<String>,
    /// Expressions as the source file spells them, with the grammar they are spelled in. Different spellings of one
    /// expression (`ceiling(N/4)`, `int_ceil(N, 4)`) differ for DaCe, so a saved file keeps the one it came with.
    pub spellings: HashMap<ExprId, (Grammar, Box<str>)>,
}

impl Program {
    /// The outermost graph, if there is one.
    pub fn root_graph(&self) -> Option<&Graph> {
        self.root.and_then(|id| self.graphs.get(id))
    }

    /// Extra properties of the outermost graph.
    pub fn root_extra(&self) -> Option<&Extra> {
        self.root_graph().map(|graph| &graph.extra)
    }
}
