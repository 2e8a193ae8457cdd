//! Integers that are known to be small: conversions to a narrower type and back that change nothing, and masks that are
//! applied twice. Scalar code computes in the common type of its operands and stores in that of a container, which leaves
//! many of both around each operation on small integers.
//!
//! ## Before                                ## After
//! ```text
//! v2 = bitand int32 v0, v1 ; v1 is 1       v2 = bitxor int32 v0, v5
//! v3 = cast uint16 v2                      v3 = bitand int32 v2, v1
//! v4 = cast int32 v3
//! v6 = bitand int32 v5, v1
//! v7 = bitxor int32 v4, v6
//! ```

use crate::kernel::ValueId;
use crate::scalar::{BinaryOp, DType};

use super::{Builder, Made};

/// How many operations back is looked.
const FAR: usize = 4;

impl Builder {
    /// What a conversion of an integer comes to, where it needs none or starts further back.
    pub(super) fn narrow_cast(&mut self, ty: DType, value: ValueId) -> Option<ValueId> {
        let middle = self.ty(value);
        let Some(Made::Cast(inner)) = self.made(value) else { return None };
        let small = middle.is_integral() && self.ty(inner).is_integral();
        // The conversion in the middle kept the number.
        let kept = small && self.most(inner, FAR).is_some_and(|most| most <= largest(middle));
        if !kept || !ty.is_integral() {
            return None;
        }
        Some(if self.ty(inner) == ty { inner } else { self.cast(ty, inner) })
    }

    /// `op(a, b)` of integers in fewer operations: one mask for both.
    pub(super) fn narrow_binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> Option<ValueId> {
        if !matches!(op, BinaryOp::BitXor | BinaryOp::BitOr) {
            return None;
        }
        let ((x, mask), (y, other)) = (self.masked(a)?, self.masked(b)?);
        if mask != other {
            return None;
        }
        let both = self.binary(op, x, y);
        Some(self.binary(BinaryOp::BitAnd, both, mask))
    }

    /// A number and the literal that masks it.
    fn masked(&self, value: ValueId) -> Option<(ValueId, ValueId)> {
        let Some(Made::Binary(BinaryOp::BitAnd, a, b)) = self.made(value) else { return None };
        match (self.as_int(a), self.as_int(b)) {
            (None, Some(_)) => Some((a, b)),
            (Some(_), None) => Some((b, a)),
            _ => None,
        }
    }

    /// The largest number that an integer can be, where it is known not to be negative.
    fn most(&self, value: ValueId, far: usize) -> Option<u64> {
        if let Some(number) = self.as_int(value) {
            return u64::try_from(number).ok();
        }
        let ty = self.ty(value);
        let by_type = (ty.is_unsigned() && ty != DType::U64).then(|| largest(ty));
        let Some(far) = far.checked_sub(1) else { return by_type };
        let most = |value| self.most(value, far);
        let made = match self.made(value) {
            Some(Made::Binary(BinaryOp::BitAnd, a, b)) => match (most(a), most(b)) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (one, other) => one.or(other),
            },
            Some(Made::Binary(BinaryOp::BitOr | BinaryOp::BitXor, a, b)) => {
                let bits = most(a)? | most(b)?;
                Some(u64::MAX.checked_shr(bits.leading_zeros()).unwrap_or(0))
            }
            Some(Made::Cast(inner)) if self.ty(inner).is_integral() => most(inner),
            _ => None,
        };
        // A conversion that changes the number leaves one of its type.
        let kept = made.filter(|&most| most <= largest(ty));
        match (kept, by_type) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }
}

/// The largest number of an integral type; a bool is zero or one.
fn largest(ty: DType) -> u64 {
    match ty {
        DType::Bool => 1,
        ty if ty.is_unsigned() => u64::MAX >> (64 - 8 * ty.bytes()),
        ty => u64::MAX >> (65 - 8 * ty.bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::eval::{Ended, run};
    use crate::kernel::{BufferKind, Literal, Op, Stmt};
    use crate::scalar::{Scalar, arith};

    /// Random chains of conversions, masks and bit operations, once as built and once operation by operation.
    #[test]
    fn what_is_left_out_changes_no_bits() {
        let types: Vec<DType> = DType::ALL.into_iter().filter(|ty| ty.is_integral()).collect();
        let mut seed = 1u64;
        let mut random = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        for _ in 0..20_000 {
            let mut builder = Builder::new("test");
            let mut known: Vec<(ValueId, Scalar)> = Vec::new();
            let mut inputs: Vec<u64> = Vec::new();
            for position in 0..2 {
                let ty = types[random(types.len())];
                let bits = [0, 1, 2, 0x7f, 0x80, 0xff, 0x8000, 0xffff, u64::MAX, 0x8000_0000][random(10)];
                let value = arith::cast(ty, Scalar::U64(bits));
                known.push((builder.parameter(&format!("p{position}"), ty), value));
                inputs.push(Literal::from_scalar(value).unwrap().bits);
            }
            for _ in 0..8 {
                let (value, number) = known[random(known.len())];
                let ty = builder.ty(value);
                known.push(if random(2) == 0 {
                    let to = types[random(types.len())];
                    (builder.cast(to, value), arith::cast(to, number))
                } else {
                    let op = [BinaryOp::BitAnd, BinaryOp::BitOr, BinaryOp::BitXor][random(3)];
                    let (other, theirs) = match random(2) {
                        0 => {
                            let mask = arith::cast(ty, Scalar::I64([1, 3, 0x7f, 0xff, -1][random(5)]));
                            let literal = Literal::from_scalar(mask).unwrap();
                            (builder.constant(literal), mask)
                        }
                        _ => {
                            let same: Vec<_> =
                                known.iter().filter(|(v, _)| builder.ty(*v) == ty).copied().collect();
                            same[random(same.len())]
                        }
                    };
                    (builder.binary(op, value, other), arith::binary(op, number, theirs).unwrap())
                });
            }
            let buffer = builder.buffer("results", BufferKind::Argument(0));
            let address = builder.value(Op::Base(buffer), DType::I64);
            for (place, &(value, _)) in known.iter().enumerate() {
                builder.push(Stmt::Store { buffer, address, displacement: 8 * place as i64, value });
            }
            let kernel = builder.finish();
            let mut results = [vec![0u8; 8 * known.len()]];
            assert_eq!(run(&kernel, &mut results, &inputs, 1000), Ok(Ended::Done));
            for (bytes, (value, expected)) in results[0].chunks_exact(8).zip(known) {
                let bits = u64::from_le_bytes(bytes.try_into().unwrap());
                let expected = Literal::from_scalar(expected).unwrap().bits;
                assert_eq!(bits, expected, "{value} of {inputs:?} in\n{kernel}");
            }
        }
    }

    /// What scalar code makes of `(a ^ (b & 1)) & 1` for a `uint16` and a `uint8`.
    #[test]
    fn conversions_that_change_nothing_are_left_out() {
        let mut builder = Builder::new("test");
        let (a, b) = (builder.parameter("a", DType::U16), builder.parameter("b", DType::U8));
        let one = builder.constant(Literal { ty: DType::I32, bits: 1 });
        let a = builder.cast(DType::I32, a);
        let a = builder.binary(BinaryOp::BitAnd, a, one);
        let b = builder.cast(DType::I32, b);
        let b = builder.binary(BinaryOp::BitAnd, b, one);
        let b = builder.cast(DType::U16, b);
        let b = builder.cast(DType::I32, b);
        let bit = builder.binary(BinaryOp::BitXor, a, b);
        let stored = builder.cast(DType::U16, bit);
        let condition = builder.cast(DType::Bool, stored);
        let Some(Made::Cast(tested)) = builder.made(condition) else { panic!("no conversion") };
        let Some(Made::Binary(BinaryOp::BitAnd, both, _)) = builder.made(tested) else { panic!("no mask") };
        assert!(matches!(builder.made(both), Some(Made::Binary(BinaryOp::BitXor, _, _))));
    }
}
