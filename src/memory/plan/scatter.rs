//! A plan that is unlike the best one, drawn from a seed: sound, with everything in another place.
//!
//! Nothing may depend on where transients lie; whoever tests that asks for such plans
//! ([`MemoryOptions::packing`](crate::memory::MemoryOptions)).

use super::instance::Instance;
use super::sequence::{Fit, place};
use super::{ALIGNMENT, Item, Plan, PlanError, plan};

/// Gaps behind items, in cache lines, are below that.
const GAPS: u64 = 4;

/// Plans a slab in an order that follows from the seed, with gaps.
///
/// # Errors
/// [`PlanError`].
pub fn scattered(items: &[Item], seed: u64) -> Result<Plan, PlanError> {
    let mut state = seed;
    let mut random = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit.max(1)
    };
    let mut apart = items.to_vec();
    for item in apart.iter_mut().filter(|item| item.bytes > 0) {
        item.bytes = item.bytes.checked_add(ALIGNMENT * random(GAPS)).ok_or(PlanError::Overflow)?;
    }
    let instance = Instance::new(&apart)?;
    // So many pairs are left to the quick way, which has no order to choose.
    let Some(conflicts) = instance.conflicts() else { return plan(items) };
    let mut order = instance.by_time.clone();
    for at in (1..order.len()).rev() {
        order.swap(at, random(at as u64 + 1) as usize);
    }
    let layout = place(&instance, &conflicts, &order, Fit::Lowest, &mut Vec::new());
    let tight = Instance::new(items)?;
    Ok(Plan {
        offsets: layout.offsets,
        peak: layout.peak,
        lower_bound: tight.lower_bound,
        total: tight.total,
        optimal: false,
    })
}
