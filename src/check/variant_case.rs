//! What GT4Py's DaCe backend made of a GTIR case: the same arguments under that backend's names.
//!
//! The graph's containers are called as the fields are (parts of a tuple as in the case's files), and what else
//! the caller tells is in symbols:
//!
//! | symbol | value |
//! |---|---|
//! | `__FIELD_DIM_range_0`, `__FIELD_DIM_range_1` | coordinates of a field's first element and behind its last |
//! | `__FIELD_DIM_stride` | distance in elements; a graph may have fixed it |
//! | `__gt_conn_OFFSET_source_size`, `_source_stride`, `_neighbor_stride` | the same of a neighbour table |
//! | a scalar argument's own name | its value |
//!
//! The table of offset `C2E` is the container `gt_conn_C2E`. A dimension whose stride the graph fixed to one is
//! laid out innermost, the others keep their order; so GT4Py allocates fields for this backend.

use std::path::Path;

use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};
use crate::exec::load::load;
use crate::exec::npz;
use crate::front::gtir::{GtirArg, GtirArgs, table_name};
use crate::ir::{Data, DataKind, Program};
use crate::memory::{Arguments, Binding, Buffer, BufferId, View};
use crate::scalar::{DType, Scalar, Type, arith};

use super::case::Case;
use super::gtir_case::{arguments, compare_outputs};
use super::run::{CaseReport, How};

/// Prefix of the containers that hold neighbour tables.
const TABLE_PREFIX: &str = "gt_conn_";

/// One of the graphs beside a GTIR case, and the arguments of its call.
pub(super) fn bound(case: &Case, path: &Path) -> Result<(Program, Arguments<'static>)> {
    let program = load(path)?.program;
    let inputs = npz::read(&case.folder.join("inputs.npz"))?;
    let given = arguments(&case.description, &inputs)?;
    let args = bind(&program, &given).map_err(|error| error.inside(path.display().to_string()))?;
    Ok((program, args))
}

/// Runs one of the graphs beside a GTIR case and fills the report's engine, time and fields.
pub(super) fn run(case: &Case, path: &Path, how: &How, report: &mut CaseReport) -> Result<()> {
    let program = load(path)?.program;
    let inputs = npz::read(&case.folder.join("inputs.npz"))?;
    let expected = npz::read(&case.folder.join("expected.npz"))?;
    let given = arguments(&case.description, &inputs)?;
    let mut bound = bind(&program, &given).map_err(|error| error.inside(path.display().to_string()))?;
    let prepared = how.prepare(&program)?;
    report.runs_on(&prepared);
    report.run(&prepared, &mut bound, &how.options)?;
    // What the graph does not take it cannot change.
    for (name, binding) in &given.memory.bindings {
        if let (false, Binding::Array { buffer, .. }) = (bound.bindings.contains_key(name), binding) {
            let bytes = given.memory.buffers.get(*buffer).map_or(&[][..], Buffer::bytes).to_vec();
            let mut binding = binding.clone();
            if let Binding::Array { buffer, .. } = &mut binding {
                *buffer = bound.buffers.push(Buffer::Owned(bytes));
            }
            bound.bindings.insert(name.clone(), binding);
        }
    }
    report.fields = compare_outputs(&case.description, &bound, &expected, case.tolerance);
    Ok(())
}

/// A field or table as the graph takes it: where it lies with the caller, and what its dimensions are called in
/// the graph's symbols, with the coordinate of element 0.
struct Source {
    leaf: String,
    dims: Vec<(String, i64)>,
}

/// The graph's arguments.
fn bind(program: &Program, given: &GtirArgs<'_>) -> Result<Arguments<'static>> {
    let sources = sources(given);
    let mut args = Arguments::new();
    let mut shared = IndexMap::new();
    let graph = program.root_graph().ok_or_else(|| Diagnostic::error("P0100", "the program has no graph"))?;
    for (&name, data) in graph.data.iter().filter(|(_, data)| !data.transient) {
        let name = &program.names[name];
        let binding = given.memory.get(name);
        match (sources.get(name), &data.kind) {
            (Some(source), DataKind::Array(_)) => {
                bind_array(program, data, name, source, given, &mut args, &mut shared)?;
            }
            // A field of no dimension, or a scalar by reference.
            (_, DataKind::Scalar(_)) if binding.is_some() => {}
            _ => {
                return Err(Diagnostic::error(
                    "P0432",
                    format!("argument `{name}` is neither an argument of the case nor a neighbour table"),
                ));
            }
        }
    }
    for (name, binding) in &given.memory.bindings {
        if let Some(value) = number(binding, given) {
            args.bindings.entry(name.clone()).or_insert(Binding::Scalar(value));
        }
    }
    Ok(args)
}

/// Fields and tables by their names in the graph.
fn sources(given: &GtirArgs<'_>) -> IndexMap<String, Source> {
    let mut sources = IndexMap::new();
    let mut open: Vec<&GtirArg> = given.params.values().collect();
    while let Some(arg) = open.pop() {
        match arg {
            GtirArg::Tuple(parts) => open.extend(parts),
            GtirArg::Field { leaf, dims, start } => {
                let dims = dims.iter().zip(start).map(|((name, _), &start)| (name.clone(), start));
                sources.insert(leaf.clone(), Source { leaf: leaf.clone(), dims: dims.collect() });
            }
            GtirArg::Scalar { .. } | GtirArg::Absent => {}
        }
    }
    for offset in given.connectivities.keys() {
        let dims = vec![("source".to_owned(), 0), ("neighbor".to_owned(), 0)];
        sources.insert(format!("{TABLE_PREFIX}{offset}"), Source { leaf: table_name(offset), dims });
    }
    sources
}

/// Copies one array into the layout the graph declares, and tells the graph's symbols about it.
fn bind_array(
    program: &Program,
    data: &Data,
    name: &str,
    source: &Source,
    given: &GtirArgs<'_>,
    args: &mut Arguments<'static>,
    shared: &mut IndexMap<(BufferId, Vec<usize>), BufferId>,
) -> Result<()> {
    let mismatch = |what: &str| Diagnostic::error("P0432", format!("argument `{name}` {what}"));
    let (Some(array), Type::Scalar(dtype)) = (data.array(), data.ty) else {
        return Err(mismatch("is no array of numbers"));
    };
    let Some(Binding::Array { buffer, offset, ty: Type::Scalar(own), shape, strides }) =
        given.memory.get(&source.leaf)
    else {
        // An optional argument that was not given.
        args.bindings.insert(name.to_owned(), Binding::Absent);
        return Ok(());
    };
    if shape.len() != array.shape.len() {
        return Err(mismatch(&format!("has rank {} in the graph, {} here", array.shape.len(), shape.len())));
    }
    let is_unit =
        |&dim: &usize| array.strides.get(dim).and_then(|&stride| program.exprs.as_int(stride)) == Some(1);
    // Slowest dimension first.
    let (unit, mut order): (Vec<usize>, Vec<usize>) = (0..shape.len()).partition(is_unit);
    order.extend(unit);
    let mut element_strides = vec![1_usize; shape.len()];
    let mut elements = 1_usize;
    for &dim in order.iter().rev() {
        element_strides[dim] = elements;
        elements = elements.saturating_mul(shape[dim]);
    }
    for (dim, (axis, start)) in source.dims.iter().enumerate() {
        let (Some(&extent), Some(&stride)) = (shape.get(dim), element_strides.get(dim)) else { continue };
        let mut tell = |what: &str, value: i64| {
            args.bindings.insert(format!("__{name}_{axis}_{what}"), Binding::Scalar(Scalar::I64(value)));
        };
        let extent = i64::try_from(extent).unwrap_or(i64::MAX);
        tell("range_0", *start);
        tell("range_1", start.saturating_add(extent));
        tell("size", extent);
        tell("stride", i64::try_from(stride).unwrap_or(i64::MAX));
    }
    let key = (*buffer, order);
    let known = shared.get(&key).copied().filter(|_| own == &dtype);
    let buffer = match known {
        Some(buffer) => buffer,
        None => {
            let bytes = given.memory.buffers.get(*buffer).map_or(&[][..], Buffer::bytes);
            let view = View::new(bytes, *offset, *own, shape, strides);
            let packed = packed(&view, dtype, &element_strides)
                .ok_or_else(|| mismatch("does not fit its type or reaches outside its buffer"))?;
            let buffer = args.buffers.push(Buffer::Owned(packed));
            shared.insert(key, buffer);
            buffer
        }
    };
    let item = dtype.bytes().cast_signed();
    let strides = element_strides.iter().map(|stride| stride.cast_signed().saturating_mul(item)).collect();
    let binding =
        Binding::Array { buffer, offset: 0, ty: Type::Scalar(dtype), shape: shape.clone(), strides };
    args.bindings.insert(name.to_owned(), binding);
    Ok(())
}

/// The elements in another type and layout, if none changes its value.
fn packed(view: &View<'_>, dtype: DType, strides: &[usize]) -> Option<Vec<u8>> {
    let mut bytes = vec![0; view.len().checked_mul(dtype.bytes())?];
    for (position, value) in view.scalars().enumerate() {
        let value = value?;
        let converted = arith::cast(dtype, value);
        if value.dtype() != dtype && !arith::cast(value.dtype(), converted).same_bits(value) {
            return None;
        }
        let index = view.index_of(position);
        let at: usize = index.iter().zip(strides).map(|(&index, &stride)| index * stride).sum();
        converted.write_le_bytes(bytes.get_mut(at * dtype.bytes()..)?);
    }
    Some(bytes)
}

/// The value of a scalar argument.
fn number(binding: &Binding, given: &GtirArgs<'_>) -> Option<Scalar> {
    match binding {
        Binding::Scalar(value) => Some(*value),
        Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, .. } if shape.is_empty() => {
            Scalar::from_le_bytes(*dtype, given.memory.buffers.get(*buffer)?.bytes().get(*offset..)?)
        }
        _ => None,
    }
}
