//! Kernel to CLIF, and CLIF to bytes.

mod carried;
mod function;
mod nests;
mod outline;
mod parallel;
mod pieces;
mod sparse;
mod stmt;
mod uses;
mod value;
mod values;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cranelift_codegen::Context;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::Function;
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};

use crate::diag::Diagnostic;
use crate::kernel::Kernel;
use crate::kernel::vector::LoopReport;

use super::memory::CodeMemory;
use super::wide::Settings;
use function::{build, cheap};
use nests::Nests;
use outline::Source;

pub use outline::LONGEST;

/// How to emit.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// With settings for vectors, loop nests that can be vectorised leave the functions.
    pub vectors: Option<Settings>,
    /// Arguments that are written share memory with no others, so that loops whose vector code needs that have no other.
    pub disjoint: bool,
    /// Keep the CLIF.
    pub keep_text: bool,
    /// Lists of statements that weigh more become several functions.
    pub longest: usize,
    /// Threads that compile.
    pub threads: usize,
}

impl Default for Request {
    fn default() -> Self {
        Request { vectors: None, disjoint: false, keep_text: false, longest: LONGEST, threads: 1 }
    }
}

/// A compiled kernel before it has memory of its own.
pub struct Emitted {
    /// The CLIF, as text, if it was asked for.
    pub clif: String,
    /// How many CLIF instructions there were.
    pub instructions: usize,
    /// Machine code without relocations: the kernel's function, then the others.
    pub code: Vec<u8>,
    /// Where each of the others starts.
    pub functions: Vec<usize>,
    /// Bytes of the environment.
    pub environment: usize,
    /// Loop nests that the code calls by address; they have to live as long.
    pub nests: Option<CodeMemory>,
    /// What became of each loop, as vectors go.
    pub loops: Vec<LoopReport>,
}

/// Functions start at multiples of this.
const ALIGNMENT: usize = 64;

/// CLIF instructions that are worth a thread.
const GRAIN: usize = 10_000;

/// Compiles a verified kernel.
pub fn emit(kernel: &Kernel, isa: &OwnedTargetIsa, request: &Request) -> Result<Emitted, Diagnostic> {
    let nests = match request.vectors.filter(|_| isa.default_call_conv() == CallConv::SystemV) {
        Some(settings) => Nests::of(kernel, settings, request.disjoint)?,
        None => Nests::default(),
    };
    let cheap = cheap(kernel);
    let source = Source { kernel, nests: &nests, cheap: &cheap, longest: request.longest };
    let functions = build(&source, isa)?;
    let mut clif = String::new();
    if request.keep_text {
        functions.all.iter().for_each(|function| clif.push_str(&function.display().to_string()));
    }
    let instructions = functions.all.iter().map(|function| function.dfg.num_insts()).sum();
    let threads = request.threads.min(instructions / GRAIN).max(1);
    let mut code: Vec<u8> = Vec::new();
    let mut starts = Vec::new();
    for compiled in compile(functions.all, isa, threads) {
        let compiled = compiled.map_err(|what| {
            let message = format!("Cranelift refuses the kernel: {what}");
            Diagnostic::error("P0703", message).at(kernel.name.clone())
        })?;
        code.resize(code.len().next_multiple_of(ALIGNMENT), 0xcc);
        starts.push(code.len());
        code.extend_from_slice(&compiled);
    }
    let functions_start = starts.split_off(1.min(starts.len()));
    Ok(Emitted {
        clif,
        instructions,
        code,
        functions: functions_start,
        environment: functions.environment,
        nests: nests.code,
        loops: nests.loops,
    })
}

/// The machine code of one function, or why there is none.
type Compiled = Result<Vec<u8>, String>;

/// Compiles functions, on several threads, to the same bytes whatever their number.
fn compile(functions: Vec<Function>, isa: &OwnedTargetIsa, threads: usize) -> Vec<Compiled> {
    if threads < 2 {
        let mut context = Context::new();
        return functions.into_iter().map(|function| compile_one(function, isa, &mut context)).collect();
    }
    let functions: Vec<Mutex<Option<Function>>> =
        functions.into_iter().map(|f| Mutex::new(Some(f))).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut context = Context::new();
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = functions.get(at) else { return done };
            let function = slot.lock().ok().and_then(|mut slot| slot.take());
            done.extend(function.map(|function| (at, compile_one(function, isa, &mut context))));
        }
    };
    let mut all: Vec<Compiled> =
        functions.iter().map(|_| Err("a thread that compiled it died".to_owned())).collect();
    std::thread::scope(|scope| {
        let helpers: Vec<_> =
            (1..threads).filter_map(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut done = work();
        done.extend(helpers.into_iter().filter_map(|helper| helper.join().ok()).flatten());
        for (at, compiled) in done {
            if let Some(slot) = all.get_mut(at) {
                *slot = compiled;
            }
        }
    });
    all
}

fn compile_one(function: Function, isa: &OwnedTargetIsa, context: &mut Context) -> Compiled {
    context.clear();
    context.func = function;
    let compiled = context
        .compile(&**isa, &mut ControlPlane::default())
        .map_err(|error| format!("{:?}", error.inner))?;
    if !compiled.buffer.relocs().is_empty() {
        return Err("the code needs relocations".to_owned());
    }
    Ok(compiled.code_buffer().to_vec())
}

#[cfg(test)]
mod tests;
