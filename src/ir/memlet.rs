use crate::entity::Name;
use crate::scalar::Code;
use crate::symbolic::ExprId;

use super::Extra;

/// Which elements an edge moves.
///
/// `subset` belongs to `data`; `other_subset` to the container at the other end. An empty memlet (no data)
/// only orders its ends.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Memlet {
    /// The container, or `None` for an ordering edge.
    pub data: Option<Name>,
    /// Elements of `data`; `None` means all of it.
    pub subset: Option<Subset>,
    /// Elements at the other end of a copy; `None` means derived.
    pub other_subset: Option<Subset>,
    /// Write-conflict resolution: how a new value meets the old one.
    pub wcr: Option<Wcr>,
    /// Access count unknown: read and written at each statement instead of before and after the body.
    pub dynamic: bool,
    /// Number of elements moved, as written; informative.
    pub volume: Option<ExprId>,
    /// Whether `data` is at the source end. Only matters when both ends are the same container.
    pub is_data_src: Option<bool>,
    /// Uninterpreted properties.
    pub extra: Extra,
}

impl Memlet {
    /// Whether the edge only orders its ends.
    pub fn is_empty(&self) -> bool {
        self.data.is_none()
    }
}

/// A box of index ranges, one per dimension.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Subset {
    /// One range per dimension.
    pub ranges: Vec<Range>,
}

/// One dimension of a subset or map range. **`end` is inclusive**, as in DaCe.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Range {
    /// First index.
    pub start: ExprId,
    /// Last index (inclusive).
    pub end: ExprId,
    /// Distance between indices.
    pub step: ExprId,
    /// Elements taken at each index (1 except for vector-like subsets).
    pub tile: ExprId,
}

/// A write-conflict function `f(old, new)`.
#[derive(Clone, PartialEq, Debug)]
pub struct Wcr {
    /// Source text, a Python lambda of two parameters.
    pub text: String,
    /// Two [`Value`](crate::scalar::PortKind::Value) ports, `old` first; one result. `None` until lowered.
    pub code: Option<Code>,
}
