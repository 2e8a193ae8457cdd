//! Text and graph are inverse: on the corpus, on the examples of the documentation, and on broken text.

use std::path::{Path, PathBuf};

use pelton::front::{pel, sdfg};
use pelton::ir::Program;
use pelton::ir::canonical::{canonical, difference, strip_code};

fn corpus() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus");
    let path = std::env::var_os("PELTON_CORPUS").map_or(default, PathBuf::from);
    path.is_dir().then_some(path)
}

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

/// What is lost on the way through text, if anything.
fn loss(program: &Program) -> Option<String> {
    let mut before = canonical(program);
    strip_code(&mut before);
    let text = pel::print(&before);
    let after = match pel::parse(&text) {
        Ok(after) => canonical(&after),
        Err(problem) => return Some(format!("{problem}\n{text}")),
    };
    difference(&before, &after).map(|(before, after)| format!("was  {before}\nnow  {after}"))
}

#[test]
fn every_program_of_the_corpus_survives_text() {
    let Some(corpus) = corpus() else {
        eprintln!("skipped: no corpus beside the repository");
        return;
    };
    let mut paths = Vec::new();
    programs(&corpus, &mut paths);
    paths.sort();
    let mut failures = Vec::new();
    for path in &paths {
        let bytes = std::fs::read(path).unwrap();
        let Ok((program, _)) = sdfg::read(&bytes) else { continue };
        if let Some(loss) = loss(&program) {
            let loss: String = loss.chars().take(600).collect();
            failures.push(format!("{}: {loss}", path.display()));
        }
    }
    let shown = failures.iter().take(8).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(failures.is_empty(), "{} of {} programs change:\n{shown}", failures.len(), paths.len());
}

#[test]
fn examples_of_the_documentation_parse() {
    let documentation = include_str!("../src/front/pel/mod.rs");
    let mut count = 0;
    for block in documentation.split("```pelton\n").skip(1) {
        let text: Vec<&str> = block
            .split("//! ```")
            .next()
            .unwrap()
            .lines()
            .map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or(""))
            .collect();
        let program = pel::parse(&text.join("\n")).unwrap();
        assert_eq!(loss(&program), None);
        count += 1;
    }
    assert_eq!(count, 2);
}
