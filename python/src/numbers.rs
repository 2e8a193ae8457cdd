//! Numbers of Python and NumPy.

use pelton::exec::bind::converted;
use pelton::scalar::{DType, Scalar};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt};

use crate::arrays::type_name;
use crate::{PeltonError, raise};

/// How an object of some type says its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Through its truth value.
    Bool,
    /// As an integer.
    Integer,
    /// As a floating-point number.
    Float,
    /// As a complex number.
    Complex,
}

/// How objects of this one's type say their number, if they do. Arrays without dimensions do too, and what converts itself
/// to an integer or a float.
pub(crate) fn kind(value: &Bound<'_, PyAny>) -> Option<Kind> {
    if value.cast::<PyBool>().is_ok() {
        return Some(Kind::Bool);
    }
    if value.cast::<PyInt>().is_ok() {
        return Some(Kind::Integer);
    }
    // `numpy.float64` and `numpy.complex128` derive from Python's.
    if value.cast::<PyFloat>().is_ok() {
        return Some(Kind::Float);
    }
    if value.cast::<PyComplex>().is_ok() {
        return Some(Kind::Complex);
    }
    if !value.hasattr("ndim").ok()? {
        // SymPy's numbers, and whoever else takes part in Python's number protocol.
        let says = |name| value.get_type().hasattr(name).unwrap_or(false);
        return match () {
            () if says("__index__") => Some(Kind::Integer),
            () if says("__float__") => Some(Kind::Float),
            () => None,
        };
    }
    let rank: usize = value.getattr("ndim").ok()?.extract().ok()?;
    let kind: String = value.getattr("dtype").ok()?.getattr("kind").ok()?.extract().ok()?;
    match (rank, kind.as_str()) {
        (0, "b") => Some(Kind::Bool),
        (0, "i" | "u") => Some(Kind::Integer),
        (0, "f") => Some(Kind::Float),
        (0, "c") => Some(Kind::Complex),
        _ => None,
    }
}

/// The number that an object says in that way.
pub(crate) fn read(kind: Kind, value: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    Ok(match kind {
        Kind::Bool => Scalar::Bool(value.is_truthy()?),
        Kind::Integer => match value.extract::<i64>() {
            Ok(value) => Scalar::I64(value),
            Err(_) => Scalar::U64(value.extract()?),
        },
        Kind::Float => Scalar::F64(value.extract()?),
        Kind::Complex => {
            let part = |name| -> PyResult<f64> { value.getattr(name)?.extract() };
            Scalar::C128(num_complex::Complex64::new(part("real")?, part("imag")?))
        }
    })
}

/// A Python or NumPy number.
pub(crate) fn number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Scalar> {
    let kind = kind(value).ok_or_else(|| {
        PeltonError::new_err(format!("argument `{name}` is no number (found {})", type_name(value)))
    })?;
    read(kind, value)
}

/// The number in the type that the program declares.
pub(crate) fn declared(name: &str, value: Scalar, dtype: DType) -> PyResult<Scalar> {
    if value.dtype() == dtype {
        return Ok(value);
    }
    converted(value, dtype).map_err(|error| raise(&error.at(format!("argument `{name}`"))))
}
