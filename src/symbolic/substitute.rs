//! Replacing symbols.

use hashbrown::HashMap;

use crate::entity::Name;

use super::node::{BinaryOp, Merge, NaryOp, Node, UnaryOp};
use super::{ExprId, ExprPool};

impl ExprPool {
    /// The expression with symbols replaced, all at once. Containers read by subscripts are symbols too.
    pub fn substitute(&mut self, id: ExprId, replace: &dyn Fn(Name) -> Option<ExprId>) -> ExprId {
        match *self.node(id) {
            Node::Int(_) => return id,
            Node::Symbol(name) => return replace(name).unwrap_or(id),
            _ => {}
        }
        let mut images: HashMap<ExprId, ExprId> = HashMap::new();
        for old in self.reachable(id) {
            let image = match *self.node(old) {
                Node::Symbol(name) => replace(name).unwrap_or(old),
                _ => self.rebuild(old, &images),
            };
            if image != old {
                images.insert(old, image);
            }
        }
        images.get(&id).copied().unwrap_or(id)
    }

    /// The expression with its children exchanged for their images.
    fn rebuild(&mut self, id: ExprId, images: &HashMap<ExprId, ExprId>) -> ExprId {
        let mut changed = false;
        self.node(id).for_each_child(|child| changed |= images.contains_key(&child));
        if !changed {
            return id;
        }
        let image = |child: &ExprId| images.get(child).copied().unwrap_or(*child);
        match self.node(id).clone() {
            Node::Int(_)
            | Node::Bool(_)
            | Node::Float(_)
            | Node::Typed(..)
            | Node::Complex(..)
            | Node::Constant(_)
            | Node::Undefined
            | Node::Symbol(_) => id,
            Node::Sum(constant, terms) => {
                let mut sum = vec![(1, self.int(constant))];
                sum.extend(terms.iter().map(|term| (term.coefficient, image(&term.monomial))));
                self.sum(&sum)
            }
            Node::Product(factors) => {
                let mut powers = Vec::with_capacity(factors.len());
                for factor in &factors {
                    let power = self.int(i64::from(factor.power));
                    powers.push(self.pow(image(&factor.base), power));
                }
                self.product(&powers)
            }
            Node::Unmerged(merge, operands) => {
                let operands: Vec<ExprId> = operands.iter().map(image).collect();
                match merge {
                    Merge::Sum => {
                        let terms: Vec<(i64, ExprId)> = operands.into_iter().map(|id| (1, id)).collect();
                        self.sum(&terms)
                    }
                    Merge::Product => self.product(&operands),
                }
            }
            Node::Unary(op, a) => {
                let a = image(&a);
                match op {
                    UnaryOp::Abs => self.abs(a),
                    UnaryOp::Not => self.not(a),
                    UnaryOp::BitNot => self.bit_not(a),
                    UnaryOp::Floor => self.floor(a),
                    UnaryOp::Ceiling => self.ceiling(a),
                    UnaryOp::Round => self.round(a),
                    UnaryOp::Sqrt => self.sqrt(a),
                }
            }
            Node::Binary(op, a, b) => {
                let (a, b) = (image(&a), image(&b));
                match op {
                    BinaryOp::Quotient => self.quotient(a, b),
                    BinaryOp::FloorDiv => self.floor_div(a, b),
                    BinaryOp::CeilDiv => self.ceil_div(a, b),
                    BinaryOp::TruncDiv => self.trunc_div(a, b),
                    BinaryOp::Remainder => self.remainder(a, b),
                    BinaryOp::Modulo => self.modulo(a, b),
                    BinaryOp::Power => self.pow(a, b),
                    BinaryOp::ShiftLeft => self.shift_left(a, b),
                    BinaryOp::ShiftRight => self.shift_right(a, b),
                }
            }
            Node::Nary(op, operands) => {
                let operands: Vec<ExprId> = operands.iter().map(image).collect();
                match op {
                    NaryOp::Min => self.min_of(&operands),
                    NaryOp::Max => self.max_of(&operands),
                    NaryOp::And => self.and(&operands),
                    NaryOp::Or => self.or(&operands),
                    NaryOp::BitAnd | NaryOp::BitOr | NaryOp::BitXor => self.bitwise(op, &operands),
                }
            }
            Node::Compare(op, a, b) => self.compare(op, image(&a), image(&b)),
            Node::Select(c, a, b) => self.select(image(&c), image(&a), image(&b)),
            Node::Cast(dtype, a) => self.cast(dtype, image(&a)),
            Node::Call(function, arguments) => {
                let arguments: Vec<ExprId> = arguments.iter().map(image).collect();
                self.call(function, &arguments)
            }
            Node::Subscript(base, indices) => {
                let indices: Vec<ExprId> = indices.iter().map(image).collect();
                self.subscript(image(&base), &indices)
            }
            Node::Attribute(base, member) => self.attribute(image(&base), member),
        }
    }
}
