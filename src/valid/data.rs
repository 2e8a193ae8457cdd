//! Containers: shapes, strides, sizes.

use crate::diag::Diagnostic;
use crate::ir::{Array, Data, DataKind, Graph};
use crate::symbolic::ExprId;

use super::names::{Scope, check_size};
use super::{NESTING_LIMIT, Validator};

/// Checks all containers of a graph.
pub(super) fn check(validator: &mut Validator<'_>, graph: &Graph, scope: &Scope) {
    for (&name, data) in &graph.data {
        validator.place.push(format!("container `{}`", validator.text(name)));
        container(validator, data, scope, 0);
        validator.place.pop();
    }
}

fn container(validator: &mut Validator<'_>, data: &Data, scope: &Scope, depth: usize) {
    if depth > NESTING_LIMIT {
        return validator.error("P0103", format!("containers nest more than {NESTING_LIMIT} deep"));
    }
    match &data.kind {
        DataKind::Scalar(_) => {}
        DataKind::Array(array) | DataKind::View(array) | DataKind::Reference(array) => {
            layout(validator, array, scope);
        }
        DataKind::Stream(stream) => {
            sizes(validator, &stream.shape, scope);
            count(validator, "offset", stream.offset.len(), stream.shape.len());
        }
        DataKind::Structure(structure)
        | DataKind::StructureView(structure)
        | DataKind::StructureReference(structure) => {
            for (index, (name, member)) in structure.members.iter().enumerate() {
                let text = validator.text(*name);
                validator.place.push(format!("member `{text}`"));
                if structure.members.iter().take(index).any(|(other, _)| other == name) {
                    validator.error("P0114", format!("two members are called `{text}`"));
                }
                member_sizes(validator, member, depth + 1);
                validator.place.pop();
            }
        }
        DataKind::ContainerArray { array, element }
        | DataKind::ContainerView { array, element }
        | DataKind::ContainerReference { array, element } => {
            layout(validator, array, scope);
            member_sizes(validator, element, depth + 1);
        }
    }
}

/// Members may have sizes in symbols of their own structure, so names are not checked.
fn member_sizes(validator: &mut Validator<'_>, data: &Data, depth: usize) {
    if depth > NESTING_LIMIT {
        return validator.error("P0103", format!("containers nest more than {NESTING_LIMIT} deep"));
    }
    match &data.kind {
        DataKind::Array(array) | DataKind::View(array) | DataKind::Reference(array) => {
            ranks(validator, array)
        }
        DataKind::Structure(structure)
        | DataKind::StructureView(structure)
        | DataKind::StructureReference(structure) => {
            for (_, member) in &structure.members {
                member_sizes(validator, member, depth + 1);
            }
        }
        DataKind::ContainerArray { array, element }
        | DataKind::ContainerView { array, element }
        | DataKind::ContainerReference { array, element } => {
            ranks(validator, array);
            member_sizes(validator, element, depth + 1);
        }
        DataKind::Scalar(_) | DataKind::Stream(_) => {}
    }
}

fn ranks(validator: &mut Validator<'_>, array: &Array) {
    if array.strides.len() != array.shape.len() {
        let text = format!("{} strides for {} dimensions", array.strides.len(), array.shape.len());
        validator.error("P0106", text);
    }
    count(validator, "offset", array.offset.len(), array.shape.len());
}

fn count(validator: &mut Validator<'_>, what: &str, found: usize, rank: usize) {
    if found != 0 && found != rank {
        validator.error("P0106", format!("{found} entries of {what} for {rank} dimensions"));
    }
}

fn sizes(validator: &mut Validator<'_>, shape: &[ExprId], scope: &Scope) {
    let zero = validator.exprs.int(0);
    for (dimension, &extent) in shape.iter().enumerate() {
        check_size(validator, scope, extent, &|| format!("shape, dimension {dimension}"));
        if validator.less_than(extent, zero) {
            validator.error("P0206", format!("dimension {dimension} has a negative size"));
        }
    }
}

fn layout(validator: &mut Validator<'_>, array: &Array, scope: &Scope) {
    ranks(validator, array);
    sizes(validator, &array.shape, scope);
    let rest = array.strides.iter().chain(&array.total_size).chain(&array.start_offset).chain(&array.offset);
    for &expr in rest {
        check_size(validator, scope, expr, &|| "strides and sizes".to_owned());
    }
    let Some(total) = array.total_size.filter(|_| array.strides.len() == array.shape.len()) else { return };
    // Where element (n-1, m-1, ...) lies; only sound if all strides go forward and no extent is zero.
    let one = validator.exprs.int(1);
    let zero = validator.exprs.int(0);
    let mut needed = array.start_offset.map_or(one, |start| validator.exprs.add(start, one));
    for (&extent, &stride) in array.shape.iter().zip(&array.strides) {
        if !validator.at_most(zero, stride) || !validator.at_most(one, extent) {
            return;
        }
        let exprs = &mut validator.exprs;
        let last = exprs.sub(extent, one);
        let step = exprs.mul(last, stride);
        needed = exprs.add(needed, step);
    }
    if array.offset.is_empty() && validator.less_than(total, needed) {
        let finding = Diagnostic::error("P0205", "the allocation is smaller than its elements need")
            .with_help("total size is at least 1 + the sum of (extent - 1) * stride");
        validator.report(finding);
    }
}
