//! `pelton convert`: from one program format to another.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::diag::Diagnostic;
use crate::exec::load::{examine_with, is_gtir, read_bytes, write_program};
use crate::front::gtir;
use crate::scalar::spell::spell_program;

use super::output::Output;
use super::{Usage, Verdict};

/// Convert a program to another format.
///
/// The format of the input is told from its content, that of the output from its name: .sdfg (JSON),
/// .sdfgz (compressed JSON) or .pel (text). A GTIR program is lowered for the arguments that its case.json
/// describes; or it is only rewritten, as .gtir.json, .gtir.json.gz or .gtir.txt (GT4Py's printed form, which
/// loses types).
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton convert program.sdfgz program.pel
  pelton convert program.pel program.sdfgz
  pelton convert program.gtir.json.gz program.sdfgz --case case.json
  pelton convert program.gtir.json.gz program.gtir.txt")]
pub struct ConvertArgs {
    /// The program to read.
    input: PathBuf,
    /// The file to write.
    output: PathBuf,
    /// What describes the arguments of a GTIR program; the case.json beside it by default.
    #[arg(long, value_name = "CASE.json")]
    case: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn convert(args: &ConvertArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let bytes = match gtir_form(&args.output) {
        Some(form) => rewritten_gtir(&args.input, form)?,
        None => {
            let mut loaded = examine_with(&args.input, args.case.as_deref())?;
            spell_program(&mut loaded.program)?;
            write_program(&loaded.program, &args.output).map_err(Usage)?
        }
    };
    replace(&args.output, &bytes)?;
    writeln!(out, "{} -> {} ({} bytes)", args.input.display(), args.output.display(), bytes.len())?;
    Ok(Verdict::Good)
}

/// The forms of GTIR.
#[derive(Clone, Copy)]
enum GtirForm {
    Json,
    CompressedJson,
    Text,
}

fn gtir_form(path: &Path) -> Option<GtirForm> {
    let name = path.file_name()?.to_str()?;
    let forms = [
        (".gtir.json", GtirForm::Json),
        (".gtir.json.gz", GtirForm::CompressedJson),
        (".gtir.txt", GtirForm::Text),
        (".gtir", GtirForm::Text),
    ];
    forms.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, form)| form)
}

fn rewritten_gtir(input: &Path, form: GtirForm) -> anyhow::Result<Vec<u8>> {
    let shown = || input.display().to_string();
    if !is_gtir(input)? {
        return Err(Usage(format!("{}: only GTIR can be written as GTIR", shown())).into());
    }
    let program = gtir::read(&read_bytes(input)?).map_err(|error| error.inside(shown()))?;
    Ok(match form {
        GtirForm::Json => gtir::json_write::write(&program, false),
        GtirForm::CompressedJson => gtir::json_write::write(&program, true),
        GtirForm::Text => gtir::print::print(&program).into_bytes(),
    })
}

/// Writes a file so that it is either the old one or complete.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    crate::exec::npz::replace_file(path, |file| file.write_all(bytes))
}
