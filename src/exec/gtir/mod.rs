//! GTIR programs on the ordinary engines: from arguments with origins and connectivities to a graph and its
//! arguments.
//!
//! The graph's calling convention is [`crate::front::gtir::lower`]'s; this module fills it. Fields are bound where
//! they lie, whatever their strides.

pub mod describe;
mod environment;
mod table;

use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};
use crate::front::gtir::lower::{Environment, FieldParam, Lowered, lower};
use crate::front::gtir::{self, Connectivity, GtirArg, GtirArgs};
use crate::ir;
use crate::memory::{Arguments, Binding, Buffer};
use crate::scalar::{DType, Scalar, Type};

use super::load::{Format, finish};

pub use environment::environment;
use table::TABLE_DTYPE;

/// A GTIR program lowered for arguments of certain types, layouts and aliases.
#[derive(Debug)]
pub struct GtirProgram {
    /// The graph, scalar code lowered, validated.
    pub program: ir::Program,
    lowered: Lowered,
    connectivities: IndexMap<String, Connectivity>,
}

impl GtirProgram {
    /// Lowers a program for these arguments.
    ///
    /// # Errors
    /// The program is ill-typed, or does not fit the arguments.
    pub fn new(program: &gtir::Program, args: &GtirArgs<'_>) -> Result<GtirProgram> {
        Self::with_environment(program, &environment(program, args)?, args.connectivities.clone())
    }

    /// Lowers a program for what is known before a call.
    ///
    /// # Errors
    /// As [`GtirProgram::new`].
    pub fn with_environment(
        program: &gtir::Program,
        environment: &Environment,
        connectivities: IndexMap<String, Connectivity>,
    ) -> Result<GtirProgram> {
        let mut lowered = lower(program, environment)?;
        let graph = std::mem::take(&mut lowered.program);
        let loaded = finish(graph, Format::Gtir, Vec::new());
        if let Some(error) = loaded.errors().next() {
            return Err(error.clone().inside(format!("the graph lowered from `{}`", program.name)));
        }
        Ok(GtirProgram { program: loaded.program, lowered, connectivities })
    }

    /// Flattened field parameters of the graph.
    pub fn fields(&self) -> &[FieldParam] {
        &self.lowered.fields
    }

    /// Connectivities whose tables the graph reads.
    pub fn tables(&self) -> &[String] {
        &self.lowered.tables
    }

    /// Symbols of the graph whose values decide whether a call fits its fields. [`GtirProgram::bind`] checks them.
    pub fn deciding_symbols(&self) -> &[String] {
        &self.lowered.requirements.symbols
    }

    /// Moves the arguments' memory into the graph's arguments. [`GtirProgram::unbind`] moves it back.
    ///
    /// # Errors
    /// A field, scalar or table that is missing or does not fit.
    pub fn bind<'a>(&self, args: &mut GtirArgs<'a>) -> Result<Arguments<'a>> {
        let mut bindings = IndexMap::new();
        let mut tables = Vec::new();
        for (name, arg) in &args.params {
            self.bind_argument(name, arg, args, &mut bindings)?;
        }
        for name in &self.lowered.tables {
            tables.push(self.bind_table(name, args, &mut bindings)?);
        }
        for name in (self.lowered.fields.iter().map(|field| &field.name))
            .chain(self.lowered.scalars.iter().map(|(name, _)| name))
        {
            if !bindings.contains_key(name) && self.needs(name) {
                return Err(missing(name));
            }
        }
        self.check_ranges(&bindings)?;
        let buffers = std::mem::take(&mut args.memory.buffers);
        let mut bound = Arguments { buffers, bindings };
        for table in tables.into_iter().flatten() {
            let buffer = bound.buffers.push(Buffer::Owned(table.bytes));
            let binding = Binding::Array {
                buffer,
                offset: 0,
                ty: Type::Scalar(TABLE_DTYPE),
                shape: table.shape.to_vec(),
                strides: vec![(table.shape[1] * 4).cast_signed(), 4],
            };
            bound.bindings.insert(table.container, binding);
        }
        Ok(bound)
    }

    /// Whether the graph cannot do without an argument: static arguments stay parameters, but nothing reads them.
    fn needs(&self, name: &str) -> bool {
        let program = &self.program;
        let Some(name) = program.names.lookup(name) else { return false };
        let mut states = program.root_graph().into_iter().flat_map(|graph| graph.states());
        states.any(|(_, state)| {
            state
                .live_nodes()
                .any(|(_, node)| matches!(node.kind, ir::NodeKind::Access { data, .. } if data == name))
        })
    }

    /// Whether all that is read and written exists.
    fn check_ranges(&self, bindings: &IndexMap<String, Binding>) -> Result<()> {
        let requirements = &self.lowered.requirements;
        let values = requirements.symbols.iter().map(|symbol| match bindings.get(symbol) {
            Some(Binding::Scalar(value)) => Ok(value.as_i64()),
            _ => Err(missing(symbol)),
        });
        requirements.check(&values.collect::<Result<Vec<i64>>>()?)
    }

    /// Whether the program writes the field parameter of that flattened name.
    pub fn writes(&self, name: &str) -> bool {
        self.lowered.fields.iter().any(|field| field.name == name && field.written)
    }

    /// Gives the memory back after a run.
    pub fn unbind<'a>(&self, bound: Arguments<'a>, args: &mut GtirArgs<'a>) {
        args.memory.buffers = bound.buffers;
    }

    fn bind_argument(
        &self,
        name: &str,
        arg: &GtirArg,
        args: &GtirArgs<'_>,
        bindings: &mut IndexMap<String, Binding>,
    ) -> Result<()> {
        match arg {
            GtirArg::Tuple(elements) => {
                for (number, element) in elements.iter().enumerate() {
                    self.bind_argument(&format!("{name}_{number}"), element, args, bindings)?;
                }
                Ok(())
            }
            GtirArg::Absent => Ok(()),
            GtirArg::Scalar { leaf } => {
                let Some((_, dtype)) = self.lowered.scalars.iter().find(|(known, _)| known == name) else {
                    return Ok(());
                };
                let value = scalar_value(args, leaf).ok_or_else(|| missing(name))?;
                let converted = crate::scalar::arith::cast(*dtype, value);
                bindings.insert(name.to_owned(), Binding::Scalar(converted));
                Ok(())
            }
            GtirArg::Field { leaf, dims, start } => {
                let Some(param) = self.lowered.fields.iter().find(|field| field.name == name) else {
                    return Ok(());
                };
                let binding = args.memory.get(leaf).ok_or_else(|| missing(name))?;
                let Binding::Array { buffer, offset, ty, shape, strides } = binding else {
                    return Err(missing(name).with_note("expected an array, found a number"));
                };
                let given: Vec<&str> = dims.iter().map(|(dim, _)| dim.as_str()).collect();
                if *ty != Type::Scalar(param.dtype) || given != param.dims || shape.len() != dims.len() {
                    return Err(Diagnostic::error(
                        "P0671",
                        format!("field `{name}` does not have its parameter's type"),
                    )
                    .with_note(format!("expected {} over [{}]", param.dtype, param.dims.join(", ")))
                    .with_note(format!(
                        "found {} over [{}], an array of {} dimensions",
                        ty.scalar().map_or("records", DType::name),
                        given.join(", "),
                        shape.len()
                    ))
                    .with_help(
                        "pass a field with the dimensions and element type of the program's signature",
                    ));
                }
                let item = param.dtype.bytes().cast_signed();
                for (position, (dim, _)) in dims.iter().enumerate() {
                    let start = start.get(position).copied().unwrap_or(0);
                    let extent = i64::try_from(shape[position]).unwrap_or(i64::MAX);
                    let mut symbol = |name: String, value: Scalar| {
                        bindings.insert(name, Binding::Scalar(value));
                    };
                    if strides[position] % item != 0 {
                        return Err(Diagnostic::error(
                            "P0672",
                            format!("field `{name}` has a stride that is no multiple of its element size"),
                        )
                        .with_note(format!("dimension `{dim}` has a stride of {} bytes", strides[position]))
                        .with_help("copy the field to an array of its own"));
                    }
                    symbol(format!("__{name}_{dim}_range_0"), index32(name, start)?);
                    symbol(format!("__{name}_{dim}_range_1"), index32(name, start.saturating_add(extent))?);
                    let stride = i64::try_from(strides[position] / item).unwrap_or(0);
                    symbol(format!("__{name}_{dim}_stride"), Scalar::I64(stride));
                }
                let (shape, strides) =
                    if dims.is_empty() { (vec![1], vec![item]) } else { (shape.clone(), strides.clone()) };
                let binding = Binding::Array { buffer: *buffer, offset: *offset, ty: *ty, shape, strides };
                bindings.insert(name.to_owned(), binding);
                Ok(())
            }
        }
    }
}

fn missing(name: &str) -> Diagnostic {
    Diagnostic::error("P0670", format!("argument `{name}` is missing"))
        .with_help("pass a value for the parameter")
}

fn index32(name: &str, value: i64) -> Result<Scalar> {
    i32::try_from(value).map(Scalar::I32).map_err(|_| {
        Diagnostic::error("P0675", format!("field `{name}` reaches coordinate {value}"))
            .with_note("GTIR coordinates are 32-bit integers")
            .with_help("use a smaller origin or extent")
    })
}

fn scalar_value(args: &GtirArgs<'_>, leaf: &str) -> Option<Scalar> {
    match args.memory.get(leaf)? {
        Binding::Scalar(value) => Some(*value),
        Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, .. }
            if shape.iter().product::<usize>() == 1 =>
        {
            let bytes = args.memory.buffers.get(*buffer)?.bytes().get(*offset..)?;
            Scalar::from_le_bytes(*dtype, bytes)
        }
        _ => None,
    }
}
