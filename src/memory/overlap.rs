//! Whether arguments of a call share memory.

use std::ops::Range;

use smallvec::SmallVec;

/// More ranges of interest than these are found by sorting.
const FEW: usize = 16;

/// Whether one of the ranges at `written` meets another range, and `matters` for the two of them. Ranges that are empty
/// meet nothing.
pub(crate) fn meets(
    ranges: &[Range<usize>],
    written: &[usize],
    matters: impl Fn(usize, usize) -> bool,
) -> bool {
    if written.len() <= FEW {
        return written.iter().any(|&a| {
            let Some(mine) = ranges.get(a).filter(|range| !range.is_empty()) else { return false };
            // A loop without branches: nearly always nothing meets.
            let met = |other: &Range<usize>| {
                (other.start < mine.end) & (mine.start < other.end) & (other.start < other.end)
            };
            let count = ranges.iter().filter(|other| met(other)).count();
            count > 1 && ranges.iter().enumerate().any(|(b, other)| a != b && met(other) && matters(a, b))
        });
    }
    let mut flags: SmallVec<[bool; 64]> = SmallVec::from_elem(false, ranges.len());
    for &a in written {
        if let Some(flag) = flags.get_mut(a) {
            *flag = true;
        }
    }
    let mut sorted: SmallVec<[(usize, usize, usize); 64]> = ranges
        .iter()
        .enumerate()
        .filter(|(_, range)| !range.is_empty())
        .map(|(at, range)| (range.start, range.end, at))
        .collect();
    sorted.sort_unstable();
    sorted.iter().enumerate().any(|(number, &(_, end, a))| {
        sorted[number + 1..]
            .iter()
            .take_while(|(start, ..)| *start < end)
            .any(|&(_, _, b)| (flags[a] || flags[b]) && matters(a, b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By definition.
    fn plainly(ranges: &[Range<usize>], written: &[usize], matters: impl Fn(usize, usize) -> bool) -> bool {
        (0..ranges.len()).any(|a| {
            (0..ranges.len()).any(|b| {
                let shared = (0..200).any(|byte| ranges[a].contains(&byte) && ranges[b].contains(&byte));
                a != b && written.contains(&a) && shared && matters(a, b)
            })
        })
    }

    proptest! {
        #[test]
        fn few_and_many_give_what_the_definition_says(
            ranges in prop::collection::vec((0_usize..180, 0_usize..12), 1..30),
            writes in prop::collection::vec(any::<bool>(), 30),
            spared in (0_usize..30, 0_usize..30),
        ) {
            let ranges: Vec<Range<usize>> = ranges.into_iter().map(|(at, bytes)| at..at + bytes).collect();
            let written: Vec<usize> = (0..ranges.len()).filter(|&at| writes[at]).collect();
            let matters = |a: usize, b: usize| (a, b) != spared && (b, a) != spared;
            prop_assert_eq!(meets(&ranges, &written, matters), plainly(&ranges, &written, matters));
            for count in [1, 2, written.len()] {
                let some = &written[..count.min(written.len())];
                prop_assert_eq!(meets(&ranges, some, matters), plainly(&ranges, some, matters));
            }
        }
    }
}
