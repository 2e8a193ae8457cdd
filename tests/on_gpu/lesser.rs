//! GPUs that reach little of a buffer at once, or have no `float64`: the device there is, taken for such a one.

use pelton::exec::Settings;
use pelton::exec::engine::{Engine, Prepared};
use pelton::exec::settings::{AutoGpu, Wishes};
use pelton::memory::Arguments;
use pelton::scalar::DType;

use crate::common::small::{doubles, program, read};
use crate::device;

use super::{array, bytes, prepared, run};

fn wishing(gpu: Wishes) -> Settings {
    Settings { gpu, ..Settings::default() }
}

/// Neighbours, elements from anywhere, bytes in shared words, 64-bit integers, and columns that each thread goes down.
const PARTS: &str = "program parts(a: f64[N], k: i32[N], x: i8[N], y: i8[N], n: i64[N], b: f64[N], c: f64[M, K]) {
    symbol N: i32
    symbol M: i32
    symbol K: i32
    map i in 1:N - 1 { b[i] = a[i - 1] - 2.0 * a[i] + a[i + 1] }
    map i in 0:N { tasklet pick(all <- a[0:N], at <- k[i], old <- b[i]) -> (out -> b[i]) { out = all[at] + old } }
    map i in 0:N { y[i] = x[i] * 3 }
    map i in 0:N - 1 { n[i] = n[i] * 5 + x[i + 1] }
    map i in 0:M {
      tasklet down(column <- c[i, 0:K]) -> (out: f64* -> c[i, 0:K]) {
        | total = 0.0
        | j = dace.int64(0)
        | while j < K:
        |     total = total + column[j]
        |     out[j] = total
        |     j = j + 1
      }
    }
  }";

fn parts_arguments() -> Arguments<'static> {
    let n = 1000;
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[n], &(0..n).map(|i| (i as f64 * 0.37).sin()).collect::<Vec<_>>());
    let gathered = (0..n).flat_map(|i| ((i * 7919 % n) as i32).to_le_bytes()).collect();
    array(&mut args, "k", DType::I32, &[n], gathered);
    array(&mut args, "x", DType::I8, &[n], (0..n).map(|i| (i * 31) as u8).collect());
    array(&mut args, "y", DType::I8, &[n], vec![7; n]);
    array(&mut args, "n", DType::I64, &[n], (0..n).flat_map(|i| (i as i64 - 500).to_le_bytes()).collect());
    doubles(&mut args, "b", &[n], &vec![1.5; n]);
    doubles(&mut args, "c", &[37, 41], &(0..37 * 41).map(|i| f64::from(i) / 7.0).collect::<Vec<_>>());
    args
}

/// Buffers of 8000 bytes where shaders reach 1024, or 3000, which is no power of two; and where they are reached whole.
#[test]
fn buffers_above_the_binding_limit_are_split() {
    if !device() {
        return;
    }
    let mut right = parts_arguments();
    run(&prepared(PARTS, Engine::Interp, Settings::default()), &mut right);
    for limit in [None, Some(1024), Some(3000), Some(4096)] {
        let gpu = prepared(PARTS, Engine::Gpu, wishing(Wishes { binding_bytes: limit, ..Wishes::default() }));
        let divided = gpu.divided().unwrap();
        assert!(divided.maps().iter().all(|map| map.host.is_none()), "{:?}", divided.maps());
        for _ in 0..2 {
            let mut found = parts_arguments();
            run(&gpu, &mut found);
            for name in ["b", "y", "n", "c"] {
                assert_eq!(bytes(&found, name), bytes(&right, name), "{name}, {limit:?}");
            }
        }
        assert_eq!((gpu.launches(), gpu.declined()), (Some(10), Some(0)), "{limit:?}");
    }
}

/// So many parts that the shader has not as many bindings: the host does it.
#[test]
fn too_many_parts_are_the_hosts() {
    if !device() {
        return;
    }
    let text = "program one(a: f64[N], b: f64[N]) { symbol N: i32  map i in 0:N { b[i] = a[i] * 3.0 } }";
    let gpu = prepared(text, Engine::Gpu, wishing(Wishes { binding_bytes: Some(256), ..Wishes::default() }));
    let values: Vec<f64> = (0..1 << 20).map(f64::from).collect();
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[1 << 20], &values);
    doubles(&mut args, "b", &[1 << 20], &vec![0.0; 1 << 20]);
    run(&gpu, &mut args);
    assert_eq!((gpu.launches(), gpu.declined()), (Some(0), Some(1)));
    assert!(read(&args, "b").iter().zip(&values).all(|(found, x)| *found == x * 3.0));
}

const NO_DOUBLE: Wishes = Wishes {
    allow_f32: false,
    fast: false,
    no_double: true,
    contracted: false,
    no_rounding: false,
    binding_bytes: None,
    auto: AutoGpu::Never,
};

#[test]
fn programs_of_float64_are_refused_where_there_is_none() {
    if !device() {
        return;
    }
    let refused = Prepared::with(program(PARTS).into(), Engine::Gpu, false, wishing(NO_DOUBLE)).unwrap_err();
    assert_eq!(refused.code, "P0806");
    assert!(refused.to_string().contains("--allow-f32"), "{refused}");
    // What computes in float32 and integers is not, and has the interpreter's bits.
    let text = "program f(a: f32[64], k: i64[64], x: u32[64], b: f32[64], n: i32[64]) {
        map i in 0:64 { b[i] = a[i] * 2.5 - dace.float32(k[i]) + dace.float32(x[i]) }
        map i in 0:64 { n[i] = dace.int32(a[i]) + i }
      }"
    .replace("2.5", "dace.float32(2.5)");
    let mut results = Vec::new();
    for (engine, settings) in [(Engine::Interp, Settings::default()), (Engine::Gpu, wishing(NO_DOUBLE))] {
        let mut args = Arguments::new();
        let mixed = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let floats = (0..64).flat_map(|i| ((mixed(i) >> 30) as f32 / 3.0 - 4e9).to_le_bytes()).collect();
        array(&mut args, "a", DType::F32, &[64], floats);
        let longs = (0..64).flat_map(|i| (mixed(i) as i64 >> (i % 60)).to_le_bytes()).collect();
        array(&mut args, "k", DType::I64, &[64], longs);
        let words = (0..64).flat_map(|i| (mixed(i) as u32 >> (i % 31)).to_le_bytes()).collect();
        array(&mut args, "x", DType::U32, &[64], words);
        array(&mut args, "b", DType::F32, &[64], vec![0; 256]);
        array(&mut args, "n", DType::I32, &[64], vec![0; 256]);
        let prepared = prepared(&text, engine, settings);
        for map in prepared.divided().iter().flat_map(|divided| divided.maps()) {
            assert_eq!(map.host, None);
        }
        run(&prepared, &mut args);
        results.push((bytes(&args, "b"), bytes(&args, "n")));
    }
    assert_eq!(results[0], results[1]);
}

/// Functions, a captured number, an index array, sums down columns; the host looks at what the device wrote; some
/// elements are not touched.
const NARROWED: &str = "program narrowed(a: f64[N], k: i64[N], b: f64[F, N], c: f64[N], n: f64[1]) {
    symbol N: i32
    symbol F: i32
    map i in 0:N { b[0, i] = exp(a[i]) }
    map i in 0:N { b[1, i] = log(a[i] + 3.0) }
    map i in 0:N { b[2, i] = sin(a[i]) + cos(a[i]) * tan(a[i] * 0.3) }
    map i in 0:N { b[3, i] = tanh(a[i]) + sinh(a[i]) / cosh(a[i]) }
    map i in 0:N { b[4, i] = expm1(a[i]) * log1p(abs(a[i])) }
    map i in 0:N { b[5, i] = sqrt(abs(a[i])) ** a[i] }
    map i in 0:N { b[6, i] = (a[i] + k[i]) * n[0] if a[i] > 0.0 else -a[i] }
    map i in 0:N { tasklet pick(all <- a[0:N], at <- k[i]) -> (out -> b[7, i]) { out = all[at] } }
    map i in 0:N { b[8, i] = log2(a[i] + 3.0) - log10(a[i] + 4.0) + exp2(a[i]) }
    map i in 1:N:2 { c[i] = c[i] + 0.125 }
    state count { n_in = access n  k = tasklet count (x) -> (y) { y = x + 1.0 }  n_out = access n
                  n_in -> k.x : n[0]  k.y -> n_out : n[0] }
    map i in 0:N { b[9, i] = a[i] * n[0] }
  }";

#[test]
fn float64_is_float32_on_request() {
    if !device() {
        return;
    }
    let n = 200;
    let fresh = || {
        let mut args = Arguments::new();
        doubles(&mut args, "a", &[n], &(0..n).map(|i| (i as f64 - 100.0) / 50.0 + 1e-3).collect::<Vec<_>>());
        let numbers = (0..n).flat_map(|i| ((i * 7 % n) as i64).to_le_bytes()).collect();
        array(&mut args, "k", DType::I64, &[n], numbers);
        doubles(&mut args, "b", &[10, n], &vec![0.0; 10 * n]);
        doubles(&mut args, "c", &[n], &vec![0.1; n]);
        doubles(&mut args, "n", &[1], &[1.7]);
        args
    };
    let (mut right, mut found) = (fresh(), fresh());
    run(&prepared(NARROWED, Engine::Interp, Settings::default()), &mut right);
    let gpu = prepared(NARROWED, Engine::Gpu, wishing(Wishes { allow_f32: true, ..NO_DOUBLE }));
    assert!(gpu.why().contains("float64 as float32"), "{}", gpu.why());
    for map in gpu.divided().unwrap().maps() {
        assert_eq!(map.host, None, "{map:?}");
    }
    run(&gpu, &mut found);
    assert_eq!(gpu.declined(), Some(0));
    let (right_b, found_b) = (read(&right, "b"), read(&found, "b"));
    let mut inexact = 0;
    for (index, (right, found)) in right_b.iter().zip(&found_b).enumerate() {
        // What Vulkan asks of the worst function is 2^-11.
        let error = (right - found).abs();
        assert!(error <= right.abs().max(1.0) / 1024.0, "row {}: {right} {found}", index / n);
        inexact += usize::from(error > 1e-9);
    }
    assert!(inexact > n, "float32 was not used");
    for (index, value) in read(&found, "c").into_iter().enumerate() {
        // 0.1 has no float32: what is not written keeps its bits.
        let right = if index % 2 == 1 { f64::from(0.1_f32 + 0.125) } else { 0.1 };
        assert_eq!(value, right, "{index}");
    }
    // Where there is float64, nothing changes.
    let (mut right, mut same) = (fresh(), fresh());
    run(&prepared(NARROWED, Engine::Interp, Settings::default()), &mut right);
    let wide = prepared(NARROWED, Engine::Gpu, wishing(Wishes { allow_f32: true, ..Wishes::default() }));
    if !wide.divided().unwrap().is_narrowed() {
        run(&wide, &mut same);
        assert_eq!(bytes(&same, "b"), bytes(&right, "b"));
    }
}
