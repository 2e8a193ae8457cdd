//! `pelton locate`: where two sides part.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use crate::check::guard;
use crate::check::locate::{locate, locate_recorded};

use super::output::Output;
use super::sides::SideArgs;
use super::{TextFormat, Verdict};

/// Find the first state, map, iteration, tasklet and element in which two sides differ.
///
/// Runs the program on both sides from the same inputs, searches its timeline by bisection, and goes into the first
/// part that differs until one tasklet is left. Then it prints what was read there, and who wrote that. With a tolerance it
/// looks for the place where the difference becomes larger than that.
///
/// With --recorded there is one run, of the second side, and arrays of another compiler's run. They are named NAME (at the end),
/// STATE/NAME or STATE/NAME#K (after that state ran for the first or the (K+1)-th time). `scripts/dace-record` makes such files.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton locate program.sdfgz --inputs in.npz --sides interp,native
  pelton locate before.sdfgz --after after.sdfgz --inputs in.npz --sides interp,interp
  pelton locate program.sdfgz --inputs in.npz --sides strict,fast --rtol 1e-9
  pelton locate program.sdfgz --inputs in.npz --recorded dace.npz --rtol 1e-9
  pelton locate tests/cases/dycore --plant TimesToPlus@Last

Exit code 1 if they differ.")]
pub struct LocateArgs {
    #[command(flatten)]
    sides: SideArgs,
    /// Arrays that somebody recorded take the place of the first side.
    #[arg(long, value_name = "RECORDED.npz")]
    recorded: Option<PathBuf>,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// Runs the subcommand.
pub fn run(args: &LocateArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let sides = args.sides.open(args.recorded.as_deref())?;
    guard::capture_panics();
    let right = sides.right()?;
    let located = match &sides.recorded {
        Some((source, recorded)) => locate_recorded(right, recorded, source, sides.tolerance),
        None => locate(sides.left()?, right, sides.tolerance),
    };
    let located = match located {
        Ok(located) => located,
        Err(error) if error.code == "P0435" => {
            let how = if sides.tolerance.is_some() { "within the tolerance" } else { "bit for bit" };
            writeln!(out, "both sides agree, {how}")?;
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
