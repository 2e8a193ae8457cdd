//! Smaller sizes, plainer types, simpler values.

use crate::check::edit::{root_mut, tidied};
use crate::check::locate::{add_missing, view};
use crate::check::side::copied;
use crate::ir::canonical::strip_code;
use crate::memory::{Arguments, Binding};
use crate::scalar::{DType, Scalar, Type, arith};

use super::{Failing, Reduction};

/// One round; says whether anything became simpler.
pub(super) fn shrink(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = smaller_symbols(reduction);
    changed |= plainer_types(reduction);
    changed |= simpler_values(reduction);
    changed
}

fn smaller_symbols(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let symbols: Vec<(String, i64)> = reduction
        .best
        .args
        .bindings
        .iter()
        .filter_map(|(name, binding)| match binding {
            Binding::Scalar(value) if value.dtype().is_integral() => Some((name.clone(), value.as_i64())),
            _ => None,
        })
        .collect();
    for (name, value) in symbols {
        for smaller in [0, 1, 2, value / 2, value - 1] {
            if (0..value).contains(&smaller) && reduction.accept(resized(&reduction.best, &name, smaller)) {
                changed = true;
                break;
            }
        }
    }
    changed
}

/// The arguments with another value of a symbol: arrays get the extents that follow, and keep their leading elements.
fn resized(failing: &Failing, symbol: &str, value: i64) -> Option<Failing> {
    let mut args = Arguments::new();
    for (name, binding) in &failing.args.bindings {
        if let Binding::Scalar(old) = binding {
            args.insert_scalar(
                name,
                if name == symbol { arith::cast(old.dtype(), Scalar::I64(value)) } else { *old },
            );
        }
    }
    let is_array = |name: &str| matches!(failing.args.get(name), Some(Binding::Array { .. }));
    add_missing(&failing.program, &mut args);
    let names: Vec<String> = args.bindings.keys().cloned().collect();
    for name in names.iter().filter(|name| is_array(name)) {
        let old = view(&failing.args, failing.args.get(name)?)?;
        let Some(Binding::Array { buffer, offset, ty, shape, strides }) = args.bindings.get(name).cloned()
        else {
            continue;
        };
        let dtype = ty.scalar()?;
        let count: usize = shape.iter().product();
        if shape.len() != old.shape().len() {
            return None;
        }
        let mut index = vec![0; shape.len()];
        for _ in 0..count {
            if let Some(value) = old.get(&index) {
                let at = index.iter().zip(&strides).map(|(&at, &stride)| at as isize * stride).sum::<isize>();
                let at = usize::try_from(at).ok()?.checked_add(offset)?;
                let inside = index.iter().zip(old.shape()).all(|(&at, &extent)| at < extent);
                if inside {
                    arith::cast(dtype, value)
                        .write_le_bytes(args.buffers.get_mut(buffer)?.bytes_mut().get_mut(at..)?);
                }
            }
            for dim in (0..index.len()).rev() {
                index[dim] += 1;
                if index[dim] < shape[dim] {
                    break;
                }
                index[dim] = 0;
            }
        }
    }
    // An array whose extents nobody could compute would be missing.
    let complete = failing.args.bindings.keys().all(|name| args.bindings.contains_key(name));
    complete.then(|| Failing { program: failing.program.clone(), args })
}

/// Containers of other types become `f64` or `i64`.
fn plainer_types(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let containers: Vec<(String, DType)> = reduction
        .best
        .program
        .root_graph()
        .map(|graph| {
            graph
                .data
                .iter()
                .filter_map(|(&name, data)| {
                    Some((reduction.best.program.names.get(name).to_owned(), data.ty.scalar()?))
                })
                .collect()
        })
        .unwrap_or_default();
    for (name, dtype) in containers {
        if matches!(dtype, DType::F64) {
            continue;
        }
        let plain = if dtype.is_integral() && dtype != DType::I64 {
            [DType::F64, DType::I64]
        } else {
            [DType::F64, DType::F64]
        };
        for to in plain {
            if reduction.accept(retyped(&reduction.best, &name, to)) {
                changed = true;
                break;
            }
        }
    }
    changed
}

fn retyped(failing: &Failing, name: &str, to: DType) -> Option<Failing> {
    let mut program = failing.program.clone();
    let id = program.names.lookup(name)?;
    root_mut(&mut program)?.data.get_mut(&id)?.ty = Type::Scalar(to);
    strip_code(&mut program);
    let program = tidied(&program).ok()?;
    let mut args = copied(&failing.args);
    if let Some(binding @ Binding::Array { .. }) = failing.args.get(name) {
        let old = view(&failing.args, binding)?;
        let mut bytes = Vec::new();
        for value in old.scalars() {
            let at = bytes.len();
            bytes.resize(at + to.bytes(), 0);
            arith::cast(to, value?).write_le_bytes(&mut bytes[at..]);
        }
        args.insert_array(name, Type::Scalar(to), to.bytes(), old.shape(), bytes);
    }
    Some(Failing { program, args })
}

/// Arrays become all zeros or all ones, or whole numbers.
fn simpler_values(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let names: Vec<String> = reduction.best.args.bindings.keys().cloned().collect();
    let simpler: [&dyn Fn(f64) -> f64; 3] = [&|_| 0.0, &|_| 1.0, &|value| value.round()];
    for name in names {
        // Only what is simpler than what is there; otherwise zeros and ones would take turns.
        let rank = simplicity(&reduction.best.args, &name);
        for change in simpler.into_iter().take(rank) {
            let candidate = revalued(&reduction.best, &name, change);
            if candidate.is_some() && reduction.accept(candidate) {
                changed = true;
                break;
            }
        }
        if reduction.is_over() {
            break;
        }
    }
    changed
}

/// 0: all zeros; 1: all ones; 2: whole numbers; 3: anything.
fn simplicity(args: &Arguments<'_>, name: &str) -> usize {
    let Some(view) = args.get(name).and_then(|binding| view(args, binding)) else { return 0 };
    let all = |holds: &dyn Fn(f64) -> bool| view.scalars().flatten().all(|value| holds(value.as_f64()));
    if all(&|value| value == 0.0) {
        0
    } else if all(&|value| value == 1.0) {
        1
    } else if all(&|value| value == value.round()) {
        2
    } else {
        3
    }
}

fn revalued(failing: &Failing, name: &str, change: &dyn Fn(f64) -> f64) -> Option<Failing> {
    let Some(Binding::Array { buffer, ty, .. }) = failing.args.get(name) else { return None };
    let dtype = ty.scalar().filter(|dtype| !dtype.is_complex())?;
    let mut args = copied(&failing.args);
    let bytes = args.buffers.get_mut(*buffer)?.bytes_mut();
    let before = bytes.to_vec();
    for element in bytes.chunks_exact_mut(dtype.bytes()) {
        let value = Scalar::from_le_bytes(dtype, element)?.as_f64();
        arith::cast(dtype, Scalar::F64(change(value))).write_le_bytes(element);
    }
    // What changes nothing is no candidate.
    (bytes.to_vec() != before).then(|| Failing { program: failing.program.clone(), args })
}
