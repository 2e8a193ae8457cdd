//! Which arguments a stopped run may have spoilt.
//!
//! A check that fails in machine code is not yet the program's fault: checks stand in front of loops and look at
//! each dimension, where the interpreter looks at each element as it comes. So a stopped run is run again by
//! the interpreter, whose answer counts. That needs the arguments as they were. Most kernels check before they write,
//! and nothing has to be done. Where a check may fail after a write, arguments that the program both
//! reads and writes are copied before the run (those that it only writes the second run writes again), into memory that
//! stays warm between calls. A library routine that fails has written nothing.

use hashbrown::HashSet;

use crate::kernel::{BufferId, BufferKind, Kernel, Op, Stmt};

/// Arguments, by their number among the kernel's, that may hold other bytes than before when the kernel stops.
#[derive(Debug, Default)]
pub(super) struct Spoilt {
    /// Number, and whether the kernel reads it.
    pub arguments: Vec<(usize, bool)>,
}

impl Spoilt {
    /// Looks through a kernel.
    pub fn of(kernel: &Kernel) -> Spoilt {
        let mut walk = Walk::of(kernel);
        walk.list(&kernel.body);
        let number = |buffer: BufferId| match kernel.buffers[buffer].kind {
            BufferKind::Argument(number) => Some(number as usize),
            _ => None,
        };
        let anywhere = |set: &HashSet<BufferId>| {
            set.iter().any(|&buffer| kernel.buffers[buffer].kind == BufferKind::Anywhere)
        };
        let (all_spoilt, all_read) = (anywhere(&walk.spoilt), anywhere(&walk.read));
        let mut arguments: Vec<(usize, bool)> = kernel
            .buffers
            .iter()
            .filter(|(buffer, _)| all_spoilt || walk.spoilt.contains(buffer))
            .filter_map(|(buffer, _)| Some((number(buffer)?, all_read || walk.read.contains(&buffer))))
            .collect();
        arguments.sort_unstable();
        Spoilt { arguments }
    }
}

struct Walk<'k> {
    kernel: &'k Kernel,
    /// Written so far, on some way.
    written: HashSet<BufferId>,
    /// Written at some point where the kernel may stop.
    spoilt: HashSet<BufferId>,
    /// Read anywhere.
    read: HashSet<BufferId>,
}

impl<'k> Walk<'k> {
    fn of(kernel: &'k Kernel) -> Walk<'k> {
        Walk { kernel, written: HashSet::new(), spoilt: HashSet::new(), read: HashSet::new() }
    }

    fn may_stop(&mut self) {
        self.spoilt.extend(self.written.iter().copied());
    }

    fn list(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(_, Op::Load { buffer, .. }) => {
                    self.read.insert(*buffer);
                }
                Stmt::Store { buffer, .. } => {
                    self.written.insert(*buffer);
                }
                Stmt::Check(..) | Stmt::Alloc { .. } => self.may_stop(),
                Stmt::Call(library, _) => {
                    let call = &self.kernel.libraries[*library];
                    self.may_stop();
                    self.read.extend(call.reads.iter().copied());
                    self.written.extend(call.writes.iter().copied());
                }
                // What one iteration wrote stands when the next one stops.
                Stmt::For { body, .. } | Stmt::Loop(body) => {
                    self.writes_of(body);
                    self.list(body);
                }
                Stmt::Block(_, body) => self.list(body),
                Stmt::If { then, otherwise, .. } => {
                    self.list(then);
                    self.list(otherwise);
                }
                Stmt::Cfg(blocks) => {
                    blocks.iter().for_each(|block| self.writes_of(&block.body));
                    blocks.iter().for_each(|block| self.list(&block.body));
                }
                _ => {}
            }
        }
    }

    /// Notes all writes of a list.
    fn writes_of(&mut self, stmts: &[Stmt]) {
        for stmt in Stmt::all(stmts) {
            match stmt {
                Stmt::Store { buffer, .. } => {
                    self.written.insert(*buffer);
                }
                Stmt::Call(library, _) => {
                    self.written.extend(self.kernel.libraries[*library].writes.iter().copied());
                }
                _ => {}
            }
        }
    }
}
