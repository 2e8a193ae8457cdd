//! Boxes where conditions hold: a comparison of a coordinate with a scalar cuts a box, a condition on scalars empties it.

use crate::scalar::{BinaryOp, UnaryOp};
use crate::symbolic::ExprId;

use super::Lowering;
use super::domain::{Axis, IndexBox};
use super::point::{Node, PointId};

/// Boxes of one condition; of more alternatives it is not said where they hold.
const MOST_PARTS: usize = 8;

/// A part of a box.
pub(super) struct Narrowed {
    /// The smallest box around the points where the condition holds, as far as that is known.
    pub index_box: IndexBox,
    /// The condition holds in all of it.
    pub exact: bool,
}

impl Lowering<'_> {
    /// The boxes where a condition holds (or does not), as far as it compares coordinates with scalars: one for each
    /// alternative of an `or`, as long as these are few.
    pub(super) fn narrowed(&mut self, here: &IndexBox, condition: PointId, holds: bool) -> Vec<Narrowed> {
        match self.points.node(condition).clone() {
            Node::Unary(UnaryOp::Not, inner) => self.narrowed(here, inner, !holds),
            Node::Binary(op @ (BinaryOp::BitAnd | BinaryOp::BitOr), a, b)
                if self.scalar_expr(condition).is_none() =>
            {
                let both = (op == BinaryOp::BitAnd) == holds;
                let mut parts = self.narrowed(here, a, holds);
                if both {
                    let within = parts.iter().flat_map(|part| {
                        let rest = self.narrowed(&part.index_box, b, holds);
                        rest.into_iter().map(|rest| Narrowed { exact: part.exact && rest.exact, ..rest })
                    });
                    parts = within.collect();
                } else {
                    parts.extend(self.narrowed(here, b, holds));
                }
                if parts.len() > MOST_PARTS {
                    parts = vec![Narrowed { index_box: here.clone(), exact: false }];
                }
                parts
            }
            Node::Binary(op, a, b) if op.is_comparison() => self.compared(here, (op, a, b), condition, holds),
            _ => vec![self.where_scalars(here, condition, holds)],
        }
    }

    /// Where a comparison holds, or does not.
    fn compared(
        &mut self,
        here: &IndexBox,
        (op, a, b): (BinaryOp, PointId, PointId),
        condition: PointId,
        holds: bool,
    ) -> Vec<Narrowed> {
        let op = if holds { op } else { negated(op) };
        for (coordinate, bound, op) in [(a, b, op), (b, a, mirrored(op))] {
            if let Some((axis, distance)) = self.axis_of(coordinate)
                && let Some(bound) = self.scalar_expr(bound)
            {
                let distance = self.out.exprs.int(distance);
                let bound = self.out.exprs.sub(bound, distance);
                let sides = if op == BinaryOp::Ne { &[BinaryOp::Lt, BinaryOp::Gt][..] } else { &[op] };
                return sides.iter().map(|&op| self.cut_off(here, axis, op, bound)).collect();
            }
        }
        // Intervals of table entries leave missing neighbours out already.
        let zero = self.points.as_int(b) == Some(0);
        if op == BinaryOp::Ge && zero && matches!(self.points.node(a), Node::Neighbor(..)) {
            return vec![Narrowed { index_box: here.clone(), exact: true }];
        }
        vec![self.where_scalars(here, condition, holds)]
    }

    /// A condition on scalars alone empties the box where it does not hold.
    fn where_scalars(&mut self, here: &IndexBox, condition: PointId, holds: bool) -> Narrowed {
        let mut index_box = here.clone();
        let Some(expr) = self.scalar_expr(condition) else { return Narrowed { index_box, exact: false } };
        for (_, interval) in &mut index_box.axes {
            let exprs = &mut self.out.exprs;
            interval.stop = if holds {
                exprs.select(expr, interval.stop, interval.start)
            } else {
                exprs.select(expr, interval.start, interval.stop)
            };
        }
        // Nothing but a box can be emptied.
        Narrowed { exact: !here.axes.is_empty(), index_box }
    }

    /// `coordinate + distance`, if a point is that.
    pub(super) fn axis_of(&self, point: PointId) -> Option<(Axis, i64)> {
        match self.points.node(point) {
            Node::Coordinate(dim) => Some((Axis::Dim(*dim), 0)),
            Node::Level(scan) => Some((Axis::Level(*scan), 0)),
            Node::Cast(_, inner) => self.axis_of(*inner),
            Node::Binary(BinaryOp::Add, base, distance) => {
                let (axis, before) = self.axis_of(*base)?;
                Some((axis, before.checked_add(self.points.as_int(*distance)?)?))
            }
            _ => None,
        }
    }

    pub(super) fn scalar_expr(&mut self, point: PointId) -> Option<ExprId> {
        if !self.dims_of(&[point]).is_empty() {
            return None;
        }
        self.symbolic(point)
    }

    /// The part of a box where a coordinate compares like this with a bound.
    fn cut_off(&mut self, here: &IndexBox, axis: Axis, op: BinaryOp, bound: ExprId) -> Narrowed {
        let mut index_box = here.clone();
        let Some(mut interval) = here.get(axis) else { return Narrowed { index_box, exact: false } };
        let exprs = &mut self.out.exprs;
        let one = exprs.int(1);
        let after = exprs.add(bound, one);
        if let BinaryOp::Lt | BinaryOp::Le | BinaryOp::Eq = op {
            let stop = if op == BinaryOp::Lt { bound } else { after };
            interval.stop = exprs.min(interval.stop, stop);
        }
        if let BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Eq = op {
            let start = if op == BinaryOp::Gt { after } else { bound };
            interval.start = exprs.max(interval.start, start);
        }
        index_box.set(axis, interval);
        Narrowed { index_box, exact: true }
    }
}

/// The comparison that holds where another does not.
fn negated(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Ge,
        BinaryOp::Le => BinaryOp::Gt,
        BinaryOp::Gt => BinaryOp::Le,
        BinaryOp::Ge => BinaryOp::Lt,
        BinaryOp::Eq => BinaryOp::Ne,
        _ => BinaryOp::Eq,
    }
}

/// The comparison with its sides exchanged.
pub(super) fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        same => same,
    }
}
