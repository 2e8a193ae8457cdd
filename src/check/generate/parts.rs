//! What programs are made of: extents, containers, parameters.

use crate::front::pel::short_name;
use crate::scalar::DType;

/// A size as text, and its value in this program's run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    pub text: String,
    pub value: i64,
    /// Whether the value is the same in every run.
    pub literal: bool,
}

impl Extent {
    pub fn literal(value: i64) -> Extent {
        Extent { text: value.to_string(), value, literal: true }
    }

    /// A smaller extent, and ranges of so many elements among those of this one.
    pub fn part(&self) -> Option<(Extent, [String; 2])> {
        let part = |text: &str, value| Extent { text: text.to_owned(), value, literal: false };
        if let Some(base) = self.text.strip_prefix("2*") {
            return Some((part(base, self.value / 2), [format!("0:2*{base}:2"), format!("1:2*{base}:2")]));
        }
        let base = self.text.strip_suffix(" + 1")?;
        Some((part(base, self.value - 1), [format!("1:{base} + 1"), format!("0:{base}")]))
    }
}

/// A container that statements may use.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub name: String,
    pub dtype: DType,
    /// Empty for scalars.
    pub dims: Vec<Extent>,
    /// All of it has a value.
    pub ready: bool,
    /// Never written by the program.
    pub fixed: bool,
    /// Entries are indices below this extent.
    pub table_of: Option<Extent>,
    /// The first index has to be this text (inside a nested graph that owns one row).
    pub pinned: Option<String>,
    /// May be aliased by a view: row-major without gaps.
    pub dense: bool,
    /// May be written by conflict resolution only or not at all (a scalar inside a parallel scope).
    pub scalar: bool,
}

impl Container {
    /// The whole container as a memlet.
    pub fn whole(&self) -> String {
        if self.dims.is_empty() {
            return format!("{}[0]", self.name);
        }
        let ranges: Vec<String> = self.dims.iter().map(|extent| format!("0:{}", extent.text)).collect();
        format!("{}[{}]", self.name, ranges.join(", "))
    }

    /// Type and shape as declared.
    pub fn descriptor(&self) -> String {
        let ty = short_name(self.dtype);
        if self.dims.is_empty() {
            return ty.to_owned();
        }
        let extents: Vec<&str> = self.dims.iter().map(|extent| extent.text.as_str()).collect();
        format!("{ty}[{}]", extents.join(", "))
    }
}

/// A map parameter or loop variable that indexes extents. Its range is settled after the body is known: it runs
/// over `low .. extent - high`.
#[derive(Clone, Debug)]
pub(super) struct Param {
    pub name: String,
    pub extent: Extent,
    pub low: i64,
    pub high: i64,
    /// Reads must not shrink the range.
    pub exact: bool,
    /// Bounded by another parameter: `0:other + 1`.
    pub below: Option<String>,
    pub step: i64,
    /// Iterations of a map, which may run at the same time; otherwise those of a loop.
    pub map: bool,
}

impl Param {
    /// The range as text.
    pub fn range(&self) -> String {
        let mut range = match (&self.below, self.low, self.high) {
            (Some(other), ..) => format!("0:{other} + 1"),
            (None, low, 0) => format!("{low}:{}", self.extent.text),
            (None, low, high) => format!("{low}:{} - {high}", self.extent.text),
        };
        if self.step != 1 {
            range.push_str(&format!(":{}", self.step));
        }
        range
    }

    /// Whether every index of the extent is met.
    pub fn is_full(&self) -> bool {
        self.low == 0 && self.high == 0 && self.below.is_none() && self.step == 1
    }
}

/// What an expression gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    Real,
    Integer,
    Boolean,
    Complex,
}

impl Class {
    pub fn of(dtype: DType) -> Class {
        match dtype {
            DType::Bool => Class::Boolean,
            _ if dtype.is_complex() => Class::Complex,
            _ if dtype.is_integral() => Class::Integer,
            _ => Class::Real,
        }
    }
}
