//! Questions about map scopes, and the edits that several rules share.

use hashbrown::HashSet;
use indexmap::IndexMap;

use crate::analysis::propagate::covered_by_map;
use crate::entity::Name;
use crate::ir::{Data, DataKind, Edge, EdgeId, Map, Memlet, NodeId, NodeKind, Range, Schedule, Subset};
use crate::symbolic::{Assumptions, ExprId, ExprPool, Prover};

use super::dead::inner_edges;
use super::editor::{Editor, Place, View, is_border};

/// The map of an entry.
pub fn map<'e>(view: &View<'e>, entry: NodeId) -> Option<&'e Map> {
    match &view.state.nodes.get(entry)?.kind {
        NodeKind::MapEntry(map) if map.params.len() == map.range.ranges.len() => Some(map),
        _ => None,
    }
}

/// Whether a map is a plain loop nest: a schedule that this machine decides, and no ranges read from containers.
pub fn is_plain(view: &View<'_>, entry: NodeId) -> bool {
    let Some(map) = map(view, entry) else { return false };
    let through = |name: Name| view.names.get(name).starts_with("IN_");
    !matches!(map.schedule, Schedule::Other(_))
        && view.state.nodes[entry].inputs.keys().all(|&name| through(name))
        && view.index.incoming(entry).iter().all(|&edge| view.edge(edge).dst_conn.is_none_or(through))
}

/// Nodes inside a scope at any depth, without its entry and exit.
pub fn body(view: &View<'_>, entry: NodeId) -> Vec<NodeId> {
    let exit = view.index.exit(entry);
    let mut found = Vec::new();
    let mut seen: HashSet<NodeId> = HashSet::new();
    let mut open = vec![entry];
    while let Some(node) = open.pop() {
        for &edge in view.index.outgoing(node) {
            let next = view.edge(edge).dst;
            if Some(next) != exit && seen.insert(next) {
                found.push(next);
                open.push(next);
            }
        }
    }
    found.sort_unstable();
    found
}

/// Whether a subset is one element.
pub fn is_point(exprs: &ExprPool, subset: &Subset) -> bool {
    subset.ranges.iter().all(|range| range.start == range.end && exprs.as_int(range.tile) == Some(1))
}

/// Whether `map` runs over points that differ in at least one index of `subset`, which is one element: two iterations never
/// touch the same element.
pub fn is_injective(exprs: &mut ExprPool, map: &Map, subset: &Subset) -> bool {
    map.params.iter().zip(&map.range.ranges).all(|(&param, range)| {
        range.start == range.end
            || subset.ranges.iter().any(|index| {
                // An index of the form `param + c`, where `c` depends on no parameter.
                let symbol = exprs.symbol(param);
                let rest = exprs.sub(index.start, symbol);
                !exprs.depends_on_any(rest, &map.params)
            })
    })
}

/// What the parameters of a map can be.
pub fn assumptions(map: &Map) -> Assumptions {
    let mut known = Assumptions::new();
    for (&param, range) in map.params.iter().zip(&map.range.ranges) {
        known.at_least(param, range.start);
        known.at_most(param, range.end);
    }
    known
}

/// Whether an expression lies in a range, for every point of the map that `known` is about.
pub fn lies_in(exprs: &ExprPool, known: &Assumptions, value: ExprId, range: &Range) -> bool {
    // Most values are parameters that run over just that range; proofs about minima and maxima take long.
    let symbol = exprs.as_symbol(value);
    let is_bound = |bounds: &[ExprId], bound: ExprId| value == bound || bounds.contains(&bound);
    let from_start = is_bound(symbol.map_or(&[], |name| known.lower(name)), range.start);
    let to_end = is_bound(symbol.map_or(&[], |name| known.upper(name)), range.end);
    let mut prover = Prover::new(exprs, known);
    (from_start || prover.proves_at_most(range.start, value))
        && (to_end || prover.proves_at_most(value, range.end))
}

/// The whole of a container.
pub fn whole(exprs: &mut ExprPool, data: &Data) -> Subset {
    let (zero, one) = (exprs.int(0), exprs.int(1));
    let ranges = (data.shape().iter())
        .map(|&extent| Range { start: zero, end: exprs.sub(extent, one), step: one, tile: one })
        .collect::<Vec<_>>();
    if ranges.is_empty() {
        return Subset { ranges: vec![Range { start: zero, end: zero, step: one, tile: one }] };
    }
    Subset { ranges }
}

/// Leads a container into a scope: gives the entry's output connector behind which `source` is, made if there is none.
/// `inner` is what is read inside, and widens the memlet in front of the scope.
pub fn lead_in(
    editor: &mut Editor<'_>,
    at: Place,
    source: NodeId,
    entry: NodeId,
    inner: &Memlet,
) -> Option<Name> {
    let name = inner.data?;
    let (view, exprs) = editor.split(at)?;
    let data = view.graph.data.get(&name)?.clone();
    let map = map(&view, entry)?.clone();
    let params: Vec<(Name, Range)> =
        map.params.iter().copied().zip(map.range.ranges.iter().copied()).collect();
    let covered = match &inner.subset {
        Some(subset) if !inner.dynamic => covered_by_map(exprs, subset, &params),
        _ => None,
    };
    let covered = covered.unwrap_or_else(|| whole(exprs, &data));
    let known = view.data_in(entry).find(|(_, edge)| {
        edge.src == source && edge.memlet.data == Some(name) && edge.memlet.other_subset.is_none()
    });
    if let Some((id, edge)) = known {
        let stem = view.names.get(edge.dst_conn?).strip_prefix("IN_")?.to_owned();
        if edge.memlet.subset.as_ref().is_some_and(|subset| *subset != covered) {
            let all = whole(exprs, &data);
            editor.edit_edge(at, id, |edge| {
                edge.memlet.subset = Some(all);
                edge.memlet.volume = None;
                edge.memlet.dynamic |= inner.dynamic;
            })?;
        }
        return Some(editor.names.intern(&format!("OUT_{stem}")));
    }
    let stem = free_stem(&view, entry, name);
    let input = editor.names.intern(&format!("IN_{stem}"));
    let output = editor.names.intern(&format!("OUT_{stem}"));
    editor.edit_node(at, entry, |node| {
        node.inputs.insert(input, Default::default());
        node.outputs.insert(output, Default::default());
    })?;
    let memlet =
        Memlet { data: Some(name), subset: Some(covered), dynamic: inner.dynamic, ..Memlet::default() };
    editor.add_edge(at, Edge::new(source, None, entry, Some(input), memlet))?;
    Some(output)
}

/// All edges of memlet paths that end or begin at a node, and its ordering edges.
pub fn paths(view: &View<'_>, node: NodeId) -> Vec<EdgeId> {
    let mut found = Vec::new();
    let mut open: Vec<(EdgeId, bool)> = view.index.incoming(node).iter().map(|&edge| (edge, false)).collect();
    open.extend(view.index.outgoing(node).iter().map(|&edge| (edge, true)));
    while let Some((id, forward)) = open.pop() {
        found.push(id);
        let edge = view.edge(id);
        match (forward, view.kind(edge.src), view.kind(edge.dst)) {
            (false, Some(NodeKind::MapExit { .. }), _) => {
                let inner = inner_edges(view, edge.src, edge.src_conn);
                open.extend(inner.into_iter().map(|edge| (edge, false)));
            }
            (true, _, Some(NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_))) => {
                let stem = edge.dst_conn.and_then(|name| view.names.get(name).strip_prefix("IN_"));
                for (inner, onward) in view.data_out(edge.dst) {
                    let output = onward.src_conn.and_then(|name| view.names.get(name).strip_prefix("OUT_"));
                    if stem.is_some() && output == stem {
                        open.push((inner, true));
                    }
                }
            }
            _ => {}
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// A connector stem that a border node does not use yet.
pub fn free_stem(view: &View<'_>, border: NodeId, data: Name) -> String {
    let node = &view.state.nodes[border];
    let stem = view.names.get(data);
    let taken = |stem: &str| {
        let input = view.names.lookup(&format!("IN_{stem}"));
        input.is_some_and(|name| node.inputs.contains_key(&name))
    };
    if !taken(stem) {
        return stem.to_owned();
    }
    (1..).map(|n| format!("{stem}_{n}")).find(|stem| !taken(stem)).unwrap_or_default()
}

/// Nodes directly in a scope beyond which [`is_settled`] does not look.
const SETTLED_LIMIT: usize = 400;

/// Whether the order inside one iteration follows from paths: of two nodes of the scope that access one container, one of
/// them writing it, one leads to the other, or they touch different elements.
pub fn is_settled(view: &View<'_>, exprs: &ExprPool, entry: NodeId) -> bool {
    struct Access<'a> {
        begin: NodeId,
        end: NodeId,
        writes: bool,
        subset: Option<&'a Subset>,
    }
    if view.index.is_settled(entry) {
        return true;
    }
    let body = body(view, entry);
    if body.len() > SETTLED_LIMIT {
        return false;
    }
    let mut accesses: IndexMap<Name, Vec<Access<'_>>> = IndexMap::new();
    for &node in body.iter().filter(|&&node| view.index.parent(node) == Some(entry)) {
        let (begin, end) = match view.kind(node) {
            Some(NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_)) => match view.index.exit(node) {
                Some(exit) => (node, exit),
                None => return false,
            },
            _ => (node, node),
        };
        let is_access = view.accessed(node).is_some();
        let reads = view.data_in(begin).map(|(_, edge)| (edge, false));
        let writes = view.data_out(end).map(|(_, edge)| (edge, true));
        for (edge, writes) in reads.chain(writes) {
            let Some(data) = edge.memlet.data else { continue };
            if view.facts.is_read_by_expression(data) {
                return false;
            }
            // An access node does nothing itself, except for copies across the border and to other access nodes.
            let other = if writes { edge.dst } else { edge.src };
            let is_copy = view.accessed(other).is_some() || view.kind(other).is_some_and(is_border);
            if is_access && !is_copy {
                continue;
            }
            let subset = edge.memlet.subset.as_ref().filter(|_| !edge.memlet.dynamic);
            let ends = [Some(data), view.accessed(edge.src), view.accessed(edge.dst)];
            for name in ends.into_iter().flatten() {
                // What one access node holds is written before it is read: a path leads through that node.
                if view.facts.access_nodes(name) == 1
                    && !view.facts.is_shared(name)
                    && accessed_in(view, entry, name)
                {
                    continue;
                }
                let subset = subset.filter(|_| name == data);
                // Of a copy, both ends are at stake, whichever the memlet names.
                let writes = writes || is_access;
                accesses.entry(view.facts.class(name)).or_default().push(Access {
                    begin,
                    end,
                    writes,
                    subset,
                });
            }
        }
    }
    let leads = |from: NodeId, to: NodeId| {
        let mut open = vec![from];
        let mut seen: HashSet<NodeId> = HashSet::new();
        while let Some(node) = open.pop() {
            if node == to {
                return true;
            }
            if seen.insert(node) {
                open.extend(view.index.outgoing(node).iter().map(|&edge| view.edge(edge).dst));
            }
        }
        false
    };
    let differ = |a: Option<&Subset>, b: Option<&Subset>| {
        let (Some(a), Some(b)) = (a, b) else { return false };
        a.ranges.len() == b.ranges.len()
            && a.ranges.iter().zip(&b.ranges).any(|(a, b)| {
                exprs.less_than(a.end, b.start).is_yes() || exprs.less_than(b.end, a.start).is_yes()
            })
    };
    let settled = accesses.values().filter(|list| list.iter().any(|access| access.writes)).all(|list| {
        list.iter().enumerate().all(|(number, a)| {
            list[number + 1..].iter().filter(|b| a.writes || b.writes).all(|b| {
                a.begin == b.begin
                    || differ(a.subset, b.subset)
                    || leads(a.end, b.begin)
                    || leads(b.end, a.begin)
            })
        })
    });
    if settled {
        view.index.set_settled(entry);
    }
    settled
}

/// Whether the only edge into a top-level access node writes the whole container, every element for certain.
pub fn is_written_in_full(view: &View<'_>, exprs: &mut ExprPool, node: NodeId) -> bool {
    let Some(data) = view.accessed(node).and_then(|name| view.graph.data.get(&name)) else { return false };
    let whole = whole(exprs, data);
    written_for_certain(view, exprs, node).is_some_and(|written| written == whole)
}

/// The elements that the only edge into a top-level access node writes, if it writes each of them for certain.
pub fn written_for_certain(view: &View<'_>, exprs: &mut ExprPool, node: NodeId) -> Option<Subset> {
    let name = view.accessed(node)?;
    let data = view.graph.data.get(&name)?;
    let mut written = view.data_in(node);
    let (Some((_, edge)), None) = (written.next(), written.next()) else { return None };
    let subset = match edge.memlet.data == Some(name) {
        true => edge.memlet.subset.as_ref(),
        false => edge.memlet.other_subset.as_ref(),
    };
    let is_plain = view.index.parent(node).is_none() && edge.memlet.wcr.is_none();
    let subset = match data.kind {
        DataKind::Scalar(_) => whole(exprs, data),
        DataKind::Array(_) => subset?.clone(),
        _ => return None,
    };
    (is_plain && covers_all_points(view, exprs, edge, name)).then_some(subset)
}

/// Whether the iterations behind an edge out of a map write one element each, every element of the memlet once. For an
/// edge out of anything else, the memlet says what is written.
fn covers_all_points(view: &View<'_>, exprs: &mut ExprPool, edge: &Edge, name: Name) -> bool {
    let Some(NodeKind::MapExit { entry }) = view.kind(edge.src) else {
        // What a nested graph or a tasklet's pointer writes of its memlet is not known.
        let certain = match view.kind(edge.src) {
            Some(NodeKind::Library(library)) => {
                library.properties.get("identity").is_some_and(|identity| !identity.is_null())
                    || matches!(library.class(), "MatMul" | "Gemm" | "Gemv" | "Dot" | "Transpose")
            }
            Some(NodeKind::Access { .. }) => true,
            Some(NodeKind::Tasklet(_)) => {
                edge.memlet.subset.as_ref().is_none_or(|subset| is_point(exprs, subset))
            }
            _ => false,
        };
        return certain && !edge.memlet.dynamic;
    };
    let inner: Vec<EdgeId> = inner_edges(view, edge.src, edge.src_conn);
    let ([inner], Some(map)) = (&inner[..], map(view, *entry)) else { return false };
    let memlet = &view.edge(*inner).memlet;
    let Some(subset) = memlet.subset.as_ref().filter(|_| memlet.data == Some(name) && !memlet.dynamic) else {
        return false;
    };
    let Some(outer) = &edge.memlet.subset else { return false };
    // Each index is the one index of its dimension, or a parameter plus a constant, and runs over the whole dimension; as many
    // of the latter as there are parameters with several values, each of which tells one index.
    let is_one = |range: &Range| range.start == range.end;
    let several = map.range.ranges.iter().filter(|range| !is_one(range)).count();
    is_point(exprs, subset)
        && subset.ranges.len() == outer.ranges.len()
        && outer.ranges.iter().filter(|range| !is_one(range)).count() == several
        && is_injective(exprs, map, subset)
        && subset.ranges.iter().zip(&outer.ranges).all(|(index, all)| {
            is_one(all) && index.start == all.start
                || map.params.iter().zip(&map.range.ranges).any(|(&param, range)| {
                    let symbol = exprs.symbol(param);
                    let offset = exprs.sub(index.start, symbol);
                    let (start, end) = (exprs.add(range.start, offset), exprs.add(range.end, offset));
                    !exprs.depends_on_any(offset, &map.params)
                        && exprs.as_int(range.step) == Some(1)
                        && (start, end) == (all.start, all.end)
                })
        })
}

/// Whether the (only) access node of a container lies directly in a scope.
fn accessed_in(view: &View<'_>, entry: NodeId, name: Name) -> bool {
    view.index.accesses(name).iter().any(|&node| view.index.parent(node) == Some(entry))
}
