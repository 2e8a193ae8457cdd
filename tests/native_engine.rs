//! The native engine beyond single results: faults, threads, many programs in one process.

mod common;

use std::sync::Arc;

use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::exec::{Mode, Settings, Tier};
use pelton::ir::Program;
use pelton::kernel::vector::{Decision, LoopReport};
use pelton::memory::{Arguments, Binding, Given, GivenArray};
use pelton::scalar::{DType, Scalar, Type};

use common::small::{self, doubles, read};

fn program(text: &str) -> Arc<Program> {
    Arc::new(small::program(text))
}

fn compiled(program: &Arc<Program>, settings: Settings) -> Prepared {
    let prepared = Prepared::with(Arc::clone(program), Engine::Native, false, settings).unwrap();
    assert_eq!(prepared.engine(), Engine::Native, "{}", prepared.why());
    prepared
}

fn with_threads(threads: usize) -> Settings {
    let usual = Settings::default();
    Settings { tier: Tier::Best, threads: Some(threads), always_split: true, any_sizes: true, ..usual }
}

fn done(outcome: Result<Outcome, pelton::Diagnostic>) -> Vec<String> {
    match outcome {
        Ok(Outcome::Done(stats)) => stats.notes,
        Ok(Outcome::Trap(fault)) => panic!("{fault}"),
        Err(problem) => panic!("{problem}"),
    }
}

/// Adds one in a column, then writes where `p` says, which machine code checks per dimension.
const LATE_CHECK: &str = "program late(a: f64[4, 4], at: i64[1]) {
    symbol k: i64
    for m in 0:4 { a[m, 0] = a[m, 0] + 1 }
    for n in 0:1 {
      state look { }
      state set { t = tasklet set () -> (y) { y = 7.0 }  out = access a  t.y -> out : a[0, k] }
      look -> set { k = at[0] }
    }
  }";

fn late_check(position: i64) -> (Result<Outcome, pelton::Diagnostic>, Vec<f64>) {
    let prepared = compiled(&program(LATE_CHECK), with_threads(1));
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[4, 4], &[0.0; 16]);
    args.insert_array("at", Type::Scalar(DType::I64), 8, &[1], position.to_le_bytes().to_vec());
    let outcome = prepared.run(&mut args, &Options::default());
    (outcome, read(&args, "a"))
}

#[test]
fn a_run_that_machine_code_stopped_is_judged_by_the_interpreter_on_arguments_as_they_were() {
    let (outcome, a) = late_check(2);
    assert!(done(outcome).is_empty());
    assert_eq!((a[2], a[4]), (7.0, 1.0));
    // Outside of the dimension, inside of the allocation: the unchecked interpreter goes there.
    let (outcome, a) = late_check(5);
    let notes = done(outcome);
    assert!(notes.iter().any(|note| note.contains("machine code stopped")), "{notes:?}");
    assert_eq!((a[5], a[4]), (7.0, 1.0), "the column was counted once");
    let (outcome, _) = late_check(99);
    assert!(matches!(outcome, Ok(Outcome::Trap(_))), "{outcome:?}");
}

const SMOOTH: &str = "program p(a: f64[N, M], b: f64[N, M], N: i64 symbol, M: i64 symbol) {
    map i in 1:N-1, j in 1:M-1 { b[i, j] = a[i-1, j] + a[i+1, j] * 0.3 + a[i, j-1] / (1 + a[i, j+1]) }
  }";

fn smooth(prepared: &Prepared) -> Vec<f64> {
    let (n, m) = (37, 53);
    let values: Vec<f64> = (0..n * m).map(|k| f64::from((k * 7919) % 1009) / 17.0).collect();
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[n as usize, m as usize], &values);
    doubles(&mut args, "b", &[n as usize, m as usize], &vec![0.0; values.len()]);
    assert!(done(prepared.run(&mut args, &Options::default())).is_empty());
    read(&args, "b")
}

#[test]
fn the_number_of_threads_does_not_show_in_results() {
    let program = program(SMOOTH);
    let expected = smooth(&compiled(&program, with_threads(1)));
    assert!(expected.iter().any(|value| *value != 0.0));
    for threads in [2, 3, 5, 64] {
        assert_eq!(smooth(&compiled(&program, with_threads(threads))), expected, "{threads} threads");
    }
}

#[test]
fn programs_are_called_from_many_threads_at_once() {
    let prepared = compiled(&program(SMOOTH), with_threads(2));
    let expected = smooth(&prepared);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(smooth(&prepared), expected)));
        }
    });
}

fn reason(text: &str) -> Option<&'static str> {
    compiled(&program(text), with_threads(2)).compiled().unwrap().loops().first().unwrap().serial
}

#[test]
fn only_loops_whose_iterations_are_apart_are_split() {
    assert_eq!(reason(SMOOTH), None);
    assert_eq!(reason("program p(a: f64[8]) { map i in 0:8 { a[i] = a[i] * 2 } }"), None);
    // Each iteration reads what its neighbour writes.
    let shifted = "program p(a: f64[9]) { map i in 0:8 { a[i] = a[i+1] * 2 } }";
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[9], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let prepared = compiled(&program(shifted), with_threads(4));
    assert!(done(prepared.run(&mut args, &Options::default())).is_empty());
    assert_eq!(read(&args, "a"), [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 8.0]);
    // Conflicts are resolved in the interpreter's order.
    let sum = "program p(a: f64[8], s: f64[1]) { map i in 0:8 { s[0] += a[i] } }";
    assert_eq!(reason(sum), Some("iterations write to the same place"));
}

/// Nothing decides at run time what can only have one answer.
#[test]
fn programs_that_run_on_one_thread_have_no_loops_to_split() {
    let settings = Settings { threads: Some(1), any_sizes: true, ..Settings::default() };
    let prepared = compiled(&program(SMOOTH), settings);
    let loops = prepared.compiled().unwrap().loops();
    assert!(loops.iter().all(|report| report.serial == Some("the program runs on one thread")), "{loops:?}");
}

#[test]
fn arguments_by_position_give_what_arguments_by_name_give() {
    let prepared = compiled(&program(SMOOTH), with_threads(1));
    let names: Vec<&str> = prepared.names().iter().map(String::as_str).collect();
    assert_eq!(names, ["a", "b", "N", "M"]);
    let expected = smooth(&prepared);
    let mut a: Vec<f64> = (0..37 * 53).map(|k| f64::from((k * 7919) % 1009) / 17.0).collect();
    let mut b = vec![0.0_f64; a.len()];
    let (shape, strides) = ([37, 53], [53 * 8, 8]);
    let array = |values: &mut Vec<f64>| {
        let address = values.as_mut_ptr().cast();
        Given::Array(GivenArray { address, ty: Type::F64, shape: &shape, strides: &strides })
    };
    let given = [array(&mut a), array(&mut b), Given::Absent, Given::Number(Scalar::I64(53))];
    // SAFETY: both arrays are ours, in that layout.
    assert!(done(unsafe { prepared.run_given(&given, &Options::default()) }).is_empty());
    assert_eq!(b, expected);
}

/// Bytes of memory that this process has resident.
fn resident() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split_whitespace().nth(1)?.parse::<usize>().ok().map(|pages| pages * 4096)
}

#[test]
fn code_is_freed_with_its_program() {
    let program = program(SMOOTH);
    let settings = Settings { tier: Tier::Fast, ..with_threads(1) };
    let make = |count: usize| (0..count).for_each(|_| drop(smooth(&compiled(&program, settings))));
    make(100);
    let Some(before) = resident() else { return };
    make(1000);
    let after = resident().unwrap_or(before);
    // A thousand programs hold several pages each while they live.
    assert!(after.saturating_sub(before) < 3 << 20, "{before} bytes before, {after} after");
}

#[test]
fn a_fold_into_what_nobody_wrote_starts_the_same_in_every_call() {
    let text = r#"program fold(a: f64[3], b: f64[1]) {
        transient most: f64[1]
        state main {
            n0 = access a
            n1 = library fold "dace.libraries.standard.nodes.reduce.Reduce" () -> () properties @{"wcr":"lambda x, y: max(x, y)","axes":[0],"identity":null}
            n2 = access most
            n3 = access b
            n0 -> n1 : a[0:3]
            n1 -> n2 : most[0]
            n2 -> n3 : most[0]
        }
    }"#;
    let program = program(text);
    let interpreted = Prepared::new(&program, Engine::Interp, false).unwrap();
    let compiled = compiled(&program, Settings::default());
    for values in [[3.0, 5.0, 2.0], [-3.0, -5.0, -2.0]] {
        let results = [&interpreted, &compiled].map(|prepared| {
            let mut args = Arguments::default();
            doubles(&mut args, "a", &[3], &values);
            doubles(&mut args, "b", &[1], &[0.0]);
            done(prepared.run(&mut args, &Options::default()));
            read(&args, "b")
        });
        assert_eq!(results[0], results[1], "{values:?}");
    }
}

#[test]
fn calls_raise_the_tier_and_give_the_same_bits() {
    let program = program(SMOOTH);
    // Code for any sizes, so that codes can be told by their lengths.
    let settings = Settings { any_sizes: true, ..Settings::default() };
    let auto = Prepared::with(Arc::clone(&program), Engine::Auto, false, settings).unwrap();
    assert_eq!(auto.engine(), Engine::Native);
    assert!(auto.compiled().is_none(), "nothing was called");
    let expected = smooth(&compiled(&program, with_threads(1)));
    let call = |prepared: &Prepared, rows: usize| {
        let values: Vec<f64> = (0..rows * 53).map(|k| ((k * 7919) % 1009) as f64 / 17.0).collect();
        let mut args = Arguments::new();
        doubles(&mut args, "a", &[rows, 53], &values);
        doubles(&mut args, "b", &[rows, 53], &vec![0.0; values.len()]);
        (done(prepared.run(&mut args, &Options::default())), read(&args, "b"))
    };
    // Calls on little are interpreted, and say so; who calls again gets machine code.
    let mut tiers = Vec::new();
    for number in 1..=10 {
        let (notes, found) = call(&auto, if number == 1 { 3 } else { 4 });
        let code = auto.compiled().map(|code| code.code_bytes());
        assert_eq!(notes.iter().any(|note| note.contains("cheaper")), code.is_none(), "{notes:?}");
        if number > 1 {
            tiers.push((code, found));
        }
    }
    assert!(tiers.iter().all(|(_, found)| *found == tiers[0].1));
    let codes: Vec<_> = tiers.into_iter().map(|(code, _)| code).collect();
    let best = compiled(&program, Settings { tier: Tier::Best, ..settings });
    let best = best.compiled().map(|code| code.code_bytes());
    assert_eq!(codes[0], None);
    assert!(codes[1..].iter().all(|code| *code == best), "{codes:?}");
    assert_eq!(call(&auto, 37).1, expected);
    // Much work takes the best tier at once.
    let much = Prepared::with(program.clone(), Engine::Auto, false, settings).unwrap();
    call(&much, 20_000);
    assert_eq!(much.compiled().map(|code| code.code_bytes()), best);
    // Who asks for machine code gets it, whatever the work.
    let native = Prepared::new(&program, Engine::Native, false).unwrap();
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[3, 53], &[1.0; 159]);
    doubles(&mut args, "b", &[3, 53], &[0.0; 159]);
    assert!(done(native.run(&mut args, &Options::default())).is_empty());
    assert!(native.compiled().is_some());
}

/// Code is made for the sizes of the first call; then for what the next one has in common with it; then for any.
#[test]
fn code_is_made_for_the_sizes_of_calls() {
    let program = program(SMOOTH);
    let interp = Prepared::new(&program, Engine::Interp, false).unwrap();
    for engine in [Engine::Native, Engine::Auto] {
        let settings = Settings { threads: Some(1), ..Settings::default() };
        let prepared = Prepared::with(Arc::clone(&program), engine, false, settings).unwrap();
        let mut codes = Vec::new();
        // The first calls on little are interpreted by `auto`.
        let warm = if engine == Engine::Auto { [[3, 53]; 2].as_slice() } else { &[] };
        let calls = [[3, 53], [3, 53], [4, 53], [9, 53], [4, 53], [3, 53], [5, 60], [2, 7], [9, 53], [1, 53]];
        for &[rows, columns] in warm.iter().chain(&calls) {
            let values: Vec<f64> = (0..rows * columns).map(|k| ((k * 7919) % 1009) as f64 / 17.0).collect();
            let call = |prepared: &Prepared| {
                let mut args = Arguments::new();
                doubles(&mut args, "a", &[rows, columns], &values);
                doubles(&mut args, "b", &[rows, columns], &vec![0.0; values.len()]);
                done(prepared.run(&mut args, &Options::default()));
                read(&args, "b")
            };
            assert_eq!(call(&prepared), call(&interp), "{rows} x {columns} on {engine}");
            codes.push(prepared.compiled().map(|code| code.code_bytes()));
        }
        let codes = &codes[warm.len()..];
        let same = |codes: &[Option<usize>]| codes.iter().all(|code| *code == codes[0]);
        let [first, second, rest] = [&codes[..2], &codes[2..6], &codes[6..]];
        assert!(codes[0].is_some() && same(first) && same(second) && same(rest), "{codes:?}");
        assert!(codes[0] != codes[2] && codes[2] != codes[6], "other code each time: {codes:?}");
        let general = compiled(&program, Settings { any_sizes: true, tier: Tier::Best, ..settings });
        assert_eq!(codes[9], general.compiled().map(|code| code.code_bytes()));
    }
}

/// Vector code takes for granted that arguments are apart. Calls for which that is wrong get other code, and the order
/// of their loops; calls after them get the first code again.
#[test]
fn calls_whose_arguments_share_memory_keep_the_order_of_loops() {
    let one = "program shift(a: f64[40], b: f64[40]) { map i in 0:40 { b[i] = a[i] + 1.0 } }";
    let fused = "program shift(a: f64[40], b: f64[40]) {
        transient t: f64[40]
        map i in 0:40 { t[i] = a[i] + 0.5 }
        map i in 0:40 { b[i] = t[i] + 0.5 }
    }";
    for text in [one, fused] {
        for threads in [1, 2] {
            let prepared = compiled(&program(text), with_threads(threads));
            let reference = Prepared::shared(program(text), Engine::Interp, false).unwrap();
            for distance in [40, 1, 3, 40, 0] {
                let results = [&prepared, &reference].map(|prepared| {
                    let mut args = Arguments::new();
                    let values: Vec<f64> = (0..80).map(f64::from).collect();
                    doubles(&mut args, "whole", &[80], &values);
                    let Some(Binding::Array { buffer, ty, .. }) = args.get("whole").cloned() else {
                        panic!("no array")
                    };
                    for (name, offset) in [("a", 0), ("b", 8 * distance)] {
                        let binding =
                            Binding::Array { buffer, offset, ty, shape: vec![40], strides: vec![8] };
                        args.bindings.insert(name.to_owned(), binding);
                    }
                    let whole = args.bindings.shift_remove("whole").unwrap();
                    let notes = done(prepared.run(&mut args, &Options::default()));
                    assert!(!notes.iter().any(|note| note.contains("interpreted")), "{notes:?}");
                    args.bindings.insert("whole".to_owned(), whole);
                    read(&args, "whole")
                });
                assert_eq!(results[0], results[1], "{threads} threads, {distance} apart");
            }
        }
    }
}

fn fast_on_one_thread() -> Settings {
    Settings { tier: Tier::Best, mode: Mode::Fast, threads: Some(1), ..Settings::default() }
}

/// A scaled matrix, what stands between, and its product with a vector or a matrix.
fn scaled_product(scale: &str, between: &str, nodes: &str) -> String {
    format!(
        "program p(A: f64[N, N], B: f64[N, N], x: f64[N], y: f64[N], C: f64[N, N], a: f64, N: i64 symbol) {{
          transient T: f64[N, N]
          {scale}
          {between}
          state main {{
            t = access T
            v = access x
            b = access B
            w = access y
            c = access C
            m = library matmul \"dace.libraries.blas.nodes.matmul.MatMul\" (_a, _b) -> (_c)
            {nodes}
          }}
        }}"
    )
}

/// How many loops of maps there are in the code of a program in fast mode, whose results are close to the interpreter's.
fn map_loops(text: &str) -> usize {
    let program = program(text);
    let prepared = compiled(&program, fast_on_one_thread());
    let oracle = Prepared::with(Arc::clone(&program), Engine::Interp, false, Settings::default()).unwrap();
    for n in [0, 1, 2, 9, 40] {
        let mut results = Vec::new();
        for engine in [&prepared, &oracle] {
            let mut args = Arguments::new();
            let matrix: Vec<f64> = (0..n * n).map(|k| ((k * 37) % 11) as f64 - 4.5).collect();
            let vector: Vec<f64> = (0..n).map(|k| ((k * 29) % 7) as f64 - 2.5).collect();
            doubles(&mut args, "A", &[n, n], &matrix);
            doubles(&mut args, "B", &[n, n], &matrix.iter().map(|x| x * x - 3.0).collect::<Vec<f64>>());
            doubles(&mut args, "x", &[n], &vector);
            doubles(&mut args, "y", &[n], &vector);
            doubles(&mut args, "C", &[n, n], &matrix);
            args.insert_scalar("a", Scalar::F64(0.3));
            args.insert_scalar("N", Scalar::I64(n as i64));
            assert!(done(engine.run(&mut args, &Options::default())).is_empty());
            results.push(["A", "y", "C"].map(|name| read(&args, name)).concat());
        }
        for (x, y) in results[0].iter().zip(&results[1]) {
            assert!((x - y).abs() <= 1e-9 * (1.0 + y.abs()), "{x} is not {y} for {n} in\n{text}");
        }
    }
    prepared.compiled().unwrap().loops().len()
}

#[test]
fn a_factor_of_a_matrix_becomes_one_of_its_product_where_nothing_else_sees_it() {
    let plain = "map i in 0:N, j in 0:N { T[i, j] = a * A[i, j] }";
    let vector = "t -> m._a : T[0:N, 0:N]  v -> m._b : x[0:N]  m._c -> w : y[0:N]";
    let folded = |scale: &str, between: &str, nodes: &str| map_loops(&scaled_product(scale, between, nodes));
    assert_eq!(folded(plain, "", vector), 0);
    let turned = "t -> m._b : T[0:N, 0:N]  v -> m._a : x[0:N]  m._c -> w : y[0:N]";
    assert_eq!(folded(plain, "", turned), 0);
    let matrix = "t -> m._b : T[0:N, 0:N]  b -> m._a : B[0:N, 0:N]  m._c -> c : C[0:N, 0:N]";
    assert_eq!(folded(plain, "", matrix), 0);
    let onto_itself = "t -> m._a : T[0:N, 0:N]  b -> m._b : B[0:N, 0:N]  m._c -> c : C[0:N, 0:N]";
    assert_eq!(folded("map i in 0:N, j in 0:N { T[i, j] = C[i, j] * a }", "", onto_itself), 0);
    // Another layout than the matrix has.
    assert!(folded("map i in 0:N, j in 0:N { T[j, i] = a * A[i, j] }", "", vector) >= 2);
    // A factor for each row, another operation, something more.
    assert!(folded("map i in 0:N, j in 0:N { T[i, j] = x[i] * A[i, j] }", "", vector) >= 2);
    assert!(folded("map i in 0:N, j in 0:N { T[i, j] = a + A[i, j] }", "", vector) >= 2);
    assert!(folded("map i in 0:N, j in 0:N { T[i, j] = a * A[i, j] + 1.0 }", "", vector) >= 2);
    // The matrix changes in between, or may.
    assert!(folded(plain, "map k in 0:N { A[k, 0] = 7.0  x[k] = 1.5 }", vector) >= 3);
    assert!(folded(plain, "map k in 0:N { C[k, 0] = 7.0  x[k] = 1.5 }", vector) >= 3);
    // Somebody else reads or writes the scaled one.
    let twice = format!(
        "{vector}  n = library matmul \"dace.libraries.blas.nodes.matmul.MatMul\" (_a, _b) -> (_c)
         t -> n._b : T[0:N, 0:N]  b -> n._a : B[0:N, 0:N]  n._c -> c : C[0:N, 0:N]"
    );
    assert!(folded(plain, "", &twice) >= 2);
    assert!(folded(plain, "map k in 0:N { T[k, 0] = 2.0 }", vector) >= 3);
}

/// Dot products of rows and columns up to the diagonal, through views whose extents are loop variables.
const TRIANGLE: &str = "program p(A: f64[N, N], N: i64 symbol, M: i64 symbol, K: i64 symbol) {
    symbol i: i64
    symbol j: i64
    transient view row: f64[j]
    transient view column: f64[j] strides (N)
    transient s: f64[1]
    for i in 0:M {
      for j in 0:i+K {
        state dot {
          a = access A
          b = access A
          r = access row
          c = access column
          d = library dot \"dace.libraries.blas.nodes.dot.Dot\" (_x, _y) -> (_result)
          o = access s
          a -> r.views : A[i, 0:j] other [0:j]
          b -> c.views : A[0:j, j] other [0:j]
          r -> d._x : row[0:j]
          c -> d._y : column[0:j]
          d._result -> o : s[0]
        }
        A[i, j] = (A[i, j] - s[0]) / A[j, j]
      }
    }
  }";

/// Views are checked in front of the loops that move them: what fits runs as machine code, what does not is told.
#[test]
fn views_that_loops_move_are_checked_for_all_iterations() {
    let program = program(TRIANGLE);
    let oracle = Prepared::with(Arc::clone(&program), Engine::Interp, false, Settings::default()).unwrap();
    for mode in [Mode::Strict, Mode::Fast] {
        let prepared = compiled(&program, Settings { mode, ..fast_on_one_thread() });
        let n = 43;
        for (m, k) in [
            (0, 0),
            (1, 0),
            (2, 0),
            (n, 0),
            (n - 7, 7),
            (n, -5),
            (n, 1),
            (n + 1, 0),
            (3, n),
            (-4, 2),
            (1, -9),
        ] {
            let call = |engine: &Prepared| {
                let mut args = Arguments::new();
                let of = |at: usize| {
                    if at.is_multiple_of(n as usize + 1) { 97.0 } else { ((at * 31) % 13) as f64 }
                };
                doubles(
                    &mut args,
                    "A",
                    &[n as usize; 2],
                    &(0..(n * n) as usize).map(of).collect::<Vec<f64>>(),
                );
                for (name, value) in [("N", n), ("M", m), ("K", k)] {
                    args.insert_scalar(name, Scalar::I64(value));
                }
                let outcome = engine.run(&mut args, &Options::default()).unwrap();
                let notes = match &outcome {
                    Outcome::Done(stats) => Some(stats.notes.clone()),
                    Outcome::Trap(_) => None,
                };
                (notes, read(&args, "A"))
            };
            let ((notes, found), (expected_notes, expected)) = (call(&prepared), call(&oracle));
            let fits = m + k <= n + 1 && m <= n;
            assert_eq!(notes.is_some(), expected_notes.is_some(), "{m} {k}");
            if fits {
                assert_eq!(notes, Some(Vec::new()), "{m} {k}: it fits");
            }
            for (x, y) in found.iter().zip(&expected) {
                let near = mode == Mode::Fast && (x - y).abs() <= 1e-9 * (1.0 + y.abs());
                assert!(x.to_bits() == y.to_bits() || near, "{mode:?} {m} {k}: {x} is not {y}");
            }
        }
    }
}

/// Small products in loops are loops, larger ones calls: each size that a program meets gives the interpreter's bits.
#[test]
fn products_in_loops_of_all_sizes_give_the_interpreters_bits() {
    for (ty, bytes, factor) in [("f64", 8, ""), ("f64", 8, "properties @{\"alpha\":0.3}"), ("c128", 16, "")] {
        let text = format!(
            "program p(A: {ty}[N, N], B: {ty}[N, N], C: {ty}[L, N, N], N: i64 symbol, L: i64 symbol) {{
              symbol k: i64
              for k in 0:L {{
                state main {{
                  a = access A
                  b = access B
                  c = access C
                  m = library matmul \"dace.libraries.blas.nodes.matmul.MatMul\" (_a, _b) -> (_c) {factor}
                  a -> m._a : A[0:k, 0:k]
                  b -> m._b : B[0:k, 0:N]
                  m._c -> c : C[k, 0:k, 0:N]
                }}
              }}
            }}"
        );
        let program = program(&text);
        let prepared = compiled(&program, with_threads(1));
        let fast = compiled(&program, Settings { mode: Mode::Fast, ..with_threads(1) });
        for prepared in [&prepared, &fast] {
            // Results side by side are computed together; numbers of the right matrix that are summed lie apart.
            let vectors = prepared.compiled().unwrap().vectors().to_vec();
            let is_chosen = |report: &LoopReport| {
                matches!(report.decision, Decision::Vector { .. }) && report.writes == ["C"]
            };
            assert!(vectors.iter().any(is_chosen), "{vectors:?}");
        }
        let oracle =
            Prepared::with(Arc::clone(&program), Engine::Interp, false, Settings::default()).unwrap();
        for n in [3_usize, 12] {
            let numbers = |count: usize, seed: usize| -> Vec<u8> {
                let number = |k: usize| ((k * seed) % 1009) as f64 / 17.0 - 21.0;
                (0..count * bytes / 8).flat_map(|k| number(k).to_le_bytes()).collect()
            };
            let mut results = Vec::new();
            for engine in [&prepared, &oracle, &fast] {
                let mut args = Arguments::new();
                let element = Type::Scalar(if bytes == 8 { DType::F64 } else { DType::C128 });
                args.insert_array("A", element, bytes, &[n, n], numbers(n * n, 7919));
                args.insert_array("B", element, bytes, &[n, n], numbers(n * n, 6007));
                args.insert_array("C", element, bytes, &[n, n, n], vec![0; n * n * n * bytes]);
                assert!(done(engine.run(&mut args, &Options::default())).is_empty());
                results.push(read(&args, "C"));
            }
            let bits = |results: &[f64]| results.iter().map(|x| x.to_bits()).collect::<Vec<u64>>();
            assert_eq!(bits(&results[0]), bits(&results[1]), "{ty}, {n} {factor}");
            for (x, y) in results[2].iter().zip(&results[1]) {
                assert!((x - y).abs() <= 1e-9 * (1.0 + y.abs()), "{x} is not {y} for {ty}, {n} {factor}");
            }
        }
    }
}

/// What only one branch of a nested graph in a map reads is computed for every iteration. That is no loss where lanes run both
/// sides of a branch: the loop is vector code with the value in front of the branch, and with the value in it.
#[test]
fn branches_of_nested_graphs_in_maps_run_on_lanes() {
    let text = |front: &str, value: &str| {
        format!(
            "program p(a: f64[N], b: f64[N], c: f64[N], N: i64 symbol) {{
              transient t: f64
              state main {{
                n0 = access a
                n1 = access b
                n2 = access c
                e = map_entry m [i in 0:N]
                w = tasklet work (x) -> (o) {{ o = {front} }}
                n3 = access t
                g = nested inner (v, k) -> (r) graph inner(v: f64, k: f64, r: f64) {{
                  if k > 0.5 {{ state yes {{ r = {value} }} }} else {{ state no {{ r = 0.25 }} }}
                }}
                x = map_exit m of e
                n0 -> e.IN_a : a[0:N]
                n1 -> e.IN_b : b[0:N]
                e.OUT_a -> w.x : a[i]
                w.o -> n3 : t[0]
                n3 -> g.v : t[0]
                e.OUT_b -> g.k : b[i]
                g.r -> x.IN_c : c[i]
                x.OUT_c -> n2 : c[0:N]
              }}
            }}"
        )
    };
    for text in [text("x * x + 1.5", "v"), text("x", "v * v + 1.5")] {
        let program = program(&text);
        let prepared = compiled(&program, Settings { threads: Some(1), ..with_threads(1) });
        let oracle =
            Prepared::with(Arc::clone(&program), Engine::Interp, false, Settings::default()).unwrap();
        let results = [&prepared, &oracle].map(|engine| {
            let mut args = Arguments::new();
            let values: Vec<f64> = (0..37).map(|n| f64::from(n * 29 % 17) / 7.0 - 1.0).collect();
            ["a", "b", "c"].iter().for_each(|name| doubles(&mut args, name, &[37], &values));
            args.insert_scalar("N", Scalar::I64(37));
            assert!(done(engine.run(&mut args, &Options::default())).is_empty());
            read(&args, "c")
        });
        assert_eq!(results[0], results[1], "{text}");
        let loops = prepared.compiled().unwrap().loops();
        assert!(!loops.is_empty(), "{text}");
        // Vectors of 256 bits have no masks for branches.
        for report in loops.iter().filter(|_| pelton::back::native::wide::usual_bits() == 512) {
            assert!(matches!(report.vectors, Some(Decision::Vector { .. })), "{report:?}");
        }
    }
}
