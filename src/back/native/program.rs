//! A compiled program: kernel, code, and what a call has to do around them.

use std::fmt;

use indexmap::IndexMap;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::Program;
use crate::kernel::lower::{self, ArrayArgument, Lowered, Refused};
use crate::kernel::{Literal, TrapInfo, TrapKind, verify};
use crate::memory::Arguments;
use crate::scalar::{Scalar, StructTable};
use crate::symbolic::CompiledExpr;

use super::bind::{self, Bound};
use super::call::{self, Instance};
use super::emit;
use super::isa;
use super::memory::CodeMemory;

/// How to compile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Strict or fast.
    pub mode: Mode,
    /// Whether Cranelift optimises.
    pub optimize: bool,
    /// Keep the text of the kernel, the CLIF and the assembly.
    pub keep_text: bool,
}

/// What arithmetic may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// The interpreter's bits.
    #[default]
    Strict,
    /// May contract and reassociate.
    Fast,
}

impl Default for Options {
    fn default() -> Self {
        Options { mode: Mode::Strict, optimize: true, keep_text: false }
    }
}

/// Texts of a compiled program, where they were kept.
#[derive(Clone, Default, Debug)]
pub struct Dump {
    /// The kernel.
    pub kernel: String,
    /// The CLIF.
    pub clif: String,
    /// The machine code.
    pub assembly: String,
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// To the end.
    Done,
    /// A fault of the program stopped it; arguments hold what was written until then.
    Trap(TrapInfo),
}

/// A program as machine code, with its scratch memory and persistent containers.
pub struct Compiled {
    /// Boxed: machine code refers to constants and library descriptions inside by address.
    lowered: Box<Lowered>,
    code: CodeMemory,
    instance: Instance,
    layouts: Vec<CompiledLayout>,
    structs: StructTable,
    names: Vec<String>,
    /// Slot of each symbol that layouts need, by name; kernel parameters first.
    symbols: Vec<(Name, String)>,
    /// Whether the symbol needs no value.
    optional: Vec<bool>,
    program: SymbolSource,
    dump: Dump,
    instructions: usize,
}

/// What inferring symbols from shapes needs of the program.
type SymbolSource = Box<Program>;

/// Extents and strides of an argument over symbol slots.
pub(super) struct CompiledLayout {
    pub shape: Vec<CompiledExpr>,
    pub strides: Vec<CompiledExpr>,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").field("kernel", &self.lowered.kernel.name).finish_non_exhaustive()
    }
}

impl Compiled {
    /// Compiles a program whose scalar code is lowered.
    ///
    /// # Errors
    /// [`Refused::Unsupported`] for what this engine does not compile; everything else is a defect of the program,
    /// or of Pelton.
    pub fn new(program: &Program, options: &Options) -> Result<Compiled, Refused> {
        let lowered = Box::new(lower::lower(program)?);
        let kernel = &lowered.kernel;
        let kernel_text = if options.keep_text { kernel.to_string() } else { String::new() };
        verify::verify(kernel).map_err(|problem| {
            Diagnostic::error("P0704", format!("the lowered program is malformed: {problem}"))
                .with_help("this is a defect of Pelton; please report it with the program")
        })?;
        let isa = isa::host(options.optimize)?;
        let emitted = emit::emit(kernel, &isa, options.keep_text)?;
        let code = CodeMemory::new(&emitted.code)?;
        let mut symbols: Vec<(Name, String)> = Vec::new();
        let mut slot_of: IndexMap<Name, u32> = IndexMap::new();
        for &(name, _) in &lowered.symbols {
            slot_of.insert(name, symbols.len() as u32);
            symbols.push((name, program.names.get(name).to_owned()));
        }
        let mut slot = |name: Name| {
            *slot_of.entry(name).or_insert_with(|| {
                symbols.push((name, program.names.get(name).to_owned()));
                symbols.len() as u32 - 1
            })
        };
        let mut layouts = Vec::with_capacity(lowered.arrays.len());
        for array in &lowered.arrays {
            let mut compile = |exprs: &[_]| -> Vec<CompiledExpr> {
                exprs.iter().map(|&expr| program.exprs.compile(expr, &mut slot)).collect()
            };
            layouts.push(CompiledLayout { shape: compile(&array.shape), strides: compile(&array.strides) });
        }
        let names = lowered.arrays.iter().map(|array| program.names.get(array.name).to_owned()).collect();
        let assembly = if options.keep_text { super::disassemble(code.bytes()) } else { String::new() };
        let optional = symbols.iter().map(|(name, _)| lowered.optional.contains(name)).collect();
        Ok(Compiled {
            code,
            instance: Instance::default(),
            layouts,
            structs: program.structs.clone(),
            names,
            symbols,
            optional,
            program: Box::new(program.clone()),
            dump: Dump { kernel: kernel_text, clif: emitted.clif, assembly },
            instructions: emitted.instructions,
            lowered,
        })
    }

    /// Texts, where they were kept.
    pub fn dump(&self) -> &Dump {
        &self.dump
    }

    /// How many CLIF instructions there were.
    pub fn instructions(&self) -> usize {
        self.instructions
    }

    /// Bytes of machine code.
    pub fn code_bytes(&self) -> usize {
        self.code.bytes().len()
    }

    /// Runs the program once, in place.
    ///
    /// # Errors
    /// `P04xx` for missing or misshaped arguments.
    pub fn run(&mut self, args: &mut Arguments<'_>) -> Result<Outcome, Diagnostic> {
        let known = crate::interp::infer_symbols(&self.program, args)?;
        let mut slots = Vec::with_capacity(self.symbols.len());
        let mut parameters = Vec::with_capacity(self.lowered.symbols.len());
        for (position, (name, text)) in self.symbols.iter().enumerate() {
            let value = match known.get(name) {
                Some(&value) => value,
                None if self.optional[position] || position >= self.lowered.symbols.len() => Scalar::I64(0),
                None => {
                    return Err(Diagnostic::error("P0401", format!("symbol `{text}` has no value"))
                        .with_help(format!("pass `{text}`; no shape of an array given tells it")));
                }
            };
            slots.push(if value.dtype().is_integral() { value.as_i64() } else { 0 });
            if let Some(&(_, dtype)) = self.lowered.symbols.get(position) {
                let value = crate::scalar::arith::cast(dtype, value);
                parameters.push(Literal::from_scalar(value).map_or(0, |literal| literal.bits));
            }
        }
        let mut bound: Vec<Bound> = Vec::with_capacity(self.lowered.arrays.len());
        for (index, array) in self.lowered.arrays.iter().enumerate() {
            let (name, layout) = (&self.names[index], &self.layouts[index]);
            bound.push(bind::bind(array, name, layout, &slots, args, &self.structs)?);
        }
        let addresses: Vec<*mut u8> = bound.iter_mut().map(|bound| bound.address(args)).collect();
        // SAFETY: the kernel was verified before it was emitted; `bind` sees to it that each address is valid for the
        // declared layout, which is what the kernel's checks are about; counts agree by construction.
        let trap = unsafe { call::run(&self.code, &mut self.instance, &addresses, &parameters) };
        for bound in bound {
            bound.finish(args);
        }
        Ok(match trap {
            None => Outcome::Done,
            Some(index) => {
                let info = self.lowered.kernel.traps.get(crate::kernel::TrapId(index)).cloned();
                Outcome::Trap(info.unwrap_or(TrapInfo {
                    kind: TrapKind::Library,
                    message: "an unknown fault".to_owned(),
                    place: Vec::new(),
                }))
            }
        })
    }

    /// Arguments that are memory, in the kernel's order.
    pub fn arrays(&self) -> &[ArrayArgument] {
        &self.lowered.arrays
    }
}
