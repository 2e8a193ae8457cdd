//! Products of scaled matrices, in fast mode: `for i, j { t[i, j] = s * a[i, j] }` in front of a product that reads `t` is a
//! pass over a whole matrix, which exists only to be multiplied. The product takes `a` and the factor `s` instead, so sums
//! are multiplied rather than every number of the matrix: another rounding, which strict mode does not allow.
//!
//! ## Where
//! - The loops write all that the product reads of `t`, nothing else, and compute nothing but that.
//! - `t` is memory of the kernel's own that nobody else reads or writes.
//! - What runs between the loops and the product writes only such memory, and not `a`.

use hashbrown::{HashMap, HashSet};

use crate::scalar::{BinaryOp, DType};

use super::linear::Linear;
use super::{BufferId, BufferKind, Kernel, LibraryId, Literal, Op, Stmt, ValueId, VarId};

/// Where a product's arguments are: counts of rows, columns and summands; then each matrix by address, distance of rows and
/// distance of columns; then the factor's bits in two arguments, and whether it counts.
pub mod arguments {
    /// Rows of the left and of the result.
    pub const ROWS: usize = 0;
    /// Columns of the right and of the result.
    pub const COLUMNS: usize = 1;
    /// Columns of the left, rows of the right.
    pub const SUMMANDS: usize = 2;
    /// The left matrix.
    pub const LEFT: usize = 3;
    /// The right matrix.
    pub const RIGHT: usize = 6;
    /// The result.
    pub const RESULT: usize = 9;
    /// The factor's bits.
    pub const FACTOR: usize = 12;
    /// Whether there is a factor.
    pub const HAS_FACTOR: usize = 14;
    /// The bits of the addend's factor, then the addend; if there is one.
    pub const ADDEND: usize = 15;
}

/// Folds scaled matrices into their products, everywhere in a kernel.
pub fn fold(kernel: &mut Kernel) {
    let is_product =
        |stmt: &Stmt| matches!(stmt, Stmt::Call(library, _) if kernel.libraries[*library].class == "MatMul");
    if !Stmt::all(&kernel.body).any(is_product)
        || kernel.buffers.values().any(|b| b.kind == BufferKind::Anywhere)
    {
        return;
    }
    let mut body = std::mem::take(&mut kernel.body);
    let mut facts = Facts::of(&body);
    let mut folding = Folding { kernel, facts: &mut facts };
    folding.list(&mut body);
    kernel.body = body;
}

/// What is known about the whole kernel.
struct Facts {
    definitions: HashMap<ValueId, Op>,
    /// How often a buffer is stored to and loaded from.
    stores: HashMap<BufferId, usize>,
    loads: HashMap<BufferId, usize>,
    /// Variables that are read.
    read: HashSet<VarId>,
    /// How often a library routine is called.
    calls: HashMap<LibraryId, usize>,
}

impl Facts {
    fn of(body: &[Stmt]) -> Facts {
        let mut facts = Facts {
            definitions: HashMap::new(),
            stores: HashMap::new(),
            loads: HashMap::new(),
            read: HashSet::new(),
            calls: HashMap::new(),
        };
        for stmt in Stmt::all(body) {
            match stmt {
                Stmt::Let(value, op) => {
                    match op {
                        Op::Load { buffer, .. } => *facts.loads.entry(*buffer).or_default() += 1,
                        Op::Get(variable) => drop(facts.read.insert(*variable)),
                        _ => {}
                    }
                    facts.definitions.insert(*value, op.clone());
                }
                Stmt::Store { buffer, .. } => *facts.stores.entry(*buffer).or_default() += 1,
                Stmt::Call(library, _) => *facts.calls.entry(*library).or_default() += 1,
                _ => {}
            }
        }
        facts
    }

    /// A number as a sum of others times constants, seen through the operations that made it.
    fn linear(&self, value: ValueId, depth: usize) -> Linear {
        let atom = || Linear::atom(value);
        if depth == 0 {
            return atom();
        }
        let part = |value: ValueId| self.linear(value, depth - 1);
        match self.definitions.get(&value) {
            Some(Op::Const(literal)) => literal.as_int().map_or_else(atom, Linear::constant),
            Some(&Op::Binary(BinaryOp::Add, a, b)) => part(a).plus(&part(b), 1).unwrap_or_else(atom),
            Some(&Op::Binary(BinaryOp::Sub, a, b)) => part(a).plus(&part(b), -1).unwrap_or_else(atom),
            Some(&Op::Binary(BinaryOp::Mul, a, b)) => {
                let (a, b) = (part(a), part(b));
                let product = match (a.as_constant(), b.as_constant()) {
                    (Some(factor), _) => b.times(factor),
                    (_, Some(factor)) => a.times(factor),
                    _ => None,
                };
                product.unwrap_or_else(atom)
            }
            _ => atom(),
        }
    }

    fn form(&self, value: ValueId) -> Linear {
        self.linear(value, 16)
    }

    fn int(&self, value: ValueId) -> Option<i64> {
        self.form(value).as_constant()
    }

    /// Whether two numbers are the same, as far as sums tell.
    fn same(&self, a: ValueId, b: ValueId) -> bool {
        self.form(a) == self.form(b)
    }

    /// Whether a loop to `stop` has as many iterations as a count says, which is never negative.
    fn counts(&self, stop: ValueId, count: ValueId) -> bool {
        self.same(stop, count)
            || match self.definitions.get(&count) {
                Some(&Op::Binary(BinaryOp::Max, a, b)) => {
                    (self.int(b) == Some(0) && self.same(stop, a))
                        || (self.int(a) == Some(0) && self.same(stop, b))
                }
                _ => false,
            }
    }

    /// Takes a sum apart: the distance along a loop's variable, and the rest.
    fn along(&self, form: &Linear, variable: ValueId) -> Option<(Linear, Linear)> {
        let mut distance = Linear::constant(form.factor(variable));
        let mut rest = form.replace(variable, &Linear::constant(0))?;
        for &(atom, factor) in &form.terms {
            let Some(&Op::Binary(BinaryOp::Mul, a, b)) = self.definitions.get(&atom) else { continue };
            let times = match (a == variable, b == variable) {
                (true, false) => b,
                (false, true) => a,
                _ => continue,
            };
            distance = distance.plus(&self.form(times), factor)?;
            rest = rest.replace(atom, &Linear::constant(0))?;
        }
        Some((distance, rest))
    }
}

/// A loop from zero upwards.
#[derive(Clone, Copy)]
struct Counted {
    variable: ValueId,
    stop: ValueId,
}

/// Loops that write a scaled matrix.
struct Scaling {
    outer: Counted,
    inner: Counted,
    /// What is written.
    to: BufferId,
    /// Address of what is written, and what is added to get to what is read.
    address: Linear,
    offset: Linear,
    from: BufferId,
    factor: ValueId,
    ty: DType,
}

struct Folding<'k> {
    kernel: &'k mut Kernel,
    facts: &'k mut Facts,
}

impl Folding<'_> {
    fn list(&mut self, stmts: &mut Vec<Stmt>) {
        for stmt in stmts.iter_mut() {
            stmt.lists_mut().into_iter().for_each(|list| self.list(list));
        }
        let mut at = 0;
        while at < stmts.len() {
            match self.scaling(&stmts[at]).and_then(|scaling| self.folded(&scaling, stmts, at)) {
                Some((call, replacement)) => {
                    stmts.splice(call..=call, replacement);
                    stmts.remove(at);
                }
                None => at += 1,
            }
        }
    }

    /// The loops that a statement is, if they scale a matrix and do nothing else.
    fn scaling(&self, stmt: &Stmt) -> Option<Scaling> {
        let (outer, mut body) = self.counted(stmt)?;
        let mut inside: HashSet<ValueId> = [outer.variable].into_iter().collect();
        let (mut inner, mut store) = (None, None);
        loop {
            let (within, mut next) = (inner.is_some(), None);
            for stmt in body {
                match stmt {
                    Stmt::Let(value, op) if op.is_pure() || matches!(op, Op::Load { .. }) => {
                        inside.insert(*value);
                    }
                    Stmt::For { .. } if inner.is_none() && next.is_none() => {
                        let (counted, body) = self.counted(stmt)?;
                        inside.insert(counted.variable);
                        inner = Some(counted);
                        next = Some(body);
                    }
                    Stmt::Set(variable, _) if !self.facts.read.contains(variable) => {}
                    Stmt::Store { buffer, address, displacement, value } if within && store.is_none() => {
                        store = Some((*buffer, *address, *displacement, *value));
                    }
                    _ => return None,
                }
            }
            match next {
                Some(list) => body = list,
                None => break,
            }
        }
        let (to, address, displacement, value) = store?;
        let &Op::Binary(BinaryOp::Mul, a, b) = self.facts.definitions.get(&value)? else { return None };
        let loaded = |value: ValueId| match self.facts.definitions.get(&value) {
            Some(&Op::Load { buffer, address, displacement, ty }) if inside.contains(&value) => {
                Some((buffer, address, displacement, ty))
            }
            _ => None,
        };
        let ((from, source, behind, ty), factor) = match (loaded(a), loaded(b)) {
            (Some(load), None) => (load, b),
            (None, Some(load)) => (load, a),
            _ => return None,
        };
        let ours = |buffer: BufferId| {
            matches!(self.kernel.buffers[buffer].kind, BufferKind::Scratch | BufferKind::Planned(_))
        };
        let alone = self.facts.stores.get(&to) == Some(&1) && !self.facts.loads.contains_key(&to);
        if inside.contains(&factor)
            || !matches!(ty, DType::F32 | DType::F64)
            || !ours(to)
            || !alone
            || from == to
        {
            return None;
        }
        let address = self.facts.form(address).plus(&Linear::constant(displacement), 1)?;
        let source = self.facts.form(source).plus(&Linear::constant(behind), 1)?;
        let offset = source.plus(&address, -1)?;
        if offset.terms.iter().any(|(atom, _)| inside.contains(atom)) {
            return None;
        }
        Some(Scaling { outer, inner: inner?, to, address, offset, from, factor, ty })
    }

    fn counted<'s>(&self, stmt: &'s Stmt) -> Option<(Counted, &'s [Stmt])> {
        let Stmt::For { variable, start, stop, step: 1, body, .. } = stmt else { return None };
        (self.facts.int(*start) == Some(0)).then_some((Counted { variable: *variable, stop: *stop }, body))
    }

    /// The product that reads the scaled matrix, by place behind the loops, and what stands for it then.
    fn folded(&mut self, scaling: &Scaling, stmts: &[Stmt], at: usize) -> Option<(usize, Vec<Stmt>)> {
        for (place, stmt) in stmts.iter().enumerate().skip(at + 1) {
            match stmt {
                Stmt::Call(library, arguments)
                    if self.kernel.libraries[*library].reads.contains(&scaling.to) =>
                {
                    return Some((place, self.product(scaling, *library, arguments)?));
                }
                Stmt::Let(..) | Stmt::Check(..) | Stmt::Set(..) | Stmt::Alloc { .. } => {}
                Stmt::For { body, .. } => {
                    let plain = Stmt::all(body).all(|stmt| match stmt {
                        Stmt::Store { buffer, .. } => self.spares(scaling, *buffer),
                        Stmt::Call(..) | Stmt::Exit(_) => false,
                        _ => true,
                    });
                    if !plain {
                        return None;
                    }
                }
                Stmt::Store { buffer, .. } if self.spares(scaling, *buffer) => {}
                Stmt::Call(library, _) => {
                    let writes = &self.kernel.libraries[*library].writes;
                    if !writes.iter().all(|&buffer| self.spares(scaling, buffer)) {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        None
    }

    /// Whether a write to a buffer leaves what is read as it is.
    fn spares(&self, scaling: &Scaling, buffer: BufferId) -> bool {
        let ours = matches!(self.kernel.buffers[buffer].kind, BufferKind::Scratch | BufferKind::Planned(_));
        ours && buffer != scaling.from && buffer != scaling.to
    }

    /// The product of the matrix itself, if the loops write all that the product reads.
    fn product(&mut self, scaling: &Scaling, library: LibraryId, arguments: &[ValueId]) -> Option<Vec<Stmt>> {
        use arguments::{COLUMNS, FACTOR, HAS_FACTOR, LEFT, RIGHT, ROWS, SUMMANDS};
        let call = &self.kernel.libraries[library];
        if call.class != "MatMul" || call.operands.first()?.ty != scaling.ty {
            return None;
        }
        // Nobody else is told of the matrix: only this call, and as one operand only.
        let told = self.kernel.libraries.values().filter(|call| call.reads.contains(&scaling.to)).count();
        let written = self.kernel.libraries.values().any(|call| call.writes.contains(&scaling.to));
        let reads = call.reads.iter().filter(|&&buffer| buffer == scaling.to).count();
        if told != 1 || written || reads != 1 || self.facts.calls.get(&library) != Some(&1) {
            return None;
        }
        let operand = [(LEFT, ROWS, SUMMANDS), (RIGHT, SUMMANDS, COLUMNS)].into_iter().find(
            |&(matrix, rows, columns)| self.covers(scaling, arguments, matrix, rows, columns) == Some(true),
        )?;
        let address = self.facts.form(arguments[operand.0]).plus(&scaling.offset, 1)?;
        let (mut stmts, mut arguments) = (Vec::new(), arguments.to_vec());
        arguments[operand.0] = self.sum(&address, &mut stmts);
        arguments[FACTOR] = match self.facts.int(arguments[HAS_FACTOR])? {
            0 => scaling.factor,
            _ => {
                let bits = self.facts.int(arguments[FACTOR])? as u64;
                let old = self.define(Op::Const(Literal { ty: scaling.ty, bits }), scaling.ty, &mut stmts);
                self.define(Op::Binary(BinaryOp::Mul, old, scaling.factor), scaling.ty, &mut stmts)
            }
        };
        arguments[HAS_FACTOR] = self.define(Op::Const(Literal::i64(1)), DType::I64, &mut stmts);
        let reads = &mut self.kernel.libraries[library].reads;
        reads.iter_mut().filter(|buffer| **buffer == scaling.to).for_each(|buffer| *buffer = scaling.from);
        stmts.push(Stmt::Call(library, arguments));
        self.kernel
            .maps
            .retain(|map| ![scaling.outer.variable, scaling.inner.variable].contains(&map.variable));
        Some(stmts)
    }

    /// Whether the loops write all of an operand of a product.
    fn covers(
        &self,
        scaling: &Scaling,
        arguments: &[ValueId],
        matrix: usize,
        rows: usize,
        columns: usize,
    ) -> Option<bool> {
        let Scaling { outer, inner, .. } = *scaling;
        let base = self.facts.form(*arguments.get(matrix)?);
        let distance = |argument: usize| Some(self.facts.form(*arguments.get(argument)?));
        for (row, column) in [(outer, inner), (inner, outer)] {
            let (down, rest) = self.facts.along(&scaling.address, row.variable)?;
            let (across, rest) = self.facts.along(&rest, column.variable)?;
            let all = rest == base
                && down == distance(matrix + 1)?
                && across == distance(matrix + 2)?
                && self.facts.counts(row.stop, arguments[rows])
                && self.facts.counts(column.stop, arguments[columns]);
            if all {
                return Some(true);
            }
        }
        Some(false)
    }

    fn define(&mut self, op: Op, ty: DType, stmts: &mut Vec<Stmt>) -> ValueId {
        let value = self.kernel.values.push(ty);
        self.facts.definitions.insert(value, op.clone());
        stmts.push(Stmt::Let(value, op));
        value
    }

    /// The value of a sum.
    fn sum(&mut self, form: &Linear, stmts: &mut Vec<Stmt>) -> ValueId {
        let mut total = self.define(Op::Const(Literal::i64(form.constant)), DType::I64, stmts);
        for &(atom, factor) in &form.terms {
            let factor = self.define(Op::Const(Literal::i64(factor)), DType::I64, stmts);
            let term = self.define(Op::Binary(BinaryOp::Mul, atom, factor), DType::I64, stmts);
            total = self.define(Op::Binary(BinaryOp::Add, total, term), DType::I64, stmts);
        }
        total
    }
}
