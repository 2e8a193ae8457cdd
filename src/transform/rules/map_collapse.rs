//! # map_collapse
//!
//! Makes one map of a map that has nothing in it but another map.
//!
//! ## Legal when
//! - the inner map is the only node in the outer one, and both may run alike;
//! - where the outer one runs in any order, the inner one is parallel too, or its iterations touch nothing that another one
//!   writes: a map inside another one that says nothing runs in order;
//! - their parameters have different names; the inner range may depend on the outer parameters.
//!
//! ## Before
//! ```pelton
//! program nested(a: f64[8, 4], b: f64[8, 4]) {
//!   state main {
//!     map i in 0:8 { map j in 0:4 { b[i, j] = a[i, j] * 2 } }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program nested(a: f64[8, 4], b: f64[8, 4]) {
//!   state main {
//!     map i in 0:8, j in 0:4 { b[i, j] = a[i, j] * 2 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program beside(a: f64[8, 4], b: f64[8, 4], c: f64[8]) {
//!   state main {
//!     map i in 0:8 {
//!       c[i] = a[i, 0] + 1
//!       map j in 0:4 { b[i, j] = a[i, j] * 2 }
//!     }
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical, map_fusion_horizontal, map_dimension_order. Source: DaCe `MapCollapse`.

use crate::ir::{EdgeId, Map, NodeId, NodeKind, Schedule};
use crate::transform::dead;
use crate::transform::editor::{Editor, Place, View};
use crate::transform::independent;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct MapCollapse;

/// Two maps, one around the other.
pub struct Found {
    at: Place,
    outer: NodeId,
    inner: NodeId,
    map: Map,
}

impl Transformation for MapCollapse {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Node(at, outer) = site else { return None };
        let view = editor.view(at)?;
        let map = scope::map(&view, outer)?;
        let first = view.index.outgoing(outer).first()?;
        let inner = view.edge(*first).dst;
        let nested = scope::map(&view, inner)?;
        let exits = (view.index.exit(outer)?, view.index.exit(inner)?);
        let is_alone = view.index.outgoing(outer).iter().all(|&edge| view.edge(edge).dst == inner)
            && view.index.incoming(inner).iter().all(|&edge| view.edge(edge).src == outer)
            && view.index.incoming(exits.0).iter().all(|&edge| view.edge(edge).src == exits.1)
            && view.index.outgoing(exits.1).iter().all(|&edge| view.edge(edge).dst == exits.0);
        let fits = is_alone
            && scope::is_plain(&view, outer)
            && scope::is_plain(&view, inner)
            && run_alike(&map.schedule, &nested.schedule)
            && map.unroll == nested.unroll
            && !nested.params.iter().any(|param| map.params.contains(param))
            && passes_through(&view, inner, exits.1);
        if !fits {
            return None;
        }
        let (mut map, nested) = (map.clone(), nested.clone());
        if !is_promised(&map.schedule, &nested.schedule) {
            let (view, exprs) = editor.split(at)?;
            if !independent::does_not_meet(&view, exprs, inner, &nested, true) {
                return None;
            }
        }
        map.params.extend(&nested.params);
        map.range.ranges.extend(&nested.range.ranges);
        Some(Found { at, outer, inner, map })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        collapse(editor, found).ok_or(Stopped)
    }
}

/// Whether iterations of the inner map may run as those of the outer one do.
fn run_alike(outer: &Schedule, inner: &Schedule) -> bool {
    match (outer, inner) {
        (Schedule::Other(_), _) | (_, Schedule::Other(_)) => false,
        (Schedule::Sequential, _) => true,
        (_, inner) => *inner != Schedule::Sequential,
    }
}

/// Whether iterations of the inner map keep the order that they have, or are independent because the program says so. A map inside
/// another one that says nothing runs in order.
fn is_promised(outer: &Schedule, inner: &Schedule) -> bool {
    *outer == Schedule::Sequential || *inner == Schedule::Parallel
}

/// Whether every connector of the inner map leads to one of the outer map.
fn passes_through(view: &View<'_>, inner: NodeId, inner_exit: NodeId) -> bool {
    let starts = view
        .index
        .outgoing(inner)
        .iter()
        .all(|&edge| view.edge(edge).src_conn.is_none() || edge_before(view, inner, edge).is_some());
    let ends = view
        .index
        .incoming(inner_exit)
        .iter()
        .all(|&edge| view.edge(edge).dst_conn.is_none() || edge_after(view, inner_exit, edge).is_some());
    let led_on = view.data_in(inner).all(|(_, edge)| {
        let stem = edge.dst_conn.and_then(|name| view.names.get(name).strip_prefix("IN_"));
        view.data_out(inner).any(|(_, inside)| {
            let output = inside.src_conn.and_then(|name| view.names.get(name).strip_prefix("OUT_"));
            stem.is_some() && output == stem
        })
    });
    let led_out = view
        .data_out(inner_exit)
        .all(|(_, edge)| !dead::inner_edges(view, inner_exit, edge.src_conn).is_empty());
    starts && ends && led_on && led_out
}

/// The edge that leads into the map what `edge` leads on.
fn edge_before(view: &View<'_>, entry: NodeId, edge: EdgeId) -> Option<EdgeId> {
    let stem = view.names.get(view.edge(edge).src_conn?).strip_prefix("OUT_")?;
    let input = view.names.lookup(&format!("IN_{stem}"))?;
    view.data_in(entry).find(|(_, edge)| edge.dst_conn == Some(input)).map(|(id, _)| id)
}

/// The only edge that leads out of the map what `edge` leads to its exit.
fn edge_after(view: &View<'_>, exit: NodeId, edge: EdgeId) -> Option<EdgeId> {
    let stem = view.names.get(view.edge(edge).dst_conn?).strip_prefix("IN_")?;
    let output = view.names.lookup(&format!("OUT_{stem}"))?;
    let mut onward = view.data_out(exit).filter(|(_, edge)| edge.src_conn == Some(output));
    let (found, None) = (onward.next()?, onward.next()) else { return None };
    Some(found.0)
}

fn collapse(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { at, outer, inner, map } = found;
    let view = editor.view(at)?;
    let (exit, inner_exit) = (view.index.exit(outer)?, view.index.exit(inner)?);
    let inside: Vec<NodeId> = (scope::body(&view, inner).into_iter())
        .filter(|&node| view.index.parent(node) == Some(inner))
        .collect();
    let starts: Vec<EdgeId> = view.index.outgoing(inner).to_vec();
    let ends: Vec<EdgeId> = view.index.incoming(inner_exit).to_vec();
    for edge in starts {
        let view = editor.view(at)?;
        let connector = match view.edge(edge).src_conn {
            Some(_) => view.edge(edge_before(&view, inner, edge)?).src_conn,
            None => None,
        };
        editor.edit_edge(at, edge, |edge| (edge.src, edge.src_conn) = (outer, connector))?;
    }
    for edge in ends {
        let view = editor.view(at)?;
        let connector = match view.edge(edge).dst_conn {
            Some(_) => view.edge(edge_after(&view, inner_exit, edge)?).dst_conn,
            None => None,
        };
        // An empty body: what led from the inner entry leads from the outer one by now.
        editor.edit_edge(at, edge, |edge| (edge.dst, edge.dst_conn) = (exit, connector))?;
    }
    editor.edit_node(at, outer, |node| node.kind = NodeKind::MapEntry(map))?;
    for node in inside {
        editor.set_place(at, node, Some(outer), outer);
    }
    editor.remove_node(at, inner)?;
    editor.remove_node(at, inner_exit)
}
