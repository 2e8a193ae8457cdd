//! Values for the arguments of a random program: small numbers, with a few special ones.

use crate::exec::npz::{FileArray, FileArrays, Item};
use crate::scalar::{DType, Scalar, arith};

use super::Choices;
use super::parts::{Container, Extent};

/// Arrays and symbols by name.
pub(super) fn inputs(choices: &mut Choices<'_>, sizes: &[Extent], arguments: &[Container]) -> FileArrays {
    let mut arrays = FileArrays::new();
    // One decision seeds all values, so that bytes are left for the structure.
    let mut values = Choices::from_seed(choices.below(1 << 16) as u64);
    let special = choices.chance(8);
    for container in arguments {
        let shape: Vec<usize> = container.dims.iter().map(|extent| extent.value.max(0) as usize).collect();
        let count: usize = shape.iter().product();
        let mut bytes = Vec::with_capacity(count * container.dtype.bytes());
        for _ in 0..count {
            let value = match &container.table_of {
                Some(extent) => Scalar::I64(values.below(extent.value.max(1) as usize) as i64),
                None => number(&mut values, container.dtype, special),
            };
            let at = bytes.len();
            bytes.resize(at + container.dtype.bytes(), 0);
            arith::cast(container.dtype, value).write_le_bytes(&mut bytes[at..]);
        }
        let item = Item::Number(container.dtype);
        arrays.insert(container.name.clone(), FileArray { item, shape, fortran_order: false, bytes });
    }
    for size in sizes {
        let bytes = size.value.to_le_bytes().to_vec();
        let array =
            FileArray { item: Item::Number(DType::I64), shape: Vec::new(), fortran_order: false, bytes };
        arrays.insert(size.text.clone(), array);
    }
    arrays
}

/// A number of moderate size, exact in the smallest types most of the time.
pub(super) fn number(values: &mut Choices<'_>, dtype: DType, special: bool) -> Scalar {
    if dtype == DType::Bool {
        return Scalar::Bool(values.below(2) == 1);
    }
    if dtype.is_integral() {
        return Scalar::I64(values.below(23) as i64 - 8);
    }
    if special && values.chance(10) {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-310, 1e300];
        return Scalar::F64(odd[values.below(odd.len())]);
    }
    let real = |values: &mut Choices<'_>| match values.below(4) {
        0 => values.below(17) as f64 - 8.0,
        1 => (values.below(129) as f64 - 64.0) / 16.0,
        2 => (values.below(1 << 20) as f64 / f64::from(1 << 20) - 0.5) * 8.0,
        // All bits of the mantissa in use, so that rounding shows.
        _ => ((values.word() >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 8.0,
    };
    let first = real(values);
    if dtype.is_complex() {
        return Scalar::C128(num_complex::Complex64::new(first, real(values)));
    }
    Scalar::F64(first)
}
