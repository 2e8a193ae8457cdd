//! Arguments of a call by position: the short way for calls with what the program asks for and nothing else, which makes
//! no copy of a name and no map.

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pelton::exec::Prepared;
use pelton::memory::{Given, GivenArray, RequiredKind};
use pelton::scalar::{DType, Scalar, Type};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use smallvec::{SmallVec, smallvec};

use crate::arrays::readable;
use crate::numbers::number;

/// What a call brings, in the order in which its program asks for it.
pub(crate) struct Positions {
    slots: SmallVec<[Slot; 16]>,
    /// Extents and distances of all arrays, one after the other.
    extents: SmallVec<[usize; 32]>,
    distances: SmallVec<[isize; 32]>,
}

#[derive(Clone)]
enum Slot {
    Absent,
    Number(Scalar),
    Array { address: usize, ty: DType, dimensions: std::ops::Range<usize> },
}

impl Positions {
    /// Reads the arguments of a call; none if one of them is something else than the program asks for: whoever looks at them
    /// one by one says what is wrong.
    pub fn of(prepared: &Prepared, arguments: &Bound<'_, PyDict>) -> Option<Positions> {
        let (names, required) = (prepared.names(), prepared.required());
        let mut positions = Positions {
            slots: smallvec![Slot::Absent; names.len()],
            extents: SmallVec::new(),
            distances: SmallVec::new(),
        };
        // Callers name their arguments in the program's order more often than not.
        let mut next = 0;
        for (name, value) in arguments.iter() {
            let name = name.cast::<PyString>().ok()?.to_str().ok()?;
            let position = (next..names.len()).chain(0..next).find(|&position| names[position] == name)?;
            next = position + 1;
            let is_array = matches!(required[position].kind, RequiredKind::Array { .. });
            positions.slots[position] = match value.cast::<PyUntypedArray>() {
                Ok(array) if is_array && array.ndim() > 0 => {
                    let (ty, header) = readable(name, array).ok()?;
                    let first = positions.extents.len();
                    positions.extents.extend_from_slice(header.shape);
                    positions.distances.extend_from_slice(header.strides);
                    let dimensions = first..positions.extents.len();
                    Slot::Array { address: header.address as usize, ty, dimensions }
                }
                Err(_) if !is_array && !value.is_none() => Slot::Number(number(name, &value).ok()?),
                _ => return None,
            };
        }
        Some(positions)
    }

    /// The arguments as engines take them.
    pub fn given(&self) -> SmallVec<[Given<'_>; 16]> {
        let given = self.slots.iter().map(|slot| match slot {
            Slot::Absent => Given::Absent,
            Slot::Number(value) => Given::Number(*value),
            Slot::Array { address, ty, dimensions } => Given::Array(GivenArray {
                address: *address as *mut u8,
                ty: Type::Scalar(*ty),
                shape: &self.extents[dimensions.clone()],
                strides: &self.distances[dimensions.clone()],
            }),
        });
        given.collect()
    }
}
