//! The validator raises no false alarm: every program of the corpus is valid.

mod common;

use std::collections::BTreeMap;

use pelton::front::sdfg;
use pelton::scalar::lower::lower_program;
use pelton::valid::validate;

#[test]
fn no_false_alarm_on_the_corpus() {
    let Some(corpus) = common::corpus() else { return };
    let paths = common::sdfg_files(&corpus);
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
