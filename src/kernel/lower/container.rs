//! Containers as places: memory, variables, or values.

use std::rc::Rc;

use hashbrown::HashSet;

use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::{Data, DataKind, Graph, GraphId, Lifetime, NodeKind, Program};
use crate::scalar::{DType, StructTable, Type};

use crate::kernel::{BufferId, Op, Stmt, TrapKind, ValueId, VarId};

use super::stream::Stream;
use super::{Lowerer, Lowering};

/// Where a container's elements are.
#[derive(Clone, Debug)]
pub(super) enum Container {
    Memory(Memory),
    /// One element in variables, one per leaf.
    Register {
        ty: Type,
        variables: Rc<[VarId]>,
        rank: usize,
    },
    /// One element that nobody writes, one value per leaf.
    Fixed {
        ty: Type,
        values: Rc<[ValueId]>,
        rank: usize,
    },
    /// Queues.
    Stream(Stream),
}

/// Elements in memory.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub buffer: BufferId,
    /// Address of the element with all indices zero.
    pub base: ValueId,
    pub ty: Type,
    /// Extent per dimension.
    pub shape: Rc<[ValueId]>,
    /// Distance per dimension, in elements.
    pub strides: Rc<[ValueId]>,
    /// Added to each index; empty means zeros.
    pub offset: Rc<[ValueId]>,
    /// Bytes from `base` that belong to the buffer.
    pub bytes: ValueId,
}

/// One element, found.
#[derive(Clone, Debug)]
pub(super) enum Element {
    Memory { buffer: BufferId, address: ValueId, displacement: i64, ty: Type },
    Register { ty: Type, variables: Rc<[VarId]> },
    Fixed { ty: Type, values: Rc<[ValueId]> },
}

impl Container {
    pub fn ty(&self) -> Type {
        match self {
            Container::Memory(memory) => memory.ty,
            Container::Stream(stream) => stream.ty,
            Container::Register { ty, .. } | Container::Fixed { ty, .. } => *ty,
        }
    }

    pub fn rank(&self) -> usize {
        match self {
            Container::Memory(memory) => memory.shape.len(),
            Container::Stream(stream) => stream.shape.len(),
            Container::Register { rank, .. } | Container::Fixed { rank, .. } => *rank,
        }
    }
}

impl Element {
    pub fn ty(&self) -> Type {
        match self {
            Element::Memory { ty, .. } | Element::Register { ty, .. } | Element::Fixed { ty, .. } => *ty,
        }
    }
}

/// The numbers an element consists of: type and byte offset. A complex number is two.
pub(super) fn leaves(ty: Type, structs: &StructTable) -> Result<Vec<(DType, i64)>, Diagnostic> {
    let mut found = Vec::new();
    add_leaves(ty, 0, structs, &mut found, 0)?;
    Ok(found)
}

/// More leaves than this are no element but an array.
const MOST_LEAVES: usize = 256;

fn add_leaves(
    ty: Type,
    at: i64,
    structs: &StructTable,
    found: &mut Vec<(DType, i64)>,
    depth: usize,
) -> Result<(), Diagnostic> {
    if depth > 16 || found.len() > MOST_LEAVES {
        return Err(Diagnostic::error("P0710", "an element type with too many parts"));
    }
    match ty {
        Type::Scalar(DType::C64) => found.extend([(DType::F32, at), (DType::F32, at + 4)]),
        Type::Scalar(DType::C128) => found.extend([(DType::F64, at), (DType::F64, at + 8)]),
        Type::Scalar(dtype) => found.push((dtype, at)),
        Type::Vector(dtype, lanes) => {
            for lane in 0..i64::from(lanes) {
                add_leaves(Type::Scalar(dtype), at + lane * dtype.bytes() as i64, structs, found, depth + 1)?;
            }
        }
        Type::Struct(id) => {
            let fields = structs.get(id).map(|def| def.fields.as_slice()).unwrap_or_default();
            for field in fields {
                add_leaves(field.ty, at + field.offset as i64, structs, found, depth + 1)?;
            }
        }
        Type::Opaque(_) => {
            return Err(Diagnostic::error("P0710", "an element that Pelton cannot compute with"));
        }
    }
    Ok(())
}

impl Lowerer<'_> {
    /// The container behind a name.
    pub fn container(&self, name: Name) -> Option<Container> {
        self.cx.data.get(&name).or_else(|| self.constants.get(&name)).cloned()
    }

    /// The container behind a name, or the reason why there is none.
    pub fn needed_container(&mut self, name: Name) -> Lowering<Container> {
        match self.container(name) {
            Some(container) => Ok(container),
            None => {
                let text = self.text(name);
                let graph = self.cx.graph;
                match graph.data.get(&name).map(|data| &data.kind) {
                    Some(DataKind::Reference(array)) => {
                        let ty = graph.data[&name].ty;
                        self.dereference(name, ty, array)
                    }
                    Some(DataKind::Stream(_)) => self.unsupported(format!("the stream `{text}`")),
                    Some(DataKind::Array(_) | DataKind::Scalar(_)) => {
                        self.unsupported(format!("`{text}`, whose memory is not known here"))
                    }
                    Some(_) => self.unsupported(format!("the structure, view or reference `{text}`")),
                    None if text.contains('.') => self.unsupported(format!("the structure member `{text}`")),
                    None => self.invalid("P0102", format!("there is no container `{text}`")),
                }
            }
        }
    }

    pub fn leaves(&self, ty: Type) -> Lowering<Vec<(DType, i64)>> {
        match leaves(ty, &self.program.structs) {
            Ok(leaves) => Ok(leaves),
            Err(diagnostic) => self.unsupported(diagnostic.message),
        }
    }

    /// The element of a container at the indices, which are checked. `text` names the access.
    pub fn element(&mut self, container: &Container, indices: &[ValueId], text: &str) -> Lowering<Element> {
        if container.rank() != indices.len() {
            return self.unsupported(format!(
                "`{text}` with {} indices for {}",
                indices.len(),
                container.rank()
            ));
        }
        let trap = self.trap(TrapKind::OutOfRange, format!("`{text}` is out of range"));
        match container {
            Container::Stream(_) => self.stream_as_memory(text),
            Container::Register { ty, variables, .. } => {
                let one = self.b.int(1);
                for &index in indices {
                    self.check_index(index, one, trap)?;
                }
                Ok(Element::Register { ty: *ty, variables: Rc::clone(variables) })
            }
            Container::Fixed { ty, values, .. } => {
                let one = self.b.int(1);
                for &index in indices {
                    self.check_index(index, one, trap)?;
                }
                Ok(Element::Fixed { ty: *ty, values: Rc::clone(values) })
            }
            Container::Memory(memory) => {
                let mut shifted = Vec::with_capacity(indices.len());
                for (dim, &index) in indices.iter().enumerate() {
                    let index = match memory.offset.get(dim) {
                        Some(&offset) => self.b.add(index, offset),
                        None => index,
                    };
                    self.check_index(index, memory.shape[dim], trap)?;
                    shifted.push(index);
                }
                Ok(self.place(memory, &shifted))
            }
        }
    }

    /// Something reaches for elements of a stream as if they lay in memory.
    pub fn stream_as_memory<T>(&self, text: &str) -> Lowering<T> {
        self.unsupported(format!("the stream `{text}` as memory"))
    }

    /// The element at indices that are known to be in range (offsets added).
    pub fn place(&mut self, memory: &Memory, indices: &[ValueId]) -> Element {
        if self.absent.contains(&memory.buffer) {
            let never = self.b.bool(false);
            let trap = self.trap(TrapKind::OutOfRange, "an argument that is absent is needed");
            self.b.check(never, trap);
        }
        let bytes = memory.ty.bytes(&self.program.structs) as i64;
        let mut terms = vec![memory.base];
        let mut displacement = 0i64;
        for (&index, &stride) in indices.iter().zip(memory.strides.iter()) {
            let linear = self.b.linear(index);
            let unit = self.b.int(bytes);
            let step = self.b.mul(stride, unit);
            match self.b.as_int(step) {
                Some(step) => displacement = displacement.wrapping_add(linear.constant.wrapping_mul(step)),
                None => {
                    let constant = self.b.int(linear.constant);
                    let term = self.b.mul(step, constant);
                    terms.push(term);
                }
            }
            for &(atom, factor) in &linear.terms {
                let factor = self.b.int(factor);
                let scaled = self.b.mul(step, factor);
                terms.push(self.b.mul(atom, scaled));
            }
        }
        let address = self.b.sum(terms);
        Element::Memory { buffer: memory.buffer, address, displacement, ty: memory.ty }
    }

    /// The numbers of the element at the indices.
    pub fn read_element(
        &mut self,
        container: &Container,
        indices: &[ValueId],
        text: &str,
    ) -> Lowering<Vec<ValueId>> {
        let element = self.element(container, indices, text)?;
        self.load(&element)
    }

    /// The numbers of an element.
    pub fn load(&mut self, element: &Element) -> Lowering<Vec<ValueId>> {
        match element {
            Element::Fixed { values, .. } => Ok(values.to_vec()),
            Element::Register { variables, .. } => {
                Ok(variables.iter().map(|&variable| self.b.get(variable)).collect())
            }
            Element::Memory { buffer, address, displacement, ty } => {
                let leaves = self.leaves(*ty)?;
                Ok(leaves
                    .into_iter()
                    .map(|(ty, offset)| {
                        let displacement = displacement.wrapping_add(offset);
                        self.b.value(Op::Load { buffer: *buffer, address: *address, displacement, ty }, ty)
                    })
                    .collect())
            }
        }
    }

    /// Writes the numbers of an element; they have its types.
    pub fn store(&mut self, element: &Element, values: &[ValueId]) -> Lowering<()> {
        match element {
            Element::Fixed { .. } => self.unsupported("a write to a constant"),
            Element::Register { variables, .. } => {
                for (&variable, &value) in variables.iter().zip(values) {
                    self.b.set(variable, value);
                }
                Ok(())
            }
            Element::Memory { buffer, address, displacement, ty } => {
                let leaves = self.leaves(*ty)?;
                for ((_, offset), &value) in leaves.into_iter().zip(values) {
                    let displacement = displacement.wrapping_add(offset);
                    self.b.push(Stmt::Store { buffer: *buffer, address: *address, displacement, value });
                }
                Ok(())
            }
        }
    }

    /// Numbers converted to the leaves of another element type.
    pub fn convert(&mut self, values: &[ValueId], from: Type, to: Type) -> Lowering<Vec<ValueId>> {
        if from == to {
            return Ok(values.to_vec());
        }
        match (from, to) {
            (Type::Scalar(from), Type::Scalar(to)) => Ok(self.convert_number(values, from, to)),
            (Type::Vector(from, n), Type::Vector(to, m)) if n == m => {
                let width = if from.is_complex() { 2 } else { 1 };
                let mut result = Vec::new();
                for lane in values.chunks(width) {
                    result.extend(self.convert_number(lane, from, to));
                }
                Ok(result)
            }
            (Type::Scalar(from), Type::Vector(to, lanes)) => {
                let one = self.convert_number(values, from, to);
                Ok(std::iter::repeat_n(one, lanes.into()).flatten().collect())
            }
            (Type::Vector(from, 1), Type::Scalar(to)) => Ok(self.convert_number(values, from, to)),
            _ => self.unsupported("a conversion between records, or of a vector to a number"),
        }
    }

    /// A number (one value, or two for a complex one) as another type.
    pub fn convert_number(&mut self, values: &[ValueId], from: DType, to: DType) -> Vec<ValueId> {
        if from == to {
            return values.to_vec();
        }
        let part = |dtype: DType| match dtype {
            DType::C64 => DType::F32,
            DType::C128 => DType::F64,
            other => other,
        };
        if to == DType::Bool && from.is_complex() {
            let parts: Vec<ValueId> = values.iter().map(|&value| self.b.cast(DType::Bool, value)).collect();
            let any = parts.into_iter().reduce(|a, b| self.b.or(a, b));
            return any.into_iter().collect();
        }
        let Some(&real) = values.first() else { return Vec::new() };
        let target = part(to);
        let real = self.b.cast(target, real);
        if !to.is_complex() {
            return vec![real];
        }
        let imaginary = match values.get(1) {
            Some(&imaginary) if from.is_complex() => self.b.cast(target, imaginary),
            _ => self.zero(target),
        };
        vec![real, imaginary]
    }

    /// Zero of a kernel type.
    pub fn zero(&mut self, ty: DType) -> ValueId {
        self.b.constant(crate::kernel::Literal { ty, bits: 0 })
    }
}

/// Whether a container is provably one element, in any number of dimensions.
pub(super) fn is_one_element(program: &Program, data: &Data) -> bool {
    match &data.kind {
        DataKind::Scalar(_) => true,
        DataKind::Array(array) => {
            array.shape.iter().all(|&extent| program.exprs.as_int(extent) == Some(1))
                && array.total_size.is_none_or(|total| program.exprs.as_int(total) == Some(1))
                && array.start_offset.is_none_or(|start| program.exprs.as_int(start) == Some(0))
                && array.offset.iter().all(|&offset| program.exprs.as_int(offset) == Some(0))
        }
        _ => false,
    }
}

/// Containers that have to lie in memory although they are one element: those that a view or a reference
/// reinterprets, that a library node works on, or that a nested graph sees as something else.
pub(super) fn elements_in_memory(program: &Program) -> Result<HashSet<(GraphId, Name)>, Diagnostic> {
    let mut found = HashSet::new();
    // Nested graphs are pushed after the graphs around them, so inner ones come first from the back. Repeat until
    // nothing changes, so that the order does not matter.
    loop {
        let before = found.len();
        for (id, graph) in program.graphs.iter() {
            for (_, state) in graph.states() {
                for (_, edge) in state.edges.iter().filter(|(_, edge)| !edge.removed) {
                    let Some(name) = edge.memlet.data else { continue };
                    let ends = [(edge.src, edge.src_conn), (edge.dst, edge.dst_conn)];
                    for (node, connector) in ends {
                        let needs = match state.nodes.get(node).map(|node| &node.kind) {
                            Some(NodeKind::Library(library)) => !takes_numbers(library.class()),
                            // A call of a library, which takes addresses.
                            Some(NodeKind::Tasklet(tasklet)) => tasklet.code.is_none(),
                            Some(NodeKind::Access { data, .. }) => {
                                graph.data.get(data).is_some_and(|data| data.is_view() || data.is_reference())
                            }
                            Some(NodeKind::Nested(nested)) => {
                                let inner = nested.graph.and_then(|id| Some((id, program.graphs.get(id)?)));
                                match (inner, connector) {
                                    (Some((id, inner)), Some(connector)) => {
                                        let one = inner
                                            .data
                                            .get(&connector)
                                            .is_some_and(|d| is_one_element(program, d));
                                        !one || found.contains(&(id, connector))
                                    }
                                    _ => false,
                                }
                            }
                            _ => false,
                        };
                        if needs {
                            found.insert((id, name));
                            // The other end of the path is the container, whatever the memlet names.
                            for end in [edge.src, edge.dst] {
                                if let Some(NodeKind::Access { data, .. }) =
                                    state.nodes.get(end).map(|n| &n.kind)
                                {
                                    found.insert((id, *data));
                                }
                            }
                        }
                    }
                }
            }
            for (&name, data) in &graph.data {
                if matches!(data.lifetime, Lifetime::Persistent | Lifetime::External) {
                    found.insert((id, name));
                }
            }
        }
        if found.len() == before {
            return Ok(found);
        }
    }
}

/// Whether a library node becomes loops to which one number is as good as its address.
fn takes_numbers(class: &str) -> bool {
    matches!(class, "Dot" | "MatMul" | "Gemm" | "BatchedMatMul" | "Gemv" | "Reduce")
}

/// Symbols that the sizes of a graph's own containers name, in order.
pub(super) fn free_symbols(program: &Program, graph: &Graph) -> Vec<Name> {
    let mut names = Vec::new();
    let mut add = |name: Name| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for data in graph.data.values() {
        let mut exprs = data.shape().to_vec();
        if let Some(array) = data.array() {
            exprs.extend(array.strides.iter().chain(&array.offset));
            exprs.extend(array.total_size.iter().chain(&array.start_offset));
        }
        for expr in exprs {
            program.exprs.free_symbols(expr).into_iter().for_each(&mut add);
        }
    }
    names
}
