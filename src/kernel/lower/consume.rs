//! Consume scopes: loops that take elements while a queue holds some.

use crate::entity::Name;
use crate::ir::{Consume, NodeId};
use crate::kernel::{BufferKind, Stmt, TrapKind, ValueId};
use crate::scalar::lower::TAKEN_ELEMENTS;
use crate::scalar::{BinaryOp, DType};

use super::container::{Container, Memory};
use super::dataflow::StateContext;
use super::layout::MOST_ELEMENTS;
use super::symbols::Symbol;
use super::{Lowerer, Lowering};

impl<'p> Lowerer<'p> {
    pub fn consume(&mut self, cx: &StateContext<'p>, id: NodeId, consume: &'p Consume) -> Lowering<()> {
        let graph = self.cx.graph;
        let stream_edge = cx.adjacency.incoming(id).iter().copied().find(|&edge| {
            let edge = cx.edge(edge);
            let data = edge.memlet.data.and_then(|name| graph.data.get(&name));
            let enters = edge.dst_conn.is_some_and(|name| self.text(name).starts_with("IN_"));
            enters && data.is_some_and(crate::ir::Data::is_stream)
        });
        let (Some(stream_edge), taken_name) = (stream_edge, self.program.names.lookup(TAKEN_ELEMENTS)) else {
            return self.invalid("P0110", "a consume scope takes from no stream");
        };
        // What the last turn took is nothing that a program may ask for before the first one.
        let code = consume.condition.as_ref().and_then(|condition| condition.code.as_ref());
        let mut own = consume.pe_index.into_iter().chain(taken_name);
        if let Some(code) = code
            && own.any(|name| code.symbols.iter().any(|&(symbol, _)| symbol == name))
        {
            return self.unsupported("a consume scope whose condition looks at its own symbols");
        }
        let (one, zero) = (self.b.int(1), self.b.int(0));
        let chunk = match consume.chunk_size {
            Some(chunk) => self.int(chunk)?,
            None => one,
        };
        let workers = match consume.num_pes {
            Some(count) => self.int(count)?,
            None => one,
        };
        let workers = self.at_least(workers, 1);
        let most = self.at_least(chunk, 1);
        let label = self.b.label();
        self.b.open_branch();
        let Some(source) = cx.accessed(cx.source(stream_edge)) else {
            return self.invalid("P0110", "a consume scope takes from no stream");
        };
        let ty = self.code_access(cx, stream_edge, false)?.container.ty();
        // The elements of one turn.
        let trap = self.trap(TrapKind::Allocation, "no memory for the elements that a consume scope takes");
        let limit = self.b.int(MOST_ELEMENTS);
        self.check_index(most, limit, trap)?;
        let bytes = self.in_bytes(most, ty);
        let buffer = self.b.buffer("consumed elements", BufferKind::Scratch);
        let base = self.b.alloc(buffer, bytes, false, trap);
        let (shape, strides): (Vec<ValueId>, Vec<ValueId>) = match self.b.as_int(chunk) {
            Some(1) => (Vec::new(), Vec::new()),
            _ => (vec![self.at_least(chunk, 0)], vec![one]),
        };
        let element = Container::Memory(Memory {
            buffer,
            base,
            ty,
            shape: shape.into(),
            strides: strides.into(),
            offset: std::rc::Rc::new([]),
            bytes,
        });
        let worker = self.b.variable("worker", DType::I64);
        self.b.set(worker, zero);
        self.b.open();
        if let Some(condition) = &consume.condition {
            let holds = self.condition(condition)?;
            self.b.open_branch();
            self.b.push(Stmt::Exit(label));
            let then = self.b.close();
            self.b.push(Stmt::If { condition: holds, then, otherwise: Vec::new() });
        }
        let access = self.code_access(cx, stream_edge, false)?;
        let Container::Stream(stream) = access.container.clone() else {
            return self.unsupported("a consume scope that takes from what another one took");
        };
        let queue = self.queue(&stream, &access)?;
        let length = self.queue_length(&stream, queue, &access.text);
        self.leave_at_zero(length, label);
        let taken = self.b.binary(BinaryOp::Min, length, most);
        self.pop_to(&stream, queue, taken, (buffer, base), &access.text);
        let present = self.b.get(worker);
        let mut hidden: Vec<(Name, Option<Symbol>)> = Vec::new();
        for (name, value) in taken_name
            .map(|name| (name, taken))
            .into_iter()
            .chain(consume.pe_index.map(|name| (name, present)))
        {
            hidden.push((name, self.cx.symbols.insert(name, Symbol::Index(value, DType::I64))));
        }
        self.cx.consumed.insert(id, (source, element));
        self.scopes_around += 1;
        let result = self.scope(cx, Some(id));
        self.scopes_around -= 1;
        self.cx.consumed.remove(&id);
        for (name, symbol) in hidden.into_iter().rev() {
            match symbol {
                Some(symbol) => self.cx.symbols.insert(name, symbol),
                None => self.cx.symbols.remove(&name),
            };
        }
        result?;
        let next = self.b.add(present, one);
        let around = self.b.binary(BinaryOp::Ge, next, workers);
        let next = self.b.select(around, zero, next);
        self.b.set(worker, next);
        let body = self.b.close();
        self.b.push(Stmt::Loop(body));
        let body = self.b.close();
        self.b.push(Stmt::Block(label, body));
        Ok(())
    }

    pub fn at_least(&mut self, value: ValueId, least: i64) -> ValueId {
        if let Some(value) = self.b.as_int(value) {
            return self.b.int(value.max(least));
        }
        let least = self.b.int(least);
        self.b.binary(BinaryOp::Max, value, least)
    }
}
