//! Parallel regions: the body of a loop as a function of its own, over a part of the iterations.
//!
//! The function receives the frame of the thread that runs it, a table with what it uses of its surroundings, and the
//! first and last iteration. Whether the loop is split, and between how many threads, the run-time routine
//! decides; unsplit, it is the same function on all iterations.

use cranelift_codegen::ir::{self, InstBuilder, StackSlotData, StackSlotKind, types};
use hashbrown::HashSet;

use crate::diag::Diagnostic;
use crate::kernel::{BufferId, Op, Stmt, ValueId, VarId};

use super::super::call::offsets;
use super::super::threads;
use super::function::{Emitter, plain, register_type};

/// A region whose function is still to be emitted.
pub(super) struct RegionCode<'k> {
    variable: ValueId,
    start: ValueId,
    stop: ValueId,
    step: i64,
    body: &'k [Stmt],
    /// In the order of the table.
    captures: Vec<Capture>,
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
        let (Some(region), true) = (kernel.regions.get(&variable), self.regions.is_some()) else {
            return Ok(false);
        };
        let mut captures = Vec::new();
        let mut table = Vec::new();
        let mut uses = Uses::default();
        uses.list(body);
        uses.values.sort_unstable();
        uses.values.dedup();
        for &value in uses.values.iter().filter(|&&value| value != start && value != stop) {
            if let Some(known) = self.values.get(value.0 as usize).copied().flatten() {
                captures.push(Capture::Value(value));
                table.push(known);
            }
        }
        for &variable in &uses.read {
            let variable_here = self.variables[variable.0 as usize];
            captures.push(Capture::Variable(variable));
            table.push(self.b.use_var(variable_here));
        }
        for &buffer in &uses.buffers {
            if let Some(&address) = self.buffers.get(&buffer) {
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
        let number = self.regions.as_ref().map_or(0, Vec::len);
        let functions = self.b.ins().load(types::I64, plain(), self.frame, offsets::REGIONS);
        let offset = i32::try_from(8 * number).unwrap_or(0);
        let code = self.b.ins().load(types::I64, plain(), functions, offset);
        let (first, end) = (self.get(start)?, self.get(stop)?);
        let distance = self.b.ins().iconst(types::I64, step);
        let arguments = [self.frame, code, table, first, end, distance, may, work];
        if let Some(stopped) = self.call(threads::split as *const u8, &arguments, Some(types::I64)) {
            self.check_code(stopped);
        }
        if let Some(regions) = &mut self.regions {
            regions.push(RegionCode { variable, start, stop, step, body, captures });
        }
        Ok(true)
    }

    /// The function of a region: frame, table, first iteration, end.
    pub fn region_body(&mut self, region: &RegionCode<'k>, given: &[ir::Value]) -> Result<(), Diagnostic> {
        let kernel = self.kernel;
        let &[_, table, first, end] = given else {
            return Err(Diagnostic::error("P0704", "a region has four parameters"));
        };
        self.define_variables();
        for (index, capture) in region.captures.iter().enumerate() {
            let offset = i32::try_from(8 * index).unwrap_or(0);
            let ty = match *capture {
                Capture::Value(value) => register_type(kernel.values[value]),
                Capture::Variable(variable) => register_type(kernel.variables[variable].ty),
                Capture::Buffer(_) => types::I64,
            };
            let value = self.b.ins().load(ty, plain().with_readonly(), table, offset);
            match *capture {
                Capture::Value(id) => self.values[id.0 as usize] = Some(value),
                Capture::Variable(variable) => {
                    let variable = self.variables[variable.0 as usize];
                    self.b.def_var(variable, value);
                }
                Capture::Buffer(buffer) => {
                    self.buffers.insert(buffer, value);
                }
            }
        }
        self.values[region.start.0 as usize] = Some(first);
        self.values[region.stop.0 as usize] = Some(end);
        self.for_loop(region.variable, region.start, region.stop, region.step, region.body)
    }
}

/// What a body names.
#[derive(Default)]
struct Uses {
    values: Vec<ValueId>,
    read: Vec<VarId>,
    buffers: Vec<BufferId>,
    seen: HashSet<VarId>,
    seen_buffers: HashSet<BufferId>,
}

impl Uses {
    fn list(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(_, op) => {
                    op.each_operand(|value| self.values.push(value));
                    match op {
                        Op::Get(variable) => self.variable(*variable),
                        Op::Base(buffer) if self.seen_buffers.insert(*buffer) => self.buffers.push(*buffer),
                        _ => {}
                    }
                }
                Stmt::Set(_, value) | Stmt::Check(value, _) => self.values.push(*value),
                Stmt::Store { address, value, .. } => self.values.extend([*address, *value]),
                Stmt::For { start, stop, body, .. } => {
                    self.values.extend([*start, *stop]);
                    self.list(body);
                }
                Stmt::Loop(body) | Stmt::Block(_, body) => self.list(body),
                Stmt::If { condition, then, otherwise } => {
                    self.values.push(*condition);
                    self.list(then);
                    self.list(otherwise);
                }
                Stmt::Exit(_) => {}
                Stmt::Cfg(blocks) => {
                    for block in blocks {
                        if let crate::kernel::Jump::Branch(condition, ..) = block.jump {
                            self.values.push(condition);
                        }
                        self.list(&block.body);
                    }
                }
                Stmt::Alloc { bytes, .. } => self.values.push(*bytes),
                Stmt::Call(_, arguments) => self.values.extend(arguments),
            }
        }
    }

    fn variable(&mut self, variable: VarId) {
        if self.seen.insert(variable) {
            self.read.push(variable);
        }
    }
}
