//! The fields of a program and their values at the point.
//!
//! Each field expression is evaluated exactly once, at the point's own position, with its arguments opaque:
//! reading another field gives a [`Node::Load`] of that field's *source*. Whether a source becomes an array or
//! is replaced by what it computes is decided later, on point expressions ([`super::plan`]).

use std::rc::Rc;

use hashbrown::HashMap;

use crate::diag::{Diagnostic, Result};
use crate::scalar::DType;

use super::point::{DimId, Node, PointId, Replay, SourceId};
use super::value::{Field, FieldId, Iterator, List, Position, Value};
use super::{Lowering, ill_typed};

/// What is known about a field.
pub(super) struct FieldInfo {
    /// Its value at the point: points, or a list of them.
    pub value: Value,
    /// One source per point of the value that is worth an array; in order of the value's points.
    pub leaves: Vec<Leaf>,
    /// For scans.
    pub scan: Option<ScanInfo>,
    /// Whether scans run at its points: from the end of its own box, so it has to have one.
    pub replays: bool,
}

/// One number of a field's value.
#[derive(Clone, Copy)]
pub(super) struct Leaf {
    /// What it computes. For scans: the value after a level's step, in terms of level and carry.
    pub point: PointId,
    /// The source that stands for it elsewhere.
    pub source: SourceId,
}

/// A scan, flattened.
pub(super) struct ScanInfo {
    /// Upwards in the index.
    pub forward: bool,
    /// The dimension it runs along.
    pub axis: DimId,
    /// State before the first level, one per component.
    pub init: Vec<PointId>,
    /// Which level and carry the scan's expressions mention.
    pub number: u32,
    /// The box it was given, if any.
    pub domain: Option<Rc<super::value::Domain>>,
}

/// What values depend on.
#[derive(Default)]
pub(super) struct Mentions {
    /// Dimensions whose coordinate is read, ascending.
    pub dims: Vec<DimId>,
    /// Scans whose level or state is read, ascending; those that run at the point left out.
    pub scans: Vec<u32>,
    /// Whether a scan runs at the point.
    pub replays: bool,
}

/// Who provides a source's elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// A parameter of the program, by number in [`Lowering::params`].
    Param(usize),
    /// A leaf of a field.
    Field(FieldId, usize),
}

/// Something with elements.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Who provides it.
    pub owner: Owner,
    /// Its dimensions.
    pub dims: Vec<DimId>,
    /// Its element type.
    pub dtype: DType,
}

impl Source {
    /// The field that provides the elements, if one does.
    pub fn owner_field(&self) -> Option<FieldId> {
        match self.owner {
            Owner::Field(field, _) => Some(field),
            Owner::Param(_) => None,
        }
    }
}

impl Lowering<'_> {
    /// Evaluates a field and registers it.
    pub(super) fn new_field(&mut self, field: Field) -> Result<FieldId> {
        let center = Position::default();
        let mut scan = None;
        let value = match field {
            Field::Param { source } => self.parameter_value(source)?,
            Field::Apply { stencil, args } => {
                let iterators = args.into_iter().map(|source| into(source, &center)).collect();
                self.apply(&stencil, iterators)?
            }
            Field::If { condition, then, otherwise } => {
                let then = self.value_at(&then, &center)?;
                let otherwise = self.value_at(&otherwise, &center)?;
                self.if_(&Value::Point(condition), then, otherwise)?
            }
            Field::Where { mask, inside, outside } => {
                let inside = self.value_at(&inside, &center)?;
                let outside = self.value_at(&outside, &center)?;
                self.if_(&Value::Point(mask), inside, outside)?
            }
            Field::Index(dim) => {
                let at = self.points.coordinate(dim);
                Value::Point(self.points.cast(DType::I32, at))
            }
            Field::Computed(value) => value,
            Field::Scan(parts) => {
                let (value, info) = self.evaluate_scan(&parts)?;
                scan = Some(info);
                value
            }
        };
        self.register(value, scan)
    }

    pub(super) fn register(&mut self, value: Value, scan: Option<ScanInfo>) -> Result<FieldId> {
        let mut points = Vec::new();
        collect_points(&value, &mut points)?;
        let mut all = points.clone();
        all.extend(scan.iter().flat_map(|scan| &scan.init));
        let found = self.mentions(&all);
        if found.scans.iter().any(|number| scan.as_ref().is_none_or(|scan| scan.number != *number)) {
            return Err(Diagnostic::error("P0652", "a field is computed from the state of a scan around it")
                .with_help("inside a stencil, use values and iterators: `as_fieldop` belongs outside"));
        }
        let mut dims = found.dims;
        if let Some(scan) = &scan
            && let Err(at) = dims.binary_search(&scan.axis)
        {
            dims.insert(at, scan.axis);
        }
        // Where columns begin without a domain, their readers say.
        let inferred =
            scan.as_ref().is_some_and(|scan| scan.domain.is_none()) || self.points.reads_inferred(&all);
        let is_tuple = scan.is_none() && matches!(value, Value::Tuple(_));
        let id = self.fields.push(FieldInfo { value, leaves: Vec::new(), scan, replays: found.replays });
        let mut leaves = Vec::with_capacity(points.len());
        for (number, &point) in points.iter().enumerate() {
            let dtype = self.points.dtype(point);
            // A stencil computes all parts of a tuple, whichever of them is read.
            let point = if inferred && is_tuple {
                let mut others = points.clone();
                others.retain(|&other| other != point && self.points.reads_inferred(&[other]));
                self.points.beside(point, others)
            } else {
                point
            };
            let source = Source { owner: Owner::Field(id, number), dims: dims.clone(), dtype };
            let source = self.sources.push(source);
            if inferred {
                self.points.infer(source);
            }
            leaves.push(Leaf { point, source });
        }
        self.fields[id].leaves = leaves;
        Ok(id)
    }

    /// Dimensions whose coordinate the points read, ascending.
    pub(super) fn dims_of(&self, points: &[PointId]) -> Vec<DimId> {
        self.mentions(points).dims
    }

    /// What the values of points depend on.
    pub(super) fn mentions(&self, points: &[PointId]) -> Mentions {
        let mut found = Mentions::default();
        let mut own: Vec<u32> = Vec::new();
        for id in self.points.reachable(points) {
            match self.points.node(id) {
                Node::Coordinate(dim) => found.dims.push(*dim),
                Node::Level(scan) | Node::Carry(scan, ..) => found.scans.push(*scan),
                Node::Replay(replay) => own.push(replay.scan),
                _ => {}
            }
        }
        found.replays = !own.is_empty();
        found.scans.retain(|scan| !own.contains(scan));
        found.scans.sort_unstable();
        found.scans.dedup();
        found.dims.sort_unstable();
        found.dims.dedup();
        found
    }

    fn parameter_value(&mut self, source: SourceId) -> Result<Value> {
        let Source { dims, dtype, .. } = self.sources[source].clone();
        let local = dims.iter().position(|&dim| self.dims[dim].local);
        let Some(local) = local else {
            let at = dims.iter().map(|&dim| self.points.coordinate(dim)).collect();
            return Ok(Value::Point(self.points.load(source, at, dtype)));
        };
        let table = self.table_of_local(dims[local])?;
        let (count, has_skips, row) =
            (self.tables[table].max_neighbors, self.tables[table].has_skips, self.tables[table].source);
        let mut elements = Vec::with_capacity(count);
        let mut valid = Vec::with_capacity(count);
        for number in 0..count {
            let number = self.points.index(i64::try_from(number).unwrap_or(i64::MAX));
            let at = (dims.iter().enumerate())
                .map(|(position, &dim)| if position == local { number } else { self.points.coordinate(dim) })
                .collect();
            elements.push(Value::Point(self.points.load(source, at, dtype)));
            if has_skips {
                let row = self.points.coordinate(row);
                let neighbor = self.points.neighbor(table, row, number);
                let zero = self.points.index(0);
                valid.push(self.points.binary(crate::scalar::BinaryOp::Ge, neighbor, zero));
            }
        }
        Ok(Value::List(Rc::new(List::Neighbors { elements, valid: has_skips.then_some(valid) })))
    }

    /// The value with each of its points replaced.
    pub(super) fn map_points(
        &mut self,
        value: &Value,
        f: &mut dyn FnMut(&mut Self, PointId) -> PointId,
    ) -> Value {
        match value {
            Value::Point(point) => Value::Point(f(self, *point)),
            Value::Tuple(elements) => {
                let mapped: Vec<Value> = elements.iter().map(|element| self.map_points(element, f)).collect();
                Value::Tuple(mapped.into())
            }
            Value::List(list) => match &**list {
                List::Constant(value) => Value::List(Rc::new(List::Constant(self.map_points(value, f)))),
                List::Neighbors { elements, valid } => {
                    let elements = elements.iter().map(|element| self.map_points(element, f)).collect();
                    let valid =
                        valid.as_ref().map(|valid| valid.iter().map(|&point| f(self, point)).collect());
                    Value::List(Rc::new(List::Neighbors { elements, valid }))
                }
            },
            other => other.clone(),
        }
    }

    /// What a field, scalar or tuple of them is at a position.
    pub(super) fn value_at(&mut self, value: &Value, position: &Position) -> Result<Value> {
        match value {
            Value::Point(_) | Value::List(_) => Ok(value.clone()),
            Value::Tuple(elements) => {
                let elements = elements.clone();
                let values: Result<Vec<Value>> =
                    elements.iter().map(|element| self.value_at(element, position)).collect();
                Ok(Value::Tuple(values?.into()))
            }
            Value::Field(field) => {
                let template = self.fields[*field].value.clone();
                let leaves = self.fields[*field].leaves.clone();
                let is_scan = self.fields[*field].scan.is_some();
                let mut leaf = leaves.into_iter();
                Ok(self.map_points(&template, &mut |this, point| match leaf.next() {
                    Some(leaf) if is_scan || !this.is_trivial(point) => this.read(leaf.source, position),
                    _ => this.moved_point(point, position),
                }))
            }
            Value::Iterator(_) => self.deref(value),
            _ => Err(ill_typed("a field, a scalar or a tuple of them is expected")),
        }
    }

    /// Whether a point is cheaper to repeat than to name: a literal, a scalar, a coordinate, an element.
    fn is_trivial(&self, point: PointId) -> bool {
        match self.points.node(point) {
            Node::Const(..)
            | Node::Symbol(..)
            | Node::Coordinate(_)
            | Node::Load { .. }
            | Node::Undefined(_) => true,
            Node::Cast(_, inner) => matches!(
                self.points.node(*inner),
                Node::Const(..) | Node::Symbol(..) | Node::Coordinate(_) | Node::Load { .. }
            ),
            _ => false,
        }
    }

    fn read(&mut self, source: SourceId, position: &Position) -> PointId {
        let Source { dims, dtype, .. } = self.sources[source].clone();
        let at = dims.iter().map(|&dim| self.coordinate_at(position, dim)).collect();
        self.points.load(source, at, dtype)
    }

    /// A point expression with the coordinates of a position in place of the point's own.
    pub(super) fn moved_point(&mut self, point: PointId, position: &Position) -> PointId {
        if position.moved.is_empty() {
            return point;
        }
        let mut known = HashMap::new();
        self.substitute(point, &mut known, &|node| match node {
            Node::Coordinate(dim) => position.get(*dim),
            _ => None,
        })
    }

    /// A point expression with some nodes replaced; operands of replaced nodes are not visited.
    pub(super) fn substitute(
        &mut self,
        root: PointId,
        known: &mut HashMap<PointId, PointId>,
        replace: &dyn Fn(&Node) -> Option<PointId>,
    ) -> PointId {
        let mut stack = vec![(root, false)];
        while let Some((id, ready)) = stack.pop() {
            if known.contains_key(&id) {
                continue;
            }
            if let Some(replacement) = replace(self.points.node(id)) {
                known.insert(id, replacement);
            } else if ready {
                let rebuilt = self.rebuild(id, &|operand| known.get(&operand).copied().unwrap_or(operand));
                known.insert(id, rebuilt);
            } else {
                stack.push((id, true));
                self.points.operands(id, |operand| stack.push((operand, false)));
            }
        }
        known.get(&root).copied().unwrap_or(root)
    }

    /// The node with its operands replaced.
    pub(super) fn rebuild(&mut self, id: PointId, operand: &dyn Fn(PointId) -> PointId) -> PointId {
        match self.points.node(id).clone() {
            Node::Const(..)
            | Node::Symbol(..)
            | Node::Coordinate(_)
            | Node::Level(_)
            | Node::Carry(..)
            | Node::Undefined(_) => id,
            Node::Load { source, at, dtype } => {
                self.points.load(source, at.iter().map(|&at| operand(at)).collect(), dtype)
            }
            Node::Neighbor(table, row, number) => self.points.neighbor(table, operand(row), operand(number)),
            Node::Unary(op, a) => self.points.unary(op, operand(a)),
            Node::Binary(op, a, b) => self.points.binary(op, operand(a), operand(b)),
            Node::Cast(dtype, a) => self.points.cast(dtype, operand(a)),
            Node::Call(func, args) => self.points.call(func, args.iter().map(|&arg| operand(arg)).collect()),
            Node::Replay(replay) => {
                let parts = replay.parts.iter().map(|&part| operand(part)).collect();
                self.points.replay(Replay { parts, ..replay })
            }
            Node::Component(replay, number, dtype) => self.points.component(operand(replay), number, dtype),
            Node::Beside(value, others) => {
                let others = others.iter().map(|&other| operand(other)).collect();
                self.points.beside(operand(value), others)
            }
            Node::Choose(c, a, b) => self.points.choose(operand(c), operand(a), operand(b)),
        }
    }

    /// A field as it stands in expressions; a field of tuples becomes a tuple of fields.
    pub(super) fn projected(&mut self, id: FieldId) -> Result<Value> {
        if !matches!(self.fields[id].value, Value::Tuple(_)) {
            return Ok(Value::Field(id));
        }
        let center = self.value_at(&Value::Field(id), &Position::default())?;
        self.field_from_point(center)
    }

    /// The field that has this value at each point.
    pub(super) fn field_from_point(&mut self, value: Value) -> Result<Value> {
        match value {
            Value::Tuple(elements) => {
                let fields: Result<Vec<Value>> =
                    elements.iter().map(|element| self.field_from_point(element.clone())).collect();
                Ok(Value::Tuple(fields?.into()))
            }
            value => Ok(Value::Field(self.new_field(Field::Computed(value))?)),
        }
    }

    /// The elements of a field whose value is a tuple.
    pub(super) fn field_as_tuple(&mut self, id: FieldId) -> Result<Rc<[Value]>> {
        match self.projected(id)? {
            Value::Tuple(elements) => Ok(elements),
            _ => Err(ill_typed("a field of numbers is taken apart as if its elements were tuples")),
        }
    }
}

pub(super) fn into(source: Value, position: &Position) -> Value {
    Value::Iterator(Rc::new(Iterator::Into { source, position: position.clone(), valid: None }))
}

/// The points of a value, in order.
pub(super) fn collect_points(value: &Value, points: &mut Vec<PointId>) -> Result<()> {
    match value {
        Value::Point(point) => points.push(*point),
        Value::Tuple(elements) => {
            for element in elements.iter() {
                collect_points(element, points)?;
            }
        }
        Value::List(list) => match &**list {
            List::Constant(value) => collect_points(value, points)?,
            List::Neighbors { elements, valid } => {
                for element in elements {
                    collect_points(element, points)?;
                }
                points.extend(valid.iter().flatten());
            }
        },
        _ => return Err(ill_typed("a stencil returns something that is not a number, a tuple or a list")),
    }
    Ok(())
}
