//! Symbols and symbolic expressions as values.

use std::rc::Rc;

use hashbrown::HashMap;

use crate::entity::Name;
use crate::scalar::{BinaryOp, DType, Func, Scalar, Type, UnaryOp, arith};
use crate::symbolic::ExprId;
use crate::symbolic::node::{self, CompareOp, Merge, NaryOp, Node};

use crate::kernel::build::integer_literal;
use crate::kernel::{Literal, Op, TrapKind, ValueId, VarId};

use super::container::Container;
use super::{Lowerer, Lowering};

/// What a symbol is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Symbol {
    /// A value that does not change while the name is visible.
    Value(ValueId),
    /// An integer as `int64` that fits the type: loop variables and map parameters.
    Index(ValueId, DType),
    /// Assigned by control flow.
    Variable(VarId),
}

impl Lowerer<'_> {
    /// Free symbols of the outermost graph become parameters of the kernel, or constants where their values are known;
    /// symbols that the graph assigns become variables that start with the parameter's value.
    pub fn root_symbols(&mut self) -> Vec<(Name, DType)> {
        let graph = self.cx.graph;
        let mut names: Vec<Name> = graph.symbols.keys().copied().collect();
        for name in super::container::free_symbols(self.program, graph) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let mut parameters = Vec::new();
        for name in names {
            if graph.constants.contains_key(&name) || graph.data.contains_key(&name) {
                continue;
            }
            let dtype = graph.symbol_type(name);
            if dtype.is_complex() {
                continue;
            }
            let value = match self.special.size(name) {
                Some(size) => {
                    let size = arith::cast(dtype, Scalar::I64(size));
                    Literal::from_scalar(size).map(|literal| self.b.constant(literal))
                }
                None => None,
            };
            let value = value.unwrap_or_else(|| {
                parameters.push((name, dtype));
                self.b.parameter(self.program.names.get(name), dtype)
            });
            self.bind_symbol(name, value, dtype);
        }
        self.assigned_symbols();
        parameters
    }

    /// Gives a symbol its value on entry; a variable if the graph assigns it.
    pub fn bind_symbol(&mut self, name: Name, value: ValueId, dtype: DType) {
        let value = self.b.cast(dtype, value);
        if self.cx.uses.assigned.contains(&name) {
            let variable = self.b.variable(self.program.names.get(name), dtype);
            self.b.set(variable, value);
            self.cx.symbols.insert(name, Symbol::Variable(variable));
        } else {
            self.cx.symbols.insert(name, Symbol::Value(value));
        }
    }

    /// Variables for symbols that the graph assigns and that have no value on entry.
    pub fn assigned_symbols(&mut self) {
        let uses = std::rc::Rc::clone(&self.cx.uses);
        for &name in &uses.assigned {
            let dtype = self.cx.graph.symbol_type(name);
            if !self.cx.symbols.contains_key(&name) && !dtype.is_complex() {
                let variable = self.b.variable(self.program.names.get(name), dtype);
                self.cx.symbols.insert(name, Symbol::Variable(variable));
            }
            if dtype.is_complex() && !self.cx.data.contains_key(&name) {
                let part = if dtype == DType::C64 { DType::F32 } else { DType::F64 };
                let text = self.program.names.get(name);
                let variables = [self.b.variable(text, part), self.b.variable(text, part)];
                let ty = Type::Scalar(dtype);
                let container = Container::Register { ty, variables: Rc::new(variables), rank: 0 };
                self.cx.data.insert(name, container);
            }
        }
    }

    /// The two variables of a complex symbol that control flow assigns. Such a symbol stands among the containers,
    /// because it is two values.
    pub fn complex_symbol(&self, name: Name) -> Option<(DType, Rc<[VarId]>)> {
        if self.cx.graph.data.contains_key(&name) {
            return None;
        }
        match self.cx.data.get(&name) {
            Some(Container::Register { ty: Type::Scalar(dtype), variables, .. }) if dtype.is_complex() => {
                Some((*dtype, Rc::clone(variables)))
            }
            _ => None,
        }
    }

    /// The value of a symbol, in the type it has.
    pub fn symbol(&mut self, name: Name) -> Lowering<ValueId> {
        match self.cx.symbols.get(&name).copied() {
            Some(Symbol::Value(value)) => Ok(value),
            Some(Symbol::Index(value, dtype)) => Ok(self.b.cast(dtype, value)),
            Some(Symbol::Variable(variable)) => Ok(self.read_variable(variable)),
            None => self.named_element(name, &[]),
        }
    }

    /// The value of a symbol as `int64`.
    pub fn symbol_int(&mut self, name: Name) -> Lowering<ValueId> {
        if let Some(Symbol::Index(value, _)) = self.cx.symbols.get(&name).copied() {
            return Ok(value);
        }
        let value = self.symbol(name)?;
        if !self.b.ty(value).is_integral() {
            return self
                .unsupported(format!("`{}`, which is no integer, in a size or index", self.text(name)));
        }
        Ok(self.b.cast(DType::I64, value))
    }

    /// The value of a variable, read once per straight piece of control flow.
    pub fn read_variable(&mut self, variable: VarId) -> ValueId {
        if let Some(&value) = self.cx.cache.get(&variable) {
            return value;
        }
        if self.b.depth() == self.cx.level {
            return self.b.get(variable);
        }
        let ty = self.b.kernel.variables[variable].ty;
        let value = self.b.value_at(Op::Get(variable), ty, self.cx.level);
        self.cx.cache.insert(variable, value);
        value
    }

    /// Scalar constants and containers that an expression names.
    fn named_element(&mut self, name: Name, indices: &[ValueId]) -> Lowering<ValueId> {
        let Some(container) = self.container(name) else {
            return self.invalid("P0201", format!("nobody gives `{}` a value", self.text(name)));
        };
        let values = self.read_element(&container, indices, self.program.names.get(name))?;
        match values[..] {
            [value] => Ok(value),
            _ => self
                .unsupported(format!("`{}`, which is no real number, in a size or index", self.text(name))),
        }
    }

    /// Several expressions.
    pub fn ints(&mut self, exprs: &[ExprId]) -> Lowering<Vec<ValueId>> {
        exprs.iter().map(|&expr| self.int(expr)).collect()
    }

    /// The value of an integer expression, `int64`.
    pub fn int(&mut self, expr: ExprId) -> Lowering<ValueId> {
        let exprs = &self.program.exprs;
        if let Some(value) = exprs.as_int(expr) {
            return Ok(self.b.int(value));
        }
        if let Some(name) = exprs.as_symbol(expr) {
            return self.symbol_int(name);
        }
        if let Node::Binary(node::BinaryOp::Quotient, a, b) = *exprs.node(expr) {
            let (a, b) = (self.int(a)?, self.int(b)?);
            return self.divided(BinaryOp::Div, a, b);
        }
        let mut known: HashMap<ExprId, ValueId> = HashMap::new();
        // Children have smaller ids than their parents.
        for id in exprs.reachable(expr) {
            let node = exprs.node(id);
            if matches!(node, Node::Binary(node::BinaryOp::Quotient, ..)) {
                continue;
            }
            if let Node::Symbol(name) = node {
                // Names of containers that a subscript reads are no values.
                if !self.cx.symbols.contains_key(name) && self.is_indexed(*name) {
                    continue;
                }
            }
            let value = self.expr_node(node, &known)?;
            known.insert(id, value);
        }
        match known.get(&expr) {
            Some(&value) => Ok(value),
            None => self.unsupported("a symbolic expression of this form"),
        }
    }

    fn is_indexed(&self, name: Name) -> bool {
        self.cx.data.get(&name).or_else(|| self.constants.get(&name)).is_some_and(|c| c.rank() > 0)
    }

    fn expr_node(&mut self, node: &Node, known: &HashMap<ExprId, ValueId>) -> Lowering<ValueId> {
        let get = |id: &ExprId| known.get(id).copied();
        Ok(match node {
            Node::Int(value) => self.b.int(*value),
            Node::Bool(value) => self.b.int(i64::from(*value)),
            Node::Typed(dtype, bits) if dtype.is_integral() => self.b.int(*bits as i64),
            Node::Symbol(name) => self.symbol_int(*name)?,
            Node::Sum(constant, terms) => return self.sum_node(*constant, terms, known),
            Node::Product(factors) => {
                let mut product = self.b.int(1);
                for factor in factors {
                    let Some(base) = get(&factor.base) else {
                        return self.unsupported("a product of rationals");
                    };
                    for _ in 0..factor.power.min(64) {
                        product = self.b.mul(product, base);
                    }
                }
                product
            }
            Node::Unmerged(merge, operands) => {
                let op = if *merge == Merge::Sum { BinaryOp::Add } else { BinaryOp::Mul };
                self.folded(op, operands, known)?
            }
            Node::Unary(op, a) => {
                let Some(a) = get(a) else { return self.unsupported("a rational operand") };
                match op {
                    node::UnaryOp::Abs => self.b.value(Op::Math(Func::Abs, vec![a]), DType::I64),
                    node::UnaryOp::Not => {
                        let truth = self.truth(a);
                        let not = self.b.not(truth);
                        self.b.cast(DType::I64, not)
                    }
                    node::UnaryOp::BitNot => self.b.value(Op::Unary(UnaryOp::BitNot, a), DType::I64),
                    node::UnaryOp::Floor | node::UnaryOp::Ceiling | node::UnaryOp::Round => a,
                    node::UnaryOp::Sqrt => return self.unsupported("a square root in a size or index"),
                }
            }
            Node::Binary(op, a, b) => {
                let (Some(a), Some(b)) = (get(a), get(b)) else {
                    return self.unsupported("a rational operand");
                };
                match op {
                    node::BinaryOp::FloorDiv => self.divided(BinaryOp::FloorDiv, a, b)?,
                    node::BinaryOp::TruncDiv | node::BinaryOp::Quotient => {
                        self.divided(BinaryOp::Div, a, b)?
                    }
                    node::BinaryOp::CeilDiv => {
                        let zero = self.b.int(0);
                        let minus = self.b.sub(zero, a);
                        let floored = self.divided(BinaryOp::FloorDiv, minus, b)?;
                        self.b.sub(zero, floored)
                    }
                    node::BinaryOp::Remainder => self.divided(BinaryOp::Rem, a, b)?,
                    node::BinaryOp::Modulo => self.divided(BinaryOp::Mod, a, b)?,
                    node::BinaryOp::ShiftLeft => self.b.binary(BinaryOp::Shl, a, b),
                    node::BinaryOp::ShiftRight => self.b.binary(BinaryOp::Shr, a, b),
                    node::BinaryOp::Power => return self.power(a, b),
                }
            }
            Node::Nary(op, operands) => {
                let op = match op {
                    NaryOp::Min => BinaryOp::Min,
                    NaryOp::Max => BinaryOp::Max,
                    NaryOp::BitAnd => BinaryOp::BitAnd,
                    NaryOp::BitOr => BinaryOp::BitOr,
                    NaryOp::BitXor => BinaryOp::BitXor,
                    NaryOp::And | NaryOp::Or => {
                        let all = *op == NaryOp::And;
                        let mut result = self.b.bool(all);
                        for operand in operands {
                            let Some(value) = get(operand) else {
                                return self.unsupported("a rational operand");
                            };
                            let truth = self.truth(value);
                            result = if all { self.b.and(result, truth) } else { self.b.or(result, truth) };
                        }
                        return Ok(self.b.cast(DType::I64, result));
                    }
                };
                self.folded(op, operands, known)?
            }
            Node::Compare(op, a, b) => {
                let (Some(a), Some(b)) = (get(a), get(b)) else {
                    return self.unsupported("a rational operand");
                };
                let op = match op {
                    CompareOp::Less => BinaryOp::Lt,
                    CompareOp::AtMost => BinaryOp::Le,
                    CompareOp::Equal => BinaryOp::Eq,
                    CompareOp::NotEqual => BinaryOp::Ne,
                };
                let truth = self.b.binary(op, a, b);
                self.b.cast(DType::I64, truth)
            }
            Node::Select(condition, then, otherwise) => {
                let (Some(condition), Some(then), Some(otherwise)) =
                    (get(condition), get(then), get(otherwise))
                else {
                    return self.unsupported("a rational operand");
                };
                let truth = self.truth(condition);
                self.b.select(truth, then, otherwise)
            }
            Node::Cast(dtype, a) if dtype.is_integral() => {
                let Some(a) = get(a) else { return self.unsupported("a rational operand") };
                let narrow = self.b.cast(*dtype, a);
                self.b.cast(DType::I64, narrow)
            }
            Node::Subscript(base, indices) => {
                let Some(name) = self.program.exprs.as_symbol(*base) else {
                    return self.unsupported("a subscript of an expression");
                };
                let mut values = Vec::with_capacity(indices.len());
                for index in indices {
                    let Some(value) = get(index) else { return self.unsupported("a rational index") };
                    values.push(value);
                }
                let element = self.named_element(name, &values)?;
                if !self.b.ty(element).is_integral() {
                    return self.unsupported("a real number in a size or index");
                }
                self.b.cast(DType::I64, element)
            }
            _ => return self.unsupported("a symbolic expression of this form"),
        })
    }

    /// `constant + sum of terms`, of which one may be a rational: the sum is truncated once.
    fn sum_node(
        &mut self,
        constant: i64,
        terms: &[node::Term],
        known: &HashMap<ExprId, ValueId>,
    ) -> Lowering<ValueId> {
        let mut whole = vec![self.b.int(constant)];
        let mut rational = None;
        for term in terms {
            if let Some(&monomial) = known.get(&term.monomial) {
                let factor = self.b.int(term.coefficient);
                whole.push(self.b.mul(monomial, factor));
            } else if let Node::Binary(node::BinaryOp::Quotient, a, b) =
                *self.program.exprs.node(term.monomial)
            {
                let (Some(&a), Some(&b), None) = (known.get(&a), known.get(&b), rational) else {
                    return self.unsupported("a sum of several rationals");
                };
                let factor = self.b.int(term.coefficient);
                rational = Some((self.b.mul(a, factor), b));
            } else {
                return self.unsupported("a sum of rationals");
            }
        }
        let whole = self.b.sum(whole);
        match rational {
            None => Ok(whole),
            Some((a, b)) => {
                let scaled = self.b.mul(whole, b);
                let numerator = self.b.add(scaled, a);
                self.divided(BinaryOp::Div, numerator, b)
            }
        }
    }

    fn folded(
        &mut self,
        op: BinaryOp,
        operands: &[ExprId],
        known: &HashMap<ExprId, ValueId>,
    ) -> Lowering<ValueId> {
        let mut result = None;
        for operand in operands {
            let Some(&value) = known.get(operand) else { return self.unsupported("a rational operand") };
            result = Some(match result {
                None => value,
                Some(so_far) => self.b.binary(op, so_far, value),
            });
        }
        Ok(result.unwrap_or_else(|| self.b.int(0)))
    }

    /// A division or remainder of 64-bit integers behind its check.
    pub fn divided(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> Lowering<ValueId> {
        if let (Some(x), Some(y)) = (self.b.as_int(a), self.b.as_int(b)) {
            let folded = crate::scalar::arith::binary(
                op,
                crate::scalar::Scalar::I64(x),
                crate::scalar::Scalar::I64(y),
            );
            if let Ok(value) = folded {
                return Ok(self.b.int(value.as_i64()));
            }
        }
        self.check_divisor(b);
        Ok(self.b.binary(op, a, b))
    }

    /// Stops the program if an integer divisor is zero.
    pub fn check_divisor(&mut self, divisor: ValueId) {
        if self.b.as_int(divisor).is_some_and(|value| value != 0) {
            return;
        }
        let ty = self.b.ty(divisor);
        let zero = self.b.constant(integer_literal(ty, 0));
        let fine = self.b.binary(BinaryOp::Ne, divisor, zero);
        let trap = self.trap(TrapKind::DivisionByZero, "an integer is divided by zero");
        if self.b.note_check(fine, self.b.depth()) {
            self.b.check(fine, trap);
        }
    }

    /// Whether a 64-bit integer is not zero.
    fn truth(&mut self, value: ValueId) -> ValueId {
        self.b.cast(DType::Bool, value)
    }

    fn power(&mut self, base: ValueId, exponent: ValueId) -> Lowering<ValueId> {
        match self.b.as_int(exponent) {
            Some(power @ 0..=64) => {
                let mut product = self.b.int(1);
                for _ in 0..power {
                    product = self.b.mul(product, base);
                }
                Ok(product)
            }
            _ if self.b.as_int(base) == Some(2) => {
                let one = self.b.constant(Literal::i64(1));
                Ok(self.b.binary(BinaryOp::Shl, one, exponent))
            }
            _ => Ok(self.squared_and_multiplied(base, exponent)),
        }
    }

    /// `base ** exponent` for an exponent from 0 to 63, which is checked: nothing larger fits 64 bits, but for bases
    /// of which the interpreter knows better.
    fn squared_and_multiplied(&mut self, base: ValueId, exponent: ValueId) -> ValueId {
        let (zero, one, most) = (self.b.int(0), self.b.int(1), self.b.int(63));
        let above = self.b.binary(BinaryOp::Ge, exponent, zero);
        let below = self.b.binary(BinaryOp::Le, exponent, most);
        let fine = self.b.and(above, below);
        let trap = self.trap(TrapKind::OutOfRange, "a power in a size does not fit 64 bits");
        if self.b.note_check(fine, self.b.depth()) {
            self.b.check(fine, trap);
        }
        let (mut product, mut square) = (one, base);
        for bit in 0..6 {
            let bit = self.b.int(bit);
            let shifted = self.b.binary(BinaryOp::Shr, exponent, bit);
            let last = self.b.binary(BinaryOp::BitAnd, shifted, one);
            let set = self.b.cast(DType::Bool, last);
            let with = self.b.mul(product, square);
            product = self.b.select(set, with, product);
            square = self.b.mul(square, square);
        }
        product
    }
}
