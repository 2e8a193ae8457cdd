//! Every GTIR program of the corpus is lowered: no diagnostics, verified code, within a time budget in total.

mod common;

use std::path::{Path, PathBuf};

use pelton::front::gtir::ast::Connectivity;
use pelton::front::gtir::lower::{Environment, lower};
use pelton::ir::{BlockKind, NodeKind};

fn environment(case: &serde_json::Value) -> Environment {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let connectivities = (case["offset_provider"].as_object().into_iter().flatten())
        .filter(|(_, entry)| entry.get("table").is_some())
        .map(|(name, entry)| {
            let connectivity = Connectivity {
                source: text(&entry["source"]["name"]),
                local: text(&entry["local"]["name"]),
                target: text(&entry["target"]["name"]),
                max_neighbors: entry["max_neighbors"].as_u64().unwrap_or(0) as usize,
                skip_value: entry["skip_value"].as_i64(),
            };
            (name.clone(), connectivity)
        })
        .collect();
    let column_axis = case["column_axis"]["name"].as_str().map(str::to_owned);
    Environment { connectivities, column_axis, ..Environment::default() }
}

#[test]
fn corpus_lowers() {
    let Some(root) = common::corpus() else { return };
    let mut failures = Vec::new();
    let mut count = 0;
    for suite in ["gt4py", "icon4py"] {
        let mut cases: Vec<PathBuf> =
            std::fs::read_dir(root.join(suite)).unwrap().map(|entry| entry.unwrap().path()).collect();
        cases.sort();
        for case in cases {
            count += 1;
            if let Err(message) = lowers(&case) {
                failures.push(format!("{}: {message}", case.display()));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} fail:\n{}", failures.len(), failures.join("\n"));
}

fn lowers(case: &Path) -> Result<(), String> {
    let bytes = std::fs::read(case.join("program.gtir.json.gz")).map_err(|error| error.to_string())?;
    let json = std::fs::read(case.join("case.json")).map_err(|error| error.to_string())?;
    let json: serde_json::Value = serde_json::from_slice(&json).map_err(|error| error.to_string())?;
    let started = std::time::Instant::now();
    let program = pelton::front::gtir::json::read(&bytes).map_err(|error| error.to_string())?;
    let read = started.elapsed();
    let lowered = lower(&program, &environment(&json)).map_err(|error| error.to_string())?;
    let total = started.elapsed();
    let graph = lowered.program.root_graph().ok_or("no root graph")?;
    let mut tasklets = 0;
    for block in graph.blocks.values() {
        let BlockKind::State(state) = &block.kind else { continue };
        for (_, node) in state.live_nodes() {
            if let NodeKind::Tasklet(tasklet) = &node.kind {
                tasklets += 1;
                let code = tasklet.code.as_ref().ok_or("a tasklet without code")?;
                code.verify(&lowered.program.structs)
                    .map_err(|error| format!("{} does not verify: {error:?}", node.label))?;
            }
        }
    }
    if std::env::var_os("PELTON_VERBOSE").is_some() {
        let name = case.file_name().unwrap().to_string_lossy();
        let arrays = graph.data.values().filter(|data| data.transient).count();
        eprintln!("{read:>10.1?} {total:>10.1?} {tasklets:>4} maps {arrays:>4} arrays  {name}");
    }
    Ok(())
}
