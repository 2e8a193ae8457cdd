//! Polynomials over atoms: differences of expressions, as the order prover takes them apart.
//!
//! Unlike a [`Node::Sum`], a polynomial lives outside the pool, so that proofs do not need to change it. Coefficients are 128 bits
//! wide; an operation that would not fit, or would have too many terms, gives `None`, and the proof fails.

use smallvec::SmallVec;

use super::build::Factors;
use super::node::{Factor, Node};
use super::{ExprId, ExprPool};

/// Most terms of a polynomial.
const MAX_TERMS: usize = 128;

/// A product of atoms, ascending by id; empty is one.
type Monomial = SmallVec<[Factor; 2]>;

/// A sum of `coefficient * monomial`: monomials ascending, each once, no coefficient zero.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Polynomial {
    terms: Vec<(Monomial, i128)>,
}

fn key(monomial: &Monomial) -> impl Ord + '_ {
    monomial.iter().map(|factor| (factor.base, factor.power)).collect::<SmallVec<[(ExprId, u32); 2]>>()
}

impl Polynomial {
    /// A constant.
    pub(super) fn constant(value: i128) -> Polynomial {
        let terms = if value == 0 { Vec::new() } else { vec![(Monomial::new(), value)] };
        Polynomial { terms }
    }

    /// An expression.
    pub(super) fn of(pool: &ExprPool, id: ExprId) -> Option<Polynomial> {
        let mut polynomial = Polynomial::default();
        polynomial.add_expr(pool, id, 1)?;
        Some(polynomial)
    }

    /// Adds `scale * expression`.
    pub(super) fn add_expr(&mut self, pool: &ExprPool, id: ExprId, scale: i128) -> Option<()> {
        let mut terms = Vec::new();
        for (coefficient, monomial) in pool.loose_terms(id) {
            let mut coefficient = i128::from(coefficient).checked_mul(scale)?;
            let mut factors: Factors = monomial.map_or_else(Factors::new, |monomial| pool.factors(monomial));
            // Typed literals are numbers here.
            for factor in &factors {
                if let Node::Typed(dtype, bits) = *pool.node(factor.base)
                    && dtype.is_integral()
                {
                    coefficient = coefficient.checked_mul(i128::from(bits).checked_pow(factor.power)?)?;
                }
            }
            factors.retain(
                |factor| !matches!(pool.node(factor.base), Node::Typed(dtype, _) if dtype.is_integral()),
            );
            terms.push((factors.iter().copied().collect(), coefficient));
        }
        self.merge(terms)
    }

    /// `self + scale * other`.
    pub(super) fn plus(&self, other: &Polynomial, scale: i128) -> Option<Polynomial> {
        let mut sum = self.clone();
        let scaled: Option<Vec<_>> = other
            .terms
            .iter()
            .map(|(monomial, coefficient)| Some((monomial.clone(), coefficient.checked_mul(scale)?)))
            .collect();
        sum.merge(scaled?)?;
        Some(sum)
    }

    /// `scale * self`.
    pub(super) fn scaled(&self, scale: i128) -> Option<Polynomial> {
        Polynomial::default().plus(self, scale)
    }

    /// `self * other`.
    pub(super) fn times(&self, other: &Polynomial) -> Option<Polynomial> {
        let mut terms = Vec::with_capacity(self.terms.len() * other.terms.len());
        for (m, c) in &self.terms {
            for (n, d) in &other.terms {
                let mut product = m.clone();
                for factor in n {
                    match product.iter_mut().find(|known| known.base == factor.base) {
                        Some(known) => known.power = known.power.checked_add(factor.power)?,
                        None => product.push(*factor),
                    }
                }
                product.sort_unstable_by_key(|factor| factor.base);
                terms.push((product, c.checked_mul(*d)?));
            }
        }
        let mut product = Polynomial::default();
        product.merge(terms)?;
        Some(product)
    }

    /// The value of a polynomial without atoms.
    pub(super) fn as_constant(&self) -> Option<i128> {
        match &self.terms[..] {
            [] => Some(0),
            [(monomial, value)] if monomial.is_empty() => Some(*value),
            _ => None,
        }
    }

    /// All atoms, ascending.
    pub(super) fn atoms(&self) -> SmallVec<[ExprId; 8]> {
        let mut atoms: SmallVec<[ExprId; 8]> =
            self.terms.iter().flat_map(|(monomial, _)| monomial.iter().map(|factor| factor.base)).collect();
        atoms.sort_unstable();
        atoms.dedup();
        atoms
    }

    /// Monomials with their coefficients.
    pub(super) fn terms(&self) -> impl Iterator<Item = (&[Factor], i128)> {
        self.terms.iter().map(|(monomial, coefficient)| (&monomial[..], *coefficient))
    }

    /// `(q, r)` with `self = q * atom + r` and `r` free of the atom; `q` has it where it occurs to a higher power.
    pub(super) fn split(&self, atom: ExprId) -> (Polynomial, Polynomial) {
        let (mut inside, mut rest) = (Polynomial::default(), Polynomial::default());
        for (monomial, coefficient) in &self.terms {
            match monomial.iter().position(|factor| factor.base == atom) {
                None => rest.terms.push((monomial.clone(), *coefficient)),
                Some(place) => {
                    let mut others = monomial.clone();
                    if others[place].power == 1 {
                        others.remove(place);
                    } else {
                        others[place].power -= 1;
                    }
                    inside.terms.push((others, *coefficient));
                }
            }
        }
        inside.terms.sort_by(|a, b| key(&a.0).cmp(&key(&b.0)));
        (inside, rest)
    }

    /// The polynomial divided by another one: by a single term that divides every term, or by itself times a constant.
    pub(super) fn divided_by(&self, divisor: &Polynomial) -> Option<Polynomial> {
        let [(factors, scale)] = &divisor.terms[..] else {
            let ratio = self.terms.first()?.1.checked_div(divisor.terms.first()?.1)?;
            return (divisor.scaled(ratio)? == *self).then(|| Polynomial::constant(ratio));
        };
        let mut terms = Vec::with_capacity(self.terms.len());
        for (monomial, coefficient) in &self.terms {
            if coefficient.checked_rem(*scale)? != 0 {
                return None;
            }
            let mut rest = monomial.clone();
            for wanted in factors {
                let found = rest.iter_mut().find(|factor| factor.base == wanted.base)?;
                found.power = found.power.checked_sub(wanted.power)?;
            }
            rest.retain(|factor| factor.power > 0);
            terms.push((rest, coefficient / scale));
        }
        let mut quotient = Polynomial::default();
        quotient.merge(terms)?;
        Some(quotient)
    }

    /// The constant term, if every other coefficient is a multiple of `modulus`.
    pub(super) fn residue(&self, modulus: i128) -> Option<i128> {
        let mut constant = 0;
        for (monomial, coefficient) in &self.terms {
            if monomial.is_empty() {
                constant = *coefficient;
            } else if coefficient.checked_rem(modulus)? != 0 {
                return None;
            }
        }
        constant.checked_rem_euclid(modulus)
    }

    fn merge(&mut self, terms: Vec<(Monomial, i128)>) -> Option<()> {
        for (monomial, coefficient) in terms {
            match self.terms.binary_search_by(|known| key(&known.0).cmp(&key(&monomial))) {
                Ok(place) => {
                    let total = self.terms[place].1.checked_add(coefficient)?;
                    if total == 0 {
                        self.terms.remove(place);
                    } else {
                        self.terms[place].1 = total;
                    }
                }
                Err(place) if coefficient != 0 => self.terms.insert(place, (monomial, coefficient)),
                Err(_) => {}
            }
        }
        (self.terms.len() <= MAX_TERMS).then_some(())
    }
}
