//! Point expressions as tasklet code.
//!
//! A DAG becomes structured SSA: every node is computed once, in the innermost branch that holds all its uses.
//! A choice whose sides are cheap becomes a select; a choice with an expensive side becomes an `if` that
//! evaluates one of them. Either way a node may be computed where its value is not asked for, so loads that a
//! choice guards have their indices clamped to the array: the value is then arbitrary and unused.

use hashbrown::HashMap;

use crate::diag::Result;
use crate::entity::Name;
use crate::scalar::{BinaryOp, Block, Code, DType, Inst, Op, Port, PortId, PortKind, Scalar, Type, ValueId};
use crate::symbolic::ExprId;

use super::Lowering;
use super::domain::Interval;
use super::plan::weight;
use super::point::{Node, PointId, Replay, SourceId, TableId};

/// A side of a choice with more work than this is evaluated only when it is taken.
const BRANCH_WEIGHT: u64 = 48;

/// Branches nest no deeper than this; choices inside are selects. What reads the code recurses on its blocks.
const MAX_BRANCHES: usize = 40;

/// Where a source's elements are.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    /// Container name.
    pub container: String,
    /// Coordinate of element 0, per dimension.
    pub starts: Vec<ExprId>,
    /// Extent, per dimension.
    pub shape: Vec<ExprId>,
}

impl Storage {
    /// Stands where a container is missing; reading it is caught by the validator.
    pub(super) fn nowhere() -> Self {
        Storage { container: String::new(), starts: Vec::new(), shape: Vec::new() }
    }
}

/// How a tasklet reads a container.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) enum Access {
    /// One element, before the body.
    Element(Vec<ExprId>),
    /// Any element, by index.
    Whole,
}

/// A tasklet in the making.
pub(super) struct Body {
    /// The code.
    pub code: Code,
    /// Input connectors: name, container, what.
    pub reads: Vec<(Name, String, Access)>,
}

/// A block of the code: the body, the body of a loop over levels, or a side of a choice.
struct Place {
    parent: usize,
    depth: usize,
    insts: Vec<Inst>,
}

/// What is computed where, and the code so far.
pub(super) struct CodeBuilder<'l, 'p> {
    lowering: &'l mut Lowering<'p>,
    storage: &'l HashMap<SourceId, Storage>,
    body: Body,
    places: Vec<Place>,
    place_of: HashMap<PointId, usize>,
    sides: HashMap<PointId, (usize, usize)>,
    /// Bodies of the scans that run at the point.
    replays: HashMap<PointId, usize>,
    /// States that these end with.
    replayed: HashMap<PointId, Vec<ValueId>>,
    /// Ends of the column that these run along.
    column: Option<Interval>,
    certain: HashMap<PointId, bool>,
    values: HashMap<PointId, ValueId>,
    ports: HashMap<(String, Access), PortId>,
    input_values: HashMap<PortId, ValueId>,
    symbols: HashMap<Name, u32>,
    in_scan: bool,
}

impl<'l, 'p> CodeBuilder<'l, 'p> {
    pub(super) fn new(lowering: &'l mut Lowering<'p>, storage: &'l HashMap<SourceId, Storage>) -> Self {
        CodeBuilder {
            lowering,
            storage,
            body: Body { code: Code::default(), reads: Vec::new() },
            places: vec![Place { parent: 0, depth: 0, insts: Vec::new() }],
            place_of: HashMap::new(),
            sides: HashMap::new(),
            replays: HashMap::new(),
            replayed: HashMap::new(),
            column: None,
            certain: HashMap::new(),
            values: HashMap::new(),
            ports: HashMap::new(),
            input_values: HashMap::new(),
            symbols: HashMap::new(),
            in_scan: false,
        }
    }

    /// Scans at points run along this column.
    pub(super) fn along(mut self, column: Option<Interval>) -> Self {
        self.column = column;
        self
    }

    /// A tasklet that computes points and hands each to the output connector of that name.
    pub(super) fn pointwise(mut self, outputs: &[(PointId, Name)]) -> Result<Body> {
        let roots: Vec<PointId> = outputs.iter().map(|(point, _)| *point).collect();
        self.place(&roots, 0, &|_| true);
        self.compute(&roots)?;
        for &(point, name) in outputs {
            let ty = Type::Scalar(self.lowering.points.dtype(point));
            let port = self.body.code.ports.push(Port {
                name,
                ty,
                kind: PortKind::Value,
                reads: false,
                writes: true,
            });
            let value = self.value(point);
            self.effect(0, Op::Output { port, value });
        }
        Ok(self.finish())
    }

    /// A tasklet that runs a scan over `start..stop` and stores each level's state.
    pub(super) fn scan(mut self, scan: &ScanBody<'_>) -> Result<Body> {
        self.in_scan = true;
        self.column = Some(Interval { start: scan.start, stop: scan.stop });
        let varying = self.varying(scan);
        self.places.push(Place { parent: 0, depth: 1, insts: Vec::new() });
        let mut roots: Vec<PointId> = scan.init.to_vec();
        roots.extend(scan.next);
        self.place(&roots, 1, &|point| varying.get(&point).copied().unwrap_or(false));
        let (first, bound, step) = self.scan_range(0, scan.start, scan.stop, scan.forward);
        let level = self.new_value(Type::I64);
        let level_point = self.lowering.points.level(scan.number);
        self.values.insert(level_point, level);
        let mut carried = vec![first];
        let mut params = vec![level];
        self.compute(scan.init)?;
        for (component, &init) in scan.init.iter().enumerate() {
            carried.push(self.value(init));
            let dtype = self.lowering.points.dtype(init);
            let param = self.new_value(Type::Scalar(dtype));
            let component = u32::try_from(component).unwrap_or(u32::MAX);
            let carry = self.lowering.points.carry(scan.number, component, dtype);
            self.values.insert(carry, param);
            params.push(param);
        }
        self.compute(scan.next)?;
        let mut results = Vec::with_capacity(params.len());
        for (&next, output) in scan.next.iter().zip(scan.outputs) {
            let value = self.value(next);
            results.push(value);
            for write in output {
                self.store_level(write, next, value)?;
            }
        }
        let next_level = self.binary(1, BinaryOp::Add, Type::I64, level, step);
        results.insert(0, next_level);
        let insts = std::mem::take(&mut self.places[1].insts);
        let running = self.new_value(Type::BOOL);
        let compare = if scan.forward { BinaryOp::Lt } else { BinaryOp::Ge };
        let test = Inst { op: Op::Binary(compare, level, bound), results: vec![running] };
        let condition = Block { insts: vec![test], results: vec![running] };
        let finals: Vec<ValueId> =
            params.iter().map(|&param| self.new_value(self.body.code.types[param])).collect();
        let op = Op::Loop { carried, params, condition, body: Block { insts, results } };
        self.places[0].insts.push(Inst { op, results: finals });
        Ok(self.finish())
    }

    fn finish(mut self) -> Body {
        self.body.code.body.insts = std::mem::take(&mut self.places[0].insts);
        self.body
    }

    /// First level, loop bound and step, in the block before the loop.
    fn scan_range(
        &mut self,
        place: usize,
        start: ExprId,
        stop: ExprId,
        forward: bool,
    ) -> (ValueId, ValueId, ValueId) {
        let start = self.expr(place, start);
        let stop = self.expr(place, stop);
        // The step is used inside the loop but defined before it.
        let one = self.constant(place, Scalar::I64(1));
        if forward {
            return (start, stop, one);
        }
        let last = self.binary(place, BinaryOp::Sub, Type::I64, stop, one);
        let back = self.constant(place, Scalar::I64(-1));
        (last, start, back)
    }

    /// Which nodes depend on the level or the carry.
    fn varying(&self, scan: &ScanBody<'_>) -> HashMap<PointId, bool> {
        let points = &self.lowering.points;
        let mut roots = scan.init.to_vec();
        roots.extend(scan.next);
        let mut varying: HashMap<PointId, bool> = HashMap::new();
        for id in points.reachable(&roots) {
            let mut depends = matches!(points.node(id), Node::Level(_) | Node::Carry(..));
            points.operands(id, |operand| depends |= varying.get(&operand).copied().unwrap_or(false));
            varying.insert(id, depends);
        }
        varying
    }

    fn store_level(&mut self, write: &LevelWrite, next: PointId, value: ValueId) -> Result<()> {
        let dtype = self.lowering.points.dtype(next);
        let value = if write.dtype == dtype {
            value
        } else {
            let converted = self.new_value(Type::Scalar(write.dtype));
            self.places[1].insts.push(Inst { op: Op::Cast(write.dtype, value), results: vec![converted] });
            converted
        };
        let rank = u8::try_from(write.starts.len()).unwrap_or(u8::MAX);
        let port = self.body.code.ports.push(Port {
            name: write.port,
            ty: Type::Scalar(write.dtype),
            kind: PortKind::Pointer { rank },
            reads: false,
            writes: true,
        });
        let mut indices = Vec::with_capacity(write.at.len());
        for (&at, &start) in write.at.iter().zip(&write.starts) {
            if !self.values.contains_key(&at) {
                self.place_of.insert(at, 0);
                self.compute(&[at])?;
            }
            let at = self.value(at);
            indices.push(self.relative(1, at, start));
        }
        self.effect(1, Op::Store { port, indices, value });
        Ok(())
    }

    // ---- placement ----------------------------------------------------------------------------------------

    /// Decides where each node is computed and which choices branch. `varies` nodes go into `inner`, others
    /// before it.
    fn place(&mut self, roots: &[PointId], inner: usize, varies: &dyn Fn(PointId) -> bool) {
        let order = self.lowering.points.reachable(roots);
        let choices: Vec<PointId> = order
            .iter()
            .copied()
            .filter(|&id| matches!(self.lowering.points.node(id), Node::Choose(..)))
            .collect();
        let mut branching: HashMap<PointId, bool> = choices.iter().map(|&id| (id, true)).collect();
        if !choices.is_empty() {
            self.assign_places(&order, roots, inner, varies, &branching);
            let work = self.work_per_place(&order);
            for &choice in &choices {
                let (then, otherwise) = self.sides.get(&choice).copied().unwrap_or((0, 0));
                let heavy = [then, otherwise]
                    .into_iter()
                    .any(|side| side != 0 && work.get(side).copied().unwrap_or(0) > BRANCH_WEIGHT);
                branching.insert(choice, heavy);
            }
            self.places.truncate(inner + 1);
        }
        self.assign_places(&order, roots, inner, varies, &branching);
        self.find_certain(&order, roots);
    }

    fn assign_places(
        &mut self,
        order: &[PointId],
        roots: &[PointId],
        inner: usize,
        varies: &dyn Fn(PointId) -> bool,
        branching: &HashMap<PointId, bool>,
    ) {
        self.place_of.clear();
        self.sides.clear();
        self.replays.clear();
        let home = |point: PointId| if varies(point) { inner } else { 0 };
        for &root in roots {
            self.place_of.insert(root, home(root));
        }
        for &id in order.iter().rev() {
            let Some(&here) = self.place_of.get(&id) else { continue };
            let mut uses: Vec<(PointId, usize)> = Vec::new();
            if let Node::Choose(condition, then, otherwise) = *self.lowering.points.node(id)
                && branching.get(&id).copied().unwrap_or(false)
                && self.places[here].depth < MAX_BRANCHES
            {
                let sides = [(); 2].map(|()| {
                    let depth = self.places[here].depth + 1;
                    self.places.push(Place { parent: here, depth, insts: Vec::new() });
                    self.places.len() - 1
                });
                self.sides.insert(id, (sides[0], sides[1]));
                uses.extend([(condition, here), (then, sides[0]), (otherwise, sides[1])]);
            } else if let Node::Replay(replay) = self.lowering.points.node(id) {
                let depth = self.places[here].depth + 1;
                self.places.push(Place { parent: here, depth, insts: Vec::new() });
                let body = self.places.len() - 1;
                self.replays.insert(id, body);
                uses.push((replay.last(), here));
                uses.extend(replay.init().iter().map(|&point| (point, here)));
                uses.extend(replay.next().iter().map(|&point| (point, body)));
            } else {
                self.lowering.points.operands(id, |operand| uses.push((operand, here)));
            }
            for (operand, place) in uses {
                let place = if varies(operand) || inner == 0 { place } else { 0 };
                let place = match self.place_of.get(&operand) {
                    Some(&before) => self.common(before, place),
                    None => place,
                };
                self.place_of.insert(operand, place);
            }
        }
    }

    /// The innermost place around both.
    fn common(&self, mut a: usize, mut b: usize) -> usize {
        if a == 0 || b == 0 {
            return 0;
        }
        while a != b {
            if self.places[a].depth >= self.places[b].depth {
                a = self.places[a].parent;
            } else {
                b = self.places[b].parent;
            }
        }
        a
    }

    /// Work in each place, inner ones included.
    fn work_per_place(&self, order: &[PointId]) -> Vec<u64> {
        let mut work = vec![0u64; self.places.len()];
        for &id in order {
            if let Some(&place) = self.place_of.get(&id) {
                work[place] += weight(&self.lowering.points, id);
            }
        }
        for place in (1..work.len()).rev() {
            let parent = self.places[place].parent;
            if parent != place {
                work[parent] += work[place];
            }
        }
        work
    }

    /// Which nodes are asked for whatever the choices.
    fn find_certain(&mut self, order: &[PointId], roots: &[PointId]) {
        self.certain.clear();
        for &root in roots {
            self.certain.insert(root, true);
        }
        for &id in order.iter().rev() {
            if !self.is_certain(id) {
                continue;
            }
            if let Node::Choose(condition, ..) = *self.lowering.points.node(id) {
                self.certain.insert(condition, true);
            } else {
                let mut operands = Vec::new();
                self.lowering.points.operands(id, |operand| operands.push(operand));
                self.certain.extend(operands.into_iter().map(|operand| (operand, true)));
            }
        }
    }

    fn is_certain(&self, id: PointId) -> bool {
        self.certain.get(&id).copied().unwrap_or(false)
    }

    // ---- emission -----------------------------------------------------------------------------------------

    fn compute(&mut self, roots: &[PointId]) -> Result<()> {
        for id in self.lowering.points.reachable(roots) {
            if !self.values.contains_key(&id) {
                let place = self.place_of.get(&id).copied().unwrap_or(0);
                let value = self.node(id, place)?;
                self.values.insert(id, value);
            }
        }
        Ok(())
    }

    fn value(&self, id: PointId) -> ValueId {
        // `compute` ran for everything that is asked for; a missing one would be caught by `Code::verify`.
        self.values.get(&id).copied().unwrap_or(ValueId(u32::MAX))
    }

    fn node(&mut self, id: PointId, place: usize) -> Result<ValueId> {
        let ty = Type::Scalar(self.lowering.points.dtype(id));
        let node = self.lowering.points.node(id).clone();
        Ok(match node {
            Node::Const(..) => {
                let value = self.lowering.points.as_constant(id).unwrap_or(Scalar::I64(0));
                self.constant(place, value)
            }
            Node::Symbol(name, dtype) => self.symbol(place, name, dtype),
            Node::Coordinate(dim) => {
                let name = self.lowering.coordinate_symbol(dim);
                self.symbol(place, name, DType::I64)
            }
            // A parameter of the loop that is made around its uses.
            Node::Level(_) | Node::Carry(..) => self.new_value(ty),
            Node::Undefined(_) => self.push(place, ty, Op::Undef),
            Node::Beside(value, _) => self.value(value),
            Node::Replay(replay) => self.replay(place, id, &replay),
            Node::Component(replay, number, _) => {
                let state = self.replayed.get(&replay).and_then(|state| state.get(number as usize));
                state.copied().unwrap_or(ValueId(u32::MAX))
            }
            Node::Load { source, at, .. } => self.load(place, id, source, &at)?,
            Node::Neighbor(table, row, number) => self.neighbor(place, id, table, row, number)?,
            Node::Unary(op, a) => {
                let a = self.value(a);
                self.push(place, ty, Op::Unary(op, a))
            }
            Node::Binary(op, a, b) => {
                let divisor = self.divisor(place, id, op, b);
                let a = self.value(a);
                self.push(place, ty, Op::Binary(op, a, divisor))
            }
            Node::Cast(dtype, a) => {
                let a = self.value(a);
                self.push(place, ty, Op::Cast(dtype, a))
            }
            Node::Call(func, args) => {
                let args = args.iter().map(|&arg| self.value(arg)).collect();
                self.push(place, ty, Op::Call(func, args))
            }
            Node::Choose(condition, then, otherwise) => {
                let (c, a, b) = (self.value(condition), self.value(then), self.value(otherwise));
                match self.sides.get(&id).copied() {
                    None => self.push(place, ty, Op::Select(c, a, b)),
                    Some((then, otherwise)) => {
                        let then = self.side(then, a);
                        let otherwise = self.side(otherwise, b);
                        self.push(place, ty, Op::If { condition: c, then, otherwise })
                    }
                }
            }
        })
    }

    /// A loop over the levels of a scan, from the end of the column where it begins to a last one.
    fn replay(&mut self, place: usize, id: PointId, replay: &Replay) -> ValueId {
        let Some(Interval { start, stop }) = self.column else { return ValueId(u32::MAX) };
        let (first, _, step) = self.scan_range(place, start, stop, replay.forward);
        let last = self.value(replay.last());
        let body = self.replays.get(&id).copied().unwrap_or(place);
        let level = self.lowering.points.level(replay.scan);
        let mut own = vec![level];
        for (number, &init) in replay.init().iter().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let dtype = self.lowering.points.dtype(init);
            own.push(self.lowering.points.carry(replay.scan, number, dtype));
        }
        let params: Vec<ValueId> = own
            .iter()
            .map(|&point| match self.values.get(&point) {
                Some(&param) => param,
                // Nothing in the function asks for it.
                None => self.new_value(Type::Scalar(self.lowering.points.dtype(point))),
            })
            .collect();
        let mut carried = vec![first];
        carried.extend(replay.init().iter().map(|&init| self.value(init)));
        let mut results = vec![self.binary(body, BinaryOp::Add, Type::I64, params[0], step)];
        results.extend(replay.next().iter().map(|&next| self.value(next)));
        let insts = std::mem::take(&mut self.places[body].insts);
        let running = self.new_value(Type::BOOL);
        let compare = if replay.forward { BinaryOp::Le } else { BinaryOp::Ge };
        let test = Inst { op: Op::Binary(compare, params[0], last), results: vec![running] };
        let condition = Block { insts: vec![test], results: vec![running] };
        let ends: Vec<ValueId> =
            params.iter().map(|&param| self.new_value(self.body.code.types[param])).collect();
        self.replayed.insert(id, ends[1..].to_vec());
        let end = ends[0];
        let op = Op::Loop { carried, params, condition, body: Block { insts, results } };
        self.places[place].insts.push(Inst { op, results: ends });
        end
    }

    fn side(&mut self, place: usize, result: ValueId) -> Block {
        Block { insts: std::mem::take(&mut self.places[place].insts), results: vec![result] }
    }

    /// The right operand; where a division is not certainly asked for, a zero divisor becomes one.
    fn divisor(&mut self, place: usize, id: PointId, op: BinaryOp, b: PointId) -> ValueId {
        let value = self.value(b);
        let divides = matches!(op, BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod);
        let dtype = self.lowering.points.dtype(b);
        if !divides || !dtype.is_integral() || self.is_certain(id) {
            return value;
        }
        let zero = self.constant(place, crate::scalar::arith::cast(dtype, Scalar::I32(0)));
        let one = self.constant(place, crate::scalar::arith::cast(dtype, Scalar::I32(1)));
        let is_zero = self.push(place, Type::BOOL, Op::Binary(BinaryOp::Eq, value, zero));
        self.push(place, Type::Scalar(dtype), Op::Select(is_zero, one, value))
    }

    fn load(&mut self, place: usize, id: PointId, source: SourceId, at: &[PointId]) -> Result<ValueId> {
        let storage = self
            .storage
            .get(&source)
            .cloned()
            .ok_or_else(|| super::ill_typed("a field is read that nothing computes"))?;
        let dtype = self.lowering.points.dtype(id);
        if !self.in_scan
            && self.is_certain(id)
            && let Some(element) = self.affine_element(&storage, at)
        {
            return Ok(self.input(&storage.container, Access::Element(element), dtype));
        }
        let guarded = !self.is_certain(id);
        if guarded && self.lowering.environment.empty.contains(&storage.container) {
            return Ok(self.push(place, Type::Scalar(dtype), Op::Undef));
        }
        let rank = u8::try_from(storage.starts.len()).unwrap_or(u8::MAX);
        let kind = PortKind::Pointer { rank };
        let port = self.port(&storage.container, Access::Whole, dtype, kind);
        let mut indices = Vec::with_capacity(at.len());
        if at.is_empty() {
            indices.push(self.constant(place, Scalar::I64(0)));
        }
        for ((&at, &start), &extent) in at.iter().zip(&storage.starts).zip(&storage.shape) {
            let at = self.value(at);
            let index = self.relative(place, at, start);
            indices.push(if guarded { self.clamped(place, index, extent) } else { index });
        }
        Ok(self.push(place, Type::Scalar(dtype), Op::Load { port, indices }))
    }

    /// The element's indices as expressions, if they are.
    fn affine_element(&mut self, storage: &Storage, at: &[PointId]) -> Option<Vec<ExprId>> {
        if at.is_empty() {
            return Some(vec![self.lowering.out.exprs.int(0)]);
        }
        at.iter()
            .zip(&storage.starts)
            .map(|(&at, &start)| {
                let at = self.lowering.symbolic(at)?;
                Some(self.lowering.out.exprs.sub(at, start))
            })
            .collect()
    }

    fn neighbor(
        &mut self,
        place: usize,
        id: PointId,
        table: TableId,
        row: PointId,
        number: PointId,
    ) -> Result<ValueId> {
        let container = format!("gt_conn_{}", self.lowering.tables[table].name);
        let dtype = super::emit::TABLE_DTYPE;
        let entry = if !self.in_scan
            && self.is_certain(id)
            && let Some(row) = self.lowering.symbolic(row)
            && let Some(number) = self.lowering.symbolic(number)
        {
            self.input(&container, Access::Element(vec![row, number]), dtype)
        } else {
            let port = self.port(&container, Access::Whole, dtype, PortKind::Pointer { rank: 2 });
            let mut row = self.value(row);
            if !self.is_certain(id) {
                let rows = self.lowering.table_rows(table);
                row = self.clamped(place, row, rows);
            }
            let number = self.value(number);
            self.push(place, Type::Scalar(dtype), Op::Load { port, indices: vec![row, number] })
        };
        Ok(self.push(place, Type::I64, Op::Cast(DType::I64, entry)))
    }

    fn relative(&mut self, place: usize, at: ValueId, start: ExprId) -> ValueId {
        if self.lowering.out.exprs.as_int(start) == Some(0) {
            return at;
        }
        let start = self.expr(place, start);
        self.binary(place, BinaryOp::Sub, Type::I64, at, start)
    }

    fn clamped(&mut self, place: usize, index: ValueId, extent: ExprId) -> ValueId {
        let extent = self.expr(place, extent);
        let one = self.constant(place, Scalar::I64(1));
        let zero = self.constant(place, Scalar::I64(0));
        let last = self.binary(place, BinaryOp::Sub, Type::I64, extent, one);
        let below = self.binary(place, BinaryOp::Min, Type::I64, index, last);
        self.binary(place, BinaryOp::Max, Type::I64, below, zero)
    }

    /// The value of a size or bound.
    fn expr(&mut self, place: usize, expr: ExprId) -> ValueId {
        if let Some(value) = self.lowering.out.exprs.as_int(expr) {
            return self.constant(place, Scalar::I64(value));
        }
        let name = self.lowering.bound_symbol(expr);
        let dtype = self.lowering.symbol_dtype(name);
        let value = self.symbol(place, name, dtype);
        if dtype == DType::I64 {
            return value;
        }
        self.push(place, Type::I64, Op::Cast(DType::I64, value))
    }

    fn input(&mut self, container: &str, access: Access, dtype: DType) -> ValueId {
        let known = self.ports.contains_key(&(container.to_owned(), access.clone()));
        let port = self.port(container, access, dtype, PortKind::Value);
        if !known {
            let value = self.new_value(Type::Scalar(dtype));
            self.places[0].insts.push(Inst { op: Op::Input(port), results: vec![value] });
            self.input_values.insert(port, value);
        }
        self.input_values.get(&port).copied().unwrap_or(ValueId(u32::MAX))
    }

    fn port(&mut self, container: &str, access: Access, dtype: DType, kind: PortKind) -> PortId {
        let key = (container.to_owned(), access.clone());
        if let Some(&port) = self.ports.get(&key) {
            return port;
        }
        let name = self.lowering.connector("in", self.ports.len());
        let port = self.body.code.ports.push(Port {
            name,
            ty: Type::Scalar(dtype),
            kind,
            reads: true,
            writes: false,
        });
        self.body.reads.push((name, container.to_owned(), access));
        self.ports.insert(key, port);
        port
    }

    fn symbol(&mut self, place: usize, name: Name, dtype: DType) -> ValueId {
        let number = match self.symbols.get(&name) {
            Some(&number) => number,
            None => {
                let number = u32::try_from(self.body.code.symbols.len()).unwrap_or(u32::MAX);
                self.body.code.symbols.push((name, dtype));
                self.symbols.insert(name, number);
                number
            }
        };
        self.push(place, Type::Scalar(dtype), Op::Symbol(number))
    }

    fn constant(&mut self, place: usize, value: Scalar) -> ValueId {
        self.push(place, Type::Scalar(value.dtype()), Op::Const(value))
    }

    fn binary(&mut self, place: usize, op: BinaryOp, ty: Type, a: ValueId, b: ValueId) -> ValueId {
        self.push(place, ty, Op::Binary(op, a, b))
    }

    fn push(&mut self, place: usize, ty: Type, op: Op) -> ValueId {
        let value = self.new_value(ty);
        self.places[place].insts.push(Inst { op, results: vec![value] });
        value
    }

    fn effect(&mut self, place: usize, op: Op) {
        self.places[place].insts.push(Inst { op, results: Vec::new() });
    }

    fn new_value(&mut self, ty: Type) -> ValueId {
        self.body.code.types.push(ty)
    }
}

/// What a scan's tasklet does.
pub(super) struct ScanBody<'s> {
    /// State before the first level.
    pub init: &'s [PointId],
    /// State after a level.
    pub next: &'s [PointId],
    /// Where each component of the state is stored, per level.
    pub outputs: &'s [Vec<LevelWrite>],
    /// Upwards in the index.
    pub forward: bool,
    /// Which carry and level the expressions mention.
    pub number: u32,
    /// First level of the range.
    pub start: ExprId,
    /// One past the last.
    pub stop: ExprId,
}

/// One array that a component of a scan's state is stored to.
pub(super) struct LevelWrite {
    /// Output connector.
    pub port: Name,
    /// Coordinates, one per dimension of the array.
    pub at: Vec<PointId>,
    /// Coordinate of element 0, per dimension.
    pub starts: Vec<ExprId>,
    /// Element type of the array.
    pub dtype: DType,
}
