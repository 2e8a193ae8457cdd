//! Arrays that stay on the GPU, as Python objects.

use std::sync::{Mutex, PoisonError};

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pelton::exec;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::arrays::Raw;
use crate::{PeltonError, raise};

/// An array that programs with `engine="gpu"` find on the device and leave there; it is copied by `upload` and
/// `download`, and not otherwise.
#[pyclass(frozen)]
pub(crate) struct DeviceArray {
    pub(crate) array: Mutex<exec::DeviceArray>,
    dtype: Py<PyAny>,
}

#[pymethods]
impl DeviceArray {
    /// An array with these elements, uploaded.
    #[new]
    fn new(array: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (raw, packed) = packed(array)?;
        let dtype = packed.getattr("dtype")?.unbind();
        // SAFETY: `packed` is alive, and `Raw` has read its header.
        let bytes = unsafe { elements(&raw) };
        let array = exec::DeviceArray::of(raw.dtype, &raw.shape, bytes).map_err(|error| raise(&error))?;
        Ok(Self { array: Mutex::new(array), dtype })
    }

    /// Replaces all elements by those of an array of the same shape and element type.
    fn upload(&self, array: &Bound<'_, PyAny>) -> PyResult<()> {
        let (raw, _packed) = packed(array)?;
        let mut known = self.array.lock().unwrap_or_else(PoisonError::into_inner);
        if raw.dtype != known.ty() || raw.shape != known.shape() {
            return Err(PeltonError::new_err(format!(
                "an array of {} and shape {:?} cannot replace one of {} and shape {:?}",
                raw.dtype,
                raw.shape,
                known.ty(),
                known.shape()
            )));
        }
        // SAFETY: `_packed` is alive, and `Raw` has read its header.
        known.upload(unsafe { elements(&raw) }).map_err(|error| raise(&error))
    }

    /// The elements as a new NumPy array; waits for what was submitted before.
    fn download<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut known = self.array.lock().unwrap_or_else(PoisonError::into_inner);
        let result = py.import("numpy")?.call_method1("empty", (known.shape().to_vec(), &self.dtype))?;
        let raw = Raw::of("result", &result)?;
        let bytes = known.download().map_err(|error| raise(&error))?;
        // SAFETY: the new array has as many bytes, in rows without gaps, and nobody else knows it yet.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), raw.address as *mut u8, bytes.len()) };
        Ok(result)
    }

    /// What `numpy.asarray` asks for.
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(
        &self,
        py: Python<'py>,
        dtype: Option<&Bound<'py, PyAny>>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if copy == Some(false) {
            return Err(PyValueError::new_err("the elements of a device array are copied to the host"));
        }
        let array = self.download(py)?;
        match dtype {
            Some(dtype) => array.call_method1("astype", (dtype,)),
            None => Ok(array),
        }
    }

    /// The elements in the host's memory, for those who take DLPack.
    #[pyo3(signature = (**options))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.download(py)?.call_method("__dlpack__", (), options)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        // DLPack's number of the host.
        (1, 0)
    }

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.array.lock().unwrap_or_else(PoisonError::into_inner).shape())
    }

    #[getter]
    fn dtype(&self) -> &Py<PyAny> {
        &self.dtype
    }
}

/// An array whose elements lie row by row without gaps: this one, or a copy.
fn packed<'py>(array: &Bound<'py, PyAny>) -> PyResult<(Raw, Bound<'py, PyAny>)> {
    let rank = array.cast::<PyUntypedArray>().map_or(1, PyUntypedArrayMethods::ndim);
    let packed = match rank {
        0 => array.clone(),
        _ => array.py().import("numpy")?.call_method1("ascontiguousarray", (array,))?,
    };
    Ok((Raw::of("array", &packed)?, packed))
}

/// The bytes of a packed array.
///
/// # Safety
/// The array has no gaps, and lives and stays as it is for `'a`.
unsafe fn elements<'a>(raw: &Raw) -> &'a [u8] {
    match raw.shape.iter().product::<usize>() * raw.dtype.bytes() {
        0 => &[],
        // SAFETY: as the caller says.
        bytes => unsafe { std::slice::from_raw_parts(raw.address as *const u8, bytes) },
    }
}

/// Waits until everything that was submitted to the device is done.
#[pyfunction]
pub(crate) fn synchronize(py: Python<'_>) -> PyResult<()> {
    py.detach(exec::synchronize).map_err(|error| raise(&error))
}
