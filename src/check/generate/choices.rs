//! Where a generator's decisions come from.
//!
//! The same generator is driven by a seed (a fuzzing run), by bytes (a coverage-guided fuzzer, `arbitrary`) and by
//! a property-testing library that shrinks those bytes. Every decision is a number below a bound, and **zero is
//! always the simplest choice**: bytes that run out read as zeros, so shorter and smaller input means a simpler
//! program, and a program of any bytes ends.

/// A source of decisions.
#[derive(Clone, Debug)]
pub struct Choices<'b> {
    source: Source<'b>,
}

#[derive(Clone, Debug)]
enum Source<'b> {
    Seed(u64),
    Bytes(&'b [u8]),
}

impl<'b> Choices<'b> {
    /// Decisions that follow from a seed; there is no end to them.
    pub fn from_seed(seed: u64) -> Choices<'static> {
        Choices { source: Source::Seed(seed) }
    }

    /// Decisions that bytes spell; zeros follow.
    pub fn from_bytes(bytes: &'b [u8]) -> Choices<'b> {
        Choices { source: Source::Bytes(bytes) }
    }

    /// Whether all further decisions will be zero.
    pub fn is_exhausted(&self) -> bool {
        matches!(self.source, Source::Bytes([]))
    }

    /// A number below `bound`; zero if `bound` is zero or one.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound <= 1 {
            return 0;
        }
        let number = if bound <= 256 { u64::from(self.byte()) } else { self.word() };
        (number % bound as u64) as usize
    }

    /// True in about `percent` of a hundred cases, false when in doubt.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.below(100) >= 100usize.saturating_sub(percent as usize)
    }

    /// One of the list, the first when in doubt; `None` if the list is empty.
    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> Option<&'l T> {
        list.get(self.below(list.len()))
    }

    /// The position of one weight, in proportion to the weights.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u32 = weights.iter().sum();
        let mut left = self.below(total as usize) as u32;
        for (position, &weight) in weights.iter().enumerate() {
            if left < weight {
                return position;
            }
            left -= weight;
        }
        0
    }

    /// 64 bits.
    pub fn word(&mut self) -> u64 {
        match &mut self.source {
            Source::Seed(state) => split_mix(state),
            Source::Bytes(_) => (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte())),
        }
    }

    fn byte(&mut self) -> u8 {
        match &mut self.source {
            Source::Seed(state) => (split_mix(state) >> 32) as u8,
            Source::Bytes(bytes) => match bytes.split_first() {
                Some((&first, rest)) => {
                    *bytes = rest;
                    first
                }
                None => 0,
            },
        }
    }
}

/// The step of SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut word = *state;
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_run_out_are_zeros() {
        let mut choices = Choices::from_bytes(&[7]);
        assert_eq!(choices.below(5), 2);
        assert!(choices.is_exhausted());
        assert_eq!((choices.below(5), choices.chance(99), choices.word()), (0, false, 0));
    }

    #[test]
    fn a_seed_gives_the_same_numbers_in_bounds() {
        let draw = || {
            let mut choices = Choices::from_seed(3);
            (0..1000).map(|bound| choices.below(bound)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        assert!(draw().iter().enumerate().all(|(bound, &number)| number < bound.max(1)));
    }

    #[test]
    fn weights_count() {
        let mut choices = Choices::from_seed(1);
        let mut counts = [0; 3];
        for _ in 0..10_000 {
            counts[choices.weighted(&[1, 0, 3])] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((2_200..2_800).contains(&counts[0]), "{counts:?}");
    }
}
