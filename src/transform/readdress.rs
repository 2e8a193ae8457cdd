//! A container that shows the memory of another one: which element of the other one each of its elements is.

use crate::entity::Name;
use crate::ir::{Array, Data, EdgeId, Memlet, NodeId, NodeKind, Range, Subset};
use crate::symbolic::{ExprId, ExprPool};

use super::copies::{self, Correspondence};
use super::editor::View;

/// How an index of the alias becomes an index of the target: both are addresses in one memory, so that strides decide.
#[derive(Clone, PartialEq, Debug)]
pub enum Readdress {
    /// Each dimension follows one of the alias, or stands still.
    Slice {
        /// The indices.
        map: Correspondence,
        /// Whether dimensions follow each other in the same order, so that a box of elements has the same order.
        in_order: bool,
    },
    /// The target has one dimension without gaps: where it starts, and the strides of the alias.
    Linear {
        /// First element.
        start: ExprId,
        /// Elements from one index to the next, per dimension of the alias.
        strides: Vec<ExprId>,
    },
}

impl Readdress {
    /// From indices of `alias` to indices of `target`, where `shown` is the part of the target it starts at.
    pub fn new(exprs: &mut ExprPool, alias: &Data, target: &Data, shown: &Subset) -> Option<Readdress> {
        let (own, other) = (plain(exprs, alias)?, plain(exprs, target)?);
        let one = exprs.int(1);
        if alias.ty != target.ty
            || shown.ranges.len() != other.shape.len()
            || shown.ranges.iter().any(|range| range.tile != one || range.step != one)
        {
            return None;
        }
        slice(exprs, own, other, shown).or_else(|| linear(exprs, own, other, shown))
    }

    /// The elements of the target that a subset of the alias is.
    pub fn map(&self, exprs: &mut ExprPool, subset: &Subset) -> Option<Subset> {
        match self {
            Readdress::Slice { map, .. } => map.map(exprs, subset),
            Readdress::Linear { start, strides } => {
                let one = exprs.int(1);
                if subset.ranges.len() != strides.len() || subset.ranges.iter().any(|range| range.tile != one)
                {
                    return None;
                }
                let (mut first, mut last) = (*start, *start);
                for (range, &stride) in subset.ranges.iter().zip(strides) {
                    let (low, high) = (exprs.mul(range.start, stride), exprs.mul(range.end, stride));
                    (first, last) = (exprs.add(first, low), exprs.add(last, high));
                }
                Some(Subset { ranges: vec![Range { start: first, end: last, step: one, tile: one }] })
            }
        }
    }

    /// The memlet of an edge of the alias, for the target instead.
    pub fn memlet(&self, exprs: &mut ExprPool, memlet: &Memlet, alias: Name, target: Name) -> Option<Memlet> {
        let mut made = memlet.clone();
        if memlet.data == Some(alias) {
            made.data = Some(target);
            made.subset = Some(self.map(exprs, memlet.subset.as_ref()?)?);
        } else {
            made.other_subset = Some(self.map(exprs, memlet.other_subset.as_ref()?)?);
        }
        made.is_data_src = None;
        made.volume = None;
        Some(made)
    }

    /// Whether a box of elements is one of the target with the same dimensions, behind others of one index.
    fn keeps_dimensions(&self) -> bool {
        matches!(self, Readdress::Slice { map, .. } if map.keeps_dimensions())
    }

    /// Whether a copy of a box of elements is one of the target as well.
    pub fn keeps_order(&self) -> bool {
        matches!(self, Readdress::Slice { in_order: true, .. })
    }
}

/// The layout of an array that starts where its memory starts.
fn plain<'d>(exprs: &ExprPool, data: &'d Data) -> Option<&'d Array> {
    let array = data.array()?;
    let is_zero = |expr: &ExprId| exprs.as_int(*expr) == Some(0);
    let starts = array.offset.iter().all(is_zero) && array.start_offset.iter().all(is_zero);
    (starts && array.shape.len() == array.strides.len()).then_some(array)
}

fn slice(exprs: &mut ExprPool, own: &Array, other: &Array, shown: &Subset) -> Option<Readdress> {
    let one = exprs.int(1);
    let mut follows: Vec<Option<usize>> = vec![None; other.shape.len()];
    let mut in_order = true;
    let mut last: Option<usize> = None;
    for (dim, (&extent, stride)) in own.shape.iter().zip(&own.strides).enumerate() {
        // The index of a dimension of one element is zero.
        if exprs.as_int(extent) == Some(1) {
            continue;
        }
        let found = (0..other.shape.len()).find(|&at| {
            let range = &shown.ranges[at];
            let span = exprs.sub(range.end, range.start);
            follows[at].is_none() && other.strides[at] == *stride && exprs.add(span, one) == extent
        })?;
        in_order &= last.is_none_or(|last| last < found);
        last = Some(found);
        follows[found] = Some(dim);
    }
    let dims = follows.iter().zip(&shown.ranges).map(|(from, range)| (*from, range.start)).collect();
    let stands = |(from, range): (&Option<usize>, &Range)| from.is_some() || range.start == range.end;
    let is_all = follows.iter().zip(&shown.ranges).all(stands);
    is_all.then(|| Readdress::Slice { map: Correspondence::new(dims, own.shape.len()), in_order })
}

fn linear(exprs: &mut ExprPool, own: &Array, other: &Array, shown: &Subset) -> Option<Readdress> {
    let ([range], [stride]) = (&shown.ranges[..], &other.strides[..]) else { return None };
    // Row-major strides are products of extents, so none of them is negative.
    let mut expected = exprs.int(1);
    for (&extent, &stride) in own.shape.iter().zip(&own.strides).rev() {
        if stride != expected {
            return None;
        }
        expected = exprs.mul(expected, extent);
    }
    let one = exprs.int(1);
    let span = exprs.sub(range.end, range.start);
    let count = exprs.add(span, one);
    (exprs.as_int(*stride) == Some(1) && count == expected)
        .then(|| Readdress::Linear { start: range.start, strides: own.strides.clone() })
}

/// All edges with data at a node but one.
pub fn others(view: &View<'_>, node: NodeId, but: Option<EdgeId>) -> Vec<EdgeId> {
    let edges = view.data_in(node).chain(view.data_out(node));
    edges.map(|(id, _)| id).filter(|id| Some(*id) != but).collect()
}

/// Whether a node multiplies matrices: dimensions of one index in front of theirs make no difference to it.
fn multiplies_matrices(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Library(library) if matches!(library.class(), "MatMul" | "Gemm" | "BatchedMatMul"))
}

/// New memlets of all edges of the paths that lead to an access node of an alias, or from it, through some of its edges. `None`
/// unless all of them take single values, copy boxes of elements or multiply matrices; whether there are such copies out of the
/// node.
pub fn uses(
    view: &View<'_>,
    exprs: &mut ExprPool,
    node: NodeId,
    edges: &[EdgeId],
    by: &Readdress,
    target: Name,
) -> Option<(Vec<(EdgeId, Memlet)>, bool)> {
    let alias = view.accessed(node)?;
    let mut values: Vec<EdgeId> = Vec::new();
    let mut copied: Vec<EdgeId> = Vec::new();
    let mut copies_out = false;
    // A matrix has two dimensions at least.
    let is_matrix = view.graph.data.get(&alias).is_some_and(|data| data.shape().len() >= 2);
    for &id in edges {
        let edge = view.edge(id);
        let is_read = edge.src == node;
        let other = if is_read { edge.dst } else { edge.src };
        if view.accessed(other).is_some() {
            copied.push(id);
            copies_out |= is_read;
        } else if view.kind(other).is_some_and(multiplies_matrices) {
            let memlet = &edge.memlet;
            let is_box =
                memlet.data == Some(alias) && memlet.subset.is_some() && memlet.other_subset.is_none();
            if !is_matrix || !is_box || memlet.dynamic || memlet.wcr.is_some() || !by.keeps_dimensions() {
                return None;
            }
            values.push(id);
        } else if is_read {
            values.extend(copies::value_reads_from(view, exprs, vec![id], alias)?);
        } else {
            values.extend(copies::value_writes_to(view, exprs, vec![id], alias)?);
        }
    }
    for &id in &copied {
        let edge = view.edge(id);
        let ends = [view.accessed(edge.src)?, view.accessed(edge.dst)?];
        let memlet = &edge.memlet;
        let meets = ends.iter().filter(|&&end| view.facts.class(end) == view.facts.class(alias)).count() > 1;
        let is_box = memlet.subset.is_some() && memlet.other_subset.is_some();
        let is_plain = edge.src_conn.is_none() && edge.dst_conn.is_none() && !memlet.dynamic;
        let names_end = memlet.data.is_some_and(|data| ends.contains(&data));
        if meets || !is_box || !is_plain || !names_end || !by.keeps_order() {
            return None;
        }
    }
    let mut made = Vec::new();
    for id in values.into_iter().chain(copied) {
        made.push((id, by.memlet(exprs, &view.edge(id).memlet, alias, target)?));
    }
    Some((made, copies_out))
}
