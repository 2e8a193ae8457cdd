//! Dataflow as text: nodes with handles `n0`, `n1`, ... and the edges between them.

use indexmap::IndexMap;

use crate::analysis::MemletPaths;
use crate::entity::Name;
use crate::ir::canonical::{element_count, implied_data_source};
use crate::ir::{
    Connector, Consume, Edge, EdgeId, Language, Map, Memlet, Node, NodeId, NodeKind, Range, Schedule, State,
    Subset, Text,
};

use super::super::words::{dotted_name_text, name_text, type_text};
use super::region::{code_text, language_word};
use super::{Printer, quoted};

type Connectors = IndexMap<Name, Connector>;

impl Printer<'_> {
    /// Nodes and edges, between the state's braces.
    pub(super) fn state(&mut self, state: &State) {
        let mut handles = vec![u32::MAX; state.nodes.len()];
        for (count, (id, _)) in state.live_nodes().enumerate() {
            handles[id.0 as usize] = count as u32;
        }
        let handle = |id: NodeId| match handles.get(id.0 as usize) {
            Some(&count) if count != u32::MAX => format!("n{count}"),
            _ => format!("missing_{}", id.0),
        };
        for (id, node) in state.live_nodes() {
            self.node(state, id, node, &handle);
        }
        let paths = MemletPaths::of(state, &self.program.names);
        for (id, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
            let text = self.edge(state, &paths, id, edge, &handle);
            self.line(&text);
        }
    }

    fn node(&mut self, state: &State, id: NodeId, node: &Node, handle: &dyn Fn(NodeId) -> String) {
        let mut lead = format!("{} = ", handle(id));
        let extra = self.extra(&node.extra);
        let label = name_text(&node.label);
        let connectors = self.connectors(state, id, node);
        match &node.kind {
            NodeKind::Removed => {}
            NodeKind::Access { data, setzero } => {
                lead.push_str(&format!("access {}", dotted_name_text(self.text(*data))));
                if *setzero {
                    lead.push_str(" setzero");
                }
                if node.label != self.text(*data) {
                    lead.push_str(&format!(" label({label})"));
                }
                self.line(&format!("{lead}{connectors}{extra}"));
            }
            NodeKind::Tasklet(tasklet) => {
                self.tasklet(&format!("{lead}tasklet {label}{connectors}"), &tasklet.text, &extra);
            }
            NodeKind::MapEntry(map) => {
                let clauses = self.map_clauses(map);
                self.line(&format!("{lead}map_entry {label}{connectors} {clauses}{extra}"));
            }
            NodeKind::MapExit { entry } => {
                self.line(&format!("{lead}map_exit {label}{connectors} of {}{extra}", handle(*entry)));
            }
            NodeKind::ConsumeEntry(consume) => {
                let clauses = self.consume_clauses(consume);
                self.line(&format!("{lead}consume_entry {label}{connectors}{clauses}{extra}"));
            }
            NodeKind::ConsumeExit { entry } => {
                self.line(&format!("{lead}consume_exit {label}{connectors} of {}{extra}", handle(*entry)));
            }
            NodeKind::Nested(nested) => {
                lead.push_str(&format!("nested {label}{connectors} "));
                if !nested.symbol_mapping.is_empty() {
                    let mapping = nested.symbol_mapping.iter().map(|(&inner, &value)| {
                        format!("{} = {}", name_text(self.text(inner)), self.expression(value))
                    });
                    lead.push_str(&format!("with ({}) ", mapping.collect::<Vec<_>>().join(", ")));
                }
                match nested.graph {
                    None => self.line(&format!("{lead}external{extra}")),
                    Some(graph) => {
                        self.graph("graph", &lead, graph);
                        if !extra.is_empty() {
                            self.out.truncate(self.out.trim_end().len());
                            self.out.push_str(&format!("{extra}\n"));
                        }
                    }
                }
            }
            NodeKind::Library(library) => {
                lead.push_str(&format!("library {label} {}", quoted(&library.classpath)));
                if library.name != node.label {
                    lead.push_str(&format!(" name({})", name_text(&library.name)));
                }
                let properties = match library.properties.is_empty() {
                    true => String::new(),
                    false => {
                        let json = serde_json::to_string(&library.properties).unwrap_or_default();
                        format!(" properties @{json}")
                    }
                };
                self.line(&format!("{lead}{connectors}{properties}{extra}"));
            }
        }
    }

    fn tasklet(&mut self, lead: &str, text: &Text, extra: &str) {
        let word = match text.language {
            Language::Python => String::new(),
            language => format!(" {}", language_word(language)),
        };
        let code = &text.text;
        let fits = !code.contains(['{', '}', '"', '\'', '\\', '\n', '\r'])
            && code.trim().len() == code.len()
            && !code.starts_with('|')
            && !code.is_empty();
        if fits {
            self.line(&format!("{lead}{word} {{ {code} }}{extra}"));
            return;
        }
        self.line(&format!("{lead}{word} {{"));
        self.nest(|printer| {
            for line in code.split('\n') {
                printer.line(&if line.is_empty() { "|".to_owned() } else { format!("| {line}") });
            }
        });
        self.line(&format!("}}{extra}"));
    }

    /// ` (inputs) -> (outputs)`, or nothing where the edges imply them.
    fn connectors(&self, state: &State, id: NodeId, node: &Node) -> String {
        let is_border_or_access = matches!(
            node.kind,
            NodeKind::Access { .. }
                | NodeKind::MapEntry(_)
                | NodeKind::MapExit { .. }
                | NodeKind::ConsumeEntry(_)
                | NodeKind::ConsumeExit { .. }
        );
        if is_border_or_access {
            let mut inputs = Connectors::new();
            let mut outputs = Connectors::new();
            for (_, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
                if let Some(connector) = edge.src_conn.filter(|_| edge.src == id) {
                    outputs.entry(connector).or_default();
                }
                if let Some(connector) = edge.dst_conn.filter(|_| edge.dst == id) {
                    inputs.entry(connector).or_default();
                }
            }
            let is_same = |a: &Connectors, b: &Connectors| a.iter().eq(b.iter());
            if is_same(&inputs, &node.inputs) && is_same(&outputs, &node.outputs) {
                return String::new();
            }
        }
        format!(" ({}) -> ({})", self.connector_list(&node.inputs), self.connector_list(&node.outputs))
    }

    fn connector_list(&self, list: &Connectors) -> String {
        let texts = list.iter().map(|(&name, connector)| {
            let name = name_text(self.text(name));
            let star = if connector.pointer { "*" } else { "" };
            match connector.ty {
                Some(ty) => format!("{name}: {}{star}", type_text(self.program, ty)),
                None if connector.pointer => format!("{name}: *"),
                None => name,
            }
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    fn map_clauses(&mut self, map: &Map) -> String {
        let mut parts = Vec::new();
        for index in 0..map.params.len().max(map.range.ranges.len()) {
            let param = map.params.get(index).map(|&name| name_text(self.text(name)));
            let range = map.range.ranges.get(index).map(|range| format!("in {}", self.range(range)));
            parts.push(param.into_iter().chain(range).collect::<Vec<_>>().join(" "));
        }
        let mut text = format!("[{}]", parts.join(", "));
        match &map.schedule {
            Schedule::Default => {}
            Schedule::Sequential => text.push_str(" sequential"),
            Schedule::Parallel => text.push_str(" parallel"),
            Schedule::Other(name) => text.push_str(&format!(" schedule({})", quoted(name))),
        }
        if map.unroll {
            text.push_str(" unroll");
        }
        text
    }

    fn consume_clauses(&self, consume: &Consume) -> String {
        let mut text = String::new();
        if let Some(index) = consume.pe_index {
            text.push_str(&format!(" index({})", name_text(self.text(index))));
        }
        if let Some(workers) = consume.num_pes {
            text.push_str(&format!(" workers({})", self.expression(workers)));
        }
        if let Some(condition) = &consume.condition {
            text.push_str(&format!(" until({})", code_text(condition)));
        }
        if let Some(chunk) = consume.chunk_size {
            text.push_str(&format!(" chunk({})", self.expression(chunk)));
        }
        text
    }

    fn edge(
        &mut self,
        state: &State,
        paths: &MemletPaths,
        id: EdgeId,
        edge: &Edge,
        handle: &dyn Fn(NodeId) -> String,
    ) -> String {
        let end = |node: NodeId, connector: Option<Name>| match connector {
            None => handle(node),
            Some(name) => format!("{}.{}", handle(node), name_text(self.text(name))),
        };
        let mut text = format!("{} -> {}", end(edge.src, edge.src_conn), end(edge.dst, edge.dst_conn));
        if edge.memlet != Memlet::default() {
            let implied = implied_data_source(state, paths, id);
            text.push_str(&format!(" : {}", self.memlet(&edge.memlet, implied)));
        }
        let extra = self.extra(&edge.extra);
        if !extra.is_empty() {
            text.push_str(&format!(" edge{extra}"));
        }
        text
    }

    fn memlet(&mut self, memlet: &Memlet, implied_source: Option<bool>) -> String {
        let mut text = memlet.data.map_or("none".to_owned(), |name| dotted_name_text(self.text(name)));
        if let Some(subset) = &memlet.subset {
            text.push_str(&self.subset(subset));
        }
        if let Some(subset) = &memlet.other_subset {
            text.push_str(&format!(" other {}", self.subset(subset)));
        }
        if let Some(wcr) = &memlet.wcr {
            text.push_str(&format!(" wcr {}", quoted(&wcr.text)));
        }
        if memlet.dynamic {
            text.push_str(" dynamic");
        }
        if let Some(volume) = memlet.volume {
            let count = memlet.subset.as_ref().map(|subset| element_count(&mut self.exprs, subset));
            if count != Some(volume) {
                text.push_str(&format!(" volume({})", self.expression(volume)));
            }
        }
        if memlet.is_data_src != implied_source {
            match memlet.is_data_src {
                Some(true) => text.push_str(" at_source"),
                Some(false) => text.push_str(" at_target"),
                None => {}
            }
        }
        text.push_str(&self.extra(&memlet.extra));
        text
    }

    fn subset(&mut self, subset: &Subset) -> String {
        let ranges: Vec<String> = subset.ranges.iter().map(|range| self.range(range)).collect();
        format!("[{}]", ranges.join(", "))
    }

    /// Half open, as Python has it.
    fn range(&mut self, range: &Range) -> String {
        let one = self.exprs.int(1);
        if range.start == range.end && range.step == one && range.tile == one {
            return self.expression(range.start);
        }
        let end = crate::ir::builder::open_end(&mut self.exprs, range);
        let mut text = format!("{}:{}", self.expression(range.start), self.expression(end));
        if range.step != one || range.tile != one {
            text.push_str(&format!(":{}", self.expression(range.step)));
        }
        if range.tile != one {
            text.push_str(&format!(":{}", self.expression(range.tile)));
        }
        text
    }
}
