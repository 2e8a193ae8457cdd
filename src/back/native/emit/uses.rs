//! What statements take from their surroundings.

use hashbrown::HashSet;

use crate::kernel::{BufferId, Jump, Op, Stmt, ValueId, VarId};

/// What statements name: values and buffers of their own among them.
#[derive(Default)]
pub(super) struct Uses {
    /// Values used, ascending.
    pub values: Vec<ValueId>,
    /// Variables read, in order.
    pub read: Vec<VarId>,
    /// Buffers whose address is taken, in order.
    pub buffers: Vec<BufferId>,
    seen: HashSet<VarId>,
    seen_buffers: HashSet<BufferId>,
}

impl Uses {
    /// Of a list, and all lists in it.
    pub fn of(stmts: &[Stmt]) -> Uses {
        let mut uses = Uses::default();
        uses.list(stmts, &|_| true);
        uses.sorted()
    }

    /// Of a statement and the lists in it that are `wanted`. How blocks of unstructured control flow end does not count:
    /// what decides it may be defined there.
    pub fn of_part(stmt: &Stmt, wanted: &dyn Fn(&[Stmt]) -> bool) -> Uses {
        let mut uses = Uses::default();
        uses.stmt(stmt, wanted);
        uses.sorted()
    }

    fn sorted(mut self) -> Uses {
        self.values.sort_unstable();
        self.values.dedup();
        self
    }

    fn list(&mut self, stmts: &[Stmt], wanted: &dyn Fn(&[Stmt]) -> bool) {
        for stmt in stmts {
            self.stmt(stmt, wanted);
            let Stmt::Cfg(blocks) = stmt else { continue };
            for block in blocks {
                if let Jump::Branch(condition, ..) = block.jump {
                    self.values.push(condition);
                }
            }
        }
    }

    fn stmt(&mut self, stmt: &Stmt, wanted: &dyn Fn(&[Stmt]) -> bool) {
        match stmt {
            Stmt::Let(_, op) => {
                op.each_operand(|value| self.values.push(value));
                match op {
                    Op::Get(variable) if self.seen.insert(*variable) => self.read.push(*variable),
                    Op::Base(buffer) if self.seen_buffers.insert(*buffer) => self.buffers.push(*buffer),
                    _ => {}
                }
            }
            Stmt::Set(_, value) | Stmt::Check(value, _) => self.values.push(*value),
            Stmt::Store { address, value, .. } => self.values.extend([*address, *value]),
            Stmt::For { start, stop, .. } => self.values.extend([*start, *stop]),
            Stmt::If { condition, .. } => self.values.push(*condition),
            Stmt::Alloc { bytes, .. } => self.values.push(*bytes),
            Stmt::Call(_, arguments) => self.values.extend(arguments),
            Stmt::Loop(_) | Stmt::Block(..) | Stmt::Exit(_) | Stmt::Cfg(_) => {}
        }
        for list in stmt.lists() {
            if wanted(list) {
                self.list(list, wanted);
            }
        }
    }
}
