//! Machine code against the interpreter: over the corpus, both leave the same bits.
//!
//! Each program runs once under the interpreter and under machine code in every way there is: both tiers, one thread and
//! several, vectors of 128, 256 and (where the machine has them) 512 bits and none, whole and in pieces. Every buffer of
//! the call is compared byte by byte (NaNs compare equal whatever their payload). Programs that end otherwise are in [`EXCEPTIONS`] with the reason; another
//! one, or one that is no exception any more, fails. A crash of machine code ends only the child process that runs
//! the cases.
//!
//! `NATIVE_ONLY=text` runs cases whose path contains the text; `NATIVE_VERBOSE=1` prints every case;
//! `NATIVE_FUEL=steps` is how long the interpreter may take.

mod common;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use pelton::exec::engine::{Engine, Prepared};
use pelton::exec::{Settings, Tier};
use pelton::exec::{bind, load, npz};
use pelton::interp;
use pelton::ir::Program;
use pelton::memory::{Arguments, Binding};
use pelton::scalar::{DType, Type};

fn main() {
    let Some(root) = common::corpus() else { return };
    let only = std::env::var("NATIVE_ONLY").unwrap_or_default();
    let mut cases = Vec::new();
    for suite in ["dace", "npbench"] {
        let Ok(entries) = std::fs::read_dir(root.join(suite)) else { continue };
        for entry in entries.flatten() {
            for file in ["program.sdfgz", "optimized.sdfgz"] {
                let path = entry.path().join(file);
                if path.is_file() && path.to_string_lossy().contains(&only) {
                    cases.push(path);
                }
            }
        }
    }
    cases.sort();
    if let Ok(start) = std::env::var("NATIVE_CHILD") {
        child(&cases, start.parse().unwrap_or(0));
        return;
    }
    let mut verdicts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut at = 0;
    while at < cases.len() {
        let output = Command::new(std::env::current_exe().expect("own path"))
            .env("NATIVE_CHILD", at.to_string())
            .stdout(Stdio::piped())
            .output()
            .expect("child runs");
        let text = String::from_utf8_lossy(&output.stdout);
        for line in text.lines() {
            let Some(verdict) = line.strip_prefix("VERDICT ") else { continue };
            let (kind, detail) = verdict.split_once(' ').unwrap_or((verdict, ""));
            verdicts.entry(kind.to_owned()).or_default().push(format!("{}: {detail}", show(&cases[at])));
            at += 1;
        }
        if at < cases.len() {
            verdicts.entry("crash".to_owned()).or_default().push(format!(
                "{}: {}",
                show(&cases[at]),
                output.status
            ));
            at += 1;
        }
    }
    for (kind, list) in &verdicts {
        if kind != "same" || std::env::var_os("NATIVE_VERBOSE").is_some() {
            for line in list {
                println!("{kind} {line}");
            }
        }
    }
    println!();
    for (kind, list) in &verdicts {
        println!("{kind}: {}", list.len());
    }
    let known = |case: &str| EXCEPTIONS.iter().find(|(name, _)| case.starts_with(&format!("{name}:")));
    let mut bad = 0;
    for (kind, list) in &verdicts {
        let is_failure = matches!(kind.as_str(), "differs" | "crash" | "error");
        let listed = |case: &str| known(case).is_some() && !is_failure;
        let more_fuel = kind == "same" && std::env::var_os("NATIVE_FUEL").is_some();
        for case in list.iter().filter(|case| listed(case) == (kind == "same") && !more_fuel) {
            println!("not as listed: {kind} {case}");
            bad += 1;
        }
    }
    if bad > 0 {
        std::process::exit(1);
    }
}

/// Cases that are not compared with the interpreter in every way, and why.
const EXCEPTIONS: [(&str, &str); 2] =
    [("npbench/chanflow/optimized.sdfgz", TOO_LONG), ("npbench/chanflow/program.sdfgz", TOO_LONG)];

const TOO_LONG: &str = "it takes the interpreter too many steps; NATIVE_FUEL=10000000000 compares it";

fn show(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(3).map(|part| part.to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

fn child(cases: &[PathBuf], start: usize) {
    for case in &cases[start.min(cases.len())..] {
        let verdict = match run(case) {
            Ok(verdict) | Err(verdict) => verdict,
        };
        println!("VERDICT {}", verdict.replace('\n', " "));
        let _ = std::io::stdout().flush();
    }
}

/// A way to run machine code.
#[derive(Clone, Copy, Debug)]
struct Way {
    tier: Tier,
    threads: usize,
    vector_bits: u32,
    /// Split every loop that may be between threads, and code in pieces of a few statements.
    always_split: bool,
    /// Code for any sizes, not for those of the call.
    any_sizes: bool,
}

impl Way {
    const fn new(tier: Tier, threads: usize, vector_bits: u32, always_split: bool) -> Way {
        Way { tier, threads, vector_bits, always_split, any_sizes: false }
    }

    const fn for_any_sizes(self) -> Way {
        Way { any_sizes: true, ..self }
    }

    fn settings(self) -> Settings {
        Settings {
            tier: self.tier,
            threads: Some(self.threads),
            vector_bits: Some(self.vector_bits),
            always_split: self.always_split,
            any_sizes: self.any_sizes,
            ..Settings::default()
        }
    }
}

/// Every way that has to give the interpreter's bits.
const WAYS: [Way; 12] = [
    Way::new(Tier::Best, 2, 512, true),
    Way::new(Tier::Best, 1, 512, false).for_any_sizes(),
    Way::new(Tier::Best, 2, 256, true).for_any_sizes(),
    Way::new(Tier::Best, 1, 256, false),
    Way::new(Tier::Best, 2, 128, true),
    Way::new(Tier::Best, 1, 128, false).for_any_sizes(),
    Way::new(Tier::Fast, 2, 256, true).for_any_sizes(),
    Way::new(Tier::Fast, 1, 256, false),
    Way::new(Tier::Fast, 2, 128, true),
    Way::new(Tier::Fast, 1, 128, false).for_any_sizes(),
    Way::new(Tier::Fast, 3, 0, true),
    Way::new(Tier::Best, 1, 0, false).for_any_sizes(),
];

/// Steps after which the interpreter is stopped.
fn fuel() -> u64 {
    std::env::var("NATIVE_FUEL").ok().and_then(|text| text.parse().ok()).unwrap_or(30_000_000)
}

fn run(path: &Path) -> Result<String, String> {
    let skipped = |what: &str, error: &dyn std::fmt::Display| format!("skipped {what}: {error}");
    let loaded = load(path).map_err(|error| skipped("load", &error))?;
    let mut program = loaded.program;
    pelton::scalar::lower::lower_program(&mut program);
    let program = Arc::new(program);
    let folder = path.parent().expect("a case folder");
    let inputs = npz::read(&folder.join("inputs.npz")).map_err(|error| skipped("inputs", &error))?;
    let bind = || bind::bind(&program, inputs.clone()).map_err(|error| skipped("bind", &error));
    let mut expected = bind()?;
    let options = interp::Options { fuel: Some(fuel()), track_written: true, ..interp::Options::default() };
    let oracle = interp::Prepared::new(&program)
        .and_then(|mut prepared| prepared.run(&mut expected, &options))
        .map_err(|error| skipped("interp", &error))?;
    let mut stats = match oracle {
        interp::Outcome::Done(stats) => Some(stats),
        interp::Outcome::Trap(fault) if fault.kind == interp::FaultKind::Fuel => None,
        interp::Outcome::Trap(fault) => {
            let way = WAYS[0];
            let prepared = Prepared::with(Arc::clone(&program), Engine::Native, false, way.settings())
                .map_err(|error| format!("error {error}"))?;
            return Ok(match prepared.run(&mut bind()?, &interp::Options::default()) {
                Ok(interp::Outcome::Trap(_)) => "same both stop".to_owned(),
                _ => format!("differs only the interpreter stops: {fault}"),
            });
        }
    };
    let judged = stats.is_some();
    for way in WAYS {
        let prepared = match Prepared::with(Arc::clone(&program), Engine::Native, false, way.settings()) {
            Ok(prepared) if prepared.engine() == Engine::Native => prepared,
            Ok(prepared) => return Ok(format!("unsupported {}", prepared.why())),
            Err(diagnostic) => return Ok(format!("error {diagnostic}")),
        };
        let mut args = bind()?;
        match prepared.run(&mut args, &interp::Options::default()) {
            Ok(interp::Outcome::Done(ended)) if !ended.notes.is_empty() => {
                return Ok(format!("interpreted {}", ended.notes.join("; ")));
            }
            Ok(interp::Outcome::Done(_)) => {}
            Ok(interp::Outcome::Trap(fault)) => {
                return Ok(format!("differs {way:?}: only machine code stops: {fault}"));
            }
            Err(error) => return Ok(format!("error {way:?}: {error}")),
        }
        // What takes the interpreter too long is judged by the first way; only whether all agree can be seen then.
        let Some(stats) = &stats else {
            (expected, stats) = (args, Some(interp::Stats::default()));
            continue;
        };
        if let Some(text) = difference(&program, &args, &expected, stats) {
            return Ok(format!("differs {way:?}: {text}"));
        }
    }
    Ok(if judged {
        "same".to_owned()
    } else {
        format!("agrees more than {} steps of the interpreter", fuel())
    })
}

/// The first argument whose bytes differ where they are defined.
fn difference(
    program: &Program,
    native: &Arguments<'_>,
    oracle: &Arguments<'_>,
    stats: &interp::Stats,
) -> Option<String> {
    for (name, binding) in &oracle.bindings {
        let Binding::Array { buffer, offset, ty, shape, strides } = binding else { continue };
        let (a, b) = (native.buffers[*buffer].bytes(), oracle.buffers[*buffer].bytes());
        if a == b {
            continue;
        }
        let item = ty.bytes(&program.structs);
        let written = stats.written.get(name);
        let count: usize = shape.iter().product();
        for element in 0..count {
            let mut rest = element;
            let mut at = *offset as isize;
            for (&extent, &stride) in shape.iter().zip(strides).rev() {
                at += (rest % extent) as isize * stride;
                rest /= extent;
            }
            let at = at as usize;
            let (x, y) = (&a[at..at + item], &b[at..at + item]);
            if x == y
                || both_nan(*ty, x, y)
                || written.is_some_and(|written| written.get(element) == Some(&false))
            {
                continue;
            }
            return Some(format!(
                "{name}[{element}] of {shape:?} {ty:?}: native {}, interp {}",
                number(*ty, x),
                number(*ty, y)
            ));
        }
    }
    None
}

fn both_nan(ty: Type, x: &[u8], y: &[u8]) -> bool {
    let parts = |dtype: DType, size: usize| {
        x.chunks(size).zip(y.chunks(size)).all(|(x, y)| {
            x == y || {
                let value =
                    |bytes: &[u8]| pelton::scalar::Scalar::from_le_bytes(dtype, bytes).map(|v| v.as_f64());
                matches!((value(x), value(y)), (Some(a), Some(b)) if a.is_nan() && b.is_nan())
            }
        })
    };
    match ty {
        Type::Scalar(DType::C64) => parts(DType::F32, 4),
        Type::Scalar(DType::C128) => parts(DType::F64, 8),
        Type::Scalar(dtype) if dtype.is_float() => parts(dtype, dtype.bytes()),
        _ => false,
    }
}

fn number(ty: Type, bytes: &[u8]) -> String {
    match ty {
        Type::Scalar(dtype) => format!("{:?}", pelton::scalar::Scalar::from_le_bytes(dtype, bytes)),
        _ => format!("{bytes:?}"),
    }
}
