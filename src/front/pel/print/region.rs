//! Control flow as text.

use crate::entity::Name;
use crate::ir::{
    BlockId, BlockKind, CodeExpr, Graph, InterstateEdge, Language, Loop, Region, RegionFlavor, RegionId,
};

use super::super::cursor::is_one_expression;
use super::super::parse::assigned_name;
use super::super::words::{NESTING_LIMIT, name_text};
use super::{Printer, quoted};

impl Printer<'_> {
    /// Blocks, edges and start of a region, between its braces.
    pub(super) fn region(&mut self, graph: &Graph, id: RegionId) {
        let Some(region) = graph.regions.get(id) else {
            return self.line(&format!("; there is no {id}"));
        };
        if self.depth >= 2 * NESTING_LIMIT {
            return self.line("; nested too deep to print");
        }
        let Some(start) = region.entry() else {
            if !region.blocks.is_empty() {
                self.line("start none");
            }
            return self.blocks_and_edges(graph, region);
        };
        if region.blocks.first() != Some(&start) {
            let text = self.block_name(graph, region, start);
            self.line(&format!("start {text}"));
        }
        self.blocks_and_edges(graph, region);
    }

    fn blocks_and_edges(&mut self, graph: &Graph, region: &Region) {
        for &block in &region.blocks {
            self.block(graph, block);
        }
        if is_chain(graph, region) {
            return;
        }
        if region.edges.is_empty() {
            self.line("unchained");
        }
        for edge in &region.edges {
            let text = self.edge_text(graph, region, edge);
            self.line(&text);
        }
    }

    fn edge_text(&self, graph: &Graph, region: &Region, edge: &InterstateEdge) -> String {
        let mut text = format!(
            "{} -> {}",
            self.block_name(graph, region, edge.src),
            self.block_name(graph, region, edge.dst)
        );
        if let Some(condition) = &edge.condition {
            text.push_str(&format!(" if {}", code_text(condition)));
        }
        if !edge.assignments.is_empty() {
            let assignments = edge
                .assignments
                .iter()
                .map(|(name, value)| format!("{} = {}", name_text(self.text(*name)), code_text(value)));
            text.push_str(&format!(" {{ {} }}", assignments.collect::<Vec<_>>().join(", ")));
        }
        text.push_str(&self.extra(&edge.extra));
        text
    }

    /// The label where it is the only one of its kind, else the position.
    fn block_name(&self, graph: &Graph, region: &Region, id: BlockId) -> String {
        let label = |id: BlockId| graph.blocks.get(id).map(|block| block.label.as_str());
        let same = region.blocks.iter().filter(|&&other| label(other) == label(id)).count();
        match (label(id), region.blocks.iter().position(|&other| other == id)) {
            (Some(label), Some(_)) if same == 1 => name_text(label),
            (_, Some(position)) => format!("%{position}"),
            (_, None) => format!("%{}", region.blocks.len()),
        }
    }

    fn block(&mut self, graph: &Graph, id: BlockId) {
        let Some(block) = graph.blocks.get(id) else {
            return self.line(&format!("; there is no {id}"));
        };
        let label = name_text(&block.label);
        let extra = self.extra(&block.extra);
        match &block.kind {
            BlockKind::State(state) => {
                self.line(&format!("state {label}{extra} {{"));
                self.nest(|printer| printer.state(state));
                self.line("}");
            }
            BlockKind::Loop(kind) => {
                let header = self.loop_text(kind);
                self.line(&format!("loop {label} {header}{extra} {{"));
                self.nest(|printer| printer.region(graph, kind.body));
                self.line("}");
            }
            BlockKind::Conditional(branches) => {
                self.line(&format!("conditional {label}{extra} {{"));
                self.nest(|printer| {
                    for branch in branches {
                        let condition = branch.condition.as_ref().map_or("else".to_owned(), code_text);
                        let label = match branch.label.as_str() {
                            "" => String::new(),
                            label => format!(" label({})", name_text(label)),
                        };
                        let extra = printer.extra(&branch.extra);
                        printer.line(&format!("case {condition}{label}{extra} {{"));
                        printer.nest(|printer| printer.region(graph, branch.body));
                        printer.line("}");
                    }
                });
                self.line("}");
            }
            BlockKind::Region(flavor, body) => {
                let flavor = match flavor {
                    RegionFlavor::Plain => "",
                    RegionFlavor::Named => " named",
                    RegionFlavor::FunctionCall => " function_call",
                    RegionFlavor::Unstructured => " unstructured",
                };
                self.line(&format!("region {label}{flavor}{extra} {{"));
                self.nest(|printer| printer.region(graph, *body));
                self.line("}");
            }
            BlockKind::Break => self.line(&format!("break {label}{extra}")),
            BlockKind::Continue => self.line(&format!("continue {label}{extra}")),
            BlockKind::Return => self.line(&format!("return {label}{extra}")),
        }
    }

    fn loop_text(&self, kind: &Loop) -> String {
        let statement = |code: &Option<CodeExpr>| code.as_ref().map_or("_".to_owned(), statement_text);
        let mut text = format!(
            "({}, {}, {})",
            statement(&kind.init),
            code_text(&kind.condition),
            statement(&kind.update)
        );
        if kind.inverted {
            text.push_str(" inverted");
        }
        if !kind.update_before_condition {
            text.push_str(" update_last");
        }
        let in_parentheses =
            |name: Option<Name>| name.map_or(String::new(), |name| name_text(self.text(name)));
        for (word, code) in [("init_target", &kind.init), ("update_target", &kind.update)] {
            let Some(code) = code else { continue };
            let implied = assigned_name(&code.text.text);
            if code.target.map(|name| self.text(name)) != implied {
                text.push_str(&format!(" {word}({})", in_parentheses(code.target)));
            }
        }
        if kind.variable != kind.init.as_ref().and_then(|init| init.target) {
            text.push_str(&format!(" variable({})", in_parentheses(kind.variable)));
        }
        text
    }
}

/// A condition or value: bare where the parser reads the same text back, else quoted.
pub(super) fn code_text(code: &CodeExpr) -> String {
    let text = &code.text.text;
    match code.text.language {
        Language::Python if is_one_expression(text) && !is_language_word(text) => text.clone(),
        Language::Python => quoted(text),
        language => format!("{} {}", language_word(language), quoted(text)),
    }
}

/// A loop statement, likewise.
fn statement_text(code: &CodeExpr) -> String {
    let text = &code.text.text;
    let is_plain = code.text.language == Language::Python
        && assigned_name(text).is_some_and(|name| {
            text.starts_with(name)
                && name != "_"
                && text.split_once('=').is_some_and(|(_, value)| {
                    let value = value.strip_prefix(' ').unwrap_or(value);
                    is_one_expression(value)
                })
        });
    if is_plain { text.clone() } else { quoted_code(code) }
}

fn quoted_code(code: &CodeExpr) -> String {
    match code.text.language {
        Language::Python => quoted(&code.text.text),
        language => format!("{} {}", language_word(language), quoted(&code.text.text)),
    }
}

/// `cpp`, `opencl`, ...; Python has no word.
pub(super) fn language_word(language: Language) -> &'static str {
    match language {
        Language::Python => "",
        Language::Cpp => "cpp",
        Language::OpenCl => "opencl",
        Language::SystemVerilog => "systemverilog",
        Language::Mlir => "mlir",
    }
}

fn is_language_word(text: &str) -> bool {
    ["cpp", "opencl", "systemverilog", "mlir", "else"].contains(&text)
}

/// Whether the edges are those that blocks get when no edge is written.
fn is_chain(graph: &Graph, region: &Region) -> bool {
    let leaves = |id: BlockId| {
        let kind = graph.blocks.get(id).map(|block| &block.kind);
        matches!(kind, Some(BlockKind::Break | BlockKind::Continue | BlockKind::Return))
    };
    let pairs = region.blocks.windows(2).filter_map(|pair| match pair {
        &[src, dst] if !leaves(src) => Some((src, dst)),
        _ => None,
    });
    let edges = region.edges.iter();
    let plain =
        edges.clone().all(|e| e.condition.is_none() && e.assignments.is_empty() && e.extra.is_empty());
    plain && edges.map(|edge| (edge.src, edge.dst)).eq(pairs)
}
