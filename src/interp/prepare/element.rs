//! Elements as runs of plain numbers.

use crate::diag::Diagnostic;
use crate::interp::plan::Element;
use crate::scalar::{DType, StructField, StructTable, Type};

/// Numbers one element may hold.
const MAX_LEAVES: usize = 1 << 16;

/// The numbers of an element of type `ty`. Opaque things count as one 64-bit number.
pub(super) fn element(ty: Type, structs: &StructTable) -> Result<Element, Diagnostic> {
    if let Type::Scalar(dtype) = ty {
        return Ok(Element { bytes: dtype.bytes(), leaves: Box::new([(dtype, 0)]) });
    }
    let mut leaves = Vec::new();
    // A record that contains itself can grow neither list: with one field, the stack stays at one entry for
    // ever. A chain of records without repetition is at most as long as the table.
    let mut stack = vec![(ty, 0_usize, 0_usize)];
    while let Some((ty, offset, depth)) = stack.pop() {
        if depth > structs.len() {
            return Err(Diagnostic::error("P0202", "a record type contains itself"));
        }
        match ty {
            Type::Scalar(dtype) => leaves.push((dtype, offset)),
            Type::Vector(dtype, lanes) => {
                leaves.extend(
                    (0..lanes as usize).map(|lane| (dtype, offset.saturating_add(lane * dtype.bytes()))),
                );
            }
            Type::Struct(id) => {
                let def = structs
                    .get(id)
                    .ok_or_else(|| Diagnostic::error("P0202", format!("there is no record type {id}")))?;
                let inner = |field: &StructField| (field.ty, offset.saturating_add(field.offset), depth + 1);
                stack.extend(def.fields.iter().rev().map(inner));
            }
            Type::Opaque(_) => leaves.push((DType::I64, offset)),
        }
        if leaves.len() > MAX_LEAVES || stack.len() > MAX_LEAVES {
            return Err(Diagnostic::error("P0202", "an element holds too many numbers")
                .with_note(format!("the interpreter takes {MAX_LEAVES}")));
        }
    }
    let bytes = match ty {
        Type::Struct(id) => structs.get(id).map_or(0, |def| def.bytes),
        ty => ty.bytes(structs),
    };
    Ok(Element { bytes, leaves: leaves.into_boxed_slice() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::Names;
    use crate::scalar::StructDef;

    #[test]
    fn a_record_that_contains_itself_is_refused() {
        let mut names = Names::default();
        let (name, field) = (names.intern("loop"), names.intern("again"));
        let mut structs = StructTable::default();
        let def = |ty| StructDef { name, fields: vec![StructField { name: field, ty, offset: 0 }], bytes: 8 };
        let id = structs.push(def(Type::Scalar(DType::F64)));
        assert_eq!(element(Type::Struct(id), &structs).unwrap().leaves, [(DType::F64, 0)].into());
        structs[id] = def(Type::Struct(id));
        let refused = element(Type::Struct(id), &structs).unwrap_err();
        assert_eq!(refused.code, "P0202");
    }
}
