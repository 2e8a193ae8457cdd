//! The dataflow graph.
//!
//! A [`Program`] is a tree of [`Graph`]s (DaCe: SDFGs). A graph has containers, symbols and a body: a
//! [`Region`] of control-flow [`Block`]s joined by [`InterstateEdge`]s. A block is a [`State`] (dataflow),
//! a loop, a conditional, a plain region, or a jump. A state is a graph of [`Node`]s and [`Edge`]s; each
//! edge carries a [`Memlet`] that says which elements move.
//!
//! # What a program means
//!
//! - **Control flow.** A region starts at its start block. After a block, its outgoing edges are tried in
//!   stored order, unconditional ones last; the first whose condition holds is taken, its assignments run
//!   one after another, and its target is next. When none is taken the region ends.
//! - **Dataflow.** A state runs its nodes in one fixed topological order: depth first from the sources, in
//!   the order in which nodes are stored ([`State::order`]). Memory is read and written at that moment.
//! - **Maps** run their body once per point of the range, last parameter fastest. A parallel map promises
//!   that order does not matter; the interpreter takes the order of the index space.
//! - **Memory** is uninitialised until written. Arguments alias the caller's arrays.
//!
//! Names are interned per program; references between entities (a memlet to its container, an edge to a
//! connector) are by name, so a wrong one is representable and [`crate::valid`] can speak about it.

pub mod builder;
pub mod canonical;
mod data;
mod graph;
mod memlet;
mod node;
mod order;
mod program;
pub mod properties;

pub use data::{Array, Data, DataKind, Lifetime, ScalarData, Storage, Stream, Structure};
pub use graph::{
    Block, BlockId, BlockKind, Branch, CodeExpr, Constant, Graph, GraphId, InterstateEdge, Language, Loop,
    Region, RegionFlavor, RegionId, Text,
};
pub use memlet::{Memlet, Range, Subset, Wcr};
pub use node::{
    Adjacency, Connector, Consume, Edge, EdgeId, Library, Map, NestedGraph, Node, NodeId, NodeKind, Schedule,
    State, Tasklet,
};
pub use program::{Contract, Program};

/// Properties of the source format that Pelton does not interpret, kept for the way back.
pub type Extra = serde_json::Map<String, serde_json::Value>;
