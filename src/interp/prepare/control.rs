//! Control flow: regions, loops, conditionals, interstate edges.

use hashbrown::HashMap;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::interp::plan::{
    Access, Assignment, BlockKindPlan, BlockPlan, LoopPlan, RangePlan, RegionPlan, Size, StatePlan,
    Transition,
};
use crate::interp::routine::{Indexing, MemoryPort, Routine};
use crate::ir::{BlockId, BlockKind, CodeExpr, Loop, RegionId};
use crate::scalar::{Code, DType, PortId, PortKind, Scalar};

use super::Builder;
use super::code::{CodeScope, compile, constant};
use super::names::GraphNames;
use crate::analysis::Uses;

impl<'p> Builder<'p> {
    pub fn region(
        &mut self,
        names: &mut GraphNames<'p>,
        uses: &Uses,
        id: RegionId,
    ) -> Result<RegionPlan, Diagnostic> {
        self.deeper(|builder| builder.region_inside(names, uses, id))
    }

    fn region_inside(
        &mut self,
        names: &mut GraphNames<'p>,
        uses: &Uses,
        id: RegionId,
    ) -> Result<RegionPlan, Diagnostic> {
        let graph = names.graph;
        let Some(region) = graph.regions.get(id) else {
            return Err(Diagnostic::error("P0100", format!("there is no {id}")));
        };
        let position: HashMap<BlockId, usize> =
            region.blocks.iter().enumerate().map(|(position, &block)| (block, position)).collect();
        let mut plan = RegionPlan { transitions: Vec::new(), ..RegionPlan::default() };
        plan.transitions.resize_with(region.blocks.len(), Vec::new);
        for edge in &region.edges {
            let (Some(&from), Some(&to)) = (position.get(&edge.src), position.get(&edge.dst)) else {
                return Err(Diagnostic::error("P0105", "an interstate edge leads out of its region")
                    .at(format!("{} -> {}", edge.src, edge.dst)));
            };
            let condition = match &edge.condition {
                Some(condition) => Some(self.expression(names, condition)?),
                None => None,
            };
            let mut assignments = Vec::with_capacity(edge.assignments.len());
            for (name, value) in &edge.assignments {
                let value = self.expression(names, value)?;
                assignments.push(Assignment { symbol: self.symbol(names, *name), value });
            }
            let assignments = assignments.into_boxed_slice();
            plan.transitions[from].push(Transition { to, condition, assignments });
        }
        for transitions in &mut plan.transitions {
            transitions.sort_by_key(|transition| transition.condition.is_none());
        }
        plan.start = match region.entry() {
            Some(start) => Some(position.get(&start).copied().ok_or_else(|| {
                Diagnostic::error("P0105", format!("a region starts at {start}, which is not in it"))
            })?),
            None => (!region.blocks.is_empty()).then_some(0),
        };
        for &block in &region.blocks {
            plan.blocks.push(self.block(names, uses, block)?);
        }
        Ok(plan)
    }

    fn block(
        &mut self,
        names: &mut GraphNames<'p>,
        uses: &Uses,
        id: BlockId,
    ) -> Result<BlockPlan, Diagnostic> {
        let graph = names.graph;
        let Some(block) = graph.blocks.get(id) else {
            return Err(Diagnostic::error("P0100", format!("there is no {id}")));
        };
        let kind = match &block.kind {
            BlockKind::State(state) => self.state(names, uses, id, state).map(BlockKindPlan::State),
            BlockKind::Loop(inner) => {
                self.loop_plan(names, uses, inner).map(|plan| BlockKindPlan::Loop(Box::new(plan)))
            }
            BlockKind::Conditional(branches) => {
                let mut plans = Vec::with_capacity(branches.len());
                for branch in branches {
                    let condition = match &branch.condition {
                        Some(condition) => Some(self.expression(names, condition)?),
                        None => None,
                    };
                    plans.push((condition, self.region(names, uses, branch.body)?));
                }
                Ok(BlockKindPlan::Conditional(plans))
            }
            BlockKind::Region(_, body) => self.region(names, uses, *body).map(BlockKindPlan::Region),
            BlockKind::Break => Ok(BlockKindPlan::Break),
            BlockKind::Continue => Ok(BlockKindPlan::Continue),
            BlockKind::Return => Ok(BlockKindPlan::Return),
        };
        let kind = kind.map_err(|diagnostic| diagnostic.inside(format!("`{}`", block.label)))?;
        Ok(BlockPlan { label: format!("`{}`", block.label).into(), kind })
    }

    fn state(
        &mut self,
        names: &mut GraphNames<'p>,
        uses: &Uses,
        id: BlockId,
        state: &'p crate::ir::State,
    ) -> Result<StatePlan, Diagnostic> {
        let scope = self.state_scope(names, uses, id, state)?;
        Ok(StatePlan { refresh: self.slots(names, uses.late_in(id)), scope })
    }

    fn loop_plan(
        &mut self,
        names: &mut GraphNames<'p>,
        uses: &Uses,
        inner: &'p Loop,
    ) -> Result<LoopPlan, Diagnostic> {
        let init = self.loop_assignment(names, inner, inner.init.as_ref())?;
        let condition = self.expression(names, &inner.condition)?;
        let update = self.loop_assignment(names, inner, inner.update.as_ref())?;
        let body = self.region(names, uses, inner.body)?;
        let Loop { inverted, update_before_condition, .. } = *inner;
        Ok(LoopPlan { init, condition, update, inverted, update_before_condition, body })
    }

    fn loop_assignment(
        &mut self,
        names: &mut GraphNames<'p>,
        inner: &Loop,
        statement: Option<&CodeExpr>,
    ) -> Result<Option<Assignment>, Diagnostic> {
        let Some(statement) = statement.filter(|statement| !is_blank(statement)) else { return Ok(None) };
        let Some(name) = statement.target.or(inner.variable) else {
            return Err(Diagnostic::error("P0301", "a loop statement assigns nothing")
                .at(format!("`{}`", statement.text.text)));
        };
        let value = self.expression(names, statement)?;
        Ok(Some(Assignment { symbol: self.symbol(names, name), value }))
    }

    /// Compiles a condition or an assigned value. Blank text is true.
    pub fn expression(&mut self, names: &mut GraphNames<'p>, expr: &CodeExpr) -> Result<Routine, Diagnostic> {
        let Some(code) = &expr.code else {
            if is_blank(expr) || matches!(expr.text.text.trim(), "1" | "True" | "true") {
                return Ok(constant(Scalar::Bool(true)));
            }
            return Err(not_lowered(&expr.text.text));
        };
        let structs = &self.program.structs;
        let mut scope = ControlScope { builder: self, names, code };
        let compiled =
            compile(code, structs, &mut scope).map_err(|d| d.at(format!("`{}`", expr.text.text)))?;
        if compiled.routine.result.is_none() {
            return Err(Diagnostic::error("P0302", "an expression without a value")
                .at(format!("`{}`", expr.text.text)));
        }
        self.registers = self.registers.max(compiled.routine.registers);
        Ok(compiled.routine)
    }
}

fn is_blank(expr: &CodeExpr) -> bool {
    expr.code.is_none() && expr.text.text.trim().is_empty()
}

pub(super) fn not_lowered(text: &str) -> Diagnostic {
    Diagnostic::error("P0303", "this code could not be understood, so it cannot run")
        .at(format!("`{}`", text.trim()))
        .with_help("run `pelton check` on the program: it says what in the code is not supported")
}

/// Code in control flow: ports are containers of the graph.
struct ControlScope<'b, 'p> {
    builder: &'b mut Builder<'p>,
    names: &'b mut GraphNames<'p>,
    code: &'b Code,
}

impl CodeScope for ControlScope<'_, '_> {
    fn symbol(&mut self, name: Name, _dtype: DType) -> Result<u32, Diagnostic> {
        Ok(self.builder.symbol(self.names, name))
    }

    fn memory(&mut self, port: PortId) -> Result<MemoryPort, Diagnostic> {
        let port = &self.code.ports[port];
        let container = self.builder.container(self.names, port.name)?;
        let access = self.builder.whole(container);
        let rank = access.ranges.len();
        let element = super::element::element(port.ty, &self.builder.program.structs)?;
        let (indexing, dims) = match port.kind {
            PortKind::Stream => (Indexing::Stream, Vec::new()),
            PortKind::Pointer { rank: given } if usize::from(given) == rank => {
                (Indexing::Dimensions, (0..rank).collect())
            }
            PortKind::Memory | PortKind::Pointer { rank: 1 } => (Indexing::Flat, Vec::new()),
            PortKind::Pointer { rank: given } => {
                return Err(Diagnostic::error("P0106", format!("{given} indices for {rank} dimensions"))
                    .at(format!("container `{}`", self.builder.program.names.get(port.name))));
            }
            PortKind::Reference | PortKind::Value => (Indexing::Dimensions, Vec::new()),
        };
        Ok(MemoryPort { access, element, indexing, wcr: None, dims: dims.into_boxed_slice() })
    }
}

impl Builder<'_> {
    /// All of a container, as far as its first element is concerned: starts are zero.
    pub fn whole(&self, container: u32) -> Access {
        let container_plan = &self.containers[container as usize];
        let ranges = container_plan
            .layout
            .shape
            .iter()
            .map(|extent| RangePlan {
                start: Size::Const(0),
                end: minus_one(extent),
                step: Size::Const(1),
                tile: Size::Const(1),
                single: matches!(extent, Size::Const(1)),
            })
            .collect();
        Access { container, ranges, text: container_plan.name.clone(), all: true }
    }
}

/// A size less one. `Access::all` makes the bound irrelevant where the size is not literal.
fn minus_one(extent: &Size) -> Size {
    match extent {
        Size::Const(value) => Size::Const(value.saturating_sub(1)),
        Size::Symbol(slot, plus) => Size::Symbol(*slot, plus.saturating_sub(1)),
        other => other.clone(),
    }
}
