//! Branch and bound for few items.
//!
//! In some best plan every item lies at the bottom or directly on top of an item it meets: push everything down.
//! Such plans are built from the bottom up, the next item never below the last one. An item is only worth trying if
//! no other one would fit entirely below it. A branch is given up when at some moment the items still to place do
//! not fit between the floor under them and the best peak known.

use super::instance::{Conflicts, Instance, Layout};

/// More items are not tried.
const MOST_ITEMS: usize = 64;
/// Nodes of the search tree.
const MOST_NODES: usize = 20_000;

struct Search<'i> {
    instance: &'i Instance,
    conflicts: &'i Conflicts,
    /// Sets of items alive at one moment, each not part of another.
    crowds: Vec<Vec<u32>>,
    items: Vec<u32>,
    offsets: Vec<u64>,
    placed: Vec<bool>,
    floors: Vec<u64>,
    nodes: usize,
}

/// Looks for a better plan; whether the best one known is then proven to be optimal.
pub(super) fn improve(instance: &Instance, conflicts: &Conflicts, best: &mut Layout) -> bool {
    if instance.by_time.len() > MOST_ITEMS {
        return false;
    }
    let mut search = Search {
        instance,
        conflicts,
        crowds: crowds(instance),
        items: instance.by_time.clone(),
        offsets: vec![0; instance.len()],
        placed: vec![false; instance.len()],
        floors: vec![0; instance.len()],
        nodes: 0,
    };
    // Large items first finds good plans early.
    search.items.sort_by_key(|&item| std::cmp::Reverse(instance.sizes[item as usize]));
    search.go_on(0, 0, 0, best);
    search.nodes < MOST_NODES
}

/// The items alive at each moment at which one begins.
fn crowds(instance: &Instance) -> Vec<Vec<u32>> {
    let mut crowds: Vec<Vec<u32>> = Vec::new();
    let mut alive: Vec<u32> = Vec::new();
    let mut grown = false;
    for &item in &instance.by_time {
        let now = instance.spans[item as usize].first;
        if alive.iter().any(|&other| instance.spans[other as usize].last < now) {
            if grown {
                crowds.push(alive.clone());
            }
            alive.retain(|&other| instance.spans[other as usize].last >= now);
        }
        alive.push(item);
        grown = true;
    }
    crowds.push(alive);
    crowds
}

impl Search<'_> {
    /// Places the remaining items, none below `level`; `peak` is what is reached so far.
    fn go_on(&mut self, done: usize, level: u64, peak: u64, best: &mut Layout) {
        self.nodes += 1;
        if self.nodes >= MOST_NODES || best.peak <= self.instance.lower_bound {
            return;
        }
        if done == self.items.len() {
            if peak < best.peak {
                *best = Layout { offsets: self.offsets.clone(), peak };
            }
            return;
        }
        if self.is_hopeless(level, best.peak) {
            return;
        }
        let size = |item: u32| self.instance.sizes[item as usize];
        let open = || self.items.iter().copied().filter(|&item| !self.placed[item as usize]);
        let first_top = open()
            .map(|item| self.instance.aligned(item, self.floors[item as usize]) + size(item))
            .min()
            .unwrap_or(0);
        let candidates: Vec<(u64, u32)> = open()
            .map(|item| (self.instance.aligned(item, self.floors[item as usize]), item))
            .filter(|&(offset, _)| offset >= level && offset < first_top)
            .collect();
        for (offset, item) in candidates {
            let top = offset + self.instance.sizes[item as usize];
            if top >= best.peak {
                continue;
            }
            let before: Vec<(u32, u64)> = self
                .conflicts
                .of(item)
                .iter()
                .filter(|&&other| !self.placed[other as usize] && self.floors[other as usize] < top)
                .map(|&other| (other, self.floors[other as usize]))
                .collect();
            for &(other, _) in &before {
                self.floors[other as usize] = top;
            }
            self.placed[item as usize] = true;
            self.offsets[item as usize] = offset;
            self.go_on(done + 1, offset, peak.max(top), best);
            self.placed[item as usize] = false;
            for (other, floor) in before {
                self.floors[other as usize] = floor;
            }
        }
    }

    /// Whether no plan from here is below `peak`.
    fn is_hopeless(&self, level: u64, peak: u64) -> bool {
        self.crowds.iter().any(|crowd| {
            let mut floor = u64::MAX;
            let mut sum = 0;
            for &item in crowd.iter().filter(|&&item| !self.placed[item as usize]) {
                floor = floor.min(self.floors[item as usize].max(level));
                sum += self.instance.sizes[item as usize];
            }
            sum > 0 && floor + sum >= peak
        })
    }
}
