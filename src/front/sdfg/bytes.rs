//! From bytes to a JSON tree: gzip, limits, and Python's non-finite numbers.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use serde_json::Value;

use crate::diag::{Diagnostic, Result};

/// How much text a file may hold once it is decompressed.
pub(super) const MAX_BYTES: u64 = 1 << 30;

/// How deep objects and lists may nest. One level of nested graphs takes six to thirteen of these.
pub(super) const MAX_DEPTH: usize = 2000;

/// Nesting up to which a tree is handled on the caller's stack.
const SHALLOW: usize = 64;

/// Stack of the thread that handles deeper trees: [`MAX_DEPTH`] levels fit many times over.
const DEEP_STACK: usize = 256 << 20;

/// Whether the bytes are compressed.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// The text behind gzip-compressed bytes, at most `limit` bytes of it.
pub(super) fn gunzip(bytes: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).take(limit.saturating_add(1)).read_to_end(&mut text).map_err(|error| {
        Diagnostic::error("P0001", "the gzip stream is damaged")
            .with_note(error.to_string())
            .with_help("the file is cut short or was altered; copy or save it again")
    })?;
    if text.len() as u64 > limit {
        return Err(Diagnostic::error("P0002", format!("the file decompresses to more than {limit} bytes"))
            .with_help("real programs are far smaller; a file like this only fills memory"));
    }
    Ok(text)
}

/// What one pass over the text of a JSON document tells.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outline {
    /// The deepest nesting of objects and lists.
    pub depth: usize,
    /// Where Python wrote `NaN`, `Infinity` or `-Infinity` as a bare word, and how long each is.
    bare: Vec<(usize, usize)>,
}

impl Outline {
    /// Reads the whole text once. Malformed text gives some outline; the JSON parser complains later.
    pub(super) fn of(text: &[u8]) -> Outline {
        let mut outline = Outline::default();
        let mut depth: usize = 0;
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'"' => at = end_of_string(text, at + 1),
                b'{' | b'[' => {
                    depth += 1;
                    outline.depth = outline.depth.max(depth);
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'N' if text[at..].starts_with(b"NaN") => {
                    outline.bare.push((at, 3));
                    at += 2;
                }
                b'I' if text[at..].starts_with(b"Infinity") => {
                    let sign = usize::from(at > 0 && text[at - 1] == b'-');
                    outline.bare.push((at - sign, 8 + sign));
                    at += 7;
                }
                _ => {}
            }
            at += 1;
        }
        outline
    }

    /// Whether the tree is too deep to be handled on any caller's stack.
    pub(super) fn is_deep(&self) -> bool {
        self.depth > SHALLOW
    }
}

/// Position of the quote that ends a string, or the end of the text.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// The JSON tree of a document. Bare non-finite numbers become the strings `NaN`, `Infinity` and `-Infinity`.
///
/// Recurses as deep as the document nests: the caller provides the stack.
pub(super) fn parse(text: &[u8], outline: &Outline) -> Result<Value> {
    if outline.depth > MAX_DEPTH {
        return Err(Diagnostic::error("P0004", format!("objects and lists nest {} deep", outline.depth))
            .with_note(format!("at most {MAX_DEPTH} levels are read"))
            .with_help("inline some of the nested graphs before saving"));
    }
    if outline.bare.is_empty() {
        return parse_strict(text);
    }
    let mut quoted = Vec::with_capacity(text.len() + 2 * outline.bare.len());
    let mut copied = 0;
    for &(at, length) in &outline.bare {
        quoted.extend_from_slice(&text[copied..at]);
        quoted.push(b'"');
        quoted.extend_from_slice(&text[at..at + length]);
        quoted.push(b'"');
        copied = at + length;
    }
    quoted.extend_from_slice(&text[copied..]);
    parse_strict(&quoted)
}

fn parse_strict(text: &[u8]) -> Result<Value> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    parser.disable_recursion_limit();
    let mut values = parser.into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) => values.next().unwrap_or(Ok(Value::Null)).map(|_| value),
        Some(Err(error)) => Err(error),
        None => return Err(Diagnostic::error("P0003", "the file is empty")),
    };
    value.map_err(|error| {
        let diagnostic = Diagnostic::error("P0003", "the file is not valid JSON")
            .at(format!("line {}, column {}", error.line(), error.column()))
            .with_note(error.to_string());
        if error.is_eof() {
            diagnostic.with_help("the file is cut short; copy or save it again")
        } else {
            diagnostic.with_help("an SDFG file is one JSON object, plain or compressed with gzip")
        }
    })
}

/// Runs `work` on a stack that is deep enough: the caller's, or for `deep` trees one of its own.
pub(super) fn with_stack<T: Send>(deep: bool, work: impl FnOnce() -> T + Send) -> Result<T> {
    if !deep {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .name("sdfg".into())
            .stack_size(DEEP_STACK)
            .spawn_scoped(scope, work)
            .map_err(|error| {
                Diagnostic::error("P0005", "no thread for a deeply nested file").with_note(error.to_string())
            })?;
        worker.join().or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![b' '; 100_000]);
        assert_eq!(gunzip(&bomb, 99_999).unwrap_err().code, "P0002");
        assert_eq!(gunzip(&bomb, 100_000).unwrap().len(), 100_000);
    }

    #[test]
    fn a_cut_stream_is_described() {
        let whole = gzip(b"{\"type\": \"SDFG\"}");
        for cut in 2..whole.len() {
            assert_eq!(gunzip(&whole[..cut], MAX_BYTES).unwrap_err().code, "P0001");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(Outline::of(br#"{"[[[\"[": ["a\\", {}]}"#).depth, 3);
    }

    #[test]
    fn python_writes_numbers_that_json_has_not() {
        let text = br#"{"a": [NaN, -Infinity, Infinity, "NaN", -1]}"#;
        let value = parse(text, &Outline::of(text)).unwrap();
        assert_eq!(value, serde_json::json!({"a": ["NaN", "-Infinity", "Infinity", "NaN", -1]}));
    }

    #[test]
    fn nesting_is_bounded_before_parsing() {
        let deep = "[".repeat(5_000_000);
        let outline = Outline::of(deep.as_bytes());
        assert_eq!(parse(deep.as_bytes(), &outline).unwrap_err().code, "P0004");
    }
}
