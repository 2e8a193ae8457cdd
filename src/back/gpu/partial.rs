//! Reductions of whole loops: what a loop accumulates in one place is accumulated by many threads, each in a place of
//! its own, and the host combines those.
//!
//! ```text
//! for i = 0 to n {                    parallel for p = 0 to min(n, THREADS) {
//!   old = load s                        var own = identity
//!   x = load a[i]                       for k = p to n by THREADS { own = own + a[k] }
//!   store s = old + x                   store partial[p] = own
//! }                                   }
//!                                     for p = 0 to min(n, THREADS) { store s = load s + load partial[p] }
//! ```
//!
//! **Order.** Thread `p` adds elements `p`, `p + THREADS`, ..., in this order, starting from the operation's identity; then
//! the partial results are added to what was there in the order of `p`. That is fixed, whatever the device does. For
//! integers it gives the bits of any other order; for floats it does not, so that those are reduced so in fast mode only.
//!
//! Several loops that are nested without anything between them are one, in row-major order.

use hashbrown::{HashMap, HashSet};

use crate::kernel::parallel::Region;
use crate::kernel::vector::{Reduction, Total, reductions};
use crate::kernel::{
    BufferDecl, BufferId, BufferKind, Kernel, Literal, Op, Stmt, TrapId, TrapInfo, TrapKind, ValueId, VarId,
    Variable,
};
use crate::scalar::{BinaryOp, DType};

/// Threads that a reduction is spread over at most.
const THREADS: i64 = 16_384;

/// Elements below which the host reduces.
pub(super) const LEAST: i64 = 1024;

/// A loop's reduction by many threads.
#[derive(Clone, Debug)]
pub(super) struct Reduced {
    /// In front of the launch: counts, and memory for partial results.
    pub before: Vec<Stmt>,
    /// The loop that is spread over threads.
    pub stmt: Stmt,
    /// Behind it: partial results are combined.
    pub after: Vec<Stmt>,
    /// What makes a region of it.
    pub region: Region,
}

impl Reduced {
    /// All statements in front of the launch and in it.
    pub fn all(&self) -> impl Iterator<Item = &Stmt> {
        Stmt::all(&self.before).chain(Stmt::all(std::slice::from_ref(&self.stmt)))
    }
}

/// Loops that can be reduced so, where iterations are not apart, by the variable of the outermost one.
pub(super) fn find(kernel: &mut Kernel, fast: bool) -> HashMap<ValueId, Reduced> {
    let body = std::mem::take(&mut kernel.body);
    let mut found = HashMap::new();
    let mut trap = None;
    let mut open: Vec<&[Stmt]> = vec![&body];
    while let Some(list) = open.pop() {
        for stmt in list {
            if let Stmt::For { variable, .. } = stmt {
                let region = kernel.regions.get(variable);
                if region.is_some_and(|region| !region.updates) {
                    continue;
                }
                let is_region = region.is_some();
                if let Some(nest) = Nest::of(kernel, stmt, fast) {
                    let trap = *trap.get_or_insert_with(|| {
                        kernel.traps.push(TrapInfo {
                            kind: TrapKind::Allocation,
                            message: "there is no memory for partial results".to_owned(),
                            place: Vec::new(),
                        })
                    });
                    found.insert(*variable, nest.reduced(kernel, trap));
                    continue;
                }
                if is_region {
                    continue;
                }
            }
            open.extend(stmt.lists());
        }
    }
    kernel.body = body;
    found
}

#[derive(Clone, Copy)]
struct Loop {
    variable: ValueId,
    start: ValueId,
    stop: ValueId,
    step: i64,
}

/// Loops that reduce, and nothing else.
struct Nest<'k> {
    loops: Vec<Loop>,
    /// Values between the loops, and the body of the innermost one.
    code: Vec<&'k Stmt>,
    reductions: Vec<Reduction>,
}

impl<'k> Nest<'k> {
    fn of(kernel: &Kernel, stmt: &'k Stmt, fast: bool) -> Option<Nest<'k>> {
        let (mut loops, mut code) = (Vec::new(), Vec::new());
        let mut inside: HashSet<ValueId> = HashSet::new();
        let mut stmt = stmt;
        loop {
            let Stmt::For { variable, start, stop, step, body, .. } = stmt else { return None };
            if inside.contains(start) || inside.contains(stop) || *step == i64::MIN {
                return None;
            }
            loops.push(Loop { variable: *variable, start: *start, stop: *stop, step: *step });
            inside.insert(*variable);
            let inner = body.iter().find(|stmt| !stmt.lists().is_empty());
            for stmt in body.iter().filter(|stmt| stmt.lists().is_empty()) {
                if let Stmt::Let(value, op) = stmt {
                    if inner.is_some() && !op.is_pure() {
                        return None;
                    }
                    inside.insert(*value);
                } else if inner.is_some() {
                    return None;
                }
                code.push(stmt);
            }
            let Some(inner) = inner else {
                let reductions = reductions(kernel, body, fast);
                let is_change = |stmt: &&Stmt| matches!(stmt, Stmt::Set(..) | Stmt::Store { .. });
                let all = body.iter().filter(is_change).count() == reductions.len();
                let outside = |reduction: &Reduction| match reduction.total {
                    Total::Memory { address, .. } => !inside.contains(&address),
                    Total::Variable(_) => true,
                };
                let fits = all && !reductions.is_empty() && reductions.iter().all(outside);
                return fits.then_some(Nest { loops, code, reductions });
            };
            if body.iter().filter(|stmt| !stmt.lists().is_empty()).count() > 1 {
                return None;
            }
            stmt = inner;
        }
    }

    fn reduced(self, kernel: &mut Kernel, trap: TrapId) -> Reduced {
        let mut before = Writer { kernel, stmts: Vec::new() };
        let counts: Vec<ValueId> = self.loops.iter().map(|inner| before.count(*inner)).collect();
        let mut total = counts[0];
        for &count in &counts[1..] {
            total = before.binary(BinaryOp::Mul, total, count);
        }
        let zero = before.int(0);
        let most = before.int(THREADS);
        let threads = before.binary(BinaryOp::Min, total, most);
        let mut places = Vec::with_capacity(self.reductions.len());
        for reduction in &self.reductions {
            let size = before.int(reduction.ty.bytes() as i64);
            let bytes = before.binary(BinaryOp::Mul, threads, size);
            let buffer = before
                .kernel
                .buffers
                .push(BufferDecl { name: "partial".to_owned(), kind: BufferKind::Scratch });
            before.stmts.push(Stmt::Alloc { buffer, bytes, zero: false, trap });
            let base = before.value(Op::Base(buffer), DType::I64);
            let name = "partial".to_owned();
            let own = before.kernel.variables.push(Variable { name, ty: reduction.ty });
            places.push(Place { buffer, base, size, own });
        }
        let before = before.stmts;
        let thread = kernel.values.push(DType::I64);
        let mut body = Writer { kernel, stmts: Vec::new() };
        for (reduction, place) in self.reductions.iter().zip(&places) {
            let start = body.value(Op::Const(identity(reduction.op, reduction.ty)), reduction.ty);
            body.stmts.push(Stmt::Set(place.own, start));
        }
        let (variable, round) = self.round(body.kernel, &counts, &places);
        body.stmts.push(Stmt::For {
            variable,
            start: thread,
            stop: total,
            step: THREADS,
            parallel: false,
            body: round,
        });
        for (reduction, place) in self.reductions.iter().zip(&places) {
            let address = body.place(place, thread);
            let value = body.value(Op::Get(place.own), reduction.ty);
            body.stmts.push(Stmt::Store { buffer: place.buffer, address, displacement: 0, value });
        }
        let body = body.stmts;
        let stmt = Stmt::For { variable: thread, start: zero, stop: threads, step: 1, parallel: true, body };
        let after = self.combined(kernel, zero, threads, &places);
        let region = Region { apart: None, work: total, inner: Vec::new(), updates: false };
        Reduced { before, stmt, after, region }
    }

    /// One element of a thread: its number, and what is done with it.
    fn round(&self, kernel: &mut Kernel, counts: &[ValueId], places: &[Place]) -> (ValueId, Vec<Stmt>) {
        let element = kernel.values.push(DType::I64);
        let mut round = Writer { kernel, stmts: Vec::new() };
        let mut renamed: HashMap<ValueId, ValueId> = HashMap::new();
        let mut rest = element;
        for (number, inner) in self.loops.iter().enumerate().rev() {
            let mut position = rest;
            if number > 0 {
                position = round.binary(BinaryOp::Rem, rest, counts[number]);
                rest = round.binary(BinaryOp::Div, rest, counts[number]);
            }
            let step = round.int(inner.step);
            let distance = round.binary(BinaryOp::Mul, position, step);
            renamed.insert(inner.variable, round.binary(BinaryOp::Add, inner.start, distance));
        }
        let olds: HashMap<ValueId, VarId> =
            self.reductions.iter().zip(places).map(|(reduction, place)| (reduction.old, place.own)).collect();
        for stmt in &self.code {
            let name = |value: ValueId| renamed.get(&value).copied().unwrap_or(value);
            match stmt {
                Stmt::Let(value, op) => {
                    let op = match olds.get(value) {
                        Some(&own) => Op::Get(own),
                        None => op.with_operands(name),
                    };
                    let ty = round.kernel.values[*value];
                    renamed.insert(*value, round.value(op, ty));
                }
                Stmt::Check(condition, trap) => round.stmts.push(Stmt::Check(name(*condition), *trap)),
                _ => {}
            }
        }
        for (reduction, place) in self.reductions.iter().zip(places) {
            let new = renamed.get(&reduction.new).copied().unwrap_or(reduction.new);
            round.stmts.push(Stmt::Set(place.own, new));
        }
        (element, round.stmts)
    }

    /// Partial results on top of what was there, in their order.
    fn combined(&self, kernel: &mut Kernel, zero: ValueId, threads: ValueId, places: &[Place]) -> Vec<Stmt> {
        let mut after = Vec::with_capacity(places.len());
        for (reduction, place) in self.reductions.iter().zip(places) {
            let ty = reduction.ty;
            let variable = kernel.values.push(DType::I64);
            let mut one = Writer { kernel, stmts: Vec::new() };
            let address = one.place(place, variable);
            let part = one.value(Op::Load { buffer: place.buffer, address, displacement: 0, ty }, ty);
            let old = match reduction.total {
                Total::Memory { buffer, address, displacement } => {
                    one.value(Op::Load { buffer, address, displacement, ty }, ty)
                }
                Total::Variable(variable) => one.value(Op::Get(variable), ty),
            };
            let value = one.value(Op::Binary(reduction.op, old, part), ty);
            one.stmts.push(match reduction.total {
                Total::Memory { buffer, address, displacement } => {
                    Stmt::Store { buffer, address, displacement, value }
                }
                Total::Variable(variable) => Stmt::Set(variable, value),
            });
            let body = one.stmts;
            after.push(Stmt::For { variable, start: zero, stop: threads, step: 1, parallel: false, body });
        }
        after
    }
}

/// Where the partial results of a reduction are.
struct Place {
    buffer: BufferId,
    base: ValueId,
    size: ValueId,
    /// What a thread accumulates in.
    own: VarId,
}

/// Statements under construction.
struct Writer<'k> {
    kernel: &'k mut Kernel,
    stmts: Vec<Stmt>,
}

impl Writer<'_> {
    fn value(&mut self, op: Op, ty: DType) -> ValueId {
        let value = self.kernel.values.push(ty);
        self.stmts.push(Stmt::Let(value, op));
        value
    }

    fn int(&mut self, number: i64) -> ValueId {
        self.value(Op::Const(Literal::i64(number)), DType::I64)
    }

    fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> ValueId {
        self.value(Op::Binary(op, a, b), DType::I64)
    }

    /// The address of the partial result with that number.
    fn place(&mut self, place: &Place, number: ValueId) -> ValueId {
        let offset = self.binary(BinaryOp::Mul, number, place.size);
        self.binary(BinaryOp::Add, place.base, offset)
    }

    /// How many iterations a loop has.
    fn count(&mut self, inner: Loop) -> ValueId {
        let (low, high) = if inner.step > 0 { (inner.start, inner.stop) } else { (inner.stop, inner.start) };
        let mut count = self.binary(BinaryOp::Sub, high, low);
        if inner.step.abs() > 1 {
            let more = self.int(inner.step.abs() - 1);
            let step = self.int(inner.step.abs());
            count = self.binary(BinaryOp::Add, count, more);
            count = self.binary(BinaryOp::FloorDiv, count, step);
        }
        let zero = self.int(0);
        self.binary(BinaryOp::Max, count, zero)
    }
}

/// What does not change a number that it is combined with.
fn identity(op: BinaryOp, ty: DType) -> Literal {
    let int = |number: i64| match ty {
        DType::I32 => Literal { ty, bits: u64::from(number as i32 as u32) },
        _ => Literal::i64(number),
    };
    let float = |number: f64| match ty {
        DType::F32 => Literal { ty, bits: u64::from((number as f32).to_bits()) },
        _ => Literal { ty, bits: number.to_bits() },
    };
    let (low, high) = match ty {
        DType::I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => (i64::MIN, i64::MAX),
    };
    match (op, ty.is_float()) {
        (BinaryOp::Mul, false) => int(1),
        (BinaryOp::Min, false) => int(high),
        (BinaryOp::Max, false) => int(low),
        (BinaryOp::BitAnd, _) => int(-1),
        (_, false) => int(0),
        (BinaryOp::Mul, true) => float(1.0),
        (BinaryOp::Min, true) => float(f64::INFINITY),
        (BinaryOp::Max, true) => float(f64::NEG_INFINITY),
        (_, true) => float(-0.0),
    }
}
