//! Executable memory: written once, then read and run only, freed when dropped.

use std::io::Write;

use memmap2::{Mmap, MmapMut};

use crate::diag::Diagnostic;

/// Set to anything but `0`, code is listed in `perf-PID.map` in the folder for temporary files, where `perf` looks.
pub const PERF_VARIABLE: &str = "PELTON_PERF_MAP";

/// Machine code that may be called.
#[derive(Debug)]
pub struct CodeMemory {
    pages: Mmap,
}

impl CodeMemory {
    /// Copies finished code (no relocations) into fresh pages and makes them executable.
    pub fn new(code: &[u8]) -> Result<CodeMemory, Diagnostic> {
        let failed = |error: std::io::Error| {
            Diagnostic::error("P0702", format!("no memory for {} bytes of code: {error}", code.len()))
        };
        let mut pages = MmapMut::map_anon(code.len().max(1)).map_err(failed)?;
        pages[..code.len()].copy_from_slice(code);
        let pages = pages.make_exec().map_err(failed)?;
        Ok(CodeMemory { pages })
    }

    /// Tells Linux's `perf` the name of the code, if [`PERF_VARIABLE`] asks for it.
    pub fn name(&self, length: usize, name: &str) {
        if std::env::var_os(PERF_VARIABLE).is_none_or(|value| value.is_empty() || value == "0") {
            return;
        }
        let path = std::env::temp_dir().join(format!("perf-{}.map", std::process::id()));
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // A profile without names is no reason to fail.
        if let Ok(mut file) = file {
            let name: String = name.chars().map(|c| if c.is_whitespace() { '_' } else { c }).collect();
            drop(writeln!(file, "{:x} {length:x} pelton_{name}", self.address() as usize));
        }
    }

    /// Where the code starts.
    pub fn address(&self) -> *const u8 {
        self.pages.as_ptr()
    }

    /// The code, for disassembly.
    pub fn bytes(&self) -> &[u8] {
        &self.pages
    }
}
