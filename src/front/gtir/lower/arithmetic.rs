//! Arithmetic, comparisons and math functions on points.
//!
//! Operands have one type (the frontend promotes); where they do not, they meet in the wider one. Results have
//! the operands' type, comparisons give bool. `divides` on integers truncates, `mod` has the sign of the
//! divisor, as Python has it.

use crate::diag::{Diagnostic, Result};
use crate::scalar::{BinaryOp, DType, Func, UnaryOp};

use super::super::Builtin;
use super::point::PointId;
use super::value::Value;
use super::{Lowering, ill_typed};

impl Lowering<'_> {
    /// Two points converted to their common type.
    pub(super) fn meet(&mut self, a: PointId, b: PointId) -> (PointId, PointId) {
        let (ta, tb) = (self.points.dtype(a), self.points.dtype(b));
        if ta == tb {
            return (a, b);
        }
        let common = wider(ta, tb);
        (self.points.cast(common, a), self.points.cast(common, b))
    }

    /// An operation on scalars, or on domains.
    pub(super) fn scalar_builtin(&mut self, builtin: Builtin, args: &[Value]) -> Result<Value> {
        if let Some(domain) = self.domain_builtin(builtin, args) {
            return domain;
        }
        match *args {
            [Value::Point(a)] => {
                let point = match builtin.dtype() {
                    Some(dtype) => self.points.cast(dtype, a),
                    None => self.unary_builtin(builtin, a)?,
                };
                Ok(Value::Point(point))
            }
            [Value::Point(a), Value::Builtin(ty)] if builtin == Builtin::Cast => match ty.dtype() {
                Some(dtype) => Ok(Value::Point(self.points.cast(dtype, a))),
                None => Err(ill_typed("`cast_` needs the name of a type")),
            },
            [Value::Point(a), Value::Point(b)] => self.binary_builtin(builtin, a, b).map(Value::Point),
            _ if args.iter().any(|arg| matches!(arg, Value::Field(_))) => {
                Err(ill_typed(format!("`{}` is applied to fields without `as_fieldop`", builtin.name())))
            }
            _ => Err(unknown(builtin)),
        }
    }

    fn unary_builtin(&mut self, builtin: Builtin, a: PointId) -> Result<PointId> {
        let dtype = self.points.dtype(a);
        let func = match builtin {
            Builtin::Neg => return Ok(self.points.unary(UnaryOp::Neg, a)),
            Builtin::Not if dtype == DType::Bool => return Ok(self.not(a)),
            Builtin::Not => return Ok(self.points.unary(UnaryOp::BitNot, a)),
            Builtin::Abs if dtype.is_unsigned() => return Ok(a),
            Builtin::Abs => Func::Abs,
            Builtin::Floor | Builtin::Ceil | Builtin::Trunc if dtype.is_integral() => return Ok(a),
            Builtin::Floor => Func::Floor,
            Builtin::Ceil => Func::Ceil,
            Builtin::Trunc => Func::Trunc,
            Builtin::Sin => Func::Sin,
            Builtin::Cos => Func::Cos,
            Builtin::Tan => Func::Tan,
            Builtin::Arcsin => Func::Asin,
            Builtin::Arccos => Func::Acos,
            Builtin::Arctan => Func::Atan,
            Builtin::Sinh => Func::Sinh,
            Builtin::Cosh => Func::Cosh,
            Builtin::Tanh => Func::Tanh,
            Builtin::Arcsinh => Func::Asinh,
            Builtin::Arccosh => Func::Acosh,
            Builtin::Arctanh => Func::Atanh,
            Builtin::Sqrt => Func::Sqrt,
            Builtin::Cbrt => Func::Cbrt,
            Builtin::Exp => Func::Exp,
            Builtin::Log => Func::Log,
            Builtin::Gamma => Func::Gamma,
            Builtin::Isnan => Func::IsNan,
            Builtin::Isinf => Func::IsInf,
            Builtin::Isfinite => Func::IsFinite,
            _ => return Err(unknown(builtin)),
        };
        let predicate = matches!(func, Func::IsNan | Func::IsInf | Func::IsFinite);
        if dtype.is_integral() && (predicate || func != Func::Abs) {
            let wide = self.points.cast(DType::F64, a);
            let result = self.points.call(func, vec![wide]);
            return Ok(if predicate { result } else { self.points.cast(dtype, result) });
        }
        Ok(self.points.call(func, vec![a]))
    }

    fn binary_builtin(&mut self, builtin: Builtin, a: PointId, b: PointId) -> Result<PointId> {
        if builtin == Builtin::Power {
            return Ok(self.power(a, b));
        }
        let (a, b) = self.meet(a, b);
        let dtype = self.points.dtype(a);
        let op = match builtin {
            Builtin::Plus => BinaryOp::Add,
            Builtin::Minus => BinaryOp::Sub,
            Builtin::Multiplies => BinaryOp::Mul,
            Builtin::Divides => BinaryOp::Div,
            Builtin::FloorDiv => BinaryOp::FloorDiv,
            Builtin::Mod => BinaryOp::Mod,
            Builtin::Minimum => BinaryOp::Min,
            Builtin::Maximum => BinaryOp::Max,
            Builtin::Eq => BinaryOp::Eq,
            Builtin::NotEq => BinaryOp::Ne,
            Builtin::Less => BinaryOp::Lt,
            Builtin::LessEqual => BinaryOp::Le,
            Builtin::Greater => BinaryOp::Gt,
            Builtin::GreaterEqual => BinaryOp::Ge,
            Builtin::And => BinaryOp::BitAnd,
            Builtin::Or => BinaryOp::BitOr,
            Builtin::Xor => BinaryOp::BitXor,
            Builtin::Arctan2 => return Ok(self.points.call(Func::Atan2, vec![a, b])),
            Builtin::Fmod if dtype.is_float() => return Ok(self.points.call(Func::Fmod, vec![a, b])),
            Builtin::Fmod => BinaryOp::Rem,
            _ => return Err(unknown(builtin)),
        };
        if matches!(op, BinaryOp::BitAnd) && dtype == DType::Bool {
            return Ok(self.both(a, b));
        }
        Ok(self.points.binary(op, a, b))
    }

    /// `power` has the type of its base. Small whole exponents multiply, as NumPy does.
    fn power(&mut self, base: PointId, exponent: PointId) -> PointId {
        let dtype = self.points.dtype(base);
        let known = self.points.as_constant(exponent);
        if let Some(value) = known
            && value.as_f64() == 2.0
        {
            return self.points.binary(BinaryOp::Mul, base, base);
        }
        if self.points.dtype(exponent).is_integral() {
            let exponent = self.points.cast(DType::I32, exponent);
            return self.points.call(Func::PowI, vec![base, exponent]);
        }
        if dtype.is_integral() {
            let wide = self.points.cast(DType::F64, base);
            let exponent = self.points.cast(DType::F64, exponent);
            let result = self.points.call(Func::Pow, vec![wide, exponent]);
            return self.points.cast(dtype, result);
        }
        let exponent = self.points.cast(dtype, exponent);
        self.points.call(Func::Pow, vec![base, exponent])
    }
}

/// The type two different operand types meet in, as NumPy promotes.
fn wider(a: DType, b: DType) -> DType {
    let rank = |dtype: DType| match dtype {
        DType::Bool => 0,
        DType::U8 => 1,
        DType::I8 => 2,
        DType::U16 => 3,
        DType::I16 => 4,
        DType::U32 => 5,
        DType::I32 => 6,
        DType::U64 => 7,
        DType::I64 => 8,
        DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2 => 9,
        DType::F32 => 10,
        _ => 11,
    };
    if rank(a) >= rank(b) { a } else { b }
}

fn unknown(builtin: Builtin) -> Diagnostic {
    Diagnostic::error(
        "P0653",
        format!("`{}` is not a function of GTIR that Pelton knows with these arguments", builtin.name()),
    )
    .with_help("check the spelling and the number of arguments")
}
