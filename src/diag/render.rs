//! Diagnostics for people: as text, with colour where it helps, and as JSON for scripts.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Diagnostic, Severity};

impl Severity {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Severity::Note => "\x1b[1;36m",
            Severity::Warning => "\x1b[1;33m",
            Severity::Error => "\x1b[1;31m",
        }
    }
}

/// Writes a diagnostic over several lines.
///
/// # Errors
/// What the writer says.
pub fn write_text(out: &mut dyn Write, diagnostic: &Diagnostic, colour: bool) -> io::Result<()> {
    let Diagnostic { code, severity, message, place, notes, help } = diagnostic;
    let paint = |escape: &'static str| if colour { escape } else { "" };
    let (strong, faint, reset) = (paint("\x1b[1m"), paint("\x1b[2m"), paint("\x1b[0m"));
    let hue = paint(severity.colour());
    writeln!(out, "{hue}{}[{code}]{reset}{strong}: {message}{reset}", severity.name())?;
    if !place.is_empty() {
        writeln!(out, "  {faint}at{reset} {}", place.join(" / "))?;
    }
    for note in notes {
        writeln!(out, "  {faint}note:{reset} {note}")?;
    }
    if let Some(help) = help {
        writeln!(out, "  {faint}help:{reset} {help}")?;
    }
    Ok(())
}

/// A diagnostic as JSON: `code`, `severity`, `message`, `place`, `notes`, `help`.
pub fn to_json(diagnostic: &Diagnostic) -> Value {
    json!({
        "code": diagnostic.code,
        "severity": diagnostic.severity.name(),
        "message": diagnostic.message,
        "place": diagnostic.place,
        "notes": diagnostic.notes,
        "help": diagnostic.help,
    })
}
