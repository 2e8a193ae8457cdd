//! When each container of a graph gets its memory.
//!
//! A transient is taken when the innermost scope around all its uses is entered: a map scope, a state, or the
//! graph, which is the scope of what several states or control flow use. A container whose size depends on a
//! symbol that its own graph assigns is taken by the states that use it, from the instance, so that its
//! content survives from one state to the next.

use hashbrown::{HashMap, HashSet};
use indexmap::{IndexMap, IndexSet};

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::properties::as_number;
use crate::ir::{BlockId, BlockKind, Data, DataKind, Graph, Lifetime, NodeId, NodeKind, Program, State};
use crate::symbolic::ExprId;

use super::ScopeTree;

/// Where the containers of a graph are used.
#[derive(Debug, Default)]
pub struct Uses {
    /// Taken when the graph is entered.
    pub at_entry: Vec<Name>,
    /// Taken when a state or a scope of it is entered.
    pub in_scope: HashMap<(BlockId, Option<NodeId>), Vec<Name>>,
    /// Looked at again when a state is entered.
    pub late: HashMap<BlockId, Vec<Name>>,
    /// Cleared when taken.
    pub setzero: HashSet<Name>,
    /// Symbols that control flow assigns.
    pub assigned: IndexSet<Name>,
    /// Containers that some node may write.
    pub written: HashSet<Name>,
    /// Containers into which the graph only accumulates: what they start from is what nobody wrote. It has to be the
    /// same in every run, though.
    pub accumulated: HashSet<Name>,
    /// The scopes of each state.
    pub scopes: HashMap<BlockId, ScopeTree>,
}

impl Uses {
    /// Where the containers of `graph` are used.
    ///
    /// # Errors
    /// A state without a scope tree.
    pub fn of(program: &Program, graph: &Graph) -> Result<Uses, Diagnostic> {
        let mut uses = Uses { assigned: assigned_symbols(graph), ..Uses::default() };
        let mut places: IndexMap<Name, Vec<(BlockId, Option<NodeId>)>> = IndexMap::new();
        let mut set: HashSet<Name> = HashSet::new();
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
            for (_, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed && !edge.memlet.is_empty()) {
                if let Some(NodeKind::Access { data, .. }) = state.nodes.get(edge.dst).map(|node| &node.kind)
                {
                    let root = root_container(program, graph, *data);
                    uses.written.insert(root);
                    if edge.memlet.wcr.is_some() || is_fold_without_identity(state, edge.src) {
                        uses.accumulated.insert(root);
                    } else {
                        set.insert(root);
                    }
                }
            }
            uses.scopes.insert(id, tree);
        }
        uses.accumulated.retain(|name| !set.contains(name));
        let by_control = read_by_control_flow(graph);
        for (&name, data) in graph.data.iter().filter(|(_, data)| data.transient) {
            let Some(places) = places.get(&name) else {
                if by_control.contains(&name) {
                    uses.at_entry.push(name);
                }
                continue;
            };
            let late = layout_exprs(data).iter().any(|&expr| {
                program.exprs.free_symbols(expr).iter().any(|name| uses.assigned.contains(name))
            });
            let mut states: Vec<BlockId> = places.iter().map(|&(state, _)| state).collect();
            states.sort_unstable();
            states.dedup();
            let one_state = states.len() == 1 && !by_control.contains(&name);
            match (data.lifetime, places.first()) {
                (Lifetime::Scope, Some(&(state, _))) if one_state => {
                    let scope = uses.scopes.get(&state).and_then(|tree| common_scope(tree, places));
                    uses.in_scope.entry((state, scope)).or_default().push(name);
                }
                (Lifetime::State, _) if !late => {
                    for state in states {
                        uses.in_scope.entry((state, None)).or_default().push(name);
                    }
                }
                _ if late => {
                    for state in states {
                        uses.late.entry(state).or_default().push(name);
                    }
                }
                _ => uses.at_entry.push(name),
            }
        }
        Ok(uses)
    }

    /// What is taken when a state (`None`) or a scope of it is entered.
    pub fn taken_by(&self, state: BlockId, scope: Option<NodeId>) -> &[Name] {
        self.in_scope.get(&(state, scope)).map_or(&[], |list| list)
    }

    /// What is looked at again when a state is entered.
    pub fn late_in(&self, state: BlockId) -> &[Name] {
        self.late.get(&state).map_or(&[], |list| list)
    }

    /// Whether the container lives in a scope inside a state, on whose parameters its size may depend.
    pub fn is_scoped(&self, name: Name) -> bool {
        self.in_scope.iter().any(|((_, scope), names)| scope.is_some() && names.contains(&name))
    }
}

/// A reduction that folds into what is there.
fn is_fold_without_identity(state: &State, node: NodeId) -> bool {
    let Some(NodeKind::Library(library)) = state.nodes.get(node).map(|node| &node.kind) else { return false };
    library.class() == "Reduce" && library.properties.get("identity").and_then(as_number).is_none()
}

/// Symbols that interstate edges and loops of a graph assign.
pub fn assigned_symbols(graph: &Graph) -> IndexSet<Name> {
    let mut assigned = IndexSet::new();
    for region in graph.regions.values() {
        for edge in &region.edges {
            assigned.extend(edge.assignments.iter().map(|(name, _)| *name));
        }
    }
    for block in graph.blocks.values() {
        if let BlockKind::Loop(inner) = &block.kind {
            assigned.extend(inner.variable);
            for statement in inner.init.iter().chain(&inner.update) {
                assigned.extend(statement.target);
            }
        }
    }
    assigned
}

/// The container that `structure.member` belongs to.
pub fn root_container(program: &Program, graph: &Graph, name: Name) -> Name {
    if graph.data.contains_key(&name) {
        return name;
    }
    let root = program.names.get(name).split('.').next().and_then(|root| program.names.lookup(root));
    root.unwrap_or(name)
}

/// The innermost scope around all places.
fn common_scope(tree: &ScopeTree, places: &[(BlockId, Option<NodeId>)]) -> Option<NodeId> {
    let mut common: Option<Vec<NodeId>> = None;
    for &(_, scope) in places {
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
    let lowered = graph.control_code().filter_map(|expr| expr.code.as_ref());
    lowered.flat_map(|code| code.ports.values().map(|port| port.name)).collect()
}

/// The expressions that the layout of a container consists of, those of its members included.
pub fn layout_exprs(data: &Data) -> Vec<ExprId> {
    let mut exprs = Vec::new();
    let mut open = vec![data];
    while let Some(data) = open.pop() {
        exprs.extend(data.shape());
        if let Some(array) = data.array() {
            exprs.extend(array.strides.iter().chain(&array.offset));
            exprs.extend(array.total_size.iter().chain(&array.start_offset));
        }
        match &data.kind {
            DataKind::Structure(inner)
            | DataKind::StructureView(inner)
            | DataKind::StructureReference(inner) => open.extend(inner.members.iter().map(|(_, data)| data)),
            DataKind::ContainerArray { element, .. }
            | DataKind::ContainerView { element, .. }
            | DataKind::ContainerReference { element, .. } => open.push(element),
            _ => {}
        }
    }
    exprs
}
