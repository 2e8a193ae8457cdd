//! Routines: scalar code as a flat register program.
//!
//! A [`Code`](crate::scalar::Code) is a tree of blocks over values of any type. A [`Routine`] is the same
//! computation as a list of instructions over registers that each hold one number: a vector or a record is a
//! run of registers, and structured control flow is jumps. Nothing is optimised.

use crate::scalar::{BinaryOp, DType, Func, Scalar, UnaryOp};

use super::plan::{Access, Element, SymbolSlot, WcrPlan};

/// A register index.
pub(super) type Register = u32;

#[derive(Debug, Clone, Default)]
pub(super) struct Routine {
    pub insts: Box<[Inst]>,
    /// How many registers it uses.
    pub registers: usize,
    /// Memory it reaches at its statements.
    pub ports: Box<[MemoryPort]>,
    /// Registers of the result, for code that is an expression.
    pub result: Option<Register>,
}

/// A pointer, reference or stream that the body reaches through.
#[derive(Debug, Clone)]
pub(super) struct MemoryPort {
    pub access: Access,
    /// Types and byte offsets of the numbers of the port's element.
    pub element: Element,
    /// What each index means.
    pub indexing: Indexing,
    /// How a store meets the old element.
    pub wcr: Option<WcrPlan>,
    /// Dimensions of the container that the indices run over.
    pub dims: Box<[usize]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indexing {
    /// One index per entry of [`MemoryPort::dims`], in steps of the memlet's range.
    Dimensions,
    /// One index, in elements of the port, as a C pointer.
    Flat,
    /// A queue.
    Stream,
}

#[derive(Debug, Clone)]
pub(super) enum Inst {
    Const(Register, Scalar),
    /// An unassigned number.
    Undefined(Register, DType),
    Symbol(Register, SymbolSlot, DType),
    Move(Register, Register),
    Unary(UnaryOp, Register, Register),
    Binary(BinaryOp, Register, Register, Register),
    Cast(DType, Register, Register),
    Select(Register, Register, Register, Register),
    Call1(Func, Register, Register),
    Call2(Func, Register, Register, Register),
    Call3(Func, Register, [Register; 3]),
    /// Numbers of an element to consecutive registers.
    Load {
        to: Register,
        port: u32,
        indices: Box<[Register]>,
    },
    Store {
        port: u32,
        indices: Box<[Register]>,
        from: Register,
    },
    Push {
        port: u32,
        from: Register,
    },
    Pop {
        port: u32,
        to: Register,
    },
    /// Whether an optional argument was not given.
    IsAbsent(Register, u32),
    /// One of `lanes` registers, chosen at run time.
    Lane {
        to: Register,
        base: Register,
        lanes: u32,
        index: Register,
    },
    WithLane {
        base: Register,
        lanes: u32,
        index: Register,
        from: Register,
    },
    Jump(u32),
    /// A jump backwards: costs fuel.
    Loop(u32),
    JumpUnless(Register, u32),
    /// What happens until the matching `ConditionEnd` depends on this register.
    ConditionBegin(Register),
    ConditionEnd,
}
