//! NumPy arrays as memory of a call.
//!
//! An array object is read once per call, straight from its header: address, extents, distances. No reference to its
//! memory outlives the call.

use numpy::npyffi::{NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE, PyArrayObject};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pelton::memory::{Arguments, Binding, Buffer, BufferId};
use pelton::scalar::{DType, Type};
use pyo3::prelude::*;

use crate::PeltonError;

/// What the header of an array object says.
#[derive(Clone, Copy)]
pub(crate) struct Header<'a> {
    /// Address of element 0.
    pub address: *mut u8,
    /// Extent per dimension.
    pub shape: &'a [usize],
    /// Distance per dimension, in bytes.
    pub strides: &'a [isize],
    /// The address of the object that describes the element type.
    pub descr: usize,
    /// NumPy's flags.
    pub flags: i32,
}

impl<'a> Header<'a> {
    /// Reads an array object.
    ///
    /// # Safety
    /// The object is an array (its type is `numpy.ndarray` or derived from it), and the GIL is held for `'a`.
    pub unsafe fn read(array: &'a Bound<'_, PyAny>) -> Header<'a> {
        // SAFETY: as the caller says.
        unsafe { Header::at(array.as_ptr()) }
    }

    /// Reads an array object at an address.
    ///
    /// # Safety
    /// As [`Header::read`], and the object lives for `'a`.
    pub unsafe fn at(array: *mut pyo3::ffi::PyObject) -> Header<'a> {
        // SAFETY: an array object starts with these fields, as the caller says.
        let fields = unsafe { &(*array.cast::<PyArrayObject>()).fields };
        let rank = usize::try_from(fields.nd).unwrap_or(0);
        let slice = |start: *mut isize| match rank {
            0 => &[][..],
            // SAFETY: both tables have one entry per dimension and live as long as the array object does not change
            // its shape, which needs the GIL.
            _ => unsafe { std::slice::from_raw_parts(start, rank) },
        };
        let shape: &[isize] = slice(fields.dimensions);
        // SAFETY: extents are never negative, so the bits mean the same.
        let shape = unsafe { std::slice::from_raw_parts(shape.as_ptr().cast::<usize>(), rank) };
        Header {
            address: fields.data.cast(),
            shape,
            strides: slice(fields.strides),
            descr: fields.descr as usize,
            flags: fields.flags,
        }
    }

    /// Whether elements may be written.
    pub fn is_writeable(&self) -> bool {
        self.flags & NPY_ARRAY_WRITEABLE != 0
    }
}

/// Where an array lies.
pub(crate) struct Raw {
    /// Name it is bound to.
    pub name: String,
    /// Address of element 0.
    pub address: usize,
    /// Element type.
    pub dtype: DType,
    /// Extent per dimension.
    pub shape: Vec<usize>,
    /// Distance per dimension, in bytes.
    pub strides: Vec<isize>,
}

impl Raw {
    /// Describes a NumPy array.
    pub fn of(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Raw> {
        let array = value.cast::<PyUntypedArray>().map_err(|_| {
            PeltonError::new_err(format!(
                "argument `{name}` is no NumPy array in this machine's memory (found {})",
                type_name(value)
            ))
        })?;
        let (dtype, header) = readable(name, array)?;
        Ok(Raw {
            name: name.to_owned(),
            address: header.address as usize,
            dtype,
            shape: header.shape.to_vec(),
            strides: header.strides.to_vec(),
        })
    }

    /// The bytes the array touches, as addresses.
    fn range(&self) -> (usize, usize) {
        let (low, bytes) = reach(&self.shape, &self.strides, self.dtype.bytes());
        let from = self.address.wrapping_add_signed(low);
        (from, from.wrapping_add(bytes))
    }
}

/// The type of an array's elements, which the machine can read where they lie, and the array's header.
pub(crate) fn readable<'a>(
    name: &str,
    array: &'a Bound<'_, PyUntypedArray>,
) -> PyResult<(DType, Header<'a>)> {
    let descr = array.dtype();
    let dtype = match own_type(&descr) {
        Some(dtype) => dtype,
        None => {
            let text: String = descr.getattr("name")?.extract()?;
            DType::from_name(&text).ok_or_else(|| {
                PeltonError::new_err(format!(
                    "argument `{name}` has element type {text}, which Pelton does not know"
                ))
            })?
        }
    };
    if descr.is_native_byteorder() == Some(false) {
        return Err(PeltonError::new_err(format!(
            "argument `{name}` has bytes in foreign order; convert it with `array.astype(array.dtype.newbyteorder('='))`"
        )));
    }
    // SAFETY: it is an array.
    let header = unsafe { Header::read(array.as_any()) };
    if header.flags & NPY_ARRAY_ALIGNED == 0 {
        return Err(PeltonError::new_err(format!(
            "argument `{name}` is not aligned to its element type; copy it to an array of its own"
        )));
    }
    Ok((dtype, header))
}

/// Types that NumPy itself has are numbered below this; others come from packages.
const PACKAGES: i32 = 24;

/// An element type of NumPy's own. Its name says the same, but is put together by Python code, which takes longer than all
/// the rest of a call.
fn own_type(descr: &Bound<'_, PyArrayDescr>) -> Option<DType> {
    if descr.num() >= PACKAGES {
        return None;
    }
    Some(match (descr.kind(), descr.itemsize()) {
        (b'b', 1) => DType::Bool,
        (b'i', 1) => DType::I8,
        (b'i', 2) => DType::I16,
        (b'i', 4) => DType::I32,
        (b'i', 8) => DType::I64,
        (b'u', 1) => DType::U8,
        (b'u', 2) => DType::U16,
        (b'u', 4) => DType::U32,
        (b'u', 8) => DType::U64,
        (b'f', 2) => DType::F16,
        (b'f', 4) => DType::F32,
        (b'f', 8) => DType::F64,
        (b'c', 8) => DType::C64,
        (b'c', 16) => DType::C128,
        _ => return None,
    })
}

/// The bytes around all elements of an array: distance from element 0 to the first, and how many.
pub(crate) fn reach(shape: &[usize], strides: &[isize], item: usize) -> (isize, usize) {
    if shape.contains(&0) {
        return (0, 0);
    }
    let (mut low, mut high) = (0isize, item.cast_signed());
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = stride.wrapping_mul(extent.cast_signed() - 1);
        if reach < 0 { low = low.wrapping_add(reach) } else { high = high.wrapping_add(reach) }
    }
    (low, high.wrapping_sub(low).cast_unsigned())
}

/// The name of an object's type.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    value
        .get_type()
        .fully_qualified_name()
        .map_or_else(|_| "something else".to_owned(), |name| name.to_string())
}

/// Adds arrays to a call. Arrays whose bytes overlap share a buffer.
///
/// # Safety
/// The arrays must stay alive and must not be resized while the arguments live, and nobody else may write
/// them meanwhile.
pub(crate) unsafe fn bind<'a>(arrays: &[Raw], arguments: &mut Arguments<'a>) {
    let mut order: Vec<(usize, (usize, usize))> =
        arrays.iter().enumerate().map(|(number, array)| (number, array.range())).collect();
    order.sort_by_key(|&(_, range)| range);
    let mut start = 0;
    while start < order.len() {
        let (from, mut to) = order[start].1;
        let mut stop = start + 1;
        while stop < order.len() && order[stop].1.0 < to {
            to = to.max(order[stop].1.1);
            stop += 1;
        }
        let bytes: &'a mut [u8] = if from == to {
            &mut []
        } else {
            // SAFETY: the range is the union of overlapping live arrays (the caller's promise), and each byte is
            // in exactly one buffer, because the next group starts at or after `to`.
            unsafe { std::slice::from_raw_parts_mut(from as *mut u8, to - from) }
        };
        let buffer = arguments.buffers.push(Buffer::Borrowed(bytes));
        for &(number, _) in &order[start..stop] {
            bind_one(&arrays[number], buffer, from, arguments);
        }
        start = stop;
    }
}

fn bind_one(array: &Raw, buffer: BufferId, from: usize, arguments: &mut Arguments<'_>) {
    let binding = Binding::Array {
        buffer,
        offset: array.address.saturating_sub(from),
        ty: Type::Scalar(array.dtype),
        shape: array.shape.clone(),
        strides: array.strides.clone(),
    };
    arguments.bindings.insert(array.name.clone(), binding);
}
