//! Reductions: a partial result per copy of the body, combined behind the loop. Those of all copies but the first meet it
//! behind the turns of several copies, so that a loop that is too short for such a turn pays nothing for them.

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

    /// Registers for the totals of a loop, with what variables hold in front of it.
    pub fn totals(&mut self, reductions: &[Reduction]) -> Result<Vec<Reg>, Reason> {
        let mut totals = Vec::with_capacity(reductions.len());
        for reduction in reductions {
            let reg = self.vector();
            if let Total::Variable(variable) = reduction.total {
                match self.known.get(&variable) {
                    Some(&Held::Everywhere(known)) => self.copy_vector(reg, known),
                    _ => self.load_total(reg, reduction)?,
                }
            }
            totals.push(reg);
        }
        Ok(totals)
    }

    /// Behind a loop, variables hold its totals.
    pub fn hold_totals(&mut self, reductions: &[Reduction], totals: &[Reg]) {
        for (reduction, &total) in reductions.iter().zip(totals) {
            let Total::Variable(variable) = reduction.total else { continue };
            self.known.remove(&variable);
            if matches!(reduction.ty, DType::F64 | DType::F32) {
                let everywhere = self.spread(total, reduction.ty);
                self.known.insert(variable, Held::Everywhere(everywhere));
            }
        }
    }

    fn load_total(&mut self, reg: Reg, reduction: &Reduction) -> Result<(), Reason> {
        let place = self.total_place(reduction)?;
        let load =
            if reduction.ty.bytes() == 8 { Code::VEX_Vmovsd_xmm_m64 } else { Code::VEX_Vmovss_xmm_m32 };
        self.emit(load, &[give(reg, View::Xmm), Operand::Memory(place)]);
        Ok(())
    }

    /// Gives partial results registers, those of the first copy with their neutral element; the last one of each is the
    /// total, with which single iterations go on.
    pub fn start_reductions(&mut self, copies: i64, totals: &[Reg]) -> Result<(), Reason> {
        for (reduction, &total) in self.reductions().into_iter().zip(totals) {
            let neutral = neutral(reduction.op, reduction.ty)?;
            let neutral = self.bits_everywhere(neutral);
            let mut partial: Vec<Reg> = (0..copies).map(|_| self.vector()).collect();
            if let Some(&first) = partial.first() {
                self.copy_vector(first, neutral);
            }
            partial.push(total);
            if let Some(lanes) = &mut self.lanes {
                lanes.partial.push(partial);
            }
        }
        Ok(())
    }

    /// Gives the partial results of copies behind the first their neutral element.
    pub fn start_copies(&mut self, copies: i64) -> Result<(), Reason> {
        for (at, reduction) in self.reductions().into_iter().enumerate() {
            let neutral = neutral(reduction.op, reduction.ty)?;
            let neutral = self.bits_everywhere(neutral);
            for reg in self.copies_of(at, copies).into_iter().skip(1) {
                self.copy_vector(reg, neutral);
            }
        }
        Ok(())
    }

    /// Combines the partial results of copies into the first, neighbours before others, so that none waits for all.
    pub fn finish_copies(&mut self, copies: i64) -> Result<(), Reason> {
        for (at, reduction) in self.reductions().into_iter().enumerate() {
            let mut left = self.copies_of(at, copies);
            let Some(&first) = left.first().filter(|_| copies > 1) else { continue };
            while left.len() > 1 {
                let mut halves = Vec::with_capacity(left.len().div_ceil(2));
                for pair in left.chunks(2) {
                    halves.push(match *pair {
                        [a, b] => self.lane_binary(reduction.op, reduction.ty, a, b)?,
                        _ => pair[0],
                    });
                }
                left = halves;
            }
            self.copy_vector(first, left[0]);
        }
        Ok(())
    }

    fn copies_of(&self, reduction: usize, copies: i64) -> Vec<Reg> {
        let partial = self.lanes.as_ref().and_then(|lanes| lanes.partial.get(reduction));
        let copies = usize::try_from(copies).unwrap_or(0);
        partial.map_or(Vec::new(), |partial| partial.iter().copied().take(copies).collect())
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
        let (ty, mut new) = (self.ty(value), self.operand(value)?);
        if let Some(mask) = self.mask() {
            // Iterations that do not take place leave it as it is.
            let view = self.view(ty);
            let code = match (view, ty.bytes()) {
                (View::Zmm, 8) => Code::EVEX_Vblendmpd_zmm_k1z_zmm_zmmm512b64,
                (View::Zmm, 4) => Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32,
                (View::Ymm, 4) => Code::EVEX_Vblendmps_ymm_k1z_ymm_ymmm256b32,
                _ => return Err(format!("a reduction of {ty} under a mask")),
            };
            let chosen = self.vector();
            self.emit(code, &[give(chosen, view), take(reg, view), take(new, view), Operand::Under(mask)]);
            new = chosen;
        }
        self.copy_vector(reg, new);
        Ok(true)
    }

    /// Combines the lanes of partial results with the totals so far; single iterations go on with that.
    pub fn combine_lanes(&mut self, count: i64) -> Result<(), Reason> {
        for (at, reduction) in self.reductions().into_iter().enumerate() {
            let Some(lanes) = &mut self.lanes else { return Ok(()) };
            lanes.count = count;
            let partial = lanes.partial.get(at).cloned().unwrap_or_default();
            let (Some(&first), Some(&single)) = (partial.first(), partial.last()) else { continue };
            let (op, ty) = (reduction.op, reduction.ty);
            let mut total = first;
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
            if let Total::Memory { .. } = reduction.total {
                self.load_total(single, &reduction)?;
            }
            total = self.lane_binary(op, ty, single, total)?;
            self.copy_vector(single, total);
        }
        Ok(())
    }

    fn lanes_are(&mut self, count: i64) {
        if let Some(lanes) = &mut self.lanes {
            lanes.count = count;
        }
    }

    fn total_place(&mut self, reduction: &Reduction) -> Result<Place, Reason> {
        Ok(match reduction.total {
            Total::Variable(variable) => self.input(Slot::Variable(variable)),
            Total::Memory { address, displacement, .. } => {
                let displacement = i32::try_from(displacement).map_err(|_| "a displacement is too large")?;
                let base = Base::Register(self.integer_of(address)?);
                Place { base, index: None, displacement }
            }
        })
    }

    /// Puts totals, which are in the lowest lanes of single iterations, where they belong.
    pub fn store_totals(&mut self) -> Result<(), Reason> {
        for (at, reduction) in self.reductions().into_iter().enumerate() {
            let partial = self.lanes.as_ref().and_then(|lanes| lanes.partial.get(at));
            let Some(&total) = partial.and_then(|partial| partial.last()) else { continue };
            let (place, ty) = (self.total_place(&reduction)?, reduction.ty);
            match reduction.total {
                // Variables of 32 bits are kept extended.
                Total::Variable(_) if ty == DType::I32 => {
                    let reg = self.integer();
                    self.emit(Code::VEX_Vmovd_rm32_xmm, &[give(reg, View::Half), take(total, View::Xmm)]);
                    self.emit(Code::Movsxd_r64_rm32, &[give(reg, View::Full), take(reg, View::Half)]);
                    self.emit(Code::Mov_rm64_r64, &[Operand::Memory(place), take(reg, View::Full)]);
                }
                _ if ty.bytes() == 8 => {
                    self.emit(Code::VEX_Vmovsd_m64_xmm, &[Operand::Memory(place), take(total, View::Xmm)]);
                }
                _ => self.emit(Code::VEX_Vmovss_m32_xmm, &[Operand::Memory(place), take(total, View::Xmm)]),
            }
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
