//! Scans: fields of their own, or replayed at the point where their state is asked for.
//!
//! A scan inside a stencil, or inside the function of another scan, is a field like any other if nothing in it depends on
//! the point where it stands. If it uses values of that point, or the state of the scan around it, it runs there: from the
//! end of the column where it begins to the point's own level ([`super::point::Replay`]).

use std::rc::Rc;

use crate::diag::{Diagnostic, Result};
use crate::scalar::{BinaryOp, Scalar};

use super::fields::{ScanInfo, collect_points, into};
use super::point::{DimId, Node, PointId, Replay};
use super::value::{Chosen, Domain, Iterator, Position, Scan, Value};
use super::{Lowering, ill_typed};

/// Scans in the functions of scans nest no deeper than this: what reads the code recurses on its loops.
const MAX_NESTED: usize = 16;

impl Lowering<'_> {
    /// The scan that `scan(function, forward, init)` and its arguments make.
    pub(super) fn scan(
        &mut self,
        parts: &[Value],
        args: Vec<Value>,
        domain: Option<Rc<Domain>>,
    ) -> Result<Scan> {
        let [function, Value::Point(forward), init] = parts else {
            return Err(ill_typed("`scan` takes a function, a direction and an initial state"));
        };
        let Some(Scalar::Bool(forward)) = self.points.as_constant(*forward) else {
            return Err(ill_typed("the direction of a `scan` is a literal"));
        };
        let axis = self.vertical.ok_or_else(|| {
            Diagnostic::error("P0651", "a scan needs a vertical dimension, and the program has none")
                .with_help(
                    "give the dimension that scans run along the kind `vertical`, or set the column axis",
                )
        })?;
        Ok(Scan { function: function.clone(), forward, init: init.clone(), args, axis, domain })
    }

    /// Evaluates a scan over fields: its state after a level.
    pub(super) fn evaluate_scan(&mut self, scan: &Scan) -> Result<(Value, ScanInfo)> {
        let number = self.new_scan();
        let position = Position::default().with(scan.axis, self.points.level(number));
        let args = scan.args.iter().map(|source| into(source.clone(), &position)).collect();
        self.scan_step(scan, number, args)
    }

    fn new_scan(&mut self) -> u32 {
        let number = self.scan_count;
        self.scan_count += 1;
        number
    }

    /// One level of a scan whose arguments are iterators at that level.
    fn scan_step(&mut self, scan: &Scan, number: u32, args: Vec<Value>) -> Result<(Value, ScanInfo)> {
        let init = self.value_at(&scan.init, &Position::default())?;
        let mut init_points = Vec::new();
        collect_points(&init, &mut init_points)?;
        let mut operands = vec![self.carry_like(&init, number)];
        operands.extend(args);
        self.scans_around.push(number);
        let next = self.apply(&scan.function, operands);
        self.scans_around.pop();
        let next = next?;
        let mut next_points = Vec::new();
        collect_points(&next, &mut next_points)?;
        if next_points.len() != init_points.len() {
            return Err(ill_typed(format!(
                "a scan's state has {} components before and {} after a step",
                init_points.len(),
                next_points.len()
            )));
        }
        // The carry has the type of the initial state.
        let mut types =
            init_points.iter().map(|&point| self.points.dtype(point)).collect::<Vec<_>>().into_iter();
        let next = self.map_points(&next, &mut |this, point| {
            types.next().map_or(point, |dtype| this.points.cast(dtype, point))
        });
        let (forward, axis, domain) = (scan.forward, scan.axis, scan.domain.clone());
        Ok((next, ScanInfo { forward, axis, init: init_points, number, domain }))
    }

    fn carry_like(&mut self, init: &Value, number: u32) -> Value {
        let mut component = 0;
        self.map_points(init, &mut |this, point| {
            let dtype = this.points.dtype(point);
            let carry = this.points.carry(number, component, dtype);
            component += 1;
            carry
        })
    }

    /// A scan applied to iterators, which move along with its level.
    pub(super) fn scan_in_stencil(&mut self, parts: &[Value], args: &[Value]) -> Result<Value> {
        let scan = self.scan(parts, Vec::new(), None)?;
        let axis = scan.axis;
        let own = match self.scans_around.last() {
            Some(&around) => self.points.level(around),
            None => self.points.coordinate(axis),
        };
        if self.scans_around.len() >= MAX_NESTED {
            return Err(Diagnostic::error("P0650", "scans nest deeper than Pelton's limit")
                .with_note(format!("the limit is {MAX_NESTED} scans in the functions of scans")));
        }
        let number = self.new_scan();
        let level = self.points.level(number);
        let args = args.iter().map(|arg| self.at_level(arg, axis, own, level)).collect::<Result<_>>()?;
        let (next, info) = self.scan_step(&scan, number, args)?;
        let mut points = Vec::new();
        collect_points(&next, &mut points)?;
        let mut all = info.init.clone();
        all.extend(&points);
        let found = self.mentions(&all);
        if found.scans.iter().all(|&scan| scan == number) && !found.dims.contains(&axis) {
            let id = self.register(next, Some(info))?;
            let field = self.projected(id)?;
            let position = match self.points.node(own) {
                Node::Level(_) => Position::default().with(axis, own),
                _ => Position::default(),
            };
            return self.value_at(&field, &position);
        }
        let mut all = vec![own];
        all.append(&mut { info.init });
        all.append(&mut points);
        let replay = self.points.replay(Replay { scan: number, forward: info.forward, parts: all.into() });
        let mut component = 0;
        Ok(self.map_points(&next, &mut |this, point| {
            let dtype = this.points.dtype(point);
            component += 1;
            this.points.component(replay, component - 1, dtype)
        }))
    }

    /// An iterator moved along the column, from the level it belongs to to another.
    fn at_level(&mut self, iterator: &Value, axis: DimId, own: PointId, level: PointId) -> Result<Value> {
        let inner = match iterator {
            Value::Iterator(inner) => inner.clone(),
            Value::Tuple(elements) => {
                let elements = elements.clone();
                let moved: Result<Vec<Value>> =
                    elements.iter().map(|element| self.at_level(element, axis, own, level)).collect();
                return Ok(Value::Tuple(moved?.into()));
            }
            other => return Ok(other.clone()),
        };
        Ok(Value::Iterator(Rc::new(match &*inner {
            Iterator::Into { source, position, valid } => {
                let at = self.coordinate_at(position, axis);
                let at = self.moved_level(at, own, level);
                Iterator::Into { source: source.clone(), position: position.with(axis, at), valid: *valid }
            }
            Iterator::Lifted { stencil, args } => {
                let args: Result<Vec<Value>> =
                    args.iter().map(|arg| self.at_level(arg, axis, own, level)).collect();
                Iterator::Lifted { stencil: stencil.clone(), args: args? }
            }
            Iterator::Part { whole, index } => {
                Iterator::Part { whole: self.at_level(whole, axis, own, level)?, index: *index }
            }
            Iterator::Chosen(chosen) => Iterator::Chosen(Chosen {
                condition: chosen.condition,
                then: self.at_level(&chosen.then, axis, own, level)?,
                otherwise: self.at_level(&chosen.otherwise, axis, own, level)?,
            }),
        })))
    }

    /// A coordinate that lies as far from `level` as it did from `own`.
    fn moved_level(&mut self, at: PointId, own: PointId, level: PointId) -> PointId {
        if at == own {
            return level;
        }
        if let Node::Binary(BinaryOp::Add, base, distance) = *self.points.node(at)
            && base == own
        {
            return self.points.binary(BinaryOp::Add, level, distance);
        }
        let distance = self.points.binary(BinaryOp::Sub, level, own);
        self.points.binary(BinaryOp::Add, at, distance)
    }
}
