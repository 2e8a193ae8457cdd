//! The tree of scopes of a state.
//!
//! A map or consume entry opens a scope that its exit closes. Every node lies in exactly one scope: the
//! state itself (`None`) or the scope of one entry. Following DaCe, an entry lies in the scope around it
//! and an exit lies in the scope it closes.

use crate::diag::Diagnostic;
use crate::ir::{NodeId, NodeKind, State};

/// Who lies in which scope, and the order of execution.
#[derive(Clone, Debug, Default)]
pub struct ScopeTree {
    parents: Vec<Option<NodeId>>,
    exits: Vec<Option<NodeId>>,
    children: Vec<Vec<NodeId>>,
    top: Vec<NodeId>,
    order: Vec<NodeId>,
    positions: Vec<u32>,
}

impl ScopeTree {
    /// The scope tree of `state`.
    ///
    /// # Errors
    /// `P0120` for a cycle, `P0121` for a node whose inputs come from different scopes (an edge crosses a
    /// scope other than through its entry or exit), `P0122` for an entry without exactly one exit or an exit
    /// without an entry.
    pub fn of(state: &State) -> Result<ScopeTree, Diagnostic> {
        let adjacency = state.adjacency();
        let order = state.order_with(&adjacency)?;
        let count = state.nodes.len();
        let mut tree = ScopeTree {
            parents: vec![None; count],
            exits: exits(state)?,
            children: vec![Vec::new(); count],
            top: Vec::new(),
            positions: vec![u32::MAX; count],
            order,
        };
        for position in 0..tree.order.len() {
            let node = tree.order[position];
            tree.positions[node.0 as usize] = position as u32;
            let mut parent = None;
            for &edge in adjacency.incoming(node) {
                let from = state.edges[edge].src;
                if state.nodes.get(from).is_none_or(|n| matches!(n.kind, NodeKind::Removed)) {
                    continue;
                }
                let scope = tree.scope_after(state, from);
                match parent {
                    None => parent = Some(scope),
                    Some(known) if known == scope => {}
                    Some(known) => {
                        return Err(crossing(state, node)
                            .with_note(format!("one input comes from {}", scope_text(state, known)))
                            .with_note(format!("another comes from {}", scope_text(state, scope))));
                    }
                }
            }
            let parent = parent.flatten();
            tree.parents[node.0 as usize] = parent;
            match (closed_entry(&state.nodes[node].kind), parent) {
                (Some(entry), parent) if parent != Some(entry) => {
                    return Err(crossing(state, node)
                        .with_note(format!("it closes {}", scope_text(state, Some(entry))))
                        .with_note(format!("its inputs come from {}", scope_text(state, parent))));
                }
                (Some(_), _) => {}
                (None, None) => tree.top.push(node),
                (None, Some(parent)) => tree.children[parent.0 as usize].push(node),
            }
        }
        Ok(tree)
    }

    /// The entry of the scope a node lies in; `None`: the state itself. An exit lies in the scope it closes.
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.parents.get(node.0 as usize).copied().flatten()
    }

    /// Nodes directly in a scope, in execution order; inner entries included, exits not.
    /// `None` is the state itself.
    pub fn children(&self, scope: Option<NodeId>) -> &[NodeId] {
        match scope {
            None => &self.top,
            Some(entry) => self.children.get(entry.0 as usize).map_or(&[], |list| list),
        }
    }

    /// The exit of an entry.
    pub fn exit(&self, entry: NodeId) -> Option<NodeId> {
        self.exits.get(entry.0 as usize).copied().flatten()
    }

    /// Entries around a node, innermost first. For an exit, that starts with its own entry.
    pub fn enclosing(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(self.parent(node), |&entry| self.parent(entry))
    }

    /// Every node in the scope of an entry, at any depth, exits included.
    pub fn inside(&self, entry: NodeId) -> Vec<NodeId> {
        let mut found = Vec::new();
        let mut open = vec![entry];
        while let Some(entry) = open.pop() {
            found.extend(self.exit(entry));
            for &child in self.children(Some(entry)) {
                found.push(child);
                if self.exit(child).is_some() {
                    open.push(child);
                }
            }
        }
        found
    }

    /// How many scopes lie around a node.
    pub fn depth(&self, node: NodeId) -> usize {
        self.enclosing(node).count()
    }

    /// All live nodes in execution order ([`State::order`]).
    pub fn order(&self) -> &[NodeId] {
        &self.order
    }

    /// Where a node stands in [`ScopeTree::order`].
    pub fn position(&self, node: NodeId) -> Option<usize> {
        self.positions.get(node.0 as usize).filter(|&&p| p != u32::MAX).map(|&p| p as usize)
    }

    /// The scope that edges out of a node lie in.
    fn scope_after(&self, state: &State, node: NodeId) -> Option<NodeId> {
        match &state.nodes[node].kind {
            NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_) => Some(node),
            kind => match closed_entry(kind) {
                Some(entry) => self.parent(entry),
                None => self.parent(node),
            },
        }
    }
}

/// The entry that a node of this kind closes, if it is an exit.
pub fn closed_entry(kind: &NodeKind) -> Option<NodeId> {
    match kind {
        NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry } => Some(*entry),
        _ => None,
    }
}

fn exits(state: &State) -> Result<Vec<Option<NodeId>>, Diagnostic> {
    let mut exits = vec![None; state.nodes.len()];
    for (id, node) in state.live_nodes() {
        let Some(entry) = closed_entry(&node.kind) else { continue };
        let fits = matches!(
            (state.nodes.get(entry).map(|n| &n.kind), &node.kind),
            (Some(NodeKind::MapEntry(_)), NodeKind::MapExit { .. })
                | (Some(NodeKind::ConsumeEntry(_)), NodeKind::ConsumeExit { .. })
        );
        if !fits {
            return Err(Diagnostic::error("P0122", "a scope exit names a node that is not its entry")
                .at(format!("{id} `{}`", node.label))
                .with_note(format!("it names {entry}")));
        }
        if let Some(other) = exits[entry.0 as usize].replace(id) {
            return Err(Diagnostic::error("P0122", "a scope is closed twice")
                .at(format!("{entry} `{}`", state.nodes[entry].label))
                .with_note(format!("by {other} and by {id}")));
        }
    }
    let open = state.live_nodes().find(|(id, node)| {
        matches!(node.kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_))
            && exits[id.0 as usize].is_none()
    });
    match open {
        None => Ok(exits),
        Some((id, node)) => Err(Diagnostic::error("P0122", "a scope is never closed")
            .at(format!("{id} `{}`", node.label))
            .with_help("add the exit node of this map or consume scope")),
    }
}

fn crossing(state: &State, node: NodeId) -> Diagnostic {
    Diagnostic::error("P0121", "an edge crosses the border of a scope")
        .at(format!("{node} `{}`", state.nodes[node].label))
        .with_help("lead the edge through the scope's entry (IN_x, OUT_x) or exit")
}

fn scope_text(state: &State, scope: Option<NodeId>) -> String {
    match scope.and_then(|entry| state.nodes.get(entry).map(|node| (entry, node))) {
        None => "the top level of the state".to_owned(),
        Some((entry, node)) => format!("the scope of {entry} `{}`", node.label),
    }
}
