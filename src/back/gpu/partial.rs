//! Reductions of whole loops: what a loop accumulates in one place is accumulated by many threads, each in a place of
//! its own; workgroups combine what their threads have, and one more workgroup combines what those have.
//!
//! ```text
//! for i = 0 to n {          parallel for p = 0 to min(n, THREADS) {          ; groups of GROUP threads
//!   old = load s              var own = identity
//!   x = load a[i]             for k = p to n by THREADS { own = own + a[k] }
//!   store s = old + x         combine own                                    ; of the group, in its first thread
//! }                           store partial[p / GROUP] = own
//!                           }
//!                           parallel for p = 0 to min(groups, GROUP) {       ; one group
//!                             var own = identity
//!                             for k = p to groups by GROUP { own = own + partial[k] }
//!                             combine own
//!                             store s = load s + own
//!                           }
//! ```
//!
//! **Order.** Thread `p` adds elements `p`, `p + THREADS`, ..., in this order, starting from the operation's identity, which is
//! also what threads without elements have. To combine, thread `t` of a group adds what thread `t + 128` has to its own, for
//! `t` below 128; then what `t + 64` has, for `t` below 64; and so on to one. The result of the last group goes on top of what was
//! there. That is fixed, whatever the device does. For integers it gives the bits of any other order; for floats it does
//! not, so that those are reduced so in fast mode only.
//!
//! A total that the device does not reach (a variable of the host, memory behind a reference) is left in the first partial
//! result, and the host adds it.
//!
//! Several loops that are nested without anything between them are one, in row-major order.

use hashbrown::{HashMap, HashSet};

use crate::kernel::parallel::Region;
use crate::kernel::vector::{Reduction, Total, reductions};
use crate::kernel::{
    BufferDecl, BufferId, BufferKind, Kernel, Literal, Op, Order, Stmt, TrapId, TrapInfo, TrapKind, ValueId,
    VarId, Variable,
};
use crate::scalar::{BinaryOp, DType};

use super::facts::{Facts, Root};

/// Threads of a workgroup that combines.
pub(super) const GROUP: i64 = 256;

/// Threads that a reduction is spread over at most: enough for any device to have all its memory at work.
const THREADS: i64 = 1024 * GROUP;

/// Elements below which the host reduces.
pub(super) const LEAST: i64 = 1024;

/// A loop's reduction by many threads.
#[derive(Clone, Debug)]
pub(super) struct Reduced {
    /// In front of the launches: counts, and memory for partial results.
    pub before: Vec<Stmt>,
    /// Elements to partial results, and those to the total.
    pub stages: [Stage; 2],
    /// Behind them: what the host adds.
    pub after: Vec<Stmt>,
}

/// A loop that is spread over threads.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub stmt: Stmt,
    /// What makes a region of it.
    pub region: Region,
    pub together: Together,
}

/// What the threads of a group combine, of [`GROUP`] of them.
#[derive(Clone, Debug)]
pub(super) struct Together {
    pub owns: Vec<Own>,
    /// How many statements at the end of the loop's body are the first thread's, behind that.
    pub tail: usize,
}

/// What a thread accumulates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    pub variable: VarId,
    pub op: BinaryOp,
    pub ty: DType,
}

impl Own {
    /// What it starts from.
    pub fn identity(self) -> Literal {
        identity(self.op, self.ty)
    }
}

impl Reduced {
    /// All statements in front of the launches and in them.
    pub fn all(&self) -> impl Iterator<Item = &Stmt> {
        let stages = self.stages.iter().flat_map(|stage| Stmt::all(std::slice::from_ref(&stage.stmt)));
        Stmt::all(&self.before).chain(stages)
    }
}

/// Loops that can be reduced so, where iterations are not apart, by the variable of the outermost one.
pub(super) fn find(kernel: &mut Kernel, fast: bool) -> HashMap<ValueId, Reduced> {
    let body = std::mem::take(&mut kernel.body);
    let mut found = HashMap::new();
    let (mut trap, mut facts) = (None, None);
    let mut open: Vec<&[Stmt]> = vec![&body];
    while let Some(list) = open.pop() {
        for stmt in list {
            if let Stmt::For { variable, .. } = stmt {
                let region = kernel.regions.get(variable);
                if region.is_some_and(|region| !region.updates) {
                    continue;
                }
                let is_region = region.is_some();
                if let Some(mut nest) = Nest::of(kernel, stmt, fast) {
                    let facts =
                        facts.get_or_insert_with(|| Facts::of_all(kernel.values.len(), Stmt::all(&body)));
                    nest.in_place =
                        nest.reductions.iter().map(|one| is_reached(kernel, facts, one)).collect();
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
    drop(facts);
    kernel.body = body;
    found
}

/// Loops that can be reduced so in fast mode.
pub(super) fn in_fast_mode(kernel: &Kernel) -> HashSet<ValueId> {
    let mut found = HashSet::new();
    for stmt in Stmt::all(&kernel.body) {
        let Stmt::For { variable, .. } = stmt else { continue };
        if kernel.regions.get(variable).is_none_or(|region| region.updates)
            && let Some(nest) = Nest::of(kernel, stmt, true)
        {
            found.extend(nest.loops.iter().map(|inner| inner.variable));
        }
    }
    found
}

/// Whether the device can reach a reduction's total.
fn is_reached(kernel: &Kernel, facts: &Facts<'_>, reduction: &Reduction) -> bool {
    let Total::Memory { buffer, address, displacement } = reduction.total else { return false };
    let power = reduction.ty.bytes().trailing_zeros();
    let aligned = facts.aligned(address) >= power && displacement.trailing_zeros() >= power;
    aligned
        && facts.root(address) == Root::Buffer(buffer)
        && kernel.buffers[buffer].kind != BufferKind::Anywhere
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
    /// Of each reduction, whether the device adds to its total.
    in_place: Vec<bool>,
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
                return fits.then_some(Nest { loops, code, reductions, in_place: Vec::new() });
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
        let most = before.int(THREADS);
        let threads = before.binary(BinaryOp::Min, total, most);
        let group = before.int(GROUP);
        let beyond = before.int(GROUP - 1);
        let rounded = before.binary(BinaryOp::Add, threads, beyond);
        let groups = before.binary(BinaryOp::FloorDiv, rounded, group);
        let last = before.binary(BinaryOp::Min, groups, group);
        let zero = before.int(0);
        let mut places = Vec::with_capacity(self.reductions.len());
        for reduction in &self.reductions {
            let size = before.int(reduction.ty.bytes() as i64);
            let bytes = before.binary(BinaryOp::Mul, groups, size);
            let buffer = before
                .kernel
                .buffers
                .push(BufferDecl { name: "partial".to_owned(), kind: BufferKind::Scratch });
            before.stmts.push(Stmt::Alloc { buffer, bytes, zero: false, trap });
            let base = before.value(Op::Base(buffer), DType::I64);
            places.push(Place { buffer, base, size });
        }
        let before = before.stmts;
        let owns = self.owns(kernel);
        let (variable, round) = self.round(kernel, &counts, &owns);
        let step = THREADS;
        let inner =
            |start| Stmt::For { variable, start, stop: total, step, order: Order::InTurn, body: round };
        let first = stage(kernel, zero, threads, &owns, inner, |tail, thread| {
            let number = tail.binary(BinaryOp::Div, thread, group);
            for (own, place) in owns.iter().zip(&places) {
                let address = tail.place(place, number);
                let value = tail.value(Op::Get(own.variable), own.ty);
                tail.stmts.push(Stmt::Store { buffer: place.buffer, address, displacement: 0, value });
            }
        });
        let owns = self.owns(kernel);
        let (variable, round) = gathered(kernel, &owns, &places);
        let step = GROUP;
        let inner =
            |start| Stmt::For { variable, start, stop: groups, step, order: Order::InTurn, body: round };
        let second = stage(kernel, zero, last, &owns, inner, |tail, _| {
            for (number, own) in owns.iter().enumerate() {
                let value = tail.value(Op::Get(own.variable), own.ty);
                if self.in_place[number] {
                    tail.onto(&self.reductions[number], value);
                } else {
                    let place = &places[number];
                    let address = place.base;
                    tail.stmts.push(Stmt::Store { buffer: place.buffer, address, displacement: 0, value });
                }
            }
        });
        let mut after = Writer { kernel, stmts: Vec::new() };
        for ((reduction, place), _) in
            self.reductions.iter().zip(&places).zip(&self.in_place).filter(|(_, in_place)| !**in_place)
        {
            let (buffer, address, ty) = (place.buffer, place.base, reduction.ty);
            let part = after.value(Op::Load { buffer, address, displacement: 0, ty }, ty);
            after.onto(reduction, part);
        }
        Reduced { before, stages: [first, second], after: after.stmts }
    }

    /// A variable for each reduction.
    fn owns(&self, kernel: &mut Kernel) -> Vec<Own> {
        let own = |reduction: &Reduction| {
            let name = "partial".to_owned();
            let variable = kernel.variables.push(Variable { name, ty: reduction.ty });
            Own { variable, op: reduction.op, ty: reduction.ty }
        };
        self.reductions.iter().map(own).collect()
    }

    /// One element of a thread: its number, and what is done with it.
    fn round(&self, kernel: &mut Kernel, counts: &[ValueId], owns: &[Own]) -> (ValueId, Vec<Stmt>) {
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
            self.reductions.iter().zip(owns).map(|(reduction, own)| (reduction.old, own.variable)).collect();
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
        for (reduction, own) in self.reductions.iter().zip(owns) {
            let new = renamed.get(&reduction.new).copied().unwrap_or(reduction.new);
            round.stmts.push(Stmt::Set(own.variable, new));
        }
        (element, round.stmts)
    }
}

/// A stage: threads that accumulate in a loop from their number on, and what the first one of a group does afterwards.
fn stage(
    kernel: &mut Kernel,
    zero: ValueId,
    threads: ValueId,
    owns: &[Own],
    inner: impl FnOnce(ValueId) -> Stmt,
    tail: impl FnOnce(&mut Writer<'_>, ValueId),
) -> Stage {
    let thread = kernel.values.push(DType::I64);
    let mut body = Writer { kernel, stmts: vec![inner(thread)] };
    tail(&mut body, thread);
    let body = body.stmts;
    let together = Together { owns: owns.to_vec(), tail: body.len() - 1 };
    let stmt = Stmt::For { variable: thread, start: zero, stop: threads, step: 1, order: Order::Any, body };
    let region = Region { apart: None, work: threads, inner: Vec::new(), updates: false };
    Stage { stmt, region, together }
}

/// One partial result of each reduction: its number, and how it is accumulated.
fn gathered(kernel: &mut Kernel, owns: &[Own], places: &[Place]) -> (ValueId, Vec<Stmt>) {
    let element = kernel.values.push(DType::I64);
    let mut round = Writer { kernel, stmts: Vec::new() };
    for (own, place) in owns.iter().zip(places) {
        let (ty, address) = (own.ty, round.place(place, element));
        let part = round.value(Op::Load { buffer: place.buffer, address, displacement: 0, ty }, ty);
        let old = round.value(Op::Get(own.variable), ty);
        let new = round.value(Op::Binary(own.op, old, part), ty);
        round.stmts.push(Stmt::Set(own.variable, new));
    }
    (element, round.stmts)
}

/// Where the partial results of a reduction are.
struct Place {
    buffer: BufferId,
    base: ValueId,
    size: ValueId,
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

    /// A value on top of a reduction's total.
    fn onto(&mut self, reduction: &Reduction, part: ValueId) {
        let ty = reduction.ty;
        let old = match reduction.total {
            Total::Memory { buffer, address, displacement } => {
                self.value(Op::Load { buffer, address, displacement, ty }, ty)
            }
            Total::Variable(variable) => self.value(Op::Get(variable), ty),
        };
        let value = self.value(Op::Binary(reduction.op, old, part), ty);
        self.stmts.push(match reduction.total {
            Total::Memory { buffer, address, displacement } => {
                Stmt::Store { buffer, address, displacement, value }
            }
            Total::Variable(variable) => Stmt::Set(variable, value),
        });
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
