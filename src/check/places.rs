//! Where in a field the differences lie: on the boundary, in a level, in a block.

use std::fmt;

use serde_json::{Value, json};

use crate::memory::View;
use crate::scalar::Scalar;

/// Which elements of a field differ, summed up for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Extent per dimension.
    pub shape: Vec<usize>,
    /// How many elements differ.
    pub count: usize,
    /// How many of them are first or last in some dimension of more than two indices.
    pub on_boundary: usize,
    /// First and last index per dimension.
    pub bounds: Vec<(usize, usize)>,
    /// Indices per dimension at which something differs.
    pub indices: Vec<Vec<usize>>,
    /// The first one, row by row.
    pub first: Option<Vec<usize>>,
}

impl Places {
    /// Elements for which `differ` holds.
    pub fn of(left: &View<'_>, right: &View<'_>, differ: &dyn Fn(Scalar, Scalar) -> bool) -> Places {
        let shape = left.shape().to_vec();
        let mut hit: Vec<Vec<bool>> = shape.iter().map(|&extent| vec![false; extent]).collect();
        let mut places = Places { shape: shape.clone(), ..Places::default() };
        for (position, pair) in left.scalars().zip(right.scalars()).enumerate() {
            let (Some(a), Some(b)) = pair else { continue };
            if !differ(a, b) {
                continue;
            }
            let index = left.index_of(position);
            places.count += 1;
            let edge = |(&at, &extent): (&usize, &usize)| extent > 2 && (at == 0 || at + 1 == extent);
            places.on_boundary += usize::from(index.iter().zip(&shape).any(edge));
            for (dim, &at) in index.iter().enumerate() {
                if let Some(slot) = hit.get_mut(dim).and_then(|hits| hits.get_mut(at)) {
                    *slot = true;
                }
            }
            places.first.get_or_insert(index);
        }
        places.indices = hit
            .iter()
            .map(|hits| hits.iter().enumerate().filter(|(_, hit)| **hit).map(|(at, _)| at).collect())
            .collect();
        places.bounds = places
            .indices
            .iter()
            .map(|indices: &Vec<usize>| {
                (indices.first().copied().unwrap_or(0), indices.last().copied().unwrap_or(0))
            })
            .collect();
        places
    }

    /// Whether the differing elements fill their bounding box.
    pub fn is_block(&self) -> bool {
        let size: usize = self.bounds.iter().map(|(first, last)| last - first + 1).product();
        self.count > 0 && size == self.count
    }

    /// For scripts.
    pub fn to_json(&self) -> Value {
        json!({
            "count": self.count,
            "on_boundary": self.on_boundary,
            "first": self.first,
            "bounds": self.bounds.iter().map(|(first, last)| json!([first, last])).collect::<Vec<_>>(),
            "is_block": self.is_block(),
        })
    }

    fn total(&self) -> usize {
        self.shape.iter().product()
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 0 {
            return f.write_str("nowhere");
        }
        if self.count == self.total() && self.count > 1 {
            return f.write_str("everywhere");
        }
        let bounds: Vec<String> = self
            .bounds
            .iter()
            .zip(&self.shape)
            .map(|(&(first, last), &extent)| match (first, last) {
                (first, last) if first == last => first.to_string(),
                (0, last) if last + 1 == extent => ":".to_owned(),
                (first, last) => format!("{first}:{}", last + 1),
            })
            .collect();
        let what = if self.is_block() { "all of" } else { "within" };
        write!(f, "{what} [{}]", bounds.join(", "))?;
        for (dim, (indices, &extent)) in self.indices.iter().zip(&self.shape).enumerate() {
            let (first, last) = self.bounds.get(dim).copied().unwrap_or_default();
            let gaps = indices.len() < last - first + 1;
            if extent > 2 && gaps && indices.len() <= 4 {
                write!(f, ", only at {indices:?} of dimension {dim}")?;
            }
            let steps: Vec<usize> = indices.windows(2).map(|pair| pair[1] - pair[0]).collect();
            if gaps && indices.len() > 4 && steps.windows(2).all(|pair| pair[0] == pair[1]) {
                write!(f, ", every {}. index of dimension {dim}", steps.first().unwrap_or(&1))?;
            }
        }
        if self.on_boundary == self.count {
            write!(f, ", all on the boundary")?;
        } else if self.on_boundary == 0 && self.shape.iter().any(|&extent| extent > 2) {
            write!(f, ", none on the boundary")?;
        } else if self.on_boundary > 0 {
            write!(f, ", {} of {} on the boundary", self.on_boundary, self.count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scalar::DType;

    fn places(differing: &dyn Fn(usize, usize) -> bool) -> String {
        let (rows, columns) = (5, 6);
        let mut left = Vec::new();
        let mut right = Vec::new();
        for at in 0..rows * columns {
            left.extend(0f64.to_le_bytes());
            right.extend((if differing(at / columns, at % columns) { 1f64 } else { 0.0 }).to_le_bytes());
        }
        let view = |bytes| View::new(bytes, 0, DType::F64, &[rows, columns], &[8 * columns as isize, 8]);
        Places::of(&view(&left), &view(&right), &|a, b| a != b).to_string()
    }

    #[test]
    fn places_are_told_in_words() {
        assert_eq!(places(&|_, _| false), "nowhere");
        assert_eq!(places(&|_, _| true), "everywhere");
        assert_eq!(places(&|i, _| i == 0), "all of [0, :], all on the boundary");
        assert_eq!(
            places(&|i, j| (1..3).contains(&i) && (2..4).contains(&j)),
            "all of [1:3, 2:4], none on the boundary"
        );
        assert_eq!(
            places(&|i, j| i == 2 && (j == 1 || j == 4)),
            "within [2, 1:5], only at [1, 4] of dimension 1, none on the boundary"
        );
    }
}
