//! Cutouts: parts of a real program as programs of their own, to be run on random inputs.
//!
//! A cutout is a state, or a few states in a row, of any graph of a program. Containers that the rest of the graph uses
//! are arguments; those that nobody else uses stay transients, so what a rule of the optimizer may do inside it may do
//! here. Whatever symbols mean outside, here they are arguments.

mod flow;
mod inputs;

pub(in crate::check) use flow::input_cut;
pub use inputs::random_inputs;

use hashbrown::HashSet;

use crate::check::edit::{add_symbols, expose_if, names_in_control_flow, root_mut, tidied};
use crate::check::locate::{Unit, keep_units, only_state, units};
use crate::diag::Result;
use crate::entity::Name;
use crate::ir::canonical::canonical;
use crate::ir::{BlockId, Graph, GraphId, NodeId, NodeKind, Program, Region, RegionId, State};
use crate::memory::Arguments;

/// A part of a program as a program.
#[derive(Debug)]
pub struct Cutout {
    /// The program.
    pub program: Program,
    /// Where it comes from: graph and states.
    pub place: String,
    /// How many states it has.
    pub states: usize,
}

/// States in a row at most.
const LONGEST: usize = 3;

/// All cutouts of a program: every state with something in it, and up to [`LONGEST`] states in a row. What cannot be
/// cut out is left out.
pub fn cutouts(program: &Program) -> Vec<Cutout> {
    let mut found = Vec::new();
    for (graph_id, graph) in program.graphs.iter() {
        for (region_id, region) in graph.regions.iter() {
            for row in rows(graph, region) {
                let Ok(cut) = cut(program, graph_id, region_id, &row) else { continue };
                let labels = row.iter().filter_map(|&block| graph.blocks.get(block));
                let labels: Vec<&str> = labels.map(|block| block.label.as_str()).collect();
                let place = format!("{} / {}", graph.name, labels.join(", "));
                found.push(Cutout { program: cut, place, states: row.len() });
            }
        }
    }
    found
}

/// States that follow each other and nothing else.
fn rows(graph: &Graph, region: &Region) -> Vec<Vec<BlockId>> {
    let filled = |block: BlockId| graph.state(block).is_some_and(|state| state.live_nodes().next().is_some());
    let mut rows = Vec::new();
    for &first in &region.blocks {
        if !filled(first) {
            continue;
        }
        let mut row = vec![first];
        rows.push(row.clone());
        while row.len() < LONGEST {
            let Some(&last) = row.last() else { break };
            let mut next = region.edges.iter().filter(|edge| edge.src == last);
            let (Some(edge), None) = (next.next(), next.next()) else { break };
            let entered = region.edges.iter().filter(|other| other.dst == edge.dst).count();
            if edge.condition.is_some() || entered != 1 || !filled(edge.dst) || row.contains(&edge.dst) {
                break;
            }
            row.push(edge.dst);
            rows.push(row.clone());
        }
    }
    rows
}

/// A row of states as a program.
fn cut(program: &Program, graph_id: GraphId, region: RegionId, row: &[BlockId]) -> Result<Program> {
    let mut cut = program.clone();
    cut.root = Some(graph_id);
    let Some(graph) = cut.root_graph() else { return tidied(&cut) };
    let mut outside: HashSet<Name> = names_in_control_flow(&cut, graph).into_iter().collect();
    for (_, state) in graph.states().filter(|(block, _)| !row.contains(block)) {
        outside.extend(accessed(state));
    }
    let edges = graph.regions.get(region).map(|region| region.edges.as_slice()).unwrap_or_default();
    let inside = edges.iter().filter(|edge| row.contains(&edge.src) && row.contains(&edge.dst));
    let body = Region { blocks: row.to_vec(), edges: inside.cloned().collect(), start: row.first().copied() };
    if let Some(graph) = root_mut(&mut cut) {
        graph.body = Some(graph.regions.push(body));
        graph.arg_names.clear();
    }
    add_symbols(&mut cut);
    let mut cut = canonical(&cut);
    // Names are interned alike in both.
    expose_if(&mut cut, &|name| outside.contains(&name));
    tidied(&cut)
}

fn accessed(state: &State) -> impl Iterator<Item = Name> {
    state.live_nodes().filter_map(|(_, node)| match node.kind {
        NodeKind::Access { data, .. } => Some(data),
        _ => None,
    })
}

/// Only those parts of a cutout's state that another version of it changes, with what makes their input smaller; nothing
/// if that is all of it, or if it cannot be told.
///
/// `after` is the same program after edits that keep the numbers of nodes.
pub fn narrowed(before: &Program, after: &Program, args: &Arguments<'_>) -> Option<Program> {
    let ((_, old), (_, new)) = (only_state(before)?, only_state(after)?);
    let changed = changed_nodes(old, new);
    let tree = crate::analysis::ScopeTree::of(old).ok()?;
    let all = units(old).ok()?;
    let is_changed = |unit: &Unit| match *unit {
        Unit::Code(id) => {
            let inside = |node: &NodeId| *node == id || tree.enclosing(*node).any(|entry| entry == id);
            changed.iter().any(|node| inside(node) || tree.exit(id) == Some(*node))
        }
        Unit::Copy(edge) => {
            let edge = &old.edges[edge];
            changed.contains(&edge.src) || changed.contains(&edge.dst)
        }
    };
    let wanted: Vec<Unit> = all.iter().copied().filter(is_changed).collect();
    let kept = input_cut(before, args, old, &wanted).ok()?;
    if wanted.is_empty() || kept.len() == all.len() {
        return None;
    }
    let mut cut = keep_units(before, &kept).ok()?;
    // What a part that stays behind writes or reads is seen from outside.
    let (_, rest) = only_state(&cut)?;
    let mut uses: hashbrown::HashMap<Name, (usize, usize)> = hashbrown::HashMap::new();
    for name in accessed(old) {
        uses.entry(name).or_default().0 += 1;
    }
    for name in accessed(rest) {
        uses.entry(name).or_default().1 += 1;
    }
    expose_if(&mut cut, &|name| uses.get(&name).is_some_and(|(before, after)| before != after));
    expose_unwritten(&mut cut);
    tidied(&cut).ok()
}

/// Transients that are read but never written in the only state become arguments.
fn expose_unwritten(program: &mut Program) {
    let Some((_, state)) = only_state(program) else { return };
    let mut written: HashSet<Name> = HashSet::new();
    for edge in state.edges.values().filter(|edge| !edge.removed && !edge.memlet.is_empty()) {
        if let Some(NodeKind::Access { data, .. }) = state.nodes.get(edge.dst).map(|node| &node.kind) {
            written.insert(*data);
        }
    }
    expose_if(program, &|name| !written.contains(&name));
}

/// Nodes that are another thing now, or have other edges.
fn changed_nodes(old: &State, new: &State) -> HashSet<NodeId> {
    let mut changed: HashSet<NodeId> = HashSet::new();
    for (id, node) in old.nodes.iter() {
        if new.nodes.get(id).is_none_or(|other| other != node) {
            changed.insert(id);
        }
    }
    for (id, edge) in old.edges.iter() {
        if new.edges.get(id) != Some(edge) {
            changed.extend([edge.src, edge.dst]);
        }
    }
    for (id, edge) in new.edges.iter() {
        if old.edges.get(id) != Some(edge) {
            changed.extend([edge.src, edge.dst].into_iter().filter(|&node| old.nodes.get(node).is_some()));
        }
    }
    changed
}
