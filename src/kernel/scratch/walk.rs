//! Walks the statements of a kernel along a timeline.

use hashbrown::HashMap;
use indexmap::IndexMap;
use smallvec::SmallVec;

use crate::analysis::components::components;
use crate::analysis::liveness::Timeline;
use crate::kernel::{BufferId, BufferKind, CfgBlock, Jump, Kernel, Op, Stmt, ValueId};

use super::Scratch;
use super::size::{Definition, Definitions};

/// What a walk found.
pub(super) struct Found {
    pub scratch: IndexMap<BufferId, Scratch>,
    pub definitions: Definitions,
}

struct Walker {
    timeline: Timeline,
    /// Scratch buffers as items.
    items: HashMap<BufferId, usize>,
    scratch: IndexMap<BufferId, Scratch>,
    /// Scratch buffers whose address went into each value.
    bases: HashMap<ValueId, SmallVec<[BufferId; 1]>>,
    definitions: Definitions,
}

pub(super) fn walk(kernel: &Kernel) -> Found {
    let mut walker = Walker {
        timeline: Timeline::default(),
        items: HashMap::new(),
        scratch: IndexMap::new(),
        bases: HashMap::new(),
        definitions: Definitions::new(),
    };
    for (id, buffer) in kernel.buffers.iter() {
        if buffer.kind == BufferKind::Scratch {
            let item = walker.timeline.item();
            walker.items.insert(id, item);
            walker.scratch.insert(id, Scratch::default());
        }
    }
    for parameter in &kernel.parameters {
        walker.definitions.insert(parameter.value, Definition::Parameter);
    }
    walker.list(&kernel.body);
    for (buffer, scratch) in &mut walker.scratch {
        if let Some(&item) = walker.items.get(buffer) {
            scratch.span = walker.timeline.span(item);
            scratch.private = walker.timeline.is_private(item);
        }
    }
    Found { scratch: walker.scratch, definitions: walker.definitions }
}

impl Walker {
    fn touch(&mut self, buffer: BufferId) {
        if let Some(&item) = self.items.get(&buffer) {
            self.timeline.touch(item);
        }
    }

    /// Memory behind an address that was computed from buffers.
    fn reach(&mut self, address: ValueId) {
        for buffer in self.bases.get(&address).cloned().unwrap_or_default() {
            self.touch(buffer);
        }
    }

    fn list(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        self.timeline.step();
        match stmt {
            Stmt::Let(value, op) => self.define(*value, op),
            Stmt::Set(_, value) => {
                // Whoever reads the variable can reach the buffer, at any time.
                for buffer in self.bases.get(value).cloned().unwrap_or_default() {
                    if let Some(&item) = self.items.get(&buffer) {
                        self.timeline.escape(item);
                    }
                }
            }
            Stmt::Store { buffer, address, .. } => {
                self.touch(*buffer);
                self.reach(*address);
            }
            Stmt::For { order, body, .. } => {
                self.timeline.open_loop(order.may_change());
                self.list(body);
                self.timeline.close_loop();
            }
            Stmt::Loop(body) => {
                self.timeline.open_loop(false);
                self.list(body);
                self.timeline.close_loop();
            }
            Stmt::If { then, otherwise, .. } => {
                self.list(then);
                self.list(otherwise);
            }
            // An exit leads forwards, to the end of a block around it.
            Stmt::Block(_, body) => self.list(body),
            Stmt::Cfg(blocks) => self.cfg(blocks),
            Stmt::Exit(_) | Stmt::Check(..) => {}
            Stmt::Alloc { buffer, bytes, zero, .. } => {
                if let (Some(&item), Some(scratch)) = (self.items.get(buffer), self.scratch.get_mut(buffer)) {
                    scratch.bytes.push(*bytes);
                    self.timeline.declare(item);
                    if *zero {
                        self.timeline.touch(item);
                    }
                }
            }
            Stmt::Call(_, arguments) => arguments.iter().for_each(|&argument| self.reach(argument)),
        }
    }

    fn define(&mut self, value: ValueId, op: &Op) {
        match op {
            Op::Base(buffer) if self.items.contains_key(buffer) => {
                self.bases.insert(value, SmallVec::from_slice(&[*buffer]));
            }
            Op::Load { buffer, address, .. } => {
                self.touch(*buffer);
                self.reach(*address);
            }
            _ => {
                let mut buffers: SmallVec<[BufferId; 1]> = SmallVec::new();
                op.each_operand(|operand| {
                    for &buffer in self.bases.get(&operand).into_iter().flatten() {
                        if !buffers.contains(&buffer) {
                            buffers.push(buffer);
                        }
                    }
                });
                if !buffers.is_empty() {
                    self.bases.insert(value, buffers);
                }
            }
        }
        self.definitions.insert(value, Definition::Op(op.clone()));
    }

    fn cfg(&mut self, blocks: &[CfgBlock]) {
        let within = |target: u32| Some(target as usize).filter(|&target| target < blocks.len());
        let next: Vec<Vec<usize>> = blocks
            .iter()
            .map(|block| match block.jump {
                Jump::End => Vec::new(),
                Jump::To(target) => within(target).into_iter().collect(),
                Jump::Branch(_, yes, no) => within(yes).into_iter().chain(within(no)).collect(),
            })
            .collect();
        for component in components(&next, Some(0)) {
            if component.cyclic {
                self.timeline.open_loop(false);
            }
            for &member in &component.members {
                self.list(&blocks[member].body);
            }
            if component.cyclic {
                self.timeline.close_loop();
            }
        }
    }
}
