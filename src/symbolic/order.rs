//! Questions about order, for all values of the symbols.

use indexmap::IndexMap;

use crate::entity::Name;

use super::prove::Prover;
use super::{ExprId, ExprPool, Interval, Truth};

/// What a caller knows about the values of symbols, beyond what is declared in the pool.
#[derive(Clone, Debug, Default)]
pub struct Assumptions {
    lower: IndexMap<Name, Vec<ExprId>>,
    upper: IndexMap<Name, Vec<ExprId>>,
    nonnegative: Vec<ExprId>,
}

impl Assumptions {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Assumes `bound <= name`.
    pub fn at_least(&mut self, name: Name, bound: ExprId) -> &mut Self {
        self.lower.entry(name).or_default().push(bound);
        self
    }

    /// Assumes `name <= bound`.
    pub fn at_most(&mut self, name: Name, bound: ExprId) -> &mut Self {
        self.upper.entry(name).or_default().push(bound);
        self
    }

    /// Assumes `0 <= fact`.
    pub fn nonnegative(&mut self, fact: ExprId) -> &mut Self {
        self.nonnegative.push(fact);
        self
    }

    /// Lower bounds of a symbol.
    pub fn lower(&self, name: Name) -> &[ExprId] {
        self.lower.get(&name).map_or(&[], Vec::as_slice)
    }

    /// Upper bounds of a symbol.
    pub fn upper(&self, name: Name) -> &[ExprId] {
        self.upper.get(&name).map_or(&[], Vec::as_slice)
    }

    /// Expressions assumed not to be negative.
    pub fn facts(&self) -> &[ExprId] {
        &self.nonnegative
    }
}

impl ExprPool {
    /// Whether `a <= b` for all values of the symbols (assumptions declared in the pool included).
    pub fn at_most(&self, a: ExprId, b: ExprId) -> Truth {
        Prover::new(self, &Assumptions::default()).at_most(a, b)
    }

    /// Whether `a < b` for all values of the symbols.
    pub fn less_than(&self, a: ExprId, b: ExprId) -> Truth {
        Prover::new(self, &Assumptions::default()).less_than(a, b)
    }

    /// Whether `a = b` for all values of the symbols.
    pub fn equal(&self, a: ExprId, b: ExprId) -> Truth {
        Prover::new(self, &Assumptions::default()).equal(a, b)
    }

    /// An interval that contains every value of the expression.
    pub fn range_of(&self, id: ExprId) -> Interval {
        Prover::new(self, &Assumptions::default()).range_of(id)
    }
}
