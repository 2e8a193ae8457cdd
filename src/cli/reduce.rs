//! `pelton reduce`: makes a failing program small.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::check::guard;
use crate::check::reduce::reduce;
use crate::front::pel;

use super::output::Output;
use super::sides::SideArgs;
use super::{TextFormat, Usage, Verdict};

/// Make a program small on which two sides differ.
///
/// Cuts out the state in which the difference appears, then takes away parts, iterations, code, sizes and values while the
/// sides still differ, and writes what is left as a case folder.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton reduce program.sdfgz --inputs in.npz --sides interp,native --out small
  pelton reduce program.pel --inputs in.npz --plant DropResolution --out small

Exit code 0 if a smaller case was written.")]
pub struct ReduceArgs {
    #[command(flatten)]
    sides: SideArgs,
    /// The case folder to write.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Time at most.
    #[arg(long, value_name = "S", default_value_t = 30.0)]
    seconds: f64,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// Runs the subcommand.
pub fn run(args: &ReduceArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let sides = args.sides.open(None)?;
    if !sides.can_follow {
        return Err(Usage(
            "reduce changes the program again and again, so it needs sides that can follow: engines, not --after or gtir-oracle"
                .to_owned(),
        )
        .into());
    }
    guard::capture_panics();
    let [left, right] = &sides.sides;
    let limit = Duration::from_secs_f64(args.seconds.clamp(0.1, 1e6));
    let reduced = reduce(&sides.program, &sides.args, [left, right], sides.tolerance, limit)?;
    let command = format!("pelton diff {} {}", args.out.display(), sides.shown);
    reduced.save(&args.out, [left, right], &command)?;
    match args.format {
        TextFormat::Json => {
            let report = json!({
                "nodes_before": reduced.nodes_before,
                "nodes": reduced.nodes,
                "tried": reduced.tried,
                "seconds": reduced.elapsed.as_secs_f64(),
                "difference": reduced.disagreement.to_string(),
                "case": args.out.display().to_string(),
                "command": command,
            });
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        TextFormat::Text => {
            write!(out, "{}", pel::print_brief(&reduced.failing.program))?;
            writeln!(out, "{}", reduced.disagreement)?;
            writeln!(
                out,
                "{} nodes of {}, after {} candidates in {:.1} s",
                reduced.nodes,
                reduced.nodes_before,
                reduced.tried,
                reduced.elapsed.as_secs_f64()
            )?;
            writeln!(out, "shown by: {command}")?;
        }
    }
    Ok(Verdict::Good)
}
