//! Where scans begin.
//!
//! A scan without a domain covers the hull of what is read of it. To find that, each stencil is evaluated once with
//! iterators that only record how they are moved and read, and the boxes that a statement writes are carried
//! from users to arguments. Fields are numbered in order of creation, so going down in numbers visits all users of a field
//! before the field.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::diag::Result;

use super::domain::{Interval, Region, hull_of, is_empty};
use super::eval::Args;
use super::machine::Machine;
use super::scans::traced;
use super::value::{Field, FieldKind, Iter, Move, Path, Trace, Value};

type Wanted = BTreeMap<u32, (Rc<Field>, Region)>;

impl Machine<'_, '_, '_> {
    /// Tells every field that the roots need on which levels it is needed.
    pub(super) fn spread_demand(&self, roots: &[(Value, Region)]) -> Result<()> {
        let mut wanted = Wanted::new();
        for (value, region) in roots {
            want(&mut wanted, value, region);
        }
        while let Some((_, (field, region))) = wanted.pop_last() {
            match &field.kind {
                FieldKind::Leaf(_) | FieldKind::Index(_) => {}
                FieldKind::Part(_, base) => want(&mut wanted, &Value::Field(base.clone()), &region),
                FieldKind::ConcatWhere { mask, inside, outside } => {
                    want(&mut wanted, inside, &mask.hull_within(true, &region));
                    want(&mut wanted, outside, &mask.hull_within(false, &region));
                }
                FieldKind::Stencil { args, domain, .. } | FieldKind::Scan { args, domain, .. } => {
                    let region = domain.as_ref().and_then(|domain| domain.as_region()).unwrap_or(&region);
                    let columns = self
                        .column_axis
                        .and_then(|axis| region.iter().find(|(dim, _)| *dim == axis))
                        .map(|(_, interval)| *interval);
                    field.column_range.set(columns);
                    for (arg, path) in &self.trace(&field)?.accesses {
                        if let Some(arg) = args.get(*arg as usize) {
                            want(&mut wanted, arg, &moved(region, path));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The tuple structure of a value, with every number unknown.
    pub(super) fn shape(&self, value: &Value) -> Result<Value> {
        match value {
            Value::Tuple(parts) => {
                let parts: Vec<Value> = parts.iter().map(|part| self.shape(part)).collect::<Result<_>>()?;
                Ok(Value::tuple(parts))
            }
            Value::Field(field) => match &field.kind {
                FieldKind::Leaf(_) | FieldKind::Index(_) => Ok(Value::TRACED),
                FieldKind::Part(index, base) => match self.shape(&Value::Field(base.clone()))? {
                    Value::Tuple(parts) => Ok(parts.get(*index).cloned().unwrap_or(Value::TRACED)),
                    other => Ok(other),
                },
                FieldKind::ConcatWhere { inside, outside, .. } => match self.shape(inside)? {
                    tuple @ Value::Tuple(_) => Ok(tuple),
                    _ => self.shape(outside),
                },
                FieldKind::Stencil { .. } | FieldKind::Scan { .. } => Ok(self.trace(field)?.shape.clone()),
            },
            _ => Ok(Value::TRACED),
        }
    }

    /// What a computed field reads of its arguments.
    fn trace(&self, field: &Rc<Field>) -> Result<Rc<Trace>> {
        if let Some(known) = field.trace.get() {
            return Ok(known.clone());
        }
        self.check_depth()?;
        let (function, state, args) = match &field.kind {
            FieldKind::Stencil { stencil, args, .. } => (stencil, None, args),
            FieldKind::Scan { scan, args, .. } => (&scan.function, Some(traced(&scan.init)), args),
            _ => return Ok(Rc::new(Trace { shape: Value::TRACED, accesses: Vec::new() })),
        };
        let shapes: Rc<[Value]> = args.iter().map(|arg| self.shape(arg)).collect::<Result<_>>()?;
        let mut operands: Args = state.into_iter().collect();
        for (number, arg) in args.iter().enumerate() {
            operands.push(match arg {
                Value::Function(_) | Value::Axis(_) | Value::Offset(_) | Value::Domain(_) => arg.clone(),
                _ => {
                    let start: Path = [].into();
                    let number = u32::try_from(number).unwrap_or(u32::MAX);
                    Value::Iterator(Rc::new(Iter::Traced(vec![(number, start)])))
                }
            });
        }
        let outer = self.accesses.take();
        self.traced_args.borrow_mut().push(shapes);
        let shape = self.call(function, operands);
        self.traced_args.borrow_mut().pop();
        let accesses = self.accesses.replace(outer);
        let trace = Rc::new(Trace { shape: shape?, accesses });
        Ok(field.trace.get_or_init(|| trace).clone())
    }

    /// Records the read of a traced iterator; gives the shape of what it reads.
    pub(super) fn record(&self, alternatives: &[(u32, Path)]) -> Value {
        let mut accesses = self.accesses.borrow_mut();
        for access in alternatives {
            if !accesses.contains(access) {
                accesses.push(access.clone());
            }
        }
        let shapes = self.traced_args.borrow();
        alternatives
            .first()
            .and_then(|(arg, _)| shapes.last()?.get(*arg as usize).cloned())
            .unwrap_or(Value::TRACED)
    }
}

fn want(wanted: &mut Wanted, value: &Value, region: &Region) {
    if is_empty(region) {
        return;
    }
    match value {
        Value::Tuple(parts) => parts.iter().for_each(|part| want(wanted, part, region)),
        Value::Field(field) => {
            let slot = wanted.entry(field.number);
            slot.and_modify(|(_, known)| *known = hull_of(known, region))
                .or_insert_with(|| (field.clone(), region.clone()));
        }
        _ => {}
    }
}

/// The box that is read when an iterator at each point of `region` goes along a path.
fn moved(region: &Region, path: &[Move]) -> Region {
    let mut region = region.clone();
    for step in path {
        let (from, to, distance) = match *step {
            Move::Cartesian(from, to, distance) => (from, to, distance),
            Move::Unstructured(from, to) => (from, to, None),
        };
        let known = region.iter().find(|(dim, _)| *dim == from).map(|(_, interval)| *interval);
        region.retain(|(dim, _)| *dim != from && *dim != to);
        let interval = match (known, distance) {
            (Some(known), Some(distance)) => known.moved(distance),
            _ => Interval::ALL,
        };
        region.push((to, interval));
    }
    region
}
