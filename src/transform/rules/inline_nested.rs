//! # inline_nested
//!
//! Puts the nodes of a nested graph in the place of the node that runs it, so that rules see what it does.
//!
//! ## Legal when
//! - the nested graph is one state of maps, tasklets, copies and library nodes, whose order follows from paths;
//! - each of its arguments is an outer container as a whole, or a window of it: every index of the argument is an index of the
//!   container plus what does not change; no two arguments are one container;
//! - operations of linear algebra see an argument with all dimensions that it has outside, products of matrices with the last ones;
//! - what stands for its symbols can stand in its ranges, memlets and code.
//!
//! ## Before
//! ```pelton
//! program call(a: f64[8, 4], b: f64[4]) {
//!   state main {
//!     n0 = access a
//!     n1 = access b
//!     n2 = nested inner (x) -> (y) with (k = 3) graph inner(x: f64[4], y: f64[4], k: i64 symbol) {
//!       map i in 0:4 { y[i] = x[k - i] * 2 }
//!     }
//!     n0 -> n2.x : a[5, 0:4]
//!     n2.y -> n1 : b[0:4]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program call(a: f64[8, 4], b: f64[4]) {
//!   state main {
//!     map i in 0:4 { b[i] = a[5, 3 - i] * 2 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program call(a: f64[8, 4], b: f64[4]) {
//!   state main {
//!     n0 = access a
//!     n1 = access b
//!     n2 = nested inner (x) -> (y) graph inner(x: f64[4], y: f64[4]) {
//!       for i in 0:4 { y[i] = x[3 - i] * 2 }
//!     }
//!     n0 -> n2.x : a[5, 0:4]
//!     n2.y -> n1 : b[0:4]
//!   }
//! }
//! ```
//!
//! Enables: every rule for dataflow. Source: DaCe `InlineSDFG`, GT4Py `gt_inline_nested_sdfg`.

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::analysis::ScopeTree;
use crate::entity::Name;
use crate::ir::{BlockId, BlockKind, Data, DataKind, Edge, GraphId, Lifetime, Node, NodeId, NodeKind, State};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::arguments::{self, Argument};
use crate::transform::dead;
use crate::transform::editor::{Editor, Place, View, ordering_edge};
use crate::transform::index::StateIndex;
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;
use crate::transform::substitute;

/// The rule.
pub struct InlineNested;

/// A nested graph with what its arguments are outside.
pub struct Found {
    at: Place,
    node: NodeId,
    inner: Place,
    /// The only state, with symbols replaced, and the order of its nodes.
    state: State,
    order: Vec<NodeId>,
    arguments: IndexMap<Name, Argument>,
    /// Containers of the nested graph's own, as they are declared outside.
    locals: Vec<(Name, Data)>,
}

impl Transformation for InlineNested {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Node(at, node) = site else { return None };
        let NodeKind::Nested(nested) = editor.view(at)?.kind(node)? else { return None };
        let (graph, mapping) = (nested.graph?, nested.symbol_mapping.clone());
        let contract = editor.program().contract;
        let view = editor.view(at)?;
        let around = view.index.parent(node);
        if around.is_some_and(|entry| view.index.size(entry) > 2) || view.state.nodes.len() > 20_000 {
            return None;
        }
        let block = only_state(editor, graph)?;
        let inner = Place { graph, block };
        if !order::is_explicit(editor, at) || !order::is_explicit(editor, inner) {
            return None;
        }
        let by: Vec<(Name, ExprId)> = (mapping.iter())
            .filter(|&(&name, &value)| editor.exprs.as_symbol(value) != Some(name))
            .map(|(&name, &value)| (name, value))
            .collect();
        let (view, exprs) = editor.split(inner)?;
        if !symbols_are_known(&view, exprs, &mapping) {
            return None;
        }
        let state = substitute::state(exprs, view.names, view.state, &by)?;
        let order = ScopeTree::of(&state).ok()?.order().to_vec();
        let declared = view.graph.data.clone();
        let mut arguments = IndexMap::new();
        let mut locals = Vec::new();
        for (name, data) in declared {
            let exprs = &mut editor.exprs;
            let data = arguments::substituted(&data, &mut |size| substitute::expression(exprs, size, &by));
            if !matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_)) {
                return None;
            }
            if data.transient {
                let dies = matches!(data.lifetime, Lifetime::Scope | Lifetime::State | Lifetime::Graph);
                let uses = editor.view(inner)?.facts.access_nodes(name);
                if !dies {
                    return None;
                }
                if uses > 0 {
                    locals.push((name, Data { lifetime: Lifetime::Scope, ..data }));
                }
                continue;
            }
            let (view, exprs) = editor.split(at)?;
            arguments.insert(name, arguments::argument(&view, exprs, node, name, &data, contract)?);
        }
        let mut outer: Vec<Name> = Vec::new();
        for argument in arguments.values() {
            let class = editor.view(at)?.facts.class(argument.outer);
            if outer.contains(&class) {
                return None;
            }
            outer.push(class);
        }
        let found = Found { at, node, inner, state, order, arguments, locals };
        let inside = around.is_some();
        let view = editor.view(inner)?;
        fits(&view, &found, inside).then_some(found)
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        inline(editor, found).ok_or(Stopped)
    }
}

/// The state that a graph consists of, if it is only that.
fn only_state(editor: &Editor<'_>, graph: GraphId) -> Option<BlockId> {
    let graph = editor.graph(graph)?;
    let body = graph.body_region()?;
    let &[block] = &body.blocks[..] else { return None };
    (body.edges.is_empty() && graph.constants.is_empty() && graph.state(block).is_some()).then_some(block)
}

/// Whether every symbol that the state reads is mapped, or a parameter of one of its maps; no container is read as one.
fn symbols_are_known(view: &View<'_>, exprs: &ExprPool, mapping: &IndexMap<Name, ExprId>) -> bool {
    let mut bound: HashSet<Name> = mapping.keys().copied().collect();
    for (_, node) in view.state.live_nodes() {
        if let NodeKind::MapEntry(map) = &node.kind {
            bound.extend(&map.params);
        }
    }
    let known = |expr: ExprId| exprs.free_symbols(expr).iter().all(|name| bound.contains(name));
    let nodes = view.state.live_nodes().all(|(id, node)| match &node.kind {
        NodeKind::Access { data, .. } => view.graph.data.contains_key(data) && !view.facts.is_shared(*data),
        NodeKind::MapEntry(map) => {
            scope::is_plain(view, id)
                && map
                    .range
                    .ranges
                    .iter()
                    .all(|range| known(range.start) && known(range.end) && known(range.step))
        }
        NodeKind::MapExit { .. } => true,
        NodeKind::Tasklet(tasklet) => tasklet.code.as_ref().is_some_and(|code| {
            // A symbol of another type outside would change what is computed with it.
            let fits =
                |&(name, dtype): &(Name, _)| bound.contains(&name) && dtype == crate::scalar::DType::I64;
            dead::is_pure(code) && code.symbols.iter().all(fits)
        }),
        NodeKind::Library(library) => {
            matches!(library.class(), "Reduce" | "MatMul" | "Gemm" | "Gemv" | "Dot" | "Transpose")
        }
        _ => false,
    });
    nodes
        && view.state.edges.values().filter(|edge| !edge.removed).all(|edge| {
            let subsets = edge.memlet.subset.iter().chain(&edge.memlet.other_subset);
            subsets
                .flat_map(|subset| &subset.ranges)
                .all(|range| known(range.start) && known(range.end) && known(range.step))
        })
}

/// Whether the access nodes of the arguments can become those outside.
fn fits(view: &View<'_>, found: &Found, inside: bool) -> bool {
    let mut written: HashSet<Name> = HashSet::new();
    let mut read: HashSet<Name> = HashSet::new();
    let nodes = view.state.live_nodes().all(|(node, kind)| {
        let NodeKind::Access { data, setzero } = kind.kind else { return true };
        let Some(argument) = found.arguments.get(&data) else { return true };
        let is_written = view.data_in(node).next().is_some();
        let is_read = view.data_out(node).next().is_some();
        if is_read && !is_written {
            read.insert(data);
        }
        // One node that writes, at the top level; in a map, it cannot be read there as well.
        !setzero
            && dimensions_stay(view, node, argument)
            && view.index.parent(node).is_none()
            && !(is_written && (!written.insert(data) || argument.target.is_none() || inside && is_read))
            && !(is_read && !is_written && argument.source.is_none())
            && spelled_out(view, node, data, found)
    });
    // What a map leads in and out is used.
    let used = |(name, argument): (&Name, &Argument)| {
        (argument.source.is_none() || read.contains(name))
            && (argument.target.is_none() || written.contains(name))
    };
    nodes && (!inside || found.arguments.iter().all(used))
}

/// Whether operations of linear algebra that an access node is joined to see the dimensions of the argument: which of them an
/// operation works on may be said by number. Products of matrices take the last two.
fn dimensions_stay(view: &View<'_>, node: NodeId, argument: &Argument) -> bool {
    view.data_in(node).chain(view.data_out(node)).all(|(_, edge)| {
        let other = if edge.src == node { edge.dst } else { edge.src };
        match view.kind(other) {
            Some(NodeKind::Library(library)) if matches!(library.class(), "MatMul" | "Gemm") => {
                argument.indices.keeps_dimensions()
            }
            Some(NodeKind::Library(_)) => argument.indices.keeps_rank(),
            _ => true,
        }
    })
}

/// Whether every memlet on the paths of an argument names it, or is that of a copy between two plain containers.
fn spelled_out(view: &View<'_>, node: NodeId, data: Name, found: &Found) -> bool {
    scope::paths(view, node).into_iter().all(|id| {
        let edge = view.edge(id);
        let other = if edge.src == node { edge.dst } else { edge.src };
        let copies_argument = view.accessed(other).is_some_and(|name| found.arguments.contains_key(&name));
        edge.memlet.is_empty()
            || !copies_argument && edge.memlet.data == Some(data) && edge.memlet.subset.is_some()
    })
}

fn inline(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { at, node, inner, state, order, arguments, locals } = found;
    let mut names: HashMap<Name, Name> = arguments.iter().map(|(&name, a)| (name, a.outer)).collect();
    for (name, data) in locals {
        let stem = editor.names.get(name).to_owned();
        names.insert(name, editor.add_data(at.graph, &stem, data)?);
    }
    let view = editor.view(at)?;
    let mut made = view.state.clone();
    let around = view.index.parent(node);
    let outer_order = ScopeTree::of(&made).ok()?.order().to_vec();
    let position: HashMap<NodeId, u32> =
        view.state.live_nodes().map(|(id, _)| (id, view.index.key(id))).collect();
    let offset = u32::try_from(made.nodes.len()).ok()?;
    let moved = |node: NodeId| NodeId(node.0.saturating_add(offset));
    // Access nodes of arguments that are the ones outside.
    let mut merged: HashMap<NodeId, (NodeId, Option<Name>)> = HashMap::new();
    let adjacency = state.adjacency();
    let has_data =
        |edges: &[crate::ir::EdgeId]| edges.iter().any(|&edge| !state.edges[edge].memlet.is_empty());
    for (id, kind) in state.live_nodes() {
        let NodeKind::Access { data, .. } = kind.kind else { continue };
        let Some(argument) = arguments.get(&data) else { continue };
        let (is_written, is_read) = (has_data(adjacency.incoming(id)), has_data(adjacency.outgoing(id)));
        let is_copied = adjacency
            .outgoing(id)
            .iter()
            .any(|&edge| matches!(state.nodes[state.edges[edge].dst].kind, NodeKind::Access { .. }));
        let place = match (is_written, is_read) {
            (true, false) => argument.target,
            // A copy happens when its source is visited, which has to stay where it is.
            (false, _) if around.is_some() || !is_copied => argument.source,
            _ => None,
        };
        if let Some(place) = place {
            merged.insert(id, place);
        }
    }
    for (id, inside) in state.nodes.iter() {
        let mut copy: Node = inside.clone();
        match &mut copy.kind {
            NodeKind::MapExit { entry } => *entry = moved(*entry),
            NodeKind::Access { data, .. } => {
                *data = *names.get(data)?;
                copy.label = editor.names.get(*data).to_owned();
            }
            _ => {}
        }
        if merged.contains_key(&id) {
            copy.kind = NodeKind::Removed;
        }
        made.nodes.push(copy);
    }
    for edge in state.edges.values() {
        let mut edge: Edge = edge.clone();
        if edge.removed {
            made.edges.push(edge);
            continue;
        }
        let is_merged = [edge.src, edge.dst].map(|end| merged.contains_key(&end));
        // Order through a node that is gone follows from what both sides do, and is written down again below.
        if edge.memlet.is_empty() && is_merged != [false, false] {
            continue;
        }
        let exprs = &mut editor.exprs;
        if let Some(name) = edge.memlet.data {
            if let Some(argument) = arguments.get(&name) {
                let subset = edge.memlet.subset.as_ref().unwrap_or(&argument.whole);
                edge.memlet.subset = Some(argument.indices.map(exprs, subset)?);
                edge.memlet.volume = None;
            }
            edge.memlet.data = Some(*names.get(&name)?);
        }
        match merged.get(&edge.src) {
            Some(&(src, connector)) => (edge.src, edge.src_conn) = (src, connector),
            None => edge.src = moved(edge.src),
        }
        match merged.get(&edge.dst) {
            Some(&(dst, connector)) => (edge.dst, edge.dst_conn) = (dst, connector),
            None => edge.dst = moved(edge.dst),
        }
        made.edges.push(edge);
    }
    for (_, edge) in made.edges.iter_mut() {
        edge.removed |= edge.src == node || edge.dst == node;
    }
    made.nodes.get_mut(node)?.kind = NodeKind::Removed;
    let inside: Vec<NodeId> =
        order.iter().filter(|id| !merged.contains_key(*id)).map(|&id| moved(id)).collect();
    if let Some(entry) = around {
        keep_in_scope(&mut made, entry, &inside);
    }
    // What the graph did stands where the node stood.
    let mut all: Vec<NodeId> = Vec::with_capacity(outer_order.len() + inside.len());
    let mut sorted = outer_order;
    sorted.sort_by_key(|id| position.get(id).copied().unwrap_or(0));
    for id in sorted {
        if id == node {
            all.extend(&inside);
        } else {
            all.push(id);
        }
    }
    let tree = ScopeTree::of(&made).ok()?;
    let index = StateIndex::with_order(&made, &tree, &all)?;
    editor.replace_block(at, BlockKind::State(Box::new(made)))?;
    editor.install_index(at, index);
    editor.replace_block(inner, BlockKind::State(Box::default()))?;
    let missing = order::missing(&editor.view(at)?)?;
    for (before, after) in missing {
        editor.order(at, before, after)?;
    }
    inside.into_iter().for_each(|id| editor.touch(Site::Node(at, id)));
    Some(())
}

/// Joins what nothing leads to any more to the entry of the scope, and what leads nowhere to its exit.
fn keep_in_scope(state: &mut State, entry: NodeId, nodes: &[NodeId]) {
    let adjacency = state.adjacency();
    for &node in nodes {
        if adjacency.incoming(node).is_empty() {
            state.edges.push(ordering_edge(entry, node));
        }
    }
    let exit = state
        .live_nodes()
        .find(|(_, node)| matches!(node.kind, NodeKind::MapExit { entry: own } if own == entry));
    if let Some((exit, _)) = exit
        && adjacency.incoming(exit).is_empty()
    {
        state.edges.push(ordering_edge(entry, exit));
    }
}
