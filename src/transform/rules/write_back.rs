//! # write_back
//!
//! Removes a copy that puts elements back where they came from.
//!
//! ## Legal when
//! - a container was filled by one copy, and the same elements of it are copied back to where they are from;
//! - nobody writes either of the two in between, and no other name leads to their memory.
//!
//! ## Before
//! ```pelton
//! program back(a: f64[8], b: f64[8]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = access a
//!     n3 = access b
//!     n0 -> n1 : a[2:6] other [0:4]
//!     n1 -> n2 : t[0:4] other [2:6]
//!     n1 -> n3 : t[0:4] other [0:4]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program back(a: f64[8], b: f64[8]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n3 = access b
//!     n0 -> n1 : a[2:6] other [0:4]
//!     n1 -> n3 : t[0:4] other [0:4]
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program elsewhere(a: f64[8], b: f64[8]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = access a
//!     n0 -> n1 : a[2:6] other [0:4]
//!     n1 -> n2 : t[0:4] other [4:8]
//!   }
//! }
//! ```
//!
//! Enables: redundant_copy_in, dead_dataflow. Source: GT4Py `SingleStateGlobalSelfCopyElimination`.

use crate::ir::{EdgeId, NodeId, NodeKind};
use crate::transform::copies;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place};
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct WriteBack;

impl Transformation for WriteBack {
    type Match = (Place, EdgeId, NodeId);
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Self::Match> {
        let Site::Node(at, buffer) = site else { return None };
        let view = editor.view(at)?;
        let name = view.accessed(buffer)?;
        let filled: Vec<EdgeId> = view.data_in(buffer).map(|(id, _)| id).collect();
        let &[fill] = &filled[..] else { return None };
        let fill = view.edge(fill).clone();
        let source = fill.src;
        let other = view.accessed(source)?;
        let back: Vec<EdgeId> = view
            .data_out(buffer)
            .filter(|(_, edge)| view.accessed(edge.dst) == Some(other))
            .map(|(id, _)| id)
            .collect();
        let is_plain = name != other
            && view.index.parent(buffer).is_none()
            && matches!(view.kind(buffer), Some(NodeKind::Access { setzero: false, .. }))
            && !view.facts.is_shared(name)
            && !view.facts.is_shared(other);
        if back.is_empty() || !is_plain || !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let there = copies::copy_of(&view, exprs, &fill)?;
        let (from, to) = (view.index.key(source), view.index.key(buffer));
        if [name, other].iter().any(|&class| !order::writers_between(&view, class, from, to).is_empty()) {
            return None;
        }
        let found = back.into_iter().find(|&id| {
            let same = copies::copy_of(&view, exprs, view.edge(id))
                .is_some_and(|back| back.source == there.target && back.target == there.source);
            let target = view.edge(id).dst;
            same && !matches!(view.kind(target), Some(NodeKind::Access { setzero: true, .. }))
        })?;
        Some((at, found, view.edge(found).dst))
    }

    fn apply(editor: &mut Editor<'_>, (at, edge, target): Self::Match) -> Result<(), Stopped> {
        apply(editor, at, edge, target).ok_or(Stopped)
    }
}

fn apply(editor: &mut Editor<'_>, at: Place, edge: EdgeId, target: NodeId) -> Option<()> {
    dead::remove_write(editor, at, edge)?;
    let view = editor.view(at)?;
    if view.data_in(target).next().is_none() && view.data_out(target).next().is_none() {
        dead::remove_unit(editor, at, target, target)?;
    }
    Some(())
}
