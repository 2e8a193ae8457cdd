//! The GTIR oracle reproduces every GTIR case of the corpus.

mod common;

use std::path::{Path, PathBuf};
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Trial};
use pelton::check::{Tolerance, gtir_case, gtir_oracle};
use pelton::exec::npz;
use pelton::front::gtir::json;

/// Cases that cannot be reproduced from what their folder holds: name, diagnostic, reason.
///
/// The recorded call of this one was restricted by a `domain` argument that the folder does not have; on the whole
/// field it reads level -1.
const KNOWN: &[(&str, &str)] = &[("icon4py/dycore__InterpolateToHalfLevelsWp", "P0613")];

fn main() {
    let arguments = Arguments::from_args();
    let root = common::corpus().unwrap_or_default();
    let mut trials = Vec::new();
    for suite in ["gt4py", "icon4py"] {
        let Ok(entries) = std::fs::read_dir(root.join(suite)) else { continue };
        let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        for folder in folders {
            let name = format!("{suite}/{}", folder.file_name().unwrap_or_default().to_string_lossy());
            trials.push(Trial::test(name.clone(), move || run(&folder, &name)));
        }
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn run(folder: &Path, name: &str) -> Result<(), Failed> {
    let description: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("case.json"))?)?;
    let program = json::read(&std::fs::read(folder.join("program.gtir.json.gz"))?)?;
    let inputs = npz::read(&folder.join("inputs.npz"))?;
    let expected = npz::read(&folder.join("expected.npz"))?;
    let mut args = gtir_case::arguments(&description, &inputs)?;
    let start = Instant::now();
    let outcome = gtir_oracle::run(&program, &mut args);
    if let Some((_, code)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return match outcome {
            Err(error) if error.code == *code => Ok(()),
            _ => Err("this case is on the list of known exceptions, but does not fail as it says".into()),
        };
    }
    outcome?;
    if std::env::var_os("PELTON_TIMES").is_some() {
        eprintln!("{:8.3} s {}", start.elapsed().as_secs_f64(), folder.display());
    }
    let number = |key: &str| description["compare"][key].as_f64().unwrap_or(0.0);
    let tolerance = Tolerance { relative: number("rtol"), absolute: number("atol") };
    let reports = gtir_case::compare_outputs(&description, &args.memory, &expected, tolerance);
    let failing: Vec<String> =
        reports.iter().filter(|report| !report.passes()).map(ToString::to_string).collect();
    if reports.is_empty() {
        return Err("nothing is expected, so nothing is checked".into());
    }
    if failing.is_empty() { Ok(()) } else { Err(failing.join("\n").into()) }
}
