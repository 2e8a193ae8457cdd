//! Small scratch memory that nobody reads: it goes, with what is stored there. Elements of a small array that are stored and loaded
//! at fixed places are values once [`forward`](super::forward) is done with them, and the array is left with stores alone.
//!
//! ## Before                                ## After
//! ```text
//! alloc buf1, v0 bytes                     v3 = mul float64 v2, v2
//! v1 = base buf1
//! v3 = mul float64 v2, v2
//! store float64 buf1[v1+8] = v3
//! ```
//!
//! An address that goes anywhere but into other addresses and stores to its own buffer may be read through, so such a buffer
//! stays.

use hashbrown::{HashMap, HashSet};

use super::scratch::STACK_EACH;
use super::{BufferId, BufferKind, Kernel, Literal, Op, Stmt, ValueId};

/// How often addresses are followed in code that defines them after it uses them.
const ROUNDS: usize = 4;

/// Removes small scratch buffers that are only written.
pub fn remove(kernel: &mut Kernel) {
    let mut search = Search::of(kernel);
    if search.unread.is_empty() {
        return;
    }
    for round in 0.. {
        let known = search.addresses.len();
        Stmt::all(&kernel.body).for_each(|stmt| search.stmt(kernel, stmt));
        if search.addresses.len() == known || search.unread.is_empty() {
            break;
        }
        if round == ROUNDS {
            return;
        }
    }
    if !search.unread.is_empty() {
        search.sweep(&mut kernel.body);
    }
}

struct Search {
    /// Buffers of which no reader was found.
    unread: HashSet<BufferId>,
    /// Addresses, each with its buffer.
    addresses: HashMap<ValueId, BufferId>,
}

impl Search {
    /// Scratch buffers of a fixed size that fits the stack.
    fn of(kernel: &Kernel) -> Search {
        let mut sizes: HashMap<ValueId, Literal> = HashMap::new();
        let mut unread: HashSet<BufferId> = HashSet::new();
        let mut large: HashSet<BufferId> = HashSet::new();
        for stmt in Stmt::all(&kernel.body) {
            match stmt {
                Stmt::Let(value, Op::Const(literal)) => drop(sizes.insert(*value, *literal)),
                Stmt::Alloc { buffer, bytes, .. } => {
                    let bytes = sizes.get(bytes).and_then(|literal| literal.as_int());
                    let is_small = bytes.is_some_and(|bytes| (0..=STACK_EACH).contains(&bytes));
                    let is_scratch =
                        kernel.buffers.get(*buffer).is_some_and(|b| b.kind == BufferKind::Scratch);
                    let list = if is_small && is_scratch { &mut unread } else { &mut large };
                    list.insert(*buffer);
                }
                _ => {}
            }
        }
        unread.retain(|buffer| !large.contains(buffer));
        Search { unread, addresses: HashMap::new() }
    }

    /// An address is used by something that may read through it.
    fn escapes(&mut self, value: ValueId) {
        if let Some(buffer) = self.addresses.get(&value) {
            self.unread.remove(buffer);
        }
    }

    fn stmt(&mut self, kernel: &Kernel, stmt: &Stmt) {
        match stmt {
            Stmt::Let(value, Op::Base(buffer)) => drop(self.addresses.insert(*value, *buffer)),
            Stmt::Let(_, Op::Load { buffer, address, .. }) => {
                self.unread.remove(buffer);
                self.escapes(*address);
            }
            Stmt::Let(value, op) => {
                let mut of: Option<BufferId> = None;
                op.each_operand(|operand| match (self.addresses.get(&operand).copied(), of) {
                    (Some(buffer), Some(other)) if buffer != other => {
                        self.unread.remove(&buffer);
                        self.unread.remove(&other);
                    }
                    (Some(buffer), _) => of = Some(buffer),
                    (None, _) => {}
                });
                if let Some(buffer) = of {
                    self.addresses.insert(*value, buffer);
                }
            }
            Stmt::Store { buffer, address, value, .. } => {
                self.escapes(*value);
                if self.addresses.get(address) != Some(buffer) {
                    self.escapes(*address);
                    self.unread.remove(buffer);
                }
            }
            Stmt::Call(library, _) => {
                let library = &kernel.libraries[*library];
                for buffer in library.reads.iter().chain(&library.writes) {
                    self.unread.remove(buffer);
                }
                stmt.each_use(|value| self.escapes(value));
            }
            _ => stmt.each_use(|value| self.escapes(value)),
        }
    }

    fn sweep(&self, list: &mut Vec<Stmt>) {
        list.retain_mut(|stmt| {
            let goes = match stmt {
                Stmt::Let(value, _) => {
                    self.addresses.get(value).is_some_and(|buffer| self.unread.contains(buffer))
                }
                Stmt::Store { buffer, .. } | Stmt::Alloc { buffer, .. } => self.unread.contains(buffer),
                _ => false,
            };
            stmt.lists_mut().into_iter().for_each(|list| self.sweep(list));
            !goes
        });
    }
}
