//! Memory for temporaries as a Python object.

use std::ptr::NonNull;

use pelton::memory::pool;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::PeltonError;
use crate::arrays::{Header, Raw, reach};

/// Memory for temporaries that programs and threads share.
#[pyclass(frozen)]
pub(crate) struct Workspace {
    pub(crate) pool: pool::Workspace,
    /// Keeps the caller's memory alive; programs keep this object.
    _array: Option<Py<PyAny>>,
}

#[pymethods]
impl Workspace {
    #[new]
    #[pyo3(signature = (memory=None))]
    fn new(memory: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let Some(array) = memory else {
            return Ok(Self { pool: pool::Workspace::new(), _array: None });
        };
        let raw = Raw::of("memory", array)?;
        // SAFETY: `Raw::of` has looked that it is an array object.
        let header = unsafe { Header::read(array) };
        let (low, bytes) = reach(&raw.shape, &raw.strides, raw.dtype.bytes());
        let packed = raw.shape.iter().product::<usize>() * raw.dtype.bytes();
        if !header.is_writeable() || bytes != packed {
            return Err(PeltonError::new_err(
                "the memory of a workspace is an array that may be written and has no gaps; \
                 `numpy.empty(bytes, dtype=numpy.uint8)` makes one",
            ));
        }
        let start = NonNull::new(raw.address.wrapping_add_signed(low) as *mut u8);
        let Some(start) = start.filter(|_| bytes > 0) else {
            return Err(PeltonError::new_err("the memory of a workspace is an array without elements"));
        };
        // SAFETY: the array object stays alive as long as this object, and programs keep this object as long as they
        // lease from it. That nobody else uses the memory meanwhile is the caller's promise.
        let pool = unsafe { pool::Workspace::of_memory(start, bytes) };
        Ok(Self { pool, _array: Some(array.clone().unbind()) })
    }

    /// Bytes of the memory given, from its first cache line on; `None` if the workspace grows.
    #[getter]
    fn fixed_bytes(&self) -> Option<u64> {
        self.pool.fixed_bytes()
    }

    /// What the workspace has seen so far.
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let seen = self.pool.statistics();
        let numbers = PyDict::new(py);
        for (name, value) in [
            ("calls", seen.calls),
            ("growths", seen.growths),
            ("failures", seen.failures),
            ("waits", seen.waits),
            ("held", seen.held),
            ("leased", seen.leased),
            ("peak", seen.peak),
        ] {
            numbers.set_item(name, value)?;
        }
        Ok(numbers)
    }

    /// Gives memory that no call uses back to the system; the caller's stays.
    fn trim(&self) {
        self.pool.trim();
    }
}
