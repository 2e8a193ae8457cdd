//! Loops of scalar code.
//!
//! One that counts (`while v < bound: ...; v = v + 1`, as scans over columns are written) becomes a loop with a known
//! range, so that checks and arithmetic can move out of it, and so that others can see which memory it reaches. What
//! else goes from round to round is held in variables.

use crate::kernel::build::LoopFacts;
use crate::kernel::{Order, Stmt, ValueId, VarId};
use crate::scalar::ValueId as CodeValue;
use crate::scalar::{BinaryOp, Block, DType, Inst, Op, Type};

use super::code::CodeState;
use super::{Lowerer, Lowering};

/// The parts of a loop.
#[derive(Clone, Copy)]
pub(super) struct CodeLoop<'c> {
    pub carried: &'c [CodeValue],
    pub params: &'c [CodeValue],
    pub condition: &'c Block,
    pub body: &'c Block,
}

/// Bounds that are sums of more than so many sums are not looked at.
const MOST_DEPTH: usize = 8;

/// A carried value that counts.
struct Counter<'c> {
    /// Which one.
    at: usize,
    dtype: DType,
    step: i64,
    comparison: BinaryOp,
    bound: CodeValue,
    /// What has to be computed in front of the loop for the bound.
    before: Vec<&'c Inst>,
}

impl Lowerer<'_> {
    pub(super) fn code_loop(
        &mut self,
        state: &mut CodeState<'_>,
        inst: &Inst,
        parts: CodeLoop<'_>,
    ) -> Lowering<()> {
        match parts.counter(state) {
            Some(counter) => self.counting_loop(state, inst, parts, &counter),
            None => self.waiting_loop(state, inst, parts),
        }
    }

    /// Variables for carried values, set to the first ones; none for the one that counts.
    fn carried_variables(
        &mut self,
        state: &CodeState<'_>,
        parts: CodeLoop<'_>,
        counter: Option<usize>,
    ) -> Lowering<Vec<Vec<VarId>>> {
        let mut variables: Vec<Vec<VarId>> = Vec::new();
        for (at, (&initial, &param)) in parts.carried.iter().zip(parts.params).enumerate() {
            let mut list = Vec::new();
            if counter != Some(at) {
                let leaves = self.leaves(state.code.types[param])?;
                let values = self.numbers(state, initial)?.to_vec();
                for ((ty, _), value) in leaves.into_iter().zip(values) {
                    let variable = self.b.variable("carried", ty);
                    self.b.set(variable, value);
                    list.push(variable);
                }
            }
            variables.push(list);
        }
        Ok(variables)
    }

    /// What names stand for, from variables: parameters inside, results behind the loop.
    fn names_of_variables(
        &mut self,
        state: &mut CodeState<'_>,
        names: &[CodeValue],
        variables: &[Vec<VarId>],
    ) {
        for (list, &name) in variables.iter().zip(names).filter(|(list, _)| !list.is_empty()) {
            let values = list.iter().map(|&variable| self.b.get(variable)).collect();
            state.values[name.0 as usize] = Some(values);
        }
    }

    /// Sets variables for the next round. All new values are known before any variable changes.
    fn next_round(&mut self, state: &CodeState<'_>, body: &Block, variables: &[Vec<VarId>]) -> Lowering<()> {
        for (list, &next) in variables.iter().zip(&body.results).filter(|(list, _)| !list.is_empty()) {
            let values = self.numbers(state, next)?.to_vec();
            for (&variable, value) in list.iter().zip(values) {
                self.b.set(variable, value);
            }
        }
        Ok(())
    }

    /// A loop that looks at its condition in each round.
    fn waiting_loop(&mut self, state: &mut CodeState<'_>, inst: &Inst, parts: CodeLoop<'_>) -> Lowering<()> {
        let variables = self.carried_variables(state, parts, None)?;
        let label = self.b.label();
        self.b.open_branch();
        self.b.open();
        self.names_of_variables(state, parts.params, &variables);
        self.code_block(state, parts.condition)?;
        let Some(&go_on) = parts.condition.results.first() else {
            return self.invalid("P0302", "malformed scalar code: a loop without condition");
        };
        let [go_on] = self.numbers(state, go_on)?[..] else { return self.unsupported("a vector condition") };
        let go_on = self.b.cast(DType::Bool, go_on);
        self.b.open_branch();
        self.b.push(Stmt::Exit(label));
        let leave = self.b.close();
        self.b.push(Stmt::If { condition: go_on, then: Vec::new(), otherwise: leave });
        self.code_block(state, parts.body)?;
        self.next_round(state, parts.body, &variables)?;
        let body = self.b.close();
        self.b.push(Stmt::Loop(body));
        let block = self.b.close();
        self.b.push(Stmt::Block(label, block));
        self.names_of_variables(state, &inst.results, &variables);
        Ok(())
    }

    /// A loop with a known range.
    fn counting_loop(
        &mut self,
        state: &mut CodeState<'_>,
        inst: &Inst,
        parts: CodeLoop<'_>,
        counter: &Counter<'_>,
    ) -> Lowering<()> {
        for inst in &counter.before {
            self.inst(state, inst)?;
        }
        let first = |values: &[ValueId]| values.first().copied();
        let start = first(self.numbers(state, parts.carried[counter.at])?);
        let stop = first(self.numbers(state, counter.bound)?);
        let (Some(start), Some(stop)) = (start, stop) else {
            return self.invalid("P0302", "malformed scalar code: a loop that counts without a number");
        };
        let (start, mut stop) = (self.b.cast(DType::I64, start), self.b.cast(DType::I64, stop));
        if matches!(counter.comparison, BinaryOp::Le | BinaryOp::Ge) {
            let one = self.b.int(counter.step.signum());
            stop = self.b.add(stop, one);
        }
        let facts = self.loop_facts(start, stop, counter.step);
        let variables = self.carried_variables(state, parts, Some(counter.at))?;
        let depth = self.b.depth() + 1;
        let variable = self.b.new_value(DType::I64, depth);
        self.b.open_loop(LoopFacts { variable, ..facts });
        let typed = self.b.cast(counter.dtype, variable);
        state.values[parts.params[counter.at].0 as usize] = Some(vec![typed]);
        self.names_of_variables(state, parts.params, &variables);
        self.code_block(state, parts.condition)?;
        self.code_block(state, parts.body)?;
        self.next_round(state, parts.body, &variables)?;
        let body = self.b.close();
        self.b.push(Stmt::For { variable, start, stop, step: counter.step, order: Order::InTurn, body });
        self.names_of_variables(state, &inst.results, &variables);
        // The first number that did not count.
        let last = if counter.step > 0 { facts.highest } else { facts.lowest };
        let step = self.b.int(counter.step);
        let after = self.b.add(last, step);
        let after = self.b.select(facts.empty, start, after);
        let after = self.b.cast(counter.dtype, after);
        if let Some(result) = inst.results.get(counter.at) {
            state.values[result.0 as usize] = Some(vec![after]);
        }
        Ok(())
    }
}

impl<'c> CodeLoop<'c> {
    /// The carried value that decides when the loop ends, if it grows by a constant up to a bound that stays.
    fn counter(self, state: &CodeState<'_>) -> Option<Counter<'c>> {
        let param = |value: CodeValue| self.params.iter().position(|&param| param == value);
        let &Op::Binary(comparison, a, b) =
            defined(self.condition.results.first().copied()?, &[self.condition])?
        else {
            return None;
        };
        let (comparison, at, bound) = match (param(a), param(b)) {
            (Some(at), None) => (comparison, at, b),
            (None, Some(at)) => (mirrored(comparison), at, a),
            _ => return None,
        };
        let Type::Scalar(dtype @ (DType::I32 | DType::I64)) = state.code.types[self.params[at]] else {
            return None;
        };
        let constant = |value| state.code_constant(value, &[self.body, self.condition]);
        let step = match *defined(*self.body.results.get(at)?, &[self.body])? {
            Op::Binary(BinaryOp::Add, x, y) if param(x) == Some(at) => constant(y)?,
            Op::Binary(BinaryOp::Add, x, y) if param(y) == Some(at) => constant(x)?,
            Op::Binary(BinaryOp::Sub, x, y) if param(x) == Some(at) => constant(y)?.checked_neg()?,
            _ => return None,
        };
        let goes = match comparison {
            BinaryOp::Lt | BinaryOp::Le => step > 0,
            BinaryOp::Gt | BinaryOp::Ge => step < 0,
            _ => false,
        };
        let mut before = Vec::new();
        let stays = stays(state, self.condition, bound, 0, &mut before);
        let same = state.code.types[bound] == Type::Scalar(dtype);
        (goes && stays && same).then_some(Counter { at, dtype, step, comparison, bound, before })
    }
}

impl CodeState<'_> {
    /// The integer that a value of one of the blocks, or of the code's outermost one, is.
    fn code_constant(&self, value: CodeValue, blocks: &[&Block]) -> Option<i64> {
        let mut blocks = blocks.to_vec();
        blocks.push(&self.code.body);
        let mut value = value;
        for _ in 0..8 {
            match defined(value, &blocks)? {
                Op::Const(scalar) if matches!(scalar.dtype(), DType::I32 | DType::I64) => {
                    return Some(scalar.as_i64());
                }
                Op::Cast(DType::I64, inner) => value = *inner,
                _ => return None,
            }
        }
        None
    }
}

/// Whether a value can be known in front of a loop with that condition; notes what has to be computed for it.
fn stays<'c>(
    state: &CodeState<'_>,
    condition: &'c Block,
    value: CodeValue,
    depth: usize,
    before: &mut Vec<&'c Inst>,
) -> bool {
    if state.values.get(value.0 as usize).is_some_and(Option::is_some) {
        return true;
    }
    let Some(inst) = condition.insts.iter().find(|inst| inst.results.contains(&value)) else { return false };
    let mut of = |operand| depth < MOST_DEPTH && stays(state, condition, operand, depth + 1, before);
    let fine = match inst.op {
        Op::Const(_) | Op::Symbol(_) => true,
        Op::Cast(_, a) => of(a),
        Op::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, a, b) => of(a) && of(b),
        _ => false,
    };
    if fine && !before.iter().any(|known| known.results.contains(&value)) {
        before.push(inst);
    }
    fine
}

/// The operation of the blocks that gives a value.
fn defined<'c>(value: CodeValue, blocks: &[&'c Block]) -> Option<&'c Op> {
    let mut all = blocks.iter().flat_map(|block| &block.insts);
    all.find(|inst| inst.results.contains(&value)).map(|inst| &inst.op)
}

/// The comparison with its sides exchanged.
const fn mirrored(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        other => other,
    }
}
