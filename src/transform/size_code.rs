//! Sizes as code of control flow.

use crate::entity::Names;
use crate::ir::{CodeExpr, Language, Text};
use crate::scalar::arith::cast;
use crate::scalar::code::{Inst, Op};
use crate::scalar::{BinaryOp, Code, DType, Scalar, Type, ValueId};
use crate::symbolic::{ExprId, ExprPool, Grammar, Node};

use super::control;

/// Operations in one another.
const DEPTH: usize = 32;

/// Powers that become products.
const POWER: u32 = 8;

/// Code that computes a size for a symbol of type `dtype`: a symbol as it is, or sums and products of integers. They are computed
/// in 64 bits, as sizes are.
pub fn value_of(exprs: &ExprPool, names: &Names, size: ExprId, dtype: DType) -> Option<CodeExpr> {
    if let Some(symbol) = exprs.as_symbol(size) {
        return Some(control::value_of_symbol(names.get(symbol), symbol, dtype));
    }
    if !matches!(dtype, DType::I32 | DType::I64) {
        return None;
    }
    let mut writer = Writer { exprs, code: Code::default() };
    let mut value = match exprs.as_int(size) {
        Some(number) => writer.push(dtype, Op::Const(cast(dtype, Scalar::I64(number)))),
        None => writer.size(size, 0)?,
    };
    if writer.code.types.get(value).and_then(|ty| ty.scalar()) != Some(dtype) {
        value = writer.push(dtype, Op::Cast(dtype, value));
    }
    writer.code.body.results.push(value);
    let text = Text { language: Language::Python, text: exprs.print(names, size, Grammar::Plain) };
    Some(CodeExpr { text, target: None, code: Some(writer.code) })
}

struct Writer<'a> {
    exprs: &'a ExprPool,
    code: Code,
}

impl Writer<'_> {
    fn push(&mut self, dtype: DType, op: Op) -> ValueId {
        let value = self.code.types.push(Type::Scalar(dtype));
        self.code.body.insts.push(Inst { op, results: vec![value] });
        value
    }

    fn number(&mut self, number: i64) -> ValueId {
        self.push(DType::I64, Op::Const(Scalar::I64(number)))
    }

    fn joined(&mut self, op: BinaryOp, so_far: Option<ValueId>, next: ValueId) -> ValueId {
        match so_far {
            Some(value) => self.push(DType::I64, Op::Binary(op, value, next)),
            None => next,
        }
    }

    fn size(&mut self, size: ExprId, depth: usize) -> Option<ValueId> {
        if depth > DEPTH {
            return None;
        }
        match self.exprs.node(size) {
            Node::Int(number) => Some(self.number(*number)),
            Node::Symbol(name) => {
                let known = self.code.symbols.iter().position(|(known, _)| known == name);
                let index = known.unwrap_or(self.code.symbols.len());
                if known.is_none() {
                    self.code.symbols.push((*name, DType::I64));
                }
                Some(self.push(DType::I64, Op::Symbol(u32::try_from(index).ok()?)))
            }
            Node::Sum(constant, terms) => {
                let mut sum = None;
                for term in terms {
                    let mut value = self.size(term.monomial, depth + 1)?;
                    if term.coefficient != 1 {
                        let factor = self.number(term.coefficient);
                        value = self.joined(BinaryOp::Mul, Some(factor), value);
                    }
                    sum = Some(self.joined(BinaryOp::Add, sum, value));
                }
                if *constant != 0 {
                    let constant = self.number(*constant);
                    sum = Some(self.joined(BinaryOp::Add, sum, constant));
                }
                sum
            }
            Node::Product(factors) => {
                let mut product = None;
                for factor in factors {
                    if factor.power > POWER {
                        return None;
                    }
                    let base = self.size(factor.base, depth + 1)?;
                    for _ in 0..factor.power {
                        product = Some(self.joined(BinaryOp::Mul, product, base));
                    }
                }
                product
            }
            _ => None,
        }
    }
}
