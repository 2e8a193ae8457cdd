//! `pelton run` for GTIR: fields with origins, connectivities, and the oracle as one of the engines.

use std::sync::Arc;
use std::time::Instant;

use crate::check::gtir_oracle;
use crate::diag::Diagnostic;
use crate::exec::engine::is_observed;
use crate::exec::gtir::{GtirProgram, describe};
use crate::exec::load::{description_of, read_bytes};
use crate::exec::npz::{self, FileArray, FileArrays, Item};
use crate::exec::{Engine, Options, Outcome, Prepared, Stats};
use crate::front::gtir::{self, GtirArg, GtirArgs};
use crate::memory::{Arguments, Binding, Buffer, View};
use crate::scalar::Type;

use super::Verdict;
use super::output::Output;
use super::progress::spinner;
use super::run::{Ran, RunArgs, Times, gpu_notes, report, show};

/// Runs a GTIR program once.
pub(super) fn run(args: &RunArgs, arrays: &FileArrays, out: &mut Output) -> anyhow::Result<Verdict> {
    let shown = args.program.display().to_string();
    let inside = |error: Diagnostic| error.inside(shown.clone());
    let mut times = Times::default();
    let start = Instant::now();
    let program = gtir::read(&read_bytes(&args.program)?).map_err(inside)?;
    times.load = start.elapsed();
    let description = description_of(&args.program, args.case.as_deref())?;
    let mut call = describe::arguments(&description, arrays, Some(&program))?;
    let options = Options {
        checked: args.checked,
        fuel: args.fuel,
        memory: args.memory.options(),
        ..Options::default()
    };

    let (engine, why, stats, written);
    if args.engine == Engine::GtirOracle {
        let start = Instant::now();
        gtir_oracle::run(&program, &mut call).map_err(inside)?;
        times.run = start.elapsed();
        (engine, why, stats) = (Engine::GtirOracle, "asked for".to_owned(), Stats::default());
        written = GtirProgram::new(&program, &call).ok();
    } else {
        let start = Instant::now();
        let lowered = GtirProgram::new(&program, &call).map_err(inside)?;
        let program = Arc::new(lowered.program.clone());
        let prepared = Prepared::with(program, args.engine, is_observed(&options), args.settings())?;
        times.optimize = start.elapsed();
        let ready = prepared.times();
        if let Some(form) = args.dump {
            return show(&prepared, form, out);
        }
        let mut bound = lowered.bind(&mut call)?;
        if let Some(limit) = args.memory_limit {
            let plan = super::plan::plan_for(&lowered.program, &bound)?;
            super::plan::refuse_above(&plan, limit).map_err(inside)?;
        }
        let spinner = spinner(&shown);
        let start = Instant::now();
        let outcome = prepared.run(&mut bound, &options);
        times.run = start.elapsed();
        times.take_apart(&prepared, ready);
        spinner.finish_and_clear();
        lowered.unbind(bound, &mut call);
        stats = match outcome? {
            Outcome::Done(mut stats) => {
                stats.notes.extend(gpu_notes(&prepared));
                stats
            }
            Outcome::Trap(fault) => return Err(inside(fault.into()).into()),
        };
        (engine, why) = (prepared.engine(), prepared.why().to_owned());
        written = Some(lowered);
    }
    if let Some(path) = &args.output {
        npz::write(path, &fields(&call))?;
    }
    let mut results = Vec::new();
    for (name, leaf) in leaves(&call) {
        let is_written = written.as_ref().is_none_or(|lowered| lowered.writes(&name));
        if is_written && let Some(view) = view(&call.memory, leaf) {
            results.push((leaf.to_owned(), view));
        }
    }
    report(args, out, &Ran { engine, why: &why, stats: &stats, times: &times, results: &results })?;
    Ok(Verdict::Good)
}

/// Every field argument: its flattened name in the program, the name of its array.
fn leaves<'a>(call: &'a GtirArgs<'_>) -> Vec<(String, &'a str)> {
    let mut found = Vec::new();
    let mut open: Vec<(String, &GtirArg)> =
        call.params.iter().rev().map(|(name, arg)| (name.clone(), arg)).collect();
    while let Some((name, arg)) = open.pop() {
        match arg {
            GtirArg::Field { leaf, .. } => found.push((name, leaf.as_str())),
            GtirArg::Tuple(parts) => {
                let parts = parts.iter().enumerate().rev();
                open.extend(parts.map(|(number, part)| (format!("{name}_{number}"), part)));
            }
            GtirArg::Scalar { .. } | GtirArg::Absent => {}
        }
    }
    found
}

fn view<'a>(memory: &'a Arguments<'_>, leaf: &str) -> Option<View<'a>> {
    let Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, strides } = memory.get(leaf)? else {
        return None;
    };
    let bytes = memory.buffers.get(*buffer).map(Buffer::bytes)?;
    Some(View::new(bytes, *offset, *dtype, shape, strides))
}

/// All field arguments as a file holds them.
fn fields(call: &GtirArgs<'_>) -> FileArrays {
    let mut arrays = FileArrays::new();
    for (_, leaf) in leaves(call) {
        let Some(view) = view(&call.memory, leaf) else { continue };
        let item = view.dtype().bytes();
        let mut bytes = vec![0; item * view.len()];
        for (place, value) in bytes.chunks_mut(item).zip(view.scalars()) {
            if let Some(value) = value {
                value.write_le_bytes(place);
            }
        }
        let array = FileArray {
            item: Item::Number(view.dtype()),
            shape: view.shape().to_vec(),
            fortran_order: false,
            bytes,
        };
        arrays.insert(leaf.to_owned(), array);
    }
    arrays
}
