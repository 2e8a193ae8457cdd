//! Parallel regions: the body of a loop as a function of its own, over a part of the iterations.
//!
//! The function receives the frame of the thread that runs it, a table with what it uses of its surroundings, and the
//! first and last iteration. Whether the loop is split, and between how many threads, the run-time routine
//! decides; unsplit, it is the same function on all iterations.

use cranelift_codegen::ir::{self, InstBuilder, StackSlotData, StackSlotKind, types};

use crate::diag::Diagnostic;
use crate::kernel::{BufferId, Stmt, ValueId, VarId};

use super::super::call::offsets;
use super::super::threads;
use super::function::{Emitter, Work, plain, register_type};
use super::uses::Uses;

/// A region whose function is still to be emitted.
pub(super) struct RegionCode<'k> {
    variable: ValueId,
    start: ValueId,
    stop: ValueId,
    step: i64,
    pub body: &'k [Stmt],
    /// In the order of the table.
    captures: Vec<Capture>,
    /// Values that its function computes itself.
    computed: Vec<ValueId>,
}

/// Something of a region's surroundings.
#[derive(Clone, Copy)]
enum Capture {
    Value(ValueId),
    Variable(VarId),
    Buffer(BufferId),
}

impl<'k> Emitter<'k, '_> {
    /// Emits a loop as a call of its region, if it is one.
    pub fn region(
        &mut self,
        variable: ValueId,
        start: ValueId,
        stop: ValueId,
        step: i64,
        body: &'k [Stmt],
    ) -> Result<bool, Diagnostic> {
        let kernel = self.kernel;
        let (Some(region), false) = (kernel.regions.get(&variable), self.in_region) else {
            return Ok(false);
        };
        let mut captures = Vec::new();
        let mut computed = Vec::new();
        let mut table = Vec::new();
        let uses = Uses::of(body);
        for &value in uses.values.iter().filter(|&&value| value != start && value != stop) {
            if self.cheap.contains_key(&value) {
                computed.push(value);
            } else if let Some(known) = self.known(value) {
                captures.push(Capture::Value(value));
                table.push(known);
            }
        }
        for &variable in &uses.read {
            captures.push(Capture::Variable(variable));
            table.push(self.variable(variable));
        }
        for &buffer in &uses.buffers {
            if let Some(address) = self.allocated(buffer) {
                captures.push(Capture::Buffer(buffer));
                table.push(address);
            }
        }
        let bytes = u32::try_from(8 * table.len().max(1)).unwrap_or(u32::MAX);
        let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 3));
        let place = self.b.ins().stack_addr(types::I64, slot, 0);
        for (index, &value) in table.iter().enumerate() {
            self.b.ins().store(plain(), value, place, i32::try_from(8 * index).unwrap_or(0));
        }
        let table = place;
        let overlap = self.b.ins().load(types::I64, plain(), self.frame, offsets::OVERLAP);
        let alone = self.b.ins().icmp_imm_s(ir::condcodes::IntCC::Equal, overlap, 0);
        let may = match region.apart {
            Some(apart) => {
                let apart = self.get(apart)?;
                self.b.ins().band(alone, apart)
            }
            None => alone,
        };
        let may = self.b.ins().uextend(types::I64, may);
        let work = self.get(region.work)?;
        let number = self.queue.push(Work::Region(RegionCode {
            variable,
            start,
            stop,
            step,
            body,
            captures,
            computed,
        }));
        let code = self.function_address(number);
        let (first, end) = (self.get(start)?, self.get(stop)?);
        let distance = self.b.ins().iconst(types::I64, step);
        let arguments = [self.frame, code, table, first, end, distance, may, work];
        if let Some(stopped) = self.call(threads::split as *const u8, &arguments, Some(types::I64)) {
            self.check_code(stopped);
        }
        Ok(true)
    }

    /// The function of a region: frame, table, first iteration, end.
    pub fn region_body(&mut self, region: &RegionCode<'k>, given: &[ir::Value]) -> Result<(), Diagnostic> {
        let kernel = self.kernel;
        let &[_, table, first, end] = given else {
            return Err(Diagnostic::error("P0704", "a region has four parameters"));
        };
        for (index, capture) in region.captures.iter().enumerate() {
            let offset = i32::try_from(8 * index).unwrap_or(0);
            let ty = match *capture {
                Capture::Value(value) => register_type(kernel.values[value]),
                Capture::Variable(variable) => register_type(kernel.variables[variable].ty),
                Capture::Buffer(_) => types::I64,
            };
            let value = self.b.ins().load(ty, plain().with_readonly(), table, offset);
            match *capture {
                Capture::Value(id) => self.define(id, value),
                Capture::Variable(variable) => self.set_variable(variable, value),
                Capture::Buffer(buffer) => self.set_allocated(buffer, value),
            }
        }
        for &value in &region.computed {
            self.compute_cheap(value)?;
        }
        self.define(region.start, first);
        self.define(region.stop, end);
        self.for_loop(region.variable, region.start, region.stop, region.step, region.body)
    }
}
