//! Statements.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder, types};

use crate::diag::Diagnostic;
use crate::kernel::scratch::STACK_EACH;
use crate::kernel::{BufferId, BufferKind, CfgBlock, Jump, Stmt, TrapId, ValueId};

use super::super::call::{self, offsets};
use super::super::{runtime, streams};
use super::function::{Emitter, plain};
use super::nests::After;
use super::sparse::Turn;

/// Bytes of the stack for buffers of at most `STACK_EACH` bytes.
const STACK_TOTAL: u32 = 64 << 10;

impl<'k> Emitter<'k, '_> {
    pub fn list(&mut self, stmts: &'k [Stmt]) -> Result<(), Diagnostic> {
        let allocates = stmts.iter().any(|stmt| matches!(stmt, Stmt::Alloc { .. }));
        let mark = if allocates { Some(self.mark()) } else { None };
        self.statements(stmts)?;
        if let Some(mark) = mark {
            self.release(mark);
        }
        Ok(())
    }

    fn mark(&mut self) -> (ir::Value, ir::Value) {
        let top = self.b.ins().load(types::I64, plain(), self.frame, offsets::SCRATCH_TOP);
        let end = self.b.ins().load(types::I64, plain(), self.frame, offsets::SCRATCH_END);
        (top, end)
    }

    fn release(&mut self, mark: (ir::Value, ir::Value)) {
        self.b.ins().store(plain(), mark.0, self.frame, offsets::SCRATCH_TOP);
        self.b.ins().store(plain(), mark.1, self.frame, offsets::SCRATCH_END);
    }

    /// Goes on in a new block.
    pub(super) fn enter(&mut self, block: ir::Block) {
        self.b.switch_to_block(block);
    }

    /// Code after a jump: a block nobody reaches.
    fn unreachable_from_here(&mut self) {
        let block = self.b.create_block();
        self.b.switch_to_block(block);
        self.b.seal_block(block);
    }

    pub(super) fn stmt(&mut self, stmt: &'k Stmt) -> Result<(), Diagnostic> {
        match stmt {
            Stmt::Let(value, op) => {
                let result = match self.carried_load(op) {
                    Some(result) => result,
                    None => self.op(*value, op)?,
                };
                self.define(*value, result);
            }
            Stmt::Set(variable, value) => {
                let value = self.get(*value)?;
                self.set_variable(*variable, value);
            }
            Stmt::Store { address, displacement, value, .. } => {
                let ty = self.kernel.values[*value];
                let (place, value) = (self.get(*address)?, self.get(*value)?);
                self.store_element(ty, value, place, *displacement);
                self.carried_store(*address, *displacement, ty, value);
            }
            Stmt::For { variable, start, stop, step, body, .. } => {
                self.for_loop(*variable, *start, *stop, *step, body)?;
            }
            Stmt::Loop(body) => {
                let header = self.b.create_block();
                self.b.ins().jump(header, &[]);
                self.enter(header);
                self.list(body)?;
                self.b.ins().jump(header, &[]);
                self.b.seal_block(header);
                self.unreachable_from_here();
            }
            Stmt::If { condition, then, otherwise } => self.branch(*condition, then, otherwise)?,
            Stmt::Block(label, body) => {
                let mark = if allocates_anywhere(body) { Some(self.mark()) } else { None };
                let after = self.b.create_block();
                self.labels.insert(*label, after);
                self.list(body)?;
                self.b.ins().jump(after, &[]);
                self.b.seal_block(after);
                self.enter(after);
                if let Some(mark) = mark {
                    self.release(mark);
                }
            }
            Stmt::Exit(label) => {
                self.leave(*label)?;
                self.unreachable_from_here();
            }
            Stmt::Cfg(blocks) => self.cfg(blocks)?,
            Stmt::Check(condition, trap) => {
                let condition = self.get(*condition)?;
                self.check(condition, *trap);
            }
            Stmt::Alloc { buffer, bytes, zero, trap } => self.alloc(*buffer, *bytes, *zero, *trap)?,
            Stmt::Call(library, arguments) => {
                let slot = self.stack(8 * u32::try_from(arguments.len()).unwrap_or(0));
                for (index, &argument) in arguments.iter().enumerate() {
                    let argument = self.get(argument)?;
                    self.b.ins().stack_store(
                        types::I64,
                        argument,
                        slot,
                        i32::try_from(8 * index).unwrap_or(0),
                    );
                }
                let call = &self.kernel.libraries[*library];
                let address = self.b.ins().stack_addr(types::I64, slot, 0);
                let description = self.address(std::ptr::from_ref(call));
                let frame = self.frame;
                let count = self.b.ins().iconst(types::I64, arguments.len() as i64);
                let arguments = [frame, description, address, count];
                let routine = streams::routine(&call.class).unwrap_or(runtime::library as *const u8);
                let failed = self.call(routine, &arguments, Some(types::I64));
                if let Some(failed) = failed {
                    let fine = self.b.ins().icmp_imm_s(IntCC::Equal, failed, 0);
                    self.check(fine, call.trap);
                }
            }
        }
        Ok(())
    }

    pub(super) fn check_code(&mut self, code: ir::Value) {
        let next = self.b.create_block();
        self.b.ins().brif(code, self.stop, &[BlockArg::Value(code)], next, &[]);
        self.b.seal_block(next);
        self.enter(next);
    }

    fn check(&mut self, condition: ir::Value, trap: TrapId) {
        let next = self.b.create_block();
        let code = self.b.ins().iconst(types::I64, i64::from(trap.0) + 1);
        self.b.ins().brif(condition, next, &[], self.stop, &[BlockArg::Value(code)]);
        self.b.seal_block(next);
        self.enter(next);
    }

    fn branch(
        &mut self,
        condition: ValueId,
        then: &'k [Stmt],
        otherwise: &'k [Stmt],
    ) -> Result<(), Diagnostic> {
        let condition = self.get(condition)?;
        let yes = self.b.create_block();
        let after = self.b.create_block();
        let no = if otherwise.is_empty() { after } else { self.b.create_block() };
        self.b.ins().brif(condition, yes, &[], no, &[]);
        self.b.seal_block(yes);
        self.enter(yes);
        self.list(then)?;
        self.b.ins().jump(after, &[]);
        if !otherwise.is_empty() {
            self.b.seal_block(no);
            self.enter(no);
            self.list(otherwise)?;
            self.b.ins().jump(after, &[]);
        }
        self.b.seal_block(after);
        self.enter(after);
        Ok(())
    }

    /// A loop: as a region of its own, as vector code, as scalar code.
    pub(super) fn for_loop(
        &mut self,
        variable: ValueId,
        start: ValueId,
        stop: ValueId,
        step: i64,
        body: &'k [Stmt],
    ) -> Result<(), Diagnostic> {
        if self.region(variable, start, stop, step, body)? {
            return Ok(());
        }
        let nests = self.nests;
        let after = match nests.calls.get(&variable) {
            Some(nest) => self.nest(variable, nest)?,
            None => After::Loop(None),
        };
        let After::Loop(after) = after else { return Ok(()) };
        self.scalar_loop(variable, start, stop, step, body)?;
        if let Some(after) = after {
            self.b.ins().jump(after, &[]);
            self.b.seal_block(after);
            self.enter(after);
        }
        Ok(())
    }

    /// A guard, then a loop that tests at its end.
    fn scalar_loop(
        &mut self,
        variable: ValueId,
        start: ValueId,
        stop: ValueId,
        step: i64,
        body: &'k [Stmt],
    ) -> Result<(), Diagnostic> {
        let (start, stop) = (self.get(start)?, self.get(stop)?);
        let go_on = if step > 0 { IntCC::SignedLessThan } else { IntCC::SignedGreaterThan };
        let header = self.b.create_block();
        let current = self.b.append_block_param(header, types::I64);
        let after = self.b.create_block();
        let ahead = self.store_ahead(body);
        let any = self.b.ins().icmp(go_on, start, stop);
        if let Some(element) = self.carried_element(variable, body) {
            let first = self.b.create_block();
            self.b.ins().brif(any, first, &[], after, &[]);
            self.b.seal_block(first);
            self.enter(first);
            self.carry(element)?;
            self.b.ins().jump(header, &[BlockArg::Value(start)]);
        } else {
            self.b.ins().brif(any, header, &[BlockArg::Value(start)], after, &[]);
        }
        self.enter(header);
        if let Some(mask) = self.mask_of(variable, step, body) {
            self.skip_ahead(&mask, &Turn { current, start, stop, header, after })?;
        }
        self.define(variable, current);
        self.list(body)?;
        self.carried = None;
        for nest in ahead {
            self.inputs.remove(&nest);
        }
        let next = self.b.ins().iadd_imm_s(current, step);
        let more = self.b.ins().icmp(go_on, next, stop);
        self.b.ins().brif(more, header, &[BlockArg::Value(next)], after, &[]);
        self.b.seal_block(header);
        self.b.seal_block(after);
        self.enter(after);
        Ok(())
    }

    fn cfg(&mut self, blocks: &'k [CfgBlock]) -> Result<(), Diagnostic> {
        let targets: Vec<ir::Block> = blocks.iter().map(|_| self.b.create_block()).collect();
        let after = self.b.create_block();
        self.b.ins().jump(targets.first().copied().unwrap_or(after), &[]);
        for (block, &target) in blocks.iter().zip(&targets) {
            self.enter(target);
            self.list(&block.body)?;
            match block.jump {
                Jump::End => {
                    self.b.ins().jump(after, &[]);
                }
                Jump::To(next) => {
                    self.b.ins().jump(targets[next as usize], &[]);
                }
                Jump::Branch(condition, yes, no) => {
                    let condition = self.get(condition)?;
                    self.b.ins().brif(condition, targets[yes as usize], &[], targets[no as usize], &[]);
                }
            }
        }
        for target in targets {
            self.b.seal_block(target);
        }
        self.b.seal_block(after);
        self.enter(after);
        Ok(())
    }

    fn alloc(
        &mut self,
        buffer: BufferId,
        bytes: ValueId,
        zero: bool,
        trap: TrapId,
    ) -> Result<(), Diagnostic> {
        let kernel = self.kernel;
        let literal = self.constant_bytes(bytes)?;
        let bytes = self.get(bytes)?;
        let address = match (kernel.buffers.get(buffer).map(|decl| &decl.kind), literal) {
            (Some(BufferKind::Persistent(index)), _) => {
                let index = self.b.ins().iconst(types::I64, i64::from(*index));
                let arguments = [self.frame, index, bytes];
                self.allocated_by(call::persistent as *const u8, &arguments, trap)
            }
            (Some(BufferKind::Planned(index)), _) => self.planned(*index, bytes, trap),
            (_, Some(size))
                if size <= STACK_EACH
                    && self.stack_bytes + (size as u32) <= STACK_TOTAL
                    && !self.outlives_function() =>
            {
                self.stack_bytes += size as u32;
                let slot = self.stack(size as u32);
                self.b.ins().stack_addr(types::I64, slot, 0)
            }
            _ => self.scratch(bytes, trap),
        };
        self.set_allocated(buffer, address);
        if zero && !matches!(kernel.buffers[buffer].kind, BufferKind::Persistent(_)) {
            self.call(runtime::clear as *const u8, &[address, bytes], None);
        }
        Ok(())
    }

    fn constant_bytes(&mut self, bytes: ValueId) -> Result<Option<i64>, Diagnostic> {
        let value = self.get(bytes)?;
        let dfg = &self.b.func.dfg;
        let Some(inst) = dfg.value_def(value).inst() else { return Ok(None) };
        Ok(match dfg.insts[inst] {
            ir::InstructionData::UnaryImm { opcode: ir::Opcode::Iconst, imm } => {
                Some(imm.bits()).filter(|&size| size >= 0)
            }
            _ => None,
        })
    }

    fn allocated_by(&mut self, routine: *const u8, arguments: &[ir::Value], trap: TrapId) -> ir::Value {
        let address = self.call(routine, arguments, Some(types::I64));
        let address = address.unwrap_or(self.frame);
        let fine = self.b.ins().icmp_imm_s(IntCC::NotEqual, address, 0);
        self.check(fine, trap);
        address
    }

    /// The place of a planned buffer, or scratch memory if that is too small.
    fn planned(&mut self, index: u32, bytes: ir::Value, trap: TrapId) -> ir::Value {
        let table = self.b.ins().load(types::I64, plain().with_readonly(), self.frame, offsets::PLANNED);
        let at = |field: usize| i32::try_from(index as usize * offsets::PLACE + field).unwrap_or(i32::MAX);
        let place = self.b.ins().load(types::I64, plain().with_readonly(), table, at(offsets::PLACE_ADDRESS));
        let room = self.b.ins().load(types::I64, plain().with_readonly(), table, at(offsets::PLACE_BYTES));
        // Unsigned, so that a negative size takes the slow path, which refuses it.
        let fits = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, bytes, room);
        let (slow, after) = (self.b.create_block(), self.b.create_block());
        let address = self.b.append_block_param(after, types::I64);
        self.b.set_cold_block(slow);
        self.b.ins().brif(fits, after, &[BlockArg::Value(place)], slow, &[]);
        self.b.seal_block(slow);
        self.enter(slow);
        let arguments = [self.frame, bytes];
        let grown = self.allocated_by(call::grow_scratch as *const u8, &arguments, trap);
        self.b.ins().jump(after, &[BlockArg::Value(grown)]);
        self.b.seal_block(after);
        self.enter(after);
        address
    }

    /// Takes scratch memory: a bump of the top where there is room, a call where there is not.
    fn scratch(&mut self, bytes: ir::Value, trap: TrapId) -> ir::Value {
        let (top, end) = self.mark();
        let room = self.b.ins().isub(end, top);
        let padded = self.b.ins().iadd_imm_s(bytes, call::ALIGNMENT as i64 - 1);
        let rounded = self.b.ins().band_imm_s(padded, -(call::ALIGNMENT as i64));
        // Unsigned, so that a negative size takes the slow path, which refuses it.
        let fits = self.b.ins().icmp(IntCC::UnsignedLessThanOrEqual, rounded, room);
        let (fast, slow, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let address = self.b.append_block_param(after, types::I64);
        self.b.set_cold_block(slow);
        self.b.ins().brif(fits, fast, &[], slow, &[]);
        self.b.seal_block(fast);
        self.b.seal_block(slow);
        self.enter(fast);
        let new_top = self.b.ins().iadd(top, rounded);
        self.b.ins().store(plain(), new_top, self.frame, offsets::SCRATCH_TOP);
        self.b.ins().jump(after, &[BlockArg::Value(top)]);
        self.enter(slow);
        let arguments = [self.frame, bytes];
        let grown = self.allocated_by(call::grow_scratch as *const u8, &arguments, trap);
        self.b.ins().jump(after, &[BlockArg::Value(grown)]);
        self.b.seal_block(after);
        self.enter(after);
        address
    }
}

/// Whether a list allocates, at any depth.
fn allocates_anywhere(stmts: &[Stmt]) -> bool {
    Stmt::all(stmts).any(|stmt| matches!(stmt, Stmt::Alloc { .. }))
}
