//! NumPy arrays as buffers of a call.

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pelton::memory::{Arguments, Binding, Buffer, BufferId};
use pelton::scalar::{DType, Scalar, Type};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt};

use crate::PeltonError;

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
            PeltonError::new_err(format!("argument `{name}` is no NumPy array (found {})", type_name(value)))
        })?;
        let text: String = array.dtype().getattr("name")?.extract()?;
        let dtype = DType::from_name(&text).ok_or_else(|| {
            PeltonError::new_err(format!(
                "argument `{name}` has element type {text}, which Pelton does not know"
            ))
        })?;
        // SAFETY: `as_array_ptr` points to a live array object: `array` holds a reference.
        let address = unsafe { (*array.as_array_ptr()).fields.data } as usize;
        Ok(Raw {
            name: name.to_owned(),
            address,
            dtype,
            shape: array.shape().to_vec(),
            strides: array.strides().to_vec(),
        })
    }

    /// The bytes the array touches, as addresses.
    fn range(&self) -> (usize, usize) {
        let (mut from, mut to) = (self.address, self.address + self.dtype.bytes());
        for (&extent, &stride) in self.shape.iter().zip(&self.strides) {
            if extent == 0 {
                return (self.address, self.address);
            }
            let reach = stride * (extent.cast_signed() - 1);
            if reach < 0 { from -= reach.unsigned_abs() } else { to += reach.unsigned_abs() }
        }
        (from, to)
    }
}

fn type_name(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "something else".to_owned(), |name| name.to_string())
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

/// A Python or NumPy number.
pub(crate) fn number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(Scalar::Bool(value.is_true()));
    }
    if value.cast::<PyInt>().is_ok() {
        if let Ok(value) = value.extract::<i64>() {
            return Ok(Scalar::I64(value));
        }
        return Ok(Scalar::U64(value.extract()?));
    }
    if let Ok(value) = value.cast::<PyFloat>() {
        // `np.float64` is a float as well.
        return Ok(Scalar::F64(value.value()));
    }
    // Other NumPy scalars, and arrays of one element, convert themselves.
    if let Ok(item) = value.call_method0("item")
        && !item.is(value)
    {
        return number(name, &item);
    }
    Err(PeltonError::new_err(format!("argument `{name}` is no number (found {})", type_name(value))))
}
