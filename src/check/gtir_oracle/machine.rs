//! The state of an evaluation: the program, its arguments, and where the stencils are.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use hashbrown::HashMap;

use crate::diag::{Diagnostic, Result};
use crate::entity::{EntityId, Name, Names};
use crate::front::gtir::{Builtin, Connectivity, DimKind, Program, Term, TermId, Type, TypeId};
use crate::memory::{Binding, Buffer, BufferId};
use crate::scalar::{DType, Scalar, arith};

use super::domain::{Interval, Region};
use super::value::{Env, Field, FieldKind, Path, Poison, Position, Value};
use super::{GtirArg, GtirArgs, table_name};

/// Temporaries larger than this are a mistake.
const MOST_BYTES: usize = 1 << 34;

/// An evaluation.
pub struct Machine<'p, 'm, 'a> {
    pub(super) program: &'p Program,
    pub(super) args: &'m mut GtirArgs<'a>,
    pub(super) names: Names,
    pub(super) leaves: Vec<Leaf>,
    pub(super) tables: HashMap<Name, Table>,
    pub(super) column_axis: Option<Name>,
    /// What parameters and functions mean in the body.
    pub(super) globals: Env,
    pub(super) has_scans: bool,
    /// The column range of the statement, for scans that nothing else bounds.
    pub(super) statement_columns: Cell<Option<Interval>>,
    /// Where the stencils being evaluated are, innermost last.
    pub(super) places: RefCell<Vec<Place>>,
    /// Accesses recorded by the trace that is going on.
    pub(super) accesses: RefCell<Vec<(u32, Path)>>,
    /// Shapes of the arguments of the stencils being traced, innermost last.
    pub(super) traced_args: RefCell<Vec<Rc<[Value]>>>,
    params: Vec<OnceCell<Rc<[Name]>>>,
    fields: Cell<u32>,
    stack_start: usize,
}

/// Where a stencil is evaluated.
#[derive(Clone)]
pub struct Place {
    /// The position.
    pub position: Position,
    /// The range of columns there.
    pub columns: Option<Interval>,
}

/// A field parameter.
pub struct Leaf {
    /// Its name.
    pub name: String,
    /// Dimensions with coordinate of element 0, extent and byte stride, in index order.
    pub dims: Vec<LeafDim>,
    /// Element type.
    pub dtype: DType,
    /// The buffer it lies in.
    pub buffer: BufferId,
    /// Byte offset of element 0.
    pub offset: usize,
}

/// One dimension of a leaf.
pub struct LeafDim {
    /// Its name.
    pub name: Name,
    /// Local or not.
    pub is_local: bool,
    /// Coordinates it has.
    pub range: Interval,
    /// Distance in bytes.
    pub stride: isize,
}

/// A connectivity.
pub struct Table {
    /// Source dimension.
    pub source: Name,
    /// Local dimension.
    pub local: Name,
    /// Target dimension.
    pub target: Name,
    /// What is known of it.
    pub max_neighbors: usize,
    /// The entry that says "no neighbour".
    pub skip_value: Option<i64>,
    /// Entries, row by row.
    pub entries: Vec<i64>,
}

impl Table {
    /// The entry of a row; `None` outside the table.
    pub fn entry(&self, row: i64, column: i64) -> Option<i64> {
        let (row, column) = (usize::try_from(row).ok()?, usize::try_from(column).ok()?);
        if column >= self.max_neighbors {
            return None;
        }
        self.entries.get(row.checked_mul(self.max_neighbors)?.checked_add(column)?).copied()
    }
}

impl<'p, 'm, 'a> Machine<'p, 'm, 'a> {
    /// Binds the arguments.
    pub fn new(program: &'p Program, args: &'m mut GtirArgs<'a>) -> Result<Self> {
        let marker = 0u8;
        let mut machine = Machine {
            program,
            args,
            names: program.names.clone(),
            leaves: Vec::new(),
            tables: HashMap::new(),
            column_axis: None,
            globals: Env::default(),
            has_scans: program.terms.values().any(|term| *term == Term::Builtin(Builtin::Scan)),
            statement_columns: Cell::new(None),
            places: RefCell::default(),
            accesses: RefCell::default(),
            traced_args: RefCell::default(),
            params: vec![OnceCell::new(); program.terms.len()],
            fields: Cell::new(0),
            stack_start: std::ptr::from_ref(&marker).addr(),
        };
        machine.column_axis = machine.args.column_axis.clone().map(|axis| machine.names.intern(&axis));
        machine.bind_tables()?;
        machine.bind_globals()?;
        Ok(machine)
    }

    /// Runs every statement.
    pub fn run(&mut self) -> Result<()> {
        let program = self.program;
        program.body.iter().enumerate().try_for_each(|(position, statement)| {
            self.execute(statement).map_err(|error| {
                error.inside(format!("statement {position}")).inside(format!("program {}", program.name))
            })
        })
    }

    /// A new field.
    pub(super) fn field(&self, kind: FieldKind) -> Rc<Field> {
        let number = self.fields.get();
        self.fields.set(number.saturating_add(1));
        Rc::new(Field {
            number,
            kind,
            memo: RefCell::default(),
            columns: RefCell::default(),
            column_range: Cell::new(None),
            trace: OnceCell::new(),
        })
    }

    /// The parameters of a lambda, shared by all its closures.
    pub(super) fn shared_params(&self, lambda: TermId, params: &[Name]) -> Rc<[Name]> {
        match self.params.get(lambda.index()) {
            Some(cell) => cell.get_or_init(|| params.into()).clone(),
            None => params.into(),
        }
    }

    /// Refuses to go deeper when the stack nears its end.
    pub(super) fn check_depth(&self) -> Result<()> {
        let marker = 0u8;
        let here = std::ptr::from_ref(&marker).addr();
        if self.stack_start.abs_diff(here) > super::STACK_BYTES - super::STACK_BYTES / 8 {
            return Err(Diagnostic::error("P0614", "the program nests too deeply for the GTIR oracle")
                .with_help("split the program into smaller functions"));
        }
        Ok(())
    }

    /// An ill-formed program.
    pub(super) fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error("P0610", message)
    }

    /// The text of a name.
    pub(super) fn text(&self, name: Name) -> &str {
        self.names.get(name)
    }

    /// Why there is no value, in words.
    pub(super) fn poison_text(&self, poison: Poison) -> String {
        match poison {
            Poison::OutOfBounds { field, dim, at } => {
                let Some(leaf) = self.leaves.get(field as usize) else { return "a field".to_owned() };
                let range = leaf
                    .dims
                    .iter()
                    .find(|d| d.name == dim)
                    .map_or(Interval { start: 0, stop: 0 }, |d| d.range);
                format!(
                    "`{}` is read at {}={at}, but has {}..{} there",
                    leaf.name,
                    self.text(dim),
                    range.start,
                    range.stop
                )
            }
            Poison::Skipped => "a neighbour that does not exist is read".to_owned(),
            Poison::DivisionByZero => "an integer is divided by zero".to_owned(),
            Poison::OutsideDomain { at, dim } => {
                format!("a computed field is read at {}={at}, outside its domain", self.text(dim))
            }
            Poison::Traced => "a value is not known".to_owned(),
        }
    }

    fn bind_tables(&mut self) -> Result<()> {
        let connectivities: Vec<(String, Connectivity)> =
            self.args.connectivities.iter().map(|(name, known)| (name.clone(), known.clone())).collect();
        for (offset, known) in connectivities {
            let name = table_name(&offset);
            let missing =
                || Diagnostic::error("P0611", format!("the table of connectivity `{offset}` is not given"));
            let Some(Binding::Array { buffer, offset: first, ty, shape, strides }) =
                self.args.memory.get(&name)
            else {
                return Err(missing());
            };
            let (&[rows, columns], &[down, right], Some(dtype)) = (&shape[..], &strides[..], ty.scalar())
            else {
                return Err(missing().with_note("expected a two-dimensional array of integers"));
            };
            if columns != known.max_neighbors {
                return Err(Diagnostic::error(
                    "P0611",
                    format!("the table of connectivity `{offset}` has {columns} columns"),
                )
                .with_note(format!("expected {}", known.max_neighbors)));
            }
            let bytes = self.args.memory.buffers.get(*buffer).map_or(&[][..], |buffer| buffer.bytes());
            let mut entries = Vec::new();
            for row in 0..rows {
                for column in 0..columns {
                    let at = signed(*first) + signed(row) * down + signed(column) * right;
                    let element =
                        usize::try_from(at).ok().and_then(|at| bytes.get(at..)).ok_or_else(missing)?;
                    entries.push(Scalar::from_le_bytes(dtype, element).ok_or_else(missing)?.as_i64());
                }
            }
            let table = Table {
                source: self.names.intern(&known.source),
                local: self.names.intern(&known.local),
                target: self.names.intern(&known.target),
                max_neighbors: columns,
                skip_value: known.skip_value,
                entries,
            };
            let key = self.names.intern(&offset);
            self.tables.insert(key, table);
        }
        Ok(())
    }

    fn bind_globals(&mut self) -> Result<()> {
        let program = self.program;
        let mut env = Env::default();
        for function in &program.functions {
            let closure = super::value::Function::Closure {
                params: function.params.as_slice().into(),
                body: function.body,
                env: env.clone(),
            };
            let value = Value::Function(Rc::new(closure));
            env = env.bind([function.name].into(), [value].into_iter().collect());
        }
        for param in &program.params {
            let name = program.text(param.name).to_owned();
            let Some(arg) = self.args.params.get(&name).cloned() else {
                return Err(Diagnostic::error("P0611", format!("argument `{name}` is not given")));
            };
            let value = self.bind_arg(&arg, param.ty)?;
            env = env.bind([param.name].into(), [value].into_iter().collect());
        }
        self.globals = env;
        for temporary in &program.temporaries {
            let name = program.text(temporary.name);
            let Value::Domain(domain) = self.eval(temporary.domain, &self.globals)? else {
                return Err(self.error(format!("the domain of temporary `{name}` is no domain")));
            };
            let region = domain.as_region().cloned();
            let region = region.ok_or_else(|| self.error(format!("temporary `{name}` needs a box")))?;
            let value = self.allocate(name, &region, temporary.dtype)?;
            self.globals = self.globals.bind([temporary.name].into(), [value].into_iter().collect());
        }
        Ok(())
    }

    /// Memory for a field that the program declares.
    fn allocate(&mut self, name: &str, region: &Region, ty: Option<TypeId>) -> Result<Value> {
        match ty.and_then(|ty| self.program.types.get(ty)) {
            Some(Type::Tuple(types)) => {
                let parts: Vec<Value> = types
                    .iter()
                    .enumerate()
                    .map(|(n, &ty)| self.allocate(&format!("{name}_{n}"), region, Some(ty)))
                    .collect::<Result<_>>()?;
                Ok(Value::tuple(parts))
            }
            Some(Type::Scalar(dtype)) => {
                let mut dims = Vec::with_capacity(region.len());
                let mut bytes = dtype.bytes();
                for (dim, range) in region.iter().rev() {
                    let extent = usize::try_from(range.stop.saturating_sub(range.start)).unwrap_or(0);
                    dims.push(LeafDim { name: *dim, is_local: false, range: *range, stride: signed(bytes) });
                    bytes = bytes
                        .checked_mul(extent)
                        .filter(|bytes| *bytes <= MOST_BYTES)
                        .ok_or_else(|| self.error(format!("temporary `{name}` is too large")))?;
                }
                dims.reverse();
                let buffer = self.args.memory.buffers.push(Buffer::Owned(vec![0; bytes]));
                let leaf = Leaf { name: name.to_owned(), dims, dtype: *dtype, buffer, offset: 0 };
                let position = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
                self.leaves.push(leaf);
                Ok(Value::Field(self.field(FieldKind::Leaf(position))))
            }
            _ => Err(self.error(format!("temporary `{name}` has no element type"))),
        }
    }

    fn bind_arg(&mut self, arg: &GtirArg, ty: Option<TypeId>) -> Result<Value> {
        let known = ty.and_then(|ty| self.program.types.get(ty));
        match arg {
            GtirArg::Absent => Ok(Value::None),
            GtirArg::Tuple(parts) => {
                let types: &[TypeId] = match known {
                    Some(Type::Tuple(types)) => types,
                    _ => &[],
                };
                let parts: Vec<Value> = parts
                    .iter()
                    .enumerate()
                    .map(|(n, part)| self.bind_arg(part, types.get(n).copied()))
                    .collect::<Result<_>>()?;
                Ok(Value::tuple(parts))
            }
            GtirArg::Scalar { leaf } => {
                let value = self.scalar_argument(leaf)?;
                match known {
                    Some(Type::Scalar(dtype)) => convert_argument(leaf, value, *dtype).map(Value::Scalar),
                    _ => Ok(Value::Scalar(value)),
                }
            }
            GtirArg::Field { leaf, dims, start } => self.bind_leaf(leaf, dims, start),
        }
    }

    fn scalar_argument(&self, leaf: &str) -> Result<Scalar> {
        match self.args.memory.get(leaf) {
            Some(Binding::Scalar(value)) => Ok(*value),
            Some(Binding::Array { buffer, offset, ty, shape, .. }) if shape.is_empty() => {
                let bytes = self.args.memory.buffers.get(*buffer).map_or(&[][..], |buffer| buffer.bytes());
                ty.scalar()
                    .and_then(|dtype| Scalar::from_le_bytes(dtype, bytes.get(*offset..)?))
                    .ok_or_else(|| Diagnostic::error("P0611", format!("argument `{leaf}` is not a number")))
            }
            _ => Err(Diagnostic::error("P0611", format!("argument `{leaf}` is not given as a number"))),
        }
    }

    fn bind_leaf(&mut self, leaf: &str, dims: &[(String, DimKind)], start: &[i64]) -> Result<Value> {
        let wrong = |what: String| Diagnostic::error("P0611", format!("field `{leaf}` {what}"));
        let Some(Binding::Array { buffer, offset, ty, shape, strides }) = self.args.memory.get(leaf) else {
            return Err(wrong("is not given as an array".to_owned()));
        };
        let Some(dtype) = ty.scalar() else { return Err(wrong("has no plain element type".to_owned())) };
        if shape.len() != dims.len() || start.len() != dims.len() {
            return Err(wrong(format!("has {} dimensions", shape.len()))
                .with_note(format!("expected {}", dims.len())));
        }
        let mut known =
            Leaf { name: leaf.to_owned(), dims: Vec::new(), dtype, buffer: *buffer, offset: *offset };
        for (n, (name, kind)) in dims.iter().enumerate() {
            let extent = i64::try_from(shape[n]).unwrap_or(i64::MAX / 8);
            let range = Interval { start: start[n], stop: start[n].saturating_add(extent) };
            let name = self.names.intern(name);
            known.dims.push(LeafDim { name, is_local: *kind == DimKind::Local, range, stride: strides[n] });
        }
        let position = u32::try_from(self.leaves.len()).unwrap_or(u32::MAX);
        self.leaves.push(known);
        Ok(Value::Field(self.field(FieldKind::Leaf(position))))
    }
}

/// A scalar argument in the type its parameter declares: integers convert when the value fits.
fn convert_argument(name: &str, value: Scalar, dtype: DType) -> Result<Scalar> {
    let found = value.dtype();
    let converted = arith::cast(dtype, value);
    let fits = found == dtype
        || (found.is_integral() && dtype.is_integral() && arith::cast(found, converted).same_bits(value))
        || (found.is_float() && dtype.is_float())
        || (found.is_integral() && dtype.is_float());
    if fits {
        return Ok(converted);
    }
    Err(Diagnostic::error("P0611", format!("argument `{name}` has type {found}"))
        .with_note(format!("expected {dtype}")))
}

/// An index or offset for address arithmetic.
pub(super) fn signed(n: usize) -> isize {
    isize::try_from(n).unwrap_or(isize::MAX)
}
