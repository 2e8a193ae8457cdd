//! Questions about strided arrays in byte buffers, and how an array that is given meets its declaration.

use crate::diag::Diagnostic;
use crate::scalar::{StructTable, Type};

/// An array as the program declares it, with the values of its symbols.
pub(crate) struct Declared<'d> {
    /// Its name.
    pub name: &'d str,
    /// Element type.
    pub ty: Type,
    /// Extent per dimension.
    pub shape: &'d [i64],
    /// Distance per dimension, in bytes.
    pub strides: &'d [i64],
    /// Whether it has one dimension, whose extent the program gives as a number.
    pub literal: bool,
}

/// How a given array serves as the declared one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fit {
    /// Its memory is used as it is.
    InPlace,
    /// Its memory is used under the declared layout, which has another shape.
    AsMemory,
    /// It has another extent than the number that the program gives, which is what the caller happened to
    /// pass when the program was made. Its memory is used as it is, if the distances agree.
    Extent {
        /// Whether they do.
        in_place: bool,
    },
    /// Its elements are copied to the declared layout, and back when the run ends.
    Copy,
}

impl Declared<'_> {
    /// How an array of that type, shape and strides (in bytes) serves.
    ///
    /// # Errors
    /// `P0403` for another element type, `P0402` for another shape.
    pub fn fit(
        &self,
        ty: Type,
        shape: &[usize],
        strides: &[isize],
        structs: &StructTable,
    ) -> Result<Fit, Diagnostic> {
        let item = self.ty.bytes(structs);
        let given_item = ty.bytes(structs);
        // Numbers given for vectors.
        let spread = matches!((self.ty, ty), (Type::Vector(a, _), Type::Scalar(b)) if a == b);
        if !spread && !compatible(self.ty, ty, item, given_item) {
            return Err(Diagnostic::error("P0403", format!("argument `{}` has the wrong type", self.name))
                .with_note(format!("expected {:?}, found {ty:?}", self.ty)));
        }
        let same = self.shape.len() == shape.len()
            && self.shape.iter().zip(shape).all(|(&a, &b)| i64::try_from(b) == Ok(a));
        let strides_agree = || {
            self.shape
                .iter()
                .zip(self.strides)
                .zip(strides)
                .all(|((&extent, &stride), &given)| extent <= 1 || i64::try_from(given) == Ok(stride))
        };
        if same && !spread {
            return Ok(if strides_agree() { Fit::InPlace } else { Fit::Copy });
        }
        let ones = self.shape.iter().all(|&extent| extent == 1) && shape.iter().all(|&extent| extent == 1);
        if ones {
            return Ok(Fit::InPlace);
        }
        let dense = is_dense(shape, strides, given_item);
        let given_bytes = shape.iter().try_fold(given_item, |bytes, &extent| bytes.checked_mul(extent));
        let given_bytes = given_bytes.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(i64::MAX);
        let expected_bytes =
            self.shape.iter().try_fold(item as i64, |bytes, &extent| bytes.checked_mul(extent));
        if spread && dense && Some(given_bytes) == expected_bytes {
            return Ok(Fit::InPlace);
        }
        // A declared layout with gaps covers the caller's array as memory; a longer array is taken in part.
        let declared_dense =
            self.shape.iter().zip(self.strides).rev().try_fold(item as i64, |dense, (&extent, &stride)| {
                (extent <= 1 || stride == dense).then(|| dense.saturating_mul(extent))
            });
        let last = self.shape.iter().zip(self.strides).fold(0i64, |sum, (&extent, &stride)| {
            sum.saturating_add((extent - 1).max(0).saturating_mul(stride.max(0)))
        });
        if declared_dense.is_none() && dense && given_bytes >= last.saturating_add(item as i64) {
            return Ok(Fit::AsMemory);
        }
        if self.literal && shape.len() == 1 {
            return Ok(Fit::Extent { in_place: strides_agree() });
        }
        Err(Diagnostic::error("P0402", format!("argument `{}` has the wrong shape", self.name))
            .with_note(format!("expected {:?}, found {shape:?}", self.shape)))
    }
}

/// The same type, or one that NumPy has no name for under the name of its bits.
fn compatible(expected: Type, given: Type, item: usize, given_item: usize) -> bool {
    use crate::scalar::DType::{BF16, Bool, F8E4M3, F8E5M2, F16, I8, I16, U8, U16};
    if expected == given {
        return true;
    }
    match (expected, given) {
        (Type::Scalar(F8E4M3 | F8E5M2 | Bool), Type::Scalar(U8 | I8 | Bool)) => true,
        (Type::Scalar(BF16 | F16), Type::Scalar(U16 | I16)) => true,
        (Type::Scalar(U8), Type::Scalar(Bool)) => true,
        (Type::Struct(_) | Type::Opaque(_) | Type::Vector(..), Type::Struct(_) | Type::Opaque(_)) => {
            given_item == item
        }
        _ => false,
    }
}

/// Whether elements follow each other in row-major order without gaps; strides in bytes.
fn is_dense(shape: &[usize], strides: &[isize], item: usize) -> bool {
    let mut stride = item;
    for (&extent, &given) in shape.iter().zip(strides).rev() {
        if extent > 1 && usize::try_from(given) != Ok(stride) {
            return false;
        }
        stride = stride.saturating_mul(extent);
    }
    true
}

/// Whether every element lies inside a buffer of `length` bytes.
pub(crate) fn fits_buffer(
    offset: usize,
    shape: &[usize],
    strides: &[isize],
    item: usize,
    length: usize,
) -> bool {
    if shape.contains(&0) {
        return true;
    }
    let (mut low, mut high) = (offset as i128, offset as i128 + item as i128);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = (extent as i128 - 1) * stride as i128;
        if reach < 0 { low += reach } else { high += reach }
    }
    low >= 0 && high <= length as i128
}
