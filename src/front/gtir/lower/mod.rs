//! Lowering of raw GTIR to the dataflow graph.
//!
//! 1. The program is *run once on abstract values* ([`eval`], [`stencil`], [`arithmetic`]): functions are applied,
//!    lets bound, tuples taken apart. Each field expression becomes a point expression in terms of elements of
//!    other fields ([`fields`], [`point`]). This is type inference, inlining and tuple elimination at once, in one
//!    walk in order of dependence.
//! 2. [`plan`] decides per field whether it becomes an array or is recomputed where it is read, by a cost model,
//!    and replaces what is recomputed.
//! 3. [`domain`] finds where each array has to be computed, from its readers' indices.
//! 4. [`emit`] writes maps, tasklets, symbols and containers.
//!
//! # Calling convention of the graph
//!
//! - A field parameter `f` with dimension `D` becomes the array `f`; `__f_D_range_0` and `__f_D_range_1` are the
//!   first coordinate and one past the last, `__f_D_stride` the stride in elements. Tuples are flattened: `f_0`.
//! - A scalar parameter becomes a symbol of its name.
//! - Connectivity `X` becomes the array `gt_conn_X` (`int32` or `int64` as given) with symbols `__gt_conn_X_size`,
//!   `__gt_conn_X_stride_0`, `__gt_conn_X_stride_1`, and, where a temporary needs them, `__gt_conn_X_min` and
//!   `__gt_conn_X_max`, the least and greatest entry that is not a skip value.

mod arithmetic;
mod code;
mod domain;
mod emit;
mod eval;
mod fields;
mod narrow;
mod plan;
pub mod point;
pub mod require;
mod scan;
mod stencil;
mod value;

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};
use crate::entity::{Arena, Name};
use crate::ir;
use crate::scalar::DType;

use super::ast::{self, Connectivity, DimKind, Dimension};
use fields::{FieldInfo, Owner, Source};
use point::{DimId, Points, SourceId, TableId};
use value::{Closure, Domain, Field, FieldId, Scope, Value};

/// Nested expressions that lowering follows. Each level takes a few hundred bytes of the lowering thread's stack.
const MAX_DEPTH: usize = 200_000;
const STACK_BYTES: usize = 1 << 30;

/// What is known beside the program text when it is lowered.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Environment {
    /// Types of parameters that the program does not give itself.
    pub param_types: Vec<(String, ParamType)>,
    /// The offset provider's unstructured entries, by name.
    pub connectivities: Vec<(String, Connectivity)>,
    /// The dimension that scans run along, if it is not simply the vertical one.
    pub column_axis: Option<String>,
    /// Parameters that are the same memory as another one: (name, the other's name), flattened names.
    pub aliases: Vec<(String, String)>,
    /// Field parameters without elements, flattened names: a guarded read of one has no value.
    pub empty: Vec<String>,
    /// Names of dimensions, the one that should vary fastest last. Dimensions not named keep their order.
    pub loop_order: Vec<String>,
}

/// The type of a parameter.
#[derive(Clone, PartialEq, Debug)]
pub enum ParamType {
    /// A number.
    Scalar(DType),
    /// A field; dimensions with their kinds.
    Field(Vec<(String, DimKind)>, DType),
    /// A tuple.
    Tuple(Vec<ParamType>),
}

/// A lowered program and how its arguments are called.
#[derive(Debug)]
pub struct Lowered {
    /// The graph.
    pub program: ir::Program,
    /// Flattened field parameters, in order.
    pub fields: Vec<FieldParam>,
    /// Flattened scalar parameters, in order: name and type.
    pub scalars: Vec<(String, DType)>,
    /// Connectivities that the graph reads, with the symbols it wants of each.
    pub tables: Vec<String>,
    /// What has to hold of the arguments, so that nothing is read or written outside them.
    pub requirements: require::Requirements,
}

/// A field parameter of a lowered program.
#[derive(Clone, PartialEq, Debug)]
pub struct FieldParam {
    /// Container name.
    pub name: String,
    /// Names of its dimensions.
    pub dims: Vec<String>,
    /// Element type.
    pub dtype: DType,
    /// Whether the program writes it.
    pub written: bool,
}

/// Lowers a program.
///
/// # Errors
/// `P065x`: the program is ill-typed, or uses something whose lowering does not exist.
pub fn lower(program: &ast::Program, environment: &Environment) -> Result<Lowered> {
    // Real programs nest lets thousands deep; evaluation recurses on them, on a stack of its own with a bound.
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || Lowering::new(program, environment)?.run())
            .map_err(|error| Diagnostic::error("P0655", format!("no thread for lowering: {error}")))?
            .join()
            .map_err(|_| {
                Diagnostic::error("P0656", "lowering failed unexpectedly").with_help("report the program")
            })?
    })
}

/// A dimension.
#[derive(Clone, Debug)]
struct Dim {
    name: String,
    local: bool,
    vertical: bool,
}

/// A connectivity.
#[derive(Clone, Debug)]
struct Table {
    name: String,
    source: DimId,
    target: DimId,
    local: String,
    max_neighbors: usize,
    has_skips: bool,
}

/// A flattened field parameter, or a field that the program declares for itself.
struct Param {
    name: String,
    source: SourceId,
    written: bool,
    /// Where a declared field is defined; parameters know that only when they are given.
    temporary: Option<Rc<Domain>>,
}

struct Lowering<'p> {
    program: &'p ast::Program,
    environment: &'p Environment,
    points: Points,
    out: ir::Program,
    dims: Arena<DimId, Dim>,
    tables: Arena<TableId, Table>,
    sources: Arena<SourceId, Source>,
    fields: Arena<FieldId, FieldInfo>,
    params: Vec<Param>,
    scalars: Vec<(String, DType)>,
    globals: HashMap<Name, Value>,
    vertical: Option<DimId>,
    scan_count: u32,
    /// Numbers of the scans whose functions are being evaluated, innermost last.
    scans_around: Vec<u32>,
    depth: usize,
    /// Symbolic form of points, where they have one.
    symbolic_known: HashMap<point::PointId, Option<crate::symbolic::ExprId>>,
    graph: ir::Graph,
    storage: HashMap<SourceId, code::Storage>,
    bounds: IndexMap<crate::symbolic::ExprId, Name>,
    /// Dimensions in which an array is read over a part of its reader's box, so that it may be empty while that runs.
    narrowed: HashSet<(value::FieldId, point::DimId)>,
    array_count: usize,
    requirements: indexmap::IndexSet<require::Requirement>,
    /// Conditions of the statements around the one being written.
    guards: Vec<crate::symbolic::ExprId>,
}

impl<'p> Lowering<'p> {
    fn new(program: &'p ast::Program, environment: &'p Environment) -> Result<Self> {
        let mut lowering = Lowering {
            program,
            environment,
            points: Points::default(),
            out: ir::Program::default(),
            dims: Arena::new(),
            tables: Arena::new(),
            sources: Arena::new(),
            fields: Arena::new(),
            params: Vec::new(),
            scalars: Vec::new(),
            globals: HashMap::new(),
            vertical: None,
            scan_count: 0,
            scans_around: Vec::new(),
            depth: 0,
            symbolic_known: HashMap::new(),
            graph: ir::Graph::default(),
            storage: HashMap::new(),
            narrowed: HashSet::new(),
            bounds: IndexMap::new(),
            array_count: 0,
            requirements: indexmap::IndexSet::new(),
            guards: Vec::new(),
        };
        lowering.declare_params()?;
        lowering.declare_tables();
        lowering.find_vertical();
        for function in &program.functions {
            let closure =
                Closure { params: function.params.clone(), body: function.body, scope: Scope::new() };
            lowering.globals.insert(function.name, Value::Closure(Rc::new(closure)));
        }
        lowering.declare_temporaries()?;
        lowering.evaluate_params()?;
        Ok(lowering)
    }

    /// The id of a dimension, new if its name is new.
    fn dim(&mut self, dimension: Dimension) -> DimId {
        let name = self.program.text(dimension.name).to_owned();
        self.dim_named(&name, dimension.kind)
    }

    fn dim_named(&mut self, name: &str, kind: DimKind) -> DimId {
        if let Some((id, _)) = self.dims.iter().find(|(_, dim)| dim.name == name) {
            return id;
        }
        self.dims.push(Dim {
            name: name.to_owned(),
            local: kind == DimKind::Local,
            vertical: kind == DimKind::Vertical,
        })
    }

    fn declare_params(&mut self) -> Result<()> {
        for param in &self.program.params {
            let name = self.program.text(param.name).to_owned();
            let given = self.environment.param_types.iter().find(|(known, _)| *known == name);
            // The program's own type is the one to convert to; only untyped parameters take the value's.
            let own = param.ty.and_then(|ty| self.param_type(ty).ok());
            let Some(ty) = own.or_else(|| given.map(|(_, ty)| ty.clone())) else {
                return Err(Diagnostic::error("P0657", format!("parameter `{name}` has no type"))
                    .with_help("give its type in the program or with the arguments"));
            };
            let value = self.declare_param(&name, &ty);
            self.globals.insert(param.name, value);
        }
        Ok(())
    }

    /// Fields that the program declares are written and read like parameters, but nobody outside sees them.
    fn declare_temporaries(&mut self) -> Result<()> {
        for temporary in &self.program.temporaries {
            let name = self.program.text(temporary.name).to_owned();
            let domain = self.eval(temporary.domain, &Scope::new())?;
            let (Value::Domain(domain), Some(ty)) = (domain, temporary.dtype) else {
                return Err(Diagnostic::error(
                    "P0657",
                    format!("temporary `{name}` has no domain or no type"),
                )
                .with_help("declare it as `temporary(domain=..., dtype=...)`"));
            };
            let Domain::Box(ranges) = &*domain else {
                return Err(ill_typed(format!("the domain of temporary `{name}` is a box")));
            };
            let dims = ranges
                .iter()
                .map(|range| {
                    let Dim { name, local, vertical } = &self.dims[range.dim];
                    let kind = match (local, vertical) {
                        (true, _) => DimKind::Local,
                        (_, true) => DimKind::Vertical,
                        _ => DimKind::Horizontal,
                    };
                    (name.clone(), kind)
                })
                .collect::<Vec<_>>();
            let ty = over(&dims, self.param_type(ty)?);
            let first = self.params.len();
            let value = self.declare_param(&name, &ty);
            for param in &mut self.params[first..] {
                param.temporary = Some(domain.clone());
            }
            self.globals.insert(temporary.name, value);
        }
        Ok(())
    }

    fn param_type(&self, ty: ast::TypeId) -> Result<ParamType> {
        let unknown =
            || Diagnostic::error("P0658", "a parameter is neither a scalar, a field nor a tuple of them");
        Ok(match self.program.types.get(ty).ok_or_else(unknown)? {
            ast::Type::Scalar(dtype) => ParamType::Scalar(*dtype),
            ast::Type::Field { dims, element } => {
                let mut dims: Vec<(String, DimKind)> =
                    dims.iter().map(|dim| (self.program.text(dim.name).to_owned(), dim.kind)).collect();
                let element = match self.program.types.get(*element).ok_or_else(unknown)? {
                    ast::Type::List { element, offset } => {
                        let offset = offset.ok_or_else(unknown)?;
                        dims.push((self.program.text(offset.name).to_owned(), DimKind::Local));
                        *element
                    }
                    _ => *element,
                };
                let ast::Type::Scalar(dtype) = self.program.types.get(element).ok_or_else(unknown)? else {
                    return Err(unknown());
                };
                ParamType::Field(dims, *dtype)
            }
            ast::Type::Tuple(types) => {
                ParamType::Tuple(types.iter().map(|&ty| self.param_type(ty)).collect::<Result<_>>()?)
            }
            _ => return Err(unknown()),
        })
    }

    /// Registers a parameter; fields become [`Value::Point`]-free placeholders filled by `evaluate_params`.
    fn declare_param(&mut self, name: &str, ty: &ParamType) -> Value {
        match ty {
            ParamType::Scalar(dtype) => {
                self.scalars.push((name.to_owned(), *dtype));
                let symbol = self.out.names.intern(name);
                Value::Point(self.points.symbol(symbol, *dtype))
            }
            ParamType::Field(dims, dtype) => {
                let dims = dims.iter().map(|(name, kind)| self.dim_named(name, *kind)).collect();
                let number = self.params.len();
                let source = self.sources.push(Source { owner: Owner::Param(number), dims, dtype: *dtype });
                self.params.push(Param { name: name.to_owned(), source, written: false, temporary: None });
                Value::Field(FieldId(u32::try_from(number).unwrap_or(u32::MAX)))
            }
            ParamType::Tuple(types) => {
                let elements: Vec<Value> = types
                    .iter()
                    .enumerate()
                    .map(|(index, ty)| self.declare_param(&format!("{name}_{index}"), ty))
                    .collect();
                Value::Tuple(elements.into())
            }
        }
    }

    /// Field parameters are the first fields, in order, so that `declare_param` could name them.
    fn evaluate_params(&mut self) -> Result<()> {
        for number in 0..self.params.len() {
            let source = self.params[number].source;
            self.new_field(Field::Param { source })?;
        }
        Ok(())
    }

    fn declare_tables(&mut self) {
        for (name, connectivity) in &self.environment.connectivities {
            let source = self.dim_named(&connectivity.source, DimKind::Horizontal);
            let target = self.dim_named(&connectivity.target, DimKind::Horizontal);
            self.tables.push(Table {
                name: name.clone(),
                source,
                target,
                local: connectivity.local.clone(),
                max_neighbors: connectivity.max_neighbors,
                has_skips: connectivity.skip_value.is_some(),
            });
        }
    }

    fn find_vertical(&mut self) {
        // Dimensions of the whole program, so that a scan over scalars finds its axis too.
        for (_, term) in self.program.terms.iter() {
            if let ast::Term::Axis(dimension) = term {
                self.dim(*dimension);
            }
        }
        let wanted = self.environment.column_axis.as_deref();
        self.vertical = match wanted {
            Some(wanted) => self.dims.iter().find(|(_, dim)| dim.name == wanted).map(|(id, _)| id),
            None => self.dims.iter().find(|(_, dim)| dim.vertical).map(|(id, _)| id),
        };
    }

    fn offset(&mut self, name: Name) -> Result<Value> {
        let text = self.program.text(name);
        match self.tables.iter().find(|(_, table)| table.name == text) {
            Some((id, _)) => Ok(Value::Offset(id)),
            None => Err(Diagnostic::error("P0659", format!("the offset provider has no entry `{text}`"))
                .with_note(format!(
                    "it has: {}",
                    self.tables.values().map(|table| table.name.as_str()).collect::<Vec<_>>().join(", ")
                ))
                .with_help("pass a connectivity with that name")),
        }
    }

    fn table_of_local(&self, dim: DimId) -> Result<TableId> {
        let name = &self.dims[dim].name;
        let found = self.tables.iter().find(|(_, table)| table.local == *name || table.name == *name);
        found.map(|(id, _)| id).ok_or_else(|| {
            Diagnostic::error(
                "P0659",
                format!("no entry of the offset provider has the local dimension `{name}`"),
            )
            .with_help("pass the connectivity that the sparse field belongs to")
        })
    }

    /// `get_domain_range(field, dim)`: a pair of symbols.
    fn domain_range(&mut self, field: &Value, dim: DimId) -> Result<Value> {
        let param = match field {
            Value::Field(id) => self.params.get(id.0 as usize),
            Value::Tuple(elements) => match elements.first() {
                Some(first) => return self.domain_range(&first.clone(), dim),
                None => None,
            },
            _ => None,
        };
        let Some(param) = param else {
            return Err(ill_typed(
                "`get_domain_range` asks for the range of something that is not a parameter",
            ));
        };
        if let Some(Domain::Box(ranges)) = param.temporary.as_deref()
            && let Some(range) = ranges.iter().find(|range| range.dim == dim)
            && let (Some(start), Some(stop)) = (range.start, range.stop)
        {
            let bounds = [start, stop].map(|bound| Value::Point(self.points.cast(DType::I32, bound)));
            return Ok(Value::Tuple(Rc::new(bounds)));
        }
        let name = param.name.clone();
        let bounds = [0, 1].map(|end| {
            let symbol = self.range_symbol(&name, dim, end);
            Value::Point(self.points.symbol(symbol, DType::I32))
        });
        Ok(Value::Tuple(Rc::new(bounds)))
    }

    /// The map parameter that holds the coordinate in a dimension.
    fn coordinate_symbol(&mut self, dim: DimId) -> Name {
        let text = format!("i_{}", self.dims[dim].name);
        self.out.names.intern(&text)
    }

    /// The symbol of the first coordinate (`end` 0) or one past the last (`end` 1).
    fn range_symbol(&mut self, param: &str, dim: DimId, end: u8) -> Name {
        let text = format!("__{param}_{}_range_{end}", self.dims[dim].name);
        self.out.names.intern(&text)
    }

    fn run(mut self) -> Result<Lowered> {
        let body = self.program.body.clone();
        let statements = self.statements(&body)?;
        emit::emit(self, statements)
    }

    fn statements(&mut self, body: &[ast::Stmt]) -> Result<Vec<Statement>> {
        let mut statements = Vec::with_capacity(body.len());
        for statement in body {
            statements.push(match statement {
                ast::Stmt::SetAt { value, domain, target } => {
                    Statement::Assign(self.assignment(*value, *domain, *target)?)
                }
                ast::Stmt::If { condition, then, otherwise } => {
                    let condition = self.eval(*condition, &Scope::new())?;
                    let Value::Point(condition) = condition else {
                        return Err(ill_typed("the condition of a statement is a scalar"));
                    };
                    Statement::If(condition, self.statements(then)?, self.statements(otherwise)?)
                }
            });
        }
        Ok(statements)
    }

    fn assignment(
        &mut self,
        value: ast::TermId,
        domain: ast::TermId,
        target: ast::TermId,
    ) -> Result<Vec<Assignment>> {
        let scope = Scope::new();
        let value = self.eval(value, &scope)?;
        let domain = self.eval(domain, &scope)?;
        let target = self.eval(target, &scope)?;
        let mut assignments = Vec::new();
        self.pair_up(&value, &domain, &target, &mut assignments)?;
        Ok(assignments)
    }

    /// Matches values with domains and targets, element by element of tuples.
    fn pair_up(
        &mut self,
        value: &Value,
        domain: &Value,
        target: &Value,
        assignments: &mut Vec<Assignment>,
    ) -> Result<()> {
        match target {
            Value::Tuple(targets) => {
                for (number, target) in targets.iter().enumerate() {
                    let value = match value {
                        Value::Tuple(values) => values.get(number),
                        _ => None,
                    };
                    let value = value.ok_or_else(|| ill_typed("a tuple target receives something else"))?;
                    let domain = match domain {
                        Value::Tuple(domains) => domains
                            .get(number)
                            .ok_or_else(|| ill_typed("a tuple target has too few domains"))?,
                        domain => domain,
                    };
                    self.pair_up(value, domain, target, assignments)?;
                }
                Ok(())
            }
            Value::Field(field) => {
                let number = field.0 as usize;
                let Some(param) = self.params.get_mut(number) else {
                    return Err(ill_typed("the target of a statement is not a parameter"));
                };
                param.written = true;
                let source = param.source;
                let Value::Domain(domain) = domain else {
                    return Err(ill_typed("a statement needs a domain for each target"));
                };
                let value = self.value_at(value, &value::Position::default())?;
                self.assign(value, domain.clone(), number, source, assignments)
            }
            _ => Err(ill_typed("the target of a statement is a field or a tuple of fields")),
        }
    }

    fn assign(
        &mut self,
        value: Value,
        domain: Rc<Domain>,
        param: usize,
        source: SourceId,
        assignments: &mut Vec<Assignment>,
    ) -> Result<()> {
        let Source { dims, dtype, .. } = self.sources[source].clone();
        let local = dims.iter().position(|&dim| self.dims[dim].local);
        let mut one = |this: &mut Self, point, number: Option<usize>| {
            let value = this.points.cast(dtype, point);
            assignments.push(Assignment { param, value, domain: domain.clone(), local: number });
        };
        match (value, local) {
            (Value::Point(point), None) => one(self, point, None),
            (Value::List(list), Some(local)) => {
                let count = self.table_of_local(dims[local]).map(|table| self.tables[table].max_neighbors)?;
                for number in 0..count {
                    let (element, valid) = match &*list {
                        value::List::Constant(value) => (Some(value), None),
                        value::List::Neighbors { elements, valid } => (
                            elements.get(number),
                            valid.as_ref().and_then(|valid| valid.get(number)).copied(),
                        ),
                    };
                    let Some(Value::Point(point)) = element else {
                        return Err(ill_typed("a sparse field holds one number per neighbour"));
                    };
                    let mut point = self.points.cast(dtype, *point);
                    if let Some(valid) = valid {
                        // Where there is no neighbour there is nothing to write: the element keeps its value.
                        let number = self.points.index(i64::try_from(number).unwrap_or(i64::MAX));
                        let at = (dims.iter().enumerate())
                            .map(|(n, &dim)| if n == local { number } else { self.points.coordinate(dim) })
                            .collect();
                        let before = self.points.load(source, at, dtype);
                        point = self.points.choose(valid, point, before);
                    }
                    one(self, point, Some(number));
                }
            }
            _ => return Err(ill_typed("the value of a statement does not have the shape of its target")),
        }
        Ok(())
    }
}

/// A statement after evaluation.
enum Statement {
    Assign(Vec<Assignment>),
    If(point::PointId, Vec<Statement>, Vec<Statement>),
}

/// One field written over one box.
#[derive(Clone)]
struct Assignment {
    /// The target, a number of [`Lowering::params`].
    param: usize,
    /// What is written at the point.
    value: point::PointId,
    /// Where.
    domain: Rc<Domain>,
    /// Which neighbour, for a sparse target.
    local: Option<usize>,
}

/// A type of elements as a type of fields.
fn over(dims: &[(String, DimKind)], element: ParamType) -> ParamType {
    match element {
        ParamType::Scalar(dtype) => ParamType::Field(dims.to_vec(), dtype),
        ParamType::Tuple(parts) => ParamType::Tuple(parts.into_iter().map(|part| over(dims, part)).collect()),
        field @ ParamType::Field(..) => field,
    }
}

/// The program does not make sense.
fn ill_typed(message: impl Into<String>) -> Diagnostic {
    Diagnostic::error("P0660", message)
        .with_help("check the program with GT4Py's frontend, which infers types")
}
