//! Two elements side by side per lane, as complex numbers lie in memory: whole vectors are loaded and stored, and parted
//! in registers. Which accesses are such pairs, [`kernel::vector`](crate::kernel::vector) says.

use iced_x86::Code;

use crate::kernel::vector::{Class, Reason, are_paired_stores};
use crate::kernel::{Stmt, ValueId};
use crate::scalar::DType;

use super::code::{Base, Operand, Place, Reg, View, change, give, take};
use super::evex::FREE_MASK;
use super::lanes::sized;
use super::memory::masked_move;
use super::select::Select;

impl Select<'_> {
    /// Lanes of which another load wants the elements beside; both are loaded.
    pub fn paired_load(
        &mut self,
        value: ValueId,
        address: ValueId,
        displacement: i64,
        ty: DType,
    ) -> Result<Option<Reg>, Reason> {
        let Some(lanes) = &self.lanes else { return Ok(None) };
        let Some(&lower) = lanes.body.pairs.get(&value) else { return Ok(None) };
        let known = lanes.paired.get(&(address, lower)).copied();
        let both = match (known, self.class(address)) {
            (Some(both), _) => both,
            (None, Class::Affine(affine)) if self.is_wide(ty) => {
                let place = self.first_place(&affine, lower, ty)?;
                let vectors = self.load_two(place, ty)?;
                let both = self.parted(vectors, ty);
                if let Some(lanes) = &mut self.lanes {
                    lanes.paired.insert((address, lower), both);
                }
                both
            }
            _ => return Ok(None),
        };
        Ok(Some(both[usize::from(displacement != lower)]))
    }

    /// Two stores as one, if they are a pair.
    pub fn paired_stores(&mut self, first: &Stmt, second: &Stmt) -> Result<bool, Reason> {
        let Some(lanes) = &self.lanes else { return Ok(false) };
        if !are_paired_stores(self.kernel, &lanes.body.classes, lanes.step, first, second) {
            return Ok(false);
        }
        let (
            Stmt::Store { address, displacement, value, .. },
            Stmt::Store { displacement: displacement_2, value: value_2, .. },
        ) = (first, second)
        else {
            return Ok(false);
        };
        let ty = self.ty(*value);
        let Class::Affine(affine) = self.class(*address) else { return Ok(false) };
        if !self.is_wide(ty) {
            return Ok(false);
        }
        let mut parts = [self.operand(*value)?, self.operand(*value_2)?];
        if displacement_2 < displacement {
            parts.reverse();
        }
        self.forget_pairs();
        let place = self.first_place(&affine, *displacement.min(displacement_2), ty)?;
        let vectors = self.joined_pairs(parts, ty);
        self.store_two(place, ty, vectors)?;
        Ok(true)
    }

    /// What is stored may be what was loaded.
    pub fn forget_pairs(&mut self) {
        if let Some(lanes) = &mut self.lanes {
            lanes.paired.clear();
        }
    }

    /// Whether lanes of a type fill a vector register.
    fn is_wide(&self, ty: DType) -> bool {
        self.lane_shape().0 * ty.bytes() as i64 >= 16
    }

    fn second(&self, place: Place, ty: DType) -> Result<Place, Reason> {
        let further = i64::from(place.displacement) + self.lane_shape().0 * ty.bytes() as i64;
        let displacement = i32::try_from(further).map_err(|_| "a displacement is too large")?;
        Ok(Place { displacement, ..place })
    }

    fn load_two(&mut self, place: Place, ty: DType) -> Result<[Reg; 2], Reason> {
        let vectors = [self.vector(), self.vector()];
        let places = [place, self.second(place, ty)?];
        if self.is_masked() {
            let (code, _, view) = masked_move(ty, self.lane_shape().0)?;
            let bits = self.doubled_mask();
            for ((vector, place), bits) in vectors.into_iter().zip(places).zip(bits) {
                self.emit(Code::VEX_Kmovw_kr_r32, &[Operand::Mask(FREE_MASK), take(bits, View::Half)]);
                let memory = Operand::Memory(place);
                self.emit(code, &[give(vector, view), memory, Operand::Only(FREE_MASK)]);
            }
            return Ok(vectors);
        }
        let view = self.view(ty);
        let code = sized!(view, VEX_Vmovups_xmm_xmmm128, VEX_Vmovups_ymm_ymmm256);
        for (vector, place) in vectors.into_iter().zip(places) {
            self.emit(code, &[give(vector, view), Operand::Memory(place)]);
        }
        Ok(vectors)
    }

    fn store_two(&mut self, place: Place, ty: DType, vectors: [Reg; 2]) -> Result<(), Reason> {
        let places = [place, self.second(place, ty)?];
        if self.is_masked() {
            let (_, code, view) = masked_move(ty, self.lane_shape().0)?;
            let bits = self.doubled_mask();
            for ((vector, place), bits) in vectors.into_iter().zip(places).zip(bits) {
                self.emit(Code::VEX_Kmovw_kr_r32, &[Operand::Mask(FREE_MASK), take(bits, View::Half)]);
                let memory = Operand::Memory(place);
                self.emit(code, &[memory, take(vector, view), Operand::Under(FREE_MASK)]);
            }
            return Ok(());
        }
        let view = self.view(ty);
        let code = sized!(view, VEX_Vmovups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm);
        for (vector, place) in vectors.into_iter().zip(places) {
            self.emit(code, &[Operand::Memory(place), take(vector, view)]);
        }
        Ok(())
    }

    /// The mask of the lanes that take place with two bits for each, for the lower and for the upper vector.
    fn doubled_mask(&mut self) -> [Reg; 2] {
        if let Some(known) = self.lanes.as_ref().and_then(|lanes| lanes.doubled) {
            return known;
        }
        let (count, _) = self.lane_shape();
        let mask = Operand::Mask(self.mask().unwrap_or(FREE_MASK));
        let (bits, spread, lower, upper) = (self.integer(), self.integer(), self.integer(), self.integer());
        self.emit(Code::VEX_Kmovw_r32_kr, &[give(bits, View::Half), mask]);
        let every_second = self.constant_integer(0x5555_5555);
        self.emit_either(
            Code::VEX_Pdep_r64_r64_rm64,
            &[give(spread, View::Full), take(bits, View::Full), take(every_second, View::Full)],
            2,
        );
        let thrice = Place { base: Base::Register(spread), index: Some((spread, 2)), displacement: 0 };
        self.emit(Code::Lea_r64_m, &[give(lower, View::Full), Operand::Memory(thrice)]);
        self.emit_either(Code::Mov_r64_rm64, &[give(upper, View::Full), take(lower, View::Full)], 1);
        self.emit(Code::Shr_rm64_imm8, &[change(upper, View::Full), Operand::Byte(count as u8)]);
        if let Some(lanes) = &mut self.lanes {
            lanes.doubled = Some([lower, upper]);
        }
        [lower, upper]
    }

    /// The first and the second elements of the pairs in two vectors.
    fn parted(&mut self, [low, high]: [Reg; 2], ty: DType) -> [Reg; 2] {
        let view = self.view(ty);
        if self.settings.bits == 512 {
            let numbers = |second: u64| std::array::from_fn(|at| 2 * at as u64 + second);
            return [0, 1].map(|second| self.picked(ty, low, high, numbers(second)));
        }
        let (mut a, mut b) = (low, high);
        if view == View::Ymm {
            (a, b) = (self.crossed(low, high, 0x20), self.crossed(low, high, 0x31));
        }
        if ty == DType::F64 {
            let first = sized!(view, VEX_Vunpcklpd_xmm_xmm_xmmm128, VEX_Vunpcklpd_ymm_ymm_ymmm256);
            let second = sized!(view, VEX_Vunpckhpd_xmm_xmm_xmmm128, VEX_Vunpckhpd_ymm_ymm_ymmm256);
            return [self.three(first, view, a, b), self.three(second, view, a, b)];
        }
        let code = sized!(view, VEX_Vshufps_xmm_xmm_xmmm128_imm8, VEX_Vshufps_ymm_ymm_ymmm256_imm8);
        [0x88, 0xdd].map(|which| {
            let result = self.vector();
            let operands = [give(result, view), take(a, view), take(b, view), Operand::Byte(which)];
            self.emit_either(code, &operands, 2);
            result
        })
    }

    /// Two vectors of pairs from their first and second elements.
    fn joined_pairs(&mut self, [first, second]: [Reg; 2], ty: DType) -> [Reg; 2] {
        let view = self.view(ty);
        if self.settings.bits == 512 {
            let count = self.lane_shape().0 as u64;
            let numbers = |half: u64| {
                std::array::from_fn(|at| half * count / 2 + at as u64 / 2 + (at as u64 % 2) * count)
            };
            return [0, 1].map(|half| self.picked(ty, first, second, numbers(half)));
        }
        let (low, high) = if ty == DType::F64 {
            (
                sized!(view, VEX_Vunpcklpd_xmm_xmm_xmmm128, VEX_Vunpcklpd_ymm_ymm_ymmm256),
                sized!(view, VEX_Vunpckhpd_xmm_xmm_xmmm128, VEX_Vunpckhpd_ymm_ymm_ymmm256),
            )
        } else {
            (
                sized!(view, VEX_Vunpcklps_xmm_xmm_xmmm128, VEX_Vunpcklps_ymm_ymm_ymmm256),
                sized!(view, VEX_Vunpckhps_xmm_xmm_xmmm128, VEX_Vunpckhps_ymm_ymm_ymmm256),
            )
        };
        let (a, b) = (self.three(low, view, first, second), self.three(high, view, first, second));
        if view == View::Ymm { [self.crossed(a, b, 0x20), self.crossed(a, b, 0x31)] } else { [a, b] }
    }

    /// Halves of 256-bit vectors: the lower ones, or the upper ones.
    fn crossed(&mut self, a: Reg, b: Reg, which: u8) -> Reg {
        let result = self.vector();
        let operands =
            [give(result, View::Ymm), take(a, View::Ymm), take(b, View::Ymm), Operand::Byte(which)];
        self.emit_either(Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8, &operands, 2);
        result
    }

    /// Elements of two vectors by number, those of the second one behind those of the first.
    fn picked(&mut self, ty: DType, a: Reg, b: Reg, numbers: [u64; 16]) -> Reg {
        let view = self.view(ty);
        let (code, numbers) = if ty == DType::F64 {
            let code = match view {
                View::Xmm => Code::EVEX_Vpermt2pd_xmm_k1z_xmm_xmmm128b64,
                View::Ymm => Code::EVEX_Vpermt2pd_ymm_k1z_ymm_ymmm256b64,
                _ => Code::EVEX_Vpermt2pd_zmm_k1z_zmm_zmmm512b64,
            };
            (code, std::array::from_fn(|at| numbers[at]))
        } else {
            let code = match view {
                View::Xmm => Code::EVEX_Vpermt2ps_xmm_k1z_xmm_xmmm128b32,
                View::Ymm => Code::EVEX_Vpermt2ps_ymm_k1z_ymm_ymmm256b32,
                _ => Code::EVEX_Vpermt2ps_zmm_k1z_zmm_zmmm512b32,
            };
            (code, std::array::from_fn(|at| numbers[2 * at] | numbers[2 * at + 1] << 32))
        };
        let numbers = self.constant_vector(numbers);
        let result = self.vector();
        self.copy_vector(result, a);
        self.emit_either(code, &[change(result, view), take(numbers, view), take(b, view)], 2);
        result
    }
}
