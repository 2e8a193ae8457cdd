//! Homes to bytes: registers and slots in place of virtual registers, the frame, and the encoding.
//!
//! The function follows the System V convention: the inputs' address arrives in `rdi` and stays there; the
//! result leaves in `rax`. Three integer and two vector registers are kept free for what lives in the frame, and the mask
//! registers are [`evex`](super::evex)'s.

use hashbrown::HashMap;
use iced_x86::{Code, Instruction, OpKind, Register};

use crate::kernel::vector::Reason;

use super::allocate::{FIRST_HIGH, Home, Homes, allocate};
use super::code::{Bank, Base, Item, Label, Operand, Place, Program, Reg, Role, View};
use super::evex::reaching;

/// rcx, rdx, rbx, rsi, r8, r9, r12 to r15.
const INTEGERS: [u8; 10] = [1, 2, 3, 6, 8, 9, 12, 13, 14, 15];
const VECTORS: [u8; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13];
/// With vectors of 512 bits.
const MANY_VECTORS: [u8; 30] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
    31,
];
/// rax, r10, r11.
const FREE_INTEGERS: [u8; 3] = [0, 10, 11];
const FREE_VECTORS: [u8; 2] = [14, 15];
/// Saved by the callee, in the order in which they are pushed behind `rbp`.
const SAVED: [Register; 5] = [Register::RBX, Register::R12, Register::R13, Register::R14, Register::R15];

/// Bytes that a short jump reaches back from where it starts, itself two bytes long.
const SHORT: usize = 126;

/// The bytes of a program.
///
/// # Errors
/// The encoder refuses an instruction, which is a defect of this back end.
pub fn encode(program: &Program) -> Result<Vec<u8>, Reason> {
    let vectors: &[u8] = if program.large { &MANY_VECTORS } else { &VECTORS };
    let homes = allocate(program, &INTEGERS, vectors);
    let unit = if program.large { 64 } else { 32 };
    let mut encoder = Encoder {
        program,
        temporaries: (program.temporaries + unit - 1) & -unit,
        unit,
        homes,
        // An instruction has six bytes or so.
        out: iced_x86::Encoder::try_with_capacity(64, 6 * program.items.len() + 64).map_err(refused)?,
        length: 0,
        labels: HashMap::new(),
        open: Vec::new(),
    };
    encoder.all()?;
    encoder.finish()
}

fn refused(error: iced_x86::IcedError) -> Reason {
    format!("the encoder refuses it: {error}")
}

struct Encoder<'p> {
    program: &'p Program,
    homes: Homes,
    temporaries: i32,
    /// Bytes of a vector in the frame, and what the frame is aligned to.
    unit: i32,
    out: iced_x86::Encoder,
    /// Bytes so far.
    length: usize,
    /// Where labels are.
    labels: HashMap<Label, usize>,
    /// Jumps to labels that came later: where they end, with four bytes for the distance.
    open: Vec<(usize, Label)>,
}

fn integer(number: u8, view: View) -> Register {
    let family = match view {
        View::Byte => [
            Register::AL,
            Register::CL,
            Register::DL,
            Register::BL,
            Register::SPL,
            Register::BPL,
            Register::SIL,
            Register::DIL,
            Register::R8L,
            Register::R9L,
            Register::R10L,
            Register::R11L,
            Register::R12L,
            Register::R13L,
            Register::R14L,
            Register::R15L,
        ],
        View::Quarter => [
            Register::AX,
            Register::CX,
            Register::DX,
            Register::BX,
            Register::SP,
            Register::BP,
            Register::SI,
            Register::DI,
            Register::R8W,
            Register::R9W,
            Register::R10W,
            Register::R11W,
            Register::R12W,
            Register::R13W,
            Register::R14W,
            Register::R15W,
        ],
        View::Half => [
            Register::EAX,
            Register::ECX,
            Register::EDX,
            Register::EBX,
            Register::ESP,
            Register::EBP,
            Register::ESI,
            Register::EDI,
            Register::R8D,
            Register::R9D,
            Register::R10D,
            Register::R11D,
            Register::R12D,
            Register::R13D,
            Register::R14D,
            Register::R15D,
        ],
        _ => [
            Register::RAX,
            Register::RCX,
            Register::RDX,
            Register::RBX,
            Register::RSP,
            Register::RBP,
            Register::RSI,
            Register::RDI,
            Register::R8,
            Register::R9,
            Register::R10,
            Register::R11,
            Register::R12,
            Register::R13,
            Register::R14,
            Register::R15,
        ],
    };
    family[usize::from(number & 15)]
}

fn vector(number: u8, view: View) -> Register {
    let first = match view {
        View::Xmm => Register::XMM0,
        View::Zmm => Register::ZMM0,
        _ => Register::YMM0,
    };
    Register::try_from(first as usize + usize::from(number)).unwrap_or(first)
}

fn physical(bank: Bank, number: u8, view: View) -> Register {
    match bank {
        Bank::Integer => integer(number, view),
        Bank::Vector => vector(number, view),
    }
}

/// A mask register.
fn mask(number: u8) -> Register {
    Register::try_from(Register::K0 as usize + usize::from(number)).unwrap_or(Register::K1)
}

/// Whether an operand is a register that instructions of AVX2 do not reach.
fn is_high(found: &Found) -> bool {
    matches!(found, Found::Register(register)
        if register.is_vector_register() && register.number() >= usize::from(FIRST_HIGH))
}

/// A memory operand with physical registers.
#[derive(Clone, Copy)]
struct Memory {
    base: Register,
    index: Register,
    scale: u32,
    displacement: i32,
}

/// What is at an operand once homes are known.
enum Found {
    Register(Register),
    Memory(Memory),
    Byte(u8),
    Word(i32),
    Wide(u64),
    /// The mask register that chooses lanes, and whether the others become zero.
    Under(Register, bool),
}

impl Encoder<'_> {
    fn all(&mut self) -> Result<(), Reason> {
        let program = self.program;
        self.enter()?;
        for item in &program.items {
            match item {
                Item::Do { code, operands, either } => self.instruction(*code, operands, *either)?,
                Item::Jump(code, label) => self.jump(*code, *label)?,
                Item::Mark(label) => {
                    self.labels.insert(*label, self.length);
                }
                Item::LoopStart | Item::LoopEnd => {}
                Item::Return(result) => self.leave(*result)?,
            }
        }
        Ok(())
    }

    /// The bytes, once every jump knows how far it goes.
    fn finish(mut self) -> Result<Vec<u8>, Reason> {
        let mut bytes = self.out.take_buffer();
        for (end, label) in self.open {
            let target = self.labels.get(&label).ok_or("a jump goes nowhere")?;
            let distance = i32::try_from(*target as i64 - end as i64).map_err(|_| "a jump goes too far")?;
            let field = end.checked_sub(4).and_then(|start| bytes.get_mut(start..end));
            field.ok_or("a jump has no distance")?.copy_from_slice(&distance.to_le_bytes());
        }
        Ok(bytes)
    }

    /// A jump; back, over a short distance, it is a short one.
    fn jump(&mut self, code: Code, label: Label) -> Result<(), Reason> {
        let back = self.labels.get(&label).copied();
        let is_near = back.is_some_and(|target| self.length - target <= SHORT);
        let mut jump = Instruction::default();
        jump.set_code(if is_near { code.as_short_branch() } else { code });
        jump.set_op0_kind(OpKind::NearBranch64);
        jump.set_near_branch64(back.unwrap_or(self.length) as u64);
        self.push(&jump)?;
        if back.is_none() {
            self.open.push((self.length, label));
        }
        Ok(())
    }

    fn push(&mut self, instruction: &Instruction) -> Result<(), Reason> {
        self.length += self.out.encode(instruction, self.length as u64).map_err(refused)?;
        Ok(())
    }

    fn emit(&mut self, code: Code, found: &[Found]) -> Result<(), Reason> {
        let mut instruction = Instruction::default();
        instruction.set_code(code);
        for (at, found) in found.iter().enumerate() {
            let at = at as u32;
            let kind = match found {
                Found::Under(register, zeroing) => {
                    instruction.set_op_mask(*register);
                    instruction.set_zeroing_masking(*zeroing);
                    continue;
                }
                Found::Register(_) => OpKind::Register,
                Found::Memory(_) => OpKind::Memory,
                Found::Byte(_) => OpKind::Immediate8,
                Found::Word(_) => OpKind::Immediate32to64,
                Found::Wide(_) => OpKind::Immediate64,
            };
            // The fifth operand of an instruction has no setters; there are none here.
            instruction.try_set_op_kind(at, kind).map_err(|error| error.to_string())?;
            match *found {
                Found::Register(register) => {
                    instruction.try_set_op_register(at, register).map_err(|error| error.to_string())?;
                }
                Found::Memory(memory) => {
                    instruction.set_memory_base(memory.base);
                    instruction.set_memory_index(memory.index);
                    instruction.set_memory_index_scale(memory.scale);
                    instruction.set_memory_displacement64(memory.displacement as i64 as u64);
                    // One: as short as the number allows.
                    instruction.set_memory_displ_size(u32::from(memory.displacement != 0));
                }
                Found::Byte(value) => instruction.set_immediate8(value),
                Found::Word(value) => instruction.set_immediate32to64(i64::from(value)),
                Found::Wide(value) => instruction.set_immediate64(value),
                Found::Under(..) => {}
            }
        }
        self.push(&instruction)
    }

    fn frame_bytes(&self) -> i32 {
        let vectors = self.homes.vector_slots as i32 * self.unit;
        let integers = (self.homes.integer_slots as i32 * 8 + self.unit - 1) & -self.unit;
        self.temporaries + vectors + integers
    }

    fn slot(&self, bank: Bank, slot: u32) -> Memory {
        let displacement = match bank {
            Bank::Vector => self.temporaries + slot as i32 * self.unit,
            Bank::Integer => self.temporaries + self.homes.vector_slots as i32 * self.unit + slot as i32 * 8,
        };
        Memory { base: Register::RSP, index: Register::None, scale: 1, displacement }
    }

    fn enter(&mut self) -> Result<(), Reason> {
        use Found::{Register as R, Word};
        self.emit(Code::Push_r64, &[R(Register::RBP)])?;
        self.emit(Code::Mov_r64_rm64, &[R(Register::RBP), R(Register::RSP)])?;
        for register in SAVED {
            self.emit(Code::Push_r64, &[R(register)])?;
        }
        self.emit(Code::Sub_rm64_imm32, &[R(Register::RSP), Word(self.frame_bytes())])?;
        self.emit(Code::And_rm64_imm32, &[R(Register::RSP), Word(-self.unit)])
    }

    fn leave(&mut self, result: i32) -> Result<(), Reason> {
        use Found::{Register as R, Word};
        self.emit(Code::Mov_rm64_imm32, &[R(Register::RAX), Word(result)])?;
        let saved = Memory { base: Register::RBP, index: Register::None, scale: 1, displacement: -40 };
        self.emit(Code::Lea_r64_m, &[R(Register::RSP), Found::Memory(saved)])?;
        for register in SAVED.into_iter().rev() {
            self.emit(Code::Pop_r64, &[R(register)])?;
        }
        self.emit(Code::Pop_r64, &[R(Register::RBP)])?;
        self.emit(Code::VEX_Vzeroupper, &[])?;
        self.emit(Code::Retnq, &[])
    }

    fn load(&mut self, bank: Bank, number: u8, slot: u32) -> Result<(), Reason> {
        let (code, view) = match bank {
            Bank::Integer => (Code::Mov_r64_rm64, View::Full),
            Bank::Vector if self.program.large => (Code::EVEX_Vmovups_zmm_k1z_zmmm512, View::Zmm),
            Bank::Vector => (Code::VEX_Vmovups_ymm_ymmm256, View::Ymm),
        };
        let place = self.slot(bank, slot);
        self.emit(code, &[Found::Register(physical(bank, number, view)), Found::Memory(place)])
    }

    fn store(&mut self, bank: Bank, number: u8, slot: u32) -> Result<(), Reason> {
        let (code, view) = match bank {
            Bank::Integer => (Code::Mov_rm64_r64, View::Full),
            Bank::Vector if self.program.large => (Code::EVEX_Vmovups_zmmm512_k1z_zmm, View::Zmm),
            Bank::Vector => (Code::VEX_Vmovups_ymmm256_ymm, View::Ymm),
        };
        let place = self.slot(bank, slot);
        self.emit(code, &[Found::Memory(place), Found::Register(physical(bank, number, view))])
    }

    fn instruction(&mut self, code: Code, operands: &[Operand], either: Option<u8>) -> Result<(), Reason> {
        let mut borrowed = Borrowed::default();
        let mut found: Vec<Found> = Vec::with_capacity(operands.len());
        let mut after: Vec<(Bank, u8, u32)> = Vec::new();
        // Reads first, so that a result may take the register of an operand.
        for operand in operands {
            if let Operand::Register(reg, _, role) = operand
                && *role != Role::Define
                && either.is_none_or(|at| operands.get(usize::from(at)) != Some(operand))
                && let Home::Slot(slot) = self.homes.homes[reg.0 as usize]
            {
                let bank = self.program.banks[reg.0 as usize];
                let (number, fresh) = borrowed.for_reading(*reg, bank)?;
                if fresh {
                    self.load(bank, number, slot)?;
                }
            }
        }
        for (at, operand) in operands.iter().enumerate() {
            found.push(match *operand {
                Operand::Byte(value) => Found::Byte(value),
                Operand::Word(value) => Found::Word(value),
                Operand::Wide(value) => Found::Wide(value),
                Operand::Mask(number) => Found::Register(mask(number)),
                Operand::Under(number) => Found::Under(mask(number), false),
                Operand::Only(number) => Found::Under(mask(number), true),
                Operand::Memory(place) => Found::Memory(self.memory(place, &mut borrowed)?),
                Operand::Register(reg, view, role) => {
                    let bank = self.program.banks[reg.0 as usize];
                    match self.homes.homes[reg.0 as usize] {
                        Home::Register(number) => Found::Register(physical(bank, number, view)),
                        Home::Slot(slot) if either == Some(at as u8) && role == Role::Use => {
                            Found::Memory(self.slot(bank, slot))
                        }
                        Home::Slot(slot) => {
                            let number = if role == Role::Define {
                                borrowed.for_writing(reg, bank)
                            } else {
                                let (number, fresh) = borrowed.for_reading(reg, bank)?;
                                if fresh {
                                    self.load(bank, number, slot)?;
                                }
                                number
                            };
                            if role != Role::Use {
                                after.push((bank, number, slot));
                            }
                            Found::Register(physical(bank, number, view))
                        }
                    }
                }
            });
        }
        let code = if found.iter().any(is_high) {
            reaching(code).ok_or_else(|| format!("{code:?} does not reach its registers"))?
        } else {
            code
        };
        self.emit(code, &found)?;
        for (bank, number, slot) in after {
            self.store(bank, number, slot)?;
        }
        Ok(())
    }

    fn memory(&mut self, place: Place, borrowed: &mut Borrowed) -> Result<Memory, Reason> {
        let mut address = |encoder: &mut Self, reg: Reg| -> Result<Register, Reason> {
            let bank = encoder.program.banks[reg.0 as usize];
            // Indices of a gather are a whole vector.
            let view = if bank == Bank::Integer { View::Full } else { View::Zmm };
            Ok(match encoder.homes.homes[reg.0 as usize] {
                Home::Register(number) => physical(bank, number, view),
                Home::Slot(slot) => {
                    let (number, fresh) = borrowed.for_reading(reg, bank)?;
                    if fresh {
                        encoder.load(bank, number, slot)?;
                    }
                    physical(bank, number, view)
                }
            })
        };
        let base = match place.base {
            Base::Register(reg) => address(self, reg)?,
            Base::Inputs => Register::RDI,
            Base::Frame => Register::RSP,
        };
        let (index, scale) = match place.index {
            Some((reg, scale)) => (address(self, reg)?, scale),
            None => (Register::None, 1),
        };
        Ok(Memory { base, index, scale, displacement: place.displacement })
    }
}

/// Registers that one instruction borrows for what lives in the frame.
#[derive(Default)]
struct Borrowed {
    taken: Vec<(Reg, Bank, u8)>,
}

impl Borrowed {
    /// The register, and whether it must be loaded first.
    fn for_reading(&mut self, reg: Reg, bank: Bank) -> Result<(u8, bool), Reason> {
        if let Some(&(_, _, number)) = self.taken.iter().find(|(taken, ..)| *taken == reg) {
            return Ok((number, false));
        }
        let pool: &[u8] = if bank == Bank::Integer { &FREE_INTEGERS } else { &FREE_VECTORS };
        let used = self.taken.iter().filter(|(_, other, _)| *other == bank).count();
        match pool.get(used) {
            Some(&number) => {
                self.taken.push((reg, bank, number));
                Ok((number, true))
            }
            None => Err("an instruction has too many operands in the frame".to_owned()),
        }
    }

    /// A result may overwrite what the instruction reads.
    fn for_writing(&mut self, reg: Reg, bank: Bank) -> u8 {
        match self.for_reading(reg, bank) {
            Ok((number, _)) => number,
            Err(_) => {
                if bank == Bank::Integer {
                    FREE_INTEGERS[0]
                } else {
                    FREE_VECTORS[0]
                }
            }
        }
    }
}
