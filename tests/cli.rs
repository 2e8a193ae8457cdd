//! The command as scripts see it: fields, exit codes, and files that are not there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const HDIFF: &str = "examples/hdiff/program.sdfgz";
const INPUTS: &str = "examples/hdiff/inputs.npz";

fn pelton(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("killed: {output:?}"))
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A copy of the example case under another name.
fn case(root: &Path, name: &str) -> PathBuf {
    let folder = root.join(name);
    fs::create_dir(&folder).unwrap();
    for file in ["case.json", "program.sdfgz", "inputs.npz", "expected.npz"] {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/hdiff").join(file);
        fs::copy(source, folder.join(file)).unwrap();
    }
    let description = fs::read_to_string(folder.join("case.json")).unwrap();
    fs::write(folder.join("case.json"), description.replace("\"hdiff\"", &format!("\"{name}\""))).unwrap();
    folder
}

#[test]
fn run_prints_a_summary_and_a_picture() {
    let output = pelton(&["run", HDIFF, "--inputs", INPUTS, "--time"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    for part in [
        "diffused",
        "float64",
        "[48, 48, 8]",
        "diffused[:, :, 4]:",
        "█",
        "load ",
        "lower ",
        "compile ",
        "run ",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(!text.contains('\x1b'), "no colours into a pipe");
}

#[test]
fn a_program_can_be_looked_at_before_it_runs() {
    for (form, part) in [("kernel", "for "), ("clif", "function "), ("asm", "ret")] {
        let output = pelton(&["run", HDIFF, "--dump", form]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(stdout(&output).contains(part), "no {part} in {}", stdout(&output));
    }
    let output = pelton(&["explain", HDIFF, "--format", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["engine"], "native");
    assert!(report["maps"].as_array().is_some_and(|maps| !maps.is_empty()), "{report}");
    let output = pelton(&["run", HDIFF, "--inputs", INPUTS, "--tier", "fast", "--threads", "2", "--time"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let output = pelton(&["run", HDIFF, "--tier", "best of all"]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}

/// Of a small array whose elements are stored and loaded at fixed places no memory is left; of one that is loaded anywhere, it is.
#[test]
fn small_arrays_are_values() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/filetests/run/small_array_becomes_values.pel");
    let kernel = |path: &str| {
        let output = pelton(&["run", path, "--set", "N=4", "--engine", "native", "--dump", "kernel"]);
        let text = stdout(&output).to_owned();
        assert!(text.contains("store float64"), "{text}{}", stderr(&output));
        text
    };
    assert!(!kernel(path).contains("alloc"), "{}", kernel(path));
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pel");
    let program = std::fs::read_to_string(path).unwrap().replace("+ t[2]", "+ t[i % 3]");
    std::fs::write(&other, program).unwrap();
    assert!(kernel(other.to_str().unwrap()).contains("alloc"));
}

#[test]
fn run_writes_what_the_case_expects() {
    let root = folder();
    let out = root.path().join("out.npz");
    let output = pelton(&["run", HDIFF, "--inputs", INPUTS, "--output", text(&out), "--format", "json"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["outputs"][0]["name"], "diffused");
    assert_eq!(report["outputs"][0]["shape"], serde_json::json!([48, 48, 8]));
    assert_eq!(report["outputs"][0]["nan"], 0);
    for key in ["load", "lower", "compile", "run"] {
        assert!(report["seconds"][key].is_number());
    }
    assert!(["interp", "native"].contains(&report["engine"].as_str().unwrap()));
    // What was written is what the case expects: make it the expectation of a case.
    let copy = case(root.path(), "again");
    fs::copy(&out, copy.join("expected.npz")).unwrap();
    let output = pelton(&["test", text(&copy), "--format", "json"]);
    assert_eq!(json(&output)["passed"], 1, "{}", stdout(&output));
}

#[test]
fn arguments_come_one_by_one_too() {
    let root = folder();
    let output = root.path().join("a.npz");
    let ran = pelton(&["run", HDIFF, "--inputs", INPUTS, "--output", text(&output)]);
    assert_eq!(code(&ran), 0);
    let wrong = pelton(&["run", HDIFF, "--inputs", INPUTS, "--set", "I=47"]);
    assert_eq!(code(&wrong), 1, "a symbol that contradicts the shapes is refused");
    assert!(stderr(&wrong).contains("error[P04"), "{}", stderr(&wrong));
}

#[test]
fn nothing_is_written_unless_the_run_succeeded() {
    let root = folder();
    let out = root.path().join("out.npz");
    fs::write(&out, "as it was").unwrap();
    let missing = pelton(&["run", HDIFF, "--output", text(&out)]);
    assert_eq!(code(&missing), 1);
    let fuel = pelton(&[
        "run",
        HDIFF,
        "--inputs",
        INPUTS,
        "--engine",
        "interp",
        "--fuel",
        "10",
        "--output",
        text(&out),
    ]);
    assert_eq!(code(&fuel), 1);
    assert!(stderr(&fuel).contains("error[P0508]"), "{}", stderr(&fuel));
    assert_eq!(fs::read_to_string(&out).unwrap(), "as it was");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "no temporary file is left");
    let nowhere =
        pelton(&["run", HDIFF, "--inputs", INPUTS, "--output", text(&root.path().join("no/out.npz"))]);
    assert_eq!(code(&nowhere), 1);
    assert!(stderr(&nowhere).contains("error[P0446]"), "{}", stderr(&nowhere));
}

#[test]
fn damaged_inputs_are_described() {
    let root = folder();
    let path = root.path().join("in.npz");
    let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(INPUTS)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x55;
    for (bytes, expected) in [
        (&b""[..], "P0441"),
        (&b"not an archive"[..], "P0441"),
        (&whole[..whole.len() / 2], "P0441"),
        (&flipped[..], "P044"),
        (&b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O', "[..], "P0442"),
    ] {
        fs::write(&path, bytes).unwrap();
        let output = pelton(&["run", HDIFF, "--inputs", text(&path)]);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
    }
    let absent = pelton(&["run", HDIFF, "--inputs", "no-such-file.npz"]);
    assert_eq!(code(&absent), 1);
    assert!(stderr(&absent).contains("P0440"));
}

/// A `.npy` file of numbers.
fn npy(descr: &str, fortran: bool, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while !(header.len() + 11).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

fn doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn arrays_that_do_not_fit_are_described() {
    let root = folder();
    let (program, file, out) =
        (root.path().join("p.pel"), root.path().join("a.npy"), root.path().join("out.npz"));
    fs::write(
        &program,
        "program p(a: f64[2, N], b: f64[2, N], N: i64 symbol) { map i in 0:2, j in 0:N { b[i, j] = a[i, j] * 2 } }",
    )
    .unwrap();
    let (a, b) = (format!("a={}", text(&file)), root.path().join("b.npy"));
    fs::write(&b, npy("<f8", false, "(2, 3)", &doubles(&[0.0; 6]))).unwrap();
    let b = format!("b={}", text(&b));
    let run = |engine: &str| {
        pelton(&["run", text(&program), "--engine", engine, "--arg", &a, "--arg", &b, "--output", text(&out)])
    };
    let six = doubles(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    for engine in ["interp", "auto"] {
        for (bytes, expected) in [
            // Another element type, rank, extent, or fewer bytes than the header says.
            (npy("<f4", false, "(2, 3)", &six[..24]), "P0420"),
            (npy("<i8", false, "(2, 3)", &six), "P0420"),
            (npy("<f8", false, "(6,)", &six), "P0402"),
            (npy("<f8", false, "(3, 2)", &six), "P0402"),
            (npy("<f8", false, "(2, 3)", &six[..40]), "P044"),
            (npy("<f8", false, "(2, 9223372036854775807)", &six), "P044"),
            (npy("<f8", false, "(-2, 3)", &six), "P044"),
            (npy("O", false, "(2, 3)", &six), "P044"),
        ] {
            fs::write(&file, bytes).unwrap();
            let output = run(engine);
            assert_eq!(code(&output), 1, "{expected}: {}{}", stdout(&output), stderr(&output));
            assert!(stderr(&output).contains(expected), "{expected}: {}", stderr(&output));
            assert!(!out.exists());
        }
        // Column-major is an order, not a mistake: element (0, 1) is the third number of the file.
        fs::write(&file, npy("<f8", true, "(2, 3)", &six)).unwrap();
        let output = run(engine);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let written = pelton::exec::npz::read(&out).unwrap();
        let doubled = &written["b"];
        assert!(!doubled.fortran_order);
        assert_eq!(doubled.bytes, doubles(&[2.0, 6.0, 10.0, 4.0, 8.0, 12.0]));
        fs::remove_file(&out).unwrap();
    }
}

#[test]
fn sizes_that_cannot_be_are_described() {
    let root = folder();
    let program = root.path().join("p.pel");
    let run = |body: &str, engine: &str, n: &str| {
        fs::write(&program, format!("program p(s: f64[1], N: i64 symbol) {{ {body} }}")).unwrap();
        let s = root.path().join("s.npy");
        fs::write(&s, npy("<f8", false, "(1,)", &doubles(&[0.0]))).unwrap();
        let (s, n) = (format!("s={}", text(&s)), format!("N={n}"));
        pelton(&["run", text(&program), "--engine", engine, "--arg", &s, "--set", &n, "--fuel", "100000"])
    };
    let uses_t = "transient t: f64[N * N]\n map i in 0:1 { t[i] = 1.0 }\n map i in 0:1 { s[i] = t[i] }";
    for engine in ["interp", "auto"] {
        for (body, n, expected) in [
            // More than 64 bits.
            (uses_t, "9000000000000000000", &["P0505"][..]),
            // More than there is memory: the plan of all transients or one allocation says so.
            (uses_t, "1000000", &["P0510", "P0750"]),
            ("while s[0] < 1 { s[0] = 0 - N }", "3", &["P0508"]),
            // Out of bounds, or out of fuel first.
            ("map i in 0:N { s[i] = 1.0 }", "4000000000000000000", &["P0502", "P0508"]),
        ] {
            let output = run(body, engine, n);
            assert_eq!(code(&output), 1, "{engine} {body} {n}: {}{}", stdout(&output), stderr(&output));
            let described = expected.iter().any(|code| stderr(&output).contains(&format!("error[{code}]")));
            assert!(described, "{engine} {body} {n}: {}", stderr(&output));
        }
        // Nothing is a size, and a range that ends before it starts is empty.
        for n in ["0", "-3"] {
            let output = run("map i in 0:N { s[0] = 1.0 / i }", engine, n);
            assert_eq!(code(&output), 0, "{engine} {n}: {}", stderr(&output));
        }
    }
    let output = run("transient t: f64[N]\n map i in 0:N { t[i] = 1.0 }", "interp", "-3");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn deep_nesting_is_described() {
    let root = folder();
    let deep = 2_000_000;
    for (name, content) in [
        ("list.sdfg", "[".repeat(deep)),
        ("object.sdfg", "{\"nodes\":[".repeat(deep / 10)),
        (
            "closed.sdfg",
            format!("{{\"type\":\"SDFG\",\"attributes\":{}{}}}", "[".repeat(deep), "]".repeat(deep)),
        ),
        ("sum.pel", format!("program p(a: f64[1]) {{ a[0] = {}1{} }}", "(".repeat(deep), ")".repeat(deep))),
        ("map.pel", format!("program p(a: f64[1]) {{ {}", "map i in 0:1 { ".repeat(deep / 10))),
        ("minus.pel", format!("program p(a: f64[{}1]) {{ }}", "-".repeat(deep))),
        ("text.gtir", "(".repeat(deep)),
    ] {
        let path = root.path().join(name);
        fs::write(&path, content).unwrap();
        let output = pelton(&["check", text(&path), "--format", "json"]);
        assert_eq!(code(&output), 1, "{name}: {}{}", stdout(&output), stderr(&output));
        assert!(json(&output)["errors"].as_u64().unwrap() > 0, "{name}");
    }
}

#[test]
fn cases_say_what_they_did_not_compare() {
    let root = folder();
    let made = |name: &str, program: &str, description: &str, expected: &[(&str, Vec<u8>)]| {
        let folder = root.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("program.pel"), program).unwrap();
        fs::write(folder.join("case.json"), description).unwrap();
        let arrays = expected.iter().map(|(name, file)| {
            ((*name).to_owned(), pelton::exec::npz::read_array(&mut file.as_slice()).unwrap())
        });
        pelton::exec::npz::write(&folder.join("expected.npz"), &arrays.collect()).unwrap();
        pelton::exec::npz::write(&folder.join("inputs.npz"), &Default::default()).unwrap();
    };
    let one = "program p(__return: f64[1]) { __return[0] = 7.0 }";
    let seven = npy("<f8", false, "()", &doubles(&[7.0]));
    // A value is a value, as an array of one element or without dimensions.
    made("a_value", one, "{\"returns\": [\"__return\"]}", &[("__return", seven.clone())]);
    // What the function returned and its graph does not is a note, if something else was compared.
    made(
        "b_foreign",
        one,
        "{\"returns\": [\"__return\"]}",
        &[("__return", seven.clone()), ("__return_1", seven.clone())],
    );
    made("c_only_foreign", one, "{\"returns\": []}", &[("__return_1", seven.clone())]);
    made("d_unknown", one, "{}", &[("__return_1", seven.clone())]);
    // A program without any container of its caller's has nothing to compare; any other has.
    made("e_nothing", "program p() { transient t: f64[1]\n t[0] = 1.0 }", "{}", &[]);
    made("f_nothing", one, "{}", &[]);
    let output = pelton(&["test", text(root.path()), "--engine", "interp", "--format", "json"]);
    let report = json(&output);
    let cases = report["cases"].as_array().unwrap();
    let statuses: Vec<&str> = cases.iter().map(|case| case["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["pass", "pass", "error", "fail", "pass", "error"], "{report:#}");
    assert!(cases[1]["detail"].as_str().unwrap().contains("__return_1"), "{report:#}");
    assert!(cases[4]["detail"].as_str().unwrap().contains("runs to its end"), "{report:#}");
}

#[test]
fn test_reports_every_kind_of_ending() {
    let root = folder();
    case(root.path(), "a_good");
    let bad = case(root.path(), "b_bad");
    // The field before diffusion, under the name of the result: same shape it is not.
    fs::copy(bad.join("inputs.npz"), bad.join("expected.npz")).unwrap();
    let broken = case(root.path(), "c_broken");
    fs::write(broken.join("program.sdfgz"), "{").unwrap();
    let empty = case(root.path(), "d_empty");
    fs::remove_file(empty.join("program.sdfgz")).unwrap();
    let described = case(root.path(), "e_described");
    fs::write(described.join("case.json"), "[]").unwrap();

    let output =
        pelton(&["test", text(root.path()), "--format", "json", "--jobs", "2", "--engine", "interp"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    let cases = report["cases"].as_array().unwrap();
    let statuses: Vec<&str> = cases.iter().map(|case| case["status"].as_str().unwrap()).collect();
    assert_eq!(statuses[..4], ["pass", "fail", "error", "error"], "{report:#}");
    for case in cases {
        for key in ["suite", "name", "status", "detail"] {
            assert!(case[key].is_string(), "{key} in {case}");
        }
        assert!(case["seconds"].is_number());
    }
    let names: Vec<&str> = cases.iter().take(4).map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a_good", "b_bad", "c_broken", "d_empty"]);
    let detail = cases[1]["detail"].as_str().unwrap();
    assert!(detail.contains("diffused: ") && detail.contains("% close"), "{detail}");
    assert_eq!((&report["passed"], &report["failed"], &report["total"]), (&1.into(), &4.into(), &5.into()));

    let one = pelton(&["test", text(root.path()), "--filter", "a_good"]);
    assert_eq!(code(&one), 0, "{}", stdout(&one));
    assert!(stdout(&one).contains("1 of 1 passed"));
    let none = pelton(&["test", text(root.path()), "--filter", "nothing like it"]);
    assert_eq!(code(&none), 2, "a filter that matches nothing is no success");
    let nowhere = pelton(&["test", text(&root.path().join("a_good")), "no-such-folder"]);
    assert_eq!(code(&nowhere), 1);
}

#[test]
fn endless_programs_are_stopped() {
    let root = folder();
    case(root.path(), "slow");
    let output =
        pelton(&["test", text(root.path()), "--fuel", "100", "--engine", "interp", "--format", "json"]);
    assert_eq!(code(&output), 1);
    let report = json(&output);
    assert_eq!(report["cases"][0]["status"], "error");
    assert!(report["cases"][0]["detail"].as_str().unwrap().contains("P0508"));
}

#[test]
fn check_judges_programs() {
    let good = pelton(&["check", HDIFF]);
    assert_eq!(code(&good), 0, "{}", stdout(&good));
    let root = folder();
    let path = root.path().join("broken.sdfg");
    fs::write(&path, "{\"type\": \"SDFG\"").unwrap();
    let bad = pelton(&["check", text(&path), "--format", "json"]);
    assert_eq!(code(&bad), 1);
    let report = json(&bad);
    assert_eq!(report["errors"], 1);
    let finding = &report["diagnostics"][0];
    assert_eq!((&finding["code"], &finding["severity"]), (&"P0003".into(), &"error".into()));
    for key in ["message", "place", "notes"] {
        assert!(!finding[key].is_null());
    }
    fs::write(&path, b"\xff\xfe\x00").unwrap();
    assert_eq!(json(&pelton(&["check", text(&path), "--format", "json"]))["diagnostics"][0]["code"], "P0091");
}

#[test]
fn info_counts_and_measures() {
    let output = pelton(&["info", HDIFF, "--format", "json", "--set", "I=8", "--set", "J=8", "--set", "K=4"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&output);
    assert!(report["maps"].as_u64().unwrap() > 0 && report["tasklets"].as_u64().unwrap() > 0);
    let arrays = report["arrays"].as_array().unwrap();
    let field = arrays.iter().find(|array| array["name"] == "field").unwrap();
    assert_eq!((&field["transient"], &field["bytes"]), (&false.into(), &(12 * 12 * 4 * 8).into()));
    let symbols: Vec<&str> =
        report["symbols"].as_array().unwrap().iter().map(|symbol| symbol["name"].as_str().unwrap()).collect();
    assert!(["I", "J", "K"].iter().all(|name| symbols.contains(name)), "{symbols:?}");
    assert!(stdout(&pelton(&["info", HDIFF])).contains("symbols that shapes tell or a call has to give"));
    assert_eq!(code(&pelton(&["info", HDIFF, "--set", "I"])), 2);
}

#[test]
fn convert_keeps_the_program() {
    let root = folder();
    let file = |name: &str| root.path().join(name);
    for (from, to) in [(HDIFF, "a.pel"), ("a.pel", "b.sdfg"), ("b.sdfg", "c.sdfgz")] {
        let from = if from == HDIFF { PathBuf::from(HDIFF) } else { file(from) };
        let output = pelton(&["convert", text(&from), text(&file(to))]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
    }
    let copy = case(root.path(), "converted");
    fs::copy(file("c.sdfgz"), copy.join("program.sdfgz")).unwrap();
    assert_eq!(code(&pelton(&["test", text(&copy)])), 0);
    assert_eq!(code(&pelton(&["convert", HDIFF, text(&file("d.docx"))])), 2);
    assert!(!file("d.docx").exists());
}

#[test]
fn explain_knows_its_codes() {
    let output = pelton(&["explain", "P0503"]);
    assert_eq!(code(&output), 0);
    assert!(stdout(&output).starts_with("P0503: "));
    assert_eq!(code(&pelton(&["explain", "P9999"])), 2);
    assert!(stdout(&pelton(&["explain"])).lines().count() > 50);
}

#[test]
fn wrong_usage_is_two_and_help_is_zero() {
    for args in
        [&[][..], &["run"], &["fly"], &["run", HDIFF, "--engine", "warp"], &["run", HDIFF, "--set", "N"]]
    {
        assert_eq!(code(&pelton(args)), 2, "{args:?}");
    }
    for args in [&["--help"][..], &["run", "--help"], &["test", "--help"], &["--version"]] {
        assert_eq!(code(&pelton(args)), 0, "{args:?}");
    }
    assert!(stdout(&pelton(&["--help"])).contains("Exit codes:"));
    for command in ["run", "test", "check", "info", "convert", "explain"] {
        assert!(stdout(&pelton(&[command, "--help"])).contains("Examples:"), "{command}");
    }
}

#[test]
#[cfg(unix)]
fn a_closed_pipe_is_no_panic() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pelton"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["run", HDIFF, "--inputs", INPUTS])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// A GTIR program over a field that starts at 2, and a shift along a connectivity, with its arguments.
fn gtir_case(root: &Path) -> (PathBuf, PathBuf) {
    use pelton::exec::npz::{self, FileArray, FileArrays, Item};
    use pelton::scalar::DType;

    let program = r#"{"schema":"gtir-json/1","program":{"id":"p","params":[{"id":"e","t":1},{"id":"out","t":2}],
        "fundefs":[],"declarations":[],"body":[{"k":"set_at",
        "expr":{"k":"call","fun":{"k":"call","fun":{"k":"ref","id":"as_fieldop"},"args":[{"k":"lambda","params":[{"id":"e"}],
            "expr":{"k":"call","fun":{"k":"ref","id":"plus"},"args":[{"k":"lit","v":"0.5","t":0},
                {"k":"call","fun":{"k":"ref","id":"deref"},"args":[{"k":"call","fun":{"k":"call","fun":{"k":"ref","id":"shift"},
                "args":[{"k":"off","v":"V2E"},{"k":"off","v":1}]},"args":[{"k":"ref","id":"e"}]}]}]}}]},"args":[{"k":"ref","id":"e"}]},
        "domain":{"k":"call","fun":{"k":"ref","id":"unstructured_domain"},"args":[{"k":"call","fun":{"k":"ref","id":"named_range"},
            "args":[{"k":"axis","v":"V","kind":"horizontal"},{"k":"lit","v":"0","t":3},{"k":"lit","v":"2","t":3}]}]},
        "target":{"k":"ref","id":"out"}}]},
        "types":[{"k":"scalar","dtype":"float64"},
            {"k":"field","dims":[{"name":"E","kind":"horizontal"}],"dtype":{"k":"scalar","dtype":"float64"}},
            {"k":"field","dims":[{"name":"V","kind":"horizontal"}],"dtype":{"k":"scalar","dtype":"float64"}},
            {"k":"scalar","dtype":"int32"}]}"#;
    let case = r#"{"args":{"e":{"start":[2]}},"offset_provider":{"V2E":{"source":{"name":"V"},"local":{"name":"V2E"},
        "target":{"name":"E"},"max_neighbors":2,"skip_value":null}}}"#;
    let array = |dtype: DType, shape: &[usize], bytes: Vec<u8>| FileArray {
        item: Item::Number(dtype),
        shape: shape.to_vec(),
        fortran_order: false,
        bytes,
    };
    let doubles = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut inputs = FileArrays::new();
    inputs.insert("e".into(), array(DType::F64, &[3], doubles(&[1.0, 10.0, 100.0])));
    inputs.insert("out".into(), array(DType::F64, &[2], doubles(&[0.0, 0.0])));
    let table = [2i32, 4, 4, 3].iter().flat_map(|entry| entry.to_le_bytes()).collect();
    inputs.insert("offset:V2E".into(), array(DType::I32, &[2, 2], table));
    npz::write(&root.join("inputs.npz"), &inputs).unwrap();
    fs::write(root.join("p.gtir.json"), program).unwrap();
    fs::write(root.join("case.json"), case).unwrap();
    (root.join("p.gtir.json"), root.join("inputs.npz"))
}

#[test]
fn gtir_runs_with_the_description_beside_it() {
    let folder = folder();
    let (program, inputs) = gtir_case(folder.path());
    let out = folder.path().join("out.npz");
    let dump =
        pelton(&["run", text(&program), "--inputs", text(&inputs), "--engine", "native", "--dump", "clif"]);
    assert!(stdout(&dump).contains("function "), "{}", stderr(&dump));
    for engine in ["interp", "native", "gtir-oracle"] {
        let output = pelton(&[
            "run",
            text(&program),
            "--inputs",
            text(&inputs),
            "--engine",
            engine,
            "--format",
            "json",
            "--output",
            text(&out),
        ]);
        assert_eq!(code(&output), 0, "{engine}: {}", stderr(&output));
        let report = json(&output);
        assert_eq!(report["engine"], engine);
        let outputs = report["outputs"].as_array().unwrap();
        let found = outputs.iter().find(|output| output["name"] == "out").unwrap();
        assert_eq!((found["min"].as_f64(), found["max"].as_f64()), (Some(10.5), Some(100.5)), "{engine}");
        let arrays = pelton::exec::npz::read(&out).unwrap();
        assert_eq!(arrays.keys().collect::<Vec<_>>(), ["e", "out"]);
    }
    // Elsewhere the description has to be given.
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let moved = elsewhere.join("p.gtir.json");
    fs::copy(&program, &moved).unwrap();
    let output = pelton(&["run", text(&moved), "--inputs", text(&inputs)]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("no entry `V2E`"), "{}", stderr(&output));
    let case = folder.path().join("case.json");
    let output = pelton(&["run", text(&moved), "--inputs", text(&inputs), "--case", text(&case)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}

#[test]
fn gtir_is_checked_described_and_converted() {
    let folder = folder();
    let (program, inputs) = gtir_case(folder.path());
    let output = pelton(&["check", text(&program)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report = json(&pelton(&["info", text(&program), "--format", "json"]));
    assert_eq!(report["gtir"]["offsets"], serde_json::json!(["V2E"]));
    assert_eq!(report["gtir"]["params"][0]["type"], "field of float64 over [E (horizontal)]");
    assert_eq!((report["maps"].as_u64(), report["tasklets"].as_u64()), (Some(1), Some(1)));
    for name in ["p.sdfgz", "p.sdfg", "p.pel"] {
        let target = folder.path().join(name);
        let output = pelton(&["convert", text(&program), text(&target)]);
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
        let output = pelton(&["check", text(&target)]);
        assert_eq!(code(&output), 0, "{name}: {}{}", stdout(&output), stderr(&output));
    }
    let converted = fs::read_to_string(folder.path().join("p.pel")).unwrap();
    assert!(converted.contains("out_0 = 0.5 + "), "{converted}");
    // JSON to text and back is the same program but for the types.
    for name in ["q.gtir.json.gz", "q.gtir.txt"] {
        let target = folder.path().join(name);
        let output = pelton(&["convert", text(&program), text(&target)]);
        assert_eq!(code(&output), 0, "{name}: {}", stderr(&output));
        let output = pelton(&["run", text(&target), "--inputs", text(&inputs)]);
        let untyped = name.ends_with("txt");
        assert_eq!(code(&output), i32::from(untyped), "{name}: {}", stderr(&output));
    }
}

#[test]
fn two_sides_run_gtir_programs() {
    let folder = folder();
    let (program, inputs) = gtir_case(folder.path());
    let run = |command: &str, more: &[&str]| {
        let common = [command, text(&program), "--inputs", text(&inputs)];
        pelton(&[&common[..], more].concat())
    };
    let agree = run("diff", &["--sides", "gtir-oracle,native"]);
    assert_eq!(code(&agree), 0, "{}", stderr(&agree));
    assert!(stdout(&agree).starts_with("native compared with gtir-oracle\nout: 100 % close (2 of 2)"));
    for sides in ["interp,native", "gtir-oracle,interp"] {
        let agree = run("locate", &["--sides", sides]);
        assert_eq!((code(&agree), stdout(&agree).as_str()), (0, "both sides agree, bit for bit\n"));
    }
    // Somebody else's result, wrong in one element.
    let expected = folder.path().join("expected.npz");
    let output = pelton(&["run", text(&program), "--inputs", text(&inputs), "--output", text(&expected)]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let mut arrays = pelton::exec::npz::read(&expected).unwrap();
    arrays.retain(|name, _| name == "out");
    arrays["out"].bytes[8..].copy_from_slice(&12345.0f64.to_le_bytes());
    pelton::exec::npz::write(&expected, &arrays).unwrap();
    let differ = run("diff", &["--recorded", text(&expected), "--format", "json"]);
    assert_eq!(code(&differ), 1, "{}", stderr(&differ));
    assert_eq!(json(&differ)["fields"][0]["worst"]["index"], serde_json::json!([1]));
    let found = run("locate", &["--recorded", text(&expected)]);
    let printed = stdout(&found);
    assert_eq!(code(&found), 1, "{printed}");
    assert!(printed.contains("`out` is the first recorded array that differs"), "{printed}");
    assert!(printed.contains("out[1]: 12345 and "), "{printed}");
    assert_eq!(code(&run("diff", &["--sides", "native,gtir-oracle"])), 2);
    let small = folder.path().join("small");
    assert_eq!(code(&run("reduce", &["--sides", "gtir-oracle,native", "--out", text(&small)])), 2);
    assert_eq!(code(&pelton(&["diff", HDIFF, "--inputs", INPUTS, "--sides", "gtir-oracle,native"])), 2);
}

#[test]
fn sides_have_modes_and_may_differ_within_a_tolerance() {
    let near = pelton(&[
        "diff",
        HDIFF,
        "--inputs",
        INPUTS,
        "--sides",
        "strict,fast",
        "--rtol",
        "1e-9",
        "--atol",
        "1e-12",
    ]);
    assert_eq!(code(&near), 0, "{}{}", stdout(&near), stderr(&near));
    assert!(stdout(&near).starts_with("fast compared with strict\n"), "{}", stdout(&near));
    let wrong = ["interp:fast,native", "interp,nothing", "interp,native:quick", "interp"];
    for sides in wrong {
        assert_eq!(code(&pelton(&["diff", HDIFF, "--inputs", INPUTS, "--sides", sides])), 2, "{sides}");
    }
}

#[test]
fn inputs_that_nobody_gave_are_drawn() {
    let elements = |more: &[&str]| {
        let output = pelton(&[&["diff", HDIFF, "--format", "json"], more].concat());
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        assert!(stderr(&output).contains("they are drawn from seed"), "{}", stderr(&output));
        json(&output)["fields"][1]["elements"].as_u64().unwrap()
    };
    assert_eq!(elements(&["--set", "I=3", "--set", "J=2", "--set", "K=5"]), 30);
    assert_eq!(elements(&["--seed", "7"]), elements(&["--seed", "7"]));
    let wrong = pelton(&["diff", HDIFF, "--set", "I"]);
    assert_eq!(code(&wrong), 2, "{}", stderr(&wrong));
}
