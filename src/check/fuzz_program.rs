//! Fuzzing the optimizer on a real program: every application of every rule, each in a cutout, on random inputs.
//!
//! The program is taken apart into [cutouts](super::cutout). In each one a rule is applied once, and the cutout before is
//! compared with the cutout after on a number of random inputs; then it is applied again, until it finds nothing more.
//! Where the rule touches few parts of a large state, the comparison takes only those, with whatever makes their input
//! smaller. Inputs on which the program before stops with a fault say nothing and are drawn anew.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::diag::{Diagnostic, Result};
use crate::exec::Engine;
use crate::exec::bind::unbind;
use crate::front::pel;
use crate::ir::Program;
use crate::memory::Arguments;
use crate::transform::rule::SiteKind;
use crate::transform::{self, RULES};

use super::cutout::{Cutout, cutouts, narrowed, random_inputs};
use super::fuzz::{Failure, results};
use super::generate::Choices;
use super::save::save_case;
use super::side::{End, Ready, Side, Verdict, copied, is_sound, judge_runs};

/// What to try.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// The seed of the inputs.
    pub seed: u64,
    /// Inputs per application.
    pub trials: u64,
    /// Time at most.
    pub time: Option<Duration>,
    /// Only this rule.
    pub rule: Option<String>,
    /// Where failing cutouts go.
    pub out: Option<PathBuf>,
    /// Stop after so many failures.
    pub failures: usize,
}

/// What came out.
#[derive(Clone, Debug, Default)]
pub struct ProgramTally {
    /// Cutouts looked at.
    pub cutouts: u64,
    /// Applications of rules that were tried.
    pub instances: u64,
    /// Of those, the ones tried on less than the cutout.
    pub narrowed: u64,
    /// Applications for which no input could be found on which the program runs.
    pub untried: u64,
    /// Inputs that were compared.
    pub trials: u64,
    /// Inputs on which the program before stopped with a fault.
    pub faults: u64,
    /// Applications per rule.
    pub by_rule: indexmap::IndexMap<String, u64>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Time so far.
    pub elapsed: Duration,
}

/// Tries every application of rules in the cutouts of a program. `progress` hears of every application.
///
/// # Errors
/// A failing case cannot be saved, or there is no such rule.
pub fn fuzz_program(
    program: &Program,
    plan: &ProgramPlan,
    progress: &mut dyn FnMut(&ProgramTally),
) -> Result<ProgramTally> {
    let mut run = Run { plan, tally: ProgramTally::default(), start: Instant::now() };
    // States that were fused are larger, so both forms of the program are taken apart.
    let mut simplified = program.clone();
    let forms = match transform::simplify(&mut simplified) {
        Ok(report) if report.fired() > 0 => vec![program.clone(), simplified],
        _ => vec![program.clone()],
    };
    for form in &forms {
        for cutout in cutouts(form) {
            run.tally.cutouts += 1;
            for rule in RULES {
                if plan.rule.as_ref().is_some_and(|only| only != rule.name) {
                    continue;
                }
                run.applications(&cutout, rule, progress)?;
                if run.is_over() {
                    return Ok(run.tally);
                }
            }
        }
    }
    Ok(run.tally)
}

struct Run<'p> {
    plan: &'p ProgramPlan,
    tally: ProgramTally,
    start: Instant,
}

impl Run<'_> {
    fn is_over(&mut self) -> bool {
        self.tally.elapsed = self.start.elapsed();
        self.plan.time.is_some_and(|time| self.tally.elapsed >= time)
            || self.tally.failures.len() >= self.plan.failures.max(1)
    }

    /// One application after another in one cutout.
    fn applications(
        &mut self,
        cutout: &Cutout,
        rule: &transform::Rule,
        progress: &mut dyn FnMut(&ProgramTally),
    ) -> Result<()> {
        // A rule of single states is tried on single states.
        let local = matches!(rule.kind, SiteKind::State | SiteKind::Node);
        if local && cutout.states > 1 {
            return Ok(());
        }
        let mut before = cutout.program.clone();
        if rule.name != "explicit_order" {
            applied(&mut before, "explicit_order", None)?;
        }
        // Rules end by themselves; the bound is for defects.
        for _ in 0..1000 {
            let mut after = before.clone();
            match applied(&mut after, rule.name, Some(1)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    self.failed(&before, None, rule.name, &cutout.place, error.to_string())?;
                    break;
                }
            }
            *self.tally.by_rule.entry(rule.name.to_owned()).or_insert(0) += 1;
            self.tally.instances += 1;
            self.instance(&before, &after, rule.name, &cutout.place)?;
            progress(&self.tally);
            if self.is_over() {
                break;
            }
            before = after;
        }
        Ok(())
    }

    /// One application, on many inputs.
    fn instance(&mut self, before: &Program, after: &Program, rule: &str, place: &str) -> Result<()> {
        let seed = self.plan.seed.wrapping_add(self.tally.instances << 20);
        let mut choices = Choices::from_seed(seed);
        let sizes = random_inputs(before, &|_| None, &mut choices);
        // Only what the rule touches, if it does the same thing there.
        let part = sizes.and_then(|args| narrowed(before, after, &args)).and_then(|part| {
            let mut made = part.clone();
            (applied(&mut made, rule, Some(1)).ok()? == 1).then_some((part, made))
        });
        let small = part.is_some();
        let tried = match &part {
            Some((before, after)) => self.compare(before, after, rule, place, &mut choices)?,
            None => false,
        };
        self.tally.narrowed += u64::from(small && tried);
        if !tried && !self.compare(before, after, rule, place, &mut choices)? {
            self.tally.untried += 1;
        }
        Ok(())
    }

    /// Says whether any input could be compared.
    fn compare(
        &mut self,
        before: &Program,
        after: &Program,
        rule: &str,
        place: &str,
        choices: &mut Choices<'_>,
    ) -> Result<bool> {
        let interp = Side::engine(Engine::Interp);
        let (mut left, mut right) = match (interp.prepare(before), interp.prepare(after)) {
            (Ok(left), Ok(right)) => (left, right),
            (Ok(_), Err(end)) => {
                self.failed(before, None, rule, place, format!("after the rule: {end}"))?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        let (mut compared, mut useless) = (0, 0);
        while compared < self.plan.trials && useless < self.plan.trials.max(20) {
            if self.plan.time.is_some_and(|time| self.start.elapsed() >= time) {
                break;
            }
            let Some(args) = random_inputs(before, &|_| None, choices) else {
                useless += 1;
                continue;
            };
            match trial(before, &args, &mut left, &mut right) {
                Some(Verdict::Differ(how)) => {
                    self.failed(before, Some(&args), rule, place, how.to_string())?;
                    return Ok(true);
                }
                Some(_) => compared += 1,
                None => {
                    useless += 1;
                    self.tally.faults += 1;
                }
            }
        }
        self.tally.trials += compared;
        Ok(compared > 0)
    }

    fn failed(
        &mut self,
        before: &Program,
        args: Option<&Arguments<'_>>,
        rule: &str,
        place: &str,
        what: String,
    ) -> Result<()> {
        let seed = self.plan.seed;
        let what = format!("{rule} in {place}: {what}");
        let folder = match &self.plan.out {
            Some(out) => {
                let folder = out.join(format!("{rule}-{}", self.tally.failures.len()));
                let inputs = args.map(|args| unbind(before, args, &|_| true)).unwrap_or_default();
                let expected = results(before, &inputs, &Side::engine(Engine::Interp)).unwrap_or_default();
                let mut notes = vec![format!("shown by: pelton diff {} --rule {rule}", folder.display())];
                notes.extend(what.lines().map(str::to_owned));
                save_case(&folder, &pel::print(before), &inputs, &expected, &notes)?;
                Some(folder)
            }
            None => None,
        };
        self.tally.failures.push(Failure { seed, what, folder });
        Ok(())
    }
}

/// Applies a rule, at most so often; how often it fired.
fn applied(program: &mut Program, rule: &str, times: Option<usize>) -> Result<usize> {
    let options = transform::Options { stop_after: times, validate: true, ..transform::Options::default() };
    let report = transform::run(program, &[rule], &options, &mut |_, _| {})?;
    match report.rules.iter().find(|report| report.undone > 0) {
        Some(report) => Err(Diagnostic::error("P0721", format!("{} stopped half way", report.rule))),
        None => Ok(report.fired()),
    }
}

/// One input; `None` if it says nothing, because the program before stops, or reads what nobody wrote.
fn trial(program: &Program, args: &Arguments<'_>, left: &mut Ready, right: &mut Ready) -> Option<Verdict> {
    let (mut ours, mut theirs) = (copied(args), copied(args));
    let first = left.run(&mut ours);
    if first != End::Done {
        return None;
    }
    let second = right.run(&mut theirs);
    let verdict = judge_runs(program, [&ours, &theirs], &[first, second], None);
    if !matches!(verdict, Verdict::Differ(_)) {
        return Some(verdict);
    }
    is_sound(program, args).then_some(verdict)
}
