//! Write-conflict resolution: `old = f(old, new)` at the moment of the write.

use smallvec::SmallVec;

use crate::scalar::{DType, Scalar, arith};

use super::machine::{Fallible, Machine, trap};
use super::plan::{Access, Element, WcrFunction, WcrPlan};
use super::routine_state::RegisterFile;

impl<'p> Machine<'p, '_> {
    /// Meets the old element with a new one.
    #[expect(clippy::too_many_arguments, reason = "a write is all of this")]
    pub fn resolve(
        &mut self,
        block: u32,
        offset: i64,
        element: &'p Element,
        values: &[Scalar],
        poison: &[bool],
        tainted: bool,
        wcr: &'p WcrPlan,
        access: &Access,
    ) -> Fallible<()> {
        let mut old: SmallVec<[Scalar; 4]> = SmallVec::new();
        let mut poisoned = tainted || poison.iter().any(|&poison| poison);
        for &(dtype, at) in &element.leaves {
            let offset = offset.wrapping_add(at as i64);
            let Some(value) = self.memory.load(block, offset, dtype) else {
                return Err(self.outside(access, offset));
            };
            poisoned |= self.tracking && self.is_poison(block, offset, dtype.bytes());
            old.push(value);
        }
        let ignores_old = matches!(wcr, WcrPlan::Function(function) if function.old.0 == u32::MAX);
        if ignores_old && self.tracking {
            poisoned = tainted || poison.iter().any(|&poison| poison);
        }
        let merged = self.merge(wcr, element, &old, values)?;
        for (&(dtype, at), value) in element.leaves.iter().zip(merged) {
            let offset = offset.wrapping_add(at as i64);
            if !self.memory.store(block, offset, arith::cast(dtype, value)) {
                return Err(self.outside(access, offset));
            }
            if self.tracking {
                self.note_resolved(block, offset, dtype.bytes(), poisoned, access)?;
            }
        }
        Ok(())
    }

    /// `f(old, new)`, number by number of the element.
    pub fn merge(
        &mut self,
        wcr: &'p WcrPlan,
        element: &'p Element,
        old: &[Scalar],
        new: &[Scalar],
    ) -> Fallible<SmallVec<[Scalar; 4]>> {
        match wcr {
            WcrPlan::Operation(op) => {
                let mut merged = SmallVec::new();
                for ((&(dtype, _), &old), &new) in element.leaves.iter().zip(old).zip(new) {
                    merged.push(arith::binary(*op, old, arith::cast(dtype, new)).map_err(trap)?);
                }
                Ok(merged)
            }
            WcrPlan::Function(function) => self.merge_function(function, old, new),
        }
    }

    fn merge_function(
        &mut self,
        function: &'p WcrFunction,
        old: &[Scalar],
        new: &[Scalar],
    ) -> Fallible<SmallVec<[Scalar; 4]>> {
        let mut file = std::mem::take(&mut self.spare);
        load_operand(&mut file, &function.old, old);
        load_operand(&mut file, &function.new, new);
        let result = self.execute(&function.routine, &mut file).map(|()| {
            let first = function.routine.result.unwrap_or(0) as usize;
            file.values.iter().skip(first).take(function.result.len()).copied().collect()
        });
        self.spare = file;
        result
    }
}

fn load_operand(file: &mut RegisterFile, operand: &(u32, Box<[DType]>), values: &[Scalar]) {
    let (register, dtypes) = operand;
    if *register == u32::MAX {
        return;
    }
    for (lane, (&dtype, &value)) in dtypes.iter().zip(values).enumerate() {
        file.set(register + lane as u32, arith::cast(dtype, value), false);
    }
}
