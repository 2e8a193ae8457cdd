//! Statements: evaluate everything, then write.

use std::rc::Rc;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::front::gtir::Stmt;
use crate::scalar::Scalar;

use super::domain::{Interval, Region, is_empty};
use super::machine::{Leaf, Machine, signed};
use super::value::{FieldKind, List, Position, Value};

/// One field to write: which leaf, what and where.
struct Assignment {
    leaf: usize,
    value: Value,
    region: Region,
}

/// One element to write.
struct Write {
    leaf: usize,
    offset: usize,
    value: Scalar,
}

impl Machine<'_, '_, '_> {
    /// Carries out a statement. Branches nest as deep as the reader lets them.
    pub(super) fn execute(&mut self, statement: &Stmt) -> Result<()> {
        match statement {
            Stmt::If { condition, then, otherwise } => {
                let branch = match self.eval(*condition, &self.globals)? {
                    Value::Scalar(value) if value.is_true() => then,
                    Value::Scalar(_) => otherwise,
                    other => {
                        return Err(self.error(format!("the condition of a statement is {}", other.kind())));
                    }
                };
                branch.iter().try_for_each(|statement| self.execute(statement))
            }
            Stmt::SetAt { value, domain, target } => {
                let value = self.eval(*value, &self.globals)?;
                let domain = self.eval(*domain, &self.globals)?;
                let target = self.eval(*target, &self.globals)?;
                let mut assignments = Vec::new();
                self.pair(&target, value, &domain, &mut assignments)?;
                for assignment in &assignments {
                    self.check_region(assignment)?;
                }
                self.prepare_scans(&assignments)?;
                let mut writes = Vec::new();
                for assignment in &assignments {
                    self.compute(assignment, &mut writes)?;
                }
                self.write(&writes)
            }
        }
    }

    /// Matches a target's tuple structure with that of value and domain.
    fn pair(&self, target: &Value, value: Value, domain: &Value, found: &mut Vec<Assignment>) -> Result<()> {
        match target {
            Value::Tuple(targets) => {
                for (n, target) in targets.iter().enumerate() {
                    let part = self.tuple_get(i64::try_from(n).unwrap_or(i64::MAX), &value)?;
                    let domain = match domain {
                        Value::Tuple(domains) => domains
                            .get(n)
                            .ok_or_else(|| self.error("a tuple of targets has fewer domains than fields"))?,
                        domain => domain,
                    };
                    self.pair(target, part, domain, found)?;
                }
                Ok(())
            }
            Value::Field(field) => {
                let FieldKind::Leaf(leaf) = field.kind else {
                    return Err(self.error("the target of a statement is not a parameter"));
                };
                let Value::Domain(domain) = domain else {
                    return Err(self.error(format!("the domain of a statement is {}", domain.kind())));
                };
                let Some(region) = domain.as_region() else {
                    return Err(self.error("the domain of a statement is not a box"));
                };
                found.push(Assignment { leaf: leaf as usize, value, region: region.clone() });
                Ok(())
            }
            other => Err(self.error(format!("the target of a statement is {}", other.kind()))),
        }
    }

    /// The domain has to have the target's dimensions and to lie inside it.
    fn check_region(&self, assignment: &Assignment) -> Result<()> {
        let leaf = self.leaf_of(assignment)?;
        for dim in leaf.dims.iter().filter(|dim| !dim.is_local) {
            if !assignment.region.iter().any(|(name, _)| *name == dim.name) {
                return Err(self.error(format!(
                    "the domain of `{}` does not say where in {}",
                    leaf.name,
                    self.text(dim.name)
                )));
            }
        }
        let nothing = is_empty(&assignment.region);
        for (name, interval) in &assignment.region {
            let Some(dim) = leaf.dims.iter().find(|dim| dim.name == *name) else {
                return Err(self.error(format!(
                    "field `{}` has no dimension {}",
                    leaf.name,
                    self.text(*name)
                )));
            };
            let fits = dim.range.start <= interval.start && interval.stop <= dim.range.stop;
            if !fits && !nothing {
                return Err(Diagnostic::error(
                    "P0612",
                    format!("the domain exceeds field `{}` in {}", leaf.name, self.text(*name)),
                )
                .with_note(format!("the domain is {}..{}", interval.start, interval.stop))
                .with_note(format!("the field has {}..{}", dim.range.start, dim.range.stop)));
            }
        }
        Ok(())
    }

    fn prepare_scans(&self, assignments: &[Assignment]) -> Result<()> {
        if !self.has_scans {
            return Ok(());
        }
        let axis = self.column_axis;
        let columns = assignments
            .iter()
            .filter(|assignment| !is_empty(&assignment.region))
            .flat_map(|assignment| &assignment.region)
            .filter(|(dim, _)| Some(*dim) == axis)
            .map(|(_, interval)| *interval)
            .reduce(Interval::hull);
        self.statement_columns.set(columns);
        let roots: Vec<(Value, Region)> =
            assignments.iter().map(|one| (one.value.clone(), one.region.clone())).collect();
        self.spread_demand(&roots)
    }

    fn compute(&self, assignment: &Assignment, writes: &mut Vec<Write>) -> Result<()> {
        if is_empty(&assignment.region) {
            return Ok(());
        }
        let leaf = self.leaf_of(assignment)?;
        let mut point: Vec<i64> = assignment.region.iter().map(|(_, interval)| interval.start).collect();
        loop {
            let position = self.position(&assignment.region, &point)?;
            let value = self
                .at(&assignment.value, &position)
                .map_err(|error| error.inside(self.element(leaf, &position)))?;
            self.store(assignment.leaf, leaf, &position, &value, writes)?;
            if !advance(&mut point, &assignment.region) {
                return Ok(());
            }
        }
    }

    fn position(&self, region: &Region, point: &[i64]) -> Result<Position> {
        let mut position = Position::default();
        for ((dim, _), at) in region.iter().zip(point) {
            position = position.with(*dim, *at).ok_or_else(|| {
                self.error(format!("coordinate {at} in {} does not fit 32 bits", self.text(*dim)))
            })?;
        }
        Ok(position)
    }

    fn store(
        &self,
        number: usize,
        leaf: &Leaf,
        position: &Position,
        value: &Value,
        writes: &mut Vec<Write>,
    ) -> Result<()> {
        let open = leaf.dims.iter().find(|dim| dim.is_local && position.get(dim.name).is_none());
        let mut element = |position: &Position, value: &Value| match value {
            Value::Scalar(scalar) if scalar.dtype() == leaf.dtype => {
                let offset = self.offset(leaf, position)?;
                writes.push(Write { leaf: number, offset, value: *scalar });
                Ok(())
            }
            Value::Scalar(scalar) => Err(self
                .error(format!("a value of type {} is written to `{}`", scalar.dtype(), leaf.name))
                .with_note(format!("its elements are {}", leaf.dtype))),
            Value::Poison(poison) => {
                Err(Diagnostic::error("P0613", "an output depends on a value that does not exist")
                    .at(self.element(leaf, position))
                    .with_note(self.poison_text(*poison)))
            }
            other => Err(self.error(format!("{} is written to `{}`", other.kind(), leaf.name))),
        };
        match (open, value) {
            (Some(dim), Value::List(list)) => {
                for column in dim.range.start..dim.range.stop {
                    let entry = match &**list {
                        List::Constant(value) => Some(value),
                        List::Entries(entries) => {
                            let index = usize::try_from(column - dim.range.start).unwrap_or(usize::MAX);
                            entries.get(index).and_then(Option::as_ref)
                        }
                    };
                    // Where there is no neighbour there is nothing to write.
                    if let (Some(entry), Some(position)) = (entry, position.with(dim.name, column)) {
                        element(&position, entry)?;
                    }
                }
                Ok(())
            }
            (None, Value::List(list)) => {
                let local = leaf.dims.iter().find(|dim| dim.is_local).and_then(|dim| position.get(dim.name));
                let index = local.map(|at| Value::Scalar(Scalar::I64(at)));
                match index {
                    Some(index) => element(position, &self.list_get(&index, &Value::List(Rc::clone(list)))?),
                    None => element(position, value),
                }
            }
            _ => element(position, value),
        }
    }

    fn offset(&self, leaf: &Leaf, position: &Position) -> Result<usize> {
        let mut offset = signed(leaf.offset);
        for dim in &leaf.dims {
            let at = position.get(dim.name).unwrap_or(dim.range.start);
            offset += dim.stride * (at - dim.range.start) as isize;
        }
        usize::try_from(offset)
            .map_err(|_| self.error(format!("the memory of field `{}` is smaller than its shape", leaf.name)))
    }

    fn write(&mut self, writes: &[Write]) -> Result<()> {
        for write in writes {
            let Some(leaf) = self.leaves.get(write.leaf) else { continue };
            let buffer = self.args.memory.buffers.get_mut(leaf.buffer);
            let bytes = buffer.and_then(|buffer| buffer.bytes_mut().get_mut(write.offset..));
            if !bytes.is_some_and(|bytes| write.value.write_le_bytes(bytes)) {
                return Err(
                    self.error(format!("the memory of field `{}` is smaller than its shape", leaf.name))
                );
            }
        }
        Ok(())
    }

    fn leaf_of(&self, assignment: &Assignment) -> Result<&Leaf> {
        self.leaves.get(assignment.leaf).ok_or_else(|| self.error("a field does not exist"))
    }

    fn element(&self, leaf: &Leaf, position: &Position) -> String {
        let at: Vec<String> = leaf
            .dims
            .iter()
            .filter_map(|dim| Some(format!("{}={}", self.text(dim.name), position.get(dim.name)?)))
            .collect();
        format!("{}[{}]", leaf.name, at.join(", "))
    }
}

/// Goes to the next point of a box, last dimension fastest.
fn advance(point: &mut [i64], region: &[(Name, Interval)]) -> bool {
    for (at, (_, interval)) in point.iter_mut().zip(region).rev() {
        *at += 1;
        if *at < interval.stop {
            return true;
        }
        *at = interval.start;
    }
    false
}
