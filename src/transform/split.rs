//! Parts of a state as states of their own.

use hashbrown::{HashMap, HashSet};

use crate::ir::{DataKind, Edge, EdgeId, Node, NodeId, NodeKind, State};

use super::editor::{Editor, Place, View, plain_node};

/// What of a state has to run after one of its nodes.
#[derive(Debug)]
pub struct Cut {
    /// The nodes that the node leads to, whole scopes among them.
    pub after: Vec<NodeId>,
    /// Writes of access nodes among them that run before the node, or at any time.
    pub early: Vec<EdgeId>,
}

impl Cut {
    /// What comes after `node`, which lies at the top level of a state whose order is explicit. `gone`: what comes after other
    /// nodes and leaves the state as well. `None` if values go from before to after that no container holds.
    pub fn of(view: &View<'_>, node: NodeId, gone: &HashSet<NodeId>) -> Option<Cut> {
        let mut seen: HashSet<NodeId> = HashSet::new();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            for &edge in view.index.outgoing(node) {
                let next = view.edge(edge).dst;
                if !gone.contains(&next) && seen.insert(next) {
                    open.push(next);
                }
            }
        }
        let mut after: Vec<NodeId> = seen.iter().copied().collect();
        after.sort_by_key(|&node| (view.index.key(node), node));
        let mut early = Vec::new();
        for &inside in &after {
            if matches!(view.kind(inside), Some(NodeKind::ConsumeEntry(_))) {
                return None;
            }
            for &id in view.index.incoming(inside) {
                let edge = view.edge(id);
                if edge.src == node || seen.contains(&edge.src) {
                    continue;
                }
                if edge.memlet.is_empty() {
                    // One that joins connectors hands over a value.
                    if edge.dst_conn.is_some() {
                        return None;
                    }
                    continue;
                }
                if view.accessed(inside).is_some() {
                    early.push(id);
                } else {
                    view.accessed(edge.src)?;
                }
                let mut ends = [edge.src, inside].into_iter();
                if !ends.all(|end| view.accessed(end).is_none() || holds_values(view, end)) {
                    return None;
                }
            }
        }
        Some(Cut { after, early })
    }

    /// Takes the node and what comes after it out of the state, and gives the latter as a state, if it does something.
    pub fn apply(&self, editor: &mut Editor<'_>, at: Place, node: NodeId) -> Option<Option<State>> {
        let mut sources: Vec<NodeId> = Vec::new();
        for &id in &self.early {
            let view = editor.view(at)?;
            let edge = view.edge(id);
            let (src, target) = (edge.src, edge.dst);
            let copy = view.state.nodes.get(target)?;
            let copy = plain_node(&copy.label, copy.kind.clone());
            let copy = editor.add_node(at, copy, src)?;
            editor.set_place(at, copy, None, src);
            editor.edit_edge(at, id, |edge| edge.dst = copy)?;
        }
        let view = editor.view(at)?;
        sources.extend(view.data_in(node).map(|(_, edge)| edge.src));
        editor.remove_node(at, node)?;
        let view = editor.view(at)?;
        let is_used =
            |node: NodeId| !view.index.incoming(node).is_empty() || !view.index.outgoing(node).is_empty();
        let kept: Vec<NodeId> = self
            .after
            .iter()
            .copied()
            .filter(|&node| view.accessed(node).is_none() || is_used(node))
            .collect();
        let state = if kept.is_empty() {
            None
        } else {
            let (state, read) = copied(&view, &kept)?;
            sources.extend(read);
            Some(state)
        };
        for &node in &self.after {
            editor.remove_node(at, node)?;
        }
        sources.sort_unstable();
        sources.dedup();
        for source in sources {
            let view = editor.view(at)?;
            if view.index.incoming(source).is_empty() && view.index.outgoing(source).is_empty() {
                editor.remove_node(at, source)?;
            }
        }
        Some(state)
    }
}

/// Whether an access node is of a container that holds what was written until somebody reads it.
fn holds_values(view: &View<'_>, node: NodeId) -> bool {
    let data = view.accessed(node).and_then(|name| view.graph.data.get(&name));
    data.is_some_and(|data| matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_)))
}

/// A state of these nodes alone, in this order, with access nodes for what they read; and those that they read.
pub fn copied(view: &View<'_>, nodes: &[NodeId]) -> Option<(State, Vec<NodeId>)> {
    let mut state = State::default();
    let mut image: HashMap<NodeId, NodeId> = HashMap::new();
    let mut sources = Vec::new();
    let set: HashSet<NodeId> = nodes.iter().copied().collect();
    for &node in nodes {
        for &edge in view.index.incoming(node) {
            let edge = view.edge(edge);
            if !set.contains(&edge.src) && !edge.memlet.is_empty() && !image.contains_key(&edge.src) {
                view.accessed(edge.src)?;
                sources.push(edge.src);
                image.insert(edge.src, state.nodes.push(view.state.nodes.get(edge.src)?.clone()));
            }
        }
    }
    for &node in nodes {
        image.insert(node, state.nodes.push(view.state.nodes.get(node)?.clone()));
    }
    for (_, node) in state.nodes.iter_mut() {
        let Node { kind, .. } = node;
        if let NodeKind::MapExit { entry } = kind {
            *entry = *image.get(entry)?;
        }
    }
    for &node in nodes {
        for &id in view.index.incoming(node) {
            let edge = view.edge(id);
            if let Some(&src) = image.get(&edge.src)
                && (set.contains(&edge.src) || !edge.memlet.is_empty())
            {
                let edge = Edge { src, dst: *image.get(&node)?, ..edge.clone() };
                state.edges.push(edge);
            }
        }
    }
    Some((state, sources))
}
