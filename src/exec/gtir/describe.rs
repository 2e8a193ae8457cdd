//! The description of a call: which arrays are fields over which dimensions, where they start, and the connectivities.
//!
//! GTIR says nothing about origins and connectivities, so a call from files needs a description beside the arrays. It
//! is a JSON object, the `case.json` of a case folder:
//!
//! ```json
//! {
//!   "params": ["a", "out"],
//!   "args": {"a": {"kind": "field", "dims": [{"name": "K", "kind": "vertical"}], "start": [2]}},
//!   "offset_provider": {
//!     "V2E": {
//!       "source": {"name": "Vertex"}, "local": {"name": "V2E"}, "target": {"name": "Edge"},
//!       "max_neighbors": 6, "skip_value": -1, "table": "offset:V2E"
//!     }
//!   },
//!   "column_axis": {"name": "K"},
//!   "alias_of": {"out": "a"}
//! }
//! ```
//!
//! Everything is optional where the program knows it: parameters come from the program; kind, dimensions and
//! element type of an argument from its parameter's type; a field starts at 0; a table is called `offset:NAME`. Part 1
//! of a tuple `a` is the array `a_1` or `a__1`, part 0 of that `a_1_0`. The text `__None__` stands for an optional argument
//! that is not given.

use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

use crate::diag::{Diagnostic, Result};
use crate::exec::npz::{FileArray, FileArrays, Item};
use crate::front::gtir::ast::{Type as GtirType, TypeId};
use crate::front::gtir::lower::{Environment, ParamType};
use crate::front::gtir::{Connectivity, DimKind, GtirArg, GtirArgs, Program, table_name};
use crate::memory::{Arguments, Binding, Buffer};
use crate::scalar::{DType, Type};

/// Tuples nest a few levels in real cases.
const MAX_NESTING: usize = 64;

/// Reads a description.
///
/// # Errors
/// `P0430`: it is missing or not an object of JSON.
pub fn read(path: &Path) -> Result<Value> {
    let damaged = |what: String| Diagnostic::error("P0430", what).at(path.display().to_string());
    let text =
        std::fs::read(path).map_err(|error| damaged(format!("cannot read the description: {error}")))?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| damaged(format!("not JSON: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(damaged("the description is not an object".into())) }
}

/// The arguments that a description and its arrays make. A program fills in what the description leaves out.
///
/// # Errors
/// `P0430`: the description is not what the format says, or an array is missing.
pub fn arguments(
    description: &Value,
    inputs: &FileArrays,
    program: Option<&Program>,
) -> Result<GtirArgs<'static>> {
    let describer = Describer { description, inputs: Some(inputs), program };
    let mut memory = Arguments::new();
    let connectivities = describer.connectivities()?;
    for (offset, table) in describer.tables()? {
        let array = inputs.get(&table).ok_or_else(|| describer.missing(&table))?;
        insert(&table_name(&offset), array, &mut memory)?;
    }
    let mut params = IndexMap::new();
    for (name, ty) in describer.params()? {
        let shape = describer.shape(&name, ty, 0)?;
        let arg = bound(&shape, inputs, &mut memory)?;
        params.insert(name, arg);
    }
    describer.share_aliases(&mut memory);
    Ok(GtirArgs { memory, params, connectivities, column_axis: describer.column_axis() })
}

/// What a description says about a program before there are arrays.
///
/// # Errors
/// `P0430`: the description is not what the format says.
pub fn environment(description: &Value, program: &Program) -> Result<Environment> {
    let describer = Describer { description, inputs: None, program: Some(program) };
    let mut environment = Environment { column_axis: describer.column_axis(), ..Environment::default() };
    environment.connectivities = describer.connectivities()?.into_iter().collect();
    for (name, ty) in describer.params()? {
        // What nobody describes has to have a type in the program.
        if let Ok(shape) = describer.shape(&name, ty, 0)
            && let Some(ty) = shape.param_type()
        {
            environment.param_types.push((name, ty));
        }
    }
    if let Some(aliases) = description["alias_of"].as_object() {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        environment.aliases.extend(aliases.iter().filter_map(|(name, of)| Some((name.clone(), text(of)?))));
    }
    Ok(environment)
}

/// An argument as described: leaves have the names of their arrays.
enum Shape {
    Field { leaf: String, dims: Vec<(String, DimKind)>, start: Vec<i64>, dtype: Option<DType> },
    Scalar { leaf: String, dtype: Option<DType> },
    Tuple(Vec<Shape>),
}

impl Shape {
    fn param_type(&self) -> Option<ParamType> {
        Some(match self {
            Shape::Field { dims, dtype, .. } => ParamType::Field(dims.clone(), (*dtype)?),
            Shape::Scalar { dtype, .. } => ParamType::Scalar((*dtype)?),
            Shape::Tuple(parts) => {
                ParamType::Tuple(parts.iter().map(Shape::param_type).collect::<Option<_>>()?)
            }
        })
    }
}

/// Moves the arrays of an argument into memory.
fn bound(shape: &Shape, inputs: &FileArrays, memory: &mut Arguments<'static>) -> Result<GtirArg> {
    let mut array = |leaf: &str| -> Result<bool> {
        let array = inputs.get(leaf).ok_or_else(|| missing(leaf))?;
        if matches!(array.item, Item::Text(_)) {
            return Ok(false);
        }
        insert(leaf, array, memory)?;
        Ok(true)
    };
    Ok(match shape {
        Shape::Field { leaf, dims, start, .. } if array(leaf)? => {
            GtirArg::Field { leaf: leaf.clone(), dims: dims.clone(), start: start.clone() }
        }
        Shape::Scalar { leaf, .. } if array(leaf)? => GtirArg::Scalar { leaf: leaf.clone() },
        Shape::Field { .. } | Shape::Scalar { .. } => GtirArg::Absent,
        Shape::Tuple(parts) => {
            GtirArg::Tuple(parts.iter().map(|part| bound(part, inputs, memory)).collect::<Result<_>>()?)
        }
    })
}

fn insert(name: &str, array: &FileArray, memory: &mut Arguments<'static>) -> Result<()> {
    let Item::Number(dtype) = array.item else {
        let what = format!("array `{name}` holds {}, not numbers", array.item.name());
        return Err(Diagnostic::error("P0430", what).at("inputs.npz"));
    };
    let buffer = memory.buffers.push(Buffer::Owned(array.bytes.clone()));
    let binding = Binding::Array {
        buffer,
        offset: 0,
        ty: Type::Scalar(dtype),
        shape: array.shape.clone(),
        strides: array.strides(),
    };
    memory.bindings.insert(name.to_owned(), binding);
    Ok(())
}

fn missing(name: &str) -> Diagnostic {
    Diagnostic::error("P0430", format!("array `{name}` is missing"))
        .at("inputs.npz")
        .with_help("give it with --inputs, or with --arg for arrays and --set for numbers")
}

struct Describer<'a> {
    description: &'a Value,
    inputs: Option<&'a FileArrays>,
    program: Option<&'a Program>,
}

impl Describer<'_> {
    fn damaged(&self, what: impl Into<String>) -> Diagnostic {
        Diagnostic::error("P0430", what).at("case.json")
    }

    fn missing(&self, name: &str) -> Diagnostic {
        missing(name)
    }

    fn column_axis(&self) -> Option<String> {
        self.description.pointer("/column_axis/name").and_then(Value::as_str).map(str::to_owned)
    }

    /// Parameters in order, with their types where a program gives them.
    fn params(&self) -> Result<Vec<(String, Option<TypeId>)>> {
        let types: IndexMap<&str, Option<TypeId>> = (self.program.into_iter())
            .flat_map(|program| program.params.iter().map(|param| (program.text(param.name), param.ty)))
            .collect();
        match &self.description["params"] {
            Value::Null if self.program.is_some() => {
                Ok(types.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect())
            }
            Value::Array(names) => names
                .iter()
                .map(|name| match name.as_str() {
                    Some(name) => Ok((name.to_owned(), types.get(name).copied().flatten())),
                    None => Err(self.damaged("`params` holds more than text")),
                })
                .collect(),
            _ => Err(self.damaged("`params` is not a list")),
        }
    }

    fn type_of(&self, ty: Option<TypeId>) -> Option<&GtirType> {
        self.program?.types.get(ty?)
    }

    fn shape(&self, name: &str, ty: Option<TypeId>, depth: usize) -> Result<Shape> {
        if depth > MAX_NESTING {
            return Err(self.damaged(format!("argument `{name}` nests more than {MAX_NESTING} tuples")));
        }
        let spec = &self.description["args"][name];
        let kind = match (spec["kind"].as_str(), self.type_of(ty)) {
            (Some(kind), _) => kind,
            (None, Some(GtirType::Field { .. })) => "field",
            (None, Some(GtirType::Scalar(_))) => "scalar",
            (None, Some(GtirType::Tuple(_))) => "tuple",
            // Only the parts of a tuple are described in some suites.
            (None, _) => "parts",
        };
        match kind {
            "field" => self.field(name, spec, ty),
            "scalar" => {
                let own = match self.type_of(ty) {
                    Some(GtirType::Scalar(dtype)) => Some(*dtype),
                    _ => None,
                };
                let dtype = own.or_else(|| spec["dtype"].as_str().and_then(DType::from_name));
                Ok(Shape::Scalar { leaf: name.to_owned(), dtype })
            }
            "tuple" | "parts" => {
                let count = spec["n"].as_u64().and_then(|count| usize::try_from(count).ok());
                self.tuple(name, count, ty, depth)
            }
            other => Err(self
                .damaged(format!("argument `{name}` has kind `{other}`"))
                .with_note("expected field, scalar or tuple")),
        }
    }

    fn tuple(&self, name: &str, count: Option<usize>, ty: Option<TypeId>, depth: usize) -> Result<Shape> {
        let types: &[TypeId] = match self.type_of(ty) {
            Some(GtirType::Tuple(types)) => types,
            _ => &[],
        };
        let part = |number: usize| {
            let names = [format!("{name}_{number}"), format!("{name}__{number}")];
            let known = names.iter().find(|part| self.is_known(part)).cloned();
            let [first, _] = names;
            known.ok_or(first)
        };
        let count = count.or((!types.is_empty()).then_some(types.len()));
        // Without a count, the parts are those that are described.
        let count = count.unwrap_or_else(|| (0..).take_while(|&number| part(number).is_ok()).count());
        if count == 0 && types.is_empty() && self.description["args"][name].is_null() {
            return Err(self
                .damaged(format!("argument `{name}` is not described"))
                .with_help("describe it in case.json, or give the parameter a type in the program"));
        }
        let parts = (0..count)
            .map(|number| {
                let part = part(number).unwrap_or_else(|first| first);
                self.shape(&part, types.get(number).copied(), depth + 1)
            })
            .collect::<Result<_>>()?;
        Ok(Shape::Tuple(parts))
    }

    /// Whether a part of a tuple goes by this name: it, or a part of it, is described or has an array.
    fn is_known(&self, name: &str) -> bool {
        let described = self.description["args"].as_object();
        let begins = |key: &String| {
            key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        described.is_some_and(|args| args.keys().any(begins))
            || self.inputs.is_some_and(|inputs| inputs.keys().any(begins))
    }

    fn field(&self, name: &str, spec: &Value, ty: Option<TypeId>) -> Result<Shape> {
        let mut own = (Vec::new(), None);
        if let (Some(program), Some(GtirType::Field { dims, element })) = (self.program, self.type_of(ty)) {
            let named = dims.iter().map(|dim| (program.text(dim.name).to_owned(), dim.kind));
            own.0.extend(named);
            own.1 = match program.types.get(*element) {
                Some(GtirType::Scalar(dtype)) => Some(*dtype),
                Some(GtirType::List { element, offset }) => {
                    own.0.extend(offset.map(|dim| (program.text(dim.name).to_owned(), dim.kind)));
                    match program.types.get(*element) {
                        Some(GtirType::Scalar(dtype)) => Some(*dtype),
                        _ => None,
                    }
                }
                _ => None,
            };
        }
        let dims = match &spec["dims"] {
            Value::Null if self.type_of(ty).is_some() => own.0,
            dims => self.dimensions(name, dims)?,
        };
        let dtype = spec["dtype"].as_str().and_then(DType::from_name).or(own.1);
        let mut start = Vec::with_capacity(dims.len());
        match &spec["start"] {
            Value::Null => start.resize(dims.len(), 0),
            Value::Array(values) if values.len() == dims.len() => {
                for value in values {
                    let value = value
                        .as_i64()
                        .ok_or_else(|| self.damaged(format!("a start of field `{name}` is no integer")))?;
                    start.push(value);
                }
            }
            _ => {
                return Err(self
                    .damaged(format!("field `{name}` needs one start per dimension"))
                    .with_note(format!("it has {} dimensions", dims.len())));
            }
        }
        Ok(Shape::Field { leaf: name.to_owned(), dims, start, dtype })
    }

    fn dimensions(&self, name: &str, dims: &Value) -> Result<Vec<(String, DimKind)>> {
        let list = dims.as_array().ok_or_else(|| self.damaged(format!("field `{name}` has no `dims`")))?;
        list.iter()
            .map(|dim| {
                let text = |key: &str| dim[key].as_str();
                let kind = text("kind").and_then(DimKind::from_name);
                match (text("name"), kind) {
                    (Some(dim), Some(kind)) => Ok((dim.to_owned(), kind)),
                    _ => Err(self.damaged(format!("a dimension of field `{name}` has no name or kind"))),
                }
            })
            .collect()
    }

    fn connectivities(&self) -> Result<IndexMap<String, Connectivity>> {
        let mut found = IndexMap::new();
        let Some(provider) = self.description["offset_provider"].as_object() else { return Ok(found) };
        for (offset, entry) in provider {
            let dim = |key: &str| {
                entry[key]["name"]
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| self.damaged(format!("connectivity `{offset}` has no `{key}`")))
            };
            let max_neighbors = entry["max_neighbors"].as_u64().and_then(|n| usize::try_from(n).ok());
            let connectivity = Connectivity {
                source: dim("source")?,
                local: dim("local")?,
                target: dim("target")?,
                max_neighbors: max_neighbors
                    .ok_or_else(|| self.damaged(format!("connectivity `{offset}` has no `max_neighbors`")))?,
                skip_value: entry["skip_value"].as_i64(),
            };
            found.insert(offset.clone(), connectivity);
        }
        Ok(found)
    }

    /// Connectivities with the names of their tables among the arrays.
    fn tables(&self) -> Result<Vec<(String, String)>> {
        let Some(provider) = self.description["offset_provider"].as_object() else { return Ok(Vec::new()) };
        let table = |(offset, entry): (&String, &Value)| {
            let table = entry["table"].as_str().map_or_else(|| table_name(offset), str::to_owned);
            (offset.clone(), table)
        };
        Ok(provider.iter().map(table).collect())
    }

    /// Arguments that are the same buffer share it here, too.
    fn share_aliases(&self, memory: &mut Arguments<'static>) {
        let Some(aliases) = self.description["alias_of"].as_object() else { return };
        for (name, original) in aliases {
            let original = original.as_str().and_then(|original| memory.bindings.get(original)).cloned();
            if let (Some(slot), Some(original)) = (memory.bindings.get_mut(name), original) {
                *slot = original;
            }
        }
    }
}
