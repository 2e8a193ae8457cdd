//! Values that all lanes share: integers in integer registers, floats as vectors of equal lanes.

use iced_x86::Code;

use crate::kernel::vector::Reason;
use crate::kernel::{Op, ValueId};
use crate::scalar::{BinaryOp, DType, UnaryOp};

use super::code::{Base, Operand, Place, Reg, View, change, give, take};
use super::select::{Held, Select, Slot, is_register_integer};

impl Select<'_> {
    /// Defines a value outside vectorised loops.
    pub fn uniform(&mut self, value: ValueId, op: &Op) -> Result<(), Reason> {
        if matches!(op, Op::Const(_)) {
            return Ok(());
        }
        let ty = self.ty(value);
        let held = match op {
            Op::Load { buffer, address, displacement, ty } => {
                self.reach(*buffer, false);
                let place = self.uniform_place(*address, *displacement)?;
                self.load_number(*ty, place)?
            }
            Op::Get(variable) if self.known.contains_key(variable) => self.known[variable],
            Op::Get(variable) => {
                let place = self.input(Slot::Variable(*variable));
                if is_register_integer(ty) {
                    let reg = self.integer();
                    self.emit(Code::Mov_r64_rm64, &[give(reg, View::Full), Operand::Memory(place)]);
                    Held::Integer(reg)
                } else {
                    self.load_number(ty, place)?
                }
            }
            _ if is_register_integer(ty) => Held::Integer(self.uniform_integer(ty, op)?),
            Op::Cast(to, a) if is_register_integer(self.ty(*a)) => {
                let a = self.integer_of(*a)?;
                let low = self.vector();
                let code = if *to == DType::F64 {
                    Code::VEX_Vcvtsi2sd_xmm_xmm_rm64
                } else if *to == DType::F32 {
                    Code::VEX_Vcvtsi2ss_xmm_xmm_rm64
                } else {
                    return Err(format!("a cast to {to}"));
                };
                // The upper part of the result comes from the second operand: any register will do.
                let any = self.bits_everywhere(0);
                self.emit_either(code, &[give(low, View::Xmm), take(any, View::Xmm), take(a, View::Full)], 2);
                Held::Everywhere(self.spread(low, *to))
            }
            Op::Binary(BinaryOp::Div, a, b) if matches!(ty, DType::F64 | DType::F32) => {
                // A division takes longer the more lanes there are.
                let (a, b) = (self.everywhere(*a)?, self.everywhere(*b)?);
                let code = match ty {
                    DType::F64 => Code::VEX_Vdivpd_xmm_xmm_xmmm128,
                    _ => Code::VEX_Vdivps_xmm_xmm_xmmm128,
                };
                let low = self.three(code, View::Xmm, a, b);
                Held::Everywhere(self.spread(low, ty))
            }
            _ => Held::Everywhere(self.lane_op(value, op)?),
        };
        self.values.insert(value, held);
        Ok(())
    }

    fn uniform_place(&mut self, address: ValueId, displacement: i64) -> Result<Place, Reason> {
        let base = self.integer_of(address)?;
        let displacement = i32::try_from(displacement).map_err(|_| "a displacement is too large")?;
        Ok(Place { base: Base::Register(base), index: None, displacement })
    }

    /// One number from memory.
    pub fn load_number(&mut self, ty: DType, place: Place) -> Result<Held, Reason> {
        let memory = Operand::Memory(place);
        Ok(match ty {
            DType::F64 | DType::F32 => Held::Everywhere(self.load_everywhere(ty, place)),
            DType::I64 | DType::I32 | DType::Bool => {
                let reg = self.integer();
                match ty {
                    DType::I64 => self.emit(Code::Mov_r64_rm64, &[give(reg, View::Full), memory]),
                    DType::I32 => self.emit(Code::Movsxd_r64_rm32, &[give(reg, View::Full), memory]),
                    _ => {
                        self.emit(Code::Movzx_r32_rm8, &[give(reg, View::Half), memory]);
                        self.emit(Code::Cmp_rm64_imm32, &[take(reg, View::Full), Operand::Word(0)]);
                        self.emit(Code::Setne_rm8, &[change(reg, View::Byte)]);
                    }
                }
                Held::Integer(reg)
            }
            ty => return Err(format!("{ty} in memory")),
        })
    }

    pub fn uniform_store(
        &mut self,
        address: ValueId,
        displacement: i64,
        value: ValueId,
    ) -> Result<(), Reason> {
        let place = self.uniform_place(address, displacement)?;
        let ty = self.ty(value);
        match ty {
            DType::F64 | DType::F32 => {
                let reg = self.everywhere(value)?;
                let code = if ty == DType::F64 { Code::VEX_Vmovsd_m64_xmm } else { Code::VEX_Vmovss_m32_xmm };
                self.emit(code, &[Operand::Memory(place), take(reg, View::Xmm)]);
            }
            DType::I64 | DType::I32 | DType::Bool => {
                let reg = self.integer_of(value)?;
                let (code, view) = match ty {
                    DType::I64 => (Code::Mov_rm64_r64, View::Full),
                    DType::I32 => (Code::Mov_rm32_r32, View::Half),
                    _ => (Code::Mov_rm8_r8, View::Byte),
                };
                self.emit(code, &[Operand::Memory(place), take(reg, view)]);
            }
            ty => return Err(format!("{ty} in memory")),
        }
        Ok(())
    }

    /// A value as a 64-bit number of the inputs.
    pub fn store_number(&mut self, value: ValueId, place: Place) -> Result<(), Reason> {
        if is_register_integer(self.ty(value)) {
            let reg = self.integer_of(value)?;
            self.emit(Code::Mov_rm64_r64, &[Operand::Memory(place), take(reg, View::Full)]);
            return Ok(());
        }
        let reg = self.everywhere(value)?;
        self.emit(Code::VEX_Vmovsd_m64_xmm, &[Operand::Memory(place), take(reg, View::Xmm)]);
        Ok(())
    }

    fn copy_integer(&mut self, reg: Reg) -> Reg {
        let copy = self.integer();
        self.emit_either(Code::Mov_r64_rm64, &[give(copy, View::Full), take(reg, View::Full)], 1);
        copy
    }

    /// Back to 32 bits, sign-extended.
    fn wrapped(&mut self, ty: DType, reg: Reg) -> Reg {
        if ty == DType::I32 {
            self.emit(Code::Movsxd_r64_rm32, &[give(reg, View::Full), take(reg, View::Half)]);
        }
        reg
    }

    fn uniform_integer(&mut self, ty: DType, op: &Op) -> Result<Reg, Reason> {
        match *op {
            Op::Binary(op, a, b) => {
                let operand = self.ty(a);
                if matches!(operand, DType::F64 | DType::F32) {
                    return self.uniform_float_comparison(op, operand, a, b);
                }
                if !is_register_integer(operand) {
                    return Err(format!("{op:?} of {operand}"));
                }
                let (x, y) = (self.integer_of(a)?, self.integer_of(b)?);
                self.uniform_binary(op, operand, x, y)
            }
            Op::Unary(op, a) => {
                let a = self.integer_of(a)?;
                let result = self.copy_integer(a);
                match op {
                    UnaryOp::Not => {
                        self.emit(Code::Xor_rm64_imm32, &[change(result, View::Full), Operand::Word(1)])
                    }
                    UnaryOp::BitNot if ty == DType::Bool => {
                        self.emit(Code::Xor_rm64_imm32, &[change(result, View::Full), Operand::Word(1)]);
                    }
                    UnaryOp::Neg if ty == DType::Bool => {}
                    UnaryOp::BitNot => self.emit(Code::Not_rm64, &[change(result, View::Full)]),
                    UnaryOp::Neg => self.emit(Code::Neg_rm64, &[change(result, View::Full)]),
                }
                Ok(self.wrapped(ty, result))
            }
            Op::Cast(to, a) => {
                let from = self.ty(a);
                if !is_register_integer(from) {
                    return Err(format!("a cast of {from} to {to} in front of the loop"));
                }
                let a = self.integer_of(a)?;
                if to == DType::Bool && from != DType::Bool {
                    let zero = self.constant_integer(0);
                    return self.set_if(Code::Setne_rm8, a, zero);
                }
                let result = self.copy_integer(a);
                Ok(self.wrapped(to, result))
            }
            Op::Select(condition, a, b) => {
                let (condition, a, b) =
                    (self.integer_of(condition)?, self.integer_of(a)?, self.integer_of(b)?);
                let result = self.copy_integer(b);
                self.emit(Code::Cmp_rm64_imm32, &[take(condition, View::Full), Operand::Word(0)]);
                self.emit(Code::Cmovne_r64_rm64, &[change(result, View::Full), take(a, View::Full)]);
                Ok(result)
            }
            _ => Err(format!("{} of integers in front of the loop", name_of(op))),
        }
    }

    fn set_if(&mut self, code: Code, a: Reg, b: Reg) -> Result<Reg, Reason> {
        let result = self.integer();
        self.set_integer(result, 0);
        self.compare(a, b);
        self.emit(code, &[change(result, View::Byte)]);
        Ok(result)
    }

    fn uniform_binary(&mut self, op: BinaryOp, ty: DType, a: Reg, b: Reg) -> Result<Reg, Reason> {
        let comparison = match op {
            BinaryOp::Eq => Some(Code::Sete_rm8),
            BinaryOp::Ne => Some(Code::Setne_rm8),
            BinaryOp::Lt => Some(Code::Setl_rm8),
            BinaryOp::Le => Some(Code::Setle_rm8),
            BinaryOp::Gt => Some(Code::Setg_rm8),
            BinaryOp::Ge => Some(Code::Setge_rm8),
            _ => None,
        };
        if let Some(code) = comparison {
            return self.set_if(code, a, b);
        }
        let simple = match op {
            BinaryOp::Add if ty != DType::Bool => Some(Code::Add_r64_rm64),
            BinaryOp::Sub if ty != DType::Bool => Some(Code::Sub_r64_rm64),
            BinaryOp::Mul if ty != DType::Bool => Some(Code::Imul_r64_rm64),
            BinaryOp::BitAnd => Some(Code::And_r64_rm64),
            BinaryOp::BitOr => Some(Code::Or_r64_rm64),
            BinaryOp::BitXor => Some(Code::Xor_r64_rm64),
            _ => None,
        };
        if let Some(code) = simple {
            let result = self.copy_integer(a);
            self.emit_either(code, &[change(result, View::Full), take(b, View::Full)], 1);
            return Ok(self.wrapped(ty, result));
        }
        let choose = match op {
            BinaryOp::Min => Code::Cmovl_r64_rm64,
            BinaryOp::Max => Code::Cmovg_r64_rm64,
            _ => return Err(format!("{op:?} of integers in front of the loop")),
        };
        let result = self.copy_integer(b);
        self.compare(a, b);
        self.emit(choose, &[change(result, View::Full), take(a, View::Full)]);
        Ok(result)
    }

    fn uniform_float_comparison(
        &mut self,
        op: BinaryOp,
        ty: DType,
        a: ValueId,
        b: ValueId,
    ) -> Result<Reg, Reason> {
        let (a, b) = (self.everywhere(a)?, self.everywhere(b)?);
        let mask = self.compare_floats(op, ty, a, b)?;
        let bits = self.integer();
        self.emit(Code::VEX_Vmovmskpd_r32_xmm, &[give(bits, View::Half), take(mask, View::Xmm)]);
        self.emit(Code::And_rm64_imm32, &[change(bits, View::Full), Operand::Word(1)]);
        Ok(bits)
    }
}

fn name_of(op: &Op) -> String {
    match op {
        Op::Math(func, _) => format!("{func:?}"),
        Op::Complex(func, ..) => format!("complex {func:?}"),
        _ => "an operation".to_owned(),
    }
}
