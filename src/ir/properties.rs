//! Properties of library nodes as numbers and flags: JSON values, or Python's text of them.

use serde_json::Value as Json;

use crate::scalar::Scalar;

use super::Extra;

/// Whether a flag is set.
pub fn is_true(value: Option<&Json>) -> bool {
    match value {
        Some(Json::Bool(value)) => *value,
        Some(Json::String(text)) => text == "True" || text == "true" || text == "1",
        Some(Json::Number(number)) => number.as_f64() == Some(1.0),
        _ => false,
    }
}

/// Whether a flag is there and not set.
pub fn is_false(value: Option<&Json>) -> bool {
    match value {
        Some(Json::Bool(value)) => !value,
        Some(Json::String(text)) => text == "False" || text == "false" || text == "0",
        _ => false,
    }
}

/// A list of integers.
pub fn integers(properties: &Extra, key: &str) -> Option<Vec<i64>> {
    let list = properties.get(key)?.as_array()?;
    Some(list.iter().filter_map(|item| as_number(item).map(Scalar::as_i64)).collect())
}

/// A JSON number, or Python's text of one.
pub fn as_number(value: &Json) -> Option<Scalar> {
    match value {
        Json::Bool(value) => Some(Scalar::Bool(*value)),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Some(Scalar::I64(integer)),
            None => number.as_u64().map(Scalar::U64).or_else(|| number.as_f64().map(Scalar::F64)),
        },
        Json::String(text) => number_text(text.trim()),
        _ => None,
    }
}

fn number_text(text: &str) -> Option<Scalar> {
    if let Ok(integer) = text.parse::<i64>() {
        return Some(Scalar::I64(integer));
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(Scalar::U64(integer));
    }
    match text {
        "True" => return Some(Scalar::Bool(true)),
        "False" => return Some(Scalar::Bool(false)),
        "None" | "" => return None,
        "nan" | "NaN" => return Some(Scalar::F64(f64::NAN)),
        _ => {}
    }
    let bare = text.trim_start_matches('(').trim_end_matches(')');
    if let Ok(float) = bare.parse::<f64>() {
        return Some(Scalar::F64(float));
    }
    // Python's text of a complex number: `2j`, `(1+2j)`.
    let complex = bare.strip_suffix('j')?;
    let split = complex.rfind(['+', '-']).filter(|&at| at > 0 && !complex[..at].ends_with(['e', 'E']));
    let (re, im) = complex.split_at(split.unwrap_or(0));
    let re = if re.is_empty() { 0.0 } else { re.parse().ok()? };
    Some(Scalar::C128(num_complex::Complex64::new(re, im.parse().ok()?)))
}
