//! From structured code to routines.

use hashbrown::HashMap;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::interp::routine::{Inst, MemoryPort, Register, Routine};
use crate::scalar::{Block, Code, DType, Func, Op, PortId, PortKind, Scalar, StructTable, Type, ValueId};

use super::element::element;

/// What the names of a code stand for.
pub(super) trait CodeScope {
    /// The slot of a symbol.
    fn symbol(&mut self, name: Name, dtype: DType) -> Result<u32, Diagnostic>;
    /// The memory behind a port that is not passed by value.
    fn memory(&mut self, port: PortId) -> Result<MemoryPort, Diagnostic>;
}

/// A routine, and where its value ports lie.
pub(super) struct Compiled {
    pub routine: Routine,
    /// First register of each value port that is read.
    pub inputs: HashMap<PortId, Register>,
    /// First register of each value port that is written.
    pub outputs: HashMap<PortId, Register>,
}

/// Flattens a code.
pub(super) fn compile(
    code: &Code,
    structs: &StructTable,
    scope: &mut dyn CodeScope,
) -> Result<Compiled, Diagnostic> {
    let mut compiler = Compiler {
        code,
        structs,
        insts: Vec::new(),
        values: vec![None; code.types.len()],
        next: 0,
        ports: Vec::new(),
        port_of: HashMap::new(),
        inputs: HashMap::new(),
        outputs: HashMap::new(),
        symbols: Vec::new(),
    };
    for &(name, dtype) in &code.symbols {
        let slot = scope.symbol(name, dtype)?;
        compiler.symbols.push((slot, dtype));
    }
    for (id, port) in code.ports.iter() {
        if port.kind == PortKind::Value {
            if port.reads {
                let register = compiler.fresh(port.ty)?;
                compiler.inputs.insert(id, register);
            }
            if port.writes {
                let register = compiler.fresh(port.ty)?;
                compiler.outputs.insert(id, register);
                for (index, &(dtype, _)) in element(port.ty, structs)?.leaves.iter().enumerate() {
                    compiler.insts.push(Inst::Undefined(register + index as u32, dtype));
                }
            }
        } else {
            let memory = scope.memory(id)?;
            compiler.port_of.insert(id, compiler.ports.len() as u32);
            compiler.ports.push(memory);
        }
    }
    compiler.run()?;
    let result = match code.body.results.first() {
        Some(&value) => Some(compiler.register(value)?),
        None => None,
    };
    let routine = Routine {
        insts: compiler.insts.into_boxed_slice(),
        registers: compiler.next as usize,
        ports: compiler.ports.into_boxed_slice(),
        result,
    };
    Ok(Compiled { routine, inputs: compiler.inputs, outputs: compiler.outputs })
}

/// Registers one code may use: enough for any real tasklet, and a bound on memory for hostile ones.
const MAX_REGISTERS: usize = 1 << 24;

struct Compiler<'a> {
    code: &'a Code,
    structs: &'a StructTable,
    insts: Vec<Inst>,
    values: Vec<Option<Register>>,
    next: u32,
    ports: Vec<MemoryPort>,
    port_of: HashMap<PortId, u32>,
    inputs: HashMap<PortId, Register>,
    outputs: HashMap<PortId, Register>,
    symbols: Vec<(u32, DType)>,
}

/// A block being compiled, and what follows it. An explicit stack: code may nest deeper than the machine's.
struct Frame<'a> {
    block: &'a Block,
    next: usize,
    after: After<'a>,
}

enum After<'a> {
    Done,
    Then { otherwise: &'a Block, results: &'a [ValueId], skip: usize },
    Otherwise { results: &'a [ValueId], exit: usize },
    Condition { body: &'a Block, params: &'a [ValueId], results: &'a [ValueId], top: u32 },
    Body { params: &'a [ValueId], results: &'a [ValueId], top: u32, exit: usize },
}

impl<'a> Compiler<'a> {
    fn run(&mut self) -> Result<(), Diagnostic> {
        let mut stack = vec![Frame { block: &self.code.body, next: 0, after: After::Done }];
        while let Some(frame) = stack.last_mut() {
            if let Some(inst) = frame.block.insts.get(frame.next) {
                frame.next += 1;
                match &inst.op {
                    Op::If { condition, then, otherwise } => {
                        for &result in &inst.results {
                            self.define(result)?;
                        }
                        let condition = self.register(*condition)?;
                        self.insts.push(Inst::ConditionBegin(condition));
                        let skip = self.insts.len();
                        self.insts.push(Inst::JumpUnless(condition, 0));
                        let after = After::Then { otherwise, results: &inst.results, skip };
                        stack.push(Frame { block: then, next: 0, after });
                    }
                    Op::Loop { carried, params, condition, body } => {
                        for (&param, &value) in params.iter().zip(carried) {
                            self.define(param)?;
                            self.copy(param, value)?;
                        }
                        for &result in &inst.results {
                            self.define(result)?;
                        }
                        let top = self.insts.len() as u32;
                        let after = After::Condition { body, params, results: &inst.results, top };
                        stack.push(Frame { block: condition, next: 0, after });
                    }
                    op => self.simple(op, &inst.results)?,
                }
                continue;
            }
            let Some(Frame { block, after, .. }) = stack.pop() else { break };
            match after {
                After::Done => {}
                After::Then { otherwise, results, skip } => {
                    self.yield_values(results, &block.results)?;
                    let exit = self.insts.len();
                    self.insts.push(Inst::Jump(0));
                    self.patch(skip);
                    stack.push(Frame {
                        block: otherwise,
                        next: 0,
                        after: After::Otherwise { results, exit },
                    });
                }
                After::Otherwise { results, exit } => {
                    self.yield_values(results, &block.results)?;
                    self.patch(exit);
                    self.insts.push(Inst::ConditionEnd);
                }
                After::Condition { body, params, results, top } => {
                    let condition = match block.results.first() {
                        Some(&value) => self.register(value)?,
                        None => return Err(malformed("a loop condition yields nothing")),
                    };
                    let exit = self.insts.len();
                    self.insts.push(Inst::JumpUnless(condition, 0));
                    stack.push(Frame {
                        block: body,
                        next: 0,
                        after: After::Body { params, results, top, exit },
                    });
                }
                After::Body { params, results, top, exit } => {
                    // All new values are read before any parameter changes.
                    let mut moves = Vec::new();
                    for (&param, &value) in params.iter().zip(&block.results) {
                        let (from, width) = (self.register(value)?, self.width(value)?);
                        let kept = self.reserve(width)?;
                        for lane in 0..width {
                            self.insts.push(Inst::Move(kept + lane, from + lane));
                            moves.push(Inst::Move(self.register(param)? + lane, kept + lane));
                        }
                    }
                    self.insts.extend(moves);
                    self.insts.push(Inst::Loop(top));
                    self.patch(exit);
                    self.yield_values(results, params)?;
                }
            }
        }
        Ok(())
    }

    fn simple(&mut self, op: &Op, results: &[ValueId]) -> Result<(), Diagnostic> {
        match op {
            Op::Store { port, indices, value } => {
                let indices = self.registers(indices)?;
                let inst = Inst::Store { port: self.port(*port)?, indices, from: self.register(*value)? };
                self.insts.push(inst);
                return Ok(());
            }
            Op::Output { port, value } => {
                let Some(&to) = self.outputs.get(port) else {
                    return Err(malformed("output to no output port"));
                };
                let (from, width) = (self.register(*value)?, self.width(*value)?);
                let room = self.port_width(*port)?;
                for lane in 0..width.min(room) {
                    self.insts.push(Inst::Move(to + lane, from + lane));
                }
                return Ok(());
            }
            Op::Push { port, value } => {
                let inst = Inst::Push { port: self.port(*port)?, from: self.register(*value)? };
                self.insts.push(inst);
                return Ok(());
            }
            _ => {}
        }
        let Some(&result) = results.first() else { return Ok(()) };
        if let Op::Input(port) = op {
            let Some(&register) = self.inputs.get(port) else {
                return Err(malformed("input from no input port"));
            };
            self.set(result, register);
            return Ok(());
        }
        let to = self.define(result)?;
        let ty = self.ty(result)?;
        let width = self.width(result)?;
        match op {
            Op::Const(scalar) => self.insts.push(Inst::Const(to, *scalar)),
            Op::Undef => {
                for (index, &(dtype, _)) in element(ty, self.structs)?.leaves.iter().enumerate() {
                    self.insts.push(Inst::Undefined(to + index as u32, dtype));
                }
            }
            Op::Symbol(index) => {
                let Some(&(slot, dtype)) = self.symbols.get(*index as usize) else {
                    return Err(malformed("symbol out of range"));
                };
                self.insts.push(Inst::Symbol(to, slot, dtype));
            }
            Op::Load { port, indices } => {
                let indices = self.registers(indices)?;
                let port = self.port(*port)?;
                self.insts.push(Inst::Load { to, port, indices });
            }
            Op::Pop(port) => {
                let port = self.port(*port)?;
                self.insts.push(Inst::Pop { port, to });
            }
            Op::IsAbsent(port) => {
                let port = self.port(*port)?;
                self.insts.push(Inst::IsAbsent(to, port));
            }
            Op::Unary(op, value) => {
                let from = self.lanes(*value)?;
                for lane in 0..width {
                    self.insts.push(Inst::Unary(*op, to + lane, from.at(lane)));
                }
            }
            Op::Binary(op, left, right) => {
                let (left, right) = (self.lanes(*left)?, self.lanes(*right)?);
                if left.width > 1 && width == 1 {
                    return Err(malformed("records have no operations"));
                }
                for lane in 0..width {
                    self.insts.push(Inst::Binary(*op, to + lane, left.at(lane), right.at(lane)));
                }
            }
            Op::Cast(dtype, value) => {
                let from = self.lanes(*value)?;
                for lane in 0..width {
                    self.insts.push(Inst::Cast(*dtype, to + lane, from.at(lane)));
                }
            }
            Op::Select(condition, then, otherwise) => {
                let (c, a, b) = (self.lanes(*condition)?, self.lanes(*then)?, self.lanes(*otherwise)?);
                for lane in 0..width {
                    self.insts.push(Inst::Select(to + lane, c.at(lane), a.at(lane), b.at(lane)));
                }
            }
            Op::Call(func, operands) => self.call(*func, operands, to, width)?,
            Op::MakeStruct(fields) => {
                let mut at = to;
                for &field in fields {
                    let (from, count) = (self.register(field)?, self.width(field)?);
                    for lane in 0..count.min((to + width).saturating_sub(at)) {
                        self.insts.push(Inst::Move(at + lane, from + lane));
                    }
                    at += count;
                }
            }
            Op::Field(record, field) => {
                let from = self.register(*record)? + self.field_start(*record, *field)?;
                for lane in 0..width {
                    self.insts.push(Inst::Move(to + lane, from + lane));
                }
            }
            Op::WithField(record, field, value) => {
                let from = self.register(*record)?;
                let start = self.field_start(*record, *field)?;
                let (new, count) = (self.register(*value)?, self.width(*value)?);
                for lane in 0..width {
                    let replaced = lane >= start && lane < start + count;
                    let source = if replaced { new + lane - start } else { from + lane };
                    self.insts.push(Inst::Move(to + lane, source));
                }
            }
            Op::Splat(value, _) => {
                let from = self.register(*value)?;
                for lane in 0..width {
                    self.insts.push(Inst::Move(to + lane, from));
                }
            }
            Op::Lane(vector, index) => {
                let (base, lanes) = (self.register(*vector)?, self.width(*vector)?);
                let index = self.register(*index)?;
                self.insts.push(Inst::Lane { to, base, lanes, index });
            }
            Op::WithLane(vector, index, value) => {
                let from = self.register(*vector)?;
                for lane in 0..width {
                    self.insts.push(Inst::Move(to + lane, from + lane));
                }
                let (index, from) = (self.register(*index)?, self.register(*value)?);
                self.insts.push(Inst::WithLane { base: to, lanes: width, index, from });
            }
            Op::Input(_)
            | Op::Store { .. }
            | Op::Output { .. }
            | Op::Push { .. }
            | Op::If { .. }
            | Op::Loop { .. } => {}
        }
        Ok(())
    }

    fn call(&mut self, func: Func, operands: &[ValueId], to: u32, width: u32) -> Result<(), Diagnostic> {
        let mut lanes = Vec::with_capacity(operands.len());
        for &operand in operands {
            lanes.push(self.lanes(operand)?);
        }
        for lane in 0..width {
            self.insts.push(match *lanes {
                [a] => Inst::Call1(func, to + lane, a.at(lane)),
                [a, b] => Inst::Call2(func, to + lane, a.at(lane), b.at(lane)),
                [a, b, c] => Inst::Call3(func, to + lane, [a.at(lane), b.at(lane), c.at(lane)]),
                _ => return Err(malformed("a math function takes one to three operands")),
            });
        }
        Ok(())
    }

    fn yield_values(&mut self, to: &[ValueId], from: &[ValueId]) -> Result<(), Diagnostic> {
        for (&to, &from) in to.iter().zip(from) {
            self.copy(to, from)?;
        }
        Ok(())
    }

    fn copy(&mut self, to: ValueId, from: ValueId) -> Result<(), Diagnostic> {
        let (to_register, from_register) = (self.register(to)?, self.register(from)?);
        for lane in 0..self.width(to)?.min(self.width(from)?) {
            self.insts.push(Inst::Move(to_register + lane, from_register + lane));
        }
        Ok(())
    }

    fn patch(&mut self, at: usize) {
        let here = self.insts.len() as u32;
        if let Some(Inst::Jump(target) | Inst::JumpUnless(_, target)) = self.insts.get_mut(at) {
            *target = here
        }
    }

    fn field_start(&self, record: ValueId, field: u32) -> Result<u32, Diagnostic> {
        let Type::Struct(id) = self.ty(record)? else { return Err(malformed("a field of something else")) };
        let Some(def) = self.structs.get(id) else { return Err(malformed("unknown record type")) };
        let mut start = 0;
        for before in def.fields.iter().take(field as usize) {
            start += element(before.ty, self.structs)?.leaves.len() as u32;
        }
        Ok(start)
    }

    fn port(&self, port: PortId) -> Result<u32, Diagnostic> {
        self.port_of.get(&port).copied().ok_or_else(|| malformed("memory access through a value port"))
    }

    fn port_width(&self, port: PortId) -> Result<u32, Diagnostic> {
        match self.code.ports.get(port) {
            Some(port) => Ok(element(port.ty, self.structs)?.leaves.len() as u32),
            None => Err(malformed("unknown port")),
        }
    }

    fn registers(&self, values: &[ValueId]) -> Result<Box<[Register]>, Diagnostic> {
        values.iter().map(|&value| self.register(value)).collect()
    }

    fn lanes(&self, value: ValueId) -> Result<Lanes, Diagnostic> {
        Ok(Lanes { base: self.register(value)?, width: self.width(value)? })
    }

    fn ty(&self, value: ValueId) -> Result<Type, Diagnostic> {
        self.code.types.get(value).copied().ok_or_else(|| malformed("a value without a type"))
    }

    fn width(&self, value: ValueId) -> Result<u32, Diagnostic> {
        match self.ty(value)? {
            Type::Scalar(_) => Ok(1),
            ty => Ok(element(ty, self.structs)?.leaves.len() as u32),
        }
    }

    fn register(&self, value: ValueId) -> Result<Register, Diagnostic> {
        let register = self.values.get(value.0 as usize).copied().flatten();
        register.ok_or_else(|| malformed("a value is used before its definition"))
    }

    fn define(&mut self, value: ValueId) -> Result<Register, Diagnostic> {
        let register = self.fresh(self.ty(value)?)?;
        self.set(value, register);
        Ok(register)
    }

    fn set(&mut self, value: ValueId, register: Register) {
        if let Some(slot) = self.values.get_mut(value.0 as usize) {
            *slot = Some(register);
        }
    }

    fn fresh(&mut self, ty: Type) -> Result<Register, Diagnostic> {
        let width = match ty {
            Type::Scalar(_) => 1,
            ty => element(ty, self.structs)?.leaves.len() as u32,
        };
        self.reserve(width)
    }

    fn reserve(&mut self, width: u32) -> Result<Register, Diagnostic> {
        let first = self.next;
        self.next = first.saturating_add(width);
        if self.next as usize > MAX_REGISTERS {
            return Err(malformed("the code holds more values than the interpreter takes"));
        }
        Ok(first)
    }
}

/// The registers of an operand; one number stands for every lane.
#[derive(Clone, Copy)]
struct Lanes {
    base: Register,
    width: u32,
}

impl Lanes {
    fn at(self, lane: u32) -> Register {
        if self.width == 1 { self.base } else { self.base + lane.min(self.width.saturating_sub(1)) }
    }
}

fn malformed(what: &str) -> Diagnostic {
    Diagnostic::error("P0302", format!("malformed scalar code: {what}"))
}

/// A routine that gives a constant.
pub(super) fn constant(value: Scalar) -> Routine {
    Routine { insts: Box::new([Inst::Const(0, value)]), registers: 1, ports: Box::new([]), result: Some(0) }
}
