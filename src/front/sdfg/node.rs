//! Dataflow nodes.
//!
//! A scope's exit has no properties of its own: it names its entry (`scope_entry`), or the entry names it
//! (`scope_exit`). A library node has the class in `classpath` and its properties flat among the general ones.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::diag::Result;
use crate::entity::{EntityId, Name};
use crate::ir::{
    Connector, Consume, Extra, Library, Map as MapScope, NestedGraph, Node, NodeId, NodeKind, Schedule,
    Tasklet,
};

use super::json::{
    Element, Within, enumerator, flag, keep, keep_beside, missing, object, optional_text, position, text,
    unknown,
};
use super::read::{Reader, code};
use super::write::{self, Writer, set, with_beside, with_extra};

/// The entry of an exit until the whole state is known.
const UNPAIRED: NodeId = NodeId(u32::MAX);

const CLASSES: [&str; 8] = [
    "AccessNode",
    "Tasklet",
    "MapEntry",
    "MapExit",
    "ConsumeEntry",
    "ConsumeExit",
    "NestedSDFG",
    "LibraryNode",
];

/// General properties of nodes that a library node keeps apart from those of its class.
const GENERAL: [&str; 5] = ["guid", "debuginfo", "environments", "location", "schedule"];

/// What a node says about the scope around it, as positions in the list of nodes.
#[derive(Clone, Copy, Default)]
pub(super) struct ScopeLinks {
    pub entry: Option<usize>,
    pub exit: Option<usize>,
}

#[derive(Default)]
struct Parts {
    label: Option<String>,
    inputs: IndexMap<Name, Connector>,
    outputs: IndexMap<Name, Connector>,
    extra: Extra,
}

impl Reader {
    /// One node. Exits are paired by [`pair`](super::state) once all nodes are read.
    pub(super) fn node(&mut self, value: Value) -> Result<(Node, ScopeLinks)> {
        let Element { class, attributes, beside } = Element::of(value)?;
        let mut kept = Extra::new();
        let mut links = ScopeLinks::default();
        let mut title = None;
        let mut classpath = None;
        for (key, value) in beside {
            match key.as_str() {
                "id" => {}
                "label" => title = optional_text(value).within(|| key)?,
                "scope_entry" => links.entry = position(&value).within(|| key)?,
                "scope_exit" => links.exit = position(&value).within(|| key)?,
                // Before 1.0, a scope could have several exits in the format, and had one in fact.
                "scope_exits" => {
                    let first = value.get(0).unwrap_or(&Value::Null);
                    links.exit = position(first).within(|| key)?;
                }
                "classpath" => classpath = Some(text(value).within(|| key)?),
                _ => keep(&mut kept, key, value)?,
            }
        }
        let place = || format!("{class} `{}`", title.as_deref().unwrap_or_default());
        let mut parts = Parts::default();
        let kind = match (class.as_str(), classpath) {
            (_, Some(classpath)) => self.library(classpath, attributes, &mut parts),
            ("AccessNode", _) => self.access(attributes, &mut parts),
            ("Tasklet", _) => self.tasklet(attributes, &mut parts),
            ("MapEntry", _) => self.map_entry(attributes, &mut parts),
            ("ConsumeEntry", _) => self.consume_entry(attributes, &mut parts),
            ("NestedSDFG", _) => self.nested_graph(attributes, &mut parts),
            ("MapExit", _) => self.exit(attributes, &mut parts, NodeKind::MapExit { entry: UNPAIRED }),
            ("ConsumeExit", _) => {
                self.exit(attributes, &mut parts, NodeKind::ConsumeExit { entry: UNPAIRED })
            }
            ("LibraryNode", None) => Err(missing("classpath")),
            _ => Err(unknown("node", &class, &CLASSES)),
        };
        let kind = kind.within(place)?;
        keep_beside(&mut parts.extra, kept);
        let label = match &kind {
            NodeKind::Access { data, .. } => self.program.names.get(*data).to_string(),
            _ => parts.label.or(title).unwrap_or_default(),
        };
        let node = Node { label, kind, inputs: parts.inputs, outputs: parts.outputs, extra: parts.extra };
        Ok((node, links))
    }

    /// A property that all nodes have, or one that nobody interprets.
    fn general(&mut self, parts: &mut Parts, key: String, value: Value) -> Result<()> {
        match key.as_str() {
            "label" => parts.label = optional_text(value).within(|| key)?,
            "in_connectors" => parts.inputs = self.connectors(value).within(|| key)?,
            "out_connectors" => parts.outputs = self.connectors(value).within(|| key)?,
            _ => keep(&mut parts.extra, key, value)?,
        }
        Ok(())
    }

    fn connectors(&mut self, value: Value) -> Result<IndexMap<Name, Connector>> {
        let entries = match value {
            Value::Null => Map::new(),
            other => object(other)?,
        };
        let mut connectors = IndexMap::with_capacity(entries.len());
        for (name, value) in entries {
            let connector = self.connector(value).within(|| name.clone())?;
            connectors.insert(self.name(&name), connector);
        }
        Ok(connectors)
    }

    fn access(&mut self, attributes: Extra, parts: &mut Parts) -> Result<NodeKind> {
        let mut data = None;
        let mut setzero = false;
        for (key, value) in attributes {
            match key.as_str() {
                "data" => data = Some(text(value).within(|| key)?),
                "setzero" => setzero = flag(value).within(|| key)?,
                _ => self.general(parts, key, value)?,
            }
        }
        let data = data.ok_or_else(|| missing("data"))?;
        Ok(NodeKind::Access { data: self.name(&data), setzero })
    }

    fn tasklet(&mut self, attributes: Extra, parts: &mut Parts) -> Result<NodeKind> {
        let mut tasklet = Tasklet::default();
        for (key, value) in attributes {
            match key.as_str() {
                "code" => tasklet.text = code(value).within(|| key)?.unwrap_or_default(),
                _ => self.general(parts, key, value)?,
            }
        }
        Ok(NodeKind::Tasklet(tasklet))
    }

    fn map_entry(&mut self, attributes: Extra, parts: &mut Parts) -> Result<NodeKind> {
        let mut map = MapScope::default();
        for (key, value) in attributes {
            match key.as_str() {
                "params" => map.params = self.names(value).within(|| key)?,
                "range" => map.range = self.subset(value).within(|| key)?.unwrap_or_default(),
                "unroll" => map.unroll = flag(value).within(|| key)?,
                "schedule" => {
                    map.schedule = schedule_of(enumerator(&value).within(|| key.clone())?);
                    if value.is_object() {
                        keep(&mut parts.extra, key, value)?;
                    }
                }
                _ => self.general(parts, key, value)?,
            }
        }
        Ok(NodeKind::MapEntry(map))
    }

    fn consume_entry(&mut self, attributes: Extra, parts: &mut Parts) -> Result<NodeKind> {
        let mut consume = Consume::default();
        for (key, value) in attributes {
            match key.as_str() {
                "pe_index" => {
                    let name = optional_text(value).within(|| key)?.filter(|name| !name.is_empty());
                    consume.pe_index = name.map(|name| self.name(&name));
                }
                "num_pes" => consume.num_pes = Some(self.expression(&value).within(|| key)?),
                "condition" => {
                    consume.condition = code(value).within(|| key)?.map(super::control::expression)
                }
                "chunksize" => consume.chunk_size = Some(self.expression(&value).within(|| key)?),
                _ => self.general(parts, key, value)?,
            }
        }
        Ok(NodeKind::ConsumeEntry(consume))
    }

    fn exit(&mut self, attributes: Extra, parts: &mut Parts, kind: NodeKind) -> Result<NodeKind> {
        for (key, value) in attributes {
            self.general(parts, key, value)?;
        }
        Ok(kind)
    }

    fn nested_graph(&mut self, attributes: Extra, parts: &mut Parts) -> Result<NodeKind> {
        let mut nested = NestedGraph { graph: None, symbol_mapping: IndexMap::new() };
        for (key, value) in attributes {
            match key.as_str() {
                "sdfg" if value.is_null() => {}
                "sdfg" => nested.graph = Some(self.nested(|reader| reader.graph(value)).within(|| key)?),
                "symbol_mapping" => {
                    for (symbol, value) in object(value).within(|| key.clone())? {
                        let place = || format!("symbol_mapping / `{symbol}`");
                        let value = self.expression(&value).within(place)?;
                        nested.symbol_mapping.insert(self.name(&symbol), value);
                    }
                }
                _ => self.general(parts, key, value)?,
            }
        }
        Ok(NodeKind::Nested(nested))
    }

    fn library(&mut self, classpath: String, attributes: Extra, parts: &mut Parts) -> Result<NodeKind> {
        let mut library = Library { classpath, ..Library::default() };
        for (key, value) in attributes {
            match key.as_str() {
                "name" => library.name = optional_text(value).within(|| key)?.unwrap_or_default(),
                "label" | "in_connectors" | "out_connectors" => self.general(parts, key, value)?,
                general if GENERAL.contains(&general) => self.general(parts, key, value)?,
                _ => keep(&mut library.properties, key, value)?,
            }
        }
        Ok(NodeKind::Library(library))
    }
}

fn schedule_of(name: &str) -> Schedule {
    match name {
        "Default" => Schedule::Default,
        "Sequential" => Schedule::Sequential,
        "CPU_Multicore" => Schedule::Parallel,
        other => Schedule::Other(other.into()),
    }
}

fn schedule_name(schedule: &Schedule) -> &str {
    match schedule {
        Schedule::Default => "Default",
        Schedule::Sequential => "Sequential",
        Schedule::Parallel => "CPU_Multicore",
        Schedule::Other(name) => name,
    }
}

/// Where a node and its scope stand among the nodes that are written.
pub(super) struct Position {
    pub id: usize,
    pub links: ScopeLinks,
}

impl Writer<'_> {
    /// One node.
    pub(super) fn node(&mut self, node: &Node, position: &Position) -> Value {
        let mut attributes = Map::new();
        let mut classpath = None;
        let class = match &node.kind {
            NodeKind::Access { data, setzero } => {
                set(&mut attributes, "data", self.name(*data));
                if *setzero {
                    set(&mut attributes, "setzero", true);
                }
                "AccessNode"
            }
            NodeKind::Tasklet(tasklet) => {
                set(&mut attributes, "code", write::code(&tasklet.text));
                set(&mut attributes, "label", node.label.as_str());
                "Tasklet"
            }
            NodeKind::MapEntry(map) => {
                set(&mut attributes, "label", node.label.as_str());
                set(&mut attributes, "params", self.names(&map.params));
                let range = self.subset(&map.range);
                set(&mut attributes, "range", range);
                if map.schedule != Schedule::Default {
                    let name = schedule_name(&map.schedule);
                    set(&mut attributes, "schedule", write::enumerator(&node.extra, "schedule", name));
                }
                if map.unroll {
                    set(&mut attributes, "unroll", true);
                }
                "MapEntry"
            }
            NodeKind::ConsumeEntry(consume) => {
                set(&mut attributes, "label", node.label.as_str());
                self.consume(&mut attributes, consume);
                "ConsumeEntry"
            }
            NodeKind::MapExit { .. } => "MapExit",
            NodeKind::ConsumeExit { .. } => "ConsumeExit",
            NodeKind::Nested(nested) => {
                set(&mut attributes, "label", node.label.as_str());
                let graph = nested.graph.map_or(Value::Null, |graph| self.nested_graph(graph));
                set(&mut attributes, "sdfg", graph);
                let mut mapping = Map::new();
                for (&symbol, &value) in &nested.symbol_mapping {
                    let value = self.expression(value);
                    mapping.insert(self.program.names.get(symbol).into(), value);
                }
                set(&mut attributes, "symbol_mapping", mapping);
                "NestedSDFG"
            }
            NodeKind::Library(library) => {
                set(&mut attributes, "name", library.name.as_str());
                set(&mut attributes, "label", node.label.as_str());
                for (key, value) in &library.properties {
                    attributes.entry(key.as_str()).or_insert_with(|| value.clone());
                }
                classpath = Some(library.classpath.as_str());
                "LibraryNode"
            }
            NodeKind::Removed => return Value::Null,
        };
        for (key, connectors) in [("in_connectors", &node.inputs), ("out_connectors", &node.outputs)] {
            if !connectors.is_empty() {
                set(&mut attributes, key, self.connectors(connectors));
            }
        }
        let mut element = Map::new();
        set(&mut element, "type", class);
        set(&mut element, "label", node.label.as_str());
        set(&mut element, "attributes", with_extra(attributes, &node.extra));
        set(&mut element, "id", position.id);
        let reference = |id: Option<usize>| id.map_or(Value::Null, |id| id.to_string().into());
        set(&mut element, "scope_entry", reference(position.links.entry));
        set(&mut element, "scope_exit", reference(position.links.exit));
        if let Some(classpath) = classpath {
            set(&mut element, "classpath", classpath);
        }
        with_beside(Value::Object(element), &node.extra)
    }

    fn connectors(&self, connectors: &IndexMap<Name, Connector>) -> Map<String, Value> {
        let entry =
            |(&name, &connector)| (self.program.names.get(name).to_string(), self.connector(connector));
        connectors.iter().map(entry).collect()
    }

    fn consume(&mut self, attributes: &mut Extra, consume: &Consume) {
        if let Some(index) = consume.pe_index {
            set(attributes, "pe_index", self.name(index));
        }
        if let Some(count) = consume.num_pes {
            let count = self.expression(count);
            set(attributes, "num_pes", count);
        }
        if let Some(condition) = &consume.condition {
            set(attributes, "condition", write::code(&condition.text));
        }
        if let Some(size) = consume.chunk_size {
            let size = match self.program.exprs.as_int(size) {
                Some(size) => size.into(),
                None => self.expression(size),
            };
            set(attributes, "chunksize", size);
        }
    }
}

/// The exit's entry, if the node is an exit.
pub(super) fn entry_slot(kind: &mut NodeKind) -> Option<&mut NodeId> {
    match kind {
        NodeKind::MapExit { entry } | NodeKind::ConsumeExit { entry } => Some(entry),
        _ => None,
    }
}

/// Whether `exit` closes scopes of `entry`'s kind.
pub(super) fn is_pair(entry: &NodeKind, exit: &NodeKind) -> bool {
    matches!(
        (entry, exit),
        (NodeKind::MapEntry(_), NodeKind::MapExit { .. })
            | (NodeKind::ConsumeEntry(_), NodeKind::ConsumeExit { .. })
    )
}

/// The node at a position of the list.
pub(super) fn node_at(position: usize) -> NodeId {
    NodeId::from_index(position)
}
