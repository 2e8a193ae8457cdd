//! A planning problem made ready: rounded sizes, the lower bound, and who meets whom.

use crate::analysis::liveness::Span;

use super::{Item, PlanError};

pub(super) struct Instance {
    pub spans: Vec<Span>,
    /// Rounded up to the alignment.
    pub sizes: Vec<u64>,
    pub alignments: Vec<u64>,
    pub lower_bound: u64,
    pub total: u64,
    /// Items that need bytes, by first moment.
    pub by_time: Vec<u32>,
}

/// Offsets, and how many bytes they need.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub offsets: Vec<u64>,
    pub peak: u64,
}

/// For each item those it shares a moment with.
pub(super) struct Conflicts {
    starts: Vec<usize>,
    others: Vec<u32>,
}

/// More pairs than this are left to the sweep.
const MOST_PAIRS: usize = 2_000_000;

impl Instance {
    pub fn new(items: &[Item]) -> Result<Instance, PlanError> {
        let mut sizes = Vec::with_capacity(items.len());
        let mut total: u64 = 0;
        let mut widest: u64 = 1;
        for item in items {
            let rounded =
                item.bytes.checked_next_multiple_of(item.alignment.max(1)).ok_or(PlanError::Overflow)?;
            total = total.checked_add(rounded).ok_or(PlanError::Overflow)?;
            widest = widest.max(item.alignment);
            sizes.push(rounded);
        }
        // Gaps that alignment makes count too.
        widest
            .checked_mul(items.len() as u64)
            .and_then(|gaps| gaps.checked_add(total))
            .ok_or(PlanError::Overflow)?;
        let mut by_time: Vec<u32> =
            (0..items.len() as u32).filter(|&item| sizes[item as usize] > 0).collect();
        by_time.sort_by_key(|&item| (items[item as usize].span.first, item));
        let spans: Vec<Span> = items.iter().map(|item| item.span).collect();
        let mut instance = Instance {
            spans,
            sizes,
            alignments: items.iter().map(|item| item.alignment.max(1)).collect(),
            lower_bound: 0,
            total,
            by_time,
        };
        instance.lower_bound = instance.busiest();
        Ok(instance)
    }

    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// The largest sum of sizes alive at one moment.
    fn busiest(&self) -> u64 {
        let mut ends = self.by_time.clone();
        ends.sort_by_key(|&item| self.spans[item as usize].last);
        let mut ends = ends.into_iter().peekable();
        let (mut alive, mut most) = (0, 0);
        for &item in &self.by_time {
            let now = self.spans[item as usize].first;
            while let Some(gone) = ends.next_if(|&gone| self.spans[gone as usize].last < now) {
                alive -= self.sizes[gone as usize];
            }
            alive += self.sizes[item as usize];
            most = most.max(alive);
        }
        most
    }

    /// Who meets whom, unless those are too many to look at.
    pub fn conflicts(&self) -> Option<Conflicts> {
        let mut pairs: Vec<(u32, u32)> = Vec::new();
        let mut alive: Vec<u32> = Vec::new();
        for &item in &self.by_time {
            let now = self.spans[item as usize].first;
            alive.retain(|&other| self.spans[other as usize].last >= now);
            if pairs.len() + alive.len() > MOST_PAIRS {
                return None;
            }
            pairs.extend(alive.iter().map(|&other| (item, other)));
            alive.push(item);
        }
        let mut starts = vec![0; self.len() + 1];
        for &(a, b) in &pairs {
            starts[a as usize + 1] += 1;
            starts[b as usize + 1] += 1;
        }
        for place in 1..starts.len() {
            starts[place] += starts[place - 1];
        }
        let mut next = starts.clone();
        let mut others = vec![0; 2 * pairs.len()];
        for (a, b) in pairs {
            for (from, to) in [(a, b), (b, a)] {
                others[next[from as usize]] = to;
                next[from as usize] += 1;
            }
        }
        Some(Conflicts { starts, others })
    }

    /// The lowest offset from `at` on that suits the item.
    pub fn aligned(&self, item: u32, at: u64) -> u64 {
        at.next_multiple_of(self.alignments[item as usize])
    }
}

impl Conflicts {
    /// The items that one meets.
    pub fn of(&self, item: u32) -> &[u32] {
        &self.others[self.starts[item as usize]..self.starts[item as usize + 1]]
    }
}
