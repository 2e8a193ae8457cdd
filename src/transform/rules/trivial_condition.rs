//! # trivial_condition
//!
//! Puts the branch that is always taken where the conditional block was, drops branches that are never taken, and removes
//! conditional blocks whose branches do nothing.
//!
//! ## Legal when
//! - sizes alone decide the conditions, with what loops around say of their variables and conditions around of sizes, as far as
//!   nothing assigns these symbols in between;
//! - a symbol that only a dropped branch assigns is read nowhere else.
//!
//! ## Before
//! ```pelton
//! program decided(a: f64[8], b: f64[8], N: i64 symbol) {
//!   for k in 0:4 {
//!     if k + N < N {
//!       state never { map i in 0:8 { b[i] = a[i] * 3 } }
//!     } else {
//!       state always { map i in 0:8 { b[i] = a[i] * 2 } }
//!     }
//!     if N > 3 { state nothing { } }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program decided(a: f64[8], b: f64[8], N: i64 symbol) {
//!   for k in 0:4 {
//!     state always { map i in 0:8 { b[i] = a[i] * 2 } }
//!     state nothing { }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program open(a: f64[8], b: f64[8], N: i64 symbol) {
//!   for k in 0:4 {
//!     if k < N {
//!       state sometimes { map i in 0:8 { b[i] = a[i] * 2 } }
//!     }
//!   }
//! }
//! ```
//!
//! Enables: inline_region, state_fusion, loop_to_map. Source: DaCe `DeadStateElimination` and `ConditionalBlock` simplification.

use hashbrown::{HashMap, HashSet};

use crate::entity::Name;
use crate::ir::{BlockId, BlockKind, Branch, Graph, GraphId, RegionFlavor, RegionId};
use crate::symbolic::{Assumptions, ExprId, ExprPool};
use crate::transform::assigned;
use crate::transform::control::{self, Readers};
use crate::transform::decide;
use crate::transform::editor::{Editor, Place};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct TrivialCondition;

/// Conditional blocks of a graph, inner ones first.
pub struct Found {
    graph: GraphId,
    blocks: Vec<Decided>,
}

/// A conditional block with the branches that stay, by number.
struct Decided {
    block: BlockId,
    kept: Vec<usize>,
    /// The last of them runs whenever it is its turn.
    always: bool,
}

impl Transformation for TrivialCondition {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Graph(graph) = site else { return None };
        let is_conditional = |editor: &Editor<'_>, block: BlockId| {
            let kind = editor.graph(graph).and_then(|graph| graph.blocks.get(block)).map(|block| &block.kind);
            matches!(kind, Some(BlockKind::Conditional(_)))
        };
        let all = editor.blocks(graph);
        if !all.into_iter().any(|block| is_conditional(editor, block)) {
            return None;
        }
        let around = editor.program().graphs.get(graph)?;
        let readers = Readers::of(&editor.exprs, around);
        // Looking adds expressions, and the program is not touched meanwhile.
        let mut exprs = std::mem::take(&mut editor.exprs);
        let around = editor.program().graphs.get(graph);
        let blocks = around.map(|around| decided(&mut exprs, around, &readers)).unwrap_or_default();
        editor.exprs = exprs;
        (!blocks.is_empty()).then_some(Found { graph, blocks })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        let mut symbols = HashSet::new();
        for decided in found.blocks {
            apply(editor, found.graph, decided, &mut symbols).ok_or(Stopped)?;
        }
        assigned::forget(editor, found.graph, symbols).ok_or(Stopped)
    }
}

fn decided(exprs: &mut ExprPool, graph: &Graph, readers: &Readers) -> Vec<Decided> {
    let mut dropped =
        Dropped { counts: assigned::counts(graph), gone: HashMap::new(), blocks: HashSet::new() };
    let mut found = Vec::new();
    let mut open: Vec<(RegionId, Assumptions)> =
        graph.body.into_iter().map(|body| (body, Assumptions::new())).collect();
    while let Some((id, known)) = open.pop() {
        let Some(region) = graph.regions.get(id) else { continue };
        for &block in &region.blocks {
            match graph.blocks.get(block).map(|block| &block.kind) {
                Some(BlockKind::Loop(repeated)) => {
                    let mut known = known.clone();
                    let changed = assigned::in_region(graph, repeated.body);
                    if let Some(range) = control::counted(exprs, graph, repeated) {
                        let values = range.range(exprs);
                        let bounds = [values.start, values.end];
                        let stays = |expr: &ExprId| {
                            !exprs.free_symbols(*expr).iter().any(|name| changed.contains(name))
                        };
                        if !changed.contains(&range.variable) && bounds.iter().all(stays) {
                            known.at_least(range.variable, values.start);
                            known.at_most(range.variable, values.end);
                        }
                    }
                    open.push((repeated.body, known));
                }
                Some(BlockKind::Region(_, body)) => open.push((*body, known.clone())),
                Some(BlockKind::Conditional(branches)) => {
                    let decision = decision(exprs, graph, &known, block, branches);
                    let decision = decision.filter(|decision| {
                        let bodies = branches.iter().enumerate();
                        let bodies = bodies.filter(|(number, _)| !decision.kept.contains(number));
                        let bodies: Vec<RegionId> = bodies.map(|(_, branch)| branch.body).collect();
                        dropped.take(graph, readers, &bodies)
                    });
                    for (number, branch) in branches.iter().enumerate() {
                        if decision.as_ref().is_none_or(|decision| decision.kept.contains(&number)) {
                            open.push((branch.body, known_in(exprs, graph, &known, branches, number)));
                        }
                    }
                    found.extend(decision);
                }
                _ => {}
            }
        }
    }
    // What is inside comes first, so that it moves with what is around it.
    found.reverse();
    found
}

/// Conditions of earlier branches that a branch learns from.
const LEARNED: usize = 8;

/// What is known while a branch runs: its condition holds, and those before it do not.
fn known_in(
    exprs: &mut ExprPool,
    graph: &Graph,
    around: &Assumptions,
    branches: &[Branch],
    number: usize,
) -> Assumptions {
    let mut known = around.clone();
    let mut facts = Vec::new();
    for (at, branch) in branches.iter().enumerate().take(number + 1).skip(number.saturating_sub(LEARNED)) {
        if let Some(condition) = &branch.condition {
            facts.extend(decide::facts(exprs, condition, at == number));
        }
    }
    let (Some(branch), false) = (branches.get(number), facts.is_empty()) else { return known };
    let changed = assigned::in_region(graph, branch.body);
    for fact in facts {
        if !exprs.free_symbols(fact).iter().any(|name| changed.contains(name)) {
            known.nonnegative(fact);
        }
    }
    known
}

/// Which branches stay; `None` if all do.
fn decision(
    exprs: &mut ExprPool,
    graph: &Graph,
    known: &Assumptions,
    block: BlockId,
    branches: &[Branch],
) -> Option<Decided> {
    let mut kept = Vec::new();
    let mut always = false;
    for (number, branch) in branches.iter().enumerate() {
        match branch.condition.as_ref().map(|condition| decide::truth(exprs, known, condition)) {
            Some(Some(false)) => {}
            Some(None) => kept.push(number),
            Some(Some(true)) | None => {
                kept.push(number);
                always = true;
                break;
            }
        }
    }
    let body = |number: &usize| branches.get(*number).map(|branch| branch.body);
    if kept.iter().filter_map(body).all(|body| control::does_nothing(graph, body)) {
        kept.clear();
        always = false;
    }
    let had_else = branches.last().is_some_and(|branch| branch.condition.is_none());
    let is_news = kept.len() < branches.len() || always && !had_else || always && kept.len() == 1;
    is_news.then_some(Decided { block, kept, always })
}

/// What goes with the branches that are dropped.
struct Dropped {
    /// How often a symbol is assigned in the graph.
    counts: HashMap<Name, usize>,
    /// How often in what goes.
    gone: HashMap<Name, usize>,
    blocks: HashSet<BlockId>,
}

impl Dropped {
    /// Adds these regions, if they can go as well: symbols that nobody else assigns are not read elsewhere.
    fn take(&mut self, graph: &Graph, readers: &Readers, bodies: &[RegionId]) -> bool {
        let mut gone: HashMap<Name, usize> = HashMap::new();
        let mut blocks: Vec<BlockId> = Vec::new();
        for &body in bodies {
            let inside = control::blocks_under(graph, body);
            let regions = inside.iter().flat_map(|&block| control::bodies(graph, block)).chain([body]);
            let edges = regions.filter_map(|id| graph.regions.get(id)).flat_map(|region| &region.edges);
            let on_edges = edges.flat_map(|edge| edge.assignments.iter().map(|(name, _)| *name));
            let in_loops = inside.iter().flat_map(|&block| assigned::by_loop(graph, block));
            for name in on_edges.chain(in_loops) {
                *gone.entry(name).or_default() += 1;
            }
            blocks.extend(inside);
        }
        self.blocks.extend(&blocks);
        let fits = gone.iter().all(|(&name, count)| {
            let all = count + self.gone.get(&name).copied().unwrap_or(0);
            self.counts.get(&name) != Some(&all) || assigned::can_go(graph, readers, &self.blocks, name)
        });
        if fits {
            gone.into_iter().for_each(|(name, count)| *self.gone.entry(name).or_default() += count);
        } else {
            for block in &blocks {
                self.blocks.remove(block);
            }
        }
        fits
    }
}

fn apply(
    editor: &mut Editor<'_>,
    graph: GraphId,
    decided: Decided,
    symbols: &mut HashSet<Name>,
) -> Option<()> {
    let Decided { block, kept, always } = decided;
    let at = Place { graph, block };
    let around = editor.graph(graph)?;
    let BlockKind::Conditional(branches) = &around.blocks.get(block)?.kind else { return None };
    let mut branches = branches.clone();
    let dropped: Vec<RegionId> = (branches.iter().enumerate())
        .filter(|(number, _)| !kept.contains(number))
        .map(|(_, branch)| branch.body)
        .collect();
    for body in dropped {
        symbols.extend(assigned::in_region(editor.graph(graph)?, body));
        control::clear(editor, graph, body)?;
    }
    let mut number = 0;
    branches.retain(|_| {
        number += 1;
        kept.contains(&(number - 1))
    });
    if let (true, Some(last)) = (always, branches.last_mut()) {
        last.condition = None;
    }
    let kind = match &branches[..] {
        [] => BlockKind::State(Box::default()),
        [only] if always => taken(editor, graph, only.body)?,
        _ => BlockKind::Conditional(branches),
    };
    editor.replace_block(at, kind).map(drop)
}

/// What stands for a branch that always runs: its only block, or a region.
fn taken(editor: &mut Editor<'_>, graph: GraphId, body: RegionId) -> Option<BlockKind> {
    let region = editor.graph(graph)?.regions.get(body)?;
    if region.blocks.is_empty() {
        return Some(BlockKind::State(Box::default()));
    }
    let &[only] = &region.blocks[..] else { return Some(BlockKind::Region(RegionFlavor::Plain, body)) };
    if !region.edges.is_empty() {
        return Some(BlockKind::Region(RegionFlavor::Plain, body));
    }
    let kind = editor.replace_block(Place { graph, block: only }, BlockKind::State(Box::default()))?;
    editor.edit_region(graph, body, |region| {
        region.blocks.clear();
        region.start = None;
    })?;
    Some(kind)
}
