//! The prover behind [`order`](super::order): is a polynomial non-negative for all values of its atoms?
//!
//! A proof takes atoms out one after another. With `p = q * atom + r` and `q` of known sign, `p` is at least what it is with the atom
//! replaced by a bound: a symbol's declared or assumed bounds, the operands of a minimum or maximum, the
//! dividend of a division. Atoms that are one of several things (the maximum itself from above, a conditional) are proven case by
//! case. What is left is decided by interval arithmetic. Fuel bounds the work, so the prover may give up; it
//! never claims what it did not prove.

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::scalar::DType;

use super::node::{BinaryOp, NaryOp, Node, UnaryOp};
use super::polynomial::Polynomial;
use super::{Assumptions, ExprId, ExprPool, Interval, Truth};

/// Steps one question may take.
const FUEL: u32 = 1000;
/// Atoms taken out one after another.
const MAX_DEPTH: u32 = 12;
/// Deepest expression whose interval is computed.
const MAX_RANGE_DEPTH: u32 = 200;

/// Answers questions of order under assumptions. Keeps intervals between questions, so ask one prover as long as pool and
/// assumptions stay the same.
pub struct Prover<'a> {
    pool: &'a ExprPool,
    known: &'a Assumptions,
    fuel: u32,
    ranges: HashMap<ExprId, Interval>,
}

/// `scale * atom` is at least (or at most) `value`; the scale is a positive polynomial.
struct Bound {
    scale: Polynomial,
    value: Polynomial,
}

/// What is known about an atom from one side.
#[derive(Default)]
struct Side {
    bounds: Vec<Bound>,
    /// The atom always is one of these.
    cases: Option<Vec<Polynomial>>,
}

impl<'a> Prover<'a> {
    /// A prover for one pool and one set of assumptions.
    pub fn new(pool: &'a ExprPool, known: &'a Assumptions) -> Self {
        Self { pool, known, fuel: 0, ranges: HashMap::new() }
    }

    /// The pool it answers for.
    pub fn pool(&self) -> &'a ExprPool {
        self.pool
    }

    /// Whether `a <= b` for all values of the symbols.
    pub fn at_most(&mut self, a: ExprId, b: ExprId) -> Truth {
        let Some(difference) = self.difference(b, a) else { return Truth::Unknown };
        if self.proves(&difference) {
            return Truth::Yes;
        }
        let gap = self.strict_gap(a, b);
        if self.proves_beyond(&difference, -1, gap) { Truth::No } else { Truth::Unknown }
    }

    /// Whether `a <= b` is proven: half of the work of [`at_most`](Prover::at_most).
    pub fn proves_at_most(&mut self, a: ExprId, b: ExprId) -> bool {
        self.difference(b, a).is_some_and(|difference| self.proves(&difference))
    }

    /// Whether `a < b` is proven.
    pub fn proves_less_than(&mut self, a: ExprId, b: ExprId) -> bool {
        let gap = self.strict_gap(a, b);
        self.difference(b, a).is_some_and(|difference| self.proves_beyond(&difference, 1, gap))
    }

    /// Whether `a < b` for all values of the symbols.
    pub fn less_than(&mut self, a: ExprId, b: ExprId) -> Truth {
        !self.at_most(b, a)
    }

    /// Whether `a = b` for all values of the symbols.
    pub fn equal(&mut self, a: ExprId, b: ExprId) -> Truth {
        let Some(difference) = self.difference(b, a) else { return Truth::Unknown };
        if difference.as_constant() == Some(0) {
            return Truth::Yes;
        }
        let gap = self.strict_gap(a, b);
        if self.proves_beyond(&difference, 1, gap) || self.proves_beyond(&difference, -1, gap) {
            return Truth::No;
        }
        let negated = difference.scaled(-1);
        if self.proves(&difference) && negated.is_some_and(|negated| self.proves(&negated)) {
            return Truth::Yes;
        }
        Truth::Unknown
    }

    /// Whether `0 <= a` for all values of the symbols.
    pub fn nonnegative(&mut self, a: ExprId) -> bool {
        !self.pool.any_undefined(&[a]) && Polynomial::of(self.pool, a).is_some_and(|p| self.proves(&p))
    }

    /// `a - b` modulo a positive constant, where that does not depend on the symbols.
    pub fn residue(&self, a: ExprId, b: ExprId, modulus: i64) -> Option<i64> {
        if modulus < 1 || self.strict_gap(a, b) != 1 {
            return None;
        }
        let difference = self.difference(a, b)?;
        // Multiples of an unknown number are only multiples if that number is an integer.
        let integral = difference.atoms().iter().all(|&atom| self.is_integral(atom));
        difference.residue(i128::from(modulus)).filter(|_| integral).and_then(|rest| i64::try_from(rest).ok())
    }

    /// Whether `1 <= a` for all values of the symbols.
    pub fn positive(&mut self, a: ExprId) -> bool {
        let gap = self.strict_gap(a, a);
        !self.pool.any_undefined(&[a])
            && Polynomial::of(self.pool, a).is_some_and(|p| self.proves_beyond(&p, 1, gap))
    }

    fn difference(&self, a: ExprId, b: ExprId) -> Option<Polynomial> {
        if self.pool.any_undefined(&[a, b]) {
            return None;
        }
        let mut difference = Polynomial::of(self.pool, a)?;
        difference.add_expr(self.pool, b, -1)?;
        Some(difference)
    }

    /// How far apart two rational values have to be for the integers they are truncated to to differ.
    fn strict_gap(&self, a: ExprId, b: ExprId) -> i128 {
        let rational = |id| {
            self.pool
                .loose_terms(id)
                .iter()
                .any(|&(_, m)| m.is_some_and(|m| self.pool.as_quotient(m).is_some()))
        };
        if rational(a) || rational(b) { 2 } else { 1 }
    }

    fn proves(&mut self, p: &Polynomial) -> bool {
        self.fuel = FUEL;
        self.holds(p, MAX_DEPTH)
    }

    /// Whether `sign * p >= gap`.
    fn proves_beyond(&mut self, p: &Polynomial, sign: i128, gap: i128) -> bool {
        let shifted = p.scaled(sign).and_then(|p| p.plus(&Polynomial::constant(gap), -1));
        shifted.is_some_and(|p| self.proves(&p))
    }

    /// Whether `p >= 0`.
    fn holds(&mut self, p: &Polynomial, depth: u32) -> bool {
        if let Some(value) = p.as_constant() {
            return value >= 0;
        }
        if self.range_of_polynomial(p).is_nonnegative() {
            return true;
        }
        if self.fuel == 0 || depth == 0 {
            return false;
        }
        self.fuel -= 1;
        // Composite atoms first: their bounds mention the simple ones, which may then cancel.
        let mut atoms = p.atoms();
        atoms.sort_by_key(|&atom| (self.is_simple(atom), std::cmp::Reverse(atom)));
        for atom in atoms {
            if let Some(decided) = self.take_out(p, atom, depth) {
                return decided;
            }
        }
        self.known.facts().iter().any(|&fact| {
            let related = p.atoms().iter().any(|&atom| self.pool.reachable(fact).contains(&atom));
            let without = self.operand(fact).filter(|_| related).and_then(|fact| p.plus(&fact, -1));
            without.is_some_and(|without| self.holds(&without, depth.min(4) - 1))
        })
    }

    /// Whether an atom's bounds are constants at most.
    fn is_simple(&self, atom: ExprId) -> bool {
        match *self.pool.node(atom) {
            Node::Symbol(name) => {
                let constant = |bound: &ExprId| self.pool.as_int(*bound).is_some();
                self.known.lower(name).iter().all(constant) && self.known.upper(name).iter().all(constant)
            }
            _ => false,
        }
    }

    /// Tries to prove `p >= 0` by replacing one atom. `Some` if that decides it, `None` to try another atom.
    fn take_out(&mut self, p: &Polynomial, atom: ExprId, depth: u32) -> Option<bool> {
        let (q, r) = p.split(atom);
        let rising = if self.range_of_polynomial(&q).is_nonnegative() {
            true
        } else {
            let falling = q.scaled(-1)?;
            if self.range_of_polynomial(&falling).is_nonnegative() {
                false
            } else if q.as_constant().is_some() {
                return None;
            } else if self.holds(&q, depth.min(4) - 1) {
                true
            } else if self.holds(&falling, depth.min(4) - 1) {
                false
            } else {
                return None;
            }
        };
        let side = if rising { self.below(atom, depth) } else { self.above(atom, depth) };
        for bound in side.bounds {
            if self.replaced(&q, &r, &bound).is_some_and(|replaced| self.holds(&replaced, depth - 1)) {
                return Some(true);
            }
        }
        let cases = side.cases?;
        for case in &cases {
            let replaced = q.times(case).and_then(|product| product.plus(&r, 1));
            if !replaced.is_some_and(|replaced| self.holds(&replaced, depth - 1)) {
                return None;
            }
        }
        Some(true)
    }

    /// A polynomial whose being non-negative proves `q * atom + r >= 0`.
    fn replaced(&self, q: &Polynomial, r: &Polynomial, bound: &Bound) -> Option<Polynomial> {
        if let Some(scale) = bound.scale.as_constant() {
            let replaced = q.times(&bound.value)?.plus(r, scale)?;
            if scale == 1 {
                return Some(replaced);
            }
            // scale * p > -scale is enough if p is an integer.
            let whole = [q, r].iter().all(|part| part.atoms().iter().all(|&atom| self.is_integral(atom)));
            return if whole { replaced.plus(&Polynomial::constant(scale - 1), 1) } else { Some(replaced) };
        }
        // A symbolic scale has to be in q already: q * atom = (q / scale) * (scale * atom).
        q.divided_by(&bound.scale)?.times(&bound.value)?.plus(r, 1)
    }

    /// Whether an atom's value is an integer. Symbols are, unless declared otherwise; elements of containers may be anything.
    fn is_integral(&self, atom: ExprId) -> bool {
        self.pool.node(atom).is_integral()
            || self.pool.reachable(atom).into_iter().all(|id| match self.pool.node(id) {
                Node::Symbol(name) => {
                    self.pool.symbol_info(*name).is_none_or(|info| info.dtype.is_integral())
                }
                Node::Typed(dtype, _) | Node::Cast(dtype, _) => dtype.is_integral(),
                Node::Float(_) | Node::Complex(..) | Node::Constant(_) | Node::Unary(UnaryOp::Sqrt, _) => {
                    false
                }
                Node::Call(..) | Node::Subscript(..) | Node::Attribute(..) => false,
                _ => true,
            })
    }

    /// The polynomial of an operand. A rational operand is truncated by its operation, so it is not its polynomial.
    fn operand(&self, id: ExprId) -> Option<Polynomial> {
        if self.strict_gap(id, id) != 1 {
            return None;
        }
        Polynomial::of(self.pool, id)
    }

    fn operands(&self, ids: &[ExprId]) -> Vec<Option<Polynomial>> {
        ids.iter().map(|&id| self.operand(id)).collect()
    }

    fn is_nonnegative(&mut self, id: ExprId, depth: u32) -> bool {
        self.range_of(id).is_nonnegative()
            || self.operand(id).is_some_and(|p| depth > 1 && self.holds(&p, depth.min(4) - 1))
    }

    fn is_positive(&mut self, id: ExprId, depth: u32) -> bool {
        let less_one = |p: Polynomial| p.plus(&Polynomial::constant(1), -1);
        self.range_of(id).is_positive()
            || self
                .operand(id)
                .and_then(less_one)
                .is_some_and(|p| depth > 1 && self.holds(&p, depth.min(4) - 1))
    }

    /// Lower bounds of an atom.
    fn below(&mut self, atom: ExprId, depth: u32) -> Side {
        let mut side = Side::default();
        match self.pool.node(atom) {
            Node::Symbol(name) => {
                let bounds = self.known.lower(*name).iter().filter_map(|&bound| self.operand(bound));
                side.bounds.extend(bounds.map(Bound::plain));
                let declared = self.pool.symbol_info(*name).and_then(|info| info.lower());
                side.bounds.extend(declared.map(Bound::of_constant));
            }
            Node::Nary(NaryOp::Max, operands) => {
                side.bounds.extend(self.operands(operands).into_iter().flatten().map(Bound::plain));
            }
            Node::Nary(NaryOp::Min, operands) => side.cases = self.operands(operands).into_iter().collect(),
            Node::Unary(UnaryOp::Abs, a) => {
                side.bounds.push(Bound::of_constant(0));
                if let Some(a) = self.operand(*a) {
                    side.bounds.extend(a.scaled(-1).map(Bound::plain));
                    side.bounds.push(Bound::plain(a));
                }
            }
            Node::Select(_, a, b) => side.cases = self.operands(&[*a, *b]).into_iter().collect(),
            Node::Binary(op, a, b) => side.bounds = self.division_below(*op, *a, *b, depth),
            _ => {}
        }
        side.add_range(self.range_of(atom).lower);
        side
    }

    /// Upper bounds of an atom.
    fn above(&mut self, atom: ExprId, depth: u32) -> Side {
        let mut side = Side::default();
        match self.pool.node(atom) {
            Node::Symbol(name) => {
                let bounds = self.known.upper(*name).iter().filter_map(|&bound| self.operand(bound));
                side.bounds.extend(bounds.map(Bound::plain));
                let declared = self.pool.symbol_info(*name).and_then(|info| info.upper());
                side.bounds.extend(declared.map(Bound::of_constant));
            }
            Node::Nary(NaryOp::Min, operands) => {
                side.bounds.extend(self.operands(operands).into_iter().flatten().map(Bound::plain));
            }
            Node::Nary(NaryOp::Max, operands) => side.cases = self.operands(operands).into_iter().collect(),
            Node::Nary(NaryOp::BitAnd, operands) => {
                for &operand in operands {
                    if self.is_nonnegative(operand, depth) {
                        side.bounds.extend(self.operand(operand).map(Bound::plain));
                    }
                }
            }
            Node::Unary(UnaryOp::Abs, a) => {
                side.cases = self.operand(*a).and_then(|a| Some(vec![a.scaled(-1)?, a]));
            }
            Node::Select(_, a, b) => side.cases = self.operands(&[*a, *b]).into_iter().collect(),
            Node::Binary(op, a, b) => side.bounds = self.division_above(*op, *a, *b, depth),
            _ => {}
        }
        side.add_range(self.range_of(atom).upper);
        side
    }

    fn division_below(&mut self, op: BinaryOp, a: ExprId, b: ExprId, depth: u32) -> Vec<Bound> {
        let mut bounds = Vec::new();
        let rounds_up = match op {
            BinaryOp::Modulo if self.is_positive(b, depth) => return vec![Bound::of_constant(0)],
            BinaryOp::Remainder if self.is_nonnegative(a, depth) => return vec![Bound::of_constant(0)],
            BinaryOp::FloorDiv => false,
            BinaryOp::CeilDiv => true,
            BinaryOp::TruncDiv if self.is_nonnegative(a, depth) => false,
            _ => return bounds,
        };
        if !self.is_positive(b, depth) {
            return bounds;
        }
        if let (Some(dividend), Some(divisor)) = (self.operand(a), self.operand(b)) {
            // b * floor(a/b) >= a - b + 1 and b * ceil(a/b) >= a
            let slack = if rounds_up {
                Some(Polynomial::default())
            } else {
                divisor.plus(&Polynomial::constant(1), -1)
            };
            let value = slack.and_then(|slack| dividend.plus(&slack, -1));
            bounds.extend(value.map(|value| Bound { scale: divisor, value }));
        }
        if self.is_nonnegative(a, depth) {
            bounds.push(Bound::of_constant(0));
        }
        bounds
    }

    fn division_above(&mut self, op: BinaryOp, a: ExprId, b: ExprId, depth: u32) -> Vec<Bound> {
        let mut bounds = Vec::new();
        if !self.is_positive(b, depth) {
            return bounds;
        }
        let (Some(dividend), Some(divisor)) = (self.operand(a), self.operand(b)) else { return bounds };
        match op {
            BinaryOp::FloorDiv | BinaryOp::CeilDiv | BinaryOp::TruncDiv => {
                let nonnegative = self.is_nonnegative(a, depth);
                if op == BinaryOp::TruncDiv && !nonnegative {
                    return bounds;
                }
                // b * floor(a/b) <= a and b * ceil(a/b) <= a + b - 1
                let slack = match op {
                    BinaryOp::CeilDiv => divisor.plus(&Polynomial::constant(1), -1),
                    _ => Some(Polynomial::default()),
                };
                let value = slack.and_then(|slack| dividend.plus(&slack, 1));
                bounds.extend(value.map(|value| Bound { scale: divisor, value }));
                if nonnegative {
                    bounds.push(Bound::plain(dividend));
                }
            }
            BinaryOp::Modulo | BinaryOp::Remainder => {
                bounds.extend(divisor.plus(&Polynomial::constant(1), -1).map(Bound::plain));
                if self.is_nonnegative(a, depth) {
                    bounds.push(Bound::plain(dividend));
                }
            }
            _ => {}
        }
        bounds
    }

    fn range_of_polynomial(&mut self, p: &Polynomial) -> Interval {
        let mut total = Interval::exactly(0);
        for (monomial, coefficient) in p.terms() {
            let Ok(coefficient) = i64::try_from(coefficient) else { return Interval::ALL };
            let mut product = Interval::exactly(1);
            for factor in monomial {
                product = product.mul(self.range_of(factor.base).pow(factor.power));
            }
            total = total.add(product.scaled(coefficient));
        }
        total
    }

    /// An interval that contains every value of the expression.
    pub fn range_of(&mut self, id: ExprId) -> Interval {
        if let Some(&known) = self.ranges.get(&id) {
            return known;
        }
        if self.pool.depth(id) > MAX_RANGE_DEPTH {
            return Interval::ALL;
        }
        // Bounds of symbols may mention each other; the inner question then gets this answer.
        self.ranges.insert(id, Interval::ALL);
        let range = self.range_of_node(id);
        self.ranges.insert(id, range);
        range
    }

    fn range_of_node(&mut self, id: ExprId) -> Interval {
        let pool = self.pool;
        match pool.node(id) {
            Node::Int(value) => Interval::exactly(*value),
            Node::Typed(dtype, bits) if dtype.is_integral() => {
                i64::try_from(*bits).map_or(Interval::ALL, Interval::exactly)
            }
            Node::Symbol(name) => {
                let declared = pool.symbol_info(*name);
                let mut range = Interval {
                    lower: declared.and_then(|info| info.lower()),
                    upper: declared.and_then(|info| info.upper()),
                };
                for &bound in self.known.lower(*name) {
                    range = range.meet(Interval { lower: self.range_of(bound).lower, upper: None });
                }
                for &bound in self.known.upper(*name) {
                    range = range.meet(Interval { lower: None, upper: self.range_of(bound).upper });
                }
                range
            }
            Node::Sum(constant, terms) => {
                let mut total = Interval::exactly(*constant);
                for term in terms {
                    total = total.add(self.range_of(term.monomial).scaled(term.coefficient));
                }
                total
            }
            Node::Product(factors) => {
                let mut total = Interval::exactly(1);
                for factor in factors {
                    total = total.mul(self.range_of(factor.base).pow(factor.power));
                }
                total
            }
            Node::Nary(NaryOp::Min, operands) => {
                let ranges: SmallVec<[Interval; 4]> = operands.iter().map(|&id| self.range_of(id)).collect();
                ranges.into_iter().reduce(Interval::min).unwrap_or_default()
            }
            Node::Nary(NaryOp::Max, operands) => {
                let ranges: SmallVec<[Interval; 4]> = operands.iter().map(|&id| self.range_of(id)).collect();
                ranges.into_iter().reduce(Interval::max).unwrap_or_default()
            }
            Node::Nary(NaryOp::BitAnd, operands) => {
                let mut range = Interval::ALL;
                for &operand in operands {
                    let operand = self.range_of(operand);
                    if operand.is_nonnegative() {
                        range = range.meet(Interval { lower: Some(0), upper: operand.upper });
                    }
                }
                range
            }
            Node::Select(_, a, b) => {
                let (a, b) = (self.range_of(*a), self.range_of(*b));
                a.hull(b)
            }
            Node::Unary(UnaryOp::Abs, a) => {
                let a = self.range_of(*a);
                a.max(a.negated()).meet(Interval { lower: Some(0), upper: None })
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (self.range_of(*a), self.range_of(*b));
                range_of_binary(*op, a, b)
            }
            Node::Cast(dtype, a) => {
                let (inner, own) = (self.range_of(*a), range_of_type(*dtype));
                let inside = own.lower.zip(inner.lower).is_some_and(|(least, lower)| least <= lower)
                    && own.upper.zip(inner.upper).is_some_and(|(most, upper)| upper <= most);
                if inside { inner } else { own }
            }
            node if node.is_boolean() => Interval::between(0, 1),
            _ => Interval::ALL,
        }
    }
}

impl Bound {
    fn plain(value: Polynomial) -> Bound {
        Bound { scale: Polynomial::constant(1), value }
    }

    fn of_constant(value: i64) -> Bound {
        Bound::plain(Polynomial::constant(i128::from(value)))
    }
}

impl Side {
    fn add_range(&mut self, end: Option<i64>) {
        self.bounds.extend(end.map(Bound::of_constant));
    }
}

fn range_of_binary(op: BinaryOp, a: Interval, b: Interval) -> Interval {
    let divisor = b.lower.filter(|_| b.lower == b.upper);
    match (op, divisor) {
        (BinaryOp::FloorDiv, Some(d @ 1..)) => a.monotone(|end| Some(end.div_euclid(d))),
        (BinaryOp::CeilDiv, Some(d @ 1..)) => {
            a.monotone(|end| end.div_euclid(d).checked_add(i64::from(end.rem_euclid(d) != 0)))
        }
        (BinaryOp::TruncDiv, Some(d @ 1..)) => a.monotone(|end| Some(end / d)),
        // In a sum a quotient counts as the rational it is, so its ends are rounded outwards.
        (BinaryOp::Quotient, Some(d @ 1..)) => Interval {
            lower: a.lower.map(|end| end.div_euclid(d)),
            upper: a.upper.and_then(|end| end.div_euclid(d).checked_add(i64::from(end.rem_euclid(d) != 0))),
        },
        // A positive divisor shrinks what is not negative and keeps the sign.
        (BinaryOp::FloorDiv | BinaryOp::CeilDiv | BinaryOp::TruncDiv | BinaryOp::Quotient, _)
            if b.is_positive() && a.is_nonnegative() =>
        {
            Interval { lower: Some(0), upper: a.upper }
        }
        (BinaryOp::Modulo, _) if b.is_positive() => {
            let below = Interval { lower: Some(0), upper: b.upper.map(|upper| upper - 1) };
            if a.is_nonnegative() { below.meet(Interval { lower: None, upper: a.upper }) } else { below }
        }
        (BinaryOp::Remainder, _) if a.is_nonnegative() => {
            let below = Interval { lower: Some(0), upper: a.upper };
            if b.is_positive() {
                below.meet(Interval { lower: None, upper: b.upper.map(|upper| upper - 1) })
            } else {
                below
            }
        }
        (BinaryOp::Power, _) if a.is_positive() && b.is_nonnegative() => {
            Interval { lower: Some(1), upper: None }
        }
        (BinaryOp::Power, _) if a.is_nonnegative() => Interval { lower: Some(0), upper: None },
        (BinaryOp::ShiftLeft, _) if a.is_nonnegative() => Interval { lower: Some(0), upper: None },
        (BinaryOp::ShiftRight, _) if a.is_nonnegative() => Interval { lower: Some(0), upper: a.upper },
        _ => Interval::ALL,
    }
}

fn range_of_type(dtype: DType) -> Interval {
    match dtype {
        DType::Bool => Interval::between(0, 1),
        DType::I8 => Interval::between(-(1 << 7), (1 << 7) - 1),
        DType::I16 => Interval::between(-(1 << 15), (1 << 15) - 1),
        DType::I32 => Interval::between(-(1 << 31), (1 << 31) - 1),
        DType::U8 => Interval::between(0, (1 << 8) - 1),
        DType::U16 => Interval::between(0, (1 << 16) - 1),
        DType::U32 => Interval::between(0, (1 << 32) - 1),
        DType::U64 => Interval { lower: Some(0), upper: None },
        _ => Interval::ALL,
    }
}
