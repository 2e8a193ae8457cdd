//! Maps on a GPU against the interpreter. Without a device these tests say that they were skipped; software Vulkan
//! (`mesa-vulkan-drivers`) is enough of one.

mod common;

use std::fmt::Write;

use pelton::back::gpu::{self, Abilities};
use pelton::exec::engine::{Engine, Options, Outcome, Prepared};
use pelton::kernel::lower::{Specialization, lower};
use pelton::kernel::{parallel, verify};
use pelton::memory::{Arguments, Binding};

use common::small::{doubles, program, read};

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

#[test]
fn shaders_read_well() {
    insta::assert_snapshot!("pointwise", shaders(POINTWISE));
    insta::assert_snapshot!("stencil", shaders(STENCIL));
    insta::assert_snapshot!("exponential", shaders(EXPONENTIAL));
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

/// Compares a function of `a` and `p` on both engines, bit by bit.
fn compare(body: &str, inputs: &[f64]) {
    let count = inputs.len();
    let text = format!(
        "program f(a: f64[{count}], p: f64[{count}], b: f64[{count}]) {{ map i in 0:{count} {{ b[i] = {body} }} }}"
    );
    let mut results = Vec::new();
    let mut second: Vec<f64> = inputs.to_vec();
    second.rotate_left(7);
    for engine in [Engine::Interp, Engine::Gpu] {
        let mut args = Arguments::new();
        doubles(&mut args, "a", &[count], inputs);
        doubles(&mut args, "p", &[count], &second);
        doubles(&mut args, "b", &[count], &vec![0.0; count]);
        let (launches, notes) = run(&text, engine, &mut args);
        assert_eq!(notes, Vec::<String>::new(), "{body}");
        assert_eq!(launches, u64::from(engine == Engine::Gpu), "{body}");
        results.push(read(&args, "b"));
    }
    for (index, (right, found)) in results[0].iter().zip(&results[1]).enumerate() {
        let (x, y) = (inputs[index], second[index]);
        assert!(same(*right, *found), "{body} of {x:?}, {y:?}: {right:?}, on the GPU {found:?}");
    }
}

#[test]
fn functions_have_the_interpreters_bits_over_their_whole_range() {
    if !device() {
        return;
    }
    let subnormal_is_right = gpu::open().unwrap().abilities.is_right(gpu::Operation::DoubleSubnormal);
    let mut all = numbers();
    if !subnormal_is_right {
        all.retain(|x| !x.is_subnormal());
    }
    for name in ["exp", "log", "log10", "log2", "log1p", "expm1", "sqrt", "sinh", "cosh", "tanh"] {
        compare(&format!("{name}(a[i])"), &all);
    }
    // NaN and what is larger is the interpreter's.
    let reducible: Vec<f64> = all.iter().copied().filter(|x| x.abs() <= 1e6).collect();
    for name in ["sin", "cos", "tan"] {
        compare(&format!("{name}(a[i])"), &reducible);
    }
    compare("a[i] ** p[i]", &all);
    compare("a[i] / p[i] - a[i] * p[i]", &all);
    compare("abs(a[i]) + floor(p[i]) * ceil(a[i])", &all);
    compare("min(a[i], p[i]) - max(a[i], p[i])", &all);
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
