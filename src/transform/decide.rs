//! What lowered code of control flow comes to: sizes, and conditions that sizes decide.
//!
//! Only arithmetic that cannot wrap where sizes do not: integers of 64 bits, and narrower ones that are given as they are.

use hashbrown::HashMap;

use crate::ir::CodeExpr;
use crate::scalar::code::{Block, Op};
use crate::scalar::{BinaryOp, Code, DType, Type, UnaryOp, ValueId};
use crate::symbolic::{Assumptions, ExprId, ExprPool, Prover};

/// Operations that a question follows before it gives up.
const DEPTH: usize = 64;

/// Whether a condition holds for all values of the symbols (`Some(true)`), or for none.
pub fn truth(exprs: &mut ExprPool, known: &Assumptions, condition: &CodeExpr) -> Option<bool> {
    let code = condition.code.as_ref()?;
    let &[result] = &code.body.results[..] else { return None };
    Question::of(exprs, code).truth(known, result, 0)
}

/// The value of an expression, if it is a size, and its type.
pub fn size(exprs: &mut ExprPool, value: &CodeExpr) -> Option<(ExprId, DType)> {
    let code = value.code.as_ref()?;
    let &[result] = &code.body.results[..] else { return None };
    let dtype = code.types.get(result)?.scalar().filter(|&dtype| is_integer(dtype))?;
    Some((Question::of(exprs, code).size(result, 0)?, dtype))
}

/// What follows for sizes when a condition holds, or when it does not: expressions that are not negative.
pub fn facts(exprs: &mut ExprPool, condition: &CodeExpr, holds: bool) -> Vec<ExprId> {
    let mut found = Vec::new();
    if let Some(code) = condition.code.as_ref()
        && let &[result] = &code.body.results[..]
    {
        Question::of(exprs, code).facts(result, holds, &mut found, 0);
    }
    found
}

fn is_integer(dtype: DType) -> bool {
    matches!(dtype, DType::I32 | DType::I64)
}

struct Question<'a> {
    exprs: &'a mut ExprPool,
    code: &'a Code,
    definitions: HashMap<ValueId, &'a Op>,
}

impl<'a> Question<'a> {
    fn of(exprs: &'a mut ExprPool, code: &'a Code) -> Question<'a> {
        let mut definitions = HashMap::new();
        let mut open: Vec<&Block> = vec![&code.body];
        while let Some(block) = open.pop() {
            for inst in &block.insts {
                // Several results: of a branch or a loop that yields them, which nothing here looks into.
                if let &[result] = &inst.results[..] {
                    definitions.insert(result, &inst.op);
                }
                if let Op::If { then, otherwise, .. } = &inst.op {
                    open.extend([then, otherwise]);
                }
            }
        }
        Question { exprs, code, definitions }
    }

    fn op(&self, value: ValueId, depth: usize) -> Option<&'a Op> {
        self.definitions.get(&value).copied().filter(|_| depth < DEPTH)
    }

    fn dtype(&self, value: ValueId) -> Option<DType> {
        self.code.types.get(value).and_then(|ty| ty.scalar())
    }

    fn size(&mut self, value: ValueId, depth: usize) -> Option<ExprId> {
        let dtype = self.dtype(value).filter(|&dtype| is_integer(dtype))?;
        let depth = depth + 1;
        let found = match *self.op(value, depth)? {
            Op::Const(scalar) => return Some(self.exprs.int(scalar.as_i64())),
            Op::Symbol(index) => {
                let (name, _) = *self.code.symbols.get(index as usize)?;
                return Some(self.exprs.symbol(name));
            }
            Op::Cast(_, inner) => self.size(inner, depth)?,
            Op::Unary(UnaryOp::Neg, inner) => {
                let inner = self.size(inner, depth)?;
                self.exprs.neg(inner)
            }
            Op::Binary(
                op @ (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Min | BinaryOp::Max),
                a,
                b,
            ) => {
                let (a, b) = (self.size(a, depth)?, self.size(b, depth)?);
                match op {
                    BinaryOp::Add => self.exprs.add(a, b),
                    BinaryOp::Sub => self.exprs.sub(a, b),
                    BinaryOp::Mul => self.exprs.mul(a, b),
                    BinaryOp::Min => self.exprs.min(a, b),
                    _ => self.exprs.max(a, b),
                }
            }
            _ => return None,
        };
        // A narrow result may have wrapped, unless it is a number that fits.
        let fits = self.exprs.as_int(found).is_some_and(|value| i32::try_from(value).is_ok());
        (dtype == DType::I64 || fits).then_some(found)
    }

    fn truth(&mut self, known: &Assumptions, value: ValueId, depth: usize) -> Option<bool> {
        let depth = depth + 1;
        match *self.op(value, depth)? {
            Op::Const(scalar) => Some(scalar.is_true()),
            Op::Unary(UnaryOp::Not, inner) => self.truth(known, inner, depth).map(|holds| !holds),
            Op::Cast(DType::Bool, inner) => match self.dtype(inner)? {
                DType::Bool => self.truth(known, inner, depth),
                dtype if is_integer(dtype) => {
                    let (size, zero) = (self.size(inner, depth)?, self.exprs.int(0));
                    self.compare(known, BinaryOp::Ne, size, zero)
                }
                _ => None,
            },
            Op::Binary(op @ (BinaryOp::BitAnd | BinaryOp::BitOr), a, b) if self.is_bool(value) => {
                let (a, b) = (self.truth(known, a, depth), self.truth(known, b, depth));
                let decides = op == BinaryOp::BitOr;
                match (a, b) {
                    (Some(one), _) | (_, Some(one)) if one == decides => Some(decides),
                    (Some(_), Some(_)) => Some(!decides),
                    _ => None,
                }
            }
            Op::Binary(op, a, b) if op.is_comparison() => {
                let (a, b) = (self.size(a, depth)?, self.size(b, depth)?);
                self.compare(known, op, a, b)
            }
            Op::If { condition, ref then, ref otherwise } if self.is_bool(value) => {
                let (&[yes], &[no]) = (&then.results[..], &otherwise.results[..]) else { return None };
                match self.truth(known, condition, depth) {
                    Some(true) => self.truth(known, yes, depth),
                    Some(false) => self.truth(known, no, depth),
                    None => {
                        let (yes, no) = (self.truth(known, yes, depth)?, self.truth(known, no, depth)?);
                        (yes == no).then_some(yes)
                    }
                }
            }
            _ => None,
        }
    }

    fn is_bool(&self, value: ValueId) -> bool {
        self.code.types.get(value) == Some(&Type::BOOL)
    }

    fn compare(&self, known: &Assumptions, op: BinaryOp, a: ExprId, b: ExprId) -> Option<bool> {
        let mut prover = Prover::new(self.exprs, known);
        let truth = match op {
            BinaryOp::Lt => prover.less_than(a, b),
            BinaryOp::Le => prover.at_most(a, b),
            BinaryOp::Gt => prover.less_than(b, a),
            BinaryOp::Ge => prover.at_most(b, a),
            BinaryOp::Eq => prover.equal(a, b),
            BinaryOp::Ne => !prover.equal(a, b),
            _ => return None,
        };
        if truth.is_yes() {
            return Some(true);
        }
        truth.is_no().then_some(false)
    }

    fn facts(&mut self, value: ValueId, holds: bool, found: &mut Vec<ExprId>, depth: usize) {
        let depth = depth + 1;
        match self.op(value, depth) {
            Some(&Op::Unary(UnaryOp::Not, inner)) => self.facts(inner, !holds, found, depth),
            Some(&Op::Binary(op @ (BinaryOp::BitAnd | BinaryOp::BitOr), a, b))
                if self.is_bool(value) && holds == (op == BinaryOp::BitAnd) =>
            {
                self.facts(a, holds, found, depth);
                self.facts(b, holds, found, depth);
            }
            Some(&Op::Binary(op, a, b)) if op.is_comparison() => {
                let (Some(a), Some(b)) = (self.size(a, depth), self.size(b, depth)) else { return };
                let one = self.exprs.int(1);
                let (low, high) = (self.exprs.sub(b, a), self.exprs.sub(a, b));
                let below = [self.exprs.sub(low, one), self.exprs.sub(high, one)];
                match (op, holds) {
                    (BinaryOp::Lt, true) | (BinaryOp::Ge, false) => found.push(below[0]),
                    (BinaryOp::Gt, true) | (BinaryOp::Le, false) => found.push(below[1]),
                    (BinaryOp::Le, true) | (BinaryOp::Gt, false) => found.push(low),
                    (BinaryOp::Ge, true) | (BinaryOp::Lt, false) => found.push(high),
                    (BinaryOp::Eq, true) | (BinaryOp::Ne, false) => found.extend([low, high]),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}
