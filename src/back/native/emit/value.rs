//! Operations, element by element.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{self, InstBuilder, types};

use crate::diag::Diagnostic;
use crate::kernel::{Literal, Op, ValueId};
use crate::scalar::{BinaryOp, DType, Func, UnaryOp};

use super::super::runtime;
use super::function::{Emitter, plain, register_type};

/// Whether a type is a float narrower than `float32`, held as `f32`.
pub(super) const fn is_small(ty: DType) -> bool {
    matches!(ty, DType::F16 | DType::BF16 | DType::F8E4M3 | DType::F8E5M2)
}

impl Emitter<'_, '_> {
    pub fn op(&mut self, value: ValueId, op: &Op) -> Result<ir::Value, Diagnostic> {
        let ty = self.kernel.values[value];
        Ok(match op {
            Op::Const(literal) => self.constant(*literal),
            Op::Get(variable) => self.variable(*variable),
            Op::Base(buffer) => self.base(*buffer)?,
            Op::Unary(op, a) => {
                let a = self.get(*a)?;
                self.unary(*op, ty, a)
            }
            Op::Binary(op, a, b) => {
                let operand = self.kernel.values[*a];
                let (a, b) = (self.get(*a)?, self.get(*b)?);
                self.binary(*op, operand, a, b)
            }
            Op::Cast(to, a) => {
                let from = self.kernel.values[*a];
                let a = self.get(*a)?;
                self.cast(from, *to, a)
            }
            Op::Select(condition, a, b) => {
                let (condition, a, b) = (self.get(*condition)?, self.get(*a)?, self.get(*b)?);
                self.b.ins().select(condition, a, b)
            }
            Op::Math(func, operands) => {
                let mut types = Vec::with_capacity(operands.len());
                let mut arguments = Vec::with_capacity(operands.len());
                for &operand in operands {
                    types.push(self.kernel.values[operand]);
                    arguments.push(self.get(operand)?);
                }
                self.math(*func, &types, &arguments)
            }
            Op::Complex(func, imaginary, operands) => {
                let code = runtime::function_code(*func) * 2 + i64::from(*imaginary);
                let mut arguments = vec![self.b.ins().iconst(types::I64, code)];
                for position in 0..4 {
                    arguments.push(match operands.get(position) {
                        Some(&operand) => self.get(operand)?,
                        None => self.b.ins().f64const(0.0),
                    });
                }
                self.routine(runtime::complex_function as *const u8, &arguments, types::F64)
            }
            Op::Load { address, displacement, ty, .. } => {
                let address = self.get(*address)?;
                self.load_element(*ty, address, *displacement)
            }
        })
    }

    pub fn constant(&mut self, literal: Literal) -> ir::Value {
        match literal.ty {
            DType::F64 => self.b.ins().f64const(f64::from_bits(literal.bits)),
            DType::F32 => self.b.ins().f32const(f32::from_bits(literal.bits as u32)),
            ty if is_small(ty) => self.b.ins().f32const(runtime::widen(ty, literal.bits)),
            ty => self.b.ins().iconst(register_type(ty), literal.as_int().unwrap_or(0)),
        }
    }

    /// An address and the part of a displacement that fits an instruction.
    pub fn place(&mut self, address: ir::Value, displacement: i64) -> (ir::Value, i32) {
        match i32::try_from(displacement) {
            Ok(small) => (address, small),
            Err(_) => (self.b.ins().iadd_imm_s(address, displacement), 0),
        }
    }

    pub fn load_element(&mut self, ty: DType, address: ir::Value, displacement: i64) -> ir::Value {
        let (address, offset) = self.place(address, displacement);
        let flags = plain();
        match ty {
            DType::Bool => {
                let byte = self.b.ins().load(types::I8, flags, address, offset);
                self.b.ins().icmp_imm_s(IntCC::NotEqual, byte, 0)
            }
            DType::F16 | DType::BF16 => {
                let bits = self.b.ins().uload16(types::I32, flags, address, offset);
                self.widened(ty, bits)
            }
            DType::F8E4M3 | DType::F8E5M2 => {
                let bits = self.b.ins().uload8(types::I32, flags, address, offset);
                self.widened(ty, bits)
            }
            _ => self.b.ins().load(register_type(ty), flags, address, offset),
        }
    }

    pub fn store_element(&mut self, ty: DType, value: ir::Value, address: ir::Value, displacement: i64) {
        let (address, offset) = self.place(address, displacement);
        let flags = plain();
        match ty {
            DType::F16 | DType::BF16 => {
                let bits = self.narrowed(ty, value);
                self.b.ins().istore16(flags, bits, address, offset);
            }
            DType::F8E4M3 | DType::F8E5M2 => {
                let bits = self.narrowed(ty, value);
                self.b.ins().istore8(flags, bits, address, offset);
            }
            _ => {
                self.b.ins().store(flags, value, address, offset);
            }
        }
    }

    /// The `f32` of a small float's encoding in an `i32`.
    fn widened(&mut self, ty: DType, bits: ir::Value) -> ir::Value {
        if ty == DType::BF16 {
            let shifted = self.b.ins().ishl_imm_s(bits, 16);
            return self.b.ins().bitcast(types::F32, ir::MemFlagsData::new(), shifted);
        }
        self.routine(runtime::widen_routine(ty), &[bits], types::F32)
    }

    /// The encoding, in an `i32`, of a small float that is held as `f32`.
    fn narrowed(&mut self, ty: DType, value: ir::Value) -> ir::Value {
        self.routine(runtime::narrow_routine(ty), &[value], types::I32)
    }

    /// An `f32` rounded to a small float's precision.
    fn rounded(&mut self, ty: DType, value: ir::Value) -> ir::Value {
        if !is_small(ty) {
            return value;
        }
        let bits = self.narrowed(ty, value);
        self.widened(ty, bits)
    }

    fn routine(&mut self, routine: *const u8, arguments: &[ir::Value], result: ir::Type) -> ir::Value {
        let value = self.call(routine, arguments, Some(result));
        value.unwrap_or_else(|| self.zero(result))
    }

    pub fn unary(&mut self, op: UnaryOp, ty: DType, a: ir::Value) -> ir::Value {
        match op {
            UnaryOp::Not => self.b.ins().icmp_imm_s(IntCC::Equal, a, 0),
            UnaryOp::Neg if ty == DType::Bool => a,
            UnaryOp::BitNot if ty == DType::Bool => self.b.ins().icmp_imm_s(IntCC::Equal, a, 0),
            UnaryOp::BitNot => self.b.ins().bnot(a),
            UnaryOp::Neg if ty.is_float() => self.b.ins().fneg(a),
            UnaryOp::Neg => self.b.ins().ineg(a),
        }
    }

    pub fn binary(&mut self, op: BinaryOp, ty: DType, a: ir::Value, b: ir::Value) -> ir::Value {
        if ty.is_float() {
            let result = self.float_binary(op, ty, a, b);
            return if op.is_comparison() { result } else { self.rounded(ty, result) };
        }
        self.integer_binary(op, ty, a, b)
    }

    fn float_binary(&mut self, op: BinaryOp, ty: DType, a: ir::Value, b: ir::Value) -> ir::Value {
        let compare = |emitter: &mut Self, cc| emitter.b.ins().fcmp(cc, a, b);
        match op {
            BinaryOp::Add => self.b.ins().fadd(a, b),
            BinaryOp::Sub => self.b.ins().fsub(a, b),
            BinaryOp::Mul => self.b.ins().fmul(a, b),
            BinaryOp::Div => self.b.ins().fdiv(a, b),
            BinaryOp::FloorDiv => {
                let quotient = self.b.ins().fdiv(a, b);
                self.b.ins().floor(quotient)
            }
            BinaryOp::Min => {
                let less = self.b.ins().fcmp(FloatCC::LessThan, a, b);
                self.b.ins().select(less, a, b)
            }
            BinaryOp::Max => {
                let greater = self.b.ins().fcmp(FloatCC::GreaterThan, a, b);
                self.b.ins().select(greater, a, b)
            }
            BinaryOp::Eq => compare(self, FloatCC::Equal),
            BinaryOp::Ne => compare(self, FloatCC::NotEqual),
            BinaryOp::Lt => compare(self, FloatCC::LessThan),
            BinaryOp::Le => compare(self, FloatCC::LessThanOrEqual),
            BinaryOp::Gt => compare(self, FloatCC::GreaterThan),
            BinaryOp::Ge => compare(self, FloatCC::GreaterThanOrEqual),
            _ => {
                let register = register_type(ty);
                match runtime::remainder_routine(op, register == types::F64) {
                    Some(routine) => self.routine(routine, &[a, b], register),
                    None => self.zero(register),
                }
            }
        }
    }

    fn integer_binary(&mut self, op: BinaryOp, ty: DType, a: ir::Value, b: ir::Value) -> ir::Value {
        let unsigned = ty.is_unsigned();
        let pick = |signed, other| if unsigned { other } else { signed };
        let bool = ty == DType::Bool;
        match op {
            BinaryOp::Add if bool => self.b.ins().bor(a, b),
            BinaryOp::Mul if bool => self.b.ins().band(a, b),
            BinaryOp::Sub if bool => self.b.ins().bxor(a, b),
            BinaryOp::Div | BinaryOp::FloorDiv if bool => self.b.ins().band(a, b),
            BinaryOp::Rem | BinaryOp::Mod if bool => self.b.ins().iconst(types::I8, 0),
            BinaryOp::Shl | BinaryOp::Shr if bool => a,
            BinaryOp::Add => self.b.ins().iadd(a, b),
            BinaryOp::Sub => self.b.ins().isub(a, b),
            BinaryOp::Mul => self.b.ins().imul(a, b),
            BinaryOp::Div => self.quotient(unsigned, a, b),
            BinaryOp::Rem => self.remainder(unsigned, a, b),
            BinaryOp::FloorDiv if unsigned => self.quotient(true, a, b),
            BinaryOp::Mod if unsigned => self.remainder(true, a, b),
            BinaryOp::FloorDiv => {
                let quotient = self.quotient(false, a, b);
                let down = self.inexact_down(a, b);
                let lower = self.b.ins().iadd_imm_s(quotient, -1);
                self.b.ins().select(down, lower, quotient)
            }
            BinaryOp::Mod => {
                let remainder = self.remainder(false, a, b);
                let down = self.inexact_down(a, b);
                let shifted = self.b.ins().iadd(remainder, b);
                self.b.ins().select(down, shifted, remainder)
            }
            BinaryOp::Min if unsigned => self.b.ins().umin(a, b),
            BinaryOp::Min => self.b.ins().smin(a, b),
            BinaryOp::Max if unsigned => self.b.ins().umax(a, b),
            BinaryOp::Max => self.b.ins().smax(a, b),
            BinaryOp::BitAnd => self.b.ins().band(a, b),
            BinaryOp::BitOr => self.b.ins().bor(a, b),
            BinaryOp::BitXor => self.b.ins().bxor(a, b),
            BinaryOp::Shl => self.b.ins().ishl(a, b),
            BinaryOp::Shr if unsigned => self.b.ins().ushr(a, b),
            BinaryOp::Shr => self.b.ins().sshr(a, b),
            BinaryOp::Eq => self.b.ins().icmp(IntCC::Equal, a, b),
            BinaryOp::Ne => self.b.ins().icmp(IntCC::NotEqual, a, b),
            BinaryOp::Lt => self.b.ins().icmp(pick(IntCC::SignedLessThan, IntCC::UnsignedLessThan), a, b),
            BinaryOp::Le => {
                self.b.ins().icmp(pick(IntCC::SignedLessThanOrEqual, IntCC::UnsignedLessThanOrEqual), a, b)
            }
            BinaryOp::Gt => {
                self.b.ins().icmp(pick(IntCC::SignedGreaterThan, IntCC::UnsignedGreaterThan), a, b)
            }
            BinaryOp::Ge => self.b.ins().icmp(
                pick(IntCC::SignedGreaterThanOrEqual, IntCC::UnsignedGreaterThanOrEqual),
                a,
                b,
            ),
        }
    }

    fn literal_of(&self, value: ir::Value) -> Option<i64> {
        let dfg = &self.b.func.dfg;
        let inst = dfg.value_def(value).inst()?;
        match dfg.insts[inst] {
            ir::InstructionData::UnaryImm { opcode: ir::Opcode::Iconst, imm } => Some(imm.bits()),
            _ => None,
        }
    }

    /// Division that cannot fault: by zero gives zero (a check stands before it), `MIN / -1` wraps.
    fn quotient(&mut self, unsigned: bool, a: ir::Value, b: ir::Value) -> ir::Value {
        let ty = self.b.func.dfg.value_type(a);
        match (self.literal_of(b), unsigned) {
            (Some(0), _) => self.zero(ty),
            (Some(-1), false) => self.b.ins().ineg(a),
            (Some(_), false) => self.b.ins().sdiv(a, b),
            (Some(_), true) => self.b.ins().udiv(a, b),
            (None, true) => {
                let (safe, is_zero) = self.safe_divisor(b);
                let quotient = self.b.ins().udiv(a, safe);
                let zero = self.zero(ty);
                self.b.ins().select(is_zero, zero, quotient)
            }
            (None, false) => {
                // Divisors 0 and -1 are replaced by 1; the results by 0 and -a.
                let risky = self.zero_or_minus_one(b);
                let one = self.b.ins().iconst(ty, 1);
                let safe = self.b.ins().select(risky, one, b);
                let quotient = self.b.ins().sdiv(a, safe);
                let special = self.b.ins().imul(a, b);
                self.b.ins().select(risky, special, quotient)
            }
        }
    }

    /// Remainder that cannot fault: by 0 and by -1 it is zero.
    fn remainder(&mut self, unsigned: bool, a: ir::Value, b: ir::Value) -> ir::Value {
        let ty = self.b.func.dfg.value_type(a);
        match (self.literal_of(b), unsigned) {
            (Some(0), _) | (Some(-1), false) => self.zero(ty),
            (Some(_), false) => self.b.ins().srem(a, b),
            (Some(_), true) => self.b.ins().urem(a, b),
            (None, true) => {
                let (safe, _) = self.safe_divisor(b);
                self.b.ins().urem(a, safe)
            }
            (None, false) => {
                let risky = self.zero_or_minus_one(b);
                let one = self.b.ins().iconst(ty, 1);
                let safe = self.b.ins().select(risky, one, b);
                self.b.ins().srem(a, safe)
            }
        }
    }

    fn safe_divisor(&mut self, b: ir::Value) -> (ir::Value, ir::Value) {
        let ty = self.b.func.dfg.value_type(b);
        let is_zero = self.b.ins().icmp_imm_s(IntCC::Equal, b, 0);
        let one = self.b.ins().iconst(ty, 1);
        (self.b.ins().select(is_zero, one, b), is_zero)
    }

    fn zero_or_minus_one(&mut self, b: ir::Value) -> ir::Value {
        let shifted = self.b.ins().iadd_imm_s(b, 1);
        self.b.ins().icmp_imm_s(IntCC::UnsignedLessThanOrEqual, shifted, 1)
    }

    /// Whether truncated division of signed numbers is above the exact quotient.
    fn inexact_down(&mut self, a: ir::Value, b: ir::Value) -> ir::Value {
        let remainder = self.remainder(false, a, b);
        let inexact = self.b.ins().icmp_imm_s(IntCC::NotEqual, remainder, 0);
        let signs = self.b.ins().bxor(remainder, b);
        let differ = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, signs, 0);
        self.b.ins().band(inexact, differ)
    }

    pub fn cast(&mut self, from: DType, to: DType, a: ir::Value) -> ir::Value {
        if from == to {
            return a;
        }
        match (from.is_float(), to.is_float()) {
            (false, false) => self.integer_to_integer(from, to, a),
            (false, true) => self.integer_to_float(from, to, a),
            (true, false) => self.float_to_integer(to, a),
            (true, true) => self.float_to_float(to, a),
        }
    }

    fn integer_to_integer(&mut self, from: DType, to: DType, a: ir::Value) -> ir::Value {
        if to == DType::Bool {
            return self.b.ins().icmp_imm_s(IntCC::NotEqual, a, 0);
        }
        let target = register_type(to);
        match from.bytes().cmp(&to.bytes()) {
            std::cmp::Ordering::Equal => a,
            std::cmp::Ordering::Greater => self.b.ins().ireduce(target, a),
            std::cmp::Ordering::Less if from.is_unsigned() => self.b.ins().uextend(target, a),
            std::cmp::Ordering::Less => self.b.ins().sextend(target, a),
        }
    }

    fn integer_to_float(&mut self, from: DType, to: DType, a: ir::Value) -> ir::Value {
        let wide = match from.bytes() {
            1 | 2 if from.is_unsigned() => self.b.ins().uextend(types::I32, a),
            1 | 2 => self.b.ins().sextend(types::I32, a),
            _ => a,
        };
        let register = register_type(to);
        let unsigned = matches!(from, DType::U32 | DType::U64);
        let value = match (from, unsigned) {
            (DType::U32, _) => {
                let wider = self.b.ins().uextend(types::I64, wide);
                self.b.ins().fcvt_from_sint(register, wider)
            }
            (_, true) => self.b.ins().fcvt_from_uint(register, wide),
            (_, false) => self.b.ins().fcvt_from_sint(register, wide),
        };
        self.rounded(to, value)
    }

    fn float_to_integer(&mut self, to: DType, a: ir::Value) -> ir::Value {
        match to {
            DType::Bool => {
                let ty = self.b.func.dfg.value_type(a);
                let zero = self.zero(ty);
                self.b.ins().fcmp(FloatCC::NotEqual, a, zero)
            }
            DType::I32 | DType::I64 => self.b.ins().fcvt_to_sint_sat(register_type(to), a),
            DType::U32 | DType::U64 => self.b.ins().fcvt_to_uint_sat(register_type(to), a),
            _ => {
                let (low, high) = match to {
                    DType::I8 => (i64::from(i8::MIN), i64::from(i8::MAX)),
                    DType::I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
                    DType::U8 => (0, i64::from(u8::MAX)),
                    _ => (0, i64::from(u16::MAX)),
                };
                let wide = self.b.ins().fcvt_to_sint_sat(types::I32, a);
                let low = self.b.ins().iconst(types::I32, low);
                let high = self.b.ins().iconst(types::I32, high);
                let above = self.b.ins().smax(wide, low);
                let inside = self.b.ins().smin(above, high);
                self.b.ins().ireduce(register_type(to), inside)
            }
        }
    }

    fn float_to_float(&mut self, to: DType, a: ir::Value) -> ir::Value {
        let held = self.b.func.dfg.value_type(a);
        let value = match (held, register_type(to)) {
            (types::F64, types::F32) => self.b.ins().fdemote(types::F32, a),
            (types::F32, types::F64) => self.b.ins().fpromote(types::F64, a),
            _ => a,
        };
        self.rounded(to, value)
    }

    fn math(&mut self, func: Func, types_of: &[DType], a: &[ir::Value]) -> ir::Value {
        let ty = types_of.first().copied().unwrap_or(DType::F64);
        let native = self.native_math(func, ty, a);
        if let Some(value) = native {
            return value;
        }
        if ty.is_float()
            && let Some(routine) = runtime::math_routine(func)
        {
            // Defined in float64; narrower types round the result once.
            let wide: Vec<ir::Value> =
                a.iter().zip(types_of).map(|(&value, &from)| self.cast(from, DType::F64, value)).collect();
            let result = self.routine(routine, &wide, types::F64);
            return self.cast(DType::F64, ty, result);
        }
        self.any_math(func, types_of, a)
    }

    /// What the machine computes in one or a few instructions, with the same bits.
    fn native_math(&mut self, func: Func, ty: DType, a: &[ir::Value]) -> Option<ir::Value> {
        let x = *a.first()?;
        if ty.is_integral() {
            return match func {
                Func::Floor
                | Func::Ceil
                | Func::Trunc
                | Func::Round
                | Func::RoundEven
                | Func::Conj
                | Func::Real => Some(x),
                Func::Identity => Some(x),
                Func::Abs if ty.is_unsigned() => Some(x),
                Func::Abs => Some(self.b.ins().iabs(x)),
                _ => None,
            };
        }
        Some(match func {
            Func::Identity | Func::Conj | Func::Real => x,
            Func::Abs => self.b.ins().fabs(x),
            Func::Sqrt => {
                let root = self.b.ins().sqrt(x);
                self.rounded(ty, root)
            }
            Func::Floor => self.b.ins().floor(x),
            Func::Ceil => self.b.ins().ceil(x),
            Func::Trunc => self.b.ins().trunc(x),
            Func::RoundEven => self.b.ins().nearest(x),
            Func::CopySign if a.len() == 2 => self.b.ins().fcopysign(x, a[1]),
            Func::IsNan => self.b.ins().fcmp(FloatCC::Unordered, x, x),
            Func::IsInf | Func::IsFinite => {
                let size = self.b.ins().fabs(x);
                let infinity = match self.b.func.dfg.value_type(x) {
                    types::F64 => self.b.ins().f64const(f64::INFINITY),
                    _ => self.b.ins().f32const(f32::INFINITY),
                };
                let cc = if func == Func::IsInf { FloatCC::Equal } else { FloatCC::LessThan };
                self.b.ins().fcmp(cc, size, infinity)
            }
            Func::Sign => {
                let held = self.b.func.dfg.value_type(x);
                let zero = self.zero(held);
                let (one, minus) = match held {
                    types::F64 => (self.b.ins().f64const(1.0), self.b.ins().f64const(-1.0)),
                    _ => (self.b.ins().f32const(1.0), self.b.ins().f32const(-1.0)),
                };
                let above = self.b.ins().fcmp(FloatCC::GreaterThan, x, zero);
                let below = self.b.ins().fcmp(FloatCC::LessThan, x, zero);
                let low = self.b.ins().select(below, minus, x);
                self.b.ins().select(above, one, low)
            }
            Func::Fma if self.has_fma && a.len() == 3 && !is_small(ty) => self.b.ins().fma(x, a[1], a[2]),
            _ => return None,
        })
    }

    /// Everything else: bits in, bits out, through the one definition in `scalar::arith`.
    fn any_math(&mut self, func: Func, types_of: &[DType], a: &[ir::Value]) -> ir::Value {
        let ty = types_of.first().copied().unwrap_or(DType::F64);
        let code = self.b.ins().iconst(types::I64, runtime::function_code(func));
        let mut arguments = vec![code];
        for index in 0..3 {
            let (kind, bits) = match (types_of.get(index), a.get(index)) {
                (Some(&ty), Some(&value)) => (runtime::type_code(ty), self.encoded(ty, value)),
                _ => (-1, self.b.ins().iconst(types::I64, 0)),
            };
            arguments.push(self.b.ins().iconst(types::I64, kind));
            arguments.push(bits);
        }
        let bits = self.routine(runtime::any_function as *const u8, &arguments, types::I64);
        let result = match func {
            Func::IsNan | Func::IsInf | Func::IsFinite | Func::SignBit => DType::Bool,
            _ => ty,
        };
        self.decoded(result, bits)
    }

    /// A value's encoding, zero-extended to 64 bits.
    fn encoded(&mut self, ty: DType, value: ir::Value) -> ir::Value {
        let narrow = match ty {
            _ if is_small(ty) => self.narrowed(ty, value),
            DType::F32 => self.b.ins().bitcast(types::I32, ir::MemFlagsData::new(), value),
            DType::F64 => return self.b.ins().bitcast(types::I64, ir::MemFlagsData::new(), value),
            _ => value,
        };
        match self.b.func.dfg.value_type(narrow) {
            types::I64 => narrow,
            _ => self.b.ins().uextend(types::I64, narrow),
        }
    }

    fn decoded(&mut self, ty: DType, bits: ir::Value) -> ir::Value {
        let register = register_type(ty);
        match ty {
            DType::F64 => self.b.ins().bitcast(types::F64, ir::MemFlagsData::new(), bits),
            DType::I64 | DType::U64 => bits,
            _ if ty.is_float() => {
                let narrow = self.b.ins().ireduce(types::I32, bits);
                if is_small(ty) {
                    self.widened(ty, narrow)
                } else {
                    self.b.ins().bitcast(types::F32, ir::MemFlagsData::new(), narrow)
                }
            }
            _ => self.b.ins().ireduce(register, bits),
        }
    }
}
