//! Register allocation: a linear scan over the live ranges of structured code.
//!
//! Each virtual register lives from its first to its last mention; one that exists before a loop and is mentioned in
//! it lives until the loop ends. It gets one register for all that time or a slot of the frame: of the ranges that
//! meet when registers run out, the one with the fewest uses for its length, loops counted, goes to the frame. An
//! instruction whose operand may be memory then reads the slot directly, so that constants in the frame cost nothing
//! but the load.

use super::code::{Bank, Item, Program, Reg, Role};
use super::evex::reaching;

/// Where a virtual register lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// A register, by number in its bank.
    Register(u8),
    /// A slot of the frame, by number: as long as a vector, or 8 bytes for an integer.
    Slot(u32),
}

/// The homes of all virtual registers.
#[derive(Debug)]
pub struct Homes {
    /// By virtual register.
    pub homes: Vec<Home>,
    /// How many vector slots there are.
    pub vector_slots: u32,
    /// How many integer slots there are.
    pub integer_slots: u32,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    reg: Reg,
    start: u32,
    end: u32,
    weight: f32,
    /// Whether all instructions that mention it reach the vector registers from [`FIRST_HIGH`] on.
    high: bool,
}

/// The first vector register that instructions of AVX2 do not reach.
pub const FIRST_HIGH: u8 = 16;

/// Chooses homes, with so many registers of each bank.
pub fn allocate(program: &Program, integers: &[u8], vectors: &[u8]) -> Homes {
    let ranges = ranges(program);
    let mut homes =
        Homes { homes: vec![Home::Slot(0); program.banks.len()], vector_slots: 0, integer_slots: 0 };
    for (bank, registers) in [(Bank::Integer, integers), (Bank::Vector, vectors)] {
        let own: Vec<Range> =
            ranges.iter().copied().filter(|range| program.banks[range.reg.0 as usize] == bank).collect();
        let slots = scan(&own, registers, &mut homes.homes);
        match bank {
            Bank::Integer => homes.integer_slots = slots,
            Bank::Vector => homes.vector_slots = slots,
        }
    }
    homes
}

/// Live ranges by start.
fn ranges(program: &Program) -> Vec<Range> {
    let count = program.banks.len();
    let mut first = vec![u32::MAX; count];
    let mut last = vec![0_u32; count];
    let mut weight = vec![0.0_f32; count];
    let mut high = vec![program.large; count];
    // Whether the first mention inside the present loop may read what was there before the turn.
    let mut loops: Vec<u32> = Vec::new();
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for (at, item) in program.items.iter().enumerate() {
        let at = at as u32;
        match item {
            Item::LoopStart => loops.push(at),
            Item::LoopEnd => {
                if let Some(start) = loops.pop() {
                    spans.push((start, at));
                }
            }
            Item::Do { operands, either, code } => {
                let turns = 8.0_f32.powi(loops.len().min(5) as i32);
                let low = program.large && reaching(*code).is_none();
                for (position, operand) in operands.iter().enumerate() {
                    let cheap = *either == Some(position as u8);
                    operand.each_register(|reg, role| {
                        let index = reg.0 as usize;
                        first[index] = first[index].min(at);
                        last[index] = last[index].max(at);
                        high[index] &= !low;
                        let cost = match role {
                            Role::Use if cheap => 1.0,
                            Role::Use | Role::Define => 2.0,
                            Role::Update => 4.0,
                        };
                        weight[index] += cost * turns;
                    });
                }
            }
            Item::Jump(..) | Item::Mark(_) | Item::Return(_) => {}
        }
    }
    // Inner loops end first, so that an extension by an inner loop is seen by the outer one.
    for index in 0..count {
        if first[index] == u32::MAX {
            continue;
        }
        for &(start, end) in &spans {
            let reaches_in = first[index] < start && last[index] > start && last[index] < end;
            if reaches_in {
                last[index] = end;
            }
        }
    }
    let mut found: Vec<Range> = (0..count)
        .filter(|&index| first[index] != u32::MAX)
        .map(|index| {
            let length = (last[index] - first[index] + 1) as f32;
            Range {
                reg: Reg(index as u32),
                start: first[index],
                end: last[index],
                weight: weight[index] / (length + 8.0),
                high: high[index],
            }
        })
        .collect();
    found.sort_by_key(|range| (range.start, range.reg));
    found
}

/// Assigns one bank; the number of slots used.
fn scan(ranges: &[Range], registers: &[u8], homes: &mut [Home]) -> u32 {
    let (mut high, mut low): (Vec<u8>, Vec<u8>) =
        registers.iter().rev().partition(|&&register| register >= FIRST_HIGH);
    let mut active: Vec<(Range, u8)> = Vec::new();
    let mut spilled: Vec<Range> = Vec::new();
    for &range in ranges {
        active.retain(|&(old, register)| {
            // A register may be read and another one written there by one instruction.
            let over = old.end <= range.start;
            if over {
                if register >= FIRST_HIGH { high.push(register) } else { low.push(register) }
            }
            !over
        });
        let free = if range.high { high.pop() } else { None };
        if let Some(register) = free.or_else(|| low.pop()) {
            homes[range.reg.0 as usize] = Home::Register(register);
            active.push((range, register));
            continue;
        }
        let fits = |register: u8| range.high || register < FIRST_HIGH;
        let fitting = active.iter().enumerate().filter(|(_, (_, register))| fits(*register));
        let cheapest = fitting.min_by(|(_, a), (_, b)| a.0.weight.total_cmp(&b.0.weight));
        match cheapest.map(|(at, &(old, register))| (at, old, register)) {
            Some((at, old, register)) if old.weight < range.weight => {
                spilled.push(old);
                homes[range.reg.0 as usize] = Home::Register(register);
                active[at] = (range, register);
            }
            _ => spilled.push(range),
        }
    }
    share_slots(spilled, homes)
}

/// Slots for ranges, shared where they do not meet.
fn share_slots(mut spilled: Vec<Range>, homes: &mut [Home]) -> u32 {
    spilled.sort_by_key(|range| (range.start, range.reg));
    let mut ends: Vec<u32> = Vec::new();
    for range in spilled {
        let slot = match ends.iter().position(|&end| end < range.start) {
            Some(slot) => slot,
            None => {
                ends.push(0);
                ends.len() - 1
            }
        };
        ends[slot] = range.end;
        homes[range.reg.0 as usize] = Home::Slot(slot as u32);
    }
    ends.len() as u32
}
