//! Program-wide lowering: every piece of code text becomes a [`Code`](super::Code).
//!
//! # Types of symbols
//!
//! A declared symbol has its declared type; a nested graph's symbol that is declared narrower than the
//! value mapped to it takes the value's type (of the same kind). A map parameter that is not declared has the
//! type in which its range is computed, where a literal counts as `int32` if it fits (DaCe 2.0's rule). A loop
//! variable or a symbol that only interstate edges assign, undeclared, has the type of what is assigned; integers
//! are then `int64`. Dynamic map inputs have their connector's type.
//!
//! # Connectors of tasklets
//!
//! An explicit connector type wins. Otherwise one element, or a scalar container, is a value and more is a
//! pointer. A connector of a dynamic memlet is reached at each statement ([`PortKind::Reference`]), as is
//! everything a pointer reaches. The rank of a pointer is the number of dimensions in which its memlet has
//! several elements; of an explicit pointer to one element, the rank of the container. In C++ code a pointer is
//! plain memory ([`PortKind::Memory`]). A constant array that is indexed by variables becomes a pointer port
//! without a connector, named like the constant. What comes from the stream that a consume scope takes from is the
//! taken element, or a pointer to the taken elements if they are taken in chunks; the symbol
//! [`TAKEN_ELEMENTS`] then says how many there are.
//!
//! [`PortKind::Reference`]: super::PortKind::Reference
//! [`PortKind::Memory`]: super::PortKind::Memory
//!
//! # Control flow
//!
//! Conditions yield a bool; assignments yield the type of the symbol they set. Containers are read by name,
//! with the container's full rank (see [`CodeExpr`]).

mod control;
mod ports;
mod symbols;

use hashbrown::HashMap;

use crate::analysis::scopes::ScopeTree;
use crate::diag::Diagnostic;
use crate::entity::{Name, Names};
use crate::ir::{
    BlockId, BlockKind, CodeExpr, Data, EdgeId, Graph, GraphId, Language, NodeId, NodeKind, Program, State,
    Tasklet,
};
use crate::symbolic::ExprPool;

use self::symbols::{GraphTypes, NodeScope};
use super::code::{Code, Port, PortKind};
use super::parse::build::{self, PortSpec};
use super::parse::{c, python};
use super::types::{DType, Type};

/// Lowers all code of a program into the `code` slots of its tasklets, memlets, library nodes and control flow,
/// and says what could not be lowered. Tasklets that call a LAPACK routine stay text
/// (see [`lapack_call`](super::parse::c::lapack_call)).
pub fn lower_program(program: &mut Program) -> Vec<Diagnostic> {
    let mut names = std::mem::take(&mut program.names);
    let mut exprs = std::mem::take(&mut program.exprs);
    let mut lowering = Lowering {
        program,
        names: &mut names,
        exprs: &mut exprs,
        diagnostics: Vec::new(),
        results: Vec::new(),
        functions: HashMap::new(),
        assigned: Vec::new(),
    };
    let mut types: HashMap<GraphId, GraphTypes> = HashMap::new();
    for graph in graphs_outside_in(lowering.program) {
        let inherited = types.remove(&graph).unwrap_or_default();
        lowering.graph(graph, inherited, &mut types);
    }
    let Lowering { diagnostics, results, assigned, .. } = lowering;
    program.names = names;
    program.exprs = exprs;
    for (graph, name, dtype) in assigned {
        program.graphs[graph].symbols.entry(name).or_insert(Type::Scalar(dtype));
    }
    for (place, code) in results {
        store(program, place, code);
    }
    diagnostics
}

/// In the code of a consume scope that takes chunks: how many elements this iteration took. DaCe's name.
pub const TAKEN_ELEMENTS: &str = "__dace_cons_numelems";

/// Where a lowered code goes.
#[derive(Clone, Copy, Debug)]
enum Place {
    Tasklet(GraphId, BlockId, NodeId),
    Library(GraphId, BlockId, NodeId),
    Consume(GraphId, BlockId, NodeId),
    Conflict(GraphId, BlockId, EdgeId),
    Edge(GraphId, usize, usize, control::EdgePart),
    Block(GraphId, BlockId, control::BlockPart),
}

struct Lowering<'a> {
    program: &'a Program,
    names: &'a mut Names,
    exprs: &'a mut ExprPool,
    diagnostics: Vec<Diagnostic>,
    results: Vec<(Place, Lowered)>,
    /// Conflict functions that were lowered before, by text and element type.
    functions: HashMap<(String, Type), Code>,
    /// Undeclared symbols that control flow assigns numbers which are no integers. Engines have to know.
    assigned: Vec<(GraphId, Name, DType)>,
}

/// A lowered code; control flow also learns which symbol its text assigns.
#[derive(Clone, Debug)]
struct Lowered {
    code: Code,
    target: Option<Name>,
}

/// All graphs, each after the graph around it; graphs that nothing runs come last.
fn graphs_outside_in(program: &Program) -> Vec<GraphId> {
    let mut order: Vec<GraphId> = Vec::with_capacity(program.graphs.len());
    let mut seen = vec![false; program.graphs.len()];
    let roots: Vec<GraphId> = program.root.into_iter().chain(program.graphs.ids()).collect();
    let mut next = 0;
    for root in roots {
        if seen.get(root.0 as usize) != Some(&false) {
            continue;
        }
        seen[root.0 as usize] = true;
        order.push(root);
        while let Some(&graph) = order.get(next) {
            next += 1;
            for (_, state) in program.graphs[graph].states() {
                for (_, node) in state.live_nodes() {
                    if let NodeKind::Nested(nested) = &node.kind
                        && let Some(inner) = nested.graph
                        && seen.get(inner.0 as usize) == Some(&false)
                    {
                        seen[inner.0 as usize] = true;
                        order.push(inner);
                    }
                }
            }
        }
    }
    order
}

impl Lowering<'_> {
    /// Lowers one graph; `inherited` are symbol types that the node running it implies.
    fn graph(&mut self, id: GraphId, inherited: GraphTypes, inner: &mut HashMap<GraphId, GraphTypes>) {
        let Some(graph) = self.program.graphs.get(id) else { return };
        let before = self.diagnostics.len();
        let mut types = inherited;
        types.declare(graph, self.exprs);
        for (&name, data) in &graph.data {
            self.name_members(name, data);
        }
        self.control_flow(id, graph, &mut types);
        for (block, state) in graph.states() {
            self.state(id, graph, block, state, &types, inner);
        }
        for diagnostic in &mut self.diagnostics[before..] {
            diagnostic.place.insert(0, format!("graph `{}`", graph.name));
        }
    }

    /// Interns `structure.member` for each member, which code may read though no access node has that name.
    fn name_members(&mut self, name: Name, data: &Data) {
        for (member, data) in data.members() {
            let dotted = format!("{}.{}", &self.names[name], &self.names[*member]);
            let dotted = self.names.intern(&dotted);
            self.name_members(dotted, data);
        }
    }

    fn state(
        &mut self,
        id: GraphId,
        graph: &Graph,
        block: BlockId,
        state: &State,
        types: &GraphTypes,
        inner: &mut HashMap<GraphId, GraphTypes>,
    ) {
        let before = self.diagnostics.len();
        match ScopeTree::of(state) {
            Ok(tree) => {
                let taken = self.names.intern(TAKEN_ELEMENTS);
                let scopes = types.scopes(graph, state, &tree, self.exprs, taken);
                // Types of outputs that feed code directly.
                let mut produced: HashMap<(NodeId, Name), Type> = HashMap::new();
                let adjacency = state.adjacency();
                for &node in tree.order() {
                    let scope = NodeScope::new(types, &scopes, &tree, node);
                    let at = ports::NodePlace { graph, state, adjacency: &adjacency, node };
                    match &state.nodes[node].kind {
                        NodeKind::Tasklet(tasklet) => {
                            let result = self.tasklet(&at, tasklet, &scope, &mut produced);
                            self.keep(Place::Tasklet(id, block, node), result, || {
                                format!("tasklet `{}` ({node})", state.nodes[node].label)
                            });
                        }
                        NodeKind::Library(_) => {
                            let result = self.library(&at);
                            self.keep(Place::Library(id, block, node), result, || {
                                format!("library node `{}` ({node})", state.nodes[node].label)
                            });
                        }
                        NodeKind::ConsumeEntry(consume) => {
                            if let Some(condition) = &consume.condition {
                                let result = self.condition(condition, graph, &scope).map(Some);
                                self.keep(Place::Consume(id, block, node), result, || {
                                    format!("consume scope `{}` ({node})", state.nodes[node].label)
                                });
                            }
                        }
                        NodeKind::Nested(nested) => {
                            if let Some(inner_id) = nested.graph {
                                let mapped = nested.symbol_mapping.iter().map(|(&name, &value)| {
                                    (name, symbols::type_of(self.exprs, value, graph, &scope))
                                });
                                inner.insert(inner_id, GraphTypes::inherited(mapped.collect()));
                            }
                        }
                        _ => {}
                    }
                }
            }
            Err(error) => self.diagnostics.push(error),
        }
        for (edge_id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
            if let Some(wcr) = &edge.memlet.wcr {
                let result = self.conflict_function(graph, state, edge, &wcr.text);
                self.keep(Place::Conflict(id, block, edge_id), result.map(Some), || {
                    format!("conflict resolution `{}` ({edge_id})", wcr.text)
                });
            }
        }
        let label = &graph.blocks[block].label;
        for diagnostic in &mut self.diagnostics[before..] {
            diagnostic.place.insert(0, format!("state `{label}`"));
        }
    }

    fn keep(
        &mut self,
        place: Place,
        result: Result<Option<Lowered>, Diagnostic>,
        shown: impl FnOnce() -> String,
    ) {
        match result {
            Ok(Some(lowered)) => self.results.push((place, lowered)),
            Ok(None) => {}
            Err(error) => self.diagnostics.push(error.inside(shown())),
        }
    }

    fn tasklet(
        &mut self,
        at: &ports::NodePlace<'_>,
        tasklet: &Tasklet,
        scope: &NodeScope<'_>,
        produced: &mut HashMap<(NodeId, Name), Type>,
    ) -> Result<Option<Lowered>, Diagnostic> {
        let language = tasklet.text.language;
        let text = &tasklet.text.text;
        if text.is_empty() && tasklet.code.is_some() {
            // Born lowered: a frontend built the code itself.
            return Ok(None);
        }
        let statements = match language {
            Language::Python => python::statements(text),
            Language::Cpp if c::lapack_call(text).is_some() => return Ok(None),
            Language::Cpp => c::statements(text),
            other => Err(unknown_language(other)),
        }
        .map_err(|error| with_text(error, text))?;
        let specs = ports::tasklet(at, self.names, self.exprs, produced, language)?;
        let code = build::tasklet(self.names, &self.program.structs, specs, scope, &statements)
            .map_err(|error| with_text(error, text))?;
        for port in code.ports.values().filter(|port| port.writes) {
            produced.insert((at.node, port.name), port.ty);
        }
        Ok(Some(Lowered { code, target: None }))
    }

    /// `wcr` of a reduction and of other nodes that have one.
    fn library(&mut self, at: &ports::NodePlace<'_>) -> Result<Option<Lowered>, Diagnostic> {
        let NodeKind::Library(library) = &at.state.nodes[at.node].kind else { return Ok(None) };
        let Some(text) = library.properties.get("wcr").and_then(|value| value.as_str()) else {
            return Ok(None);
        };
        let mut edges = at.adjacency.outgoing(at.node).iter().map(|&edge| &at.state.edges[edge]);
        let target = edges.find_map(|edge| edge.memlet.data);
        let ty = target.and_then(|name| ports::container(at.graph, self.names, name)).map(|data| data.ty);
        let Some(ty) = ty else {
            return Err(Diagnostic::error(
                "P0306",
                "the node writes no container, so its function has no type",
            ));
        };
        self.function(text, ty).map(Some)
    }

    fn conflict_function(
        &mut self,
        graph: &Graph,
        state: &State,
        edge: &crate::ir::Edge,
        text: &str,
    ) -> Result<Lowered, Diagnostic> {
        let target = match state.nodes.get(edge.dst).map(|node| &node.kind) {
            Some(NodeKind::Access { data, .. }) => Some(*data),
            _ => edge.memlet.data,
        };
        let ty = target.and_then(|name| ports::container(graph, self.names, name)).map(|data| data.ty);
        match ty {
            Some(ty) => self.function(text, ty),
            None => Err(Diagnostic::error("P0306", "the memlet names no known container")),
        }
    }

    /// `f(old, new)` on elements of one type.
    fn function(&mut self, text: &str, ty: Type) -> Result<Lowered, Diagnostic> {
        if let Some(code) = self.functions.get(&(text.to_string(), ty)) {
            return Ok(Lowered { code: code.clone(), target: None });
        }
        let (parameters, body) = python::lambda(text)?;
        if parameters.len() != 2 || parameters[0] == parameters[1] {
            return Err(Diagnostic::error("P0302", "a conflict function takes two parameters, old and new")
                .with_note(format!("text: {text}")));
        }
        let specs = parameters.iter().map(|name| PortSpec {
            port: Port {
                name: self.names.intern(name),
                ty,
                kind: PortKind::Value,
                reads: true,
                writes: false,
            },
            unit_dimensions: Vec::new(),
            one_element: true,
            infer_type: false,
        });
        let specs = specs.collect();
        let code =
            build::expression(self.names, &self.program.structs, specs, &symbols::Nothing, &body, Some(ty))
                .map_err(|error| with_text(error, text))?;
        self.functions.insert((text.to_string(), ty), code.clone());
        Ok(Lowered { code, target: None })
    }
}

fn with_text(error: Diagnostic, text: &str) -> Diagnostic {
    if error.notes.iter().any(|note| note.starts_with("text: ")) {
        return error;
    }
    let shown: String = text.chars().take(200).collect();
    error.with_note(format!("text: {shown}"))
}

fn unknown_language(language: Language) -> Diagnostic {
    let name = match language {
        Language::OpenCl => "OpenCL",
        Language::SystemVerilog => "SystemVerilog",
        Language::Mlir => "MLIR",
        Language::Python | Language::Cpp => "this language",
    };
    Diagnostic::error("P0309", format!("code in {name} cannot be run"))
        .with_help("write the tasklet in Python, or in simple C++")
}

fn store(program: &mut Program, place: Place, lowered: Lowered) {
    let Lowered { code, target } = lowered;
    let graph_id = match place {
        Place::Tasklet(graph, ..)
        | Place::Library(graph, ..)
        | Place::Consume(graph, ..)
        | Place::Conflict(graph, ..)
        | Place::Edge(graph, ..)
        | Place::Block(graph, ..) => graph,
    };
    let Some(graph) = program.graphs.get_mut(graph_id) else { return };
    match place {
        Place::Tasklet(_, block, node) => {
            if let Some(NodeKind::Tasklet(tasklet)) = node_kind(graph, block, node) {
                tasklet.code = Some(code);
            }
        }
        Place::Library(_, block, node) => {
            if let Some(NodeKind::Library(library)) = node_kind(graph, block, node) {
                library.wcr = Some(code);
            }
        }
        Place::Consume(_, block, node) => {
            if let Some(NodeKind::ConsumeEntry(consume)) = node_kind(graph, block, node)
                && let Some(condition) = &mut consume.condition
            {
                condition.code = Some(code);
            }
        }
        Place::Conflict(_, block, edge) => {
            if let Some(BlockKind::State(state)) = graph.blocks.get_mut(block).map(|block| &mut block.kind)
                && let Some(wcr) = state.edges.get_mut(edge).and_then(|edge| edge.memlet.wcr.as_mut())
            {
                wcr.code = Some(code);
            }
        }
        Place::Edge(_, region, edge, part) => control::store_edge(graph, region, edge, part, code),
        Place::Block(_, block, part) => control::store_block(graph, block, part, code, target),
    }
}

fn node_kind(graph: &mut Graph, block: BlockId, node: NodeId) -> Option<&mut NodeKind> {
    match &mut graph.blocks.get_mut(block)?.kind {
        BlockKind::State(state) => state.nodes.get_mut(node).map(|node| &mut node.kind),
        _ => None,
    }
}

fn set(expr: &mut CodeExpr, code: Code, target: Option<Name>) {
    expr.code = Some(code);
    if target.is_some() {
        expr.target = target;
    }
}
