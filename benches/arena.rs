//! What the arena costs and gains: `cargo bench --bench arena`.
//!
//! - the time to plan 10,000 transients, and how far the plan is from the lower bound;
//! - the time of a call with a planned slab against one allocation per transient per call, for the ten programs of the
//!   corpus whose transients are largest (`PELTON_CORPUS`, or `../shared/corpus`), on one thread.

#[path = "support/allocator.rs"]
mod allocator;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use pelton::analysis::liveness::Span;
use pelton::check::bound_case::bound_case;
use pelton::check::{Case, find_cases};
use pelton::exec::{Engine, Options, Outcome, Prepared};
use pelton::interp::infer_symbols;
use pelton::ir::Program;
use pelton::memory::plan::{Item, ProgramPlan, plan};
use pelton::memory::{Arena, Arguments, MemoryOptions};
use pelton::scalar::Scalar;

fn main() {
    plan_time();
    call_time();
}

fn plan_time() {
    let mut state = 1_u64;
    let mut random = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    for (name, long) in [("short lives", 30), ("long lives", 3000)] {
        let items: Vec<Item> = (0..10_000)
            .map(|at| {
                let length = if random(10) == 0 { random(long * 10) } else { random(long) } as u32;
                let most = 1 << (6 + random(14));
                Item::new(Span { first: at, last: at + length }, 1 + random(most))
            })
            .collect();
        let mut best = Duration::MAX;
        let mut ratio = 0.0;
        for _ in 0..7 {
            let start = Instant::now();
            ratio = plan(&items).map_or(f64::NAN, |plan| plan.ratio());
            best = best.min(start.elapsed());
        }
        println!(
            "plan of 10,000 transients, {name}: {:.2} ms, {ratio:.4} of the lower bound",
            best.as_secs_f64() * 1e3
        );
    }
}

fn call_time() {
    let root = std::env::var_os("PELTON_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")),
        PathBuf::from,
    );
    let suites: Vec<PathBuf> = ["npbench", "gt4py", "icon4py"]
        .iter()
        .map(|suite| root.join(suite))
        .filter(|dir| dir.is_dir())
        .collect();
    let Ok(folders) = find_cases(&suites) else {
        println!("no corpus at {}", root.display());
        return;
    };
    let mut programs: Vec<(u64, String, Program, Arguments<'static>)> = Vec::new();
    for case in folders.iter().filter_map(|folder| Case::open(folder).ok()) {
        let Some(own) = case.programs(false).into_iter().next() else { continue };
        let Ok((program, args)) = bound_case(&case, &own) else { continue };
        let Ok(known) = infer_symbols(&program, &args) else { continue };
        let value = |name| known.get(&name).copied().map(Scalar::as_i64);
        let Ok(plan) = ProgramPlan::of(&program, &value) else { continue };
        programs.push((plan.shared.total, format!("{}/{}", case.suite, case.name), program, args));
    }
    programs.sort_by_key(|program| std::cmp::Reverse(program.0));
    println!("\n{:<90} {:>10} {:>10} {:>10} {:>7}", "program", "transients", "off µs", "on µs", "gain");
    let mut shown = 0;
    for (total, name, program, mut args) in programs {
        let Ok(prepared) = Prepared::new(&program, Engine::Native, false) else { continue };
        if prepared.engine() != Engine::Native || shown == 10 {
            continue;
        }
        let mut time = |arena: Arena| {
            let options =
                Options { memory: MemoryOptions { arena, ..MemoryOptions::default() }, ..Options::default() };
            let mut best = f64::INFINITY;
            for _ in 0..300 {
                let start = Instant::now();
                match prepared.run(&mut args, &options) {
                    Ok(Outcome::Done(_)) => best = best.min(start.elapsed().as_secs_f64()),
                    _ => return f64::NAN,
                }
            }
            best * 1e6
        };
        let (off, on) = (time(Arena::Off), time(Arena::On));
        println!("{name:<90} {total:>10} {off:>10.2} {on:>10.2} {:>6.2}x", off / on);
        shown += 1;
    }
}
