//! Executable memory: written once, then read and run only, freed when dropped.

use memmap2::{Mmap, MmapMut};

use crate::diag::Diagnostic;

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

    /// Where the code starts.
    pub fn address(&self) -> *const u8 {
        self.pages.as_ptr()
    }

    /// The code, for disassembly.
    pub fn bytes(&self) -> &[u8] {
        &self.pages
    }
}
