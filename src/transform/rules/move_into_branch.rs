//! # move_into_branch
//!
//! Computes values in the branch of a conditional block that alone reads them, instead of before it, where they are computed
//! whichever branch runs.
//!
//! ## Legal when
//! - the values are written in full, to a transient that nobody else reads or writes, and what computes them does nothing else;
//! - what they are made of is not written after them; a symbol that they read and that the edge to the conditional block assigns
//!   would mean something else in the branch, so the edge keeps its value under another name, which they read there;
//! - no container that they use has a size that depends on such a symbol.
//!
//! ## Before
//! ```pelton
//! program rare(a: f64[8], b: f64[8], N: i64 symbol) {
//!   transient t: f64[8]
//!   symbol k: i64
//!   state first { }
//!   state make { map i in 0:8 { t[i] = a[i] * k } }
//!   conditional choose {
//!     case N > 3 {
//!       state use { map i in 0:8 { b[i] = t[i] + k } }
//!     }
//!   }
//!   first -> make { k = 2 }
//!   make -> choose { k = N * N }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program rare(a: f64[8], b: f64[8], N: i64 symbol) {
//!   transient t: f64[8]
//!   symbol k: i64
//!   symbol k_before: i64
//!   state first { }
//!   state make { }
//!   conditional choose {
//!     case N > 3 {
//!       state moved { map i in 0:8 { t[i] = a[i] * k_before } }
//!       state use { map i in 0:8 { b[i] = t[i] + k } }
//!       moved -> use
//!     }
//!   }
//!   first -> make { k = 2 }
//!   make -> choose { k_before = k, k = N * N }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program overwritten(a: f64[8], b: f64[8], N: i64 symbol) {
//!   transient t: f64[8]
//!   state make {
//!     map i in 0:8 { t[i] = a[i] * N }
//!     map i in 0:8 { a[i] = 0 }
//!   }
//!   if N > 3 {
//!     state use { map i in 0:8 { b[i] = t[i] + 1 } }
//!   }
//! }
//! ```
//!
//! Enables: state_fusion and map_fusion_vertical in the branch. Source: GT4Py `MoveDataflowIntoIfBody`.

use hashbrown::{HashMap, HashSet};

use crate::analysis::uses::layout_exprs;
use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, DataKind, GraphId, InterstateEdge, Lifetime, NodeId, NodeKind, RegionId, State,
};
use crate::scalar::{DType, PortKind, Type};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::control;
use crate::transform::dead;
use crate::transform::editor::{Editor, Place, View};
use crate::transform::order::{self, Unit, unit_of};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;
use crate::transform::split;
use crate::transform::substitute;

/// The rule.
pub struct MoveIntoBranch;

/// What moves from states into branches.
pub struct Found {
    graph: GraphId,
    region: RegionId,
    moves: Vec<Move>,
}

/// Units of a state with the access nodes that they write, for one branch.
struct Move {
    block: BlockId,
    body: RegionId,
    units: Vec<Unit>,
    results: Vec<NodeId>,
}

impl Transformation for MoveIntoBranch {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Region;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Region(graph, region) = site else { return None };
        let around = editor.graph(graph)?;
        let edges = &around.regions.get(region)?.edges;
        let mut ways: HashMap<BlockId, (usize, usize)> = HashMap::new();
        for edge in edges {
            ways.entry(edge.src).or_default().1 += 1;
            ways.entry(edge.dst).or_default().0 += 1;
        }
        let fits = |edge: &&InterstateEdge| {
            let is_conditional = matches!(
                around.blocks.get(edge.dst).map(|block| &block.kind),
                Some(BlockKind::Conditional(_))
            );
            is_conditional
                && edge.condition.is_none()
                && ways.get(&edge.src).is_some_and(|ways| ways.1 == 1)
                && ways.get(&edge.dst).is_some_and(|ways| ways.0 == 1)
                && around.state(edge.src).is_some_and(|state| state.live_nodes().next().is_some())
        };
        let pairs: Vec<(BlockId, BlockId, Vec<Name>)> = (edges.iter().filter(fits))
            .map(|edge| {
                (edge.src, edge.dst, edge.assignments.iter().map(|(name, _)| *name).collect::<Vec<Name>>())
            })
            .collect();
        let mut moves = Vec::new();
        for (block, conditional, assigned) in pairs {
            moves.extend(
                moves_from(editor, Place { graph, block }, conditional, &assigned).unwrap_or_default(),
            );
        }
        (!moves.is_empty()).then_some(Found { graph, region, moves })
    }

    fn apply(editor: &mut Editor<'_>, found: Found) -> Result<(), Stopped> {
        apply(editor, found).ok_or(Stopped)
    }
}

/// Accesses of a container in the branches of a conditional block.
#[derive(Clone, Copy)]
struct InBranches {
    branch: usize,
    count: u32,
    /// Other branches access it, too.
    several: bool,
}

fn moves_from(
    editor: &mut Editor<'_>,
    at: Place,
    conditional: BlockId,
    assigned: &[Name],
) -> Option<Vec<Move>> {
    if !order::is_explicit(editor, at) {
        return None;
    }
    let graph = editor.graph(at.graph)?;
    let BlockKind::Conditional(branches) = &graph.blocks.get(conditional)?.kind else { return None };
    let bodies: Vec<RegionId> = branches.iter().map(|branch| branch.body).collect();
    let mut inside: HashMap<Name, InBranches> = HashMap::new();
    for (branch, &body) in bodies.iter().enumerate() {
        let states = control::blocks_under(graph, body).into_iter().filter_map(|block| graph.state(block));
        for (_, node) in states.flat_map(|state| state.live_nodes()) {
            let NodeKind::Access { data, .. } = node.kind else { continue };
            let known = inside.entry(data).or_insert(InBranches { branch, count: 0, several: false });
            known.count += 1;
            known.several |= known.branch != branch;
        }
    }
    let (view, exprs) = editor.split(at)?;
    let mut results: Vec<(u32, NodeId)> = (view.state.live_nodes())
        .filter(|&(id, _)| view.accessed(id).is_some() && view.index.parent(id).is_none())
        .map(|(id, _)| (view.index.key(id), id))
        .collect();
    // Later ones first: what only they read moves with them.
    results.sort_unstable_by(|a, b| b.cmp(a));
    let mut moves: Vec<Option<Move>> = bodies.iter().map(|_| None).collect();
    let mut moved: HashMap<NodeId, usize> = HashMap::new();
    for (_, node) in results {
        let Some(branch) = branch_of(&view, node, &inside, &moved) else { continue };
        let Some((_, write)) = view.data_in(node).next() else { continue };
        let Some(unit) = unit_of(&view, write.src) else { continue };
        if !scope::is_written_in_full(&view, exprs, node) || !can_move(&view, exprs, node, unit, assigned) {
            continue;
        }
        let body = bodies[branch];
        let new = || Move { block: at.block, body, units: Vec::new(), results: Vec::new() };
        let one = moves[branch].get_or_insert_with(new);
        moved.insert(node, branch);
        // Of a copy, the source stays where it is.
        if view.accessed(unit.begin).is_none() {
            moved.insert(unit.begin, branch);
            one.units.push(unit);
        }
        one.results.push(node);
    }
    Some(moves.into_iter().flatten().collect())
}

/// The one branch in which an access node's container is read, if only it and units that move there read it.
fn branch_of(
    view: &View<'_>,
    node: NodeId,
    inside: &HashMap<Name, InBranches>,
    moved: &HashMap<NodeId, usize>,
) -> Option<usize> {
    let name = view.accessed(node)?;
    let data = view.graph.data.get(&name)?;
    let is_own = data.transient
        && matches!(data.lifetime, Lifetime::Scope | Lifetime::Graph)
        && matches!(view.kind(node), Some(NodeKind::Access { setzero: false, .. }))
        && !view.facts.is_shared(name)
        && !view.facts.is_read_by_name(name);
    if !is_own {
        return None;
    }
    let mut branch = None;
    let mut count = 1;
    if let Some(known) = inside.get(&name) {
        if known.several {
            return None;
        }
        (branch, count) = (Some(known.branch), count + known.count);
    }
    if view.facts.access_nodes(name) != count {
        return None;
    }
    for (_, edge) in view.data_out(node) {
        let reader =
            if view.accessed(edge.dst).is_some() { edge.dst } else { unit_of(view, edge.dst)?.begin };
        let to = *moved.get(&reader)?;
        if branch.is_some_and(|branch| branch != to) {
            return None;
        }
        branch = Some(to);
    }
    branch
}

/// Whether what writes a node can run later: it computes nothing else, from values and symbols that are the same then.
fn can_move(view: &View<'_>, exprs: &mut ExprPool, node: NodeId, unit: Unit, assigned: &[Name]) -> bool {
    let key = view.index.key(unit.begin);
    let mut sources = if view.accessed(unit.begin).is_some() {
        vec![unit.begin]
    } else {
        view.data_in(unit.begin).map(|(_, edge)| edge.src).collect()
    };
    sources.sort_unstable();
    sources.dedup();
    if !sources.into_iter().all(|source| outlives_state(view, exprs, source)) {
        return false;
    }
    let exprs = &*exprs;
    let same_later = |name: Name| {
        let class = view.facts.class(name);
        order::next_writer(view, class, key).is_none() && !view.facts.is_read_by_expression(name)
    };
    if let Some(source) = view.accessed(unit.begin) {
        // A copy: the source may do other things.
        // Its own writers come first, and are not later ones.
        let ends = [Some(source), view.accessed(node)];
        return same_later(source)
            && ends
                .into_iter()
                .all(|name| name.is_some_and(|name| has_fixed_size(view, exprs, name, assigned)));
    }
    let only_result = view.data_out(unit.end).all(|(_, edge)| edge.dst == node);
    let inputs = view.data_in(unit.begin).all(|(_, edge)| {
        view.accessed(edge.src).is_some_and(|name| {
            edge.memlet.data.is_some_and(same_later) && same_later(name) && view.accessed(node) != Some(name)
        })
    });
    only_result
        && inputs
        && parts(view, unit).iter().all(|&part| does_only_compute(view, exprs, part, assigned))
}

/// Whether the content of an access node is the same in a state that runs next: a container that only this state uses is taken
/// anew each time the state runs, and kept from one time to the next if others use it, too.
fn outlives_state(view: &View<'_>, exprs: &mut ExprPool, node: NodeId) -> bool {
    let Some(name) = view.accessed(node) else { return false };
    let Some(data) = view.graph.data.get(&name) else { return false };
    let own = view.index.accesses(name);
    let is_local = data.transient
        && matches!(data.lifetime, Lifetime::Scope | Lifetime::State)
        && view.facts.access_nodes(name) as usize == own.len();
    let is_cleared =
        own.iter().any(|&node| matches!(view.kind(node), Some(NodeKind::Access { setzero: true, .. })));
    matches!(data.kind, DataKind::Array(_) | DataKind::Scalar(_))
        && data.lifetime != Lifetime::State
        && (!is_local || !is_cleared && own.len() == 1 && scope::is_written_in_full(view, exprs, node))
}

/// All nodes of a unit.
fn parts(view: &View<'_>, unit: Unit) -> Vec<NodeId> {
    let mut parts = vec![unit.begin];
    if unit.end != unit.begin {
        parts.extend(scope::body(view, unit.begin));
        parts.push(unit.end);
    }
    parts
}

fn does_only_compute(view: &View<'_>, exprs: &ExprPool, node: NodeId, assigned: &[Name]) -> bool {
    let kind = match view.kind(node) {
        Some(NodeKind::Tasklet(tasklet)) => tasklet.code.as_ref().is_some_and(|code| {
            code.ports.values().all(|port| port.kind != PortKind::Stream) && dead::is_pure(code)
        }),
        Some(NodeKind::MapEntry(map)) => {
            scope::is_plain(view, node) && map.params.iter().all(|param| !assigned.contains(param))
        }
        Some(NodeKind::MapExit { .. }) => true,
        Some(NodeKind::Access { data, setzero }) => {
            // One iteration's own.
            !setzero
                && view.facts.access_nodes(*data) == 1
                && !view.facts.is_shared(*data)
                && view.graph.data.get(data).is_some_and(|data| data.transient)
        }
        Some(NodeKind::Library(library)) => {
            matches!(library.class(), "Reduce" | "MatMul" | "Gemm" | "Gemv" | "Dot" | "Transpose")
        }
        _ => false,
    };
    let edges = view.index.incoming(node).iter().chain(view.index.outgoing(node));
    kind && edges.into_iter().all(|&id| {
        let memlet = &view.edge(id).memlet;
        let wcr = memlet.wcr.iter().filter_map(|wcr| wcr.code.as_ref()).flat_map(|code| &code.symbols);
        wcr.into_iter().all(|(name, _)| !assigned.contains(name))
            && memlet.data.is_none_or(|name| has_fixed_size(view, exprs, name, assigned))
    })
}

/// Whether the layout of a container depends on none of these symbols.
fn has_fixed_size(view: &View<'_>, exprs: &ExprPool, name: Name, assigned: &[Name]) -> bool {
    let data = view.graph.data.get(&name);
    data.is_some_and(|data| layout_exprs(data).iter().all(|&expr| !exprs.depends_on_any(expr, assigned)))
}

fn apply(editor: &mut Editor<'_>, found: Found) -> Option<()> {
    let Found { graph, region, moves } = found;
    // All states first, then all branches, then what is left: what is known of the graph is found out again only once.
    let mut made = Vec::with_capacity(moves.len());
    for one in &moves {
        let view = editor.view(Place { graph, block: one.block })?;
        let units = one.units.iter().flat_map(|&unit| parts(&view, unit));
        let mut inside: Vec<NodeId> = units.chain(one.results.iter().copied()).collect();
        inside.sort_by_key(|&node| (view.index.key(node), node));
        let (state, sources) = split::copied(&view, &inside)?;
        made.push((with_kept_symbols(editor, graph, region, one.block, state)?, sources));
    }
    let mut left = Vec::with_capacity(moves.len());
    for (one, (state, sources)) in moves.iter().zip(made) {
        put_first(editor, graph, one.body, state)?;
        left.push(sources);
    }
    for (Move { block, units, results, .. }, sources) in moves.into_iter().zip(left) {
        let at = Place { graph, block };
        for unit in units {
            let inner = parts(&editor.view(at)?, unit);
            for &node in inner.iter().filter(|&&node| node != unit.begin && node != unit.end) {
                editor.remove_node(at, node)?;
            }
            dead::remove_unit(editor, at, unit.begin, unit.end)?;
        }
        for node in results {
            dead::remove_unit(editor, at, node, node)?;
        }
        for node in sources {
            let view = editor.view(at)?;
            if view.data_in(node).next().is_none() && view.data_out(node).next().is_none() {
                dead::remove_unit(editor, at, node, node)?;
            }
        }
        editor.loosen(at);
    }
    Some(())
}

/// A state that ran before the edge out of `block`, to run behind it: of the symbols that it reads and the edge assigns, the edge
/// keeps the values, under names that it reads instead.
fn with_kept_symbols(
    editor: &mut Editor<'_>,
    graph: GraphId,
    region: RegionId,
    block: BlockId,
    state: State,
) -> Option<State> {
    let around = editor.graph(graph)?;
    let edge = around.regions.get(region)?.edges.iter().position(|edge| edge.src == block)?;
    let assignments = &around.regions.get(region)?.edges.get(edge)?.assignments;
    let mut assigned: Vec<Name> = assignments.iter().map(|(name, _)| *name).collect();
    assigned.sort_unstable();
    assigned.dedup();
    let read = control::symbols_of(&editor.exprs, &state);
    assigned.retain(|name| read.contains_key(name));
    let mut by: Vec<(Name, ExprId)> = Vec::with_capacity(assigned.len());
    let mut kept = Vec::with_capacity(assigned.len());
    for name in assigned {
        let declared = editor.graph(graph)?.symbols.get(&name).and_then(|ty| ty.scalar());
        let dtype = declared.or(*read.get(&name)?).unwrap_or(DType::I64);
        let stem = format!("{}_before", editor.names.get(name));
        let new = editor.declare_symbol(graph, &stem, Type::Scalar(dtype))?;
        by.push((name, editor.exprs.symbol(new)));
        kept.push((new, control::value_of_symbol(editor.names.get(name), name, dtype)));
    }
    if kept.is_empty() {
        return Some(state);
    }
    editor.edit_region(graph, region, |region| {
        if let Some(edge) = region.edges.get_mut(edge) {
            edge.assignments.splice(0..0, kept);
        }
    })?;
    substitute::state(&mut editor.exprs, &editor.names, &state, &by)
}

/// Has a region run a state before all else.
fn put_first(editor: &mut Editor<'_>, graph: GraphId, body: RegionId, state: State) -> Option<()> {
    let around = editor.graph(graph)?;
    let region = around.regions.get(body)?;
    let entry = region.entry()?;
    let labels: HashSet<String> =
        region.blocks.iter().filter_map(|&id| Some(around.blocks.get(id)?.label.clone())).collect();
    let numbered = (1..).map(|number| format!("moved_{number}"));
    let label = std::iter::once("moved".to_owned()).chain(numbered).find(|label| !labels.contains(label))?;
    let new = editor.add_block(graph, &label, BlockKind::State(Box::new(state)))?;
    editor.edit_region(graph, body, |region| {
        region.blocks.insert(0, new);
        region.edges.push(InterstateEdge {
            src: new,
            dst: entry,
            condition: None,
            assignments: Vec::new(),
            extra: Default::default(),
        });
        region.start = Some(new);
    })
}
