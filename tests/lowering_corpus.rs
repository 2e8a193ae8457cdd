//! Every piece of code in the corpus lowers, and what it lowers to passes the verifier.

use std::path::{Path, PathBuf};

use pelton::front::sdfg;
use pelton::ir::{BlockKind, Language, NodeKind, Program};
use pelton::scalar::Code;
use pelton::scalar::lower::lower_program;
use pelton::scalar::parse::c::lapack_call;

fn corpus() -> Option<PathBuf> {
    let folder = match std::env::var_os("PELTON_CORPUS") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no corpus at {}", folder.display());
    None
}

/// Program files, in a fixed order.
fn programs(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "sdfgz" || extension == "sdfg") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All codes of a program, and how many texts have none.
fn codes(program: &Program) -> (Vec<&Code>, usize) {
    let mut codes = Vec::new();
    let mut missing = 0;
    let mut take = |code: &'_ Option<Code>| match code {
        Some(_) => {}
        None => missing += 1,
    };
    for graph in program.graphs.values() {
        for region in graph.regions.values() {
            for edge in &region.edges {
                edge.condition
                    .iter()
                    .chain(edge.assignments.iter().map(|(_, v)| v))
                    .for_each(|e| take(&e.code));
            }
        }
        for block in graph.blocks.values() {
            match &block.kind {
                BlockKind::Loop(body) => {
                    body.init.iter().chain(&body.update).chain([&body.condition]).for_each(|e| take(&e.code));
                }
                BlockKind::Conditional(branches) => {
                    branches.iter().filter_map(|b| b.condition.as_ref()).for_each(|e| take(&e.code));
                }
                BlockKind::State(state) => {
                    for (_, node) in state.live_nodes() {
                        match &node.kind {
                            NodeKind::Tasklet(tasklet) => {
                                let text = &tasklet.text;
                                if text.language != Language::Cpp || lapack_call(&text.text).is_none() {
                                    take(&tasklet.code);
                                }
                            }
                            NodeKind::Library(library)
                                if library.properties.contains_key("wcr")
                                    && !library.properties["wcr"].is_null() =>
                            {
                                take(&library.wcr);
                            }
                            NodeKind::ConsumeEntry(consume) => {
                                consume.condition.iter().for_each(|e| take(&e.code));
                            }
                            _ => {}
                        }
                    }
                    state
                        .edges
                        .values()
                        .filter(|edge| !edge.removed)
                        .filter_map(|edge| edge.memlet.wcr.as_ref())
                        .for_each(|wcr| take(&wcr.code));
                }
                _ => {}
            }
        }
    }
    for graph in program.graphs.values() {
        for region in graph.regions.values() {
            for edge in &region.edges {
                codes.extend(
                    edge.condition
                        .iter()
                        .chain(edge.assignments.iter().map(|(_, v)| v))
                        .filter_map(|e| e.code.as_ref()),
                );
            }
        }
        for block in graph.blocks.values() {
            match &block.kind {
                BlockKind::Loop(body) => codes.extend(
                    body.init
                        .iter()
                        .chain(&body.update)
                        .chain([&body.condition])
                        .filter_map(|e| e.code.as_ref()),
                ),
                BlockKind::Conditional(branches) => codes.extend(
                    branches.iter().filter_map(|b| b.condition.as_ref()).filter_map(|e| e.code.as_ref()),
                ),
                BlockKind::State(state) => {
                    for (_, node) in state.live_nodes() {
                        match &node.kind {
                            NodeKind::Tasklet(tasklet) => codes.extend(&tasklet.code),
                            NodeKind::Library(library) => codes.extend(&library.wcr),
                            NodeKind::ConsumeEntry(consume) => {
                                codes.extend(consume.condition.iter().filter_map(|e| e.code.as_ref()));
                            }
                            _ => {}
                        }
                    }
                    codes.extend(
                        state.edges.values().filter_map(|edge| edge.memlet.wcr.as_ref()?.code.as_ref()),
                    );
                }
                _ => {}
            }
        }
    }
    (codes, missing)
}

#[test]
fn every_code_lowers() {
    let Some(folder) = corpus() else { return };
    let mut total = 0;
    let mut problems = Vec::new();
    let files = programs(&folder);
    for path in &files {
        let shown = path.strip_prefix(&folder).unwrap_or(path).display().to_string();
        let bytes = std::fs::read(path).unwrap();
        let (mut program, _) = match sdfg::read(&bytes) {
            Ok(read) => read,
            Err(error) => {
                problems.push(format!("{shown}: {error}"));
                continue;
            }
        };
        for diagnostic in lower_program(&mut program) {
            problems.push(format!("{shown}: {diagnostic}"));
        }
        let (codes, missing) = codes(&program);
        total += codes.len();
        if missing > 0 {
            problems.push(format!("{shown}: {missing} texts without code"));
        }
        for code in codes {
            if let Err(error) = code.verify(&program.structs) {
                let text = pelton::scalar::print(code, &program.names);
                problems.push(format!("{shown}: {error}\n{text}"));
            }
        }
    }
    eprintln!("{total} codes in {} programs, {} problems", files.len(), problems.len());
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(total > 0);
}
