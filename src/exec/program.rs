//! The public face: a loaded program that can be called.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::diag::{Diagnostic, Result};
use crate::ir;
use crate::memory::{
    Arguments, Binding, Buffer, MemoryOptions, Required, RequiredKind, infer_symbols, required_arguments,
};
use crate::scalar::{DType, Scalar, Type};

use super::array::{ErasedArray, Number};
use super::bind::{Symbols, converted};
use super::engine::{Engine, Options, Outcome, Prepared, Stats, is_observed};
use super::load::load;
use super::npz::dense_strides;

/// A program that can be called, many times and from many threads at once.
#[derive(Debug)]
pub struct Program {
    graph: Arc<ir::Program>,
    required: Vec<Required>,
    /// Made on first use, kept with its persistent containers.
    prepared: Mutex<Vec<(Engine, bool, Arc<Prepared>)>>,
}

impl Program {
    /// Loads a program file: `.sdfg`, `.sdfgz` or `.pel`, told apart by content.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Program> {
        Program::new(load(path.as_ref())?.program)
    }

    /// Takes a graph, for instance from [`Builder`](crate::ir::builder), that is validated and whose scalar code is lowered.
    ///
    /// # Errors
    /// The program has no body.
    pub fn new(graph: ir::Program) -> Result<Program> {
        let required = required_arguments(&graph)?;
        Ok(Program { graph: Arc::new(graph), required, prepared: Mutex::default() })
    }

    /// The graph.
    pub fn graph(&self) -> &ir::Program {
        &self.graph
    }

    /// What a call has to bring: arrays and scalars in stored order, then symbols.
    pub fn required(&self) -> &[Required] {
        &self.required
    }

    /// Begins a call.
    pub fn call(&self) -> Call<'_, '_> {
        Call {
            program: self,
            arrays: Vec::new(),
            scalars: Vec::new(),
            engine: Engine::Auto,
            options: Options::default(),
        }
    }

    /// Runs with arguments that are bound already.
    ///
    /// # Errors
    /// What the engine refuses, and arguments that do not fit. Faults of the program are [`Outcome::Trap`].
    pub fn run(
        &self,
        args: &mut Arguments<'_>,
        engine: Engine,
        options: &Options,
    ) -> Result<(Outcome, Engine)> {
        let prepared = self.prepared(engine, options)?;
        let outcome = prepared.run(args, options)?;
        Ok((outcome, prepared.engine()))
    }

    /// The program made ready for an engine; made once.
    ///
    /// # Errors
    /// What the engine refuses.
    pub fn prepared(&self, engine: Engine, options: &Options) -> Result<Arc<Prepared>> {
        let observed = is_observed(options);
        let mut table = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = table.iter().find(|(made_for, with, _)| *made_for == engine && *with == observed);
        if let Some((_, _, known)) = known {
            return Ok(Arc::clone(known));
        }
        let prepared = Arc::new(Prepared::shared(Arc::clone(&self.graph), engine, observed)?);
        table.push((engine, observed, Arc::clone(&prepared)));
        Ok(prepared)
    }
}

/// One call being put together.
#[derive(Debug)]
pub struct Call<'p, 'a> {
    program: &'p Program,
    arrays: Vec<(String, ErasedArray<'a>)>,
    scalars: Vec<(String, Scalar)>,
    engine: Engine,
    options: Options,
}

/// What a call says about itself.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The engine that ran.
    pub engine: Engine,
    /// Steps, notes, and what else the engine counted.
    pub stats: Stats,
}

impl<'a> Call<'_, 'a> {
    /// Lends an array to the call: a slice (which takes the declared shape, row-major), or an
    /// [`ArrayView`](super::ArrayView) with a layout of its own. The program reads and writes it in place.
    #[must_use]
    pub fn array(mut self, name: &str, array: impl Into<ErasedArray<'a>>) -> Self {
        self.arrays.push((name.to_owned(), array.into()));
        self
    }

    /// Gives a symbol its value. Symbols that the shapes of arrays tell need not be given.
    #[must_use]
    pub fn symbol(self, name: &str, value: impl Number) -> Self {
        self.scalar(name, value)
    }

    /// Gives a scalar argument its value.
    #[must_use]
    pub fn scalar(mut self, name: &str, value: impl Number) -> Self {
        self.scalars.push((name.to_owned(), value.scalar()));
        self
    }

    /// Chooses the engine.
    #[must_use]
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Also catches undefined values, races and out-of-range accesses. Slower.
    #[must_use]
    pub fn checked(mut self, checked: bool) -> Self {
        self.options.checked = checked;
        self
    }

    /// Says how transients get memory, and from which workspace.
    #[must_use]
    pub fn memory(mut self, memory: MemoryOptions) -> Self {
        self.options.memory = memory;
        self
    }

    /// Stops after so many steps.
    #[must_use]
    pub fn fuel(mut self, steps: u64) -> Self {
        self.options.fuel = Some(steps);
        self
    }

    /// Runs the program.
    ///
    /// # Errors
    /// Arguments that do not fit (`P04xx`), a program the engine refuses, or a fault of the program (`P05xx`),
    /// after which the arrays hold whatever was written until then.
    pub fn run(self) -> Result<Report> {
        let graph = &self.program.graph;
        let mut args = Arguments::new();
        for (name, value) in &self.scalars {
            let value = match declared(self.program, name).map(|required| &required.kind) {
                Some(RequiredKind::Scalar(Type::Scalar(dtype)) | RequiredKind::Symbol(dtype)) => {
                    converted(*value, *dtype).map_err(|error| error.at(format!("argument {name}")))?
                }
                _ => *value,
            };
            args.insert_scalar(name, value);
        }
        // Arrays that say their shape come first: the others may need the symbols that those tell.
        let (with_layout, without): (Vec<_>, Vec<_>) =
            self.arrays.into_iter().partition(|(_, array)| array.layout.is_some());
        for (name, array) in with_layout.into_iter().chain(without) {
            let required = declared(self.program, &name).ok_or_else(|| {
                Diagnostic::error("P0425", format!("the program has no argument {name}")).with_note(format!(
                    "it has {}",
                    self.program
                        .required
                        .iter()
                        .map(|item| &graph.names[item.name])
                        .collect::<Vec<_>>()
                        .join(", ")
                ))
            })?;
            lend(graph, required, &name, array, &mut args)
                .map_err(|error| error.at(format!("argument {name}")))?;
        }
        let (outcome, engine) = self.program.run(&mut args, self.engine, &self.options)?;
        match outcome {
            Outcome::Done(stats) => Ok(Report { engine, stats }),
            Outcome::Trap(fault) => Err(fault.into()),
        }
    }
}

fn declared<'p>(program: &'p Program, name: &str) -> Option<&'p Required> {
    let name = program.graph.names.lookup(name)?;
    program.required.iter().find(|item| item.name == name)
}

fn lend<'a>(
    graph: &ir::Program,
    required: &Required,
    name: &str,
    array: ErasedArray<'a>,
    args: &mut Arguments<'a>,
) -> Result<()> {
    let (declared_ty, extents): (Type, &[_]) = match &required.kind {
        RequiredKind::Array { ty, shape, .. } => (*ty, shape),
        RequiredKind::Scalar(ty) => (*ty, &[]),
        _ => return Err(Diagnostic::error("P0424", format!("{name} is not an array"))),
    };
    let same = Type::Scalar(array.dtype) == declared_ty
        || (array.dtype == DType::U8 && declared_ty.scalar().is_some_and(|dtype| dtype.bytes() == 1));
    if !same {
        let wanted =
            declared_ty.scalar().map_or_else(|| format!("{declared_ty:?}"), |dtype| dtype.to_string());
        return Err(Diagnostic::error(
            "P0420",
            format!("{name} has elements of type {wanted}, not {}", array.dtype),
        ));
    }
    let item = array.dtype.bytes();
    let (offset, shape, strides) = match array.layout {
        Some((offset, shape, strides)) => {
            let strides = strides.iter().map(|stride| stride.saturating_mul(item.cast_signed())).collect();
            (offset.saturating_mul(item), shape, strides)
        }
        None => {
            let shape = declared_shape(graph, name, extents, array.bytes.len() / item, args)?;
            let strides = dense_strides(item, &shape, false);
            (0, shape, strides)
        }
    };
    let buffer = args.buffers.push(Buffer::Borrowed(array.bytes));
    args.bindings.insert(name.to_owned(), Binding::Array { buffer, offset, ty: declared_ty, shape, strides });
    Ok(())
}

/// The shape of a flat slice: the declared one where its symbols are known, or the length for one dimension.
fn declared_shape(
    graph: &ir::Program,
    name: &str,
    extents: &[crate::symbolic::ExprId],
    elements: usize,
    args: &Arguments<'_>,
) -> Result<Vec<usize>> {
    if let [_] = extents {
        return Ok(vec![elements]);
    }
    let told = infer_symbols(graph, args).unwrap_or_default();
    let given = |symbol| match args.get(&graph.names[symbol]) {
        Some(Binding::Scalar(value)) => Some(*value),
        _ => told.get(&symbol).copied(),
    };
    let env = Symbols(&given);
    let shape: Option<Vec<usize>> = extents
        .iter()
        .map(|&extent| graph.exprs.eval(extent, &env).ok().and_then(|extent| usize::try_from(extent).ok()))
        .collect();
    let shape = shape.ok_or_else(|| {
        Diagnostic::error("P0423", format!("the shape of {name} is not known"))
            .with_help("give its symbols, or pass an ArrayView that says the shape")
    })?;
    let wanted = shape.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent));
    if wanted != Some(elements) {
        return Err(Diagnostic::error(
            "P0423",
            format!("{name} has shape {shape:?}, but {elements} elements were given"),
        ));
    }
    Ok(shape)
}
