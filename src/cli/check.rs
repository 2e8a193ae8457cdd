//! `pelton check`: what is wrong with a program.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::diag::{Diagnostic, Severity, render};
use crate::exec::load::{Format, examine_with};

use super::output::Output;
use super::{TextFormat, Verdict};

/// Print everything that is wrong with a program.
///
/// Reads the file, lowers the code inside and validates the graph, without running it.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton check program.sdfgz
  pelton check program.sdfg --format json

JSON: {\"program\", \"format\", \"diagnostics\": [{\"code\", \"severity\", \"message\", \"place\", \"notes\", \"help\"}],
\"errors\", \"warnings\"}. Exit code 1 if there is an error.")]
pub struct CheckArgs {
    /// The program file.
    program: PathBuf,
    /// What describes the arguments of a GTIR program; the case.json beside it by default.
    #[arg(long, value_name = "CASE.json")]
    case: Option<PathBuf>,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// Runs the subcommand.
pub fn check(args: &CheckArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let (format, diagnostics) = match examine_with(&args.program, args.case.as_deref()) {
        Ok(loaded) => (Some(loaded.format), loaded.diagnostics),
        Err(error) => (None, vec![error]),
    };
    let count =
        |severity| diagnostics.iter().filter(|found: &&Diagnostic| found.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    match args.format {
        TextFormat::Json => {
            let report = json!({
                "program": args.program.display().to_string(),
                "format": format.map(Format::name),
                "diagnostics": diagnostics.iter().map(render::to_json).collect::<Vec<_>>(),
                "errors": errors,
                "warnings": warnings,
            });
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        TextFormat::Text => {
            let colour = out.colour;
            for diagnostic in &diagnostics {
                render::write_text(out, diagnostic, colour)?;
            }
            let plural = |count: usize| if count == 1 { "" } else { "s" };
            writeln!(
                out,
                "{}: {errors} error{}, {warnings} warning{}",
                args.program.display(),
                plural(errors),
                plural(warnings)
            )?;
        }
    }
    Ok(if errors == 0 { Verdict::Good } else { Verdict::Failed })
}
