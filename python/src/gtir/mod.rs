//! GTIR programs called with GT4Py's arguments.
//!
//! A call is compared with the last ones ([`recorded`]): one like them runs at once. Any other is read ([`leaves`]),
//! checked, bound to the variant for its layouts and aliases, which is made if it is new, and recorded.

mod domains;
mod leaves;
mod recorded;
mod tables;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use indexmap::IndexMap;
use pelton::check::gtir_oracle;
use pelton::diag::Diagnostic;
use pelton::exec::gtir::{GtirProgram as Lowered, environment};
use pelton::exec::{Engine, Options, Outcome, Prepared, Settings, Tier};
use pelton::front::gtir::lower::Environment;
use pelton::front::gtir::{Connectivity, GtirArgs, OffsetLabel, Program, Term, json};
use pelton::memory::{Arena, Arguments, MemoryOptions};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::workspace::Workspace;
use crate::{PeltonError, arrays, raise};
use domains::Domains;
use leaves::{Leaf, Reader};
use recorded::{Recorded, Seen, Values};
use tables::TableObject;

/// Variants kept per program; the oldest goes first.
const MAX_VARIANTS: usize = 16;

/// Recorded calls kept per program; the oldest goes first.
const MAX_CALLS: usize = 32;

/// A GTIR program. Call it as `program(*args, offset_provider=..., out=...)`.
#[pyclass(frozen)]
pub(crate) struct GtirProgram {
    program: Program,
    connectivities: IndexMap<String, Connectivity>,
    column_axis: Option<String>,
    engine: Engine,
    settings: Settings,
    options: Options,
    /// Keeps the memory of `options` alive.
    _workspace: Option<Py<Workspace>>,
    metrics: Option<Metrics>,
    domains: Mutex<Domains>,
    variants: Mutex<Vec<Arc<Variant>>>,
    calls: Mutex<Vec<KnownCall>>,
}

/// The program for certain types, layouts and aliases.
struct Variant {
    environment: Environment,
    lowered: Lowered,
    prepared: Prepared,
}

#[derive(Clone)]
struct Call {
    recorded: Arc<Recorded>,
    variant: Arc<Variant>,
}

/// A call that later ones are compared with.
struct KnownCall {
    call: Call,
    seen: Seen,
}

impl Call {
    /// Runs at once, if the engine was bound for calls like this one: whether it ran to its end.
    fn run_rehearsed(&self, values: &Values, options: &Options) -> bool {
        let recorded = &self.recorded;
        let Some(Some(rehearsal)) = recorded.rehearsal.get() else { return false };
        // SAFETY: as in `GtirProgram::run_in_full`; the layouts are those of the recorded call.
        unsafe {
            rehearsal.run(
                &|position| recorded.address(values, position),
                &|position| recorded.number(values, position),
                recorded.unmoved(values),
                &options.memory,
            )
        }
    }
}

/// A call that was read and checked. Its memory is the arguments' own.
struct BoundCall<'a, 'py> {
    leaves: Vec<Leaf<'py>>,
    tables: Vec<TableObject>,
    variant: Arc<Variant>,
    memory: Arguments<'a>,
}

/// GT4Py's module of settings, the level from which seconds are wanted, and where they go.
type Metrics = (Py<PyAny>, i64, Py<PyAny>);

/// Name, source, local and target dimension, number of neighbours, skip value.
type ConnectivityRow = (String, String, String, String, usize, Option<i64>);

#[pymethods]
impl GtirProgram {
    #[new]
    #[pyo3(signature = (gtir, connectivities, column_axis=None, *, engine="auto", mode="strict", threads=None,
                        checked=false, scoped=false, workspace=None, metrics=None))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of a Python constructor")]
    fn new(
        gtir: &Bound<'_, PyBytes>,
        connectivities: Vec<ConnectivityRow>,
        column_axis: Option<String>,
        engine: &str,
        mode: &str,
        threads: Option<usize>,
        checked: bool,
        scoped: bool,
        workspace: Option<Py<Workspace>>,
        metrics: Option<Metrics>,
    ) -> PyResult<Self> {
        // GT4Py compiles ahead of the call.
        let settings =
            Settings { mode: crate::mode(mode)?, threads, tier: Tier::Best, ..Settings::default() };
        let memory = MemoryOptions {
            arena: if scoped { Arena::Off } else { Arena::On },
            workspace: workspace.as_ref().map(|workspace| workspace.get().pool.clone()),
            packing: None,
        };
        let program = json::read(gtir.as_bytes()).map_err(|error| raise(&error))?;
        let connectivities = connectivities
            .into_iter()
            .map(|(name, source, local, target, max_neighbors, skip_value)| {
                (name, Connectivity { source, local, target, max_neighbors, skip_value })
            })
            .collect();
        Ok(Self {
            program,
            connectivities,
            column_axis,
            engine: crate::engine(engine)?,
            settings,
            options: Options { checked, memory, ..Options::default() },
            _workspace: workspace,
            metrics,
            domains: Mutex::default(),
            variants: Mutex::default(),
            calls: Mutex::default(),
        })
    }

    /// Runs the program in place.
    #[pyo3(signature = (*args, **keywords))]
    fn __call__(&self, args: &Bound<'_, PyTuple>, keywords: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        let py = args.py();
        let (out, provider) = named_arguments(py, keywords)?;
        if self.engine == Engine::GtirOracle {
            return self.oracle(args, out.as_ref(), &provider);
        }
        let mut values = Values::default();
        let call = match self.known(args, out.as_ref(), &provider, &mut values) {
            Some(call) => call,
            None => self.examined(args, out.as_ref(), &provider, &mut values)?,
        };
        self.run(py, &call, &values)
    }

    /// Bytes of temporaries that such a call takes from its workspace at most. Nothing runs.
    #[pyo3(signature = (*args, **keywords))]
    fn memory_needed(
        &self,
        args: &Bound<'_, PyTuple>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<u64> {
        let (out, provider) = named_arguments(args.py(), keywords)?;
        if self.engine == Engine::GtirOracle {
            return Ok(0);
        }
        let bound = self.bound(args, out.as_ref(), &provider)?;
        let needed = bound.variant.prepared.memory_needed(&bound.memory);
        needed.map_err(|error| raise(&self.named(error)))
    }

    /// The names of the connectivities that the program's text mentions.
    fn mentioned_connectivities(&self) -> Vec<String> {
        self.mentioned().map(str::to_owned).collect()
    }

    fn __repr__(&self) -> String {
        format!("<Pelton program {} for {}>", self.program.name, self.engine)
    }
}

impl GtirProgram {
    /// The recorded call that this one is like; its values if there is one.
    fn known(
        &self,
        args: &Bound<'_, PyTuple>,
        out: Option<&Bound<'_, PyAny>>,
        provider: &Bound<'_, PyDict>,
        values: &mut Values,
    ) -> Option<Call> {
        let mut calls = self.calls.lock_py_attached(args.py()).unwrap_or_else(PoisonError::into_inner);
        let position = calls.iter_mut().rposition(|known| {
            let recorded = &known.call.recorded;
            recorded.matches(args, out, provider, &self.domains, &mut known.seen, values).is_some()
        })?;
        // The one that was used last is tried first and forgotten last.
        let last = calls.len() - 1;
        calls.swap(position, last);
        Some(calls[last].call.clone())
    }

    /// Reads and checks a call.
    fn bound<'a, 'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        out: Option<&Bound<'py, PyAny>>,
        provider: &Bound<'py, PyDict>,
    ) -> PyResult<BoundCall<'a, 'py>> {
        let (mut call, leaves, mut raw) = self.read(args, out)?;
        let fields = raw.len();
        // SAFETY: `args` and `provider` keep the arrays alive while what is bound is used, with the GIL held.
        unsafe { arrays::bind(&raw, &mut call.memory) };
        let variant = self.variant(args.py(), &call)?;
        for field in variant.lowered.fields().iter().filter(|field| field.written) {
            writeable(&field.name, &leaves).map_err(|error| raise(&self.named(error)))?;
        }
        let mut tables = Vec::new();
        for name in variant.lowered.tables() {
            let (table, array) = TableObject::of(name, provider)?;
            tables.push(table);
            raw.push(array);
        }
        if raw.len() > fields {
            let scalars = std::mem::take(&mut call.memory.bindings);
            call.memory = Arguments::new();
            call.memory.bindings = scalars;
            // SAFETY: as above.
            unsafe { arrays::bind(&raw, &mut call.memory) };
        }
        let memory = variant.lowered.bind(&mut call).map_err(|error| raise(&self.named(error)))?;
        Ok(BoundCall { leaves, tables, variant, memory })
    }

    /// Reads, checks and records a call.
    fn examined(
        &self,
        args: &Bound<'_, PyTuple>,
        out: Option<&Bound<'_, PyAny>>,
        provider: &Bound<'_, PyDict>,
        values: &mut Values,
    ) -> PyResult<Call> {
        let BoundCall { leaves, tables, variant, mut memory } = self.bound(args, out, provider)?;
        let arity = args.len() + usize::from(out.is_some());
        let names = variant.prepared.names();
        let deciding = variant.lowered.deciding_symbols();
        let (recorded, found) = Recorded::new(arity, &leaves, tables, names, deciding, &mut memory)?;
        *values = found;
        let call = Call { recorded: Arc::new(recorded), variant };
        if call.recorded.is_reusable() && !self.options.checked {
            let mut calls = self.calls.lock_py_attached(args.py()).unwrap_or_else(PoisonError::into_inner);
            if calls.len() >= MAX_CALLS {
                calls.remove(0);
            }
            calls.push(KnownCall { call: call.clone(), seen: Seen::default() });
        }
        Ok(call)
    }

    /// The arguments of a call: as the graph wants them, as leaves, and where the arrays lie.
    fn read<'a, 'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        out: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(GtirArgs<'a>, Vec<Leaf<'py>>, Vec<arrays::Raw>)> {
        let given = args.len() + usize::from(out.is_some());
        if given != self.program.params.len() {
            return Err(PeltonError::new_err(format!(
                "program `{}` takes {} arguments, {given} were given",
                self.program.name,
                self.program.params.len(),
            )));
        }
        let mut call = GtirArgs {
            memory: Arguments::new(),
            params: IndexMap::with_capacity(given),
            connectivities: self.connectivities.clone(),
            column_axis: self.column_axis.clone(),
        };
        let mut domains = self.domains.lock_py_attached(args.py()).unwrap_or_else(PoisonError::into_inner);
        let mut reader =
            Reader { program: &self.program, domains: &mut domains, leaves: Vec::new(), raw: Vec::new() };
        for (param, value) in self.program.params.iter().zip(args.iter().chain(out.cloned())) {
            let name = self.program.text(param.name);
            let arg = reader.argument(name, param.ty, &value, &mut call, 0)?;
            call.params.insert(name.to_owned(), arg);
        }
        let (leaves, raw) = (reader.leaves, reader.raw);
        Ok((call, leaves, raw))
    }

    /// The variant for the call's layouts, types and aliases, made now if it is new.
    fn variant(&self, py: Python<'_>, call: &GtirArgs<'_>) -> PyResult<Arc<Variant>> {
        let failed = |error| raise(&self.named(error));
        let wanted = environment(&self.program, call).map_err(failed)?;
        {
            let variants = self.variants.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
            if let Some(variant) = variants.iter().find(|variant| variant.environment == wanted) {
                return Ok(variant.clone());
            }
        }
        // Others may compile the same meanwhile, which costs them milliseconds.
        let made = py.detach(|| -> pelton::diag::Result<Variant> {
            let lowered = Lowered::with_environment(&self.program, &wanted, self.connectivities.clone())?;
            let program = Arc::new(lowered.program.clone());
            let prepared = Prepared::with(program, self.engine, self.options.checked, self.settings)?;
            Ok(Variant { environment: wanted, lowered, prepared })
        });
        let variant = Arc::new(made.map_err(failed)?);
        let mut variants = self.variants.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        if variants.len() >= MAX_VARIANTS {
            variants.remove(0);
        }
        variants.push(variant.clone());
        Ok(variant)
    }

    fn run(&self, py: Python<'_>, call: &Call, values: &Values) -> PyResult<()> {
        let start = self.metrics_wanted(py)?.then(Instant::now);
        let rehearsed = if call.recorded.brief {
            call.run_rehearsed(values, &self.options)
        } else {
            py.detach(|| call.run_rehearsed(values, &self.options))
        };
        if !rehearsed {
            self.run_in_full(py, call, values)?;
        }
        if let (Some((.., add)), Some(start)) = (&self.metrics, start) {
            add.call1(py, (start.elapsed().as_secs_f64(),))?;
        }
        Ok(())
    }

    /// Runs with every argument looked at by the engine, which says what is wrong, and keeps its part of the record.
    fn run_in_full(&self, py: Python<'_>, call: &Call, values: &Values) -> PyResult<()> {
        let outcome = py.detach(|| {
            let given = call.recorded.given(values);
            let prepared = &call.variant.prepared;
            // SAFETY: the arguments are the caller's until this function returns, which keeps the arrays alive; their
            // layouts were read from their headers. Writing a field from another thread during a call is the
            // caller's race.
            let outcome = unsafe { prepared.run_given(&given, &self.options) };
            if matches!(outcome, Ok(Outcome::Done(_))) {
                let recorded = &call.recorded;
                // SAFETY: as above.
                recorded.rehearsal.get_or_init(|| unsafe {
                    prepared.rehearse(&given, &|position| recorded.varies(position))
                });
            }
            outcome
        });
        match outcome.map_err(|error| raise(&self.named(error)))? {
            Outcome::Done(_) => Ok(()),
            Outcome::Trap(fault) => Err(raise(&self.named(fault.into()))),
        }
    }

    fn metrics_wanted(&self, py: Python<'_>) -> PyResult<bool> {
        let Some((settings, level, _)) = &self.metrics else { return Ok(false) };
        let present: i64 =
            settings.bind(py).getattr(pyo3::intern!(py, "COLLECT_METRICS_LEVEL"))?.extract()?;
        Ok(present >= *level)
    }

    fn oracle(
        &self,
        args: &Bound<'_, PyTuple>,
        out: Option<&Bound<'_, PyAny>>,
        provider: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let (mut call, _, mut raw) = self.read(args, out)?;
        let mut tables = Vec::new();
        for name in self.connectivities.keys().filter(|name| provider.contains(name).unwrap_or(false)) {
            let (table, array) = TableObject::of(name, provider)?;
            tables.push(table);
            raw.push(array);
        }
        // SAFETY: `args` and `tables` keep the arrays alive until this function returns.
        unsafe { arrays::bind(&raw, &mut call.memory) };
        let failed = |error| raise(&self.named(error));
        let start = Instant::now();
        args.py().detach(|| gtir_oracle::run(&self.program, &mut call)).map_err(failed)?;
        if self.metrics_wanted(args.py())?
            && let Some((.., add)) = &self.metrics
        {
            add.call1(args.py(), (start.elapsed().as_secs_f64(),))?;
        }
        Ok(())
    }

    fn mentioned(&self) -> impl Iterator<Item = &str> {
        self.program.terms.values().filter_map(|term| match term {
            Term::Offset(OffsetLabel::Name(name)) => Some(self.program.text(*name)),
            _ => None,
        })
    }

    /// The diagnostic with the program's name before its place.
    fn named(&self, error: Diagnostic) -> Diagnostic {
        error.inside(format!("program `{}`", self.program.name))
    }
}

/// The keyword arguments of a call: `out`, and the offset provider.
fn named_arguments<'py>(
    py: Python<'py>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<(Option<Bound<'py, PyAny>>, Bound<'py, PyDict>)> {
    let keyword = |name| keywords.map_or(Ok(None), |keywords| keywords.get_item(name));
    let provider = match keyword(pyo3::intern!(py, "offset_provider"))? {
        Some(provider) => provider.cast_into::<PyDict>()?,
        None => PyDict::new(py),
    };
    Ok((keyword(pyo3::intern!(py, "out"))?.filter(|out| !out.is_none()), provider))
}

/// An error unless the array of that field may be written.
fn writeable(field: &str, leaves: &[Leaf<'_>]) -> Result<(), Diagnostic> {
    let array = leaves.iter().find_map(|leaf| match leaf {
        Leaf::Field { name, array, .. } if name == field => Some(array),
        _ => None,
    });
    // SAFETY: leaves hold array objects only.
    if array.is_none_or(|array| unsafe { arrays::Header::read(array) }.is_writeable()) {
        return Ok(());
    }
    Err(Diagnostic::error("P0679", format!("field `{field}` is written, but its array is read-only"))
        .with_help("pass a field over an array that may be written"))
}
