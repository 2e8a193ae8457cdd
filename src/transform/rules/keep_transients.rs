//! # keep_transients
//!
//! A transient that is allocated in each iteration of a loop keeps its memory instead, so that a kernel allocates nothing
//! between its loops.
//!
//! ## Legal when
//! - all its access nodes lie in one state, outside maps, and the first one is written in full, so that no element of an
//!   earlier iteration is seen;
//! - its size does not change while the graph runs, and is known to be one that can be allocated: each extent is a
//!   positive number or the extent of an argument. The memory is taken even if the loop never runs.
//!
//! ## Before
//! ```pelton
//! program steps(a: f64[N], N: i64 symbol) {
//!   transient t: f64[N]
//!   for k in 0:N {
//!     map i in 0:N { t[i] = a[i] * 2 }
//!     map i in 0:N { a[i] = t[N - 1 - i] }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program steps(a: f64[N], N: i64 symbol) {
//!   transient t: f64[N] lifetime(graph)
//!   for k in 0:N {
//!     map i in 0:N { t[i] = a[i] * 2 }
//!     map i in 0:N { a[i] = t[N - 1 - i] }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program shrinking(a: f64[N], N: i64 symbol) {
//!   transient t: f64[N - k]
//!   for k in 0:N {
//!     map i in 0:N - k { t[i] = a[i] * 2 }
//!     map i in 0:N - k { a[i] = t[N - 1 - k - i] }
//!   }
//! }
//! ```
//!
//! Enables: vectors around loops, in kernels. Source: DaCe `make_transients_persistent`.

use hashbrown::HashSet;
use indexmap::IndexMap;

use crate::analysis::uses::{assigned_symbols, layout_exprs};
use crate::entity::Name;
use crate::ir::{Data, DataKind, GraphId, Lifetime, NodeId, NodeKind, State};
use crate::symbolic::{ExprId, ExprPool};
use crate::transform::control;
use crate::transform::editor::{Editor, Place};
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct KeepTransients;

/// Transients of a graph that keep their memory.
pub struct Kept {
    graph: GraphId,
    names: Vec<Name>,
}

impl Transformation for KeepTransients {
    type Match = Kept;
    const KIND: SiteKind = SiteKind::Graph;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Kept> {
        let Site::Graph(graph) = site else { return None };
        let used = used_in_loops(editor, graph)?;
        let around = editor.graph(graph)?;
        let assigned: Vec<Name> = assigned_symbols(around).into_iter().collect();
        let arguments = around.data.values().filter(|data| !data.transient);
        let bound: HashSet<ExprId> = arguments.flat_map(Data::shape).copied().collect();
        let fits = |exprs: &ExprPool, data: &Data| {
            let extent =
                |extent: &ExprId| bound.contains(extent) || exprs.as_int(*extent).is_some_and(|n| n > 0);
            data.transient
                && matches!(data.kind, DataKind::Array(_))
                && matches!(data.lifetime, Lifetime::Scope | Lifetime::State)
                && data.shape().iter().all(extent)
                && !layout_exprs(data).into_iter().any(|expr| exprs.depends_on_any(expr, &assigned))
        };
        let mut names = Vec::new();
        for (name, nodes) in used {
            let declared = editor.graph(graph)?.data.get(&name);
            if declared.is_some_and(|data| fits(&editor.exprs, data)) && is_made_anew(editor, name, &nodes) {
                names.push(name);
            }
        }
        (!names.is_empty()).then_some(Kept { graph, names })
    }

    fn apply(editor: &mut Editor<'_>, Kept { graph, names }: Kept) -> Result<(), Stopped> {
        for name in names {
            editor.edit_data(graph, name, |data| data.lifetime = Lifetime::Graph).ok_or(Stopped)?;
        }
        Ok(())
    }
}

/// Containers with access nodes at the top level of states in loops, with these; `None` if there are no loops.
fn used_in_loops(editor: &Editor<'_>, graph: GraphId) -> Option<IndexMap<Name, Vec<(Place, NodeId)>>> {
    let around = editor.graph(graph)?;
    let loops = control::loops(editor, graph);
    let mut used: IndexMap<Name, Vec<(Place, NodeId)>> = IndexMap::new();
    let mut seen = HashSet::new();
    for block in loops {
        // Loops in loops were walked with the outermost one.
        if seen.contains(&block) {
            continue;
        }
        for body in control::bodies(around, block) {
            for block in control::blocks_under(around, body) {
                seen.insert(block);
                let at = Place { graph, block };
                for (node, kind) in editor.state(at).into_iter().flat_map(State::live_nodes) {
                    if let NodeKind::Access { data, .. } = kind.kind {
                        used.entry(data).or_default().push((at, node));
                    }
                }
            }
        }
    }
    (!used.is_empty()).then_some(used)
}

/// Whether nobody sees what a container held before its state began: these are all its access nodes, they lie in one
/// state, and the first one is written in full.
fn is_made_anew(editor: &mut Editor<'_>, name: Name, nodes: &[(Place, NodeId)]) -> bool {
    let Some(&(at, _)) = nodes.first() else { return false };
    let Some((view, exprs)) = editor.split(at) else { return false };
    let first = nodes.iter().map(|&(_, node)| node).min_by_key(|&node| view.index.key(node));
    nodes.iter().all(|&(place, node)| place == at && view.index.parent(node).is_none())
        && usize::try_from(view.facts.access_nodes(name)).is_ok_and(|count| count == nodes.len())
        && !view.facts.is_shared(name)
        && !view.facts.is_read_by_name(name)
        && first.is_some_and(|node| scope::is_written_in_full(&view, exprs, node))
}
