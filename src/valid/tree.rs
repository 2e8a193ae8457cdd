//! The tree of graphs, regions and blocks: everything exists and is owned once.

use hashbrown::HashSet;

use crate::diag::Diagnostic;
use crate::entity::EntityId;
use crate::ir::{BlockId, BlockKind, Graph, GraphId, NestedGraph, NodeKind, RegionId};

use super::{NESTING_LIMIT, Validator};

/// A graph with the graph and the node around it.
pub(super) struct Owned<'p> {
    pub graph: GraphId,
    pub outer: Option<(GraphId, &'p NestedGraph)>,
}

/// All graphs of the program, outer ones before inner ones; `None` if the structure is so broken that
/// nothing else can be checked.
pub(super) fn check<'p>(validator: &mut Validator<'p>) -> Option<Vec<Owned<'p>>> {
    let program = validator.program;
    let Some(root) = program.root else {
        validator.error("P0100", "the program has no graph");
        return None;
    };
    let mut graphs = Vec::new();
    let mut owned = HashSet::new();
    let mut stack = vec![(root, None, 0)];
    while let Some((id, outer, depth)) = stack.pop() {
        let Some(graph) = program.graphs.get(id) else {
            validator.error("P0100", format!("there is no {id}"));
            continue;
        };
        if depth > NESTING_LIMIT {
            validator.report(too_deep("graphs"));
            return None;
        }
        if !owned.insert(id) {
            validator.report(
                Diagnostic::error("P0104", format!("graph `{}` is used by two nodes", graph.name))
                    .with_help("each nested graph belongs to exactly one node: copy it"),
            );
            return None;
        }
        validator.place = vec![format!("graph `{}`", graph.name)];
        regions(validator, graph);
        graphs.push(Owned { graph: id, outer });
        for (_, state) in graph.states() {
            for (_, node) in state.live_nodes() {
                if let NodeKind::Nested(nested) = &node.kind {
                    stack.extend(nested.graph.map(|inner| (inner, Some((id, nested)), depth + 1)));
                }
            }
        }
    }
    validator.place.clear();
    if owned.len() < program.graphs.len() {
        let orphan = program.graphs.iter().find(|(id, _)| !owned.contains(id));
        let name = orphan.map_or("", |(_, graph)| &graph.name);
        validator.report(Diagnostic::warning("P0104", format!("graph `{name}` belongs to no node")));
    }
    (!validator.found.iter().any(Diagnostic::is_error)).then_some(graphs)
}

fn too_deep(what: &str) -> Diagnostic {
    Diagnostic::error("P0103", format!("{what} nest more than {NESTING_LIMIT} deep"))
        .with_help("inline nested graphs, or split the program")
}

/// Ownership of regions and blocks inside one graph.
fn regions(validator: &mut Validator<'_>, graph: &Graph) {
    let Some(body) = graph.body else {
        return validator.error("P0100", format!("graph `{}` has no body", graph.name));
    };
    let mut regions: Vec<bool> = vec![false; graph.regions.len()];
    let mut blocks: Vec<bool> = vec![false; graph.blocks.len()];
    let mut stack = vec![(body, 0)];
    while let Some((id, depth)) = stack.pop() {
        let Some(region) = graph.regions.get(id) else {
            validator.error("P0100", format!("there is no {id}"));
            continue;
        };
        if depth > NESTING_LIMIT {
            return validator.report(too_deep("regions"));
        }
        if std::mem::replace(&mut regions[id.index()], true) {
            return validator.error("P0104", format!("{id} is the body of two blocks"));
        }
        for &block_id in &region.blocks {
            let Some(block) = graph.blocks.get(block_id) else {
                validator.error("P0100", format!("there is no {block_id}"));
                continue;
            };
            if std::mem::replace(&mut blocks[block_id.index()], true) {
                return validator
                    .error("P0104", format!("{block_id} `{}` stands in two places", block.label));
            }
            stack.extend(bodies(&block.kind).into_iter().map(|body| (body, depth + 1)));
        }
    }
    let orphan = blocks.iter().position(|owned| !owned).map(BlockId::from_index);
    if let Some(orphan) = orphan {
        let label = graph.blocks.get(orphan).map_or("", |block| &block.label);
        validator.report(Diagnostic::warning("P0104", format!("{orphan} `{label}` stands in no region")));
    }
}

/// The regions a block owns.
pub(super) fn bodies(kind: &BlockKind) -> Vec<RegionId> {
    match kind {
        BlockKind::Loop(kind) => vec![kind.body],
        BlockKind::Conditional(branches) => branches.iter().map(|branch| branch.body).collect(),
        BlockKind::Region(_, body) => vec![*body],
        _ => Vec::new(),
    }
}
