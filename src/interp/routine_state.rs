//! Running a routine.

use smallvec::SmallVec;

use crate::scalar::{Scalar, arith};

use super::fault::{Fault, FaultKind};
use super::machine::{Fallible, Machine, index_overflow, trap};
use super::memory::{NOWHERE, Place};
use super::plan::{Element, WcrPlan};
use super::routine::{Indexing, Inst, MemoryPort, Register, Routine};

/// Registers, each with the mark that its value is undefined.
#[derive(Debug, Default)]
pub(super) struct RegisterFile {
    pub values: Vec<Scalar>,
    pub poison: Vec<bool>,
}

impl RegisterFile {
    pub fn with_size(size: usize) -> RegisterFile {
        RegisterFile { values: vec![Scalar::Bool(false); size], poison: vec![false; size] }
    }

    #[inline]
    pub fn set(&mut self, register: Register, value: Scalar, poison: bool) {
        self.values[register as usize] = value;
        self.poison[register as usize] = poison;
    }

    #[inline]
    pub fn get(&self, register: Register) -> Scalar {
        self.values[register as usize]
    }
}

/// Where a memory port points while a routine runs.
#[derive(Debug, Clone, Default)]
pub(super) struct PortState {
    block: u32,
    base: i64,
    /// Per index: bytes, first index and step (for bounds), extent.
    dims: SmallVec<[PortDim; 4]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct PortDim {
    stride: i64,
    start: i64,
    step: i64,
    extent: i64,
}

impl<'p> Machine<'p, '_> {
    /// Aims the memory ports of a routine.
    pub fn aim_ports(&mut self, routine: &'p Routine) -> Fallible<()> {
        for (index, port) in routine.ports.iter().enumerate() {
            let state = self.port_state(port)?;
            match self.ports.get_mut(index) {
                Some(slot) => *slot = state,
                None => self.ports.push(state),
            }
        }
        Ok(())
    }

    fn port_state(&self, port: &'p MemoryPort) -> Fallible<PortState> {
        let access = &port.access;
        let place: &Place = &self.places[access.container as usize];
        if place.block == NOWHERE {
            // Only a fault if the code gets there.
            return Ok(PortState { block: NOWHERE, ..PortState::default() });
        }
        // The start of a pointer may lie outside when nothing is read through it.
        let mut base = place.base;
        let mut dims: SmallVec<[PortDim; 4]> = SmallVec::new();
        for (range, dim) in access.ranges.iter().zip(&place.dims) {
            let start = if access.all { 0 } else { self.size(&range.start)? };
            base = base.wrapping_add(start.wrapping_mul(dim.stride));
            dims.push(PortDim {
                stride: dim.stride,
                start: start.wrapping_add(dim.offset),
                step: 1,
                extent: dim.extent,
            });
        }
        if port.indexing == Indexing::Dimensions {
            let mut kept: SmallVec<[PortDim; 4]> = SmallVec::new();
            for &index in &port.dims {
                let Some(mut dim) = dims.get(index).copied() else { continue };
                if !access.all
                    && let Some(range) = access.ranges.get(index)
                {
                    dim.step = self.size(&range.step)?;
                }
                kept.push(dim);
            }
            dims = kept;
        }
        Ok(PortState { block: place.block, base, dims })
    }

    /// Runs a routine whose ports are aimed and whose inputs stand in `registers`.
    #[inline]
    pub fn execute(&mut self, routine: &'p Routine, registers: &mut RegisterFile) -> Fallible<()> {
        if self.tracking {
            self.execute_with::<true>(routine, registers)
        } else {
            self.execute_with::<false>(routine, registers)
        }
    }

    fn execute_with<const TRACK: bool>(
        &mut self,
        routine: &'p Routine,
        file: &mut RegisterFile,
    ) -> Fallible<()> {
        let mut at = 0;
        // Undefined conditions around the present instruction, and how many are nested in all.
        let (mut tainted, mut depth) = (None, 0_usize);
        while let Some(inst) = routine.insts.get(at) {
            at += 1;
            let (to, value, poison) = match inst {
                Inst::Const(to, value) => (*to, *value, false),
                Inst::Undefined(to, dtype) => (*to, Scalar::zero(*dtype), TRACK),
                Inst::Symbol(to, slot, dtype) => {
                    let value = arith::cast(*dtype, self.symbol(*slot));
                    (*to, value, TRACK && self.undefined[*slot as usize])
                }
                Inst::Move(to, from) => (*to, file.get(*from), TRACK && file.poison[*from as usize]),
                Inst::Unary(op, to, a) => {
                    (*to, arith::unary(*op, file.get(*a)), TRACK && file.poison[*a as usize])
                }
                Inst::Binary(op, to, a, b) => {
                    let poison = TRACK && (file.poison[*a as usize] || file.poison[*b as usize]);
                    match arith::binary(*op, file.get(*a), file.get(*b)) {
                        Ok(value) => (*to, value, poison),
                        // What an undefined divisor does is undefined, not a fault of its own.
                        Err(_) if poison => (*to, file.get(*a), true),
                        Err(error) => return Err(trap(error)),
                    }
                }
                Inst::Cast(dtype, to, a) => {
                    (*to, arith::cast(*dtype, file.get(*a)), TRACK && file.poison[*a as usize])
                }
                Inst::Select(to, condition, a, b) => {
                    let chosen = if file.get(*condition).is_true() { *a } else { *b };
                    let poison = TRACK && (file.poison[*condition as usize] || file.poison[chosen as usize]);
                    (*to, file.get(chosen), poison)
                }
                Inst::Call1(func, to, a) => {
                    let value = arith::call(*func, &[file.get(*a)]).map_err(trap)?;
                    (*to, value, TRACK && file.poison[*a as usize])
                }
                Inst::Call2(func, to, a, b) => {
                    let value = arith::call(*func, &[file.get(*a), file.get(*b)]).map_err(trap)?;
                    (*to, value, TRACK && (file.poison[*a as usize] || file.poison[*b as usize]))
                }
                Inst::Call3(func, to, operands) => {
                    let values = operands.map(|operand| file.get(operand));
                    let value = arith::call(*func, &values).map_err(trap)?;
                    (*to, value, TRACK && operands.iter().any(|&operand| file.poison[operand as usize]))
                }
                Inst::Lane { to, base, lanes, index } => {
                    let lane = self.lane(file, *lanes, *index)?;
                    let from = *base + lane;
                    (*to, file.get(from), TRACK && file.poison[from as usize])
                }
                Inst::WithLane { base, lanes, index, from } => {
                    let lane = self.lane(file, *lanes, *index)?;
                    (*base + lane, file.get(*from), TRACK && file.poison[*from as usize])
                }
                Inst::IsAbsent(to, port) => {
                    (*to, Scalar::Bool(self.ports[*port as usize].block == NOWHERE), false)
                }
                Inst::Load { to, port, indices } => {
                    self.load_port(routine, *port, indices, *to, file)?;
                    if TRACK && tainted.is_some() {
                        file.poison[*to as usize] = true;
                    }
                    continue;
                }
                Inst::Store { port, indices, from } => {
                    self.store_port(routine, *port, indices, *from, file, tainted.is_some())?;
                    continue;
                }
                Inst::Push { port, from } => {
                    let port_plan = &routine.ports[*port as usize];
                    let values = &file.values[*from as usize..];
                    let leaves = port_plan.element.leaves.len();
                    let poison =
                        TRACK && file.poison[*from as usize..].iter().take(leaves).any(|&poison| poison);
                    self.push_values(&port_plan.access, values, poison)?;
                    continue;
                }
                Inst::Pop { port, to } => {
                    let port_plan = &routine.ports[*port as usize];
                    let wanted = port_plan.element.leaves.iter().map(|&(dtype, _)| dtype);
                    self.pop_values(&port_plan.access, wanted, *to, file)?;
                    continue;
                }
                Inst::Jump(target) => {
                    at = *target as usize;
                    continue;
                }
                Inst::Loop(target) => {
                    self.step()?;
                    at = *target as usize;
                    continue;
                }
                Inst::JumpUnless(condition, target) => {
                    if !file.get(*condition).is_true() {
                        at = *target as usize;
                    }
                    continue;
                }
                Inst::ConditionBegin(condition) => {
                    depth += 1;
                    if TRACK && tainted.is_none() && file.poison[*condition as usize] {
                        tainted = Some(depth);
                    }
                    continue;
                }
                Inst::ConditionEnd => {
                    if tainted == Some(depth) {
                        tainted = None;
                    }
                    depth = depth.saturating_sub(1);
                    continue;
                }
            };
            file.values[to as usize] = value;
            if TRACK {
                file.poison[to as usize] = poison || tainted.is_some();
            }
        }
        Ok(())
    }

    fn lane(&self, file: &RegisterFile, lanes: u32, index: Register) -> Fallible<u32> {
        let lane = file.get(index).as_i64();
        u32::try_from(lane).ok().filter(|&lane| lane < lanes).ok_or_else(|| {
            Fault::new(FaultKind::OutOfBounds, format!("lane {lane} of a vector with {lanes} lanes"))
                .with_index(&[lane])
        })
    }

    /// Byte address of an indexed access.
    fn port_address(
        &self,
        port: &MemoryPort,
        state: &PortState,
        item: usize,
        indices: &[Register],
        file: &RegisterFile,
    ) -> Fallible<i64> {
        if state.block == NOWHERE {
            return Err(self.unbound(&port.access));
        }
        let mut offset = state.base;
        for (position, &register) in indices.iter().enumerate() {
            let index = file.get(register).as_i64();
            if self.checked && file.poison[register as usize] {
                return Err(self.undefined_use(&format!("an index of `{}`", port.access.text)));
            }
            let (stride, dim) = match port.indexing {
                Indexing::Flat => (item as i64, None),
                _ => match state.dims.get(position) {
                    Some(dim) => (dim.stride.wrapping_mul(dim.step), Some(dim)),
                    None => (0, None),
                },
            };
            if let Some(dim) = dim.filter(|_| self.checked) {
                let absolute = index.checked_mul(dim.step).and_then(|at| at.checked_add(dim.start));
                let absolute = absolute.ok_or_else(index_overflow)?;
                if !(0..dim.extent).contains(&absolute) {
                    return Err(self.out_of_bounds(&port.access, absolute, dim.extent));
                }
            }
            offset = offset.wrapping_add(index.wrapping_mul(stride));
        }
        Ok(offset)
    }

    /// The element as memory has it: the container's own, unless the port sees it as something else.
    fn port_element(&self, port: &'p MemoryPort) -> &'p Element {
        let own = &self.plan.containers[port.access.container as usize].element;
        if own.leaves.len() == port.element.leaves.len() { own } else { &port.element }
    }

    fn load_port(
        &mut self,
        routine: &'p Routine,
        port: u32,
        indices: &[Register],
        to: Register,
        file: &mut RegisterFile,
    ) -> Fallible<()> {
        let port_plan = &routine.ports[port as usize];
        let element = self.port_element(port_plan);
        let state = &self.ports[port as usize];
        let block = state.block;
        let offset = self.port_address(port_plan, state, element.bytes, indices, file)?;
        for (lane, (&(dtype, at), &(wanted, _))) in
            element.leaves.iter().zip(&port_plan.element.leaves).enumerate()
        {
            let (value, poison) =
                self.load(block, offset.wrapping_add(at as i64), dtype, &port_plan.access)?;
            file.set(to + lane as u32, arith::cast(wanted, value), poison);
        }
        Ok(())
    }

    fn store_port(
        &mut self,
        routine: &'p Routine,
        port: u32,
        indices: &[Register],
        from: Register,
        file: &mut RegisterFile,
        tainted: bool,
    ) -> Fallible<()> {
        let port_plan = &routine.ports[port as usize];
        if port_plan.indexing == Indexing::Stream {
            return self.push_values(&port_plan.access, &file.values[from as usize..], tainted);
        }
        let element = self.port_element(port_plan);
        let state = &self.ports[port as usize];
        let block = state.block;
        let offset = self.port_address(port_plan, state, element.bytes, indices, file)?;
        let from = from as usize;
        let width = element.leaves.len();
        let values = &file.values[from..from + width];
        let poison = &file.poison[from..from + width];
        self.write_element(
            block,
            offset,
            element,
            values,
            poison,
            tainted,
            port_plan.wcr.as_ref(),
            &port_plan.access,
        )
    }

    /// Writes an element, through conflict resolution if there is one.
    #[expect(clippy::too_many_arguments, reason = "a write is all of this")]
    pub fn write_element(
        &mut self,
        block: u32,
        offset: i64,
        element: &'p Element,
        values: &[Scalar],
        poison: &[bool],
        tainted: bool,
        wcr: Option<&'p WcrPlan>,
        access: &super::plan::Access,
    ) -> Fallible<()> {
        if let Some(wcr) = wcr {
            return self.resolve(block, offset, element, values, poison, tainted, wcr, access);
        }
        for ((&(dtype, at), &value), &poison) in element.leaves.iter().zip(values).zip(poison) {
            let value = arith::cast(dtype, value);
            self.store(block, offset.wrapping_add(at as i64), value, poison || tainted, access)?;
        }
        Ok(())
    }
}
