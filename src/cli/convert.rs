//! `pelton convert`: from one program format to another.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::diag::Diagnostic;
use crate::exec::load::{examine, write_program};

use super::output::Output;
use super::{Usage, Verdict};

/// Convert a program to another format.
///
/// The format of the input is told from its content, that of the output from its name: .sdfg (JSON),
/// .sdfgz (compressed JSON) or .pel (text).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton convert program.sdfgz program.pel
  pelton convert program.pel program.sdfgz")]
pub struct ConvertArgs {
    /// The program to read.
    input: PathBuf,
    /// The file to write.
    output: PathBuf,
}

/// Runs the subcommand.
pub fn convert(args: &ConvertArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let loaded = examine(&args.input)?;
    let bytes = write_program(&loaded.program, &args.output).map_err(Usage)?;
    replace(&args.output, &bytes)?;
    writeln!(out, "{} -> {} ({} bytes)", args.input.display(), args.output.display(), bytes.len())?;
    Ok(Verdict::Good)
}

/// Writes a file so that it is either the old one or complete.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    crate::exec::npz::replace_file(path, |file| file.write_all(bytes))
}
