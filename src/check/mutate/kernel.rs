//! Wrong lowering on purpose: mistakes planted in kernels.
//!
//! What lowering, hoisting and code generation get wrong in a compiler's life: an address one element off, a loop that
//! ends early, a store that is lost, an accumulator that is not, a value that passes through a narrower type, memory
//! that is not cleared, a load moved over a store. A mutated kernel runs on the evaluator
//! ([`evaluated`](crate::check::evaluated)), where the differential suite has to notice it.

use crate::entity::Arena;
use crate::kernel::{BufferId, BufferKind, Kernel, Literal, Op, Stmt, ValueId};
use crate::scalar::{BinaryOp, DType, Func};

use super::Site;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[expect(missing_docs, reason = "the names say it; `Kind::describe` in words")]
pub enum Kind {
    LoadOneFurther,
    LoadOneEarlier,
    StoreOneFurther,
    StoreOneEarlier,
    DropStore,
    DropSet,
    DropZero,
    LoopStartsLate,
    LoopEndsEarly,
    LoopDoubleStep,
    SwapBranches,
    DropExit,
    SwapOperands,
    PlusToMinus,
    TimesToPlus,
    MinToMax,
    LessToLessOrEqual,
    SwapChoices,
    OtherFunction,
    ThroughNarrow,
    WrongSign,
    OtherBuffer,
    LoadBeforeStore,
}

/// A mistake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Mutant {
    /// What.
    pub kind: Kind,
    /// Where.
    pub site: Site,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 23] = [
        Kind::LoadOneFurther,
        Kind::LoadOneEarlier,
        Kind::StoreOneFurther,
        Kind::StoreOneEarlier,
        Kind::DropStore,
        Kind::DropSet,
        Kind::DropZero,
        Kind::LoopStartsLate,
        Kind::LoopEndsEarly,
        Kind::LoopDoubleStep,
        Kind::SwapBranches,
        Kind::DropExit,
        Kind::SwapOperands,
        Kind::PlusToMinus,
        Kind::TimesToPlus,
        Kind::MinToMax,
        Kind::LessToLessOrEqual,
        Kind::SwapChoices,
        Kind::OtherFunction,
        Kind::ThroughNarrow,
        Kind::WrongSign,
        Kind::OtherBuffer,
        Kind::LoadBeforeStore,
    ];

    /// The mistake in words.
    pub const fn describe(self) -> &'static str {
        match self {
            Kind::LoadOneFurther => "a load reads one element further on",
            Kind::LoadOneEarlier => "a load reads one element earlier",
            Kind::StoreOneFurther => "a store writes one element further on",
            Kind::StoreOneEarlier => "a store writes one element earlier",
            Kind::DropStore => "a store is lost",
            Kind::DropSet => "a variable keeps its old value",
            Kind::DropZero => "memory is not cleared",
            Kind::LoopStartsLate => "a loop starts one iteration late",
            Kind::LoopEndsEarly => "a loop ends one iteration early",
            Kind::LoopDoubleStep => "a loop takes every second iteration",
            Kind::SwapBranches => "two branches are swapped",
            Kind::DropExit => "a block is not left",
            Kind::SwapOperands => "two operands are swapped",
            Kind::PlusToMinus => "a sum becomes a difference",
            Kind::TimesToPlus => "a product becomes a sum",
            Kind::MinToMax => "a minimum becomes a maximum",
            Kind::LessToLessOrEqual => "`<` becomes `<=`",
            Kind::SwapChoices => "a choice takes the other value",
            Kind::OtherFunction => "another function is called",
            Kind::ThroughNarrow => "a value passes through a narrower type",
            Kind::WrongSign => "an integer is widened without its sign",
            Kind::OtherBuffer => "one array is taken for another",
            Kind::LoadBeforeStore => "a load moves in front of a store",
        }
    }
}

impl Mutant {
    /// Every kind at its first, its last, and every place.
    pub fn all() -> Vec<Mutant> {
        let sites = [Site::Every, Site::First, Site::Last];
        Kind::ALL.iter().flat_map(|&kind| sites.map(|site| Mutant { kind, site })).collect()
    }

    /// Plants the mistake; says whether the pattern was found.
    pub fn apply(self, kernel: &mut Kernel) -> bool {
        let wanted = match self.site {
            Site::Every => Wanted::Every,
            Site::First => Wanted::Number(0),
            // Nested graphs are inlined, so there is no such place.
            Site::Nested => return false,
            Site::Last => match planted(kernel, self.kind, Wanted::Nothing).checked_sub(1) {
                Some(last) => Wanted::Number(last),
                None => return false,
            },
        };
        planted(kernel, self.kind, wanted) > 0
    }
}

impl std::fmt::Display for Mutant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "kernel {:?}@{:?}", self.kind, self.site)
    }
}

/// Which of the places that are found.
#[derive(Clone, Copy)]
enum Wanted {
    Nothing,
    Every,
    Number(usize),
}

/// Walks a kernel and changes the places that are wanted; how many there are.
fn planted(kernel: &mut Kernel, kind: Kind, wanted: Wanted) -> usize {
    let arguments = kernel
        .buffers
        .iter()
        .filter(|(_, buffer)| matches!(buffer.kind, BufferKind::Argument(_)))
        .map(|(id, _)| id)
        .collect();
    let mut planter = Planter { values: &mut kernel.values, arguments, kind, wanted, found: 0 };
    let body = std::mem::take(&mut kernel.body);
    kernel.body = planter.list(body);
    planter.found
}

struct Planter<'k> {
    values: &'k mut Arena<ValueId, DType>,
    arguments: Vec<BufferId>,
    kind: Kind,
    wanted: Wanted,
    found: usize,
}

impl Planter<'_> {
    /// Counts a place; says whether it is wanted.
    fn hit(&mut self) -> bool {
        let number = self.found;
        self.found += 1;
        match self.wanted {
            Wanted::Nothing => false,
            Wanted::Every => true,
            Wanted::Number(wanted) => wanted == number,
        }
    }

    /// A list, changed from the inside out. Lowering bounds how deep lists nest.
    fn list(&mut self, list: Vec<Stmt>) -> Vec<Stmt> {
        let mut out = Vec::with_capacity(list.len());
        for mut stmt in list {
            stmt.lists_mut().into_iter().for_each(|list| self.inside(list));
            self.stmt(stmt, &mut out);
        }
        if self.kind == Kind::LoadBeforeStore {
            self.move_loads(&mut out);
        }
        out
    }

    fn inside(&mut self, list: &mut Vec<Stmt>) {
        let taken = std::mem::take(list);
        *list = self.list(taken);
    }

    fn stmt(&mut self, mut stmt: Stmt, out: &mut Vec<Stmt>) {
        if let Stmt::Let(value, op) = &stmt
            && !matches!(self.kind, Kind::LoadOneFurther | Kind::LoadOneEarlier)
        {
            return self.define(*value, op.clone(), out);
        }
        if is_place(&stmt, self.kind) && self.hit() {
            let lost = matches!(self.kind, Kind::DropStore | Kind::DropSet | Kind::DropExit);
            if lost {
                return;
            }
            self.change(&mut stmt, out);
        }
        out.push(stmt);
    }

    /// Makes the mistake in a statement that [`is_place`].
    fn change(&mut self, stmt: &mut Stmt, out: &mut Vec<Stmt>) {
        let further = matches!(self.kind, Kind::LoadOneFurther | Kind::StoreOneFurther);
        let by = |bytes: usize| if further { bytes as i64 } else { -(bytes as i64) };
        match stmt {
            Stmt::Let(_, Op::Load { displacement, ty, .. }) => *displacement += by(ty.bytes()),
            Stmt::Store { displacement, value, .. } => {
                *displacement += by(self.values.get(*value).map_or(8, |ty| ty.bytes()));
            }
            Stmt::Alloc { zero, .. } => *zero = false,
            Stmt::For { start, stop, step, .. } => match self.kind {
                Kind::LoopDoubleStep => *step *= 2,
                Kind::LoopStartsLate => *start = self.moved(*start, *step, out),
                _ => *stop = self.moved(*stop, -*step, out),
            },
            Stmt::If { then, otherwise, .. } => std::mem::swap(then, otherwise),
            _ => {}
        }
    }

    /// A value `by` further on.
    fn moved(&mut self, value: ValueId, by: i64, out: &mut Vec<Stmt>) -> ValueId {
        let by = self.fresh(DType::I64, Op::Const(Literal::i64(by)), out);
        self.fresh(DType::I64, Op::Binary(BinaryOp::Add, value, by), out)
    }

    fn fresh(&mut self, ty: DType, op: Op, out: &mut Vec<Stmt>) -> ValueId {
        let value = self.values.push(ty);
        out.push(Stmt::Let(value, op));
        value
    }

    /// Mistakes in what a value is.
    fn define(&mut self, value: ValueId, op: Op, out: &mut Vec<Stmt>) {
        let ty = self.values.get(value).copied().unwrap_or(DType::I64);
        let changed = match (&op, self.kind) {
            (&Op::Binary(op, a, b), kind) => other_operation(op, kind, a != b)
                .map(|(op, swap)| if swap { Op::Binary(op, b, a) } else { Op::Binary(op, a, b) }),
            (&Op::Select(condition, a, b), Kind::SwapChoices) if a != b => Some(Op::Select(condition, b, a)),
            (Op::Math(func, operands), Kind::OtherFunction) => {
                other_function(*func).map(|func| Op::Math(func, operands.clone()))
            }
            (Op::Base(buffer), Kind::OtherBuffer) => {
                let at = self.arguments.iter().position(|argument| argument == buffer);
                let next = at.and_then(|at| self.arguments.get((at + 1) % self.arguments.len()));
                next.filter(|next| *next != buffer).map(|&next| Op::Base(next))
            }
            _ => None,
        };
        if let Some(changed) = changed {
            let op = if self.hit() { changed } else { op };
            out.push(Stmt::Let(value, op));
            return;
        }
        let through = match (&op, self.kind, ty) {
            (Op::Binary(..) | Op::Math(..), Kind::ThroughNarrow, DType::F64) => Some(DType::F32),
            (Op::Binary(..) | Op::Math(..), Kind::ThroughNarrow, DType::F32) => Some(DType::F16),
            (Op::Cast(to, from), Kind::WrongSign, _) if to.is_integral() => self
                .values
                .get(*from)
                .and_then(|&from| unsigned(from))
                .filter(|from| from.bytes() < to.bytes()),
            _ => None,
        };
        match through {
            Some(between) if self.hit() => {
                let source = match op {
                    Op::Cast(_, from) => from,
                    op => self.fresh(ty, op, out),
                };
                let between = self.fresh(between, Op::Cast(between, source), out);
                out.push(Stmt::Let(value, Op::Cast(ty, between)));
            }
            _ => out.push(Stmt::Let(value, op)),
        }
    }

    /// Moves the first load behind a store to the same buffer in front of it, where the address is known there.
    fn move_loads(&mut self, list: &mut Vec<Stmt>) {
        let mut at = 0;
        while at < list.len() {
            if let Stmt::Store { buffer, .. } = list[at] {
                let mut defined: Vec<ValueId> = Vec::new();
                let mut load = None;
                for (later, stmt) in list.iter().enumerate().skip(at + 1) {
                    match stmt {
                        Stmt::Let(_, Op::Load { buffer: read, address, .. })
                            if *read == buffer && !defined.contains(address) =>
                        {
                            load = Some(later);
                            break;
                        }
                        Stmt::Let(value, _) => defined.push(*value),
                        Stmt::Store { .. } | Stmt::Set(..) => {}
                        _ => break,
                    }
                }
                if let Some(later) = load
                    && self.hit()
                {
                    let load = list.remove(later);
                    list.insert(at, load);
                    at += 1;
                }
            }
            at += 1;
        }
    }
}

/// Whether a statement is where a mistake in a statement can be made.
fn is_place(stmt: &Stmt, kind: Kind) -> bool {
    match stmt {
        Stmt::Let(_, Op::Load { .. }) => matches!(kind, Kind::LoadOneFurther | Kind::LoadOneEarlier),
        Stmt::Store { .. } => {
            matches!(kind, Kind::StoreOneFurther | Kind::StoreOneEarlier | Kind::DropStore)
        }
        Stmt::Set(..) => kind == Kind::DropSet,
        Stmt::Exit(_) => kind == Kind::DropExit,
        Stmt::Alloc { zero, .. } => *zero && kind == Kind::DropZero,
        Stmt::For { .. } => {
            matches!(kind, Kind::LoopDoubleStep | Kind::LoopStartsLate | Kind::LoopEndsEarly)
        }
        Stmt::If { .. } => kind == Kind::SwapBranches,
        _ => false,
    }
}

/// Another operation, and whether operands are swapped.
fn other_operation(op: BinaryOp, kind: Kind, distinct: bool) -> Option<(BinaryOp, bool)> {
    use BinaryOp::{Add, Div, FloorDiv, Ge, Gt, Le, Lt, Max, Min, Mod, Mul, Rem, Sub};
    Some(match (kind, op) {
        (Kind::SwapOperands, Sub | Div | FloorDiv | Rem | Mod | Lt | Le | Gt | Ge) if distinct => (op, true),
        (Kind::PlusToMinus, Add) => (Sub, false),
        (Kind::TimesToPlus, Mul) => (Add, false),
        (Kind::MinToMax, Min) => (Max, false),
        (Kind::LessToLessOrEqual, Lt) => (Le, false),
        _ => return None,
    })
}

fn other_function(func: Func) -> Option<Func> {
    Some(match func {
        Func::Sin => Func::Cos,
        Func::Cos => Func::Sin,
        Func::Exp => Func::Exp2,
        Func::Log => Func::Log2,
        Func::Floor => Func::Ceil,
        Func::Ceil => Func::Floor,
        Func::Tanh => Func::Sinh,
        Func::Round => Func::Trunc,
        Func::Abs => Func::Sign,
        _ => return None,
    })
}

/// The unsigned type of the same width.
fn unsigned(ty: DType) -> Option<DType> {
    Some(match ty {
        DType::I8 => DType::U8,
        DType::I16 => DType::U16,
        DType::I32 => DType::U32,
        _ => return None,
    })
}
