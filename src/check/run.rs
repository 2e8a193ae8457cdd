//! Runs one program of a case folder and compares what comes out with what was expected.
//!
//! # What is compared
//!
//! Every array of `expected.npz`, after the call, with the container of that name. A container that is no
//! argument of the program must be what it was in `inputs.npz`. Elements of returned arrays that the program
//! never defines are left out where the case says so ([`Case::leaves_returns_undefined`]); which elements
//! those are is the reference interpreter's answer, never the tested engine's own, and a returned array of
//! which nothing is defined fails. Everything else is compared, elements the program never touches included:
//! they have to keep their values.
//!
//! Two things follow from the trusted run having been NumPy's. A function that returns a number was recorded
//! with a 0-d array, where the graph returns an array of one element: a single value is compared as a value,
//! whatever its shape. And a function may return what its graph does not: an expected `__return` that neither
//! `returns` in the case nor the graph knows says nothing about the program, so it is a note; something else
//! has to have been compared, though. A program without any container of its caller's (no argument, no
//! result) passes when it runs to its end, with a note; any other case without expectations is damaged.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::Value;

use crate::diag::{Diagnostic, Result, codes};
use crate::exec::bind::bind;
use crate::exec::engine::{Engine, Options, Outcome, Prepared, is_observed};
use crate::exec::load::load;
use crate::exec::npz::{self, FileArray, FileArrays, Item};
use crate::exec::settings::Settings;
use crate::ir::Program;
use crate::memory::{Arguments, Binding, View};
use crate::scalar::{DType, Scalar};

use super::case::{Case, CaseKind, CaseProgram};
use super::compare::{FieldReport, compare};

/// How a case ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// All fields agree.
    Pass,
    /// It ran, and a field differs.
    Fail,
    /// It could not be run to the end: a refused program, a fault, a panic, time up.
    Error,
    /// It needs something the engine says it does not do.
    Unsupported,
}

impl Status {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Pass => "pass",
            Status::Fail => "fail",
            Status::Error => "error",
            Status::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What came out of one case.
#[derive(Clone, Debug)]
pub struct CaseReport {
    /// The suite.
    pub suite: String,
    /// The case, with `#optimized` and the like for other programs than its own.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// What went wrong, in a few lines; for passing cases, what is worth knowing.
    pub detail: String,
    /// Wall time of all of it: load, prepare, run, compare.
    pub seconds: f64,
    /// Wall time of the run alone.
    pub run_seconds: f64,
    /// The engine that ran, once one was chosen.
    pub engine: Option<Engine>,
    /// Why that engine.
    pub why: String,
    /// Launches of shaders in the run, where maps may run on a GPU.
    pub launches: Option<u64>,
    /// One report per expected array.
    pub fields: Vec<FieldReport>,
    /// What is worth knowing even if the case passes.
    pub notes: Vec<String>,
}

impl CaseReport {
    /// Notes which engine runs, and why.
    pub(super) fn runs_on(&mut self, prepared: &Prepared) {
        self.engine = Some(prepared.engine());
        self.why = prepared.why().to_owned();
    }

    /// Runs and notes the time it took, without what it compiled; a fault of the program is an error.
    pub(super) fn run(
        &mut self,
        prepared: &Prepared,
        args: &mut Arguments<'_>,
        options: &Options,
    ) -> Result<()> {
        let made = || prepared.times().map_or(Duration::ZERO, |(lower, compile)| lower + compile);
        let (start, before) = (Instant::now(), made());
        let outcome = prepared.run(args, options);
        self.run_seconds = start.elapsed().saturating_sub(made().saturating_sub(before)).as_secs_f64();
        self.runs_on(prepared);
        self.launches = prepared.launches();
        match outcome? {
            Outcome::Done(_) => Ok(()),
            Outcome::Trap(fault) => Err(fault.into()),
        }
    }
}

/// How cases are run.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// On which engine.
    pub engine: Engine,
    /// How machine code is made.
    pub settings: Settings,
    /// What a run looks at.
    pub options: Options,
}

impl How {
    /// A program made ready.
    pub(super) fn prepare(&self, program: &Program) -> Result<Prepared> {
        Prepared::with(Arc::new(program.clone()), self.engine, is_observed(&self.options), self.settings)
    }
}

/// Runs one program of a case.
pub fn run_case(case: &Case, program: &CaseProgram, how: &How) -> CaseReport {
    let start = Instant::now();
    let mut report = CaseReport {
        suite: case.suite.clone(),
        name: format!("{}{}", case.name, program.suffix),
        status: Status::Error,
        detail: String::new(),
        seconds: 0.0,
        run_seconds: 0.0,
        engine: None,
        why: String::new(),
        launches: None,
        fields: Vec::new(),
        notes: Vec::new(),
    };
    let result = match case.kind {
        CaseKind::Sdfg => run_sdfg(case, &program.path, how, &mut report),
        CaseKind::Gtir if !program.suffix.is_empty() => {
            super::variant_case::run(case, &program.path, how, &mut report)
        }
        CaseKind::Gtir => super::gtir_case::run(case, &program.path, how, &mut report),
    };
    match result {
        Ok(()) => judge(&mut report),
        Err(error) => {
            report.status =
                if codes::is_unsupported(error.code) { Status::Unsupported } else { Status::Error };
            report.detail = error.to_string();
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    report
}

fn judge(report: &mut CaseReport) {
    let failing: Vec<String> =
        report.fields.iter().filter(|field| !field.passes()).map(FieldReport::to_string).collect();
    report.status = if failing.is_empty() { Status::Pass } else { Status::Fail };
    let undefined = report.fields.iter().filter(|field| field.undefined > 0).map(|field| {
        format!("{}: {} of {} elements are undefined", field.name, field.undefined, field.elements)
    });
    let lines: Vec<String> =
        if failing.is_empty() { undefined.chain(report.notes.iter().cloned()).collect() } else { failing };
    report.detail = lines.join("\n");
}

fn run_sdfg(case: &Case, path: &Path, how: &How, report: &mut CaseReport) -> Result<()> {
    let program = load(path)?.program;
    let inputs = inputs_of(case)?;
    let expected = npz::read(&case.folder.join("expected.npz"))?;
    let (expected, unknown) = split_foreign_returns(case, &program, expected);
    if expected.is_empty() && (unknown.is_some() || takes_anything(&program)) {
        return Err(Diagnostic::error("P0430", "expected.npz holds no array, so nothing would be checked"));
    }
    report.notes.extend(unknown);
    if expected.is_empty() {
        report.notes.push("no argument and no result: checked is only that it runs to its end".into());
    }
    let mut args = bind(&program, inputs.clone())?;
    let prepared = how.prepare(&program)?;
    report.runs_on(&prepared);
    report.run(&prepared, &mut args, &how.options)?;
    report.fields = compare_all(case, &program, &args, &inputs, &expected, &IndexMap::new());
    let suspicious = report.fields.iter().any(|field| !field.passes() && is_returned(&field.name));
    if suspicious && case.leaves_returns_undefined() {
        let defined = defined_elements(&program, inputs.clone(), &how.options)?;
        report.fields = compare_all(case, &program, &args, &inputs, &expected, &defined);
    }
    Ok(())
}

/// Whether the caller brings or sees any container.
fn takes_anything(program: &Program) -> bool {
    program.root_graph().is_some_and(|graph| graph.data.values().any(|data| !data.transient))
}

/// Without what the recorded function returned and neither the case nor the graph does, and a note of that.
fn split_foreign_returns(
    case: &Case,
    program: &Program,
    expected: FileArrays,
) -> (FileArrays, Option<String>) {
    let Some(returns) = case.description.get("returns").and_then(Value::as_array) else {
        return (expected, None);
    };
    let is_known = |name: &str| {
        let container = program.names.lookup(name);
        returns.iter().any(|known| known.as_str() == Some(name))
            || program
                .root_graph()
                .is_some_and(|graph| container.is_some_and(|name| graph.data.contains_key(&name)))
    };
    let (foreign, own): (FileArrays, FileArrays) =
        expected.into_iter().partition(|(name, _)| is_returned(name) && !is_known(name));
    let names: Vec<String> = foreign.into_keys().collect();
    let note = (!names.is_empty())
        .then(|| format!("not compared, because the graph does not return it: {}", names.join(", ")));
    (own, note)
}

fn is_returned(name: &str) -> bool {
    name.starts_with("__return")
}

pub(super) fn inputs_of(case: &Case) -> Result<FileArrays> {
    let mut inputs = npz::read(&case.folder.join("inputs.npz"))?;
    if let Some(Value::Object(symbols)) = case.description.get("symbol_values") {
        for (name, value) in symbols {
            let scalar = value.as_i64().map(Scalar::I64).or_else(|| value.as_f64().map(Scalar::F64));
            let Some(scalar) = scalar.filter(|_| !inputs.contains_key(name)) else { continue };
            let mut bytes = vec![0; scalar.dtype().bytes()];
            scalar.write_le_bytes(&mut bytes);
            let item = Item::Number(scalar.dtype());
            inputs.insert(name.clone(), FileArray { item, shape: Vec::new(), fortran_order: false, bytes });
        }
    }
    Ok(inputs)
}

/// Which elements of returned arrays the reference interpreter finds defined.
fn defined_elements(
    program: &Program,
    inputs: FileArrays,
    options: &Options,
) -> Result<IndexMap<String, Vec<bool>>> {
    let mut args = bind(program, inputs)?;
    let options = Options { track_written: true, checked: false, ..options.clone() };
    match Prepared::new(program, Engine::Interp, true)?.run(&mut args, &options)? {
        Outcome::Done(mut stats) => {
            stats.written.retain(|name, _| is_returned(name));
            Ok(stats.written)
        }
        Outcome::Trap(fault) => Err(fault.into()),
    }
}

fn compare_all(
    case: &Case,
    program: &Program,
    args: &Arguments<'_>,
    inputs: &FileArrays,
    expected: &FileArrays,
    defined: &IndexMap<String, Vec<bool>>,
) -> Vec<FieldReport> {
    let mut reports = Vec::new();
    for (name, array) in expected {
        let mut scalar_bytes = [0; 16];
        let actual = match args.get(name) {
            Some(Binding::Array { buffer, offset, ty, shape, strides }) => match args.buffers.get(*buffer) {
                Some(buffer) => {
                    View::parts(buffer.bytes(), *offset, *ty, shape, strides, &program.structs, &|field| {
                        program.names[field].to_owned()
                    })
                }
                None => Vec::new(),
            },
            Some(Binding::Scalar(value)) => {
                value.write_le_bytes(&mut scalar_bytes);
                // A single value may have been recorded as an array of one element.
                vec![(
                    String::new(),
                    View::new(&scalar_bytes, 0, value.dtype(), &array.shape, &vec![0; array.shape.len()]),
                )]
            }
            Some(Binding::Absent) | None => match inputs.get(name) {
                Some(unchanged) => file_parts(unchanged),
                None => {
                    reports.push(FieldReport::problem(name, "the program has no such argument"));
                    continue;
                }
            },
        };
        let mut expected = file_parts(array);
        reinterpret(&mut expected, &actual, array);
        if actual.is_empty() || actual.len() != expected.len() {
            let problem =
                format!("elements are {} in the file and something else in the program", array.item.name());
            reports.push(FieldReport::problem(name, problem));
            continue;
        }
        for (suffix, actual) in &actual {
            let full = format!("{name}{suffix}");
            let Some((_, expected)) = expected.iter().find(|(other, _)| other == suffix) else {
                reports.push(FieldReport::problem(&full, "the file has no such field"));
                continue;
            };
            let mut expected = expected.clone();
            if actual.len() == 1 {
                expected = expected.single(actual.shape().len());
            }
            let defined =
                defined.get(name).map(Vec::as_slice).filter(|defined| defined.len() == actual.len());
            let mut report = compare(&full, actual, &expected, case.tolerance, defined);
            if report.elements > 0 && report.undefined == report.elements {
                report.problem = Some("the program defines none of its elements".into());
            }
            reports.push(report);
        }
    }
    reports
}

/// The numbers of an array in a file: itself, or its fields.
fn file_parts(array: &FileArray) -> Vec<(String, View<'_>)> {
    let view = |dtype: DType, offset| View::new(&array.bytes, offset, dtype, &array.shape, &array.strides());
    match &array.item {
        Item::Number(dtype) => vec![(String::new(), view(*dtype, 0))],
        Item::Record { fields, .. } => fields
            .iter()
            .filter_map(|(name, item, offset)| match item {
                Item::Number(dtype) => Some((format!(".{name}"), view(*dtype, *offset))),
                _ => None,
            })
            .collect(),
        Item::Raw(_) | Item::Text(_) => Vec::new(),
    }
}

/// Raw bytes take the type that the program has for them.
fn reinterpret<'a>(
    expected: &mut Vec<(String, View<'a>)>,
    actual: &[(String, View<'_>)],
    array: &'a FileArray,
) {
    let [(_, actual)] = actual else { return };
    let dtype = actual.dtype();
    let takes = match array.item {
        Item::Raw(bytes) => bytes == dtype.bytes(),
        Item::Number(DType::U16) => dtype == DType::BF16,
        Item::Number(DType::U8) => matches!(dtype, DType::F8E4M3 | DType::F8E5M2),
        _ => false,
    };
    if takes {
        *expected = vec![(String::new(), View::new(&array.bytes, 0, dtype, &array.shape, &array.strides()))];
    }
}
