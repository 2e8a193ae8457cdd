//! # map_tiling
//!
//! Runs a map over square tiles when no order of its parameters makes all its accesses meet neighbours: what one access reads
//! of a cache line, the other iterations of the tile read of the same line before it is gone.
//!
//! ## Legal when
//! - the map's iterations may run in any order, its ranges do not depend on its parameters, and its body is tasklets and numbers.
//!
//! It pays if one access is contiguous along the innermost parameter and another one along a parameter further out, and is
//! strided along the innermost one. Ranges that are known to be no longer than two tiles stay whole. The native engine leaves
//! the rule out when several threads share the loops, and on a GPU: loops are shared whose inner loops do not depend on them.
//!
//! ## Before
//! ```pelton
//! program turn(a: f64[100, 100], b: f64[100, 100]) {
//!   state main {
//!     map i in 0:100, j in 0:100 { b[i, j] = a[j, i] * 2 }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program turn(a: f64[100, 100], b: f64[100, 100]) {
//!   state main {
//!     map i_tile in 0:100:32, j_tile in 0:100:32 {
//!       map i in i_tile:min(i_tile + 32, 100), j in j_tile:min(j_tile + 32, 100) { b[i, j] = a[j, i] * 2 }
//!     }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program rows(a: f64[100, 100], b: f64[100, 100]) {
//!   state main {
//!     map i in 0:100, j in 0:100 { b[i, j] = a[i, j] + a[i, 0] }
//!   }
//! }
//! ```
//!
//! Enables: nothing. Source: DaCe `MapTiling`.

use indexmap::IndexMap;

use crate::analysis::propagate::{covered_by_map, hull};
use crate::entity::Name;
use crate::ir::{BlockKind, Edge, EdgeId, Map, Memlet, NodeId, NodeKind, Range, State, Subset};
use crate::symbolic::ExprPool;
use crate::transform::cost::TILE;
use crate::transform::editor::{Editor, Place, View, ordering_edge, plain_node};
use crate::transform::independent;
use crate::transform::order::Unit;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::rules::map_dimension_order::{can_be_ordered, contiguous_along, memlets};
use crate::transform::scope;

/// The rule.
pub struct MapTiling;

/// A map that is tiled along its last parameter and another one.
struct Tiled {
    unit: Unit,
    other: usize,
}

/// Maps of a state.
pub struct Found {
    at: Place,
    maps: Vec<Tiled>,
}

impl Transformation for MapTiling {
    type Match = Found;
    // A state is indexed anew afterwards, so all its maps are tiled at once.
    const KIND: SiteKind = SiteKind::State;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::State(at) = site else { return None };
        let (view, exprs) = editor.split(at)?;
        let mut maps = Vec::new();
        for (entry, node) in view.state.live_nodes() {
            if matches!(node.kind, NodeKind::MapEntry(_))
                && view.index.parent(entry).is_none()
                && let Some(other) = crossed(&view, exprs, entry)
                && let Some(end) = view.index.exit(entry)
            {
                maps.push(Tiled { unit: Unit { begin: entry, end }, other });
            }
        }
        (!maps.is_empty()).then_some(Found { at, maps })
    }

    fn apply(editor: &mut Editor<'_>, Found { at, maps }: Found) -> Result<(), Stopped> {
        let mut state = editor.state(at).cloned().ok_or(Stopped)?;
        for tiled in &maps {
            tile(editor, at, &mut state, tiled).ok_or(Stopped)?;
        }
        editor.replace_block(at, BlockKind::State(Box::new(state))).map(drop).ok_or(Stopped)
    }
}

/// The parameter along which something is contiguous that is strided along the last one, where something else is contiguous.
fn crossed(view: &View<'_>, exprs: &mut ExprPool, entry: NodeId) -> Option<usize> {
    if !can_be_ordered(view, exprs, entry) {
        return None;
    }
    let map = scope::map(view, entry)?;
    let last = map.params.len() - 1;
    let mut along: Vec<usize> = vec![0; map.params.len()];
    for memlet in memlets(view, entry)? {
        let Some(param) = contiguous_along(view, exprs, memlet, &map.params) else { continue };
        let subset = memlet.subset.as_ref()?;
        let is_strided = subset.ranges.iter().any(|range| exprs.depends_on(range.start, map.params[last]));
        along[param] += usize::from(param == last || is_strided);
    }
    let other = (0..last).rev().max_by_key(|&param| along[param])?;
    let is_long = |exprs: &mut ExprPool, range: &Range| {
        let span = exprs.sub(range.end, range.start);
        exprs.as_int(range.step) == Some(1)
            && exprs.as_int(range.tile) == Some(1)
            && exprs.as_int(span).is_none_or(|span| span >= 2 * TILE)
    };
    let fits = along[last] > 0
        && along[other] > 0
        && [other, last].iter().all(|&param| is_long(exprs, &map.range.ranges[param]))
        && independent::runs_in_any_order(view, exprs, entry, map);
    fits.then_some(other)
}

/// Puts a map over the points of a tile into a map over tiles.
fn tile(editor: &mut Editor<'_>, at: Place, state: &mut State, tiled: &Tiled) -> Option<()> {
    let Tiled { unit, other } = *tiled;
    let map = scope::map(&editor.view(at)?, unit.begin)?.clone();
    let (mut over, mut inner) = (map.clone(), Map::default());
    for number in [other, map.params.len() - 1] {
        let (param, range) = (map.params[number], map.range.ranges[number]);
        let stem = format!("{}_tile", editor.names.get(param));
        let first = editor.names.fresh(&stem);
        let exprs = &mut editor.exprs;
        let (size, rest) = (exprs.int(TILE), exprs.int(TILE - 1));
        let start = exprs.symbol(first);
        let end = exprs.add(start, rest);
        let end = exprs.min(end, range.end);
        over.params[number] = first;
        over.range.ranges[number] = Range { step: size, ..range };
        inner.params.push(param);
        inner.range.ranges.push(Range { start, end, ..range });
    }
    let params: Vec<(Name, Range)> =
        inner.params.iter().copied().zip(inner.range.ranges.iter().copied()).collect();
    let (view, exprs) = editor.split(at)?;
    let label = state.nodes.get(unit.begin)?.label.clone();
    let begin = state.nodes.push(plain_node(&label, NodeKind::MapEntry(inner)));
    let end = state.nodes.push(plain_node(&label, NodeKind::MapExit { entry: begin }));
    // By connector at the border around: what passes there.
    let mut led: [IndexMap<Name, Memlet>; 2] = [IndexMap::new(), IndexMap::new()];
    let edges = |list: &[EdgeId]| list.to_vec();
    for (side, list) in
        [edges(view.index.outgoing(unit.begin)), edges(view.index.incoming(unit.end))].into_iter().enumerate()
    {
        for id in list {
            let edge = state.edges.get_mut(id)?;
            let connector = if side == 0 { edge.src_conn } else { edge.dst_conn };
            if side == 0 {
                edge.src = begin;
            } else {
                edge.dst = end;
            }
            let Some(connector) = connector.filter(|_| !edge.memlet.is_empty()) else { continue };
            let all = scope::whole(exprs, view.graph.data.get(&edge.memlet.data?)?);
            let own = edge.memlet.subset.as_ref().and_then(|subset| covered_by_map(exprs, subset, &params));
            let own = own.unwrap_or(all);
            let known = led[side].entry(connector).or_insert_with(|| Memlet {
                subset: Some(own.clone()),
                volume: None,
                ..edge.memlet.clone()
            });
            let joined: Option<Subset> = known.subset.as_ref().and_then(|before| hull(exprs, before, &own));
            known.subset = joined;
            known.dynamic |= edge.memlet.dynamic;
        }
    }
    state.nodes.get_mut(unit.begin)?.kind = NodeKind::MapEntry(over);
    let [read, written] = led;
    if read.is_empty() {
        state.edges.push(ordering_edge(unit.begin, begin));
    }
    for (output, memlet) in read {
        let stem = editor.names.get(output).strip_prefix("OUT_")?.to_owned();
        let input = editor.names.intern(&format!("IN_{stem}"));
        let node = state.nodes.get_mut(begin)?;
        node.inputs.insert(input, Default::default());
        node.outputs.insert(output, Default::default());
        state.edges.push(Edge::new(unit.begin, Some(output), begin, Some(input), memlet));
    }
    for (input, memlet) in written {
        let stem = editor.names.get(input).strip_prefix("IN_")?.to_owned();
        let output = editor.names.intern(&format!("OUT_{stem}"));
        let node = state.nodes.get_mut(end)?;
        node.inputs.insert(input, Default::default());
        node.outputs.insert(output, Default::default());
        state.edges.push(Edge::new(end, Some(output), unit.end, Some(input), memlet));
    }
    Some(())
}
