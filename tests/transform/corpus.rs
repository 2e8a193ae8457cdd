//! Every program of the corpus keeps the interpreter's bits.

use std::path::{Path, PathBuf};

use pelton::check::case::{Case, CaseKind};
use pelton::check::{find_cases, gtir_case};
use pelton::exec::bind::bind;
use pelton::exec::gtir::GtirProgram;
use pelton::exec::load::{load, read_bytes};
use pelton::exec::npz::{self, FileArray, Item};
use pelton::front::gtir::json;
use pelton::ir::Program;
use pelton::memory::Arguments;
use pelton::scalar::Scalar;
use pelton::transform::{self, OPTIMIZE, Options};

use crate::support::{copied, counts, run_with};

fn corpus() -> Option<PathBuf> {
    let folder = match std::env::var_os("PELTON_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no corpus at {}", folder.display());
    None
}

/// Programs of a case with arguments; nothing for what the interpreter does not take.
fn programs(folder: &Path) -> Vec<(String, Program, Arguments<'static>)> {
    let case = Case::open(folder).unwrap();
    let mut found = Vec::new();
    for item in case.programs(false) {
        let inputs = npz::read(&folder.join("inputs.npz")).unwrap();
        let name = format!("{}/{}{}", case.suite, case.name, item.suffix);
        match case.kind {
            CaseKind::Sdfg => {
                let Ok(loaded) = load(&item.path) else { continue };
                let mut inputs = inputs;
                if let Some(serde_json::Value::Object(symbols)) = case.description.get("symbol_values") {
                    for (name, value) in symbols {
                        let Some(value) = value.as_i64() else { continue };
                        let mut bytes = vec![0; 8];
                        Scalar::I64(value).write_le_bytes(&mut bytes);
                        let item = Item::Number(pelton::scalar::DType::I64);
                        let array = FileArray { item, shape: Vec::new(), fortran_order: false, bytes };
                        inputs.entry(name.clone()).or_insert(array);
                    }
                }
                let Ok(args) = bind(&loaded.program, inputs) else { continue };
                found.push((name, loaded.program, args));
            }
            CaseKind::Gtir => {
                let Ok(program) = json::read(&read_bytes(&item.path).unwrap()) else { continue };
                let Ok(mut args) = gtir_case::arguments(&case.description, &inputs) else { continue };
                let Ok(lowered) = GtirProgram::new(&program, &args) else { continue };
                let Ok(bound) = lowered.bind(&mut args) else { continue };
                let bound = copied(&bound);
                found.push((name, lowered.program, bound));
            }
        }
    }
    found
}

fn sum(mut a: [usize; 5], b: [usize; 5]) -> [usize; 5] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
    a
}

fn keeps_bits(suite: &str) {
    let Some(corpus) = corpus() else { return };
    let filter = std::env::var("PELTON_FILTER").unwrap_or_default();
    let (mut ran, mut fired, mut failed) = (0, 0, Vec::new());
    let (mut before_all, mut after_all) = ([0; 5], [0; 5]);
    for folder in find_cases(&[corpus.join(suite)]).unwrap() {
        if !folder.to_string_lossy().contains(&filter) {
            continue;
        }
        for (name, program, mut args) in programs(&folder) {
            let mut made = program.clone();
            let options = Options { validate: true, ..Options::default() };
            let report = match transform::run(&mut made, OPTIMIZE, &options, &mut |_, _| {}) {
                Ok(report) => report,
                Err(error) => {
                    failed.push(format!("{name}: {error}"));
                    continue;
                }
            };
            if report.rules.iter().any(|rule| rule.undone > 0) {
                failed.push(format!("{name}: an application stopped half way\n{report}"));
            }
            if report.fired() == 0 {
                continue;
            }
            let mut again = copied(&args);
            let reference = run_with(&program, &mut args);
            if reference.is_err() {
                continue;
            }
            ran += 1;
            fired += report.fired();
            before_all = sum(before_all, counts(&program));
            after_all = sum(after_all, counts(&made));
            if !filter.is_empty() {
                println!("{name}\n{}", pelton::front::pel::print_brief(&made));
            }
            let found = run_with(&made, &mut again);
            if found != reference {
                failed.push(format!("{name}: {}", found.err().unwrap_or_else(|| "other bits".into())));
            }
        }
    }
    println!("{suite}: {ran} programs changed by {fired} applications");
    println!("states, maps, access nodes, tasklets, ordering edges: {before_all:?} to {after_all:?}");
    assert!(failed.is_empty(), "{} programs:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn dace_keeps_its_bits() {
    keeps_bits("dace");
}

#[test]
fn npbench_keeps_its_bits() {
    keeps_bits("npbench");
}

#[test]
fn gt4py_keeps_its_bits() {
    keeps_bits("gt4py");
}

#[test]
fn icon4py_keeps_its_bits() {
    keeps_bits("icon4py");
}

/// Rule by rule: the program after each application, on a sample.
#[test]
fn every_application_keeps_bits() {
    let Some(corpus) = corpus() else { return };
    for case in
        ["npbench/jacobi2d", "npbench/azimnaiv", "npbench/fdtd_2d", "npbench/gesummv", "npbench/softmax"]
    {
        for (name, program, args) in programs(&corpus.join(case)) {
            let total = transform::optimize(&mut program.clone()).unwrap().fired();
            let Ok(reference) = run_with(&program, &mut copied(&args)) else { continue };
            for stop in 1..=total {
                let mut made = program.clone();
                let options = Options { stop_after: Some(stop), ..Options::default() };
                transform::run(&mut made, OPTIMIZE, &options, &mut |_, _| {}).unwrap();
                let found = run_with(&made, &mut copied(&args));
                assert!(found.as_ref() == Ok(&reference), "{name} after {stop} of {total} applications");
            }
        }
    }
}
