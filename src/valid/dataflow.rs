//! Nodes, edges, connectors and scopes of a state.

use hashbrown::{HashMap, HashSet};

use crate::analysis::scopes::closed_entry;
use crate::analysis::{MemletPaths, ScopeTree};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{Adjacency, DataKind, EdgeId, Graph, Map, Node, NodeId, NodeKind, State};

use super::names::{Scope, check_size};
use super::{Validator, code, memlets, nested};

/// Checks a state.
pub(super) fn check(validator: &mut Validator<'_>, graph: &Graph, state: &State, scope: &Scope) {
    if !ends_exist(validator, state) {
        return;
    }
    if let Err(finding) = ScopeTree::of(state) {
        return validator.report(finding);
    }
    let adjacency = state.adjacency();
    let paths = MemletPaths::of(state, &validator.program.names);
    for (id, node) in state.live_nodes() {
        validator.place.push(validator.node_text(id, node));
        let view = NodeView { graph, state, adjacency: &adjacency, id, node };
        check_node(validator, &view, scope);
        validator.place.pop();
    }
    for (id, _) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
        memlets::check(validator, graph, state, &paths, id, scope);
    }
}

/// A node with its surroundings.
pub(super) struct NodeView<'a> {
    pub graph: &'a Graph,
    pub state: &'a State,
    pub adjacency: &'a Adjacency,
    pub id: NodeId,
    pub node: &'a Node,
}

impl NodeView<'_> {
    pub fn incoming(&self) -> &[EdgeId] {
        self.adjacency.incoming(self.id)
    }

    pub fn outgoing(&self) -> &[EdgeId] {
        self.adjacency.outgoing(self.id)
    }
}

fn ends_exist(validator: &mut Validator<'_>, state: &State) -> bool {
    let mut all = true;
    for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
        for end in [edge.src, edge.dst] {
            let exists = state.nodes.get(end).is_some_and(|node| !matches!(node.kind, NodeKind::Removed));
            if !exists {
                validator.error("P0101", format!("{id} ends at {end}, which does not exist"));
                all = false;
            }
        }
    }
    all
}

fn check_node(validator: &mut Validator<'_>, view: &NodeView<'_>, scope: &Scope) {
    connectors_exist(validator, view);
    match &view.node.kind {
        NodeKind::Access { data, .. } => access(validator, view, *data),
        NodeKind::Tasklet(tasklet) => {
            inputs_have_one_edge(validator, view);
            outputs_have_edges(validator, view);
            code::check_tasklet(validator, view, scope, tasklet);
        }
        NodeKind::Nested(graph) => {
            inputs_have_one_edge(validator, view);
            nested::check(validator, view, graph);
        }
        NodeKind::Library(_) => inputs_have_one_edge(validator, view),
        NodeKind::MapEntry(map) => {
            map_entry(validator, view, scope, map);
            border_connectors(validator, view);
        }
        NodeKind::ConsumeEntry(consume) => {
            if let Some(condition) = &consume.condition {
                code::check_expression(validator, view.graph, scope, condition);
            }
            let streams = view.incoming().iter().filter(|&&edge| {
                let data = view.state.edges.get(edge).and_then(|edge| edge.memlet.data);
                let data = data.and_then(|name| validator.container(view.graph, name));
                data.is_some_and(|data| matches!(data.kind, DataKind::Stream(_)))
            });
            if streams.count() == 0 {
                validator.error("P0110", "a consume scope takes from no stream");
            }
            border_connectors(validator, view);
        }
        NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. } => border_connectors(validator, view),
        NodeKind::Removed => {}
    }
}

fn connectors_exist(validator: &mut Validator<'_>, view: &NodeView<'_>) {
    let is_access = matches!(view.node.kind, NodeKind::Access { .. });
    // Library nodes such as reductions take their one input without a connector.
    let is_code = matches!(view.node.kind, NodeKind::Tasklet(_) | NodeKind::Nested(_));
    let sides = [(view.incoming(), true), (view.outgoing(), false)];
    for (edges, enters) in sides {
        for &id in edges {
            let Some(edge) = view.state.edges.get(id) else { continue };
            let connector = if enters { edge.dst_conn } else { edge.src_conn };
            let list = if enters { &view.node.inputs } else { &view.node.outputs };
            match connector {
                Some(name) if !is_access && !list.contains_key(&name) => {
                    let side = if enters { "input" } else { "output" };
                    let text = format!("the node has no {side} connector `{}`", validator.text(name));
                    validator.report(Diagnostic::error("P0123", text).at(id.to_string()));
                }
                Some(name) if is_code && edge.memlet.is_empty() => {
                    let text = format!("the edge at connector `{}` has no data", validator.text(name));
                    validator.report(Diagnostic::error("P0107", text).at(id.to_string()));
                }
                None if is_code && !edge.memlet.is_empty() => {
                    let finding = Diagnostic::error("P0107", "an edge with data ends at no connector")
                        .at(id.to_string())
                        .with_help("name the connector, or remove the memlet's container");
                    validator.report(finding);
                }
                _ => {}
            }
        }
    }
}

fn inputs_have_one_edge(validator: &mut Validator<'_>, view: &NodeView<'_>) {
    let mut count: HashMap<Name, usize> = HashMap::new();
    for &id in view.incoming() {
        let connector = view.state.edges.get(id).and_then(|edge| edge.dst_conn);
        *count.entry(connector.unwrap_or(Name(u32::MAX))).or_default() += 1;
    }
    for &name in view.node.inputs.keys() {
        let text = validator.text(name);
        match count.get(&name).copied().unwrap_or(0) {
            0 => {
                // An input that is also an output may be reached through the output's edge alone.
                let is_both = view.node.outputs.contains_key(&name);
                if !is_both {
                    validator.error("P0108", format!("input `{text}` has no edge"));
                }
            }
            1 => {}
            n => validator.error("P0108", format!("input `{text}` has {n} edges")),
        }
    }
}

fn outputs_have_edges(validator: &mut Validator<'_>, view: &NodeView<'_>) {
    let used: HashSet<Name> =
        view.outgoing().iter().filter_map(|&id| view.state.edges.get(id)?.src_conn).collect();
    for &name in view.node.outputs.keys().filter(|name| !used.contains(*name)) {
        let text = format!("output `{}` has no edge: what is written to it is lost", validator.text(name));
        validator.report(Diagnostic::warning("P0108", text));
    }
}

/// `IN_x` goes on as `OUT_x`, and each input of an entry has one edge.
fn border_connectors(validator: &mut Validator<'_>, view: &NodeView<'_>) {
    let names = &validator.program.names;
    let mut unpaired = Vec::new();
    for &name in view.node.outputs.keys() {
        if let Some(stem) = validator.text(name).strip_prefix("OUT_") {
            let partner = names.lookup(&format!("IN_{stem}"));
            if !partner.is_some_and(|partner| view.node.inputs.contains_key(&partner)) {
                unpaired.push((name, format!("IN_{stem}")));
            }
        }
    }
    for (name, partner) in unpaired {
        let used = view.outgoing().iter().any(|&id| {
            view.state
                .edges
                .get(id)
                .is_some_and(|edge| edge.src_conn == Some(name) && !edge.memlet.is_empty())
        });
        if used {
            let text = format!("`{}` has no partner `{partner}`", validator.text(name));
            validator.report(
                Diagnostic::error("P0124", text).with_help("what leaves a border has to enter it as well"),
            );
        }
    }
    if closed_entry(&view.node.kind).is_some() {
        return;
    }
    let mut seen = HashSet::new();
    for &id in view.incoming() {
        let Some(connector) = view.state.edges.get(id).and_then(|edge| edge.dst_conn) else { continue };
        if !seen.insert(connector) {
            let text = format!("input `{}` has two edges", validator.text(connector));
            validator.error("P0108", text);
        }
    }
}

fn map_entry(validator: &mut Validator<'_>, view: &NodeView<'_>, scope: &Scope, map: &Map) {
    if map.params.len() != map.range.ranges.len() {
        let note = format!("found {} parameters, {} ranges", map.params.len(), map.range.ranges.len());
        validator
            .report(Diagnostic::error("P0109", "a map has as many ranges as parameters").with_note(note));
    }
    let mut seen = HashSet::new();
    for &param in &map.params {
        if !seen.insert(param) {
            validator.error("P0109", format!("parameter `{}` stands twice", validator.text(param)));
        }
        if view.graph.data.contains_key(&param) {
            let text = format!("parameter `{}` is also a container", validator.text(param));
            validator.report(Diagnostic::warning("P0114", text));
        }
    }
    let one = validator.exprs.int(1);
    for range in &map.range.ranges {
        for end in [range.start, range.end, range.step] {
            check_size(validator, scope, end, &|| "range".to_owned());
        }
        if validator.less_than(range.step, one) {
            validator.report(
                Diagnostic::error("P0127", "a map's step is not positive")
                    .with_help("count upwards, and compute the descending index inside"),
            );
        }
    }
}

fn access(validator: &mut Validator<'_>, view: &NodeView<'_>, name: Name) {
    let Some(data) = validator.container(view.graph, name) else {
        let text = format!("there is no container `{}`", validator.text(name));
        let finding = Diagnostic::error("P0102", text).with_help("declare it, or rename the access node");
        return validator.report(finding);
    };
    if data.is_view() && view.incoming().is_empty() && view.outgoing().is_empty() {
        validator.error("P0129", "a view has nothing to view");
    }
    if data.is_reference() && data.transient {
        let set = validator.program.names.lookup("set");
        let is_set = view.graph.states().any(|(_, state)| {
            state.edges.values().any(|edge| {
                !edge.removed
                    && edge.dst_conn.is_some()
                    && edge.dst_conn == set
                    && matches!(state.nodes.get(edge.dst).map(|n| &n.kind), Some(NodeKind::Access { data, .. }) if *data == name)
            })
        });
        if !is_set {
            validator.report(
                Diagnostic::warning("P0130", "a reference is used that is set nowhere")
                    .with_help("lead an edge into its connector `set`"),
            );
        }
    }
}
