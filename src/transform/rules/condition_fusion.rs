//! # condition_fusion
//!
//! Makes one conditional block of conditional blocks over the same conditions, or over a condition and its opposite, that follow
//! each other.
//!
//! ## Legal when
//! - nothing but states that do nothing stands between them, and there is no other way from or to them;
//! - the branches of the earlier ones assign no symbol and write no container that the conditions read.
//!
//! ## Before
//! ```pelton
//! program same(a: f64[4], b: f64[4], N: i64 symbol) {
//!   transient t: f64[4]
//!   state start { map i in 0:4 { t[i] = a[i] } }
//!   if N > 3 {
//!     state first { map i in 0:4 { t[i] = a[i] * 2 } }
//!   } else {
//!     state other { map i in 0:4 { t[i] = a[i] * 3 } }
//!   }
//!   if N > 3 { state second { map i in 0:4 { b[i] = t[i] + 1 } } }
//!   if not (N > 3) { state third { map i in 0:4 { b[i] = t[i] + 2 } } }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program same(a: f64[4], b: f64[4], N: i64 symbol) {
//!   transient t: f64[4]
//!   state start { map i in 0:4 { t[i] = a[i] } }
//!   if N > 3 {
//!     state first { map i in 0:4 { t[i] = a[i] * 2 } }
//!     state second { map i in 0:4 { b[i] = t[i] + 1 } }
//!   } else {
//!     state other { map i in 0:4 { t[i] = a[i] * 3 } }
//!     state third { map i in 0:4 { b[i] = t[i] + 2 } }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program changed(a: f64[4], b: f64[4]) {
//!   if a[0] > 0 { state first { map i in 0:4 { a[i] = a[i] * 0 - 1 } } }
//!   if a[0] > 0 { state second { map i in 0:4 { b[i] = a[i] + 1 } } }
//! }
//! ```
//!
//! Enables: inline_region, state_fusion and then all rules for dataflow. Source: DaCe `ConditionFusion`.

use hashbrown::{HashMap, HashSet};

use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, Branch, CodeExpr, Graph, GraphId, InterstateEdge, NodeKind, Region, RegionFlavor,
    RegionId,
};
use crate::scalar::code::{Inst, Op};
use crate::scalar::{BinaryOp, Code, Type, UnaryOp};
use crate::transform::assigned;
use crate::transform::control;
use crate::transform::editor::{Editor, Place};
use crate::transform::facts::Facts;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct ConditionFusion;

/// Runs of conditional blocks in a region, with the empty states between them.
pub struct Found {
    graph: GraphId,
    region: RegionId,
    runs: Vec<Run>,
}

/// Blocks that become one.
#[derive(Default)]
struct Run {
    /// Each with whether it asks for the opposite of what the first one asks for.
    conditionals: Vec<(BlockId, bool)>,
    /// All blocks from the first conditional to the last.
    blocks: Vec<BlockId>,
}

impl Transformation for ConditionFusion {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Region;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Region(id, region) = site else { return None };
        let graph = editor.graph(id)?;
        let around = graph.regions.get(region)?;
        let is_conditional = |block: &BlockId| branches(graph, *block).is_some();
        if around.blocks.iter().filter(|block| is_conditional(block)).count() < 2 {
            return None;
        }
        let (graph, facts) = editor.known(id)?;
        let runs = runs(graph, facts, graph.regions.get(region)?);
        (!runs.is_empty()).then_some(Found { graph: id, region, runs })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        for run in found.runs {
            fuse(editor, found.graph, found.region, &run).ok_or(Stopped)?;
        }
        Ok(())
    }
}

fn branches(graph: &Graph, block: BlockId) -> Option<&[Branch]> {
    match &graph.blocks.get(block)?.kind {
        BlockKind::Conditional(branches) => Some(branches),
        _ => None,
    }
}

fn conditions(branches: &[Branch]) -> impl Iterator<Item = &CodeExpr> {
    branches.iter().filter_map(|branch| branch.condition.as_ref())
}

/// Whether two conditional blocks decide alike (`Some(false)`), or the second one asks for the opposite of the only condition of
/// the first one; only an else branch may be missing.
fn relation(first: &[Branch], second: &[Branch]) -> Option<bool> {
    let codes = |branches: &[Branch]| -> Option<Vec<Code>> {
        conditions(branches).map(|condition| condition.code.clone()).collect()
    };
    let (own, other) = (codes(first)?, codes(second)?);
    if own == other {
        return Some(false);
    }
    match (&own[..], &other[..]) {
        ([own], [other]) if are_opposite(own, other) || are_opposite(other, own) => Some(true),
        _ => None,
    }
}

/// Whether `other` is the condition `own` with its last comparison turned around, or with a `not` in front.
fn are_opposite(own: &Code, other: &Code) -> bool {
    let &[result] = &own.body.results[..] else { return false };
    let Some(last) = own.body.insts.last() else { return false };
    if let Op::Binary(op, a, b) = last.op
        && last.results == [result]
    {
        let is_ordered = own.types.get(a).and_then(|ty| ty.scalar()).is_some_and(|dtype| dtype.is_integral());
        let turned = match op {
            BinaryOp::Eq => Some(BinaryOp::Ne),
            // What is not a number is neither less nor not less.
            BinaryOp::Lt if is_ordered => Some(BinaryOp::Ge),
            BinaryOp::Le if is_ordered => Some(BinaryOp::Gt),
            _ => None,
        };
        let mut negated = own.clone();
        if let (Some(op), Some(last)) = (turned, negated.body.insts.last_mut()) {
            last.op = Op::Binary(op, a, b);
            if negated == *other {
                return true;
            }
        }
    }
    if own.types.get(result) != Some(&Type::BOOL) {
        return false;
    }
    let mut negated = own.clone();
    let value = negated.types.push(Type::BOOL);
    negated.body.insts.push(Inst { op: Op::Unary(UnaryOp::Not, result), results: vec![value] });
    negated.body.results = vec![value];
    negated == *other
}

/// What conditions read, and whether a block may have changed it.
struct Watched {
    symbols: HashSet<Name>,
    classes: HashSet<Name>,
}

impl Watched {
    fn of(facts: &Facts, branches: &[Branch]) -> Watched {
        let mut watched = Watched { symbols: HashSet::new(), classes: HashSet::new() };
        for code in conditions(branches).filter_map(|condition| condition.code.as_ref()) {
            watched.symbols.extend(code.symbols.iter().map(|(name, _)| *name));
            watched.classes.extend(code.ports.values().map(|port| facts.class(port.name)));
        }
        watched
    }

    fn is_kept_by(&self, graph: &Graph, facts: &Facts, body: RegionId) -> bool {
        let assigns = !self.symbols.is_empty()
            && assigned::in_region(graph, body).iter().any(|name| self.symbols.contains(name));
        let writes = || {
            control::blocks_under(graph, body).into_iter().filter_map(|block| graph.state(block)).any(
                |state| {
                    state.edges.values().filter(|edge| !edge.removed && !edge.memlet.is_empty()).any(|edge| {
                        matches!(state.nodes.get(edge.dst).map(|node| &node.kind),
                        Some(NodeKind::Access { data, .. }) if self.classes.contains(&facts.class(*data)))
                    })
                },
            )
        };
        !assigns && (self.classes.is_empty() || !writes())
    }
}

fn runs(graph: &Graph, facts: &Facts, region: &Region) -> Vec<Run> {
    let mut ways: HashMap<BlockId, (usize, usize)> = HashMap::new();
    for edge in &region.edges {
        ways.entry(edge.src).or_default().1 += 1;
        ways.entry(edge.dst).or_default().0 += 1;
    }
    let plain = |edge: &&InterstateEdge| {
        edge.condition.is_none()
            && edge.assignments.is_empty()
            && edge.src != edge.dst
            && ways.get(&edge.src).is_some_and(|ways| ways.1 == 1)
            && ways.get(&edge.dst).is_some_and(|ways| ways.0 == 1)
    };
    let next: HashMap<BlockId, BlockId> =
        region.edges.iter().filter(plain).map(|edge| (edge.src, edge.dst)).collect();
    let is_empty =
        |block: BlockId| graph.state(block).is_some_and(|state| state.live_nodes().next().is_none());
    let mut found = Vec::new();
    let mut taken: HashSet<BlockId> = HashSet::new();
    for &first in &region.blocks {
        let Some(own) = branches(graph, first).filter(|_| !taken.contains(&first)) else { continue };
        let mut before = own;
        let watched = Watched::of(facts, own);
        let keeps =
            |branches: &[Branch]| branches.iter().all(|branch| watched.is_kept_by(graph, facts, branch.body));
        let mut run = Run { conditionals: vec![(first, false)], blocks: vec![first] };
        let mut between: Vec<BlockId> = Vec::new();
        let mut at = first;
        while let Some(&block) = next.get(&at).filter(|block| !taken.contains(*block) && **block != first) {
            at = block;
            if is_empty(block) && between.len() < region.blocks.len() {
                between.push(block);
                continue;
            }
            let Some(branches) = branches(graph, block).filter(|_| keeps(before)) else { break };
            let Some(opposite) = relation(own, branches) else { break };
            run.blocks.append(&mut between);
            run.blocks.push(block);
            run.conditionals.push((block, opposite));
            before = branches;
        }
        taken.extend(&run.blocks);
        if run.conditionals.len() > 1 {
            found.push(run);
        }
    }
    found
}

fn fuse(editor: &mut Editor<'_>, graph: GraphId, region: RegionId, run: &Run) -> Option<()> {
    let (&first, rest) = run.blocks.split_first()?;
    let around = editor.graph(graph)?;
    // Branches in the order of the first block; the last one may be for all other cases.
    let mut fused: Vec<(Branch, Vec<RegionId>)> = Vec::new();
    for &(block, opposite) in &run.conditionals {
        for (number, branch) in branches(around, block)?.iter().enumerate() {
            let place = if opposite { 1usize.checked_sub(number)? } else { number };
            match fused.get_mut(place) {
                Some((_, bodies)) => bodies.push(branch.body),
                // An earlier block lacks only this one.
                None => fused.push((
                    Branch { condition: branch.condition.clone().filter(|_| !opposite), ..branch.clone() },
                    vec![branch.body],
                )),
            }
        }
    }
    let mut made = Vec::with_capacity(fused.len());
    for (branch, bodies) in fused {
        let body = one_after_another(editor, graph, &bodies)?;
        made.push(Branch { body, ..branch });
    }
    for &block in rest {
        editor.replace_block(Place { graph, block }, BlockKind::State(Box::default()))?;
    }
    editor.replace_block(Place { graph, block: first }, BlockKind::Conditional(made))?;
    let last = *run.blocks.last()?;
    editor.edit_region(graph, region, |region| {
        let gone: HashSet<BlockId> = rest.iter().copied().collect();
        region.start = region.entry();
        region.edges.retain(|edge| !gone.contains(&edge.dst));
        for edge in region.edges.iter_mut().filter(|edge| edge.src == last) {
            edge.src = first;
        }
        region.blocks.retain(|block| !gone.contains(block));
    })
}

/// A region that runs others in turn.
fn one_after_another(editor: &mut Editor<'_>, graph: GraphId, bodies: &[RegionId]) -> Option<RegionId> {
    let around = editor.graph(graph)?;
    let parts: Vec<RegionId> =
        bodies.iter().copied().filter(|&body| !control::does_nothing(around, body)).collect();
    if let &[only] = &parts[..] {
        return Some(only);
    }
    let mut blocks = Vec::with_capacity(parts.len());
    for (number, &body) in parts.iter().enumerate() {
        let kind = BlockKind::Region(RegionFlavor::Plain, body);
        blocks.push(editor.add_block(graph, &format!("part_{number}"), kind)?);
    }
    let edges = blocks.windows(2).map(|pair| InterstateEdge {
        src: pair[0],
        dst: pair[1],
        condition: None,
        assignments: Vec::new(),
        extra: Default::default(),
    });
    let region = Region { edges: edges.collect(), start: blocks.first().copied(), blocks };
    editor.add_region(graph, region)
}
