//! Statements as people write them: maps, tasklets with their memlets, copies and assignments.

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::builder::{Dataflow, Port};
use crate::ir::{DataKind, Language, Memlet, Range, State, Subset, Text, Wcr};

use super::super::cursor::{is_name_start, word_at};
use super::Parser;
use super::state::StateDraft;

impl Parser<'_> {
    /// Statements up to something that is none; they form one state.
    pub(super) fn statements_of_implicit_state(&mut self) -> Result<State> {
        let mut draft = StateDraft::default();
        loop {
            self.state_item(&mut draft)?;
            let word = self.cursor.peek_word();
            let starts_block = [
                "state",
                "loop",
                "conditional",
                "region",
                "break",
                "continue",
                "return",
                "for",
                "while",
                "if",
                "start",
                "unchained",
            ];
            if starts_block.contains(&word) || !self.cursor.sees_name() || self.sees_jump() {
                return self.finish_state(draft);
            }
        }
    }

    /// One statement.
    pub(super) fn sugar(&mut self, dataflow: &mut Dataflow) -> Result<()> {
        if self.cursor.eat_word("map") {
            return self.deeper(|parser| parser.map_statement(dataflow));
        }
        if self.cursor.eat_word("tasklet") {
            return self.tasklet_statement(dataflow);
        }
        if self.cursor.eat_word("copy") {
            return self.copy_statement(dataflow);
        }
        self.assignment_statement(dataflow)
    }

    /// `map i in 0:N, j in 0:M schedule { statements }`.
    fn map_statement(&mut self, dataflow: &mut Dataflow) -> Result<()> {
        let mut params: Vec<(Name, Range)> = Vec::new();
        loop {
            let name = self.cursor.name("a map parameter")?;
            if !self.cursor.eat_word("in") {
                return Err(self.cursor.unexpected("`in` and a range"));
            }
            let name = self.program.names.intern(&name);
            params.push((name, self.range(None, 0)?));
            if !self.cursor.eat(",") {
                break;
            }
        }
        let schedule = self.schedule()?;
        self.cursor.expect("{", "to open the map")?;
        dataflow.open_map("map", params, schedule);
        while !self.cursor.eat("}") {
            self.sugar(dataflow)?;
        }
        let graph = self.current_id();
        dataflow.close_map(&mut self.program, graph);
        Ok(())
    }

    /// `tasklet name(a <- A[i], ...) -> (o -> B[i], ...) { code }`.
    fn tasklet_statement(&mut self, dataflow: &mut Dataflow) -> Result<()> {
        let label = self.cursor.name("the tasklet's name")?;
        let inputs = self.ports("<-")?;
        self.cursor.expect("->", "between inputs and outputs")?;
        let outputs = self.ports("->")?;
        let language = self.language();
        let text = self.cursor.code_block()?;
        dataflow.tasklet(&mut self.program.names, &label, Text { language, text }, &inputs, &outputs);
        Ok(())
    }

    fn ports(&mut self, arrow: &str) -> Result<Vec<Port>> {
        self.cursor.expect("(", "before the connectors")?;
        let mut ports = Vec::new();
        while !self.cursor.eat(")") {
            let connector = self.cursor.name("a connector")?;
            let declared = self.connector_type()?;
            self.cursor.expect(arrow, "between a connector and its memlet")?;
            let start = self.cursor.position();
            let memlet = self.memlet()?;
            let memlet = self.known(start, memlet, arrow == "->")?;
            let connector = self.program.names.intern(&connector);
            ports.push(Port { connector, declared, memlet });
            self.comma_or(")")?;
        }
        Ok(ports)
    }

    /// `copy A[subset] -> B[subset]`.
    fn copy_statement(&mut self, dataflow: &mut Dataflow) -> Result<()> {
        let start = self.cursor.position();
        let from = self.memlet()?;
        let from = self.known(start, from, false)?;
        self.cursor.expect("->", "between source and target")?;
        let start = self.cursor.position();
        let to = self.memlet()?;
        let to = self.known(start, to, true)?;
        let Some(target) = to.data else {
            return Err(self.cursor.error_at(start, "P0049", "a copy needs a target"));
        };
        let memlet = Memlet {
            other_subset: to.subset,
            wcr: from.wcr.or(to.wcr),
            dynamic: from.dynamic || to.dynamic,
            is_data_src: Some(true),
            ..Memlet { wcr: None, ..from }
        };
        dataflow.copy(&mut self.program.names, memlet, target);
        Ok(())
    }

    /// `B[i] = expression`, or `+=`, `*=`, `min=`, `max=` for write-conflict resolution.
    fn assignment_statement(&mut self, dataflow: &mut Dataflow) -> Result<()> {
        self.cursor.skip();
        let start = self.cursor.position();
        let name = self.cursor.dotted_name("a container to assign")?;
        let data = self.program.names.intern(&name);
        let mut memlet = Memlet { data: Some(data), ..Memlet::default() };
        if self.cursor.eat("[") {
            memlet.subset = Some(self.subset(Some(data))?);
        }
        memlet.wcr = self.assignment_operator()?.map(|text| Wcr { text: text.to_owned(), code: None });
        let (code, inputs) = self.right_side(dataflow)?;
        let memlet = self.known(start, memlet, true)?;
        let connector = self.connector_name(&format!("{}_out", simple(&name)), &inputs, dataflow);
        let text = format!("{} = {code}", self.program.names.get(connector));
        let text = Text { language: Language::Python, text };
        let output = Port { connector, declared: Default::default(), memlet };
        let label = format!("assign_{}", simple(&name));
        dataflow.tasklet(&mut self.program.names, &label, text, &inputs, &[output]);
        Ok(())
    }

    fn assignment_operator(&mut self) -> Result<Option<&'static str>> {
        let operators = [
            ("+=", "lambda a, b: a + b"),
            ("-=", "lambda a, b: a - b"),
            ("*=", "lambda a, b: a * b"),
            ("min=", "lambda a, b: min(a, b)"),
            ("max=", "lambda a, b: max(a, b)"),
        ];
        for (symbol, lambda) in operators {
            if self.cursor.eat(symbol) {
                return Ok(Some(lambda));
            }
        }
        self.cursor.expect("=", "in an assignment (or `+=`, `-=`, `*=`, `min=`, `max=`)")?;
        Ok(None)
    }

    /// An expression with every container access replaced by a connector.
    fn right_side(&mut self, dataflow: &Dataflow) -> Result<(String, Vec<Port>)> {
        self.cursor.skip();
        let start = self.cursor.position();
        let text = self.cursor.expression("an expression")?;
        let end = self.cursor.position();
        let mut code = String::new();
        let mut ports: Vec<Port> = Vec::new();
        let mut at = 0;
        let mut previous = ' ';
        while let Some(letter) = text[at..].chars().next() {
            let starts_name =
                is_name_start(letter) && !previous.is_ascii_alphanumeric() && !"_.$".contains(previous);
            if !starts_name {
                code.push(letter);
                previous = letter;
                at += letter.len_utf8();
                continue;
            }
            let word = word_at(&text[at..]);
            let after = &text[at + word.len()..];
            self.cursor.rewind(start + at + word.len());
            match self.access_in_expression(word, after, start + at, dataflow)? {
                None => {
                    code.push_str(word);
                    at += word.len();
                }
                Some(memlet) => {
                    at = self.cursor.position() - start;
                    let known = ports.iter().find(|port| port.memlet == memlet).map(|port| port.connector);
                    let connector = known.unwrap_or_else(|| {
                        let connector = self.connector_name(&format!("{word}_in"), &ports, dataflow);
                        ports.push(Port { connector, declared: Default::default(), memlet });
                        connector
                    });
                    code.push_str(self.program.names.get(connector));
                }
            }
            previous = 'a';
        }
        self.cursor.rewind(end);
        Ok((code, ports))
    }

    /// The memlet of `word` if it names a container; the cursor stands behind the word and ends behind the
    /// subset.
    fn access_in_expression(
        &mut self,
        word: &str,
        after: &str,
        at: usize,
        dataflow: &Dataflow,
    ) -> Result<Option<Memlet>> {
        let name = self.program.names.intern(word);
        let has_subset = after.trim_start().starts_with('[');
        if dataflow.params().any(|param| param == name) {
            return Ok(None);
        }
        let is_declared = self.current().data.contains_key(&name);
        if !(is_declared || has_subset && self.infers()) {
            if !after.trim_start().starts_with(['(', '.']) {
                self.note_free_name(name);
            }
            return Ok(None);
        }
        let mut memlet = Memlet { data: Some(name), ..Memlet::default() };
        if has_subset && self.cursor.eat("[") {
            let inside = self.cursor.position();
            memlet.subset = Some(self.subset(Some(name))?);
            let text = self.cursor.slice(inside, self.cursor.position());
            if let Some(inner) = self.container_in(text) {
                return Err(self
                    .cursor
                    .error_at(inside, "P0049", format!("the index reads the container `{inner}`"))
                    .with_help(
                        "write a tasklet with the whole array as input, or assign the index to a symbol",
                    ));
            }
        }
        self.known(at, memlet, false).map(Some)
    }

    fn container_in(&mut self, text: &str) -> Option<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let words: Vec<String> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
        words.into_iter().find(|word| {
            let name = self.program.names.lookup(word);
            name.is_some_and(|name| self.current().data.contains_key(&name))
        })
    }

    /// A memlet whose container is declared (or inferred, in a fragment); a scalar's subset is its one element.
    fn known(&mut self, at: usize, mut memlet: Memlet, writes: bool) -> Result<Memlet> {
        let Some(name) = memlet.data else { return Ok(memlet) };
        self.note_use(name, writes);
        let text = self.program.names.get(name).to_owned();
        let base = text.split('.').next().unwrap_or(&text);
        let base = self.program.names.intern(base);
        let Some(data) = self.current().data.get(&base) else {
            return Err(self.undeclared(at, &text));
        };
        if memlet.subset.is_none() && matches!(data.kind, DataKind::Scalar(_)) {
            let zero = self.program.exprs.int(0);
            let one = self.program.exprs.int(1);
            let element = Range { start: zero, end: zero, step: one, tile: one };
            memlet.subset = Some(Subset { ranges: vec![element] });
        }
        Ok(memlet)
    }

    fn undeclared(&self, at: usize, name: &str) -> Diagnostic {
        self.cursor
            .error_at(at, "P0044", format!("no container is called `{name}`"))
            .with_help(format!("declare it: `transient {name}: f64[N]`, or as a parameter of the program"))
    }

    /// A connector name like `stem` that means nothing else here.
    fn connector_name(&mut self, stem: &str, taken: &[Port], dataflow: &Dataflow) -> Name {
        let mut count = 0;
        loop {
            let text = if count == 0 { stem.to_owned() } else { format!("{stem}{count}") };
            let name = self.program.names.intern(&text);
            let graph = self.current();
            let is_free = !graph.data.contains_key(&name)
                && !graph.symbols.contains_key(&name)
                && !dataflow.params().any(|param| param == name)
                && !taken.iter().any(|port| port.connector == name);
            if is_free {
                return name;
            }
            count += 1;
        }
    }
}

/// A container's name as part of an identifier.
fn simple(name: &str) -> String {
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
}
