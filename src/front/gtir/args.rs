//! Arguments of a GTIR program: memory by name, and what the names mean.

use indexmap::IndexMap;

use super::{Connectivity, DimKind};
use crate::memory::Arguments;

/// The arguments of one call.
///
/// Fields and scalars are leaves: each has a binding in `memory` under its own name. Tuples only group leaves. The
/// table of connectivity `C2E` is the two-dimensional array bound to `offset:C2E`.
#[derive(Debug, Default)]
pub struct GtirArgs<'a> {
    /// Where the leaves and tables lie. Two leaves of one buffer are aliases.
    pub memory: Arguments<'a>,
    /// The program's parameters by name.
    pub params: IndexMap<String, GtirArg>,
    /// The offset provider.
    pub connectivities: IndexMap<String, Connectivity>,
    /// The dimension scans run along.
    pub column_axis: Option<String>,
}

/// What a parameter holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GtirArg {
    /// An array over named dimensions.
    Field {
        /// Name of the binding.
        leaf: String,
        /// Dimensions by name and kind, in the order of the array's indices.
        dims: Vec<(String, DimKind)>,
        /// Coordinate of element 0 in each dimension.
        start: Vec<i64>,
    },
    /// A number.
    Scalar {
        /// Name of the binding.
        leaf: String,
    },
    /// Several of these.
    Tuple(Vec<GtirArg>),
    /// An optional argument that was not given.
    Absent,
}

/// The name under which a connectivity's table is bound.
pub fn table_name(offset: &str) -> String {
    format!("offset:{offset}")
}
