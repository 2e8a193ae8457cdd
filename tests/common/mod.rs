//! What several tests need: where the corpus of real programs is, and the files in a folder.

#![allow(dead_code, reason = "each test uses some of it")]

pub mod failing;
pub mod small;

use std::path::{Path, PathBuf};

/// The folder of the corpus: `PELTON_CORPUS`, or `../shared/corpus` beside the repository. `None`, with a
/// message, where there is none: the test is skipped.
pub fn corpus() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let folder = std::env::var_os("PELTON_CORPUS").map_or(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no corpus at {}", folder.display());
    None
}

/// Files in or below a folder whose name ends in one of `endings`, in the order of their paths.
pub fn files(folder: &Path, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().is_some_and(|name| endings.iter().any(|ending| name.ends_with(ending))) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// SDFG files in or below a folder, in the order of their paths.
pub fn sdfg_files(folder: &Path) -> Vec<PathBuf> {
    files(folder, &[".sdfg", ".sdfgz"])
}
