//! Kernel to CLIF, and CLIF to bytes.

mod function;
mod nests;
mod parallel;
mod stmt;
mod value;

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};

use crate::diag::Diagnostic;
use crate::kernel::Kernel;
use crate::kernel::vector::LoopReport;

use super::memory::CodeMemory;
use super::wide::Settings;
use function::build;
use nests::Nests;

/// A compiled kernel before it has memory of its own.
pub struct Emitted {
    /// The CLIF, as text, if it was asked for.
    pub clif: String,
    /// How many CLIF instructions there were.
    pub instructions: usize,
    /// Machine code without relocations: the kernel's function, then those of its regions.
    pub code: Vec<u8>,
    /// Where the function of each region starts.
    pub regions: Vec<usize>,
    /// Loop nests that the code calls by address; they have to live as long.
    pub nests: Option<CodeMemory>,
    /// What became of each loop, as vectors go.
    pub loops: Vec<LoopReport>,
}

/// Functions start at multiples of this.
const ALIGNMENT: usize = 64;

/// Compiles a verified kernel; with settings for vectors, loop nests that can be vectorised leave its functions.
pub fn emit(
    kernel: &Kernel,
    isa: &OwnedTargetIsa,
    vectors: Option<Settings>,
    keep_text: bool,
) -> Result<Emitted, Diagnostic> {
    let failed = |what: String| {
        Diagnostic::error("P0703", format!("Cranelift refuses the kernel: {what}")).at(kernel.name.clone())
    };
    let nests = match vectors.filter(|_| isa.default_call_conv() == CallConv::SystemV) {
        Some(settings) => Nests::of(kernel, settings)?,
        None => Nests::default(),
    };
    let (main, regions) = build(kernel, isa, &nests)?;
    let mut emitted = Emitted {
        clif: String::new(),
        instructions: 0,
        code: Vec::new(),
        regions: Vec::new(),
        nests: nests.code,
        loops: nests.loops,
    };
    for (position, function) in std::iter::once(main).chain(regions).enumerate() {
        if keep_text {
            emitted.clif.push_str(&function.display().to_string());
        }
        emitted.instructions += function.dfg.num_insts();
        let mut context = Context::for_function(function);
        let compiled = context
            .compile(&**isa, &mut ControlPlane::default())
            .map_err(|error| failed(format!("{:?}", error.inner)))?;
        if !compiled.buffer.relocs().is_empty() {
            return Err(failed("the code needs relocations".to_owned()));
        }
        emitted.code.resize(emitted.code.len().next_multiple_of(ALIGNMENT), 0xcc);
        if position > 0 {
            emitted.regions.push(emitted.code.len());
        }
        emitted.code.extend_from_slice(compiled.code_buffer());
    }
    Ok(emitted)
}
