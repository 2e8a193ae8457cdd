//! Walks dataflow: states, scopes, nodes, and what edges touch.

use hashbrown::HashMap;

use crate::analysis::{MemletPaths, ScopeTree};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{Adjacency, BlockId, EdgeId, NestedGraph, NodeId, NodeKind, Range, Schedule, State, Subset};

use super::walk::{GraphScope, Targets, Walker};

/// A state with the answers to questions about its graph.
struct StateScope<'p> {
    block: BlockId,
    state: &'p State,
    tree: ScopeTree,
    paths: MemletPaths,
    adjacency: Adjacency,
}

impl<'p> Walker<'p> {
    pub fn state(
        &mut self,
        scope: &mut GraphScope<'p>,
        block: BlockId,
        state: &'p State,
    ) -> Result<(), Diagnostic> {
        // Each state is walked once.
        let tree = match scope.uses.scopes.remove(&block) {
            Some(known) => known,
            None => ScopeTree::of(state)?,
        };
        let inside = StateScope {
            block,
            state,
            tree,
            paths: MemletPaths::of(state, &self.program.names),
            adjacency: state.adjacency(),
        };
        self.nodes(scope, &inside, None)
    }

    /// The nodes of a scope, in order.
    fn nodes(
        &mut self,
        scope: &mut GraphScope<'p>,
        cx: &StateScope<'p>,
        entry: Option<NodeId>,
    ) -> Result<(), Diagnostic> {
        let taken = scope.uses.in_scope.get(&(cx.block, entry)).cloned().unwrap_or_default();
        for name in taken {
            self.declare(scope, name);
        }
        cx.tree.children(entry).iter().try_for_each(|&node| self.node(scope, cx, node))
    }

    fn node(
        &mut self,
        scope: &mut GraphScope<'p>,
        cx: &StateScope<'p>,
        id: NodeId,
    ) -> Result<(), Diagnostic> {
        let Some(node) = cx.state.nodes.get(id) else { return Ok(()) };
        self.timeline.step();
        if let NodeKind::Access { data, .. } = node.kind {
            self.touch(scope, data);
        }
        for &edge in cx.adjacency.incoming(id).iter().chain(cx.adjacency.outgoing(id)) {
            self.edge(scope, cx, edge);
        }
        match &node.kind {
            NodeKind::MapEntry(map) => {
                self.read_subset(scope, &map.range);
                let parallel = match &map.schedule {
                    Schedule::Sequential => false,
                    Schedule::Other(name) => !matches!(&**name, "Sequential" | "Unrolled"),
                    Schedule::Default | Schedule::Parallel => true,
                };
                let mut names = map.params.clone();
                names.extend(
                    cx.adjacency.incoming(id).iter().filter_map(|&edge| cx.state.edges[edge].dst_conn),
                );
                self.around(scope, cx, id, parallel, &names)
            }
            NodeKind::ConsumeEntry(consume) => {
                let names: Vec<Name> = consume.pe_index.into_iter().collect();
                self.around(scope, cx, id, true, &names)
            }
            NodeKind::Nested(nested) => self.nested(scope, cx, id, nested),
            _ => Ok(()),
        }
    }

    /// A scope as a loop.
    fn around(
        &mut self,
        scope: &mut GraphScope<'p>,
        cx: &StateScope<'p>,
        entry: NodeId,
        parallel: bool,
        params: &[Name],
    ) -> Result<(), Diagnostic> {
        let hidden = Self::hide(scope, params);
        self.timeline.open_loop(parallel);
        let result = self.deeper(|walker| walker.nodes(scope, cx, Some(entry)));
        self.timeline.close_loop();
        Self::show(scope, hidden);
        result
    }

    /// Everything that an edge moves or looks at is touched.
    fn edge(&mut self, scope: &mut GraphScope<'p>, cx: &StateScope<'p>, id: EdgeId) {
        for name in containers_of(cx.state, &cx.paths, id) {
            self.touch(scope, name);
        }
        let memlet = &cx.state.edges[id].memlet;
        for subset in memlet.subset.iter().chain(&memlet.other_subset) {
            self.read_subset(scope, subset);
        }
    }

    fn read_subset(&mut self, scope: &mut GraphScope<'p>, subset: &Subset) {
        for &Range { start, end, step, tile } in &subset.ranges {
            for expr in [start, end, step, tile] {
                self.read(scope, expr);
            }
        }
    }

    fn nested(
        &mut self,
        scope: &mut GraphScope<'p>,
        cx: &StateScope<'p>,
        id: NodeId,
        nested: &'p NestedGraph,
    ) -> Result<(), Diagnostic> {
        let Some(graph) = nested.graph.and_then(|graph| self.program.graphs.get(graph)) else {
            return Ok(());
        };
        for &value in nested.symbol_mapping.values() {
            self.read(scope, value);
        }
        let mut names: HashMap<Name, Targets> = HashMap::new();
        let sides = [(cx.adjacency.incoming(id), false), (cx.adjacency.outgoing(id), true)];
        for (edges, writes) in sides {
            for &edge_id in edges {
                let edge = &cx.state.edges[edge_id];
                let Some(connector) = (if writes { edge.src_conn } else { edge.dst_conn }) else { continue };
                let entry = names.entry(connector).or_default();
                for name in containers_of(cx.state, &cx.paths, edge_id) {
                    add(entry, self.targets(scope, name));
                }
            }
        }
        let symbols = self.inner_symbols(scope, nested.symbol_mapping.iter(), graph);
        let inner = nested.graph;
        self.deeper(|walker| match inner {
            Some(inner) => walker.graph(inner, names, symbols, false),
            None => Ok(()),
        })
    }

    /// What views look at, and which containers references may point to.
    pub fn aliases(&mut self, scope: &mut GraphScope<'p>) {
        let graph = scope.graph;
        let mut leads: Vec<(Name, Name)> = Vec::new();
        let mut escaped: Vec<Name> = Vec::new();
        for (_, state) in graph.states() {
            let paths = MemletPaths::of(state, &self.program.names);
            for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
                let ends = containers_of(state, &paths, id);
                if edge.dst_conn.is_some_and(|name| self.program.names.get(name) == "set") {
                    escaped.extend(&ends);
                }
                for &end in &ends {
                    if graph.data.get(&end).is_some_and(|data| data.is_view()) {
                        leads.extend(ends.iter().filter(|&&other| other != end).map(|&other| (end, other)));
                    }
                }
            }
        }
        // A view of a view looks at what that one looks at.
        loop {
            let mut grown = false;
            for &(view, other) in &leads {
                let targets = Targets::from_slice(self.targets(scope, other));
                grown |= add(scope.names.entry(view).or_default(), &targets);
            }
            if !grown {
                break;
            }
        }
        for name in escaped {
            for &index in self.targets(scope, name) {
                self.timeline.escape(index);
            }
        }
    }
}

/// Containers that an edge touches: the one its memlet names and those at both ends of its path.
fn containers_of(state: &State, paths: &MemletPaths, id: EdgeId) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    let edge = &state.edges[id];
    if edge.memlet.is_empty() && edge.src_conn.is_none() && edge.dst_conn.is_none() {
        return names;
    }
    names.extend(edge.memlet.data);
    let mut ends = vec![state.edges[paths.first(id)].src];
    ends.extend(paths.last(id).into_iter().map(|last| state.edges[last].dst));
    for end in ends {
        if let Some(NodeKind::Access { data, .. }) = state.nodes.get(end).map(|node| &node.kind)
            && !names.contains(data)
        {
            names.push(*data);
        }
    }
    names
}

/// Adds targets; whether there was a new one.
fn add(set: &mut Targets, more: &[usize]) -> bool {
    let before = set.len();
    for &index in more {
        if !set.contains(&index) {
            set.push(index);
        }
    }
    set.len() > before
}
