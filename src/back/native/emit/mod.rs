//! Kernel to CLIF, and CLIF to bytes.

mod function;
mod stmt;
mod value;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::OwnedTargetIsa;

use crate::diag::Diagnostic;
use crate::kernel::Kernel;

pub use function::build;

/// A compiled kernel before it has memory of its own.
pub struct Emitted {
    /// The CLIF, as text, if it was asked for.
    pub clif: String,
    /// How many CLIF instructions there were.
    pub instructions: usize,
    /// Machine code without relocations.
    pub code: Vec<u8>,
}

/// Compiles a verified kernel.
pub fn emit(kernel: &Kernel, isa: &OwnedTargetIsa, keep_text: bool) -> Result<Emitted, Diagnostic> {
    let function = build(kernel, isa)?;
    let clif = if keep_text { function.display().to_string() } else { String::new() };
    let instructions = function.dfg.num_insts();
    let mut context = Context::for_function(function);
    let failed = |what: String| {
        Diagnostic::error("P0703", format!("Cranelift refuses the kernel: {what}")).at(kernel.name.clone())
    };
    let compiled = context
        .compile(&**isa, &mut ControlPlane::default())
        .map_err(|error| failed(format!("{:?}", error.inner)))?;
    if !compiled.buffer.relocs().is_empty() {
        return Err(failed("the code needs relocations".to_owned()));
    }
    Ok(Emitted { clif, instructions, code: compiled.code_buffer().to_vec() })
}
