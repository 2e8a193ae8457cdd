//! Taking away nodes, blocks, iterations and levels of nesting.

use crate::analysis::ScopeTree;
use crate::check::cutout::input_cut;
use crate::check::edit::{root_mut, tidied};
use crate::check::locate::{
    Cut, Unit, entered, expose, keep_units, map_ranges, only_state, peeled, restricted, units,
};
use crate::check::side::copied;
use crate::ir::canonical::canonical;
use crate::ir::{
    BlockId, BlockKind, EdgeId, GraphId, NodeId, NodeKind, Program, RegionFlavor, RegionId, State,
};

use super::{Failing, Reduction};

/// One round; says whether anything went.
pub(super) fn shrink(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = drop_blocks(reduction);
    changed |= drop_units(reduction);
    changed |= fewer_iterations(reduction);
    changed |= fewer_levels(reduction);
    changed |= drop_nodes(reduction);
    changed |= drop_containers(reduction);
    changed
}

/// Of a program of one state: what last writes an array that differs, with what its input is made of if that is smaller.
pub(super) fn cut_inputs(reduction: &mut Reduction<'_>) {
    let Failing { program, args } = &reduction.best;
    let Some((_, state)) = only_state(program) else { return };
    let Ok(parts) = units(state) else { return };
    let differs = |node: NodeId| match state.nodes.get(node).map(|node| &node.kind) {
        Some(NodeKind::Access { data, .. }) => {
            reduction.differing.iter().any(|name| name == program.names.get(*data))
        }
        _ => false,
    };
    let Ok(tree) = ScopeTree::of(state) else { return };
    let writes = |unit: &Unit| match *unit {
        Unit::Copy(edge) => differs(state.edges[edge].dst),
        Unit::Code(id) => {
            let end = tree.exit(id).unwrap_or(id);
            state.edges.values().any(|edge| !edge.removed && edge.src == end && differs(edge.dst))
        }
    };
    let Some(last) = parts.iter().rev().find(|unit| writes(unit)) else { return };
    let Ok(kept) = input_cut(program, args, state, &[*last]) else { return };
    if kept.len() < parts.len() {
        let candidate = keep_units(program, &kept).ok();
        let candidate = candidate.map(|program| reduction.best.with_program(program));
        reduction.accept(candidate);
    }
}

/// Blocks become empty states; loops, branches and regions become their bodies.
fn drop_blocks(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let mut at = 0;
    loop {
        let blocks: Vec<(GraphId, BlockId)> = reduction
            .best
            .program
            .graphs
            .iter()
            .flat_map(|(id, graph)| graph.blocks.ids().map(move |block| (id, block)))
            .collect();
        let Some(&(graph, block)) = blocks.get(at) else { break };
        at += 1;
        let mut went = false;
        for kind in replacements(&reduction.best.program, graph, block) {
            let mut program = reduction.best.program.clone();
            if let Some(slot) = program.graphs.get_mut(graph).and_then(|graph| graph.blocks.get_mut(block)) {
                slot.kind = kind;
            }
            let candidate = tidied(&program).ok().map(|program| reduction.best.with_program(program));
            if reduction.accept(candidate) {
                went = true;
                break;
            }
        }
        changed |= went;
        if reduction.is_over() {
            break;
        }
    }
    changed | drop_empty_states(reduction)
}

fn replacements(program: &Program, graph: GraphId, block: BlockId) -> Vec<BlockKind> {
    let Some(found) = program.graphs.get(graph).and_then(|graph| graph.blocks.get(block)) else {
        return Vec::new();
    };
    let empty = BlockKind::State(Box::default());
    let region = |id: RegionId| BlockKind::Region(RegionFlavor::Plain, id);
    match &found.kind {
        BlockKind::State(state) if state.live_nodes().next().is_none() => Vec::new(),
        BlockKind::Loop(inner) => vec![empty, region(inner.body)],
        BlockKind::Conditional(branches) => {
            std::iter::once(empty).chain(branches.iter().map(|branch| region(branch.body))).collect()
        }
        _ => vec![empty],
    }
}

/// Empty states go where a chain passes through them; regions of one block become that block.
fn drop_empty_states(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    loop {
        let mut program = reduction.best.program.clone();
        if !straighten(&mut program) {
            return changed;
        }
        let candidate = tidied(&program).ok().map(|program| reduction.best.with_program(program));
        if !reduction.accept(candidate) {
            return changed;
        }
        changed = true;
    }
}

/// One step; says whether there was one.
fn straighten(program: &mut Program) -> bool {
    for (_, graph) in program.graphs.iter_mut() {
        let regions: Vec<RegionId> = graph.regions.ids().collect();
        for id in regions {
            let region = &graph.regions[id];
            let empty =
                |block: BlockId| graph.state(block).is_some_and(|state| state.live_nodes().next().is_none());
            let plain =
                region.edges.iter().all(|edge| edge.condition.is_none() && edge.assignments.is_empty());
            let Some(&gone) = region.blocks.iter().find(|&&block| empty(block)).filter(|_| plain) else {
                continue;
            };
            if region.blocks.len() < 2 {
                continue;
            }
            let (before, after): (Vec<_>, Vec<_>) = (
                region.edges.iter().filter(|edge| edge.dst == gone).map(|edge| edge.src).collect(),
                region.edges.iter().filter(|edge| edge.src == gone).map(|edge| edge.dst).collect(),
            );
            if before.len() > 1 || after.len() > 1 {
                continue;
            }
            let entry = region.entry();
            let region = &mut graph.regions[id];
            region.blocks.retain(|&block| block != gone);
            if entry == Some(gone) {
                region.start = after.first().copied();
            }
            if let (Some(&src), Some(&dst)) = (before.first(), after.first())
                && let Some(edge) = region.edges.iter_mut().find(|edge| edge.dst == gone && edge.src == src)
            {
                edge.dst = dst;
            }
            region.edges.retain(|edge| edge.src != gone && edge.dst != gone);
            return true;
        }
        // A body that is one plain region is that region.
        if let Some(body) = graph.body
            && let [only] = graph.regions[body].blocks[..]
            && let Some(BlockKind::Region(_, inner)) = graph.blocks.get(only).map(|block| &block.kind)
        {
            graph.body = Some(*inner);
            return true;
        }
    }
    false
}

/// Parts of the only state, in ever smaller groups.
fn drop_units(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let mut group = usize::MAX;
    loop {
        let Some((_, state)) = only_state(&reduction.best.program) else { return changed };
        let Ok(parts) = units(state) else { return changed };
        group = group.min(parts.len().div_ceil(2));
        if group == 0 || parts.len() < 2 {
            return changed;
        }
        let mut went = false;
        for start in (0..parts.len()).step_by(group) {
            let kept: Vec<Unit> = parts
                .iter()
                .enumerate()
                .filter(|(at, _)| !(start..start + group).contains(at))
                .map(|(_, unit)| *unit)
                .collect();
            let candidate = keep_units(&reduction.best.program, &kept).ok();
            if reduction.accept(candidate.map(|program| reduction.best.with_program(program))) {
                went = true;
                break;
            }
        }
        changed |= went;
        if !went {
            if group == 1 {
                return changed;
            }
            group /= 2;
        }
        if reduction.is_over() {
            return changed;
        }
    }
}

/// Maps of the only state: half the range, then one iteration, then the body alone.
fn fewer_iterations(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let mut at = 0;
    loop {
        let Some((_, state)) = only_state(&reduction.best.program) else { return changed };
        let entries: Vec<NodeId> = state
            .live_nodes()
            .filter(|(_, node)| matches!(node.kind, NodeKind::MapEntry(_)))
            .map(|(id, _)| id)
            .collect();
        let Some(&entry) = entries.get(at) else { return changed };
        let cut = Cut { program: reduction.best.program.clone(), args: copied(&reduction.best.args) };
        let body = peeled(&cut, entry).ok().flatten();
        if body.is_some()
            && reduction.accept(body.map(|cut| Failing { program: cut.program, args: cut.args }))
        {
            changed = true;
            continue;
        }
        for dim in 0..map_ranges(&reduction.best.program, &reduction.best.args, entry).len() {
            loop {
                let ranges = map_ranges(&reduction.best.program, &reduction.best.args, entry);
                let Some(Some((low, high, step))) = ranges.get(dim).copied() else { break };
                if low + step > high {
                    break;
                }
                let middle = low + (high - low) / step / 2 * step;
                let mut went = false;
                for (first, last) in [(low, middle), (middle + step, high), (low, high - step)] {
                    let program = restricted(&reduction.best.program, entry, dim, first, last);
                    if reduction.accept(Some(reduction.best.with_program(program))) {
                        went = true;
                        break;
                    }
                }
                if !went {
                    break;
                }
                changed = true;
            }
        }
        at += 1;
        if reduction.is_over() {
            return changed;
        }
    }
}

/// A nested graph that is all that happens becomes the program; a program of one region of one state is cut to it.
fn fewer_levels(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    loop {
        let Some((_, state)) = only_state(&reduction.best.program) else { return changed };
        let nested: Vec<NodeId> = state
            .live_nodes()
            .filter(|(_, node)| matches!(node.kind, NodeKind::Nested(_)))
            .map(|(id, _)| id)
            .collect();
        let mut went = false;
        for id in nested {
            let cut = Cut { program: reduction.best.program.clone(), args: copied(&reduction.best.args) };
            let inner = entered(&cut, id).ok().flatten().map(|cut| {
                let (mut program, mut args) = (cut.program, cut.args);
                expose(&mut program, &mut args);
                Failing { program, args }
            });
            let inner = inner
                .and_then(|inner| Some(Failing { program: tidied(&inner.program).ok()?, args: inner.args }));
            if reduction.accept(inner) {
                went = true;
                break;
            }
        }
        if !went {
            return changed;
        }
        changed = true;
    }
}

/// Single nodes and single edges, anywhere.
fn drop_nodes(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let mut at = 0;
    loop {
        let nodes = reduction.nodes(|_| true);
        let Some(&(graph, block, node)) = nodes.get(at) else { break };
        let mut program = reduction.best.program.clone();
        if let Some(BlockKind::State(state)) =
            program.graphs.get_mut(graph).and_then(|g| g.blocks.get_mut(block)).map(|block| &mut block.kind)
        {
            remove_node(state, node);
            let names = program.names.clone();
            if let Some(BlockKind::State(state)) = program
                .graphs
                .get_mut(graph)
                .and_then(|g| g.blocks.get_mut(block))
                .map(|block| &mut block.kind)
            {
                prune(state, &names);
            }
        }
        let candidate = tidied(&program).ok().map(|program| reduction.best.with_program(program));
        if reduction.accept(candidate) {
            changed = true;
        } else {
            at += 1;
        }
        if reduction.is_over() {
            break;
        }
    }
    changed
}

fn remove_node(state: &mut State, id: NodeId) {
    if let Some(node) = state.nodes.get_mut(id) {
        node.kind = NodeKind::Removed;
    }
    for (_, edge) in state.edges.iter_mut() {
        if edge.src == id || edge.dst == id {
            edge.removed = true;
        }
    }
}

/// Removes what leads nowhere: border connectors without a partner, access nodes without edges, empty scopes.
pub(super) fn prune(state: &mut State, names: &crate::entity::Names) {
    loop {
        let mut gone_edges: Vec<EdgeId> = Vec::new();
        let mut gone_nodes: Vec<NodeId> = Vec::new();
        let adjacency = state.adjacency();
        for (id, node) in state.live_nodes() {
            let (incoming, outgoing) = (adjacency.incoming(id), adjacency.outgoing(id));
            match &node.kind {
                NodeKind::Access { .. } if incoming.is_empty() && outgoing.is_empty() => gone_nodes.push(id),
                NodeKind::MapEntry(_)
                | NodeKind::MapExit { .. }
                | NodeKind::ConsumeEntry(_)
                | NodeKind::ConsumeExit { .. } => {
                    let has = |edges: &[EdgeId], connector: crate::entity::Name, src: bool| {
                        edges.iter().any(|&edge| {
                            let edge = &state.edges[edge];
                            (if src { edge.src_conn } else { edge.dst_conn }) == Some(connector)
                        })
                    };
                    for &edge in incoming {
                        let Some(connector) = state.edges[edge].dst_conn else { continue };
                        let partner = crate::analysis::paths::output_of(names, connector);
                        if names.get(connector).starts_with("IN_")
                            && !partner.is_some_and(|partner| has(outgoing, partner, true))
                        {
                            gone_edges.push(edge);
                        }
                    }
                    for &edge in outgoing {
                        let Some(connector) = state.edges[edge].src_conn else { continue };
                        let partner = crate::analysis::paths::input_of(names, connector);
                        if names.get(connector).starts_with("OUT_")
                            && !partner.is_some_and(|partner| has(incoming, partner, false))
                        {
                            gone_edges.push(edge);
                        }
                    }
                    let opens = matches!(node.kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_));
                    if (opens && outgoing.is_empty()) || (!opens && incoming.is_empty()) {
                        gone_nodes.push(id);
                    }
                }
                _ => {}
            }
        }
        // Scopes go as a pair.
        let exits: Vec<(NodeId, NodeId)> = state
            .live_nodes()
            .filter_map(|(id, node)| match node.kind {
                NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry } => Some((id, entry)),
                _ => None,
            })
            .collect();
        for (exit, entry) in exits {
            if gone_nodes.contains(&exit) && gone_nodes.contains(&entry) {
                continue;
            }
            gone_nodes.retain(|&node| node != exit && node != entry);
        }
        if gone_edges.is_empty() && gone_nodes.is_empty() {
            break;
        }
        for id in gone_edges {
            state.edges[id].removed = true;
        }
        for id in gone_nodes {
            remove_node(state, id);
        }
    }
    // Connectors without an edge.
    let adjacency = state.adjacency();
    let used: Vec<(NodeId, Vec<crate::entity::Name>, Vec<crate::entity::Name>)> = state
        .live_nodes()
        .filter(|(_, node)| !matches!(node.kind, NodeKind::Tasklet(_) | NodeKind::Library(_)))
        .map(|(id, _)| {
            let inputs =
                adjacency.incoming(id).iter().filter_map(|&edge| state.edges[edge].dst_conn).collect();
            let outputs =
                adjacency.outgoing(id).iter().filter_map(|&edge| state.edges[edge].src_conn).collect();
            (id, inputs, outputs)
        })
        .collect();
    for (id, inputs, outputs) in used {
        state.nodes[id].inputs.retain(|name, _| inputs.contains(name));
        state.nodes[id].outputs.retain(|name, _| outputs.contains(name));
    }
}

/// Containers and symbols nobody mentions.
fn drop_containers(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let names: Vec<crate::entity::Name> = reduction
        .best
        .program
        .root_graph()
        .map(|graph| graph.data.keys().chain(graph.symbols.keys()).copied().collect())
        .unwrap_or_default();
    for name in names {
        let mut program = reduction.best.program.clone();
        let text = program.names.get(name).to_owned();
        if let Some(graph) = root_mut(&mut program) {
            graph.data.shift_remove(&name);
            graph.symbols.shift_remove(&name);
            graph.arg_names.retain(|&other| other != name);
        }
        let candidate = tidied(&canonical(&program)).ok().map(|program| {
            let mut args = copied(&reduction.best.args);
            args.bindings.shift_remove(&text);
            Failing { program, args }
        });
        // Names are ids of one program: the next candidate starts from the new best.
        changed |= reduction.accept(candidate);
    }
    changed
}
