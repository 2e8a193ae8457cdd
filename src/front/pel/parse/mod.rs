//! Recursive descent over [`Cursor`]: files and graph headers.

mod data;
mod fragment;
mod region;
mod state;
mod sugar;

pub(super) use region::assigned_name;

use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::{Constant, Contract, Data, Extra, Graph, GraphId, Program};
use crate::scalar::types::StructField;
use crate::scalar::{StructDef, Type};
use crate::symbolic::{ExprId, Grammar, SymbolInfo};

use super::cursor::Cursor;
use super::words::NESTING_LIMIT;

/// The program that `text` describes.
pub(super) fn parse(text: &str) -> Result<Program> {
    let mut parser = Parser {
        cursor: Cursor::new(text),
        program: Program::default(),
        graph: None,
        depth: 0,
        inference: None,
    };
    parser.file()?;
    Ok(parser.program)
}

pub(super) struct Parser<'t> {
    cursor: Cursor<'t>,
    program: Program,
    /// The graph being read.
    graph: Option<GraphId>,
    depth: usize,
    /// Set while a text without a program around it is read.
    inference: Option<fragment::Inference>,
}

impl Parser<'_> {
    fn file(&mut self) -> Result<()> {
        loop {
            if self.cursor.eat_word("struct") {
                self.struct_definition()?;
            } else if self.cursor.eat_word("assume") {
                self.assumption()?;
                while self.cursor.eat(",") {
                    self.assumption()?;
                }
            } else {
                break;
            }
        }
        if !self.cursor.eat_word("program") {
            return self.fragment();
        }
        let root = self.graph(true)?;
        self.program.root = Some(root);
        if self.cursor.at_end() { Ok(()) } else { Err(self.cursor.unexpected("the end of the text")) }
    }

    /// `NAME(parameters) clauses { declarations, blocks and edges }`, after `program` or `graph`.
    fn graph(&mut self, is_root: bool) -> Result<GraphId> {
        let id = self.program.graphs.push(Graph::default());
        let outer = self.graph.replace(id);
        self.deeper(|parser| parser.graph_inside(is_root))?;
        self.graph = outer;
        Ok(id)
    }

    fn graph_inside(&mut self, is_root: bool) -> Result<()> {
        let name = self.cursor.name("the program's name")?;
        self.current().name = name;
        if self.cursor.eat("(") {
            let mut order = Vec::new();
            while !self.cursor.eat(")") {
                order.push(self.parameter()?);
                self.comma_or(")")?;
            }
            self.current().arg_names = order;
        }
        loop {
            match self.cursor.peek_word() {
                "args" => {
                    self.cursor.eat_word("args");
                    let order = self.names_in_parentheses()?;
                    self.current().arg_names = order;
                }
                "contract" if is_root => {
                    self.cursor.eat_word("contract");
                    self.cursor.expect("(", "after `contract`")?;
                    self.program.contract = match self.cursor.name("`whole` or `window`")?.as_str() {
                        "whole" => Contract::Whole,
                        "window" => Contract::Window,
                        other => return Err(self.unknown(other, "a contract", &["whole", "window"])),
                    };
                    self.cursor.expect(")", "after the contract")?;
                }
                "version" if is_root => {
                    self.cursor.eat_word("version");
                    self.cursor.expect("(", "after `version`")?;
                    self.program.dace_version = Some(self.cursor.string("a version in quotes")?);
                    self.cursor.expect(")", "after the version")?;
                }
                _ => break,
            }
        }
        let extra = self.extra()?;
        self.current().extra = extra;
        self.cursor.expect("{", "to open the program")?;
        self.declarations()?;
        let body = self.region()?;
        self.current().body = Some(body);
        Ok(())
    }

    fn parameter(&mut self) -> Result<Name> {
        let start = self.cursor.position();
        let name = self.cursor.name("a parameter")?;
        if self.cursor.eat(":") {
            let after = self.cursor.position();
            let ty = self.ty()?;
            if self.cursor.eat_word("symbol") {
                let name = self.program.names.intern(&name);
                self.current().symbols.insert(name, ty);
                return Ok(name);
            }
            self.cursor.rewind(after);
        }
        self.cursor.rewind(start);
        let (name, data) = self.container(false)?;
        self.declare(start, name, data)?;
        Ok(name)
    }

    fn declarations(&mut self) -> Result<()> {
        loop {
            let start = self.cursor.position();
            match self.cursor.peek_word() {
                "symbol" => {
                    self.cursor.eat_word("symbol");
                    let name = self.cursor.name("a symbol's name")?;
                    self.cursor.expect(":", "before the symbol's type")?;
                    let ty = self.ty()?;
                    let name = self.program.names.intern(&name);
                    if self.current().symbols.insert(name, ty).is_some() {
                        return Err(self.declared_twice(start, name));
                    }
                }
                word @ ("transient" | "argument") => {
                    self.cursor.eat_word(word);
                    let (name, data) = self.container(word == "transient")?;
                    self.declare(start, name, data)?;
                }
                "constant" => {
                    self.cursor.eat_word("constant");
                    let transient = self.cursor.eat_word("transient");
                    let (name, data) = self.container(transient)?;
                    self.cursor.expect("=", "before the constant's values")?;
                    let values = self.constant_values(&data)?;
                    if self.current().constants.insert(name, Constant { data, values }).is_some() {
                        return Err(self.declared_twice(start, name));
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn declare(&mut self, at: usize, name: Name, data: Data) -> Result<()> {
        match self.current().data.insert(name, data) {
            None => Ok(()),
            Some(_) => Err(self.declared_twice(at, name)),
        }
    }

    fn declared_twice(&self, at: usize, name: Name) -> Diagnostic {
        let text = format!("`{}` is declared twice", self.program.names.get(name));
        self.cursor.error_at(at, "P0043", text).with_help("give one of them another name")
    }

    /// `struct name { field: type at offset, ... } size bytes`; offsets and size default to C's layout.
    fn struct_definition(&mut self) -> Result<()> {
        let start = self.cursor.position();
        let name = self.cursor.name("the struct's name")?;
        let name = self.program.names.intern(&name);
        self.cursor.expect("{", "to open the struct")?;
        let mut fields = Vec::new();
        let mut offsets: IndexMap<usize, u64> = IndexMap::new();
        let mut bytes = 0usize;
        while !self.cursor.eat("}") {
            let field = self.cursor.name("a field's name")?;
            self.cursor.expect(":", "before the field's type")?;
            let ty = self.ty()?;
            bytes = bytes.saturating_add(ty.bytes(&self.program.structs));
            if self.cursor.eat_word("at") {
                offsets.insert(fields.len(), self.cursor.integer("a byte offset")?);
            }
            fields.push((self.program.names.intern(&field), ty));
            self.comma_or("}")?;
        }
        if bytes > 1 << 32 {
            return Err(self.cursor.error_at(start, "P0048", "a struct is larger than 4 GiB"));
        }
        let mut layout = StructDef::with_c_layout(name, &fields, &self.program.structs);
        let placed = layout.fields.iter_mut().enumerate();
        placed.for_each(|(index, field): (usize, &mut StructField)| {
            if let Some(&offset) = offsets.get(&index) {
                field.offset = usize::try_from(offset).unwrap_or(usize::MAX);
            }
        });
        if self.cursor.eat_word("size") {
            let size = self.cursor.integer("the struct's size in bytes")?;
            layout.bytes = usize::try_from(size)
                .ok()
                .filter(|&size| size <= 1 << 32)
                .ok_or_else(|| self.cursor.error_at(start, "P0048", "a struct is larger than 4 GiB"))?;
        }
        self.program.structs.push(layout);
        Ok(())
    }

    /// `assume name: type assumption assumption ...`, what is known of a symbol in sizes.
    fn assumption(&mut self) -> Result<()> {
        let name = self.cursor.name("a symbol's name")?;
        self.cursor.expect(":", "before the symbol's type")?;
        self.cursor.skip();
        let start = self.cursor.position();
        let Type::Scalar(dtype) = self.ty()? else {
            return Err(self.cursor.error_at(start, "P0042", "a symbol is one number"));
        };
        let mut info = SymbolInfo::of_type(dtype);
        if self.cursor.eat("(") {
            while !self.cursor.eat(")") {
                info = info.assuming(&self.cursor.name("an assumption such as `positive`")?);
                self.comma_or(")")?;
            }
        }
        let name = self.program.names.intern(&name);
        self.program.exprs.declare_symbol(name, info);
        Ok(())
    }

    fn names_in_parentheses(&mut self) -> Result<Vec<Name>> {
        self.cursor.expect("(", "before a list of names")?;
        let mut names = Vec::new();
        while !self.cursor.eat(")") {
            let name = self.cursor.dotted_name("a name")?;
            names.push(self.program.names.intern(&name));
            self.comma_or(")")?;
        }
        Ok(names)
    }

    /// After an element of a list: a comma, or the closing bracket (left for the caller).
    fn comma_or(&mut self, close: &str) -> Result<()> {
        if self.cursor.eat(",") || self.cursor.sees(close) {
            return Ok(());
        }
        Err(self.cursor.unexpected(&format!("`,` or `{close}`")))
    }

    /// `@{json}`, if it comes next.
    fn extra(&mut self) -> Result<Extra> {
        if !self.cursor.eat("@") {
            return Ok(Extra::new());
        }
        match self.cursor.json()? {
            serde_json::Value::Object(extra) => Ok(extra),
            _ => Err(self.cursor.error("P0047", "attributes are a JSON object: `@{...}`")),
        }
    }

    /// A size or index expression.
    fn symbolic(&mut self) -> Result<ExprId> {
        self.cursor.skip();
        let start = self.cursor.position();
        let text = self.cursor.expression("an expression")?;
        self.program.exprs.parse(&mut self.program.names, text, Grammar::Plain).map_err(|problem| {
            self.cursor
                .error_at(start, "P0045", format!("`{text}` is not a size or index expression"))
                .with_note(problem.to_string())
        })
    }

    fn symbolic_in_parentheses(&mut self) -> Result<ExprId> {
        self.cursor.expect("(", "before an expression")?;
        let expr = self.symbolic()?;
        self.cursor.expect(")", "after an expression")?;
        Ok(expr)
    }

    /// Runs `inside` one level deeper, up to [`NESTING_LIMIT`].
    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= NESTING_LIMIT {
            return Err(self.cursor.error("P0046", format!("nested more than {NESTING_LIMIT} levels deep")));
        }
        self.depth += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn unknown(&self, word: &str, what: &str, known: &[&str]) -> Diagnostic {
        self.cursor
            .error("P0042", format!("`{word}` is not {what}"))
            .with_note(format!("expected one of: {}", known.join(", ")))
    }

    /// The graph being read.
    fn current(&mut self) -> &mut Graph {
        let current = self.current_id();
        &mut self.program.graphs[current]
    }

    fn current_id(&self) -> GraphId {
        self.graph.unwrap_or(GraphId(0))
    }
}
