//! # loop_to_map
//!
//! Makes a map of a loop whose iterations do not depend on each other: maps run in parallel, and rules for maps see them.
//!
//! ## Legal when
//! - the loop counts from one size to another by a fixed step, its body is one state, and nobody looks at its variable
//!   afterwards;
//! - of every container that the body writes and that outlives an iteration, an iteration reads and writes only elements of its
//!   own: in one dimension every access has the same index, the loop variable times a number plus what does not change;
//! - the body is made of maps, pure tasklets, copies and operations of linear algebra.
//!
//! A loop of a few iterations around maps stays: those maps have more to share out.
//!
//! ## Before
//! ```pelton
//! program rows(a: f64[N, 4], b: f64[N, 4], N: i64 symbol) {
//!   for i in 0:N {
//!     state main { map j in 0:4 { b[i, j] = a[N - 1 - i, j] * 2 } }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program rows(a: f64[N, 4], b: f64[N, 4], N: i64 symbol) {
//!   state main {
//!     map i in 0:N { map j in 0:4 { b[i, j] = a[N - 1 - i, j] * 2 } }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program recurrence(a: f64[N, 4], N: i64 symbol) {
//!   for i in 0:N - 1 {
//!     state main { map j in 0:4 { a[i + 1, j] = a[i, j] * 2 } }
//!   }
//! }
//! ```
//!
//! Enables: state_fusion, map_fusion_vertical, map_fusion_horizontal, map_collapse. Source: DaCe `LoopToMap`.

use hashbrown::HashMap;
use indexmap::IndexSet;

use crate::analysis::propagate::covered_by_map;
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, Data, DataKind, Edge, GraphId, Lifetime, Memlet, NodeId, NodeKind, State, Subset,
    Tasklet,
};
use crate::symbolic::ExprPool;
use crate::transform::control::{self, Counted, Readers};
use crate::transform::editor::{Editor, Place, View, ordering_edge, plain_node};
use crate::transform::independent;
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;
use crate::transform::substitute;

/// Nodes of a body beyond which nobody looks.
const BODY_LIMIT: usize = 2000;

/// The rule.
pub struct LoopToMap;

/// Loops of a graph that become maps.
pub struct Found {
    graph: GraphId,
    loops: Vec<Candidate>,
}

/// A loop with its only state.
struct Candidate {
    block: BlockId,
    inner: BlockId,
    range: Counted,
}

impl Transformation for LoopToMap {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let loops = control::find_loops(editor, graph, |editor, block, blocks, readers| {
            candidate(editor, graph, block, blocks, readers)
        })?;
        Some(Found { graph, loops })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        found.loops.iter().try_for_each(|candidate| convert(editor, found.graph, candidate)).ok_or(Stopped)
    }
}

fn candidate(
    editor: &mut Editor<'_>,
    graph: GraphId,
    block: BlockId,
    loops: &[BlockId],
    readers: &Readers,
) -> Option<Candidate> {
    let around = editor.graph(graph)?;
    let inner = control::only_state(around, block)?;
    let state = around.state(inner)?;
    if state.nodes.len() > BODY_LIMIT || state.live_nodes().next().is_none() {
        return None;
    }
    let at = Place { graph, block: inner };
    if !order::is_explicit(editor, at) {
        return None;
    }
    let (view, exprs) = editor.split(at)?;
    let BlockKind::Loop(repeated) = &view.graph.blocks.get(block)?.kind else { return None };
    let range = control::counted(exprs, view.graph, repeated)?;
    let few = range.has_few_iterations(exprs);
    let has_maps = view.state.live_nodes().any(|(_, node)| matches!(node.kind, NodeKind::MapEntry(_)));
    let fits = (range.step > 0 || range.step == -1)
        && !(few && has_maps)
        && readers.end_with_loop(view.graph, range.variable, block, loops)
        && is_independent(&view, exprs, range.variable);
    fits.then_some(Candidate { block, inner, range })
}

/// Whether a container is an iteration's own: taken anew for each execution of this one state.
fn is_local(view: &View<'_>, name: Name, uses: u32) -> bool {
    view.graph
        .data
        .get(&name)
        .is_some_and(|data| data.transient && matches!(data.lifetime, Lifetime::Scope | Lifetime::State))
        && view.facts.access_nodes(name) == uses
        && !view.facts.is_read_by_name(name)
}

/// Access nodes of the state per container.
fn uses(view: &View<'_>) -> HashMap<Name, u32> {
    let mut uses: HashMap<Name, u32> = HashMap::new();
    for (node, _) in view.state.live_nodes() {
        if let Some(data) = view.accessed(node) {
            *uses.entry(data).or_default() += 1;
        }
    }
    uses
}

/// Access nodes of containers that outlive an iteration; `None` if one of them is used as a map's body cannot.
fn shared_nodes(view: &View<'_>) -> Option<Vec<NodeId>> {
    let uses = uses(view);
    let mut nodes = Vec::new();
    for (node, kind) in view.state.live_nodes() {
        let NodeKind::Access { data, setzero } = kind.kind else { continue };
        let declared = view.graph.data.get(&data)?;
        let is_plain = matches!(declared.kind, DataKind::Array(_) | DataKind::Scalar(_));
        if !is_plain || view.facts.is_shared(data) {
            return None;
        }
        if is_local(view, data, *uses.get(&data)?) {
            continue;
        }
        let passes = view.data_in(node).next().is_some() && view.data_out(node).next().is_some();
        let ends = view.data_in(node).map(|(_, edge)| edge.src);
        let mut ends = ends.chain(view.data_out(node).map(|(_, edge)| edge.dst));
        let is_copied_on = ends.any(|end| {
            view.accessed(end).is_some_and(|name| uses.get(&name).is_none_or(|&n| !is_local(view, name, n)))
        });
        // A copy out of this node happens before everything else that follows it. In the map it happens at its other end, so
        // nothing may lead there that comes later.
        let copies = view.data_out(node).filter(|(_, edge)| view.accessed(edge.dst).is_some());
        let is_late = copies
            .map(|(_, edge)| edge.dst)
            .any(|target| view.index.incoming(target).iter().any(|&other| view.edge(other).src != node));
        if setzero || passes || is_copied_on || is_late || view.index.parent(node).is_some() {
            return None;
        }
        nodes.push(node);
    }
    Some(nodes)
}

fn is_independent(view: &View<'_>, exprs: &mut ExprPool, variable: Name) -> bool {
    let mut params: Vec<Name> = Vec::new();
    let can_spell = |tasklet: &Tasklet| substitute::can_spell_type(tasklet, variable);
    if !independent::does_plain_work(view, &mut params, &can_spell) || params.contains(&variable) {
        return false;
    }
    let Some(nodes) = shared_nodes(view) else { return false };
    let written: IndexSet<Name> = (nodes.iter())
        .filter(|&&node| view.data_in(node).next().is_some())
        .filter_map(|&node| view.accessed(node))
        .collect();
    written.iter().all(|&name| {
        let mut subsets: Vec<&Subset> = Vec::new();
        for &node in nodes.iter().filter(|&&node| view.accessed(node) == Some(name)) {
            for id in scope::paths(view, node) {
                let edge = view.edge(id);
                if edge.memlet.is_empty() {
                    continue;
                }
                match independent::touched(view, edge, name) {
                    Some(subset) => subsets.push(subset),
                    None => return false,
                }
            }
        }
        !view.facts.is_read_by_name(name) && independent::are_disjoint(exprs, &subsets, variable, &params)
    })
}

fn convert(editor: &mut Editor<'_>, graph: GraphId, candidate: &Candidate) -> Option<()> {
    let &Candidate { block, inner, range } = candidate;
    let state = wrapped(editor, Place { graph, block: inner }, range)?;
    control::replace_loop(editor, graph, block, inner, state)
}

/// The state with everything but the containers that outlive an iteration inside a map.
fn wrapped(editor: &mut Editor<'_>, at: Place, counted: Counted) -> Option<State> {
    let view = editor.view(at)?;
    let mut state = view.state.clone();
    let mut nodes: Vec<(NodeId, Name, Data)> = Vec::new();
    for node in shared_nodes(&view)? {
        let name = view.accessed(node)?;
        nodes.push((node, name, view.graph.data.get(&name)?.clone()));
    }
    let is_outside = |id: NodeId| nodes.iter().any(|(node, ..)| *node == id);
    let mut inside: Vec<(NodeId, bool)> = Vec::new();
    for (id, node) in view.state.live_nodes().filter(|(id, _)| !is_outside(*id)) {
        let begin = if let NodeKind::MapExit { entry } = node.kind { entry } else { id };
        inside.push((id, view.index.parent(begin).is_none()));
    }
    let (range, map) = (counted.range(&mut editor.exprs), counted.map(&mut editor.exprs));
    let entry = state.nodes.push(plain_node("loop", NodeKind::MapEntry(map)));
    let exit = state.nodes.push(plain_node("loop", NodeKind::MapExit { entry }));
    for (number, (node, name, declared)) in nodes.iter().enumerate() {
        let (node, name) = (*node, *name);
        let edges: Vec<_> = (state.edges.iter())
            .filter(|(_, edge)| !edge.removed && (edge.src == node || edge.dst == node))
            .map(|(id, edge)| (id, edge.clone()))
            .collect();
        let (mut before, mut after): (Vec<NodeId>, Vec<NodeId>) = (Vec::new(), Vec::new());
        // A copy happened when this node was visited, and now when the copy is.
        let mut copies: Vec<NodeId> = Vec::new();
        let mut later: Vec<NodeId> = Vec::new();
        let stem = format!("{}_{number}", editor.names.get(name));
        let reads = edges.iter().filter(|(_, edge)| edge.src == node && !edge.memlet.is_empty()).count();
        for (count, (id, mut edge)) in edges.into_iter().enumerate() {
            let outward = edge.dst == node;
            let other = if outward { edge.src } else { edge.dst };
            (if outward { &mut before } else { &mut after }).push(other);
            if edge.memlet.is_empty() && !outward {
                later.push(other);
            } else if !outward && matches!(state.nodes[other].kind, NodeKind::Access { .. }) {
                copies.push(other);
            }
            if edge.memlet.is_empty() {
                state.edges[id].removed = true;
                continue;
            }
            if edge.memlet.data != Some(name) {
                std::mem::swap(&mut edge.memlet.subset, &mut edge.memlet.other_subset);
                edge.memlet.data = Some(name);
            }
            edge.memlet.is_data_src = None;
            let exprs = &mut editor.exprs;
            let covered = (edge.memlet.subset.as_ref())
                .filter(|_| !edge.memlet.dynamic && (outward || reads == 1))
                .and_then(|subset| covered_by_map(exprs, subset, &[(counted.variable, range)]));
            let covered = covered.unwrap_or_else(|| scope::whole(exprs, declared));
            let outer = Memlet {
                data: Some(name),
                subset: Some(covered),
                wcr: edge.memlet.wcr.clone(),
                dynamic: edge.memlet.dynamic,
                ..Memlet::default()
            };
            let stem = if outward { format!("{stem}_{count}") } else { stem.clone() };
            let input = editor.names.intern(&format!("IN_{stem}"));
            let output = editor.names.intern(&format!("OUT_{stem}"));
            let border = if outward { exit } else { entry };
            let is_new = state.nodes[border].inputs.insert(input, Default::default()).is_none();
            state.nodes[border].outputs.insert(output, Default::default());
            if outward {
                (edge.dst, edge.dst_conn) = (exit, Some(input));
            } else {
                (edge.src, edge.src_conn) = (entry, Some(output));
            }
            state.edges[id] = edge;
            if is_new && outward {
                state.edges.push(Edge::new(exit, Some(output), node, None, outer));
            } else if is_new {
                state.edges.push(Edge::new(node, None, entry, Some(input), outer));
            }
        }
        // What came after what came before the node still does.
        let pairs = before.iter().flat_map(|&first| after.iter().map(move |&second| (first, second)));
        let pairs =
            pairs.chain(copies.iter().flat_map(|&first| later.iter().map(move |&second| (first, second))));
        let pairs = pairs.filter(|&(first, second)| first != second && first != exit && second != entry);
        let pairs: IndexSet<(NodeId, NodeId)> = pairs.collect();
        for (first, second) in pairs {
            state.edges.push(ordering_edge(first, second));
        }
    }
    for (node, _) in &inside {
        // Parameters of maps are of the widest type.
        if let NodeKind::Tasklet(tasklet) = &mut state.nodes[*node].kind {
            substitute::spell_type(&editor.names, tasklet, counted.variable);
        }
    }
    // Everything else lies between the entry and the exit.
    let adjacency = state.adjacency();
    for (node, ends_at_top) in inside {
        if adjacency.incoming(node).is_empty() {
            state.edges.push(ordering_edge(entry, node));
        }
        if ends_at_top && adjacency.outgoing(node).is_empty() {
            state.edges.push(ordering_edge(node, exit));
        }
    }
    if adjacency.incoming(exit).is_empty() && state.edges.values().all(|edge| edge.dst != exit) {
        state.edges.push(ordering_edge(entry, exit));
    }
    Some(state)
}
