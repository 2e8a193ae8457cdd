//! The tools that find what is wrong: mistakes are planted, and have to be found at the place where they were planted.

use pelton::check::generate::{Choices, Settings, generate};
use pelton::check::locate::{Half, Located, locate, locate_recorded};
use pelton::check::mutate::{Mutant, Site};
use pelton::check::recorded::Recorded;
use pelton::check::reduce::reduce;
use pelton::check::side::{Side, Verdict, is_sound, judge};
use pelton::check::{Case, Disagreement, Generated, How, Status, Tolerance, run_case};
use std::path::Path;
use std::time::{Duration, Instant};

use pelton::exec::bind::{bind, unbind};
use pelton::exec::npz::FileArrays;
use pelton::exec::{Engine, Format, Mode};
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
    Half { program, args: core_arguments(), side: Side { name: name.to_owned(), ..Side::engine(engine) } }
}

fn located(changed: &str, to: &str) -> Located {
    let right = half(core(changed, to), Engine::Interp, "after");
    locate(half(core("", ""), Engine::Interp, "before"), right, None).unwrap()
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
    let error = locate(
        half(core("", ""), Engine::Interp, "interp"),
        half(core("", ""), Engine::Native, "native"),
        None,
    );
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
        let located =
            locate(left, right, None).unwrap_or_else(|error| panic!("seed {seed}, {mutant}: {error}"));
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
        let reduced = reduce(&program, &args, [&sides[0], &sides[1]], None, Duration::from_secs(60)).unwrap();
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
        let reduced = reduce(&program, &args, [&sides[0], &sides[1]], None, Duration::from_secs(20)).unwrap();
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

/// What a correct compiler's run of the core would have recorded: transients are arguments here, with garbage where nobody wrote, and
/// the loop ends early.
fn recording() -> FileArrays {
    let mut recording = FileArrays::new();
    let written = [("slope", "gradient"), ("average", "mean"), ("update", "flux"), ("back", "u")];
    for turns in 1..=4u64 {
        let text = CORE
            .replace("transient gradient: f64[N, K]\n  transient mean: f64[N, K]\n", "")
            .replace("(u: f64[N, K],", "(u: f64[N, K], gradient: f64[N, K], mean: f64[N, K],")
            .replace("in 0:4", &format!("in 0:{turns}"));
        let loaded = pelton::exec::load::finish(pel::parse(&text).unwrap(), Format::Pel, Vec::new());
        let mut args = core_arguments();
        for name in ["gradient", "mean"] {
            args.insert_array(name, Type::F64, 8, &[9, 5], vec![0x11; 9 * 5 * 8]);
        }
        let end = Half { program: loaded.program.clone(), args, side: Side::engine(Engine::Interp) }.run();
        let arrays = unbind(&loaded.program, &end.0, &|_| true);
        for (state, name) in written {
            recording.insert(format!("{state}/{name}#{}", turns - 1), arrays[name].clone());
        }
        if turns == 4 {
            recording.insert("total".to_owned(), arrays["total"].clone());
        }
    }
    recording
}

fn against_recording(
    recording: FileArrays,
    changed: &str,
    to: &str,
    tolerance: Option<Tolerance>,
) -> pelton::diag::Result<Located> {
    let recorded = Recorded::all(recording, &serde_json::Value::Null).unwrap();
    locate_recorded(half(core(changed, to), Engine::Native, "native"), &recorded, "their run", tolerance)
}

#[test]
fn a_recording_tells_the_state_and_the_tasklet() {
    let found = against_recording(recording(), "(a + b) * 0.25", "(a - b) * 0.25", None).unwrap();
    let text = found.to_string();
    assert!(found.exact, "{text}");
    assert!(text.starts_with("first difference (their run and native):"), "{text}");
    assert!(text.contains("`average/mean#0` is the first recorded array that differs (step 2)"), "{text}");
    assert!(text.contains("1 before it agree, the last of them `slope/gradient#0` (step 1)"), "{text}");
    assert_eq!(found.innermost("state").unwrap().name, "average", "{text}");
    assert_eq!(found.innermost("tasklet").unwrap().name, "avg", "{text}");
    assert_eq!((found.found.container.as_str(), &found.found.index[..]), ("mean", &[1, 1][..]), "{text}");
    assert_eq!(found.values.len(), 2, "{text}");
    assert!(text.contains("tasklet grad"), "{text}");
}

#[test]
fn a_difference_of_a_later_turn_is_found_there() {
    // The same values in the first turn, where `flux` was zero.
    let late = against_recording(recording(), "r - l) * 0.5", "r - l) * 0.5 + (step > 1) * 0.5", None);
    let late = late.unwrap().to_string();
    assert!(late.contains("`slope/gradient#2` is the first recorded array that differs (step 11)"), "{late}");
    assert!(late.contains("tasklet grad"), "{late}");
}

#[test]
fn an_element_that_nobody_wrote_is_told_as_such() {
    let range = "map i in 0:N, k in 0:K { total";
    let missing = against_recording(recording(), range, "map i in 2:N, k in 0:K { total", None).unwrap();
    assert!(!missing.exact, "{missing}");
    assert_eq!(
        (missing.found.container.as_str(), &missing.found.index[..]),
        ("total", &[1][..]),
        "{missing}"
    );
    assert!(missing.note.as_deref().is_some_and(|note| note.contains("nobody wrote")), "{missing}");
}

#[test]
fn recordings_have_to_fit_and_may_differ_within_a_tolerance() {
    let code = |recording, tolerance| against_recording(recording, "", "", tolerance).unwrap_err().code;
    assert_eq!(code(recording(), None), "P0435");
    let mut rounded = recording();
    for array in rounded.values_mut() {
        for word in array.bytes.chunks_exact_mut(8) {
            let value = f64::from_le_bytes(word.try_into().unwrap()) * (1.0 + 1e-14);
            word.copy_from_slice(&value.to_le_bytes());
        }
    }
    let near = Tolerance { relative: 1e-12, absolute: 0.0 };
    assert_eq!(code(rounded.clone(), Some(near)), "P0435");
    assert_eq!(against_recording(rounded, "", "", None).unwrap().found.container, "gradient");
    let one = recording()["total"].clone();
    for name in ["nowhere/total", "sum/nothing", "sum/total#4", "update/total", "sum/flux"] {
        let alone = FileArrays::from([(name.to_owned(), one.clone())]);
        let found = against_recording(alone, "", "", None);
        match name {
            // Its value at that time is another one than at the end.
            "update/total" => assert_eq!(found.unwrap().found.container, "total"),
            _ => assert_eq!(found.unwrap_err().code, "P0436", "{name}"),
        }
    }
}

#[test]
fn strict_and_fast_code_part_where_a_sum_is_reordered() {
    let text = "
program dot(a: f64[N], b: f64[N], c: f64[N], s: f64[1], N: i64 symbol) {
  state scale { map i in 0:N { c[i] = a[i] * 3.0 } }
  state sum { map i in 0:N { s[0] += c[i] * b[i] } }
}";
    let loaded = pelton::exec::load::finish(pel::parse(text).unwrap(), Format::Pel, Vec::new());
    let count = 1000usize;
    let mut args = Arguments::new();
    for (name, factor) in [("a", 0.1), ("b", 0.7), ("c", 0.0)] {
        let bytes = (0..count).flat_map(|at| ((at % 97) as f64 * factor + 0.3).to_le_bytes()).collect();
        args.insert_array(name, Type::F64, 8, &[count], bytes);
    }
    args.insert_array("s", Type::F64, 8, &[1], vec![0; 8]);
    args.insert_scalar("N", Scalar::I64(count as i64));
    let side = |mode: Mode| Side { name: mode.name().to_owned(), mode, ..Side::engine(Engine::Native) };
    let halves =
        || [Mode::Strict, Mode::Fast].map(|mode| Half::of(&side(mode), &loaded.program, &args).unwrap());
    let [strict, fast] = halves();
    let found = locate(strict, fast, None).unwrap();
    assert_eq!(found.innermost("state").unwrap().name, "sum", "{found}");
    assert_eq!(found.found.container, "s", "{found}");
    let [strict, fast] = halves();
    let near = Tolerance { relative: 1e-12, absolute: 0.0 };
    assert_eq!(locate(strict, fast, Some(near)).unwrap_err().code, "P0435");
}

/// A reduction may cut away what writes a container, but what then reads it must not be taken for the failure.
#[test]
fn what_is_reduced_stays_defined() {
    let text = "
program sums(a: f64[N], b: f64[N], N: i64 symbol) {
  transient t: f64[N]
  state one { map i in 0:N { t[i] = a[i] * 2.0 } }
  state two { map i in 0:N { tasklet add(x <- t[i], y <- a[i]) -> (o -> b[i]) { o = x + y } } }
}";
    let loaded = pelton::exec::load::finish(pel::parse(text).unwrap(), Format::Pel, Vec::new());
    let mut args = Arguments::new();
    let bytes = (0..6).flat_map(|at| f64::from(at + 1).to_le_bytes()).collect();
    args.insert_array("a", Type::F64, 8, &[6], bytes);
    args.insert_array("b", Type::F64, 8, &[6], vec![0; 48]);
    args.insert_scalar("N", Scalar::I64(6));
    let mutant: Mutant = "PlusToMinus".parse().unwrap();
    let sides = [Side::engine(Engine::Interp), Side::mutated(mutant)];
    let reduced =
        reduce(&loaded.program, &args, [&sides[0], &sides[1]], None, Duration::from_secs(60)).unwrap();
    assert!(is_sound(&reduced.failing.program, &reduced.failing.args));
    assert!(reduced.nodes <= 4, "{}", pel::print_brief(&reduced.failing.program));
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
