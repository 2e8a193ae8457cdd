//! Expressions: one operation on operands that are spelled already.

use crate::diag::Result;

use super::super::code::{BinaryOp, Func, Op, UnaryOp, ValueId};
use super::super::types::DType;
use super::super::value::Scalar;
use super::{Speller, refused};

impl Speller<'_> {
    /// The expression of an operation; compound ones stand in parentheses.
    pub(super) fn expression(&mut self, op: &Op, result: ValueId) -> Result<String> {
        let dtype = self.dtype(result)?;
        Ok(match op {
            Op::Const(scalar) => literal(*scalar),
            Op::Undef => literal(Scalar::zero(dtype)),
            Op::Input(port) => self.port(*port)?.to_owned(),
            Op::Symbol(number) => {
                let (name, dtype) = usize::try_from(*number)
                    .ok()
                    .and_then(|number| self.code.symbols.get(number))
                    .ok_or_else(|| refused("a symbol that is not declared"))?;
                // What type the name has by itself is decided elsewhere.
                format!("{}({})", cast_name(*dtype), &self.names[*name])
            }
            Op::Load { port, indices } => self.element(*port, indices)?,
            Op::Unary(op, value) => {
                let operand = self.value(*value)?;
                match op {
                    UnaryOp::Neg => narrowed(dtype, format!("(-{operand})")),
                    UnaryOp::BitNot if dtype != DType::Bool => narrowed(dtype, format!("(~{operand})")),
                    UnaryOp::Not | UnaryOp::BitNot => format!("(not {operand})"),
                }
            }
            Op::Binary(op, a, b) => self.binary(*op, *a, *b)?,
            Op::Cast(dtype, value) => {
                self.dtype(*value)?;
                format!("{}({})", cast_name(*dtype), self.value(*value)?)
            }
            Op::Select(condition, then, otherwise) => format!(
                "({} if {} else {})",
                self.value(*then)?,
                self.value(*condition)?,
                self.value(*otherwise)?
            ),
            Op::Call(func, values) => self.call(*func, values)?,
            _ => return Err(refused("this operation")),
        })
    }

    fn binary(&mut self, op: BinaryOp, left: ValueId, right: ValueId) -> Result<String> {
        let dtype = self.dtype(left)?;
        let (a, b) = (self.value(left)?.to_owned(), self.value(right)?.to_owned());
        let infix = |sign: &str| format!("({a} {sign} {b})");
        let number = match op {
            BinaryOp::Add => infix("+"),
            BinaryOp::Sub => infix("-"),
            BinaryOp::Mul => infix("*"),
            BinaryOp::Div => infix("/"),
            BinaryOp::FloorDiv => infix("//"),
            BinaryOp::Rem if dtype.is_integral() => infix("%"),
            BinaryOp::Rem => format!("fmod({a}, {b})"),
            BinaryOp::Mod if dtype.is_integral() => format!("py_mod({a}, {b})"),
            BinaryOp::Mod => return self.floored_remainder(dtype, &a, &b),
            BinaryOp::Min => format!("min({a}, {b})"),
            BinaryOp::Max => format!("max({a}, {b})"),
            BinaryOp::BitAnd => infix("&"),
            BinaryOp::BitOr => infix("|"),
            BinaryOp::BitXor => infix("^"),
            BinaryOp::Shl => format!("({a} << {})", shift_count(dtype, &b)),
            BinaryOp::Shr => format!("({a} >> {})", shift_count(dtype, &b)),
            BinaryOp::Eq => return Ok(infix("==")),
            BinaryOp::Ne => return Ok(infix("!=")),
            BinaryOp::Lt => return Ok(infix("<")),
            BinaryOp::Le => return Ok(infix("<=")),
            BinaryOp::Gt => return Ok(infix(">")),
            BinaryOp::Ge => return Ok(infix(">=")),
        };
        Ok(narrowed(dtype, number))
    }

    /// `mod` of floating-point numbers as NumPy has it: C's remainder, moved to the divisor's sign.
    fn floored_remainder(&mut self, dtype: DType, a: &str, b: &str) -> Result<String> {
        let remainder = self.new_variable();
        self.line(&format!("{remainder} = fmod({a}, {b})"));
        let zero = literal(Scalar::zero(dtype));
        Ok(format!(
            "(copysign({zero}, {b}) if ({remainder} == {zero}) else \
             (({remainder} + {b}) if (({remainder} < {zero}) != ({b} < {zero})) else {remainder}))"
        ))
    }

    fn call(&mut self, func: Func, values: &[ValueId]) -> Result<String> {
        let Some(&first) = values.first() else { return Err(refused("a call without operands")) };
        let dtype = self.dtype(first)?;
        let operands =
            values.iter().map(|&value| self.value(value)).collect::<Result<Vec<&str>>>()?.join(", ");
        if let (Func::PowI, &[base, exponent]) = (func, values) {
            let (base, exponent) = (self.value(base)?, self.value(exponent)?);
            // `**` multiplies a literal number of times in the base's type, but an integer base in `float64`
            // if the exponent is computed.
            let is_literal = exponent.trim_matches(['(', ')', '-']).bytes().all(|byte| byte.is_ascii_digit());
            return Ok(match (is_literal, exponent) {
                (true, "0") => literal(Scalar::one(dtype)),
                (false, _) if dtype.is_integral() => narrowed(dtype, format!("ipow({base}, {exponent})")),
                _ => narrowed(dtype, format!("({base} ** {exponent})")),
            });
        }
        match func {
            Func::Identity => return Ok(operands),
            Func::Abs => return Ok(narrowed(dtype, format!("abs({operands})"))),
            Func::IsNan => return Ok(format!("isnan({operands})")),
            Func::IsInf => return Ok(format!("isinf({operands})")),
            Func::IsFinite => return Ok(format!("isfinite({operands})")),
            _ => {}
        }
        let name = function_name(func).ok_or_else(|| refused("this function"))?;
        if dtype.is_integral() {
            let one_operand = values.len() == 1;
            return match one_operand {
                // The templates of `dace.math` give the operand's type back.
                true => Ok(format!("dace.math.{name}({operands})")),
                false => Err(refused("a function of integers")),
            };
        }
        Ok(format!("{name}({operands})"))
    }
}

/// The names that code calls functions by; those whose meaning differs at the edges have none.
fn function_name(func: Func) -> Option<&'static str> {
    Some(match func {
        Func::Sqrt => "sqrt",
        Func::Cbrt => "cbrt",
        Func::Exp => "exp",
        Func::Exp2 => "exp2",
        Func::Expm1 => "expm1",
        Func::Log => "log",
        Func::Log2 => "log2",
        Func::Log10 => "log10",
        Func::Log1p => "log1p",
        Func::Sin => "sin",
        Func::Cos => "cos",
        Func::Tan => "tan",
        Func::Asin => "asin",
        Func::Acos => "acos",
        Func::Atan => "atan",
        Func::Sinh => "sinh",
        Func::Cosh => "cosh",
        Func::Tanh => "tanh",
        Func::Asinh => "asinh",
        Func::Acosh => "acosh",
        Func::Atanh => "atanh",
        Func::Erf => "erf",
        Func::Erfc => "erfc",
        Func::Gamma => "tgamma",
        Func::LogGamma => "lgamma",
        Func::Floor => "floor",
        Func::Ceil => "ceil",
        Func::Trunc => "trunc",
        Func::Round => "round",
        Func::RoundEven => "rint",
        Func::Pow => "pow",
        Func::Atan2 => "atan2",
        Func::Hypot => "hypot",
        Func::CopySign => "copysign",
        Func::NextAfter => "nextafter",
        Func::Fmod => "fmod",
        Func::Fmin => "fmin",
        Func::Fmax => "fmax",
        Func::Fma => "fma",
        _ => return None,
    })
}

/// What C computes in `int` comes back to its own type.
fn narrowed(dtype: DType, text: String) -> String {
    match dtype {
        DType::Bool | DType::I8 | DType::I16 | DType::U8 | DType::U16 => {
            format!("{}({text})", cast_name(dtype))
        }
        _ => text,
    }
}

/// C shifts narrow numbers as `int`; the count wraps at the width all the same.
fn shift_count(dtype: DType, count: &str) -> String {
    match dtype {
        DType::Bool => format!("({count} & 0)"),
        DType::I8 | DType::U8 => format!("({count} & 7)"),
        DType::I16 | DType::U16 => format!("({count} & 15)"),
        _ => count.to_owned(),
    }
}

/// What converts to a type.
pub(super) fn cast_name(dtype: DType) -> String {
    match dtype {
        DType::Bool => "dace.bool_".to_owned(),
        other => format!("dace.{other}"),
    }
}

/// A literal of exactly that type.
pub(super) fn literal(scalar: Scalar) -> String {
    match scalar {
        Scalar::Bool(true) => "True".to_owned(),
        Scalar::Bool(false) => "False".to_owned(),
        Scalar::I32(value) if value >= 0 => value.to_string(),
        Scalar::I32(value) if value != i32::MIN => format!("({value})"),
        Scalar::U64(value) => format!("dace.uint64({value})"),
        Scalar::F64(value) if value.is_finite() => signed(value),
        Scalar::F32(value) if value.is_finite() => format!("dace.float32({:?})", f64::from(value)),
        Scalar::F64(value) => format!("dace.float64({})", word(value)),
        Scalar::F32(value) => format!("dace.float32({})", word(value.into())),
        other => format!("{}({})", cast_name(other.dtype()), other.as_i64()),
    }
}

fn signed(value: f64) -> String {
    if value.is_sign_negative() { format!("({value:?})") } else { format!("{value:?}") }
}

fn word(value: f64) -> &'static str {
    match (value.is_nan(), value > 0.0) {
        (true, _) => "nan",
        (false, true) => "inf",
        (false, false) => "-inf",
    }
}
