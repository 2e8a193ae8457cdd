//! What happens inside stencils: moving and reading iterators, lists of neighbours.

use std::rc::Rc;

use crate::diag::Result;
use crate::entity::Name;
use crate::front::gtir::OffsetLabel;
use crate::scalar::Scalar;

use super::eval::Args;
use super::machine::{Machine, Table};
use super::value::{Iter, List, Move, Poison, Position, Value};

impl Machine<'_, '_, '_> {
    /// What an iterator points at.
    pub(super) fn deref(&self, it: &Value) -> Result<Value> {
        match it {
            Value::Iterator(iter) => match &**iter {
                Iter::At { base, position: Some(position) } => self.at(base, position),
                Iter::At { position: None, .. } => Ok(Value::Poison(Poison::Skipped)),
                Iter::Lifted { stencil, args } => self.call(stencil, args.iter().cloned().collect()),
                Iter::Traced(alternatives) => Ok(self.record(alternatives)),
            },
            Value::Poison(_) => Ok(it.clone()),
            other => Err(self.error(format!("`deref` of {}", other.kind()))),
        }
    }

    /// Whether an iterator points at a neighbour that exists.
    pub(super) fn can_deref(&self, it: &Value) -> Result<Value> {
        let Value::Iterator(iter) = it else {
            return Err(self.error(format!("`can_deref` of {}", it.kind())));
        };
        match &**iter {
            Iter::At { position, .. } => Ok(Value::Scalar(Scalar::Bool(position.is_some()))),
            Iter::Lifted { args, .. } => {
                for arg in args {
                    match self.can_deref(arg)? {
                        Value::Scalar(valid) if valid.is_true() => {}
                        other => return Ok(other),
                    }
                }
                Ok(Value::Scalar(Scalar::Bool(true)))
            }
            Iter::Traced(_) => Ok(Value::TRACED),
        }
    }

    /// An iterator moved by a sequence of offsets, given as pairs of what and how far.
    pub(super) fn shift(&self, offsets: &[Value], it: &Value) -> Result<Value> {
        let (pairs, rest) = offsets.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(self.error("`shift` takes pairs of an offset and an index"));
        }
        let mut it = it.clone();
        for [offset, index] in pairs {
            it = match offset {
                Value::CartesianOffset(from, to) => match index {
                    Value::Poison(Poison::Traced) => {
                        self.trace_move(&it, Move::Cartesian(from.name, to.name, None))?
                    }
                    Value::Poison(_) => return Ok(index.clone()),
                    index => self.move_along(&it, from.name, to.name, self.index(index)?)?,
                },
                Value::Offset(OffsetLabel::Name(name)) => {
                    let table = self.table(*name)?;
                    match index {
                        Value::Poison(Poison::Traced) => self.trace_move(&it, table.as_move())?,
                        Value::Poison(_) => return Ok(index.clone()),
                        index => self.move_through(&it, table, self.index(index)?)?,
                    }
                }
                other => return Err(self.error(format!("`shift` by {}", other.kind()))),
            };
        }
        Ok(it)
    }

    /// An iterator moved along a Cartesian dimension.
    pub(super) fn move_along(&self, it: &Value, from: Name, to: Name, distance: i64) -> Result<Value> {
        self.moved(it, Move::Cartesian(from, to, Some(distance)), &|position| {
            let at = self.coordinate(position, from)?;
            let target = if from == to { position.clone() } else { position.without(from) };
            Ok(target.with(to, at.saturating_add(distance)))
        })
    }

    fn move_through(&self, it: &Value, table: &Table, index: i64) -> Result<Value> {
        self.moved(it, table.as_move(), &|position| {
            let row = self.coordinate(position, table.source)?;
            Ok(match table.entry(row, index) {
                Some(entry) if Some(entry) == table.skip_value => None,
                Some(entry) => position.without(table.source).with(table.target, entry),
                None => None,
            })
        })
    }

    fn moved(
        &self,
        it: &Value,
        step: Move,
        target: &dyn Fn(&Position) -> Result<Option<Position>>,
    ) -> Result<Value> {
        match it {
            Value::Iterator(iter) => match &**iter {
                Iter::At { base, position } => {
                    let position = match position {
                        Some(position) => target(position)?,
                        None => None,
                    };
                    Ok(Value::Iterator(Rc::new(Iter::At { base: base.clone(), position })))
                }
                Iter::Lifted { stencil, args } => {
                    let args = args.iter().map(|arg| self.moved(arg, step, target)).collect::<Result<_>>()?;
                    Ok(Value::Iterator(Rc::new(Iter::Lifted { stencil: stencil.clone(), args })))
                }
                Iter::Traced(_) => self.trace_move(it, step),
            },
            Value::Poison(_) => Ok(it.clone()),
            other => Err(self.error(format!("`shift` of {}", other.kind()))),
        }
    }

    fn trace_move(&self, it: &Value, step: Move) -> Result<Value> {
        match it {
            Value::Iterator(iter) => match &**iter {
                Iter::Traced(alternatives) => {
                    let moved = alternatives
                        .iter()
                        .map(|(arg, path)| (*arg, path.iter().copied().chain([step]).collect()))
                        .collect();
                    Ok(Value::Iterator(Rc::new(Iter::Traced(moved))))
                }
                Iter::Lifted { stencil, args } => {
                    let args = args.iter().map(|arg| self.trace_move(arg, step)).collect::<Result<_>>()?;
                    Ok(Value::Iterator(Rc::new(Iter::Lifted { stencil: stencil.clone(), args })))
                }
                Iter::At { .. } => Ok(Value::TRACED),
            },
            _ => Ok(Value::TRACED),
        }
    }

    fn coordinate(&self, position: &Position, dim: Name) -> Result<i64> {
        position.get(dim).ok_or_else(|| {
            let known: Vec<&str> = position.entries().map(|(name, _)| self.text(name)).collect();
            self.error(format!("a position over ({}) is moved along {}", known.join(", "), self.text(dim)))
        })
    }

    /// A connectivity of the offset provider.
    pub(super) fn table(&self, offset: Name) -> Result<&Table> {
        self.tables.get(&offset).ok_or_else(|| {
            self.error(format!("the offset provider has no connectivity `{}`", self.text(offset)))
                .with_help("pass it in the offset provider")
        })
    }

    /// The list of what an iterator points at through each column of a connectivity.
    pub(super) fn neighbors(&self, offset: &Value, it: &Value) -> Result<Value> {
        let Value::Offset(OffsetLabel::Name(name)) = offset else {
            return Err(self.error(format!("`neighbors` over {}", offset.kind())));
        };
        let table = self.table(*name)?;
        if self.is_traced(it) {
            self.deref(&self.trace_move(it, table.as_move())?)?;
            return Ok(Value::TRACED);
        }
        let mut entries = Vec::with_capacity(table.max_neighbors);
        for column in 0..table.max_neighbors {
            let moved = self.move_through(it, table, i64::try_from(column).unwrap_or(i64::MAX))?;
            let exists = matches!(self.can_deref(&moved)?, Value::Scalar(valid) if valid.is_true());
            entries.push(if exists { Some(self.deref(&moved)?) } else { None });
        }
        Ok(Value::List(Rc::new(List::Entries(entries))))
    }

    fn is_traced(&self, it: &Value) -> bool {
        match it {
            Value::Iterator(iter) => match &**iter {
                Iter::Traced(_) => true,
                Iter::Lifted { args, .. } => args.iter().any(|arg| self.is_traced(arg)),
                Iter::At { .. } => false,
            },
            Value::Poison(Poison::Traced) => true,
            _ => false,
        }
    }

    /// One entry of a list.
    pub(super) fn list_get(&self, index: &Value, list: &Value) -> Result<Value> {
        if let Value::Poison(_) = index {
            return Ok(index.clone());
        }
        let index = self.index(index)?;
        match list {
            Value::List(list) => match &**list {
                List::Constant(value) => Ok(value.clone()),
                List::Entries(entries) => {
                    match usize::try_from(index).ok().and_then(|index| entries.get(index)) {
                        Some(Some(value)) => Ok(value.clone()),
                        Some(None) => Ok(Value::Poison(Poison::Skipped)),
                        None => {
                            Err(self.error(format!("entry {index} of a list of {} is taken", entries.len())))
                        }
                    }
                }
            },
            Value::Poison(_) => Ok(list.clone()),
            other => Err(self.error(format!("entry {index} of {} is taken", other.kind()))),
        }
    }

    /// Folds an operation over the neighbours that exist in every list.
    pub(super) fn reduce(&self, operation: &Value, init: &Value, lists: &[Value]) -> Result<Value> {
        let Some(count) = self.common_length(lists)? else {
            if lists.iter().any(|list| matches!(list, Value::Poison(Poison::Traced))) {
                self.call(operation, self.traced_operands(Some(init), lists))?;
                return Ok(Value::TRACED);
            }
            return match lists.iter().find(|list| matches!(list, Value::Poison(_))) {
                Some(poison) => Ok(poison.clone()),
                None => Err(self.error("`reduce` over constant lists has no end")),
            };
        };
        let mut state = init.clone();
        for index in 0..count {
            if let Some(operands) = entries_at(lists, index) {
                let operands = std::iter::once(state).chain(operands).collect();
                state = self.call(operation, operands)?;
            }
        }
        Ok(state)
    }

    /// Applies an operation entry by entry.
    pub(super) fn map_list(&self, operation: &Value, lists: &[Value]) -> Result<Value> {
        if let Some(count) = self.common_length(lists)? {
            let mut entries = Vec::with_capacity(count);
            for index in 0..count {
                entries.push(match entries_at(lists, index) {
                    Some(operands) => Some(self.call(operation, operands.collect())?),
                    None => None,
                });
            }
            return Ok(Value::List(Rc::new(List::Entries(entries))));
        }
        if lists.iter().any(|list| matches!(list, Value::Poison(Poison::Traced))) {
            self.call(operation, self.traced_operands(None, lists))?;
            return Ok(Value::TRACED);
        }
        if let Some(poison) = lists.iter().find(|list| matches!(list, Value::Poison(_))) {
            return Ok(poison.clone());
        }
        let operands = entries_at(lists, 0).map(|operands| operands.collect()).unwrap_or_default();
        Ok(Value::List(Rc::new(List::Constant(self.call(operation, operands)?))))
    }

    fn traced_operands(&self, init: Option<&Value>, lists: &[Value]) -> Args {
        init.into_iter().chain(lists).map(|_| Value::TRACED).collect()
    }

    /// The length all finite lists share; `None` if one is poison or none is finite.
    fn common_length(&self, lists: &[Value]) -> Result<Option<usize>> {
        let mut length = None;
        for list in lists {
            match list {
                Value::List(list) => {
                    let List::Entries(entries) = &**list else { continue };
                    if length.is_some_and(|length| length != entries.len()) {
                        return Err(self.error("lists of different lengths meet"));
                    }
                    length = Some(entries.len());
                }
                Value::Poison(_) => return Ok(None),
                other => return Err(self.error(format!("a list is expected, not {}", other.kind()))),
            }
        }
        Ok(length)
    }
}

/// The entries of all lists at an index, unless one has no neighbour there.
fn entries_at(lists: &[Value], index: usize) -> Option<impl Iterator<Item = Value> + '_> {
    let entry = move |list: &Value| match list {
        Value::List(list) => match &**list {
            List::Entries(entries) => entries.get(index).cloned().flatten(),
            List::Constant(value) => Some(value.clone()),
        },
        _ => None,
    };
    lists.iter().all(|list| entry(list).is_some()).then(|| lists.iter().filter_map(entry))
}

impl Table {
    fn as_move(&self) -> Move {
        Move::Unstructured(self.source, self.target)
    }
}
