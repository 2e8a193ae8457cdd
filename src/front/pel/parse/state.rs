//! The explicit form of a state: named nodes and the edges between them.

use indexmap::IndexMap;

use crate::diag::Result;
use crate::entity::Name;
use crate::ir::builder::{Dataflow, range_from_ends};
use crate::ir::{
    Connector, Consume, Edge, Extra, Library, Map, Memlet, NestedGraph, Node, NodeId, NodeKind, Range,
    Schedule, State, Subset, Tasklet, Text, Wcr,
};

use super::Parser;

pub(super) const NODE_WORDS: [&str; 8] =
    ["access", "tasklet", "map_entry", "map_exit", "consume_entry", "consume_exit", "nested", "library"];

type Connectors = IndexMap<Name, Connector>;

/// A state while it is read.
#[derive(Default)]
pub(super) struct StateDraft {
    pub dataflow: Dataflow,
    handles: IndexMap<String, NodeId>,
    /// Nodes whose connectors follow from their edges.
    implied: Vec<NodeId>,
    /// Scope exits and the handle of their entry.
    exits: Vec<(NodeId, usize, String)>,
    edges: Vec<(usize, Edge, String, String)>,
}

impl Parser<'_> {
    /// Statements up to `}`, which is taken.
    pub(super) fn state(&mut self) -> Result<State> {
        let mut draft = StateDraft::default();
        while !self.cursor.eat("}") {
            self.state_item(&mut draft)?;
        }
        self.finish_state(draft)
    }

    pub(super) fn state_item(&mut self, draft: &mut StateDraft) -> Result<()> {
        self.cursor.skip();
        let start = self.cursor.position();
        let word = self.cursor.peek_word();
        if ["map", "tasklet", "copy"].contains(&word) {
            return self.sugar(&mut draft.dataflow);
        }
        let handle = self.cursor.name("a node, an edge or a statement")?;
        if self.cursor.eat("=") && NODE_WORDS.contains(&self.cursor.peek_word()) {
            return self.node(draft, handle, start);
        }
        self.cursor.rewind(start);
        if self.sees_edge() {
            return self.edge(draft);
        }
        self.sugar(&mut draft.dataflow)
    }

    pub(super) fn finish_state(&mut self, mut draft: StateDraft) -> Result<State> {
        let find = |parser: &Self, at: usize, handle: &str| {
            draft.handles.get(handle).copied().ok_or_else(|| {
                parser.cursor.error_at(at, "P0044", format!("no node of this state is called `{handle}`"))
            })
        };
        let mut closed = Vec::new();
        for (exit, at, entry) in &draft.exits {
            closed.push((*exit, find(self, *at, entry)?));
        }
        let mut edges = Vec::new();
        for (at, edge, src, dst) in &draft.edges {
            edges.push(Edge { src: find(self, *at, src)?, dst: find(self, *at, dst)?, ..edge.clone() });
        }
        let state = draft.dataflow.state_mut();
        for (exit, closes) in closed {
            match &mut state.nodes[exit].kind {
                NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry } => *entry = closes,
                _ => {}
            }
        }
        for edge in edges {
            if let Some(connector) = edge.src_conn.filter(|_| draft.implied.contains(&edge.src)) {
                state.nodes[edge.src].outputs.entry(connector).or_default();
            }
            if let Some(connector) = edge.dst_conn.filter(|_| draft.implied.contains(&edge.dst)) {
                state.nodes[edge.dst].inputs.entry(connector).or_default();
            }
            state.edges.push(edge);
        }
        let graph = self.current_id();
        Ok(draft.dataflow.finish(&mut self.program, graph))
    }

    fn sees_edge(&mut self) -> bool {
        let start = self.cursor.position();
        let is_edge = self.edge_end().is_ok() && self.cursor.sees("->");
        self.cursor.rewind(start);
        is_edge
    }

    fn edge_end(&mut self) -> Result<(String, Option<Name>)> {
        let handle = self.cursor.name("a node")?;
        let connector = if self.cursor.eat(".") {
            let connector = self.cursor.name("a connector")?;
            Some(self.program.names.intern(&connector))
        } else {
            None
        };
        Ok((handle, connector))
    }

    /// `node.connector -> node.connector : memlet`.
    fn edge(&mut self, draft: &mut StateDraft) -> Result<()> {
        let at = self.cursor.position();
        let (src, src_conn) = self.edge_end()?;
        self.cursor.expect("->", "between two nodes")?;
        let (dst, dst_conn) = self.edge_end()?;
        let memlet = if self.cursor.eat(":") { self.memlet()? } else { Memlet::default() };
        let extra = if self.cursor.eat_word("edge") { self.extra()? } else { Extra::new() };
        let nobody = NodeId(u32::MAX);
        let edge = Edge { src: nobody, src_conn, dst: nobody, dst_conn, memlet, removed: false, extra };
        draft.edges.push((at, edge, src, dst));
        Ok(())
    }

    /// `data[subset] clauses`.
    pub(super) fn memlet(&mut self) -> Result<Memlet> {
        let mut memlet = Memlet::default();
        if !self.cursor.eat_word("none") {
            let name = self.cursor.dotted_name("a container")?;
            memlet.data = Some(self.program.names.intern(&name));
        }
        if self.cursor.eat("[") {
            memlet.subset = Some(self.subset(memlet.data)?);
        }
        loop {
            let start = self.cursor.position();
            let word = self.cursor.peek_word();
            self.cursor.eat_word(word);
            match word {
                "other" => {
                    self.cursor.expect("[", "before the other end's subset")?;
                    memlet.other_subset = Some(self.subset(None)?);
                }
                "wcr" => {
                    let text = self.cursor.string("a lambda in quotes")?;
                    memlet.wcr = Some(Wcr { text, code: None });
                }
                "dynamic" => memlet.dynamic = true,
                "volume" => memlet.volume = Some(self.symbolic_in_parentheses()?),
                "at_source" => memlet.is_data_src = Some(true),
                "at_target" => memlet.is_data_src = Some(false),
                _ => {
                    self.cursor.rewind(start);
                    memlet.extra = self.extra()?;
                    return Ok(memlet);
                }
            }
        }
    }

    /// Ranges up to `]`, which is taken. `:` alone and open ends mean the extent of `data`.
    pub(super) fn subset(&mut self, data: Option<Name>) -> Result<Subset> {
        let mut ranges = Vec::new();
        while !self.cursor.eat("]") {
            ranges.push(self.range(data, ranges.len())?);
            self.comma_or("]")?;
        }
        Ok(Subset { ranges })
    }

    /// `index`, `start:end`, `start:end:step` or `start:end:step:tile`.
    pub(super) fn range(&mut self, data: Option<Name>, dimension: usize) -> Result<Range> {
        let mut ends = Vec::new();
        if self.cursor.sees(":") {
            ends.push(self.program.exprs.int(0));
        } else {
            ends.push(self.symbolic()?);
        }
        while ends.len() < 4 && self.cursor.eat(":") {
            let is_open = ends.len() == 1 && [",", "]", ":"].iter().any(|close| self.cursor.sees(close));
            if is_open {
                let extent =
                    data.and_then(|name| self.current().data.get(&name)?.shape().get(dimension).copied());
                ends.push(extent.ok_or_else(|| {
                    self.cursor
                        .unexpected("the end of a range")
                        .with_help("an open end needs a container that is declared above")
                })?);
            } else {
                ends.push(self.symbolic()?);
            }
        }
        Ok(range_from_ends(&mut self.program.exprs, &ends))
    }

    /// `handle = KIND ...`; handle and `=` have been taken.
    fn node(&mut self, draft: &mut StateDraft, handle: String, at: usize) -> Result<()> {
        let word = self.cursor.name("a kind of node")?;
        let no_code = |text| NodeKind::Tasklet(Tasklet { text, code: None });
        let mut entry_handle = None;
        let (label, kind, connectors) = match word.as_str() {
            "access" => {
                let name = self.cursor.dotted_name("a container")?;
                let data = self.program.names.intern(&name);
                let setzero = self.cursor.eat_word("setzero");
                let label = match self.cursor.eat_word("label") {
                    true => {
                        self.cursor.expect("(", "before the label")?;
                        let label = self.cursor.name("a label")?;
                        self.cursor.expect(")", "after the label")?;
                        label
                    }
                    false => name,
                };
                (label, NodeKind::Access { data, setzero }, self.connectors()?)
            }
            "tasklet" => {
                let label = self.cursor.name("the tasklet's label")?;
                let connectors = self.connectors()?;
                let language = self.language();
                let text = self.cursor.code_block()?;
                (label, no_code(Text { language, text }), connectors)
            }
            "map_entry" => {
                let label = self.cursor.name("the map's label")?;
                let connectors = self.connectors()?;
                (label, NodeKind::MapEntry(self.map_clauses()?), connectors)
            }
            "consume_entry" => {
                let label = self.cursor.name("the consume scope's label")?;
                let connectors = self.connectors()?;
                (label, NodeKind::ConsumeEntry(self.consume_clauses()?), connectors)
            }
            "map_exit" | "consume_exit" => {
                let label = self.cursor.name("the exit's label")?;
                let connectors = self.connectors()?;
                if !self.cursor.eat_word("of") {
                    return Err(self.cursor.unexpected("`of` and the entry"));
                }
                entry_handle = Some((self.cursor.position(), self.cursor.name("the entry")?));
                let entry = NodeId(u32::MAX);
                let is_map = word == "map_exit";
                let kind = if is_map { NodeKind::MapExit { entry } } else { NodeKind::ConsumeExit { entry } };
                (label, kind, connectors)
            }
            "nested" => {
                let label = self.cursor.name("the nested graph's label")?;
                let connectors = self.connectors()?;
                (label, NodeKind::Nested(self.nested()?), connectors)
            }
            _ => {
                let label = self.cursor.name("the library node's label")?;
                let classpath = self.cursor.string("a class path in quotes")?;
                let mut library = Library { classpath, name: label.clone(), ..Library::default() };
                if self.cursor.eat_word("name") {
                    self.cursor.expect("(", "before the name")?;
                    library.name = self.cursor.name("a name")?;
                    self.cursor.expect(")", "after the name")?;
                }
                let connectors = self.connectors()?;
                if self.cursor.eat_word("properties") {
                    library.properties = self.extra()?;
                }
                (label, NodeKind::Library(library), connectors)
            }
        };
        let extra = self.extra()?;
        let implied = connectors.is_none();
        let (inputs, outputs) = connectors.unwrap_or_default();
        let id = draft.dataflow.state_mut().nodes.push(Node { label, kind, inputs, outputs, extra });
        if implied {
            draft.implied.push(id);
        }
        if let Some((at, entry)) = entry_handle {
            draft.exits.push((id, at, entry));
        }
        if draft.handles.insert(handle.clone(), id).is_some() {
            return Err(self.cursor.error_at(at, "P0043", format!("two nodes are called `{handle}`")));
        }
        Ok(())
    }

    /// `(inputs) -> (outputs)`, if given.
    fn connectors(&mut self) -> Result<Option<(Connectors, Connectors)>> {
        if !self.cursor.sees("(") {
            return Ok(None);
        }
        let inputs = self.connector_list()?;
        self.cursor.expect("->", "between inputs and outputs")?;
        Ok(Some((inputs, self.connector_list()?)))
    }

    fn connector_list(&mut self) -> Result<Connectors> {
        self.cursor.expect("(", "before connectors")?;
        let mut list = Connectors::new();
        while !self.cursor.eat(")") {
            self.cursor.skip();
            let at = self.cursor.position();
            let name = self.cursor.name("a connector")?;
            let connector = self.connector_type()?;
            let name = self.program.names.intern(&name);
            if list.insert(name, connector).is_some() {
                return Err(self.cursor.error_at(at, "P0043", "two connectors have the same name"));
            }
            self.comma_or(")")?;
        }
        Ok(list)
    }

    /// `: type`, `: type*` or `: *`, if given.
    pub(super) fn connector_type(&mut self) -> Result<Connector> {
        if !self.cursor.eat(":") {
            return Ok(Connector::default());
        }
        let ty = if self.cursor.sees("*") { None } else { Some(self.ty()?) };
        Ok(Connector { ty, pointer: self.cursor.eat("*") })
    }

    /// `[i in 0:N, ...] schedule unroll`.
    fn map_clauses(&mut self) -> Result<Map> {
        let mut map = Map::default();
        self.cursor.expect("[", "before the map's parameters")?;
        while !self.cursor.eat("]") {
            let in_only = self.cursor.peek_word() == "in";
            if !in_only {
                let name = self.cursor.name("a parameter")?;
                map.params.push(self.program.names.intern(&name));
            }
            if self.cursor.eat_word("in") {
                let range = self.range(None, 0)?;
                map.range.ranges.push(range);
            }
            self.comma_or("]")?;
        }
        map.schedule = self.schedule()?;
        map.unroll = self.cursor.eat_word("unroll");
        Ok(map)
    }

    /// `parallel`, `sequential` or `schedule("NAME")`, if given.
    pub(super) fn schedule(&mut self) -> Result<Schedule> {
        let word = self.cursor.peek_word();
        Ok(match word {
            "parallel" | "sequential" => {
                self.cursor.eat_word(word);
                if word == "parallel" { Schedule::Parallel } else { Schedule::Sequential }
            }
            "schedule" => {
                self.cursor.eat_word(word);
                self.cursor.expect("(", "before the schedule's name")?;
                let name = self.cursor.string("a schedule in quotes")?;
                self.cursor.expect(")", "after the schedule's name")?;
                Schedule::Other(name.into())
            }
            _ => Schedule::Default,
        })
    }

    /// `index(p) workers(n) until(condition) chunk(n)`.
    fn consume_clauses(&mut self) -> Result<Consume> {
        let mut consume = Consume::default();
        loop {
            let start = self.cursor.position();
            let word = self.cursor.peek_word();
            self.cursor.eat_word(word);
            match word {
                "index" => consume.pe_index = self.names_in_parentheses()?.first().copied(),
                "workers" => consume.num_pes = Some(self.symbolic_in_parentheses()?),
                "chunk" => consume.chunk_size = Some(self.symbolic_in_parentheses()?),
                "until" => {
                    self.cursor.expect("(", "before the condition")?;
                    consume.condition = Some(self.code()?);
                    self.cursor.expect(")", "after the condition")?;
                }
                _ => {
                    self.cursor.rewind(start);
                    return Ok(consume);
                }
            }
        }
    }

    /// `with (inner = outer, ...) graph NAME ... { }`, or `external` for a graph that is not in the text.
    fn nested(&mut self) -> Result<NestedGraph> {
        let mut symbol_mapping = IndexMap::new();
        if self.cursor.eat_word("with") {
            self.cursor.expect("(", "before the symbol mapping")?;
            while !self.cursor.eat(")") {
                let inner = self.cursor.name("an inner symbol")?;
                self.cursor.expect("=", "between inner symbol and outer value")?;
                let value = self.symbolic()?;
                symbol_mapping.insert(self.program.names.intern(&inner), value);
                self.comma_or(")")?;
            }
        }
        if self.cursor.eat_word("external") {
            return Ok(NestedGraph { graph: None, symbol_mapping });
        }
        if !self.cursor.eat_word("graph") {
            return Err(self.cursor.unexpected("`graph NAME(...) { ... }` or `external`"));
        }
        Ok(NestedGraph { graph: Some(self.graph(false)?), symbol_mapping })
    }
}
