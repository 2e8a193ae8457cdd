//! Items one after another, each into a hole among the items it meets.

use super::instance::{Conflicts, Instance, Layout};

/// Which hole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fit {
    /// The lowest that is large enough.
    Lowest,
    /// The smallest that is large enough.
    Tightest,
}

/// Not placed yet.
const NOWHERE: u64 = u64::MAX;

/// How many neighbours all sequences together may look at; the first one is free.
const EFFORT: usize = 1_000_000;

/// Tries the known orders while they can help; gives the best one.
pub(super) fn best(instance: &Instance, conflicts: &Conflicts, best: &mut Layout) -> Vec<u32> {
    let mut taken = Vec::new();
    let mut effort = 0;
    let mut found: Option<(u64, Vec<u32>)> = None;
    let cost: usize = instance.by_time.iter().map(|&item| conflicts.of(item).len() + 1).sum();
    for order in orders(instance, conflicts) {
        for fit in [Fit::Tightest, Fit::Lowest] {
            if best.peak <= instance.lower_bound || (effort > 0 && effort + cost > EFFORT) {
                break;
            }
            effort += cost;
            let layout = place(instance, conflicts, &order, fit, &mut taken);
            if found.as_ref().is_none_or(|(peak, _)| layout.peak < *peak) {
                found = Some((layout.peak, order.clone()));
            }
            if layout.peak < best.peak {
                *best = layout;
            }
        }
    }
    found.map_or_else(|| instance.by_time.clone(), |(_, order)| order)
}

/// Places the items of `order`; `taken` is room to work in.
pub(super) fn place(
    instance: &Instance,
    conflicts: &Conflicts,
    order: &[u32],
    fit: Fit,
    taken: &mut Vec<(u64, u64)>,
) -> Layout {
    let mut layout = Layout { offsets: vec![NOWHERE; instance.len()], peak: 0 };
    for &item in order {
        taken.clear();
        for &other in conflicts.of(item) {
            let offset = layout.offsets[other as usize];
            if offset != NOWHERE {
                taken.push((offset, offset + instance.sizes[other as usize]));
            }
        }
        taken.sort_unstable();
        let size = instance.sizes[item as usize];
        let mut end = 0;
        let mut tightest: Option<(u64, u64)> = None;
        for &(offset, until) in &*taken {
            let start = instance.aligned(item, end);
            if start + size <= offset {
                let spare = offset - end - size;
                if tightest.is_none_or(|(known, _)| spare < known) {
                    tightest = Some((spare, start));
                }
                if fit == Fit::Lowest {
                    break;
                }
            }
            end = end.max(until);
        }
        let start = tightest.map_or_else(|| instance.aligned(item, end), |(_, start)| start);
        layout.offsets[item as usize] = start;
        layout.peak = layout.peak.max(start + size);
    }
    for offset in &mut layout.offsets {
        if *offset == NOWHERE {
            *offset = 0;
        }
    }
    layout
}

fn orders(instance: &Instance, conflicts: &Conflicts) -> Vec<Vec<u32>> {
    let size = |item: u32| instance.sizes[item as usize];
    let length = |item: u32| {
        let span = instance.spans[item as usize];
        u64::from(span.last - span.first) + 1
    };
    let demand: Vec<u128> = (0..instance.len() as u32)
        .map(|item| {
            let around = conflicts.of(item).iter().map(|&other| u128::from(size(other)));
            around.sum::<u128>() + u128::from(size(item))
        })
        .collect();
    let sorted = |key: &dyn Fn(u32) -> (u128, u128)| {
        let mut order = instance.by_time.clone();
        order.sort_by_key(|&item| std::cmp::Reverse(key(item)));
        order
    };
    vec![
        sorted(&|item| (size(item).into(), length(item).into())),
        sorted(&|item| (u128::from(size(item)) * u128::from(length(item)), size(item).into())),
        sorted(&|item| (demand[item as usize], size(item).into())),
        sorted(&|item| (length(item).into(), size(item).into())),
        instance.by_time.clone(),
    ]
}
