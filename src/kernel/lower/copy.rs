//! Copies between containers: nested loops over both sides.
//!
//! A side that the memlet leaves out is the whole other container if it has as many elements as the given side,
//! else the same subset. Elements meet in row-major order of each side's subset, so that dimensions of one
//! element fall away and ranks may differ; then the elements are counted.

use crate::entity::Name;
use crate::ir::{EdgeId, Subset};
use crate::kernel::{Order, Stmt, ValueId};
use crate::scalar::{BinaryOp, DType};

use super::container::Container;
use super::dataflow::StateContext;
use super::memlet::{Access, AccessRange};
use super::{Lowerer, Lowering};

/// One side of a copy: its access, and the loops over its elements.
pub(super) struct Points {
    pub access: Access,
    pub turns: Vec<Turns>,
}

/// A loop over one dimension of an access. A dimension with tiles has two: from tile to tile, and inside.
pub(super) struct Turns {
    pub dim: usize,
    pub count: ValueId,
    pub step: ValueId,
}

impl<'p> Lowerer<'p> {
    /// A copy along an edge whose ends (through scopes) are `src` and `dst`.
    pub fn copy(&mut self, cx: &StateContext<'p>, edge_id: EdgeId, src: Name, dst: Name) -> Lowering<()> {
        let memlet = &cx.edge(edge_id).memlet;
        let data = memlet.data.unwrap_or(src);
        let data_is_src = if src == dst { memlet.is_data_src != Some(false) } else { data != dst };
        let src = if data != src && data != dst { data } else { src };
        let (mut src_subset, mut dst_subset) = (memlet.subset.as_ref(), memlet.other_subset.as_ref());
        if !data_is_src {
            std::mem::swap(&mut src_subset, &mut dst_subset);
        }
        let taken = self.consumed(cx, edge_id);
        if taken.is_some() {
            src_subset = None;
        }
        let from = match taken {
            Some(taken) => taken,
            None => self.needed_container(src)?,
        };
        let to = self.needed_container(dst)?;
        let is_stream = |container: &Container| matches!(container, Container::Stream(_));
        if is_stream(&from) || is_stream(&to) {
            let from = self.access_of(from, src, src_subset)?;
            let to = self.access_of(to, dst, dst_subset)?;
            return self.copy_stream(cx, edge_id, from, to, memlet.wcr.as_ref());
        }
        if src == dst && memlet.wcr.is_none() {
            // A container copied to itself: both readings of a missing side are the given one.
            (src_subset, dst_subset) = (src_subset.or(dst_subset), dst_subset.or(src_subset));
        }
        let (from, to) = self.sides((src, from), src_subset, (dst, to), dst_subset)?;
        let (from_points, to_points) = (self.points(from)?, self.points(to)?);
        self.move_elements(&from_points, &to_points, data_is_src, memlet.wcr.as_ref())
    }

    fn sides(
        &mut self,
        src: (Name, Container),
        src_subset: Option<&'p Subset>,
        dst: (Name, Container),
        dst_subset: Option<&'p Subset>,
    ) -> Lowering<(Access, Access)> {
        Ok(match (src_subset, dst_subset) {
            (Some(given), None) => {
                let from = self.access_of(src.1, src.0, Some(given))?;
                let to = self.other_side(&from, given, dst)?;
                (from, to)
            }
            (None, Some(given)) => {
                let to = self.access_of(dst.1, dst.0, Some(given))?;
                (self.other_side(&to, given, src)?, to)
            }
            _ => (self.access_of(src.1, src.0, src_subset)?, self.access_of(dst.1, dst.0, dst_subset)?),
        })
    }

    /// The side a memlet leaves out.
    fn other_side(
        &mut self,
        given: &Access,
        subset: &'p Subset,
        (name, other): (Name, Container),
    ) -> Lowering<Access> {
        let whole = self.access_of(other.clone(), name, None)?;
        if whole.ranges.len() != given.ranges.len() || given.all {
            return Ok(whole);
        }
        let (mut a, mut b) = (self.b.int(1), self.b.int(1));
        for (ours, theirs) in given.ranges.clone().iter().zip(&whole.ranges.clone()) {
            let (steps, y) = (self.steps(ours)?, self.count(theirs)?);
            let x = self.b.mul(steps, ours.tile);
            a = self.b.mul(a, x);
            b = self.b.mul(b, y);
        }
        if a == b {
            return Ok(whole);
        }
        if let (Some(a), Some(b)) = (self.b.as_int(a), self.b.as_int(b)) {
            return if a == b { Ok(whole) } else { self.access_of(other.clone(), name, Some(subset)) };
        }
        // The same subset fits whenever the whole has as many elements and starts where the subset does. If the
        // subset starts at zero in every dimension, both readings agree in that case.
        let from_zero = given.ranges.iter().all(|range| self.b.as_int(range.start) == Some(0));
        let unit =
            given.ranges.iter().all(|range| self.b.as_int(range.step) == Some(1) && !self.has_tiles(range));
        if from_zero && unit {
            return self.access_of(other.clone(), name, Some(subset));
        }
        // The run tells which.
        let same = self.b.binary(BinaryOp::Eq, a, b);
        let part = self.access_of(other.clone(), name, Some(subset))?;
        let mut ranges = Vec::with_capacity(whole.ranges.len());
        for (all, some) in whole.ranges.iter().zip(&part.ranges) {
            ranges.push(AccessRange {
                start: self.b.select(same, all.start, some.start),
                end: self.b.select(same, all.end, some.end),
                step: self.b.select(same, all.step, some.step),
                tile: self.b.select(same, all.tile, some.tile),
                single: all.single && some.single,
            });
        }
        Ok(Access { ranges, all: false, ..whole })
    }

    pub(super) fn points(&mut self, access: Access) -> Lowering<Points> {
        let mut counts = Vec::with_capacity(access.ranges.len());
        let mut turns = Vec::with_capacity(access.ranges.len());
        for (dim, range) in access.ranges.iter().enumerate() {
            let count = self.steps(range)?;
            counts.push(count);
            turns.push(Turns { dim, count, step: range.step });
            if self.has_tiles(range) {
                turns.push(Turns { dim, count: range.tile, step: self.b.int(1) });
            }
        }
        self.check_access(&access, &counts)?;
        Ok(Points { access, turns })
    }

    fn move_elements(
        &mut self,
        from: &Points,
        to: &Points,
        shape_is_src: bool,
        wcr: Option<&crate::ir::Wcr>,
    ) -> Lowering<()> {
        let one = |lowerer: &Self, &count: &ValueId| lowerer.b.as_int(count) == Some(1);
        let kept = |lowerer: &Self, points: &Points| -> Vec<usize> {
            (0..points.turns.len()).filter(|&at| !one(lowerer, &points.turns[at].count)).collect()
        };
        let (from_kept, to_kept) = (kept(self, from), kept(self, to));
        if from_kept.len() == to_kept.len() {
            let (own, own_kept) = if shape_is_src { (from, &from_kept) } else { (to, &to_kept) };
            let (other, other_kept) = if shape_is_src { (to, &to_kept) } else { (from, &from_kept) };
            let counts: Vec<ValueId> = own_kept.iter().map(|&at| own.turns[at].count).collect();
            let other: Vec<ValueId> = other_kept.iter().map(|&at| other.turns[at].count).collect();
            // Where extents differ although their product may not, elements are counted.
            let agree = counts.iter().zip(&other).all(|(a, b)| a == b);
            let known_to_differ = counts.iter().zip(&other).any(|(&a, &b)| {
                let difference = self.b.linear(a).plus(&self.b.linear(b), -1).and_then(|d| d.as_constant());
                difference.is_some_and(|difference| difference != 0)
            });
            if agree || counts.len() <= 1 {
                return self.nest(from, &from_kept, to, &to_kept, &counts, wcr);
            }
            if known_to_differ {
                return self.reshape(from, to, wcr);
            }
            self.check_same(&counts, &other)?;
            return self.nest(from, &from_kept, to, &to_kept, &counts, wcr);
        }
        if from_kept.is_empty() || to_kept.is_empty() {
            // One element meets many, or many meet one: the first of each.
            return self.nest(from, &[], to, &[], &[], wcr);
        }
        self.reshape(from, to, wcr)
    }

    fn check_same(&mut self, a: &[ValueId], b: &[ValueId]) -> Lowering<()> {
        let trap = self.trap(crate::kernel::TrapKind::BadShape, "the sides of a copy have different shapes");
        for (&a, &b) in a.iter().zip(b) {
            let same = self.b.binary(BinaryOp::Eq, a, b);
            if self.b.note_check(same, self.b.depth()) {
                self.b.check(same, trap);
            }
        }
        Ok(())
    }

    /// Loops over dimensions that correspond one to one.
    fn nest(
        &mut self,
        from: &Points,
        from_kept: &[usize],
        to: &Points,
        to_kept: &[usize],
        counts: &[ValueId],
        wcr: Option<&crate::ir::Wcr>,
    ) -> Lowering<()> {
        // Overlapping memory is copied in order; other copies may run in any order.
        let order = Order::any_if(match (&from.access.container, &to.access.container) {
            (Container::Memory(a), Container::Memory(b)) => a.buffer != b.buffer,
            _ => true,
        });
        let zero = self.b.int(0);
        let opened: Vec<ValueId> = counts.iter().map(|&count| self.open_count(count)).collect();
        let read = self.indices_at(from, from_kept.iter().map(|&at| &from.turns[at]), &opened);
        let write = self.indices_at(to, to_kept.iter().map(|&at| &to.turns[at]), &opened);
        self.move_one(from, &read, to, &write, wcr)?;
        for (&count, &number) in counts.iter().zip(&opened).rev() {
            let body = self.b.close();
            self.b.push(Stmt::For { variable: number, start: zero, stop: count, step: 1, order, body });
        }
        Ok(())
    }

    /// The element of a side that the turns of its loops reach.
    pub(super) fn indices_at<'t>(
        &mut self,
        points: &Points,
        turns: impl IntoIterator<Item = &'t Turns>,
        numbers: &[ValueId],
    ) -> Vec<ValueId> {
        let mut indices: Vec<ValueId> = points.access.ranges.iter().map(|range| range.start).collect();
        for (&Turns { dim, step, .. }, &number) in turns.into_iter().zip(numbers) {
            let distance = self.b.mul(number, step);
            indices[dim] = self.b.add(indices[dim], distance);
        }
        indices
    }

    fn move_one(
        &mut self,
        from: &Points,
        read: &[ValueId],
        to: &Points,
        write: &[ValueId],
        wcr: Option<&crate::ir::Wcr>,
    ) -> Lowering<()> {
        let source = self.element(&from.access.container, read, &from.access.text)?;
        let target = self.element(&to.access.container, write, &to.access.text)?;
        let values = self.load(&source)?;
        self.store_as(&target, &values, source.ty(), wcr)
    }

    /// One loop over all elements, counted in row-major order on both sides.
    fn reshape(&mut self, from: &Points, to: &Points, wcr: Option<&crate::ir::Wcr>) -> Lowering<()> {
        let total = |lowerer: &mut Self, points: &Points| {
            points.turns.iter().fold(lowerer.b.int(1), |product, turns| lowerer.b.mul(product, turns.count))
        };
        let (count, other) = (total(self, from), total(self, to));
        let smaller = if count == other { count } else { self.b.binary(BinaryOp::Min, count, other) };
        let zero = self.b.int(0);
        let depth = self.b.depth() + 1;
        let number = self.b.new_value(DType::I64, depth);
        self.b.open();
        let at = |lowerer: &mut Self, points: &Points| -> Lowering<Vec<ValueId>> {
            let mut indices: Vec<ValueId> = points.access.ranges.iter().map(|range| range.start).collect();
            let mut rest = number;
            for (at, &Turns { dim, count, step }) in points.turns.iter().enumerate().rev() {
                let position = if at == 0 {
                    rest
                } else {
                    let position = lowerer.b.binary(BinaryOp::Rem, rest, count);
                    rest = lowerer.b.binary(BinaryOp::Div, rest, count);
                    position
                };
                let distance = lowerer.b.mul(position, step);
                indices[dim] = lowerer.b.add(indices[dim], distance);
            }
            Ok(indices)
        };
        let (read, write) = (at(self, from)?, at(self, to)?);
        self.move_one(from, &read, to, &write, wcr)?;
        let body = self.b.close();
        self.b.push(Stmt::For {
            variable: number,
            start: zero,
            stop: smaller,
            step: 1,
            order: Order::InTurn,
            body,
        });
        Ok(())
    }
}
