//! What the threads of a workgroup combine: each leaves what it has in memory of the group; then, as long as there is more
//! than one result, each thread of the lower half adds what the one in the same place of the upper half has.
//!
//! All threads have to get there, those without elements too; so what each does before is a function, which may return
//! when it likes.

use std::fmt::Write;

use crate::kernel::Stmt;
use crate::scalar::DType;

use super::super::partial::{GROUP, Own};
use super::value::wgsl_type;
use super::{Emit, Emitter};

/// Texts of a shader whose threads combine what they have.
pub(super) struct Combined {
    /// Declarations: of the threads' variables, and of memory of the group.
    pub memory: String,
    /// What each thread does before.
    pub each: String,
    /// What the variables start from.
    pub start: String,
    /// How they are combined; the results are the first thread's variables.
    pub steps: String,
}

impl Emitter<'_, '_> {
    /// The texts, if threads combine anything; `first` is what the first one of a group does behind that, and all that is
    /// left in the emitter.
    pub(super) fn together(&mut self, first: &[&Stmt]) -> Emit<Option<Combined>> {
        let Some(together) = self.nest.together else { return Ok(None) };
        if i64::from(self.abilities.threads) < GROUP {
            return Err(format!(
                "its order asks for workgroups of {GROUP} threads, and the device has {}",
                self.abilities.threads
            ));
        }
        let each = std::mem::take(&mut self.out);
        let (mut memory, mut start, mut steps) = ("\n".to_owned(), String::new(), String::new());
        let mut types: Vec<&str> = Vec::new();
        for own in &together.owns {
            let (name, held) = (format!("var{}", own.variable.0), self.variable_type(own.variable));
            let identity = match held {
                "i32" => super::value::int_literal(own.identity().as_int().unwrap_or(0)),
                _ => self.literal_text(own.identity())?,
            };
            let _ = writeln!(memory, "var<private> {name}: {held};");
            let _ = writeln!(start, "    {name} = {identity};");
            if !types.contains(&held) {
                types.push(held);
            }
            steps += &self.steps(own, &name, held)?;
        }
        for held in types {
            let _ = writeln!(memory, "var<workgroup> group_{held}: array<{held}, {GROUP}>;");
        }
        for stmt in first {
            self.stmt(stmt)?;
        }
        Ok(Some(Combined { memory, each, start, steps }))
    }

    fn steps(&mut self, own: &Own, name: &str, held: &str) -> Emit<String> {
        let ty = match self.real(own.ty) {
            DType::I64 if held != wgsl_type(DType::I64) => DType::I32,
            ty => ty,
        };
        let sum = self.binary(own.op, ty, "a", "b")?;
        let half = GROUP / 2;
        Ok(format!(
            "    group_{held}[thread] = {name};
    workgroupBarrier();
    for (var half = {half}u; half > 0u; half = half >> 1u) {{
        if thread < half {{
            let a = group_{held}[thread];
            let b = group_{held}[thread + half];
            group_{held}[thread] = {sum};
        }}
        workgroupBarrier();
    }}
    {name} = group_{held}[thread];
"
        ))
    }
}
