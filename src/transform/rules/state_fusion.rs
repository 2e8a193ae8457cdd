//! # state_fusion
//!
//! Makes one state of states that run one after another, so that rules for dataflow see all of it. Where the states
//! access one container and one of them writes it, an ordering edge keeps their order; what a state wrote last is
//! the same access node as what the next one reads.
//!
//! ## Legal when
//! - the edge between two states has no condition and no assignment, and there is no other way from or to them;
//! - what the states read and write can be told: no expression in them reads a container that they write;
//! - a transient that only one state uses afterwards is written in full before it is read, or it gets the lifetime of the
//!   graph, so that its content still survives from one execution of the state to the next.
//!
//! ## Before
//! ```pelton
//! program two(a: f64[4], b: f64[4]) {
//!   transient t: f64[4]
//!   state first { map i in 0:4 { t[i] = a[i] * 2 } }
//!   state second { map i in 0:4 { b[i] = t[i] + 1 } }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program two(a: f64[4], b: f64[4]) {
//!   transient t: f64[4]
//!   state first {
//!     map i in 0:4 { t[i] = a[i] * 2 }
//!     map i in 0:4 { b[i] = t[i] + 1 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program conditional(a: f64[4], b: f64[4], n: i64 symbol) {
//!   state first { map i in 0:4 { a[i] = a[i] * 2 } }
//!   state second { map i in 0:4 { b[i] = a[i] + 1 } }
//!   first -> second if n > 3
//! }
//! ```
//!
//! Enables: map_fusion_vertical, map_fusion_horizontal, dead_dataflow. Source: DaCe `StateFusion`, GT4Py
//! `GT4PyStateFusion`.

use hashbrown::{HashMap, HashSet};

use crate::analysis::ScopeTree;
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, EdgeId, Graph, GraphId, InterstateEdge, Lifetime, NodeId, NodeKind, Region, RegionId,
    State,
};
use crate::transform::editor::{Editor, Place};
use crate::transform::index::StateIndex;
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct StateFusion;

/// Chains of states of one region, each of at least two.
pub struct Chains {
    graph: GraphId,
    region: RegionId,
    chains: Vec<Vec<BlockId>>,
}

impl Transformation for StateFusion {
    type Match = Chains;
    const KIND: SiteKind = SiteKind::Region;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Chains> {
        let Site::Region(graph, region) = site else { return None };
        let found = chains(editor.graph(graph)?, region)?;
        let mut chains = Vec::new();
        for chain in found {
            // A state whose accesses cannot be told ends a chain.
            let mut part: Vec<BlockId> = Vec::new();
            for block in chain {
                let known = is_known(editor, Place { graph, block });
                if known {
                    part.push(block);
                } else {
                    chains.push(std::mem::take(&mut part));
                }
            }
            chains.push(part);
        }
        chains.retain(|chain| chain.len() > 1);
        (!chains.is_empty()).then_some(Chains { graph, region, chains })
    }

    fn apply(editor: &mut Editor<'_>, found: Chains) -> Result<(), Stopped> {
        for chain in found.chains {
            fuse(editor, found.graph, found.region, &chain).ok_or(Stopped)?;
        }
        Ok(())
    }
}

/// Longest chains of states that nothing but unconditional edges without assignments joins.
fn chains(graph: &Graph, region: RegionId) -> Option<Vec<Vec<BlockId>>> {
    let region = graph.regions.get(region)?;
    let entry = region.entry();
    let mut ways: HashMap<BlockId, (usize, usize)> = HashMap::new();
    for edge in &region.edges {
        ways.entry(edge.src).or_default().1 += 1;
        ways.entry(edge.dst).or_default().0 += 1;
    }
    let joins = |edge: &InterstateEdge| {
        edge.condition.is_none()
            && edge.assignments.is_empty()
            && edge.src != edge.dst
            && Some(edge.dst) != entry
            && ways.get(&edge.src).is_some_and(|ways| ways.1 == 1)
            && ways.get(&edge.dst).is_some_and(|ways| ways.0 == 1)
            && graph.state(edge.src).is_some()
            && graph.state(edge.dst).is_some()
    };
    let next: HashMap<BlockId, BlockId> =
        region.edges.iter().filter(|edge| joins(edge)).map(|edge| (edge.src, edge.dst)).collect();
    let targets: HashSet<BlockId> = next.values().copied().collect();
    let mut chains = Vec::new();
    for &block in region.blocks.iter().filter(|block| next.contains_key(*block) && !targets.contains(*block))
    {
        chains.push(std::iter::successors(Some(block), |block| next.get(block).copied()).collect());
    }
    Some(chains)
}

fn is_known(editor: &mut Editor<'_>, at: Place) -> bool {
    editor.view(at).is_some_and(|view| {
        let streams = view.state.live_nodes().any(|(_, node)| matches!(node.kind, NodeKind::ConsumeEntry(_)));
        !streams && order::accesses(&view).is_some()
    })
}

fn fuse(editor: &mut Editor<'_>, graph: GraphId, region: RegionId, chain: &[BlockId]) -> Option<()> {
    let (&first, rest) = chain.split_first()?;
    let at = Place { graph, block: first };
    let single = becoming_single(editor, graph, chain);
    let (state, keys) = joined(editor, graph, chain)?;
    let tree = ScopeTree::of(&state).ok()?;
    let index = StateIndex::with_order(&state, &tree, &keys)?;
    for &block in rest {
        editor.replace_block(Place { graph, block }, BlockKind::State(Box::default()))?;
    }
    editor.replace_block(at, BlockKind::State(Box::new(state)))?;
    editor.install_index(at, index);
    let last = *chain.last()?;
    editor.edit_region(graph, region, |region: &mut Region| {
        let gone: HashSet<BlockId> = rest.iter().copied().collect();
        region.start = region.entry();
        region.edges.retain(|edge| {
            let inside = gone.contains(&edge.dst) && (gone.contains(&edge.src) || edge.src == first);
            !inside
        });
        for edge in &mut region.edges {
            if edge.src == last {
                edge.src = first;
            }
        }
        region.blocks.retain(|block| !gone.contains(block));
    })?;
    // First, because a value that is read through the node that it was written through needs no ordering edge.
    merge_access_nodes(editor, at)?;
    let missing = order::missing(&editor.view(at)?)?;
    for (before, after) in missing {
        editor.order(at, before, after)?;
    }
    for name in single {
        keep_content(editor, at, name)?;
    }
    Some(())
}

/// The states of a chain in one, and the order of their nodes.
fn joined(editor: &mut Editor<'_>, graph: GraphId, chain: &[BlockId]) -> Option<(State, Vec<NodeId>)> {
    let mut all = State::default();
    let mut order = Vec::new();
    for &block in chain {
        let state = editor.state(Place { graph, block })?;
        let tree = ScopeTree::of(state).ok()?;
        let offset = u32::try_from(all.nodes.len()).ok()?;
        let moved = |node: NodeId| NodeId(node.0.saturating_add(offset));
        for node in state.nodes.values() {
            let mut node = node.clone();
            if let NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry } = &mut node.kind {
                *entry = moved(*entry);
            }
            all.nodes.push(node);
        }
        for edge in state.edges.values() {
            let mut edge = edge.clone();
            (edge.src, edge.dst) = (moved(edge.src), moved(edge.dst));
            all.edges.push(edge);
        }
        order.extend(tree.order().iter().map(|&node| moved(node)));
    }
    Some((all, order))
}

/// Transients that several states use, all of them in the chain.
fn becoming_single(editor: &mut Editor<'_>, graph: GraphId, chain: &[BlockId]) -> Vec<Name> {
    let mut states: HashMap<Name, HashSet<BlockId>> = HashMap::new();
    let mut inside: HashMap<Name, u32> = HashMap::new();
    for &block in chain {
        let Some(state) = editor.state(Place { graph, block }) else { continue };
        for (_, node) in state.live_nodes() {
            if let NodeKind::Access { data, .. } = node.kind {
                states.entry(data).or_default().insert(block);
                *inside.entry(data).or_default() += 1;
            }
        }
    }
    let Some(&block) = chain.first() else { return Vec::new() };
    let Some(view) = editor.view(Place { graph, block }) else { return Vec::new() };
    let mut names: Vec<Name> = states
        .into_iter()
        .filter(|(name, states)| {
            states.len() > 1
                && inside.get(name).copied() == Some(view.facts.access_nodes(*name))
                && view.graph.data.get(name).is_some_and(|data| {
                    data.transient
                        && data.lifetime == Lifetime::Scope
                        && !data.is_view()
                        && !data.is_reference()
                })
        })
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    names
}

/// Gives a transient the lifetime of the graph unless its first access writes all of it.
fn keep_content(editor: &mut Editor<'_>, at: Place, name: Name) -> Option<()> {
    let (view, exprs) = editor.split(at)?;
    let &node = view
        .index
        .accesses(name)
        .iter()
        .find(|&&node| !matches!(view.kind(node), Some(NodeKind::Removed)))?;
    let is_whole = scope::is_written_in_full(&view, exprs, node);
    if !is_whole {
        editor.edit_data(at.graph, name, |data| data.lifetime = Lifetime::Graph)?;
    }
    Some(())
}

/// Makes one access node of what was written last and of those that only read it.
fn merge_access_nodes(editor: &mut Editor<'_>, at: Place) -> Option<()> {
    let view = editor.view(at)?;
    let mut merges: Vec<(NodeId, NodeId)> = Vec::new();
    for name in view.index.containers() {
        if view.facts.is_shared(name) {
            continue;
        }
        let mut last: Option<NodeId> = None;
        for &node in view.index.accesses(name) {
            if view.index.parent(node).is_some() {
                // Inside a scope it may be written at any time.
                last = None;
                continue;
            }
            let setzero = matches!(view.kind(node), Some(NodeKind::Access { setzero: true, .. }));
            let only_read = view.data_in(node).next().is_none() && !setzero;
            // A copy out of an access node happens when that node is visited, so such nodes stay what they are.
            let copies = view.data_out(node).any(|(_, edge)| view.accessed(edge.dst).is_some());
            match last {
                Some(before) if only_read && !copies => merges.push((before, node)),
                _ => last = (!copies || !only_read).then_some(node),
            }
        }
    }
    for (kept, gone) in merges {
        let view = editor.view(at)?;
        let outgoing: Vec<EdgeId> = view.index.outgoing(gone).to_vec();
        let incoming: Vec<NodeId> =
            view.index.incoming(gone).iter().map(|&edge| view.edge(edge).src).collect();
        let followers: Vec<NodeId> = outgoing.iter().map(|&edge| view.edge(edge).dst).collect();
        for edge in outgoing {
            editor.edit_edge(at, edge, |edge| edge.src = kept)?;
        }
        // What had to run before the merged node has to run before its readers.
        for &before in &incoming {
            for &follower in &followers {
                if before != kept {
                    editor.order(at, before, follower)?;
                }
            }
        }
        editor.remove_node(at, gone)?;
    }
    Some(())
}
