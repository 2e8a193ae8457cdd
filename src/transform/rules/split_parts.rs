//! # split_parts
//!
//! Makes several containers of a transient whose parts are written apart and read apart. Each part can then be fused, or live as
//! long as it is needed.
//!
//! ## Legal when
//! - one access node is all there is of the transient, and nobody else sees it;
//! - what is read overlaps the elements of one write only, and lies within them;
//! - values are written and read one by one, or boxes of elements are copied, those of different parts to different containers.
//!
//! ## Before
//! ```pelton
//! program halves(a: f64[8], b: f64[4], c: f64[4]) {
//!   transient t: f64[8]
//!   state main {
//!     n0 = access a
//!     n1 = map_entry low [i in 0:4]
//!     n2 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n3 = map_exit low of n1
//!     n4 = map_entry high [i in 4:8]
//!     n5 = tasklet more (x) -> (y) { y = x * 3 }
//!     n6 = map_exit high of n4
//!     n7 = access t
//!     n8 = access b
//!     n9 = access c
//!     n0 -> n1.IN_a : a[0:4]
//!     n1.OUT_a -> n2.x : a[i]
//!     n2.y -> n3.IN_t : t[i]
//!     n3.OUT_t -> n7 : t[0:4]
//!     n3 -> n4
//!     n0 -> n4.IN_a : a[4:8]
//!     n4.OUT_a -> n5.x : a[i]
//!     n5.y -> n6.IN_t : t[i]
//!     n6.OUT_t -> n7 : t[4:8]
//!     n7 -> n8 : t[0:4] other [0:4]
//!     n7 -> n9 : t[4:8] other [0:4]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program halves(a: f64[8], b: f64[4], c: f64[4]) {
//!   transient t_0: f64[4]
//!   transient t_1: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = map_entry low [i in 0:4]
//!     n2 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n3 = map_exit low of n1
//!     n4 = map_entry high [i in 4:8]
//!     n5 = tasklet more (x) -> (y) { y = x * 3 }
//!     n6 = map_exit high of n4
//!     n7 = access t_0
//!     n8 = access b
//!     n9 = access c
//!     n10 = access t_1
//!     n0 -> n1.IN_a : a[0:4]
//!     n1.OUT_a -> n2.x : a[i]
//!     n2.y -> n3.IN_t : t_0[i]
//!     n3.OUT_t -> n7 : t_0[0:4]
//!     n3 -> n4
//!     n0 -> n4.IN_a : a[4:8]
//!     n4.OUT_a -> n5.x : a[i]
//!     n5.y -> n6.IN_t : t_1[i - 4]
//!     n6.OUT_t -> n10 : t_1[0:4]
//!     n7 -> n8 : t_0[0:4] other [0:4]
//!     n10 -> n9 : t_1[0:4] other [0:4]
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program across(a: f64[8], b: f64[4]) {
//!   transient t: f64[8]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = access b
//!     n3 = access a
//!     n0 -> n1 : a[0:4] other [0:4]
//!     n3 -> n1 : a[4:8] other [4:8]
//!     n1 -> n2 : t[2:6] other [0:4]
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical, redundant_copy_in. Source: GT4Py `SplitAccessNode`.

use hashbrown::{HashMap, HashSet};

use crate::entity::Name;
use crate::ir::{Array, DataKind, EdgeId, Memlet, NodeId, NodeKind, Range, Subset};
use crate::scalar::Type;
use crate::symbolic::boxes::{self, Span};
use crate::symbolic::{Assumptions, ExprId, ExprPool, Prover};
use crate::transform::copies::{self, Correspondence};
use crate::transform::editor::{Editor, Place, plain_node};
use crate::transform::order;
use crate::transform::readdress::{self, Readdress};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct SplitParts;

/// A transient in parts.
pub struct Found {
    at: Place,
    node: NodeId,
    name: Name,
    parts: Vec<Part>,
}

/// A part with its extents, and the memlets of all who use it.
struct Part {
    shape: Vec<ExprId>,
    edges: Vec<EdgeId>,
    memlets: Vec<(EdgeId, Memlet)>,
}

/// Parts beyond which a container stays one.
const MOST: usize = 16;

impl Transformation for SplitParts {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Node(at, node) = site else { return None };
        let view = editor.view(at)?;
        let name = view.accessed(node)?;
        let writes = view.data_in(node).count();
        if !(2..=MOST).contains(&writes)
            || !copies::is_private(&view, node)
            || !order::is_explicit(editor, at)
        {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let data = view.graph.data.get(&name)?;
        let DataKind::Array(array) = &data.kind else { return None };
        if !matches!(data.ty, Type::Scalar(_)) || !is_row_major(exprs, array) {
            return None;
        }
        let elements = |edge: EdgeId| {
            let memlet = &view.edge(edge).memlet;
            let own = if memlet.data == Some(name) { &memlet.subset } else { &memlet.other_subset };
            own.clone().filter(|_| !memlet.dynamic && memlet.wcr.is_none())
        };
        let mut parts: Vec<(Subset, Vec<EdgeId>)> = Vec::new();
        for (id, _) in view.data_in(node) {
            let written = elements(id)?;
            if parts.iter().any(|(known, _)| !are_apart(exprs, known, &written)) {
                return None;
            }
            parts.push((written, vec![id]));
        }
        for (id, _) in view.data_out(node) {
            let read = elements(id)?;
            let mut meets = parts.iter_mut().filter(|(known, _)| !are_apart(exprs, known, &read));
            let (Some((known, edges)), None) = (meets.next(), meets.next()) else { return None };
            if !lies_within(exprs, &read, known) {
                return None;
            }
            edges.push(id);
        }
        // Copies out of one node are made in the order of its edges, which nothing keeps between two nodes.
        let mut targets: HashMap<Name, usize> = HashMap::new();
        for (number, (_, edges)) in parts.iter().enumerate() {
            for edge in edges.iter().map(|&id| view.edge(id)).filter(|edge| edge.src == node) {
                let target = view.accessed(edge.dst).map(|name| view.facts.class(name));
                let before = target.and_then(|class| targets.insert(class, number));
                if before.is_some_and(|before| before != number) {
                    return None;
                }
            }
        }
        let sized_by: HashSet<Name> =
            array.shape.iter().flat_map(|&extent| exprs.free_symbols(extent)).collect();
        let mut found = Vec::new();
        for (subset, edges) in parts {
            let (shape, by) = moved(exprs, &subset);
            // No size may depend on what changes while the program runs.
            let is_fixed =
                |&extent: &ExprId| exprs.free_symbols(extent).iter().all(|name| sized_by.contains(name));
            if !shape.iter().all(is_fixed) {
                return None;
            }
            let (memlets, _) = readdress::uses(&view, exprs, node, &edges, &by, name)?;
            found.push(Part { shape, edges, memlets });
        }
        Some(Found { at, node, name, parts: found })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

fn is_row_major(exprs: &mut ExprPool, array: &Array) -> bool {
    let mut expected = exprs.int(1);
    for (&extent, &stride) in array.shape.iter().zip(&array.strides).rev() {
        if stride != expected {
            return false;
        }
        expected = exprs.mul(expected, extent);
    }
    array.offset.iter().chain(&array.start_offset).all(|&offset| exprs.as_int(offset) == Some(0))
}

fn spans(subset: &Subset) -> Vec<Span> {
    let span = |range: &Range| Span { start: range.start, end: range.end, step: range.step };
    subset.ranges.iter().map(span).collect()
}

fn are_apart(exprs: &ExprPool, a: &Subset, b: &Subset) -> bool {
    let known = Assumptions::new();
    let is_solid = |subset: &Subset| {
        subset
            .ranges
            .iter()
            .all(|range| exprs.as_int(range.tile) == Some(1) && exprs.as_int(range.step) == Some(1))
    };
    is_solid(a)
        && is_solid(b)
        && boxes::disjoint(&mut Prover::new(exprs, &known), &spans(a), &spans(b)).is_yes()
}

fn lies_within(exprs: &ExprPool, inner: &Subset, outer: &Subset) -> bool {
    let known = Assumptions::new();
    boxes::covers(&mut Prover::new(exprs, &known), &spans(outer), &spans(inner)).is_yes()
}

/// The extents of a part, and where its elements are in a container of its own.
fn moved(exprs: &mut ExprPool, subset: &Subset) -> (Vec<ExprId>, Readdress) {
    let (zero, one) = (exprs.int(0), exprs.int(1));
    let mut shape = Vec::with_capacity(subset.ranges.len());
    let mut dims = Vec::with_capacity(subset.ranges.len());
    for (dim, range) in subset.ranges.iter().enumerate() {
        let span = exprs.sub(range.end, range.start);
        let extent = exprs.add(span, one);
        // For some sizes a part may have no elements.
        let is_size = Prover::new(exprs, &Assumptions::new()).nonnegative(extent);
        shape.push(if is_size { extent } else { exprs.max(extent, zero) });
        dims.push((Some(dim), exprs.neg(range.start)));
    }
    let rank = dims.len();
    (shape, Readdress::Slice { map: Correspondence::new(dims, rank), in_order: true })
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { at, node, name, parts } = found;
    let declared = editor.graph(at.graph)?.data.get(&name)?.clone();
    let stem = editor.names.get(name).to_owned();
    for Part { shape, edges, memlets } in parts {
        let mut data = declared.clone();
        let mut strides = Vec::with_capacity(shape.len());
        let mut stride = editor.exprs.int(1);
        for &extent in shape.iter().rev() {
            strides.push(stride);
            stride = editor.exprs.mul(stride, extent);
        }
        strides.reverse();
        if let DataKind::Array(array) = &mut data.kind {
            *array = Array { shape, strides, total_size: None, offset: Vec::new(), ..array.clone() };
        }
        let new = editor.add_data(at.graph, &stem, data)?;
        let label = editor.names.get(new).to_owned();
        let kind = NodeKind::Access { data: new, setzero: false };
        let own = editor.add_node(at, plain_node(&label, kind), node)?;
        for (id, memlet) in memlets {
            let is_own = edges.contains(&id);
            editor.edit_edge(at, id, |edge| {
                if is_own && edge.src == node {
                    edge.src = own;
                }
                if is_own && edge.dst == node {
                    edge.dst = own;
                }
                edge.memlet = memlet;
                if edge.memlet.data == Some(name) {
                    edge.memlet.data = Some(new);
                }
            })?;
        }
    }
    editor.remove_node(at, node)?;
    editor.loosen(at);
    editor.remove_data(at.graph, name)
}
