//! Taking a JSON tree apart with descriptions of what does not fit.

use serde_json::{Map, Value};

use crate::diag::{Diagnostic, Result};
use crate::ir::Extra;

/// Key of the uninterpreted keys *beside* the `attributes` of an element.
pub(super) const BESIDE: &str = ".";

/// How deep an uninterpreted property may nest; whoever handles it later may recurse.
const MAX_KEPT_DEPTH: usize = 64;

/// One element of a file taken apart: `{"type": class, "attributes": {...}, ...}`.
pub(super) struct Element {
    pub class: String,
    pub attributes: Map<String, Value>,
    /// All other keys.
    pub beside: Map<String, Value>,
}

impl Element {
    /// Takes an element apart; missing `attributes` are empty ones.
    pub(super) fn of(value: Value) -> Result<Element> {
        let mut class = None;
        let mut attributes = Map::new();
        let mut beside = Map::new();
        for (key, value) in object(value)? {
            match key.as_str() {
                "type" => class = Some(text(value).within(|| "type".into())?),
                "attributes" if value.is_null() => {}
                "attributes" => attributes = object(value).within(|| "attributes".into())?,
                _ => {
                    beside.insert(key, value);
                }
            }
        }
        let class = class.ok_or_else(|| missing("type"))?;
        Ok(Element { class, attributes, beside })
    }
}

/// Adds places to errors on their way out.
pub(super) trait Within {
    /// Names the place around the error.
    fn within(self, place: impl FnOnce() -> String) -> Self;
}

impl<T> Within for Result<T> {
    fn within(self, place: impl FnOnce() -> String) -> Self {
        self.map_err(|diagnostic| diagnostic.inside(place()))
    }
}

/// `P0010`: another kind of JSON value was expected.
pub(super) fn unexpected(expected: &str, found: &Value) -> Diagnostic {
    let shown = match found {
        Value::Null => "null".to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => format!("the string {value:.60?}"),
        Value::Array(items) => format!("a list of {} items", items.len()),
        Value::Object(entries) => format!("an object of {} entries", entries.len()),
    };
    Diagnostic::error("P0010", format!("expected {expected}, found {shown}"))
}

/// `P0011`: a key that must be there.
pub(super) fn missing(key: &str) -> Diagnostic {
    Diagnostic::error("P0011", format!("the key `{key}` is missing"))
}

/// `P0012`: a class of elements nobody knows.
pub(super) fn unknown(what: &str, class: &str, known: &[&str]) -> Diagnostic {
    Diagnostic::error("P0012", format!("`{class:.80}` is not a known kind of {what}"))
        .with_note(format!("expected one of {}", known.join(", ")))
}

/// An object's entries.
pub(super) fn object(value: Value) -> Result<Map<String, Value>> {
    match value {
        Value::Object(entries) => Ok(entries),
        other => Err(unexpected("an object", &other)),
    }
}

/// A list's items.
pub(super) fn list(value: Value) -> Result<Vec<Value>> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(unexpected("a list", &other)),
    }
}

/// A string.
pub(super) fn text(value: Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(unexpected("a string", &other)),
    }
}

/// A string, or nothing for null.
pub(super) fn optional_text(value: Value) -> Result<Option<String>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        other => Err(unexpected("a string or null", &other)),
    }
}

/// A boolean.
pub(super) fn flag(value: Value) -> Result<bool> {
    match value {
        Value::Bool(flag) => Ok(flag),
        other => Err(unexpected("true or false", &other)),
    }
}

/// A boolean, or nothing for null.
pub(super) fn optional_flag(value: Value) -> Result<Option<bool>> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(flag)),
        other => Err(unexpected("true, false or null", &other)),
    }
}

/// A position in a list, written as an integer or as a string of one; null is none.
pub(super) fn position(value: &Value) -> Result<Option<usize>> {
    let found = match value {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    found.map(Some).ok_or_else(|| unexpected("the number of a node", value))
}

/// Items of a list of pairs `[key, value]`; objects are accepted too, with one entry or many per item.
pub(super) fn pairs(value: Value) -> Result<Vec<(String, Value)>> {
    let items = match value {
        Value::Object(entries) => return Ok(entries.into_iter().collect()),
        other => list(other)?,
    };
    let mut pairs = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::Object(entries) => pairs.extend(entries),
            Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                Ok([key, value]) => pairs.push((text(key)?, value)),
                Err(other) => return Err(unexpected("a pair of name and value", &Value::Array(other))),
            },
            other => return Err(unexpected("a pair of name and value", &other)),
        }
    }
    Ok(pairs)
}

/// Name of an enumeration's value: `"Register"`, or the template form `{"type": "StorageType.Register", ...}`.
pub(super) fn enumerator(value: &Value) -> Result<&str> {
    let name = match value {
        Value::String(name) => Some(name.as_str()),
        Value::Object(entries) => entries.get("type").and_then(Value::as_str),
        _ => None,
    };
    let name = name.ok_or_else(|| unexpected("the name of an enumeration's value", value))?;
    Ok(name.rsplit('.').next().unwrap_or(name))
}

/// Keeps an uninterpreted property for the way back.
pub(super) fn keep(extra: &mut Extra, key: String, value: Value) -> Result<()> {
    if (value.is_array() || value.is_object()) && depth_exceeds(&value, MAX_KEPT_DEPTH) {
        return Err(Diagnostic::error(
            "P0004",
            format!("the property nests more than {MAX_KEPT_DEPTH} deep"),
        )
        .at(key));
    }
    extra.insert(key, value);
    Ok(())
}

/// Keeps the keys beside the attributes. `collapsed: false` is what everything is and needs no keeping.
pub(super) fn keep_beside(extra: &mut Extra, beside: Extra) {
    if !beside.is_empty() {
        extra.insert(BESIDE.into(), Value::Object(beside));
    }
}

/// Whether objects and lists nest more than `limit` deep. Recurses at most that deep.
pub(super) fn depth_exceeds(value: &Value, limit: usize) -> bool {
    match value {
        Value::Array(items) => limit == 0 || items.iter().any(|item| depth_exceeds(item, limit - 1)),
        Value::Object(entries) => limit == 0 || entries.values().any(|item| depth_exceeds(item, limit - 1)),
        _ => false,
    }
}
