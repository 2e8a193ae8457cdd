//! `pelton info --gpu`: the GPUs there are.

use std::io::Write;

use serde_json::{Value, json};

use crate::back::gpu::{AdapterReport, reports};

use super::info::in_units;
use super::output::Output;
use super::{TextFormat, Verdict};

/// Lists adapters.
pub(super) fn info(format: TextFormat, out: &mut Output) -> anyhow::Result<Verdict> {
    let reports = reports();
    if format == TextFormat::Json {
        let adapters: Vec<Value> = reports.iter().map(json).collect();
        serde_json::to_writer_pretty(&mut *out, &json!({ "adapters": adapters }))?;
        writeln!(out)?;
        return Ok(Verdict::Good);
    }
    if reports.is_empty() {
        writeln!(out, "No GPU was found. A driver for Vulkan, Metal or DX12 has to be installed.")?;
    }
    for report in &reports {
        text(report, out)?;
    }
    Ok(Verdict::Good)
}

fn text(report: &AdapterReport, out: &mut Output) -> std::io::Result<()> {
    writeln!(out, "{} ({}, {}; {})", report.name, report.kind, report.backend, report.driver)?;
    let abilities = match &report.abilities {
        Ok(abilities) => abilities,
        Err(problem) => return writeln!(out, "  cannot be used: {problem}"),
    };
    let yes = |there: bool| if there { "yes" } else { "no" };
    writeln!(out, "  float64: {}", yes(abilities.double))?;
    writeln!(out, "  64-bit integers: {}", yes(abilities.long))?;
    writeln!(out, "  contraction can be forbidden: {}", yes(abilities.uncontracted))?;
    writeln!(
        out,
        "  buffers of one map: {}, of {} each",
        abilities.buffers.saturating_sub(1),
        in_units(u128::from(abilities.binding_bytes))
    )?;
    if abilities.wrong.is_empty() {
        return writeln!(out, "  every operation that was tried has the right bits");
    }
    writeln!(out, "  without the right bits:")?;
    abilities.wrong.iter().try_for_each(|operation| writeln!(out, "    {operation}"))
}

fn json(report: &AdapterReport) -> Value {
    let mut value = json!({
        "name": report.name,
        "kind": report.kind,
        "backend": report.backend,
        "driver": report.driver,
    });
    match &report.abilities {
        Ok(abilities) => {
            value["float64"] = json!(abilities.double);
            value["int64"] = json!(abilities.long);
            value["uncontracted"] = json!(abilities.uncontracted);
            value["buffers"] = json!(abilities.buffers.saturating_sub(1));
            value["binding_bytes"] = json!(abilities.binding_bytes);
            value["wrong"] = abilities.wrong.iter().map(|operation| json!(operation.name())).collect();
        }
        Err(problem) => value["problem"] = json!(problem),
    }
    value
}
