//! What a view looks at.

use crate::entity::{Name, Names};
use crate::ir::{Adjacency, EdgeId, Graph, NodeId, NodeKind, State};

use super::MemletPaths;

/// The edge that leads from a view to what it views, by DaCe's rules: an edge at connector `views`; else the only
/// edge on a side when the other side has none or several; else the edge that leads to an access node when the
/// other leads to code; else the edge whose memlet does not name the view; else the edge to the higher scope; else
/// the incoming edge. `None` for what is no view, or looks at nothing.
pub fn viewed_edge(
    graph: &Graph,
    state: &State,
    names: &Names,
    adjacency: &Adjacency,
    paths: &MemletPaths,
    view: NodeId,
) -> Option<EdgeId> {
    let accessed = |node: NodeId| match state.nodes.get(node)?.kind {
        NodeKind::Access { data, .. } => Some(data),
        _ => None,
    };
    let name = accessed(view)?;
    if !graph.data.get(&name)?.is_view() {
        return None;
    }
    let live = |edges: &[EdgeId]| -> Vec<EdgeId> {
        edges.iter().copied().filter(|&edge| !state.edges[edge].memlet.is_empty()).collect()
    };
    let incoming = live(adjacency.incoming(view));
    let outgoing = live(adjacency.outgoing(view));
    let is_views = |connector: Option<Name>| connector.is_some_and(|name| names.get(name) == "views");
    let marked = incoming
        .iter()
        .find(|&&edge| is_views(state.edges[edge].dst_conn))
        .or_else(|| outgoing.iter().find(|&&edge| is_views(state.edges[edge].src_conn)));
    if let Some(&marked) = marked {
        return Some(marked);
    }
    let from_data = |edge: EdgeId| accessed(state.edges[paths.first(edge)].src).is_some();
    let to_data = |edge: EdgeId| {
        paths.last(edge).first().is_some_and(|&last| accessed(state.edges[last].dst).is_some())
    };
    let (edge, onward) = match (incoming.as_slice(), outgoing.as_slice()) {
        (&[edge], &[onward]) => (edge, onward),
        (&[edge], _) => return from_data(edge).then_some(edge),
        (_, &[edge]) => return to_data(edge).then_some(edge),
        _ => return None,
    };
    match (from_data(edge), to_data(onward)) {
        (true, false) => return Some(edge),
        (false, true) => return Some(onward),
        (false, false) => return None,
        (true, true) => {}
    }
    let names_view = |edge: EdgeId| state.edges[edge].memlet.data == Some(name);
    match (names_view(edge), names_view(onward)) {
        (true, false) => Some(onward),
        (false, true) => Some(edge),
        _ => {
            let kind = |node: NodeId| &state.nodes[node].kind;
            let enters =
                matches!(kind(state.edges[edge].src), NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_));
            let leaves = matches!(
                kind(state.edges[onward].dst),
                NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. }
            );
            Some(if leaves && !enters { onward } else { edge })
        }
    }
}
