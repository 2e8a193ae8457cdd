//! Diagnostics as data: what is wrong, where, what was expected and what to do.
//!
//! Every diagnostic has a code (`P0012`) that `pelton explain CODE` describes. Codes are never reused.
//! Ranges: `P00xx` files and formats, `P01xx` graph structure, `P02xx` symbols and types, `P03xx` scalar
//! code, `P04xx` arguments, `P05xx` execution (checked mode and traps), `P06xx` GTIR, `P07xx` engines.

use std::fmt;

pub mod codes;
pub mod render;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Suspicious, but the program has a meaning.
    Warning,
    /// The program is refused, or the run failed.
    Error,
}

/// One finding.
#[derive(Clone, PartialEq, Debug)]
pub struct Diagnostic {
    /// Stable code, for instance `P0012`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence: what is wrong.
    pub message: String,
    /// Where, from the outside in: file, program, state, node, memlet, byte offset.
    pub place: Vec<String>,
    /// What was expected, and other facts, one per line.
    pub notes: Vec<String>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A note.
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Note, message)
    }

    fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self { code, severity, message: message.into(), place: Vec::new(), notes: Vec::new(), help: None }
    }

    /// Adds the innermost place found so far.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.place.push(place.into());
        self
    }

    /// Adds a place outside all places so far (used while an error travels outwards).
    #[must_use]
    pub fn inside(mut self, place: impl Into<String>) -> Self {
        self.place.insert(0, place.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether the program is refused or the run failed.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}[{}]: {}", self.code, self.message)?;
        if !self.place.is_empty() {
            write!(f, "\n  at {}", self.place.join(" / "))?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}

/// What most of Pelton's fallible functions return.
pub type Result<T> = std::result::Result<T, Diagnostic>;
