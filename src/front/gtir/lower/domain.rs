//! Where arrays have to be computed.
//!
//! One walk over each reader's point expression, from the statement back to the first array: every load of an
//! array asks for the interval that its index takes over the reader's box. A choice whose condition compares a
//! coordinate with a scalar narrows the box on either side, so that `concat_where` does not ask for points
//! that nobody reads. Bounds are canonical symbolic expressions: they cannot grow with the tree.

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};
use indexmap::{IndexMap, IndexSet};

use crate::diag::{Diagnostic, Result};
use crate::scalar::{BinaryOp, DType, Scalar, UnaryOp};
use crate::symbolic::ExprId;
use crate::symbolic::node::CompareOp;

use super::fields::{Owner, Source};
use super::narrow::Narrowed;
use super::plan::Plan;
use super::point::{DimId, Node, PointId, TableId};
use super::value::{Domain, FieldId};
use super::{Lowering, ill_typed};

/// What an interval belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Axis {
    /// The point's own coordinate.
    Dim(DimId),
    /// The level of a scan.
    Level(u32),
}

/// Half-open interval.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Interval {
    /// First.
    pub start: ExprId,
    /// One past the last.
    pub stop: ExprId,
}

/// A box, sorted by axis.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(super) struct IndexBox {
    /// One interval per axis.
    pub axes: Vec<(Axis, Interval)>,
}

impl IndexBox {
    /// The interval of an axis.
    pub fn get(&self, axis: Axis) -> Option<Interval> {
        self.axes.iter().find(|(known, _)| *known == axis).map(|(_, interval)| *interval)
    }

    /// Adds or replaces an interval.
    pub fn set(&mut self, axis: Axis, interval: Interval) {
        match self.axes.binary_search_by_key(&axis, |(known, _)| *known) {
            Ok(at) => self.axes[at].1 = interval,
            Err(at) => self.axes.insert(at, (axis, interval)),
        }
    }
}

/// What readers ask of each field, in their order.
type Asked = HashMap<FieldId, IndexSet<Ask>>;

/// What one reader asks of a field in one dimension.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Ask {
    dim: DimId,
    interval: Interval,
    /// The reader's box is known to have no points.
    in_vain: bool,
}

/// Boxes of the arrays of one statement.
pub(super) type Boxes = HashMap<FieldId, IndexBox>;

impl Lowering<'_> {
    /// The box a statement is written over.
    pub(super) fn box_of(&mut self, domain: &Domain) -> Result<IndexBox> {
        let Domain::Box(ranges) = domain else {
            return Err(ill_typed("the domain of a statement is a box"));
        };
        let mut index_box = IndexBox::default();
        for range in ranges {
            let (Some(start), Some(stop)) = (range.start, range.stop) else {
                return Err(ill_typed("the domain of a statement is finite"));
            };
            let start = self.bound_expr(start)?;
            let stop = self.bound_expr(stop)?;
            index_box.set(Axis::Dim(range.dim), Interval { start, stop });
        }
        Ok(index_box)
    }

    fn bound_expr(&mut self, point: PointId) -> Result<ExprId> {
        self.symbolic(point).ok_or_else(|| {
            Diagnostic::error("P0661", "a bound of a domain is not an integer expression of scalars")
                .with_help("bounds may use +, -, *, //, %, minimum, maximum and if_ on integer scalars")
        })
    }

    /// The integer (or bool) expression behind a point that depends on scalars and coordinates only.
    pub(super) fn symbolic(&mut self, point: PointId) -> Option<ExprId> {
        if let Some(&known) = self.symbolic_known.get(&point) {
            return known;
        }
        let result = self.symbolic_new(point);
        self.symbolic_known.insert(point, result);
        result
    }

    fn symbolic_new(&mut self, point: PointId) -> Option<ExprId> {
        if !self.points.dtype(point).is_integral() {
            return None;
        }
        match self.points.node(point).clone() {
            Node::Const(..) => match self.points.as_constant(point)? {
                Scalar::Bool(value) => Some(self.out.exprs.boolean(value)),
                _ => Some(self.out.exprs.int(self.points.as_int(point)?)),
            },
            Node::Symbol(name, _) => Some(self.out.exprs.symbol(name)),
            Node::Coordinate(dim) => {
                let name = self.coordinate_symbol(dim);
                Some(self.out.exprs.symbol(name))
            }
            Node::Cast(dtype, inner) if dtype != DType::Bool => self.symbolic(inner),
            Node::Unary(UnaryOp::Neg, a) => {
                let a = self.symbolic(a)?;
                Some(self.out.exprs.neg(a))
            }
            Node::Unary(UnaryOp::Not, a) => {
                let a = self.symbolic(a)?;
                Some(self.out.exprs.not(a))
            }
            Node::Binary(op, a, b) => {
                let is_bool = self.points.dtype(a) == DType::Bool;
                let (a, b) = (self.symbolic(a)?, self.symbolic(b)?);
                let exprs = &mut self.out.exprs;
                Some(match op {
                    BinaryOp::Add => exprs.add(a, b),
                    BinaryOp::Sub => exprs.sub(a, b),
                    BinaryOp::Mul => exprs.mul(a, b),
                    BinaryOp::FloorDiv => exprs.floor_div(a, b),
                    BinaryOp::Div => exprs.trunc_div(a, b),
                    BinaryOp::Mod => exprs.modulo(a, b),
                    BinaryOp::Min => exprs.min(a, b),
                    BinaryOp::Max => exprs.max(a, b),
                    BinaryOp::BitAnd if is_bool => exprs.and(&[a, b]),
                    BinaryOp::BitOr if is_bool => exprs.or(&[a, b]),
                    BinaryOp::Lt => exprs.compare(CompareOp::Less, a, b),
                    BinaryOp::Le => exprs.compare(CompareOp::AtMost, a, b),
                    BinaryOp::Gt => exprs.compare(CompareOp::Less, b, a),
                    BinaryOp::Ge => exprs.compare(CompareOp::AtMost, b, a),
                    BinaryOp::Eq => exprs.compare(CompareOp::Equal, a, b),
                    BinaryOp::Ne => exprs.compare(CompareOp::NotEqual, a, b),
                    _ => return None,
                })
            }
            Node::Choose(c, a, b) => {
                let (c, a, b) = (self.symbolic(c)?, self.symbolic(a)?, self.symbolic(b)?);
                Some(self.out.exprs.select(c, a, b))
            }
            Node::Beside(value, _) => self.symbolic(value),
            _ => None,
        }
    }

    /// Finds the box of every array of a plan. `roots` are the boxes of the plan's roots.
    pub(super) fn infer_domains(&mut self, plan: &Plan, roots: &[IndexBox]) -> Result<Boxes> {
        let mut boxes = Boxes::new();
        let mut asked = Asked::new();
        // What is computed too much harms nothing, but a scan starts at the first level of its box: there, readers without
        // points do not count.
        let careful = plan.arrays.iter().any(|&field| self.fields[field].scan.is_some());
        for (&root, index_box) in plan.roots.iter().zip(roots) {
            self.walk(root, index_box, careful, &mut asked)?;
        }
        for &field in plan.arrays.iter().rev() {
            let mut index_box = self.hull(asked.remove(&field).unwrap_or_default());
            boxes.insert(field, index_box.clone());
            let mut points: Vec<PointId> = Vec::new();
            for leaf in &self.fields[field].leaves {
                points.extend(plan.leaves.get(&leaf.source));
            }
            let mut init = Vec::new();
            if let Some(scan) = &self.fields[field].scan {
                let (axis, number, given) = (scan.axis, scan.number, scan.domain.clone());
                init = scan.init.clone();
                // A scan starts where its own domain says, whatever part of it is read.
                if let Some(domain) = given
                    && let Ok(given) = self.box_of(&domain)
                    && let Some(interval) = given.get(Axis::Dim(axis))
                {
                    index_box.set(Axis::Dim(axis), interval);
                    boxes.insert(field, index_box.clone());
                }
                if let Some(interval) = index_box.get(Axis::Dim(axis)) {
                    index_box.set(Axis::Level(number), interval);
                }
            }
            for point in points.into_iter().chain(init) {
                self.walk(point, &index_box, careful, &mut asked)?;
            }
        }
        Ok(boxes)
    }

    /// Whether a box has no points, whatever the program is given.
    fn is_empty(&self, index_box: &IndexBox) -> bool {
        let mut intervals = index_box.axes.iter().map(|(_, interval)| interval);
        intervals.any(|interval| self.out.exprs.at_most(interval.stop, interval.start).is_yes())
    }

    /// Adds what a reader's expression asks for, of arrays and of what is given. With care, it is found out which parts of
    /// the box are empty.
    fn walk(&mut self, root: PointId, index_box: &IndexBox, careful: bool, asked: &mut Asked) -> Result<()> {
        let mut in_vain: HashMap<Rc<IndexBox>, bool> = HashMap::new();
        let mut seen: HashSet<(PointId, Rc<IndexBox>, bool)> = HashSet::new();
        // What may be asked for at some points of its box only requires nothing.
        let mut stack = vec![(root, Rc::new(index_box.clone()), true)];
        while let Some((id, here, certain)) = stack.pop() {
            if !seen.insert((id, here.clone(), certain)) {
                continue;
            }
            match self.points.node(id).clone() {
                Node::Choose(condition, then, otherwise) => {
                    stack.push((condition, here.clone(), certain));
                    for (side, holds) in [(then, true), (otherwise, false)] {
                        let mut parts = self.narrowed(&here, condition, holds);
                        if parts.len() > 1 && !careful {
                            // Boxes of many masks inside each other are as many as pairs of them.
                            parts = vec![Narrowed { index_box: (*here).clone(), exact: false }];
                        }
                        for Narrowed { index_box, exact } in parts {
                            stack.push((side, Rc::new(index_box), certain && exact));
                        }
                    }
                }
                Node::Load { source, at, .. } => {
                    let Source { owner, dims, .. } = self.sources[source].clone();
                    match owner {
                        Owner::Field(field, _) => {
                            let whole = Some(index_box).filter(|whole| **whole != *here);
                            let in_vain = careful
                                && *in_vain.entry(here.clone()).or_insert_with(|| self.is_empty(&here));
                            self.ask(field, (&dims, &at), (&here, whole), in_vain, asked)?;
                        }
                        Owner::Param(param) if certain => self.require_read(param, &dims, &at, &here),
                        Owner::Param(_) => {}
                    }
                    stack.extend(at.iter().map(|&at| (at, here.clone(), certain)));
                }
                Node::Neighbor(table, row, number) => {
                    if certain {
                        self.require_row(table, row, &here);
                    }
                    stack.extend([row, number].map(|operand| (operand, here.clone(), certain)));
                }
                Node::Replay(replay) => {
                    // It passes all levels from the end of the column to the last one, whatever narrows that.
                    let mut here = (*here).clone();
                    if let Some(column) = self.vertical.and_then(|axis| index_box.get(Axis::Dim(axis))) {
                        here.set(Axis::Level(replay.scan), column);
                    }
                    let here = Rc::new(here);
                    stack.extend(replay.parts.iter().map(|&part| (part, here.clone(), certain)));
                }
                Node::Beside(value, others) => {
                    stack.push((value, here.clone(), certain));
                    stack.extend(others.iter().map(|&other| (other, here.clone(), false)));
                }
                _ => self.points.operands(id, |operand| stack.push((operand, here.clone(), certain))),
            }
        }
        Ok(())
    }

    /// Asks for what a load takes of a field over a box, which is a part of the `whole` box of the reader if there is one.
    /// A part may be empty while the reader runs, and then so may the field be in the dimensions where that makes a
    /// difference.
    fn ask(
        &mut self,
        field: FieldId,
        (dims, at): (&[DimId], &[PointId]),
        (here, whole): (&IndexBox, Option<&IndexBox>),
        in_vain: bool,
        asked: &mut Asked,
    ) -> Result<()> {
        for (&dim, &at) in dims.iter().zip(at) {
            let interval = self.interval(at, here).ok_or_else(|| {
                Diagnostic::error("P0662", "the domain of an intermediate field cannot be inferred")
                    .with_note(format!(
                        "it is read at a data-dependent index in dimension `{}`",
                        self.dims[dim].name
                    ))
                    .with_help(
                        "scans cannot be read at data-dependent positions; write the scan to a field first",
                    )
            })?;
            if whole.is_some_and(|whole| self.interval(at, whole) != Some(interval)) {
                self.narrowed.insert((field, dim));
            }
            asked.entry(field).or_default().insert(Ask { dim, interval, in_vain });
        }
        Ok(())
    }

    /// The smallest box around everything that was asked for, but not in vain unless all was.
    fn hull(&mut self, asked: IndexSet<Ask>) -> IndexBox {
        let all_in_vain = asked.iter().all(|ask| ask.in_vain);
        let mut by_dim: IndexMap<DimId, (Vec<ExprId>, Vec<ExprId>)> = IndexMap::new();
        for Ask { dim, interval: Interval { start, stop }, .. } in
            asked.into_iter().filter(|ask| !ask.in_vain || all_in_vain)
        {
            let (starts, stops) = by_dim.entry(dim).or_default();
            starts.push(start);
            stops.push(stop);
        }
        let mut index_box = IndexBox::default();
        for (dim, (mut starts, mut stops)) in by_dim {
            // Many readers ask for the same; all of them at once, so that nothing grows step by step.
            for ends in [&mut starts, &mut stops] {
                ends.sort_unstable();
                ends.dedup();
            }
            let interval =
                Interval { start: self.out.exprs.min_of(&starts), stop: self.out.exprs.max_of(&stops) };
            index_box.set(Axis::Dim(dim), interval);
        }
        index_box
    }

    /// The interval an index takes over a box.
    pub(super) fn interval(&mut self, at: PointId, here: &IndexBox) -> Option<Interval> {
        match self.points.node(at).clone() {
            Node::Coordinate(dim) => here.get(Axis::Dim(dim)),
            Node::Level(scan) => here.get(Axis::Level(scan)),
            Node::Cast(_, inner) | Node::Beside(inner, _) => self.interval(inner, here),
            Node::Neighbor(table, ..) => Some(self.table_interval(table)),
            Node::Binary(op @ (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Max | BinaryOp::Min), a, b) => {
                let (a, b) = (self.interval(a, here)?, self.interval(b, here)?);
                let exprs = &mut self.out.exprs;
                let one = exprs.int(1);
                let (a_last, b_last) = (exprs.sub(a.stop, one), exprs.sub(b.stop, one));
                let (start, last) = match op {
                    BinaryOp::Add => (exprs.add(a.start, b.start), exprs.add(a_last, b_last)),
                    BinaryOp::Sub => (exprs.sub(a.start, b_last), exprs.sub(a_last, b.start)),
                    BinaryOp::Max => (exprs.max(a.start, b.start), exprs.max(a_last, b_last)),
                    _ => (exprs.min(a.start, b.start), exprs.min(a_last, b_last)),
                };
                Some(Interval { start, stop: exprs.add(last, one) })
            }
            Node::Choose(condition, then, otherwise) => {
                let mut ends = (Vec::new(), Vec::new());
                for (side, holds) in [(then, true), (otherwise, false)] {
                    for part in self.narrowed(here, condition, holds) {
                        let Interval { start, stop } = self.interval(side, &part.index_box)?;
                        ends.0.push(start);
                        ends.1.push(stop);
                    }
                }
                let exprs = &mut self.out.exprs;
                Some(Interval { start: exprs.min_of(&ends.0), stop: exprs.max_of(&ends.1) })
            }
            _ => {
                if !self.dims_of(&[at]).is_empty() {
                    return None;
                }
                let start = self.symbolic(at)?;
                let one = self.out.exprs.int(1);
                Some(Interval { start, stop: self.out.exprs.add(start, one) })
            }
        }
    }

    pub(super) fn table_interval(&mut self, table: TableId) -> Interval {
        let [least, greatest] = ["min", "max"].map(|end| {
            let name = format!("__gt_conn_{}_{end}", self.tables[table].name);
            let name = self.out.names.intern(&name);
            self.out.exprs.symbol(name)
        });
        let one = self.out.exprs.int(1);
        Interval { start: least, stop: self.out.exprs.add(greatest, one) }
    }
}
