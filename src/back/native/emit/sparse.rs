//! Loops that do something only where a mask in memory holds: `for i { if mask[i] { ... } }`.
//!
//! Eight bools are read as one number. Where none of them holds, the loop goes on behind them; iterations that do
//! something run one by one, in order, so that the results are those of the plain loop.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, types};

use crate::diag::Diagnostic;
use crate::kernel::masked::{Mask, mask_of};
use crate::kernel::{Stmt, ValueId};

use super::function::{Emitter, plain};

/// Where control goes from the top of a loop.
pub(super) struct Turn {
    pub current: ir::Value,
    pub start: ir::Value,
    pub stop: ir::Value,
    pub header: ir::Block,
    pub after: ir::Block,
}

/// Bools per look.
const AT_ONCE: i64 = 8;

impl Emitter<'_, '_> {
    /// The mask of a loop that is worth a look ahead.
    pub(super) fn mask_of(&self, variable: ValueId, step: i64, body: &[Stmt]) -> Option<Mask> {
        // In pieces, another function may hold the address.
        if self.environment.is_some() { None } else { mask_of(variable, step, body) }
    }

    /// Goes on behind the next bools if none of them holds. They are looked at once, not again in every iteration.
    pub(super) fn skip_ahead(&mut self, mask: &Mask, turn: &Turn) -> Result<(), Diagnostic> {
        let done = self.b.ins().isub(turn.current, turn.start);
        let low_bits = self.b.ins().iconst(types::I64, AT_ONCE - 1);
        let phase = self.b.ins().band(done, low_bits);
        let left = self.b.ins().isub(turn.stop, turn.current);
        let whole = self.b.ins().iconst(types::I64, AT_ONCE);
        let enough = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, left, whole);
        let fresh = self.b.ins().icmp_imm_s(IntCC::Equal, phase, 0);
        let look = self.b.ins().band(enough, fresh);
        let (looking, skipping, single) =
            (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().brif(look, looking, &[], single, &[]);
        self.b.seal_block(looking);
        self.enter(looking);
        let base = self.get(mask.base)?;
        let address = self.b.ins().iadd(base, turn.current);
        let (address, offset) = self.place(address, mask.displacement);
        let bools = self.b.ins().load(types::I64, plain(), address, offset);
        let none = self.b.ins().icmp_imm_s(IntCC::Equal, bools, 0);
        self.b.ins().brif(none, skipping, &[], single, &[]);
        self.b.seal_block(skipping);
        self.b.seal_block(single);
        self.enter(skipping);
        for &variable in &mask.set {
            let no = self.b.ins().iconst(types::I8, 0);
            self.set_variable(variable, no);
        }
        let next = self.b.ins().iadd_imm_s(turn.current, AT_ONCE);
        let more = self.b.ins().icmp(IntCC::SignedLessThan, next, turn.stop);
        self.b.ins().brif(more, turn.header, &[BlockArg::Value(next)], turn.after, &[]);
        self.enter(single);
        Ok(())
    }
}
