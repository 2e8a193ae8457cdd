//! The arena from outside: its bound over the corpus, the same bits in every mode, no allocation in a steady call,
//! failing memory, and a workspace shared by programs and threads.

mod common;

use std::alloc::{GlobalAlloc, Layout};
use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use pelton::analysis::liveness::Class;
use pelton::back::native;
use pelton::check::bound_case::bound_case;
use pelton::check::{Case, Choices, find_cases, generate};
use pelton::exec::load::finish;
use pelton::exec::{Engine, Format, Options, Outcome, Prepared, bind};
use pelton::front::pel;
use pelton::interp::infer_symbols;
use pelton::ir::Program;
use pelton::memory::plan::ProgramPlan;
use pelton::memory::pool::{Block, Workspace};
use pelton::memory::{Arena, Arguments, Given, GivenArray, MemoryOptions};
use pelton::scalar::{DType, Scalar, Type};

use common::failing::FailAt;

/// Counts what the current thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: as the caller says.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { std::alloc::System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Programs of the corpus with their arguments; none, with a message, where there is no corpus.
fn corpus(suites: &[&str]) -> Vec<(String, Program, Arguments<'static>)> {
    let root = std::env::var_os("PELTON_CORPUS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")),
        PathBuf::from,
    );
    let folders: Vec<PathBuf> =
        suites.iter().map(|suite| root.join(suite)).filter(|dir| dir.is_dir()).collect();
    if folders.is_empty() {
        eprintln!("skipped: there is no corpus at {}", root.display());
        return Vec::new();
    }
    let mut programs = Vec::new();
    for folder in find_cases(&folders).unwrap() {
        let case = Case::open(&folder).unwrap();
        for program in case.programs(false) {
            if let Ok((graph, args)) = bound_case(&case, &program) {
                programs.push((format!("{}/{}{}", case.suite, case.name, program.suffix), graph, args));
            }
        }
    }
    programs
}

fn options(arena: Arena) -> Options {
    Options { memory: MemoryOptions { arena, ..MemoryOptions::default() }, ..Options::default() }
}

fn in_workspace(workspace: &Workspace) -> Options {
    let workspace = Some(workspace.clone());
    Options { memory: MemoryOptions { workspace, ..MemoryOptions::default() }, ..Options::default() }
}

fn copy(args: &Arguments<'_>) -> Arguments<'static> {
    let mut copy = Arguments::new();
    for buffer in args.buffers.values() {
        copy.buffers.push(pelton::memory::Buffer::Owned(buffer.bytes().to_vec()));
    }
    copy.bindings.clone_from(&args.bindings);
    copy
}

fn bytes(args: &Arguments<'_>) -> Vec<Vec<u8>> {
    args.buffers.values().map(|buffer| buffer.bytes().to_vec()).collect()
}

/// Peak within 5 % of the lower bound, and no two live transients in the same place.
#[test]
fn the_peak_is_near_the_lower_bound_on_the_whole_corpus() {
    let mut planned = 0;
    for (name, program, args) in corpus(&["npbench", "gt4py", "icon4py", "dace"]) {
        let known = infer_symbols(&program, &args).unwrap();
        let value = |name| known.get(&name).copied().map(Scalar::as_i64);
        let plan = ProgramPlan::of(&program, &value).unwrap();
        for slab in [&plan.shared, &plan.private] {
            assert!(slab.ratio() <= 1.05, "{name}: {:.3}", slab.ratio());
        }
        planned += assert_apart(&name, &plan);
    }
    println!("{planned} transients");
}

/// No two transients that are alive at one moment share a byte; how many there are.
fn assert_apart(name: &str, plan: &ProgramPlan) -> usize {
    let mut planned = 0;
    for class in [Class::Shared, Class::Private] {
        let placed: Vec<_> = plan
            .transients()
            .filter(|(transient, _)| transient.class == class)
            .filter_map(|(t, row)| Some((t.span?, row.offset?, row.bytes?, &t.path)))
            .collect();
        for (index, (span, offset, bytes, path)) in placed.iter().enumerate() {
            for (other_span, other, other_bytes, other_path) in &placed[..index] {
                let apart = offset + bytes <= *other || other + other_bytes <= *offset;
                assert!(apart || !span.meets(*other_span), "{name}: {path} and {other_path}");
            }
        }
        planned += placed.len();
    }
    planned
}

/// Random graphs with loops and branches: by their spans nothing that lives at one time overlaps, and when they run, in
/// checked mode, nobody finds somebody else's bytes, wherever transients lie: so the spans are right, too.
#[test]
fn no_two_live_transients_of_random_graphs_overlap() {
    let (mut planned, mut ran) = (0, 0);
    for (at, (name, program, args)) in random_programs(0..300).into_iter().enumerate() {
        let known = infer_symbols(&program, &args).unwrap();
        let value = |name| known.get(&name).copied().map(Scalar::as_i64);
        planned += assert_apart(&name, &ProgramPlan::of(&program, &value).unwrap());
        let run = |memory: MemoryOptions| {
            let prepared = Prepared::new(&program, Engine::Interp, true).unwrap();
            let options = Options { memory, checked: true, fuel: Some(1_000_000), ..Options::default() };
            prepared.run(&mut copy(&args), &options).unwrap()
        };
        let apart = run(MemoryOptions { arena: Arena::Off, ..MemoryOptions::default() });
        if !matches!(apart, Outcome::Done(_)) {
            continue;
        }
        for packing in [None, Some(at as u64)] {
            let memory = MemoryOptions { arena: Arena::Poison, packing, ..MemoryOptions::default() };
            let packed = run(memory);
            assert!(matches!(packed, Outcome::Done(_)), "{name}, packed by {packing:?}: {packed:?}");
        }
        ran += 1;
    }
    assert!(planned > 300 && ran > 200, "{planned} transients, {ran} runs");
}

/// Runs on, off and poisoned give the same bytes; so do a first and a second call.
fn same_bits_in_every_mode(
    engine: Engine,
    fuel: Option<u64>,
    programs: &[(String, Program, Arguments<'static>)],
) {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (name, program, args) in programs {
        let mut expected: Option<Vec<Vec<u8>>> = None;
        // The last one is a slab with everything in another place.
        let ways = [(Arena::Off, None), (Arena::On, None), (Arena::Poison, None), (Arena::Poison, Some(1))];
        for (arena, packing) in ways {
            let Ok(prepared) = Prepared::new(program, engine, fuel.is_some()) else { break };
            if prepared.engine() != engine {
                break;
            }
            let mut options = Options { fuel, ..options(arena) };
            options.memory.packing = packing;
            let mut given = copy(args);
            match prepared.run(&mut given, &options) {
                Ok(Outcome::Done(stats))
                    if stats.notes.iter().all(|note| !note.starts_with("interpreted")) => {}
                _ => break,
            }
            let found = bytes(&given);
            match &expected {
                None => expected = Some(found),
                Some(expected) if *expected == found => compared += 1,
                Some(_) => wrong.push(format!("{name} ({arena})")),
            }
        }
    }
    println!("{compared} runs compared on {engine}");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn machine_code_gives_the_same_bits_in_every_mode() {
    let programs = corpus(&["npbench", "gt4py", "icon4py", "dace"]);
    same_bits_in_every_mode(Engine::Native, None, &programs);
}

#[test]
fn the_interpreter_gives_the_same_bits_in_every_mode() {
    let programs = corpus(&["npbench", "gt4py", "icon4py", "dace"]);
    same_bits_in_every_mode(Engine::Interp, Some(60_000), &programs);
}

fn random_programs(seeds: std::ops::Range<u64>) -> Vec<(String, Program, Arguments<'static>)> {
    let mut programs = Vec::new();
    for seed in seeds {
        let generated = generate(&mut Choices::from_seed(seed), &Default::default());
        let Ok(program) = generated.program() else { continue };
        if let Ok(args) = bind::bind(&program, generated.inputs) {
            programs.push((format!("seed {seed}"), program, args));
        }
    }
    programs
}

#[test]
fn random_programs_give_the_same_bits_in_every_mode() {
    let programs = random_programs(0..60);
    assert!(programs.len() > 40);
    same_bits_in_every_mode(Engine::Interp, Some(1_000_000), &programs);
    same_bits_in_every_mode(Engine::Native, None, &programs);
}

/// Five maps, each of which reads what the one before wrote at the other end; four transients, of which two or three
/// are alive at once.
fn chain() -> Program {
    let text = "\
map i in 0:N { t[i] = a[i]*2 }
map i in 0:N { u[i] = t[N-1-i]+1 }
map i in 0:N { v[i] = u[N-1-i]*t[N-1-i] }
map i in 0:N { w[i] = v[N-1-i]+a[i] }
map i in 0:N { b[i] = w[N-1-i]+1 }
";
    let loaded = finish(pel::parse(text).unwrap(), Format::Pel, Vec::new());
    assert_eq!(loaded.errors().next(), None);
    loaded.program
}

/// Whether `b` is what [`chain`] makes of `a`.
fn is_right(a: &[f64], b: &[f64]) -> bool {
    let ends = a.iter().zip(a.iter().rev());
    ends.zip(b).all(|((&a, &other), &b)| b == (2.0 * a + 1.0) * (2.0 * other) + other + 1.0)
}

/// Something that runs [`chain`]. Machine code is made of the graph as it stands: the optimizer leaves no transient.
#[expect(clippy::large_enum_variant, reason = "a few values, in a test")]
enum Callee {
    Native(native::Compiled, Vec<String>),
    Interp(Prepared),
}

impl Callee {
    fn new(program: &Program, engine: Engine) -> Callee {
        let prepared = Prepared::new(program, Engine::Interp, false).unwrap();
        if engine == Engine::Interp {
            return Callee::Interp(prepared);
        }
        let compiled =
            native::Compiled::new(program, prepared.required(), &native::Options::default()).unwrap();
        assert_eq!(compiled.planned().buffers.len(), 4);
        Callee::Native(compiled, prepared.names().to_vec())
    }

    fn names(&self) -> &[String] {
        match self {
            Callee::Native(_, names) => names,
            Callee::Interp(prepared) => prepared.names(),
        }
    }

    /// # Safety
    /// As [`Prepared::run_given`].
    unsafe fn run(&self, given: &[Given<'_>], options: &Options) -> Result<(), &'static str> {
        match self {
            // SAFETY: as the caller says.
            Callee::Native(compiled, _) => match unsafe { compiled.call(given, 1, &options.memory) } {
                Ok(native::Outcome::Done) => Ok(()),
                Ok(native::Outcome::Trap(info)) => panic!("{}", info.message),
                Err(native::Unbound::Wrong(error)) => Err(error.code),
                Err(native::Unbound::Other(_)) => panic!("not the code for these arguments"),
            },
            // SAFETY: as the caller says.
            Callee::Interp(prepared) => match unsafe { prepared.run_given(given, options) } {
                Ok(Outcome::Done(_)) => Ok(()),
                Ok(Outcome::Trap(fault)) => panic!("{fault}"),
                Err(error) => Err(error.code),
            },
        }
    }
}

/// Calls [`chain`] on slices; the code of the error, if there is one.
fn call(prepared: &Callee, a: &mut [f64], b: &mut [f64], options: &Options) -> Result<(), &'static str> {
    let shape = [a.len()];
    let array = |values: &mut [f64]| GivenArray {
        address: values.as_mut_ptr().cast(),
        ty: Type::Scalar(DType::F64),
        shape: &[],
        strides: &[8],
    };
    let (mut a, mut b) = (array(a), array(b));
    a.shape = &shape;
    b.shape = &shape;
    let number = Given::Number(Scalar::I64(shape[0] as i64));
    let mut given = [Given::Absent; 8];
    for (place, name) in prepared.names().iter().enumerate() {
        given[place] = match name.as_str() {
            "a" => Given::Array(a),
            "b" => Given::Array(b),
            _ => number,
        };
    }
    // SAFETY: both slices are borrowed for the call.
    unsafe { prepared.run(&given[..prepared.names().len()], options) }
}

#[test]
fn a_steady_call_of_machine_code_allocates_nothing() {
    let program = chain();
    let prepared = Callee::new(&program, Engine::Native);
    let workspace = Workspace::new();
    let options = in_workspace(&workspace);
    for length in [5_000, 70_000] {
        let mut a: Vec<f64> = (0..length).map(f64::from).collect();
        let mut b = vec![0.0; a.len()];
        let mut counts = [0; 4];
        for count in &mut counts {
            let before = ALLOCATIONS.with(Cell::get);
            let outcome = call(&prepared, &mut a, &mut b, &options);
            *count = ALLOCATIONS.with(Cell::get) - before;
            assert_eq!(outcome, Ok(()));
        }
        assert!(is_right(&a, &b));
        assert_eq!(counts[2..], [0, 0], "{counts:?}");
    }
    let statistics = workspace.statistics();
    assert_eq!((statistics.calls, statistics.growths, statistics.leased), (8, 2, 0));
    assert!(statistics.plan_peak < statistics.plan_total, "{statistics:?}");
}

#[test]
fn a_call_without_memory_changes_nothing_and_the_next_one_works() {
    let program = chain();
    for engine in [Engine::Native, Engine::Interp] {
        for arena in [Arena::On, Arena::Off] {
            let mut failures = 0;
            for nth in 0..6 {
                let prepared = Callee::new(&program, engine);
                let workspace = Workspace::from_source(Box::new(FailAt(Arc::new(AtomicI64::new(nth)))));
                let memory = MemoryOptions { arena, workspace: Some(workspace), ..MemoryOptions::default() };
                let options = Options { memory, ..Options::default() };
                let mut a: Vec<f64> = (0..3000).map(f64::from).collect();
                let mut b = vec![-1.0; 3000];
                let mut failed = false;
                for _ in 0..3 {
                    b.fill(-1.0);
                    failed = false;
                    match call(&prepared, &mut a, &mut b, &options) {
                        Err(error) => {
                            failed = true;
                            failures += 1;
                            assert_eq!(error, "P0750");
                            assert!(b.iter().all(|&b| b == -1.0), "nothing is written");
                        }
                        Ok(()) => assert!(is_right(&a, &b)),
                    }
                }
                assert!(!failed, "the third call has memory");
            }
            // One slab, taken once; or a block per transient and call. The interpreter's own bytes come from elsewhere.
            let wanted = match (engine, arena) {
                (_, Arena::On) => 1,
                (Engine::Native, _) => 6,
                _ => 0,
            };
            assert_eq!(failures, wanted, "{engine} {arena}");
        }
    }
}

#[test]
fn memory_of_the_caller_has_to_suffice() {
    let program = chain();
    let known = |bytes: usize| Workspace::of_block(Block::new(bytes).unwrap());
    let (mut a, mut b) = (vec![1.0; 3000], vec![0.0; 3000]);
    let prepared = Callee::new(&program, Engine::Native);
    let mut sizes = Arguments::new();
    sizes.insert_scalar("N", Scalar::I64(3000));
    let peak = Prepared::new(&program, Engine::Native, false).unwrap().memory_needed(&sizes).unwrap();
    assert!((48_000..72_100).contains(&peak), "two or three of four transients: {peak}");
    let enough = in_workspace(&known(peak as usize));
    assert_eq!(call(&prepared, &mut a, &mut b, &enough), Ok(()));
    let too_little = in_workspace(&known(peak as usize - 64));
    assert_eq!(call(&prepared, &mut a, &mut b, &too_little), Err("P0751"));
}

/// Programs and threads that share a workspace, of growing or of fixed size, get their own results.
#[test]
fn threads_share_a_workspace() {
    let program = chain();
    for workspace in [Workspace::new(), Workspace::of_block(Block::new(1 << 20).unwrap())] {
        std::thread::scope(|scope| {
            for thread in 0..6_u32 {
                let (workspace, program) = (workspace.clone(), &program);
                scope.spawn(move || {
                    let engine = if thread % 3 == 0 { Engine::Interp } else { Engine::Native };
                    let prepared = Callee::new(program, engine);
                    let options = in_workspace(&workspace);
                    let rounds = if engine == Engine::Native { 60 } else { 6 };
                    for round in 0..rounds {
                        let length = 100 + (round * 997 + thread * 131) % 4000;
                        let mut a: Vec<f64> = (0..length).map(|n| f64::from(n + thread)).collect();
                        let mut b = vec![0.0; a.len()];
                        assert_eq!(call(&prepared, &mut a, &mut b, &options), Ok(()));
                        assert!(is_right(&a, &b));
                    }
                });
            }
        });
        assert_eq!(workspace.statistics().leased, 0);
    }
}

/// The command: a plan as JSON and as a picture, and a run that is refused.
#[test]
fn the_command_plans_and_refuses() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hdiff");
    let program = format!("{example}/program.sdfgz");
    let inputs = format!("{example}/inputs.npz");
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("plan.svg");
    let pelton = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_pelton")).args(arguments).output().unwrap()
    };
    let svg = picture.to_str().unwrap();
    let planned =
        pelton(&["plan", &program, "--set", "I=8", "--set", "J=6", "--set", "K=3", "--json", "--svg", svg]);
    let report: serde_json::Value = serde_json::from_slice(&planned.stdout).unwrap();
    let number = |key: &str| report[key].as_u64().unwrap();
    assert!(planned.status.success());
    assert!(0 < number("lower_bound") && number("lower_bound") <= number("peak"), "{report}");
    assert!(number("peak") < number("total"), "{report}");
    let drawn = std::fs::read_to_string(picture).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.contains("lower bound"));
    let missing = pelton(&["plan", &program]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("P0752"));
    let limit =
        |bytes: u64| pelton(&["run", &program, "--inputs", &inputs, "--memory-limit", &bytes.to_string()]);
    let refused = limit(1);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("P0751") && text.contains(" for `"), "{text}");
    assert!(limit(1 << 30).status.success());
}
