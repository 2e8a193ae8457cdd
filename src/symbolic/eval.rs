//! Integer evaluation.
//!
//! One step computes a node from its children's values, which are rationals; evaluation recurses where the tree is
//! small and flat, and otherwise walks the graph once in order of ids, keeping errors as values so that the untaken side
//! of a conditional does not matter.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::entity::Name;
use crate::scalar::{DType, Scalar};

use super::node::{BinaryOp, CompareOp, Merge, NaryOp, Node, UnaryOp};
use super::{Env, EvalError, ExprId, ExprPool};

/// Deepest expression that is evaluated by recursion.
const MAX_RECURSION: u32 = 64;
/// Largest tree that is evaluated without sharing.
const MAX_TREE_SIZE: u32 = 4096;

pub(super) type Integer = Result<i64, EvalError>;

/// What a step computes with: an integer, or a fraction in lowest terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rational {
    Whole(i64),
    /// Numerator and denominator; the denominator is at least two.
    Fraction(i64, i64),
}

pub(super) type Exact = Result<Rational, EvalError>;

impl Rational {
    /// `numerator / denominator`.
    fn of(numerator: i128, denominator: i128) -> Exact {
        if denominator == 0 {
            return Err(EvalError::DivisionByZero);
        }
        let (mut a, mut b) = (numerator.unsigned_abs(), denominator.unsigned_abs());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let common = i128::try_from(a).map_err(|_| EvalError::Overflow)? * denominator.signum();
        let narrow = |wide: i128| {
            wide.checked_div(common).and_then(|wide| i64::try_from(wide).ok()).ok_or(EvalError::Overflow)
        };
        Ok(match narrow(denominator)? {
            1 => Rational::Whole(narrow(numerator)?),
            denominator => Rational::Fraction(narrow(numerator)?, denominator),
        })
    }

    /// Numerator and denominator, wide enough for a product of two.
    fn parts(self) -> (i128, i128) {
        match self {
            Rational::Whole(value) => (i128::from(value), 1),
            Rational::Fraction(numerator, denominator) => (i128::from(numerator), i128::from(denominator)),
        }
    }

    /// Where an integer is needed: the part toward zero.
    pub(super) fn truncated(self) -> i64 {
        match self {
            Rational::Whole(value) => value,
            // The denominator is at least two.
            Rational::Fraction(numerator, denominator) => numerator / denominator,
        }
    }

    fn times(self, other: Rational) -> Exact {
        match (self, other) {
            (Rational::Whole(a), Rational::Whole(b)) => {
                a.checked_mul(b).map(Rational::Whole).ok_or(EvalError::Overflow)
            }
            _ => {
                let ((a, b), (c, d)) = (self.parts(), other.parts());
                Rational::of(a * c, b * d)
            }
        }
    }

    fn over(self, other: Rational) -> Exact {
        let ((a, b), (c, d)) = (self.parts(), other.parts());
        Rational::of(a * d, b * c)
    }

    fn to_power(self, power: u32) -> Exact {
        let of = |base: i64| base.checked_pow(power).ok_or(EvalError::Overflow);
        Ok(match self {
            Rational::Whole(base) => Rational::Whole(of(base)?),
            Rational::Fraction(..) if power == 0 => Rational::Whole(1),
            Rational::Fraction(numerator, denominator) => {
                Rational::Fraction(of(numerator)?, of(denominator)?)
            }
        })
    }
}

/// Where a step finds leaves.
pub(super) trait Leaves {
    /// An integer symbol.
    fn symbol(&mut self, name: Name) -> Integer;
    /// An element of a container.
    fn element(&mut self, container: Name, indices: &[i64]) -> Integer;
}

/// Leaves that an environment gives.
pub(super) struct EnvLeaves<'e>(pub(super) &'e dyn Env);

impl Leaves for EnvLeaves<'_> {
    fn symbol(&mut self, name: Name) -> Integer {
        integer_of(self.0.symbol(name).ok_or(EvalError::Unknown(name))?)
    }

    fn element(&mut self, container: Name, indices: &[i64]) -> Integer {
        integer_of(self.0.element(container, indices).ok_or(EvalError::Unknown(container))?)
    }
}

/// The value of an integer or boolean scalar.
pub(super) fn integer_of(scalar: Scalar) -> Integer {
    Ok(match scalar {
        Scalar::Bool(value) => i64::from(value),
        Scalar::I8(value) => i64::from(value),
        Scalar::I16(value) => i64::from(value),
        Scalar::I32(value) => i64::from(value),
        Scalar::I64(value) => value,
        Scalar::U8(value) => i64::from(value),
        Scalar::U16(value) => i64::from(value),
        Scalar::U32(value) => i64::from(value),
        Scalar::U64(value) => i64::try_from(value).map_err(|_| EvalError::Overflow)?,
        _ => return Err(EvalError::NotAnInteger),
    })
}

impl ExprPool {
    /// The integer value (truth values are 1 and 0).
    ///
    /// # Errors
    /// If a symbol has no value, something divides by zero or does not fit 64 bits, or the result is not an integer.
    pub fn eval(&self, id: ExprId, env: &dyn Env) -> Result<i64, EvalError> {
        match self.eval_integer(id, env) {
            // A comparison or rounding of floating-point numbers has an integer value too.
            Err(EvalError::NotAnInteger) => integer_of(self.eval_number(id, env)?),
            value => value,
        }
    }

    /// The value by integer arithmetic alone.
    pub(super) fn eval_integer(&self, id: ExprId, env: &dyn Env) -> Integer {
        let value = if self.depth(id) <= MAX_RECURSION && self.tree_size(id) <= MAX_TREE_SIZE {
            self.eval_tree(id, env)
        } else {
            self.eval_graph(id, env)
        };
        value.map(Rational::truncated)
    }

    fn eval_tree(&self, id: ExprId, env: &dyn Env) -> Exact {
        match self.node(id) {
            Node::Int(value) => Ok(Rational::Whole(*value)),
            node => step(Some(self), node, &mut EnvLeaves(env), &mut |child| self.eval_tree(child, env)),
        }
    }

    fn eval_graph(&self, id: ExprId, env: &dyn Env) -> Exact {
        let mut values: HashMap<ExprId, Exact> = HashMap::new();
        for child in self.reachable(id) {
            let value = step(Some(self), self.node(child), &mut EnvLeaves(env), &mut |below| {
                values.get(&below).copied().unwrap_or(Err(EvalError::Undefined))
            });
            values.insert(child, value);
        }
        values.get(&id).copied().unwrap_or(Err(EvalError::Undefined))
    }
}

/// The value of a node from the values of its children. Without a pool the node has no container.
pub(super) fn step(
    pool: Option<&ExprPool>,
    node: &Node,
    leaves: &mut dyn Leaves,
    value: &mut dyn FnMut(ExprId) -> Exact,
) -> Exact {
    match node {
        Node::Sum(constant, terms) => {
            let mut total = Total { whole: *constant, fraction: None };
            for term in terms {
                total.add(term.coefficient, value(term.monomial)?)?;
            }
            total.finish()
        }
        Node::Product(factors) => factors.iter().try_fold(Rational::Whole(1), |total, factor| {
            total.times(value(factor.base)?.to_power(factor.power)?)
        }),
        Node::Unmerged(Merge::Sum, operands) => {
            let mut total = Total { whole: 0, fraction: None };
            for &operand in operands {
                total.add(1, value(operand)?)?;
            }
            total.finish()
        }
        Node::Unmerged(Merge::Product, operands) => {
            operands.iter().try_fold(Rational::Whole(1), |total, &operand| total.times(value(operand)?))
        }
        Node::Binary(BinaryOp::Quotient, a, b) => value(*a)?.over(value(*b)?),
        Node::Binary(BinaryOp::Power, a, b) => {
            let (base, exponent) = (value(*a)?, value(*b)?.truncated());
            match (base, u32::try_from(exponent)) {
                (Rational::Whole(base), _) => power(base, exponent).map(Rational::Whole),
                (Rational::Fraction(..), Ok(exponent)) => base.to_power(exponent),
                (Rational::Fraction(..), Err(_)) => Err(EvalError::Overflow),
            }
        }
        _ => integer_step(pool, node, leaves, &mut |id| value(id).map(Rational::truncated))
            .map(Rational::Whole),
    }
}

/// The value of a node that is an integer and needs integers.
fn integer_step(
    pool: Option<&ExprPool>,
    node: &Node,
    leaves: &mut dyn Leaves,
    value: &mut dyn FnMut(ExprId) -> Integer,
) -> Integer {
    match node {
        Node::Int(constant) => Ok(*constant),
        Node::Bool(constant) => Ok(i64::from(*constant)),
        Node::Typed(dtype, bits) if dtype.is_integral() => {
            i64::try_from(*bits).map_err(|_| EvalError::Overflow)
        }
        Node::Float(_) | Node::Typed(..) | Node::Complex(..) | Node::Constant(_) | Node::Attribute(..) => {
            Err(EvalError::NotAnInteger)
        }
        Node::Undefined | Node::Sum(..) | Node::Product(_) | Node::Unmerged(..) => Err(EvalError::Undefined),
        Node::Symbol(name) => leaves.symbol(*name),
        Node::Unary(op, a) => unary(*op, value(*a)?),
        Node::Binary(op, a, b) => binary(*op, value(*a)?, value(*b)?),
        Node::Nary(op, operands) => nary(*op, operands, value),
        Node::Compare(op, a, b) => Ok(i64::from(compare(*op, &value(*a)?, &value(*b)?))),
        Node::Select(condition, then, otherwise) => {
            if value(*condition)? != 0 {
                value(*then)
            } else {
                value(*otherwise)
            }
        }
        Node::Cast(dtype, a) => cast(*dtype, value(*a)?),
        Node::Call(function, arguments) => {
            let arguments: SmallVec<[i64; 8]> =
                arguments.iter().map(|&id| value(id)).collect::<Result<_, _>>()?;
            leaves.element(*function, &arguments)
        }
        Node::Subscript(base, indices) => {
            let indices: SmallVec<[i64; 8]> =
                indices.iter().map(|&id| value(id)).collect::<Result<_, _>>()?;
            match pool.and_then(|pool| pool.as_symbol(*base)) {
                Some(container) => leaves.element(container, &indices),
                None => Err(EvalError::NotAnInteger),
            }
        }
    }
}

/// A sum on its way: integers, and fractions over a common denominator.
struct Total {
    whole: i64,
    fraction: Option<(i128, i128)>,
}

impl Total {
    fn add(&mut self, coefficient: i64, value: Rational) -> Result<(), EvalError> {
        match value {
            Rational::Whole(value) => {
                let scaled = value.checked_mul(coefficient);
                self.whole =
                    scaled.and_then(|scaled| self.whole.checked_add(scaled)).ok_or(EvalError::Overflow)?;
            }
            Rational::Fraction(numerator, denominator) => {
                // A product of two 64-bit integers fits 128 bits.
                let part = (i128::from(numerator) * i128::from(coefficient), i128::from(denominator));
                self.fraction = Some(match self.fraction {
                    None => part,
                    Some(known) => add_fractions(known, part).ok_or(EvalError::Overflow)?,
                });
            }
        }
        Ok(())
    }

    fn finish(self) -> Exact {
        let Some((numerator, denominator)) = self.fraction else { return Ok(Rational::Whole(self.whole)) };
        let whole = i128::from(self.whole).checked_mul(denominator);
        let numerator = whole.and_then(|whole| whole.checked_add(numerator)).ok_or(EvalError::Overflow)?;
        Rational::of(numerator, denominator)
    }
}

fn add_fractions((a, b): (i128, i128), (c, d): (i128, i128)) -> Option<(i128, i128)> {
    if b == d {
        return Some((a.checked_add(c)?, b));
    }
    Some((a.checked_mul(d)?.checked_add(c.checked_mul(b)?)?, b.checked_mul(d)?))
}

fn unary(op: UnaryOp, a: i64) -> Integer {
    match op {
        UnaryOp::Abs => a.checked_abs().ok_or(EvalError::Overflow),
        UnaryOp::Not => Ok(i64::from(a == 0)),
        UnaryOp::BitNot => Ok(!a),
        UnaryOp::Floor | UnaryOp::Ceiling | UnaryOp::Round => Ok(a),
        UnaryOp::Sqrt => Err(EvalError::NotAnInteger),
    }
}

/// An operation on two integers.
pub(super) fn binary(op: BinaryOp, a: i64, b: i64) -> Integer {
    let divides = matches!(
        op,
        BinaryOp::Quotient
            | BinaryOp::FloorDiv
            | BinaryOp::CeilDiv
            | BinaryOp::TruncDiv
            | BinaryOp::Remainder
            | BinaryOp::Modulo
    );
    if divides && b == 0 {
        return Err(EvalError::DivisionByZero);
    }
    match op {
        BinaryOp::Quotient | BinaryOp::TruncDiv => a.checked_div(b).ok_or(EvalError::Overflow),
        BinaryOp::FloorDiv => {
            let quotient = a.checked_div(b).ok_or(EvalError::Overflow)?;
            Ok(if a % b != 0 && (a < 0) != (b < 0) { quotient - 1 } else { quotient })
        }
        BinaryOp::CeilDiv => {
            let quotient = a.checked_div(b).ok_or(EvalError::Overflow)?;
            Ok(if a % b != 0 && (a < 0) == (b < 0) { quotient + 1 } else { quotient })
        }
        BinaryOp::Remainder => Ok(a.wrapping_rem(b)),
        BinaryOp::Modulo => {
            let remainder = a.wrapping_rem(b);
            Ok(if remainder != 0 && (remainder < 0) != (b < 0) { remainder + b } else { remainder })
        }
        BinaryOp::Power => power(a, b),
        BinaryOp::ShiftLeft => match u32::try_from(b) {
            Ok(bits @ 0..=62) => a.checked_mul(1 << bits).ok_or(EvalError::Overflow),
            _ if a == 0 && b >= 0 => Ok(0),
            _ => Err(EvalError::Overflow),
        },
        BinaryOp::ShiftRight => match u32::try_from(b) {
            Ok(bits) => Ok(a >> bits.min(63)),
            Err(_) => Err(EvalError::Overflow),
        },
    }
}

fn power(base: i64, exponent: i64) -> Integer {
    match (base, exponent) {
        (_, 0) | (1, _) => Ok(1),
        (-1, _) => Ok(if exponent % 2 == 0 { 1 } else { -1 }),
        (0, ..=-1) => Err(EvalError::DivisionByZero),
        (0, _) => Ok(0),
        (_, ..=-1) => Ok(0),
        _ => u32::try_from(exponent)
            .ok()
            .and_then(|exponent| base.checked_pow(exponent))
            .ok_or(EvalError::Overflow),
    }
}

fn nary(op: NaryOp, operands: &[ExprId], value: &mut dyn FnMut(ExprId) -> Integer) -> Integer {
    if matches!(op, NaryOp::And | NaryOp::Or) {
        let decides = op == NaryOp::Or;
        for &operand in operands {
            if (value(operand)? != 0) == decides {
                return Ok(i64::from(decides));
            }
        }
        return Ok(i64::from(!decides));
    }
    let mut total: Option<i64> = None;
    for &operand in operands {
        let next = value(operand)?;
        total = Some(match (total, op) {
            (None, _) => next,
            (Some(known), NaryOp::Min) => known.min(next),
            (Some(known), NaryOp::Max) => known.max(next),
            (Some(known), NaryOp::BitAnd) => known & next,
            (Some(known), NaryOp::BitOr) => known | next,
            (Some(known), _) => known ^ next,
        });
    }
    total.ok_or(EvalError::Undefined)
}

/// Whether a comparison holds.
pub(super) fn compare<T: PartialOrd>(op: CompareOp, a: &T, b: &T) -> bool {
    match op {
        CompareOp::Less => a < b,
        CompareOp::AtMost => a <= b,
        CompareOp::Equal => a == b,
        CompareOp::NotEqual => a != b,
    }
}

/// C conversion between integers: the low bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "conversion is meant to keep the low bits"
)]
pub(super) fn cast(dtype: DType, a: i64) -> Integer {
    Ok(match dtype {
        DType::Bool => i64::from(a != 0),
        DType::I8 => i64::from(a as i8),
        DType::I16 => i64::from(a as i16),
        DType::I32 => i64::from(a as i32),
        DType::I64 => a,
        DType::U8 => i64::from(a as u8),
        DType::U16 => i64::from(a as u16),
        DType::U32 => i64::from(a as u32),
        DType::U64 if a >= 0 => a,
        DType::U64 => return Err(EvalError::Overflow),
        _ => return Err(EvalError::NotAnInteger),
    })
}
