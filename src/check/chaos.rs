//! Chaos: everything that must not change a bit, drawn from a seed.
//!
//! The order in which rules of the optimizer run and where they stop, how much is spent on machine code, how many threads
//! split every parallel loop, where transients lie and what their memory held before, and at which call of several a program
//! goes from the interpreter to machine code.

use std::fmt;
use std::sync::Arc;

use crate::exec::{Engine, Options, Outcome, Prepared, Settings, Tier};
use crate::ir::Program;
use crate::memory::pool::{Block, Workspace};
use crate::memory::{Arena, Arguments, MemoryOptions};
use crate::transform::{self, RULES};

use super::generate::Choices;
use super::side::{Disagreement, End, Verdict, copied, judge_runs};

/// Calls in a row, on what the one before left.
const CALLS: usize = 3;

/// One way to run a program.
#[derive(Clone, Debug)]
pub struct Chaos {
    rules: Vec<&'static str>,
    stop_after: Option<usize>,
    tier: Tier,
    threads: usize,
    arena: Arena,
    packing: Option<u64>,
    /// Bytes of dirty memory that transients come from; a fresh workspace that grows if none are given.
    dirty: Option<usize>,
    /// The first call that runs as machine code.
    switch: usize,
    /// Code for any sizes, not those of the first call.
    any_sizes: bool,
}

impl Chaos {
    /// Draws a way.
    pub fn draw(choices: &mut Choices<'_>) -> Chaos {
        let rules =
            (0..choices.below(10)).filter_map(|_| choices.pick(RULES).map(|rule| rule.name)).collect();
        let stop_after = choices.chance(30).then(|| choices.below(12));
        Chaos {
            rules,
            stop_after,
            tier: [Tier::Best, Tier::Fast][choices.below(2)],
            threads: 1 + choices.below(4),
            arena: [Arena::On, Arena::On, Arena::Off, Arena::Poison][choices.below(4)],
            packing: choices.chance(70).then(|| choices.word()),
            dirty: choices.chance(40).then(|| (1 << 18) + choices.below(64)),
            switch: choices.below(CALLS + 1),
            any_sizes: choices.chance(50),
        }
    }

    fn workspace(&self) -> Workspace {
        let block = self.dirty.and_then(Block::new);
        match block {
            Some(mut block) => {
                block.bytes_mut().iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * 37) as u8);
                Workspace::of_block(block)
            }
            None => Workspace::new(),
        }
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules [{}]", self.rules.join(", "))?;
        if let Some(stop) = self.stop_after {
            write!(f, " for {stop} applications")?;
        }
        write!(f, ", tier {}, {} threads, arena {}", self.tier, self.threads, self.arena)?;
        if let Some(packing) = self.packing {
            write!(f, " packed by {packing:#x}")?;
        }
        if let Some(dirty) = self.dirty {
            write!(f, " in {dirty} dirty bytes")?;
        }
        let sizes = if self.any_sizes { "any sizes" } else { "its sizes" };
        write!(f, ", machine code for {sizes} from call {} of {CALLS}", self.switch + 1)
    }
}

/// Calls a program a few times, in the plain way and in that one.
pub fn judge(program: &Program, args: &Arguments<'_>, chaos: &Chaos) -> Verdict {
    let differ = |what: String| Verdict::Differ(Disagreement::Ends("ran to the end".to_owned(), what));
    let (mut plain, mut wild) = (copied(args), copied(args));
    let reference = match Prepared::new(program, Engine::Interp, false) {
        Ok(prepared) => prepared,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    for _ in 0..CALLS {
        match reference.run(&mut plain, &Options::default()) {
            Ok(Outcome::Done(_)) => {}
            // What a program with a fault leaves behind depends on much that may change.
            Ok(Outcome::Trap(_)) => return Verdict::Agree,
            Err(error) => return Verdict::Refused(error.to_string()),
        }
    }
    let mut made = program.clone();
    let rewriting =
        transform::Options { stop_after: chaos.stop_after, validate: true, ..transform::Options::default() };
    if let Err(error) = transform::run(&mut made, &chaos.rules, &rewriting, &mut |_, _| {}) {
        return differ(format!("{chaos}: {error}"));
    }
    let made = Arc::new(made);
    let settings = Settings {
        tier: chaos.tier,
        threads: Some(chaos.threads),
        always_split: true,
        any_sizes: chaos.any_sizes,
        ..Settings::default()
    };
    let memory =
        MemoryOptions { arena: chaos.arena, workspace: Some(chaos.workspace()), packing: chaos.packing };
    let options = Options { memory, ..Options::default() };
    let early = Prepared::shared(Arc::clone(&made), Engine::Interp, false);
    let late = Prepared::with(made, Engine::Auto, false, settings);
    let (early, late) = match (early, late) {
        (Ok(early), Ok(late)) => (early, late),
        (Err(error), _) | (_, Err(error)) => return differ(format!("{chaos}: {error}")),
    };
    for call in 0..CALLS {
        let prepared = if call < chaos.switch { &early } else { &late };
        match prepared.run(&mut wild, &options) {
            Ok(Outcome::Done(_)) => {}
            Ok(Outcome::Trap(fault)) => return differ(format!("{chaos}: call {}: {fault}", call + 1)),
            // The dirty memory was too small.
            Err(error) if error.code == "P0751" => return Verdict::Refused(error.to_string()),
            Err(error) => return differ(format!("{chaos}: {error}")),
        }
    }
    match judge_runs(program, [&plain, &wild], &[End::Done, End::Done], None) {
        Verdict::Differ(how) => differ(format!("{chaos}: {how}")),
        verdict => verdict,
    }
}
