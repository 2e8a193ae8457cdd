//! Offsets in one slab for items that are not all alive at the same time.
//!
//! A pure function: spans, sizes and alignments in, offsets out; the same input gives the same plan. Items whose
//! spans meet never overlap. Finding the smallest slab is *dynamic storage allocation*, which is NP-hard; the steps,
//! each taken only while the plan is above the lower bound:
//!
//! 1. **Sweep** ([`sweep`]): items in the order of time into the best-fitting hole. `n log n`, any size of problem.
//! 2. **Sequences** ([`sequence`]): items in orders that are known to work well (by size, by area, by the demand at
//!    their busiest moment), each into the lowest or the tightest hole among the items it meets (greedy by size, as
//!    TensorFlow Lite does it after Pisarchyk and Lee, 2020).
//! 3. **Exact** ([`exact`]): branch and bound for few items, after MiniMalloc (Moffitt, 2023): items from the bottom
//!    up, each directly on top of what it meets, pruned by what still has to go above.
//! 4. **Climb** ([`climb`]): exchanges places of the item that makes the peak and of one it meets in the best order.
//!
//! Effort is counted in steps, not seconds, so plans do not depend on the machine.
//!
//! The lower bound is the largest sum of sizes alive at one moment, sizes rounded up to the alignment.

mod climb;
mod exact;
mod instance;
mod program;
mod scatter;
mod sequence;
mod sweep;
#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::analysis::liveness::Span;
use instance::Instance;

pub use program::{ProgramPlan, Row};
pub use scatter::scattered;

/// Alignment of everything in a slab: a cache line, and the widest vector.
pub const ALIGNMENT: u64 = 64;

/// Something that needs bytes for a while.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Item {
    /// When.
    pub span: Span,
    /// How many.
    pub bytes: u64,
    /// Its offset is a multiple of it; zero counts as one.
    pub alignment: u64,
}

impl Item {
    /// An item with the usual alignment.
    pub const fn new(span: Span, bytes: u64) -> Item {
        Item { span, bytes, alignment: ALIGNMENT }
    }
}

/// Where everything goes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// One per item, in bytes.
    pub offsets: Vec<u64>,
    /// Bytes of the slab.
    pub peak: u64,
    /// No plan has a smaller slab.
    pub lower_bound: u64,
    /// What separate allocations would take.
    pub total: u64,
    /// Whether no plan is better than this one.
    pub optimal: bool,
}

/// Why there is no plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PlanError {
    /// All sizes together do not fit 64 bits.
    #[error("the transients together have more bytes than fit 64 bits")]
    Overflow,
}

impl Plan {
    /// Peak over lower bound; 1 for nothing.
    pub fn ratio(&self) -> f64 {
        if self.lower_bound == 0 { 1.0 } else { self.peak as f64 / self.lower_bound as f64 }
    }
}

/// Plans a slab.
///
/// # Errors
/// [`PlanError`].
pub fn plan(items: &[Item]) -> Result<Plan, PlanError> {
    let instance = Instance::new(items)?;
    let mut best = sweep::place(&instance);
    let mut proven = false;
    if best.peak > instance.lower_bound
        && let Some(conflicts) = instance.conflicts()
    {
        let order = sequence::best(&instance, &conflicts, &mut best);
        if best.peak > instance.lower_bound {
            proven = exact::improve(&instance, &conflicts, &mut best);
        }
        if best.peak > instance.lower_bound && !proven {
            climb::improve(&instance, &conflicts, order, &mut best);
        }
    }
    Ok(Plan {
        optimal: proven || best.peak == instance.lower_bound,
        peak: best.peak,
        offsets: best.offsets,
        lower_bound: instance.lower_bound,
        total: instance.total,
    })
}
