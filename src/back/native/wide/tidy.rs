//! After selection: drops what nobody reads, and lets operations read memory themselves.
//!
//! Both look at straight-line code over registers that are written once; a register that is written several times (a
//! counter, a partial result) is left alone.

use iced_x86::{Code, Mnemonic};

use crate::kernel::vector::Reason;

use super::code::{Item, Operand, Program, Reg, Role, View};
use super::evex::widen;

/// Uses and writes of every register.
struct Counts {
    uses: Vec<u32>,
    writes: Vec<u32>,
}

/// Tidies a program up.
///
/// # Errors
/// An instruction that has no form of 512 bits, where those are wanted.
pub fn tidy(program: &mut Program) -> Result<(), Reason> {
    remove_dead(program);
    if program.large {
        // Before loads move into instructions: the sizes of registers say which ones are large.
        widen(program)?;
        remove_dead(program);
    }
    join_copies(program);
    fold_loads(program);
    Ok(())
}

fn count(program: &Program) -> Counts {
    let mut counts = Counts { uses: vec![0; program.banks.len()], writes: vec![0; program.banks.len()] };
    for item in &program.items {
        let Item::Do { operands, .. } = item else { continue };
        for operand in operands {
            operand.each_register(|reg, role| {
                if role != Role::Define {
                    counts.uses[reg.0 as usize] += 1;
                }
                if role != Role::Use {
                    counts.writes[reg.0 as usize] += 1;
                }
            });
        }
    }
    counts
}

fn stores(operands: &[Operand]) -> bool {
    matches!(operands.first(), Some(Operand::Memory(_)))
}

/// Removes instructions whose only effect is to define registers that nobody reads.
fn remove_dead(program: &mut Program) {
    let mut counts = count(program);
    let mut dead = vec![false; program.items.len()];
    // Whether a jump or a conditional instruction waits for a comparison.
    let mut flags = false;
    for (at, item) in program.items.iter().enumerate().rev() {
        let Item::Do { operands, code, .. } = item else {
            flags = matches!(item, Item::Jump(code, _) if *code != Code::Jmp_rel32_64);
            continue;
        };
        let mut defines = false;
        let mut needed = stores(operands);
        for operand in operands {
            if let Operand::Register(reg, _, role) = operand {
                match role {
                    Role::Define => {
                        defines = true;
                        needed |= counts.uses[reg.0 as usize] > 0;
                    }
                    // Changes of a register that is read elsewhere.
                    Role::Update => {
                        defines = true;
                        needed |= counts.uses[reg.0 as usize] > 1;
                    }
                    Role::Use => {}
                }
            }
        }
        let compares = matches!(code, Code::Cmp_r64_rm64 | Code::Cmp_rm64_imm32);
        let unread = compares && !std::mem::take(&mut flags);
        if !defines || needed {
            flags |= reads_flags(*code);
        }
        if unread || (defines && !needed) {
            dead[at] = true;
            for operand in operands {
                operand.each_register(|reg, role| {
                    if role != Role::Define {
                        counts.uses[reg.0 as usize] -= 1;
                    }
                });
            }
        }
    }
    let mut at = 0;
    program.items.retain(|_| {
        at += 1;
        !dead[at - 1]
    });
}

fn reads_flags(code: Code) -> bool {
    matches!(
        code,
        Code::Sete_rm8
            | Code::Setne_rm8
            | Code::Setl_rm8
            | Code::Setle_rm8
            | Code::Setg_rm8
            | Code::Setge_rm8
            | Code::Cmovl_r64_rm64
            | Code::Cmovg_r64_rm64
            | Code::Cmovne_r64_rm64
    )
}

/// A load of a whole register, and which.
fn whole_load(item: &Item) -> Option<(Reg, View, Operand)> {
    let Item::Do { code, operands, .. } = item else { return None };
    if code.mnemonic() != Mnemonic::Vmovups {
        return None;
    }
    match operands[..] {
        [Operand::Register(reg, view, Role::Define), place @ Operand::Memory(_)] => Some((reg, view, place)),
        _ => None,
    }
}

/// Whether the second and third operand may change places.
fn commutes(code: Code) -> bool {
    matches!(
        code.mnemonic(),
        Mnemonic::Vaddpd
            | Mnemonic::Vmulpd
            | Mnemonic::Vaddps
            | Mnemonic::Vmulps
            | Mnemonic::Vpaddq
            | Mnemonic::Vpaddd
            | Mnemonic::Vandpd
            | Mnemonic::Vorpd
            | Mnemonic::Vfmadd231pd
            | Mnemonic::Vfmadd231ps
            | Mnemonic::Vfnmadd231pd
            | Mnemonic::Vfnmadd231ps
            | Mnemonic::Vfmsub231pd
            | Mnemonic::Vfmsub231ps
    )
}

/// Which register is copied to which.
fn copy(item: &Item) -> Option<(Reg, Reg)> {
    let Item::Do { code, operands, .. } = item else { return None };
    match operands[..] {
        [Operand::Register(to, _, Role::Define), Operand::Register(from, _, Role::Use)]
            if code.mnemonic() == Mnemonic::Vmovups =>
        {
            Some((to, from))
        }
        _ => None,
    }
}

/// What is changed in a copy and then copied back is changed where it is.
fn join_copies(program: &mut Program) {
    let counts = count(program);
    let mut gone = vec![false; program.items.len()];
    for at in 0..program.items.len().saturating_sub(2) {
        let Some((aside, total)) = copy(&program.items[at]) else { continue };
        let alone = counts.uses[aside.0 as usize] == 2 && counts.writes[aside.0 as usize] == 2;
        if !alone || copy(&program.items[at + 2]) != Some((total, aside)) {
            continue;
        }
        let Item::Do { operands, .. } = &mut program.items[at + 1] else { continue };
        let Some(Operand::Register(changed, _, Role::Update)) = operands.first().copied() else { continue };
        let mut others = 0;
        operands.iter().skip(1).for_each(|operand| {
            operand.each_register(|reg, _| others += u32::from(reg == aside || reg == total));
        });
        if changed == aside && others == 0 {
            if let Some(Operand::Register(reg, ..)) = operands.first_mut() {
                *reg = total;
            }
            (gone[at], gone[at + 2]) = (true, true);
        }
    }
    let mut at = 0;
    program.items.retain(|_| {
        at += 1;
        !gone[at - 1]
    });
}

/// How far behind its load a reader may be.
const REACH: usize = 64;

/// Puts a load that is read once into the instruction that reads it. Nothing may be stored in between, and no
/// register of the address may change.
fn fold_loads(program: &mut Program) {
    let counts = count(program);
    let mut gone = vec![false; program.items.len()];
    #[expect(clippy::needless_range_loop, reason = "later items are changed in the loop")]
    for at in 0..program.items.len() {
        let Some((reg, view, place)) = whole_load(&program.items[at]) else { continue };
        if counts.uses[reg.0 as usize] != 1 || counts.writes[reg.0 as usize] != 1 {
            continue;
        }
        let mut address = Vec::new();
        place.each_register(|reg, _| address.push(reg));
        let end = program.items.len().min(at + REACH);
        for reader in at + 1..end {
            let Item::Do { code, operands, either } = &mut program.items[reader] else {
                match program.items[reader] {
                    Item::Jump(..) => continue,
                    _ => break,
                }
            };
            let position = operands.iter().position(
                |operand| matches!(operand, Operand::Register(other, _, Role::Use) if *other == reg),
            );
            if let Some(position) = position {
                let fits = matches!(operands[position], Operand::Register(_, seen, _) if seen == view);
                let Some(memory) = either.map(usize::from).filter(|_| fits) else { break };
                if position != memory {
                    if position == 1 && memory == 2 && commutes(*code) {
                        operands.swap(1, 2);
                    } else {
                        break;
                    }
                }
                operands[memory] = place;
                *either = None;
                gone[at] = true;
                break;
            }
            let mut blocked = stores(operands);
            for operand in operands.iter() {
                operand.each_register(|other, role| blocked |= role != Role::Use && address.contains(&other));
            }
            if blocked {
                break;
            }
        }
    }
    let mut at = 0;
    program.items.retain(|_| {
        at += 1;
        !gone[at - 1]
    });
}

#[cfg(test)]
mod tests {
    use super::super::code::{Bank, Base, Place, change, give, take};
    use super::*;
    use smallvec::SmallVec;

    fn instruction(code: Code, operands: &[Operand], either: Option<u8>) -> Item {
        Item::Do { code, operands: SmallVec::from_slice(operands), either }
    }

    #[test]
    fn a_load_moves_into_its_reader_but_not_over_a_store() {
        let place = Operand::Memory(Place { base: Base::Inputs, index: None, displacement: 0 });
        let (loaded, other, sum) = (Reg(0), Reg(1), Reg(2));
        let load = |reg| instruction(Code::VEX_Vmovups_ymm_ymmm256, &[give(reg, View::Ymm), place], None);
        let add = instruction(
            Code::VEX_Vaddpd_ymm_ymm_ymmm256,
            &[give(sum, View::Ymm), take(loaded, View::Ymm), take(other, View::Ymm)],
            Some(2),
        );
        let store = |reg| instruction(Code::VEX_Vmovups_ymmm256_ymm, &[place, take(reg, View::Ymm)], None);
        let banks = vec![Bank::Vector; 3];
        let program =
            |items: Vec<Item>| Program { banks: banks.clone(), items, temporaries: 0, large: false };
        let mut near = program(vec![load(other), store(other), load(loaded), add.clone(), store(sum)]);
        tidy(&mut near).unwrap();
        assert_eq!(near.items.len(), 4);
        let mut apart = program(vec![load(other), load(loaded), store(other), add, store(sum)]);
        tidy(&mut apart).unwrap();
        assert_eq!(apart.items.len(), 5);
    }

    #[test]
    fn a_total_is_changed_in_place_unless_the_old_one_is_read() {
        let place = Operand::Memory(Place { base: Base::Inputs, index: None, displacement: 0 });
        let (total, aside, x, y) = (Reg(0), Reg(1), Reg(2), Reg(3));
        let copy = |to, from| {
            instruction(Code::VEX_Vmovups_ymm_ymmm256, &[give(to, View::Ymm), take(from, View::Ymm)], Some(1))
        };
        let step = |x| {
            let operands = [change(aside, View::Ymm), take(x, View::Ymm), take(y, View::Ymm)];
            instruction(Code::VEX_Vfmadd231pd_ymm_ymm_ymmm256, &operands, Some(2))
        };
        let store = |reg| instruction(Code::VEX_Vmovups_ymmm256_ymm, &[place, take(reg, View::Ymm)], None);
        let length = |items: Vec<Item>| {
            let mut program = Program { banks: vec![Bank::Vector; 4], items, temporaries: 0, large: false };
            join_copies(&mut program);
            program.items.len()
        };
        assert_eq!(length(vec![copy(aside, total), step(x), copy(total, aside), store(total)]), 2);
        assert_eq!(length(vec![copy(aside, total), step(total), copy(total, aside), store(total)]), 4);
        assert_eq!(length(vec![copy(aside, total), step(x), copy(total, aside), store(aside)]), 4);
        assert_eq!(length(vec![copy(aside, total), step(x), copy(x, aside), store(total)]), 4);
    }

    #[test]
    fn what_nobody_reads_is_not_computed() {
        let place = Operand::Memory(Place { base: Base::Inputs, index: None, displacement: 0 });
        let items = vec![
            instruction(Code::VEX_Vmovups_ymm_ymmm256, &[give(Reg(0), View::Ymm), place], None),
            instruction(
                Code::VEX_Vaddpd_ymm_ymm_ymmm256,
                &[give(Reg(1), View::Ymm), take(Reg(0), View::Ymm), take(Reg(0), View::Ymm)],
                Some(2),
            ),
        ];
        let mut program = Program { banks: vec![Bank::Vector; 2], items, temporaries: 0, large: false };
        tidy(&mut program).unwrap();
        assert!(program.items.is_empty());
    }
}
