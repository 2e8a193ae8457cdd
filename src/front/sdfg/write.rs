//! What all parts of the writer share: expressions, ranges, code texts, and the text of the JSON tree.

use std::io::Write;

use hashbrown::HashMap;
use serde_json::{Map, Value};

use crate::entity::Name;
use crate::ir::{Extra, Program, Subset, Text};
use crate::symbolic::{ExprId, Grammar};

use super::json::BESIDE;
use super::read::language_name;

/// A program being written.
pub(super) struct Writer<'a> {
    pub program: &'a Program,
    pub grammar: Grammar,
    /// Texts of expressions, which repeat.
    texts: HashMap<ExprId, String>,
    /// Number of the next control-flow region in DaCe's list of all of them.
    pub next_region: u64,
    /// How many graphs and regions are open; a graph that owns itself must end somewhere.
    pub nesting: usize,
}

impl<'a> Writer<'a> {
    pub(super) fn new(program: &'a Program, grammar: Grammar) -> Self {
        Self { program, grammar, texts: HashMap::new(), next_region: 0, nesting: 0 }
    }

    /// The text of a name.
    pub(super) fn name(&self, name: Name) -> Value {
        Value::String(self.program.names.get(name).into())
    }

    /// Texts of names.
    pub(super) fn names(&self, names: &[Name]) -> Value {
        names.iter().map(|&name| self.name(name)).collect()
    }

    /// The text of an expression in the file's grammar.
    pub(super) fn expression(&mut self, id: ExprId) -> Value {
        let (program, grammar) = (self.program, self.grammar);
        if let Some((_, text)) = program.spellings.get(&id).filter(|(spelled_in, _)| *spelled_in == grammar) {
            return Value::String(text.as_ref().into());
        }
        let text = self.texts.entry(id).or_insert_with(|| program.exprs.print(&program.names, id, grammar));
        Value::String(text.clone())
    }

    /// Texts of expressions.
    pub(super) fn expressions(&mut self, ids: &[ExprId]) -> Value {
        ids.iter().map(|&id| self.expression(id)).collect()
    }

    /// A subset as a `Range`.
    pub(super) fn subset(&mut self, subset: &Subset) -> Value {
        let mut ranges = Vec::with_capacity(subset.ranges.len());
        for range in &subset.ranges {
            let mut entry = Map::new();
            for (key, id) in
                [("start", range.start), ("end", range.end), ("step", range.step), ("tile", range.tile)]
            {
                entry.insert(key.into(), self.expression(id));
            }
            ranges.push(Value::Object(entry));
        }
        object([("type", "Range".into()), ("ranges", Value::Array(ranges))])
    }
}

/// An object from its entries.
pub(super) fn object<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Object(entries.into_iter().map(|(key, value)| (key.to_string(), value)).collect())
}

/// A code block.
pub(super) fn code(text: &Text) -> Value {
    object([("string_data", text.text.as_str().into()), ("language", language_name(text.language).into())])
}

/// Sets a property.
pub(super) fn set(attributes: &mut Extra, key: &str, value: impl Into<Value>) {
    attributes.insert(key.into(), value.into());
}

/// The properties of an element: interpreted ones first, then the uninterpreted ones it came with.
pub(super) fn with_extra(mut attributes: Extra, extra: &Extra) -> Value {
    for (key, value) in extra {
        if key != BESIDE && !attributes.contains_key(key) {
            attributes.insert(key.clone(), value.clone());
        }
    }
    Value::Object(attributes)
}

/// The element with the uninterpreted keys it had beside its attributes.
pub(super) fn with_beside(mut element: Value, extra: &Extra) -> Value {
    if let (Value::Object(entries), Some(Value::Object(beside))) = (&mut element, extra.get(BESIDE)) {
        for (key, value) in beside {
            entries.entry(key.as_str()).or_insert_with(|| value.clone());
        }
    }
    element
}

/// An uninterpreted key beside the attributes, or what stands there by default.
pub(super) fn beside_or(extra: &Extra, key: &str, default: impl Into<Value>) -> Value {
    match extra.get(BESIDE).and_then(|beside| beside.get(key)) {
        Some(value) => value.clone(),
        None => default.into(),
    }
}

/// An enumeration's value: the template form the element came with if it still says the same, else the name.
pub(super) fn enumerator(extra: &Extra, key: &str, name: &str) -> Value {
    match extra.get(key) {
        Some(template) if super::json::enumerator(template).is_ok_and(|known| known == name) => {
            template.clone()
        }
        _ => name.into(),
    }
}

/// The text of a tree. The strings `NaN`, `Infinity` and `-Infinity` become Python's bare words again where
/// a number may stand: as values, never as keys or under a key that holds a name.
///
/// Recurses as deep as the tree: the caller provides the stack.
pub(super) fn emit(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                number_or(item, out);
            }
            out.push(b']');
        }
        Value::Object(entries) => {
            out.push(b'{');
            for (index, (key, item)) in entries.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                string(key, out);
                out.push(b':');
                if NAMES.contains(&key.as_str()) { emit(item, out) } else { number_or(item, out) }
            }
            out.push(b'}');
        }
        // Writing to memory does not fail.
        other => drop(write!(out, "{other}")),
    }
}

/// Keys whose string values are names whatever they spell.
const NAMES: [&str; 9] =
    ["data", "name", "label", "loop_variable", "pe_index", "string_data", "type", "ctype", "guid"];

fn number_or(item: &Value, out: &mut Vec<u8>) {
    match item {
        Value::String(word) if matches!(word.as_str(), "NaN" | "Infinity" | "-Infinity") => {
            out.extend_from_slice(word.as_bytes());
        }
        other => emit(other, out),
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    // A string always has a JSON form, and writing to memory does not fail.
    drop(serde_json::to_writer(out, text));
}
