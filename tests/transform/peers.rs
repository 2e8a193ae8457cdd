//! Bugs that optimizers of peers had, as programs here.

use pelton::transform::OPTIMIZE;

use crate::support::{after, program, run};

fn keeps_bits(text: &str) {
    let before = program(text);
    let (made, _) = after(&before, OPTIMIZE);
    for size in [3, 6] {
        for seed in 0..3 {
            let reference = run(&before, size, seed);
            assert!(reference.is_ok(), "{reference:?}");
            assert_eq!(reference, run(&made, size, seed));
        }
    }
}

/// spcl/dace#1561: simplification drops the inputs of a matrix product whose terms are stored.
#[test]
fn dace_1561_inputs_are_kept() {
    let text = "
program mmm(X: f32[6, 6], Y: f32[6, 6], Z: f32[6, 6], S: f32[1]) {
  transient T: f32[6, 6, 6]
  state main {
    map i in 0:6, j in 0:6, k in 0:6 { T[i, j, k] = X[i, k] * Y[k, j] }
    map i in 0:6, j in 0:6 { Z[i, j] = 0 }
    map i in 0:6, j in 0:6, k in 0:6 { Z[i, j] += T[i, j, k] }
    map i in 0:6, j in 0:6 { S[0] += Z[i, j] }
  }
}";
    keeps_bits(text);
    let (made, _) = after(&program(text), OPTIMIZE);
    let printed = pelton::front::pel::print_brief(&made);
    assert!(printed.contains("access X") && printed.contains("access Y"), "{printed}");
}

/// spcl/dace#625: without its copy, an in-place update at offsets is a race.
#[test]
fn dace_625_double_buffer_stays() {
    keeps_bits(
        "
program in_place(A: f32[10, 10]) {
  transient B: f32[10, 10]
  state main {
    map i in 0:10, j in 0:10 { B[i, j] = A[i, j] }
    map i in 1:9, j in 1:9 { A[i, j] = B[i - 1, j - 1] + B[i + 1, j + 1] }
  }
}",
    );
}

/// spcl/dace#1690: when a copy goes, every memlet of the path behind it names what is read instead.
#[test]
fn dace_1690_memlets_of_a_path_follow_the_removed_copy() {
    keeps_bits(
        "
program window(A: f64[8, 8], B: f64[4, 4]) {
  transient c: f64[4, 4]
  state main {
    copy A[2:6, 1:5] -> c[0:4, 0:4]
    map i in 0:4 { map j in 0:4 { B[i, j] = c[j, i] * 2 } }
  }
}",
    );
}

/// spcl/dace#639: fusing states loses the order of a read and a later write.
#[test]
fn dace_639_states_keep_the_order_of_reads_and_writes() {
    keeps_bits(
        "
program order(A: f64[8], B: f64[8], C: f64[8]) {
  state first { map i in 0:8 { B[i] = A[7 - i] } }
  state second { map i in 0:8 { A[i] = C[i] * 2 } }
  state third { map i in 0:8 { C[i] = A[i] + B[i] } }
}",
    );
}

/// spcl/dace#1280: a value that a loop sets to zero, updates in a nested graph and stores.
#[test]
fn dace_1280_loop_with_an_inout_nested_graph() {
    keeps_bits(
        "
program sums(A: f64[4, 4], Z: f64[4]) {
  for k in 0:4 {
    state zero { map o in 0:1 { Z[k + o] = 0 } }
    state add {
      a = access A
      z = access Z
      w = access Z
      g = nested inner (A, Z) -> (Z) with (k = k) graph inner(A: f64[4, 4], Z: f64[4], k: i64 symbol) {
        map m in 0:4 { Z[k] += A[k, m] }
      }
      a -> g.A : A[0:4, 0:4]
      z -> g.Z : Z[0:4]
      g.Z -> w : Z[0:4]
    }
  }
}",
    );
}

/// spcl/dace#1694: chains of one-element transients inside maps that update an array in place.
#[test]
fn dace_1694_in_place_chains() {
    keeps_bits(
        "
program chains(A: f32[5, 5]) {
  transient b: f32
  transient d: f32
  state main {
    map i in 0:5, j in 0:5 { b = A[i, j] A[i, j] = b }
    map i in 0:5, j in 0:5 { d = A[i, j] A[i, j] = d * 2 }
  }
}",
    );
}

/// spcl/dace#2254: an array that only indices and assignments read is not dead.
#[test]
fn dace_2254_arrays_read_by_control_flow_are_kept() {
    keeps_bits(
        "
program indirect(A: f64[6], B: f64[6], idx: f64[6]) {
  transient t: i64[1]
  state prepare { map o in 0:1 { t[o] = 2 } }
  state use { map i in 0:6 { B[i] = A[k] } }
  prepare -> use { k = t[0] }
}",
    );
}

/// spcl/dace#1644: once fusion drops dimensions of one element, a redundant array has fewer dimensions than what is copied from
/// and to it, and removing it composes subsets of different rank. In all orders of the rules that fuse and remove.
#[test]
fn dace_1644_redundant_arrays_of_other_rank() {
    let text = "
program ranks(A: f64[6, 1, 6], B: f64[6, 3, 6]) {
  transient t: f64[6, 1, 6]
  transient u: f64[6, 6]
  transient v: f64[6, 6]
  transient w: f64[1, 6, 6]
  state main {
    map i in 0:6, j in 0:6 { t[i, 0, j] = A[j, 0, i] * 2 }
    copy t[0:6, 0, 0:6] -> u[0:6, 0:6]
    map i in 0:6, j in 0:6 { v[i, j] = u[j, i] - u[i, j] }
    copy v[0:6, 0:6] -> w[0, 0:6, 0:6]
    copy w[0, 0:6, 0:6] -> B[0:6, 1, 0:6]
  }
}";
    keeps_bits(text);
    let rules = ["redundant_copy_in", "redundant_copy_out", "map_fusion_vertical", "trivial_map_dimension"];
    let before = program(text);
    let reference = run(&before, 6, 0);
    let mut fired = 0;
    for first in rules {
        for second in rules {
            let (made, report) = after(&before, &["explicit_order", first, second, first]);
            fired += report.fired();
            assert_eq!(reference, run(&made, 6, 0), "{first}, {second}");
        }
    }
    assert!(fired > 0);
}

/// GridTools/gt4py#2154: what moves into the body of a branch reads symbols that have another value there.
#[test]
fn gt4py_2154_branches_with_symbols_of_other_meaning() {
    let text = |before: &str, between: &str| {
        format!(
            "
program branches(a: f64[N], b: f64[N], c: f64[N], N: i64 symbol) {{
  transient t: f64[N]
  transient u: f64[N]
  state first {{ map i in 0:N {{ c[i] = a[i] }} }}
  state make {{
    map i in 0:N {{ t[i] = a[i] * k }}
    map i in 0:N {{ u[i] = t[i] + a[0] }}
  }}
  conditional choose {{
    case N > 3 {{ state use {{ map i in 0:N {{ b[i] = u[i] * k }} }} }}
    case else {{ state other {{ map i in 0:N {{ b[i] = c[i] + k }} }} }}
  }}
  first -> make {{ k = {before} }}
  make -> choose {between}
}}"
        )
    };
    let moved = |text: &str| {
        let before = program(text);
        let (made, report) = after(&before, &["explicit_order", "move_into_branch"]);
        for size in [3, 6] {
            let reference = run(&before, size, 1);
            assert!(reference.is_ok(), "{reference:?}");
            assert_eq!(reference, run(&made, size, 1));
        }
        keeps_bits(text);
        report.fired_by("move_into_branch")
    };
    // The symbol keeps its value: both maps move. It gets another one: the old one goes along under another name.
    assert_eq!(moved(&text("N * N", "")), 1);
    for (before, between) in
        [("N * N", "{ k = N * N + 1 }"), ("2", "{ k = 3 }"), ("N", "{ k = k + 1, j = k }")]
    {
        let text = text(before, between);
        assert_eq!(moved(&text), 1);
        let (made, _) = after(&program(&text), &["explicit_order", "move_into_branch"]);
        let printed = pelton::front::pel::print_brief(&made);
        let branch = printed.find("conditional").expect("the branch stays");
        assert!(!printed[..branch].contains("access t"), "{printed}");
        assert!(printed.contains("k_before"), "{printed}");
    }
}

/// GridTools/gt4py#2154 across the border of a nested graph: its conditional block becomes one of the graph around, and what
/// only one branch reads is computed there, with the symbols that it was made of, whatever they are called inside.
#[test]
fn gt4py_2154_branches_of_nested_graphs() {
    let text = "
program nested_branches(a: f64[N], b: f64[N], c: f64[N], N: i64 symbol) {
  transient t: f64[N]
  symbol k: i64
  state first { map i in 0:N { c[i] = a[i] } }
  state main {
    map i in 0:N { t[i] = a[i] * k }
    n0 = access t
    n1 = access c
    n2 = access b
    n3 = nested inner (x, z) -> (y) with (n = N, k = N - 2)
        graph inner(x: f64[n], y: f64[n], z: f64[n], n: i64 symbol, k: i64 symbol) {
      conditional choose {
        case k > 1 { state use { map i in 0:n { y[i] = x[i] + k } } }
        case else { state other { map i in 0:n { y[i] = z[i] - k } } }
      }
    }
    n0 -> n3.x : t[0:N]
    n1 -> n3.z : c[0:N]
    n3.y -> n2 : b[0:N]
  }
  first -> main { k = 3 * N }
}";
    keeps_bits(text);
    let (made, report) = after(&program(text), OPTIMIZE);
    assert_eq!(report.fired_by("inline_multistate"), 1, "{report}");
    assert_eq!(report.fired_by("move_into_branch"), 1, "{report}");
    let printed = pelton::front::pel::print_brief(&made);
    let branch = printed.find("conditional").expect("the branch stays");
    let other = printed.find("case else").expect("so does the other one");
    // In the branch, not before it: the value is made of what `k` was outside.
    assert!(!printed[..branch].contains("3*N"), "{printed}");
    assert!(printed[branch..other].contains("3*N") || printed[branch..other].contains("k"), "{printed}");
}

/// GridTools/gt4py#2150: temporaries of domains that are empty for some sizes have no negative shape.
#[test]
fn gt4py_2150_empty_domains() {
    keeps_bits(
        "
program parts(a: f64[N], out: f64[N], N: i64 symbol) {
  transient low: f64[max(0, N - 4)]
  state main {
    map i in 0:max(0, N - 4) { low[i] = a[i] * 2 }
    map i in 0:max(0, N - 4) { out[i] = low[i] + 1 }
    map i in max(0, N - 4):N { out[i] = a[i] }
  }
}",
    );
}

/// GridTools/gt4py#2154, #2614: code that moves must not read another symbol of the same name.
#[test]
fn gt4py_2154_symbols_keep_their_meaning() {
    let text = "
program hidden(a: f64[N], b: f64[N, N], N: i64 symbol, j: i64 symbol) {
  transient t: f64[N]
  state main {
    map i in 0:N { t[i] = a[i] + j }
    map i in 0:N, j in 0:N { b[i, j] = t[i] * 2 }
  }
}";
    keeps_bits(text);
}

/// spcl/dace#1595: removing a redundant array of a reshape of a column-major argument.
#[test]
fn dace_1595_reshape_of_a_column_major_array() {
    keeps_bits(
        "
program reshape(input: f64[6, 6, 6] strides(1, 6, 36), output: f64[36, 1, 6]) {
  transient a: f64[6, 6, 6]
  transient b: f64[36, 1, 6]
  state main {
    n0 = access input
    n1 = access a
    n2 = access b
    n3 = access output
    n0 -> n1 : input[0:6, 0:6, 0:6]
    n1 -> n2 : a[0:6, 0:6, 0:6] other [0:36, 0, 0:6]
    n2 -> n3 : b[0:36, 0, 0:6] other [0:36, 0, 0:6]
  }
}",
    );
}

/// spcl/dace#2182: a copy whose subset names the parameter of an empty loop copies all elements.
#[test]
fn dace_2182_copies_keep_their_subsets() {
    keeps_bits(
        "
program copies(input: f64[N], output: f64[N], N: i64 symbol) {
  transient t: f64[N]
  for i in 0:N {
    state work {
      n0 = access input
      n1 = access t
      n2 = access output
      n0 -> n1 : input[i] other [i]
      n1 -> n2 : t[i] other [i]
    }
  }
}",
    );
}
