//! Streams: rows of queues, whose elements go through memory of one element on their way.

use std::rc::Rc;

use crate::entity::Name;
use crate::ir::{Data, EdgeId, Extra, Lifetime, NodeKind, Wcr};
use crate::kernel::queues::Operation;
use crate::kernel::{BufferId, BufferKind, LabelId, LibraryCall, Op, Order, Stmt, TrapKind, ValueId, VarId};
use crate::scalar::{BinaryOp, DType, Type};

use super::container::{Container, Element};
use super::copy::Points;
use super::dataflow::StateContext;
use super::memlet::Access;
use super::{Lowerer, Lowering};

/// A stream, or some of its queues under another name.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Which one.
    number: ValueId,
    pub ty: Type,
    /// How many queues it has, all names together.
    count: ValueId,
    /// The queue with all indices zero.
    base: ValueId,
    /// Extent per dimension.
    pub shape: Rc<[ValueId]>,
    /// Distance per dimension, in queues.
    strides: Rc<[ValueId]>,
    /// Memory of one element, and of an `int64` behind it.
    item: BufferId,
    address: ValueId,
    /// Bytes of an element.
    bytes: i64,
}

/// A stream has no more queues.
const MOST_QUEUES: i64 = 1 << 24;

impl<'p> Lowerer<'p> {
    /// Gives a stream its queues: empty ones, unless it was there already and is only looked at again.
    pub fn allocate_stream(&mut self, name: Name, data: &Data, late: bool) -> Lowering<()> {
        let text = self.text(name);
        self.leaves(data.ty)?;
        let trap = self.trap(TrapKind::BadShape, format!("`{text}` has an impossible size"));
        let (zero, most) = (self.b.int(0), self.b.int(MOST_QUEUES + 1));
        let mut shape = Vec::new();
        for extent in self.ints(data.shape())? {
            shape.push(self.at_least(extent, 0));
        }
        let (strides, count) = self.row_major(&shape);
        for &number in shape.iter().chain(&strides).chain([&count]) {
            self.check_index(number, most, trap)?;
        }
        let number = self.stream_number(name);
        let bytes = data.ty.bytes(&self.program.structs) as i64;
        let unit = self.b.int(bytes);
        let keeps = self.b.int(i64::from(late));
        let none = self.trap(TrapKind::Allocation, format!("no memory for `{text}`"));
        self.queue_call(Operation::Open, vec![number, count, unit, keeps], None, None, none);
        let item = self.b.buffer(&format!("element of {text}"), BufferKind::Scratch);
        let room = self.b.int(bytes.saturating_add(8));
        let address = self.b.alloc(item, room, false, none);
        let stream = Stream {
            number,
            ty: data.ty,
            count,
            base: zero,
            shape: shape.into(),
            strides: strides.into(),
            item,
            address,
            bytes,
        };
        self.cx.data.insert(name, Container::Stream(stream));
        Ok(())
    }

    /// Forgets the queues of streams that states look at again, where their graph is entered.
    pub fn forget_streams(&mut self) -> Lowering<()> {
        let (graph, uses) = (self.cx.graph, Rc::clone(&self.cx.uses));
        let mut late: Vec<Name> = uses.late.values().flatten().copied().collect();
        late.sort_unstable();
        late.dedup();
        for name in late {
            let Some(data) = graph.data.get(&name).filter(|data| data.is_stream()) else { continue };
            if matches!(data.lifetime, Lifetime::Persistent | Lifetime::External) {
                continue;
            }
            let (number, zero) = (self.stream_number(name), self.b.int(0));
            let trap = self.trap(TrapKind::Allocation, format!("no memory for `{}`", self.text(name)));
            self.queue_call(Operation::Open, vec![number, zero, zero, zero], None, None, trap);
        }
        Ok(())
    }

    fn stream_number(&mut self, name: Name) -> ValueId {
        let next = self.streams.len() as i64;
        let number = *self.streams.entry((self.cx.id, name)).or_insert(next);
        self.b.int(number)
    }

    /// Distances of queues, and how many there are.
    fn row_major(&mut self, shape: &[ValueId]) -> (Vec<ValueId>, ValueId) {
        let mut count = self.b.int(1);
        let mut strides = vec![count; shape.len()];
        for (stride, &extent) in strides.iter_mut().zip(shape).rev() {
            *stride = count;
            count = self.b.mul(count, extent);
        }
        (strides, count)
    }

    /// A stream as a connector of a nested graph sees it.
    pub fn connect_stream(&mut self, connector: Name, data: &Data, outer: &Access) -> Lowering<Container> {
        let Container::Stream(stream) = outer.container.clone() else {
            return self.unsupported(format!("the stream `{}`, which is none outside", self.text(connector)));
        };
        if stream.ty != data.ty {
            return self.unsupported(format!("`{}`, which changes its type", self.text(connector)));
        }
        if self.program.contract == crate::ir::Contract::Whole && stream.shape.len() == data.shape().len() {
            return Ok(Container::Stream(stream));
        }
        let base = self.queue(&stream, outer)?;
        let shape = self.ints(data.shape())?;
        let (strides, _) = self.row_major(&shape);
        Ok(Container::Stream(Stream { base, shape: shape.into(), strides: strides.into(), ..stream }))
    }

    /// The queue that an access names.
    pub fn queue(&mut self, stream: &Stream, access: &Access) -> Lowering<ValueId> {
        let mut queue = stream.base;
        if !access.all {
            for (range, &stride) in access.ranges.iter().zip(stream.strides.iter()) {
                let distance = self.b.mul(range.start, stride);
                queue = self.b.add(queue, distance);
            }
        }
        let trap = self.trap(TrapKind::OutOfRange, format!("`{}` is out of range", access.text));
        self.check_index(queue, stream.count, trap)?;
        Ok(queue)
    }

    /// Appends an element, given by its numbers, to the queue that an access names.
    pub fn push_element(
        &mut self,
        stream: &Stream,
        access: &Access,
        values: &[ValueId],
        ty: Type,
    ) -> Lowering<()> {
        self.same_numbers(ty, stream.ty)?;
        let queue = self.queue(stream, access)?;
        let values = self.convert(values, ty, stream.ty)?;
        self.store(&stream.element(), &values)?;
        let trap = self.trap(TrapKind::Allocation, format!("no memory for `{}`", access.text));
        let arguments = vec![stream.number, queue, stream.address];
        self.queue_call(Operation::Push, arguments, Some(stream.item), None, trap);
        Ok(())
    }

    /// Takes an element from the queue that an access names, as an element of type `ty`.
    pub fn pop_element(&mut self, stream: &Stream, access: &Access, ty: Type) -> Lowering<Vec<ValueId>> {
        self.same_numbers(stream.ty, ty)?;
        let queue = self.queue(stream, access)?;
        let one = self.b.int(1);
        self.pop_to(stream, queue, one, (stream.item, stream.address), &access.text);
        let values = self.load(&stream.element())?;
        self.convert(&values, stream.ty, ty)
    }

    /// Takes elements to memory.
    pub fn pop_to(
        &mut self,
        stream: &Stream,
        queue: ValueId,
        count: ValueId,
        (buffer, address): (BufferId, ValueId),
        text: &str,
    ) {
        let trap = self.trap(TrapKind::EmptyStream, format!("a pop from `{text}`, which is empty"));
        let arguments = vec![stream.number, queue, count, address];
        self.queue_call(Operation::Pop, arguments, None, Some(buffer), trap);
    }

    /// How many elements a queue holds.
    pub fn queue_length(&mut self, stream: &Stream, queue: ValueId, text: &str) -> ValueId {
        let trap = self.trap(TrapKind::OutOfRange, format!("`{text}` is out of range"));
        let bytes = self.b.int(stream.bytes);
        let word = self.b.add(stream.address, bytes);
        let arguments = vec![stream.number, queue, word];
        self.queue_call(Operation::Length, arguments, None, Some(stream.item), trap);
        let load = Op::Load {
            buffer: stream.item,
            address: stream.address,
            displacement: stream.bytes,
            ty: DType::I64,
        };
        self.b.value(load, DType::I64)
    }

    fn queue_call(
        &mut self,
        operation: Operation,
        arguments: Vec<ValueId>,
        reads: Option<BufferId>,
        writes: Option<BufferId>,
        trap: crate::kernel::TrapId,
    ) {
        let call = LibraryCall {
            class: operation.class().to_owned(),
            properties: Extra::new(),
            operands: Vec::new(),
            factor: None,
            reads: reads.into_iter().collect(),
            writes: writes.into_iter().collect(),
            trap,
        };
        let call = self.b.kernel.libraries.push(call);
        self.b.push(Stmt::Call(call, arguments));
    }

    /// A copy from a stream, to a stream, or both: an array takes what a queue holds, a queue takes what an array holds.
    pub fn copy_stream(
        &mut self,
        cx: &StateContext<'p>,
        edge_id: EdgeId,
        from: Access,
        to: Access,
        wcr: Option<&Wcr>,
    ) -> Lowering<()> {
        match (from.container.clone(), to.container.clone()) {
            (Container::Stream(source), Container::Stream(target)) => {
                if source.ty != target.ty {
                    return self.unsupported("a copy between streams of different types");
                }
                let (queue, other) = (self.queue(&source, &from)?, self.queue(&target, &to)?);
                let trap = self.trap(TrapKind::Allocation, format!("no memory for `{}`", to.text));
                let arguments = vec![source.number, queue, target.number, other];
                self.queue_call(Operation::Append, arguments, None, None, trap);
                Ok(())
            }
            (Container::Stream(stream), _) => self.take_all(&stream, &from, to, wcr),
            (_, Container::Stream(stream)) => {
                let counted = cx.adjacency.incoming(cx.edge(edge_id).src).iter().any(|&edge| {
                    let name = cx.accessed(cx.edge(edge).src);
                    let data = name.and_then(|name| self.cx.graph.data.get(&name));
                    data.is_some_and(Data::is_stream)
                });
                self.give_all(&stream, from, &to, counted)
            }
            _ => self.unsupported("a copy of a stream"),
        }
    }

    /// Elements of a queue go to an array, as many as it holds and the array takes.
    fn take_all(&mut self, stream: &Stream, from: &Access, to: Access, wcr: Option<&Wcr>) -> Lowering<()> {
        self.same_numbers(stream.ty, to.container.ty())?;
        let queue = self.queue(stream, from)?;
        let to = self.points(to)?;
        let popped = self.popped();
        let zero = self.b.int(0);
        self.b.set(popped, zero);
        let label = self.b.label();
        self.b.open_branch();
        self.each_point(&to, |lowerer, indices| {
            let length = lowerer.queue_length(stream, queue, &from.text);
            lowerer.leave_at_zero(length, label);
            let values = lowerer.pop_element(stream, from, stream.ty)?;
            let count = lowerer.b.get(popped);
            let one = lowerer.b.int(1);
            let count = lowerer.b.add(count, one);
            lowerer.b.set(popped, count);
            let target = lowerer.element(&to.access.container, indices, &to.access.text)?;
            lowerer.store_as(&target, &values, stream.ty, wcr)
        })?;
        let body = self.b.close();
        self.b.push(Stmt::Block(label, body));
        Ok(())
    }

    /// Elements of an array go to a queue: all, or as many as the last copy from a stream took.
    fn give_all(&mut self, stream: &Stream, from: Access, to: &Access, counted: bool) -> Lowering<()> {
        let ty = from.container.ty();
        let from = self.points(from)?;
        let left = match counted {
            true => {
                let popped = self.popped();
                let count = self.b.get(popped);
                let left = self.b.variable("left", DType::I64);
                self.b.set(left, count);
                Some(left)
            }
            false => None,
        };
        let label = self.b.label();
        self.b.open_branch();
        self.each_point(&from, |lowerer, indices| {
            if let Some(left) = left {
                let count = lowerer.b.get(left);
                lowerer.leave_at_zero(count, label);
                let one = lowerer.b.int(1);
                let count = lowerer.b.sub(count, one);
                lowerer.b.set(left, count);
            }
            let source = lowerer.element(&from.access.container, indices, &from.access.text)?;
            let values = lowerer.load(&source)?;
            lowerer.push_element(stream, to, &values, ty)
        })?;
        let body = self.b.close();
        self.b.push(Stmt::Block(label, body));
        Ok(())
    }

    /// Numbers that go through a stream may change their type, but an element is as many as it is.
    fn same_numbers(&self, from: Type, to: Type) -> Lowering<()> {
        if self.leaves(from)?.len() == self.leaves(to)?.len() {
            return Ok(());
        }
        self.unsupported("what changes how many numbers an element of a stream is")
    }

    /// Loops over the elements of one side of a copy, in order.
    fn each_point(
        &mut self,
        points: &Points,
        body: impl FnOnce(&mut Self, &[ValueId]) -> Lowering<()>,
    ) -> Lowering<()> {
        let zero = self.b.int(0);
        let numbers: Vec<ValueId> = points.turns.iter().map(|turns| self.open_count(turns.count)).collect();
        let indices = self.indices_at(points, &points.turns, &numbers);
        body(self, &indices)?;
        for (turns, &variable) in points.turns.iter().zip(&numbers).rev() {
            let body = self.b.close();
            let (start, stop) = (zero, turns.count);
            self.b.push(Stmt::For { variable, start, stop, step: 1, order: Order::InTurn, body });
        }
        Ok(())
    }

    /// Leaves a block if a number is not positive.
    pub fn leave_at_zero(&mut self, number: ValueId, label: LabelId) {
        let zero = self.b.int(0);
        let positive = self.b.binary(BinaryOp::Gt, number, zero);
        self.b.open_branch();
        self.b.push(Stmt::Exit(label));
        let otherwise = self.b.close();
        self.b.push(Stmt::If { condition: positive, then: Vec::new(), otherwise });
    }

    /// How many elements the last copy from a stream to an array took.
    fn popped(&mut self) -> VarId {
        if let Some(known) = self.popped {
            return known;
        }
        let variable = self.b.variable("popped", DType::I64);
        let zero = self.b.int(0);
        self.b.push_at(Stmt::Set(variable, zero), 0);
        self.popped = Some(variable);
        variable
    }

    /// What a consume scope took from its stream, if that is what an edge carries.
    pub fn consumed(&self, cx: &StateContext<'p>, edge: EdgeId) -> Option<Container> {
        let mut at = edge;
        for _ in 0..=cx.state.edges.len() {
            let src = cx.edge(at).src;
            if matches!(cx.state.nodes.get(src)?.kind, NodeKind::ConsumeEntry(_)) {
                let (stream, element) = self.cx.consumed.get(&src)?;
                return (cx.accessed(cx.source(edge)) == Some(*stream)).then(|| element.clone());
            }
            at = cx.paths.previous(at)?;
        }
        None
    }
}

impl Stream {
    fn element(&self) -> Element {
        Element::Memory { buffer: self.item, address: self.address, displacement: 0, ty: self.ty }
    }
}
