//! The SDFG reader and writer over real files: what comes in goes out, and nothing panics.
//!
//! Files: the small ones of `tests/data/sdfg`, written by `scripts/sdfg-examples.py` with several DaCe
//! versions, and the corpus if there is one (`../shared/corpus`, or `PELTON_CORPUS`). Whether DaCe itself
//! accepts what Pelton saves is `scripts/dace-roundtrip.py`'s question; [`dace_loads_what_we_save`] asks it
//! where `PELTON_DACE_PYTHON` names a Python that has DaCe:
//!
//! ```text
//! PELTON_DACE_PYTHON=venv/bin/python cargo test --test sdfg dace_loads_what_we_save
//! ```

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pelton::entity::{Name, Names};
use pelton::front::sdfg;
use pelton::ir::{BlockKind, Contract, DataKind, Graph, NodeKind, Program};
use pelton::scalar::{DType, Scalar, StructId, Type};
use pelton::symbolic::{ExprId, ExprPool, Grammar};
use proptest::prelude::*;
use serde_json::Value;

fn examples() -> Vec<PathBuf> {
    let files = common::sdfg_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sdfg"));
    assert!(files.len() >= 14, "the example files are part of the repository");
    files
}

fn corpus() -> Option<Vec<PathBuf>> {
    common::corpus().map(|folder| common::sdfg_files(&folder))
}

fn example(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sdfg").join(name);
    std::fs::read(path).unwrap()
}

fn load(bytes: &[u8]) -> Program {
    let (program, findings) = sdfg::read(bytes).unwrap_or_else(|diagnostic| panic!("{diagnostic}"));
    assert!(findings.iter().all(|finding| !finding.is_error()), "{findings:?}");
    program
}

// ---------------------------------------------------------------------------------------------------------
// Round trips

/// Everything in a program with ids of tables replaced by what they stand for.
fn resolved(program: &Program) -> String {
    let records: Vec<String> =
        program.structs.values().map(|record| substitute(program, &[], &format!("{record:?}"))).collect();
    let Program { graphs, root, contract, dace_version, .. } = program;
    substitute(program, &records, &format!("{graphs:#?} {root:?} {contract:?} {dace_version:?}"))
}

fn substitute(program: &Program, records: &[String], debug: &str) -> String {
    let mut out = String::with_capacity(debug.len());
    let mut rest = debug;
    while let Some(next) = rest.chars().next() {
        if next == '"' {
            let end = rest.char_indices().skip(1).scan(false, |escaped, (at, c)| {
                let ends = c == '"' && !*escaped;
                *escaped = c == '\\' && !*escaped;
                Some((at, ends))
            });
            let end = end.filter(|(_, ends)| *ends).map(|(at, _)| at + 1).next().unwrap();
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if next.is_alphanumeric() || next == '_' {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let word = &rest[..end];
            let number =
                |prefix: &str| word.strip_prefix(prefix).and_then(|digits| digits.parse::<u32>().ok());
            if let Some(id) = number("name") {
                write!(out, "`{}`", program.names.get(Name(id))).unwrap();
            } else if let Some(id) = number("expr") {
                out.push_str(&program.exprs.print(&program.names, ExprId(id), Grammar::Typed));
            } else if let Some(record) = number("struct").and_then(|id| records.get(StructId(id).0 as usize))
            {
                out.push_str(record);
            } else {
                out.push_str(word);
            }
            rest = &rest[end..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// Loads, saves and loads; the graph must be the same, the second file too, and nothing of the first missing.
fn check_round_trip(path: &Path) -> Result<(), String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let (first, _) = sdfg::read(&bytes).map_err(|diagnostic| diagnostic.to_string())?;
    let saved = sdfg::write(&first, false);
    let (second, _) =
        sdfg::read(&saved).map_err(|diagnostic| format!("cannot read what was saved: {diagnostic}"))?;
    let (before, after) = (resolved(&first), resolved(&second));
    if before != after {
        let difference = before.lines().zip(after.lines()).find(|(a, b)| a != b);
        return Err(format!("another graph after saving: {difference:?}"));
    }
    if sdfg::write(&second, false) != saved {
        return Err("saving again gives another file".into());
    }
    let mut lossless = Lossless {
        exprs: ExprPool::default(),
        names: Names::new(),
        lost: Vec::new(),
        version: grammar(&first),
    };
    lossless.compare(&tree(&unzipped(&bytes)), &tree(&saved), "");
    if lossless.lost.is_empty() {
        return Ok(());
    }
    lossless.lost.truncate(5);
    Err(format!("lost: {}", lossless.lost.join("; ")))
}

fn grammar(program: &Program) -> Grammar {
    match program.dace_version.as_deref() {
        Some(version) if version.starts_with("1.") => Grammar::Plain,
        _ => Grammar::Typed,
    }
}

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return bytes.to_vec();
    }
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut text).unwrap();
    text
}

/// The tree of a file, Python's bare words as strings.
fn tree(text: &[u8]) -> Value {
    let mut text = String::from_utf8(text.to_vec()).unwrap();
    for before in [" ", ",", "[", ":"] {
        for word in ["NaN", "-Infinity", "Infinity"] {
            text = text.replace(&format!("{before}{word}"), &format!("{before}\"{word}\""));
        }
    }
    serde_json::from_str(&text).unwrap()
}

/// Looks for what one file says and the other does not.
struct Lossless {
    exprs: ExprPool,
    names: Names,
    lost: Vec<String>,
    version: Grammar,
}

impl Lossless {
    fn compare(&mut self, original: &Value, saved: &Value, path: &str) {
        match (original, saved) {
            (Value::Object(before), Value::Object(after)) => {
                for (key, value) in before {
                    if self.is_derived(key, value, before) {
                        continue;
                    }
                    let path = format!("{path}/{key}");
                    match after.get(key) {
                        Some(other) => self.compare(value, other, &path),
                        None => self.lost.push(format!("{path} = {value}")),
                    }
                }
            }
            (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
                for (index, (before, after)) in before.iter().zip(after).enumerate() {
                    self.compare(before, after, &format!("{path}/{index}"));
                }
            }
            _ if original == saved => {}
            // DaCe 1.0.2 writes bounds with an approximation, which is not kept.
            (Value::Object(before), Value::String(_)) if before.contains_key("main") => {
                self.compare(&before["main"], saved, path);
            }
            (Value::String(before), Value::String(after)) if self.same(before, after) => {}
            _ => self.lost.push(format!("{path}: {original} became {saved}")),
        }
    }

    /// What is not read because it follows from the rest, or means the same when it is absent.
    fn is_derived(&self, key: &str, value: &Value, siblings: &serde_json::Map<String, Value>) -> bool {
        let class = siblings.get("type").and_then(Value::as_str).unwrap_or_default();
        match key {
            "cfg_list_id" => true,
            // What stands beside the attributes is a title for viewers.
            "label" if class != "Tasklet" => !siblings.contains_key("start_block") || class == "SDFG",
            "condition" => value.get("string_data").is_some_and(|text| text == "1"),
            "total_size" | "start_offset" => value == "0" || *value == 0,
            "transient" | "setzero" | "dynamic" | "unroll" | "may_alias" | "inverted" => *value == false,
            "storage" | "schedule" => value == "Default",
            "lifetime" => value == "Scope",
            "assignments" => value.as_object().is_some_and(|entries| entries.is_empty()),
            "in_connectors" | "out_connectors" => value.as_object().is_some_and(|entries| entries.is_empty()),
            _ => value.is_null(),
        }
    }

    fn same(&mut self, before: &str, after: &str) -> bool {
        let before = self.exprs.parse(&mut self.names, before, self.version);
        let after = self.exprs.parse(&mut self.names, after, self.version);
        matches!((before, after), (Ok(before), Ok(after)) if before == after)
    }
}

fn check_all(files: &[PathBuf]) {
    let failures: Vec<String> = files
        .iter()
        .filter_map(|path| Some(format!("{}\n    {}", path.display(), check_round_trip(path).err()?)))
        .collect();
    eprintln!("{} of {} files come back as they were", files.len() - failures.len(), files.len());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn examples_round_trip() {
    check_all(&examples());
}

#[test]
fn corpus_round_trips() {
    if let Some(files) = corpus() {
        check_all(&files);
    }
}

#[test]
fn compression_changes_nothing() {
    for path in examples() {
        let program = load(&std::fs::read(path).unwrap());
        let (plain, zipped) = (sdfg::write(&program, false), sdfg::write(&program, true));
        assert!(sdfg::is_sdfg(&plain) && sdfg::is_sdfg(&zipped));
        assert_eq!(unzipped(&zipped), plain);
        assert_eq!(sdfg::write(&program, true), zipped);
    }
}

#[test]
fn other_files_are_not_taken_for_graphs() {
    for bytes in
        [&b""[..], b"{}", b"[\"SDFG\"]", b"{\"schema\": \"gtir-json/1\"}", b"\x1f\x8b", b"\"type\":\"SDFG\""]
    {
        assert!(!sdfg::is_sdfg(bytes), "{bytes:?}");
    }
}

/// The program as if it had been built here: nothing uninterpreted, no spelling, no version.
///
/// Two things stay. `allow_oob` tells DaCe's validator to be quiet about a memlet. And `ceiling(M/N)` is printed
/// as `int_ceil(M, N)`, which DaCe generates better code for, but does not compare with the sizes that it
/// computes for strided copies (six files of the corpus).
fn stripped(mut program: Program) -> Program {
    program.spellings.retain(|_, (_, text)| text.contains("ceiling"));
    program.dace_version = None;
    for (_, graph) in program.graphs.iter_mut() {
        graph.extra.clear();
        graph.data.values_mut().for_each(|data| data.extra.clear());
        for edge in graph.regions.iter_mut().flat_map(|(_, region)| &mut region.edges) {
            edge.extra.clear();
        }
        for (_, block) in graph.blocks.iter_mut() {
            block.extra.clear();
            match &mut block.kind {
                BlockKind::Conditional(branches) => {
                    branches.iter_mut().for_each(|branch| branch.extra.clear())
                }
                BlockKind::State(state) => {
                    state.nodes.iter_mut().for_each(|(_, node)| node.extra.clear());
                    for (_, edge) in state.edges.iter_mut() {
                        edge.extra.clear();
                        edge.memlet.extra.retain(|key, _| key == "allow_oob");
                    }
                }
                _ => {}
            }
        }
    }
    program
}

#[test]
fn a_program_without_a_file_can_be_saved() {
    for path in examples() {
        let program = stripped(load(&std::fs::read(&path).unwrap()));
        let saved = sdfg::write(&program, false);
        let again = load(&saved);
        assert_eq!(again.contract, program.contract, "{}", path.display());
        // A derived property may move to another place among its neighbours once; then the text is stable.
        let second = sdfg::write(&again, false);
        assert_eq!(sdfg::write(&load(&second), false), second, "{}", path.display());
    }
}

/// Saves every file of the corpus and the examples, as it came and stripped of all that is not interpreted,
/// and lets DaCe load and validate both.
#[test]
fn dace_loads_what_we_save() {
    let Some(python) = std::env::var_os("PELTON_DACE_PYTHON") else {
        eprintln!("skipped: PELTON_DACE_PYTHON does not name a Python with DaCe");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sdfg-saved");
    std::fs::create_dir_all(&folder).unwrap();
    let files: Vec<PathBuf> = examples().into_iter().chain(corpus().unwrap_or_default()).collect();
    let list_path = folder.join("list.txt");
    let mut accepted = true;
    for (title, change) in
        [("as they came", (|program| program) as fn(Program) -> Program), ("stripped", stripped)]
    {
        let mut list = String::new();
        for (index, path) in files.iter().enumerate() {
            let program = change(load(&std::fs::read(path).unwrap()));
            let saved = folder.join(format!("{index}.sdfgz"));
            std::fs::write(&saved, sdfg::write(&program, true)).unwrap();
            writeln!(list, "{}\t{}", path.display(), saved.display()).unwrap();
        }
        std::fs::write(&list_path, list).unwrap();
        eprintln!("{title}:");
        let status = std::process::Command::new(&python)
            .arg(root.join("scripts/dace-roundtrip.py"))
            .arg(&list_path)
            .current_dir(&folder)
            .status()
            .unwrap();
        accepted &= status.success();
    }
    assert!(accepted, "DaCe refused a file; see above");
}

// ---------------------------------------------------------------------------------------------------------
// What is read

fn name(program: &Program, text: &str) -> Name {
    program.names.lookup(text).unwrap_or_else(|| panic!("no name `{text}`"))
}

fn root(program: &Program) -> &Graph {
    program.root_graph().unwrap()
}

#[test]
fn what_is_missing_has_a_default() {
    for version in ["2_0_0b1", "1_0_2"] {
        let program = load(&example(&format!("saxpy-{version}.sdfg")));
        let graph = root(&program);
        assert_eq!(graph.data[&name(&program, "y")].ty, Type::I32);
        assert_eq!(graph.data[&name(&program, "x")].ty, Type::Scalar(DType::F32));
        assert_eq!(graph.symbol_type(name(&program, "N")), DType::I64);
        let (_, state) = graph.states().next().unwrap();
        let map = state.nodes.values().find_map(|node| match &node.kind {
            NodeKind::MapEntry(map) => Some(map),
            _ => None,
        });
        let range = &map.unwrap().range.ranges[1];
        let (mut exprs, mut names) = (program.exprs.clone(), program.names.clone());
        assert_eq!(exprs.parse(&mut names, "M - 1", Grammar::Plain).unwrap(), range.end);
        assert_eq!(program.exprs.as_int(range.step), Some(2));
    }
}

#[test]
fn exits_find_their_entries() {
    for path in examples() {
        let program = load(&std::fs::read(path).unwrap());
        for (_, state) in program.graphs.values().flat_map(Graph::states) {
            pelton::analysis::ScopeTree::of(state).unwrap();
        }
    }
}

#[test]
fn the_version_decides_what_nested_graphs_receive() {
    let contract = |file: &str| load(&example(file)).contract;
    assert_eq!(contract("nested-1_0_2.sdfg"), Contract::Window);
    assert_eq!(contract("nested-2_0_0a10.sdfg"), Contract::Window);
    assert_eq!(contract("nested-2_0_0b1.sdfg"), Contract::Whole);
}

#[test]
fn constants_become_numbers() {
    for version in ["2_0_0b1", "1_0_2"] {
        let program = load(&example(&format!("accumulate-{version}.sdfg")));
        let constants = &root(&program).constants;
        let weights = &constants[&name(&program, "weights")].values;
        assert!(
            matches!(weights[..], [Scalar::F64(one), Scalar::F64(up), Scalar::F64(down), Scalar::F64(nan)]
            if one == 1.0 && up == f64::INFINITY && down == f64::NEG_INFINITY && nan.is_nan())
        );
        assert_eq!(constants[&name(&program, "offset")].values, [Scalar::I64(3)]);
        assert_eq!(constants[&name(&program, "flags")].values, [Scalar::Bool(true), Scalar::Bool(false)]);
    }
}

#[test]
fn control_flow_of_both_forms() {
    let program = load(&example("machine-1_0_2.sdfg"));
    let graph = root(&program);
    let body = graph.body_region().unwrap();
    assert_eq!(graph.blocks[body.start.unwrap()].label, "start");
    assert_eq!(body.edges.iter().filter(|edge| edge.condition.is_some()).count(), 2);

    let program = load(&example("regions-2_0_0b1.sdfg"));
    let graph = root(&program);
    let loops: Vec<_> = graph
        .blocks
        .values()
        .filter_map(|block| match &block.kind {
            BlockKind::Loop(region) => {
                Some((block.label.as_str(), region.inverted, region.update_before_condition))
            }
            _ => None,
        })
        .collect();
    assert_eq!(loops, [("count", false, true), ("tail", true, false)]);
    let branches = graph.blocks.values().find_map(|block| match &block.kind {
        BlockKind::Conditional(branches) => Some(branches),
        _ => None,
    });
    let conditions: Vec<_> = branches
        .unwrap()
        .iter()
        .map(|branch| branch.condition.as_ref().map(|code| code.text.text.as_str()))
        .collect();
    assert_eq!(conditions, [Some("(c[0] < 5)"), None]);
}

#[test]
fn records_vectors_and_structures() {
    let program = load(&example("records-2_0_0b1.sdfg"));
    let graph = root(&program);
    assert_eq!(graph.data[&name(&program, "lanes")].ty, Type::Vector(DType::F32, 8));
    let Type::Struct(pair) = graph.data[&name(&program, "best")].ty else { panic!("not a record") };
    assert_eq!(program.structs[pair].bytes, 16);
    let DataKind::Structure(matrix) = &graph.data[&name(&program, "m")].kind else {
        panic!("not a structure")
    };
    assert_eq!(matrix.members.len(), 2);
    assert!(graph.data[&name(&program, "v")].is_view());
    let a = graph.data[&name(&program, "a")].array().unwrap();
    assert_eq!(a.total_size.and_then(|size| program.exprs.as_int(size)), Some(30));
}

// ---------------------------------------------------------------------------------------------------------
// Bad input

/// The smallest graph, with one change.
fn changed(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::json!({
        "type": "SDFG", "dace_version": "2.0.0b1",
        "attributes": {"name": "g", "_arrays": {"a": {"type": "Array", "attributes": {"shape": ["$N"]}}}},
        "nodes": [{"type": "SDFGState", "label": "s", "attributes": {},
            "nodes": [
                {"type": "AccessNode", "label": "a", "attributes": {"data": "a"}},
                {"type": "MapEntry", "label": "m", "scope_exit": "2", "attributes": {"label": "m", "params": ["i"],
                    "range": {"type": "Range", "ranges": [{"start": "0", "end": "3", "step": "1", "tile": "1"}]}}},
                {"type": "MapExit", "label": "m", "scope_entry": "1", "attributes": {}}],
            "edges": [{"type": "MultiConnectorEdge", "src": "0", "dst": "1", "src_connector": null,
                "dst_connector": null, "attributes": {"data": {"type": "Memlet", "attributes": {}}}}]}],
        "edges": [], "start_block": 0});
    change(&mut value);
    sdfg::read(value.to_string().as_bytes())
        .err()
        .map_or_else(|| "no error".into(), |error| error.to_string())
}

#[test]
fn bad_input_is_described() {
    let mut report = String::new();
    let mut case = |title: &str, change: &dyn Fn(&mut Value)| {
        writeln!(report, "{title}:\n{}\n", changed(change)).unwrap();
    };
    case("as it should be", &|_| {});
    case("no version", &|v| drop(v.as_object_mut().unwrap().remove("dace_version")));
    case("odd version", &|v| v["dace_version"] = "new".into());
    case("another type", &|v| v["type"] = "Program".into());
    case("not an object", &|v| *v = 3.into());
    case("unknown block", &|v| v["nodes"][0]["type"] = "WhileState".into());
    case("unknown node", &|v| v["nodes"][0]["nodes"][0]["type"] = "PipelineEntry".into());
    case("unknown container", &|v| v["attributes"]["_arrays"]["a"]["type"] = "Bag".into());
    case("unknown type", &|v| v["attributes"]["_arrays"]["a"]["attributes"]["dtype"] = "float80".into());
    case("unknown lifetime", &|v| v["attributes"]["_arrays"]["a"]["attributes"]["lifetime"] = "Ever".into());
    case("too many strides", &|v| {
        v["attributes"]["_arrays"]["a"]["attributes"]["strides"] = serde_json::json!(["1", "1"]);
    });
    case("shape is text", &|v| v["attributes"]["_arrays"]["a"]["attributes"]["shape"] = "$N".into());
    case("edge to nowhere", &|v| v["nodes"][0]["edges"][0]["dst"] = "7".into());
    case("edge to a name", &|v| v["nodes"][0]["edges"][0]["dst"] = "m".into());
    case("edge without end", &|v| drop(v["nodes"][0]["edges"][0].as_object_mut().unwrap().remove("src")));
    case("exit of a container", &|v| v["nodes"][0]["nodes"][2]["scope_entry"] = "0".into());
    case("exit of nothing", &|v| {
        v["nodes"][0]["nodes"][2]["scope_entry"] = Value::Null;
        v["nodes"][0]["nodes"][1]["scope_exit"] = Value::Null;
    });
    case("range without end", &|v| {
        let ranges = &mut v["nodes"][0]["nodes"][1]["attributes"]["range"]["ranges"];
        drop(ranges[0].as_object_mut().unwrap().remove("end"));
    });
    case("union of subsets", &|v| {
        v["nodes"][0]["edges"][0]["attributes"]["data"]["attributes"]["subset"] = serde_json::json!({
            "type": "SubsetUnion",
            "subset_list": [{"type": "Indices", "indices": ["0"]}, {"type": "Indices", "indices": ["2"]}]});
    });
    case("start that does not exist", &|v| v["start_block"] = 4.into());
    insta::assert_snapshot!(report);
}

#[test]
fn depth_is_bounded_where_a_file_may_nest() {
    let deep = |open: &str, close: &str, levels: usize| {
        format!(
            "{{\"type\": \"SDFG\", \"dace_version\": \"2.0.0b1\", \"x\": {}1{}}}",
            open.repeat(levels),
            close.repeat(levels)
        )
    };
    for (text, code) in [
        (deep("[", "]", 1_000_000), "P0004"),
        (deep("{\"a\":", "}", 1_990), "P0004"),
        ("[".repeat(2_000_000), "P0004"),
    ] {
        assert_eq!(sdfg::read(text.as_bytes()).unwrap_err().code, code);
    }
    // Regions in regions, on the stack of a test thread.
    let nest = |levels: usize| {
        let mut text = String::from(
            "{\"type\":\"SDFG\",\"dace_version\":\"2.0.0b1\",\"attributes\":{\"name\":\"g\"},\"edges\":[],\"nodes\":[",
        );
        for _ in 0..levels {
            text.push_str("{\"type\":\"ControlFlowRegion\",\"label\":\"r\",\"edges\":[],\"nodes\":[");
        }
        text.push_str(&"]}".repeat(levels + 1));
        text
    };
    let program = load(nest(200).as_bytes());
    assert_eq!(program.graphs.values().next().unwrap().regions.len(), 201);
    assert_eq!(load(&sdfg::write(&program, false)).graphs.values().next().unwrap().regions.len(), 201);
    assert_eq!(sdfg::read(nest(400).as_bytes()).unwrap_err().code, "P0004");
}

#[test]
fn a_graph_that_contains_itself_ends_somewhere() {
    let mut program = load(&example("nested-2_0_0b1.sdfg"));
    let owner = program.root.unwrap();
    for graph in program.graphs.ids().collect::<Vec<_>>() {
        for (_, block) in program.graphs[graph].blocks.iter_mut() {
            let BlockKind::State(state) = &mut block.kind else { continue };
            for (_, node) in state.nodes.iter_mut() {
                if let NodeKind::Nested(nested) = &mut node.kind {
                    nested.graph = Some(owner);
                }
            }
        }
    }
    assert!(sdfg::write(&program, false).len() > 1000);
}

#[test]
fn cut_files_are_errors() {
    for path in examples() {
        let text = std::fs::read(&path).unwrap();
        let end = text.iter().rposition(|&byte| byte == b'}').unwrap();
        // Every byte of the small files; the large ones say the same more often.
        let step = if text.len() < 10_000 { 1 } else { 11 };
        for cut in (0..end).step_by(step) {
            assert!(sdfg::read(&text[..cut]).is_err(), "{} cut at {cut}", path.display());
        }
    }
}

/// Replaces the `target`-th value of a tree, counted from the outside in.
fn replace(value: &mut Value, target: &mut usize, with: &Value) -> bool {
    if *target == 0 {
        *value = with.clone();
        return true;
    }
    *target -= 1;
    match value {
        Value::Array(items) => items.iter_mut().any(|item| replace(item, target, with)),
        Value::Object(entries) => entries.values_mut().any(|item| replace(item, target, with)),
        _ => false,
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

/// What is read must also be written and read again.
fn survives(bytes: &[u8]) {
    if let Ok((program, _)) = sdfg::read(bytes) {
        let saved = sdfg::write(&program, false);
        if let Err(diagnostic) = sdfg::read(&saved) {
            panic!("cannot read what was saved: {diagnostic}");
        }
    }
}

#[test]
fn any_value_may_be_of_another_kind() {
    let others = serde_json::json!([null, true, -1, 1.5, 99, "", "x", "-1", [], ["0"], {}, {"type": "pointer"}, {"type": "SDFG"}]);
    for path in examples() {
        let original = tree(&std::fs::read(&path).unwrap());
        let total = count(&original);
        for target in 0..total {
            let other = &others[target % others.as_array().unwrap().len()];
            let mut value = original.clone();
            replace(&mut value, &mut target.clone(), other);
            survives(value.to_string().as_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_changes_at_once(file in 0usize..14, changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..13), 1..6)) {
        let others = serde_json::json!([null, false, 0, -7, 1e300, "a", "1", "N", [[]], [null], {"a": 1}, {"type": "Range"}, {"type": "struct", "name": "s", "data": [], "length": []}]);
        let mut value = tree(&std::fs::read(&examples()[file]).unwrap());
        for (position, kind) in changes {
            let mut target = position.index(count(&value));
            replace(&mut value, &mut target, &others[kind]);
        }
        survives(value.to_string().as_bytes());
    }

    #[test]
    fn bytes_changed_anywhere(file in 0usize..14, edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let mut bytes = std::fs::read(&examples()[file]).unwrap();
        for (position, byte) in edits {
            let at = position.index(bytes.len());
            bytes[at] = byte;
        }
        survives(&bytes);
    }
}
