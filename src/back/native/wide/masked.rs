//! Loops in sequence that do something only where a mask in memory holds. 32 bools become the bits of a number, whose ones
//! are visited in order: an iteration that does nothing costs a part of an instruction, and the processor has one branch to
//! guess for 32 of them.

use iced_x86::Code;

use crate::kernel::masked::Mask;
use crate::kernel::vector::Reason;
use crate::kernel::{Stmt, VarId};

use super::code::{Base, Item, Operand, Place, Reg, View, change, give, take};
use super::control::Counter;
use super::select::{Held, Select, Slot};

/// Bools per look.
const AT_ONCE: i32 = 32;

/// Whether iterations of a loop can be left out by a look ahead. Loops inside may be vectorised, and are compiled once.
pub(super) fn can_be_left_out(mask: &Mask, body: &[Stmt]) -> bool {
    mask.is_left_alone(body) && !Stmt::all(body).any(|stmt| matches!(stmt, Stmt::For { .. }))
}

impl Select<'_> {
    /// A loop in sequence under a mask.
    pub fn masked_loop(&mut self, counter: &Counter, mask: &Mask, body: &[Stmt]) -> Result<(), Reason> {
        let caches = self.caches.clone();
        let (start, stop) = (self.integer_of(counter.start)?, self.integer_of(counter.stop)?);
        let base = self.integer_of(mask.base)?;
        let displacement = i32::try_from(mask.displacement).map_err(|_| "a displacement is too large")?;
        let zeros = self.bits_everywhere(0);
        let index = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(index, View::Full), take(start, View::Full)]);
        let bound = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(bound, View::Full), take(stop, View::Full)]);
        self.emit(Code::Sub_rm64_imm32, &[change(bound, View::Full), Operand::Word(AT_ONCE - 1)]);
        let (head, rest, end) = (self.label(), self.label(), self.label());
        self.compare(index, bound);
        self.item(Item::Jump(Code::Jge_rel32_64, rest));
        self.item(Item::LoopStart);
        self.item(Item::Mark(head));
        let place = Place { base: Base::Register(base), index: Some((index, 1)), displacement };
        let (equal, bits) = (self.vector(), self.integer());
        self.emit(
            Code::VEX_Vpcmpeqb_ymm_ymm_ymmm256,
            &[give(equal, View::Ymm), take(zeros, View::Ymm), Operand::Memory(place)],
        );
        self.emit(Code::VEX_Vpmovmskb_r32_ymm, &[give(bits, View::Half), take(equal, View::Ymm)]);
        self.emit(Code::Not_rm32, &[change(bits, View::Half)]);
        let last = self.last_bit(bits, &mask.set);
        let none = self.label();
        let zero = self.constant_integer(0);
        self.compare(bits, zero);
        self.item(Item::Jump(Code::Je_rel32_64, none));
        let next = self.label();
        self.item(Item::LoopStart);
        self.item(Item::Mark(next));
        let at = self.integer();
        self.emit(Code::Tzcnt_r64_rm64, &[give(at, View::Full), take(bits, View::Full)]);
        self.emit_either(Code::Add_r64_rm64, &[change(at, View::Full), take(index, View::Full)], 1);
        self.iteration(counter, at, body)?;
        self.emit(Code::VEX_Blsr_r64_rm64, &[give(bits, View::Full), take(bits, View::Full)]);
        self.compare(bits, zero);
        self.item(Item::Jump(Code::Jne_rel32_64, next));
        self.item(Item::LoopEnd);
        self.item(Item::Mark(none));
        if let Some(last) = last {
            for &variable in &mask.set {
                let place = self.input(Slot::Variable(variable));
                self.emit(Code::Mov_rm64_r64, &[Operand::Memory(place), take(last, View::Full)]);
            }
        }
        self.advance(index, i64::from(AT_ONCE))?;
        self.compare(index, bound);
        self.item(Item::Jump(Code::Jl_rel32_64, head));
        self.item(Item::LoopEnd);
        self.item(Item::Mark(rest));
        // What was computed or checked in some iterations is not known in others.
        self.caches = caches.clone();
        self.compare(index, stop);
        self.item(Item::Jump(Code::Jge_rel32_64, end));
        let single = self.label();
        self.item(Item::LoopStart);
        self.item(Item::Mark(single));
        self.iteration(counter, index, body)?;
        self.advance(index, 1)?;
        self.compare(index, stop);
        self.item(Item::Jump(Code::Jl_rel32_64, single));
        self.item(Item::LoopEnd);
        self.item(Item::Mark(end));
        self.caches = caches;
        Ok(())
    }

    /// What the mask says of the last iteration of a look, if variables hold it that somebody reads.
    fn last_bit(&mut self, bits: Reg, set: &[VarId]) -> Option<Reg> {
        let is_read = |variable: &VarId| self.facts.around.reads.get(variable).copied().unwrap_or(0) > 0;
        if !set.iter().any(is_read) {
            return None;
        }
        let last = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(last, View::Full), take(bits, View::Full)]);
        let shift = u8::try_from(AT_ONCE - 1).unwrap_or(0);
        self.emit(Code::Shr_rm64_imm8, &[change(last, View::Full), Operand::Byte(shift)]);
        Some(last)
    }

    fn iteration(&mut self, counter: &Counter, index: Reg, body: &[Stmt]) -> Result<(), Reason> {
        self.values.insert(counter.variable, Held::Integer(index));
        self.known.clear();
        self.list(body)?;
        self.known.clear();
        Ok(())
    }
}
