//! The first and last iterations of a vectorised loop, where they do not fill a vector: with AVX-512 they run as a
//! vector of which a mask chooses lanes. Memory of the other lanes is not touched.
//!
//! The first iterations are apart only in long loops, so that what follows stores whole lines of the cache: a store that
//! lies on two lines waits for both, which halves the speed of loops that write to memory.

use iced_x86::Code;

use crate::kernel::Stmt;
use crate::kernel::vector::{Class, Reason};

use super::code::{Item, Operand, Reg, View, change, give, take};
use super::control::Counter;
use super::evex::TURN_MASK;
use super::select::Select;

/// Loops of fewer vectors start where they start.
const LONG: i64 = 16;

impl Select<'_> {
    /// The mask register that chooses lanes.
    pub fn mask(&self) -> Option<u8> {
        self.lanes.as_ref().and_then(|lanes| lanes.mask)
    }

    /// Whether a mask chooses lanes.
    pub fn is_masked(&self) -> bool {
        self.mask().is_some()
    }

    /// What follows has no form with a mask.
    pub fn all_lanes(&self) -> Result<(), Reason> {
        if self.is_masked() { Err("it has no form with a mask".to_owned()) } else { Ok(()) }
    }

    /// Runs iterations of a long loop until the first store that moves by one element is aligned; false if there is
    /// none, or something in the body has no form with a mask. The loop's variable then starts behind them.
    pub fn aligned_start(
        &mut self,
        counter: &Counter,
        stop: Reg,
        stmts: &[Stmt],
        lanes: i64,
    ) -> Result<bool, Reason> {
        let Some(index) = self.lanes.as_ref().map(|lanes| lanes.index) else { return Ok(false) };
        if counter.step != 1 {
            return Ok(false);
        }
        let mut store = None;
        for stmt in stmts {
            self.uniform_stmt(stmt)?;
            let Stmt::Store { address, displacement, value, .. } = stmt else { continue };
            let ty = self.ty(*value);
            if let Class::Affine(affine) = self.class(*address)
                && let Some(place) = self.contiguous_place(&affine, *displacement, ty)?
            {
                store = Some((place, ty.bytes()));
                break;
            }
        }
        let Some((place, bytes)) = store else { return Ok(false) };
        let begin = self.lists[self.target].len();
        let together = self.label();
        let count = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(count, View::Full), take(stop, View::Full)]);
        self.emit_either(Code::Sub_r64_rm64, &[change(count, View::Full), take(index, View::Full)], 1);
        let long = self.constant_integer(LONG * lanes);
        self.compare(count, long);
        self.item(Item::Jump(Code::Jl_rel32_64, together));
        // Elements between the last multiple of a vector and the store.
        let before = self.integer();
        self.emit(Code::Lea_r64_m, &[give(before, View::Full), Operand::Memory(place)]);
        let shift = Operand::Byte(bytes.trailing_zeros() as u8);
        self.emit(Code::Shr_rm64_imm8, &[change(before, View::Full), shift]);
        let last = i32::try_from(lanes - 1).unwrap_or(0);
        self.emit(Code::And_rm64_imm32, &[change(before, View::Full), Operand::Word(last)]);
        let zero = self.constant_integer(0);
        self.compare(before, zero);
        self.item(Item::Jump(Code::Je_rel32_64, together));
        self.emit_either(Code::Sub_r64_rm64, &[change(index, View::Full), take(before, View::Full)], 1);
        let (ones, mask) = (self.constant_integer(-1), self.integer());
        self.emit(
            Code::VEX_Shlx_r64_rm64_r64,
            &[give(mask, View::Full), take(ones, View::Full), take(before, View::Full)],
        );
        if self.under(mask, stmts, lanes).is_err() {
            let target = self.target;
            self.lists[target].truncate(begin);
            return Ok(false);
        }
        self.advance(index, lanes)?;
        self.item(Item::Mark(together));
        Ok(true)
    }

    /// The iterations from the loop's variable to the stop, fewer than a vector; false if something in the body has no
    /// form with a mask.
    pub fn rest(&mut self, counter: &Counter, stop: Reg, stmts: &[Stmt], lanes: i64) -> Result<bool, Reason> {
        let Some(index) = self.lanes.as_ref().map(|lanes| lanes.index) else { return Ok(false) };
        if counter.step != 1 {
            return Ok(false);
        }
        let begin = self.lists[self.target].len();
        let count = self.integer();
        self.emit(Code::Mov_r64_rm64, &[give(count, View::Full), take(stop, View::Full)]);
        self.emit_either(Code::Sub_r64_rm64, &[change(count, View::Full), take(index, View::Full)], 1);
        let (ones, mask) = (self.constant_integer(-1), self.integer());
        self.emit(
            Code::VEX_Bzhi_r64_rm64_r64,
            &[give(mask, View::Full), take(ones, View::Full), take(count, View::Full)],
        );
        if self.under(mask, stmts, lanes).is_err() {
            let target = self.target;
            self.lists[target].truncate(begin);
            return Ok(false);
        }
        Ok(true)
    }

    /// One vector of iterations, of which those in a mask take place.
    fn under(&mut self, mask: Reg, stmts: &[Stmt], count: i64) -> Result<(), Reason> {
        self.emit(Code::VEX_Kmovw_kr_r32, &[Operand::Mask(TURN_MASK), take(mask, View::Half)]);
        self.set_mask(Some(TURN_MASK), count);
        let result = self.turn(stmts, 0);
        self.set_mask(None, count);
        result
    }

    fn set_mask(&mut self, mask: Option<u8>, count: i64) {
        if let Some(lanes) = &mut self.lanes {
            (lanes.mask, lanes.count) = (mask, count);
        }
    }
}
