//! GTIR cases: `case.json` and its arrays as arguments of a program, and the comparison of what comes out.
//!
//! Tuples are flattened in the files: part 1 of `a` is `a_1` (or `a__1`), part 0 of that `a_1_0`.

use std::path::Path;
use std::time::Instant;

use indexmap::IndexMap;
use serde_json::Value;

use crate::diag::{Diagnostic, Result};
use crate::exec::engine::{Engine, Options, Outcome, Prepared, is_observed};
use crate::exec::gtir::GtirProgram;
use crate::exec::load::read_bytes;
use crate::exec::npz::{self, FileArray, FileArrays, Item};
use crate::front::gtir::{Connectivity, DimKind, json};
use crate::memory::{Arguments, Binding, Buffer, View};
use crate::scalar::Type;

use super::case::Case;
use super::gtir_oracle::{GtirArg, GtirArgs, table_name};
use super::run::CaseReport;
use super::{FieldReport, Tolerance, compare, gtir_oracle};

/// Tuples nest a few levels in real cases.
const MAX_NESTING: usize = 64;

/// Runs a GTIR case on an engine and fills the report's engine, time and fields.
pub(super) fn run(
    case: &Case,
    path: &Path,
    engine: Engine,
    options: &Options,
    report: &mut CaseReport,
) -> Result<()> {
    let program = json::read(&read_bytes(path)?).map_err(|error| error.inside(path.display().to_string()))?;
    let inputs = npz::read(&case.folder.join("inputs.npz"))?;
    let expected = npz::read(&case.folder.join("expected.npz"))?;
    let mut args = arguments(&case.description, &inputs)?;
    if engine == Engine::GtirOracle {
        report.engine = Some(engine);
        let start = Instant::now();
        gtir_oracle::run(&program, &mut args)?;
        report.run_seconds = start.elapsed().as_secs_f64();
    } else {
        let lowered = GtirProgram::new(&program, &args)?;
        let prepared = Prepared::new(&lowered.program, engine, is_observed(options))?;
        report.engine = Some(prepared.engine());
        report.why = prepared.why().to_owned();
        let mut bound = lowered.bind(&mut args)?;
        let start = Instant::now();
        let outcome = prepared.run(&mut bound, options);
        report.run_seconds = start.elapsed().as_secs_f64();
        lowered.unbind(bound, &mut args);
        if let Outcome::Trap(fault) = outcome? {
            return Err(fault.into());
        }
    }
    report.fields = compare_outputs(&case.description, &args.memory, &expected, case.tolerance);
    Ok(())
}

/// The arguments a case describes, with the arrays of its `inputs.npz`.
///
/// # Errors
/// `P0430`: the description is not what the format says, or an array is missing.
pub fn arguments(description: &Value, inputs: &FileArrays) -> Result<GtirArgs<'static>> {
    let binder = Binder { description, inputs };
    let mut memory = Arguments::new();
    let connectivities = binder.connectivities(&mut memory)?;
    let mut params = IndexMap::new();
    for name in binder.texts("params")? {
        let arg = binder.argument(&name, &mut memory, 0)?;
        params.insert(name, arg);
    }
    binder.share_aliases(&mut memory);
    let column_axis = description.pointer("/column_axis/name").and_then(Value::as_str).map(str::to_owned);
    Ok(GtirArgs { memory, params, connectivities, column_axis })
}

/// Compares every expected array with the argument of that name, sliced as the case says.
pub fn compare_outputs(
    description: &Value,
    memory: &Arguments<'_>,
    expected: &FileArrays,
    tolerance: Tolerance,
) -> Vec<FieldReport> {
    expected
        .iter()
        .map(|(name, expected)| {
            let actual = match view_of_argument(memory, name) {
                Ok(view) => view,
                Err(problem) => return FieldReport::problem(name, problem),
            };
            let Some(expected) = view_of_file(expected) else {
                return FieldReport::problem(name, "the expected array does not hold numbers");
            };
            let slice = |key: &str| slices(&description["outputs"][name][key]);
            let actual = actual.sliced(&slice("field_slice"));
            let expected = expected.sliced(&slice("expected_slice"));
            compare(name, &actual, &expected, tolerance, None)
        })
        .collect()
}

fn view_of_argument<'a>(
    memory: &'a Arguments<'_>,
    name: &str,
) -> std::result::Result<View<'a>, &'static str> {
    match memory.get(name) {
        Some(Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, strides }) => {
            let bytes = memory.buffers.get(*buffer).map_or(&[][..], Buffer::bytes);
            Ok(View::new(bytes, *offset, *dtype, shape, strides))
        }
        Some(_) => Err("the argument is not an array of numbers"),
        None => Err("the program has no such argument"),
    }
}

fn view_of_file(array: &FileArray) -> Option<View<'_>> {
    let Item::Number(dtype) = array.item else { return None };
    Some(View::new(&array.bytes, 0, dtype, &array.shape, &array.strides()))
}

/// `[[start, stop, step], ...]` with `null` for what is left open.
fn slices(value: &Value) -> Vec<[Option<i64>; 3]> {
    let part = |slice: &Value, n: usize| slice.get(n).and_then(Value::as_i64);
    let slices = value.as_array().map_or(&[][..], Vec::as_slice);
    slices.iter().map(|slice| [part(slice, 0), part(slice, 1), part(slice, 2)]).collect()
}

struct Binder<'a> {
    description: &'a Value,
    inputs: &'a FileArrays,
}

impl Binder<'_> {
    fn damaged(&self, what: impl Into<String>) -> Diagnostic {
        Diagnostic::error("P0430", what).at("case.json")
    }

    fn texts(&self, key: &str) -> Result<Vec<String>> {
        let list =
            self.description[key].as_array().ok_or_else(|| self.damaged(format!("`{key}` is not a list")))?;
        list.iter()
            .map(|text| {
                text.as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| self.damaged(format!("`{key}` holds more than text")))
            })
            .collect()
    }

    fn argument(&self, name: &str, memory: &mut Arguments<'static>, depth: usize) -> Result<GtirArg> {
        if depth > MAX_NESTING {
            return Err(self.damaged(format!("argument `{name}` nests more than {MAX_NESTING} tuples")));
        }
        let spec = &self.description["args"][name];
        match spec["kind"].as_str() {
            Some("tuple") => {
                let count =
                    spec["n"].as_u64().ok_or_else(|| self.damaged(format!("tuple `{name}` has no `n`")))?;
                let parts = (0..count)
                    .map(|n| {
                        let part = [format!("{name}_{n}"), format!("{name}__{n}")];
                        let part = part.iter().find(|part| self.is_described(part)).unwrap_or(&part[0]);
                        self.argument(part, memory, depth + 1)
                    })
                    .collect::<Result<_>>()?;
                Ok(GtirArg::Tuple(parts))
            }
            Some("scalar") => {
                let Some(array) = self.inputs.get(name) else { return Err(self.missing(name)) };
                if matches!(array.item, Item::Text(_)) {
                    return Ok(GtirArg::Absent);
                }
                self.insert(name, array, memory)?;
                Ok(GtirArg::Scalar { leaf: name.to_owned() })
            }
            Some("field") => {
                let array = self.inputs.get(name).ok_or_else(|| self.missing(name))?;
                if array.text().is_some() {
                    return Ok(GtirArg::Absent);
                }
                let dims = self.dimensions(name, &spec["dims"])?;
                let start = spec["start"].as_array().map_or(&[][..], Vec::as_slice);
                let start: Vec<i64> = start.iter().filter_map(Value::as_i64).collect();
                self.insert(name, array, memory)?;
                Ok(GtirArg::Field { leaf: name.to_owned(), dims, start })
            }
            Some(other) => Err(self
                .damaged(format!("argument `{name}` has kind `{other}`"))
                .with_note("expected field, scalar or tuple")),
            // Only the parts of a tuple are described in some suites.
            None => {
                let parts = |glue: &str| {
                    (0..)
                        .map(|n| format!("{name}{glue}{n}"))
                        .take_while(|part| self.is_described(part))
                        .collect::<Vec<_>>()
                };
                let parts = [parts("__"), parts("_")].into_iter().find(|parts| !parts.is_empty());
                let parts =
                    parts.ok_or_else(|| self.damaged(format!("argument `{name}` is not described")))?;
                let parts =
                    parts.iter().map(|part| self.argument(part, memory, depth + 1)).collect::<Result<_>>()?;
                Ok(GtirArg::Tuple(parts))
            }
        }
    }

    fn is_described(&self, name: &str) -> bool {
        self.description["args"].get(name).is_some()
    }

    fn missing(&self, name: &str) -> Diagnostic {
        Diagnostic::error("P0430", format!("array `{name}` is missing")).at("inputs.npz")
    }

    fn dimensions(&self, name: &str, dims: &Value) -> Result<Vec<(String, DimKind)>> {
        let list = dims.as_array().ok_or_else(|| self.damaged(format!("field `{name}` has no `dims`")))?;
        list.iter()
            .map(|dim| {
                let text = |key: &str| dim[key].as_str();
                let kind = text("kind").and_then(DimKind::from_name);
                match (text("name"), kind) {
                    (Some(dim), Some(kind)) => Ok((dim.to_owned(), kind)),
                    _ => Err(self.damaged(format!("a dimension of field `{name}` has no name or kind"))),
                }
            })
            .collect()
    }

    fn insert(&self, name: &str, array: &FileArray, memory: &mut Arguments<'static>) -> Result<()> {
        let Item::Number(dtype) = array.item else {
            let what = format!("array `{name}` holds {}, not numbers", array.item.name());
            return Err(Diagnostic::error("P0430", what).at("inputs.npz"));
        };
        let buffer = memory.buffers.push(Buffer::Owned(array.bytes.clone()));
        let binding = Binding::Array {
            buffer,
            offset: 0,
            ty: Type::Scalar(dtype),
            shape: array.shape.clone(),
            strides: array.strides(),
        };
        memory.bindings.insert(name.to_owned(), binding);
        Ok(())
    }

    fn connectivities(&self, memory: &mut Arguments<'static>) -> Result<IndexMap<String, Connectivity>> {
        let mut found = IndexMap::new();
        let Some(provider) = self.description["offset_provider"].as_object() else { return Ok(found) };
        for (offset, entry) in provider {
            let dim = |key: &str| {
                entry[key]["name"]
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| self.damaged(format!("connectivity `{offset}` has no `{key}`")))
            };
            let max_neighbors = entry["max_neighbors"].as_u64().and_then(|n| usize::try_from(n).ok());
            let connectivity = Connectivity {
                source: dim("source")?,
                local: dim("local")?,
                target: dim("target")?,
                max_neighbors: max_neighbors
                    .ok_or_else(|| self.damaged(format!("connectivity `{offset}` has no `max_neighbors`")))?,
                skip_value: entry["skip_value"].as_i64(),
            };
            let default = table_name(offset);
            let file_name = entry["table"].as_str().unwrap_or(&default);
            let array = self.inputs.get(file_name).ok_or_else(|| self.missing(file_name))?;
            self.insert(&default, array, memory)?;
            found.insert(offset.clone(), connectivity);
        }
        Ok(found)
    }

    /// Arguments that are the same buffer share it here, too.
    fn share_aliases(&self, memory: &mut Arguments<'static>) {
        let Some(aliases) = self.description["alias_of"].as_object() else { return };
        for (name, original) in aliases {
            let original = original.as_str().and_then(|original| memory.bindings.get(original)).cloned();
            if let (Some(slot), Some(original)) = (memory.bindings.get_mut(name), original) {
                *slot = original;
            }
        }
    }
}
