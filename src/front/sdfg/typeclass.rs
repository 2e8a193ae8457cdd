//! Typeclasses: the element types of the file.
//!
//! Plain ones are strings (`"float64"`), others objects: `vector`, `struct`, `pointer`, `callback`, `opaque`,
//! `string`. What Pelton cannot compute with becomes a [`Type::Opaque`] whose name *is* the typeclass: a
//! string as it stands, `null` for no type, else the object as compact JSON. So it can be written back as it
//! came. Pointers to records in records keep their `length` in that object.

use serde_json::{Map, Value};

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::Connector;
use crate::scalar::{DType, StructDef, StructId, Type};

use super::json::{self, Within, missing, object, pairs, text, unexpected};
use super::read::Reader;
use super::write::{Writer, object as entries};

/// How deep typeclasses may nest in each other.
const MAX_DEPTH: usize = 64;

/// Key under which a pointer field of a record keeps how many elements it points to.
const LENGTH: &str = "length";

/// Other spellings of plain types: Python's own types and C's.
const ALIASES: [(&str, DType); 9] = [
    ("int", DType::I64),
    ("float", DType::F64),
    ("complex", DType::C128),
    ("intc", DType::I32),
    ("uintc", DType::U32),
    ("longlong", DType::I64),
    ("ulonglong", DType::U64),
    ("intp", DType::I64),
    ("uintp", DType::U64),
];

/// Strings that name types Pelton carries without computing with them.
const CARRIED: [&str; 3] = ["string", "pyobject", "void"];

impl Reader {
    /// A typeclass.
    pub(super) fn typeclass(&mut self, value: Value) -> Result<Type> {
        self.typeclass_within(value, MAX_DEPTH)
    }

    fn typeclass_within(&mut self, value: Value, depth: usize) -> Result<Type> {
        if depth == 0 {
            return Err(too_deep());
        }
        match value {
            Value::Null => Ok(Type::Opaque(self.name("null"))),
            Value::String(name) => self.plain(&name),
            Value::Object(ref entries) => match entries.get("type").and_then(Value::as_str) {
                Some("vector") => self.vector(value, depth),
                Some("struct") => self.record(object(value)?, depth),
                Some("pointer" | "callback" | "opaque" | "string") => self.opaque(&value),
                Some(other) => {
                    let known = ["pointer", "vector", "struct", "callback", "opaque", "string"];
                    Err(json::unknown("type", other, &known))
                }
                None => Err(missing("type")),
            },
            other => Err(unexpected("a type: a string or an object with `type`", &other)),
        }
    }

    fn plain(&mut self, name: &str) -> Result<Type> {
        if let Some(dtype) = DType::from_name(name) {
            return Ok(Type::Scalar(dtype));
        }
        if let Some((_, dtype)) = ALIASES.into_iter().find(|(alias, _)| *alias == name) {
            return Ok(Type::Scalar(dtype));
        }
        if CARRIED.contains(&name) {
            return Ok(Type::Opaque(self.name(name)));
        }
        Err(json::unknown("type", name, &DType::ALL.map(DType::name)))
    }

    fn opaque(&mut self, value: &Value) -> Result<Type> {
        if json::depth_exceeds(value, MAX_DEPTH) {
            return Err(too_deep());
        }
        Ok(Type::Opaque(self.name(&value.to_string())))
    }

    /// `{"type": "vector", "dtype": ..., "elements": "4"}`. Vectors of symbolic length or of anything but
    /// numbers are carried.
    fn vector(&mut self, value: Value, depth: usize) -> Result<Type> {
        let dtype = value.get("dtype").cloned().ok_or_else(|| missing("dtype"))?;
        let lanes = match value.get("elements") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(Value::Number(number)) => number.as_u64().and_then(|lanes| u16::try_from(lanes).ok()),
            Some(other) => return Err(unexpected("a number of elements", other).at("elements")),
            None => return Err(missing("elements")),
        };
        match (self.typeclass_within(dtype, depth - 1).within(|| "dtype".into())?, lanes) {
            (Type::Scalar(dtype), Some(lanes)) if lanes > 0 => Ok(Type::Vector(dtype, lanes)),
            _ => self.opaque(&value),
        }
    }

    /// `{"type": "struct", "name": ..., "data": [[field, type], ...], "length": [[field, count], ...]}`.
    fn record(&mut self, record: Map<String, Value>, depth: usize) -> Result<Type> {
        let mut name = None;
        let mut data = Vec::new();
        let mut lengths = Vec::new();
        for (key, value) in record {
            match key.as_str() {
                "name" => name = Some(text(value).within(|| key)?),
                "data" => data = pairs(value).within(|| key)?,
                "length" => lengths = pairs(value).within(|| key)?,
                _ => {}
            }
        }
        let name = name.ok_or_else(|| missing("name"))?;
        let mut fields: Vec<(Name, Type)> = Vec::with_capacity(data.len());
        for (field, mut value) in data {
            let length = lengths.iter().find(|(key, _)| *key == field);
            if let (Value::Object(entries), Some((_, length))) = (&mut value, length) {
                entries.insert(LENGTH.into(), length.clone());
            }
            let ty = self.typeclass_within(value, depth - 1).within(|| format!("field `{field}`"))?;
            let id = self.name(&field);
            if fields.iter().any(|(known, _)| *known == id) {
                return Err(Diagnostic::error("P0104", format!("two fields are called `{field}`"))
                    .at(format!("struct `{name}`")));
            }
            fields.push((id, ty));
        }
        let name = self.name(&name);
        let definition = StructDef::with_c_layout(name, &fields, self.structs());
        Ok(Type::Struct(self.struct_id(definition)))
    }

    /// The id of a record type; equal definitions share one.
    fn struct_id(&mut self, definition: StructDef) -> StructId {
        let candidates = self.records.entry(definition.name).or_default();
        let structs = &mut self.program.structs;
        if let Some(&known) = candidates.iter().find(|&&id| structs.get(id) == Some(&definition)) {
            return known;
        }
        let id = structs.push(definition);
        candidates.push(id);
        id
    }

    /// The type of a connector: null is inferred, a pointer says so.
    pub(super) fn connector(&mut self, value: Value) -> Result<Connector> {
        match value {
            Value::Null => Ok(Connector::default()),
            Value::Object(mut pointer) if pointer.get("type").and_then(Value::as_str) == Some("pointer") => {
                let target = pointer.swap_remove("dtype").ok_or_else(|| missing("dtype"))?;
                Ok(Connector { ty: Some(self.typeclass(target)?), pointer: true })
            }
            other => Ok(Connector { ty: Some(self.typeclass(other)?), pointer: false }),
        }
    }
}

fn too_deep() -> Diagnostic {
    Diagnostic::error("P0004", format!("types nest more than {MAX_DEPTH} deep"))
}

impl Writer<'_> {
    /// A type as a typeclass.
    pub(super) fn typeclass(&self, ty: Type) -> Value {
        match ty {
            Type::Scalar(dtype) => dtype.name().into(),
            Type::Vector(dtype, lanes) => entries([
                ("type", "vector".into()),
                ("dtype", dtype.name().into()),
                ("elements", lanes.to_string().into()),
            ]),
            Type::Struct(id) => {
                self.program.structs.get(id).map_or(Value::Null, |record| self.record(record))
            }
            Type::Opaque(name) => match self.program.names.get(name) {
                "null" => Value::Null,
                object if object.starts_with('{') => {
                    serde_json::from_str(object).unwrap_or_else(|_| object.into())
                }
                plain => plain.into(),
            },
        }
    }

    fn record(&self, record: &StructDef) -> Value {
        let mut data = Vec::new();
        let mut lengths = Vec::new();
        for field in &record.fields {
            let mut ty = self.typeclass(field.ty);
            let name = self.name(field.name);
            if let Some(length) = ty.as_object_mut().and_then(|entries| entries.shift_remove(LENGTH)) {
                lengths.push(Value::Array(vec![name.clone(), length]));
            }
            data.push(Value::Array(vec![name, ty]));
        }
        let bytes: usize = record.fields.iter().map(|field| field.ty.bytes(&self.program.structs)).sum();
        entries([
            ("type", "struct".into()),
            ("name", self.name(record.name)),
            ("data", data.into()),
            ("length", lengths.into()),
            ("bytes", bytes.into()),
        ])
    }

    /// A connector's type.
    pub(super) fn connector(&self, connector: Connector) -> Value {
        let ty = connector.ty.map_or(Value::Null, |ty| self.typeclass(ty));
        if connector.pointer { entries([("type", "pointer".into()), ("dtype", ty)]) } else { ty }
    }
}
