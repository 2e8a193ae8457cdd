//! How good the optimizer's graphs are: every case of npbench and icon4py that has an `optimized` program, which DaCe or GT4Py
//! made, and our own optimizer's of the program itself, on the same engine with the same arguments.
//!
//! `cargo bench --bench graphs [-- WORD]` prints, per case (whose name contains WORD), the least time of a call on one thread and the
//! bytes of transients of both (at their peak, and those that persist from call to call), and the geometric mean of the
//! ratios. The calls of both take turns. Bytes are those of the machine code's plan, of the graph after our optimizer has seen
//! it; a `+` says that the code takes more while it runs, for sizes that a call does not tell.

#[path = "support/allocator.rs"]
mod allocator;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pelton::check::bound_case::bound_case;
use pelton::check::{Case, find_cases};
use pelton::entity::Name;
use pelton::exec::{Engine, Options, Outcome, Prepared, Settings};
use pelton::ir::{Lifetime, Program};
use pelton::memory::pool::{Block, Source, System, Workspace};
use pelton::memory::{Arguments, MemoryOptions, infer_symbols};
use pelton::scalar::Scalar;
use pelton::symbolic::Env;

/// How long one case takes.
const BUDGET: Duration = Duration::from_millis(400);

struct Side {
    prepared: Prepared,
    args: Arguments<'static>,
    options: Options,
    /// Blocks that calls took from the system.
    blocks: Arc<AtomicU64>,
    /// Bytes of transients that persist, and how many there are.
    kept: (u64, u64),
    least: f64,
}

impl Side {
    fn of(case: &Case, variants: bool, suffix: &str) -> Option<Side> {
        let own = case.programs(variants).into_iter().find(|item| item.suffix == suffix)?;
        let (program, args) = bound_case(case, &own).ok()?;
        let kept = persistent(&program, &args);
        let settings = Settings { threads: Some(1), ..Settings::default() };
        let prepared = Prepared::with(Arc::new(program), Engine::Native, false, settings).ok()?;
        let blocks = Arc::new(AtomicU64::new(0));
        let workspace = Workspace::from_source(Box::new(Counted(Arc::clone(&blocks))));
        let memory = MemoryOptions { workspace: Some(workspace), ..MemoryOptions::default() };
        let options = Options { memory, ..Options::default() };
        let least = f64::INFINITY;
        (prepared.engine() == Engine::Native).then_some(Side { prepared, args, options, blocks, kept, least })
    }

    /// Calls the program once; false when it does not end well.
    fn call(&mut self) -> bool {
        let start = Instant::now();
        let outcome = self.prepared.run(&mut self.args, &self.options);
        self.least = self.least.min(start.elapsed().as_secs_f64());
        matches!(outcome, Ok(Outcome::Done(_)))
    }

    /// Bytes of transients.
    fn bytes(&self) -> String {
        let statistics =
            self.options.memory.workspace.as_ref().map(Workspace::statistics).unwrap_or_default();
        let (bytes, count) = self.kept;
        let more = self.blocks.load(Ordering::Relaxed) > statistics.growths + count;
        format!("{}{}", bytes + statistics.plan_peak, if more { "+" } else { "" })
    }
}

/// The system's memory, and how many blocks of it were taken.
#[derive(Debug)]
struct Counted(Arc<AtomicU64>);

impl Source for Counted {
    fn block(&self, bytes: usize) -> Option<Block> {
        self.0.fetch_add(1, Ordering::Relaxed);
        System.block(bytes)
    }
}

/// Bytes of the transients that a program keeps from call to call, and how many there are.
fn persistent(program: &Program, args: &Arguments<'_>) -> (u64, u64) {
    struct Known(indexmap::IndexMap<Name, Scalar>);
    impl Env for Known {
        fn symbol(&self, name: Name) -> Option<Scalar> {
            self.0.get(&name).copied()
        }
    }
    let Ok(known) = infer_symbols(program, args).map(Known) else { return (0, 0) };
    let (mut bytes, mut count) = (0, 0);
    for data in program.graphs.values().flat_map(|graph| graph.data.values()) {
        if data.transient && data.lifetime == Lifetime::Persistent {
            let extents = data.shape().iter().map(|&extent| program.exprs.eval(extent, &known).unwrap_or(0));
            bytes += extents.product::<i64>().unsigned_abs() * data.ty.bytes(&program.structs) as u64;
            count += 1;
        }
    }
    (bytes, count)
}

fn main() {
    let root = std::env::var_os("PELTON_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")),
        PathBuf::from,
    );
    let word = std::env::args().skip(1).find(|text| !text.starts_with('-')).unwrap_or_default();
    println!(
        "{:<70} {:>10} {:>10} {:>6} {:>10} {:>10}",
        "case", "ours us", "theirs us", "ratio", "ours B", "theirs B"
    );
    for suite in ["npbench", "icon4py"] {
        let Ok(folders) = find_cases(&[root.join(suite)]) else {
            println!("no corpus at {}", root.display());
            return;
        };
        let (mut logs, mut worse) = (Vec::new(), 0);
        for case in folders.iter().filter_map(|folder| Case::open(folder).ok()) {
            if !case.name.contains(&word) {
                continue;
            }
            let sides = [Side::of(&case, false, ""), Side::of(&case, true, "#optimized")];
            let [Some(mut ours), Some(mut theirs)] = sides else { continue };
            let start = Instant::now();
            let mut well = true;
            while well && start.elapsed() < BUDGET {
                well = ours.call() && theirs.call();
            }
            if !well {
                println!("{:<70} does not run to its end", case.name);
                continue;
            }
            let bytes = [&ours, &theirs].map(Side::bytes);
            let ratio = theirs.least / ours.least;
            logs.push(ratio.ln());
            worse += usize::from(ratio < 0.97);
            println!(
                "{:<70} {:>10.2} {:>10.2} {ratio:>6.2} {:>10} {:>10}",
                case.name,
                ours.least * 1e6,
                theirs.least * 1e6,
                bytes[0],
                bytes[1]
            );
        }
        let mean = (logs.iter().sum::<f64>() / logs.len().max(1) as f64).exp();
        println!(
            "{suite}: {} cases, theirs take {mean:.2} times ours, {worse} of ours slower by more than 3 %\n",
            logs.len()
        );
    }
}
