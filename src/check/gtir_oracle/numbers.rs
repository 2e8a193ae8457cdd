//! Arithmetic builtins.
//!
//! Operands of one type give that type, comparisons give `bool`. Where operands differ (iterator programs written by
//! hand do that), the lower-ranked one is converted: `bool`, then integers by width, then floats by width. `mod` and `floordiv` are
//! floored, as Python has them; `divides` truncates on integers, as compiled GT4Py backends do; `fmod` has the sign of the
//! dividend. `power` has the type of its base. `and_`, `or_` and `xor_` are bitwise on integers.

use crate::diag::Result;
use crate::front::gtir::Builtin;
use crate::scalar::{BinaryOp, DType, Func, Scalar, Trap, UnaryOp, arith};

use super::eval::Args;
use super::machine::Machine;
use super::value::{Function, Poison, Value};

impl Machine<'_, '_, '_> {
    /// Applies a builtin on numbers.
    pub(super) fn number_builtin(&self, builtin: Builtin, args: &Args) -> Result<Value> {
        if let (Builtin::Cast, [value, Value::Function(ty)]) = (builtin, &args[..])
            && let Function::Builtin(ty) = **ty
            && let Some(dtype) = ty.dtype()
        {
            return self.convert(dtype, value);
        }
        if let (Some(dtype), [value]) = (builtin.dtype(), &args[..]) {
            return self.convert(dtype, value);
        }
        if let Some(poison) = args.iter().find(|arg| matches!(arg, Value::Poison(_))) {
            return Ok(poison.clone());
        }
        let result = match &args[..] {
            [Value::Scalar(x)] => one(builtin, *x),
            [Value::Scalar(x), Value::Scalar(y)] => two(builtin, *x, *y),
            _ => None,
        };
        match result {
            Some(Ok(number)) => Ok(Value::Scalar(number)),
            Some(Err(Trap::DivisionByZero)) => Ok(Value::Poison(Poison::DivisionByZero)),
            Some(Err(trap)) => Err(self.error(format!("`{}` failed: {trap}", builtin.name()))),
            None => {
                let kinds: Vec<&str> = args.iter().map(Value::kind).collect();
                Err(self.error(format!("`{}` is applied to ({})", builtin.name(), kinds.join(", "))))
            }
        }
    }

    fn convert(&self, dtype: DType, value: &Value) -> Result<Value> {
        match value {
            Value::Scalar(number) => Ok(Value::Scalar(arith::cast(dtype, *number))),
            Value::Poison(_) => Ok(value.clone()),
            Value::Text(text) => match text.parse::<f64>() {
                Ok(number) => Ok(Value::Scalar(arith::cast(dtype, Scalar::F64(number)))),
                Err(_) => Err(self.error(format!("`{text}` is not a number"))),
            },
            other => Err(self.error(format!("{} is converted to {dtype}", other.kind()))),
        }
    }
}

fn one(builtin: Builtin, x: Scalar) -> Option<std::result::Result<Scalar, Trap>> {
    let func = match builtin {
        Builtin::Neg => return Some(Ok(arith::unary(UnaryOp::Neg, x))),
        Builtin::Not => {
            let op = if x.dtype() == DType::Bool { UnaryOp::Not } else { UnaryOp::BitNot };
            return Some(Ok(arith::unary(op, x)));
        }
        Builtin::Abs => Func::Abs,
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
        Builtin::Exp => Func::Exp,
        Builtin::Log => Func::Log,
        Builtin::Gamma => Func::Gamma,
        Builtin::Cbrt => Func::Cbrt,
        Builtin::Floor => Func::Floor,
        Builtin::Ceil => Func::Ceil,
        Builtin::Trunc => Func::Trunc,
        Builtin::Isfinite => Func::IsFinite,
        Builtin::Isinf => Func::IsInf,
        Builtin::Isnan => Func::IsNan,
        _ => return None,
    };
    Some(arith::call(func, &[x]))
}

fn two(builtin: Builtin, x: Scalar, y: Scalar) -> Option<std::result::Result<Scalar, Trap>> {
    let op = match builtin {
        Builtin::Power => return Some(power(x, y)),
        Builtin::Arctan2 => {
            let (x, y) = promoted(x, y);
            return Some(arith::call(Func::Atan2, &[x, y]));
        }
        Builtin::Plus => BinaryOp::Add,
        Builtin::Minus => BinaryOp::Sub,
        Builtin::Multiplies => BinaryOp::Mul,
        Builtin::Divides => BinaryOp::Div,
        Builtin::Mod => BinaryOp::Mod,
        Builtin::FloorDiv => BinaryOp::FloorDiv,
        Builtin::Fmod => BinaryOp::Rem,
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
        _ => return None,
    };
    let (x, y) = promoted(x, y);
    Some(arith::binary(op, x, y))
}

/// `base ** exponent` in the type of the base; whole powers, by type or 2.0, multiply.
fn power(base: Scalar, exponent: Scalar) -> std::result::Result<Scalar, Trap> {
    let dtype = base.dtype();
    if exponent.as_f64() == 2.0 {
        return arith::binary(BinaryOp::Mul, base, base);
    }
    if exponent.dtype().is_integral() {
        return arith::call(Func::PowI, &[base, arith::cast(DType::I32, exponent)]);
    }
    if !dtype.is_integral() {
        return arith::call(Func::Pow, &[base, arith::cast(dtype, exponent)]);
    }
    let wide = [arith::cast(DType::F64, base), arith::cast(DType::F64, exponent)];
    arith::call(Func::Pow, &wide).map(|result| arith::cast(dtype, result))
}

fn promoted(x: Scalar, y: Scalar) -> (Scalar, Scalar) {
    let (a, b) = (x.dtype(), y.dtype());
    match rank(a).cmp(&rank(b)) {
        std::cmp::Ordering::Equal => (x, y),
        std::cmp::Ordering::Less => (arith::cast(b, x), y),
        std::cmp::Ordering::Greater => (x, arith::cast(a, y)),
    }
}

fn rank(dtype: DType) -> (bool, usize, bool, DType) {
    (dtype.is_float() || dtype.is_complex(), dtype.bytes(), dtype.is_unsigned(), dtype)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(builtin: Builtin, x: i32, y: i32) -> Scalar {
        two(builtin, Scalar::I32(x), Scalar::I32(y)).unwrap().unwrap()
    }

    fn float(builtin: Builtin, x: f64, y: f64) -> Scalar {
        two(builtin, Scalar::F64(x), Scalar::F64(y)).unwrap().unwrap()
    }

    #[test]
    fn the_four_divisions() {
        assert_eq!(int(Builtin::Divides, -7, 2), Scalar::I32(-3));
        assert_eq!(int(Builtin::FloorDiv, -7, 2), Scalar::I32(-4));
        assert_eq!(int(Builtin::Mod, -7, 3), Scalar::I32(2));
        assert_eq!(int(Builtin::Fmod, -7, 3), Scalar::I32(-1));
        assert_eq!(float(Builtin::Mod, -7.0, 3.0), Scalar::F64(2.0));
        assert_eq!(float(Builtin::Fmod, -7.0, 3.0), Scalar::F64(-1.0));
        assert_eq!(two(Builtin::Divides, Scalar::I32(1), Scalar::I32(0)), Some(Err(Trap::DivisionByZero)));
    }

    #[test]
    fn power_has_the_type_of_its_base() {
        assert_eq!(two(Builtin::Power, Scalar::F64(3.0), Scalar::I32(2)), Some(Ok(Scalar::F64(9.0))));
        assert_eq!(two(Builtin::Power, Scalar::I32(3), Scalar::I32(4)), Some(Ok(Scalar::I32(81))));
        assert_eq!(two(Builtin::Power, Scalar::I32(4), Scalar::F64(0.5)), Some(Ok(Scalar::I32(2))));
    }

    #[test]
    fn comparisons_and_logic() {
        assert_eq!(float(Builtin::Less, 1.0, 2.0), Scalar::Bool(true));
        assert_eq!(float(Builtin::NotEq, 1.0, f64::NAN), Scalar::Bool(true));
        assert_eq!(two(Builtin::Xor, Scalar::Bool(true), Scalar::Bool(true)), Some(Ok(Scalar::Bool(false))));
        assert_eq!(one(Builtin::Not, Scalar::Bool(false)), Some(Ok(Scalar::Bool(true))));
        assert_eq!(int(Builtin::And, 6, 3), Scalar::I32(2));
    }

    #[test]
    fn the_lower_ranked_operand_is_converted() {
        let sum = two(Builtin::Plus, Scalar::I64(1), Scalar::F32(0.5));
        assert_eq!(sum, Some(Ok(Scalar::F32(1.5))));
        assert_eq!(two(Builtin::Less, Scalar::I32(1), Scalar::I64(2)), Some(Ok(Scalar::Bool(true))));
    }

    #[test]
    fn math_functions_keep_the_type() {
        assert_eq!(one(Builtin::Sqrt, Scalar::F32(4.0)), Some(Ok(Scalar::F32(2.0))));
        assert_eq!(one(Builtin::Floor, Scalar::F64(-0.5)), Some(Ok(Scalar::F64(-1.0))));
        assert_eq!(one(Builtin::Isnan, Scalar::F64(f64::NAN)), Some(Ok(Scalar::Bool(true))));
        assert_eq!(one(Builtin::Abs, Scalar::I8(-3)), Some(Ok(Scalar::I8(3))));
        assert_eq!(one(Builtin::Plus, Scalar::I8(-3)), None);
    }
}
