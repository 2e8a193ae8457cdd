//! Seeded mistakes: each kind is caught by checked mode, with the node and the index, and the correct twin of
//! each program runs without alarm.

use pelton::front::pel;
use pelton::interp::{Fault, FaultKind, Options, Outcome, Prepared};
use pelton::memory::{Arguments, Binding};
use pelton::scalar::{Type, lower};

fn outcome(text: &str, options: &Options) -> Outcome {
    let mut program = pel::parse(text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
    let problems = lower::lower_program(&mut program);
    assert!(problems.iter().all(|problem| !problem.is_error()), "{problems:?}");
    let mut args = Arguments::new();
    for (name, shape) in [("a", [8, 1]), ("b", [8, 1]), ("s", [1, 1])] {
        let shape = &shape[..1];
        args.insert_array(name, Type::F64, 8, shape, vec![0; 8 * shape[0]]);
    }
    Prepared::new(&program).unwrap().run(&mut args, options).unwrap_or_else(|problem| panic!("{problem}"))
}

fn checked(text: &str) -> Outcome {
    outcome(text, &Options { checked: true, fuel: Some(100_000), ..Options::default() })
}

fn fault(text: &str) -> Fault {
    match checked(text) {
        Outcome::Trap(fault) => fault,
        Outcome::Done(_) => panic!("no alarm for\n{text}"),
    }
}

fn silent(text: &str) {
    if let Outcome::Trap(fault) = checked(text) {
        panic!("false alarm: {fault}\n{text}");
    }
}

const HEAD: &str = "program p(a: f64[8], b: f64[8], s: f64[1])";

#[test]
fn a_shifted_memlet() {
    silent(&format!("{HEAD} {{ map i in 0:7 {{ b[i] = a[i + 1] }} }}"));
    let fault = fault(&format!("{HEAD} {{ map i in 0:8 {{ b[i] = a[i + 1] }} }}"));
    assert_eq!(fault.kind, FaultKind::OutOfBounds);
    assert_eq!(fault.index, [8]);
    assert!(fault.message.contains("a[") && fault.message.contains("0..8"), "{}", fault.message);
    assert!(fault.place.iter().any(|place| place.contains("node")), "{:?}", fault.place);
}

#[test]
fn a_wild_index_is_caught_without_checks() {
    let text = format!("{HEAD} {{ map i in 0:8 {{ b[i] = a[1000 * i + 1000] }} }}");
    match outcome(&text, &Options::default()) {
        Outcome::Trap(fault) => assert_eq!(fault.kind, FaultKind::OutOfBounds),
        Outcome::Done(_) => panic!("no alarm"),
    }
}

#[test]
fn a_dropped_conflict_resolution() {
    silent(&format!("{HEAD} {{ map i in 0:8 {{ s[0] += a[i] }} }}"));
    let fault = fault(&format!("{HEAD} {{ map i in 0:8 {{ s[0] = a[i] }} }}"));
    assert_eq!(fault.kind, FaultKind::Race);
}

#[test]
fn a_race_between_reads_and_writes() {
    silent(&format!("{HEAD} {{ map i in 0:8 {{ b[i] = b[i] + 1 }} }}"));
    for neighbour in ["i - 1", "i + 1"] {
        let text = format!("{HEAD} {{ map i in 1:7 {{ b[i] = b[{neighbour}] }} }}");
        assert_eq!(fault(&text).kind, FaultKind::Race, "{neighbour}");
    }
    // In a sequential map the order is defined.
    silent(&format!("{HEAD} {{ map i in 1:7 sequential {{ b[i] = b[i - 1] }} }}"));
}

#[test]
fn a_race_with_a_reader_that_was_not_the_last() {
    // Iteration 3 writes what 0 to 3 read: the last reader is the writer itself.
    let text = format!(
        "{HEAD} {{ map i in 0:4 {{
            b[i] = a[3]
            map j in 3:i + 1 {{ a[j] = b[i] }}
         }} }}"
    );
    let fault = fault(&text);
    assert_eq!(fault.kind, FaultKind::Race, "{fault}");
    assert!(fault.message.contains("writes what another read"), "{fault}");
    silent(&format!(
        "{HEAD} {{ map i in 0:4 {{
            b[i] = a[i]
            map j in i:i + 1 {{ a[j] = b[i] }}
         }} }}"
    ));
}

#[test]
fn a_race_between_resolved_and_plain_accesses() {
    silent(&format!("{HEAD} {{ map i in 0:8 {{\n a[i] = 1\n a[i] += 2\n b[i] = a[i] }} }}"));
    let reads = fault(&format!("{HEAD} {{ map i in 0:8 {{\n s[0] += a[i]\n b[i] = s[0] }} }}"));
    assert_eq!(reads.kind, FaultKind::Race, "{reads}");
    let writes =
        fault(&format!("{HEAD} {{ map i in 0:8 {{\n s[0] += a[i]\n map j in 0:1 {{ s[0] = b[i] }} }} }}"));
    assert_eq!(writes.kind, FaultKind::Race, "{writes}");
}

#[test]
fn an_uninitialised_read() {
    let text = |range: &str| {
        format!(
            "{HEAD} {{
               transient t: f64[8]
               map i in {range} {{ t[i] = a[i] }}
               map i in 0:8 {{ b[i] = t[i] }}
             }}"
        )
    };
    silent(&text("0:8"));
    let fault = fault(&text("0:7"));
    assert_eq!(fault.kind, FaultKind::Undefined);
    assert_eq!(fault.message.matches("`b`").count(), 1, "{}", fault.message);
}

#[test]
fn poison_that_goes_nowhere_is_silent() {
    silent(&format!(
        "{HEAD} {{
           transient t: f64[8]
           transient u: f64[8]
           map i in 0:8 {{ u[i] = t[i] * 2 }}
           map i in 0:8 {{ b[i] = a[i] }}
         }}"
    ));
}

#[test]
fn poison_in_a_condition() {
    let fault = fault(&format!(
        "{HEAD} {{
           transient t: f64[1]
           if t[0] > 1 {{ b[0] = 1 }}
         }}"
    ));
    assert_eq!(fault.kind, FaultKind::Undefined);
}

#[test]
fn a_swapped_range() {
    // Written with the step the wrong way round, the range never moves forward.
    let fault = fault(&format!("{HEAD} {{ map i in 7:0:-1 {{ b[i] = 1 }} }}"));
    assert_eq!(fault.kind, FaultKind::BadStep);
}

#[test]
fn a_negative_size() {
    let fault = fault(&format!(
        "{HEAD} {{
           transient t: f64[n - 1]
           for n in 0:2 {{
             map i in 0:n - 1 {{ t[i] = 1 }}
           }}
         }}"
    ));
    assert_eq!(fault.kind, FaultKind::NegativeSize);
}

#[test]
fn a_loop_that_never_ends() {
    let fault = fault(&format!("{HEAD} {{ while 1 > 0 {{ b[0] = 1 }} }}"));
    assert_eq!(fault.kind, FaultKind::Fuel);
}

#[test]
fn a_division_by_zero() {
    let fault = fault(&format!("{HEAD} {{ map i in 0:8 {{ b[i] = 7 // i }} }}"));
    assert_eq!(fault.kind, FaultKind::DivisionByZero);
}

#[test]
fn arguments_that_share_memory_are_told() {
    let mut program =
        pel::parse("program p(a: f64[4], b: f64[4]) { map i in 0:4 sequential { b[i] = a[i] + 1 } }")
            .unwrap();
    assert!(lower::lower_program(&mut program).is_empty());
    let run = |distance: usize| {
        let mut args = Arguments::new();
        args.insert_array("a", Type::F64, 8, &[4], vec![0; 64]);
        let mut other = args.get("a").cloned().unwrap();
        if let Binding::Array { offset, .. } = &mut other {
            *offset = distance;
        }
        args.bindings.insert("b".into(), other);
        match Prepared::new(&program).unwrap().run(&mut args, &Options::default()).unwrap() {
            Outcome::Done(stats) => {
                let last = args.buffers.values().next().unwrap().bytes()[56..64].try_into().unwrap();
                (stats.notes, f64::from_le_bytes(last))
            }
            Outcome::Trap(fault) => panic!("{fault}"),
        }
    };
    let (notes, last) = run(8);
    assert_eq!((notes.len(), last), (1, 0.0), "{notes:?}");
    assert!(notes[0].contains("`a` and `b` share memory"), "{notes:?}");
    let (notes, last) = run(32);
    assert_eq!((notes.len(), last), (0, 1.0), "{notes:?}");
}
