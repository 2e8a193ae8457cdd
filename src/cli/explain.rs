//! `pelton explain`: what a diagnostic code means.

use std::io::Write;

use clap::Args;
use serde_json::json;

use crate::diag::codes::{CODES, Code, lookup};

use super::output::Output;
use super::{TextFormat, Usage, Verdict};

/// Describe a diagnostic code.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton explain P0503
  pelton explain          lists all codes")]
pub struct ExplainArgs {
    /// The code; all codes are listed without one.
    code: Option<String>,
    /// How the answer is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// Runs the subcommand.
pub fn explain(args: &ExplainArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let json = |code: &Code| json!({"code": code.code, "title": code.title, "explanation": code.explanation, "unsupported": code.unsupported});
    match (&args.code, args.format) {
        (None, TextFormat::Text) => {
            for code in CODES {
                writeln!(out, "{}  {}", code.code, code.title)?;
            }
        }
        (None, TextFormat::Json) => {
            serde_json::to_writer_pretty(&mut *out, &CODES.iter().map(json).collect::<Vec<_>>())?;
            writeln!(out)?;
        }
        (Some(text), format) => {
            let code = lookup(text)
                .ok_or_else(|| Usage(format!("there is no diagnostic {text}; `pelton explain` lists all")))?;
            match format {
                TextFormat::Text => writeln!(out, "{}: {}\n\n{}", code.code, code.title, code.explanation)?,
                TextFormat::Json => writeln!(out, "{}", json(code))?,
            }
        }
    }
    Ok(Verdict::Good)
}
