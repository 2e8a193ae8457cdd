//! Loop programs: what stands between the dataflow graph and machine code.
//!
//! A [`Kernel`] is one structured, typed program over flat memory: loops with affine or gathered
//! addresses, scalar SSA values, and a few mutable variables for what control flow changes. One kernel
//! is a whole program: states, loops, conditionals, nested graphs and library calls included.
//!
//! # What a kernel means
//!
//! - A **value** ([`ValueId`]) is defined once, by a [`Stmt::Let`], a loop or a parameter, and may be used
//!   after its definition in the same statement list and in lists nested in it.
//! - A **variable** ([`VarId`]) is a typed cell outside memory; reading it before it was set is undefined
//!   but harmless.
//! - **Types** are [`DType`](crate::scalar::DType)s without the complex ones (a complex number is two values).
//!   The small floats compute in `float32` and round to their own precision at each operation.
//! - **Memory** is bytes. A [`BufferId`] names an allocation; [`Op::Base`] is its address and addresses are
//!   `int64` values, so that hoisting treats address arithmetic as any other arithmetic. Loads and
//!   stores name the buffer they reach, which is what may be known about aliasing.
//! - **Arithmetic** is what [`scalar`](crate::scalar) says; integer division by zero gives 0 here: whoever
//!   builds the kernel puts a [`Stmt::Check`] before it. So every value can be computed anywhere its operands
//!   exist, and hoisting is always legal.
//! - A **check** that fails leaves the kernel with the number of its [`TrapInfo`]; memory keeps what was written.
//! - A loop that is **parallel** promises that its iterations may run in any order or at once.
//! - A **call** runs a routine that is no part of the kernel: a library node, or something with the queues of a stream
//!   ([`queues`]).
//!
//! Pipeline: [`lower`] makes kernels from graphs, [`scaled`] folds factors into products in fast mode, [`forward`] leaves
//! loads out, and then small arrays that nobody reads any more, [`widened`] conversions, [`verify`] checks them, [`print`] shows
//! them,
//! [`eval`] runs them slowly (for tests), `back` compiles them. [`vector`], [`parallel`] and [`masked`] say what loops are to it.

pub mod build;
pub mod cost;
pub mod eval;
pub mod forward;
pub mod linear;
pub mod lower;
pub mod masked;
pub mod parallel;
pub mod print;
mod program;
pub mod queues;
pub mod scaled;
pub mod scratch;
pub mod sizes;
mod unread;
pub mod vector;
pub mod verify;
pub mod widened;

pub use program::{
    BufferDecl, BufferId, BufferKind, CallFactor, CallOperand, CfgBlock, Jump, Kernel, LabelId, LibraryCall,
    LibraryId, Literal, MapLoop, Op, Order, Parameter, Stmt, TrapId, TrapInfo, TrapKind, ValueId, VarId,
    Variable,
};
