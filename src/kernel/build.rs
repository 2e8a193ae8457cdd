//! Builds kernels: every pure value is placed in the outermost statement list where its operands exist,
//! and built once per list. So address arithmetic leaves loops without a pass that moves it.

mod choice;
mod narrow;

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};

use crate::scalar::{BinaryOp, DType, UnaryOp};

use super::linear::Linear;
use super::{
    BufferDecl, BufferId, BufferKind, Kernel, LabelId, Literal, Op, Parameter, Stmt, TrapId, TrapInfo,
    ValueId, VarId, Variable,
};

/// A kernel under construction, with its stack of open statement lists.
pub struct Builder {
    /// What has been built; `body` is filled in by [`Builder::finish`].
    pub kernel: Kernel,
    frames: Vec<Frame>,
    /// Per value: the depth of the list that defines it, and the literal it is.
    facts: Vec<Fact>,
}

#[derive(Default)]
struct Frame {
    stmts: Vec<Stmt>,
    known: HashMap<Op, ValueId>,
    /// Conditions that were checked in this list.
    checked: HashSet<ValueId>,
    /// The loop whose body this list is, if everything in it runs once per iteration.
    around: Option<LoopFacts>,
    /// Entered once from the list around it, so that what variables held there still holds.
    continues: bool,
    /// What variables hold at the present end of the list.
    held: HashMap<VarId, ValueId>,
}

#[derive(Clone, Default)]
struct Fact {
    depth: usize,
    literal: Option<Literal>,
    linear: Option<Rc<Linear>>,
    /// An `int64` that comes from a type of 32 bits or fewer.
    small: bool,
    /// The `int64` that this `int32` is without loss.
    whole: Option<ValueId>,
    made: Option<Made>,
}

/// How a value was made, as far as later ones look.
#[derive(Clone, Copy)]
enum Made {
    Binary(BinaryOp, ValueId, ValueId),
    Cast(ValueId),
}

/// What bounds reasoning knows about a loop that is being built.
#[derive(Clone, Copy, Debug)]
pub struct LoopFacts {
    /// Its variable.
    pub variable: ValueId,
    /// Its smallest value, if the loop is not empty.
    pub lowest: ValueId,
    /// Its largest value, if the loop is not empty.
    pub highest: ValueId,
    /// Bool: it has no iterations.
    pub empty: ValueId,
}

impl Builder {
    /// An empty kernel with one open list.
    pub fn new(name: &str) -> Builder {
        let kernel = Kernel { name: name.to_owned(), ..Kernel::default() };
        Builder { kernel, frames: vec![Frame::default()], facts: Vec::new() }
    }

    /// The finished kernel. Lists that are still open are closed into the outermost one.
    pub fn finish(mut self) -> Kernel {
        while self.frames.len() > 1 {
            let stmts = self.close();
            self.top().stmts.extend(stmts);
        }
        self.kernel.body = self.close();
        self.kernel
    }

    /// How many lists are open; a value of depth `d` is visible in lists deeper than `d`.
    pub fn depth(&self) -> usize {
        self.frames.len() - 1
    }

    /// Whether what is built now may run several times.
    pub fn repeats(&self) -> bool {
        self.frames.iter().skip(1).any(|frame| !frame.continues)
    }

    /// Opens a nested list that may be entered several times.
    pub fn open(&mut self) {
        self.frames.push(Frame::default());
    }

    /// Opens a branch or block: a nested list that is entered at most once each time the list around it comes to it.
    pub fn open_branch(&mut self) {
        self.frames.push(Frame { continues: true, ..Frame::default() });
    }

    /// Sets a variable.
    pub fn set(&mut self, variable: VarId, value: ValueId) {
        for frame in &mut self.frames {
            frame.held.remove(&variable);
        }
        let top = self.top();
        top.held.insert(variable, value);
        top.stmts.push(Stmt::Set(variable, value));
    }

    /// The content of a variable, read now.
    pub fn get(&mut self, variable: VarId) -> ValueId {
        for frame in self.frames.iter().rev() {
            if let Some(&value) = frame.held.get(&variable) {
                return value;
            }
            if !frame.continues {
                break;
            }
        }
        let ty = self.kernel.variables[variable].ty;
        let depth = self.depth();
        let value = self.value_at(Op::Get(variable), ty, depth);
        self.top().held.insert(variable, value);
        value
    }

    /// Opens the body of a loop.
    pub fn open_loop(&mut self, facts: LoopFacts) {
        self.frames.push(Frame { around: Some(facts), ..Frame::default() });
    }

    /// The loop whose body the list at `depth` is.
    pub fn loop_at(&self, depth: usize) -> Option<LoopFacts> {
        self.frames.get(depth).and_then(|frame| frame.around)
    }

    /// Notes that a condition is checked in the list at `depth`; false if it was already, there or around it.
    pub fn note_check(&mut self, condition: ValueId, depth: usize) -> bool {
        let depth = depth.min(self.depth());
        if self.frames[..=depth].iter().any(|frame| frame.checked.contains(&condition)) {
            return false;
        }
        self.frames[depth].checked.insert(condition)
    }

    /// Appends a statement to the open list at `depth`.
    pub fn push_at(&mut self, stmt: Stmt, depth: usize) {
        let depth = depth.min(self.depth());
        self.frames[depth].stmts.push(stmt);
    }

    /// The value as a sum of other values times constants.
    pub fn linear(&self, value: ValueId) -> Linear {
        match &self.facts[value.0 as usize] {
            Fact { linear: Some(linear), .. } => (**linear).clone(),
            Fact { literal: Some(literal), .. } => Linear::constant(literal.as_int().unwrap_or(0)),
            _ => Linear::atom(value),
        }
    }

    /// Closes the innermost list and hands over its statements.
    pub fn close(&mut self) -> Vec<Stmt> {
        self.frames.pop().unwrap_or_default().stmts
    }

    /// Appends a statement to the innermost list.
    pub fn push(&mut self, stmt: Stmt) {
        self.top().stmts.push(stmt);
    }

    fn top(&mut self) -> &mut Frame {
        if self.frames.is_empty() {
            self.frames.push(Frame::default());
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last]
    }

    /// A value that a statement at `depth` defines (loop variables, parameters).
    pub fn new_value(&mut self, ty: DType, depth: usize) -> ValueId {
        self.facts.push(Fact { depth, ..Fact::default() });
        self.kernel.values.push(ty)
    }

    /// The type of a value.
    pub fn ty(&self, value: ValueId) -> DType {
        self.kernel.values[value]
    }

    /// The depth of the list that defines a value.
    pub fn depth_of(&self, value: ValueId) -> usize {
        self.facts[value.0 as usize].depth
    }

    /// The literal a value is.
    pub fn literal(&self, value: ValueId) -> Option<Literal> {
        self.facts[value.0 as usize].literal
    }

    fn made(&self, value: ValueId) -> Option<Made> {
        self.facts[value.0 as usize].made
    }

    /// The integer a value is.
    pub fn as_int(&self, value: ValueId) -> Option<i64> {
        self.literal(value).and_then(Literal::as_int)
    }

    /// A value the caller passes.
    pub fn parameter(&mut self, name: &str, ty: DType) -> ValueId {
        let value = self.new_value(ty, 0);
        self.kernel.parameters.push(Parameter { name: name.to_owned(), value });
        value
    }

    /// A new variable.
    pub fn variable(&mut self, name: &str, ty: DType) -> VarId {
        self.kernel.variables.push(Variable { name: name.to_owned(), ty })
    }

    /// A new label.
    pub fn label(&mut self) -> LabelId {
        self.kernel.labels += 1;
        LabelId(self.kernel.labels - 1)
    }

    /// A new buffer.
    pub fn buffer(&mut self, name: &str, kind: BufferKind) -> BufferId {
        self.kernel.buffers.push(BufferDecl { name: name.to_owned(), kind })
    }

    /// A reason to stop.
    pub fn trap(&mut self, info: TrapInfo) -> TrapId {
        self.kernel.traps.push(info)
    }

    /// The value of `op`: pure ones are shared and hoisted, others are computed now.
    pub fn value(&mut self, op: Op, ty: DType) -> ValueId {
        if !op.is_pure() {
            return self.value_at(op, ty, self.depth());
        }
        let mut depth = 0;
        op.each_operand(|operand| depth = depth.max(self.facts[operand.0 as usize].depth));
        let depth = depth.min(self.depth());
        if let Some(&value) = self.frames[depth].known.get(&op) {
            return value;
        }
        let literal = if let Op::Const(literal) = op { Some(literal) } else { None };
        let linear = if ty == DType::I64 { self.linear_of(&op).map(Rc::new) } else { None };
        let made = match op {
            Op::Binary(op, a, b) => Some(Made::Binary(op, a, b)),
            Op::Cast(_, a) => Some(Made::Cast(a)),
            _ => None,
        };
        self.facts.push(Fact { depth, literal, linear, made, ..Fact::default() });
        let value = self.kernel.values.push(ty);
        self.frames[depth].known.insert(op.clone(), value);
        self.frames[depth].stmts.push(Stmt::Let(value, op));
        value
    }

    fn linear_of(&self, op: &Op) -> Option<Linear> {
        let Op::Binary(op, a, b) = *op else { return None };
        let (a, b) = (self.linear(a), self.linear(b));
        match op {
            BinaryOp::Add => a.plus(&b, 1),
            BinaryOp::Sub => a.plus(&b, -1),
            BinaryOp::Mul => match (a.as_constant(), b.as_constant()) {
                (Some(factor), _) => b.times(factor),
                (_, Some(factor)) => a.times(factor),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value of a sum of values times constants.
    pub fn from_linear(&mut self, linear: &Linear) -> ValueId {
        let mut terms = Vec::with_capacity(linear.terms.len() + 1);
        for &(atom, factor) in &linear.terms {
            let factor = self.int(factor);
            terms.push(self.mul(atom, factor));
        }
        let total = self.sum(terms);
        let constant = self.int(linear.constant);
        self.add(total, constant)
    }

    /// The value of `op`, computed at the present end of the open list at `depth`.
    pub fn value_at(&mut self, op: Op, ty: DType, depth: usize) -> ValueId {
        let depth = depth.min(self.depth());
        self.facts.push(Fact { depth, ..Fact::default() });
        let value = self.kernel.values.push(ty);
        self.frames[depth].stmts.push(Stmt::Let(value, op));
        value
    }

    /// Allocates a buffer in the innermost list and gives its address.
    pub fn alloc(&mut self, buffer: BufferId, bytes: ValueId, zero: bool, trap: TrapId) -> ValueId {
        self.push(Stmt::Alloc { buffer, bytes, zero, trap });
        let depth = self.depth();
        self.value_at(Op::Base(buffer), DType::I64, depth)
    }

    /// A literal.
    pub fn constant(&mut self, literal: Literal) -> ValueId {
        self.value(Op::Const(literal), literal.ty)
    }

    /// A 64-bit integer.
    pub fn int(&mut self, value: i64) -> ValueId {
        self.constant(Literal::i64(value))
    }

    /// A bool.
    pub fn bool(&mut self, value: bool) -> ValueId {
        self.constant(Literal { ty: DType::Bool, bits: u64::from(value) })
    }

    /// A binary operation. Sums, differences, products and comparisons of 64-bit integer literals are folded.
    pub fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> ValueId {
        let ty = self.ty(a);
        if ty == DType::I64
            && let Some(folded) = self.fold(op, a, b)
        {
            return folded;
        }
        if ty.is_integral()
            && let Some(narrowed) = self.narrow_binary(op, a, b)
        {
            return narrowed;
        }
        let result = if op.is_comparison() { DType::Bool } else { ty };
        self.value(Op::Binary(op, a, b), result)
    }

    fn fold(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> Option<ValueId> {
        match (op, self.as_int(a), self.as_int(b)) {
            (BinaryOp::Add, Some(x), Some(y)) => Some(self.int(x.wrapping_add(y))),
            (BinaryOp::Sub, Some(x), Some(y)) => Some(self.int(x.wrapping_sub(y))),
            (BinaryOp::Mul, Some(x), Some(y)) => Some(self.int(x.wrapping_mul(y))),
            (BinaryOp::Min, Some(x), Some(y)) => Some(self.int(x.min(y))),
            (BinaryOp::Max, Some(x), Some(y)) => Some(self.int(x.max(y))),
            (BinaryOp::Le, Some(x), Some(y)) => Some(self.bool(x <= y)),
            (BinaryOp::Lt, Some(x), Some(y)) => Some(self.bool(x < y)),
            (BinaryOp::Ge, Some(x), Some(y)) => Some(self.bool(x >= y)),
            (BinaryOp::Gt, Some(x), Some(y)) => Some(self.bool(x > y)),
            (BinaryOp::Eq, Some(x), Some(y)) => Some(self.bool(x == y)),
            (BinaryOp::Add, Some(0), None) => Some(b),
            (BinaryOp::Add | BinaryOp::Sub, None, Some(0)) => Some(a),
            (BinaryOp::Mul, Some(1), None) => Some(b),
            (BinaryOp::Mul, None, Some(1)) => Some(a),
            (BinaryOp::Mul, Some(0), None) | (BinaryOp::Mul, None, Some(0)) => Some(self.int(0)),
            _ => None,
        }
    }

    /// `a + b` of 64-bit integers.
    pub fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(BinaryOp::Add, a, b)
    }

    /// `a - b` of 64-bit integers.
    pub fn sub(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(BinaryOp::Sub, a, b)
    }

    /// `a * b` of 64-bit integers.
    pub fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.binary(BinaryOp::Mul, a, b)
    }

    /// Both bools hold.
    pub fn and(&mut self, a: ValueId, b: ValueId) -> ValueId {
        match (self.as_int(a), self.as_int(b)) {
            (Some(0), _) | (_, Some(1)) => a,
            (_, Some(0)) | (Some(1), _) => b,
            _ => self.binary(BinaryOp::BitAnd, a, b),
        }
    }

    /// Either bool holds.
    pub fn or(&mut self, a: ValueId, b: ValueId) -> ValueId {
        match (self.as_int(a), self.as_int(b)) {
            (Some(0), _) | (_, Some(1)) => b,
            (_, Some(0)) | (Some(1), _) => a,
            _ => self.binary(BinaryOp::BitOr, a, b),
        }
    }

    /// The bool does not hold.
    pub fn not(&mut self, a: ValueId) -> ValueId {
        match self.as_int(a) {
            Some(value) => self.bool(value == 0),
            None => self.value(Op::Unary(UnaryOp::Not, a), DType::Bool),
        }
    }

    /// `condition ? a : b`.
    pub fn select(&mut self, condition: ValueId, a: ValueId, b: ValueId) -> ValueId {
        let ty = self.ty(a);
        match self.as_int(condition) {
            _ if a == b => a,
            Some(0) => b,
            Some(_) => a,
            None => self.value(Op::Select(condition, a, b), ty),
        }
    }

    /// The value as another type.
    pub fn cast(&mut self, ty: DType, value: ValueId) -> ValueId {
        let from = self.ty(value);
        if from == ty {
            return value;
        }
        if let (true, true, Some(int)) = (from.is_integral(), ty.is_integral(), self.as_int(value)) {
            return self.constant(integer_literal(ty, int));
        }
        if let (DType::I64, Some(whole)) = (ty, self.facts[value.0 as usize].whole) {
            return whole;
        }
        if let Some(narrowed) = self.narrow_cast(ty, value) {
            return narrowed;
        }
        let result = self.value(Op::Cast(ty, value), ty);
        let small = matches!(from, DType::I8 | DType::I16 | DType::I32 | DType::U8 | DType::U16);
        let fits = ty == DType::I32 && self.fits_int32(value);
        let fact = &mut self.facts[result.0 as usize];
        fact.small = ty == DType::I64 && small;
        fact.whole = fits.then_some(value);
        result
    }

    /// Whether an `int64` is the variable of an open loop between bounds that are `int32`.
    fn fits_int32(&self, value: ValueId) -> bool {
        let mut open = self.frames.iter().filter_map(|frame| frame.around);
        let Some(around) = open.find(|around| around.variable == value) else { return false };
        let inside = |bound: ValueId, sign: i64| {
            let linear = self.linear(bound);
            match linear.terms[..] {
                [] => i32::try_from(linear.constant).is_ok(),
                [(atom, 1)] => self.facts[atom.0 as usize].small && linear.constant.signum() != sign,
                _ => false,
            }
        };
        inside(around.lowest, -1) && inside(around.highest, 1)
    }

    /// The sum of 64-bit integers, those that are known earliest first, so that partial sums leave loops.
    pub fn sum(&mut self, mut terms: Vec<ValueId>) -> ValueId {
        terms.sort_by_key(|&term| (self.depth_of(term), term));
        let mut total = self.int(0);
        for term in terms {
            total = self.add(total, term);
        }
        total
    }

    /// Stops the kernel unless `condition` holds; nothing if it is known to hold.
    pub fn check(&mut self, condition: ValueId, trap: TrapId) {
        if self.as_int(condition) != Some(1) {
            self.push(Stmt::Check(condition, trap));
        }
    }
}

/// An integer converted to an integral type, C's way (modulo the width; bools are "not zero").
pub fn integer_literal(ty: DType, value: i64) -> Literal {
    let bits = match ty {
        DType::Bool => u64::from(value != 0),
        _ if ty.bytes() >= 8 => value as u64,
        _ => (value as u64) & ((1 << (8 * ty.bytes())) - 1),
    };
    Literal { ty, bits }
}
