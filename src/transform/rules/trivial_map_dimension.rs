//! # trivial_map_dimension
//!
//! Takes parameters that have one value out of a map; the value stands where the parameter stood.
//!
//! ## Legal when
//! - the range is one value by its form, and another dimension remains;
//! - the value can stand in ranges, memlets and code: code that reads the parameter takes a number; no inner map hides what the
//!   value is made of, and there is no nested graph, which may know the parameter by its name.
//!
//! ## Before
//! ```pelton
//! program row(a: f64[8, 8], b: f64[8, 8], k: i64 symbol) {
//!   state main {
//!     map i in k:k+1, j in 0:8 { b[i, j] = a[i, j] * 2 }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program row(a: f64[8, 8], b: f64[8, 8], k: i64 symbol) {
//!   state main {
//!     map j in 0:8 { b[k, j] = a[k, j] * 2 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program rows(a: f64[8, 8], b: f64[8, 8]) {
//!   state main {
//!     map i in 0:2, j in 0:8 { b[i, j] = a[i, j] * 2 }
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical, map_fusion_horizontal, loop_to_map, loop_nest_to_map. Source: GT4Py
//! `trivial_map_dimension_folding`, DaCe `TrivialMapElimination`.

use crate::entity::Name;
use crate::ir::{EdgeId, Map, NodeId, NodeKind};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::editor::{Editor, Place, View};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;
use crate::transform::substitute;

/// The rule.
pub struct TrivialMapDimension;

/// A map without the dimension, and what stands for the parameter.
pub struct Found {
    at: Place,
    entry: NodeId,
    map: Map,
    value: (Name, ExprId),
}

impl Transformation for TrivialMapDimension {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Node(at, entry) = site else { return None };
        let (view, exprs) = editor.split(at)?;
        let map = scope::map(&view, entry)?;
        if map.params.len() < 2 || !scope::is_plain(&view, entry) {
            return None;
        }
        let trivial = |&dim: &usize| {
            let (range, value) = (map.range.ranges[dim], (map.params[dim], map.range.ranges[dim].start));
            range.start == range.end
                && exprs.as_int(range.tile) == Some(1)
                && !exprs.depends_on_any(range.start, &map.params)
                && can_stand(&view, exprs, entry, value)
        };
        let dim = (0..map.params.len()).find(trivial)?;
        let value = (map.params[dim], map.range.ranges[dim].start);
        let mut map = map.clone();
        map.params.remove(dim);
        map.range.ranges.remove(dim);
        map.range = substitute::subset(exprs, &map.range, &[value]);
        Some(Found { at, entry, map, value })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        fold(editor, found).ok_or(Stopped)
    }
}

/// Whether everything in a scope can do with a value instead of a parameter.
fn can_stand(view: &View<'_>, exprs: &ExprPool, entry: NodeId, (param, value): (Name, ExprId)) -> bool {
    let by = [(param, value)];
    scope::body(view, entry).into_iter().all(|node| match view.kind(node) {
        Some(NodeKind::Tasklet(tasklet)) => {
            let reads = tasklet.code.iter().flat_map(|code| &code.symbols).any(|(name, _)| *name == param);
            // A symbol may be narrower than the parameter is.
            (!reads || exprs.as_int(value).is_some())
                && substitute::fits_tasklet(exprs, view.names, tasklet, &by)
        }
        Some(NodeKind::MapEntry(inner)) => {
            !inner.params.contains(&param) && !exprs.depends_on_any(value, &inner.params)
        }
        Some(NodeKind::MapExit { .. } | NodeKind::Access { .. } | NodeKind::Library(_)) => true,
        _ => false,
    })
}

fn fold(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { at, entry, map, value } = found;
    let by = [value];
    let view = editor.view(at)?;
    let body = scope::body(&view, entry);
    let mut edges: Vec<EdgeId> = view.index.outgoing(entry).to_vec();
    for &node in &body {
        edges.extend(view.index.incoming(node).iter().chain(view.index.outgoing(node)));
    }
    edges.sort_unstable();
    edges.dedup();
    for edge in edges {
        let before = &editor.view(at)?.edge(edge).memlet.clone();
        let memlet = substitute::memlet(&mut editor.exprs, before, &by);
        if memlet != *before {
            editor.edit_edge(at, edge, |edge| edge.memlet = memlet)?;
        }
    }
    for &node in &body {
        let mut kind = editor.view(at)?.kind(node)?.clone();
        match &mut kind {
            NodeKind::Tasklet(tasklet) => substitute::tasklet(&editor.exprs, &editor.names, tasklet, &by),
            NodeKind::MapEntry(inner) => {
                inner.range = substitute::subset(&mut editor.exprs, &inner.range, &by);
            }
            _ => continue,
        }
        editor.edit_node(at, node, |node| node.kind = kind)?;
    }
    editor.edit_node(at, entry, |node| node.kind = NodeKind::MapEntry(map))
}
