//! The tools that find what is wrong: mistakes are planted, and have to be found at the place where they were planted.

use pelton::check::generate::{Choices, Settings, generate};
use pelton::check::locate::{Half, Located, locate};
use pelton::check::mutate::{Mutant, Site};
use pelton::check::reduce::reduce;
use pelton::check::side::{Side, Verdict, judge};
use pelton::check::{Case, Disagreement, Generated, How, Status, run_case};
use std::path::Path;
use std::time::{Duration, Instant};

use pelton::exec::bind::bind;
use pelton::exec::{Engine, Format};
use pelton::front::pel;
use pelton::ir::Program;
use pelton::memory::Arguments;
use pelton::scalar::{Scalar, Type};

/// A time loop with stages as a dynamical core has them: advection through a transient, a vertical sum, an update.
const CORE: &str = "
program core(u: f64[N, K], flux: f64[N, K], total: f64[N], N: i64 symbol, K: i64 symbol) {
  transient gradient: f64[N, K]
  transient mean: f64[N, K]
  for step in 0:4 {
    state slope { map i in 1:N-1, k in 0:K { tasklet grad(l <- u[i-1, k], r <- u[i+1, k]) -> (o -> gradient[i, k]) { o = (r - l) * 0.5 } } }
    state average { map i in 1:N-1, k in 1:K { tasklet avg(a <- gradient[i, k], b <- gradient[i, k-1]) -> (o -> mean[i, k]) { o = (a + b) * 0.25 } } }
    state update { map i in 1:N-1, k in 1:K { tasklet upd(m <- mean[i, k], v <- u[i, k]) -> (o -> flux[i, k]) { o = v - m * 0.125 } } }
    state back { copy flux[1:N-1, 1:K] -> u[1:N-1, 1:K] }
    state sum { map i in 0:N, k in 0:K { total[i] += flux[i, k] } }
  }
}";

fn core(changed: &str, to: &str) -> Program {
    let text = CORE.replace(changed, to);
    assert!(changed.is_empty() || text != CORE, "the planted mistake does not apply");
    let loaded = pelton::exec::load::finish(pel::parse(&text).unwrap(), Format::Pel, Vec::new());
    assert_eq!(loaded.errors().count(), 0, "{:?}", loaded.diagnostics);
    loaded.program
}

fn core_arguments() -> Arguments<'static> {
    let mut args = Arguments::new();
    let (n, k) = (9usize, 5usize);
    let field = |f: &dyn Fn(usize) -> f64, count: usize| -> Vec<u8> {
        (0..count).flat_map(|at| f(at).to_le_bytes()).collect()
    };
    args.insert_array("u", Type::F64, 8, &[n, k], field(&|at| ((at * 7) % 11) as f64 - 4.0, n * k));
    args.insert_array("flux", Type::F64, 8, &[n, k], field(&|_| 0.0, n * k));
    args.insert_array("total", Type::F64, 8, &[n], field(&|_| 0.0, n));
    args.insert_scalar("N", Scalar::I64(n as i64));
    args.insert_scalar("K", Scalar::I64(k as i64));
    args
}

fn half(program: Program, engine: Engine, name: &str) -> Half {
    Half { program, args: core_arguments(), engine, name: name.to_owned() }
}

fn located(changed: &str, to: &str) -> Located {
    let right = half(core(changed, to), Engine::Interp, "after");
    locate(half(core("", ""), Engine::Interp, "before"), right).unwrap()
}

#[test]
fn a_wrong_tasklet_is_found_at_its_first_iteration() {
    let found = located("(a + b) * 0.25", "(a - b) * 0.25");
    let text = found.to_string();
    assert!(found.exact, "{text}");
    assert_eq!(found.innermost("state").unwrap().name, "average", "{text}");
    assert_eq!(found.innermost("state").unwrap().detail.split(' ').nth(1), Some("2"), "{text}");
    assert_eq!(found.innermost("tasklet").unwrap().name, "avg", "{text}");
    assert_eq!(found.found.container, "mean", "{text}");
    assert_eq!(found.found.index, [1, 1], "{text}");
    assert_eq!(found.values.len(), 2, "{text}");
    assert!(text.contains("where that comes from"), "{text}");
    assert!(text.contains("tasklet grad"), "{text}");
    assert!(text.contains("an input"), "{text}");
}

#[test]
fn a_wrong_memlet_and_a_dropped_resolution_are_found() {
    let memlet = located("b <- gradient[i, k-1]", "b <- gradient[i, k]");
    assert_eq!(memlet.innermost("tasklet").unwrap().name, "avg", "{memlet}");
    let dropped = located("total[i] += flux", "total[i] = flux");
    assert_eq!(dropped.innermost("state").unwrap().name, "sum", "{dropped}");
    assert_eq!(dropped.found.container, "total", "{dropped}");
}

#[test]
fn a_wrong_copy_and_a_wrong_range_are_found() {
    let copy = located("-> u[1:N-1, 1:K]", "-> u[0:N-2, 1:K]");
    assert_eq!(copy.innermost("copy").map(|place| place.name.as_str()), Some("flux -> u"), "{copy}");
    let range = located("map i in 1:N-1, k in 1:K { tasklet upd", "map i in 2:N-1, k in 1:K { tasklet upd");
    assert_eq!(range.innermost("state").unwrap().name, "update", "{range}");
    assert!(range.note.as_deref().is_some_and(|note| note.contains("ranges")), "{range}");
}

#[test]
fn a_loop_that_ends_early_is_found_in_control_flow() {
    let early = located("for step in 0:4", "for step in 0:3");
    assert!(!early.exact, "{early}");
    assert!(early.to_string().contains("the next state") || early.note.is_some(), "{early}");
}

#[test]
fn sides_that_agree_give_nothing_to_locate() {
    let error =
        locate(half(core("", ""), Engine::Interp, "interp"), half(core("", ""), Engine::Native, "native"));
    assert_eq!(error.unwrap_err().code, "P0435");
}

#[test]
fn mistakes_in_random_programs_are_located() {
    let (mut found, mut exact) = (0, 0);
    for seed in 0..400u64 {
        let generated: Generated = generate(&mut Choices::from_seed(seed), &Settings::default());
        let Ok(program) = generated.program() else { continue };
        let args = bind(&program, generated.inputs.clone()).unwrap();
        let mutants = Mutant::all();
        let mutant = mutants[(seed as usize * 7) % mutants.len()];
        if mutant.site == Site::Nested {
            continue;
        }
        let sides = [Side::engine(Engine::Interp), Side::mutated(mutant)];
        if !matches!(judge(&program, &args, [&sides[0], &sides[1]]), Verdict::Differ(_)) {
            continue;
        }
        found += 1;
        let halves = sides.map(|side| Half::of(&side, &program, &args).unwrap());
        let [left, right] = halves;
        let located = locate(left, right).unwrap_or_else(|error| panic!("seed {seed}, {mutant}: {error}"));
        assert!(!located.to_string().is_empty());
        exact += usize::from(located.exact);
    }
    assert!(found >= 15, "only {found} mistakes showed");
    // Wrong ranges, loops and branches have no tasklet to end at: 30 of 67 do.
    assert!(exact * 5 >= found * 2, "{exact} of {found} were found exactly");
}

#[test]
fn a_mistake_in_a_core_is_reduced_to_a_few_nodes() {
    let program = core("", "");
    let args = core_arguments();
    for (mistake, most) in
        [("TimesToPlus@Last", 4), ("DropResolution", 8), ("ReadOneEarlier", 6), ("PlusToMinus", 6)]
    {
        let mutant: Mutant = mistake.parse().unwrap();
        let sides = [Side::engine(Engine::Interp), Side::mutated(mutant)];
        let reduced = reduce(&program, &args, [&sides[0], &sides[1]], Duration::from_secs(60)).unwrap();
        let text = pel::print_brief(&reduced.failing.program);
        assert!(reduced.nodes <= most, "{mistake}: {} nodes\n{text}", reduced.nodes);
        assert!(!matches!(reduced.disagreement, Disagreement::Ends(..)), "{mistake}: {text}");
        // The case that is written shows the same.
        let folder = tempfile::tempdir().unwrap();
        let case = folder.path().join("small");
        reduced.save(&case, [&sides[0], &sides[1]], "pelton diff small").unwrap();
        let case = Case::open(&case).unwrap();
        let report =
            run_case(&case, &case.programs(false)[0], &How { engine: Engine::Interp, ..How::default() });
        assert_eq!(report.status, Status::Pass, "{mistake}: {}", report.detail);
    }
}

#[test]
fn mistakes_in_random_programs_are_reduced() {
    let (mut tried, mut large) = (0, Vec::new());
    for seed in (0..200u64).step_by(7) {
        let generated: Generated = generate(&mut Choices::from_seed(seed), &Settings::default());
        let program = generated.program().unwrap();
        let args = bind(&program, generated.inputs.clone()).unwrap();
        let mutants = Mutant::all();
        let mutant = mutants[(seed as usize * 5) % mutants.len()];
        let sides = [Side::engine(Engine::Interp), Side::mutated(mutant)];
        if !matches!(judge(&program, &args, [&sides[0], &sides[1]]), Verdict::Differ(_)) {
            continue;
        }
        tried += 1;
        let reduced = reduce(&program, &args, [&sides[0], &sides[1]], Duration::from_secs(20)).unwrap();
        assert!(reduced.nodes <= reduced.nodes_before, "seed {seed}, {mutant}");
        if reduced.nodes > 10 {
            let text = pel::print_brief(&reduced.failing.program);
            large.push(format!(
                "seed {seed}, {mutant}: {} of {} nodes\n{text}",
                reduced.nodes, reduced.nodes_before
            ));
        }
    }
    assert!(tried >= 3, "only {tried} mistakes showed");
    assert!(large.len() * 10 <= tried, "of {tried}, these did not become small:\n{}", large.join("\n"));
}

/// Runs the commands of the walkthrough; each line shown there has to come out, in that order.
#[test]
fn the_walkthrough_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("docs/finding-bugs.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root.join("examples"), folder.path().join("examples")).unwrap();
    let mut commands = 0;
    for block in text.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        let (command, expected) = block.split_once('\n').unwrap();
        let words: Vec<&str> = command.strip_prefix("$ pelton ").unwrap().split_whitespace().collect();
        let start = Instant::now();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_pelton"))
            .args(&words)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(start.elapsed() < Duration::from_secs(30), "`{command}` took {:?}", start.elapsed());
        let printed = String::from_utf8(output.stdout).unwrap();
        let mut lines = printed.lines();
        for line in expected.lines() {
            assert!(
                lines.any(|found| found.starts_with(line)),
                "`{command}` does not print\n{line}\nbut\n{printed}{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
        commands += 1;
    }
    assert_eq!(commands, 4);
}
