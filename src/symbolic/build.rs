//! Sums, products and powers in canonical form.

use smallvec::SmallVec;

use super::node::{BinaryOp, Factor, Merge, Node, Term};
use super::{ExprId, ExprPool};

/// Most pairs of terms that a product of two sums is multiplied out to.
const MAX_TERM_PAIRS: usize = 64;
/// Most factors in one product; more stay unmerged.
const MAX_FACTORS: usize = 64;
/// Largest power of a sum that is considered for multiplying out.
const MAX_SUM_POWER: i64 = 8;

/// One term of a sum; no monomial means one.
pub(super) type LooseTerm = (i64, Option<ExprId>);
pub(super) type LooseTerms = SmallVec<[LooseTerm; 4]>;
pub(super) type Factors = SmallVec<[Factor; 4]>;

impl ExprPool {
    /// `a + b`.
    pub fn add(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.sum(&[(1, a), (1, b)])
    }

    /// `a - b`.
    pub fn sub(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.sum(&[(1, a), (-1, b)])
    }

    /// `-a`.
    pub fn neg(&mut self, a: ExprId) -> ExprId {
        let minus_one = self.int(-1);
        self.mul(minus_one, a)
    }

    /// The sum of `coefficient * expression`.
    pub fn sum(&mut self, terms: &[(i64, ExprId)]) -> ExprId {
        let mut sum = SumBuilder::default();
        for &(coefficient, id) in terms {
            if (-1..=1).contains(&coefficient) {
                sum.add(self, id, coefficient);
            } else {
                let scale = self.int(coefficient);
                let scaled = self.mul(scale, id);
                sum.add(self, scaled, 1);
            }
        }
        sum.finish(self)
    }

    /// The product of all.
    pub fn product(&mut self, operands: &[ExprId]) -> ExprId {
        let mut result = self.int(1);
        let (single, several): (Vec<ExprId>, Vec<ExprId>) =
            operands.iter().partition(|&&id| !matches!(self.node(id), Node::Sum(..)));
        for id in single.into_iter().chain(several) {
            result = self.mul(result, id);
        }
        result
    }

    /// `a * b`.
    pub fn mul(&mut self, a: ExprId, b: ExprId) -> ExprId {
        let key = if a <= b { (a, b) } else { (b, a) };
        if let Some(&product) = self.products.get(&key) {
            return product;
        }
        let product = self.multiply(key.0, key.1);
        self.products.insert(key, product);
        product
    }

    fn multiply(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        match (self.node(a), self.node(b)) {
            (Node::Int(0), _) | (_, Node::Int(1)) => return a,
            (_, Node::Int(0)) | (Node::Int(1), _) => return b,
            _ => {}
        }
        let (left, right) = (self.loose_terms(a), self.loose_terms(b));
        let grows = left.len() > 1 && right.len() > 1;
        let product = if grows && left.len() * right.len() > MAX_TERM_PAIRS {
            None
        } else {
            self.distribute(&left, &right)
        };
        product.unwrap_or_else(|| self.intern(Node::Unmerged(Merge::Product, Box::new([a, b]))))
    }

    fn distribute(&mut self, left: &[LooseTerm], right: &[LooseTerm]) -> Option<ExprId> {
        let mut sum = SumBuilder::default();
        for &(c, m) in left {
            for &(d, n) in right {
                let coefficient = i128::from(c) * i128::from(d);
                match (m, n) {
                    (None, None) => sum.add_constant(coefficient),
                    (Some(m), None) | (None, Some(m)) => sum.add_wide(self, m, coefficient)?,
                    (Some(m), Some(n)) => {
                        let product = self.multiply_monomials(m, n)?;
                        sum.add_wide(self, product, coefficient)?;
                    }
                }
            }
        }
        sum.finish_exactly(self)
    }

    /// The product of two monomials; a quotient among them makes it a general expression.
    fn multiply_monomials(&mut self, m: ExprId, n: ExprId) -> Option<ExprId> {
        if let Some((numerator, denominator)) = self.as_quotient(m) {
            let numerator = self.mul(numerator, n);
            return Some(self.quotient(numerator, denominator));
        }
        if let Some((numerator, denominator)) = self.as_quotient(n) {
            let numerator = self.mul(numerator, m);
            return Some(self.quotient(numerator, denominator));
        }
        let mut factors = self.factors(m);
        for factor in self.factors(n) {
            match factors.iter_mut().find(|known| known.base == factor.base) {
                Some(known) => known.power = known.power.checked_add(factor.power)?,
                None => factors.push(factor),
            }
        }
        if factors.len() > MAX_FACTORS {
            return None;
        }
        self.monomial(factors)
    }

    /// The monomial of these factors; `None` for the empty product.
    pub(super) fn monomial(&mut self, mut factors: Factors) -> Option<ExprId> {
        factors.sort_unstable_by_key(|factor| factor.base);
        match factors[..] {
            [] => None,
            [Factor { base, power: 1 }] => Some(base),
            _ => Some(self.intern(Node::Product(factors.into_vec().into_boxed_slice()))),
        }
    }

    /// `a ** b`. Constants fold; a product to a constant power is a product; a small power of a small sum is
    /// multiplied out; everything else is an atom.
    pub fn pow(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        match *self.node(b) {
            Node::Int(0) => self.int(1),
            Node::Int(1) => a,
            Node::Int(exponent @ i64::MIN..=-1) if exponent != i64::MIN => {
                let positive = self.int(-exponent);
                let power = self.pow(a, positive);
                let one = self.int(1);
                self.quotient(one, power)
            }
            Node::Int(exponent @ 2..) => self
                .power_by_constant(a, exponent)
                .unwrap_or_else(|| self.intern(Node::Binary(BinaryOp::Power, a, b))),
            _ if *self.node(a) == Node::Int(1) => a,
            _ => self.intern(Node::Binary(BinaryOp::Power, a, b)),
        }
    }

    fn power_by_constant(&mut self, a: ExprId, exponent: i64) -> Option<ExprId> {
        let small = u32::try_from(exponent).ok();
        if let Some((numerator, denominator)) = self.as_quotient(a) {
            let numerator = self.power_by_constant(numerator, exponent)?;
            let denominator = self.power_by_constant(denominator, exponent)?;
            return Some(self.quotient(numerator, denominator));
        }
        match self.loose_terms(a)[..] {
            [] => Some(a),
            [(1, None)] => Some(a),
            [(-1, None)] => Some(self.int(if exponent % 2 == 0 { 1 } else { -1 })),
            [(coefficient, monomial)] => {
                let coefficient = coefficient.checked_pow(small?)?;
                let scale = self.int(coefficient);
                let Some(monomial) = monomial else { return Some(scale) };
                let mut factors = self.factors(monomial);
                for factor in &mut factors {
                    factor.power = factor.power.checked_mul(small?)?;
                }
                let monomial = self.monomial(factors)?;
                Some(self.mul(scale, monomial))
            }
            ref terms => {
                let most = terms.len().checked_pow(small.filter(|_| exponent <= MAX_SUM_POWER)?)?;
                if most > MAX_TERM_PAIRS {
                    return None;
                }
                let mut power = a;
                for _ in 1..exponent {
                    power = self.mul(power, a);
                }
                Some(power)
            }
        }
    }

    /// The terms of an expression seen as a sum; zero has none.
    pub(super) fn loose_terms(&self, id: ExprId) -> LooseTerms {
        match self.node(id) {
            Node::Int(0) => LooseTerms::new(),
            Node::Int(value) => LooseTerms::from_slice(&[(*value, None)]),
            Node::Sum(constant, terms) => {
                let constant = Some((*constant, None)).filter(|_| *constant != 0);
                constant
                    .into_iter()
                    .chain(terms.iter().map(|term| (term.coefficient, Some(term.monomial))))
                    .collect()
            }
            _ => LooseTerms::from_slice(&[(1, Some(id))]),
        }
    }

    /// The sum of loose terms.
    pub(super) fn sum_of_loose(&mut self, terms: &[LooseTerm]) -> ExprId {
        let mut sum = SumBuilder::default();
        for &(coefficient, monomial) in terms {
            match monomial {
                Some(monomial) => sum.add(self, monomial, coefficient),
                None => sum.add_constant(i128::from(coefficient)),
            }
        }
        sum.finish(self)
    }

    /// The factors of a monomial.
    pub(super) fn factors(&self, monomial: ExprId) -> Factors {
        match self.node(monomial) {
            Node::Product(factors) => Factors::from_slice(factors),
            _ => Factors::from_slice(&[Factor { base: monomial, power: 1 }]),
        }
    }

    /// Numerator and denominator of an expression that is one quotient.
    pub(super) fn as_quotient(&self, id: ExprId) -> Option<(ExprId, ExprId)> {
        match *self.node(id) {
            Node::Binary(BinaryOp::Quotient, numerator, denominator) => Some((numerator, denominator)),
            _ => None,
        }
    }
}

/// Collects the terms of a sum. Coefficients are 128 bits wide until the end, so that only the result decides
/// whether something does not fit.
#[derive(Default)]
pub(super) struct SumBuilder {
    constant: i128,
    terms: Vec<(ExprId, i128)>,
    /// Numerators, denominators and coefficients still to be merged.
    pending: Vec<(ExprId, ExprId, i64)>,
    undefined: bool,
    /// Something did not even fit 128 bits.
    overflow: bool,
}

impl SumBuilder {
    /// Adds `coefficient * id`. Who calls [`finish`](Self::finish) passes -1, 0 or 1, or a monomial: then a total is at most
    /// 2^63 times the number of summands.
    pub(super) fn add(&mut self, pool: &ExprPool, id: ExprId, coefficient: i64) {
        let wide = i128::from(coefficient);
        match pool.node(id) {
            Node::Undefined => self.undefined = true,
            Node::Int(value) => self.add_constant(i128::from(*value) * wide),
            Node::Sum(constant, terms) => {
                self.add_constant(i128::from(*constant) * wide);
                for term in terms {
                    match pool.as_quotient(term.monomial) {
                        Some((n, d)) => self.pending.push((n, d, coefficient)),
                        None => self.terms.push((term.monomial, i128::from(term.coefficient) * wide)),
                    }
                }
            }
            Node::Binary(BinaryOp::Quotient, n, d) => self.pending.push((*n, *d, coefficient)),
            _ => self.terms.push((id, wide)),
        }
    }

    fn add_constant(&mut self, value: i128) {
        match self.constant.checked_add(value) {
            Some(total) => self.constant = total,
            None => self.overflow = true,
        }
    }

    /// Adds `coefficient * id` where the coefficient may be beyond 64 bits; `None` if it cannot be represented on the way.
    fn add_wide(&mut self, pool: &ExprPool, id: ExprId, coefficient: i128) -> Option<()> {
        match pool.node(id) {
            Node::Undefined | Node::Int(_) | Node::Sum(..) | Node::Binary(BinaryOp::Quotient, ..) => {
                self.add(pool, id, i64::try_from(coefficient).ok()?);
            }
            _ => self.terms.push((id, coefficient)),
        }
        Some(())
    }

    /// The sum; coefficients that do not fit are split off into an unmerged sum.
    pub(super) fn finish(mut self, pool: &mut ExprPool) -> ExprId {
        if self.undefined {
            return pool.undefined();
        }
        self.merge_quotients(pool);
        let mut rest: Vec<(Option<ExprId>, i128)> = Vec::new();
        let constant = clamp(self.constant);
        if i128::from(constant) != self.constant {
            rest.push((None, self.constant - i128::from(constant)));
        }
        let mut terms = Vec::with_capacity(self.terms.len());
        for (monomial, total) in self.collect() {
            let coefficient = clamp(total);
            if i128::from(coefficient) != total {
                rest.push((Some(monomial), total - i128::from(coefficient)));
            }
            terms.push(Term { coefficient, monomial });
        }
        let fitting = make_sum(pool, constant, terms);
        if rest.is_empty() {
            return fitting;
        }
        let mut operands = vec![fitting];
        for (monomial, mut total) in rest {
            // Each round takes 2^63 off; a sum of k summands leaves at most k rounds.
            while total != 0 {
                let coefficient = clamp(total);
                total -= i128::from(coefficient);
                operands.push(match monomial {
                    None => pool.int(coefficient),
                    Some(monomial) => make_sum(pool, 0, vec![Term { coefficient, monomial }]),
                });
            }
        }
        pool.intern(Node::Unmerged(Merge::Sum, operands.into_boxed_slice()))
    }

    /// The sum, or `None` if a coefficient does not fit.
    fn finish_exactly(mut self, pool: &mut ExprPool) -> Option<ExprId> {
        if self.undefined {
            return Some(pool.undefined());
        }
        self.merge_quotients(pool);
        let collected = self.collect();
        if self.overflow {
            return None;
        }
        let constant = i64::try_from(self.constant).ok()?;
        let mut terms = Vec::with_capacity(collected.len());
        for (monomial, total) in collected {
            terms.push(Term { coefficient: i64::try_from(total).ok()?, monomial });
        }
        Some(make_sum(pool, constant, terms))
    }

    /// Terms ascending by monomial, like ones collected, zeros dropped.
    fn collect(&mut self) -> Vec<(ExprId, i128)> {
        let mut terms = std::mem::take(&mut self.terms);
        terms.sort_by_key(|&(monomial, _)| monomial);
        terms.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                match earlier.1.checked_add(later.1) {
                    Some(total) => earlier.1 = total,
                    None => self.overflow = true,
                }
            }
            same
        });
        terms.retain(|&(_, total)| total != 0);
        terms
    }

    /// Brings quotients over one denominator together. Every round has one quotient less, or one less that is scaled.
    fn merge_quotients(&mut self, pool: &mut ExprPool) {
        let mut merged: Vec<(ExprId, ExprId)> = Vec::new();
        while let Some((numerator, denominator, coefficient)) = self.pending.pop() {
            if coefficient != 1 {
                if coefficient != 0 {
                    let scale = pool.int(coefficient);
                    let numerator = pool.mul(scale, numerator);
                    let scaled = pool.quotient(numerator, denominator);
                    self.add(pool, scaled, 1);
                }
                continue;
            }
            match merged.iter().position(|&(_, known)| known == denominator) {
                Some(place) => {
                    let (other, _) = merged.swap_remove(place);
                    let numerator = pool.add(other, numerator);
                    let both = pool.quotient(numerator, denominator);
                    self.add(pool, both, 1);
                }
                None => merged.push((numerator, denominator)),
            }
        }
        for (numerator, denominator) in merged {
            let quotient = pool.intern(Node::Binary(BinaryOp::Quotient, numerator, denominator));
            self.terms.push((quotient, 1));
        }
    }
}

fn make_sum(pool: &mut ExprPool, constant: i64, terms: Vec<Term>) -> ExprId {
    match terms[..] {
        [] => pool.int(constant),
        [Term { coefficient: 1, monomial }] if constant == 0 => monomial,
        _ => pool.intern(Node::Sum(constant, terms.into_boxed_slice())),
    }
}

fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}
