//! Sets of positions: boxes, half spaces and what `and_`, `or_` and `not_` make of them.

use std::rc::Rc;

use crate::entity::Name;

use super::value::Position;

/// Integers from `start` up to, not including, `stop`; [`Interval::ALL`] is open at both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval {
    /// First.
    pub start: i64,
    /// One after the last.
    pub stop: i64,
}

/// Stands for minus infinity; far from the ends so that distances can be added.
pub const BELOW: i64 = i64::MIN / 4;
/// Stands for plus infinity.
pub const ABOVE: i64 = i64::MAX / 4;

impl Interval {
    /// Everything.
    pub const ALL: Interval = Interval { start: BELOW, stop: ABOVE };

    /// Whether nothing is inside.
    pub fn is_empty(self) -> bool {
        self.start >= self.stop
    }

    /// Whether both ends are finite.
    pub fn is_finite(self) -> bool {
        self.start > BELOW / 2 && self.stop < ABOVE / 2
    }

    /// Whether it holds a coordinate.
    pub fn contains(self, at: i64) -> bool {
        self.start <= at && at < self.stop
    }

    /// What is in both.
    pub fn intersect(self, other: Interval) -> Interval {
        Interval { start: self.start.max(other.start), stop: self.stop.min(other.stop) }
    }

    /// The least interval that holds both; empty ones do not count.
    pub fn hull(self, other: Interval) -> Interval {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Interval { start: self.start.min(other.start), stop: self.stop.max(other.stop) },
        }
    }

    /// Moved by a distance; infinite ends stay infinite.
    pub fn moved(self, distance: i64) -> Interval {
        let end = |end: i64| {
            if end <= BELOW / 2 || end >= ABOVE / 2 {
                end
            } else {
                end.saturating_add(distance.clamp(BELOW / 4, ABOVE / 4))
            }
        };
        Interval { start: end(self.start), stop: end(self.stop) }
    }
}

/// A box: a product of intervals. Dimensions that are not named are free.
pub type Region = Vec<(Name, Interval)>;

/// A set of positions.
#[derive(Clone, Debug)]
pub enum Domain {
    /// A product of intervals, in the order written.
    Region(Region),
    /// In both.
    And(Rc<Domain>, Rc<Domain>),
    /// In one or both.
    Or(Rc<Domain>, Rc<Domain>),
    /// In neither.
    Not(Rc<Domain>),
}

impl Domain {
    /// Whether a position is inside; `Err` names a dimension that the position lacks.
    pub fn contains(&self, position: &Position) -> Result<bool, Name> {
        match self {
            Domain::Region(region) => {
                for (dim, interval) in region {
                    if !interval.contains(position.get(*dim).ok_or(*dim)?) {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Domain::And(a, b) => Ok(a.contains(position)? && b.contains(position)?),
            Domain::Or(a, b) => Ok(a.contains(position)? || b.contains(position)?),
            Domain::Not(a) => Ok(!a.contains(position)?),
        }
    }

    /// The box, if it is one.
    pub fn as_region(&self) -> Option<&Region> {
        match self {
            Domain::Region(region) => Some(region),
            _ => None,
        }
    }

    /// The least box that holds what is in both the set (or its complement) and `within`.
    pub fn hull_within(&self, inside: bool, within: &Region) -> Region {
        let boxes = self.boxes(inside, vec![within.clone()]);
        let mut boxes = boxes.into_iter().filter(|region| !is_empty(region));
        let Some(first) = boxes.next() else {
            let nothing = Interval { start: 0, stop: 0 };
            return within.iter().map(|(dim, _)| (*dim, nothing)).collect();
        };
        boxes.fold(first, |hull, next| hull_of(&hull, &next))
    }

    /// Boxes that together are what of `within` is in the set (or its complement).
    fn boxes(&self, inside: bool, within: Vec<Region>) -> Vec<Region> {
        // Masks are a handful of comparisons; past this many boxes the hull of everything is good enough.
        if within.len() > 1000 {
            return within;
        }
        match (self, inside) {
            (Domain::Region(region), true) => within
                .into_iter()
                .map(|mut piece| {
                    for (dim, interval) in region {
                        constrain(&mut piece, *dim, *interval);
                    }
                    piece
                })
                .collect(),
            (Domain::Region(region), false) => {
                let mut pieces = Vec::new();
                for piece in within {
                    for (dim, interval) in region {
                        for side in [
                            Interval { start: BELOW, stop: interval.start },
                            Interval { start: interval.stop, stop: ABOVE },
                        ] {
                            let mut part = piece.clone();
                            constrain(&mut part, *dim, side);
                            if !is_empty(&part) {
                                pieces.push(part);
                            }
                        }
                    }
                }
                pieces
            }
            (Domain::And(a, b), true) | (Domain::Or(a, b), false) => {
                let first = a.boxes(inside, within);
                b.boxes(inside, first)
            }
            (Domain::Or(a, b), true) | (Domain::And(a, b), false) => {
                let mut pieces = a.boxes(inside, within.clone());
                pieces.extend(b.boxes(inside, within));
                pieces
            }
            (Domain::Not(a), _) => a.boxes(!inside, within),
        }
    }
}

fn constrain(region: &mut Region, dim: Name, interval: Interval) {
    match region.iter_mut().find(|(name, _)| *name == dim) {
        Some((_, known)) => *known = known.intersect(interval),
        None => region.push((dim, interval)),
    }
}

/// Whether nothing is inside.
pub fn is_empty(region: &Region) -> bool {
    region.iter().any(|(_, interval)| interval.is_empty())
}

/// The least box that holds both; empty boxes do not count. A dimension that only one names is free.
pub fn hull_of(a: &Region, b: &Region) -> Region {
    if is_empty(a) {
        return b.clone();
    }
    if is_empty(b) {
        return a.clone();
    }
    a.iter()
        .filter_map(|(dim, interval)| {
            let (_, other) = b.iter().find(|(name, _)| name == dim)?;
            Some((*dim, interval.hull(*other)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: Name = Name(0);

    fn below(stop: i64) -> Rc<Domain> {
        Rc::new(Domain::Region(vec![(K, Interval { start: BELOW, stop })]))
    }

    #[test]
    fn hulls_of_masks() {
        let within = vec![(K, Interval { start: 0, stop: 9 })];
        let ends = Domain::Or(below(2), Rc::new(Domain::Not(below(5))));
        assert_eq!(ends.hull_within(true, &within), within);
        assert_eq!(ends.hull_within(false, &within), [(K, Interval { start: 2, stop: 5 })]);
        let nothing = below(0).hull_within(true, &within);
        assert!(is_empty(&nothing));
    }

    #[test]
    fn empty_boxes_do_not_widen_a_hull() {
        let empty = vec![(K, Interval { start: 20, stop: 20 })];
        let some = vec![(K, Interval { start: 1, stop: 3 })];
        assert_eq!(hull_of(&empty, &some), some);
        assert_eq!(hull_of(&some, &empty), some);
    }
}
