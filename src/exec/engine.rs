//! The engines a program can run on, and how one is chosen.
//!
//! A [`Prepared`] program can be called from many threads at once. Machine code is made for what its calls bring: which
//! optional arguments are there, and arrays whose extent is another than the program says; a few such variants are
//! kept, and calls that would need more are interpreted.
//!
//! **Faults.** Machine code that stops has not shown the program to be at fault (see `back/native/restore.rs`): the
//! run is repeated by the interpreter, on arguments as they were, and its answer counts. Programs with persistent
//! containers are the exception: what machine code says is final, because the containers remember the first run.
//!
//! **Tiers.** If engine and tier are left to us, machine code is made when calls are worth it (see
//! [`tiers`](super::tiers)). Who asks for the native engine gets it at once, and optimised.
//!
//! **Checked, counted and tracked runs** ([`is_observed`]) are the interpreter's, and [`Prepared::why`] says so.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::back::gpu::{self, Divided, Gpu};
use crate::back::native::companion::Companion;
use crate::back::native::{self, Unbound};
use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::interp::{self, FaultKind};
use crate::ir::Program;
use crate::kernel::cost::Work;
use crate::kernel::lower::{Refused, Specialization};
use crate::kernel::{Kernel, TrapInfo, TrapKind};
use crate::memory::plan::ProgramPlan;
use crate::memory::{Arguments, Given, MemoryOptions, Required, infer_symbols, required_arguments};
use crate::scalar::Scalar;

use super::direct;
use super::fast::Fast;
use super::offload;
use super::settings::{self, AutoGpu, Settings, Tier, Wishes};
use super::tiers::{History, Step, Thresholds};

pub use crate::interp::{Fault, Options, Outcome, Stats};

/// Something that runs programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Engine {
    /// The fastest one that can run the program.
    #[default]
    Auto,
    /// The reference interpreter: slow, and right by definition.
    Interp,
    /// Machine code.
    Native,
    /// Maps on a GPU, everything else as machine code.
    Gpu,
    /// Evaluates raw GTIR element by element; for GTIR programs only.
    GtirOracle,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 5] =
        [Engine::Auto, Engine::Interp, Engine::Native, Engine::Gpu, Engine::GtirOracle];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Auto => "auto",
            Engine::Interp => "interp",
            Engine::Native => "native",
            Engine::Gpu => "gpu",
            Engine::GtirOracle => "gtir-oracle",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Engine, String> {
        let known = Engine::ALL.into_iter().find(|engine| engine.name() == text);
        known.ok_or_else(|| {
            format!("no engine is called {text}; there are auto, interp, native, gpu and gtir-oracle")
        })
    }
}

/// A program made ready for one engine. Persistent containers keep their content from run to run. It can be called
/// from many threads at once.
#[derive(Debug)]
pub struct Prepared {
    engine: Engine,
    /// Whether machine code is made when calls are worth it.
    by_calls: bool,
    why: String,
    program: Arc<Program>,
    required: Vec<Required>,
    names: Vec<String>,
    code: Option<Mutex<Vec<Variant>>>,
    /// What calls are tried on first, once there is code that stays.
    settled: OnceLock<Arc<native::Compiled>>,
    /// The optimized program, which `code` is made of if there is one.
    fast: Option<Fast>,
    /// Code of the program as it was written, for calls that the optimized one does not fit; made when it is needed.
    plain: Mutex<Vec<Variant>>,
    settings: Settings,
    /// The device that maps run on.
    gpu: Option<Arc<Gpu>>,
    /// A GPU that was chosen here has failed.
    gpu_failed: AtomicBool,
    threads: usize,
    /// Made when it is needed.
    interp: Mutex<Option<interp::Prepared>>,
}

/// A program specialised on something, as far as it was made ready.
#[derive(Debug)]
struct Variant {
    special: Specialization,
    /// None where it was refused.
    draft: Option<Arc<native::Draft>>,
    /// None as long as calls are interpreted.
    code: Option<Arc<native::Compiled>>,
    /// The part of it that runs on the device.
    divided: Option<Arc<Divided>>,
    /// Code for certain sizes: for those of the first call, then for what the next one had in common with it.
    sized: Vec<Sized>,
    /// Whether the code is what calls will run on from now on.
    settled: bool,
    /// What calls did until it was settled.
    history: History,
}

/// Code for calls with certain sizes.
#[derive(Debug)]
struct Sized {
    /// Integer symbols and their values, in order of their names.
    sizes: Vec<(Name, i64)>,
    code: Arc<native::Compiled>,
}

impl Variant {
    /// What was compiled last, for the most.
    fn newest(&self) -> Option<&Arc<native::Compiled>> {
        self.code.as_ref().or_else(|| self.sized.last().map(|sized| &sized.code))
    }

    /// Everything that was compiled.
    fn compiled(&self) -> impl Iterator<Item = &Arc<native::Compiled>> {
        self.code.iter().chain(self.sized.iter().map(|sized| &sized.code))
    }
}

/// What a call runs on.
enum Choice {
    Code(Arc<native::Compiled>),
    /// The interpreter, for that reason.
    Interpret(String),
    /// Code for other arguments.
    Other(Specialization),
}

/// A call that machine code was bound to once.
#[derive(Debug)]
pub struct Rehearsal {
    code: Arc<native::Compiled>,
    call: native::Rehearsal,
    threads: usize,
}

impl Rehearsal {
    /// Runs a call like the rehearsed one: whether it ran to its end. If not, arguments hold what they held before,
    /// where the program reads them, and [`Prepared::run_given`] says why. `unmoved` says that every array lies where it
    /// lay then.
    ///
    /// # Safety
    /// As [`Prepared::run_given`]; each address is memory of the layout of the array in its place in the rehearsed
    /// call.
    pub unsafe fn run(
        &self,
        address: &dyn Fn(usize) -> Option<*mut u8>,
        number: &dyn Fn(usize) -> Option<Scalar>,
        unmoved: bool,
        memory: &MemoryOptions,
    ) -> bool {
        if gpu::any_resident() {
            // The usual way looks whether an array's newest bytes are on the device.
            return false;
        }
        // SAFETY: as the caller says.
        let outcome =
            unsafe { self.code.call_rehearsed(&self.call, address, number, unmoved, self.threads, memory) };
        matches!(outcome, Some(native::Outcome::Done))
    }
}

/// How a run of machine code ended.
enum Native {
    /// For good.
    Ended(Outcome),
    /// The interpreter has to say, for that reason.
    Interpret(String),
}

/// An outcome with a note.
fn noted(mut outcome: Outcome, note: String) -> Outcome {
    if let Outcome::Done(stats) = &mut outcome {
        stats.notes.push(note);
    }
    outcome
}

/// Calls that need more variants than that are interpreted.
const MOST_VARIANTS: usize = 8;

/// Weight of the longest list of statements that stays whole where everything is split.
const SHORT: usize = 40;

impl Prepared {
    /// Makes a program ready. `Auto` takes native code where it can and the interpreter otherwise. Runs that
    /// are to be `observed` ([`is_observed`]) are the interpreter's in any case.
    ///
    /// # Errors
    /// What the engine refuses, with the place in the program.
    pub fn new(program: &Program, engine: Engine, observed: bool) -> Result<Prepared> {
        Prepared::shared(Arc::new(program.clone()), engine, observed)
    }

    /// The same for a program that others hold too.
    ///
    /// # Errors
    /// What the engine refuses, with the place in the program.
    pub fn shared(program: Arc<Program>, engine: Engine, observed: bool) -> Result<Prepared> {
        Prepared::with(program, engine, observed, Settings::default())
    }

    /// The same with settings.
    ///
    /// # Errors
    /// What the engine refuses, with the place in the program.
    pub fn with(
        program: Arc<Program>,
        engine: Engine,
        observed: bool,
        settings: Settings,
    ) -> Result<Prepared> {
        let required = required_arguments(&program)?;
        let names = required.iter().map(|item| program.names.get(item.name).to_owned()).collect();
        let mut prepared = Prepared {
            engine: Engine::Interp,
            // In fast mode, bits depend on the engine; they do not change from call to call.
            by_calls: engine == Engine::Auto
                && settings.tier == Tier::Auto
                && settings.mode == settings::Mode::Strict,
            why: "asked for".to_owned(),
            program,
            required,
            names,
            code: None,
            settled: OnceLock::new(),
            fast: None,
            plain: Mutex::default(),
            settings,
            gpu: None,
            gpu_failed: AtomicBool::new(false),
            threads: settings.threads.unwrap_or_else(settings::threads).max(1),
            interp: Mutex::default(),
        };
        match engine {
            Engine::Interp => prepared.interpret()?,
            Engine::Native | Engine::Auto | Engine::Gpu if observed => {
                prepared.why = "checked and counted runs are interpreted".to_owned();
                prepared.interpret()?;
            }
            Engine::Native | Engine::Auto if settings.tier == Tier::Interp => prepared.interpret()?,
            Engine::Native | Engine::Auto | Engine::Gpu => {
                if engine == Engine::Gpu {
                    prepared.gpu = Some(gpu::open()?);
                }
                let alone = engine != Engine::Gpu && prepared.threads == 1;
                prepared.fast = Fast::of(&prepared.program, &prepared.required, alone);
                match prepared.compile(Specialization::default(), true) {
                    Ok(variant) => {
                        prepared.engine = Engine::Native;
                        let when = if prepared.by_calls {
                            "when calls are worth it"
                        } else {
                            "for the sizes of a call"
                        };
                        prepared.why = format!("machine code, made {when}");
                        if let Some(divided) = &variant.divided {
                            prepared.engine = Engine::Gpu;
                            let loops = divided.maps();
                            let there = loops.iter().filter(|map| map.host.is_none()).count();
                            let how = if divided.is_narrowed() { ", float64 as float32" } else { "" };
                            prepared.why = format!(
                                "{there} of {} map loops in {} shaders on {}{how}",
                                loops.len(),
                                divided.nests(),
                                divided.device()
                            );
                        }
                        if let Some(code) = variant.code.as_ref().filter(|_| variant.settled) {
                            prepared.settled = OnceLock::from(Arc::clone(code));
                        }
                        prepared.code = Some(Mutex::new(vec![variant]));
                        return Ok(prepared);
                    }
                    Err(refused @ Refused::Unsupported { .. }) => {
                        let diagnostic = Diagnostic::from(refused);
                        let place = diagnostic.place.join(" / ");
                        prepared.why = format!("{} at {place}", diagnostic.message);
                    }
                    Err(Refused::Invalid(diagnostic)) if engine != Engine::Auto => return Err(diagnostic),
                    Err(Refused::Invalid(diagnostic)) => prepared.why = diagnostic.message,
                }
                prepared.interpret()?;
            }
            Engine::GtirOracle => {
                return Err(Diagnostic::error("P0702", "the GTIR oracle runs GTIR programs only"));
            }
        }
        Ok(prepared)
    }

    fn interpret(&mut self) -> Result<()> {
        self.interp = Mutex::new(Some(interp::Prepared::shared(&self.program)?));
        Ok(())
    }

    fn options(&self, special: Specialization) -> native::Options {
        let Settings { tier, mode, keep_text, always_split, vector_bits, .. } = self.settings;
        let usual = native::Options::default();
        native::Options {
            mode,
            optimize: tier != Tier::Fast,
            keep_text,
            split: self.threads > 1 || always_split,
            always_split,
            vector_bits: vector_bits.unwrap_or(usual.vector_bits),
            special,
            longest: if always_split { SHORT } else { usual.longest },
            threads: self.threads,
        }
    }

    /// Lowers the program, and compiles it unless that is left to its calls.
    fn compile(&self, special: Specialization, fast: bool) -> std::result::Result<Variant, Refused> {
        self.compile_for(self.gpu.as_ref(), special, fast)
    }

    /// The same, with maps on a device.
    fn compile_for(
        &self,
        gpu: Option<&Arc<Gpu>>,
        special: Specialization,
        fast: bool,
    ) -> std::result::Result<Variant, Refused> {
        let options = self.options(special);
        let program = self.fast.as_ref().filter(|_| fast).map_or(&self.program, |fast| &fast.program);
        let mut divided = None;
        let draft = match gpu {
            None => native::Draft::new(program, &self.required, &options, None)?,
            Some(gpu) => {
                let known = OnceLock::new();
                let recruit = |kernel: &mut Kernel| -> Result<Arc<dyn Companion>> {
                    let fast = self.settings.mode == settings::Mode::Fast;
                    let made = Divided::new(gpu, kernel, Wishes { fast, ..self.settings.gpu })?;
                    let made = Arc::new(if self.settings.measured { made.measured() } else { made });
                    Ok(Arc::clone(known.get_or_init(|| made)) as Arc<dyn Companion>)
                };
                let draft = native::Draft::new(program, &self.required, &options, Some(&recruit))?;
                divided = known.into_inner();
                draft
            }
        };
        let draft = Arc::new(draft);
        // What survives a call survives in one place.
        let now = gpu.is_some() || options.keep_text || draft.is_persistent();
        let now = now || (!self.by_calls && self.settings.any_sizes);
        let code = match now {
            true => Some(Arc::new(native::Compiled::of(Arc::clone(&draft), &options)?)),
            false => None,
        };
        Ok(Variant {
            special: options.special,
            draft: Some(draft),
            code,
            divided,
            sized: Vec::new(),
            settled: now,
            history: History::default(),
        })
    }

    /// The engine that was chosen; never `Auto`.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Why it was chosen.
    pub fn why(&self) -> String {
        match self.compiled().filter(|_| self.engine == Engine::Native) {
            Some(code) => format!("{} CLIF instructions", code.instructions()),
            None => self.why.clone(),
        }
    }

    /// The machine code for arguments that are all there, as far as it was made: the one for any sizes, or else the newest
    /// one for certain sizes.
    pub fn compiled(&self) -> Option<Arc<native::Compiled>> {
        let known = self.code.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        known.first().and_then(|variant| variant.newest().cloned())
    }

    /// The division between host and device for arguments that are all there, if maps run on a GPU.
    pub fn divided(&self) -> Option<Arc<Divided>> {
        let known = self.code.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        known.first().and_then(|variant| variant.divided.clone())
    }

    /// How many launches of shaders there were in all runs, if maps run on a GPU.
    pub fn launches(&self) -> Option<u64> {
        self.sum_divided(Divided::launched)
    }

    /// How many submissions to the device's queue there were in all runs, if maps run on a GPU.
    pub fn submissions(&self) -> Option<u64> {
        self.sum_divided(Divided::submitted)
    }

    /// What launches of shaders took in all runs, if [`Settings::measured`] is set and the device has a clock.
    pub fn launch_times(&self) -> Vec<gpu::LaunchTime> {
        let known = self.code.as_ref().map(|code| code.lock().unwrap_or_else(PoisonError::into_inner));
        let variants = known.iter().flat_map(|known| known.iter());
        variants.filter_map(|variant| variant.divided.as_deref()).flat_map(Divided::times).collect()
    }

    /// How often the host did what has a shader in all runs, if maps run on a GPU: see [`Divided::declined`].
    pub fn declined(&self) -> Option<u64> {
        self.sum_divided(Divided::declined)
    }

    /// The device's memory that the run used which used most of it, if maps run on a GPU.
    pub fn device_memory(&self) -> Option<gpu::DeviceMemory> {
        let of = |variants: &Mutex<Vec<Variant>>| {
            let known = variants.lock().unwrap_or_else(PoisonError::into_inner);
            let used = known.iter().filter_map(|variant| variant.divided.as_deref()).map(Divided::memory);
            used.max_by_key(|used| used.slab + used.others)
        };
        let all = [self.code.as_ref().and_then(of), of(&self.plain)];
        all.into_iter().flatten().max_by_key(|used| used.slab + used.others)
    }

    fn sum_divided(&self, of: fn(&Divided) -> u64) -> Option<u64> {
        let count = |variants: &Mutex<Vec<Variant>>| -> Option<u64> {
            let known = variants.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = known.iter().filter_map(|variant| variant.divided.as_deref()).map(of);
            counts.reduce(|all, one| all + one)
        };
        let usual = self.code.as_ref().and_then(count);
        let plain = count(&self.plain);
        match usual.or(plain) {
            Some(_) => Some(usual.unwrap_or(0) + plain.unwrap_or(0)),
            None => self.gpu.as_ref().map(|_| 0),
        }
    }

    /// How long lowering for such arguments has taken so far, and compiling.
    pub fn times(&self) -> Option<(Duration, Duration)> {
        let known = self.code.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let variant = known.first()?;
        let sized: Duration = variant.sized.iter().map(|sized| sized.code.times().0).sum();
        let compile = variant.compiled().map(|code| code.times().1).sum();
        Some((variant.draft.as_ref()?.lower_time() + sized, compile))
    }

    /// What a call has to bring, in the order of [`Prepared::run_given`].
    pub fn required(&self) -> &[Required] {
        &self.required
    }

    /// Names of what a call has to bring, in the same order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Bytes that a call with these arguments takes from its workspace at most, whichever engine it ends on. What
    /// memory of the caller has to have, beside up to 63 bytes for alignment.
    ///
    /// # Errors
    /// Values that do not fit their symbols; `P0752` if transients are too large.
    pub fn memory_needed(&self, args: &Arguments<'_>) -> Result<u64> {
        let known = infer_symbols(&self.program, args)?;
        let value = |name| known.get(&name).copied();
        let plan = ProgramPlan::of(&self.program, &|name| value(name).map(Scalar::as_i64))?;
        let mut needed = plan.shared.peak.saturating_add(plan.private.peak);
        if let Some(variants) = &self.code {
            let variants = variants.lock().unwrap_or_else(PoisonError::into_inner);
            let sized = variants.iter().flat_map(|variant| &variant.sized);
            let drafts = variants.iter().filter_map(|variant| variant.draft.as_deref());
            for draft in drafts.chain(sized.map(|sized| &**sized.code.draft())) {
                let plan =
                    draft.plan(&value).map_err(|error| Diagnostic::error("P0752", error.to_string()))?;
                needed = needed.max(plan.peak);
            }
        }
        Ok(needed)
    }

    /// How many statements the kernel has, and what a call with these arguments does: what tiers are chosen by. None
    /// without machine code for such a call.
    ///
    /// # Errors
    /// Arguments that do not fit.
    pub fn work(&self, args: &mut Arguments<'_>) -> Result<Option<(usize, Work)>> {
        let Some(variants) = &self.code else { return Ok(None) };
        let variants = variants.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(draft) = variants.first().and_then(|variant| variant.draft.as_ref()) else {
            return Ok(None);
        };
        let given = direct::given(&self.required, &self.names, &self.program.structs, args)?;
        // SAFETY: `given` looked that each array lies in its buffer, and `args` is ours alone.
        match unsafe { draft.work(&given) } {
            Ok(work) => Ok(Some((draft.length(), work))),
            Err(Unbound::Wrong(diagnostic)) => Err(*diagnostic),
            Err(Unbound::Other(_)) => Ok(None),
        }
    }

    /// Runs the program once, in place. Native code cannot observe: of the options it takes `memory`.
    ///
    /// # Errors
    /// Arguments that do not fit. Faults of the program are [`Outcome::Trap`].
    pub fn run(&self, args: &mut Arguments<'_>, options: &Options) -> Result<Outcome> {
        if let Some(variants) = self.code.as_ref().filter(|_| !is_observed(options)) {
            let ended = {
                let given = direct::given(&self.required, &self.names, &self.program.structs, args)?;
                // SAFETY: `given` looked that each array lies in its buffer, and `args` is ours alone.
                unsafe { self.native(variants, &given, &options.memory)? }
            };
            return match ended {
                Native::Ended(outcome) => Ok(outcome),
                Native::Interpret(why) => Ok(noted(self.interpreted(args, options)?, why)),
            };
        }
        self.interpreted(args, options)
    }

    /// Runs the program once, in place, on arguments by position, without a look at names: the fast way for those
    /// who call often. Symbols and scalars are numbers; symbols that extents tell may be absent.
    ///
    /// # Errors
    /// Arguments that do not fit. Faults of the program are [`Outcome::Trap`].
    ///
    /// # Safety
    /// Each array is memory of its layout which the program may read, and write where it writes; nobody else uses it
    /// until the call ends. Two arrays may share memory.
    pub unsafe fn run_given(&self, given: &[Given<'_>], options: &Options) -> Result<Outcome> {
        let mut why = None;
        if let Some(variants) = self.code.as_ref().filter(|_| !is_observed(options)) {
            // SAFETY: as the caller says.
            match unsafe { self.native(variants, given, &options.memory)? } {
                Native::Ended(outcome) => return Ok(outcome),
                Native::Interpret(reason) => why = Some(reason),
            }
        }
        // SAFETY: as the caller says.
        let mut args = unsafe { direct::arguments(&self.names, given, &self.program.structs) };
        let outcome = self.interpreted(&mut args, options)?;
        Ok(match why {
            Some(why) => noted(outcome, why),
            None => outcome,
        })
    }

    /// Looks at a call once, for others like it: ones that bring arrays of the same layouts at other addresses, and
    /// other values of the numbers that `varies` names by position, and whose arrays share memory in the same way.
    /// None where that does not do; those calls go through [`Prepared::run_given`].
    ///
    /// # Safety
    /// As [`Prepared::run_given`].
    pub unsafe fn rehearse(&self, given: &[Given<'_>], varies: &dyn Fn(usize) -> bool) -> Option<Rehearsal> {
        let fits = self.fast.as_ref().is_none_or(|fast| fast.fits(given));
        let variants = if fits { self.code.as_ref()? } else { &self.plain };
        let variants = variants.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = variants.iter().filter_map(|variant| variant.code.as_ref().filter(|_| variant.settled));
        let sized = variants.iter().flat_map(|variant| &variant.sized).map(|sized| &sized.code);
        sized.chain(settled).find_map(|code| {
            // SAFETY: as the caller says.
            let call = unsafe { code.rehearse(given, varies) }?;
            Some(Rehearsal { code: code.clone(), call, threads: self.threads })
        })
    }

    fn interpreted(&self, args: &mut Arguments<'_>, options: &Options) -> Result<Outcome> {
        if gpu::any_resident() {
            for (_, buffer) in args.buffers.iter_mut() {
                let bytes = buffer.bytes_mut();
                // SAFETY: the bytes are borrowed from here to the end of the call.
                unsafe { gpu::settle(bytes.as_mut_ptr(), bytes.len())? };
            }
        }
        // A panic in a run is a defect of the interpreter; what it left behind is not used again.
        let mut slot = self.interp.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = match &mut *slot {
            Some(prepared) => prepared,
            empty => empty.insert(interp::Prepared::shared(&self.program)?),
        };
        prepared.run(args, options)
    }

    /// Runs machine code.
    ///
    /// # Safety
    /// As [`Prepared::run_given`].
    unsafe fn native(
        &self,
        variants: &Mutex<Vec<Variant>>,
        given: &[Given<'_>],
        memory: &MemoryOptions,
    ) -> Result<Native> {
        if self.gpu.is_none() && gpu::any_resident() {
            for given in given {
                let Given::Array(array) = given else { continue };
                let Some((distance, bytes)) = array.reach(array.ty.bytes(&self.program.structs)) else {
                    continue;
                };
                // SAFETY: as the caller says.
                unsafe { gpu::settle(array.address.wrapping_offset(distance), bytes)? };
            }
        }
        let fits = self.fast.as_ref().is_none_or(|fast| fast.fits(given));
        let variants = if fits { variants } else { &self.plain };
        let mut wanted: Option<Specialization> = None;
        let mut failed: Option<String> = None;
        let usual = self.settled.get().filter(|_| fits);
        // Each step may learn one thing more about the arguments.
        for _ in 0..MOST_VARIANTS {
            let chosen;
            let code = match usual.filter(|_| wanted.is_none()) {
                Some(code) => code,
                None => {
                    // SAFETY: as the caller says.
                    match unsafe { self.choose(variants, wanted.as_ref(), fits, given)? } {
                        Some(Choice::Code(code)) => chosen = code,
                        Some(Choice::Interpret(why)) => return Ok(Native::Interpret(why)),
                        Some(Choice::Other(special)) => {
                            wanted = Some(special);
                            continue;
                        }
                        None => break,
                    }
                    &chosen
                }
            };
            // SAFETY: as the caller says.
            match unsafe { code.call(given, self.threads, memory) } {
                Ok(native::Outcome::Done) => {
                    let done = Outcome::Done(Stats::default());
                    return Ok(Native::Ended(match failed {
                        Some(why) => noted(done, why),
                        None => done,
                    }));
                }
                Ok(native::Outcome::Trap(info)) if code.is_persistent() => {
                    return Ok(Native::Ended(Outcome::Trap(fault_of(info))));
                }
                Ok(native::Outcome::Trap(info)) => {
                    let why = format!("interpreted, because machine code stopped: {}", info.message);
                    return Ok(Native::Interpret(why));
                }
                Err(Unbound::Wrong(diagnostic)) if self.leaves_gpu(&diagnostic) => {
                    // Arguments hold what they held before.
                    variants.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    failed = Some(format!("machine code, because the GPU failed: {}", diagnostic.message));
                }
                Err(Unbound::Wrong(diagnostic)) => return Err(*diagnostic),
                Err(Unbound::Other(special)) => wanted = Some(special),
            }
        }
        Ok(Native::Interpret("interpreted, because there is no machine code for such arguments".to_owned()))
    }

    /// What a call runs on that wants a specialisation (the general one, if nothing special is wanted); none if there is
    /// no code for it.
    ///
    /// # Safety
    /// As [`Prepared::run_given`].
    unsafe fn choose(
        &self,
        variants: &Mutex<Vec<Variant>>,
        wanted: Option<&Specialization>,
        fast: bool,
        given: &[Given<'_>],
    ) -> Result<Option<Choice>> {
        let mut known = variants.lock().unwrap_or_else(PoisonError::into_inner);
        // Codes for certain sizes stand behind the one for any.
        let wanted = wanted.map(|wanted| Specialization { sizes: Vec::new(), ..wanted.clone() });
        let wanted = wanted.as_ref();
        let found = known.iter().position(|variant| wanted.is_none_or(|wanted| variant.special == *wanted));
        let at = match found {
            Some(found) => found,
            None if known.len() >= MOST_VARIANTS => return Ok(None),
            None => {
                let special = wanted.cloned().unwrap_or_default();
                known.push(match self.compile(special.clone(), fast) {
                    Ok(variant) => variant,
                    Err(Refused::Unsupported { .. }) => {
                        let history = History::default();
                        let (draft, code, divided, sized) = (None, None, None, Vec::new());
                        Variant { special, draft, code, divided, sized, settled: true, history }
                    }
                    Err(Refused::Invalid(diagnostic)) => return Err(diagnostic),
                });
                known.len() - 1
            }
        };
        let Some(variant) = known.get_mut(at) else { return Ok(None) };
        if variant.settled {
            return Ok(variant.code.clone().map(Choice::Code));
        }
        // SAFETY: as the caller says.
        let choice = unsafe { self.raise(variant, fast, given)? };
        let stays = fast && at == 0 && variant.divided.is_none();
        if let Some(Choice::Code(code)) = choice.as_ref().filter(|_| stays)
            && (variant.settled || !variant.sized.is_empty())
        {
            // Another call may have been first.
            drop(self.settled.set(Arc::clone(code)));
        }
        Ok(choice)
    }

    /// Takes a variant to the tier that a call is worth.
    ///
    /// # Safety
    /// As [`Prepared::run_given`].
    unsafe fn raise(&self, variant: &mut Variant, fast: bool, given: &[Given<'_>]) -> Result<Option<Choice>> {
        let Some(draft) = &variant.draft else { return Ok(None) };
        if !variant.sized.is_empty() {
            return Ok(Some(Choice::Code(self.resized(variant, fast, given)?)));
        }
        // SAFETY: as the caller says.
        let work = match unsafe { draft.work(given) } {
            Ok(work) => work,
            Err(Unbound::Wrong(diagnostic)) => return Err(*diagnostic),
            Err(Unbound::Other(special)) => return Ok(Some(Choice::Other(special))),
        };
        variant.history.add(work);
        let step = match self.by_calls {
            true => Thresholds::of_process().step(draft.length(), variant.history),
            false if self.settings.tier == Tier::Fast => Step::Fast,
            false => Step::Best,
        };
        if step == Step::Interpret {
            let done = variant.history.operations;
            let why = format!("interpreted, because {done:.0} operations are cheaper than code for them");
            return Ok(Some(Choice::Interpret(why)));
        }
        let best = step == Step::Best;
        let last = best || !self.by_calls;
        // SAFETY: as the caller says.
        let made = if best && self.by_calls {
            unsafe { self.on_gpu(&variant.special, fast, work, given) }
        } else {
            None
        };
        if let Some(made) = made {
            *variant = made;
            return Ok(variant.code.clone().map(Choice::Code));
        }
        let Some(draft) = &variant.draft else { return Ok(None) };
        if last && !self.settings.any_sizes {
            let sizes = draft.sizes(given)?;
            if let Some(code) = self.sized(&variant.special, sizes.clone(), fast)? {
                variant.sized.push(Sized { sizes, code: Arc::clone(&code) });
                return Ok(Some(Choice::Code(code)));
            }
        }
        if variant.code.is_none() || best {
            let options = native::Options { optimize: best, ..self.options(variant.special.clone()) };
            variant.code = Some(Arc::new(native::Compiled::of(Arc::clone(draft), &options)?));
            variant.settled = last;
        }
        Ok(variant.code.clone().map(Choice::Code))
    }

    /// What a call runs on where calls of certain sizes have code of their own.
    fn resized(
        &self,
        variant: &mut Variant,
        fast: bool,
        given: &[Given<'_>],
    ) -> Result<Arc<native::Compiled>> {
        let Some(draft) = &variant.draft else {
            return Err(Diagnostic::error("P0704", "there is code, but nothing it was made of"));
        };
        let sizes = draft.sizes(given)?;
        let holds = |size: &(Name, i64)| sizes.binary_search(size).is_ok();
        if let Some(known) = variant.sized.iter().find(|known| known.sizes.iter().all(holds)) {
            return Ok(Arc::clone(&known.code));
        }
        // Twice is a coincidence; then sizes change all the time.
        if let [first] = variant.sized.as_slice() {
            let common: Vec<(Name, i64)> = first.sizes.iter().copied().filter(holds).collect();
            if let Some(code) = self.sized(&variant.special, common.clone(), fast)? {
                variant.sized.push(Sized { sizes: common, code: Arc::clone(&code) });
                return Ok(code);
            }
        }
        let options = self.options(variant.special.clone());
        let code = Arc::new(native::Compiled::of(Arc::clone(draft), &options)?);
        variant.code = Some(Arc::clone(&code));
        variant.settled = true;
        Ok(code)
    }

    /// Code for certain sizes; none if there are none, or the program is not compiled for them.
    fn sized(
        &self,
        special: &Specialization,
        sizes: Vec<(Name, i64)>,
        fast: bool,
    ) -> Result<Option<Arc<native::Compiled>>> {
        if sizes.is_empty() {
            return Ok(None);
        }
        let options = self.options(Specialization { sizes, ..special.clone() });
        let program = self.fast.as_ref().filter(|_| fast).map_or(&self.program, |fast| &fast.program);
        match native::Draft::new(program, &self.required, &options, None) {
            Ok(draft) => Ok(Some(Arc::new(native::Compiled::of(Arc::new(draft), &options)?))),
            Err(Refused::Unsupported { .. }) => Ok(None),
            Err(Refused::Invalid(diagnostic)) => Err(diagnostic),
        }
    }

    /// The variant with maps on a GPU, if `auto` may take one, there is one, all maps can run there, and it pays.
    ///
    /// # Safety
    /// As [`Prepared::run_given`].
    unsafe fn on_gpu(
        &self,
        special: &Specialization,
        fast: bool,
        work: Work,
        given: &[Given<'_>],
    ) -> Option<Variant> {
        let auto = self.settings.gpu.auto;
        if auto == AutoGpu::Never || self.gpu_failed.load(Ordering::Relaxed) {
            return None;
        }
        let bytes = given.iter().map(|given| match given {
            Given::Array(array) => {
                array.reach(array.ty.bytes(&self.program.structs)).map_or(0.0, |(_, bytes)| bytes as f64)
            }
            _ => 0.0,
        });
        let bytes = bytes.sum();
        let pays = |launches| auto == AutoGpu::Any || offload::pays(work, bytes, launches, self.threads);
        if !pays(0.0) {
            return None;
        }
        let gpu = gpu::open().ok()?;
        let exact = [gpu::Operation::DoubleSubnormal, gpu::Operation::SingleSubnormal];
        let fits = !gpu.is_software && exact.into_iter().all(|operation| gpu.abilities.is_right(operation));
        if auto == AutoGpu::Pays && !fits {
            return None;
        }
        let made = self.compile_for(Some(&gpu), special.clone(), fast).ok()?;
        let maps = made.divided.as_ref()?.maps();
        let all = !maps.is_empty() && maps.iter().all(|map| map.host.is_none());
        // SAFETY: as the caller says.
        let launches = unsafe { made.draft.as_ref()?.calls(given).ok()? };
        (all && pays(launches)).then_some(made)
    }

    /// Whether a call goes on without the GPU that was chosen for it; notes that it failed.
    fn leaves_gpu(&self, diagnostic: &Diagnostic) -> bool {
        let gone = matches!(diagnostic.code, "P0803" | "P0804" | "P0805");
        gone && self.by_calls && !self.gpu_failed.swap(true, Ordering::Relaxed)
    }
}

/// Whether the options ask for what only the interpreter does: checking, counting steps, tracking writes.
pub fn is_observed(options: &Options) -> bool {
    options.checked || options.fuel.is_some() || options.track_written
}

/// A trap of machine code as the fault it stands for.
fn fault_of(info: TrapInfo) -> Fault {
    let kind = match info.kind {
        TrapKind::OutOfRange => FaultKind::OutOfBounds,
        TrapKind::DivisionByZero => FaultKind::DivisionByZero,
        TrapKind::Allocation => FaultKind::OutOfMemory,
        TrapKind::BadShape => FaultKind::NegativeSize,
        TrapKind::BadStep => FaultKind::BadStep,
        TrapKind::Library => FaultKind::Library,
        TrapKind::EmptyStream => FaultKind::EmptyStream,
    };
    Fault { kind, message: info.message, place: info.place, index: Vec::new() }
}
