//! Symbols that control flow assigns: where, and what becomes of their declarations when it no longer does.

use hashbrown::{HashMap, HashSet};

use crate::entity::Name;
use crate::ir::{BlockId, BlockKind, Graph, GraphId, NodeKind, RegionId};

use super::control::{Readers, bodies};
use super::editor::Editor;

/// Symbols that a region assigns, on edges and in loops, at any depth.
pub fn in_region(graph: &Graph, region: RegionId) -> HashSet<Name> {
    let mut found = HashSet::new();
    let mut open = vec![region];
    // A region stands in one place, so each is visited once.
    while let Some(region) = open.pop().and_then(|id| graph.regions.get(id)) {
        found.extend(region.edges.iter().flat_map(|edge| edge.assignments.iter().map(|(name, _)| *name)));
        for &block in &region.blocks {
            found.extend(by_loop(graph, block));
            open.extend(bodies(graph, block));
        }
    }
    found
}

/// The symbols that the head of a loop assigns.
pub fn by_loop(graph: &Graph, block: BlockId) -> Vec<Name> {
    let Some(BlockKind::Loop(repeated)) = graph.blocks.get(block).map(|block| &block.kind) else {
        return Vec::new();
    };
    let targets = repeated.init.iter().chain(&repeated.update).filter_map(|code| code.target);
    repeated.variable.into_iter().chain(targets).collect()
}

/// How often the symbols of a graph are assigned.
pub fn counts(graph: &Graph) -> HashMap<Name, usize> {
    let mut counts: HashMap<Name, usize> = HashMap::new();
    let on_edges = graph.regions.values().flat_map(|region| &region.edges);
    for (name, _) in on_edges.flat_map(|edge| &edge.assignments) {
        *counts.entry(*name).or_default() += 1;
    }
    for name in graph.blocks.ids().flat_map(|block| by_loop(graph, block)) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

/// Whether all assignments of a symbol can go with these blocks: a symbol that nobody assigns is an argument if it is still
/// read.
pub fn can_go(graph: &Graph, readers: &Readers, gone: &HashSet<BlockId>, name: Name) -> bool {
    !graph.arg_names.contains(&name) && readers.only_in(name, gone)
}

/// Removes the declarations of those of these symbols that nobody assigns any more.
pub fn forget(editor: &mut Editor<'_>, graph: GraphId, names: impl IntoIterator<Item = Name>) -> Option<()> {
    let around = editor.graph(graph)?;
    let mut gone: Vec<Name> = names.into_iter().filter(|name| around.symbols.contains_key(name)).collect();
    gone.sort_unstable();
    gone.dedup();
    if !gone.is_empty() {
        let counts = counts(around);
        gone.retain(|name| !counts.contains_key(name));
    }
    if gone.is_empty() {
        return Some(());
    }
    let mapped = mapped_symbols(editor, graph);
    gone.into_iter()
        .filter(|name| !mapped.contains(name))
        .try_for_each(|name| editor.undeclare_symbol(graph, name))
}

/// Symbols of a graph that the node around it gives a value.
fn mapped_symbols(editor: &Editor<'_>, inner: GraphId) -> HashSet<Name> {
    let nodes = editor.program().graphs.values().flat_map(|graph| graph.states()).flat_map(|(_, state)| {
        state.live_nodes().filter_map(move |(_, node)| match &node.kind {
            NodeKind::Nested(nested) if nested.graph == Some(inner) => Some(nested),
            _ => None,
        })
    });
    nodes.flat_map(|nested| nested.symbol_mapping.keys().copied()).collect()
}
