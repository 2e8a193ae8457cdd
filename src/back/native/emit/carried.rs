//! An element that a loop stores in one iteration and loads in the next one stays in a register too.
//!
//! `for k { c[p] = max(c[p], a[k] + b[k]) }` would wait in every iteration until what it has stored can be loaded. The
//! store stays where it is, so whoever else reads the element finds it in memory.

use cranelift_codegen::ir;
use cranelift_frontend::Variable;

use crate::diag::Diagnostic;
use crate::kernel::{Op, Stmt, ValueId};
use crate::scalar::DType;

use super::function::{Emitter, register_type};
use super::value::is_small;

/// The element, and where it is while the loop runs.
pub(super) struct Carried {
    address: ValueId,
    displacement: i64,
    ty: DType,
    content: Variable,
}

/// Loops with more statements have other worries.
const LONGEST: usize = 64;

impl Emitter<'_, '_> {
    /// Takes the element into its register, in front of the first iteration, which would load it in any case.
    pub(super) fn carry(&mut self, element: (ValueId, i64, DType)) -> Result<(), Diagnostic> {
        let (address, displacement, ty) = element;
        let place = self.get(address)?;
        let first = self.load_element(ty, place, displacement);
        let content = self.b.declare_var(register_type(ty));
        self.b.def_var(content, first);
        self.carried = Some(Carried { address, displacement, ty, content });
        Ok(())
    }

    /// The element that the only store of a body goes to and that is loaded before, in a body that does nothing else.
    pub(super) fn carried_element(&self, variable: ValueId, body: &[Stmt]) -> Option<(ValueId, i64, DType)> {
        // In pieces, another function may hold the address or parts of the body.
        if body.len() > LONGEST || self.environment.is_some() {
            return None;
        }
        let mut found = None;
        let mut loads = Vec::new();
        for stmt in body {
            match *stmt {
                Stmt::Let(_, Op::Load { address, displacement, ty, .. }) => {
                    loads.push((address, displacement, ty));
                }
                Stmt::Let(..) | Stmt::Set(..) => {}
                Stmt::Store { address, displacement, value, .. } if found.is_none() => {
                    let element = (address, displacement, self.kernel.values[value]);
                    found = Some(element).filter(|element| loads.contains(element));
                    found?;
                }
                _ => return None,
            }
        }
        let (address, _, ty) = found?;
        let moves = |stmt: &Stmt| matches!(stmt, Stmt::Let(value, _) if *value == address);
        (address != variable && !body.iter().any(moves) && !is_small(ty)).then_some(found?)
    }

    /// What a load gives, if it is of the carried element.
    pub(super) fn carried_load(&mut self, op: &Op) -> Option<ir::Value> {
        let Op::Load { address, displacement, ty, .. } = *op else { return None };
        let carried = self.carried.as_ref()?;
        let content = carried.is(address, displacement, ty).then_some(carried.content)?;
        Some(self.b.use_var(content))
    }

    /// Notes a store.
    pub(super) fn carried_store(&mut self, address: ValueId, displacement: i64, ty: DType, value: ir::Value) {
        let carried = self.carried.as_ref().filter(|carried| carried.is(address, displacement, ty));
        if let Some(content) = carried.map(|carried| carried.content) {
            self.b.def_var(content, value);
        }
    }
}

impl Carried {
    fn is(&self, address: ValueId, displacement: i64, ty: DType) -> bool {
        (self.address, self.displacement, self.ty) == (address, displacement, ty)
    }
}
