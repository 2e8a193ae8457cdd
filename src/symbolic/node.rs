//! What an expression looks like from outside.
//!
//! A [`Node`] is the top of one canonical expression; its children are ids of the same pool, always smaller
//! than the node's own id, so walking ids upwards visits children first.

use crate::entity::Name;
use crate::scalar::DType;

use super::ExprId;

/// The top of an expression. See the module documentation of [`symbolic`](super) for the invariants.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Node {
    /// An integer.
    Int(i64),
    /// `True` or `False`; counts as 1 or 0 in arithmetic.
    Bool(bool),
    /// Bits of a finite, non-negative binary64 literal.
    Float(u64),
    /// A literal with a type (`2i16`, `7.5f32`), never negative: the integer, or the bits of a binary64.
    Typed(DType, u64),
    /// A complex literal: bits of the real and of the imaginary part.
    Complex(DType, u64, u64),
    /// A number that has a name.
    Constant(Constant),
    /// `?`: nobody knows. Every operation on it is it.
    Undefined,
    /// The value of a symbol, or of a scalar container. A structure's member is one dotted name (`s.x`).
    Symbol(Name),
    /// `constant + sum of coefficient * monomial`: monomials ascending by id, each once, no coefficient zero, and
    /// never a lone monomial with coefficient one.
    Sum(i64, Box<[Term]>),
    /// A product of powers of atoms: bases ascending by id, each once, no integer among them, and never a lone base
    /// to the power one.
    Product(Box<[Factor]>),
    /// Operands in this order that were not merged, because a coefficient would not fit 64 bits or the product
    /// would have too many terms.
    Unmerged(Merge, Box<[ExprId]>),
    /// One operand.
    Unary(UnaryOp, ExprId),
    /// Two operands.
    Binary(BinaryOp, ExprId, ExprId),
    /// Two or more operands.
    Nary(NaryOp, Box<[ExprId]>),
    /// A comparison: 1 or 0.
    Compare(CompareOp, ExprId, ExprId),
    /// `condition, then, otherwise`: only the chosen side has to have a value.
    Select(ExprId, ExprId, ExprId),
    /// C conversion to a type.
    Cast(DType, ExprId),
    /// A function Pelton does not know.
    Call(Name, Box<[ExprId]>),
    /// An element of a container.
    Subscript(ExprId, Box<[ExprId]>),
    /// A member of something that is not a plain name.
    Attribute(ExprId, Name),
}

/// `coefficient * monomial`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Term {
    /// Never zero.
    pub coefficient: i64,
    /// An atom or a product, never an integer or a sum.
    pub monomial: ExprId,
}

/// `base` to the power `power`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Factor {
    /// An atom, never an integer, a sum, a product or a quotient.
    pub base: ExprId,
    /// At least one.
    pub power: u32,
}

/// Named numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Constant {
    /// 3.14159...
    Pi,
    /// 2.71828...
    E,
    /// Beyond all numbers.
    Infinity,
    /// Not a number.
    Nan,
    /// Python's `None`.
    None,
}

/// What was left unmerged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Merge {
    /// The sum of the operands.
    Sum,
    /// The product of the operands.
    Product,
}

/// Operations on one operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnaryOp {
    /// Absolute value.
    Abs,
    /// 1 if the operand is zero, else 0.
    Not,
    /// All bits flipped (64-bit two's complement).
    BitNot,
    /// Largest integer not above.
    Floor,
    /// Smallest integer not below.
    Ceiling,
    /// Nearest integer, halves away from zero.
    Round,
    /// Square root.
    Sqrt,
}

/// Operations on two operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BinaryOp {
    /// A rational; where an integer is needed, its part toward zero.
    Quotient,
    /// Rounded toward minus infinity.
    FloorDiv,
    /// Rounded toward plus infinity.
    CeilDiv,
    /// Rounded toward zero, as C does.
    TruncDiv,
    /// C's remainder: the sign of the dividend.
    Remainder,
    /// The remainder of the floored division: the sign of the divisor.
    Modulo,
    /// A power that is not a product: unknown, negative or large exponent.
    Power,
    /// Bits moved left, zeros in.
    ShiftLeft,
    /// Bits moved right, the sign in.
    ShiftRight,
}

/// Operations on a list of operands. All but `And` and `Or` are commutative: operands ascending by id, each once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NaryOp {
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// Bitwise and.
    BitAnd,
    /// Bitwise or.
    BitOr,
    /// Bitwise exclusive or.
    BitXor,
    /// 1 if all are nonzero; left to right, nothing after the first zero is needed.
    And,
    /// 1 if one is nonzero; left to right, nothing after the first nonzero is needed.
    Or,
}

/// Comparisons; the others are these with operands swapped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CompareOp {
    /// Less than.
    Less,
    /// At most.
    AtMost,
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
}

impl Node {
    /// Calls `visit` with every child, in order.
    pub fn for_each_child(&self, mut visit: impl FnMut(ExprId)) {
        match self {
            Node::Int(_)
            | Node::Bool(_)
            | Node::Float(_)
            | Node::Typed(..)
            | Node::Complex(..)
            | Node::Constant(_)
            | Node::Undefined
            | Node::Symbol(_) => {}
            Node::Sum(_, terms) => terms.iter().for_each(|term| visit(term.monomial)),
            Node::Product(factors) => factors.iter().for_each(|factor| visit(factor.base)),
            Node::Unmerged(_, operands) | Node::Nary(_, operands) | Node::Call(_, operands) => {
                operands.iter().copied().for_each(visit);
            }
            Node::Unary(_, a) | Node::Cast(_, a) | Node::Attribute(a, _) => visit(*a),
            Node::Binary(_, a, b) | Node::Compare(_, a, b) => {
                visit(*a);
                visit(*b);
            }
            Node::Select(a, b, c) => {
                visit(*a);
                visit(*b);
                visit(*c);
            }
            Node::Subscript(base, indices) => {
                visit(*base);
                indices.iter().copied().for_each(visit);
            }
        }
    }

    /// Whether the value is always 0 or 1.
    pub fn is_boolean(&self) -> bool {
        matches!(
            self,
            Node::Bool(_)
                | Node::Compare(..)
                | Node::Unary(UnaryOp::Not, _)
                | Node::Nary(NaryOp::And | NaryOp::Or, _)
                | Node::Cast(DType::Bool, _)
        )
    }

    /// Whether the value is an integer whatever the values of the symbols.
    pub fn is_integral(&self) -> bool {
        self.is_boolean()
            || match self {
                Node::Int(_) => true,
                Node::Typed(dtype, _) | Node::Cast(dtype, _) => dtype.is_integral(),
                Node::Unary(op, _) => {
                    matches!(op, UnaryOp::BitNot | UnaryOp::Floor | UnaryOp::Ceiling | UnaryOp::Round)
                }
                Node::Binary(op, ..) => matches!(
                    op,
                    BinaryOp::FloorDiv | BinaryOp::CeilDiv | BinaryOp::ShiftLeft | BinaryOp::ShiftRight
                ),
                Node::Nary(op, _) => matches!(op, NaryOp::BitAnd | NaryOp::BitOr | NaryOp::BitXor),
                _ => false,
            }
    }
}
