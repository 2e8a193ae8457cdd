//! Loops that count: `for v = a; v < b; v += c` with a constant step and a bound that the body does not change.
//!
//! They become loops with a known range, so that checks and arithmetic can move out of them. The variable itself
//! is set at the top of each iteration and once more behind the loop, for those who look at it later.

use hashbrown::HashSet;

use crate::entity::Name;
use crate::ir::{BlockKind, CodeExpr, Loop};
use crate::kernel::build::LoopFacts;
use crate::kernel::{Order, Stmt, ValueId, VarId};
use crate::scalar::{BinaryOp, Code, DType, Op, Scalar, ValueId as CodeValue};

use super::control::{all_blocks, contains};
use super::symbols::Symbol;
use super::{Lowerer, Lowering};

/// What is known about a counted loop.
pub(super) struct Counted {
    name: Name,
    variable: VarId,
    dtype: DType,
    step: i64,
    start: ValueId,
    /// Exclusive.
    stop: ValueId,
}

impl<'p> Lowerer<'p> {
    /// The range of a loop that counts. Evaluates its first value and its bound if it is one.
    pub fn counted(&mut self, inner: &'p Loop) -> Lowering<Option<Counted>> {
        if inner.inverted {
            return Ok(None);
        }
        let (Some(init), Some(update)) = (&inner.init, &inner.update) else { return Ok(None) };
        let Some(name) = inner.variable.or(init.target) else { return Ok(None) };
        let targets = [init.target, update.target];
        if targets.iter().any(|target| target.is_some_and(|target| target != name)) {
            return Ok(None);
        }
        let Some(Symbol::Variable(variable)) = self.cx.symbols.get(&name).copied() else { return Ok(None) };
        let dtype = self.b.kernel.variables[variable].ty;
        let wide_enough = matches!(dtype, DType::I32 | DType::I64);
        let (Some(init_code), Some(update_code), Some(condition)) =
            (&init.code, &update.code, &inner.condition.code)
        else {
            return Ok(None);
        };
        let assigned = self.assigned_in(inner);
        let Some(step) = step_of(update_code, name).filter(|&step| step != 0) else { return Ok(None) };
        let Some((comparison, bound)) = bound_of(condition, name) else { return Ok(None) };
        let fits = match comparison {
            BinaryOp::Lt | BinaryOp::Le => step > 0,
            BinaryOp::Gt | BinaryOp::Ge => step < 0,
            _ => false,
        };
        let fixed = condition.symbols.iter().all(|(symbol, _)| *symbol == name || !assigned.contains(symbol));
        let simple = condition.ports.is_empty() && init_code.body.results.len() == 1;
        if !wide_enough || assigned.contains(&name) || !fits || !fixed || !simple {
            return Ok(None);
        }
        let (start, from) = self.expression(init)?;
        let crate::scalar::Type::Scalar(from) = from else { return Ok(None) };
        if !from.is_integral() {
            return Ok(None);
        }
        let start = self.convert_number(&start, from, dtype)[0];
        let start = self.b.cast(DType::I64, start);
        // The bound on its own: the condition's code with the bound as its result.
        let mut alone: Code = condition.clone();
        alone.body.results = vec![bound];
        let expr = CodeExpr { code: Some(alone), ..inner.condition.clone() };
        let (stop, from) = self.expression(&expr)?;
        let crate::scalar::Type::Scalar(from) = from else { return Ok(None) };
        if !from.is_integral() {
            return Ok(None);
        }
        let mut stop = self.b.cast(DType::I64, stop[0]);
        if matches!(comparison, BinaryOp::Le | BinaryOp::Ge) {
            let one = self.b.int(step.signum());
            stop = self.b.add(stop, one);
        }
        Ok(Some(Counted { name, variable, dtype, step, start, stop }))
    }

    /// Symbols that the body of a loop assigns.
    fn assigned_in(&self, inner: &Loop) -> HashSet<Name> {
        let graph = self.cx.graph;
        let mut assigned = HashSet::new();
        let blocks = all_blocks(graph, inner.body);
        let inside: HashSet<_> = blocks.iter().copied().collect();
        for region in graph.regions.values() {
            for edge in region.edges.iter().filter(|edge| inside.contains(&edge.src)) {
                assigned.extend(edge.assignments.iter().map(|(name, _)| *name));
            }
        }
        for block in blocks {
            if let Some(BlockKind::Loop(nested)) = graph.blocks.get(block).map(|block| &block.kind) {
                assigned.extend(nested.variable);
                assigned.extend(
                    nested.init.iter().chain(&nested.update).filter_map(|statement| statement.target),
                );
            }
        }
        assigned
    }

    pub fn counted_loop(&mut self, inner: &'p Loop, counted: Counted) -> Lowering<()> {
        let Counted { name, variable, dtype, step, start, stop } = counted;
        let graph = self.cx.graph;
        let returns = all_blocks(graph, inner.body).iter().any(|&block| {
            matches!(graph.blocks.get(block).map(|block| &block.kind), Some(BlockKind::Return))
        });
        let breaks = returns || contains(graph, inner.body, &|kind| matches!(kind, BlockKind::Break));
        let facts = self.loop_facts(start, stop, step);
        let outer = (self.cx.break_label, self.cx.continue_label);
        let label = breaks.then(|| self.b.label());
        if label.is_some() {
            self.b.open_branch();
            self.cx.break_label = label;
        }
        let depth = self.b.depth() + 1;
        let value = self.b.new_value(DType::I64, depth);
        if breaks {
            self.b.open();
        } else {
            self.b.open_loop(LoopFacts { variable: value, ..facts });
        }
        self.cx.symbols.insert(name, Symbol::Index(value, dtype));
        let result = self.moved(|lowerer| {
            let typed = lowerer.b.cast(dtype, value);
            lowerer.b.set(variable, typed);
            lowerer.loop_body(inner)
        });
        self.cx.symbols.insert(name, Symbol::Variable(variable));
        result?;
        let body = self.b.close();
        self.b.push(Stmt::For { variable: value, start, stop, step, order: Order::InTurn, body });
        // Behind the loop the variable has the first value that did not count.
        let last = if step > 0 { facts.highest } else { facts.lowest };
        let step = self.b.int(step);
        let after = self.b.add(last, step);
        let after = self.b.select(facts.empty, start, after);
        let after = self.b.cast(dtype, after);
        self.b.set(variable, after);
        if let Some(label) = label {
            let block = self.b.close();
            self.b.push(Stmt::Block(label, block));
        }
        self.cx.cache.clear();
        (self.cx.break_label, self.cx.continue_label) = outer;
        Ok(())
    }

    /// Opens a loop that counts from zero; gives its variable.
    pub fn open_count(&mut self, count: ValueId) -> ValueId {
        let zero = self.b.int(0);
        let facts = self.loop_facts(zero, count, 1);
        let depth = self.b.depth() + 1;
        let variable = self.b.new_value(DType::I64, depth);
        self.b.open_loop(LoopFacts { variable, ..facts });
        variable
    }

    /// First and last values of `for v = start; v < stop; v += step`. The variable is filled in by the caller.
    pub fn loop_facts(&mut self, start: ValueId, stop: ValueId, step: i64) -> LoopFacts {
        let empty = match step > 0 {
            true => self.b.binary(BinaryOp::Ge, start, stop),
            false => self.b.binary(BinaryOp::Le, start, stop),
        };
        let empty = match self.b.linear(stop).plus(&self.b.linear(start), -1).and_then(|d| d.as_constant()) {
            Some(distance) => self.b.bool(if step > 0 { distance <= 0 } else { distance >= 0 }),
            None => empty,
        };
        let one = self.b.int(step.signum());
        let last = if step.abs() == 1 {
            self.b.sub(stop, one)
        } else {
            // start + (|stop - sign - start| / |step|) * step
            let end = self.b.sub(stop, one);
            let span = if step > 0 { self.b.sub(end, start) } else { self.b.sub(start, end) };
            let size = self.b.int(step.saturating_abs());
            let steps = match self.b.as_int(span) {
                Some(span) => self.b.int(span.div_euclid(step.saturating_abs())),
                None => self.b.binary(BinaryOp::FloorDiv, span, size),
            };
            let step = self.b.int(step);
            let distance = self.b.mul(steps, step);
            self.b.add(start, distance)
        };
        let (lowest, highest) = if step > 0 { (start, last) } else { (last, start) };
        LoopFacts { variable: start, lowest, highest, empty }
    }
}

/// What a value of straight code is, seen through casts between integers.
fn definition(code: &Code, value: CodeValue) -> Option<&Op> {
    let mut value = value;
    for _ in 0..8 {
        let inst = code.body.insts.iter().find(|inst| inst.results.contains(&value))?;
        match &inst.op {
            Op::Cast(dtype, inner) if dtype.is_integral() && matches!(dtype, DType::I32 | DType::I64) => {
                value = *inner
            }
            op => return Some(op),
        }
    }
    None
}

fn is_symbol(code: &Code, value: CodeValue, name: Name) -> bool {
    matches!(definition(code, value), Some(Op::Symbol(index))
        if code.symbols.get(*index as usize).is_some_and(|(symbol, _)| *symbol == name))
}

fn literal(code: &Code, value: CodeValue) -> Option<i64> {
    match definition(code, value)? {
        Op::Const(scalar) if scalar.dtype().is_integral() && *scalar != Scalar::U64(u64::MAX) => {
            Some(scalar.as_i64())
        }
        Op::Unary(crate::scalar::UnaryOp::Neg, inner) => literal(code, *inner)?.checked_neg(),
        _ => None,
    }
}

/// The constant that an update adds to the variable.
fn step_of(code: &Code, name: Name) -> Option<i64> {
    let result = *code.body.results.first()?;
    match *definition(code, result)? {
        Op::Binary(BinaryOp::Add, a, b) if is_symbol(code, a, name) => literal(code, b),
        Op::Binary(BinaryOp::Add, a, b) if is_symbol(code, b, name) => literal(code, a),
        Op::Binary(BinaryOp::Sub, a, b) if is_symbol(code, a, name) => literal(code, b)?.checked_neg(),
        _ => None,
    }
}

/// The comparison of a condition `variable ? bound`, and the bound, in which the variable does not occur.
fn bound_of(code: &Code, name: Name) -> Option<(BinaryOp, CodeValue)> {
    let result = *code.body.results.first()?;
    let (op, bound) = match *definition(code, result)? {
        Op::Binary(op, a, b) if is_symbol(code, a, name) => (op, b),
        Op::Binary(op, a, b) if is_symbol(code, b, name) => {
            let mirrored = match op {
                BinaryOp::Lt => BinaryOp::Gt,
                BinaryOp::Le => BinaryOp::Ge,
                BinaryOp::Gt => BinaryOp::Lt,
                BinaryOp::Ge => BinaryOp::Le,
                other => other,
            };
            (mirrored, a)
        }
        _ => return None,
    };
    (!depends(code, bound, name, 0)).then_some((op, bound))
}

fn depends(code: &Code, value: CodeValue, name: Name, depth: usize) -> bool {
    let Some(inst) = code.body.insts.iter().find(|inst| inst.results.contains(&value)) else { return true };
    if depth > 32 {
        return true;
    }
    match &inst.op {
        Op::Const(_) => false,
        Op::Symbol(index) => code.symbols.get(*index as usize).is_none_or(|(symbol, _)| *symbol == name),
        Op::Unary(_, a) | Op::Cast(_, a) => depends(code, *a, name, depth + 1),
        Op::Binary(_, a, b) => depends(code, *a, name, depth + 1) || depends(code, *b, name, depth + 1),
        Op::Call(_, operands) => operands.iter().any(|&a| depends(code, a, name, depth + 1)),
        Op::Select(a, b, c) => [a, b, c].iter().any(|&&a| depends(code, a, name, depth + 1)),
        _ => true,
    }
}
