//! GTIR programs on the ordinary engines: from arguments with origins and connectivities to a graph and its
//! arguments.
//!
//! The graph's calling convention is [`crate::front::gtir::lower`]'s; this module fills it. Fields are bound where
//! they lie, whatever their strides.

use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};
use crate::front::gtir::lower::{Environment, FieldParam, Lowered, ParamType, lower};
use crate::front::gtir::{self, Connectivity, GtirArg, GtirArgs, table_name};
use crate::ir;
use crate::memory::{Arguments, Binding, Buffer, View};
use crate::scalar::{DType, Scalar, Type};

use super::load::{Format, finish};

/// Element type of connectivity tables in graphs.
const TABLE_DTYPE: DType = DType::I32;

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
                        "found {ty:?} over [{}], {} dimensions",
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

    /// Binds a table and its symbols; returns a converted copy where the table is not `int32`.
    fn bind_table(
        &self,
        name: &str,
        args: &GtirArgs<'_>,
        bindings: &mut IndexMap<String, Binding>,
    ) -> Result<Option<ConvertedTable>> {
        let skips = self.connectivities.get(name).and_then(|connectivity| connectivity.skip_value);
        let table = Table::of(name, args)?;
        let range = table.check(name, skips)?;
        let mut symbol = |end: &str, value: i64| {
            bindings.insert(format!("__gt_conn_{name}_{end}"), Binding::Scalar(Scalar::I64(value)));
        };
        let shape = table.view.shape();
        symbol("size", i64::try_from(shape[0]).unwrap_or(i64::MAX));
        symbol("min", range.0);
        symbol("max", range.1);
        let container = format!("gt_conn_{name}");
        if let Binding::Array { ty: Type::Scalar(TABLE_DTYPE), strides, .. } = table.binding
            && strides.iter().all(|stride| stride % 4 == 0)
        {
            symbol("stride_0", i64::try_from(strides[0] / 4).unwrap_or(0));
            symbol("stride_1", i64::try_from(strides[1] / 4).unwrap_or(0));
            bindings.insert(container, table.binding.clone());
            return Ok(None);
        }
        symbol("stride_0", i64::try_from(shape[1]).unwrap_or(0));
        symbol("stride_1", 1);
        let mut bytes = Vec::with_capacity(table.view.len() * 4);
        for entry in table.view.scalars() {
            let entry = i32::try_from(entry.map_or(-1, Scalar::as_i64)).unwrap_or(-1);
            bytes.extend_from_slice(&entry.to_le_bytes());
        }
        Ok(Some(ConvertedTable { container, bytes, shape: [shape[0], shape[1]] }))
    }
}

struct ConvertedTable {
    container: String,
    bytes: Vec<u8>,
    shape: [usize; 2],
}

struct Table<'t> {
    binding: &'t Binding,
    view: View<'t>,
}

impl<'t> Table<'t> {
    fn of(name: &str, args: &'t GtirArgs<'_>) -> Result<Table<'t>> {
        let absent = || {
            Diagnostic::error("P0673", format!("connectivity `{name}` has no table"))
                .with_help("pass a neighbour table with two dimensions: points and neighbours")
        };
        let binding = args.memory.get(&table_name(name)).ok_or_else(absent)?;
        let Binding::Array { buffer, offset, ty: Type::Scalar(dtype), shape, strides } = binding else {
            return Err(absent());
        };
        if !dtype.is_integral() || shape.len() != 2 {
            return Err(absent().with_note(format!("found {dtype} with {} dimensions", shape.len())));
        }
        let bytes = args.memory.buffers.get(*buffer).ok_or_else(absent)?.bytes();
        Ok(Table { binding, view: View::new(bytes, *offset, *dtype, shape, strides) })
    }

    /// Least and greatest entry that is not a skip value; an empty table gives an empty range.
    fn check(&self, name: &str, skip_value: Option<i64>) -> Result<(i64, i64)> {
        let (mut least, mut greatest) = (i64::MAX, -1);
        for (position, entry) in self.view.scalars().enumerate() {
            let entry = entry.map_or(-1, Scalar::as_i64);
            if Some(entry) == skip_value {
                continue;
            }
            if entry < 0 {
                let at = self.view.index_of(position);
                return Err(Diagnostic::error(
                    "P0674",
                    format!("connectivity `{name}` has the entry {entry}"),
                )
                .at(format!("row {}, neighbour {}", at[0], at[1]))
                .with_note(match skip_value {
                    Some(skip) => format!("expected an index from 0 up, or {skip} for a missing neighbour"),
                    None => "expected an index from 0 up: the connectivity declares no skip value".to_owned(),
                })
                .with_help("declare the skip value, or repair the table"));
            }
            least = least.min(entry);
            greatest = greatest.max(entry);
        }
        Ok(if greatest < 0 { (0, -1) } else { (least, greatest) })
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

/// What the arguments say about types, layouts and aliases.
///
/// # Errors
/// An argument without a binding.
pub fn environment(program: &gtir::Program, args: &GtirArgs<'_>) -> Result<Environment> {
    let mut environment = Environment { column_axis: args.column_axis.clone(), ..Environment::default() };
    environment.connectivities =
        args.connectivities.iter().map(|(name, connectivity)| (name.clone(), connectivity.clone())).collect();
    let mut leaves = Vec::new();
    for param in &program.params {
        let name = program.text(param.name);
        // Static arguments stay parameters, but their values are in the program already.
        let Some(arg) = args.params.get(name) else { continue };
        if let Some(ty) = param_type(arg, args) {
            environment.param_types.push((name.to_owned(), ty));
        }
        collect_leaves(name, arg, args, &mut leaves);
    }
    environment.loop_order = loop_order(&leaves);
    environment.aliases = aliases(&leaves);
    environment.empty = leaves
        .iter()
        .filter(|leaf| matches!(leaf.binding, Binding::Array { shape, .. } if shape.contains(&0)))
        .map(|leaf| leaf.name.clone())
        .collect();
    Ok(environment)
}

fn param_type(arg: &GtirArg, args: &GtirArgs<'_>) -> Option<ParamType> {
    Some(match arg {
        GtirArg::Absent => return None,
        GtirArg::Tuple(elements) => {
            ParamType::Tuple(elements.iter().map(|element| param_type(element, args)).collect::<Option<_>>()?)
        }
        // A program's own type is the one to convert to; only untyped parameters need the value's.
        GtirArg::Scalar { leaf } => ParamType::Scalar(scalar_value(args, leaf)?.dtype()),
        GtirArg::Field { leaf, dims, .. } => match args.memory.get(leaf)? {
            Binding::Array { ty: Type::Scalar(dtype), .. } => ParamType::Field(dims.clone(), *dtype),
            _ => return None,
        },
    })
}

/// A field argument as far as layout matters.
struct Leaf<'l> {
    name: String,
    dims: Vec<&'l str>,
    binding: &'l Binding,
}

fn collect_leaves<'l>(name: &str, arg: &'l GtirArg, args: &'l GtirArgs<'_>, leaves: &mut Vec<Leaf<'l>>) {
    match arg {
        GtirArg::Tuple(elements) => {
            for (number, element) in elements.iter().enumerate() {
                collect_leaves(&format!("{name}_{number}"), element, args, leaves);
            }
        }
        GtirArg::Field { leaf, dims, .. } => {
            if let Some(binding) = args.memory.get(leaf) {
                let dims = dims.iter().map(|(dim, _)| dim.as_str()).collect();
                leaves.push(Leaf { name: name.to_owned(), dims, binding });
            }
        }
        GtirArg::Scalar { .. } | GtirArg::Absent => {}
    }
}

/// Dimensions by their smallest stride, greatest first: loops run fastest where memory is contiguous.
fn loop_order(leaves: &[Leaf<'_>]) -> Vec<String> {
    let mut smallest: IndexMap<&str, usize> = IndexMap::new();
    for leaf in leaves {
        let Binding::Array { shape, strides, .. } = leaf.binding else { continue };
        if shape.iter().filter(|&&extent| extent > 1).count() < 2 {
            // A one-dimensional field is contiguous in its dimension and says nothing about loops.
            continue;
        }
        for (position, &dim) in leaf.dims.iter().enumerate() {
            if let (Some(&extent), Some(stride)) = (shape.get(position), strides.get(position))
                && extent > 1
            {
                let slot = smallest.entry(dim).or_insert(usize::MAX);
                *slot = (*slot).min(stride.unsigned_abs());
            }
        }
    }
    let mut order: Vec<(&str, usize)> = smallest.into_iter().collect();
    order.sort_by_key(|&(_, stride)| std::cmp::Reverse(stride));
    order.into_iter().map(|(dim, _)| dim.to_owned()).collect()
}

/// Pairs of arguments whose bytes overlap.
fn aliases(leaves: &[Leaf<'_>]) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (number, a) in leaves.iter().enumerate() {
        for b in &leaves[number + 1..] {
            if let (Some((x, from, to)), Some((y, start, stop))) = (extent(a.binding), extent(b.binding))
                && x == y
                && from < stop
                && start < to
            {
                pairs.push((a.name.clone(), b.name.clone()));
            }
        }
    }
    pairs
}

/// Buffer and byte range a binding touches.
fn extent(binding: &Binding) -> Option<(crate::memory::BufferId, isize, isize)> {
    let Binding::Array { buffer, offset, ty, shape, strides } = binding else { return None };
    let item = ty.scalar().map_or(1, DType::bytes).cast_signed();
    let (mut from, mut to) = (offset.cast_signed(), offset.cast_signed() + item);
    for (&extent, &stride) in shape.iter().zip(strides) {
        let reach = stride.saturating_mul(extent.cast_signed() - 1);
        if extent == 0 {
            return None;
        }
        if reach < 0 { from += reach } else { to += reach }
    }
    Some((*buffer, from, to))
}
