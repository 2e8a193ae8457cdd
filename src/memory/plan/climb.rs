//! Small changes to an order of items, kept when they do not hurt.
//!
//! The item at the peak can only come down if an item it meets makes room, so those two change places.

use super::instance::{Conflicts, Instance, Layout};
use super::sequence::{Fit, place};

/// How many neighbours all tries together may look at.
const EFFORT: usize = 1_000_000;
/// How many tries.
const MOST_TRIES: usize = 3_000;
/// Fewer tries than this find nothing.
const LEAST_TRIES: usize = 16;

pub(super) fn improve(instance: &Instance, conflicts: &Conflicts, mut order: Vec<u32>, best: &mut Layout) {
    let cost: usize = order.iter().map(|&item| conflicts.of(item).len() + 1).sum();
    let tries = (EFFORT / cost.max(1)).min(MOST_TRIES);
    if tries < LEAST_TRIES {
        return;
    }
    let mut positions = vec![0usize; instance.len()];
    for (position, &item) in order.iter().enumerate() {
        positions[item as usize] = position;
    }
    let mut taken = Vec::new();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut present = place(instance, conflicts, &order, Fit::Lowest, &mut taken);
    for _ in 0..tries {
        if best.peak <= instance.lower_bound {
            break;
        }
        let highest: Vec<u32> = order
            .iter()
            .copied()
            .filter(|&item| present.offsets[item as usize] + instance.sizes[item as usize] == present.peak)
            .collect();
        let Some(&item) = highest.get(chance.below(highest.len())) else { break };
        // What it lies on, and what that lies on, has to move.
        let around = conflicts.of(item);
        let Some(&other) = around.get(chance.below(around.len())) else { break };
        let other = match conflicts.of(other) {
            further if chance.below(2) == 1 && !further.is_empty() => further[chance.below(further.len())],
            _ => other,
        };
        let (a, b) = (positions[item as usize], positions[other as usize]);
        order.swap(a, b);
        let layout = place(instance, conflicts, &order, Fit::Lowest, &mut taken);
        if layout.peak <= present.peak {
            positions.swap(item as usize, other as usize);
            if layout.peak < best.peak {
                best.clone_from(&layout);
            }
            present = layout;
        } else {
            order.swap(a, b);
        }
    }
}

/// Numbers that look random and are always the same (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}
