//! Memlets become accesses: which container, which elements.

use hashbrown::HashMap;

use crate::analysis::{MemletPaths, ScopeTree, Uses};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::interp::plan::{
    Access, AliasPlan, ContainerKind, ContainerSlot, CopyPlan, Layout, RangePlan, Side, WcrFunction, WcrPlan,
};
use crate::ir::{Adjacency, BlockId, Edge, EdgeId, NodeId, NodeKind, State, Subset, Wcr};
use crate::scalar::{Code, DType, Op, PortId};
use crate::symbolic::Grammar;

use super::Builder;
use super::code::{CodeScope, compile};
use super::names::GraphNames;
use crate::interp::routine::MemoryPort;

/// A state with the answers to questions about its graph.
pub(super) struct StateContext<'p, 'u> {
    pub block: BlockId,
    pub state: &'p State,
    pub tree: &'u ScopeTree,
    pub paths: MemletPaths,
    pub adjacency: Adjacency,
    pub uses: &'u Uses,
    /// Values that go from code to code, by producer and connector.
    pub between: HashMap<(NodeId, Name), ContainerSlot>,
    /// What a consume scope took from its stream, which has that name.
    pub consumed: HashMap<NodeId, (Option<Name>, ContainerSlot)>,
}

impl<'p> StateContext<'p, '_> {
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

    pub fn is_code(&self, node: NodeId) -> bool {
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

    /// The consume scope whose element an edge carries.
    fn consume_scope(&self, edge: EdgeId) -> Option<NodeId> {
        let mut at = edge;
        for _ in 0..=self.state.edges.len() {
            let src = self.edge(at).src;
            if matches!(self.state.nodes.get(src)?.kind, NodeKind::ConsumeEntry(_)) {
                let (stream, _) = self.consumed.get(&src)?;
                return (self.accessed(self.source(edge)) == *stream).then_some(src);
            }
            at = self.paths.previous(at)?;
        }
        None
    }
}

impl<'p> Builder<'p> {
    /// What a code node reads through an in-edge or writes through an out-edge.
    pub fn code_access(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        edge_id: EdgeId,
        writes: bool,
    ) -> Result<Access, Diagnostic> {
        let edge = ctx.edge(edge_id);
        if !writes && let Some(scope) = ctx.consume_scope(edge_id) {
            let stream = ctx.accessed(ctx.source(edge_id));
            if edge.memlet.data.is_none() || edge.memlet.data == stream {
                return Ok(self.whole(ctx.consumed[&scope].1));
            }
        }
        let Some(data) = edge.memlet.data else {
            let (producer, connector) = if writes {
                (edge.src, edge.src_conn)
            } else {
                let first = ctx.edge(ctx.paths.first(edge_id));
                (first.src, first.src_conn)
            };
            let slot = connector.and_then(|connector| ctx.between.get(&(producer, connector)));
            return match slot {
                Some(&slot) => Ok(self.whole(slot)),
                None => Err(Diagnostic::error("P0107", "an edge with a connector but without data")
                    .at(self.edge_text(ctx, edge_id))),
            };
        };
        let container = self.container(names, data)?;
        self.access(names, container, edge.memlet.subset.as_ref())
            .map_err(|d| d.at(self.edge_text(ctx, edge_id)))
    }

    /// A subset of a container.
    pub fn access(
        &mut self,
        names: &mut GraphNames<'p>,
        container: ContainerSlot,
        subset: Option<&Subset>,
    ) -> Result<Access, Diagnostic> {
        let plan = &self.containers[container as usize];
        let rank = plan.layout.shape.len();
        let Some(subset) = subset.filter(|_| rank > 0) else { return Ok(self.whole(container)) };
        if subset.ranges.len() != rank {
            return Err(Diagnostic::error("P0106", "a memlet has the wrong number of dimensions")
                .at(format!("container `{}`", plan.name))
                .with_note(format!("expected {rank}, found {}", subset.ranges.len())));
        }
        let text = format!("{}[{}]", plan.name, self.subset_text(subset)).into_boxed_str();
        let ranges = self.ranges(names, subset);
        Ok(Access { container, ranges, text, all: false })
    }

    pub fn ranges(&mut self, names: &mut GraphNames<'p>, subset: &Subset) -> Box<[RangePlan]> {
        let mut ranges = Vec::with_capacity(subset.ranges.len());
        for range in &subset.ranges {
            ranges.push(RangePlan {
                start: self.size(names, range.start),
                end: self.size(names, range.end),
                step: self.size(names, range.step),
                tile: self.size(names, range.tile),
                single: range.start == range.end && self.program.exprs.as_int(range.tile) == Some(1),
            });
        }
        ranges.into_boxed_slice()
    }

    /// Ranges as Python slices, as people read memlets.
    fn subset_text(&self, subset: &Subset) -> String {
        let print = |expr| self.program.exprs.print(&self.program.names, expr, Grammar::Plain);
        let one = |expr| self.program.exprs.as_int(expr) == Some(1);
        let dims = subset.ranges.iter().map(|range| {
            let mut text = print(range.start);
            if range.start != range.end {
                match self.program.exprs.as_int(range.end) {
                    Some(end) => text += &format!(":{}", end.saturating_add(1)),
                    None => text += &format!(":{} + 1", print(range.end)),
                }
            }
            if !one(range.step) {
                text += &format!(":{}", print(range.step));
            }
            if !one(range.tile) {
                text += &format!(" (tile {})", print(range.tile));
            }
            text
        });
        dims.collect::<Vec<_>>().join(", ")
    }

    fn edge_text(&self, ctx: &StateContext<'p, '_>, edge: EdgeId) -> String {
        let edge = ctx.edge(edge);
        let label = |node: NodeId| ctx.state.nodes.get(node).map_or("?", |node| node.label.as_str());
        format!("edge `{}` -> `{}`", label(edge.src), label(edge.dst))
    }

    /// A copy along an edge whose ends (through scopes) are `src` and `dst`.
    pub fn copy(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        edge_id: EdgeId,
        src_name: Name,
        dst_name: Name,
    ) -> Result<CopyPlan, Diagnostic> {
        let memlet = &ctx.edge(edge_id).memlet;
        let mut src = self.container(names, src_name)?;
        let dst = self.container(names, dst_name)?;
        let data = memlet.data.unwrap_or(src_name);
        let data_is_src =
            if src_name == dst_name { memlet.is_data_src != Some(false) } else { data != dst_name };
        if data != src_name && data != dst_name {
            // The memlet names neither end: an alias of the source or of the destination under another name.
            src = self.container(names, data)?;
        }
        let (mut src_subset, mut dst_subset) = (memlet.subset.as_ref(), memlet.other_subset.as_ref());
        if !data_is_src {
            std::mem::swap(&mut src_subset, &mut dst_subset);
        }
        if let Some(scope) = ctx.consume_scope(edge_id) {
            src = ctx.consumed[&scope].1;
            src_subset = None;
        }
        let filled_by_stream = ctx.adjacency.incoming(ctx.edge(edge_id).src).iter().any(|&edge| {
            let from = ctx.accessed(ctx.edge(edge).src).and_then(|name| names.containers.get(&name));
            from.is_some_and(|&slot| self.containers[slot as usize].kind == ContainerKind::Stream)
        });
        let counted = filled_by_stream && self.containers[dst as usize].kind == ContainerKind::Stream;
        let wcr = match &memlet.wcr {
            Some(wcr) => Some(self.wcr(names, wcr, dst)?),
            None => None,
        };
        let text = |d: Diagnostic, builder: &Self| d.at(builder.edge_text(ctx, edge_id));
        let src_side = self.side(names, src, src_subset).map_err(|d| text(d, self))?;
        let dst_side = self.side(names, dst, dst_subset).map_err(|d| text(d, self))?;
        Ok(CopyPlan { src: src_side, dst: dst_side, shape_is_src: data_is_src, counted, wcr })
    }

    fn side(
        &mut self,
        names: &mut GraphNames<'p>,
        container: ContainerSlot,
        subset: Option<&Subset>,
    ) -> Result<Side, Diagnostic> {
        let access = match subset {
            Some(subset) => Some(self.access(names, container, Some(subset))?),
            None => None,
        };
        Ok(Side { container, access })
    }

    /// Aims a view or reference at what an edge names. `alias_name` is the alias, `target_name` the access
    /// node at the other end.
    pub fn alias(
        &mut self,
        names: &mut GraphNames<'p>,
        ctx: &mut StateContext<'p, '_>,
        edge_id: EdgeId,
        alias_name: Name,
        target_name: Name,
    ) -> Result<AliasPlan, Diagnostic> {
        let memlet = &ctx.edge(edge_id).memlet;
        let alias = self.container(names, alias_name)?;
        let (target, subset) = match memlet.data {
            Some(data) if data != alias_name => (data, memlet.subset.as_ref()),
            _ => (target_name, memlet.other_subset.as_ref()),
        };
        let container = self.container(names, target)?;
        let target = self.access(names, container, subset).map_err(|d| d.at(self.edge_text(ctx, edge_id)))?;
        let layout = match names.graph.data.get(&alias_name) {
            Some(data) => self.layout(names, data),
            None => Layout::default(),
        };
        Ok(AliasPlan { alias, layout, target })
    }

    /// Write-conflict resolution on elements of a container.
    pub fn wcr(
        &mut self,
        names: &mut GraphNames<'p>,
        wcr: &Wcr,
        container: ContainerSlot,
    ) -> Result<WcrPlan, Diagnostic> {
        let Some(code) = &wcr.code else { return Err(super::control::not_lowered(&wcr.text)) };
        self.wcr_code(names, code, container).map_err(|d| d.at(format!("conflict resolution `{}`", wcr.text)))
    }

    /// Write-conflict resolution from its code: two value ports, one result.
    pub fn wcr_code(
        &mut self,
        names: &mut GraphNames<'p>,
        code: &Code,
        container: ContainerSlot,
    ) -> Result<WcrPlan, Diagnostic> {
        let number = self.containers[container as usize].element.number();
        if let Some(operation) = single_operation(code, number) {
            return Ok(WcrPlan::Operation(operation));
        }
        let structs = &self.program.structs;
        let mut scope = WcrScope { builder: self, names };
        let compiled = compile(code, structs, &mut scope)?;
        self.registers = self.registers.max(compiled.routine.registers);
        let mut operands = Vec::new();
        for (id, port) in code.ports.iter().take(2) {
            let leaves = super::element::element(port.ty, structs)?.leaves;
            let dtypes: Box<[DType]> = leaves.iter().map(|&(dtype, _)| dtype).collect();
            // A function that ignores an operand (`lambda old, new: new`) has no register for it.
            operands.push((compiled.inputs.get(&id).copied().unwrap_or(u32::MAX), dtypes));
        }
        let new = operands.pop();
        let old = operands.pop();
        let (Some(old), Some(new), Some(result)) = (old, new, code.body.results.first()) else {
            return Err(Diagnostic::error("P0302", "conflict resolution takes two values and gives one"));
        };
        let result_type = code.types.get(*result).copied().unwrap_or(crate::scalar::Type::F64);
        let leaves = super::element::element(result_type, structs)?.leaves;
        let result = leaves.iter().map(|&(dtype, _)| dtype).collect();
        Ok(WcrPlan::Function(Box::new(WcrFunction { routine: compiled.routine, old, new, result })))
    }
}

/// `old op new` on numbers of the container's own type.
fn single_operation(code: &Code, number: Option<DType>) -> Option<crate::scalar::BinaryOp> {
    let result = *code.body.results.first()?;
    let mut port_of: HashMap<crate::scalar::ValueId, PortId> = HashMap::new();
    let mut found = None;
    for inst in &code.body.insts {
        let defined = *inst.results.first()?;
        match &inst.op {
            Op::Input(port) => {
                port_of.insert(defined, *port);
            }
            Op::Binary(op, left, right) if defined == result => found = Some((*op, *left, *right)),
            _ => return None,
        }
    }
    let (op, left, right) = found?;
    let fits = |port: PortId| code.ports.get(port).and_then(|port| port.ty.scalar()) == number;
    let operands = [port_of.get(&left)?, port_of.get(&right)?];
    let in_order = *operands[0] == PortId(0) && *operands[1] == PortId(1);
    (in_order && fits(PortId(0)) && fits(PortId(1)) && !op.is_comparison() && number.is_some()).then_some(op)
}

struct WcrScope<'b, 'p> {
    builder: &'b mut Builder<'p>,
    names: &'b mut GraphNames<'p>,
}

impl CodeScope for WcrScope<'_, '_> {
    fn symbol(&mut self, name: Name, _dtype: DType) -> Result<u32, Diagnostic> {
        Ok(self.builder.symbol(self.names, name))
    }

    fn memory(&mut self, _port: PortId) -> Result<MemoryPort, Diagnostic> {
        Err(Diagnostic::error("P0302", "conflict resolution cannot reach memory"))
    }
}
