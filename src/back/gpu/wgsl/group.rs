//! How many threads a workgroup has.
//!
//! A multiprocessor of the GPUs of today holds 65,536 registers of 32 bits and up to 2,048 threads. The model counts what a
//! thread holds at once (values that are needed later, variables, memory of its own), which says how many threads are there
//! together, and takes the largest of 256, 128 and 64 threads of which four groups fit: large groups cost fewer
//! dispatches, and with four there is always one that need not wait for memory.

use hashbrown::HashMap;

use crate::kernel::{Op, Stmt, ValueId};

use super::super::nest::Nest;
use super::needs::Needs;

/// Registers of a multiprocessor.
const REGISTERS: usize = 65_536;

/// Threads of one.
const MOST_THREADS: usize = 2048;

/// Groups of it that should fit.
const GROUPS: usize = 4;

/// Registers for addresses and the like.
const ALWAYS: usize = 16;

/// Threads of a workgroup for a nest.
pub(super) fn threads(nest: &Nest<'_>, needs: &Needs) -> u32 {
    let together = (REGISTERS / registers(nest, needs)).min(MOST_THREADS);
    [256, 128].into_iter().find(|&size| together / size as usize >= GROUPS).unwrap_or(64)
}

/// Registers that a thread needs, roughly.
fn registers(nest: &Nest<'_>, needs: &Needs) -> usize {
    let mut order = Order::default();
    order.list(nest.code.iter().copied());
    let size = |value: ValueId| nest.kernel.values[value].bytes().div_ceil(4);
    let is_held = |value: &ValueId| needs.exact.contains(value) || needs.low.contains(value);
    let mut changes: Vec<(usize, isize)> = Vec::new();
    for (value, &first) in order.defined.iter().filter(|(value, _)| is_held(value)) {
        let Some(&last) = order.used.get(value) else { continue };
        changes.extend([(first, size(*value) as isize), (last, -(size(*value) as isize))]);
    }
    // What ends at a place makes room for what begins there.
    changes.sort_unstable();
    let (mut now, mut most) = (0_isize, 0_isize);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    let variables = nest.set.iter().filter(|variable| needs.variables.contains(*variable));
    let variables: usize = variables.map(|&v| nest.kernel.variables[v].ty.bytes().div_ceil(4)).sum();
    let own: usize = nest.own.values().map(|(_, bytes)| *bytes as usize / 4).sum();
    ALWAYS + most.unsigned_abs() + variables + own
}

/// Where values are defined and last used, in the order of the text.
#[derive(Default)]
struct Order {
    at: usize,
    defined: HashMap<ValueId, usize>,
    used: HashMap<ValueId, usize>,
}

impl Order {
    fn list<'k>(&mut self, stmts: impl Iterator<Item = &'k Stmt>) {
        for stmt in stmts {
            self.at += 1;
            let begun = self.at;
            match stmt {
                Stmt::Let(value, op) => {
                    op.each_operand(|operand| self.note(operand));
                    if !matches!(op, Op::Const(_)) {
                        self.defined.insert(*value, self.at);
                    }
                }
                Stmt::Set(_, value) | Stmt::Check(value, _) => self.note(*value),
                Stmt::Store { address, value, .. } => {
                    self.note(*address);
                    self.note(*value);
                }
                Stmt::If { condition, .. } => self.note(*condition),
                Stmt::For { variable, start, stop, .. } => {
                    self.note(*start);
                    self.note(*stop);
                    self.defined.insert(*variable, self.at);
                    self.note(*variable);
                }
                _ => {}
            }
            for list in stmt.lists() {
                self.list(list.iter());
            }
            if matches!(stmt, Stmt::For { .. } | Stmt::Loop(_)) {
                // What is used in a loop is there until its end.
                let end = self.at;
                let outside = |value: &ValueId| self.defined.get(value).is_none_or(|&at| at <= begun);
                for (value, last) in &mut self.used {
                    if *last >= begun && outside(value) {
                        *last = end;
                    }
                }
            }
        }
    }

    fn note(&mut self, value: ValueId) {
        self.used.insert(value, self.at);
    }
}
