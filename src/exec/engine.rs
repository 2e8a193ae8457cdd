//! The engines a program can run on, and how one is chosen.

use std::fmt;
use std::str::FromStr;

use crate::back::native;
use crate::diag::{Diagnostic, Result};
use crate::interp::{self, FaultKind};
use crate::ir::Program;
use crate::kernel::lower::Refused;
use crate::kernel::{TrapInfo, TrapKind};
use crate::memory::Arguments;

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
    /// Evaluates raw GTIR element by element; for GTIR programs only.
    GtirOracle,
}

impl Engine {
    /// All of them.
    pub const ALL: [Engine; 4] = [Engine::Auto, Engine::Interp, Engine::Native, Engine::GtirOracle];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Auto => "auto",
            Engine::Interp => "interp",
            Engine::Native => "native",
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
            format!("no engine is called {text}; there are auto, interp, native and gtir-oracle")
        })
    }
}

/// A program made ready for one engine. Persistent containers keep their content from run to run.
#[derive(Debug)]
pub struct Prepared {
    engine: Engine,
    why: String,
    runner: Runner,
}

#[derive(Debug)]
enum Runner {
    Interp(Box<interp::Prepared>),
    /// Machine code, and the program for arguments that it cannot bind.
    Native(Box<native::Compiled>, Box<Program>),
}

impl Prepared {
    /// Makes a program ready. `Auto` takes native code where it can and the interpreter otherwise. Runs that
    /// are to be `observed` ([`is_observed`]) are the interpreter's in any case.
    ///
    /// # Errors
    /// What the engine refuses, with the place in the program.
    pub fn new(program: &Program, engine: Engine, observed: bool) -> Result<Prepared> {
        match engine {
            Engine::Interp => Self::interp(program, "asked for".into()),
            Engine::Native | Engine::Auto if observed => {
                Self::interp(program, "checked and counted runs are interpreted".into())
            }
            Engine::Native | Engine::Auto => {
                match native::Compiled::new(program, &native::Options::default()) {
                    Ok(compiled) => {
                        let why = format!("{} CLIF instructions", compiled.instructions());
                        Ok(Prepared {
                            engine: Engine::Native,
                            why,
                            runner: Runner::Native(Box::new(compiled), Box::new(program.clone())),
                        })
                    }
                    Err(refused @ Refused::Unsupported { .. }) => {
                        let diagnostic = Diagnostic::from(refused);
                        let place = diagnostic.place.join(" / ");
                        Self::interp(program, format!("{} at {place}", diagnostic.message))
                    }
                    Err(Refused::Invalid(diagnostic)) if engine == Engine::Native => Err(diagnostic),
                    Err(Refused::Invalid(diagnostic)) => Self::interp(program, diagnostic.message),
                }
            }
            Engine::GtirOracle => Err(Diagnostic::error("P0702", "the GTIR oracle runs GTIR programs only")),
        }
    }

    fn interp(program: &Program, why: String) -> Result<Prepared> {
        let runner = Runner::Interp(Box::new(interp::Prepared::new(program)?));
        Ok(Prepared { engine: Engine::Interp, why, runner })
    }

    /// The engine that was chosen; never `Auto`.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Why it was chosen.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Runs the program once, in place. Native code ignores the options: it cannot observe.
    ///
    /// # Errors
    /// Arguments that do not fit. Faults of the program are [`Outcome::Trap`].
    pub fn run(&mut self, args: &mut Arguments<'_>, options: &Options) -> Result<Outcome> {
        let refused = match &mut self.runner {
            Runner::Interp(prepared) => return prepared.run(args, options),
            Runner::Native(compiled, program) => match compiled.run(args) {
                Ok(native::Outcome::Done) => return Ok(Outcome::Done(Stats::default())),
                Ok(native::Outcome::Trap(info)) => return Ok(Outcome::Trap(fault_of(info))),
                // Machine code takes arguments of the declared shape only; the interpreter reads others as memory.
                Err(error) if error.code == "P0402" => Self::interp(program, error.message)?,
                Err(error) => return Err(error),
            },
        };
        *self = refused;
        self.run(args, options)
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
