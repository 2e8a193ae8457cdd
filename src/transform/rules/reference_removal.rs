//! # reference_removal
//!
//! Reads and writes a container itself instead of a reference that is set once, to a place that does not change.
//!
//! ## Legal when
//! - one edge sets the reference, before everything that uses it, to elements of a container that no symbol moves;
//! - the reference shows them as a view could (see `view_removal`), and through it single values are read and written, or boxes
//!   of elements are copied.
//!
//! ## Before
//! ```pelton
//! program aimed(a: f64[8], b: f64[4]) {
//!   transient reference r: f64[4]
//!   state aim {
//!     n0 = access a
//!     n1 = access r
//!     n0 -> n1.set : a[2:6]
//!   }
//!   state use {
//!     n0 = access r
//!     n1 = map_entry m [i in 0:4]
//!     n2 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n3 = map_exit m of n1
//!     n4 = access b
//!     n0 -> n1.IN_r : r[0:4]
//!     n1.OUT_r -> n2.x : r[i]
//!     n2.y -> n3.IN_b : b[i]
//!     n3.OUT_b -> n4 : b[0:4]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program aimed(a: f64[8], b: f64[4]) {
//!   state aim { }
//!   state use { map i in 0:4 { b[i] = a[i + 2] * 2 } }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program choose(a: f64[4], b: f64[4], N: i64 symbol) {
//!   transient reference r: f64[4]
//!   conditional pick {
//!     case N > 3 { state first { n0 = access a  n1 = access r  n0 -> n1.set : a[0:4] } }
//!     case else { state other { n0 = access b  n1 = access r  n0 -> n1.set : b[0:4] } }
//!   }
//!   state use {
//!     n0 = access r
//!     n1 = tasklet twice (x) -> (y) { y = x * 2 }
//!     n2 = access b
//!     n0 -> n1.x : r[1]
//!     n1.y -> n2 : b[0]
//!   }
//! }
//! ```
//!
//! Enables: all rules for dataflow, which leave containers alone that share memory. Source: DaCe `ReferenceToView`, and then
//! `RemoveSliceView`.

use hashbrown::{HashMap, HashSet};

use crate::entity::Name;
use crate::ir::{BlockId, DataKind, EdgeId, GraphId, Memlet, NodeId, NodeKind, Subset};
use crate::transform::assigned;
use crate::transform::control;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place, accessed, plain_node};
use crate::transform::order;
use crate::transform::readdress::{self, Readdress};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct ReferenceRemoval;

/// References of a graph.
pub struct Found {
    graph: GraphId,
    references: Vec<Removed>,
}

/// An access node of a reference, and what its edges move of the container itself.
type Redirected = (Place, NodeId, Vec<(EdgeId, Memlet)>);

/// A reference with its access nodes.
struct Removed {
    name: Name,
    target: Name,
    nodes: Vec<Redirected>,
    /// The node of the container that it is set to.
    source: (Place, NodeId),
}

/// The edge that sets a reference.
struct Aim {
    at: Place,
    edge: EdgeId,
    source: NodeId,
    node: NodeId,
    target: Name,
    shown: Subset,
}

impl Transformation for ReferenceRemoval {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let around = editor.graph(graph)?;
        let is_reference = |name: &Name| {
            around.data.get(name).is_some_and(|data| matches!(data.kind, DataKind::Reference(_)))
        };
        let names: Vec<Name> = around.data.keys().copied().filter(is_reference).collect();
        if names.is_empty() {
            return None;
        }
        let assigned: Vec<Name> = assigned::counts(around).into_keys().collect();
        let positions = positions(editor, graph)?;
        let mut nodes: HashMap<Name, Vec<(Place, NodeId)>> = HashMap::new();
        for block in editor.blocks(graph) {
            let at = Place { graph, block };
            let Some(state) = editor.state(at) else { continue };
            for (id, node) in state.live_nodes() {
                if let Some(name) = accessed(node).filter(|name| names.contains(name)) {
                    nodes.entry(name).or_default().push((at, id));
                }
            }
        }
        let mut references: Vec<Removed> = Vec::new();
        let mut taken: HashSet<Name> = HashSet::new();
        for name in names {
            let own = nodes.get(&name).map_or(&[][..], |nodes| nodes);
            let Some(removed) = removed(editor, name, own, &assigned, &positions) else { continue };
            // A reference to what another one shows waits for the next time.
            if !taken.contains(&removed.target) && taken.insert(name) {
                taken.insert(removed.target);
                references.push(removed);
            }
        }
        (!references.is_empty()).then_some(Found { graph, references })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

/// Where each block stands in the row of blocks that the body of a graph is; `None` if it is no row.
fn positions(editor: &Editor<'_>, graph: GraphId) -> Option<HashMap<BlockId, (usize, bool)>> {
    let graph = editor.graph(graph)?;
    let mut positions = HashMap::new();
    for (position, (block, _)) in control::sequence(graph.body_region()?)?.into_iter().enumerate() {
        positions.insert(block, (position, true));
        for body in control::bodies(graph, block) {
            let inside = control::blocks_under(graph, body);
            positions.extend(inside.into_iter().map(|block| (block, (position, false))));
        }
    }
    Some(positions)
}

fn removed(
    editor: &mut Editor<'_>,
    name: Name,
    nodes: &[(Place, NodeId)],
    assigned: &[Name],
    positions: &HashMap<BlockId, (usize, bool)>,
) -> Option<Removed> {
    let aim = aim(editor, nodes)?;
    let (position, is_direct) = *positions.get(&aim.at.block)?;
    if !is_direct {
        return None;
    }
    let (view, exprs) = editor.split(aim.at)?;
    let (alias, data) = (view.graph.data.get(&name)?, view.graph.data.get(&aim.target)?);
    let moves = aim
        .shown
        .ranges
        .iter()
        .any(|range| [range.start, range.end].iter().any(|&expr| exprs.depends_on_any(expr, assigned)));
    // Memory that is taken anew by each state is another one in the next.
    let is_there = !data.transient || nodes.iter().all(|(at, _)| *at == aim.at);
    if moves || !is_there || !matches!(data.kind, DataKind::Array(_)) || view.facts.is_read_by_name(name) {
        return None;
    }
    let by = Readdress::new(exprs, alias, data, &aim.shown)?;
    let key = view.index.key(aim.node);
    let mut found = Vec::new();
    for &(at, node) in nodes {
        if !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let is_set = (at, node) == (aim.at, aim.node);
        let is_later = if at == aim.at {
            view.index.key(node) > key
        } else {
            positions.get(&at.block).is_some_and(|&(own, _)| own > position)
        };
        if view.index.parent(node).is_some() || !is_set && !is_later {
            return None;
        }
        let edges = readdress::others(&view, node, is_set.then_some(aim.edge));
        let (uses, _) = readdress::uses(&view, exprs, node, &edges, &by, aim.target)?;
        found.push((at, node, uses));
    }
    Some(Removed { name, target: aim.target, nodes: found, source: (aim.at, aim.source) })
}

/// The edge that sets a reference, if it is the only one and comes from an access node.
fn aim(editor: &mut Editor<'_>, nodes: &[(Place, NodeId)]) -> Option<Aim> {
    let mut found: Option<Aim> = None;
    for &(at, node) in nodes {
        let view = editor.view(at)?;
        for (id, edge) in view.data_in(node) {
            if edge.dst_conn.is_none_or(|connector| view.names.get(connector) != "set") {
                continue;
            }
            let target = edge.memlet.data?;
            let is_plain = view.accessed(edge.src) == Some(target)
                && view.index.parent(node).is_none()
                && edge.memlet.wcr.is_none();
            if found.is_some() || !is_plain {
                return None;
            }
            let shown = edge.memlet.subset.clone()?;
            found = Some(Aim { at, edge: id, source: edge.src, node, target, shown });
        }
    }
    found
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { graph, references } = found;
    let mut places: Vec<Place> = Vec::new();
    for Removed { name, target, nodes, source } in references {
        for (at, node, uses) in nodes {
            places.push(at);
            if !uses.is_empty() {
                let label = editor.names.get(target).to_owned();
                let kind = NodeKind::Access { data: target, setzero: false };
                let new = editor.add_node(at, plain_node(&label, kind), node)?;
                for (id, memlet) in uses {
                    editor.edit_edge(at, id, |edge| {
                        if edge.src == node {
                            edge.src = new;
                        }
                        if edge.dst == node {
                            edge.dst = new;
                        }
                        edge.memlet = memlet;
                    })?;
                }
            }
            editor.remove_node(at, node)?;
        }
        let (at, source) = source;
        let view = editor.view(at)?;
        if view.data_in(source).next().is_none() && view.data_out(source).next().is_none() {
            dead::remove_unit(editor, at, source, source)?;
        }
        editor.remove_data(graph, name)?;
    }
    places.sort_unstable();
    places.dedup();
    for at in places {
        let missing = order::missing(&editor.view(at)?)?;
        for (before, after) in missing {
            editor.order(at, before, after)?;
        }
    }
    editor.forget_facts(graph);
    Some(())
}
