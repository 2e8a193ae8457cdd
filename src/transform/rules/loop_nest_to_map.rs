//! # loop_nest_to_map
//!
//! Makes a map of a loop whose iterations do not depend on each other, where the body has loops or several states: the body
//! becomes a nested graph. The map runs in parallel, and all that it holds is one loop nest for the code generator.
//!
//! ## Legal when
//! - the loop counts from one size to another by a fixed step, and nobody looks at its variable afterwards;
//! - its body has loops, conditions and states one after another, which read no container and assign no symbol but the
//!   variables of inner loops; it does not leave the loop;
//! - the states are made of maps, pure tasklets, copies and operations of linear algebra;
//! - of every container that the body writes and that outlives an iteration, an iteration reads and writes only elements of its
//!   own, as for loop_to_map;
//! - other containers are small, and written in full at the start of each iteration or used by one state.
//!
//! A loop of a few iterations stays.
//!
//! ## Before
//! ```pelton
//! program sums(a: f64[N, N], b: f64[N], N: i64 symbol) {
//!   for i in 0:N {
//!     state zero { b[i] = 0.5 }
//!     for k in 0:N {
//!       state add { b[i] = b[i] + a[i, k] }
//!     }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program sums(a: f64[N, N], b: f64[N], N: i64 symbol) {
//!   state main {
//!     n0 = access a
//!     n1 = access b
//!     n2 = map_entry rows [i in 0:N]
//!     n3 = nested body (a, b) -> (b) with (i = i, N = N)
//!         graph body(a: f64[N, N], b: f64[N], i: i64 symbol, N: i64 symbol) {
//!       state zero { b[i] = 0.5 }
//!       for k in 0:N {
//!         state add { b[i] = b[i] + a[i, k] }
//!       }
//!     }
//!     n4 = map_exit rows of n2
//!     n5 = access b
//!     n0 -> n2.IN_a : a[0:N, 0:N]
//!     n1 -> n2.IN_b : b[0:N]
//!     n2.OUT_a -> n3.a : a[0:N, 0:N]
//!     n2.OUT_b -> n3.b : b[0:N]
//!     n3.b -> n4.IN_b : b[0:N]
//!     n4.OUT_b -> n5 : b[0:N]
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program carried(a: f64[N, N], b: f64[N], N: i64 symbol) {
//!   for i in 1:N {
//!     state start { b[i] = b[i - 1] }
//!     for k in 0:N {
//!       state add { b[i] = b[i] + a[i, k] }
//!     }
//!   }
//! }
//! ```
//!
//! Enables: parallel rows. Source: DaCe `LoopToMap`.

use hashbrown::HashMap;
use indexmap::{IndexMap, IndexSet};

use crate::analysis::uses::{assigned_symbols, layout_exprs};
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, Connector, DataKind, Edge, Graph, GraphId, Lifetime, Memlet, NestedGraph, NodeId,
    NodeKind, RegionId, State, Subset,
};
use crate::scalar::Type;
use crate::symbolic::ExprId;
use crate::transform::control::{self, Counted, Readers};
use crate::transform::editor::{Editor, Place, ordering_edge, plain_node};
use crate::transform::independent;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// Elements of a container that each iteration has for itself.
const LOCAL_ELEMENTS: i64 = 1024;

/// The rule.
pub struct LoopNestToMap;

/// Loops of a graph that become maps, none in another.
pub struct Found {
    graph: GraphId,
    loops: Vec<Nest>,
}

/// A loop and what its body uses.
struct Nest {
    block: BlockId,
    body: RegionId,
    range: Counted,
    /// Containers that outlive an iteration.
    shared: IndexMap<Name, Shared>,
    /// Containers that each iteration has for itself.
    locals: Vec<Name>,
    /// Symbols that the body does not set.
    symbols: Vec<Name>,
    /// Variables of the loops in the body.
    variables: Vec<Name>,
}

/// What the body does with a container that outlives an iteration.
#[derive(Clone, Copy)]
struct Shared {
    written: bool,
    /// Whether nobody else uses it.
    alone: bool,
}

impl Transformation for LoopNestToMap {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let mut taken: IndexSet<BlockId> = IndexSet::new();
        let loops = control::find_loops(editor, graph, |editor, block, blocks, readers| {
            if taken.contains(&block) {
                return None;
            }
            let nest = nest(editor, graph, block, blocks, readers)?;
            taken.extend(control::blocks_under(editor.graph(graph)?, nest.body));
            Some(nest)
        })?;
        Some(Found { graph, loops })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        found.loops.iter().try_for_each(|nest| convert(editor, found.graph, nest)).ok_or(Stopped)
    }
}

fn nest(
    editor: &mut Editor<'_>,
    graph: GraphId,
    block: BlockId,
    loops: &[BlockId],
    readers: &Readers,
) -> Option<Nest> {
    let around = editor.graph(graph)?;
    let BlockKind::Loop(repeated) = &around.blocks.get(block)?.kind else { return None };
    let body = repeated.body;
    let inside = control::blocks_under(around, body);
    if inside.len() < 2 || !around.constants.is_empty() {
        return None;
    }
    let set = symbols_set(around, body, &inside)?;
    let state = inside.iter().copied().find(|&block| around.state(block).is_some())?;
    let (view, exprs) = editor.split(Place { graph, block: state })?;
    let BlockKind::Loop(repeated) = &view.graph.blocks.get(block)?.kind else { return None };
    let range = control::counted(exprs, view.graph, repeated)?;
    let around = editor.graph(graph)?;
    let ends = |variable: Name, own: BlockId| readers.end_with_loop(around, variable, own, loops);
    let bound_is_fixed = {
        let mut changed: Vec<Name> = set.keys().copied().collect();
        changed.push(range.variable);
        !editor.exprs.depends_on_any(range.last, &changed)
            && !editor.exprs.depends_on_any(range.start, &changed)
    };
    let fits = (range.step > 0 || range.step == -1)
        && bound_is_fixed
        && !set.contains_key(&range.variable)
        && ends(range.variable, block)
        && set.iter().all(|(&variable, &own)| ends(variable, own));
    if !fits || range.has_few_iterations(&mut editor.exprs) {
        return None;
    }
    let (shared, locals) = containers(editor, graph, body, &inside, range.variable, &set)?;
    let around = editor.graph(graph)?;
    let mut symbols: IndexSet<Name> = readers.read_in(&inside).into_iter().collect();
    for name in shared.keys().chain(&locals) {
        for expr in layout_exprs(around.data.get(name)?) {
            symbols.extend(editor.exprs.free_symbols(expr));
        }
    }
    // What an expression reads of a container would have to be led in.
    let reads_data = [range.start, range.last]
        .into_iter()
        .flat_map(|expr| editor.exprs.free_symbols(expr))
        .chain(symbols.iter().copied())
        .any(|name| around.data.contains_key(&name));
    // Names that are not set in the graph are parameters of maps.
    let known = assigned_symbols(around);
    symbols.insert(range.variable);
    symbols.retain(|name| {
        !set.contains_key(name) && (around.symbols.contains_key(name) || known.contains(name))
    });
    let (symbols, variables) = (symbols.into_iter().collect(), set.keys().copied().collect());
    (!reads_data).then_some(Nest { block, body, range, shared, locals, symbols, variables })
}

/// The variables of loops in a body, each with its loop, if nothing else is set there and the body runs to its end.
fn symbols_set(graph: &Graph, body: RegionId, inside: &[BlockId]) -> Option<IndexMap<Name, BlockId>> {
    let mut set: IndexMap<Name, BlockId> = IndexMap::new();
    let mut codes = Vec::new();
    let mut regions = vec![body];
    for &block in inside {
        match &graph.blocks.get(block)?.kind {
            BlockKind::State(_) | BlockKind::Region(..) => {}
            BlockKind::Loop(repeated) => {
                let targets = repeated.init.iter().chain(&repeated.update).filter_map(|code| code.target);
                for variable in repeated.variable.into_iter().chain(targets) {
                    if *set.entry(variable).or_insert(block) != block {
                        return None;
                    }
                }
                codes.extend(repeated.init.iter().chain(&repeated.update).chain([&repeated.condition]));
            }
            BlockKind::Conditional(branches) => {
                codes.extend(branches.iter().filter_map(|branch| branch.condition.as_ref()));
            }
            BlockKind::Break | BlockKind::Continue | BlockKind::Return => return None,
        }
        regions.extend(control::bodies(graph, block));
    }
    for region in regions {
        for edge in &graph.regions.get(region)?.edges {
            if edge.condition.is_some() || !edge.assignments.is_empty() {
                return None;
            }
        }
    }
    let reads_nothing = codes.iter().all(|code| code.code.as_ref().is_some_and(|code| code.ports.is_empty()));
    reads_nothing.then_some(set)
}

/// Containers that the body of a loop shares with other iterations, and those that each iteration has for itself; `None` if
/// iterations may meet in one of them.
fn containers(
    editor: &mut Editor<'_>,
    graph: GraphId,
    body: RegionId,
    inside: &[BlockId],
    variable: Name,
    set: &IndexMap<Name, BlockId>,
) -> Option<(IndexMap<Name, Shared>, Vec<Name>)> {
    let states: Vec<Place> = (inside.iter())
        .map(|&block| Place { graph, block })
        .filter(|at| editor.state(*at).is_some())
        .collect();
    let mut params: Vec<Name> = set.keys().copied().collect();
    // Access nodes per container, by state.
    let mut used: IndexMap<Name, Vec<(Place, NodeId)>> = IndexMap::new();
    for &at in &states {
        let view = editor.view(at)?;
        if !independent::does_plain_work(&view, &mut params, &|_| true) {
            return None;
        }
        for (node, _) in view.state.live_nodes() {
            if let Some(name) = view.accessed(node) {
                used.entry(name).or_default().push((at, node));
            }
        }
    }
    if params.contains(&variable) {
        return None;
    }
    let (mut shared, mut locals) = (IndexMap::new(), Vec::new());
    for (name, nodes) in used {
        if is_local(editor, body, name, &nodes, variable)? {
            locals.push(name);
            continue;
        }
        let written = nodes.iter().try_fold(false, |written, &(at, node)| {
            let view = editor.view(at)?;
            let setzero = matches!(view.kind(node), Some(NodeKind::Access { setzero: true, .. }));
            let is_plain =
                matches!(view.graph.data.get(&name)?.kind, DataKind::Array(_) | DataKind::Scalar(_));
            (is_plain && !setzero && !view.facts.is_shared(name))
                .then(|| written || view.data_in(node).next().is_some())
        })?;
        if written && !is_iterations_own(editor, name, &nodes, variable, &params) {
            return None;
        }
        let uses = editor.view(nodes.first()?.0)?.facts.access_nodes(name);
        let alone = usize::try_from(uses).is_ok_and(|count| count == nodes.len());
        shared.insert(name, Shared { written, alone });
    }
    Some((shared, locals))
}

/// Whether each iteration can have a container for itself: nobody else uses it, and nothing of it is carried on.
fn is_local(
    editor: &mut Editor<'_>,
    body: RegionId,
    name: Name,
    nodes: &[(Place, NodeId)],
    variable: Name,
) -> Option<bool> {
    let &(first, _) = nodes.first()?;
    let (view, exprs) = editor.split(first)?;
    let data = view.graph.data.get(&name)?;
    let elements =
        data.shape().iter().try_fold(1i64, |product, &extent| product.checked_mul(exprs.as_int(extent)?));
    let is_own = data.transient
        && matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_))
        && matches!(data.lifetime, Lifetime::Scope | Lifetime::State | Lifetime::Graph)
        && elements.is_some_and(|elements| elements <= LOCAL_ELEMENTS)
        && !layout_exprs(data).into_iter().any(|expr| exprs.depends_on(expr, variable))
        && usize::try_from(view.facts.access_nodes(name)).is_ok_and(|count| count == nodes.len())
        && !view.facts.is_shared(name)
        && !view.facts.is_read_by_name(name);
    if !is_own {
        return Some(false);
    }
    let in_one_state = nodes.iter().all(|(at, _)| *at == first);
    if in_one_state && matches!(data.lifetime, Lifetime::Scope | Lifetime::State) {
        return Some(true);
    }
    // The first state of the body writes all of it before anybody reads.
    let start = view.graph.regions.get(body)?.entry()?;
    if first.block != start {
        return Some(false);
    }
    let is_live = |node: &&NodeId| !matches!(view.kind(**node), Some(NodeKind::Removed));
    let &node = view.index.accesses(name).iter().find(is_live)?;
    Some(scope::is_written_in_full(&view, exprs, node))
}

/// Whether all accesses of a container in the body are to elements that no other iteration touches.
fn is_iterations_own(
    editor: &mut Editor<'_>,
    name: Name,
    nodes: &[(Place, NodeId)],
    variable: Name,
    params: &[Name],
) -> bool {
    let mut subsets: Vec<Subset> = Vec::new();
    for &(at, node) in nodes {
        let Some(view) = editor.view(at) else { return false };
        if view.facts.is_read_by_name(name) {
            return false;
        }
        for id in scope::paths(&view, node) {
            let edge = view.edge(id);
            if edge.memlet.is_empty() {
                continue;
            }
            match independent::touched(&view, edge, name) {
                Some(subset) => subsets.push(subset.clone()),
                None => return false,
            }
        }
    }
    let subsets: Vec<&Subset> = subsets.iter().collect();
    independent::are_disjoint(&mut editor.exprs, &subsets, variable, params)
}

fn convert(editor: &mut Editor<'_>, graph: GraphId, nest: &Nest) -> Option<()> {
    let inner = body_graph(editor, graph, nest)?;
    let inner = editor.add_graph(inner);
    let state = around(editor, graph, nest, inner)?;
    control::replace_nest(editor, graph, nest.block, state)?;
    // What several states used kept its content; a container of one state alone would not.
    for (&name, _) in nest.shared.iter().filter(|(_, shared)| shared.alone) {
        editor.edit_data(graph, name, |data| {
            if data.transient && data.lifetime == Lifetime::Scope {
                data.lifetime = Lifetime::Graph;
            }
        })?;
    }
    nest.locals.iter().try_for_each(|&name| editor.remove_data(graph, name))
}

/// The body of the loop as a graph of its own.
fn body_graph(editor: &mut Editor<'_>, graph: GraphId, nest: &Nest) -> Option<Graph> {
    let outer = editor.graph(graph)?;
    let mut inner = Graph { name: "loop_body".to_owned(), ..Graph::default() };
    for &name in nest.symbols.iter().chain(&nest.variables) {
        let known = outer.symbols.get(&name).copied();
        inner.symbols.insert(name, known.unwrap_or(Type::Scalar(outer.symbol_type(name))));
    }
    for &name in nest.shared.keys() {
        let mut data = outer.data.get(&name)?.clone();
        (data.transient, data.lifetime) = (false, Lifetime::Scope);
        inner.data.insert(name, data);
    }
    for &name in &nest.locals {
        inner.data.insert(name, outer.data.get(&name)?.clone());
    }
    let blocks = control::blocks_under(outer, nest.body);
    let regions =
        [nest.body].into_iter().chain(blocks.iter().flat_map(|&block| control::bodies(outer, block)));
    let mut new_blocks: HashMap<BlockId, BlockId> = HashMap::new();
    let mut new_regions: HashMap<RegionId, RegionId> = HashMap::new();
    let regions: Vec<RegionId> = regions.collect();
    for &region in &regions {
        new_regions.insert(region, inner.regions.push(outer.regions.get(region)?.clone()));
    }
    for &block in &blocks {
        let mut copy = outer.blocks.get(block)?.clone();
        match &mut copy.kind {
            BlockKind::Loop(repeated) => repeated.body = *new_regions.get(&repeated.body)?,
            BlockKind::Region(_, body) => *body = *new_regions.get(body)?,
            BlockKind::Conditional(branches) => {
                for branch in branches {
                    branch.body = *new_regions.get(&branch.body)?;
                }
            }
            _ => {}
        }
        new_blocks.insert(block, inner.blocks.push(copy));
    }
    for (_, region) in inner.regions.iter_mut() {
        for block in region.blocks.iter_mut().chain(&mut region.start) {
            *block = *new_blocks.get(block)?;
        }
        for edge in &mut region.edges {
            (edge.src, edge.dst) = (*new_blocks.get(&edge.src)?, *new_blocks.get(&edge.dst)?);
        }
    }
    inner.body = new_regions.get(&nest.body).copied();
    Some(inner)
}

/// The state that runs the graph `inner` in a map.
fn around(editor: &mut Editor<'_>, graph: GraphId, nest: &Nest, inner: GraphId) -> Option<State> {
    let map = nest.range.map(&mut editor.exprs);
    let mut state = State::default();
    let entry = state.nodes.push(plain_node("loop", NodeKind::MapEntry(map)));
    let mut symbol_mapping: IndexMap<Name, ExprId> =
        nest.symbols.iter().map(|&name| (name, editor.exprs.symbol(name))).collect();
    // A symbol that is not mapped would be the one of that name outside, which nobody sets any more.
    let zero = editor.exprs.int(0);
    symbol_mapping.extend(nest.variables.iter().map(|&name| (name, zero)));
    let nested = NestedGraph { graph: Some(inner), symbol_mapping };
    let node = state.nodes.push(plain_node("loop_body", NodeKind::Nested(nested)));
    let exit = state.nodes.push(plain_node("loop", NodeKind::MapExit { entry }));
    for (&name, shared) in &nest.shared {
        let declared = editor.graph(graph)?.data.get(&name)?.clone();
        let whole = scope::whole(&mut editor.exprs, &declared);
        let memlet = Memlet { data: Some(name), subset: Some(whole), ..Memlet::default() };
        let text = editor.names.get(name).to_owned();
        let input = editor.names.intern(&format!("IN_{text}"));
        let output = editor.names.intern(&format!("OUT_{text}"));
        let ends = [input, output];
        let source = state.nodes.push(plain_node(&text, NodeKind::Access { data: name, setzero: false }));
        connect(&mut state, [source, entry, node], [None, Some(name)], ends, &memlet);
        state.nodes[node].inputs.insert(name, Connector::default());
        if shared.written {
            let target = state.nodes.push(plain_node(&text, NodeKind::Access { data: name, setzero: false }));
            connect(&mut state, [node, exit, target], [Some(name), None], ends, &memlet);
            state.nodes[node].outputs.insert(name, Connector::default());
        }
    }
    if state.nodes[node].inputs.is_empty() {
        state.edges.push(ordering_edge(entry, node));
    }
    if state.nodes[node].outputs.is_empty() {
        state.edges.push(ordering_edge(node, exit));
    }
    Some(state)
}

/// Leads a container through a border of the map.
fn connect(
    state: &mut State,
    [from, border, to]: [NodeId; 3],
    [first, last]: [Option<Name>; 2],
    [input, output]: [Name; 2],
    memlet: &Memlet,
) {
    state.nodes[border].inputs.insert(input, Connector::default());
    state.nodes[border].outputs.insert(output, Connector::default());
    state.edges.push(Edge::new(from, first, border, Some(input), memlet.clone()));
    state.edges.push(Edge::new(border, Some(output), to, last, memlet.clone()));
}
