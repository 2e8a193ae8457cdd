//! Reductions: what all iterations of a loop accumulate in one place.
//!
//! `old = load p; new = old + x; store p = new` with `p` the same in all iterations, or the same through a variable.
//! The loop may then keep partial results and combine them behind it, which changes the order of the
//! operations: always the same result for integers, for floats only where the mode allows it.

use hashbrown::HashMap;

use crate::kernel::{BufferId, Kernel, Op, Stmt, ValueId, VarId};
use crate::scalar::{BinaryOp, DType};

/// Where partial results end up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Total {
    /// In memory.
    Memory {
        /// What is reached.
        buffer: BufferId,
        /// Address, defined outside the loop.
        address: ValueId,
        /// Bytes added to it.
        displacement: i64,
    },
    /// In a variable.
    Variable(VarId),
}

/// One reduction of a loop.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Reduction {
    /// The total before an iteration.
    pub old: ValueId,
    /// The total after it.
    pub new: ValueId,
    /// How they meet.
    pub op: BinaryOp,
    /// Type of the total.
    pub ty: DType,
    /// Its place.
    pub total: Total,
}

/// The reductions of a loop body.
pub fn reductions(kernel: &Kernel, body: &[Stmt], reassociate: bool) -> Vec<Reduction> {
    let mut uses: HashMap<ValueId, usize> = HashMap::new();
    let mut definitions: HashMap<ValueId, &Op> = HashMap::new();
    let mut touched: HashMap<BufferId, usize> = HashMap::new();
    let mut held: HashMap<VarId, usize> = HashMap::new();
    let mut note = |value: ValueId| *uses.entry(value).or_default() += 1;
    for stmt in body {
        match stmt {
            Stmt::Let(value, op) => {
                op.each_operand(&mut note);
                definitions.insert(*value, op);
                match op {
                    Op::Load { buffer, .. } => *touched.entry(*buffer).or_default() += 1,
                    Op::Get(variable) => *held.entry(*variable).or_default() += 1,
                    _ => {}
                }
            }
            Stmt::Set(variable, value) => {
                note(*value);
                *held.entry(*variable).or_default() += 1;
            }
            Stmt::Check(value, _) => note(*value),
            Stmt::Store { buffer, value, address, .. } => {
                note(*value);
                note(*address);
                *touched.entry(*buffer).or_default() += 1;
            }
            _ => return Vec::new(),
        }
    }
    let mut found = Vec::new();
    for stmt in body {
        let (new, total, alone) = match stmt {
            Stmt::Store { buffer, address, displacement, value } if !definitions.contains_key(address) => {
                let total = Total::Memory { buffer: *buffer, address: *address, displacement: *displacement };
                (*value, total, touched.get(buffer) == Some(&2))
            }
            Stmt::Set(variable, value) => {
                (*value, Total::Variable(*variable), held.get(variable) == Some(&2))
            }
            _ => continue,
        };
        let Some(Op::Binary(op, a, b)) = definitions.get(&new) else { continue };
        let ty = kernel.values[new];
        let is_old = |value: &ValueId| match (definitions.get(value), total) {
            (Some(Op::Load { buffer, address, displacement, ty: read }), Total::Memory { .. }) => {
                *read == ty
                    && total
                        == Total::Memory { buffer: *buffer, address: *address, displacement: *displacement }
            }
            (Some(Op::Get(variable)), Total::Variable(own)) => *variable == own,
            _ => false,
        };
        let Some(&old) = [a, b].into_iter().find(|value| is_old(value)) else { continue };
        let single = uses.get(&old) == Some(&1) && uses.get(&new) == Some(&1);
        if alone && single && may_regroup(*op, ty, reassociate) {
            found.push(Reduction { old, new, op: *op, ty, total });
        }
    }
    found
}

fn may_regroup(op: BinaryOp, ty: DType, reassociate: bool) -> bool {
    use BinaryOp::{Add, BitAnd, BitOr, BitXor, Max, Min, Mul};
    match ty {
        DType::I32 | DType::I64 => matches!(op, Add | Mul | Min | Max | BitAnd | BitOr | BitXor),
        DType::F32 | DType::F64 => reassociate && matches!(op, Add | Mul | Min | Max),
        _ => false,
    }
}
