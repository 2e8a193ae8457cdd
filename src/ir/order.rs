//! The one order in which a state runs its nodes.
//!
//! Components of a state run one after another; inside a component the order is depth first: a node runs
//! as soon as it is met from one of its predecessors and all of them have run. Ties go to stored order, of
//! nodes for sources and of edges for successors. This is the order in which DaCe emits code, and programs
//! that read and write one container through two access nodes of a state depend on it.
//!
//! A *component* is connected through anything but an access node without inputs: two maps that only read
//! the same array are two components, and the array's access node runs with the first of them.

use crate::diag::Diagnostic;

use super::node::Adjacency;
use super::{EdgeId, NodeId, NodeKind, State};

impl State {
    /// All live nodes in execution order.
    ///
    /// # Errors
    /// `P0120` when the dataflow has a cycle. Edges to nodes that do not exist are ignored here; the
    /// validator speaks about them.
    pub fn order(&self) -> Result<Vec<NodeId>, Diagnostic> {
        self.order_with(&self.adjacency())
    }

    /// [`State::order`] for callers that have the adjacency at hand.
    ///
    /// # Errors
    /// `P0120` when the dataflow has a cycle.
    pub fn order_with(&self, adjacency: &Adjacency) -> Result<Vec<NodeId>, Diagnostic> {
        Walk::new(self, adjacency).run()
    }
}

/// No component: an access node without inputs, which joins whoever comes first.
const UNASSIGNED: u32 = u32::MAX;

struct Walk<'a> {
    state: &'a State,
    adjacency: &'a Adjacency,
    live: Vec<bool>,
    /// Edges from nodes that have not run yet.
    waiting: Vec<u32>,
    component: Vec<u32>,
    done: Vec<bool>,
    order: Vec<NodeId>,
}

impl<'a> Walk<'a> {
    fn new(state: &'a State, adjacency: &'a Adjacency) -> Self {
        let count = state.nodes.len();
        let live: Vec<bool> = state.nodes.values().map(|n| !matches!(n.kind, NodeKind::Removed)).collect();
        let mut walk = Self {
            state,
            adjacency,
            live,
            waiting: vec![0; count],
            component: Vec::new(),
            done: vec![false; count],
            order: Vec::with_capacity(count),
        };
        for node in state.nodes.ids() {
            for &edge in adjacency.outgoing(node) {
                if let Some(target) = walk.target(edge) {
                    walk.waiting[target.0 as usize] += 1;
                }
            }
        }
        walk.component = walk.components();
        walk
    }

    fn run(mut self) -> Result<Vec<NodeId>, Diagnostic> {
        let sources: Vec<NodeId> =
            self.state.live_nodes().map(|(id, _)| id).filter(|id| self.waiting[id.0 as usize] == 0).collect();
        let starts = self.starts(&sources);
        let mut stack = Vec::new();
        for (_, source, component) in starts {
            self.depth_first(source, component, &mut stack);
        }
        for source in sources {
            if !self.done[source.0 as usize] {
                self.visit(source);
            }
        }
        let missing = self.state.live_nodes().find(|(id, _)| !self.done[id.0 as usize]);
        match missing {
            None => Ok(self.order),
            Some((id, node)) => Err(Diagnostic::error("P0120", "the dataflow of a state has a cycle")
                .at(format!("{id} `{}`", node.label))
                .with_note("this node waits for its own result, directly or through others")
                .with_help("break the cycle with a second access node, a second state or a loop")),
        }
    }

    /// Where the walk begins: sources with the components that they lead to, components in the order in which they are
    /// met first, which is their rank.
    fn starts(&self, sources: &[NodeId]) -> Vec<(u32, NodeId, u32)> {
        let mut starts: Vec<(u32, NodeId, u32)> = Vec::with_capacity(sources.len());
        let mut ranks = vec![UNASSIGNED; self.state.nodes.len()];
        let mut met = 0;
        let mut meet = |source: NodeId, component: u32| {
            let Some(rank) = ranks.get_mut(component as usize) else { return };
            if *rank == UNASSIGNED {
                *rank = met;
                met += 1;
            }
            starts.push((*rank, source, component));
        };
        for &source in sources {
            match self.component[source.0 as usize] {
                UNASSIGNED => {
                    for node in self.successors(source) {
                        meet(source, self.component[node.0 as usize]);
                    }
                }
                own => meet(source, own),
            }
        }
        // Sources are met in stored order.
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    fn depth_first(&mut self, source: NodeId, component: u32, stack: &mut Vec<(NodeId, usize)>) {
        if !self.done[source.0 as usize] {
            self.visit(source);
        }
        stack.push((source, 0));
        while let Some((node, next)) = stack.last_mut() {
            let edges = self.adjacency.outgoing(*node);
            let Some(&edge) = edges.get(*next) else {
                stack.pop();
                continue;
            };
            *next += 1;
            let Some(target) = self.target(edge) else { continue };
            let index = target.0 as usize;
            if !self.done[index] && self.waiting[index] == 0 && self.component[index] == component {
                self.visit(target);
                stack.push((target, 0));
            }
        }
    }

    fn visit(&mut self, node: NodeId) {
        self.done[node.0 as usize] = true;
        self.order.push(node);
        for &edge in self.adjacency.outgoing(node) {
            if let Some(target) = self.target(edge) {
                self.waiting[target.0 as usize] -= 1;
            }
        }
    }

    /// The smallest node index of each node's component.
    fn components(&self) -> Vec<u32> {
        let mut parent: Vec<u32> = (0..self.state.nodes.len() as u32).collect();
        let joins = |node: NodeId| {
            self.live[node.0 as usize]
                && (self.waiting[node.0 as usize] > 0
                    || !matches!(self.state.nodes[node].kind, NodeKind::Access { .. }))
        };
        for node in self.state.nodes.ids().filter(|&node| joins(node)) {
            for target in self.successors(node) {
                let (a, b) = (find(&mut parent, node.0), find(&mut parent, target.0));
                parent[a.max(b) as usize] = a.min(b);
            }
        }
        self.state
            .nodes
            .ids()
            .map(|node| if joins(node) { find(&mut parent, node.0) } else { UNASSIGNED })
            .collect()
    }

    fn successors(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let live = self.live.get(node.0 as usize).copied().unwrap_or(false);
        let edges = if live { self.adjacency.outgoing(node) } else { &[] };
        edges.iter().filter_map(|&edge| self.target(edge))
    }

    fn target(&self, edge: EdgeId) -> Option<NodeId> {
        let edge = self.state.edges.get(edge)?;
        let ends_live =
            [edge.src, edge.dst].map(|end| self.live.get(end.0 as usize).copied().unwrap_or(false));
        (ends_live == [true, true]).then_some(edge.dst)
    }
}

fn find(parent: &mut [u32], mut node: u32) -> u32 {
    while parent[node as usize] != node {
        let above = parent[parent[node as usize] as usize];
        parent[node as usize] = above;
        node = above;
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Name;
    use crate::ir::{Edge, Memlet, Node, Tasklet};

    fn state(kinds: &str, edges: &[(u32, u32)]) -> State {
        let mut state = State::default();
        for letter in kinds.chars() {
            let kind = match letter {
                'a' => NodeKind::Access { data: Name(0), setzero: false },
                '-' => NodeKind::Removed,
                _ => NodeKind::Tasklet(Tasklet::default()),
            };
            state.nodes.push(Node {
                label: String::new(),
                kind,
                inputs: Default::default(),
                outputs: Default::default(),
                extra: Default::default(),
            });
        }
        for &(src, dst) in edges {
            state.edges.push(Edge::new(NodeId(src), None, NodeId(dst), None, Memlet::default()));
        }
        state
    }

    fn order(kinds: &str, edges: &[(u32, u32)]) -> Vec<u32> {
        state(kinds, edges).order().unwrap().into_iter().map(|node| node.0).collect()
    }

    #[test]
    fn follows_edges_depth_first() {
        assert_eq!(order("attaa", &[(0, 1), (0, 2), (1, 3), (2, 4)]), [0, 1, 3, 2, 4]);
    }

    #[test]
    fn waits_for_the_last_predecessor() {
        assert_eq!(order("attta", &[(0, 1), (1, 3), (0, 2), (2, 3), (3, 4)]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn runs_components_one_after_another() {
        // Sources 0 and 2 belong to one component, source 1 to another.
        assert_eq!(order("aaatt", &[(0, 3), (1, 4), (2, 3)]), [0, 2, 3, 1, 4]);
    }

    #[test]
    fn ignores_edges_to_nowhere_and_tombstones() {
        assert_eq!(order("a-t", &[(0, 1), (0, 2), (2, 77)]), [0, 2]);
    }

    #[test]
    fn reports_a_cycle() {
        let cyclic = state("att", &[(0, 1), (1, 2), (2, 1)]);
        assert_eq!(cyclic.order().unwrap_err().code, "P0120");
    }
}
