//! Control flow: blocks, regions and the edges between blocks.
//!
//! Both forms are read: flat state machines (states with conditional edges) and explicit regions. Conditions
//! and assignments are plain Python text, without the `$` of symbolic properties. An edge condition that is
//! absent or `1` always holds. A conditional has its branches in `branches`, pairs of condition and region; a
//! branch without condition is the else branch.

use serde_json::{Map, Value};

use crate::diag::{Diagnostic, Result};
use crate::entity::EntityId;
use crate::ir::{
    Block, BlockId, BlockKind, Branch, CodeExpr, Extra, Graph, InterstateEdge, Loop, Region, RegionFlavor,
    RegionId, Text,
};

use super::json::{
    Element, Within, flag, keep, keep_beside, list, missing, object, optional_text, position, unexpected,
    unknown,
};
use super::read::{Reader, code};
use super::state::end;
use super::write::{self, Writer, beside_or, object as entries, set, with_beside, with_extra};

const CLASSES: [&str; 10] = [
    "SDFGState",
    "LoopRegion",
    "ConditionalBlock",
    "ControlFlowRegion",
    "NamedRegion",
    "FunctionCallRegion",
    "UnstructuredControlFlow",
    "BreakBlock",
    "ContinueBlock",
    "ReturnBlock",
];

/// The lists of a region's element.
#[derive(Default)]
pub(super) struct Lists {
    pub nodes: Vec<Value>,
    pub edges: Vec<Value>,
    pub start: Option<Value>,
    branches: Option<Vec<Value>>,
    label: Option<String>,
}

impl Lists {
    /// Takes the known keys from those beside the attributes and keeps the others.
    pub(super) fn of(beside: Extra, extra: &mut Extra) -> Result<Lists> {
        let mut lists = Lists::default();
        let mut kept = Extra::new();
        for (key, value) in beside {
            match key.as_str() {
                "nodes" => lists.nodes = list(value).within(|| key)?,
                "edges" => lists.edges = list(value).within(|| key)?,
                "branches" => lists.branches = Some(list(value).within(|| key)?),
                "start_block" if value.is_null() => {}
                "start_block" => lists.start = Some(value),
                "label" => lists.label = optional_text(value).within(|| key)?,
                "id" | "cfg_list_id" | "scope_dict" => {}
                "collapsed" if value == Value::Bool(false) => {}
                _ => keep(&mut kept, key, value)?,
            }
        }
        keep_beside(extra, kept);
        Ok(lists)
    }
}

/// An expression of control flow that is not lowered yet.
pub(super) fn expression(text: Text) -> CodeExpr {
    CodeExpr { text, target: None, code: None }
}

impl Reader {
    /// A region from its lists.
    pub(super) fn region(&mut self, graph: &mut Graph, lists: Lists) -> Result<RegionId> {
        self.nested(|reader| reader.region_within(graph, lists))
    }

    fn region_within(&mut self, graph: &mut Graph, lists: Lists) -> Result<RegionId> {
        let id = graph.regions.push(Region::default());
        let mut region = Region::default();
        for (index, value) in lists.nodes.into_iter().enumerate() {
            region.blocks.push(self.block(graph, value).within(|| format!("nodes[{index}]"))?);
        }
        for (index, value) in lists.edges.into_iter().enumerate() {
            region
                .edges
                .push(self.interstate_edge(value, &region.blocks).within(|| format!("edges[{index}]"))?);
        }
        if let Some(start) = lists.start {
            let index = position(&start).within(|| "start_block".into())?;
            region.start = index.and_then(|index| region.blocks.get(index).copied());
            if region.start.is_none() {
                return Err(Diagnostic::error("P0102", "the start block does not exist")
                    .at("start_block")
                    .with_note(format!("there are {} blocks, counted from 0", region.blocks.len())));
            }
        }
        graph.regions[id] = region;
        Ok(id)
    }

    fn block(&mut self, graph: &mut Graph, value: Value) -> Result<BlockId> {
        let Element { class, attributes, beside } = Element::of(value)?;
        // Blocks are numbered from the outside in, so the place is taken before the content is read.
        let id =
            graph.blocks.push(Block { label: String::new(), kind: BlockKind::Break, extra: Extra::new() });
        let mut extra = Extra::new();
        let mut lists = Lists::of(beside, &mut extra)?;
        let label = lists.label.take().unwrap_or_default();
        let kind = self
            .block_kind(graph, &class, attributes, lists, &mut extra)
            .within(|| format!("{class} `{label}`"))?;
        graph.blocks[id] = Block { label, kind, extra };
        Ok(id)
    }

    fn block_kind(
        &mut self,
        graph: &mut Graph,
        class: &str,
        attributes: Extra,
        lists: Lists,
        extra: &mut Extra,
    ) -> Result<BlockKind> {
        if class == "LoopRegion" {
            return self.loop_region(graph, attributes, lists, extra);
        }
        for (key, value) in attributes {
            keep(extra, key, value)?;
        }
        let flavor = match class {
            "SDFGState" => return Ok(BlockKind::State(Box::new(self.state(lists.nodes, lists.edges)?))),
            "ConditionalBlock" => return self.conditional(graph, lists),
            "BreakBlock" => return Ok(BlockKind::Break),
            "ContinueBlock" => return Ok(BlockKind::Continue),
            "ReturnBlock" => return Ok(BlockKind::Return),
            "ControlFlowRegion" => RegionFlavor::Plain,
            "NamedRegion" => RegionFlavor::Named,
            "FunctionCallRegion" => RegionFlavor::FunctionCall,
            "UnstructuredControlFlow" => RegionFlavor::Unstructured,
            _ => return Err(unknown("block", class, &CLASSES)),
        };
        Ok(BlockKind::Region(flavor, self.region(graph, lists)?))
    }

    fn loop_region(
        &mut self,
        graph: &mut Graph,
        attributes: Extra,
        lists: Lists,
        extra: &mut Extra,
    ) -> Result<BlockKind> {
        let mut variable = None;
        let [mut init, mut condition, mut update] = [None, None, None];
        let mut inverted = false;
        let mut update_before_condition = true;
        for (key, value) in attributes {
            match key.as_str() {
                "loop_variable" => variable = optional_text(value).within(|| key)?.filter(|v| !v.is_empty()),
                "init_statement" => init = code(value).within(|| key)?,
                "loop_condition" => condition = code(value).within(|| key)?,
                "update_statement" => update = code(value).within(|| key)?,
                "inverted" => inverted = flag(value).within(|| key)?,
                "update_before_condition" => update_before_condition = flag(value).within(|| key)?,
                _ => keep(extra, key, value)?,
            }
        }
        Ok(BlockKind::Loop(Box::new(Loop {
            variable: variable.map(|name| self.name(&name)),
            init: init.map(expression),
            condition: condition.map(expression).ok_or_else(|| missing("loop_condition"))?,
            update: update.map(expression),
            inverted,
            update_before_condition,
            body: self.region(graph, lists)?,
        })))
    }

    fn conditional(&mut self, graph: &mut Graph, lists: Lists) -> Result<BlockKind> {
        let branches = lists.branches.ok_or_else(|| missing("branches"))?;
        let mut read = Vec::with_capacity(branches.len());
        for (index, branch) in branches.into_iter().enumerate() {
            read.push(self.branch(graph, branch).within(|| format!("branches[{index}]"))?);
        }
        Ok(BlockKind::Conditional(read))
    }

    fn branch(&mut self, graph: &mut Graph, value: Value) -> Result<Branch> {
        let [condition, region] = match value {
            Value::Array(pair) => <[Value; 2]>::try_from(pair)
                .map_err(|other| unexpected("a pair of condition and region", &Value::Array(other)))?,
            other => return Err(unexpected("a pair of condition and region", &other)),
        };
        let condition = code(condition).within(|| "condition".into())?.map(expression);
        let Element { class, attributes, beside } = Element::of(region)?;
        if class != "ControlFlowRegion" {
            return Err(unknown("branch", &class, &["ControlFlowRegion"]));
        }
        let mut extra = Extra::new();
        for (key, value) in attributes {
            keep(&mut extra, key, value)?;
        }
        let mut lists = Lists::of(beside, &mut extra)?;
        let label = lists.label.take().unwrap_or_default();
        let body = self.region(graph, lists).within(|| format!("region `{label}`"))?;
        Ok(Branch { condition, body, label, extra })
    }

    fn interstate_edge(&mut self, value: Value, blocks: &[BlockId]) -> Result<InterstateEdge> {
        let Element { class, mut attributes, beside } = Element::of(value)?;
        if class != "Edge" {
            return Err(unknown("edge between blocks", &class, &["Edge"]));
        }
        let data = attributes.shift_remove("data").ok_or_else(|| missing("data").at("attributes"))?;
        let data = Element::of(data).within(|| "data".into())?;
        if data.class != "InterstateEdge" {
            return Err(unknown("edge between blocks", &data.class, &["InterstateEdge"]));
        }
        let mut extra = Extra::new();
        let mut condition = None;
        let mut assignments = Vec::new();
        for (key, value) in data.attributes {
            match key.as_str() {
                "condition" => condition = code(value).within(|| key)?,
                "assignments" => {
                    for (name, value) in object(value).within(|| key.clone())? {
                        let text = assigned(value).within(|| format!("{key} / `{name}`"))?;
                        assignments.push((self.name(&name), expression(text)));
                    }
                }
                _ => keep(&mut extra, key, value)?,
            }
        }
        let mut kept = Extra::new();
        let [mut src, mut dst] = [None, None];
        for (key, value) in beside {
            match key.as_str() {
                "src" => src = Some(end(&value, blocks.len()).within(|| key)?),
                "dst" => dst = Some(end(&value, blocks.len()).within(|| key)?),
                _ => keep(&mut kept, key, value)?,
            }
        }
        keep_beside(&mut extra, kept);
        let block = |index: Option<usize>, key| {
            index.and_then(|i| blocks.get(i).copied()).ok_or_else(|| missing(key))
        };
        Ok(InterstateEdge {
            src: block(src, "src")?,
            dst: block(dst, "dst")?,
            condition: condition.filter(|text| text.text.trim() != "1").map(expression),
            assignments,
            extra,
        })
    }
}

/// The value of an assignment: Python text, or a number or boolean that stands for its text.
fn assigned(value: Value) -> Result<Text> {
    code(value)?.ok_or_else(|| unexpected("the text of an expression", &Value::Null))
}

impl Writer<'_> {
    /// Adds the lists of a region to its element.
    pub(super) fn region(&mut self, element: &mut Extra, graph: &Graph, id: RegionId) {
        let number = self.next_region;
        self.next_region += 1;
        let empty = Region::default();
        let region = match graph.regions.get(id) {
            Some(region) if self.enter() => region,
            _ => &empty,
        };
        let mut nodes = Vec::with_capacity(region.blocks.len());
        let mut positions = vec![None; graph.blocks.len()];
        for &id in &region.blocks {
            let Some(block) = graph.blocks.get(id) else { continue };
            positions[id.index()] = Some(nodes.len());
            let block = self.block(graph, block, nodes.len());
            nodes.push(block);
        }
        let at = |id: BlockId| positions.get(id.index()).copied().flatten();
        let mut edges = Vec::with_capacity(region.edges.len());
        for edge in &region.edges {
            if let (Some(src), Some(dst)) = (at(edge.src), at(edge.dst)) {
                edges.push(self.interstate_edge(edge, src, dst));
            }
        }
        set(element, "nodes", nodes);
        set(element, "edges", edges);
        set(element, "cfg_list_id", number);
        set(element, "start_block", region.start.and_then(at).map_or(Value::Null, Value::from));
        self.leave();
    }

    fn block(&mut self, graph: &Graph, block: &Block, position: usize) -> Value {
        let mut attributes = Map::new();
        let mut element = Map::new();
        let class = match &block.kind {
            BlockKind::State(_) => "SDFGState",
            BlockKind::Loop(_) => "LoopRegion",
            BlockKind::Conditional(_) => "ConditionalBlock",
            BlockKind::Region(RegionFlavor::Plain, _) => "ControlFlowRegion",
            BlockKind::Region(RegionFlavor::Named, _) => "NamedRegion",
            BlockKind::Region(RegionFlavor::FunctionCall, _) => "FunctionCallRegion",
            BlockKind::Region(RegionFlavor::Unstructured, _) => "UnstructuredControlFlow",
            BlockKind::Break => "BreakBlock",
            BlockKind::Continue => "ContinueBlock",
            BlockKind::Return => "ReturnBlock",
        };
        set(&mut element, "type", class);
        set(&mut element, "label", block.label.as_str());
        set(&mut element, "id", position);
        set(&mut element, "collapsed", beside_or(&block.extra, "collapsed", false));
        match &block.kind {
            BlockKind::State(state) => self.state(&mut element, state),
            BlockKind::Loop(region) => {
                self.loop_properties(&mut attributes, region);
                self.region(&mut element, graph, region.body);
            }
            BlockKind::Conditional(branches) => {
                set(&mut element, "cfg_list_id", self.next_region);
                self.next_region += 1;
                set(&mut element, "start_block", Value::Null);
                let branches: Vec<Value> = branches.iter().map(|branch| self.branch(graph, branch)).collect();
                set(&mut element, "branches", branches);
            }
            BlockKind::Region(_, body) => self.region(&mut element, graph, *body),
            BlockKind::Break | BlockKind::Continue | BlockKind::Return => {
                set(&mut element, "nodes", Vec::<Value>::new());
                set(&mut element, "edges", Vec::<Value>::new());
            }
        }
        set(&mut element, "attributes", with_extra(attributes, &block.extra));
        with_beside(Value::Object(element), &block.extra)
    }

    fn loop_properties(&self, attributes: &mut Extra, region: &Loop) {
        if let Some(init) = &region.init {
            set(attributes, "init_statement", write::code(&init.text));
        }
        set(attributes, "loop_condition", write::code(&region.condition.text));
        if let Some(update) = &region.update {
            set(attributes, "update_statement", write::code(&update.text));
        }
        if let Some(variable) = region.variable {
            set(attributes, "loop_variable", self.name(variable));
        }
        if region.inverted {
            set(attributes, "inverted", true);
        }
        if !region.update_before_condition {
            set(attributes, "update_before_condition", false);
        }
    }

    fn branch(&mut self, graph: &Graph, branch: &Branch) -> Value {
        let condition = branch.condition.as_ref().map_or(Value::Null, |code| write::code(&code.text));
        let mut element = Map::new();
        set(&mut element, "type", "ControlFlowRegion");
        set(&mut element, "attributes", with_extra(Map::new(), &branch.extra));
        self.region(&mut element, graph, branch.body);
        set(&mut element, "collapsed", beside_or(&branch.extra, "collapsed", false));
        set(&mut element, "label", branch.label.as_str());
        set(&mut element, "id", Value::Null);
        Value::Array(vec![condition, with_beside(Value::Object(element), &branch.extra)])
    }

    fn interstate_edge(&mut self, edge: &InterstateEdge, src: usize, dst: usize) -> Value {
        let mut attributes = Map::new();
        if let Some(condition) = &edge.condition {
            set(&mut attributes, "condition", write::code(&condition.text));
        }
        if !edge.assignments.is_empty() {
            let mut assignments = Map::new();
            for (name, value) in &edge.assignments {
                set(&mut assignments, self.program.names.get(*name), value.text.text.as_str());
            }
            set(&mut attributes, "assignments", assignments);
        }
        let data =
            entries([("type", "InterstateEdge".into()), ("attributes", with_extra(attributes, &edge.extra))]);
        let element = entries([
            ("type", "Edge".into()),
            ("attributes", entries([("data", data)])),
            ("src", src.to_string().into()),
            ("dst", dst.to_string().into()),
        ]);
        with_beside(element, &edge.extra)
    }
}
