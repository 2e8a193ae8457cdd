//! How much a kernel does for given parameters, roughly, before it runs: what tiers are chosen by.
//!
//! One walk over the statements: integers that follow from the parameters are computed, loops count as often as they
//! turn. What depends on the loops around it is taken as it is half way, and of a branch that only a run decides the
//! dearer side counts. Turns of a loop that only a run could tell are guessed, and the estimate says so.

use hashbrown::HashMap;

use crate::scalar::{Scalar, arith};

use super::{CallOperand, Jump, Kernel, Literal, Op, Stmt, ValueId, VarId};

/// What a run does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Work {
    /// Operations, roughly.
    pub operations: f64,
    /// Whether they may be far more: some loop turns as often as only a run can tell.
    pub guessed: bool,
}

/// Turns of a loop whose bounds are not known.
const GUESS: f64 = 8.0;

/// What a math function counts as.
const FUNCTION: f64 = 10.0;

/// What a library routine counts as, beside its elements.
const ROUTINE: f64 = 200.0;

/// What a run with these parameters does, given as literals' bits.
pub fn work(kernel: &Kernel, parameters: &[u64]) -> Work {
    walk(kernel, parameters, false)
}

/// How often a run with these parameters calls routines.
pub fn calls(kernel: &Kernel, parameters: &[u64]) -> f64 {
    walk(kernel, parameters, true).operations
}

fn walk(kernel: &Kernel, parameters: &[u64], calls_only: bool) -> Work {
    let values = vec![None; kernel.values.len()];
    let mut walker = Walker { kernel, values, variables: HashMap::new(), guessed: false, calls_only };
    for (parameter, &bits) in kernel.parameters.iter().zip(parameters) {
        let ty = kernel.values[parameter.value];
        let number = Literal { ty, bits }.to_scalar();
        walker.know(parameter.value, number.map(|number| Known { number, exact: true }));
    }
    let operations = walker.list(&kernel.body);
    Work { operations, guessed: walker.guessed }
}

/// How long a kernel is, in statements that are no constants.
pub fn length(kernel: &Kernel) -> usize {
    Stmt::all(&kernel.body).filter(|stmt| !matches!(stmt, Stmt::Let(_, Op::Const(_)))).count()
}

/// A number that follows from the parameters.
#[derive(Clone, Copy)]
struct Known {
    number: Scalar,
    /// Not exact: it changes from turn to turn of a loop, and this is what it is half way.
    exact: bool,
}

struct Walker<'k> {
    kernel: &'k Kernel,
    values: Vec<Option<Known>>,
    variables: HashMap<VarId, Known>,
    guessed: bool,
    /// A call counts one, and everything else nothing.
    calls_only: bool,
}

impl Walker<'_> {
    fn know(&mut self, value: ValueId, known: Option<Known>) {
        if let Some(slot) = self.values.get_mut(value.0 as usize) {
            *slot = known;
        }
    }

    fn known(&self, value: ValueId) -> Option<Known> {
        self.values.get(value.0 as usize).copied().flatten()
    }

    fn int(&self, value: ValueId) -> Option<i64> {
        let number = self.known(value)?.number;
        number.dtype().is_integral().then(|| number.as_i64())
    }

    /// How often something happens that only a run could tell.
    fn guess(&mut self) -> f64 {
        self.guessed = true;
        GUESS
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
        let cost = self.cost(stmt);
        match stmt {
            Stmt::Call(..) if self.calls_only => 1.0,
            _ if self.calls_only && stmt.lists().is_empty() => 0.0,
            _ => cost,
        }
    }

    fn cost(&mut self, stmt: &Stmt) -> f64 {
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
                let trips = match bounds {
                    Some((start, stop)) => trips(start, stop, *step),
                    None => self.guess(),
                };
                let middle = bounds.map(|(start, stop)| Scalar::I64(start / 2 + stop / 2));
                self.know(*variable, middle.map(|number| Known { number, exact: false }));
                if trips == 0.0 { 0.0 } else { trips * self.repeated(body) }
            }
            Stmt::Loop(body) => self.guess() * self.repeated(body),
            Stmt::Block(_, body) => self.list(body),
            Stmt::If { condition, then, otherwise } => match self.known(*condition) {
                Some(condition) if condition.exact => {
                    self.list(if condition.number.is_true() { then } else { otherwise })
                }
                _ => self.repeated(then).max(self.repeated(otherwise)),
            },
            Stmt::Cfg(blocks) => {
                let target = |jump: Jump| match jump {
                    Jump::End => None,
                    Jump::To(target) => Some(target),
                    Jump::Branch(_, yes, no) => Some(yes.min(no)),
                };
                let turns = blocks
                    .iter()
                    .zip(0_u32..)
                    .any(|(block, at)| target(block.jump).is_some_and(|to| to <= at));
                let once: f64 = blocks.iter().map(|block| self.repeated(&block.body)).sum();
                if turns { self.guess() * once } else { once }
            }
            Stmt::Call(library, arguments) => {
                let operands = self.kernel.libraries.get(*library).map_or(&[][..], |call| &call.operands);
                self.call(operands, arguments)
            }
        }
    }

    /// The elements of all operands, and for matrices how often they are used.
    fn call(&mut self, operands: &[CallOperand], arguments: &[ValueId]) -> f64 {
        let (mut elements, mut longest, mut at) = (0.0, 1.0_f64, 0);
        let mut matrices = false;
        for operand in operands {
            let rank = operand.rank as usize;
            let extents = arguments.get(at + 1..at + 1 + rank).unwrap_or(&[]);
            let mut count = 1.0;
            for &extent in extents {
                let extent = match self.int(extent) {
                    Some(extent) => extent.max(0) as f64,
                    None => self.guess(),
                };
                count *= extent;
                longest = longest.max(extent);
            }
            elements += count;
            matrices |= rank > 1;
            at += 1 + 2 * rank;
        }
        ROUTINE + if matrices { elements * longest } else { elements }
    }

    fn value(&self, value: ValueId, op: &Op) -> Option<Known> {
        let one = |a: ValueId, f: &dyn Fn(Scalar) -> Scalar| {
            let Known { number, exact } = self.known(a)?;
            Some(Known { number: f(number), exact })
        };
        match op {
            Op::Const(literal) => Some(Known { number: literal.to_scalar()?, exact: true }),
            Op::Get(variable) => self.variables.get(variable).copied(),
            Op::Unary(op, a) => one(*a, &|number| arith::unary(*op, number)),
            Op::Cast(to, a) => one(*a, &|number| arith::cast(*to, number)),
            Op::Binary(op, a, b) => {
                let (a, b) = (self.known(*a)?, self.known(*b)?);
                let number = arith::binary(*op, a.number, b.number).ok()?;
                Some(Known { number, exact: a.exact && b.exact })
            }
            Op::Select(condition, a, b) => {
                let condition = self.known(*condition)?;
                let chosen = self.known(if condition.number.is_true() { *a } else { *b })?;
                Some(Known { exact: condition.exact && chosen.exact, ..chosen })
            }
            Op::Base(_) | Op::Math(..) | Op::Complex(..) | Op::Load { .. } => None,
        }
        .filter(|known| known.number.dtype() == self.kernel.values[value])
    }
}

fn trips(start: i64, stop: i64, step: i64) -> f64 {
    let span = (stop as f64 - start as f64) / step as f64;
    span.ceil().max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::build::{Builder, LoopFacts};
    use crate::kernel::{BufferKind, Order};
    use crate::scalar::{BinaryOp, DType};

    /// `for i in 0..stop` inside so many other loops, and what `body` puts into it.
    fn looped(b: &mut Builder, around: usize, stop: ValueId, body: impl FnOnce(&mut Builder, ValueId)) {
        let (start, empty) = (b.int(0), b.bool(false));
        let variable = b.new_value(DType::I64, around + 1);
        b.open_loop(LoopFacts { variable, lowest: start, highest: stop, empty });
        body(b, variable);
        let body = b.close();
        b.push(Stmt::For { variable, start, stop, step: 1, order: Order::InTurn, body });
    }

    fn store(b: &mut Builder, buffer: crate::kernel::BufferId, address: ValueId) {
        b.push(Stmt::Store { buffer, address, displacement: 0, value: address });
    }

    #[test]
    fn loops_count_as_often_as_they_turn() {
        let mut b = Builder::new("nest");
        let n = b.parameter("n", DType::I64);
        let buffer = b.buffer("x", BufferKind::Argument(0));
        let base = b.value(Op::Base(buffer), DType::I64);
        looped(&mut b, 0, n, |b, i| looped(b, 1, i, |b, _| store(b, buffer, base)));
        let kernel = b.finish();
        let of = |n: i64| work(&kernel, &[n as u64]);
        // One store in half a square.
        let Work { operations, guessed } = of(1000);
        assert!((450_000.0..550_000.0).contains(&operations), "{operations}");
        assert!(!guessed);
        assert!(of(0).operations < 10.0);
        assert!(of(-5).operations < 10.0);
    }

    #[test]
    fn of_a_branch_in_a_loop_the_dearer_side_counts() {
        let mut b = Builder::new("branch");
        let n = b.parameter("n", DType::I64);
        let buffer = b.buffer("x", BufferKind::Argument(0));
        let base = b.value(Op::Base(buffer), DType::I64);
        looped(&mut b, 0, n, |b, i| {
            let zero = b.int(0);
            let first = b.binary(BinaryOp::Eq, i, zero);
            b.open_branch();
            looped(b, 1, n, |b, _| store(b, buffer, base));
            let then = b.close();
            b.push(Stmt::If { condition: first, then, otherwise: Vec::new() });
        });
        let kernel = b.finish();
        assert!(work(&kernel, &[1000]).operations >= 1e6);
    }

    #[test]
    fn calls_count_as_often_as_the_loops_around_them_turn() {
        let mut b = Builder::new("calls");
        let n = b.parameter("n", DType::I64);
        let buffer = b.buffer("x", BufferKind::Argument(0));
        let base = b.value(Op::Base(buffer), DType::I64);
        let routine = crate::kernel::LibraryId(0);
        looped(&mut b, 0, n, |b, _| {
            looped(b, 1, n, |b, _| store(b, buffer, base));
            b.push(Stmt::Call(routine, Vec::new()));
        });
        b.push(Stmt::Call(routine, Vec::new()));
        assert_eq!(calls(&b.finish(), &[50]), 51.0);
    }

    #[test]
    fn turns_that_only_a_run_can_tell_are_guessed() {
        let mut b = Builder::new("gathered");
        let buffer = b.buffer("x", BufferKind::Argument(0));
        let base = b.value(Op::Base(buffer), DType::I64);
        let op = Op::Load { buffer, address: base, displacement: 0, ty: DType::I64 };
        let stop = b.value(op, DType::I64);
        looped(&mut b, 0, stop, |b, _| store(b, buffer, base));
        let kernel = b.finish();
        assert!(work(&kernel, &[]).guessed);
    }
}
