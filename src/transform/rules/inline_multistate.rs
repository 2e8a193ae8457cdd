//! # inline_multistate
//!
//! Puts the control flow of a nested graph (states, loops, conditional blocks) where the node that runs it was: the state around
//! the node becomes what comes before it, the blocks of the nested graph, and what comes after it. Rules then see across the
//! border, in both directions.
//!
//! ## Legal when
//! - the node lies at the top level of a state; in a map, an iteration has no control flow but that of a nested graph;
//! - the nested graph ends at its end: it has no return, and no break or continue outside its own loops;
//! - each of its arguments is an outer container as a whole; or a window of it (every index of the argument is an index of the
//!   container plus what does not change) whose elements are read and written one by one or copied. Nothing is copied between two
//!   that are one container;
//! - values go from what comes before to what comes after through containers alone, and none of these has to be cleared whenever
//!   the state runs;
//! - what control flow reads of arguments are whole containers, and sizes of its own containers that several of its states use
//!   depend on no symbol that is assigned.
//!
//! Symbols that the nested graph assigns become symbols of their own. What is mapped to others stands in their place; where code
//! reads such a symbol and what is mapped to it is no symbol of the same type, an edge assigns it first.
//!
//! ## Before
//! ```pelton
//! program call(a: f64[8, 4], b: f64[4], c: f64[4], N: i64 symbol) {
//!   transient t: f64[4]
//!   state main {
//!     map i in 0:4 { c[i] = a[0, i] + 1 }
//!     n0 = access a
//!     n1 = access t
//!     n2 = nested inner (x) -> (y) with (k = N + 3) graph inner(x: f64[4], y: f64[4], k: i64 symbol) {
//!       for i in 0:4 { y[i] = x[3 - i] * 2 }
//!       if k > 7 { state more { map i in 0:4 { y[i] = y[i] + k } } }
//!     }
//!     n3 = tasklet last (v) -> (w) { w = v - 1 }
//!     n4 = access b
//!     n0 -> n2.x : a[5, 0:4]
//!     n2.y -> n1 : t[0:4]
//!     n1 -> n3.v : t[2]
//!     n3.w -> n4 : b[0]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program call(a: f64[8, 4], b: f64[4], c: f64[4], N: i64 symbol) {
//!   transient t: f64[4]
//!   symbol k_0: i64
//!   state main { map i in 0:4 { c[i] = a[0, i] + 1 } }
//!   region inner {
//!     for i in 0:4 { t[i] = a[5, 3 - i] * 2 }
//!     if k_0 > 7 { state more { map i in 0:4 { t[i] = t[i] + k_0 } } }
//!   }
//!   state main_after { b[0] = t[2] - 1 }
//!   main -> inner { k_0 = N + 3 }
//!   inner -> main_after
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program returns(a: f64[4], b: f64[4], N: i64 symbol) {
//!   state main {
//!     n0 = access a
//!     n1 = access b
//!     n2 = nested inner (x) -> (y) with (N = N) graph inner(x: f64[4], y: f64[4], N: i64 symbol) {
//!       if N > 3 { return early }
//!       for i in 0:4 { y[i] = x[3 - i] * 2 }
//!     }
//!     n0 -> n2.x : a[0:4]
//!     n2.y -> n1 : b[0:4]
//!   }
//! }
//! ```
//!
//! Enables: every rule for control flow, state_fusion, move_into_branch, loop_to_map. Source: DaCe `InlineMultistateSDFG`.

use hashbrown::{HashMap, HashSet};

use crate::analysis::uses::{assigned_symbols, layout_exprs};
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, CodeExpr, Data, DataKind, Graph, GraphId, InterstateEdge, Lifetime, NodeId, NodeKind,
    RegionFlavor, RegionId, State,
};
use crate::scalar::Type;
use crate::transform::arguments::{self, Argument};
use crate::transform::call_symbols::{self, Symbol};
use crate::transform::control;
use crate::transform::editor::{Editor, Place, View};
use crate::transform::embed::Meaning;
use crate::transform::order;
use crate::transform::readdress::{self, Readdress};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;
use crate::transform::split::Cut;

/// The rule.
pub struct InlineMultistate;

/// Nodes of a graph whose nested graphs become part of it.
pub struct Found {
    graph: GraphId,
    states: Vec<(BlockId, Vec<Call>)>,
}

/// A node with what its nested graph is outside.
struct Call {
    node: NodeId,
    label: String,
    inner: GraphId,
    cut: Cut,
    arguments: Vec<(Name, Argument)>,
    /// Those of the arguments that are parts of containers.
    parts: Vec<Name>,
    /// Containers of the nested graph's own.
    locals: Vec<(Name, Data)>,
    symbols: Vec<Symbol>,
}

impl Transformation for InlineMultistate {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;
    // Then the blocks of graphs in graphs move once, to where they stay.
    const OUTSIDE_IN: bool = true;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let mut states = Vec::new();
        for block in editor.blocks(graph) {
            let calls = calls(editor, Place { graph, block }).unwrap_or_default();
            if !calls.is_empty() {
                states.push((block, calls));
            }
        }
        (!states.is_empty()).then_some(Found { graph, states })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        inline(editor, found).ok_or(Stopped)
    }
}

/// The nodes of a state that can be inlined, last ones first.
fn calls(editor: &mut Editor<'_>, at: Place) -> Option<Vec<Call>> {
    let is_candidate = |kind: &NodeKind| match kind {
        NodeKind::Nested(nested) => nested.graph.is_some_and(|graph| has_control_flow(editor, graph)),
        _ => false,
    };
    let state = editor.state(at)?;
    let mut nodes: Vec<NodeId> =
        state.live_nodes().filter(|(_, node)| is_candidate(&node.kind)).map(|(id, _)| id).collect();
    if nodes.is_empty() || !order::is_explicit(editor, at) {
        return None;
    }
    let view = editor.view(at)?;
    nodes.retain(|&node| view.index.parent(node).is_none());
    nodes.sort_by_key(|&node| std::cmp::Reverse((view.index.key(node), node)));
    let mut gone: HashSet<NodeId> = HashSet::new();
    let mut calls = Vec::new();
    for node in nodes {
        if let Some(call) = call(editor, at, node, &gone) {
            gone.extend(call.cut.after.iter().copied().chain([node]));
            calls.push(call);
        }
    }
    Some(calls)
}

/// Whether a graph is more than one state, or runs such graphs in its only one: a state by itself is the work of `inline_nested`.
fn has_control_flow(editor: &Editor<'_>, graph: GraphId) -> bool {
    let mut open = vec![graph];
    // Each graph belongs to one node.
    while let Some(graph) = open.pop().and_then(|id| editor.graph(id)) {
        let Some(body) = graph.body_region() else { return false };
        match &body.blocks[..] {
            [] => {}
            &[block] => {
                let Some(state) = graph.state(block) else { return true };
                open.extend(state.live_nodes().filter_map(|(_, node)| match &node.kind {
                    NodeKind::Nested(nested) => nested.graph,
                    _ => None,
                }));
            }
            _ => return true,
        }
    }
    false
}

fn call(editor: &mut Editor<'_>, at: Place, node: NodeId, gone: &HashSet<NodeId>) -> Option<Call> {
    let view = editor.view(at)?;
    let NodeKind::Nested(nested) = view.kind(node)? else { return None };
    let (inner, mapping) = (nested.graph?, nested.symbol_mapping.clone());
    let label = view.state.nodes.get(node)?.label.clone();
    let cut = Cut::of(&view, node, gone)?;
    let keep_content = touched(&view, node, &cut)?.into_iter().all(|name| keeps_content(&view, name));
    if !keep_content || !runs_to_its_end(editor.graph(inner)?) {
        return None;
    }
    let mut exprs = std::mem::take(&mut editor.exprs);
    let symbols = call_symbols::of(editor, &mut exprs, at.graph, inner, &mapping);
    editor.exprs = exprs;
    let symbols = symbols?;
    let contract = editor.program().contract;
    let (arguments_inside, own): (Vec<_>, Vec<_>) =
        (editor.graph(inner)?.data.clone().into_iter()).partition(|(_, data)| !data.transient);
    let mut found: Vec<(Name, Argument)> = Vec::with_capacity(arguments_inside.len());
    let mut parts = Vec::new();
    for (name, data) in arguments_inside {
        let exprs = &mut editor.exprs;
        let data = arguments::substituted(&data, &mut |size| {
            exprs.substitute(size, &|name| mapping.get(&name).copied())
        });
        let (view, exprs) = editor.split(at)?;
        if !matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_)) {
            return None;
        }
        let argument = arguments::argument(&view, exprs, node, name, &data, contract)?;
        let outer = view.graph.data.get(&argument.outer)?;
        let all = scope::whole(exprs, outer);
        let is_whole = data.shape() == outer.shape()
            && data.array().map(|array| &array.strides) == outer.array().map(|array| &array.strides)
            && argument.indices.map(exprs, &argument.whole) == Some(all);
        if !is_whole {
            parts.push(name);
        }
        found.push((name, argument));
    }
    let locals = locals(editor, at.graph, inner, own, &symbols)?;
    let call = Call { node, label, inner, cut, arguments: found, parts, locals, symbols };
    accesses_fit(editor, &call).then_some(call)
}

/// Containers that the nested graph and what comes after it share with others; `None` if the node reads or writes what is no
/// container.
fn touched(view: &View<'_>, node: NodeId, cut: &Cut) -> Option<Vec<Name>> {
    let mut found = Vec::new();
    for (_, edge) in view.data_in(node).chain(view.data_out(node)) {
        let other = if edge.src == node { edge.dst } else { edge.src };
        let name = view.accessed(other)?;
        if edge.memlet.data != Some(name) {
            return None;
        }
        found.push(name);
    }
    let mut after: HashMap<Name, u32> = HashMap::new();
    for name in cut.after.iter().filter_map(|&node| view.accessed(node)) {
        *after.entry(name).or_default() += 1;
    }
    let shared = after.into_iter().filter(|&(name, count)| count != view.facts.access_nodes(name));
    found.extend(shared.map(|(name, _)| name));
    Some(found)
}

/// Whether a container of a state may be one of several states: it keeps its content then, from one execution to the next.
fn keeps_content(view: &View<'_>, name: Name) -> bool {
    let Some(data) = view.graph.data.get(&name) else { return false };
    let own = view.index.accesses(name);
    let is_cleared =
        own.iter().any(|&node| matches!(view.kind(node), Some(NodeKind::Access { setzero: true, .. })));
    !data.transient || (data.lifetime != Lifetime::State && !(data.lifetime == Lifetime::Scope && is_cleared))
}

/// Whether a graph ends at its end alone.
fn runs_to_its_end(graph: &Graph) -> bool {
    let mut open: Vec<(RegionId, bool)> = graph.body.map(|body| (body, false)).into_iter().collect();
    while let Some((region, in_loop)) = open.pop() {
        let Some(region) = graph.regions.get(region) else { return false };
        for &block in &region.blocks {
            let in_loop = match graph.blocks.get(block).map(|block| &block.kind) {
                Some(BlockKind::Return) | None => return false,
                Some(BlockKind::Break | BlockKind::Continue) if !in_loop => return false,
                Some(BlockKind::Loop(_)) => true,
                _ => in_loop,
            };
            open.extend(control::bodies(graph, block).into_iter().map(|body| (body, in_loop)));
        }
    }
    graph.constants.is_empty()
}

/// Those of the nested graph's own containers that are used; `None` if one of them would be something else outside.
fn locals(
    editor: &mut Editor<'_>,
    around: GraphId,
    inner: GraphId,
    own: Vec<(Name, Data)>,
    symbols: &[Symbol],
) -> Option<Vec<(Name, Data)>> {
    let mut states: HashMap<Name, HashSet<BlockId>> = HashMap::new();
    let mut cleared: HashSet<Name> = HashSet::new();
    for (block, state) in editor.graph(inner)?.states() {
        for (_, node) in state.live_nodes() {
            let NodeKind::Access { data, setzero } = node.kind else { continue };
            states.entry(data).or_default().insert(block);
            if setzero {
                cleared.insert(data);
            }
        }
    }
    let assigned = assigned_symbols(editor.graph(around)?);
    let mut found = Vec::new();
    for (name, data) in own {
        let (_, facts) = editor.known(inner)?;
        let by_name = facts.is_read_by_name(name);
        let count = states.get(&name).map_or(0, HashSet::len);
        if count == 0 && !by_name {
            continue;
        }
        let dies = matches!(data.lifetime, Lifetime::Scope | Lifetime::State | Lifetime::Graph);
        if !dies || !matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_) | DataKind::View(_)) {
            return None;
        }
        if count > 1 || by_name || data.lifetime == Lifetime::Graph {
            let changes = layout_exprs(&data).into_iter().any(|size| {
                editor.exprs.free_symbols(size).into_iter().any(|read| {
                    let value = symbols.iter().find(|symbol| symbol.name == read).map(|symbol| symbol.size);
                    match value {
                        Some(Some(value)) => {
                            editor.exprs.free_symbols(value).iter().any(|name| assigned.contains(name))
                        }
                        Some(None) => true,
                        None => false,
                    }
                })
            });
            if cleared.contains(&name) || changes {
                return None;
            }
        }
        found.push((name, data));
    }
    let known = editor.graph(inner)?;
    states.keys().all(|name| known.data.contains_key(name)).then_some(found)
}

/// Whether every access of an argument can be one of the container outside.
fn accesses_fit(editor: &mut Editor<'_>, call: &Call) -> bool {
    let outer =
        |name: Name| call.arguments.iter().find(|(known, _)| *known == name).map(|(_, one)| one.outer);
    let Some((_, facts)) = editor.known(call.inner) else { return false };
    if call.parts.iter().any(|&name| facts.is_read_by_name(name) || facts.is_shared(name)) {
        return false;
    }
    for block in editor.blocks(call.inner) {
        let at = Place { graph: call.inner, block };
        if editor.state(at).is_none() {
            continue;
        }
        let Some((view, exprs)) = editor.split(at) else { return false };
        for (node, kind) in view.state.live_nodes() {
            let NodeKind::Access { data, setzero } = kind.kind else { continue };
            let Some(container) = outer(data) else { continue };
            let mut copies = view.data_out(node).filter_map(|(_, edge)| view.accessed(edge.dst));
            if setzero || copies.any(|to| to != data && outer(to) == Some(container)) {
                return false;
            }
            if call.parts.contains(&data)
                && let Some((_, argument)) = call.arguments.iter().find(|(name, _)| *name == data)
            {
                let by = Readdress::Slice { map: argument.indices.clone(), in_order: true };
                let edges = readdress::others(&view, node, None);
                if readdress::uses(&view, exprs, node, &edges, &by, argument.outer).is_none() {
                    return false;
                }
            }
        }
    }
    true
}

/// What takes the place of a node: a region, with what the edge to it assigns, and perhaps a state that comes next.
struct Inlined {
    label: String,
    body: RegionId,
    assignments: Vec<(Name, CodeExpr)>,
    after: Option<State>,
}

fn inline(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { graph, states } = found;
    // All states first, then all blocks: what is known of the graph is found out again only once.
    let mut made = Vec::with_capacity(states.len());
    for (block, calls) in states {
        let mut cut = Vec::with_capacity(calls.len());
        for call in calls {
            let after = call.cut.apply(editor, Place { graph, block }, call.node)?;
            cut.push((call, after));
        }
        cut.reverse();
        made.push((block, cut));
    }
    let mut chains: HashMap<BlockId, Vec<Inlined>> = HashMap::new();
    for (block, calls) in made {
        let mut chain = Vec::with_capacity(calls.len());
        for (call, after) in calls {
            let (body, assignments) = embed(editor, graph, &call)?;
            chain.push(Inlined { label: call.label, body, assignments, after });
        }
        chains.insert(block, chain);
    }
    let around = editor.graph(graph)?;
    let regions: Vec<RegionId> = (around.regions.iter())
        .filter(|(_, region)| region.blocks.iter().any(|block| chains.contains_key(block)))
        .map(|(id, _)| id)
        .collect();
    regions.into_iter().try_for_each(|region| replace(editor, graph, region, &mut chains))
}

/// Moves the blocks of a nested graph; gives the region that holds them and what is assigned before it runs.
fn embed(editor: &mut Editor<'_>, graph: GraphId, call: &Call) -> Option<(RegionId, Vec<(Name, CodeExpr)>)> {
    let mut meaning = Meaning::default();
    let mut assignments = Vec::new();
    for symbol in &call.symbols {
        let mut size = symbol.size;
        let mut code = symbol.code;
        if let Some(own) = &symbol.own {
            let stem = editor.names.get(symbol.name).to_owned();
            let name = editor.declare_symbol(graph, &stem, Type::Scalar(own.dtype))?;
            size = size.or(Some(editor.exprs.symbol(name)));
            code = Some(name);
            assignments.extend(own.start.clone().map(|start| (name, start)));
        }
        meaning.exprs.extend(size.map(|size| (symbol.name, size)));
        meaning.symbols.extend(code.map(|code| (symbol.name, code)));
    }
    for (name, argument) in &call.arguments {
        meaning.data.insert(*name, argument.outer);
        meaning.exprs.insert(*name, editor.exprs.symbol(argument.outer));
        if call.parts.contains(name) {
            meaning.parts.push((*name, argument.outer, argument.indices.clone()));
        }
    }
    let mut declared = Vec::with_capacity(call.locals.len());
    for (name, data) in &call.locals {
        let stem = editor.names.get(*name).to_owned();
        let new = editor.add_data(graph, &stem, data.clone())?;
        meaning.data.insert(*name, new);
        meaning.exprs.insert(*name, editor.exprs.symbol(new));
        declared.push((new, data));
    }
    meaning.exprs.retain(|&name, value| editor.exprs.as_symbol(*value) != Some(name));
    meaning.symbols.retain(|old, new| old != new);
    for (new, data) in declared {
        let data = arguments::substituted(data, &mut |size| meaning.expression(&mut editor.exprs, size, &[]));
        editor.edit_data(graph, new, |declared| *declared = data)?;
    }
    let body = editor.graph(call.inner)?.body?;
    let body = meaning.move_region(editor, call.inner, body, graph)?;
    Some((body, assignments))
}

/// Puts the blocks into a region, behind the states that the nodes were in.
fn replace(
    editor: &mut Editor<'_>,
    graph: GraphId,
    region: RegionId,
    chains: &mut HashMap<BlockId, Vec<Inlined>>,
) -> Option<()> {
    let around = editor.graph(graph)?;
    let label_of = |block: BlockId| around.blocks.get(block).map(|block| block.label.clone());
    let old = around.regions.get(region)?.clone();
    let mut labels: HashSet<String> = old.blocks.iter().filter_map(|&block| label_of(block)).collect();
    let mut fresh = |stem: &str| {
        let numbered = (1..).map(|number| format!("{stem}_{number}"));
        let label = std::iter::once(stem.to_owned()).chain(numbered).find(|label| !labels.contains(label))?;
        labels.insert(label.clone());
        Some(label)
    };
    let mut blocks = Vec::with_capacity(old.blocks.len());
    let mut edges = Vec::new();
    let mut last: HashMap<BlockId, BlockId> = HashMap::new();
    for &block in &old.blocks {
        blocks.push(block);
        let Some(chain) = chains.remove(&block) else { continue };
        let stem = format!("{}_after", editor.graph(graph)?.blocks.get(block)?.label);
        let mut end = block;
        for one in chain {
            let kind = BlockKind::Region(RegionFlavor::Plain, one.body);
            let mut next = vec![(editor.add_block(graph, &fresh(&one.label)?, kind)?, one.assignments)];
            if let Some(state) = one.after {
                let kind = BlockKind::State(Box::new(state));
                next.push((editor.add_block(graph, &fresh(&stem)?, kind)?, Vec::new()));
            }
            for (dst, assignments) in next {
                edges.push(InterstateEdge {
                    src: end,
                    dst,
                    condition: None,
                    assignments,
                    extra: Default::default(),
                });
                blocks.push(dst);
                end = dst;
            }
        }
        last.insert(block, end);
    }
    editor.edit_region(graph, region, |region| {
        for edge in &mut region.edges {
            edge.src = last.get(&edge.src).copied().unwrap_or(edge.src);
        }
        region.edges.extend(edges);
        region.blocks = blocks;
    })
}
