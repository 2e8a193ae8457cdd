//! Vector code for x86-64 at 512, 256 and 128 bits: loop nests around vectorised loops as functions of their own.
//!
//! Cranelift has no vectors of 256 bits. So a nest of loops that holds vectorisable ones leaves the Cranelift
//! function and is compiled here, to AVX2 and AVX-512: [`compile`] selects instructions over virtual registers ([`code`]) in one
//! walk of the kernel ([`select`], [`memory`], [`pairs`], [`gather`], [`lanes`], [`convert`], [`math`], [`reduce`], [`near`], [`control`], [`branch`], [`masked`]), [`tidy`] drops what is not needed, [`evex`] makes 512
//! bits of 256, [`allocate`] gives homes, [`encode`] writes bytes through iced-x86. What has no selection here is a [`Reason`], and the loop
//! stays with Cranelift, which compiles every kernel.
//!
//! # The code
//!
//! A function takes the address of an array of 64-bit numbers ([`Input`]) and gives 0, or 1 + the number of
//! the trap that stopped it. It calls nobody and needs no relocation.
//!
//! # Vectors
//!
//! All values of a vectorised loop have as many lanes as a register holds of the widest type in it; narrower types fill
//! half a register. A bool is a mask, as wide as the widest type. Remaining iterations run one by one through the
//! same selection with one lane, or as lanes that a mask chooses ([`partial`]). With 512 bits, masks also choose the lanes
//! that take a branch. Within a lane the operations are the kernel's, in its order: strict mode has
//! the same bits as scalar code. Fast mode contracts `a * b + c`.
//!
//! What all iterations share is computed once in front of the loop: integers in integer registers, floats as vectors of
//! equal lanes, constants at the entry.

mod allocate;
mod branch;
mod code;
mod control;
mod convert;
mod encode;
mod evex;
mod exponential;
mod gather;
mod lanes;
mod masked;
mod math;
mod memory;
mod near;
mod pairs;
mod partial;
mod reduce;
mod select;
mod tidy;
mod uniform;

use crate::kernel::vector::{LoopReport, Surroundings};
use crate::kernel::{Kernel, Stmt, ValueId, VarId};

pub use select::{Constants, compile};

/// How to compile a nest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Bits of a vector register: 128, 256 or 512.
    pub bits: u32,
    /// May contract.
    pub fast: bool,
}

/// A number that the caller passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// A value defined around the nest: an integer extended to 64 bits, or the bits of a float.
    Value(ValueId),
    /// A variable, in and out.
    Variable(VarId),
}

/// A compiled nest.
#[derive(Debug)]
pub struct Nest {
    /// Its machine code.
    pub code: Vec<u8>,
    /// What it is given.
    pub inputs: Vec<Input>,
    /// Values that must have these numbers, or the code may not run.
    pub conditions: Vec<(ValueId, i64)>,
    /// Whether the code may not run when arguments overlap.
    pub needs_disjoint: bool,
    /// What became of its loops, outer ones first.
    pub reports: Vec<LoopReport>,
}

/// The most bits of vectors that this machine runs at full speed, 0 for none: 512 where there is AVX-512 of a generation
/// that does not slow down for it, which the instructions for bfloat16 stand for.
pub fn usual_bits() -> u32 {
    #[cfg(all(target_arch = "x86_64", unix))]
    let quick = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(all(target_arch = "x86_64", unix)))]
    let quick = false;
    match is_available() {
        true if quick && has_512_bits() => 512,
        true => 256,
        false => 0,
    }
}

/// Whether this machine runs vectors of 512 bits.
pub fn has_512_bits() -> bool {
    #[cfg(all(target_arch = "x86_64", unix))]
    {
        is_available()
            && std::arch::is_x86_feature_detected!("avx512f")
            && std::arch::is_x86_feature_detected!("avx512dq")
            && std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vl")
    }
    #[cfg(not(all(target_arch = "x86_64", unix)))]
    {
        false
    }
}

/// Whether this machine runs what is compiled here.
pub fn is_available() -> bool {
    #[cfg(all(target_arch = "x86_64", unix))]
    {
        std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("fma")
            && std::arch::is_x86_feature_detected!("bmi1")
            && std::arch::is_x86_feature_detected!("bmi2")
    }
    #[cfg(not(all(target_arch = "x86_64", unix)))]
    {
        false
    }
}

/// Facts about a kernel that every nest of it needs.
#[derive(Debug)]
pub struct Facts {
    /// What the classification needs.
    pub around: Surroundings,
    /// Every constant.
    pub constants: Constants,
    /// Addresses, and where they are stored to.
    pub addresses: near::Addresses,
}

impl Facts {
    /// Facts about a kernel.
    pub fn of(kernel: &Kernel) -> Facts {
        let constants = Stmt::all(&kernel.body).filter_map(|stmt| match stmt {
            Stmt::Let(value, crate::kernel::Op::Const(literal)) => Some((*value, *literal)),
            _ => None,
        });
        let constants = constants.collect();
        Facts { around: Surroundings::of(kernel), constants, addresses: near::Addresses::of(kernel) }
    }
}

#[cfg(test)]
pub(super) mod tests;
