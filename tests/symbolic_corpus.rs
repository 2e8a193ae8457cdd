//! Every symbolic string of the corpus: it parses, prints to text that parses back to the same expression in both grammars.

mod common;

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use pelton::entity::Names;
use pelton::symbolic::{ExprPool, Grammar};
use serde_json::Value;

/// Texts of the typed grammar: ranges, shapes, mappings, volumes.
fn typed_texts(value: &Value, found: &mut BTreeSet<String>) {
    let mut take = |value: &Value| {
        if let Value::String(text) = value {
            found.insert(text.clone());
        }
    };
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("start" | "end" | "step" | "tile" | "total_size" | "start_offset" | "volume", _) => {
                        take(value)
                    }
                    ("shape" | "strides" | "offset", Value::Array(items)) => items.iter().for_each(&mut take),
                    ("symbol_mapping", Value::Object(mapping)) => mapping.values().for_each(&mut take),
                    _ => {}
                }
            }
            object.values().for_each(|value| typed_texts(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| typed_texts(value, found)),
        _ => {}
    }
}

/// Interstate text of the plain grammar.
fn plain_texts(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match (key.as_str(), value) {
                    ("assignments", Value::Object(assignments)) => {
                        found.extend(assignments.values().filter_map(Value::as_str).map(str::to_owned));
                    }
                    ("condition" | "loop_condition", Value::Object(code)) => {
                        found.extend(code.get("string_data").and_then(Value::as_str).map(str::to_owned));
                    }
                    _ => {}
                }
                plain_texts(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|value| plain_texts(value, found)),
        _ => {}
    }
}

fn check(text: &str, grammar: Grammar, pool: &mut ExprPool, names: &mut Names) {
    let id = pool.parse(names, text, grammar).unwrap_or_else(|error| panic!("{text}: {error}"));
    for back in [Grammar::Typed, Grammar::Plain] {
        let printed = pool.print(names, id, back);
        let again =
            pool.parse(names, &printed, back).unwrap_or_else(|error| panic!("{text} -> {printed}: {error}"));
        assert_eq!(id, again, "{text} -> {printed} -> {}", pool.print(names, again, back));
    }
}

/// All texts of the corpus, typed and plain.
fn texts() -> Option<(BTreeSet<String>, BTreeSet<String>)> {
    let files = common::sdfg_files(&common::corpus()?);
    let (mut typed, mut plain) = (BTreeSet::new(), BTreeSet::new());
    for file in &files {
        let mut text = String::new();
        let bytes = std::fs::File::open(file).expect("corpus file opens");
        flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).expect("corpus file is gzip");
        let json: Value = serde_json::from_str(&text).expect("corpus file is JSON");
        typed_texts(&json, &mut typed);
        plain_texts(&json, &mut plain);
    }
    assert!(
        typed.len() > 1000 && plain.len() > 50,
        "{} typed and {} plain texts found",
        typed.len(),
        plain.len()
    );
    Some((typed, plain))
}

#[test]
fn corpus_texts_survive_print_and_parse() {
    let Some((typed, plain)) = texts() else { return };
    let (mut pool, mut names) = (ExprPool::default(), Names::new());
    typed.iter().for_each(|text| check(text, Grammar::Typed, &mut pool, &mut names));
    plain.iter().for_each(|text| check(text, Grammar::Plain, &mut pool, &mut names));
}

#[test]
fn dace_reads_what_we_print() {
    let Some(python) = std::env::var_os("PELTON_DACE_PYTHON") else {
        eprintln!("skipped: PELTON_DACE_PYTHON names no Python with DaCe");
        return;
    };
    let Some((typed, _)) = texts() else { return };
    let mut list = String::new();
    for text in &typed {
        // One pool per text: assumptions of other programs do not get into it.
        let (mut pool, mut names) = (ExprPool::default(), Names::new());
        let id = pool.parse(&mut names, text, Grammar::Typed).expect("corpus text parses");
        list.push_str(&format!("{text}\t{}\n", pool.print(&names, id, Grammar::Typed)));
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("symbolic.tsv");
    std::fs::write(&path, list).expect("temporary file is written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/dace-symbolic.py");
    let status = std::process::Command::new(python).arg(script).arg(&path).status().expect("Python starts");
    assert!(status.success(), "DaCe disagrees");
}
