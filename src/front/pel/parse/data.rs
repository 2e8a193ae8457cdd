//! Types, containers and constants.

use crate::diag::Result;
use crate::entity::{EntityId, Name};
use crate::ir::builder::row_major;
use crate::ir::{Array, Data, DataKind, Extra, Lifetime, ScalarData, Storage, Stream, Structure};
use crate::scalar::{DType, Scalar, StructId, Type};
use crate::symbolic::ExprId;

use super::super::words::dtype_from;
use super::Parser;

const KINDS: [&str; 8] = [
    "view",
    "reference",
    "stream",
    "structure",
    "structure_view",
    "structure_reference",
    "container_array",
    "container_view",
];

/// Clauses after a container's type, as far as they are known.
#[derive(Default)]
struct Layout {
    strides: Option<Vec<ExprId>>,
    total: Option<ExprId>,
    offset: Vec<ExprId>,
    start: Option<ExprId>,
    buffer: Option<ExprId>,
    optional: Option<bool>,
    may_alias: bool,
    name: Option<Name>,
    storage: Storage,
    lifetime: Lifetime,
    extra: Extra,
}

impl Parser<'_> {
    /// A type: `f64`, `f32x4`, `struct NAME`, `opaque NAME`.
    pub(super) fn ty(&mut self) -> Result<Type> {
        self.cursor.skip();
        let start = self.cursor.position();
        if self.cursor.eat_word("opaque") {
            let name = self.cursor.name("the type's name")?;
            return Ok(Type::Opaque(self.program.names.intern(&name)));
        }
        if self.cursor.eat_word("struct") {
            return self.struct_reference();
        }
        let word = self.cursor.name("a type such as `f64`")?;
        if let Some(dtype) = dtype_from(&word) {
            return Ok(Type::Scalar(dtype));
        }
        if let Some((element, lanes)) = word.rsplit_once('x')
            && let (Some(dtype), Ok(lanes)) = (dtype_from(element), lanes.parse())
        {
            return Ok(Type::Vector(dtype, lanes));
        }
        Err(self
            .cursor
            .error_at(start, "P0042", format!("`{word}` is not a type"))
            .with_note("types: bool, i8..i64, u8..u64, f16, bf16, f8e4m3, f8e5m2, f32, f64, c64, c128")
            .with_note("also vectors `f32x4`, `struct NAME` and `opaque NAME`"))
    }

    fn struct_reference(&mut self) -> Result<Type> {
        let start = self.cursor.position();
        let id = if self.cursor.eat("%") {
            usize::try_from(self.cursor.integer("a struct's number")?).ok()
        } else {
            let name = self.cursor.name("a struct's name")?;
            let structs = self.program.structs.values();
            let names = &self.program.names;
            structs.map(|definition| names.get(definition.name)).position(|known| known == name)
        };
        match id.filter(|&id| id < self.program.structs.len()) {
            Some(id) => Ok(Type::Struct(StructId::from_index(id))),
            None => Err(self
                .cursor
                .error_at(start, "P0044", "a struct that is not defined")
                .with_help("define it at the top: `struct NAME { x: f64 }`")),
        }
    }

    /// `KIND NAME: type[shape] clauses`.
    pub(super) fn container(&mut self, transient: bool) -> Result<(Name, Data)> {
        let kind = self.kind();
        let name = self.cursor.name("a container's name")?;
        self.cursor.expect(":", "before the container's type")?;
        let data = self.deeper(|parser| parser.descriptor(kind, transient))?;
        Ok((self.program.names.intern(&name), data))
    }

    fn kind(&mut self) -> &'static str {
        let word = self.cursor.peek_word();
        let kinds = KINDS.iter().chain(&["container_reference"]);
        let kind = kinds.copied().find(|kind| *kind == word).unwrap_or("");
        self.cursor.eat_word(kind);
        kind
    }

    fn descriptor(&mut self, kind: &str, transient: bool) -> Result<Data> {
        let ty = self.ty()?;
        let shape = if self.cursor.eat("[") { Some(self.expressions("]")?) } else { None };
        let members = if kind.starts_with("structure") { self.members()? } else { Vec::new() };
        let element = if kind.starts_with("container") { Some(self.element()?) } else { None };
        let clauses = self.clauses()?;
        let (storage, lifetime, extra) = (clauses.storage.clone(), clauses.lifetime, clauses.extra.clone());
        let structure = Structure { name: clauses.name, members };
        let kind = match (kind, shape) {
            ("structure", _) => DataKind::Structure(structure),
            ("structure_view", _) => DataKind::StructureView(structure),
            ("structure_reference", _) => DataKind::StructureReference(structure),
            ("", None) => DataKind::Scalar(ScalarData::default()),
            ("stream", shape) => {
                let one = self.program.exprs.int(1);
                let shape = shape.unwrap_or_else(|| vec![one]);
                DataKind::Stream(Stream { shape, buffer_size: clauses.buffer, offset: clauses.offset })
            }
            (kind, shape) => {
                let array = self.array(shape.unwrap_or_default(), clauses);
                match (kind, element.map(Box::new)) {
                    ("view", _) => DataKind::View(array),
                    ("reference", _) => DataKind::Reference(array),
                    ("container_array", Some(element)) => DataKind::ContainerArray { array, element },
                    ("container_view", Some(element)) => DataKind::ContainerView { array, element },
                    ("container_reference", Some(element)) => DataKind::ContainerReference { array, element },
                    _ => DataKind::Array(array),
                }
            }
        };
        Ok(Data { ty, kind, transient, storage, lifetime, extra })
    }

    fn array(&mut self, shape: Vec<ExprId>, clauses: Layout) -> Array {
        let (strides, total) = row_major(&mut self.program.exprs, &shape);
        Array {
            strides: clauses.strides.unwrap_or(strides),
            total_size: Some(clauses.total.unwrap_or(total)),
            offset: clauses.offset,
            start_offset: clauses.start,
            optional: clauses.optional,
            may_alias: clauses.may_alias,
            shape,
        }
    }

    fn members(&mut self) -> Result<Vec<(Name, Data)>> {
        self.cursor.expect("{", "to open the structure's members")?;
        let mut members = Vec::new();
        while !self.cursor.eat("}") {
            let transient = self.cursor.eat_word("transient");
            members.push(self.container(transient)?);
            self.comma_or("}")?;
        }
        Ok(members)
    }

    fn element(&mut self) -> Result<Data> {
        if !self.cursor.eat_word("of") {
            return Err(self.cursor.unexpected("`of (...)` with what each element is"));
        }
        self.cursor.expect("(", "to open the element's description")?;
        let transient = self.cursor.eat_word("transient");
        let kind = self.kind();
        let element = self.deeper(|parser| parser.descriptor(kind, transient))?;
        self.cursor.expect(")", "to close the element's description")?;
        Ok(element)
    }

    fn clauses(&mut self) -> Result<Layout> {
        let mut layout = Layout::default();
        loop {
            let start = self.cursor.position();
            let word = self.cursor.peek_word();
            self.cursor.eat_word(word);
            match word {
                "strides" => layout.strides = Some(self.expressions_in_parentheses()?),
                "total" => layout.total = Some(self.symbolic_in_parentheses()?),
                "offset" => layout.offset = self.expressions_in_parentheses()?,
                "begins" => layout.start = Some(self.symbolic_in_parentheses()?),
                "buffer" => layout.buffer = Some(self.symbolic_in_parentheses()?),
                "optional" => layout.optional = Some(true),
                "required" => layout.optional = Some(false),
                "may_alias" => layout.may_alias = true,
                "named" => {
                    self.cursor.expect("(", "before the structure's name")?;
                    let name = self.cursor.name("the structure's name")?;
                    layout.name = Some(self.program.names.intern(&name));
                    self.cursor.expect(")", "after the structure's name")?;
                }
                "register" => layout.storage = Storage::Register,
                "heap" => layout.storage = Storage::Heap,
                "thread_local" => layout.storage = Storage::ThreadLocal,
                "storage" => {
                    self.cursor.expect("(", "before the storage's name")?;
                    layout.storage = Storage::Other(self.cursor.string("a storage in quotes")?.into());
                    self.cursor.expect(")", "after the storage's name")?;
                }
                "lifetime" => {
                    self.cursor.expect("(", "before the lifetime")?;
                    let word = self.cursor.name("a lifetime")?;
                    layout.lifetime = match word.as_str() {
                        "scope" => Lifetime::Scope,
                        "state" => Lifetime::State,
                        "graph" => Lifetime::Graph,
                        "global" => Lifetime::Global,
                        "persistent" => Lifetime::Persistent,
                        "external" => Lifetime::External,
                        other => {
                            let known = ["scope", "state", "graph", "global", "persistent", "external"];
                            return Err(self.unknown(other, "a lifetime", &known));
                        }
                    };
                    self.cursor.expect(")", "after the lifetime")?;
                }
                _ => {
                    self.cursor.rewind(start);
                    layout.extra = self.extra()?;
                    return Ok(layout);
                }
            }
        }
    }

    /// Expressions up to `close`, which is taken.
    fn expressions(&mut self, close: &str) -> Result<Vec<ExprId>> {
        let mut list = Vec::new();
        while !self.cursor.eat(close) {
            list.push(self.symbolic()?);
            self.comma_or(close)?;
        }
        Ok(list)
    }

    fn expressions_in_parentheses(&mut self) -> Result<Vec<ExprId>> {
        self.cursor.expect("(", "before a list of expressions")?;
        self.expressions(")")
    }

    /// `[v, v, ...]`, or one value.
    pub(super) fn constant_values(&mut self, data: &Data) -> Result<Vec<Scalar>> {
        let Some(dtype) = data.ty.scalar() else {
            return Err(self.cursor.error("P0042", "a constant is made of numbers"));
        };
        if !self.cursor.eat("[") {
            return Ok(vec![self.number(dtype)?]);
        }
        let mut values = Vec::new();
        while !self.cursor.eat("]") {
            values.push(self.number(dtype)?);
            self.comma_or("]")?;
        }
        Ok(values)
    }

    fn number(&mut self, dtype: DType) -> Result<Scalar> {
        self.cursor.skip();
        let start = self.cursor.position();
        let value = if self.cursor.eat("(") {
            let re = self.cursor.literal();
            self.cursor.expect(",", "between real and imaginary part")?;
            let im = self.cursor.literal();
            self.cursor.expect(")", "after the imaginary part")?;
            super::super::number::complex_from_text(dtype, re, im)
        } else {
            super::super::number::scalar_from_text(dtype, self.cursor.literal())
        };
        value.ok_or_else(|| self.cursor.error_at(start, "P0048", format!("not a {} that fits", dtype.name())))
    }
}
