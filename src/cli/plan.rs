//! `pelton plan`: where the transients of a program lie, and when.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::analysis::liveness::Class;
use crate::check::bound_case::bound_case;
use crate::check::{Case, find_cases};
use crate::diag::Diagnostic;
use crate::exec::bind::bind;
use crate::exec::gtir::{GtirProgram, describe};
use crate::exec::load::{description_of, is_gtir, read_bytes};
use crate::exec::{load, npz};
use crate::front::gtir;
use crate::interp::infer_symbols;
use crate::ir::Program;
use crate::memory::Arguments;
use crate::memory::plan::{Plan, ProgramPlan};
use crate::scalar::Scalar;

use super::info::in_units;
use super::output::Output;
use super::plan_picture;
use super::{Usage, Verdict};

/// Show where the transients of a program lie in memory, and when.
///
/// For a program: a table of its transients with size, lifetime and offset in the slab. For folders: one row per
/// case in them, and the worst ratio of peak to lower bound.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton plan program.sdfgz --set N=1000
  pelton plan program.sdfgz --inputs inputs.npz --svg plan.svg
  pelton plan corpus/npbench corpus/icon4py

The peak is what the slab takes; the lower bound is the most bytes that are alive at one moment (sizes rounded up
to cache lines), so no plan can take less. Transients whose size depends on more than the symbols of a call are
dynamic: they are taken while the program runs, and not planned.

JSON: {\"peak\", \"lower_bound\", \"total\", \"optimal\", \"per_thread\": {...}, \"transients\": [{\"name\", \"class\",
\"bytes\", \"offset\", \"first\", \"last\"}]}; for folders {\"cases\": [...], \"worst\"}. Exit code 1 if a case cannot
be planned.")]
pub struct PlanArgs {
    /// A program file, or case folders (or folders that hold some).
    #[arg(required = true, value_name = "PROGRAM|DIR")]
    paths: Vec<PathBuf>,
    /// A scalar or symbol.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
    /// Arguments by name, whose shapes tell symbols.
    #[arg(long, value_name = "IN.npz")]
    inputs: Option<PathBuf>,
    /// Write the report as JSON.
    #[arg(long)]
    json: bool,
    /// Draw the plan: time to the right, offsets upwards.
    #[arg(long, value_name = "OUT.svg")]
    svg: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn plan(args: &PlanArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    match args.paths.as_slice() {
        [path] if path.is_file() => one(args, path, out),
        folders => {
            if args.svg.is_some() || args.inputs.is_some() || !args.sets.is_empty() {
                return Err(Usage("--set, --inputs and --svg are for one program file".into()).into());
            }
            corpus(args, folders, out)
        }
    }
}

/// The plan of a program for the symbols that its arguments tell.
///
/// # Errors
/// Values that do not fit their symbols, and what planning reports.
pub fn plan_for(program: &Program, args: &Arguments<'_>) -> Result<ProgramPlan, Diagnostic> {
    let known = infer_symbols(program, args)?;
    ProgramPlan::of(program, &|name| known.get(&name).copied().map(Scalar::as_i64))
}

/// Refuses a plan that takes more than so many bytes.
///
/// # Errors
/// `P0751`, with the transients that make the peak.
pub fn refuse_above(plan: &ProgramPlan, limit: u64) -> Result<(), Diagnostic> {
    let peak = plan.shared.peak.saturating_add(plan.private.peak);
    if peak <= limit {
        return Ok(());
    }
    let busiest = plan.demand().into_iter().max_by_key(|&(_, bytes)| bytes).map_or(0, |(moment, _)| moment);
    let mut alive: Vec<(u64, &str)> = plan
        .transients()
        .filter(|(transient, _)| {
            transient.span.is_some_and(|span| span.first <= busiest && busiest <= span.last)
        })
        .filter_map(|(transient, row)| Some((row.offset.and(row.bytes)?, transient.path.as_str())))
        .collect();
    alive.sort_unstable_by(|a, b| b.cmp(a));
    let text = format!("transients need {peak} bytes at once, and {limit} are allowed");
    let mut error = Diagnostic::error("P0751", text)
        .with_help("`pelton plan` shows the whole plan; no order of memory takes less than its lower bound");
    for (bytes, path) in alive.iter().take(8) {
        error = error.with_note(format!("{} for `{path}`", in_units((*bytes).into())));
    }
    if alive.len() > 8 {
        error = error.with_note(format!("and {} smaller ones", alive.len() - 8));
    }
    Err(error)
}

fn one(args: &PlanArgs, path: &Path, out: &mut Output) -> anyhow::Result<Verdict> {
    let mut arrays = match &args.inputs {
        Some(path) => npz::read(path)?,
        None => npz::FileArrays::new(),
    };
    super::run::set_values(&mut arrays, &args.sets)?;
    if is_gtir(path)? {
        let program = gtir::read(&read_bytes(path)?)?;
        let description = description_of(path, None)?;
        let mut call = describe::arguments(&description, &arrays, Some(&program))?;
        let lowered = GtirProgram::new(&program, &call)?;
        let bound = lowered.bind(&mut call)?;
        return show(args, &plan_for(&lowered.program, &bound)?, out);
    }
    let program = load(path)?.program;
    let bound = match &args.inputs {
        Some(_) => bind(&program, arrays)?,
        None => {
            let mut bound = Arguments::new();
            for (name, array) in &arrays {
                if let Some(value) = crate::exec::bind::single_value(array) {
                    bound.insert_scalar(name, value);
                }
            }
            bound
        }
    };
    show(args, &plan_for(&program, &bound)?, out)
}

fn show(args: &PlanArgs, plan: &ProgramPlan, out: &mut Output) -> anyhow::Result<Verdict> {
    if let Some(svg) = &args.svg {
        plan_picture::write(svg, plan)?;
    }
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &to_json(plan))?;
        writeln!(out)?;
    } else {
        write_text(out, plan)?;
    }
    let lacking = plan.rows.iter().find_map(|row| row.problem.as_ref());
    match lacking {
        None => Ok(Verdict::Good),
        Some(problem) => Err(Diagnostic::error("P0752", format!("not all sizes are known: {problem}"))
            .with_help("give symbols with --set NAME=VALUE, or arrays with --inputs IN.npz")
            .into()),
    }
}

fn summary(plan: &Plan) -> String {
    format!(
        "{} for {} of transients; the lower bound is {} ({:.3} of it{})",
        in_units(plan.peak.into()),
        in_units(plan.total.into()),
        in_units(plan.lower_bound.into()),
        plan.ratio(),
        if plan.optimal { ", optimal" } else { "" },
    )
}

fn write_text(out: &mut Output, plan: &ProgramPlan) -> anyhow::Result<()> {
    writeln!(out, "{}", summary(&plan.shared))?;
    if plan.private.total > 0 {
        writeln!(out, "each thread: {}", summary(&plan.private))?;
    }
    let mut rows: Vec<_> = plan.transients().filter(|(transient, _)| transient.span.is_some()).collect();
    rows.sort_by_key(|(transient, row)| {
        (row.offset.is_none(), transient.span.map(|span| span.first), row.offset)
    });
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "transient",
        "class",
        "bytes",
        "offset",
        "first",
        "last",
    ]);
    for (transient, row) in rows.iter().filter(|(transient, _)| transient.class != Class::Small) {
        let number = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let span = transient.span.unwrap_or_default();
        table.add_row([
            transient.path.clone(),
            transient.class.name().to_owned(),
            row.problem.clone().unwrap_or_else(|| number(row.bytes)),
            number(row.offset),
            span.first.to_string(),
            span.last.to_string(),
        ]);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if table.row_count() > 0 {
        writeln!(out, "\n{table}")?;
    }
    let small: Vec<u64> = rows
        .iter()
        .filter(|(transient, _)| transient.class == Class::Small)
        .filter_map(|(_, row)| row.bytes)
        .collect();
    if !small.is_empty() {
        let bytes: u64 = small.iter().sum();
        writeln!(out, "\n{} small ones, {} bytes, in registers and on the stack", small.len(), bytes)?;
    }
    Ok(())
}

fn slab_json(plan: &Plan) -> Value {
    json!({
        "peak": plan.peak,
        "lower_bound": plan.lower_bound,
        "total": plan.total,
        "ratio": plan.ratio(),
        "optimal": plan.optimal,
    })
}

fn to_json(plan: &ProgramPlan) -> Value {
    let mut report = slab_json(&plan.shared);
    let transients: Vec<Value> = plan
        .transients()
        .map(|(transient, row)| {
            json!({
                "name": transient.path,
                "class": transient.class.name(),
                "bytes": row.bytes,
                "offset": row.offset,
                "first": transient.span.map(|span| span.first),
                "last": transient.span.map(|span| span.last),
                "problem": row.problem,
            })
        })
        .collect();
    report["per_thread"] = slab_json(&plan.private);
    report["moments"] = json!(plan.liveness.moments);
    report["transients"] = json!(transients);
    report
}

/// One row per case.
fn corpus(args: &PlanArgs, folders: &[PathBuf], out: &mut Output) -> anyhow::Result<Verdict> {
    let mut reports: Vec<Value> = Vec::new();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "case",
        "transients",
        "dynamic",
        "total",
        "peak",
        "lower bound",
        "ratio",
    ]);
    let mut worst: f64 = 1.0;
    let mut failed = 0;
    for folder in find_cases(folders)? {
        let case = Case::open(&folder)?;
        for program in case.programs(false) {
            let name = format!("{}/{}{}", case.suite, case.name, program.suffix);
            let planned = bound_case(&case, &program).and_then(|(graph, bound)| plan_for(&graph, &bound));
            let plan = match planned {
                Ok(plan) => plan,
                Err(error) => {
                    failed += 1;
                    reports.push(json!({"case": name, "error": error.to_string()}));
                    table.add_row([name, error.message]);
                    continue;
                }
            };
            let ratio = plan.shared.ratio().max(plan.private.ratio());
            worst = worst.max(ratio);
            let count = |class: Class| {
                plan.liveness.transients.iter().filter(|t| t.class == class && t.span.is_some()).count()
            };
            let both = |value: fn(&Plan) -> u64| value(&plan.shared).saturating_add(value(&plan.private));
            table.add_row([
                name.clone(),
                (count(Class::Shared) + count(Class::Private)).to_string(),
                count(Class::Dynamic).to_string(),
                in_units(both(|plan| plan.total).into()),
                in_units(both(|plan| plan.peak).into()),
                in_units(both(|plan| plan.lower_bound).into()),
                format!("{ratio:.3}"),
            ]);
            let mut report = slab_json(&plan.shared);
            report["case"] = json!(name);
            report["per_thread"] = slab_json(&plan.private);
            report["dynamic"] = json!(count(Class::Dynamic));
            reports.push(report);
        }
    }
    if args.json {
        let report = json!({"cases": reports, "worst": worst, "failed": failed});
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let planned = reports.len() - failed;
        writeln!(
            out,
            "{table}\n\n{planned} programs planned, {failed} not; the worst takes {worst:.3} of its lower bound"
        )?;
    }
    Ok(if failed == 0 { Verdict::Good } else { Verdict::Failed })
}
