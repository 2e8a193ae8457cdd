//! Point expressions: what is computed at one point of an index space.
//!
//! A [`Points`] pool is a hash-consed DAG of typed scalar operations over coordinates, program scalars and
//! elements of fields. Evaluating a field operator at a position gives one node; equal computations are one
//! node, whatever functions and lets they came from. Indices are ordinary nodes of type `int64`, kept in the
//! form `base + constant` so that positions that are the same are the same node.

use std::cell::RefCell;

use hashbrown::{HashMap, HashSet};

use crate::entity::{Arena, EntityId, Name};
use crate::entity_id;
use crate::scalar::{BinaryOp, DType, Func, Scalar, UnaryOp};

entity_id! {
    /// A node of [`Points`].
    PointId, "p"
}
entity_id! {
    /// A dimension of the program.
    DimId, "dim"
}
entity_id! {
    /// A connectivity table of the program.
    TableId, "table"
}
entity_id! {
    /// Something with elements: a field parameter or one component of a materialised field.
    SourceId, "source"
}

/// One operation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Node {
    /// A literal, by its bits.
    Const(DType, u64),
    /// A scalar parameter or range symbol of the program.
    Symbol(Name, DType),
    /// The coordinate of the point in a dimension (`int64`).
    Coordinate(DimId),
    /// The level of a scan (`int64`), by the scan's number.
    Level(u32),
    /// Component `1` of the state of the scan with number `0`.
    Carry(u32, u32, DType),
    /// An element of a field at given coordinates, one per dimension of the source.
    Load {
        /// Which field.
        source: SourceId,
        /// Coordinates, in the source's order of dimensions; a local dimension's is the neighbour number.
        at: Box<[PointId]>,
        /// Its element type.
        dtype: DType,
    },
    /// An entry of a connectivity table: row coordinate, neighbour number (`int64`).
    Neighbor(TableId, PointId, PointId),
    /// One operand.
    Unary(UnaryOp, PointId),
    /// Two operands of one type.
    Binary(BinaryOp, PointId, PointId),
    /// Conversion.
    Cast(DType, PointId),
    /// A math function.
    Call(Func, Box<[PointId]>),
    /// Exactly one of two values: condition, then, otherwise. The other one may be out of bounds.
    Choose(PointId, PointId, PointId),
    /// A value nobody may look at.
    Undefined(DType),
    /// The last level of a scan that runs at the point itself, from the end of the column where it begins: its state is a
    /// [`Node::Component`].
    Replay(Replay),
    /// A component of the state that a replayed scan ends with.
    Component(PointId, u32, DType),
    /// The first value. What else a stencil computes beside it counts for where arrays are computed, and only for that:
    /// the rest is gone before there is code (`Lowering::drop_company`).
    Beside(PointId, Box<[PointId]>),
}

/// A scan that runs at a point, because it depends on what is known only there.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Replay {
    /// Which [`Node::Level`] and [`Node::Carry`] are its own.
    pub scan: u32,
    /// Upwards in the index.
    pub forward: bool,
    /// The last level, the initial state, and the state after a level; the two have equally many components.
    pub parts: Box<[PointId]>,
}

impl Replay {
    /// The level it ends with.
    pub fn last(&self) -> PointId {
        self.parts[0]
    }

    /// The state before the first level.
    pub fn init(&self) -> &[PointId] {
        &self.parts[1..=self.parts.len() / 2]
    }

    /// The state after a level.
    pub fn next(&self) -> &[PointId] {
        &self.parts[1 + self.parts.len() / 2..]
    }
}

/// The pool.
#[derive(Default)]
pub struct Points {
    rows: Arena<PointId, (Node, DType)>,
    known: HashMap<Node, PointId>,
    marks: RefCell<Marks>,
    /// Sources whose extent follows from where they are read, and what is computed of them.
    inferred: HashSet<SourceId>,
    /// There is a [`Node::Beside`].
    company: bool,
}

impl Points {
    /// The node behind an id.
    pub fn node(&self, id: PointId) -> &Node {
        &self.rows[id].0
    }

    /// The type of a node's value.
    pub fn dtype(&self, id: PointId) -> DType {
        self.rows[id].1
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the pool is empty.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn intern(&mut self, node: Node, dtype: DType) -> PointId {
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        let id = self.rows.push((node.clone(), dtype));
        self.known.insert(node, id);
        id
    }

    /// A literal.
    pub fn constant(&mut self, value: Scalar) -> PointId {
        let (dtype, bits) = bits_of(value);
        self.intern(Node::Const(dtype, bits), dtype)
    }

    /// An index literal.
    pub fn index(&mut self, value: i64) -> PointId {
        self.constant(Scalar::I64(value))
    }

    /// The literal behind a node that is one.
    pub fn as_constant(&self, id: PointId) -> Option<Scalar> {
        match *self.node(id) {
            Node::Const(dtype, bits) => Some(from_bits(dtype, bits)),
            _ => None,
        }
    }

    /// The integer behind a node that is an integer literal.
    pub fn as_int(&self, id: PointId) -> Option<i64> {
        self.as_constant(id).and_then(integer)
    }

    /// A scalar of the program.
    pub fn symbol(&mut self, name: Name, dtype: DType) -> PointId {
        self.intern(Node::Symbol(name, dtype), dtype)
    }

    /// The coordinate in a dimension.
    pub fn coordinate(&mut self, dim: DimId) -> PointId {
        self.intern(Node::Coordinate(dim), DType::I64)
    }

    /// The level of a scan.
    pub fn level(&mut self, scan: u32) -> PointId {
        self.intern(Node::Level(scan), DType::I64)
    }

    /// A carried value of a scan.
    pub fn carry(&mut self, scan: u32, component: u32, dtype: DType) -> PointId {
        self.intern(Node::Carry(scan, component, dtype), dtype)
    }

    /// A scan that runs at the point.
    pub fn replay(&mut self, replay: Replay) -> PointId {
        self.intern(Node::Replay(replay), DType::I64)
    }

    /// A component of the state that a replayed scan ends with.
    pub fn component(&mut self, replay: PointId, component: u32, dtype: DType) -> PointId {
        self.intern(Node::Component(replay, component, dtype), dtype)
    }

    /// An element of a field.
    pub fn load(&mut self, source: SourceId, at: Vec<PointId>, dtype: DType) -> PointId {
        self.intern(Node::Load { source, at: at.into(), dtype }, dtype)
    }

    /// An entry of a connectivity table.
    pub fn neighbor(&mut self, table: TableId, row: PointId, number: PointId) -> PointId {
        self.intern(Node::Neighbor(table, row, number), DType::I64)
    }

    /// A value nobody may look at.
    pub fn undefined(&mut self, dtype: DType) -> PointId {
        self.intern(Node::Undefined(dtype), dtype)
    }

    /// An operation on one value.
    pub fn unary(&mut self, op: UnaryOp, a: PointId) -> PointId {
        let dtype = self.dtype(a);
        if let Some(value) = self.as_constant(a)
            && let Some(folded) = fold(|| Ok(crate::scalar::arith::unary(op, value)))
        {
            return self.constant(folded);
        }
        self.intern(Node::Unary(op, a), dtype)
    }

    /// An operation on two values of one type. Index sums are kept as `base + constant`.
    pub fn binary(&mut self, op: BinaryOp, a: PointId, b: PointId) -> PointId {
        let operand = self.dtype(a);
        let dtype = if op.is_comparison() { DType::Bool } else { operand };
        if let (Some(x), Some(y)) = (self.as_constant(a), self.as_constant(b))
            && let Some(folded) = fold(|| crate::scalar::arith::binary(op, x, y))
        {
            return self.constant(folded);
        }
        if let Some(id) = self.connective(op, a, b) {
            return id;
        }
        if operand == DType::I64
            && let Some(id) = self.index_sum(op, a, b)
        {
            return id;
        }
        self.intern(Node::Binary(op, a, b), dtype)
    }

    /// What is left of `and` and `or` when one operand is a literal.
    fn connective(&mut self, op: BinaryOp, a: PointId, b: PointId) -> Option<PointId> {
        for (known, other) in [(a, b), (b, a)] {
            let Some(Scalar::Bool(known)) = self.as_constant(known) else { continue };
            match op {
                BinaryOp::BitAnd if known => return Some(other),
                BinaryOp::BitOr if !known => return Some(other),
                BinaryOp::BitAnd | BinaryOp::BitOr => return Some(self.constant(Scalar::Bool(known))),
                _ => {}
            }
        }
        None
    }

    fn index_sum(&mut self, op: BinaryOp, a: PointId, b: PointId) -> Option<PointId> {
        let (base, constant) = match op {
            BinaryOp::Add => match (self.as_int(a), self.as_int(b)) {
                (None, Some(c)) => (a, c),
                (Some(c), None) => (b, c),
                _ => return None,
            },
            BinaryOp::Sub => (a, self.as_int(b)?.checked_neg()?),
            _ => return None,
        };
        let (base, constant) = match *self.node(base) {
            Node::Binary(BinaryOp::Add, inner, c) if self.as_int(c).is_some() => {
                (inner, constant.checked_add(self.as_int(c)?)?)
            }
            _ => (base, constant),
        };
        if constant == 0 {
            return Some(base);
        }
        let constant = self.index(constant);
        Some(self.intern(Node::Binary(BinaryOp::Add, base, constant), DType::I64))
    }

    /// `a + constant` for an index.
    pub fn offset(&mut self, a: PointId, constant: i64) -> PointId {
        let constant = self.index(constant);
        self.binary(BinaryOp::Add, a, constant)
    }

    /// Conversion to a type; nothing if it has it already.
    pub fn cast(&mut self, dtype: DType, a: PointId) -> PointId {
        if self.dtype(a) == dtype {
            return a;
        }
        if let Some(value) = self.as_constant(a)
            && let Some(folded) = fold(|| Ok(crate::scalar::arith::cast(dtype, value)))
        {
            return self.constant(folded);
        }
        self.intern(Node::Cast(dtype, a), dtype)
    }

    /// A math function.
    pub fn call(&mut self, func: Func, args: Vec<PointId>) -> PointId {
        let dtype = match func {
            Func::IsNan | Func::IsInf | Func::IsFinite | Func::SignBit => DType::Bool,
            _ => args.first().map_or(DType::F64, |&a| self.dtype(a)),
        };
        self.intern(Node::Call(func, args.into()), dtype)
    }

    /// One of two values of one type.
    pub fn choose(&mut self, condition: PointId, then: PointId, otherwise: PointId) -> PointId {
        match self.as_constant(condition) {
            Some(Scalar::Bool(true)) => return then,
            Some(Scalar::Bool(false)) => return otherwise,
            _ if then == otherwise && !self.reads_inferred(&[condition]) => return then,
            _ => {}
        }
        let dtype = self.dtype(then);
        self.intern(Node::Choose(condition, then, otherwise), dtype)
    }

    /// A value with what is computed beside it.
    pub fn beside(&mut self, point: PointId, others: Vec<PointId>) -> PointId {
        if others.is_empty() {
            return point;
        }
        self.company = true;
        let dtype = self.dtype(point);
        self.intern(Node::Beside(point, others.into()), dtype)
    }

    /// Whether anything is computed beside anything.
    pub fn have_company(&self) -> bool {
        self.company
    }

    /// The value without what is computed beside it.
    pub fn alone(&self, mut id: PointId) -> PointId {
        while let Node::Beside(value, _) = self.node(id) {
            id = *value;
        }
        id
    }

    /// The extent of a source follows from where it is read, and what it computes depends on that.
    pub fn infer(&mut self, source: SourceId) {
        self.inferred.insert(source);
    }

    /// Whether the points read such a source. That they do is part of the program, however little comes of it.
    pub fn reads_inferred(&self, points: &[PointId]) -> bool {
        let read = |id| matches!(self.node(id), Node::Load { source, .. } if self.inferred.contains(source));
        !self.inferred.is_empty() && self.reachable(points).into_iter().any(read)
    }

    /// Calls `f` with each direct operand of a node.
    pub fn operands(&self, id: PointId, mut f: impl FnMut(PointId)) {
        match self.node(id) {
            Node::Const(..)
            | Node::Symbol(..)
            | Node::Coordinate(_)
            | Node::Level(_)
            | Node::Carry(..)
            | Node::Undefined(_) => {}
            Node::Load { at, .. } => at.iter().copied().for_each(f),
            Node::Call(_, args) => args.iter().copied().for_each(f),
            Node::Neighbor(_, a, b) | Node::Binary(_, a, b) => {
                f(*a);
                f(*b);
            }
            Node::Unary(_, a) | Node::Cast(_, a) | Node::Component(a, ..) => f(*a),
            Node::Replay(replay) => replay.parts.iter().copied().for_each(f),
            Node::Beside(value, others) => std::iter::once(*value).chain(others.iter().copied()).for_each(f),
            Node::Choose(a, b, c) => {
                f(*a);
                f(*b);
                f(*c);
            }
        }
    }

    /// Tables that points look neighbours up in, in the order of their numbers.
    pub fn tables_behind(&self, roots: &[PointId]) -> Vec<TableId> {
        let reachable = self.reachable(roots).into_iter();
        let mut tables: Vec<TableId> = reachable
            .filter_map(|id| match self.node(id) {
                Node::Neighbor(table, ..) => Some(*table),
                _ => None,
            })
            .collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }

    /// Every node that `roots` reach, operands before users, each once. Costs what it finds, not what the pool holds.
    pub fn reachable(&self, roots: &[PointId]) -> Vec<PointId> {
        let mut marks = self.marks.borrow_mut();
        let Marks { round, seen } = &mut *marks;
        *round += 1;
        seen.resize(self.rows.len(), 0);
        let mut found = Vec::new();
        let mut stack: Vec<PointId> = roots.to_vec();
        while let Some(id) = stack.pop() {
            if std::mem::replace(&mut seen[id.index()], *round) != *round {
                found.push(id);
                self.operands(id, |operand| stack.push(operand));
            }
        }
        // Operands are interned before their users, so id order is a topological order.
        found.sort_unstable();
        found
    }
}

/// Which nodes the last walk met.
#[derive(Default)]
struct Marks {
    round: u64,
    /// The walk that met each node last.
    seen: Vec<u64>,
}

fn fold(compute: impl FnOnce() -> Result<Scalar, crate::scalar::Trap>) -> Option<Scalar> {
    compute().ok()
}

fn integer(value: Scalar) -> Option<i64> {
    Some(match value {
        Scalar::I8(v) => v.into(),
        Scalar::I16(v) => v.into(),
        Scalar::I32(v) => v.into(),
        Scalar::I64(v) => v,
        Scalar::U8(v) => v.into(),
        Scalar::U16(v) => v.into(),
        Scalar::U32(v) => v.into(),
        Scalar::U64(v) => i64::try_from(v).ok()?,
        _ => return None,
    })
}

/// GTIR knows only the types that fit 64 bits; others are stored as their `float64` image, which no GTIR
/// literal ever is.
fn bits_of(value: Scalar) -> (DType, u64) {
    let bits = match value {
        Scalar::Bool(v) => v.into(),
        Scalar::I8(v) => v as u64,
        Scalar::I16(v) => v as u64,
        Scalar::I32(v) => v as u64,
        Scalar::I64(v) => v as u64,
        Scalar::U8(v) => v.into(),
        Scalar::U16(v) => v.into(),
        Scalar::U32(v) => v.into(),
        Scalar::U64(v) => v,
        Scalar::F32(v) => v.to_bits().into(),
        Scalar::F64(v) => v.to_bits(),
        _ => 0,
    };
    (value.dtype(), bits)
}

fn from_bits(dtype: DType, bits: u64) -> Scalar {
    match dtype {
        DType::Bool => Scalar::Bool(bits != 0),
        DType::I8 => Scalar::I8(bits as i8),
        DType::I16 => Scalar::I16(bits as i16),
        DType::I32 => Scalar::I32(bits as i32),
        DType::I64 => Scalar::I64(bits as i64),
        DType::U8 => Scalar::U8(bits as u8),
        DType::U16 => Scalar::U16(bits as u16),
        DType::U32 => Scalar::U32(bits as u32),
        DType::U64 => Scalar::U64(bits),
        DType::F32 => Scalar::F32(f32::from_bits(bits as u32)),
        _ => Scalar::F64(f64::from_bits(bits)),
    }
}
