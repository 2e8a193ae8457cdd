//! The CLIF values of kernel values, in one function at a time.

use cranelift_codegen::ir;

use crate::kernel::ValueId;

/// A table that is used for one function after the other, so that a function costs what it defines.
#[derive(Default)]
pub(super) struct Values {
    table: Vec<Option<ir::Value>>,
    defined: Vec<ValueId>,
}

impl Values {
    /// For a kernel with so many values.
    pub fn new(count: usize) -> Values {
        Values { table: vec![None; count], defined: Vec::new() }
    }

    /// What is known of a value.
    pub fn get(&self, value: ValueId) -> Option<ir::Value> {
        self.table.get(value.0 as usize).copied().flatten()
    }

    /// Makes a value known.
    pub fn set(&mut self, value: ValueId, known: ir::Value) {
        if let Some(slot) = self.table.get_mut(value.0 as usize) {
            *slot = Some(known);
            self.defined.push(value);
        }
    }

    /// Forgets a value.
    pub fn forget(&mut self, value: ValueId) {
        if let Some(slot) = self.table.get_mut(value.0 as usize) {
            *slot = None;
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        for value in std::mem::take(&mut self.defined) {
            self.forget(value);
        }
    }
}
