//! From plans to the graph: containers, symbols, one state per map.

use hashbrown::{HashMap, HashSet};
use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::{
    Array, Block, BlockId, BlockKind, Branch, CodeExpr, Connector, Contract, Data, DataKind, Extra,
    InterstateEdge, Language, Lifetime, Map, Memlet, Node, NodeId, NodeKind, Range, Region, RegionId,
    Schedule, State, Storage as Memory, Subset, Tasklet, Text,
};
use crate::scalar::spell::spell_expression;
use crate::scalar::{DType, Type};
use crate::symbolic::{ExprId, Grammar};

use super::code::{Access, Body, CodeBuilder, LevelWrite, ScanBody, Storage};
use super::domain::{Axis, Boxes, IndexBox, Interval};
use super::fields::{Owner, Source};
use super::plan::Plan;
use super::point::{DimId, Node as PointNode, PointId, SourceId, TableId};
use super::value::FieldId;
use super::{Assignment, FieldParam, Lowered, Lowering, Statement};

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

/// A write of a map's tasklet: which container, where.
struct Write {
    connector: Name,
    container: String,
    /// `None`: whole container, dynamically.
    element: Option<Vec<ExprId>>,
}

impl Lowering<'_> {
    // ---- containers ---------------------------------------------------------------------------------------

    fn declare_containers(&mut self) -> Result<()> {
        self.graph.name = self.program.name.clone();
        for number in 0..self.params.len() {
            let name = self.params[number].name.clone();
            let source = self.params[number].source;
            let Source { dims, dtype, .. } = self.sources[source].clone();
            if let Some(domain) = self.params[number].temporary.clone() {
                let index_box = self.box_of(&domain)?;
                let storage = self.transient_over(&name, &dims, &index_box, dtype);
                self.storage.insert(source, storage);
                continue;
            }
            let mut storage = Storage { container: name.clone(), starts: Vec::new(), shape: Vec::new() };
            let mut strides = Vec::new();
            if dims.is_empty() {
                // A field without dimensions is an array of one element.
                let one = self.out.exprs.int(1);
                storage.starts.push(self.out.exprs.int(0));
                storage.shape.push(one);
                strides.push(one);
            }
            for &dim in &dims {
                let stride = format!("__{name}_{}_stride", self.dims[dim].name);
                strides.push(self.declared_symbol(&stride, DType::I64));
                if self.dims[dim].local {
                    let count = self.table_of_local(dim).map_or(0, |table| self.tables[table].max_neighbors);
                    storage.starts.push(self.out.exprs.int(0));
                    storage.shape.push(self.out.exprs.int(i64::try_from(count).unwrap_or(i64::MAX)));
                    continue;
                }
                let [start, stop] = [0, 1].map(|end| {
                    let symbol = self.range_symbol(&name, dim, end);
                    self.graph.symbols.insert(symbol, Type::I32);
                    self.out.exprs.symbol(symbol)
                });
                storage.starts.push(start);
                let extent = self.out.exprs.sub(stop, start);
                storage.shape.push(extent);
            }
            let may_alias = self.environment.aliases.iter().any(|(a, b)| *a == name || *b == name);
            let array = Array { shape: storage.shape.clone(), strides, may_alias, ..Array::default() };
            self.add_array(&name, array, dtype, false);
            self.storage.insert(source, storage);
        }
        for (name, dtype) in self.scalars.clone() {
            self.declared_symbol(&name, dtype);
        }
        Ok(())
    }

    /// A packed transient with an element for each point of a box.
    fn transient_over(&mut self, name: &str, dims: &[DimId], index_box: &IndexBox, dtype: DType) -> Storage {
        let storage = self.storage_over(name, dims, index_box);
        let strides = self.packed_strides(dims, &storage.shape);
        let array = Array { shape: storage.shape.clone(), strides, ..Array::default() };
        self.add_array(name, array, dtype, true);
        storage
    }

    fn declared_symbol(&mut self, name: &str, dtype: DType) -> ExprId {
        let name = self.out.names.intern(name);
        self.graph.symbols.insert(name, Type::Scalar(dtype));
        self.out.exprs.symbol(name)
    }

    fn add_array(&mut self, name: &str, array: Array, dtype: DType, transient: bool) {
        let name = self.out.names.intern(name);
        let data = Data {
            ty: Type::Scalar(dtype),
            kind: DataKind::Array(array),
            transient,
            storage: Memory::Default,
            lifetime: Lifetime::Scope,
            extra: Extra::new(),
        };
        self.graph.data.insert(name, data);
    }

    /// The table's container, declared when it is first read.
    fn declare_table(&mut self, table: TableId) {
        let name = format!("gt_conn_{}", self.tables[table].name);
        if self.out.names.lookup(&name).is_some_and(|name| self.graph.data.contains_key(&name)) {
            return;
        }
        let rows = self.table_rows(table);
        let columns = self.out.exprs.int(i64::try_from(self.tables[table].max_neighbors).unwrap_or(i64::MAX));
        let strides = [0, 1].map(|n| self.declared_symbol(&format!("__{name}_stride_{n}"), DType::I64));
        let array = Array { shape: vec![rows, columns], strides: strides.to_vec(), ..Array::default() };
        self.add_array(&name, array, TABLE_DTYPE, false);
    }

    /// How many rows a table has.
    pub(super) fn table_rows(&mut self, table: TableId) -> ExprId {
        let name = format!("__gt_conn_{}_size", self.tables[table].name);
        self.declared_symbol(&name, DType::I64)
    }

    /// A symbol with the value of a bound, assigned when the program starts.
    pub(super) fn bound_symbol(&mut self, expr: ExprId) -> Name {
        if let Some(name) = self.out.exprs.as_symbol(expr) {
            return name;
        }
        if let Some(&name) = self.bounds.get(&expr) {
            return name;
        }
        let name = self.out.names.fresh(&format!("__bound_{}", self.bounds.len()));
        self.bounds.insert(expr, name);
        self.graph.symbols.insert(name, Type::I64);
        name
    }

    /// A tasklet's connector; DaCe wants it to differ from all containers and symbols.
    pub(super) fn connector(&mut self, direction: &str, number: usize) -> Name {
        let mut text = format!("{direction}_{number}");
        loop {
            let name = self.out.names.intern(&text);
            if !self.graph.data.contains_key(&name) && !self.graph.symbols.contains_key(&name) {
                return name;
            }
            text.insert(0, '_');
        }
    }

    /// The type a symbol is read as.
    pub(super) fn symbol_dtype(&self, name: Name) -> DType {
        self.graph.symbols.get(&name).and_then(|ty| ty.scalar()).unwrap_or(DType::I64)
    }

    // ---- control flow -------------------------------------------------------------------------------------

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

    // ---- statements ---------------------------------------------------------------------------------------

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
        let plan = self.plan(&roots, one_map);
        let array_boxes = self.infer_domains(&plan, &boxes)?;
        self.declare_arrays(&plan, &array_boxes);
        self.declare_tables_read(&plan);

        let targets = self.targets(assignments, &plan, &boxes);
        let direct = self.direct_scan_writes(&plan, &array_boxes, &boxes, &targets);
        let read_elsewhere = self.sources_read(&plan, &targets, &direct);
        for &field in &plan.arrays {
            let context = Context { plan: &plan, targets: &targets, direct: &direct, read_elsewhere: &read_elsewhere };
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

    fn declare_arrays(&mut self, plan: &Plan, boxes: &Boxes) {
        for &field in &plan.arrays {
            let index_box = boxes.get(&field).cloned().unwrap_or_default();
            for leaf in self.fields[field].leaves.clone() {
                let Source { dims, dtype, .. } = self.sources[leaf.source].clone();
                let container = format!("__tmp_{}", self.array_count);
                self.array_count += 1;
                let storage = self.transient_over(&container, &dims, &index_box, dtype);
                self.storage.insert(leaf.source, storage);
            }
        }
    }

    fn storage_over(&mut self, container: &str, dims: &[DimId], index_box: &IndexBox) -> Storage {
        let mut storage = Storage { container: container.to_owned(), starts: Vec::new(), shape: Vec::new() };
        if dims.is_empty() {
            storage.starts.push(self.out.exprs.int(0));
            storage.shape.push(self.out.exprs.int(1));
        }
        for &dim in dims {
            let interval = index_box.get(Axis::Dim(dim)).unwrap_or_else(|| {
                let zero = self.out.exprs.int(0);
                Interval { start: zero, stop: zero }
            });
            let exprs = &mut self.out.exprs;
            let extent = exprs.sub(interval.stop, interval.start);
            let zero = exprs.int(0);
            storage.starts.push(interval.start);
            storage.shape.push(exprs.max(extent, zero));
        }
        storage
    }

    /// Strides of a packed array whose fastest dimension is the one that maps run along fastest.
    fn packed_strides(&mut self, dims: &[DimId], shape: &[ExprId]) -> Vec<ExprId> {
        let order = self.loop_ranks(dims);
        let mut strides = vec![self.out.exprs.int(1); shape.len()];
        let mut stride = self.out.exprs.int(1);
        for &position in order.iter().rev() {
            strides[position] = stride;
            stride = self.out.exprs.mul(stride, shape[position]);
        }
        strides
    }

    /// Positions of `dims`, slowest first.
    fn loop_ranks(&self, dims: &[DimId]) -> Vec<usize> {
        let wanted = &self.environment.loop_order;
        let rank =
            |dim: DimId| wanted.iter().position(|name| *name == self.dims[dim].name).map_or(0, |at| at + 1);
        let mut positions: Vec<usize> = (0..dims.len()).collect();
        positions.sort_by_key(|&position| rank(dims[position]));
        positions
    }

    fn declare_tables_read(&mut self, plan: &Plan) {
        let mut points: Vec<PointId> = plan.roots.clone();
        points.extend(plan.leaves.values());
        for &field in &plan.arrays {
            if let Some(scan) = &self.fields[field].scan {
                points.extend(&scan.init);
            }
        }
        let mut tables: Vec<TableId> = (self.points.reachable(&points).into_iter())
            .filter_map(|id| match self.points.node(id) {
                PointNode::Neighbor(table, ..) => Some(*table),
                _ => None,
            })
            .collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            self.declare_table(table);
            for end in ["min", "max"] {
                self.declared_symbol(&format!("__gt_conn_{}_{end}", self.tables[table].name), DType::I64);
            }
        }
    }

    // ---- targets ------------------------------------------------------------------------------------------

    /// Where each assignment writes: its parameter, or an array first where the parameter is still read.
    fn targets(&mut self, assignments: &[Assignment], plan: &Plan, boxes: &[IndexBox]) -> Vec<Target> {
        let mut targets: Vec<Target> = assignments
            .iter()
            .zip(&plan.roots)
            .map(|(assignment, &value)| {
                let source = self.params[assignment.param].source;
                let storage = self.storage.get(&source).cloned().unwrap_or_else(Storage::nowhere);
                let Source { dims, dtype, .. } = self.sources[source].clone();
                Target {
                    param: assignment.param,
                    value,
                    dims,
                    dtype,
                    storage,
                    local: assignment.local,
                    buffer: None,
                }
            })
            .collect();
        let buffered: Vec<bool> =
            (0..targets.len()).map(|number| self.needs_buffer(number, &targets, boxes)).collect();
        for (number, buffered) in buffered.into_iter().enumerate() {
            if buffered {
                let container = format!("__tmp_{}", self.array_count);
                self.array_count += 1;
                let dims: Vec<DimId> =
                    targets[number].dims.iter().copied().filter(|&dim| !self.dims[dim].local).collect();
                let dtype = targets[number].dtype;
                let buffer = self.transient_over(&container, &dims, &boxes[number], dtype);
                targets[number].buffer = Some(buffer);
            }
        }
        targets
    }

    /// Whether writing a target in place could change what another point, or a later map, still reads.
    fn needs_buffer(&self, number: usize, targets: &[Target], boxes: &[IndexBox]) -> bool {
        let target = &targets[number];
        targets.iter().enumerate().any(|(other, reader)| {
            let same_map = boxes[other] == boxes[number];
            self.points.reachable(&[reader.value]).into_iter().any(|id| {
                let PointNode::Load { source, at, .. } = self.points.node(id) else { return false };
                let Owner::Param(param) = self.sources[*source].owner else { return false };
                if !self.same_memory(param, target.param) {
                    return false;
                }
                let dims = &self.sources[*source].dims;
                let own_element = param == target.param
                    && dims.iter().zip(at.iter()).all(|(&dim, &at)| {
                        self.dims[dim].local || self.points.node(at) == &PointNode::Coordinate(dim)
                    });
                !(same_map && own_element)
            })
        })
    }

    fn same_memory(&self, a: usize, b: usize) -> bool {
        if a == b {
            return true;
        }
        let (a, b) = (&self.params[a].name, &self.params[b].name);
        self.environment.aliases.iter().any(|(x, y)| (x == a && y == b) || (x == b && y == a))
    }

    /// Finds scans whose components go straight to a target over the same box.
    fn direct_scan_writes(
        &self,
        plan: &Plan,
        array_boxes: &Boxes,
        boxes: &[IndexBox],
        targets: &[Target],
    ) -> DirectWrites {
        let mut direct = DirectWrites::default();
        for (number, target) in targets.iter().enumerate() {
            let PointNode::Load { source, at, .. } = self.points.node(target.value) else { continue };
            let Source { owner: Owner::Field(field, _), dims, dtype } = &self.sources[*source] else {
                continue;
            };
            let centered = dims
                .iter()
                .zip(at.iter())
                .all(|(&dim, &at)| self.points.node(at) == &PointNode::Coordinate(dim));
            let same_dims =
                dims.len() == target.dims.len() && dims.iter().all(|dim| target.dims.contains(dim));
            let same_box = array_boxes.get(field) == Some(&boxes[number]);
            let reads_target = self.reads_memory(*field, plan, target.param);
            let is_scan = self.fields[*field].scan.is_some();
            let plain = target.buffer.is_none() && target.local.is_none() && *dtype == target.dtype;
            if is_scan && centered && same_dims && same_box && !reads_target && plain {
                direct.assignments.push(number);
                direct.by_source.entry(*source).or_default().push(number);
            }
        }
        // Arrays that come later may read what a direct write overwrites: they must not.
        let written: Vec<usize> = direct.assignments.iter().map(|&number| targets[number].param).collect();
        let conflict = plan.arrays.iter().any(|&field| {
            !direct.by_source.keys().any(|source| self.sources[*source].owner_field() == Some(field))
                && written.iter().any(|&param| self.reads_memory(field, plan, param))
        });
        let root_conflict = targets.iter().enumerate().any(|(number, target)| {
            !direct.assignments.contains(&number)
                && self
                    .loads_params(&[target.value])
                    .iter()
                    .any(|&read| written.iter().any(|&param| self.same_memory(read, param)))
        });
        if conflict || root_conflict { DirectWrites::default() } else { direct }
    }

    fn reads_memory(&self, field: FieldId, plan: &Plan, param: usize) -> bool {
        let mut points: Vec<PointId> = self.fields[field]
            .leaves
            .iter()
            .filter_map(|leaf| plan.leaves.get(&leaf.source).copied())
            .collect();
        if let Some(scan) = &self.fields[field].scan {
            points.extend(&scan.init);
        }
        self.loads_params(&points).into_iter().any(|read| self.same_memory(read, param))
    }

    fn loads_params(&self, points: &[PointId]) -> Vec<usize> {
        (self.points.reachable(points).into_iter())
            .filter_map(|id| match self.points.node(id) {
                PointNode::Load { source, .. } => match self.sources[*source].owner {
                    Owner::Param(param) => Some(param),
                    Owner::Field(..) => None,
                },
                _ => None,
            })
            .collect()
    }

    // ---- maps ---------------------------------------------------------------------------------------------

    fn emit_array(
        &mut self,
        region: RegionId,
        field: FieldId,
        boxes: &Boxes,
        context: &Context<'_>,
    ) -> Result<()> {
        let index_box = boxes.get(&field).cloned().unwrap_or_default();
        let leaves = self.fields[field].leaves.clone();
        if self.fields[field].scan.is_some() {
            return self.emit_scan(region, field, &index_box, context);
        }
        let plan = context.plan;
        let mut outputs = Vec::new();
        let mut writes = Vec::new();
        let mut dims = Vec::new();
        for (number, leaf) in leaves.iter().enumerate() {
            let Some(&point) = plan.leaves.get(&leaf.source) else { continue };
            dims.clone_from(&self.sources[leaf.source].dims);
            let Some(storage) = self.storage.get(&leaf.source).cloned() else { continue };
            let connector = self.connector("out", number);
            outputs.push((point, connector));
            let element = self.own_element(&storage, &dims, None);
            writes.push(Write { connector, container: storage.container, element: Some(element) });
        }
        let body = self.pointwise_body(&outputs)?;
        self.emit_map(region, "field", &dims, &index_box, body, writes);
        Ok(())
    }

    fn pointwise_body(&mut self, outputs: &[(PointId, Name)]) -> Result<Body> {
        let storage = std::mem::take(&mut self.storage);
        let body = CodeBuilder::new(self, &storage).pointwise(outputs);
        self.storage = storage;
        body
    }

    /// Indices of the point's own element.
    fn own_element(&mut self, storage: &Storage, dims: &[DimId], local: Option<usize>) -> Vec<ExprId> {
        if dims.is_empty() {
            return vec![self.out.exprs.int(0)];
        }
        dims.iter()
            .zip(&storage.starts)
            .map(|(&dim, &start)| {
                if self.dims[dim].local {
                    let number = local.and_then(|number| i64::try_from(number).ok()).unwrap_or(0);
                    return self.out.exprs.int(number);
                }
                let name = self.coordinate_symbol(dim);
                let at = self.out.exprs.symbol(name);
                self.out.exprs.sub(at, start)
            })
            .collect()
    }

    fn emit_scan(
        &mut self,
        region: RegionId,
        field: FieldId,
        index_box: &IndexBox,
        context: &Context<'_>,
    ) -> Result<()> {
        let Context { plan, targets, direct, read_elsewhere } = *context;
        let Some(scan) = &self.fields[field].scan else { return Ok(()) };
        let (init, depth, axis, forward) = (scan.init.clone(), scan.depth, scan.axis, scan.forward);
        let Some(range) = index_box.get(Axis::Dim(axis)) else { return Ok(()) };
        let leaves = self.fields[field].leaves.clone();
        let next: Vec<PointId> =
            leaves.iter().filter_map(|leaf| plan.leaves.get(&leaf.source).copied()).collect();
        let dims = leaves.first().map(|leaf| self.sources[leaf.source].dims.clone()).unwrap_or_default();
        let level = self.points.level(depth);
        let mut outputs = Vec::with_capacity(leaves.len());
        let mut writes = Vec::new();
        for leaf in &leaves {
            let mut places: Vec<(Storage, Vec<DimId>, DType)> = Vec::new();
            let straight = direct.by_source.get(&leaf.source).map_or(&[][..], |numbers| numbers);
            for &number in straight {
                let target = &targets[number];
                places.push((target.storage.clone(), target.dims.clone(), target.dtype));
            }
            if read_elsewhere.contains(&leaf.source)
                && let Some(storage) = self.storage.get(&leaf.source)
            {
                places.push((storage.clone(), dims.clone(), self.sources[leaf.source].dtype));
            }
            let mut stores = Vec::with_capacity(places.len());
            for (storage, dims, dtype) in places {
                let port = self.connector("out", writes.len());
                let at = (dims.iter())
                    .map(|&dim| if dim == axis { level } else { self.points.coordinate(dim) })
                    .collect();
                writes.push(Write { connector: port, container: storage.container, element: None });
                stores.push(LevelWrite { port, at, starts: storage.starts, dtype });
            }
            outputs.push(stores);
        }
        let storage = std::mem::take(&mut self.storage);
        let scan = ScanBody {
            init: &init,
            next: &next,
            outputs: &outputs,
            forward,
            depth,
            start: range.start,
            stop: range.stop,
        };
        let body = CodeBuilder::new(self, &storage).scan(&scan);
        self.storage = storage;
        let columns: Vec<DimId> = dims.into_iter().filter(|&dim| dim != axis).collect();
        self.emit_map(region, "scan", &columns, index_box, body?, writes);
        Ok(())
    }

    /// Sources that something other than a direct write reads.
    fn sources_read(&self, plan: &Plan, targets: &[Target], direct: &DirectWrites) -> HashSet<SourceId> {
        let mut points: Vec<PointId> = (targets.iter().enumerate())
            .filter(|(number, _)| !direct.assignments.contains(number))
            .map(|(_, target)| target.value)
            .collect();
        for &field in &plan.arrays {
            points.extend(self.fields[field].leaves.iter().filter_map(|leaf| plan.leaves.get(&leaf.source)));
            if let Some(scan) = &self.fields[field].scan {
                points.extend(&scan.init);
            }
        }
        (self.points.reachable(&points).into_iter())
            .filter_map(|id| match self.points.node(id) {
                PointNode::Load { source, .. } => Some(*source),
                _ => None,
            })
            .collect()
    }

    fn emit_group(
        &mut self,
        region: RegionId,
        group: &[usize],
        targets: &[Target],
        plan: &Plan,
        index_box: &IndexBox,
    ) -> Result<()> {
        let mut outputs = Vec::with_capacity(group.len());
        let mut writes = Vec::with_capacity(group.len());
        for (position, &number) in group.iter().enumerate() {
            let target = &targets[number];
            let connector = self.connector("out", position);
            outputs.push((plan.roots[number], connector));
            let (storage, dims) = match &target.buffer {
                Some(buffer) => {
                    let dims = target.dims.iter().copied().filter(|&dim| !self.dims[dim].local).collect();
                    (buffer.clone(), dims)
                }
                None => (target.storage.clone(), target.dims.clone()),
            };
            let element = self.own_element(&storage, &dims, target.local);
            writes.push(Write { connector, container: storage.container, element: Some(element) });
        }
        let dims: Vec<DimId> = (index_box.axes.iter())
            .filter_map(|(axis, _)| match axis {
                Axis::Dim(dim) => Some(*dim),
                Axis::Level(_) => None,
            })
            .collect();
        let body = self.pointwise_body(&outputs)?;
        self.emit_map(region, "statement", &dims, index_box, body, writes);
        Ok(())
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

    /// A state with one tasklet in a map over `dims` (no map if there are none).
    fn emit_map(
        &mut self,
        region: RegionId,
        label: &str,
        dims: &[DimId],
        index_box: &IndexBox,
        body: Body,
        writes: Vec<Write>,
    ) {
        let block = self.new_state(label);
        let mut state = State::default();
        let order = self.loop_ranks(dims);
        let mut params = Vec::with_capacity(dims.len());
        let mut ranges = Vec::with_capacity(dims.len());
        for position in order {
            let dim = dims[position];
            let Some(interval) = index_box.get(Axis::Dim(dim)) else { continue };
            params.push(self.coordinate_symbol(dim));
            let one = self.out.exprs.int(1);
            let end = self.out.exprs.sub(interval.stop, one);
            ranges.push(Range { start: interval.start, end, step: one, tile: one });
        }
        let tasklet = state
            .nodes
            .push(node(label, NodeKind::Tasklet(Tasklet { text: Text::default(), code: Some(body.code) })));
        let scope = if params.is_empty() {
            None
        } else {
            let map = Map { params, range: Subset { ranges }, schedule: Schedule::Default, unroll: false };
            let entry = state.nodes.push(node(label, NodeKind::MapEntry(map)));
            let exit = state.nodes.push(node(label, NodeKind::MapExit { entry }));
            Some((entry, exit))
        };
        let mut reads: IndexMap<String, NodeId> = IndexMap::new();
        for (connector, container, access) in body.reads {
            let name = self.out.names.intern(&container);
            state.nodes[tasklet].inputs.insert(connector, Connector::default());
            let (subset, dynamic) = match access {
                Access::Element(element) => (self.element_subset(&element), false),
                Access::Whole => (self.whole_subset(name), true),
            };
            let inner = memlet(name, subset, dynamic);
            let is_new = !reads.contains_key(&container);
            let access_node = *reads.entry(container).or_insert_with(|| {
                state.nodes.push(node("", NodeKind::Access { data: name, setzero: false }))
            });
            match scope {
                None => connect(&mut state, access_node, None, tasklet, Some(connector), inner),
                Some((entry, _)) => {
                    let [into, out] = ["IN", "OUT"].map(|end| {
                        self.out.names.intern(&format!("{end}_{}", self.out.names.get(name).to_owned()))
                    });
                    if is_new {
                        let whole = self.whole_subset(name);
                        connect(&mut state, access_node, None, entry, Some(into), memlet(name, whole, true));
                        state.nodes[entry].inputs.insert(into, Connector::default());
                        state.nodes[entry].outputs.insert(out, Connector::default());
                    }
                    connect(&mut state, entry, Some(out), tasklet, Some(connector), inner);
                }
            }
        }
        if let Some((entry, _)) = scope
            && reads.is_empty()
        {
            connect(&mut state, entry, None, tasklet, None, Memlet::default());
        }
        for (number, write) in writes.into_iter().enumerate() {
            let name = self.out.names.intern(&write.container);
            state.nodes[tasklet].outputs.insert(write.connector, Connector::default());
            let dynamic = write.element.is_none();
            let subset = match &write.element {
                Some(element) => self.element_subset(element),
                None => self.whole_subset(name),
            };
            let inner = memlet(name, subset, dynamic);
            let access_node = state.nodes.push(node("", NodeKind::Access { data: name, setzero: false }));
            match scope {
                None => connect(&mut state, tasklet, Some(write.connector), access_node, None, inner),
                Some((_, exit)) => {
                    let [into, out] =
                        ["IN", "OUT"].map(|end| self.out.names.intern(&format!("{end}_{number}")));
                    state.nodes[exit].inputs.insert(into, Connector::default());
                    state.nodes[exit].outputs.insert(out, Connector::default());
                    connect(&mut state, tasklet, Some(write.connector), exit, Some(into), inner);
                    let whole = self.whole_subset(name);
                    connect(&mut state, exit, Some(out), access_node, None, memlet(name, whole, true));
                }
            }
        }
        self.label_access_nodes(&mut state);
        self.graph.blocks[block].kind = BlockKind::State(Box::new(state));
        self.append(region, block);
    }

    fn label_access_nodes(&self, state: &mut State) {
        for (_, node) in state.nodes.iter_mut() {
            if let NodeKind::Access { data, .. } = node.kind {
                node.label = self.out.names.get(data).to_owned();
            }
        }
    }

    fn element_subset(&mut self, element: &[ExprId]) -> Subset {
        let one = self.out.exprs.int(1);
        Subset {
            ranges: element.iter().map(|&at| Range { start: at, end: at, step: one, tile: one }).collect(),
        }
    }

    fn whole_subset(&mut self, container: Name) -> Subset {
        let shape = self.graph.data.get(&container).map(|data| data.shape().to_vec()).unwrap_or_default();
        let (zero, one) = (self.out.exprs.int(0), self.out.exprs.int(1));
        let ranges = (shape.into_iter())
            .map(|extent| Range { start: zero, end: self.out.exprs.sub(extent, one), step: one, tile: one })
            .collect();
        Subset { ranges }
    }

    // ---- the whole ----------------------------------------------------------------------------------------

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

/// Where an assignment's value goes.
struct Target {
    param: usize,
    value: PointId,
    dims: Vec<DimId>,
    dtype: DType,
    storage: Storage,
    local: Option<usize>,
    /// Written first, copied to the parameter at the end of the statement.
    buffer: Option<Storage>,
}

/// Scans that write targets as they go.
#[derive(Default)]
struct DirectWrites {
    assignments: Vec<usize>,
    by_source: HashMap<SourceId, Vec<usize>>,
}

fn node(label: &str, kind: NodeKind) -> Node {
    Node {
        label: label.to_owned(),
        kind,
        inputs: IndexMap::new(),
        outputs: IndexMap::new(),
        extra: Extra::new(),
    }
}

fn memlet(data: Name, subset: Subset, dynamic: bool) -> Memlet {
    Memlet { data: Some(data), subset: Some(subset), dynamic, ..Memlet::default() }
}

fn connect(
    state: &mut State,
    src: NodeId,
    src_conn: Option<Name>,
    dst: NodeId,
    dst_conn: Option<Name>,
    memlet: Memlet,
) {
    state.edges.push(crate::ir::Edge {
        src,
        src_conn,
        dst,
        dst_conn,
        memlet,
        removed: false,
        extra: Extra::new(),
    });
}
