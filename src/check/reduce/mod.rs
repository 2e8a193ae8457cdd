//! Makes a failing program small.
//!
//! The reduction knows one question, asked of every candidate: *do the two sides still disagree about it?* It first cuts out
//! the state in which the difference appears, with memory as it was then, and of that state the part that computes what
//! differs with whatever makes its input small ([the minimum input-flow cut](super::cutout)). Then it takes away whatever
//! it can, round after round, until nothing more can go:
//!
//! - parts of states, blocks of control flow, nodes inside scopes;
//! - iterations of maps; maps of one iteration become their body, nested graphs the program;
//! - pieces of code: an expression becomes one of its parts;
//! - sizes: a symbol gets a smaller value, arrays keep their leading elements;
//! - dimensions: of an array that is used at one index only, the rest goes;
//! - types: everything that can be `f64` is;
//! - values: zeros and ones instead of what was there.
//!
//! If a checked run finds nothing wrong with the program, no candidate is taken in which it would.
//!
//! Whatever is left is a program of its own with its own inputs, written as a case folder.

mod code;
mod data;
mod graph;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::diag::{Diagnostic, Result};
use crate::exec::bind::unbind;
use crate::front::pel;
use crate::ir::{BlockId, GraphId, NodeId, NodeKind, Program};
use crate::memory::{Arguments, Binding};

use super::compare::Tolerance;
use super::locate::{Half, locate, state_before};
use super::save::save_case;
use super::side::{Disagreement, End, Side, Verdict, copied, is_sound, judge_within, with_symbols};

/// A program with arguments about which two sides disagree.
#[derive(Debug)]
pub struct Failing {
    /// The program.
    pub program: Program,
    /// What it is called with.
    pub args: Arguments<'static>,
}

/// What reduction made of a failing program.
#[derive(Debug)]
pub struct Reduced {
    /// The small program.
    pub failing: Failing,
    /// How the sides differ on it.
    pub disagreement: Disagreement,
    /// Nodes before.
    pub nodes_before: usize,
    /// Nodes after.
    pub nodes: usize,
    /// Candidates tried.
    pub tried: usize,
    /// Time it took.
    pub elapsed: Duration,
}

impl Failing {
    /// A copy with another program.
    fn with_program(&self, program: Program) -> Failing {
        Failing { program, args: copied(&self.args) }
    }
}

/// Live dataflow nodes of all graphs.
pub fn node_count(program: &Program) -> usize {
    program
        .graphs
        .values()
        .flat_map(|graph| graph.states())
        .map(|(_, state)| state.live_nodes().count())
        .sum()
}

/// The state of a reduction.
struct Reduction<'s> {
    best: Failing,
    sides: [&'s Side; 2],
    tolerance: Option<Tolerance>,
    /// Arrays that differ on the best candidate; none where that is not known.
    differing: Vec<String>,
    /// How the sides end, if they end differently; otherwise they give other values.
    ends: Option<[Ending; 2]>,
    /// Whether the program means one thing only ([`is_sound`]); then whatever is left of it must as well, or the failure would turn
    /// into a race, or into memory that nobody wrote.
    sound: bool,
    deadline: Instant,
    tried: usize,
}

impl Reduction<'_> {
    /// Nodes of the program at hand, those of a kind.
    fn nodes(&self, wanted: impl Fn(&NodeKind) -> bool) -> Vec<(GraphId, BlockId, NodeId)> {
        let mut found = Vec::new();
        for (graph, inside) in self.best.program.graphs.iter() {
            for (block, state) in inside.states() {
                let nodes = state.live_nodes().filter(|(_, node)| wanted(&node.kind));
                found.extend(nodes.map(|(node, _)| (graph, block, node)));
            }
        }
        found
    }

    /// Takes the candidate if the sides still disagree about it.
    fn accept(&mut self, candidate: Option<Failing>) -> bool {
        let Some(candidate) = candidate else { return false };
        if self.is_over() {
            return false;
        }
        self.tried += 1;
        let verdict = judge_within(&candidate.program, &candidate.args, self.sides, self.tolerance);
        let fails = match verdict {
            Verdict::Differ(found)
                if endings(&found) == self.ends
                    && (!self.sound || is_sound(&candidate.program, &candidate.args)) =>
            {
                self.differing = fields(&found);
                true
            }
            _ => false,
        };
        if fails {
            self.best = candidate;
        }
        fails
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// Makes a failing program small, within a time limit. Within a tolerance, sides agree; without one, only if they have the same
/// bits.
///
/// # Errors
/// `P0435` if the sides agree about the program.
pub fn reduce(
    program: &Program,
    args: &Arguments<'_>,
    sides: [&Side; 2],
    tolerance: Option<Tolerance>,
    limit: Duration,
) -> Result<Reduced> {
    let start = Instant::now();
    let nodes_before = node_count(program);
    let (ends, differing) = match judge_within(program, args, sides, tolerance) {
        Verdict::Differ(disagreement) => (endings(&disagreement), fields(&disagreement)),
        Verdict::Refused(why) => {
            return Err(Diagnostic::error("P0435", format!("there is nothing to compare: {why}")));
        }
        _ => return Err(Diagnostic::error("P0435", "the two sides agree, so there is nothing to reduce")),
    };
    let best = Failing { program: program.clone(), args: with_symbols(program, args)? };
    let deadline = start + limit;
    let mut reduction =
        Reduction { best, sides, tolerance, differing, ends, sound: false, deadline, tried: 0 };
    cut_out(&mut reduction);
    reduction.sound = is_sound(&reduction.best.program, &reduction.best.args);
    graph::cut_inputs(&mut reduction);
    loop {
        let mut changed = graph::shrink(&mut reduction);
        changed |= code::shrink(&mut reduction);
        changed |= data::shrink(&mut reduction);
        if !changed || reduction.is_over() {
            break;
        }
    }
    let Reduction { best: failing, tried, .. } = reduction;
    let disagreement = match judge_within(&failing.program, &failing.args, sides, tolerance) {
        Verdict::Differ(disagreement) => disagreement,
        _ => Disagreement::Ends(
            "once it differed".to_owned(),
            "now it does not: the failure is not deterministic".to_owned(),
        ),
    };
    let nodes = node_count(&failing.program);
    Ok(Reduced { failing, disagreement, nodes_before, nodes, tried, elapsed: start.elapsed() })
}

/// What kind of end it was: what stands in front of its message.
type Ending = String;

/// How two sides ended, if that is how they differ. A smaller program has to end in the same way on either side: one that
/// stops with another fault is another failure.
fn endings(disagreement: &Disagreement) -> Option<[Ending; 2]> {
    match disagreement {
        Disagreement::Values(_) => None,
        Disagreement::Ends(left, right) => {
            // The code of a diagnostic, or the words in front of the first colon.
            let kind = |text: &str| match text.split_once("error[") {
                Some((_, rest)) => rest.chars().take_while(|&c| c != ']').collect(),
                None => text.split(':').next().unwrap_or_default().to_owned(),
            };
            Some([kind(left), kind(right)])
        }
    }
}

/// The arrays that two sides give other values.
fn fields(disagreement: &Disagreement) -> Vec<String> {
    match disagreement {
        Disagreement::Values(reports) => reports.iter().map(|report| report.name.clone()).collect(),
        Disagreement::Ends(..) => Vec::new(),
    }
}

/// Starts from the state in which the difference appears, if that state by itself still shows it.
fn cut_out(reduction: &mut Reduction<'_>) {
    let halves = reduction.sides.map(|side| Half::of(side, &reduction.best.program, &reduction.best.args));
    let [Ok(left), Ok(right)] = halves else { return };
    let base = Half {
        program: reduction.best.program.clone(),
        args: copied(&reduction.best.args),
        side: reduction.sides[0].without_rewrite(),
    };
    let Ok(located) = locate(left, right, reduction.tolerance) else { return };
    let Some(step) = located.step else { return };
    let cut = state_before(&base, step).ok().flatten();
    reduction.accept(cut.map(|cut| Failing { program: cut.program, args: cut.args }));
}

impl Reduced {
    /// Writes a case folder: program, inputs, what the first side makes of them.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, folder: &Path, sides: [&Side; 2], command: &str) -> Result<()> {
        let program = &self.failing.program;
        let inputs = unbind(program, &self.failing.args, &|_| true);
        let mut args = copied(&self.failing.args);
        let end = match sides[0].prepare(program) {
            Ok(mut ready) => ready.run(&mut args),
            Err(end) => end,
        };
        let is_array = |name: &str| matches!(args.get(name), Some(Binding::Array { .. }));
        let expected = if end == End::Done { unbind(program, &args, &is_array) } else { Default::default() };
        let mut notes = vec![command.to_owned()];
        notes.extend(self.disagreement.to_string().lines().map(str::to_owned));
        save_case(folder, &pel::print(program), &inputs, &expected, &notes)
    }
}
