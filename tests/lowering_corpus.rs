//! Every piece of code in the corpus lowers, and what it lowers to passes the verifier.

mod common;

use pelton::front::sdfg;
use pelton::ir::{BlockKind, Language, NodeKind, Program, State};
use pelton::scalar::Code;
use pelton::scalar::lower::lower_program;
use pelton::scalar::parse::c::lapack_call;

/// Every place of a program where code stands, with the code if it was lowered.
fn places(program: &Program) -> Vec<Option<&Code>> {
    let mut places = Vec::new();
    for graph in program.graphs.values() {
        for edge in graph.regions.values().flat_map(|region| &region.edges) {
            let values = edge.assignments.iter().map(|(_, value)| value);
            places.extend(edge.condition.iter().chain(values).map(|expr| expr.code.as_ref()));
        }
        for block in graph.blocks.values() {
            match &block.kind {
                BlockKind::Loop(body) => {
                    let parts = body.init.iter().chain(&body.update).chain([&body.condition]);
                    places.extend(parts.map(|expr| expr.code.as_ref()));
                }
                BlockKind::Conditional(branches) => {
                    let conditions = branches.iter().filter_map(|branch| branch.condition.as_ref());
                    places.extend(conditions.map(|expr| expr.code.as_ref()));
                }
                BlockKind::State(state) => state_places(state, &mut places),
                _ => {}
            }
        }
    }
    places
}

fn state_places<'a>(state: &'a State, places: &mut Vec<Option<&'a Code>>) {
    for (_, node) in state.live_nodes() {
        match &node.kind {
            NodeKind::Tasklet(tasklet) => {
                let text = &tasklet.text;
                if text.language != Language::Cpp || lapack_call(&text.text).is_none() {
                    places.push(tasklet.code.as_ref());
                }
            }
            NodeKind::Library(library)
                if library.properties.get("wcr").is_some_and(|wcr| wcr.is_string()) =>
            {
                places.push(library.wcr.as_ref());
            }
            NodeKind::ConsumeEntry(consume) => {
                places.extend(consume.condition.iter().map(|expr| expr.code.as_ref()));
            }
            _ => {}
        }
    }
    let functions = state.edges.values().filter(|edge| !edge.removed);
    places.extend(functions.filter_map(|edge| Some(edge.memlet.wcr.as_ref()?.code.as_ref())));
}

#[test]
fn every_code_lowers() {
    let Some(folder) = common::corpus() else { return };
    let mut total = 0;
    let mut problems = Vec::new();
    let files = common::sdfg_files(&folder);
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
        let places = places(&program);
        let missing = places.iter().filter(|code| code.is_none()).count();
        if missing > 0 {
            problems.push(format!("{shown}: {missing} texts without code"));
        }
        for code in places.into_iter().flatten() {
            total += 1;
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
