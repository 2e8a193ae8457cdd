//! Graphs: the outermost one and those inside nested-graph nodes.

use serde_json::{Map, Value};

use crate::diag::Result;
use crate::ir::{Extra, Graph, GraphId};

use super::constants;
use super::control::Lists;
use super::json::{Element, Within, keep, object, text, unknown};
use super::read::Reader;
use super::version::Version;
use super::write::{Writer, beside_or, set, with_beside, with_extra};

/// How deep graphs and regions may nest when written; a graph that owns itself ends here.
const MAX_NESTING: usize = 300;

impl Reader {
    /// `{"type": "SDFG", ...}`. Graphs are numbered from the outside in.
    pub(super) fn graph(&mut self, value: Value) -> Result<GraphId> {
        let Element { class, attributes, mut beside } = Element::of(value)?;
        if class != "SDFG" {
            return Err(unknown("graph", &class, &["SDFG"]));
        }
        let grammar = match beside.shift_remove("dace_version") {
            None | Some(Value::Null) => self.grammar,
            Some(version) => Version::parse(&text(version).within(|| "dace_version".into())?)?.grammar(),
        };
        let id = self.program.graphs.push(Graph::default());
        let name = attributes.get("name").and_then(Value::as_str).unwrap_or_default().to_string();
        let graph = self
            .in_grammar(grammar, |reader| reader.graph_content(attributes, beside))
            .within(|| format!("graph `{name}`"))?;
        self.program.graphs[id] = graph;
        Ok(id)
    }

    fn graph_content(&mut self, attributes: Extra, beside: Extra) -> Result<Graph> {
        let mut graph = Graph::default();
        for (key, value) in attributes {
            self.graph_property(&mut graph, key, value)?;
        }
        let lists = Lists::of(beside, &mut graph.extra)?;
        graph.body = Some(self.region(&mut graph, lists)?);
        Ok(graph)
    }

    fn graph_property(&mut self, graph: &mut Graph, key: String, value: Value) -> Result<()> {
        match key.as_str() {
            "name" => graph.name = text(value).within(|| key)?,
            "arg_names" => graph.arg_names = self.names(value).within(|| key)?,
            "_arrays" => graph.data = self.containers(value).within(|| key)?,
            "symbols" => {
                for (name, value) in object(value).within(|| key.clone())? {
                    let ty = self.typeclass(value).within(|| format!("{key} / `{name}`"))?;
                    graph.symbols.insert(self.name(&name), ty);
                }
            }
            constants::KEY => self.constants(graph, value).within(|| key)?,
            _ => keep(&mut graph.extra, key, value)?,
        }
        Ok(())
    }
}

impl Writer<'_> {
    /// The graph of a nested-graph node; null where nesting does not end.
    pub(super) fn nested_graph(&mut self, id: GraphId) -> Value {
        let graph = if self.enter() { self.graph(id, None) } else { Value::Null };
        self.leave();
        graph
    }

    /// A graph, with the version if it is the outermost one.
    pub(super) fn graph(&mut self, id: GraphId, version: Option<&str>) -> Value {
        let Some(graph) = self.program.graphs.get(id) else { return Value::Null };
        let mut element = Map::new();
        set(&mut element, "type", "SDFG");
        let attributes = self.graph_attributes(graph);
        set(&mut element, "attributes", with_extra(attributes, &graph.extra));
        match graph.body {
            Some(body) => self.region(&mut element, graph, body),
            None => {
                set(&mut element, "nodes", Vec::<Value>::new());
                set(&mut element, "edges", Vec::<Value>::new());
            }
        }
        set(&mut element, "collapsed", beside_or(&graph.extra, "collapsed", false));
        set(&mut element, "label", graph.name.as_str());
        set(&mut element, "id", Value::Null);
        if let Some(version) = version {
            set(&mut element, "dace_version", version);
        }
        with_beside(Value::Object(element), &graph.extra)
    }

    fn graph_attributes(&mut self, graph: &Graph) -> Extra {
        let mut attributes = Map::new();
        set(&mut attributes, "name", graph.name.as_str());
        if !graph.arg_names.is_empty() {
            set(&mut attributes, "arg_names", self.names(&graph.arg_names));
        }
        self.constants(&mut attributes, graph);
        let containers = self.containers(&graph.data);
        set(&mut attributes, "_arrays", containers);
        if !graph.symbols.is_empty() {
            let mut symbols = Map::new();
            for (&name, &ty) in &graph.symbols {
                set(&mut symbols, self.program.names.get(name), self.typeclass(ty));
            }
            set(&mut attributes, "symbols", symbols);
        }
        attributes
    }

    /// Opens one level of graphs or regions; false if there are too many. Pairs with [`Writer::leave`].
    pub(super) fn enter(&mut self) -> bool {
        self.nesting += 1;
        self.nesting <= MAX_NESTING
    }

    /// Closes a level, whether it was too deep or not.
    pub(super) fn leave(&mut self) {
        self.nesting -= 1;
    }
}
