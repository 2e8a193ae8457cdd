//! Tasklets: inputs, body, outputs.

use smallvec::SmallVec;

use crate::scalar::{DType, Scalar, arith};

use super::machine::{Fallible, Machine};
use super::memory::NOWHERE;
use super::plan::{Assignment, InputPlan, OutputPlan, TaskletPlan};
use super::routine::Routine;
use super::routine_state::RegisterFile;

impl<'p> Machine<'p, '_> {
    pub fn tasklet(&mut self, tasklet: &'p TaskletPlan) -> Fallible<()> {
        let mut file = std::mem::take(&mut self.registers);
        let result = self.tasklet_with(tasklet, &mut file);
        self.registers = file;
        result
    }

    fn tasklet_with(&mut self, tasklet: &'p TaskletPlan, file: &mut RegisterFile) -> Fallible<()> {
        for input in &tasklet.inputs {
            self.input(input, file)?;
        }
        if !tasklet.routine.ports.is_empty() {
            self.aim_ports(&tasklet.routine)?;
        }
        self.execute(&tasklet.routine, file)?;
        for output in &tasklet.outputs {
            self.output(output, file)?;
        }
        Ok(())
    }

    #[inline]
    fn input(&mut self, input: &'p InputPlan, file: &mut RegisterFile) -> Fallible<()> {
        let Some((stored, wanted)) = input.number else { return self.input_of_several(input, file) };
        let (block, offset) = self.address(&input.access)?;
        let (value, poison) = self.load(block, offset, stored, &input.access)?;
        file.set(input.register, arith::cast(wanted, value), poison);
        Ok(())
    }

    /// Elements of a stream, vectors and records.
    fn input_of_several(&mut self, input: &'p InputPlan, file: &mut RegisterFile) -> Fallible<()> {
        if input.pop {
            return self.pop_values(&input.access, input.leaves.iter().copied(), input.register, file);
        }
        let (block, offset) = self.address(&input.access)?;
        let own = &self.plan.containers[input.access.container as usize].element;
        let mut packed = 0;
        for (lane, &wanted) in input.leaves.iter().enumerate() {
            // A vector over plain numbers takes neighbours; equal elements match number by number.
            let (dtype, at) = match own.leaves.get(lane).filter(|_| own.leaves.len() == input.leaves.len()) {
                Some(&leaf) => leaf,
                None => (wanted, packed),
            };
            packed += wanted.bytes();
            let (value, poison) = self.load(block, offset.wrapping_add(at as i64), dtype, &input.access)?;
            file.set(input.register + lane as u32, arith::cast(wanted, value), poison);
        }
        Ok(())
    }

    #[inline]
    fn output(&mut self, output: &'p OutputPlan, file: &RegisterFile) -> Fallible<()> {
        let Some(stored) = output.number else { return self.output_of_several(output, file) };
        let (block, offset) = self.address(&output.access)?;
        let value = arith::cast(stored, file.get(output.register));
        self.store(block, offset, value, file.poison[output.register as usize], &output.access)
    }

    /// Elements for a stream, vectors, records, and what meets an old element.
    fn output_of_several(&mut self, output: &'p OutputPlan, file: &RegisterFile) -> Fallible<()> {
        let first = output.register as usize;
        let width = output.leaves.len();
        if output.push {
            let poison = file.poison[first..first + width].iter().any(|&poison| poison);
            return self.push_values(&output.access, &file.values[first..first + width], poison);
        }
        let (block, offset) = self.address(&output.access)?;
        let own = &self.plan.containers[output.access.container as usize].element;
        if own.leaves.len() == width {
            let (values, poison) = (&file.values[first..first + width], &file.poison[first..first + width]);
            return self.write_element(
                block,
                offset,
                own,
                values,
                poison,
                false,
                output.wcr.as_ref(),
                &output.access,
            );
        }
        // A vector over plain numbers writes neighbours; resolved into one element, all its lanes meet there.
        let one = output.access.ranges.iter().all(|range| range.single);
        let mut at = offset;
        for (lane, &dtype) in output.leaves.iter().enumerate() {
            let (value, poison) = (file.get(output.register + lane as u32), file.poison[first + lane]);
            match (&output.wcr, own.number()) {
                (Some(wcr), Some(_)) => {
                    self.resolve(block, at, own, &[value], &[poison], false, wcr, &output.access)?;
                }
                _ => self.store(block, at, value, poison, &output.access)?,
            }
            if !(one && output.wcr.is_some()) {
                at = at.wrapping_add(dtype.bytes() as i64);
            }
        }
        Ok(())
    }

    /// The value of a condition or assignment, and whether it is undefined.
    pub fn evaluate(&mut self, routine: &'p Routine) -> Fallible<(Scalar, bool)> {
        self.aim_ports(routine)?;
        let mut file = std::mem::take(&mut self.registers);
        let result = self.execute(routine, &mut file).map(|()| {
            let register = routine.result.unwrap_or(0);
            (file.get(register), self.tracking && file.poison[register as usize])
        });
        self.registers = file;
        result
    }

    /// Whether a condition holds.
    pub fn holds(&mut self, routine: &'p Routine) -> Fallible<bool> {
        let (value, poison) = self.evaluate(routine)?;
        if poison && self.checked {
            return Err(self.undefined_use("a condition"));
        }
        Ok(value.is_true())
    }

    pub fn assign(&mut self, assignment: &'p Assignment) -> Fallible<()> {
        let (value, poison) = self.evaluate(&assignment.value)?;
        if poison && self.checked {
            let name = self.plan.names().get(self.plan.symbols[assignment.symbol as usize].name);
            return Err(self.undefined_use(&format!("symbol `{name}`")));
        }
        self.set_symbol(assignment.symbol, value);
        self.undefined[assignment.symbol as usize] = poison;
        Ok(())
    }

    /// Appends an element to the queue an access names.
    pub fn push_values(
        &mut self,
        access: &super::plan::Access,
        values: &[Scalar],
        poison: bool,
    ) -> Fallible<()> {
        let (first, offset) = self.queue(access)?;
        let element = &self.plan.containers[access.container as usize].element;
        let mut bytes: SmallVec<[u8; 16]> = SmallVec::from_elem(0, element.bytes);
        for (&(dtype, at), &value) in element.leaves.iter().zip(values) {
            if let Some(place) = bytes.get_mut(at..) {
                arith::cast(dtype, value).write_le_bytes(place);
            }
        }
        let queue = queue_index(first, offset).and_then(|index| self.memory.queues.get_mut(index));
        match queue {
            Some(queue) => {
                queue.push_back((bytes, poison));
                Ok(())
            }
            None => Err(self.outside(access, offset)),
        }
    }

    /// Takes an element from the queue an access names to consecutive registers, as numbers of the types wanted.
    pub fn pop_values(
        &mut self,
        access: &super::plan::Access,
        wanted: impl Iterator<Item = DType>,
        to: u32,
        file: &mut RegisterFile,
    ) -> Fallible<()> {
        let (first, offset) = self.queue(access)?;
        let element = &self.plan.containers[access.container as usize].element;
        let queue = queue_index(first, offset).and_then(|index| self.memory.queues.get_mut(index));
        let Some(queue) = queue else { return Err(self.outside(access, offset)) };
        let Some((bytes, poison)) = queue.pop_front() else {
            return Err(super::machine::trap(crate::scalar::Trap::EmptyStream));
        };
        for ((&(dtype, at), wanted), register) in element.leaves.iter().zip(wanted).zip(to..) {
            let value = bytes.get(at..).and_then(|bytes| Scalar::from_le_bytes(dtype, bytes));
            file.set(register, arith::cast(wanted, value.unwrap_or(Scalar::zero(dtype))), poison);
        }
        Ok(())
    }
}

/// The queue behind a place.
pub(super) fn queue_index(first: u32, offset: i64) -> Option<usize> {
    if first == NOWHERE {
        return None;
    }
    usize::try_from(i64::from(first).checked_add(offset)?).ok()
}
