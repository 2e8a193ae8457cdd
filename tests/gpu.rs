//! Maps on a GPU against the interpreter. Without a device these tests say that they were skipped; software Vulkan
//! (`mesa-vulkan-drivers`) is enough of one.

mod common;
mod on_gpu;

use std::fmt::Write;

use pelton::back::gpu::{self, Abilities};
use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::exec::settings::Wishes;
use pelton::exec::{DeviceArray, Settings, synchronize};
use pelton::kernel::lower::{Specialization, lower};
use pelton::kernel::{parallel, verify};
use pelton::memory::{Arguments, Binding};
use pelton::scalar::{DType, Type};

use common::small::{doubles, program, read};
use on_gpu::prepared;

/// Whether there is a device; says so if not.
fn device() -> bool {
    match gpu::open() {
        Ok(_) => true,
        Err(problem) => {
            println!("skipped, because {}", problem.message);
            false
        }
    }
}

/// Runs on an engine; launches, notes.
fn run(text: &str, engine: Engine, args: &mut Arguments<'_>) -> (u64, Vec<String>) {
    let prepared = Prepared::new(&program(text), engine, false).unwrap();
    assert_eq!(prepared.engine(), engine, "{}", prepared.why());
    match prepared.run(args, &Options::default()) {
        Ok(Outcome::Done(stats)) => (prepared.launches().unwrap_or(0), stats.notes),
        Ok(Outcome::Trap(fault)) => panic!("{fault}"),
        Err(problem) => panic!("{problem}"),
    }
}

/// The WGSL of a program's maps, for a device that can do everything.
fn shaders(text: &str) -> String {
    let mut kernel = lower(&program(text), &Specialization::default()).unwrap().kernel;
    parallel::find_nests(&mut kernel);
    let shaders = gpu::shaders(&mut kernel, &Abilities::full());
    assert_eq!(verify::verify(&kernel), Ok(()));
    shaders.into_iter().fold(String::new(), |mut all, (_, text)| {
        let _ = writeln!(all, "{text}");
        all
    })
}

const POINTWISE: &str = "program pointwise(a: f64[N, M], b: f64[N, M]) {
    symbol N: i32
    symbol M: i32
    map i in 0:N, j in 0:M { b[i, j] = a[i, j] * 2.0 + 1.0 }
  }";

const STENCIL: &str = "program stencil(a: f64[N], b: f64[N]) {
    symbol N: i32
    map i in 1:N - 1 { b[i] = a[i - 1] - 2.0 * a[i] + a[i + 1] }
  }";

const EXPONENTIAL: &str = "program exponential(a: f64[N], b: f64[N]) {
    symbol N: i32
    map i in 0:N { b[i] = exp(a[i]) }
  }";

/// Values from elsewhere, by an index array.
const GATHER: &str = "program gather(a: f64[N], k: i32[M], b: f64[M]) {
    symbol N: i32
    symbol M: i32
    map i in 0:M { tasklet pick(all <- a[0:N], at <- k[i]) -> (out -> b[i]) { out = all[at] } }
  }";

/// Columns are spread over threads, and each goes down its column.
const SCAN: &str = "program scan(a: f64[N, K], b: f64[N, K]) {
    symbol N: i32
    symbol K: i32
    map i in 0:N {
      tasklet down(column <- a[i, 0:K]) -> (out: f64* -> b[i, 0:K]) {
        | total = 0.0
        | k = dace.int64(0)
        | while k < K:
        |     total = total + column[k]
        |     out[k] = total
        |     k = k + 1
      }
    }
  }";

/// Rows are spread over threads, and each sums its row from left to right.
const REDUCTION: &str = "program reduction(a: f64[N, M], s: f64[N]) {
    symbol N: i32
    symbol M: i32
    state main {
      from = access a
      sum = library sum \"dace.libraries.standard.nodes.reduce.Reduce\" () -> () properties @{\"wcr\":\"(lambda x, y: (x + y))\",\"axes\":[1],\"identity\":0}
      to = access s
      from -> sum : a[0:N, 0:M]
      sum -> to : s[0:N]
    }
  }";

/// Threads accumulate, workgroups combine, and one more workgroup combines their results.
const TOTAL: &str = "program total(a: i64[N, M], s: i64[1]) {
    symbol N: i32
    symbol M: i32
    map i in 0:N, j in 0:M { tasklet add(x <- a[i, j]) -> (y -> s[0] wcr \"lambda p, q: p + q\") { y = x } }
  }";

const SELECTION: &str = "program selection(a: f64[N], on: bool[N], b: f64[N], c: bool[N]) {
    symbol N: i32
    map i in 0:N {
      b[i] = a[i] if on[i] else -a[i]
      c[i] = a[i] > 0.5 and on[i]
    }
  }";

/// 8 and 16 bits lie in words that threads share; 64 bits are the device's.
const INTEGERS: &str =
    "program integers(a: i8[N], b: u16[N], c: i64[N], x: i8[N], y: u16[N], z: i64[N], f: f64[N]) {
    symbol N: i32
    map i in 0:N {
      x[i] = a[i] * 3
      y[i] = b[i] + a[i]
      z[i] = c[i] // 7
      f[i] = c[i]
    }
  }";

#[test]
fn shaders_read_well() {
    insta::assert_snapshot!("pointwise", shaders(POINTWISE));
    insta::assert_snapshot!("stencil", shaders(STENCIL));
    insta::assert_snapshot!("exponential", shaders(EXPONENTIAL));
    insta::assert_snapshot!("gather", shaders(GATHER));
    insta::assert_snapshot!("scan", shaders(SCAN));
    insta::assert_snapshot!("reduction", shaders(REDUCTION));
    insta::assert_snapshot!("total", shaders(TOTAL));
    insta::assert_snapshot!("selection", shaders(SELECTION));
    insta::assert_snapshot!("integers", shaders(INTEGERS));
}

/// Numbers of every magnitude, and special ones.
fn numbers() -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut numbers: Vec<f64> = vec![0.0, -0.0, 1.0, -1.0, 0.5, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    numbers.extend([f64::MAX, f64::MIN_POSITIVE, 709.78, -745.1, 1e-300, 5e-324]);
    for round in 0..4000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let any = f64::from_bits(state);
        // The whole range, what functions are mostly called with, and what lies around one.
        numbers.push(match round % 4 {
            0 => any,
            1 => (any.to_bits() % 200_000) as f64 / 1000.0 - 100.0,
            2 => (any.to_bits() % 4_000_000) as f64 / 1e6 - 2.0,
            _ => f64::from_bits((any.to_bits() & 0x800f_ffff_ffff_ffff) | (1003 + any.to_bits() % 40) << 52),
        });
    }
    numbers
}

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()
}

/// Where functions change: ends of their domains, results that overflow or vanish, and what lies beside 1 and -1.
fn edges() -> Vec<f64> {
    let mut edges =
        vec![1023.9, 1024.0, -1022.0, -1074.5, -1075.5, 88.7, -103.9, 710.4, 22.0, 1e6, -1e6, 1e154, 3e38];
    for power in 1..54 {
        let small = 0.5_f64.powi(power);
        edges.extend([1.0 + small, 1.0 - small, small - 1.0, -1.0 - small, small, -small]);
    }
    edges
}

const FUNCTIONS: [&str; 18] = [
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sinh", "cosh", "tanh", "asinh", "acosh",
    "atanh", "sqrt", "asin", "acos", "atan", "cbrt",
];

/// Compares expressions of `a` and `p`, of that type, on both engines, bit by bit; each is a map. The GPU also as one whose
/// driver may contract and regroup.
fn compare(ty: &str, bodies: &[String], inputs: &[f64]) {
    let (count, rows) = (inputs.len(), bodies.len());
    let mut text = format!("program f(a: {ty}[{count}], p: {ty}[{count}], b: {ty}[{rows}, {count}]) {{\n");
    for (row, body) in bodies.iter().enumerate() {
        let _ = writeln!(text, "  map i in 0:{count} {{ b[{row}, i] = {body} }}");
    }
    text.push('}');
    let mut second: Vec<f64> = inputs.to_vec();
    second.rotate_left(7);
    let bytes = |values: &[f64]| -> Vec<u8> {
        match ty {
            "f32" => values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    };
    let (element, size) = if ty == "f32" { (Type::Scalar(DType::F32), 4) } else { (Type::F64, 8) };
    let mut results = Vec::new();
    let lesser = [(false, false), (true, false), (false, true)];
    for (engine, (contracted, no_rounding)) in
        std::iter::once((Engine::Interp, lesser[0])).chain(lesser.map(|lesser| (Engine::Gpu, lesser)))
    {
        let gpu = Wishes { contracted, no_rounding, ..Wishes::default() };
        let mut args = Arguments::new();
        args.insert_array("a", element, size, &[count], bytes(inputs));
        args.insert_array("p", element, size, &[count], bytes(&second));
        args.insert_array("b", element, size, &[rows, count], vec![0; size * rows * count]);
        let prepared = prepared(&text, engine, Settings { gpu, ..Settings::default() });
        for map in prepared.divided().iter().flat_map(|divided| divided.maps()) {
            assert_eq!(map.host, None, "{bodies:?}");
        }
        let outcome = prepared.run(&mut args, &Options::default());
        let Ok(Outcome::Done(stats)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(stats.notes, Vec::<String>::new(), "{bodies:?}");
        assert_eq!(prepared.launches().unwrap_or(0) > 0, engine == Engine::Gpu, "{bodies:?}");
        let Some(Binding::Array { buffer, .. }) = args.get("b") else { panic!("no array b") };
        let found = args.buffers[*buffer].bytes();
        let numbers: Vec<f64> = match ty {
            "f32" => {
                found.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()).into()).collect()
            }
            _ => found.chunks(8).map(|eight| f64::from_le_bytes(eight.try_into().unwrap())).collect(),
        };
        results.push(numbers);
    }
    for (index, right) in results[0].iter().enumerate() {
        let (x, y) = (inputs[index % count], second[index % count]);
        let body = &bodies[index / count];
        for found in results[1..].iter().map(|result| result[index]) {
            assert!(same(*right, found), "{body} of {ty} {x:?}, {y:?}: {right:?}, on the GPU {found:?}");
        }
    }
}

/// Mesa regroups what it may, and does not where it is told so.
#[test]
fn contraction_is_forbidden_where_it_can_be() {
    if !device() {
        return;
    }
    let gpu = gpu::open().unwrap();
    let strict = gpu.abilities_for(Wishes::default()).unwrap();
    let contracted = gpu.abilities_for(Wishes { contracted: true, ..Wishes::default() }).unwrap();
    let fast = gpu.abilities_for(Wishes { fast: true, ..Wishes::default() }).unwrap();
    assert!(!contracted.uncontracted && !fast.uncontracted);
    if !strict.uncontracted {
        println!("skipped, because {} takes no SPIR-V", gpu.name);
        return;
    }
    for operation in [gpu::Operation::Kept, gpu::Operation::SingleApart, gpu::Operation::DoubleApart] {
        assert!(strict.is_right(operation), "{operation}");
    }
    if gpu.name.contains("llvmpipe") {
        assert!(!contracted.is_right(gpu::Operation::Kept));
    }
}

#[test]
fn functions_have_the_interpreters_bits_over_their_whole_range() {
    if !device() {
        return;
    }
    let of = |names: &[&str]| names.iter().map(|name| format!("{name}(a[i])")).collect::<Vec<_>>();
    let abilities = gpu::open().unwrap().abilities.clone();
    let mut all = numbers();
    all.extend(edges());
    for (ty, subnormal) in
        [("f64", gpu::Operation::DoubleSubnormal), ("f32", gpu::Operation::SingleSubnormal)]
    {
        if !abilities.is_right(subnormal) {
            all.retain(|x| !x.is_subnormal());
        }
        compare(ty, &of(&FUNCTIONS), &all);
        // NaN and what is larger is the interpreter's.
        let reducible: Vec<f64> = all.iter().copied().filter(|x| x.abs() <= 1e6).collect();
        compare(ty, &of(&["sin", "cos", "tan"]), &reducible);
        let of_two = [
            "a[i] ** p[i]",
            "atan2(a[i], p[i])",
            "a[i] / p[i] - a[i] * p[i]",
            "abs(a[i]) + floor(p[i]) * ceil(a[i])",
            "min(a[i], p[i]) - max(a[i], p[i])",
            "a[i] % p[i]",
            "fmod(a[i], p[i])",
            "round(a[i] * 0.5) + floor(a[i])",
            "fmin(a[i], p[i])",
            "fmax(p[i], a[i])",
            "a[i] * 0.0",
            "(a[i] * 0.0 + 0.0) * p[i]",
            "(0.0 - p[i] * 0.0) * a[i]",
            "a[i] * (p[i] * 0.0 - 0.0)",
            "a[i] - a[i]",
            "a[i] / a[i]",
            "1.0 if a[i] == a[i] else 0.0",
            "1.0 if a[i] != a[i] else 0.0",
            "1.0 if a[i] <= a[i] else 0.0",
        ];
        compare(ty, &of_two.map(str::to_owned), &all);
    }
}

/// Products, quotients, lengths, exponentials and roots of complex numbers of every magnitude, and special ones.
#[test]
fn complex_numbers_have_the_interpreters_bits() {
    if !device() {
        return;
    }
    let mut numbers = numbers();
    numbers.retain(|x| !x.is_subnormal());
    // Turns beyond the reduction are the interpreter's.
    let turns: Vec<f64> = numbers.iter().map(|x| if x.abs() <= 1e6 { *x } else { 0.75 }).collect();
    let n = numbers.len();
    let text = format!(
        "program f(a: c128[{n}], t: c128[{n}], b: c128[5, {n}], d: f64[{n}]) {{
           map i in 0:{n} {{ b[0, i] = a[i] * t[i] - conj(a[i]) }}
           map i in 0:{n} {{ b[1, i] = t[i] / a[i] }}
           map i in 0:{n} {{ b[2, i] = exp(t[i]) }}
           map i in 0:{n} {{ b[3, i] = sqrt(a[i]) }}
           map i in 0:{n} {{ d[i] = abs(a[i]) }}
         }}"
    );
    let pairs = |first: &[f64], second: &[f64]| -> Vec<u8> {
        let both = first.iter().zip(second.iter().rev());
        both.flat_map(|(x, y)| [x.to_le_bytes(), y.to_le_bytes()].concat()).collect()
    };
    let mut results = Vec::new();
    for engine in [Engine::Interp, Engine::Gpu] {
        let mut args = Arguments::new();
        let ty = Type::Scalar(DType::C128);
        args.insert_array("a", ty, 16, &[n], pairs(&numbers, &numbers));
        args.insert_array("t", ty, 16, &[n], pairs(&numbers, &turns));
        args.insert_array("b", ty, 16, &[5, n], vec![0; 80 * n]);
        doubles(&mut args, "d", &[n], &vec![0.0; n]);
        let prepared = Prepared::new(&program(&text), engine, false).unwrap();
        for map in prepared.divided().iter().flat_map(|divided| divided.maps()) {
            assert_eq!(map.host, None);
        }
        let outcome = prepared.run(&mut args, &Options::default());
        let Ok(Outcome::Done(stats)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(stats.notes, Vec::<String>::new());
        results.push([read(&args, "b"), read(&args, "d")].concat());
    }
    for (index, (right, found)) in results[0].iter().zip(&results[1]).enumerate() {
        assert!(same(*right, *found), "{index} of {n}: {right:?}, on the GPU {found:?}");
    }
}

#[test]
fn an_argument_beyond_the_reduction_is_computed_by_the_interpreter() {
    if !device() {
        return;
    }
    let text = "program f(a: f64[2], b: f64[2]) { map i in 0:2 { b[i] = sin(a[i]) } }";
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[2], &[1.0, 1e9]);
    doubles(&mut args, "b", &[2], &[0.0; 2]);
    let (_, notes) = run(text, Engine::Gpu, &mut args);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert_eq!(read(&args, "b"), [1.0_f64.sin(), 1e9_f64.sin()]);
}

/// The host reads what a map wrote, decides, and writes what the next map reads.
#[test]
fn host_and_device_see_each_others_results() {
    if !device() {
        return;
    }
    let text = "program steps(a: f64[8], n: f64[1]) {
        symbol t: i64
        for t in 0:5 {
          map i in 0:8 { a[i] = a[i] * 2.0 + n[0] }
          state count { n_in = access n  k = tasklet count (x) -> (y) { y = x + 1.0 }  n_out = access n
                        n_in -> k.x : n[0]  k.y -> n_out : n[0] }
        }
      }";
    let mut results = Vec::new();
    for engine in [Engine::Interp, Engine::Gpu] {
        let mut args = Arguments::new();
        doubles(&mut args, "a", &[8], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        doubles(&mut args, "n", &[1], &[0.5]);
        let (launches, _) = run(text, engine, &mut args);
        assert_eq!(launches, if engine == Engine::Gpu { 5 } else { 0 });
        results.push((read(&args, "a"), read(&args, "n")));
    }
    assert_eq!(results[0], results[1]);
}

/// What a program keeps from call to call is written on the device, and by the host, and read in the next call; its size
/// changes between calls, which clears it; a call stops after it has written it.
#[test]
fn what_is_kept_from_call_to_call_may_be_written_on_the_device() {
    if !device() {
        return;
    }
    let text = "program keep(a: f64[N], b: f64[N], at: i64[1]) {
        symbol N: i32
        transient sum: f64[N] lifetime(persistent)
        map i in 0:N { sum[i] = sum[i] + a[i] }
        state first { s_in = access sum  k = tasklet first (x) -> (y) { y = x * 2.0 }  s_out = access sum
                      s_in -> k.x : sum[0]  k.y -> s_out : sum[0] }
        map i in 0:N { b[i] = sum[i] + b[i] }
        state pick { s_in = access sum  at_in = access at  k = tasklet pick (all, i) -> (y) { y = all[i] }  b_out = access b
                     s_in -> k.all : sum[0:N]  at_in -> k.i : at[0]  k.y -> b_out : b[0] }
      }";
    let mut results = Vec::new();
    for engine in [Engine::Native, Engine::Gpu] {
        let prepared = Prepared::new(&program(text), engine, false).unwrap();
        for map in prepared.divided().iter().flat_map(|divided| divided.maps()) {
            assert_eq!(map.host, None);
        }
        let mut found = Vec::new();
        for (n, at) in [(8, 1), (8, 2), (8, 99), (8, 3), (5, 4), (5, 0), (8, 7)] {
            let mut args = Arguments::new();
            doubles(&mut args, "a", &[n], &(0..n).map(|i| i as f64 + 0.5).collect::<Vec<_>>());
            doubles(&mut args, "b", &[n], &vec![0.25; n]);
            args.insert_array("at", Type::Scalar(DType::I64), 8, &[1], (at as i64).to_le_bytes().to_vec());
            let outcome = prepared.run(&mut args, &Options::default());
            assert_eq!(matches!(outcome, Ok(Outcome::Trap(_))), at == 99, "{outcome:?}");
            // What a stopped call has written of its results does not count.
            found.push(if at == 99 { Vec::new() } else { read(&args, "b") });
        }
        assert_eq!(prepared.declined().unwrap_or(0), 0);
        results.push(found);
    }
    assert_eq!(results[0], results[1]);
}

/// Reasons name what keeps the loop itself, not what lies around it.
#[test]
fn maps_that_stay_on_the_host_say_why() {
    if !device() {
        return;
    }
    let text = "program why(a: f64[N, M], b: f64[N, M], s: f64[1], h: i64[1]) {
        symbol N: i32
        symbol M: i32
        map i in 0:N, j in 0:M { b[i, j] = erf(a[i, j]) }
        map k in 1:N { map l in 0:M { a[k, l] = a[k - 1, l] * 2.0 } }
        map m in 1:N { tasklet chain(x <- b[m - 1, 0]) -> (y -> b[m, 0]) { y = x + 1.0 } }
        map p in 0:N { tasklet add(x <- a[p, 0]) -> (y -> s[0] wcr \"lambda p, q: p + q\") { y = x } }
        map q in 0:N { tasklet add(x <- a[q, 0]) -> (y -> h[0] wcr \"lambda p, q: p + q\") { y = 1 } }
      }";
    let gpu = Prepared::new(&program(text), Engine::Gpu, false).unwrap();
    let told: Vec<(String, Option<String>, i64)> = gpu
        .divided()
        .unwrap()
        .maps()
        .iter()
        .map(|map| (map.parameter.clone(), map.host.clone(), map.least))
        .collect();
    insta::assert_debug_snapshot!("why_on_the_host", told);
}

/// Two arguments in one piece of memory: the order of the loop matters, and the host keeps it.
#[test]
fn overlapping_arguments_stay_on_the_host() {
    if !device() {
        return;
    }
    let text = "program shift(a: f64[4], b: f64[4]) { map i in 0:4 { b[i] = a[i] + 1.0 } }";
    let mut args = Arguments::new();
    doubles(&mut args, "whole", &[5], &[0.0; 5]);
    let Some(Binding::Array { buffer, ty, .. }) = args.get("whole").cloned() else { panic!("no array") };
    for (name, offset) in [("a", 0), ("b", 8)] {
        let binding = Binding::Array { buffer, offset, ty, shape: vec![4], strides: vec![8] };
        args.bindings.insert(name.to_owned(), binding);
    }
    args.bindings.shift_remove("whole");
    let (launches, _) = run(text, Engine::Gpu, &mut args);
    assert_eq!(launches, 0);
    assert_eq!(args.buffers[buffer].bytes()[32..40], 4.0_f64.to_le_bytes());
}

fn device_array(values: &[f64]) -> DeviceArray {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    DeviceArray::of(DType::F64, &[values.len()], &bytes).unwrap()
}

fn elements(array: &mut DeviceArray) -> Vec<f64> {
    let bytes = array.download().unwrap();
    bytes.chunks(8).map(|chunk| f64::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// Runs on device arrays `a` and `b`; the notes.
fn call(prepared: &Prepared, a: &mut DeviceArray, b: &mut DeviceArray) -> Vec<String> {
    let mut args = Arguments::new();
    a.bind("a", &mut args).unwrap();
    b.bind("b", &mut args).unwrap();
    match prepared.run(&mut args, &Options::default()) {
        Ok(Outcome::Done(stats)) => stats.notes,
        other => panic!("{other:?}"),
    }
}

const STEP: &str = "program step(a: f64[64], b: f64[64]) {
    map i in 1:63 { b[i] = a[i - 1] + 2.0 * a[i] + a[i + 1] }
    map i in 0:64 { a[i] = b[i] * 0.25 }
  }";

/// Calls on device arrays submit one batch each and copy nothing; other engines see the newest elements too.
#[test]
fn device_arrays_stay_on_the_device() {
    if !device() {
        return;
    }
    let start: Vec<f64> = (0..64).map(f64::from).collect();
    let (mut expected, mut scratch) = (start.clone(), vec![0.0; 64]);
    let oracle = Prepared::new(&program(STEP), Engine::Interp, false).unwrap();
    let mut once = || {
        let mut args = Arguments::new();
        doubles(&mut args, "a", &[64], &expected);
        doubles(&mut args, "b", &[64], &scratch);
        assert!(matches!(oracle.run(&mut args, &Options::default()), Ok(Outcome::Done(_))));
        (expected, scratch) = (read(&args, "a"), read(&args, "b"));
        (expected.clone(), scratch.clone())
    };
    let gpu = Prepared::new(&program(STEP), Engine::Gpu, false).unwrap();
    let (mut a, mut b) = (device_array(&start), device_array(&[0.0; 64]));
    let mut right = (Vec::new(), Vec::new());
    for _ in 0..5 {
        assert_eq!(call(&gpu, &mut a, &mut b), Vec::<String>::new());
        right = once();
    }
    assert_eq!(gpu.submissions(), Some(5));
    synchronize().unwrap();
    assert_eq!((elements(&mut a), elements(&mut b)), right);
    // The host's copy is current now, and the interpreter and machine code work on it.
    for engine in [Engine::Native, Engine::Interp, Engine::Gpu, Engine::Native] {
        let prepared = Prepared::new(&program(STEP), engine, false).unwrap();
        call(&prepared, &mut a, &mut b);
        right = once();
    }
    assert_eq!((elements(&mut a), elements(&mut b)), right);
    // Ordinary arrays are copied there and back: one batch and one copy.
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[64], &right.0);
    doubles(&mut args, "b", &[64], &right.1);
    gpu.run(&mut args, &Options::default()).unwrap();
    assert_eq!((read(&args, "a"), read(&args, "b")), once());
    assert_eq!(gpu.submissions(), Some(7));
}

/// A run that stops has changed `a` by then; the interpreter begins with what it held before.
#[test]
fn a_stopped_run_gives_device_arrays_back() {
    if !device() {
        return;
    }
    let text = "program stop(a: f64[4], b: f64[4]) {
        map i in 0:4 { a[i] = a[i] + 1.0 }
        map i in 0:4 { b[i] = sin(a[i]) * a[3 - i] }
      }";
    let prepared = Prepared::new(&program(text), Engine::Gpu, false).unwrap();
    let (mut a, mut b) = (device_array(&[0.5, 2.5, 1e9, -1.0]), device_array(&[0.0; 4]));
    for round in 1..3 {
        let notes = call(&prepared, &mut a, &mut b);
        assert_eq!(notes.len(), 1, "{notes:?}");
        let step = f64::from(round);
        assert_eq!(elements(&mut a), [0.5 + step, 2.5 + step, 1e9 + step, step - 1.0]);
    }
    let right = |x: f64, y: f64| pelton::scalar::math::sin(x) * y;
    assert_eq!(
        elements(&mut b),
        [right(2.5, 1.0), right(4.5, 1e9 + 2.0), right(1e9 + 2.0, 4.5), right(1.0, 2.5)]
    );
}

#[test]
fn device_arrays_have_their_limits() {
    if !device() {
        return;
    }
    let error = DeviceArray::zeros(DType::F64, &[usize::MAX, 3]).unwrap_err();
    assert_eq!(error.code, "P0804");
    let error = DeviceArray::of(DType::F64, &[3], &[0; 8]).unwrap_err();
    assert_eq!(error.code, "P0402");
    let mut none = DeviceArray::zeros(DType::F64, &[0]).unwrap();
    assert_eq!(none.download().unwrap(), [0_u8; 0]);
}
