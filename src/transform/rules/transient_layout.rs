//! # transient_layout
//!
//! Lays a transient out so that the innermost loops of the maps that write and read it meet neighbours in memory: the dimension
//! that they run along becomes the contiguous one.
//!
//! ## Legal when
//! - the transient is the program's own memory, packed, and nobody sees its layout: tasklets write and read elements one by one,
//!   and boxes of elements are copied to boxes of the same extents;
//! - its strides change, its shape does not, so no index does.
//!
//! The innermost loop of a map is the one that [`map_dimension_order`](super::map_dimension_order) can give it for the sake of
//! the containers whose layout is given. It pays if more accesses run along the new dimension than along the one before; one in
//! loops of more dimensions happens more often, and loops in which something else stays strided are no reason for a change.
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

use hashbrown::HashSet;
use indexmap::IndexMap;

use crate::entity::Name;
use crate::ir::{Array, DataKind, EdgeId, Graph, GraphId, Lifetime, NodeId, NodeKind};
use crate::scalar::{PortKind, Type};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::copies;
use crate::transform::cost;
use crate::transform::dead::inner_edges;
use crate::transform::editor::{Editor, Place, View, accessed};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::rules::map_dimension_order::{contiguous_along, innermost};
use crate::transform::scope;

/// The rule.
pub struct TransientLayout;

/// Transients of a graph, each with the dimension that becomes contiguous.
pub struct Found {
    graph: GraphId,
    changes: Vec<(Name, usize)>,
}

/// An access to a transient in a map's body: the dimension that the innermost loop runs along.
struct Run {
    name: Name,
    dim: usize,
    entry: (Place, NodeId),
    weight: usize,
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
        let mut runs: Vec<Run> = Vec::new();
        let mut loops: IndexMap<(Place, NodeId), Option<Name>> = IndexMap::new();
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
            for (node, name) in nodes {
                match (runs_along(&view, exprs, at, node, &mut loops), known.get_mut(&name)) {
                    (Some(found), Some(nodes)) => {
                        *nodes += 1;
                        runs.extend(found);
                    }
                    _ => drop(known.shift_remove(&name)),
                }
            }
        }
        let (around, facts) = editor.known(graph)?;
        known.retain(|&name, nodes| {
            !facts.is_shared(name) && !facts.is_read_by_name(name) && facts.access_nodes(name) == *nodes
        });
        let last = |name: &Name| around.data.get(name).map_or(0, |data| data.shape().len().saturating_sub(1));
        let ranks: IndexMap<Name, usize> = known.keys().map(|name| (*name, last(name))).collect();
        runs.retain(|run| ranks.contains_key(&run.name));
        let mut strided: HashSet<(Place, NodeId)> = HashSet::new();
        for (&(at, entry), param) in &loops {
            let (view, exprs) = editor.split(at)?;
            if param.is_some_and(|param| has_strides(&view, exprs, entry, param, &ranks)) {
                strided.insert((at, entry));
            }
        }
        let changes = choose(&runs, &ranks, strided);
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

/// The dimensions that become contiguous. A loop in which anything else is strided, or becomes so, gains nothing and is no reason
/// for a change; it is one to leave things as they are.
fn choose(
    runs: &[Run],
    ranks: &IndexMap<Name, usize>,
    mut strided: HashSet<(Place, NodeId)>,
) -> Vec<(Name, usize)> {
    loop {
        let mut along: IndexMap<Name, Vec<usize>> =
            ranks.iter().map(|(name, &last)| (*name, vec![0; last + 1])).collect();
        for run in runs {
            let counts = ranks.get(&run.name) == Some(&run.dim) || !strided.contains(&run.entry);
            if let Some(sum) = along.get_mut(&run.name).and_then(|sums| sums.get_mut(run.dim))
                && counts
            {
                *sum = sum.saturating_add(run.weight);
            }
        }
        // The last of the best ones: the layout changes no more than it has to.
        let best = |sums: &Vec<usize>| (0..sums.len()).max_by_key(|&dim| sums[dim]).unwrap_or(0);
        let chosen: IndexMap<Name, usize> = along.iter().map(|(name, sums)| (*name, best(sums))).collect();
        let before = strided.len();
        strided
            .extend(runs.iter().filter(|run| chosen.get(&run.name) != Some(&run.dim)).map(|run| run.entry));
        if strided.len() == before {
            return chosen.into_iter().filter(|(name, dim)| ranks.get(name) != Some(dim)).collect();
        }
    }
}

/// Whether the innermost loop of a map meets elements of a container that are apart, besides those whose layout may change.
fn has_strides(
    view: &View<'_>,
    exprs: &mut ExprPool,
    entry: NodeId,
    param: Name,
    changing: &IndexMap<Name, usize>,
) -> bool {
    let Some(exit) = view.index.exit(entry) else { return true };
    view.data_out(entry).chain(view.data_in(exit)).any(|(_, edge)| {
        let memlet = &edge.memlet;
        if memlet.data.is_none_or(|name| changing.contains_key(&name)) {
            return false;
        }
        let ranges = memlet.subset.iter().flat_map(|subset| &subset.ranges);
        let moves =
            ranges.flat_map(|range| [range.start, range.end]).any(|expr| exprs.depends_on(expr, param));
        moves && contiguous_along(view, exprs, memlet, &[param]).is_none()
    })
}

/// Transients whose layout could be another one, each with the number of its access nodes seen so far.
fn candidates(exprs: &mut ExprPool, graph: &Graph) -> IndexMap<Name, u32> {
    let mut found = IndexMap::new();
    for (&name, data) in &graph.data {
        let DataKind::Array(array) = &data.kind else { continue };
        let is_own = data.transient
            && array.shape.len() > 1
            && matches!(data.ty, Type::Scalar(_))
            && matches!(data.lifetime, Lifetime::Scope | Lifetime::State | Lifetime::Graph);
        if is_own && is_packed(exprs, array) {
            found.insert(name, 0);
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

/// The accesses through an access node along which innermost loops run. `None` if somebody sees more than single elements.
fn runs_along(
    view: &View<'_>,
    exprs: &mut ExprPool,
    at: Place,
    node: NodeId,
    loops: &mut IndexMap<(Place, NodeId), Option<Name>>,
) -> Option<Vec<Run>> {
    let name = view.accessed(node)?;
    let mut found = Vec::new();
    let mut open: Vec<(EdgeId, bool)> = view.data_in(node).map(|(id, _)| (id, true)).collect();
    open.extend(view.data_out(node).map(|(id, _)| (id, false)));
    while let Some((id, writes)) = open.pop() {
        let edge = view.edge(id);
        // Boxes of elements are copied in the order of their indices.
        if copies::copy_of(view, exprs, edge).is_some() {
            continue;
        }
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
        let param = *loops.entry((at, entry)).or_insert_with(|| innermost(view, exprs, entry));
        let Some(param) = param else { continue };
        let mut along =
            (0..subset.ranges.len()).filter(|&dim| exprs.depends_on(subset.ranges[dim].start, param));
        let (Some(dim), None) = (along.next(), along.next()) else { continue };
        let (coefficients, _) = exprs.as_affine(subset.ranges[dim].start, &[param])?;
        if exprs.as_int(coefficients[0]).map(i64::abs) == Some(1) {
            found.push(Run { name, dim, entry: (at, entry), weight: weight(view, entry) });
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
