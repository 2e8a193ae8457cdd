//! What tiers cost and gain on real programs: where the thresholds of `exec/tiers.rs` come from.
//!
//! ```text
//! cargo bench --bench tiers                # npbench and dace of the corpus (PELTON_CORPUS, or ../shared/corpus)
//! cargo bench --bench tiers -- npbench     # suites of the corpus
//! ```
//!
//! Per program: statements of its kernel, operations of the call (both as tiers count them), microseconds to compile
//! in both tiers, and of the call interpreted and in both tiers (the least of some; interpreted calls of more than
//! [`MOST`] operations are left out). Behind the list, what follows: the cost per statement and per operation at the
//! median, the thresholds that are worth it, and the time from graph to result of all programs on each tier, with the
//! programs that the choice of tiers hurts most. On one thread.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use pelton::check::bound_case::bound_case;
use pelton::check::{Case, find_cases};
use pelton::exec::{Engine, Options, Outcome, Prepared, Settings, Tier};
use pelton::ir::Program;
use pelton::memory::Arguments;

#[path = "support/allocator.rs"]
mod allocator;
#[path = "support/statistics.rs"]
mod statistics;

/// Operations of the longest call that is interpreted here.
const MOST: f64 = 3e6;

/// One program, measured; microseconds.
struct Row {
    name: String,
    statements: f64,
    operations: f64,
    guessed: bool,
    compile: [f64; 2],
    interp: Option<f64>,
    run: [f64; 2],
    /// From graph to result: interpreted, fast, best, and as tiers choose.
    first: [Option<f64>; 4],
}

fn microseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e6
}

fn prepared(program: &Arc<Program>, engine: Engine, tier: Tier) -> Option<Prepared> {
    let settings = Settings { tier, threads: Some(1), ..Settings::default() };
    Prepared::with(Arc::clone(program), engine, false, settings).ok()
}

fn is_done(prepared: &Prepared, args: &mut Arguments<'_>) -> bool {
    matches!(prepared.run(args, &Options::default()), Ok(Outcome::Done(_)))
}

fn row(case: &Case) -> Option<Row> {
    let own = case.programs(false).into_iter().next()?;
    let (program, mut args) = bound_case(case, &own).ok()?;
    let program = Arc::new(program);
    let fresh = || bound_case(case, &own).ok().map(|(_, args)| args);
    let best =
        prepared(&program, Engine::Native, Tier::Best).filter(|best| best.engine() == Engine::Native)?;
    let (statements, work) = best.work(&mut args).ok()??;
    let fast = prepared(&program, Engine::Native, Tier::Fast)?;
    let run = |prepared: &Prepared, rounds: usize| {
        let mut args = fresh()?;
        let mut least = f64::INFINITY;
        for _ in 0..rounds {
            let start = Instant::now();
            if !is_done(prepared, &mut args) {
                return None;
            }
            least = least.min(microseconds(start));
        }
        Some(least)
    };
    let first = |engine: Engine, tier: Tier| {
        let mut least: Option<f64> = None;
        for _ in 0..2 {
            let mut args = fresh()?;
            let start = Instant::now();
            let prepared = prepared(&program, engine, tier)?;
            if !is_done(&prepared, &mut args) {
                return None;
            }
            let time = microseconds(start);
            least = Some(least.map_or(time, |least| least.min(time)));
        }
        least
    };
    let is_short = !work.guessed && work.operations <= MOST;
    let interp = prepared(&program, Engine::Interp, Tier::Auto).filter(|_| is_short);
    let compile = |prepared: &Prepared| prepared.times().map(|(_, compile)| compile.as_secs_f64() * 1e6);
    Some(Row {
        name: format!("{}/{}", case.suite, case.name),
        statements: statements as f64,
        operations: work.operations,
        guessed: work.guessed,
        compile: [compile(&fast)?, compile(&best)?],
        interp: interp.and_then(|interp| run(&interp, 3)),
        run: [run(&fast, 5)?, run(&best, 5)?],
        first: [
            if is_short { first(Engine::Interp, Tier::Auto) } else { None },
            first(Engine::Native, Tier::Fast),
            first(Engine::Native, Tier::Best),
            first(Engine::Auto, Tier::Auto),
        ],
    })
}

/// The median of those that were measured.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    statistics::median(values.filter(|value| value.is_finite()))
}

fn main() {
    let root = std::env::var_os("PELTON_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")),
        PathBuf::from,
    );
    let mut suites: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if suites.is_empty() {
        suites = vec!["npbench".to_owned(), "dace".to_owned()];
    }
    let suites: Vec<PathBuf> =
        suites.iter().map(|suite| root.join(suite)).filter(|folder| folder.is_dir()).collect();
    let Ok(folders) = find_cases(&suites) else {
        println!("no corpus at {}", root.display());
        return;
    };
    println!(
        "{:<44} {:>6} {:>12} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "program", "stmts", "operations", "fast µs", "best µs", "interp µs", "fast µs", "best µs"
    );
    let mut rows = Vec::new();
    for row in folders.iter().filter_map(|folder| row(&Case::open(folder).ok()?)) {
        let interp = row.interp.map_or("-".to_owned(), |time| format!("{time:.0}"));
        println!(
            "{:<44} {:>6} {:>11.0}{} {:>8.0} {:>8.0} {interp:>9} {:>9.1} {:>9.1}",
            row.name,
            row.statements,
            row.operations,
            if row.guessed { "?" } else { " " },
            row.compile[0],
            row.compile[1],
            row.run[0],
            row.run[1]
        );
        rows.push(row);
    }
    summary(&rows);
}

fn summary(rows: &[Row]) {
    let per_statement = |tier: usize| median(rows.iter().map(|row| 1e3 * row.compile[tier] / row.statements));
    let (fast, best) = (per_statement(0), per_statement(1));
    let interp = median(rows.iter().filter_map(|row| Some(1e3 * row.interp? / row.operations)));
    // Calls of some work only: the others are what a call costs.
    let worked = || rows.iter().filter(|row| !row.guessed && row.operations > 1e5);
    let run = |tier: usize| median(worked().map(|row| 1e3 * row.run[tier] / row.operations));
    let gain = median(worked().map(|row| 1e3 * (row.run[0] - row.run[1]) / row.operations));
    println!("\n{} programs; at the median, in ns:", rows.len());
    println!("  compile, per statement: fast {fast:.0}, best {best:.0}");
    println!("  run, per operation: interpreted {interp:.1}, fast {:.2}, best {:.2}", run(0), run(1));
    println!("  machine code pays from {:.0} operations per statement", fast / (interp - run(0)));
    println!("  the best tier pays from {:.0} operations per statement", best / gain);
    println!("\nfrom graph to result, all programs that were interpreted, ms:");
    let all: Vec<&Row> = rows.iter().filter(|row| row.first.iter().all(Option::is_some)).collect();
    for (at, name) in ["interpreted", "fast", "best", "as tiers choose"].into_iter().enumerate() {
        let sum: f64 = all.iter().filter_map(|row| row.first[at]).sum();
        println!("  {name:<16} {:8.2}", sum / 1e3);
    }
    let ratio = |row: &Row| Some((row.first[3]? / row.first[2]?, row.first[3]?, row.first[2]?));
    let mut ratios: Vec<_> = rows.iter().filter_map(|row| Some((ratio(row)?, &row.name))).collect();
    ratios.sort_by(|a, b| b.0.0.total_cmp(&a.0.0));
    println!("\nfrom graph to result as tiers choose, over the best tier; the worst:");
    for ((ratio, chosen, best), name) in ratios.iter().take(8) {
        println!("  {ratio:5.2}  {name} ({chosen:.0} µs, {best:.0} µs)");
    }
    println!("  median {:.2}", median(ratios.iter().map(|((ratio, ..), _)| *ratio)));
}
