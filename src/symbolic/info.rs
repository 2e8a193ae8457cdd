//! What is declared about symbols: their type and SymPy's assumptions.

use indexmap::IndexMap;

use crate::entity::Name;
use crate::scalar::DType;

/// Declared symbols, in order of declaration.
pub(super) type SymbolInfos = IndexMap<Name, SymbolInfo>;

/// A symbol's type and the assumptions that were declared true, by SymPy's names, ascending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SymbolInfo {
    /// Its type; `int32` unless declared.
    pub dtype: DType,
    /// SymPy's names of assumptions declared true (`positive`, `nonnegative`, ...), ascending.
    pub assumptions: Vec<Box<str>>,
}

impl Default for SymbolInfo {
    fn default() -> Self {
        Self { dtype: DType::I32, assumptions: Vec::new() }
    }
}

impl SymbolInfo {
    /// A symbol of that type with no assumptions.
    pub fn of_type(dtype: DType) -> Self {
        Self { dtype, assumptions: Vec::new() }
    }

    /// Adds an assumption.
    #[must_use]
    pub fn assuming(mut self, assumption: &str) -> Self {
        if let Err(place) = self.assumptions.binary_search_by(|known| (**known).cmp(assumption)) {
            self.assumptions.insert(place, assumption.into());
        }
        self
    }

    /// Whether an assumption was declared true.
    pub fn assumes(&self, assumption: &str) -> bool {
        self.assumptions.binary_search_by(|known| (**known).cmp(assumption)).is_ok()
    }

    /// The smallest value it may have, if that is known.
    pub fn lower(&self) -> Option<i64> {
        let unsigned = self.dtype.is_unsigned().then_some(0);
        if self.assumes("positive") {
            Some(if self.dtype.is_integral() { 1 } else { 0 })
        } else if self.assumes("nonnegative") || self.assumes("zero") {
            Some(0)
        } else {
            unsigned
        }
    }

    /// The largest value it may have, if that is known.
    pub fn upper(&self) -> Option<i64> {
        let boolean = (self.dtype == DType::Bool).then_some(1);
        if self.assumes("negative") {
            Some(if self.dtype.is_integral() { -1 } else { 0 })
        } else if self.assumes("nonpositive") || self.assumes("zero") {
            Some(0)
        } else {
            boolean
        }
    }

    /// Keeps what both declarations say.
    pub(super) fn meet(&mut self, other: SymbolInfo) {
        self.assumptions.retain(|assumption| other.assumes(assumption));
        if self.dtype == DType::I32 {
            self.dtype = other.dtype;
        }
    }
}
