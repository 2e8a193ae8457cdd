//! Expressions as affine functions of some symbols.

use crate::entity::Name;

use super::build::{Factors, LooseTerms};
use super::node::Node;
use super::{ExprId, ExprPool};

impl ExprPool {
    /// The expression as `sum of coefficient[k] * over[k] + rest`, where coefficients and rest are free of those symbols;
    /// `None` if it is not affine in them (or not visibly so).
    pub fn as_affine(&mut self, id: ExprId, over: &[Name]) -> Option<(Vec<ExprId>, ExprId)> {
        if !self.depends_on_any(id, over) {
            let zero = self.int(0);
            return Some((vec![zero; over.len()], id));
        }
        let mut coefficients: Vec<LooseTerms> = vec![LooseTerms::new(); over.len()];
        let mut rest = LooseTerms::new();
        for (scale, monomial) in self.loose_terms(id) {
            let Some(monomial) = monomial.filter(|&monomial| self.depends_on_any(monomial, over)) else {
                rest.push((scale, monomial));
                continue;
            };
            if !matches!(self.node(monomial), Node::Symbol(_) | Node::Product(_)) {
                return None;
            }
            let mut variable = None;
            let mut others = Factors::new();
            for factor in self.factors(monomial) {
                let place =
                    self.as_symbol(factor.base).and_then(|name| over.iter().position(|&other| other == name));
                match place {
                    Some(place) if factor.power == 1 && variable.is_none() => variable = Some(place),
                    None if !self.depends_on_any(factor.base, over) => others.push(factor),
                    _ => return None,
                }
            }
            let others = self.monomial(others);
            coefficients[variable?].push((scale, others));
        }
        let coefficients = coefficients.iter().map(|terms| self.sum_of_loose(terms)).collect();
        Some((coefficients, self.sum_of_loose(&rest)))
    }
}
