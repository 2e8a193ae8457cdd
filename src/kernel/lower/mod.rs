//! Graph to kernel: a whole program becomes one loop program.
//!
//! - Control flow becomes loops and branches; regions that are no chain become a [`Stmt::Cfg`](super::Stmt::Cfg).
//! - Nested graphs are inlined: their containers are other names for places of the graph around.
//! - Maps become loops, tasklets scalar values, memlets address arithmetic. Transients of one element live in
//!   variables, others in scratch memory that is taken when their scope is entered.
//! - Streams are queues that routines work with, consume scopes loops while there are elements.
//! - Integer symbols are 64-bit values; those that control flow assigns are variables.
//!
//! # Safety
//!
//! A kernel never reaches memory outside its buffers. Every index is checked against its container's extent; an
//! index that is linear in loop variables is checked by its extreme values in front of the loops (see
//! [`bounds`]), which fails exactly if some iteration would fail. Layouts are checked against the memory they are
//! given when a container is allocated, viewed or handed to a nested graph; the caller checks arguments. Integer
//! division by zero is checked before it happens. A failed check stops the program as the interpreter would: what
//! was written until then stays written, though hoisted checks may stop it earlier.
//!
//! What cannot be lowered is [`Refused::Unsupported`], for the program as a whole.

mod allocate;
mod arguments;
mod bounds;
mod callout;
mod code;
mod code_loop;
mod consume;
mod container;
mod control;
mod copy;
mod counted;
mod dataflow;
mod layout;
mod library;
mod map;
mod memlet;
mod nested;
mod product;
mod reduce;
mod stream;
mod sums;
mod symbols;
mod tasklet;

use std::borrow::Cow;

use hashbrown::{HashMap, HashSet};

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{Data, DataKind, Graph, GraphId, Program};
use crate::scalar::{DType, Type};
use crate::symbolic::ExprId;

use super::build::Builder;
use super::{BufferId, Kernel, LabelId, Stmt, TrapId, TrapInfo, TrapKind, ValueId, VarId};
use container::Container;
use symbols::Symbol;

/// Why a program is not compiled.
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// It is fine, but this engine cannot run it yet.
    Unsupported {
        /// What is not supported.
        what: String,
        /// From the outside in: graph, state, node.
        place: Vec<String>,
    },
    /// It is wrong.
    Invalid(Diagnostic),
}

impl From<Diagnostic> for Refused {
    fn from(diagnostic: Diagnostic) -> Self {
        Refused::Invalid(diagnostic)
    }
}

impl From<Refused> for Diagnostic {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Invalid(diagnostic) => diagnostic,
            Refused::Unsupported { what, place } => {
                let mut diagnostic = Diagnostic::error("P0710", format!("not compiled: {what}"));
                diagnostic.place = place;
                diagnostic.with_help("the interpreter runs it")
            }
        }
    }
}

/// What lowering functions return.
pub type Lowering<T> = Result<T, Refused>;

/// A lowered program: the kernel and how a call's arguments meet it.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The kernel.
    pub kernel: Kernel,
    /// Arrays, in the order of the kernel's arguments.
    pub arrays: Vec<ArrayArgument>,
    /// Symbols, in the order of the kernel's parameters.
    pub symbols: Vec<(Name, DType)>,
    /// Symbols that need no value: the program sets them itself, or does not look at them.
    pub optional: HashSet<Name>,
}

/// An argument that is memory.
#[derive(Clone, Debug)]
pub struct ArrayArgument {
    /// Its name.
    pub name: Name,
    /// Element type.
    pub ty: Type,
    /// Whether it is one element passed by value (a scalar container).
    pub scalar: bool,
    /// Extents, in terms of the symbols.
    pub shape: Vec<ExprId>,
    /// Distances in elements.
    pub strides: Vec<ExprId>,
    /// Elements skipped at the start.
    pub start_offset: Option<ExprId>,
    /// Elements of the allocation, if declared.
    pub total_size: Option<ExprId>,
    /// May be absent.
    pub optional: bool,
    /// Whether the program may write it.
    pub written: bool,
}

/// Graphs, regions and scopes nested deeper are refused.
const MAX_DEPTH: usize = 200;

/// What a kernel may take for granted about the arguments of its calls.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Specialization {
    /// Arguments that are not given, in order. All others are.
    pub absent: Vec<Name>,
    /// Arrays of one dimension whose extent is another than the number that the program gives, in order.
    pub extents: Vec<(Name, i64)>,
    /// Arguments that are written may share memory with others. Without it, they do not.
    pub overlapping: bool,
    /// Integer symbols that have these values, in order of their names.
    pub sizes: Vec<(Name, i64)>,
}

impl Specialization {
    /// The value of a symbol, if it is known.
    pub fn size(&self, name: Name) -> Option<i64> {
        let at = self.sizes.binary_search_by_key(&name, |&(name, _)| name).ok()?;
        self.sizes.get(at).map(|&(_, value)| value)
    }

    /// The program as it is for such arguments: with the extents that its arrays have.
    pub fn applied<'p>(&self, program: &'p Program) -> Cow<'p, Program> {
        if self.extents.is_empty() {
            return Cow::Borrowed(program);
        }
        let mut changed = program.clone();
        for &(name, extent) in &self.extents {
            let extent = changed.exprs.int(extent);
            let root = changed.root.and_then(|root| changed.graphs.get_mut(root));
            let data = root.and_then(|root| root.data.get_mut(&name));
            if let Some(Data { kind: DataKind::Array(array), .. }) = data {
                array.shape = vec![extent];
                array.total_size = None;
            }
        }
        Cow::Owned(changed)
    }
}

/// Lowers a program whose code is lowered, to which the specialisation was [applied](Specialization::applied).
///
/// # Errors
/// [`Refused`].
pub fn lower(program: &Program, special: &Specialization) -> Lowering<Lowered> {
    let Some(root) = program.root else {
        return Err(Diagnostic::error("P0100", "the program has no graph").into());
    };
    let lowerer = Lowerer::new(program, root, special)?;
    lowerer.run(root)
}

/// The state of lowering.
struct Lowerer<'p> {
    program: &'p Program,
    b: Builder,
    /// The graph being lowered.
    cx: GraphContext<'p>,
    /// From the outside in.
    place: Vec<String>,
    depth: usize,
    /// Map and consume scopes around, in graphs around this one too.
    scopes_around: usize,
    /// Containers that need memory although they are one element.
    in_memory: HashSet<(GraphId, Name)>,
    traps: HashMap<(TrapKind, String, Vec<String>), TrapId>,
    persistent: u32,
    late_buffers: HashMap<(GraphId, Name), BufferId>,
    /// Numbers of streams.
    streams: HashMap<(GraphId, Name), i64>,
    /// How many elements the last copy from a stream to an array took, if somebody asks.
    popped: Option<VarId>,
    constants: HashMap<Name, Container>,
    /// The buffer that references reach.
    anywhere: Option<BufferId>,
    special: &'p Specialization,
    /// Stand for the memory of arguments that are absent.
    absent: HashSet<BufferId>,
}

/// What names mean in the graph being lowered.
struct GraphContext<'p> {
    id: GraphId,
    graph: &'p Graph,
    symbols: HashMap<Name, Symbol>,
    data: HashMap<Name, Container>,
    /// Values of variables read since control flow last moved.
    cache: HashMap<VarId, ValueId>,
    /// Values that go from code to code in the state being lowered, by producer and connector.
    between: HashMap<(crate::ir::NodeId, Name), Container>,
    /// The stream of each open consume scope, and the elements taken from it.
    consumed: HashMap<crate::ir::NodeId, (Name, Container)>,
    /// Address and available bytes of each reference.
    references: HashMap<Name, (VarId, VarId)>,
    /// Depth of the list that control flow is in; variables are read there.
    level: usize,
    return_label: Option<LabelId>,
    break_label: Option<LabelId>,
    continue_label: Option<LabelId>,
    uses: std::rc::Rc<crate::analysis::Uses>,
}

impl<'p> Lowerer<'p> {
    fn new(program: &'p Program, root: GraphId, special: &'p Specialization) -> Lowering<Self> {
        let Some(graph) = program.graphs.get(root) else {
            return Err(Diagnostic::error("P0100", format!("there is no {root}")).into());
        };
        let cx = GraphContext {
            id: root,
            graph,
            symbols: HashMap::new(),
            data: HashMap::new(),
            cache: HashMap::new(),
            between: HashMap::new(),
            consumed: HashMap::new(),
            references: HashMap::new(),
            level: 0,
            return_label: None,
            break_label: None,
            continue_label: None,
            uses: std::rc::Rc::new(crate::analysis::Uses::of(program, graph)?),
        };
        Ok(Self {
            program,
            b: Builder::new(&graph.name),
            cx,
            place: vec![format!("graph `{}`", graph.name)],
            depth: 0,
            scopes_around: 0,
            in_memory: container::elements_in_memory(program)?,
            traps: HashMap::new(),
            persistent: 0,
            late_buffers: HashMap::new(),
            streams: HashMap::new(),
            popped: None,
            constants: HashMap::new(),
            anywhere: None,
            special,
            absent: HashSet::new(),
        })
    }

    fn run(mut self, root: GraphId) -> Lowering<Lowered> {
        let graph = self.cx.graph;
        let symbols = self.root_symbols();
        self.constants(graph)?;
        let arrays = self.arguments()?;
        self.graph_body(root)?;
        // Symbols that the program sets itself, or that it does not look at, need no value.
        let mut optional: HashSet<Name> = self.cx.uses.assigned.iter().copied().collect();
        let kernel = self.b.finish();
        let used = used_values(&kernel);
        for ((name, _), parameter) in symbols.iter().zip(&kernel.parameters) {
            if !used.contains(&parameter.value) {
                optional.insert(*name);
            }
        }
        Ok(Lowered { kernel, arrays, symbols, optional })
    }

    fn text(&self, name: Name) -> &'p str {
        self.program.names.get(name)
    }

    fn unsupported<T>(&self, what: impl Into<String>) -> Lowering<T> {
        Err(Refused::Unsupported { what: what.into(), place: self.place.clone() })
    }

    fn invalid<T>(&self, code: &'static str, what: impl Into<String>) -> Lowering<T> {
        let mut diagnostic = Diagnostic::error(code, what);
        diagnostic.place.clone_from(&self.place);
        Err(diagnostic.into())
    }

    fn trap(&mut self, kind: TrapKind, message: impl Into<String>) -> TrapId {
        let key = (kind, message.into(), self.place.clone());
        if let Some(&known) = self.traps.get(&key) {
            return known;
        }
        let info = TrapInfo { kind, message: key.1.clone(), place: key.2.clone() };
        let id = self.b.trap(info);
        self.traps.insert(key, id);
        id
    }

    /// Runs `inner` one nesting level deeper, with `place` added to where we are.
    fn inside<T>(&mut self, place: String, inner: impl FnOnce(&mut Self) -> Lowering<T>) -> Lowering<T> {
        if self.depth >= MAX_DEPTH {
            return self.invalid("P0103", "the program nests too deep");
        }
        self.depth += 1;
        self.place.push(place);
        let result = inner(self);
        self.place.pop();
        self.depth -= 1;
        result
    }
}

/// Values that some statement looks at.
fn used_values(kernel: &Kernel) -> HashSet<ValueId> {
    let mut used = HashSet::new();
    for stmt in Stmt::all(&kernel.body) {
        stmt.each_use(|value| {
            used.insert(value);
        });
    }
    used
}
