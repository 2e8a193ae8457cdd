//! # map_dimension_order
//!
//! Runs the parameter along which memory is contiguous innermost, so that the innermost loop reads and writes neighbours.
//!
//! ## Legal when
//! - the map is parallel, its ranges do not depend on its parameters, and its body is made of tasklets and numbers;
//! - iterations write different elements, without conflict resolution, and read of what they write only their own.
//!
//! It pays if more accesses have unit stride along the new innermost parameter than along the one before.
//!
//! ## Before
//! ```pelton
//! program columns(a: f64[8, 4], b: f64[8, 4]) {
//!   state main {
//!     map j in 0:4, i in 0:8 { b[i, j] = a[i, j] * 2 }
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program columns(a: f64[8, 4], b: f64[8, 4]) {
//!   state main {
//!     map i in 0:8, j in 0:4 { b[i, j] = a[i, j] * 2 }
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program sums(a: f64[8, 4], b: f64[8]) {
//!   state main {
//!     map j in 0:4, i in 0:8 { b[i] += a[i, j] }
//!   }
//! }
//! ```
//!
//! Enables: vectors in kernels. Source: GT4Py `gt_set_iteration_order` (`map_orderer`), DaCe `MapDimShuffle`.

use crate::entity::Name;
use crate::ir::{Map, Memlet, NodeId, NodeKind, Schedule};
use crate::symbolic::ExprPool;
use crate::transform::editor::{Editor, Place, View};
use crate::transform::independent;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};
use crate::transform::scope;

/// The rule.
pub struct MapDimensionOrder;

/// A map with the order its parameters get.
pub struct Found {
    at: Place,
    entry: NodeId,
    map: Map,
}

impl Transformation for MapDimensionOrder {
    type Match = Found;
    const KIND: SiteKind = SiteKind::Node;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Found> {
        let Site::Node(at, entry) = site else { return None };
        let (view, exprs) = editor.split(at)?;
        let map = scope::map(&view, entry)?;
        if !can_be_ordered(&view, exprs, entry) {
            return None;
        }
        let best = best(&view, exprs, entry, |_| true)?;
        if best + 1 == map.params.len() || !independent::runs_in_any_order(&view, exprs, entry, map) {
            return None;
        }
        let mut map = map.clone();
        let (param, range) = (map.params.remove(best), map.range.ranges.remove(best));
        map.params.push(param);
        map.range.ranges.push(range);
        Some(Found { at, entry, map })
    }

    fn apply(editor: &mut Editor<'_>, Found { at, entry, map }: Found) -> Result<(), Stopped> {
        editor.edit_node(at, entry, |node| node.kind = NodeKind::MapEntry(map)).ok_or(Stopped)
    }
}

/// Whether a map is one whose order of parameters this rule decides, as far as its head says.
pub(super) fn can_be_ordered(view: &View<'_>, exprs: &ExprPool, entry: NodeId) -> bool {
    let Some(map) = scope::map(view, entry) else { return false };
    let is_parallel = matches!(map.schedule, Schedule::Default | Schedule::Parallel);
    let is_box = map.range.ranges.iter().all(|range| {
        [range.start, range.end, range.step].iter().all(|&expr| !exprs.depends_on_any(expr, &map.params))
    });
    map.params.len() > 1 && is_parallel && is_box && scope::is_plain(view, entry)
}

/// The parameter along which most accesses to containers that `counts` meet neighbours: the last one, unless another one is
/// better.
fn best(
    view: &View<'_>,
    exprs: &mut ExprPool,
    entry: NodeId,
    counts: impl Fn(Name) -> bool,
) -> Option<usize> {
    let map = scope::map(view, entry)?;
    let mut strides: Vec<usize> = vec![0; map.params.len()];
    for memlet in memlets(view, entry)? {
        if memlet.data.is_some_and(&counts)
            && let Some(param) = contiguous_along(view, exprs, memlet, &map.params)
        {
            strides[param] += 1;
        }
    }
    // The last of the best ones: the order changes no more than it has to.
    (0..map.params.len()).max_by_key(|&param| strides[param])
}

/// The parameter that runs innermost when this rule has seen the map and only containers with a given layout counted.
pub(super) fn innermost(view: &View<'_>, exprs: &mut ExprPool, entry: NodeId) -> Option<Name> {
    let map = scope::map(view, entry)?;
    let is_given = |name: Name| view.graph.data.get(&name).is_some_and(|data| !data.transient);
    let best = can_be_ordered(view, exprs, entry)
        .then(|| best(view, exprs, entry, is_given))
        .flatten()
        .filter(|_| independent::runs_in_any_order(view, exprs, entry, map));
    best.and_then(|best| map.params.get(best)).or(map.params.last()).copied()
}

/// What the body reads and writes across the border of its scope; `None` for a body that is more than tasklets and numbers.
pub(super) fn memlets<'e>(view: &View<'e>, entry: NodeId) -> Option<Vec<&'e Memlet>> {
    let exit = view.index.exit(entry)?;
    for node in scope::body(view, entry) {
        let is_simple = match view.kind(node)? {
            NodeKind::Tasklet(tasklet) => tasklet.code.is_some(),
            NodeKind::Access { data, .. } => {
                // A number of the iteration's own.
                view.graph.data.get(data).is_some_and(|data| data.transient)
                    && view.facts.access_nodes(*data) == 1
                    && !view.facts.is_shared(*data)
                    && !view.facts.is_read_by_name(*data)
            }
            _ => false,
        };
        if !is_simple {
            return None;
        }
    }
    let found = view.data_out(entry).chain(view.data_in(exit)).map(|(id, _)| &view.state.edges[id].memlet);
    Some(found.collect())
}

/// The parameter along which neighbours in memory are met.
pub(super) fn contiguous_along(
    view: &View<'_>,
    exprs: &mut ExprPool,
    memlet: &Memlet,
    params: &[Name],
) -> Option<usize> {
    let array = view.graph.data.get(&memlet.data?)?.array()?;
    let subset = memlet.subset.as_ref()?;
    let dim = array.strides.iter().position(|&stride| exprs.as_int(stride) == Some(1))?;
    let index = subset.ranges.get(dim)?.start;
    let (coefficients, _) = exprs.as_affine(index, params)?;
    let mut along = (0..params.len()).filter(|&param| exprs.as_int(coefficients[param]) != Some(0));
    let (found, None) = (along.next()?, along.next()) else { return None };
    (exprs.as_int(coefficients[found]).map(i64::abs) == Some(1)).then_some(found)
}
