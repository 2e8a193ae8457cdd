//! One side of a comparison: a way to run any program.
//!
//! A side is an engine and, before it, possibly a rewrite of the graph: a transformation that is under suspicion, or a
//! mistake that is planted on purpose. Because a side takes *any* program, the tools that compare two sides are free to
//! cut the program down as they like.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::diag::{Diagnostic, Result};
use crate::exec::settings::Mode;
use crate::exec::{Engine, Options, Outcome, Prepared, Settings};
use crate::interp::{self, Fault, infer_symbols};
use crate::ir::Program;
use crate::memory::{Arguments, Binding, Buffer, View};
use crate::scalar::Scalar;
use crate::transform;
use crate::valid::validate;

use super::compare::{FieldReport, Tolerance, compare_within};
use super::mutate::Mutant;

/// What a rewrite makes of a program; nothing where it does not apply.
pub type Rewrite = Arc<dyn Fn(&Program) -> Result<Option<Program>> + Send + Sync>;

/// A way to run programs.
#[derive(Clone)]
pub struct Side {
    /// What it is called in reports.
    pub name: String,
    /// What runs the program.
    pub engine: Engine,
    /// What its arithmetic may do.
    pub mode: Mode,
    /// Whether machine code is made for arguments of any sizes, or for the sizes that a call brings.
    pub any_sizes: bool,
    /// What happens to the graph before.
    pub rewrite: Option<Rewrite>,
    /// Whether a program that ends in a fault may end otherwise here. An optimizer may leave out a computation that nobody
    /// needs, with its fault; it never adds a fault.
    pub may_lose_faults: bool,
}

/// A program made ready for one side.
#[derive(Debug)]
pub struct Ready {
    prepared: Prepared,
}

/// How a run ended.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// To the end.
    Done,
    /// A fault of the program.
    Fault(Fault),
    /// It was refused: preparing or binding failed.
    Refused(Diagnostic),
    /// A defect: the code panicked.
    Panic(String),
}

/// What two sides made of one program.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// The same, bit for bit (or the same kind of fault).
    Agree,
    /// At least one side cannot run it, and says so.
    Refused(String),
    /// The rewrite of neither side applies.
    Unchanged,
    /// They differ.
    Differ(Disagreement),
}

/// How two sides differ.
#[derive(Clone, PartialEq, Debug)]
pub enum Disagreement {
    /// In values.
    Values(Vec<FieldReport>),
    /// In how they ended.
    Ends(String, String),
}

impl fmt::Debug for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Disagreement::Values(reports) => {
                for (at, report) in reports.iter().enumerate() {
                    if at > 0 {
                        writeln!(f)?;
                    }
                    write!(f, "{report}")?;
                }
                Ok(())
            }
            Disagreement::Ends(left, right) => write!(f, "one side: {left}; the other: {right}"),
        }
    }
}

impl Side {
    /// An engine as it is.
    pub fn engine(engine: Engine) -> Side {
        let name = engine.name().to_owned();
        Side { name, engine, mode: Mode::Strict, any_sizes: false, rewrite: None, may_lose_faults: false }
    }

    /// The same with code for arguments of any sizes, or with code for the sizes that a call brings.
    pub fn for_any_sizes(&self, any_sizes: bool) -> Side {
        Side { any_sizes, ..self.clone() }
    }

    /// What its rewrite makes of a program; nothing where it has none, or where that does not apply.
    ///
    /// # Errors
    /// The rewrite refuses.
    pub fn changed(&self, program: &Program) -> Result<Option<Program>> {
        self.rewrite.as_ref().map_or(Ok(None), |rewrite| rewrite(program))
    }

    /// The same for a graph that is rewritten already.
    pub fn without_rewrite(&self) -> Side {
        Side { rewrite: None, ..self.clone() }
    }

    /// The reference interpreter after a rewrite of the graph.
    pub fn rewritten(name: &str, rewrite: Rewrite) -> Side {
        Side { name: name.to_owned(), rewrite: Some(rewrite), ..Side::engine(Engine::Interp) }
    }

    /// The reference interpreter after a planted mistake.
    pub fn mutated(mutant: Mutant) -> Side {
        let rewrite = move |program: &Program| mutant.apply(program);
        Side::rewritten(&format!("interp after {mutant}"), Arc::new(rewrite))
    }

    /// The reference interpreter after one rule of the optimizer, or after all of them.
    pub fn after_rule(rule: Option<&str>) -> Side {
        let only: Vec<String> = rule.map(str::to_owned).into_iter().collect();
        let name = format!("interp after {}", rule.unwrap_or("all rules"));
        let rewrite = move |program: &Program| {
            let mut options =
                transform::Options { only: only.clone(), validate: false, ..transform::Options::default() };
            let mut made = program.clone();
            let report = transform::run(&mut made, transform::OPTIMIZE, &options, &mut |_, _| {})?;
            if report.fired() == 0 {
                return Ok(None);
            }
            if validate(&made).iter().any(Diagnostic::is_error) {
                // Once more, to hear which rule it was.
                options.validate = true;
                transform::run(&mut program.clone(), transform::OPTIMIZE, &options, &mut |_, _| {})?;
            }
            Ok(Some(made))
        };
        Side { may_lose_faults: true, ..Side::rewritten(&name, Arc::new(rewrite)) }
    }

    /// Makes a program ready.
    ///
    /// # Errors
    /// What the rewrite or the engine refuses. Asked for machine code, a side does not fall back to the interpreter.
    pub fn prepare(&self, program: &Program) -> std::result::Result<Ready, End> {
        let shared = Arc::new(program.clone());
        self.prepare_if_changed(&shared).and_then(|ready| match ready {
            Some(ready) => Ok(ready),
            None => self.prepare_as_it_is(shared),
        })
    }

    /// The same for a program that others hold too; nothing where the side's rewrite does not apply.
    fn prepare_if_changed(&self, program: &Arc<Program>) -> std::result::Result<Option<Ready>, End> {
        let made = match &self.rewrite {
            None => program.clone(),
            // A rewrite that gives up, or that makes something invalid, is a finding.
            Some(rewrite) => match guarded(|| Ok(rewrite(program)))? {
                Ok(Some(made)) => Arc::new(made),
                Ok(None) => return Ok(None),
                Err(error) => return Err(End::Panic(error.to_string())),
            },
        };
        self.prepare_as_it_is(made).map(Some)
    }

    fn prepare_as_it_is(&self, program: Arc<Program>) -> std::result::Result<Ready, End> {
        guarded(|| {
            let settings = Settings { any_sizes: self.any_sizes, mode: self.mode, ..Settings::default() };
            let prepared = Prepared::with(program, self.engine, false, settings)?;
            if self.engine == Engine::Native && prepared.engine() != Engine::Native {
                return Err(Diagnostic::error("P0710", prepared.why().to_owned()));
            }
            Ok(Ready { prepared })
        })
    }
}

impl Ready {
    /// Runs once, in place.
    pub fn run(&mut self, args: &mut Arguments<'_>) -> End {
        match guarded(|| self.prepared.run(args, &Options::default())) {
            Ok(Outcome::Done(_)) => End::Done,
            Ok(Outcome::Trap(fault)) => End::Fault(fault),
            Err(end) => end,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Done => f.write_str("ran to the end"),
            End::Fault(fault) => write!(f, "fault: {}", Diagnostic::from(fault.clone())),
            End::Refused(diagnostic) => write!(f, "refused: {diagnostic}"),
            End::Panic(message) => write!(f, "panic: {message}"),
        }
    }
}

/// Runs `program` on both sides from the same arguments, and compares every argument bit for bit.
pub fn judge(program: &Program, args: &Arguments<'_>, sides: [&Side; 2]) -> Verdict {
    judge_within(program, args, sides, None)
}

/// [`judge`] within a tolerance, if there is one.
pub fn judge_within(
    program: &Program,
    args: &Arguments<'_>,
    sides: [&Side; 2],
    tolerance: Option<Tolerance>,
) -> Verdict {
    judge_shared(&Arc::new(program.clone()), args, sides, tolerance)
}

/// [`judge_within`] for a program that others hold too.
pub fn judge_shared(
    program: &Arc<Program>,
    args: &Arguments<'_>,
    sides: [&Side; 2],
    tolerance: Option<Tolerance>,
) -> Verdict {
    let mut ready = Vec::with_capacity(2);
    // Where a rewrite does not apply, the other side need not be made ready.
    for side in [sides[1], sides[0]] {
        match side.prepare_if_changed(program) {
            Ok(Some(prepared)) => ready.push(prepared),
            Ok(None) => return Verdict::Unchanged,
            Err(End::Refused(diagnostic)) => return Verdict::Refused(format!("{}: {diagnostic}", side.name)),
            Err(end) => {
                return Verdict::Differ(Disagreement::Ends(String::new(), format!("{}: {end}", side.name)));
            }
        }
    }
    let [right, left] = &mut ready[..] else { return Verdict::Agree };
    let (mut left_args, mut right_args) = (copied(args), copied(args));
    let ends = [left.run(&mut left_args), right.run(&mut right_args)];
    if let ([End::Fault(fault), End::Done | End::Fault(_)], true) = (&ends, sides[1].may_lose_faults) {
        return Verdict::Refused(format!("the program ends in a fault: {}", Diagnostic::from(fault.clone())));
    }
    judge_runs(program, [&left_args, &right_args], &ends, tolerance)
}

/// Whether a checked run of the interpreter meets nothing: no access out of bounds, no element that nobody wrote, no race.
/// Only what such a program computes is the same on all engines by promise.
pub fn is_sound(program: &Program, args: &Arguments<'_>) -> bool {
    let options = interp::Options { checked: true, fuel: Some(50_000_000), ..interp::Options::default() };
    let ran = guarded(|| interp::Prepared::new(program)?.run(&mut copied(args), &options));
    matches!(ran, Ok(interp::Outcome::Done(_)))
}

/// Judges two runs that are over. Of a program that ends in a fault nothing but the fault is compared.
pub fn judge_runs(
    program: &Program,
    args: [&Arguments<'_>; 2],
    ends: &[End; 2],
    tolerance: Option<Tolerance>,
) -> Verdict {
    match ends {
        [End::Done, End::Done] => {
            let reports = differences(program, args[0], args[1], tolerance);
            if reports.is_empty() { Verdict::Agree } else { Verdict::Differ(Disagreement::Values(reports)) }
        }
        [End::Fault(left), End::Fault(right)] if left.kind == right.kind => Verdict::Agree,
        [End::Refused(left), End::Refused(right)] if left.code == right.code => {
            Verdict::Refused(left.to_string())
        }
        [left, right] => Verdict::Differ(Disagreement::Ends(left.to_string(), right.to_string())),
    }
}

/// Fields that differ by more than a tolerance allows, or in any bit without one; NaNs equal each other.
pub fn differences(
    program: &Program,
    left: &Arguments<'_>,
    right: &Arguments<'_>,
    tolerance: Option<Tolerance>,
) -> Vec<FieldReport> {
    let mut reports = Vec::new();
    for (name, binding) in &left.bindings {
        let Binding::Array { buffer, offset, ty, shape, strides } = binding else { continue };
        let buffers = (left.buffers.get(*buffer), right.buffers.get(*buffer));
        let (Some(left), Some(right)) = buffers else { continue };
        if left.bytes() == right.bytes() {
            continue;
        }
        let field = |field| program.names[field].to_owned();
        let parts = |bytes| View::parts(bytes, *offset, *ty, shape, strides, &program.structs, &field);
        for ((suffix, left), (_, right)) in parts(left.bytes()).iter().zip(&parts(right.bytes())) {
            let report = compare_within(&format!("{name}{suffix}"), right, left, tolerance);
            if !report.passes() {
                reports.push(report);
            }
        }
    }
    reports
}

/// The same arguments with memory of their own; what was one buffer stays one.
pub fn copied(args: &Arguments<'_>) -> Arguments<'static> {
    let buffers = args.buffers.values().map(|buffer| Buffer::Owned(buffer.bytes().to_vec())).collect();
    Arguments { buffers, bindings: args.bindings.clone() }
}

/// The same arguments, with the symbols that the shapes of arrays tell.
///
/// # Errors
/// A value that does not fit its symbol.
pub fn with_symbols(program: &Program, args: &Arguments<'_>) -> Result<Arguments<'static>> {
    let mut args = copied(args);
    for (name, value) in infer_symbols(program, &args)? {
        let name = program.names.get(name);
        if args.get(name).is_none() {
            args.insert_scalar(name, value);
        }
    }
    Ok(args)
}

/// Whether two numbers have the same bits, or are both NaN.
pub fn same_bits(a: Scalar, b: Scalar) -> bool {
    let (mut left, mut right) = ([0; 16], [0; 16]);
    a.write_le_bytes(&mut left);
    b.write_le_bytes(&mut right);
    if left == right && a.dtype() == b.dtype() {
        return true;
    }
    let (a, b) = (a.as_complex(), b.as_complex());
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    same(a.re, b.re) && same(a.im, b.im)
}

/// Runs `work`; a panic becomes a value.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> std::result::Result<T, End> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(diagnostic)) => Err(End::Refused(diagnostic)),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(End::Panic(text.unwrap_or_else(|| "without a message".to_owned())))
        }
    }
}
