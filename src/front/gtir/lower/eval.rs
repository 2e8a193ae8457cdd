//! Evaluation of GTIR expressions to abstract values.
//!
//! Strict and in order of dependence: arguments before calls, a let's value before its body, so each written
//! expression is visited once per application of the function it stands in. Iterators appear while a stencil
//! is applied; the result of a stencil is a point expression (or a tuple or list of them).

use std::rc::Rc;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::scalar::{BinaryOp, DType, Scalar, UnaryOp};

use super::super::Builtin;
use super::super::ast::{self, OffsetLabel, Term};
use super::point::PointId;
use super::value::{AxisRange, Chosen, Closure, Domain, Field, Iterator, List, Partial, Scope, Value};
use super::{Lowering, MAX_DEPTH, ill_typed};

impl Lowering<'_> {
    /// The value of an expression in a scope.
    pub(super) fn eval(&mut self, id: ast::TermId, scope: &Scope) -> Result<Value> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Diagnostic::error("P0650", "the program nests deeper than Pelton's limit")
                .with_note(format!("the limit is {MAX_DEPTH} nested expressions")));
        }
        let result = self.eval_unbounded(id, scope);
        self.depth -= 1;
        result
    }

    fn eval_unbounded(&mut self, id: ast::TermId, scope: &Scope) -> Result<Value> {
        let program = self.program;
        let Some(term) = program.terms.get(id) else { return Err(ill_typed("a term refers to nothing")) };
        match term {
            Term::Literal(value) => Ok(Value::Point(self.points.constant(*value))),
            Term::Text(_) => Err(ill_typed("a text constant is not a value")),
            Term::Ref(name) => self.reference(*name, scope),
            Term::Builtin(builtin) => Ok(Value::Builtin(*builtin)),
            Term::Lambda { params, body } => Ok(Value::Closure(Rc::new(Closure {
                params: params.to_vec(),
                body: *body,
                scope: scope.clone(),
            }))),
            Term::Call { callee, args } => self.call(*callee, args, scope),
            Term::Axis(dimension) => Ok(Value::Axis(self.dim(*dimension))),
            Term::Offset(OffsetLabel::Name(name)) => self.offset(*name),
            Term::Offset(OffsetLabel::Index(value)) => Ok(Value::Point(self.points.index(*value))),
            Term::CartesianOffset { from, to } => Ok(Value::Cartesian(self.dim(*from), self.dim(*to))),
            Term::Infinity(_) => Ok(Value::Infinity),
            Term::None => Ok(Value::None),
        }
    }

    fn reference(&mut self, name: Name, scope: &Scope) -> Result<Value> {
        if let Some(value) = scope.get(&name).or_else(|| self.globals.get(&name)) {
            return Ok(value.clone());
        }
        Err(Diagnostic::error("P0654", format!("nothing is called `{}` here", self.program.text(name)))
            .with_help("bind the name with a parameter, a function definition or a let"))
    }

    fn call(&mut self, callee: ast::TermId, args: &[ast::TermId], scope: &Scope) -> Result<Value> {
        // `if_` chooses before it evaluates when it can.
        if let Some(Term::Builtin(Builtin::If)) = self.program.terms.get(callee)
            && let [condition, then, otherwise] = *args
        {
            let condition = self.eval(condition, scope)?;
            if let Value::Point(point) = condition
                && let Some(Scalar::Bool(taken)) = self.points.as_constant(point)
            {
                return self.eval(if taken { then } else { otherwise }, scope);
            }
            let then = self.eval(then, scope)?;
            let otherwise = self.eval(otherwise, scope)?;
            return self.if_(&condition, then, otherwise);
        }
        let function = self.eval(callee, scope)?;
        let mut values = Vec::with_capacity(args.len());
        for &arg in args {
            values.push(self.eval(arg, scope)?);
        }
        self.apply(&function, values)
    }

    /// Applies a function value.
    pub(super) fn apply(&mut self, function: &Value, args: Vec<Value>) -> Result<Value> {
        match function {
            Value::Closure(closure) => {
                if closure.params.len() != args.len() {
                    return Err(ill_typed(format!(
                        "a function of {} parameters is called with {} arguments",
                        closure.params.len(),
                        args.len()
                    )));
                }
                let mut scope = closure.scope.clone();
                for (&param, value) in closure.params.iter().zip(args) {
                    scope = scope.insert(param, value);
                }
                self.eval(closure.body, &scope)
            }
            Value::Builtin(builtin) => self.builtin(*builtin, args),
            Value::Partial(partial) => self.apply_partial(partial, args),
            Value::Chosen(chosen) => {
                let then = self.apply(&chosen.then, args.clone())?;
                let otherwise = self.apply(&chosen.otherwise, args)?;
                self.if_(&Value::Point(chosen.condition), then, otherwise)
            }
            _ => Err(ill_typed("something that is not a function is called")),
        }
    }

    fn apply_partial(&mut self, partial: &Rc<Partial>, args: Vec<Value>) -> Result<Value> {
        match partial.builtin {
            Builtin::AsFieldop => self.field_operator(&partial.args, args),
            Builtin::Shift => match args.as_slice() {
                [iterator] => self.shift(iterator, &partial.args),
                _ => Err(ill_typed("a shift moves exactly one iterator")),
            },
            Builtin::Scan => self.scan_in_stencil(&partial.args, &args),
            Builtin::Lift => match partial.args.as_slice() {
                [stencil] => {
                    Ok(Value::Iterator(Rc::new(Iterator::Lifted { stencil: stencil.clone(), args })))
                }
                _ => Err(ill_typed("`lift` takes one stencil")),
            },
            Builtin::Reduce => self.reduce(&partial.args, &args),
            Builtin::MapList => self.map_list(&partial.args, &args),
            Builtin::MapTuple | Builtin::TreeMapTuple => {
                let [function] = partial.args.as_slice() else {
                    return Err(ill_typed("a map over tuples takes one function"));
                };
                self.map_tuple(function, &args, partial.builtin == Builtin::TreeMapTuple)
            }
            _ => Err(ill_typed("a builtin is called twice")),
        }
    }

    fn builtin(&mut self, builtin: Builtin, mut args: Vec<Value>) -> Result<Value> {
        match builtin {
            Builtin::AsFieldop
            | Builtin::Shift
            | Builtin::Scan
            | Builtin::Lift
            | Builtin::Reduce
            | Builtin::MapList
            | Builtin::MapTuple
            | Builtin::TreeMapTuple => Ok(Value::Partial(Rc::new(Partial { builtin, args }))),
            Builtin::MakeTuple => Ok(Value::Tuple(args.into())),
            Builtin::TupleGet => match args.as_slice() {
                [index, tuple] => self.tuple_get(index, tuple),
                _ => Err(ill_typed("`tuple_get` takes an index and a tuple")),
            },
            Builtin::Deref => match args.as_slice() {
                [iterator] => self.deref(iterator),
                _ => Err(ill_typed("`deref` takes one iterator")),
            },
            Builtin::CanDeref => match args.as_slice() {
                [iterator] => self.can_deref(iterator).map(Value::Point),
                _ => Err(ill_typed("`can_deref` takes one iterator")),
            },
            Builtin::If => match args.as_slice() {
                [condition, then, otherwise] => self.if_(condition, then.clone(), otherwise.clone()),
                _ => Err(ill_typed("`if_` takes a condition and two values")),
            },
            Builtin::Neighbors => match args.as_slice() {
                [offset, iterator] => self.neighbors(offset, iterator),
                _ => Err(ill_typed("`neighbors` takes an offset and an iterator")),
            },
            Builtin::MakeConstList => match args.pop() {
                Some(value) if args.is_empty() => Ok(Value::List(Rc::new(List::Constant(value)))),
                _ => Err(ill_typed("`make_const_list` takes one value")),
            },
            Builtin::ListGet => match args.as_slice() {
                [index, list] => self.list_get(index, list),
                _ => Err(ill_typed("`list_get` takes an index and a list")),
            },
            Builtin::ConcatWhere => match <[Value; 3]>::try_from(args) {
                Ok([domain, inside, outside]) => self.concat_where(&domain, inside, outside),
                Err(_) => Err(ill_typed("`concat_where` takes a domain and two fields")),
            },
            Builtin::Broadcast => {
                args.into_iter().next().ok_or_else(|| ill_typed("`broadcast` takes a value and dimensions"))
            }
            Builtin::Index => match args.as_slice() {
                [Value::Axis(dim)] => Ok(Value::Field(self.new_field(Field::Index(*dim))?)),
                _ => Err(ill_typed("`index` takes a dimension")),
            },
            Builtin::NamedRange => self.named_range(&args),
            Builtin::CartesianDomain | Builtin::UnstructuredDomain => self.domain(&args),
            Builtin::GetDomainRange => match args.as_slice() {
                [field, Value::Axis(dim)] => self.domain_range(field, *dim),
                _ => Err(ill_typed("`get_domain_range` takes a field and a dimension")),
            },
            _ => self.scalar_builtin(builtin, &args),
        }
    }

    fn tuple_get(&mut self, index: &Value, tuple: &Value) -> Result<Value> {
        let Value::Point(index) = index else { return Err(ill_typed("`tuple_get` needs a literal index")) };
        let index = self.points.as_int(*index).and_then(|index| usize::try_from(index).ok());
        let index = index.ok_or_else(|| ill_typed("`tuple_get` needs a literal index"))?;
        self.component(index, tuple)
    }

    /// A component of a tuple, of a field of tuples, or an iterator into one.
    pub(super) fn component(&mut self, index: usize, tuple: &Value) -> Result<Value> {
        let elements = match tuple {
            Value::Tuple(elements) => elements.clone(),
            Value::Field(field) => self.field_as_tuple(*field)?,
            Value::Iterator(iterator) => return self.iterator_element(iterator, index),
            _ => return Err(ill_typed("`tuple_get` takes a tuple")),
        };
        elements.get(index).cloned().ok_or_else(|| {
            ill_typed(format!("`tuple_get` asks for element {index} of a tuple of {}", elements.len()))
        })
    }

    fn iterator_element(&mut self, iterator: &Rc<Iterator>, index: usize) -> Result<Value> {
        match &**iterator {
            Iterator::Into { source, position, valid } => {
                let source = self.component(index, source)?;
                Ok(Value::Iterator(Rc::new(Iterator::Into {
                    source,
                    position: position.clone(),
                    valid: *valid,
                })))
            }
            Iterator::Lifted { .. } | Iterator::Part { .. } | Iterator::Chosen(_) => {
                let whole = Value::Iterator(iterator.clone());
                Ok(Value::Iterator(Rc::new(Iterator::Part { whole, index })))
            }
        }
    }

    // ---- fields -------------------------------------------------------------------------------------------

    fn field_operator(&mut self, operator: &[Value], args: Vec<Value>) -> Result<Value> {
        let (stencil, domain) = match operator {
            [stencil] => (stencil, None),
            [stencil, Value::Domain(domain)] => (stencil, Some(domain.clone())),
            [stencil, Value::None] => (stencil, None),
            _ => return Err(ill_typed("`as_fieldop` takes a stencil and a domain")),
        };
        if let Value::Partial(partial) = stencil
            && partial.builtin == Builtin::Scan
        {
            let scan = self.scan(&partial.args, args, domain)?;
            return self.field_value(Field::Scan(scan));
        }
        self.field_value(Field::Apply { stencil: stencil.clone(), args })
    }

    /// A new field; a field of tuples becomes a tuple of fields at once.
    fn field_value(&mut self, field: Field) -> Result<Value> {
        let id = self.new_field(field)?;
        self.projected(id)
    }

    pub(super) fn if_(&mut self, condition: &Value, then: Value, otherwise: Value) -> Result<Value> {
        let Value::Point(condition) = condition else {
            return Err(ill_typed("the condition of `if_` is a scalar"));
        };
        match (&then, &otherwise) {
            (Value::Tuple(a), Value::Tuple(b)) if a.len() == b.len() => {
                let (a, b) = (a.clone(), b.clone());
                let mut elements = Vec::with_capacity(a.len());
                for (x, y) in a.iter().zip(b.iter()) {
                    elements.push(self.if_(&Value::Point(*condition), x.clone(), y.clone())?);
                }
                Ok(Value::Tuple(elements.into()))
            }
            (Value::Field(_), _) | (_, Value::Field(_)) => {
                self.field_value(Field::If { condition: *condition, then, otherwise })
            }
            (Value::Point(a), Value::Point(b)) => {
                let (a, b) = self.meet(*a, *b);
                Ok(Value::Point(self.points.choose(*condition, a, b)))
            }
            (Value::List(a), Value::List(b)) => {
                let (a, b) = (a.clone(), b.clone());
                self.zip_lists(&[&a, &b], |this, values| {
                    this.if_(&Value::Point(*condition), values[0].clone(), values[1].clone())
                })
            }
            (Value::Iterator(_), Value::Iterator(_)) => {
                let chosen = Chosen { condition: *condition, then, otherwise };
                Ok(Value::Iterator(Rc::new(Iterator::Chosen(chosen))))
            }
            (
                Value::Closure(_) | Value::Builtin(_) | Value::Partial(_) | Value::Chosen(_),
                Value::Closure(_) | Value::Builtin(_) | Value::Partial(_) | Value::Chosen(_),
            ) => Ok(Value::Chosen(Rc::new(Chosen { condition: *condition, then, otherwise }))),
            (Value::Domain(_), Value::Domain(_)) => {
                Err(ill_typed("`if_` cannot choose between domains with a run-time condition"))
            }
            _ => Err(ill_typed("the two sides of `if_` have different shapes")),
        }
    }

    fn concat_where(&mut self, domain: &Value, inside: Value, outside: Value) -> Result<Value> {
        if let (Value::Tuple(a), Value::Tuple(b)) = (&inside, &outside)
            && a.len() == b.len()
        {
            let (a, b) = (a.clone(), b.clone());
            let mut elements = Vec::with_capacity(a.len());
            for (x, y) in a.iter().zip(b.iter()) {
                elements.push(self.concat_where(domain, x.clone(), y.clone())?);
            }
            return Ok(Value::Tuple(elements.into()));
        }
        let Value::Domain(domain) = domain else { return Err(ill_typed("`concat_where` takes a domain")) };
        let mask = self.mask_of(domain);
        match self.points.as_constant(mask) {
            Some(Scalar::Bool(true)) => Ok(inside),
            Some(Scalar::Bool(false)) => Ok(outside),
            _ => self.field_value(Field::Where { mask, inside, outside }),
        }
    }

    // ---- domains ------------------------------------------------------------------------------------------

    fn named_range(&mut self, args: &[Value]) -> Result<Value> {
        let [Value::Axis(dim), start, stop] = args else {
            return Err(ill_typed("`named_range` takes a dimension, a start and a stop"));
        };
        let start = self.bound(start)?;
        let stop = self.bound(stop)?;
        Ok(Value::Range(Rc::new(AxisRange { dim: *dim, start, stop })))
    }

    fn bound(&mut self, value: &Value) -> Result<Option<PointId>> {
        match value {
            Value::Point(point) => Ok(Some(self.points.cast(DType::I64, *point))),
            Value::Infinity => Ok(None),
            _ => Err(ill_typed("the bound of a range is an integer or infinite")),
        }
    }

    fn domain(&mut self, args: &[Value]) -> Result<Value> {
        let mut ranges = Vec::with_capacity(args.len());
        for arg in args {
            let Value::Range(range) = arg else { return Err(ill_typed("a domain is made of named ranges")) };
            ranges.push((**range).clone());
        }
        Ok(Value::Domain(Rc::new(Domain::Box(ranges))))
    }

    /// The bool of the coordinates that holds inside a domain.
    pub(super) fn mask_of(&mut self, domain: &Domain) -> PointId {
        match domain {
            Domain::Mask(mask) => *mask,
            Domain::Box(ranges) => {
                let mut mask = self.points.constant(Scalar::Bool(true));
                for range in ranges {
                    let at = self.points.coordinate(range.dim);
                    if let Some(start) = range.start {
                        let above = self.points.binary(BinaryOp::Ge, at, start);
                        mask = self.both(mask, above);
                    }
                    if let Some(stop) = range.stop {
                        let below = self.points.binary(BinaryOp::Lt, at, stop);
                        mask = self.both(mask, below);
                    }
                }
                mask
            }
        }
    }

    /// Logical and of two bools, simplified where one is known.
    pub(super) fn both(&mut self, a: PointId, b: PointId) -> PointId {
        match (self.points.as_constant(a), self.points.as_constant(b)) {
            (Some(Scalar::Bool(true)), _) => b,
            (_, Some(Scalar::Bool(true))) => a,
            (Some(Scalar::Bool(false)), _) => a,
            (_, Some(Scalar::Bool(false))) => b,
            _ => self.points.binary(BinaryOp::BitAnd, a, b),
        }
    }

    /// A comparison or combination of domains, if the operands are domains.
    pub(super) fn domain_builtin(&mut self, builtin: Builtin, args: &[Value]) -> Option<Result<Value>> {
        let comparison = match builtin {
            Builtin::Less => Some(BinaryOp::Lt),
            Builtin::LessEqual => Some(BinaryOp::Le),
            Builtin::Greater => Some(BinaryOp::Gt),
            Builtin::GreaterEqual => Some(BinaryOp::Ge),
            Builtin::Eq => Some(BinaryOp::Eq),
            Builtin::NotEq => Some(BinaryOp::Ne),
            _ => None,
        };
        match args {
            [Value::Axis(dim), Value::Point(bound)] => {
                let op = comparison?;
                let at = self.points.coordinate(*dim);
                let bound = self.points.cast(DType::I64, *bound);
                let mask = self.points.binary(op, at, bound);
                Some(Ok(Value::Domain(Rc::new(Domain::Mask(mask)))))
            }
            [Value::Point(bound), Value::Axis(dim)] => {
                let op = comparison?;
                let at = self.points.coordinate(*dim);
                let bound = self.points.cast(DType::I64, *bound);
                let mask = self.points.binary(op, bound, at);
                Some(Ok(Value::Domain(Rc::new(Domain::Mask(mask)))))
            }
            [Value::Domain(a), Value::Domain(b)] => {
                let (a, b) = (self.mask_of(a), self.mask_of(b));
                let mask = match builtin {
                    Builtin::And => self.both(a, b),
                    Builtin::Or => self.points.binary(BinaryOp::BitOr, a, b),
                    Builtin::Xor => self.points.binary(BinaryOp::BitXor, a, b),
                    _ => return None,
                };
                Some(Ok(Value::Domain(Rc::new(Domain::Mask(mask)))))
            }
            [Value::Domain(a)] if builtin == Builtin::Not => {
                let mask = self.mask_of(a);
                let mask = self.points.unary(UnaryOp::Not, mask);
                Some(Ok(Value::Domain(Rc::new(Domain::Mask(mask)))))
            }
            _ => None,
        }
    }
}
