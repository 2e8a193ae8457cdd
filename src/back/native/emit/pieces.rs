//! Pieces of a root: their functions, their calls, and where values and variables are.
//!
//! See [`outline`](super::outline) for what is cut and shared.

use std::rc::Rc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, StackSlotData, StackSlotKind, types};
use cranelift_frontend::Variable;

use crate::diag::Diagnostic;
use crate::kernel::{BufferId, LabelId, Stmt, ValueId, VarId};

use super::super::call::offsets;
use super::function::{Emitter, Work, plain, register_type};
use super::outline::{Outline, Piece};
use super::uses::Uses;

/// What a function shares with the others of its root.
pub(super) struct Environment<'k> {
    outline: Rc<Outline<'k>>,
    /// Its address.
    address: ir::Value,
    /// Whether shared variables are read and written where they lie, because calls may change them.
    in_memory: bool,
    /// Whether this is a piece, at statements that are not nested in others of it.
    at_top: bool,
    is_piece: bool,
}

/// A piece whose function is still to be emitted.
pub(super) struct PieceCode<'k> {
    outline: Rc<Outline<'k>>,
    number: usize,
    /// Whether it belongs to a region.
    pub in_region: bool,
}

impl<'k> PieceCode<'k> {
    fn piece(&self) -> Option<&Piece<'k>> {
        self.outline.pieces.get(self.number)
    }
}

impl<'k> Emitter<'k, '_> {
    /// Starts a root. That of a region has its environment on the stack, because every thread needs one.
    pub fn root(&mut self, outline: Option<Rc<Outline<'k>>>) {
        let Some(outline) = outline else { return };
        let address = if self.in_region {
            let bytes = u32::try_from(outline.bytes()).unwrap_or(u32::MAX);
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes.max(8), 3);
            let slot = self.b.create_sized_stack_slot(slot);
            self.b.ins().stack_addr(types::I64, slot, 0)
        } else {
            self.b.ins().load(types::I64, plain().with_readonly(), self.frame, offsets::ENVIRONMENT)
        };
        // Variables start as zero, so that reading one before it is set is harmless.
        let zero = self.b.ins().iconst(types::I64, 0);
        for variable in outline.shared_variables() {
            if let Some(offset) = outline.variable(variable) {
                self.b.ins().store(plain(), zero, address, offset);
            }
        }
        self.environment =
            Some(Environment { outline, address, in_memory: true, at_top: false, is_piece: false });
    }

    /// The function of a piece: frame, environment.
    pub fn piece_body(&mut self, code: &PieceCode<'k>, given: &[ir::Value]) -> Result<(), Diagnostic> {
        let (&[_, address], Some(piece)) = (given, code.piece()) else {
            return Err(Diagnostic::error("P0704", "a piece has two parameters"));
        };
        let outline = Rc::clone(&code.outline);
        if !piece.calls {
            for &variable in &piece.reads {
                let Some(offset) = outline.variable(variable) else { continue };
                let ty = register_type(self.kernel.variables[variable].ty);
                let value = self.b.ins().load(ty, plain(), address, offset);
                let variable = self.register(variable);
                self.b.def_var(variable, value);
            }
        }
        let in_memory = piece.calls;
        self.environment = Some(Environment { outline, address, in_memory, at_top: true, is_piece: true });
        piece.stmts.iter().try_for_each(|stmt| self.with_known(stmt))
    }

    /// The statements of a list.
    pub fn statements(&mut self, stmts: &'k [Stmt]) -> Result<(), Diagnostic> {
        let Some(environment) = &mut self.environment else {
            return stmts.iter().try_for_each(|stmt| self.stmt(stmt));
        };
        let at_top = std::mem::replace(&mut environment.at_top, false);
        let outline = Rc::clone(&environment.outline);
        if let Some(pieces) = outline.cut(stmts) {
            pieces.iter().try_for_each(|&piece| self.call_piece(&outline, piece))?;
        } else if outline.is_open(stmts) {
            stmts.iter().try_for_each(|stmt| self.with_known(stmt))?;
        } else {
            stmts.iter().try_for_each(|stmt| self.stmt(stmt))?;
        }
        if let Some(environment) = &mut self.environment {
            environment.at_top = at_top;
        }
        Ok(())
    }

    /// A statement, in front of which is read what it uses of other functions, once.
    fn with_known(&mut self, stmt: &'k Stmt) -> Result<(), Diagnostic> {
        let Some(environment) = &self.environment else { return self.stmt(stmt) };
        let outline = Rc::clone(&environment.outline);
        let uses = Uses::of_part(stmt, &|list| !outline.is_open(list));
        let mut read = Vec::new();
        for value in uses.values {
            if self.values.get(value).is_some() {
                continue;
            }
            if self.cheap.contains_key(&value) {
                self.compute_cheap(value)?;
            } else if let Some(found) = self.shared_value(value) {
                self.values.set(value, found);
            } else {
                continue;
            }
            read.push(value);
        }
        self.stmt(stmt)?;
        read.into_iter().for_each(|value| self.values.forget(value));
        Ok(())
    }

    fn call_piece(&mut self, outline: &Rc<Outline<'k>>, number: usize) -> Result<(), Diagnostic> {
        let (Some(piece), Some(environment)) = (outline.pieces.get(number), &self.environment) else {
            return Err(Diagnostic::error("P0704", "a piece does not exist"));
        };
        let environment = environment.address;
        let work = PieceCode { outline: Rc::clone(outline), number, in_region: self.in_region };
        let function = self.queue.push(Work::Piece(work));
        let code = self.function_address(function);
        let frame = self.frame;
        let Some(ended) = self.call_at(code, &[frame, environment], Some(types::I64)) else { return Ok(()) };
        if piece.exits.is_empty() {
            self.check_code(ended);
            return Ok(());
        }
        let (left, next) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(left);
        self.b.ins().brif(ended, left, &[], next, &[]);
        self.b.seal_block(left);
        self.b.seal_block(next);
        self.enter(left);
        for &label in &piece.exits {
            let is_this = self.b.ins().icmp_imm_s(IntCC::Equal, ended, exit_code(label));
            let (this, other) = (self.b.create_block(), self.b.create_block());
            self.b.ins().brif(is_this, this, &[], other, &[]);
            self.b.seal_block(this);
            self.b.seal_block(other);
            self.enter(this);
            self.leave(label)?;
            self.enter(other);
        }
        let stop = self.stop;
        self.b.ins().jump(stop, &[ir::BlockArg::Value(ended)]);
        self.enter(next);
        Ok(())
    }

    /// Goes to the end of a block around here; a piece returns to whoever knows it.
    pub fn leave(&mut self, label: LabelId) -> Result<(), Diagnostic> {
        if let Some(&target) = self.labels.get(&label) {
            self.b.ins().jump(target, &[]);
            return Ok(());
        }
        if !self.environment.as_ref().is_some_and(|environment| environment.is_piece) {
            return Err(Diagnostic::error("P0704", format!("exit of unknown {label}")));
        }
        let code = self.b.ins().iconst(types::I64, exit_code(label));
        self.b.ins().return_(&[code]);
        Ok(())
    }

    /// Whether memory taken here has to be there when the function has returned.
    pub fn outlives_function(&self) -> bool {
        self.environment.as_ref().is_some_and(|environment| environment.at_top)
    }

    /// The CLIF value of a kernel value.
    pub fn get(&mut self, value: ValueId) -> Result<ir::Value, Diagnostic> {
        if let Some(known) = self.known(value) {
            return Ok(known);
        }
        match self.cheap.get(&value).copied() {
            Some(op) => self.op(value, op),
            None => {
                let message = format!("kernel value {value} is used before it is defined");
                Err(Diagnostic::error("P0704", message))
            }
        }
    }

    /// The same, for a value that was computed, here or in another function.
    pub fn known(&mut self, value: ValueId) -> Option<ir::Value> {
        self.values.get(value).or_else(|| self.shared_value(value))
    }

    fn shared_value(&mut self, value: ValueId) -> Option<ir::Value> {
        let environment = self.environment.as_ref()?;
        let (offset, address) = (environment.outline.value(value)?, environment.address);
        let ty = register_type(self.kernel.values[value]);
        Some(self.b.ins().load(ty, plain(), address, offset))
    }

    /// Makes a value known, here and wherever else it is used.
    pub fn define(&mut self, value: ValueId, found: ir::Value) {
        self.values.set(value, found);
        let Some(environment) = &self.environment else { return };
        if let Some(offset) = environment.outline.value(value) {
            self.b.ins().store(plain(), found, environment.address, offset);
        }
    }

    /// Computes a value that is computed wherever it is used.
    pub fn compute_cheap(&mut self, value: ValueId) -> Result<(), Diagnostic> {
        if let Some(op) = self.cheap.get(&value).copied() {
            let found = self.op(value, op)?;
            self.values.set(value, found);
        }
        Ok(())
    }

    /// The content of a variable.
    pub fn variable(&mut self, variable: VarId) -> ir::Value {
        let ty = register_type(self.kernel.variables[variable].ty);
        if let Some(environment) = self.environment.as_ref().filter(|environment| environment.in_memory)
            && let Some(offset) = environment.outline.variable(variable)
        {
            return self.b.ins().load(ty, plain(), environment.address, offset);
        }
        let variable = self.register(variable);
        self.b.use_var(variable)
    }

    /// Sets a variable.
    pub fn set_variable(&mut self, variable: VarId, value: ir::Value) {
        if let Some(environment) = &self.environment
            && let Some(offset) = environment.outline.variable(variable)
        {
            self.b.ins().store(plain(), value, environment.address, offset);
            if environment.in_memory {
                return;
            }
        }
        let variable = self.register(variable);
        self.b.def_var(variable, value);
    }

    /// Cranelift's variable; one that is read before it is set is zero.
    fn register(&mut self, variable: VarId) -> Variable {
        if let Some(&known) = self.variables.get(&variable) {
            return known;
        }
        let new = self.b.declare_var(register_type(self.kernel.variables[variable].ty));
        self.variables.insert(variable, new);
        new
    }

    /// Where a buffer that was allocated starts.
    pub fn allocated(&mut self, buffer: BufferId) -> Option<ir::Value> {
        if let Some(environment) = &self.environment
            && let Some(offset) = environment.outline.buffer(buffer)
        {
            return Some(self.b.ins().load(types::I64, plain(), environment.address, offset));
        }
        self.buffers.get(&buffer).copied()
    }

    /// A buffer was allocated there.
    pub fn set_allocated(&mut self, buffer: BufferId, address: ir::Value) {
        if let Some(environment) = &self.environment
            && let Some(offset) = environment.outline.buffer(buffer)
        {
            self.b.ins().store(plain(), address, environment.address, offset);
        }
        self.buffers.insert(buffer, address);
    }

    /// The address of a function by its number.
    pub fn function_address(&mut self, number: usize) -> ir::Value {
        let table = self.b.ins().load(types::I64, plain().with_readonly(), self.frame, offsets::FUNCTIONS);
        let offset = i32::try_from(8 * number).unwrap_or(0);
        self.b.ins().load(types::I64, plain().with_readonly(), table, offset)
    }
}

/// What a piece returns that is left to a label around it. Traps are positive.
fn exit_code(label: LabelId) -> i64 {
    -1 - i64::from(label.0)
}
