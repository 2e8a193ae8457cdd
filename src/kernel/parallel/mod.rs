//! Which parallel loops may be split between threads.
//!
//! A graph's word that a map is parallel is not proof, and results must not depend on the number of threads. So
//! a loop is a [`Region`] only where its iterations provably touch different memory, or where a few sums in front of the
//! loop show it:
//!
//! - Each buffer that the body writes is reached at addresses that are linear in the loop's variable and in those of
//!   inner loops, with one distance `S` per iteration for all of its accesses. Iterations are apart if all
//!   that one of them reaches lies within `S` bytes. That is a condition on values known before the loop, because
//!   inner bounds are.
//! - Variables that the body sets, it sets before it reads them, and nobody reads them afterwards.
//! - Nothing in the body calls a library routine, reaches memory through computed addresses that it writes, or takes
//!   persistent memory.
//!
//! A write that resolves a conflict with another iteration reads and writes with a distance of zero, so such loops
//! stay serial, and the order in which conflicts are resolved is the interpreter's.
//!
//! Only outermost regions are split. How much work an iteration is decides, at the call, whether that pays.

use hashbrown::{HashMap, HashSet};

use crate::scalar::{BinaryOp, DType, Func};

use super::{BufferId, BufferKind, Kernel, LabelId, Literal, Op, Order, Stmt, ValueId, VarId};

mod address;
mod update;
mod work;

pub use update::{Update, updates};

use address::{Access, InnerLoop, Linear, Sum};

/// A parallel loop that may be split.
#[derive(Clone, PartialEq, Debug)]
pub struct Region {
    /// A bool: the iterations are apart. None if they always are.
    pub apart: Option<ValueId>,
    /// A `float64`: operations of all iterations, roughly.
    pub work: ValueId,
    /// With [`find_nests`]: parallel loops inside, each the only loop of the body around it, whose iterations are apart as
    /// well, from the outside in.
    pub inner: Vec<Inner>,
    /// With [`find_nests`]: iterations meet, but only in what they [update](updates), so that they are independent if each
    /// update is done as one. Threads of the host do not do that.
    pub updates: bool,
}

/// A loop whose iterations are apart in every iteration of the region around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inner {
    /// Its variable.
    pub variable: ValueId,
    /// A bool that stands in front of the region: they are apart. None if they always are.
    pub apart: Option<ValueId>,
}

/// A parallel loop that stays serial.
#[derive(Clone, PartialEq, Debug)]
pub struct Serial {
    /// Its variable.
    pub variable: ValueId,
    /// Why.
    pub reason: &'static str,
}

/// Less work than this is never split: waking threads costs a few microseconds.
pub const LEAST_WORK: f64 = 40_000.0;

/// Finds regions of more work than `least`, as far as that is known, and puts the code in front of them that decides.
pub fn find(kernel: &mut Kernel, least: f64) {
    run(kernel, least, false);
}

/// No regions: for programs that run on one thread, whose loops need no code in front of them that decides.
pub fn find_none(kernel: &mut Kernel) {
    let serial = Stmt::all(&kernel.body).filter_map(|stmt| match stmt {
        Stmt::For { variable, order, .. } if order.may_change() => {
            Some(Serial { variable: *variable, reason: "the program runs on one thread" })
        }
        _ => None,
    });
    kernel.serial = serial.collect();
}

/// Finds regions of any work; also looks how deep they are independent, for machines with very many threads.
pub fn find_nests(kernel: &mut Kernel) {
    run(kernel, 0.0, true);
}

fn run(kernel: &mut Kernel, least: f64, deep: bool) {
    let definitions = Stmt::all(&kernel.body).filter_map(|stmt| match stmt {
        Stmt::Let(value, op) => Some((*value, op.clone())),
        _ => None,
    });
    let definitions = definitions.collect();
    let reads = reads_of(&kernel.body);
    let body = std::mem::take(&mut kernel.body);
    let mut pass = Pass { kernel, definitions, reads, least, deep };
    let body = pass.list(body);
    pass.kernel.body = body;
}

struct Pass<'k> {
    kernel: &'k mut Kernel,
    definitions: HashMap<ValueId, Op>,
    /// How often each variable is read, in the whole kernel.
    reads: HashMap<VarId, usize>,
    least: f64,
    deep: bool,
}

impl Pass<'_> {
    fn list(&mut self, stmts: Vec<Stmt>) -> Vec<Stmt> {
        let mut result = Vec::with_capacity(stmts.len());
        for stmt in stmts {
            match stmt {
                Stmt::For { variable, start, stop, step, order, body } if order.may_change() => {
                    match self.region(variable, start, stop, step, &body, &mut result) {
                        Ok((start, stop)) => {
                            result.push(Stmt::For { variable, start, stop, step, order, body });
                        }
                        Err(reason) => {
                            self.kernel.serial.push(Serial { variable, reason });
                            let body = self.list(body);
                            result.push(Stmt::For { variable, start, stop, step, order, body });
                        }
                    }
                }
                mut other => {
                    for list in other.lists_mut() {
                        *list = self.list(std::mem::take(list));
                    }
                    result.push(other);
                }
            }
        }
        result
    }

    /// Makes a region of a loop. Gives the bounds under names of their own, so that they can be replaced by those
    /// of a part.
    fn region(
        &mut self,
        variable: ValueId,
        start: ValueId,
        stop: ValueId,
        step: i64,
        body: &[Stmt],
        before: &mut Vec<Stmt>,
    ) -> Result<(ValueId, ValueId), &'static str> {
        let mut updated = HashSet::new();
        let mut found = self.independent(variable, step, body, &updated);
        if let (Err(reason), true) = (&found, self.deep) {
            let reason = *reason;
            updated = updates(self.kernel, body).values().map(|update| update.buffer).collect();
            if updated.is_empty() {
                return Err(reason);
            }
            found = self.independent(variable, step, body, &updated).map_err(|_| reason);
        }
        let (inside, apart, mut stmts) = found?;
        let inner = if self.deep { self.inner(body, &inside.own, &updated, &mut stmts) } else { Vec::new() };
        let parallel = Stmt::all(body)
            .filter(|stmt| matches!(stmt, Stmt::For { order, .. } if order.may_change()))
            .count();
        if !updated.is_empty() && parallel > inner.len() {
            return Err("iterations write to the same place, and there are loops inside that do not");
        }
        let mut code = Code { kernel: self.kernel, definitions: &self.definitions, stmts };
        let work = work::of(&mut code, &inside.own, (start, stop, step), body);
        if work::is_less(&code, work, self.least) {
            return Err("too little work");
        }
        let zero = code.constant(Literal::i64(0));
        let start = code.let_(Op::Binary(BinaryOp::Add, start, zero), DType::I64);
        let stop = code.let_(Op::Binary(BinaryOp::Add, stop, zero), DType::I64);
        before.append(&mut code.stmts);
        let updates = !updated.is_empty();
        self.kernel.regions.insert(variable, Region { apart, work, inner, updates });
        Ok((start, stop))
    }

    /// Shows that the iterations of a loop are apart, but for what they do to `updated` buffers: what it holds, the
    /// condition, and the code that computes it.
    fn independent(
        &mut self,
        variable: ValueId,
        step: i64,
        body: &[Stmt],
        updated: &HashSet<BufferId>,
    ) -> Result<(Inside, Option<ValueId>, Vec<Stmt>), &'static str> {
        let mut inside = Inside { own: HashSet::from([variable]), ..Inside::default() };
        inside.collect(self.kernel, body)?;
        let persists =
            |buffer: &BufferId| matches!(self.kernel.buffers[*buffer].kind, BufferKind::Persistent(_));
        if inside.allocated.iter().any(persists) {
            return Err("it takes persistent memory");
        }
        self.variables_are_private(body, &inside)?;
        let mut accesses: Vec<Access> = Vec::new();
        let mut loops: Vec<InnerLoop> = Vec::new();
        inside.written.retain(|buffer| !updated.contains(buffer));
        self.accesses(body, variable, &inside, &mut loops, &mut accesses)?;
        let mut code = Code { kernel: self.kernel, definitions: &self.definitions, stmts: Vec::new() };
        let mut apart: Option<ValueId> = None;
        let mut written: Vec<BufferId> = Vec::new();
        for access in accesses.iter().filter(|access| access.writes) {
            if !written.contains(&access.buffer) {
                written.push(access.buffer);
            }
        }
        for buffer in written {
            let same: Vec<&Access> = accesses.iter().filter(|access| access.buffer == buffer).collect();
            let holds = address::apart(&mut code, variable, step, &same)?;
            apart = Some(match apart {
                Some(others) => code.let_(Op::Binary(BinaryOp::BitAnd, others, holds), DType::Bool),
                None => holds,
            });
        }
        let stmts = code.stmts;
        Ok((inside, apart, stmts))
    }

    /// Independent loops inside a region, as far as the conditions for it can be known in front of the region.
    fn inner(
        &mut self,
        body: &[Stmt],
        region: &HashSet<ValueId>,
        updated: &HashSet<BufferId>,
        before: &mut Vec<Stmt>,
    ) -> Vec<Inner> {
        let mut found = Vec::new();
        let mut body = body;
        loop {
            let mut compound = body.iter().filter(|stmt| !stmt.lists().is_empty());
            let (
                Some(Stmt::For {
                    variable, step, order: Order::Any | Order::Undecided, body: inside, ..
                }),
                None,
            ) = (compound.next(), compound.next())
            else {
                return found;
            };
            let Ok((_, apart, stmts)) = self.independent(*variable, *step, inside, updated) else {
                return found;
            };
            let mut known = true;
            for stmt in &stmts {
                if let Stmt::Let(_, op) = stmt {
                    op.each_operand(|operand| known &= !region.contains(&operand));
                }
            }
            if !known {
                return found;
            }
            before.extend(stmts);
            found.push(Inner { variable: *variable, apart });
            body = inside;
        }
    }

    fn variables_are_private(&self, body: &[Stmt], inside: &Inside) -> Result<(), &'static str> {
        if inside.set.is_empty() {
            return Ok(());
        }
        let read_inside = reads_of(body);
        for variable in &inside.set {
            let (here, all) = (read_inside.get(variable), self.reads.get(variable));
            if here.copied().unwrap_or(0) != all.copied().unwrap_or(0) {
                return Err("a value that an iteration sets is read afterwards");
            }
        }
        if set_before_read(body, &inside.set, &mut HashSet::new()) {
            Ok(())
        } else {
            Err("a value goes from iteration to iteration")
        }
    }

    fn accesses(
        &self,
        stmts: &[Stmt],
        variable: ValueId,
        inside: &Inside,
        loops: &mut Vec<InnerLoop>,
        found: &mut Vec<Access>,
    ) -> Result<(), &'static str> {
        for stmt in stmts {
            let (buffer, address, displacement, ty, writes) = match stmt {
                Stmt::Let(_, Op::Load { buffer, address, displacement, ty }) => {
                    (*buffer, *address, *displacement, *ty, false)
                }
                Stmt::Store { buffer, address, displacement, value } => {
                    (*buffer, *address, *displacement, self.kernel.values[*value], true)
                }
                Stmt::For { variable: inner, start, stop, step, body, .. } => {
                    loops.push(InnerLoop { variable: *inner, start: *start, stop: *stop, step: *step });
                    self.accesses(body, variable, inside, loops, found)?;
                    loops.pop();
                    continue;
                }
                Stmt::Loop(body) | Stmt::Block(_, body) => {
                    self.accesses(body, variable, inside, loops, found)?;
                    continue;
                }
                Stmt::If { then, otherwise, .. } => {
                    self.accesses(then, variable, inside, loops, found)?;
                    self.accesses(otherwise, variable, inside, loops, found)?;
                    continue;
                }
                Stmt::Cfg(blocks) => {
                    for block in blocks {
                        self.accesses(&block.body, variable, inside, loops, found)?;
                    }
                    continue;
                }
                _ => continue,
            };
            if inside.allocated.contains(&buffer) {
                continue;
            }
            let is_written = inside.written.contains(&buffer);
            match self.kernel.buffers[buffer].kind {
                BufferKind::Constant(_) => continue,
                BufferKind::Anywhere if !inside.written.is_empty() => {
                    return Err("memory is reached through a reference");
                }
                _ if !is_written => continue,
                _ => {}
            }
            let mut variables: Vec<ValueId> = loops.iter().map(|inner| inner.variable).collect();
            variables.push(variable);
            let known =
                address::Known { definitions: &self.definitions, inside: &inside.own, variables: &variables };
            let Some(address) = Linear::of(address, &known, 0) else {
                return Err("an address that is written is not linear in the loops");
            };
            let used = |inner: &&InnerLoop| address.uses(inner.variable);
            let around: Vec<InnerLoop> = loops.iter().filter(used).copied().collect();
            if around
                .iter()
                .any(|inner| inside.own.contains(&inner.start) || inside.own.contains(&inner.stop))
            {
                return Err("the bounds of an inner loop depend on the outer one");
            }
            let bytes = ty.bytes() as i64;
            found.push(Access { buffer, address, displacement, bytes, writes, loops: around });
        }
        Ok(())
    }
}

/// What a loop's body holds.
#[derive(Default)]
struct Inside {
    /// Values defined there, loop variables included.
    own: HashSet<ValueId>,
    set: HashSet<VarId>,
    written: HashSet<BufferId>,
    /// Buffers taken there: each iteration has its own.
    allocated: HashSet<BufferId>,
    labels: HashSet<LabelId>,
}

impl Inside {
    fn collect(&mut self, kernel: &Kernel, stmts: &[Stmt]) -> Result<(), &'static str> {
        for stmt in stmts {
            match stmt {
                Stmt::Let(value, _) => {
                    self.own.insert(*value);
                }
                Stmt::Set(variable, _) => {
                    self.set.insert(*variable);
                }
                Stmt::Store { buffer, .. } => {
                    self.written.insert(*buffer);
                }
                Stmt::For { variable, body, .. } => {
                    self.own.insert(*variable);
                    self.collect(kernel, body)?;
                }
                Stmt::Loop(body) => self.collect(kernel, body)?,
                Stmt::Block(label, body) => {
                    self.labels.insert(*label);
                    self.collect(kernel, body)?;
                }
                Stmt::If { then, otherwise, .. } => {
                    self.collect(kernel, then)?;
                    self.collect(kernel, otherwise)?;
                }
                Stmt::Cfg(blocks) => blocks.iter().try_for_each(|block| self.collect(kernel, &block.body))?,
                Stmt::Exit(label) if !self.labels.contains(label) => return Err("it leaves the loop"),
                Stmt::Exit(_) | Stmt::Check(..) => {}
                Stmt::Alloc { buffer, .. } => {
                    self.allocated.insert(*buffer);
                }
                Stmt::Call(call, _) => return Err(kernel.libraries[*call].why_serial()),
            }
        }
        Ok(())
    }
}

/// Kernel code under construction.
struct Code<'k> {
    kernel: &'k mut Kernel,
    definitions: &'k HashMap<ValueId, Op>,
    stmts: Vec<Stmt>,
}

impl Code<'_> {
    fn let_(&mut self, op: Op, ty: DType) -> ValueId {
        let value = self.kernel.values.push(ty);
        self.stmts.push(Stmt::Let(value, op));
        value
    }

    fn constant(&mut self, literal: Literal) -> ValueId {
        self.let_(Op::Const(literal), literal.ty)
    }

    fn float(&mut self, value: f64) -> ValueId {
        self.constant(Literal { ty: DType::F64, bits: value.to_bits() })
    }

    fn as_float(&mut self, value: ValueId) -> ValueId {
        if let Some(Op::Const(literal)) = self.definitions.get(&value)
            && let Some(number) = literal.as_int()
        {
            return self.float(number as f64);
        }
        self.let_(Op::Cast(DType::F64, value), DType::F64)
    }

    fn floats(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> ValueId {
        let ty = if op.is_comparison() { DType::Bool } else { DType::F64 };
        self.let_(Op::Binary(op, a, b), ty)
    }

    fn magnitude(&mut self, value: ValueId) -> ValueId {
        self.let_(Op::Math(Func::Abs, vec![value]), DType::F64)
    }

    /// A sum of products as a `float64`.
    fn sum(&mut self, sum: &Sum) -> ValueId {
        let mut total = self.float(0.0);
        for (factors, number) in sum.terms() {
            let mut product = self.float(number as f64);
            for &factor in factors {
                let factor = self.as_float(factor);
                product = self.floats(BinaryOp::Mul, product, factor);
            }
            total = self.floats(BinaryOp::Add, total, product);
        }
        total
    }
}

/// How often each variable is read.
fn reads_of(stmts: &[Stmt]) -> HashMap<VarId, usize> {
    let mut found = HashMap::new();
    for stmt in Stmt::all(stmts) {
        if let Stmt::Let(_, Op::Get(variable)) = stmt {
            *found.entry(*variable).or_default() += 1;
        }
    }
    found
}

/// Whether each of the variables is set before it is read, on every way through the list.
fn set_before_read(stmts: &[Stmt], variables: &HashSet<VarId>, set: &mut HashSet<VarId>) -> bool {
    for stmt in stmts {
        let fine = match stmt {
            Stmt::Let(_, Op::Get(variable)) => !variables.contains(variable) || set.contains(variable),
            Stmt::Set(variable, _) => {
                set.insert(*variable);
                true
            }
            // These may run not at all, or leave early: what they set counts inside only.
            Stmt::For { body, .. } | Stmt::Loop(body) | Stmt::Block(_, body) => {
                set_before_read(body, variables, &mut set.clone())
            }
            Stmt::If { then, otherwise, .. } => {
                let (mut one, mut other) = (set.clone(), set.clone());
                let fine = set_before_read(then, variables, &mut one)
                    && set_before_read(otherwise, variables, &mut other);
                set.extend(one.intersection(&other).copied());
                fine
            }
            Stmt::Cfg(blocks) => {
                blocks.iter().all(|block| set_before_read(&block.body, variables, &mut set.clone()))
            }
            _ => true,
        };
        if !fine {
            return false;
        }
    }
    true
}
