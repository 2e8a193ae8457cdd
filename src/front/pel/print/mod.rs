//! Programs as text that parses back to the same program.

mod data;
mod region;
mod state;

use crate::entity::Name;
use crate::ir::{Contract, Extra, Graph, GraphId, Program};
use crate::scalar::StructDef;
use crate::symbolic::{ExprId, ExprPool, Grammar};

use super::cursor::is_one_expression;
use super::words::{NESTING_LIMIT, name_text, short_name, type_text};

/// How much to print.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Detail {
    /// Everything.
    Full,
    /// Without uninterpreted properties.
    Brief,
}

pub(super) fn print(program: &Program, detail: Detail) -> String {
    let mut printer = Printer {
        program,
        exprs: program.exprs.clone(),
        detail,
        out: String::new(),
        indent: 0,
        depth: 0,
        open: Vec::new(),
    };
    printer.file();
    printer.out
}

pub(super) struct Printer<'p> {
    program: &'p Program,
    /// The program's expressions and those that only the text has (half-open ends).
    exprs: ExprPool,
    detail: Detail,
    out: String,
    indent: usize,
    depth: usize,
    /// Graphs being printed, so that a graph that contains itself ends.
    open: Vec<GraphId>,
}

impl Printer<'_> {
    fn file(&mut self) {
        for (id, definition) in self.program.structs.iter() {
            let text = self.struct_text(definition, id.0 as usize);
            self.line(&text);
        }
        self.assumptions();
        if let Some(root) = self.program.root {
            self.graph("program", "", root);
        }
    }

    fn assumptions(&mut self) {
        let mut lines: Vec<String> = Vec::new();
        for (&name, info) in self.program.exprs.symbol_infos() {
            let mut text = format!("{}: {}", name_text(self.text(name)), short_name(info.dtype));
            if !info.assumptions.is_empty() {
                let list: Vec<String> = info.assumptions.iter().map(|text| name_text(text)).collect();
                text.push_str(&format!(" ({})", list.join(", ")));
            }
            match lines.last_mut() {
                Some(line) if line.len() + text.len() < 100 => line.push_str(&format!(", {text}")),
                _ => lines.push(text),
            }
        }
        for line in lines {
            self.line(&format!("assume {line}"));
        }
    }

    fn struct_text(&self, definition: &StructDef, count: usize) -> String {
        let fields: Vec<(Name, crate::scalar::Type)> =
            definition.fields.iter().map(|field| (field.name, field.ty)).collect();
        let known: crate::scalar::StructTable = self.program.structs.values().take(count).cloned().collect();
        let is_printable = fields.iter().all(|(_, ty)| match ty {
            crate::scalar::Type::Struct(id) => known.get(*id).is_some(),
            _ => true,
        });
        let natural = is_printable.then(|| StructDef::with_c_layout(definition.name, &fields, &known));
        let texts = definition.fields.iter().enumerate().map(|(index, field)| {
            let name = name_text(self.text(field.name));
            let ty = type_text(self.program, field.ty);
            let is_natural =
                natural.as_ref().and_then(|n| n.fields.get(index)).is_some_and(|n| n.offset == field.offset);
            if is_natural { format!("{name}: {ty}") } else { format!("{name}: {ty} at {}", field.offset) }
        });
        let fields = texts.collect::<Vec<_>>().join(", ");
        let size = match natural.is_some_and(|natural| natural.bytes == definition.bytes) {
            true => String::new(),
            false => format!(" size {}", definition.bytes),
        };
        format!("struct {} {{ {fields} }}{size}", name_text(self.text(definition.name)))
    }

    /// `KEYWORD NAME(...) clauses { ... }`, the closing brace on a line of its own; `lead` stands in front.
    fn graph(&mut self, keyword: &str, lead: &str, id: GraphId) {
        let Some(graph) = self.program.graphs.get(id) else {
            return self.line(&format!("{lead}external ; there is no {id}"));
        };
        if self.open.contains(&id) || self.depth >= NESTING_LIMIT {
            return self.line(&format!("{lead}external ; {id} contains itself or nests too deep"));
        }
        self.open.push(id);
        let in_parentheses = arguments_come_first(graph);
        let parameters = if in_parentheses { self.parameters(graph) } else { Vec::new() };
        let mut header = format!("{lead}{keyword} {}", name_text(&graph.name));
        let one_line = parameters.iter().map(|(_, text)| text.len() + 2).sum::<usize>() <= 80;
        let texts: Vec<&str> = parameters.iter().map(|(_, text)| text.as_str()).collect();
        if one_line {
            header.push_str(&format!("({})", texts.join(", ")));
        } else {
            self.line(&format!("{header}("));
            for text in texts {
                self.line(&format!("    {text},"));
            }
            header = ")".to_owned();
        }
        if !parameters.iter().map(|(name, _)| *name).eq(graph.arg_names.iter().copied()) {
            header.push_str(&format!(" args({})", self.names(&graph.arg_names)));
        }
        if keyword == "program" {
            if self.program.contract == Contract::Window {
                header.push_str(" contract(window)");
            }
            if let Some(version) = &self.program.dace_version {
                header.push_str(&format!(" version({})", quoted(version)));
            }
        }
        header.push_str(&self.extra(&graph.extra));
        self.line(&format!("{header} {{"));
        self.nest(|printer| {
            printer.declarations(graph, in_parentheses);
            match graph.body {
                Some(body) => printer.region(graph, body),
                None => printer.line("; no body"),
            }
        });
        self.line("}");
        self.open.pop();
    }

    fn parameters(&mut self, graph: &Graph) -> Vec<(Name, String)> {
        let containers = graph.data.iter().filter(|(_, data)| !data.transient);
        let mut list: Vec<(Name, String)> =
            containers.map(|(&name, data)| (name, self.container_text(name, data))).collect();
        for (&name, &ty) in &graph.symbols {
            let text = format!("{}: {} symbol", name_text(self.text(name)), type_text(self.program, ty));
            list.push((name, text));
        }
        // The declared order of arguments is the order in parentheses, where that names all of them.
        let by_rank = |name: &Name| graph.arg_names.iter().position(|argument| argument == name);
        let order: Vec<usize> = list.iter().filter_map(|(name, _)| by_rank(name)).collect();
        let data_rank: Vec<usize> =
            graph.data.keys().filter(|name| !graph.data[*name].transient).filter_map(by_rank).collect();
        let symbol_rank: Vec<usize> = graph.symbols.keys().filter_map(by_rank).collect();
        let is_complete = order.len() == list.len() && graph.arg_names.len() == list.len();
        if is_complete && data_rank.is_sorted() && symbol_rank.is_sorted() {
            list.sort_by_key(|(name, _)| by_rank(name));
        }
        list
    }

    fn declarations(&mut self, graph: &Graph, in_parentheses: bool) {
        if !in_parentheses {
            for (&name, &ty) in &graph.symbols {
                let text = format!("symbol {}: {}", name_text(self.text(name)), type_text(self.program, ty));
                self.line(&text);
            }
        }
        for (&name, data) in graph.data.iter().filter(|(_, data)| data.transient || !in_parentheses) {
            let word = if data.transient { "transient" } else { "argument" };
            let text = format!("{word} {}", self.container_text(name, data));
            self.line(&text);
        }
        for (&name, constant) in &graph.constants {
            let values: Vec<String> =
                constant.values.iter().map(|&v| super::number::scalar_text(v)).collect();
            let transient = if constant.data.transient { "transient " } else { "" };
            let text = self.container_text(name, &constant.data);
            self.line(&format!("constant {transient}{text} = [{}]", values.join(", ")));
        }
    }

    fn text(&self, name: Name) -> &str {
        self.program.names.get(name)
    }

    fn names(&self, names: &[Name]) -> String {
        let texts = names.iter().map(|&name| super::words::dotted_name_text(self.text(name)));
        texts.collect::<Vec<_>>().join(", ")
    }

    fn expression(&self, expr: ExprId) -> String {
        let text = self.exprs.print(&self.program.names, expr, Grammar::Plain);
        if is_one_expression(&text) { text } else { format!("({text})") }
    }

    fn expressions(&self, list: &[ExprId]) -> String {
        list.iter().map(|&expr| self.expression(expr)).collect::<Vec<_>>().join(", ")
    }

    /// ` @{...}`, or nothing.
    fn extra(&self, extra: &Extra) -> String {
        if extra.is_empty() || self.detail == Detail::Brief {
            return String::new();
        }
        format!(" @{}", serde_json::to_string(extra).unwrap_or_default())
    }

    fn line(&mut self, text: &str) {
        for _ in 0..self.indent {
            self.out.push_str("  ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn nest(&mut self, inside: impl FnOnce(&mut Self)) {
        self.indent += 1;
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.indent -= 1;
    }
}

/// Whether arguments stand before transients, so that parentheses and body keep the order of containers.
fn arguments_come_first(graph: &Graph) -> bool {
    let transient: Vec<bool> = graph.data.values().map(|data| data.transient).collect();
    let all_differ = graph.symbols.keys().all(|name| !graph.data.contains_key(name));
    transient.is_sorted() && all_differ
}

/// A JSON string literal.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}
