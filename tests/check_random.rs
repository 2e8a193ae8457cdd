//! Random programs: they are valid, they mean the same on every engine, and they notice mistakes.

use std::time::Duration;

use proptest::prelude::*;

use pelton::check::fuzz::{Plan, fuzz, sides_for};
use pelton::check::generate::{Choices, Coverage, Generated, Settings, generate};
use pelton::check::mutate::{Kind, Mutant};
use pelton::check::side::{Side, Verdict, judge};
use pelton::exec::Engine;
use pelton::exec::bind::bind;
use pelton::front::pel;
use pelton::interp::{self, Options, Outcome};

fn random(seed: u64) -> Generated {
    generate(&mut Choices::from_seed(seed), &Settings::default())
}

fn cases() -> u32 {
    let given = std::env::var("PELTON_PROPTEST_CASES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(200)
}

/// Valid, and free of faults: also in checked mode, where races, reads of undefined elements and indices out of range
/// are faults.
#[test]
fn programs_are_valid_and_free_of_hazards() {
    let mut faults = Vec::new();
    let count = 400;
    for seed in 0..count {
        let generated = random(seed);
        let program =
            generated.program().unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", generated.text));
        let mut args = bind(&program, generated.inputs.clone()).unwrap();
        let options = Options { checked: true, fuel: Some(2_000_000), ..Options::default() };
        let outcome =
            interp::Prepared::new(&program).and_then(|mut prepared| prepared.run(&mut args, &options));
        match outcome.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{}", generated.text)) {
            Outcome::Done(_) => {}
            Outcome::Trap(fault) => faults.push(format!("seed {seed}: {fault:?}")),
        }
    }
    // The rate is kept low by construction; what is left are reads that checked mode cannot know to be defined.
    assert!(faults.len() * 50 <= count as usize, "{} of {count}:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_seed_gives_one_program() {
    for seed in 0..20 {
        let (first, second) = (random(seed), random(seed));
        assert_eq!(first.text, second.text);
        assert_eq!(format!("{:?}", first.inputs), format!("{:?}", second.inputs));
    }
}

#[test]
fn every_kind_of_node_occurs() {
    let mut coverage = Coverage::default();
    for seed in 0..1500 {
        coverage.add(&random(seed).program().unwrap());
    }
    for kind in [
        "tasklet",
        "map",
        "sequential map",
        "nested graph",
        "consume scope",
        "access node",
        "conflict resolution",
        "library Reduce",
        "library Transpose",
        "library MatMul",
        "library Dot",
        "library FillLibraryNode",
        "view",
        "reference",
        "stream",
        "array",
        "scalar",
        "state",
        "loop",
        "inverted loop",
        "conditional",
        "region",
        "break",
        "continue",
        "symbol assignment",
        "type float64",
        "type float32",
        "type int64",
        "type int32",
        "type bool",
        "type complex128",
        "type float16",
        "type uint8",
    ] {
        assert!(coverage.of(kind) >= 3, "{kind} occurs {} times in\n{coverage}", coverage.of(kind));
    }
    let per_program = coverage.nodes as f64 / coverage.programs as f64;
    assert!((5.0..30.0).contains(&per_program), "{per_program} nodes per program");
}

#[test]
fn native_gives_the_bits_of_the_interpreter() {
    let plan = Plan {
        seed: 0x5EED,
        trials: Some(u64::from(cases())),
        time: Some(Duration::from_secs(60)),
        settings: Settings::default(),
        sides: sides_for(Engine::Native),
        out: None,
        failures: 3,
    };
    let tally = fuzz(&plan, &mut |_| {}).unwrap();
    let failures: Vec<String> =
        tally.failures.iter().map(|failure| format!("seed {}: {}", failure.seed, failure.what)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tally.agreed * 10 >= tally.trials * 7, "{} of {} ran", tally.agreed, tally.trials);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes drive the generator: the program is valid, survives its text, and both engines agree.
    #[test]
    fn any_bytes_give_a_program_on_which_engines_agree(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let generated = generate(&mut Choices::from_bytes(&bytes), &Settings::default());
        let program = generated.program().map_err(|error| TestCaseError::fail(format!("{error}\n{}", generated.text)))?;
        let printed = pel::print(&program);
        prop_assert_eq!(pel::print(&pel::parse(&printed).unwrap()), printed);
        let args = bind(&program, generated.inputs.clone()).unwrap();
        let [left, right] = sides_for(Engine::Native);
        let verdict = judge(&program, &args, [&left, &right]);
        prop_assert!(matches!(verdict, Verdict::Agree | Verdict::Refused(_)), "{verdict:?}\n{}", generated.text);
    }
}

/// The checks are checked: a hundred wrong rewrites, and how many of them some program of a small suite notices.
#[test]
fn planted_mistakes_are_noticed() {
    let suite: Vec<_> = (0..2000)
        .filter_map(|seed| {
            let generated = random(seed);
            let program = generated.program().ok()?;
            let args = bind(&program, generated.inputs.clone()).ok()?;
            Some((program, args))
        })
        .collect();
    let interp = Side::engine(Engine::Interp);
    let (mut killed, mut planted, mut survivors) = (0, 0, Vec::new());
    for mutant in Mutant::all() {
        let side = Side::mutated(mutant);
        let mut applied = 0;
        let mut noticed = false;
        for (program, args) in &suite {
            match judge(program, args, [&interp, &side]) {
                Verdict::Unchanged => {}
                Verdict::Differ(_) => {
                    noticed = true;
                    applied += 1;
                    break;
                }
                _ => applied += 1,
            }
        }
        if applied == 0 {
            // Nothing in the suite has the pattern: that is a hole, not a kill.
            survivors.push(format!("{mutant} applies to nothing"));
            planted += 1;
        } else {
            planted += 1;
            killed += usize::from(noticed);
            if !noticed {
                survivors.push(format!("{mutant} ({}) survives {applied} programs", mutant.kind.describe()));
            }
        }
    }
    let rate = 100.0 * f64::from(killed as u32) / f64::from(planted);
    println!("{killed} of {planted} planted mistakes of {} kinds are noticed: {rate:.1} %", Kind::ALL.len());
    for survivor in &survivors {
        println!("  {survivor}");
    }
    assert!(planted >= 100);
    assert!(rate >= 98.0, "{rate:.1} % of the mistakes are noticed; survivors:\n{}", survivors.join("\n"));
}
