//! The validator raises no false alarm: every program of the corpus is valid.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pelton::front::sdfg;
use pelton::scalar::lower::lower_program;
use pelton::valid::validate;

fn programs(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            programs(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sdfgz") {
            found.push(path);
        }
    }
}

#[test]
fn no_false_alarm_on_the_corpus() {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let corpus = std::env::var_os("PELTON_CORPUS").map_or(default, PathBuf::from);
    if !corpus.is_dir() {
        eprintln!("skipped: no corpus beside the repository");
        return;
    }
    let mut paths = Vec::new();
    programs(&corpus, &mut paths);
    paths.sort();
    let mut alarms: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for path in &paths {
        let (mut program, _) = sdfg::read(&std::fs::read(path).unwrap()).unwrap();
        let not_lowered = lower_program(&mut program);
        for finding in validate(&program) {
            // What lowering refused, it has described.
            let is_refused = finding.code == "P0203" && !not_lowered.is_empty();
            if !is_refused && (finding.is_error() || std::env::var_os("WARNINGS").is_some()) {
                alarms.entry(finding.code).or_default().push(format!("{}: {finding}", path.display()));
            }
        }
    }
    let count: usize = alarms.values().map(Vec::len).sum();
    let shown: Vec<String> = alarms
        .iter()
        .map(|(code, list)| format!("{code}: {} times\n{}", list.len(), list[..list.len().min(3)].join("\n")))
        .collect();
    assert!(count == 0, "{count} alarms in {} programs\n{}", paths.len(), shown.join("\n\n"));
}
