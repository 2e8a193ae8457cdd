//! Smaller sizes, fewer dimensions, plainer types, simpler values.

use crate::check::edit::{root_mut, single, tidied};
use crate::check::locate::{add_missing, value_of, view};
use crate::check::side::copied;
use crate::entity::Name;
use crate::ir::builder::row_major;
use crate::ir::canonical::strip_code;
use crate::ir::{Array, BlockKind, DataKind, Memlet, NodeId, NodeKind, Program, State, Subset};
use crate::memory::{Arguments, Binding, View};
use crate::scalar::{DType, Scalar, Type, arith};

use super::{Failing, Reduction};

/// One round; says whether anything became simpler.
pub(super) fn shrink(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = smaller_symbols(reduction);
    changed |= fewer_dimensions(reduction);
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

/// Dimensions of arrays go in which only one index is used; the last one becomes a single element.
fn fewer_dimensions(reduction: &mut Reduction<'_>) -> bool {
    let mut changed = false;
    let program = &reduction.best.program;
    let arrays: Vec<(String, usize)> = program.root_graph().map_or_else(Vec::new, |graph| {
        let arrays = graph.data.iter().filter(|(_, data)| matches!(data.kind, DataKind::Array(_)));
        arrays.map(|(&name, data)| (program.names.get(name).to_owned(), data.shape().len())).collect()
    });
    for (name, rank) in arrays {
        for dim in (0..rank).rev() {
            changed |= reduction.accept(flattened(&reduction.best, &name, dim));
        }
    }
    changed
}

/// The program with one dimension of an array less, if all of its memlets have the same index there.
fn flattened(failing: &Failing, name: &str, dim: usize) -> Option<Failing> {
    let mut program = failing.program.clone();
    let id = program.names.lookup(name)?;
    let index = only_index(&program, &failing.args, id, dim)?;
    let (first, one) = (single(&mut program, 0), program.exprs.int(1));
    let DataKind::Array(array) = &program.root_graph()?.data.get(&id)?.kind else { return None };
    let mut shape = array.shape.clone();
    let stays = shape.len() == 1;
    if stays && program.exprs.as_int(shape[0]) == Some(1) {
        return None;
    }
    if stays {
        shape = vec![one];
    } else {
        shape.remove(dim);
    }
    let (strides, _) = row_major(&mut program.exprs, &shape);
    let graph = root_mut(&mut program)?;
    for (_, block) in graph.blocks.iter_mut() {
        let BlockKind::State(state) = &mut block.kind else { continue };
        let ends = ends_of(state);
        for (id_of_edge, edge) in state.edges.iter_mut() {
            for subset in subsets_of(&mut edge.memlet, ends[id_of_edge.0 as usize], id) {
                match stays {
                    true => subset.ranges[dim] = first,
                    false => drop(subset.ranges.remove(dim)),
                }
            }
        }
    }
    let DataKind::Array(array) = &mut graph.data.get_mut(&id)?.kind else { return None };
    *array = Array { shape, strides, may_alias: array.may_alias, ..Array::default() };
    strip_code(&mut program);
    let program = tidied(&program).ok()?;
    let mut args = copied(&failing.args);
    if let Some(binding @ Binding::Array { ty, .. }) = failing.args.get(name) {
        let old = view(&failing.args, binding)?.fixed(dim, index);
        let shape = if stays { vec![1] } else { old.shape().to_vec() };
        let dtype = ty.scalar()?;
        args.insert_array(name, *ty, dtype.bytes(), &shape, dense(&old, dtype)?);
    }
    Some(Failing { program, args })
}

/// The index that all memlets of an array of the outermost graph have in a dimension.
fn only_index(program: &Program, args: &Arguments<'_>, array: Name, dim: usize) -> Option<usize> {
    let mut only = None;
    for (_, state) in program.root_graph()?.states() {
        let ends = ends_of(state);
        for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
            let mut memlet = edge.memlet.clone();
            let ends = ends[id.0 as usize];
            let is_part = match memlet.data == Some(array) {
                true => memlet.subset.is_some(),
                false => !ends.contains(&Some(array)) || memlet.is_empty() || memlet.other_subset.is_some(),
            };
            for subset in subsets_of(&mut memlet, ends, array) {
                let range = subset.ranges.get(dim)?;
                let [first, last] = [range.start, range.end].map(|end| value_of(program, args, end));
                let index = usize::try_from(first.filter(|_| first == last)?).ok()?;
                if *only.get_or_insert(index) != index {
                    return None;
                }
            }
            if !is_part {
                return None;
            }
        }
    }
    Some(only.unwrap_or(0))
}

/// The containers at both ends of every edge of a state.
fn ends_of(state: &State) -> Vec<[Option<Name>; 2]> {
    let data = |node: NodeId| match state.nodes.get(node).map(|node| &node.kind) {
        Some(NodeKind::Access { data, .. }) => Some(*data),
        _ => None,
    };
    state.edges.values().map(|edge| [data(edge.src), data(edge.dst)]).collect()
}

/// The subsets of a memlet that are of an array.
fn subsets_of(
    memlet: &mut Memlet,
    ends: [Option<Name>; 2],
    array: Name,
) -> impl Iterator<Item = &mut Subset> {
    let named = memlet.data == Some(array);
    let other = match named {
        true => ends == [Some(array); 2],
        false => ends.contains(&Some(array)),
    };
    let subset = memlet.subset.as_mut().filter(|_| named);
    subset.into_iter().chain(memlet.other_subset.as_mut().filter(|_| other))
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
        args.insert_array(name, Type::Scalar(to), to.bytes(), old.shape(), dense(&old, to)?);
    }
    Some(Failing { program, args })
}

/// The elements one after another, as numbers of a type.
fn dense(view: &View<'_>, to: DType) -> Option<Vec<u8>> {
    let mut bytes = vec![0; view.len() * to.bytes()];
    for (place, value) in bytes.chunks_exact_mut(to.bytes()).zip(view.scalars()) {
        arith::cast(to, value?).write_le_bytes(place);
    }
    Some(bytes)
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
