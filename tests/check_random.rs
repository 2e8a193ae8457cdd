//! Random programs: they are valid, they mean the same on every engine, and they notice mistakes.

use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use proptest::prelude::*;

use pelton::check::evaluated;
use pelton::check::fuzz::{Plan, Subject, fuzz, sides_for};
use pelton::check::generate::{Choices, Coverage, Generated, GtirSettings, Settings, generate};
use pelton::check::mutate::{Mutant, kernel};
use pelton::check::side::{Side, Verdict, judge};
use pelton::exec::Engine;
use pelton::exec::bind::bind;
use pelton::front::pel;
use pelton::interp::{self, Options, Outcome};
use pelton::ir::Program;
use pelton::kernel::Kernel;
use pelton::memory::Arguments;

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

/// What is rare would hide behind the share of faults that the test above allows.
#[test]
fn rare_nodes_run_without_faults() {
    let mut seen = 0;
    for seed in 0..2000 {
        let generated = random(seed);
        if !generated.text.contains("consume_entry") {
            continue;
        }
        seen += 1;
        let program = generated.program().unwrap();
        let mut args = bind(&program, generated.inputs.clone()).unwrap();
        let ran = interp::Prepared::new(&program).unwrap().run(&mut args, &Options::default()).unwrap();
        assert!(matches!(ran, Outcome::Done(_)), "seed {seed}: {ran:?}\n{}", generated.text);
    }
    assert!(seen >= 20, "{seen}");
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
        "return",
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
    // Rarer ones, a few of each family.
    for family in [
        &["Gemv", "Ger", "Axpy"][..],
        &["Einsum", "TensorDot", "TensorTranspose"],
        &["CopyLibraryNode", "Broadcast", "CShift", "Norm2", "ArgMin", "ArgMax"],
        &["AllNode", "AnyNode", "CountLibraryNode", "MergeLibraryNode"],
        &["FFT", "IFFT", "Cholesky", "Inv", "Solve"],
    ] {
        let count: u64 = family.iter().map(|class| coverage.of(&format!("library {class}"))).sum();
        assert!(count >= 3, "{family:?} occur {count} times in\n{coverage}");
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
        subject: Subject::Sides(sides_for(Engine::Native)),
        out: None,
        failures: 3,
    };
    assert_agrees(&plan, 70);
}

/// Nothing fails, and at least so many of a hundred programs run on all sides.
fn assert_agrees(plan: &Plan, percent: u64) {
    let tally = fuzz(plan, &mut |_| {}).unwrap();
    let failures: Vec<String> =
        tally.failures.iter().map(|failure| format!("seed {}: {}", failure.seed, failure.what)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(tally.agreed * 100 >= tally.trials * percent, "{} of {} ran", tally.agreed, tally.trials);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes drive the generator: the program is valid, survives its text, and both engines agree.
    #[test]
    fn any_bytes_give_a_program_on_which_engines_agree(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let generated = Generated::arbitrary(&mut Unstructured::new(&bytes)).expect("any bytes will do");
        let program = generated.program().map_err(|error| TestCaseError::fail(format!("{error}\n{}", generated.text)))?;
        let printed = pel::print(&program);
        prop_assert_eq!(pel::print(&pel::parse(&printed).unwrap()), printed);
        let args = bind(&program, generated.inputs.clone()).unwrap();
        let [left, right] = sides_for(Engine::Native);
        let verdict = judge(&program, &args, [&left, &right]);
        prop_assert!(matches!(verdict, Verdict::Agree | Verdict::Refused(_)), "{verdict:?}\n{}", generated.text);
    }
}

/// GTIR programs mean the same to the oracle of the lowering, the interpreter and machine code.
#[test]
fn gtir_programs_agree_with_the_oracle() {
    let plan = Plan {
        seed: 0x617,
        trials: Some(u64::from(cases())),
        time: Some(Duration::from_secs(60)),
        settings: Settings::default(),
        subject: Subject::Gtir(GtirSettings::default()),
        out: None,
        failures: 3,
    };
    assert_agrees(&plan, 90);
}

/// Random programs with their arguments.
fn suite(seeds: std::ops::Range<u64>) -> Vec<(Program, Arguments<'static>)> {
    let one = |seed| {
        let generated = random(seed);
        let program = generated.program().ok()?;
        let args = bind(&program, generated.inputs.clone()).ok()?;
        Some((program, args))
    };
    seeds.filter_map(one).collect()
}

/// Mistakes that were planted, and what became of them.
#[derive(Default)]
struct Planted {
    killed: usize,
    survivors: Vec<String>,
}

impl Planted {
    /// Plants one; `judge` runs a program of the suite with it.
    fn plant(
        &mut self,
        name: &str,
        suite: &[(Program, Arguments<'static>)],
        judge: impl Fn(&Program, &Arguments<'_>) -> Verdict,
    ) {
        let mut applied = 0;
        for (program, args) in suite {
            match judge(program, args) {
                Verdict::Unchanged | Verdict::Refused(_) => {}
                Verdict::Differ(_) => {
                    self.killed += 1;
                    return;
                }
                Verdict::Agree => applied += 1,
            }
        }
        // Where nothing in the suite has the pattern, that is a hole and not a kill.
        self.survivors.push(format!("{name} survives {applied} programs"));
    }

    fn report(&self, what: &str) {
        let planted = self.killed + self.survivors.len();
        let rate = 100.0 * self.killed as f64 / planted as f64;
        println!("{} of {planted} planted mistakes of {what} are noticed: {rate:.1} %", self.killed);
        for survivor in &self.survivors {
            println!("  {survivor}");
        }
        assert!(rate >= 98.0, "{rate:.1} % of the mistakes are noticed:\n{}", self.survivors.join("\n"));
    }
}

/// The checks are checked: a hundred wrong rewrites, and how many of them some program of a small suite notices.
#[test]
fn planted_mistakes_are_noticed() {
    let suite = suite(0..3000);
    let interp = Side::engine(Engine::Interp);
    let mut planted = Planted::default();
    for mutant in Mutant::all() {
        let side = Side::mutated(mutant);
        let name = format!("{mutant} ({})", mutant.kind.describe());
        planted.plant(&name, &suite, |program, args| judge(program, args, [&interp, &side]));
    }
    assert!(Mutant::all().len() >= 100);
    planted.report("rewriting");
}

/// The same for mistakes of lowering, in kernels.
#[test]
fn planted_mistakes_of_kernels_are_noticed() {
    let suite = suite(0..400);
    let mut planted = Planted::default();
    for mutant in kernel::Mutant::all() {
        let change = |kernel: &mut Kernel| mutant.apply(kernel);
        let name = format!("{mutant} ({})", mutant.kind.describe());
        planted.plant(&name, &suite, |program, args| evaluated::judge(program, args, Some(&change)));
    }
    planted.report("lowering");
}

/// Kernels as they are give the interpreter's bits.
#[test]
fn the_evaluator_gives_the_bits_of_the_interpreter() {
    let suite = suite(0..400);
    let mut agreed = 0;
    for (seed, (program, args)) in suite.iter().enumerate() {
        match evaluated::judge(program, args, None) {
            Verdict::Differ(how) => panic!("program {seed}: {how}\n{}", pel::print(program)),
            Verdict::Agree => agreed += 1,
            Verdict::Refused(_) | Verdict::Unchanged => {}
        }
    }
    assert!(agreed * 10 >= suite.len() * 7, "{agreed} of {} ran", suite.len());
}
