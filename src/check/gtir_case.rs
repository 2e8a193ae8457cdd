//! GTIR cases: `case.json` and its arrays as arguments of a program, and the comparison of what comes out.
//!
//! Tuples are flattened in the files: part 1 of `a` is `a_1` (or `a__1`), part 0 of that `a_1_0`.

use std::path::Path;
use std::time::Instant;

use serde_json::Value;

use crate::diag::Result;
use crate::exec::engine::Engine;
use crate::exec::gtir::{GtirProgram, describe};
use crate::exec::load::read_bytes;
use crate::exec::npz::{self, FileArray, FileArrays, Item};
use crate::front::gtir::{GtirArgs, json};
use crate::memory::{Arguments, Binding, Buffer, View};
use crate::scalar::Type;

use super::case::Case;
use super::run::{CaseReport, How};
use super::{FieldReport, Tolerance, compare, gtir_oracle};

/// Runs a GTIR case on an engine and fills the report's engine, time and fields.
pub(super) fn run(case: &Case, path: &Path, how: &How, report: &mut CaseReport) -> Result<()> {
    let program = json::read(&read_bytes(path)?).map_err(|error| error.inside(path.display().to_string()))?;
    let inputs = npz::read(&case.folder.join("inputs.npz"))?;
    let expected = npz::read(&case.folder.join("expected.npz"))?;
    let mut args = arguments(&case.description, &inputs)?;
    if how.engine == Engine::GtirOracle {
        report.engine = Some(how.engine);
        let start = Instant::now();
        gtir_oracle::run(&program, &mut args)?;
        report.run_seconds = start.elapsed().as_secs_f64();
    } else {
        let lowered = GtirProgram::new(&program, &args)?;
        let prepared = how.prepare(&lowered.program)?;
        report.runs_on(&prepared);
        let mut bound = lowered.bind(&mut args)?;
        let result = report.run(&prepared, &mut bound, &how.options);
        lowered.unbind(bound, &mut args);
        result?;
    }
    report.fields = compare_outputs(&case.description, &args.memory, &expected, case.tolerance);
    Ok(())
}

/// The arguments a case describes, with the arrays of its `inputs.npz`.
///
/// # Errors
/// `P0430`: the description is not what the format says, or an array is missing.
pub fn arguments(description: &Value, inputs: &FileArrays) -> Result<GtirArgs<'static>> {
    describe::arguments(description, inputs, None)
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
pub(super) fn slices(value: &Value) -> Vec<[Option<i64>; 3]> {
    let part = |slice: &Value, n: usize| slice.get(n).and_then(Value::as_i64);
    let slices = value.as_array().map_or(&[][..], Vec::as_slice);
    slices.iter().map(|slice| [part(slice, 0), part(slice, 1), part(slice, 2)]).collect()
}
