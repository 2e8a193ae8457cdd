//! Bugs of the optimizer's own, as the smallest programs that showed them, and random programs of every kind.

use pelton::check::generate::{Choices, Settings, generate};
use pelton::check::side::{Side, Verdict, judge};
use pelton::exec::Engine;
use pelton::exec::bind::bind;
use pelton::transform::{OPTIMIZE, RULES};

use crate::support::{after, program, run};

fn keeps_bits(text: &str, rules: &[&str]) {
    let before = program(text);
    let (made, report) = after(&before, rules);
    assert!(report.fired() > 0, "{report}");
    for seed in 0..3 {
        let reference = run(&before, 4, seed);
        assert!(reference.is_ok(), "{reference:?}");
        assert_eq!(reference, run(&made, 4, seed));
    }
}

/// The only edge into an inner map led the values that were not needed any more.
#[test]
fn what_remains_of_a_scope_stays_in_it() {
    keeps_bits(
        "
program waste(a: f64[4], b: f64[4]) {
  transient t: f64[4, 4]
  state main {
    map i in 0:4 { map j in 0:4 { t[i, j] = a[j] b[i] = 0.5 } }
  }
}",
        &["dead_dataflow"],
    );
}

/// The copy of `a` came before the first map only because the map read `a` for a value that nobody needs.
#[test]
fn order_outlives_the_reads_it_followed_from() {
    let text = "
program order(a: f64[4], b: f64[4], c: f64) {
  transient t: f64[4]
  transient u: f64[4]
  state first {
    n0 = access c
    n1 = access a
    n2 = map_entry m [i in 0:4]
    n3 = tasklet make (x) -> (y) { y = x * 2 }
    n4 = tasklet waste (x) -> (y) { y = x + 1 }
    n5 = map_exit m of n2
    n6 = access t
    n7 = access u
    n8 = access t
    n0 -> n2.IN_c : c[0]
    n1 -> n2.IN_a : a[0:4]
    n2.OUT_c -> n3.x : c[0]
    n2.OUT_a -> n4.x : a[i]
    n3.y -> n5.IN_t : t[i]
    n4.y -> n5.IN_u : u[i]
    n5.OUT_t -> n6 : t[0:4]
    n5.OUT_u -> n7 : u[0:4]
    n1 -> n8 : a[0:4] other [0:4]
  }
  state second { map i in 0:4 { b[i] = t[i] } }
}";
    keeps_bits(text, &["dead_dataflow"]);
    keeps_bits(text, OPTIMIZE);
}

/// The second value of `t` is made of elements of the first one and of its own.
#[test]
fn a_transient_made_of_itself_is_not_split() {
    let text = "
program reuse(a: f64[6], b: f64[6]) {
  transient t: f64[6]
  state main {
    copy a[0:6] -> t[0:6]
    map i in 0:6 sequential { t[i] = t[5 - i] * 2 }
    map i in 0:6 { b[i] = t[i] }
  }
}";
    let before = program(text);
    for rules in [&["split_transients"], OPTIMIZE] {
        assert_eq!(run(&before, 4, 7), run(&after(&before, rules).0, 4, 7));
    }
}

/// The copy into `t` happens before the map overwrites `t`; inside a map it would happen at its target, which comes after.
#[test]
fn a_copy_that_comes_before_what_leads_to_its_target_stays_in_its_loop() {
    let text = "
program copies(a: f64[N], b: f64[N, N], N: i64 symbol) {
  transient t: f64[N]
  for k in 0:N {
    state work {
      n0 = access a
      n1 = map_entry m [i in 1:N]
      n2 = tasklet fill () -> (y) { y = 1.5 }
      n3 = map_exit m of n1
      n4 = access t
      n5 = access t
      n6 = access b
      n0 -> n5 : a[0:N] other [0:N]
      n0 -> n1
      n1 -> n2
      n2.y -> n3.IN_t : t[i]
      n3.OUT_t -> n4 : t[1:N]
      n4 -> n5
      n5 -> n6 : t[0:N] other [k, 0:N]
    }
  }
}";
    let before = program(text);
    for rules in [&["explicit_order", "loop_to_map"][..], OPTIMIZE] {
        let made = after(&before, rules).0;
        for seed in 0..3 {
            let reference = run(&before, 4, seed);
            assert!(reference.is_ok(), "{reference:?}");
            assert_eq!(reference, run(&made, 4, seed));
        }
    }
}

/// A write that is overwritten later is read in between, by later iterations of the map that makes it.
#[test]
fn what_a_map_reads_of_its_own_writes_is_not_written_twice() {
    let text = "
program own(a: f64[N], b: f64[N], N: i64 symbol) {
  transient t: f64[N]
  state main {
    map i in 0:N { t[i] = a[i] * 3 }
    map i in 0:N sequential {
      b[i] = t[N - 1 - i] * 2
      t[i] = a[i] + 1
    }
    map i in 0:N { t[i] = a[i] - 2 }
    map i in 0:N { a[i] = t[i] }
  }
}";
    let before = program(text);
    for rules in [&["explicit_order", "double_write"][..], OPTIMIZE] {
        let made = after(&before, rules).0;
        let reference = run(&before, 5, 1);
        assert!(reference.is_ok(), "{reference:?}");
        assert_eq!(reference, run(&made, 5, 1));
    }
}

/// The second one waits for the first one, which is no node any more when its turn comes.
#[test]
fn reductions_that_wait_for_each_other_become_maps() {
    let text = r#"
program twice(a: f64[4], b: f64[1]) {
  transient s: f64[4]
  transient t: f64[4]
  state main {
    m = map_entry m [i in 0:4]
    k = tasklet k (x) -> (y, z) {
      | y = x * 2
      | z = x + 1
    }
    e = map_exit m of m
    a0 = access a
    s0 = access s
    t0 = access t
    b0 = access b
    b1 = access b
    first = library first "dace.libraries.standard.nodes.reduce.Reduce" () -> () properties @{"wcr":"lambda x, y: max(x, y)","identity":-5.0}
    last = library last "dace.libraries.standard.nodes.reduce.Reduce" () -> () properties @{"wcr":"lambda x, y: x * y","identity":0.5}
    a0 -> m.IN_a : a[0:4]
    m.OUT_a -> k.x : a[i]
    k.y -> e.IN_s : s[i]
    k.z -> e.IN_t : t[i]
    e.OUT_s -> s0 : s[0:4]
    e.OUT_t -> t0 : t[0:4]
    s0 -> first : s[0:4]
    first -> b0 : b[0]
    t0 -> last : t[0:4]
    last -> b1 : b[0]
    first -> last
  }
}"#;
    keeps_bits(text, &["reduce_to_map"]);
    keeps_bits(&text.replace("    first -> last\n", "    b0 -> last\n"), &["reduce_to_map"]);
}

/// The inner map runs in order, so the two are not one map whose iterations run in any order.
#[test]
fn a_map_in_order_inside_a_parallel_one_stays_there() {
    let text = "
program rows(a: f64[4, 4]) {
  state main {
    map i in 0:4 { map j in 1:4 { a[i, j] = a[i, j - 1] * 0.5 + a[i, j] } }
  }
}";
    let (_, report) = after(&program(text), &["map_collapse"]);
    assert_eq!(report.fired(), 0, "{report}");
    keeps_bits(&text.replace("map i in 0:4", "map i in 0:4 sequential"), &["map_collapse"]);
}

/// Compares the interpreter before and after a rule, or all of them, on random programs; how often they agreed.
fn agree(seeds: std::ops::Range<u64>, rule: Option<&str>) -> usize {
    let sides = [Side::engine(Engine::Interp), Side::after_rule(rule)];
    let mut agreed = 0;
    for seed in seeds {
        let generated = generate(&mut Choices::from_seed(seed), &Settings::default());
        let program = generated.program().unwrap();
        let args = bind(&program, generated.inputs.clone()).unwrap();
        match judge(&program, &args, [&sides[0], &sides[1]]) {
            Verdict::Agree => agreed += 1,
            Verdict::Refused(_) | Verdict::Unchanged => {}
            Verdict::Differ(how) => panic!("seed {seed}, {rule:?}: {how}\n{}", generated.text),
        }
    }
    agreed
}

#[test]
fn random_programs_keep_their_bits() {
    assert!(agree(0..1000, None) > 500);
}

/// The rule alone, on programs as fuzzing makes them: each finds something, some of them seldom.
#[test]
fn random_programs_keep_their_bits_rule_by_rule() {
    for (number, rule) in RULES.iter().enumerate() {
        let first = 50_000 + 10_000 * number as u64;
        let mut parts =
            (0..60).map(|part| agree(first + 150 * part..first + 150 * (part + 1), Some(rule.name)));
        assert!(parts.any(|agreed| agreed > 0), "{} never fires", rule.name);
    }
}

/// A product takes a matrix out of a stack of them without the view; a vector keeps its view, because a column of a matrix is a
/// matrix, too.
#[test]
fn products_take_matrices_without_their_views() {
    let product = |shape: &str, shown: &str, part: &str, result: &str| {
        format!(
            "
program stack(a: f64[3, 4, 4], b: f64[4, 4], c: f64[4, 4], d: f64[4]) {{
  transient view v: f64[{shape}]
  state main {{
    n0 = access a
    n1 = access v
    n2 = access b
    n3 = library mm \"dace.libraries.blas.nodes.matmul.MatMul\" (_a, _b) -> (_c)
    n4 = access {}
    n0 -> n1.views : a[{shown}] other [{part}]
    n1 -> n3._a : v[{part}]
    n2 -> n3._b : b[0:4, 0:4]
    n3._c -> n4 : {result}
  }}
}}",
            &result[..1]
        )
    };
    keeps_bits(&product("4, 4", "2, 0:4, 0:4", "0:4, 0:4", "c[0:4, 0:4]"), &["view_removal"]);
    for (shape, shown, part) in [("4", "2, 1, 0:4", "0:4"), ("4, 1", "2, 0:4, 1", "0:4, 0")] {
        let before = program(&product(shape, shown, part, "d[0:4]"));
        let (_, report) = after(&before, &["view_removal"]);
        assert_eq!(report.fired(), 0, "{shape} of {shown}");
    }
}

/// A reduction over the first dimension of a window is not one over the first dimension of the container.
#[test]
fn reductions_of_windows_keep_their_axes() {
    let text = "
program folded(a: f64[3, 4, 4], b: f64[4]) {
  state main {
    n0 = access a
    n1 = access b
    n2 = nested inner (x) -> (y) graph inner(x: f64[4, 4], y: f64[4]) {
      state only {
        m0 = access x
        m1 = access y
        f = library fold \"dace.libraries.standard.nodes.reduce.Reduce\" () -> () properties
            @{\"wcr\":\"lambda x, y: x + y\",\"axes\":[0],\"identity\":0}
        m0 -> f : x[0:4, 0:4]
        f -> m1 : y[0:4]
      }
    }
    n0 -> n2.x : a[1, 0:4, 0:4]
    n2.y -> n1 : b[0:4]
  }
}";
    let before = program(text);
    let (made, _) = after(&before, OPTIMIZE);
    for seed in 0..3 {
        let reference = run(&before, 4, seed);
        assert!(reference.is_ok(), "{reference:?}");
        assert_eq!(reference, run(&made, 4, seed));
    }
}
