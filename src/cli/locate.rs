//! `pelton locate`: where two sides part.

use std::io::Write;

use clap::Args;

use crate::check::guard;
use crate::check::locate::{Half, locate};

use super::output::Output;
use super::sides::SideArgs;
use super::{TextFormat, Verdict};

/// Find the first state, map, iteration, tasklet and element in which two sides differ.
///
/// Runs the program on both sides from the same inputs, searches its timeline by bisection, and goes into the first
/// part that differs until one tasklet is left. Then it prints what was read there, and who wrote that.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton locate program.sdfgz --inputs in.npz --sides interp,native
  pelton locate before.sdfgz --after after.sdfgz --inputs in.npz --sides interp,interp
  pelton locate tests/cases/dycore --plant TimesToPlus@Last

Exit code 1 if they differ.")]
pub struct LocateArgs {
    #[command(flatten)]
    sides: SideArgs,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// Runs the subcommand.
pub fn run(args: &LocateArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let sides = args.sides.open()?;
    guard::capture_panics();
    let left = Half::of(&sides.sides[0], &sides.program, &sides.args)?;
    let right = Half::of(&sides.sides[1], sides.after.as_ref().unwrap_or(&sides.program), &sides.args)?;
    let located = match locate(left, right) {
        Ok(located) => located,
        Err(error) if error.code == "P0435" => {
            writeln!(out, "both sides agree, bit for bit")?;
            return Ok(Verdict::Good);
        }
        Err(error) => return Err(error.into()),
    };
    match args.format {
        TextFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, &located.to_json())?;
            writeln!(out)?;
        }
        TextFormat::Text => writeln!(out, "{located}")?,
    }
    Ok(Verdict::Failed)
}
