//! Scans: a state carried along columns.

use std::rc::Rc;

use crate::diag::Result;
use crate::entity::Name;

use super::domain::{Domain, Interval};
use super::eval::Args;
use super::fields::iterator;
use super::machine::{Machine, Place};
use super::value::{Column, Field, Poison, Position, Scan, Value};

impl Machine<'_, '_, '_> {
    /// A scan's value at a position. The whole column is computed at the first question.
    pub(super) fn scan_at(
        &self,
        field: &Field,
        scan: &Scan,
        args: &[Value],
        domain: Option<&Domain>,
        position: &Position,
    ) -> Result<Value> {
        let axis = self.axis()?;
        let Some(level) = position.get(axis) else {
            return Err(
                self.error(format!("a scan along {} is read at a position without it", self.text(axis)))
            );
        };
        let key = position.without(axis);
        let known = field.columns.borrow().get(&key).cloned();
        let column = match known {
            Some(column) => column,
            None => {
                let range = self
                    .column_range_of(domain)
                    .or(field.column_range.get())
                    .filter(|range| range.is_finite())
                    .or(self.statement_columns.get());
                let range = range.ok_or_else(|| self.error("the levels of a scan are not known"))?;
                let column = Rc::new(self.column(scan, args, range, &key, axis)?);
                field.columns.borrow_mut().insert(key, column.clone());
                column
            }
        };
        let index = usize::try_from(level - column.range.start).ok();
        match index.and_then(|index| column.values.get(index)) {
            Some(value) => Ok(value.clone()),
            None => Ok(Value::Poison(Poison::OutsideDomain { at: level, dim: axis })),
        }
    }

    fn column(
        &self,
        scan: &Scan,
        args: &[Value],
        range: Interval,
        key: &Position,
        axis: Name,
    ) -> Result<Column> {
        let mut values = Vec::new();
        let mut state = scan.init.clone();
        for level in levels(range, scan.forward) {
            let Some(position) = key.with(axis, level) else {
                return Err(self.error(format!("level {level} of a scan does not fit 32 bits")));
            };
            let mut operands: Args = [state].into_iter().collect();
            operands.extend(args.iter().map(|arg| iterator(arg, &position)));
            self.places.borrow_mut().push(Place { position, columns: Some(range) });
            let next = self.call(&scan.function, operands);
            self.places.borrow_mut().pop();
            state = next?;
            values.push(state.clone());
        }
        if !scan.forward {
            values.reverse();
        }
        Ok(Column { range, values })
    }

    /// A scan inside a stencil: runs from the start of the column to where the stencil is. Its iterators move along.
    pub(super) fn scan_here(&self, scan: &Scan, its: &Args) -> Result<Value> {
        if !self.traced_args.borrow().is_empty() {
            let mut operands: Args = [traced(&scan.init)].into_iter().collect();
            operands.extend(its.iter().cloned());
            return self.call(&scan.function, operands);
        }
        let axis = self.axis()?;
        let place = self.places.borrow().last().cloned();
        let here = place.as_ref().and_then(|place| Some((place.position.clone(), place.position.get(axis)?)));
        let range = place.and_then(|place| place.columns).filter(|range| range.is_finite());
        let (Some((position, here)), Some(range)) = (here, range.or(self.statement_columns.get())) else {
            return Err(self.error("the levels of a scan inside a stencil are not known"));
        };
        if !range.contains(here) {
            return Ok(Value::Poison(Poison::OutsideDomain { at: here, dim: axis }));
        }
        let mut state = scan.init.clone();
        for level in levels(range, scan.forward) {
            let mut operands: Args = [state].into_iter().collect();
            for it in its {
                operands.push(match it {
                    Value::Iterator(_) => self.move_along(it, axis, axis, level - here)?,
                    other => other.clone(),
                });
            }
            let position = position.with(axis, level);
            let position = position.ok_or_else(|| self.error("a level of a scan does not fit 32 bits"))?;
            self.places.borrow_mut().push(Place { position, columns: Some(range) });
            let next = self.call(&scan.function, operands);
            self.places.borrow_mut().pop();
            state = next?;
            if level == here {
                break;
            }
        }
        Ok(state)
    }

    fn axis(&self) -> Result<Name> {
        self.column_axis.ok_or_else(|| {
            self.error("the program scans, but no column axis is given")
                .with_help("name the vertical dimension")
        })
    }
}

fn levels(range: Interval, forward: bool) -> impl Iterator<Item = i64> {
    (range.start..range.stop)
        .map(move |level| if forward { level } else { range.start + (range.stop - 1 - level) })
}

/// The value with every number unknown.
pub(super) fn traced(value: &Value) -> Value {
    match value {
        Value::Tuple(parts) => Value::tuple(parts.iter().map(traced).collect::<Vec<_>>()),
        _ => Value::TRACED,
    }
}
