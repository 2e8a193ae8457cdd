//! Arguments of a call: which bytes of the caller the kernel works on.
//!
//! An argument that has the declared strides is used in place. Any other is copied, element by element, to memory of
//! the declared layout, and back when the run ends. Scalars are passed by value.

use crate::diag::Diagnostic;
use crate::kernel::lower::ArrayArgument;
use crate::memory::{Arguments, Binding, BufferId, fits_buffer, is_dense};
use crate::scalar::{DType, Scalar, StructTable, Type, arith};
use crate::symbolic::EvalError;

use super::call::Block;
use super::program::CompiledLayout;

/// One argument of a call, bound.
pub(super) enum Bound {
    /// The caller's bytes, from an offset.
    InPlace(BufferId, usize),
    /// Our own bytes.
    Own(Block),
    /// A copy of the caller's array in the declared layout.
    Copied { block: Block, caller: Walk, own: Walk, buffer: BufferId, written: bool },
}

/// Element offsets of an array in row-major order.
#[derive(Clone)]
pub(super) struct Walk {
    base: i64,
    dims: Vec<(i64, i64)>,
    item: usize,
}

impl Bound {
    pub fn address(&mut self, args: &mut Arguments<'_>) -> *mut u8 {
        match self {
            Bound::InPlace(buffer, offset) => match args.buffers.get_mut(*buffer) {
                Some(buffer) => buffer.bytes_mut().as_mut_ptr().wrapping_add(*offset),
                None => std::ptr::null_mut(),
            },
            Bound::Own(block) | Bound::Copied { block, .. } => block.address(),
        }
    }

    /// Copies results back to the caller's layout.
    pub fn finish(self, args: &mut Arguments<'_>) {
        let Bound::Copied { block, caller, own, buffer, written: true } = self else { return };
        let Some(buffer) = args.buffers.get_mut(buffer) else { return };
        exchange(block.bytes(), &own, buffer.bytes_mut(), &caller);
    }
}

pub(super) fn bind(
    array: &ArrayArgument,
    name: &str,
    layout: &CompiledLayout,
    slots: &[i64],
    args: &Arguments<'_>,
    structs: &StructTable,
) -> Result<Bound, Diagnostic> {
    let item = array.ty.bytes(structs);
    if array.scalar {
        return scalar(array, name, args, item);
    }
    let eval = |exprs: &[crate::symbolic::CompiledExpr]| -> Result<Vec<i64>, Diagnostic> {
        exprs
            .iter()
            .map(|expr| {
                expr.eval(slots, &mut |name, _| Err(EvalError::Unknown(name))).map_err(|error| {
                    Diagnostic::error(
                        "P0406",
                        format!("the shape of argument `{name}` is not known: {error}"),
                    )
                })
            })
            .collect()
    };
    let shape = eval(&layout.shape)?;
    let strides = eval(&layout.strides)?;
    let reach = reach(&shape, &strides).ok_or_else(|| {
        Diagnostic::error("P0402", format!("argument `{name}` is declared with an impossible shape"))
            .with_note(format!("shape {shape:?}, strides {strides:?}"))
    })?;
    let (buffer, offset, ty, given, given_strides) = match args.get(name) {
        // Who reads an argument that is absent sees zeros.
        None | Some(Binding::Absent) => {
            let bytes = usize::try_from(reach).ok().and_then(|reach| reach.checked_mul(item));
            return match bytes.and_then(Block::new) {
                Some(block) => Ok(Bound::Own(block)),
                None => Err(Diagnostic::error("P0407", format!("no memory in place of argument `{name}`"))),
            };
        }
        Some(Binding::Scalar(value)) => {
            let Type::Scalar(dtype) = array.ty else { return Err(mismatch(name)) };
            if shape.iter().any(|&extent| extent != 1) {
                return Err(mismatch(name));
            }
            return number(*value, dtype, name, item);
        }
        Some(Binding::Array { buffer, offset, ty, shape, strides }) => {
            (*buffer, *offset, *ty, shape, strides)
        }
    };
    let spread = matches!((array.ty, ty), (Type::Vector(a, _), Type::Scalar(b)) if a == b);
    let given_item = ty.bytes(structs);
    if !spread && !compatible(array.ty, ty, item, given_item) {
        return Err(mismatch(name).with_note(format!("expected {:?}, found {ty:?}", array.ty)));
    }
    let ones = shape.iter().all(|&extent| extent == 1) && given.iter().all(|&extent| extent == 1);
    let same =
        shape.len() == given.len() && shape.iter().zip(given).all(|(&a, &b)| i64::try_from(b) == Ok(a));
    let given_bytes = given.iter().try_fold(given_item, |bytes, &extent| bytes.checked_mul(extent));
    let own_bytes = shape.iter().try_fold(item as i64, |bytes, &extent| bytes.checked_mul(extent));
    let spread_fits = spread
        && is_dense(given, given_strides, given_item)
        && given_bytes.and_then(|bytes| i64::try_from(bytes).ok()) == own_bytes;
    if !same && !ones && !spread_fits {
        return Err(Diagnostic::error("P0402", format!("argument `{name}` has the wrong shape"))
            .with_note(format!("expected {shape:?}, found {given:?}")));
    }
    let length = args.buffers.get(buffer).map_or(0, |buffer| buffer.bytes().len());
    if !fits_buffer(offset, given, given_strides, given_item, length) {
        return Err(Diagnostic::error("P0405", format!("argument `{name}` reaches outside its buffer"))
            .with_note(format!(
                "{length} bytes, offset {offset}, shape {given:?}, strides {given_strides:?}"
            )));
    }
    let in_place = ones
        || spread_fits
        || shape.iter().zip(&strides).zip(given_strides).all(|((&extent, &stride), &given)| {
            extent <= 1 || i64::try_from(given) == Ok(stride.wrapping_mul(item as i64))
        });
    if in_place {
        return Ok(Bound::InPlace(buffer, offset));
    }
    let bytes = usize::try_from(reach).ok().and_then(|reach| reach.checked_mul(item));
    let Some(mut block) = bytes.and_then(Block::new) else {
        return Err(Diagnostic::error("P0407", format!("no memory for a copy of argument `{name}`")));
    };
    let caller = Walk {
        base: offset as i64,
        dims: given
            .iter()
            .zip(given_strides)
            .map(|(&extent, &stride)| (extent as i64, stride as i64))
            .collect(),
        item,
    };
    let own = Walk {
        base: 0,
        dims: shape.iter().zip(&strides).map(|(&extent, &stride)| (extent, stride * item as i64)).collect(),
        item,
    };
    if let Some(buffer) = args.buffers.get(buffer) {
        exchange(buffer.bytes(), &caller, block.bytes_mut(), &own);
    }
    Ok(Bound::Copied { block, caller, own, buffer, written: array.written })
}

/// Elements between the first and the last one, inclusive, if that is sane.
fn reach(shape: &[i64], strides: &[i64]) -> Option<i64> {
    if shape.len() != strides.len() || shape.iter().chain(strides).any(|&number| number < 0) {
        return None;
    }
    if shape.contains(&0) {
        return Some(0);
    }
    let mut last = 0i64;
    for (&extent, &stride) in shape.iter().zip(strides) {
        last = last.checked_add((extent - 1).checked_mul(stride)?)?;
    }
    last.checked_add(1)
}

/// A scalar container: its own bytes.
fn scalar(array: &ArrayArgument, name: &str, args: &Arguments<'_>, item: usize) -> Result<Bound, Diagnostic> {
    match (array.ty, args.get(name)) {
        (_, None | Some(Binding::Absent)) => own_bytes(&vec![0; item], name),
        (Type::Scalar(dtype), _) => match crate::interp::scalar_argument(args, name) {
            Some(value) => number(value, dtype, name, item),
            None => Err(mismatch(name)),
        },
        (_, Some(Binding::Array { buffer, offset, .. })) => {
            let source = args.buffers.get(*buffer).map(|buffer| buffer.bytes());
            match source.and_then(|source| source.get(*offset..offset.saturating_add(item))) {
                Some(source) => own_bytes(source, name),
                None => Err(mismatch(name)),
            }
        }
        (_, Some(_)) => Err(mismatch(name)),
    }
}

fn number(value: Scalar, dtype: DType, name: &str, item: usize) -> Result<Bound, Diagnostic> {
    let value = crate::interp::convert_scalar(value, dtype, name)?;
    let mut bytes = vec![0; item];
    arith::cast(dtype, value).write_le_bytes(&mut bytes);
    own_bytes(&bytes, name)
}

fn own_bytes(bytes: &[u8], name: &str) -> Result<Bound, Diagnostic> {
    match Block::new(bytes.len()) {
        Some(mut block) => {
            block.bytes_mut().copy_from_slice(bytes);
            Ok(Bound::Own(block))
        }
        None => Err(Diagnostic::error("P0407", format!("no memory for argument `{name}`"))),
    }
}

/// Copies elements between two layouts.
fn exchange(source: &[u8], from: &Walk, target: &mut [u8], to: &Walk) {
    let (mut read, mut write) = (from.offsets(), to.offsets());
    while let (Some(read), Some(write)) = (read.next(), write.next()) {
        let from = usize::try_from(read).ok().and_then(|at| source.get(at..at.saturating_add(from.item)));
        let to = usize::try_from(write).ok().and_then(|at| target.get_mut(at..at.saturating_add(to.item)));
        if let (Some(from), Some(to)) = (from, to) {
            to.copy_from_slice(from);
        }
    }
}

impl Walk {
    fn offsets(&self) -> impl Iterator<Item = i64> {
        let mut at = vec![0i64; self.dims.len()];
        let mut offset = self.base;
        let mut done = self.dims.iter().any(|&(count, _)| count <= 0);
        std::iter::from_fn(move || {
            if done {
                return None;
            }
            let present = offset;
            done = true;
            for (&(count, stride), at) in self.dims.iter().zip(at.iter_mut()).rev() {
                *at += 1;
                if *at < count {
                    offset += stride;
                    done = false;
                    break;
                }
                offset -= stride * (*at - 1);
                *at = 0;
            }
            Some(present)
        })
    }
}

/// The same type, or one that NumPy has no name for under the name of its bits.
fn compatible(expected: Type, given: Type, item: usize, given_item: usize) -> bool {
    use DType::{BF16, Bool, F8E4M3, F8E5M2, F16, I8, I16, U8, U16};
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

fn mismatch(name: &str) -> Diagnostic {
    Diagnostic::error("P0403", format!("argument `{name}` has the wrong type"))
}
