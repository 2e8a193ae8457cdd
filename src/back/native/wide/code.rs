//! Code before registers are chosen: x86 instructions over virtual registers.
//!
//! An instruction is an encoding ([`Code`]) with its operands in the encoding's order. Virtual registers are variables:
//! they may be written several times. Control flow is structured: loops are bracketed by marks, and jumps inside
//! them go forward or back to the loop's head.

use iced_x86::Code;
use smallvec::SmallVec;

/// A virtual register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Reg(pub u32);

/// Kinds of registers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bank {
    /// 64-bit integers and addresses.
    Integer,
    /// Vectors.
    Vector,
}

/// How an operand's register is seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// 8 bits of an integer register.
    Byte,
    /// 16 bits of an integer register.
    Quarter,
    /// 32 bits of an integer register.
    Half,
    /// An integer register.
    Full,
    /// 128 bits of a vector register.
    Xmm,
    /// 256 bits of a vector register.
    Ymm,
    /// 512 bits of a vector register. The instruction is the 256-bit one until [`evex`](super::evex) replaces it.
    Zmm,
}

/// What an instruction does to an operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Reads it.
    Use,
    /// Writes it without reading it.
    Define,
    /// Both.
    Update,
}

/// A place in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Where it starts.
    pub base: Base,
    /// Added, times a scale of 1, 2, 4 or 8.
    pub index: Option<(Reg, u32)>,
    /// Bytes added.
    pub displacement: i32,
}

/// Start of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Base {
    /// An integer register.
    Register(Reg),
    /// The numbers the caller passes.
    Inputs,
    /// A slot of the frame for temporaries.
    Frame,
}

/// An operand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A register.
    Register(Reg, View, Role),
    /// Memory.
    Memory(Place),
    /// An 8-bit immediate.
    Byte(u8),
    /// A sign-extended 32-bit immediate.
    Word(i32),
    /// A 64-bit immediate.
    Wide(u64),
    /// A mask register, by number.
    Mask(u8),
    /// Behind all other operands: the mask register by which lanes are chosen; the others stay as they are.
    Under(u8),
    /// The same, but the others become zero.
    Only(u8),
}

/// A place in the code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Label(pub u32);

/// An item of code.
#[derive(Clone, PartialEq, Debug)]
pub enum Item {
    /// An instruction.
    Do {
        /// Which encoding.
        code: Code,
        /// In its order.
        operands: SmallVec<[Operand; 4]>,
        /// Which operand may be memory instead of a register.
        either: Option<u8>,
    },
    /// A jump: always or on a condition.
    Jump(Code, Label),
    /// Where jumps go.
    Mark(Label),
    /// A loop starts here; what follows runs several times.
    LoopStart,
    /// The end of the innermost open loop.
    LoopEnd,
    /// Leaves with a result.
    Return(i32),
}

/// Finished code with its virtual registers.
#[derive(Debug, Default)]
pub struct Program {
    /// Kind of every virtual register.
    pub banks: Vec<Bank>,
    /// The code.
    pub items: Vec<Item>,
    /// Bytes of the frame's temporaries.
    pub temporaries: i32,
    /// Whether vectors have 512 bits and there are 32 of them.
    pub large: bool,
}

/// Reads a register.
pub fn take(reg: Reg, view: View) -> Operand {
    Operand::Register(reg, view, Role::Use)
}

/// Writes a register.
pub fn give(reg: Reg, view: View) -> Operand {
    Operand::Register(reg, view, Role::Define)
}

/// Reads and writes a register.
pub fn change(reg: Reg, view: View) -> Operand {
    Operand::Register(reg, view, Role::Update)
}

impl Operand {
    /// Registers in it, with what happens to them.
    pub fn each_register(&self, mut visit: impl FnMut(Reg, Role)) {
        match self {
            Operand::Register(reg, _, role) => visit(*reg, *role),
            Operand::Memory(place) => {
                if let Base::Register(reg) = place.base {
                    visit(reg, Role::Use);
                }
                if let Some((reg, _)) = place.index {
                    visit(reg, Role::Use);
                }
            }
            Operand::Byte(_) | Operand::Word(_) | Operand::Wide(_) => {}
            Operand::Mask(_) | Operand::Under(_) | Operand::Only(_) => {}
        }
    }
}
