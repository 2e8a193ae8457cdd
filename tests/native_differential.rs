//! Machine code against the interpreter: over the corpus, both leave the same bits.
//!
//! Each program runs under both engines on the same inputs; every buffer of the call is compared byte by byte
//! (NaNs compare equal whatever their payload). Programs that the native engine refuses count as such and are named;
//! the number may not grow. A crash of machine code ends only the child process that runs the cases.
//!
//! `NATIVE_ONLY=text` runs cases whose path contains the text; `NATIVE_VERBOSE=1` prints every case.

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
    let bad: usize =
        ["differs", "crash", "error"].iter().filter_map(|kind| verdicts.get(*kind)).map(Vec::len).sum();
    if bad > 0 {
        std::process::exit(1);
    }
}

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

fn run(path: &Path) -> Result<String, String> {
    let skipped = |what: &str, error: &dyn std::fmt::Display| format!("skipped {what}: {error}");
    let loaded = load(path).map_err(|error| skipped("load", &error))?;
    let mut program = loaded.program;
    pelton::scalar::lower::lower_program(&mut program);
    let settings = Settings { tier: Tier::Best, threads: Some(2), always_split: true, ..Settings::default() };
    let prepared = match Prepared::with(Arc::new(program.clone()), Engine::Native, false, settings) {
        Ok(prepared) if prepared.engine() == Engine::Native => prepared,
        Ok(prepared) => return Ok(format!("unsupported {}", prepared.why())),
        Err(diagnostic) => return Ok(format!("error {diagnostic}")),
    };
    let folder = path.parent().expect("a case folder");
    let inputs = npz::read(&folder.join("inputs.npz")).map_err(|error| skipped("inputs", &error))?;
    let mut native_args = bind::bind(&program, inputs.clone()).map_err(|error| skipped("bind", &error))?;
    let native = prepared.run(&mut native_args, &interp::Options::default());
    let mut interp_args = bind::bind(&program, inputs.clone()).map_err(|error| skipped("bind", &error))?;
    let options =
        interp::Options { fuel: Some(30_000_000), track_written: true, ..interp::Options::default() };
    let oracle =
        interp::Prepared::new(&program).and_then(|mut prepared| prepared.run(&mut interp_args, &options));
    let oracle = match oracle {
        Ok(outcome) => outcome,
        Err(error) => return Err(skipped("interp", &error)),
    };
    let native = native.map_err(|error| format!("error run: {error}"))?;
    let stats = match (&native, oracle) {
        (interp::Outcome::Done(native), interp::Outcome::Done(stats)) => {
            if let Some(note) = native.notes.first() {
                return Ok(format!("interpreted {note}"));
            }
            stats
        }
        (interp::Outcome::Trap(_), interp::Outcome::Trap(_)) => return Ok("same both stop".to_owned()),
        (interp::Outcome::Trap(fault), _) => return Ok(format!("differs only machine code stops: {fault}")),
        (_, interp::Outcome::Trap(fault)) if fault.kind == interp::FaultKind::Fuel => {
            return Err(skipped("interp", &fault));
        }
        (_, interp::Outcome::Trap(fault)) => {
            return Ok(format!("differs only the interpreter stops: {fault}"));
        }
    };
    if let Some(text) = difference(&program, &native_args, &interp_args, &stats) {
        return Ok(format!("differs {text}"));
    }
    // Every other way to run it gives the same bits.
    let others = [(Tier::Fast, 1), (Tier::Fast, 3), (Tier::Best, 1)];
    for (tier, threads) in others {
        let settings = Settings { tier, threads: Some(threads), always_split: true, ..Settings::default() };
        let prepared = Prepared::with(Arc::new(program.clone()), Engine::Native, false, settings)
            .map_err(|error| format!("error {error}"))?;
        let mut args = bind::bind(&program, inputs.clone()).map_err(|error| skipped("bind", &error))?;
        let outcome = prepared.run(&mut args, &interp::Options::default());
        if !matches!(&outcome, Ok(interp::Outcome::Done(stats)) if stats.notes.is_empty()) {
            return Ok(format!("differs tier {tier}, {threads} threads: {outcome:?}"));
        }
        if let Some(text) = difference(&program, &args, &interp_args, &stats) {
            return Ok(format!("differs tier {tier}, {threads} threads: {text}"));
        }
    }
    Ok("same".to_owned())
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
