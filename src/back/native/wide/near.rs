//! Totals that read what was stored just before: `a[i, j] -= sum of a[i, k] * b[k] for k < j`, where the next sum reads
//! `a[i, j]`. A wide load that covers a number on its way to the cache waits until it is there, some twenty cycles, while
//! a load of that number alone takes it from the store. So such loops leave their last iterations to single loads.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::kernel::vector::{Class, Stride};
use crate::kernel::{BufferId, Kernel, Op, Stmt, ValueId};
use crate::scalar::{BinaryOp, DType};

use super::select::Select;

/// Sums of more products are not taken apart.
const MOST_TERMS: usize = 8;
/// How far back an address is followed.
const FAR: usize = 12;

/// A sum of products of values, times constants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Polynomial(BTreeMap<SmallVec<[ValueId; 3]>, i64>);

/// How addresses are computed, and where a kernel stores.
#[derive(Debug, Default)]
pub struct Addresses {
    definitions: HashMap<ValueId, Op>,
    stores: Vec<(BufferId, ValueId, i64)>,
}

impl Addresses {
    /// Those of a kernel.
    pub fn of(kernel: &Kernel) -> Addresses {
        let mut found = Addresses::default();
        for stmt in Stmt::all(&kernel.body) {
            match stmt {
                Stmt::Let(value, op @ (Op::Const(_) | Op::Binary(..)))
                    if kernel.values[*value] == DType::I64 =>
                {
                    found.definitions.insert(*value, op.clone());
                }
                Stmt::Store { buffer, address, displacement, .. } => {
                    found.stores.push((*buffer, *address, *displacement));
                }
                _ => {}
            }
        }
        found
    }

    fn polynomial(&self, value: ValueId, far: usize) -> Polynomial {
        let atom = || Polynomial(BTreeMap::from([(SmallVec::from_slice(&[value]), 1)]));
        let Some(far) = far.checked_sub(1) else { return atom() };
        let found = match self.definitions.get(&value) {
            Some(Op::Const(literal)) => literal.as_int().map(Polynomial::constant),
            Some(&Op::Binary(op, a, b)) => {
                let (a, b) = (self.polynomial(a, far), self.polynomial(b, far));
                match op {
                    BinaryOp::Add => a.plus(&b, 1),
                    BinaryOp::Sub => a.plus(&b, -1),
                    BinaryOp::Mul => a.times(&b),
                    _ => None,
                }
            }
            _ => None,
        };
        found.unwrap_or_else(atom)
    }
}

impl Polynomial {
    fn constant(number: i64) -> Polynomial {
        let mut result = Polynomial::default();
        result.add(SmallVec::new(), number);
        result
    }

    fn add(&mut self, term: SmallVec<[ValueId; 3]>, factor: i64) {
        let sum = self.0.entry(term.clone()).or_default();
        *sum = sum.wrapping_add(factor);
        if *sum == 0 {
            self.0.remove(&term);
        }
    }

    fn plus(mut self, other: &Polynomial, factor: i64) -> Option<Polynomial> {
        for (term, theirs) in &other.0 {
            self.add(term.clone(), theirs.wrapping_mul(factor));
        }
        (self.0.len() <= MOST_TERMS).then_some(self)
    }

    fn times(&self, other: &Polynomial) -> Option<Polynomial> {
        let mut result = Polynomial::default();
        for (x, a) in &self.0 {
            for (y, b) in &other.0 {
                let mut term = x.clone();
                term.extend(y.iter().copied());
                term.sort_unstable();
                result.add(term, a.wrapping_mul(*b));
            }
        }
        (result.0.len() <= MOST_TERMS).then_some(result)
    }
}

impl Select<'_> {
    /// Whether a loop up to `stop` reads neighbours up to an element that is stored next.
    pub fn reads_up_to_a_store(&self, stmts: &[Stmt], stop: ValueId) -> bool {
        let addresses = &self.facts.addresses;
        stmts.iter().any(|stmt| {
            let Stmt::Let(_, Op::Load { buffer, address, displacement, ty }) = stmt else { return false };
            let Class::Affine(affine) = self.class(*address) else { return false };
            let stride = ty.bytes() as i64;
            if affine.stride != Stride::Constant(stride) {
                return false;
            }
            let first = Polynomial::constant(affine.constant.wrapping_add(*displacement));
            let mut behind = first.plus(&addresses.polynomial(stop, FAR), stride);
            for &(value, factor) in &affine.terms {
                behind = behind.and_then(|sum| sum.plus(&addresses.polynomial(value, FAR), factor));
            }
            let Some(behind) = behind else { return false };
            addresses.stores.iter().any(|&(stored, at, displacement)| {
                stored == *buffer
                    && Polynomial::constant(displacement).plus(&addresses.polynomial(at, FAR), 1).as_ref()
                        == Some(&behind)
            })
        })
    }
}
