//! # dead_dataflow
//!
//! Removes writes to a transient that nobody reads, and the tasklets, maps, nested graphs and reads that only
//! served them.
//!
//! ## Legal when
//! - the container is a transient whose content does not survive the call, and no access node, no expression
//!   and no condition of the graph reads it;
//! - what computes the value does nothing else: no stream is taken from or given to, and a nested graph has no
//!   other result.
//!
//! ## Before
//! ```pelton
//! program waste(a: f64[4], b: f64[4]) {
//!   transient t: f64[4]
//!   state main {
//!     map i in 0:4 { t[i] = a[i] * 2 }
//!     map i in 0:4 { b[i] = a[i] + 1 }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program waste(a: f64[4], b: f64[4]) {
//!   state main {
//!     map i in 0:4 { b[i] = a[i] + 1 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program useful(a: f64[4], b: f64[4]) {
//!   transient t: f64[4]
//!   state main {
//!     map i in 0:4 { t[i] = a[i] * 2 }
//!     map i in 0:4 { b[i] = t[i] + 1 }
//!   }
//! }
//! ```
//!
//! Enables: fewer arrays, fewer loops, fewer readers to keep an array for. Source: DaCe `DeadDataflowElimination`, GT4Py
//! `dead_dataflow_elimination`.

use crate::ir::{EdgeId, NodeId};
use crate::transform::dead;
use crate::transform::editor::{Editor, Place};
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct DeadDataflow;

impl Transformation for DeadDataflow {
    type Match = (Place, NodeId, Vec<EdgeId>);
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Self::Match> {
        let Site::Node(at, node) = site else { return None };
        let view = editor.view(at)?;
        let data = view.accessed(node)?;
        if view.data_out(node).next().is_some() || !dead::is_unread(&view, data) {
            return None;
        }
        // One access node: no other one can read it.
        if view.facts.access_nodes(data) != 1 {
            return None;
        }
        let written: Vec<EdgeId> = view.data_in(node).map(|(id, _)| id).collect();
        if !order::is_explicit(editor, at) {
            return None;
        }
        let view = editor.view(at)?;
        let removable = written.iter().all(|&edge| dead::can_remove_write(&view, edge));
        removable.then_some((at, node, written))
    }

    fn apply(editor: &mut Editor<'_>, (at, node, written): Self::Match) -> Result<(), Stopped> {
        let data = editor.view(at).and_then(|view| view.accessed(node)).ok_or(Stopped)?;
        for edge in written {
            dead::remove_write(editor, at, edge).ok_or(Stopped)?;
        }
        dead::remove_unit(editor, at, node, node).ok_or(Stopped)?;
        dead::drop_unused(editor, at, data).ok_or(Stopped)
    }
}
