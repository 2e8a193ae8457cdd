//! Nodes that the short form has no words for: nested graphs, streams, consume scopes, views, references, maps whose range is read from memory. Each is a state of its own in the explicit form.

use std::fmt::Write;

use crate::front::pel::short_name;
use crate::scalar::DType;

use super::libraries::plain_float;
use super::parts::{Class, Container, Extent, Param};
use super::scope::Generator;

impl Generator<'_, '_> {
    /// One such node.
    pub fn special(&mut self, out: &mut String) {
        self.budget = self.budget.saturating_sub(2);
        let nests = self.depth < 2;
        let weights = [8, if nests { 4 } else { 0 }, if nests { 3 } else { 0 }, 2, 2, 3, 2, 2, 2];
        match self.choices.weighted(&weights) {
            0 => self.library(out),
            1 => self.nested(out),
            2 => self.nested_in_map(out),
            3 => self.stream(out),
            4 => match self.choices.chance(30) {
                true => self.countdown(out),
                false => self.consume(out),
            },
            5 => self.view(out),
            6 => self.reference(out),
            7 => self.range_from_memory(out),
            _ => self.cleared(out),
        }
    }

    /// A graph with some of the containers in reach, run in place.
    fn nested(&mut self, out: &mut String) {
        let usable: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| container.ready && container.pinned.is_none() && !container.scalar)
            .cloned()
            .collect();
        let mut passed: Vec<Container> = Vec::new();
        for _ in 0..1 + self.choices.below(3) {
            if let Some(container) = self.choices.pick(&usable)
                && passed.iter().all(|other| other.name != container.name)
            {
                passed.push(container.clone());
            }
        }
        if passed.is_empty() {
            return self.dataflow_state(out);
        }
        let Some(inner) = self.inner_graph(&passed, None) else { return self.dataflow_state(out) };
        let mut text = format!("state {} {{\n", self.fresh("s"));
        let names = |list: &[Container]| list.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(", ");
        for (at, container) in passed.iter().enumerate() {
            let _ = writeln!(text, "  i{at} = access {}", container.name);
        }
        let written: Vec<Container> = passed.iter().filter(|container| !container.fixed).cloned().collect();
        let _ = writeln!(
            text,
            "  g = nested inner ({}) -> ({}) with ({}) {inner}",
            names(&passed),
            names(&written),
            self.mapping()
        );
        for (at, container) in passed.iter().enumerate() {
            let _ = writeln!(text, "  i{at} -> g.{} : {}", container.name, container.whole());
        }
        for (at, container) in written.iter().enumerate() {
            let _ = writeln!(
                text,
                "  o{at} = access {name}\n  g.{name} -> o{at} : {}",
                container.whole(),
                name = container.name
            );
        }
        let _ = writeln!(text, "}}");
        out.push_str(&text);
    }

    /// A graph that works on one row per iteration of a map around it.
    fn nested_in_map(&mut self, out: &mut String) {
        let rows: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| container.ready && container.pinned.is_none() && container.dims.len() > 1)
            .cloned()
            .collect();
        let Some(first) = self.choices.pick(&rows).cloned() else { return self.nested(out) };
        let mut passed = vec![first.clone()];
        for container in &rows {
            if container.name != first.name && container.dims[0] == first.dims[0] && self.choices.chance(50) {
                passed.push(container.clone());
            }
        }
        let row = self.fresh("p");
        let extent = first.dims[0].clone();
        for container in &mut passed {
            container.pinned = Some(row.clone());
        }
        let Some(inner) = self.inner_graph(&passed, Some((&row, &extent))) else {
            return self.dataflow_state(out);
        };
        let written: Vec<Container> = passed.iter().filter(|container| !container.fixed).cloned().collect();
        let names = |list: &[Container]| list.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(", ");
        let window = |container: &Container| {
            let rest: Vec<String> =
                container.dims[1..].iter().map(|extent| format!("0:{}", extent.text)).collect();
            format!("{}[{row}, {}]", container.name, rest.join(", "))
        };
        let mut mapping = self.mapping();
        let _ = write!(mapping, ", {row} = {row}");
        let mut text = format!("state {} {{\n", self.fresh("s"));
        for (at, container) in passed.iter().enumerate() {
            let _ = writeln!(text, "  i{at} = access {}", container.name);
        }
        let schedule = ["", " sequential", " parallel"][self.choices.below(3)];
        let _ = writeln!(text, "  e = map_entry rows [{row} in 0:{}]{schedule}", extent.text);
        let _ = writeln!(
            text,
            "  g = nested inner ({}) -> ({}) with ({mapping}) {inner}\n  x = map_exit rows of e",
            names(&passed),
            names(&written)
        );
        for (at, container) in passed.iter().enumerate() {
            let name = &container.name;
            let _ = writeln!(text, "  i{at} -> e.IN_{name} : {}", container.whole());
            let _ = writeln!(text, "  e.OUT_{name} -> g.{name} : {}", window(container));
        }
        for (at, container) in written.iter().enumerate() {
            let name = &container.name;
            let _ =
                writeln!(text, "  o{at} = access {name}\n  g.{name} -> x.IN_{name} : {}", window(container));
            let _ = writeln!(text, "  x.OUT_{name} -> o{at} : {}", container.whole());
        }
        if written.is_empty() {
            let _ = writeln!(text, "  g -> x");
        }
        let _ = writeln!(text, "}}");
        out.push_str(&text);
    }

    /// What the graph computed for itself is added to something that outlives it, so that a mistake there shows.
    pub fn observe(&mut self, out: &mut String) {
        let real = |container: &Container| {
            container.ready
                && matches!(Class::of(container.dtype), Class::Real | Class::Integer | Class::Boolean)
        };
        let outlives = |generator: &Self, container: &Container| {
            !generator.declarations.contains(&format!(" {}: ", container.name))
        };
        let targets: Vec<Container> = self
            .containers
            .iter()
            .filter(|c| real(c) && !c.fixed && !c.scalar && plain_float(c.dtype) && outlives(self, c))
            .cloned()
            .collect();
        let sources: Vec<Container> = self
            .containers
            .iter()
            .filter(|c| real(c) && !c.scalar && c.pinned.is_none() && !outlives(self, c))
            .cloned()
            .collect();
        let Some(target) = targets.last().cloned() else { return };
        for source in sources.iter().rev().take(2) {
            let index: Vec<String> = source.dims.iter().map(|_| self.fresh("i")).collect();
            let ranges: Vec<String> = index
                .iter()
                .zip(&source.dims)
                .map(|(index, extent)| format!("{index} in 0:{}", extent.text))
                .collect();
            let at: Vec<String> = (0..target.dims.len())
                .map(|dim| match &target.pinned {
                    Some(pinned) if dim == 0 => pinned.clone(),
                    _ => "0".to_owned(),
                })
                .collect();
            let _ = writeln!(
                out,
                "state {} {{\nmap {} sequential {{\n  {}[{}] += {}[{}] * 0.25\n}}\n}}",
                self.fresh("s"),
                ranges.join(", "),
                target.name,
                at.join(", "),
                source.name,
                index.join(", ")
            );
        }
    }

    /// Symbols a nested graph gets: everything that has a value here.
    fn mapping(&self) -> String {
        let names = self
            .sizes
            .iter()
            .map(|size| &size.text)
            .chain(&self.symbols)
            .chain(self.params.iter().map(|param| &param.name));
        names.map(|name| format!("{name} = {name}")).collect::<Vec<_>>().join(", ")
    }

    /// The graph itself, with `passed` as its arguments.
    fn inner_graph(&mut self, passed: &[Container], row: Option<(&String, &Extent)>) -> Option<String> {
        let outer_containers = std::mem::replace(&mut self.containers, passed.to_vec());
        let outer_declarations = std::mem::take(&mut self.declarations);
        let outer_params = self.params.clone();
        let outer_symbols = self.symbols.clone();
        for param in &mut self.params {
            param.map = false;
            param.exact = true;
        }
        let mut symbols: Vec<String> = self.sizes.iter().map(|size| size.text.clone()).collect();
        symbols.extend(self.symbols.iter().cloned());
        symbols.extend(self.params.iter().map(|param| param.name.clone()));
        if let Some((row, extent)) = row {
            symbols.push(row.clone());
            self.params.push(Param {
                name: row.clone(),
                extent: extent.clone(),
                low: 0,
                high: 0,
                exact: true,
                below: None,
                step: 1,
                map: false,
            });
        }
        self.depth += 1;
        let mut body = String::new();
        self.block(&mut body);
        if self.budget > 0 && self.choices.chance(50) {
            self.block(&mut body);
        }
        self.observe(&mut body);
        self.depth -= 1;
        let graph = self.fresh("inner");
        let mut text = format!("graph {graph}(");
        for container in passed {
            let layout = self.layout_of(&container.name);
            let _ = write!(text, "{}: {}{layout}, ", container.name, container.descriptor());
        }
        for symbol in symbols {
            let _ = write!(text, "{symbol}: i64 symbol, ");
        }
        let _ = write!(text, ") {{\n{}{body}}}", self.declarations);
        self.containers = outer_containers;
        self.declarations = outer_declarations;
        self.params = outer_params;
        self.symbols = outer_symbols;
        Some(text)
    }

    fn layout_of(&self, name: &str) -> String {
        let at = self.arguments.iter().position(|argument| argument.name == name);
        at.and_then(|at| self.layouts.get(at)).cloned().unwrap_or_default()
    }

    /// A map pushes what passes a test; the rest of the target keeps what it had.
    fn stream(&mut self, out: &mut String) {
        let Some(source) = self.whole_real(1) else { return self.view(out) };
        let extent = source.dims[0].clone();
        let Some(target) = self.ready_of_shape(std::slice::from_ref(&extent), &source.name) else {
            return self.view(out);
        };
        let stream = self.fresh("u");
        self.declare("stream", &stream, &format!("{}[1]", short_name(source.dtype)));
        let limit = ["0.0", "1.0", "-100.0"][self.choices.below(3)];
        let (state, i) = (self.fresh("s"), self.fresh("i"));
        let (from, to) = (&source.name, &target.name);
        let _ = writeln!(
            out,
            "state {state} {{\n  a = access {from}\n  e = map_entry filter [{i} in 0:{n}] sequential\n  t = tasklet keep (x) -> (o) {{\n\
             \x20   | if x > {limit}:\n    |     o = x\n  }}\n  x = map_exit filter of e\n  s = access {stream}\n  b = access {to}\n\
             \x20 a -> e.IN_a : {from}[0:{n}]\n  e.OUT_a -> t.x : {from}[{i}]\n  t.o -> x.IN_s : {stream}[0] dynamic\n\
             \x20 x.OUT_s -> s : {stream}[0] dynamic\n  s -> b : {stream}[0] dynamic volume(0)\n}}",
            n = extent.text,
        );
    }

    /// A queue that counts down; the counts add up.
    fn countdown(&mut self, out: &mut String) {
        let (queue, total) = (self.fresh("u"), self.transient(DType::I64, vec![Extent::literal(1)]));
        self.declare("stream", &queue, "i64[1]");
        let (zero, fill, work) = (self.fresh("s"), self.fresh("s"), self.fresh("s"));
        let (start, index) = (1 + self.choices.below(5), self.fresh("p"));
        let _ = writeln!(
            out,
            "state {zero} {{\n  {total}[0] = 0\n}}\nstate {fill} {{\n  t = tasklet first () -> (o) {{ o = {start} }}\n  q = access {queue}\n\
             \x20 t.o -> q : {queue}[0]\n}}\nstate {work} {{\n  q = access {queue}\n  e = consume_entry c index({index}) workers(1)\n\
             \x20 t = tasklet step (x) -> (more, sum) {{\n    | sum = x\n    | if x > 1:\n    |     more = x - 1\n  }}\n\
             \x20 x = consume_exit c of e\n  q2 = access {queue}\n  s = access {total}\n  q -> e.IN_stream : {queue}[0] dynamic\n\
             \x20 e.OUT_stream -> t.x : {queue}[0] dynamic\n  t.more -> x.IN_q : {queue}[0] dynamic\n\
             \x20 t.sum -> x.IN_s : {total}[0] wcr \"lambda a, b: a + b\"\n  x.OUT_q -> q2 : {queue}[0] dynamic\n\
             \x20 x.OUT_s -> s : {total}[0] wcr \"lambda a, b: a + b\"\n}}"
        );
        self.set_ready(&total);
    }

    /// Elements of an array go through a queue and are taken, one by one or in chunks, by one worker or two in turn; some come back
    /// halved. It may end early, and what is left then goes to an array.
    fn consume(&mut self, out: &mut String) {
        let Some(source) = self.whole_real(1) else { return self.countdown(out) };
        let extent = source.dims[0].clone();
        let Some(rest) = self.ready_of_shape(std::slice::from_ref(&extent), &source.name) else {
            return self.countdown(out);
        };
        let element = short_name(source.dtype);
        let (sum, turns) = (
            self.transient(DType::F64, vec![Extent::literal(1)]),
            self.transient(DType::I64, vec![Extent::literal(1)]),
        );
        // One queue, or one of three.
        let (queue, of_three) = (self.fresh("u"), self.choices.chance(30));
        self.declare("stream", &queue, &format!("{element}[{}]", if of_three { 3 } else { 1 }));
        let number = if of_three { self.choices.below(3) } else { 0 };
        let at = format!("{queue}[{number}]");
        let chunk = 1 + self.choices.below(3);
        let index = self.fresh("p");
        // An element that comes as another type is converted.
        let (port, first, more) = match chunk {
            1 if self.choices.chance(40) => ("x: f64".to_owned(), "x", String::new()),
            1 => ("x".to_owned(), "x", String::new()),
            _ => {
                let more = "    | if __dace_cons_numelems > 1:\n    |     sum = x[0] + x[1] * 0.5\n";
                (format!("x: {element}*"), "x[0]", more.to_owned())
            }
        };
        let until = match self.choices.chance(40) {
            true => format!(" until({turns}[0] >= {})", 1 + self.choices.below(4)),
            false => String::new(),
        };
        let workers = 1 + self.choices.below(2);
        let (clear, fill, work, drain) = (self.fresh("s"), self.fresh("s"), self.fresh("s"), self.fresh("s"));
        let (from, to, n) = (&source.name, &rest.name, &extent.text);
        let _ = writeln!(
            out,
            "state {clear} {{\n  {sum}[0] = 0\n  {turns}[0] = 0\n}}\nstate {fill} {{\n  a = access {from}\n  q = access {queue}\n\
             \x20 a -> q : {from}[0:{n}] other [{number}]\n}}\nstate {work} {{\n  q = access {queue}\n\
             \x20 e = consume_entry c index({index}) workers({workers}) chunk({chunk}){until}\n\
             \x20 t = tasklet take ({port}) -> (back, sum, one) {{\n    | sum = {first} + {index}\n{more}    | one = 1\n\
             \x20   | if {first} > 1 and {first} < 1000:\n    |     back = {first} // 2\n  }}\n\
             \x20 x = consume_exit c of e\n  q2 = access {queue}\n  s = access {sum}\n  k = access {turns}\n\
             \x20 q -> e.IN_stream : {at} dynamic\n  e.OUT_stream -> t.x : {at} dynamic\n  t.back -> x.IN_q : {at} dynamic\n\
             \x20 t.sum -> x.IN_s : {sum}[0] wcr \"lambda a, b: a + b\"\n  t.one -> x.IN_k : {turns}[0] wcr \"lambda a, b: a + b\"\n\
             \x20 x.OUT_q -> q2 : {at} dynamic\n  x.OUT_s -> s : {sum}[0] wcr \"lambda a, b: a + b\"\n\
             \x20 x.OUT_k -> k : {turns}[0] wcr \"lambda a, b: a + b\"\n}}\n\
             state {drain} {{\n  q = access {queue}\n  b = access {to}\n  q -> b : {at} dynamic volume(0)\n}}"
        );
        self.set_ready(&sum);
        self.set_ready(&turns);
    }

    /// A flat view of a matrix is read, or written.
    fn view(&mut self, out: &mut String) {
        let matrices: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| container.ready && container.dense && container.pinned.is_none())
            .filter(|container| container.dims.len() == 2 && Class::of(container.dtype) == Class::Real)
            .cloned()
            .collect();
        let Some(matrix) = self.choices.pick(&matrices).cloned() else { return self.reduce(out) };
        let flat = Extent {
            text: format!("({})*({})", matrix.dims[0].text, matrix.dims[1].text),
            value: matrix.dims[0].value * matrix.dims[1].value,
            literal: false,
        };
        let view = self.fresh("v");
        self.declare("view", &view, &format!("{}[{}]", short_name(matrix.dtype), flat.text));
        let (state, i, n, whole) = (self.fresh("s"), self.fresh("i"), &flat.text, matrix.whole());
        let from = &matrix.name;
        if !matrix.fixed && self.choices.chance(40) {
            let _ = writeln!(
                out,
                "state {state} {{\n  v = access {view}\n  e = map_entry flat [{i} in 0:{n}]\n  t = tasklet put () -> (o) {{ o = {i} * 0.5 }}\n\
                 \x20 x = map_exit flat of e\n  a = access {from}\n  e -> t\n  t.o -> x.IN_v : {view}[{i}]\n  x.OUT_v -> v : {view}[0:{n}]\n\
                 \x20 v.views -> a : {whole} other [0:{n}]\n}}"
            );
            return;
        }
        let to = self.transient(matrix.dtype, vec![flat.clone()]);
        let _ = writeln!(
            out,
            "state {state} {{\n  a = access {from}\n  v = access {view}\n  e = map_entry flat [{i} in 0:{n}]\n  t = tasklet get (x) -> (o) {{ o = x + 1 }}\n\
             \x20 x = map_exit flat of e\n  b = access {to}\n  a -> v.views : {whole} other [0:{n}]\n  v -> e.IN_v : {view}[0:{n}]\n\
             \x20 e.OUT_v -> t.x : {view}[{i}]\n  t.o -> x.IN_b : {to}[{i}]\n  x.OUT_b -> b : {to}[0:{n}]\n}}"
        );
        self.set_ready(&to);
    }

    /// A reference is aimed at one of two arrays.
    fn reference(&mut self, out: &mut String) {
        let Some(first) = self.whole_real(1) else { return self.view(out) };
        let others: Vec<Container> = self
            .containers
            .iter()
            .filter(|other| other.ready && other.dims == first.dims && other.dtype == first.dtype)
            .cloned()
            .collect();
        let Some(second) = self.choices.pick(&others).cloned() else { return self.view(out) };
        if !(first.dense && second.dense) {
            return self.view(out);
        }
        let n = first.dims[0].text.clone();
        let name = self.fresh("z");
        self.declare("reference", &name, &first.descriptor());
        let to = self.transient(first.dtype, first.dims.clone());
        let (pick, one, two, used) = (self.fresh("c"), self.fresh("s"), self.fresh("s"), self.fresh("s"));
        let (i, threshold) = (self.fresh("i"), 1 + self.choices.below(6));
        let size = self.sizes.first().map_or("1".to_owned(), |size| size.text.clone());
        let _ = writeln!(
            out,
            "conditional {pick} {{\n  case {size} > {threshold} {{ state {one} {{ a = access {a}  r = access {name}  a -> r.set : {a}[0:{n}] }} }}\n\
             \x20 case else {{ state {two} {{ a = access {b}  r = access {name}  a -> r.set : {b}[0:{n}] }} }}\n}}\nstate {used} {{\n\
             \x20 r = access {name}\n  e = map_entry read [{i} in 0:{n}]\n  t = tasklet get (x) -> (o) {{ o = x * 2 }}\n  x = map_exit read of e\n\
             \x20 b = access {to}\n  r -> e.IN_r : {name}[0:{n}]\n  e.OUT_r -> t.x : {name}[{i}]\n  t.o -> x.IN_b : {to}[{i}]\n  x.OUT_b -> b : {to}[0:{n}]\n}}",
            a = first.name,
            b = second.name,
        );
        self.set_ready(&to);
    }

    /// Rows are added up in memory that is cleared when it is taken.
    fn cleared(&mut self, out: &mut String) {
        let Some(source) = self.whole_real(2) else { return self.view(out) };
        let (rows, columns) = (source.dims[0].text.clone(), source.dims[1].text.clone());
        let sums = self.fresh("t");
        self.declare("", &sums, &format!("{}[{rows}]", short_name(source.dtype)));
        let to = self.transient(source.dtype, source.dims[..1].to_vec());
        let (state, i, j, from) = (self.fresh("s"), self.fresh("i"), self.fresh("j"), &source.name);
        let _ = writeln!(
            out,
            "state {state} {{\n  a = access {from}\n  e = map_entry add [{i} in 0:{rows}, {j} in 0:{columns}] sequential\n\
             \x20 t = tasklet one (x) -> (o) {{ o = x * 0.5 }}\n  x = map_exit add of e\n  s = access {sums} setzero\n\
             \x20 b = access {to}\n  a -> e.IN_a : {from}[0:{rows}, 0:{columns}]\n  e.OUT_a -> t.x : {from}[{i}, {j}]\n\
             \x20 t.o -> x.IN_s : {sums}[{i}] wcr \"lambda a, b: a + b\"\n\
             \x20 x.OUT_s -> s : {sums}[0:{rows}] wcr \"lambda a, b: a + b\"\n  s -> b : {sums}[0:{rows}]\n}}"
        );
        self.set_ready(&to);
    }

    /// A map that runs as far as an entry of a table says.
    fn range_from_memory(&mut self, out: &mut String) {
        let tables: Vec<Container> =
            self.containers.iter().filter(|container| container.table_of.is_some()).cloned().collect();
        let Some(table) = self.choices.pick(&tables).cloned() else { return self.nested(out) };
        let Some(bound) = table.table_of.clone() else { return self.nested(out) };
        let Some(target) = self.ready_of_shape(std::slice::from_ref(&bound), "") else {
            return self.nested(out);
        };
        let index: Vec<String> = table.dims.iter().map(|extent| self.index(extent)).collect();
        let (state, i, to) = (self.fresh("s"), self.fresh("i"), &target.name);
        let _ = writeln!(
            out,
            "state {state} {{\n  n = access {t}\n  e = map_entry upto (last) -> () [{i} in 0:last]\n  t = tasklet put () -> (o) {{ o = {i} + 1.5 }}\n\
             \x20 x = map_exit upto of e\n  b = access {to}\n  n -> e.last : {t}[{at}]\n  e -> t\n  t.o -> x.IN_b : {to}[{i}]\n\
             \x20 x.OUT_b -> b : {to}[0:{n}]\n}}",
            t = table.name,
            at = index.join(", "),
            n = bound.text,
        );
    }
}
