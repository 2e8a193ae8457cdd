//! What programs mean: small programs in text, run by the interpreter, with the answer worked out by hand.

mod common;

use pelton::interp::{Options, Outcome, Prepared};
use pelton::ir::{Contract, Program};
use pelton::memory::{Arguments, Binding};
use pelton::scalar::{DType, Scalar, Type};

use common::small::{doubles, program, read};

fn run(program: &Program, args: &mut Arguments<'_>) {
    let mut prepared = Prepared::new(program).unwrap_or_else(|problem| panic!("{problem}"));
    match prepared.run(args, &Options::default()) {
        Ok(Outcome::Done(_)) => {}
        Ok(Outcome::Trap(fault)) => panic!("{fault}"),
        Err(problem) => panic!("{problem}"),
    }
}

#[test]
fn maps_run_every_point_and_symbols_come_from_shapes() {
    let program = program(
        "program p(a: f64[N, M], b: f64[N, M], N: i64 symbol, M: i64 symbol) {
           map i in 0:N, j in 0:M { b[i, j] = a[i, j] * 10 + i + j }
         }",
    );
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    doubles(&mut args, "b", &[2, 3], &[0.0; 6]);
    run(&program, &mut args);
    assert_eq!(read(&args, "b"), [0.0, 11.0, 22.0, 31.0, 42.0, 53.0]);
}

#[test]
fn later_ranges_depend_on_earlier_parameters_and_steps_count() {
    let program = program(
        "program p(a: f64[8], N: i64 symbol) {
           map i in 0:N:3, j in i:N { a[j] += 1 }
         }",
    );
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[8], &[0.0; 8]);
    args.insert_scalar("N", Scalar::I64(8));
    run(&program, &mut args);
    assert_eq!(read(&args, "a"), [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0]);
}

#[test]
fn loops_break_and_continue() {
    let program = program(
        "program p(a: f64[10]) {
           for i in 0:10 {
             if i == 2 { continue }
             if i == 5 { break }
             a[i] = i
           }
         }",
    );
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[10], &[-1.0; 10]);
    run(&program, &mut args);
    assert_eq!(read(&args, "a"), [0.0, 1.0, -1.0, 3.0, 4.0, -1.0, -1.0, -1.0, -1.0, -1.0]);
}

#[test]
fn interstate_edges_read_arrays() {
    let program = program(
        "program p(a: f64[4], out: f64[1]) {
           state first { }
           state second { t = tasklet t () -> (o) { o = k } w = access out t.o -> w : out[0] }
           first -> second { k = a[2] + 1 }
         }",
    );
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[4], &[0.0, 0.0, 41.0, 0.0]);
    doubles(&mut args, "out", &[1], &[0.0]);
    run(&program, &mut args);
    assert_eq!(read(&args, "out"), [42.0]);
}

#[test]
fn copies_reshape_in_element_order() {
    let program = program(
        "program p(a: f64[2, 6], b: f64[3, 4]) {
           state main { x = access a y = access b x -> y : a[0:2, 0:6] }
         }",
    );
    let mut args = Arguments::new();
    let numbers: Vec<f64> = (0..12).map(f64::from).collect();
    doubles(&mut args, "a", &[2, 6], &numbers);
    doubles(&mut args, "b", &[3, 4], &[0.0; 12]);
    run(&program, &mut args);
    assert_eq!(read(&args, "b"), numbers);
}

#[test]
fn copies_squeeze_and_keep_to_their_subsets() {
    let program = program(
        "program p(a: f64[4, 4], b: f64[6]) {
           state main { x = access a y = access b x -> y : a[2, 0:4] other [1:5] }
         }",
    );
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[4, 4], &(0..16).map(f64::from).collect::<Vec<_>>());
    doubles(&mut args, "b", &[6], &[-1.0; 6]);
    run(&program, &mut args);
    assert_eq!(read(&args, "b"), [-1.0, 8.0, 9.0, 10.0, 11.0, -1.0]);
}

#[test]
fn a_callers_strides_are_honoured() {
    let program =
        program("program p(a: f64[2, 3], b: f64[2, 3]) { map i in 0:2, j in 0:3 { b[i, j] = a[i, j] } }");
    let mut args = Arguments::new();
    doubles(&mut args, "a", &[2, 3], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    doubles(&mut args, "b", &[2, 3], &[0.0; 6]);
    let Some(Binding::Array { strides, .. }) = args.bindings.get_mut("a") else { unreachable!() };
    *strides = vec![8, 16];
    run(&program, &mut args);
    assert_eq!(read(&args, "b"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
}

const NESTED: &str = "program p(A: f64[8], B: f64[8]) {
   state main {
     a = access A
     b = access B
     n = nested inner (x) -> (y) graph g(x: f64[SIZE], y: f64[SIZE]) {
       state s {
         r = access x
         w = access y
         t = tasklet t (i) -> (o) { o = i + 1 }
         r -> t.i : x[INDEX]
         t.o -> w : y[INDEX]
       }
     }
     a -> n.x : A[4:8]
     n.y -> b : B[4:8]
   }
 }";

#[test]
fn whole_contract_means_absolute_indices() {
    let mut program = program(&NESTED.replace("SIZE", "8").replace("INDEX", "5"));
    program.contract = Contract::Whole;
    let mut args = Arguments::new();
    doubles(&mut args, "A", &[8], &(0..8).map(f64::from).collect::<Vec<_>>());
    doubles(&mut args, "B", &[8], &[0.0; 8]);
    run(&program, &mut args);
    assert_eq!(read(&args, "B"), [0.0, 0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0]);
}

#[test]
fn window_contract_means_relative_indices() {
    let mut program = program(&NESTED.replace("SIZE", "4").replace("INDEX", "1"));
    program.contract = Contract::Window;
    let mut args = Arguments::new();
    doubles(&mut args, "A", &[8], &(0..8).map(f64::from).collect::<Vec<_>>());
    doubles(&mut args, "B", &[8], &[0.0; 8]);
    run(&program, &mut args);
    assert_eq!(read(&args, "B"), [0.0, 0.0, 0.0, 0.0, 0.0, 6.0, 0.0, 0.0]);
}

#[test]
fn views_alias_with_their_own_strides() {
    let program = program(
        "program p(A: f64[2, 3], B: f64[6]) {
           transient view V: f64[6]
           state main {
             a = access A
             v = access V
             b = access B
             a -> v.views : A[0:2, 0:3]
             v -> b : V[0:6]
           }
         }",
    );
    let mut args = Arguments::new();
    doubles(&mut args, "A", &[2, 3], &[5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
    doubles(&mut args, "B", &[6], &[0.0; 6]);
    run(&program, &mut args);
    assert_eq!(read(&args, "B"), [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
}

#[test]
fn persistent_content_survives_between_calls() {
    let program = program(
        "program p(out: f64[1]) {
           transient count: f64[1] lifetime(persistent)
           state main {
             c = access count
             t = tasklet t (i) -> (o, r) { o = i + 1
               r = i + 1 }
             d = access count
             w = access out
             c -> t.i : count[0]
             t.o -> d : count[0]
             t.r -> w : out[0]
           }
         }",
    );
    let mut prepared = Prepared::new(&program).unwrap();
    for call in 1..=3 {
        let mut args = Arguments::new();
        doubles(&mut args, "out", &[1], &[0.0]);
        assert!(matches!(prepared.run(&mut args, &Options::default()), Ok(Outcome::Done(_))));
        assert_eq!(read(&args, "out"), [f64::from(call)]);
    }
}

#[test]
fn the_same_run_gives_the_same_bits() {
    // `t` is never written: unchecked runs see zeros, whatever ran before.
    let program = program("program p(out: f64[3]) { transient t: f64[3] map i in 0:3 { out[i] = t[i] } }");
    let mut prepared = Prepared::new(&program).unwrap();
    for _ in 0..2 {
        let mut args = Arguments::new();
        doubles(&mut args, "out", &[3], &[9.0; 3]);
        assert!(matches!(prepared.run(&mut args, &Options::default()), Ok(Outcome::Done(_))));
        assert_eq!(read(&args, "out"), [0.0; 3]);
    }
}

#[test]
fn written_elements_are_told() {
    let program = program("program p(__return: f64[4]) { map i in 1:3 { __return[i] = 7 } }");
    let mut args = Arguments::new();
    doubles(&mut args, "__return", &[4], &[0.0; 4]);
    let options = Options { track_written: true, ..Options::default() };
    let Ok(Outcome::Done(stats)) = Prepared::new(&program).unwrap().run(&mut args, &options) else {
        panic!("did not run")
    };
    assert_eq!(stats.written["__return"], [false, true, true, false]);
}

#[test]
fn wrong_arguments_are_described() {
    let program = program(
        "program p(a: f64[N], b: f64[N, 2], N: i64 symbol, K: i64 symbol) { map i in 0:K { a[i] = b[i, 0] } }",
    );
    let complaint = |args: &mut Arguments<'_>| {
        Prepared::new(&program).unwrap().run(args, &Options::default()).unwrap_err().code
    };
    let mut missing = Arguments::new();
    doubles(&mut missing, "a", &[4], &[0.0; 4]);
    doubles(&mut missing, "b", &[4, 2], &[0.0; 8]);
    assert_eq!(complaint(&mut missing), "P0401");
    let mut shape = Arguments::new();
    doubles(&mut shape, "a", &[4], &[0.0; 4]);
    doubles(&mut shape, "b", &[3, 2], &[0.0; 6]);
    shape.insert_scalar("K", Scalar::I64(1));
    assert_eq!(complaint(&mut shape), "P0402");
    let mut dtype = Arguments::new();
    doubles(&mut dtype, "b", &[4, 2], &[0.0; 8]);
    dtype.insert_array("a", Type::Scalar(DType::I64), 8, &[4], vec![0; 32]);
    dtype.insert_scalar("K", Scalar::I64(1));
    assert_eq!(complaint(&mut dtype), "P0403");
}
