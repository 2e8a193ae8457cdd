use indexmap::IndexMap;

use crate::entity::{Arena, Name};
use crate::entity_id;
use crate::scalar::{Code, DType, Scalar, Type};

use super::{Data, Extra, State};

entity_id! {
    /// A graph of a program.
    GraphId, "graph"
}
entity_id! {
    /// A control-flow block of a graph.
    BlockId, "block"
}
entity_id! {
    /// A region of a graph.
    RegionId, "region"
}

/// One graph (DaCe: SDFG).
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Its name.
    pub name: String,
    /// Positional argument order, where declared.
    pub arg_names: Vec<Name>,
    /// Declared symbols with their types.
    pub symbols: IndexMap<Name, Type>,
    /// Compile-time constants.
    pub constants: IndexMap<Name, Constant>,
    /// Containers.
    pub data: IndexMap<Name, Data>,
    /// All blocks, at any depth of regions.
    pub blocks: Arena<BlockId, Block>,
    /// All regions.
    pub regions: Arena<RegionId, Region>,
    /// The body. `None` only while a graph is being built.
    pub body: Option<RegionId>,
    /// Uninterpreted properties (`attributes` of the file, and keys beside them under `"."`).
    pub extra: Extra,
}

/// A compile-time constant.
#[derive(Clone, PartialEq, Debug)]
pub struct Constant {
    /// Its type and shape (`Array` with literal extents or `Scalar`).
    pub data: Data,
    /// Elements in row-major order.
    pub values: Vec<Scalar>,
}

/// Blocks joined by edges.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Region {
    /// Blocks in stored order.
    pub blocks: Vec<BlockId>,
    /// Edges in stored order.
    pub edges: Vec<InterstateEdge>,
    /// Where execution starts if the edges leave it open; see [`Region::entry`].
    pub start: Option<BlockId>,
}

/// An edge between two blocks of one region.
#[derive(Clone, PartialEq, Debug)]
pub struct InterstateEdge {
    /// From.
    pub src: BlockId,
    /// To.
    pub dst: BlockId,
    /// Taken only if it holds; `None`: always.
    pub condition: Option<CodeExpr>,
    /// Run one after another when the edge is taken.
    pub assignments: Vec<(Name, CodeExpr)>,
    /// Uninterpreted properties.
    pub extra: Extra,
}

/// A control-flow block.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// Its label.
    pub label: String,
    /// What it is.
    pub kind: BlockKind,
    /// Uninterpreted properties.
    pub extra: Extra,
}

/// The kinds of blocks.
#[derive(Clone, PartialEq, Debug)]
pub enum BlockKind {
    /// Dataflow.
    State(Box<State>),
    /// A loop.
    Loop(Box<Loop>),
    /// The first branch whose condition holds runs; an else branch has none and stands last.
    Conditional(Vec<Branch>),
    /// A region run in place.
    Region(RegionFlavor, RegionId),
    /// Leaves the innermost loop.
    Break,
    /// Next iteration of the innermost loop.
    Continue,
    /// Leaves the graph.
    Return,
}

/// What a plain region is called in the file; all mean the same.
#[derive(Clone, PartialEq, Debug)]
pub enum RegionFlavor {
    /// `ControlFlowRegion`.
    Plain,
    /// `NamedRegion`.
    Named,
    /// `FunctionCallRegion`; its arguments are in the block's extra properties.
    FunctionCall,
    /// `UnstructuredControlFlow`.
    Unstructured,
}

/// A loop.
///
/// Regular: `init; while (condition) { body; update }`. `inverted` with `update_before_condition`:
/// `init; do { body; update } while (condition)`. `inverted` without it:
/// `init; forever { body; if (!condition) break; update }`.
#[derive(Clone, PartialEq, Debug)]
pub struct Loop {
    /// The loop variable, if it has one.
    pub variable: Option<Name>,
    /// Assignment text lowered to the value of `variable` (or of [`CodeExpr::target`]).
    pub init: Option<CodeExpr>,
    /// Continue while it holds.
    pub condition: CodeExpr,
    /// Assignment like `init`.
    pub update: Option<CodeExpr>,
    /// Condition after the body.
    pub inverted: bool,
    /// Where the update stands in an inverted loop.
    pub update_before_condition: bool,
    /// The body.
    pub body: RegionId,
}

/// A branch of a conditional.
#[derive(Clone, PartialEq, Debug)]
pub struct Branch {
    /// `None`: else.
    pub condition: Option<CodeExpr>,
    /// What runs.
    pub body: RegionId,
    /// Label and uninterpreted properties of the branch's region.
    pub label: String,
    /// Uninterpreted properties.
    pub extra: Extra,
}

/// Source languages of code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "names of languages")]
pub enum Language {
    #[default]
    Python,
    Cpp,
    OpenCl,
    SystemVerilog,
    Mlir,
}

/// Code as written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Text {
    /// The language.
    pub language: Language,
    /// The text.
    pub text: String,
}

/// An expression over symbols and containers in control flow: a condition, an assignment's value, a loop
/// statement. Containers are read through [`Pointer`](crate::scalar::PortKind::Pointer) ports named after them
/// (rank 0 and kind `Reference` for scalars).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CodeExpr {
    /// As written (for loop statements the whole assignment).
    pub text: Text,
    /// For loop statements: the symbol assigned.
    pub target: Option<Name>,
    /// One result. `None` until lowered.
    pub code: Option<Code>,
}

impl Region {
    /// Where execution starts: the only block without a predecessor; where there is none or several, the start
    /// block. (DaCe writes start blocks that are stale: a block that got a predecessor later.)
    pub fn entry(&self) -> Option<BlockId> {
        let is_target: hashbrown::HashSet<BlockId> = self.edges.iter().map(|edge| edge.dst).collect();
        let mut sources = self.blocks.iter().copied().filter(|block| !is_target.contains(block));
        match (sources.next(), sources.next()) {
            (Some(only), None) => Some(only),
            _ => self.start,
        }
    }
}

impl Graph {
    /// All code of control flow: conditions and assignments of edges, of loops and of branches.
    pub fn control_code(&self) -> impl Iterator<Item = &CodeExpr> {
        let edges = self.regions.values().flat_map(|region| &region.edges);
        let on_edges =
            edges.flat_map(|edge| edge.condition.iter().chain(edge.assignments.iter().map(|(_, code)| code)));
        let in_blocks = self.blocks.values().flat_map(|block| {
            let (repeated, branches) = match &block.kind {
                BlockKind::Loop(repeated) => (Some(repeated), &[][..]),
                BlockKind::Conditional(branches) => (None, &branches[..]),
                _ => (None, &[][..]),
            };
            let of_loop = repeated.into_iter().flat_map(|repeated| {
                repeated.init.iter().chain(&repeated.update).chain([&repeated.condition])
            });
            of_loop.chain(branches.iter().filter_map(|branch| branch.condition.as_ref()))
        });
        on_edges.chain(in_blocks)
    }

    /// The body region.
    pub fn body_region(&self) -> Option<&Region> {
        self.body.and_then(|id| self.regions.get(id))
    }

    /// The state behind a block id, if that block is one.
    pub fn state(&self, id: BlockId) -> Option<&State> {
        match &self.blocks.get(id)?.kind {
            BlockKind::State(state) => Some(state),
            _ => None,
        }
    }

    /// All states with their ids, in order of creation.
    pub fn states(&self) -> impl Iterator<Item = (BlockId, &State)> {
        self.blocks.iter().filter_map(|(id, block)| match &block.kind {
            BlockKind::State(state) => Some((id, &**state)),
            _ => None,
        })
    }

    /// The type a symbol is declared with; `int32` is DaCe's default for undeclared ones.
    pub fn symbol_type(&self, name: Name) -> DType {
        self.symbols.get(&name).and_then(|ty| ty.scalar()).unwrap_or(DType::I32)
    }
}
