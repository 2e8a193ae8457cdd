//! Small unsigned variables that are computed with as `int32`: they are held as such. Scalar code computes in the common type
//! of its operands and stores in that of a container, so that a value that goes from turn to turn of a loop is cut short and
//! extended again in each, which everything behind waits for.
//!
//! ## Before                                ## After
//! ```text
//! var0: uint16                             var0: int32
//! v1 = get var0                            v2 = get var0
//! v2 = cast int32 v1                       v4 = shr int32 v2, v3
//! v4 = shr int32 v2, v3                    set var0 = v4
//! v5 = cast uint16 v4
//! set var0 = v5
//! ```
//!
//! The variable holds the number that it held before. Where a number is set that may not fit its type, the conversion stays.

use hashbrown::{HashMap, HashSet};

use crate::scalar::{BinaryOp, DType};

use super::{Kernel, Literal, Op, Stmt, ValueId, VarId};

/// How many operations back is looked.
const FAR: u32 = 6;

/// Holds small variables in `int32` where that leaves conversions out.
pub fn widen(kernel: &mut Kernel) {
    let facts = Facts::of(kernel);
    let chosen = facts.chosen(kernel);
    if chosen.is_empty() {
        return;
    }
    let small = chosen.iter().map(|&variable| (variable, kernel.variables[variable].ty)).collect();
    for &variable in &chosen {
        kernel.variables[variable].ty = DType::I32;
    }
    let body = std::mem::take(&mut kernel.body);
    let mut pass = Pass { kernel, facts, small, wide: HashMap::new(), renamed: HashMap::new() };
    let body = pass.list(body);
    kernel.body = body;
}

/// How values are made, and of what types they were.
struct Facts {
    made: HashMap<ValueId, Op>,
    types: Vec<DType>,
}

impl Facts {
    fn of(kernel: &Kernel) -> Facts {
        let made = Stmt::all(&kernel.body).filter_map(|stmt| match stmt {
            Stmt::Let(value, op) => Some((*value, op.clone())),
            _ => None,
        });
        Facts { made: made.collect(), types: kernel.values.values().copied().collect() }
    }

    fn ty(&self, value: ValueId) -> DType {
        self.types.get(value.0 as usize).copied().unwrap_or(DType::F64)
    }

    /// Variables that are extended where they are read, and cut short where they are set for nothing.
    fn chosen(&self, kernel: &Kernel) -> HashSet<VarId> {
        let is_small = |variable: VarId| matches!(kernel.variables[variable].ty, DType::U8 | DType::U16);
        let mut extended = HashSet::new();
        let mut fitting = HashSet::new();
        for stmt in Stmt::all(&kernel.body) {
            match stmt {
                Stmt::Let(_, Op::Cast(DType::I32, value)) => {
                    if let Some(&Op::Get(variable)) = self.made.get(value) {
                        extended.insert(variable);
                    }
                }
                Stmt::Set(variable, value) if is_small(*variable) => {
                    let is_constant = matches!(self.made.get(value), Some(Op::Const(_)));
                    if !is_constant && self.is_wide(*value, FAR) {
                        fitting.insert(*variable);
                    }
                }
                _ => {}
            }
        }
        extended.retain(|variable| fitting.contains(variable) && is_small(*variable));
        extended
    }

    /// Whether a small value is there as an `int32` without a conversion.
    fn is_wide(&self, value: ValueId, far: u32) -> bool {
        let Some(far) = far.checked_sub(1) else { return false };
        match self.made.get(&value) {
            Some(Op::Const(_)) => true,
            Some(Op::Cast(..)) => self.kept(value).is_some(),
            Some(Op::Select(_, a, b)) => self.is_wide(*a, far) && self.is_wide(*b, far),
            _ => false,
        }
    }

    /// The `int32` that a small value was made of by a conversion that kept the number.
    fn kept(&self, value: ValueId) -> Option<ValueId> {
        let Some(&Op::Cast(to, inner)) = self.made.get(&value) else { return None };
        let fits = self.ty(inner) == DType::I32 && self.most(inner, FAR)? <= largest(to)?;
        fits.then_some(inner)
    }

    /// The largest number that an integer can be, where it is known not to be negative.
    fn most(&self, value: ValueId, far: u32) -> Option<u64> {
        let by_type = largest(self.ty(value));
        let Some(far) = far.checked_sub(1) else { return by_type };
        let most = |value: &ValueId| self.most(*value, far);
        let made = match self.made.get(&value) {
            Some(Op::Const(literal)) => self.number(literal),
            Some(Op::Binary(BinaryOp::BitAnd, a, b)) => match (most(a), most(b)) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (one, other) => one.or(other),
            },
            Some(Op::Binary(BinaryOp::BitOr | BinaryOp::BitXor, a, b)) => {
                most(a).zip(most(b)).map(|(a, b)| {
                    let bits = a | b;
                    u64::MAX.checked_shr(bits.leading_zeros()).unwrap_or(0)
                })
            }
            Some(Op::Binary(BinaryOp::Shr, a, count)) => match self.made.get(count) {
                Some(Op::Const(count)) => {
                    let count = self.number(count).filter(|&count| count < 8 * self.ty(value).bytes() as u64);
                    most(a).zip(count).map(|(a, count)| a >> count)
                }
                _ => None,
            },
            Some(Op::Select(_, a, b)) => most(a).zip(most(b)).map(|(a, b)| a.max(b)),
            Some(Op::Cast(to, inner)) if to.is_integral() && self.ty(*inner).is_integral() => {
                // A conversion that changes the number leaves one of its type.
                let most = most(inner)?;
                (most <= u64::MAX >> (65 - 8 * to.bytes())).then_some(most)
            }
            _ => None,
        };
        match (made, by_type) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    /// A literal that is not negative.
    fn number(&self, literal: &Literal) -> Option<u64> {
        let number = literal.ty.is_integral().then(|| literal.to_scalar()).flatten()?;
        u64::try_from(number.as_i64()).ok()
    }
}

/// The largest number of a small unsigned type; a bool is zero or one.
fn largest(ty: DType) -> Option<u64> {
    match ty {
        DType::Bool => Some(1),
        DType::U8 => Some(u64::from(u8::MAX)),
        DType::U16 => Some(u64::from(u16::MAX)),
        _ => None,
    }
}

struct Pass<'k> {
    kernel: &'k mut Kernel,
    facts: Facts,
    /// What is held wider now, and its type before.
    small: HashMap<VarId, DType>,
    /// What small values are as `int32`.
    wide: HashMap<ValueId, ValueId>,
    /// Conversions that are no more.
    renamed: HashMap<ValueId, ValueId>,
}

impl Pass<'_> {
    fn now(&self, value: ValueId) -> ValueId {
        self.renamed.get(&value).copied().unwrap_or(value)
    }

    fn list(&mut self, stmts: Vec<Stmt>) -> Vec<Stmt> {
        let mut result = Vec::with_capacity(stmts.len());
        for mut stmt in stmts {
            if !self.renamed.is_empty() {
                stmt.rename(&|value| self.now(value));
            }
            match stmt {
                Stmt::Let(value, Op::Get(variable)) if self.small.contains_key(&variable) => {
                    let wide = self.let_(Op::Get(variable), &mut result);
                    self.wide.insert(value, wide);
                    // For those who read it as what it was.
                    result.push(Stmt::Let(value, Op::Cast(self.small[&variable], wide)));
                }
                Stmt::Let(value, Op::Cast(DType::I32, inner)) if self.wide.contains_key(&inner) => {
                    self.renamed.insert(value, self.wide[&inner]);
                }
                Stmt::Set(variable, value) if self.small.contains_key(&variable) => {
                    let wide = self.widened(value, FAR, &mut result);
                    result.push(Stmt::Set(variable, wide));
                }
                mut other => {
                    for list in other.lists_mut() {
                        *list = self.list(std::mem::take(list));
                    }
                    result.push(other);
                }
            }
        }
        result
    }

    fn let_(&mut self, op: Op, result: &mut Vec<Stmt>) -> ValueId {
        let value = self.kernel.values.push(DType::I32);
        result.push(Stmt::Let(value, op));
        value
    }

    /// A small value as an `int32`.
    fn widened(&mut self, value: ValueId, far: u32, result: &mut Vec<Stmt>) -> ValueId {
        if let Some(&wide) = self.wide.get(&value) {
            return wide;
        }
        if let Some(inner) = self.facts.kept(value) {
            return self.now(inner);
        }
        let op = match self.facts.made.get(&value).cloned() {
            Some(Op::Const(literal)) => Op::Const(Literal { ty: DType::I32, ..literal }),
            Some(Op::Select(condition, a, b)) if self.facts.is_wide(value, far) => {
                let far = far.saturating_sub(1);
                let (a, b) = (self.widened(a, far, result), self.widened(b, far, result));
                Op::Select(self.now(condition), a, b)
            }
            _ => Op::Cast(DType::I32, value),
        };
        self.let_(op, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::build::{Builder, LoopFacts};
    use crate::kernel::eval::{Ended, run};
    use crate::kernel::{BufferKind, Order, verify};

    /// What a test's random numbers are.
    struct Random(u64);

    impl Random {
        fn below(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % below
        }
    }

    const VARIABLES: [DType; 4] = [DType::U16, DType::U8, DType::U16, DType::I16];

    /// A loop that computes with variables, some of them small, in random steps.
    fn kernel(random: &mut Random) -> Kernel {
        let mut b = Builder::new("test");
        let buffer = b.buffer("results", BufferKind::Argument(0));
        let base = b.value(Op::Base(buffer), DType::I64);
        let variables = VARIABLES.map(|ty| b.variable("x", ty));
        for (&variable, ty) in variables.iter().zip(VARIABLES) {
            let bits = [0, 1, 0x7f, 0xfe, 0xffff][random.below(5)];
            let bits = if ty == DType::U8 { bits & 0xff } else { bits };
            let first = b.constant(Literal { ty, bits });
            b.set(variable, first);
        }
        let (start, stop, empty) = (b.int(0), b.int(4), b.bool(false));
        let counter = b.new_value(DType::I64, 1);
        b.open_loop(LoopFacts { variable: counter, lowest: start, highest: stop, empty });
        let mut known = vec![b.cast(DType::I32, counter)];
        for &variable in &variables[..3] {
            let read = b.get(variable);
            known.push(b.cast(DType::I32, read));
        }
        let mut conditions = vec![b.bool(true)];
        for _ in 0..12 {
            let at = random.below(variables.len());
            let some = known[random.below(known.len())];
            let int = |b: &mut Builder, bits| b.constant(Literal { ty: DType::I32, bits });
            match random.below(8) {
                0..3 => {
                    let read = b.get(variables[at]);
                    known.push(b.cast(DType::I32, read));
                }
                3 => {
                    let count = [0, 1, 3, 8][random.below(4)];
                    let count = int(&mut b, count);
                    known.push(b.binary(BinaryOp::Shr, some, count));
                }
                4 => {
                    let op =
                        [BinaryOp::BitAnd, BinaryOp::BitXor, BinaryOp::BitOr, BinaryOp::Add][random.below(4)];
                    let other = match random.below(2) {
                        0 => known[random.below(known.len())],
                        _ => {
                            let bits = [1, 0xff, 0x8408, 0xffff, 0xffff_ff00][random.below(5)];
                            int(&mut b, bits)
                        }
                    };
                    known.push(b.binary(op, some, other));
                }
                5 => {
                    let one = int(&mut b, 1);
                    let bit = b.binary(BinaryOp::BitAnd, some, one);
                    conditions.push(b.cast(DType::Bool, bit));
                }
                _ => {
                    let other = known[random.below(known.len())];
                    let (x, y) = (b.cast(VARIABLES[at], some), b.cast(VARIABLES[at], other));
                    let condition = conditions[random.below(conditions.len())];
                    let set = if random.below(2) == 0 { x } else { b.select(condition, x, y) };
                    b.set(variables[at], set);
                }
            }
        }
        for (&variable, place) in variables.iter().zip(0..) {
            let value = b.get(variable);
            b.push(Stmt::Store { buffer, address: base, displacement: 8 + 8 * place, value });
        }
        let body = b.close();
        b.push(Stmt::For { variable: counter, start, stop, step: 1, order: Order::InTurn, body });
        for (&variable, place) in variables.iter().zip(0..) {
            let value = b.get(variable);
            b.push(Stmt::Store { buffer, address: base, displacement: 64 + 8 * place, value });
        }
        b.finish()
    }

    fn result(kernel: &Kernel) -> Vec<u8> {
        assert_eq!(verify::verify(kernel), Ok(()), "{kernel}");
        let mut memory = [vec![0u8; 128]];
        assert_eq!(run(kernel, &mut memory, &[], 10_000), Ok(Ended::Done), "{kernel}");
        memory[0].clone()
    }

    #[test]
    fn what_is_held_wider_has_the_same_bits() {
        let mut random = Random(1);
        let mut widened = 0;
        for _ in 0..4_000 {
            let before = kernel(&mut random);
            let mut after = before.clone();
            widen(&mut after);
            assert_eq!(result(&before), result(&after), "{before}\n{after}");
            widened += usize::from(before.to_string() != after.to_string());
        }
        assert!(widened > 500, "{widened}");
    }

    /// The loop of a checksum: every number stays below 65,536.
    #[test]
    fn a_shift_register_is_not_cut_short_in_each_turn() {
        let mut b = Builder::new("test");
        let crc = b.variable("crc", DType::U16);
        let int = |b: &mut Builder, bits| b.constant(Literal { ty: DType::I32, bits });
        let (one, mask) = (int(&mut b, 1), int(&mut b, 0x8408));
        let first = b.constant(Literal { ty: DType::U16, bits: 0xffff });
        b.set(crc, first);
        let (start, stop, empty) = (b.int(0), b.int(8), b.bool(false));
        let counter = b.new_value(DType::I64, 1);
        b.open_loop(LoopFacts { variable: counter, lowest: start, highest: stop, empty });
        let old = b.get(crc);
        let old = b.cast(DType::I32, old);
        let bit = b.binary(BinaryOp::BitAnd, old, one);
        let bit = b.cast(DType::Bool, bit);
        let shifted = b.binary(BinaryOp::Shr, old, one);
        let mixed = b.binary(BinaryOp::BitXor, shifted, mask);
        let (mixed, shifted) = (b.cast(DType::U16, mixed), b.cast(DType::U16, shifted));
        let new = b.select(bit, mixed, shifted);
        b.set(crc, new);
        let body = b.close();
        b.push(Stmt::For { variable: counter, start, stop, step: 1, order: Order::InTurn, body });
        let mut kernel = b.finish();
        widen(&mut kernel);
        assert_eq!(kernel.variables[crc].ty, DType::I32);
        let extends = |stmt: &Stmt| matches!(stmt, Stmt::Let(_, Op::Cast(DType::I32, _)));
        assert!(!Stmt::all(&kernel.body).any(extends), "{kernel}");
    }
}
