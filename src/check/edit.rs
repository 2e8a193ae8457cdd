//! Small edits of graphs that the checking tools share: adding nodes, exposing containers, making a state a program.

use hashbrown::HashSet;
use indexmap::IndexMap;

use crate::diag::Result;
use crate::entity::{EntityId, Name};
use crate::exec::Format;
use crate::exec::load::finish;
use crate::ir::builder::row_major;
use crate::ir::canonical::canonical;
use crate::ir::{
    Array, BlockKind, Connector, Data, DataKind, Edge, Extra, Graph, Language, Lifetime, Memlet, Node,
    NodeId, NodeKind, Program, Range, State, Storage, Subset, Tasklet, Text,
};
use crate::scalar::{DType, Type};
use crate::symbolic::ExprId;

/// Lowers the code of an edited program and validates it.
///
/// # Errors
/// The first error of lowering or validation.
pub(super) fn checked(program: Program) -> Result<Program> {
    let loaded = finish(program, Format::Pel, Vec::new());
    let error = loaded.errors().next().cloned();
    error.map_or(Ok(loaded.program), Err)
}

/// [`checked`] after unused graphs, blocks and nodes are gone.
///
/// # Errors
/// As [`checked`].
pub(super) fn tidied(program: &Program) -> Result<Program> {
    checked(canonical(program))
}

/// Adds a node without connectors.
pub(super) fn add_node(state: &mut State, label: &str, kind: NodeKind) -> NodeId {
    state.nodes.push(Node {
        label: label.to_owned(),
        kind,
        inputs: IndexMap::new(),
        outputs: IndexMap::new(),
        extra: Extra::new(),
    })
}

/// Adds a use of a container.
pub(super) fn add_access(state: &mut State, label: &str, data: Name) -> NodeId {
    add_node(state, label, NodeKind::Access { data, setzero: false })
}

/// Joins two nodes; connectors are declared.
pub(super) fn add_edge(
    state: &mut State,
    (src, src_conn): (NodeId, Option<Name>),
    (dst, dst_conn): (NodeId, Option<Name>),
    memlet: Memlet,
) {
    if let (Some(connector), Some(node)) = (src_conn, state.nodes.get_mut(src)) {
        node.outputs.entry(connector).or_default();
    }
    if let (Some(connector), Some(node)) = (dst_conn, state.nodes.get_mut(dst)) {
        node.inputs.entry(connector).or_default();
    }
    state.edges.push(Edge::new(src, src_conn, dst, dst_conn, memlet));
}

/// Adds a tasklet that writes the value of an expression over symbols to the first element of an array.
pub(super) fn add_assignment(program: &mut Program, state: &mut State, target: Name, expression: &str) {
    let connector = program.names.intern("__pelton_value");
    let text = Text { language: Language::Python, text: format!("__pelton_value = {expression}") };
    let tasklet = add_node(state, "record", NodeKind::Tasklet(Tasklet { text, code: None }));
    if let Some(node) = state.nodes.get_mut(tasklet) {
        node.outputs.insert(connector, Connector::default());
    }
    let label = program.names.get(target).to_owned();
    let access = add_access(state, &label, target);
    let memlet = Memlet { data: Some(target), subset: Some(first_element(program)), ..Memlet::default() };
    add_edge(state, (tasklet, Some(connector)), (access, None), memlet);
}

/// Adds a copy of one number from one container to another.
pub(super) fn add_copy_of_one(program: &mut Program, state: &mut State, from: Name, to: Name) {
    let labels = [from, to].map(|name| program.names.get(name).to_owned());
    let source = add_access(state, &labels[0], from);
    let target = add_access(state, &labels[1], to);
    let subset = Some(first_element(program));
    let memlet = Memlet {
        data: Some(from),
        subset: subset.clone(),
        other_subset: subset,
        is_data_src: Some(true),
        ..Memlet::default()
    };
    add_edge(state, (source, None), (target, None), memlet);
}

/// `[0]`.
pub(super) fn first_element(program: &mut Program) -> Subset {
    let zero = program.exprs.int(0);
    let one = program.exprs.int(1);
    Subset { ranges: vec![Range { start: zero, end: zero, step: one, tile: one }] }
}

/// One index as a range.
pub(super) fn single(program: &mut Program, index: i64) -> Range {
    let at = program.exprs.int(index);
    let one = program.exprs.int(1);
    Range { start: at, end: at, step: one, tile: one }
}

/// Declares a row-major argument array of one dimension.
pub(super) fn declare_argument(program: &mut Program, name: &str, dtype: DType, extent: i64) -> Name {
    let name = program.names.intern(name);
    let data = array_of(program, Type::Scalar(dtype), &[extent]);
    if let Some(graph) = root_mut(program) {
        graph.data.insert(name, data);
    }
    name
}

/// A row-major argument array with literal extents.
pub(super) fn array_of(program: &mut Program, ty: Type, shape: &[i64]) -> Data {
    let shape: Vec<ExprId> = shape.iter().map(|&extent| program.exprs.int(extent)).collect();
    let (strides, total) = row_major(&mut program.exprs, &shape);
    Data {
        ty,
        kind: DataKind::Array(Array { shape, strides, total_size: Some(total), ..Array::default() }),
        transient: false,
        storage: Storage::Default,
        lifetime: Lifetime::Scope,
        extra: Extra::new(),
    }
}

/// The outermost graph.
pub(super) fn root_mut(program: &mut Program) -> Option<&mut Graph> {
    let root = program.root?;
    program.graphs.get_mut(root)
}

/// Symbols that control flow of the outermost graph assigns.
pub(super) fn assigned_symbols(graph: &Graph) -> Vec<Name> {
    let mut assigned: Vec<Name> = Vec::new();
    for region in graph.regions.values() {
        assigned.extend(region.edges.iter().flat_map(|edge| edge.assignments.iter().map(|(name, _)| *name)));
    }
    for block in graph.blocks.values() {
        if let BlockKind::Loop(inner) = &block.kind {
            let targets = [inner.init.as_ref(), inner.update.as_ref()];
            assigned.extend(targets.into_iter().flatten().filter_map(|code| code.target));
            assigned.extend(inner.variable);
        }
    }
    assigned.sort_unstable();
    assigned.dedup();
    assigned
}

/// Containers of the outermost graph that states use outside of any scope, with whether they are cleared when
/// allocated.
pub(super) fn used_at_top(graph: &Graph) -> (HashSet<Name>, HashSet<Name>) {
    let (mut top, mut cleared) = (HashSet::new(), HashSet::new());
    for (_, state) in graph.states() {
        let Ok(tree) = crate::analysis::ScopeTree::of(state) else { continue };
        for (id, node) in state.live_nodes() {
            if let NodeKind::Access { data, setzero } = node.kind {
                if tree.parent(id).is_none() {
                    top.insert(data);
                }
                if setzero {
                    cleared.insert(data);
                }
            }
        }
    }
    (top, cleared)
}

/// Makes those transients of the outermost graph arguments that `chosen` names and that can be arguments.
pub(super) fn expose_if(program: &mut Program, chosen: &dyn Fn(Name) -> bool) {
    arrays_exposed(program, chosen);
    scalars_exposed(program, chosen);
}

/// Declares everything a cut graph needs to know as symbols: those it declares, and those that its control flow assigns.
pub(super) fn add_symbols(program: &mut Program) {
    let Some(graph) = root_mut(program) else { return };
    for name in assigned_symbols(graph) {
        graph.symbols.entry(name).or_insert(Type::Scalar(DType::I64));
    }
}

/// Makes the transient arrays that outlive a scope arguments, so that they can be seen. Those whose size follows from
/// symbols that the program assigns stay what they are.
pub(super) fn expose_arrays(program: &mut Program) -> Vec<Name> {
    arrays_exposed(program, &|_| true)
}

fn arrays_exposed(program: &mut Program, chosen: &dyn Fn(Name) -> bool) -> Vec<Name> {
    let Some(graph) = program.root_graph() else { return Vec::new() };
    let assigned = assigned_symbols(graph);
    let (top, cleared) = used_at_top(graph);
    let mut exposed = Vec::new();
    for (&name, data) in &graph.data {
        let DataKind::Array(array) = &data.kind else { continue };
        let sizes = array.shape.iter().chain(&array.strides).chain(&array.total_size);
        let fixed = sizes.into_iter().all(|&size| !program.exprs.depends_on_any(size, &assigned));
        let plain = matches!(data.ty, Type::Scalar(_));
        let possible = plain && fixed && top.contains(&name) && !cleared.contains(&name);
        if data.transient && possible && chosen(name) {
            exposed.push(name);
        }
    }
    if let Some(graph) = root_mut(program) {
        for name in &exposed {
            if let Some(data) = graph.data.get_mut(name) {
                data.transient = false;
                data.lifetime = Lifetime::Scope;
                data.storage = Storage::Default;
            }
        }
    }
    exposed
}

/// Makes the scalars of the outermost graph arrays of one element, so that they can be seen and given. Scalars that
/// sizes, indices or control flow mention stay what they are.
pub(super) fn expose_scalars(program: &mut Program) -> Vec<Name> {
    scalars_exposed(program, &|_| true)
}

fn scalars_exposed(program: &mut Program, chosen: &dyn Fn(Name) -> bool) -> Vec<Name> {
    let Some(graph) = program.root_graph() else { return Vec::new() };
    let ids = (0..program.exprs.len()).map(ExprId::from_index);
    let in_sizes = ids.filter_map(|id| program.exprs.as_symbol(id));
    let mentioned: HashSet<Name> = in_sizes.chain(names_in_control_flow(program, graph)).collect();
    let scalars: Vec<(Name, Type)> = graph
        .data
        .iter()
        .filter(|(name, data)| matches!(data.kind, DataKind::Scalar(_)) && !mentioned.contains(*name))
        .filter(|(name, data)| matches!(data.ty, Type::Scalar(_)) && chosen(**name))
        .map(|(&name, data)| (name, data.ty))
        .collect();
    for &(name, ty) in &scalars {
        let data = array_of(program, ty, &[1]);
        if let Some(graph) = root_mut(program) {
            graph.data.insert(name, data);
        }
    }
    scalars.into_iter().map(|(name, _)| name).collect()
}

/// Names that conditions, assignments and loop statements of a graph mention, as words of their texts.
pub(super) fn names_in_control_flow(program: &Program, graph: &Graph) -> Vec<Name> {
    let mut texts: Vec<&str> = Vec::new();
    for region in graph.regions.values() {
        for edge in &region.edges {
            texts.extend(edge.condition.iter().map(|code| code.text.text.as_str()));
            texts.extend(edge.assignments.iter().map(|(_, code)| code.text.text.as_str()));
        }
    }
    for block in graph.blocks.values() {
        match &block.kind {
            BlockKind::Loop(inner) => {
                texts.push(&inner.condition.text.text);
                texts.extend(inner.init.iter().chain(&inner.update).map(|code| code.text.text.as_str()));
            }
            BlockKind::Conditional(branches) => {
                texts.extend(
                    branches.iter().filter_map(|b| b.condition.as_ref()).map(|c| c.text.text.as_str()),
                );
            }
            _ => {}
        }
    }
    let words = texts.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.filter_map(|word| program.names.lookup(word)).collect()
}
