//! # view_removal
//!
//! Reads and writes a container itself instead of a view of it.
//!
//! ## Legal when
//! - the view shows elements of the container's own type, in dimensions that have the strides of dimensions of the container
//!   (a slice), or a container of one dimension without gaps row by row (a reshape);
//! - through the view, maps and tasklets take or give single values, boxes of elements are copied, or matrices are multiplied that
//!   are the last dimensions of the container.
//!
//! ## Before
//! ```pelton
//! program rows(a: f64[6, 4], b: f64[4]) {
//!   transient view v: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access v
//!     n2 = map_entry m [i in 0:4]
//!     n3 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n4 = map_exit m of n2
//!     n5 = access b
//!     n0 -> n1.views : a[2, 0:4] other [0:4]
//!     n1 -> n2.IN_v : v[0:4]
//!     n2.OUT_v -> n3.x : v[i]
//!     n3.y -> n4.IN_b : b[i]
//!     n4.OUT_b -> n5 : b[0:4]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program rows(a: f64[6, 4], b: f64[4]) {
//!   state main {
//!     map i in 0:4 { b[i] = a[2, i] * 2 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program flat(a: f64[6, 4], b: f64[24]) {
//!   transient view v: f64[24]
//!   state main {
//!     n0 = access a
//!     n1 = access v
//!     n2 = map_entry m [i in 0:24]
//!     n3 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n4 = map_exit m of n2
//!     n5 = access b
//!     n0 -> n1.views : a[0:6, 0:4] other [0:24]
//!     n1 -> n2.IN_v : v[0:24]
//!     n2.OUT_v -> n3.x : v[i]
//!     n3.y -> n4.IN_b : b[i]
//!     n4.OUT_b -> n5 : b[0:24]
//!   }
//! }
//! ```
//!
//! Enables: all rules for dataflow, which leave containers alone that share memory. Source: DaCe `RemoveSliceView`,
//! GT4Py `gt_remove_views`.

use hashbrown::HashSet;

use crate::analysis::MemletPaths;
use crate::analysis::views::viewed_edge;
use crate::entity::Name;
use crate::ir::{DataKind, EdgeId, GraphId, Memlet, NodeId, NodeKind};
use crate::symbolic::ExprPool;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place, View, accessed, ordering_edge, plain_node};
use crate::transform::order;
use crate::transform::readdress::{self, Readdress};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct ViewRemoval;

/// Access nodes of views of a graph.
pub struct Found {
    graph: GraphId,
    nodes: Vec<Removed>,
}

/// An access node of a view.
struct Removed {
    at: Place,
    node: NodeId,
    name: Name,
    target: Name,
    /// The edge between the view and what it shows, and whether it leads to the view.
    aim: EdgeId,
    incoming: bool,
    uses: Vec<(EdgeId, Memlet)>,
    /// A node of the container takes the place of the view's: copies out of a node happen when it is visited, and what is
    /// written through a view may be read before the container's own node has its turn.
    stays: bool,
}

impl Transformation for ViewRemoval {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let is_view = |name: &Name| {
            let data = editor.graph(graph).and_then(|graph| graph.data.get(name));
            data.is_some_and(|data| matches!(data.kind, DataKind::View(_)))
        };
        let views: HashSet<Name> =
            editor.graph(graph)?.data.keys().copied().filter(|name| is_view(name)).collect();
        if views.is_empty() {
            return None;
        }
        let mut nodes = Vec::new();
        for block in editor.blocks(graph) {
            let at = Place { graph, block };
            let Some(state) = editor.state(at) else { continue };
            let found: Vec<NodeId> = (state.live_nodes())
                .filter(|(_, node)| accessed(node).is_some_and(|n| views.contains(&n)))
                .map(|(id, _)| id)
                .collect();
            if found.is_empty() || !order::is_explicit(editor, at) {
                continue;
            }
            let Some((view, exprs)) = editor.split(at) else { continue };
            let (adjacency, paths) = (view.state.adjacency(), MemletPaths::of(view.state, view.names));
            // One view of another one: the inner one first, and the other one the next time.
            let mut taken: HashSet<Name> = HashSet::new();
            for node in found {
                let edge = viewed_edge(view.graph, view.state, view.names, &adjacency, &paths, node);
                let Some(removed) = edge.and_then(|edge| removed(&view, exprs, at, node, edge)) else {
                    continue;
                };
                if !taken.contains(&removed.name) && !taken.contains(&removed.target) {
                    let ends = view.data_in(node).chain(view.data_out(node));
                    taken.extend(ends.flat_map(|(_, edge)| [edge.src, edge.dst]).filter_map(|end| {
                        view.accessed(end).filter(|name| *name != removed.name && views.contains(name))
                    }));
                    nodes.push(removed);
                }
            }
        }
        (!nodes.is_empty()).then_some(Found { graph, nodes })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

fn removed(view: &View<'_>, exprs: &mut ExprPool, at: Place, node: NodeId, aim: EdgeId) -> Option<Removed> {
    let name = view.accessed(node)?;
    let edge = view.edge(aim);
    let incoming = edge.dst == node;
    let memlet = &edge.memlet;
    let (target, shown) = match memlet.data? {
        data if data != name => (data, memlet.subset.as_ref()?),
        _ => {
            let other = if incoming { edge.src } else { edge.dst };
            (view.accessed(other)?, memlet.other_subset.as_ref()?)
        }
    };
    let (alias, data) = (view.graph.data.get(&name)?, view.graph.data.get(&target)?);
    let is_array = matches!(data.kind, DataKind::Array(_) | DataKind::View(_));
    let written = view.data_in(node).any(|(id, _)| id != aim);
    if !is_array || memlet.wcr.is_some() || memlet.dynamic || incoming && written {
        return None;
    }
    // At the top level the order that is needed follows from who touches what; inside a scope edges say more.
    let mut edges = view.index.incoming(node).iter().chain(view.index.outgoing(node));
    let is_ordered = view.index.parent(node).is_some() && edges.any(|&id| view.edge(id).memlet.is_empty());
    if is_ordered || view.facts.is_read_by_name(name) {
        return None;
    }
    let by = Readdress::new(exprs, alias, data, shown)?;
    let (uses, copies_out) =
        readdress::uses(view, exprs, node, &readdress::others(view, node, Some(aim)), &by, target)?;
    let is_read = view.data_out(node).any(|(id, _)| id != aim);
    let stays = copies_out || !incoming && is_read;
    let copies = uses.iter().any(|(_, memlet)| memlet.other_subset.is_some());
    let other = if incoming { edge.src } else { edge.dst };
    let is_beside = view.accessed(other) == Some(target);
    if copies && !is_beside || stays && (!is_beside || view.index.parent(node).is_some()) {
        return None;
    }
    Some(Removed { at, node, name, target, aim, incoming, uses, stays })
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { graph, nodes } = found;
    let mut places: Vec<Place> = Vec::new();
    let mut names: Vec<Name> = Vec::new();
    for removed in nodes {
        places.push(removed.at);
        names.push(removed.name);
        remove(editor, removed)?;
    }
    places.dedup();
    for at in places {
        let missing = order::missing(&editor.view(at)?)?;
        for (before, after) in missing {
            editor.order(at, before, after)?;
        }
    }
    for name in names {
        let (around, facts) = editor.known(graph)?;
        if facts.access_nodes(name) == 0 && around.data.contains_key(&name) {
            editor.remove_data(graph, name)?;
        }
    }
    editor.forget_facts(graph);
    Some(())
}

fn remove(editor: &mut Editor<'_>, removed: Removed) -> Option<()> {
    let Removed { at, node, target, aim, incoming, uses, stays, .. } = removed;
    let edge = editor.view(at)?.edge(aim).clone();
    let (other, own_connector) = if incoming { (edge.src, edge.src_conn) } else { (edge.dst, edge.dst_conn) };
    // What stands where the view stood: a node, or the one beside it, or the border of the scope around.
    let (end, connector) = if stays {
        let label = editor.names.get(target).to_owned();
        let kind = NodeKind::Access { data: target, setzero: false };
        let new = editor.add_node(at, plain_node(&label, kind), node)?;
        let (first, second) = if incoming { (other, new) } else { (new, other) };
        editor.add_edge(at, ordering_edge(first, second))?;
        (new, None)
    } else {
        (other, own_connector)
    };
    for (id, memlet) in uses {
        editor.edit_edge(at, id, |edge| {
            if edge.src == node {
                (edge.src, edge.src_conn) = (end, connector);
            }
            if edge.dst == node {
                (edge.dst, edge.dst_conn) = (end, connector);
            }
            edge.memlet = memlet;
        })?;
    }
    editor.remove_node(at, node)?;
    let view = editor.view(at)?;
    if stays && view.data_in(other).next().is_none() && view.data_out(other).next().is_none() {
        dead::remove_unit(editor, at, other, other)?;
    }
    Some(())
}
