//! Text and graph are inverse: on the corpus, on the examples of the documentation, and on broken text.

mod common;

use pelton::front::{pel, sdfg};
use pelton::ir::Program;
use pelton::ir::canonical::{canonical, difference, strip_code};

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
    let Some(corpus) = common::corpus() else { return };
    let paths = common::sdfg_files(&corpus);
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
