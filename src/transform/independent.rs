//! Whether iterations of a loop may run in any order: they do plain work, and touch elements of their own.

use crate::entity::Name;
use crate::ir::{Edge, Map, Memlet, NodeId, NodeKind, Subset, Tasklet};
use crate::scalar::PortKind;
use crate::symbolic::ExprPool;

use super::dead;
use super::editor::View;
use super::scope;

/// Whether a state is made of maps, pure tasklets that `fits` takes, copies and operations of linear algebra; the parameters of
/// its maps are added to `params`.
pub fn does_plain_work(view: &View<'_>, params: &mut Vec<Name>, fits: &dyn Fn(&Tasklet) -> bool) -> bool {
    view.state.live_nodes().all(|(id, node)| match &node.kind {
        NodeKind::Access { .. } | NodeKind::MapExit { .. } => true,
        NodeKind::MapEntry(map) => {
            params.extend(&map.params);
            scope::is_plain(view, id)
        }
        NodeKind::Tasklet(tasklet) => tasklet.code.as_ref().is_some_and(|code| {
            let is_plain = |kind: PortKind| !matches!(kind, PortKind::Stream | PortKind::Memory);
            dead::is_pure(code) && code.ports.values().all(|port| is_plain(port.kind)) && fits(tasklet)
        }),
        NodeKind::Library(library) => {
            matches!(library.class(), "Reduce" | "MatMul" | "Gemm" | "Gemv" | "Dot" | "Transpose")
        }
        _ => false,
    })
}

/// The elements of a container that an edge of its paths touches, if the memlet says.
pub fn touched<'e>(view: &View<'_>, edge: &'e Edge, name: Name) -> Option<&'e Subset> {
    if edge.memlet.data == Some(name) {
        return edge.memlet.subset.as_ref();
    }
    let is_end = [edge.src, edge.dst].iter().any(|&end| view.accessed(end) == Some(name));
    edge.memlet.other_subset.as_ref().filter(|_| is_end)
}

/// Whether in some dimension all subsets have one index that differs from iteration to iteration: `variable` times a number
/// plus what does not depend on `params`.
pub fn are_disjoint(exprs: &mut ExprPool, subsets: &[&Subset], variable: Name, params: &[Name]) -> bool {
    let Some((first, rest)) = subsets.split_first() else { return true };
    (0..first.ranges.len()).any(|dim| {
        let range = first.ranges[dim];
        let same = |subset: &&Subset| {
            subset.ranges.len() == first.ranges.len()
                && (subset.ranges[dim].start, subset.ranges[dim].end) == (range.start, range.start)
                && exprs.as_int(subset.ranges[dim].tile) == Some(1)
        };
        if range.end != range.start || !rest.iter().chain([first]).all(same) {
            return false;
        }
        let Some((coefficients, constant)) = exprs.as_affine(range.start, &[variable]) else { return false };
        exprs.as_int(coefficients[0]).is_some_and(|factor| factor != 0)
            && !exprs.depends_on_any(constant, params)
    })
}

/// Whether iterations of a map may run in any order: they write different elements, without conflict resolution, and read of
/// what they write only their own.
pub fn runs_in_any_order(view: &View<'_>, exprs: &mut ExprPool, entry: NodeId, map: &Map) -> bool {
    does_not_meet(view, exprs, entry, map, false)
}

/// Whether no iteration of a map touches an element that another one writes, but for what both add by conflict resolution, if
/// `resolves` lets them.
pub fn does_not_meet(
    view: &View<'_>,
    exprs: &mut ExprPool,
    entry: NodeId,
    map: &Map,
    resolves: bool,
) -> bool {
    let Some(exit) = view.index.exit(entry) else { return false };
    let writes: Vec<&Memlet> = view.data_in(exit).map(|(_, edge)| &edge.memlet).collect();
    let reads: Vec<&Memlet> = view.data_out(entry).map(|(_, edge)| &edge.memlet).collect();
    writes.iter().all(|write| {
        let (Some(data), Some(subset)) = (write.data, write.subset.as_ref()) else { return false };
        let class = view.facts.class(data);
        let own = |memlet: &&Memlet| {
            memlet.data.is_none_or(|name| view.facts.class(name) != class)
                || memlet.data == Some(data) && same_elements(memlet.subset.as_ref(), subset)
        };
        if write.wcr.is_some() && resolves {
            let elsewhere = |memlet: &&Memlet| memlet.data.is_none_or(|name| view.facts.class(name) != class);
            return reads.iter().all(elsewhere)
                && writes.iter().all(|other| elsewhere(other) || other.wcr == write.wcr)
                && !view.facts.is_read_by_expression(data);
        }
        write.wcr.is_none()
            && write.other_subset.is_none()
            && scope::is_point(exprs, subset)
            && scope::is_injective(exprs, map, subset)
            && reads.iter().chain(&writes).all(own)
            && !view.facts.is_read_by_expression(data)
    })
}

fn same_elements(a: Option<&Subset>, b: &Subset) -> bool {
    a.is_some_and(|a| a == b)
}
