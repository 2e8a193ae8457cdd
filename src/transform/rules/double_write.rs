//! # double_write
//!
//! Removes a write to a container whose elements are all written again before anybody reads them, with everything that only
//! served it.
//!
//! ## Legal when
//! - what writes it reads nothing of it, and the next access of the container is a write of at least these elements, each for
//!   certain, that reads nothing of it either;
//! - what computes the first value does nothing else, and no other name leads to the container's memory.
//!
//! ## Before
//! ```pelton
//! program twice(a: f64[8], b: f64[8]) {
//!   state main {
//!     map i in 2:6 { b[i] = a[i] * 2 }
//!     map i in 0:8 { b[i] = a[i] * 3 }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program twice(a: f64[8], b: f64[8]) {
//!   state main {
//!     map i in 0:8 { b[i] = a[i] * 3 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program part(a: f64[8], b: f64[8]) {
//!   state main {
//!     map i in 0:8 { b[i] = a[i] * 2 }
//!     map i in 2:6 { b[i] = a[i] * 3 }
//!   }
//! }
//! ```
//!
//! Enables: dead_dataflow, fewer loops over memory. Source: DaCe `DeadDataflowElimination`; GT4Py `DoubleWriteRemover`.

use crate::entity::Name;
use crate::ir::{EdgeId, NodeId, NodeKind, Subset};
use crate::symbolic::{Assumptions, ExprPool, Prover};
use crate::transform::copies;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place, View};
use crate::transform::order::{self, Unit, unit_of};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct DoubleWrite;

/// Access nodes of a state whose content nobody sees.
pub struct Found {
    at: Place,
    nodes: Vec<(NodeId, Vec<EdgeId>)>,
}

impl Transformation for DoubleWrite {
    type Match = Found;
    const KIND: SiteKind = SiteKind::State;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::State(at) = site else { return None };
        let view = editor.view(at)?;
        let several = |name: &Name| view.index.accesses(*name).len() > 1;
        if !view.index.containers().iter().any(several) || !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let mut nodes = Vec::new();
        for (class, list) in order::accesses(&view)? {
            // Its own name stands for a container that shares memory with none.
            if view.facts.is_shared(class) {
                continue;
            }
            for pair in list.windows(2) {
                let (first, second) = (pair[0], pair[1]);
                // What reads the container may read what it has just written there.
                if first.writes && !first.reads && second.writes && !second.reads {
                    nodes.extend(overwritten(&view, exprs, class, first.unit, second.unit));
                }
            }
        }
        (!nodes.is_empty()).then_some(Found { at, nodes })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        for (node, written) in found.nodes {
            for edge in written {
                dead::remove_write(editor, found.at, edge).ok_or(Stopped)?;
            }
            dead::remove_unit(editor, found.at, node, node).ok_or(Stopped)?;
        }
        Ok(())
    }
}

/// The access node through which a unit writes a container, if the next unit overwrites all that it writes there.
fn overwritten(
    view: &View<'_>,
    exprs: &mut ExprPool,
    name: Name,
    first: Unit,
    second: Unit,
) -> Option<(NodeId, Vec<EdgeId>)> {
    let (write, node) = only_write(view, name, first)?;
    let (again, later) = only_write(view, name, second)?;
    let is_seen = view.data_out(node).next().is_some()
        || matches!(view.kind(node), Some(NodeKind::Access { setzero: true, .. }));
    let mut writers = view.data_in(node);
    if node == later || is_seen || writers.next().is_none() || writers.next().is_some() {
        return None;
    }
    // A tasklet that reaches the container through a pointer might read it.
    let is_copy = view.accessed(view.edge(again).src).is_some();
    let is_library = matches!(view.kind(view.edge(again).src), Some(NodeKind::Library(_)));
    if !is_copy && !is_library && copies::value_writes(view, exprs, later, name).is_none() {
        return None;
    }
    let covered = scope::written_for_certain(view, exprs, later)?;
    let edge = view.edge(write);
    let own = if edge.memlet.data == Some(name) { &edge.memlet.subset } else { &edge.memlet.other_subset };
    let own = match own {
        Some(own) => own.clone(),
        None => scope::whole(exprs, view.graph.data.get(&name)?),
    };
    (covers(exprs, &covered, &own) && dead::can_remove_write(view, write)).then(|| (node, vec![write]))
}

/// The edge and access node through which a unit writes a container, if there is only one.
fn only_write(view: &View<'_>, name: Name, unit: Unit) -> Option<(EdgeId, NodeId)> {
    let mut found = view.data_out(unit.end).filter(|(_, edge)| view.accessed(edge.dst) == Some(name));
    let (id, edge) = found.next()?;
    let is_top = view.index.parent(edge.dst).is_none();
    (found.next().is_none() && is_top && unit_of(view, unit.end)? == unit).then_some((id, edge.dst))
}

/// Whether each index of one subset lies in another one.
fn covers(exprs: &ExprPool, outer: &Subset, inner: &Subset) -> bool {
    let known = Assumptions::new();
    let mut prover = Prover::new(exprs, &known);
    outer.ranges.len() == inner.ranges.len()
        && outer.ranges.iter().zip(&inner.ranges).all(|(outer, inner)| {
            let is_solid = exprs.as_int(outer.step) == Some(1)
                && exprs.as_int(outer.tile) == Some(1)
                && exprs.as_int(inner.tile) == Some(1)
                && exprs.as_int(inner.step).is_some_and(|step| step > 0);
            is_solid
                && prover.proves_at_most(outer.start, inner.start)
                && prover.proves_at_most(inner.end, outer.end)
        })
}
