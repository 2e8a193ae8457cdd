//! Values: literals, operations, conversions.

use crate::kernel::{Literal, Op, ValueId};
use crate::scalar::{BinaryOp, DType, Trap, UnaryOp, arith};

use super::super::facts::{Interval, Root};
use super::exact::Whole;
use super::needs::is_ring;
use super::small::is_small;
use super::{Emit, Emitter, Form, Operation, Source};

/// How a value is held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Held {
    /// An `int64` as `i32`.
    Narrow,
    /// An `int64` as `i64`.
    Wide,
    /// The lowest 32 bits of an `int64`.
    Low,
    /// Anything else, as its type.
    Typed,
}

/// The WGSL type of a value; small integers are held as 32 bits.
pub(super) const fn wgsl_type(ty: DType) -> &'static str {
    match ty {
        DType::Bool => "bool",
        DType::I8 | DType::I16 | DType::I32 => "i32",
        DType::U8 | DType::U16 | DType::U32 => "u32",
        DType::I64 => "i64",
        DType::U64 => "u64",
        DType::F64 | DType::C128 => "f64",
        _ => "f32",
    }
}

/// An `i32` literal.
pub(super) fn int_literal(number: i64) -> String {
    match number as i32 {
        i32::MIN => "(-2147483647i - 1i)".to_owned(),
        small if small < 0 => format!("({small}i)"),
        small => format!("{small}i"),
    }
}

/// An `i64` literal.
pub(super) fn long_literal(number: i64) -> String {
    match number {
        i64::MIN => "(-9223372036854775807li - 1li)".to_owned(),
        small if small < 0 => format!("({small}li)"),
        small => format!("{small}li"),
    }
}

/// The value of a literal that is held as `f32`.
fn single(literal: Literal) -> f32 {
    match literal.ty {
        DType::F16 => half::f16::from_bits(literal.bits as u16).to_f32(),
        DType::BF16 => half::bf16::from_bits(literal.bits as u16).to_f32(),
        _ => f32::from_bits(literal.bits as u32),
    }
}

impl Emitter<'_, '_> {
    /// The type in which a value is held.
    pub(super) fn ty(&self, value: ValueId) -> DType {
        self.real(self.nest.kernel.values[value])
    }

    pub(super) fn literal(&self, value: ValueId) -> Option<Literal> {
        self.folded.get(&value).copied().or_else(|| self.nest.facts.literal(value))
    }

    /// A float so that the driver's optimizer cannot see that it is a constant, where it would forget about the signs of zeros that it
    /// makes of constants.
    fn hidden_literal(&self, literal: Literal) -> Emit<Option<String>> {
        if self.keeps_zeros() {
            return Ok(None);
        }
        Ok(match literal.ty {
            DType::F64 => {
                self.element(DType::I64)?;
                self.trust(Operation::Bits)?;
                Some(format!("bitcast<f64>({}lu | u64(call.keep))", literal.bits))
            }
            DType::F16 | DType::BF16 | DType::F32 => {
                Some(format!("bitcast<f32>({}u | call.keep)", single(literal).to_bits()))
            }
            _ => None,
        })
    }

    /// A float that may be a constant for the driver's optimizer: [`Emitter::hidden_literal`] for what is computed.
    fn signed(&self, ty: DType, text: String) -> Emit<String> {
        if self.keeps_zeros() { Ok(text) } else { self.hidden(ty, text) }
    }

    /// Whether the driver keeps the signs of zeros, or nobody cares. One that reorders may lose them in other places than the probe
    /// looks at.
    fn keeps_zeros(&self) -> bool {
        let right = [Operation::Zeros, Operation::Kept].into_iter().all(|of| self.abilities.is_right(of));
        right || self.abilities.is_loose()
    }

    pub(super) fn literal_text(&self, literal: Literal) -> Emit<String> {
        self.element(literal.ty)?;
        let literal = match self.real(literal.ty) {
            ty if ty == literal.ty => literal,
            ty => Literal { ty, bits: u64::from((f64::from_bits(literal.bits) as f32).to_bits()) },
        };
        if let Some(hidden) = self.hidden_literal(literal)? {
            return Ok(hidden);
        }
        Ok(match literal.ty {
            DType::Bool => (literal.bits & 0xff != 0).to_string(),
            DType::I64 => long_literal(literal.bits as i64),
            DType::U64 => format!("{}lu", literal.bits),
            DType::U8 | DType::U16 | DType::U32 => format!("{}u", literal.as_int().unwrap_or(0)),
            DType::F64 => match f64::from_bits(literal.bits) {
                number if number.is_finite() && number.is_sign_positive() => format!("{number:?}lf"),
                number if number.is_finite() => format!("({number:?}lf)"),
                _ => {
                    self.trust(Operation::Bits)?;
                    format!("bitcast<f64>({}lu)", literal.bits)
                }
            },
            DType::F16 | DType::BF16 | DType::F32 => match single(literal) {
                number if number.is_finite() && number.is_sign_positive() => format!("{number:?}f"),
                number if number.is_finite() => format!("({number:?}f)"),
                number => format!("bitcast<f32>({}u)", number.to_bits()),
            },
            _ => int_literal(literal.as_int().unwrap_or(0)),
        })
    }

    /// A value as its type.
    pub(super) fn typed(&mut self, value: ValueId) -> Emit<String> {
        if self.ty(value) == DType::I64 {
            return self.wide(value);
        }
        if let Some(literal) = self.literal(value) {
            return self.literal_text(literal);
        }
        if self.nest.inside.contains(&value) {
            return Ok(format!("v{}", value.0));
        }
        let ty = self.nest.kernel.values[value];
        self.element(ty)?;
        let text = self.capture(Source::Value(value), self.form(ty));
        Ok(if ty == DType::Bool { format!("({text} != 0u)") } else { text })
    }

    /// The same, but an `int64` that fits as `i32`.
    pub(super) fn typed_or_narrow(&mut self, value: ValueId) -> Emit<String> {
        if self.ty(value) == DType::I64 { self.narrow(value) } else { self.typed(value) }
    }

    /// An `int64` as `i64`.
    pub(super) fn wide(&mut self, value: ValueId) -> Emit<String> {
        self.element(DType::I64)?;
        if let Some(literal) = self.literal(value) {
            return self.literal_text(literal);
        }
        if self.nest.facts.root(value) != Root::Plain {
            return Err("it computes with addresses".to_owned());
        }
        if self.nest.interval(value).is_narrow() {
            return Ok(format!("i64({})", self.narrow(value)?));
        }
        if self.nest.inside.contains(&value) {
            return Ok(format!("v{}", value.0));
        }
        Ok(self.capture(Source::Value(value), Form::Typed(DType::I64)))
    }

    /// An `int64` that fits, as `i32`.
    pub(super) fn narrow(&mut self, value: ValueId) -> Emit<String> {
        if let Some(literal) = self.literal(value) {
            return Ok(int_literal(literal.as_int().unwrap_or(0)));
        }
        if self.nest.facts.root(value) != Root::Plain {
            return Err("it computes with addresses".to_owned());
        }
        if self.nest.inside.contains(&value) {
            return Ok(format!("v{}", value.0));
        }
        Ok(self.capture(Source::Value(value), Form::Size))
    }

    /// The lowest 32 bits of an `int64`; of an address, those of its distance from its buffer.
    pub(super) fn low(&mut self, value: ValueId) -> Emit<String> {
        if let Some(literal) = self.literal(value) {
            return Ok(format!("{}u", literal.bits as u32));
        }
        if let Some(Op::Base(_)) = self.nest.facts.definitions.get(&value) {
            return Ok("0u".to_owned());
        }
        match self.held.get(&value) {
            Some(Held::Low) => return Ok(format!("o{}", value.0)),
            Some(Held::Narrow) => return Ok(format!("bitcast<u32>(v{})", value.0)),
            Some(_) => return Ok(format!("u32(v{})", value.0)),
            None => {}
        }
        let source = match self.nest.facts.root(value) {
            Root::Plain => Source::Value(value),
            Root::Buffer(buffer) if self.nest.own.contains_key(&buffer) => {
                return Err("it computes with addresses".to_owned());
            }
            Root::Buffer(buffer) => Source::Offset(value, buffer),
            Root::Mixed => return Err("it computes with addresses".to_owned()),
        };
        Ok(self.capture(source, Form::Low))
    }

    /// Defines a value, if somebody needs it.
    pub(super) fn define(&mut self, value: ValueId, op: &Op) -> Emit<()> {
        let (exact, low) = (self.needs.exact.contains(&value), self.needs.low.contains(&value));
        if !(exact || low) || matches!(op, Op::Const(_) | Op::Base(_)) {
            return Ok(());
        }
        if let Some(literal) = self.folded_value(value, op) {
            self.folded.insert(value, literal);
            return Ok(());
        }
        let ty = self.ty(value);
        let (held, text) = if ty != DType::I64 {
            self.element(ty)?;
            let text = self.operation(op)?;
            // Negations are hidden as well: the sum of one is a difference.
            let computed = matches!(op, Op::Unary(..) | Op::Binary(..) | Op::Cast(..) | Op::Math(..));
            (Held::Typed, if computed { self.kept(ty, text)? } else { text })
        } else if exact || !is_ring(op) {
            if self.nest.facts.root(value) != Root::Plain {
                return Err("it computes with addresses".to_owned());
            }
            match self.nest.interval(value).is_narrow() {
                true => (Held::Narrow, self.integer(op, true)?),
                false => {
                    self.element(DType::I64)?;
                    (Held::Wide, self.integer(op, false)?)
                }
            }
        } else {
            (Held::Low, self.ring(op)?)
        };
        self.held.insert(value, held);
        let letter = if held == Held::Low { 'o' } else { 'v' };
        self.line(&format!("let {letter}{} = {text};", value.0));
        Ok(())
    }

    /// The literal that an operation on literals gives: WGSL has rules of its own for those.
    fn folded_value(&self, value: ValueId, op: &Op) -> Option<Literal> {
        let number = |operand: &ValueId| self.literal(*operand).and_then(Literal::to_scalar);
        let result = match op {
            Op::Unary(op, a) => arith::unary(*op, number(a)?),
            Op::Binary(op, a, b) => match arith::binary(*op, number(a)?, number(b)?) {
                Ok(result) => result,
                Err(Trap::DivisionByZero) => crate::scalar::Scalar::zero(self.ty(value)),
                Err(_) => return None,
            },
            Op::Cast(to, a) => arith::cast(*to, number(a)?),
            Op::Select(condition, a, b) => {
                if number(condition)?.is_true() {
                    number(a)?
                } else {
                    number(b)?
                }
            }
            Op::Math(func, operands) => {
                let operands: Option<Vec<_>> = operands.iter().map(number).collect();
                arith::call(*func, &operands?).ok()?
            }
            _ => return None,
        };
        Literal::from_scalar(result)
    }

    /// The lowest 32 bits of a sum or product.
    fn ring(&mut self, op: &Op) -> Emit<String> {
        Ok(match op {
            Op::Unary(_, a) => format!("(0u - {})", self.low(*a)?),
            Op::Binary(op, a, b) => {
                let sign = match op {
                    BinaryOp::Add => '+',
                    BinaryOp::Sub => '-',
                    _ => '*',
                };
                format!("({} {sign} {})", self.low(*a)?, self.low(*b)?)
            }
            Op::Select(condition, a, b) => {
                format!("select({}, {}, {})", self.low(*b)?, self.low(*a)?, self.typed(*condition)?)
            }
            _ => return Err("an address is no sum".to_owned()),
        })
    }

    /// An operation whose result is an `int64`.
    fn integer(&mut self, op: &Op, narrow: bool) -> Emit<String> {
        let ty = if narrow { DType::I32 } else { DType::I64 };
        match op {
            Op::Get(variable) => self.read_variable(*variable),
            Op::Load { buffer, address, displacement, ty } => {
                self.load(*buffer, *address, *displacement, *ty)
            }
            Op::Unary(op, a) => {
                let a = self.int_in(*a, narrow)?;
                Ok(unary(*op, ty, &a))
            }
            Op::Binary(op, a, b) => {
                // Operands that do not fit are computed with as they are, even if the result fits.
                let fits = |value: ValueId| self.nest.interval(value).is_narrow();
                let operands_fit = narrow && fits(*a) && fits(*b);
                let within = if operands_fit { DType::I32 } else { DType::I64 };
                let (a, b) = (self.int_in(*a, operands_fit)?, self.int_in(*b, operands_fit)?);
                let text = self.binary(*op, within, &a, &b)?;
                Ok(if narrow && !operands_fit { format!("i32({text})") } else { text })
            }
            Op::Select(condition, a, b) => {
                let (a, b) = (self.int_in(*a, narrow)?, self.int_in(*b, narrow)?);
                Ok(format!("select({b}, {a}, {})", self.typed(*condition)?))
            }
            Op::Cast(_, a) => {
                let from = self.ty(*a);
                let text = if from == DType::I64 { self.int_in(*a, narrow)? } else { self.typed(*a)? };
                if from == DType::I64 { Ok(text) } else { self.cast(from, ty, &text) }
            }
            Op::Math(func, operands) => {
                let mut texts = Vec::with_capacity(operands.len());
                for &operand in operands {
                    texts.push((self.ty(operand), self.typed(operand)?));
                }
                let text = self.math(*func, &texts)?;
                Ok(if narrow { format!("i32({text})") } else { text })
            }
            Op::Const(_) | Op::Base(_) | Op::Complex(..) => {
                Err("complex functions stay on the host".to_owned())
            }
        }
    }

    fn int_in(&mut self, value: ValueId, narrow: bool) -> Emit<String> {
        if narrow && self.nest.interval(value).is_narrow() {
            self.narrow(value)
        } else if narrow {
            Ok(format!("i32({})", self.wide(value)?))
        } else {
            self.wide(value)
        }
    }

    /// An operation whose result is no `int64`.
    fn operation(&mut self, op: &Op) -> Emit<String> {
        match op {
            Op::Get(variable) => self.read_variable(*variable),
            Op::Load { buffer, address, displacement, ty } => {
                self.load(*buffer, *address, *displacement, *ty)
            }
            Op::Unary(op, a) => {
                let (operand, a) = (self.ty(*a), self.typed(*a)?);
                Ok(unary(*op, operand, &a))
            }
            Op::Binary(op, a, b) => {
                let mut operand = self.ty(*a);
                let (a, b) = if operand == DType::I64 {
                    let narrow = [*a, *b].iter().all(|&value| self.nest.interval(value).is_narrow());
                    operand = if narrow { DType::I32 } else { DType::I64 };
                    (self.int_in(*a, narrow)?, self.int_in(*b, narrow)?)
                } else {
                    (self.typed(*a)?, self.typed(*b)?)
                };
                self.binary(*op, operand, &a, &b)
            }
            Op::Select(condition, a, b) => {
                let (condition, a, b) = (self.typed(*condition)?, self.typed(*a)?, self.typed(*b)?);
                Ok(format!("select({b}, {a}, {condition})"))
            }
            Op::Cast(to, a) => {
                let mut from = self.ty(*a);
                let text = if from != DType::I64 {
                    self.typed(*a)?
                } else if self.nest.interval(*a).is_narrow() {
                    from = DType::I32;
                    self.narrow(*a)?
                } else {
                    self.wide(*a)?
                };
                self.cast(from, self.real(*to), &text)
            }
            Op::Math(func, operands) => {
                let mut texts = Vec::with_capacity(operands.len());
                for &operand in operands {
                    texts.push((self.ty(operand), self.typed(operand)?));
                }
                self.math(*func, &texts)
            }
            Op::Complex(func, imaginary, operands) => self.complex(*func, *imaginary, operands),
            Op::Const(_) | Op::Base(_) => Err("a constant is computed".to_owned()),
        }
    }

    /// An operation on two values of a type.
    pub(super) fn binary(&mut self, op: BinaryOp, ty: DType, a: &str, b: &str) -> Emit<String> {
        match ty {
            DType::Bool => Ok(bool_binary(op, a, b)),
            DType::F32 | DType::F64 => self.float_binary(op, ty, a, b),
            _ if is_small(ty) => {
                let text = self.float_binary(op, DType::F32, a, b)?;
                Ok(if op.is_comparison() { text } else { self.rounded(ty, &text) })
            }
            _ => self.int_binary(op, ty, a, b),
        }
    }

    fn int_binary(&mut self, op: BinaryOp, ty: DType, a: &str, b: &str) -> Emit<String> {
        // Mesa 22.3 (lavapipe) gets the order of a number that was widened to 64 bits and one that it knows wrong. What hides a
        // number must not be one that was widened either.
        let is_order = matches!(
            op,
            BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Min | BinaryOp::Max
        );
        let hidden = match ty {
            DType::I64 | DType::U64 if is_order => format!("({b} ^ ({}(call.keep) << 32u))", wgsl_type(ty)),
            _ => b.to_owned(),
        };
        let b = hidden.as_str();
        let simple = |sign: &str| format!("({a} {sign} {b})");
        let text = match op {
            BinaryOp::Add => simple("+"),
            BinaryOp::Sub => simple("-"),
            BinaryOp::Mul => simple("*"),
            BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod => {
                let helper = self.division(op, ty);
                format!("{helper}({a}, {b})")
            }
            BinaryOp::Min => format!("select({b}, {a}, {a} < {b})"),
            BinaryOp::Max => format!("select({b}, {a}, {a} > {b})"),
            BinaryOp::BitAnd => simple("&"),
            BinaryOp::BitOr => simple("|"),
            BinaryOp::BitXor => simple("^"),
            BinaryOp::Shl => format!("({a} << {})", self.shift_count(ty, b)),
            BinaryOp::Shr => format!("({a} >> {})", self.shift_count(ty, b)),
            BinaryOp::Eq => return Ok(simple("==")),
            BinaryOp::Ne => return Ok(simple("!=")),
            BinaryOp::Lt => return Ok(simple("<")),
            BinaryOp::Le => return Ok(simple("<=")),
            BinaryOp::Gt => return Ok(simple(">")),
            BinaryOp::Ge => return Ok(simple(">=")),
        };
        Ok(wrapped(ty, text))
    }

    fn float_binary(&mut self, op: BinaryOp, ty: DType, a: &str, b: &str) -> Emit<String> {
        let (apart, divide) = match ty {
            DType::F64 => (Operation::DoubleApart, Operation::DoubleDivide),
            _ => (Operation::SingleApart, Operation::SingleDivide),
        };
        // Of a number and itself, drivers think that they know the answer, and forget about infinities and NaN.
        let knows = matches!(
            op,
            BinaryOp::Sub
                | BinaryOp::Div
                | BinaryOp::FloorDiv
                | BinaryOp::Eq
                | BinaryOp::Ne
                | BinaryOp::Le
                | BinaryOp::Ge
        );
        let b = &if knows { self.kept(ty, b.to_owned())? } else { b.to_owned() };
        let simple = |sign: &str| format!("({a} {sign} {b})");
        Ok(match op {
            BinaryOp::Add => simple("+"),
            BinaryOp::Sub => simple("-"),
            BinaryOp::Mul => {
                // Hidden products cannot be contracted.
                if self.abilities.is_right(Operation::Kept) {
                    self.trust_loosely(apart)?;
                }
                simple("*")
            }
            BinaryOp::Div if self.abilities.is_right(divide) || self.abilities.is_loose() => simple("/"),
            // A quotient of float32 that is rounded twice is rounded right: float64 has more than twice the bits.
            BinaryOp::Div if ty == DType::F32 && self.abilities.double => {
                self.trust(Operation::DoubleDivide)?;
                self.trust(Operation::Narrow)?;
                format!("f32(f64({a}) / f64({b}))")
            }
            BinaryOp::FloorDiv => {
                self.trust_loosely(divide)?;
                format!("{}({a} / {b})", self.rounding(ty, Whole::Below)?)
            }
            BinaryOp::Min => format!("select({b}, {a}, {a} < {b})"),
            BinaryOp::Max => format!("select({b}, {a}, {a} > {b})"),
            BinaryOp::Eq => simple("=="),
            // `!=` of WGSL is false for NaN.
            BinaryOp::Ne => format!("!({a} == {b})"),
            BinaryOp::Lt => simple("<"),
            BinaryOp::Le => simple("<="),
            BinaryOp::Gt => simple(">"),
            BinaryOp::Ge => simple(">="),
            BinaryOp::Div => return Err(format!("the driver's {divide} does not have the right bits")),
            BinaryOp::Rem | BinaryOp::Mod => self.float_remainder(op, ty, a, b)?,
            BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor | BinaryOp::Shl | BinaryOp::Shr => {
                return Err("floats have no bits to combine".to_owned());
            }
        })
    }

    /// What conversions need that are made of bits.
    fn bits_of_doubles(&self) -> Emit<()> {
        self.element(DType::F64)?;
        self.element(DType::I64)?;
        self.trust(Operation::Bits)
    }

    /// A conversion.
    pub(super) fn cast(&mut self, from: DType, to: DType, a: &str) -> Emit<String> {
        if from == to {
            return Ok(a.to_owned());
        }
        self.element(from)?;
        self.element(to)?;
        if is_small(from) {
            return self.cast(DType::F32, to, a);
        }
        if is_small(to) {
            let single = self.cast(from, DType::F32, a)?;
            return Ok(self.rounded(to, &single));
        }
        match (from, to) {
            (DType::Bool, _) => {
                let (zero, one) = match to {
                    DType::F64 => ("0.0lf", "1.0lf"),
                    DType::F32 => ("0.0f", "1.0f"),
                    DType::I64 => ("0li", "1li"),
                    DType::U64 => ("0lu", "1lu"),
                    DType::U8 | DType::U16 | DType::U32 => ("0u", "1u"),
                    _ => ("0i", "1i"),
                };
                self.signed(to, format!("select({zero}, {one}, {a})"))
            }
            (_, DType::Bool) => Ok(match from {
                DType::F64 => format!("!({a} == 0.0lf)"),
                DType::F32 => format!("!({a} == 0.0f)"),
                DType::I64 => format!("({a} != 0li)"),
                DType::U64 => format!("({a} != 0lu)"),
                DType::U8 | DType::U16 | DType::U32 => format!("({a} != 0u)"),
                _ => format!("({a} != 0i)"),
            }),
            (DType::F32, DType::F64) => Ok(format!("f64({a})")),
            (DType::F64, DType::F32) => {
                self.trust(Operation::Narrow)?;
                Ok(format!("f32({a})"))
            }
            _ if from.is_float() => {
                let driver = self.abilities.is_right(Operation::ToInteger);
                if !driver && from == DType::F64 {
                    self.bits_of_doubles()?;
                }
                let helper = self.saturating(from, to, driver);
                Ok(format!("{helper}({a})"))
            }
            _ if to.is_float() => {
                if self.abilities.is_right(Operation::FromInteger) {
                    return self.signed(to, format!("{}({a})", wgsl_type(to)));
                }
                if to == DType::F64 {
                    self.bits_of_doubles()?;
                }
                let helper = match to {
                    DType::F64 => self.double_of(from)?,
                    _ => self.single_of(from),
                };
                self.signed(to, format!("{helper}({a})"))
            }
            _ => {
                let text = match (wgsl_type(from), wgsl_type(to)) {
                    (held, wanted) if held == wanted => a.to_owned(),
                    // The sign is extended, or not, as the type that is converted says.
                    ("i32", "u64") => format!("u64(i64({a}))"),
                    ("u32", "i64") => format!("i64(u64({a}))"),
                    (_, wanted) => format!("{wanted}({a})"),
                };
                Ok(if to.bytes() < 4 { wrapped(to, text) } else { text })
            }
        }
    }
}

/// An operation on one value of a type.
fn unary(op: UnaryOp, ty: DType, a: &str) -> String {
    match (op, ty) {
        (UnaryOp::Neg, DType::Bool) => a.to_owned(),
        (UnaryOp::Not | UnaryOp::BitNot, DType::Bool) => format!("!({a})"),
        (UnaryOp::Not, DType::F64) => format!("({a} == 0.0lf)"),
        (UnaryOp::Not, DType::F16 | DType::BF16 | DType::F32) => format!("({a} == 0.0f)"),
        (UnaryOp::Not, DType::I64) => format!("({a} == 0li)"),
        (UnaryOp::Not, DType::U64) => format!("({a} == 0lu)"),
        (UnaryOp::Not, DType::U8 | DType::U16 | DType::U32) => format!("({a} == 0u)"),
        (UnaryOp::Not, _) => format!("({a} == 0i)"),
        (UnaryOp::BitNot, DType::F16 | DType::BF16 | DType::F32 | DType::F64) => a.to_owned(),
        (UnaryOp::Neg, DType::U8 | DType::U16 | DType::U32) => wrapped(ty, format!("(0u - {a})")),
        (UnaryOp::Neg, DType::U64) => format!("(0lu - {a})"),
        (UnaryOp::Neg, DType::I64) => format!("(0li - {a})"),
        (UnaryOp::Neg, ty) if ty.is_integral() => wrapped(ty, format!("(0i - {a})")),
        (UnaryOp::Neg, _) => format!("(-{a})"),
        (UnaryOp::BitNot, _) => wrapped(ty, format!("(~{a})")),
    }
}

fn bool_binary(op: BinaryOp, a: &str, b: &str) -> String {
    match op {
        BinaryOp::BitAnd | BinaryOp::Mul | BinaryOp::Min | BinaryOp::Div | BinaryOp::FloorDiv => {
            format!("({a} & {b})")
        }
        BinaryOp::BitOr | BinaryOp::Add | BinaryOp::Max => format!("({a} | {b})"),
        BinaryOp::BitXor | BinaryOp::Ne | BinaryOp::Sub => format!("({a} != {b})"),
        BinaryOp::Eq => format!("({a} == {b})"),
        BinaryOp::Lt => format!("(!({a}) & {b})"),
        BinaryOp::Le => format!("(!({a}) | {b})"),
        BinaryOp::Gt => format!("({a} & !({b}))"),
        BinaryOp::Ge => format!("({a} | !({b}))"),
        BinaryOp::Rem | BinaryOp::Mod => "false".to_owned(),
        BinaryOp::Shl | BinaryOp::Shr => a.to_owned(),
    }
}

/// A 32-bit result as one of fewer bits.
fn wrapped(ty: DType, text: String) -> String {
    match ty {
        DType::I8 => format!("(({text} << 24u) >> 24u)"),
        DType::I16 => format!("(({text} << 16u) >> 16u)"),
        DType::U8 => format!("({text} & 0xffu)"),
        DType::U16 => format!("({text} & 0xffffu)"),
        _ => text,
    }
}

/// Whether every value of an interval can be passed as a size.
pub(in super::super) const fn fits_size(value: i64) -> bool {
    let value = value as i128;
    value >= Interval::SIZE.low && value <= Interval::SIZE.high
}
