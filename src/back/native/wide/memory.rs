//! Loads and stores of lanes: contiguous, strided, gathered.

use iced_x86::Code;

use crate::kernel::ValueId;
use crate::kernel::vector::{Affine, Class, Reason, Stride};
use crate::scalar::DType;

use super::code::{Base, Operand, Place, Reg, View, change, give, take};
use super::lanes::sized;
use super::select::Select;

/// Where the lanes of an access are.
enum Spread {
    /// One behind the other.
    Contiguous(Place),
    /// Anywhere.
    Places(Vec<Place>),
}

impl Select<'_> {
    /// Loads the lanes of a value.
    pub fn lane_load(
        &mut self,
        value: ValueId,
        address: ValueId,
        displacement: i64,
        ty: DType,
    ) -> Result<Reg, Reason> {
        self.supported(ty)?;
        if let Some(lanes) = self.paired_load(value, address, displacement, ty)? {
            return Ok(lanes);
        }
        if let Some(lanes) = self.gathered_at_once(address, displacement, ty)? {
            return Ok(lanes);
        }
        if let Some(lanes) = self.strided(address, displacement, ty)? {
            return Ok(lanes);
        }
        match self.spread_of(address, displacement, ty)? {
            Spread::Contiguous(place) => self.load_contiguous(place, ty),
            Spread::Places(places) => self.load_places(&places, ty),
        }
    }

    pub fn lane_store(&mut self, address: ValueId, displacement: i64, value: ValueId) -> Result<(), Reason> {
        let ty = self.ty(value);
        self.supported(ty)?;
        let reg = self.operand(value)?;
        self.forget_pairs();
        match self.spread_of(address, displacement, ty)? {
            Spread::Contiguous(place) => self.store_contiguous(place, ty, reg),
            Spread::Places(places) => self.store_places(&places, ty, reg),
        }
    }

    fn spread_of(&mut self, address: ValueId, displacement: i64, ty: DType) -> Result<Spread, Reason> {
        match self.class(address) {
            Class::Lanes => self.gathered(address, displacement).map(Spread::Places),
            Class::Affine(affine) => self.moving(&affine, displacement, ty),
            Class::Uniform => Err("an address that does not move".to_owned()),
        }
    }

    /// The place of the first lane, where the lanes of an address lie one behind the other.
    pub fn contiguous_place(
        &mut self,
        affine: &Affine,
        displacement: i64,
        ty: DType,
    ) -> Result<Option<Place>, Reason> {
        Ok(match self.moving(affine, displacement, ty)? {
            Spread::Contiguous(place) => Some(place),
            Spread::Places(_) => None,
        })
    }

    /// The place of the first lane of an address that moves.
    pub fn first_place(&mut self, affine: &Affine, displacement: i64, ty: DType) -> Result<Place, Reason> {
        match self.moving(affine, displacement, ty)? {
            Spread::Contiguous(place) => Ok(place),
            Spread::Places(places) => {
                places.first().copied().ok_or_else(|| "a vector without lanes".to_owned())
            }
        }
    }

    /// Places of an address that moves by a fixed distance.
    fn moving(&mut self, affine: &Affine, displacement: i64, ty: DType) -> Result<Spread, Reason> {
        let Some(lanes) = &self.lanes else { return Err("there is no loop".to_owned()) };
        let (index, step, count, copy) = (lanes.index, lanes.step, lanes.count, lanes.copy);
        let bytes = ty.bytes() as i64;
        let stride = match affine.stride {
            Stride::Constant(stride) => stride,
            Stride::Times(value, factor) => {
                // Taken to be one element if the caller can see to it.
                if step != 1 || bytes % factor != 0 {
                    return Err("a stride that is not known".to_owned());
                }
                self.require(value, bytes / factor)?;
                bytes
            }
        };
        let constant = affine.constant.wrapping_add(displacement);
        let at =
            |lane: i64| constant.wrapping_add(stride.wrapping_mul(step).wrapping_mul(copy * count + lane));
        let (base, rest) = match i32::try_from(constant) {
            Ok(_) => (self.sum_of(&affine.terms, 0)?, 0),
            Err(_) => (self.sum_of(&affine.terms, constant)?, constant),
        };
        let short = |offset: i64| {
            i32::try_from(offset.wrapping_sub(rest)).map_err(|_| "a displacement is too large".to_owned())
        };
        let base = Base::Register(base);
        if stride.wrapping_mul(step) == bytes && matches!(stride, 1 | 2 | 4 | 8) {
            let place = Place { base, index: Some((index, stride as u32)), displacement: short(at(0))? };
            return Ok(Spread::Contiguous(place));
        }
        let index = match stride {
            1 | 2 | 4 | 8 => (index, stride as u32),
            _ => {
                let scaled = self.integer();
                self.scaled(scaled, index, stride)?;
                (scaled, 1)
            }
        };
        let mut places = Vec::with_capacity(count as usize);
        for lane in 0..count {
            places.push(Place { base, index: Some(index), displacement: short(at(lane))? });
        }
        Ok(Spread::Places(places))
    }

    /// A value must have this number whenever the nest runs.
    fn require(&mut self, value: ValueId, number: i64) -> Result<(), Reason> {
        if self.values.contains_key(&value) {
            return Err("a stride that is computed inside the nest".to_owned());
        }
        match self.facts.around.constants.get(&value) {
            Some(&constant) if constant == number => return Ok(()),
            Some(_) => return Err("a stride of several elements".to_owned()),
            None => {}
        }
        match self.conditions.iter().find(|(known, _)| *known == value) {
            Some(&(_, known)) if known != number => Err("two element sizes with one stride".to_owned()),
            Some(_) => Ok(()),
            None => {
                self.conditions.push((value, number));
                Ok(())
            }
        }
    }

    fn load_contiguous(&mut self, place: Place, ty: DType) -> Result<Reg, Reason> {
        let (count, lane_bytes) = self.lane_shape();
        let memory = Operand::Memory(place);
        if ty == DType::Bool {
            return self.load_bools(place, count, lane_bytes);
        }
        if let Some(mask) = self.mask() {
            let (code, _, view) = masked_move(ty, count)?;
            let reg = self.vector();
            self.emit(code, &[give(reg, view), memory, Operand::Only(mask)]);
            return Ok(reg);
        }
        let reg = self.vector();
        let (code, view) = match count * ty.bytes() as i64 {
            64 => (Code::VEX_Vmovups_ymm_ymmm256, View::Zmm),
            32 => (Code::VEX_Vmovups_ymm_ymmm256, View::Ymm),
            16 => (Code::VEX_Vmovups_xmm_xmmm128, View::Xmm),
            8 => (Code::VEX_Vmovsd_xmm_m64, View::Xmm),
            4 => (Code::VEX_Vmovss_xmm_m32, View::Xmm),
            bytes => return Err(format!("a vector of {bytes} bytes")),
        };
        self.emit(code, &[give(reg, view), memory]);
        Ok(reg)
    }

    fn load_bools(&mut self, place: Place, count: i64, lane_bytes: i64) -> Result<Reg, Reason> {
        let memory = Operand::Memory(place);
        let view = self.view(DType::Bool);
        let bytes = self.vector();
        if let Some(mask) = self.mask() {
            let code = match count {
                8 => Code::EVEX_Vpmovzxbq_zmm_k1z_xmmm64,
                16 => Code::EVEX_Vpmovzxbd_zmm_k1z_xmmm128,
                count => return Err(format!("{count} bools under a mask")),
            };
            self.emit(code, &[give(bytes, view), memory, Operand::Only(mask)]);
        } else if count == 1 {
            let integer = self.integer();
            self.emit(Code::Movzx_r32_rm8, &[give(integer, View::Half), memory]);
            self.emit(Code::VEX_Vmovq_xmm_rm64, &[give(bytes, View::Xmm), take(integer, View::Full)]);
        } else {
            let code = if lane_bytes == 8 {
                sized!(view, VEX_Vpmovzxbq_xmm_xmmm16, VEX_Vpmovzxbq_ymm_xmmm32)
            } else {
                sized!(view, VEX_Vpmovzxbd_xmm_xmmm32, VEX_Vpmovzxbd_ymm_xmmm64)
            };
            self.emit(code, &[give(bytes, view), memory]);
        }
        let zero = self.bits_everywhere(0);
        let code = if lane_bytes == 8 {
            sized!(view, VEX_Vpcmpgtq_xmm_xmm_xmmm128, VEX_Vpcmpgtq_ymm_ymm_ymmm256)
        } else {
            sized!(view, VEX_Vpcmpgtd_xmm_xmm_xmmm128, VEX_Vpcmpgtd_ymm_ymm_ymmm256)
        };
        Ok(self.three(code, view, bytes, zero))
    }

    fn store_contiguous(&mut self, place: Place, ty: DType, reg: Reg) -> Result<(), Reason> {
        let (count, _) = self.lane_shape();
        let memory = Operand::Memory(place);
        if ty == DType::Bool {
            return self.store_bools(place, reg, count);
        }
        if let Some(mask) = self.mask() {
            let (_, code, view) = masked_move(ty, count)?;
            self.emit(code, &[memory, take(reg, view), Operand::Under(mask)]);
            return Ok(());
        }
        let (code, view) = match count * ty.bytes() as i64 {
            64 => (Code::VEX_Vmovups_ymmm256_ymm, View::Zmm),
            32 => (Code::VEX_Vmovups_ymmm256_ymm, View::Ymm),
            16 => (Code::VEX_Vmovups_xmmm128_xmm, View::Xmm),
            8 => (Code::VEX_Vmovsd_m64_xmm, View::Xmm),
            4 => (Code::VEX_Vmovss_m32_xmm, View::Xmm),
            bytes => return Err(format!("a vector of {bytes} bytes")),
        };
        self.emit(code, &[memory, take(reg, view)]);
        Ok(())
    }

    /// The bit of each lane becomes a byte.
    fn store_bools(&mut self, place: Place, mask: Reg, count: i64) -> Result<(), Reason> {
        let memory = Operand::Memory(place);
        if let Some(chosen) = self.mask() {
            let (code, one) = match count {
                8 => (Code::EVEX_Vpmovqb_xmmm64_k1z_zmm, 1),
                16 => (Code::EVEX_Vpmovdb_xmmm128_k1z_zmm, 0x1_0000_0001),
                count => return Err(format!("{count} bools under a mask")),
            };
            let one = self.bits_everywhere(one);
            let ones = self.and(View::Zmm, mask, one);
            self.emit(code, &[memory, take(ones, View::Zmm), Operand::Under(chosen)]);
            return Ok(());
        }
        if count == 16 {
            let one = self.bits_everywhere(0x1_0000_0001);
            let ones = self.and(View::Zmm, mask, one);
            self.emit(Code::EVEX_Vpmovdb_xmmm128_k1z_zmm, &[memory, take(ones, View::Zmm)]);
            return Ok(());
        }
        let bits = self.mask_bits(mask);
        if count == 1 {
            self.emit(Code::And_rm64_imm32, &[change(bits, View::Full), Operand::Word(1)]);
            self.emit(Code::Mov_rm8_r8, &[memory, take(bits, View::Byte)]);
            return Ok(());
        }
        let pattern = self.constant_integer(0x0101_0101_0101_0101);
        let bytes = self.integer();
        self.emit_either(
            Code::VEX_Pdep_r64_r64_rm64,
            &[give(bytes, View::Full), take(bits, View::Full), take(pattern, View::Full)],
            2,
        );
        let (code, view) = match count {
            8 => (Code::Mov_rm64_r64, View::Full),
            4 => (Code::Mov_rm32_r32, View::Half),
            2 => (Code::Mov_rm16_r16, View::Quarter),
            count => return Err(format!("{count} bools")),
        };
        self.emit(code, &[memory, take(bytes, view)]);
        Ok(())
    }

    fn load_places(&mut self, places: &[Place], ty: DType) -> Result<Reg, Reason> {
        self.all_lanes()?;
        if ty == DType::Bool {
            return Err("bools that are not contiguous".to_owned());
        }
        let long = ty.bytes() == 8;
        let per_half = if long { 2 } else { 4 };
        let mut halves = Vec::new();
        for part in places.chunks(per_half) {
            let mut half = self.vector();
            let code = if long { Code::VEX_Vmovsd_xmm_m64 } else { Code::VEX_Vmovss_xmm_m32 };
            let Some((&first, rest)) = part.split_first() else { continue };
            self.emit(code, &[give(half, View::Xmm), Operand::Memory(first)]);
            for (lane, &place) in rest.iter().enumerate() {
                let next = self.vector();
                if long {
                    self.emit(
                        Code::VEX_Vmovhpd_xmm_xmm_m64,
                        &[give(next, View::Xmm), take(half, View::Xmm), Operand::Memory(place)],
                    );
                } else {
                    let slot = ((lane + 1) << 4) as u8;
                    self.emit(
                        Code::VEX_Vinsertps_xmm_xmm_xmmm32_imm8,
                        &[
                            give(next, View::Xmm),
                            take(half, View::Xmm),
                            Operand::Memory(place),
                            Operand::Byte(slot),
                        ],
                    );
                }
                half = next;
            }
            halves.push(half);
        }
        match halves[..] {
            [half] => Ok(half),
            [low, high] => Ok(self.joined(low, high)),
            [a, b, c, d] => {
                let (low, high) = (self.joined(a, b), self.joined(c, d));
                let both = self.vector();
                self.emit_either(
                    Code::EVEX_Vinsertf64x4_zmm_k1z_zmm_ymmm256_imm8,
                    &[give(both, View::Zmm), take(low, View::Zmm), take(high, View::Ymm), Operand::Byte(1)],
                    2,
                );
                Ok(both)
            }
            _ => Err("a vector without lanes".to_owned()),
        }
    }

    /// 128 bits and 128 bits behind them.
    fn joined(&mut self, low: Reg, high: Reg) -> Reg {
        let both = self.vector();
        self.emit_either(
            Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
            &[give(both, View::Ymm), take(low, View::Ymm), take(high, View::Xmm), Operand::Byte(1)],
            2,
        );
        both
    }

    fn store_places(&mut self, places: &[Place], ty: DType, reg: Reg) -> Result<(), Reason> {
        self.all_lanes()?;
        if ty == DType::Bool {
            return Err("bools that are not contiguous".to_owned());
        }
        let long = ty.bytes() == 8;
        let per_half = if long { 2 } else { 4 };
        for (number, part) in places.chunks(per_half).enumerate() {
            let half = if number == 0 {
                reg
            } else {
                let upper = self.vector();
                let (code, view) = if places.len() > 2 * per_half {
                    (Code::EVEX_Vextractf32x4_xmmm128_k1z_zmm_imm8, View::Zmm)
                } else {
                    (Code::VEX_Vextractf128_xmmm128_ymm_imm8, View::Ymm)
                };
                self.emit(code, &[give(upper, View::Xmm), take(reg, view), Operand::Byte(number as u8)]);
                upper
            };
            for (lane, &place) in part.iter().enumerate() {
                let memory = Operand::Memory(place);
                let value = take(half, View::Xmm);
                match (long, lane) {
                    (true, 0) => self.emit(Code::VEX_Vmovsd_m64_xmm, &[memory, value]),
                    (true, _) => self.emit(Code::VEX_Vmovhpd_m64_xmm, &[memory, value]),
                    (false, 0) => self.emit(Code::VEX_Vmovss_m32_xmm, &[memory, value]),
                    (false, lane) => self.emit(
                        Code::VEX_Vextractps_rm32_xmm_imm8,
                        &[memory, value, Operand::Byte(lane as u8)],
                    ),
                }
            }
        }
        Ok(())
    }
}

/// How lanes are loaded and stored under a mask.
pub(super) fn masked_move(ty: DType, count: i64) -> Result<(Code, Code, View), Reason> {
    Ok(match (ty, count * ty.bytes() as i64) {
        (DType::F64 | DType::I64, 64) => {
            (Code::EVEX_Vmovupd_zmm_k1z_zmmm512, Code::EVEX_Vmovupd_zmmm512_k1z_zmm, View::Zmm)
        }
        (_, 64) => (Code::EVEX_Vmovups_zmm_k1z_zmmm512, Code::EVEX_Vmovups_zmmm512_k1z_zmm, View::Zmm),
        (_, 32) => (Code::EVEX_Vmovups_ymm_k1z_ymmm256, Code::EVEX_Vmovups_ymmm256_k1z_ymm, View::Ymm),
        (ty, _) => return Err(format!("{count} lanes of {ty} under a mask")),
    })
}
