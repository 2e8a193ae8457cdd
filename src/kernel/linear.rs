//! 64-bit integers as sums of other values times constants: what address and bounds reasoning sees.

use smallvec::SmallVec;

use super::ValueId;

/// Sums with more terms are not taken apart.
const MOST_TERMS: usize = 12;
/// Larger factors are not taken apart, so that ranges of indices cannot wrap (see `lower::bounds`).
const LARGEST_FACTOR: i64 = 1 << 20;

/// `constant + sum of factor * atom`, atoms ascending, factors not zero. Arithmetic is modulo 2^64, as kernels
/// compute.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Linear {
    /// Added to the terms.
    pub constant: i64,
    /// Atoms with their factors.
    pub terms: SmallVec<[(ValueId, i64); 4]>,
}

impl Linear {
    /// A number.
    pub fn constant(constant: i64) -> Linear {
        Linear { constant, terms: SmallVec::new() }
    }

    /// A value that is not taken apart.
    pub fn atom(value: ValueId) -> Linear {
        Linear { constant: 0, terms: SmallVec::from_slice(&[(value, 1)]) }
    }

    /// The number, if it is one.
    pub fn as_constant(&self) -> Option<i64> {
        self.terms.is_empty().then_some(self.constant)
    }

    /// The factor of an atom.
    pub fn factor(&self, atom: ValueId) -> i64 {
        self.terms.iter().find(|(value, _)| *value == atom).map_or(0, |&(_, factor)| factor)
    }

    /// `self + factor * other`, unless that gets too large.
    pub fn plus(&self, other: &Linear, factor: i64) -> Option<Linear> {
        let mut result = self.clone();
        result.constant = result.constant.wrapping_add(other.constant.wrapping_mul(factor));
        for &(atom, theirs) in &other.terms {
            let added = theirs.checked_mul(factor)?;
            match result.terms.binary_search_by_key(&atom, |&(value, _)| value) {
                Ok(place) => {
                    let sum = result.terms[place].1.checked_add(added)?;
                    if sum == 0 {
                        result.terms.remove(place);
                    } else {
                        result.terms[place].1 = sum;
                    }
                }
                Err(place) => result.terms.insert(place, (atom, added)),
            }
        }
        result.reasonable()
    }

    /// `factor * self`, unless that gets too large.
    pub fn times(&self, factor: i64) -> Option<Linear> {
        Linear::default().plus(self, factor)
    }

    /// The sum with `atom` replaced.
    pub fn replace(&self, atom: ValueId, by: &Linear) -> Option<Linear> {
        let factor = self.factor(atom);
        let mut rest = self.clone();
        rest.terms.retain(|(value, _)| *value != atom);
        rest.plus(by, factor)
    }

    fn reasonable(self) -> Option<Linear> {
        let small = self.terms.iter().all(|(_, factor)| factor.abs() <= LARGEST_FACTOR);
        (small && self.terms.len() <= MOST_TERMS).then_some(self)
    }
}
