use indexmap::IndexMap;

use crate::entity::{Arena, Name};
use crate::entity_id;
use crate::scalar::{Code, Type};
use crate::symbolic::ExprId;

use super::{CodeExpr, Extra, GraphId, Memlet, Subset, Text};

entity_id! {
    /// A dataflow node of a state.
    NodeId, "node"
}
entity_id! {
    /// A dataflow edge of a state.
    EdgeId, "edge"
}

/// A dataflow graph.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct State {
    /// Nodes in stored order. Removed nodes are [`NodeKind::Removed`].
    pub nodes: Arena<NodeId, Node>,
    /// Edges in stored order. Removed edges have `removed` set.
    pub edges: Arena<EdgeId, Edge>,
}

/// A node.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// Its label.
    pub label: String,
    /// What it is.
    pub kind: NodeKind,
    /// Input connectors, in order.
    pub inputs: IndexMap<Name, Connector>,
    /// Output connectors, in order.
    pub outputs: IndexMap<Name, Connector>,
    /// Uninterpreted properties.
    pub extra: Extra,
}

/// A connector's declared type.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Connector {
    /// Element type; `None`: inferred from the memlet.
    pub ty: Option<Type>,
    /// Declared as a pointer.
    pub pointer: bool,
}

/// The kinds of nodes.
#[derive(Clone, PartialEq, Debug)]
pub enum NodeKind {
    /// A use of a container (or of `structure.member`).
    Access {
        /// The container.
        data: Name,
        /// Cleared when allocated.
        setzero: bool,
    },
    /// Scalar code.
    Tasklet(Tasklet),
    /// Opens a map scope.
    MapEntry(Map),
    /// Closes the map scope that `entry` opened.
    MapExit {
        /// The entry.
        entry: NodeId,
    },
    /// Opens a consume scope: runs once per element of a stream, until it is empty or the condition holds.
    ConsumeEntry(Consume),
    /// Closes it.
    ConsumeExit {
        /// The entry.
        entry: NodeId,
    },
    /// A graph run in place.
    Nested(NestedGraph),
    /// An operation with a name and properties.
    Library(Library),
    /// A tombstone.
    Removed,
}

/// Scalar code with its text.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Tasklet {
    /// As written.
    pub text: Text,
    /// Lowered; `None` until [`crate::scalar::lower`] ran.
    pub code: Option<Code>,
}

/// A map scope's parameters.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Map {
    /// Parameters, slowest first.
    pub params: Vec<Name>,
    /// One range per parameter.
    pub range: Subset,
    /// How it may run.
    pub schedule: Schedule,
    /// To be unrolled.
    pub unroll: bool,
}

/// How a map may run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Schedule {
    /// Not decided: parallel at top level, sequential inside.
    #[default]
    Default,
    /// In order.
    Sequential,
    /// Parallel (`CPU_Multicore`).
    Parallel,
    /// Any other of DaCe's schedules, by its name there (`GPU_Device`, `CPU_Persistent`, ...).
    Other(Box<str>),
}

impl Schedule {
    /// Whether it says that iterations may run in any order; `inside` another scope or not.
    pub fn is_parallel(&self, inside: bool) -> bool {
        match self {
            Schedule::Default => !inside,
            Schedule::Sequential => false,
            Schedule::Parallel => true,
            Schedule::Other(name) => !matches!(&**name, "CPU_Persistent" | "GPU_Persistent" | "Unrolled"),
        }
    }
}

/// A consume scope's parameters.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Consume {
    /// Symbol that holds the index of the processing element.
    pub pe_index: Option<Name>,
    /// How many processing elements.
    pub num_pes: Option<ExprId>,
    /// Stop when it holds; `None`: when the stream is empty.
    pub condition: Option<CodeExpr>,
    /// How many elements one iteration takes; one if absent.
    pub chunk_size: Option<ExprId>,
}

/// A graph run in place; connectors alias outer containers.
#[derive(Clone, PartialEq, Debug)]
pub struct NestedGraph {
    /// The graph; `None` if the file only names an external path.
    pub graph: Option<GraphId>,
    /// Inner symbol, outer value.
    pub symbol_mapping: IndexMap<Name, ExprId>,
}

/// A library node.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Library {
    /// The class, as DaCe spells it (`dace.libraries.standard.nodes.reduce.Reduce`).
    pub classpath: String,
    /// Its name.
    pub name: String,
    /// Class properties as in the file (`wcr`, `axes`, `identity`, `alpha`, ...).
    pub properties: Extra,
    /// Lowered write-conflict function, for nodes that have a `wcr` property.
    pub wcr: Option<Code>,
}

/// An edge.
#[derive(Clone, PartialEq, Debug)]
pub struct Edge {
    /// From.
    pub src: NodeId,
    /// Output connector at the source.
    pub src_conn: Option<Name>,
    /// To.
    pub dst: NodeId,
    /// Input connector at the destination.
    pub dst_conn: Option<Name>,
    /// What moves.
    pub memlet: Memlet,
    /// A tombstone.
    pub removed: bool,
    /// Uninterpreted properties.
    pub extra: Extra,
}

impl Edge {
    /// An edge without further properties.
    pub fn new(
        src: NodeId,
        src_conn: Option<Name>,
        dst: NodeId,
        dst_conn: Option<Name>,
        memlet: Memlet,
    ) -> Edge {
        Edge { src, src_conn, dst, dst_conn, memlet, removed: false, extra: Extra::new() }
    }
}

impl Library {
    /// The last part of the class path: `Reduce`, `MatMul`, ...
    pub fn class(&self) -> &str {
        self.classpath.rsplit('.').next().unwrap_or(&self.classpath)
    }
}

impl State {
    /// Live edges into a node, in stored order. Linear in the number of edges: use [`State::adjacency`] in loops.
    pub fn in_edges(&self, node: NodeId) -> impl Iterator<Item = (EdgeId, &Edge)> {
        self.edges.iter().filter(move |(_, edge)| edge.dst == node && !edge.removed)
    }

    /// Live edges out of a node, in stored order. Linear in the number of edges.
    pub fn out_edges(&self, node: NodeId) -> impl Iterator<Item = (EdgeId, &Edge)> {
        self.edges.iter().filter(move |(_, edge)| edge.src == node && !edge.removed)
    }

    /// Live nodes, in stored order.
    pub fn live_nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().filter(|(_, node)| !matches!(node.kind, NodeKind::Removed))
    }

    /// Incoming and outgoing edges of every node, in one pass.
    pub fn adjacency(&self) -> Adjacency {
        let rows = |end: fn(&Edge) -> NodeId| Rows::of(self, end);
        Adjacency { incoming: rows(|edge| edge.dst), outgoing: rows(|edge| edge.src) }
    }
}

/// Edges per node, as [`State::adjacency`] found them.
#[derive(Clone, Debug, Default)]
pub struct Adjacency {
    incoming: Rows,
    outgoing: Rows,
}

/// A list of edges per node, all in one.
#[derive(Clone, Debug, Default)]
struct Rows {
    /// Where the list of each node begins; one more than there are nodes.
    starts: Vec<u32>,
    edges: Vec<EdgeId>,
}

impl Rows {
    fn of(state: &State, end: fn(&Edge) -> NodeId) -> Rows {
        let live = || state.edges.iter().filter(|(_, edge)| !edge.removed);
        // Two places on: filling the lists moves what are ends first to where the next lists begin.
        let mut starts = vec![0_u32; state.nodes.len() + 2];
        for (_, edge) in live() {
            if let Some(count) = starts.get_mut(end(edge).0 as usize + 2) {
                *count += 1;
            }
        }
        for node in 2..starts.len() {
            starts[node] += starts[node - 1];
        }
        let mut edges = vec![EdgeId(0); starts[starts.len() - 1] as usize];
        for (id, edge) in live() {
            let node = end(edge).0 as usize;
            if node < state.nodes.len() {
                edges[starts[node + 1] as usize] = id;
                starts[node + 1] += 1;
            }
        }
        Rows { starts, edges }
    }

    fn of_node(&self, node: NodeId) -> &[EdgeId] {
        let node = node.0 as usize;
        match (self.starts.get(node), self.starts.get(node + 1)) {
            (Some(&start), Some(&end)) => self.edges.get(start as usize..end as usize).unwrap_or(&[]),
            _ => &[],
        }
    }
}

impl Adjacency {
    /// Edges into a node, in stored order.
    pub fn incoming(&self, node: NodeId) -> &[EdgeId] {
        self.incoming.of_node(node)
    }

    /// Edges out of a node, in stored order.
    pub fn outgoing(&self, node: NodeId) -> &[EdgeId] {
        self.outgoing.of_node(node)
    }
}
