//! Gathered elements: addresses that differ between lanes, and checks of the indices behind them.
//!
//! An address `uniform + factor * index` with indices that lie one behind the other in memory (a connectivity
//! table) takes each index straight from there into an integer register; other indices pass through the frame. With 512
//! bits, elements of 64 bits are gathered by one instruction, and eight indices are checked by one.

use iced_x86::Code;

use crate::kernel::vector::{Class, Reason, Stride};
use crate::kernel::{Op, TrapId, ValueId};
use crate::scalar::{BinaryOp, DType};

use super::code::{Base, Item, Operand, Place, Reg, View, change, give, take};
use super::evex::FREE_MASK;
use super::lanes::sized;
use super::select::Select;

/// How unsigned numbers are compared: whether the first is at least the second.
const NOT_LESS: u8 = 5;

/// `sum of terms + constant + factor * index`.
struct Form {
    terms: Vec<(ValueId, i64)>,
    constant: i64,
    index: ValueId,
    factor: i64,
}

impl Select<'_> {
    /// Places of addresses that are lanes.
    pub fn gathered(&mut self, address: ValueId, displacement: i64) -> Result<Vec<Place>, Reason> {
        let form = self.form(address, 0);
        let (base, index, factor, constant) = match form {
            Some(form) => {
                let base = self.sum_of(&form.terms, 0)?;
                (Some(base), form.index, form.factor, form.constant)
            }
            None => (None, address, 1, 0),
        };
        let displacement =
            i32::try_from(displacement.wrapping_add(constant)).map_err(|_| "a displacement is too large")?;
        let lanes = self.in_integers(index)?;
        let mut places = Vec::with_capacity(lanes.len());
        for lane in lanes {
            let place = match (base, factor) {
                (None, _) => Place { base: Base::Register(lane), index: None, displacement },
                (Some(base), 1 | 2 | 4 | 8) => {
                    Place { base: Base::Register(base), index: Some((lane, factor as u32)), displacement }
                }
                (Some(base), factor) => {
                    let scaled = self.integer();
                    self.scaled(scaled, lane, factor)?;
                    Place { base: Base::Register(base), index: Some((scaled, 1)), displacement }
                }
            };
            places.push(place);
        }
        Ok(places)
    }

    /// Elements gathered by one instruction, where there is one.
    pub fn gathered_at_once(
        &mut self,
        address: ValueId,
        displacement: i64,
        ty: DType,
    ) -> Result<Option<Reg>, Reason> {
        if self.view(DType::I64) != View::Zmm || ty.bytes() != 8 || self.class(address) != Class::Lanes {
            return Ok(None);
        }
        let Some(form) = self.form(address, 0) else { return Ok(None) };
        let Ok(displacement) = i32::try_from(displacement.wrapping_add(form.constant)) else {
            return Ok(None);
        };
        if form.terms.is_empty() || !matches!(form.factor, 1 | 2 | 4 | 8) {
            return Ok(None);
        }
        let base = Base::Register(self.sum_of(&form.terms, 0)?);
        let lanes = self.operand(form.index)?;
        let place = Place { base, index: Some((lanes, form.factor as u32)), displacement };
        Ok(Some(self.gather(place)))
    }

    /// Eight elements of 64 bits, whose place has a vector for its index.
    fn gather(&mut self, place: Place) -> Reg {
        let (result, zero) = (self.vector(), self.bits_everywhere(0));
        self.copy_vector(result, zero);
        // The instruction clears the mask.
        let wanted = Operand::Mask(FREE_MASK);
        if let Some(mask) = self.mask() {
            self.emit(Code::VEX_Kmovw_kr_km16, &[wanted, Operand::Mask(mask)]);
        } else {
            self.emit(Code::VEX_Kxnorw_kr_kr_kr, &[wanted, wanted, wanted]);
        }
        self.emit(
            Code::EVEX_Vgatherqpd_zmm_k1_vm64z,
            &[change(result, View::Zmm), Operand::Memory(place), Operand::Under(FREE_MASK)],
        );
        result
    }

    /// Elements of a reduction that lie a distance apart which only run time tells, where another access moves by one
    /// element: then this one goes across rows, and hardly by one element too.
    pub fn strided(&mut self, address: ValueId, displacement: i64, ty: DType) -> Result<Option<Reg>, Reason> {
        let (Class::Affine(affine), Some(lanes)) = (self.class(address), &self.lanes) else {
            return Ok(None);
        };
        let Stride::Times(value, factor) = affine.stride else { return Ok(None) };
        let across = !lanes.body.reductions.is_empty() && lanes.body.unit_accesses > 0 && lanes.step == 1;
        let (index, count, copy) = (lanes.index, lanes.count, lanes.copy);
        if !across || self.whole() != View::Zmm || ty.bytes() != 8 || !matches!(count, 1 | 8) {
            return Ok(None);
        }
        let (distance, offsets) = self.distances(value, factor)?;
        let base = self.sum_of(&affine.terms, affine.constant.wrapping_add(displacement))?;
        let first = self.integer();
        self.emit_either(Code::Mov_r64_rm64, &[give(first, View::Full), take(index, View::Full)], 1);
        self.multiply(first, distance);
        self.add(first, base);
        if copy > 0 {
            let times = factor.checked_mul(copy * count).ok_or("a stride is too large")?;
            let (ahead, _) = self.distances(value, times)?;
            self.add(first, ahead);
        }
        let place = Place { base: Base::Register(first), index: None, displacement: 0 };
        if count == 1 {
            let element = self.vector();
            self.emit(Code::VEX_Vmovsd_xmm_m64, &[give(element, View::Xmm), Operand::Memory(place)]);
            return Ok(Some(element));
        }
        Ok(Some(self.gather(Place { index: Some((offsets, 1)), ..place })))
    }

    /// A distance `factor * value` and its multiples from zero on, as many as there are lanes: at the entry where it is known
    /// there, else in front of the loop.
    fn distances(&mut self, value: ValueId, factor: i64) -> Result<(Reg, Reg), Reason> {
        let key = (value, factor);
        if let Some(&known) = self.outside_distances.get(&key).or_else(|| self.caches.distances.get(&key)) {
            return Ok(known);
        }
        let outside = !self.definitions.contains_key(&value) && !self.values.contains_key(&value);
        let stride = self.integer_of(value)?;
        let compute = |select: &mut Self| {
            let distance = select.integer();
            select.scaled(distance, stride, factor)?;
            let distances = select.broadcast_integer(distance, DType::I64);
            let numbers = select.constant_vector([0, 1, 2, 3, 4, 5, 6, 7]);
            let view = select.whole();
            Ok::<_, Reason>((distance, select.long_product(view, distances, numbers)))
        };
        if outside {
            let lanes = self.lanes.take();
            let found = self.at_entry(compute);
            self.lanes = lanes;
            self.outside_distances.insert(key, found.clone()?);
            return found;
        }
        let found = self.in_front(compute)?;
        self.caches.distances.insert(key, found);
        Ok(found)
    }

    fn definition(&self, value: ValueId) -> Option<&Op> {
        self.definitions.get(&value)
    }

    /// An address as uniform terms and one index that differs between lanes.
    fn form(&self, value: ValueId, depth: u32) -> Option<Form> {
        if depth > 16 || self.class(value) != Class::Lanes {
            return None;
        }
        let constant = |value: ValueId| self.facts.around.constants.get(&value).copied();
        if let Some(&Op::Binary(op, a, b)) = self.definition(value) {
            match op {
                BinaryOp::Add => {
                    for (lanes, uniform) in [(a, b), (b, a)] {
                        if self.class(uniform) == Class::Uniform
                            && let Some(mut form) = self.form(lanes, depth + 1)
                        {
                            match constant(uniform) {
                                Some(number) => form.constant = form.constant.wrapping_add(number),
                                None => form.terms.push((uniform, 1)),
                            }
                            return Some(form);
                        }
                    }
                }
                BinaryOp::Mul => {
                    for (lanes, factor) in [(a, b), (b, a)] {
                        if let Some(factor) = constant(factor).filter(|factor| i32::try_from(*factor).is_ok())
                            && self.class(lanes) == Class::Lanes
                        {
                            return Some(Form { terms: Vec::new(), constant: 0, index: lanes, factor });
                        }
                    }
                }
                _ => {}
            }
        }
        Some(Form { terms: Vec::new(), constant: 0, index: value, factor: 1 })
    }

    /// Lanes of a 64-bit integer in integer registers.
    fn in_integers(&mut self, value: ValueId) -> Result<Vec<Reg>, Reason> {
        if let Some(known) = self.lanes.as_ref().and_then(|lanes| lanes.scattered.get(&value)) {
            return Ok(known.clone());
        }
        self.all_lanes()?;
        let (count, _) = self.lane_shape();
        let mut regs = Vec::with_capacity(count as usize);
        if let Some((first, code, bytes)) = self.table_entry(value)? {
            for lane in 0..count {
                let reg = self.integer();
                let displacement = i32::try_from(i64::from(first.displacement) + lane * bytes)
                    .map_err(|_| "a displacement is too large")?;
                let place = Operand::Memory(Place { displacement, ..first });
                self.emit(code, &[give(reg, View::Full), place]);
                regs.push(reg);
            }
        } else {
            self.through_the_frame(value, count, &mut regs)?;
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.scattered.insert(value, regs.clone());
        }
        Ok(regs)
    }

    fn through_the_frame(&mut self, value: ValueId, count: i64, regs: &mut Vec<Reg>) -> Result<(), Reason> {
        let lanes = self.operand(value)?;
        let view = self.view(DType::I64);
        if count == 1 {
            let reg = self.integer();
            self.emit(Code::VEX_Vmovq_rm64_xmm, &[give(reg, View::Full), take(lanes, View::Xmm)]);
            regs.push(reg);
            return Ok(());
        }
        let frame = |lane: i64| Place { base: Base::Frame, index: None, displacement: 64 + 8 * lane as i32 };
        let code = sized!(view, VEX_Vmovups_xmmm128_xmm, VEX_Vmovups_ymmm256_ymm);
        self.emit(code, &[Operand::Memory(frame(0)), take(lanes, view)]);
        for lane in 0..count {
            let reg = self.integer();
            self.emit(Code::Mov_r64_rm64, &[give(reg, View::Full), Operand::Memory(frame(lane))]);
            regs.push(reg);
        }
        Ok(())
    }

    /// Where the first lane of an index lies in memory, if the others lie behind it, and how one is loaded.
    fn table_entry(&mut self, value: ValueId) -> Result<Option<(Place, Code, i64)>, Reason> {
        let source = match self.definition(value) {
            Some(Op::Cast(DType::I64, source)) if self.ty(*source) == DType::I32 => *source,
            _ => value,
        };
        let Some(&Op::Load { address, displacement, ty, .. }) = self.definition(source) else {
            return Ok(None);
        };
        let (code, bytes) = match ty {
            DType::I32 => (Code::Movsxd_r64_rm32, 4),
            DType::I64 => (Code::Mov_r64_rm64, 8),
            _ => return Ok(None),
        };
        let Class::Affine(affine) = self.class(address) else { return Ok(None) };
        if affine.stride != Stride::Constant(bytes) || self.lanes.as_ref().is_none_or(|lanes| lanes.step != 1)
        {
            return Ok(None);
        }
        // What is stored in between would be read here.
        let stored = self.lanes.as_ref().is_some_and(|lanes| {
            matches!(self.definitions.get(&source), Some(Op::Load { buffer, .. }) if lanes.body.stored.contains(buffer))
        });
        if stored {
            return Ok(None);
        }
        Ok(self.contiguous_place(&affine, displacement, ty)?.map(|place| (place, code, bytes)))
    }

    /// Stops unless `0 <= index < limit` in every lane, where the condition says that; false if it says something
    /// else.
    pub fn check_range(&mut self, condition: ValueId, trap: TrapId) -> Result<bool, Reason> {
        let Some((index, limit)) =
            self.range(condition).filter(|&(index, _)| self.class(index) == Class::Lanes)
        else {
            return Ok(false);
        };
        let label = self.trap_label(trap);
        if self.view(DType::I64) == View::Zmm {
            let limits = self.clamped_everywhere(limit)?;
            let lanes = self.operand(index)?;
            let outside = Operand::Mask(FREE_MASK);
            let mut operands =
                vec![outside, take(lanes, View::Zmm), take(limits, View::Zmm), Operand::Byte(NOT_LESS)];
            if let Some(mask) = self.mask() {
                operands.push(Operand::Under(mask));
            }
            self.emit_either(Code::EVEX_Vpcmpuq_kr_k1_zmm_zmmm512b64_imm8, &operands, 2);
            self.emit(Code::VEX_Kortestw_kr_kr, &[outside, outside]);
            self.item(Item::Jump(Code::Jne_rel32_64, label));
            return Ok(true);
        }
        let limit = self.clamped(limit)?;
        for lane in self.in_integers(index)? {
            self.compare(lane, limit);
            self.item(Item::Jump(Code::Jae_rel32_64, label));
        }
        Ok(true)
    }

    /// A limit of indices, in front of the loop; a negative one must not look large.
    fn clamped(&mut self, limit: ValueId) -> Result<Reg, Reason> {
        if let Some(&(known, _)) = self.caches.limits.get(&limit) {
            return Ok(known);
        }
        let zero = self.constant_integer(0);
        let number = self.integer_of(limit)?;
        let clamped = self.in_front(|select| select.not_negative(number, zero));
        self.caches.limits.insert(limit, (clamped, None));
        Ok(clamped)
    }

    /// That limit in all lanes.
    fn clamped_everywhere(&mut self, limit: ValueId) -> Result<Reg, Reason> {
        let clamped = self.clamped(limit)?;
        if let Some(&(_, Some(known))) = self.caches.limits.get(&limit) {
            return Ok(known);
        }
        let lanes = self.in_front(|select| select.broadcast_integer(clamped, DType::I64));
        self.caches.limits.insert(limit, (clamped, Some(lanes)));
        Ok(lanes)
    }

    /// The index and the limit of `index >= 0 and index < limit`.
    fn range(&self, condition: ValueId) -> Option<(ValueId, ValueId)> {
        let Some(&Op::Binary(BinaryOp::BitAnd, low, high)) = self.definition(condition) else { return None };
        let (Some(&Op::Binary(BinaryOp::Ge, a, zero)), Some(&Op::Binary(BinaryOp::Lt, b, limit))) =
            (self.definition(low), self.definition(high))
        else {
            return None;
        };
        let is_zero = self.facts.around.constants.get(&zero) == Some(&0);
        let fits = a == b && is_zero && self.ty(a) == DType::I64 && self.class(limit) == Class::Uniform;
        fits.then_some((a, limit))
    }

    /// The same check of an index that all lanes share, by one comparison; false if it is none, or if the limit is
    /// computed in the nest.
    pub fn check_index(&mut self, condition: ValueId, trap: TrapId) -> Result<bool, Reason> {
        let Some((index, limit)) = self.range(condition) else { return Ok(false) };
        if self.definitions.contains_key(&limit) && !self.facts.constants.contains_key(&limit) {
            return Ok(false);
        }
        let clamped = match self.outside_limits.get(&limit) {
            Some(&known) => known,
            None => {
                let (number, zero) = (self.integer_of(limit)?, self.constant_integer(0));
                let clamped = self.at_entry(|select| select.not_negative(number, zero));
                self.outside_limits.insert(limit, clamped);
                clamped
            }
        };
        let (index, label) = (self.integer_of(index)?, self.trap_label(trap));
        self.compare(index, clamped);
        self.item(Item::Jump(Code::Jae_rel32_64, label));
        Ok(true)
    }

    /// A number, or zero if it is negative.
    fn not_negative(&mut self, number: Reg, zero: Reg) -> Reg {
        let clamped = self.integer();
        self.emit_either(Code::Mov_r64_rm64, &[give(clamped, View::Full), take(number, View::Full)], 1);
        self.compare(clamped, zero);
        self.emit(Code::Cmovl_r64_rm64, &[change(clamped, View::Full), take(zero, View::Full)]);
        clamped
    }
}
