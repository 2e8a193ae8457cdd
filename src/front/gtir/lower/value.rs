//! What GTIR expressions evaluate to while a program is lowered.
//!
//! Lowering runs the program once on abstract values: functions are applied, lets are bound, tuples are taken
//! apart, and what is left are [`Field`]s (functions of position) and point expressions. There is no separate
//! inlining pass and no tree that is rewritten.

use std::rc::Rc;

use rpds::HashTrieMap;

use crate::entity::Name;
use crate::entity_id;

use super::super::{Builtin, ast};
use super::point::{DimId, PointId, SourceId, TableId};

entity_id! {
    /// A field expression of the program being lowered.
    FieldId, "field"
}

/// Bindings of names in scope.
pub type Scope = HashTrieMap<Name, Value>;

/// An abstract value.
#[derive(Clone)]
pub enum Value {
    /// A scalar at the current point, or a scalar of the program.
    Point(PointId),
    /// A function of position.
    Field(FieldId),
    /// A tuple of anything.
    Tuple(Rc<[Value]>),
    /// Values per neighbour.
    List(Rc<List>),
    /// A function of the program with its scope.
    Closure(Rc<Closure>),
    /// A builtin.
    Builtin(Builtin),
    /// A builtin that has its first arguments and waits for the rest (`shift(V2E, 0)`, `as_fieldop(f)`).
    Partial(Rc<Partial>),
    /// One of two functions, decided by a condition at the point: a call calls both and chooses the result.
    Chosen(Rc<Chosen<Value>>),
    /// A pointer into a field, moved by `shift`, read by `deref`.
    Iterator(Rc<Iterator>),
    /// A box, or a set of boxes, of positions.
    Domain(Rc<Domain>),
    /// `named_range(axis, start, stop)`.
    Range(Rc<AxisRange>),
    /// A dimension as a value.
    Axis(DimId),
    /// An offset of an unstructured mesh.
    Offset(TableId),
    /// A Cartesian offset: from a dimension to a dimension.
    Cartesian(DimId, DimId),
    /// An open end of a range.
    Infinity,
    /// No value.
    None,
}

/// A function of the program with its scope.
pub struct Closure {
    /// Parameter names.
    pub params: Vec<Name>,
    /// What it computes.
    pub body: ast::TermId,
    /// Names visible where it was written.
    pub scope: Scope,
}

/// One of two, decided by a condition.
pub struct Chosen<T> {
    /// A bool at the point where it was evaluated.
    pub condition: PointId,
    /// Taken when true.
    pub then: T,
    /// Taken when false.
    pub otherwise: T,
}

/// A builtin with the arguments it has so far.
pub struct Partial {
    /// Which one: `as_fieldop`, `shift`, `scan`, `lift`, `reduce`, `map_list`, `map_tuple` or `tree_map_tuple`.
    pub builtin: Builtin,
    /// Arguments given in the first call.
    pub args: Vec<Value>,
}

/// A position: the coordinate of each dimension that is not simply the point's own.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Position {
    /// Sorted by dimension.
    pub moved: Vec<(DimId, PointId)>,
}

impl Position {
    /// The coordinate in a dimension, if it differs from the point's own.
    pub fn get(&self, dim: DimId) -> Option<PointId> {
        self.moved.iter().find(|(d, _)| *d == dim).map(|(_, p)| *p)
    }

    /// The position with one coordinate replaced.
    #[must_use]
    pub fn with(&self, dim: DimId, coordinate: PointId) -> Position {
        let mut moved = self.moved.clone();
        match moved.binary_search_by_key(&dim, |(d, _)| *d) {
            Ok(at) => moved[at].1 = coordinate,
            Err(at) => moved.insert(at, (dim, coordinate)),
        }
        Position { moved }
    }

    /// The position with one coordinate the point's own again.
    #[must_use]
    pub fn without(&self, dim: DimId) -> Position {
        Position { moved: self.moved.iter().copied().filter(|(d, _)| *d != dim).collect() }
    }
}

/// Values per neighbour.
#[derive(Clone)]
pub enum List {
    /// One value per neighbour; `valid` is a bool where a neighbour may be missing.
    Neighbors {
        /// The values.
        elements: Vec<Value>,
        /// Whether each neighbour exists; `None`: all do.
        valid: Option<Vec<PointId>>,
    },
    /// The same value for every neighbour.
    Constant(Value),
}

/// A pointer into something that has a value at each position.
pub enum Iterator {
    /// Into a field, a scalar or a tuple of them.
    Into {
        /// What it points into.
        source: Value,
        /// Where.
        position: Position,
        /// False where a shift ran into a missing neighbour; `None`: certainly valid.
        valid: Option<PointId>,
    },
    /// The result of a lifted stencil: moving it moves the stencil's arguments.
    Lifted {
        /// The stencil.
        stencil: Value,
        /// Iterators it is applied to.
        args: Vec<Value>,
    },
    /// A component of what an iterator reads.
    Part {
        /// An iterator that reads tuples.
        whole: Value,
        /// Which component.
        index: usize,
    },
    /// One of two iterators. The condition does not move with them.
    Chosen(Chosen<Value>),
}

/// A box of positions; bounds are scalars of the program or infinite.
#[derive(Clone, Debug)]
pub struct AxisRange {
    /// The dimension.
    pub dim: DimId,
    /// First coordinate; `None`: unbounded.
    pub start: Option<PointId>,
    /// One past the last coordinate; `None`: unbounded.
    pub stop: Option<PointId>,
}

/// A set of positions.
#[derive(Clone, Debug)]
pub enum Domain {
    /// A box: `cartesian_domain` and `unstructured_domain`.
    Box(Vec<AxisRange>),
    /// A comparison of a coordinate with a scalar, or a combination: a bool of the coordinates.
    Mask(PointId),
}

/// A field: a function of position.
pub enum Field {
    /// A parameter; a tuple parameter is a [`Value::Tuple`] of these.
    Param {
        /// Its elements.
        source: SourceId,
    },
    /// `as_fieldop(stencil)(args)`.
    Apply {
        /// The stencil.
        stencil: Value,
        /// Its arguments: fields, scalars, tuples.
        args: Vec<Value>,
    },
    /// `as_fieldop(scan(f, forward, init))(args)`, or a scan met inside a stencil.
    Scan(Scan),
    /// One of two fields, decided by a scalar.
    If {
        /// A bool that does not depend on position.
        condition: PointId,
        /// Taken when true.
        then: Value,
        /// Taken when false.
        otherwise: Value,
    },
    /// `concat_where(mask, inside, outside)`.
    Where {
        /// A bool of the coordinates.
        mask: PointId,
        /// Inside the mask.
        inside: Value,
        /// Elsewhere.
        outside: Value,
    },
    /// `index(dim)`.
    Index(DimId),
    /// What was already computed at a point: a component of a field of tuples, or a moved field.
    Computed(Value),
}

/// A scan along the vertical.
pub struct Scan {
    /// `f(carry, arguments...)`.
    pub function: Value,
    /// Upwards in the index.
    pub forward: bool,
    /// The state before the first level: a scalar or a tuple.
    pub init: Value,
    /// Fields, scalars, tuples.
    pub args: Vec<Value>,
    /// The dimension it runs along.
    pub axis: DimId,
    /// The domain it was given, if any.
    pub domain: Option<Rc<Domain>>,
}
