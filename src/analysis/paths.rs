//! Memlet paths: where data comes from and goes to through the borders of scopes.
//!
//! An edge into connector `IN_x` of a scope entry or exit goes on in the edges out of `OUT_x` of the same
//! node. Following such pairs both ways gives a tree: one source, and one sink per leaf. Connectors with
//! other names end a path (a map's dynamic range inputs).

use hashbrown::HashMap;

use crate::entity::{Name, Names};
use crate::ir::{EdgeId, NodeId, NodeKind, State};

/// The continuation of every edge of a state through scope borders.
#[derive(Clone, Debug, Default)]
pub struct MemletPaths {
    previous: Vec<Option<EdgeId>>,
    next: Vec<Vec<EdgeId>>,
}

impl MemletPaths {
    /// The paths of `state`; linear in its size.
    pub fn of(state: &State, names: &Names) -> MemletPaths {
        let mut inputs: HashMap<(NodeId, Name), Vec<EdgeId>> = HashMap::new();
        let mut paths = MemletPaths {
            previous: vec![None; state.edges.len()],
            next: vec![Vec::new(); state.edges.len()],
        };
        let live = || state.edges.iter().filter(|(_, edge)| !edge.removed);
        for (id, edge) in live() {
            if let Some(connector) = edge.dst_conn.filter(|_| is_border(state, edge.dst)) {
                inputs.entry((edge.dst, connector)).or_default().push(id);
            }
        }
        for (id, edge) in live() {
            let Some(connector) = edge.src_conn.filter(|_| is_border(state, edge.src)) else { continue };
            let Some(input) = input_of(names, connector) else { continue };
            // Several edges may meet in one connector; they all go on, and the first one is the way back.
            for &before in inputs.get(&(edge.src, input)).map_or(&[][..], |list| list) {
                paths.previous[id.0 as usize].get_or_insert(before);
                paths.next[before.0 as usize].push(id);
            }
        }
        paths
    }

    /// The edge before this one: the one into `IN_x` when this one leaves `OUT_x`.
    pub fn previous(&self, edge: EdgeId) -> Option<EdgeId> {
        self.previous.get(edge.0 as usize).copied().flatten()
    }

    /// The edges after this one: those out of `OUT_x` when this one enters `IN_x`.
    pub fn next(&self, edge: EdgeId) -> &[EdgeId] {
        self.next.get(edge.0 as usize).map_or(&[], |list| list)
    }

    /// The first edge of the path that leads to this one: its source node is where the data comes from.
    pub fn first(&self, edge: EdgeId) -> EdgeId {
        // A path is at most as long as there are edges; the bound stops on malformed, cyclic states.
        let mut first = edge;
        for _ in 0..self.previous.len() {
            let Some(before) = self.previous(first) else { break };
            first = before;
        }
        first
    }

    /// The last edges reachable from this one, in stored order along the tree: their target nodes are where
    /// the data goes to.
    pub fn last(&self, edge: EdgeId) -> Vec<EdgeId> {
        let mut last = Vec::new();
        let mut seen = 0;
        let mut stack = vec![edge];
        while let Some(edge) = stack.pop() {
            seen += 1;
            if seen > self.next.len() {
                break;
            }
            match self.next(edge) {
                [] => last.push(edge),
                onward => stack.extend(onward.iter().rev()),
            }
        }
        last
    }

    /// The path from the source to this edge and on, along the first continuation, to a sink.
    pub fn through(&self, edge: EdgeId) -> Vec<EdgeId> {
        let mut path = vec![self.first(edge)];
        let mut backwards = Vec::new();
        let mut at = edge;
        while at != path[0] && backwards.len() <= self.previous.len() {
            backwards.push(at);
            let Some(before) = self.previous(at) else { break };
            at = before;
        }
        path.extend(backwards.into_iter().rev());
        while let Some(&onward) = path.last().and_then(|&last| self.next(last).first()) {
            if path.len() > self.next.len() {
                break;
            }
            path.push(onward);
        }
        path
    }
}

/// `OUT_x` for `IN_x`, if anybody uses that name.
pub fn output_of(names: &Names, input: Name) -> Option<Name> {
    names.get(input).strip_prefix("IN_").and_then(|stem| names.lookup(&format!("OUT_{stem}")))
}

/// `IN_x` for `OUT_x`, if anybody uses that name.
pub fn input_of(names: &Names, output: Name) -> Option<Name> {
    names.get(output).strip_prefix("OUT_").and_then(|stem| names.lookup(&format!("IN_{stem}")))
}

fn is_border(state: &State, node: NodeId) -> bool {
    state.nodes.get(node).is_some_and(|node| {
        matches!(
            node.kind,
            NodeKind::MapEntry(_)
                | NodeKind::MapExit { .. }
                | NodeKind::ConsumeEntry(_)
                | NodeKind::ConsumeExit { .. }
        )
    })
}
