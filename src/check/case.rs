//! Case folders: a program, its inputs, what came out of a run that is trusted, and how closely to compare.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::diag::{Diagnostic, Result};

use super::Tolerance;

/// What kind of program a case holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CaseKind {
    /// An SDFG (or Pelton's text).
    Sdfg,
    /// GTIR, with fields that have origins and connectivities.
    Gtir,
}

/// A case folder.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder.
    pub folder: PathBuf,
    /// The suite it belongs to.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// What kind of program.
    pub kind: CaseKind,
    /// How closely results have to agree.
    pub tolerance: Tolerance,
    /// The whole of `case.json`.
    pub description: Value,
}

/// One run of a case: the program itself, or the same program after somebody's optimizer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CaseProgram {
    /// Empty for the program itself, otherwise `#optimized` and the like.
    pub suffix: &'static str,
    /// The file.
    pub path: PathBuf,
}

impl Case {
    /// Reads a folder's `case.json`.
    ///
    /// # Errors
    /// `P0430`: it is missing or not what the format says.
    pub fn open(folder: &Path) -> Result<Case> {
        let path = folder.join("case.json");
        let damaged = |what: String| Diagnostic::error("P0430", what).at(path.display().to_string());
        let text = std::fs::read(&path).map_err(|error| damaged(format!("cannot read the case: {error}")))?;
        let description: Value =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("not JSON: {error}")))?;
        if !description.is_object() {
            return Err(damaged("the description is not an object".into()));
        }
        let folder_name = |folder: Option<&Path>| {
            folder
                .and_then(Path::file_name)
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default()
        };
        let text = |key: &str| description.get(key).and_then(Value::as_str).map(str::to_owned);
        let kind = match text("kind").as_deref() {
            Some("sdfg") | None => CaseKind::Sdfg,
            Some("gtir") => CaseKind::Gtir,
            Some(other) => return Err(damaged(format!("unknown kind {other}; there are sdfg and gtir"))),
        };
        let number =
            |key: &str, default: f64| match description.get("compare").and_then(|compare| compare.get(key)) {
                None => Ok(default),
                Some(value) => value
                    .as_f64()
                    .filter(|value| *value >= 0.0)
                    .ok_or_else(|| damaged(format!("compare.{key} is not a number from 0 up"))),
            };
        let tolerance = Tolerance { relative: number("rtol", 1e-9)?, absolute: number("atol", 0.0)? };
        Ok(Case {
            folder: folder.to_path_buf(),
            suite: text("suite").unwrap_or_else(|| folder_name(folder.parent())),
            name: text("name").unwrap_or_else(|| folder_name(Some(folder))),
            kind,
            tolerance,
            description,
        })
    }

    /// The programs to run, the case's own first. For SDFG cases an optimized program counts as well; for
    /// GTIR cases what DaCe's backend made of the program does so only with `variants`.
    pub fn programs(&self, variants: bool) -> Vec<CaseProgram> {
        let own: &[&str] = match self.kind {
            CaseKind::Sdfg => &["program.sdfgz", "program.sdfg", "program.pel"],
            CaseKind::Gtir => &["program.gtir.json.gz", "program.gtir.json"],
        };
        let mut programs = Vec::new();
        let own = own.iter().map(|name| self.folder.join(name)).find(|path| path.is_file());
        // A case without a program is a failing case, not one less.
        let path = own.unwrap_or_else(|| self.folder.join("program.sdfgz"));
        programs.push(CaseProgram { suffix: "", path });
        let others: &[(&'static str, &str)] = match (self.kind, variants) {
            (CaseKind::Sdfg, _) => &[("#optimized", "optimized.sdfgz")],
            (CaseKind::Gtir, true) => &[("#lowered", "lowered.sdfgz"), ("#optimized", "optimized.sdfgz")],
            (CaseKind::Gtir, false) => &[],
        };
        for &(suffix, name) in others {
            let path = self.folder.join(name);
            if path.is_file() {
                programs.push(CaseProgram { suffix, path });
            }
        }
        programs
    }

    /// Whether elements of returned arrays that the program never defines are left out of the comparison.
    ///
    /// DaCe hands out uninitialised memory for the arrays a program returns, so what its run recorded there is
    /// whatever that memory held. Cases recorded from DaCe (suite `dace`) say nothing about such elements;
    /// every other case was recorded from something that defines all of them, unless it says
    /// `"undefined_returns": true`.
    pub fn leaves_returns_undefined(&self) -> bool {
        self.suite == "dace" || self.description.get("undefined_returns") == Some(&Value::Bool(true))
    }
}

/// All case folders in or below `roots`, in order of their paths.
///
/// # Errors
/// `P0431`: a root that is no folder or holds no case.
pub fn find_cases(roots: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in roots {
        if !root.is_dir() {
            return Err(Diagnostic::error("P0431", format!("{} is not a folder", root.display())));
        }
        let before = found.len();
        let mut open = vec![(root.clone(), 0)];
        while let Some((folder, depth)) = open.pop() {
            if folder.join("case.json").is_file() {
                found.push(folder);
                continue;
            }
            // Links may lead in circles.
            if depth > 32 {
                continue;
            }
            let entries = std::fs::read_dir(&folder).map_err(|error| {
                Diagnostic::error("P0431", format!("cannot list {}: {error}", folder.display()))
            })?;
            open.extend(
                entries
                    .flatten()
                    .map(|entry| entry.path())
                    .filter(|path| path.is_dir())
                    .map(|path| (path, depth + 1)),
            );
        }
        if found.len() == before {
            return Err(Diagnostic::error("P0431", format!("no case folder in {}", root.display()))
                .with_help("a case folder holds case.json, a program, inputs.npz and expected.npz"));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}
