//! States: nodes and edges of dataflow.
//!
//! Nodes are addressed by their position in the list; `id` repeats it and is not read. `scope_dict` repeats
//! the scopes and is not read either.

use serde_json::{Map, Value};

use crate::analysis::ScopeTree;
use crate::diag::{Diagnostic, Result};
use crate::ir::{Edge, Extra, NodeId, NodeKind, State};

use super::json::{
    Element, Within, keep, keep_beside, missing, optional_text, position, unexpected, unknown,
};
use super::node::{Position, ScopeLinks, entry_slot, is_pair, node_at};
use super::read::Reader;
use super::write::{Writer, object, set, with_beside};

impl Reader {
    /// A state from its lists of nodes and edges.
    pub(super) fn state(&mut self, nodes: Vec<Value>, edges: Vec<Value>) -> Result<State> {
        let mut state = State::default();
        let mut links = Vec::with_capacity(nodes.len());
        for (index, value) in nodes.into_iter().enumerate() {
            let (node, scope) = self.node(value).within(|| format!("nodes[{index}]"))?;
            state.nodes.push(node);
            links.push(scope);
        }
        pair(&mut state, &links)?;
        for (index, value) in edges.into_iter().enumerate() {
            let edge = self.edge(value, state.nodes.len()).within(|| format!("edges[{index}]"))?;
            state.edges.push(edge);
        }
        Ok(state)
    }

    fn edge(&mut self, value: Value, nodes: usize) -> Result<Edge> {
        let Element { class, attributes, beside } = Element::of(value)?;
        if class != "MultiConnectorEdge" {
            return Err(unknown("dataflow edge", &class, &["MultiConnectorEdge"]));
        }
        let mut extra = Extra::new();
        let mut memlet = None;
        for (key, value) in attributes {
            match key.as_str() {
                "data" => memlet = Some(self.memlet(value).within(|| key)?),
                _ => keep(&mut extra, key, value)?,
            }
        }
        let mut kept = Extra::new();
        let [mut src, mut dst] = [None, None];
        let [mut src_conn, mut dst_conn] = [None, None];
        for (key, value) in beside {
            match key.as_str() {
                "src" => src = Some(end(&value, nodes).within(|| key)?),
                "dst" => dst = Some(end(&value, nodes).within(|| key)?),
                "src_connector" => src_conn = optional_text(value).within(|| key)?,
                "dst_connector" => dst_conn = optional_text(value).within(|| key)?,
                _ => keep(&mut kept, key, value)?,
            }
        }
        keep_beside(&mut extra, kept);
        Ok(Edge {
            src: node_at(src.ok_or_else(|| missing("src"))?),
            src_conn: src_conn.map(|name| self.name(&name)),
            dst: node_at(dst.ok_or_else(|| missing("dst"))?),
            dst_conn: dst_conn.map(|name| self.name(&name)),
            memlet: memlet.ok_or_else(|| missing("data").at("attributes"))?,
            removed: false,
            extra,
        })
    }
}

/// The end of an edge among `count` nodes or blocks.
pub(super) fn end(value: &Value, count: usize) -> Result<usize> {
    let index = position(value)?.ok_or_else(|| unexpected("the number of a node", value))?;
    if index < count {
        return Ok(index);
    }
    Err(Diagnostic::error("P0101", format!("an edge ends at node {index}, which does not exist"))
        .with_note(format!("there are {count} nodes, counted from 0")))
}

/// Gives every exit its entry: the one it names, else the one that names it.
fn pair(state: &mut State, links: &[ScopeLinks]) -> Result<()> {
    let mut named_by = vec![None; links.len()];
    for (index, scope) in links.iter().enumerate() {
        let opens = state
            .nodes
            .get(node_at(index))
            .is_some_and(|node| matches!(node.kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_)));
        if let Some(slot) = scope.exit.filter(|_| opens).and_then(|exit| named_by.get_mut(exit)) {
            *slot = Some(index);
        }
    }
    for (index, scope) in links.iter().enumerate() {
        let id = node_at(index);
        let Some(node) = state.nodes.get(id) else { continue };
        if !matches!(node.kind, NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. }) {
            continue;
        }
        let entry = scope.entry.or(named_by[index]);
        let found = entry.map(node_at).and_then(|entry| Some((entry, state.nodes.get(entry)?)));
        let Some((entry, opening)) = found.filter(|(_, opening)| is_pair(&opening.kind, &node.kind)) else {
            let diagnostic = Diagnostic::error("P0103", "the exit of a scope has no entry")
                .at(format!("nodes[{index}] `{}`", node.label))
                .with_note("an exit names its entry in `scope_entry`, or the entry names it in `scope_exit`");
            return Err(match entry {
                Some(entry) => diagnostic.with_note(format!("node {entry} is no entry of its kind")),
                None => diagnostic,
            });
        };
        let label = opening.label.clone();
        if let Some(node) = state.nodes.get_mut(id) {
            node.label = label;
            if let Some(slot) = entry_slot(&mut node.kind) {
                *slot = entry;
            }
        }
    }
    Ok(())
}

impl Writer<'_> {
    /// Adds a state's own keys to its element.
    pub(super) fn state(&mut self, element: &mut Extra, state: &State) {
        let mut positions: Vec<Option<usize>> = vec![None; state.nodes.len()];
        for (position, (id, _)) in state.live_nodes().enumerate() {
            if let Some(slot) = positions.get_mut(id.0 as usize) {
                *slot = Some(position);
            }
        }
        let at = |id: NodeId| positions.get(id.0 as usize).copied().flatten();
        // Without a scope tree (a cycle, an edge that crosses scopes) the file still says what it can.
        let scopes = ScopeTree::of(state).ok();
        set(element, "scope_dict", scope_dict(state, scopes.as_ref(), &at));

        let mut nodes = Vec::with_capacity(state.nodes.len());
        for (id, node) in state.live_nodes() {
            let position = Position { id: nodes.len(), links: links(state, scopes.as_ref(), id, &at) };
            nodes.push(self.node(node, &position));
        }
        set(element, "nodes", nodes);

        let mut edges = Vec::with_capacity(state.edges.len());
        for edge in state.edges.values().filter(|edge| !edge.removed) {
            if let (Some(src), Some(dst)) = (at(edge.src), at(edge.dst)) {
                edges.push(self.edge(edge, src, dst));
            }
        }
        set(element, "edges", edges);
    }

    fn edge(&mut self, edge: &Edge, src: usize, dst: usize) -> Value {
        let mut attributes = Map::new();
        let memlet = self.memlet(&edge.memlet);
        set(&mut attributes, "data", memlet);
        let connector = |name: Option<_>| name.map_or(Value::Null, |name| self.name(name));
        let element = object([
            ("type", "MultiConnectorEdge".into()),
            ("attributes", super::write::with_extra(attributes, &edge.extra)),
            ("src", src.to_string().into()),
            ("dst", dst.to_string().into()),
            ("dst_connector", connector(edge.dst_conn)),
            ("src_connector", connector(edge.src_conn)),
        ]);
        with_beside(element, &edge.extra)
    }
}

/// What a node's element says about scopes: an entry names the scope around it and its own exit, an exit its
/// own entry and itself, any other node the scope around it.
fn links(
    state: &State,
    scopes: Option<&ScopeTree>,
    id: NodeId,
    at: &dyn Fn(NodeId) -> Option<usize>,
) -> ScopeLinks {
    let exit_of = |entry: NodeId| match scopes {
        Some(scopes) => scopes.exit(entry).and_then(at),
        None => state
            .live_nodes()
            .find(|(_, node)| crate::analysis::scopes::closed_entry(&node.kind) == Some(entry))
            .and_then(|(exit, _)| at(exit)),
    };
    let kind = state.nodes.get(id).map(|node| &node.kind);
    match kind {
        Some(NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry }) => {
            ScopeLinks { entry: at(*entry), exit: at(id) }
        }
        Some(NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_)) => {
            ScopeLinks { entry: scopes.and_then(|scopes| scopes.parent(id)).and_then(at), exit: exit_of(id) }
        }
        _ => {
            let entry = scopes.and_then(|scopes| scopes.parent(id));
            ScopeLinks { entry: entry.and_then(at), exit: entry.and_then(exit_of) }
        }
    }
}

/// `{"-1": nodes of the state, "3": nodes of the scope that node 3 opens, its exit included}`.
fn scope_dict(
    state: &State,
    scopes: Option<&ScopeTree>,
    at: &dyn Fn(NodeId) -> Option<usize>,
) -> Map<String, Value> {
    let mut dict = Map::new();
    let Some(scopes) = scopes else { return dict };
    let mut add = |key: String, members: &[NodeId], exit: Option<NodeId>| {
        let mut positions: Vec<usize> = members.iter().chain(&exit).filter_map(|&id| at(id)).collect();
        positions.sort_unstable();
        dict.insert(key, positions.into());
    };
    add("-1".into(), scopes.children(None), None);
    for (id, node) in state.live_nodes() {
        if matches!(node.kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_)) {
            let key = at(id).map_or_else(String::new, |position| position.to_string());
            add(key, scopes.children(Some(id)), scopes.exit(id));
        }
    }
    dict
}
