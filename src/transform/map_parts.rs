//! Maps cut into maps over parts of their range.

use hashbrown::HashMap;

use crate::analysis::propagate::{covered_by_map, hull};
use crate::entity::Name;
use crate::ir::{EdgeId, Map, Memlet, NodeId, NodeKind, Range, State, Subset};
use crate::symbolic::ExprPool;

use super::dead::inner_edges;
use super::editor::{Editor, Place, View, ordering_edge};
use super::independent;
use super::order::Unit;
use super::scope;

/// A map in parts: the first one takes the map's place.
pub struct Parts {
    /// The map.
    pub unit: Unit,
    /// What it becomes: together they run over the same points.
    pub maps: Vec<Map>,
}

/// Whether a map can be cut: its iterations may run in any order, its range is a box of steps of one, and its body is tasklets
/// and numbers of its own.
pub fn can_be_cut(view: &View<'_>, exprs: &mut ExprPool, unit: Unit) -> bool {
    let Some(map) = scope::map(view, unit.begin) else { return false };
    let is_box = map.range.ranges.iter().all(|range| {
        [range.start, range.end].iter().all(|&expr| !exprs.depends_on_any(expr, &map.params))
            && exprs.as_int(range.step) == Some(1)
            && exprs.as_int(range.tile) == Some(1)
    });
    is_box
        && scope::is_plain(view, unit.begin)
        && has_own_numbers(view, unit)
        && independent::runs_in_any_order(view, exprs, unit.begin, map)
}

/// Whether a body is tasklets, and numbers that it has for itself, so that a copy of it can have its own.
fn has_own_numbers(view: &View<'_>, unit: Unit) -> bool {
    scope::body(view, unit.begin).into_iter().all(|node| match view.kind(node) {
        Some(NodeKind::Tasklet(_)) => true,
        Some(NodeKind::Access { data, .. }) => {
            view.graph.data.get(data).is_some_and(|data| data.transient)
                && view.facts.access_nodes(*data) == 1
                && !view.facts.is_shared(*data)
                && !view.facts.is_read_by_name(*data)
        }
        _ => false,
    })
}

/// Replaces maps of a state by their parts, one after another.
pub fn split(editor: &mut Editor<'_>, at: Place, all: Vec<Parts>) -> Option<State> {
    let mut state = editor.state(at)?.clone();
    for Parts { unit, maps } in all {
        let view = editor.view(at)?;
        let mut nodes = scope::body(&view, unit.begin);
        nodes.extend([unit.begin, unit.end]);
        let around =
            |node: NodeId| view.index.incoming(node).iter().chain(view.index.outgoing(node)).copied();
        let mut edges: Vec<EdgeId> = nodes.iter().flat_map(|&node| around(node)).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut maps = maps.into_iter();
        let first = maps.next()?;
        let mut before = unit.end;
        for map in maps {
            let outer = outer_memlets(editor, at, unit, &map)?;
            let part = copy(editor, at, &mut state, (unit, &nodes, &edges), (map, &outer))?;
            state.edges.push(ordering_edge(before, part.begin));
            before = part.end;
        }
        for (edge, memlet) in outer_memlets(editor, at, unit, &first)? {
            state.edges.get_mut(edge)?.memlet = memlet;
        }
        state.nodes.get_mut(unit.begin)?.kind = NodeKind::MapEntry(first);
    }
    Some(state)
}

/// Memlets outside a map that runs over a part only.
fn outer_memlets(
    editor: &mut Editor<'_>,
    at: Place,
    unit: Unit,
    map: &Map,
) -> Option<HashMap<EdgeId, Memlet>> {
    let (view, exprs) = editor.split(at)?;
    let params: Vec<(Name, Range)> =
        map.params.iter().copied().zip(map.range.ranges.iter().copied()).collect();
    let mut made = HashMap::new();
    for (id, edge) in view.data_in(unit.begin).chain(view.data_out(unit.end)) {
        let inner: Vec<EdgeId> = if edge.src == unit.end {
            inner_edges(&view, unit.end, edge.src_conn)
        } else {
            let stem = edge.dst_conn.and_then(|name| view.names.get(name).strip_prefix("IN_"));
            let output = stem.and_then(|stem| view.names.lookup(&format!("OUT_{stem}")));
            view.data_out(unit.begin).filter(|(_, edge)| edge.src_conn == output).map(|(id, _)| id).collect()
        };
        // Where one of them does not say what it touches, what the whole map touches stays.
        let mut covered: Vec<Subset> = Vec::with_capacity(inner.len());
        for id in &inner {
            let memlet = &view.edge(*id).memlet;
            let plain = memlet.subset.as_ref().filter(|_| !memlet.dynamic && memlet.data == edge.memlet.data);
            covered.extend(plain.and_then(|subset| covered_by_map(exprs, subset, &params)));
        }
        let is_known = covered.len() == inner.len() && edge.memlet.other_subset.is_none();
        let whole = covered.into_iter().map(Some).reduce(|a, b| hull(exprs, &a?, &b?)).flatten();
        if let Some(subset) = whole.filter(|_| is_known) {
            made.insert(id, Memlet { subset: Some(subset), volume: None, ..edge.memlet.clone() });
        }
    }
    Some(made)
}

/// A copy of a scope with another map, with numbers of its own.
fn copy(
    editor: &mut Editor<'_>,
    at: Place,
    state: &mut State,
    (unit, nodes, edges): (Unit, &[NodeId], &[EdgeId]),
    (map, outer): (Map, &HashMap<EdgeId, Memlet>),
) -> Option<Unit> {
    let mut copies: HashMap<NodeId, NodeId> = HashMap::new();
    let mut numbers: HashMap<Name, Name> = HashMap::new();
    for &node in nodes {
        let mut copy = editor.state(at)?.nodes.get(node)?.clone();
        match &mut copy.kind {
            NodeKind::Access { data, .. } => {
                let declared = editor.graph(at.graph)?.data.get(data)?.clone();
                let stem = editor.names.get(*data).to_owned();
                let name = editor.add_data(at.graph, &stem, declared)?;
                numbers.insert(*data, name);
                *data = name;
                copy.label = editor.names.get(name).to_owned();
            }
            NodeKind::MapEntry(own) => *own = map.clone(),
            _ => {}
        }
        copies.insert(node, state.nodes.push(copy));
    }
    let (begin, end) = (*copies.get(&unit.begin)?, *copies.get(&unit.end)?);
    state.nodes.get_mut(end)?.kind = NodeKind::MapExit { entry: begin };
    for &id in edges {
        let mut edge = editor.state(at)?.edges.get(id)?.clone();
        edge.src = copies.get(&edge.src).copied().unwrap_or(edge.src);
        edge.dst = copies.get(&edge.dst).copied().unwrap_or(edge.dst);
        if let Some(memlet) = outer.get(&id) {
            edge.memlet = memlet.clone();
        }
        if let Some(name) = edge.memlet.data.and_then(|name| numbers.get(&name)) {
            edge.memlet.data = Some(*name);
        }
        state.edges.push(edge);
    }
    Some(Unit { begin, end })
}
