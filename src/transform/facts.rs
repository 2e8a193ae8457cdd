//! What the editor knows about one graph: who uses which container, and which containers share memory.

use hashbrown::{HashMap, HashSet};

use crate::entity::{Name, Names};
use crate::ir::{Graph, NodeKind, State, Subset};
use crate::symbolic::{ExprId, ExprPool};

/// Uses and aliases of a graph's containers.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Access nodes per container, in all states.
    pub(super) access_nodes: HashMap<Name, u32>,
    /// Containers that expressions of dataflow read without an access node.
    read_by_expressions: HashSet<Name>,
    /// Containers that control flow reads.
    read_by_control: HashSet<Name>,
    /// One name for all containers that may share memory; absent for those that share with nobody.
    class: HashMap<Name, Name>,
}

impl Facts {
    /// The facts of `graph`. `aliases` are pairs of its arguments that the node around it connects to one container.
    pub(super) fn of(names: &Names, exprs: &ExprPool, graph: &Graph, aliases: &[(Name, Name)]) -> Facts {
        let mut facts = Facts::default();
        let mut seen: HashSet<ExprId> = HashSet::new();
        let mut classes = Classes::default();
        let mut last_aliasing: Option<Name> = None;
        for (&name, data) in &graph.data {
            let may_alias = data.array().is_some_and(|array| array.may_alias);
            if may_alias && let Some(before) = last_aliasing.replace(name) {
                classes.join(before, name);
            }
            for &size in data.shape() {
                facts.expression(graph, exprs, &mut seen, size);
            }
        }
        for &(a, b) in aliases {
            classes.join(a, b);
        }
        for (_, state) in graph.states() {
            facts.state(graph, names, exprs, state, &mut seen, &mut classes);
        }
        facts.control_flow(graph);
        let members: Vec<Name> = classes.parent.keys().copied().collect();
        facts.class = members.into_iter().map(|name| (name, classes.find(name))).collect();
        facts
    }

    /// The name that stands for all containers that may share memory with this one.
    pub fn class(&self, name: Name) -> Name {
        self.class.get(&name).copied().unwrap_or(name)
    }

    /// Whether a container shares memory with another one.
    pub fn is_shared(&self, name: Name) -> bool {
        self.class.contains_key(&name)
    }

    /// Whether control flow or an expression reads the container by name.
    pub fn is_read_by_name(&self, name: Name) -> bool {
        self.is_read_by_expression(name) || self.read_by_control.contains(&name)
    }

    /// Whether a size, a range, a subset or a symbol mapping reads the container by name.
    pub fn is_read_by_expression(&self, name: Name) -> bool {
        self.read_by_expressions.contains(&name)
    }

    /// How many access nodes name the container.
    pub fn access_nodes(&self, name: Name) -> u32 {
        self.access_nodes.get(&name).copied().unwrap_or(0)
    }

    fn state(
        &mut self,
        graph: &Graph,
        names: &Names,
        exprs: &ExprPool,
        state: &State,
        seen: &mut HashSet<ExprId>,
        classes: &mut Classes,
    ) {
        for (_, node) in state.live_nodes() {
            match &node.kind {
                NodeKind::Access { data, .. } => {
                    *self.access_nodes.entry(*data).or_default() += 1;
                    // `a.b` lies in `a`.
                    if let Some((root, _)) = names.get(*data).split_once('.')
                        && let Some(root) = names.lookup(root)
                    {
                        classes.join(root, *data);
                        *self.access_nodes.entry(root).or_default() += 1;
                    }
                }
                NodeKind::MapEntry(map) => self.subset(graph, exprs, seen, &map.range),
                NodeKind::Nested(nested) => {
                    for &value in nested.symbol_mapping.values() {
                        self.expression(graph, exprs, seen, value);
                    }
                }
                _ => {}
            }
        }
        for (_, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
            for subset in edge.memlet.subset.iter().chain(&edge.memlet.other_subset) {
                self.subset(graph, exprs, seen, subset);
            }
            // Whatever a view or reference is joined to may be what it shows.
            let ends = [edge.src, edge.dst].map(|end| match state.nodes.get(end).map(|node| &node.kind) {
                Some(NodeKind::Access { data, .. }) => Some(*data),
                _ => None,
            });
            let names = ends.iter().flatten().chain(&edge.memlet.data);
            let is_alias =
                |name: &Name| graph.data.get(name).is_some_and(|data| data.is_view() || data.is_reference());
            let names: Vec<Name> = names.copied().collect();
            if names.iter().any(is_alias) {
                names.windows(2).for_each(|pair| classes.join(pair[0], pair[1]));
            }
        }
    }

    fn subset(&mut self, graph: &Graph, exprs: &ExprPool, seen: &mut HashSet<ExprId>, subset: &Subset) {
        for range in &subset.ranges {
            for expr in [range.start, range.end, range.step] {
                self.expression(graph, exprs, seen, expr);
            }
        }
    }

    fn expression(&mut self, graph: &Graph, exprs: &ExprPool, seen: &mut HashSet<ExprId>, expr: ExprId) {
        if exprs.as_int(expr).is_none() && seen.insert(expr) {
            let read = exprs.free_symbols(expr).into_iter().filter(|name| graph.data.contains_key(name));
            self.read_by_expressions.extend(read);
        }
    }

    fn control_flow(&mut self, graph: &Graph) {
        let read = &mut self.read_by_control;
        for code in graph.control_code() {
            match &code.code {
                Some(lowered) => {
                    read.extend(lowered.ports.values().map(|port| port.name));
                    read.extend(lowered.symbols.iter().map(|(name, _)| *name));
                }
                None if code.text.text.trim().is_empty() => {}
                // Not lowered: it may read anything.
                None => read.extend(graph.data.keys()),
            }
        }
    }
}

/// Union of names.
#[derive(Default)]
struct Classes {
    parent: HashMap<Name, Name>,
}

impl Classes {
    fn find(&mut self, name: Name) -> Name {
        let mut root = name;
        while let Some(&above) = self.parent.get(&root).filter(|&&above| above != root) {
            root = above;
        }
        self.parent.insert(name, root);
        root
    }

    fn join(&mut self, a: Name, b: Name) {
        let (a, b) = (self.find(a), self.find(b));
        // The smaller name stands for both, whatever the order of joining was.
        self.parent.insert(a.max(b), a.min(b));
        self.parent.insert(a.min(b), a.min(b));
    }
}
