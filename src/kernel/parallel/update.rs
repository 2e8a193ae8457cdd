//! Updates: what iterations do to elements that others may reach too, where the order does not matter.
//!
//! `old = load p; new = old + x; store p = new` of integers, where nobody else looks at `old` and `new`. Sums, minima, maxima
//! and operations on bits give the same whatever the order, if each update is done as one.

use hashbrown::{HashMap, HashSet};

use crate::scalar::{BinaryOp, DType};

use super::super::{BufferId, Kernel, Op, Stmt, ValueId};

/// An update of one element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Update {
    /// Where the element is.
    pub buffer: BufferId,
    /// What it was.
    pub old: ValueId,
    /// How it changes.
    pub op: BinaryOp,
    /// With what.
    pub operand: ValueId,
    /// Its type.
    pub ty: DType,
}

/// The updates of a loop's body, by what they store: of buffers that it reaches in no other way.
pub fn updates(kernel: &Kernel, body: &[Stmt]) -> HashMap<ValueId, Update> {
    let mut uses: HashMap<ValueId, usize> = HashMap::new();
    let mut accesses: HashMap<BufferId, usize> = HashMap::new();
    let mut note = |value: ValueId| *uses.entry(value).or_default() += 1;
    for stmt in Stmt::all(body) {
        match stmt {
            Stmt::Let(_, op) => {
                op.each_operand(&mut note);
                if let Op::Load { buffer, .. } = op {
                    *accesses.entry(*buffer).or_default() += 1;
                }
            }
            Stmt::Store { buffer, address, value, .. } => {
                note(*address);
                note(*value);
                *accesses.entry(*buffer).or_default() += 1;
            }
            Stmt::Set(_, value) | Stmt::Check(value, _) | Stmt::If { condition: value, .. } => note(*value),
            Stmt::For { start, stop, .. } => {
                note(*start);
                note(*stop);
            }
            Stmt::Call(_, values) => values.iter().copied().for_each(&mut note),
            _ => {}
        }
    }
    let mut found = HashMap::new();
    let mut open = vec![body];
    while let Some(list) = open.pop() {
        in_list(kernel, list, &uses, &mut found);
        open.extend(list.iter().flat_map(Stmt::lists));
    }
    // Buffers with accesses that are no updates.
    let mut updated: HashMap<BufferId, usize> = HashMap::new();
    for update in found.values() {
        *updated.entry(update.buffer).or_default() += 2;
    }
    let mixed: HashSet<BufferId> = accesses
        .into_iter()
        .filter(|(buffer, count)| updated.get(buffer) != Some(count))
        .map(|(buffer, _)| buffer)
        .collect();
    found.retain(|_, update| !mixed.contains(&update.buffer));
    found
}

/// Updates whose three statements stand in one list, without a store to the buffer between them.
fn in_list(
    kernel: &Kernel,
    list: &[Stmt],
    uses: &HashMap<ValueId, usize>,
    found: &mut HashMap<ValueId, Update>,
) {
    let mut loaded: HashMap<ValueId, (BufferId, ValueId, i64)> = HashMap::new();
    let mut changed: HashMap<ValueId, (BinaryOp, ValueId, ValueId)> = HashMap::new();
    for stmt in list {
        match stmt {
            Stmt::Let(value, Op::Load { buffer, address, displacement, .. }) => {
                loaded.insert(*value, (*buffer, *address, *displacement));
            }
            Stmt::Let(value, Op::Binary(op, a, b)) => {
                changed.insert(*value, (*op, *a, *b));
            }
            Stmt::Store { buffer, address, displacement, value } => {
                let place = (*buffer, *address, *displacement);
                let ty = kernel.values[*value];
                let update = changed.get(value).and_then(|&(op, a, b)| {
                    let (old, operand) = [(a, b), (b, a)]
                        .into_iter()
                        .find(|(old, operand)| loaded.get(old) == Some(&place) && old != operand)?;
                    let once = |value: &ValueId| uses.get(value) == Some(&1);
                    let fits = is_orderless(op, ty) && once(&old) && once(value);
                    fits.then_some(Update { buffer: *buffer, old, op, operand, ty })
                });
                found.extend(update.map(|update| (*value, update)));
                loaded.retain(|_, (other, ..)| other != buffer);
            }
            stmt if !stmt.lists().is_empty() => loaded.clear(),
            _ => {}
        }
    }
}

const fn is_orderless(op: BinaryOp, ty: DType) -> bool {
    use BinaryOp::{Add, BitAnd, BitOr, BitXor, Max, Min};
    match ty {
        DType::I32 | DType::U32 => matches!(op, Add | Min | Max | BitAnd | BitOr | BitXor),
        // As two words, whose carry the addition takes along.
        DType::I64 | DType::U64 => matches!(op, Add | BitAnd | BitOr | BitXor),
        _ => false,
    }
}
