//! # redundant_copy_in
//!
//! Reads a container itself instead of a copy of it (or of a part of it) that was made for reading.
//!
//! ## Legal when
//! - the copy is a transient that nobody else writes or reads, and it is copied whole;
//! - its readers take single values, in maps or not;
//! - the container is not written before the readers have run.
//!
//! ## Before
//! ```pelton
//! program slice(a: f64[8], b: f64[4]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = map_entry m [i in 0:4]
//!     n3 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n4 = map_exit m of n2
//!     n5 = access b
//!     n0 -> n1 : a[2:6]
//!     n1 -> n2.IN_t : t[0:4]
//!     n2.OUT_t -> n3.x : t[i]
//!     n3.y -> n4.IN_b : b[i]
//!     n4.OUT_b -> n5 : b[0:4]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program slice(a: f64[8], b: f64[4]) {
//!   state main {
//!     map i in 0:4 { b[i] = a[i + 2] * 2 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program buffer(a: f64[8]) {
//!   transient t: f64[8]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = map_entry m [i in 1:8]
//!     n3 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n4 = map_exit m of n2
//!     n5 = access a
//!     n0 -> n1 : a[0:8]
//!     n1 -> n2.IN_t : t[0:8]
//!     n2.OUT_t -> n3.x : t[i - 1]
//!     n3.y -> n4.IN_a : a[i]
//!     n4.OUT_a -> n5 : a[1:8]
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical, map_fusion_horizontal. Source: DaCe `RedundantSecondArray`; GT4Py `CopyChainRemover`,
//! `remove_access_node_copies`.

use crate::entity::Name;
use crate::ir::{EdgeId, NodeId, Subset};
use crate::transform::copies;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place};
use crate::transform::order::{self, Unit, unit_of};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct RedundantCopyIn;

/// A copy to leave out.
pub struct Found {
    at: Place,
    source: NodeId,
    name: Name,
    copy: NodeId,
    /// Edges of the copy's readers, with the elements of the source they then read.
    reads: Vec<(EdgeId, Subset)>,
    readers: Vec<Unit>,
    /// Who overwrites the source afterwards.
    writer: Option<NodeId>,
}

impl Transformation for RedundantCopyIn {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Node(at, copy) = site else { return None };
        let view = editor.view(at)?;
        let [edge] = view.index.incoming(copy) else { return None };
        let source = view.edge(*edge).src;
        let (name, target) = (view.accessed(source)?, view.accessed(copy)?);
        if !copies::is_private(&view, copy) || view.facts.is_shared(name) || !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let [edge] = view.index.incoming(copy) else { return None };
        let made = copies::copy_of(&view, exprs, view.edge(*edge))?;
        if made.target != scope::whole(exprs, view.graph.data.get(&target)?) {
            return None;
        }
        let back = made.correspondence(exprs, true)?;
        let mut reads = Vec::new();
        for id in copies::value_reads(&view, exprs, copy, target)? {
            let subset = view.edge(id).memlet.subset.clone()?;
            reads.push((id, back.map(exprs, &subset)?));
        }
        let readers: Vec<Unit> =
            view.data_out(copy).map(|(_, edge)| unit_of(&view, edge.dst)).collect::<Option<_>>()?;
        let writer = order::next_writer(&view, view.facts.class(name), view.index.key(source));
        let in_time = |unit: &Unit| writer.is_none_or(|(_, key)| view.index.key(unit.begin) < key);
        let fits = !readers.is_empty() && readers.iter().all(in_time);
        let writer = writer.map(|(unit, _)| unit.begin);
        fits.then_some(Found { at, source, name, copy, reads, readers, writer })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { at, source, name, copy, reads, readers, writer } = found;
    let target = editor.view(at)?.accessed(copy)?;
    for (edge, subset) in reads {
        editor.edit_edge(at, edge, |edge| {
            if edge.src == copy {
                edge.src = source;
            }
            edge.memlet.data = Some(name);
            edge.memlet.subset = Some(subset);
            edge.memlet.is_data_src = None;
        })?;
    }
    for reader in readers {
        if let Some(writer) = writer {
            editor.order(at, reader.end, writer)?;
        }
    }
    dead::remove_unit(editor, at, copy, copy)?;
    dead::drop_unused(editor, at, target)
}
