//! States: nodes in execution order, views, copies.

use hashbrown::{HashMap, HashSet};

use crate::analysis::{MemletPaths, ScopeTree, viewed_edge};
use crate::entity::Name;
use crate::ir::{Adjacency, BlockId, DataKind, Edge, EdgeId, NodeId, NodeKind, State};
use crate::kernel::linear::Linear;
use crate::kernel::{BufferKind, Stmt, ValueId, VarId};
use crate::scalar::{BinaryOp, DType, Type};

use super::container::{Container, Memory};
use super::layout::Layout;
use super::memlet::Access;
use super::{Lowerer, Lowering};

/// A state with the answers to questions about its graph.
pub(super) struct StateContext<'p> {
    pub block: BlockId,
    pub state: &'p State,
    pub tree: ScopeTree,
    pub paths: MemletPaths,
    pub adjacency: Adjacency,
    /// Access nodes per container.
    twins: HashMap<Name, usize>,
}

impl<'p> StateContext<'p> {
    pub fn edge(&self, id: EdgeId) -> &'p Edge {
        &self.state.edges[id]
    }

    /// The container name of an access node.
    pub fn accessed(&self, node: NodeId) -> Option<Name> {
        match self.state.nodes.get(node)?.kind {
            NodeKind::Access { data, .. } => Some(data),
            _ => None,
        }
    }

    fn is_code(&self, node: NodeId) -> bool {
        self.state.nodes.get(node).is_some_and(|node| {
            matches!(node.kind, NodeKind::Tasklet(_) | NodeKind::Nested(_) | NodeKind::Library(_))
        })
    }

    /// The node where the data of an edge comes from.
    pub fn source(&self, edge: EdgeId) -> NodeId {
        self.edge(self.paths.first(edge)).src
    }

    /// The node where the data of an edge goes to, along the first continuation.
    pub fn sink(&self, edge: EdgeId) -> NodeId {
        self.paths.last(edge).first().map_or(self.edge(edge).dst, |&last| self.edge(last).dst)
    }
}

impl<'p> Lowerer<'p> {
    pub fn state(&mut self, block: BlockId, state: &'p State) -> Lowering<()> {
        let mut twins: HashMap<Name, usize> = HashMap::new();
        for (_, node) in state.live_nodes() {
            if let NodeKind::Access { data, .. } = node.kind {
                *twins.entry(data).or_default() += 1;
            }
        }
        let cx = StateContext {
            block,
            state,
            tree: ScopeTree::of(state)?,
            paths: MemletPaths::of(state, &self.program.names),
            adjacency: state.adjacency(),
            twins,
        };
        let outer = std::mem::take(&mut self.cx.between);
        let consumed = std::mem::take(&mut self.cx.consumed);
        // Memory of a state is given back when the state ends, unless a loop around does that anyway.
        let apart = self.takes_memory(block) && self.b.loop_at(self.b.depth()).is_none();
        let result = if apart {
            let label = self.b.label();
            self.b.open_branch();
            let result = self.moved(|lowerer| lowerer.state_body(&cx));
            let body = self.b.close();
            self.b.push(Stmt::Block(label, body));
            result
        } else {
            self.state_body(&cx)
        };
        self.cx.between = outer;
        self.cx.consumed = consumed;
        result
    }

    fn state_body(&mut self, cx: &StateContext<'p>) -> Lowering<()> {
        self.declare_between(cx)?;
        self.scope(cx, None)
    }

    /// Variables for values that go from code to code without an access node.
    fn declare_between(&mut self, cx: &StateContext<'p>) -> Lowering<()> {
        for (_, edge) in cx.state.edges.iter().filter(|(_, edge)| !edge.removed) {
            let (Some(connector), true) = (edge.src_conn, edge.memlet.is_empty()) else { continue };
            if !cx.is_code(edge.src) || self.cx.between.contains_key(&(edge.src, connector)) {
                continue;
            }
            let Some(ty) = self.output_type(cx.state, edge.src, connector) else { continue };
            let mut variables = Vec::new();
            for (leaf, _) in self.leaves(ty)? {
                let variable = self.b.variable("between", leaf);
                let zero = self.zero(leaf);
                self.b.set(variable, zero);
                variables.push(variable);
            }
            let container = Container::Register { ty, variables: variables.into(), rank: 0 };
            self.cx.between.insert((edge.src, connector), container);
        }
        Ok(())
    }

    fn output_type(&self, state: &State, node: NodeId, connector: Name) -> Option<Type> {
        let node = state.nodes.get(node)?;
        match &node.kind {
            NodeKind::Tasklet(tasklet) => {
                let code = tasklet.code.as_ref()?;
                code.ports.values().find(|port| port.name == connector && port.writes).map(|port| port.ty)
            }
            NodeKind::Nested(nested) => {
                let graph = self.program.graphs.get(nested.graph?)?;
                graph.data.get(&connector).map(|data| data.ty)
            }
            _ => node.outputs.get(&connector)?.ty,
        }
    }

    /// The nodes of a scope, in order.
    pub fn scope(&mut self, cx: &StateContext<'p>, entry: Option<NodeId>) -> Lowering<()> {
        self.allocate_scope(cx.block, entry)?;
        let mut aimed = HashSet::new();
        for &node in cx.tree.children(entry) {
            let place = format!("node `{}`", cx.state.nodes[node].label);
            self.inside(place, |lowerer| lowerer.node(cx, node, &mut aimed))?;
        }
        Ok(())
    }

    fn node(&mut self, cx: &StateContext<'p>, id: NodeId, aimed: &mut HashSet<NodeId>) -> Lowering<()> {
        let node = &cx.state.nodes[id];
        // Views next to this node must be aimed before anything goes through them.
        let tail = cx.tree.exit(id).unwrap_or(id);
        let mut near: Vec<NodeId> = cx.adjacency.incoming(id).iter().map(|&edge| cx.edge(edge).src).collect();
        near.push(id);
        near.extend(cx.adjacency.outgoing(tail).iter().map(|&edge| cx.edge(edge).dst));
        for view in near {
            self.aim(cx, view, aimed)?;
        }
        match &node.kind {
            NodeKind::Access { data, .. } => self.access_node(cx, id, *data),
            NodeKind::Tasklet(tasklet) => self.tasklet(cx, id, tasklet),
            NodeKind::MapEntry(map) => self.map(cx, id, map),
            NodeKind::ConsumeEntry(consume) => self.consume(cx, id, consume),
            NodeKind::Nested(nested) => self.nested(cx, id, nested),
            NodeKind::Library(library) => self.library(cx, id, library),
            NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. } | NodeKind::Removed => Ok(()),
        }
    }

    /// Copies and reference sets that run when an access node does.
    fn access_node(&mut self, cx: &StateContext<'p>, id: NodeId, data: Name) -> Lowering<()> {
        for &edge_id in cx.adjacency.incoming(id) {
            let edge = cx.edge(edge_id);
            let from_outside =
                matches!(cx.state.nodes[edge.src].kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_));
            if from_outside
                && !edge.memlet.is_empty()
                && let Some(source) = cx.accessed(cx.source(edge_id))
            {
                self.data_edge(cx, edge_id, source, data)?;
            }
        }
        for &edge_id in cx.adjacency.outgoing(id) {
            let edge = cx.edge(edge_id);
            let inwards =
                matches!(cx.state.nodes[edge.dst].kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_));
            if !inwards
                && !edge.memlet.is_empty()
                && let Some(sink) = cx.accessed(cx.sink(edge_id))
            {
                self.data_edge(cx, edge_id, data, sink)?;
            }
        }
        Ok(())
    }

    /// An edge between two access nodes: a copy, a reference set, or a view edge (nothing to do).
    fn data_edge(
        &mut self,
        cx: &StateContext<'p>,
        edge_id: EdgeId,
        source: Name,
        sink: Name,
    ) -> Lowering<()> {
        let edge = cx.edge(edge_id);
        if [edge.src, edge.dst].into_iter().any(|end| self.view_edge(cx, end) == Some(edge_id)) {
            return Ok(());
        }
        let last = cx.paths.last(edge_id).first().copied().unwrap_or(edge_id);
        if cx.edge(last).dst_conn.is_some_and(|name| self.text(name) == "set") {
            return self.alias(cx, edge_id, sink, source);
        }
        self.copy(cx, edge_id, source, sink)
    }

    /// Aims the view behind an access node, after the views it looks through.
    fn aim(&mut self, cx: &StateContext<'p>, view: NodeId, aimed: &mut HashSet<NodeId>) -> Lowering<()> {
        let mut chain = Vec::new();
        let mut at = view;
        while chain.len() <= cx.state.nodes.len() {
            let Some(edge_id) = self.view_edge(cx, at) else { break };
            let edge = cx.edge(edge_id);
            let other = if edge.dst == at { cx.source(edge_id) } else { cx.sink(edge_id) };
            chain.push((at, edge_id, other));
            at = other;
        }
        for (view, edge_id, target) in chain.into_iter().rev() {
            let (Some(alias), Some(target)) = (cx.accessed(view), cx.accessed(target)) else { continue };
            // A view with one node is aimed once per scope; several nodes take turns.
            if cx.twins.get(&alias) == Some(&1) && !aimed.insert(view) {
                continue;
            }
            self.alias(cx, edge_id, alias, target)?;
        }
        Ok(())
    }

    /// Aims a view or reference at what an edge names.
    fn alias(&mut self, cx: &StateContext<'p>, edge_id: EdgeId, alias: Name, target: Name) -> Lowering<()> {
        let memlet = &cx.edge(edge_id).memlet;
        let graph = self.cx.graph;
        let (container, subset) = match memlet.data {
            Some(data) if data != alias => (data, memlet.subset.as_ref()),
            _ => (target, memlet.other_subset.as_ref()),
        };
        let access = self.access(container, subset)?;
        let Some(data) = graph.data.get(&alias) else {
            return self.invalid("P0102", format!("there is no container `{}`", self.text(alias)));
        };
        let (DataKind::View(array) | DataKind::Reference(array)) = &data.kind else {
            return self.unsupported(format!("the view of a structure `{}`", self.text(alias)));
        };
        let array = array.clone();
        if data.is_reference() {
            return self.aim_reference(&access, alias);
        }
        let container = self.seen_through(&access, data.ty, &array, alias)?;
        self.cx.data.insert(alias, container);
        Ok(())
    }

    /// Remembers where a reference points now.
    fn aim_reference(&mut self, access: &Access, name: Name) -> Lowering<()> {
        let Container::Memory(memory) = &access.container else {
            return self.unsupported(format!("the reference `{}` to a value", self.text(name)));
        };
        let (address, left) = self.start_of(memory, access);
        let (base, bytes) = self.reference(name);
        self.b.set(base, address);
        self.b.set(bytes, left);
        Ok(())
    }

    /// The variables of a reference: address and available bytes; none before it is aimed.
    fn reference(&mut self, name: Name) -> (VarId, VarId) {
        if let Some(&known) = self.cx.references.get(&name) {
            return known;
        }
        let text = self.text(name);
        let known = (self.b.variable(text, DType::I64), self.b.variable(text, DType::I64));
        self.cx.references.insert(name, known);
        known
    }

    /// A reference as memory, where it points now.
    pub fn dereference(&mut self, name: Name, ty: Type, array: &crate::ir::Array) -> Lowering<Container> {
        let (base, bytes) = self.reference(name);
        let (base, bytes) = (self.b.get(base), self.b.get(bytes));
        let text = self.text(name);
        let layout = self.layout(array, text)?;
        let buffer = match self.anywhere {
            Some(buffer) => buffer,
            None => self.b.buffer("reference", BufferKind::Anywhere),
        };
        self.anywhere = Some(buffer);
        let seen = self.memory(buffer, base, ty, &layout, bytes);
        let zero = self.b.int(0);
        self.check_fits(&layout, ty, bytes, zero, text);
        Ok(Container::Memory(seen))
    }

    /// Address of the first element of an access, and the bytes from there to the end of the memory.
    fn start_of(&mut self, memory: &Memory, access: &Access) -> (ValueId, ValueId) {
        let mut elements = self.b.int(0);
        for (position, (range, &stride)) in access.ranges.iter().zip(memory.strides.iter()).enumerate() {
            let index = match memory.offset.get(position) {
                Some(&offset) => self.b.add(range.start, offset),
                None => range.start,
            };
            let distance = self.b.mul(index, stride);
            elements = self.b.add(elements, distance);
        }
        let skipped = self.in_bytes(elements, memory.ty);
        (self.b.add(memory.base, skipped), self.b.sub(memory.bytes, skipped))
    }

    /// What an access names, seen through another layout and type. The layout must fit the memory.
    pub fn seen_through(
        &mut self,
        access: &Access,
        ty: Type,
        array: &crate::ir::Array,
        name: Name,
    ) -> Lowering<Container> {
        let text = self.text(name);
        let Container::Memory(memory) = &access.container else {
            // One element is one element, whatever its rank.
            let one = array.shape.iter().all(|&extent| self.program.exprs.as_int(extent) == Some(1));
            if !one || access.container.ty() != ty {
                return self.unsupported(format!("`{text}`, which sees one element as something else"));
            }
            return Ok(match access.container.clone() {
                Container::Register { ty, variables, .. } => {
                    Container::Register { ty, variables, rank: array.shape.len() }
                }
                Container::Fixed { ty, values, .. } => {
                    Container::Fixed { ty, values, rank: array.shape.len() }
                }
                _ => return self.stream_as_memory(text),
            });
        };
        let layout = self.layout(array, text)?;
        // The first element of the subset, which need not exist if the view is empty.
        let memory = memory.clone();
        let (address, left) = self.start_of(&memory, access);
        let skipped = self.b.sub(memory.bytes, left);
        let seen = self.memory(memory.buffer, address, ty, &layout, left);
        self.check_fits(&layout, ty, memory.bytes, skipped, text);
        Ok(Container::Memory(seen))
    }

    /// Stops the program unless a layout that starts `skipped` bytes into memory of `total` bytes lies inside it, or has no
    /// elements.
    fn check_fits(&mut self, layout: &Layout, ty: Type, total: ValueId, skipped: ValueId, text: &str) {
        let trap =
            self.trap(crate::kernel::TrapKind::BadShape, format!("`{text}` does not fit the memory it sees"));
        // The more elements and the later they start, the harder, where no start lies in front of the memory.
        let mut growing: Vec<Linear> = layout.shape.iter().map(|&extent| self.b.linear(extent)).collect();
        let mut fixed: Vec<ValueId> = layout.strides.iter().copied().chain([total, layout.start]).collect();
        let start = self.b.linear(skipped);
        let inside = self.never_negative(std::slice::from_ref(&start));
        if inside {
            growing.push(start)
        } else {
            fixed.push(skipped)
        }
        let (excuses, depth) = self.at_the_end(&mut growing, &fixed);
        let values: Vec<ValueId> = growing.iter().map(|linear| self.b.from_linear(linear)).collect();
        let (extents, skipped) = match values.split_at(layout.shape.len()) {
            (extents, [skipped]) => (extents, *skipped),
            (extents, _) => (extents, skipped),
        };
        let zero = self.b.int(0);
        let mut fine = self.b.binary(BinaryOp::Le, skipped, total);
        if !inside {
            let positive = self.b.binary(BinaryOp::Ge, skipped, zero);
            fine = self.b.and(positive, fine);
        }
        let reach = self.reach(extents, &layout.strides);
        let (reach, start) = (self.in_bytes(reach, ty), self.in_bytes(layout.start, ty));
        let left = self.b.sub(total, skipped);
        let left = self.b.sub(left, start);
        let room = match self.b.linear(left).plus(&self.b.linear(reach), -1).and_then(|d| d.as_constant()) {
            Some(spare) => self.b.bool(spare >= 0),
            None => self.b.binary(BinaryOp::Le, reach, left),
        };
        fine = self.b.and(fine, room);
        for &extent in extents {
            let none = self.b.binary(BinaryOp::Eq, extent, zero);
            fine = self.b.or(fine, none);
        }
        self.check_at(fine, &excuses, depth, trap);
    }

    /// The edge that leads from a view to what it views.
    fn view_edge(&self, cx: &StateContext<'p>, node: NodeId) -> Option<EdgeId> {
        viewed_edge(self.cx.graph, cx.state, &self.program.names, &cx.adjacency, &cx.paths, node)
    }

    /// What a code node reads through an in-edge or writes through an out-edge.
    pub fn code_access(&mut self, cx: &StateContext<'p>, edge_id: EdgeId, writes: bool) -> Lowering<Access> {
        let edge = cx.edge(edge_id);
        let is_taken = |data| cx.accessed(cx.source(edge_id)) == Some(data);
        if !writes
            && edge.memlet.data.is_none_or(is_taken)
            && let Some(taken) = self.consumed(cx, edge_id)
        {
            return self.whole(taken, "what a consume scope took");
        }
        let Some(data) = edge.memlet.data else {
            let (producer, connector) = if writes {
                (edge.src, edge.src_conn)
            } else {
                let first = cx.edge(cx.paths.first(edge_id));
                (first.src, first.src_conn)
            };
            let found = connector.and_then(|connector| self.cx.between.get(&(producer, connector)).cloned());
            return match found {
                Some(container) => self.whole(container, "a value from code to code"),
                None => self.invalid("P0107", "an edge with a connector but without data"),
            };
        };
        self.access(data, edge.memlet.subset.as_ref())
    }
}
