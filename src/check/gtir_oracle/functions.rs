//! What builtins do that is not arithmetic: fields, tuples, domains.

use std::rc::Rc;

use crate::diag::Result;
use crate::entity::Name;
use crate::front::gtir::{Builtin, OffsetLabel};
use crate::scalar::Scalar;

use super::domain::{ABOVE, BELOW, Domain, Interval};
use super::eval::Args;
use super::machine::Machine;
use super::value::{Field, FieldKind, Function, Iter, Scan, Value};

impl Machine<'_, '_, '_> {
    /// Applies a builtin to its (first) arguments.
    pub(super) fn builtin(&self, builtin: Builtin, args: Args) -> Result<Value> {
        match (builtin, &args[..]) {
            (
                Builtin::AsFieldop
                | Builtin::Scan
                | Builtin::Shift
                | Builtin::Reduce
                | Builtin::MapList
                | Builtin::Lift
                | Builtin::MapTuple
                | Builtin::TreeMapTuple,
                _,
            ) => Ok(Value::applied(builtin, args.into_vec())),
            (Builtin::If, [condition, then, otherwise]) => match condition {
                Value::Scalar(value) => Ok(if value.is_true() { then.clone() } else { otherwise.clone() }),
                Value::Poison(_) => Ok(condition.clone()),
                other => Err(self.error(format!("the condition of `if_` is {}", other.kind()))),
            },
            (Builtin::Deref, [it]) => self.deref(it),
            (Builtin::CanDeref, [it]) => self.can_deref(it),
            (Builtin::Neighbors, [offset, it]) => self.neighbors(offset, it),
            (Builtin::MakeConstList, [value]) => {
                Ok(Value::List(Rc::new(super::value::List::Constant(value.clone()))))
            }
            (Builtin::ListGet, [index, list]) => self.list_get(index, list),
            (Builtin::MakeTuple, parts) => Ok(Value::tuple(parts)),
            (Builtin::TupleGet, [index, tuple]) => self.tuple_get(self.index(index)?, tuple),
            (Builtin::ConcatWhere, [Value::Domain(mask), inside, outside]) => {
                Ok(self.concat_where(mask, inside, outside))
            }
            (Builtin::Broadcast, [value, _]) => Ok(value.clone()),
            (Builtin::Index, [Value::Axis(dim)]) => Ok(Value::Field(self.field(FieldKind::Index(*dim)))),
            (Builtin::CartesianDomain | Builtin::UnstructuredDomain, ranges) => self.box_domain(ranges),
            (Builtin::NamedRange, [Value::Axis(dim), start, stop]) => {
                let (start, stop) = (self.bound(start)?, self.bound(stop)?);
                Ok(Value::NamedRange(*dim, Interval { start, stop }))
            }
            (Builtin::GetDomainRange, [field, Value::Axis(dim)]) => self.domain_range(field, *dim),
            (Builtin::And | Builtin::Or, [Value::Domain(a), Value::Domain(b)]) => {
                let (a, b) = (a.clone(), b.clone());
                let domain = if builtin == Builtin::And { Domain::And(a, b) } else { Domain::Or(a, b) };
                Ok(Value::Domain(Rc::new(domain)))
            }
            (Builtin::Not, [Value::Domain(a)]) => Ok(Value::Domain(Rc::new(Domain::Not(a.clone())))),
            (_, [Value::Axis(dim), bound]) => self.half_space(builtin, *dim, bound),
            (_, [bound, Value::Axis(dim)]) => self.half_space(mirrored(builtin), *dim, bound),
            _ => self.number_builtin(builtin, &args),
        }
    }

    /// Applies a builtin that has had its first arguments to its second ones.
    pub(super) fn applied(&self, builtin: Builtin, first: &[Value], args: Args) -> Result<Value> {
        match (builtin, first) {
            (Builtin::AsFieldop, [stencil]) => self.as_fieldop(stencil, None, args),
            (Builtin::AsFieldop, [stencil, Value::None]) => self.as_fieldop(stencil, None, args),
            (Builtin::AsFieldop, [stencil, Value::Domain(domain)]) => {
                self.as_fieldop(stencil, Some(domain), args)
            }
            (Builtin::Scan, first) => self.scan_here(&self.scan(first)?, &args),
            (Builtin::Shift, offsets) => match &args[..] {
                [it] => self.shift(offsets, it),
                _ => Err(self.error("a shift takes one iterator")),
            },
            (Builtin::Reduce, [operation, init]) => self.reduce(operation, init, &args),
            (Builtin::MapList, [operation]) => self.map_list(operation, &args),
            (Builtin::Lift, [stencil]) => {
                let lifted = Iter::Lifted { stencil: stencil.clone(), args: args.into_vec() };
                Ok(Value::Iterator(Rc::new(lifted)))
            }
            (Builtin::MapTuple, [operation]) => self.map_tuple(operation, &args, false),
            (Builtin::TreeMapTuple, [operation]) => self.map_tuple(operation, &args, true),
            _ => Err(self.error(format!("`{}` has the wrong arguments", builtin.name()))),
        }
    }

    /// Applies a stencil to fields. Inside a stencil, where the arguments are iterators, it is a plain call.
    fn as_fieldop(&self, stencil: &Value, domain: Option<&Rc<Domain>>, args: Args) -> Result<Value> {
        if args.iter().any(|arg| matches!(arg, Value::Iterator(_))) {
            return self.call(stencil, args);
        }
        let domain = domain.cloned();
        let args = args.into_vec();
        if let Value::Function(function) = stencil
            && let Function::Applied { builtin: Builtin::Scan, args: first } = &**function
        {
            let scan = Rc::new(self.scan(first)?);
            return Ok(Value::Field(self.field(FieldKind::Scan { scan, args, domain })));
        }
        Ok(Value::Field(self.field(FieldKind::Stencil { stencil: stencil.clone(), args, domain })))
    }

    fn scan(&self, first: &[Value]) -> Result<Scan> {
        match first {
            [function, Value::Scalar(forward), init] => {
                Ok(Scan { function: function.clone(), forward: forward.is_true(), init: init.clone() })
            }
            _ => {
                Err(self
                    .error("`scan` takes a function, a direction known at this point and an initial state"))
            }
        }
    }

    fn concat_where(&self, mask: &Rc<Domain>, inside: &Value, outside: &Value) -> Value {
        if let (Value::Tuple(a), Value::Tuple(b)) = (inside, outside)
            && a.len() == b.len()
        {
            let parts: Vec<Value> =
                a.iter().zip(&b[..]).map(|(x, y)| self.concat_where(mask, x, y)).collect();
            return Value::tuple(parts);
        }
        let kind =
            FieldKind::ConcatWhere { mask: mask.clone(), inside: inside.clone(), outside: outside.clone() };
        Value::Field(self.field(kind))
    }

    /// One part of a tuple, a field of tuples or an iterator over either.
    pub(super) fn tuple_get(&self, index: i64, tuple: &Value) -> Result<Value> {
        let position = usize::try_from(index).unwrap_or(usize::MAX);
        match tuple {
            Value::Tuple(parts) => parts
                .get(position)
                .cloned()
                .ok_or_else(|| self.error(format!("part {index} of a tuple of {} is taken", parts.len()))),
            Value::Poison(_) => Ok(tuple.clone()),
            Value::Field(field) => Ok(Value::Field(self.part(position, field))),
            Value::Iterator(iter) => match &**iter {
                Iter::At { base, position } => Ok(Value::Iterator(Rc::new(Iter::At {
                    base: self.tuple_get(index, base)?,
                    position: position.clone(),
                }))),
                // A trace does not tell parts apart: the whole argument counts as read.
                Iter::Traced(_) => Ok(tuple.clone()),
                Iter::Lifted { .. } => self.tuple_get(index, &self.deref(tuple)?),
            },
            other => Err(self.error(format!("part {index} of {} is taken", other.kind()))),
        }
    }

    fn part(&self, position: usize, field: &Rc<Field>) -> Rc<Field> {
        self.field(FieldKind::Part(position, field.clone()))
    }

    /// The parts, if the value is a tuple or a field of tuples.
    fn parts(&self, value: &Value) -> Result<Option<Vec<Value>>> {
        match value {
            Value::Tuple(parts) => Ok(Some(parts.to_vec())),
            Value::Field(field) => match self.shape(value)? {
                Value::Tuple(shape) => {
                    Ok(Some((0..shape.len()).map(|n| Value::Field(self.part(n, field))).collect()))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn map_tuple(&self, operation: &Value, args: &[Value], nested: bool) -> Result<Value> {
        let parts: Vec<Option<Vec<Value>>> = args.iter().map(|arg| self.parts(arg)).collect::<Result<_>>()?;
        let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else {
            if nested {
                return self.call(operation, args.iter().cloned().collect());
            }
            return Err(self.error("`map_tuple` is applied to something that is not a tuple"));
        };
        let count = parts.iter().map(Vec::len).min().unwrap_or(0);
        let mut results = Vec::with_capacity(count);
        for n in 0..count {
            let elements: Args = parts.iter().filter_map(|part| part.get(n).cloned()).collect();
            results.push(if nested {
                self.map_tuple(operation, &elements, true)?
            } else {
                self.call(operation, elements)?
            });
        }
        Ok(Value::tuple(results))
    }

    fn box_domain(&self, ranges: &[Value]) -> Result<Value> {
        let region = ranges
            .iter()
            .map(|range| match range {
                Value::NamedRange(dim, interval) => Ok((*dim, *interval)),
                other => Err(self.error(format!("a domain is made of ranges, not of {}", other.kind()))),
            })
            .collect::<Result<_>>()?;
        Ok(Value::Domain(Rc::new(Domain::Region(region))))
    }

    fn half_space(&self, builtin: Builtin, dim: Name, bound: &Value) -> Result<Value> {
        let at = self.bound(bound)?;
        let after = at.saturating_add(1);
        let interval = match builtin {
            Builtin::Less => Interval { start: BELOW, stop: at },
            Builtin::LessEqual => Interval { start: BELOW, stop: after },
            Builtin::Greater => Interval { start: after, stop: ABOVE },
            Builtin::GreaterEqual => Interval { start: at, stop: ABOVE },
            Builtin::Eq | Builtin::NotEq => Interval { start: at, stop: after },
            other => return Err(self.error(format!("`{}` is applied to a dimension", other.name()))),
        };
        let space = Domain::Region(vec![(dim, interval)]);
        Ok(Value::Domain(Rc::new(if builtin == Builtin::NotEq {
            Domain::Not(Rc::new(space))
        } else {
            space
        })))
    }

    fn domain_range(&self, field: &Value, dim: Name) -> Result<Value> {
        if let Value::Tuple(parts) = field
            && let Some(first) = parts.first()
        {
            return self.domain_range(first, dim);
        }
        if let Value::Field(field) = field
            && let FieldKind::Leaf(leaf) = field.kind
            && let Some(leaf) = self.leaves.get(leaf as usize)
        {
            let Some(known) = leaf.dims.iter().find(|known| known.name == dim) else {
                return Err(self.error(format!("field `{}` has no dimension {}", leaf.name, self.text(dim))));
            };
            let end = |end: i64| Value::Scalar(Scalar::I32(i32::try_from(end).unwrap_or(i32::MAX)));
            return Ok(Value::tuple([end(known.range.start), end(known.range.stop)]));
        }
        Err(self.error("`get_domain_range` is asked of something that is not a parameter"))
    }

    /// An end of a range.
    fn bound(&self, value: &Value) -> Result<i64> {
        match value {
            Value::Infinity(true) => Ok(ABOVE),
            Value::Infinity(false) => Ok(BELOW),
            Value::Poison(poison) => Err(self
                .error("the bounds of a domain depend on a value that does not exist")
                .with_note(self.poison_text(*poison))),
            other => self.index(other),
        }
    }

    /// An integer that has to be one.
    pub(super) fn index(&self, value: &Value) -> Result<i64> {
        match value {
            Value::Scalar(number) if number.dtype().is_integral() => Ok(number.as_i64()),
            Value::Offset(OffsetLabel::Index(number)) => Ok(*number),
            other => Err(self.error(format!("an integer is expected, not {}", other.kind()))),
        }
    }
}

/// The comparison with its sides exchanged.
fn mirrored(builtin: Builtin) -> Builtin {
    match builtin {
        Builtin::Less => Builtin::Greater,
        Builtin::LessEqual => Builtin::GreaterEqual,
        Builtin::Greater => Builtin::Less,
        Builtin::GreaterEqual => Builtin::LessEqual,
        other => other,
    }
}
