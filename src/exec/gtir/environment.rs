//! What a call's arguments say before the program is lowered: types, layouts, aliases.

use indexmap::IndexMap;

use crate::diag::Result;
use crate::front::gtir::lower::{Environment, ParamType};
use crate::front::gtir::{self, GtirArg, GtirArgs};
use crate::memory::Binding;
use crate::scalar::{DType, Type};

use super::scalar_value;

/// What the arguments say about types, layouts and aliases.
///
/// # Errors
/// An argument without a binding.
pub fn environment(program: &gtir::Program, args: &GtirArgs<'_>) -> Result<Environment> {
    let mut environment = Environment { column_axis: args.column_axis.clone(), ..Environment::default() };
    environment.connectivities =
        args.connectivities.iter().map(|(name, connectivity)| (name.clone(), connectivity.clone())).collect();
    let mut leaves = Vec::new();
    for param in &program.params {
        let name = program.text(param.name);
        // Static arguments stay parameters, but their values are in the program already.
        let Some(arg) = args.params.get(name) else { continue };
        if let Some(ty) = param_type(arg, args) {
            environment.param_types.push((name.to_owned(), ty));
        }
        collect_leaves(name, arg, args, &mut leaves);
    }
    environment.loop_order = loop_order(&leaves);
    environment.aliases = aliases(&leaves);
    environment.empty = leaves
        .iter()
        .filter(|leaf| matches!(leaf.binding, Binding::Array { shape, .. } if shape.contains(&0)))
        .map(|leaf| leaf.name.clone())
        .collect();
    Ok(environment)
}

fn param_type(arg: &GtirArg, args: &GtirArgs<'_>) -> Option<ParamType> {
    Some(match arg {
        GtirArg::Absent => return None,
        GtirArg::Tuple(elements) => {
            ParamType::Tuple(elements.iter().map(|element| param_type(element, args)).collect::<Option<_>>()?)
        }
        // A program's own type is the one to convert to; only untyped parameters need the value's.
        GtirArg::Scalar { leaf } => ParamType::Scalar(scalar_value(args, leaf)?.dtype()),
        GtirArg::Field { leaf, dims, .. } => match args.memory.get(leaf)? {
            Binding::Array { ty: Type::Scalar(dtype), .. } => ParamType::Field(dims.clone(), *dtype),
            _ => return None,
        },
    })
}

/// A field argument as far as layout matters.
struct Leaf<'l> {
    name: String,
    dims: Vec<&'l str>,
    binding: &'l Binding,
}

fn collect_leaves<'l>(name: &str, arg: &'l GtirArg, args: &'l GtirArgs<'_>, leaves: &mut Vec<Leaf<'l>>) {
    match arg {
        GtirArg::Tuple(elements) => {
            for (number, element) in elements.iter().enumerate() {
                collect_leaves(&format!("{name}_{number}"), element, args, leaves);
            }
        }
        GtirArg::Field { leaf, dims, .. } => {
            if let Some(binding) = args.memory.get(leaf) {
                let dims = dims.iter().map(|(dim, _)| dim.as_str()).collect();
                leaves.push(Leaf { name: name.to_owned(), dims, binding });
            }
        }
        GtirArg::Scalar { .. } | GtirArg::Absent => {}
    }
}

/// Dimensions by their smallest stride, greatest first: loops run fastest where memory is contiguous.
fn loop_order(leaves: &[Leaf<'_>]) -> Vec<String> {
    let mut smallest: IndexMap<&str, usize> = IndexMap::new();
    for leaf in leaves {
        let Binding::Array { shape, strides, .. } = leaf.binding else { continue };
        if shape.iter().filter(|&&extent| extent > 1).count() < 2 {
            // A one-dimensional field is contiguous in its dimension and says nothing about loops.
            continue;
        }
        for (position, &dim) in leaf.dims.iter().enumerate() {
            if let (Some(&extent), Some(stride)) = (shape.get(position), strides.get(position))
                && extent > 1
            {
                let slot = smallest.entry(dim).or_insert(usize::MAX);
                *slot = (*slot).min(stride.unsigned_abs());
            }
        }
    }
    let mut order: Vec<(&str, usize)> = smallest.into_iter().collect();
    order.sort_by_key(|&(_, stride)| std::cmp::Reverse(stride));
    order.into_iter().map(|(dim, _)| dim.to_owned()).collect()
}

/// Pairs of arguments whose bytes overlap.
fn aliases(leaves: &[Leaf<'_>]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (number, a) in leaves.iter().enumerate() {
        for b in &leaves[number + 1..] {
            if let (Some((x, from, to)), Some((y, start, stop))) = (extent(a.binding), extent(b.binding))
                && x == y
                && from < stop
                && start < to
            {
                pairs.push((a.name.clone(), b.name.clone()));
            }
        }
    }
    pairs
}

/// Buffer and byte range a binding touches.
fn extent(binding: &Binding) -> Option<(crate::memory::BufferId, isize, isize)> {
    let Binding::Array { buffer, offset, ty, shape, strides } = binding else { return None };
    let item = ty.scalar().map_or(1, DType::bytes).cast_signed();
    let (mut from, mut to) = (offset.cast_signed(), offset.cast_signed() + item);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = stride.saturating_mul(extent.cast_signed() - 1);
        if extent == 0 {
            return None;
        }
        if reach < 0 { from += reach } else { to += reach }
    }
    Some((*buffer, from, to))
}
