//! The cost model: when fusing, recomputing or keeping an array pays.
//!
//! Costs are counted in *additions*: what one floating-point addition costs in a loop that is not bound by memory.
//!
//! | | cost | reason |
//! |---|---|---|
//! | addition, comparison, selection, conversion, logic | 1 | one operation |
//! | multiplication | 1 | pipelined like an addition |
//! | division, square root, remainder | 8 | not pipelined |
//! | exp, log, pow, sin and other functions | 20 | some ten multiplications and a division |
//! | reading an element that the loop reads anyway or its neighbours | 2 | from the first-level cache |
//! | an array between two loops, per place that reads it | 12 | a store, a load, and their share of memory bandwidth |
//! | the same, where a loop around reads each element again and again | 6 | a load; the store and the bandwidth are shared |
//!
//! An array between two loops is replaced by computing its elements where they are read ([`recomputation_pays`]) if that
//! costs less. With one reading place that meets each element once, nothing is computed twice and the answer is always yes.
//! A place in a loop that reads the same elements in each of its iterations computes them as often. That concerns loops
//! *around* one that runs over the elements; what does not change in an inner loop is hoisted out of it.
//!
//! A loop body has a bounded number of operations ([`MAX_BODY`]): beyond it values no longer fit the registers, and each
//! one that is spilled costs the store and load that fusion saved.

use crate::scalar::code::{Block, Op};
use crate::scalar::{BinaryOp, Code, Func};

/// Tasklets of a loop body that fusion builds at most.
pub const MAX_BODY: usize = 96;
/// An array between two loops, for each place that reads it.
pub const ARRAY: u64 = 12;
/// The same, for a place that reads each element in many iterations of a loop around.
pub const ARRAY_AGAIN: u64 = 6;
/// Reading an element.
pub const LOAD: u64 = 2;

/// Iterations of a tile along each of its two dimensions: of an access that runs across cache lines, the lines that one tile
/// touches (32, of 8 numbers each) stay in the first-level cache until the tile has read them to their ends, also where they are
/// apart by a power of two. Transposing a matrix of 2048 rows takes half the time, one of 700 rows the same time.
pub const TILE: i64 = 32;

/// Iterations of a dimension whose extent is not asked for, when accesses in loops of more and fewer dimensions are compared.
pub const ROW: usize = 16;

/// Places that read an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Places {
    /// Those that meet each element once.
    pub once: u64,
    /// Those that meet each element in many iterations of a loop around.
    pub again: u64,
}

/// Whether computing a value at each of some places is cheaper than an array. `weight` is the work of one
/// computation, its loads included; `remains`: the producer runs in any case, for other results.
pub fn recomputation_pays(weight: u64, places: Places, remains: bool) -> bool {
    let Places { once, again } = places;
    // One place takes over what the producer does.
    let repeated = if remains { once } else { once.saturating_sub(1) };
    let work = weight.saturating_mul(repeated.saturating_add(again));
    work <= ARRAY.saturating_mul(once).saturating_add(ARRAY_AGAIN.saturating_mul(again))
}

/// The work of a piece of code, loads through pointers included.
pub fn weight(code: &Code) -> u64 {
    block_weight(&code.body)
}

/// Recursion is bounded by the nesting of blocks, which lowering bounds.
fn block_weight(block: &Block) -> u64 {
    block.insts.iter().fold(0u64, |sum, inst| sum.saturating_add(op_weight(&inst.op)))
}

fn op_weight(op: &Op) -> u64 {
    match op {
        Op::Const(_) | Op::Undef | Op::Input(_) | Op::Symbol(_) | Op::Output { .. } => 0,
        Op::Load { .. } | Op::Store { .. } => LOAD,
        Op::Binary(BinaryOp::Div | BinaryOp::FloorDiv | BinaryOp::Rem | BinaryOp::Mod, ..) => 8,
        Op::Call(Func::Sqrt | Func::Rsqrt | Func::Fmod, _) => 8,
        Op::Call(
            Func::Abs
            | Func::Floor
            | Func::Ceil
            | Func::Trunc
            | Func::Round
            | Func::RoundEven
            | Func::Sign
            | Func::IsNan
            | Func::IsInf
            | Func::IsFinite
            | Func::SignBit
            | Func::CopySign
            | Func::Fmin
            | Func::Fmax
            | Func::Fma
            | Func::Real
            | Func::Imag
            | Func::Conj
            | Func::Complex
            | Func::Identity,
            _,
        ) => 1,
        Op::Call(..) => 20,
        // One side runs, but both are compiled and a branch is not free.
        Op::If { then, otherwise, .. } => {
            block_weight(then).saturating_add(block_weight(otherwise)).saturating_add(2)
        }
        // How often is not known; it is not cheap.
        Op::Loop { condition, body, .. } => {
            block_weight(condition).saturating_add(block_weight(body)).saturating_mul(8)
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(once: u64) -> Places {
        Places { once, again: 0 }
    }

    #[test]
    fn one_place_is_always_cheaper_than_an_array() {
        assert!(recomputation_pays(1_000_000, once(1), false));
    }

    #[test]
    fn expensive_values_are_not_computed_twice() {
        assert!(recomputation_pays(3, once(4), false));
        assert!(!recomputation_pays(40, once(4), false));
    }

    #[test]
    fn expensive_values_are_not_computed_in_each_iteration_of_a_loop_around() {
        assert!(recomputation_pays(3, Places { once: 0, again: 1 }, false));
        assert!(!recomputation_pays(10, Places { once: 0, again: 1 }, false));
    }
}
