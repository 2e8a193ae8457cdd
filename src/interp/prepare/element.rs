//! Elements as runs of plain numbers.

use crate::diag::Diagnostic;
use crate::interp::plan::Element;
use crate::scalar::{DType, StructTable, Type};

/// Numbers one element may hold.
const MAX_LEAVES: usize = 1 << 16;

/// The numbers of an element of type `ty`. Opaque things count as one 64-bit number.
pub(super) fn element(ty: Type, structs: &StructTable) -> Result<Element, Diagnostic> {
    if let Type::Scalar(dtype) = ty {
        return Ok(Element { bytes: dtype.bytes(), leaves: Box::new([(dtype, 0)]) });
    }
    let mut leaves = Vec::new();
    // A record type cannot contain itself (the table is filled inside out), but a malformed table could say so.
    let mut stack = vec![(ty, 0_usize)];
    while let Some((ty, offset)) = stack.pop() {
        match ty {
            Type::Scalar(dtype) => leaves.push((dtype, offset)),
            Type::Vector(dtype, lanes) => {
                leaves.extend((0..lanes as usize).map(|lane| (dtype, offset + lane * dtype.bytes())));
            }
            Type::Struct(id) => {
                let def = structs
                    .get(id)
                    .ok_or_else(|| Diagnostic::error("P0202", format!("there is no record type {id}")))?;
                stack.extend(def.fields.iter().rev().map(|field| (field.ty, offset + field.offset)));
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
