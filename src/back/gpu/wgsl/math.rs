//! Math functions: what the driver computes right, and the rest from [`recipe`](crate::scalar::math::recipe), operation by
//! operation, so that the bits are the interpreter's. Functions without a recipe stay on the host.

use std::fmt::Write;

use crate::scalar::math::recipe::{Recipe, Step, StepId, recipe};
use crate::scalar::{DType, Func};

use super::exact::Whole;
use super::small::is_small;
use super::{Emit, Emitter, Operation};

impl Emitter<'_, '_> {
    /// A function of operands with their types.
    pub(super) fn math(&mut self, func: Func, operands: &[(DType, String)]) -> Emit<String> {
        let Some((ty, x)) = operands.first().cloned() else { return Err("a function of nothing".to_owned()) };
        match ty {
            DType::F32 | DType::F64 => self.float_function(func, ty, &x, operands),
            _ if is_small(ty) => self.small_function(func, ty, operands),
            _ if ty.is_integral() => match func {
                Func::Identity | Func::Conj | Func::Real | Func::Floor | Func::Ceil => Ok(x),
                Func::Trunc | Func::Round | Func::RoundEven => Ok(x),
                Func::Abs if ty.is_unsigned() || ty == DType::Bool => Ok(x),
                Func::Abs if ty == DType::I64 => Ok(format!("{}({x})", self.magnitude())),
                Func::Abs if ty == DType::I32 => Ok(format!("select({x}, 0i - {x}, {x} < 0i)")),
                _ => Err(no_definition(func, ty)),
            },
            _ => Err(no_definition(func, ty)),
        }
    }

    fn float_function(
        &mut self,
        func: Func,
        ty: DType,
        x: &str,
        operands: &[(DType, String)],
    ) -> Emit<String> {
        let double = ty == DType::F64;
        let l = if double { "lf" } else { "f" };
        if self.abilities.narrowed
            && let Some(text) = self.by_driver(func, operands)
        {
            return Ok(text);
        }
        if let Some(text) = self.exact(func, ty, operands) {
            return text;
        }
        match func {
            Func::Identity | Func::Conj | Func::Real => Ok(x.to_owned()),
            Func::Abs => self.on_bits(ty, |bits| format!("({bits} & MAGNITUDE)"), x),
            Func::CopySign if operands.len() == 2 => {
                let y = operands[1].1.clone();
                self.copy_sign(ty, x, &y)
            }
            Func::IsNan => self.compared_bits(ty, x, ">"),
            Func::IsInf => self.compared_bits(ty, x, "=="),
            Func::IsFinite => self.compared_bits(ty, x, "<"),
            Func::Floor => Ok(format!("{}({x})", self.rounding(ty, Whole::Below)?)),
            Func::Ceil => Ok(format!("{}({x})", self.rounding(ty, Whole::Above)?)),
            Func::Trunc => Ok(format!("{}({x})", self.rounding(ty, Whole::Nearer)?)),
            Func::RoundEven => Ok(format!("{}({x})", self.rounding(ty, Whole::Nearest)?)),
            Func::Sign => Ok(format!("select(select({x}, -1.0{l}, {x} < 0.0{l}), 1.0{l}, {x} > 0.0{l})")),
            Func::Sqrt if !self.abilities.double && self.abilities.is_right(Operation::SingleRoot) => {
                Ok(format!("sqrt({x})"))
            }
            Func::Sqrt | Func::Rsqrt => {
                self.wide_enough(func)?;
                self.trust(Operation::DoubleRoot)?;
                let wide = if double { x.to_owned() } else { format!("f64({x})") };
                let root = if func == Func::Sqrt {
                    format!("sqrt({wide})")
                } else {
                    self.trust(Operation::DoubleDivide)?;
                    format!("(1.0lf / sqrt({wide}))")
                };
                if double {
                    return Ok(root);
                }
                self.trust(Operation::Narrow)?;
                Ok(format!("f32({root})"))
            }
            Func::PowI if operands.len() == 2 => {
                let (exponent_type, exponent) = operands[1].clone();
                self.trust_loosely(if double { Operation::DoubleApart } else { Operation::SingleApart })?;
                self.trust_loosely(if double { Operation::DoubleDivide } else { Operation::SingleDivide })?;
                let exponent = self.cast(exponent_type, DType::I32, &exponent)?;
                let float = if double { "f64" } else { "f32" };
                let name = format!("powi_{float}");
                self.helper(&name, || powi(&name, float, l));
                Ok(format!("{name}({x}, {exponent})"))
            }
            _ => self.by_recipe(func, ty, operands),
        }
    }

    /// Functions are computed in `float64`, those of `float32` too.
    fn wide_enough(&self, func: Func) -> Emit<()> {
        match self.abilities.double {
            true => self.element(DType::F64),
            false => Err(format!("{func:?} is computed in float64, which the device does not have")),
        }
    }

    /// The driver's function of `float32`, or what is made of such, if the probe found it to be what its name says.
    fn by_driver(&mut self, func: Func, operands: &[(DType, String)]) -> Option<String> {
        let known = &self.abilities.functions;
        let has = |wanted: &[Func]| wanted.iter().all(|func| known.contains(func));
        let x = &operands.first()?.1;
        let simple = match func {
            Func::Sqrt => "sqrt",
            Func::Exp => "exp",
            Func::Exp2 => "exp2",
            Func::Log => "log",
            Func::Log2 => "log2",
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
            Func::Rsqrt if has(&[Func::Sqrt]) => return Some(format!("(1.0f / sqrt({x}))")),
            Func::Log10 if has(&[Func::Log]) => return Some(format!("(log({x}) * 0.4342944819f)")),
            Func::Expm1 if has(&[Func::Exp, Func::Log]) => {
                self.helper("expm1_f32", || EXPM1.to_owned());
                return Some(format!("expm1_f32({x})"));
            }
            Func::Log1p if has(&[Func::Log]) => {
                self.helper("log1p_f32", || LOG1P.to_owned());
                return Some(format!("log1p_f32({x})"));
            }
            Func::Pow if operands.len() == 2 && has(&[Func::Exp2, Func::Log2]) => {
                let y = &operands[1].1;
                self.helper("pow_f32", || POW.to_owned());
                return Some(format!("pow_f32({x}, {y})"));
            }
            _ => return None,
        };
        has(&[func]).then(|| format!("{simple}({x})"))
    }

    fn by_recipe(&mut self, func: Func, ty: DType, operands: &[(DType, String)]) -> Emit<String> {
        let Some(recipe) = recipe(func) else {
            return Err(no_definition(func, ty));
        };
        self.element(DType::F64)?;
        let hidden = !self.abilities.is_right(Operation::Kept);
        if !hidden {
            self.trust(Operation::DoubleApart)?;
        }
        for operation in [
            Operation::Double,
            Operation::DoubleDivide,
            Operation::DoubleRoot,
            Operation::Bits,
            Operation::Long,
        ] {
            self.trust(operation)?;
        }
        let mut given = Vec::with_capacity(operands.len());
        for (from, text) in operands {
            given.push(self.cast(*from, DType::F64, text)?);
        }
        let name = format!("{func:?}_f64").to_lowercase();
        self.may_stop |= recipe.holds.is_some();
        let (floor, nearest) =
            (self.rounding(DType::F64, Whole::Below)?, self.rounding(DType::F64, Whole::Nearest)?);
        self.helper(&name, || written(recipe, &name, given.len(), hidden, [&floor, &nearest]));
        let call = format!("{name}({})", given.join(", "));
        self.cast(DType::F64, ty, &call)
    }

    /// A function of the bits, in which `MAGNITUDE` stands for all but the sign.
    fn on_bits(&mut self, ty: DType, of: impl FnOnce(&str) -> String, x: &str) -> Emit<String> {
        if ty == DType::F32 {
            let text = of(&format!("bitcast<u32>({x})")).replace("MAGNITUDE", "0x7fffffffu");
            return Ok(format!("bitcast<f32>{text}"));
        }
        self.element(DType::I64)?;
        self.trust(Operation::Bits)?;
        let text = of(&format!("bitcast<u64>({x})")).replace("MAGNITUDE", "9223372036854775807lu");
        Ok(format!("bitcast<f64>{text}"))
    }

    fn copy_sign(&mut self, ty: DType, x: &str, y: &str) -> Emit<String> {
        let sign = if ty == DType::F32 {
            format!("(bitcast<u32>({y}) & 0x80000000u)")
        } else {
            format!("(bitcast<u64>({y}) & 9223372036854775808lu)")
        };
        self.on_bits(ty, |bits| format!("(({bits} & MAGNITUDE) | {sign})"), x)
    }

    /// How the magnitude's bits compare with those of infinity.
    fn compared_bits(&mut self, ty: DType, x: &str, compare: &str) -> Emit<String> {
        if ty == DType::F32 {
            return Ok(format!("((bitcast<u32>({x}) & 0x7fffffffu) {compare} 0x7f800000u)"));
        }
        self.element(DType::I64)?;
        self.trust(Operation::Bits)?;
        Ok(format!("((bitcast<u64>({x}) & 9223372036854775807lu) {compare} 9218868437227405312lu)"))
    }
}

fn no_definition(func: Func, ty: DType) -> String {
    format!("there is no definition of `{}` of {ty} for shaders", format!("{func:?}").to_lowercase())
}

/// `exp(x) - 1` without its cancellation, after Kahan.
const EXPM1: &str = "fn expm1_f32(x: f32) -> f32 {
    let whole = bitcast<f32>(bitcast<u32>(exp(x)) | call.keep);
    let less = whole - 1.0f;
    if less == 0.0f {
        return x;
    }
    if less == -1.0f || abs(x) > 8.0f {
        return less;
    }
    return less * (x / log(whole));
}
";

/// `log(1 + x)` without its cancellation, after Kahan.
const LOG1P: &str = "fn log1p_f32(x: f32) -> f32 {
    let whole = bitcast<f32>(bitcast<u32>(1.0f + x) | call.keep);
    let less = whole - 1.0f;
    if less == 0.0f {
        return x;
    }
    if abs(x) > 1.0f {
        return log(whole);
    }
    return log(whole) * (x / less);
}
";

/// A power of any base: WGSL's is undefined for negative ones.
const POW: &str = "fn pow_f32(x: f32, y: f32) -> f32 {
    if y == 0.0f || x == 1.0f {
        return 1.0f;
    }
    let magnitude = exp2(y * log2(abs(x)));
    if x >= 0.0f {
        return magnitude;
    }
    let half = y * 0.5f;
    if floor(y) != y {
        return bitcast<f32>(bitcast<u32>(x - x) | 0x7fc00000u);
    }
    return select(magnitude, -magnitude, floor(half) != half);
}
";

/// The squares that the exponent names, multiplied, the lowest first.
fn powi(name: &str, float: &str, l: &str) -> String {
    format!(
        "fn {name}(x: {float}, exponent: i32) -> {float} {{
    var result = 1.0{l};
    var square = x;
    var left = bitcast<u32>(select(exponent, 0i - exponent, exponent < 0i));
    while left > 0u {{
        if (left & 1u) == 1u {{
            result = result * square;
        }}
        square = square * square;
        left = left >> 1u;
    }}
    if exponent < 0i {{
        return 1.0{l} / result;
    }}
    return result;
}}
"
    )
}

/// A recipe as a function of WGSL. Bit patterns stay integers until somebody computes with them. Where the driver
/// reorders, results of arithmetic are hidden from it (see `Emitter::kept`). `floor` and `nearest` round.
fn written(
    recipe: &Recipe,
    name: &str,
    arguments: usize,
    hidden: bool,
    [floor, nearest]: [&str; 2],
) -> String {
    let mut text = format!("fn {name}(");
    for number in 0..arguments {
        let comma = if number > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}a{number}: f64");
    }
    text.push_str(") -> f64 {\n");
    let mut bits = vec![false; recipe.steps.len()];
    for (number, &step) in recipe.steps.iter().enumerate() {
        let on_bits = matches!(
            step,
            Step::ShiftLeft(..)
                | Step::ShiftRight(..)
                | Step::AndBits(..)
                | Step::OrBits(..)
                | Step::AddBits(..)
                | Step::Or(..)
                | Step::Neg(_)
                | Step::Abs(_)
        );
        bits[number] = on_bits;
        let lane = |step: StepId| {
            if bits[step as usize] { format!("bitcast<f64>(s{step})") } else { format!("s{step}") }
        };
        let pattern = |step: StepId| {
            if bits[step as usize] { format!("s{step}") } else { format!("bitcast<u64>(s{step})") }
        };
        let mask = |step: StepId| format!("s{step}");
        let value = match step {
            Step::Argument(at) => format!("a{at}"),
            Step::Constant(bits) => constant(f64::from_bits(bits)),
            Step::Add(a, b) => format!("{} + {}", lane(a), lane(b)),
            Step::Sub(a, b) => format!("{} - {}", lane(a), lane(b)),
            Step::Mul(a, b) => format!("{} * {}", lane(a), lane(b)),
            Step::Div(a, b) => format!("{} / {}", lane(a), lane(b)),
            Step::Neg(a) => format!("{} ^ 9223372036854775808lu", pattern(a)),
            Step::Abs(a) => format!("{} & 9223372036854775807lu", pattern(a)),
            Step::Sqrt(a) => format!("sqrt({})", lane(a)),
            Step::Floor(a) => format!("{floor}({})", lane(a)),
            Step::Nearest(a) => format!("{nearest}({})", lane(a)),
            Step::Less(a, b) => format!("{} < {}", lane(a), lane(b)),
            Step::AtMost(a, b) => format!("{} <= {}", lane(a), lane(b)),
            Step::Equal(a, b) => format!("{} == {}", lane(a), lane(b)),
            Step::MaskAnd(a, b) => format!("{} & {}", mask(a), mask(b)),
            Step::MaskOr(a, b) => format!("{} | {}", mask(a), mask(b)),
            Step::MaskNot(a) => format!("!{}", mask(a)),
            Step::Select(m, a, b) => format!("select({}, {}, {})", lane(b), lane(a), mask(m)),
            Step::ShiftLeft(a, count) => format!("{} << {count}u", pattern(a)),
            Step::ShiftRight(a, count) => format!("{} >> {count}u", pattern(a)),
            Step::AndBits(a, with) => format!("{} & {with}lu", pattern(a)),
            Step::OrBits(a, with) => format!("{} | {with}lu", pattern(a)),
            Step::AddBits(a, with) => format!("{} + {with}lu", pattern(a)),
            Step::Or(a, b) => format!("{} | {}", pattern(a), pattern(b)),
        };
        let arithmetic = matches!(
            step,
            Step::Argument(_)
                | Step::Add(..)
                | Step::Sub(..)
                | Step::Mul(..)
                | Step::Div(..)
                | Step::Select(..)
        );
        if hidden && arithmetic {
            let _ =
                writeln!(text, "    let s{number} = bitcast<f64>(bitcast<u64>({value}) | u64(call.keep));");
        } else {
            let _ = writeln!(text, "    let s{number} = {value};");
        }
    }
    if let Some(holds) = recipe.holds {
        let _ = writeln!(text, "    if !s{holds} {{\n        atomicStore(&stop, 1u);\n    }}");
    }
    let result = recipe.result;
    let result =
        if bits[result as usize] { format!("bitcast<f64>(s{result})") } else { format!("s{result}") };
    let _ = writeln!(text, "    return {result};\n}}");
    text
}

fn constant(number: f64) -> String {
    if number.is_finite() { format!("{number:?}lf") } else { format!("bitcast<f64>({}lu)", number.to_bits()) }
}
