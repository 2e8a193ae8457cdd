//! Writing `gtir-json/1`: types on parameters and literals, which is all a reader may depend on.

use std::fmt::Write as _;
use std::io::Write as _;

use hashbrown::HashMap;
use serde_json::{Value, json};

use crate::entity::EntityId;
use crate::scalar::{DType, Scalar};

use super::ast::{Dimension, OffsetLabel, Program, Stmt, Term, TermId, Type, TypeId};
use super::json::SCHEMA;

/// The document of a program, compressed if `gz`. The same program gives the same bytes.
pub fn write(program: &Program, gz: bool) -> Vec<u8> {
    let text = Writer { program, scalars: HashMap::new(), extra: Vec::new() }.document();
    if !gz {
        return text.into_bytes();
    }
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::default());
    // Writing to memory does not fail.
    drop(encoder.write_all(text.as_bytes()));
    encoder.finish().unwrap_or_default()
}

struct Writer<'p> {
    program: &'p Program,
    /// Places in the type table of the types of literals.
    scalars: HashMap<Option<DType>, usize>,
    /// Types of literals that the program's own table does not have.
    extra: Vec<Value>,
}

/// What is left to write, next last.
enum Piece {
    Term(TermId),
    Text(String),
}

impl Writer<'_> {
    fn document(mut self) -> String {
        for (id, ty) in self.program.types.iter() {
            match ty {
                Type::Scalar(dtype) => drop(self.scalars.insert(Some(*dtype), id.index())),
                Type::Text => drop(self.scalars.insert(None, id.index())),
                _ => {}
            }
        }
        let program = self.program;
        let name = |name| Value::from(program.text(name));
        let params: Vec<Value> = (program.params.iter())
            .map(|param| match param.ty {
                Some(ty) => json!({"id": name(param.name), "t": ty.index()}),
                None => json!({"id": name(param.name)}),
            })
            .collect();
        let mut out = format!(
            r#"{{"schema":"{SCHEMA}","program":{{"id":{},"params":{},"fundefs":["#,
            Value::from(program.name.as_str()),
            Value::from(params)
        );
        for (number, function) in program.functions.iter().enumerate() {
            let params: Vec<Value> =
                function.params.iter().map(|&param| json!({"id": name(param)})).collect();
            let lead = if number > 0 { "," } else { "" };
            let _ = write!(
                out,
                r#"{lead}{{"id":{},"params":{},"expr":"#,
                name(function.name),
                Value::from(params)
            );
            self.term(function.body, &mut out);
            out.push('}');
        }
        out.push_str(r#"],"declarations":["#);
        for (number, temporary) in program.temporaries.iter().enumerate() {
            let lead = if number > 0 { "," } else { "" };
            let _ = write!(out, r#"{lead}{{"id":{},"domain":"#, name(temporary.name));
            self.term(temporary.domain, &mut out);
            if let Some(ty) = temporary.dtype {
                let _ = write!(out, r#","t":{}"#, ty.index());
            }
            out.push('}');
        }
        out.push_str(r#"],"body":["#);
        self.statements(&program.body, &mut out);
        let mut types: Vec<Value> = program.types.ids().map(|id| self.ty(id)).collect();
        types.append(&mut self.extra);
        let _ = write!(out, r#"]}},"types":{}}}"#, Value::from(types));
        out.push('\n');
        out
    }

    /// Statements nest as deep as the reader that made them allows.
    fn statements(&mut self, statements: &[Stmt], out: &mut String) {
        for (number, statement) in statements.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            match statement {
                Stmt::SetAt { value, domain, target } => {
                    out.push_str(r#"{"k":"set_at","expr":"#);
                    self.term(*value, out);
                    out.push_str(r#","domain":"#);
                    self.term(*domain, out);
                    out.push_str(r#","target":"#);
                    self.term(*target, out);
                }
                Stmt::If { condition, then, otherwise } => {
                    out.push_str(r#"{"k":"if_stmt","cond":"#);
                    self.term(*condition, out);
                    out.push_str(r#","then":["#);
                    self.statements(then, out);
                    out.push_str(r#"],"else":["#);
                    self.statements(otherwise, out);
                    out.push(']');
                }
            }
            out.push('}');
        }
    }

    /// A term of any depth.
    fn term(&mut self, root: TermId, out: &mut String) {
        let mut pieces = vec![Piece::Term(root)];
        while let Some(piece) = pieces.pop() {
            match piece {
                Piece::Text(text) => out.push_str(&text),
                Piece::Term(id) => {
                    let program = self.program;
                    match program.terms.get(id) {
                        Some(Term::Call { callee, args }) => {
                            out.push_str(r#"{"k":"call","fun":"#);
                            pieces.push(Piece::Text("]}".into()));
                            for (number, &arg) in args.iter().enumerate().rev() {
                                pieces.push(Piece::Term(arg));
                                if number > 0 {
                                    pieces.push(Piece::Text(",".into()));
                                }
                            }
                            pieces.push(Piece::Text(r#","args":["#.into()));
                            pieces.push(Piece::Term(*callee));
                        }
                        Some(Term::Lambda { params, body }) => {
                            let params: Vec<Value> =
                                params.iter().map(|&param| json!({"id": program.text(param)})).collect();
                            let _ = write!(out, r#"{{"k":"lambda","params":{},"expr":"#, Value::from(params));
                            pieces.push(Piece::Text("}".into()));
                            pieces.push(Piece::Term(*body));
                        }
                        Some(leaf) => {
                            let leaf = self.leaf(leaf);
                            let _ = write!(out, "{leaf}");
                        }
                        None => out.push_str("null"),
                    }
                }
            }
        }
    }

    fn leaf(&mut self, term: &Term) -> Value {
        let program = self.program;
        match term {
            Term::Literal(value) => {
                json!({"k": "lit", "v": spelled(*value), "t": self.scalar_type(Some(value.dtype()))})
            }
            Term::Text(text) => json!({"k": "lit", "v": text, "t": self.scalar_type(None)}),
            Term::Infinity(positive) => {
                json!({"k": "inf", "v": if *positive { "POSITIVE" } else { "NEGATIVE" }})
            }
            Term::Offset(OffsetLabel::Name(name)) => json!({"k": "off", "v": program.text(*name)}),
            Term::Offset(OffsetLabel::Index(index)) => json!({"k": "off", "v": index}),
            Term::Axis(dim) => json!({"k": "axis", "v": program.text(dim.name), "kind": dim.kind.name()}),
            Term::CartesianOffset { from, to } => {
                let pair = |dim: &Dimension| json!([program.text(dim.name), dim.kind.name()]);
                json!({"k": "coff", "from": pair(from), "to": pair(to)})
            }
            Term::Ref(name) => json!({"k": "ref", "id": program.text(*name)}),
            Term::Builtin(builtin) => json!({"k": "ref", "id": builtin.name()}),
            Term::None | Term::Lambda { .. } | Term::Call { .. } => json!({"k": "none"}),
        }
    }

    fn scalar_type(&mut self, dtype: Option<DType>) -> usize {
        let next = self.program.types.len() + self.extra.len();
        let place = *self.scalars.entry(dtype).or_insert(next);
        if place == next {
            self.extra.push(json!({"k": "scalar", "dtype": dtype.map_or("string", DType::name)}));
        }
        place
    }

    /// Types hold other types inline; they nest a few levels.
    fn ty(&self, id: TypeId) -> Value {
        let dim = |dim: &Dimension| json!({"name": self.program.text(dim.name), "kind": dim.kind.name()});
        match self.program.types.get(id) {
            Some(Type::Scalar(dtype)) => json!({"k": "scalar", "dtype": dtype.name()}),
            Some(Type::Text) => json!({"k": "scalar", "dtype": "string"}),
            Some(Type::Field { dims, element }) => {
                let dims: Vec<Value> = dims.iter().map(dim).collect();
                json!({"k": "field", "dims": dims, "dtype": self.ty(*element)})
            }
            Some(Type::List { element, offset }) => {
                json!({"k": "list", "elem": self.ty(*element), "offset": offset.as_ref().map(dim)})
            }
            Some(Type::Tuple(types)) => {
                let types: Vec<Value> = types.iter().map(|&ty| self.ty(ty)).collect();
                json!({"k": "tuple", "types": types})
            }
            Some(Type::Other(name)) => json!({"k": self.program.text(*name)}),
            None => json!({"k": "deferred"}),
        }
    }
}

/// Python's spelling of a number.
fn spelled(value: Scalar) -> String {
    match value {
        Scalar::Bool(true) => "True".into(),
        Scalar::Bool(false) => "False".into(),
        Scalar::U64(value) => value.to_string(),
        Scalar::F64(value) if value.is_finite() => format!("{value:?}"),
        Scalar::F32(value) if value.is_finite() => format!("{value:?}"),
        value if value.dtype().is_integral() => value.as_i64().to_string(),
        value => match value.as_f64() {
            value if value.is_nan() => "nan".into(),
            value if value > 0.0 => "inf".into(),
            _ => "-inf".into(),
        },
    }
}
