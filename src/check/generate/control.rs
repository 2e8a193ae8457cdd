//! Control flow: loops, branches, assignments.

use std::fmt::Write;

use super::parts::{Class, Extent, Param};
use super::scope::Generator;

/// Control flow nests no deeper.
const MAX_NESTING: usize = 3;

impl Generator<'_, '_> {
    /// A block and what belongs to it.
    pub fn block(&mut self, out: &mut String) {
        let control = self.settings.control_flow && self.loops + self.depth < MAX_NESTING;
        let special = self.settings.all_nodes;
        let weights = [
            20,
            if control { 3 } else { 0 },
            if control { 3 } else { 0 },
            if control { 1 } else { 0 },
            if control { 2 } else { 0 },
            if special { 6 } else { 0 },
            if special { self.settings.patterns } else { 0 },
        ];
        match self.choices.weighted(&weights) {
            1 => self.for_loop(out),
            2 => self.branch(out),
            3 => self.while_loop(out),
            4 => self.assignment_edge(out),
            5 => self.special(out),
            6 => self.pattern(out),
            _ => self.dataflow_state(out),
        }
    }

    /// One or two blocks.
    fn body(&mut self, out: &mut String) {
        for _ in 0..1 + self.choices.below(2) {
            self.block(out);
            if self.budget == 0 {
                break;
            }
        }
    }

    fn for_loop(&mut self, out: &mut String) {
        let extent = match self.choices.chance(60) {
            true => self.extent(),
            false => Extent::literal(1 + self.choices.below(3) as i64),
        };
        let name = self.fresh("k");
        let form = self.choices.weighted(&[6, 2, 1, 1]);
        let exact = form != 0;
        self.params.push(Param {
            name: name.clone(),
            extent: extent.clone(),
            low: 0,
            high: 0,
            exact,
            below: None,
            step: 1,
            map: false,
        });
        let readiness = self.readiness();
        self.loops += 1;
        let mut body = String::new();
        self.body(&mut body);
        if self.choices.chance(12) {
            let condition = self.block_condition();
            let jump = ["break", "continue"][self.choices.below(2)];
            let _ = writeln!(body, "if {condition} {{\n  {jump}\n}}");
            // What stands behind it may not run.
            if self.budget > 0 {
                self.dataflow_state(&mut body);
            }
        }
        self.loops -= 1;
        let range = self.params.pop().map(|param| param.range()).unwrap_or_default();
        self.restore(&readiness);
        let label = self.fresh("l");
        let size = extent.text;
        let _ = match form {
            1 => writeln!(
                out,
                "loop {label} ({name} = {size} - 1, {name} >= 0, {name} = {name} - 1) {{\n{body}}}"
            ),
            2 => writeln!(out, "for {name} in 0:{size}:2 {{\n{body}}}"),
            3 => {
                let update = ["", " update_last"][self.choices.below(2)];
                let bound = if update.is_empty() {
                    format!("{name} < {size}")
                } else {
                    format!("{name} < {size} - 1")
                };
                writeln!(
                    out,
                    "loop {label} ({name} = 0, {bound}, {name} = {name} + 1) inverted{update} {{\n{body}}}"
                )
            }
            _ => writeln!(out, "for {name} in {range} {{\n{body}}}"),
        };
    }

    fn while_loop(&mut self, out: &mut String) {
        let name = self.fresh("w");
        let _ = writeln!(self.declarations, "  symbol {name}: i64");
        let trips = 1 + self.choices.below(3);
        let readiness = self.readiness();
        let symbols = self.symbols.len();
        self.symbols.push(name.clone());
        self.loops += 1;
        let mut body = String::new();
        self.body(&mut body);
        self.loops -= 1;
        self.symbols.truncate(symbols);
        self.restore(&readiness);
        let (begin, head, inner, tail) = (self.fresh("r"), self.fresh("l"), self.fresh("r"), self.fresh("e"));
        let region = self.fresh("g");
        let _ = writeln!(
            out,
            "region {region} {{\nstate {begin} {{ }}\nloop {head} (_, {name} < {trips}, _) {{\nregion {inner} {{\n{body}}}\n\
             state {tail} {{ }}\n{inner} -> {tail} {{ {name} = {name} + 1 }}\n}}\n{begin} -> {head} {{ {name} = 0 }}\n}}"
        );
    }

    fn branch(&mut self, out: &mut String) {
        let readiness = self.readiness();
        let symbols = self.symbols.len();
        let condition = self.block_condition();
        if self.choices.chance(6) {
            let _ = writeln!(out, "if {condition} {{\n  return\n}}");
            return;
        }
        let mut body = String::new();
        self.loops += 1;
        self.body(&mut body);
        self.restore(&readiness);
        self.symbols.truncate(symbols);
        let _ = write!(out, "if {condition} {{\n{body}}}");
        if self.choices.chance(20) {
            let condition = self.block_condition();
            let mut body = String::new();
            self.dataflow_state(&mut body);
            self.restore(&readiness);
            let _ = write!(out, " elif {condition} {{\n{body}}}");
        }
        if self.choices.chance(50) {
            let mut body = String::new();
            self.body(&mut body);
            self.restore(&readiness);
            self.symbols.truncate(symbols);
            let _ = write!(out, " else {{\n{body}}}");
        }
        self.loops -= 1;
        out.push('\n');
        if self.budget > 0 && self.choices.chance((12 * self.settings.patterns).min(60)) {
            self.branch_again(out, &condition);
        }
    }

    /// A branch that is taken when another one is, or when it is not.
    fn branch_again(&mut self, out: &mut String, condition: &str) {
        let readiness = self.readiness();
        let mut body = String::new();
        self.dataflow_state(&mut body);
        self.restore(&readiness);
        let condition = match self.choices.chance(50) {
            true => format!("not ({condition})"),
            false => condition.to_owned(),
        };
        let _ = writeln!(out, "if {condition} {{\n{body}}}");
    }

    /// A symbol gets a value on an edge; sometimes one of two edges is taken.
    fn assignment_edge(&mut self, out: &mut String) {
        let name = self.fresh("q");
        let value = self.block_integer();
        let _ = writeln!(self.declarations, "  symbol {name}: i64");
        let region = self.fresh("g");
        let (from, to) = (self.fresh("e"), self.fresh("e"));
        if self.choices.chance(30) {
            let condition = self.block_condition();
            let other = self.block_integer();
            let _ = writeln!(
                out,
                "region {region} {{\nstate {from} {{ }}\nstate {to} {{ }}\n{from} -> {to} if {condition} {{ {name} = {value} }}\n\
                 {from} -> {to} {{ {name} = {other} }}\n}}"
            );
        } else {
            let _ = writeln!(
                out,
                "region {region} {{\nstate {from} {{ }}\nstate {to} {{ }}\n{from} -> {to} {{ {name} = {value} }}\n}}"
            );
        }
        self.symbols.push(name);
    }

    /// A condition over symbols and elements, outside dataflow.
    fn block_condition(&mut self) -> String {
        let op = ["<", ">", "<=", ">=", "==", "!="][self.choices.below(6)];
        format!("{} {op} {}", self.block_integer(), self.block_integer())
    }

    /// An integer of control flow.
    fn block_integer(&mut self) -> String {
        match self.choices.weighted(&[4, 4, 3]) {
            1 => (self.choices.below(9) as i64 - 2).to_string(),
            2 => {
                let candidates: Vec<_> = self
                    .containers
                    .iter()
                    .filter(|container| {
                        container.ready && matches!(Class::of(container.dtype), Class::Integer | Class::Real)
                    })
                    .filter(|container| container.dtype.is_integral() && container.table_of.is_none())
                    .cloned()
                    .collect();
                let Some(container) = self.choices.pick(&candidates).cloned() else { return "2".to_owned() };
                if container.scalar {
                    return container.name;
                }
                let index: Vec<String> = container
                    .dims
                    .iter()
                    .enumerate()
                    .map(|(dim, extent)| match &container.pinned {
                        Some(pinned) if dim == 0 => pinned.clone(),
                        _ => self.index(extent),
                    })
                    .collect();
                format!("{}[{}]", container.name, index.join(", "))
            }
            _ => {
                let names: Vec<String> = self
                    .sizes
                    .iter()
                    .map(|size| size.text.clone())
                    .chain(self.symbols.iter().cloned())
                    .chain(self.params.iter().map(|param| param.name.clone()))
                    .collect();
                match self.choices.pick(&names) {
                    Some(name) => name.clone(),
                    None => "1".to_owned(),
                }
            }
        }
    }
}
