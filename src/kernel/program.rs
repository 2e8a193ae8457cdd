//! The data structure; see the module above for what it means.

use half::{bf16, f16};
use hashbrown::HashMap;
use serde_json::Map;
use smallvec::{SmallVec, smallvec};

use crate::entity::{Arena, Name};
use crate::entity_id;
use crate::scalar::{BinaryOp, DType, Func, Scalar, UnaryOp};
use crate::symbolic::{ExprId, ExprPool};

use super::parallel::{Region, Serial};
use super::queues::Operation;

entity_id! {
    /// A value, defined once.
    ValueId, "v"
}
entity_id! {
/// A mutable variable.
    VarId, "var"
}
entity_id! {
    /// An allocation.
    BufferId, "buf"
}
entity_id! {
    /// A place that [`Stmt::Exit`] can leave to.
    LabelId, "label"
}
entity_id! {
    /// A reason to stop.
    TrapId, "trap"
}
entity_id! {
    /// A library call's description.
    LibraryId, "lib"
}

/// A loop program.
#[derive(Clone, Debug, Default)]
pub struct Kernel {
    /// Its name, for dumps.
    pub name: String,
    /// Type of every value.
    pub values: Arena<ValueId, DType>,
    /// Every variable.
    pub variables: Arena<VarId, Variable>,
    /// Every allocation.
    pub buffers: Arena<BufferId, BufferDecl>,
    /// Values the caller passes, in order.
    pub parameters: Vec<Parameter>,
    /// How many labels there are.
    pub labels: u32,
    /// Why the kernel may stop early.
    pub traps: Arena<TrapId, TrapInfo>,
    /// Library calls.
    pub libraries: Arena<LibraryId, LibraryCall>,
    /// Loops that came from maps, in the program's order.
    pub maps: Vec<MapLoop>,
    /// Loops that may be split between threads, by their variable.
    pub regions: HashMap<ValueId, Region>,
    /// Parallel loops that stay serial.
    pub serial: Vec<Serial>,
    /// The program.
    pub body: Vec<Stmt>,
}

/// A loop that came from a map.
#[derive(Clone, PartialEq, Debug)]
pub struct MapLoop {
    /// Its variable.
    pub variable: ValueId,
    /// The map's parameter.
    pub parameter: String,
    /// Where the map is: graph, state, node.
    pub place: Vec<String>,
}

/// A mutable variable.
#[derive(Clone, PartialEq, Debug)]
pub struct Variable {
    /// For dumps.
    pub name: String,
    /// Its type.
    pub ty: DType,
}

/// A value the caller passes.
#[derive(Clone, PartialEq, Debug)]
pub struct Parameter {
    /// Name of the symbol or scalar container.
    pub name: String,
    /// The value it defines.
    pub value: ValueId,
}

/// An allocation.
#[derive(Clone, PartialEq, Debug)]
pub struct BufferDecl {
    /// Container name, for dumps.
    pub name: String,
    /// Who allocates it.
    pub kind: BufferKind,
}

/// Who allocates a buffer.
#[derive(Clone, PartialEq, Debug)]
pub enum BufferKind {
    /// The caller: the n-th address passed.
    Argument(u32),
    /// A [`Stmt::Alloc`]; freed when the statement list it stands in ends.
    Scratch,
    /// The caller, before the kernel runs: the n-th address of a table, which goes with the number of bytes behind it.
    /// Where an [`Stmt::Alloc`] wants more, it takes them as scratch. The buffer may share bytes with other planned
    /// ones whose [spans](super::scratch) do not meet.
    Planned(u32),
    /// The instance, at the first [`Stmt::Alloc`] that reaches it; content survives between calls.
    /// The number is dense among persistent buffers.
    Persistent(u32),
    /// Fixed bytes that nobody writes.
    Constant(Vec<u8>),
    /// Unknown: reached through addresses that were computed (a reference, a structure member).
    Anywhere,
}

/// Why a kernel stops early.
#[derive(Clone, PartialEq, Debug)]
pub struct TrapInfo {
    /// The kind of fault.
    pub kind: TrapKind,
    /// What failed, in one sentence.
    pub message: String,
    /// Where: state, node, memlet.
    pub place: Vec<String>,
}

/// Kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrapKind {
    /// An index outside its container.
    OutOfRange,
    /// Integer division by zero.
    DivisionByZero,
    /// An allocation of negative or impossible size.
    Allocation,
    /// A container does not fit the memory it is given.
    BadShape,
    /// A map step that is not positive.
    BadStep,
    /// A library routine failed.
    Library,
    /// A pop from an empty stream.
    EmptyStream,
}

/// A call of a routine, a library's or a [queue's](super::queues): what it needs to know beside its arguments. A routine that fails has
/// written nothing.
#[derive(Clone, Debug)]
pub struct LibraryCall {
    /// The last part of the class path: `MatMul`, `Cholesky`, ...
    pub class: String,
    /// Properties of the node.
    pub properties: Map<String, serde_json::Value>,
    /// Operands in the order of the arguments. One takes `1 + 2 * rank` arguments: address, extents, distances
    /// in bytes.
    pub operands: Vec<CallOperand>,
    /// A factor that symbols decide, whose values are the last arguments.
    pub factor: Option<CallFactor>,
    /// Buffers it may read.
    pub reads: Vec<BufferId>,
    /// Buffers it may write.
    pub writes: Vec<BufferId>,
    /// Reported when the routine fails.
    pub trap: TrapId,
}

impl LibraryCall {
    /// Why a loop with this call does not become something faster, in words.
    pub fn why_serial(&self) -> &'static str {
        match Operation::of(&self.class) {
            Some(_) => "it works with a stream",
            None => "it calls a library routine",
        }
    }
}

/// An operand of a library call.
#[derive(Clone, PartialEq, Debug)]
pub struct CallOperand {
    /// The role it has in the routine.
    pub role: String,
    /// Element type.
    pub ty: DType,
    /// How many dimensions it has.
    pub rank: u32,
    /// Whether it is a result.
    pub written: bool,
}

/// A number that is an expression of integer symbols.
#[derive(Clone, Debug)]
pub struct CallFactor {
    /// Where the expression lives.
    pub exprs: ExprPool,
    /// The expression.
    pub expr: ExprId,
    /// Its symbols, in the order of the arguments.
    pub symbols: Vec<Name>,
}

/// A literal of any kernel type, as bits (floats of any width hold their own encoding).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Literal {
    /// Its type.
    pub ty: DType,
    /// Its bits, zero-extended.
    pub bits: u64,
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Op {
    /// A constant.
    Const(Literal),
    /// The current content of a variable.
    Get(VarId),
    /// The address of a buffer.
    Base(BufferId),
    /// An operation on one value.
    Unary(UnaryOp, ValueId),
    /// An operation on two values of one type. Shift counts have the type of the value shifted.
    Binary(BinaryOp, ValueId, ValueId),
    /// Conversion.
    Cast(DType, ValueId),
    /// `condition ? a : b`.
    Select(ValueId, ValueId, ValueId),
    /// A real math function.
    Math(Func, Vec<ValueId>),
    /// The real (false) or imaginary part of a function of complex numbers; operands and result are `float64`,
    /// two operands per complex number.
    Complex(Func, bool, Vec<ValueId>),
    /// Reads memory at `address + displacement`.
    Load {
        /// What is reached.
        buffer: BufferId,
        /// Address.
        address: ValueId,
        /// Bytes added to it.
        displacement: i64,
        /// Element type.
        ty: DType,
    },
}

/// Statements.
#[derive(Clone, PartialEq, Debug)]
pub enum Stmt {
    /// Defines a value.
    Let(ValueId, Op),
    /// Sets a variable.
    Set(VarId, ValueId),
    /// Writes memory.
    Store {
        /// What is reached.
        buffer: BufferId,
        /// Address.
        address: ValueId,
        /// Bytes added to it.
        displacement: i64,
        /// What is written; its type is the element type.
        value: ValueId,
    },
    /// `for variable = start; variable < stop (> for negative steps); variable += step`.
    For {
        /// Defined in the body.
        variable: ValueId,
        /// First value.
        start: ValueId,
        /// Exclusive end.
        stop: ValueId,
        /// Not zero.
        step: i64,
        /// In which order iterations may run.
        order: Order,
        /// Body.
        body: Vec<Stmt>,
    },
    /// Repeats until an exit leaves it.
    Loop(Vec<Stmt>),
    /// Two ways.
    If {
        /// A bool.
        condition: ValueId,
        /// When true.
        then: Vec<Stmt>,
        /// When false.
        otherwise: Vec<Stmt>,
    },
    /// A list that [`Stmt::Exit`] can leave.
    Block(LabelId, Vec<Stmt>),
    /// Continues after the block with that label.
    Exit(LabelId),
    /// Unstructured control flow: starts at the first block.
    Cfg(Vec<CfgBlock>),
    /// Stops the kernel unless the bool holds.
    Check(ValueId, TrapId),
    /// Allocates a scratch or persistent buffer; freed when this statement list ends.
    Alloc {
        /// Which.
        buffer: BufferId,
        /// How many bytes (`int64`; not positive: none).
        bytes: ValueId,
        /// Whether it is cleared.
        zero: bool,
        /// Reported when it is impossible.
        trap: TrapId,
    },
    /// A routine, of a library or of the queues of streams.
    Call(LibraryId, Vec<ValueId>),
}

/// In which order the iterations of a loop may run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// One after the other.
    InTurn,
    /// One after the other, unless somebody shows that they do not depend on each other: the program says nothing, as for maps
    /// inside maps.
    Undecided,
    /// In any order: the program promises that they do not depend on each other.
    Any,
}

impl Order {
    /// Any order, or one after the other.
    pub fn any_if(independent: bool) -> Order {
        if independent { Order::Any } else { Order::InTurn }
    }

    /// Whether another order is worth looking for.
    pub fn may_change(self) -> bool {
        self != Order::InTurn
    }
}

impl Stmt {
    /// The lists that it holds itself.
    pub fn lists(&self) -> SmallVec<[&[Stmt]; 2]> {
        match self {
            Stmt::For { body, .. } | Stmt::Loop(body) | Stmt::Block(_, body) => smallvec![&body[..]],
            Stmt::If { then, otherwise, .. } => smallvec![&then[..], &otherwise[..]],
            Stmt::Cfg(blocks) => blocks.iter().map(|block| &block.body[..]).collect(),
            Stmt::Let(..)
            | Stmt::Set(..)
            | Stmt::Store { .. }
            | Stmt::Exit(_)
            | Stmt::Check(..)
            | Stmt::Alloc { .. }
            | Stmt::Call(..) => SmallVec::new(),
        }
    }

    /// The same lists, to be changed.
    pub fn lists_mut(&mut self) -> SmallVec<[&mut Vec<Stmt>; 2]> {
        match self {
            Stmt::For { body, .. } | Stmt::Loop(body) | Stmt::Block(_, body) => smallvec![body],
            Stmt::If { then, otherwise, .. } => smallvec![then, otherwise],
            Stmt::Cfg(blocks) => blocks.iter_mut().map(|block| &mut block.body).collect(),
            Stmt::Let(..)
            | Stmt::Set(..)
            | Stmt::Store { .. }
            | Stmt::Exit(_)
            | Stmt::Check(..)
            | Stmt::Alloc { .. }
            | Stmt::Call(..) => SmallVec::new(),
        }
    }

    /// The value that it defines, for what follows or for its body.
    pub fn defines(&self) -> Option<ValueId> {
        match self {
            Stmt::Let(value, _) => Some(*value),
            Stmt::For { variable, .. } => Some(*variable),
            _ => None,
        }
    }

    /// The values that it uses itself.
    pub fn each_use(&self, mut f: impl FnMut(ValueId)) {
        match self {
            Stmt::Let(_, op) => op.each_operand(f),
            Stmt::Set(_, value) | Stmt::Check(value, _) => f(*value),
            Stmt::Store { address, value, .. } => [*address, *value].into_iter().for_each(f),
            Stmt::For { start, stop, .. } => [*start, *stop].into_iter().for_each(f),
            Stmt::If { condition, .. } => f(*condition),
            Stmt::Cfg(blocks) => {
                for block in blocks {
                    if let Jump::Branch(condition, ..) = block.jump {
                        f(condition);
                    }
                }
            }
            Stmt::Alloc { bytes, .. } => f(*bytes),
            Stmt::Call(_, arguments) => arguments.iter().copied().for_each(f),
            Stmt::Loop(_) | Stmt::Block(..) | Stmt::Exit(_) => {}
        }
    }

    /// Replaces the values that it uses itself.
    pub fn rename(&mut self, now: &impl Fn(ValueId) -> ValueId) {
        match self {
            Stmt::Let(_, op) => *op = op.with_operands(now),
            Stmt::Set(_, value) | Stmt::Check(value, _) => *value = now(*value),
            Stmt::Store { address, value, .. } => {
                *address = now(*address);
                *value = now(*value);
            }
            Stmt::For { start, stop, .. } => {
                *start = now(*start);
                *stop = now(*stop);
            }
            Stmt::If { condition, .. } => *condition = now(*condition),
            Stmt::Cfg(blocks) => {
                for block in blocks {
                    if let Jump::Branch(condition, ..) = &mut block.jump {
                        *condition = now(*condition);
                    }
                }
            }
            Stmt::Alloc { bytes, .. } => *bytes = now(*bytes),
            Stmt::Call(_, arguments) => arguments.iter_mut().for_each(|argument| *argument = now(*argument)),
            Stmt::Loop(_) | Stmt::Block(..) | Stmt::Exit(_) => {}
        }
    }

    /// The statements of a list at any depth, each before those that it holds.
    pub fn all(list: &[Stmt]) -> impl Iterator<Item = &Stmt> {
        let mut open = vec![list.iter()];
        std::iter::from_fn(move || {
            loop {
                match open.last_mut()?.next() {
                    None => drop(open.pop()),
                    Some(stmt) => {
                        open.extend(stmt.lists().iter().rev().map(|list| list.iter()));
                        return Some(stmt);
                    }
                }
            }
        })
    }
}

/// A block of a [`Stmt::Cfg`].
#[derive(Clone, PartialEq, Debug)]
pub struct CfgBlock {
    /// What it does.
    pub body: Vec<Stmt>,
    /// Where it goes.
    pub jump: Jump,
}

/// How a block of a [`Stmt::Cfg`] ends. Targets are positions in the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Jump {
    /// Leaves the list.
    End,
    /// Continues there.
    To(u32),
    /// One of two blocks.
    Branch(ValueId, u32, u32),
}

impl Op {
    /// Whether the value depends on nothing but the operands.
    pub const fn is_pure(&self) -> bool {
        !matches!(self, Op::Get(_) | Op::Load { .. })
    }

    /// The operation on other operands.
    pub fn with_operands(&self, of: impl Fn(ValueId) -> ValueId) -> Op {
        match self {
            Op::Const(_) | Op::Get(_) | Op::Base(_) => self.clone(),
            Op::Unary(op, a) => Op::Unary(*op, of(*a)),
            Op::Binary(op, a, b) => Op::Binary(*op, of(*a), of(*b)),
            Op::Cast(ty, a) => Op::Cast(*ty, of(*a)),
            Op::Select(a, b, c) => Op::Select(of(*a), of(*b), of(*c)),
            Op::Math(func, operands) => Op::Math(*func, operands.iter().map(|&a| of(a)).collect()),
            Op::Complex(func, imaginary, operands) => {
                Op::Complex(*func, *imaginary, operands.iter().map(|&a| of(a)).collect())
            }
            Op::Load { buffer, address, displacement, ty } => {
                Op::Load { buffer: *buffer, address: of(*address), displacement: *displacement, ty: *ty }
            }
        }
    }

    /// Calls `visit` with each operand.
    pub fn each_operand(&self, mut visit: impl FnMut(ValueId)) {
        match self {
            Op::Const(_) | Op::Get(_) | Op::Base(_) => {}
            Op::Unary(_, a) | Op::Cast(_, a) | Op::Load { address: a, .. } => visit(*a),
            Op::Binary(_, a, b) => {
                visit(*a);
                visit(*b);
            }
            Op::Select(a, b, c) => {
                visit(*a);
                visit(*b);
                visit(*c);
            }
            Op::Math(_, operands) | Op::Complex(_, _, operands) => operands.iter().copied().for_each(visit),
        }
    }
}

impl Literal {
    /// A 64-bit integer.
    pub const fn i64(value: i64) -> Literal {
        Literal { ty: DType::I64, bits: value as u64 }
    }

    /// The number it stands for; `None` for complex types, which are no kernel types.
    pub fn to_scalar(self) -> Option<Scalar> {
        let bits = self.bits;
        Some(match self.ty {
            DType::Bool => Scalar::Bool(bits & 0xff != 0),
            DType::I8 => Scalar::I8(bits as i8),
            DType::I16 => Scalar::I16(bits as i16),
            DType::I32 => Scalar::I32(bits as i32),
            DType::I64 => Scalar::I64(bits as i64),
            DType::U8 => Scalar::U8(bits as u8),
            DType::U16 => Scalar::U16(bits as u16),
            DType::U32 => Scalar::U32(bits as u32),
            DType::U64 => Scalar::U64(bits),
            DType::F16 => Scalar::F16(f16::from_bits(bits as u16)),
            DType::BF16 => Scalar::BF16(bf16::from_bits(bits as u16)),
            DType::F8E4M3 => Scalar::F8E4M3(bits as u8),
            DType::F8E5M2 => Scalar::F8E5M2(bits as u8),
            DType::F32 => Scalar::F32(f32::from_bits(bits as u32)),
            DType::F64 => Scalar::F64(f64::from_bits(bits)),
            DType::C64 | DType::C128 => return None,
        })
    }

    /// The literal of a number that is not complex.
    pub fn from_scalar(number: Scalar) -> Option<Literal> {
        let bits = match number {
            Scalar::Bool(x) => u64::from(x),
            Scalar::I8(x) => u64::from(x as u8),
            Scalar::I16(x) => u64::from(x as u16),
            Scalar::I32(x) => u64::from(x as u32),
            Scalar::I64(x) => x as u64,
            Scalar::U8(x) | Scalar::F8E4M3(x) | Scalar::F8E5M2(x) => u64::from(x),
            Scalar::U16(x) => u64::from(x),
            Scalar::U32(x) => u64::from(x),
            Scalar::U64(x) => x,
            Scalar::F16(x) => u64::from(x.to_bits()),
            Scalar::BF16(x) => u64::from(x.to_bits()),
            Scalar::F32(x) => u64::from(x.to_bits()),
            Scalar::F64(x) => x.to_bits(),
            Scalar::C64(_) | Scalar::C128(_) => return None,
        };
        Some(Literal { ty: number.dtype(), bits })
    }

    /// The value of an integer literal, sign-extended where the type is signed.
    pub const fn as_int(self) -> Option<i64> {
        Some(match self.ty {
            DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64 => self.bits as i64,
            DType::I8 => self.bits as i8 as i64,
            DType::I16 => self.bits as i16 as i64,
            DType::I32 => self.bits as i32 as i64,
            DType::I64 => self.bits as i64,
            _ => return None,
        })
    }
}
