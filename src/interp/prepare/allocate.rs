//! When each transient of a graph gets its memory.
//!
//! `Persistent`, `External`, `Global`: when the graph is entered, but they keep what they hold. `Graph`: when
//! the graph is entered. `State`: when the state is entered. `Scope`: when the innermost scope that holds all
//! uses is entered, which is the graph for containers used in several states or by control flow. A container
//! whose size depends on a symbol that its own graph assigns is allocated by the states that use it.

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::analysis::ScopeTree;
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{BlockId, BlockKind, CodeExpr, Data, DataKind, Graph, Lifetime, NodeId, NodeKind, Program};

use super::names::assigned_symbols;

#[derive(Default)]
pub(super) struct Uses {
    pub at_entry: Vec<Name>,
    pub late: Vec<Name>,
    /// Containers per state and scope.
    pub in_scope: HashMap<(BlockId, Option<NodeId>), Vec<Name>>,
    /// Containers to look at again when a state is entered.
    pub refresh: HashMap<BlockId, Vec<Name>>,
    pub setzero: HashSet<Name>,
}

impl Uses {
    pub fn of(program: &Program, graph: &Graph) -> Result<Uses, Diagnostic> {
        let mut uses = Uses::default();
        let mut places: IndexMap<Name, Vec<(BlockId, Option<NodeId>)>> = IndexMap::new();
        let mut trees = HashMap::new();
        for (id, state) in graph.states() {
            let tree = ScopeTree::of(state)?;
            for (node, data) in state.live_nodes() {
                let NodeKind::Access { data, setzero } = data.kind else { continue };
                let root = root_container(program, graph, data);
                places.entry(root).or_default().push((id, tree.parent(node)));
                if setzero {
                    uses.setzero.insert(root);
                }
            }
            trees.insert(id, tree);
        }
        let by_control = read_by_control_flow(graph);
        let assigned = assigned_symbols(graph);
        for (&name, data) in graph.data.iter().filter(|(_, data)| data.transient) {
            let Some(places) = places.get(&name) else {
                uses.at_entry.push(name);
                continue;
            };
            let late = size_symbols(program, data).iter().any(|symbol| assigned.contains(symbol));
            let states: HashSet<BlockId> = places.iter().map(|&(state, _)| state).collect();
            let one_state = states.len() == 1 && !by_control.contains(&name);
            match (data.lifetime, places.first()) {
                (Lifetime::Scope, Some(&(state, _))) if one_state => {
                    let scope = trees.get(&state).and_then(|tree| common_scope(tree, places));
                    uses.in_scope.entry((state, scope)).or_default().push(name);
                }
                (Lifetime::State, _) if !late => {
                    let mut states: Vec<BlockId> = states.into_iter().collect();
                    states.sort_unstable();
                    for state in states {
                        uses.in_scope.entry((state, None)).or_default().push(name);
                    }
                }
                _ if late => {
                    uses.late.push(name);
                    let mut states: Vec<BlockId> = states.into_iter().collect();
                    states.sort_unstable();
                    for state in states {
                        uses.refresh.entry(state).or_default().push(name);
                    }
                }
                _ => uses.at_entry.push(name),
            }
        }
        Ok(uses)
    }

    pub fn in_scope(&self, state: BlockId, scope: Option<NodeId>) -> &[Name] {
        self.in_scope.get(&(state, scope)).map_or(&[], |list| list)
    }

    /// Whether the container lives in a scope inside a state, whose parameters its size may depend on.
    pub fn is_scoped(&self, name: Name) -> bool {
        self.in_scope.iter().any(|((_, scope), names)| scope.is_some() && names.contains(&name))
    }

    pub fn refresh(&self, state: BlockId) -> &[Name] {
        self.refresh.get(&state).map_or(&[], |list| list)
    }
}

/// The container that `structure.member` belongs to.
fn root_container(program: &Program, graph: &Graph, name: Name) -> Name {
    if graph.data.contains_key(&name) {
        return name;
    }
    let text = program.names.get(name);
    let root = text.split('.').next().and_then(|root| program.names.lookup(root));
    root.unwrap_or(name)
}

/// The innermost scope around all places.
fn common_scope(tree: &ScopeTree, places: &[(BlockId, Option<NodeId>)]) -> Option<NodeId> {
    let mut common: Option<Vec<NodeId>> = None;
    for &(_, scope) in places {
        // Scopes around this place, outermost first.
        let mut around: Vec<NodeId> =
            scope.into_iter().chain(scope.into_iter().flat_map(|entry| tree.enclosing(entry))).collect();
        around.reverse();
        common = Some(match common {
            None => around,
            Some(known) => {
                known.into_iter().zip(around).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
            }
        });
    }
    common.and_then(|scopes| scopes.last().copied())
}

fn read_by_control_flow(graph: &Graph) -> HashSet<Name> {
    let mut read = HashSet::new();
    let mut add = |expr: &CodeExpr| {
        if let Some(code) = &expr.code {
            read.extend(code.ports.values().map(|port| port.name));
        }
    };
    for region in graph.regions.values() {
        for edge in &region.edges {
            edge.condition.iter().for_each(&mut add);
            edge.assignments.iter().for_each(|(_, value)| add(value));
        }
    }
    for block in graph.blocks.values() {
        match &block.kind {
            BlockKind::Loop(inner) => {
                add(&inner.condition);
                inner.init.iter().chain(&inner.update).for_each(&mut add);
            }
            BlockKind::Conditional(branches) => {
                branches.iter().filter_map(|branch| branch.condition.as_ref()).for_each(&mut add);
            }
            _ => {}
        }
    }
    read
}

/// Symbols in the layout of a container, members included.
fn size_symbols(program: &Program, data: &Data) -> HashSet<Name> {
    let mut symbols = HashSet::new();
    let mut stack = vec![data];
    while let Some(data) = stack.pop() {
        let mut exprs: Vec<_> = data.shape().to_vec();
        if let Some(array) = data.array() {
            exprs.extend(array.strides.iter().chain(&array.offset));
            exprs.extend(array.total_size.iter().chain(&array.start_offset));
        }
        for expr in exprs {
            symbols.extend(program.exprs.free_symbols(expr));
        }
        match &data.kind {
            DataKind::Structure(inner)
            | DataKind::StructureView(inner)
            | DataKind::StructureReference(inner) => stack.extend(inner.members.iter().map(|(_, data)| data)),
            DataKind::ContainerArray { element, .. }
            | DataKind::ContainerView { element, .. }
            | DataKind::ContainerReference { element, .. } => stack.push(element),
            _ => {}
        }
    }
    symbols
}
