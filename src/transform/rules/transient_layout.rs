//! # transient_layout
//!
//! Lays a transient out so that the innermost loops of the maps that write and read it meet neighbours in memory: the dimension
//! that they run along becomes the contiguous one.
//!
//! ## Legal when
//! - the transient is the program's own memory, packed, and nobody sees its layout: elements are written and read one by one,
//!   by tasklets and copies of single elements;
//! - its strides change, its shape does not, so no index does.
//!
//! The innermost loop of a map is the one that [`map_dimension_order`](super::map_dimension_order) can give it for the sake of
//! the containers whose layout is given. It pays if more accesses run along the new dimension than along the one before; one in
//! loops of more dimensions happens more often.
//!
//! ## Before
//! ```pelton
//! program columns(a: f64[8, 4] strides(1, 8), b: f64[8, 4] strides(1, 8)) {
//!   transient t: f64[8, 4]
//!   state main {
//!     map j in 0:4, i in 0:8 { t[i, j] = a[i, j] * 2 }
//!     map j in 0:4, i in 0:8 { b[i, j] = t[i, j] + t[7 - i, j] }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program columns(a: f64[8, 4] strides(1, 8), b: f64[8, 4] strides(1, 8)) {
//!   transient t: f64[8, 4] strides(1, 8)
//!   state main {
//!     map j in 0:4, i in 0:8 { t[i, j] = a[i, j] * 2 }
//!     map j in 0:4, i in 0:8 { b[i, j] = t[i, j] + t[7 - i, j] }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program turned(a: f64[8, 4] strides(1, 8), b: f64[4, 8] strides(1, 4)) {
//!   transient t: f64[8, 4]
//!   state main {
//!     map j in 0:4, i in 0:8 { t[i, j] = a[i, j] * 2 }
//!     map i in 0:8, j in 0:4 { b[j, i] = t[i, j] + 1 }
//!   }
//! }
//! ```
//!
//! Enables: map_dimension_order, vectors in kernels. Source: GT4Py `gt_change_strides`; DaCe's layouts are set by hand.

use hashbrown::HashMap;
use indexmap::IndexMap;

use crate::entity::Name;
use crate::ir::{Array, DataKind, EdgeId, Graph, GraphId, Lifetime, NodeId, NodeKind};
use crate::scalar::{PortKind, Type};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::cost;
use crate::transform::dead::inner_edges;
use crate::transform::editor::{Editor, Place, View, accessed};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::rules::map_dimension_order::innermost;
use crate::transform::scope;

/// The rule.
pub struct TransientLayout;

/// Transients of a graph, each with the dimension that becomes contiguous.
pub struct Found {
    graph: GraphId,
    changes: Vec<(Name, usize)>,
}

/// Accesses of a transient: how many run along each dimension, as [`cost::ROW`] weighs them, and its access nodes.
struct Accesses {
    along: Vec<usize>,
    nodes: u32,
}

impl Transformation for TransientLayout {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        // Looking adds expressions, and the program is not touched meanwhile.
        let mut exprs = std::mem::take(&mut editor.exprs);
        let known = editor.graph(graph).map(|graph| candidates(&mut exprs, graph));
        editor.exprs = exprs;
        let mut known = known?;
        if known.is_empty() {
            return None;
        }
        for block in editor.blocks(graph) {
            let at = Place { graph, block };
            let Some(state) = editor.state(at) else { continue };
            let nodes: Vec<(NodeId, Name)> = (state.live_nodes())
                .filter_map(|(id, node)| Some((id, accessed(node).filter(|name| known.contains_key(name))?)))
                .collect();
            if nodes.is_empty() {
                continue;
            }
            let (view, exprs) = editor.split(at)?;
            let mut loops: HashMap<NodeId, Option<Name>> = HashMap::new();
            for (node, name) in nodes {
                let runs = runs_along(&view, exprs, node, name, &mut loops);
                match (runs, known.get_mut(&name)) {
                    (Some(runs), Some(accesses)) => {
                        accesses.nodes += 1;
                        runs.into_iter().for_each(|(dim, weight)| accesses.along[dim] += weight);
                    }
                    _ => drop(known.shift_remove(&name)),
                }
            }
        }
        let (_, facts) = editor.known(graph)?;
        let mut changes = Vec::new();
        for (name, Accesses { along, nodes }) in known {
            let last = along.len() - 1;
            // The last of the best ones: the layout changes no more than it has to.
            let best = (0..=last).max_by_key(|&dim| along[dim])?;
            let is_own =
                !facts.is_shared(name) && !facts.is_read_by_name(name) && facts.access_nodes(name) == nodes;
            if is_own && along[best] > along[last] {
                changes.push((name, best));
            }
        }
        (!changes.is_empty()).then_some(Found { graph, changes })
    }

    fn apply(editor: &mut Editor<'_>, Found { graph, changes }: Found) -> Result<(), Stopped> {
        for (name, dim) in changes {
            let data = editor.graph(graph).and_then(|graph| graph.data.get(&name)).ok_or(Stopped)?;
            let shape = data.shape().to_vec();
            let strides = strides(&mut editor.exprs, &shape, dim);
            let change = editor.edit_data(graph, name, |data| {
                if let DataKind::Array(array) = &mut data.kind {
                    array.strides = strides;
                }
            });
            change.ok_or(Stopped)?;
        }
        Ok(())
    }
}

/// Transients whose layout could be another one.
fn candidates(exprs: &mut ExprPool, graph: &Graph) -> IndexMap<Name, Accesses> {
    let mut found = IndexMap::new();
    for (&name, data) in &graph.data {
        let DataKind::Array(array) = &data.kind else { continue };
        let is_own = data.transient
            && array.shape.len() > 1
            && matches!(data.ty, Type::Scalar(_))
            && matches!(data.lifetime, Lifetime::Scope | Lifetime::State | Lifetime::Graph);
        if is_own && is_packed(exprs, array) {
            found.insert(name, Accesses { along: vec![0; array.shape.len()], nodes: 0 });
        }
    }
    found
}

/// Whether an array has the elements of its shape in row-major order, and no others.
fn is_packed(exprs: &mut ExprPool, array: &Array) -> bool {
    let is_zero = |expr: &ExprId| exprs.as_int(*expr) == Some(0);
    let starts = array.offset.iter().all(is_zero) && array.start_offset.iter().all(is_zero);
    let last = array.shape.len() - 1;
    let mut size = exprs.int(1);
    for &extent in array.shape.iter().rev() {
        size = exprs.mul(size, extent);
    }
    starts
        && array.strides == strides(exprs, &array.shape, last)
        && array.total_size.is_none_or(|total| total == size)
}

/// Strides without gaps, with one dimension innermost and the others in order.
fn strides(exprs: &mut ExprPool, shape: &[ExprId], innermost: usize) -> Vec<ExprId> {
    let mut strides = vec![exprs.int(1); shape.len()];
    let mut stride = shape[innermost];
    for dim in (0..shape.len()).rev().filter(|&dim| dim != innermost) {
        strides[dim] = stride;
        stride = exprs.mul(stride, shape[dim]);
    }
    strides
}

/// Of the accesses through an access node, those dimensions that innermost loops run along, once per access, with how often it
/// happens. `None` if somebody sees more than single elements.
fn runs_along(
    view: &View<'_>,
    exprs: &mut ExprPool,
    node: NodeId,
    name: Name,
    loops: &mut HashMap<NodeId, Option<Name>>,
) -> Option<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    let mut open: Vec<(EdgeId, bool)> = view.data_in(node).map(|(id, _)| (id, true)).collect();
    open.extend(view.data_out(node).map(|(id, _)| (id, false)));
    while let Some((id, writes)) = open.pop() {
        let edge = view.edge(id);
        if edge.memlet.data != Some(name) {
            return None;
        }
        let (other, connector) = if writes { (edge.src, edge.src_conn) } else { (edge.dst, edge.dst_conn) };
        match view.kind(other)? {
            NodeKind::MapExit { .. } if writes => {
                open.extend(inner_edges(view, other, connector).into_iter().map(|id| (id, true)));
                continue;
            }
            NodeKind::MapEntry(_) if !writes => {
                let stem = view.names.get(connector?).strip_prefix("IN_")?;
                open.extend(view.data_out(other).filter_map(|(inner, onward)| {
                    let output = view.names.get(onward.src_conn?).strip_prefix("OUT_")?;
                    (output == stem).then_some((inner, false))
                }));
                continue;
            }
            NodeKind::Tasklet(tasklet) => {
                let code = tasklet.code.as_ref()?;
                let port = code.ports.values().find(|port| Some(port.name) == connector);
                let is_value = |kind| matches!(kind, PortKind::Value | PortKind::Reference);
                if !port.is_none_or(|port| is_value(port.kind)) {
                    return None;
                }
            }
            NodeKind::Access { .. } => {}
            _ => return None,
        }
        let subset = edge.memlet.subset.as_ref().filter(|subset| scope::is_point(exprs, subset))?;
        let Some(entry) = view.index.parent(other) else { continue };
        let param = *loops.entry(entry).or_insert_with(|| innermost(view, exprs, entry));
        let Some(param) = param else { continue };
        let mut along =
            (0..subset.ranges.len()).filter(|&dim| exprs.depends_on(subset.ranges[dim].start, param));
        let (Some(dim), None) = (along.next(), along.next()) else { continue };
        let (coefficients, _) = exprs.as_affine(subset.ranges[dim].start, &[param])?;
        if exprs.as_int(coefficients[0]).map(i64::abs) == Some(1) {
            found.push((dim, weight(view, entry)));
        }
    }
    Some(found)
}

/// How often the body of a map runs, in comparison with others.
fn weight(view: &View<'_>, entry: NodeId) -> usize {
    let around = std::iter::successors(Some(entry), |&entry| view.index.parent(entry));
    let params: usize = around.filter_map(|entry| scope::map(view, entry)).map(|map| map.params.len()).sum();
    cost::ROW.pow(params.clamp(1, 6) as u32 - 1)
}
