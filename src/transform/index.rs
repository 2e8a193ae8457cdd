//! What the editor knows about one state, kept up to date by its edits instead of computed anew.

use std::cell::RefCell;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use crate::analysis::ScopeTree;
use crate::entity::{EntityId, Name};
use crate::ir::{EdgeId, NodeId, NodeKind, State};

use super::order::Writers;

/// Adjacency, scopes, order and access nodes of one state.
///
/// Invariant: `key` is a topological order of the live nodes of the top level (an exit has its entry's key). Edits
/// only add edges from lower to higher keys, so the order stays one.
#[derive(Clone, Debug, Default)]
pub struct StateIndex {
    incoming: Vec<SmallVec<[EdgeId; 4]>>,
    outgoing: Vec<SmallVec<[EdgeId; 4]>>,
    parents: Vec<Option<NodeId>>,
    exits: Vec<Option<NodeId>>,
    keys: Vec<u32>,
    /// How many live nodes lie directly in the scope of an entry.
    sizes: Vec<u32>,
    /// Scopes of which it is known that the order inside an iteration follows from paths.
    settled: RefCell<HashSet<NodeId>>,
    /// Access nodes per container, in order of execution; some may be gone.
    accesses: HashMap<Name, Vec<NodeId>>,
    /// Whether conflicting accesses are joined by paths, once somebody asked.
    pub(super) explicit: Option<bool>,
    /// Who writes, per class of containers and position; known if the order is explicit.
    pub(super) writers: Writers,
}

impl StateIndex {
    /// The index of a state; `None` for one that the validator refuses.
    pub fn of(state: &State) -> Option<StateIndex> {
        let tree = ScopeTree::of(state).ok()?;
        StateIndex::with_order(state, &tree, tree.order())
    }

    /// The index of a state that is to run in this topological order of all its live nodes.
    pub fn with_order(state: &State, tree: &ScopeTree, order: &[NodeId]) -> Option<StateIndex> {
        let count = state.nodes.len();
        let mut index = StateIndex {
            incoming: vec![SmallVec::new(); count],
            outgoing: vec![SmallVec::new(); count],
            parents: vec![None; count],
            exits: vec![None; count],
            keys: vec![0; count],
            sizes: vec![0; count],
            ..StateIndex::default()
        };
        for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
            index.outgoing.get_mut(edge.src.index())?.push(id);
            index.incoming.get_mut(edge.dst.index())?.push(id);
        }
        for (position, &node) in order.iter().enumerate() {
            index.parents[node.index()] = tree.parent(node);
            if let Some(entry) = tree.parent(node) {
                index.sizes[entry.index()] += 1;
            }
            index.exits[node.index()] = tree.exit(node);
            index.keys[node.index()] = u32::try_from(position).ok()?;
            if let NodeKind::Access { data, .. } = state.nodes[node].kind {
                index.accesses.entry(data).or_default().push(node);
            }
        }
        // A scope is one unit: what is inside stands where its entry stands.
        for &node in order {
            if let Some(around) = tree.enclosing(node).last() {
                index.keys[node.index()] = index.keys[around.index()];
            }
        }
        Some(index)
    }

    /// Live edges into a node.
    pub fn incoming(&self, node: NodeId) -> &[EdgeId] {
        self.incoming.get(node.index()).map_or(&[], |list| list)
    }

    /// Live edges out of a node.
    pub fn outgoing(&self, node: NodeId) -> &[EdgeId] {
        self.outgoing.get(node.index()).map_or(&[], |list| list)
    }

    /// The entry of the scope around a node (of an exit: its own entry).
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.parents.get(node.index()).copied().flatten()
    }

    /// The exit of an entry.
    pub fn exit(&self, entry: NodeId) -> Option<NodeId> {
        self.exits.get(entry.index()).copied().flatten()
    }

    /// How many nodes lie directly in a scope, its exit included.
    pub fn size(&self, entry: NodeId) -> usize {
        self.sizes.get(entry.index()).map_or(0, |&size| size as usize)
    }

    pub(super) fn is_settled(&self, entry: NodeId) -> bool {
        self.settled.borrow().contains(&entry)
    }

    pub(super) fn set_settled(&self, entry: NodeId) {
        self.settled.borrow_mut().insert(entry);
    }

    fn unsettle(&mut self, src: NodeId, dst: NodeId) {
        let (around, above) = (self.parent(src), self.parent(dst));
        let settled = self.settled.get_mut();
        if !settled.is_empty() {
            for entry in [Some(src), around, above].into_iter().flatten() {
                settled.remove(&entry);
            }
        }
    }

    /// Position of the node's unit in the order of execution.
    pub fn key(&self, node: NodeId) -> u32 {
        self.keys.get(node.index()).copied().unwrap_or(0)
    }

    /// Access nodes of a container in order of execution; removed ones may be among them.
    pub fn accesses(&self, data: Name) -> &[NodeId] {
        self.accesses.get(&data).map_or(&[], |list| list)
    }

    /// Names of containers with access nodes, sorted.
    pub fn containers(&self) -> Vec<Name> {
        let mut names: Vec<Name> = self.accesses.keys().copied().collect();
        names.sort_unstable();
        names
    }

    pub(super) fn add_node(&mut self, node: NodeId, parent: Option<NodeId>, key: u32, data: Option<Name>) {
        let needed = node.index() + 1;
        if self.keys.len() < needed {
            self.incoming.resize(needed, SmallVec::new());
            self.outgoing.resize(needed, SmallVec::new());
            self.parents.resize(needed, None);
            self.exits.resize(needed, None);
            self.keys.resize(needed, 0);
            self.sizes.resize(needed, 0);
        }
        self.parents[node.index()] = parent;
        self.count(parent, 1);
        self.keys[node.index()] = key;
        if let Some(data) = data {
            let list = self.accesses.entry(data).or_default();
            list.push(node);
            // Lists are short or appended to in order, so this is cheap.
            let keys = &self.keys;
            if list.len() > 1 && keys[list[list.len() - 2].index()] > key {
                list.sort_by_key(|node| keys[node.index()]);
            }
        }
    }

    pub(super) fn set_place(&mut self, node: NodeId, parent: Option<NodeId>, key: u32) {
        if node.index() < self.keys.len() {
            self.count(self.parents[node.index()], -1);
            self.count(parent, 1);
            self.parents[node.index()] = parent;
            self.keys[node.index()] = key;
        }
    }

    pub(super) fn remove_node(&mut self, node: NodeId) {
        self.count(self.parent(node), -1);
    }

    fn count(&mut self, entry: Option<NodeId>, change: i32) {
        if let Some(size) = entry.and_then(|entry| self.sizes.get_mut(entry.index())) {
            *size = size.saturating_add_signed(change);
        }
    }

    pub(super) fn add_edge(&mut self, edge: EdgeId, src: NodeId, dst: NodeId) {
        self.unsettle(src, dst);
        if let Some(list) = self.outgoing.get_mut(src.index()) {
            list.push(edge);
        }
        if let Some(list) = self.incoming.get_mut(dst.index()) {
            list.push(edge);
        }
    }

    pub(super) fn remove_edge(&mut self, edge: EdgeId, src: NodeId, dst: NodeId) {
        self.unsettle(src, dst);
        if let Some(list) = self.outgoing.get_mut(src.index()) {
            list.retain(|known| *known != edge);
        }
        if let Some(list) = self.incoming.get_mut(dst.index()) {
            list.retain(|known| *known != edge);
        }
    }

    pub(super) fn forget_access(&mut self, node: NodeId, data: Name) {
        if let Some(list) = self.accesses.get_mut(&data)
            && let Ok(at) = list.binary_search_by_key(&self.keys[node.index()], |n| self.keys[n.index()])
        {
            // Several may share a key.
            let start = list[..at].iter().rposition(|n| self.keys[n.index()] != self.keys[node.index()]);
            let from = start.map_or(0, |start| start + 1);
            if let Some(offset) = list[from..].iter().position(|known| *known == node) {
                list.remove(from + offset);
            }
        }
    }
}
