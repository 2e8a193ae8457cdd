//! A compiled program: kernel, code, and what a call has to do around them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::Program;
use crate::kernel::cost::{self, Work};
use crate::kernel::lower::{self, ArrayArgument, Lowered, Refused, Specialization};
use crate::kernel::scratch::Planned;
use crate::kernel::{
    BufferKind, Literal, TrapInfo, TrapKind, forward, parallel, scaled, vector, verify, widened,
};
use crate::memory::plan::{Plan, PlanError, plan};
use crate::memory::{Given, MemoryOptions, Required};
use crate::scalar::{DType, Scalar, arith};

use super::bind::{Binder, Bound, Rehearsal, Unbound};
use super::call::{self, Code, Instance, Run};
use super::companion::{Companion, HostArguments, Recruit};
use super::emit;
use super::isa;
use super::memory::CodeMemory;
use super::restore::Spoilt;
use super::threads;
use super::wide::{self, Settings};

/// How to compile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Strict or fast.
    pub mode: Mode,
    /// Whether Cranelift optimises.
    pub optimize: bool,
    /// Keep the text of the kernel, the CLIF and the assembly.
    pub keep_text: bool,
    /// Look for loops that several threads can share.
    pub split: bool,
    /// Split parallel loops however little work they are: for tests.
    pub always_split: bool,
    /// Bits of vectors: 256, 128, or 0 for scalar code.
    pub vector_bits: u32,
    /// What the code may take for granted about its arguments.
    pub special: Specialization,
    /// Lists of statements that weigh more become several functions.
    pub longest: usize,
    /// Threads that compile.
    pub threads: usize,
}

/// What arithmetic may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mode {
    /// The interpreter's bits.
    #[default]
    Strict,
    /// May contract and reassociate.
    Fast,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            mode: Mode::Strict,
            optimize: true,
            keep_text: false,
            split: true,
            always_split: false,
            vector_bits: wide::usual_bits(),
            special: Specialization::default(),
            longest: emit::LONGEST,
            threads: 1,
        }
    }
}

impl Mode {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Fast => "fast",
        }
    }
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Mode, String> {
        let known = [Mode::Strict, Mode::Fast].into_iter().find(|mode| mode.name() == text);
        known.ok_or_else(|| format!("no mode is called {text}; there are strict and fast"))
    }
}

/// What became of one loop of a map.
#[derive(Clone, PartialEq, Debug)]
pub struct LoopReport {
    /// From the outside in: graph, state, node.
    pub place: Vec<String>,
    /// The map's parameter.
    pub parameter: String,
    /// None: its iterations are split between threads, if they are enough work; else why not.
    pub serial: Option<&'static str>,
    /// Whether a loop around it is split instead.
    pub inside_region: bool,
    /// Whether its iterations run side by side in vectors; none if nobody looked, because vectors are off.
    pub vectors: Option<vector::Decision>,
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
    /// A check failed. Unless the program has persistent containers, which remember, arguments that it reads
    /// hold what they held before, so that the interpreter can say whether the program is at fault.
    Trap(TrapInfo),
}

/// Scratch memory that no call uses at present. Boxed: it is large, and every call takes one and puts it back.
type Idle = Vec<Box<Instance>>;

/// Bytes that are cleared in the time of an operation.
const CLEARED: f64 = 256.0;

/// A program as a kernel, with what its calls need: what machine code is made of, once it is worth it.
pub struct Draft {
    lowered: Lowered,
    binder: Binder,
    spoilt: Spoilt,
    planned: Planned,
    persistent: bool,
    companion: Option<Arc<dyn Companion>>,
    always_split: bool,
    length: usize,
    text: String,
    lower_time: Duration,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("kernel", &self.lowered.kernel.name).finish_non_exhaustive()
    }
}

impl Draft {
    /// Lowers a program whose scalar code is lowered. Calls give arguments in the order of `required`. With a recruit,
    /// parts of the program may run with a companion.
    ///
    /// # Errors
    /// [`Refused::Unsupported`] for what this engine does not compile; everything else is a defect of the program,
    /// or of Pelton.
    pub fn new(
        program: &Program,
        required: &[Required],
        options: &Options,
        recruit: Option<&Recruit<'_>>,
    ) -> Result<Draft, Refused> {
        let begun = Instant::now();
        let program = &*options.special.applied(program);
        let mut lowered = lower::lower(program, &options.special)?;
        if recruit.is_none() {
            if options.mode == Mode::Fast {
                scaled::fold(&mut lowered.kernel);
            }
            forward::forward(&mut lowered.kernel);
            widened::widen(&mut lowered.kernel);
        }
        let companion = match recruit {
            Some(recruit) => {
                parallel::find_nests(&mut lowered.kernel);
                Some(recruit(&mut lowered.kernel)?)
            }
            None if !options.split => {
                parallel::find_none(&mut lowered.kernel);
                None
            }
            None => {
                let least = if options.always_split { 0.0 } else { parallel::LEAST_WORK };
                parallel::find(&mut lowered.kernel, least);
                None
            }
        };
        let planned = Planned::of(&mut lowered.kernel);
        let kernel = &lowered.kernel;
        verify::verify(kernel).map_err(|problem| {
            Diagnostic::error("P0704", format!("the lowered program is malformed: {problem}"))
                .with_help("this is a defect of Pelton; please report it with the program")
        })?;
        Ok(Draft {
            binder: Binder::new(program, &lowered, required, options.special.clone()),
            spoilt: Spoilt::of(kernel),
            planned,
            persistent: kernel.buffers.values().any(|b| matches!(b.kind, BufferKind::Persistent(_))),
            companion,
            always_split: options.always_split,
            length: cost::length(kernel),
            text: if options.keep_text { kernel.to_string() } else { String::new() },
            lower_time: begun.elapsed(),
            lowered,
        })
    }

    /// How long the kernel is, in statements.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether it keeps containers from call to call.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Whether code may take for granted that arguments that are written share memory with no others. What survives a call
    /// survives in one code, and a companion answers for itself: those are for all arguments.
    fn assumes_disjoint(&self) -> bool {
        !(self.persistent || self.companion.is_some() || self.binder.special().overlapping)
    }

    /// Whether bound arguments are as the code takes for granted; else, what other code they need.
    fn fits(&self, bound: &mut Bound) -> Result<(), Specialization> {
        let overlap = self.binder.overlap(bound);
        bound.overlap = Some(overlap);
        if overlap && self.assumes_disjoint() {
            return Err(Specialization { overlapping: true, ..self.binder.special().clone() });
        }
        Ok(())
    }

    /// How long it took from graph to kernel.
    pub fn lower_time(&self) -> Duration {
        self.lower_time
    }

    /// The sizes that a call brings: the integers that decide how often loops turn and how memory lies.
    ///
    /// # Errors
    /// Values that do not fit their symbols, or are missing.
    pub fn sizes(&self, given: &[Given<'_>]) -> Result<Vec<(Name, i64)>, Diagnostic> {
        self.binder.sizes(given)
    }

    /// What a call does, roughly.
    ///
    /// # Errors
    /// As [`Compiled::call`].
    ///
    /// # Safety
    /// As [`Compiled::call`].
    pub unsafe fn work(&self, given: &[Given<'_>]) -> Result<Work, Unbound> {
        // SAFETY: as the caller says.
        let bound = unsafe { self.binder.bind(given)? };
        let mut work = cost::work(&self.lowered.kernel, &bound.parameters);
        // The interpreter clears transients.
        let items = self.planned.items(&bound.parameters);
        work.operations += items.iter().map(|item| item.bytes as f64).sum::<f64>() / CLEARED;
        Ok(work)
    }

    /// How often a call calls routines, a companion's included.
    ///
    /// # Errors
    /// As [`Compiled::call`].
    ///
    /// # Safety
    /// As [`Compiled::call`].
    pub unsafe fn calls(&self, given: &[Given<'_>]) -> Result<f64, Unbound> {
        // SAFETY: as the caller says.
        let bound = unsafe { self.binder.bind(given)? };
        Ok(cost::calls(&self.lowered.kernel, &bound.parameters))
    }

    /// The plan of transients for these symbols.
    ///
    /// # Errors
    /// They are too large.
    pub fn plan(&self, value: &dyn Fn(Name) -> Option<Scalar>) -> Result<Plan, PlanError> {
        let bits = |&(name, dtype): &(Name, DType)| {
            let literal = value(name).and_then(|value| Literal::from_scalar(arith::cast(dtype, value)));
            literal.map_or(0, |literal| literal.bits)
        };
        let parameters: Vec<u64> = self.lowered.symbols.iter().map(bits).collect();
        plan(&self.planned.items(&parameters))
    }
}

/// A program as machine code, with its scratch memory and persistent containers. It can be called from many
/// threads at once; programs with persistent containers run one call at a time.
pub struct Compiled {
    /// Shared, and so never moved: machine code refers to constants and library descriptions inside by address.
    draft: Arc<Draft>,
    code: Code,
    /// Loop nests that the code calls.
    _nests: Option<CodeMemory>,
    vectors: Vec<vector::LoopReport>,
    /// Scratch memory that no call uses at present.
    instances: Mutex<Idle>,
    grain: f64,
    fast: bool,
    dump: Dump,
    instructions: usize,
    compile_time: Duration,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").field("kernel", &self.draft.lowered.kernel.name).finish_non_exhaustive()
    }
}

impl Compiled {
    /// Lowers and compiles a program; see [`Draft::new`].
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub fn new(program: &Program, required: &[Required], options: &Options) -> Result<Compiled, Refused> {
        let draft = Draft::new(program, required, options, None)?;
        Ok(Compiled::of(Arc::new(draft), options)?)
    }

    /// Compiles what was lowered.
    ///
    /// # Errors
    /// Defects of Pelton, and no memory.
    pub fn of(draft: Arc<Draft>, options: &Options) -> Result<Compiled, Diagnostic> {
        let begun = Instant::now();
        let kernel = &draft.lowered.kernel;
        let isa = isa::host(options.optimize)?;
        let most = if wide::has_512_bits() { 512 } else { 256 };
        let bits = options.vector_bits.min(most);
        let settings = Settings { bits, fast: options.mode == Mode::Fast };
        let settings = (options.vector_bits > 0 && wide::is_available()).then_some(settings);
        let request = emit::Request {
            vectors: settings,
            disjoint: draft.assumes_disjoint(),
            keep_text: options.keep_text,
            longest: options.longest,
            threads: options.threads,
        };
        let emitted = emit::emit(kernel, &isa, &request)?;
        let code = Code::new(&emitted, &kernel.name)?;
        let assembly = if options.keep_text {
            let nests = emitted.nests.as_ref().map(|nests| super::disassemble(nests.bytes()));
            super::disassemble(code.bytes())
                + &nests.map_or(String::new(), |nests| format!("\nnests:\n{nests}"))
        } else {
            String::new()
        };
        Ok(Compiled {
            code,
            _nests: emitted.nests,
            vectors: emitted.loops,
            instances: Mutex::default(),
            grain: if draft.always_split { 0.0 } else { threads::GRAIN },
            fast: options.mode == Mode::Fast,
            dump: Dump { kernel: draft.text.clone(), clif: emitted.clif, assembly },
            instructions: emitted.instructions,
            compile_time: begun.elapsed(),
            draft,
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

    /// How long it took from graph to kernel, and from there to machine code.
    pub fn times(&self) -> (Duration, Duration) {
        (self.draft.lower_time, self.compile_time)
    }

    /// What became of each loop of a map, in the program's order.
    pub fn loops(&self) -> Vec<LoopReport> {
        let kernel = &self.draft.lowered.kernel;
        let report = |map: &crate::kernel::MapLoop| {
            let serial = kernel.serial.iter().find(|serial| serial.variable == map.variable);
            let split = kernel.regions.contains_key(&map.variable);
            LoopReport {
                place: map.place.clone(),
                parameter: map.parameter.clone(),
                serial: serial.map(|serial| serial.reason),
                inside_region: !split && serial.is_none(),
                vectors: self
                    .vectors
                    .iter()
                    .find(|report| report.variable == map.variable)
                    .map(|report| report.decision.clone()),
            }
        };
        kernel.maps.iter().map(report).collect()
    }

    /// What became of each loop of the kernel, as vectors go: how wide, or why not.
    pub fn vectors(&self) -> &[vector::LoopReport] {
        &self.vectors
    }

    /// Whether it keeps containers from call to call.
    pub fn is_persistent(&self) -> bool {
        self.draft.persistent
    }

    /// What it was made of.
    pub fn draft(&self) -> &Arc<Draft> {
        &self.draft
    }

    /// The transients that have a place in a slab.
    pub fn planned(&self) -> &Planned {
        &self.draft.planned
    }

    /// Arguments that are memory, in the kernel's order.
    pub fn arrays(&self) -> &[ArrayArgument] {
        &self.draft.lowered.arrays
    }

    /// Runs the program once, in place.
    ///
    /// # Errors
    /// [`Unbound::Wrong`] for missing or misshaped arguments (`P04xx`) and if there is no memory for transients
    /// (`P075x`), in which case nothing was written; [`Unbound::Other`] if they need code
    /// that was specialised on something else.
    ///
    /// # Safety
    /// Each array given is memory of its layout, which the program may read, and write where it writes; nobody else
    /// uses what is written until the call ends.
    pub unsafe fn call(
        &self,
        given: &[Given<'_>],
        threads: usize,
        memory: &MemoryOptions,
    ) -> Result<Outcome, Unbound> {
        let mut bound = Bound::default();
        // SAFETY: as the caller says.
        unsafe { self.draft.binder.bind_into(given, &mut bound)? };
        self.draft.fits(&mut bound).map_err(Unbound::Other)?;
        // SAFETY: as the caller says.
        Ok(unsafe { self.run(&bound, threads, memory)? })
    }

    /// Looks at a call once, for others like it that differ in addresses, and in the numbers that `varies` names by
    /// position. None where that does not do.
    ///
    /// # Safety
    /// As [`Compiled::call`].
    pub unsafe fn rehearse(&self, given: &[Given<'_>], varies: &dyn Fn(usize) -> bool) -> Option<Rehearsal> {
        if self.draft.persistent {
            return None;
        }
        // SAFETY: as the caller says.
        self.draft.binder.rehearse(unsafe { self.draft.binder.bind(given) }.ok()?, varies)
    }

    /// Runs a call like the rehearsed one; none, and nothing has run, if it is not, or if there is no memory.
    ///
    /// # Safety
    /// As [`Compiled::call`]; each address is memory of the layout of the array in its place in the rehearsed call, and
    /// the same memory as then if the arrays are `unmoved`.
    pub unsafe fn call_rehearsed(
        &self,
        rehearsal: &Rehearsal,
        address: &dyn Fn(usize) -> Option<*mut u8>,
        number: &dyn Fn(usize) -> Option<Scalar>,
        unmoved: bool,
        threads: usize,
        memory: &MemoryOptions,
    ) -> Option<Outcome> {
        let mut bound = rehearsal.bound(address, number, unmoved)?;
        let fits = self.draft.fits(&mut bound).is_ok();
        // SAFETY: as the caller says.
        let outcome = if fits { unsafe { self.run(&bound, threads, memory) }.ok() } else { None };
        rehearsal.give_back(bound);
        outcome
    }

    /// Runs on bound arguments.
    ///
    /// # Safety
    /// As [`Compiled::call`].
    unsafe fn run(
        &self,
        bound: &Bound,
        threads: usize,
        memory: &MemoryOptions,
    ) -> Result<Outcome, Diagnostic> {
        let mut pool = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let mut instance = pool.pop().unwrap_or_default();
        // Who remembers runs alone.
        let alone: Option<MutexGuard<'_, Idle>> = self.draft.persistent.then_some(pool);
        let taken = instance.take(&self.code, &self.draft.planned, &bound.parameters, memory);
        // SAFETY: the kernel was verified before it was emitted; `bind` saw to it that each address is valid for the
        // declared layout, which is what the kernel's checks are about; counts agree by construction.
        let ended = taken
            .map_err(Diagnostic::from)
            .and_then(|()| unsafe { self.guarded(bound, &mut instance, threads) });
        instance.give_back();
        match alone {
            Some(mut pool) => pool.push(instance),
            None => self.instances.lock().unwrap_or_else(PoisonError::into_inner).push(instance),
        }
        let Some(index) = ended? else {
            // SAFETY: as the caller says.
            unsafe { bound.finish() };
            return Ok(Outcome::Done);
        };
        if self.draft.persistent {
            // SAFETY: as the caller says.
            unsafe { bound.finish() };
        }
        let info = self.draft.lowered.kernel.traps.get(crate::kernel::TrapId(index)).cloned();
        Ok(Outcome::Trap(info.unwrap_or(TrapInfo {
            kind: TrapKind::Library,
            message: "an unknown fault".to_owned(),
            place: Vec::new(),
        })))
    }

    /// Runs, and puts back what a stopped run has spoilt.
    unsafe fn guarded(
        &self,
        bound: &Bound,
        instance: &mut Instance,
        threads: usize,
    ) -> Result<Option<u32>, Diagnostic> {
        let overlap = self.draft.binder.overlap(bound);
        let mut session = match &self.draft.companion {
            Some(companion) => {
                let memory = bound.addresses.iter().copied().zip(bound.bytes.iter().copied()).collect();
                Some(companion.begin(HostArguments { memory, slab: instance.slab(), overlap })?)
            }
            None => None,
        };
        let spoilt: SmallVec<[(*mut u8, usize); 8]> = match self.draft.persistent {
            true => SmallVec::new(),
            false => self
                .draft
                .spoilt
                .arguments
                .iter()
                .filter(|(_, read)| *read || overlap)
                .filter(|(index, _)| session.as_ref().is_none_or(|session| !session.takes_back(*index)))
                .filter_map(|&(index, _)| Some((*bound.addresses.get(index)?, *bound.bytes.get(index)?)))
                .collect(),
        };
        // SAFETY: each address is valid for so many bytes, as `bind` says.
        if !unsafe { instance.remember(&spoilt) } {
            // No memory for that: the run begins with what it cannot take back.
            instance.forget();
        }
        let run = Run {
            arguments: &bound.addresses,
            parameters: &bound.parameters,
            overlap,
            threads,
            grain: self.grain,
            fast: self.fast,
        };
        // SAFETY: as the caller says.
        let trap = unsafe { call::run(&self.code, instance, &run, session.as_deref_mut()) };
        if trap.is_some() {
            // SAFETY: as above.
            unsafe { instance.put_back(&spoilt) };
        }
        session.map_or(Ok(()), |session| session.end(trap.is_some())).map(|()| trap)
    }
}
