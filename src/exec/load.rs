//! From a file to a program that can run: recognise, read, lower scalar code, validate.

use std::io::Read;
use std::path::Path;

use crate::diag::{Diagnostic, Result};
use crate::front::gtir::lower::lower;
use crate::front::{gtir, pel, sdfg};
use crate::ir;
use crate::scalar::lower::lower_program;
use crate::scalar::spell::spell_program;
use crate::valid::validate;

use super::gtir::describe;

/// What a program file is, decided by its content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// DaCe's JSON, plain or compressed.
    Sdfg,
    /// GT4Py's IR as JSON, plain or compressed.
    Gtir,
    /// Pelton's text.
    Pel,
}

impl Format {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Sdfg => "sdfg",
            Format::Gtir => "gtir",
            Format::Pel => "pel",
        }
    }
}

/// A program read from a file, with everything there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The program, scalar code lowered.
    pub program: ir::Program,
    /// What the file was.
    pub format: Format,
    /// Findings of the reader, of lowering and of the validator, in this order.
    pub diagnostics: Vec<Diagnostic>,
    /// The GTIR that the graph was lowered from, if it was.
    pub gtir: Option<Box<gtir::Program>>,
}

impl Loaded {
    /// Errors among the findings.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error())
    }
}

/// Loads a program that is meant to run.
///
/// # Errors
/// The first error found; a note says how many more there are.
pub fn load(path: &Path) -> Result<Loaded> {
    let loaded = examine(path)?;
    let count = loaded.errors().count();
    let Some(first) = loaded.errors().next() else { return Ok(loaded) };
    let mut error = first.clone().inside(path.display().to_string());
    if count > 1 {
        error.notes.push(format!("and {} more; `pelton check {}` lists them", count - 1, path.display()));
    }
    Err(error)
}

/// Loads a program and collects all findings, errors included. Fails only if there is no program to speak of.
/// GTIR takes its description from the `case.json` in the same folder, if there is one.
///
/// # Errors
/// The file cannot be read, or is no program.
pub fn examine(path: &Path) -> Result<Loaded> {
    examine_with(path, None)
}

/// [`examine`] with a description of a GTIR program's arguments ([`describe`](super::gtir::describe)).
///
/// # Errors
/// As [`examine`]; the description cannot be read.
pub fn examine_with(path: &Path, case: Option<&Path>) -> Result<Loaded> {
    let bytes = read_bytes(path)?;
    let inside = |error: Diagnostic| error.inside(path.display().to_string());
    if recognise(&bytes) != Format::Gtir {
        return examine_bytes(&bytes).map_err(inside);
    }
    let program = gtir::read(&bytes).map_err(inside)?;
    let description = description_of(path, case)?;
    lowered(program, &description).map_err(inside)
}

/// The description that belongs to a GTIR file: the one given, or the `case.json` beside it, or none.
///
/// # Errors
/// `P0430`.
pub fn description_of(path: &Path, case: Option<&Path>) -> Result<serde_json::Value> {
    let beside = path.with_file_name("case.json");
    match case {
        Some(case) => describe::read(case),
        None if beside.is_file() => describe::read(&beside),
        None => Ok(serde_json::Value::Null),
    }
}

fn lowered(program: gtir::Program, description: &serde_json::Value) -> Result<Loaded> {
    let environment = describe::environment(description, &program)?;
    let graph = lower(&program, &environment)?.program;
    let mut loaded = finish(graph, Format::Gtir, Vec::new());
    loaded.gtir = Some(Box::new(program));
    Ok(loaded)
}

/// Whether a file holds GTIR.
///
/// # Errors
/// `P0090`.
pub fn is_gtir(path: &Path) -> Result<bool> {
    Ok(recognise(&read_bytes(path)?) == Format::Gtir)
}

/// The content of a program file.
///
/// # Errors
/// `P0090`.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Diagnostic::error("P0090", format!("cannot read {}: {error}", path.display())))
}

/// [`examine`] for bytes in memory.
///
/// # Errors
/// The bytes are no program.
pub fn examine_bytes(bytes: &[u8]) -> Result<Loaded> {
    let format = recognise(bytes);
    let (program, diagnostics) = match format {
        Format::Sdfg => sdfg::read(bytes)?,
        Format::Gtir => return lowered(gtir::read(bytes)?, &serde_json::Value::Null),
        Format::Pel => {
            let text = std::str::from_utf8(bytes).map_err(|error| {
                Diagnostic::error(
                    "P0091",
                    format!("neither JSON nor text: byte {} is not UTF-8", error.valid_up_to()),
                )
                .with_help("a program file is .sdfg, .sdfgz, .gtir.json(.gz) or .pel")
            })?;
            (pel::parse(text)?, Vec::new())
        }
    };
    Ok(finish(program, format, diagnostics))
}

/// A program in the format that a file's name asks for. Tasklets that were born without text get one.
///
/// # Errors
/// The name asks for none; says which there are. Or a tasklet has no text.
pub fn write_program(program: &ir::Program, path: &Path) -> std::result::Result<Vec<u8>, String> {
    let mut spelled = program.clone();
    spell_program(&mut spelled).map_err(|error| error.to_string())?;
    let program = &spelled;
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("sdfg") => Ok(sdfg::write(program, false)),
        Some("sdfgz") => Ok(sdfg::write(program, true)),
        Some("pel") => Ok(pel::print(program).into_bytes()),
        _ => Err(format!("{}: write .sdfg, .sdfgz or .pel", path.display())),
    }
}

/// Lowers scalar code and validates.
pub fn finish(mut program: ir::Program, format: Format, mut diagnostics: Vec<Diagnostic>) -> Loaded {
    let refused = lower_program(&mut program);
    let is_described = refused.iter().any(Diagnostic::is_error);
    // What lowering refused, it has described; the validator would only repeat that there is no code.
    let found = validate(&program).into_iter().filter(|finding| !(is_described && finding.code == "P0203"));
    diagnostics.extend(refused);
    diagnostics.extend(found);
    Loaded { program, format, diagnostics, gtir: None }
}

/// How much of a file is looked at to recognise it.
const ENOUGH: u64 = 1 << 16;

/// What the bytes look like. What starts like an object but is neither is taken for an SDFG, whose reader
/// says best what is missing.
fn recognise(bytes: &[u8]) -> Format {
    let mut start = Vec::new();
    if bytes.starts_with(&[0x1F, 0x8B]) {
        // A damaged stream may still have given enough text.
        drop(flate2::read::MultiGzDecoder::new(bytes).take(ENOUGH).read_to_end(&mut start));
    } else {
        start.extend_from_slice(bytes.get(..ENOUGH as usize).unwrap_or(bytes));
    }
    let text: Vec<u8> = start.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let has = |key: &[u8]| text.windows(key.len()).any(|window| window == key);
    if !text.starts_with(b"{") {
        // Compressed bytes that do not decompress to text are a damaged SDFG, not text.
        let arrow = "←".as_bytes();
        return match start.is_empty() && !bytes.is_empty() {
            true => Format::Sdfg,
            false if has(arrow) => Format::Gtir,
            false => Format::Pel,
        };
    }
    if has(br#""schema":"gtir-json/"#) { Format::Gtir } else { Format::Sdfg }
}
