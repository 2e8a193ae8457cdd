//! When each container of a graph gets its memory, and how much.
//!
//! A transient is taken when the innermost scope around all its uses is entered: a map scope, a state, or the
//! graph, which is the scope of what several states or control flow use. A container whose size depends on a
//! symbol that its own graph assigns is taken by the states that use it, from the instance, so that its
//! content survives from one state to the next.

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};
use indexmap::{IndexMap, IndexSet};

use crate::analysis::ScopeTree;
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{
    Array, BlockId, BlockKind, CodeExpr, Data, DataKind, Graph, Lifetime, NodeId, NodeKind, Program,
};
use crate::scalar::{BinaryOp, DType, Type};
use crate::symbolic::ExprId;

use crate::kernel::{BufferId, BufferKind, Literal, TrapKind, ValueId};

use super::container::{Container, Memory, is_one_element};
use super::{ArrayArgument, Lowerer, Lowering};

/// Where the containers of a graph are used.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Taken when the graph is entered.
    pub at_entry: Vec<Name>,
    /// Taken when a state or a scope of it is entered.
    pub in_scope: HashMap<(BlockId, Option<NodeId>), Vec<Name>>,
    /// Looked at again when a state is entered.
    pub late: HashMap<BlockId, Vec<Name>>,
    /// Cleared when taken.
    pub setzero: HashSet<Name>,
    /// Symbols that control flow assigns.
    pub assigned: IndexSet<Name>,
    /// Containers that some node may write.
    pub written: HashSet<Name>,
}

impl Uses {
    pub fn of(program: &Program, graph: &Graph) -> Result<Uses, Diagnostic> {
        let mut uses = Uses { assigned: assigned_symbols(graph), ..Uses::default() };
        let mut places: IndexMap<Name, Vec<(BlockId, Option<NodeId>)>> = IndexMap::new();
        let mut trees = HashMap::new();
        for (id, state) in graph.states() {
            let tree = ScopeTree::of(state)?;
            for (node, data) in state.live_nodes() {
                let NodeKind::Access { data, setzero } = data.kind else { continue };
                let root = root_container(program, graph, data);
                places.entry(root).or_default().push((id, tree.parent(node)));
                if setzero {
                    uses.setzero.insert(root);
                }
            }
            for (_, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed && !edge.memlet.is_empty()) {
                if let Some(NodeKind::Access { data, .. }) = state.nodes.get(edge.dst).map(|node| &node.kind)
                {
                    uses.written.insert(root_container(program, graph, *data));
                }
            }
            trees.insert(id, tree);
        }
        let by_control = read_by_control_flow(graph);
        for (&name, data) in graph.data.iter().filter(|(_, data)| data.transient) {
            let Some(places) = places.get(&name) else {
                if by_control.contains(&name) {
                    uses.at_entry.push(name);
                }
                continue;
            };
            let late = layout_exprs(data).iter().any(|&expr| {
                program.exprs.free_symbols(expr).iter().any(|name| uses.assigned.contains(name))
            });
            let mut states: Vec<BlockId> = places.iter().map(|&(state, _)| state).collect();
            states.sort_unstable();
            states.dedup();
            let one_state = states.len() == 1 && !by_control.contains(&name);
            match (data.lifetime, places.first()) {
                (Lifetime::Scope, Some(&(state, _))) if one_state => {
                    let scope = trees.get(&state).and_then(|tree| common_scope(tree, places));
                    uses.in_scope.entry((state, scope)).or_default().push(name);
                }
                (Lifetime::State, _) if !late => {
                    for state in states {
                        uses.in_scope.entry((state, None)).or_default().push(name);
                    }
                }
                _ if late => {
                    for state in states {
                        uses.late.entry(state).or_default().push(name);
                    }
                }
                _ => uses.at_entry.push(name),
            }
        }
        Ok(uses)
    }
}

/// Symbols that interstate edges and loops of a graph assign.
fn assigned_symbols(graph: &Graph) -> IndexSet<Name> {
    let mut assigned = IndexSet::new();
    for region in graph.regions.values() {
        for edge in &region.edges {
            assigned.extend(edge.assignments.iter().map(|(name, _)| *name));
        }
    }
    for block in graph.blocks.values() {
        if let BlockKind::Loop(inner) = &block.kind {
            assigned.extend(inner.variable);
            for statement in inner.init.iter().chain(&inner.update) {
                assigned.extend(statement.target);
            }
        }
    }
    assigned
}

/// The container that `structure.member` belongs to.
fn root_container(program: &Program, graph: &Graph, name: Name) -> Name {
    if graph.data.contains_key(&name) {
        return name;
    }
    let root = program.names.get(name).split('.').next().and_then(|root| program.names.lookup(root));
    root.unwrap_or(name)
}

/// The innermost scope around all places.
fn common_scope(tree: &ScopeTree, places: &[(BlockId, Option<NodeId>)]) -> Option<NodeId> {
    let mut common: Option<Vec<NodeId>> = None;
    for &(_, scope) in places {
        let mut around: Vec<NodeId> =
            scope.into_iter().chain(scope.into_iter().flat_map(|entry| tree.enclosing(entry))).collect();
        around.reverse();
        common = Some(match common {
            None => around,
            Some(known) => {
                known.into_iter().zip(around).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
            }
        });
    }
    common.and_then(|scopes| scopes.last().copied())
}

fn read_by_control_flow(graph: &Graph) -> HashSet<Name> {
    let mut read = HashSet::new();
    let mut add = |expr: &CodeExpr| {
        if let Some(code) = &expr.code {
            read.extend(code.ports.values().map(|port| port.name));
        }
    };
    for region in graph.regions.values() {
        for edge in &region.edges {
            edge.condition.iter().for_each(&mut add);
            edge.assignments.iter().for_each(|(_, value)| add(value));
        }
    }
    for block in graph.blocks.values() {
        match &block.kind {
            BlockKind::Loop(inner) => {
                add(&inner.condition);
                inner.init.iter().chain(&inner.update).for_each(&mut add);
            }
            BlockKind::Conditional(branches) => {
                branches.iter().filter_map(|branch| branch.condition.as_ref()).for_each(&mut add);
            }
            _ => {}
        }
    }
    read
}

fn layout_exprs(data: &Data) -> Vec<ExprId> {
    let mut exprs = data.shape().to_vec();
    if let Some(array) = data.array() {
        exprs.extend(array.strides.iter().chain(&array.offset));
        exprs.extend(array.total_size.iter().chain(&array.start_offset));
    }
    exprs
}

/// An array's layout as values, in elements.
pub(super) struct Layout {
    pub shape: Rc<[ValueId]>,
    pub strides: Rc<[ValueId]>,
    pub offset: Rc<[ValueId]>,
    pub start: ValueId,
    /// Elements from the one with all indices zero to the last one, inclusive; not positive if there are none.
    pub reach: ValueId,
    /// Elements declared.
    pub total: Option<ValueId>,
}

/// No array has more elements.
const MOST_ELEMENTS: i64 = 1 << 46;

impl Lowerer<'_> {
    /// Evaluates a layout and checks that it is sane: no negative extents, no overflow.
    pub fn layout(&mut self, array: &Array, text: &str) -> Lowering<Layout> {
        let shape = self.ints(&array.shape)?;
        let strides = self.ints(&array.strides)?;
        let offset = if array.offset.iter().all(|&o| self.program.exprs.as_int(o) == Some(0)) {
            Vec::new()
        } else {
            self.ints(&array.offset)?
        };
        let start = match array.start_offset {
            Some(start) => self.int(start)?,
            None => self.b.int(0),
        };
        let total = match array.total_size {
            Some(total) => Some(self.int(total)?),
            None => None,
        };
        if strides.len() != shape.len() {
            return self
                .invalid("P0102", format!("`{text}` has {} strides for {}", strides.len(), shape.len()));
        }
        let one = self.b.int(1);
        let mut reach = one;
        for (&extent, &stride) in shape.iter().zip(&strides) {
            let steps = self.b.sub(extent, one);
            let span = self.b.mul(steps, stride);
            reach = self.b.add(reach, span);
        }
        self.check_layout(&shape, &strides, start, text)?;
        Ok(Layout {
            shape: shape.into(),
            strides: strides.into(),
            offset: offset.into(),
            start,
            reach,
            total,
        })
    }

    fn check_layout(
        &mut self,
        shape: &[ValueId],
        strides: &[ValueId],
        start: ValueId,
        text: &str,
    ) -> Lowering<()> {
        let mut fine = self.b.bool(true);
        let zero = self.b.int(0);
        for &number in shape.iter().chain(strides).chain([&start]) {
            let positive = self.b.binary(BinaryOp::Ge, number, zero);
            fine = self.b.and(fine, positive);
        }
        let literals: Vec<Option<i64>> =
            shape.iter().chain(strides).chain([&start]).map(|&v| self.b.as_int(v)).collect();
        let all_small = literals.iter().all(|v| v.is_some_and(|v| v < MOST_ELEMENTS));
        let product = shape.iter().zip(strides).try_fold(0f64, |sum, (&extent, &stride)| {
            Some(sum + self.b.as_int(extent)? as f64 * self.b.as_int(stride)? as f64)
        });
        if !(all_small && product.is_some_and(|sum| sum < MOST_ELEMENTS as f64)) {
            let mut sum = self.b.cast(DType::F64, start);
            for (&extent, &stride) in shape.iter().zip(strides) {
                let (extent, stride) = (self.b.cast(DType::F64, extent), self.b.cast(DType::F64, stride));
                let span = self.b.binary(BinaryOp::Mul, extent, stride);
                sum = self.b.binary(BinaryOp::Add, sum, span);
            }
            for &extent in shape {
                let extent = self.b.cast(DType::F64, extent);
                sum = self.b.binary(BinaryOp::Add, sum, extent);
            }
            let most = self.b.constant(Literal { ty: DType::F64, bits: (MOST_ELEMENTS as f64).to_bits() });
            let small = self.b.binary(BinaryOp::Lt, sum, most);
            fine = self.b.and(fine, small);
        }
        let trap = self.trap(TrapKind::BadShape, format!("`{text}` has an impossible shape"));
        let depth = self.b.depth_of(fine);
        if self.b.as_int(fine) != Some(1) && self.b.note_check(fine, depth) {
            self.b.push_at(crate::kernel::Stmt::Check(fine, trap), depth);
        }
        Ok(())
    }

    /// A value of elements in bytes.
    pub fn in_bytes(&mut self, elements: ValueId, ty: Type) -> ValueId {
        let unit = self.b.int(ty.bytes(&self.program.structs) as i64);
        self.b.mul(elements, unit)
    }

    /// Memory of that layout in a buffer, `start` elements behind `address`, of which `bytes` are available.
    pub fn memory(
        &mut self,
        buffer: BufferId,
        address: ValueId,
        ty: Type,
        layout: &Layout,
        bytes: ValueId,
    ) -> Memory {
        let skipped = self.in_bytes(layout.start, ty);
        let base = self.b.add(address, skipped);
        let left = self.b.sub(bytes, skipped);
        Memory {
            buffer,
            base,
            ty,
            shape: Rc::clone(&layout.shape),
            strides: Rc::clone(&layout.strides),
            offset: Rc::clone(&layout.offset),
            bytes: left,
        }
    }

    /// Takes a transient in the innermost list and gives it its name.
    pub fn allocate(&mut self, name: Name, late: bool) -> Lowering<()> {
        let graph = self.cx.graph;
        let Some(data) = graph.data.get(&name) else { return Ok(()) };
        // A compile-time constant that is also declared as a container is the constant.
        if graph.constants.contains_key(&name) && self.constants.contains_key(&name) {
            return Ok(());
        }
        let text = self.text(name);
        let persists = matches!(data.lifetime, Lifetime::Persistent | Lifetime::External);
        if is_one_element(self.program, data)
            && !self.in_memory.contains(&(self.cx.id, name))
            && !persists
            && !late
        {
            return self.register(name, data);
        }
        let array = match &data.kind {
            DataKind::Array(array) => array.clone(),
            DataKind::Scalar(_) => Array::default(),
            // Views are aimed by their edges; the others are met when they are used.
            _ => return Ok(()),
        };
        let layout = self.layout(&array, text)?;
        let mut elements = self.b.add(layout.reach, layout.start);
        if let Some(total) = layout.total {
            elements = match (self.b.as_int(elements), self.b.as_int(total)) {
                _ if elements == total => total,
                _ => self.b.binary(BinaryOp::Max, elements, total),
            };
            // A declared size may be absurd where the shape is not.
            let most = self.b.int(MOST_ELEMENTS);
            let small = self.b.binary(BinaryOp::Le, total, most);
            let trap = self.trap(TrapKind::BadShape, format!("`{text}` has an impossible size"));
            let depth = self.b.depth_of(small);
            if self.b.as_int(small) != Some(1) && self.b.note_check(small, depth) {
                self.b.push_at(crate::kernel::Stmt::Check(small, trap), depth);
            }
        }
        let bytes = self.in_bytes(elements, data.ty);
        let kind = if persists || late {
            self.persistent += 1;
            BufferKind::Persistent(self.persistent - 1)
        } else {
            BufferKind::Scratch
        };
        let known = match (late, self.late_buffers.get(&(self.cx.id, name))) {
            (true, Some(&buffer)) => Some(buffer),
            _ => None,
        };
        let buffer = match known {
            Some(buffer) => {
                self.persistent -= 1;
                buffer
            }
            None => self.b.buffer(text, kind),
        };
        if late {
            self.late_buffers.insert((self.cx.id, name), buffer);
        }
        let zero = self.cx.uses.setzero.contains(&name);
        let trap = self.trap(TrapKind::Allocation, format!("no memory for `{text}`"));
        let address = self.b.alloc(buffer, bytes, zero, trap);
        let memory = self.memory(buffer, address, data.ty, &layout, bytes);
        self.cx.data.insert(name, Container::Memory(memory));
        Ok(())
    }

    /// A container of one element in variables that start as zero.
    fn register(&mut self, name: Name, data: &Data) -> Lowering<()> {
        let leaves = self.leaves(data.ty)?;
        let text = self.text(name);
        let mut variables = Vec::with_capacity(leaves.len());
        for (ty, _) in leaves {
            let variable = self.b.variable(text, ty);
            let zero = self.zero(ty);
            self.b.set(variable, zero);
            variables.push(variable);
        }
        let container =
            Container::Register { ty: data.ty, variables: variables.into(), rank: data.shape().len() };
        self.cx.data.insert(name, container);
        Ok(())
    }

    /// Takes the transients of a scope.
    pub fn allocate_scope(&mut self, state: BlockId, scope: Option<NodeId>) -> Lowering<()> {
        let uses = Rc::clone(&self.cx.uses);
        for &name in uses.in_scope.get(&(state, scope)).into_iter().flatten() {
            self.allocate(name, false)?;
        }
        if scope.is_none() {
            for &name in uses.late.get(&state).into_iter().flatten() {
                self.allocate(name, true)?;
            }
        }
        Ok(())
    }

    /// Whether entering the state takes memory (and not only variables).
    pub fn takes_memory(&self, state: BlockId) -> bool {
        let graph = self.cx.graph;
        self.cx.uses.in_scope.get(&(state, None)).is_some_and(|names| {
            names.iter().any(|name| {
                self.in_memory.contains(&(self.cx.id, *name))
                    || graph.data.get(name).is_some_and(|data| !is_one_element(self.program, data))
            })
        })
    }

    /// Binds the arguments of the outermost graph.
    pub fn arguments(&mut self) -> Lowering<Vec<ArrayArgument>> {
        let graph = self.cx.graph;
        let mut arguments = Vec::new();
        for (&name, data) in graph.data.iter().filter(|(_, data)| !data.transient) {
            let (array, scalar) = match &data.kind {
                DataKind::Array(array) => (array.clone(), false),
                DataKind::Scalar(_) => (Array::default(), true),
                _ => continue,
            };
            let Ok(leaves) = super::container::leaves(data.ty, &self.program.structs) else { continue };
            let index = arguments.len() as u32;
            let text = self.text(name);
            let written = self.cx.uses.written.contains(&name);
            let buffer = self.b.buffer(text, BufferKind::Argument(index));
            let base = self.b.value(crate::kernel::Op::Base(buffer), DType::I64);
            arguments.push(ArrayArgument {
                name,
                ty: data.ty,
                scalar,
                shape: array.shape.clone(),
                strides: array.strides.clone(),
                start_offset: array.start_offset,
                total_size: array.total_size,
                optional: array.optional == Some(true),
                written,
            });
            let container = if scalar {
                let mut values = Vec::with_capacity(leaves.len());
                for &(ty, offset) in &leaves {
                    let op = crate::kernel::Op::Load { buffer, address: base, displacement: offset, ty };
                    values.push(self.b.value(op, ty));
                }
                if written {
                    let mut variables = Vec::with_capacity(leaves.len());
                    for (&(ty, _), &value) in leaves.iter().zip(&values) {
                        let variable = self.b.variable(text, ty);
                        self.b.set(variable, value);
                        variables.push(variable);
                    }
                    Container::Register { ty: data.ty, variables: variables.into(), rank: 0 }
                } else {
                    Container::Fixed { ty: data.ty, values: values.into(), rank: 0 }
                }
            } else {
                // The caller sees to it that memory of this layout is there.
                let mut layout = self.layout(&array, text)?;
                layout.start = self.b.int(0);
                let bytes = self.in_bytes(layout.reach, data.ty);
                Container::Memory(self.memory(buffer, base, data.ty, &layout, bytes))
            };
            let container = match container {
                // Somebody needs its address: a copy in memory that is written back.
                Container::Register { .. } | Container::Fixed { .. }
                    if self.in_memory.contains(&(self.cx.id, name)) =>
                {
                    let bytes = self.b.int(data.ty.bytes(&self.program.structs) as i64);
                    Container::Memory(Memory {
                        buffer,
                        base,
                        ty: data.ty,
                        shape: Rc::new([]),
                        strides: Rc::new([]),
                        offset: Rc::new([]),
                        bytes,
                    })
                }
                other => other,
            };
            self.cx.data.insert(name, container);
        }
        Ok(arguments)
    }

    /// Binds the compile-time constants of a graph.
    pub fn constants(&mut self, graph: &crate::ir::Graph) -> Lowering<()> {
        for (&name, constant) in &graph.constants {
            if graph.data.contains_key(&name) {
                return self.unsupported("a constant that hides a container");
            }
            let Ok(leaves) = super::container::leaves(constant.data.ty, &self.program.structs) else {
                continue;
            };
            let container = match (&constant.data.kind, constant.values.as_slice()) {
                (DataKind::Scalar(_), [value]) => {
                    let values = self.number(*value);
                    Container::Fixed { ty: constant.data.ty, values: values.into(), rank: 0 }
                }
                (DataKind::Array(array), values) if leaves.len() <= 2 => {
                    let mut bytes = Vec::new();
                    for &value in values {
                        push_bytes(&mut bytes, value);
                    }
                    let elements = values.len();
                    let buffer = self.b.buffer(self.text(name), BufferKind::Constant(bytes));
                    let address = self.b.value(crate::kernel::Op::Base(buffer), DType::I64);
                    let mut array = array.clone();
                    // Elements are stored in row-major order whatever the strides say.
                    array.offset.clear();
                    array.start_offset = None;
                    let shape = self.ints(&array.shape)?;
                    let mut strides = vec![self.b.int(1); shape.len()];
                    for dim in (1..shape.len()).rev() {
                        strides[dim - 1] = self.b.mul(strides[dim], shape[dim]);
                    }
                    let size = shape.iter().try_fold(1i64, |size, &v| size.checked_mul(self.b.as_int(v)?));
                    if size != Some(elements as i64) {
                        return self
                            .unsupported(format!("the constant `{}` with an odd shape", self.text(name)));
                    }
                    let available =
                        self.b.int((elements * constant.data.ty.bytes(&self.program.structs)) as i64);
                    Container::Memory(Memory {
                        buffer,
                        base: address,
                        ty: constant.data.ty,
                        shape: shape.into(),
                        strides: strides.into(),
                        offset: Rc::new([]),
                        bytes: available,
                    })
                }
                _ => continue,
            };
            self.constants.insert(name, container);
        }
        Ok(())
    }
}

fn push_bytes(bytes: &mut Vec<u8>, value: crate::scalar::Scalar) {
    use crate::scalar::Scalar;
    match value {
        Scalar::C64(z) => {
            bytes.extend(z.re.to_le_bytes());
            bytes.extend(z.im.to_le_bytes());
        }
        Scalar::C128(z) => {
            bytes.extend(z.re.to_le_bytes());
            bytes.extend(z.im.to_le_bytes());
        }
        other => {
            if let Some(literal) = Literal::from_scalar(other) {
                bytes.extend(&literal.bits.to_le_bytes()[..literal.ty.bytes()]);
            }
        }
    }
}
