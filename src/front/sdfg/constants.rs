//! Compile-time constants: `constants_prop`, `{name: [descriptor, value], ...}`.
//!
//! A value is a number, a boolean, the text of one (what NumPy scalars become), the text of a Python complex
//! number, or `{"type": "ndarray", "data": nested lists, "dtype": ...}`. What is none of these (a record, a
//! string) is kept as it stands and cannot be read by the program.

use half::{bf16, f16};
use num_complex::{Complex32, Complex64};
use serde_json::{Map, Number, Value};

use crate::diag::{Diagnostic, Result};
use crate::ir::{Constant, Data, DataKind, Extra, Graph};
use crate::scalar::{DType, Scalar};

use super::json::{Within, keep, object, unexpected};
use super::read::Reader;
use super::write::{Writer, object as entries, set};

/// How deep lists of an array constant may nest.
const MAX_RANK: usize = 64;

/// The property's name.
pub(super) const KEY: &str = "constants_prop";

impl Reader {
    /// Reads all constants into `graph`; those that have no numbers go to its extra properties.
    pub(super) fn constants(&mut self, graph: &mut Graph, value: Value) -> Result<()> {
        let mut kept = Extra::new();
        for (name, value) in object(value)? {
            match self.constant(&value).within(|| format!("constant `{name}`"))? {
                Some(constant) => {
                    graph.constants.insert(self.name(&name), constant);
                }
                None => {
                    let finding = Diagnostic::warning("P0015", "a constant that is no number is kept unread")
                        .at(format!("constant `{name}`"));
                    self.findings.push(finding);
                    keep(&mut kept, name, value)?;
                }
            }
        }
        if !kept.is_empty() {
            graph.extra.insert(KEY.into(), Value::Object(kept));
        }
        Ok(())
    }

    fn constant(&mut self, value: &Value) -> Result<Option<Constant>> {
        let [descriptor, value] = match value {
            Value::Array(pair) if pair.len() == 2 => [&pair[0], &pair[1]],
            other => return Err(unexpected("a pair of descriptor and value", other)),
        };
        let data = self.data(descriptor.clone())?;
        let Some(dtype) = data.ty.scalar() else { return Ok(None) };
        let mut values = Vec::new();
        let complete = match value {
            Value::Object(array) => match array.get("data") {
                Some(items) => flatten(items, dtype, &mut values, MAX_RANK),
                None => false,
            },
            other => flatten(other, dtype, &mut values, MAX_RANK),
        };
        Ok(complete.then_some(Constant { data, values }))
    }
}

/// Appends the numbers of nested lists in order; false if something is no number.
fn flatten(value: &Value, dtype: DType, values: &mut Vec<Scalar>, rank: usize) -> bool {
    match value {
        Value::Array(items) => rank > 0 && items.iter().all(|item| flatten(item, dtype, values, rank - 1)),
        other => match number(other, dtype) {
            Some(number) => {
                values.push(number);
                true
            }
            None => false,
        },
    }
}

/// A number of type `dtype`.
fn number(value: &Value, dtype: DType) -> Option<Scalar> {
    match value {
        Value::Bool(flag) => scalar(dtype, i128::from(*flag), f64::from(u8::from(*flag)), 0.0),
        Value::Number(number) => {
            let real = number.as_f64()?;
            let integer = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            scalar(dtype, integer.unwrap_or(real as i128), real, 0.0)
        }
        Value::String(text) => match text.as_str() {
            "True" => number(&Value::Bool(true), dtype),
            "False" => number(&Value::Bool(false), dtype),
            text => {
                if let Ok(integer) = text.parse::<i128>() {
                    return scalar(dtype, integer, integer as f64, 0.0);
                }
                let (re, im) = complex(text)?;
                scalar(dtype, re as i128, re, im)
            }
        },
        _ => None,
    }
}

/// A Python number: `1.5`, `-inf`, `2j`, `(1+2j)`.
fn complex(text: &str) -> Option<(f64, f64)> {
    let bare = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    let Some(bare) = bare.strip_suffix('j') else { return bare.parse().ok().map(|re| (re, 0.0)) };
    // The sign between the parts is the last one that does not belong to an exponent.
    let split = bare
        .char_indices()
        .rev()
        .find(|&(at, c)| at > 0 && matches!(c, '+' | '-') && !bare[..at].ends_with(['e', 'E']))
        .map_or(0, |(at, _)| at);
    let (re, im) = bare.split_at(split);
    let re = if re.is_empty() { 0.0 } else { re.parse().ok()? };
    Some((re, im.parse().ok()?))
}

/// The value in the given type; `None` if the type cannot hold it.
fn scalar(dtype: DType, integer: i128, re: f64, im: f64) -> Option<Scalar> {
    if im != 0.0 && !dtype.is_complex() {
        return None;
    }
    Some(match dtype {
        DType::Bool => Scalar::Bool(re != 0.0),
        DType::I8 => Scalar::I8(integer.try_into().ok()?),
        DType::I16 => Scalar::I16(integer.try_into().ok()?),
        DType::I32 => Scalar::I32(integer.try_into().ok()?),
        DType::I64 => Scalar::I64(integer.try_into().ok()?),
        DType::U8 => Scalar::U8(integer.try_into().ok()?),
        DType::U16 => Scalar::U16(integer.try_into().ok()?),
        DType::U32 => Scalar::U32(integer.try_into().ok()?),
        DType::U64 => Scalar::U64(integer.try_into().ok()?),
        DType::F16 => Scalar::F16(f16::from_f64(re)),
        DType::BF16 => Scalar::BF16(bf16::from_f64(re)),
        DType::F32 => Scalar::F32(re as f32),
        DType::F64 => Scalar::F64(re),
        DType::C64 => Scalar::C64(Complex32::new(re as f32, im as f32)),
        DType::C128 => Scalar::C128(Complex64::new(re, im)),
        DType::F8E4M3 | DType::F8E5M2 => return None,
    })
}

impl Writer<'_> {
    /// Writes the constants of a graph, numbers and kept ones.
    pub(super) fn constants(&mut self, attributes: &mut Extra, graph: &Graph) {
        let mut constants = Map::new();
        for (&name, constant) in &graph.constants {
            let descriptor = self.data(&constant.data);
            let value = self.constant_value(constant);
            constants.insert(self.program.names.get(name).into(), Value::Array(vec![descriptor, value]));
        }
        if let Some(Value::Object(kept)) = graph.extra.get(KEY) {
            for (name, value) in kept {
                constants.entry(name.as_str()).or_insert_with(|| value.clone());
            }
        }
        if !constants.is_empty() {
            set(attributes, KEY, constants);
        }
    }

    fn constant_value(&self, constant: &Constant) -> Value {
        let mut numbers: Vec<Value> = constant.values.iter().map(|&value| json_number(value)).collect();
        if matches!(constant.data.kind, DataKind::Scalar(_)) && numbers.len() == 1 {
            return numbers.remove(0);
        }
        for extent in self.extents(&constant.data, numbers.len()).into_iter().skip(1).rev() {
            numbers = numbers.chunks(extent).map(|row| Value::Array(row.to_vec())).collect();
        }
        let dtype = self.typeclass(constant.data.ty);
        entries([("type", "ndarray".into()), ("data", numbers.into()), ("dtype", dtype)])
    }

    /// The extents of an array constant if they are literal and hold `count` elements, else none.
    fn extents(&self, data: &Data, count: usize) -> Vec<usize> {
        let literal = |&id| self.program.exprs.as_int(id).and_then(|extent| usize::try_from(extent).ok());
        let extents: Option<Vec<usize>> = data.shape().iter().map(literal).collect();
        let product =
            |extents: &[usize]| extents.iter().try_fold(1usize, |all, &extent| all.checked_mul(extent));
        extents.filter(|extents| count > 0 && product(extents) == Some(count)).unwrap_or_default()
    }
}

fn json_number(value: Scalar) -> Value {
    match value {
        Scalar::Bool(value) => value.into(),
        Scalar::I8(value) => value.into(),
        Scalar::I16(value) => value.into(),
        Scalar::I32(value) => value.into(),
        Scalar::I64(value) => value.into(),
        Scalar::U8(value) => value.into(),
        Scalar::U16(value) => value.into(),
        Scalar::U32(value) => value.into(),
        Scalar::U64(value) => value.into(),
        Scalar::F16(value) => real(value.to_f64()),
        Scalar::BF16(value) => real(value.to_f64()),
        Scalar::F8E4M3(bits) | Scalar::F8E5M2(bits) => bits.into(),
        Scalar::F32(value) => real(f64::from(value)),
        Scalar::F64(value) => real(value),
        Scalar::C64(value) => python_complex(f64::from(value.re), f64::from(value.im)),
        Scalar::C128(value) => python_complex(value.re, value.im),
    }
}

/// A number, or the word that becomes a bare one in the text.
fn real(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}

fn python_complex(re: f64, im: f64) -> Value {
    format!("({re}{im:+}j)").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn python_numbers() {
        assert_eq!(complex("1.5"), Some((1.5, 0.0)));
        assert_eq!(complex("(1+2j)"), Some((1.0, 2.0)));
        assert_eq!(complex("(-1e-05-2.5e+20j)"), Some((-1e-5, -2.5e20)));
        assert_eq!(complex("-3j"), Some((0.0, -3.0)));
        assert_eq!(complex("-inf"), Some((f64::NEG_INFINITY, 0.0)));
        assert_eq!(complex("(1+2)"), None);
        assert_eq!(complex("text"), None);
        assert_eq!(complex("é+1j"), None);
    }

    #[test]
    fn complex_numbers_come_back() {
        for (re, im) in [(1.0, -2.5), (1e300, 1e-300), (-0.0, f64::INFINITY), (0.0, -0.0)] {
            let value = json_number(Scalar::C128(Complex64::new(re, im)));
            let Some(Scalar::C128(back)) = number(&value, DType::C128) else { panic!("{value}") };
            assert_eq!((back.re.to_bits(), back.im.to_bits()), (re.to_bits(), im.to_bits()), "{value}");
        }
    }

    #[test]
    fn a_number_that_does_not_fit_is_none() {
        assert_eq!(number(&json!(300), DType::U8), None);
        assert_eq!(number(&json!(u64::MAX), DType::U64), Some(Scalar::U64(u64::MAX)));
        assert_eq!(number(&json!("7"), DType::I32), Some(Scalar::I32(7)));
        assert_eq!(number(&json!("(1+2j)"), DType::F64), None);
        assert_eq!(number(&json!(null), DType::F64), None);
    }
}
