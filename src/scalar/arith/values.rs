//! Operations on vectors and records, lane by lane.

use super::super::code::{BinaryOp, Func, UnaryOp};
use super::super::types::DType;
use super::super::value::{Scalar, Value};
use super::{Trap, binary, call, cast, unary};

/// [`unary`] lane by lane.
pub fn unary_value(op: UnaryOp, value: &Value) -> Result<Value, Trap> {
    map(value, |scalar| Ok(unary(op, scalar)))
}

/// [`cast`] lane by lane.
pub fn cast_value(dtype: DType, value: &Value) -> Result<Value, Trap> {
    map(value, |scalar| Ok(cast(dtype, scalar)))
}

/// [`binary`] lane by lane; a number meets a vector in every lane. Records compare field by field.
pub fn binary_value(op: BinaryOp, left: &Value, right: &Value) -> Result<Value, Trap> {
    match (left, right) {
        (Value::Scalar(a), Value::Scalar(b)) => binary(op, *a, *b).map(Value::Scalar),
        (Value::Struct(a), Value::Struct(b)) if a.len() == b.len() => {
            let mut equal = true;
            for (a, b) in a.iter().zip(b) {
                let same = binary_value(BinaryOp::Eq, a, b)?;
                equal &= match same {
                    Value::Scalar(scalar) => scalar.is_true(),
                    Value::Vector(lanes) => lanes.iter().all(|lane| lane.is_true()),
                    Value::Struct(_) => return Err(Trap::Type),
                };
            }
            match op {
                BinaryOp::Eq => Ok(Value::Scalar(Scalar::Bool(equal))),
                BinaryOp::Ne => Ok(Value::Scalar(Scalar::Bool(!equal))),
                _ => Err(Trap::Type),
            }
        }
        _ => zip(&[left, right], |lanes| binary(op, lanes[0], lanes[1])),
    }
}

/// [`call`] lane by lane.
pub fn call_value(func: Func, operands: &[&Value]) -> Result<Value, Trap> {
    zip(operands, |lanes| call(func, lanes))
}

/// `condition ? then : otherwise`, lane by lane if the condition is a vector.
pub fn select_value(condition: &Value, then: &Value, otherwise: &Value) -> Result<Value, Trap> {
    match condition {
        Value::Scalar(scalar) => Ok(if scalar.is_true() { then.clone() } else { otherwise.clone() }),
        _ => zip(&[condition, then, otherwise], |lanes| {
            Ok(if lanes[0].is_true() { lanes[1] } else { lanes[2] })
        }),
    }
}

fn map(value: &Value, f: impl Fn(Scalar) -> Result<Scalar, Trap>) -> Result<Value, Trap> {
    match value {
        Value::Scalar(scalar) => f(*scalar).map(Value::Scalar),
        Value::Vector(lanes) => {
            lanes.iter().map(|&lane| f(lane)).collect::<Result<Box<[_]>, _>>().map(Value::Vector)
        }
        Value::Struct(_) => Err(Trap::Type),
    }
}

fn zip(operands: &[&Value], f: impl Fn(&[Scalar]) -> Result<Scalar, Trap>) -> Result<Value, Trap> {
    let lanes = operands.iter().find_map(|value| match value {
        Value::Vector(lanes) => Some(lanes.len()),
        _ => None,
    });
    let lane_of = |lane: usize| {
        operands
            .iter()
            .map(|value| match value {
                Value::Scalar(scalar) => Ok(*scalar),
                Value::Vector(lanes) => lanes.get(lane).copied().ok_or(Trap::Type),
                Value::Struct(_) => Err(Trap::Type),
            })
            .collect::<Result<smallvec::SmallVec<[Scalar; 3]>, Trap>>()
    };
    match lanes {
        None => f(&lane_of(0)?).map(Value::Scalar),
        Some(count) => {
            (0..count).map(|lane| f(&lane_of(lane)?)).collect::<Result<Box<[_]>, _>>().map(Value::Vector)
        }
    }
}
