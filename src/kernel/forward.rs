//! Loads of what was just stored or loaded: they become the value itself. Programs write an element in one state and read it
//! in the next, which costs a trip through the memory pipeline each time, five cycles or more that everything behind waits
//! for.
//!
//! ## Before                                ## After
//! ```text
//! store float64 buf0[v1] = v2              store float64 buf0[v1] = v2
//! v3 = load float64 buf0[v1]               v4 = div float64 v2, v0
//! v4 = div float64 v3, v0
//! ```
//!
//! What is known of memory ends at a store that may reach the same bytes, at a call that writes them, and around lists that
//! do so; arguments may overlap each other.

use hashbrown::HashMap;

use crate::scalar::DType;

use super::{BufferId, BufferKind, Jump, Kernel, Op, Stmt, ValueId};

/// Forwards values to loads, everywhere in a kernel.
pub fn forward(kernel: &mut Kernel) {
    let mut body = std::mem::take(&mut kernel.body);
    let mut forwarding = Forwarding { kernel, renamed: HashMap::new() };
    forwarding.list(&mut body, &mut Known::default());
    kernel.body = body;
}

/// Numbers in memory by address, displacement and type: the buffer and the value.
#[derive(Clone, Default)]
struct Known(HashMap<(ValueId, i64, DType), (BufferId, ValueId)>);

struct Forwarding<'k> {
    kernel: &'k Kernel,
    /// Loads that are no more, and what they gave.
    renamed: HashMap<ValueId, ValueId>,
}

/// What a list may write.
enum Write {
    /// Some bytes behind an address.
    Bytes { buffer: BufferId, address: ValueId, displacement: i64, bytes: i64 },
    /// Anything of a buffer.
    All(BufferId),
}

impl Forwarding<'_> {
    fn list(&mut self, stmts: &mut Vec<Stmt>, known: &mut Known) {
        stmts.retain_mut(|stmt| self.stmt(stmt, known));
    }

    fn now(&self, value: ValueId) -> ValueId {
        self.renamed.get(&value).copied().unwrap_or(value)
    }

    /// Whether the statement stays.
    fn stmt(&mut self, stmt: &mut Stmt, known: &mut Known) -> bool {
        if !self.renamed.is_empty() {
            stmt.rename(&|value| self.now(value));
        }
        match stmt {
            Stmt::Let(value, Op::Load { buffer, address, displacement, ty }) => {
                let key = (*address, *displacement, *ty);
                match known.0.get(&key) {
                    Some(&(_, there)) => {
                        self.renamed.insert(*value, there);
                        return false;
                    }
                    None => drop(known.0.insert(key, (*buffer, *value))),
                }
            }
            Stmt::Store { buffer, address, displacement, value } => {
                let ty = self.kernel.values[*value];
                let (buffer, address, displacement) = (*buffer, *address, *displacement);
                self.forget(known, &Write::Bytes { buffer, address, displacement, bytes: ty.bytes() as i64 });
                known.0.insert((address, displacement, ty), (buffer, *value));
            }
            Stmt::For { body, .. } | Stmt::Loop(body) => {
                self.forget_all(known, body);
                self.list(body, &mut known.clone());
            }
            Stmt::Block(_, body) => {
                self.list(body, &mut known.clone());
                self.forget_all(known, body);
            }
            Stmt::If { then, otherwise, .. } => {
                self.list(then, &mut known.clone());
                self.list(otherwise, &mut known.clone());
                self.forget_all(known, then);
                self.forget_all(known, otherwise);
            }
            Stmt::Cfg(blocks) => {
                blocks.iter().for_each(|block| self.forget_all(known, &block.body));
                for block in blocks.iter_mut() {
                    self.list(&mut block.body, &mut known.clone());
                    // Its condition may have been loaded in it.
                    if let Jump::Branch(condition, ..) = &mut block.jump {
                        *condition = self.now(*condition);
                    }
                }
            }
            Stmt::Call(..) | Stmt::Alloc { .. } => self.forget_all(known, std::slice::from_ref(stmt)),
            Stmt::Let(..) | Stmt::Set(..) | Stmt::Exit(_) | Stmt::Check(..) => {}
        }
        true
    }

    /// Forgets what a list may write, at any depth.
    fn forget_all(&self, known: &mut Known, stmts: &[Stmt]) {
        for stmt in Stmt::all(stmts) {
            match stmt {
                Stmt::Store { buffer, .. } | Stmt::Alloc { buffer, .. } => {
                    self.forget(known, &Write::All(*buffer));
                }
                Stmt::Call(library, _) => {
                    for &buffer in &self.kernel.libraries[*library].writes {
                        self.forget(known, &Write::All(buffer));
                    }
                }
                _ => {}
            }
        }
    }

    fn forget(&self, known: &mut Known, write: &Write) {
        known.0.retain(|&(at, offset, ty), &mut (buffer, _)| match *write {
            Write::All(written) => !self.may_meet(buffer, written),
            Write::Bytes { buffer: written, address, displacement, bytes } => {
                let apart = offset.checked_add(ty.bytes() as i64).is_some_and(|end| end <= displacement)
                    || displacement.checked_add(bytes).is_some_and(|end| end <= offset);
                (at == address && apart) || !self.may_meet(buffer, written)
            }
        });
    }

    /// Whether two buffers may share bytes.
    fn may_meet(&self, a: BufferId, b: BufferId) -> bool {
        let kind = |buffer: BufferId| &self.kernel.buffers[buffer].kind;
        a == b
            || match (kind(a), kind(b)) {
                (BufferKind::Anywhere, _) | (_, BufferKind::Anywhere) => true,
                (BufferKind::Argument(_), BufferKind::Argument(_)) => true,
                // A persistent one may be an argument's memory for all we know.
                (BufferKind::Persistent(_), BufferKind::Persistent(_)) => true,
                _ => false,
            }
    }
}
