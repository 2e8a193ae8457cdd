//! What a loop accumulates in one place, by many threads: integers in strict mode, floats in fast mode.

use std::fmt::Write;

use pelton::exec::engine::{Engine, Options, Outcome};
use pelton::exec::settings::Mode;
use pelton::exec::{DeviceArray, Settings};
use pelton::memory::Arguments;
use pelton::scalar::DType;

use crate::common::small::{doubles, read};
use crate::device;

use super::{array, bytes, prepared, run};

/// A map that resolves conflicts, and reductions of a matrix to one element, backwards as well.
const INTEGERS: &str = "program integers(a: i64[N], m: i32[N, M], s: i64[3], t: i32[2]) {
    symbol N: i32
    symbol M: i32
    map i in 0:N { tasklet add(x <- a[i]) -> (y -> s[0] wcr \"lambda p, q: p + q\") { y = x * i } }
    map i in 0:N { tasklet least(x <- a[i]) -> (y -> s[1] wcr \"lambda p, q: min(p, q)\") { y = x - i } }
    map i in 0:N, j in 0:M { tasklet most(x <- m[i, j]) -> (y -> t[0] wcr \"lambda p, q: max(p, q)\") { y = x - j } }
    state main {
      from = access m
      sum = library sum \"dace.libraries.standard.nodes.reduce.Reduce\" () -> () properties @{\"wcr\":\"(lambda x, y: (x + y))\",\"axes\":[0, 1],\"identity\":0}
      to = access t
      from -> sum : m[0:N, 0:M]
      sum -> to : t[1]
    }
  }";

fn integers(n: usize, m: usize) -> Arguments<'static> {
    let mixed = |i: usize| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut args = Arguments::new();
    array(&mut args, "a", DType::I64, &[n], (0..n).flat_map(|i| (mixed(i) as i64).to_le_bytes()).collect());
    let words = (0..n * m).flat_map(|i| (mixed(i) as i32).to_le_bytes()).collect();
    array(&mut args, "m", DType::I32, &[n, m], words);
    array(&mut args, "s", DType::I64, &[3], [17_i64, 5, 9].iter().flat_map(|x| x.to_le_bytes()).collect());
    array(&mut args, "t", DType::I32, &[2], [3_i32, 4].iter().flat_map(|x| x.to_le_bytes()).collect());
    args
}

/// Sizes around the number of threads, and some that are the host's.
#[test]
fn integers_are_reduced_to_the_interpreters_bits() {
    if !device() {
        return;
    }
    let oracle = prepared(INTEGERS, Engine::Interp, Settings::default());
    let gpu = prepared(INTEGERS, Engine::Gpu, Settings::default());
    for (map, _) in gpu.divided().unwrap().maps().iter().zip(0..4) {
        assert_eq!(map.host, None, "{map:?}");
    }
    for (n, m, launches) in
        [(1, 1, 0), (300, 3, 0), (1024, 1, 8), (1500, 2, 8), (16_384, 1, 8), (20_001, 3, 8)]
    {
        let (mut right, mut found) = (integers(n, m), integers(n, m));
        run(&oracle, &mut right);
        let before = gpu.launches();
        run(&gpu, &mut found);
        assert_eq!(gpu.launches().unwrap() - before.unwrap(), launches, "{n} {m}");
        assert_eq!(bytes(&found, "s"), bytes(&right, "s"), "{n} {m}");
        assert_eq!(bytes(&found, "t"), bytes(&right, "t"), "{n} {m}");
    }
    assert_eq!(gpu.declined(), Some(0));
}

const FLOATS: &str = "program floats(a: f64[N], s: f64[3]) {
    symbol N: i32
    map i in 0:N { tasklet add(x <- a[i]) -> (y -> s[0] wcr \"lambda p, q: p + q\") { y = x * x } }
    map i in 0:N { tasklet most(x <- a[i]) -> (y -> s[1] wcr \"lambda p, q: max(p, q)\") { y = x } }
    state main {
      from = access a
      sum = library sum \"dace.libraries.standard.nodes.reduce.Reduce\" () -> () properties @{\"wcr\":\"(lambda x, y: (x + y))\",\"axes\":[0],\"identity\":0}
      to = access s
      from -> sum : a[0:N]
      sum -> to : s[2]
    }
  }";

/// In strict mode the host keeps the interpreter's order; in fast mode threads share the work, and two runs agree.
#[test]
fn floats_are_reduced_in_fast_mode() {
    if !device() {
        return;
    }
    let n = 50_000;
    let fresh = || {
        let mut args = Arguments::new();
        doubles(&mut args, "a", &[n], &(0..n).map(|i| (i as f64 * 0.73).sin() + 0.5).collect::<Vec<_>>());
        doubles(&mut args, "s", &[3], &[1.0, -2.0, 0.0]);
        args
    };
    let mut right = fresh();
    run(&prepared(FLOATS, Engine::Interp, Settings::default()), &mut right);
    let strict = prepared(FLOATS, Engine::Gpu, Settings::default());
    let mut found = fresh();
    run(&strict, &mut found);
    assert_eq!((read(&found, "s"), strict.launches()), (read(&right, "s"), Some(0)));
    let fast = prepared(FLOATS, Engine::Gpu, Settings { mode: Mode::Fast, ..Settings::default() });
    let mut found = fresh();
    run(&fast, &mut found);
    assert_eq!((fast.launches(), fast.declined()), (Some(6), Some(0)));
    for (right, found) in read(&right, "s").into_iter().zip(read(&found, "s")) {
        // Each sum of n terms is off by n/2 ulp of it at most, whatever its order: their terms are positive in the mean.
        assert!((right - found).abs() <= n as f64 * f64::EPSILON * right.abs(), "{right} {found}");
    }
    let mut again = fresh();
    run(&fast, &mut again);
    assert_eq!(bytes(&again, "s"), bytes(&found, "s"));
}

/// The total lies on the device, and stays there.
#[test]
fn totals_may_lie_on_the_device() {
    if !device() {
        return;
    }
    let text = "program total(a: f64[N], s: f64[2]) {
        symbol N: i32
        map i in 0:2 { s[i] = s[i] * 2.0 }
        map i in 0:N { tasklet add(x <- a[i]) -> (y -> s[0] wcr \"lambda p, q: p + q\") { y = x } }
        map i in 0:2 { s[i] = s[i] + 1.0 }
      }";
    let n = 4096;
    let values: Vec<u8> = (0..n).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    let mut a = DeviceArray::of(DType::F64, &[n as usize], &values).unwrap();
    let mut s = DeviceArray::of(DType::F64, &[2], &[8.0_f64.to_le_bytes(), [0; 8]].concat()).unwrap();
    let gpu = prepared(text, Engine::Gpu, Settings { mode: Mode::Fast, ..Settings::default() });
    let mut expected = [8.0, 0.0];
    let before = gpu.submissions().unwrap();
    for _ in 0..3 {
        let mut args = Arguments::new();
        a.bind("a", &mut args).unwrap();
        s.bind("s", &mut args).unwrap();
        run(&gpu, &mut args);
        let sum = f64::from(n * (n - 1) / 2);
        expected = [expected[0] * 2.0 + sum + 1.0, expected[1] * 2.0 + 1.0];
    }
    // Nothing is read back in between: one batch each.
    assert_eq!(gpu.submissions().unwrap() - before, 3);
    assert_eq!(s.download().unwrap(), expected.map(f64::to_le_bytes).concat());
    assert_eq!(gpu.launches(), Some(12));
}

/// A reduction of `a` by each of these operations, into elements of `s`.
fn reductions(ty: &str, operations: &[&str]) -> String {
    let mut text = format!("program all(a: {ty}[N], s: {ty}[{}]) {{\n  symbol N: i32\n", operations.len());
    for (at, operation) in operations.iter().enumerate() {
        let _ = writeln!(
            text,
            "  map i in 0:N {{ tasklet t{at}(x <- a[i]) -> (y -> s[{at}] wcr \"lambda p, q: {operation}\") {{ y = x }} }}"
        );
    }
    text + "}"
}

/// Sizes with and without threads that have no elements, one more or less, and groups that have none.
const SIZES: [usize; 9] = [1024, 1025, 1279, 4096, 65_535, 262_143, 262_144, 262_145, 600_001];

#[test]
fn every_operation_on_integers_has_the_interpreters_bits() {
    if !device() {
        return;
    }
    let operations = ["p + q", "p * q", "min(p, q)", "max(p, q)", "p & q", "p | q", "p ^ q"];
    for ty in [DType::I32, DType::I64] {
        let text = reductions(if ty == DType::I32 { "i32" } else { "i64" }, &operations);
        let oracle = prepared(&text, Engine::Native, Settings::default());
        let gpu = prepared(&text, Engine::Gpu, Settings::default());
        for n in SIZES {
            let fresh = || {
                let mut args = Arguments::new();
                // Odd, so that products stay; the upper bits differ, so that the others tell.
                let number = |i: usize| ((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1) as i64 | 1;
                let bytes = |number: i64| number.to_le_bytes()[8 - ty.bytes()..].to_vec();
                let odd = |i: usize| {
                    let mut bytes = bytes(number(i));
                    bytes[0] |= 1;
                    bytes
                };
                array(&mut args, "a", ty, &[n], (0..n).flat_map(odd).collect());
                array(&mut args, "s", ty, &[7], (0..7).flat_map(|i| bytes(!0 - i)).collect());
                args
            };
            let (mut right, mut found) = (fresh(), fresh());
            run(&oracle, &mut right);
            let before = gpu.launches().unwrap();
            run(&gpu, &mut found);
            assert_eq!((gpu.launches().unwrap() - before, gpu.declined()), (14, Some(0)), "{ty} {n}");
            assert_eq!(bytes(&found, "s"), bytes(&right, "s"), "{ty} {n}");
        }
    }
}

/// The order that the documentation promises, step by step.
fn in_order<T: Copy>(elements: &[T], start: T, identity: T, op: impl Fn(T, T) -> T) -> T {
    let strided = |elements: &[T], threads: usize| -> Vec<T> {
        let own = |thread: usize| {
            elements.iter().skip(thread).step_by(threads).fold(identity, |own, &element| op(own, element))
        };
        (0..threads.min(elements.len())).map(own).collect()
    };
    let tree = |group: &[T]| {
        let mut held = group.to_vec();
        held.resize(256, identity);
        for half in [128, 64, 32, 16, 8, 4, 2, 1] {
            for thread in 0..half {
                held[thread] = op(held[thread], held[thread + half]);
            }
        }
        held[0]
    };
    let partial: Vec<T> = strided(elements, 262_144).chunks(256).map(tree).collect();
    op(start, tree(&strided(&partial, 256)))
}

/// In fast mode, floats are combined in the documented order, bit for bit.
#[test]
fn floats_are_combined_in_the_documented_order() {
    if !device() {
        return;
    }
    let numbers = |n: usize| (0..n).map(|i| (i as f64 * 0.731).sin() + 1.001).collect::<Vec<f64>>();
    let start = [0.75, 1.5, 0.5, 1.0];
    let operations = ["p + q", "p * q", "min(p, q)", "max(p, q)"];
    let fast = Settings { mode: Mode::Fast, ..Settings::default() };
    let doubles_of = prepared(&reductions("f64", &operations), Engine::Gpu, fast);
    let singles_of = prepared(&reductions("f32", &operations), Engine::Gpu, fast);
    for n in SIZES {
        let values = numbers(n);
        let mut args = Arguments::new();
        doubles(&mut args, "a", &[n], &values);
        doubles(&mut args, "s", &[4], &start);
        run(&doubles_of, &mut args);
        let expected = [
            in_order(&values, start[0], -0.0, |p, q| p + q),
            in_order(&values, start[1], 1.0, |p, q| p * q),
            in_order(&values, start[2], f64::INFINITY, f64::min),
            in_order(&values, start[3], f64::NEG_INFINITY, f64::max),
        ];
        assert_eq!(bytes(&args, "s"), expected.map(f64::to_le_bytes).concat(), "{n}: {expected:?}");
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        let start = start.map(|value| value as f32);
        let mut args = Arguments::new();
        array(
            &mut args,
            "a",
            DType::F32,
            &[n],
            values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        );
        array(&mut args, "s", DType::F32, &[4], start.map(f32::to_le_bytes).concat());
        run(&singles_of, &mut args);
        let expected = [
            in_order(&values, start[0], -0.0, |p, q| p + q),
            in_order(&values, start[1], 1.0, |p, q| p * q),
            in_order(&values, start[2], f32::INFINITY, f32::min),
            in_order(&values, start[3], f32::NEG_INFINITY, f32::max),
        ];
        assert_eq!(bytes(&args, "s"), expected.map(f32::to_le_bytes).concat(), "{n}: {expected:?}");
    }
    assert_eq!((doubles_of.declined(), singles_of.declined()), (Some(0), Some(0)));
}

/// Several reductions of one loop, with checks in its iterations, of which one fails in the end.
#[test]
fn reductions_of_one_loop_share_its_launches() {
    if !device() {
        return;
    }
    let text = "program several(a: i64[N], k: i32[N], s: i64[1], u: i64[1], t: i32[1]) {
        symbol N: i32
        map i in 0:N {
          tasklet add(all <- a[0:N], at <- k[i]) -> (y -> s[0] wcr \"lambda p, q: p + q\") { y = all[at] }
          tasklet most(all <- a[0:N], at <- k[i]) -> (y -> u[0] wcr \"lambda p, q: max(p, q)\") { y = all[at] - i }
          tasklet bits(x <- k[i]) -> (y -> t[0] wcr \"lambda p, q: p ^ q\") { y = x }
        }
      }";
    let oracle = prepared(text, Engine::Interp, Settings::default());
    let gpu = prepared(text, Engine::Gpu, Settings::default());
    for map in gpu.divided().unwrap().maps() {
        assert_eq!(map.host, None, "{map:?}");
    }
    for (n, wrong) in [(3001, None), (5000, None), (5000, Some(4321))] {
        let fresh = || {
            let mut args = Arguments::new();
            let mixed = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            array(&mut args, "a", DType::I64, &[n], (0..n).flat_map(|i| mixed(i).to_le_bytes()).collect());
            let index = |i: usize| if Some(i) == wrong { n as i32 } else { (mixed(i) % n as u64) as i32 };
            array(&mut args, "k", DType::I32, &[n], (0..n).flat_map(|i| index(i).to_le_bytes()).collect());
            array(&mut args, "s", DType::I64, &[1], 5_i64.to_le_bytes().to_vec());
            array(&mut args, "u", DType::I64, &[1], i64::MIN.to_le_bytes().to_vec());
            array(&mut args, "t", DType::I32, &[1], 77_i32.to_le_bytes().to_vec());
            args
        };
        let (mut right, mut found) = (fresh(), fresh());
        let outcomes = [(&oracle, &mut right), (&gpu, &mut found)]
            .map(|(prepared, args)| prepared.run(args, &Options::default()).unwrap());
        let stopped = outcomes.map(|outcome| matches!(outcome, Outcome::Trap(_)));
        assert_eq!(stopped, [wrong.is_some(); 2], "{n}");
        if wrong.is_none() {
            for name in ["s", "u", "t"] {
                assert_eq!(bytes(&found, name), bytes(&right, name), "{name} {n}");
            }
        }
    }
    assert_eq!((gpu.launches(), gpu.declined()), (Some(6), Some(0)));
}

/// A total that is a variable of the host, who goes on with it.
#[test]
fn totals_of_the_host_are_added_there() {
    if !device() {
        return;
    }
    let text = "program variable(a: i64[N], s: i64[1]) {
        symbol N: i32
        state main {
          a_in = access a
          k = tasklet total (all) -> (out) {
            | total = dace.int64(7)
            | k = dace.int64(0)
            | while k < N:
            |     total = total + all[k] * k
            |     k = k + 1
            | out = total * 3
          }
          s_out = access s
          a_in -> k.all : a[0:N]
          k.out -> s_out : s[0]
        }
      }";
    let oracle = prepared(text, Engine::Interp, Settings::default());
    let gpu = prepared(text, Engine::Gpu, Settings::default());
    for n in [1000, 3001, 300_000] {
        let fresh = || {
            let mut args = Arguments::new();
            let mixed = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            array(&mut args, "a", DType::I64, &[n], (0..n).flat_map(|i| mixed(i).to_le_bytes()).collect());
            array(&mut args, "s", DType::I64, &[1], vec![9; 8]);
            args
        };
        let (mut right, mut found) = (fresh(), fresh());
        run(&oracle, &mut right);
        run(&gpu, &mut found);
        assert_eq!(bytes(&found, "s"), bytes(&right, "s"), "{n}");
    }
    assert_eq!((gpu.launches(), gpu.declined()), (Some(4), Some(0)));
}

/// Elements that several iterations reach: by a remainder, by an index array, with carries between words, in two loops.
const CONFLICTS: &str = "program conflicts(a: i64[N], k: i32[N], h: i64[13], t: i32[13], u: u32[13], c: i64[13], d: i32[5]) {
    symbol N: i32
    map i in 0:N { tasklet add(x <- a[i]) -> (y -> h[(i * i) % 13] wcr \"lambda p, q: p + q\") { y = x } }
    map i in 0:N { tasklet most(x <- k[i]) -> (y -> t[i % 13] wcr \"lambda p, q: max(p, q)\") { y = x * 7 - i } }
    map i in 0:N { tasklet bits(x <- k[i]) -> (y -> u[i % 13] wcr \"lambda p, q: p | q\") { y = dace.uint32(x) } }
    map i in 0:N { tasklet count(all <- c[0:13], at <- k[i], x <- a[i]) -> (out: i64* -> c[0:13]) { out[at] = all[at] + x } }
    map i in 0:N, j in 0:3 { tasklet add(x <- k[i]) -> (y -> d[(i + j) % 5] wcr \"lambda p, q: p + q\") { y = x + j } }
  }";

#[test]
fn conflicts_of_integers_are_resolved_on_the_device() {
    if !device() {
        return;
    }
    let mixed = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let n = 3000;
    let fresh = || {
        let mut args = Arguments::new();
        let longs = (0..n).flat_map(|i| (mixed(i) as i64 >> (i % 40)).to_le_bytes()).collect();
        array(&mut args, "a", DType::I64, &[n], longs);
        let indices = (0..n).flat_map(|i| ((mixed(i) >> 40) as i32 % 13).to_le_bytes()).collect();
        array(&mut args, "k", DType::I32, &[n], indices);
        for (name, ty) in [("h", DType::I64), ("t", DType::I32), ("u", DType::U32), ("c", DType::I64)] {
            array(&mut args, name, ty, &[13], (0..13 * ty.bytes()).map(|i| (i * 5) as u8).collect());
        }
        array(&mut args, "d", DType::I32, &[5], vec![1; 20]);
        args
    };
    let mut right = fresh();
    run(&prepared(CONFLICTS, Engine::Interp, Settings::default()), &mut right);
    let gpu = prepared(CONFLICTS, Engine::Gpu, Settings::default());
    for map in gpu.divided().unwrap().maps() {
        assert_eq!(map.host, None, "{map:?}");
    }
    for _ in 0..2 {
        let mut found = fresh();
        run(&gpu, &mut found);
        for name in ["h", "t", "u", "c", "d"] {
            assert_eq!(bytes(&found, name), bytes(&right, name), "{name}");
        }
    }
    // Maps over the same range are one.
    let nests = gpu.divided().unwrap().nests() as u64;
    assert_eq!((gpu.launches(), gpu.declined()), (Some(2 * nests), Some(0)));
}
