//! From plans to the graph: containers, symbols, one state per map.

mod containers;
mod maps;
mod pieces;
mod scans;
mod targets;

use hashbrown::HashSet;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::{
    Block, BlockId, BlockKind, Branch, CodeExpr, Contract, Extra, InterstateEdge, Language, NodeKind, Region,
    RegionId, Text,
};
use crate::scalar::DType;
use crate::scalar::spell::spell_expression;
use crate::symbolic::{ExprId, Grammar};

use super::domain::IndexBox;
use super::fields::{Owner, Source};
use super::plan::Plan;
use super::point::{DimId, PointId, SourceId};
use super::{Assignment, FieldParam, Lowered, Lowering, Statement};
use maps::Write;
use targets::{DirectWrites, Target};

/// Element type of connectivity tables in the graph.
pub(super) const TABLE_DTYPE: DType = DType::I32;

/// Writes the program's statements as a graph.
pub(super) fn emit(mut lowering: Lowering<'_>, statements: Vec<Statement>) -> Result<Lowered> {
    lowering.declare_containers()?;
    let body = lowering.new_region();
    let first = lowering.new_state("init");
    lowering.append(body, first);
    lowering.emit_statements(body, &statements)?;
    lowering.finish(body, first)
}
impl Lowering<'_> {
    fn new_region(&mut self) -> RegionId {
        self.graph.regions.push(Region::default())
    }

    fn new_state(&mut self, label: &str) -> BlockId {
        self.new_block(label, BlockKind::State(Box::default()))
    }

    fn new_block(&mut self, label: &str, kind: BlockKind) -> BlockId {
        let label = format!("{label}_{}", self.graph.blocks.len());
        self.graph.blocks.push(Block { label, kind, extra: Extra::new() })
    }

    /// Adds a block after the region's last one.
    fn append(&mut self, region: RegionId, block: BlockId) {
        let region = &mut self.graph.regions[region];
        if let Some(&last) = region.blocks.last() {
            region.edges.push(InterstateEdge {
                src: last,
                dst: block,
                condition: None,
                assignments: Vec::new(),
                extra: Extra::new(),
            });
        }
        region.blocks.push(block);
        region.start = region.start.or(Some(block));
    }

    fn emit_statements(&mut self, region: RegionId, statements: &[Statement]) -> Result<()> {
        for statement in statements {
            match statement {
                Statement::Assign(assignments) => self.emit_assignments(region, assignments)?,
                Statement::If(condition, then, otherwise) => {
                    let (condition, holds) = self.condition(*condition)?;
                    let fails = holds.map(|holds| self.out.exprs.not(holds));
                    let mut branches = Vec::new();
                    for (condition, guard, statements) in
                        [(Some(condition), holds, then), (None, fails, otherwise)]
                    {
                        let outer = self.guards.len();
                        // What is not known before the call requires nothing: zero is never positive.
                        let guard = guard.unwrap_or_else(|| self.out.exprs.int(0));
                        self.guards.push(guard);
                        let body = self.new_region();
                        let first = self.new_state("branch");
                        self.append(body, first);
                        self.emit_statements(body, statements)?;
                        self.guards.truncate(outer);
                        let label = format!("branch_{}", body.0);
                        branches.push(Branch { condition, body, label, extra: Extra::new() });
                    }
                    let block = self.new_block("if", BlockKind::Conditional(branches));
                    self.append(region, block);
                }
            }
        }
        Ok(())
    }

    /// A condition as text; and as a symbolic expression, where it is one.
    fn condition(&mut self, point: PointId) -> Result<(CodeExpr, Option<ExprId>)> {
        if let Some(expr) = self.symbolic(point) {
            return Ok((self.code_expr(expr), Some(expr)));
        }
        // Floating-point scalars are symbols as well: the condition is an expression of them.
        let connector = self.connector("out", 0);
        let body = self.pointwise_body(&[(point, connector)])?;
        let text = match body.reads.is_empty() {
            true => spell_expression(&body.code, &self.out.names).ok(),
            false => None,
        };
        let text = text.ok_or_else(|| {
            Diagnostic::error("P0661", "the condition of a statement is not an expression of scalars")
                .with_help("compute the condition outside the program and pass it as a bool")
        })?;
        let text = Text { language: Language::Python, text };
        Ok((CodeExpr { text, target: None, code: None }, None))
    }

    fn code_expr(&mut self, expr: ExprId) -> CodeExpr {
        let text = self.out.exprs.print(&self.out.names, expr, Grammar::Plain);
        CodeExpr { text: Text { language: Language::Python, text }, target: None, code: None }
    }

    fn emit_assignments(&mut self, region: RegionId, assignments: &[Assignment]) -> Result<()> {
        let mut boxes = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            boxes.push(self.box_of(&assignment.domain)?);
        }
        for (assignment, index_box) in assignments.iter().zip(&boxes) {
            self.require_write(assignment.param, index_box)?;
        }
        let one_map = boxes.windows(2).all(|pair| pair[0] == pair[1]);
        let roots: Vec<PointId> = assignments.iter().map(|assignment| assignment.value).collect();
        let mut plan = self.plan(&roots, one_map);
        let array_boxes = self.infer_domains(&plan, &boxes)?;
        self.drop_company(&mut plan);
        self.declare_arrays(&plan, &array_boxes);
        self.declare_tables_read(&plan);

        let targets = self.targets(assignments, &plan, &boxes);
        let direct = self.direct_scan_writes(&plan, &array_boxes, &boxes, &targets);
        let read_elsewhere = self.sources_read(&plan, &targets, &direct);
        for &field in &plan.arrays {
            let context =
                Context { plan: &plan, targets: &targets, direct: &direct, read_elsewhere: &read_elsewhere };
            self.emit_array(region, field, &array_boxes, &context)?;
        }
        let mut done = vec![false; targets.len()];
        for number in &direct.assignments {
            done[*number] = true;
        }
        for first in 0..targets.len() {
            if done[first] {
                continue;
            }
            let group: Vec<usize> = (first..targets.len())
                .filter(|&other| !done[other] && boxes[other] == boxes[first])
                .collect();
            for &member in &group {
                done[member] = true;
            }
            self.emit_group(region, &group, &targets, &plan, &boxes[first])?;
        }
        self.emit_write_backs(region, &targets, &boxes)
    }

    /// Copies buffered targets to their parameters.
    fn emit_write_backs(&mut self, region: RegionId, targets: &[Target], boxes: &[IndexBox]) -> Result<()> {
        for (target, index_box) in targets.iter().zip(boxes) {
            let Some(buffer) = &target.buffer else { continue };
            let dims: Vec<DimId> = target.dims.iter().copied().filter(|&dim| !self.dims[dim].local).collect();
            let source = self.sources.push(Source {
                owner: Owner::Param(usize::MAX),
                dims: dims.clone(),
                dtype: target.dtype,
            });
            self.storage.insert(source, buffer.clone());
            let at = dims.iter().map(|&dim| self.points.coordinate(dim)).collect();
            let point = self.points.load(source, at, target.dtype);
            let connector = self.connector("out", 0);
            let element = self.own_element(&target.storage.clone(), &target.dims, target.local);
            let body = self.pointwise_body(&[(point, connector)])?;
            let write =
                Write { connector, container: target.storage.container.clone(), element: Some(element) };
            self.emit_map(region, "write_back", &dims, index_box, body, vec![write]);
        }
        Ok(())
    }

    /// A scan that writes its targets as it goes may leave its arrays without a reader or writer.
    fn drop_unused_transients(&mut self) {
        let mut used: HashSet<Name> = HashSet::new();
        for (_, state) in self.graph.states() {
            for (_, node) in state.live_nodes() {
                if let NodeKind::Access { data, .. } = node.kind {
                    used.insert(data);
                }
            }
        }
        self.graph.data.retain(|name, data| !data.transient || used.contains(name));
    }

    fn finish(mut self, body: RegionId, first: BlockId) -> Result<Lowered> {
        let bounds: Vec<(ExprId, Name)> = self.bounds.iter().map(|(&expr, &name)| (expr, name)).collect();
        let assignments: Vec<(Name, CodeExpr)> =
            bounds.into_iter().map(|(expr, name)| (name, self.code_expr(expr))).collect();
        if !assignments.is_empty() {
            // The first state is empty: its outgoing edge, or an extra state's, carries the assignments.
            if self.graph.regions[body].edges.is_empty() {
                let last = self.new_state("end");
                self.append(body, last);
            }
            if let Some(edge) = self.graph.regions[body].edges.iter_mut().find(|edge| edge.src == first) {
                edge.assignments = assignments;
            }
        }
        self.graph.body = Some(body);
        self.drop_unused_transients();
        let names: Vec<Name> =
            self.graph.data.iter().filter(|(_, data)| !data.transient).map(|(&name, _)| name).collect();
        self.graph.arg_names = names;
        let tables = (self.tables.values())
            .filter(|table| {
                let container = format!("gt_conn_{}", table.name);
                self.out.names.lookup(&container).is_some_and(|name| self.graph.data.contains_key(&name))
            })
            .map(|table| table.name.clone())
            .collect();
        let fields = (self.params.iter().filter(|param| param.temporary.is_none()))
            .map(|param| {
                let Source { dims, dtype, .. } = &self.sources[param.source];
                FieldParam {
                    name: param.name.clone(),
                    dims: dims.iter().map(|&dim| self.dims[dim].name.clone()).collect(),
                    dtype: *dtype,
                    written: param.written,
                }
            })
            .collect();
        self.out.contract = Contract::Whole;
        let graph = std::mem::take(&mut self.graph);
        self.out.root = Some(self.out.graphs.push(graph));
        let requirements = self.compiled_requirements();
        Ok(Lowered { program: self.out, fields, scalars: self.scalars, tables, requirements })
    }
}

/// What the arrays of one statement are written for.
#[derive(Clone, Copy)]
struct Context<'s> {
    plan: &'s Plan,
    targets: &'s [Target],
    direct: &'s DirectWrites,
    /// Sources that something other than a direct write reads.
    read_elsewhere: &'s HashSet<SourceId>,
}
