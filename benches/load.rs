//! How fast SDFG files load: seconds and MB/s for files of 5, 10 and 20 MB, and for saving them again.
//!
//! ```text
//! cargo bench --bench load
//! ```
//!
//! The files are made in memory from a small program by repeating its states; every copy has names, sizes and
//! subsets of its own, so that nothing is found in a table because it was there before.

#[path = "support/allocator.rs"]
mod allocator;

use std::time::Instant;

use pelton::front::sdfg;
use serde_json::{Value, json};

/// A graph of `states` states, each a map over a transient of its own with an offset read.
fn program(states: usize) -> Vec<u8> {
    let example = include_str!("../tests/data/sdfg/saxpy-2_0_0b1.sdfg");
    let mut file: Value = serde_json::from_str(example).expect("the example is JSON");
    let state = file["nodes"][0].take();
    let template = state.to_string();
    let mut blocks = Vec::with_capacity(states);
    let mut edges = Vec::with_capacity(states);
    for index in 0..states {
        let text = template
            .replace("\"x\"", &format!("\"x_{index}\""))
            .replace("\"y\"", &format!("\"y_{index}\""))
            .replace("- $j", &format!("- {index} - $j"));
        let mut block: Value = serde_json::from_str(&text).expect("names do not break JSON");
        block["id"] = index.into();
        block["label"] = format!("compute_{index}").into();
        blocks.push(block);
        if index > 0 {
            edges.push(json!({
                "type": "Edge", "src": (index - 1).to_string(), "dst": index.to_string(),
                "attributes": {"data": {"type": "InterstateEdge", "attributes": {}}}}));
        }
        for name in ["x", "y"] {
            let container = file["attributes"]["_arrays"][name].clone();
            file["attributes"]["_arrays"][format!("{name}_{index}")] = container;
        }
    }
    file["nodes"] = blocks.into();
    file["edges"] = edges.into();
    file.to_string().into_bytes()
}

fn main() {
    let one = program(101).len() - program(100).len();
    println!("{:>8} {:>8} {:>10} {:>8} {:>10} {:>8}", "MB", "states", "load s", "MB/s", "save s", "MB/s");
    for megabytes in [5, 10, 20] {
        let states = megabytes * 1_000_000 / one;
        let bytes = program(states);
        let size = bytes.len() as f64 / 1e6;
        let mut load = f64::INFINITY;
        let mut save = f64::INFINITY;
        for _ in 0..3 {
            let start = Instant::now();
            let (graph, _) = sdfg::read(&bytes).expect("the program loads");
            load = load.min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let saved = sdfg::write(&graph, false);
            save = save.min(start.elapsed().as_secs_f64());
            assert!(saved.len() > bytes.len() / 2);
        }
        println!(
            "{size:>8.1} {states:>8} {load:>10.3} {:>8.0} {save:>10.3} {:>8.0}",
            size / load,
            size / save
        );
    }
}
