//! Branches of a vectorised loop, with 512 bits: each side runs for the lanes that take it, which a mask register chooses,
//! and not at all where there are none.

use iced_x86::Code;

use crate::kernel::vector::Reason;
use crate::kernel::{Stmt, ValueId};

use super::code::{Item, Operand, Reg, View, take};
use super::evex::{BRANCH_MASK, FREE_MASK};
use super::select::Select;

impl Select<'_> {
    /// A branch that lanes take or not.
    pub fn lane_branch(
        &mut self,
        condition: ValueId,
        then: &[Stmt],
        otherwise: &[Stmt],
    ) -> Result<(), Reason> {
        let mask = self.operand(condition)?;
        let around = self.mask();
        for (holds, stmts) in [(true, then), (false, otherwise)] {
            if stmts.is_empty() {
                continue;
            }
            self.choose_lanes(mask, holds, around);
            let end = self.label();
            self.test_mask(BRANCH_MASK);
            self.item(Item::Jump(Code::Je_rel32_64, end));
            let result = self.in_branch(stmts);
            // Also where there is no such code: it is tried, and then left out.
            self.set_branch_mask(around);
            result?;
            self.item(Item::Mark(end));
        }
        Ok(())
    }

    /// One side. What it computes, even for all lanes, is known in it only.
    fn in_branch(&mut self, stmts: &[Stmt]) -> Result<(), Reason> {
        let caches = self.caches.clone();
        let held = self.lanes.as_ref().map(|lanes| lanes.held.clone());
        self.set_branch_mask(Some(BRANCH_MASK));
        self.enter_inner(1);
        let result = self.lane_list(stmts);
        self.enter_inner(-1);
        self.caches = caches;
        if let (Some(lanes), Some(held)) = (&mut self.lanes, held) {
            lanes.held = held;
            for stmt in stmts {
                if let Stmt::Set(variable, _) = stmt {
                    lanes.held.remove(variable);
                }
            }
        }
        result
    }

    fn set_branch_mask(&mut self, mask: Option<u8>) {
        if let Some(lanes) = &mut self.lanes {
            lanes.mask = mask;
            lanes.doubled = None;
        }
    }

    /// The lanes that take place and where the condition holds, or does not.
    fn choose_lanes(&mut self, condition: Reg, holds: bool, around: Option<u8>) {
        let chosen = Operand::Mask(BRANCH_MASK);
        self.collect_mask(BRANCH_MASK, condition);
        match (around, holds) {
            (None, true) => {}
            (None, false) => {
                let all = Operand::Mask(FREE_MASK);
                self.emit(Code::VEX_Kxnorw_kr_kr_kr, &[all, all, all]);
                self.emit(Code::VEX_Kandnw_kr_kr_kr, &[chosen, chosen, all]);
            }
            (Some(around), true) => {
                self.emit(Code::VEX_Kandw_kr_kr_kr, &[chosen, chosen, Operand::Mask(around)]);
            }
            (Some(around), false) => {
                self.emit(Code::VEX_Kandnw_kr_kr_kr, &[chosen, chosen, Operand::Mask(around)]);
            }
        }
    }

    /// A mask into a mask register.
    pub fn collect_mask(&mut self, register: u8, mask: Reg) {
        let (_, lane_bytes) = self.lane_shape();
        let code = if lane_bytes == 8 { Code::EVEX_Vpmovq2m_kr_zmm } else { Code::EVEX_Vpmovd2m_kr_zmm };
        self.emit(code, &[Operand::Mask(register), take(mask, View::Zmm)]);
    }

    /// Whether there is a lane in a mask register.
    pub fn test_mask(&mut self, register: u8) {
        // What lies above the lanes does not count.
        let (count, _) = self.lane_shape();
        let code = if count <= 8 { Code::VEX_Kortestb_kr_kr } else { Code::VEX_Kortestw_kr_kr };
        self.emit(code, &[Operand::Mask(register), Operand::Mask(register)]);
    }
}
