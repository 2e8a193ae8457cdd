//! Quotients, floored, ceiled and truncated divisions, and remainders in canonical form.
//!
//! What all of them have in common: terms of the dividend that the divisor divides are taken out (or dropped, for a
//! floored remainder), and common factors are cancelled.

use super::build::{Factors, LooseTerm, LooseTerms, SumBuilder};
use super::node::{BinaryOp, Factor, Node, UnaryOp};
use super::{ExprId, ExprPool};

impl ExprPool {
    /// `a / b`, a rational.
    pub fn quotient(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        if let Some((numerator, denominator)) = self.as_quotient(b) {
            let a = self.mul(a, denominator);
            return self.quotient(a, numerator);
        }
        let terms = self.loose_terms(a);
        let is_quotient =
            |pool: &Self, term: &LooseTerm| term.1.and_then(|monomial| pool.as_quotient(monomial));
        if !terms.iter().any(|term| is_quotient(self, term).is_some()) {
            return self.quotient_of_plain(a, b);
        }
        let plain: LooseTerms =
            terms.iter().copied().filter(|term| is_quotient(self, term).is_none()).collect();
        let plain = self.sum_of_loose(&plain);
        let mut sum = SumBuilder::default();
        let first = self.quotient_of_plain(plain, b);
        sum.add(self, first, 1);
        for term in &terms {
            if let Some((numerator, denominator)) = is_quotient(self, term) {
                let denominator = self.mul(denominator, b);
                let part = self.quotient_of_plain(numerator, denominator);
                sum.add(self, part, 1);
            }
        }
        sum.finish(self)
    }

    /// `a / b` where no term of `a` is a quotient.
    fn quotient_of_plain(&mut self, a: ExprId, b: ExprId) -> ExprId {
        match (self.node(a), self.node(b)) {
            (_, Node::Int(0)) => return self.intern(Node::Binary(BinaryOp::Quotient, a, b)),
            (Node::Int(0), _) => return a,
            _ => {}
        }
        let Some((out, rest, divisor)) = self.take_out(a, b) else {
            return self.intern(Node::Binary(BinaryOp::Quotient, a, b));
        };
        let content = self.content(&rest, true);
        let (rest, divisor) = match self.single_term(divisor) {
            Some((scale, monomial)) => {
                let common = gcd(content, scale);
                let rest: LooseTerms = rest.iter().map(|&(c, m)| (c / common, m)).collect();
                (rest, self.sum_of_loose(&[(scale / common, monomial)]))
            }
            None => (rest, divisor),
        };
        let out = self.sum_of_loose(&out);
        let rest = self.sum_of_loose(&rest);
        match (self.node(rest), self.node(divisor)) {
            (Node::Int(0), _) => out,
            (_, Node::Int(1)) => self.add(out, rest),
            _ => {
                let quotient = self.intern(Node::Binary(BinaryOp::Quotient, rest, divisor));
                self.add(out, quotient)
            }
        }
    }

    /// `floor(a / b)`.
    pub fn floor_div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        match (self.node(a), self.node(b)) {
            (_, Node::Int(0)) => return self.intern(Node::Binary(BinaryOp::FloorDiv, a, b)),
            (Node::Int(0), _) | (_, Node::Int(1)) => return a,
            _ => {}
        }
        if self.has_quotient(a) || self.as_quotient(b).is_some() {
            let quotient = self.quotient(a, b);
            return self.floor(quotient);
        }
        let Some((mut out, rest, divisor)) = self.take_out(a, b) else {
            return self.intern(Node::Binary(BinaryOp::FloorDiv, a, b));
        };
        let Some(scale) = self.as_plain_int(divisor) else {
            let out = self.sum_of_loose(&out);
            let rest = self.sum_of_loose(&rest);
            if self.as_plain_int(rest) == Some(0) {
                return out;
            }
            let division = self.intern(Node::Binary(BinaryOp::FloorDiv, rest, divisor));
            return self.add(out, division);
        };
        // floor((g*x + c) / (g*d)) = floor((x + floor(c/g)) / d), and whole multiples of d come out of c.
        let common = gcd(self.content(&rest, false), scale);
        let mut remainder = 0;
        let mut inside = LooseTerms::new();
        for (coefficient, monomial) in rest {
            match monomial {
                None => remainder = coefficient.div_euclid(common),
                Some(_) => inside.push((coefficient / common, monomial)),
            }
        }
        let scale = scale / common;
        out.push((remainder.div_euclid(scale), None));
        let out = self.sum_of_loose(&out);
        if inside.is_empty() {
            return out;
        }
        let remainder = remainder.rem_euclid(scale);
        if let Some(flattened) = self.nested_floor(&inside, remainder, scale) {
            return self.add(out, flattened);
        }
        inside.push((remainder, None));
        let inside = self.sum_of_loose(&inside);
        let division = match scale {
            1 => inside,
            _ => {
                let scale = self.int(scale);
                self.intern(Node::Binary(BinaryOp::FloorDiv, inside, scale))
            }
        };
        self.add(out, division)
    }

    /// `floor((floor(x / d) + c) / e) = floor((x + c*d) / (d*e))` for positive constants `d` and `e`.
    fn nested_floor(&mut self, terms: &[LooseTerm], c: i64, e: i64) -> Option<ExprId> {
        let &[(1, Some(inner))] = terms else { return None };
        let Node::Binary(BinaryOp::FloorDiv, x, d) = *self.node(inner) else { return None };
        let d = self.as_plain_int(d).filter(|&d| d > 0)?;
        let (shift, divisor) = (c.checked_mul(d)?, d.checked_mul(e)?);
        let shift = self.int(shift);
        let dividend = self.add(x, shift);
        let divisor = self.int(divisor);
        Some(self.floor_div(dividend, divisor))
    }

    /// `ceil(a / b)`. With a positive constant divisor it is a floored division.
    pub fn ceil_div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        match (self.node(a), self.node(b)) {
            (_, Node::Int(0)) => return self.intern(Node::Binary(BinaryOp::CeilDiv, a, b)),
            (Node::Int(0), _) | (_, Node::Int(1)) => return a,
            _ => {}
        }
        if self.has_quotient(a) || self.as_quotient(b).is_some() {
            let quotient = self.quotient(a, b);
            return self.ceiling(quotient);
        }
        match self.as_plain_int(b) {
            Some(divisor) if divisor > 0 => {
                let up = self.int(divisor - 1);
                let dividend = self.add(a, up);
                return self.floor_div(dividend, b);
            }
            Some(divisor) if divisor > i64::MIN => {
                // ceil(a / b) = ceil(-a / -b)
                let (a, b) = (self.neg(a), self.int(-divisor));
                return self.ceil_div(a, b);
            }
            _ => {}
        }
        let Some((out, rest, divisor)) = self.take_out(a, b) else {
            return self.intern(Node::Binary(BinaryOp::CeilDiv, a, b));
        };
        let out = self.sum_of_loose(&out);
        let rest = self.sum_of_loose(&rest);
        let division = match (self.as_plain_int(rest), self.as_plain_int(divisor)) {
            (Some(0), _) => return out,
            (_, Some(_)) => self.ceil_div(rest, divisor),
            _ => self.intern(Node::Binary(BinaryOp::CeilDiv, rest, divisor)),
        };
        self.add(out, division)
    }

    /// C's integer division: toward zero.
    pub fn trunc_div(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        match (self.as_plain_int(a), self.as_plain_int(b)) {
            (Some(x), Some(y)) => {
                if let Some(value) = x.checked_div(y) {
                    return self.int(value);
                }
            }
            (Some(0), None) | (_, Some(1)) => return a,
            (_, Some(-1)) => return self.neg(a),
            (_, Some(y)) if y != 0 && !self.has_quotient(a) => {
                let terms = self.loose_terms(a);
                if terms.iter().all(|&(c, _)| c.checked_rem(y) == Some(0)) {
                    let divided: LooseTerms = terms.iter().map(|&(c, m)| (c / y, m)).collect();
                    return self.sum_of_loose(&divided);
                }
            }
            _ => {}
        }
        self.intern(Node::Binary(BinaryOp::TruncDiv, a, b))
    }

    /// C's `a % b`: the sign of the dividend.
    pub fn remainder(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        match (self.as_plain_int(a), self.as_plain_int(b)) {
            (_, Some(1 | -1)) => return self.int(0),
            (Some(x), Some(y)) if y != 0 => return self.int(x.wrapping_rem(y)),
            (Some(0), None) => return a,
            (_, Some(y)) if y < 0 && y != i64::MIN => {
                let b = self.int(-y);
                return self.remainder(a, b);
            }
            _ if a == b && self.as_plain_int(b).is_none() => return self.int(0),
            _ => {}
        }
        self.intern(Node::Binary(BinaryOp::Remainder, a, b))
    }

    /// The remainder of the floored division: the sign of the divisor.
    pub fn modulo(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        match (self.as_plain_int(a), self.as_plain_int(b)) {
            (_, Some(1 | -1)) => return self.int(0),
            (Some(0), None) => return a,
            (Some(x), Some(y)) if y != 0 => {
                let remainder = x.wrapping_rem(y);
                let floored =
                    if remainder != 0 && (remainder < 0) != (y < 0) { remainder + y } else { remainder };
                return self.int(floored);
            }
            (_, Some(y)) if y < 0 && y != i64::MIN => {
                // a mod -d = -(-a mod d)
                let (a, b) = (self.neg(a), self.int(-y));
                let modulo = self.modulo(a, b);
                return self.neg(modulo);
            }
            _ => {}
        }
        let unchanged = Node::Binary(BinaryOp::Modulo, a, b);
        if self.has_quotient(a) || self.as_plain_int(b).is_some_and(|b| b <= 0) {
            return self.intern(unchanged);
        }
        let terms = self.loose_terms(a);
        match self.single_term(b) {
            Some((scale, None)) if scale > 0 => {
                let common = gcd(self.content(&terms, true), scale);
                let mut rest = LooseTerms::new();
                for (coefficient, monomial) in terms {
                    match monomial {
                        None => rest.push((coefficient.rem_euclid(scale) / common, None)),
                        Some(_) if coefficient % scale == 0 => {}
                        Some(_) => rest.push((coefficient / common, monomial)),
                    }
                }
                let rest = self.sum_of_loose(&rest);
                let inner = self.int(scale / common);
                let modulo = match (self.as_plain_int(rest), scale / common) {
                    (_, 1) => self.int(0),
                    (Some(constant), inner) => self.int(constant.rem_euclid(inner)),
                    _ => self.intern(Node::Binary(BinaryOp::Modulo, rest, inner)),
                };
                let common = self.int(common);
                self.mul(common, modulo)
            }
            Some((scale, Some(monomial))) => {
                let divisor = self.factors(monomial);
                let rest: LooseTerms = terms
                    .into_iter()
                    .filter(|&(coefficient, m)| {
                        coefficient.checked_rem(scale) != Some(0)
                            || self.divide_factors(m, &divisor).is_none()
                    })
                    .collect();
                let rest = self.sum_of_loose(&rest);
                match self.as_plain_int(rest) {
                    Some(0) => rest,
                    _ => self.intern(Node::Binary(BinaryOp::Modulo, rest, b)),
                }
            }
            _ if a == b => self.int(0),
            _ => self.intern(unchanged),
        }
    }

    /// The largest integer not above.
    pub fn floor(&mut self, a: ExprId) -> ExprId {
        self.rounded(a, UnaryOp::Floor)
    }

    /// The smallest integer not below.
    pub fn ceiling(&mut self, a: ExprId) -> ExprId {
        self.rounded(a, UnaryOp::Ceiling)
    }

    /// Floor or ceiling; a sum of quotients becomes one integer division.
    fn rounded(&mut self, a: ExprId, op: UnaryOp) -> ExprId {
        if self.any_undefined(&[a]) || self.node(a).is_integral() {
            return a;
        }
        match self.over_common_denominator(a) {
            Some((whole, numerator, denominator)) => {
                let division = match op {
                    UnaryOp::Ceiling => self.ceil_div(numerator, denominator),
                    _ => self.floor_div(numerator, denominator),
                };
                self.add(whole, division)
            }
            None => self.intern(Node::Unary(op, a)),
        }
    }

    /// A sum with quotients as `whole + numerator / denominator`; `None` if a denominator is zero.
    fn over_common_denominator(&mut self, a: ExprId) -> Option<(ExprId, ExprId, ExprId)> {
        let terms = self.loose_terms(a);
        let mut whole = LooseTerms::new();
        let mut fraction: Option<(ExprId, ExprId)> = None;
        for (coefficient, monomial) in terms {
            let Some((numerator, denominator)) = monomial.and_then(|monomial| self.as_quotient(monomial))
            else {
                whole.push((coefficient, monomial));
                continue;
            };
            fraction = Some(match fraction {
                None => (numerator, denominator),
                Some((n, d)) if d == denominator => (self.add(n, numerator), d),
                Some((n, d)) => match (self.as_plain_int(d), self.as_plain_int(denominator)) {
                    (Some(0), _) | (_, Some(0)) => return None,
                    (Some(d1), Some(d2)) => {
                        let common = d1.checked_div(gcd(d1, d2))?.checked_mul(d2)?;
                        let (left, right) = (self.int(common / d1), self.int(common / d2));
                        let (n, numerator) = (self.mul(n, left), self.mul(numerator, right));
                        (self.add(n, numerator), self.int(common))
                    }
                    _ => {
                        let (n, numerator) = (self.mul(n, denominator), self.mul(numerator, d));
                        (self.add(n, numerator), self.mul(d, denominator))
                    }
                },
            });
        }
        let (numerator, denominator) = fraction?;
        if self.has_quotient(numerator) || self.has_quotient(denominator) {
            return None;
        }
        Some((self.sum_of_loose(&whole), numerator, denominator))
    }

    /// Splits `a / b`, for `b` a single term, into terms that `b` divides (already divided) and the others, which lose the
    /// factors they all share with `b`, as does `b`. The divisor that comes back is positive if it is constant.
    fn take_out(&mut self, a: ExprId, b: ExprId) -> Option<(LooseTerms, LooseTerms, ExprId)> {
        if a == b {
            return Some((LooseTerms::from_slice(&[(1, None)]), LooseTerms::new(), b));
        }
        let (mut scale, monomial) = self.single_term(b)?;
        let mut terms = self.loose_terms(a);
        if scale < 0 {
            scale = scale.checked_neg()?;
            for term in &mut terms {
                term.0 = term.0.checked_neg()?;
            }
        }
        let mut divisor = monomial.map_or_else(Factors::new, |monomial| self.factors(monomial));
        let (mut out, mut rest) = (LooseTerms::new(), LooseTerms::new());
        for (coefficient, m) in terms {
            match self.divide_factors(m, &divisor).filter(|_| coefficient % scale == 0) {
                Some(factors) => {
                    let monomial = self.monomial(factors);
                    out.push((coefficient / scale, monomial));
                }
                None => rest.push((coefficient, m)),
            }
        }
        let shared: Factors = divisor
            .iter()
            .map(|factor| {
                let power = rest.iter().map(|&(_, m)| self.power_of(m, factor.base)).min().unwrap_or(0);
                Factor { base: factor.base, power: power.min(factor.power) }
            })
            .filter(|factor| factor.power > 0)
            .collect();
        if !shared.is_empty() {
            for term in &mut rest {
                if let Some(factors) = self.divide_factors(term.1, &shared) {
                    term.1 = self.monomial(factors);
                }
            }
            divisor = divide(&divisor, &shared)?;
        }
        let monomial = self.monomial(divisor);
        let divisor = self.sum_of_loose(&[(scale, monomial)]);
        // A constant divisor may divide more terms now that the monomials are cancelled.
        if monomial.is_none() {
            let (whole, others): (LooseTerms, LooseTerms) =
                rest.into_iter().partition(|&(c, _)| c % scale == 0);
            out.extend(whole.into_iter().map(|(c, m)| (c / scale, m)));
            rest = others;
        }
        Some((out, rest, divisor))
    }

    /// The factors of a monomial without those of the divisor, if it has them all.
    fn divide_factors(&self, monomial: Option<ExprId>, divisor: &[Factor]) -> Option<Factors> {
        divide(&monomial.map_or_else(Factors::new, |monomial| self.factors(monomial)), divisor)
    }

    fn power_of(&self, monomial: Option<ExprId>, base: ExprId) -> u32 {
        let factors = monomial.map_or_else(Factors::new, |monomial| self.factors(monomial));
        factors.iter().find(|factor| factor.base == base).map_or(0, |factor| factor.power)
    }

    /// The term of an expression that has exactly one.
    fn single_term(&self, id: ExprId) -> Option<LooseTerm> {
        match self.loose_terms(id)[..] {
            [term] => Some(term),
            _ => None,
        }
    }

    fn has_quotient(&self, id: ExprId) -> bool {
        self.loose_terms(id).iter().any(|&(_, m)| m.is_some_and(|m| self.as_quotient(m).is_some()))
    }

    /// The integer behind an untyped literal.
    pub(super) fn as_plain_int(&self, id: ExprId) -> Option<i64> {
        match *self.node(id) {
            Node::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The greatest common divisor of the coefficients, zero if there are none.
    fn content(&self, terms: &[LooseTerm], with_constant: bool) -> i64 {
        terms
            .iter()
            .filter(|term| with_constant || term.1.is_some())
            .fold(0, |common, &(c, _)| gcd(common, c))
    }
}

fn divide(factors: &[Factor], divisor: &[Factor]) -> Option<Factors> {
    let mut rest = Factors::from_slice(factors);
    for wanted in divisor {
        let found = rest.iter_mut().find(|factor| factor.base == wanted.base)?;
        found.power = found.power.checked_sub(wanted.power)?;
    }
    rest.retain(|factor| factor.power > 0);
    Some(rest)
}

/// The greatest common divisor; positive unless both are zero or it does not fit (then 1).
fn gcd(a: i64, b: i64) -> i64 {
    let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    i64::try_from(a).unwrap_or(1)
}
