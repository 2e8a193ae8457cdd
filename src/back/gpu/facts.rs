//! What is known about the values of a kernel: how addresses are aligned and which buffer they lie in, and which
//! `int64` values fit 32 bits.
//!
//! All of it comes from passes forwards over the statements; nothing recurses.

use hashbrown::HashMap;

use crate::entity::EntityId;
use crate::kernel::{BufferId, Kernel, Op, Stmt, ValueId, VarId};
use crate::scalar::{BinaryOp, DType, UnaryOp};

/// Which buffer's address is part of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Root {
    /// None's.
    Plain,
    /// That one's, once.
    Buffer(BufferId),
    /// Something that is no single place.
    Mixed,
}

/// Facts about all values of a kernel.
pub(super) struct Facts<'k> {
    /// How values are defined; loop variables and parameters are not in it.
    pub definitions: HashMap<ValueId, &'k Op>,
    aligned: Vec<u32>,
    roots: Vec<Root>,
}

/// Powers of two beyond this do not matter.
const MOST_ALIGNED: u32 = 6;

impl<'k> Facts<'k> {
    /// Looks through a kernel, and statements that are about to be part of it.
    pub fn of(kernel: &'k Kernel, more: impl Iterator<Item = &'k Stmt>) -> Facts<'k> {
        Facts::of_all(kernel.values.len(), Stmt::all(&kernel.body).chain(more))
    }

    /// Looks through statements with so many values.
    pub fn of_all(count: usize, stmts: impl Iterator<Item = &'k Stmt>) -> Facts<'k> {
        let mut facts =
            Facts { definitions: HashMap::new(), aligned: vec![0; count], roots: vec![Root::Plain; count] };
        let mut variables: HashMap<VarId, Root> = HashMap::new();
        for stmt in stmts {
            match stmt {
                Stmt::Let(value, op) => {
                    facts.definitions.insert(*value, op);
                    facts.aligned[value.index()] = facts.alignment_of(op);
                    facts.roots[value.index()] = facts.root_of(op);
                }
                // An address in a variable may be another one at each read.
                Stmt::Set(variable, value) if facts.root(*value) != Root::Plain => {
                    variables.insert(*variable, Root::Mixed);
                }
                _ => {}
            }
        }
        if !variables.is_empty() {
            for (value, op) in &facts.definitions {
                if let Op::Get(variable) = op
                    && variables.contains_key(variable)
                {
                    facts.roots[value.index()] = Root::Mixed;
                }
            }
        }
        facts
    }

    /// The power of two that divides a value, at least.
    pub fn aligned(&self, value: ValueId) -> u32 {
        self.aligned.get(value.index()).copied().unwrap_or(0)
    }

    /// Which buffer a value points into.
    pub fn root(&self, value: ValueId) -> Root {
        self.roots.get(value.index()).copied().unwrap_or(Root::Mixed)
    }

    /// The literal a value is.
    pub fn literal(&self, value: ValueId) -> Option<crate::kernel::Literal> {
        match self.definitions.get(&value) {
            Some(Op::Const(literal)) => Some(*literal),
            _ => None,
        }
    }

    fn alignment_of(&self, op: &Op) -> u32 {
        let of = |value: ValueId| self.aligned(value);
        let power = match op {
            Op::Const(literal) => match literal.as_int() {
                Some(0) => MOST_ALIGNED,
                Some(number) => number.trailing_zeros(),
                None => 0,
            },
            Op::Base(_) => MOST_ALIGNED,
            Op::Binary(BinaryOp::Add | BinaryOp::Sub, a, b) | Op::Select(_, a, b) => of(*a).min(of(*b)),
            Op::Binary(BinaryOp::Mul, a, b) => of(*a) + of(*b),
            Op::Unary(UnaryOp::Neg, a) => of(*a),
            _ => 0,
        };
        power.min(MOST_ALIGNED)
    }

    fn root_of(&self, op: &Op) -> Root {
        let of = |value: ValueId| self.root(value);
        match op {
            Op::Base(buffer) => Root::Buffer(*buffer),
            Op::Binary(BinaryOp::Add, a, b) => match (of(*a), of(*b)) {
                (Root::Plain, other) | (other, Root::Plain) => other,
                _ => Root::Mixed,
            },
            Op::Binary(BinaryOp::Sub, a, b) => match (of(*a), of(*b)) {
                (root, Root::Plain) => root,
                (Root::Buffer(a), Root::Buffer(b)) if a == b => Root::Plain,
                _ => Root::Mixed,
            },
            Op::Select(_, a, b) if of(*a) == of(*b) => of(*a),
            _ => {
                let mut plain = true;
                op.each_operand(|operand| plain &= of(operand) == Root::Plain);
                if plain || matches!(op, Op::Load { .. }) { Root::Plain } else { Root::Mixed }
            }
        }
    }
}

/// Smallest and largest value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Interval {
    pub low: i128,
    pub high: i128,
}

impl Interval {
    pub const ALL: Interval = Interval { low: i64::MIN as i128, high: i64::MAX as i128 };
    pub const I32: Interval = Interval { low: i32::MIN as i128, high: i32::MAX as i128 };
    /// What a launch makes sure of for loop bounds and sizes.
    pub const SIZE: Interval = Interval { low: -(1 << 28), high: 1 << 28 };

    pub const fn new(low: i128, high: i128) -> Interval {
        Interval { low, high }
    }

    /// Whether every value is an `i32`.
    pub fn is_narrow(self) -> bool {
        self.low >= Interval::I32.low && self.high <= Interval::I32.high
    }

    pub fn union(self, other: Interval) -> Interval {
        Interval::new(self.low.min(other.low), self.high.max(other.high))
    }

    /// Everything, if the bounds leave 64 bits: arithmetic wraps.
    fn wrapped(low: i128, high: i128) -> Interval {
        if low < Interval::ALL.low || high > Interval::ALL.high {
            Interval::ALL
        } else {
            Interval::new(low, high)
        }
    }

    /// The values of a type.
    pub fn of_type(ty: DType) -> Interval {
        match ty {
            DType::Bool => Interval::new(0, 1),
            DType::I8 => Interval::new(-128, 127),
            DType::U8 => Interval::new(0, 255),
            DType::I16 => Interval::new(-32768, 32767),
            DType::U16 => Interval::new(0, 65535),
            DType::I32 => Interval::I32,
            DType::U32 => Interval::new(0, u32::MAX as i128),
            _ => Interval::ALL,
        }
    }

    /// What an operation on `int64` values gives.
    pub fn of_op(
        op: &Op,
        of: &dyn Fn(ValueId) -> Interval,
        ty: &dyn Fn(ValueId) -> DType,
        variable: &dyn Fn(VarId) -> Interval,
    ) -> Interval {
        match op {
            Op::Const(literal) => {
                let number = i128::from(literal.as_int().unwrap_or(0));
                Interval::new(number, number)
            }
            Op::Get(id) => variable(*id),
            Op::Cast(_, a) if ty(*a).is_float() => Interval::ALL,
            Op::Cast(_, a) if ty(*a) == DType::I64 => of(*a),
            Op::Cast(_, a) => Interval::of_type(ty(*a)),
            Op::Select(_, a, b) => of(*a).union(of(*b)),
            Op::Unary(UnaryOp::Neg, a) => Interval::wrapped(-of(*a).high, -of(*a).low),
            Op::Binary(op, a, b) => Interval::of_binary(*op, of(*a), of(*b)),
            _ => Interval::ALL,
        }
    }

    fn of_binary(op: BinaryOp, a: Interval, b: Interval) -> Interval {
        let magnitude = |x: Interval| x.low.abs().max(x.high.abs());
        match op {
            BinaryOp::Add => Interval::wrapped(a.low + b.low, a.high + b.high),
            BinaryOp::Sub => Interval::wrapped(a.low - b.high, a.high - b.low),
            BinaryOp::Mul => {
                let ends = [a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high];
                let low = ends.iter().copied().min().unwrap_or(0);
                Interval::wrapped(low, ends.iter().copied().max().unwrap_or(0))
            }
            BinaryOp::Min => Interval::new(a.low.min(b.low), a.high.min(b.high)),
            BinaryOp::Max => Interval::new(a.low.max(b.low), a.high.max(b.high)),
            BinaryOp::Div | BinaryOp::FloorDiv => {
                let most = magnitude(a) + 1;
                Interval::wrapped(-most, most)
            }
            BinaryOp::Rem | BinaryOp::Mod => {
                let most = magnitude(b);
                Interval::wrapped(-most, most)
            }
            BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor if a.is_narrow() && b.is_narrow() => {
                Interval::I32
            }
            _ => Interval::ALL,
        }
    }
}
