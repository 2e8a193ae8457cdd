//! Which parameters of a kernel are sizes: how often loops turn, and how much memory is taken, follows from them.
//!
//! Such parameters seldom change from call to call, and much follows from them: code for one set of sizes knows strides,
//! trip counts and that every access is in range.

use hashbrown::{HashMap, HashSet};

use super::{Kernel, Op, Stmt, ValueId, VarId};

/// Whether each parameter is a size, in the order of the kernel's parameters.
pub fn sizes(kernel: &Kernel) -> Vec<bool> {
    let mut made: HashMap<ValueId, &Op> = HashMap::new();
    let mut set: HashMap<VarId, Vec<ValueId>> = HashMap::new();
    let mut open: Vec<ValueId> = Vec::new();
    for stmt in Stmt::all(&kernel.body) {
        match stmt {
            Stmt::Let(value, op) => drop(made.insert(*value, op)),
            Stmt::Set(variable, value) => set.entry(*variable).or_default().push(*value),
            Stmt::For { start, stop, .. } => open.extend([*start, *stop]),
            Stmt::Alloc { bytes, .. } => open.push(*bytes),
            _ => {}
        }
    }
    let mut seen: HashSet<ValueId> = HashSet::new();
    while let Some(value) = open.pop() {
        if !seen.insert(value) {
            continue;
        }
        match made.get(&value) {
            // What memory holds is no parameter.
            Some(Op::Load { .. }) | None => {}
            Some(Op::Get(variable)) => open.extend(set.get(variable).into_iter().flatten()),
            Some(op) => op.each_operand(|operand| open.push(operand)),
        }
    }
    kernel.parameters.iter().map(|parameter| seen.contains(&parameter.value)).collect()
}
