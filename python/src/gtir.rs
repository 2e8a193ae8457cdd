//! GTIR programs called with GT4Py's arguments.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indexmap::IndexMap;
use numpy::PyUntypedArray;
use pelton::check::gtir_oracle;
use pelton::exec::gtir::{GtirProgram as Lowered, environment};
use pelton::exec::{Engine, Options, Outcome, Prepared};
use pelton::front::gtir::lower::Environment;
use pelton::front::gtir::{
    Connectivity, DimKind, GtirArg, GtirArgs, Program, Type, TypeId, json, table_name,
};
use pelton::memory::Arguments;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::arrays::{self, Raw};
use crate::{PeltonError, raise};

/// Variants kept per program; the oldest goes first.
const MAX_VARIANTS: usize = 16;

/// A GTIR program; variants for layouts, types and aliases are made on demand.
#[pyclass(frozen)]
pub(crate) struct GtirProgram {
    program: Program,
    connectivities: IndexMap<String, Connectivity>,
    column_axis: Option<String>,
    engine: Engine,
    checked: bool,
    variants: Mutex<Vec<(Environment, Arc<Mutex<Variant>>)>>,
}

struct Variant {
    lowered: Lowered,
    prepared: Prepared,
}

/// Name, source, local and target dimension, number of neighbours, skip value.
type ConnectivityRow = (String, String, String, String, usize, Option<i64>);

#[pymethods]
impl GtirProgram {
    #[new]
    #[pyo3(signature = (gtir, connectivities, column_axis=None, *, engine="auto", checked=false))]
    fn new(
        gtir: &Bound<'_, PyBytes>,
        connectivities: Vec<ConnectivityRow>,
        column_axis: Option<String>,
        engine: &str,
        checked: bool,
    ) -> PyResult<Self> {
        let program = json::read(gtir.as_bytes()).map_err(|error| raise(&error))?;
        let engine: Engine = engine.parse().map_err(PeltonError::new_err)?;
        let connectivities = connectivities
            .into_iter()
            .map(|(name, source, local, target, max_neighbors, skip_value)| {
                (name, Connectivity { source, local, target, max_neighbors, skip_value })
            })
            .collect();
        Ok(Self { program, connectivities, column_axis, engine, checked, variants: Mutex::default() })
    }

    /// Runs the program in place; returns the seconds spent in the engine.
    fn __call__(
        &self,
        py: Python<'_>,
        args: &Bound<'_, PyTuple>,
        tables: &Bound<'_, PyDict>,
    ) -> PyResult<f64> {
        if args.len() != self.program.params.len() {
            return Err(PeltonError::new_err(format!(
                "program `{}` takes {} arguments, {} were given",
                self.program.name,
                self.program.params.len(),
                args.len()
            )));
        }
        let mut call = GtirArgs {
            memory: Arguments::new(),
            params: IndexMap::with_capacity(args.len()),
            connectivities: self.connectivities.clone(),
            column_axis: self.column_axis.clone(),
        };
        let mut raw = Vec::with_capacity(args.len() + tables.len());
        for (param, value) in self.program.params.iter().zip(args.iter()) {
            let name = self.program.text(param.name).to_owned();
            let arg = self.argument(&name, param.ty, &value, &mut raw, &mut call)?;
            call.params.insert(name, arg);
        }
        for (name, table) in tables.iter() {
            let name: String = name.extract()?;
            raw.push(Raw::of(&table_name(&name), &table)?);
        }
        // SAFETY: `args` and `tables` keep the arrays alive until this function returns; GT4Py fields are not
        // resized, and writing a field from another thread during a call is the caller's race.
        unsafe { arrays::bind(&raw, &mut call.memory) };
        py.detach(|| self.run(&mut call)).map_err(|error| raise(&error))
    }
}

impl GtirProgram {
    fn run(&self, call: &mut GtirArgs<'_>) -> pelton::diag::Result<f64> {
        if self.engine == Engine::GtirOracle {
            let start = Instant::now();
            gtir_oracle::run(&self.program, call)?;
            return Ok(start.elapsed().as_secs_f64());
        }
        let variant = self.variant(call)?;
        let mut variant = variant.lock().unwrap_or_else(PoisonError::into_inner);
        let Variant { lowered, prepared } = &mut *variant;
        let mut bound = lowered.bind(call)?;
        let start = Instant::now();
        let options = Options { checked: self.checked, ..Options::default() };
        let outcome = prepared.run(&mut bound, &options);
        let seconds = start.elapsed().as_secs_f64();
        lowered.unbind(bound, call);
        match outcome? {
            Outcome::Done(_) => Ok(seconds),
            Outcome::Trap(fault) => Err(fault.into()),
        }
    }

    /// The variant for the call's layouts, types and aliases, made now if it is new.
    fn variant(&self, call: &GtirArgs<'_>) -> pelton::diag::Result<Arc<Mutex<Variant>>> {
        let wanted = environment(&self.program, call)?;
        let mut variants = self.variants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, variant)) = variants.iter().find(|(known, _)| *known == wanted) {
            return Ok(variant.clone());
        }
        let lowered = Lowered::with_environment(&self.program, &wanted, self.connectivities.clone())?;
        let prepared = Prepared::new(&lowered.program, self.engine, self.checked)?;
        let variant = Arc::new(Mutex::new(Variant { lowered, prepared }));
        if variants.len() >= MAX_VARIANTS {
            variants.remove(0);
        }
        variants.push((wanted, variant.clone()));
        Ok(variant)
    }

    fn argument(
        &self,
        name: &str,
        ty: Option<TypeId>,
        value: &Bound<'_, PyAny>,
        raw: &mut Vec<Raw>,
        call: &mut GtirArgs<'_>,
    ) -> PyResult<GtirArg> {
        if let Ok(elements) = value.cast::<PyTuple>() {
            let types = match ty.and_then(|ty| self.program.types.get(ty)) {
                Some(Type::Tuple(types)) => types.to_vec(),
                _ => Vec::new(),
            };
            let elements: PyResult<Vec<GtirArg>> = elements
                .iter()
                .enumerate()
                .map(|(number, element)| {
                    self.argument(
                        &format!("{name}_{number}"),
                        types.get(number).copied(),
                        &element,
                        raw,
                        call,
                    )
                })
                .collect();
            return Ok(GtirArg::Tuple(elements?));
        }
        if value.is_none() {
            return Ok(GtirArg::Absent);
        }
        let py = value.py();
        let leaf = name.to_owned();
        let Ok(origin) = value.getattr(pyo3::intern!(py, "__gt_origin__")) else {
            call.memory.insert_scalar(name, arrays::number(name, value)?);
            return Ok(GtirArg::Scalar { leaf });
        };
        let array = value.getattr(pyo3::intern!(py, "ndarray"))?;
        let domain = value.getattr(pyo3::intern!(py, "domain"))?;
        let dims: Vec<Bound<'_, PyAny>> = domain.getattr(pyo3::intern!(py, "dims"))?.extract()?;
        if dims.is_empty() && array.cast::<PyUntypedArray>().is_err() {
            // The storage of a field without dimensions may be a NumPy scalar.
            call.memory.insert_scalar(name, arrays::number(name, &array)?);
            return Ok(GtirArg::Scalar { leaf });
        }
        let dims = dims.iter().map(dimension).collect::<PyResult<Vec<(String, DimKind)>>>()?;
        let origin: Vec<i64> = origin.extract()?;
        raw.push(Raw::of(name, &array)?);
        let start = origin.into_iter().map(|origin| -origin).collect();
        Ok(GtirArg::Field { leaf, dims, start })
    }
}

fn dimension(dim: &Bound<'_, PyAny>) -> PyResult<(String, DimKind)> {
    let py = dim.py();
    let kind: String =
        dim.getattr(pyo3::intern!(py, "kind"))?.getattr(pyo3::intern!(py, "value"))?.extract()?;
    let name = dim.getattr(pyo3::intern!(py, "value"))?.extract()?;
    Ok((name, DimKind::from_name(&kind).unwrap_or(DimKind::Horizontal)))
}
