//! Reductions: a partial result per copy of the body, combined behind the loop.

use iced_x86::Code;

use crate::kernel::ValueId;
use crate::kernel::vector::{Reason, Reduction, Total};
use crate::scalar::{BinaryOp, DType};

use super::code::{Base, Operand, Place, Reg, View, give, take};
use super::lanes::sized;
use super::select::{Held, Select, Slot};

impl Select<'_> {
    fn reductions(&self) -> Vec<Reduction> {
        self.lanes.as_ref().map_or(Vec::new(), |lanes| lanes.body.reductions.clone())
    }

    /// Gives every partial result its neutral element.
    pub fn start_reductions(&mut self, copies: i64) -> Result<(), Reason> {
        for reduction in self.reductions() {
            let neutral = neutral(reduction.op, reduction.ty)?;
            let neutral = self.bits_everywhere(neutral);
            let mut partial = Vec::new();
            for _ in 0..=copies {
                let reg = self.vector();
                self.copy_vector(reg, neutral);
                partial.push(reg);
            }
            if let Some(lanes) = &mut self.lanes {
                lanes.partial.push(partial);
            }
        }
        Ok(())
    }

    pub fn copy_vector(&mut self, to: Reg, from: Reg) {
        let view = self.whole();
        let code = sized!(view, VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256);
        self.emit_either(code, &[give(to, view), take(from, view)], 1);
    }

    /// The partial result of a reduction in the present copy.
    fn partial(&self, reduction: usize) -> Option<Reg> {
        let lanes = self.lanes.as_ref()?;
        let partial = lanes.partial.get(reduction)?;
        // The last one is for single lanes, whose registers hold nothing else.
        if lanes.count == 1 { partial.last().copied() } else { partial.get(lanes.copy as usize).copied() }
    }

    /// Whether the value is the total before an iteration; it is then in its register.
    pub fn starts_reduction(&mut self, value: ValueId) -> bool {
        let Some(lanes) = &self.lanes else { return false };
        let Some(at) = lanes.body.reductions.iter().position(|reduction| reduction.old == value) else {
            return false;
        };
        if let Some(reg) = self.partial(at) {
            self.values.insert(value, Held::Lanes(reg));
        }
        true
    }

    /// Whether the value is the total after an iteration; it is then put into its register.
    pub fn ends_reduction(&mut self, value: ValueId) -> Result<bool, Reason> {
        let Some(lanes) = &self.lanes else { return Ok(false) };
        let Some(at) = lanes.body.reductions.iter().position(|reduction| reduction.new == value) else {
            return Ok(false);
        };
        let Some(reg) = self.partial(at) else { return Err("a reduction has no register".to_owned()) };
        let new = self.operand(value)?;
        self.copy_vector(reg, new);
        Ok(true)
    }

    /// Combines partial results and meets the total.
    pub fn finish_reductions(&mut self, count: i64) -> Result<(), Reason> {
        for (at, reduction) in self.reductions().into_iter().enumerate() {
            let Some(lanes) = &mut self.lanes else { return Ok(()) };
            lanes.count = count;
            let partial = lanes.partial.get(at).cloned().unwrap_or_default();
            let Some((&single, copies)) = partial.split_last() else { continue };
            let Some((&first, rest)) = copies.split_first() else { continue };
            let (op, ty) = (reduction.op, reduction.ty);
            let mut total = first;
            for &other in rest {
                total = self.lane_binary(op, ty, total, other)?;
            }
            if self.view(ty) == View::Zmm {
                let upper = self.vector();
                let code = Code::EVEX_Vextractf64x4_ymmm256_k1z_zmm_imm8;
                self.emit(code, &[give(upper, View::Ymm), take(total, View::Zmm), Operand::Byte(1)]);
                self.lanes_are(count / 2);
                total = self.lane_binary(op, ty, total, upper)?;
            }
            if self.view(ty) == View::Ymm {
                let upper = self.vector();
                let code = Code::VEX_Vextractf128_xmmm128_ymm_imm8;
                self.emit(code, &[give(upper, View::Xmm), take(total, View::Ymm), Operand::Byte(1)]);
                self.lanes_are(1);
                total = self.lane_binary(op, ty, total, upper)?;
            }
            let lanes_left = (count * ty.bytes() as i64).min(16) / ty.bytes() as i64;
            self.lanes_are(1);
            // Pairs: 64 bits down, then 32.
            if lanes_left * ty.bytes() as i64 > 8 {
                let upper = self.with_byte(Code::VEX_Vpshufd_xmm_xmmm128_imm8, View::Xmm, total, 0xee);
                total = self.lane_binary(op, ty, total, upper)?;
            }
            if ty.bytes() == 4 && lanes_left > 1 {
                let upper = self.with_byte(Code::VEX_Vpshufd_xmm_xmmm128_imm8, View::Xmm, total, 0x55);
                total = self.lane_binary(op, ty, total, upper)?;
            }
            total = self.lane_binary(op, ty, total, single)?;
            self.meet(&reduction, total)?;
        }
        Ok(())
    }

    fn lanes_are(&mut self, count: i64) {
        if let Some(lanes) = &mut self.lanes {
            lanes.count = count;
        }
    }

    /// `total = total op partial`, in the lowest lane.
    fn meet(&mut self, reduction: &Reduction, partial: Reg) -> Result<(), Reason> {
        let place = match reduction.total {
            Total::Variable(variable) => self.input(Slot::Variable(variable)),
            Total::Memory { address, displacement, .. } => {
                let displacement = i32::try_from(displacement).map_err(|_| "a displacement is too large")?;
                let base = Base::Register(self.integer_of(address)?);
                Place { base, index: None, displacement }
            }
        };
        let ty = reduction.ty;
        let (load, store) = if ty.bytes() == 8 {
            (Code::VEX_Vmovsd_xmm_m64, Code::VEX_Vmovsd_m64_xmm)
        } else {
            (Code::VEX_Vmovss_xmm_m32, Code::VEX_Vmovss_m32_xmm)
        };
        let old = self.vector();
        self.emit(load, &[give(old, View::Xmm), Operand::Memory(place)]);
        let new = self.lane_binary(reduction.op, ty, old, partial)?;
        match reduction.total {
            // Variables of 32 bits are kept extended.
            Total::Variable(_) if ty == DType::I32 => {
                let reg = self.integer();
                self.emit(Code::VEX_Vmovd_rm32_xmm, &[give(reg, View::Half), take(new, View::Xmm)]);
                self.emit(Code::Movsxd_r64_rm32, &[give(reg, View::Full), take(reg, View::Half)]);
                self.emit(Code::Mov_rm64_r64, &[Operand::Memory(place), take(reg, View::Full)]);
            }
            _ => self.emit(store, &[Operand::Memory(place), take(new, View::Xmm)]),
        }
        Ok(())
    }
}

/// The bits, in 64-bit lanes, of what changes nothing.
fn neutral(op: BinaryOp, ty: DType) -> Result<u64, Reason> {
    use BinaryOp::{Add, BitAnd, BitOr, BitXor, Max, Min, Mul};
    let single = |bits: u32| u64::from(bits) * 0x1_0000_0001;
    Ok(match (op, ty) {
        // Minus zero: a sum of nothing but minus zeros stays one.
        (Add, DType::F64) => (-0.0_f64).to_bits(),
        (Add, DType::F32) => single((-0.0_f32).to_bits()),
        (Mul, DType::F64) => 1.0_f64.to_bits(),
        (Mul, DType::F32) => single(1.0_f32.to_bits()),
        (Min, DType::F64) => f64::INFINITY.to_bits(),
        (Min, DType::F32) => single(f32::INFINITY.to_bits()),
        (Max, DType::F64) => f64::NEG_INFINITY.to_bits(),
        (Max, DType::F32) => single(f32::NEG_INFINITY.to_bits()),
        (Add | BitOr | BitXor, _) => 0,
        (BitAnd, _) => u64::MAX,
        (Mul, DType::I64) => 1,
        (Mul, DType::I32) => 0x1_0000_0001,
        (Min, DType::I64) => i64::MAX as u64,
        (Min, DType::I32) => single(i32::MAX as u32),
        (Max, DType::I64) => i64::MIN as u64,
        (Max, DType::I32) => single(i32::MIN as u32),
        (op, ty) => return Err(format!("a reduction by {op:?} of {ty}")),
    })
}
