//! The plan: a program whose names are slots.
//!
//! A nested graph is owned by exactly one node and the interpreter runs one thing at a time, so at most one
//! activation of each graph exists. That is why all containers and all symbols of a program live in two flat
//! tables and there are no frames.

use std::sync::Arc;

use crate::entity::{Name, Names};
use crate::ir::{GraphId, Lifetime, Program};
use crate::memory::{Arguments, Binding, BufferId};
use crate::scalar::{BinaryOp, DType, Scalar, StructTable, Type};
use crate::symbolic::{ExprId, ExprPool};

use super::library::Operation;
use super::routine::Routine;

/// Index of a container in [`Plan::containers`].
pub(super) type ContainerSlot = u32;
/// Index of a symbol in [`Plan::symbols`].
pub(super) type SymbolSlot = u32;

#[derive(Debug)]
pub(super) struct Plan {
    /// What was resolved.
    pub program: Arc<Program>,
    /// The program's names and expressions with what library nodes add to them, if they add something.
    pub added: Option<Box<(Names, ExprPool)>>,
    pub containers: Vec<Container>,
    pub symbols: Vec<Symbol>,
    pub root: GraphPlan,
    /// Containers the caller brings.
    pub parameters: Vec<ContainerSlot>,
    /// Symbols the caller brings (or array shapes tell).
    pub free_symbols: Vec<SymbolSlot>,
    /// Those of them that the program assigns itself.
    pub assigned: Vec<SymbolSlot>,
    /// Registers the largest routine needs.
    pub registers: usize,
}

#[derive(Debug)]
pub(super) struct Symbol {
    pub name: Name,
    pub dtype: DType,
}

#[derive(Debug)]
pub(super) struct Container {
    pub name: Box<str>,
    pub ty: Type,
    pub element: Element,
    pub kind: ContainerKind,
    /// Members of a structure (or of a view of or reference to one), by name.
    pub members: Box<[(Name, ContainerSlot)]>,
    /// What each element of a container array looks like.
    pub template: Option<ContainerSlot>,
    /// Sizes in terms of what is visible where the container is allocated.
    pub layout: Layout,
    pub transient: bool,
    /// The graph and the name that declare it; none for members, elements and constants.
    pub origin: Option<(GraphId, Name)>,
    pub lifetime: Lifetime,
    /// Cleared when allocated.
    pub setzero: bool,
    /// May be absent.
    pub optional: bool,
    /// Each thread has its own, so no race can be found in it.
    pub private: bool,
    /// Elements of a constant, copied in when the run starts.
    pub constant: Option<Box<[u8]>>,
}

/// Shape and distances, in elements.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    pub shape: Box<[Size]>,
    pub strides: Box<[Size]>,
    /// Allocated elements; `None`: what the shape needs.
    pub total: Option<Size>,
    /// Added to each index; empty means zeros.
    pub offset: Box<[Size]>,
    pub start_offset: Option<Size>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ContainerKind {
    Scalar,
    Array,
    View,
    Reference,
    Stream,
    Structure,
    /// An array of containers; each element looks like the template.
    Containers,
}

impl Plan {
    /// Names that the plan speaks of.
    pub fn names(&self) -> &Names {
        self.added.as_deref().map_or(&self.program.names, |(names, _)| names)
    }

    /// Expressions that the plan evaluates.
    pub fn exprs(&self) -> &ExprPool {
        self.added.as_deref().map_or(&self.program.exprs, |(_, exprs)| exprs)
    }

    /// Record types.
    pub fn structs(&self) -> &StructTable {
        &self.program.structs
    }

    /// Bytes of the smallest number that anything but the owner may see in a container's memory: views,
    /// references and connectors of nested graphs may have another element type.
    pub fn smallest_alias(&self) -> usize {
        let is_owner = |slot: usize, container: &Container| {
            container.owns_memory() && (container.transient || self.parameters.contains(&(slot as u32)))
        };
        let aliases =
            self.containers.iter().enumerate().filter(|(slot, container)| !is_owner(*slot, container));
        aliases.map(|(_, container)| container.element.unit()).min().unwrap_or(usize::MAX)
    }

    /// Bytes per shadow entry of one of the caller's buffers: a divisor of every distance between numbers that
    /// the caller or the program sees in it.
    pub fn shadow_unit(&self, args: &Arguments<'_>, buffer: BufferId) -> usize {
        let mut unit = 0;
        let mut meet = |bytes: usize| unit = gcd(unit, bytes);
        for (name, binding) in &args.bindings {
            let Binding::Array { buffer: own, offset, ty, strides, .. } = binding else { continue };
            if *own != buffer {
                continue;
            }
            meet(*offset);
            meet(ty.bytes(self.structs()));
            strides.iter().for_each(|stride| meet(stride.unsigned_abs()));
            let containers = self.parameters.iter().map(|&slot| &self.containers[slot as usize]);
            for container in containers.filter(|container| *container.name == **name) {
                meet(container.element.unit());
            }
        }
        let smallest = self.smallest_alias();
        if smallest < usize::MAX {
            unit = gcd(unit, smallest);
        }
        unit.max(1)
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Container {
    /// Whether the container owns memory (views and references do not).
    pub fn owns_memory(&self) -> bool {
        matches!(self.kind, ContainerKind::Scalar | ContainerKind::Array)
    }

    /// Whether the content outlives a run.
    pub fn persists(&self) -> bool {
        self.transient && matches!(self.lifetime, Lifetime::Persistent | Lifetime::External)
    }
}

/// An element as a run of plain numbers: one for a number, several for vectors and records.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element {
    pub bytes: usize,
    /// Type and byte offset of each number, ascending.
    pub leaves: Box<[(DType, usize)]>,
}

impl Element {
    /// Bytes of the smallest number.
    pub fn unit(&self) -> usize {
        self.leaves.iter().map(|(dtype, _)| dtype.bytes()).min().unwrap_or(1)
    }

    /// The type, if the element is one number.
    #[inline]
    pub fn number(&self) -> Option<DType> {
        match *self.leaves {
            [(dtype, 0)] => Some(dtype),
            _ => None,
        }
    }
}

/// A size, index or bound.
#[derive(Debug, Clone)]
pub(super) enum Size {
    Const(i64),
    /// A symbol plus a constant.
    Symbol(SymbolSlot, i64),
    /// A constant plus coefficients times symbols.
    Affine(i64, Box<[(i64, SymbolSlot)]>),
    General(Box<GeneralSize>),
}

/// An expression evaluated by the symbolic pool.
#[derive(Debug, Clone)]
pub(super) struct GeneralSize {
    pub expr: ExprId,
    /// Where each of its names is found, ascending by name.
    pub sources: Box<[(Name, Source)]>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Source {
    Symbol(SymbolSlot),
    /// A scalar container, or an array read by subscript.
    Container(ContainerSlot),
}

#[derive(Debug)]
pub(super) struct GraphPlan {
    pub name: Box<str>,
    pub body: RegionPlan,
    /// Transients allocated when the graph is entered.
    pub allocate: Box<[ContainerSlot]>,
    /// Transients whose size is known later: they have no memory until a state that uses them is entered.
    pub forget: Box<[ContainerSlot]>,
    /// Symbols that are constants.
    pub constants: Box<[(SymbolSlot, Scalar)]>,
}

#[derive(Debug, Default)]
pub(super) struct RegionPlan {
    pub blocks: Vec<BlockPlan>,
    pub start: Option<usize>,
    /// Out-edges per block, unconditional ones last.
    pub transitions: Vec<Vec<Transition>>,
}

#[derive(Debug)]
pub(super) struct Transition {
    pub to: usize,
    pub condition: Option<Routine>,
    pub assignments: Box<[Assignment]>,
}

#[derive(Debug)]
pub(super) struct Assignment {
    pub symbol: SymbolSlot,
    pub value: Routine,
}

#[derive(Debug)]
pub(super) struct BlockPlan {
    pub label: Box<str>,
    pub kind: BlockKindPlan,
}

#[derive(Debug)]
pub(super) enum BlockKindPlan {
    State(StatePlan),
    Loop(Box<LoopPlan>),
    Conditional(Vec<(Option<Routine>, RegionPlan)>),
    Region(RegionPlan),
    Break,
    Continue,
    Return,
}

#[derive(Debug)]
pub(super) struct LoopPlan {
    pub init: Option<Assignment>,
    pub condition: Routine,
    pub update: Option<Assignment>,
    pub inverted: bool,
    pub update_before_condition: bool,
    pub body: RegionPlan,
}

#[derive(Debug)]
pub(super) struct StatePlan {
    /// Transients of the graph whose size is only known here: grown when it changed.
    pub refresh: Box<[ContainerSlot]>,
    pub scope: ScopePlan,
}

/// The body of a state, map or consume scope.
#[derive(Debug, Default)]
pub(super) struct ScopePlan {
    pub allocate: Box<[ContainerSlot]>,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Step {
    /// The node, for messages.
    pub place: Box<str>,
    pub action: Action,
}

#[derive(Debug)]
pub(super) enum Action {
    Tasklet(Box<TaskletPlan>),
    Copy(Box<CopyPlan>),
    /// Aims a view or a reference.
    Alias(Box<AliasPlan>),
    Map(Box<MapPlan>),
    Consume(Box<ConsumePlan>),
    Nested(Box<NestedPlan>),
    Library(Box<LibraryPlan>),
}

/// Elements of a container that a memlet names.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub container: ContainerSlot,
    /// One range per dimension of the container; empty for scalars.
    pub ranges: Box<[RangePlan]>,
    /// The memlet as text, for messages.
    pub text: Box<str>,
    /// All of the container, whatever its extents are: `ranges` only counts dimensions.
    pub all: bool,
}

#[derive(Debug, Clone)]
pub(super) struct RangePlan {
    pub start: Size,
    /// Inclusive.
    pub end: Size,
    pub step: Size,
    pub tile: Size,
    /// Provably one index.
    pub single: bool,
}

#[derive(Debug)]
pub(super) struct TaskletPlan {
    pub routine: Routine,
    pub inputs: Box<[InputPlan]>,
    pub outputs: Box<[OutputPlan]>,
}

/// A value read before the body.
#[derive(Debug)]
pub(super) struct InputPlan {
    pub register: u32,
    /// Types of the port's numbers.
    pub leaves: Box<[DType]>,
    /// If it is one number and none is taken from a stream: its type in memory and in the register.
    pub number: Option<(DType, DType)>,
    pub access: Access,
    /// Taken from a stream.
    pub pop: bool,
}

/// A value written after the body.
#[derive(Debug)]
pub(super) struct OutputPlan {
    pub register: u32,
    pub leaves: Box<[DType]>,
    /// If one number just replaces another in memory: its type there.
    pub number: Option<DType>,
    pub access: Access,
    pub wcr: Option<WcrPlan>,
    /// Appended to a stream.
    pub push: bool,
}

/// Write-conflict resolution.
#[derive(Debug, Clone)]
pub(super) enum WcrPlan {
    /// One operation on numbers of the container's type.
    Operation(BinaryOp),
    /// `f(old, new)`; an operand the function ignores has register `u32::MAX`.
    Function(Box<WcrFunction>),
}

#[derive(Debug, Clone)]
pub(super) struct WcrFunction {
    pub routine: Routine,
    pub old: (u32, Box<[DType]>),
    pub new: (u32, Box<[DType]>),
    /// Types of the numbers of the result.
    pub result: Box<[DType]>,
}

#[derive(Debug)]
pub(super) struct CopyPlan {
    pub src: Side,
    pub dst: Side,
    /// The memlet's own subset is the source's: it decides the shape if both sides are given and differ.
    pub shape_is_src: bool,
    /// The source was just filled from a stream: only what came goes on.
    pub counted: bool,
    pub wcr: Option<WcrPlan>,
}

#[derive(Debug)]
pub(super) struct Side {
    pub container: ContainerSlot,
    /// `None`: derived.
    pub access: Option<Access>,
}

#[derive(Debug)]
pub(super) struct AliasPlan {
    /// The view or reference.
    pub alias: ContainerSlot,
    pub layout: Layout,
    pub target: Access,
}

#[derive(Debug)]
pub(super) struct MapPlan {
    pub params: Box<[SymbolSlot]>,
    pub ranges: Box<[RangePlan]>,
    /// Range inputs read before the loop.
    pub inputs: Box<[(SymbolSlot, Access)]>,
    /// Iterations may run at the same time.
    pub parallel: bool,
    pub body: ScopePlan,
}

#[derive(Debug)]
pub(super) struct ConsumePlan {
    pub stream: Access,
    /// Holds the elements of one iteration.
    pub element: ContainerSlot,
    pub pe_index: Option<SymbolSlot>,
    pub num_pes: Size,
    pub chunk: Size,
    /// How many elements this iteration took.
    pub taken: SymbolSlot,
    pub condition: Option<Routine>,
    pub body: ScopePlan,
}

#[derive(Debug)]
pub(super) struct NestedPlan {
    pub symbols: Box<[(SymbolSlot, SymbolValue)]>,
    pub connectors: Box<[ConnectorPlan]>,
    pub graph: GraphPlan,
}

#[derive(Debug)]
pub(super) enum SymbolValue {
    /// Another symbol, of any type.
    Symbol(SymbolSlot),
    Size(Size),
}

#[derive(Debug)]
pub(super) struct ConnectorPlan {
    pub inner: ContainerSlot,
    pub outer: Access,
    /// Whole container if the layouts agree; otherwise the window the memlet names.
    pub whole: bool,
}

#[derive(Debug)]
pub(super) struct LibraryPlan {
    pub operation: Operation,
    pub inputs: Box<[(Box<str>, Access)]>,
    pub outputs: Box<[LibraryOutput]>,
}

/// Connector, where it writes, how conflicts are resolved.
pub(super) type LibraryOutput = (Box<str>, Access, Option<WcrPlan>);
