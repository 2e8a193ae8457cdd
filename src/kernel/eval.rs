//! Runs a kernel slowly and obviously: the oracle for machine code in tests.
//!
//! Memory is a list of allocations at made-up addresses, so a stray access is an error, not a crash.

use hashbrown::HashMap;

use crate::memory::POISON;
use crate::scalar::{Scalar, Trap, arith};

use super::queues::{Operation, Streams};
use super::{BufferId, BufferKind, CfgBlock, Jump, Kernel, LabelId, Literal, Op, Stmt, TrapId, ValueId};

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// At its end.
    Done,
    /// A check failed.
    Trapped(TrapId),
}

/// Runs a verified kernel on argument bytes (by argument number) and parameters (as literals' bits).
///
/// # Errors
/// A sentence, when the kernel does what no kernel may: a stray access, a library call, too many steps.
pub fn run(
    kernel: &Kernel,
    arguments: &mut [Vec<u8>],
    parameters: &[u64],
    fuel: u64,
) -> Result<Ended, String> {
    let mut machine = Machine {
        kernel,
        values: vec![None; kernel.values.len()],
        variables: kernel.variables.values().map(|variable| Scalar::zero(variable.ty)).collect(),
        memory: Vec::new(),
        bases: HashMap::new(),
        streams: Streams::default(),
        fuel,
    };
    for (id, buffer) in kernel.buffers.iter() {
        let bytes = match &buffer.kind {
            BufferKind::Argument(index) => match arguments.get(*index as usize) {
                Some(bytes) => bytes.clone(),
                None => return Err(format!("{id} has no argument")),
            },
            BufferKind::Constant(bytes) => bytes.clone(),
            _ => continue,
        };
        machine.allocate(id, bytes);
    }
    for (parameter, &bits) in kernel.parameters.iter().zip(parameters) {
        let literal = Literal { ty: kernel.values[parameter.value], bits };
        machine.values[parameter.value.0 as usize] = literal.to_scalar();
    }
    let ended = machine.list(&kernel.body)?;
    for (id, buffer) in kernel.buffers.iter() {
        if let BufferKind::Argument(index) = buffer.kind {
            arguments[index as usize].clone_from(&machine.memory[machine.bases[&id]]);
        }
    }
    match ended {
        Flow::Trap(trap) => Ok(Ended::Trapped(trap)),
        _ => Ok(Ended::Done),
    }
}

enum Flow {
    Next,
    Exit(LabelId),
    Trap(TrapId),
}

struct Machine<'k> {
    kernel: &'k Kernel,
    values: Vec<Option<Scalar>>,
    variables: Vec<Scalar>,
    memory: Vec<Vec<u8>>,
    bases: HashMap<BufferId, usize>,
    streams: Streams,
    fuel: u64,
}

/// Allocation `n` starts at `(n + 1) << SHIFT`.
const SHIFT: u32 = 36;

impl Machine<'_> {
    fn allocate(&mut self, buffer: BufferId, bytes: Vec<u8>) {
        self.bases.insert(buffer, self.memory.len());
        self.memory.push(bytes);
    }

    fn get(&self, value: ValueId) -> Result<Scalar, String> {
        self.values[value.0 as usize].ok_or_else(|| format!("{value} has no value"))
    }

    fn int(&self, value: ValueId) -> Result<i64, String> {
        self.get(value).map(Scalar::as_i64)
    }

    fn truth(&self, value: ValueId) -> Result<bool, String> {
        self.get(value).map(Scalar::is_true)
    }

    fn tick(&mut self) -> Result<(), String> {
        self.fuel = self.fuel.checked_sub(1).ok_or("out of fuel")?;
        Ok(())
    }

    fn list(&mut self, stmts: &[Stmt]) -> Result<Flow, String> {
        for stmt in stmts {
            match self.stmt(stmt)? {
                Flow::Next => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::Next)
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<Flow, String> {
        self.tick()?;
        match stmt {
            Stmt::Let(value, op) => self.values[value.0 as usize] = Some(self.op(*value, op)?),
            Stmt::Set(variable, value) => self.variables[variable.0 as usize] = self.get(*value)?,
            Stmt::Store { address, displacement, value, .. } => {
                let number = self.get(*value)?;
                let literal = Literal::from_scalar(number).ok_or("a complex number is stored")?;
                let address = self.int(*address)?.wrapping_add(*displacement);
                let bytes = self.bytes(address, literal.ty.bytes())?;
                bytes.copy_from_slice(&literal.bits.to_le_bytes()[..literal.ty.bytes()]);
            }
            Stmt::For { variable, start, stop, step, body, .. } => {
                let (mut current, stop) = (self.int(*start)?, self.int(*stop)?);
                while if *step > 0 { current < stop } else { current > stop } {
                    self.tick()?;
                    self.values[variable.0 as usize] = Some(Scalar::I64(current));
                    match self.list(body)? {
                        Flow::Next => {}
                        other => return Ok(other),
                    }
                    current = current.wrapping_add(*step);
                }
            }
            Stmt::Loop(body) => loop {
                self.tick()?;
                match self.list(body)? {
                    Flow::Next => {}
                    other => return Ok(other),
                }
            },
            Stmt::If { condition, then, otherwise } => {
                return self.list(if self.truth(*condition)? { then } else { otherwise });
            }
            Stmt::Block(label, body) => match self.list(body)? {
                Flow::Exit(target) if target == *label => {}
                other => return Ok(other),
            },
            Stmt::Exit(label) => return Ok(Flow::Exit(*label)),
            Stmt::Cfg(blocks) => return self.cfg(blocks),
            Stmt::Check(condition, trap) => {
                if !self.truth(*condition)? {
                    return Ok(Flow::Trap(*trap));
                }
            }
            Stmt::Alloc { buffer, bytes, zero, trap } => match usize::try_from(self.int(*bytes)?) {
                Ok(bytes) if bytes < 1 << 30 => {
                    // What was not cleared holds whatever it holds; here, what nobody takes for a result.
                    let filled = if *zero { 0 } else { POISON };
                    self.allocate(*buffer, vec![filled; bytes]);
                }
                _ => return Ok(Flow::Trap(*trap)),
            },
            Stmt::Call(library, arguments) => {
                let call = &self.kernel.libraries[*library];
                let Some(operation) = Operation::of(&call.class) else {
                    return Err(format!("{library} cannot be evaluated"));
                };
                let arguments = arguments.iter().map(|&argument| self.int(argument));
                if self.queues(operation, &arguments.collect::<Result<Vec<_>, _>>()?)?.is_none() {
                    return Ok(Flow::Trap(call.trap));
                }
            }
        }
        Ok(Flow::Next)
    }

    /// Works with the queues of a stream; none if that fails.
    fn queues(&mut self, operation: Operation, arguments: &[i64]) -> Result<Option<()>, String> {
        Ok(match (operation, arguments) {
            (Operation::Open, &[stream, count, element, keeps]) => {
                self.streams.open(stream, count, element, keeps != 0)
            }
            (Operation::Push, &[stream, queue, address]) => {
                let element = self.streams.element(stream).unwrap_or(0);
                let bytes = self.bytes(address, element)?.to_vec();
                self.streams.push(stream, queue, &bytes)
            }
            (Operation::Pop, &[stream, queue, count, address]) => {
                let element = self.streams.element(stream).unwrap_or(0);
                let mut bytes = vec![0; element * usize::try_from(count).unwrap_or(0)];
                let done = self.streams.pop(stream, queue, &mut bytes);
                if done.is_some() {
                    self.bytes(address, bytes.len())?.copy_from_slice(&bytes);
                }
                done
            }
            (Operation::Length, &[stream, queue, address]) => {
                let Some(length) = self.streams.length(stream, queue) else { return Ok(None) };
                self.bytes(address, 8)?.copy_from_slice(&length.to_le_bytes());
                Some(())
            }
            (Operation::Append, &[stream, queue, to, to_queue]) => {
                self.streams.append((stream, queue), (to, to_queue))
            }
            _ => return Err(format!("{operation:?} of {} arguments", arguments.len())),
        })
    }

    fn cfg(&mut self, blocks: &[CfgBlock]) -> Result<Flow, String> {
        let mut at = 0;
        while let Some(block) = blocks.get(at) {
            self.tick()?;
            match self.list(&block.body)? {
                Flow::Next => {}
                other => return Ok(other),
            }
            at = match block.jump {
                Jump::End => break,
                Jump::To(target) => target as usize,
                Jump::Branch(condition, yes, no) => {
                    if self.truth(condition)? {
                        yes as usize
                    } else {
                        no as usize
                    }
                }
            };
        }
        Ok(Flow::Next)
    }

    fn bytes(&mut self, address: i64, len: usize) -> Result<&mut [u8], String> {
        let stray = || format!("stray access at {address:#x}");
        let block = usize::try_from((address >> SHIFT) - 1).map_err(|_| stray())?;
        let offset = (address & ((1 << SHIFT) - 1)) as usize;
        let memory = self.memory.get_mut(block).ok_or_else(stray)?;
        memory.get_mut(offset..offset + len).ok_or_else(stray)
    }

    fn op(&mut self, value: ValueId, op: &Op) -> Result<Scalar, String> {
        let ty = self.kernel.values[value];
        Ok(match op {
            Op::Const(literal) => literal.to_scalar().ok_or("a complex literal")?,
            Op::Get(variable) => self.variables[variable.0 as usize],
            Op::Base(buffer) => match self.bases.get(buffer) {
                Some(&block) => Scalar::I64((block as i64 + 1) << SHIFT),
                None => return Err(format!("{buffer} is not allocated")),
            },
            Op::Unary(op, a) => arith::unary(*op, self.get(*a)?),
            Op::Binary(op, a, b) => match arith::binary(*op, self.get(*a)?, self.get(*b)?) {
                Ok(result) => result,
                Err(Trap::DivisionByZero) => Scalar::zero(ty),
                Err(trap) => return Err(format!("{op:?}: {trap}")),
            },
            Op::Cast(to, a) => arith::cast(*to, self.get(*a)?),
            Op::Select(condition, a, b) => {
                let (a, b) = (self.get(*a)?, self.get(*b)?);
                if self.truth(*condition)? { a } else { b }
            }
            Op::Math(func, operands) => {
                let operands = operands.iter().map(|&a| self.get(a)).collect::<Result<Vec<_>, _>>()?;
                arith::call(*func, &operands).map_err(|trap| format!("{func:?}: {trap}"))?
            }
            Op::Complex(func, imaginary, operands) => {
                let parts = operands
                    .iter()
                    .map(|&a| self.get(a).map(Scalar::as_f64))
                    .collect::<Result<Vec<_>, _>>()?;
                let numbers: Vec<Scalar> = parts
                    .chunks(2)
                    .map(|part| Scalar::C128(num_complex::Complex64::new(part[0], part[1])))
                    .collect();
                let z =
                    arith::call(*func, &numbers).map_err(|trap| format!("{func:?}: {trap}"))?.as_complex();
                Scalar::F64(if *imaginary { z.im } else { z.re })
            }
            Op::Load { address, displacement, ty, .. } => {
                let address = self.int(*address)?.wrapping_add(*displacement);
                let mut bits = [0; 8];
                bits[..ty.bytes()].copy_from_slice(self.bytes(address, ty.bytes())?);
                let literal = Literal { ty: *ty, bits: u64::from_le_bytes(bits) };
                literal.to_scalar().ok_or("a complex number is loaded")?
            }
        })
    }
}
