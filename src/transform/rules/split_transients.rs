//! # split_transients
//!
//! Gives each use of a transient a container of its own, where a program uses one container for several values one
//! after another. What does not depend on each other then has different names, and each value can be fused.
//!
//! ## Legal when
//! - at each of its access nodes the transient is written in full, by one map, copy, reduction or product, before it is
//!   read there, so that no access node sees what was written through another one (states with implicit order are left
//!   alone);
//! - whoever writes it there does not read it;
//! - no condition, no expression and no view reads it, and its content does not survive the call.
//!
//! ## Before
//! ```pelton
//! program twice(a: f64[4], b: f64[4], c: f64[4]) {
//!   transient t: f64[4]
//!   state first {
//!     map i in 0:4 { t[i] = a[i] * 2 }
//!     map i in 0:4 { b[i] = t[i] + 1 }
//!   }
//!   state second {
//!     map i in 0:4 { t[i] = a[i] * 3 }
//!     map i in 0:4 { c[i] = t[i] + 1 }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program twice(a: f64[4], b: f64[4], c: f64[4]) {
//!   transient t: f64[4]
//!   transient t_0: f64[4]
//!   state first {
//!     map i in 0:4 { t[i] = a[i] * 2 }
//!     map i in 0:4 { b[i] = t[i] + 1 }
//!   }
//!   state second {
//!     map i in 0:4 { t_0[i] = a[i] * 3 }
//!     map i in 0:4 { c[i] = t_0[i] + 1 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program carried(a: f64[4], b: f64[4], c: f64[4]) {
//!   transient t: f64[4]
//!   state first {
//!     map i in 0:4 { t[i] = a[i] * 2 }
//!     map i in 0:4 { b[i] = t[i] + 1 }
//!   }
//!   state second {
//!     map i in 0:3 { t[i] = a[i] * 3 }
//!     map i in 0:4 { c[i] = t[i] + 1 }
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical, state_fusion without ordering edges. Source: GT4Py `split_access_nodes`; DaCe
//! `TransientReuse` undone.

use indexmap::IndexMap;

use crate::entity::Name;
use crate::ir::{DataKind, GraphId, Lifetime, NodeId, NodeKind};
use crate::transform::editor::{Editor, Place, View};
use crate::transform::order::{self, unit_of};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct SplitTransients;

/// Containers with their access nodes; each node but the first gets a container of its own.
pub struct Splits {
    graph: GraphId,
    nodes: IndexMap<Name, Vec<(Place, NodeId)>>,
}

impl Transformation for SplitTransients {
    type Match = Splits;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Splits> {
        let Site::Graph(graph) = site else { return None };
        let mut nodes: IndexMap<Name, Vec<(Place, NodeId, bool)>> = IndexMap::new();
        for block in editor.blocks(graph) {
            let at = Place { graph, block };
            let is_explicit = order::is_explicit(editor, at);
            let Some(view) = editor.view(at) else { continue };
            for (node, kind) in view.state.live_nodes() {
                if let NodeKind::Access { data, .. } = kind.kind
                    && view.facts.access_nodes(data) > 1
                    && is_separable(&view, data)
                {
                    nodes.entry(data).or_default().push((at, node, is_explicit));
                }
            }
        }
        let mut kept = IndexMap::new();
        for (name, list) in nodes {
            let all_written = list.iter().all(|&(at, node, is_explicit)| {
                let setzero =
                    |view: &View<'_>| matches!(view.kind(node), Some(NodeKind::Access { setzero: true, .. }));
                is_explicit
                    && editor.split(at).is_some_and(|(view, exprs)| {
                        !setzero(&view)
                            && scope::is_written_in_full(&view, exprs, node)
                            && is_read_in_time(&view, node)
                            && !is_made_of_itself(&view, node)
                    })
            });
            if all_written && list.len() > 1 {
                kept.insert(name, list.into_iter().map(|(at, node, _)| (at, node)).collect());
            }
        }
        (!kept.is_empty()).then_some(Splits { graph, nodes: kept })
    }

    fn apply(editor: &mut Editor<'_>, splits: Splits) -> Result<(), Stopped> {
        for (name, nodes) in splits.nodes {
            for &(at, node) in nodes.iter().skip(1) {
                rename(editor, splits.graph, at, node, name).ok_or(Stopped)?;
            }
        }
        Ok(())
    }
}

fn is_separable(view: &View<'_>, name: Name) -> bool {
    view.graph.data.get(&name).is_some_and(|data| {
        data.transient
            && matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_))
            && matches!(data.lifetime, Lifetime::Scope | Lifetime::State | Lifetime::Graph)
    }) && !view.facts.is_shared(name)
        && !view.facts.is_read_by_name(name)
}

/// Whether all readers of an access node run before the container is written again.
fn is_read_in_time(view: &View<'_>, node: NodeId) -> bool {
    let Some(name) = view.accessed(node) else { return false };
    let Some((_, write)) = view.data_in(node).next() else { return false };
    let Some(writer) = unit_of(view, write.src) else { return false };
    let Some((_, next)) = order::next_writer(view, name, view.index.key(writer.begin)) else { return true };
    view.data_out(node).all(|(_, edge)| {
        let reader = if view.accessed(edge.dst).is_some() {
            Some(node)
        } else {
            unit_of(view, edge.dst).map(|u| u.begin)
        };
        reader.is_some_and(|reader| view.index.key(reader) <= next)
    })
}

/// Whether whoever writes an access node reads the container, too: it may meet elements that it has written before.
fn is_made_of_itself(view: &View<'_>, node: NodeId) -> bool {
    let Some(name) = view.accessed(node) else { return true };
    let units = view.data_in(node).map(|(_, edge)| unit_of(view, edge.src));
    units.into_iter().any(|unit| {
        unit.is_none_or(|unit| {
            view.accessed(unit.begin) == Some(name)
                || view.data_in(unit.begin).any(|(_, edge)| edge.memlet.data == Some(name))
        })
    })
}

/// Replaces an access node by one of a new container, in all memlets that lead to it or come from it.
fn rename(editor: &mut Editor<'_>, graph: GraphId, at: Place, node: NodeId, old: Name) -> Option<()> {
    let declared = editor.graph(graph)?.data.get(&old)?.clone();
    let stem = editor.names.get(old).to_owned();
    let new = editor.add_data(graph, &stem, declared)?;
    let mut copy = editor.view(at)?.state.nodes.get(node)?.clone();
    copy.kind = NodeKind::Access { data: new, setzero: false };
    copy.label = editor.names.get(new).to_owned();
    let copy = editor.add_node(at, copy, node)?;
    for edge in scope::paths(&editor.view(at)?, node) {
        editor.edit_edge(at, edge, |edge| {
            if edge.memlet.data == Some(old) {
                edge.memlet.data = Some(new);
            }
            if edge.src == node {
                edge.src = copy;
            }
            if edge.dst == node {
                edge.dst = copy;
            }
        })?;
    }
    editor.remove_node(at, node)
}
