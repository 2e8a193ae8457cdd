//! How fast fuzzing is: `cargo bench --bench fuzz`.
//!
//! A trial generates a program of up to 20 nodes, runs it on one side, makes the other side ready (rewriting or compiling
//! it), runs that and compares; each is one execution per side. Goal, per core: 2,000 executions a second with the optimizer
//! in the loop, 500 with machine code.

#[path = "support/allocator.rs"]
mod allocator;

use std::time::Duration;

use pelton::check::Side;
use pelton::check::fuzz::{Plan, Subject, fuzz, sides_for};
use pelton::check::generate::{GtirSettings, Settings};
use pelton::exec::Engine;

fn main() {
    let settings = Settings { statements: 4, ..Settings::default() };
    let rules = [Side::engine(Engine::Interp), Side::after_rule(None)];
    for (name, subject) in [
        ("all rules", Subject::Sides(rules)),
        ("machine code", Subject::Sides(sides_for(Engine::Native))),
        ("chaos", Subject::Chaos),
        ("GTIR", Subject::Gtir(GtirSettings { empty: false })),
    ] {
        let plan = Plan {
            seed: 1,
            trials: None,
            time: Some(Duration::from_secs(5)),
            settings: settings.clone(),
            subject,
            out: None,
            failures: usize::MAX,
        };
        match fuzz(&plan, &mut |_| {}) {
            Ok(tally) => println!(
                "{name:<14} {:>7.0} executions/s, {:>6.0} trials/s, {:.1} nodes per program, {} failed",
                tally.executions_per_second(),
                tally.trials_per_second(),
                tally.coverage.nodes as f64 / tally.coverage.programs.max(1) as f64,
                tally.failures.len()
            ),
            Err(error) => println!("{name}: {error}"),
        }
    }
}
