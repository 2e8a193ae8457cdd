//! Arguments of nested graphs: which container outside an argument is, and which of its elements.

use crate::entity::Name;
use crate::ir::{Contract, Data, DataKind, Memlet, NodeId, Subset};
use crate::symbolic::{ExprId, ExprPool};

use super::copies::Correspondence;
use super::editor::View;
use super::scope;

/// An argument of a nested graph.
pub struct Argument {
    /// The container outside.
    pub outer: Name,
    /// Which of its elements each element of the argument is.
    pub indices: Correspondence,
    /// All of it, in the indices of the nested graph.
    pub whole: Subset,
    /// Where it comes from: node and connector.
    pub source: Option<(NodeId, Option<Name>)>,
    /// Where it goes.
    pub target: Option<(NodeId, Option<Name>)>,
}

/// A declaration with other sizes.
pub fn substituted(data: &Data, image: &mut dyn FnMut(ExprId) -> ExprId) -> Data {
    let mut data = data.clone();
    if let DataKind::Array(array) | DataKind::View(array) = &mut data.kind {
        let sizes = array.shape.iter_mut().chain(&mut array.strides).chain(&mut array.offset);
        for size in sizes.chain(&mut array.total_size).chain(&mut array.start_offset) {
            *size = image(*size);
        }
    }
    data
}

/// What the argument `name` of the nested graph that `node` runs is outside; `data`: its declaration, in symbols of the graph
/// outside.
pub fn argument(
    view: &View<'_>,
    exprs: &mut ExprPool,
    node: NodeId,
    name: Name,
    data: &Data,
    contract: Contract,
) -> Option<Argument> {
    let mut incoming = view.data_in(node).filter(|(_, edge)| edge.dst_conn == Some(name));
    let mut outgoing = view.data_out(node).filter(|(_, edge)| edge.src_conn == Some(name));
    let (read, write) = (incoming.next(), outgoing.next());
    if incoming.next().is_some() || outgoing.next().is_some() {
        return None;
    }
    let mut found: Option<(Name, Correspondence)> = None;
    for (_, edge) in read.into_iter().chain(write) {
        let memlet = &edge.memlet;
        let outer = memlet.data?;
        let declared = view.graph.data.get(&outer)?;
        let is_plain = matches!(declared.kind, DataKind::Array(_) | DataKind::Scalar(_));
        if !is_plain || declared.ty != data.ty || memlet.wcr.is_some() || memlet.other_subset.is_some() {
            return None;
        }
        let indices = indices(exprs, declared, memlet, data, contract)?;
        if found.as_ref().is_some_and(|known| *known != (outer, indices.clone())) {
            return None;
        }
        found = Some((outer, indices));
    }
    let (outer, indices) = found?;
    Some(Argument {
        outer,
        indices,
        whole: scope::whole(exprs, data),
        source: read.map(|(_, edge)| (edge.src, edge.src_conn)),
        target: write.map(|(_, edge)| (edge.dst, edge.dst_conn)),
    })
}

/// Which elements of the outer container the elements of the argument are.
fn indices(
    exprs: &mut ExprPool,
    outer: &Data,
    memlet: &Memlet,
    inner: &Data,
    contract: Contract,
) -> Option<Correspondence> {
    let zero = exprs.int(0);
    let plain = |data: &Data| {
        data.array()
            .is_none_or(|array| array.offset.iter().chain(&array.start_offset).all(|&offset| offset == zero))
    };
    if !plain(outer) || !plain(inner) {
        return None;
    }
    let strides = |data: &Data| data.array().map_or(Vec::new(), |array| array.strides.clone());
    if contract == Contract::Whole {
        if outer.shape() == inner.shape() && strides(outer) == strides(inner) {
            return Some(Correspondence::identity(exprs, outer.shape().len().max(1)));
        }
        // Whether the layouts agree may depend on the symbols. If they do, the argument starts where the container starts: so
        // unless it is known that they do not, it has to start there in any case.
        let differ = outer.shape().len() != inner.shape().len()
            || outer.shape().iter().zip(inner.shape()).any(|(&a, &b)| {
                let difference = exprs.sub(a, b);
                exprs.as_int(difference).is_some_and(|difference| difference != 0)
            });
        let starts = memlet.subset.iter().flat_map(|subset| &subset.ranges).map(|range| range.start);
        if !differ && !starts.into_iter().all(|start| start == zero) {
            return None;
        }
    }
    let subset = memlet.subset.clone().unwrap_or_else(|| scope::whole(exprs, outer));
    let one = exprs.int(1);
    let (inner_strides, outer_strides) = (strides(inner), strides(outer));
    // Dimensions of the argument in order, each the next one outside that has its extent and distance.
    let mut open = (0..inner.shape().len()).filter(|&dim| inner.shape()[dim] != one).peekable();
    let mut dims = Vec::with_capacity(subset.ranges.len());
    for (dim, range) in subset.ranges.iter().enumerate() {
        let length = exprs.sub(range.end, range.start);
        let extent = exprs.add(length, one);
        let next = open.peek().copied().filter(|&next| {
            extent == inner.shape()[next]
                && outer_strides.get(dim) == inner_strides.get(next)
                && range.step == one
                && range.tile == one
        });
        if next.is_some() {
            open.next();
        }
        dims.push((next, range.start));
    }
    open.next().is_none().then(|| Correspondence::new(dims, inner.shape().len().max(1)))
}
