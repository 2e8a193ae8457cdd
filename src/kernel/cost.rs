//! How much a kernel does for given parameters, roughly, before it runs: what tiers are chosen by.
//!
//! One walk over the statements: integers that follow from the parameters are computed, loops count as often as they
//! turn, and what only a run could tell is guessed ([`GUESS`] turns of a loop, the dearer side of a branch).

use hashbrown::HashMap;

use crate::scalar::{Scalar, arith};

use super::{CallOperand, Jump, Kernel, Literal, Op, Stmt, ValueId, VarId};

/// Turns of a loop whose bounds are not known.
pub const GUESS: f64 = 8.0;

/// What a math function counts as.
const FUNCTION: f64 = 10.0;

/// What a library routine counts as, beside its elements.
const ROUTINE: f64 = 200.0;

/// Operations of a run with these parameters, as literals' bits.
pub fn operations(kernel: &Kernel, parameters: &[u64]) -> f64 {
    let mut walker = Walker { kernel, values: vec![None; kernel.values.len()], variables: HashMap::new() };
    for (parameter, &bits) in kernel.parameters.iter().zip(parameters) {
        let ty = kernel.values[parameter.value];
        walker.know(parameter.value, Literal { ty, bits }.to_scalar());
    }
    walker.list(&kernel.body)
}

/// How long a kernel is, in statements that are no constants.
pub fn length(kernel: &Kernel) -> usize {
    Stmt::all(&kernel.body).filter(|stmt| !matches!(stmt, Stmt::Let(_, Op::Const(_)))).count()
}

struct Walker<'k> {
    kernel: &'k Kernel,
    /// Values that are known: integers and bools, and numbers that the caller passes.
    values: Vec<Option<Scalar>>,
    variables: HashMap<VarId, Scalar>,
}

impl Walker<'_> {
    fn know(&mut self, value: ValueId, known: Option<Scalar>) {
        if let Some(slot) = self.values.get_mut(value.0 as usize) {
            *slot = known;
        }
    }

    fn known(&self, value: ValueId) -> Option<Scalar> {
        self.values.get(value.0 as usize).copied().flatten()
    }

    fn int(&self, value: ValueId) -> Option<i64> {
        self.known(value).filter(|number| number.dtype().is_integral()).map(Scalar::as_i64)
    }

    fn list(&mut self, stmts: &[Stmt]) -> f64 {
        stmts.iter().map(|stmt| self.stmt(stmt)).sum()
    }

    /// A list that runs several times, or perhaps not at all.
    fn repeated(&mut self, stmts: &[Stmt]) -> f64 {
        self.forget_what_is_set(stmts);
        let each = self.list(stmts);
        self.forget_what_is_set(stmts);
        each
    }

    fn forget_what_is_set(&mut self, stmts: &[Stmt]) {
        if self.variables.is_empty() {
            return;
        }
        for stmt in Stmt::all(stmts) {
            if let Stmt::Set(variable, _) = stmt {
                self.variables.remove(variable);
            }
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> f64 {
        match stmt {
            Stmt::Let(value, op) => {
                let known = self.value(*value, op);
                self.know(*value, known);
                match op {
                    Op::Const(_) => 0.0,
                    Op::Math(..) | Op::Complex(..) => FUNCTION,
                    _ => 1.0,
                }
            }
            Stmt::Set(variable, value) => {
                match self.known(*value) {
                    Some(known) => self.variables.insert(*variable, known),
                    None => self.variables.remove(variable),
                };
                1.0
            }
            Stmt::Store { .. } | Stmt::Check(..) | Stmt::Alloc { .. } => 1.0,
            Stmt::Exit(_) => 0.0,
            Stmt::For { variable, start, stop, step, body, .. } => {
                let bounds = self.int(*start).zip(self.int(*stop));
                let trips = bounds.map_or(GUESS, |(start, stop)| trips(start, stop, *step));
                // What depends on the loop is as it is half way.
                let middle = bounds.map(|(start, stop)| Scalar::I64(start / 2 + stop / 2));
                self.know(*variable, middle);
                if trips == 0.0 { 0.0 } else { trips * self.repeated(body) }
            }
            Stmt::Loop(body) => GUESS * self.repeated(body),
            Stmt::Block(_, body) => self.list(body),
            Stmt::If { condition, then, otherwise } => match self.known(*condition) {
                Some(condition) => self.list(if condition.is_true() { then } else { otherwise }),
                None => self.repeated(then).max(self.repeated(otherwise)),
            },
            Stmt::Cfg(blocks) => {
                let target = |jump: Jump| match jump {
                    Jump::End => None,
                    Jump::To(target) => Some(target),
                    Jump::Branch(_, yes, no) => Some(yes.min(no)),
                };
                let turns = blocks.iter().zip(0_u32..).any(|(block, at)| target(block.jump).is_some_and(|to| to <= at));
                let once: f64 = blocks.iter().map(|block| self.repeated(&block.body)).sum();
                if turns { GUESS * once } else { once }
            }
            Stmt::Call(library, arguments) => {
                let operands = self.kernel.libraries.get(*library).map_or(&[][..], |call| &call.operands);
                self.call(operands, arguments)
            }
        }
    }

    /// The elements of all operands, and for matrices how often they are used.
    fn call(&self, operands: &[CallOperand], arguments: &[ValueId]) -> f64 {
        let (mut elements, mut longest, mut at) = (0.0, 1.0_f64, 0);
        let mut matrices = false;
        for operand in operands {
            let rank = operand.rank as usize;
            let extents = arguments.get(at + 1..at + 1 + rank).unwrap_or(&[]);
            let mut count = 1.0;
            for &extent in extents {
                let extent = self.int(extent).map_or(GUESS, |extent| extent.max(0) as f64);
                count *= extent;
                longest = longest.max(extent);
            }
            elements += count;
            matrices |= rank > 1;
            at += 1 + 2 * rank;
        }
        ROUTINE + if matrices { elements * longest } else { elements }
    }

    fn value(&self, value: ValueId, op: &Op) -> Option<Scalar> {
        match op {
            Op::Const(literal) => literal.to_scalar(),
            Op::Get(variable) => self.variables.get(variable).copied(),
            Op::Unary(op, a) => Some(arith::unary(*op, self.known(*a)?)),
            Op::Binary(op, a, b) => arith::binary(*op, self.known(*a)?, self.known(*b)?).ok(),
            Op::Cast(to, a) => Some(arith::cast(*to, self.known(*a)?)),
            Op::Select(condition, a, b) => self.known(if self.known(*condition)?.is_true() { *a } else { *b }),
            Op::Base(_) | Op::Math(..) | Op::Complex(..) | Op::Load { .. } => None,
        }
        .filter(|number| number.dtype() == self.kernel.values[value])
    }
}

fn trips(start: i64, stop: i64, step: i64) -> f64 {
    let span = (stop as f64 - start as f64) / step as f64;
    span.ceil().max(0.0)
}
