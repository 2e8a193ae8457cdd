//! Program files called with NumPy arrays.

use std::path::Path;
use std::sync::Arc;

use numpy::{PyUntypedArray, PyUntypedArrayMethods};
use pelton::diag::Diagnostic;
use pelton::exec::settings::Wishes;
use pelton::exec::{Engine, Options, Outcome, Prepared, Settings, load};
use pelton::memory::Arguments;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{self, Raw};
use crate::device::DeviceArray;
use crate::numbers::number;
use crate::position::Positions;
use crate::{PeltonError, raise};

/// A program file, made ready for an engine.
#[pyclass(frozen)]
pub(crate) struct Program {
    prepared: Prepared,
    checked: bool,
}

#[pymethods]
impl Program {
    #[new]
    #[pyo3(signature = (path, *, engine="auto", mode="strict", threads=None, checked=false, allow_f32=false))]
    fn new(
        path: &str,
        engine: &str,
        mode: &str,
        threads: Option<usize>,
        checked: bool,
        allow_f32: bool,
    ) -> PyResult<Self> {
        let engine = crate::engine(engine)?;
        let gpu = Wishes { allow_f32, ..Wishes::default() };
        let settings = Settings { mode: crate::mode(mode)?, threads, gpu, ..Settings::default() };
        let loaded = load(Path::new(path)).map_err(|error| raise(&error))?;
        let prepared = Prepared::with(Arc::new(loaded.program), engine, checked, settings)
            .map_err(|error| raise(&error))?;
        Ok(Self { prepared, checked })
    }

    /// Runs the program; NumPy arrays and device arrays are written in place. `None` is an argument that is
    /// not given.
    #[pyo3(signature = (**arguments))]
    fn __call__(&self, py: Python<'_>, arguments: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let options = Options { checked: self.checked, ..Options::default() };
        let short = arguments.filter(|_| self.prepared.engine() != Engine::Interp);
        if let Some(positions) = short.and_then(|all| Positions::of(&self.prepared, all)) {
            // SAFETY: `arguments` keeps the arrays alive until this function returns, whose layouts were just read; writing
            // them from another thread during a call is the caller's race.
            let outcome = py.detach(|| unsafe { self.prepared.run_given(&positions.given(), &options) });
            return ended(outcome);
        }
        let mut raw = Vec::new();
        let mut numbers = Vec::new();
        let mut resident = Vec::new();
        for (name, value) in arguments.into_iter().flat_map(|arguments| arguments.iter()) {
            let name: String = name.extract()?;
            if value.is_none() {
                continue;
            }
            if let Ok(array) = value.cast::<DeviceArray>() {
                resident.push((name, array.clone()));
                continue;
            }
            match value.cast::<PyUntypedArray>() {
                Ok(array) if array.ndim() > 0 => raw.push(Raw::of(&name, &value)?),
                _ => {
                    let value = number(&name, &value)?;
                    numbers.push((name, value));
                }
            }
        }
        let mut locked = Vec::with_capacity(resident.len());
        for (name, array) in &resident {
            let Ok(guard) = array.get().array.try_lock() else {
                return Err(PeltonError::new_err(format!(
                    "argument `{name}` is a device array that another argument or another call is using"
                )));
            };
            locked.push((name, guard));
        }
        let mut call = Arguments::new();
        for (name, value) in numbers {
            call.insert_scalar(&name, value);
        }
        for (name, array) in &mut locked {
            array.bind(name, &mut call).map_err(|error| raise(&error))?;
        }
        // SAFETY: `arguments` keeps the arrays alive until this function returns; writing them from another
        // thread during a call is the caller's race.
        unsafe { arrays::bind(&raw, &mut call) };
        ended(py.detach(|| self.prepared.run(&mut call, &options)))
    }
}

fn ended(outcome: Result<Outcome, Diagnostic>) -> PyResult<()> {
    match outcome.map_err(|error| raise(&error))? {
        Outcome::Done(_) => Ok(()),
        Outcome::Trap(fault) => Err(raise(&fault.into())),
    }
}
