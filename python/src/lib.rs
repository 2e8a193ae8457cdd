//! The compiled part of the Python package: programs on NumPy arrays.
//!
//! Arrays are used where they lie, overlapping ones included, and the GIL is released while a program runs.

mod arrays;
mod device;
mod gtir;
mod numbers;
mod position;
mod program;
mod workspace;

use pelton::diag::Diagnostic;
use pelton::exec::{Engine, Mode};
use pyo3::prelude::*;

/// Passes over graphs and code make many small things that live shortly.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pyo3::create_exception!(
    _pelton,
    PeltonError,
    pyo3::exceptions::PyRuntimeError,
    "A refused program or argument, or a fault of the program; the text names program, field and place."
);

/// A diagnostic as a Python exception, with its code, place and help in the text.
pub(crate) fn raise(error: &Diagnostic) -> PyErr {
    PeltonError::new_err(error.to_string())
}

/// The engine of that name.
pub(crate) fn engine(name: &str) -> PyResult<Engine> {
    name.parse().map_err(|error: String| pyo3::exceptions::PyValueError::new_err(error))
}

/// The mode of that name.
pub(crate) fn mode(name: &str) -> PyResult<Mode> {
    name.parse().map_err(|error: String| pyo3::exceptions::PyValueError::new_err(error))
}

/// Raises `ValueError` unless there is an engine of that name.
#[pyfunction]
fn check_engine(name: &str) -> PyResult<()> {
    engine(name).map(|_| ())
}

/// The version of the package.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[pymodule]
fn _pelton(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PeltonError", module.py().get_type::<PeltonError>())?;
    module.add_class::<gtir::GtirProgram>()?;
    module.add_class::<program::Program>()?;
    module.add_class::<workspace::Workspace>()?;
    module.add_class::<device::DeviceArray>()?;
    module.add_function(wrap_pyfunction!(device::synchronize, module)?)?;
    module.add_function(wrap_pyfunction!(version, module)?)?;
    module.add_function(wrap_pyfunction!(check_engine, module)?)
}
