//! Transients get their memory, at the places that [`Uses`](crate::analysis::Uses) names.

use std::rc::Rc;

use crate::entity::Name;
use crate::ir::{Array, BlockId, Data, DataKind, Lifetime, NodeId};
use crate::kernel::{BufferKind, Stmt, TrapKind};
use crate::scalar::BinaryOp;

use super::container::{Container, is_one_element};
use super::layout::MOST_ELEMENTS;
use super::{Lowerer, Lowering};

impl Lowerer<'_> {
    /// Takes a transient in the innermost list and gives it its name.
    pub fn allocate(&mut self, name: Name, late: bool) -> Lowering<()> {
        let graph = self.cx.graph;
        let Some(data) = graph.data.get(&name) else { return Ok(()) };
        // A compile-time constant that is also declared as a container is the constant.
        if graph.constants.contains_key(&name) && self.constants.contains_key(&name) {
            return Ok(());
        }
        if data.is_stream() {
            return self.allocate_stream(name, data, late);
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
                self.b.push_at(Stmt::Check(small, trap), depth);
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
        let uses = &self.cx.uses;
        let zero = uses.setzero.contains(&name) || uses.accumulated.contains(&name);
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
}
