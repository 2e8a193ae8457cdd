//! What a search found, in words.

use std::fmt;

use serde_json::{Value, json};

use crate::check::compare::show;

use super::{Found, Half};

/// A step from the outside in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// `state`, `map`, `iteration`, `tasklet`, ...
    pub kind: &'static str,
    /// Its label, or the iteration.
    pub name: String,
    /// Which of how many.
    pub detail: String,
}

/// Who wrote a value that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The element and its value.
    pub what: String,
    /// Where it was written, from the outside in; `None`: it is an input.
    pub written_at: Option<String>,
    /// How many reads away from the difference.
    pub distance: usize,
}

/// Where two halves part.
#[derive(Debug)]
pub struct Located {
    /// What the sides are called.
    pub sides: Vec<String>,
    /// From the outside in.
    pub places: Vec<Place>,
    /// The first element that differs.
    pub found: Found,
    /// Whether the search came down to one tasklet, copy or library node.
    pub exact: bool,
    /// Why it did not.
    pub note: Option<String>,
    /// Which state of the program, counted from one as they run, makes the difference.
    pub step: Option<i64>,
    /// Of recorded arrays: which is the first that differs, and which agree before it.
    pub recorded: Option<String>,
    /// What was read there, element by element.
    pub values: Vec<(String, Vec<usize>, String)>,
    /// Where those values come from.
    pub history: Vec<Origin>,
    /// The smallest program that still shows the difference, once per side.
    pub halves: Vec<Half>,
}

impl Located {
    /// The innermost place of a kind.
    pub fn innermost(&self, kind: &str) -> Option<&Place> {
        self.places.iter().rev().find(|place| place.kind == kind)
    }

    /// The report for scripts.
    pub fn to_json(&self) -> Value {
        let number = |value: Option<crate::scalar::Scalar>| value.map(show);
        json!({
            "sides": self.sides,
            "places": self.places.iter().map(|place| json!({
                "kind": place.kind, "name": place.name, "detail": place.detail,
            })).collect::<Vec<_>>(),
            "container": self.found.container,
            "index": self.found.index,
            "left": number(self.found.left),
            "right": number(self.found.right),
            "ends": self.found.ends.as_ref().map(|(left, right)| json!([left, right])),
            "exact": self.exact,
            "note": self.note,
            "recorded": self.recorded,
            "values": self.values.iter().map(|(name, index, value)| json!({
                "container": name, "index": index, "value": value,
            })).collect::<Vec<_>>(),
            "history": self.history.iter().map(|origin| json!({
                "what": origin.what, "written_at": origin.written_at, "distance": origin.distance,
            })).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((left, right)) = &self.ends {
            return write!(f, "one side {left}; the other {right}");
        }
        let value = |value: Option<crate::scalar::Scalar>| value.map_or("?".to_owned(), show);
        write!(f, "{}{:?}: {} and {}", self.container, self.index, value(self.left), value(self.right))
    }
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "first difference ({}):", self.sides.join(" and "))?;
        if let Some(recorded) = &self.recorded {
            writeln!(f, "  {recorded}")?;
        }
        for (depth, place) in self.places.iter().enumerate() {
            write!(f, "{:indent$}{} {}", "", place.kind, place.name, indent = 2 + 2 * depth)?;
            if !place.detail.is_empty() {
                write!(f, " ({})", place.detail)?;
            }
            writeln!(f)?;
        }
        write!(f, "{:indent$}{}", "", self.found, indent = 2 + 2 * self.places.len())?;
        if let Some(note) = &self.note {
            write!(f, "\nnot narrowed further: {note}")?;
        }
        if !self.values.is_empty() {
            write!(f, "\nread there:")?;
            for (name, index, value) in &self.values {
                write!(f, "\n  {name}{index:?} = {value}")?;
            }
        }
        if !self.history.is_empty() {
            write!(f, "\nwhere that comes from:")?;
            for origin in &self.history {
                let from = origin.written_at.as_deref().unwrap_or("an input");
                write!(f, "\n  {:indent$}{} <- {from}", "", origin.what, indent = 2 * origin.distance)?;
            }
        }
        Ok(())
    }
}
