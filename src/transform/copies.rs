//! Copies between access nodes: which element of the target is which element of the source.

use crate::entity::Name;
use crate::ir::{Data, DataKind, Edge, EdgeId, Lifetime, NodeId, NodeKind, Range, Subset};
use crate::scalar::{PortKind, Type};
use crate::symbolic::{ExprId, ExprPool};

use super::dead::inner_edges;
use super::editor::View;
use super::scope;

/// How an index of one end of a copy becomes an index of the other end.
#[derive(Clone, PartialEq, Debug)]
pub struct Correspondence {
    /// Per dimension of the result: the dimension it follows (with what to add to its index), or a fixed index.
    dims: Vec<Dimension>,
    /// Dimensions of what is mapped.
    rank: usize,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Dimension {
    Follows(usize, ExprId),
    Fixed(ExprId),
}

impl Correspondence {
    /// Per dimension of the result: the dimension of what is mapped that it follows, if it follows one, and what is added to its
    /// index (or the index). `rank`: dimensions of what is mapped.
    pub fn new(dims: Vec<(Option<usize>, ExprId)>, rank: usize) -> Correspondence {
        let dimension = |(from, offset)| match from {
            Some(from) => Dimension::Follows(from, offset),
            None => Dimension::Fixed(offset),
        };
        Correspondence { dims: dims.into_iter().map(dimension).collect(), rank }
    }

    /// Every element is itself.
    pub fn identity(exprs: &mut ExprPool, rank: usize) -> Correspondence {
        let zero = exprs.int(0);
        Correspondence::new((0..rank).map(|dim| (Some(dim), zero)).collect(), rank)
    }

    /// Whether the result has the same dimensions in the same order, behind others that stand still.
    pub fn keeps_dimensions(&self) -> bool {
        let Some(fixed) = self.dims.len().checked_sub(self.rank) else { return false };
        self.dims.iter().enumerate().all(|(at, dimension)| match *dimension {
            Dimension::Fixed(_) => at < fixed,
            Dimension::Follows(from, _) => from + fixed == at,
        })
    }

    /// Whether the result has just the dimensions of what is mapped.
    pub fn keeps_rank(&self) -> bool {
        self.dims.len() == self.rank && self.keeps_dimensions()
    }

    /// The elements that `subset` becomes.
    pub fn map(&self, exprs: &mut ExprPool, subset: &Subset) -> Option<Subset> {
        if subset.ranges.len() != self.rank {
            return None;
        }
        let one = exprs.int(1);
        let mut ranges = Vec::with_capacity(self.dims.len());
        for dimension in &self.dims {
            ranges.push(match *dimension {
                Dimension::Follows(from, offset) => {
                    let range = subset.ranges.get(from)?;
                    Range {
                        start: exprs.add(range.start, offset),
                        end: exprs.add(range.end, offset),
                        ..*range
                    }
                }
                Dimension::Fixed(index) => Range { start: index, end: index, step: one, tile: one },
            });
        }
        Some(Subset { ranges })
    }
}

/// A copy edge, both ends spelled out.
pub struct Copy {
    /// Elements of the source.
    pub source: Subset,
    /// Elements of the target.
    pub target: Subset,
}

/// The elements that a copy edge joins; `None` for reshapes, strided copies and copies that accumulate.
pub fn copy_of(view: &View<'_>, exprs: &mut ExprPool, edge: &Edge) -> Option<Copy> {
    let (source, target) = (view.accessed(edge.src)?, view.accessed(edge.dst)?);
    let memlet = &edge.memlet;
    if memlet.wcr.is_some()
        || memlet.dynamic
        || source == target
        || edge.src_conn.is_some()
        || edge.dst_conn.is_some()
    {
        return None;
    }
    let (from, to) = (view.graph.data.get(&source)?, view.graph.data.get(&target)?);
    let is_plain =
        |data: &Data| matches!(data.kind, DataKind::Array(_)) && matches!(data.ty, Type::Scalar(_));
    if !is_plain(from) || !is_plain(to) || from.ty != to.ty {
        return None;
    }
    let (own, other) = (memlet.subset.clone(), memlet.other_subset.clone());
    let (read, written) = if memlet.data == Some(source) {
        (own, other)
    } else if memlet.data == Some(target) {
        (other, own)
    } else {
        return None;
    };
    // A side that is not given is the whole container, if that has as many elements.
    let source = read.unwrap_or_else(|| scope::whole(exprs, from));
    let target = written.unwrap_or_else(|| scope::whole(exprs, to));
    let copy = Copy { source, target };
    copy.correspondence(exprs, true).is_some().then_some(copy)
}

impl Copy {
    /// From indices of the target to indices of the source (`to_source`), or back.
    pub fn correspondence(&self, exprs: &mut ExprPool, to_source: bool) -> Option<Correspondence> {
        let (from, to) = if to_source { (&self.target, &self.source) } else { (&self.source, &self.target) };
        let one = exprs.int(1);
        let is_solid = |range: &Range| range.step == one && range.tile == one;
        if !from.ranges.iter().chain(&to.ranges).all(is_solid) {
            return None;
        }
        let mut open = from.ranges.iter().enumerate().filter(|(_, range)| range.start != range.end);
        let mut dims = Vec::with_capacity(to.ranges.len());
        for range in &to.ranges {
            if range.start == range.end {
                dims.push(Dimension::Fixed(range.start));
                continue;
            }
            let (number, other) = open.next()?;
            if exprs.sub(range.end, range.start) != exprs.sub(other.end, other.start) {
                return None;
            }
            dims.push(Dimension::Follows(number, exprs.sub(range.start, other.start)));
        }
        open.next().is_none().then_some(Correspondence { dims, rank: from.ranges.len() })
    }
}

/// Whether a container is an array of the program's own that only this access node uses.
pub fn is_private(view: &View<'_>, node: NodeId) -> bool {
    let Some(name) = view.accessed(node) else { return false };
    view.graph.data.get(&name).is_some_and(|data| {
        data.transient
            && matches!(data.kind, DataKind::Array(_))
            && !matches!(data.lifetime, Lifetime::Persistent | Lifetime::External)
    }) && matches!(view.kind(node), Some(NodeKind::Access { setzero: false, .. }))
        && view.index.parent(node).is_none()
        && view.facts.access_nodes(name) == 1
        && !view.facts.is_shared(name)
        && !view.facts.is_read_by_name(name)
}

/// All edges of the paths out of an access node, if every reader takes single values: then it does not matter how the
/// container is laid out.
pub fn value_reads(view: &View<'_>, exprs: &ExprPool, node: NodeId, name: Name) -> Option<Vec<EdgeId>> {
    value_reads_from(view, exprs, view.data_out(node).map(|(id, _)| id).collect(), name)
}

/// [`value_reads`] along some edges out of an access node.
pub fn value_reads_from(
    view: &View<'_>,
    exprs: &ExprPool,
    mut open: Vec<EdgeId>,
    name: Name,
) -> Option<Vec<EdgeId>> {
    let mut found = Vec::new();
    while let Some(id) = open.pop() {
        found.push(id);
        let edge = view.edge(id);
        if edge.memlet.data != Some(name) || edge.memlet.other_subset.is_some() {
            return None;
        }
        let subset = edge.memlet.subset.as_ref()?;
        match view.kind(edge.dst)? {
            NodeKind::MapEntry(_) => {
                let stem = view.names.get(edge.dst_conn?).strip_prefix("IN_")?;
                open.extend(view.data_out(edge.dst).filter_map(|(inner, onward)| {
                    let output = view.names.get(onward.src_conn?).strip_prefix("OUT_")?;
                    (output == stem).then_some(inner)
                }));
            }
            NodeKind::Tasklet(tasklet) => {
                let code = tasklet.code.as_ref()?;
                let port = code.ports.values().find(|port| Some(port.name) == edge.dst_conn);
                let is_value = port.is_none_or(|port| port.kind == PortKind::Value && !port.writes);
                if !is_value || edge.memlet.dynamic || !scope::is_point(exprs, subset) {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(found)
}

/// All edges of the paths into an access node, if every writer gives single values.
pub fn value_writes(view: &View<'_>, exprs: &ExprPool, node: NodeId, name: Name) -> Option<Vec<EdgeId>> {
    value_writes_to(view, exprs, view.data_in(node).map(|(id, _)| id).collect(), name)
}

/// [`value_writes`] along some edges into an access node.
pub fn value_writes_to(
    view: &View<'_>,
    exprs: &ExprPool,
    mut open: Vec<EdgeId>,
    name: Name,
) -> Option<Vec<EdgeId>> {
    let mut found = Vec::new();
    while let Some(id) = open.pop() {
        found.push(id);
        let edge = view.edge(id);
        let memlet = &edge.memlet;
        if memlet.data != Some(name) || memlet.other_subset.is_some() || memlet.wcr.is_some() {
            return None;
        }
        let subset = memlet.subset.as_ref()?;
        match view.kind(edge.src)? {
            NodeKind::MapExit { .. } => open.extend(inner_edges(view, edge.src, edge.src_conn)),
            NodeKind::Tasklet(tasklet) => {
                let code = tasklet.code.as_ref()?;
                let port = code.ports.values().find(|port| Some(port.name) == edge.src_conn);
                let is_value = port.is_some_and(|port| port.kind == PortKind::Value && !port.reads);
                if !is_value || memlet.dynamic || !scope::is_point(exprs, subset) {
                    return None;
                }
            }
            _ => return None,
        }
    }
    Some(found)
}
