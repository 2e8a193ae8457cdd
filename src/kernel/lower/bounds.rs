//! Checks of indices, in front of the loops they depend on.
//!
//! An index is a [`Linear`] form over loop variables and other values. It takes its extremes at the first and
//! last iterations, so a check of an access that runs in every iteration can move out of a loop: the loop's variable is
//! replaced by its first and last values, and "or the loop is empty" is added. This goes on outwards while
//! - the list in between is nothing but the loop's body (no branch around the access), and
//! - the range of the inner loops does not depend on the outer variable (the extremes would be wrong together).
//!
//! The check then fails exactly if some iteration would. Arithmetic is modulo 2^64. For the extremes to speak
//! for all values between them, the loop must be short: below 2^40 iterations in reach, which is checked once
//! per loop, as far out as its range is known; factors are at most 2^20 (see [`Linear`]).
//!
//! Where the extremes over all loops around the access, branches or not, leave numbers that fit, nothing is checked but
//! that the loops are short: `for i in 0..N { if c { a[i] } }` with an `a` of `N` elements.

use smallvec::SmallVec;

use crate::scalar::BinaryOp;

use crate::kernel::build::LoopFacts;
use crate::kernel::linear::Linear;
use crate::kernel::{Stmt, TrapId, TrapKind, ValueId};

use super::{Lowerer, Lowering};

/// Loop variables stay within these bounds wherever a check moves out of the loop.
const REACH: i64 = 1 << 40;
/// Factors up to which an index is known to fit without a check: a sum of a dozen loops' reaches then cannot wrap.
const LARGEST_FACTOR: i64 = 1 << 16;

impl Lowerer<'_> {
    /// Stops the program unless `0 <= index < extent`, as early as possible.
    pub fn check_index(&mut self, index: ValueId, extent: ValueId, trap: TrapId) -> Lowering<()> {
        let index = self.b.linear(index);
        let never = self.b.bool(false);
        self.check_between_unless(index.clone(), index, extent, trap, never)
    }

    /// Stops the program unless `0 <= low` and `high < extent`, or the excuse holds.
    pub fn check_between_unless(
        &mut self,
        mut low: Linear,
        mut high: Linear,
        extent: ValueId,
        trap: TrapId,
        excuse: ValueId,
    ) -> Lowering<()> {
        if self.always_between(&low, &high, extent) {
            return Ok(());
        }
        let extent_depth = self.b.depth_of(extent);
        let mut excuses: Vec<ValueId> = vec![excuse];
        let mut depth = self.b.depth();
        while let Some(facts) = self.b.loop_at(depth) {
            // Everything else must be known outside the loop.
            let outside = |linear: &Linear| {
                linear.terms.iter().all(|&(atom, _)| atom == facts.variable || self.b.depth_of(atom) < depth)
            };
            let excused_outside = excuses.iter().all(|&excuse| self.b.depth_of(excuse) < depth);
            if !outside(&low) || !outside(&high) || !excused_outside || extent_depth >= depth {
                break;
            }
            let uses = low.factor(facts.variable) != 0 || high.factor(facts.variable) != 0;
            if uses {
                let (Some(lower), Some(upper)) =
                    (self.extreme(&low, facts, true), self.extreme(&high, facts, false))
                else {
                    break;
                };
                (low, high) = (lower, upper);
                self.check_reach(facts, depth - 1);
            }
            if self.b.as_int(facts.empty) != Some(0) {
                excuses.push(facts.empty);
            }
            depth -= 1;
        }
        let zero = self.b.int(0);
        let above = self.at_most(&Linear::constant(0), &low)?;
        let above = match above {
            Some(known) => self.b.bool(known),
            None => {
                let low = self.b.from_linear(&low);
                self.b.binary(BinaryOp::Ge, low, zero)
            }
        };
        let limit = self.b.linear(extent);
        let one_more = high.plus(&Linear::constant(1), 1).unwrap_or_else(|| high.clone());
        let below = match self.at_most(&one_more, &limit)? {
            Some(known) => self.b.bool(known),
            None => {
                let high = self.b.from_linear(&high);
                self.b.binary(BinaryOp::Lt, high, extent)
            }
        };
        let fine = self.b.and(above, below);
        if self.b.as_int(fine) == Some(1) {
            return Ok(());
        }
        self.check_at(fine, &excuses, depth, trap);
        Ok(())
    }

    /// Whether `0 <= low` and `high < extent` in every iteration of the loops around, given that these are short, which
    /// is checked then.
    fn always_between(&mut self, low: &Linear, high: &Linear, extent: ValueId) -> bool {
        let behind =
            self.b.linear(extent).plus(high, -1).and_then(|rest| rest.plus(&Linear::constant(1), -1));
        let Some(behind) = behind else { return false };
        self.never_negative(&[low.clone(), high.clone(), behind])
    }

    /// Whether numbers are at least zero in every iteration of the loops around, given that these are short, which is
    /// checked then.
    pub fn never_negative(&mut self, numbers: &[Linear]) -> bool {
        let mut forms: SmallVec<[Linear; 3]> = SmallVec::from(numbers);
        // First and last values of the loops that take part, and whether it is the smallest that counts.
        let mut ends: Vec<(Linear, bool)> = Vec::new();
        for depth in (0..=self.b.depth()).rev() {
            let Some(facts) = self.b.loop_at(depth) else { continue };
            let factors =
                forms.iter().chain(ends.iter().map(|(end, _)| end)).map(|l| l.factor(facts.variable));
            let largest = factors.map(i64::abs).max().unwrap_or(0);
            if largest == 0 {
                continue;
            }
            if largest > LARGEST_FACTOR {
                return false;
            }
            for form in &mut forms {
                let Some(extreme) = self.extreme(form, facts, true) else { return false };
                *form = extreme;
            }
            for (end, smallest) in &mut ends {
                let Some(extreme) = self.extreme(end, facts, *smallest) else { return false };
                *end = extreme;
            }
            ends.push((self.b.linear(facts.lowest), true));
            ends.push((self.b.linear(facts.highest), false));
        }
        let fits = |form: &Linear| form.as_constant().is_some_and(|least| (0..=REACH).contains(&least));
        let short = |(end, _): &(Linear, bool)| {
            end.as_constant().is_none_or(|value| (-REACH..=REACH).contains(&value))
        };
        if !forms.iter().all(fits) || !ends.iter().all(short) {
            return false;
        }
        for (end, smallest) in ends.iter().filter(|(end, _)| end.as_constant().is_none()) {
            let (op, limit) = if *smallest { (BinaryOp::Ge, -REACH) } else { (BinaryOp::Le, REACH) };
            let (end, limit) = (self.b.from_linear(end), self.b.int(limit));
            let fine = self.b.binary(op, end, limit);
            let depth = self.b.depth_of(fine);
            if self.b.as_int(fine) != Some(1) && self.b.note_check(fine, depth) {
                let trap = self.trap(TrapKind::OutOfRange, "a loop reaches beyond 2^40");
                self.b.push_at(Stmt::Check(fine, trap), depth);
            }
        }
        true
    }

    /// How far out a condition can be checked that holds in all iterations of a loop if it holds in the last one, because
    /// it only gets harder as these numbers grow. They become what they are in the last iterations; also given are
    /// excuses (loops without iterations) and the depth. `fixed` are the other values that the condition needs.
    pub fn at_the_end(&mut self, growing: &mut [Linear], fixed: &[ValueId]) -> (Vec<ValueId>, usize) {
        let (mut excuses, mut depth) = (Vec::new(), self.b.depth());
        while let Some(facts) = self.b.loop_at(depth) {
            let known = |value: ValueId| self.b.depth_of(value) < depth;
            let outside = |linear: &Linear| {
                linear.terms.iter().all(|&(atom, _)| atom == facts.variable || known(atom))
                    && linear.factor(facts.variable) >= 0
            };
            if !growing.iter().all(outside) || !fixed.iter().chain(&excuses).all(|&value| known(value)) {
                break;
            }
            let last: Option<Vec<Linear>> =
                growing.iter().map(|linear| self.extreme(linear, facts, false)).collect();
            let Some(last) = last else { break };
            if growing.iter().any(|linear| linear.factor(facts.variable) != 0) {
                self.check_reach(facts, depth - 1);
            }
            growing.clone_from_slice(&last);
            if self.b.as_int(facts.empty) != Some(0) {
                excuses.push(facts.empty);
            }
            depth -= 1;
        }
        (excuses, depth)
    }

    /// Stops the program at a depth unless a condition or one of the excuses holds.
    pub fn check_at(&mut self, condition: ValueId, excuses: &[ValueId], depth: usize, trap: TrapId) {
        let mut fine = condition;
        for &excuse in excuses {
            fine = self.b.or(fine, excuse);
        }
        if self.b.as_int(fine) != Some(1) && self.b.note_check(fine, depth) {
            self.b.push_at(Stmt::Check(fine, trap), depth);
        }
    }

    /// `linear` at the loop's first or last iteration, whichever is smaller (or larger).
    fn extreme(&self, linear: &Linear, facts: LoopFacts, smallest: bool) -> Option<Linear> {
        let factor = linear.factor(facts.variable);
        let end = if (factor >= 0) == smallest { facts.lowest } else { facts.highest };
        linear.replace(facts.variable, &self.b.linear(end))
    }

    /// Whether `a <= b` when their difference is a constant.
    fn at_most(&self, a: &Linear, b: &Linear) -> Lowering<Option<bool>> {
        Ok(b.plus(a, -1).and_then(|difference| difference.as_constant()).map(|difference| difference >= 0))
    }

    fn check_reach(&mut self, facts: LoopFacts, depth: usize) {
        let mut fine = self.b.bool(true);
        for end in [facts.lowest, facts.highest] {
            if self.b.as_int(end).is_some_and(|value| (-REACH..=REACH).contains(&value)) {
                continue;
            }
            let (low, high) = (self.b.int(-REACH), self.b.int(REACH));
            let above = self.b.binary(BinaryOp::Ge, end, low);
            let below = self.b.binary(BinaryOp::Le, end, high);
            let within = self.b.and(above, below);
            fine = self.b.and(fine, within);
        }
        let mut fine = self.b.or(fine, facts.empty);
        // Out of the loops around it: a kernel that checks before it writes has nothing to put back.
        let mut depth = depth;
        while let Some(around) = self.b.loop_at(depth)
            && self.b.depth_of(fine) < depth
            && self.b.as_int(fine) != Some(1)
        {
            fine = self.b.or(fine, around.empty);
            depth -= 1;
        }
        if self.b.as_int(fine) != Some(1) && self.b.note_check(fine, depth) {
            let trap = self.trap(TrapKind::OutOfRange, "a loop reaches beyond 2^40");
            self.b.push_at(Stmt::Check(fine, trap), depth);
        }
    }
}
