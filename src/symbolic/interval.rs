//! Intervals of integers, open ends included.

/// All integers from `lower` to `upper`; `None` is an open end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval {
    /// The smallest value, if it is known.
    pub lower: Option<i64>,
    /// The largest value, if it is known.
    pub upper: Option<i64>,
}

impl Interval {
    /// All integers.
    pub const ALL: Interval = Interval { lower: None, upper: None };

    /// One integer.
    pub fn exactly(value: i64) -> Interval {
        Interval { lower: Some(value), upper: Some(value) }
    }

    /// From `lower` to `upper`.
    pub fn between(lower: i64, upper: i64) -> Interval {
        Interval { lower: Some(lower), upper: Some(upper) }
    }

    /// Whether no value is negative.
    pub fn is_nonnegative(self) -> bool {
        self.lower.is_some_and(|lower| lower >= 0)
    }

    /// Whether all values are at least one.
    pub fn is_positive(self) -> bool {
        self.lower.is_some_and(|lower| lower >= 1)
    }

    pub(super) fn meet(self, other: Interval) -> Interval {
        Interval {
            lower: both(self.lower, other.lower, i64::max),
            upper: both(self.upper, other.upper, i64::min),
        }
    }

    pub(super) fn hull(self, other: Interval) -> Interval {
        Interval {
            lower: self.lower.zip(other.lower).map(|(a, b)| a.min(b)),
            upper: self.upper.zip(other.upper).map(|(a, b)| a.max(b)),
        }
    }

    pub(super) fn min(self, other: Interval) -> Interval {
        Interval {
            lower: self.lower.zip(other.lower).map(|(a, b)| a.min(b)),
            upper: both(self.upper, other.upper, i64::min),
        }
    }

    pub(super) fn max(self, other: Interval) -> Interval {
        Interval {
            lower: both(self.lower, other.lower, i64::max),
            upper: self.upper.zip(other.upper).map(|(a, b)| a.max(b)),
        }
    }

    pub(super) fn add(self, other: Interval) -> Interval {
        let add = |a: Option<i64>, b: Option<i64>| a.zip(b).and_then(|(a, b)| a.checked_add(b));
        Interval { lower: add(self.lower, other.lower), upper: add(self.upper, other.upper) }
    }

    pub(super) fn negated(self) -> Interval {
        Interval {
            lower: self.upper.and_then(i64::checked_neg),
            upper: self.lower.and_then(i64::checked_neg),
        }
    }

    pub(super) fn scaled(self, factor: i64) -> Interval {
        let scale = |end: Option<i64>| end.and_then(|end| end.checked_mul(factor));
        let scaled = Interval { lower: scale(self.lower), upper: scale(self.upper) };
        match factor {
            0 => Interval::exactly(0),
            1.. => scaled,
            _ => Interval { lower: scaled.upper, upper: scaled.lower },
        }
    }

    pub(super) fn mul(self, other: Interval) -> Interval {
        if let (Some(a), Some(b), Some(c), Some(d)) = (self.lower, self.upper, other.lower, other.upper) {
            let corners = [a.checked_mul(c), a.checked_mul(d), b.checked_mul(c), b.checked_mul(d)];
            // A corner that does not fit leaves both ends open; finer cases are not worth their code.
            let Some(corners) = corners.into_iter().collect::<Option<Vec<i64>>>() else {
                return Interval::ALL;
            };
            return Interval { lower: corners.iter().min().copied(), upper: corners.iter().max().copied() };
        }
        match (self.sign(), other.sign()) {
            (Some(true), Some(true)) => {
                Interval { lower: product(self.lower, other.lower).or(Some(0)), upper: None }
            }
            (Some(true), Some(false)) | (Some(false), Some(true)) => Interval { lower: None, upper: Some(0) },
            (Some(false), Some(false)) => Interval { lower: Some(0), upper: None },
            _ => Interval::ALL,
        }
    }

    pub(super) fn pow(self, power: u32) -> Interval {
        let raised = |end: Option<i64>| end.and_then(|end| end.checked_pow(power));
        if self.is_nonnegative() || power % 2 == 1 {
            return Interval { lower: raised(self.lower), upper: raised(self.upper) };
        }
        let farthest = raised(self.lower).zip(raised(self.upper)).map(|(a, b)| a.max(b));
        let nearest = self.upper.filter(|&upper| upper < 0).and_then(|upper| upper.checked_pow(power));
        Interval { lower: nearest.or(Some(0)), upper: farthest }
    }

    /// The interval under a function that never decreases.
    pub(super) fn monotone(self, f: impl Fn(i64) -> Option<i64>) -> Interval {
        Interval { lower: self.lower.and_then(&f), upper: self.upper.and_then(&f) }
    }

    /// `Some(true)`: nothing negative; `Some(false)`: nothing positive.
    fn sign(self) -> Option<bool> {
        match self {
            Interval { lower: Some(0..), .. } => Some(true),
            Interval { upper: Some(..=0), .. } => Some(false),
            _ => None,
        }
    }
}

fn product(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a?.checked_mul(b?)
}

fn both(a: Option<i64>, b: Option<i64>, f: impl Fn(i64, i64) -> i64) -> Option<i64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(f(a, b)),
        (a, b) => a.or(b),
    }
}
