//! Maps cut where choices change sides.
//!
//! A choice whose condition compares a coordinate with a scalar takes one side in a part of a map's box and the other
//! side in the rest: that is what `concat_where` becomes. One map per part computes what is chosen there, and nothing else; its
//! reads need no guards, because they are certain. A condition on scalars alone empties one of two maps in each call.

use hashbrown::{HashMap, HashSet};

use crate::scalar::{BinaryOp, Scalar, UnaryOp};
use crate::symbolic::ExprId;

use super::super::Lowering;
use super::super::domain::{Axis, IndexBox, Interval};
use super::super::narrow::mirrored;
use super::super::point::{Node, PointId};

/// Parts of a box beyond which choices stay choices: each part is a loop nest of its own.
const MOST_PIECES: usize = 6;

/// Conditions that are looked at, the outermost ones: each may be a long expression.
const MOST_CONDITIONS: usize = 64;

/// A part of a box, and what is computed there.
pub(super) struct Piece {
    pub(super) index_box: IndexBox,
    pub(super) roots: Vec<PointId>,
}

/// A condition that holds in a part of a box.
struct Cut {
    condition: PointId,
    /// The axis that is cut.
    axis: Axis,
    at: At,
}

enum At {
    /// The coordinate compares like this with a scalar.
    Bound(BinaryOp, ExprId),
    /// Everywhere or nowhere: a condition on scalars.
    Scalar(ExprId),
}

impl Lowering<'_> {
    /// The parts of a box in which points are computed without choices between coordinates, as far as there are few parts.
    pub(super) fn pieces(&mut self, index_box: &IndexBox, roots: Vec<PointId>) -> Vec<Piece> {
        let mut done = Vec::new();
        let mut open = vec![Piece { index_box: index_box.clone(), roots }];
        while let Some(piece) = open.pop() {
            let room = MOST_PIECES.saturating_sub(done.len() + open.len());
            match self.cut(&piece, room) {
                Some(parts) => open.extend(parts.into_iter().rev()),
                None => done.push(piece),
            }
        }
        done
    }

    /// Cuts a part at the outermost choice that allows it, into at most `room` parts.
    fn cut(&mut self, piece: &Piece, room: usize) -> Option<Vec<Piece>> {
        let order = self.points.reachable(&piece.roots);
        let mut choices: Vec<PointId> = Vec::new();
        let mut reads: HashSet<PointId> = HashSet::new();
        for &id in &order {
            let mut does_read = matches!(self.points.node(id), Node::Load { .. } | Node::Neighbor(..));
            self.points.operands(id, |operand| does_read |= reads.contains(&operand));
            if does_read {
                reads.insert(id);
            }
            // A choice between numbers costs less than a loop.
            if let Node::Choose(condition, then, otherwise) = *self.points.node(id)
                && (reads.contains(&then) || reads.contains(&otherwise))
            {
                choices.push(condition);
            }
        }
        choices.reverse();
        choices.dedup();
        choices.truncate(MOST_CONDITIONS);
        let (cut, intervals) = self.best_cut(&piece.index_box, &choices, room)?;
        let parts = intervals.into_iter().map(|(interval, holds)| {
            let mut index_box = piece.index_box.clone();
            index_box.set(cut.axis, interval);
            let holds = self.points.constant(Scalar::Bool(holds));
            let mut known = HashMap::from([(cut.condition, holds)]);
            let roots = piece.roots.iter().map(|&root| self.substitute(root, &mut known, &|_| None));
            Piece { index_box, roots: roots.collect() }
        });
        Some(parts.collect())
    }

    /// The first condition that cuts a box into few parts; coordinates before scalars, because these are known earlier.
    fn best_cut(
        &mut self,
        here: &IndexBox,
        choices: &[PointId],
        room: usize,
    ) -> Option<(Cut, Vec<(Interval, bool)>)> {
        for scalars in [false, true] {
            for &condition in choices {
                let cut = if scalars { self.scalar_cut(here, condition) } else { self.comparison(condition) };
                if let Some(cut) = cut
                    && let Some(intervals) = self.intervals(here, &cut)
                    && intervals.len() <= room
                {
                    return Some((cut, intervals));
                }
            }
        }
        None
    }

    /// A comparison that a condition consists of, or a part of it.
    fn comparison(&mut self, condition: PointId) -> Option<Cut> {
        let mut open = vec![condition];
        while let Some(condition) = open.pop() {
            match *self.points.node(condition) {
                Node::Unary(UnaryOp::Not, inner) => open.push(inner),
                Node::Binary(BinaryOp::BitAnd | BinaryOp::BitOr, a, b) => open.extend([b, a]),
                Node::Binary(op, a, b) if op.is_comparison() => {
                    let sides = [(a, b, op), (b, a, mirrored(op))];
                    for (coordinate, bound, op) in sides {
                        if let Some((axis, distance)) = self.axis_of(coordinate)
                            && let Some(bound) = self.scalar_expr(bound)
                        {
                            let distance = self.out.exprs.int(distance);
                            let bound = self.out.exprs.sub(bound, distance);
                            return Some(Cut { condition, axis, at: At::Bound(op, bound) });
                        }
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// A condition on scalars, which cuts any axis.
    fn scalar_cut(&mut self, here: &IndexBox, condition: PointId) -> Option<Cut> {
        let &(axis, _) = here.axes.first()?;
        let at = At::Scalar(self.scalar_expr(condition)?);
        Some(Cut { condition, axis, at })
    }

    /// The intervals of an axis in which a condition holds or does not, in order; without those that are known to be empty.
    fn intervals(&mut self, here: &IndexBox, cut: &Cut) -> Option<Vec<(Interval, bool)>> {
        let Interval { start, stop } = here.get(cut.axis)?;
        let exprs = &mut self.out.exprs;
        let one = exprs.int(1);
        let (op, bound) = match cut.at {
            At::Bound(op, bound) => (op, bound),
            At::Scalar(holds) => {
                let yes = Interval { start, stop: exprs.select(holds, stop, start) };
                let no = Interval { start, stop: exprs.select(holds, start, stop) };
                return Some(vec![(yes, true), (no, false)]);
            }
        };
        let after = exprs.add(bound, one);
        let (bounds, holds) = match op {
            BinaryOp::Lt => (vec![bound], vec![true, false]),
            BinaryOp::Ge => (vec![bound], vec![false, true]),
            BinaryOp::Le => (vec![after], vec![true, false]),
            BinaryOp::Gt => (vec![after], vec![false, true]),
            BinaryOp::Eq => (vec![bound, after], vec![false, true, false]),
            BinaryOp::Ne => (vec![bound, after], vec![true, false, true]),
            _ => return None,
        };
        let mut intervals = Vec::new();
        for (number, holds) in holds.into_iter().enumerate() {
            let start = match number.checked_sub(1) {
                Some(before) => exprs.max(start, bounds[before]),
                None => start,
            };
            let stop = bounds.get(number).map_or(stop, |&bound| exprs.min(stop, bound));
            if !exprs.at_most(stop, start).is_yes() {
                intervals.push((Interval { start, stop }, holds));
            }
        }
        Some(intervals)
    }
}
