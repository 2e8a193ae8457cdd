//! Extrema, comparisons, logic, bits, conversions, calls and subscripts in canonical form.

use crate::entity::Name;
use crate::scalar::DType;

use super::node::{BinaryOp, CompareOp, Constant, NaryOp, Node, Term, UnaryOp};
use super::{ExprId, ExprPool};

impl ExprPool {
    /// The smaller one.
    pub fn min(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.min_of(&[a, b])
    }

    /// The larger one.
    pub fn max(&mut self, a: ExprId, b: ExprId) -> ExprId {
        self.max_of(&[a, b])
    }

    /// The smallest; `?` of nothing.
    pub fn min_of(&mut self, operands: &[ExprId]) -> ExprId {
        self.extremum(NaryOp::Min, operands)
    }

    /// The largest; `?` of nothing.
    pub fn max_of(&mut self, operands: &[ExprId]) -> ExprId {
        self.extremum(NaryOp::Max, operands)
    }

    fn extremum(&mut self, op: NaryOp, operands: &[ExprId]) -> ExprId {
        let mut flat = self.flatten(op, operands);
        if flat.is_empty() || self.any_undefined(&flat) {
            return self.undefined();
        }
        flat.sort_unstable();
        flat.dedup();
        // Of operands that differ by a constant only the best one counts.
        let mut best: Vec<(ExprId, i128, ExprId)> = Vec::with_capacity(flat.len());
        for id in flat {
            let (varying, constant) = self.split_constant(id);
            let constant = i128::from(constant);
            best.push((varying, if op == NaryOp::Max { -constant } else { constant }, id));
        }
        best.sort_by_key(|&(varying, rank, _)| (varying, rank));
        best.dedup_by_key(|&mut (varying, ..)| varying);
        let mut kept: Vec<ExprId> = best.into_iter().map(|(.., id)| id).collect();
        // max(x, min(x, y)) is x.
        if kept.len() > 1 {
            let opposite = if op == NaryOp::Max { NaryOp::Min } else { NaryOp::Max };
            let others = kept.clone();
            kept.retain(|&id| match self.node(id) {
                Node::Nary(inner, below) if *inner == opposite => !below.iter().any(|id| others.contains(id)),
                _ => true,
            });
        }
        kept.sort_unstable();
        match kept[..] {
            [only] => only,
            _ => self.intern(Node::Nary(op, kept.into_boxed_slice())),
        }
    }

    /// An expression without its constant term, and that term.
    pub(super) fn split_constant(&mut self, id: ExprId) -> (ExprId, i64) {
        match self.node(id) {
            Node::Int(value) => {
                let value = *value;
                (self.int(0), value)
            }
            Node::Sum(0, _) => (id, 0),
            Node::Sum(constant, terms) => {
                let constant = *constant;
                match **terms {
                    [Term { coefficient: 1, monomial }] => (monomial, constant),
                    _ => {
                        let terms = terms.clone();
                        (self.intern(Node::Sum(0, terms)), constant)
                    }
                }
            }
            _ => (id, 0),
        }
    }

    fn flatten(&self, op: NaryOp, operands: &[ExprId]) -> Vec<ExprId> {
        let mut flat = Vec::with_capacity(operands.len());
        for &id in operands {
            match self.node(id) {
                Node::Nary(inner, below) if *inner == op => flat.extend_from_slice(below),
                _ => flat.push(id),
            }
        }
        flat
    }

    /// `True` or `False`.
    pub fn boolean(&mut self, value: bool) -> ExprId {
        self.intern(Node::Bool(value))
    }

    /// A comparison.
    pub fn compare(&mut self, op: CompareOp, a: ExprId, b: ExprId) -> ExprId {
        if self.any_undefined(&[a, b]) {
            return self.undefined();
        }
        let (left, right) = (self.split_constant(a), self.split_constant(b));
        if left.0 == right.0 {
            let (x, y) = (left.1, right.1);
            return self.boolean(match op {
                CompareOp::Less => x < y,
                CompareOp::AtMost => x <= y,
                CompareOp::Equal => x == y,
                CompareOp::NotEqual => x != y,
            });
        }
        match op {
            CompareOp::Equal | CompareOp::NotEqual if b < a => self.intern(Node::Compare(op, b, a)),
            _ => self.intern(Node::Compare(op, a, b)),
        }
    }

    /// 1 if the operand is zero, else 0.
    pub fn not(&mut self, a: ExprId) -> ExprId {
        if let Some(value) = self.as_truth(a) {
            return self.boolean(!value);
        }
        match *self.node(a) {
            Node::Undefined => a,
            Node::Compare(CompareOp::Equal, x, y) => self.intern(Node::Compare(CompareOp::NotEqual, x, y)),
            Node::Compare(CompareOp::NotEqual, x, y) => self.intern(Node::Compare(CompareOp::Equal, x, y)),
            Node::Unary(UnaryOp::Not, inner) if self.node(inner).is_boolean() => inner,
            _ => self.intern(Node::Unary(UnaryOp::Not, a)),
        }
    }

    /// 1 if all are nonzero; needed from left to right.
    pub fn and(&mut self, operands: &[ExprId]) -> ExprId {
        self.connective(NaryOp::And, operands, true)
    }

    /// 1 if one is nonzero; needed from left to right.
    pub fn or(&mut self, operands: &[ExprId]) -> ExprId {
        self.connective(NaryOp::Or, operands, false)
    }

    fn connective(&mut self, op: NaryOp, operands: &[ExprId], neutral: bool) -> ExprId {
        let flat = self.flatten(op, operands);
        if self.any_undefined(&flat) {
            return self.undefined();
        }
        let mut kept: Vec<ExprId> = Vec::with_capacity(flat.len());
        for id in flat {
            match self.as_truth(id) {
                Some(value) if value == neutral => {}
                Some(value) => {
                    // What stands before may still have no value, so it stays unless nothing does.
                    if kept.is_empty() {
                        return self.boolean(value);
                    }
                    kept.push(self.boolean(value));
                    break;
                }
                None if kept.contains(&id) => {}
                None => kept.push(id),
            }
        }
        match kept[..] {
            [] => self.boolean(neutral),
            [only] if self.node(only).is_boolean() => only,
            [only] => {
                let zero = self.int(0);
                self.compare(CompareOp::NotEqual, only, zero)
            }
            _ => self.intern(Node::Nary(op, kept.into_boxed_slice())),
        }
    }

    /// `then if condition else otherwise`.
    pub fn select(&mut self, condition: ExprId, then: ExprId, otherwise: ExprId) -> ExprId {
        if self.any_undefined(&[condition, then, otherwise]) {
            return self.undefined();
        }
        match self.as_truth(condition) {
            Some(true) => then,
            Some(false) => otherwise,
            None if then == otherwise => then,
            None => self.intern(Node::Select(condition, then, otherwise)),
        }
    }

    /// The truth value of a literal.
    pub(super) fn as_truth(&self, id: ExprId) -> Option<bool> {
        match *self.node(id) {
            Node::Bool(value) => Some(value),
            Node::Int(value) => Some(value != 0),
            _ => None,
        }
    }

    /// Absolute value.
    pub fn abs(&mut self, a: ExprId) -> ExprId {
        match *self.node(a) {
            Node::Int(value) if value != i64::MIN => self.int(value.abs()),
            Node::Unary(UnaryOp::Abs, _) => a,
            _ => self.intern(Node::Unary(UnaryOp::Abs, a)),
        }
    }

    /// Nearest integer, halves away from zero.
    pub fn round(&mut self, a: ExprId) -> ExprId {
        if self.node(a).is_integral() { a } else { self.intern(Node::Unary(UnaryOp::Round, a)) }
    }

    /// Square root.
    pub fn sqrt(&mut self, a: ExprId) -> ExprId {
        if let Node::Int(value @ 0..) = *self.node(a)
            && value.isqrt() * value.isqrt() == value
        {
            return self.int(value.isqrt());
        }
        self.intern(Node::Unary(UnaryOp::Sqrt, a))
    }

    /// All bits flipped.
    pub fn bit_not(&mut self, a: ExprId) -> ExprId {
        match *self.node(a) {
            Node::Int(value) => self.int(!value),
            Node::Unary(UnaryOp::BitNot, inner) => inner,
            _ => self.intern(Node::Unary(UnaryOp::BitNot, a)),
        }
    }

    /// Bitwise and, or, exclusive or of all operands.
    pub fn bitwise(&mut self, op: NaryOp, operands: &[ExprId]) -> ExprId {
        let flat = self.flatten(op, operands);
        if flat.is_empty() || self.any_undefined(&flat) {
            return self.undefined();
        }
        let neutral = if op == NaryOp::BitAnd { -1 } else { 0 };
        let mut constant: i64 = neutral;
        let mut kept: Vec<ExprId> = Vec::with_capacity(flat.len());
        for id in flat {
            match self.node(id) {
                Node::Int(value) if op == NaryOp::BitAnd => constant &= value,
                Node::Int(value) if op == NaryOp::BitOr => constant |= value,
                Node::Int(value) => constant ^= value,
                _ => kept.push(id),
            }
        }
        kept.sort_unstable();
        if op == NaryOp::BitXor {
            kept = odd_ones(&kept);
        } else {
            kept.dedup();
        }
        if constant != neutral || kept.is_empty() {
            kept.push(self.int(constant));
            kept.sort_unstable();
        }
        match kept[..] {
            [only] => only,
            _ => self.intern(Node::Nary(op, kept.into_boxed_slice())),
        }
    }

    /// `a << b`.
    pub fn shift_left(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if let (Node::Int(x), Node::Int(y @ 0..=62)) = (self.node(a), self.node(b))
            && let Some(value) = x.checked_mul(1 << y)
        {
            return self.int(value);
        }
        self.intern(Node::Binary(BinaryOp::ShiftLeft, a, b))
    }

    /// `a >> b`.
    pub fn shift_right(&mut self, a: ExprId, b: ExprId) -> ExprId {
        if let (Node::Int(x), Node::Int(y @ 0..=63)) = (self.node(a), self.node(b)) {
            let value = x >> y;
            return self.int(value);
        }
        self.intern(Node::Binary(BinaryOp::ShiftRight, a, b))
    }

    /// A binary64 literal. A negative one is minus a literal; infinities and NaN are constants.
    pub fn float(&mut self, value: f64) -> ExprId {
        let magnitude = match value.abs() {
            size if size.is_nan() => return self.constant(Constant::Nan),
            f64::INFINITY => self.constant(Constant::Infinity),
            size => self.intern(Node::Float(size.to_bits())),
        };
        if value.is_sign_negative() { self.neg(magnitude) } else { magnitude }
    }

    /// A number that has a name.
    pub fn constant(&mut self, constant: Constant) -> ExprId {
        self.intern(Node::Constant(constant))
    }

    /// A complex literal.
    pub fn complex(&mut self, dtype: DType, re: f64, im: f64) -> ExprId {
        self.intern(Node::Complex(dtype, re.to_bits(), im.to_bits()))
    }

    /// C conversion. A literal that the type can hold becomes a typed literal.
    pub fn cast(&mut self, dtype: DType, a: ExprId) -> ExprId {
        let (negative, magnitude) = match self.node(a) {
            Node::Sum(0, terms) => match **terms {
                [Term { coefficient: -1, monomial }] => (true, monomial),
                _ => (false, a),
            },
            _ => (false, a),
        };
        let typed = match *self.node(magnitude) {
            Node::Int(value) if dtype.is_integral() && dtype != DType::Bool && fits(dtype, value) => {
                let literal = self.intern(Node::Typed(dtype, value.unsigned_abs()));
                return if value < 0 { self.neg(literal) } else { literal };
            }
            Node::Int(value) if dtype.is_float() => {
                // Exact up to 2^53; beyond that the cast stays as written.
                if value.unsigned_abs() > 1 << 53 {
                    None
                } else {
                    #[expect(clippy::cast_precision_loss, reason = "at most 2^53")]
                    let bits = (value.unsigned_abs() as f64).to_bits();
                    let literal = self.intern(Node::Typed(dtype, bits));
                    return if value < 0 { self.neg(literal) } else { literal };
                }
            }
            Node::Float(bits) if dtype.is_float() => Some(Node::Typed(dtype, bits)),
            // The truth of `-True` is that of `True`.
            Node::Bool(_) if dtype == DType::Bool => return magnitude,
            Node::Complex(_, re, im) if dtype.is_complex() && !negative => Some(Node::Complex(dtype, re, im)),
            _ => None,
        };
        match typed {
            Some(node) => {
                let literal = self.intern(node);
                if negative { self.neg(literal) } else { literal }
            }
            None => self.intern(Node::Cast(dtype, a)),
        }
    }

    /// A typed integer literal.
    pub fn typed_int(&mut self, dtype: DType, value: u64) -> ExprId {
        self.intern(Node::Typed(dtype, value))
    }

    /// A call of a function Pelton does not know.
    pub fn call(&mut self, function: Name, arguments: &[ExprId]) -> ExprId {
        self.intern(Node::Call(function, arguments.into()))
    }

    /// An element of a container.
    pub fn subscript(&mut self, container: ExprId, indices: &[ExprId]) -> ExprId {
        self.intern(Node::Subscript(container, indices.into()))
    }

    /// A member of something that is not a plain name.
    pub fn attribute(&mut self, base: ExprId, member: Name) -> ExprId {
        self.intern(Node::Attribute(base, member))
    }
}

/// Whether magnitude and sign of the value are of the type.
fn fits(dtype: DType, value: i64) -> bool {
    let bits = u32::try_from(dtype.bytes() * 8).unwrap_or(64);
    if dtype.is_unsigned() {
        value >= 0 && (bits == 64 || value < 1 << bits)
    } else {
        value.unsigned_abs() < 1 << (bits - 1)
    }
}

/// Ids that occur an odd number of times, ascending; the input is ascending.
fn odd_ones(ids: &[ExprId]) -> Vec<ExprId> {
    ids.chunk_by(|a, b| a == b).filter(|run| run.len() % 2 == 1).map(|run| run[0]).collect()
}
