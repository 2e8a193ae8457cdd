//! Iterators and lists: what a stencil does at one point.

use std::rc::Rc;

use crate::diag::Result;
use crate::scalar::{BinaryOp, DType, Scalar, UnaryOp};

use super::point::PointId;
use super::value::{Chosen, Iterator, List, Position, Value};
use super::{Lowering, ill_typed};

impl Lowering<'_> {
    /// What an iterator reads.
    pub(super) fn deref(&mut self, iterator: &Value) -> Result<Value> {
        match iterator {
            Value::Iterator(inner) => match &**inner {
                Iterator::Into { source, position, .. } => self.value_at(source, position),
                Iterator::Lifted { stencil, args } => {
                    let (stencil, args) = (stencil.clone(), args.clone());
                    self.apply(&stencil, args)
                }
                Iterator::Part { whole, index } => {
                    let value = self.deref(whole)?;
                    self.component(*index, &value)
                }
                Iterator::Chosen(chosen) => {
                    let then = self.deref(&chosen.then)?;
                    let otherwise = self.deref(&chosen.otherwise)?;
                    self.if_(&Value::Point(chosen.condition), then, otherwise)
                }
            },
            Value::Tuple(elements) => {
                let elements = elements.clone();
                let values: Result<Vec<Value>> = elements.iter().map(|element| self.deref(element)).collect();
                Ok(Value::Tuple(values?.into()))
            }
            // A scan's carry is read without `deref`, but programs may write it anyway.
            Value::Point(_) => Ok(iterator.clone()),
            _ => Err(ill_typed("`deref` takes an iterator")),
        }
    }

    /// Whether an iterator points at something.
    pub(super) fn can_deref(&mut self, iterator: &Value) -> Result<PointId> {
        let certain = self.points.constant(Scalar::Bool(true));
        match iterator {
            Value::Iterator(inner) => match &**inner {
                Iterator::Into { valid, .. } => Ok(valid.unwrap_or(certain)),
                Iterator::Lifted { args, .. } => {
                    let mut all = certain;
                    for arg in args.clone() {
                        let valid = self.can_deref(&arg)?;
                        all = self.both(all, valid);
                    }
                    Ok(all)
                }
                Iterator::Part { whole, .. } => self.can_deref(whole),
                Iterator::Chosen(chosen) => {
                    let then = self.can_deref(&chosen.then)?;
                    let otherwise = self.can_deref(&chosen.otherwise)?;
                    Ok(self.points.choose(chosen.condition, then, otherwise))
                }
            },
            Value::Tuple(elements) => {
                let mut all = certain;
                for element in elements.clone().iter() {
                    let valid = self.can_deref(element)?;
                    all = self.both(all, valid);
                }
                Ok(all)
            }
            _ => Ok(certain),
        }
    }

    /// The iterator moved by a list of offsets and distances.
    pub(super) fn shift(&mut self, iterator: &Value, offsets: &[Value]) -> Result<Value> {
        let mut moved = iterator.clone();
        for pair in offsets.chunks(2) {
            let [offset, distance] = pair else {
                return Err(ill_typed("`shift` takes pairs of an offset and a distance"));
            };
            let Value::Point(distance) = distance else {
                return Err(ill_typed("the distance of a shift is an integer"));
            };
            let distance = self.points.cast(DType::I64, *distance);
            moved = self.shift_once(&moved, offset, distance)?;
        }
        Ok(moved)
    }

    fn shift_once(&mut self, iterator: &Value, offset: &Value, distance: PointId) -> Result<Value> {
        match iterator {
            Value::Iterator(inner) => match &**inner {
                Iterator::Into { source, position, valid } => {
                    let (position, here) = self.moved(position, offset, distance)?;
                    let valid = match (*valid, here) {
                        (Some(a), Some(b)) => Some(self.both(a, b)),
                        (a, b) => a.or(b),
                    };
                    Ok(Value::Iterator(Rc::new(Iterator::Into { source: source.clone(), position, valid })))
                }
                Iterator::Lifted { stencil, args } => {
                    let (stencil, args) = (stencil.clone(), args.clone());
                    let args: Result<Vec<Value>> =
                        args.iter().map(|arg| self.shift_once(arg, offset, distance)).collect();
                    Ok(Value::Iterator(Rc::new(Iterator::Lifted { stencil, args: args? })))
                }
                Iterator::Part { whole, index } => {
                    let whole = self.shift_once(whole, offset, distance)?;
                    Ok(Value::Iterator(Rc::new(Iterator::Part { whole, index: *index })))
                }
                Iterator::Chosen(chosen) => {
                    let then = self.shift_once(&chosen.then, offset, distance)?;
                    let otherwise = self.shift_once(&chosen.otherwise, offset, distance)?;
                    let condition = chosen.condition;
                    Ok(Value::Iterator(Rc::new(Iterator::Chosen(Chosen { condition, then, otherwise }))))
                }
            },
            Value::Tuple(elements) => {
                let elements = elements.clone();
                let moved: Result<Vec<Value>> =
                    elements.iter().map(|element| self.shift_once(element, offset, distance)).collect();
                Ok(Value::Tuple(moved?.into()))
            }
            _ => Err(ill_typed("only iterators can be shifted")),
        }
    }

    /// The position after one offset, and whether it exists where that is not certain.
    fn moved(
        &mut self,
        position: &Position,
        offset: &Value,
        distance: PointId,
    ) -> Result<(Position, Option<PointId>)> {
        match *offset {
            Value::Cartesian(from, to) => {
                let at = self.coordinate_at(position, from);
                let at = self.points.binary(BinaryOp::Add, at, distance);
                let position = if from == to { position.clone() } else { position.without(from) };
                Ok((position.with(to, at), None))
            }
            Value::Offset(table) => {
                let row = self.tables[table].clone();
                let at = self.coordinate_at(position, row.source);
                let neighbor = self.points.neighbor(table, at, distance);
                let position =
                    if row.source == row.target { position.clone() } else { position.without(row.source) };
                if !row.has_skips {
                    return Ok((position.with(row.target, neighbor), None));
                }
                let zero = self.points.index(0);
                let valid = self.points.binary(BinaryOp::Ge, neighbor, zero);
                let clamped = self.points.binary(BinaryOp::Max, neighbor, zero);
                Ok((position.with(row.target, clamped), Some(valid)))
            }
            _ => Err(ill_typed("a shift needs an offset")),
        }
    }

    /// The coordinate of a position in a dimension.
    pub(super) fn coordinate_at(&mut self, position: &Position, dim: super::point::DimId) -> PointId {
        position.get(dim).unwrap_or_else(|| self.points.coordinate(dim))
    }

    /// `neighbors(offset, iterator)`: one element per neighbour.
    pub(super) fn neighbors(&mut self, offset: &Value, iterator: &Value) -> Result<Value> {
        let Value::Offset(table) = offset else {
            return Err(ill_typed("`neighbors` takes an offset of an unstructured mesh"));
        };
        let (count, has_skips) = (self.tables[*table].max_neighbors, self.tables[*table].has_skips);
        let mut elements = Vec::with_capacity(count);
        let mut valid = Vec::with_capacity(count);
        for number in 0..count {
            let distance = self.points.index(i64::try_from(number).unwrap_or(i64::MAX));
            let moved = self.shift_once(iterator, offset, distance)?;
            valid.push(self.can_deref(&moved)?);
            elements.push(self.deref(&moved)?);
        }
        Ok(Value::List(Rc::new(List::Neighbors { elements, valid: has_skips.then_some(valid) })))
    }

    /// `list_get(i, list)`; a run-time index selects.
    pub(super) fn list_get(&mut self, index: &Value, list: &Value) -> Result<Value> {
        let (Value::Point(index), Value::List(list)) = (index, list) else {
            return Err(ill_typed("`list_get` takes an index and a list"));
        };
        let elements = match &**list {
            List::Constant(value) => return Ok(value.clone()),
            List::Neighbors { elements, .. } => elements.clone(),
        };
        if let Some(known) = self.points.as_int(*index) {
            let at = usize::try_from(known).ok().and_then(|at| elements.get(at));
            return at.cloned().ok_or_else(|| {
                ill_typed(format!("`list_get` asks for element {known} of a list of {}", elements.len()))
            });
        }
        let index = self.points.cast(DType::I64, *index);
        let mut backwards = elements.into_iter().enumerate().rev();
        let Some((_, mut chosen)) = backwards.next() else {
            return Err(ill_typed("`list_get` on an empty list"));
        };
        for (number, element) in backwards {
            let number = self.points.index(i64::try_from(number).unwrap_or(i64::MAX));
            let here = self.points.binary(BinaryOp::Eq, index, number);
            chosen = self.choose_value(here, &element, &chosen)?;
        }
        Ok(chosen)
    }

    fn choose_value(&mut self, condition: PointId, then: &Value, otherwise: &Value) -> Result<Value> {
        match (then, otherwise) {
            (Value::Point(a), Value::Point(b)) => {
                let (a, b) = self.meet(*a, *b);
                Ok(Value::Point(self.points.choose(condition, a, b)))
            }
            (Value::Tuple(a), Value::Tuple(b)) if a.len() == b.len() => {
                let (a, b) = (a.clone(), b.clone());
                let chosen: Result<Vec<Value>> =
                    a.iter().zip(b.iter()).map(|(x, y)| self.choose_value(condition, x, y)).collect();
                Ok(Value::Tuple(chosen?.into()))
            }
            _ => Err(ill_typed("the two sides of a choice have different shapes")),
        }
    }

    /// Element-wise application over lists of one local dimension.
    pub(super) fn zip_lists(
        &mut self,
        lists: &[&Rc<List>],
        mut f: impl FnMut(&mut Self, &[Value]) -> Result<Value>,
    ) -> Result<Value> {
        let mut count = None;
        let mut valid: Option<Vec<PointId>> = None;
        for list in lists {
            if let List::Neighbors { elements, valid: here } = &***list {
                if count.is_some_and(|count| count != elements.len()) {
                    return Err(ill_typed("lists of different lengths meet"));
                }
                count = Some(elements.len());
                if let Some(here) = here {
                    valid = Some(match valid.take() {
                        None => here.clone(),
                        Some(before) => before.iter().zip(here).map(|(&a, &b)| self.both(a, b)).collect(),
                    });
                }
            }
        }
        let element = |list: &List, number: usize| match list {
            List::Constant(value) => Some(value.clone()),
            List::Neighbors { elements, .. } => elements.get(number).cloned(),
        };
        let Some(count) = count else {
            let values: Vec<Value> = lists.iter().filter_map(|list| element(list, 0)).collect();
            return Ok(Value::List(Rc::new(List::Constant(f(self, &values)?))));
        };
        let mut elements = Vec::with_capacity(count);
        for number in 0..count {
            let values: Vec<Value> = lists.iter().filter_map(|list| element(list, number)).collect();
            elements.push(f(self, &values)?);
        }
        Ok(Value::List(Rc::new(List::Neighbors { elements, valid })))
    }

    /// `map_list(op)(lists...)`.
    pub(super) fn map_list(&mut self, function: &[Value], lists: &[Value]) -> Result<Value> {
        let [function] = function else { return Err(ill_typed("`map_list` takes one function")) };
        let lists = as_lists(lists)?;
        let lists: Vec<&Rc<List>> = lists.iter().collect();
        self.zip_lists(&lists, |this, values| this.apply(function, values.to_vec()))
    }

    /// `reduce(op, init)(lists...)`: a fold over the neighbours that exist, first neighbour first.
    pub(super) fn reduce(&mut self, parts: &[Value], lists: &[Value]) -> Result<Value> {
        let [function, init] = parts else {
            return Err(ill_typed("`reduce` takes a function and an initial value"));
        };
        let lists = as_lists(lists)?;
        let references: Vec<&Rc<List>> = lists.iter().collect();
        let zipped = self.zip_lists(&references, |_, values| Ok(Value::Tuple(values.to_vec().into())))?;
        let Value::List(zipped) = zipped else { return Err(ill_typed("`reduce` takes lists")) };
        let List::Neighbors { elements, valid } = &*zipped else {
            return Err(ill_typed("`reduce` needs a list with a known number of neighbours"));
        };
        let mut state = init.clone();
        for (number, element) in elements.iter().enumerate() {
            let Value::Tuple(values) = element else { continue };
            let mut args = vec![state.clone()];
            args.extend(values.iter().cloned());
            let next = self.apply(function, args)?;
            state = match valid.as_ref().and_then(|valid| valid.get(number)) {
                None => next,
                Some(&valid) => self.choose_value(valid, &next, &state)?,
            };
        }
        Ok(state)
    }

    /// `map_tuple(op)(tuples...)` and `tree_map_tuple(op)(tuples...)`.
    pub(super) fn map_tuple(&mut self, function: &Value, args: &[Value], deep: bool) -> Result<Value> {
        let mut tuples = Vec::with_capacity(args.len());
        for arg in args {
            match arg {
                Value::Tuple(elements) => tuples.push(elements.clone()),
                Value::Field(field) => match self.field_as_tuple(*field) {
                    Ok(elements) => tuples.push(elements),
                    Err(_) if deep => return self.apply(function, args.to_vec()),
                    Err(error) => return Err(error),
                },
                _ if deep => return self.apply(function, args.to_vec()),
                _ => return Err(ill_typed("`map_tuple` takes tuples")),
            }
        }
        let count = tuples.first().map_or(0, |tuple| tuple.len());
        if tuples.iter().any(|tuple| tuple.len() != count) {
            return Err(ill_typed("tuples of different lengths meet"));
        }
        let mut elements = Vec::with_capacity(count);
        for number in 0..count {
            let values: Vec<Value> = tuples.iter().filter_map(|tuple| tuple.get(number).cloned()).collect();
            elements.push(if deep {
                self.map_tuple(function, &values, true)?
            } else {
                self.apply(function, values)?
            });
        }
        Ok(Value::Tuple(elements.into()))
    }

    /// Negation of a bool, simplified where it is known.
    pub(super) fn not(&mut self, a: PointId) -> PointId {
        self.points.unary(UnaryOp::Not, a)
    }
}

fn as_lists(values: &[Value]) -> Result<Vec<Rc<List>>> {
    values
        .iter()
        .map(|value| match value {
            Value::List(list) => Ok(list.clone()),
            _ => Err(ill_typed("a list of neighbours is expected")),
        })
        .collect()
}
