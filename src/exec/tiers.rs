//! Which tier a call runs on, with [`Tier::Auto`](super::Tier::Auto) and [`Engine::Auto`](super::Engine::Auto).
//!
//! What a call does is estimated from what it brings, before it runs. A tier is left for the next one as soon as
//! what was done on it, this call included, is worth what making the next one's code costs: a program that is called
//! once on little is interpreted, and one call on much goes straight to the best tier. Whatever the calls are, that costs
//! at most about twice as much as knowing them before.
//!
//! Two rules keep the estimate from doing harm. Where it contains a guess (a loop that turns until some condition
//! holds), nothing is interpreted and nothing left unoptimised. And a program that is called again has the best tier soon,
//! however little it does: from the call after the first [`MOST_CHEAP`].
//!
//! Both sides of the comparison grow with the program, so the thresholds are operations per statement of its kernel.
//! They were measured (`docs/tiers.md`), and environment variables override them. Code that is not optimised costs
//! nearly as much as the best, so the thresholds are equal unless somebody says otherwise.

use std::sync::OnceLock;

use crate::kernel::cost::Work;

/// After so many calls every call has the best tier.
pub const MOST_CHEAP: u32 = 2;

/// Operations per statement, at which the next tier is worth its code.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Thresholds {
    /// Below, the interpreter runs the program.
    pub fast: f64,
    /// Below, machine code is not optimised.
    pub best: f64,
}

/// The environment variable with the threshold of the fast tier.
pub const FAST_VARIABLE: &str = "PELTON_TIER_FAST";
/// The environment variable with the threshold of the best tier.
pub const BEST_VARIABLE: &str = "PELTON_TIER_BEST";

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { fast: 300.0, best: 300.0 }
    }
}

/// A tier that a call can run on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Step {
    Interpret,
    Fast,
    Best,
}

/// What the calls of a program have done so far.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct History {
    calls: u32,
    pub operations: f64,
    guessed: bool,
}

impl History {
    /// One more call.
    pub fn add(&mut self, work: Work) {
        self.calls = self.calls.saturating_add(1);
        self.operations += work.operations;
        self.guessed |= work.guessed;
    }
}

impl Thresholds {
    /// What the environment says, looked up once; the usual ones where it says nothing.
    pub fn of_process() -> Thresholds {
        static KNOWN: OnceLock<Thresholds> = OnceLock::new();
        *KNOWN.get_or_init(|| {
            let usual = Thresholds::default();
            let said = |variable: &str, usual: f64| {
                let text = std::env::var(variable).ok();
                text.and_then(|text| text.trim().parse().ok())
                    .filter(|number: &f64| *number >= 0.0)
                    .unwrap_or(usual)
            };
            Thresholds { fast: said(FAST_VARIABLE, usual.fast), best: said(BEST_VARIABLE, usual.best) }
        })
    }

    /// Where a program of that length runs whose calls did that, the coming one included.
    pub(super) fn step(self, length: usize, history: History) -> Step {
        let each = history.operations / length.max(1) as f64;
        if history.guessed || each >= self.best || history.calls > MOST_CHEAP {
            Step::Best
        } else if each >= self.fast {
            Step::Fast
        } else {
            Step::Interpret
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { fast: 10.0, best: 1_000.0 };

    fn step(length: usize, calls: u32, operations: f64, guessed: bool) -> Step {
        let mut history = History::default();
        for _ in 0..calls {
            history.add(Work { operations: operations / f64::from(calls), guessed });
        }
        THRESHOLDS.step(length, history)
    }

    #[test]
    fn work_raises_the_tier_and_length_lowers_it() {
        assert_eq!(step(100, 1, 999.0, false), Step::Interpret);
        assert_eq!(step(100, 1, 1_000.0, false), Step::Fast);
        assert_eq!(step(100, 1, 99_999.0, false), Step::Fast);
        assert_eq!(step(100, 1, 100_000.0, false), Step::Best);
        assert_eq!(step(0, 1, 10.0, false), Step::Fast);
    }

    #[test]
    fn who_is_called_again_gets_the_best_tier_soon() {
        assert_eq!(step(100, 2, 2.0, false), Step::Interpret);
        assert_eq!(step(100, 2, 1_000.0, false), Step::Fast);
        assert_eq!(step(100, 3, 3.0, false), Step::Best);
    }

    #[test]
    fn a_guess_decides_for_the_best_tier() {
        assert_eq!(step(100, 1, 1.0, true), Step::Best);
    }
}
