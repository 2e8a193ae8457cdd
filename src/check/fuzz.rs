//! Fuzzing: random programs, run on two sides, compared bit for bit.
//!
//! A run is a series of trials; trial `n` of seed `k` is the program of seed `k + n`, so any trial can be repeated by
//! itself. A failing trial is saved as a case folder.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::diag::{Diagnostic, Result};
use crate::exec::Engine;
use crate::exec::bind::{bind, unbind};
use crate::exec::npz::FileArrays;
use crate::ir::Program;
use crate::memory::Arguments;

use super::chaos::{self, Chaos};
use super::generate::{
    Choices, Coverage, Generated, GeneratedGtir, GtirSettings, Settings, generate, generate_gtir,
};
use super::save::save_case;
use super::side::{Side, Verdict, judge_shared};

/// What to fuzz, and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the first trial.
    pub seed: u64,
    /// Trials at most.
    pub trials: Option<u64>,
    /// Time at most.
    pub time: Option<Duration>,
    /// What the programs look like.
    pub settings: Settings,
    /// What is compared on them.
    pub subject: Subject,
    /// Where failing programs go.
    pub out: Option<PathBuf>,
    /// Stop after so many failures.
    pub failures: usize,
}

/// What runs, and what is compared.
#[derive(Clone, Debug)]
pub enum Subject {
    /// Random graphs on two sides; the first one is right.
    Sides([Side; 2]),
    /// Random GTIR programs on the oracle of the lowering, the interpreter and as machine code.
    Gtir(GtirSettings),
    /// Random graphs in the plain way and in one that follows from the seed ([`chaos`](super::chaos)).
    Chaos,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Programs made.
    pub trials: u64,
    /// Runs of an engine.
    pub executions: u64,
    /// Trials in which both sides agreed.
    pub agreed: u64,
    /// Trials that ended in the same fault on both sides.
    pub refused: u64,
    /// Trials to which no rewrite applied.
    pub unchanged: u64,
    /// What was refused, with counts.
    pub refusals: indexmap::IndexMap<String, u64>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// What the programs were made of.
    pub coverage: Coverage,
    /// Time so far.
    pub elapsed: Duration,
}

/// A trial that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that repeats it.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
    /// The case folder, if one was written.
    pub folder: Option<PathBuf>,
}

impl Tally {
    /// Engine runs per second.
    pub fn executions_per_second(&self) -> f64 {
        self.executions as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Trials per second.
    pub fn trials_per_second(&self) -> f64 {
        self.trials as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Runs trials until time, trials or patience run out. `progress` hears of every trial.
///
/// # Errors
/// A failing case cannot be saved.
pub fn fuzz(plan: &Plan, progress: &mut dyn FnMut(&Tally)) -> Result<Tally> {
    let start = Instant::now();
    let mut tally = Tally::default();
    loop {
        tally.elapsed = start.elapsed();
        let over = plan.trials.is_some_and(|trials| tally.trials >= trials)
            || plan.time.is_some_and(|time| tally.elapsed >= time)
            || tally.failures.len() >= plan.failures.max(1);
        if over {
            return Ok(tally);
        }
        let seed = plan.seed.wrapping_add(tally.trials);
        tally.trials += 1;
        let mut choices = Choices::from_seed(seed);
        let folder = plan.out.as_ref().map(|out| out.join(format!("seed-{seed}")));
        let failed = match &plan.subject {
            Subject::Sides(sides) => {
                let generated = generate(&mut choices, &plan.settings);
                let [left, right] = sides;
                let right = &right.for_any_sizes(seed % 2 == 1);
                let judged = |program: &Arc<Program>, args: &Arguments<'_>| {
                    judge_shared(program, args, [left, right], None)
                };
                let what = trial_by(&generated, &judged, &mut tally);
                if let (Some(what), Some(folder)) = (&what, &folder) {
                    let (left_name, right_name) = (&left.name, &right.name);
                    let found =
                        format!("pelton fuzz --seed {seed} --trials 1 ({right_name} against {left_name})");
                    save_failure(folder, &generated, left, &found, what)?;
                }
                what
            }
            Subject::Chaos => {
                let generated = generate(&mut choices, &plan.settings);
                let chaos = Chaos::draw(&mut choices);
                let judged =
                    |program: &Arc<Program>, args: &Arguments<'_>| chaos::judge(program, args, &chaos);
                let what = trial_by(&generated, &judged, &mut tally);
                if let (Some(what), Some(folder)) = (&what, &folder) {
                    let plain = Side::engine(Engine::Interp);
                    let found = format!("pelton fuzz --chaos --seed {seed} --trials 1");
                    save_failure(folder, &generated, &plain, &found, what)?;
                }
                what
            }
            Subject::Gtir(settings) => {
                let generated = generate_gtir(&mut choices, *settings);
                let what = gtir_trial(&generated, &mut tally);
                if let (Some(what), Some(folder)) = (&what, &folder) {
                    save_gtir(folder, &generated, seed, what)?;
                }
                what
            }
        };
        if let Some(what) = failed {
            tally.failures.push(Failure { seed, what, folder });
        }
        progress(&tally);
    }
}

/// One trial of a GTIR program; says what failed.
fn gtir_trial(generated: &GeneratedGtir, tally: &mut Tally) -> Option<String> {
    let checked = catch_unwind(AssertUnwindSafe(|| generated.check()));
    match checked {
        Ok(Ok(true)) => {
            tally.agreed += 1;
            tally.executions += 3;
            None
        }
        Ok(Ok(false)) => {
            tally.refused += 1;
            None
        }
        Ok(Err(what)) => {
            tally.executions += 3;
            Some(what)
        }
        Err(_) => Some(format!("panic on\n{}", generated.text)),
    }
}

fn save_gtir(folder: &Path, generated: &GeneratedGtir, seed: u64, what: &str) -> Result<()> {
    let failed = |error: std::io::Error| {
        Diagnostic::error("P0433", format!("cannot write the case: {error}")).at(folder.display().to_string())
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(folder.join("program.gtir"), &generated.text).map_err(failed)?;
    let text = format!("shown by: pelton fuzz --gtir --seed {seed} --trials 1\n\n{what}\n");
    std::fs::write(folder.join("failure.txt"), text).map_err(failed)
}

/// One trial; says what failed.
fn trial_by(
    generated: &Generated,
    judged: &dyn Fn(&Arc<Program>, &Arguments<'_>) -> Verdict,
    tally: &mut Tally,
) -> Option<String> {
    let program = match generated.lowered() {
        Ok(program) => Arc::new(program),
        Err(error) => return Some(format!("the generated program is refused: {error}")),
    };
    tally.coverage.add(&program);
    let args = match bind(&program, generated.inputs.clone()) {
        Ok(args) => args,
        Err(error) => return Some(format!("its inputs are refused: {error}")),
    };
    let verdict = judged(&program, &args);
    // Asking the validator costs as much as a run: only when there is something to explain.
    if matches!(verdict, Verdict::Refused(_) | Verdict::Differ(_))
        && let Err(error) = generated.program()
    {
        return Some(format!("the generated program is refused: {error}"));
    }
    match verdict {
        Verdict::Agree => {
            tally.agreed += 1;
            tally.executions += 2;
            None
        }
        Verdict::Unchanged => {
            tally.unchanged += 1;
            None
        }
        Verdict::Refused(why) => {
            tally.refused += 1;
            *tally.refusals.entry(why).or_insert(0) += 1;
            None
        }
        Verdict::Differ(disagreement) => {
            tally.executions += 2;
            Some(disagreement.to_string())
        }
    }
}

fn save_failure(folder: &Path, generated: &Generated, right: &Side, found: &str, what: &str) -> Result<()> {
    let expected = generated
        .program()
        .and_then(|program| results(&program, &generated.inputs, right))
        .unwrap_or_default();
    let mut notes = vec![format!("found by: {found}")];
    notes.extend(what.lines().map(str::to_owned));
    save_case(folder, &generated.text, &generated.inputs, &expected, &notes)
}

/// The arrays of a program after a run on one side.
///
/// # Errors
/// The program or its inputs are refused, or the run ends in a fault.
pub fn results(program: &Program, inputs: &FileArrays, side: &Side) -> Result<FileArrays> {
    let mut args = bind(program, inputs.clone())?;
    let end = match side.prepare(program) {
        Ok(mut ready) => ready.run(&mut args),
        Err(end) => end,
    };
    match end {
        super::side::End::Done => {
            let is_array = |name: &str| matches!(args.get(name), Some(crate::memory::Binding::Array { .. }));
            Ok(unbind(program, &args, &is_array))
        }
        super::side::End::Refused(diagnostic) => Err(diagnostic),
        end => Err(Diagnostic::error("P0434", end.to_string())),
    }
}

/// The sides of a fuzzing run by engine: the interpreter is always right.
pub fn sides_for(engine: Engine) -> [Side; 2] {
    [Side::engine(Engine::Interp), Side::engine(engine)]
}
