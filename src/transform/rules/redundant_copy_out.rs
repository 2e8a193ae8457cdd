//! # redundant_copy_out
//!
//! Writes a container itself instead of a transient that is then copied to it.
//!
//! ## Legal when
//! - the transient is written in full by single values, from maps or tasklets, and nobody reads it but the copy;
//! - whoever writes it does not read the container that the copy goes to, and nothing has to run between the write and the
//!   copy.
//!
//! ## Before
//! ```pelton
//! program store(a: f64[4], b: f64[8]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = map_entry m [i in 0:4]
//!     n2 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n3 = map_exit m of n1
//!     n4 = access t
//!     n5 = access b
//!     n0 -> n1.IN_a : a[0:4]
//!     n1.OUT_a -> n2.x : a[i]
//!     n2.y -> n3.IN_t : t[i]
//!     n3.OUT_t -> n4 : t[0:4]
//!     n4 -> n5 : b[2:6]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program store(a: f64[4], b: f64[8]) {
//!   state main {
//!     map i in 0:4 { b[i + 2] = a[i] * 2 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program shift(b: f64[8]) {
//!   transient t: f64[7]
//!   state main {
//!     n0 = access b
//!     n1 = map_entry m [i in 0:7]
//!     n2 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n3 = map_exit m of n1
//!     n4 = access t
//!     n5 = access b
//!     n0 -> n1.IN_b : b[0:7]
//!     n1.OUT_b -> n2.x : b[i]
//!     n2.y -> n3.IN_t : t[i]
//!     n3.OUT_t -> n4 : t[0:7]
//!     n4 -> n5 : b[1:8]
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical, map_fusion_horizontal. Source: DaCe `RedundantArray`; GT4Py
//! `GT4PyMapBufferElimination`.

use crate::entity::Name;
use crate::ir::{EdgeId, NodeId, Subset};
use crate::transform::copies;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place};
use crate::transform::order::{self, unit_of};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct RedundantCopyOut;

/// A transient to leave out.
pub struct Found {
    at: Place,
    copy: NodeId,
    target: NodeId,
    name: Name,
    /// Edges of the writers, with the elements of the target they then write.
    writes: Vec<(EdgeId, Subset)>,
    writer: order::Unit,
}

impl Transformation for RedundantCopyOut {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Node(at, copy) = site else { return None };
        let view = editor.view(at)?;
        let ([write], [edge]) = (view.index.incoming(copy), view.index.outgoing(copy)) else { return None };
        let (write, edge) = (*write, *edge);
        let target = view.edge(edge).dst;
        let (own, name) = (view.accessed(copy)?, view.accessed(target)?);
        if !copies::is_private(&view, copy) || view.facts.is_shared(name) || !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let made = copies::copy_of(&view, exprs, view.edge(edge))?;
        let is_whole = made.source == scope::whole(exprs, view.graph.data.get(&own)?);
        if !is_whole || !scope::is_written_in_full(&view, exprs, copy) {
            return None;
        }
        let onward = made.correspondence(exprs, false)?;
        let mut writes = Vec::new();
        for id in copies::value_writes(&view, exprs, copy, own)? {
            let subset = view.edge(id).memlet.subset.clone()?;
            writes.push((id, onward.map(exprs, &subset)?));
        }
        let writer = unit_of(&view, view.edge(write).src)?;
        let class = view.facts.class(name);
        // Reading or writing the target, the writer would see its own results too early.
        let touches = view
            .data_in(writer.begin)
            .chain(view.data_out(writer.end))
            .any(|(_, edge)| edge.memlet.data.is_some_and(|data| view.facts.class(data) == class));
        (!touches).then_some(Found { at, copy, target, name, writes, writer })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { at, copy, target, name, writes, writer } = found;
    let view = editor.view(at)?;
    let own = view.accessed(copy)?;
    let class = view.facts.class(name);
    for (edge, subset) in writes {
        editor.edit_edge(at, edge, |edge| {
            if edge.dst == copy {
                edge.dst = target;
            }
            edge.memlet.data = Some(name);
            edge.memlet.subset = Some(subset);
            edge.memlet.is_data_src = None;
        })?;
    }
    // What was ordered before the writer by the copy's place in the order still is: every path to the copy led through it.
    editor.add_writer(at, class, writer);
    dead::remove_unit(editor, at, copy, copy)?;
    dead::drop_unused(editor, at, own)
}
