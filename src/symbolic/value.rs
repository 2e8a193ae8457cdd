//! Evaluation of expressions that compute with floating-point or complex numbers.
//!
//! Integers are computed as integers wherever both operands are; everything else is binary64, rounded after each
//! operation, whatever the width of the operands (a cast to a narrower type rounds).

use half::{bf16, f16};
use hashbrown::HashMap;
use num_complex::Complex64;
use smallvec::SmallVec;

use crate::entity::Name;
use crate::scalar::{DType, Scalar};

use super::eval::{EnvLeaves, Exact, Rational, compare, integer_of, step};
use super::node::{BinaryOp, CompareOp, Constant, Merge, NaryOp, Node, UnaryOp};
use super::{Env, EvalError, ExprId, ExprPool};

#[derive(Clone, Copy, Debug)]
enum Number {
    Integer(i64),
    Real(f64),
    Complex(Complex64),
}

type Value = Result<Number, EvalError>;

/// What is known of a node: integers and fractions exactly, until a number that is neither meets them.
#[derive(Clone, Copy)]
enum Known {
    Exact(Rational),
    Wider(Number),
}

impl Known {
    fn number(self) -> Number {
        match self {
            Known::Exact(value) => Number::Integer(value.truncated()),
            Known::Wider(value) => value,
        }
    }
}

type Values = HashMap<ExprId, Result<Known, EvalError>>;

impl ExprPool {
    /// The value: `int64`, `bool` for a truth value, `float64` or `complex128`.
    ///
    /// # Errors
    /// As [`eval`](ExprPool::eval), except that any number will do.
    pub fn eval_value(&self, id: ExprId, env: &dyn Env) -> Result<Scalar, EvalError> {
        match self.eval_integer(id, env) {
            Ok(value) if self.node(id).is_boolean() => Ok(Scalar::Bool(value != 0)),
            Ok(value) => Ok(Scalar::I64(value)),
            Err(EvalError::NotAnInteger) => self.eval_number(id, env),
            Err(error) => Err(error),
        }
    }

    /// The value of an expression that is known to contain more than integers.
    pub(super) fn eval_number(&self, id: ExprId, env: &dyn Env) -> Result<Scalar, EvalError> {
        let mut values = Values::new();
        for child in self.reachable(id) {
            let value = number_step(self, self.node(child), env, &values);
            values.insert(child, value);
        }
        match get(&values, id)? {
            Number::Integer(value) if self.node(id).is_boolean() => Ok(Scalar::Bool(value != 0)),
            Number::Integer(value) => Ok(Scalar::I64(value)),
            Number::Real(value) => Ok(Scalar::F64(value)),
            Number::Complex(value) => Ok(Scalar::C128(value)),
        }
    }
}

fn get(values: &Values, id: ExprId) -> Value {
    values.get(&id).copied().unwrap_or(Err(EvalError::Undefined)).map(Known::number)
}

/// The value of a node: by exact arithmetic if that is possible.
fn number_step(pool: &ExprPool, node: &Node, env: &dyn Env, values: &Values) -> Result<Known, EvalError> {
    let mut exact = |id: ExprId| -> Exact {
        match values.get(&id).copied().unwrap_or(Err(EvalError::Undefined))? {
            Known::Exact(value) => Ok(value),
            Known::Wider(Number::Integer(value)) => Ok(Rational::Whole(value)),
            Known::Wider(_) => Err(EvalError::NotAnInteger),
        }
    };
    match step(Some(pool), node, &mut EnvLeaves(env), &mut exact) {
        Ok(value) => Ok(Known::Exact(value)),
        Err(EvalError::NotAnInteger) => wider_step(pool, node, env, &|id| get(values, id)).map(Known::Wider),
        Err(error) => Err(error),
    }
}

fn wider_step(pool: &ExprPool, node: &Node, env: &dyn Env, value: &dyn Fn(ExprId) -> Value) -> Value {
    match node {
        Node::Float(bits) | Node::Typed(_, bits) => Ok(Number::Real(f64::from_bits(*bits))),
        Node::Complex(_, re, im) => {
            Ok(Number::Complex(Complex64::new(f64::from_bits(*re), f64::from_bits(*im))))
        }
        Node::Constant(constant) => match constant {
            Constant::Pi => Ok(Number::Real(std::f64::consts::PI)),
            Constant::E => Ok(Number::Real(std::f64::consts::E)),
            Constant::Infinity => Ok(Number::Real(f64::INFINITY)),
            Constant::Nan => Ok(Number::Real(f64::NAN)),
            Constant::None => Err(EvalError::NotAnInteger),
        },
        Node::Symbol(name) => number_of(env.symbol(*name).ok_or(EvalError::Unknown(*name))?),
        Node::Sum(constant, terms) => terms.iter().try_fold(Number::Integer(*constant), |total, term| {
            add(total, multiply(Number::Integer(term.coefficient), value(term.monomial)?)?)
        }),
        Node::Product(factors) => factors.iter().try_fold(Number::Integer(1), |total, factor| {
            let base = value(factor.base)?;
            // Small powers are repeated multiplications, as they were written.
            if factor.power <= 8 {
                return (0..factor.power).try_fold(total, |total, _| multiply(total, base));
            }
            multiply(total, power(base, Number::Integer(i64::from(factor.power)))?)
        }),
        Node::Unmerged(Merge::Sum, operands) => {
            operands.iter().try_fold(Number::Integer(0), |total, &id| add(total, value(id)?))
        }
        Node::Unmerged(Merge::Product, operands) => {
            operands.iter().try_fold(Number::Integer(1), |total, &id| multiply(total, value(id)?))
        }
        Node::Unary(op, a) => unary(*op, value(*a)?),
        Node::Binary(op, a, b) => binary(*op, value(*a)?, value(*b)?),
        Node::Nary(op, operands) => nary(*op, operands, value),
        Node::Compare(op, a, b) => {
            Ok(Number::Integer(i64::from(compare_numbers(*op, value(*a)?, value(*b)?)?)))
        }
        Node::Select(condition, then, otherwise) => {
            if is_true(value(*condition)?) {
                value(*then)
            } else {
                value(*otherwise)
            }
        }
        Node::Cast(dtype, a) => cast(*dtype, value(*a)?),
        Node::Call(container, indices) => element(env, *container, indices, value),
        Node::Subscript(base, indices) => match pool.as_symbol(*base) {
            Some(container) => element(env, container, indices, value),
            None => Err(EvalError::NotAnInteger),
        },
        Node::Int(_) | Node::Bool(_) | Node::Undefined | Node::Attribute(..) => Err(EvalError::NotAnInteger),
    }
}

fn element(env: &dyn Env, container: Name, indices: &[ExprId], value: &dyn Fn(ExprId) -> Value) -> Value {
    let mut integers: SmallVec<[i64; 8]> = SmallVec::new();
    for &index in indices {
        match value(index)? {
            Number::Integer(index) => integers.push(index),
            _ => return Err(EvalError::NotAnInteger),
        }
    }
    number_of(env.element(container, &integers).ok_or(EvalError::Unknown(container))?)
}

fn number_of(scalar: Scalar) -> Value {
    match scalar {
        Scalar::F16(value) => Ok(Number::Real(value.to_f64())),
        Scalar::BF16(value) => Ok(Number::Real(value.to_f64())),
        Scalar::F32(value) => Ok(Number::Real(f64::from(value))),
        Scalar::F64(value) => Ok(Number::Real(value)),
        Scalar::C64(value) => Ok(Number::Complex(Complex64::new(f64::from(value.re), f64::from(value.im)))),
        Scalar::C128(value) => Ok(Number::Complex(value)),
        integral => integer_of(integral).map(Number::Integer),
    }
}

fn is_true(value: Number) -> bool {
    match value {
        Number::Integer(value) => value != 0,
        Number::Real(value) => value != 0.0,
        Number::Complex(value) => value != Complex64::new(0.0, 0.0),
    }
}

#[expect(clippy::cast_precision_loss, reason = "C's conversion rounds")]
fn real(value: Number) -> Result<f64, EvalError> {
    match value {
        Number::Integer(value) => Ok(value as f64),
        Number::Real(value) => Ok(value),
        Number::Complex(_) => Err(EvalError::NotAnInteger),
    }
}

fn complex(value: Number) -> Complex64 {
    match value {
        Number::Complex(value) => value,
        // Only complex numbers are not real.
        other => Complex64::new(real(other).unwrap_or(f64::NAN), 0.0),
    }
}

fn arithmetic(
    a: Number,
    b: Number,
    integers: impl Fn(i64, i64) -> Option<i64>,
    reals: impl Fn(f64, f64) -> f64,
    complexes: impl Fn(Complex64, Complex64) -> Complex64,
) -> Value {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => {
            integers(a, b).map(Number::Integer).ok_or(EvalError::Overflow)
        }
        (Number::Complex(_), _) | (_, Number::Complex(_)) => {
            Ok(Number::Complex(complexes(complex(a), complex(b))))
        }
        _ => Ok(Number::Real(reals(real(a)?, real(b)?))),
    }
}

fn add(a: Number, b: Number) -> Value {
    match (a, b) {
        // A sum without constant starts at zero, which must not turn -0.0 into 0.0.
        (Number::Integer(0), b) => Ok(b),
        _ => arithmetic(a, b, i64::checked_add, |a, b| a + b, |a, b| a + b),
    }
}

fn multiply(a: Number, b: Number) -> Value {
    match (a, b) {
        (Number::Integer(1), b) => Ok(b),
        _ => arithmetic(a, b, i64::checked_mul, |a, b| a * b, |a, b| a * b),
    }
}

fn power(a: Number, b: Number) -> Value {
    match (a, b) {
        (Number::Complex(_), _) | (_, Number::Complex(_)) => Ok(Number::Complex(complex(a).powc(complex(b)))),
        _ => Ok(Number::Real(libm::pow(real(a)?, real(b)?))),
    }
}

fn unary(op: UnaryOp, a: Number) -> Value {
    match (op, a) {
        (UnaryOp::Not, a) => Ok(Number::Integer(i64::from(!is_true(a)))),
        (UnaryOp::Abs, Number::Complex(a)) => Ok(Number::Real(a.norm())),
        (UnaryOp::Abs, a) => Ok(Number::Real(real(a)?.abs())),
        (UnaryOp::Sqrt, Number::Complex(a)) => Ok(Number::Complex(a.sqrt())),
        (UnaryOp::Sqrt, a) => Ok(Number::Real(real(a)?.sqrt())),
        (UnaryOp::Floor, a) => whole(real(a)?.floor()),
        (UnaryOp::Ceiling, a) => whole(real(a)?.ceil()),
        (UnaryOp::Round, a) => whole(real(a)?.round()),
        (UnaryOp::BitNot, _) => Err(EvalError::NotAnInteger),
    }
}

/// The integer that a rounded number is.
fn whole(value: f64) -> Value {
    // Both bounds are powers of two, so they are exact.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
        #[expect(clippy::cast_possible_truncation, reason = "in range")]
        return Ok(Number::Integer(value as i64));
    }
    Err(EvalError::Overflow)
}

fn binary(op: BinaryOp, a: Number, b: Number) -> Value {
    match op {
        BinaryOp::Quotient => arithmetic(a, b, i64::checked_div, |a, b| a / b, |a, b| a / b),
        BinaryOp::Power => power(a, b),
        BinaryOp::FloorDiv => Ok(Number::Real((real(a)? / real(b)?).floor())),
        BinaryOp::CeilDiv => Ok(Number::Real((real(a)? / real(b)?).ceil())),
        BinaryOp::TruncDiv => Ok(Number::Real((real(a)? / real(b)?).trunc())),
        BinaryOp::Remainder => Ok(Number::Real(real(a)? % real(b)?)),
        BinaryOp::Modulo => {
            let (a, b) = (real(a)?, real(b)?);
            let remainder = a % b;
            Ok(Number::Real(if remainder != 0.0 && (remainder < 0.0) != (b < 0.0) {
                remainder + b
            } else {
                remainder
            }))
        }
        BinaryOp::ShiftLeft | BinaryOp::ShiftRight => Err(EvalError::NotAnInteger),
    }
}

fn nary(op: NaryOp, operands: &[ExprId], value: &dyn Fn(ExprId) -> Value) -> Value {
    match op {
        NaryOp::And | NaryOp::Or => {
            let decides = op == NaryOp::Or;
            for &operand in operands {
                if is_true(value(operand)?) == decides {
                    return Ok(Number::Integer(i64::from(decides)));
                }
            }
            Ok(Number::Integer(i64::from(!decides)))
        }
        NaryOp::Min | NaryOp::Max => {
            let mut best: Option<Number> = None;
            for &operand in operands {
                let next = value(operand)?;
                let better = match best {
                    None => true,
                    Some(best) if op == NaryOp::Min => compare_numbers(CompareOp::Less, next, best)?,
                    Some(best) => compare_numbers(CompareOp::Less, best, next)?,
                };
                if better {
                    best = Some(next);
                }
            }
            best.ok_or(EvalError::Undefined)
        }
        NaryOp::BitAnd | NaryOp::BitOr | NaryOp::BitXor => Err(EvalError::NotAnInteger),
    }
}

fn compare_numbers(op: CompareOp, a: Number, b: Number) -> Result<bool, EvalError> {
    match (a, b) {
        (Number::Integer(a), Number::Integer(b)) => Ok(compare(op, &a, &b)),
        (Number::Complex(_), _) | (_, Number::Complex(_)) => match op {
            CompareOp::Equal => Ok(complex(a) == complex(b)),
            CompareOp::NotEqual => Ok(complex(a) != complex(b)),
            CompareOp::Less | CompareOp::AtMost => Err(EvalError::NotAnInteger),
        },
        _ => Ok(compare(op, &real(a)?, &real(b)?)),
    }
}

fn cast(dtype: DType, a: Number) -> Value {
    if dtype == DType::Bool {
        return Ok(Number::Integer(i64::from(is_true(a))));
    }
    if dtype.is_integral() {
        let Number::Integer(value) = whole(real(a)?.trunc())? else { return Err(EvalError::NotAnInteger) };
        return super::eval::cast(dtype, value).map(Number::Integer);
    }
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the type is what a cast does")]
    match dtype {
        DType::F64 => Ok(Number::Real(real(a)?)),
        DType::F32 => Ok(Number::Real(f64::from(real(a)? as f32))),
        DType::F16 => Ok(Number::Real(f16::from_f64(real(a)?).to_f64())),
        DType::BF16 => Ok(Number::Real(bf16::from_f64(real(a)?).to_f64())),
        DType::C128 => Ok(Number::Complex(complex(a))),
        DType::C64 => {
            let a = complex(a);
            Ok(Number::Complex(Complex64::new(f64::from(a.re as f32), f64::from(a.im as f32))))
        }
        _ => Err(EvalError::NotAnInteger),
    }
}
