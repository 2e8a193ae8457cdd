//! What terms evaluate to.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::entity::Name;
use crate::front::gtir::{Builtin, Dimension, OffsetLabel, TermId};
use crate::scalar::Scalar;

use super::domain::{Domain, Interval};

/// The value of a term.
#[derive(Clone)]
pub enum Value {
    /// A number. Where a field is expected it is the constant field.
    Scalar(Scalar),
    /// No value; an error once it reaches an output or decides something that outlives a point.
    Poison(Poison),
    /// Several values.
    Tuple(Rc<[Value]>),
    /// One value per neighbour.
    List(Rc<List>),
    /// A function of position.
    Field(Rc<Field>),
    /// A field with a position.
    Iterator(Rc<Iter>),
    /// Something to call.
    Function(Rc<Function>),
    /// A set of positions.
    Domain(Rc<Domain>),
    /// One dimension of a box.
    NamedRange(Name, Interval),
    /// A dimension.
    Axis(Name),
    /// A neighbour index, a distance or the name of a connectivity.
    Offset(OffsetLabel),
    /// A move from one Cartesian dimension to another.
    CartesianOffset(Dimension, Dimension),
    /// An open end; `true` is positive.
    Infinity(bool),
    /// A text.
    Text(Rc<str>),
    /// No value by intention.
    None,
}

/// Why there is no value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Poison {
    /// A read of leaf `field` where it has no element.
    OutOfBounds {
        /// Which leaf.
        field: u32,
        /// Dimension in which it is outside.
        dim: Name,
        /// The position there.
        at: i64,
    },
    /// A neighbour that does not exist.
    Skipped,
    /// An integer divided by zero.
    DivisionByZero,
    /// Outside the domain that an `as_fieldop` or a scan was given.
    OutsideDomain {
        /// The position in the first dimension that is outside.
        at: i64,
        /// That dimension.
        dim: Name,
    },
    /// Nobody knows: a program is being traced, not run.
    Traced,
}

/// Values per neighbour.
pub enum List {
    /// One entry per column of a connectivity; `None` where there is no neighbour.
    Entries(Vec<Option<Value>>),
    /// The same value for every neighbour there may be.
    Constant(Value),
}

/// A position: dimension and coordinate, ascending by dimension.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Position(SmallVec<[(Name, i32); 4]>);

impl Position {
    /// The coordinate in a dimension.
    pub fn get(&self, dim: Name) -> Option<i64> {
        self.0.iter().find(|(name, _)| *name == dim).map(|(_, at)| i64::from(*at))
    }

    /// The position with one coordinate replaced or added. `None` if it does not fit 32 bits.
    pub fn with(&self, dim: Name, at: i64) -> Option<Position> {
        let at = i32::try_from(at).ok()?;
        let mut entries = self.0.clone();
        match entries.binary_search_by_key(&dim, |entry| entry.0) {
            Ok(slot) => entries[slot].1 = at,
            Err(slot) => entries.insert(slot, (dim, at)),
        }
        Some(Position(entries))
    }

    /// The position without a dimension.
    pub fn without(&self, dim: Name) -> Position {
        Position(self.0.iter().copied().filter(|(name, _)| *name != dim).collect())
    }

    /// Dimensions and coordinates.
    pub fn entries(&self) -> impl Iterator<Item = (Name, i64)> + '_ {
        self.0.iter().map(|(name, at)| (*name, i64::from(*at)))
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().copied()).finish()
    }
}

/// A field: what it is, and what was computed of it already.
pub struct Field {
    /// Later fields have greater numbers, so an argument's number is less than its user's.
    pub number: u32,
    /// How its values come about.
    pub kind: FieldKind,
    /// Values computed so far.
    pub memo: RefCell<HashMap<Position, Value>>,
    /// Columns computed so far, for scans; keyed by the position without the column's coordinate.
    pub columns: RefCell<HashMap<Position, Rc<Column>>>,
    /// The range of the column axis on which it is needed, known before any value is computed.
    pub column_range: Cell<Option<Interval>>,
    /// What a traced evaluation of its stencil gave.
    pub trace: OnceCell<Rc<Trace>>,
}

/// How a field's values come about.
pub enum FieldKind {
    /// A parameter: a leaf in memory.
    Leaf(u32),
    /// A stencil applied to arguments.
    Stencil {
        /// What is called with one iterator per argument.
        stencil: Value,
        /// Fields, scalars or tuples of them.
        args: Vec<Value>,
        /// Where it is defined, if the program says so.
        domain: Option<Rc<Domain>>,
    },
    /// A scan along columns.
    Scan {
        /// The function, direction and initial state.
        scan: Rc<Scan>,
        /// Fields, scalars or tuples of them.
        args: Vec<Value>,
        /// Where it is defined, if the program says so.
        domain: Option<Rc<Domain>>,
    },
    /// One field inside a mask, another outside.
    ConcatWhere {
        /// Where `inside` counts.
        mask: Rc<Domain>,
        /// Inside the mask.
        inside: Value,
        /// Elsewhere.
        outside: Value,
    },
    /// The coordinate itself.
    Index(Name),
    /// One part of a field of tuples.
    Part(usize, Rc<Field>),
}

/// A scan.
pub struct Scan {
    /// `f(state, iterators...)`
    pub function: Value,
    /// Upwards or downwards.
    pub forward: bool,
    /// The state before the first level.
    pub init: Value,
}

/// The values of a scan in one column.
pub struct Column {
    /// Its levels.
    pub range: Interval,
    /// One value per level, ascending.
    pub values: Vec<Value>,
}

/// What a stencil reads, found by a traced evaluation.
pub struct Trace {
    /// The value with every number unknown: only its tuple structure matters.
    pub shape: Value,
    /// Argument and path of each access.
    pub accesses: Vec<(u32, Path)>,
}

/// A sequence of moves.
pub type Path = Rc<[Move]>;

/// One move of a traced iterator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Move {
    /// Along a Cartesian dimension, perhaps onto another; `None` if the distance is only known at run time.
    Cartesian(Name, Name, Option<i64>),
    /// Through a connectivity, from its source to its target dimension.
    Unstructured(Name, Name),
}

/// A field (or a tuple of such) with a position.
pub enum Iter {
    /// At a position, or at none (a neighbour that does not exist).
    At {
        /// Field, scalar or tuple of them.
        base: Value,
        /// Where it points.
        position: Option<Position>,
    },
    /// What a stencil gives at the place where its arguments point.
    Lifted {
        /// The stencil.
        stencil: Value,
        /// Its iterators.
        args: Vec<Value>,
    },
    /// An argument of a stencil that is being traced; more than one after a conditional.
    Traced(Vec<(u32, Path)>),
}

/// Something to call.
pub enum Function {
    /// A lambda or function definition with its environment.
    Closure {
        /// Parameters.
        params: Rc<[Name]>,
        /// Body.
        body: TermId,
        /// What its free names mean.
        env: Env,
    },
    /// A function that GTIR defines.
    Builtin(Builtin),
    /// A builtin with its first list of arguments: `shift(..)`, `reduce(op, init)`, ...
    Applied {
        /// The builtin.
        builtin: Builtin,
        /// Its arguments.
        args: Vec<Value>,
    },
}

/// What names mean: a chain of frames.
#[derive(Clone, Default)]
pub struct Env(Option<Rc<Frame>>);

struct Frame {
    params: Rc<[Name]>,
    values: SmallVec<[Value; 2]>,
    outer: Env,
}

impl Env {
    /// The environment with a frame added.
    pub fn bind(&self, params: Rc<[Name]>, values: SmallVec<[Value; 2]>) -> Env {
        Env(Some(Rc::new(Frame { params, values, outer: self.clone() })))
    }

    /// What a name means.
    pub fn get(&self, name: Name) -> Option<&Value> {
        let mut env = self;
        while let Some(frame) = &env.0 {
            if let Some(slot) = frame.params.iter().rposition(|param| *param == name) {
                return frame.values.get(slot);
            }
            env = &frame.outer;
        }
        None
    }
}

impl Value {
    /// A tuple.
    pub fn tuple(parts: impl Into<Rc<[Value]>>) -> Value {
        Value::Tuple(parts.into())
    }

    /// A builtin with its first list of arguments.
    pub fn applied(builtin: Builtin, args: Vec<Value>) -> Value {
        Value::Function(Rc::new(Function::Applied { builtin, args }))
    }

    /// The value without one, while tracing.
    pub const TRACED: Value = Value::Poison(Poison::Traced);

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Scalar(_) => "a number",
            Value::Poison(_) => "no value",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Field(_) => "a field",
            Value::Iterator(_) => "an iterator",
            Value::Function(_) => "a function",
            Value::Domain(_) => "a domain",
            Value::NamedRange(..) => "a range",
            Value::Axis(_) => "a dimension",
            Value::Offset(_) | Value::CartesianOffset(..) => "an offset",
            Value::Infinity(_) => "an infinity",
            Value::Text(_) => "a text",
            Value::None => "None",
        }
    }
}
