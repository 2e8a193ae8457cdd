//! Arguments by position and address, from arguments by name and back.

use smallvec::SmallVec;

use crate::diag::{Diagnostic, Result};
use crate::memory::{
    Arguments, Binding, Buffer, Given, GivenArray, Required, RequiredKind, fits_buffer, scalar_argument,
};
use crate::scalar::StructTable;

/// The arguments by position, each array inside its buffer.
pub(super) fn given<'a>(
    required: &[Required],
    names: &[String],
    structs: &StructTable,
    args: &'a mut Arguments<'_>,
) -> Result<SmallVec<[Given<'a>; 16]>> {
    // Every buffer is borrowed once: two arguments may lie in one.
    let buffers: SmallVec<[(*mut u8, usize); 16]> = args
        .buffers
        .iter_mut()
        .map(|(_, buffer)| {
            let bytes = buffer.bytes_mut();
            (bytes.as_mut_ptr(), bytes.len())
        })
        .collect();
    let args = &*args;
    let mut given = SmallVec::with_capacity(required.len());
    for (item, name) in required.iter().zip(names) {
        let is_array = matches!(item.kind, RequiredKind::Array { .. } | RequiredKind::Other(_));
        given.push(match args.bindings.get(name) {
            None | Some(Binding::Absent) => Given::Absent,
            Some(Binding::Scalar(value)) => Given::Number(*value),
            Some(Binding::Array { buffer, offset, ty, shape, strides }) => {
                let number = if is_array { None } else { scalar_argument(args, name) };
                match (number, buffers.get(buffer.0 as usize)) {
                    (Some(number), _) => Given::Number(number),
                    (None, Some(&(address, length))) => {
                        let item = ty.bytes(structs);
                        if !fits_buffer(*offset, shape, strides, item, length) {
                            return Err(outside(name, length, *offset, shape, strides));
                        }
                        let address = address.wrapping_add(*offset);
                        Given::Array(GivenArray { address, ty: *ty, shape, strides })
                    }
                    (None, None) => return Err(outside(name, 0, *offset, shape, strides)),
                }
            }
        });
    }
    Ok(given)
}

fn outside(name: &str, length: usize, offset: usize, shape: &[usize], strides: &[isize]) -> Diagnostic {
    Diagnostic::error("P0405", format!("argument `{name}` reaches outside its buffer"))
        .with_note(format!("{length} bytes, offset {offset}, shape {shape:?}, strides {strides:?}"))
}

/// The arguments by name; arrays that share memory lie in one buffer.
///
/// # Safety
/// Each array is memory of its layout that may be read and written as long as the result is used.
pub(super) unsafe fn arguments<'a>(
    names: &[String],
    given: &[Given<'a>],
    structs: &StructTable,
) -> Arguments<'a> {
    let mut args = Arguments::new();
    // First and last address of each array, in order of the first.
    let mut ranges: Vec<(usize, usize, *mut u8)> = given
        .iter()
        .filter_map(|given| {
            let Given::Array(array) = given else { return None };
            let (distance, bytes) = array.reach(array.ty.bytes(structs))?;
            let first = array.address.wrapping_offset(distance);
            Some((first as usize, first as usize + bytes, first))
        })
        .collect();
    ranges.sort_unstable_by_key(|&(first, last, _)| (first, last));
    let mut merged: Vec<(usize, usize, *mut u8)> = Vec::new();
    for (first, last, address) in ranges {
        match merged.last_mut() {
            Some(open) if first < open.1 => open.1 = open.1.max(last),
            _ => merged.push((first, last, address)),
        }
    }
    let mut buffers = Vec::with_capacity(merged.len());
    for &(first, last, address) in &merged {
        // SAFETY: the union of arrays that the caller vouches for; ranges do not overlap after merging.
        let bytes = unsafe { std::slice::from_raw_parts_mut(address, last - first) };
        buffers.push(args.buffers.push(Buffer::Borrowed(bytes)));
    }
    let nothing = args.buffers.push(Buffer::Owned(Vec::new()));
    for (name, given) in names.iter().zip(given) {
        let binding = match given {
            Given::Absent => continue,
            Given::Number(value) => Binding::Scalar(*value),
            Given::Array(array) => {
                let at = array.address as usize;
                let first = array
                    .reach(array.ty.bytes(structs))
                    .map(|(distance, _)| array.address.wrapping_offset(distance) as usize);
                let found = first.and_then(|first| {
                    merged.iter().zip(&buffers).find(|((start, end, _), _)| (*start..*end).contains(&first))
                });
                let (buffer, offset) = match found {
                    Some((&(start, ..), &buffer)) => (buffer, at.wrapping_sub(start)),
                    None => (nothing, 0),
                };
                let (shape, strides) = (array.shape.to_vec(), array.strides.to_vec());
                Binding::Array { buffer, offset, ty: array.ty, shape, strides }
            }
        };
        args.bindings.insert(name.clone(), binding);
    }
    args
}
