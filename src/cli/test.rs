//! `pelton test`: runs case folders.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::check::case::CaseProgram;
use crate::check::guard::{Guarded, capture_panics, guarded};
use crate::check::run::{CaseReport, How, Status, run_case};
use crate::check::{Case, FieldReport, find_cases};
use crate::diag::Diagnostic;
use crate::exec::{Engine, Options};

use super::memory::MemoryArgs;
use super::native::NativeArgs;
use super::output::Output;
use super::{Verdict, engine};

/// Run case folders and compare with what they expect.
///
/// A case folder holds case.json, a program, inputs.npz and expected.npz. Folders are searched to any depth.
/// An optimized.sdfgz beside the program of an SDFG case is a row of its own, NAME#optimized.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton test examples
  pelton test corpus/dace corpus/npbench --engine interp --jobs 4
  pelton test corpus --filter jacobi --format json > report.json

JSON: {\"cases\": [{\"suite\", \"name\", \"status\", \"detail\", \"seconds\", ...}], \"passed\", \"failed\", ...}.
\"fields\" and \"identical_fields\" count what was compared, and what of it has the very bits that are expected.
`status` is pass, fail (a field differs), error (it did not run to the end) or unsupported; `failed` counts
everything that did not pass. Exit code 0 only if all cases pass.")]
pub struct TestArgs {
    /// Case folders, or folders that hold some.
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Engine to run on: auto, interp, native, gpu or gtir-oracle.
    #[arg(long, default_value = "auto", value_parser = engine, value_name = "ENGINE")]
    engine: Engine,
    /// Only cases whose SUITE/NAME contains the text.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "table")]
    format: ReportFormat,
    #[command(flatten)]
    native: NativeArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// Also catch undefined values, races and accesses out of bounds.
    #[arg(long)]
    checked: bool,
    /// Cases that run at the same time [default: one per processor].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Seconds after which a case counts as hanging.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    time_limit: u64,
    /// Steps (tasklets, states, map points) after which a run is stopped.
    #[arg(long, value_name = "STEPS")]
    fuel: Option<u64>,
    /// For GTIR cases, also run the lowered.sdfgz and optimized.sdfgz that stand beside the program.
    #[arg(long)]
    variants: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum ReportFormat {
    /// For people.
    Table,
    /// For scripts.
    Json,
}

/// One row of the report before it ran.
struct Row {
    case: Result<Arc<Case>, Diagnostic>,
    program: CaseProgram,
    suite: String,
    name: String,
}

/// Runs the subcommand.
pub fn test(args: &TestArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let start = Instant::now();
    let rows = rows(args)?;
    capture_panics();
    let reports = run_rows(&rows, args);
    // From here on a panic is our own again.
    drop(std::panic::take_hook());
    let totals = Totals::of(&reports, start.elapsed());
    match args.format {
        ReportFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &to_json(&reports, &totals, args))?;
            writeln!(out)?;
        }
        ReportFormat::Table => write_table(out, &reports, &totals)?,
    }
    Ok(if totals.passed == totals.total { Verdict::Good } else { Verdict::Failed })
}

fn rows(args: &TestArgs) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for folder in find_cases(&args.folders)? {
        match Case::open(&folder) {
            Ok(case) => {
                let case = Arc::new(case);
                for program in case.programs(args.variants) {
                    let name = format!("{}{}", case.name, program.suffix);
                    rows.push(Row { case: Ok(case.clone()), program, suite: case.suite.clone(), name });
                }
            }
            Err(error) => {
                let name =
                    folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let program = CaseProgram { suffix: "", path: folder };
                rows.push(Row { case: Err(error), program, suite: String::new(), name });
            }
        }
    }
    if let Some(filter) = &args.filter {
        rows.retain(|row| format!("{}/{}", row.suite, row.name).contains(filter.as_str()));
        if rows.is_empty() {
            return Err(super::Usage(format!("no case contains {filter}")).into());
        }
    }
    Ok(rows)
}

fn run_rows(rows: &[Row], args: &TestArgs) -> Vec<CaseReport> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(processors, usize::from).min(rows.len().max(1));
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<CaseReport>>> = Mutex::new(rows.iter().map(|_| None).collect());
    let bar = progress_bar(rows.len());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some((position, row)) = {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    rows.get(position).map(|row| (position, row))
                } {
                    bar.set_message(row.name.clone());
                    let report = run_row(row, args);
                    if report.status != Status::Pass {
                        bar.println(format!("{:11} {}/{}", report.status, report.suite, report.name));
                    }
                    bar.inc(1);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(slot) = done.get_mut(position) {
                        *slot = Some(report);
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    done.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

fn progress_bar(rows: usize) -> ProgressBar {
    // Hidden by indicatif itself where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(rows as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{pos}/{len} {bar:30} {elapsed} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn run_row(row: &Row, args: &TestArgs) -> CaseReport {
    let start = Instant::now();
    let error = |detail: String| CaseReport {
        suite: row.suite.clone(),
        name: row.name.clone(),
        status: Status::Error,
        detail,
        seconds: start.elapsed().as_secs_f64(),
        run_seconds: 0.0,
        engine: None,
        why: String::new(),
        launches: None,
        fields: Vec::new(),
        notes: Vec::new(),
    };
    let case = match &row.case {
        Ok(case) => case.clone(),
        Err(diagnostic) => return error(diagnostic.to_string()),
    };
    let program = row.program.clone();
    let options = Options {
        checked: args.checked,
        fuel: args.fuel,
        memory: args.memory.options(),
        ..Options::default()
    };
    let how = How { engine: args.engine, settings: args.native.settings(), options };
    let limit = Duration::from_secs(args.time_limit);
    match guarded(Some(limit), move || run_case(&case, &program, &how)) {
        Guarded::Done(report) => report,
        Guarded::Panicked(message) => error(format!("a defect in Pelton: {message}")),
        Guarded::TimedOut => error(format!("not done after {} seconds", limit.as_secs())),
    }
}

#[derive(Default)]
struct Totals {
    total: usize,
    passed: usize,
    mismatched: usize,
    errors: usize,
    unsupported: usize,
    fields: usize,
    identical_fields: usize,
    seconds: f64,
}

impl Totals {
    fn of(reports: &[CaseReport], elapsed: Duration) -> Totals {
        let count = |status| reports.iter().filter(|report| report.status == status).count();
        Totals {
            total: reports.len(),
            passed: count(Status::Pass),
            mismatched: count(Status::Fail),
            errors: count(Status::Error),
            unsupported: count(Status::Unsupported),
            fields: reports.iter().map(|report| report.fields.len()).sum(),
            identical_fields: (reports.iter().flat_map(|report| &report.fields))
                .filter(|field| field.is_identical())
                .count(),
            seconds: elapsed.as_secs_f64(),
        }
    }
}

fn to_json(reports: &[CaseReport], totals: &Totals, args: &TestArgs) -> Value {
    let cases: Vec<Value> = reports
        .iter()
        .map(|report| {
            json!({
                "suite": report.suite,
                "name": report.name,
                "status": report.status.name(),
                "detail": report.detail,
                "seconds": report.seconds,
                "run_seconds": report.run_seconds,
                "engine": report.engine.map(Engine::name),
                "why": report.why,
                "launches": report.launches,
                "fields": report.fields.iter().map(field_json).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "cases": cases,
        "passed": totals.passed,
        "failed": totals.total - totals.passed,
        "mismatched": totals.mismatched,
        "errors": totals.errors,
        "unsupported": totals.unsupported,
        "total": totals.total,
        "fields": totals.fields,
        "identical_fields": totals.identical_fields,
        "seconds": totals.seconds,
        "engine": args.engine.name(),
        "ran_on": ran_on(reports),
        "launches": launches(reports).map(|(launches, _)| launches),
        "without_launches": launches(reports).map(|(_, without)| without),
        "checked": args.checked,
    })
}

/// How many cases ran on which engine: not every program compiles.
fn ran_on(reports: &[CaseReport]) -> serde_json::Map<String, Value> {
    let count = |engine| reports.iter().filter(|report| report.engine == Some(engine)).count();
    let counts = Engine::ALL.into_iter().map(|engine| (engine.name().to_owned(), count(engine)));
    counts.filter(|(_, count)| *count > 0).map(|(name, count)| (name, json!(count))).collect()
}

/// How many launches of shaders there were, and how many cases ran without any; none if none could.
fn launches(reports: &[CaseReport]) -> Option<(u64, usize)> {
    let counts: Vec<u64> = reports.iter().filter_map(|report| report.launches).collect();
    let without = counts.iter().filter(|&&count| count == 0).count();
    (!counts.is_empty()).then(|| (counts.iter().sum(), without))
}

/// A number as JSON; infinities and NaN, which JSON lacks, as text.
fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(value.to_string()) }
}

fn field_json(field: &FieldReport) -> Value {
    let worst = field.worst.as_ref().map(|worst| {
        json!({
            "index": worst.index,
            "actual": crate::check::compare::show(worst.actual),
            "expected": crate::check::compare::show(worst.expected),
            "absolute": number(worst.absolute),
            "relative": number(worst.relative),
            "ulp": worst.ulp,
        })
    });
    json!({
        "name": field.name,
        "elements": field.elements,
        "close": field.close,
        "identical": field.identical,
        "share": field.share(),
        "undefined": field.undefined,
        "nan": field.nan,
        "largest_absolute": number(field.largest_absolute),
        "largest_relative": number(field.largest_relative),
        "ulp_histogram": field.ulp_histogram,
        "worst": worst,
        "problem": field.problem,
    })
}

/// One line per case, and below it what went wrong.
fn write_table(out: &mut Output, reports: &[CaseReport], totals: &Totals) -> anyhow::Result<()> {
    let width = |text: fn(&CaseReport) -> &str| {
        reports.iter().map(|report| text(report).chars().count()).max().unwrap_or(0)
    };
    let (suites, names) = (width(|report| &report.suite), width(|report| &report.name));
    for report in reports {
        let status = report.status.name();
        let (hue, reset) = if out.colour { (colour(report.status), "\x1b[0m") } else { ("", "") };
        writeln!(
            out,
            "{:suites$}  {:names$}  {hue}{status:11}{reset}  {:8.3} s",
            report.suite, report.name, report.seconds
        )?;
        for line in report.detail.lines() {
            writeln!(out, "    {line}")?;
        }
    }
    let Totals { total, passed, mismatched, errors, unsupported, fields, identical_fields, seconds } = totals;
    writeln!(
        out,
        "\n{passed} of {total} passed, {mismatched} failed, {errors} errors, {unsupported} unsupported, in {seconds:.1} s"
    )?;
    writeln!(out, "{identical_fields} of {fields} fields have the expected bits")?;
    let engines: Vec<String> =
        ran_on(reports).iter().map(|(name, count)| format!("{count} on {name}")).collect();
    if !engines.is_empty() {
        writeln!(out, "ran {}", engines.join(", "))?;
    }
    if let Some((launches, without)) = launches(reports) {
        writeln!(out, "{launches} launches on the GPU; {without} cases without any")?;
    }
    Ok(())
}

const fn colour(status: Status) -> &'static str {
    match status {
        Status::Pass => "\x1b[32m",
        Status::Fail => "\x1b[1;31m",
        Status::Error => "\x1b[1;35m",
        Status::Unsupported => "\x1b[33m",
    }
}
