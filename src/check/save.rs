//! Writes case folders: what `pelton test` runs and what a bug report consists of.

use std::path::Path;

use serde_json::json;

use crate::diag::{Diagnostic, Result};
use crate::exec::npz::{self, FileArrays};

/// Writes a case of a program as `.pel` text with its inputs and the results that are right.
///
/// # Errors
/// `P0433` when the folder cannot be written.
pub fn save_case(
    folder: &Path,
    text: &str,
    inputs: &FileArrays,
    expected: &FileArrays,
    notes: &[String],
) -> Result<()> {
    let failed = |error: std::io::Error| {
        Diagnostic::error("P0433", format!("cannot write the case: {error}")).at(folder.display().to_string())
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    std::fs::write(folder.join("program.pel"), text).map_err(failed)?;
    npz::write(&folder.join("inputs.npz"), inputs)?;
    npz::write(&folder.join("expected.npz"), expected)?;
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let description = json!({
        "kind": "sdfg",
        "suite": "found",
        "name": name,
        "compare": { "rtol": 0.0, "atol": 0.0 },
        "notes": notes,
    });
    let text = format!("{description:#}\n");
    std::fs::write(folder.join("case.json"), text).map_err(failed)
}
