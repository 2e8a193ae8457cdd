//! The body of a state or scope becomes a list of steps.

use hashbrown::{HashMap, HashSet};

use crate::analysis::{MemletPaths, Uses, viewed_edge};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::interp::plan::{
    Access, Action, ConsumePlan, ContainerKind, Layout, MapPlan, ScopePlan, Size, Step,
};
use crate::ir::{BlockId, Consume, EdgeId, Map, NodeId, NodeKind, State};
use crate::scalar::{DType, Type};

use super::Builder;
use super::edges::StateContext;
use super::names::GraphNames;

impl<'p> Builder<'p> {
    pub fn state_scope(
        &mut self,
        names: &mut GraphNames<'p>,
        uses: &Uses,
        block: BlockId,
        state: &'p State,
    ) -> Result<ScopePlan, Diagnostic> {
        let Some(tree) = uses.scopes.get(&block) else {
            return Err(Diagnostic::error("P0100", format!("there is no {block}")));
        };
        let mut ctx = StateContext {
            block,
            state,
            tree,
            paths: MemletPaths::of(state, &self.program.names),
            adjacency: state.adjacency(),
            uses,
            between: HashMap::new(),
            consumed: HashMap::new(),
        };
        self.declare_between(&mut ctx)?;
        self.scope(names, &mut ctx, None)
    }

    /// Containers for values that go from code to code without an access node.
    fn declare_between(&mut self, ctx: &mut StateContext<'p, '_>) -> Result<(), Diagnostic> {
        for (_, edge) in ctx.state.edges.iter().filter(|(_, edge)| !edge.removed) {
            let (Some(connector), true) = (edge.src_conn, edge.memlet.is_empty()) else { continue };
            if !ctx.is_code(edge.src) || ctx.between.contains_key(&(edge.src, connector)) {
                continue;
            }
            let Some(ty) = self.output_type(ctx.state, edge.src, connector) else { continue };
            let text = format!("value of `{}`", self.program.names.get(connector));
            let slot = self.push_container(&text, ty, ContainerKind::Scalar, Layout::default())?;
            ctx.between.insert((edge.src, connector), slot);
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

    fn scope(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        entry: Option<NodeId>,
    ) -> Result<ScopePlan, Diagnostic> {
        self.deeper(|builder| builder.scope_inside(names, ctx, entry))
    }

    fn scope_inside(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        entry: Option<NodeId>,
    ) -> Result<ScopePlan, Diagnostic> {
        let allocated = ctx.uses.taken_by(ctx.block, entry).to_vec();
        if entry.is_some() {
            for &name in &allocated {
                self.relayout(names, name);
            }
        }
        let mut steps = Vec::new();
        let mut aimed = HashSet::new();
        for node in ctx.tree.children(entry).to_vec() {
            self.node(names, ctx, node, &mut steps, &mut aimed)
                .map_err(|d| d.inside(format!("node `{}`", ctx.state.nodes[node].label)))?;
        }
        Ok(ScopePlan { allocate: self.slots(names, &allocated), steps })
    }

    /// Compiles the layout of a container again, where it sees the parameters of the scope it lives in.
    fn relayout(&mut self, names: &mut GraphNames<'p>, name: Name) {
        let graph = names.graph;
        if let (Some(data), Some(&slot)) = (graph.data.get(&name), names.containers.get(&name)) {
            let layout = self.layout(names, data);
            self.containers[slot as usize].layout = layout;
        }
    }

    fn node(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        steps: &mut Vec<Step>,
        aimed: &mut HashSet<NodeId>,
    ) -> Result<(), Diagnostic> {
        let node = &ctx.state.nodes[id];
        // Views next to this node must be aimed before anything goes through them.
        let tail = ctx.tree.exit(id).unwrap_or(id);
        let mut near: Vec<NodeId> =
            ctx.adjacency.incoming(id).iter().map(|&edge| ctx.edge(edge).src).collect();
        near.push(id);
        near.extend(ctx.adjacency.outgoing(tail).iter().map(|&edge| ctx.edge(edge).dst));
        for view in near {
            self.aim(names, ctx, view, steps, aimed)?;
        }
        let place: Box<str> = format!("node `{}`", node.label).into();
        let action = match &node.kind {
            NodeKind::Access { data, .. } => return self.access_node(names, ctx, id, *data, steps),
            NodeKind::Tasklet(tasklet) => match self.tasklet(names, ctx, id, tasklet)? {
                Some(plan) => Action::Tasklet(Box::new(plan)),
                None if tasklet.code.is_none()
                    && let Some(call) = crate::scalar::parse::c::lapack_call(&tasklet.text.text) =>
                {
                    Action::Library(Box::new(self.lapack_tasklet(names, ctx, id, call)?))
                }
                None => return Ok(()),
            },
            NodeKind::MapEntry(map) => Action::Map(Box::new(self.map(names, ctx, id, map)?)),
            NodeKind::ConsumeEntry(consume) => {
                Action::Consume(Box::new(self.consume(names, ctx, id, consume)?))
            }
            NodeKind::Nested(nested) => Action::Nested(Box::new(self.nested(names, ctx, id, nested)?)),
            NodeKind::Library(library) => Action::Library(Box::new(self.library(names, ctx, id, library)?)),
            NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. } | NodeKind::Removed => return Ok(()),
        };
        steps.push(Step { place, action });
        Ok(())
    }

    /// Copies and reference sets that run when an access node does.
    fn access_node(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        data: Name,
        steps: &mut Vec<Step>,
    ) -> Result<(), Diagnostic> {
        for edge_id in ctx.adjacency.incoming(id).to_vec() {
            let edge = ctx.edge(edge_id);
            let from_outside =
                matches!(ctx.state.nodes[edge.src].kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_));
            if from_outside
                && !edge.memlet.is_empty()
                && let Some(source) = ctx.accessed(ctx.source(edge_id))
            {
                self.data_edge(names, ctx, edge_id, source, data, steps)?;
            }
        }
        for edge_id in ctx.adjacency.outgoing(id).to_vec() {
            let edge = ctx.edge(edge_id);
            let inwards =
                matches!(ctx.state.nodes[edge.dst].kind, NodeKind::MapEntry(_) | NodeKind::ConsumeEntry(_));
            if !inwards
                && !edge.memlet.is_empty()
                && let Some(sink) = ctx.accessed(ctx.sink(edge_id))
            {
                self.data_edge(names, ctx, edge_id, data, sink, steps)?;
            }
        }
        Ok(())
    }

    /// An edge between two access nodes: a copy, a reference set, or a view edge (nothing to do).
    fn data_edge(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        edge_id: EdgeId,
        source: Name,
        sink: Name,
        steps: &mut Vec<Step>,
    ) -> Result<(), Diagnostic> {
        let edge = ctx.edge(edge_id);
        let is_view_edge =
            [edge.src, edge.dst].into_iter().any(|end| self.view_edge(names, ctx, end) == Some(edge_id));
        if is_view_edge {
            return Ok(());
        }
        let label = |node: NodeId| ctx.state.nodes.get(node).map_or("?", |node| node.label.as_str());
        let place: Box<str> = format!("copy `{}` -> `{}`", label(edge.src), label(edge.dst)).into();
        let last = ctx.paths.last(edge_id).first().copied().unwrap_or(edge_id);
        let set = ctx.edge(last).dst_conn.is_some_and(|name| self.program.names.get(name) == "set");
        let action = if set {
            Action::Alias(Box::new(self.alias(names, ctx, edge_id, sink, source)?))
        } else {
            Action::Copy(Box::new(self.copy(names, ctx, edge_id, source, sink)?))
        };
        steps.push(Step { place, action });
        Ok(())
    }

    /// Aims the view behind an access node, after the views it looks through.
    fn aim(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        view: NodeId,
        steps: &mut Vec<Step>,
        aimed: &mut HashSet<NodeId>,
    ) -> Result<(), Diagnostic> {
        let mut chain = Vec::new();
        let mut at = view;
        while chain.len() <= ctx.state.nodes.len() {
            let Some(edge_id) = self.view_edge(names, ctx, at) else { break };
            let edge = ctx.edge(edge_id);
            let other = if edge.dst == at { ctx.source(edge_id) } else { ctx.sink(edge_id) };
            chain.push((at, edge_id, other));
            at = other;
        }
        for (view, edge_id, target) in chain.into_iter().rev() {
            let (Some(alias), Some(target)) = (ctx.accessed(view), ctx.accessed(target)) else { continue };
            let nodes = ctx.state.live_nodes();
            let twins =
                nodes.filter(|(_, node)| matches!(node.kind, NodeKind::Access { data, .. } if data == alias));
            // A view with one node is aimed once per scope; several nodes take turns.
            if twins.count() == 1 && !aimed.insert(view) {
                continue;
            }
            let place: Box<str> = format!("view `{}`", self.program.names.get(alias)).into();
            let plan = self.alias(names, ctx, edge_id, alias, target)?;
            steps.push(Step { place, action: Action::Alias(Box::new(plan)) });
        }
        Ok(())
    }

    /// The edge that leads from a view to what it views.
    fn view_edge(&self, names: &GraphNames<'p>, ctx: &StateContext<'p, '_>, node: NodeId) -> Option<EdgeId> {
        viewed_edge(names.graph, ctx.state, &self.program.names, &ctx.adjacency, &ctx.paths, node)
    }

    fn map(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        map: &'p Map,
    ) -> Result<MapPlan, Diagnostic> {
        if map.params.len() != map.range.ranges.len() {
            return Err(Diagnostic::error("P0109", "a map has as many ranges as parameters").with_note(
                format!("found {} parameters, {} ranges", map.params.len(), map.range.ranges.len()),
            ));
        }
        let known = names.params.len();
        let inputs = self.range_inputs(names, ctx, id)?;
        let mut params = Vec::with_capacity(map.params.len());
        let mut ranges = Vec::with_capacity(map.params.len());
        for (&param, range) in map.params.iter().zip(&map.range.ranges) {
            let subset = crate::ir::Subset { ranges: vec![*range] };
            ranges.extend(self.ranges(names, &subset));
            let slot = self.fresh_symbol(param, DType::I64);
            names.params.push((param, slot));
            params.push(slot);
        }
        let parallel = map.schedule.is_parallel(self.map_depth > 0);
        self.map_depth += 1;
        let body = self.scope(names, ctx, Some(id));
        self.map_depth -= 1;
        names.params.truncate(known);
        Ok(MapPlan {
            params: params.into_boxed_slice(),
            ranges: ranges.into_boxed_slice(),
            inputs,
            parallel,
            body: body?,
        })
    }

    /// Inputs of a scope entry that are not data passed through: symbols of the scope.
    fn range_inputs(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
    ) -> Result<Box<[(u32, Access)]>, Diagnostic> {
        let mut inputs = Vec::new();
        for edge_id in ctx.adjacency.incoming(id).to_vec() {
            let Some(connector) = ctx.edge(edge_id).dst_conn else { continue };
            if self.program.names.get(connector).starts_with("IN_") {
                continue;
            }
            let access = self.code_access(names, ctx, edge_id, false)?;
            let dtype = self.containers[access.container as usize].element.number().unwrap_or(DType::I64);
            inputs.push((self.fresh_symbol(connector, dtype), connector, access));
        }
        names.params.extend(inputs.iter().map(|&(slot, name, _)| (name, slot)));
        Ok(inputs.into_iter().map(|(slot, _, access)| (slot, access)).collect())
    }

    fn consume(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        id: NodeId,
        consume: &'p Consume,
    ) -> Result<ConsumePlan, Diagnostic> {
        let known = names.params.len();
        let stream_edge = ctx.adjacency.incoming(id).to_vec().into_iter().find(|&edge| {
            let edge = ctx.edge(edge);
            let data = edge.memlet.data.and_then(|data| names.containers.get(&data));
            data.is_some_and(|&slot| self.containers[slot as usize].kind == ContainerKind::Stream)
                && edge.dst_conn.is_some_and(|name| self.program.names.get(name).starts_with("IN_"))
        });
        let Some(stream_edge) = stream_edge else {
            return Err(Diagnostic::error("P0110", "a consume scope without an input stream"));
        };
        let stream = self.code_access(names, ctx, stream_edge, false)?;
        let chunk = match consume.chunk_size {
            Some(chunk) => self.size(names, chunk),
            None => Size::Const(1),
        };
        let num_pes = match consume.num_pes {
            Some(count) => self.size(names, count),
            None => Size::Const(1),
        };
        let ty = self.containers[stream.container as usize].ty;
        let one = matches!(chunk, Size::Const(1));
        let kind = if one { ContainerKind::Scalar } else { ContainerKind::Array };
        let shape: Box<[Size]> = if one { Box::new([]) } else { Box::new([chunk.clone()]) };
        let strides = if one { Box::new([]) as Box<[Size]> } else { Box::new([Size::Const(1)]) };
        let layout = Layout { shape, strides, ..Layout::default() };
        let element = self.push_container("consumed element", ty, kind, layout)?;
        ctx.consumed.insert(id, (ctx.accessed(ctx.source(stream_edge)), element));
        let taken_name = self.names.to_mut().intern("__dace_cons_numelems");
        let taken = self.fresh_symbol(taken_name, DType::I64);
        names.params.push((taken_name, taken));
        let pe_index = consume.pe_index.map(|name| {
            let slot = self.fresh_symbol(name, DType::I64);
            names.params.push((name, slot));
            slot
        });
        let condition = match &consume.condition {
            Some(condition) => Some(self.expression(names, condition)?),
            None => None,
        };
        self.map_depth += 1;
        let body = self.scope(names, ctx, Some(id));
        self.map_depth -= 1;
        names.params.truncate(known);
        Ok(ConsumePlan { stream, element, pe_index, num_pes, chunk, taken, condition, body: body? })
    }
}
