//! Addresses as sums over loop variables, and the condition that iterations are apart.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};

use crate::scalar::{BinaryOp, UnaryOp};

use super::{BufferId, Code, Op, ValueId};

/// A sum of integers times products of values that do not change in the loop.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sum(BTreeMap<Vec<ValueId>, i64>);

/// A sum plus loop variables times sums.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Linear {
    factors: BTreeMap<ValueId, Sum>,
    rest: Sum,
}

/// A load or store in a loop.
pub struct Access {
    pub buffer: BufferId,
    pub address: Linear,
    pub displacement: i64,
    pub bytes: i64,
    pub writes: bool,
    /// Inner loops that the address depends on.
    pub loops: Vec<InnerLoop>,
}

#[derive(Clone, Copy)]
pub struct InnerLoop {
    pub variable: ValueId,
    pub start: ValueId,
    pub stop: ValueId,
    pub step: i64,
}

/// What decomposition may look at.
pub struct Known<'d> {
    pub definitions: &'d HashMap<ValueId, Op>,
    /// Values that change in the loop.
    pub inside: &'d HashSet<ValueId>,
    /// Loop variables that an address may be linear in.
    pub variables: &'d [ValueId],
}

/// Sums with more terms are not looked at.
const MOST_TERMS: usize = 32;
const MOST_STEPS: u32 = 64;

impl Sum {
    fn number(value: i64) -> Sum {
        let mut sum = Sum::default();
        sum.add(Vec::new(), value);
        sum
    }

    /// Products and what they are multiplied with.
    pub fn terms(&self) -> impl Iterator<Item = (&[ValueId], i64)> {
        self.0.iter().map(|(factors, &number)| (factors.as_slice(), number))
    }

    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, factors: Vec<ValueId>, number: i64) {
        let entry = self.0.entry(factors).or_default();
        *entry = entry.wrapping_add(number);
        self.0.retain(|_, number| *number != 0);
    }

    fn plus(&self, other: &Sum, sign: i64) -> Sum {
        let mut sum = self.clone();
        for (factors, number) in &other.0 {
            sum.add(factors.clone(), number.wrapping_mul(sign));
        }
        sum
    }

    fn times(&self, other: &Sum) -> Sum {
        let mut product = Sum::default();
        for (a, x) in &self.0 {
            for (b, y) in &other.0 {
                let mut factors = a.clone();
                factors.extend(b);
                factors.sort_unstable();
                product.add(factors, x.wrapping_mul(*y));
            }
        }
        product
    }
}

impl Linear {
    /// An address, if it is linear in the loop variables.
    pub fn of(value: ValueId, known: &Known<'_>, steps: u32) -> Option<Linear> {
        if known.variables.contains(&value) {
            let factors = BTreeMap::from([(value, Sum::number(1))]);
            return Some(Linear { factors, rest: Sum::default() });
        }
        let definition = known.definitions.get(&value);
        if let Some(Op::Const(literal)) = definition {
            return Some(Linear { rest: Sum::number(literal.as_int()?), ..Linear::default() });
        }
        let result = match definition {
            _ if steps > MOST_STEPS => None,
            Some(Op::Binary(op @ (BinaryOp::Add | BinaryOp::Sub), a, b)) => {
                let (a, b) = (Linear::of(*a, known, steps + 1)?, Linear::of(*b, known, steps + 1)?);
                Some(a.plus(&b, if *op == BinaryOp::Add { 1 } else { -1 }))
            }
            Some(Op::Binary(BinaryOp::Mul, a, b)) => {
                let (a, b) = (Linear::of(*a, known, steps + 1)?, Linear::of(*b, known, steps + 1)?);
                match (a.factors.is_empty(), b.factors.is_empty()) {
                    (_, true) => Some(a.times(&b.rest)),
                    (true, false) => Some(b.times(&a.rest)),
                    (false, false) => None,
                }
            }
            Some(Op::Unary(UnaryOp::Neg, a)) => {
                Some(Linear::default().plus(&Linear::of(*a, known, steps + 1)?, -1))
            }
            _ => None,
        };
        let short = result.filter(|linear| linear.terms() <= MOST_TERMS);
        if short.is_some() || known.inside.contains(&value) {
            return short;
        }
        // Something that does not change in the loop, whatever it is.
        let mut rest = Sum::default();
        rest.add(vec![value], 1);
        Some(Linear { rest, ..Linear::default() })
    }

    fn terms(&self) -> usize {
        self.rest.0.len() + self.factors.values().map(|sum| sum.0.len()).sum::<usize>()
    }

    /// Whether it depends on a loop variable.
    pub fn uses(&self, variable: ValueId) -> bool {
        self.factors.contains_key(&variable)
    }

    fn plus(&self, other: &Linear, sign: i64) -> Linear {
        let mut result = Linear { factors: self.factors.clone(), rest: self.rest.plus(&other.rest, sign) };
        for (&variable, sum) in &other.factors {
            let entry = result.factors.entry(variable).or_default();
            *entry = entry.plus(sum, sign);
        }
        result.factors.retain(|_, sum| !sum.is_zero());
        result
    }

    fn times(&self, factor: &Sum) -> Linear {
        let factors = self.factors.iter().map(|(&variable, sum)| (variable, sum.times(factor)));
        Linear { factors: factors.filter(|(_, sum)| !sum.is_zero()).collect(), rest: self.rest.times(factor) }
    }
}

/// Numbers beyond this are not exact enough to compare.
const EXACT: f64 = (1u64 << 50) as f64;

/// The bool that iterations of the loop over `variable` reach different bytes through these accesses of one buffer.
pub fn apart(
    code: &mut Code<'_>,
    variable: ValueId,
    step: i64,
    accesses: &[&Access],
) -> Result<ValueId, &'static str> {
    let Some(first) = accesses.first() else { return Err("nothing is written") };
    let Some(distance) = first.address.factors.get(&variable) else {
        return Err("iterations write to the same place");
    };
    if accesses.iter().any(|access| access.address.factors.get(&variable) != Some(distance)) {
        return Err("iterations touch what others write");
    }
    let mut lowest: Option<ValueId> = None;
    let mut highest: Option<ValueId> = None;
    let mut size = code.float(0.0);
    for access in accesses {
        // Relative to the first access, so that addresses themselves cancel.
        let offset = access.address.rest.plus(&first.address.rest, -1);
        let mut low = code.sum(&offset);
        let displacement = code.float((access.displacement - first.displacement) as f64);
        low = code.floats(BinaryOp::Add, low, displacement);
        let mut high = low;
        let magnitude = code.magnitude(low);
        size = code.floats(BinaryOp::Add, size, magnitude);
        for inner in &access.loops {
            let Some(factor) = access.address.factors.get(&inner.variable) else { continue };
            let factor = code.sum(factor);
            let (start, stop) = (code.as_float(inner.start), code.as_float(inner.stop));
            // The last value lies one before the end, or nearer to the start.
            let one = code.float(if inner.step > 0 { 1.0 } else { -1.0 });
            let last = code.floats(BinaryOp::Sub, stop, one);
            let at_start = code.floats(BinaryOp::Mul, factor, start);
            let at_end = code.floats(BinaryOp::Mul, factor, last);
            let smaller = code.floats(BinaryOp::Min, at_start, at_end);
            let larger = code.floats(BinaryOp::Max, at_start, at_end);
            low = code.floats(BinaryOp::Add, low, smaller);
            high = code.floats(BinaryOp::Add, high, larger);
            for value in [at_start, at_end] {
                let magnitude = code.magnitude(value);
                size = code.floats(BinaryOp::Add, size, magnitude);
            }
        }
        let bytes = code.float(access.bytes as f64);
        high = code.floats(BinaryOp::Add, high, bytes);
        lowest = Some(match lowest {
            Some(known) => code.floats(BinaryOp::Min, known, low),
            None => low,
        });
        highest = Some(match highest {
            Some(known) => code.floats(BinaryOp::Max, known, high),
            None => high,
        });
    }
    let (Some(low), Some(high)) = (lowest, highest) else { return Err("nothing is written") };
    let span = code.floats(BinaryOp::Sub, high, low);
    let distance = code.sum(distance);
    let distance = code.magnitude(distance);
    let step = code.float(step.unsigned_abs() as f64);
    let distance = code.floats(BinaryOp::Mul, distance, step);
    let fits = code.floats(BinaryOp::Le, span, distance);
    let most = code.float(EXACT);
    let exact = code.floats(BinaryOp::Lt, size, most);
    Ok(code.let_(Op::Binary(BinaryOp::BitAnd, fits, exact), crate::scalar::DType::Bool))
}
