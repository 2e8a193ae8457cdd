//! # empty_range
//!
//! Removes a map that has no iteration, whatever the symbols are.
//!
//! ## Legal when
//! - in one dimension the end is provably below the start.
//!
//! ## Before
//! ```pelton
//! program none(a: f64[4], b: f64[4]) {
//!   state main {
//!     map i in 3:3 { b[i] = a[i] * 2 }
//!     map i in 0:4 { a[i] = 1.0 }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program none(a: f64[4], b: f64[4]) {
//!   state main {
//!     map i in 0:4 { a[i] = 1.0 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program one(a: f64[4], b: f64[4]) {
//!   state main {
//!     map i in 3:4 { b[i] = a[i] * 2 }
//!   }
//! }
//! ```
//!
//! Enables: dead_dataflow. Source: GT4Py `dead_dataflow_elimination` (empty maps).

use crate::ir::{NodeId, NodeKind, Range};
use crate::symbolic::{Assumptions, Prover};
use crate::transform::dead;
use crate::transform::editor::{Editor, Place};
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct EmptyRange;

impl Transformation for EmptyRange {
    type Match = (Place, NodeId);
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Self::Match> {
        let Site::Node(at, entry) = site else { return None };
        let (view, exprs) = editor.split(at)?;
        let map = scope::map(&view, entry)?;
        if view.index.parent(entry).is_some() || !scope::is_plain(&view, entry) {
            return None;
        }
        let known = Assumptions::new();
        let mut prover = Prover::new(exprs, &known);
        let is_empty = |range: &Range| prover.proves_less_than(range.end, range.start);
        let found = map.range.ranges.iter().any(is_empty);
        (found && order::is_explicit(editor, at)).then_some((at, entry))
    }

    fn apply(editor: &mut Editor<'_>, (at, entry): Self::Match) -> Result<(), Stopped> {
        remove(editor, at, entry).ok_or(Stopped)
    }
}

fn remove(editor: &mut Editor<'_>, at: Place, entry: NodeId) -> Option<()> {
    let view = editor.view(at)?;
    let exit = view.index.exit(entry)?;
    let body = scope::body(&view, entry);
    let before: Vec<NodeId> = view.index.incoming(entry).iter().map(|&edge| view.edge(edge).src).collect();
    let written: Vec<NodeId> = view.data_out(exit).map(|(_, edge)| edge.dst).collect();
    for node in body {
        let data = editor.view(at)?.accessed(node);
        editor.remove_node(at, node)?;
        if let Some(data) = data {
            dead::drop_unused(editor, at, data)?;
        }
    }
    dead::remove_unit(editor, at, entry, exit)?;
    // Who read what the map would have written still comes after what the map came after.
    for &first in &before {
        for &second in &written {
            editor.order(at, first, second)?;
        }
    }
    let around: Vec<NodeId> = before.into_iter().chain(written).collect();
    for node in around {
        let view = editor.view(at)?;
        let Some(NodeKind::Access { data, .. }) = view.kind(node) else { continue };
        let data = *data;
        if view.data_in(node).next().is_none() && view.data_out(node).next().is_none() {
            dead::remove_unit(editor, at, node, node)?;
            dead::drop_unused(editor, at, data)?;
        }
    }
    Some(())
}
