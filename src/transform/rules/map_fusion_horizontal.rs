//! # map_fusion_horizontal
//!
//! Makes one map of two that run over the same range, read the same container and do not depend on each other, so that
//! what both read is read once.
//!
//! ## Legal when
//! - the ranges are equal, dimension by dimension, and known in front of the loops;
//! - no path leads from one map to the other, and one of the two can move to the other's place: everything that
//!   the later one needs is there when the earlier one runs, or nobody between them needs the earlier one.
//!
//! ## Before
//! ```pelton
//! program sum_and_difference(a: f64[8], b: f64[8], s: f64[8], d: f64[8]) {
//!   state main {
//!     map i in 0:8 { s[i] = a[i] + b[i] }
//!     map j in 0:8 { d[j] = a[j] - b[j] }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program sum_and_difference(a: f64[8], b: f64[8], s: f64[8], d: f64[8]) {
//!   state main {
//!     map i in 0:8 {
//!       s[i] = a[i] + b[i]
//!       d[i] = a[i] - b[i]
//!     }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program dependent(a: f64[8], s: f64[8], d: f64[8]) {
//!   state main {
//!     map i in 0:8 { s[i] = a[i] + 1 }
//!     map i in 0:8 { d[i] = a[i] - s[7 - i] }
//!   }
//! }
//! ```
//!
//! Enables: map_fusion_vertical (two readers become one). Source: DaCe `MapFusionHorizontal`.

use hashbrown::{HashMap, HashSet};

use crate::entity::Name;
use crate::ir::{EdgeId, NodeId, NodeKind};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::cost;
use crate::transform::editor::{Editor, Place, View};
use crate::transform::order::{self, Unit};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;
use crate::transform::substitute;

/// Readers of one container that are looked at as partners.
const PARTNERS: usize = 16;

/// The rule.
pub struct MapFusionHorizontal;

/// A fusion: the body of `second` moves into `first`.
pub struct Fusion {
    at: Place,
    first: Unit,
    second: Unit,
    /// Whether the fused map runs where the second one ran.
    later: bool,
    renaming: Vec<(Name, ExprId)>,
}

impl Transformation for MapFusionHorizontal {
    type Match = Fusion;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Fusion> {
        let Site::Node(at, entry) = site else { return None };
        let view = editor.view(at)?;
        if !is_candidate(&view, entry) || !order::is_explicit(editor, at) {
            return None;
        }
        let (view, exprs) = editor.split(at)?;
        let second = Unit { begin: entry, end: view.index.exit(entry)? };
        for partner in partners(&view, entry) {
            let Some(end) = view.index.exit(partner) else { continue };
            let first = Unit { begin: partner, end };
            let Some(renaming) = renaming(&view, exprs, first, second) else { continue };
            let Some(later) = place(&view, first, second) else { continue };
            if bodies_fit(&view, exprs, first, second, &renaming) {
                return Some(Fusion { at, first, second, later, renaming });
            }
        }
        None
    }

    fn apply(editor: &mut Editor<'_>, fusion: Fusion) -> Result<(), Stopped> {
        fuse(editor, fusion).ok_or(Stopped)
    }
}

pub(super) fn is_candidate(view: &View<'_>, entry: NodeId) -> bool {
    matches!(view.kind(entry), Some(NodeKind::MapEntry(_)))
        && view.index.parent(entry).is_none()
        && scope::is_plain(view, entry)
}

/// Earlier maps that read what this one reads, nearest first.
pub(super) fn partners(view: &View<'_>, entry: NodeId) -> Vec<NodeId> {
    let key = view.index.key(entry);
    let mut found: Vec<(u32, NodeId)> = Vec::new();
    let mut seen: HashSet<NodeId> = HashSet::new();
    for (_, edge) in view.data_in(entry) {
        let readers = view.index.outgoing(edge.src);
        for &reader in readers.iter().rev().take(PARTNERS) {
            let other = view.edge(reader).dst;
            if view.index.key(other) < key && is_candidate(view, other) && seen.insert(other) {
                found.push((view.index.key(other), other));
            }
        }
    }
    found.sort_unstable();
    found.into_iter().rev().take(PARTNERS).map(|(_, node)| node).collect()
}

/// What the second map's parameters are called in the first one, if the ranges are equal.
fn renaming(view: &View<'_>, exprs: &mut ExprPool, first: Unit, second: Unit) -> Option<Vec<(Name, ExprId)>> {
    let (a, b) = (scope::map(view, first.begin)?, scope::map(view, second.begin)?);
    if a.params.len() != b.params.len() || a.schedule != b.schedule || a.unroll != b.unroll {
        return None;
    }
    let mut renaming: Vec<(Name, ExprId)> = Vec::new();
    for (number, (&own, &other)) in a.params.iter().zip(&b.params).enumerate() {
        let range = substitute::range(exprs, &b.range.ranges[number], &renaming);
        if range != a.range.ranges[number] {
            return None;
        }
        let symbol = exprs.symbol(own);
        renaming.push((other, symbol));
    }
    let same = a.params == b.params;
    Some(if same { Vec::new() } else { renaming })
}

/// Where the fused map can run: `Some(false)` in the first one's place, `Some(true)` in the second one's.
pub(super) fn place(view: &View<'_>, first: Unit, second: Unit) -> Option<bool> {
    let (early, late) = (view.index.key(first.begin), view.index.key(second.begin));
    let incoming = view.index.incoming(second.begin);
    if incoming.iter().all(|&edge| view.index.key(view.edge(edge).src) < early) {
        return Some(false);
    }
    let outgoing = view.index.outgoing(first.end);
    outgoing.iter().all(|&edge| view.index.key(view.edge(edge).dst) > late).then_some(true)
}

/// Whether the bodies can share one scope: they are alike, not too large together, and names do not clash.
pub(super) fn bodies_fit(
    view: &View<'_>,
    exprs: &ExprPool,
    first: Unit,
    second: Unit,
    renaming: &[(Name, ExprId)],
) -> bool {
    let (a, b) = (scope::body(view, first.begin), scope::body(view, second.begin));
    let alike = is_flat(view, &a) && is_flat(view, &b);
    let settled =
        || scope::is_settled(view, exprs, first.begin) && scope::is_settled(view, exprs, second.begin);
    if a.len() + b.len() > cost::MAX_BODY || !alike || !settled() {
        return false;
    }
    let names: HashSet<Name> = a.iter().filter_map(|&node| view.accessed(node)).collect();
    if b.iter().filter_map(|&node| view.accessed(node)).any(|name| names.contains(&name)) {
        return false;
    }
    if renaming.is_empty() {
        return true;
    }
    let old: Vec<Name> = renaming.iter().map(|(old, _)| *old).collect();
    let new: Vec<Name> = renaming.iter().filter_map(|(_, new)| exprs.as_symbol(*new)).collect();
    // A symbol from outside that is called like a parameter of the first map would be hidden by it.
    let hidden = |name: Name| new.contains(&name) && !old.contains(&name);
    b.iter().all(|&node| match view.kind(node) {
        Some(NodeKind::Tasklet(tasklet)) => {
            substitute::fits_tasklet(exprs, view.names, tasklet, renaming)
                && tasklet.code.iter().all(|code| !code.symbols.iter().any(|(name, _)| hidden(*name)))
        }
        Some(NodeKind::Access { .. }) => true,
        _ => false,
    } && view.index.incoming(node).iter().chain(view.index.outgoing(node)).all(|&edge| {
        let ranges = view.edge(edge).memlet.subset.iter().chain(&view.edge(edge).memlet.other_subset);
        ranges.flat_map(|subset| &subset.ranges).all(|range| {
            [range.start, range.end, range.step]
                .into_iter()
                .all(|expr| !exprs.free_symbols(expr).into_iter().any(hidden))
        })
    }))
}

/// Whether a body has no loops of its own.
fn is_flat(view: &View<'_>, body: &[NodeId]) -> bool {
    body.iter().all(|&node| matches!(view.kind(node), Some(NodeKind::Tasklet(_) | NodeKind::Access { .. })))
}

fn fuse(editor: &mut Editor<'_>, fusion: Fusion) -> Option<()> {
    let Fusion { at, first, second, later, renaming } = fusion;
    let view = editor.view(at)?;
    let body = scope::body(&view, second.begin);
    let written: Vec<Name> = view.data_out(second.end).filter_map(|(_, edge)| edge.memlet.data).collect();
    let classes: Vec<Name> = written.iter().map(|&name| view.facts.class(name)).collect();
    if later {
        let own: Vec<Name> = view.data_out(first.end).filter_map(|(_, edge)| edge.memlet.data).collect();
        let own: Vec<Name> = own.into_iter().map(|name| view.facts.class(name)).collect();
        for node in [first.begin, first.end] {
            let parent = editor.view(at)?.index.parent(node);
            editor.set_place(at, node, parent, second.begin);
        }
        for class in own {
            editor.add_writer(at, class, first);
        }
    }
    for class in classes {
        editor.add_writer(at, class, first);
    }
    rename(editor, at, &body, &renaming)?;
    move_inputs(editor, at, first, second)?;
    move_outputs(editor, at, first, second)?;
    for node in body {
        if editor.view(at)?.index.parent(node) == Some(second.begin) {
            editor.set_place(at, node, Some(first.begin), first.begin);
        }
    }
    editor.remove_node(at, second.begin)?;
    editor.remove_node(at, second.end)?;
    // Both were settled, and neither depends on the other.
    editor.set_settled(at, first.begin);
    Some(())
}

fn rename(editor: &mut Editor<'_>, at: Place, body: &[NodeId], renaming: &[(Name, ExprId)]) -> Option<()> {
    if renaming.is_empty() {
        return Some(());
    }
    let view = editor.view(at)?;
    let mut edges: Vec<EdgeId> = Vec::new();
    for &node in body {
        edges.extend(view.index.incoming(node).iter().chain(view.index.outgoing(node)));
    }
    edges.sort_unstable();
    edges.dedup();
    for edge in edges {
        let memlet = editor.view(at)?.edge(edge).memlet.clone();
        let memlet = substitute::memlet(&mut editor.exprs, &memlet, renaming);
        editor.edit_edge(at, edge, |edge| edge.memlet = memlet)?;
    }
    for &node in body {
        let Some(NodeKind::Tasklet(tasklet)) = editor.view(at)?.kind(node) else { continue };
        let mut tasklet = tasklet.clone();
        substitute::tasklet(&editor.exprs, &editor.names, &mut tasklet, renaming);
        editor.edit_node(at, node, |node| node.kind = NodeKind::Tasklet(tasklet))?;
    }
    Some(())
}

fn move_inputs(editor: &mut Editor<'_>, at: Place, first: Unit, second: Unit) -> Option<()> {
    let view = editor.view(at)?;
    let outer: Vec<EdgeId> = view.index.incoming(second.begin).to_vec();
    let inner: Vec<EdgeId> = view.index.outgoing(second.begin).to_vec();
    let mut sources: HashMap<Name, NodeId> = HashMap::new();
    for edge in outer {
        let view = editor.view(at)?;
        let edge = view.edge(edge);
        match edge.dst_conn {
            Some(connector) => {
                sources.insert(connector, edge.src);
            }
            None => {
                let src = edge.src;
                editor.order(at, src, first.begin)?;
            }
        }
    }
    for id in inner {
        let edge = editor.view(at)?.edge(id).clone();
        if edge.dst == second.end {
            editor.order(at, first.begin, first.end)?;
            continue;
        }
        let output = match edge.src_conn {
            None => None,
            Some(output) => {
                let view = editor.view(at)?;
                let stem = view.names.get(output).strip_prefix("OUT_")?;
                let source = *sources.get(&view.names.lookup(&format!("IN_{stem}"))?)?;
                Some(scope::lead_in(editor, at, source, first.begin, &edge.memlet)?)
            }
        };
        editor.edit_edge(at, id, |edge| {
            edge.src = first.begin;
            edge.src_conn = output;
        })?;
    }
    Some(())
}

fn move_outputs(editor: &mut Editor<'_>, at: Place, first: Unit, second: Unit) -> Option<()> {
    let view = editor.view(at)?;
    let outer: Vec<EdgeId> = view.index.outgoing(second.end).to_vec();
    let inner: Vec<EdgeId> = view.index.incoming(second.end).to_vec();
    let mut renamed: HashMap<String, String> = HashMap::new();
    for id in inner {
        let edge = editor.view(at)?.edge(id).clone();
        if edge.src == first.begin || edge.src == second.begin {
            continue;
        }
        let connector = match edge.dst_conn {
            None => None,
            Some(input) => {
                let stem = editor.names.get(input).strip_prefix("IN_")?.to_owned();
                let new = match renamed.get(&stem) {
                    Some(new) => new.clone(),
                    None => {
                        let data = edge.memlet.data?;
                        let new = scope::free_stem(&editor.view(at)?, first.end, data);
                        let input = editor.names.intern(&format!("IN_{new}"));
                        let output = editor.names.intern(&format!("OUT_{new}"));
                        editor.edit_node(at, first.end, |node| {
                            node.inputs.insert(input, Default::default());
                            node.outputs.insert(output, Default::default());
                        })?;
                        renamed.insert(stem, new.clone());
                        new
                    }
                };
                Some(editor.names.intern(&format!("IN_{new}")))
            }
        };
        editor.edit_edge(at, id, |edge| {
            edge.dst = first.end;
            edge.dst_conn = connector;
        })?;
    }
    for id in outer {
        let edge = editor.view(at)?.edge(id).clone();
        match edge.src_conn {
            None => editor.order(at, first.end, edge.dst)?,
            Some(output) => {
                let stem = editor.names.get(output).strip_prefix("OUT_")?.to_owned();
                let output = editor.names.intern(&format!("OUT_{}", renamed.get(&stem)?));
                editor.edit_edge(at, id, |edge| {
                    edge.src = first.end;
                    edge.src_conn = Some(output);
                })?;
            }
        }
    }
    Some(())
}
