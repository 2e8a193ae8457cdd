//! DaCe's files: `.sdfg` (JSON) and `.sdfgz` (the same, compressed), in and out.
//!
//! # The file
//!
//! A file is one JSON object, a graph; nested graphs stand inside the nodes that run them. Every element is
//! `{"type": class, "attributes": {property: value, ...}, ...}`. Three conventions run through everything:
//!
//! - **Defaults are omitted.** A missing `dtype` is `int32`, a missing condition always holds, a missing
//!   schedule or storage is `Default`, missing strides are row-major.
//! - **References are positions.** Edges and scopes name nodes by their place in the list, written as
//!   strings. The exit of a map has no properties: it is found through its entry.
//! - **Ends are inclusive.** A range from `0` to `N - 1` has `N` points.
//!
//! Compression is told from the first bytes, not from the file's name. Python writes `NaN`, `Infinity` and
//! `-Infinity` as bare words, which JSON does not know; they are read (as strings of that spelling where
//! nobody interprets them) and written back as words.
//!
//! # What the version decides
//!
//! `dace_version` is required, because two things depend on it and nothing in the file tells them otherwise:
//!
//! - **The grammar of symbolic properties** (shapes, ranges, symbol mappings, volumes). Before `2.0.0a4` they
//!   are plain Python (`N - 1`), since then symbols are marked and may be typed (`$N - 1`,
//!   `symbol($N, dtype=dace.int64)`). Conditions, assignments and code are plain text in both.
//! - **What a nested graph receives.** Before `2.0.0b1` a connector is a *window*: it starts at the memlet's
//!   subset, and inner subsets count from there. Since `2.0.0b1` it is the *whole* container, and inner
//!   subsets are the outer ones. See [`Contract`]. All of a file's graphs follow one rule.
//!
//! A program is written in the version it came with, and in that version's grammar; one that came from
//! elsewhere is written as `2.0.0b1`, or as `2.0.0a10` if its nested graphs receive windows.
//!
//! # What is not interpreted
//!
//! Properties that have no meaning here (`debuginfo`, `guid`, `instrument`, `executions`, ...) are kept in the
//! `extra` map of their element under their own name, and written back. Keys beside `attributes` are kept
//! there under `"."`. Some interpreted properties leave something behind as well: enumerations that come as
//! templates (`{"type": "StorageType.Register", ...}`), element types of structures, constants that are no
//! numbers. What repeats other properties (`id`, `scope_dict`, `src_subset`, ...) is derived anew. Types that
//! Pelton cannot compute with (callbacks, pointers, Python objects) are opaque types whose name is the
//! typeclass itself.
//!
//! # Bad input
//!
//! [`read`] never panics. It returns one [`Diagnostic`] with the path to what is wrong: `P0001` to `P0005`
//! for bytes and limits, `P0006` and `P0007` for the version, `P0010` to `P0015` for values and classes, and
//! `P0101` to `P0106` for references that lead nowhere. Whether the graph means anything is the validator's
//! business ([`crate::valid`]).

mod bytes;
mod constants;
mod control;
mod data;
mod graph;
mod json;
mod memlet;
mod node;
mod read;
mod state;
mod typeclass;
mod version;
mod write;

use std::borrow::Cow;
use std::io::{Read, Write};

use serde_json::Value;

use crate::diag::{Diagnostic, Result};
use crate::ir::{Contract, Program};

use self::bytes::Outline;
use self::json::{Within, missing, text, unexpected};
use self::read::Reader;
use self::version::Version;
use self::write::Writer;

/// Reads a program from the bytes of an `.sdfg` or `.sdfgz` file, with what is suspicious about it.
///
/// Code stays text: [`crate::scalar::lower`] is the next step.
///
/// # Errors
/// The first thing that is wrong, with the path to it.
pub fn read(bytes: &[u8]) -> Result<(Program, Vec<Diagnostic>)> {
    let content = if bytes::is_gzip(bytes) {
        Cow::Owned(bytes::gunzip(bytes, bytes::MAX_BYTES)?)
    } else if bytes.len() as u64 > bytes::MAX_BYTES {
        let message = format!("the file is larger than {} bytes", bytes::MAX_BYTES);
        return Err(Diagnostic::error("P0002", message));
    } else {
        Cow::Borrowed(bytes)
    };
    let outline = Outline::of(&content);
    bytes::with_stack(outline.is_deep(), || read_tree(bytes::parse(&content, &outline)?))?
}

fn read_tree(root: Value) -> Result<(Program, Vec<Diagnostic>)> {
    let Value::Object(entries) = &root else { return Err(unexpected("an object", &root)) };
    if entries.get("type").is_none_or(|class| class != "SDFG") {
        let found = entries.get("type").and_then(Value::as_str).unwrap_or("none");
        return Err(Diagnostic::error("P0012", "the file holds no SDFG")
            .at("type")
            .with_note(format!("expected the type `SDFG`, found {found:.80}")));
    }
    let Some(version) = entries.get("dace_version") else {
        return Err(Diagnostic { code: "P0006", ..missing("dace_version") }
            .with_note("the version decides how sizes are written and what nested graphs receive")
            .with_help("save the graph with a current DaCe, or add the version that wrote the file"));
    };
    let declared = text(version.clone()).within(|| "dace_version".into())?;
    let version = Version::parse(&declared)?;
    let program =
        Program { contract: version.contract(), dace_version: Some(declared), ..Program::default() };
    let mut reader = Reader::new(program, version.grammar());
    let id = reader.graph(root)?;
    reader.program.root = Some(id);
    Ok((reader.program, reader.findings))
}

/// Graphs and regions that are written on the caller's stack, however they nest.
const FLAT: usize = 8;

/// The bytes of an `.sdfg` file, or of an `.sdfgz` file if `gz`. The same program gives the same bytes.
///
/// Nested graphs are followed to a depth that real programs do not reach; one that contains itself ends there.
pub fn write(program: &Program, gz: bool) -> Vec<u8> {
    let levels: usize = program.graphs.values().map(|graph| 1 + graph.regions.len()).sum();
    let text =
        bytes::with_stack(levels > FLAT, || write_text(program)).unwrap_or_else(|_| write_text(program));
    if !gz {
        return text;
    }
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::default());
    // Writing to memory does not fail.
    drop(encoder.write_all(&text));
    encoder.finish().unwrap_or_default()
}

fn write_text(program: &Program) -> Vec<u8> {
    let version = program.dace_version.as_deref().unwrap_or(match program.contract {
        Contract::Whole => version::WHOLE,
        Contract::Window => version::WINDOW,
    });
    let grammar = Version::parse(version).map_or(crate::symbolic::Grammar::Typed, |known| known.grammar());
    let mut writer = Writer::new(program, grammar);
    let tree = program.root.map_or(Value::Null, |root| writer.graph(root, Some(version)));
    let mut text = Vec::new();
    write::emit(&tree, &mut text);
    text
}

/// Whether bytes look like an `.sdfg` or `.sdfgz` file, judged by the beginning of their text.
pub fn is_sdfg(bytes: &[u8]) -> bool {
    const ENOUGH: u64 = 1 << 20;
    let mut text = Vec::new();
    if bytes::is_gzip(bytes) {
        // A damaged stream may still have given enough text.
        drop(flate2::read::MultiGzDecoder::new(bytes).take(ENOUGH).read_to_end(&mut text));
    } else {
        text.extend_from_slice(&bytes[..bytes.len().min(ENOUGH as usize)]);
    }
    let text: Vec<u8> = text.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let key: &[u8] = br#""type":"SDFG""#;
    text.starts_with(b"{") && text.windows(key.len()).any(|window| window == key)
}
