//! Boxes where conditions hold: a comparison of a coordinate with a scalar cuts a box, a condition on scalars empties it.

use crate::scalar::{BinaryOp, UnaryOp};
use crate::symbolic::ExprId;

use super::Lowering;
use super::domain::{Axis, IndexBox};
use super::point::{Node, PointId};

/// A part of a box.
pub(super) struct Narrowed {
    /// The smallest box around the points where the condition holds, as far as that is known.
    pub index_box: IndexBox,
    /// The condition holds in all of it.
    pub exact: bool,
}

impl Lowering<'_> {
    /// The box where a condition holds (or does not), as far as it compares coordinates with scalars.
    pub(super) fn narrowed(&mut self, here: &IndexBox, condition: PointId, holds: bool) -> Narrowed {
        let mut index_box = here.clone();
        let exact = self.narrow(&mut index_box, condition, holds);
        Narrowed { index_box, exact }
    }

    /// Narrows a box; whether the condition holds in all of what is left.
    fn narrow(&mut self, here: &mut IndexBox, condition: PointId, holds: bool) -> bool {
        match self.points.node(condition).clone() {
            Node::Unary(UnaryOp::Not, inner) => self.narrow(here, inner, !holds),
            Node::Binary(BinaryOp::BitAnd, a, b) if holds => {
                let exact = self.narrow(here, a, true);
                self.narrow(here, b, true) && exact
            }
            Node::Binary(BinaryOp::BitOr, a, b) if !holds => {
                let exact = self.narrow(here, a, false);
                self.narrow(here, b, false) && exact
            }
            Node::Binary(op, a, b) => {
                let op = if holds { Some(op) } else { negated(op) };
                let Some(op) = op else { return self.narrow_by_scalar(here, condition, holds) };
                if let Some((axis, distance)) = self.axis_of(a)
                    && let Some(bound) = self.scalar_expr(b)
                {
                    return self.narrow_axis(here, axis, distance, op, bound);
                }
                if let Some((axis, distance)) = self.axis_of(b)
                    && let Some(bound) = self.scalar_expr(a)
                    && let Some(op) = mirrored(op)
                {
                    return self.narrow_axis(here, axis, distance, op, bound);
                }
                // Intervals of table entries leave missing neighbours out already.
                let zero = self.points.as_int(b) == Some(0);
                if op == BinaryOp::Ge && zero && matches!(self.points.node(a), Node::Neighbor(..)) {
                    return true;
                }
                self.narrow_by_scalar(here, condition, holds)
            }
            _ => self.narrow_by_scalar(here, condition, holds),
        }
    }

    /// A condition on scalars alone empties the box where it does not hold.
    fn narrow_by_scalar(&mut self, here: &mut IndexBox, condition: PointId, holds: bool) -> bool {
        let Some(expr) = self.scalar_expr(condition) else { return false };
        for (_, interval) in &mut here.axes {
            let exprs = &mut self.out.exprs;
            interval.stop = if holds {
                exprs.select(expr, interval.stop, interval.start)
            } else {
                exprs.select(expr, interval.start, interval.stop)
            };
        }
        // Nothing but a box can be emptied.
        !here.axes.is_empty()
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

    fn narrow_axis(
        &mut self,
        here: &mut IndexBox,
        axis: Axis,
        distance: i64,
        op: BinaryOp,
        bound: ExprId,
    ) -> bool {
        let Some(mut interval) = here.get(axis) else { return false };
        let exprs = &mut self.out.exprs;
        let distance = exprs.int(distance);
        let bound = exprs.sub(bound, distance);
        let one = exprs.int(1);
        let after = exprs.add(bound, one);
        match op {
            BinaryOp::Lt => interval.stop = exprs.min(interval.stop, bound),
            BinaryOp::Le => interval.stop = exprs.min(interval.stop, after),
            BinaryOp::Gt => interval.start = exprs.max(interval.start, after),
            BinaryOp::Ge => interval.start = exprs.max(interval.start, bound),
            BinaryOp::Eq => {
                interval.start = exprs.max(interval.start, bound);
                interval.stop = exprs.min(interval.stop, after);
            }
            _ => return false,
        }
        here.set(axis, interval);
        true
    }
}

fn negated(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Lt => BinaryOp::Ge,
        BinaryOp::Le => BinaryOp::Gt,
        BinaryOp::Gt => BinaryOp::Le,
        BinaryOp::Ge => BinaryOp::Lt,
        BinaryOp::Eq => BinaryOp::Ne,
        BinaryOp::Ne => BinaryOp::Eq,
        _ => return None,
    })
}

/// The comparison with its sides exchanged.
pub(super) fn mirrored(op: BinaryOp) -> Option<BinaryOp> {
    Some(match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        BinaryOp::Eq => BinaryOp::Eq,
        BinaryOp::Ne => BinaryOp::Ne,
        _ => return None,
    })
}
