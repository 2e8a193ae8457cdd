//! Pairs of accesses: an iteration reaches two elements side by side, as the parts of a complex number lie, and the next
//! iteration the two behind them. Together they are contiguous, so that whole vectors are loaded and stored and parted in
//! registers.
//!
//! Two loads of one statement list are a pair wherever they stand in it: each is made in every iteration that makes the
//! other. Two stores are one where one stands behind the other.

use hashbrown::HashMap;

use crate::kernel::{Kernel, Op, Stmt, ValueId};
use crate::scalar::DType;

use super::classify::{Affine, Class, Stride};

/// Where the lower of two elements lies, by what is loaded: bytes added to the address.
pub(super) fn paired_loads(
    classes: &HashMap<ValueId, Class>,
    step: i64,
    stmts: &[Stmt],
) -> HashMap<ValueId, i64> {
    let mut found = HashMap::new();
    let mut single: HashMap<(ValueId, i64, DType), ValueId> = HashMap::new();
    for stmt in stmts {
        for list in stmt.lists() {
            found.extend(paired_loads(classes, step, list));
        }
        let Stmt::Let(value, Op::Load { address, displacement, ty, .. }) = *stmt else { continue };
        if !moves_by_two(classes, address, step, ty) {
            continue;
        }
        let bytes = ty.bytes() as i64;
        let partner = [displacement.wrapping_sub(bytes), displacement.wrapping_add(bytes)]
            .into_iter()
            .find_map(|other| single.remove(&(address, other, ty)).map(|partner| (partner, other)));
        match partner {
            Some((partner, other)) => {
                let lower = displacement.min(other);
                found.insert(value, lower);
                found.insert(partner, lower);
            }
            None => {
                single.insert((address, displacement, ty), value);
            }
        }
    }
    found
}

/// Whether two statements are stores of a pair.
pub fn are_paired_stores(
    kernel: &Kernel,
    classes: &HashMap<ValueId, Class>,
    step: i64,
    first: &Stmt,
    second: &Stmt,
) -> bool {
    let (
        Stmt::Store { address, displacement, value, .. },
        Stmt::Store { address: address_2, displacement: displacement_2, value: value_2, .. },
    ) = (first, second)
    else {
        return false;
    };
    let ty = kernel.values[*value];
    let apart = displacement.wrapping_sub(*displacement_2).unsigned_abs();
    address == address_2
        && ty == kernel.values[*value_2]
        && apart == ty.bytes() as u64
        && moves_by_two(classes, *address, step, ty)
}

/// How many stores of lists are in pairs.
pub(super) fn paired_stores(
    kernel: &Kernel,
    classes: &HashMap<ValueId, Class>,
    step: i64,
    stmts: &[Stmt],
) -> usize {
    let mut count = 0;
    let mut at = 0;
    while let Some(stmt) = stmts.get(at) {
        count += stmt.lists().iter().map(|list| paired_stores(kernel, classes, step, list)).sum::<usize>();
        let next = stmts.get(at + 1);
        if next.is_some_and(|next| are_paired_stores(kernel, classes, step, stmt, next)) {
            count += 2;
            at += 1;
        }
        at += 1;
    }
    count
}

/// Whether an address moves by two elements per iteration.
fn moves_by_two(classes: &HashMap<ValueId, Class>, address: ValueId, step: i64, ty: DType) -> bool {
    let Some(Class::Affine(Affine { stride: Stride::Constant(stride), .. })) = classes.get(&address) else {
        return false;
    };
    matches!(ty, DType::F32 | DType::F64) && stride.wrapping_mul(step) == 2 * ty.bytes() as i64
}
