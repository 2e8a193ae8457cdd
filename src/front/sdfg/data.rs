//! Data descriptors: the containers of a graph.
//!
//! What is absent has a default: `dtype` is `int32`, `storage` is `Default`, `lifetime` is `Scope`, strides
//! are row-major, the total size is the product of the shape. A tensor is a structure with properties of its
//! own; those are kept, and so is its class.

use serde_json::{Map, Value};

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::{Array, Data, DataKind, Extra, Lifetime, ScalarData, Storage, Stream, Structure};
use crate::scalar::Type;
use crate::symbolic::ExprId;

use super::json::{
    Element, Within, enumerator, flag, keep, keep_beside, missing, object, optional_flag, optional_text,
    pairs, unknown,
};
use super::read::Reader;
use super::write::{self, Writer, object as entries, set, with_beside, with_extra};

/// How deep structures and container arrays may nest in each other.
const MAX_DEPTH: usize = 64;

const CLASSES: [&str; 12] = [
    "Array",
    "Scalar",
    "Stream",
    "ArrayView",
    "ArrayReference",
    "Structure",
    "StructureView",
    "StructureReference",
    "ContainerArray",
    "ContainerView",
    "ContainerArrayReference",
    "Tensor",
];

const LIFETIMES: [(&str, Lifetime); 6] = [
    ("Scope", Lifetime::Scope),
    ("State", Lifetime::State),
    ("SDFG", Lifetime::Graph),
    ("Global", Lifetime::Global),
    ("Persistent", Lifetime::Persistent),
    ("External", Lifetime::External),
];

/// What a class of descriptors is made of.
#[derive(Clone, Copy, PartialEq)]
enum Family {
    Scalar,
    Array,
    Stream,
    Structure,
    Containers,
}

fn family(class: &str) -> Result<Family> {
    match class {
        "Scalar" => Ok(Family::Scalar),
        // `ParameterArray` is an array with the name of its gradient; `View` and `Reference` are old names.
        "Array" | "ArrayView" | "View" | "ArrayReference" | "Reference" | "ParameterArray" => {
            Ok(Family::Array)
        }
        "Stream" => Ok(Family::Stream),
        "Structure" | "StructureView" | "StructureReference" | "Tensor" => Ok(Family::Structure),
        "ContainerArray" | "ContainerView" | "ContainerArrayReference" => Ok(Family::Containers),
        "ProcessGrid" | "SubArray" | "RedistrArray" => {
            Err(Diagnostic::error("P0013", format!("`{class}`: distributed containers are not supported")))
        }
        _ => Err(unknown("container", class, &CLASSES)),
    }
}

/// Properties as they are met.
struct Parts {
    family: Family,
    ty: Option<Type>,
    array: Array,
    strides: Option<Vec<ExprId>>,
    buffer_size: Option<ExprId>,
    structure: Structure,
    element: Option<Data>,
    transient: bool,
    storage: Storage,
    lifetime: Lifetime,
    extra: Extra,
}

impl Reader {
    /// `{"type": class, "attributes": {...}}`.
    pub(super) fn data(&mut self, value: Value) -> Result<Data> {
        self.data_within(value, MAX_DEPTH)
    }

    fn data_within(&mut self, value: Value, depth: usize) -> Result<Data> {
        if depth == 0 {
            return Err(Diagnostic::error("P0004", format!("containers nest more than {MAX_DEPTH} deep")));
        }
        let Element { class, attributes, mut beside } = Element::of(value)?;
        let mut parts = Parts {
            family: family(&class)?,
            ty: None,
            array: Array::default(),
            strides: None,
            buffer_size: None,
            structure: Structure::default(),
            element: None,
            transient: false,
            storage: Storage::Default,
            lifetime: Lifetime::Scope,
            extra: Extra::new(),
        };
        for (key, value) in attributes {
            self.data_property(&mut parts, &key, value, depth).within(|| key)?;
        }
        if matches!(class.as_str(), "Tensor" | "ParameterArray") {
            beside.insert("type".into(), class.as_str().into());
        }
        keep_beside(&mut parts.extra, beside);
        self.assemble(&class, parts)
    }

    fn data_property(&mut self, parts: &mut Parts, key: &str, value: Value, depth: usize) -> Result<()> {
        let family = parts.family;
        let strided = matches!(family, Family::Array | Family::Containers);
        match key {
            "dtype" if family == Family::Structure => {
                // A pointer to the record; kept, because the record says more than its layout.
                let record = value.get("dtype").cloned().unwrap_or(Value::Null);
                parts.ty = Some(self.typeclass(record)?);
                keep(&mut parts.extra, key.into(), value)?;
            }
            "dtype" => {
                parts.ty = Some(self.typeclass(value.clone())?);
                if family == Family::Containers {
                    keep(&mut parts.extra, key.into(), value)?;
                }
            }
            "shape" => parts.array.shape = self.expressions(&value)?,
            "transient" => parts.transient = flag(value)?,
            "storage" => {
                parts.storage = storage_of(enumerator(&value)?);
                if value.is_object() {
                    keep(&mut parts.extra, key.into(), value)?;
                }
            }
            "lifetime" => {
                let name = enumerator(&value)?;
                let found = LIFETIMES.into_iter().find(|(known, _)| *known == name);
                let known = || unknown("lifetime", name, &LIFETIMES.map(|(name, _)| name));
                parts.lifetime = found.map(|(_, lifetime)| lifetime).ok_or_else(known)?;
                if value.is_object() {
                    keep(&mut parts.extra, key.into(), value)?;
                }
            }
            "strides" if strided => parts.strides = Some(self.expressions(&value)?),
            "offset" if strided || family == Family::Stream => {
                parts.array.offset = self.expressions(&value)?;
            }
            "total_size" if strided => parts.array.total_size = self.nonzero(&value)?,
            "start_offset" if strided => parts.array.start_offset = self.nonzero(&value)?,
            "optional" if strided => parts.array.optional = optional_flag(value)?,
            "may_alias" if strided => parts.array.may_alias = flag(value)?,
            "buffer_size" if family == Family::Stream => {
                parts.buffer_size = Some(self.expression(&value)?);
            }
            "stype" if family == Family::Containers => {
                parts.element = Some(self.data_within(value, depth - 1)?);
            }
            "name" if family == Family::Structure => {
                parts.structure.name = optional_text(value)?.map(|name| self.name(&name));
            }
            "members" if family == Family::Structure => {
                parts.structure.members = self.members(value, depth)?
            }
            _ => keep(&mut parts.extra, key.into(), value)?,
        }
        Ok(())
    }

    fn members(&mut self, value: Value, depth: usize) -> Result<Vec<(Name, Data)>> {
        let mut members: Vec<(Name, Data)> = Vec::new();
        for (text, value) in pairs(value)? {
            let name = self.name(&text);
            if members.iter().any(|(known, _)| *known == name) {
                return Err(Diagnostic::error("P0104", format!("two members are called `{text}`")));
            }
            let member = self.data_within(value, depth - 1).within(|| format!("member `{text}`"))?;
            members.push((name, member));
        }
        Ok(members)
    }

    /// An expression, or nothing for zero and null.
    fn nonzero(&mut self, value: &Value) -> Result<Option<ExprId>> {
        if value.is_null() {
            return Ok(None);
        }
        let id = self.expression(value)?;
        Ok((self.program.exprs.as_int(id) != Some(0)).then_some(id))
    }

    fn assemble(&mut self, class: &str, parts: Parts) -> Result<Data> {
        let Parts { family, ty, mut array, strides, buffer_size, structure, element, .. } = parts;
        if matches!(family, Family::Array | Family::Containers) {
            let rank = array.shape.len();
            array.strides = match strides {
                Some(strides) if !strides.is_empty() => strides,
                _ => self.row_major(&array.shape),
            };
            for (key, found) in [("strides", array.strides.len()), ("offset", array.offset.len())] {
                if found != rank && !(found == 0 && key == "offset") {
                    return Err(Diagnostic::error("P0106", format!("{found} {key} for {rank} dimensions"))
                        .with_note(format!("`{key}` has one entry per entry of `shape`")));
                }
            }
        }
        let kind = match (family, class) {
            (Family::Scalar, _) => DataKind::Scalar(ScalarData {}),
            (Family::Array, "ArrayView" | "View") => DataKind::View(array),
            (Family::Array, "ArrayReference" | "Reference") => DataKind::Reference(array),
            (Family::Array, _) => DataKind::Array(array),
            (Family::Stream, _) => {
                DataKind::Stream(Stream { shape: array.shape, buffer_size, offset: array.offset })
            }
            (Family::Structure, "StructureView") => DataKind::StructureView(structure),
            (Family::Structure, "StructureReference") => DataKind::StructureReference(structure),
            (Family::Structure, _) => DataKind::Structure(structure),
            (Family::Containers, _) => {
                let element = Box::new(element.ok_or_else(|| missing("stype"))?);
                match class {
                    "ContainerView" => DataKind::ContainerView { array, element },
                    "ContainerArrayReference" => DataKind::ContainerReference { array, element },
                    _ => DataKind::ContainerArray { array, element },
                }
            }
        };
        Ok(Data {
            ty: ty.unwrap_or(Type::I32),
            kind,
            transient: parts.transient,
            storage: parts.storage,
            lifetime: parts.lifetime,
            extra: parts.extra,
        })
    }

    fn row_major(&mut self, shape: &[ExprId]) -> Vec<ExprId> {
        let mut stride = self.program.exprs.int(1);
        let mut strides = vec![stride; shape.len()];
        for (slot, &extent) in strides.iter_mut().zip(shape).rev() {
            *slot = stride;
            stride = self.program.exprs.mul(stride, extent);
        }
        strides
    }

    /// `{name: descriptor, ...}`.
    pub(super) fn containers(&mut self, value: Value) -> Result<indexmap::IndexMap<Name, Data>> {
        let containers = object(value)?;
        let mut data = indexmap::IndexMap::with_capacity(containers.len());
        for (name, value) in containers {
            let container = self.data(value).within(|| format!("container `{name}`"))?;
            data.insert(self.name(&name), container);
        }
        Ok(data)
    }
}

fn storage_of(name: &str) -> Storage {
    match name {
        "Default" => Storage::Default,
        "Register" => Storage::Register,
        "CPU_Heap" => Storage::Heap,
        "CPU_ThreadLocal" => Storage::ThreadLocal,
        other => Storage::Other(other.into()),
    }
}

fn storage_name(storage: &Storage) -> &str {
    match storage {
        Storage::Default => "Default",
        Storage::Register => "Register",
        Storage::Heap => "CPU_Heap",
        Storage::ThreadLocal => "CPU_ThreadLocal",
        Storage::Other(name) => name,
    }
}

impl Writer<'_> {
    /// A descriptor.
    pub(super) fn data(&mut self, data: &Data) -> Value {
        let mut attributes = Map::new();
        let class = match &data.kind {
            DataKind::Scalar(_) => {
                set(&mut attributes, "shape", vec!["1"]);
                "Scalar"
            }
            DataKind::Array(array) => self.array(&mut attributes, array, "Array"),
            DataKind::View(array) => self.array(&mut attributes, array, "ArrayView"),
            DataKind::Reference(array) => self.array(&mut attributes, array, "ArrayReference"),
            DataKind::Stream(stream) => self.stream(&mut attributes, stream),
            DataKind::Structure(structure) => self.structure(&mut attributes, structure, "Structure"),
            DataKind::StructureView(structure) => self.structure(&mut attributes, structure, "StructureView"),
            DataKind::StructureReference(structure) => {
                self.structure(&mut attributes, structure, "StructureReference")
            }
            DataKind::ContainerArray { array, element } => {
                self.containers_of(&mut attributes, array, element, "ContainerArray")
            }
            DataKind::ContainerView { array, element } => {
                self.containers_of(&mut attributes, array, element, "ContainerView")
            }
            DataKind::ContainerReference { array, element } => {
                self.containers_of(&mut attributes, array, element, "ContainerArrayReference")
            }
        };
        if !data.extra.contains_key("dtype") {
            let ty = self.typeclass(data.ty);
            let is_structure = class.starts_with("Structure");
            let dtype = if is_structure { entries([("type", "pointer".into()), ("dtype", ty)]) } else { ty };
            set(&mut attributes, "dtype", dtype);
        }
        if data.transient {
            set(&mut attributes, "transient", true);
        }
        if data.storage != Storage::Default {
            let storage = write::enumerator(&data.extra, "storage", storage_name(&data.storage));
            set(&mut attributes, "storage", storage);
        }
        if data.lifetime != Lifetime::Scope {
            let name = LIFETIMES.into_iter().find(|(_, known)| *known == data.lifetime);
            let name = name.map_or("Scope", |(name, _)| name);
            set(&mut attributes, "lifetime", write::enumerator(&data.extra, "lifetime", name));
        }
        // A structure that is a tensor says so beside its attributes.
        let class = write::beside_or(&data.extra, "type", class);
        let element = entries([("type", class), ("attributes", with_extra(attributes, &data.extra))]);
        with_beside(element, &data.extra)
    }

    fn array<'c>(&mut self, attributes: &mut Extra, array: &Array, class: &'c str) -> &'c str {
        let shape = self.expressions(&array.shape);
        set(attributes, "shape", shape);
        let strides = self.expressions(&array.strides);
        set(attributes, "strides", strides);
        if let Some(size) = array.total_size {
            let size = self.expression(size);
            set(attributes, "total_size", size);
        }
        if array.offset.is_empty() {
            set(attributes, "offset", vec!["0"; array.shape.len()]);
        } else {
            let offset = self.expressions(&array.offset);
            set(attributes, "offset", offset);
        }
        if let Some(start) = array.start_offset {
            let start = match self.program.exprs.as_int(start) {
                Some(start) => start.into(),
                None => self.expression(start),
            };
            set(attributes, "start_offset", start);
        }
        if let Some(optional) = array.optional {
            set(attributes, "optional", optional);
        }
        if array.may_alias {
            set(attributes, "may_alias", true);
        }
        class
    }

    fn stream(&mut self, attributes: &mut Extra, stream: &Stream) -> &'static str {
        let shape = self.expressions(&stream.shape);
        set(attributes, "shape", shape);
        if let Some(size) = stream.buffer_size {
            let size = self.expression(size);
            set(attributes, "buffer_size", size);
        }
        if stream.offset.is_empty() {
            set(attributes, "offset", vec!["0"; stream.shape.len()]);
        } else {
            let offset = self.expressions(&stream.offset);
            set(attributes, "offset", offset);
        }
        "Stream"
    }

    fn structure<'c>(&mut self, attributes: &mut Extra, structure: &Structure, class: &'c str) -> &'c str {
        let mut members = Vec::with_capacity(structure.members.len());
        for (name, member) in &structure.members {
            members.push(Value::Array(vec![self.name(*name), self.data(member)]));
        }
        set(attributes, "members", members);
        if let Some(name) = structure.name {
            set(attributes, "name", self.name(name));
        }
        set(attributes, "shape", vec!["1"]);
        class
    }

    fn containers_of<'c>(
        &mut self,
        attributes: &mut Extra,
        array: &Array,
        element: &Data,
        class: &'c str,
    ) -> &'c str {
        let element = self.data(element);
        set(attributes, "stype", element);
        self.array(attributes, array, class)
    }

    /// All containers of a graph.
    pub(super) fn containers(&mut self, data: &indexmap::IndexMap<Name, Data>) -> Value {
        let mut containers = Map::new();
        for (name, data) in data {
            let data = self.data(data);
            containers.insert(self.program.names.get(*name).into(), data);
        }
        Value::Object(containers)
    }
}
